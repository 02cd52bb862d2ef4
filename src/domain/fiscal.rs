//! Fiscal documents as values (fiscal-kz §1.4–1.8): what a cash register is told, and what it answers. All arithmetic is in whole tiyn;
//! value added tax is inside the price; a fiscal sign comes from the register only.

use crate::domain::money::Tiyn;
use crate::domain::order::Milli;
use crate::domain::paper::ReportKind;
use serde::{Deserialize, Serialize};

/// One piece, the unit of dishes and drinks (§1.10).
pub const UNIT_PIECE: u16 = 796;
/// A kilogram.
pub const UNIT_KILOGRAM: u16 = 166;
/// One service.
pub const UNIT_SERVICE: u16 = 5114;

/// The rate of value added tax inside a price, in per cent; without one the seller is no payer or the sale is exempt.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vat(pub Option<u8>);

impl Vat {
    /// The tax inside a sum with tax, to the nearest tiyn: `sum·p / (100+p)` (§1.6).
    pub fn within(self, sum: Tiyn) -> Tiyn {
        let percent = i128::from(self.0.unwrap_or(0));
        let (part, whole) = (i128::from(sum.0.abs()) * percent, 100 + percent);
        let tax = i64::try_from((2 * part + whole) / (2 * whole)).unwrap_or(i64::MAX);
        Tiyn(if sum.0 < 0 { -tax } else { tax })
    }
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What is sold, as the shop calls it.
    pub name: String,
    /// How much.
    pub quantity: Milli,
    /// The code of the unit (§1.10).
    pub unit: u16,
    /// The price of one unit.
    pub price: Tiyn,
    /// What is taken off the line.
    #[serde(default)]
    pub discount: Tiyn,
    /// What is added to the line.
    #[serde(default)]
    pub markup: Tiyn,
    /// The tax inside its sum.
    pub vat: Vat,
}

impl Position {
    /// Quantity times price, to the nearest tiyn.
    pub fn gross(&self) -> Tiyn {
        let milli = i128::from(self.quantity.0) * i128::from(self.price.0);
        Tiyn(i64::try_from((2 * milli + 1000).div_euclid(2000)).unwrap_or(i64::MAX))
    }

    /// What the line comes to.
    pub fn sum(&self) -> Tiyn {
        Tiyn(self.gross().0.saturating_sub(self.discount.0).saturating_add(self.markup.0))
    }

    /// The tax inside the line.
    pub fn tax(&self) -> Tiyn {
        self.vat.within(self.sum())
    }
}

/// What is taken off a bill as a whole, or added to it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModifierKind {
    /// Taken off.
    Discount,
    /// Added.
    Surcharge,
}

/// A discount or surcharge on the bill as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modifier {
    /// Which of the two.
    pub kind: ModifierKind,
    /// What the guest reads.
    pub text: String,
    /// How much, above zero.
    pub sum: Tiyn,
    /// The tax inside it.
    pub vat: Vat,
}

impl Modifier {
    /// The sum with its sign.
    pub fn signed(&self) -> Tiyn {
        match self.kind {
            ModifierKind::Discount => Tiyn(-self.sum.0),
            ModifierKind::Surcharge => self.sum,
        }
    }

    /// The tax with the same sign.
    pub fn tax(&self) -> Tiyn {
        self.vat.within(self.signed())
    }
}

/// How a register counts a payment (§1.4).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayKind {
    /// Notes and coins.
    Cash,
    /// A bank card.
    Card,
    /// A mobile payment: QR, an invoice to a phone.
    Mobile,
}

impl PayKind {
    /// All of them.
    pub const ALL: [PayKind; 3] = [PayKind::Cash, PayKind::Card, PayKind::Mobile];
}

/// What was paid in one way; a bill has each way at most once.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The way.
    pub kind: PayKind,
    /// How much; of cash, what was handed over.
    pub sum: Tiyn,
}

/// Which way goods and money go.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The guest buys.
    Sale,
    /// The guest gets money back.
    Return,
}

/// A bill as a register takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Which way it goes.
    pub side: Side,
    /// The number people say; printed as the order's number.
    pub order_number: String,
    /// What is sold.
    pub positions: Vec<Position>,
    /// Discounts and surcharges on the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<Modifier>,
    /// How it was paid.
    pub payments: Vec<Payment>,
    /// Cash given back at once.
    #[serde(default)]
    pub change: Tiyn,
    /// What it comes to.
    pub total: Tiyn,
}

