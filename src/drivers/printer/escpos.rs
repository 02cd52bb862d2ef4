//! ESC/POS: lines become bytes. The crate `escpos` encodes what it encodes right (start, font, size, weight, inverse, alignment); where
//! it errs (escpos §1: cut, drawer, QR, hyphen, raw UTF-8, command characters in text) the bytes are ours. Every job begins by setting
//! the printer up anew, so that it never depends on what was printed before.

use crate::domain::paper::{Document, Imprint};
use crate::drivers::printer::layout::{self, Align, Item, Line, Style};
use crate::drivers::printer::qr::{Code, QR_BYTES_MAX};
use crate::drivers::printer::raster::{BAND_ROWS, BAND_ROWS_TALL, Painter, disarm, drawn};
use crate::drivers::printer::{Ability, Buzzer, Cut, Drawer, Face, Letters, Profile, QrForm, Way, font};
use crate::drivers::{Build, Key, Kind, Takes};
use ::escpos::driver::Driver;
use ::escpos::errors::Result as Encoded;
use ::escpos::printer::Printer;
use ::escpos::utils::{Font, JustifyMode, Protocol};
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// The registry's line.
pub const KIND: Kind = Kind {
    name: "escpos",
    title: "ESC/POS receipt or kitchen printer",
    keys: &[
        Key {
            name: "paper",
            takes: Takes::Text,
            required: false,
            help: "width of the paper: \"80mm\" (default) or \"58mm\"",
        },
        Key {
            name: "dpi",
            takes: Takes::Number,
            required: false,
            help: "dots of an inch: 203 (default) or 180, with 42 columns on 80 mm",
        },
        Key {
            name: "columns",
            takes: Takes::Number,
            required: false,
            help: "characters of a line as the ruler of the test slip shows them, where they are not the usual ones: 24 to 72",
        },
        Key { name: "font", takes: Takes::Text, required: false, help: "\"a\" (default) or \"b\", the small one" },
        Key {
            name: "letters",
            takes: Takes::Text,
            required: false,
            help: "table of letters: \"pc866\" (default), \"cp1251\", or with Kazakh letters \"kz1048\", \"posiflex\"",
        },
        Key {
            name: "code_page",
            takes: Takes::Number,
            required: false,
            help: "number of that table on this model, from its self-test; default 17, 46, 53 or 224",
        },
        Key {
            name: "kazakh",
            takes: Takes::Text,
            required: false,
            help: "how Kazakh letters are printed: \"page\" (the table has them), \"defined\" (sent with each job; default for tables without them) or \"raster\" (all as pictures)",
        },
        Key {
            name: "double_byte_off",
            takes: Takes::Flag,
            required: false,
            help: "false for a model that does not know FS .",
        },
        Key { name: "cut", takes: Takes::Text, required: false, help: "\"partial\" (default), \"full\" or \"none\"" },
        Key {
            name: "qr",
            takes: Takes::Text,
            required: false,
            help: "who draws a QR code: \"raster\" (we, default) or \"native\" (the printer)",
        },
        Key {
            name: "buzzer",
            takes: Takes::Text,
            required: false,
            help: "what calls the cook: \"none\" (default), \"epson\", \"clone\" (Xprinter, Rongta) or \"drawer\" (a bell on the drawer plug)",
        },
        Key {
            name: "drawer",
            takes: Takes::Flag,
            required: false,
            help: "true: a cash drawer is plugged in and opens for cash",
        },
        Key { name: "drawer_pin", takes: Takes::Number, required: false, help: "which pin opens it: 2 (default) or 5" },
        Key {
            name: "answers",
            takes: Takes::Flag,
            required: false,
            help: "false for a printer that never answers questions",
        },
    ],
    build: Build::Printer(Profile::from_setup),
};

