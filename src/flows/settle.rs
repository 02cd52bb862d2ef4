//! What follows from money: the part, the close in the POS, the guest's receipt, the kitchen's tickets, the bot's notice. Everything is
//! written down as jobs in the transaction that made the attempt `paid`, so that no crash can come between.

use super::{Issuer, Rules, collect, fiscal, kitchen, print, refund};
use crate::domain::attempt::{Event, State};
use crate::domain::ids::{AttemptId, JobId, OrderId};
use crate::domain::money::Tiyn;
use crate::domain::order::{PosOrder, PosStanding, Snapshot, Tender};
use crate::domain::outcome::Reason;
use crate::domain::paper::{Document, PaymentLine, Receipt};
use crate::ledger::attempts::AttemptRow;
use crate::ledger::orders::{Closing, OrderRow, PartState};
use crate::ledger::outbox::{JobKind, JobRow, JobState, NewJob};
use crate::ledger::questions::NewQuestion;
use crate::ledger::refunds::RefundRow;
use crate::ledger::{Fault, Tx, View};
use serde_json::json;

/// Questions that a person settles by comparing books: nothing of ours goes on by their answer.
const BOOKS_ONLY: [&str; 6] =
    ["answer_contradicted", "answer_corrected", "claimed_paid", "refund_late", "refund_sum", "pos_return"];

/// An attempt has just become `paid`: its part, its order and everything that must follow.
pub fn paid(tx: &Tx<'_>, rules: &Rules, row: &AttemptRow) -> Result<(), Fault> {
    let Some(evidence) = &row.attempt.evidence else {
        return Err(Fault::Broken(format!("attempt {} is paid without evidence", row.id)));
    };
    let part = tx.part(row.part)?;
    let was_paid = part.paid;
    let sum = part.paid.checked_add(evidence.amount).ok_or_else(|| Fault::Broken("sum of a part".to_owned()))?;
    let state = match sum.cmp(&part.amount) {
        std::cmp::Ordering::Less => PartState::PartiallyPaid,
        std::cmp::Ordering::Equal => PartState::Paid,
        std::cmp::Ordering::Greater => PartState::Overpaid,
    };
    tx.set_part(part.id, part.amount, sum, state)?;
    collect::drop_questions(tx, row)?;
    tell_bot(tx, row)?;
    if row.tender == Tender::Cash {
        print::open_drawer(tx, rules, row)?;
    }
    let order = tx.order(row.order)?;
    let (collected, due) = (collected(tx, order.id)?, order.snapshot.due);
    let about = |code| NewQuestion {
        code,
        order: Some(row.order),
        attempt: Some(row.id),
        inbox: None,
        refund: None,
        args: vec![("paid", collected.to_string()), ("due", due.to_string())],
    };
    let is_done = was_complete(tx, &order)? && [Closing::None, Closing::Closed].contains(&order.closing);
    // Money that comes when the order is closed, or was paid in full before some of it went back, is for the same thing again: the POS
    // may have been closed by hand with the rest in cash.
    let is_surplus = order.closing == Closing::Closed || (is_done && paid_in(tx, order.id)? > due);
    // The order decides, not the part: a part may have been cut smaller while an older attempt for all of it was still on its way.
    match collected.cmp(&due) {
        std::cmp::Ordering::Less if is_surplus => tx.ask(&about("double_paid"))?,
        std::cmp::Ordering::Less if evidence.amount < row.attempt.amount => return tx.ask(&about("part_paid")),
        std::cmp::Ordering::Less => return stop_others(tx, rules, row, Tiyn(due.0 - collected.0)),
        std::cmp::Ordering::Equal if is_surplus => tx.ask(&about("double_paid"))?,
        std::cmp::Ordering::Equal if order.closing != Closing::Closed => complete(tx, rules, &order, row.id)?,
        std::cmp::Ordering::Equal => {}
        // Two payments, or one that is too large: the guest must get something back (F05, F06).
        std::cmp::Ordering::Greater if collected != evidence.amount || was_paid > Tiyn::ZERO => {
            tx.ask(&about("double_paid"))?
        }
        std::cmp::Ordering::Greater => tx.ask(&about("overpaid"))?,
    }
    stop_others(tx, rules, row, Tiyn::ZERO)
}

