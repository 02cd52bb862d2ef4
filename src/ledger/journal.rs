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

/// The tables whose rows the journal tells of, by its word for each.
const TABLES: [(&str, &str); 7] = [
    ("order", "orders"),
    ("attempt", "attempts"),
    ("refund", "refunds"),
    ("job", "jobs"),
    ("fiscal", "fiscal"),
    ("question", "questions"),
    ("inbox", "inbox"),
];

/// Sums that were changed behind the journal's back, each as its place and what is wrong with it.
const SUMS: [&str; 10] = [
    "SELECT 'attempts ' || attempts.id, 'the sum paid differs from the journal' FROM attempts
       JOIN journal ON journal.seq = attempts.seq
      WHERE evidence IS NOT NULL
        AND json_extract(entry, '$.evidence.amount') IS NOT json_extract(evidence, '$.amount')",
    "SELECT 'attempts ' || attempts.id, 'the sum asked differs from the journal' FROM journal
       JOIN attempts ON attempts.id = journal.subject
      WHERE kind = 'attempt' AND json_extract(entry, '$.amount') <> attempts.amount",
    "SELECT 'parts ' || parts.id, 'the sum paid differs from its payments' FROM parts
      WHERE paid <> (SELECT coalesce(sum(json_extract(evidence, '$.amount')), 0) FROM attempts
                      WHERE part_id = parts.id AND attempts.state = 'paid')",
    "WITH told AS (SELECT subject, max(seq) AS seq FROM journal
                    WHERE kind = 'order' AND json_extract(entry, '$.due') IS NOT NULL GROUP BY subject)
     SELECT 'orders ' || orders.id, 'the sum due differs from the journal' FROM orders
       JOIN told ON told.subject = orders.id JOIN journal ON journal.seq = told.seq
      WHERE json_extract(entry, '$.due') <> due OR json_extract(snapshot, '$.due') <> due",
    "SELECT 'refunds ' || refunds.id, 'the sum given back differs from the journal' FROM refunds
       JOIN journal ON journal.seq = refunds.seq
      WHERE proof IS NOT NULL
        AND json_extract(entry, '$.proof.amount') IS NOT json_extract(proof, '$.amount')",
    "SELECT 'refunds ' || refunds.id, 'the sum to give back differs from the journal' FROM journal
       JOIN refunds ON refunds.id = journal.subject
      WHERE kind = 'refund' AND json_extract(entry, '$.amount') <> refunds.amount",
    "SELECT 'refunds ' || min(refunds.id), 'more is given back than was paid' FROM refunds
       JOIN attempts ON attempts.id = refunds.attempt
      WHERE refunds.state IN ('planned', 'sent', 'waiting', 'unresolved', 'done') AND refunds.late = 0
      GROUP BY attempts.id
     HAVING sum(coalesce(json_extract(refunds.proof, '$.amount'), refunds.amount)) > coalesce(json_extract(attempts.evidence, '$.amount'), 0)",
    "WITH told AS (SELECT subject, max(seq) AS seq FROM journal
                    WHERE kind = 'fiscal' AND json_extract(entry, '$.total') IS NOT NULL GROUP BY subject)
     SELECT 'fiscal ' || fiscal.id, 'the total differs from the journal' FROM fiscal
       JOIN told ON told.subject = fiscal.id JOIN journal ON journal.seq = told.seq
      WHERE json_extract(entry, '$.total') <> fiscal.total",
    "SELECT 'fiscal ' || fiscal.id, 'the fiscal sign differs from the journal' FROM fiscal
       JOIN journal ON journal.seq = fiscal.seq
      WHERE sign IS NOT NULL AND json_extract(entry, '$.sign') IS NOT sign",
    "SELECT 'fiscal ' || min(fiscal), 'more is registered of a payment than was paid, or less than nothing' FROM fiscal_shares
       JOIN attempts ON attempts.id = fiscal_shares.attempt
      GROUP BY attempts.id
     HAVING sum(fiscal_shares.amount) NOT BETWEEN 0 AND coalesce(json_extract(attempts.evidence, '$.amount'), 0)",
];

