//! One fiscal receipt for what was paid, one return receipt for what went back, each once (F25, F26). What the register's books should say
//! is worked out from the payments that stayed; a document is the difference to what is on record already, so that deciding twice
//! changes nothing. The key and the request are committed before the first byte, and the same request is all that is ever repeated.

use super::{FiscalRules, Issuer, Rules, refund, settle};
use crate::domain::attempt::State as Paid;
use crate::domain::bill::{self, Share};
use crate::domain::fiscal::{Basis, Bill, Moved, Position, Registered, ShiftReport};
use crate::domain::ids::{AttemptId, FiscalId, OrderId};
use crate::domain::money::Tiyn;
use crate::domain::order::Tender;
use crate::domain::outcome::Reason;
use crate::domain::paper::{PaymentLine, ReportKind};
use crate::domain::time::Wall;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::fiscal::{Act, Change, FiscalRow, Mark, NewFiscal, State};
use crate::ledger::orders::{Closing, OrderRow};
use crate::ledger::outbox::{JobRow, JobState, SUPERSEDED};
use crate::ledger::refunds::RefundRow;
use crate::ledger::{Fault, Tx, View};
use serde::{Deserialize, Serialize};
use std::time::Duration;

mod house;
mod paper;
mod questions;

pub use house::{end_day, last_shift, move_cash, want_report};
use paper::paper;
pub use paper::{HOUSE, notice, print_again};
pub use questions::{
    answered, ask_about_waiting, ask_about_window, document_of, retry, waiting_ended, without_register,
};
use questions::{ask, forget_questions};

/// Questions that are about the cash register.
pub const QUESTIONS: [&str; 6] =
    ["fiscal_refused", "fiscal_uncertain", "fiscal_other", "fiscal_window", "fiscal_waiting", "pos_mark"];

/// Why a document goes out although it waited for too long: a person wants it.
pub const WANTED: &str = "wanted";

/// Why a Z report goes before everything: nothing is taken until the shift is closed.
pub const OUT_OF_TURN: &str = "fiscal_shift_over";

/// How long after the notice the guest may still be there: a later receipt is printed only when somebody asks for it.
const GUEST_STAYS: Duration = Duration::from_secs(15 * 60);

/// A receipt that is this much later than its payment says when it was paid.
const LATE_AFTER: Duration = Duration::from_secs(120);

/// Cash moves among which a caller's key is looked for: weeks of them.
const KEYS_MAX: u32 = 500;

/// Orders that are paid in part are looked for among the payments of this long.
const PARTS_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What a receipt is meant to be: kept with its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meant {
    /// What is registered.
    pub bill: Bill,
    /// What the order was paid in full with; zero where this is for a part of it, or for a return.
    pub full: Tiyn,
    /// What proves the payments, or the refunds.
    pub evidence: Vec<PaymentLine>,
    /// When it was paid.
    pub at: Wall,
    /// Our reference of the payment, or of the refund.
    pub reference: String,
    /// Whether it was meant for a test register: its paper says so for ever (F29).
    #[serde(default)]
    pub is_test: bool,
}

/// What a cash move or a report is meant to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Who wants it.
    pub by: String,
    /// Why; empty for a report.
    pub because: String,
    /// The caller's key: the same wish that comes again is the same document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What is to be sent for a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It was made ready before: the same again.
    Again(String),
    /// A receipt to be made ready.
    Bill(Box<Bill>, Option<Basis>),
    /// A cash move to be made ready.
    Cash(bool),
    /// A report.
    Report(ReportKind),
    /// It waits for the receipt that it gives back.
    Waits(Reason),
}

/// Whether the receipt of a payment is ours to make.
fn is_ours(rules: &FiscalRules, row: &AttemptRow) -> bool {
    rules.register.is_some() && rules.issuer(row.tender) == Issuer::Register && row.attempt.state == Paid::Paid
}

