//! What is decided about receipts, on a real ledger without any wire: nothing is registered that was paid before, what went back of a
//! receipt is returned whatever the rules say now, and the register's word corrects a person's.

use kassad::domain::attempt::{Event, Evidence};
use kassad::domain::fiscal::{PayKind, Register, Registered};
use kassad::domain::ids::FiscalId;
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Snapshot, Tender};
use kassad::domain::time::Wall;
use kassad::flows::collect::{self, Plan};
use kassad::flows::{FiscalRules, Issuer, Rules, fiscal, refund};
use kassad::host::ids::Ids;
use kassad::ledger::attempts::AttemptRow;
use kassad::ledger::fiscal::{Act, FiscalRow, State};
use kassad::ledger::{Fault, Ledger, Tx, open_gate};

const NOON: Wall = Wall(1_795_237_200_000);

struct Books {
    _folder: tempfile::TempDir,
    ledger: Ledger,
    now: Wall,
}

fn rules(register: Option<&str>, external: &[Tender]) -> Rules {
    Rules {
        shop: "Дастархан".to_owned(),
        zone: jiff::tz::TimeZone::UTC,
        day_ends_min: 360,
        stations: vec![],
        receipt_printers: vec![],
        drawers: vec![],
        backups: Default::default(),
        pos: None,
        fiscal: FiscalRules {
            register: register.map(str::to_owned),
            issuers: external.iter().map(|tender| (*tender, Issuer::External)).collect(),
            ..FiscalRules::nothing()
        },
    }
}

impl Books {
    fn open() -> Books {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), &Ids::seeded(5), open_gate()).unwrap();
        Books { _folder: folder, ledger, now: NOON }
    }

    /// One decision, a minute after the one before.
    fn decide<T>(&mut self, flow: impl FnOnce(&Tx<'_>) -> Result<T, Fault>) -> T {
        self.now = self.now.plus_ms(60_000);
        self.ledger.decide(self.now, flow).unwrap()
    }

    /// The daemon starts with these rules.
    fn start(&mut self, rules: &Rules) {
        self.decide(|tx| fiscal::opened(tx, rules));
        self.decide(|tx| fiscal::without_register(tx, rules));
    }

    /// An order of 7 000 tenge, of which some is paid.
    fn sell(&mut self, rules: &Rules, order: &str, tender: Tender, tenge: i64) -> AttemptRow {
        let wish = Plan {
            source: "api".to_owned(),
            snapshot: Snapshot {
                foreign_id: order.to_owned(),
                number: order.to_owned(),
                table: String::new(),
                waiter: String::new(),
                due: Tiyn(700_000),
                lines: vec![],
                comment: String::new(),
            },
            tender,
            via: "till1".to_owned(),
            amount: Tiyn::from_tenge(tenge),
            part: None,
            tendered: None,
            due_seen: None,
            phone: None,
            description: String::new(),
            bot: None,
            key: None,
            key_renews: false,
        };
        let row = self.decide(|tx| collect::plan(tx, rules, &wish));
        if tender == Tender::Cash {
            return row;
        }
        self.decide(|tx| collect::send(tx, rules, row.id));
        let evidence = Evidence {
            amount: Tiyn(tenge * 100),
            method: "qr".to_owned(),
            transaction: format!("t{}", row.id),
            source: "cloud".to_owned(),
            detail: String::new(),
            tendered: None,
        };
        self.decide(|tx| collect::conclude(tx, rules, row.id, Event::Settled(evidence)))
    }

    fn give_back(&mut self, rules: &Rules, payment: &AttemptRow, tenge: i64) {
        let wish = refund::Wish {
            attempt: payment.id,
            amount: Tiyn::from_tenge(tenge),
            by: "Айгерім".to_owned(),
            because: "принесли обратно".to_owned(),
            transaction: if payment.tender == Tender::Cash { String::new() } else { format!("back {}", self.now.0) },
            key: None,
        };
        self.decide(|tx| refund::plan(tx, rules, &wish));
    }

    fn register(&mut self, rules: &Rules, id: FiscalId) {
        let answer = Registered {
            sign: format!("{}", 1_000_000_000 + id.0),
            number: 1,
            shift: 1,
            at: "21.11.2026 13:05:00".to_owned(),
            total: None,
            is_autonomous: false,
            is_register_autonomous: false,
            qr: String::new(),
            register: Register { registration: "010100000001".to_owned(), ..Register::default() },
            lines: vec![],
        };
        self.decide(|tx| fiscal::registered(tx, rules, id, &answer));
    }

    fn documents(&self) -> Vec<FiscalRow> {
        self.ledger.view().fiscal_since(Wall(0), 100).unwrap()
    }

    fn told(&self) -> Vec<(Act, i64)> {
        self.documents().iter().map(|row| (row.act, row.total.0 / 100)).collect()
    }

    fn questions(&self) -> Vec<String> {
        self.ledger.view().open_questions().unwrap().into_iter().map(|question| question.code).collect()
    }
}

