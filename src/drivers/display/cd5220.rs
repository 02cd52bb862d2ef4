//! CD5220, the language of Partner Tech's displays that most makers can be switched to (user's manual of the CD5220, §6.1). `ESC Q A` and
//! `ESC Q B` write a whole line and lock the display into its string mode, which only `CLR` or `CAN` ends, so every picture begins with
//! `CLR`. The Russian table is chosen by `ESC c R`: the manual names it and does not print it; a till program in the field sends it with
//! cp866. No command of the family shows a QR code, not on its models with two displays either: a link is text.

use super::{KEYS, Lines, Panel, Speech};
use crate::drivers::{Build, Kind};

/// The registry's line.
pub const KIND: Kind = Kind {
    name: "cd5220",
    title: "customer display that speaks CD5220",
    keys: KEYS,
    build: Build::Display(|setup| Panel::from_setup(setup, Speech::Cd5220)),
};

const CLEAR: u8 = 0x0C;
const RUSSIAN: [u8; 3] = [0x1B, b'c', b'R'];
const LINES: [[u8; 3]; 2] = [[0x1B, b'Q', b'A'], [0x1B, b'Q', b'B']];
const END: u8 = 0x0D;

pub(super) fn bytes(panel: &Panel, lines: &Lines) -> Vec<u8> {
    let mut bytes = vec![CLEAR];
    bytes.extend(RUSSIAN);
    for (start, line) in LINES.iter().zip(&lines.0) {
        write(&mut bytes, panel, *start, line);
    }
    bytes
}

pub(super) fn upper(panel: &Panel, lines: &Lines) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, panel, LINES[0], &lines.0[0]);
    bytes
}

fn write(bytes: &mut Vec<u8>, panel: &Panel, start: [u8; 3], line: &str) {
    bytes.extend(start);
    bytes.extend(panel.letters.bytes(line));
    bytes.push(END);
}
