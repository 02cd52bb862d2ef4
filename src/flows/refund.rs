//! Giving money back: a saga of its own (F25). What is available is what was paid less what went back or may still go; one refund of a
//! payment at a time; the intent is committed before the terminal is asked; a lost answer is asked about, never repeated; what goes back
//! in cash or in the partner's own application is a person's act, recorded with name and reason.

use super::{Rules, fiscal, settle};
use crate::domain::attempt::{Evidence, State as Paid};
use crate::domain::ids::{AttemptId, Handle, OrderId, RefundId};
use crate::domain::money::Tiyn;
use crate::domain::order::Tender;
use crate::domain::outcome::Reason;
use crate::domain::paper::{Document, RefundSlip};
use crate::domain::refund::{Event, State, Way};
use crate::ledger::attempts::AttemptRow;
use crate::ledger::orders::Closing;
use crate::ledger::outbox::{JobKind, NewJob};
use crate::ledger::questions::NewQuestion;
use crate::ledger::refunds::{NewRefund, RefundRow};
use crate::ledger::{Fault, Tx, View, refused};

/// A wish to give money back.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The payment.
    pub attempt: AttemptId,
    /// How much; everything that is available when absent.
    pub amount: Option<Tiyn>,
    /// Who decides it.
    pub by: String,
    /// Why.
    pub because: String,
    /// The number of a refund that a person has already made in the partner's own application; empty when we are to make it.
    pub transaction: String,
    /// The caller's key and the content it is bound to.
    pub key: Option<(String, String)>,
}

/// What can still be given back of a payment: paid, less what went back or may still go.
pub fn available(view: &View<'_>, row: &AttemptRow) -> Result<Tiyn, Fault> {
    let paid = match &row.attempt.evidence {
        Some(evidence) if row.attempt.state == Paid::Paid => evidence.amount,
        Some(_) | None => return Ok(Tiyn::ZERO),
    };
    let held: Tiyn = view.refunds(row.id)?.iter().filter(|refund| refund.refund.state.holds_money()).map(held).sum();
    Ok(Tiyn(paid.0.saturating_sub(held.0).max(0)))
}

fn held(row: &RefundRow) -> Tiyn {
    if row.refund.state == State::Done { row.refund.returned() } else { row.refund.amount }
}

/// What surely went back of a payment.
pub fn returned(view: &View<'_>, attempt: AttemptId) -> Result<Tiyn, Fault> {
    Ok(view.refunds(attempt)?.iter().map(|row| row.refund.returned()).sum())
}

/// What surely went back of an order.
pub fn returned_of_order(view: &View<'_>, order: OrderId) -> Result<Tiyn, Fault> {
    Ok(view.refunds_of_order(order)?.iter().map(|row| row.refund.returned()).sum())
}

/// H2 for refunds: the same key with the same content is the same refund, with other content it is refused.
pub fn known_by_key(view: &View<'_>, key: &str, content: &str) -> Result<Option<RefundRow>, Fault> {
    match view.refund_key(key)? {
        None => Ok(None),
        Some((bound, id)) if bound == content => Ok(Some(view.refund(id)?)),
        Some((_, id)) => refused("key_reused", format!("the key was used for {}", view.refund(id)?.reference)),
    }
}

