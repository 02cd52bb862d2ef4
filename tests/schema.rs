//! Migrations, proven on lived-in ledgers (F20): one dump for each version that was ever in use, `schema/v<N>.sql`, brought to the
//! newest version with every row kept. A dump is written once, by the builder below with `KASSAD_BLESS=1`, while its version is the
//! newest, and never again; the builder names no live type, as the migrations do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kassad::domain::attempt::State;
use kassad::domain::order::Tender;
use kassad::domain::time::Wall;
use kassad::flows::{Rules, reconcile};
use kassad::host::ids::Ids;
use kassad::ledger::journal::{GENESIS, Head, verify};
use kassad::ledger::schema::{STEPS, migrate, newest};
use kassad::ledger::{Ledger, OpenFault, Reader, open_gate};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// When the shop of the fixture lived.
const OPENED: i64 = 1_795_237_200_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema")
}

/// Writes rows as version 1 had them, each with its place in the chain.
struct Old {
    connection: Connection,
    head: Head,
}

impl Old {
    /// The same ledger, with its chain from where it stands.
    fn going_on(connection: Connection) -> Old {
        let sql = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1";
        let head = connection.query_row(sql, [], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)? })).unwrap();
        Old { connection, head }
    }

    fn refund(&mut self, id: i64, attempt: i64, [way, via, state]: [&str; 3], amount: i64, proof: Option<&str>) {
        self.record("refund", id, &json!({ "state": "planned", "amount": amount }));
        let seq = self.record("refund", id, &json!({ "state": state, "was": "planned" }));
        let sql = "INSERT INTO refunds (id, attempt, no, way, via, amount, who, because, state, proof, watched, created, changed, seq)
                   VALUES (?1, ?2, 1, ?3, ?4, ?5, 'Айгерім', 'return', ?6, ?7, ?8, ?9, ?9, ?10)";
        let values = (id, attempt, way, via, amount, state, proof, state != "done", OPENED, seq);
        self.connection.execute(sql, values).unwrap();
    }

    fn record(&mut self, kind: &str, subject: i64, entry: &Value) -> i64 {
        let (at, entry) = (OPENED + self.head.seq * 1000, entry.to_string());
        self.head = self.head.next(at, kind, subject, &entry);
        let sql = "INSERT INTO journal (seq, at, kind, subject, entry, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.connection.execute(sql, (self.head.seq, at, kind, subject, entry, self.head.hash)).unwrap();
        self.head.seq
    }

    fn order(&mut self, id: i64, source: &str, foreign_id: &str, due: i64, closing: &str) {
        let told = json!({ "state": "none", "source": source, "order": foreign_id, "due": due });
        let seen = self.record("order", id, &told);
        let seq = match closing {
            "none" => seen,
            _ => self.record("order", id, &json!({ "state": closing, "why": "paid" })),
        };
        let line = json!({ "key": "3", "name": "Лагман", "quantity": 1000, "sum": due, "workshop": "1" });
        let snapshot = json!({
            "foreign_id": foreign_id, "number": foreign_id, "table": "5", "waiter": "Мария", "due": due,
            "lines": [line], "comment": "",
        });
        let sql = "INSERT INTO orders (id, source, foreign_id, snapshot, due, closing, created, seq)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let values = (id, source, foreign_id, snapshot.to_string(), due, closing, OPENED, seq);
        self.connection.execute(sql, values).unwrap();
    }

    fn part(&mut self, order: i64, amount: i64, paid: i64, state: &str) {
        let sql = "INSERT INTO parts (id, order_id, no, amount, paid, state) VALUES (?1, ?1, 1, ?2, ?3, ?4)";
        self.connection.execute(sql, (order, amount, paid, state)).unwrap();
    }

    /// `what` names all that differs from a plain attempt at the terminal.
    fn attempt(&mut self, id: i64, part: i64, no: i64, amount: i64, state: &str, what: &Value) {
        let text = |name: &str| what[name].as_str().map(str::to_owned);
        let (tender, via) =
            if what["phone"].is_null() { ("kaspi_terminal", "till1") } else { ("kaspi_invoice", "aipay") };
        let planned = json!({ "state": "planned", "amount": amount, "tender": tender, "via": via });
        let mut seq = self.record("attempt", id, &planned);
        let evidence = (state == "paid").then(|| {
            json!({ "amount": amount, "method": "qr", "transaction": "123456789012", "source": "terminal", "detail": "" })
        });
        let reason = text("reason").map(|code| json!({ "code": code, "detail": "" }));
        if state != "planned" {
            self.record("attempt", id, &json!({ "state": "sent", "was": "planned" }));
            let mut entry = json!({ "state": state, "was": "sent" });
            if let Some(evidence) = &evidence {
                entry["evidence"] = evidence.clone();
            }
            if let Some(reason) = &reason {
                entry["reason"] = reason.clone();
            }
            seq = self.record("attempt", id, &entry);
        }
        let sql = "INSERT INTO attempts (id, part_id, no, tender, via, amount, phone, description, bot, state, handle, evidence,
                   reason, watched, created, changed, seq)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'Заказ', ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15)";
        let is_watched = ["planned", "sent", "waiting", "unresolved"].contains(&state);
        let values = rusqlite::params![
            id,
            part,
            no,
            tender,
            via,
            amount,
            text("phone"),
            text("bot"),
            state,
            text("handle"),
            evidence.map(|evidence| evidence.to_string()),
            reason.map(|reason| reason.to_string()),
            is_watched,
            OPENED + self.head.seq * 1000,
            seq
        ];
        self.connection.execute(sql, values).unwrap();
    }

    fn job(&mut self, id: i64, order: i64, [kind, target, document, state]: [&str; 4], body: &str) {
        let queued = json!({ "state": "queued", "kind": kind, "target": target, "document": document });
        let mut seq = self.record("job", id, &queued);
        let tries = i64::from(state != "queued");
        if state != "queued" {
            seq = self.record("job", id, &json!({ "state": state, "tries": tries, "reason": null }));
        }
        let sql =
            "INSERT INTO jobs (id, kind, target, order_id, attempt, document, no, state, tries, body, created, seq)
                   VALUES (?1, ?2, ?3, ?4, NULL, ?5, 1, ?6, ?7, ?8, ?9, ?10)";
        let values = (id, kind, target, order, document, state, tries, body, OPENED, seq);
        self.connection.execute(sql, values).unwrap();
    }

    fn message(&mut self, id: i64, state: &str, attempt: Option<i64>, handle: Option<&str>) {
        self.record("inbox", id, &json!({ "state": state, "door": "aipay", "event": format!("event-{id}") }));
        let sql =
            "INSERT INTO inbox (id, door, event_key, headers, body, received, state, attempt, handle, status, amount)
                   VALUES (?1, 'aipay', ?2, '{}', ?3, ?4, ?5, ?6, ?7, 'paid', 500000)";
        let body = b"{\"event\": \"invoice.paid\"\xFF}".as_slice();
        self.connection.execute(sql, (id, format!("event-{id}"), body, OPENED, state, attempt, handle)).unwrap();
    }

    fn question(&mut self, id: i64, code: &str, attempt: Option<i64>, inbox: Option<i64>, answer: Option<&str>) {
        let args = json!([["amount", "4 500"]]);
        let asked = self.record("question", id, &json!({ "state": "open", "code": code, "args": args }));
        let seq = match answer {
            Some(outcome) => {
                self.record("question", id, &json!({ "state": outcome, "who": "Айгерім", "because": "ok" }))
            }
            None => asked,
        };
        let sql = "INSERT INTO questions (id, code, order_id, attempt, inbox, args, asked, answered, who, because, outcome, seq)
                   VALUES (?1, ?2, NULL, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let person = answer.map(|_| ("Айгерім", "ok"));
        let values = rusqlite::params![
            id,
            code,
            attempt,
            inbox,
            args.to_string(),
            OPENED,
            answer.map(|_| OPENED + 1),
            person.map(|(who, _)| who),
            person.map(|(_, because)| because),
            answer,
            seq
        ];
        self.connection.execute(sql, values).unwrap();
    }
}

