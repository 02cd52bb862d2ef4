//! The versions of the ledger. Migrations run forward only, one transaction each, and name no live type; a newer ledger is refused, not guessed at (F20).

use rusqlite::Connection;

/// One step per version: step `n` leads from version `n` to `n + 1`.
pub const STEPS: &[&str] = &[
    include_str!("001_first.sql"),
    include_str!("002_external_id.sql"),
    include_str!("003_refunds.sql"),
    include_str!("004_stand_ins.sql"),
    include_str!("005_fiscal.sql"),
];

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaFault {
    /// Written by a newer kassad.
    #[error("the ledger is of version {found}, this kassad knows up to {known}: install the newer kassad again")]
    Newer {
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// SQLite said no.
    #[error("the ledger cannot be brought to version {to}: {cause}")]
    Step {
        /// The version wanted.
        to: i64,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
}

/// The newest version.
pub fn newest() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Brings a ledger to the newest version and returns the one it had.
pub fn migrate(connection: &mut Connection) -> Result<i64, SchemaFault> {
    let step = |to| move |cause| SchemaFault::Step { to, cause };
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(step(0))?;
    if found > newest() {
        return Err(SchemaFault::Newer { found, known: newest() });
    }
    for (from, sql) in (0_i64..).zip(STEPS).skip(usize::try_from(found).unwrap_or(0)) {
        let to = from + 1;
        let change =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(step(to))?;
        change.execute_batch(sql).map_err(step(to))?;
        change.execute_batch(&format!("PRAGMA user_version = {to}")).map_err(step(to))?;
        change.commit().map_err(step(to))?;
    }
    Ok(found)
}
