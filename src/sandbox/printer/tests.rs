//! The sandbox printer judged by its specification (escpos §2, §3): each command, each nasty byte, the three ways of printing letters on
//! the same paper dot for dot, the end of the roll at every byte, answers of each state, the line and the speed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use super::strip::Dots;
use super::*;
use crate::drivers::printer::font::emphasised;
use crate::drivers::printer::layout::{Align, Style};
use crate::drivers::printer::{Buzzer, Face, Letters, font};
use futures_util::FutureExt;

const START: &[u8] = b"\x1B@\x1C.\x1Bt\x35";
const START_866: &[u8] = b"\x1B@\x1C.\x1Bt\x11";
const CUT: &[u8] = b"\x1DVB\0";
/// No answer.
const NOTHING: [u8; 0] = [];
const FENCE: &[u8] = b"\x1Dr\x01";
const PROCESS_ID: &[u8] = b"\x1D(H\x06\0\x30\x30job1";
const PROCESSED: &[u8] = b"\x37\x22job1\0";
const CLEAR: &[u8] = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08";

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn cyrillic(text: &str) -> Vec<u8> {
    Letters::Kz1048.bytes(text)
}

/// What a fresh printer of a model makes of bytes.
fn on(model: Model, bytes: &[u8]) -> (String, Vec<String>) {
    let (text, _, faults) = picture_of(bytes, model);
    (text, faults)
}

fn printer(model: Model) -> Arc<Printer> {
    Printer::model("bench", model, Clock::manual(Wall(0)))
}

/// What it has to say now.
fn said(printer: &Printer) -> Vec<u8> {
    printer.lock().say().0
}

fn asked(printer: &Printer, bytes: &[u8]) -> Vec<u8> {
    printer.receive(bytes);
    said(printer)
}

/// All that came out, cut or not.
fn all_text(printer: &Printer) -> String {
    let papers: String = printer.papers().iter().map(|paper| paper.text.clone()).collect();
    papers + &printer.strip()
}

// ---- commands

#[test]
fn each_command_does_its_work() {
    let cases: [(&[u8], &str); 22] = [
        (b"Tea\n", "Tea\n"),
        (b"Te\0a\r\n", "Tea\n"),
        (b"a\x1BJ\x18b\n", "a\nb\n"),
        (b"a\n\x1BJ\x1Eb\n", "a\n\nb\n"),
        (b"a\x1Bd\x01b\n", "a\n\nb\n"),
        (b"\x1Ba\x01middle\n", "                     middle\n"),
        (b"\x1Ba\x01\x1D!\x10wide\n", "          wide\n"),
        (b"\x1BE\x01\x1BE\0\x1B-\x01\x1B-\0\x1DB\x01\x1DB\0a\n", "a\n"),
        (b"\x1BM\x01\x1Ba1b\n", "                               b\n"),
        (b"\x1B!\x31a\x1B!\0b\n", "ab\n"),
        (b"\x1B3\x18a\n\x1B2b\n", "a\nb\n"),
        (b"\x1BB\x03\x02a\n", "a\n"),
        (b"\x1B(A\x04\0\x30\x01\x03\x02a\n", "a\n"),
        (b"\x1Bp\0\x19\xFAa\n", "a\n"),
        (b"\x10\x04\x01a\x10\x05\x01\n", "a\n"),
        (b"a\n\x1DV\0b\n\x1DVA\x10c\n\x1Bi", "a\nb\nc\n"),
        (b"\x1DrAa\n", "a\n"),
        (b"\x1DI\x43\x1Da\x0E\x1D(H\x03\0\x31\x30\x01a\n", "a\n"),
        (
            b"\x1D(k\x03\0\x31\x43\x04\x1D(k\x03\0\x31\x45\x31\x1D(k\x08\0\x31\x50\x30https\x1D(k\x03\0\x31\x51\x30",
            "[QR https]\n",
        ),
        (
            b"\x1D(L\x12\0\x30\x70\x30\x01\x02\x31\x10\0\x04\0\xF0\x0F\xF0\x0F\xF0\x0F\xF0\x0F\x1D(L\x02\0\x30\x32",
            "[picture 16x8]\n",
        ),
        (b"\x1Dv0\x03\x01\0\x02\0\xFF\xFF", "[picture 16x4]\n"),
        (b"a\x1B@b\n", "b\n"),
    ];
    for (bytes, expected) in cases {
        let asks_wrongly = bytes.starts_with(b"\x1DrA");
        let (text, faults) = on(Model::SANDBOX, &joined(&[START, bytes]));
        assert_eq!(text, expected, "{bytes:02X?}");
        assert_eq!(faults.is_empty(), !asks_wrongly, "{bytes:02X?}: {faults:?}");
    }
}

