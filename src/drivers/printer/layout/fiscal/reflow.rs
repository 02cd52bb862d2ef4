//! The register's own lines on paper of another width (fiscal-kz §1.8, §4.2, §4.3). What a line is, is read from its spaces: a rule, a
//! label with a figure, a centred or an indented text; it is set anew as the same thing. On paper of the register's width its lines are
//! printed unchanged. Nothing with ink is dropped, and a number, a sign or a time is never parted.

use super::super::sheet::Sheet;
use super::super::{Align, Style, wrap};
use crate::domain::fiscal::{PrintKind, PrintLine, Register};

/// Signs of a line that make it a rule where it holds nothing else.
const RULE_SIGNS_MIN: usize = 4;
/// The deepest indent of a text: what stands deeper is centred or at the right edge.
const INDENT_MAX: usize = 3;
/// Widths of registers' papers, tried where no rule tells it.
const WIDTHS: [usize; 6] = [24, 32, 36, 42, 48, 64];

/// What a line of the register is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    Blank,
    Rule(char),
    Pair { indent: usize, left: String, right: String },
    Centre(String),
    Right(String),
    Text { indent: usize, text: String },
    Code(String),
}

/// One of them, with its text as the register wrote it, and the column at which a numbered name would go on.
struct Read {
    row: Row,
    raw: String,
    hang: usize,
    is_bold: bool,
}

/// The lines of a register, read.
pub(super) struct Reading {
    columns: usize,
    rows: Vec<Read>,
}

impl Reading {
    /// Reads the lines. A picture is left out: it is the advertising of the register's office, and its form is not told (§1.8).
    pub fn of(lines: &[PrintLine]) -> Reading {
        let mut pieces: Vec<(PrintKind, String, bool)> = Vec::with_capacity(lines.len());
        for line in lines {
            match line.kind {
                PrintKind::Image => {}
                PrintKind::Qr => pieces.push((PrintKind::Qr, line.value.clone(), false)),
                PrintKind::Text => {
                    let texts = line.value.strip_suffix('\n').unwrap_or(&line.value).split('\n');
                    pieces.extend(texts.map(|text| (PrintKind::Text, plain(text), line.is_bold)));
                }
            }
        }
        let texts = || pieces.iter().filter(|(kind, _, _)| *kind == PrintKind::Text).map(|(_, text, _)| text.as_str());
        let columns = columns(texts);
        let is_rule = |(kind, text, _): &(PrintKind, String, bool)| *kind == PrintKind::Text && rule(text).is_some();
        let (first, last) = (pieces.iter().position(is_rule), pieces.iter().rposition(is_rule));
        let mut rows = Vec::with_capacity(pieces.len());
        for (place, (kind, raw, is_bold)) in pieces.into_iter().enumerate() {
            let is_edge = first.is_some_and(|first| place < first) || last.is_some_and(|last| place > last);
            let row = if kind == PrintKind::Qr { Row::Code(raw.clone()) } else { judged(&raw, columns, is_edge) };
            rows.push(Read { hang: hang(&raw), row, raw, is_bold });
        }
        Reading { columns, rows }
    }

    /// Whether any text of it has these letters, in any case.
    pub fn says(&self, words: &str) -> bool {
        self.rows.iter().any(|read| read.row.is_text() && holds(&read.raw, words))
    }

    /// Whether any of it is a text.
    pub fn has_text(&self) -> bool {
        self.rows.iter().any(|read| !read.raw.trim().is_empty() && read.row.is_text())
    }

    /// Whether the register put a code on it.
    pub fn has_code(&self) -> bool {
        self.rows.iter().any(|read| matches!(&read.row, Row::Code(code) if !code.is_empty()))
    }

    /// Puts a code above the first line below the last rule that names one of these; at the end where none does.
    pub fn put_code(&mut self, code: &str, above: &[&str]) {
        let after = self.rows.iter().rposition(|read| matches!(read.row, Row::Rule(_))).map_or(0, |last| last + 1);
        let below = self.rows.iter().skip(after).position(|read| above.iter().any(|word| holds(&read.raw, word)));
        let place = below.map_or(self.rows.len(), |below| after + below);
        self.rows.insert(place, Read { row: Row::Code(code.to_owned()), raw: String::new(), hang: 0, is_bold: false });
    }

