//! The memory: one SQLite file, one writer, `synchronous=FULL`. What is committed here happened; what is not, did not (I2).
//! [`Ledger::decide`] runs one flow as one transaction; [`Ledger::decide_all`] lets flows that arrive together share one commit, and tells
//! none of them before it. Reads see committed rows only, through [`View`].

use crate::domain::ids::Seq;
use crate::domain::time::Wall;
use crate::host::ids::Ids;
use journal::Head;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod attempts;
pub mod census;
pub mod fiscal;
#[cfg(debug_assertions)]
pub mod halt;
pub mod inbox;
pub mod journal;
pub mod orders;
pub mod outbox;
pub mod people;
pub mod questions;
pub mod refunds;
pub mod schema;

/// Page size in bytes, the smallest there is: a commit writes every page it touched in whole, and most touch a few small rows.
const PAGE_BYTES: u32 = 512;

/// Pages in the write-ahead log before it is folded back: hot pages are then written once for hundreds of sales.
const CHECKPOINT_PAGES: u32 = 8000;

/// Page cache of each connection in KiB.
const CACHE_KIB: u32 = 1024;

/// Prepared statements kept by each connection: more than there are texts of them, so that none is parsed twice.
const STATEMENTS_MAX: usize = 96;

/// Why a flow did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The ledger cannot take commits: no new money may be taken (F17, F18).
    #[error("the ledger cannot commit: {0}")]
    Storage(String),
    /// The ledger's thread is gone: the daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// What was asked for is not here.
    #[error("there is no {0}")]
    Missing(String),
    /// A rule of the house says no.
    #[error("{code}: {detail}")]
    Refused {
        /// Stable word: `live`, `already_paid`, `tiyn`, `key_reused`.
        code: &'static str,
        /// What exactly, for the log and for `i18n.rs`.
        detail: String,
    },
    /// A row cannot be read back, or an event does not fit: a fault of ours.
    #[error("the ledger contradicts itself: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(cause: rusqlite::Error) -> Fault {
        Fault::Storage(cause.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(cause: serde_json::Error) -> Fault {
        Fault::Broken(cause.to_string())
    }
}

impl From<crate::domain::attempt::Illegal> for Fault {
    fn from(cause: crate::domain::attempt::Illegal) -> Fault {
        Fault::Broken(cause.to_string())
    }
}

impl From<crate::domain::refund::Illegal> for Fault {
    fn from(cause: crate::domain::refund::Illegal) -> Fault {
        Fault::Broken(cause.to_string())
    }
}

/// A refusal by a rule of the house.
pub fn refused<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Refused { code, detail: detail.into() })
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// SQLite cannot open or read the file.
    #[error("cannot open the ledger {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
    /// The version does not fit.
    #[error(transparent)]
    Schema(#[from] schema::SchemaFault),
}

/// What became different with a commit: it wakes workers and goes to the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The journal row.
    pub seq: Seq,
    /// What kind of row changed: `attempt`, `order`, `job`, `inbox`, `question`, `vault`.
    pub kind: &'static str,
    /// Its row number.
    pub subject: i64,
    /// The attempt that should be asked about now, when a notice or a person points at it.
    pub nudge: Option<i64>,
}

/// Where a crash test may stop the ledger. Production uses [`open_gate`].
pub type Gate = Arc<dyn Fn(GatePoint) -> bool + Send + Sync>;

/// A moment around a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatePoint {
    /// The transaction is complete, nothing is durable.
    BeforeCommit(u64),
    /// It is durable, nobody was told.
    AfterCommit(u64),
}

/// A gate that never stops.
pub fn open_gate() -> Gate {
    Arc::new(|_| true)
}

/// Something to decide that can wait for a shared commit.
pub trait Errand: Send {
    /// Runs inside the transaction; an error undoes this errand alone.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Fault>;
    /// Called after the commit, or with the fault that prevented it.
    fn finish(self: Box<Self>, committed: Result<(), Fault>);
}

/// The only writer of the file.
pub struct Ledger {
    connection: Connection,
    head: Cell<Head>,
    shop: String,
    commits: Cell<u64>,
    gate: Gate,
}

