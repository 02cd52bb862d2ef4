//! Our own glyphs, 12 dots wide and 24 high, as print heads of 203 dpi draw font A (escpos §2.4, §3.7). The sandbox draws its papers
//! with them; a page without Kazakh letters will be printed with them. Origin and licence lie beside the data: `font/`.

/// Width of a cell in dots.
pub const WIDTH: usize = 12;
/// Height of a cell in dots.
pub const HEIGHT: usize = 24;

/// One cell: a row each, the highest of twelve bits is the left dot.
pub type Glyph = [u16; HEIGHT];

const DATA: &str = include_str!("font/counter-12x24.txt");
/// Four digits of the code point, a space, three digits a row, the end of the line.
const RECORD: usize = 5 + 3 * HEIGHT + 1;

/// The glyph of a character; `None` when the font has none.
pub fn glyph(letter: char) -> Option<Glyph> {
    if letter == ' ' || letter == '\u{A0}' {
        return Some([0; HEIGHT]);
    }
    let (mut low, mut high) = (0, DATA.len() / RECORD);
    while low < high {
        let middle = low + (high - low) / 2;
        let record = DATA.get(middle * RECORD..(middle + 1) * RECORD)?;
        let code = u32::from_str_radix(record.get(..4)?, 16).ok()?;
        match code.cmp(&u32::from(letter)) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return rows(record.get(5..)?),
        }
    }
    None
}

fn rows(digits: &str) -> Option<Glyph> {
    let mut glyph = [0; HEIGHT];
    for (row, dots) in glyph.iter_mut().enumerate() {
        *dots = u16::from_str_radix(digits.get(3 * row..3 * row + 3)?, 16).ok()?;
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
            assert!(inked, "{letter} has no glyph");
        }
        assert!(glyph(' ').is_some_and(|rows| rows.iter().all(|row| *row == 0)));
    }

    #[test]
    fn the_file_is_sorted_and_even() {
        assert_eq!(DATA.len() % RECORD, 0);
        let codes: Vec<&str> = DATA.lines().filter_map(|line| line.get(..4)).collect();
        assert!(codes.is_sorted() && codes.len() > 500);
        assert_eq!(glyph('\u{E000}'), None);
    }
}
