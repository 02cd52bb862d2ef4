//! Collecting a part: plan, send, keep the partner's name of it, conclude. One live attempt per part (I4); a key is bound to its content
//! (H2); every event goes through [`crate::domain::attempt::Attempt::apply`], and what follows from being paid is decided in the same transaction.

use super::{Rules, intake, settle};
use crate::domain::attempt::{Event, Evidence, State};
use crate::domain::ids::{AttemptId, Handle, PartId};
use crate::domain::money::Tiyn;
use crate::domain::order::{Phone, Snapshot, Tender};
use crate::domain::outcome::Reason;
use crate::ledger::attempts::{AttemptRow, NewAttempt};
use crate::ledger::orders::{OrderRow, PartRow, PartState};
use crate::ledger::people::bare_content;
use crate::ledger::questions::NewQuestion;
use crate::ledger::{Fault, Tx, View, refused};

/// Why an attempt failed when a person said so.
pub const ANSWERED_NOT_PAID: &str = "answered_not_paid";

/// A wish to collect.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the order comes from: `pos`, `api`, `bot:<name>`.
    pub source: String,
    /// The order as it stands now.
    pub snapshot: Snapshot,
    /// How it is collected.
    pub tender: Tender,
    /// The terminal or cloud, by its name in the configuration.
    pub via: String,
    /// A part of what is due; all that is left when absent.
    pub amount: Option<Tiyn>,
    /// Which part of the order it is, from 1: guests who pay their own shares at the same time. Without it one part is collected at a time.
    pub part: Option<i64>,
    /// What the guest hands over in cash.
    pub tendered: Option<Tiyn>,
    /// The total that the cashier saw: an order that has changed since is looked at again before money is asked for.
    pub due_seen: Option<Tiyn>,
    /// The guest's phone.
    pub phone: Option<Phone>,
    /// What the guest reads.
    pub description: String,
    /// The bot that asks, with its own name of the invoice.
    pub bot: Option<(String, String)>,
    /// The caller's key and the content it is bound to.
    pub key: Option<(String, String)>,
    /// Whether a key whose attempt expired or failed may start a new one (bots).
    pub key_renews: bool,
}

/// Writes the order's snapshot, its part and the attempt down. Nothing has left the box after it.
pub fn plan(tx: &Tx<'_>, rules: &Rules, wish: &Plan) -> Result<AttemptRow, Fault> {
    if let Some((key, content)) = &wish.key
        && let Some(known) = known_by_key(tx, key, content, wish.key_renews)?
    {
        return Ok(known);
    }
    check_sum(wish)?;
    if wish.due_seen.is_some_and(|seen| seen != wish.snapshot.due) {
        return refused("due_changed", wish.snapshot.due.to_string());
    }
    let order = match tx.order_of(&wish.source, &wish.snapshot.foreign_id)? {
        Some(order) => renewed(tx, order, wish)?,
        None => tx.add_order(&wish.source, &wish.snapshot)?,
    };
    let part = part_to_collect(tx, &order, wish)?;
    if let Some(tendered) = wish.tendered.filter(|tendered| wish.tender != Tender::Cash || *tendered < part.amount) {
        return refused("tendered", format!("{} / {}", tendered.decimal(), part.amount.decimal()));
    }
    let row = tx.add_attempt(&NewAttempt {
        part: part.id,
        tender: wish.tender,
        via: wish.via.clone(),
        amount: part.amount,
        phone: wish.phone.clone(),
        description: wish.description.clone(),
        bot: wish.bot.clone(),
    })?;
    tx.set_part(part.id, part.amount, part.paid, PartState::Collecting)?;
    if let Some((key, content)) = &wish.key {
        tx.bind_key(key, content, row.id)?;
    }
    if wish.tender == Tender::Cash {
        let evidence = Evidence {
            amount: part.amount,
            method: "cash".to_owned(),
            transaction: String::new(),
            source: "person".to_owned(),
            detail: String::new(),
            tendered: wish.tendered,
        };
        return conclude(tx, rules, row.id, Event::Settled(evidence));
    }
    Ok(row)
}