impl Ledger {
    /// Opens or creates a ledger and brings it to the newest version.
    pub fn open(path: &Path, ids: &Ids, gate: Gate) -> Result<Ledger, OpenFault> {
        let file = |cause| OpenFault::File { path: path.to_owned(), cause };
        make_private(path);
        let mut connection = Connection::open(path).map_err(file)?;
        restrict(path);
        settle_pragmas(&connection).map_err(file)?;
        schema::migrate(&mut connection)?;
        let shop = shop_prefix(&connection, ids).map_err(file)?;
        let head = Head::read(&connection).map_err(file)?;
        Ok(Ledger { connection, head: Cell::new(head), shop, commits: Cell::new(0), gate })
    }

    /// The installation's own name, drawn once; references and the terminal registration carry it.
    pub fn shop(&self) -> &str {
        &self.shop
    }

    /// One flow, one transaction.
    pub fn decide<T>(&mut self, now: Wall, flow: impl FnOnce(&Tx<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        self.decide_seen(now, flow).map(|(answer, _)| answer)
    }

    /// One flow, one transaction; tells what changed.
    pub fn decide_seen<T>(
        &mut self,
        now: Wall,
        flow: impl FnOnce(&Tx<'_>) -> Result<T, Fault>,
    ) -> Result<(T, Vec<Change>), Fault> {
        let tx = Tx::begin(&self.connection, now, self.head.get(), &self.shop)?;
        match flow(&tx) {
            Ok(answer) => {
                let changes = self.commit_point(tx)?;
                Ok((answer, changes))
            }
            Err(fault) => {
                tx.abandon();
                Err(fault)
            }
        }
    }

    /// Flows that arrived together: each alone undoes itself on a fault, all share one commit, none is told before it.
    /// Returns what changed; `None` when a crash test closed the gate.
    pub fn decide_all(&mut self, now: Wall, mut errands: Vec<Box<dyn Errand>>) -> Option<Vec<Change>> {
        let tx = match Tx::begin(&self.connection, now, self.head.get(), &self.shop) {
            Ok(tx) => tx,
            Err(fault) => {
                errands.into_iter().for_each(|errand| errand.finish(Err(fault.clone())));
                return Some(Vec::new());
            }
        };
        let outcomes: Vec<Result<(), Fault>> = errands.iter_mut().map(|errand| tx.alone(errand.as_mut())).collect();
        let made = if tx.is_open() { self.commit_point(tx) } else { Err(given_up(&outcomes)) };
        match made {
            Ok(changes) => {
                errands.into_iter().zip(outcomes).for_each(|(errand, outcome)| errand.finish(outcome));
                Some(changes)
            }
            Err(Fault::Stopping) => None,
            Err(fault) => {
                errands.into_iter().for_each(|errand| errand.finish(Err(fault.clone())));
                Some(Vec::new())
            }
        }
    }

    fn commit_point(&self, tx: Tx<'_>) -> Result<Vec<Change>, Fault> {
        let head = tx.head.get();
        if head == self.head.get() && !tx.wrote.get() {
            tx.abandon();
            return Ok(Vec::new());
        }
        let number = self.commits.get() + 1;
        if !(self.gate)(GatePoint::BeforeCommit(number)) {
            tx.abandon();
            return Err(Fault::Stopping);
        }
        let folds = tx.folds.get();
        let changes = tx.commit()?;
        if folds {
            // A reader in the middle of a look only delays it to the next time; the commit stands.
            let _folded = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").is_ok();
        }
        self.head.set(head);
        self.commits.set(number);
        if !(self.gate)(GatePoint::AfterCommit(number)) {
            return Err(Fault::Stopping);
        }
        Ok(changes)
    }

    /// Commits since the ledger was opened.
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }

    /// Committed rows, through the writer's own connection.
    pub fn view(&self) -> View<'_> {
        View { connection: &self.connection, shop: &self.shop }
    }
}

/// A second connection that can only read, for surfaces and workers.
pub struct Reader {
    connection: Connection,
    shop: String,
}

