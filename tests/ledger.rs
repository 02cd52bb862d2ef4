//! The ledger as a unit, on real SQLite files: tampering is found and named, flows that arrive together share one commit and are told
//! after it, a commit that fails leaves nothing half, keys are bound (H2), a part is collected once at a time (I4), sums are compared
//! as integers (F06).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kassad::domain::attempt::{Event, Evidence, State};
use kassad::domain::ids::{AttemptId, Handle};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line, Milli, Snapshot, Tender};
use kassad::domain::outcome::Reason;
use kassad::domain::time::Wall;
use kassad::flows::collect::{self, Plan};
use kassad::flows::{Rules, Station, print, reconcile, settle};
use kassad::host::ids::Ids;
use kassad::ledger::attempts::AttemptRow;
use kassad::ledger::orders::PartState;
use kassad::ledger::outbox::{JobKind, JobState, NewJob};
use kassad::ledger::questions::NewQuestion;
use kassad::ledger::{Errand, Fault, Gate, GatePoint, Ledger, Reader, Tx, journal, open_gate};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

const NOW: Wall = Wall(1_795_237_200_000);

struct Shop {
    folder: tempfile::TempDir,
    ledger: Ledger,
}

impl Shop {
    fn open() -> Shop {
        Shop::gated(open_gate())
    }

    fn gated(gate: Gate) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), &Ids::seeded(5), gate).unwrap();
        Shop { folder, ledger }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn plan(&mut self, wish: &Plan) -> Result<AttemptRow, Fault> {
        self.ledger.decide(NOW, |tx| collect::plan(tx, &rules(), wish))
    }

    fn give(&mut self, id: AttemptId, event: Event) -> AttemptRow {
        self.ledger.decide(NOW, |tx| collect::conclude(tx, &rules(), id, event)).unwrap()
    }

    /// Puts an attempt outside, as a worker does.
    fn send(&mut self, row: &AttemptRow) -> AttemptRow {
        self.ledger.decide(NOW, |tx| collect::send(tx, &rules(), row.id)).unwrap().unwrap();
        self.give(row.id, Event::Accepted(Handle(format!("op-{}", row.id))))
    }

    /// A payment from its plan to its evidence.
    fn sell(&mut self, wish: &Plan, paid: i64) -> AttemptRow {
        let row = self.plan(wish).unwrap();
        self.send(&row);
        self.give(row.id, settled(paid))
    }

    fn questions(&self) -> Vec<String> {
        self.ledger.view().open_questions().unwrap().into_iter().map(|question| question.code).collect()
    }

    fn closes(&self, row: &AttemptRow) -> usize {
        let jobs = self.ledger.view().jobs_of(row.order).unwrap();
        jobs.iter().filter(|job| job.kind == JobKind::Close).count()
    }
}

fn rules() -> Rules {
    Rules {
        shop: "Дастархан".to_owned(),
        zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(5)),
        day_ends_min: 360,
        stations: vec![Station { name: "Цех".to_owned(), printer: "hot".to_owned(), workshop: None }],
        receipt_printers: vec!["receipt".to_owned()],
        drawers: vec![],
        backups: Default::default(),
        pos: Some("poster".to_owned()),
        fiscal: kassad::flows::FiscalRules::nothing(),
    }
}

/// A wish to collect all of an order of 7 000 tenge.
fn wish(order: &str) -> Plan {
    let line = Line {
        key: "3".to_owned(),
        name: "Лагман".to_owned(),
        modifiers: vec![],
        quantity: Milli::ONE,
        sum: Tiyn(700_000),
        workshop: None,
        comment: String::new(),
        unit: None,
        vat: None,
    };
    Plan {
        source: "pos".to_owned(),
        snapshot: Snapshot {
            foreign_id: order.to_owned(),
            number: order.to_owned(),
            table: "5".to_owned(),
            waiter: String::new(),
            due: Tiyn(700_000),
            lines: vec![line],
            comment: String::new(),
        },
        tender: Tender::KaspiTerminal,
        via: "till1".to_owned(),
        amount: None,
        part: None,
        tendered: None,
        due_seen: None,
        phone: None,
        description: "Заказ".to_owned(),
        bot: None,
        key: None,
        key_renews: false,
    }
}

