//! One road for everything unclear (H3): a restart is one more event; who may be asked, when; when asking ends.

use super::{Rules, collect, fiscal, print, refund, settle};
use crate::domain::attempt::{Event, State};
use crate::domain::ids::{AttemptId, QuestionId};
use crate::domain::order::Tender;
use crate::domain::outcome::Reason;
use crate::domain::time::Wall;
use crate::ledger::inbox::InboxState;
use crate::ledger::questions::NewQuestion;
use crate::ledger::{Fault, Tx, refused};
use serde_json::json;

/// The daemon starts: every attempt that was outside is unclear until its partner was asked (F01). Returns how many.
pub fn restart(tx: &Tx<'_>, rules: &Rules) -> Result<usize, Fault> {
    let mut unclear = refund::restart(tx, rules)?;
    for row in tx.watched_all()? {
        match row.attempt.state {
            State::Sent | State::Waiting => {
                collect::conclude(tx, rules, row.id, Event::Unknown(Reason::new("restart", "")))?;
                unclear += 1;
            }
            State::Unresolved => unclear += 1,
            State::Planned | State::Paid | State::Failed | State::Cancelled | State::Expired => {}
        }
    }
    Ok(unclear)
}

/// An attempt has been unclear for two minutes: a person may answer from now on, the asking goes on.
pub fn ask_a_person(tx: &Tx<'_>, attempt: AttemptId) -> Result<(), Fault> {
    let row = tx.attempt(attempt)?;
    if row.attempt.state != State::Unresolved {
        return Ok(());
    }
    let code = match (row.tender, &row.attempt.handle) {
        (Tender::KaspiInvoice | Tender::KaspiQr, None) => "lost_create",
        (Tender::KaspiInvoice | Tender::KaspiQr, Some(_)) | (Tender::KaspiTerminal | Tender::Cash, _) => "unresolved",
    };
    let order = tx.order(row.order)?;
    let args = vec![("amount", row.attempt.amount.to_string()), ("order", order.snapshot.number)];
    tx.ask(&NewQuestion { code, order: Some(row.order), attempt: Some(row.id), inbox: None, refund: None, args })
}

/// The machine's time of day jumped: both times are on record (F12).
pub fn clock_jumped(tx: &Tx<'_>, from: Wall, to: Wall) -> Result<(), Fault> {
    tx.record("clock", 0, &json!({ "from": from, "to": to })).map(drop)
}

/// A terminal's end of day is about to be asked for, once a business day. The first day that a terminal is known is not ended.
pub fn settlement_begun(tx: &Tx<'_>, terminal: &str, day: Wall) -> Result<bool, Fault> {
    let name = format!("terminal.{terminal}.settled");
    let text = tx.vault(&name)?.unwrap_or_default();
    let last = text.strip_suffix(BEGUN).unwrap_or(&text).parse::<i64>().ok();
    if last.is_some() && text.ends_with(BEGUN) {
        // Its answer was lost with the power.
        settlement_ended(tx, terminal, &Err(Reason::new("interrupted", "")))?;
        return Ok(false);
    }
    // A day far ahead was written down by a clock that was wrong.
    let last = last.filter(|last| *last <= day.0.saturating_add(2 * 24 * 3_600_000));
    let is_due = last.is_some_and(|last| last < day.0);
    if is_due || last.is_none() {
        tx.store_in_vault(&name, &format!("{}{}", day.0, if is_due { BEGUN } else { "" }))?;
    }
    Ok(is_due)
}

/// Marks an end of day that was asked for and has not been answered.
const BEGUN: &str = " begun";

/// How a terminal's end of day went. Where it did not go well a person looks: it is not asked for again by itself.
pub fn settlement_ended(tx: &Tx<'_>, terminal: &str, ended: &Result<String, Reason>) -> Result<(), Fault> {
    let name = format!("terminal.{terminal}.settled");
    if let Some(day) = tx.vault(&name)?.as_deref().and_then(|text| text.strip_suffix(BEGUN)) {
        tx.store_in_vault(&name, day)?;
    }
    match ended {
        Ok(slip) => tx.record("settlement", 0, &json!({ "terminal": terminal, "slip": slip })).map(drop),
        Err(reason) => {
            tx.record("settlement", 0, &json!({ "terminal": terminal, "reason": reason }))?;
            let args = vec![("terminal", terminal.to_owned())];
            tx.ask(&NewQuestion { code: "settlement", args, ..NewQuestion::default() })
        }
    }
}

/// The partner was asked long enough after the end: no news is on record, the asking ends.
pub fn stop_watching(tx: &Tx<'_>, attempt: AttemptId) -> Result<(), Fault> {
    let row = tx.attempt(attempt)?;
    if row.attempt.state.is_live() {
        return Ok(());
    }
    ask_about_claim(tx, attempt)?;
    tx.set_watched(attempt, false)
}

/// A signed notice said "paid" and the partner's own record did not, long enough after the end: a person compares the books, once (I1).
pub fn ask_about_claim(tx: &Tx<'_>, attempt: AttemptId) -> Result<(), Fault> {
    let row = tx.attempt(attempt)?;
    let is_over = !row.attempt.state.is_live() && row.attempt.state != State::Paid;
    if is_over && tx.was_claimed_paid(attempt)? && !tx.was_asked("claimed_paid", attempt)? {
        let args = vec![("amount", row.attempt.amount.to_string()), ("order", tx.order(row.order)?.snapshot.number)];
        tx.ask(&NewQuestion {
            code: "claimed_paid",
            order: Some(row.order),
            attempt: Some(attempt),
            inbox: None,
            refund: None,
            args,
        })?;
    }
    Ok(())
}

/// A person settles a question that no attempt depends on: an order closed by hand, an orphan, an unreadable notice.
pub fn settle_question(
    tx: &Tx<'_>,
    rules: &Rules,
    question: QuestionId,
    who: &str,
    because: &str,
) -> Result<(), Fault> {
    if who.trim().is_empty() || because.trim().is_empty() {
        return refused("answer_incomplete", "by and because");
    }
    let row = tx.question(question)?;
    if ["unresolved", "lost_create"].contains(&row.code.as_str()) {
        return refused("answer_payment", "this question is answered at its payment");
    }
    if row.code == "refund_unclear" {
        return refused("answer_refund", "this question is answered at its refund");
    }
    if let Some(inbox) = row.inbox {
        tx.claim_message(inbox, InboxState::Settled, None)?;
    }
    tx.answer(question, who, because, "done")?;
    if fiscal::QUESTIONS.contains(&row.code.as_str()) {
        return fiscal::answered(tx, &row);
    }
    match row.order {
        Some(order) if print::QUESTIONS.contains(&row.code.as_str()) => print::answered(tx, order, &row, who),
        Some(order) => settle::put_right(tx, rules, order, &row.code, who),
        None => Ok(()),
    }
}
