//! Words about people in free text: a phone of Kazakhstan is found however it is written, and keeps its last two digits only.

/// Digits of a phone with its country's digit, 7 or 8.
const DIGITS: usize = 11;

/// Signs that people write between the digits of a phone, at most two in a row.
const BETWEEN: &str = " ()-\u{a0}\u{202f}.";

/// The same text with every mobile phone masked: `+7 701 123-45-67` becomes `+* *** ***-**-67`.
pub fn masked(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(sign) = signs.get(at) {
        let begins = sign.is_ascii_digit() && (at == 0 || !signs[at - 1].is_ascii_digit());
        match begins.then(|| phone(&signs[at..])).flatten() {
            Some(length) => {
                let digits = signs[at..at + length].iter().filter(|sign| sign.is_ascii_digit()).count();
                let mut left = digits;
                for sign in &signs[at..at + length] {
                    let is_digit = sign.is_ascii_digit();
                    out.push(if is_digit && left > 2 { '*' } else { *sign });
                    left -= usize::from(is_digit);
                }
                at += length;
            }
            None => {
                out.push(*sign);
                at += 1;
            }
        }
    }
    out
}

/// How many signs the phone is long that begins here: 7 or 8 and a mobile code of 7xx, or the ten digits without the first.
fn phone(signs: &[char]) -> Option<usize> {
    let mut digits = Vec::with_capacity(DIGITS);
    let (mut between, mut ends) = (0, Vec::new());
    for (place, sign) in signs.iter().enumerate() {
        if sign.is_ascii_digit() {
            digits.push(*sign);
            between = 0;
            ends.push(place + 1);
        } else if BETWEEN.contains(*sign) && between < 2 {
            between += 1;
        } else {
            break;
        }
        if digits.len() > DIGITS {
            break;
        }
    }
    let is_alone = |end: usize| signs.get(end).is_none_or(|next| !next.is_ascii_digit());
    let whole = matches!(digits[..], ['7' | '8', '7', ..]).then(|| ends.get(DIGITS - 1).copied()).flatten();
    let short = matches!(digits[..], ['7', ..]).then(|| ends.get(DIGITS - 2).copied()).flatten();
    // Ten digits count only in one piece: sums are written with gaps.
    let short = short.filter(|end| *end == DIGITS - 1);
    whole.filter(|end| is_alone(*end)).or(short.filter(|end| is_alone(*end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_masked_however_they_are_written() {
        for (text, masked_text) in [
            ("77011234567", "*********67"),
            ("tel:+77011234567;", "tel:+*********67;"),
            ("Айгуль +7 (701) 123-45-67, этаж 5", "Айгуль +* (***) ***-**-67, этаж 5"),
            ("заказ 5 8 701 123 45 67", "заказ 5 * *** *** ** 67"),
            ("7011234567", "********67"),
            ("87011234567/87019876543", "*********67/*********43"),
        ] {
            assert_eq!(masked(text), masked_text);
            assert_eq!(masked(masked_text), masked_text);
        }
    }

    #[test]
    fn sums_times_and_long_numbers_are_no_phones() {
        for text in [
            "12 400 ₸",
            "2026-11-21 13:00:00",
            "1795248000000",
            "177011234567",
            "770112345678",
            "",
            "№ 7",
            "7 000 000 000",
            "990101350123",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
