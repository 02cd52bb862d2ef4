//! A paper of the sandbox as a picture, dot by dot as a print head of 203 dpi would burn it, on paper with a torn edge.

use super::machine::Row;
use crate::drivers::printer::font::{self, HEIGHT, WIDTH};
use crate::drivers::printer::layout::{Align, Style};

/// White at both sides of the text.
const MARGIN: usize = 24;
/// White above the first row and below the last.
const HEAD: usize = 36;
/// Dots between two rows: the usual line spacing is 30.
const LEAD: usize = 6;
/// The table on which the paper lies.
const FRAME: usize = 16;
/// Height of the teeth of the torn edge.
const TOOTH: usize = 6;

const TABLE: u8 = 0xD5;
const PAPER: u8 = 0xFC;
const INK: u8 = 0x1C;

/// Draws rows as a PNG; empty when that fails, which only a lack of memory can do.
pub fn png(rows: &[Row], columns: usize) -> Vec<u8> {
    let printed = rows.iter().rposition(|row| !row.cells.is_empty()).map_or(0, |last| last + 1);
    let rows = rows.get(..printed).unwrap_or_default();
    let mut sheet = Sheet::new(columns * WIDTH, rows.iter().map(pitch).sum());
    let mut top = FRAME + HEAD;
    for row in rows {
        let margin = match row.align {
            Align::Left => 0,
            Align::Centre => (columns * WIDTH).saturating_sub(row.columns() * WIDTH) / 2,
        };
        let mut left = FRAME + MARGIN + margin;
        let base = top + pitch(row) - LEAD;
        for (letter, style) in &row.cells {
            sheet.cell(*letter, *style, left, base);
            left += WIDTH * (1 + usize::from(style.wide));
        }
        top += pitch(row);
    }
    sheet.encode().unwrap_or_default()
}

fn pitch(row: &Row) -> usize {
    let tall = row.cells.iter().any(|(_, style)| style.tall);
    HEIGHT * (1 + usize::from(tall)) + LEAD
}

struct Sheet {
    width: usize,
    dots: Vec<u8>,
}

impl Sheet {
    fn new(text_width: usize, text_height: usize) -> Sheet {
        let width = text_width + 2 * (MARGIN + FRAME);
        let height = text_height + 2 * (HEAD + FRAME);
        let mut sheet = Sheet { width, dots: vec![TABLE; width * height] };
        for y in FRAME..height - FRAME {
            for x in FRAME..width - FRAME {
                let tooth = (x % (2 * TOOTH)).abs_diff(TOOTH);
                if y >= FRAME + tooth && y + FRAME + tooth < height {
                    sheet.dot(x, y, PAPER);
                }
            }
        }
        sheet
    }

    fn dot(&mut self, x: usize, y: usize, shade: u8) {
        if let Some(dot) = self.dots.get_mut(y * self.width + x) {
            *dot = shade;
        }
    }

    /// Draws a character whose cell stands on `base`. The font has one weight; emphasis widens its strokes by a dot where that leaves
    /// the gaps open.
    fn cell(&mut self, letter: char, style: Style, left: usize, base: usize) {
        let (across, down) = (1 + usize::from(style.wide), 1 + usize::from(style.tall));
        let glyph = font::glyph(letter).unwrap_or([0x7FE; HEIGHT]);
        let top = base - HEIGHT * down;
        // An inverse cell fills the lead as well, so that bars of several rows close.
        let fill = if style.inverse { LEAD } else { 0 };
        for y in 0..HEIGHT * down + fill {
            let row = glyph.get(y / down).copied().unwrap_or(0);
            let row = if style.bold { row | (row >> 1 & !(row << 1)) } else { row };
            for x in 0..WIDTH * across {
                let inked = row >> (WIDTH - 1 - x / across) & 1 == 1;
                if inked != style.inverse {
                    self.dot(left + x, top + y, INK);
                }
            }
        }
    }

    fn encode(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut picture = Vec::new();
        let height = self.dots.len() / self.width;
        let side = |dots: usize| u32::try_from(dots).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut picture, side(self.width), side(height));
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.dots)?;
        writer.finish()?;
        Ok(picture)
    }
}
