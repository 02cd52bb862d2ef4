//! What leaves the shop with a support bundle: the one function that hides phones, keys, tokens and addresses of people in a text. It sees
//! only their form; whoever makes a text for strangers must besides choose what goes into it at all.

/// What stands in place of what was hidden.
pub const HIDDEN: &str = "•••";

/// Letters and digits in a row, with at least one of each, that may be a key.
const BLOB_CHARS_MIN: usize = 20;

/// The same without a digit: words of people are shorter.
const LETTERS_CHARS_MIN: usize = 40;

/// Digits in a row that may be a phone or a card.
const DIGITS_MIN: usize = 10;

/// Digits of a phone of Kazakhstan, however it is written.
const PHONE_DIGITS: usize = 11;

/// Words whose value is a secret, where a colon or an equals sign follows.
const LABELS: [&str; 15] = [
    "authorization",
    "api_key",
    "api-key",
    "apikey",
    "authtoken",
    "cookie",
    "key",
    "login",
    "passwd",
    "password",
    "pin",
    "secret",
    "signature",
    "token",
    "nonce",
];

/// Words that a secret follows after a space.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// The text without what may be a phone, a key, a token, a query or an address of a person.
pub fn redact(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The same, and without these very words wherever they stand; words of less than three letters would hide everything.
pub fn scrub(text: &str, words: &[String]) -> String {
    let mut text = text.to_owned();
    for word in words.iter().filter(|word| word.chars().count() >= 3) {
        text = text.replace(word.as_str(), HIDDEN);
    }
    redact(&text)
}

fn line(line: &str) -> String {
    // Keys first: a run of digits inside one would break it into pieces that look like none.
    phones(&blobs(&labels(&addresses(line))))
}

fn is_break(sign: char) -> bool {
    sign.is_whitespace() || "\"'<>`,;()[]{}".contains(sign)
}

/// Queries and passwords of web addresses, and mail addresses.
fn addresses(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for piece in line.split_inclusive(is_break) {
        let (token, end) = match piece.char_indices().next_back() {
            Some((at, sign)) if is_break(sign) => piece.split_at(at),
            Some(_) | None => (piece, ""),
        };
        out.push_str(&address(token));
        out.push_str(end);
    }
    out
}

fn address(token: &str) -> String {
    let Some((scheme, rest)) = token.split_once("://") else {
        // A path with a query, as logs of proxies write it.
        if let Some((path, query)) = token.split_once('?').filter(|(path, _)| path.starts_with('/')) {
            return format!("{path}?{}", if query.is_empty() { "" } else { HIDDEN });
        }
        return match token.rsplit_once('@') {
            Some((_, domain)) if domain.contains('.') => format!("{HIDDEN}@{domain}"),
            Some(_) | None => token.to_owned(),
        };
    };
    let cut = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, query) = rest.split_at(cut);
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = match host.rsplit_once('@') {
        Some((account, host)) if account.contains(':') => format!("{HIDDEN}@{host}"),
        Some(_) | None => host.to_owned(),
    };
    let query = if query.is_empty() { "" } else { "?•••" };
    format!("{scheme}://{host}{path}{query}")
}

/// What follows `token=`, `"password": `, `Bearer `.
fn labels(line: &str) -> String {
    // Of the same length in bytes: only ASCII letters change.
    let low = line.to_ascii_lowercase();
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    while let Some(start) = value_after_label(&low, at) {
        let end = start
            + low
                .get(start..)
                .unwrap_or_default()
                .find(|sign| is_break(sign) || sign == '&')
                .unwrap_or(low.len() - start);
        out.push_str(line.get(at..start).unwrap_or_default());
        // A place of a value that holds nothing to hide, as `key: -` or `pin = `.
        if end > start {
            out.push_str(HIDDEN);
        }
        at = end.max(start);
    }
    out.push_str(line.get(at..).unwrap_or_default());
    out
}

/// Where the next labelled value begins, at or behind a place.
fn value_after_label(low: &str, from: usize) -> Option<usize> {
    let ends = |word: &'static str| {
        let rest = low.get(from..).unwrap_or_default();
        rest.match_indices(word).map(move |(at, _)| (from + at, from + at + word.len()))
    };
    let is_word = |at: usize| {
        !low.get(..at).is_some_and(|before| before.ends_with(|sign: char| sign.is_alphanumeric() || sign == '.'))
    };
    let schemes = SCHEMES.into_iter().flat_map(ends).filter(|(at, _)| is_word(*at)).filter_map(|(_, end)| {
        let rest = low.get(end..)?;
        let value = rest.trim_start_matches(' ');
        (value.len() < rest.len() && !value.is_empty()).then(|| low.len() - value.len())
    });
    let labels = LABELS.into_iter().flat_map(ends).filter(|(at, _)| is_word(*at)).filter_map(|(_, end)| {
        let rest = low.get(end..)?.trim_start_matches(['"', '\'', ' ']);
        let rest = rest.strip_prefix(['=', ':'])?;
        let value = rest.trim_start_matches(['"', '\'', ' ', '=']);
        // The scheme itself stays readable: what it announces is hidden.
        let value =
            SCHEMES.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or(value).trim_start_matches(' ');
        Some(low.len() - value.len())
    });
    schemes.chain(labels).min()
}