/// H2: the same key with the same content is the same payment; with other content it is refused. Surfaces ask it before they ask the
/// POS: a repeated request must not depend on what the order looks like by now.
pub fn known_by_key(view: &View<'_>, key: &str, content: &str, renews: bool) -> Result<Option<AttemptRow>, Fault> {
    let Some((bound, attempt)) = view.key(key)? else {
        return Ok(None);
    };
    let row = view.attempt(attempt)?;
    let is_over = match row.attempt.state {
        State::Failed | State::Cancelled | State::Expired => true,
        State::Planned | State::Sent | State::Waiting | State::Paid | State::Unresolved => false,
    };
    if renews && is_over {
        return Ok(None);
    }
    // After their time the people in it are forgotten, what was asked for is not.
    if bound == content || bound == bare_content(content) {
        Ok(Some(row))
    } else {
        refused("key_reused", format!("the key was used for {}", row.reference))
    }
}

fn check_sum(wish: &Plan) -> Result<(), Fault> {
    let sum = wish.amount.unwrap_or(wish.snapshot.due);
    if sum <= Tiyn::ZERO || !sum.in_limits() || !wish.snapshot.due.in_limits() {
        return refused("no_sum", format!("{} tenge cannot be collected", sum.decimal()));
    }
    // The Kaspi terminal and the clouds take whole tenge: a fraction is refused before any money moves.
    if wish.tender != Tender::Cash && (sum.whole_tenge().is_none() || wish.snapshot.due.whole_tenge().is_none()) {
        return refused("tiyn", sum.decimal());
    }
    Ok(())
}

/// The order with the newest snapshot, as long as no attempt of it is live. A part that is named may be collected beside other parts of
/// the same, unchanged order.
fn renewed(tx: &Tx<'_>, order: OrderRow, wish: &Plan) -> Result<OrderRow, Fault> {
    let is_same = order.snapshot.fingerprint() == wish.snapshot.fingerprint();
    let live = tx.attempts_of_order(order.id)?.into_iter().find(|row| row.attempt.state.is_live());
    if let Some(live) = live {
        return if wish.part.is_some() && is_same { Ok(order) } else { refused("live", live.reference.0) };
    }
    if let Some(refund) = tx.refunds_of_order(order.id)?.into_iter().find(|row| row.refund.state.is_live()) {
        return refused("refund_running", refund.reference.0);
    }
    if order.snapshot == wish.snapshot {
        return Ok(order);
    }
    tx.resnap_order(&order, &wish.snapshot)?;
    tx.order(order.id)
}

/// What may still be asked for: the due, less what was paid and stayed, less what other parts are being asked for. An order that was once
/// paid in full and given back is not collected again: what comes next is a new order.
fn left_to_collect(tx: &Tx<'_>, order: &OrderRow) -> Result<Tiyn, Fault> {
    let paid = settle::counted(tx, order)?;
    let rows = tx.attempts_of_order(order.id)?;
    let asked: Tiyn = rows.iter().filter(|row| row.attempt.state.is_live()).map(|row| row.attempt.amount).sum();
    Ok(Tiyn(order.snapshot.due.0.saturating_sub(paid.0).saturating_sub(asked.0).max(0)))
}