impl Reader {
    /// Opens an existing ledger for reading.
    pub fn open(path: &Path) -> Result<Reader, OpenFault> {
        let file = |cause| OpenFault::File { path: path.to_owned(), cause };
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(file)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(file)?;
        keep_plans(&connection).map_err(file)?;
        connection.execute_batch(&format!("PRAGMA cache_size = -{CACHE_KIB}")).map_err(file)?;
        let shop =
            connection.query_row("SELECT value FROM meta WHERE key = 'shop'", [], |row| row.get(0)).map_err(file)?;
        Ok(Reader { connection, shop })
    }

    /// Committed rows.
    pub fn view(&self) -> View<'_> {
        View { connection: &self.connection, shop: &self.shop }
    }

    /// The bare connection, for the check of the journal.
    pub(in crate::ledger) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Committed rows as values; the queries are in the files of their tables.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(in crate::ledger) connection: &'a Connection,
    pub(in crate::ledger) shop: &'a str,
}

/// One transaction: everything a flow may read and write.
pub struct Tx<'a> {
    view: View<'a>,
    now: Wall,
    head: Cell<Head>,
    wrote: Cell<bool>,
    folds: Cell<bool>,
    changes: RefCell<Vec<Change>>,
}

impl<'a> std::ops::Deref for Tx<'a> {
    type Target = View<'a>;
    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Tx<'a> {
    fn begin(connection: &'a Connection, now: Wall, head: Head, shop: &'a str) -> Result<Tx<'a>, Fault> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        #[cfg(debug_assertions)]
        halt::begins();
        Ok(Tx {
            view: View { connection, shop },
            now,
            head: Cell::new(head),
            wrote: Cell::new(false),
            folds: Cell::new(false),
            changes: RefCell::default(),
        })
    }

    fn commit(self) -> Result<Vec<Change>, Fault> {
        let committed = self.view.connection.prepare_cached("COMMIT")?.execute([]);
        if let Err(cause) = committed {
            self.abandon();
            return Err(cause.into());
        }
        Ok(self.changes.into_inner())
    }

    /// Whether SQLite still holds it. On a full or broken disk it undoes the whole transaction by itself, in the middle of a statement.
    fn is_open(&self) -> bool {
        !self.view.connection.is_autocommit()
    }

    fn abandon(&self) {
        // A failed COMMIT may have rolled back by itself (disk full): then there is nothing left to undo.
        if self.is_open() {
            let _undone = self.view.connection.execute_batch("ROLLBACK").is_ok();
        }
    }

    /// Runs one errand of many; its fault undoes its own writes only. Once SQLite gave the transaction up nothing more may run: a
    /// savepoint outside of a transaction would be one of its own, and commit what was told to have failed.
    fn alone(&self, errand: &mut dyn Errand) -> Result<(), Fault> {
        if !self.is_open() {
            return Err(given_up(&[]));
        }
        let (head, wrote, changes) = (self.head.get(), self.wrote.get(), self.changes.borrow().len());
        self.view.connection.prepare_cached("SAVEPOINT errand")?.execute([])?;
        #[cfg(debug_assertions)]
        halt::next_flow();
        let outcome = errand.run(self);
        if !self.is_open() {
            return Err(outcome.err().unwrap_or_else(|| given_up(&[])));
        }
        if outcome.is_err() {
            self.view.connection.prepare_cached("ROLLBACK TO errand")?.execute([])?;
            self.head.set(head);
            self.wrote.set(wrote);
            self.changes.borrow_mut().truncate(changes);
        }
        self.view.connection.prepare_cached("RELEASE errand")?.execute([])?;
        outcome
    }

    /// The one instant of this transaction.
    pub fn now(&self) -> Wall {
        self.now
    }

    /// Writes a journal row; the changed row keeps its number.
    pub fn record(&self, kind: &'static str, subject: i64, entry: &serde_json::Value) -> Result<Seq, Fault> {
        self.record_nudge(kind, subject, entry, None)
    }

    /// Writes a journal row that also wakes the inquiry of an attempt.
    pub fn record_nudge(
        &self,
        kind: &'static str,
        subject: i64,
        entry: &serde_json::Value,
        nudge: Option<i64>,
    ) -> Result<Seq, Fault> {
        #[cfg(debug_assertions)]
        halt::writes();
        let entry = people::unspoken(entry.clone()).to_string();
        let head = self.head.get().next(self.now.0, kind, subject, &entry);
        self.view
            .connection
            .prepare_cached(
                "INSERT INTO journal (seq, at, kind, subject, entry, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((head.seq, self.now.0, kind, subject, &entry, head.hash))?;
        self.head.set(head);
        self.wrote.set(true);
        self.changes.borrow_mut().push(Change { seq: Seq(head.seq), kind, subject, nudge });
        Ok(Seq(head.seq))
    }

    /// Folds the write-ahead log back after the commit, so that nothing of what was blanked stays in it.
    fn fold_after(&self) {
        self.folds.set(true);
    }

    /// The number of the next row of a table, so that its journal row can be written first.
    fn next_id(&self, table: &str) -> Result<i64, Fault> {
        let sql = format!("SELECT coalesce(max(id), 0) + 1 FROM {table}");
        Ok(self.view.connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?)
    }

    fn write(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Fault> {
        #[cfg(debug_assertions)]
        halt::writes();
        self.wrote.set(true);
        Ok(self.view.connection.prepare_cached(sql)?.execute(values)?)
    }
}

/// Why a shared transaction is gone: the fault at which SQLite gave it up.
fn given_up(outcomes: &[Result<(), Fault>]) -> Fault {
    let first = outcomes.iter().find_map(|outcome| match outcome {
        Err(Fault::Storage(cause)) => Some(cause.clone()),
        Err(Fault::Stopping | Fault::Missing(_) | Fault::Refused { .. } | Fault::Broken(_)) | Ok(()) => None,
    });
    Fault::Storage(first.unwrap_or_else(|| "SQLite gave the transaction up".to_owned()))
}

/// A new ledger is closed to others from its first byte; SQLite gives its log and its index the same mode.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let _made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).is_ok();
}