/// A day of a shop that ran version 1: every state of every row is in it.
fn version_1() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(STEPS[0]).unwrap();
    connection.execute_batch("PRAGMA user_version = 1; INSERT INTO meta VALUES ('shop', 'K7H2M')").unwrap();
    let mut old = Old { connection, head: Head { seq: 0, hash: GENESIS } };
    let receipt = json!({
        "document": "receipt", "shop": "Дастархан", "order_number": "1950", "table": "5", "waiter": "Мария", "lines": [],
        "total": 700_000, "payments": [], "paid_at": "21.11.2026 10:05", "reference": "K7H2M-1-1-1",
    })
    .to_string();
    let told = json!({
        "status": "paid", "invoice_id": "inv_K7H2M-4-1-1", "external_id": "telegram-77", "amount": 5000, "at_ms": OPENED,
    })
    .to_string();
    old.order(1, "pos", "1950", 700_000, "closed");
    old.part(1, 700_000, 700_000, "paid");
    old.attempt(1, 1, 1, 700_000, "paid", &json!({ "handle": "1795237200001" }));
    old.job(1, 1, ["close", "poster", "close", "done"], "");
    old.job(2, 1, ["print", "hot", "ticket:Горячий цех", "sent"], &receipt);
    old.job(3, 1, ["print", "receipt", "receipt", "confirmed"], &receipt);
    // The guest changed his mind three times and is at the terminal now.
    old.order(2, "pos", "1951", 900_000, "none");
    old.part(2, 900_000, 0, "collecting");
    old.attempt(2, 2, 1, 900_000, "failed", &json!({ "handle": "1795237200002", "reason": "terminal_failed" }));
    old.attempt(3, 2, 2, 900_000, "cancelled", &json!({ "reason": "cancelled" }));
    old.attempt(
        4,
        2,
        3,
        900_000,
        "expired",
        &json!({ "phone": "77011234567", "handle": "inv_31", "reason": "expired" }),
    );
    old.attempt(5, 2, 4, 900_000, "waiting", &json!({ "handle": "1795237200003" }));
    old.order(3, "api", "A-1", 450_000, "none");
    old.part(3, 450_000, 0, "collecting");
    old.attempt(6, 3, 1, 450_000, "unresolved", &json!({ "reason": "link_lost" }));
    old.question(1, "unresolved", Some(6), None, None);
    old.order(4, "bot:telegram", "telegram-77", 500_000, "none");
    old.part(4, 500_000, 500_000, "paid");
    let bots = |handle: Value| json!({ "phone": "77017654321", "bot": "telegram", "handle": handle });
    old.attempt(7, 4, 1, 500_000, "paid", &bots(json!("inv_32")));
    old.job(4, 4, ["notify", "telegram", "paid:7", "done"], &told);
    old.job(5, 4, ["print", "receipt", "receipt", "suspect"], &receipt);
    old.job(6, 4, ["print", "hot", "ticket:Горячий цех", "held"], &receipt);
    old.message(1, "matched", Some(7), Some("inv_32"));
    old.order(5, "bot:telegram", "telegram-78", 120_000, "none");
    old.part(5, 120_000, 0, "collecting");
    old.attempt(8, 5, 1, 120_000, "planned", &bots(Value::Null));
    old.order(6, "pos", "1952", 330_000, "none");
    old.part(6, 330_000, 0, "collecting");
    old.attempt(9, 6, 1, 330_000, "sent", &json!({ "phone": "77011112233" }));
    old.order(7, "pos", "1953", 210_000, "question");
    old.part(7, 210_000, 210_000, "paid");
    old.attempt(10, 7, 1, 210_000, "paid", &json!({ "handle": "1795237200004" }));
    old.job(7, 7, ["close", "poster", "close", "question"], "");
    old.question(2, "order_changed", Some(10), None, Some("done"));
    old.order(8, "pos", "1954", 150_000, "closing");
    old.part(8, 150_000, 150_000, "paid");
    old.attempt(11, 8, 1, 150_000, "paid", &json!({ "handle": "1795237200005" }));
    old.job(8, 8, ["close", "poster", "close", "sending"], "");
    old.job(9, 8, ["print", "receipt", "receipt", "queued"], &receipt);
    old.message(2, "orphan", None, Some("inv_99"));
    old.message(3, "unreadable", None, None);
    old.message(4, "settled", None, Some("inv_98"));
    old.question(3, "unreadable", None, Some(3), None);
    old.record("vault", 0, &json!({ "name": "till1" }));
    let rest = "INSERT INTO vault VALUES ('till1', '{\"access\":\"a\"}');
                INSERT INTO keys VALUES ('api:sale-1', '{}', 1), ('bot:telegram:telegram-78', '[]', 8);";
    old.connection.execute_batch(rest).unwrap();
    old.connection
}