const LINE_END: u8 = 0x0A;
const DOUBLE_BYTE_OFF: [u8; 2] = [0x1C, 0x2E];
/// Changes of state, errors and paper are told unasked (escpos §3.2); `ESC @` switches that off.
const UNASKED_ON: [u8; 3] = [0x1D, 0x61, 0x0E];
/// Codes that may be letters of our own; the space stays a space.
const CODES: RangeInclusive<u8> = 0x21..=0x7E;
/// Bytes before the data of the longest commands.
const COMMAND_HEAD: usize = 8;

/// The bytes of a document: from the printer's start to the cut, the pulse alone for the drawer.
pub fn render(document: &Document, imprint: &Imprint, profile: &Profile) -> Vec<u8> {
    let is_ticket = match document {
        Document::Drawer => return profile.drawer.map(pulse).unwrap_or_default(),
        Document::Ticket(_) => true,
        Document::Receipt(_)
        | Document::Refund(_)
        | Document::Slip(_)
        | Document::Report(_)
        | Document::Test(_)
        | Document::Fiscal(_)
        | Document::Notice(_)
        | Document::Shift(_)
        | Document::Cash(_) => false,
    };
    let mut bytes = encode(&layout::layout(document, imprint, profile), profile);
    if is_ticket {
        bytes.extend(bell(profile.buzzer));
    }
    bytes
}

/// The bytes of what was laid out for this profile.
pub fn encode(items: &[Item], profile: &Profile) -> Vec<u8> {
    let mut pen = Pen::new(items, profile);
    pen.start();
    for item in items {
        pen.item(item);
    }
    pen.end()
}

/// Brings a printer out of a command that was cut in its middle (escpos §3.4): zeros, which print nothing, up to the longest command of
/// this printer's jobs, then the start.
pub fn recovery(profile: &Profile) -> Vec<u8> {
    let rows = if profile.way == Way::Raster { BAND_ROWS_TALL } else { BAND_ROWS };
    let longest = (profile.dots.div_ceil(8) * rows).max(QR_BYTES_MAX) + COMMAND_HEAD;
    let mut bytes = vec![0; longest];
    bytes.extend(&COMMANDS.start);
    bytes
}

/// What the crate sends for what it encodes right, asked once. Were it to refuse, paper without that look is better than none.
struct Commands {
    start: Vec<u8>,
    small: Vec<u8>,
    align: [Vec<u8>; 2],
    size: [[Vec<u8>; 2]; 2],
    bold: [Vec<u8>; 2],
    inverse: [Vec<u8>; 2],
}

static COMMANDS: LazyLock<Commands> = LazyLock::new(|| Commands {
    start: by_crate(|printer| printer.init().map(|_| ())),
    small: by_crate(|printer| printer.font(Font::B).map(|_| ())),
    align: [JustifyMode::LEFT, JustifyMode::CENTER].map(|mode| by_crate(|printer| printer.justify(mode).map(|_| ()))),
    size: [1, 2].map(|width| [1, 2].map(|height| by_crate(|printer| printer.size(width, height).map(|_| ())))),
    bold: [false, true].map(|on| by_crate(|printer| printer.bold(on).map(|_| ()))),
    inverse: [false, true].map(|on| by_crate(|printer| printer.reverse(on).map(|_| ()))),
});

/// Collects what the crate would send.
#[derive(Default)]
struct Collector(RefCell<Vec<u8>>);

impl Driver for Collector {
    fn name(&self) -> String {
        "collector".to_owned()
    }

    fn write(&self, data: &[u8]) -> Encoded<()> {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn read(&self, _buffer: &mut [u8]) -> Encoded<usize> {
        Ok(0)
    }

    fn flush(&self) -> Encoded<()> {
        Ok(())
    }
}

fn by_crate(ask: impl FnOnce(&mut Printer<Collector>) -> Encoded<()>) -> Vec<u8> {
    let mut printer = Printer::new(Collector::default(), Protocol::default(), None);
    let sent = ask(&mut printer).and_then(|()| printer.print().map(|_| ()));
    sent.map(|()| printer.driver().0.into_inner()).unwrap_or_default()
}

/// Writes a job: knows what the printer is set to, so that only what changes is sent.
struct Pen<'a> {
    profile: &'a Profile,
    bytes: Vec<u8>,
    style: Style,
    align: Align,
    /// The page that is selected.
    page: u8,
    codes: Codes,
    painter: Painter<'a>,
}