/// What asks for more than is left is dropped where it is still in the queue, and becomes a question where it is outside already (I4, F34).
fn stop_others(tx: &Tx<'_>, rules: &Rules, paid: &AttemptRow, left: Tiyn) -> Result<(), Fault> {
    for other in tx.attempts_of_order(paid.order)?.into_iter().filter(|other| other.attempt.amount > left) {
        match other.attempt.state {
            State::Planned => {
                let dropped = Event::Withdrawn(Reason::new("already_paid", &paid.reference));
                collect::conclude(tx, rules, other.id, dropped)?;
            }
            State::Sent | State::Waiting | State::Unresolved => {
                let args = vec![("order", other.reference.0.clone()), ("amount", other.attempt.amount.to_string())];
                let code = "second_running";
                tx.ask(&NewQuestion {
                    code,
                    order: Some(other.order),
                    attempt: Some(other.id),
                    inbox: None,
                    refund: None,
                    args,
                })?;
            }
            State::Paid | State::Failed | State::Cancelled | State::Expired => {}
        }
    }
    Ok(())
}

/// Orders that are paid in part and that nothing is on its way for: money that the POS may turn into a whole payment, or leave without an
/// order, while nobody taps anything (F24).
pub fn waiting_parts(view: &View<'_>) -> Result<Vec<(OrderRow, Tiyn)>, Fault> {
    let mut waiting = Vec::new();
    for order in view.partly_paid()? {
        let is_live = view.attempts_of_order(order.id)?.iter().any(|row| row.attempt.state.is_live())
            || view.refunds_of_order(order.id)?.iter().any(|row| row.refund.state.is_live());
        let stayed = collected(view, order.id)?;
        if !is_live && stayed > Tiyn::ZERO && view.questions_of(order.id)?.is_empty() {
            waiting.push((order, stayed));
        }
    }
    Ok(waiting)
}

/// The POS's record of an order that is paid in part has changed: what was paid is now all of it, more than it, or for nothing.
pub fn part_look(tx: &Tx<'_>, rules: &Rules, order: OrderId, seen: &PosOrder) -> Result<(), Fault> {
    let Some((order, stayed)) = waiting_parts(tx)?.into_iter().find(|(waiting, _)| waiting.id == order) else {
        return Ok(());
    };
    let paid: Vec<AttemptRow> =
        tx.attempts_of_order(order.id)?.into_iter().filter(|row| row.attempt.state == State::Paid).collect();
    let Some(last) = paid.last() else {
        return Ok(());
    };
    let ask = |code: &'static str, args: Vec<(&'static str, String)>| {
        tx.ask(&NewQuestion { code, order: Some(order.id), attempt: Some(last.id), inbox: None, refund: None, args })
    };
    match &seen.standing {
        PosStanding::Open if seen.snapshot.due > stayed => Ok(()),
        PosStanding::Open => {
            if order.snapshot != seen.snapshot {
                tx.resnap_order(&order, &seen.snapshot)?;
            }
            let order = tx.order(order.id)?;
            if stayed == order.snapshot.due {
                return complete(tx, rules, &order, last.id);
            }
            ask("overpaid", vec![("paid", stayed.to_string()), ("due", order.snapshot.due.to_string())])
        }
        PosStanding::Closed { cash, cashless, .. } => {
            tx.set_closing(order.id, Closing::Question, "closed_by_hand")?;
            let args = vec![("paid", stayed.to_string()), ("cash", cash.to_string()), ("card", cashless.to_string())];
            ask("closed_by_hand", args)
        }
        PosStanding::Removed => {
            tx.set_closing(order.id, Closing::Question, "removed")?;
            ask("removed", Vec::new())
        }
    }
}

/// What was ever paid for an order, whether or not some of it went back.
pub fn paid_in(view: &View<'_>, order: OrderId) -> Result<Tiyn, Fault> {
    Ok(view.parts(order)?.iter().map(|part| part.paid).sum())
}

/// What counts as paid when more is to be collected: a sum that was once paid in full stays paid, whatever went back of it; what the
/// order has grown by since is still to be paid.
pub fn counted(view: &View<'_>, order: &OrderRow) -> Result<Tiyn, Fault> {
    let settled = if order.closing == Closing::Closed { order.snapshot.due } else { receipted(view, order.id)? };
    Ok(collected(view, order.id)?.max(settled.min(order.snapshot.due)))
}