/// A bill whose sums do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBill {
    /// It has no line.
    #[error("a bill needs a line")]
    Empty,
    /// Lines and modifiers do not come to the total.
    #[error("lines and modifiers come to {counted}, the total is {total}")]
    Total {
        /// What they come to.
        counted: Tiyn,
        /// What the bill says.
        total: Tiyn,
    },
    /// Payments less change do not come to the total.
    #[error("payments less change come to {counted}, the total is {total}")]
    Paid {
        /// What they come to.
        counted: Tiyn,
        /// What the bill says.
        total: Tiyn,
    },
    /// A sum is below zero, a kind of payment is there twice, change without cash.
    #[error("{0}")]
    Form(&'static str),
}

impl Bill {
    /// The sums of the lines and modifiers.
    pub fn counted(&self) -> Tiyn {
        let lines: Tiyn = self.positions.iter().map(Position::sum).sum();
        Tiyn(lines.0 + self.modifiers.iter().map(|one| one.signed().0).sum::<i64>())
    }

    /// The tax inside the bill by rate, the highest first; nothing where no line has any.
    pub fn taxes(&self) -> Vec<(u8, Tiyn)> {
        let mut rates: std::collections::BTreeMap<u8, i64> = std::collections::BTreeMap::new();
        let lines = self.positions.iter().map(|one| (one.vat, one.tax()));
        for (vat, tax) in lines.chain(self.modifiers.iter().map(|one| (one.vat, one.tax()))) {
            if let Some(percent) = vat.0 {
                *rates.entry(percent).or_default() += tax.0;
            }
        }
        rates.into_iter().rev().map(|(percent, tax)| (percent, Tiyn(tax))).collect()
    }

    /// What was paid in one way, less the change of cash.
    pub fn paid(&self, kind: PayKind) -> Tiyn {
        let change = if kind == PayKind::Cash { self.change.0 } else { 0 };
        let paid: Tiyn = self.payments.iter().filter(|one| one.kind == kind).map(|one| one.sum).sum();
        Tiyn(paid.0 - change)
    }

    /// Whether all sums agree (§1.6).
    pub fn check(&self) -> Result<(), BadBill> {
        if self.positions.is_empty() {
            return Err(BadBill::Empty);
        }
        let is_low = |sum: Tiyn| sum.0 < 0;
        if self.positions.iter().any(|one| one.quantity.0 <= 0 || is_low(one.price) || is_low(one.sum())) {
            return Err(BadBill::Form("a line is below zero, or has no quantity"));
        }
        if self.modifiers.iter().any(|one| one.sum <= Tiyn::ZERO) {
            return Err(BadBill::Form("a modifier is not above zero"));
        }
        let kinds: std::collections::BTreeSet<PayKind> = self.payments.iter().map(|one| one.kind).collect();
        if kinds.len() != self.payments.len() || self.payments.iter().any(|one| one.sum <= Tiyn::ZERO) {
            return Err(BadBill::Form("a kind of payment is there twice, or is nothing"));
        }
        if is_low(self.change) || is_low(self.paid(PayKind::Cash)) {
            return Err(BadBill::Form("more change than cash"));
        }
        if self.counted() != self.total || self.total <= Tiyn::ZERO {
            return Err(BadBill::Total { counted: self.counted(), total: self.total });
        }
        let paid = Tiyn(PayKind::ALL.iter().map(|kind| self.paid(*kind).0).sum());
        if paid != self.total {
            return Err(BadBill::Paid { counted: paid, total: self.total });
        }
        Ok(())
    }
}

/// What a return tells of the receipt that it returns: five values of the original, kept for ever (§1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Its fiscal sign.
    pub sign: String,
    /// Its time, letter by letter as the register told it.
    pub at: String,
    /// The registration number of the register that made it.
    pub registration: String,
    /// Its total, also for a return of a part.
    pub total: Tiyn,
    /// Whether it was made in autonomous mode.
    pub is_autonomous: bool,
}

/// A line of the register's own form of a receipt (§1.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintLine {
    /// What kind of line.
    pub kind: PrintKind,
    /// The text, the payload of the code, or the picture in base64.
    pub value: String,
    /// Whether it is emphasised.
    #[serde(default)]
    pub is_bold: bool,
}

