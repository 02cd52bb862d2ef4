//! The Kaspi terminal's driver against the sandbox terminal over real sockets: refunds, tokens that die at the worst moment (F09), TLS in
//! all its failures (F13), a wire that breaks at every byte, and what the probe says of each trouble before the cashier needs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, missing_docs)]

use crate::shop::Counter;
use futures_util::future::BoxFuture;
use kassad::daemon;
use kassad::domain::attempt::Evidence;
use kassad::domain::ids::{Handle, Reference};
use kassad::domain::money::Tiyn;
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::time::Wall;
use kassad::drivers::terminal::kaspi_smart_pos::KaspiSmartPos;
use kassad::drivers::{Act, Asked, Collect, GiveBack, Health, Setup, Standing, Terminal as _, Value, Vault};
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::tasks::{Stop, StopHand};
use kassad::i18n;
use kassad::sandbox::authority::{Authority, Identity, TERMINAL_NAME, Validity};
use kassad::sandbox::faults::Fault;
use kassad::sandbox::terminal::{OperationStatus, Product, Screen, Terminal, TerminalOptions};
use kassad::sandbox::{World, WorldOptions};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// 2026-11-21 08:00:00 UTC: lunch in Almaty.
const NOON: Wall = Wall(1_795_248_000_000);
const SUM: Tiyn = Tiyn(1_240_000);
const HOUR: Duration = Duration::from_secs(3600);

/// A vault in memory; it refuses to store while told so.
#[derive(Default)]
struct Memory {
    texts: Mutex<BTreeMap<String, String>>,
    is_full: Mutex<bool>,
}

impl Memory {
    fn text(&self) -> String {
        self.texts.lock().unwrap().get("terminal.counter.tokens").cloned().unwrap_or_default()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap_or_default()
    }

    fn set(&self, text: String) {
        self.texts.lock().unwrap().insert("terminal.counter.tokens".to_owned(), text);
    }

    fn fill(&self, is_full: bool) {
        *self.is_full.lock().unwrap() = is_full;
    }
}

impl Vault for Memory {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move { self.texts.lock().unwrap().get(name).cloned() })
    }

    fn store<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async move {
            if *self.is_full.lock().unwrap() {
                return Err(Reason::new("storage", ""));
            }
            self.texts.lock().unwrap().insert(name.to_owned(), text);
            Ok(())
        })
    }
}

/// A counter with one terminal.
struct Desk {
    world: World,
    clock: Clock,
    vault: Arc<Memory>,
    folder: TempDir,
    _hand: StopHand,
}

async fn desk(change: impl FnOnce(&mut TerminalOptions)) -> Desk {
    let clock = Clock::manual(NOON);
    let (hand, stop) = Stop::pair();
    let mut terminal = TerminalOptions { auto_allow: true, ..TerminalOptions::default() };
    change(&mut terminal);
    let options = WorldOptions { terminals: vec![terminal], ..WorldOptions::default() };
    let spawner = daemon::spawner(stop.clone());
    let world = World::start(options, clock.clone(), Ids::seeded(7), &spawner, stop).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    Desk { world, clock, vault: Arc::default(), folder, _hand: hand }
}

