//! Customer displays: two lines of characters on a pole. What the guest sees is a [`Face`]; pure functions make two lines of it and, in
//! the display's language, bytes. Nothing that comes from outside can be a command: a text is folded to the display's own page first.
//! A display knows nothing back: it never answers, so nothing about money hangs on it.

use crate::domain::money::Tiyn;
use crate::domain::order::Tender;
use crate::drivers::printer::codepage::Letters;
use crate::drivers::{BadSetup, Key, Setup, Takes};
use crate::i18n::{Lang, sentence};

pub mod cd5220;
pub mod escpos_display;

/// How many characters a line may have.
const COLUMNS: std::ops::RangeInclusive<i64> = 16..=40;

/// What the guest is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Face {
    /// Nobody pays.
    Idle {
        /// The shop's name.
        shop: String,
    },
    /// A sum is asked for.
    Pay {
        /// The order's number, empty where it has none.
        order: String,
        /// The sum.
        amount: Tiyn,
        /// How it is to be paid.
        tender: Tender,
        /// Where to pay it, for displays that show it.
        link: Option<String>,
    },
    /// It came.
    Paid {
        /// What came.
        amount: Tiyn,
    },
    /// Notes and coins came, and some go back.
    Change {
        /// What goes back.
        change: Tiyn,
    },
    /// It is not known yet whether it came.
    Unclear,
}

/// A display as the configuration describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panel {
    /// Characters of a line.
    pub columns: usize,
    /// The table of letters that it shows.
    pub letters: Letters,
    /// The number of that table on this model, where it takes one.
    pub table: u8,
    /// What the guest reads.
    pub lang: Lang,
    /// Whether a payment link runs through the upper line.
    pub shows_link: bool,
    /// How it is spoken to.
    pub speech: Speech,
}

/// The language of a display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Partner Tech's own.
    Cd5220,
    /// Epson's.
    EscPos,
}

/// Two lines of exactly as many characters as the display has, every one of them on its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(pub [String; 2]);

/// The keys that all displays have.
const KEYS: &[Key] = &[
    Key { name: "columns", takes: Takes::Number, required: false, help: "characters of a line, 16 to 40; default 20" },
    Key {
        name: "codepage",
        takes: Takes::Text,
        required: false,
        help: "table of letters: \"cp866\" (default), \"cp1251\" or \"kz1048\" (with Kazakh letters)",
    },
    Key {
        name: "table",
        takes: Takes::Number,
        required: false,
        help: "number of that table on this model, from its manual; escpos_display only: default 17, many clones have 6",
    },
    Key {
        name: "lang",
        takes: Takes::Text,
        required: false,
        help: "what the guest reads: \"kk\", \"ru\" (default), \"en\"",
    },
    Key {
        name: "qr",
        takes: Takes::Flag,
        required: false,
        help: "true: the link of a payment that has one runs through the upper line as text",
    },
];

impl Panel {
    /// The display that a section of the configuration describes.
    fn from_setup(setup: &Setup, speech: Speech) -> Result<Panel, BadSetup> {
        let columns = setup.number("columns").unwrap_or(20);
        let cells = COLUMNS.contains(&columns).then(|| usize::try_from(columns).ok()).flatten();
        let word = setup.text("codepage").unwrap_or("cp866");
        let letters = match word {
            "cp866" => Some(Letters::Pc866),
            other => Letters::from_word(other).filter(|letters| *letters != Letters::Posiflex),
        };
        let letters = letters.ok_or_else(|| {
            bad("codepage", format!("'{word}' is no table: write \"cp866\", \"cp1251\" or \"kz1048\""))
        })?;
        let table = setup.number("table").unwrap_or(i64::from(letters.usual_page()));
        let word = setup.text("lang").unwrap_or(Lang::Ru.word());
        Ok(Panel {
            columns: cells.ok_or_else(|| bad("columns", format!("{columns} is out of bounds: write 16 to 40")))?,
            letters,
            table: u8::try_from(table).map_err(|_| bad("table", format!("{table} is no table: write 0 to 255")))?,
            lang: Lang::from_word(word)
                .ok_or_else(|| bad("lang", format!("'{word}' is no language: write \"kk\", \"ru\" or \"en\"")))?,
            shows_link: setup.flag("qr").unwrap_or(false),
            speech,
        })
    }