/// The ledger holds payments and phones: nobody but its owner reads it. A file system without modes keeps what it has.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _kept = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).is_ok();
}

/// Each text is parsed and planned once. Otherwise SQLite plans a query that might use a partial index anew for each bound value, which
/// costs more than the query.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn settle_pragmas(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    keep_plans(connection)?;
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = 8388608;"
    ))
}

/// Draws the installation's name once; two boxes must never share references.
fn shop_prefix(connection: &Connection, ids: &Ids) -> rusqlite::Result<String> {
    let drawn = ids.name(5).to_uppercase();
    connection.execute("INSERT INTO meta (key, value) VALUES ('shop', ?1) ON CONFLICT (key) DO NOTHING", [&drawn])?;
    connection.query_row("SELECT value FROM meta WHERE key = 'shop'", [], |row| row.get(0))
}

/// Text of the vault.
impl View<'_> {
    /// A driver's own durable text.
    pub fn vault(&self, name: &str) -> Result<Option<String>, Fault> {
        use rusqlite::OptionalExtension;
        let mut query = self.connection.prepare_cached("SELECT value FROM vault WHERE name = ?1")?;
        Ok(query.query_row([name], |row| row.get(0)).optional()?)
    }

    /// The label of the last journal row; `None` in an empty ledger.
    pub fn last_label(&self) -> Result<Option<Wall>, Fault> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT at FROM journal ORDER BY seq DESC LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.map(Wall))
    }

    /// Number of the last journal row.
    pub fn last_seq(&self) -> Result<Seq, Fault> {
        Ok(Seq(Head::read(self.connection)?.seq))
    }

    /// When the last journal row was written, by the wall clock of that moment.
    pub fn newest_wall(&self) -> Result<Option<Wall>, Fault> {
        use rusqlite::OptionalExtension;
        let mut query = self.connection.prepare_cached("SELECT at FROM journal ORDER BY seq DESC LIMIT 1")?;
        Ok(query.query_row([], |row| row.get(0)).optional()?.map(Wall))
    }

    /// Journal rows after a number, oldest first, at most `limit`: kind, subject.
    pub fn changes_after(&self, seq: Seq, limit: u32) -> Result<Vec<(Seq, String, i64)>, Fault> {
        let sql = "SELECT seq, kind, subject FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map((seq.0, limit), |row| Ok((Seq(row.get(0)?), row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the ledger can be read at all.
    pub fn probe(&self) -> Result<(), Fault> {
        self.connection.query_row("SELECT 1", [], |_| Ok(()))?;
        Ok(())
    }
}