type Keys<'a> = &'a [(&'a str, Value)];

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

impl Desk {
    fn till(&self) -> &Arc<Terminal> {
        &self.world.terminals()[0]
    }

    fn base(&self) -> String {
        self.world.terminal_base(0).unwrap()
    }

    fn setup(&self, address: &str, keys: Keys<'_>) -> Setup {
        let mut keys: BTreeMap<String, Value> =
            keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        keys.entry("protected".to_owned()).or_insert(Value::Flag(true));
        Setup {
            name: "counter".to_owned(),
            address: address.to_owned(),
            keys,
            secrets: BTreeMap::new(),
            vault: self.vault.clone(),
            installation: "kassad-7f".to_owned(),
            utc_offset_s: 5 * 3600,
            clock: kassad::host::clock::Clock::machine(),
        }
    }

    /// A driver as the daemon builds one after a start: it knows only what the vault holds.
    fn driver(&self) -> KaspiSmartPos {
        self.driver_at(&self.base(), &[])
    }

    fn driver_at(&self, address: &str, keys: Keys<'_>) -> KaspiSmartPos {
        KaspiSmartPos::open(&self.setup(address, keys)).unwrap()
    }

    fn authority_file(&self, authority: &Authority) -> PathBuf {
        let path = self.folder.path().join("authority.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        path
    }

    async fn charged(&self, driver: &mut KaspiSmartPos, pays: impl FnOnce(&Terminal) -> bool) -> Evidence {
        let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
        assert!(pays(self.till()));
        match driver.inquire(&asked(Act::Payment, &handle, SUM)).await {
            Outcome::Done(Standing::Paid(evidence)) => evidence,
            other => panic!("not paid: {other:?}"),
        }
    }

    async fn ready(&self) -> KaspiSmartPos {
        let mut driver = self.driver();
        assert_eq!(code(&driver.prepare(NOON).await), "done");
        driver
    }
}

fn collect(amount: Tiyn) -> Collect {
    let reference = Reference("dastarkhan-1950-1-1".to_owned());
    Collect { amount, reference, description: "Заказ 1950".to_owned(), phone: None }
}

fn asked(act: Act, handle: &Handle, amount: Tiyn) -> Asked {
    Asked { act, handle: handle.clone(), amount }
}

fn back(amount: Tiyn, evidence: &Evidence) -> GiveBack {
    GiveBack {
        reference: Reference("dastarkhan-1950-1-r1".to_owned()),
        amount,
        paid: evidence.amount,
        method: evidence.method.clone(),
        transaction: evidence.transaction.clone(),
    }
}

fn code<T>(outcome: &Outcome<T>) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Refused(reason) => format!("refused {}", reason.code),
        Outcome::NotSent(reason) => format!("not sent {}", reason.code),
        Outcome::Unknown(reason) => format!("unknown {}", reason.code),
    }
}

fn health(health: &Health) -> String {
    let (word, reason) = match health {
        Health::Good => return "good".to_owned(),
        Health::Warns(reason) => ("warns", reason),
        Health::Bad(reason) => ("bad", reason),
    };
    assert!(i18n::is_known(&reason.code), "no sentence for {}", reason.code);
    format!("{word} {}", reason.code)
}

// ---- refunds ----

#[tokio::test]
async fn a_payment_goes_back_in_parts_and_never_more_than_it_was() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    assert!(driver.abilities().refund);
    let paid = desk.charged(&mut driver, Terminal::guest_pays_qr).await;
    let (part, rest) = (Tiyn(240_000), Tiyn(1_000_000));
    let Outcome::Done(handle) = driver.give_back(&back(part, &paid)).await else { panic!("not taken") };
    // The guest confirms by a QR on the screen (kaspi-terminal §1.8).
    assert_eq!(desk.till().screen(), Screen::Refund { amount: 2_400 });
    let look = asked(Act::Refund, &handle, part);
    let waits = driver.inquire(&look).await;
    assert_eq!(waits, Outcome::Done(Standing::Pending("WaitForQrConfirmation".to_owned())));
    assert_eq!(code(&driver.give_back(&back(rest, &paid)).await), "not sent busy");
    assert!(desk.till().guest_pays_qr());
    let Outcome::Done(Standing::Paid(evidence)) = driver.inquire(&look).await else { panic!("not back") };
    assert_eq!((evidence.amount, evidence.method.as_str()), (part, "qr"));
    assert_ne!(evidence.transaction, paid.transaction);
    // The same operation asked about as a payment settles nothing.
    let as_payment = driver.inquire(&asked(Act::Payment, &handle, part)).await;
    assert!(matches!(&as_payment, Outcome::Done(Standing::Unclear(reason)) if reason.code == "contradiction"));
    // More than is left of it: the terminal says no, and nothing runs.
    let above = GiveBack { amount: Tiyn(1_000_100), ..back(rest, &paid) };
    assert_eq!(code(&driver.give_back(&above).await), "refused refund_refused");
    assert_eq!(code(&driver.give_back(&back(Tiyn(1_240_100), &paid)).await), "refused refund_above");
    let Outcome::Done(handle) = driver.give_back(&back(rest, &paid)).await else { panic!("not taken") };
    // This guest does not confirm: no money went back, and it may be begun again.
    assert!(desk.till().guest_declines());
    let failed = driver.inquire(&asked(Act::Refund, &handle, rest)).await;
    assert!(matches!(&failed, Outcome::Done(Standing::Failed(reason)) if reason.code == "refund_failed"), "{failed:?}");
    let Outcome::Done(handle) = driver.give_back(&back(rest, &paid)).await else { panic!("not taken") };
    assert!(desk.till().guest_pays_qr());
    assert!(matches!(driver.inquire(&asked(Act::Refund, &handle, rest)).await, Outcome::Done(Standing::Paid(_))));
    assert_eq!(code(&driver.give_back(&back(Tiyn(100), &paid)).await), "refused refund_refused");
    let back: i64 =
        desk.till().operations().iter().filter(|one| one.is_refund && one.charged).map(|one| one.amount).sum();
    assert_eq!(back, 12_400);
}

#[tokio::test]
async fn a_refund_goes_by_the_method_and_the_number_of_its_payment() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    type Pay = fn(&Terminal) -> bool;
    let pays: [(&str, Pay); 3] =
        [("qr", Terminal::guest_pays_qr), ("card", Terminal::guest_pays_card), ("alaqan", Terminal::guest_pays_alaqan)];
    for (method, pay) in pays {
        let paid = desk.charged(&mut driver, pay).await;
        assert_eq!(paid.method, method);
        for other in ["qr", "card", "alaqan"].into_iter().filter(|other| *other != method) {
            let wrong = GiveBack { method: other.to_owned(), ..back(SUM, &paid) };
            assert_eq!(code(&driver.give_back(&wrong).await), "refused refund_refused", "{method} by {other}");
        }
        let wrong = GiveBack { transaction: "999999999999".to_owned(), ..back(SUM, &paid) };
        assert_eq!(code(&driver.give_back(&wrong).await), "refused refund_refused");
        let nothing = GiveBack { transaction: String::new(), ..back(SUM, &paid) };
        assert_eq!(code(&driver.give_back(&nothing).await), "refused refund_transaction");
        let nothing = GiveBack { method: "cash".to_owned(), ..back(SUM, &paid) };
        assert_eq!(code(&driver.give_back(&nothing).await), "refused refund_method");
        let Outcome::Done(handle) = driver.give_back(&back(SUM, &paid)).await else { panic!("not taken") };
        // A card needs no guest.
        assert_eq!(desk.till().guest_pays_qr(), method != "card");
        let back = driver.inquire(&asked(Act::Refund, &handle, SUM)).await;
        assert!(
            matches!(&back, Outcome::Done(Standing::Paid(evidence)) if evidence.amount == SUM && evidence.method == method)
        );
    }
}

