//! Letters on paper: any text in any field, in every way of printing, read back from the bytes by a strict reader of our own that knows the
//! reference (escpos §2) and nothing of the encoder; broken jobs and the bytes that heal them; the cost of Kazakh on a slow line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use futures_util::future::BoxFuture;
use kassad::config::Config;
use kassad::domain::fiscal::{
    Basis, Bill, Ever, Moved, PayKind, Payment, Position, PrintKind, PrintLine, Register, Registered, ShiftReport,
    Side, Turnover, Vat,
};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line as Dish, Milli};
use kassad::domain::outcome::Reason;
use kassad::domain::paper::{
    CashSlip, Document, FiscalNotice, FiscalReceipt, Imprint, PaymentLine, QrBlock, Receipt, RefundSlip, Report,
    ReportKind, ReportRow, ShiftPaper, Slip, TestSlip, Ticket, TicketKind, TicketLine,
};
use kassad::drivers::printer::font;
use kassad::drivers::printer::layout::{self, Align, Item, Style};
use kassad::drivers::printer::{
    Buzzer, Cut, Drawer, Face, Letters, Profile, QrForm, StatusAbilities, Way, recovery, render, samples,
};
use kassad::drivers::{BadSetup, Vault};
use kassad::host::clock::Clock;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const FIRST: Imprint = Imprint { job: 42, copy: 1, instead_of: None };

// ---- a strict reader

/// What stood in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    /// A character of the page.
    Page(char),
    /// A letter of our own: its rows.
    Own(Vec<u16>),
}

/// What came of a job.
#[derive(Debug, Default)]
struct Read {
    /// Rows of cells that ended with a feed.
    rows: Vec<Vec<Cell>>,
    /// Pictures: bytes across, rows, dots.
    pictures: Vec<(usize, usize, Vec<u8>)>,
    /// Native QR codes.
    codes: usize,
    /// Whether the last thing was the start of the printer.
    is_fresh: bool,
    /// What a printer would garble.
    faults: Vec<String>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    face: Face,
    letters: Letters,
    own: bool,
    defined: Vec<Option<Vec<u16>>>,
    row: Vec<Cell>,
    read: Read,
}

/// Reads a job; pages are told by their usual number. Bytes that end inside a command are a fault.
fn read(bytes: &[u8]) -> Read {
    let (face, letters) = (Face::A, Letters::Pc866);
    let (defined, row, read) = (vec![None; 128], Vec::new(), Read::default());
    let mut reader = Reader { bytes, at: 0, face, letters, own: false, defined, row, read };
    while reader.at < bytes.len() {
        if reader.step().is_none() {
            reader.read.faults.push("the job ends inside a command".to_owned());
            break;
        }
    }
    reader.read
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        self.at += 1;
        self.bytes.get(self.at - 1).copied()
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        self.at += count;
        self.bytes.get(self.at - count..self.at)
    }

    fn length(&mut self) -> Option<usize> {
        Some(usize::from(self.next()?) + 256 * usize::from(self.next()?))
    }

    fn step(&mut self) -> Option<()> {
        let byte = self.next()?;
        let was_fresh = std::mem::take(&mut self.read.is_fresh);
        match byte {
            0x00 => self.read.is_fresh = was_fresh,
            0x0A => {
                if self.own {
                    self.fault("a row ends in our own letters");
                }
                self.read.rows.push(std::mem::take(&mut self.row));
            }
            0x1B => self.escape()?,
            0x1C => {
                if self.next()? != 0x2E {
                    self.fault("an unknown FS command");
                }
            }
            0x1D => self.group()?,
            0x20..=0x7E | 0x80.. => self.cell(byte),
            _ => self.fault(&format!("control byte {byte:02X}")),
        }
        Some(())
    }

    fn cell(&mut self, byte: u8) {
        let own = if self.own && byte < 0x80 { self.defined[usize::from(byte)].clone() } else { None };
        match (own, self.letters.decode(byte)) {
            (Some(rows), _) => self.row.push(Cell::Own(rows)),
            (None, _) if self.own && byte < 0x80 => self.fault("a code of our own that is not defined"),
            (None, Some(letter)) => self.row.push(Cell::Page(letter)),
            (None, None) => self.fault("no letter of the page"),
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            0x40 => {
                (self.face, self.own, self.row) = (Face::A, false, Vec::new());
                self.defined.fill(None);
                self.read.is_fresh = true;
            }
            0x74 => {
                let page = self.next()?;
                let known = Letters::ALL.into_iter().find(|letters| letters.usual_page() == page);
                self.letters = known.unwrap_or(self.letters);
            }
            0x4D => self.face = if self.next()? == 1 { Face::B } else { Face::A },
            0x25 => self.own = self.next()? == 1,
            0x26 => self.define()?,
            0x32 => {}
            0x33 | 0x45 | 0x61 | 0x64 | 0x4A => _ = self.next()?,
            0x42 => _ = self.take(2)?,
            other => self.fault(&format!("ESC {other:02X}")),
        }
        Some(())
    }

    fn define(&mut self) -> Option<()> {
        let &[deep, from, until, width] = self.take(4)? else { return None };
        let (cell, height) = font::cell(self.face);
        if deep != 3 || from != until || !(0x21..=0x7E).contains(&from) || usize::from(width) != cell {
            self.fault("a strange definition");
        }
        let columns: Vec<u32> = self
            .take(3 * usize::from(width))?
            .chunks(3)
            .map(|column| column.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)))
            .collect();
        let rows =
            (0..height).map(|y| columns.iter().fold(0u16, |row, column| row << 1 | (column >> (23 - y) & 1) as u16));
        self.defined[usize::from(from)] = Some(rows.collect());
        Some(())
    }

    fn group(&mut self) -> Option<()> {
        match self.next()? {
            0x21 | 0x42 | 0x61 => _ = self.next()?,
            0x56 => _ = self.take(2)?,
            0x28 => {
                self.next()?;
                let length = self.length()?;
                let data = self.take(length)?;
                self.read.codes += usize::from(data.starts_with(&[0x31, 0x51, 0x30]));
            }
            0x76 => {
                self.take(2)?;
                let (across, rows) = (self.length()?, self.length()?);
                if !self.row.is_empty() || rows > 48 {
                    self.fault("a picture inside a row, or a tall one");
                }
                let dots = self.take(across * rows)?.to_vec();
                self.read.pictures.push((across, rows, dots));
            }
            other => self.fault(&format!("GS {other:02X}")),
        }
        Some(())
    }

    fn fault(&mut self, what: &str) {
        self.read.faults.push(format!("{what} before byte {}", self.at));
    }
}

