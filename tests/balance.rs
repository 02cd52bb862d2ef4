//! F25 as a model test over the true flows and the true ledger, without wires: random parts, failures, late money and refunds of one
//! order against a model of what guests gave and got. What is given back never exceeds what was paid, what is asked never exceeds what
//! is due, and the books balance after every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kassad::domain::attempt::{Event, Evidence, State};
use kassad::domain::ids::{AttemptId, Handle, RefundId};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Snapshot, Tender};
use kassad::domain::outcome::Reason;
use kassad::domain::refund;
use kassad::domain::time::Wall;
use kassad::flows::collect::{self, Plan};
use kassad::flows::refund::{self as give_back, Wish};
use kassad::flows::{Rules, settle};
use kassad::host::ids::Ids;
use kassad::ledger::{Fault, Ledger, Reader, journal, open_gate};
use proptest::prelude::*;

const NOW: Wall = Wall(1_795_237_200_000);
const DUE_TENGE: i64 = 9_000;

/// What may happen next; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    /// A guest pays a share in cash.
    Cash(i64),
    /// A sum goes to the terminal, for a share that is named or not.
    Terminal(i64, bool),
    /// The terminal's record of one of the payments: paid, failed, or unknown.
    Ends(usize, u8),
    /// Somebody gives money of one of the payments back.
    Refund(usize, Option<i64>),
    /// What becomes of one of the refunds.
    Returns(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..60_i64).prop_map(|hundreds| Step::Cash(hundreds * 100)),
        ((1..60_i64), any::<bool>()).prop_map(|(hundreds, named)| Step::Terminal(hundreds * 100, named)),
        ((0..8_usize), (0..3_u8)).prop_map(|(which, how)| Step::Ends(which, how)),
        ((0..8_usize), proptest::option::of(1..60_i64)).prop_map(|(which, sum)| Step::Refund(which, sum)),
        ((0..8_usize), (0..4_u8)).prop_map(|(which, how)| Step::Returns(which, how)),
    ]
}

struct Table {
    ledger: Ledger,
    folder: tempfile::TempDir,
    rules: Rules,
    payments: Vec<AttemptId>,
    refunds: Vec<RefundId>,
    /// What guests truly gave and got back, in tiyn.
    given: i64,
    got: i64,
}

