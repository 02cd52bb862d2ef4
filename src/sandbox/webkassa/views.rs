//! What laws, tests and the control page see of a sandbox Webkassa.

use super::till::Receipt;
use crate::domain::fiscal::{Payment, Side};
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use serde::Serialize;
use serde_json::Value;

/// A registered receipt, as laws and the control page see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxReceipt {
    /// `ExternalCheckNumber`; empty where none was told.
    pub key: String,
    /// The fiscal sign.
    pub sign: String,
    /// The shift.
    pub shift: u64,
    /// Its number within the shift.
    pub number: u64,
    /// Sold, or given back.
    pub side: Side,
    /// What it comes to.
    pub total: Tiyn,
    /// The tax inside it.
    pub vat: Tiyn,
    /// How it was paid; of cash, what was handed over.
    pub payments: Vec<Payment>,
    /// Cash given back at once.
    pub change: Tiyn,
    /// Its lines: what, and what each comes to.
    pub lines: Vec<(String, Tiyn)>,
    /// Surcharges less discounts on the whole.
    pub added: Tiyn,
    /// The sign of the receipt that a return gives back.
    pub basis: Option<String>,
    /// When.
    pub at: Wall,
    /// When, as the answer told it.
    pub told_at: String,
    /// Made while the operator was away.
    pub is_autonomous: bool,
    /// The operator has it.
    pub is_uploaded: bool,
    /// `ExternalOrderNumber`.
    pub order_number: String,
    /// How often its key was sent.
    pub times_asked: u32,
}

/// Cash that went into the drawer or out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxMove {
    /// `ExternalCheckNumber`.
    pub key: String,
    /// Into it, else out of it.
    pub is_in: bool,
    /// How much.
    pub sum: Tiyn,
    /// The shift.
    pub shift: u64,
    /// When.
    pub at: Wall,
    /// How often its key was sent.
    pub times_asked: u32,
}

/// A shift of the cashbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxShift {
    /// Its number.
    pub number: u64,
    /// When it began: with its first document.
    pub opened: Wall,
    /// When it was closed.
    pub closed: Option<Wall>,
    /// Receipts in it.
    pub receipts: usize,
}

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SandboxReport {
    /// X or Z.
    pub kind: ReportKind,
    /// The shift.
    pub shift: u64,
    /// When.
    pub at: Wall,
    /// As it was told.
    pub data: Value,
}

/// A receipt as it is shown.
pub(super) fn seen(receipt: &Receipt) -> SandboxReceipt {
    let check = &receipt.check;
    SandboxReceipt {
        key: check.key.clone(),
        sign: receipt.sign.clone(),
        shift: receipt.shift,
        number: receipt.number,
        side: check.side,
        total: check.total,
        vat: check.vat(),
        payments: check.payments.iter().map(|(kind, sum)| Payment { kind: *kind, sum: *sum }).collect(),
        change: check.change,
        lines: check.positions.iter().map(|line| (line.name.clone(), line.sum)).collect(),
        added: check.modifiers.iter().map(|one| Tiyn(if one.is_markup { one.sum.0 } else { -one.sum.0 })).sum(),
        basis: check.basis.as_ref().map(|basis| basis.sign.clone()),
        at: receipt.at,
        told_at: receipt.at_text(),
        is_autonomous: receipt.is_autonomous,
        is_uploaded: receipt.is_uploaded,
        order_number: check.order.clone(),
        times_asked: receipt.times_asked,
    }
}