/// The daemon starts: from when on payments by a tender are ours to register is kept, so that neither a new register nor another issuer
/// makes a receipt for what was paid before.
pub fn opened(tx: &Tx<'_>, rules: &Rules) -> Result<(), Fault> {
    for tender in Tender::ALL {
        let is_ours = rules.fiscal.register.is_some() && rules.fiscal.issuer(tender) == Issuer::Register;
        let known = tx.vault(&since_name(tender))?.unwrap_or_default();
        match (is_ours, known.is_empty()) {
            (true, true) => tx.store_in_vault(&since_name(tender), &tx.now().0.to_string())?,
            (false, false) => tx.store_in_vault(&since_name(tender), "")?,
            (true, false) | (false, true) => {}
        }
    }
    Ok(())
}

fn since_name(tender: Tender) -> String {
    format!("fiscal.since.{}", tender.word())
}

/// Whether a payment became paid while its tender was ours to register.
fn is_since(view: &View<'_>, row: &AttemptRow) -> Result<bool, Fault> {
    let since = view.vault(&since_name(row.tender))?.and_then(|text| text.parse::<i64>().ok());
    Ok(since.is_none_or(|since| row.changed.0 >= since))
}

/// The same, less what came out on our own paper before there was a register: its guest has gone.
fn is_to_register(view: &View<'_>, rules: &FiscalRules, row: &AttemptRow, jobs: &[JobRow]) -> Result<bool, Fault> {
    let covers = |job: &JobRow| {
        job.created > row.changed || (job.created == row.changed && job.attempt.is_some_and(|last| row.id <= last))
    };
    let is_covered = jobs.iter().any(|job| job.document == "receipt" && covers(job));
    Ok(is_ours(rules, row) && !is_covered && is_since(view, row)?)
}