/// Writes a refund down. What a terminal gives back leaves later; cash and what a person did outside is done with this commit.
pub fn plan(tx: &Tx<'_>, rules: &Rules, wish: &Wish) -> Result<RefundRow, Fault> {
    if let Some((key, content)) = &wish.key
        && let Some(known) = known_by_key(tx, key, content)?
    {
        return Ok(known);
    }
    if wish.by.trim().is_empty() || wish.because.trim().is_empty() {
        return refused("answer_incomplete", "by and because");
    }
    let row = tx.attempt(wish.attempt)?;
    let Some(evidence) = row.attempt.evidence.clone().filter(|_| row.attempt.state == Paid::Paid) else {
        return refused("refund_unpaid", row.reference.0);
    };
    if let Some(live) = tx.refunds(row.id)?.into_iter().find(|refund| refund.refund.state.is_live()) {
        return refused("refund_running", live.reference.0);
    }
    let left = available(tx, &row)?;
    let amount = wish.amount.unwrap_or(left);
    if left <= Tiyn::ZERO {
        return refused("refund_nothing", row.reference.0);
    }
    if amount <= Tiyn::ZERO || amount > left {
        return refused("refund_too_much", left.to_string());
    }
    let transaction = wish.transaction.trim();
    let way = way(&row, &evidence, transaction)?;
    if way == Way::Terminal && amount.whole_tenge().is_none() {
        return refused("tiyn", amount.decimal());
    }
    if way == Way::ByHand {
        is_fresh_number(tx, transaction)?;
    }
    let is_complete = settle::counted(tx, &tx.order(row.order)?)? >= tx.order(row.order)?.snapshot.due;
    if let Some(live) = tx.attempts_of_order(row.order)?.into_iter().find(|other| other.attempt.state.is_live())
        && !is_complete
    {
        // The order might become whole with money that is on its way back.
        return refused("live", live.reference.0);
    }
    keeps_the_close(tx, &row, amount)?;
    let via = if way == Way::Terminal { row.via.clone() } else { "cashier".to_owned() };
    let new = NewRefund {
        attempt: row.id,
        way,
        via,
        amount,
        who: wish.by.clone(),
        because: wish.because.clone(),
        key: wish.key.clone(),
    };
    let refund = tx.add_refund(&new)?;
    match way {
        Way::Terminal => Ok(refund),
        Way::Cash | Way::ByHand => {
            let proof = Evidence {
                amount,
                method: if way == Way::Cash { "cash".to_owned() } else { evidence.method },
                transaction: transaction.to_owned(),
                source: "person".to_owned(),
                detail: format!("{}: {}", wish.by, wish.because),
                tendered: None,
            };
            conclude(tx, rules, refund.id, Event::Returned(proof))
        }
    }
}

/// A number that proves a payment, or another refund, proves no new refund.
fn is_fresh_number(tx: &Tx<'_>, transaction: &str) -> Result<(), Fault> {
    if let Some(payment) = tx.proven_by(transaction)? {
        return refused("transaction_known", payment.reference.0);
    }
    match tx.refund_proven_by(transaction)? {
        Some(refund) => refused("transaction_known", refund.reference.0),
        None => Ok(()),
    }
}

/// Money goes back the way it came (`kaspi-terminal` §1.8). Where we have no way, a person makes the refund and we keep its number.
fn way(row: &AttemptRow, evidence: &Evidence, transaction: &str) -> Result<Way, Fault> {
    let by_terminal = row.tender == Tender::KaspiTerminal
        && evidence.source == "terminal"
        && !evidence.method.is_empty()
        && !evidence.transaction.is_empty();
    match row.tender {
        Tender::Cash => Ok(Way::Cash),
        Tender::KaspiTerminal | Tender::KaspiInvoice | Tender::KaspiQr if !transaction.is_empty() => Ok(Way::ByHand),
        Tender::KaspiTerminal if by_terminal => Ok(Way::Terminal),
        Tender::KaspiTerminal | Tender::KaspiInvoice | Tender::KaspiQr => {
            refused("refund_by_hand", row.reference.0.clone())
        }
    }
}

/// While the POS is closing the order, only what is above its sum may go back: the close must find the money that it closes with.
fn keeps_the_close(tx: &Tx<'_>, row: &AttemptRow, amount: Tiyn) -> Result<(), Fault> {
    let order = tx.order(row.order)?;
    let is_closing = matches!(order.closing, Closing::Waiting | Closing::Closing);
    let pending: Tiyn = tx
        .refunds_of_order(order.id)?
        .iter()
        .filter(|row| row.refund.state.is_live())
        .map(|row| row.refund.amount)
        .sum();
    let after = settle::collected(tx, order.id)?.0 - pending.0 - amount.0;
    if is_closing && after < order.snapshot.due.0 {
        return refused("refund_closing", order.snapshot.number);
    }
    Ok(())
}

/// `planned → sent`, with the driver's own name of it where it has one before it acts; committed before the first byte. `None` when
/// somebody dropped it meanwhile.
pub fn send(tx: &Tx<'_>, refund: RefundId, handle: Option<Handle>) -> Result<Option<RefundRow>, Fault> {
    let row = tx.refund(refund)?;
    if row.refund.state != State::Planned {
        return Ok(None);
    }
    let named = match handle {
        Some(handle) => row.refund.apply(Event::Named(handle))?,
        None => row.refund.clone(),
    };
    let next = named.apply(Event::Dispatched)?;
    tx.save_refund(&row, &next, true).map(Some)
}