    /// What the register broke at its own width becomes one again: a text that went on, a figure below its label.
    fn joined(self, known: &Register) -> Reading {
        let columns = self.columns;
        let mut rows: Vec<Read> = Vec::with_capacity(self.rows.len());
        for read in self.rows {
            let before = rows.last().filter(|before| before.is_bold == read.is_bold);
            let joined = before.and_then(|before| Some((join(before, &read, columns, known)?, before.hang)));
            if let Some((row, hang)) = joined {
                rows.pop();
                rows.push(Read { row, hang, ..read });
            } else {
                rows.push(read);
            }
        }
        Reading { columns, rows }
    }
}

impl Row {
    fn is_text(&self) -> bool {
        match self {
            Row::Pair { .. } | Row::Centre(_) | Row::Right(_) | Row::Text { .. } => true,
            Row::Blank | Row::Rule(_) | Row::Code(_) => false,
        }
    }
}

impl Sheet<'_> {
    /// Sets the lines of a register; `before` is called ahead of each with its text.
    pub(super) fn register_lines(&mut self, reading: Reading, known: &Register, before: impl Fn(&mut Self, &str)) {
        let is_same = reading.columns == self.profile.columns;
        let reading = if is_same { reading } else { reading.joined(known) };
        for Read { row, raw, is_bold, .. } in reading.rows {
            before(self, &raw);
            let style = if is_bold { Style::BOLD } else { Style::PLAIN };
            let folded = self.profile.fold(raw.trim_end());
            if is_same && row.is_text() && self.fits(&folded, style) {
                self.push(folded, style, Align::Left);
            } else {
                self.register_row(&row, style);
            }
        }
    }

    fn register_row(&mut self, row: &Row, style: Style) {
        match row {
            Row::Blank => self.gap(),
            Row::Rule(sign) => {
                let sign = self.profile.fold(&sign.to_string()).chars().next().unwrap_or('-');
                self.push(std::iter::repeat_n(sign, self.profile.columns).collect(), style, Align::Left);
            }
            Row::Pair { indent, left, right } => self.pair(*indent, left, right, style),
            Row::Centre(text) => self.centre(text, style),
            Row::Right(text) => self.pair(0, "", text, style),
            Row::Text { indent, text } => self.running(*indent, text, style),
            Row::Code(code) => {
                let block = crate::domain::paper::QrBlock { text: code.clone(), caption: String::new() };
                self.qr(&block, self.profile.qr);
            }
        }
    }

    /// A text at its indent, its further lines below its first letter. Where only its figure does not fit, that stands at the right below.
    fn running(&mut self, indent: usize, text: &str, style: Style) {
        let folded = self.profile.fold(text);
        let cells = self.cells(style);
        let figure = text.rsplit_once(": ").filter(|(_, value)| {
            value.starts_with(|sign: char| sign == '№' || sign.is_ascii_digit()) && wrap::is_whole(value)
        });
        let is_long = indent + super::super::width(&folded) > cells;
        if let Some((label, figure)) = figure.filter(|_| is_long) {
            return self.pair(indent, &format!("{label}:"), figure, style);
        }
        let number = text.split_once(' ').filter(|(number, _)| is_ordinal(number));
        let (mark, text) = number.map_or((String::new(), text), |(number, name)| (format!("{number} "), name));
        let mark = format!("{:indent$}{mark}", "");
        if mark.len() + wrap::longest(&folded) > cells {
            // Not beside the indent, but whole on a line of its own.
            return self.indented("", &(mark + text), style);
        }
        self.indented(&mark, text, style);
    }
}

/// The text with one kind of space.
fn plain(text: &str) -> String {
    let text: String = text.chars().map(|sign| if sign.is_whitespace() { ' ' } else { sign }).collect();
    text.trim_end().to_owned()
}

fn holds(text: &str, words: &str) -> bool {
    text.to_lowercase().contains(&words.to_lowercase())
}

/// The sign of a line that is a rule.
fn rule(text: &str) -> Option<char> {
    let text = text.trim();
    let sign = text.chars().next().filter(|sign| "-=_*~.–—─═".contains(*sign))?;
    let is_rule = text.chars().count() >= RULE_SIGNS_MIN && text.chars().all(|other| other == sign);
    is_rule.then_some(sign)
}