impl<'a> Pen<'a> {
    fn new(items: &[Item], profile: &'a Profile) -> Pen<'a> {
        let pictures = if profile.way == Way::Raster { 1_200 } else { 80 };
        Pen {
            profile,
            bytes: Vec::with_capacity(1_024 + items.len() * pictures),
            style: Style::PLAIN,
            align: Align::Left,
            page: profile.page,
            codes: Codes::of(items, profile),
            painter: Painter::new(profile),
        }
    }

    /// Start, out of the double-byte mode, page, font, letters of our own: all that `ESC @` forgets, in this order (escpos §2.2).
    fn start(&mut self) {
        self.bytes.extend(&COMMANDS.start);
        if self.profile.status.unasked == Ability::Yes {
            self.bytes.extend(UNASKED_ON);
        }
        if self.profile.double_byte_off {
            self.bytes.extend(DOUBLE_BYTE_OFF);
        }
        self.bytes.extend([0x1B, 0x74, self.profile.page]);
        if self.profile.face == Face::B {
            self.bytes.extend(&COMMANDS.small);
        }
        self.codes.define(self.profile.face, &mut self.bytes);
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Line(line) => self.line(line, self.profile.way, self.profile.letters, self.profile.page),
            Item::Sample(candidate, line) => self.line(line, candidate.way, candidate.letters, candidate.page),
            Item::Code(code) => self.code(code),
        }
    }

    fn line(&mut self, line: &Line, way: Way, letters: Letters, page: u8) {
        if way == Way::Raster {
            self.restyle(Style::PLAIN, Align::Left);
            self.painter.line(line, &mut self.bytes);
            return;
        }
        self.turn(page);
        self.restyle(line.style, line.align);
        self.row(&line.text, letters);
    }

    fn turn(&mut self, page: u8) {
        if self.page != page {
            self.bytes.extend([0x1B, 0x74, page]);
            self.page = page;
        }
    }

    fn restyle(&mut self, style: Style, align: Align) {
        let one = |both: &'static [Vec<u8>; 2], second: bool| -> &'static [u8] {
            let [off, on] = both;
            if second { on } else { off }
        };
        if self.align != align {
            self.bytes.extend(one(&COMMANDS.align, align == Align::Centre));
        }
        if (self.style.wide, self.style.tall) != (style.wide, style.tall) {
            let [narrow, wide] = &COMMANDS.size;
            self.bytes.extend(one(if style.wide { wide } else { narrow }, style.tall));
        }
        if self.style.bold != style.bold {
            self.bytes.extend(one(&COMMANDS.bold, style.bold));
        }
        if self.style.inverse != style.inverse {
            self.bytes.extend(one(&COMMANDS.inverse, style.inverse));
            // Bars of several rows close: nothing is fed between black cells (`ESC 3`), the usual lead again behind them (`ESC 2`).
            let (_, height) = font::cell(self.profile.face);
            let close = [0x1B, 0x33, u8::try_from(height).unwrap_or(24)];
            self.bytes.extend(if style.inverse { &close[..] } else { &[0x1B, 0x32][..] });
        }
        (self.style, self.align) = (style, align);
    }

    /// A row of text. Our own letters shadow ASCII, so they are switched on before one and off before the next ASCII character; bytes
    /// from 80 on mean the same in both.
    fn row(&mut self, text: &str, letters: Letters) {
        let mut is_own = false;
        for letter in text.chars() {
            let (byte, own) = match (letters.encode(letter), self.codes.get(letter)) {
                (Some(byte), _) => (byte, is_own && byte >= 0x80),
                (None, Some(code)) => (code, true),
                (None, None) => (b'?', false),
            };
            if own != is_own {
                self.bytes.extend([0x1B, 0x25, u8::from(own)]);
                is_own = own;
            }
            self.bytes.push(byte);
        }
        if is_own {
            self.bytes.extend([0x1B, 0x25, 0]);
        }
        self.bytes.push(LINE_END);
    }