impl Table {
    fn lay() -> Table {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), &Ids::seeded(3), open_gate()).unwrap();
        let rules = Rules {
            shop: "Дастархан".to_owned(),
            zone: jiff::tz::TimeZone::UTC,
            day_ends_min: 360,
            stations: vec![],
            receipt_printers: vec!["receipt".to_owned()],
            drawers: vec![],
            backups: Default::default(),
            pos: None,
            fiscal: kassad::flows::FiscalRules::nothing(),
        };
        Table { ledger, folder, rules, payments: vec![], refunds: vec![], given: 0, got: 0 }
    }

    fn wish(&self, tender: Tender, tenge: i64, part: Option<i64>) -> Plan {
        Plan {
            source: "api".to_owned(),
            snapshot: Snapshot {
                foreign_id: "1".to_owned(),
                number: "1".to_owned(),
                table: String::new(),
                waiter: String::new(),
                due: Tiyn(DUE_TENGE * 100),
                lines: vec![],
                comment: String::new(),
            },
            tender,
            via: if tender == Tender::Cash { "cashier" } else { "till1" }.to_owned(),
            amount: Some(Tiyn(tenge * 100)),
            part,
            tendered: None,
            due_seen: None,
            phone: None,
            description: String::new(),
            bot: None,
            key: None,
            key_renews: false,
        }
    }

    fn take(&mut self, step: &Step) {
        let rules = self.rules.clone();
        match *step {
            Step::Cash(tenge) => {
                let wish = self.wish(Tender::Cash, tenge, None);
                if let Some(row) = allowed(self.ledger.decide(NOW, |tx| collect::plan(tx, &rules, &wish))) {
                    assert_eq!(row.attempt.state, State::Paid);
                    self.given += row.attempt.amount.0;
                    self.payments.push(row.id);
                }
            }
            Step::Terminal(tenge, named) => {
                let part = named.then(|| i64::try_from(self.parts() + 1).unwrap());
                let wish = self.wish(Tender::KaspiTerminal, tenge, part);
                if let Some(row) = allowed(self.ledger.decide(NOW, |tx| collect::plan(tx, &rules, &wish))) {
                    let handle = Handle(format!("op-{}", row.id));
                    self.ledger.decide(NOW, |tx| collect::send(tx, &rules, row.id)).unwrap();
                    self.ledger.decide(NOW, |tx| collect::accepted(tx, &rules, row.id, handle)).unwrap();
                    self.payments.push(row.id);
                }
            }
            Step::Ends(which, how) => {
                let Some(id) = self.payments.get(which).copied() else { return };
                let row = self.ledger.view().attempt(id).unwrap();
                if row.tender == Tender::Cash || row.attempt.state == State::Paid {
                    return;
                }
                // Late money for a payment that had failed is possible too (F05).
                let event = match how {
                    0 => {
                        self.given += row.attempt.amount.0;
                        Event::Settled(proof(row.attempt.amount, &format!("t{id}")))
                    }
                    1 => Event::Declined(Reason::new("terminal_failed", "")),
                    _ => Event::Unknown(Reason::new("link_lost", "")),
                };
                self.ledger.decide(NOW, |tx| collect::conclude(tx, &rules, id, event)).unwrap();
            }
            Step::Refund(which, hundreds) => {
                let Some(attempt) = self.payments.get(which).copied() else { return };
                let wish = Wish {
                    attempt,
                    amount: hundreds.map(|hundreds| Tiyn(hundreds * 10_000)),
                    by: "Мария".to_owned(),
                    because: "вернули".to_owned(),
                    transaction: String::new(),
                    key: None,
                };
                let Some(row) = allowed(self.ledger.decide(NOW, |tx| give_back::plan(tx, &rules, &wish))) else {
                    return;
                };
                self.got += row.refund.returned().0;
                if row.refund.state == refund::State::Planned {
                    self.ledger.decide(NOW, |tx| give_back::send(tx, row.id, None)).unwrap();
                    self.refunds.push(row.id);
                }
            }
            Step::Returns(which, how) => {
                let Some(id) = self.refunds.get(which).copied() else { return };
                let row = self.ledger.view().refund(id).unwrap();
                if !row.refund.state.is_live() {
                    return;
                }
                let event = match how {
                    0 => {
                        self.got += row.refund.amount.0;
                        refund::Event::Returned(proof(row.refund.amount, &format!("r{id}")))
                    }
                    1 => refund::Event::Declined(Reason::new("terminal_failed", "")),
                    2 => refund::Event::Unknown(Reason::new("link_lost", "")),
                    _ => refund::Event::Accepted(Handle(format!("re-{id}"))),
                };
                self.ledger.decide(NOW, |tx| give_back::conclude(tx, &rules, id, event)).unwrap();
            }
        }
    }

    fn parts(&self) -> usize {
        let view = self.ledger.view();
        view.order_of("api", "1").unwrap().map_or(0, |order| view.parts(order.id).unwrap().len())
    }

    fn balances(&self) {
        let view = self.ledger.view();
        let Some(order) = view.order_of("api", "1").unwrap() else { return };
        let rows = view.attempts_of_order(order.id).unwrap();
        let paid: i64 = rows.iter().filter_map(|row| row.attempt.evidence.as_ref()).map(|one| one.amount.0).sum();
        let back: i64 = view.refunds_of_order(order.id).unwrap().iter().map(|row| row.refund.returned().0).sum();
        assert_eq!((paid, back), (self.given, self.got), "the books are what guests gave and got");
        assert_eq!(settle::collected(&view, order.id).unwrap().0, self.given - self.got);
        for row in rows.iter().filter(|row| row.attempt.state == State::Paid) {
            let available = give_back::available(&view, row).unwrap().0;
            let back = give_back::returned(&view, row.id).unwrap().0;
            assert!(available >= 0 && back <= row.attempt.evidence.as_ref().unwrap().amount.0);
        }
        let late: i64 = rows.iter().filter(|row| row.attempt.late).map(|row| row.attempt.amount.0).sum();
        let asked: i64 = rows.iter().filter(|row| row.attempt.state.is_live()).map(|row| row.attempt.amount.0).sum();
        let counted = settle::counted(&view, &order).unwrap().0;
        assert!(counted >= self.given - self.got);
        assert!(counted + asked - late <= order.snapshot.due.0, "{counted} + {asked} - {late} asked too much");
        let jobs = view.jobs_of(order.id).unwrap();
        let receipts = jobs.iter().filter(|job| job.document == "receipt").count();
        assert!(receipts <= 1, "one receipt for one order");
        assert!(
            counted < order.snapshot.due.0 || receipts == 1 || counted > order.snapshot.due.0,
            "paid, and no receipt"
        );
        let slips = jobs.iter().filter(|job| job.document.starts_with("refund:")).count();
        let done = view.refunds_of_order(order.id).unwrap();
        assert_eq!(slips, done.iter().filter(|row| row.refund.state == refund::State::Done).count());
    }
}

fn proof(amount: Tiyn, transaction: &str) -> Evidence {
    Evidence {
        amount,
        method: "qr".to_owned(),
        transaction: transaction.to_owned(),
        source: "terminal".to_owned(),
        detail: String::new(),
        tendered: None,
    }
}

/// A refusal by a rule is an answer; anything else that fails is a fault of ours.
fn allowed<T>(decided: Result<T, Fault>) -> Option<T> {
    match decided {
        Ok(done) => Some(done),
        Err(Fault::Refused { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn f25_random_parts_failures_and_refunds_balance(steps in proptest::collection::vec(step(), 1..28)) {
        let mut table = Table::lay();
        for step in &steps {
            table.take(step);
            table.balances();
        }
        let path = table.folder.path().join("ledger.db");
        drop(table.ledger);
        let (_, flaws) = journal::verify(&Reader::open(&path).unwrap()).unwrap();
        prop_assert!(flaws.is_empty(), "{:?}", flaws);
    }
}