/// The part that this wish collects: the named one, an open one, or a new one of what is left.
fn part_to_collect(tx: &Tx<'_>, order: &OrderRow, wish: &Plan) -> Result<PartRow, Fault> {
    let parts = tx.parts(order.id)?;
    let fresh_no = i64::try_from(parts.len()).unwrap_or(i64::MAX).saturating_add(1);
    let open = match wish.part {
        None => parts.iter().find(|part| part.state == PartState::Open),
        Some(no) => match parts.iter().find(|part| part.no == no) {
            Some(part) if part.state == PartState::Open => Some(part),
            Some(part) if part.state == PartState::Collecting => {
                let live = tx.attempts(part.id)?.pop().map(|row| row.reference.0);
                return refused("live", live.unwrap_or_default());
            }
            Some(_) => return refused("already_paid", format!("{}: {no}", order.snapshot.number)),
            None if no == fresh_no => None,
            None => return refused("bad_part", fresh_no.to_string()),
        },
    };
    let left = left_to_collect(tx, order)?;
    if left <= Tiyn::ZERO {
        return refused("already_paid", order.snapshot.number.clone());
    }
    // A named share that failed is asked for again as it was.
    let own = open.filter(|_| wish.part.is_some()).map_or(left, |part| part.amount.min(left));
    let amount = wish.amount.unwrap_or(own);
    if amount > left {
        return refused(
            "too_much",
            format!("{} of {} tenge are left to pay", left.decimal(), order.snapshot.due.decimal()),
        );
    }
    if amount.whole_tenge().is_none() && wish.tender != Tender::Cash {
        return refused("tiyn", amount.decimal());
    }
    if amount.whole_tenge().is_none() && left.whole_tenge().is_some() {
        // The rest could not be collected by Kaspi any more.
        return refused("whole_part", amount.decimal());
    }
    match open {
        Some(open) => {
            tx.set_part(open.id, amount, open.paid, PartState::Open)?;
            tx.part(open.id)
        }
        None => tx.add_part(order.id, fresh_no, amount),
    }
}

/// `planned → sent`, committed before the first byte. `None` when somebody dropped it meanwhile.
pub fn send(tx: &Tx<'_>, rules: &Rules, attempt: AttemptId) -> Result<Option<AttemptRow>, Fault> {
    let row = tx.attempt(attempt)?;
    if row.attempt.state != State::Planned {
        return Ok(None);
    }
    let left = tx.order(row.order)?.snapshot.due.0.saturating_sub(settle::collected(tx, row.order)?.0);
    if row.attempt.amount.0 > left {
        // A late payment settled the order, or some of it, while this one waited in the queue (F05): nobody is asked for too much.
        conclude(tx, rules, attempt, Event::Withdrawn(Reason::new("already_paid", row.reference)))?;
        return Ok(None);
    }
    let next = row.attempt.apply(Event::Dispatched)?;
    tx.save_attempt(&row, &next, true).map(Some)
}

/// As [`send`], with the name by which the device can be asked later, where that is known before the first byte: a start whose answer is
/// lost is then asked about like any other.
pub fn send_named(
    tx: &Tx<'_>,
    rules: &Rules,
    attempt: AttemptId,
    handle: Option<Handle>,
) -> Result<Option<AttemptRow>, Fault> {
    let row = tx.attempt(attempt)?;
    if let (State::Planned, Some(handle)) = (row.attempt.state, handle) {
        let next = row.attempt.apply(Event::Named(handle))?;
        if next != row.attempt {
            tx.save_attempt(&row, &next, true)?;
        }
    }
    send(tx, rules, attempt)
}

/// Keeps the partner's name of an attempt, and claims the notices that came before it (F02), in one transaction.
pub fn accepted(tx: &Tx<'_>, rules: &Rules, attempt: AttemptId, handle: Handle) -> Result<AttemptRow, Fault> {
    let row = conclude(tx, rules, attempt, Event::Accepted(handle))?;
    intake::claim_orphans(tx, &row)?;
    Ok(row)
}

/// The partner refused the create. A notice may have named the attempt meanwhile: then the partner's record decides, not this reply.
pub fn refused_at_create(tx: &Tx<'_>, rules: &Rules, attempt: AttemptId, event: Event) -> Result<AttemptRow, Fault> {
    let row = tx.attempt(attempt)?;
    if row.attempt.handle.is_some() { Ok(row) } else { conclude(tx, rules, attempt, event) }
}

