//! Orders as snapshots, and their parts.

use super::{Fault, Tx, View};
use crate::domain::ids::{OrderId, PartId};
use crate::domain::money::Tiyn;
use crate::domain::order::Snapshot;
use crate::domain::time::Wall;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How far the POS is with an order.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// Nothing to close: not paid yet, or no POS behind it.
    None,
    /// Paid; the close waits for the POS.
    Waiting,
    /// Being closed.
    Closing,
    /// The POS's own record says closed.
    Closed,
    /// A person has to look.
    Question,
}

impl Closing {
    /// The word of the contract and of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Closing::None => "none",
            Closing::Waiting => "waiting",
            Closing::Closing => "closing",
            Closing::Closed => "closed",
            Closing::Question => "question",
        }
    }

    fn from_word(word: &str) -> Result<Closing, Fault> {
        [Closing::None, Closing::Waiting, Closing::Closing, Closing::Closed, Closing::Question]
            .into_iter()
            .find(|closing| closing.word() == word)
            .ok_or_else(|| Fault::Broken(format!("orders.closing = {word}")))
    }
}

/// How far a part is collected.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PartState {
    /// To be collected.
    Open,
    /// An attempt is live (I4).
    Collecting,
    /// Paid exactly.
    Paid,
    /// Paid less than asked (F06).
    PartiallyPaid,
    /// Paid more than asked, or twice.
    Overpaid,
}

impl PartState {
    /// The word of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            PartState::Open => "open",
            PartState::Collecting => "collecting",
            PartState::Paid => "paid",
            PartState::PartiallyPaid => "partially_paid",
            PartState::Overpaid => "overpaid",
        }
    }

    fn from_word(word: &str) -> Result<PartState, Fault> {
        [PartState::Open, PartState::Collecting, PartState::Paid, PartState::PartiallyPaid, PartState::Overpaid]
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or_else(|| Fault::Broken(format!("parts.state = {word}")))
    }
}

/// An order of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its number in the ledger.
    pub id: OrderId,
    /// Where it came from: `pos`, `api`, `bot:<name>`.
    pub source: String,
    /// What was collected for.
    pub snapshot: Snapshot,
    /// How far the POS is.
    pub closing: Closing,
    /// When it was first seen.
    pub created: Wall,
}

/// A part of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// Its number in the ledger.
    pub id: PartId,
    /// The order.
    pub order: OrderId,
    /// From 1 within the order.
    pub no: i64,
    /// What is to be collected.
    pub amount: Tiyn,
    /// What was paid.
    pub paid: Tiyn,
    /// How far it is.
    pub state: PartState,
}

const ORDER: &str = "SELECT id, source, snapshot, closing, created FROM orders";
const PART: &str = "SELECT id, order_id, no, amount, paid, state FROM parts";

type RawOrder = (i64, String, String, String, i64);

fn raw_order(row: &Row<'_>) -> rusqlite::Result<RawOrder> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn order((id, source, snapshot, closing, created): RawOrder) -> Result<OrderRow, Fault> {
    Ok(OrderRow {
        id: OrderId(id),
        source,
        snapshot: serde_json::from_str(&snapshot)?,
        closing: Closing::from_word(&closing)?,
        created: Wall(created),
    })
}

type RawPart = (i64, i64, i64, i64, i64, String);

fn raw_part(row: &Row<'_>) -> rusqlite::Result<RawPart> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn part((id, order, no, amount, paid, state): RawPart) -> Result<PartRow, Fault> {
    Ok(PartRow {
        id: PartId(id),
        order: OrderId(order),
        no,
        amount: Tiyn(amount),
        paid: Tiyn(paid),
        state: PartState::from_word(&state)?,
    })
}