fn holds_no_request(bytes: &[u8]) -> bool {
    !bytes.windows(2).any(|pair| pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14))
}

fn rows_of(letter: char, face: Face) -> Vec<u16> {
    match face {
        Face::A => font::glyph(letter).unwrap().into(),
        Face::B => font::small_glyph(letter).unwrap().into(),
    }
}

/// The letter that a cell shows, where the dots of a letter of our own are those of the font; a request in the dots costs one of them.
fn shows(cell: &Cell, letter: char, face: Face) -> bool {
    match cell {
        Cell::Page(shown) => *shown == letter,
        Cell::Own(rows) => {
            let wrong = rows.iter().zip(rows_of(letter, face)).map(|(left, right)| (left ^ right).count_ones());
            wrong.sum::<u32>() <= 1
        }
    }
}

// ---- any text

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\x00-\\x1F\\x7F-\\x9FА-яӘә₸0-9 ,.]{0,80}",
        "[ӘәҒғҚқҢңӨөҰұҮүҺһІіЁё₸№«»–—a-z0-9/ ]{0,60}",
        "(👩\u{200D}🍳|❤\u{FE0F}|e\u{301}|и\u{306}|\u{202E}|\u{1F1F0}\u{1F1FF}|漢字|ش){0,12}",
    ]
}

fn any_document() -> impl Strategy<Value = Document> {
    let texts = proptest::collection::vec(hostile(), 8);
    (texts, any::<i64>(), any::<i64>(), 0..15u8)
        .prop_map(|(texts, quantity, sum, kind)| document(&texts, quantity, sum, kind))
}