#[test]
fn f25_what_was_paid_before_there_was_a_register_is_never_registered() {
    let mut books = Books::open();
    let (before, after) = (rules(None, &[]), rules(Some("kassa"), &[]));
    books.start(&before);
    let old = books.sell(&before, "1", Tender::Cash, 7_000);
    let part = books.sell(&before, "2", Tender::Cash, 3_000);
    books.start(&after);
    for order in [old.order, part.order] {
        books.decide(|tx| fiscal::part_waited(tx, &after, order));
    }
    books.give_back(&after, &old, 1_000);
    assert_eq!(books.told(), []);
    // What is paid from now on is.
    books.sell(&after, "3", Tender::Cash, 7_000);
    books.sell(&after, "2", Tender::Cash, 4_000);
    assert_eq!(books.told(), [(Act::Sale, 7_000), (Act::Sale, 4_000)]);
}

#[test]
fn f25_another_issuer_makes_no_second_receipt_of_what_the_first_one_issued() {
    let mut books = Books::open();
    let (before, after) = (rules(Some("kassa"), &[Tender::KaspiInvoice]), rules(Some("kassa"), &[]));
    books.start(&before);
    books.sell(&before, "1", Tender::KaspiInvoice, 3_000);
    let cash = books.sell(&before, "1", Tender::Cash, 4_000);
    assert_eq!(books.told(), [(Act::Sale, 4_000)]);
    books.start(&after);
    books.give_back(&after, &cash, 1_000);
    assert_eq!(books.told(), [(Act::Sale, 4_000), (Act::Return, 1_000)]);
}

#[test]
fn f25_a_way_that_is_counted_otherwise_since_goes_back_as_it_was_sold() {
    let mut books = Books::open();
    let mut rules = rules(Some("kassa"), &[]);
    books.start(&rules);
    let paid = books.sell(&rules, "1", Tender::KaspiInvoice, 7_000);
    rules.fiscal.kinds.insert("qr".to_owned(), PayKind::Card);
    books.give_back(&rules, &paid, 2_000);
    assert_eq!(books.told(), [(Act::Sale, 7_000), (Act::Return, 2_000)]);
    let bill = fiscal::meant(&books.documents()[1]).unwrap().bill;
    assert_eq!((bill.check(), bill.paid(PayKind::Mobile)), (Ok(()), Tiyn(200_000)));
}

#[test]
fn f26_a_refund_of_a_register_that_is_gone_is_a_persons_at_once() {
    let mut books = Books::open();
    let (before, after) = (rules(Some("kassa"), &[]), rules(Some("another"), &[]));
    books.start(&before);
    let paid = books.sell(&before, "1", Tender::Cash, 7_000);
    let sale = books.documents()[0].id;
    books.register(&before, sale);
    books.start(&after);
    books.give_back(&after, &paid, 7_000);
    assert_eq!(books.questions(), ["fiscal_refused"]);
    let back = books.documents()[1].clone();
    assert_eq!((back.act, back.state), (Act::Return, State::Refused));
    // Nobody would take it: trying again is refused, and the question stays.
    assert!(books.ledger.decide(NOON, |tx| fiscal::retry(tx, &after, back.id)).is_err());
    assert_eq!(books.questions(), ["fiscal_refused"]);
}

#[test]
fn f26_the_registers_word_corrects_a_persons() {
    let mut books = Books::open();
    let rules = rules(Some("kassa"), &[]);
    books.start(&rules);
    books.sell(&rules, "1", Tender::Cash, 7_000);
    let id = books.documents()[0].id;
    books.decide(|tx| fiscal::bind(tx, id, "key", "{}"));
    let reason = kassad::domain::outcome::Reason::new("fiscal_known", "");
    books.decide(|tx| fiscal::set_aside(tx, id, &reason));
    let question = books.ledger.view().open_questions().unwrap().remove(0);
    books.decide(|tx| fiscal::answered(tx, &question));
    assert_eq!(books.documents()[0].state, State::Settled);
    books.register(&rules, id);
    let row = books.documents()[0].clone();
    assert_eq!((row.state, row.sign.is_some()), (State::Registered, true));
}