#[test]
fn what_a_real_printer_garbles_is_a_fault() {
    let sandbox = Model::SANDBOX;
    let small = Model::GENERIC_58;
    let cases: [(Model, &[u8], &str); 28] = [
        (sandbox, b"\x1Bt\x63", "no page 99"),
        (Model::RONGTA_80, b"\x1Bt\x11", "no page 17"),
        (sandbox, b"\x1B@\x80\n", "double-byte"),
        (sandbox, b"\x1C.\x80\n", "no letter"),
        (sandbox, b"\x1C.\x1Bt\x35\x98\n", "no letter"),
        (sandbox, b"a\x07", "control byte 07"),
        (sandbox, b"a\x1Ba\x01", "alignment changed"),
        (sandbox, b"a\x1DVA\x01", "cut inside a row"),
        (sandbox, b"\x1D!\x22", "unsupported"),
        (sandbox, b"\x1BM\x07", "unsupported"),
        (sandbox, b"\x1BZ\x01", "unknown command"),
        (sandbox, b"\x1DV\x07", "unknown command"),
        (sandbox, b"\x1Bp\0\xFA\x19", "longer than its pause"),
        (sandbox, b"\x1BpA\x19\xFA", "no drawer"),
        (sandbox, b"\x10\x04\x09", "unknown command"),
        (sandbox, b"a\x1Dv0\0\x01\0\x01\0\xFF", "inside a row"),
        (sandbox, b"\x1Dv0\x07\x01\0\x01\0\xFF", "unsupported"),
        (sandbox, b"\x1D(k\x03\0\x31\x51\x30", "without text"),
        (sandbox, b"\x1D(k\x04\0\x31\x41\x31\0\x1D(k\x04\0\x31\x50\x30a\x1D(k\x03\0\x31\x51\x30", "model 1"),
        (sandbox, b"\x1D(L\x02\0\x30\x32", "never sent"),
        (sandbox, b"\x1B&\x03\x21\x21\x0D", "13 columns"),
        (sandbox, b"\x1B&\x02\x21\x21", "unsupported"),
        (Model { user_defined: false, ..sandbox }, b"\x1B&\x03\x21\x21\x01\x01\x01\x01", "unknown command"),
        (Model { raster: false, ..sandbox }, b"\x1Dv0\0\x01\0\x01\0\xFF", "unknown command"),
        (small, b"\x1D(k\x03\0\x31\x43\x04", "unknown command"),
        (small, b"\x1BB\x03\x02", "unknown command"),
        (Model::EPSON_80, b"\x1BB\x03\x02", "unknown command"),
        (sandbox, b"\x1DI\x01\x1DI\x7F", "unknown identity"),
    ];
    for (model, bytes, expected) in cases {
        let (_, faults) = on(model, bytes);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{bytes:02X?}: {faults:?} without {expected}");
    }
    for (model, cells) in [(sandbox, 48), (small, 32), (Model::EPSON_80_180DPI, 42)] {
        let row = |cells: usize| joined(&[&b"x".repeat(cells), b"\n"]);
        assert_eq!(on(model, &row(cells)).1, Vec::<String>::new());
        assert_eq!(on(model, &row(cells + 1)).1, ["a row is wider than the paper"]);
        let picture = |row_bytes: usize| joined(&[b"\x1Dv0\0", &[row_bytes as u8, 0, 1, 0], &vec![1; row_bytes]]);
        assert_eq!(on(model, &picture(model.dots / 8)).1, Vec::<String>::new());
        assert_eq!(on(model, &picture(model.dots / 8 + 1)).1, [format!("a picture {} dots wide", model.dots + 8)]);
    }
}

#[test]
fn each_model_has_the_pages_of_its_maker() {
    let sample = |letters: Letters| letters.bytes("Чай");
    let mut seen = 0;
    for model in Model::ALL {
        for (page, letters) in model.pages {
            let bytes = joined(&[b"\x1B@\x1C.\x1Bt", &[*page], &sample(*letters), b"\n"]);
            assert_eq!(on(model, &bytes), ("Чай\n".to_owned(), Vec::new()), "{} {page}", model.name);
            seen += 1;
        }
        assert_eq!((model.columns(Face::A) * 12).div_ceil(12), model.dots / 12);
    }
    assert!(seen >= 16, "{seen} pages");
    // A Chinese-made printer begins in double-byte mode; Epson's does not.
    let careless = joined(&[b"\x1B@\x1Bt\x11", &Letters::Pc866.bytes("Чай"), b"\n"]);
    assert_eq!(on(Model::EPSON_80, &careless).0, "Чай\n");
    assert_eq!(on(Model::GENERIC_58, &careless).0, "\u{FFFD}\u{FFFD}\u{FFFD}\n");
}

#[test]
fn parameters_of_an_unknown_command_are_junk_only_if_they_come_to_paper() {
    let after = |rest: &[u8]| on(Model::XPRINTER_80, &joined(&[b"a\n", PROCESS_ID, rest]));
    assert_eq!(after(b"\x1B@b\n"), ("a\nb\n".to_owned(), Vec::new()), "the next job's start clears the row");
    let (text, faults) = after(b"b\n");
    assert_eq!(text, "a\n00job1b\n");
    assert_eq!(faults, ["parameters of an unknown command on paper"]);
    assert_eq!(on(Model::RONGTA_80, &joined(&[PROCESS_ID, b"b\n"])), ("b\n".to_owned(), Vec::new()));
}

