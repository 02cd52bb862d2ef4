//! Papers of the sandbox as a picture, dot by dot as a print head of 203 dpi would burn them, on paper with torn edges.

use super::reading::emphasised;
use super::strip::{Cell, Letter, Row, Strip};
use crate::drivers::printer::{Face, font};

/// White at both sides of the text.
const MARGIN: usize = 24;
/// White above the first row and below the last.
const HEAD: usize = 36;
/// The table on which the paper lies.
const FRAME: usize = 16;
/// Height of the teeth of the torn edge.
const TOOTH: usize = 6;

const TABLE: u8 = 0xD5;
const PAPER: u8 = 0xFC;
const INK: u8 = 0x1C;

/// Draws papers below each other as a PNG; empty when that fails, which only a lack of memory can do.
pub fn png(papers: &[&[Strip]], dots: usize) -> Vec<u8> {
    let papers: Vec<&[Strip]> = papers.iter().map(|strips| printed(strips)).collect();
    let heights: Vec<usize> = papers.iter().map(|strips| strips.iter().map(Strip::height).sum()).collect();
    let mut sheet = Sheet::new(dots, &heights);
    let mut top = FRAME + HEAD;
    for (strips, height) in papers.iter().zip(&heights) {
        let mut at = top;
        for strip in *strips {
            sheet.strip(strip, at, dots);
            at += strip.height();
        }
        top += height + 2 * HEAD + FRAME;
    }
    sheet.encode().unwrap_or_default()
}

/// Without the paper that is only fed at the end.
fn printed(strips: &[Strip]) -> &[Strip] {
    let printed = strips.iter().rposition(|strip| !strip.is_blank()).map_or(0, |last| last + 1);
    strips.get(..printed).unwrap_or_default()
}

struct Sheet {
    width: usize,
    dots: Vec<u8>,
}

impl Sheet {
    /// A table with empty papers of these heights on it.
    fn new(dots: usize, heights: &[usize]) -> Sheet {
        let width = dots + 2 * (MARGIN + FRAME);
        let height: usize = heights.iter().map(|height| height + 2 * HEAD + FRAME).sum::<usize>() + FRAME;
        let mut sheet = Sheet { width, dots: vec![TABLE; width * height] };
        let mut top = FRAME;
        for height in heights {
            let below = top + height + 2 * HEAD;
            sheet.paper(top, below);
            top = below + FRAME;
        }
        sheet
    }

    fn paper(&mut self, top: usize, below: usize) {
        for y in top..below {
            for x in FRAME..self.width - FRAME {
                let tooth = (x % (2 * TOOTH)).abs_diff(TOOTH);
                if y >= top + tooth && y + tooth < below {
                    self.dot(x, y, PAPER);
                }
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, shade: u8) {
        if let Some(dot) = self.dots.get_mut(y * self.width + x) {
            *dot = shade;
        }
    }

    fn strip(&mut self, strip: &Strip, top: usize, dots: usize) {
        match strip {
            Strip::Row(row) => self.row(row, top, dots),
            Strip::Feed(_) => {}
            Strip::Band(band) => {
                let inside = band.dots.width().min(dots.saturating_sub(band.left));
                for (x, y) in (0..band.dots.height()).flat_map(|y| (0..inside).map(move |x| (x, y))) {
                    if band.dots.is_ink(x, y) {
                        self.dot(FRAME + MARGIN + band.left + x, top + y, INK);
                    }
                }
            }
        }
    }

    fn row(&mut self, row: &Row, top: usize, dots: usize) {
        let mut left = FRAME + MARGIN + row.left(dots);
        for cell in &row.cells {
            let (width, height) = cell.size();
            self.cell(cell, left, top + row.height() - height);
            left += width;
        }
    }

    /// Draws a cell. The fonts have one weight; emphasis widens their strokes by a dot where that leaves the gaps open.
    fn cell(&mut self, cell: &Cell, left: usize, top: usize) {
        let (width, _) = font::cell(cell.face);
        let (across, down) = (1 + usize::from(cell.style.wide), 1 + usize::from(cell.style.tall));
        let glyph = drawn(cell);
        for (y, row) in glyph.iter().enumerate() {
            let row = if cell.style.bold { emphasised(*row) } else { *row };
            let row = if cell.underlined && y + 2 > glyph.len() { u16::MAX } else { row };
            for x in (0..width).filter(|x| (row >> (width - 1 - x) & 1 == 1) != cell.style.inverse) {
                for (dx, dy) in (0..across).flat_map(|dx| (0..down).map(move |dy| (dx, dy))) {
                    self.dot(left + x * across + dx, top + y * down + dy, INK);
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

/// The rows of dots in a cell; a box for what no font has.
fn drawn(cell: &Cell) -> Vec<u16> {
    let (width, height) = font::cell(cell.face);
    let native = |letter: char| match cell.face {
        Face::A => font::glyph(letter).map(|glyph| glyph.to_vec()),
        Face::B => font::small_glyph(letter).map(|glyph| glyph.to_vec()),
    };
    match &cell.letter {
        Letter::Native(letter) => native(*letter).unwrap_or_else(|| vec![(1 << (width - 1)) - 2; height]),
        Letter::Defined(own) => own.to_vec(),
    }
}
