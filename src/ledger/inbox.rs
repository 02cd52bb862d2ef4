//! Verified messages, raw, once each (F04, I8). What they claim moves nothing; they wake the inquiry.

use super::{Fault, Tx, View};
use crate::domain::ids::{AttemptId, Handle, InboxId};
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;
use rusqlite::{OptionalExtension, Row};
use serde_json::json;

/// What became of a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum InboxState {
    /// It belongs to an attempt.
    Matched,
    /// No attempt claims it (yet).
    Orphan,
    /// Correctly signed and not understood.
    Unreadable,
    /// A person said what it was.
    Settled,
}

impl InboxState {
    fn word(self) -> &'static str {
        match self {
            InboxState::Matched => "matched",
            InboxState::Orphan => "orphan",
            InboxState::Unreadable => "unreadable",
            InboxState::Settled => "settled",
        }
    }
}

/// A message to keep.
#[derive(Clone, Debug)]
pub struct NewMessage<'a> {
    /// The webhook's name.
    pub door: &'a str,
    /// The same event has the same key.
    pub event_key: &'a str,
    /// Headers as JSON, without secrets.
    pub headers: &'a str,
    /// The raw body.
    pub body: &'a [u8],
    /// What became of it so far.
    pub state: InboxState,
    /// The attempt it belongs to.
    pub attempt: Option<AttemptId>,
    /// The partner's name of the attempt.
    pub handle: Option<&'a Handle>,
    /// The partner's word.
    pub status: Option<&'a str>,
    /// The claimed amount.
    pub amount: Option<Tiyn>,
}

/// A message that nobody claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its number.
    pub id: InboxId,
    /// The webhook's name.
    pub door: String,
    /// The partner's name of the attempt.
    pub handle: Handle,
    /// The partner's word.
    pub status: String,
    /// The claimed amount.
    pub amount: Option<Tiyn>,
    /// When it came.
    pub received: Wall,
}

fn orphan(row: &Row<'_>) -> rusqlite::Result<Orphan> {
    Ok(Orphan {
        id: InboxId(row.get(0)?),
        door: row.get(1)?,
        handle: Handle(row.get(2)?),
        status: row.get(3)?,
        amount: row.get::<_, Option<i64>>(4)?.map(Tiyn),
        received: Wall(row.get(5)?),
    })
}

const ORPHAN: &str =
    "SELECT id, door, handle, coalesce(status, ''), amount, received FROM inbox WHERE state = 'orphan'";

/// Messages that count as the newest: the inbox of three months is not walked for a look.
const NEWEST: u32 = 1000;

impl View<'_> {
    /// Whether this event was kept before.
    pub fn has_message(&self, door: &str, event_key: &str) -> Result<bool, Fault> {
        let mut query = self.connection.prepare_cached("SELECT 1 FROM inbox WHERE door = ?1 AND event_key = ?2")?;
        Ok(query.query_row((door, event_key), |_| Ok(())).optional()?.is_some())
    }

    /// The messages that nobody claims, oldest first.
    pub fn orphans(&self) -> Result<Vec<Orphan>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{ORPHAN} ORDER BY id LIMIT 500"))?;
        Ok(query.query_map([], orphan)?.collect::<Result<_, _>>()?)
    }

    /// The messages that nobody claims, of one door about one name.
    pub fn orphans_of(&self, door: &str, handle: &Handle) -> Result<Vec<Orphan>, Fault> {
        let mut query =
            self.connection.prepare_cached(&format!("{ORPHAN} AND door = ?1 AND handle = ?2 ORDER BY id"))?;
        Ok(query.query_map((door, handle.as_str()), orphan)?.collect::<Result<_, _>>()?)
    }

    /// Whether a notice claimed that an attempt is paid. Walks the inbox: asked once, when an attempt is given up.
    pub fn was_claimed_paid(&self, attempt: AttemptId) -> Result<bool, Fault> {
        let mut query =
            self.connection.prepare_cached("SELECT 1 FROM inbox WHERE attempt = ?1 AND status = 'paid' LIMIT 1")?;
        Ok(query.query_row([attempt.0], |_| Ok(())).optional()?.is_some())
    }

    /// Whether one of the newest messages is about an attempt.
    pub fn was_heard_of(&self, attempt: AttemptId) -> Result<bool, Fault> {
        let newest = "SELECT 1 FROM (SELECT attempt FROM inbox ORDER BY id DESC LIMIT ?2) WHERE attempt = ?1 LIMIT 1";
        let mut query = self.connection.prepare_cached(newest)?;
        Ok(query.query_row((attempt.0, NEWEST), |_| Ok(())).optional()?.is_some())
    }

    /// The number of the newest message at a door, if it is one of the newest at all.
    pub fn newest_message(&self, door: &str) -> Result<Option<i64>, Fault> {
        let newest = "SELECT max(id) FROM (SELECT id, door FROM inbox ORDER BY id DESC LIMIT ?2) WHERE door = ?1";
        Ok(self.connection.prepare_cached(newest)?.query_row((door, NEWEST), |row| row.get(0))?)
    }

    /// How many messages are kept in all.
    pub fn messages(&self) -> Result<i64, Fault> {
        Ok(self.connection.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Keeps a message. The inquiry of its attempt is woken with the commit.
    pub fn keep_message(&self, new: &NewMessage<'_>) -> Result<InboxId, Fault> {
        let id = self.next_id("inbox")?;
        let entry = json!({ "state": new.state.word(), "door": new.door, "event": new.event_key });
        self.record_nudge("inbox", id, &entry, new.attempt.map(|attempt| attempt.0))?;
        self.write(
            "INSERT INTO inbox (id, door, event_key, headers, body, received, state, attempt, handle, status, amount)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            rusqlite::params![
                id,
                new.door,
                new.event_key,
                new.headers,
                new.body,
                self.now().0,
                new.state.word(),
                new.attempt.map(|attempt| attempt.0),
                new.handle.map(Handle::as_str),
                new.status,
                new.amount.map(|amount| amount.0)
            ],
        )?;
        Ok(InboxId(id))
    }

    /// Wakes the inquiry of an attempt.
    pub fn nudge(&self, attempt: AttemptId) -> Result<(), Fault> {
        self.record_nudge("inbox", 0, &json!({ "state": "again", "attempt": attempt }), Some(attempt.0))?;
        Ok(())
    }

    /// An orphan found its attempt, or a person said what it was.
    pub fn claim_message(&self, id: InboxId, state: InboxState, attempt: Option<AttemptId>) -> Result<(), Fault> {
        let nudge = attempt.map(|attempt| attempt.0);
        self.record_nudge("inbox", id.0, &json!({ "state": state.word(), "attempt": nudge }), nudge)?;
        self.write("UPDATE inbox SET state = ?2, attempt = ?3 WHERE id = ?1", (id.0, state.word(), nudge))?;
        Ok(())
    }
}
