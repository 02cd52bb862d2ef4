//! What stands on paper, strip after strip from the top: rows of cells, fed paper, bands of dots. Everything that a paper says or shows
//! ([`super::reading`], [`super::picture`]) is taken from here.

use crate::drivers::printer::layout::{Align, Style};
use crate::drivers::printer::{Face, font};
use std::sync::Arc;

/// A piece of paper across its whole width.
#[derive(Clone, Debug)]
pub enum Strip {
    /// A row of cells.
    Row(Row),
    /// Empty paper, in dots.
    Feed(usize),
    /// Dots that the host sent or the printer drew.
    Band(Band),
}

/// A row of cells.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its cells.
    pub cells: Vec<Cell>,
    /// Its place.
    pub align: Align,
    /// How far the paper goes on with it, in dots; never less than its height.
    pub pitch: usize,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What stands in it.
    pub letter: Letter,
    /// Its look.
    pub style: Style,
    /// Its font.
    pub face: Face,
    /// A line below.
    pub underlined: bool,
}

/// What stands in a cell.
#[derive(Clone, Debug)]
pub enum Letter {
    /// A character of the printer's own font.
    Native(char),
    /// A character that the host defined: a row of dots each, the lowest bit is the rightmost dot.
    Defined(Arc<[u16]>),
}

/// Dots in a rectangle.
#[derive(Clone, Debug)]
pub struct Band {
    /// Dots from the left edge of the print.
    pub left: usize,
    /// The dots.
    pub dots: Dots,
    /// What a symbol drawn by the printer itself says.
    pub says: Option<String>,
}

/// A rectangle of dots, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dots {
    width: usize,
    ink: Vec<bool>,
}

impl Cell {
    /// Its width and height on paper, in dots.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = font::cell(self.face);
        (width * (1 + usize::from(self.style.wide)), height * (1 + usize::from(self.style.tall)))
    }
}

impl Row {
    /// Its width in dots.
    pub fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.size().0).sum()
    }

    /// The height of its tallest cell in dots.
    pub fn height(&self) -> usize {
        self.cells.iter().map(|cell| cell.size().1).max().unwrap_or_default()
    }

    /// Where it begins on paper of a width, in dots.
    pub fn left(&self, dots: usize) -> usize {
        indent(self.align, self.width(), dots)
    }
}

impl Strip {
    /// Whether it is paper without print.
    pub fn is_blank(&self) -> bool {
        match self {
            Strip::Row(row) => row.cells.is_empty(),
            Strip::Feed(_) => true,
            Strip::Band(band) => band.dots.is_blank(),
        }
    }

    /// How much paper it takes, in dots.
    pub fn height(&self) -> usize {
        match self {
            Strip::Row(row) => row.pitch,
            Strip::Feed(dots) => *dots,
            Strip::Band(band) => band.dots.height(),
        }
    }
}

/// Where something of a width begins on paper of a width, in dots.
pub fn indent(align: Align, width: usize, paper: usize) -> usize {
    match align {
        Align::Left => 0,
        Align::Centre => paper.saturating_sub(width) / 2,
    }
}

impl Dots {
    /// White dots.
    pub fn white(width: usize, height: usize) -> Dots {
        Dots { width, ink: vec![false; width * height] }
    }

    /// From bytes, row by row, the highest bit left; what is missing is white.
    pub fn from_bytes(bytes: &[u8], row_bytes: usize, width: usize, height: usize) -> Dots {
        let mut dots = Dots::white(width, height);
        for (y, row) in bytes.chunks(row_bytes.max(1)).take(height).enumerate() {
            for x in 0..width {
                let inked = row.get(x / 8).is_some_and(|byte| byte >> (7 - x % 8) & 1 == 1);
                dots.set(x, y, inked);
            }
        }
        dots
    }

    /// Each dot so many times across and down.
    pub fn scaled(&self, across: usize, down: usize) -> Dots {
        let mut scaled = Dots::white(self.width * across, self.height() * down);
        for y in 0..scaled.height() {
            for x in 0..scaled.width {
                scaled.set(x, y, self.is_ink(x / across, y / down));
            }
        }
        scaled
    }

    /// Dots across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Dots down.
    pub fn height(&self) -> usize {
        self.ink.len().checked_div(self.width).unwrap_or_default()
    }

    /// Whether a dot is black; outside there is only white.
    pub fn is_ink(&self, x: usize, y: usize) -> bool {
        x < self.width && self.ink.get(y * self.width + x).copied().unwrap_or(false)
    }

    /// Makes a dot black or white.
    pub fn set(&mut self, x: usize, y: usize, inked: bool) {
        if let Some(dot) = self.ink.get_mut(y * self.width + x).filter(|_| x < self.width) {
            *dot = inked;
        }
    }

    /// Whether nothing is printed.
    pub fn is_blank(&self) -> bool {
        !self.ink.contains(&true)
    }

    /// Whether a row of dots is white.
    pub fn is_blank_row(&self, y: usize) -> bool {
        !(0..self.width).any(|x| self.is_ink(x, y))
    }
}