/// Whether any payment of an order is registered by us: then the register's paper is the guest's.
pub fn is_registered_here(view: &View<'_>, rules: &Rules, order: OrderId) -> Result<bool, Fault> {
    if !view.fiscal_of_order(order)?.is_empty() {
        return Ok(true);
    }
    let (rows, jobs) = (view.attempts_of_order(order)?, view.jobs_of(order)?);
    for row in &rows {
        if is_to_register(view, &rules.fiscal, row, &jobs)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the newest receipt says the order was paid in full with; zero when there is none.
pub fn full(view: &View<'_>, order: OrderId) -> Result<Tiyn, Fault> {
    let mut full = Tiyn::ZERO;
    for row in view.fiscal_of_order(order)?.iter().filter(|row| row.act == Act::Sale) {
        full = full.max(meant(row)?.full);
    }
    Ok(full)
}

/// What a row of a sale or return is meant to be.
pub fn meant(row: &FiscalRow) -> Result<Meant, Fault> {
    Ok(serde_json::from_str(&row.bill)?)
}

/// A payment that we register.
struct Payment {
    row: AttemptRow,
    /// What stayed of it.
    stayed: Tiyn,
    /// What is on record of it.
    known: Tiyn,
    /// What of it pays the order: what came on top, late or twice, is the guest's.
    counts: Tiyn,
    /// Whether more of it may be registered by us.
    is_open: bool,
}

/// The payments of an order that we register, in the order in which they pay it.
fn payments(tx: &Tx<'_>, rules: &Rules, order: &OrderRow) -> Result<Vec<Payment>, Fault> {
    let mut rows = tx.attempts_of_order(order.id)?;
    rows.retain(|row| row.attempt.state == Paid::Paid);
    rows.sort_by_key(|row| (row.attempt.late, row.id));
    let (mut payments, mut left) = (Vec::new(), order.snapshot.due);
    let jobs = tx.jobs_of(order.id)?;
    for row in rows {
        let paid = row.attempt.evidence.as_ref().map_or(Tiyn::ZERO, |evidence| evidence.amount);
        let stayed = Tiyn(paid.0.saturating_sub(refund::returned(tx, row.id)?.0).max(0));
        let (known, counts) = (tx.fiscal_share(row.id)?, stayed.min(left));
        left = Tiyn(left.0 - counts.0);
        let is_open = is_to_register(tx, &rules.fiscal, &row, &jobs)?;
        if is_open || known > Tiyn::ZERO {
            payments.push(Payment { row, stayed, known, counts, is_open });
        }
    }
    Ok(payments)
}

/// The order is paid, in full or for good: its receipt is written down, once; a total that grew afterwards gets one for the rest. Returns
/// whether the register's receipts are all that the guest needs: not where the rest was paid in a way that others register.
pub fn sell(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, is_full: bool) -> Result<bool, Fault> {
    let Some(register) = rules.fiscal.register.clone() else { return Ok(false) };
    let payments = payments(tx, rules, order)?;
    let on_record: i64 = payments.iter().map(|one| one.stayed.min(one.known).0).sum();
    let mut room = (order.snapshot.due.0 - on_record).max(0);
    let mut shares: Vec<(&AttemptRow, Tiyn)> = Vec::new();
    for one in payments.iter().filter(|one| one.is_open) {
        let amount = (one.counts.0 - one.known.0).clamp(0, room);
        if amount > 0 {
            shares.push((&one.row, Tiyn(amount)));
            room -= amount;
        }
    }
    let Some((last, _)) = shares.last() else { return Ok(full(tx, order.id)? >= order.snapshot.due) };
    let bill = sale(tx, rules, order, &shares)?;
    if bill.check().is_err() {
        // Less than a tenge in cash: there is nothing that a register could take.
        return Ok(full(tx, order.id)? >= order.snapshot.due);
    }
    // All that pays the order, also what others register: the guest has one paper.
    let rows = tx.attempts_of_order(order.id)?;
    let evidence = rows.iter().filter(|row| row.attempt.state == Paid::Paid).map(settle::payment_line).collect();
    let full = if is_full { order.snapshot.due } else { Tiyn::ZERO };
    let reference = last.reference.0.clone();
    let meant = Meant { full, evidence, at: last.changed, reference, is_test: rules.fiscal.is_test, bill };
    let shares: Vec<(AttemptId, Tiyn)> = shares.iter().map(|(row, amount)| (row.id, *amount)).collect();
    tx.add_fiscal(&NewFiscal {
        register: &register,
        act: Act::Sale,
        order: Some(order.id),
        basis: None,
        total: meant.bill.total,
        bill: serde_json::to_string(&meant)?,
        shares: &shares,
    })?;
    Ok(true)
}

/// The bill of a sale: the whole order, what it grew by, or a share of it.
fn sale(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, shares: &[(&AttemptRow, Tiyn)]) -> Result<Bill, Fault> {
    let terms = rules.fiscal.terms(tx.now());
    let ways: Vec<Share> = shares.iter().map(|(row, amount)| way(&rules.fiscal, row, *amount)).collect();
    let sum: Tiyn = ways.iter().map(|share| share.amount).sum();
    if sum == order.snapshot.due {
        return Ok(bill::whole(&order.snapshot, &terms, &ways));
    }
    let mut earlier: Vec<Position> = Vec::new();
    for row in tx.fiscal_of_order(order.id)?.iter().filter(|row| row.act == Act::Sale) {
        earlier.extend(meant(row)?.bill.positions);
    }
    let grown = if earlier.is_empty() { None } else { bill::growth(&order.snapshot, &terms, &earlier, &ways) };
    Ok(grown.unwrap_or_else(|| bill::share(&order.snapshot, &terms, &ways)))
}

fn way(rules: &FiscalRules, row: &AttemptRow, amount: Tiyn) -> Share {
    let evidence = row.attempt.evidence.as_ref();
    let method = evidence.map_or("", |evidence| evidence.method.as_str());
    // What was handed over belongs to the whole payment only.
    let tendered = evidence.filter(|evidence| evidence.amount == amount).and_then(|evidence| evidence.tendered);
    Share { kind: rules.kind(row.tender, method), amount, tendered }
}

/// Money of an order went back: what is on record of a payment and did not stay is returned, receipt by receipt. Returns whether any
/// document was written down: then the register's paper goes with the money.
pub fn give_back(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, back: &RefundRow) -> Result<bool, Fault> {
    let mut is_written = false;
    for one in payments(tx, rules, order)? {
        let (row, mut left) = (&one.row, one.known.0 - one.stayed.0);
        for sale in tx.fiscal_of_order(order.id)?.iter().rev().filter(|sale| sale.act == Act::Sale) {
            let open = open_share(tx, sale, row.id)?;
            let amount = left.min(open.0);
            if amount > 0 {
                left -= amount;
                is_written |= take_back(tx, rules, sale, row, Tiyn(amount), back)?;
            }
        }
    }
    Ok(is_written)
}

/// What a sale registered of a payment and no return has taken back.
fn open_share(view: &View<'_>, sale: &FiscalRow, attempt: AttemptId) -> Result<Tiyn, Fault> {
    let of = |id: FiscalId| -> Result<i64, Fault> {
        Ok(view.fiscal_shares(id)?.iter().filter(|(one, _)| *one == attempt).map(|(_, sum)| sum.0).sum())
    };
    let mut open = of(sale.id)?;
    for back in view.fiscal_returns(sale.id)? {
        open += of(back.id)?;
    }
    Ok(Tiyn(open))
}

fn take_back(
    tx: &Tx<'_>,
    rules: &Rules,
    sale: &FiscalRow,
    row: &AttemptRow,
    amount: Tiyn,
    back: &RefundRow,
) -> Result<bool, Fault> {
    let returns = tx.fiscal_returns(sale.id)?;
    let mut earlier = Vec::new();
    let mut returned = 0;
    for one in &returns {
        earlier.push(meant(one)?.bill);
        returned -= tx.fiscal_shares(one.id)?.iter().map(|(_, sum)| sum.0).sum::<i64>();
    }
    let sold: i64 = tx.fiscal_shares(sale.id)?.iter().map(|(_, sum)| sum.0).sum();
    let original = meant(sale)?.bill;
    let share = [Share { tendered: None, ..way(&rules.fiscal, row, amount) }];
    let Some(bill) = bill::give_back(&original, &earlier, &share, sold - returned == amount.0) else {
        return Ok(false);
    };
    let evidence = vec![settle::refund_line(back)];
    let (reference, is_test) = (back.reference.0.clone(), rules.fiscal.is_test);
    let meant = Meant { full: Tiyn::ZERO, evidence, at: back.changed, reference, is_test, bill };
    let written = tx.add_fiscal(&NewFiscal {
        register: &sale.register,
        act: Act::Return,
        order: sale.order,
        basis: Some(sale.id),
        total: meant.bill.total,
        bill: serde_json::to_string(&meant)?,
        shares: &[(row.id, Tiyn(-amount.0))],
    })?;
    if sale.state == State::Settled {
        // A person made that receipt outside: nobody here can tell its sign.
        refuse(tx, written.id, &Reason::new("fiscal_basis", sale.id))?;
        return Ok(false);
    }
    if rules.fiscal.register.as_ref() != Some(&sale.register) {
        // The register of that receipt is not here any more: a person makes the return in its cabinet.
        refuse(tx, written.id, &Reason::new("no_fiscal", &sale.register))?;
        return Ok(false);
    }
    Ok(true)
}

/// Orders that are paid in part, of which nothing is on record and nothing more is on its way: their guests have a right to a receipt too.
pub fn waiting_parts(view: &View<'_>, rules: &Rules, now: Wall) -> Result<Vec<OrderId>, Fault> {
    let from = now.plus_ms(-i64::try_from(PARTS_FOR.as_millis()).unwrap_or(i64::MAX));
    let mut waiting = Vec::new();
    let ours: Vec<&str> = Tender::ALL
        .iter()
        .filter(|tender| rules.fiscal.issuer(**tender) == Issuer::Register)
        .map(|tender| tender.word())
        .collect();
    for id in view.unregistered_orders(&serde_json::to_string(&ours)?, from)? {
        let order = view.order(id)?;
        let rows = view.attempts_of_order(id)?;
        let is_live = rows.iter().any(|row| row.attempt.state.is_live());
        let is_some_ours = rows.iter().any(|row| is_ours(&rules.fiscal, row));
        // While its close is on its way, the receipt follows the answer of the POS.
        let is_closing = matches!(order.closing, Closing::Waiting | Closing::Closing);
        if !is_live && is_some_ours && !is_closing {
            waiting.push(id);
        }
    }
    Ok(waiting)
}

/// Nobody paid the rest for long enough: what is paid gets its receipt.
pub fn part_waited(tx: &Tx<'_>, rules: &Rules, order: OrderId) -> Result<(), Fault> {
    if waiting_parts(tx, rules, tx.now())?.contains(&order) {
        sell(tx, rules, &tx.order(order)?, false)?;
    }
    Ok(())
}

/// What is to be sent for a document that is due.
pub fn ready(view: &View<'_>, row: &FiscalRow) -> Result<Ready, Fault> {
    if let Some(request) = &row.request {
        return Ok(Ready::Again(request.clone()));
    }
    match row.act {
        Act::X => Ok(Ready::Report(ReportKind::X)),
        Act::Z => Ok(Ready::Report(ReportKind::Z)),
        Act::CashIn => Ok(Ready::Cash(true)),
        Act::CashOut => Ok(Ready::Cash(false)),
        Act::Sale => Ok(Ready::Bill(Box::new(meant(row)?.bill), None)),
        Act::Return => match basis(view, row)? {
            Some(basis) => Ok(Ready::Bill(Box::new(meant(row)?.bill), Some(basis))),
            None => Ok(Ready::Waits(Reason::new("fiscal_basis", ""))),
        },
    }
}

/// What a return tells of its receipt; `None` until that is registered.
fn basis(view: &View<'_>, row: &FiscalRow) -> Result<Option<Basis>, Fault> {
    let Some(sale) = row.basis.map(|id| view.fiscal(id)).transpose()? else { return Ok(None) };
    let Some(registered) = registered_of(&sale)? else { return Ok(None) };
    Ok(Some(Basis {
        total: registered.total.unwrap_or(sale.total),
        sign: registered.sign,
        at: registered.at,
        registration: registered.register.registration,
        is_autonomous: registered.is_autonomous,
    }))
}

/// What the register answered to a receipt; `None` until it is registered.
pub fn registered_of(row: &FiscalRow) -> Result<Option<Registered>, Fault> {
    match row.answer.as_deref().filter(|_| row.act.is_bill() && row.state == State::Registered) {
        Some(answer) => Ok(Some(serde_json::from_str(answer)?)),
        None => Ok(None),
    }
}

/// The document is about to leave: its key and request are bound to it, and committed, before the first byte.
pub fn bind(tx: &Tx<'_>, id: FiscalId, key: &str, request: &str) -> Result<FiscalRow, Fault> {
    tx.bind_fiscal(&tx.fiscal(id)?, key, request)
}

/// The register took a receipt: the guest's paper, and the word to the POS.
pub fn registered(tx: &Tx<'_>, rules: &Rules, id: FiscalId, answer: &Registered) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    // The register's own word corrects a person's.
    if row.state == State::Registered {
        return Ok(());
    }
    if let Some(other) = tx.fiscal_by_sign(&row.register, &answer.sign)?.filter(|other| other.id != row.id) {
        // The register gave us another document's sign: somebody must compare.
        let reason = Reason::new("fiscal_other", format!("document {}", other.id));
        return set_aside(tx, id, &reason);
    }
    let text = serde_json::to_string(answer)?;
    let change = Change { state: State::Registered, reason: None, answer: Some((&text, Some(&answer.sign))) };
    let row = tx.set_fiscal(&row, &change)?;
    forget_questions(tx, &row, "registered")?;
    note_autonomy(tx, &row.register, answer.is_register_autonomous)?;
    let late_ms = row.noticed.map_or(0, |noticed| tx.now().0.saturating_sub(noticed.0));
    if u128::try_from(late_ms).unwrap_or(0) <= GUEST_STAYS.as_millis() {
        // Only where the receipt itself comes out: a guest is never left without any paper.
        drop_notices(tx, &row)?;
        paper(tx, rules, &row)?;
    }
    let is_pos = row.order.map(|order| tx.order(order)).transpose()?.is_some_and(|order| order.source == "pos");
    if is_pos && rules.pos.is_some() && is_whole(tx, &row)? {
        tx.set_mark(&row, Mark::Waiting)?;
    }
    Ok(())
}

/// Whether a receipt is about all goods of its order: only then the POS is told, which knows nothing of parts.
fn is_whole(view: &View<'_>, row: &FiscalRow) -> Result<bool, Fault> {
    match row.basis.map(|basis| view.fiscal(basis)).transpose()? {
        Some(sale) => Ok(row.total == sale.total),
        None => Ok(meant(row)?.full > Tiyn::ZERO),
    }
}

/// A notice that is not out yet says what is no longer true.
fn drop_notices(tx: &Tx<'_>, row: &FiscalRow) -> Result<(), Fault> {
    let (Some(order), name) = (row.order, format!("notice:{}", row.id)) else { return Ok(()) };
    for job in tx.jobs_of(order)?.iter().filter(|job| job.document == name && job.tries == 0 && job.is_open()) {
        tx.set_job(job, JobState::Done, job.tries, Some(&Reason::new(SUPERSEDED, "")))?;
    }
    Ok(())
}

/// Since when a register is without its operator; kept, because the 72 hours count from there.
fn note_autonomy(tx: &Tx<'_>, register: &str, is_autonomous: bool) -> Result<(), Fault> {
    let name = autonomy_name(register);
    let since = tx.vault(&name)?.unwrap_or_default();
    match (is_autonomous, since.is_empty()) {
        (true, true) => tx.store_in_vault(&name, &tx.now().0.to_string()),
        (false, false) => tx.store_in_vault(&name, ""),
        (true, false) | (false, true) => Ok(()),
    }
}

fn autonomy_name(register: &str) -> String {
    format!("fiscal.{register}.autonomous")
}

/// The oldest moment that the 72 hours of autonomy count from: a receipt that waits for us, or the register without its operator.
pub fn window(view: &View<'_>, register: &str) -> Result<Option<Wall>, Fault> {
    let (_, oldest) = view.fiscal_backlog(register)?;
    let since = view.vault(&autonomy_name(register))?.and_then(|text| text.parse().ok()).map(Wall);
    Ok(oldest.into_iter().chain(since).min())
}

/// The register put a cash move on record; `None` where it only says that it did so before.
pub fn moved(tx: &Tx<'_>, rules: &Rules, id: FiscalId, answer: Option<&Moved>) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if row.state.is_final() {
        return Ok(());
    }
    let text = serde_json::to_string(&answer)?;
    let row = tx.set_fiscal(&row, &Change { state: State::Registered, reason: None, answer: Some((&text, None)) })?;
    forget_questions(tx, &row, "registered")?;
    if let Some(answer) = answer {
        note_autonomy(tx, &row.register, answer.is_autonomous)?;
    }
    paper(tx, rules, &row)
}

/// A Z report is about to leave: should its answer be lost, nothing else goes out before it is known whether the shift is closed.
pub fn begin_report(tx: &Tx<'_>, id: FiscalId) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if row.state != State::Queued {
        return Ok(());
    }
    tx.set_fiscal(&row, &Change { state: State::Sending, reason: None, answer: None }).map(drop)
}