fn document(texts: &[String], quantity: i64, sum: i64, kind: u8) -> Document {
    let text = |place: usize| texts[place].clone();
    let (quantity, sum) = (Milli(quantity), Tiyn(sum));
    let payment = PaymentLine { label: text(2), amount: sum, transaction: text(3), tendered: Some(Tiyn(i64::MAX)) };
    let kind = match kind {
        0 => TicketKind::New,
        1 => TicketKind::Addition,
        2 => TicketKind::Cancel,
        3 => {
            return Document::Refund(RefundSlip {
                shop: text(0),
                order_number: text(1),
                table: text(2),
                amount: sum,
                label: text(3),
                transaction: text(4),
                payment: text(5),
                by: text(6),
                because: text(7),
                at: text(0),
                reference: text(1),
            });
        }
        4 => {
            let (shop, order_number, at, reference) = (text(0), text(1), text(4), text(5));
            return Document::Slip(Slip { shop, order_number, payment, text: vec![text(6), text(7)], at, reference });
        }
        5 | 6 => {
            return Document::Report(Report {
                kind: if kind == 5 { ReportKind::X } else { ReportKind::Z },
                shop: text(0),
                shift: text(1),
                period: (text(2), text(3)),
                rows: vec![ReportRow { russian: text(4), kazakh: text(5), count: u64::MAX, sum }],
                total: sum,
                at: text(6),
            });
        }
        7 => return Document::Test(TestSlip { shop: text(0), printer: text(1), at: text(2) }),
        8..=13 => return register_paper(texts, sum, kind, payment),
        _ => {
            let line = Dish {
                key: text(0),
                name: text(0),
                modifiers: vec![text(1)],
                quantity,
                sum,
                workshop: None,
                comment: text(2),
                unit: None,
                vat: None,
            };
            return Document::Receipt(Receipt {
                shop: text(4),
                order_number: text(5),
                table: text(6),
                waiter: text(7),
                lines: vec![line],
                total: sum,
                payments: vec![payment],
                paid_at: text(0),
                reference: text(1),
                qr: Some(QrBlock { text: text(2), caption: text(3) }),
                issuer: text(6),
            });
        }
    };
    Document::Ticket(Ticket {
        station: text(3),
        order_number: text(4),
        table: text(5),
        waiter: text(6),
        kind,
        sequence: (1, u32::MAX),
        lines: vec![TicketLine { quantity, name: text(0), modifiers: vec![text(1)], comment: text(2) }],
        comment: text(7),
        at: text(0),
    })
}

/// A paper of a register: a receipt with lines and without, a notice, a report, a cash move.
fn register_paper(texts: &[String], sum: Tiyn, kind: u8, payment: PaymentLine) -> Document {
    let text = |place: usize| texts[place].clone();
    let register = Register {
        taxpayer: text(0),
        bin: text(1),
        serial: text(2),
        registration: text(3),
        identity: text(4),
        address: text(5),
        address_kz: text(6),
        operator: text(7),
        operator_kz: text(0),
        site: text(1),
        cashier: text(2),
    };
    let (shop, order_number, table, reference, at) = (text(0), text(1), text(2), text(3), text(4));
    match kind {
        8..=10 => {
            // A register takes no bill above the limits of a sum.
            let total = Tiyn(sum.0 % 1_000_000_000_000);
            let (quantity, discount, markup) = (Milli::ONE, Tiyn(1), Tiyn(1));
            let name = text(5);
            let position = Position { name, quantity, unit: 796, price: total, discount, markup, vat: Vat(Some(16)) };
            let bill = Bill {
                side: if kind == 8 { Side::Sale } else { Side::Return },
                order_number: text(6),
                positions: vec![position],
                modifiers: Vec::new(),
                payments: vec![Payment { kind: PayKind::Card, sum: total }],
                change: Tiyn(1),
                total,
            };
            let line = |(place, value): (usize, &String)| PrintLine {
                kind: [PrintKind::Text, PrintKind::Text, PrintKind::Image, PrintKind::Qr][place % 4],
                value: value.clone(),
                is_bold: place % 2 == 1,
            };
            let lines = if kind == 8 { Vec::new() } else { texts.iter().enumerate().map(line).collect() };
            let registered = Registered {
                sign: text(7),
                number: 28,
                shift: 154,
                at: text(0),
                total: None,
                is_autonomous: true,
                is_register_autonomous: true,
                qr: text(5),
                register,
                lines,
            };
            let (sign, registration) = (text(1), text(2));
            let basis = Basis { sign, at: text(3), registration, total: sum, is_autonomous: true };
            let (basis, evidence, paid_at, is_test) = (Some(basis), vec![payment], text(6), kind == 10);
            let receipt = FiscalReceipt {
                shop,
                order_number,
                table,
                bill,
                registered,
                basis,
                evidence,
                paid_at,
                reference,
                is_test,
            };
            Document::Fiscal(Box::new(receipt))
        }
        11 => {
            let line = Dish {
                key: text(5),
                name: text(5),
                modifiers: vec![text(6)],
                quantity: Milli(sum.0),
                sum,
                workshop: None,
                comment: String::new(),
                unit: None,
                vat: None,
            };
            Document::Notice(FiscalNotice {
                shop,
                order_number,
                table,
                side: if sum.0 % 2 == 0 { Side::Sale } else { Side::Return },
                lines: vec![line],
                total: sum,
                payments: vec![payment],
                at,
                number: sum.0,
                contact: text(7),
                reference,
                is_test: true,
            })
        }
        12 => {
            let turnover = Turnover {
                count: u64::MAX,
                taken: sum,
                change: Tiyn(i64::MIN),
                vat: sum,
                payments: vec![Payment { kind: PayKind::Mobile, sum }],
                ..Turnover::default()
            };
            let ever = Ever { sales: sum, purchases: sum, sale_returns: sum, purchase_returns: sum };
            let report = ShiftReport {
                kind: ReportKind::Z,
                register,
                shift: u64::MAX,
                number: u64::MAX,
                documents: u64::MAX,
                opened: text(5),
                made: text(6),
                closed: text(7),
                sales: turnover.clone(),
                purchases: Turnover::default(),
                sale_returns: turnover,
                purchase_returns: Turnover::default(),
                put_in: sum,
                taken_out: sum,
                in_drawer: sum,
                at_start: ever,
                at_end: ever,
                control: text(0),
                is_autonomous: true,
            };
            Document::Shift(Box::new(ShiftPaper { shop, report, is_test: true }))
        }
        _ => {
            let moved = Moved { shift: 1, at: text(5), in_drawer: Some(sum), is_autonomous: true, register };
            let (by, because, moved) = (text(6), text(7), Some(moved));
            Document::Cash(CashSlip { shop, is_in: sum.0 > 0, amount: sum, by, because, moved, at, is_test: true })
        }
    }
}