fn keyed(order: &str, key: &str, content: &str, key_renews: bool) -> Plan {
    Plan { key: Some((key.to_owned(), content.to_owned())), key_renews, ..wish(order) }
}

fn settled(tiyn: i64) -> Event {
    Event::Settled(Evidence {
        amount: Tiyn(tiyn),
        method: "qr".to_owned(),
        transaction: "123456789012".to_owned(),
        source: "terminal".to_owned(),
        detail: String::new(),
        tendered: None,
    })
}

fn code_of<T: std::fmt::Debug>(refused: Result<T, Fault>) -> &'static str {
    match refused {
        Err(Fault::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

/// What `kassad check --ledger` says and its exit status.
fn check(ledger: &Path) -> (i32, String) {
    let mut flag = std::ffi::OsString::from("--ledger=");
    flag.push(ledger);
    let ended = Command::new(env!("CARGO_BIN_EXE_kassad")).arg("check").arg(flag).output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// A day of a shop: a sale, a failed attempt, a question, cash.
fn lived_in() -> Shop {
    let mut shop = Shop::open();
    shop.sell(&wish("1950"), 700_000);
    let failed = shop.plan(&wish("1951")).unwrap();
    shop.send(&failed);
    shop.give(failed.id, Event::Declined(Reason::new("terminal_failed", "")));
    shop.sell(&wish("1951"), 700_000);
    shop.plan(&Plan { tender: Tender::Cash, via: "cashier".to_owned(), ..wish("1952") }).unwrap();
    let unclear = shop.plan(&wish("1953")).unwrap();
    shop.send(&unclear);
    shop.give(unclear.id, Event::Unknown(Reason::new("link_lost", "")));
    shop.ledger.decide(NOW, |tx| reconcile::ask_a_person(tx, unclear.id)).unwrap();
    shop.ledger.decide(NOW, |tx| tx.store_in_vault("till1", "tokens")).unwrap();
    shop
}

#[test]
fn a_good_ledger_is_told_so() {
    let shop = lived_in();
    let (status, said) = check(&shop.path());
    let rows = shop.ledger.view().last_seq().unwrap();
    assert_eq!((status, said.contains(&format!("{rows} journal rows"))), (0, true), "{said}");
    assert!(rows.0 >= 25, "{rows}");
}

#[test]
fn no_ledger_is_an_error_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let (status, said) = check(&path);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("ledger.db") && !path.exists(), "{said}");
}

/// What a tamperer does with a SQLite shell, and where it must be found.
const TAMPERINGS: [(&str, &str, &str); 20] = [
    (
        "edits a row",
        "UPDATE journal SET entry = replace(entry, '700000', '100000') WHERE seq = 5",
        "journal 5: the row was",
    ),
    ("makes nonsense of a row", "UPDATE journal SET entry = 'nonsense' WHERE seq = 5", "journal 5: the row was edited"),
    ("edits the first row", "UPDATE journal SET subject = 9 WHERE seq = 1", "journal 1"),
    ("moves a row in time", "UPDATE journal SET at = at - 60000 WHERE seq = 8", "journal 8"),
    ("edits a hash", "UPDATE journal SET hash = zeroblob(32) WHERE seq = 6", "journal 6"),
    ("removes a row in the middle", "DELETE FROM journal WHERE seq = 7", "journal 7: rows 7 to 7 are missing"),
    ("removes the first rows", "DELETE FROM journal WHERE seq < 4", "journal 1: rows 1 to 3 are missing"),
    (
        "closes the gap",
        "DELETE FROM journal WHERE seq = 7; UPDATE journal SET seq = seq - 1 WHERE seq > 7",
        "journal 7",
    ),
    ("cuts the tail off", "DELETE FROM journal WHERE seq > (SELECT max(seq) - 3 FROM journal)", "attempts 5"),
    ("cuts everything off", "DELETE FROM journal", "orders 1: its journal row is gone"),
    ("undoes a payment", "UPDATE attempts SET state = 'failed', evidence = NULL WHERE id = 1", "attempts 1"),
    (
        "makes a payment",
        "UPDATE attempts SET state = 'paid', evidence = '{\"amount\":700000}' WHERE id = 2",
        "attempts 2",
    ),
    (
        "lowers what was paid",
        "UPDATE attempts SET evidence = json_set(evidence, '$.amount', 1) WHERE id = 1",
        "attempts 1",
    ),
    ("lowers what was asked", "UPDATE attempts SET amount = 100 WHERE id = 1", "attempts 1"),
    ("lowers a part's paid", "UPDATE parts SET paid = paid - 100 WHERE id = 1", "parts 1"),
    ("lowers what is due", "UPDATE orders SET due = 100 WHERE id = 2", "orders 2"),
    ("closes an order", "UPDATE orders SET closing = 'closed' WHERE id = 1", "orders 1"),
    ("ends a job", "UPDATE jobs SET state = 'done' WHERE id = 1", "jobs 1"),
    ("answers a question", "UPDATE questions SET outcome = 'paid', answered = 1 WHERE id = 1", "questions 1"),
    (
        "removes a payment with all that is its own",
        "DELETE FROM jobs WHERE order_id = 3; DELETE FROM attempts WHERE part_id = 3; DELETE FROM parts WHERE id = 3; DELETE FROM orders WHERE id = 3",
        "attempts 4: the row is gone",
    ),
];

#[test]
fn tampering_is_found_where_it_was_done() {
    let mut found = 0;
    for (what, sql, place) in TAMPERINGS {
        let shop = lived_in();
        let path = shop.path();
        drop(shop.ledger);
        let tamperer = rusqlite::Connection::open(&path).unwrap();
        assert!(tamperer.execute_batch("UPDATE journal SET at = 0").is_err(), "the journal defends itself");
        let ways = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
                    DROP TRIGGER journal_keeps; DROP TRIGGER journal_stays;";
        tamperer.execute_batch(ways).unwrap();
        tamperer.execute_batch(sql).unwrap();
        drop(tamperer);
        let (status, said) = check(&path);
        assert_eq!((status, said.contains(place)), (2, true), "who {what} is found at {place}:\n{said}");
        found += 1;
    }
    assert_eq!(found, TAMPERINGS.len());
}

type Heard = Arc<Mutex<Vec<String>>>;

/// Adds an order, may fail then, and writes down when it was told what.
struct Customer {
    name: &'static str,
    fails: bool,
    heard: Heard,
}

impl Errand for Customer {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Fault> {
        collect::plan(tx, &rules(), &wish(self.name))?;
        tx.ask(&NewQuestion { code: "removed", ..NewQuestion::default() })?;
        if self.fails { Err(Fault::Missing(self.name.to_owned())) } else { Ok(()) }
    }

    fn finish(self: Box<Self>, committed: Result<(), Fault>) {
        let what = if committed.is_ok() { "served" } else { "refused" };
        self.heard.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

fn customers(heard: &Heard, names: &[&'static str]) -> Vec<Box<dyn Errand>> {
    let customer = |name: &&'static str| -> Box<dyn Errand> {
        Box::new(Customer { name, fails: name.starts_with("bad"), heard: heard.clone() })
    };
    names.iter().map(customer).collect()
}

/// A gate that writes down when it was passed, and closes at a point.
fn gate(heard: &Heard, closes: Option<GatePoint>) -> Gate {
    let heard = heard.clone();
    Arc::new(move |point| {
        heard.lock().unwrap().push(format!("{point:?}"));
        Some(point) != closes
    })
}

#[test]
fn errands_that_arrive_together_share_one_commit_and_are_told_after_it() {
    let heard = Heard::default();
    let mut shop = Shop::gated(gate(&heard, None));
    let changes = shop.ledger.decide_all(NOW, customers(&heard, &["1", "2", "bad 3", "4"])).unwrap();
    let told = ["BeforeCommit(1)", "AfterCommit(1)", "1 served", "2 served", "bad 3 refused", "4 served"];
    assert_eq!(*heard.lock().unwrap(), told);
    assert_eq!(shop.ledger.commits(), 1);
    // The faulty one undid itself alone: no row, no change, no gap in the chain.
    let orders = shop.ledger.view().newest_attempts(None, 10).unwrap();
    assert_eq!(orders.len(), 3);
    let (rows, flaws) = journal::verify(&Reader::open(&shop.path()).unwrap()).unwrap();
    assert_eq!((rows, flaws), (7, vec![]), "three orders with an attempt each, and one question");
    assert!(changes.iter().map(|change| change.seq.0).eq(1..=7));
    // Those who only fail, and those who change nothing, cost no commit.
    shop.ledger.decide_all(NOW, customers(&heard, &["bad 5", "bad 6"])).unwrap();
    shop.ledger.decide(NOW, |tx| tx.probe()).unwrap();
    assert_eq!(shop.ledger.commits(), 1);
    shop.ledger.decide_all(NOW, customers(&heard, &["7"])).unwrap();
    assert_eq!(shop.ledger.commits(), 2);
}

#[test]
fn before_the_commit_nothing_is_there_and_nobody_was_told() {
    let heard = Heard::default();
    let mut shop = Shop::gated(gate(&heard, Some(GatePoint::BeforeCommit(1))));
    assert!(shop.ledger.decide_all(NOW, customers(&heard, &["1", "2"])).is_none());
    assert_eq!(*heard.lock().unwrap(), ["BeforeCommit(1)"]);
    assert_eq!(shop.ledger.view().newest_attempts(None, 10).unwrap(), []);
    assert_eq!(shop.plan(&wish("3")), Err(Fault::Stopping), "the gate stays closed");
    let reopened = Ledger::open(&shop.path(), &Ids::seeded(6), open_gate()).unwrap();
    assert_eq!(reopened.view().last_seq().unwrap().0, 0);
    assert_eq!(reopened.shop(), shop.ledger.shop(), "the installation keeps its name");
}

#[test]
fn after_the_commit_everything_is_there_though_nobody_was_told() {
    let heard = Heard::default();
    let mut shop = Shop::gated(gate(&heard, Some(GatePoint::AfterCommit(1))));
    assert!(shop.ledger.decide_all(NOW, customers(&heard, &["1", "2"])).is_none());
    assert_eq!(*heard.lock().unwrap(), ["BeforeCommit(1)", "AfterCommit(1)"]);
    let reopened = Reader::open(&shop.path()).unwrap();
    assert_eq!(reopened.view().newest_attempts(None, 10).unwrap().len(), 2);
    assert_eq!(journal::verify(&reopened).unwrap(), (5, vec![]));
}

#[test]
fn a_flow_that_fails_undoes_all_of_itself() {
    let mut shop = Shop::open();
    let failed = shop.ledger.decide(NOW, |tx| {
        let row = collect::plan(tx, &rules(), &wish("1"))?;
        // The money is there, and then a rule of the house says no.
        collect::send(tx, &rules(), row.id)?;
        collect::accepted(tx, &rules(), row.id, Handle("op".to_owned()))?;
        collect::conclude(tx, &rules(), row.id, settled(700_000))?;
        collect::cancel(tx, &rules(), row.id, "cashier").map(drop)
    });
    assert_eq!(code_of(failed), "already_paid");
    assert_eq!((shop.ledger.commits(), shop.ledger.view().last_seq().unwrap().0), (0, 0));
    assert_eq!(shop.ledger.view().unfinished_jobs(10).unwrap(), []);
}

#[test]
fn a_print_that_cannot_be_read_is_held_for_a_person_and_the_next_one_is_due() {
    let mut shop = Shop::open();
    let row = shop.plan(&wish("1")).unwrap();
    let job = |no, body: &str| NewJob {
        kind: JobKind::Print,
        target: "receipt",
        order: row.order,
        attempt: Some(row.id),
        document: "receipt",
        no,
        body: body.to_owned(),
    };
    let add = |tx: &Tx<'_>, no, body| tx.add_job(&job(no, body)).map(Option::unwrap);
    let bad = shop.ledger.decide(NOW, |tx| add(tx, 1, "{\"receipt\":")).unwrap();
    let next = shop.ledger.decide(NOW, |tx| add(tx, 2, "{}")).unwrap();
    assert_eq!(shop.ledger.decide(NOW, |tx| print::begin(tx, bad)).unwrap(), None);
    let held = shop.ledger.view().job(bad).unwrap();
    assert!(held.waits_for_a_person(), "{held:?}");
    assert_eq!(shop.questions(), ["print"]);
    assert_eq!(shop.ledger.view().next_print("receipt").unwrap().unwrap().id, next);
    // Out of paper is no reason to step aside: it resumes by itself, in its turn.
    let paper = print::Printed::Held(Reason::new("paper_out", ""));
    shop.ledger.decide(NOW, |tx| print::end(tx, next, &paper)).unwrap();
    assert_eq!(shop.ledger.view().next_print("receipt").unwrap().unwrap().id, next);
    shop.ledger.decide(NOW, |tx| print::retry(tx, bad)).unwrap();
    assert_eq!(shop.ledger.view().next_print("receipt").unwrap().unwrap().id, bad, "a person takes it up again");
}

#[test]
fn what_a_person_must_look_at_is_listed_first_and_never_hidden_by_a_backlog() {
    let mut shop = Shop::open();
    let row = shop.plan(&wish("1")).unwrap();
    let ids = shop.ledger.decide(NOW, |tx| {
        let job = |no| NewJob {
            kind: JobKind::Print,
            target: "hot",
            order: row.order,
            attempt: None,
            document: "ticket",
            no,
            body: "{}".to_owned(),
        };
        let ids: Vec<_> = (1..=300).map(|no| tx.add_job(&job(no)).unwrap().unwrap()).collect();
        for id in [ids[250], ids[299]] {
            tx.set_job(&tx.job(id)?, JobState::Question, 0, Some(&Reason::new("order_changed", "")))?;
        }
        tx.ask(&NewQuestion { code: "unresolved", attempt: Some(row.id), ..NewQuestion::default() })?;
        for order in [None, Some(row.order)] {
            tx.ask(&NewQuestion { code: "unreadable", order, ..NewQuestion::default() })?;
        }
        Ok(ids)
    });
    let ids = ids.unwrap();
    let listed: Vec<_> = shop.ledger.view().listed_jobs(200).unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!((listed.len(), &listed[..4]), (200, &[ids[299], ids[250], ids[0], ids[1]][..]));
    let asked = shop.ledger.view().listed_questions(2).unwrap();
    assert_eq!(asked.iter().map(|question| question.id.0).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn h2_a_key_is_bound_to_its_content() {
    let mut shop = Shop::open();
    let first = shop.plan(&keyed("1", "k", "7000", false)).unwrap();
    let commits = shop.ledger.commits();
    assert_eq!(shop.plan(&keyed("1", "k", "7000", false)).unwrap(), first);
    assert_eq!(shop.ledger.commits(), commits, "the same again writes nothing");
    assert_eq!(code_of(shop.plan(&keyed("1", "k", "9000", false))), "key_reused");
    assert_eq!(code_of(shop.plan(&keyed("2", "k", "7001", true))), "key_reused");
    // Paid, and asked for once more: the same payment.
    shop.send(&first);
    shop.give(first.id, settled(700_000));
    assert_eq!(shop.plan(&keyed("1", "k", "7000", true)).unwrap().id, first.id);
    // Over without money: the cashier's key stays what it was, a bot's begins anew.
    let failed = shop.plan(&keyed("3", "k3", "7000", false)).unwrap();
    shop.give(failed.id, Event::Declined(Reason::new("no", "")));
    assert_eq!(shop.plan(&keyed("3", "k3", "7000", false)).unwrap().id, failed.id);
    let renewed = shop.plan(&keyed("3", "k3", "8000", true)).unwrap();
    assert_ne!(renewed.id, failed.id);
    assert_eq!(renewed.part, failed.part);
    assert_eq!(shop.plan(&keyed("3", "k3", "8000", true)).unwrap().id, renewed.id);
}

#[test]
fn i4_a_part_is_collected_once_at_a_time() {
    let mut shop = Shop::open();
    let first = shop.plan(&wish("1")).unwrap();
    assert_eq!(code_of(shop.plan(&wish("1"))), "live", "planned");
    shop.ledger.decide(NOW, |tx| collect::send(tx, &rules(), first.id)).unwrap();
    assert_eq!(code_of(shop.plan(&wish("1"))), "live", "sent");
    shop.give(first.id, Event::Accepted(Handle("op".to_owned())));
    assert_eq!(code_of(shop.plan(&wish("1"))), "live", "waiting");
    assert_eq!(code_of(shop.plan(&Plan { tender: Tender::Cash, ..wish("1") })), "live", "cash as well");
    shop.give(first.id, Event::Unknown(Reason::new("link_lost", "")));
    assert_eq!(code_of(shop.plan(&wish("1"))), "live", "unresolved");
    assert_eq!(code_of(shop.ledger.decide(NOW, |tx| collect::cancel(tx, &rules(), first.id, "a"))), "no_abort");
    // Proven dead, the same part is collected again, and then never more.
    shop.give(first.id, Event::Declined(Reason::new("terminal_failed", "")));
    let second = shop.sell(&wish("1"), 700_000);
    assert_eq!((second.part, second.attempt.state), (first.part, State::Paid));
    assert_eq!(code_of(shop.plan(&wish("1"))), "already_paid");
    assert!(second.reference.as_str().ends_with("-1-1-2"), "{}", second.reference);
}

#[test]
fn f06_what_was_paid_is_compared_with_what_was_asked() {
    let table = [
        (700_000, PartState::Paid, None),
        (699_999, PartState::PartiallyPaid, Some("part_paid")),
        (700_001, PartState::Overpaid, Some("overpaid")),
        (7_000, PartState::PartiallyPaid, Some("part_paid")),
        (70_000_000, PartState::Overpaid, Some("overpaid")),
        (0, PartState::PartiallyPaid, Some("part_paid")),
        (100_000_000_000_000, PartState::Overpaid, Some("overpaid")),
    ];
    for (paid, state, question) in table {
        let mut shop = Shop::open();
        let row = shop.sell(&wish("1"), paid);
        let part = shop.ledger.view().part(row.part).unwrap();
        assert_eq!((part.state, part.paid.0, part.amount.0), (state, paid, 700_000), "{paid}: both numbers are kept");
        assert_eq!(shop.questions(), question.into_iter().collect::<Vec<_>>(), "{paid}");
        assert_eq!(shop.closes(&row), usize::from(state == PartState::Paid), "{paid}: only the exact sum closes");
    }
}

#[test]
fn f06_a_negative_payment_is_refused_as_a_whole() {
    let mut shop = Shop::open();
    let row = shop.plan(&wish("1")).unwrap();
    shop.send(&row);
    let before = shop.ledger.view().last_seq().unwrap();
    let refused = shop.ledger.decide(NOW, |tx| collect::conclude(tx, &rules(), row.id, settled(-1)));
    assert!(refused.is_err());
    assert_eq!(shop.ledger.view().attempt(row.id).unwrap().attempt.state, State::Waiting);
    assert_eq!(shop.ledger.view().last_seq().unwrap(), before);
}

#[test]
fn f06_what_is_missing_is_collected_and_then_the_order_closes() {
    let mut shop = Shop::open();
    let first = shop.sell(&wish("1"), 600_000);
    assert_eq!(shop.closes(&first), 0);
    let too_much = shop.plan(&Plan { amount: Some(Tiyn(700_000)), ..wish("1") });
    assert_eq!(code_of(too_much), "too_much");
    let rest = shop.sell(&wish("1"), 100_000);
    assert_eq!(rest.attempt.amount, Tiyn(100_000));
    assert_eq!(shop.closes(&rest), 1);
    let order = shop.ledger.view().order(rest.order).unwrap();
    assert_eq!(settle::tenders(&shop.ledger.view(), &order), Ok((Tiyn::ZERO, Tiyn(700_000))));
}

#[test]
fn f05_f06_paid_twice_is_a_question_and_closes_once() {
    let mut shop = Shop::open();
    let first = shop.plan(&wish("1")).unwrap();
    shop.send(&first);
    shop.give(first.id, Event::Lapsed(Reason::new("expired", "")));
    let second = shop.sell(&wish("1"), 700_000);
    assert_eq!((shop.questions(), shop.closes(&second)), (vec![], 1));
    let late = shop.give(first.id, settled(700_000));
    assert!(late.attempt.late);
    assert_eq!(shop.give(first.id, settled(700_000)), late, "told twice, counted once");
    let part = shop.ledger.view().part(first.part).unwrap();
    assert_eq!((part.state, part.paid), (PartState::Overpaid, Tiyn(1_400_000)));
    assert_eq!((shop.questions(), shop.closes(&second)), (vec!["double_paid".to_owned()], 1));
    assert_eq!(journal::verify(&Reader::open(&shop.path()).unwrap()).unwrap().1, vec![]);
}

/// The reviewer's sequence: an old invoice is paid late while the second asking still waits in the queue.
#[test]
fn f05_a_late_payment_stops_what_is_still_in_the_queue() {
    let mut shop = Shop::open();
    let first = shop.plan(&wish("1")).unwrap();
    shop.send(&first);
    shop.give(first.id, Event::Lapsed(Reason::new("expired", "")));
    let second = shop.plan(&wish("1")).unwrap();
    shop.give(first.id, settled(700_000));
    assert_eq!(shop.ledger.view().attempt(second.id).unwrap().attempt.state, State::Cancelled);
    assert!(shop.ledger.decide(NOW, |tx| collect::send(tx, &rules(), second.id)).unwrap().is_none());
    assert_eq!((shop.questions(), shop.closes(&first)), (vec![], 1));
}

/// The same with the second asking outside already: a person is told before the guest pays twice.
#[test]
fn f05_a_late_payment_warns_of_what_is_outside_already() {
    let mut shop = Shop::open();
    let first = shop.plan(&wish("1")).unwrap();
    shop.send(&first);
    shop.give(first.id, Event::Lapsed(Reason::new("expired", "")));
    let second = shop.plan(&wish("1")).unwrap();
    shop.send(&second);
    shop.give(first.id, settled(700_000));
    assert_eq!((shop.questions(), shop.closes(&first)), (vec!["second_running".to_owned()], 1));
    shop.give(second.id, settled(700_000));
    assert_eq!(shop.questions(), vec!["second_running".to_owned(), "double_paid".to_owned()]);
    let order = shop.ledger.view().order(first.order).unwrap();
    assert_eq!(
        settle::tenders(&shop.ledger.view(), &order),
        Ok((Tiyn::ZERO, Tiyn(700_000))),
        "closed with the due once"
    );
}

/// A part that was cut smaller meanwhile does not turn the exact late payment of the whole into "too much".
#[test]
fn f05_a_late_payment_of_the_whole_counts_against_the_order() {
    let mut shop = Shop::open();
    let first = shop.plan(&wish("1")).unwrap();
    shop.send(&first);
    shop.give(first.id, Event::Lapsed(Reason::new("expired", "")));
    let piece = shop.plan(&Plan { amount: Some(Tiyn(400_000)), ..wish("1") }).unwrap();
    shop.give(first.id, settled(700_000));
    assert_eq!((shop.questions(), shop.closes(&first)), (vec![], 1));
    assert_eq!(shop.ledger.view().attempt(piece.id).unwrap().attempt.state, State::Cancelled);
}

/// A gateway said "not taken" and the partner had it all the same: its notice proves it, and nothing is sent again.
#[test]
fn f03_a_notice_for_an_unsent_attempt_proves_that_it_went_out() {
    let mut shop = Shop::open();
    let row = shop.plan(&wish("1")).unwrap();
    shop.ledger.decide(NOW, |tx| collect::send(tx, &rules(), row.id)).unwrap();
    shop.give(row.id, Event::NotSent(Reason::new("partner_busy", "503")));
    let named = shop.give(row.id, Event::Recognised(Handle("inv_1".to_owned())));
    assert_eq!((named.attempt.state, named.watched), (State::Waiting, true));
    assert!(shop.ledger.decide(NOW, |tx| collect::send(tx, &rules(), row.id)).unwrap().is_none());
}

/// One number in Kaspi Pay proves one payment.
#[test]
fn a_transaction_number_proves_one_payment_only() {
    let mut shop = Shop::open();
    let first = shop.plan(&wish("1")).unwrap();
    shop.send(&first);
    let paid = shop.give(first.id, settled(700_000));
    let known = paid.attempt.evidence.unwrap().transaction;
    let second = shop.plan(&wish("2")).unwrap();
    shop.send(&second);
    shop.give(second.id, Event::Unknown(Reason::new("link_lost", "")));
    shop.ledger.decide(NOW, |tx| kassad::flows::reconcile::ask_a_person(tx, second.id)).unwrap();
    let said = |transaction: &str| collect::Answer {
        by: "Мария".to_owned(),
        because: "вижу в Kaspi Pay".to_owned(),
        paid: true,
        transaction: transaction.to_owned(),
        confirmed: false,
    };
    let again = shop.ledger.decide(NOW, |tx| collect::answer(tx, &rules(), second.id, &said(&known)));
    assert_eq!(code_of(again), if known.is_empty() { "answer_incomplete" } else { "transaction_known" });
    let own = shop.ledger.decide(NOW, |tx| collect::answer(tx, &rules(), second.id, &said("99887"))).unwrap();
    assert_eq!(own.attempt.state, State::Paid);
}

/// Three copies without proof wait for a person; the answer ends the waiting, and nothing more comes out by itself.
#[test]
fn f21_an_answered_print_waits_no_more() {
    let mut shop = Shop::open();
    let row = shop.sell(&wish("1"), 700_000);
    let rules = Rules { receipt_printers: vec!["receipt".to_owned()], ..rules() };
    shop.ledger.decide(NOW, |tx| settle::receipt(tx, &rules, row.order)).unwrap();
    let job = shop.ledger.view().jobs_of(row.order).unwrap().into_iter().find(|job| job.document == "receipt").unwrap();
    for copy in 1..=3 {
        let begun = shop.ledger.decide(NOW, |tx| print::begin(tx, job.id)).unwrap().unwrap();
        assert_eq!(begun.1.copy, copy);
        let lost = print::Printed::Suspect(Reason::new("no_proof", ""));
        shop.ledger.decide(NOW, |tx| print::end(tx, job.id, &lost)).unwrap();
    }
    assert!(shop.ledger.view().job(job.id).unwrap().waits_for_a_person());
    assert_eq!(shop.questions(), vec!["print".to_owned()]);
    let question = shop.ledger.view().open_questions().unwrap()[0].id;
    let seen = |tx: &kassad::ledger::Tx<'_>| {
        kassad::flows::reconcile::settle_question(tx, &rules, question, "Мария", "чек у гостя")
    };
    shop.ledger.decide(NOW, seen).unwrap();
    assert_eq!(shop.ledger.view().job(job.id).unwrap().state.word(), "sent");
    assert_eq!(shop.questions(), Vec::<String>::new());
}