/// Keeps the partner's name of a refund.
pub fn accepted(tx: &Tx<'_>, rules: &Rules, refund: RefundId, handle: Handle) -> Result<RefundRow, Fault> {
    conclude(tx, rules, refund, Event::Accepted(handle))
}

/// Gives a refund an event and does what follows from it. An event that changes nothing writes nothing.
pub fn conclude(tx: &Tx<'_>, rules: &Rules, refund: RefundId, event: Event) -> Result<RefundRow, Fault> {
    let row = tx.refund(refund)?;
    let next = row.refund.apply(event)?;
    if next == row.refund {
        return Ok(row);
    }
    let was = row.refund.state;
    let row = tx.save_refund(&row, &next, next.state.is_live())?;
    match next.state {
        State::Done if was != State::Done => done(tx, rules, &row)?,
        State::Failed | State::Cancelled if was.is_live() => drop_questions(tx, &row)?,
        State::Waiting if was == State::Unresolved => drop_questions(tx, &row)?,
        State::Planned
        | State::Sent
        | State::Waiting
        | State::Done
        | State::Failed
        | State::Cancelled
        | State::Unresolved => {}
    }
    Ok(row)
}

fn drop_questions(tx: &Tx<'_>, row: &RefundRow) -> Result<(), Fault> {
    for question in tx.questions_about_refund(row.id)?.iter().filter(|question| question.code == "refund_unclear") {
        tx.answer(question.id, "kassad", "", row.refund.state.word())?;
    }
    Ok(())
}

/// The money went back: the guest's slip, and what the order needs now.
fn done(tx: &Tx<'_>, rules: &Rules, row: &RefundRow) -> Result<(), Fault> {
    drop_questions(tx, row)?;
    let payment = tx.attempt(row.attempt)?;
    let order = tx.order(payment.order)?;
    if !fiscal::give_back(tx, rules, &order, row)? {
        slip(tx, rules, row, &payment)?;
    }
    let about = |code: &'static str| NewQuestion {
        code,
        order: Some(order.id),
        attempt: Some(payment.id),
        inbox: None,
        refund: Some(row.id),
        args: vec![("amount", row.refund.returned().to_string()), ("order", order.snapshot.number.clone())],
    };
    if row.refund.late {
        // A person, or the terminal itself, had said that it did not happen: somebody may have given the money another way.
        tx.ask(&about("refund_late"))?;
    }
    if row.refund.returned() != row.refund.amount {
        tx.ask(&about("refund_sum"))?;
    }
    settle::given_back(tx, rules, &order, &payment)?;
    if settle::was_complete(tx, &order)? && fiscal::is_registered_here(tx, rules, order.id)? {
        // What was too much before may be what pays the order now.
        fiscal::sell(tx, rules, &tx.order(order.id)?, true)?;
    }
    let is_short = settle::collected(tx, order.id)? < order.snapshot.due;
    if is_short && order.source == "pos" && order.closing == Closing::Closed {
        // The POS has no call for a return (poster.md §4): the books are made equal by a person.
        tx.ask(&about("pos_return"))?;
    }
    Ok(())
}

/// The slip that goes with the money, on every receipt printer.
fn slip(tx: &Tx<'_>, rules: &Rules, row: &RefundRow, payment: &AttemptRow) -> Result<(), Fault> {
    let order = tx.order(payment.order)?;
    let line = settle::refund_line(row);
    let body = serde_json::to_string(&Document::Refund(RefundSlip {
        shop: rules.shop.clone(),
        order_number: order.snapshot.number.clone(),
        table: order.snapshot.table.clone(),
        amount: row.refund.returned(),
        label: line.label,
        transaction: line.transaction,
        payment: payment.reference.0.clone(),
        by: row.who.clone(),
        because: row.because.clone(),
        at: rules.paper_time(tx.now()),
        reference: row.reference.0.clone(),
    }))?;
    for printer in &rules.receipt_printers {
        tx.add_job(&NewJob {
            kind: JobKind::Print,
            target: printer,
            order: order.id,
            attempt: Some(payment.id),
            document: &format!("refund:{}", row.id),
            no: 1,
            body: body.clone(),
        })?;
    }
    Ok(())
}