/// A line as a register may send it, and what on it may never be parted.
fn register_line() -> impl Strategy<Value = (String, Option<String>)> {
    let figures = prop_oneof![
        "-?[0-9]{1,3}(\u{A0}[0-9]{3}){0,2},[0-9]{2}",
        "№[0-9]{1,13}",
        "[0-9]{9,13}",
        "[0-3][0-9]\\.1[0-2]\\.20[0-9]{2} [0-2][0-9]:[0-5][0-9]:[0-5][0-9]",
    ];
    let label = "[ ]{0,30}[ӘәҚқІіА-Яа-я№/.:-]{1,20}( [ӘәҚқІіА-Яа-я/]{1,12}){0,4}:?";
    prop_oneof![
        4 => (label, 1..40usize, figures).prop_map(|(label, gap, figure)| {
            (format!("{label}{:gap$}{figure}", ""), Some(figure.replace('\u{A0}', " ")))
        }),
        1 => label.prop_map(|text| (text, None)),
        1 => " {0,3}[0-9]{1,2}\\. [А-Яа-я0-9/,]{0,20}( [А-Яа-я0-9/,]{1,20}){0,4}".prop_map(|text| (text, None)),
        1 => prop_oneof!["-{4,100}", "={4,48}", " {0,60}"].prop_map(|text| (text, None)),
        2 => hostile().prop_map(|text| (text.chars().take(100).collect(), None)),
    ]
}

/// What a printer makes of a register's lines alone.
fn register_rows(lines: Vec<PrintLine>, profile: &Profile) -> Vec<String> {
    let Document::Fiscal(mut receipt) = sample("fiscal-sale") else { unreachable!() };
    (receipt.registered.sign, receipt.registered.qr) = (String::new(), String::new());
    receipt.registered.register = Register::default();
    let mut rows = |lines| {
        receipt.registered.lines = lines;
        let items = layout::layout(&Document::Fiscal(receipt.clone()), &FIRST, profile);
        let text = |item: Item| if let Item::Line(line) = item { line.text } else { panic!("no line") };
        items.into_iter().map(text).collect::<Vec<_>>()
    };
    let mark = PrintLine { kind: PrintKind::Text, value: "@@".to_owned(), is_bold: false };
    let around = rows(vec![mark]);
    let head = around.iter().position(|row| row.contains("@@")).unwrap();
    let mut rows = rows(lines);
    rows.truncate(rows.len() - (around.len() - head - 1));
    rows.split_off(head)
}

fn is_rule(text: &str) -> bool {
    let text = text.trim();
    let first = text.chars().next().filter(|sign| "-=_*~.–—─═".contains(*sign));
    text.chars().count() >= 4 && text.chars().all(|sign| Some(sign) == first)
}