/// The register made a report.
pub fn reported(tx: &Tx<'_>, rules: &Rules, id: FiscalId, report: &ShiftReport) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if row.state.is_final() {
        return Ok(());
    }
    let text = serde_json::to_string(report)?;
    let row = tx.set_fiscal(&row, &Change { state: State::Registered, reason: None, answer: Some((&text, None)) })?;
    note_autonomy(tx, &row.register, report.is_autonomous)?;
    paper(tx, rules, &row)
}

/// There is no shift to report about: nothing was done, and nothing is asked.
pub fn no_shift(tx: &Tx<'_>, id: FiscalId) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if row.state.is_final() {
        return Ok(());
    }
    let reason = Reason::new("fiscal_no_shift", "");
    tx.set_fiscal(&row, &Change { state: State::Settled, reason: Some(&reason), answer: None }).map(drop)
}

/// The document did not go out, or nobody knows what became of it: it goes out again.
pub fn later(tx: &Tx<'_>, id: FiscalId, state: State, reason: &Reason) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    // Once uncertain it stays so until the register tells.
    let state = if row.state == State::Uncertain { row.state } else { state };
    let is_kept = |known: &Reason| [WANTED, OUT_OF_TURN].contains(&known.code.as_str());
    if !row.state.is_due() || row.reason.as_ref().is_some_and(is_kept) {
        return Ok(());
    }
    let reason = Reason::new(&reason.code, "");
    tx.set_fiscal(&row, &Change { state, reason: Some(&reason), answer: None }).map(drop)
}