/// What kind of line the register wants on paper.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrintKind {
    /// Text.
    Text,
    /// A picture, base64.
    Image,
    /// A QR code.
    Qr,
}

/// The register itself, as it stands on each of its papers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Who sells.
    pub taxpayer: String,
    /// Their BIN or IIN.
    pub bin: String,
    /// Factory number (ЗНМ).
    pub serial: String,
    /// Registration number (РНМ).
    pub registration: String,
    /// Its id at the operator (ИНК).
    pub identity: String,
    /// Where it stands, in Russian.
    pub address: String,
    /// The same in Kazakh; empty when it was not told.
    pub address_kz: String,
    /// The operator of fiscal data, in Russian.
    pub operator: String,
    /// The same in Kazakh; empty when it was not told.
    pub operator_kz: String,
    /// Where a receipt can be checked.
    pub site: String,
    /// Who works at it.
    pub cashier: String,
}

/// A receipt that has its fiscal sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The fiscal sign.
    pub sign: String,
    /// Its number within the shift; 0 when it was not told.
    pub number: u64,
    /// The shift.
    pub shift: u64,
    /// When, letter by letter as the register told it (`29.09.2025 13:45:18`): a return must say the same.
    pub at: String,
    /// Its total, where the register told it.
    pub total: Option<Tiyn>,
    /// Whether this receipt was made in autonomous mode.
    pub is_autonomous: bool,
    /// Whether the register is without its operator at the moment.
    pub is_register_autonomous: bool,
    /// The payload of its QR code, letter by letter; empty when it was not told.
    pub qr: String,
    /// The register.
    pub register: Register,
    /// Its own form on paper; empty when it was not told.
    pub lines: Vec<PrintLine>,
}

/// Cash that went into the drawer or out of it, as the register answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The shift.
    pub shift: u64,
    /// When, as the register told it.
    pub at: String,
    /// Cash in the drawer now, where it was told.
    pub in_drawer: Option<Tiyn>,
    /// Whether the register is without its operator.
    pub is_autonomous: bool,
    /// The register.
    pub register: Register,
}

/// The documents of one kind within a shift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turnover {
    /// How many in the shift.
    pub count: u64,
    /// How many ever.
    pub count_ever: u64,
    /// What was taken.
    pub taken: Tiyn,
    /// Of it given back as change.
    pub change: Tiyn,
    /// Discounts.
    pub discount: Tiyn,
    /// Surcharges.
    pub markup: Tiyn,
    /// Tax.
    pub vat: Tiyn,
    /// How it was paid.
    pub payments: Vec<Payment>,
}

/// Totals that are never set back: sales, purchases and both returns.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ever {
    /// Sales.
    pub sales: Tiyn,
    /// Purchases.
    pub purchases: Tiyn,
    /// Returns of sales.
    pub sale_returns: Tiyn,
    /// Returns of purchases.
    pub purchase_returns: Tiyn,
}

/// An X or Z report as the register tells it (§1.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftReport {
    /// Which of the two.
    pub kind: ReportKind,
    /// The register.
    pub register: Register,
    /// The shift.
    pub shift: u64,
    /// Number of the report; 0 when it was not told.
    pub number: u64,
    /// Documents of the shift.
    pub documents: u64,
    /// When the shift began.
    pub opened: String,
    /// When the report was made.
    pub made: String,
    /// When the shift was closed; empty while it is open.
    pub closed: String,
    /// Sales.
    pub sales: Turnover,
    /// Purchases.
    pub purchases: Turnover,
    /// Returns of sales.
    pub sale_returns: Turnover,
    /// Returns of purchases.
    pub purchase_returns: Turnover,
    /// Cash put in.
    pub put_in: Tiyn,
    /// Cash taken out.
    pub taken_out: Tiyn,
    /// Cash in the drawer.
    pub in_drawer: Tiyn,
    /// Never-reset totals at the beginning.
    pub at_start: Ever,
    /// Never-reset totals at the end.
    pub at_end: Ever,
    /// The register's checksum of it; empty when it was not told.
    pub control: String,
    /// Whether the register is without its operator.
    pub is_autonomous: bool,
}
