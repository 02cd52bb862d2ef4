//! Text becomes lines: parted at spaces, else inside a word, never inside a number that fits a line.

use super::width;

/// Parts a text into lines of at most `cells`: at spaces, else inside a word, never inside a number that fits a line.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let (text, cells) = (text.trim(), cells.max(1));
    if width(text) <= cells {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for piece in pieces(text).iter().flat_map(|word| chop(word, cells)) {
        let length = width(&piece);
        if used > 0 && used + 1 + length > cells {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(&piece);
        used += length;
    }
    lines.push(line);
    lines
}

/// Whether a text is one thing that stays on one line: a word, a number, a date with its time.
pub fn is_whole(text: &str) -> bool {
    pieces(text).len() == 1
}

/// Cells of the longest thing of a text that stays on one line.
pub fn longest(text: &str) -> usize {
    pieces(text).iter().map(|piece| width(piece)).max().unwrap_or(0)
}

/// What must stay on one line: words, groups of digits that make one number (`12 400`), a number with its sign
/// (`№ 7`, `400 ₸`), a date with its time, a price with its `x`, and a stroke with what stands before it.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match pieces.last_mut() {
            Some(last) if belongs(word, last) => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => pieces.push(word.to_owned()),
        }
    }
    pieces
}

/// Whether a word and what stands before it make one thing.
fn belongs(word: &str, last: &str) -> bool {
    let after_digit = last.ends_with(|sign: char| sign.is_ascii_digit());
    let is_group = word.bytes().take_while(u8::is_ascii_digit).count() == 3;
    let is_price = last == "x" && word.starts_with(|sign: char| sign.is_ascii_digit());
    word == "/"
        || is_price
        || last.ends_with('№')
        || after_digit && (is_group || matches!(word, "₸" | "тг"))
        || is_moment(last, word)
}

/// Whether a date and its time follow each other: `21.11.2026`, `13:05:18`.
fn is_moment(date: &str, time: &str) -> bool {
    let date = date.rsplit(' ').next().unwrap_or_default();
    let has = |text: &str, sign, count| {
        text.matches(sign).count() >= count && text.chars().all(|other| other == sign || other.is_ascii_digit())
    };
    has(date, '.', 2) && has(time, ':', 1) && time.starts_with(|sign: char| sign.is_ascii_digit())
}

/// Parts a piece that is longer than a line, not between the signs of a number when that can be.
fn chop(piece: &str, cells: usize) -> Vec<String> {
    let signs: Vec<char> = piece.chars().collect();
    let mut rest = signs.as_slice();
    let mut parts = Vec::with_capacity(1);
    while rest.len() > cells {
        let split = |apart: &dyn Fn(char, char) -> bool| {
            let is_split = |at: &usize| matches!(rest.get(at - 1..=*at), Some([left, right]) if apart(*left, *right));
            (1..=cells).rev().find(is_split)
        };
        // Best before a number that a sign holds, then between things, then between figures, at last anywhere.
        let at = split(&|left, right| right == ' ' && !left.is_ascii_digit())
            .or_else(|| split(&|left, right| !numeric(left) || !numeric(right)))
            .or_else(|| split(&|left, right| !left.is_ascii_digit() || !right.is_ascii_digit()))
            .unwrap_or(cells);
        let (part, after) = rest.split_at(at);
        parts.push(part.iter().collect());
        rest = after.strip_prefix(&[' ']).unwrap_or(after);
    }
    parts.push(rest.iter().collect());
    parts
}

fn numeric(sign: char) -> bool {
    sign.is_ascii_digit() || " ,.:".contains(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_parted() {
        assert_eq!(wrap("Стейк рибай 12 400 тг", 16), ["Стейк рибай", "12 400 тг"]);
        assert_eq!(wrap("Тапсырыс / Заказ № 1950", 17), ["Тапсырыс / Заказ", "№ 1950"]);
        assert_eq!(wrap("стоит 12 400 ₸", 12), ["стоит", "12 400 ₸"]);
        assert_eq!(wrap("Сок 1 000 000", 10), ["Сок", "1 000 000"]);
        assert_eq!(wrap("абвгд1234567", 8), ["абвгд", "1234567"]);
        assert_eq!(wrap("12345678901234567890", 8), ["12345678", "90123456", "7890"]);
        assert_eq!(wrap("  два   слова  ", 5), ["два", "слова"]);
        assert_eq!(wrap("Время: 21.11.2026 13:05:18 здесь", 20), ["Время:", "21.11.2026 13:05:18", "здесь"]);
        assert_eq!(wrap("123,456,789,012,345", 6), ["123,", "456,", "789,", "012,", "345"]);
        assert_eq!(wrap("-№ 21.11.2026 13:05:18", 20), ["-№", "21.11.2026 13:05:18"]);
        assert!(is_whole("12 400") && is_whole("21.11.2026 13:05") && !is_whole("12 часов"));
    }

    #[test]
    fn long_words_are_parted_to_the_width() {
        for cells in 1..12 {
            let lines = wrap("Абракадабраабракадабра и 5 слов 12,50 ещё", cells);
            assert!(lines.iter().all(|line| width(line) <= cells && !line.is_empty()), "{lines:?}");
        }
    }
}