/// Version 2 as a ledger of version 1 that lived on in it.
fn version_2() -> Connection {
    let connection = version_1();
    connection.execute_batch(STEPS[1]).unwrap();
    connection.execute_batch("PRAGMA user_version = 2").unwrap();
    connection
}

/// Version 3 as a ledger of version 2 that lived on in it: money went back, in cash and on the terminal, and one of them is unclear.
fn version_3() -> Connection {
    let connection = version_2();
    connection.execute_batch(STEPS[2]).unwrap();
    connection.execute_batch("PRAGMA user_version = 3").unwrap();
    let mut old = Old::going_on(connection);
    old.refund(1, 1, ["cash", "", "done"], 100_000, Some("{\"by\":\"Мария\"}"));
    old.refund(2, 10, ["terminal", "till1", "unresolved"], 50_000, None);
    let asked = old.record("question", 4, &json!({ "state": "open", "code": "refund_unclear", "args": [] }));
    let sql =
        "INSERT INTO questions (id, code, args, asked, seq, refund) VALUES (4, 'refund_unclear', '[]', ?1, ?2, 2)";
    old.connection.execute(sql, (OPENED, asked)).unwrap();
    old.connection
}

/// Version 4 as a ledger of version 3 that lived on in it: a printer stood, and the backup did its work.
fn version_4() -> Connection {
    let connection = version_3();
    connection.execute_batch(STEPS[3]).unwrap();
    connection.execute_batch("PRAGMA user_version = 4").unwrap();
    let mut old = Old::going_on(connection);
    old.job(10, 8, ["print", "bar", "receipt", "confirmed"], "{}");
    let sql = "UPDATE jobs SET instead = 9, wanted = ?1, no = -10 WHERE id = 10";
    old.connection.execute(sql, [OPENED]).unwrap();
    old.connection
}

