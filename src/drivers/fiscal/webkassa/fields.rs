//! Values out of Webkassa's JSON: keys in any letter case, numbers as numbers or as text, sums with a point or a comma, spaces of
//! every kind (fiscal-kz §1.1, §1.5, §1.8). Everything is tolerant and nothing panics; what is not there is `None`.

use crate::domain::money::Tiyn;
use crate::drivers::scalar;
use serde_json::Value as Json;

/// The longest text that is kept, in characters.
pub const TEXT_CHARS_MAX: usize = 300;

/// A member by its name in any letter case; a `null` is not there.
pub fn get<'j>(json: &'j Json, key: &str) -> Option<&'j Json> {
    let members = json.as_object()?;
    members.iter().find(|(name, value)| name.eq_ignore_ascii_case(key) && !value.is_null()).map(|(_, value)| value)
}

/// The first of several members that is a text or a number, trimmed and cut.
pub fn text(json: &Json, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| get(json, key).and_then(scalar)).map(|text| clean(&text))
}

/// The first of several members that is a whole number.
pub fn number(json: &Json, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|key| get(json, key).and_then(scalar)?.parse().ok())
}

/// The first of several members that says yes or no.
pub fn flag(json: &Json, keys: &[&str]) -> Option<bool> {
    keys.iter().find_map(|key| {
        let value = get(json, key)?;
        let told = || match scalar(value)?.to_ascii_lowercase().as_str() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        };
        value.as_bool().or_else(told)
    })
}

/// The first of several members that is a sum in tenge.
pub fn sum(json: &Json, keys: &[&str]) -> Option<Tiyn> {
    keys.iter().find_map(|key| tiyn(&get(json, key).and_then(scalar)?))
}

/// A list, by the first name under which there is one.
pub fn list<'j>(json: &'j Json, keys: &[&str]) -> Option<&'j [Json]> {
    let bare = json.as_array();
    bare.or_else(|| keys.iter().find_map(|key| get(json, key)?.as_array())).map(Vec::as_slice)
}

/// A sum in tenge as text: point or comma, spaces between thousands; digits after the tiyn are rounded away.
pub fn tiyn(text: &str) -> Option<Tiyn> {
    let bare: String = text.chars().filter(|sign| !sign.is_whitespace()).collect();
    let bare = bare.replace(',', ".");
    let (sign, digits) = bare.strip_prefix('-').map_or((1, bare.as_str()), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let hundredths: i64 = format!("{fraction:0<2}").get(..2)?.parse().ok()?;
    let is_up = fraction.as_bytes().get(2).is_some_and(|digit| *digit >= b'5');
    let sum = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths + i64::from(is_up))?;
    Some(Tiyn(sign * sum)).filter(|sum| sum.in_limits())
}

/// A text for paper and screen: no control characters, plain spaces, trimmed, cut.
pub fn clean(text: &str) -> String {
    plain(text).trim().to_owned()
}

/// The same with the spaces around it, which centre a line.
pub fn plain(text: &str) -> String {
    let bare = text.chars().map(|sign| if sign.is_control() || is_odd_space(sign) { ' ' } else { sign });
    bare.take(TEXT_CHARS_MAX).collect()
}

fn is_odd_space(sign: char) -> bool {
    matches!(sign, '\u{a0}' | '\u{202f}' | '\u{2007}' | '\u{2009}')
}

/// A fiscal sign: 9 to 13 digits were seen, a few more or less are believed (§1.5).
pub fn sign(text: &str) -> Option<String> {
    let digits = text.trim();
    ((6..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.to_owned())
}

/// A time as receipts write it (`29.09.2025 13:45:18`), also out of the forms of ISO 8601 and of codes (`20250929T134518`); what is
/// none of these stays as it was told, and a zone behind it is dropped where it is the register's own.
pub fn local_time(told: &str) -> Option<String> {
    let told = told.trim();
    let forms = ["%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y%m%dT%H%M%S"];
    let zoneless = told.split_once(" +").map_or(told, |(time, _)| time);
    let bare = zoneless.split_once('.').filter(|(date, _)| date.contains('T')).map_or(zoneless, |(date, _)| date);
    if is_receipt_time(zoneless) {
        return Some(zoneless.to_owned());
    }
    let read = |form: &&str| jiff::civil::DateTime::strptime(form, bare).ok();
    let time = forms.iter().find_map(read).map(|at| at.strftime("%d.%m.%Y %H:%M:%S").to_string());
    // A time in UTC is accepted as a basis too (§1.4).
    time.or_else(|| (told.len() >= 16 && told.ends_with('Z')).then(|| told.to_owned()))
}

/// `dd.MM.yyyy HH:mm` or `dd.MM.yyyy HH:mm:ss`.
fn is_receipt_time(text: &str) -> bool {
    ["%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M"].iter().any(|form| jiff::civil::DateTime::strptime(form, text).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sums_in_every_dress() {
        for (text, sum) in [
            ("6270", 627_000),
            ("6270.0", 627_000),
            ("864.83", 86_483),
            ("6\u{a0}270,00", 627_000),
            ("1 234.5", 123_450),
            ("137.93103448275862", 13_793),
            ("0.995", 100),
            ("-958", -95_800),
        ] {
            assert_eq!(tiyn(text), Some(Tiyn(sum)), "{text}");
        }
        for text in ["", "-", ".5", "5.", "1e3", "NaN", "١٢", "99999999999999999999"] {
            assert_eq!(tiyn(text), None, "{text}");
        }
    }

    #[test]
    fn times_in_every_dress() {
        let written = "29.09.2025 13:45:18";
        for told in
            [written, "29.09.2025 13:45:18 +05:00", "2025-09-29T13:45:18", "2025-09-29T13:45:18.123", "20250929T134518"]
        {
            assert_eq!(local_time(told).as_deref(), Some(written), "{told}");
        }
        assert_eq!(local_time("29.09.2025 13:45").as_deref(), Some("29.09.2025 13:45"));
        assert_eq!(local_time("2025-09-29T08:45:18Z").as_deref(), Some("2025-09-29T08:45:18Z"));
        assert_eq!(local_time("yesterday"), None);
    }

    #[test]
    fn keys_in_any_case_and_numbers_in_any_form() {
        let json: Json = serde_json::from_str(r#"{"checkNUMBER":123456789,"data":null,"Data":1,"x":"TRUE"}"#).unwrap();
        assert_eq!(text(&json, &["CheckNumber"]).as_deref(), Some("123456789"));
        assert_eq!(number(&json, &["Data"]), Some(1));
        assert_eq!(flag(&json, &["X"]), Some(true));
    }
}