#[tokio::test]
async fn f07_an_unclear_refund_is_settled_by_asking_and_never_begun_again() {
    for then_success in [true, false] {
        let desk = desk(|_| {}).await;
        let mut driver = desk.ready().await;
        let paid = desk.charged(&mut driver, Terminal::guest_pays_qr).await;
        desk.till().set_unknown(1, then_success);
        let Outcome::Done(handle) = driver.give_back(&back(SUM, &paid)).await else { panic!("not taken") };
        let look = asked(Act::Refund, &handle, SUM);
        assert!(matches!(driver.inquire(&look).await, Outcome::Done(Standing::Unclear(_))));
        let settled = driver.settle(&look).await;
        match settled {
            Outcome::Done(Standing::Paid(evidence)) => assert!(then_success && evidence.amount == SUM),
            Outcome::Done(Standing::Failed(_)) => assert!(!then_success),
            other => panic!("{other:?}"),
        }
        // It is clear now: `actualize` has nothing to find out, and the status is read instead.
        assert!(matches!(driver.settle(&look).await, Outcome::Done(Standing::Paid(_) | Standing::Failed(_))));
        assert_eq!(desk.till().operations().iter().filter(|one| one.is_refund).count(), 1);
    }
}

#[tokio::test]
async fn loans_and_instalments_are_told() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    for (product, told) in [
        (Product::Gold, "Gold"),
        (Product::Red, "Red, Kaspi Red"),
        (Product::Loan { months: 12 }, "Loan, Кредит на покупки, 12 months"),
        (Product::Installment { months: 3 }, "Installment, Рассрочка, 3 months"),
    ] {
        desk.till().set_product(product);
        assert_eq!(desk.charged(&mut driver, Terminal::guest_pays_qr).await.detail, told);
    }
}

// ---- tokens ----

#[tokio::test]
async fn f09_the_token_dies_in_mid_payment_and_the_same_operation_goes_on() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    let look = asked(Act::Payment, &handle, SUM);
    let first = desk.vault.text();
    desk.till().expire_tokens();
    assert_eq!(driver.inquire(&look).await, Outcome::Done(Standing::Pending("WaitUser".to_owned())));
    assert_ne!(desk.vault.text(), first, "the new pair is durable");
    desk.till().expire_tokens();
    assert!(desk.till().guest_pays_qr());
    assert!(matches!(driver.inquire(&look).await, Outcome::Done(Standing::Paid(_))));
    assert_eq!(desk.till().operations().len(), 1);
    assert_eq!(desk.till().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn f09_a_short_life_of_tokens_stops_no_payment() {
    let desk = desk(|options| options.token_life = Duration::from_secs(3)).await;
    let mut driver = desk.ready().await;
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    for _ in 0..20 {
        desk.clock.advance(Duration::from_secs(2));
        let standing = driver.inquire(&asked(Act::Payment, &handle, SUM)).await;
        assert_eq!(standing, Outcome::Done(Standing::Pending("WaitUser".to_owned())));
    }
    assert!(desk.till().guest_pays_qr());
    assert!(matches!(driver.inquire(&asked(Act::Payment, &handle, SUM)).await, Outcome::Done(Standing::Paid(_))));
    assert_eq!(desk.till().screen(), Screen::Idle, "nobody was asked to tap");
}

#[tokio::test]
async fn f09_the_refresh_answer_is_lost_and_the_old_refresh_token_still_works() {
    let desk = desk(|options| options.keeps_old_refresh = true).await;
    let mut driver = desk.ready().await;
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    let look = asked(Act::Payment, &handle, SUM);
    desk.till().expire_tokens();
    desk.till().faults().once("revoke", Fault::LoseReply);
    assert_eq!(code(&driver.inquire(&look).await), "unknown no_access", "the money is unclear, and nothing more");
    assert!(desk.till().guest_pays_qr());
    assert!(matches!(driver.inquire(&look).await, Outcome::Done(Standing::Paid(_))));
    assert_eq!(desk.till().screen(), Screen::Idle, "nobody was asked to tap");
}

#[tokio::test]
async fn f09_the_refresh_answer_is_lost_for_good_and_money_and_device_are_two_things() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    let look = asked(Act::Payment, &handle, SUM);
    desk.till().expire_tokens();
    desk.till().faults().once("revoke", Fault::LoseReply);
    for _ in 0..3 {
        // Never "failed": the guest may be paying right now.
        assert_eq!(code(&driver.inquire(&look).await), "unknown no_access");
    }
    assert_eq!(health(&driver.probe(NOON).await), "bad register_again");
    let refused = driver.prepare(NOON).await;
    assert!(
        matches!(&refused, Outcome::Refused(reason) if reason.code == "name_taken" && reason.detail.contains("Запретить"))
    );
    // The cure, on the terminal's own screen; then the same operation goes on.
    assert!(desk.till().forbid("kassad-7f"));
    assert_eq!(code(&driver.prepare(NOON).await), "done");
    assert!(desk.till().guest_pays_qr());
    assert!(matches!(driver.inquire(&look).await, Outcome::Done(Standing::Paid(_))));
    assert_eq!(desk.till().operations().len(), 1);
}