/// The sum of the newest receipt: what the order was paid in full with; zero when there is none yet.
fn receipted(view: &View<'_>, order: OrderId) -> Result<Tiyn, Fault> {
    let jobs = view.jobs_of(order)?;
    let registered = fiscal::full(view, order)?;
    match jobs.iter().rfind(|job| job.document == "receipt").map(|job| serde_json::from_str(&job.body)).transpose()? {
        Some(Document::Receipt(receipt)) => Ok(receipt.total.max(registered)),
        Some(
            Document::Ticket(_)
            | Document::Refund(_)
            | Document::Slip(_)
            | Document::Report(_)
            | Document::Drawer
            | Document::Test(_)
            | Document::Fiscal(_)
            | Document::Notice(_)
            | Document::Shift(_)
            | Document::Cash(_),
        )
        | None => Ok(registered),
    }
}

/// Whether the order was once paid in full, so that its close and its receipt have begun.
pub fn was_complete(view: &View<'_>, order: &OrderRow) -> Result<bool, Fault> {
    let begun = |job: &JobRow| job.kind == JobKind::Close || job.document == "receipt";
    let is_begun = order.closing != Closing::None || view.jobs_of(order.id)?.iter().any(begun);
    Ok(is_begun || fiscal::full(view, order.id)? > Tiyn::ZERO)
}

/// What was paid for an order, less what surely went back.
pub fn collected(view: &View<'_>, order: OrderId) -> Result<Tiyn, Fault> {
    Ok(Tiyn(paid_in(view, order)?.0.saturating_sub(refund::returned_of_order(view, order)?.0)))
}

/// Money of an order went back. What was too much may be right now: then nobody is asked any more, and an order that waited for it goes on.
pub fn given_back(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, payment: &AttemptRow) -> Result<(), Fault> {
    if collected(tx, order.id)? != order.snapshot.due {
        return Ok(());
    }
    for question in tx.questions_of(order.id)? {
        if ["overpaid", "double_paid"].contains(&question.code.as_str()) {
            tx.answer(question.id, "kassad", "", "given back")?;
        }
    }
    if !was_complete(tx, order)? {
        let covers = |row: &AttemptRow| row.attempt.state == State::Paid && row.id != payment.id;
        let other = tx.attempts_of_order(order.id)?.into_iter().find(covers).map_or(payment.id, |row| row.id);
        complete(tx, rules, order, other)?;
    }
    Ok(())
}

/// The whole order is paid: close it, feed the kitchen. The receipt follows the first answer of the POS, or at once where there is none.
fn complete(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, attempt: AttemptId) -> Result<(), Fault> {
    match rules.pos.as_deref().filter(|_| order.source == "pos") {
        Some(pos) => {
            tx.set_closing(order.id, Closing::Waiting, "paid")?;
            queue_close(tx, pos, order.id, attempt)?;
            if !order.snapshot.lines.is_empty() {
                kitchen::tickets(tx, rules, order, &order.snapshot)?;
            }
            Ok(())
        }
        None => {
            kitchen::tickets(tx, rules, order, &order.snapshot)?;
            receipt(tx, rules, order.id)
        }
    }
}

fn queue_close(tx: &Tx<'_>, pos: &str, order: OrderId, attempt: AttemptId) -> Result<(), Fault> {
    let new = NewJob {
        kind: JobKind::Close,
        target: pos,
        order,
        attempt: Some(attempt),
        document: "close",
        no: 1,
        body: String::new(),
    };
    if tx.add_job(&new)?.is_none() {
        // The same order was to be closed before and ended in a question; what was missing is paid now.
        let old = tx.jobs_of(order)?.into_iter().find(|job| job.kind == JobKind::Close);
        if let Some(old) = old.filter(|job| job.state == JobState::Question) {
            tx.set_job(&old, JobState::Queued, old.tries, None)?;
        }
    }
    Ok(())
}

