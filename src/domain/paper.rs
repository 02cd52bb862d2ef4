//! Documents for paper, as values: the receipt for the guest and the ticket for the kitchen. Layout and bytes are `drivers/printer`.

use crate::domain::fiscal::{Basis, Bill, Moved, Registered, ShiftReport, Side};
use crate::domain::money::Tiyn;
use crate::domain::order::{Line, Milli};
use serde::{Deserialize, Serialize};

/// Anything a printer worker prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "document", rename_all = "snake_case")]
pub enum Document {
    /// The guest's document.
    Receipt(Receipt),
    /// Kitchen paper.
    Ticket(Ticket),
    /// What goes with money that is given back.
    Refund(RefundSlip),
    /// What the partner of a payment wants on paper.
    Slip(Slip),
    /// Totals within a shift or at its end.
    Report(Report),
    /// Opens the drawer; nothing is printed, and it never comes twice.
    Drawer,
    /// A page that shows what a printer can do.
    Test(TestSlip),
    /// A receipt with its fiscal sign.
    Fiscal(Box<FiscalReceipt>),
    /// What the guest gets while there is no fiscal sign yet.
    Notice(FiscalNotice),
    /// The register's own X or Z report.
    Shift(Box<ShiftPaper>),
    /// Cash that went into the drawer or out of it.
    Cash(CashSlip),
}

/// The guest's document. Without a fiscal sign it says so itself (fiscal receipts are a later driver).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Name of the shop.
    pub shop: String,
    /// The number people say.
    pub order_number: String,
    /// Table; empty when there is none.
    pub table: String,
    /// Waiter; empty when unknown.
    pub waiter: String,
    /// The dishes.
    pub lines: Vec<Line>,
    /// What was due.
    pub total: Tiyn,
    /// What was paid and how.
    pub payments: Vec<PaymentLine>,
    /// Shop's local time, ready for paper: `21.11.2026 13:05`.
    pub paid_at: String,
    /// Our reference of the payment.
    pub reference: String,
    /// What the guest may scan at the end of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr: Option<QrBlock>,
    /// Who issues the fiscal receipt for it where we do not: `Kaspi`; empty when nobody is known to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
}

/// A QR code with a line for people under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QrBlock {
    /// What a phone reads.
    pub text: String,
    /// What people read; empty when there is nothing to say.
    pub caption: String,
}

/// One payment on the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentLine {
    /// How it was paid, for people: `Kaspi QR`, `Kaspi карта`, `Наличные`.
    pub label: String,
    /// What was paid.
    pub amount: Tiyn,
    /// The partner's transaction number; empty when there is none.
    pub transaction: String,
    /// What the guest handed over in cash; what is above the amount went back as change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tendered: Option<Tiyn>,
}

/// What goes with money that is given back. It is not fiscal and says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundSlip {
    /// Name of the shop.
    pub shop: String,
    /// The number people say.
    pub order_number: String,
    /// Table; empty when there is none.
    pub table: String,
    /// What went back.
    pub amount: Tiyn,
    /// How it went back, for people.
    pub label: String,
    /// The partner's number of the refund; empty when there is none.
    pub transaction: String,
    /// Our reference of the payment.
    pub payment: String,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub because: String,
    /// Shop's local time, ready for paper.
    pub at: String,
    /// Our reference of the refund.
    pub reference: String,
}

/// What the partner of one payment wants on paper: the terminal's own text, or what we know of the payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Name of the shop.
    pub shop: String,
    /// The number people say.
    pub order_number: String,
    /// What was paid and how.
    pub payment: PaymentLine,
    /// Lines of the partner, printed as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<String>,
    /// Shop's local time, ready for paper.
    pub at: String,
    /// Our reference of the payment.
    pub reference: String,
}

/// Which totals.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// So far, nothing ends.
    X,
    /// At the end of the shift.
    Z,
}

/// Totals within a shift or at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which totals.
    pub kind: ReportKind,
    /// Name of the shop.
    pub shop: String,
    /// Number of the shift; empty when it has none.
    pub shift: String,
    /// Beginning and end, ready for paper.
    pub period: (String, String),
    /// What is counted: a label of both languages, how many, how much.
    pub rows: Vec<ReportRow>,
    /// All of it together.
    pub total: Tiyn,
    /// Shop's local time, ready for paper.
    pub at: String,
}