/// The register refused the document as it is: nothing of it happened, a person has to look.
pub fn refuse(tx: &Tx<'_>, id: FiscalId, reason: &Reason) -> Result<(), Fault> {
    if reason.code == "fiscal_other" {
        return set_aside(tx, id, reason);
    }
    let row = tx.fiscal(id)?;
    if !row.state.is_due() {
        return Ok(());
    }
    let row = tx.set_fiscal(&row, &Change { state: State::Refused, reason: Some(reason), answer: None })?;
    ask(tx, &row, "fiscal_refused", reason)
}

/// The register answers, and what it knows of this document cannot be found out: a person has to look, and the asking goes on.
pub fn set_aside(tx: &Tx<'_>, id: FiscalId, reason: &Reason) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if !row.state.is_due() {
        return Ok(());
    }
    let row = tx.set_fiscal(&row, &Change { state: State::Uncertain, reason: Some(reason), answer: None })?;
    let code = if reason.code == "fiscal_other" { "fiscal_other" } else { "fiscal_uncertain" };
    ask(tx, &row, code, reason)
}

/// Receipts that the POS is to be told of: the order is closed there, and it does not know yet.
pub fn marks(view: &View<'_>, limit: u32) -> Result<Vec<(FiscalRow, OrderRow)>, Fault> {
    let mut due = Vec::new();
    for row in view.fiscal_marks(limit)? {
        if let Some(order) = row.order.map(|order| view.order(order)).transpose()?
            && order.closing == Closing::Closed
        {
            due.push((row, order));
        }
    }
    Ok(due)
}

