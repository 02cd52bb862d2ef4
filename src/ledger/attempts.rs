//! Attempts. Their state changes by [`Attempt::apply`] only: `save_attempt` takes what it returned and keeps a guard on what it was made from.

use super::{Fault, Tx, View};
use crate::domain::attempt::{Attempt, State};
use crate::domain::ids::{AttemptId, Handle, OrderId, PartId, Reference};
use crate::domain::money::Tiyn;
use crate::domain::order::{Phone, Tender};
use crate::domain::outcome::Reason;
use crate::domain::time::Wall;
use rusqlite::{OptionalExtension, Row};
use serde_json::json;

/// An attempt of the ledger with the names around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number in the ledger.
    pub id: AttemptId,
    /// Our name of it, for partners and people.
    pub reference: Reference,
    /// The order.
    pub order: OrderId,
    /// The part.
    pub part: PartId,
    /// How it is collected.
    pub tender: Tender,
    /// The terminal or cloud, by its name in the configuration; `cashier` for cash.
    pub via: String,
    /// The guest's phone, for a phone invoice.
    pub phone: Option<Phone>,
    /// What the guest reads.
    pub description: String,
    /// The bot that asked for it.
    pub bot: Option<String>,
    /// The bot's own name of it.
    pub external_id: Option<String>,
    /// Its state and everything that decides about it.
    pub attempt: Attempt,
    /// Whether a worker still asks about it.
    pub watched: bool,
    /// When it was written down.
    pub created: Wall,
    /// When it last changed.
    pub changed: Wall,
}

/// What is needed to write an attempt down.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// The part.
    pub part: PartId,
    /// How it is collected.
    pub tender: Tender,
    /// The terminal or cloud.
    pub via: String,
    /// What is asked.
    pub amount: Tiyn,
    /// The guest's phone.
    pub phone: Option<Phone>,
    /// What the guest reads.
    pub description: String,
    /// The bot that asked for it, with its own name of it.
    pub bot: Option<(String, String)>,
}

const COLUMNS: &str =
    "SELECT attempts.id, parts.order_id, parts.no, part_id, attempts.no, tender, via, attempts.amount, phone,
    description, bot, attempts.state, handle, evidence, late, reason, watched, created, changed, external_id
    FROM attempts JOIN parts ON parts.id = part_id";

struct Raw {
    id: i64,
    order: i64,
    part_no: i64,
    part: i64,
    no: i64,
    tender: String,
    via: String,
    amount: i64,
    phone: Option<String>,
    description: String,
    bot: Option<String>,
    state: String,
    handle: Option<String>,
    evidence: Option<String>,
    late: bool,
    reason: Option<String>,
    watched: bool,
    created: i64,
    changed: i64,
    external_id: Option<String>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        order: row.get(1)?,
        part_no: row.get(2)?,
        part: row.get(3)?,
        no: row.get(4)?,
        tender: row.get(5)?,
        via: row.get(6)?,
        amount: row.get(7)?,
        phone: row.get(8)?,
        description: row.get(9)?,
        bot: row.get(10)?,
        state: row.get(11)?,
        handle: row.get(12)?,
        evidence: row.get(13)?,
        late: row.get(14)?,
        reason: row.get(15)?,
        watched: row.get(16)?,
        created: row.get(17)?,
        changed: row.get(18)?,
        external_id: row.get(19)?,
    })
}