impl Tx<'_> {
    /// Whether the ledger takes commits: one row of no meaning that each probe replaces; the journal does not tell of it.
    pub fn probe_commit(&self) -> Result<(), Fault> {
        let sql =
            "INSERT INTO meta (key, value) VALUES ('probe', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(sql, [self.now().0.to_string()])?;
        Ok(())
    }

    /// Lets the file grow to so many pages at most, `None` without an end, until it is opened anew: what a full disk does (F17).
    pub fn cap_pages(&self, most: Option<u32>) -> Result<(), Fault> {
        let sql = format!("PRAGMA max_page_count = {}", most.unwrap_or(u32::MAX - 1));
        self.view.connection.query_row(&sql, [], |_| Ok(()))?;
        Ok(())
    }

    /// Stores a driver's own text. The journal tells that it changed, not what it holds.
    pub fn store_in_vault(&self, name: &str, value: &str) -> Result<(), Fault> {
        self.record("vault", 0, &serde_json::json!({ "name": name }))?;
        self.write(
            "INSERT INTO vault (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::{Arc, Mutex};

    type Told = Arc<Mutex<Vec<(usize, Result<(), Fault>)>>>;

    /// Records so many bytes, and notes what it was told.
    struct Filler(usize, usize, Told);

    impl Errand for Filler {
        fn run(&mut self, tx: &Tx<'_>) -> Result<(), Fault> {
            tx.record("vault", 0, &json!({ "state": "x".repeat(self.1) }))?;
            tx.write("INSERT INTO vault (name, value) VALUES (?1, '')", [format!("{} {}", tx.last_seq()?, self.0)])
                .map(drop)
        }

        fn finish(self: Box<Self>, committed: Result<(), Fault>) {
            self.2.lock().unwrap().push((self.0, committed));
        }
    }

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), &Ids::seeded(1), open_gate()).unwrap();
        (folder, ledger)
    }

    fn fill(ledger: &mut Ledger, sizes: &[usize]) -> Vec<Result<(), Fault>> {
        let told = Told::default();
        let filler = |(no, size): (usize, &usize)| -> Box<dyn Errand> { Box::new(Filler(no, *size, told.clone())) };
        ledger.decide_all(Wall(1), sizes.iter().enumerate().map(filler).collect());
        let told = told.lock().unwrap().clone();
        assert!(told.iter().map(|(no, _)| *no).eq(0..sizes.len()), "each is told once: {told:?}");
        told.into_iter().map(|(_, committed)| committed).collect()
    }

    fn rows(ledger: &Ledger) -> (i64, i64) {
        let count = |table: &str| {
            ledger.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        let (walked, flaws) = journal::check(&ledger.connection).unwrap();
        assert_eq!(flaws, []);
        assert_eq!(walked, count("journal"));
        (walked, count("vault"))
    }

    /// F17. SQLite itself ends the transaction when the disk is full: those that shared it are all told so, and none is kept by half.
    #[test]
    fn a_full_disk_in_the_middle_of_a_shared_commit_leaves_nothing_half() {
        let (_folder, mut ledger) = ledger();
        assert_eq!(fill(&mut ledger, &[10, 10]), [Ok(()), Ok(())]);
        let pages: i64 = ledger.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        ledger.connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(())).unwrap();
        let told = fill(&mut ledger, &[10, 100_000, 10, 10]);
        assert_eq!(told, vec![Err(Fault::Storage("database or disk is full".to_owned())); 4]);
        assert_eq!(rows(&ledger), (2, 2));
        // The next one is small enough, and the chain goes on.
        assert_eq!(ledger.decide(Wall(2), |tx| tx.record("vault", 0, &json!({}))), Ok(Seq(3)));
        assert_eq!(rows(&ledger), (3, 2));
    }
}