/// How the POS took the word of a receipt. Where it would not hear it, a person is asked.
pub fn marked(tx: &Tx<'_>, id: FiscalId, refused: Option<&Reason>) -> Result<(), Fault> {
    let row = tx.fiscal(id)?;
    if row.mark != Mark::Waiting {
        return Ok(());
    }
    match refused {
        None => tx.set_mark(&row, Mark::Done),
        Some(reason) => {
            tx.set_mark(&row, Mark::Refused)?;
            ask(tx, &row, "pos_mark", reason)
        }
    }
}

/// The word for how far the receipts of an order are (contract, "Sub-states of a payment").
pub fn standing(view: &View<'_>, order: OrderId) -> Result<&'static str, Fault> {
    let rows = view.fiscal_of_order(order)?;
    let has = |states: &[State]| rows.iter().any(|row| states.contains(&row.state));
    if rows.is_empty() {
        return Ok("none");
    }
    for (states, word) in [
        (&[State::Refused][..], "refused"),
        (&[State::Uncertain][..], "uncertain"),
        (&[State::Queued, State::Sending][..], "queued"),
    ] {
        if has(states) {
            return Ok(word);
        }
    }
    for row in &rows {
        if registered_of(row)?.is_some_and(|answer| answer.is_autonomous) {
            return Ok("offline");
        }
    }
    Ok("registered")
}