/// One total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// In Russian.
    pub russian: String,
    /// In Kazakh; the same as the Russian one is not repeated.
    pub kazakh: String,
    /// How many.
    pub count: u64,
    /// How much.
    pub sum: Tiyn,
}

/// Kitchen paper: always a difference to what the kitchen already has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Name of the station.
    pub station: String,
    /// The number people say.
    pub order_number: String,
    /// Table; empty when there is none.
    pub table: String,
    /// Waiter; empty when unknown.
    pub waiter: String,
    /// What kind of difference it is.
    pub kind: TicketKind,
    /// Which ticket of the order this is, from 1, and of how many known now.
    pub sequence: (u32, u32),
    /// The dishes.
    pub lines: Vec<TicketLine>,
    /// A comment to the order as a whole.
    pub comment: String,
    /// Shop's local time, ready for paper.
    pub at: String,
}

/// What a kitchen ticket tells the cook.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketKind {
    /// The first of an order at this station.
    New,
    /// More of an order already known.
    Addition,
    /// Not to be cooked any more.
    Cancel,
}

/// One dish for the cook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketLine {
    /// How much.
    pub quantity: Milli,
    /// The dish.
    pub name: String,
    /// Modifiers and variants.
    pub modifiers: Vec<String>,
    /// A wish of the guest.
    pub comment: String,
}

/// A page that shows what a printer can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSlip {
    /// Name of the shop.
    pub shop: String,
    /// Name of the printer in the configuration.
    pub printer: String,
    /// Shop's local time, ready for paper.
    pub at: String,
}

/// A receipt with its fiscal sign: the register's own lines, the code, and what proves the payment below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiscalReceipt {
    /// Name of the shop.
    pub shop: String,
    /// The number people say.
    pub order_number: String,
    /// Table; empty when there is none.
    pub table: String,
    /// What was registered.
    pub bill: Bill,
    /// What the register answered.
    pub registered: Registered,
    /// The receipt that a return gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// The payments behind it, with their numbers at the partners.
    pub evidence: Vec<PaymentLine>,
    /// When it was paid, where the register heard of it much later: `21.11.2026 13:05`; empty else.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub paid_at: String,
    /// Our reference of the payment.
    pub reference: String,
    /// A receipt of a test register is no receipt, and says so (F29).
    #[serde(default)]
    pub is_test: bool,
}

/// What the guest gets while there is no fiscal sign yet: it says that it is no receipt, and how to get one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiscalNotice {
    /// Name of the shop.
    pub shop: String,
    /// The number people say.
    pub order_number: String,
    /// Table; empty when there is none.
    pub table: String,
    /// Which way the money went.
    pub side: Side,
    /// What was sold; empty where only a part of the order is paid.
    pub lines: Vec<Line>,
    /// The sum that the receipt will be for.
    pub total: Tiyn,
    /// What was paid and how.
    pub payments: Vec<PaymentLine>,
    /// Shop's local time, ready for paper.
    pub at: String,
    /// Under this number the shop finds the document later.
    pub number: i64,
    /// Where the guest may ask for it, in the shop's own words; empty when the shop told nothing.
    pub contact: String,
    /// Our reference of the payment.
    pub reference: String,
    /// Whether the register is a test register.
    #[serde(default)]
    pub is_test: bool,
}

/// The register's own X or Z report on paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftPaper {
    /// Name of the shop.
    pub shop: String,
    /// What the register told.
    pub report: ShiftReport,
    /// Whether the register is a test register.
    #[serde(default)]
    pub is_test: bool,
}

/// Cash that went into the drawer or out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashSlip {
    /// Name of the shop.
    pub shop: String,
    /// Into the drawer, else out of it.
    pub is_in: bool,
    /// How much.
    pub amount: Tiyn,
    /// Who did it.
    pub by: String,
    /// Why.
    pub because: String,
    /// What the register answered; `None` where it only knows the act already.
    pub moved: Option<Moved>,
    /// Shop's local time, ready for paper.
    pub at: String,
    /// Whether the register is a test register.
    #[serde(default)]
    pub is_test: bool,
}

/// What is added to a document when it goes to paper: its job and, on a repeat, the mark (I7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imprint {
    /// Number of the print job, small at the tail.
    pub job: i64,
    /// 1 for the first try; from 2 on the paper says ПОВТОР / ҚАЙТАЛАУ with this number.
    pub copy: u32,
    /// The station or printer that this paper was meant for, where it comes out elsewhere: the paper says ВМЕСТО / ОРНЫНА with it.
    pub instead_of: Option<String>,
}
