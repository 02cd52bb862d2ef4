//! Refunds. Their state changes by [`Refund::apply`] only; the guard is the state that the change was made from.

use super::{Fault, Tx, View};
use crate::domain::ids::{AttemptId, Handle, OrderId, Reference, RefundId};
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use crate::domain::refund::{Refund, State, Way};
use crate::domain::time::Wall;
use rusqlite::{OptionalExtension, Row};
use serde_json::json;

/// A refund of the ledger with the names around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRow {
    /// Its number in the ledger.
    pub id: RefundId,
    /// Our name of it: the payment's reference with `-r1`, `-r2`, …
    pub reference: Reference,
    /// The payment that it belongs to.
    pub attempt: AttemptId,
    /// How the money goes back.
    pub way: Way,
    /// The terminal, by its name in the configuration; `cashier` else.
    pub via: String,
    /// Who decided it.
    pub who: String,
    /// Why.
    pub because: String,
    /// Its state and everything that decides about it.
    pub refund: Refund,
    /// Whether a worker still asks about it.
    pub watched: bool,
    /// When it was written down.
    pub created: Wall,
    /// When it last changed.
    pub changed: Wall,
}

/// What is needed to write a refund down.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// The payment.
    pub attempt: AttemptId,
    /// How the money goes back.
    pub way: Way,
    /// The terminal, or `cashier`.
    pub via: String,
    /// How much.
    pub amount: Tiyn,
    /// Who decided it.
    pub who: String,
    /// Why.
    pub because: String,
    /// The caller's key and the content it is bound to (H2).
    pub key: Option<(String, String)>,
}

const COLUMNS: &str = "SELECT id, attempt, no, way, via, amount, who, because, state, handle, proof, late, reason, watched, created, changed
    FROM refunds";

struct Raw {
    id: i64,
    attempt: i64,
    no: i64,
    way: String,
    via: String,
    amount: i64,
    who: String,
    because: String,
    state: String,
    handle: Option<String>,
    proof: Option<String>,
    late: bool,
    reason: Option<String>,
    watched: bool,
    created: i64,
    changed: i64,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        attempt: row.get(1)?,
        no: row.get(2)?,
        way: row.get(3)?,
        via: row.get(4)?,
        amount: row.get(5)?,
        who: row.get(6)?,
        because: row.get(7)?,
        state: row.get(8)?,
        handle: row.get(9)?,
        proof: row.get(10)?,
        late: row.get(11)?,
        reason: row.get(12)?,
        watched: row.get(13)?,
        created: row.get(14)?,
        changed: row.get(15)?,
    })
}

impl View<'_> {
    fn refund_row(&self, raw: Raw) -> Result<RefundRow, Fault> {
        let broken = |what: &str| Fault::Broken(format!("refund {}: {what}", raw.id));
        let payment = self.attempt(AttemptId(raw.attempt))?.reference;
        Ok(RefundRow {
            id: RefundId(raw.id),
            reference: Reference(format!("{payment}-r{}", raw.no)),
            attempt: AttemptId(raw.attempt),
            way: Way::from_word(&raw.way).ok_or_else(|| broken("way"))?,
            refund: Refund {
                state: State::from_word(&raw.state).ok_or_else(|| broken("state"))?,
                handle: raw.handle.map(Handle),
                amount: Tiyn(raw.amount),
                proof: raw.proof.as_deref().map(serde_json::from_str).transpose()?,
                late: raw.late,
                reason: raw.reason.as_deref().map(serde_json::from_str).transpose()?,
            },
            via: raw.via,
            who: raw.who,
            because: raw.because,
            watched: raw.watched,
            created: Wall(raw.created),
            changed: Wall(raw.changed),
        })
    }

    fn refunds_where(&self, tail: &str, values: impl rusqlite::Params) -> Result<Vec<RefundRow>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{COLUMNS} {tail}"))?;
        let raws: Vec<Raw> = query.query_map(values, raw)?.collect::<Result<_, _>>()?;
        raws.into_iter().map(|raw| self.refund_row(raw)).collect()
    }

    /// One refund.
    pub fn refund(&self, id: RefundId) -> Result<RefundRow, Fault> {
        let found = self.refunds_where("WHERE id = ?1", [id.0])?.pop();
        found.ok_or_else(|| Fault::Missing(format!("refund {id}")))
    }

    /// The refund of one of our references.
    pub fn refund_of(&self, reference: &str) -> Result<Option<RefundRow>, Fault> {
        let Some((payment, no)) = reference.rsplit_once("-r") else {
            return Ok(None);
        };
        let (Some(row), Ok(no)) = (self.attempt_of(payment)?, no.parse::<i64>()) else {
            return Ok(None);
        };
        let found = self.refunds_where("WHERE attempt = ?1 AND no = ?2", (row.id.0, no))?.pop();
        Ok(found.filter(|row| row.reference.as_str() == reference))
    }

    /// The refunds of a payment, oldest first.
    pub fn refunds(&self, attempt: AttemptId) -> Result<Vec<RefundRow>, Fault> {
        self.refunds_where("WHERE attempt = ?1 ORDER BY id", [attempt.0])
    }

    /// The refunds of an order, oldest first.
    pub fn refunds_of_order(&self, order: OrderId) -> Result<Vec<RefundRow>, Fault> {
        let tail = "WHERE attempt IN (SELECT attempts.id FROM attempts JOIN parts ON parts.id = part_id
                     WHERE parts.order_id = ?1) ORDER BY id";
        self.refunds_where(tail, [order.0])
    }

    /// The refunds that a worker still asks about, oldest first.
    pub fn watched_refunds(&self, via: &str) -> Result<Vec<RefundRow>, Fault> {
        self.refunds_where("WHERE via = ?1 AND watched = 1 ORDER BY id", [via])
    }

    /// All refunds that anybody still asks about, oldest first.
    pub fn watched_refunds_all(&self) -> Result<Vec<RefundRow>, Fault> {
        self.refunds_where("WHERE watched = 1 ORDER BY id", [])
    }

    /// The refunds written down since a time of day, for the day's books.
    pub fn refunds_since(&self, from: Wall, limit: u32) -> Result<Vec<RefundRow>, Fault> {
        self.refunds_where("WHERE created >= ?1 ORDER BY id LIMIT ?2", (from.0, limit))
    }

    /// The refund that a transaction number is the proof of already. Walks the proofs: asked when a person types one.
    pub fn refund_proven_by(&self, transaction: &str) -> Result<Option<RefundRow>, Fault> {
        let tail = "WHERE proof IS NOT NULL AND json_extract(proof, '$.transaction') = ?1 LIMIT 1";
        Ok(self.refunds_where(tail, [transaction])?.pop())
    }

    /// What a key was used for: its content and refund.
    pub fn refund_key(&self, key: &str) -> Result<Option<(String, RefundId)>, Fault> {
        let mut query = self.connection.prepare_cached("SELECT content, id FROM refunds WHERE key = ?1")?;
        Ok(query.query_row([key], |row| Ok((row.get(0)?, RefundId(row.get(1)?)))).optional()?)
    }
}