impl View<'_> {
    fn reference(&self, order: i64, part_no: i64, no: i64) -> Reference {
        Reference(format!("{}-{order}-{part_no}-{no}", self.shop))
    }

    fn attempt_row(&self, raw: Raw) -> Result<AttemptRow, Fault> {
        let broken = |what: &str| Fault::Broken(format!("attempt {}: {what}", raw.id));
        Ok(AttemptRow {
            id: AttemptId(raw.id),
            reference: self.reference(raw.order, raw.part_no, raw.no),
            order: OrderId(raw.order),
            part: PartId(raw.part),
            tender: Tender::from_word(&raw.tender).ok_or_else(|| broken("tender"))?,
            attempt: Attempt {
                state: State::from_word(&raw.state).ok_or_else(|| broken("state"))?,
                handle: raw.handle.map(Handle),
                amount: Tiyn(raw.amount),
                evidence: raw.evidence.as_deref().map(serde_json::from_str).transpose()?,
                late: raw.late,
                reason: raw.reason.as_deref().map(serde_json::from_str).transpose()?,
            },
            phone: match raw.phone {
                Some(text) => {
                    Some(Phone::parse(&text).ok_or_else(|| Fault::Broken(format!("attempt {}: phone", raw.id)))?)
                }
                None => None,
            },
            via: raw.via,
            description: raw.description,
            bot: raw.bot,
            external_id: raw.external_id,
            watched: raw.watched,
            created: Wall(raw.created),
            changed: Wall(raw.changed),
        })
    }

    fn attempts_where(&self, tail: &str, values: impl rusqlite::Params) -> Result<Vec<AttemptRow>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{COLUMNS} {tail}"))?;
        let raws: Vec<Raw> = query.query_map(values, raw)?.collect::<Result<_, _>>()?;
        raws.into_iter().map(|raw| self.attempt_row(raw)).collect()
    }

    /// One attempt.
    pub fn attempt(&self, id: AttemptId) -> Result<AttemptRow, Fault> {
        let found = self.attempts_where("WHERE attempts.id = ?1", [id.0])?.pop();
        found.ok_or_else(|| Fault::Missing(format!("attempt {id}")))
    }

    /// The attempt of one of our references; the reference itself tells where to look.
    pub fn attempt_of(&self, reference: &str) -> Result<Option<AttemptRow>, Fault> {
        let Some(numbers) = reference.strip_prefix(self.shop).and_then(|rest| rest.strip_prefix('-')) else {
            return Ok(None);
        };
        let numbers: Vec<i64> = numbers.splitn(3, '-').filter_map(|number| number.parse().ok()).collect();
        let [order, part, no] = numbers[..] else {
            return Ok(None);
        };
        let tail = "WHERE parts.order_id = ?1 AND parts.no = ?2 AND attempts.no = ?3";
        let found = self.attempts_where(tail, (order, part, no))?.pop();
        Ok(found.filter(|row| row.reference.as_str() == reference))
    }

    /// The attempt that a partner knows under its own name.
    pub fn attempt_named(&self, via: &str, handle: &Handle) -> Result<Option<AttemptRow>, Fault> {
        Ok(self.attempts_where("WHERE handle = ?1 AND via = ?2", (handle.as_str(), via))?.pop())
    }

    /// The attempts that a worker still asks about, oldest first.
    pub fn watched(&self, via: &str) -> Result<Vec<AttemptRow>, Fault> {
        self.attempts_where("WHERE via = ?1 AND watched = 1 ORDER BY attempts.id", [via])
    }

    /// All attempts that anybody still asks about, oldest first.
    pub fn watched_all(&self) -> Result<Vec<AttemptRow>, Fault> {
        self.attempts_where("WHERE watched = 1 ORDER BY attempts.id", [])
    }

    /// The attempts of a part, oldest first.
    pub fn attempts(&self, part: PartId) -> Result<Vec<AttemptRow>, Fault> {
        self.attempts_where("WHERE part_id = ?1 ORDER BY attempts.id", [part.0])
    }

    /// The attempts of an order, oldest first.
    pub fn attempts_of_order(&self, order: OrderId) -> Result<Vec<AttemptRow>, Fault> {
        self.attempts_where("WHERE parts.order_id = ?1 ORDER BY attempts.id", [order.0])
    }

    /// The newest attempts, newest first; of one state when told.
    pub fn newest_attempts(&self, state: Option<State>, limit: u32) -> Result<Vec<AttemptRow>, Fault> {
        match state {
            Some(state) => self
                .attempts_where("WHERE attempts.state = ?1 ORDER BY attempts.id DESC LIMIT ?2", (state.word(), limit)),
            None => self.attempts_where("ORDER BY attempts.id DESC LIMIT ?1", [limit]),
        }
    }

    /// The attempts written down since a time of day, for the day's books.
    pub fn attempts_since(&self, from: Wall, limit: u32) -> Result<Vec<AttemptRow>, Fault> {
        self.attempts_where("WHERE created >= ?1 ORDER BY attempts.id LIMIT ?2", (from.0, limit))
    }

    /// The attempt that a transaction number is the evidence of already. Walks the evidence: asked when a person types one.
    pub fn proven_by(&self, transaction: &str) -> Result<Option<AttemptRow>, Fault> {
        let tail = "WHERE evidence IS NOT NULL AND json_extract(evidence, '$.transaction') = ?1 LIMIT 1";
        Ok(self.attempts_where(tail, [transaction])?.pop())
    }

    /// What a key was used for: its content and attempt.
    pub fn key(&self, key: &str) -> Result<Option<(String, AttemptId)>, Fault> {
        let mut query = self.connection.prepare_cached("SELECT content, attempt FROM keys WHERE key = ?1")?;
        Ok(query.query_row([key], |row| Ok((row.get(0)?, AttemptId(row.get(1)?)))).optional()?)
    }
}

