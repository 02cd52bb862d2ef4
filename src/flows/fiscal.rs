//! One fiscal receipt for what was paid, one return receipt for what went back, each once (F25, F26). What the register's books should say
//! is worked out from the payments that stayed; a document is the difference to what is on record already, so that deciding twice
//! changes nothing. The key and the request are committed before the first byte, and the same request is all that is ever repeated.

use super::{FiscalRules, Issuer, Rules, print, refund, settle};
use crate::domain::attempt::State as Paid;
use crate::domain::bill::{self, Share};
use crate::domain::fiscal::{Basis, Bill, Moved, Position, Registered, ShiftReport, Side};
use crate::domain::ids::{AttemptId, FiscalId, OrderId};
use crate::domain::money::Tiyn;
use crate::domain::order::{Snapshot, Tender};
use crate::domain::outcome::Reason;
use crate::domain::paper::{CashSlip, Document, FiscalNotice, FiscalReceipt, PaymentLine, ReportKind, ShiftPaper};
use crate::domain::time::Wall;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::fiscal::{Act, Change, FiscalRow, Mark, NewFiscal, State};
use crate::ledger::orders::{Closing, OrderRow};
use crate::ledger::outbox::{JobKind, JobRow, JobState, NewJob, SUPERSEDED};
use crate::ledger::questions::{NewQuestion, QuestionRow};
use crate::ledger::refunds::RefundRow;
use crate::ledger::{Fault, Tx, View, refused};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
        paper(tx, rules, &row)?;
    }
    drop_notices(tx, &row)?;
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

fn ask(tx: &Tx<'_>, row: &FiscalRow, code: &'static str, reason: &Reason) -> Result<(), Fault> {
    let number = row.order.map(|order| tx.order(order)).transpose()?.map(|order| order.snapshot.number);
    let args = vec![
        ("document", row.id.to_string()),
        ("order", number.unwrap_or_default()),
        ("amount", row.total.to_string()),
        ("reason", reason.to_string()),
    ];
    tx.ask(&NewQuestion { code, order: row.order, args, ..NewQuestion::default() })
}

/// The document that a question is about.
pub fn document_of(question: &QuestionRow) -> Option<FiscalId> {
    let (_, id) = question.args.iter().find(|(name, _)| name == "document")?;
    QUESTIONS.contains(&question.code.as_str()).then(|| id.parse().ok().map(FiscalId)).flatten()
}

fn forget_questions(tx: &Tx<'_>, row: &FiscalRow, outcome: &str) -> Result<(), Fault> {
    let questions = match row.order {
        Some(order) => tx.questions_of(order)?,
        None => tx.open_questions()?,
    };
    for question in questions {
        if document_of(&question) == Some(row.id) && question.code != "pos_mark" {
            tx.answer(question.id, "kassad", "", outcome)?;
        }
    }
    Ok(())
}

/// A named person has settled what a question was about.
pub fn answered(tx: &Tx<'_>, question: &QuestionRow) -> Result<(), Fault> {
    match (question.code.as_str(), document_of(question)) {
        ("fiscal_window", _) => allow_all(tx, question),
        ("pos_mark", Some(id)) => tx.set_mark(&tx.fiscal(id)?, Mark::Done),
        ("fiscal_refused" | "fiscal_uncertain" | "fiscal_other", Some(id)) => {
            let row = tx.fiscal(id)?;
            if row.state.is_final() {
                return Ok(());
            }
            let reason = Reason::new("answered", "");
            tx.set_fiscal(&row, &Change { state: State::Settled, reason: Some(&reason), answer: None })?;
            // What gives this receipt back has nothing to give back any more.
            for back in tx.fiscal_returns(id)?.iter().filter(|back| !back.state.is_final()) {
                tx.set_fiscal(back, &Change { state: State::Settled, reason: Some(&reason), answer: None })?;
            }
            Ok(())
        }
        (_, _) => Ok(()),
    }
}

/// The oldest document waited for more than the law's 72 hours: nothing is sent blindly any more, a person decides (F26).
pub fn ask_about_window(tx: &Tx<'_>, register: &str) -> Result<(), Fault> {
    let (count, _) = tx.fiscal_backlog(register)?;
    let args = vec![("register", register.to_owned()), ("count", count.to_string())];
    tx.ask(&NewQuestion { code: "fiscal_window", args, ..NewQuestion::default() })
}