#[test]
fn bells_and_drawers_are_counted_by_model() {
    let counted = |model: Model, bytes: &[u8]| {
        let printer = printer(model);
        printer.receive(bytes);
        (printer.drawer_pulses(), printer.beeps(), printer.faults().len())
    };
    assert_eq!(counted(Model::EPSON_80, b"\x1Bp\0\x19\xFA\x1B(A\x05\0\x61\x64\x02\x05\x05"), (1, 1, 0));
    assert_eq!(counted(Model::XPRINTER_80, b"\x1BB\x03\x02\x1BB\x02\x02"), (0, 2, 0));
    assert_eq!(counted(Model::POSIFLEX_80, b"\x1Bp\x01\x19\xFA"), (1, 1, 0));
    assert_eq!(counted(Model::EPSON_80, b"\x10\x14\x01\0\x01"), (1, 0, 0), "in real time");
    assert!(Model::POSIFLEX_80.knows(Buzzer::Drawer) && !Model::GENERIC_58.knows(Buzzer::Clone));
}

// ---- the three ways of letters

/// A line as bytes in one of the three ways, with its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Page,
    Defined,
    Raster,
}

fn look(style: Style, face: Face, align: Align) -> Vec<u8> {
    let size = u8::from(style.wide) << 4 | u8::from(style.tall);
    let (small, middle) = (u8::from(face == Face::B), u8::from(align == Align::Centre));
    let (bold, inverse) = (u8::from(style.bold), u8::from(style.inverse));
    vec![0x1B, 0x4D, small, 0x1B, 0x61, middle, 0x1D, 0x21, size, 0x1B, 0x45, bold, 0x1D, 0x42, inverse]
}

fn glyph(letter: char, face: Face) -> Vec<u16> {
    match face {
        Face::A => font::glyph(letter).unwrap().to_vec(),
        Face::B => font::small_glyph(letter).unwrap().to_vec(),
    }
}

/// `ESC &` for one character, column by column.
fn defined(letter: char, code: u8, face: Face) -> Vec<u8> {
    let (width, _) = font::cell(face);
    let glyph = glyph(letter, face);
    let mut bytes = vec![0x1B, 0x26, 3, code, code, width as u8];
    for x in 0..width {
        let mut column = [0_u8; 3];
        for (y, row) in glyph.iter().enumerate() {
            column[y / 8] |= ((row >> (width - 1 - x) & 1) as u8) << (7 - y % 8);
        }
        bytes.extend(column);
    }
    bytes
}

fn drawn(text: &str, style: Style, face: Face, align: Align, paper: usize) -> Dots {
    let (cell, height) = font::cell(face);
    let (across, down) = (1 + usize::from(style.wide), 1 + usize::from(style.tall));
    let width = text.chars().count() * cell * across;
    let left = if align == Align::Centre { (paper - width) / 2 } else { 0 };
    let mut dots = Dots::white(left + width, height * down);
    for (place, letter) in text.chars().enumerate() {
        let glyph = glyph(letter, face);
        for (x, y) in (0..height * down).flat_map(|y| (0..cell * across).map(move |x| (x, y))) {
            let row = glyph[y / down];
            let row = if style.bold { emphasised(row) } else { row };
            let inked = row >> (cell - 1 - x / across) & 1 == 1;
            dots.set(left + place * cell * across + x, y, inked != style.inverse);
        }
    }
    dots
}

/// `GS v 0` in bands of so many rows.
fn bands(dots: &Dots, rows: usize) -> Vec<u8> {
    let across = dots.width().div_ceil(8);
    let all: Vec<usize> = (0..dots.height()).collect();
    let mut bytes = Vec::new();
    for band in all.chunks(rows) {
        bytes.extend([0x1D, 0x76, 0x30, 0, across as u8, 0, band.len() as u8, 0]);
        for y in band {
            let byte = |at: usize| (0..8).fold(0, |byte, bit| byte << 1 | u8::from(dots.is_ink(at * 8 + bit, *y)));
            bytes.extend((0..across).map(byte));
        }
    }
    bytes
}

fn line(text: &str, by: By, style: Style, face: Face, align: Align, model: Model) -> Vec<u8> {
    match by {
        By::Page => joined(&[START, &look(style, face, align), &cyrillic(text), b"\n"]),
        By::Defined => {
            let missing: Vec<char> = text.chars().filter(|letter| Letters::Pc866.encode(*letter).is_none()).collect();
            let mut bytes = joined(&[START_866, &look(style, face, align)]);
            let code = |letter: char| 0x21 + missing.iter().position(|one| *one == letter).unwrap() as u8;
            missing.iter().for_each(|letter| bytes.extend(defined(*letter, code(*letter), face)));
            for letter in text.chars() {
                match Letters::Pc866.encode(letter) {
                    Some(byte) => bytes.push(byte),
                    None => bytes.extend([0x1B, 0x25, 1, code(letter), 0x1B, 0x25, 0]),
                }
            }
            bytes.push(b'\n');
            bytes
        }
        By::Raster => {
            let dots = drawn(text, style, face, align, model.dots);
            let pitch = if style.tall && face == Face::A { 48 } else { 30_usize.max(dots.height()) };
            let lead = (pitch - dots.height()) as u8;
            joined(&[START, &bands(&dots, if style.tall { 48 } else { 24 }), &[0x1B, 0x4A, lead]])
        }
    }
}

