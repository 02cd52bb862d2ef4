//! Our own glyphs as print heads of 203 dpi draw them (escpos §2.4, §3.7): font A, 12 dots wide and 24 high, and font B, 9 by 17. Letters
//! that a printer's page lacks are printed with them, and the sandbox draws its papers with them. Origin and licence: `font/`.

use super::Face;

/// Width of a cell of font A in dots.
pub const WIDTH: usize = 12;
/// Height of a cell of font A in dots.
pub const HEIGHT: usize = 24;
/// Width of a cell of font B in dots.
pub const SMALL_WIDTH: usize = 9;
/// Height of a cell of font B in dots.
pub const SMALL_HEIGHT: usize = 17;

/// One cell of font A: a row each, the highest of twelve bits is the left dot.
pub type Glyph = [u16; HEIGHT];

/// One cell of font B: a row each, the highest of nine bits is the left dot.
pub type SmallGlyph = [u16; SMALL_HEIGHT];

const DATA: &str = include_str!("font/counter-12x24.txt");
const SMALL_DATA: &str = include_str!("font/counter-9x17.txt");
/// Four digits of the code point and a space stand before the rows.
const CODE: usize = 5;
/// Each row is three digits.
const ROW: usize = 3;

/// Dots of a cell, across and down.
pub const fn cell(face: Face) -> (usize, usize) {
    match face {
        Face::A => (WIDTH, HEIGHT),
        Face::B => (SMALL_WIDTH, SMALL_HEIGHT),
    }
}

/// The glyph of a character in font A; `None` when the font has none.
pub fn glyph(letter: char) -> Option<Glyph> {
    drawn(DATA, letter)
}

/// The glyph of a character in font B; `None` when the font has none.
pub fn small_glyph(letter: char) -> Option<SmallGlyph> {
    drawn(SMALL_DATA, letter)
}

/// A row of a glyph with emphasis: a stroke grows by a dot where that leaves two dots of a gap open, within the letter and to the next.
pub fn emphasised(row: u16) -> u16 {
    row | (row >> 1 & !(row << 1) & !(row << 2) & !1)
}

/// Whether both fonts can draw a character.
pub fn has(letter: char) -> bool {
    glyph(letter).is_some() && small_glyph(letter).is_some()
}

fn drawn<const ROWS: usize>(data: &str, letter: char) -> Option<[u16; ROWS]> {
    if letter == ' ' || letter == '\u{A0}' {
        return Some([0; ROWS]);
    }
    // The end of the line is part of a record.
    let size = CODE + ROW * ROWS + 1;
    let (mut low, mut high) = (0, data.len() / size);
    while low < high {
        let middle = low + (high - low) / 2;
        let record = data.get(middle * size..(middle + 1) * size)?;
        let code = u32::from_str_radix(record.get(..CODE - 1)?, 16).ok()?;
        match code.cmp(&u32::from(letter)) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return rows(record.get(CODE..)?),
        }
    }
    None
}

fn rows<const ROWS: usize>(digits: &str) -> Option<[u16; ROWS]> {
    let mut glyph = [0; ROWS];
    for (row, dots) in glyph.iter_mut().enumerate() {
        *dots = u16::from_str_radix(digits.get(ROW * row..ROW * (row + 1))?, 16).ok()?;
    }
    Some(glyph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_the_shop_has_a_glyph() {
        let wanted = "0123456789abcXYZ.,-+*/«»–—№₸аяАЯёЁәғқңөұүһіӘҒҚҢӨҰҮҺІ─│┌┐└┘█?";
        for letter in wanted.chars() {
            let inked = glyph(letter).is_some_and(|rows| rows.iter().any(|row| *row != 0));
            let small = small_glyph(letter).is_some_and(|rows| rows.iter().any(|row| *row != 0));
            assert!(inked && small, "{letter} has no glyph");
        }
        assert!(glyph(' ').is_some_and(|rows| rows.iter().all(|row| *row == 0)));
    }

    #[test]
    fn the_files_are_sorted_and_even() {
        for (data, rows, width) in [(DATA, HEIGHT, WIDTH), (SMALL_DATA, SMALL_HEIGHT, SMALL_WIDTH)] {
            assert_eq!(data.len() % (CODE + ROW * rows + 1), 0);
            let codes: Vec<&str> = data.lines().filter_map(|line| line.get(..CODE - 1)).collect();
            assert!(codes.is_sorted() && codes.len() > 500);
            let dots = |line: &str| u16::from_str_radix(line.get(CODE..CODE + ROW).unwrap_or("FFF"), 16).unwrap_or(!0);
            assert!(data.lines().all(|line| dots(line) < 1 << width));
        }
        assert_eq!(glyph('\u{E000}'), None);
    }
}
