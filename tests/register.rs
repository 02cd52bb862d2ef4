//! The Webkassa driver against the sandbox Webkassa, which is written from the same reference by other hands: a sale and its return, lost
//! answers at each document, keys that are known, tokens that end, shifts that last too long, another host, reports.
#![allow(
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use kassad::domain::fiscal::{
    Basis, Bill, Modifier, ModifierKind, PayKind, Payment, Position, Registered, Side, UNIT_PIECE, UNIT_SERVICE, Vat,
};
use kassad::domain::money::Tiyn;
use kassad::domain::order::Milli;
use kassad::domain::outcome::Outcome;
use kassad::domain::paper::ReportKind;
use kassad::domain::time::Wall;
use kassad::drivers::fiscal::webkassa::Webkassa;
use kassad::drivers::{Entry, Filing, Fiscal, Health, NoVault, Reported, Setup, Value};
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::secret::Secret;
use kassad::host::tasks::{Spawner, Stop, StopHand};
use kassad::sandbox::faults::Fault;
use kassad::sandbox::webkassa::{Webkassa as Sandbox, WebkassaOptions};
use kassad::sandbox::{World, WorldOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOON: Wall = Wall(1_795_248_000_000);
const HOUR: Duration = Duration::from_secs(3600);

struct Shop {
    world: World,
    clock: Clock,
    driver: Webkassa,
    _hand: StopHand,
}

async fn shop(change: impl FnOnce(&mut WebkassaOptions)) -> Shop {
    let mut options = WorldOptions::default();
    change(&mut options.webkassa);
    let cashbox = options.webkassa.cashbox.clone();
    let clock = Clock::manual(NOON);
    let (hand, stop) = Stop::pair();
    let spawner = Spawner::new(|task| drop(tokio::spawn(task)));
    let world = World::start(options, clock.clone(), Ids::seeded(7), &spawner, stop).await.unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let secret = |key: &str| (key.to_owned(), vec![Secret::new("sandbox")]);
    let setup = Setup {
        name: "kassa".to_owned(),
        address: world.webkassa_base(),
        keys: BTreeMap::from([("login".to_owned(), text("sandbox")), ("cashbox".to_owned(), text(&cashbox))]),
        secrets: BTreeMap::from([secret("api_key_file"), secret("password_file")]),
        vault: Arc::new(NoVault),
        installation: "kassad-7f".to_owned(),
        utc_offset_s: 5 * 3600,
        clock: clock.clone(),
    };
    let driver = Webkassa::open(&setup).unwrap();
    Shop { world, clock, driver, _hand: hand }
}

impl Shop {
    fn sandbox(&self) -> &Arc<Sandbox> {
        self.world.webkassa()
    }

    fn compose(&self, key: &str, bill: &Bill, basis: Option<&Basis>) -> String {
        self.driver.compose(&Entry::Bill { key, bill, basis }).unwrap()
    }

    async fn sell(&self, key: &str) -> Registered {
        registered(self.driver.file(&self.compose(key, &bill(Side::Sale), None)).await)
    }
}

fn registered(outcome: Outcome<Filing>) -> Registered {
    match outcome {
        Outcome::Done(Filing::Registered(registered)) => *registered,
        other => panic!("not registered: {other:?}"),
    }
}

fn bill(side: Side) -> Bill {
    let position = |name: &str, unit, milli, price| Position {
        name: name.to_owned(),
        quantity: Milli(milli),
        unit,
        price: Tiyn(price),
        discount: Tiyn::ZERO,
        markup: Tiyn::ZERO,
        vat: Vat(Some(16)),
    };
    let tea = Position {
        vat: Vat(None),
        discount: Tiyn(10_000),
        markup: Tiyn(5_000),
        ..position("Шай/Чай", UNIT_PIECE, 1000, 95_000)
    };
    Bill {
        side,
        order_number: "A-17".to_owned(),
        positions: vec![
            position("Лағман ФП: 999999999 №1", UNIT_PIECE, 2000, 240_000),
            tea,
            position("Қызмет көрсету/Обслуживание 10%", UNIT_SERVICE, 1000, 57_000),
        ],
        modifiers: vec![
            Modifier { kind: ModifierKind::Discount, text: String::new(), sum: Tiyn(1_050), vat: Vat(Some(16)) },
            Modifier {
                kind: ModifierKind::Surcharge, text: "Үстеме".to_owned(), sum: Tiyn(1_050), vat: Vat(None)
            },
        ],
        payments: vec![
            Payment { kind: PayKind::Mobile, sum: Tiyn(400_000) },
            Payment { kind: PayKind::Cash, sum: Tiyn(250_000) },
        ],
        change: Tiyn(23_000),
        total: Tiyn(627_000),
    }
}

#[tokio::test]
async fn a_sale_and_its_return_by_its_five_values() {
    let shop = shop(|_| {}).await;
    let sale = shop.sell("k1").await;
    assert_eq!((sale.number, sale.shift, sale.total), (1, 1, Some(Tiyn(627_000))));
    assert!(!sale.lines.is_empty() && !sale.register.address_kz.is_empty() && !sale.qr.is_empty());
    let basis = Basis {
        sign: sale.sign.clone(),
        at: sale.at.clone(),
        registration: sale.register.registration.clone(),
        total: Tiyn(627_000),
        is_autonomous: false,
    };
    let back = registered(shop.driver.file(&shop.compose("k2", &bill(Side::Return), Some(&basis))).await);
    assert_ne!(back.sign, sale.sign);
    assert_eq!(shop.sandbox().receipts().len(), 2);
    assert_eq!(shop.sandbox().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_and_makes_no_second_receipt() {
    for fault in [Fault::LoseReply, Fault::Garbage, Fault::Truncated, Fault::DropBefore, Fault::Status(502)] {
        for with_data in [true, false] {
            let shop = shop(|options| options.answers_14_with_data = with_data).await;
            shop.sandbox().faults().once("check", fault);
            let request = shop.compose("k1", &bill(Side::Sale), None);
            let first = shop.driver.file(&request).await;
            assert!(matches!(first, Outcome::Unknown(_)), "{fault:?}: {first:?}");
            let again = match shop.driver.file(&request).await {
                Outcome::Done(Filing::Known(_)) => match shop.driver.find("k1").await {
                    Outcome::Done(Some(found)) => *found,
                    other => panic!("{fault:?}: {other:?}"),
                },
                other => registered(other),
            };
            let made = shop.sandbox().receipts();
            assert_eq!(made.len(), 1, "{fault:?}");
            assert_eq!((again.sign.as_str(), again.shift, again.number), (made[0].sign.as_str(), 1, 1), "{fault:?}");
            assert_eq!(again.total, Some(Tiyn(627_000)));
            assert!(!again.at.is_empty() && !again.register.registration.is_empty() && !again.qr.is_empty());
        }
    }
}

#[tokio::test]
async fn what_is_found_is_what_was_answered() {
    for is_autonomous in [false, true] {
        let shop = shop(|options| options.autonomous = is_autonomous).await;
        let sale = shop.sell("k1").await;
        assert_eq!(sale.is_autonomous, is_autonomous);
        let Outcome::Done(Some(found)) = shop.driver.find("k1").await else { panic!("not found") };
        let told = |it: &Registered| {
            (it.sign.clone(), it.number, it.shift, it.at.clone(), it.total, it.is_autonomous, it.qr.clone())
        };
        assert_eq!(told(&found), told(&sale));
        assert_eq!(found.register.registration, sale.register.registration);
        // Without its lines it is found in the histories.
        shop.sandbox().faults().once("print_format", Fault::Status(503));
        let Outcome::Done(Some(listed)) = shop.driver.find("k1").await else { panic!("not found") };
        assert_eq!(told(&listed), told(&sale));
        assert_eq!(shop.driver.find("k2").await, Outcome::Done(None));
        assert_eq!(shop.sandbox().violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn tokens_end_shifts_last_too_long_and_cash_moves() {
    let shop = shop(|_| {}).await;
    shop.sell("k1").await;
    shop.sandbox().expire_tokens();
    shop.sell("k2").await;
    let cash = shop.driver.compose(&Entry::Cash { key: "c1", is_in: false, amount: Tiyn(100_050) }).unwrap();
    let moved = shop.driver.file(&cash).await;
    assert!(matches!(&moved, Outcome::Done(Filing::Moved(moved)) if moved.shift == 1), "{moved:?}");
    let again = shop.driver.file(&cash).await;
    assert!(matches!(again, Outcome::Done(Filing::Known(_) | Filing::Moved(_))), "{again:?}");
    let much = shop.driver.compose(&Entry::Cash { key: "c2", is_in: false, amount: Tiyn(99_000_000) }).unwrap();
    assert!(matches!(shop.driver.file(&much).await, Outcome::Refused(reason) if reason.code == "fiscal_no_cash"));
    shop.clock.advance(25 * HOUR);
    let request = shop.compose("k3", &bill(Side::Sale), None);
    let late = shop.driver.file(&request).await;
    assert!(matches!(late, Outcome::Done(Filing::ShiftOver(_))), "{late:?}");
    let Outcome::Done(Reported::Report(report)) = shop.driver.report(ReportKind::Z).await else { panic!("no Z") };
    assert_eq!((report.shift, report.sales.count), (1, 2));
    let gap = report.at_end.sales.0 - report.at_start.sales.0;
    assert_eq!(gap, report.sales.taken.0 - report.sales.change.0);
    assert_eq!(shop.driver.report(ReportKind::Z).await, Outcome::Done(Reported::NoShift));
    let Outcome::Done(Some(closed)) = shop.driver.closed_report(1).await else { panic!("no closed Z") };
    assert_eq!((closed.sales, closed.in_drawer), (report.sales, report.in_drawer));
    assert_eq!(registered(shop.driver.file(&request).await).shift, 2);
    assert_eq!(shop.driver.closed_report(2).await, Outcome::Done(None));
    assert!(
        matches!(shop.driver.report(ReportKind::X).await, Outcome::Done(Reported::Report(report)) if report.shift == 2)
    );
}

#[tokio::test]
async fn another_host_a_blocked_cashbox_and_the_state() {
    let shop = shop(|_| {}).await;
    let state = || async {
        let Outcome::Done(state) = shop.driver.probe().await else { panic!("no state") };
        state
    };
    assert_eq!((state().await.shift, state().await.health), (None, Health::Good));
    let host = shop.world.webkassa_base();
    shop.sandbox().answer_505_once(&["evil.example", host.trim_start_matches("http://")]);
    let outcome = shop.driver.file(&shop.compose("k1", &bill(Side::Sale), None)).await;
    assert!(
        matches!(&outcome, Outcome::Unknown(reason) if reason.code == "fiscal_host"),
        "the same host again: {outcome:?}"
    );
    shop.sell("k1").await;
    assert_eq!(state().await.shift, Some(1));
    shop.sandbox().set_autonomous(true);
    assert!(state().await.is_autonomous);
    shop.sandbox().set_blocked(true);
    assert!(matches!(state().await.health, Health::Bad(reason) if reason.code == "fiscal_blocked"));
    let blocked = shop.driver.file(&shop.compose("k2", &bill(Side::Sale), None)).await;
    assert!(
        matches!(&blocked, Outcome::Done(Filing::Stopped(reason)) if reason.code == "fiscal_blocked"),
        "{blocked:?}"
    );
    shop.sandbox().set_blocked(false);
    shop.sandbox().set_licensed(false);
    let unlicensed = shop.driver.file(&shop.compose("k2", &bill(Side::Sale), None)).await;
    assert!(matches!(&unlicensed, Outcome::Done(Filing::Stopped(reason)) if reason.code == "fiscal_licence"));
    shop.sandbox().set_licensed(true);
    shop.sandbox().set_licence_end(NOON.plus_ms(3 * 86_400_000));
    assert!(matches!(state().await.health, Health::Warns(reason) if reason.code == "fiscal_licence_soon"));
}

#[tokio::test]
async fn two_callers_of_one_driver_never_meet() {
    let shop = shop(|_| {}).await;
    let (one, other, state) = tokio::join!(shop.sell("k1"), shop.sell("k2"), shop.driver.probe());
    assert_ne!(one.sign, other.sign);
    assert!(matches!(state, Outcome::Done(_)));
    assert_eq!(shop.sandbox().violations(), Vec::<String>::new());
}
