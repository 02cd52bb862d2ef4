//! The append-only record of decisions. Each row's hash covers the row before, and every other row names the journal row of its last
//! change, so that an edited, removed or cut-off row is found by [`verify`].

use super::{Fault, Reader};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

/// The hash before the first row.
pub const GENESIS: [u8; 32] = [0; 32];

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last row; 0 when there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Head {
    /// Reads the end of the chain.
    pub fn read(connection: &Connection) -> rusqlite::Result<Head> {
        let mut last = connection.prepare("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1")?;
        let mut rows = last.query([])?;
        match rows.next()? {
            Some(row) => Ok(Head { seq: row.get(0)?, hash: row.get(1)? }),
            None => Ok(Head { seq: 0, hash: GENESIS }),
        }
    }

    /// The head after one more row.
    pub fn next(self, at: i64, kind: &str, subject: i64, entry: &str) -> Head {
        let seq = self.seq + 1;
        Head { seq, hash: link(&self.hash, seq, at, kind, subject, entry) }
    }
}

/// Hash of a row: its own fields, each with its length, after the hash of the row before.
fn link(before: &[u8; 32], seq: i64, at: i64, kind: &str, subject: i64, entry: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    for number in [seq, at, subject] {
        hash.update(number.to_le_bytes());
    }
    for text in [kind, entry] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// Something in the ledger that does not fit the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where: `journal 17`, `attempts 3`.
    pub place: String,
    /// What does not fit.
    pub problem: String,
}

/// Walks the whole chain and compares every live row with the journal row of its last change. Returns the number of rows walked.
pub fn verify(reader: &Reader) -> Result<(i64, Vec<Flaw>), Fault> {
    Ok(walk(reader.connection())?)
}

pub(in crate::ledger) fn walk(connection: &Connection) -> rusqlite::Result<(i64, Vec<Flaw>)> {
    let mut flaws = Vec::new();
    let mut head = Head { seq: 0, hash: GENESIS };
    let mut chain = connection.prepare("SELECT seq, at, kind, subject, entry, hash FROM journal ORDER BY seq")?;
    let mut rows = chain.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, at, subject): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let (kind, entry, hash): (String, String, [u8; 32]) = (row.get(2)?, row.get(4)?, row.get(5)?);
        if seq != head.seq + 1 {
            flaws.push(Flaw {
                place: format!("journal {}", head.seq + 1),
                problem: format!("rows {} to {} are missing", head.seq + 1, seq - 1),
            });
        } else if link(&head.hash, seq, at, &kind, subject, &entry) != hash {
            flaws.push(Flaw { place: format!("journal {seq}"), problem: "the row was edited".to_owned() });
        }
        head = Head { seq, hash };
    }
    for table in ["orders", "attempts", "jobs", "questions"] {
        flaws.extend(strangers(connection, table)?);
    }
    flaws.extend(wrong_sums(connection)?);
    Ok((head.seq, flaws))
}

/// Rows of a table whose state differs from, or which lack, their journal row.
fn strangers(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Flaw>> {
    let (kind, state) = match table {
        "orders" => ("order", "closing"),
        "attempts" => ("attempt", "state"),
        "jobs" => ("job", "state"),
        _ => ("question", "coalesce(outcome, 'open')"),
    };
    let sql = format!(
        "WITH last AS (SELECT subject, max(seq) AS seq FROM journal WHERE kind = '{kind}' GROUP BY subject)
         SELECT row.id, {state}, journal.seq IS NULL FROM {table} AS row
           LEFT JOIN last ON last.subject = row.id
           LEFT JOIN journal ON journal.seq = last.seq
          WHERE journal.seq IS NULL OR journal.seq <> row.seq OR json_extract(journal.entry, '$.state') IS NOT {state}"
    );
    let mut query = connection.prepare(&sql)?;
    let flaws = query.query_map([], |row| {
        let (id, state, missing): (i64, String, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let problem = if missing {
            "its journal row is gone".to_owned()
        } else {
            format!("the row says '{state}', the journal does not")
        };
        Ok(Flaw { place: format!("{table} {id}"), problem })
    })?;
    flaws.collect()
}

/// Sums that were changed behind the journal's back: evidence that differs from its journal row, parts that differ from their evidence.
fn wrong_sums(connection: &Connection) -> rusqlite::Result<Vec<Flaw>> {
    let attempts = "SELECT 'attempts ' || attempts.id, 'the sum paid differs from the journal' FROM attempts
          JOIN journal ON journal.seq = attempts.seq
         WHERE evidence IS NOT NULL
           AND json_extract(entry, '$.evidence.amount') IS NOT json_extract(evidence, '$.amount')";
    let parts = "SELECT 'parts ' || parts.id, 'the sum paid differs from its payments' FROM parts
         WHERE paid <> (SELECT coalesce(sum(json_extract(evidence, '$.amount')), 0) FROM attempts
                         WHERE part_id = parts.id AND attempts.state = 'paid')";
    let mut flaws = Vec::new();
    for sql in [attempts, parts] {
        let mut query = connection.prepare(sql)?;
        let found = query.query_map([], |row| Ok(Flaw { place: row.get(0)?, problem: row.get(1)? }))?;
        for flaw in found {
            flaws.push(flaw?);
        }
    }
    Ok(flaws)
}