const STYLES: [Style; 7] = [
    Style::PLAIN,
    Style::BOLD,
    Style::TALL,
    Style::BIG,
    Style { wide: true, ..Style::PLAIN },
    Style { inverse: true, ..Style::PLAIN },
    Style { inverse: true, ..Style::BIG },
];

#[test]
fn three_ways_print_the_same_paper_dot_for_dot() {
    let mut seen = 0;
    for model in [Model::SANDBOX, Model::standard(32), Model::standard(42)] {
        for (style, face, align) in STYLES.into_iter().flat_map(|style| {
            [(Face::A, Align::Left), (Face::A, Align::Centre), (Face::B, Align::Left), (Face::B, Align::Centre)]
                .map(|(face, align)| (style, face, align))
        }) {
            for text in ["Қазақша шай 70", "№7 үй-ішi", "  Ұн 1,5"] {
                // White at the left edge of a picture in the middle is no cell.
                let text = if align == Align::Centre { text.trim_start() } else { text };
                let printed = |by: By| picture_of(&joined(&[&line(text, by, style, face, align, model), CUT]), model);
                let page = printed(By::Page);
                assert_eq!(page.0.trim(), text.trim());
                assert_eq!(page.2, Vec::<String>::new());
                for by in [By::Defined, By::Raster] {
                    let (read, picture, faults) = printed(by);
                    let what = format!("{by:?} {style:?} {face:?} {align:?} {}", model.dots);
                    assert_eq!(looks(&read), looks(&page.0), "{what}");
                    assert_eq!(faults, Vec::<String>::new(), "{what}");
                    assert!(picture == page.1, "{what}: another picture");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 3 * 7 * 4 * 3 * 2);
}

#[test]
fn a_page_of_pictures_reads_as_its_lines() {
    let model = Model::SANDBOX;
    let lines = [
        ("ҚАЙТАЛАУ №2", Style::BIG.inverted(), Align::Left),
        ("Тапсырыс / Заказ № 1950", Style::BOLD, Align::Centre),
        ("------------------------------------------------", Style::PLAIN, Align::Left),
        ("Лагман уйгурский                         4 800 ₸", Style::PLAIN, Align::Left),
        ("================================================", Style::PLAIN, Align::Left),
        ("Бауырсақ, құрт, шұжық", Style::TALL, Align::Left),
        ("OCTO X COCA-COLA", Style::PLAIN, Align::Left),
    ];
    let mut bytes = START.to_vec();
    let mut one = Vec::new();
    for (text, style, align) in lines {
        let dots = drawn(text, style, Face::A, align, model.dots);
        bytes.extend(joined(&[&bands(&dots, 24), b"\x1BJ\x06"]));
        one.push(dots);
    }
    let (read, _, faults) = picture_of(&bytes, model);
    assert_eq!(faults, Vec::<String>::new());
    let read: Vec<&str> = read.lines().collect();
    assert_eq!(read.len(), lines.len(), "{read:#?}");
    for (read, (text, _, _)) in read.iter().zip(lines) {
        assert_eq!(looks(read.trim_start()), looks(text));
    }
    // Without anything between them, as one high picture, and a blank band as a blank line.
    let blank = bands(&Dots::white(576, 24), 24);
    let high: Vec<u8> = one.iter().flat_map(|dots| bands(dots, 48)).collect();
    let (packed, _, _) = picture_of(&joined(&[START, &high, &blank, &bands(&one[3], 24)]), model);
    let packed: Vec<&str> = packed.lines().collect();
    assert_eq!(packed[..7], read[..]);
    assert_eq!((packed[7], packed[8]), ("", read[3]));
    assert_eq!(read[3], "Лагман уйгурский                         4 800 ₸", "by the word, not by looks alone");
    assert_eq!(read[6], "OCTO X COCA-COLA");
}

#[test]
fn a_changed_dot_is_forgiven_and_a_picture_is_none_of_ours() {
    let model = Model::SANDBOX;
    let mut dots = drawn("Шұжық 1 200", Style::PLAIN, Face::A, Align::Left, model.dots);
    for (x, y) in [(3, 12), (40, 5)] {
        let inked = dots.is_ink(x, y);
        dots.set(x, y, !inked);
    }
    assert_eq!(on(model, &bands(&dots, 24)).0, "Шұжық 1 200\n");
    // Half of the dots of one letter wrong: that is no letter any more.
    let mut spoiled = dots.clone();
    for (x, y) in (0..12).flat_map(|x| (0..24).map(move |y| (x, y))).filter(|(x, y)| (x + y) % 2 == 0) {
        spoiled.set(x, y, true);
    }
    assert!(on(model, &bands(&spoiled, 24)).0.starts_with("[picture "));
    let code = qrcodegen::QrCode::encode_text("https://kaspi.kz/pay/1950", qrcodegen::QrCodeEcc::Medium).unwrap();
    let side = code.size() as usize;
    let mut picture = Dots::white(side, side);
    for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
        picture.set(x, y, code.get_module(x as i32, y as i32));
    }
    // A width of whole bytes, so that the bands are no wider than the code.
    let picture = picture.scaled(8, 8);
    let text = drawn("Төлем", Style::PLAIN, Face::A, Align::Left, model.dots);
    let bytes = joined(&[b"\x1Ba\x01", &bands(&picture, 24), b"\x1Ba\0", &bands(&text, 24)]);
    assert_eq!(on(model, &bytes).0, format!("[picture {0}x{0}]\nТөлем\n", side * 8));
    // The printer's own drawing of the same text is the same drawing.
    let native = b"\x1Ba\x01\x1D(k\x03\0\x31\x43\x08\x1D(k\x03\0\x31\x45\x31\x1D(k\x1C\0\x31\x50\x30https://kaspi.kz/pay/1950\x1D(k\x03\0\x31\x51\x30";
    let (says, drawn, faults) = picture_of(native, model);
    assert_eq!((says.as_str(), faults), ("[QR https://kaspi.kz/pay/1950]\n", Vec::new()));
    assert!(drawn == picture_of(&joined(&[b"\x1Ba\x01", &bands(&picture, 48)]), model).1);
}

#[test]
fn own_characters_belong_to_their_font_and_end_with_the_start_of_a_job() {
    let own =
        joined(&[START_866, &defined('Қ', b'!', Face::A), b"\x1B%\x01!\x1BM\x01!\x1BM\0\x1B%\0!\x1B%\x01\x1B?!!\n"]);
    assert_eq!(on(Model::SANDBOX, &own), ("Қ!!!\n".to_owned(), Vec::new()));
    let lost = joined(&[&own, START_866, b"\x1B%\x01!\n"]);
    assert!(on(Model::SANDBOX, &lost).0.ends_with("\n!\n"));
    // A range in one command, with fewer columns than the font has.
    let range = joined(&[b"\x1B&\x03AB\x01\xFF\xFF\xFF\x02\x80\0\0\x80\0\0\x1B%\x01AB\n"]);
    assert_eq!(on(Model::SANDBOX, &range), ("\u{FFFD} \n".trim_end().to_owned() + "\n", Vec::new()));
}

#[test]
fn a_picture_has_the_size_of_its_paper() {
    for (model, columns) in [(Model::SANDBOX, 48), (Model::GENERIC_58, 32), (Model::EPSON_80_180DPI, 42)] {
        let rows = b"Tea\n".repeat(10);
        let (_, png, _) = picture_of(&joined(&[&rows, b"\x1DVA\0", &rows]), model);
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut dots = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut dots).unwrap();
        assert_eq!(info.width as usize, model.dots + 2 * (24 + 16));
        assert_eq!(info.height as usize, 2 * (10 * 30 - 6 + 2 * 36 + 16) + 16, "two papers below each other");
        let ink = dots.iter().filter(|dot| **dot < 0x40).count();
        let glyphs: u32 = "Tea".chars().flat_map(|letter| glyph(letter, Face::A)).map(u16::count_ones).sum();
        assert_eq!(ink, 20 * glyphs as usize, "{columns} columns");
    }
}

// ---- the end of the roll

fn short_job() -> Vec<u8> {
    let rows: Vec<u8> = ["бір", "екі", "үш", "төрт"].iter().flat_map(|row| joined(&[&cyrillic(row), b"\n"])).collect();
    joined(&[START, &rows, CUT, PROCESS_ID])
}

const WHOLE: &str = "бір\nекі\nүш\nтөрт\n";

/// The roll ends at a byte; a new one comes; then the host says something.
fn stopped_at(byte: usize, behaviour: Behaviour) -> (Arc<Printer>, Vec<u8>, String) {
    let printer = printer(Model::EPSON_80);
    printer.set_behaviour(behaviour);
    printer.paper_out_after(byte);
    let mut heard = asked(&printer, &short_job());
    assert_eq!(printer.state(), State::PaperOut, "{byte}");
    assert_eq!(asked(&printer, &[0x10, 4, 4]), [0x7E], "{byte}");
    printer.set_state(State::Ready);
    let before = all_text(&printer);
    heard.extend(asked(&printer, b"\0"));
    (printer, heard, before)
}

#[test]
fn a_printer_that_continues_or_waits_loses_nothing_at_any_byte() {
    let bytes = short_job().len();
    for byte in 0..=bytes {
        let (printer, heard, early) = stopped_at(byte, Behaviour::Continues);
        assert_eq!((all_text(&printer).as_str(), early.as_str(), &heard[..]), (WHOLE, WHOLE, PROCESSED), "{byte}");
        let (printer, heard, early) = stopped_at(byte, Behaviour::Waits);
        assert_eq!((all_text(&printer).as_str(), &heard[..]), (WHOLE, PROCESSED), "{byte}");
        let at_cut = bytes - PROCESS_ID.len();
        assert_eq!(early == WHOLE, byte >= at_cut - CUT.len(), "{byte}: it waits for data: {early:?}");
        assert_eq!((printer.papers().len(), printer.faults()), (1, Vec::new()), "{byte}");
    }
}

#[test]
fn a_printer_that_drops_the_line_loses_one_and_still_says_done() {
    let mut lost = 0;
    let bytes = short_job().len();
    for byte in 0..=bytes {
        let (printer, heard, _) = stopped_at(byte, Behaviour::DropsLine);
        assert_eq!(heard, PROCESSED, "{byte}: processed is not printed");
        let text = all_text(&printer);
        let missing = WHOLE.lines().filter(|row| !text.lines().any(|printed| printed == *row)).count();
        let in_rows = byte > START.len() && byte < bytes - PROCESS_ID.len();
        assert_eq!(missing, usize::from(in_rows), "{byte}: {text}");
        lost += missing;
    }
    assert_eq!(lost, bytes - PROCESS_ID.len() - START.len() - 1);
}

#[test]
fn a_printer_that_loses_its_buffer_prints_only_the_beginning() {
    let bytes = short_job().len();
    let (printer, heard, _) = stopped_at(0, Behaviour::Loses);
    assert_eq!((all_text(&printer).as_str(), &heard[..]), (WHOLE, PROCESSED), "it stood before the job came");
    for byte in 1..=bytes {
        let (printer, heard, _) = stopped_at(byte, Behaviour::Loses);
        let text = all_text(&printer);
        assert!(WHOLE.starts_with(&text), "{byte}: {text}");
        assert_eq!(heard.is_empty(), byte < bytes, "{byte}: what was lost is never done");
        assert_eq!(text == WHOLE, byte >= bytes - PROCESS_ID.len() - CUT.len(), "{byte}: {text}");
        assert_eq!(printer.faults(), Vec::<String>::new(), "{byte}");
    }
}

#[test]
fn a_picture_that_the_end_of_the_roll_cuts_loses_its_upper_rows() {
    let dots = drawn("Шұжық", Style::PLAIN, Face::A, Align::Left, 576);
    let job = joined(&[&bands(&dots, 24), b"Tea\n"]);
    let printer = printer(Model::SANDBOX);
    printer.set_behaviour(Behaviour::DropsLine);
    printer.paper_out_after(8 + 8 * 12);
    printer.receive(&job);
    printer.set_state(State::Ready);
    let text = printer.strip();
    assert!(text.starts_with("[picture ") && text.ends_with("]\nTea\n"), "{text}");
    assert_eq!(printer.faults(), Vec::<String>::new());
}

// ---- what it says

#[test]
fn each_state_is_told_as_the_manual_says() {
    let cases = [
        (State::Ready, [0x12, 0x12, 0x12, 0x12], [0x10, 0, 0, 0], Some(0x00)),
        (State::PaperLow, [0x12, 0x12, 0x12, 0x1E], [0x10, 0, 3, 0], Some(0x03)),
        (State::PaperOut, [0x1A, 0x32, 0x12, 0x7E], [0x18, 0, 15, 0], None),
        (State::CoverOpen, [0x1A, 0x16, 0x12, 0x12], [0x38, 0, 0, 0], None),
        (State::Cutter, [0x1A, 0x52, 0x1A, 0x12], [0x18, 8, 0, 0], None),
        (State::Offline, [0x1A, 0x12, 0x12, 0x12], [0x18, 0, 0, 0], None),
    ];
    for (state, answers, unasked, fence) in cases {
        let printer = printer(Model::EPSON_80);
        assert_eq!(asked(&printer, b"\x1Da\x0E\x1D(H\x03\0\x31\x30\x01"), [0x10, 0, 0, 0]);
        printer.set_state(state);
        let offline: &[u8] = if fence.is_none() { &[0x37, 0x23, 0] } else { &[] };
        let changed: &[u8] = if state == State::Ready { &[] } else { &unasked };
        assert_eq!(said(&printer), joined(&[offline, changed]), "{state:?}");
        for (question, answer) in (1..).zip(answers) {
            assert_eq!(asked(&printer, &[0x10, 4, question]), [answer], "{state:?} {question}");
        }
        assert_eq!(asked(&printer, FENCE), fence.into_iter().collect::<Vec<u8>>(), "{state:?}");
        printer.set_state(State::Ready);
        let back: &[u8] = if state == State::Ready { &[] } else { &[0x10, 0, 0, 0] };
        let late: &[u8] = if fence.is_none() { &[0x00] } else { &[] };
        assert_eq!(said(&printer), joined(&[back, late]), "{state:?}: the fence comes when it goes on");
        assert_eq!(asked(&printer, b"\x1B@"), NOTHING);
        printer.set_state(State::CoverOpen);
        assert_eq!(said(&printer), [0x37, 0x23, 0], "the start of a job ends what is told unasked");
    }
}

#[test]
fn a_model_answers_what_it_answers() {
    let questions = joined(&[&[0x10, 4, 1], FENCE, PROCESS_ID, b"\x1DI\x43\x1Da\x0E"]);
    let name = |name: &str| joined(&[b"_", name.as_bytes(), b"\0"]);
    let epson = joined(&[&[0x12, 0], PROCESSED, &name("TM-T20III"), &[0x10, 0, 0, 0]]);
    assert_eq!(asked(&printer(Model::EPSON_80), &questions), epson);
    assert_eq!(asked(&printer(Model::GENERIC_58), &questions), joined(&[&[0x12, 0], &name("POS-58")]));
    let one_way = printer(Model::ONE_WAY);
    assert_eq!(asked(&one_way, &joined(&[&questions, b"a\n"])), NOTHING);
    assert_eq!((one_way.strip().as_str(), one_way.faults()), ("a\n", Vec::new()));
    let silent = printer(Model::EPSON_80);
    silent.set_state(State::Silent);
    assert_eq!(asked(&silent, &questions), NOTHING);
}

#[test]
fn requests_inside_a_picture_are_executed_and_the_picture_is_whole() {
    let printer = printer(Model::SANDBOX);
    let picture = joined(&[b"\x1Dv0\0\x08\0\x01\0", &[0x10, 4, 1, 0x10, 0x14, 1, 0, 1]]);
    assert_eq!(asked(&printer, &joined(&[&picture, b"a\n"])), [0x12]);
    assert_eq!(printer.drawer_pulses(), 1, "a picture opened the drawer");
    assert!(printer.strip().ends_with("]\na\n"), "{}", printer.strip());
    assert_eq!(printer.faults(), Vec::<String>::new());
}

#[test]
fn the_host_clears_the_buffer_of_a_printer_that_stands() {
    let standing = |model: Model| {
        let printer = printer(model);
        printer.paper_out_after(START.len() + 5);
        assert_eq!(asked(&printer, &short_job()), NOTHING);
        let heard = asked(&printer, CLEAR);
        printer.set_state(State::Ready);
        printer.receive(&short_job());
        (heard, all_text(&printer))
    };
    let (heard, text) = standing(Model::EPSON_80);
    assert_eq!((&heard[..], text), (&[0x37, 0x25, 0][..], format!("бір\n{WHOLE}")), "what was on paper stays");
    let (heard, text) = standing(Model { pages: Model::EPSON_80.pages, ..Model::RONGTA_80 });
    assert_eq!((&heard[..], text), (&[][..], format!("{WHOLE}{WHOLE}")), "a clone prints both");
    // A stuck cutter is recovered by the host: resume, or clear and resume.
    for (how, expected) in [(1, WHOLE), (2, "")] {
        let printer = printer(Model::EPSON_80);
        printer.set_state(State::Cutter);
        printer.receive(&joined(&[&short_job(), &[0x10, 5, how]]));
        assert_eq!((printer.state(), all_text(&printer).as_str()), (State::Ready, expected));
        printer.set_state(State::PaperOut);
        printer.receive(&[0x10, 5, how]);
        assert_eq!(printer.state(), State::PaperOut, "not for the end of the roll");
    }
}

#[test]
fn a_command_cut_short_takes_its_end_from_the_next_job() {
    let printer = printer(Model::SANDBOX);
    printer.receive(&joined(&[START, b"a\n\x1Dv0\0\x04\0\x03\0\xFF"]));
    printer.lock().begin();
    printer.receive(&joined(&[START, b"b\n"]));
    assert_eq!(printer.strip(), "a\n", "start and row were taken for dots");
    printer.receive(b"c\nd\n");
    assert!(printer.strip().starts_with("a\n[picture ") && printer.strip().ends_with("]\nd\n"), "{}", printer.strip());
    // Zeros up to the longest command, and a start.
    let helped = self::printer(Model::SANDBOX);
    helped.receive(&joined(&[START, b"a\n\x1Dv0\0\x04\0\x02\0\xFF", &[0; 64], START, b"b\n"]));
    assert!(
        helped.strip().ends_with("]\nb\n") && helped.faults().is_empty(),
        "{} {:?}",
        helped.strip(),
        helped.faults()
    );
    let off = self::printer(Model::SANDBOX);
    off.receive(b"a\n\x1Dv0\0\x04\0\x02\0\xFF");
    off.set_state(State::Off);
    off.set_state(State::Ready);
    off.receive(b"b\n");
    assert_eq!(off.strip(), "a\nb\n", "the switch forgets it");
}

// ---- line and speed

fn spawner() -> Spawner {
    Spawner::new(|task| drop(tokio::spawn(task)))
}

/// Lets every task go as far as it can.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

async fn answer(line: &mut DuplexStream, bytes: usize) -> Vec<u8> {
    let mut answer = vec![0; bytes];
    line.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_full_buffer_makes_the_line_wait_and_still_answers_what_reaches_it() {
    let (_hand, stop) = Stop::pair();
    let printer = printer(Model { buffer_bytes: 100, ..Model::EPSON_80 });
    printer.set_state(State::PaperOut);
    let mut line = printer.dial(&spawner(), &stop)().await.unwrap();
    line.write_all(&b"Tea\n".repeat(20)).await.unwrap();
    // Asking does not fill the buffer.
    for _ in 0..100 {
        line.write_all(&[0x10, 4, 4]).await.unwrap();
        assert_eq!(answer(&mut line, 1).await, [0x7E]);
    }
    let rest = b"Tea\n".repeat(400);
    let mut sent = Box::pin(line.write_all(&rest));
    for _ in 0..8 {
        assert!(sent.as_mut().now_or_never().is_none(), "the line waits");
        settle().await;
    }
    printer.set_state(State::Ready);
    sent.await.unwrap();
    line.write_all(FENCE).await.unwrap();
    assert_eq!(answer(&mut line, 1).await, [0]);
    assert_eq!(printer.strip(), "Tea\n".repeat(420));
}

#[tokio::test]
async fn with_a_speed_the_answer_comes_when_the_paper_is_out() {
    let (_hand, stop) = Stop::pair();
    let clock = Clock::manual(Wall(0));
    let slow = Model { bytes_per_second: 1000, ..Model::EPSON_80 };
    let printer = Printer::model("slow", slow, clock.clone());
    let mut line = printer.dial(&spawner(), &stop)().await.unwrap();
    let job = joined(&[&b"Tea\n".repeat(49), PROCESS_ID]);
    line.write_all(&job).await.unwrap();
    line.write_all(&[0x10, 4, 1]).await.unwrap();
    assert_eq!(answer(&mut line, 1).await, [0x12], "in real time");
    let mut heard = vec![0; PROCESSED.len()];
    {
        let mut proof = Box::pin(line.read_exact(&mut heard));
        let start = clock.now();
        while proof.as_mut().now_or_never().is_none() {
            settle().await;
            let next = clock.next_wake().expect("the head is at work");
            clock.advance(next.since(clock.now()));
            settle().await;
        }
        let took = clock.now().since(start);
        assert!(took >= Duration::from_millis(job.len() as u64), "{took:?}");
        assert!(took <= Duration::from_millis(job.len() as u64 + 40), "{took:?}");
    }
    assert_eq!(heard, PROCESSED);
    // It prints on when nobody is connected any more.
    line.write_all(&joined(&[&b"Tea\n".repeat(10), b"\x1DVA\0"])).await.unwrap();
    line.shutdown().await.unwrap();
    let mut cut = Box::pin(printer.wait_papers(1));
    while cut.as_mut().now_or_never().is_none() {
        settle().await;
        let next = clock.next_wake().expect("the head is at work");
        clock.advance(next.since(clock.now()));
        settle().await;
    }
    assert_eq!(printer.papers()[0].text, "Tea\n".repeat(59));
}

#[tokio::test]
async fn a_second_connection_waits_or_is_turned_away() {
    let (_hand, stop) = Stop::pair();
    let waits = printer(Model::EPSON_80);
    let dial = waits.dial(&spawner(), &stop);
    let first = dial().await.unwrap();
    let mut second = dial();
    settle().await;
    assert!((&mut second).now_or_never().is_none(), "it hangs");
    drop(first);
    let mut second = second.await.unwrap();
    second.write_all(FENCE).await.unwrap();
    assert_eq!(answer(&mut second, 1).await, [0]);
    let strict = printer(Model::XPRINTER_80);
    let dial = strict.dial(&spawner(), &stop);
    let first = dial().await.unwrap();
    assert_eq!(dial().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    drop(first);
    settle().await;
    let mut line = dial().await.unwrap();
    strict.set_state(State::Off);
    assert_eq!(line.read(&mut [0; 1]).await.unwrap(), 0, "the switch closes the line");
    assert_eq!(dial().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn at_a_port_a_second_connection_is_closed_by_a_model_that_serves_one() {
    let (_hand, stop) = Stop::pair();
    let printer = printer(Model::XPRINTER_80);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawner().start(Arc::clone(&printer).serve(listener, stop));
    let mut first = tokio::net::TcpStream::connect(address).await.unwrap();
    first.write_all(FENCE).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), 0);
    let mut second = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0, "turned away");
    first.write_all(FENCE).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), 0, "the first one is not disturbed");
}

