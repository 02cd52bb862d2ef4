//! Lines and codes as pictures (escpos §2.3): `GS v 0` in bands of at most [`BAND_ROWS_TALL`] rows, so that a broken job spoils little.
//! Our own glyphs take the printer's cells dot for dot; what looks like a real-time request inside the dots is changed by one dot.

use super::layout::{Align, Line};
use super::{Face, Profile, font};
use std::collections::HashMap;

/// Rows of one command: a line of text.
pub const BAND_ROWS: usize = 24;
/// Rows of one command where a line is twice as high.
pub const BAND_ROWS_TALL: usize = 48;
/// White rows between two lines: with 24 rows of text the usual pitch of 30.
const LEAD_ROWS: usize = 6;

/// A picture of one bit a dot, row by row, the highest bit of a byte is its left dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    across: usize,
    dots: Vec<u8>,
}

impl Picture {
    /// A white one; width and height in dots.
    pub fn white(width: usize, height: usize) -> Picture {
        let across = width.div_ceil(8);
        Picture { width, across, dots: vec![0; across * height] }
    }

    /// Its width in dots.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Blackens a dot; one outside of it is none.
    pub fn ink(&mut self, x: usize, y: usize) {
        if let Some(byte) = self.dots.get_mut(y * self.across + x / 8).filter(|_| x < self.width) {
            *byte |= 0x80 >> (x % 8);
        }
    }

    /// Whether a dot is black.
    pub fn is_ink(&self, x: usize, y: usize) -> bool {
        let byte = self.dots.get(y * self.across + x / 8).filter(|_| x < self.width);
        byte.is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0)
    }

    /// Appends it as commands of at most so many rows each.
    pub fn print(&self, rows: usize, bytes: &mut Vec<u8>) {
        if self.across == 0 {
            return;
        }
        for band in self.dots.chunks(self.across * rows) {
            let [x_low, x_high] = u16::try_from(self.across).unwrap_or(u16::MAX).to_le_bytes();
            let [y_low, y_high] = u16::try_from(band.len() / self.across).unwrap_or(u16::MAX).to_le_bytes();
            bytes.extend([0x1D, 0x76, 0x30, 0, x_low, x_high, y_low, y_high]);
            let start = bytes.len();
            bytes.extend(band);
            disarm(bytes.get_mut(start..).unwrap_or_default());
        }
    }
}

/// Changes one dot wherever dots would be taken for a real-time request: 10 followed by 04, 05 or 14 (escpos §2.3).
pub fn disarm(dots: &mut [u8]) {
    let mut before = 0;
    for byte in dots {
        if before == 0x10 && matches!(*byte, 0x04 | 0x05 | 0x14) {
            *byte |= 0x08;
        }
        before = *byte;
    }
}

/// Draws lines with our own glyphs; each glyph is looked up once.
pub struct Painter<'a> {
    profile: &'a Profile,
    glyphs: HashMap<char, font::Glyph>,
}

