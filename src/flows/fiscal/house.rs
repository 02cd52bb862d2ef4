//! What belongs to no guest: X and Z reports, and cash into the drawer and out of it.

use super::{KEYS_MAX, Wanted};
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::flows::Rules;
use crate::ledger::fiscal::{Act, FiscalRow, NewFiscal};
use crate::ledger::{Fault, Tx, View, refused};

/// A person, or the end of the day, wants a report. One of its kind that still waits is the same wish.
pub fn want_report(tx: &Tx<'_>, rules: &Rules, kind: ReportKind, by: &str) -> Result<FiscalRow, Fault> {
    let Some(register) = &rules.fiscal.register else { return refused("no_fiscal", "") };
    let act = if kind == ReportKind::X { Act::X } else { Act::Z };
    if let Some(waits) = tx.fiscal_due(register, u32::MAX)?.into_iter().find(|row| row.act == act) {
        return Ok(waits);
    }
    let wanted = Wanted { by: by.to_owned(), ..Wanted::default() };
    tx.add_fiscal(&NewFiscal {
        register,
        act,
        order: None,
        basis: None,
        total: Tiyn::ZERO,
        bill: serde_json::to_string(&wanted)?,
        shares: &[],
    })
}

/// Cash goes into the drawer or out of it.
pub fn move_cash(
    tx: &Tx<'_>,
    rules: &Rules,
    is_in: bool,
    amount: Tiyn,
    by: &str,
    because: &str,
    key: Option<&str>,
) -> Result<FiscalRow, Fault> {
    let Some(register) = &rules.fiscal.register else { return refused("no_fiscal", "") };
    if by.trim().is_empty() || because.trim().is_empty() {
        return refused("answer_incomplete", "by and because");
    }
    if amount <= Tiyn::ZERO || !amount.in_limits() || amount.whole_tenge().is_none() {
        return refused("no_sum", amount.decimal());
    }
    let act = if is_in { Act::CashIn } else { Act::CashOut };
    if let Some(key) = key
        && let Some(known) = moved_by_key(tx, key)?
    {
        let is_same = (known.act, known.total) == (act, amount);
        return if is_same {
            Ok(known)
        } else {
            refused("key_reused", format!("the key was used for document {}", known.id))
        };
    }
    let wanted = Wanted { by: by.to_owned(), because: because.to_owned(), key: key.map(str::to_owned) };
    tx.add_fiscal(&NewFiscal {
        register,
        act,
        order: None,
        basis: None,
        total: amount,
        bill: serde_json::to_string(&wanted)?,
        shares: &[],
    })
}

/// The cash move of a caller's key, among those of the last days.
fn moved_by_key(view: &View<'_>, key: &str) -> Result<Option<FiscalRow>, Fault> {
    for row in view.newest_moves(KEYS_MAX)? {
        if serde_json::from_str::<Wanted>(&row.bill)?.key.as_deref() == Some(key) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Whether the shift of a business day that is over is still open: then its Z report is wanted.
pub fn end_day(tx: &Tx<'_>, rules: &Rules, day: Wall) -> Result<bool, Fault> {
    let Some(register) = rules.fiscal.register.clone().filter(|_| rules.fiscal.auto_z) else { return Ok(false) };
    let waits = tx.fiscal_due(&register, u32::MAX)?;
    if !tx.is_shift_older(&register, day)? || waits.iter().any(|row| row.act == Act::Z) {
        return Ok(false);
    }
    want_report(tx, rules, ReportKind::Z, "kassad").map(|_| true)
}

/// The shift that the newest answer names: what a lost Z report was about.
pub fn last_shift(view: &View<'_>, register: &str) -> Result<Option<u64>, Fault> {
    let Some(last) = view.last_registered(register)? else { return Ok(None) };
    let answer: serde_json::Value = serde_json::from_str(last.answer.as_deref().unwrap_or("null"))?;
    Ok(answer.get("shift").and_then(serde_json::Value::as_u64).filter(|_| last.act != Act::Z))
}