/// Drops a refund that has not left the box.
pub fn cancel(tx: &Tx<'_>, rules: &Rules, refund: RefundId, who: &str) -> Result<RefundRow, Fault> {
    let row = tx.refund(refund)?;
    match row.refund.state {
        State::Planned => conclude(tx, rules, refund, Event::Withdrawn(Reason::new("cancelled", who))),
        State::Cancelled | State::Failed => Ok(row),
        State::Done => refused("refund_done", row.reference.0),
        State::Sent | State::Waiting | State::Unresolved => refused("no_abort", row.reference.0),
    }
}

/// A refund has been unclear for two minutes: a person may answer from now on, the asking goes on.
pub fn ask_a_person(tx: &Tx<'_>, refund: RefundId) -> Result<(), Fault> {
    let row = tx.refund(refund)?;
    if row.refund.state != State::Unresolved {
        return Ok(());
    }
    let payment = tx.attempt(row.attempt)?;
    let args = vec![("amount", row.refund.amount.to_string()), ("order", tx.order(payment.order)?.snapshot.number)];
    tx.ask(&NewQuestion {
        code: "refund_unclear",
        order: Some(payment.order),
        attempt: Some(payment.id),
        inbox: None,
        refund: Some(row.id),
        args,
    })
}

/// What a named person says of an unclear refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
    /// Whether the money went back.
    pub returned: bool,
    /// The partner's number of the refund, needed for `returned`.
    pub transaction: String,
    /// "It did not go back" was said twice: giving it again by mistake costs the shop the sum.
    pub confirmed: bool,
}

/// Takes a person's answer about an unclear refund. The terminal is asked on where it gave the refund a name.
pub fn answer(tx: &Tx<'_>, rules: &Rules, refund: RefundId, answer: &Answer) -> Result<RefundRow, Fault> {
    let row = tx.refund(refund)?;
    if answer.by.trim().is_empty() || answer.because.trim().is_empty() {
        return refused("answer_incomplete", "by and because");
    }
    if row.refund.state != State::Unresolved {
        return refused("not_unclear", row.reference.0);
    }
    let questions = tx.questions_about_refund(refund)?;
    if !questions.iter().any(|question| question.code == "refund_unclear") {
        return refused("too_early", row.reference.0);
    }
    let transaction = answer.transaction.trim();
    if answer.returned && transaction.is_empty() {
        return refused("answer_incomplete", "transaction");
    }
    if answer.returned {
        is_fresh_number(tx, transaction)?;
    }
    if !answer.returned && !answer.confirmed {
        return refused("confirm_not_returned", row.refund.amount.to_string());
    }
    for question in questions {
        tx.answer(question.id, &answer.by, &answer.because, if answer.returned { "returned" } else { "not_returned" })?;
    }
    let detail = format!("{}: {}", answer.by, answer.because);
    let event = if answer.returned {
        let method = tx.attempt(row.attempt)?.attempt.evidence.map(|evidence| evidence.method).unwrap_or_default();
        Event::Returned(Evidence {
            amount: row.refund.amount,
            method,
            transaction: transaction.to_owned(),
            source: "person".to_owned(),
            detail,
            tendered: None,
        })
    } else {
        Event::Declined(Reason::new("answered_not_returned", detail))
    };
    let row = conclude(tx, rules, refund, event)?;
    if row.refund.handle.is_some() && row.refund.state == State::Failed {
        tx.set_refund_watched(refund, true)?;
    }
    Ok(row)
}

/// The terminal was asked about a refund that a person had judged, long enough.
pub fn stop_watching(tx: &Tx<'_>, refund: RefundId) -> Result<(), Fault> {
    if tx.refund(refund)?.refund.state.is_live() { Ok(()) } else { tx.set_refund_watched(refund, false) }
}

/// The daemon starts: every refund that was outside is unclear until the terminal was asked. Returns how many.
pub fn restart(tx: &Tx<'_>, rules: &Rules) -> Result<usize, Fault> {
    let mut unclear = 0;
    for row in tx.watched_refunds_all()? {
        match row.refund.state {
            State::Sent | State::Waiting => {
                conclude(tx, rules, row.id, Event::Unknown(Reason::new("restart", "")))?;
                unclear += 1;
            }
            State::Unresolved => unclear += 1,
            State::Planned | State::Done | State::Failed | State::Cancelled => {}
        }
    }
    Ok(unclear)
}