fn allow_all(tx: &Tx<'_>, question: &QuestionRow) -> Result<(), Fault> {
    let Some((_, register)) = question.args.iter().find(|(name, _)| name == "register") else { return Ok(()) };
    let reason = Reason::new(WANTED, "");
    for row in tx.fiscal_open(register, u32::MAX)?.iter().filter(|row| row.state.is_due()) {
        tx.set_fiscal(row, &Change { state: row.state, reason: Some(&reason), answer: None })?;
    }
    Ok(())
}

/// Receipts wait for the register for long: one red line for all of them, until they are through.
pub fn ask_about_waiting(tx: &Tx<'_>, register: &str, reason: &Reason) -> Result<(), Fault> {
    let (count, _) = tx.fiscal_backlog(register)?;
    let is_asked = tx.open_questions()?.iter().any(|question| question.code == "fiscal_waiting");
    if count == 0 || is_asked {
        return Ok(());
    }
    let args = vec![("register", register.to_owned()), ("count", count.to_string()), ("reason", reason.code.clone())];
    tx.ask(&NewQuestion { code: "fiscal_waiting", args, ..NewQuestion::default() })
}

/// Nothing waits for the register any more.
pub fn waiting_ended(tx: &Tx<'_>, register: &str) -> Result<(), Fault> {
    for question in tx.open_questions()? {
        let is_ours = question.args.iter().any(|(name, value)| name == "register" && value == register);
        if is_ours && ["fiscal_waiting", "fiscal_window"].contains(&question.code.as_str()) {
            tx.answer(question.id, "kassad", "", "registered")?;
        }
    }
    Ok(())
}

/// A person wants a document tried again. One that was surely refused is made anew from what the shop's rules say now.
pub fn retry(tx: &Tx<'_>, rules: &Rules, id: FiscalId) -> Result<FiscalRow, Fault> {
    let row = tx.fiscal(id)?;
    let basis = row.basis.map(|basis| tx.fiscal(basis)).transpose()?;
    if basis.is_some_and(|sale| sale.state == State::Settled) {
        return refused("fiscal_basis", row.id.to_string());
    }
    if rules.fiscal.register.as_ref() != Some(&row.register) {
        return refused("no_fiscal", row.register);
    }
    match row.state {
        State::Registered | State::Settled => refused("fiscal_final", row.id.to_string()),
        State::Queued | State::Sending | State::Uncertain => {
            let reason = Reason::new(WANTED, "");
            forget_questions(tx, &row, "again")?;
            tx.set_fiscal(&row, &Change { state: row.state, reason: Some(&reason), answer: None })
        }
        State::Refused => {
            forget_questions(tx, &row, "again")?;
            let (bill, total) = anew(tx, rules, &row)?;
            tx.renew_fiscal(&row, &bill, total)
        }
    }
}

/// The content of a refused document by the rules of today; of a return, as it was.
fn anew(tx: &Tx<'_>, rules: &Rules, row: &FiscalRow) -> Result<(String, Tiyn), Fault> {
    let (Act::Sale, Some(order)) = (row.act, row.order) else { return Ok((row.bill.clone(), row.total)) };
    let order = tx.order(order)?;
    let mut shares = Vec::new();
    for (attempt, amount) in tx.fiscal_shares(row.id)? {
        shares.push((tx.attempt(attempt)?, amount));
    }
    let shares: Vec<(&AttemptRow, Tiyn)> = shares.iter().map(|(row, amount)| (row, *amount)).collect();
    let is_only = tx.fiscal_of_order(order.id)?.iter().filter(|one| one.act == Act::Sale).count() == 1;
    let mut meant = meant(row)?;
    if is_only {
        meant.bill = sale(tx, rules, &order, &shares)?;
    }
    Ok((serde_json::to_string(&meant)?, meant.bill.total))
}

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

/// Documents of a register that the configuration does not name any more have no worker: a person is asked (I11).
pub fn without_register(tx: &Tx<'_>, rules: &Rules) -> Result<usize, Fault> {
    let register = rules.fiscal.register.clone().unwrap_or_default();
    let strays = tx.fiscal_strays(&register)?;
    for row in &strays {
        let reason = Reason::new("no_fiscal", &row.register);
        if row.order.is_some() {
            ask(tx, row, "fiscal_uncertain", &reason)?;
        } else {
            tx.set_fiscal(row, &Change { state: State::Settled, reason: Some(&reason), answer: None })?;
        }
    }
    Ok(strays.len())
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
fn paper(tx: &Tx<'_>, rules: &Rules, row: &FiscalRow) -> Result<(), Fault> {
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