#[tokio::test]
async fn f09_a_new_pair_is_durable_before_it_is_used() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    let look = asked(Act::Payment, &handle, SUM);
    let first = desk.vault.text();
    desk.till().expire_tokens();
    desk.vault.fill(true);
    for _ in 0..3 {
        assert_eq!(code(&driver.inquire(&look).await), "unknown no_access", "the new pair is not used");
    }
    assert_eq!(code(&driver.prepare(NOON).await), "not sent storage");
    assert_eq!(desk.vault.text(), first);
    desk.vault.fill(false);
    // The terminal gave one pair only: a second renewal would have been refused.
    assert_eq!(driver.inquire(&look).await, Outcome::Done(Standing::Pending("WaitUser".to_owned())));
    assert_eq!(desk.till().violations(), Vec::<String>::new());
    assert_ne!(desk.vault.text(), first);
}

#[tokio::test]
async fn f09_a_daemon_killed_between_the_refresh_answer_and_the_save_asks_by_the_old_refresh_token() {
    let desk = desk(|options| options.keeps_old_refresh = true).await;
    let mut driver = desk.ready().await;
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    let look = asked(Act::Payment, &handle, SUM);
    desk.till().expire_tokens();
    desk.vault.fill(true);
    assert_eq!(code(&driver.inquire(&look).await), "unknown no_access");
    drop(driver);
    desk.vault.fill(false);
    let mut driver = desk.driver();
    assert_eq!(driver.inquire(&look).await, Outcome::Done(Standing::Pending("WaitUser".to_owned())));
    assert_eq!(desk.till().screen(), Screen::Pay { amount: 12_400 }, "nobody was asked to tap");
}

#[tokio::test]
async fn f09_the_old_pair_stays_until_the_new_one_worked_and_is_tried_when_the_new_one_is_refused() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    let good = desk.vault.json();
    assert!(good["before"].is_null());
    // As after a power cut in the terminal: we hold a new pair, it knows the one before only.
    let mut broken = json!({"access": "lost", "refresh": "lost", "from": NOON.0, "until": good["until"]});
    broken["before"] = good.clone();
    desk.vault.set(broken.to_string());
    let Outcome::Done(handle) = driver.start(&collect(SUM)).await else { panic!("not started") };
    drop(driver);
    let mut driver = desk.driver();
    let look = asked(Act::Payment, &handle, SUM);
    assert_eq!(driver.inquire(&look).await, Outcome::Done(Standing::Pending("WaitUser".to_owned())));
    let renewed = desk.vault.json();
    assert_eq!(renewed["before"], good, "kept until a call was accepted and somebody had time to write");
    assert_ne!(renewed["access"], good["access"]);
    assert_eq!(code(&driver.prepare(NOON).await), "done");
    assert!(desk.vault.json()["before"].is_null(), "the new pair worked");
    assert_eq!(desk.vault.json()["access"], renewed["access"]);
}

#[tokio::test]
async fn f09_tokens_are_renewed_ahead_of_time_and_a_refused_renewal_stops_no_sale() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    let first = desk.vault.json()["access"].clone();
    desk.clock.advance(19 * HOUR);
    assert_eq!(code(&driver.prepare(desk.clock.wall()).await), "done");
    assert_eq!(desk.vault.json()["access"], first, "four fifths are not over");
    desk.clock.advance(HOUR / 4);
    assert_eq!(health(&driver.probe(desk.clock.wall()).await), "good");
    desk.till().faults().once("revoke", Fault::DropBefore);
    assert_eq!(code(&driver.prepare(desk.clock.wall()).await), "done", "the token still opens it");
    assert_eq!(health(&driver.probe(desk.clock.wall()).await), "warns token_soon");
    assert_eq!(code(&driver.prepare(desk.clock.wall()).await), "done");
    let second = desk.vault.json()["access"].clone();
    assert_ne!(second, first);
    assert_eq!(health(&driver.probe(desk.clock.wall()).await), "good");
    assert_eq!(code(&driver.prepare(desk.clock.wall()).await), "done");
    assert!(desk.vault.json()["before"].is_null(), "the new pair worked: the old one is let go");
    // The terminal lost our refresh token, and the access token lives: sales go on, somebody should look.
    let mut kept = desk.vault.json();
    kept["refresh"] = json!("forgotten");
    desk.vault.set(kept.to_string());
    let mut driver = desk.driver();
    desk.clock.advance(20 * HOUR);
    for _ in 0..3 {
        assert_eq!(code(&driver.prepare(desk.clock.wall()).await), "done");
    }
    assert_eq!(health(&driver.probe(desk.clock.wall()).await), "warns token_soon");
    assert_eq!(code(&driver.start(&collect(SUM)).await), "done");
    let refused = || desk.till().violations().iter().filter(|what| what.starts_with("revoke")).count();
    assert_eq!(refused(), 1, "a refused renewal is no storm");
    desk.clock.advance(Duration::from_secs(301));
    assert_eq!(code(&driver.prepare(desk.clock.wall()).await), "done");
    assert_eq!(refused(), 2);
}