/// How the due of an order was paid: cash and cashless. What came on top of it (late, or twice) is the guest's and is not counted here.
pub fn tenders(view: &View<'_>, order: &OrderRow) -> Result<(Tiyn, Tiyn), Fault> {
    let mut rows = view.attempts_of_order(order.id)?;
    rows.retain(|row| row.attempt.state == State::Paid);
    rows.sort_by_key(|row| (row.attempt.late, row.id));
    let (mut cash, mut cashless, mut left) = (Tiyn::ZERO, Tiyn::ZERO, order.snapshot.due);
    for row in rows {
        let paid = row.attempt.evidence.as_ref().map_or(Tiyn::ZERO, |evidence| evidence.amount);
        let amount = Tiyn(paid.0.saturating_sub(refund::returned(view, row.id)?.0)).min(left);
        let kind = if row.tender == Tender::Cash { &mut cash } else { &mut cashless };
        *kind = Tiyn(kind.0 + amount.0);
        left = Tiyn(left.0 - amount.0);
    }
    Ok((cash, cashless))
}

/// What the POS's record means for a close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Open and unchanged: close it with these sums.
    Close {
        /// Notes and coins.
        cash: Tiyn,
        /// Cashless.
        cashless: Tiyn,
    },
    /// Closed as we wanted it, by us or by hand.
    Closed,
    /// A person has to look; it is asked.
    Asked,
}

/// Looks before the close, and again after it: the same decision (F24). `acted` tells that we asked the POS to close it.
pub fn look(tx: &Tx<'_>, rules: &Rules, job: JobId, seen: &PosOrder, acted: bool) -> Result<Look, Fault> {
    let job = tx.job(job)?;
    let order = tx.order(job.order)?;
    let (cash, cashless) = tenders(tx, &order)?;
    let is_fed =
        seen.standing == PosStanding::Removed || !order.snapshot.lines.is_empty() || seen.snapshot.lines.is_empty();
    if !is_fed {
        // The POS was away when the money was asked for: the dishes are known only now, and the guest has paid them. The receipt names
        // them, and so does the word to the POS that there is one.
        if order.snapshot.due == seen.snapshot.due {
            tx.resnap_order(&order, &seen.snapshot)?;
        }
        kitchen::tickets(tx, rules, &order, &seen.snapshot)?;
    }
    match &seen.standing {
        PosStanding::Closed { cash: pos_cash, cashless: pos_cashless, .. } => {
            if (*pos_cash, *pos_cashless) == (cash, cashless) {
                if order.snapshot.due != seen.snapshot.due && seen.snapshot.due == Tiyn(cash.0 + cashless.0) {
                    // More was being asked for while the close was on its way: what is paid from now on is too much.
                    tx.resnap_order(&order, &seen.snapshot)?;
                }
                // Closed with what was paid: its dishes are what the guest paid for, whatever was changed among them meanwhile.
                feed_change(tx, rules, &order, seen)?;
                closed(tx, rules, &job, &tx.order(order.id)?, acted)?;
                return Ok(Look::Closed);
            }
            let args = vec![
                ("paid", (cash.checked_add(cashless)).unwrap_or(cashless).to_string()),
                ("cash", pos_cash.to_string()),
                ("card", pos_cashless.to_string()),
            ];
            question(tx, rules, &job, "closed_by_hand", args)
        }
        PosStanding::Removed => question(tx, rules, &job, "removed", Vec::new()),
        PosStanding::Open
            if Tiyn(cash.0 + cashless.0) == order.snapshot.due && is_same(&order.snapshot, &seen.snapshot) =>
        {
            tx.set_job(&job, JobState::Sending, job.tries + 1, None)?;
            if order.closing != Closing::Closing {
                tx.set_closing(order.id, Closing::Closing, "")?;
            }
            Ok(Look::Close { cash, cashless })
        }
        PosStanding::Open => {
            // Changed, or grown and only partly paid so far: the rest is collected first. What was taken off it is not cooked any more.
            if seen.snapshot.due <= Tiyn(cash.0 + cashless.0) {
                feed_change(tx, rules, &order, seen)?;
            }
            let args = vec![("was", Tiyn(cash.0 + cashless.0).to_string()), ("now", seen.snapshot.due.to_string())];
            question(tx, rules, &job, "order_changed", args)
        }
    }
}