    fn code(&mut self, code: &Code) {
        self.restyle(Style::PLAIN, Align::Centre);
        match (code.form, code.picture()) {
            (QrForm::Native, _) => self.bytes.extend(code.native()),
            (QrForm::Raster, Some(picture)) => picture.print(BAND_ROWS, &mut self.bytes),
            (QrForm::Raster, None) => {}
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.restyle(Style::PLAIN, Align::Left);
        self.bytes.extend([0x1B, 0x64, self.profile.feed_lines]);
        self.bytes.extend(cut(self.profile.cut));
        self.bytes
    }
}

/// The codes under which a job defines letters of its own (escpos §2.3 b).
struct Codes(Vec<(char, u8)>);

impl Codes {
    /// Codes for all letters that some line needs and its page lacks. Codes that the document itself does not use go first: then even a
    /// printer that is slow to switch back prints no wrong letter. Kazakh letters go first; what is left over is shown as unknown.
    fn of(items: &[Item], profile: &Profile) -> Codes {
        let (mut wanted, mut used) = (Vec::new(), [false; 128]);
        for item in items {
            let (line, way, letters) = match item {
                Item::Line(line) => (line, profile.way, profile.letters),
                Item::Sample(candidate, line) => (line, candidate.way, candidate.letters),
                Item::Code(_) => continue,
            };
            if way != Way::Defined {
                continue;
            }
            for letter in line.text.chars() {
                if let Some(ascii) = usize::try_from(u32::from(letter)).ok().and_then(|code| used.get_mut(code)) {
                    *ascii = true;
                } else if letters.encode(letter).is_none() && !wanted.contains(&letter) {
                    wanted.push(letter);
                }
            }
        }
        wanted.sort_unstable_by_key(|letter| (!matches!(letter, '\u{400}'..='\u{4FF}' | '₸'), *letter));
        let is_used = |code: &u8| used.get(usize::from(*code)).copied().unwrap_or(true);
        let codes = CODES.filter(|code| !is_used(code)).chain(CODES.filter(is_used));
        Codes(wanted.into_iter().zip(codes).collect())
    }

    fn get(&self, letter: char) -> Option<u8> {
        self.0.iter().find(|(defined, _)| *defined == letter).map(|(_, code)| *code)
    }

    /// Defines them, one a command: some models take no more (escpos §2.3).
    fn define(&self, face: Face, bytes: &mut Vec<u8>) {
        for (letter, code) in &self.0 {
            let (width, _) = font::cell(face);
            bytes.extend([0x1B, 0x26, 3, *code, *code, width as u8]);
            let start = bytes.len();
            bytes.extend(columns(&drawn(*letter, face), width));
            disarm(bytes.get_mut(start..).unwrap_or_default());
        }
    }
}

/// A glyph as the printer takes it: column by column, three bytes each from the top down, the highest bit is the top dot.
fn columns(glyph: &font::Glyph, width: usize) -> impl Iterator<Item = u8> {
    (0..width).rev().flat_map(move |bit| {
        let column = glyph.iter().fold(0u32, |column, row| column << 1 | u32::from(row >> bit & 1));
        let [_, top, middle, bottom] = column.to_be_bytes();
        [top, middle, bottom]
    })
}

/// Feeds to the cutter and cuts. The crate sends the full cut for both.
fn cut(cut: Cut) -> &'static [u8] {
    match cut {
        Cut::Partial => &[0x1D, 0x56, 0x42, 0x00],
        Cut::Full => &[0x1D, 0x56, 0x41, 0x00],
        Cut::None => &[],
    }
}

/// Opens the drawer, with its times: without them a printer eats the next two bytes.
fn pulse(drawer: Drawer) -> Vec<u8> {
    vec![0x1B, 0x70, drawer.pin, drawer.on, drawer.off]
}