impl View<'_> {
    /// One order.
    pub fn order(&self, id: OrderId) -> Result<OrderRow, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{ORDER} WHERE id = ?1"))?;
        let raw = query.query_row([id.0], raw_order).optional()?;
        order(raw.ok_or_else(|| Fault::Missing(format!("order {id}")))?)
    }

    /// The order that a source knows under its own id.
    pub fn order_of(&self, source: &str, foreign_id: &str) -> Result<Option<OrderRow>, Fault> {
        let sql = format!("{ORDER} WHERE source = ?1 AND foreign_id = ?2");
        let mut query = self.connection.prepare_cached(&sql)?;
        query.query_row((source, foreign_id), raw_order).optional()?.map(order).transpose()
    }

    /// Orders of the POS of which a part was paid and nothing is closed yet, oldest first.
    pub fn partly_paid(&self) -> Result<Vec<OrderRow>, Fault> {
        let sql = format!(
            "{ORDER} WHERE closing = 'none' AND source = 'pos'
                AND EXISTS (SELECT 1 FROM parts WHERE order_id = orders.id AND paid > 0) ORDER BY id"
        );
        let mut query = self.connection.prepare_cached(&sql)?;
        let raws: Vec<RawOrder> = query.query_map([], raw_order)?.collect::<Result<_, _>>()?;
        raws.into_iter().map(order).collect()
    }

    /// One part.
    pub fn part(&self, id: PartId) -> Result<PartRow, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{PART} WHERE id = ?1"))?;
        let raw = query.query_row([id.0], raw_part).optional()?;
        part(raw.ok_or_else(|| Fault::Missing(format!("part {id}")))?)
    }

    /// The parts of an order, in their order.
    pub fn parts(&self, order: OrderId) -> Result<Vec<PartRow>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{PART} WHERE order_id = ?1 ORDER BY no"))?;
        let raws: Vec<RawPart> = query.query_map([order.0], raw_part)?.collect::<Result<_, _>>()?;
        raws.into_iter().map(part).collect()
    }
}

impl Tx<'_> {
    /// Writes an order down.
    pub fn add_order(&self, source: &str, snapshot: &Snapshot) -> Result<OrderRow, Fault> {
        let id = self.next_id("orders")?;
        let entry = json!({ "state": "none", "source": source, "order": snapshot.foreign_id, "due": snapshot.due });
        let seq = self.record("order", id, &entry)?;
        self.write(
            "INSERT INTO orders (id, source, foreign_id, snapshot, due, closing, created, seq)
             VALUES (?1, ?2, ?3, ?4, ?5, 'none', ?6, ?7)",
            (id, source, &snapshot.foreign_id, serde_json::to_string(snapshot)?, snapshot.due.0, self.now().0, seq.0),
        )?;
        self.order(OrderId(id))
    }

    /// Replaces the snapshot: the order changed before more was collected for it.
    pub fn resnap_order(&self, order: &OrderRow, snapshot: &Snapshot) -> Result<(), Fault> {
        let entry = json!({ "state": order.closing.word(), "due": snapshot.due });
        let seq = self.record("order", order.id.0, &entry)?;
        self.write(
            "UPDATE orders SET snapshot = ?2, due = ?3, seq = ?4 WHERE id = ?1",
            (order.id.0, serde_json::to_string(snapshot)?, snapshot.due.0, seq.0),
        )?;
        Ok(())
    }

    /// Moves an order towards closed in the POS.
    pub fn set_closing(&self, order: OrderId, closing: Closing, why: &str) -> Result<(), Fault> {
        let seq = self.record("order", order.0, &json!({ "state": closing.word(), "why": why }))?;
        self.write("UPDATE orders SET closing = ?2, seq = ?3 WHERE id = ?1", (order.0, closing.word(), seq.0))?;
        Ok(())
    }

    /// Adds a part.
    pub fn add_part(&self, order: OrderId, no: i64, amount: Tiyn) -> Result<PartRow, Fault> {
        let id = self.next_id("parts")?;
        self.write(
            "INSERT INTO parts (id, order_id, no, amount, state) VALUES (?1, ?2, ?3, ?4, 'open')",
            (id, order.0, no, amount.0),
        )?;
        self.part(PartId(id))
    }

    /// Writes what became of a part; the attempt's journal row of the same transaction tells why.
    pub fn set_part(&self, part: PartId, amount: Tiyn, paid: Tiyn, state: PartState) -> Result<(), Fault> {
        self.write(
            "UPDATE parts SET amount = ?2, paid = ?3, state = ?4 WHERE id = ?1",
            (part.0, amount.0, paid.0, state.word()),
        )?;
        Ok(())
    }
}