fn ink<'t>(rows: impl Iterator<Item = &'t str>) -> String {
    rows.filter(|row| !is_rule(row)).flat_map(str::chars).filter(|sign| *sign != ' ').collect()
}

fn digit_runs(text: &str) -> Vec<&str> {
    text.split(|sign: char| !sign.is_ascii_digit()).filter(|run| !run.is_empty()).collect()
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let ways = prop_oneof![Just(Way::Page), Just(Way::Defined), Just(Way::Raster)];
    let widths = prop_oneof![
        Just((576, Face::A, 48)),
        Just((576, Face::B, 64)),
        Just((512, Face::A, 42)),
        Just((512, Face::B, 56)),
        Just((384, Face::A, 32)),
        Just((384, Face::B, 42)),
        Just((288, Face::A, 24)),
    ];
    (0..4usize, ways, widths, any::<bool>()).prop_map(|(letters, way, (dots, face, columns), native)| Profile {
        dots,
        face,
        columns,
        way,
        qr: if native { QrForm::Native } else { QrForm::Raster },
        ..Profile::wide(Letters::ALL[letters])
    })
}

fn has_ink(letter: char) -> bool {
    let is_invisible = matches!(letter, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}');
    !letter.is_whitespace() && !letter.is_control() && !is_invisible
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_keeps_the_columns_and_comes_out_as_laid_out(
        document in any_document(), profile in any_profile(), elsewhere in hostile(),
    ) {
        let imprint = Imprint { copy: 2, instead_of: Some(elsewhere), ..FIRST };
        let items = layout::layout(&document, &imprint, &profile);
        let mut expected = Vec::new();
        for item in &items {
            if let Item::Line(line) | Item::Sample(_, line) = item {
                prop_assert!(line.text.chars().count() <= line.style.cells(profile.columns), "{line:?}");
                expected.push(line.text.clone());
            }
            if let Item::Line(line) = item {
                prop_assert!(line.text.chars().all(|letter| profile.prints(letter)), "{line:?}");
            }
        }
        let bytes = render(&document, &imprint, &profile);
        prop_assert!(holds_no_request(&bytes));
        let read = read(&bytes);
        prop_assert_eq!(&read.faults, &Vec::<String>::new());
        prop_assert!(read.pictures.iter().all(|(across, _, _)| across * 8 < profile.dots + 8));
        // The slip with foreign pages is told apart by people, pictures by their dots.
        if profile.way != Way::Raster && !matches!(document, Document::Test(_)) {
            prop_assert_eq!(read.rows.len(), expected.len());
            for (row, text) in read.rows.iter().zip(&expected) {
                prop_assert_eq!(row.len(), text.chars().count());
                for (cell, letter) in row.iter().zip(text.chars()) {
                    // More letters than codes: the rest is shown as unknown.
                    let is_replaced = *cell == Cell::Page('?') && profile.letters.encode(letter).is_none();
                    prop_assert!(shows(cell, letter, profile.face) || is_replaced, "{letter} as {cell:?}");
                }
            }
        }
    }

    #[test]
    fn any_lines_of_a_register_fit_and_lose_no_ink_and_no_number_is_parted(
        lines in proptest::collection::vec((register_line(), any::<bool>()), 1..12), profile in any_profile(),
    ) {
        let spaced = |text: &str| -> String {
            text.chars().map(|sign| if sign.is_whitespace() { ' ' } else { sign }).collect()
        };
        let told: Vec<String> = lines.iter().flat_map(|((text, _), _)| text.split('\n')).map(spaced).collect();
        let print = |((value, _), is_bold): &((String, _), bool)| {
            PrintLine { kind: PrintKind::Text, value: value.clone(), is_bold: *is_bold }
        };
        prop_assume!(told.iter().any(|text| !text.trim().is_empty() && !is_rule(text)));
        let rows = register_rows(lines.iter().map(print).collect(), &profile);
        prop_assert!(rows.iter().all(|row| row.chars().count() <= profile.columns), "{rows:?}");
        let folded: Vec<String> =
            told.iter().filter(|text| !is_rule(text)).map(|text| profile.fold(text)).collect();
        prop_assert_eq!(ink(rows.iter().map(String::as_str)), ink(folded.iter().map(String::as_str)), "{:?}", rows);
        for figure in lines.iter().filter_map(|((_, figure), _)| figure.as_ref()) {
            let figure = profile.fold(figure);
            prop_assert!(rows.iter().any(|row| row.contains(&figure)), "{figure} is parted: {rows:?}");
        }
        let (folded, rows) = (folded.join(" "), rows.join(" "));
        let runs = digit_runs(&folded);
        if runs.iter().all(|run| run.len() <= 12) {
            prop_assert_eq!(digit_runs(&rows), runs);
        }
    }

    #[test]
    fn nothing_with_ink_is_dropped_and_what_prints_stays(text in hostile(), profile in any_profile()) {
        let folded = profile.fold(&text);
        prop_assert!(folded.chars().all(|letter| profile.prints(letter)), "{folded:?}");
        prop_assert!(folded.chars().any(has_ink) || !text.chars().any(has_ink), "{folded:?}");
        let mut rest = folded.chars();
        let is_mark = |letter: &char| matches!(letter, '\u{300}'..='\u{36F}');
        if !text.chars().any(|letter| is_mark(&letter)) {
            for letter in text.chars().filter(|letter| profile.prints(*letter)) {
                prop_assert!(rest.any(|kept| kept == letter), "{letter} is gone: {folded:?}");
            }
        }
    }
}