/// Calls the cook when the paper is cut (pos-and-kitchen §2.2: cut, then beep).
fn bell(buzzer: Buzzer) -> &'static [u8] {
    match buzzer {
        Buzzer::None => &[],
        // Function 97: twice, 300 ms on and 200 ms off.
        Buzzer::Epson => &[0x1B, 0x28, 0x41, 5, 0, 0x61, 0x64, 2, 3, 2],
        Buzzer::Clone => &[0x1B, 0x42, 3, 2],
        // As long as a pulse can be.
        Buzzer::Drawer => &[0x1B, 0x70, 0, 0xFF, 0xFF],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_encodes_what_we_leave_to_it() {
        let Commands { start, small, align, size, bold, inverse } = &*COMMANDS;
        assert_eq!((&start[..], &small[..]), (&[0x1B, 0x40][..], &[0x1B, 0x4D, 1][..]));
        assert_eq!(align, &[[0x1B, 0x61, 0], [0x1B, 0x61, 1]]);
        assert_eq!(size, &[[[0x1D, 0x21, 0x00], [0x1D, 0x21, 0x01]], [[0x1D, 0x21, 0x10], [0x1D, 0x21, 0x11]]]);
        assert_eq!(bold, &[[0x1B, 0x45, 0], [0x1B, 0x45, 1]]);
        assert_eq!(inverse, &[[0x1D, 0x42, 0], [0x1D, 0x42, 1]]);
    }

    #[test]
    fn a_job_sets_the_printer_up_anew() {
        let lines = [Item::Line(Line { text: "Чай".to_owned(), style: Style::PLAIN, align: Align::Left })];
        let mut profile = Profile::wide(Letters::Pc866);
        assert_eq!(encode(&lines, &profile), b"\x1B@\x1C.\x1Bt\x11\x97\xA0\xA9\n\x1Bd\x01\x1DVB\0");
        profile.status.unasked = Ability::Yes;
        (profile.double_byte_off, profile.face) = (false, Face::B);
        assert_eq!(encode(&lines, &profile), b"\x1B@\x1Da\x0E\x1Bt\x11\x1BM\x01\x97\xA0\xA9\n\x1Bd\x01\x1DVB\0");
    }

    #[test]
    fn our_own_letters_are_switched_around_ascii() {
        let profile = Profile { way: Way::Defined, ..Profile::wide(Letters::Pc866) };
        let text = "!Қаз 5₸".to_owned();
        let lines = [Item::Line(Line { text, style: Style::PLAIN, align: Align::Left })];
        let job = encode(&lines, &profile);
        let row = job.len() - 3 - 4 - 20;
        // Codes that the text does not use: " and #, not !.
        assert_eq!(&job[row..], b"!\x1B%\x01\"\xA0\xA7\x1B%\0 5\x1B%\x01#\x1B%\0\n\x1Bd\x01\x1DVB\0");
        assert_eq!(job[7..13], [0x1B, 0x26, 3, b'"', b'"', 12]);
        assert_eq!(job.len(), 7 + 2 * 42 + 20 + 3 + 4);
    }

    #[test]
    fn a_column_of_a_letter_is_three_bytes_from_the_top() {
        let mut glyph = font::Glyph::default();
        (glyph[0], glyph[9], glyph[23]) = (0b1000_0000_0000, 0b1000_0000_0001, 0b0000_0000_0001);
        let bytes: Vec<u8> = columns(&glyph, 12).collect();
        assert_eq!((bytes.len(), &bytes[..3], &bytes[33..]), (36, &[0x80, 0x40, 0][..], &[0, 0x40, 1][..]));
        let small: Vec<u8> = columns(&drawn('Қ', Face::B), 9).collect();
        assert_eq!(small.len(), 27);
        assert!(small.chunks(3).all(|column| column[2] & 0x7F == 0), "17 rows: of the third byte the top bit");
    }
}