/// The POS's dishes of a paid order are other ones than those that were paid: the kitchen hears the difference (F24). A list that cannot be
/// read takes nothing back.
fn feed_change(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, seen: &PosOrder) -> Result<(), Fault> {
    if order.snapshot.lines.is_empty() || seen.snapshot.lines.is_empty() || is_same(&order.snapshot, &seen.snapshot) {
        return Ok(());
    }
    kitchen::tickets(tx, rules, order, &seen.snapshot)
}

fn is_same(asked: &Snapshot, now: &Snapshot) -> bool {
    if asked.lines.is_empty() { asked.due == now.due } else { asked.fingerprint() == now.fingerprint() }
}

fn closed(tx: &Tx<'_>, rules: &Rules, job: &JobRow, order: &OrderRow, acted: bool) -> Result<(), Fault> {
    tx.set_job(job, JobState::Done, job.tries, None)?;
    tx.set_closing(order.id, Closing::Closed, if acted { "" } else { "found closed" })?;
    // Closed with exactly what was paid: what was missing or refused on the way is no longer asked.
    for question in tx.questions_of(order.id)? {
        if ["order_changed", "pos_close", "part_paid"].contains(&question.code.as_str()) {
            tx.answer(question.id, "kassad", "", "closed")?;
        }
    }
    receipt(tx, rules, order.id)
}

