//! What a paper says, whichever way it was printed: the printer's own characters, characters that the host defined, and pictures of text
//! are read back by comparing dots with our glyphs. A picture that is no text is named by its size, a symbol by its content.

use super::strip::{Band, Cell, Dots, Letter, Row, Strip};
use crate::drivers::printer::{Face, font};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The last character that is looked for in our fonts.
const LETTER_LAST: char = '\u{2BFF}';
/// Cells full of ink are inverse blanks to the reader, and shaded or half ones are parts of pictures.
const BLOCKS: std::ops::RangeInclusive<char> = '\u{2580}'..='\u{259F}';
/// Dots by which a cell may differ from a glyph: one is changed where dots would be a request in real time (escpos §2.3).
const CHANGED_DOTS_MAX: u32 = 2;
/// The highest black lead below inverse text, in dots.
const FILL_DOTS_MAX: usize = 8;
/// A white band of so many dots is a line without text.
const LINE_DOTS_MIN: usize = 16;
/// Dots from line to line, and those that are only the lead between two.
const PITCH: usize = 30;
const LEAD: usize = 6;

/// The strips as text, line by line; empty lines at the end are only fed paper.
pub fn text(strips: &[Strip], dots: usize) -> String {
    let printed = strips.iter().rposition(|strip| !strip.is_blank()).map_or(0, |last| last + 1);
    let mut lines = Vec::new();
    let mut plate = Plate::new(dots);
    for strip in strips.iter().take(printed) {
        match strip {
            Strip::Band(band) if band.says.is_none() && !is_blank_line(band) => {
                plate.add(band);
                continue;
            }
            Strip::Band(_) | Strip::Row(_) | Strip::Feed(_) => plate.read_into(&mut lines),
        }
        match strip {
            Strip::Row(row) => lines.push(row_text(row, dots)),
            Strip::Feed(dots) => lines.extend((0..(dots + LEAD) / PITCH).map(|_| String::new())),
            Strip::Band(band) => lines.push(band.says.as_ref().map_or(String::new(), |says| format!("[QR {says}]"))),
        }
    }
    plate.read_into(&mut lines);
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn is_blank_line(band: &Band) -> bool {
    band.dots.height() >= LINE_DOTS_MIN && band.dots.is_blank()
}

/// The text with one character for all that look alike in our font: what was read from dots is compared by this.
pub fn looks(text: &str) -> String {
    let first = |letter: char| {
        let same = font::glyph(letter).and_then(|glyph| table(Face::A).plain.get(&glyph[..]));
        same.and_then(|same| same.first().copied()).filter(|_| letter != '\u{A0}').unwrap_or(letter)
    };
    text.chars().map(first).collect()
}

/// What may stand in a cell.
#[derive(Clone, Copy, Debug)]
enum Sign {
    Known(char),
    /// Characters that look the same.
    OneOf(&'static [char]),
}

fn row_text(row: &Row, dots: usize) -> String {
    let Some((cell, _)) = row.cells.first().map(Cell::size) else { return String::new() };
    let signs: Vec<Sign> = row.cells.iter().map(cell_sign).collect();
    format!("{:margin$}{}", "", resolved(&signs), margin = row.left(dots) / cell)
}

fn cell_sign(cell: &Cell) -> Sign {
    match &cell.letter {
        Letter::Native(letter) => Sign::Known(*letter),
        Letter::Defined(own) if own.iter().all(|row| *row == 0) => Sign::Known(' '),
        Letter::Defined(own) => {
            let found = table(cell.face).find(own).or_else(|| table(cell.face).nearly(own));
            found.unwrap_or(Sign::Known('\u{FFFD}'))
        }
    }
}

// ---- our fonts, by their dots

struct Table {
    plain: HashMap<Vec<u16>, Vec<char>>,
    bold: HashMap<Vec<u16>, Vec<char>>,
}

static TABLES: LazyLock<(Table, Table)> = LazyLock::new(|| (Table::of(Face::A), Table::of(Face::B)));

fn table(face: Face) -> &'static Table {
    match face {
        Face::A => &TABLES.0,
        Face::B => &TABLES.1,
    }
}

impl Table {
    fn of(face: Face) -> Table {
        let (mut plain, mut bold) = (HashMap::<_, Vec<char>>::new(), HashMap::<_, Vec<char>>::new());
        for letter in ('!'..=LETTER_LAST).filter(|letter| !BLOCKS.contains(letter) && !"\u{A0}\u{AD}".contains(*letter))
        {
            if let Some(glyph) = drawn(letter, face).filter(|glyph| glyph.iter().any(|row| *row != 0)) {
                bold.entry(glyph.iter().map(|row| emphasised(*row)).collect()).or_default().push(letter);
                plain.entry(glyph).or_default().push(letter);
            }
        }
        Table { plain, bold }
    }

    fn find(&'static self, cell: &[u16]) -> Option<Sign> {
        self.plain.get(cell).or_else(|| self.bold.get(cell)).map(|same| Sign::OneOf(same))
    }

    /// The character that is nearest, within the dots that may be changed.
    fn nearly(&'static self, cell: &[u16]) -> Option<Sign> {
        if ink(cell) <= CHANGED_DOTS_MAX {
            return Some(Sign::Known(' '));
        }
        let all = self.plain.iter().chain(&self.bold);
        let far =
            |glyph: &[u16]| -> u32 { glyph.iter().zip(cell).map(|(one, other)| (one ^ other).count_ones()).sum() };
        let (far, same) = all.map(|(glyph, same)| (far(glyph), same)).min_by_key(|(far, same)| (*far, same.first()))?;
        (far <= CHANGED_DOTS_MAX).then_some(Sign::OneOf(same))
    }
}

fn drawn(letter: char, face: Face) -> Option<Vec<u16>> {
    match face {
        Face::A => font::glyph(letter).map(|glyph| glyph.to_vec()),
        Face::B => font::small_glyph(letter).map(|glyph| glyph.to_vec()),
    }
}

/// A row of a glyph with emphasis: a stroke grows by a dot where that leaves the gap open.
pub fn emphasised(row: u16) -> u16 {
    row | (row >> 1 & !(row << 1))
}

fn ink(cell: &[u16]) -> u32 {
    cell.iter().map(|row| row.count_ones()).sum()
}

// ---- letters that look alike

/// The most likely text: a word is of one alphabet, or it is a number.
fn resolved(signs: &[Sign]) -> String {
    let is_russian = signs.iter().any(|sign| is_surely(*sign, is_cyrillic));
    let is_blank = |sign: &Sign| matches!(sign, Sign::Known(' '));
    signs.chunk_by(|one, other| is_blank(one) == is_blank(other)).map(|word| word_text(word, is_russian)).collect()
}

fn word_text(word: &[Sign], line_is_russian: bool) -> String {
    let has = |kind: fn(char) -> bool| word.iter().any(|sign| is_surely(*sign, kind));
    let (cyrillic, latin, digit) = (has(is_cyrillic), has(|letter| letter.is_ascii_alphabetic()), has(is_digit));
    let wanted = match (cyrillic, latin) {
        (true, _) => is_cyrillic,
        (false, true) => is_ascii,
        (false, false) if digit || !line_is_russian => is_ascii,
        (false, false) => is_cyrillic,
    };
    word.iter().map(|sign| chosen(*sign, wanted)).collect()
}

fn chosen(sign: Sign, wanted: fn(char) -> bool) -> char {
    match sign {
        Sign::Known(letter) => letter,
        Sign::OneOf(same) => {
            let found = same.iter().find(|letter| wanted(**letter)).or_else(|| same.iter().find(|one| is_ascii(**one)));
            found.or(same.first()).copied().unwrap_or('\u{FFFD}')
        }
    }
}

fn is_surely(sign: Sign, kind: fn(char) -> bool) -> bool {
    match sign {
        Sign::Known(letter) => kind(letter),
        Sign::OneOf(same) => same.iter().all(|letter| kind(*letter)),
    }
}

fn is_cyrillic(letter: char) -> bool {
    ('\u{400}'..='\u{4FF}').contains(&letter)
}

fn is_ascii(letter: char) -> bool {
    letter.is_ascii()
}

fn is_digit(letter: char) -> bool {
    letter.is_ascii_digit()
}

// ---- text in pictures

/// Bands without anything between them: one picture.
struct Plate {
    width: usize,
    rows: usize,
    bands: Vec<(usize, Band)>,
}

/// How letters may be set in a picture.
#[derive(Clone, Copy)]
struct Setting {
    face: Face,
    across: usize,
    down: usize,
}

impl Setting {
    fn all() -> impl Iterator<Item = Setting> {
        let sizes = [(1, 1), (2, 2), (1, 2), (2, 1)];
        let faces = [Face::A, Face::B];
        faces.into_iter().flat_map(move |face| sizes.map(|(across, down)| Setting { face, across, down }))
    }

    /// Width and height of a cell on paper.
    fn size(self) -> (usize, usize) {
        let (width, height) = font::cell(self.face);
        (width * self.across, height * self.down)
    }
}

/// A line found in a picture.
struct Found {
    text: String,
    below: usize,
}

impl Plate {
    fn new(width: usize) -> Plate {
        Plate { width, rows: 0, bands: Vec::new() }
    }

    fn add(&mut self, band: &Band) {
        self.bands.push((self.rows, band.clone()));
        self.rows += band.dots.height();
    }

    /// Reads what was gathered and begins anew.
    fn read_into(&mut self, lines: &mut Vec<String>) {
        let bands = std::mem::take(&mut self.bands);
        let mut dots = Dots::white(self.width, std::mem::take(&mut self.rows));
        for (top, band) in &bands {
            for (x, y) in (0..band.dots.height()).flat_map(|y| (0..band.dots.width()).map(move |x| (x, y))) {
                dots.set(band.left + x, top + y, band.dots.is_ink(x, y));
            }
        }
        let tops: Vec<usize> = bands.iter().map(|(top, _)| *top).collect();
        let mut top = 0;
        while let Some(inked) = (top..dots.height()).find(|y| !dots.is_blank_row(*y)) {
            match line_above(&dots, &tops, top, inked) {
                Some(line) => {
                    lines.push(line.text);
                    top = line.below;
                }
                None => {
                    let next = tops.iter().copied().find(|next| *next > inked && line_at(&dots, *next).is_some());
                    let below = next.unwrap_or(dots.height());
                    lines.push(picture(&dots, inked, below));
                    top = below;
                }
            }
        }
    }
}

/// The line whose highest dot is on a row, if that is text: it begins there or in the white above, most likely where a band does.
fn line_above(dots: &Dots, tops: &[usize], top: usize, inked: usize) -> Option<Found> {
    let likely = tops.iter().copied().filter(|at| (top..=inked).contains(at));
    let (_, height) = font::cell(Face::A);
    likely.chain(top.max(inked.saturating_sub(2 * height))..=inked).find_map(|at| line_at(dots, at))
}

fn line_at(dots: &Dots, top: usize) -> Option<Found> {
    Setting::all().find_map(|setting| line_set(dots, top, setting))
}

fn line_set(dots: &Dots, top: usize, setting: Setting) -> Option<Found> {
    let (cell, height) = setting.size();
    if top + height > dots.height() {
        return None;
    }
    let is_inked = |x: &usize| (top..top + height).any(|y| dots.is_ink(*x, y));
    let first = (0..dots.width()).find(is_inked)?;
    let last = (0..dots.width()).rev().find(is_inked)?;
    let starts = (first + 1).saturating_sub(cell)..=first;
    // A line at the left edge stands on the grid of cells, one in the middle anywhere.
    let (on_grid, between): (Vec<usize>, Vec<usize>) = starts.partition(|start| start % cell == 0);
    let (start, signs) = on_grid.into_iter().chain(between).find_map(|start| {
        let signs = signs_at(dots, (start, top), (last + 1 - start).div_ceil(cell), setting)?;
        Some((start, signs))
    })?;
    let text = format!("{:margin$}{}", "", resolved(&signs), margin = start / cell);
    let is_fill = |y: &usize| *y < dots.height() && (first..=last).all(|x| dots.is_ink(x, *y));
    let below = top + height;
    let filled = (below..below + FILL_DOTS_MAX).take_while(is_fill).count();
    Some(Found { text, below: below + filled })
}

/// So many cells from a corner on; none when they are not all letters.
fn signs_at(dots: &Dots, (left, top): (usize, usize), cells: usize, setting: Setting) -> Option<Vec<Sign>> {
    let table = table(setting.face);
    let (width, _) = setting.size();
    let mut doubtful = 0;
    let mut signs = Vec::with_capacity(cells);
    for place in 0..cells {
        let cell = cell_at(dots, (left + place * width, top), setting)?;
        let turned = turned(&cell, setting.face);
        let sign = match (ink(&cell), ink(&turned)) {
            (0, _) | (_, 0) => Some(Sign::Known(' ')),
            (_, _) => table.find(&cell).or_else(|| table.find(&turned)),
        };
        doubtful += usize::from(sign.is_none());
        // Nearly right is for a changed dot here and there, not for a picture.
        if doubtful > 1 + cells / 8 {
            return None;
        }
        signs.push(sign.ok_or((cell, turned)));
    }
    signs
        .into_iter()
        .map(|sign| sign.or_else(|(cell, turned)| table.nearly(&cell).or_else(|| table.nearly(&turned)).ok_or(())).ok())
        .collect()
}

/// The dots of a cell; none where dots that belong together differ too much.
fn cell_at(dots: &Dots, (left, top): (usize, usize), setting: Setting) -> Option<Vec<u16>> {
    let (width, height) = font::cell(setting.face);
    let Setting { across, down, .. } = setting;
    let mut uneven = 0;
    let mut cell = Vec::with_capacity(height);
    for y in 0..height {
        let mut row = 0;
        for x in 0..width {
            let (from, at) = (left + x * across, top + y * down);
            let inked = dots.is_ink(from, at);
            let others = (0..across).flat_map(|dx| (0..down).map(move |dy| (from + dx, at + dy)));
            uneven += others.filter(|(x, y)| dots.is_ink(*x, *y) != inked).count();
            row = row << 1 | u16::from(inked);
        }
        cell.push(row);
    }
    (uneven <= CHANGED_DOTS_MAX as usize).then_some(cell)
}

/// White on black.
fn turned(cell: &[u16], face: Face) -> Vec<u16> {
    let (width, _) = font::cell(face);
    cell.iter().map(|row| !row & ((1 << width) - 1)).collect()
}

/// A picture by the size of its ink.
fn picture(dots: &Dots, top: usize, below: usize) -> String {
    let rows = (top..below).filter(|y| !dots.is_blank_row(*y));
    let height = rows.fold(0, |height, y| height.max(y + 1 - top));
    let columns: Vec<usize> = (0..dots.width()).filter(|x| (top..below).any(|y| dots.is_ink(*x, y))).collect();
    let width = columns.last().zip(columns.first()).map_or(0, |(last, first)| last + 1 - first);
    format!("[picture {width}x{height}]")
}