#[tokio::test]
async fn both_dates_of_the_terminal_are_read() {
    for english_dates in [true, false] {
        let desk = desk(|options| options.english_dates = english_dates).await;
        desk.ready().await;
        assert_eq!(desk.vault.json()["until"], NOON.0 + 24 * 3_600_000);
    }
}

// ---- the probe ----

#[tokio::test]
async fn the_probe_says_how_the_terminal_is_and_disturbs_nobody() {
    let desk = desk(|options| options.auto_allow = false).await;
    let mut driver = desk.driver();
    for _ in 0..3 {
        assert_eq!(health(&driver.probe(NOON).await), "bad not_registered");
    }
    assert_eq!(desk.till().screen(), Screen::Idle, "a probe is no registration");
    let (prepared, ()) = tokio::join!(driver.prepare(NOON), async {
        desk.till().until(|till| till.screen() == Screen::Register { name: "kassad-7f".to_owned() }).await;
        assert!(desk.till().tap_allow());
    });
    assert_eq!(code(&prepared), "done");
    assert_eq!(health(&driver.probe(NOON).await), "good");
    assert!(desk.till().forbid("kassad-7f"));
    assert_eq!(health(&driver.probe(NOON).await), "bad no_access");
    desk.till().faults().set_down(true);
    let off = loop {
        // The switch needs a turn of the accept loop; until then a connection breaks without an answer.
        match health(&driver.probe(NOON).await) {
            word if word == "bad terminal_off" => break word,
            word => assert_eq!(word, "bad no_link"),
        }
    };
    assert_eq!(off, "bad terminal_off");
    assert!(desk.till().operations().is_empty());
    assert_eq!(desk.till().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn the_probe_knows_strangers_and_the_settings_that_do_not_fit() {
    let desk = desk(|options| options.protected = false).await;
    let mut open = desk.driver_at(&desk.base(), &[("protected", Value::Flag(false))]);
    assert_eq!(code(&open.prepare(NOON).await), "done");
    assert_eq!(health(&open.probe(NOON).await), "warns unprotected");
    // Protection is switched on at the terminal, and our settings say it is off: no token is asked for by ourselves.
    desk.till().set_protected(true);
    assert_eq!(health(&open.probe(NOON).await), "bad no_access");
    assert_eq!(code(&open.start(&collect(SUM)).await), "not sent no_access");
    assert_eq!(desk.till().screen(), Screen::Idle);
    // The control page of the sandbox is a web server, and no terminal.
    let stranger = desk.world.control_url().trim_end_matches('/').to_owned();
    let mut stranger = desk.driver_at(&stranger, &[]);
    assert_eq!(health(&stranger.probe(NOON).await), "bad not_terminal");
    assert_eq!(code(&stranger.prepare(NOON).await), "not sent not_terminal", "no sum goes there");
    // The older API is spoken only where it is asked for: this terminal does not know it.
    let old = [("protected", Value::Flag(false)), ("api", text("v1"))];
    let mut old = desk.driver_at(&desk.base(), &old);
    assert!(matches!(old.start(&collect(SUM)).await, Outcome::Unknown(_)));
    assert!(desk.till().operations().is_empty());
    let fault = |keys: Keys<'_>| KaspiSmartPos::open(&desk.setup(&desk.base(), keys)).err().map(|fault| fault.key);
    assert_eq!(fault(&[("api", text("v1"))]), Some("api"), "the older one has no tokens");
    assert_eq!(fault(&[("api", text("v3"))]), Some("api"));
}

#[tokio::test]
async fn the_page_says_how_the_terminal_is_before_the_cashier_needs_it() {
    let shop = Counter::open().await;
    let device = async || {
        let status = shop.get("/api/v1/status?lang=ru").await.body;
        let devices = status["devices"].as_array().cloned().unwrap_or_default();
        devices.into_iter().find(|device| device["role"] == "terminal").unwrap_or_default()
    };
    shop.until("it is up", async || device().await["state"] == "up").await;
    shop.till().faults().set_down(true);
    shop.until("it is down", async || device().await["state"] == "down").await;
    shop.until("the cure is told", async || device().await["text"].as_str().unwrap_or_default().contains("Kaspi Pay"))
        .await;
    shop.till().faults().set_down(false);
    shop.until("it is up again", async || device().await["state"] == "up").await;
    assert_eq!(shop.till().violations(), Vec::<String>::new());
    // Settings that work and should not stay so are yellow, and take money all the same.
    let mut shop = shop;
    shop.stop().await;
    shop.till().set_protected(false);
    let file = shop.folder.path().join("kassad.toml");
    shop.config();
    let config = std::fs::read_to_string(&file).unwrap().replace("protected = true", "protected = false");
    let config = kassad::config::Config::parse(&config, shop.folder.path()).unwrap();
    shop.start_with(&config).await;
    let warns = async || {
        let status = shop.get("/api/v1/status?lang=ru").await.body;
        status["devices"].as_array().is_some_and(|all| {
            all.iter().any(|one| one["state"] == "warn" && one["text"].as_str().unwrap_or_default().contains("Защит"))
        })
    };
    shop.until("it warns", warns).await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.till().guest_pays_qr());
    shop.is_sold_once(order, &id, 0, 6_100).await;
    shop.close().await;
}

// ---- TLS ----

async fn tls_desk(name: &str, validity: Validity) -> (Desk, Authority) {
    let authority = Authority::new().unwrap();
    let identity = authority.issue(name, validity).unwrap();
    (desk(|options| options.tls = Some(identity)).await, authority)
}

#[tokio::test]
async fn f13_a_terminal_is_verified_by_its_name_while_its_address_is_dialled() {
    let (desk, authority) = tls_desk(TERMINAL_NAME, Validity::Always).await;
    assert!(desk.base().starts_with("https://127.0.0.1:"));
    let file = text(desk.authority_file(&authority).to_str().unwrap());
    // The name of the wildcard by default, and any other below it.
    for keys in [vec![], vec![("tls_name", text("till7.kaspipos.kz"))]] {
        let keys: Vec<_> = keys.into_iter().chain([("ca_file", file.clone())]).collect();
        let mut driver = desk.driver_at(&desk.base(), &keys);
        assert_eq!(code(&driver.prepare(NOON).await), "done");
        assert_eq!(health(&driver.probe(NOON).await), "good");
        let paid = desk.charged(&mut driver, Terminal::guest_pays_qr).await;
        assert_eq!(paid.amount, SUM);
    }
}

#[tokio::test]
async fn f13_each_failure_of_tls_has_its_own_name_and_nothing_is_sent() {
    let ours = Authority::new().unwrap();
    let theirs = Authority::new().unwrap();
    let cases = [
        ("tls_name", ours.issue("till.elsewhere.kz", Validity::Always), "elsewhere"),
        ("tls_expired", ours.issue(TERMINAL_NAME, Validity::Over), " > 01.01.2020"),
        ("tls_clock", ours.issue(TERMINAL_NAME, Validity::Ahead), " < 01.01.4000"),
        ("tls_issuer", theirs.issue(TERMINAL_NAME, Validity::Always), "BadSignature"),
    ];
    for (wanted, identity, detail) in cases {
        let desk = desk(|_| {}).await;
        let file = text(desk.authority_file(&ours).to_str().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let mut driver = desk.driver_at(&address, &[("ca_file", file), ("protected", Value::Flag(false))]);
        let story = async {
            let started = driver.start(&collect(SUM)).await;
            let Outcome::NotSent(reason) = &started else { panic!("{wanted}: {started:?}") };
            assert_eq!(reason.code, wanted);
            assert!(reason.detail.contains(detail), "{wanted}: {}", reason.detail);
            assert!(i18n::is_known(&reason.code));
            assert_eq!(health(&driver.probe(NOON).await), format!("bad {wanted}"));
        };
        // Everything that came through the handshake; there is nothing.
        let acceptor = identity.unwrap().acceptor();
        let serve = async {
            let mut heard = Vec::new();
            for _ in 0..2 {
                let (socket, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    let _ended = stream.read_to_end(&mut heard).await;
                }
            }
            heard
        };
        let ((), heard) = tokio::join!(story, serve);
        assert_eq!(String::from_utf8_lossy(&heard), "", "{wanted}");
    }
}

#[tokio::test]
async fn f13_an_authority_that_nobody_named_is_not_believed_and_insecure_must_be_asked_for() {
    let (desk, _) = tls_desk("till.elsewhere.kz", Validity::Always).await;
    let mut strict = desk.driver_at(&desk.base(), &[]);
    assert_eq!(health(&strict.probe(NOON).await), "bad tls_issuer");
    assert_eq!(code(&strict.prepare(NOON).await), "not sent tls_issuer");
    let mut blind = desk.driver_at(&desk.base(), &[("insecure", Value::Flag(true))]);
    assert_eq!(code(&blind.prepare(NOON).await), "done");
    assert_eq!(health(&blind.probe(NOON).await), "warns insecure_tls");
    desk.charged(&mut blind, Terminal::guest_pays_card).await;
}

#[tokio::test]
async fn f13_a_terminal_that_wants_tls_and_settings_without_it() {
    let (desk, _) = tls_desk(TERMINAL_NAME, Validity::Always).await;
    let plain = desk.base().replace("https://", "http://");
    let mut driver = desk.driver_at(&plain, &[("protected", Value::Flag(false))]);
    assert_eq!(health(&driver.probe(NOON).await), "bad not_terminal");
    // A sum sent there would be a red line that nobody can clear: it is kept back until somebody mends the settings.
    assert_eq!(code(&driver.prepare(NOON).await), "not sent not_terminal");
}

#[tokio::test]
async fn f13_settings_of_trust_that_contradict_each_other_are_refused() {
    let desk = desk(|_| {}).await;
    let path = desk.authority_file(&Authority::new().unwrap());
    let (file, insecure) = (("ca_file", text(path.to_str().unwrap())), ("insecure", Value::Flag(true)));
    let fault = |address: &str, keys: Keys<'_>| KaspiSmartPos::open(&desk.setup(address, keys)).err().map(|it| it.key);
    let (tls, plain) = ("https://10.0.0.5:8080", "http://10.0.0.5:8080");
    assert_eq!(fault(tls, std::slice::from_ref(&file)), None);
    assert_eq!(fault(tls, &[file.clone(), insecure.clone()]), Some("ca_file"));
    assert_eq!(fault(tls, &[("tls_name", text("a.kaspipos.kz")), insecure]), Some("tls_name"));
    assert_eq!(fault(plain, &[file]), Some("ca_file"), "no certificate without https");
    assert_eq!(fault(tls, &[("ca_file", text("/nowhere/ca.pem"))]), Some("ca_file"));
    for garbage in ["", "no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&path, garbage).unwrap();
        assert_eq!(fault(tls, &[("ca_file", text(path.to_str().unwrap()))]), Some("ca_file"), "{garbage}");
    }
}

#[tokio::test]
async fn f13_https_never_becomes_http() {
    // A terminal whose protection was switched off: it speaks plain HTTP on the same port, and would take a payment by it.
    let desk = desk(|options| options.protected = false).await;
    let address = desk.base().replace("http://", "https://");
    let (port, heard) =
        (desk.base().rsplit(':').next().unwrap().parse::<u16>().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let proxy = Proxy::open(SocketAddr::from(([127, 0, 0, 1], port)), Cut::Nowhere).await;
    let through = address.replace(&format!(":{port}"), &format!(":{}", proxy.port));
    for keys in [vec![], vec![("insecure", Value::Flag(true))], vec![("protected", Value::Flag(false))]] {
        let mut driver = desk.driver_at(&through, &keys);
        let story = async {
            assert_eq!(health(&driver.probe(NOON).await), "bad tls_speech");
            for _ in 0..3 {
                assert_eq!(code(&driver.start(&collect(SUM)).await), "not sent tls_speech");
            }
            assert_eq!(health(&driver.probe(NOON).await), "bad tls_speech");
        };
        tokio::select! {
            () = story => {}
            () = proxy.serve(&heard) => {}
        }
    }
    let heard = heard.lock().unwrap();
    assert!(heard.len() >= 15, "{}", heard.len());
    // 0x16 opens a TLS handshake; a downgrade would open with "GET".
    assert!(heard.iter().all(|first| *first == 0x16), "{heard:?}");
    assert!(desk.till().operations().is_empty());
}

// ---- a wire that breaks ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Nowhere,
    /// After this many bytes towards the terminal.
    Request(usize),
    /// After this many bytes of the answer.
    Answer(usize),
}

/// A stretch of wire that breaks where it is told to.
struct Proxy {
    listener: TcpListener,
    port: u16,
    to: SocketAddr,
    cut: Mutex<Cut>,
    /// Bytes that passed in the last connection, there and back.
    passed: Mutex<(usize, usize)>,
}

impl Proxy {
    async fn open(to: SocketAddr, cut: Cut) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Proxy { listener, port, to, cut: Mutex::new(cut), passed: Mutex::new((0, 0)) }
    }

    fn set(&self, cut: Cut) {
        *self.cut.lock().unwrap() = cut;
        *self.passed.lock().unwrap() = (0, 0);
    }

    /// What passed in the last connection, once it is closed on both sides.
    async fn passed(&self) -> (usize, usize) {
        loop {
            let passed = *self.passed.lock().unwrap();
            if passed != (0, 0) {
                return passed;
            }
            tokio::task::yield_now().await;
        }
    }

    /// One connection after the other, for ever; keeps the first byte of each.
    async fn serve(&self, firsts: &Mutex<Vec<u8>>) {
        loop {
            let (near, _) = self.listener.accept().await.unwrap();
            let far = TcpStream::connect(self.to).await.unwrap();
            self.carry(near, far, firsts).await;
        }
    }

    async fn carry(&self, mut near: TcpStream, mut far: TcpStream, firsts: &Mutex<Vec<u8>>) {
        let cut = *self.cut.lock().unwrap();
        let (there_max, back_max) = match cut {
            Cut::Nowhere => (usize::MAX, usize::MAX),
            Cut::Request(bytes) => (bytes, usize::MAX),
            Cut::Answer(bytes) => (usize::MAX, bytes),
        };
        let (mut there, mut back) = (0, 0);
        let (mut question, mut answer) = ([0; 4096], [0; 4096]);
        while there < there_max && back < back_max {
            tokio::select! {
                read = near.read(&mut question) => {
                    let count = read.unwrap_or(0);
                    if there == 0 {
                        firsts.lock().unwrap().extend(question.iter().take(count.min(1)));
                    }
                    let passes = count.min(there_max - there);
                    if count == 0 || far.write_all(&question[..passes]).await.is_err() {
                        break;
                    }
                    there += passes;
                }
                read = far.read(&mut answer) => {
                    let count = read.unwrap_or(0);
                    let passes = count.min(back_max - back);
                    if count == 0 || near.write_all(&answer[..passes]).await.is_err() {
                        break;
                    }
                    back += passes;
                }
            }
        }
        *self.passed.lock().unwrap() = (there, back);
    }
}

/// What is asked while the wire breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Payment,
    Refund,
    Status,
}