fn question(
    tx: &Tx<'_>,
    rules: &Rules,
    job: &JobRow,
    code: &'static str,
    args: Vec<(&'static str, String)>,
) -> Result<Look, Fault> {
    tx.set_job(job, JobState::Question, job.tries, Some(&Reason::new(code, "")))?;
    tx.set_closing(job.order, Closing::Question, code)?;
    tx.ask(&NewQuestion { code, order: Some(job.order), attempt: job.attempt, inbox: None, refund: None, args })?;
    receipt(tx, rules, job.order)?;
    Ok(Look::Asked)
}

/// A named person has put an order right: what was paid too much is given back outside, what was closed by hand is closed, and
/// everything else is looked at once more.
pub fn put_right(tx: &Tx<'_>, rules: &Rules, order: OrderId, code: &str, who: &str) -> Result<(), Fault> {
    if BOOKS_ONLY.contains(&code) {
        return Ok(());
    }
    let order = tx.order(order)?;
    let job =
        tx.jobs_of(order.id)?.into_iter().find(|job| job.kind == JobKind::Close && job.state == JobState::Question);
    match (code, job) {
        ("closed_by_hand" | "removed", Some(job)) => {
            tx.set_job(&job, JobState::Done, job.tries, None)?;
            tx.set_closing(order.id, Closing::Closed, who)
        }
        // What it grew by may be paid, with more than that: its dishes go to the kitchen as after any payment in full.
        (_, Some(job)) => match covering(tx, &order)? {
            Some(row) => complete(tx, rules, &order, row.id),
            None => tx.set_job(&job, JobState::Queued, job.tries, None),
        },
        ("overpaid" | "double_paid", None) if order.closing == Closing::None => match covering(tx, &order)? {
            Some(row) => complete(tx, rules, &order, row.id),
            None => Ok(()),
        },
        // Paid in part when the POS was done with it: no close of ours was ever on its way.
        ("closed_by_hand" | "removed", None) if order.closing == Closing::Question => {
            tx.set_closing(order.id, Closing::Closed, who)
        }
        (_, None) => Ok(()),
    }
}

/// A payment of an order that is paid in full.
fn covering(tx: &Tx<'_>, order: &OrderRow) -> Result<Option<AttemptRow>, Fault> {
    let paid = tx.attempts_of_order(order.id)?.into_iter().find(|row| row.attempt.state == State::Paid);
    let is_covered = collected(tx, order.id)? >= order.snapshot.due;
    Ok(paid.filter(|_| is_covered))
}

/// The POS said no to the close itself. Its record tells why: closed by hand or changed meanwhile. Where it tells nothing, or cannot be
/// read, a person has to look.
pub fn close_refused(
    tx: &Tx<'_>,
    rules: &Rules,
    job: JobId,
    reason: &Reason,
    seen: Option<&PosOrder>,
) -> Result<(), Fault> {
    let job = tx.job(job)?;
    let asked = tx.order(job.order)?.snapshot;
    if let Some(seen) = seen.filter(|seen| seen.standing != PosStanding::Open || !is_same(&asked, &seen.snapshot)) {
        return look(tx, rules, job.id, seen, true).map(drop);
    }
    tx.set_job(&job, JobState::Question, job.tries, Some(reason))?;
    tx.set_closing(job.order, Closing::Question, &reason.code)?;
    let args = vec![("reason", reason.to_string())];
    tx.ask(&NewQuestion {
        code: "pos_close",
        order: Some(job.order),
        attempt: job.attempt,
        inbox: None,
        refund: None,
        args,
    })?;
    receipt(tx, rules, job.order)
}

/// The POS is away or its answer was lost: later again, by looking first. The guest gets the receipt anyway (F24 c).
pub fn close_later(tx: &Tx<'_>, rules: &Rules, job: JobId, reason: &Reason) -> Result<(), Fault> {
    let job = tx.job(job)?;
    if !job.state.is_open() {
        return Ok(());
    }
    let code_only = Reason::new(&reason.code, "");
    tx.set_job(&job, JobState::Queued, job.tries, Some(&code_only))?;
    receipt(tx, rules, job.order)
}

/// The guest's receipt of an order: the cash register's where it is ours to make, else our own on every receipt printer. Once; a total that
/// grew afterwards gets a receipt of its own.
pub fn receipt(tx: &Tx<'_>, rules: &Rules, order: OrderId) -> Result<(), Fault> {
    let order = tx.order(order)?;
    let paid: Vec<AttemptRow> =
        tx.attempts_of_order(order.id)?.into_iter().filter(|row| row.attempt.state == State::Paid).collect();
    let Some(last) = paid.last() else {
        return Ok(());
    };
    if paid_in(tx, order.id)? < order.snapshot.due {
        // It grew after it was paid: a receipt for the whole would say that nothing is left to collect, to the guest and to `counted`.
        return Ok(());
    }
    if fiscal::is_registered_here(tx, rules, order.id)? && fiscal::sell(tx, rules, &order, true)? {
        return Ok(());
    }
    let is_elsewhere = paid.iter().any(|row| rules.fiscal.issuer(row.tender) == Issuer::External);
    let document = Document::Receipt(Receipt {
        shop: rules.shop.clone(),
        order_number: order.snapshot.number.clone(),
        table: order.snapshot.table.clone(),
        waiter: order.snapshot.waiter.clone(),
        lines: order.snapshot.lines.clone(),
        total: order.snapshot.due,
        payments: paid.iter().map(payment_line).collect(),
        paid_at: rules.paper_time(last.changed),
        reference: last.reference.0.clone(),
        qr: None,
        issuer: if is_elsewhere { rules.fiscal.issued_by.clone() } else { String::new() },
    });
    let body = serde_json::to_string(&document)?;
    let jobs = tx.jobs_of(order.id)?;
    for printer in &rules.receipt_printers {
        let earlier =
            jobs.iter().rfind(|job| job.document == "receipt" && job.target == *printer && job.instead.is_none());
        let no = match earlier {
            Some(earlier) if is_over(earlier, order.snapshot.due)? => continue,
            Some(earlier) => earlier.no + 1,
            None => 1,
        };
        tx.add_job(&NewJob {
            kind: JobKind::Print,
            target: printer,
            order: order.id,
            attempt: Some(last.id),
            document: "receipt",
            no,
            body: body.clone(),
        })?;
    }
    Ok(())
}

fn is_over(job: &JobRow, total: Tiyn) -> Result<bool, Fault> {
    let document: Document = serde_json::from_str(&job.body)?;
    Ok(matches!(document, Document::Receipt(receipt) if receipt.total == total))
}

/// What proves a payment, for paper.
pub fn payment_line(row: &AttemptRow) -> PaymentLine {
    let Some(evidence) = &row.attempt.evidence else {
        let label = method_label("").to_owned();
        return PaymentLine { label, amount: Tiyn::ZERO, transaction: String::new(), tendered: None };
    };
    PaymentLine {
        label: method_label(&evidence.method).to_owned(),
        amount: evidence.amount,
        transaction: evidence.transaction.clone(),
        tendered: evidence.tendered,
    }
}

/// What proves a refund, for paper.
pub fn refund_line(row: &RefundRow) -> PaymentLine {
    let proof = row.refund.proof.as_ref();
    PaymentLine {
        label: method_label(proof.map_or("", |proof| proof.method.as_str())).to_owned(),
        amount: row.refund.returned(),
        transaction: proof.map(|proof| proof.transaction.clone()).unwrap_or_default(),
        tendered: None,
    }
}

/// How a payment went, for paper.
pub fn method_label(method: &str) -> &'static str {
    match method {
        "qr" => "Kaspi QR",
        "card" => "Карта (Kaspi POS)",
        "alaqan" => "Kaspi Alaqan",
        "invoice" => "Kaspi, шот / счёт",
        "cash" => "Қолма-қол / Наличные",
        _ => "Kaspi",
    }
}