/// The width that lines were made for: that of their rules, else the least known one that holds all of them.
fn columns<'t, T: Iterator<Item = &'t str>>(texts: impl Fn() -> T) -> usize {
    let widest = |text: Option<usize>| text.unwrap_or(0);
    let ruled = widest(texts().filter(|text| rule(text).is_some()).map(|text| text.trim().chars().count()).max());
    let longest = widest(texts().map(|text| text.chars().count()).max());
    let known = WIDTHS.into_iter().find(|width| *width >= longest).unwrap_or(longest);
    if ruled > 0 { ruled } else { known }
}

/// What a line is, from its spaces.
fn judged(raw: &str, columns: usize, is_edge: bool) -> Row {
    let text = raw.trim();
    if text.is_empty() {
        return Row::Blank;
    }
    if let Some(sign) = rule(text) {
        return Row::Rule(sign);
    }
    let (lead, full) = (lead(raw), raw.chars().count());
    let is_flush = full == columns || full + 1 == columns;
    let middle = columns.saturating_sub(text.chars().count()) / 2;
    if let Some((left, right)) = parts(text, is_flush).filter(|_| lead <= INDENT_MAX || is_flush) {
        return Row::Pair { indent: lead.min(INDENT_MAX), left: left.to_owned(), right: right.to_owned() };
    }
    let is_middle = lead.abs_diff(middle) <= 1;
    let starts_figure = text.starts_with(|sign: char| sign.is_ascii_digit());
    if is_middle && lead > INDENT_MAX
        || is_middle && lead > 0 && !starts_figure
        || is_edge && lead == 0 && full + 1 >= columns
    {
        return Row::Centre(text.to_owned());
    }
    if is_flush && lead > INDENT_MAX {
        return Row::Right(text.to_owned());
    }
    Row::Text { indent: lead.min(INDENT_MAX), text: text.to_owned() }
}

/// A label and what stands at the right of it: behind a gap, or behind a colon where the line is full.
fn parts(text: &str, is_flush: bool) -> Option<(&str, &str)> {
    let gap = text.rmatch_indices("  ").next().map(|(at, _)| at);
    let wide = gap.and_then(|at| Some((text.get(..at)?.trim_end(), text.get(at..)?.trim_start())));
    let close = || text.rsplit_once(": ").filter(|(_, right)| is_flush && is_sum(right));
    match wide.filter(|(left, right)| !left.is_empty() && (is_flush || is_figure(right))) {
        Some(found) => Some(found),
        None => close().and_then(|(left, right)| Some((text.get(..left.len() + 1)?, right))),
    }
}

/// A figure and nothing else: `4 800,00`, `№28`, `-71,00`, `13:05:18`.
fn is_figure(text: &str) -> bool {
    text.contains(|sign: char| sign.is_ascii_digit())
        && text.chars().all(|sign| sign.is_ascii_digit() || " .,:+-№%₸/".contains(sign))
}