/// Walks the whole chain and compares every live row with the journal row of its last change. Returns the number of rows walked.
pub fn verify(reader: &Reader) -> Result<(i64, Vec<Flaw>), Fault> {
    Ok(check(reader.connection())?)
}

pub(in crate::ledger) fn check(connection: &Connection) -> rusqlite::Result<(i64, Vec<Flaw>)> {
    let (seq, mut flaws) = walk(connection)?;
    for (kind, table) in TABLES {
        flaws.extend(flaws_of(connection, table, &ghosts(kind, table)));
        if let Some(sql) = strangers(kind, table) {
            flaws.extend(flaws_of(connection, table, &sql));
        }
    }
    for sql in SUMS {
        flaws.extend(flaws_of(connection, "sums", sql));
    }
    Ok((seq, flaws))
}

fn walk(connection: &Connection) -> rusqlite::Result<(i64, Vec<Flaw>)> {
    let mut flaws = Vec::new();
    let mut head = Head { seq: 0, hash: GENESIS };
    let mut chain = connection.prepare("SELECT seq, at, kind, subject, entry, hash FROM journal ORDER BY seq")?;
    let mut rows = chain.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, at, subject): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let (kind, entry, hash): (String, String, Vec<u8>) = (row.get(2)?, row.get(4)?, row.get(5)?);
        if seq != head.seq + 1 {
            flaws.push(Flaw {
                place: format!("journal {}", head.seq + 1),
                problem: format!("rows {} to {} are missing", head.seq + 1, seq - 1),
            });
        } else if link(&head.hash, seq, at, &kind, subject, &entry) != *hash {
            flaws.push(Flaw { place: format!("journal {seq}"), problem: "the row was edited".to_owned() });
        }
        // A hash of another length is a flaw of this row, and of the next one, which is told from it.
        head = Head { seq, hash: hash.try_into().unwrap_or(GENESIS) };
    }
    Ok((head.seq, flaws))
}

/// Rows that the journal tells of and that are gone. An entry about 0 (a nudge, the vault) is about no row.
fn ghosts(kind: &str, table: &str) -> String {
    format!(
        "SELECT DISTINCT '{table} ' || subject, 'the row is gone' FROM journal
          WHERE kind = '{kind}' AND subject <> 0 AND subject NOT IN (SELECT id FROM {table}) ORDER BY subject"
    )
}

/// Rows of a table whose state differs from their journal row, or which lack it. `None`: the rows do not name theirs.
fn strangers(kind: &str, table: &str) -> Option<String> {
    let state = match table {
        "orders" => "closing",
        "attempts" | "jobs" | "refunds" | "fiscal" => "row.state",
        "questions" => "coalesce(outcome, 'open')",
        _ => return None,
    };
    Some(format!(
        "WITH last AS (SELECT subject, max(seq) AS seq FROM journal WHERE kind = '{kind}' GROUP BY subject)
         SELECT '{table} ' || row.id,
                CASE WHEN journal.seq IS NULL THEN 'its journal row is gone'
                     ELSE 'the row says ''' || {state} || ''', the journal does not' END
           FROM {table} AS row
           LEFT JOIN last ON last.subject = row.id
           LEFT JOIN journal ON journal.seq = last.seq
          WHERE journal.seq IS NULL OR journal.seq <> row.seq OR json_extract(journal.entry, '$.state') IS NOT {state}"
    ))
}

/// What a query finds; one that cannot be run to its end (a row that is no JSON any more) is a flaw itself.
fn flaws_of(connection: &Connection, place: &str, sql: &str) -> Vec<Flaw> {
    let found = || {
        let mut query = connection.prepare(sql)?;
        let flaws = query.query_map([], |row| Ok(Flaw { place: row.get(0)?, problem: row.get(1)? }))?;
        flaws.collect::<rusqlite::Result<Vec<Flaw>>>()
    };
    found().unwrap_or_else(|cause| vec![Flaw { place: place.to_owned(), problem: cause.to_string() }])
}