    /// What a face looks like here; a link that runs is `step` characters further on.
    pub fn lines(&self, face: &Face, step: usize) -> Lines {
        let word = |code: &str| self.letters.fold(&sentence(self.lang, code, &[]));
        let sum = |amount: &Tiyn| self.letters.fold(&format!("{amount} ₸"));
        let [upper, lower] = match face {
            Face::Idle { shop } => [self.middle(&self.letters.fold(shop)), self.middle(&word("display.welcome"))],
            Face::Pay { order, amount, tender, link } => {
                let number = if order.is_empty() { String::new() } else { self.letters.fold(&format!("№{order}")) };
                let upper = match link.as_ref().filter(|_| self.shows_link) {
                    Some(link) => self.run(&self.letters.fold(link), step),
                    None => self.apart(&word(invitation(*tender)), &number, Keep::Left),
                };
                [upper, self.apart(&word("display.due"), &sum(amount), Keep::Right)]
            }
            Face::Paid { amount } => {
                [self.middle(&word("display.thanks")), self.apart(&word("display.paid"), &sum(amount), Keep::Right)]
            }
            Face::Change { change } => {
                [self.middle(&word("display.thanks")), self.apart(&word("display.change"), &sum(change), Keep::Right)]
            }
            Face::Unclear => [self.middle(&word("display.wait")), self.middle(&word("display.checking"))],
        };
        Lines([self.cut(&upper), self.cut(&lower)])
    }

    /// Whether a face moves: its lines depend on the step.
    pub fn is_running(&self, face: &Face) -> bool {
        match face {
            Face::Pay { link, .. } => self.shows_link && link.is_some(),
            Face::Idle { .. } | Face::Paid { .. } | Face::Change { .. } | Face::Unclear => false,
        }
    }

    /// Everything that makes the display show the lines, whatever it showed and however it was set before.
    pub fn bytes(&self, lines: &Lines) -> Vec<u8> {
        match self.speech {
            Speech::Cd5220 => cd5220::bytes(self, lines),
            Speech::EscPos => escpos_display::bytes(self, lines),
        }
    }

    /// The bytes of the upper line alone, on a display that shows our lines already.
    pub fn upper(&self, lines: &Lines) -> Vec<u8> {
        match self.speech {
            Speech::Cd5220 => cd5220::upper(self, lines),
            Speech::EscPos => escpos_display::upper(self, lines),
        }
    }

    /// Two texts at the ends of a line; where both do not fit only one is kept.
    fn apart(&self, left: &str, right: &str, keep: Keep) -> String {
        let (left_cells, right_cells) = (left.chars().count(), right.chars().count());
        if right.is_empty() || left_cells + 1 + right_cells > self.columns {
            return match keep {
                Keep::Left => left.to_owned(),
                Keep::Right => format!("{right:>width$}", width = self.columns),
            };
        }
        format!("{left}{right:>width$}", width = self.columns - left_cells)
    }

    fn middle(&self, text: &str) -> String {
        format!("{:^width$}", self.cut(text.trim()).trim_end(), width = self.columns)
    }

    /// A window on a text that goes round.
    fn run(&self, text: &str, step: usize) -> String {
        if text.chars().count() <= self.columns {
            return text.to_owned();
        }
        let round: Vec<char> = text.chars().chain("   ".chars()).collect();
        round.iter().cycle().skip(step % round.len()).take(self.columns).collect()
    }

    /// Exactly as long as a line.
    fn cut(&self, text: &str) -> String {
        let text: String = text.chars().take(self.columns).collect();
        format!("{text:<width$}", width = self.columns)
    }
}

/// Which text stays when a line is too short for both.
#[derive(Clone, Copy)]
enum Keep {
    Left,
    Right,
}

fn invitation(tender: Tender) -> &'static str {
    match tender {
        Tender::KaspiTerminal => "display.pay_terminal",
        Tender::KaspiInvoice => "display.pay_invoice",
        Tender::KaspiQr => "display.pay_qr",
        Tender::Cash => "display.pay_cash",
    }
}