/// A sum with its two decimals.
fn is_sum(text: &str) -> bool {
    let decimals = text.rsplit_once([',', '.']).map(|(_, decimals)| decimals);
    is_figure(text) && decimals.is_some_and(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `1.` before a name.
fn is_ordinal(word: &str) -> bool {
    word.strip_suffix('.').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The column at which the name behind a number goes on; 0 without a number.
fn hang(raw: &str) -> usize {
    let number = raw.trim_start().split(' ').next().filter(|word| is_ordinal(word));
    number.map_or(0, |number| lead(raw) + number.len() + 1)
}

fn lead(raw: &str) -> usize {
    raw.chars().take_while(|sign| *sign == ' ').count()
}

/// The row that two rows make, where the second one stands below only because it did not fit.
fn join(before: &Read, next: &Read, columns: usize, known: &Register) -> Option<Row> {
    let text = next.raw.trim();
    let first = text.split(' ').next().unwrap_or_default();
    let margin = if matches!(before.row, Row::Centre(_)) { lead(&before.raw) } else { 0 };
    let used = before.raw.chars().count() - margin;
    let had_no_room = |what: &str| used + 1 + what.chars().count() > columns;
    let requisites = [&known.taxpayer, &known.address, &known.address_kz, &known.operator, &known.operator_kz];
    let is_requisite =
        requisites.iter().any(|one| !one.is_empty() && (one.starts_with(text) || text.starts_with(*one)));
    let is_below = before.hang > 0 && lead(&next.raw) == before.hang;
    let goes_on = is_below || text.starts_with(|sign: char| sign.is_lowercase() || sign == '(');
    let goes_on = goes_on && !is_requisite && had_no_room(first);
    let is_value = before.raw.ends_with(':') && is_figure(text) && had_no_room(text);
    match (&before.row, &next.row) {
        (Row::Text { indent, text: left }, Row::Text { .. } | Row::Right(_)) if is_sum(text) && had_no_room(text) => {
            Some(Row::Pair { indent: *indent, left: left.clone(), right: text.to_owned() })
        }
        (Row::Text { indent, text: left }, Row::Text { .. }) if goes_on || is_value => {
            Some(Row::Text { indent: *indent, text: format!("{left} {text}") })
        }
        (Row::Text { indent, text: left }, Row::Centre(_) | Row::Right(_)) if goes_on && is_below => {
            Some(Row::Text { indent: *indent, text: format!("{left} {text}") })
        }
        (Row::Centre(left), Row::Centre(_)) if goes_on || is_value => Some(Row::Centre(format!("{left} {text}"))),
        (
            Row::Blank
            | Row::Rule(_)
            | Row::Pair { .. }
            | Row::Centre(_)
            | Row::Right(_)
            | Row::Text { .. }
            | Row::Code(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::printer::layout::{Item, text};
    use crate::drivers::printer::{Letters, Profile};

    /// What a printer of so many columns makes of lines; a bold one begins with `*`.
    fn set(lines: &str, columns: usize) -> String {
        let line = |text: &str| {
            let (is_bold, text) = text.strip_prefix('*').map_or((false, text), |text| (true, text));
            PrintLine { kind: PrintKind::Text, value: text.to_owned(), is_bold }
        };
        let lines: Vec<PrintLine> = lines.lines().map(line).collect();
        let profile = Profile { columns, dots: columns * 12, ..Profile::wide(Letters::Kz1048) };
        let mut sheet = Sheet::new(&profile);
        let known = Register {
            address: "г. Алматы, ул. Родниковая, д. 12".to_owned(), ..Register::default()
        };
        sheet.register_lines(Reading::of(&lines), &known, |_, _| {});
        let bold = |item: &Item| matches!(item, Item::Line(line) if line.style == Style::BOLD);
        let mark = |(item, row): (&Item, &str)| format!("{}{row}\n", if bold(item) { "*" } else { "" });
        sheet.items.iter().zip(text(&sheet.items, columns).lines()).map(mark).collect()
    }

    fn lines(rows: &[&str]) -> String {
        rows.iter().map(|row| format!("{row}\n")).collect()
    }

    #[test]
    fn lines_of_this_width_are_unchanged() {
        let told = lines(&[
            "         ЖШС/ТОО \"Бақ\"",
            "------------------------------------",
            "САТУ/ПРОДАЖА                     №28",
            "Мобильді төлем/Мобильный платеж:",
            "4\u{A0}000,00",
            "",
            "*БАРЛЫҒЫ/ИТОГО:              6\u{A0}270,00",
        ]);
        assert_eq!(set(&told, 36), told.replace('\u{A0}', " "));
    }

    #[test]
    fn what_a_narrow_register_broke_is_one_again() {
        let told = lines(&[
            "------------------------------------",
            "  1. Бешбармақ, үлкен",
            "     компанияға/Бешбармак на большую",
            "     Компанию",
            "   2 дана/шт x 2\u{A0}400,00",
            "Мобильді төлем/Мобильный платеж:",
            "4\u{A0}000,00",
            "*БАРЛЫҒЫ/ИТОГО:              6\u{A0}270,00",
            "Алматы қаласы, Бұлақ көшесі, 12 үй",
            "г. Алматы, ул. Родниковая, д. 12",
            "Чекті тексеру үшін сайтқа",
            "кіріңіз/Для проверки чека зайдите на",
            "сайт: ofd.example",
            "====================================",
            "   МКК БКМ коды (КТН)/Код ККМ КГД",
            "        (РНМ): 600700000417",
        ]);
        let wide = [
            "------------------------------------------------",
            "  1. Бешбармақ, үлкен компанияға/Бешбармак на",
            "     большую Компанию",
            "   2 дана/шт x 2 400,00",
            "Мобильді төлем/Мобильный платеж:        4 000,00",
            "*БАРЛЫҒЫ/ИТОГО:                          6 270,00",
            "Алматы қаласы, Бұлақ көшесі, 12 үй",
            "г. Алматы, ул. Родниковая, д. 12",
            "Чекті тексеру үшін сайтқа кіріңіз/Для проверки",
            "чека зайдите на сайт: ofd.example",
            "================================================",
            "     МКК БКМ коды (КТН)/Код ККМ КГД (РНМ):",
            "                  600700000417",
        ];
        assert_eq!(set(&told, 48), lines(&wide));
    }

    #[test]
    fn a_wide_form_becomes_narrow() {
        let told = lines(&[
            "              БСН/БИН 111222333444",
            "ҚҚС Сериясы/НДС Серия 00000             №0000417",
            "------------------------------------------------",
            "  1. Лағман үйғырша, өте ащы/Лагман уйгурский",
            "   1 бір қызмет/одн.усл. x 380,00",
            "   Жеңілдік/Скидка                        -71,00",
            "Қызмет көрсету/Обслуживание зала 10%      570,00",
            "*БАРЛЫҒЫ/ИТОГО:                         6 270,00",
            "соның ішінде ҚҚС/в т.ч. НДС 16%:          864,83",
            "------------------------------------------------",
            "ФБ/ФП: 2150417004417",
            "Уақыты/Время: 21.11.2026 13:05:18",
            "------------------------------------------------",
            "*          ФИСКАЛДЫ ЧЕК/ФИСКАЛЬНЫЙ ЧЕК",
            "     МКК БКМ коды (КТН)/Код ККМ КГД (РНМ):",
            "                  600700000417",
        ]);
        let narrow = [
            "      БСН/БИН 111222333444",
            "ҚҚС Сериясы/НДС Серия 00000",
            "                        №0000417",
            "--------------------------------",
            "  1. Лағман үйғырша, өте",
            "     ащы/Лагман уйгурский",
            "   1 бір қызмет/одн.усл.",
            "   x 380,00",
            "   Жеңілдік/Скидка        -71,00",
            "Қызмет көрсету/Обслуживание зала",
            "10%                       570,00",
            "*БАРЛЫҒЫ/ИТОГО:          6 270,00",
            "соның ішінде ҚҚС/в т.ч. НДС 16%:",
            "                          864,83",
            "--------------------------------",
            "ФБ/ФП: 2150417004417",
            "Уақыты/Время:",
            "             21.11.2026 13:05:18",
            "--------------------------------",
            "*  ФИСКАЛДЫ ЧЕК/ФИСКАЛЬНЫЙ ЧЕК",
            " МКК БКМ коды (КТН)/Код ККМ КГД",
            "      (РНМ): 600700000417",
        ];
        assert_eq!(set(&told, 32), lines(&narrow));
    }

    #[test]
    fn pictures_are_left_out_and_a_missing_code_stands_above_the_numbers() {
        let line = |kind, value: &str| PrintLine { kind, value: value.to_owned(), is_bold: false };
        let mut told = vec![
            line(PrintKind::Image, "data:image/png;base64,AAAA"),
            line(PrintKind::Text, "----------------"),
            line(PrintKind::Text, "ФИСКАЛЬНЫЙ ЧЕК"),
            line(PrintKind::Text, "КСН/ИНК: 1"),
        ];
        let mut reading = Reading::of(&told);
        assert!(reading.has_text() && !reading.has_code());
        reading.put_code("code", &["ИНК", "РНМ"]);
        let rows: Vec<&Row> = reading.rows.iter().map(|read| &read.row).collect();
        assert!(rows.len() == 4 && *rows[2] == Row::Code("code".to_owned()), "{rows:?}");
        told.pop();
        let mut reading = Reading::of(&told);
        reading.put_code("code", &["ИНК", "РНМ"]);
        assert_eq!(reading.rows.last().map(|read| &read.row), Some(&Row::Code("code".to_owned())));
        assert!(!Reading::of(&told[..1]).has_text());
    }
}