#[test]
fn more_letters_than_codes_are_shown_as_unknown() {
    let profile = Profile { way: Way::Defined, ..Profile::wide(Letters::Pc866) };
    let text: String = ('\u{A1}'..='\u{17F}').filter(|letter| font::has(*letter)).chain("Қазақ ₸".chars()).collect();
    let Document::Receipt(mut receipt) = sample("receipt") else { unreachable!() };
    (receipt.shop, receipt.qr) = (text, None);
    let read = read(&render(&Document::Receipt(receipt), &FIRST, &profile));
    assert_eq!(read.faults, Vec::<String>::new());
    let cells: Vec<&Cell> = read.rows.iter().flatten().collect();
    assert!(cells.iter().filter(|cell| **cell == &Cell::Page('?')).count() > 50);
    // The Kazakh letters went first.
    assert!(cells.iter().any(|cell| **cell == Cell::Own(rows_of('Қ', Face::A))));
    assert!(cells.iter().any(|cell| **cell == Cell::Own(rows_of('₸', Face::A))));
}

// ---- every way

fn sample(name: &str) -> Document {
    samples().into_iter().find(|(known, _)| known == name).unwrap().1
}

fn ways() -> Vec<Profile> {
    let mut all = Vec::new();
    for profile in [Profile::wide(Letters::Pc866), Profile::narrow(Letters::Pc866)] {
        for way in [Way::Page, Way::Defined, Way::Raster] {
            let cell = font::cell(Face::B).0;
            all.push(Profile { way, ..profile.clone() });
            all.push(Profile { way, face: Face::B, columns: profile.dots / cell, ..profile.clone() });
        }
    }
    all
}

#[test]
fn every_document_prints_in_every_way() {
    let mut pictures = 0;
    for profile in ways() {
        for (name, document) in samples() {
            let bytes = render(&document, &FIRST, &profile);
            let read = read(&bytes);
            assert_eq!(read.faults, Vec::<String>::new(), "{name}");
            assert!(holds_no_request(&bytes), "{name}");
            assert_eq!(read.codes, usize::from(name == "test"), "{name}");
            pictures += read.pictures.len();
        }
    }
    assert!(pictures > 500, "{pictures}");
}

/// Whether a cell of a plain line in a picture is the glyph of a letter; a request in the dots costs one of them.
fn is_drawn(picture: &(usize, usize, Vec<u8>), cell: usize, letter: char, face: Face) -> bool {
    let (across, _, dots) = picture;
    let (width, _) = font::cell(face);
    let is_ink = |x: usize, y: usize| dots[y * across + x / 8] & (0x80 >> (x % 8)) != 0;
    let wrong = rows_of(letter, face).into_iter().enumerate().map(|(y, row)| {
        (0..width).filter(|x| is_ink(cell * width + x, y) != (row >> (width - 1 - x) & 1 == 1)).count()
    });
    wrong.sum::<usize>() <= 1
}