/// Gives an attempt an event and does what follows from it. An event that changes nothing writes nothing.
pub fn conclude(tx: &Tx<'_>, rules: &Rules, attempt: AttemptId, event: Event) -> Result<AttemptRow, Fault> {
    let row = tx.attempt(attempt)?;
    if row.watched && row.attempt.is_a_persons_word() {
        return second_look(tx, &row, event);
    }
    // An unsent attempt that is withdrawn, and everything else: one road.
    let next = row.attempt.apply(event)?;
    if next == row.attempt {
        return Ok(row);
    }
    let was = row.attempt.state;
    let was_answered = row.attempt.reason.as_ref().is_some_and(|reason| reason.code == ANSWERED_NOT_PAID);
    let row = tx.save_attempt(&row, &next, keeps_watching(next.state, &next.handle, row.tender))?;
    match next.state {
        State::Paid if was != State::Paid => {
            settle::paid(tx, rules, &row)?;
            if was_answered {
                correct_loudly(tx, &row)?;
            }
        }
        State::Failed | State::Cancelled | State::Expired if was.is_live() => over(tx, &row)?,
        State::Waiting if was == State::Unresolved => drop_questions(tx, &row)?,
        State::Planned
        | State::Sent
        | State::Waiting
        | State::Paid
        | State::Failed
        | State::Cancelled
        | State::Expired
        | State::Unresolved => {}
    }
    Ok(row)
}

/// A person said "not paid", and the money did move: somebody may have been charged again meanwhile.
fn correct_loudly(tx: &Tx<'_>, row: &AttemptRow) -> Result<(), Fault> {
    let args = vec![("amount", row.attempt.amount.to_string()), ("order", tx.order(row.order)?.snapshot.number)];
    let (order, attempt) = (Some(row.order), Some(row.id));
    tx.ask(&NewQuestion { code: "answer_corrected", order, attempt, inbox: None, refund: None, args })
}

/// A person said "paid", and the partner's record was read after that. The ratchet holds, but a contradiction is loud (F07, I1).
fn second_look(tx: &Tx<'_>, row: &AttemptRow, event: Event) -> Result<AttemptRow, Fault> {
    let contradicts = match &event {
        Event::Settled(evidence) => row.attempt.evidence.as_ref().is_some_and(|said| said.amount != evidence.amount),
        Event::Declined(_) | Event::Withdrawn(_) | Event::Lapsed(_) => true,
        Event::Accepted(_)
        | Event::Recognised(_)
        | Event::Dispatched
        | Event::Named(_)
        | Event::NotSent(_)
        | Event::Pending
        | Event::Unknown(_) => return Ok(row.clone()),
    };
    if contradicts && tx.was_asked("answer_contradicted", row.id)? {
        return Ok(row.clone());
    }
    if contradicts {
        let args = vec![("amount", row.attempt.amount.to_string()), ("order", tx.order(row.order)?.snapshot.number)];
        let (order, attempt) = (Some(row.order), Some(row.id));
        tx.ask(&NewQuestion { code: "answer_contradicted", order, attempt, inbox: None, refund: None, args })?;
        return tx.attempt(row.id);
    }
    let next = row.attempt.apply(event)?;
    tx.save_attempt(row, &next, false)
}

/// A partner's invoice may still be paid after it is over (F05); an attempt that the partner never named cannot be asked about.
fn keeps_watching(state: State, handle: &Option<Handle>, tender: Tender) -> bool {
    match state {
        State::Planned | State::Sent | State::Waiting | State::Unresolved => true,
        State::Paid => false,
        State::Expired | State::Cancelled => handle.is_some() && tender != Tender::KaspiTerminal,
        State::Failed => false,
    }
}

/// The attempt is over without money: its part may be collected again.
fn over(tx: &Tx<'_>, row: &AttemptRow) -> Result<(), Fault> {
    reopen(tx, row.part)?;
    drop_questions(tx, row)?;
    settle::tell_bot(tx, row)
}

fn reopen(tx: &Tx<'_>, part: PartId) -> Result<(), Fault> {
    let part = tx.part(part)?;
    let is_live = tx.attempts(part.id)?.iter().any(|row| row.attempt.state.is_live());
    if part.state == PartState::Collecting && !is_live {
        tx.set_part(part.id, part.amount, part.paid, PartState::Open)?;
    }
    Ok(())
}

