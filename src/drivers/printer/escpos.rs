//! ESC/POS: lines become bytes. The crate `escpos` encodes what it encodes right (start, size, weight, inverse, alignment, feed); where
//! it errs (escpos §1: cut, drawer, hyphen, raw UTF-8, command characters in text) the bytes are ours. Every job begins by setting the
//! printer up anew, so that it never depends on what was printed before.

use crate::domain::paper::{Document, Imprint};
use crate::drivers::printer::layout::{self, Align, Line, Style};
use crate::drivers::printer::{Cut, Profile};
use crate::drivers::{Build, Key, Kind, Takes};
use ::escpos::driver::Driver;
use ::escpos::errors::Result as Encoded;
use ::escpos::printer::Printer;
use ::escpos::utils::{JustifyMode, Protocol};
use std::cell::RefCell;

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
            name: "letters",
            takes: Takes::Text,
            required: false,
            help: "table of letters: \"pc866\" (default), \"cp1251\" or \"kz1048\" (with Kazakh letters)",
        },
        Key {
            name: "code_page",
            takes: Takes::Number,
            required: false,
            help: "number of that table on this model, from its self-test; default 17, 46 or 53",
        },
        Key { name: "cut", takes: Takes::Text, required: false, help: "\"partial\" (default), \"full\" or \"none\"" },
        Key {
            name: "answers",
            takes: Takes::Flag,
            required: false,
            help: "false for a printer that never answers questions",
        },
    ],
    build: Build::Printer(Profile::from_setup),
};

/// Opens the drawer at pin 2: 50 ms on, 500 ms off. A job of its own, sent once and never repeated (escpos §3.6).
pub const DRAWER: [u8; 5] = [0x1B, 0x70, 0x00, 0x19, 0xFA];

const LINE_END: u8 = 0x0A;
const DOUBLE_BYTE_OFF: [u8; 2] = [0x1C, 0x2E];
const START: [u8; 2] = [0x1B, 0x40];

/// The bytes of a document, from the printer's start to the cut.
pub fn render(document: &Document, imprint: &Imprint, profile: &Profile) -> Vec<u8> {
    encode(&layout::layout(document, imprint, profile), profile)
}

/// The bytes of lines that were laid out for this profile.
pub fn encode(lines: &[Line], profile: &Profile) -> Vec<u8> {
    // The crate can refuse only values that we never give; were it to, plain paper is better than none.
    styled(lines, profile).unwrap_or_else(|_| plain(lines, profile))
}

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

fn styled(lines: &[Line], profile: &Profile) -> Encoded<Vec<u8>> {
    let room = 64 + lines.iter().map(|line| line.text.len() + 16).sum::<usize>();
    let mut printer = Printer::new(Collector(RefCell::new(Vec::with_capacity(room))), Protocol::default(), None);
    printer.init()?.custom(&page(profile))?;
    let (mut style, mut align) = (Style::PLAIN, Align::Left);
    // Rows between two changes of style go out as one piece.
    let mut rows = Vec::with_capacity(room);
    for line in lines {
        if (line.style, line.align) != (style, align) {
            flush(&mut printer, &mut rows)?;
            restyle(&mut printer, (style, align), (line.style, line.align))?;
            (style, align) = (line.style, line.align);
        }
        row(line, profile, &mut rows);
    }
    flush(&mut printer, &mut rows)?;
    restyle(&mut printer, (style, align), (Style::PLAIN, Align::Left))?;
    printer.feeds(profile.feed_lines)?.custom(cut(profile.cut))?.print()?;
    Ok(printer.driver().0.into_inner())
}

fn flush(printer: &mut Printer<Collector>, rows: &mut Vec<u8>) -> Encoded<()> {
    if !rows.is_empty() {
        printer.custom(rows)?;
        rows.clear();
    }
    Ok(())
}

fn restyle(printer: &mut Printer<Collector>, from: (Style, Align), to: (Style, Align)) -> Encoded<()> {
    let ((old, old_align), (new, new_align)) = (from, to);
    if old_align != new_align {
        printer.justify(match new_align {
            Align::Left => JustifyMode::LEFT,
            Align::Centre => JustifyMode::CENTER,
        })?;
    }
    if (old.wide, old.tall) != (new.wide, new.tall) {
        printer.size(1 + u8::from(new.wide), 1 + u8::from(new.tall))?;
    }
    if old.bold != new.bold {
        printer.bold(new.bold)?;
    }
    if old.inverse != new.inverse {
        printer.reverse(new.inverse)?;
    }
    Ok(())
}

fn row(line: &Line, profile: &Profile, rows: &mut Vec<u8>) {
    rows.extend(line.text.chars().map(|letter| profile.letters.encode(letter).unwrap_or(b'?')));
    rows.push(LINE_END);
}

/// What selects the letters: out of the double-byte mode first, then the page.
fn page(profile: &Profile) -> Vec<u8> {
    let off: &[u8] = if profile.double_byte_off { &DOUBLE_BYTE_OFF } else { &[] };
    [off, &[0x1B, 0x74, profile.page]].concat()
}

/// Feeds to the cutter and cuts. The crate sends the full cut for both.
fn cut(cut: Cut) -> &'static [u8] {
    match cut {
        Cut::Partial => &[0x1D, 0x56, 0x42, 0x00],
        Cut::Full => &[0x1D, 0x56, 0x41, 0x00],
        Cut::None => &[],
    }
}

fn plain(lines: &[Line], profile: &Profile) -> Vec<u8> {
    let mut bytes = [&START[..], &page(profile)].concat();
    for line in lines {
        row(line, profile, &mut bytes);
    }
    bytes.extend([0x1B, 0x64, profile.feed_lines]);
    bytes.extend(cut(profile.cut));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::printer::Letters;

    #[test]
    fn plain_paper_has_the_same_rows() {
        let profile = Profile::wide(Letters::Pc866);
        let lines = [Line { text: "Чай - 1".to_owned(), style: Style::PLAIN, align: Align::Left }];
        assert_eq!(plain(&lines, &profile), encode(&lines, &profile));
        assert!(encode(&lines, &profile).starts_with(&[0x1B, 0x40, 0x1C, 0x2E, 0x1B, 0x74, 17]));
    }
}