#[test]
fn a_picture_shows_the_text_letter_by_letter() {
    let mut cells = 0;
    for profile in ways().into_iter().filter(|profile| profile.way == Way::Raster) {
        for (name, document) in samples().into_iter().filter(|(name, _)| name != "test") {
            let mut pictures = read(&render(&document, &FIRST, &profile)).pictures.into_iter();
            for item in layout::layout(&document, &FIRST, &profile) {
                let line = match item {
                    Item::Line(line) => line,
                    Item::Sample(..) => panic!("{name} holds a sample"),
                    Item::Code(code) => {
                        let bands = code.picture().unwrap().width().div_ceil(24);
                        (0..bands).for_each(|_| assert!(pictures.next().is_some(), "{name}"));
                        continue;
                    }
                };
                let (is_plain, rows) =
                    (line.style == Style::PLAIN && line.align == Align::Left, font::cell(profile.face).1);
                if line.text.trim_end().is_empty() && !line.style.inverse {
                    continue;
                }
                let wanted = rows * (1 + usize::from(line.style.tall)) + 6 * usize::from(line.style.inverse);
                let bands: Vec<_> = (0..wanted.div_ceil(if line.style.tall { 48 } else { 24 }))
                    .map(|_| pictures.next().unwrap())
                    .collect();
                assert_eq!(bands.iter().map(|(_, rows, _)| rows).sum::<usize>(), wanted, "{name}: {line:?}");
                if is_plain {
                    for (cell, letter) in line.text.trim_end().chars().enumerate() {
                        assert!(is_drawn(&bands[0], cell, letter, profile.face), "{name}: {letter} of {line:?}");
                        cells += 1;
                    }
                }
            }
            assert!(pictures.next().is_none(), "{name}");
        }
    }
    assert!(cells > 5_000, "{cells}");
}

/// A sample as it would be with plain fallback letters, and in the default way for Kazakh.
fn costs(document: &Document, profile: &Profile) -> (usize, usize) {
    let bytes = |way| render(document, &FIRST, &Profile { way, ..profile.clone() }).len();
    (bytes(Way::Page), bytes(Way::Defined))
}

#[test]
fn kazakh_on_a_slow_line_costs_half_as_much_again_at_most() {
    let Document::Receipt(receipt) = sample("receipt") else { unreachable!() };
    let lines: Vec<Dish> = receipt.lines.iter().cycle().take(20).cloned().collect();
    let document = Document::Receipt(Receipt { lines, qr: None, ..receipt });
    for profile in [Profile::wide(Letters::Pc866), Profile::narrow(Letters::Pc866), Profile::wide(Letters::Cp1251)] {
        let (plain, defined) = costs(&document, &profile);
        assert!(2 * defined <= 3 * plain, "{} columns: {defined} of {plain}", profile.columns);
    }
}

#[test]
fn what_a_profile_prints_of_a_text() {
    let page = Profile::wide(Letters::Pc866);
    let text = "Қазақша, Іңір – «шай» 5 ₸ 漢";
    assert_eq!(page.fold(text), "Казакша, Iнiр - \"шай\" 5 тг ?");
    let defined = Profile { way: Way::Defined, ..page.clone() };
    assert_eq!(defined.fold(text), "Қазақша, Iңiр – «шай» 5 ₸ ?");
    let raster = Profile { way: Way::Raster, ..page };
    assert_eq!(raster.fold(text), "Қазақша, Іңір – «шай» 5 ₸ ?");
    assert!(raster.prints('І') && !defined.prints('І') && !raster.prints('漢') && !raster.prints('\u{AD}'));
}

// ---- settings

struct NoVault;

impl Vault for NoVault {
    fn load<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async { None })
    }
    fn store<'a>(&'a self, _: &'a str, _: String) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async { Ok(()) })
    }
}

/// The profile of a section with these keys, or the key and the problem.
fn set_up(keys: &str) -> Result<Profile, BadSetup> {
    let text = format!(
        "[[printer]]\nname = \"p\"\nkind = \"escpos\"\naddress = \"tcp://127.0.0.1:9\"\nroles = [\"receipt\"]\n{keys}\n"
    );
    // The reader of the configuration has tried it already.
    let config = match Config::parse(&text, Path::new("/etc/kassad")) {
        Ok(config) => config,
        Err(faults) => {
            let key: &'static str = faults[0].key.rsplit('.').next().unwrap().to_owned().leak();
            return Err(BadSetup { key, problem: format!("{}: {}", faults[0].problem, faults[0].cure) });
        }
    };
    let setup = config.setup(&config.printers[0].device, Arc::new(NoVault), "test", 0, &Clock::machine()).unwrap();
    Profile::from_setup(&setup)
}