/// Evidence came: nobody needs to answer any more.
pub(in crate::flows) fn drop_questions(tx: &Tx<'_>, row: &AttemptRow) -> Result<(), Fault> {
    for question in tx.questions_about(row.id)? {
        if ["unresolved", "lost_create"].contains(&question.code.as_str()) {
            tx.answer(question.id, "kassad", "", row.attempt.state.word())?;
        }
    }
    Ok(())
}

/// Drops an attempt that has not left the box. Anything later is the partner's to withdraw.
pub fn cancel(tx: &Tx<'_>, rules: &Rules, attempt: AttemptId, who: &str) -> Result<AttemptRow, Fault> {
    let row = tx.attempt(attempt)?;
    match row.attempt.state {
        State::Planned => conclude(tx, rules, attempt, Event::Withdrawn(Reason::new("cancelled", who))),
        State::Cancelled | State::Failed | State::Expired => Ok(row),
        State::Paid => refused("already_paid", row.reference.0),
        State::Sent | State::Waiting | State::Unresolved => match row.tender {
            Tender::KaspiTerminal => refused("no_abort", row.reference.0),
            Tender::KaspiInvoice | Tender::KaspiQr | Tender::Cash => refused("no_cancel", row.reference.0),
        },
    }
}

/// What a named person says of an unclear attempt (I10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
    /// Whether the guest paid.
    pub paid: bool,
    /// The partner's transaction number, needed for `paid`.
    pub transaction: String,
    /// "Not paid" was said twice: if it is wrong, the guest pays twice.
    pub confirmed: bool,
}

/// Takes a person's answer. Later evidence may still correct it: the attempt stays watched where it has a name.
pub fn answer(tx: &Tx<'_>, rules: &Rules, attempt: AttemptId, answer: &Answer) -> Result<AttemptRow, Fault> {
    let row = tx.attempt(attempt)?;
    if answer.by.trim().is_empty() || answer.because.trim().is_empty() {
        return refused("answer_incomplete", "by and because");
    }
    if row.attempt.state != State::Unresolved {
        return refused("not_unclear", row.reference.0);
    }
    let questions = tx.questions_about(attempt)?;
    if !questions.iter().any(|question| ["unresolved", "lost_create"].contains(&question.code.as_str())) {
        return refused("too_early", row.reference.0);
    }
    let transaction = answer.transaction.trim();
    if answer.paid && transaction.is_empty() {
        return refused("answer_incomplete", "transaction");
    }
    if !answer.paid && !answer.confirmed {
        return refused("confirm_not_paid", row.attempt.amount.to_string());
    }
    let known = if answer.paid { tx.proven_by(transaction)? } else { None };
    if let Some(other) = known.filter(|other| other.id != attempt) {
        return refused("transaction_known", other.reference.0);
    }
    if answer.paid
        && let Some(refund) = tx.refund_proven_by(transaction)?
    {
        return refused("transaction_known", refund.reference.0);
    }
    let outcome = if answer.paid { "paid" } else { "not_paid" };
    for question in questions {
        tx.answer(question.id, &answer.by, &answer.because, outcome)?;
    }
    let detail = format!("{}: {}", answer.by, answer.because);
    if !answer.paid {
        let row = conclude(tx, rules, attempt, Event::Declined(Reason::new(ANSWERED_NOT_PAID, detail)))?;
        tx.set_watched(attempt, true)?;
        return Ok(row);
    }
    let evidence = Evidence {
        amount: row.attempt.amount,
        method: String::new(),
        transaction: answer.transaction.trim().to_owned(),
        source: "person".to_owned(),
        detail,
        tendered: None,
    };
    let row = conclude(tx, rules, attempt, Event::Settled(evidence))?;
    // The partner is asked on: its record may confirm the person, or contradict.
    tx.set_watched(attempt, row.attempt.handle.is_some())?;
    tx.attempt(attempt)
}