/// Breaks the wire at each of these places during one call and judges every word that the driver said about it.
///
/// The last `tail` bytes of each direction are spared: under TLS the farewell comes after the answer.
async fn break_everywhere(desk: &Desk, keys: Keys<'_>, step: usize, tail: usize) -> usize {
    let direct = desk.base();
    let port = direct.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let proxy = Proxy::open(SocketAddr::from(([127, 0, 0, 1], port)), Cut::Nowhere).await;
    let through = direct.replace(&format!(":{port}"), &format!(":{}", proxy.port));
    let mut honest = desk.driver_at(&direct, keys);
    assert_eq!(code(&honest.prepare(NOON).await), "done");
    let paid = desk.charged(&mut honest, Terminal::guest_pays_qr).await;
    let story = async {
        let mut broken = 0;
        for call in [Call::Payment, Call::Refund, Call::Status] {
            proxy.set(Cut::Nowhere);
            let whole = one_call(desk, &through, keys, call, &paid).await;
            assert_eq!(whole, "done");
            let (there, back) = proxy.passed().await;
            assert!(there > 50 && back > 50, "{call:?}: {there} there, {back} back");
            let requests = (0..there - tail).step_by(step).map(Cut::Request);
            let answers = (0..back - tail).step_by(step).map(Cut::Answer);
            for cut in requests.chain(answers) {
                proxy.set(cut);
                let said = one_call(desk, &through, keys, call, &paid).await;
                assert_ne!(said, "done", "{call:?} {cut:?}: an answer that never came whole");
                broken += 1;
            }
        }
        // Nobody listens: surely nothing left.
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nowhere = direct.replace(&format!(":{port}"), &format!(":{}", nobody.local_addr().unwrap().port()));
        drop(nobody);
        for call in [Call::Payment, Call::Refund, Call::Status] {
            assert_eq!(one_call(desk, &nowhere, keys, call, &paid).await, "not sent no_link", "{call:?}");
        }
        broken
    };
    let firsts = Mutex::default();
    tokio::select! {
        broken = story => broken,
        () = proxy.serve(&firsts) => panic!("the proxy ended"),
    }
}

