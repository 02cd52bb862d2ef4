//! What a partner's answer means for money. The border of every driver (H1: an unmapped answer is `Unknown`, never `Refused`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of one outward act.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// It happened, and this is the answer.
    Done(T),
    /// The partner understood and said no; nothing happened.
    Refused(Reason),
    /// No byte reached the partner, or it said that it did not take the request; it may be sent again.
    NotSent(Reason),
    /// Nobody here knows. Ask, do not repeat.
    Unknown(Reason),
}

impl<T> Outcome<T> {
    /// Changes the answer of `Done`, and nothing else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Outcome::Done(answer) => Outcome::Done(change(answer)),
            Outcome::Refused(reason) => Outcome::Refused(reason),
            Outcome::NotSent(reason) => Outcome::NotSent(reason),
            Outcome::Unknown(reason) => Outcome::Unknown(reason),
        }
    }

    /// Goes on from the answer of `Done`.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        match self {
            Outcome::Done(answer) => next(answer),
            Outcome::Refused(reason) => Outcome::Refused(reason),
            Outcome::NotSent(reason) => Outcome::NotSent(reason),
            Outcome::Unknown(reason) => Outcome::Unknown(reason),
        }
    }
}

/// Why an act was refused, not sent or left unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable word for machines and for the sentences of `i18n.rs`: `busy`, `link_lost`, `bad_key`.
    pub code: String,
    /// What the partner or the wire said, for the log; shortened at the border.
    pub detail: String,
}

/// The longest detail kept of a partner's words, in characters.
pub const DETAIL_CHARS_MAX: usize = 300;

impl Reason {
    /// A reason with its code and a detail cut to a readable length.
    pub fn new(code: &str, detail: impl fmt::Display) -> Reason {
        let detail: String = detail.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        Reason { code: code.to_owned(), detail: masked(&super::people::masked(&detail)) }
    }
}

/// Digits in a row that may be a phone or a card.
const DIGITS_MASKED_FROM: usize = 10;

/// A partner's words may name a guest's phone or card: long runs of digits keep their last two only.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run: Vec<char> = Vec::new();
    for sign in text.chars().map(Some).chain([None]) {
        match sign {
            Some(digit) if digit.is_ascii_digit() => run.push(digit),
            Some(_) | None => {
                let hidden = if run.len() >= DIGITS_MASKED_FROM { run.len() - 2 } else { 0 };
                out.extend(run.drain(..).enumerate().map(|(place, digit)| if place < hidden { '*' } else { digit }));
                out.extend(sign);
            }
        }
    }
    out
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { out.write_str(&self.code) } else { write!(out, "{}: {}", self.code, self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_in_a_partners_words_is_masked() {
        let reason = Reason::new("cloud_refused", "phone 77011234567 is blocked, code 4042");
        assert_eq!(reason.detail, "phone *********67 is blocked, code 4042");
    }
}
