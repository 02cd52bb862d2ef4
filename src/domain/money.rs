//! Money as integers (I9): one unit, the tiyn, 1/100 tenge. Never a float, never compared as text.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest sum any border accepts: 10 billion tenge, far above a restaurant and far below overflow.
pub const AMOUNT_TIYN_MAX: i64 = 1_000_000_000_000;

/// An amount of money in tiyn, 1/100 tenge.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tiyn(pub i64);

/// Why a text or number is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Not a decimal number of tenge with at most two digits after the point.
    #[error("'{0}' is not a sum in tenge: write digits, at most two of them after a point")]
    Form(String),
    /// Outside of what the house handles.
    #[error("{0} is outside the limits of a sum (0 to 10 000 000 000 tenge)")]
    Range(String),
}

impl Tiyn {
    /// Nothing.
    pub const ZERO: Tiyn = Tiyn(0);

    /// Whole tenge to tiyn; `None` outside the limits.
    pub fn from_tenge(tenge: i64) -> Option<Tiyn> {
        tenge.checked_mul(100).map(Tiyn).filter(|sum| sum.in_limits())
    }

    /// The sum in whole tenge, or `None` when it has a fraction (the Kaspi terminal takes whole tenge only).
    pub fn whole_tenge(self) -> Option<i64> {
        (self.0 % 100 == 0).then_some(self.0 / 100)
    }

    /// Adds within `i64`; `None` on overflow.
    pub fn checked_add(self, other: Tiyn) -> Option<Tiyn> {
        self.0.checked_add(other.0).map(Tiyn)
    }

    /// Subtracts within `i64`; `None` on overflow.
    pub fn checked_sub(self, other: Tiyn) -> Option<Tiyn> {
        self.0.checked_sub(other.0).map(Tiyn)
    }

    /// Reads a decimal number of tenge: `12400`, `12400.5`, `12400.50`, with an optional leading minus.
    pub fn parse_tenge(text: &str) -> Result<Tiyn, BadAmount> {
        let form = || BadAmount::Form(text.chars().take(40).collect());
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_bare_point = digits.contains('.') && fraction.is_empty();
        if whole.is_empty() || has_bare_point || fraction.len() > 2 || !is_digits(whole) || !is_digits(fraction) {
            return Err(form());
        }
        let range = || BadAmount::Range(text.chars().take(40).collect());
        let tenge: i64 = whole.parse().map_err(|_| range())?;
        let hundredths: i64 = format!("{fraction:0<2}").parse().map_err(|_| form())?;
        let sum = tenge.checked_mul(100).and_then(|tiyn| tiyn.checked_add(hundredths)).ok_or_else(range)?;
        Some(Tiyn(sign * sum)).filter(|sum| sum.in_limits()).ok_or_else(range)
    }

    /// The sum as decimal tenge for machines: `12400` or `12400.50`.
    pub fn decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (tenge, tiyn) = (self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100);
        if tiyn == 0 { format!("{sign}{tenge}") } else { format!("{sign}{tenge}.{tiyn:02}") }
    }

    /// Whether the sum is within the limits of every border.
    pub fn in_limits(self) -> bool {
        self.0.unsigned_abs() <= AMOUNT_TIYN_MAX.unsigned_abs()
    }
}

impl fmt::Display for Tiyn {
    /// For people: groups of three digits, a comma before the tiyn, no currency sign.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (tenge, tiyn) = (self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100);
        let digits = tenge.to_string();
        let mut grouped = String::with_capacity(digits.len() + 4);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place) % 3 == 0 {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        let fraction = if tiyn == 0 { String::new() } else { format!(",{tiyn:02}") };
        out.pad(&format!("{sign}{grouped}{fraction}"))
    }
}

impl std::iter::Sum for Tiyn {
    fn sum<I: Iterator<Item = Tiyn>>(sums: I) -> Tiyn {
        Tiyn(sums.map(|sum| sum.0).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f06_texts_of_sums() {
        let read = |text| Tiyn::parse_tenge(text).ok();
        assert_eq!(read("15000"), Some(Tiyn(1_500_000)));
        assert_eq!(read("15000.00"), Some(Tiyn(1_500_000)));
        assert_eq!(read("0.5"), Some(Tiyn(50)));
        assert_eq!(read("-12.34"), Some(Tiyn(-1234)));
        for bad in ["", "1e3", " 1000", "1 000,00", "1.234", ".5", "5.", "--1", "١", "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn sums_for_people_and_machines() {
        assert_eq!(Tiyn(1_240_000).to_string(), "12 400");
        assert_eq!(Tiyn(-100_050).to_string(), "-1 000,50");
        assert_eq!(Tiyn(1_240_050).decimal(), "12400.50");
        assert_eq!(Tiyn(1_240_050).whole_tenge(), None);
        assert_eq!(Tiyn(1_240_000).whole_tenge(), Some(12_400));
    }
}