/// One call over the breaking wire by a driver that was never used; the terminal's own books judge what it says.
async fn one_call(desk: &Desk, address: &str, keys: Keys<'_>, call: Call, paid: &Evidence) -> String {
    let till = desk.till();
    let before = till.operations().len();
    let sale = till.operations().iter().find(|one| !one.is_refund && one.charged).unwrap().process_id.clone();
    let mut driver = desk.driver_at(address, keys);
    let said = match call {
        Call::Payment => code(&driver.start(&collect(Tiyn(100))).await),
        Call::Refund => code(&driver.give_back(&back(Tiyn(100), paid)).await),
        Call::Status => code(&driver.inquire(&asked(Act::Payment, &Handle(sale), SUM)).await),
    };
    let begun = till.operations().len() - before;
    match said.split(' ').next().unwrap() {
        "done" => assert_eq!(begun, usize::from(call != Call::Status)),
        "not" => assert_eq!(begun, 0, "{call:?}: {said}, and the terminal took it"),
        "unknown" => assert!(begun <= 1, "{call:?}: repeated after a lost answer"),
        other => panic!("{call:?}: a broken wire judged as {other}"),
    }
    // What was begun leaves the screen without money.
    let _was_waiting = till.guest_walks_away();
    assert!(till.operations().iter().all(|one| one.status != OperationStatus::Wait));
    said
}

