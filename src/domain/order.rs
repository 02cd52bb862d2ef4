//! Orders as the ledger saw them: a snapshot is taken before money is asked for and compared before the POS is closed (F24).

use crate::domain::money::Tiyn;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A quantity in thousandths: 1 piece is 1000, 350 g of a weighed dish is 350.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Milli(pub i64);

impl Milli {
    /// One piece.
    pub const ONE: Milli = Milli(1000);

    /// Reads a decimal number with at most three significant digits after the point (more must be zeros).
    pub fn parse(text: &str) -> Option<Milli> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() || fraction.len() > 3 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let thousandths: i64 = format!("{fraction:0<3}").parse().ok()?;
        whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(thousandths).map(Milli)
    }
}

impl fmt::Display for Milli {
    /// For people: `2`, `0,35`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        let fraction = format!("{rest:03}");
        let fraction = fraction.trim_end_matches('0');
        let text = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole},{fraction}") };
        out.pad(&text)
    }
}

/// One dish or product of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The POS's own key of the product with its variant: what makes two lines "the same dish".
    pub key: String,
    /// Name for paper, as the POS writes it.
    pub name: String,
    /// Modifiers and variants, one text each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<String>,
    /// How much.
    pub quantity: Milli,
    /// What the line costs in all.
    pub sum: Tiyn,
    /// The POS's own id of the station that cooks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workshop: Option<String>,
    /// A wish of the guest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The code of the unit it is sold in (fiscal-kz §1.10); the shop's usual one where the source tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u16>,
    /// The value added tax inside its sum in per cent, 0 for none; the shop's usual rate where the source tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat: Option<u8>,
}

/// An order as it stood at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The POS's, bot's or caller's own id of the order.
    pub foreign_id: String,
    /// The number people say.
    pub number: String,
    /// Table or place; empty when there is none.
    #[serde(default)]
    pub table: String,
    /// Waiter; empty when unknown.
    #[serde(default)]
    pub waiter: String,
    /// What the guest has to pay in all.
    pub due: Tiyn,
    /// The dishes; empty where the source gives only a sum.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// A comment to the order as a whole.
    #[serde(default)]
    pub comment: String,
}

impl Snapshot {
    /// What must not change between the amount asked and the close: the sum and the dishes, not the names on them.
    pub fn fingerprint(&self) -> String {
        let mut lines: Vec<String> =
            self.lines.iter().map(|line| format!("{}*{}={}", line.key, line.quantity.0, line.sum.0)).collect();
        lines.sort();
        format!("{}|{}", self.due.0, lines.join(";"))
    }
}

/// How the POS itself sees an order now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PosStanding {
    /// Open, to be paid.
    Open,
    /// Closed, with what was paid how: cash, cashless, other (in tiyn).
    Closed {
        /// Notes and coins.
        cash: Tiyn,
        /// Card, QR and other cashless.
        cashless: Tiyn,
        /// Certificates, bonuses and the like.
        other: Tiyn,
    },
    /// Removed from the POS.
    Removed,
}

/// An order as the POS's own record shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PosOrder {
    /// Its content.
    pub snapshot: Snapshot,
    /// Its state.
    pub standing: PosStanding,
}

/// How a part is paid.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tender {
    /// The amount on the Kaspi terminal; the guest chooses QR, card or palm there.
    KaspiTerminal,
    /// A payment request to the guest's phone through a cloud.
    KaspiInvoice,
    /// A QR shown by us, made by a cloud.
    KaspiQr,
    /// Notes and coins, confirmed by the cashier.
    Cash,
}

impl Tender {
    /// All of them.
    pub const ALL: [Tender; 4] = [Tender::KaspiTerminal, Tender::KaspiInvoice, Tender::KaspiQr, Tender::Cash];

    /// The word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            Tender::KaspiTerminal => "kaspi_terminal",
            Tender::KaspiInvoice => "kaspi_invoice",
            Tender::KaspiQr => "kaspi_qr",
            Tender::Cash => "cash",
        }
    }

    /// Reads the word of the contract.
    pub fn from_word(word: &str) -> Option<Tender> {
        Tender::ALL.into_iter().find(|tender| tender.word() == word)
    }
}

/// A phone of Kazakhstan as 11 digits, `77XXXXXXXXX`. It prints masked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Reads `77…`, `+77…` or `87…` with spaces, brackets and dashes between.
    pub fn parse(text: &str) -> Option<Phone> {
        if text.len() > 40 || text.chars().any(|sign| !sign.is_ascii_digit() && !"+ ()-".contains(sign)) {
            return None;
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let digits = match digits.strip_prefix("87") {
            Some(rest) => format!("77{rest}"),
            None => digits,
        };
        (digits.len() == 11 && digits.starts_with("77")).then_some(Phone(digits))
    }

    /// All digits, for the partner only.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// `+7 7** ***-**-67`: enough to recognise, not enough to call.
    pub fn masked(&self) -> String {
        format!("+7 7** ***-**-{}", self.0.get(9..).unwrap_or(""))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_normalised_and_masked() {
        let phone = |text| Phone::parse(text).map(|phone| phone.digits().to_owned());
        assert_eq!(phone("87011234567").as_deref(), Some("77011234567"));
        assert_eq!(phone("+7 (701) 123-45-67").as_deref(), Some("77011234567"));
        assert_eq!(phone("770112345"), None);
        assert_eq!(phone("77011234567x"), None);
        assert_eq!(format!("{:?}", Phone::parse("77011234567")), "Some(+7 7** ***-**-67)");
    }

    #[test]
    fn quantities_are_thousandths() {
        assert_eq!(Milli::parse("2"), Some(Milli(2000)));
        assert_eq!(Milli::parse("0.3500000"), Some(Milli(350)));
        assert_eq!(Milli::parse("1.0005"), None);
        assert_eq!(Milli(350).to_string(), "0,35");
    }
}
