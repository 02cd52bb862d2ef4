//! Notices: keep raw, match, wake. A notice never moves money by itself (F04, F15); polling would have found out anyway.

use crate::domain::attempt::{Event, State};
use crate::domain::ids::{AttemptId, Handle, InboxId, Reference};
use crate::domain::money::Tiyn;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::inbox::{InboxState, NewMessage, Orphan};
use crate::ledger::questions::NewQuestion;
use crate::ledger::{Fault, Tx};

/// A verified message, as the surface hands it over.
#[derive(Clone, Debug)]
pub struct Message {
    /// The webhook's name, which is the cloud's.
    pub door: String,
    /// Headers as JSON, without secrets.
    pub headers: String,
    /// The raw body, as signed.
    pub body: Vec<u8>,
    /// What it claims; an error text when it cannot be read.
    pub claim: Result<Claim, String>,
    /// The same event has the same key.
    pub event_key: String,
}

/// What a message claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The partner's name of the attempt.
    pub handle: Handle,
    /// Our reference, where it carries one.
    pub reference: Option<Reference>,
    /// The partner's word.
    pub status: String,
    /// The claimed amount.
    pub amount: Option<Tiyn>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Kept, and its attempt is being asked about.
    Matched,
    /// Kept; no attempt claims it yet.
    Orphan,
    /// Kept as a question.
    Unreadable,
    /// The same event was kept before.
    Again,
}

/// Keeps a message and wakes the inquiry of its attempt. The caller answers 2xx after the commit (I8).
pub fn receive(tx: &Tx<'_>, message: &Message) -> Result<Kept, Fault> {
    if tx.has_message(&message.door, &message.event_key)? {
        watch_again(tx, message)?;
        return Ok(Kept::Again);
    }
    let blank = NewMessage {
        door: &message.door,
        event_key: &message.event_key,
        headers: &message.headers,
        body: &message.body,
        state: InboxState::Unreadable,
        attempt: None,
        handle: None,
        status: None,
        amount: None,
    };
    let claim = match &message.claim {
        Ok(claim) => claim,
        Err(problem) => {
            let id = tx.keep_message(&blank)?;
            let args = vec![("problem", problem.clone())];
            tx.ask(&NewQuestion { code: "unreadable", inbox: Some(id), args, ..NewQuestion::default() })?;
            return Ok(Kept::Unreadable);
        }
    };
    let row = owner(tx, &message.door, claim)?;
    tx.keep_message(&NewMessage {
        state: if row.is_some() { InboxState::Matched } else { InboxState::Orphan },
        attempt: row.as_ref().map(|row| row.id),
        handle: Some(&claim.handle),
        status: Some(&claim.status),
        amount: claim.amount,
        ..blank
    })?;
    match row {
        Some(row) => {
            recognise(tx, &row, &claim.handle)?;
            Ok(Kept::Matched)
        }
        None => Ok(Kept::Orphan),
    }
}

/// The partner insists that an attempt is paid which nobody asks about any more, and which is not: it is asked about once more (F05).
/// A replay of any other old word says nothing new and writes nothing, however often it comes (F15).
fn watch_again(tx: &Tx<'_>, message: &Message) -> Result<(), Fault> {
    let Some(claim) = message.claim.as_ref().ok().filter(|claim| claim.status == "paid") else {
        return Ok(());
    };
    if let Some(row) = owner(tx, &message.door, claim)?.filter(|row| !row.watched && row.attempt.state != State::Paid) {
        tx.nudge(row.id)?;
        recognise(tx, &row, &claim.handle)?;
    }
    Ok(())
}

/// First by our own reference, then by the partner's name; only among the attempts of that partner.
fn owner(tx: &Tx<'_>, door: &str, claim: &Claim) -> Result<Option<AttemptRow>, Fault> {
    let by_reference = match &claim.reference {
        Some(reference) => tx.attempt_of(reference.as_str())?.filter(|row| row.via == door),
        None => None,
    };
    let is_same = |row: &AttemptRow| row.attempt.handle.as_ref().is_none_or(|known| *known == claim.handle);
    match by_reference {
        Some(row) if is_same(&row) => Ok(Some(row)),
        // Our reference on another invoice than ours is not ours: it stays an orphan for a person.
        Some(_) => Ok(None),
        None => tx.attempt_named(door, &claim.handle),
    }
}

/// A notice names an attempt whose create-reply was lost (F02, F03): keep the name, and ask about it even if it was over.
fn recognise(tx: &Tx<'_>, row: &AttemptRow, handle: &Handle) -> Result<(), Fault> {
    if row.attempt.handle.is_none() {
        let next = row.attempt.apply(Event::Recognised(handle.clone()))?;
        let row = tx.save_attempt(row, &next, next.state != State::Paid || next.is_a_persons_word())?;
        if row.attempt.state == State::Waiting {
            super::collect::drop_questions(tx, &row)?;
        }
    } else if row.attempt.state != State::Paid {
        tx.set_watched(row.id, true)?;
    }
    Ok(())
}

/// Claims the orphans of an attempt that has just got its name.
pub fn claim_orphans(tx: &Tx<'_>, row: &AttemptRow) -> Result<(), Fault> {
    let Some(handle) = &row.attempt.handle else {
        return Ok(());
    };
    for orphan in tx.orphans_of(&row.via, handle)? {
        claim(tx, &orphan, row.id)?;
    }
    Ok(())
}

fn claim(tx: &Tx<'_>, orphan: &Orphan, attempt: AttemptId) -> Result<(), Fault> {
    tx.claim_message(orphan.id, InboxState::Matched, Some(attempt))
}

/// Asks a person about an orphan that stayed one (F02: after ten minutes).
pub fn ask_about_orphan(tx: &Tx<'_>, id: InboxId) -> Result<(), Fault> {
    let Some(orphan) = tx.orphans()?.into_iter().find(|orphan| orphan.id == id) else {
        return Ok(());
    };
    if let Some(row) = tx.attempt_named(&orphan.door, &orphan.handle)? {
        return claim(tx, &orphan, row.id);
    }
    let amount = orphan.amount.map(|amount| amount.to_string()).unwrap_or_else(|| "?".to_owned());
    let args = vec![("amount", amount), ("handle", orphan.handle.0.clone())];
    tx.ask(&NewQuestion { code: "orphan", inbox: Some(orphan.id), args, ..NewQuestion::default() })
}