impl Tx<'_> {
    /// Writes a refund down as `planned`.
    pub fn add_refund(&self, new: &NewRefund) -> Result<RefundRow, Fault> {
        let id = self.next_id("refunds")?;
        let no: i64 = self
            .connection
            .prepare_cached("SELECT count(*) + 1 FROM refunds WHERE attempt = ?1")?
            .query_row([new.attempt.0], |row| row.get(0))?;
        let entry = json!({
            "state": "planned", "payment": new.attempt, "amount": new.amount, "way": new.way, "via": new.via,
            "who": new.who, "because": new.because,
        });
        let seq = self.record("refund", id, &entry)?;
        let (key, content) = new.key.as_ref().map(|(key, content)| (key.as_str(), content.as_str())).unzip();
        self.write(
            "INSERT INTO refunds (id, attempt, no, way, via, amount, who, because, state, key, content, created, changed, seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'planned', ?9, ?10, ?11, ?11, ?12)",
            rusqlite::params![
                id,
                new.attempt.0,
                no,
                new.way.word(),
                new.via,
                new.amount.0,
                new.who,
                new.because,
                key,
                content,
                self.now().0,
                seq.0
            ],
        )?;
        self.refund(RefundId(id))
    }

    /// Writes what [`Refund::apply`] returned.
    pub fn save_refund(&self, row: &RefundRow, next: &Refund, watched: bool) -> Result<RefundRow, Fault> {
        let mut entry = json!({ "state": next.state, "was": row.refund.state });
        if let Some(fields) = entry.as_object_mut() {
            let mut note = |key: &str, value: serde_json::Value| fields.insert(key.to_owned(), value);
            if next.handle != row.refund.handle {
                note("handle", json!(next.handle));
            }
            if let Some(proof) = &next.proof {
                note("proof", json!(proof));
            }
            if let Some(reason) = &next.reason {
                note("reason", json!(reason));
            }
            if next.late {
                note("late", json!(true));
            }
        }
        let seq = self.record("refund", row.id.0, &entry)?;
        let changed = self.write(
            "UPDATE refunds SET state = ?3, handle = ?4, proof = ?5, late = ?6, reason = ?7, watched = ?8, changed = ?9, seq = ?10
              WHERE id = ?1 AND state = ?2",
            rusqlite::params![
                row.id.0,
                row.refund.state.word(),
                next.state.word(),
                next.handle.as_ref().map(Handle::as_str),
                next.proof.as_ref().map(serde_json::to_string).transpose()?,
                next.late,
                next.reason.as_ref().map(|reason: &Reason| serde_json::to_string(reason)).transpose()?,
                watched,
                self.now().0,
                seq.0
            ],
        )?;
        if changed != 1 {
            return Err(Fault::Broken(format!("refund {} changed under our hands", row.id)));
        }
        self.refund(row.id)
    }

    /// Starts or ends the asking about a refund, without touching its state.
    pub fn set_refund_watched(&self, id: RefundId, watched: bool) -> Result<(), Fault> {
        self.write("UPDATE refunds SET watched = ?2 WHERE id = ?1 AND watched <> ?2", (id.0, watched))?;
        Ok(())
    }
}