impl<'a> Painter<'a> {
    /// A painter for the cells of a printer.
    pub fn new(profile: &'a Profile) -> Painter<'a> {
        Painter { profile, glyphs: HashMap::with_capacity(64) }
    }

    /// Appends a line as pictures and the feed below it.
    pub fn line(&mut self, line: &Line, bytes: &mut Vec<u8>) {
        let is_empty = line.text.trim_end().is_empty();
        if is_empty && !line.style.inverse {
            bytes.push(0x0A);
            return;
        }
        let rows = if line.style.tall { BAND_ROWS_TALL } else { BAND_ROWS };
        self.picture(line).print(rows, bytes);
        if !line.style.inverse {
            bytes.extend([0x1B, 0x4A, LEAD_ROWS as u8]);
        }
    }

    fn picture(&mut self, line: &Line) -> Picture {
        let style = line.style;
        let (cell, height) = font::cell(self.profile.face);
        let (across, down) = (1 + usize::from(style.wide), 1 + usize::from(style.tall));
        // White at the end of a line costs bytes and shows nothing.
        let text = if style.inverse { line.text.as_str() } else { line.text.trim_end() };
        let margin = match line.align {
            Align::Left => 0,
            Align::Centre => {
                let taken = line.text.chars().count() * cell * across;
                (self.profile.columns * cell).saturating_sub(taken) / 2
            }
        };
        let width = margin + text.chars().count() * cell * across;
        // An inverse line fills the lead as well, so that bars of several lines close.
        let lead = if style.inverse { LEAD_ROWS } else { 0 };
        let mut picture = Picture::white(width, height * down + lead);
        let mut left = margin;
        for letter in text.chars() {
            let glyph = self.glyph(letter);
            for y in 0..height {
                let mut row = u32::from(glyph.get(y).copied().unwrap_or(0));
                if style.bold {
                    // A stroke grows by a dot where that leaves the gap open.
                    row |= row >> 1 & !(row << 1);
                }
                let row = if style.inverse { !row } else { row };
                let row = row & ((1 << cell) - 1);
                let row = if style.wide { doubled(row, cell) } else { row };
                for copy in 0..down {
                    picture.stamp(row, cell * across, left, y * down + copy);
                }
            }
            for y in height * down..height * down + lead {
                picture.stamp((1 << (cell * across)) - 1, cell * across, left, y);
            }
            left += cell * across;
        }
        picture
    }

    fn glyph(&mut self, letter: char) -> font::Glyph {
        let face = self.profile.face;
        *self.glyphs.entry(letter).or_insert_with(|| drawn(letter, face))
    }
}

impl Picture {
    /// Blackens the lowest `width` bits (at most 24) of a row from a dot on.
    fn stamp(&mut self, row: u32, width: usize, left: usize, y: usize) {
        let bits = row << (32 - width) >> (left % 8);
        let from = y * self.across + left / 8;
        let until = (y + 1) * self.across;
        for (byte, part) in self.dots.get_mut(from..until).into_iter().flatten().zip(bits.to_be_bytes()) {
            *byte |= part;
        }
    }
}

/// The glyph in a font, in as many rows as it has; what the font lacks is the sign for the unknown.
pub fn drawn(letter: char, face: Face) -> font::Glyph {
    match face {
        Face::A => font::glyph(letter).or_else(|| font::glyph('?')).unwrap_or_default(),
        Face::B => {
            let small = font::small_glyph(letter).or_else(|| font::small_glyph('?')).unwrap_or_default();
            let mut glyph = font::Glyph::default();
            for (row, dots) in glyph.iter_mut().zip(small) {
                *row = dots;
            }
            glyph
        }
    }
}

/// Each bit twice.
fn doubled(row: u32, width: usize) -> u32 {
    (0..width).filter(|bit| row >> bit & 1 == 1).fold(0, |wide, bit| wide | 0b11 << (2 * bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::printer::Letters;
    use crate::drivers::printer::layout::Style;

    fn line(text: &str, style: Style, align: Align) -> Line {
        Line { text: text.to_owned(), style, align }
    }

    #[test]
    fn a_letter_is_its_glyph_dot_for_dot() {
        for (face, columns) in [(Face::A, 48), (Face::B, 64)] {
            let profile = Profile { face, columns, ..Profile::wide(Letters::Pc866) };
            let (cell, height) = font::cell(face);
            for style in [
                Style::PLAIN,
                Style { wide: true, ..Style::PLAIN },
                Style { tall: true, inverse: true, ..Style::PLAIN },
            ] {
                let picture = Painter::new(&profile).picture(&line("aҚ₸", style, Align::Left));
                let (across, down) = (1 + usize::from(style.wide), 1 + usize::from(style.tall));
                for (place, letter) in "aҚ₸".chars().enumerate() {
                    let glyph = drawn(letter, face);
                    for (x, y) in (0..cell * across).flat_map(|x| (0..height * down).map(move |y| (x, y))) {
                        let dot = glyph[y / down] >> (cell - 1 - x / across) & 1 == 1;
                        assert_eq!(
                            picture.is_ink(place * cell * across + x, y),
                            dot != style.inverse,
                            "{letter} {x} {y}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_centred_line_stands_in_the_middle_and_a_blank_one_is_a_feed() {
        let profile = Profile::narrow(Letters::Pc866);
        let mut painter = Painter::new(&profile);
        let picture = painter.picture(&line("██", Style::PLAIN, Align::Centre));
        assert_eq!((picture.width(), picture.is_ink(179, 12), picture.is_ink(180, 12)), (204, false, true));
        let mut bytes = Vec::new();
        painter.line(&line("   ", Style::PLAIN, Align::Left), &mut bytes);
        assert_eq!(bytes, [0x0A]);
    }

    #[test]
    fn bands_are_small_and_never_hold_a_request() {
        let mut picture = Picture::white(32, 100);
        picture.dots.fill(0x10);
        for (place, dots) in [0x04, 0x05, 0x14, 0x11].into_iter().enumerate() {
            picture.dots[8 * place + 1] = dots;
        }
        let mut bytes = Vec::new();
        picture.print(48, &mut bytes);
        assert_eq!(bytes.get(..8), Some(&[0x1D, 0x76, 0x30, 0, 4, 0, 48, 0][..]));
        assert_eq!(bytes.len(), 3 * 8 + 400);
        assert_eq!(bytes.get(8..10), Some(&[0x10, 0x0C][..]));
        assert_eq!(bytes.get(8 + 24..8 + 26), Some(&[0x10, 0x11][..]));
        assert!(!bytes.windows(2).any(|pair| pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14)));
    }
}