fn bad(key: &'static str, problem: String) -> BadSetup {
    BadSetup { key, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: Panel = Panel {
        columns: 20,
        letters: Letters::Pc866,
        table: 17,
        lang: Lang::Ru,
        shows_link: false,
        speech: Speech::Cd5220,
    };

    fn pay(order: &str, tiyn: i64, link: Option<&str>) -> Face {
        let link = link.map(str::to_owned);
        Face::Pay { order: order.to_owned(), amount: Tiyn(tiyn), tender: Tender::KaspiTerminal, link }
    }

    #[test]
    fn faces_are_two_lines_of_twenty() {
        let faces = [
            (Face::Idle { shop: "Дастархан".to_owned() }, ["     Дастархан      ", "  Добро пожаловать  "]),
            (pay("1950", 1_240_000, None), ["Оплатите Kaspi №1950", "К ОПЛАТЕ   12 400 тг"]),
            // What leaves no room for the other stands alone.
            (pay("195012345", 1_240_050, None), ["Оплатите Kaspi      ", "        12 400,50 тг"]),
            (pay("", 123_456_789_012, None), ["Оплатите Kaspi      ", " 1 234 567 890,12 тг"]),
            (Face::Paid { amount: Tiyn(610_000) }, ["      Спасибо!      ", "ОПЛАЧЕНО    6 100 тг"]),
            (Face::Change { change: Tiyn(90_000) }, ["      Спасибо!      ", "СДАЧА         900 тг"]),
            (Face::Unclear, ["     Подождите      ", "  Проверяем оплату  "]),
        ];
        for (face, [upper, lower]) in faces {
            let Lines(lines) = PANEL.lines(&face, 0);
            assert_eq!(lines, [upper.to_owned(), lower.to_owned()], "{face:?}");
        }
    }

    #[test]
    fn every_sentence_fits_in_every_language() {
        for lang in Lang::ALL {
            for letters in Letters::ALL {
                let panel = Panel { lang, letters, ..PANEL };
                for tender in [Tender::KaspiTerminal, Tender::KaspiInvoice, Tender::KaspiQr, Tender::Cash] {
                    let text = letters.fold(&sentence(lang, invitation(tender), &[]));
                    assert!(text.chars().count() <= 20, "{text}");
                }
                for code in ["welcome", "due", "thanks", "paid", "change", "wait", "checking"] {
                    let text = letters.fold(&sentence(lang, &format!("display.{code}"), &[]));
                    assert!((1..=20).contains(&text.chars().count()), "{text}");
                }
                // The sum of a large table stays beside its word.
                let Lines([_, lower]) = panel.lines(&pay("1", 12_400_000, None), 0);
                assert!(!lower.starts_with(' ') && lower.contains("124 000"), "{lower}");
            }
        }
    }

    #[test]
    fn kazakh_letters_stay_legible_and_show_where_the_page_has_them() {
        let shop = Face::Idle { shop: "Қымыз әлемі".to_owned() };
        assert_eq!(PANEL.lines(&shop, 0).0[0].trim(), "Кымыз алемi");
        let kazakh = Panel { letters: Letters::Kz1048, ..PANEL };
        assert_eq!(kazakh.lines(&shop, 0).0[0].trim(), "Қымыз әлемі");
    }

    #[test]
    fn nothing_from_outside_is_a_command() {
        let evil = "A\u{1B}@\u{0C}\r\n\u{18}\u{1F}\u{85}Б🍕";
        for speech in [Speech::Cd5220, Speech::EscPos] {
            let panel = Panel { shows_link: true, speech, ..PANEL };
            let plain = panel.bytes(&panel.lines(&pay("1", 100, Some("x")), 0));
            let faces = [Face::Idle { shop: evil.to_owned() }, pay(evil, 100, None), pay("1", 100, Some(evil))];
            for face in faces {
                let bytes = panel.bytes(&panel.lines(&face, 0));
                let controls = |bytes: &[u8]| bytes.iter().filter(|byte| **byte < 0x20).copied().collect::<Vec<_>>();
                assert_eq!(controls(&bytes), controls(&plain), "{face:?}");
                assert_eq!(bytes.len(), plain.len(), "{face:?}");
            }
        }
    }

    #[test]
    fn a_link_runs_only_where_it_is_wanted() {
        let face = pay("1", 100, Some("https://pay.kaspi.kz/pay/abc123"));
        assert!(!PANEL.is_running(&face) && PANEL.lines(&face, 5) == PANEL.lines(&face, 0));
        let panel = Panel { shows_link: true, ..PANEL };
        assert!(panel.is_running(&face) && !panel.is_running(&Face::Unclear));
        assert_eq!(panel.lines(&face, 0).0[0], "https://pay.kaspi.kz");
        assert_eq!(panel.lines(&face, 8).0[0], "pay.kaspi.kz/pay/abc");
        assert_eq!(panel.lines(&face, 34 + 8), panel.lines(&face, 8));
    }
}
