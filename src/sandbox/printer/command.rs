//! Where a command ends (escpos §2.3, §3): printers know the length of what they know, and only that. A command that a model lacks ends
//! at the byte that betrays it, and the rest of it becomes text.

use super::model::Model;
use crate::drivers::printer::{Buzzer, Face, font};

/// Bytes of a definition for each of its columns.
pub const COLUMN_BYTES: usize = 3;

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It has at least so many bytes.
    AtLeast(usize),
    /// This model does not know it.
    Unknown,
}

/// How many bytes a command has at least, as far as its beginning tells.
pub fn extent(command: &[u8], model: &Model) -> Extent {
    let bytes = match command {
        [0x10 | 0x1B..=0x1D] => 2,
        [0x10, rest @ ..] => return known(real_time(rest)),
        [0x1B, rest @ ..] => return known(escape(rest, model)),
        [0x1C, 0x26 | 0x2E] => 2,
        [0x1D, rest @ ..] => return known(group(rest, model)),
        _ => return Extent::Unknown,
    };
    Extent::AtLeast(bytes)
}

fn known(bytes: Option<usize>) -> Extent {
    bytes.map_or(Extent::Unknown, Extent::AtLeast)
}

/// The length of a command in real time, which is passed over in sequence: it was executed when it came.
pub fn real_time(rest: &[u8]) -> Option<usize> {
    match rest {
        [0x04 | 0x05] | [0x14] => Some(3),
        [0x04, 1..=4] | [0x05, 1..=2] => Some(3),
        [0x14, 0x01 | 0x02, ..] => Some(5),
        [0x14, 0x08, ..] => Some(10),
        _ => None,
    }
}

fn escape(rest: &[u8], model: &Model) -> Option<usize> {
    match rest {
        [0x32 | 0x40 | 0x69 | 0x6D] => Some(2),
        [0x21 | 0x2D | 0x33 | 0x45 | 0x4A | 0x4D | 0x61 | 0x64 | 0x74, ..] => Some(3),
        [0x70, ..] => Some(5),
        [0x42, ..] if model.knows(Buzzer::Clone) => Some(4),
        [0x28] | [0x28, 0x41, ..] if model.knows(Buzzer::Epson) => counted(rest),
        [0x25 | 0x3F, ..] if model.user_defined => Some(3),
        [0x26, ..] if model.user_defined => Some(definition(rest)),
        _ => None,
    }
}

fn group(rest: &[u8], model: &Model) -> Option<usize> {
    match rest {
        [0x21 | 0x42 | 0x49 | 0x61 | 0x72, ..] => Some(3),
        [0x56] | [0x56, 0 | 1 | 0x30 | 0x31] => Some(3),
        [0x56, 0x41 | 0x42 | 0x61 | 0x62 | 0x67 | 0x68, ..] => Some(4),
        [0x28, ..] => counted(rest),
        [0x76] | [0x76, 0x30, ..] if model.raster => Some(raster(rest)),
        _ => None,
    }
}

/// `( X pL pH` and so many bytes.
fn counted(rest: &[u8]) -> Option<usize> {
    match rest {
        [_, _, low, high, ..] => Some(5 + number(*low, *high)),
        _ => Some(5),
    }
}

fn raster(rest: &[u8]) -> usize {
    match rest {
        [_, _, _, width_low, width_high, low, high, ..] => {
            8 + number(*width_low, *width_high).saturating_mul(number(*low, *high))
        }
        _ => 8,
    }
}

/// `& y c1 c2` and for each code its columns. It ends early where it makes no sense.
fn definition(rest: &[u8]) -> usize {
    let [_, height, first, last, columns @ ..] = rest else { return 5 };
    if !is_definable(*height, *first, *last) {
        return 5;
    }
    let mut bytes = 0;
    for _code in *first..=*last {
        match columns.get(bytes).map(|count| usize::from(*count)) {
            None => return 5 + bytes + 1,
            Some(count) if count > font::cell(Face::A).0 => return 5 + bytes + 1,
            Some(count) => bytes += 1 + COLUMN_BYTES * count,
        }
    }
    5 + bytes
}

/// Whether characters can be defined so.
pub fn is_definable(height: u8, first: u8, last: u8) -> bool {
    usize::from(height) == COLUMN_BYTES && (0x20..=last).contains(&first) && last <= 0x7E
}

/// A number of two bytes, the low one first.
pub fn number(low: u8, high: u8) -> usize {
    usize::from(u16::from_le_bytes([low, high]))
}