fn tables(connection: &Connection) -> Vec<String> {
    let mut query = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let mut query = connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid").unwrap();
    query.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The rows of a table as SQL literals.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<String> {
    let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
    let sql = format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || ', ' || "));
    let mut query = connection.prepare(&sql).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The whole file as text.
fn dump(connection: &Connection) -> String {
    let mut out = String::new();
    let mut query = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
    for sql in query.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        out += &format!("{};\n", sql.unwrap());
    }
    for table in tables(connection) {
        for row in rows(connection, &table, &columns(connection, &table)) {
            out += &format!("INSERT INTO {table} VALUES ({row});\n");
        }
    }
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    out + &format!("PRAGMA user_version = {version};\n")
}

fn fixture(version: i64) -> PathBuf {
    folder().join(format!("v{version}.sql"))
}

/// A file of an old version in a folder of its own, in the form in which the daemon leaves it.
fn lived_in(version: i64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let connection = Connection::open(&path).unwrap();
    let sql = std::fs::read_to_string(fixture(version)).unwrap();
    connection.execute_batch("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(&sql).unwrap();
    let strays: i64 =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(strays, 0);
    (folder, path)
}

fn rules() -> Rules {
    Rules {
        shop: "Дастархан".to_owned(),
        zone: jiff::tz::TimeZone::UTC,
        day_ends_min: 360,
        stations: vec![],
        receipt_printers: vec!["receipt".to_owned()],
        drawers: vec![],
        backups: Default::default(),
        pos: Some("poster".to_owned()),
        fiscal: kassad::flows::FiscalRules::nothing(),
    }
}

#[test]
fn each_old_version_has_its_fixture() {
    if std::env::var_os("KASSAD_BLESS").is_some() {
        // Only a version that has none yet: a fixture is history.
        for (version, built) in [(1, version_1()), (2, version_2()), (3, version_3()), (4, version_4())] {
            if !fixture(version).exists() {
                std::fs::write(fixture(version), dump(&built)).unwrap();
            }
        }
    }
    let files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), usize::try_from(newest()).unwrap() - 1, "{files:?}");
    assert!((1..newest()).all(|version| fixture(version).is_file()), "{files:?}");
}

#[test]
fn the_fixtures_are_what_their_builders_say() {
    assert_eq!(std::fs::read_to_string(fixture(1)).unwrap(), dump(&version_1()));
    assert_eq!(std::fs::read_to_string(fixture(2)).unwrap(), dump(&version_2()));
    assert_eq!(std::fs::read_to_string(fixture(3)).unwrap(), dump(&version_3()));
    assert_eq!(std::fs::read_to_string(fixture(4)).unwrap(), dump(&version_4()));
}

#[test]
fn f20_every_old_version_is_brought_to_the_newest_with_every_row() {
    let mut migrated = 0;
    for version in 1..newest() {
        let (_folder, path) = lived_in(version);
        let mut connection = Connection::open(&path).unwrap();
        let before: BTreeMap<String, Vec<String>> =
            tables(&connection).into_iter().map(|table| (table.clone(), columns(&connection, &table))).collect();
        let old: Vec<Vec<String>> = before.iter().map(|(table, columns)| rows(&connection, table, columns)).collect();
        assert!(old.iter().all(|rows| !rows.is_empty()), "a lived-in ledger has rows in every table");
        assert_eq!(migrate(&mut connection).unwrap(), version);
        let new: Vec<Vec<String>> = before.iter().map(|(table, columns)| rows(&connection, table, columns)).collect();
        assert_eq!(old, new, "version {version}");
        let (walked, flaws) = verify(&Reader::open(&path).unwrap()).unwrap();
        assert_eq!((walked > 0, flaws), (true, vec![]), "version {version}");
        // Once more, and it is as it was.
        let once = dump(&connection);
        assert_eq!(migrate(&mut connection).unwrap(), newest());
        assert_eq!(dump(&connection), once);
        migrated += 1;
    }
    assert_eq!(migrated, newest() - 1);
}