#[test]
fn a_section_becomes_a_profile() {
    let base = Profile { way: Way::Defined, ..Profile::wide(Letters::Pc866) };
    let drawer = Some(Drawer { pin: 1, on: 25, off: 250 });
    for (keys, profile) in [
        ("", base.clone()),
        ("letters = \"kz1048\"", Profile::wide(Letters::Kz1048)),
        ("letters = \"posiflex\"", Profile::wide(Letters::Posiflex)),
        ("code_page = 224", Profile::wide(Letters::Posiflex)),
        ("letters = \"kz1048\"\nkazakh = \"raster\"", Profile { way: Way::Raster, ..Profile::wide(Letters::Kz1048) }),
        (
            "letters = \"cp1251\"\ncode_page = 73\nkazakh = \"page\"",
            Profile { page: 73, ..Profile::wide(Letters::Cp1251) },
        ),
        ("dpi = 180", Profile { dots: 512, columns: 42, ..base.clone() }),
        ("dpi = 180\nfont = \"b\"", Profile { dots: 512, columns: 56, face: Face::B, ..base.clone() }),
        ("font = \"b\"", Profile { columns: 64, face: Face::B, ..base.clone() }),
        ("paper = \"58mm\"", Profile { way: Way::Defined, ..Profile::narrow(Letters::Pc866) }),
        (
            "paper = \"58mm\"\nfont = \"b\"",
            Profile { columns: 42, face: Face::B, way: Way::Defined, ..Profile::narrow(Letters::Pc866) },
        ),
        ("columns = 42", Profile { columns: 42, ..base.clone() }),
        ("columns = 53", Profile { columns: 53, dots: 636, ..base.clone() }),
        (
            "double_byte_off = false\nqr = \"native\"",
            Profile { double_byte_off: false, qr: QrForm::Native, ..base.clone() },
        ),
        (
            "drawer = true\ndrawer_pin = 5\nbuzzer = \"clone\"",
            Profile { drawer, buzzer: Buzzer::Clone, ..base.clone() },
        ),
        ("buzzer = \"drawer\"\ncut = \"full\"", Profile { buzzer: Buzzer::Drawer, cut: Cut::Full, ..base.clone() }),
        ("answers = false", Profile { status: StatusAbilities::NONE, ..base.clone() }),
    ] {
        assert_eq!(set_up(keys), Ok(profile), "{keys}");
    }
}

#[test]
fn a_setting_that_no_printer_has_is_refused_with_its_cure() {
    for (keys, key, cure) in [
        ("paper = \"57mm\"", "paper", "\"80mm\" or \"58mm\""),
        ("dpi = 300", "dpi", "203 or 180"),
        ("dpi = 180\npaper = \"58mm\"", "dpi", "write columns"),
        ("columns = 200", "columns", "24 to 72"),
        ("font = \"c\"", "font", "\"a\" or \"b\""),
        ("letters = \"koi8\"", "letters", "\"posiflex\""),
        ("code_page = 18", "letters", "add letters"),
        ("code_page = 300", "code_page", "0 to 255"),
        ("kazakh = \"latin\"", "kazakh", "\"page\" or \"defined\" or \"raster\""),
        ("cut = \"half\"", "cut", "\"none\""),
        ("qr = \"both\"", "qr", "\"native\""),
        ("buzzer = \"loud\"", "buzzer", "\"epson\""),
        ("buzzer = \"drawer\"\ndrawer = true", "buzzer", "remove one"),
        ("drawer = true\ndrawer_pin = 3", "drawer_pin", "2 or 5"),
    ] {
        let refused = set_up(keys).expect_err(keys);
        assert_eq!(refused.key, key, "{keys}");
        assert!(refused.problem.contains(cure), "{keys}: {}", refused.problem);
    }
}

// ---- a job that broke off

#[test]
fn a_printer_that_was_left_inside_a_command_is_brought_back() {
    let mut inside = 0;
    for profile in ways() {
        let healing = recovery(&profile);
        assert!(healing.len() < 4 * 1024, "{}", healing.len());
        for name in ["receipt", "ticket-cancel"] {
            let job = render(&sample(name), &FIRST, &profile);
            for cut in (1..job.len()).step_by(13) {
                inside += usize::from(read(&job[..cut]).faults.iter().any(|fault| fault.contains("inside a command")));
                let healed = read(&[&job[..cut], &healing].concat());
                assert!(healed.is_fresh, "{name} cut at byte {cut}: {:?}", healed.faults);
            }
        }
    }
    assert!(inside > 1_000, "{inside}");
}
