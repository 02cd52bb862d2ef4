//! The paper of a document: the receipt, the notice that stands in for it, reports and cash slips. Each is queued once.

use super::{LATE_AFTER, Wanted, basis, meant, registered_of};
use crate::domain::fiscal::{Moved, Registered, ShiftReport, Side};
use crate::domain::ids::FiscalId;
use crate::domain::money::Tiyn;
use crate::domain::order::Snapshot;
use crate::domain::paper::{CashSlip, Document, FiscalNotice, FiscalReceipt, ShiftPaper};
use crate::flows::{Rules, print};
use crate::ledger::fiscal::{Act, FiscalRow, State};
use crate::ledger::orders::OrderRow;
use crate::ledger::outbox::{JobKind, JobState, NewJob};
use crate::ledger::{Fault, Tx, refused};

/// The guest waited for long enough: paper that says that the receipt comes later, once.
pub fn notice(tx: &Tx<'_>, rules: &Rules, id: FiscalId) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if !row.act.is_bill() || row.state.is_final() || row.noticed.is_some() {
        return Ok(());
    }
    tx.set_noticed(id)?;
    paper(tx, rules, &tx.fiscal(id)?)
}

/// A person wants the paper of a document (again): the receipt or report where there is one, else the notice.
pub fn print_again(tx: &Tx<'_>, rules: &Rules, id: FiscalId) -> Result<FiscalRow, Fault> {
    let row = tx.fiscal(id)?;
    if row.state == State::Settled {
        return refused("fiscal_final", row.id.to_string());
    }
    let (order, name) = (place(tx, rules, &row)?, job_name(&row));
    let known: Vec<_> = tx.jobs_of(order.id)?.into_iter().filter(|job| job.document == name).collect();
    if known.is_empty() {
        paper(tx, rules, &row)?;
    }
    for job in known {
        if job.state != JobState::Done {
            print::retry(tx, job.id)?;
        }
    }
    Ok(row)
}

fn job_name(row: &FiscalRow) -> String {
    let is_notice = row.act.is_bill() && row.state != State::Registered;
    format!("{}:{}", if is_notice { "notice" } else { "fiscal" }, row.id)
}

/// The order that a paper hangs on. Reports and cash moves belong to none: theirs is the register's own, one for each day.
fn place(tx: &Tx<'_>, rules: &Rules, row: &FiscalRow) -> Result<OrderRow, Fault> {
    if let Some(order) = row.order {
        return tx.order(order);
    }
    let day = rules.machine_time(rules.day_start(row.created));
    let day = day.split('T').next().unwrap_or_default();
    let foreign_id = format!("{} {day}", row.register);
    if let Some(order) = tx.order_of(HOUSE, &foreign_id)? {
        return Ok(order);
    }
    let number = row.register.clone();
    tx.add_order(
        HOUSE,
        &Snapshot {
            foreign_id,
            number,
            table: String::new(),
            waiter: String::new(),
            due: Tiyn::ZERO,
            lines: Vec::new(),
            comment: String::new(),
        },
    )
}

/// The source of what belongs to no order of a guest.
pub const HOUSE: &str = "house";

/// Queues the paper of a document as it stands, once, on every receipt printer.
pub(super) fn paper(tx: &Tx<'_>, rules: &Rules, row: &FiscalRow) -> Result<(), Fault> {
    let order = place(tx, rules, row)?;
    let Some(document) = document(tx, rules, row, &order)? else { return Ok(()) };
    let (body, name) = (serde_json::to_string(&document)?, job_name(row));
    let attempt = tx.fiscal_shares(row.id)?.last().map(|(attempt, _)| *attempt);
    for printer in &rules.receipt_printers {
        tx.add_job(&NewJob {
            kind: JobKind::Print,
            target: printer,
            order: order.id,
            attempt,
            document: &name,
            no: 1,
            body: body.clone(),
        })?;
    }
    Ok(())
}

fn document(tx: &Tx<'_>, rules: &Rules, row: &FiscalRow, order: &OrderRow) -> Result<Option<Document>, Fault> {
    let (shop, is_test) = (rules.shop.clone(), rules.fiscal.is_test);
    let at = rules.paper_time(row.created);
    Ok(match row.act {
        Act::Sale | Act::Return => Some(match registered_of(row)? {
            Some(registered) => receipt(tx, rules, row, order, registered)?,
            None => notice_of(rules, row, order)?,
        }),
        Act::X | Act::Z => {
            let report: Option<ShiftReport> = row.answer.as_deref().map(serde_json::from_str).transpose()?;
            report.map(|report| Document::Shift(Box::new(ShiftPaper { shop, report, is_test })))
        }
        Act::CashIn | Act::CashOut => {
            let Wanted { by, because, .. } = serde_json::from_str(&row.bill)?;
            let moved: Option<Moved> = serde_json::from_str(row.answer.as_deref().unwrap_or("null"))?;
            let is_in = row.act == Act::CashIn;
            Some(Document::Cash(CashSlip { shop, is_in, amount: row.total, by, because, moved, at, is_test }))
        }
    })
}

fn receipt(
    tx: &Tx<'_>,
    rules: &Rules,
    row: &FiscalRow,
    order: &OrderRow,
    registered: Registered,
) -> Result<Document, Fault> {
    let meant = meant(row)?;
    let late_ms = tx.now().0.saturating_sub(meant.at.0);
    let is_late = u128::try_from(late_ms).is_ok_and(|late| late > LATE_AFTER.as_millis());
    Ok(Document::Fiscal(Box::new(FiscalReceipt {
        shop: rules.shop.clone(),
        order_number: order.snapshot.number.clone(),
        table: order.snapshot.table.clone(),
        basis: basis(tx, row)?,
        registered,
        evidence: meant.evidence,
        paid_at: if is_late { rules.paper_time(meant.at) } else { String::new() },
        reference: meant.reference,
        bill: meant.bill,
        is_test: meant.is_test || rules.fiscal.is_test,
    })))
}

fn notice_of(rules: &Rules, row: &FiscalRow, order: &OrderRow) -> Result<Document, Fault> {
    let meant = meant(row)?;
    let is_whole = meant.full == order.snapshot.due;
    Ok(Document::Notice(FiscalNotice {
        shop: rules.shop.clone(),
        order_number: order.snapshot.number.clone(),
        table: order.snapshot.table.clone(),
        side: if row.act == Act::Return { Side::Return } else { Side::Sale },
        lines: if is_whole { order.snapshot.lines.clone() } else { Vec::new() },
        total: row.total,
        payments: meant.evidence,
        at: rules.paper_time(meant.at),
        number: row.id.0,
        contact: rules.fiscal.contact.clone(),
        reference: meant.reference,
        is_test: meant.is_test || rules.fiscal.is_test,
    }))
}
