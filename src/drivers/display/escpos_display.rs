//! ESC/POS displays: Epson's DM-D and everything that imitates it (specification of the DM-D110, §5.4). A picture selects the display (a
//! printer may hang behind it), overwriting instead of scrolling, no cursor, the table of letters, and writes both lines from their
//! beginnings; nothing is cleared, so nothing flickers. Table 17 is cp866 at Epson; clones have it under other numbers, often 6: `table`.

use super::{KEYS, Lines, Panel, Speech};
use crate::drivers::{Build, Kind};

/// The registry's line.
pub const KIND: Kind = Kind {
    name: "escpos_display",
    title: "customer display that speaks ESC/POS",
    keys: KEYS,
    build: Build::Display(|setup| Panel::from_setup(setup, Speech::EscPos)),
};

const SELECT: [u8; 3] = [0x1B, b'=', 2];
const OVERWRITE: [u8; 2] = [0x1F, 1];
const CURSOR_OFF: [u8; 3] = [0x1F, b'C', 0];
const TABLE: [u8; 2] = [0x1B, b't'];
const CURSOR: [u8; 2] = [0x1F, b'$'];

pub(super) fn bytes(panel: &Panel, lines: &Lines) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(SELECT);
    bytes.extend(OVERWRITE);
    bytes.extend(CURSOR_OFF);
    bytes.extend(TABLE);
    bytes.push(panel.table);
    for (row, line) in (1..).zip(&lines.0) {
        write(&mut bytes, panel, row, line);
    }
    bytes
}

pub(super) fn upper(panel: &Panel, lines: &Lines) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, panel, 1, &lines.0[0]);
    bytes
}

fn write(bytes: &mut Vec<u8>, panel: &Panel, row: u8, line: &str) {
    bytes.extend(CURSOR);
    bytes.extend([1, row]);
    bytes.extend(panel.letters.bytes(line));
}