#[tokio::test]
async fn f08_the_wire_breaks_at_every_byte_and_nothing_is_judged_wrongly() {
    let desk = desk(|_| {}).await;
    let broken = break_everywhere(&desk, &[], 1, 0).await;
    assert!(broken > 1_000, "{broken} places");
}

#[tokio::test]
async fn f08_the_wire_breaks_under_tls_in_the_handshake_and_after_it() {
    let (desk, authority) = tls_desk(TERMINAL_NAME, Validity::Always).await;
    let file = text(desk.authority_file(&authority).to_str().unwrap());
    let broken = break_everywhere(&desk, &[("ca_file", file)], 37, 64).await;
    assert!(broken > 100, "{broken} places");
}

#[tokio::test]
async fn f08_a_connection_that_closes_before_the_answer_is_unknown_for_a_refund_too() {
    let desk = desk(|_| {}).await;
    let mut driver = desk.ready().await;
    let paid = desk.charged(&mut driver, Terminal::guest_pays_qr).await;
    for fault in [Fault::LoseReply, Fault::Garbage, Fault::Truncated] {
        desk.till().faults().once("refund", fault);
        let said = driver.give_back(&back(Tiyn(100), &paid)).await;
        assert!(matches!(said, Outcome::Unknown(_)), "{fault:?}: {said:?}");
        assert!(desk.till().guest_walks_away(), "it did begin, once");
    }
    assert_eq!(desk.till().operations().iter().filter(|one| one.is_refund).count(), 3);
}

/// The identity of a server hides its key.
#[test]
fn an_identity_shows_nothing() {
    let identity: Identity = Authority::new().unwrap().issue(TERMINAL_NAME, Validity::Always).unwrap();
    assert_eq!(format!("{identity:?}"), "Identity(•••)");
}