#[tokio::test]
async fn a_line_breaks_at_the_byte_and_what_came_before_it_stays() {
    let (_hand, stop) = Stop::pair();
    let printer = printer(Model::EPSON_80);
    let dial = printer.dial(&spawner(), &stop);
    printer.cut_connection_after(START.len() + 6);
    let mut line = dial().await.unwrap();
    // The rest may be refused, depending on when the other end goes.
    let _sent = line.write_all(&short_job()).await;
    assert_eq!(line.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(printer.strip(), "бір\n");
    let mut line = dial().await.unwrap();
    line.write_all(&short_job()).await.unwrap();
    assert_eq!(answer(&mut line, PROCESSED.len()).await, PROCESSED);
    assert_eq!(printer.papers()[0].text, format!("бір\n{WHOLE}"), "the row in the making is cleared by the start");
}

#[test]
fn a_request_that_broke_off_with_its_line_prints_nothing() {
    for rest in [&[0x10][..], &[0x10, 0x04], &[0x10, 0x14]] {
        let bytes = [rest, &[0x10, 0x04, 0x04], b"\x1B@A\n\x1DV\x42\x00"].concat();
        let (text, _, faults) = picture_of(&bytes, Model::EPSON_80);
        assert_eq!((text.as_str(), faults), ("A\n", Vec::<String>::new()), "{rest:02X?}");
    }
}