/// Queues the notice for the bot that asked for the invoice: paid, expired or error, in the cloud's own words.
pub fn tell_bot(tx: &Tx<'_>, row: &AttemptRow) -> Result<(), Fault> {
    let Some(bot) = &row.bot else {
        return Ok(());
    };
    let Some(status) = bot_status(row.attempt.state) else {
        return Ok(());
    };
    // What the bot did not hear yet is no longer true: it hears how it is now, and nothing older after it.
    for older in tx.jobs_of(row.order)?.iter().filter(|job| job.kind == JobKind::Notify && job.attempt == Some(row.id))
    {
        if older.document != notice(status, row.id) && older.state != JobState::Done {
            tx.set_job(older, JobState::Done, older.tries, Some(&Reason::new("superseded", "")))?;
            heard(tx, older)?;
        }
    }
    let amount = row.attempt.evidence.as_ref().map_or(row.attempt.amount, |evidence| evidence.amount);
    let body = json!({
        "status": status,
        "invoice_id": invoice_id(row),
        "external_id": row.external_id,
        "amount": amount.whole_tenge(),
        "at_ms": tx.now().0,
    });
    let no = 1 + i64::from(row.attempt.late);
    tx.add_job(&NewJob {
        kind: JobKind::Notify,
        target: bot,
        order: row.order,
        attempt: Some(row.id),
        document: &notice(status, row.id),
        no,
        body: body.to_string(),
    })?;
    Ok(())
}

fn notice(status: &str, attempt: AttemptId) -> String {
    format!("{status}:{attempt}")
}

/// The name under which a bot knows an attempt.
pub fn invoice_id(row: &AttemptRow) -> String {
    format!("inv_{}", row.reference)
}

/// The word of the AiPay-compatible surface for a state that ends; `None` while it is pending.
pub fn bot_status(state: State) -> Option<&'static str> {
    match state {
        State::Planned | State::Sent | State::Waiting | State::Unresolved => None,
        State::Paid => Some("paid"),
        State::Expired => Some("expired"),
        State::Failed | State::Cancelled => Some("error"),
    }
}

/// Writes down how the delivery of a bot's notice went.
pub fn told(tx: &Tx<'_>, job: JobId, accepted: Result<(), Reason>) -> Result<(), Fault> {
    let job = tx.job(job)?;
    if !job.state.is_open() {
        // A newer notice took its place while it was on its way.
        return Ok(());
    }
    match accepted {
        Ok(()) => {
            tx.set_job(&job, JobState::Done, job.tries + 1, None)?;
            heard(tx, &job)
        }
        Err(reason) => tx.set_job(&job, JobState::Queued, job.tries, Some(&Reason::new(&reason.code, ""))),
    }
}

/// A bot refused its notice for too long: a person has to look, and may have it told again ([`print::retry`]).
pub fn give_up_telling(tx: &Tx<'_>, job: JobId) -> Result<(), Fault> {
    let job = tx.job(job)?;
    if !job.state.is_open() {
        return Ok(());
    }
    tx.set_job(&job, JobState::Question, job.tries, Some(&Reason::new("bot_silent", "")))?;
    let args = vec![("bot", job.target.clone())];
    tx.ask(&NewQuestion {
        code: "bot_silent",
        order: Some(job.order),
        attempt: job.attempt,
        inbox: None,
        refund: None,
        args,
    })
}

/// Nobody needs to look after a notice any more.
fn heard(tx: &Tx<'_>, job: &JobRow) -> Result<(), Fault> {
    for question in tx.questions_of(job.order)? {
        if question.code == "bot_silent" && question.attempt == job.attempt {
            tx.answer(question.id, "kassad", "", "told")?;
        }
    }
    Ok(())
}