impl Tx<'_> {
    /// Writes an attempt down as `planned`.
    pub fn add_attempt(&self, new: &NewAttempt) -> Result<AttemptRow, Fault> {
        let id = self.next_id("attempts")?;
        let no: i64 = self
            .connection
            .prepare_cached("SELECT count(*) + 1 FROM attempts WHERE part_id = ?1")?
            .query_row([new.part.0], |row| row.get(0))?;
        let entry = json!({ "state": "planned", "amount": new.amount, "tender": new.tender, "via": new.via });
        let seq = self.record("attempt", id, &entry)?;
        self.write(
            "INSERT INTO attempts (id, part_id, no, tender, via, amount, phone, description, bot, external_id, state, created, changed, seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'planned', ?11, ?11, ?12)",
            rusqlite::params![
                id,
                new.part.0,
                no,
                new.tender.word(),
                new.via,
                new.amount.0,
                new.phone.as_ref().map(Phone::digits),
                new.description,
                new.bot.as_ref().map(|(bot, _)| bot),
                new.bot.as_ref().map(|(_, external_id)| external_id),
                self.now().0,
                seq.0
            ],
        )?;
        self.attempt(AttemptId(id))
    }

    /// Writes what [`Attempt::apply`] returned. The guard is the state that it was made from (F04).
    pub fn save_attempt(&self, row: &AttemptRow, next: &Attempt, watched: bool) -> Result<AttemptRow, Fault> {
        let mut entry = json!({ "state": next.state, "was": row.attempt.state });
        if let Some(fields) = entry.as_object_mut() {
            let mut note = |key: &str, value: serde_json::Value| fields.insert(key.to_owned(), value);
            if next.handle != row.attempt.handle {
                note("handle", json!(next.handle));
            }
            if let Some(evidence) = &next.evidence {
                note("evidence", json!(evidence));
            }
            if let Some(reason) = &next.reason {
                note("reason", json!(reason));
            }
            if next.late {
                note("late", json!(true));
            }
        }
        let seq = self.record("attempt", row.id.0, &entry)?;
        let text = |reason: &Option<Reason>| reason.as_ref().map(serde_json::to_string).transpose();
        let changed = self.write(
            "UPDATE attempts SET state = ?3, evidence = ?4, late = ?5, reason = ?6, changed = ?7, seq = ?8
              WHERE id = ?1 AND state = ?2",
            rusqlite::params![
                row.id.0,
                row.attempt.state.word(),
                next.state.word(),
                next.evidence.as_ref().map(serde_json::to_string).transpose()?,
                next.late,
                text(&next.reason)?,
                self.now().0,
                seq.0
            ],
        )?;
        if changed != 1 {
            return Err(Fault::Broken(format!("attempt {} changed under our hands", row.id)));
        }
        // Columns of an index on their own, and only when they change: an index that is named is written.
        if next.handle != row.attempt.handle {
            let handle = next.handle.as_ref().map(Handle::as_str);
            self.write("UPDATE attempts SET handle = ?2 WHERE id = ?1", (row.id.0, handle))?;
        }
        self.set_watched(row.id, watched)?;
        self.attempt(row.id)
    }

    /// Starts or ends the asking about an attempt, without touching its state.
    pub fn set_watched(&self, id: AttemptId, watched: bool) -> Result<(), Fault> {
        self.write("UPDATE attempts SET watched = ?2 WHERE id = ?1 AND watched <> ?2", (id.0, watched))?;
        Ok(())
    }

    /// Binds a key to its content and attempt (H2); a key of an attempt that ended may be bound anew.
    pub fn bind_key(&self, key: &str, content: &str, attempt: AttemptId) -> Result<(), Fault> {
        self.write(
            "INSERT INTO keys (key, content, attempt) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET content = excluded.content, attempt = excluded.attempt",
            (key, content, attempt.0),
        )?;
        Ok(())
    }
}