/// Phones however they are written, and every long run of digits: the last two stay, to recognise it by.
fn phones(line: &str) -> String {
    let signs: Vec<char> = line.chars().collect();
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    while let Some(sign) = signs.get(at) {
        let is_inside = at > 0 && signs.get(at - 1).is_some_and(|before| before.is_ascii_digit());
        match phone(signs.get(at..).unwrap_or_default()).filter(|_| !is_inside) {
            Some(length) => {
                let digits: Vec<&char> =
                    signs.iter().skip(at).take(length).filter(|sign| sign.is_ascii_digit()).collect();
                out.push_str(HIDDEN);
                out.extend(digits.iter().skip(digits.len().saturating_sub(2)).copied());
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

/// How many signs from here on are a phone or a card.
fn phone(signs: &[char]) -> Option<usize> {
    let run = signs.iter().take_while(|sign| sign.is_ascii_digit()).count();
    if run >= DIGITS_MIN {
        return Some(run);
    }
    let begins = match signs {
        ['+', '7', ..] => true,
        ['7' | '8', ..] => run <= 4,
        _ => false,
    };
    let (mut digits, mut gap) = (0, 0);
    for (at, sign) in signs.iter().enumerate().filter(|_| begins) {
        match sign {
            digit if digit.is_ascii_digit() => (digits, gap) = (digits + 1, 0),
            '+' if at == 0 => {}
            ' ' | '\u{a0}' | '(' | ')' | '-' if gap < 2 => gap += 1,
            _ => return None,
        }
        let is_over = signs.get(at + 1).is_none_or(|next| !next.is_ascii_digit());
        if digits == PHONE_DIGITS {
            return is_over.then_some(at + 1);
        }
    }
    None
}

/// Keys and tokens: long runs of the letters of base64 and hex.
fn blobs(line: &str) -> String {
    let is_of_blob = |sign: char| sign.is_ascii_alphanumeric() || "+/=_-".contains(sign);
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let plain = rest.find(is_of_blob).unwrap_or(rest.len());
        let (before, after) = rest.split_at(plain);
        out.push_str(before);
        let (run, left) = after.split_at(after.find(|sign| !is_of_blob(sign)).unwrap_or(after.len()));
        out.push_str(&blob(run));
        rest = left;
    }
    out
}

fn blob(run: &str) -> String {
    if !run.contains('/') {
        return if is_blob(run) { HIDDEN.to_owned() } else { run.to_owned() };
    }
    // A path is judged folder by folder; base64 with a slash in it is of one piece.
    let has = |of: fn(&char) -> bool| run.chars().any(|sign| of(&sign));
    let is_mixed = has(char::is_ascii_digit) && has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    if !run.starts_with('/') && run.len() >= LETTERS_CHARS_MIN && is_mixed {
        return HIDDEN.to_owned();
    }
    run.split('/').map(|part| if is_blob(part) { HIDDEN } else { part }).collect::<Vec<_>>().join("/")
}

fn is_blob(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let letters = run.bytes().filter(u8::is_ascii_alphabetic).count();
    // A date with its time is no key, and neither is a UUID of a device; names of metrics have no digits.
    (run.len() >= BLOB_CHARS_MIN && digits > 0 && letters > 0 && !is_date(run))
        || (run.len() >= LETTERS_CHARS_MIN && !run.contains(['_', '-']))
}

fn is_date(run: &str) -> bool {
    let mut parts = run.split(['-', 'T']);
    let is_number = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(parts.next(), 4) && is_number(parts.next(), 2) && is_number(parts.next(), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_people_and_what_opens_doors_is_hidden() {
        for (text, hidden) in [
            ("phone 77011234567 is blocked", "phone •••67 is blocked"),
            ("+7 (701) 123-45-67, 8 701 123 45 68", "•••67, •••68"),
            ("8(701)1234567", "•••67"),
            ("card 4400430112345678", "card •••78"),
            ("Authorization: Bearer sk-live-1", "Authorization: Bearer •••"),
            ("authorization: Basic dXNlcg==", "authorization: Basic •••"),
            ("X-API-Key: abc, next", "X-API-Key: •••, next"),
            ("{\"token\":\"687409:x\",\"a\":1}", "{\"token\":\"•••\",\"a\":1}"),
            ("password = \"short\"", "password = \"•••\""),
            ("GET https://joinposter.com/api/x?token=687409:abc&id=1", "GET https://joinposter.com/api/x?•••"),
            ("/webhooks/aipay?sign=1 200", "/webhooks/aipay?••• 200"),
            ("https://user:pass@host.kz/a", "https://•••@host.kz/a"),
            ("kassa@example.kz wrote", "•••@example.kz wrote"),
            ("0123456789abcdef0123456789abcdef", "•••"),
            ("b3BlbnNzaC1rZXktdjEAAAAA+/ABCdef1234567890xyz==", "•••"),
            (
                "https://api.telegram.org/bot687409:AAEhBOweik9ai2o01nF2bVzcaaaa/send",
                "https://api.telegram.org/bot687409:•••/send",
            ),
            ("SHA256:Nd9iuSQJVn0RAbKJZW8ixHa+dqaF0Fsx5q0IGxkbMXo", "SHA256:•••"),
        ] {
            assert_eq!(redact(text), hidden, "{text}");
        }
    }

    #[test]
    fn what_helps_stays() {
        for text in [
            "",
            "2026-11-21T20:44:23+05:00 attempt 17 №1950 paid 12400",
            "/var/lib/kassad/ledger.db 1048576 bytes, mode 0600",
            "/etc/kassad/kassad.toml.2026-11-21-204423",
            "kassad_webhooks_forged_total{door=\"aipay\"} 12",
            "ssh://kassad@203.0.113.7:22 tunnel_login",
            "Linux 6.12.34+rpt-rpi-v8 aarch64",
            "api_key_file = \"aipay.key\"",
            "tcp://10.0.0.7:9100 https://api.aipay.kz/v1",
            "K3F9Q-12-1-1 №8 701 1234",
        ] {
            assert_eq!(redact(text), text);
        }
        let words = ["Айгерім".to_owned(), "ab".to_owned()];
        assert_eq!(scrub("Айгерім: cable", &words), "•••: cable");
    }
}