#[test]
fn a_migrated_ledger_is_a_new_one_in_its_shape() {
    let (_folder, path) = lived_in(1);
    let mut connection = Connection::open(&path).unwrap();
    migrate(&mut connection).unwrap();
    let mut fresh = Connection::open_in_memory().unwrap();
    migrate(&mut fresh).unwrap();
    let shape = |connection: &Connection| -> Vec<(String, Vec<String>)> {
        tables(connection).into_iter().map(|table| (table.clone(), columns(connection, &table))).collect()
    };
    assert_eq!(shape(&connection), shape(&fresh));
}

#[test]
fn version_1_gives_each_bots_invoice_its_name() {
    let (_folder, path) = lived_in(1);
    let ledger = Ledger::open(&path, &Ids::seeded(1), open_gate()).unwrap();
    let named: Vec<(i64, Option<String>)> = ledger
        .view()
        .newest_attempts(None, 100)
        .unwrap()
        .into_iter()
        .rev()
        .filter(|row| row.bot.is_some() || row.external_id.is_some())
        .map(|row| (row.id.0, row.external_id))
        .collect();
    assert_eq!(named, [(7, Some("telegram-77".to_owned())), (8, Some("telegram-78".to_owned()))]);
}

#[test]
fn the_daemon_goes_on_with_a_ledger_of_version_1() {
    let (_folder, path) = lived_in(1);
    let mut ledger = Ledger::open(&path, &Ids::seeded(1), open_gate()).unwrap();
    assert_eq!(ledger.shop(), "K7H2M");
    let now = Wall(OPENED + 3_600_000);
    let unclear = ledger.decide(now, |tx| reconcile::restart(tx, &rules())).unwrap();
    assert_eq!(unclear, 3, "sent, waiting and unresolved");
    let view = ledger.view();
    let attempts = view.newest_attempts(None, 100).unwrap();
    let count = |state: State| attempts.iter().filter(|row| row.attempt.state == state).count();
    let states = [
        (State::Paid, 4),
        (State::Unresolved, 3),
        (State::Planned, 1),
        (State::Failed, 1),
        (State::Cancelled, 1),
        (State::Expired, 1),
    ];
    assert!(states.iter().all(|(state, wanted)| count(*state) == *wanted), "{attempts:?}");
    let jobs: usize = attempts.iter().map(|row| view.jobs_of(row.order).unwrap().len()).sum();
    assert!(jobs >= 9, "every job can be read");
    assert_eq!((view.unfinished_jobs(100).unwrap().len(), view.open_questions().unwrap().len()), (4, 2));
    assert_eq!((view.messages().unwrap(), view.orphans().unwrap().len()), (4, 1));
    assert_eq!(view.watched("aipay").unwrap().iter().filter(|row| row.tender == Tender::KaspiInvoice).count(), 2);
    assert_eq!(view.attempt_of("K7H2M-4-1-1").unwrap().unwrap().id.0, 7);
    // The cashier answers the old question, and the chain goes on from where version 1 left it.
    let answer = kassad::flows::collect::Answer {
        by: "Айгерім".to_owned(),
        because: "looked".to_owned(),
        paid: true,
        transaction: "42".to_owned(),
        confirmed: false,
    };
    let unclear = view.attempt_of("K7H2M-3-1-1").unwrap().unwrap();
    ledger.decide(now, |tx| kassad::flows::collect::answer(tx, &rules(), unclear.id, &answer)).unwrap();
    drop(ledger);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(verify(&reader).unwrap().1, vec![]);
}

#[test]
fn f20_a_newer_ledger_is_refused_and_left_as_it_is() {
    let (_folder, path) = lived_in(1);
    drop(Ledger::open(&path, &Ids::seeded(1), open_gate()).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(&format!("PRAGMA user_version = {}", newest() + 1)).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let Err(OpenFault::Schema(fault)) = Ledger::open(&path, &Ids::seeded(1), open_gate()) else {
        panic!("a newer ledger was opened");
    };
    let (found, known) = (newest() + 1, newest());
    let text =
        format!("the ledger is of version {found}, this kassad knows up to {known}: install the newer kassad again");
    assert_eq!(fault.to_string(), text);
    assert!(std::fs::read(&path).unwrap() == before, "not a byte changed");
}
