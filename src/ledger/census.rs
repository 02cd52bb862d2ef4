//! The ledger counted, for support: how many rows of each table are in which state, the newest decisions with the order they are about, and
//! the newest orders. Nothing here reads a message, a document, a phone or the vault.

use super::{Fault, View, schema};
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;

/// How many rows of a table are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The table.
    pub table: &'static str,
    /// The state; empty where its rows have none.
    pub state: String,
    /// How many.
    pub rows: i64,
}

/// A decision as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: i64,
    /// When, as a label.
    pub at: Wall,
    /// What kind of row it is about.
    pub kind: String,
    /// That row's number.
    pub subject: i64,
    /// The order it is about, by the POS's or the bot's name.
    pub order: Option<String>,
    /// What was decided, as JSON.
    pub entry: String,
}

/// An order and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBrief {
    /// `pos`, `api` or `bot`.
    pub source: String,
    /// Its name there.
    pub foreign_id: String,
    /// What was due.
    pub due: Tiyn,
    /// How far its close is.
    pub closing: String,
    /// When it came here, as a label.
    pub created: Wall,
    /// Its attempts in order: tender, way and state, separated by spaces.
    pub attempts: Vec<String>,
}

/// The tables, and the column that holds the state of a row.
const TABLES: [(&str, &str); 12] = [
    ("journal", "kind"),
    ("orders", "closing"),
    ("parts", "state"),
    ("attempts", "state"),
    ("refunds", "state"),
    ("keys", "''"),
    ("inbox", "state"),
    ("jobs", "kind || ' ' || state"),
    ("fiscal", "act || ' ' || state"),
    ("questions", "code || CASE WHEN answered IS NULL THEN ' open' ELSE ' answered' END"),
    ("vault", "''"),
    ("meta", "''"),
];

const ENTRIES: &str = "SELECT seq, at, kind, subject, entry,
       (SELECT foreign_id FROM orders WHERE orders.id = CASE kind
          WHEN 'order' THEN subject
          WHEN 'attempt' THEN (SELECT order_id FROM parts JOIN attempts ON parts.id = part_id WHERE attempts.id = subject)
          WHEN 'refund' THEN (SELECT order_id FROM parts JOIN attempts ON parts.id = part_id
                               JOIN refunds ON refunds.attempt = attempts.id WHERE refunds.id = subject)
          WHEN 'job' THEN (SELECT order_id FROM jobs WHERE jobs.id = subject)
          WHEN 'fiscal' THEN (SELECT order_id FROM fiscal WHERE fiscal.id = subject)
          WHEN 'question' THEN (SELECT order_id FROM questions WHERE questions.id = subject)
        END)
  FROM journal ORDER BY seq DESC LIMIT ?1";

const ORDERS: &str = "SELECT source, foreign_id, due, closing, created,
       coalesce((SELECT group_concat(tender || ' ' || via || ' ' || attempts.state, '|') FROM attempts
                  JOIN parts ON parts.id = part_id WHERE parts.order_id = orders.id), '')
  FROM orders ORDER BY id DESC LIMIT ?1";

impl View<'_> {
    /// The version of the tables.
    pub fn version(&self) -> Result<i64, Fault> {
        Ok(self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
    }

    /// Rows by table and state. A ledger of another version may lack a table: that one is left out.
    pub fn census(&self) -> Result<Vec<Counted>, Fault> {
        let mut all = Vec::new();
        let is_ours = self.version()? == schema::newest();
        for (table, state) in TABLES {
            let sql = format!("SELECT {state} AS state, count(*) FROM {table} GROUP BY 1 ORDER BY 1");
            let mut query = match self.connection.prepare(&sql) {
                Ok(query) => query,
                Err(_) if !is_ours => continue,
                Err(cause) => return Err(cause.into()),
            };
            let rows = query.query_map([], |row| Ok(Counted { table, state: row.get(0)?, rows: row.get(1)? }))?;
            for row in rows {
                all.push(row?);
            }
        }
        Ok(all)
    }

    /// The newest decisions, the newest last.
    pub fn last_entries(&self, limit: u32) -> Result<Vec<Entry>, Fault> {
        let mut query = self.connection.prepare(ENTRIES)?;
        let rows = query.query_map([limit], |row| {
            Ok(Entry {
                seq: row.get(0)?,
                at: Wall(row.get(1)?),
                kind: row.get(2)?,
                subject: row.get(3)?,
                entry: row.get(4)?,
                order: row.get(5)?,
            })
        })?;
        let mut all = rows.collect::<Result<Vec<_>, _>>()?;
        all.reverse();
        Ok(all)
    }

    /// The newest orders, the newest last.
    pub fn last_orders(&self, limit: u32) -> Result<Vec<OrderBrief>, Fault> {
        let mut query = self.connection.prepare(ORDERS)?;
        let rows = query.query_map([limit], |row| {
            let attempts: String = row.get(5)?;
            Ok(OrderBrief {
                source: row.get(0)?,
                foreign_id: row.get(1)?,
                due: Tiyn(row.get(2)?),
                closing: row.get(3)?,
                created: Wall(row.get(4)?),
                attempts: attempts.split('|').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            })
        })?;
        let mut all = rows.collect::<Result<Vec<_>, _>>()?;
        all.reverse();
        Ok(all)
    }
}
