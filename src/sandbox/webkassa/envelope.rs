//! How Webkassa reads and writes (fiscal-kz §1.1, §1.9): keys in any letter case, sums as JSON numbers of tenge, and refusals as
//! `Errors` under HTTP 200. A sum is read from the number's own text, so that nothing is rounded on the way.

use crate::domain::money::Tiyn;
use serde_json::{Map, Value, json as object};

/// Not understood, or not said: the client may send the same once more.
pub(super) const UNKNOWN: i64 = -1;
pub(super) const BAD_LOGIN: i64 = 1;
pub(super) const STALE_TOKEN: i64 = 2;
pub(super) const NOT_AUTHORISED: i64 = 3;
pub(super) const NO_RIGHT: i64 = 4;
pub(super) const NO_CASHBOX: i64 = 6;
pub(super) const BLOCKED: i64 = 7;
pub(super) const NO_CASH: i64 = 8;
pub(super) const INVALID: i64 = 9;
pub(super) const NO_LICENCE: i64 = 10;
pub(super) const SHIFT_TOO_LONG: i64 = 11;
pub(super) const SHIFT_CLOSED: i64 = 12;
pub(super) const NO_OPEN_SHIFT: i64 = 13;
pub(super) const KEY_KNOWN: i64 = 14;
pub(super) const NO_SHIFT: i64 = 15;
pub(super) const NO_RECEIPT: i64 = 16;
pub(super) const AWAY_TOO_LONG: i64 = 18;
pub(super) const NO_SUCH_KEY: i64 = 19;
pub(super) const OTHER_HOST: i64 = 505;
pub(super) const NEVER_AUTONOMOUS: i64 = 1013;
pub(super) const SHIFT_STILL_OPEN: i64 = 1014;

/// One entry of `Errors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: i64,
    pub text: String,
}

/// A refusal with this code and text.
pub(super) fn refusal(code: i64, text: impl Into<String>) -> Refusal {
    Refusal { code, text: text.into() }
}

/// Data that is wrong, with a text that says what.
pub(super) fn invalid(text: impl Into<String>) -> Refusal {
    refusal(INVALID, text)
}

impl Refusal {
    /// The envelope; `data` stands beside the error where the partner tells both.
    pub(super) fn envelope(&self, data: Option<Value>) -> Value {
        let mut envelope = object!({"Errors": [{"Code": self.code, "Text": self.text}]});
        if let (Some(data), Some(members)) = (data, envelope.as_object_mut()) {
            members.insert("Data".to_owned(), data);
        }
        envelope
    }
}

/// An object of a request, its keys in lower case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads the body of a request.
    pub(super) fn read(bytes: &[u8]) -> Option<Body> {
        Body::of(lowered(serde_json::from_slice(bytes).ok()?))
    }

    fn of(value: Value) -> Option<Body> {
        match value {
            Value::Object(members) => Some(Body(members)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        }
    }

    /// The same without a member: what is compared when a key comes again.
    pub(super) fn without(mut self, name: &str) -> Body {
        self.0.remove(name);
        self
    }

    /// A text that is not blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    /// A sum of tenge; none when it is missing or null.
    pub(super) fn money(&self, name: &str) -> Result<Option<Tiyn>, Refusal> {
        let Some(text) = self.digits(name)? else { return Ok(None) };
        let sum = Tiyn::parse_tenge(&text);
        sum.map(Some)
            .map_err(|_| invalid(format!("Поле {name}: сумма должна иметь не более двух знаков после запятой")))
    }

    /// A quantity in thousandths; none when it is missing or null.
    pub(super) fn milli(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.digits(name)? else { return Ok(None) };
        let wrong = || invalid(format!("Поле {name}: количество должно иметь не более трёх знаков после запятой"));
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        if fraction.len() > 3 || whole.starts_with('-') {
            return Err(wrong());
        }
        format!("{whole}{fraction:0<3}").parse().map(Some).map_err(|_| wrong())
    }

    /// The objects of a list; none when it is missing or null.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Body>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let items: Option<Vec<Body>> = items.iter().cloned().map(Body::of).collect();
                items.ok_or_else(|| invalid(format!("Поле {name}: ожидается список объектов")))
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                Err(invalid(format!("Поле {name}: ожидается список")))
            }
        }
    }

    /// An object within.
    pub(super) fn part(&self, name: &str) -> Option<Body> {
        self.0.get(name).cloned().and_then(Body::of)
    }

    /// The number as it is written. A text is no number: the vendor's field is a decimal.
    fn digits(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            // `500.0` and `500` are the same sum.
            Some(Value::Number(number)) => {
                let text = number.to_string();
                Ok(Some(text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)))
            }
            Some(Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                Err(invalid(format!("Поле {name}: ожидается число")))
            }
        }
    }
}

fn lowered(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let lower = |(name, value): (String, Value)| (name.to_lowercase(), lowered(value));
            Value::Object(members.into_iter().map(lower).collect())
        }
        Value::Array(items) => items.into_iter().map(lowered).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// A sum as a JSON number of tenge.
pub(super) fn tenge(sum: Tiyn) -> Value {
    decimal(&sum.decimal())
}

/// A quantity as a JSON number.
pub(super) fn quantity(milli: i64) -> Value {
    decimal(&quantity_text(milli))
}

/// A quantity with up to three digits after a point.
pub(super) fn quantity_text(milli: i64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn decimal(text: &str) -> Value {
    text.parse().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: &Value) -> Body {
        Body::read(value.to_string().as_bytes()).unwrap_or(Body(Map::new()))
    }

    #[test]
    fn keys_have_any_case_and_sums_are_exact() {
        let read =
            body(&object!({"SUM": 59.79, "cOuNt": 1.25, "Whole": 500.0, "Text": "500", "Fine": 0.001, "Long": 1.005}));
        assert_eq!(read.money("sum"), Ok(Some(Tiyn(5979))));
        assert_eq!(read.milli("count"), Ok(Some(1250)));
        assert_eq!(read.money("whole"), Ok(Some(Tiyn(50_000))));
        assert_eq!(read.milli("fine"), Ok(Some(1)));
        assert_eq!(read.money("missing"), Ok(None));
        assert!(read.money("text").is_err() && read.money("long").is_err());
        assert_eq!(
            (quantity_text(1250), quantity_text(2000), quantity_text(5)),
            ("1.25".into(), "2".into(), "0.005".into())
        );
        assert_eq!((tenge(Tiyn(5979)).to_string(), tenge(Tiyn(50_000)).to_string()), ("59.79".into(), "500".into()));
    }
}
