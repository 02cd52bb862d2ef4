//! ZVT against the sandbox terminal: whole dialogues as golden text in `tests/dialogues/` (`>` leaves us, `<` leaves the terminal, `#`
//! happens outside, `=` is what we make of it; `KASSAD_BLESS=1` writes them anew), deadlines, and garbage. The bench made here serves
//! `tests/zvt.rs` too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, missing_docs)]

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kassad::domain::ids::{Handle, Reference};
use kassad::domain::money::Tiyn;
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::time::Wall;
use kassad::drivers::terminal::zvt::dialogue::{Care, Dialogue, Event, Pace, T2, Timer};
use kassad::drivers::terminal::zvt::frame::{self, Arrival, Deframer, Framing};
use kassad::drivers::terminal::zvt::packet::{self, Apdu, StatusInfo};
use kassad::drivers::terminal::zvt::{Settings, Zvt};
use kassad::drivers::{Act, Asked, Build, Collect, GiveBack, Health, KINDS, Setup, Standing, Terminal, Vault};
use kassad::host::clock::{Clock, Monotonic};
use kassad::sandbox::zvt::{Direct, Guest, Hurt, Kind, Quirk, Way, ZvtTerminal};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const SECOND: Duration = Duration::from_secs(1);
pub const SUM: Tiyn = Tiyn(1_240_000);
pub const NOW: Wall = Wall(1_795_248_000_000);

// ---- a driver at a terminal ----

#[derive(Default)]
pub struct Notes(Mutex<BTreeMap<String, String>>);

impl Vault for Notes {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(self.0.lock().unwrap().get(name).cloned()))
    }

    fn store<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), Reason>> {
        self.0.lock().unwrap().insert(name.to_owned(), text);
        Box::pin(std::future::ready(Ok(())))
    }
}

pub struct Bench {
    pub clock: Clock,
    pub terminal: Arc<ZvtTerminal>,
    pub driver: Zvt,
    pub vault: Arc<Notes>,
    pub framing: Framing,
    pub count: u32,
    pub told: String,
}

/// Everything on a cable in memory is ready at once: the cable itself moves the clock.
pub fn done<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits on a cable in memory")
}

impl Bench {
    pub fn new() -> Bench {
        Bench::over(Framing::Serial)
    }

    pub fn over(framing: Framing) -> Bench {
        let clock = Clock::manual(NOW);
        let terminal = ZvtTerminal::new(framing, clock.clone());
        let vault = Arc::new(Notes::default());
        let driver = driver(&terminal, &vault, framing);
        Bench { clock, terminal, driver, vault, framing, count: 0, told: String::new() }
    }

    /// The daemon starts again: only the ledger and the vault remember.
    pub fn restart(&mut self) {
        self.note("our daemon starts again");
        self.driver = driver(&self.terminal, &self.vault, self.framing);
    }

    /// Time passes, and the terminal does not wait for us.
    pub fn pass(&self, span: Duration) {
        let end = self.clock.now().plus(span);
        while self.clock.now() < end {
            self.clock.advance(end.since(self.clock.now()).min(SECOND / 2));
            self.terminal.act();
        }
    }

    pub fn ask(&mut self, amount: Tiyn) -> Collect {
        self.count += 1;
        let reference = Reference(format!("shop-1-1-{}", self.count));
        Collect { amount, reference, description: String::new(), phone: None }
    }

    /// What the worker does: makes ready, keeps the name, starts.
    pub fn pay(&mut self, amount: Tiyn) -> (Option<Handle>, Outcome<Handle>) {
        let ask = self.ask(amount);
        let ready = done(self.driver.prepare(NOW));
        if ready != Outcome::Done(()) {
            self.tell("prepare", &ready);
            return (None, ready.map(|()| Handle(String::new())));
        }
        let handle = self.driver.handle_before(&ask.reference);
        let started = done(self.driver.start(&ask));
        self.tell("start", &started);
        (handle, started)
    }

    pub fn paid(&mut self, amount: Tiyn) -> Standing {
        let (handle, started) = self.pay(amount);
        assert!(matches!(started, Outcome::Done(_)), "{started:?}");
        self.finish(&handle.unwrap(), amount)
    }

    pub fn look(&mut self, act: Act, handle: &Handle, amount: Tiyn) -> Outcome<Standing> {
        done(self.driver.inquire(&Asked { act, handle: handle.clone(), amount }))
    }

    /// Asks until it is clear, at the worker's pace.
    pub fn finish(&mut self, handle: &Handle, amount: Tiyn) -> Standing {
        for _ in 0..900 {
            match self.look(Act::Payment, handle, amount) {
                Outcome::Done(Standing::Pending(_)) => {}
                Outcome::Done(standing) => {
                    self.tell("inquire", &standing);
                    return standing;
                }
                lost => self.tell("inquire", &lost),
            }
            self.pass(SECOND / 2);
        }
        panic!("it never ends\n{}", self.told);
    }

    // ---- the transcript ----

    pub fn note(&mut self, what: &str) {
        self.hear();
        self.told += &format!("# {what}\n");
    }

    pub fn tell(&mut self, call: &str, what: &impl std::fmt::Debug) {
        self.hear();
        self.told += &format!("= {call}: {what:?}\n");
    }

    pub fn hear(&mut self) {
        for (way, bytes) in self.terminal.said() {
            let mark = if way == Way::ToTerminal { '>' } else { '<' };
            for (piece, meaning) in pieces(&bytes) {
                let hex: Vec<String> = piece.iter().map(|byte| format!("{byte:02X}")).collect();
                self.told += &format!("{mark} {:<54} ; {meaning}\n", hex.join(" "));
            }
        }
    }
}

fn driver(terminal: &Arc<ZvtTerminal>, vault: &Arc<Notes>, framing: Framing) -> Zvt {
    let settings = Settings { framing, ..Settings::usual() };
    Zvt::over(Box::new(Direct::new(terminal)), settings, vault.clone(), "counter")
}

/// The frames and control bytes in a piece of a conversation, with what they say.
fn pieces(bytes: &[u8]) -> Vec<(Vec<u8>, String)> {
    let mut deframer = Deframer::new(Framing::Serial);
    let (mut found, mut raw) = (Vec::new(), Vec::new());
    for byte in bytes {
        raw.push(*byte);
        let meaning = match deframer.take(*byte) {
            None => continue,
            Some(Arrival::Ack) => "received".to_owned(),
            Some(Arrival::Nak) => "not received".to_owned(),
            Some(Arrival::Broken) => "broken".to_owned(),
            Some(Arrival::Apdu(apdu)) => meaning(&Apdu::from_bytes(&apdu).unwrap()),
        };
        found.push((std::mem::take(&mut raw), meaning));
    }
    assert!(raw.is_empty(), "half a frame: {raw:02X?}");
    found
}

fn meaning(apdu: &Apdu) -> String {
    let code = apdu.data.first().copied().unwrap_or_default();
    let word = |code| packet::result_word(code).unwrap_or("of no table");
    match apdu.control {
        packet::REGISTRATION => "registration".to_owned(),
        packet::PAYMENT => format!("payment {}", StatusInfo::read(&apdu.data).amount.unwrap().decimal()),
        packet::REFUND => format!("refund {}", StatusInfo::read(&apdu.data[3..]).amount.unwrap().decimal()),
        packet::REVERSAL => format!("reversal of receipt {}", StatusInfo::read(&apdu.data[3..]).receipt.unwrap()),
        packet::REPEAT_RECEIPT => "repeat receipt".to_owned(),
        packet::END_OF_DAY => "end of day".to_owned(),
        packet::STATUS_ENQUIRY => "status enquiry".to_owned(),
        packet::ABORT => "abort".to_owned(),
        packet::COMPLETION => "completion".to_owned(),
        packet::ABORTED => format!("aborted: {}", word(code)),
        packet::INTERMEDIATE_STATUS => format!("status: {}", packet::progress_word(code)),
        packet::PRINT_LINE => format!("print: {}", packet::text(&apdu.data[1..])),
        packet::STATUS_INFORMATION => {
            let info = StatusInfo::read(&apdu.data);
            let sum = info.amount.map(|sum| format!(" {}", sum.decimal())).unwrap_or_default();
            let receipt = info.receipt.map(|receipt| format!(", receipt {receipt}")).unwrap_or_default();
            format!("result: {}{sum}{receipt}", word(info.result.unwrap()))
        }
        [0x80, _] => "taken".to_owned(),
        [0x84, 0x9C] => "needs more time".to_owned(),
        [0x84, code] => format!("denied: {}", word(code)),
        other => format!("{other:02X?}"),
    }
}

// ---- golden dialogues ----

type Case = (&'static str, fn(&mut Bench));

/// A guest who pays after five seconds.
pub fn with_guest(bench: &mut Bench, guest: Guest) {
    bench.terminal.set_will(Some((5 * SECOND, guest)));
}

/// A terminal with one older payment, and a driver that is ready: the dialogue begins with the payment.
pub fn warm(bench: &mut Bench) {
    with_guest(bench, Guest::Pays);
    bench.paid(Tiyn(500_000));
    bench.hear();
    bench.told.clear();
}

/// The line breaks after the guest was asked; then something happens; then it is whole again.
fn broken(bench: &mut Bench, meanwhile: impl Fn(&ZvtTerminal)) -> Standing {
    warm(bench);
    bench.terminal.set_will(None);
    let (handle, _) = bench.pay(SUM);
    bench.note("the line breaks");
    bench.terminal.cut(true);
    meanwhile(&bench.terminal);
    bench.restart();
    let handle = handle.unwrap();
    let lost = bench.look(Act::Payment, &handle, SUM);
    bench.tell("inquire", &lost);
    assert!(matches!(lost, Outcome::NotSent(_) | Outcome::Unknown(_)), "{lost:?}");
    bench.pass(120 * SECOND);
    bench.note("two minutes later the line is whole");
    bench.terminal.cut(false);
    let standing = bench.look(Act::Payment, &handle, SUM);
    bench.tell("inquire", &standing);
    match standing {
        Outcome::Done(standing) => standing,
        other => panic!("{other:?}"),
    }
}

const CASES: &[Case] = &[
    ("registration", |bench| {
        let ready = done(bench.driver.prepare(NOW));
        bench.tell("prepare", &ready);
        assert_eq!(ready, Outcome::Done(()));
    }),
    ("payment_approved", |bench| {
        warm(bench);
        assert!(matches!(bench.paid(SUM), Standing::Paid(evidence) if evidence.amount == SUM));
    }),
    ("payment_declined", |bench| {
        warm(bench);
        with_guest(bench, Guest::Declines);
        assert!(matches!(bench.paid(SUM), Standing::Failed(reason) if reason.code == "terminal_failed"));
    }),
    ("payment_aborted_by_the_guest", |bench| {
        warm(bench);
        with_guest(bench, Guest::WalksAway);
        assert!(matches!(bench.paid(SUM), Standing::Failed(reason) if reason.code == "cancelled"));
    }),
    ("intermediate_status_while_the_guest_looks_for_a_card", |bench| {
        warm(bench);
        bench.terminal.set_will(Some((14 * SECOND, Guest::Pays)));
        let (handle, _) = bench.pay(SUM);
        let handle = handle.unwrap();
        for _ in 0..8 {
            let pending = bench.look(Act::Payment, &handle, SUM);
            assert_eq!(pending, Outcome::Done(Standing::Pending("card".into())));
            bench.pass(SECOND);
        }
        assert!(matches!(bench.finish(&handle, SUM), Standing::Paid(_)));
    }),
    ("nak_and_repeat", |bench| {
        warm(bench);
        let ask = bench.ask(SUM);
        let _ready = done(bench.driver.prepare(NOW));
        bench.terminal.set_quirk(Quirk::Nak(2));
        let started = done(bench.driver.start(&ask));
        bench.tell("start", &started);
        let Outcome::Done(handle) = started else { panic!("{started:?}") };
        assert!(matches!(bench.finish(&handle, SUM), Standing::Paid(_)));
        assert_eq!(bench.terminal.payments_begun(), 2, "with the one before it");
    }),
    ("wrong_checksum_of_the_result", |bench| {
        warm(bench);
        let (handle, _) = bench.pay(SUM);
        // ACK and "taken" are out; the next frames are two of status and the result.
        bench.terminal.hurt(Way::ToTill, 60, Hurt::Changed);
        bench.note("one byte of a later frame arrives as another");
        assert!(matches!(bench.finish(&handle.unwrap(), SUM), Standing::Paid(_)));
        bench.hear();
        assert!(bench.told.contains("15 "), "a frame was refused");
    }),
    ("lost_ack_of_the_payment", |bench| {
        warm(bench);
        let ask = bench.ask(SUM);
        let _ready = done(bench.driver.prepare(NOW));
        bench.note("the byte that acknowledges the payment is lost");
        bench.terminal.hurt(Way::ToTill, 0, Hurt::Lost);
        let started = done(bench.driver.start(&ask));
        bench.tell("start", &started);
        let Outcome::Done(handle) = started else { panic!("{started:?}") };
        assert!(matches!(bench.finish(&handle, SUM), Standing::Paid(_)));
    }),
    ("duplicate_of_the_result_after_our_answer_was_lost", |bench| {
        warm(bench);
        bench.terminal.set_will(None);
        let (handle, _) = bench.pay(SUM);
        let handle = handle.unwrap();
        let _pending = bench.look(Act::Payment, &handle, SUM);
        bench.terminal.guest(Guest::Pays);
        let _pending = bench.look(Act::Payment, &handle, SUM);
        bench.note("our next answer is lost");
        bench.terminal.hurt(Way::ToTerminal, 0, Hurt::Cut);
        while !bench.terminal.is_cut() {
            let _pending = bench.look(Act::Payment, &handle, SUM);
        }
        bench.note("the line is whole");
        bench.terminal.cut(false);
        assert!(matches!(bench.finish(&handle, SUM), Standing::Paid(_)));
        assert_eq!(bench.terminal.books().len(), 2);
    }),
    ("reversal_of_the_whole_sum", |bench| {
        warm(bench);
        let Standing::Paid(evidence) = bench.paid(SUM) else { panic!() };
        bench.told.clear();
        assert_eq!(give_back(bench, SUM, &evidence.transaction), "paid");
        let books = bench.terminal.books();
        assert!(books[1].is_reversed && books[2].kind == Kind::Reversal, "{books:?}");
    }),
    ("refund_of_a_part", |bench| {
        warm(bench);
        let Standing::Paid(evidence) = bench.paid(SUM) else { panic!() };
        bench.told.clear();
        assert_eq!(give_back(bench, Tiyn(200_000), &evidence.transaction), "paid");
        let books = bench.terminal.books();
        assert_eq!((books[2].kind, books[2].amount), (Kind::Refund, Tiyn(200_000)));
    }),
    ("reversal_denied_then_refund", |bench| {
        warm(bench);
        let Standing::Paid(evidence) = bench.paid(SUM) else { panic!() };
        // Somebody made the end of day on the terminal itself: we do not know of it.
        bench.told.clear();
        bench.note("somebody makes the end of day by another till");
        assert!(matches!(done(driver(&bench.terminal, &bench.vault, bench.framing).settlement()), Outcome::Done(_)));
        bench.vault.0.lock().unwrap().clear();
        bench.terminal.said();
        assert_eq!(give_back(bench, SUM, &evidence.transaction), "failed");
        assert_eq!(give_back(bench, SUM, &evidence.transaction), "paid");
        assert_eq!(bench.terminal.books()[2].kind, Kind::Refund);
    }),
    ("end_of_day", |bench| {
        warm(bench);
        let slip = done(bench.driver.settlement());
        bench.tell("settlement", &slip);
        assert_eq!(slip, Outcome::Done("END OF DAY\nCOUNT 1\nTOTAL 5000".to_owned()));
    }),
    ("abort", |bench| {
        warm(bench);
        bench.terminal.set_will(None);
        let (handle, _) = bench.pay(SUM);
        let handle = handle.unwrap();
        let stopped = done(bench.driver.abort(&handle));
        bench.tell("abort", &stopped);
        assert_eq!(stopped, Outcome::Done(()));
        assert!(matches!(bench.finish(&handle, SUM), Standing::Failed(_)));
    }),
    ("abort_too_late", |bench| {
        warm(bench);
        bench.terminal.set_will(None);
        let (handle, _) = bench.pay(SUM);
        bench.terminal.guest(Guest::Pays);
        let stopped = done(bench.driver.abort(&handle.clone().unwrap()));
        bench.tell("abort", &stopped);
        assert!(matches!(stopped, Outcome::Refused(reason) if reason.code == "already_paid"));
        assert!(matches!(bench.finish(&handle.unwrap(), SUM), Standing::Paid(_)));
    }),
    ("last_result_paid", |bench| {
        bench.terminal.set_auto_reversal(false);
        let standing = broken(bench, |terminal| assert!(terminal.guest(Guest::Pays)));
        assert!(matches!(standing, Standing::Paid(evidence) if evidence.transaction == "0002/000102"));
    }),
    ("last_result_not_paid", |bench| {
        let standing = broken(bench, |terminal| assert!(terminal.guest(Guest::WalksAway)));
        assert!(matches!(standing, Standing::Failed(reason) if reason.code == "not_done"));
    }),
    ("last_result_undone_by_the_terminal_itself", |bench| {
        let standing = broken(bench, |terminal| assert!(terminal.guest(Guest::Pays)));
        assert!(matches!(standing, Standing::Unclear(reason) if reason.code == "other_transaction"));
    }),
    ("last_result_of_another_sum", |bench| {
        let standing = broken(bench, |terminal| {
            assert!(terminal.guest(Guest::WalksAway));
            terminal.by_hand(Tiyn(990_000));
        });
        assert!(matches!(standing, Standing::Unclear(reason) if reason.code == "other_transaction"));
    }),
    ("power_off_in_mid_payment_charged", |bench| {
        let standing = broken(bench, |terminal| {
            terminal.power_off(true);
            terminal.power_on();
        });
        assert!(matches!(standing, Standing::Paid(_)));
    }),
    ("power_off_in_mid_payment_not_charged", |bench| {
        let standing = broken(bench, |terminal| {
            terminal.power_off(false);
            terminal.power_on();
        });
        assert!(matches!(standing, Standing::Failed(reason) if reason.code == "not_done"));
    }),
    ("busy", |bench| quirky(bench, Quirk::Deny(0xA0), "NotSent(Reason { code: \"busy\"")),
    ("unsupported", |bench| quirky(bench, Quirk::Deny(0x83), "Refused(Reason { code: \"terminal_refused\"")),
    ("denied_for_a_reason_of_no_table", |bench| {
        quirky(bench, Quirk::Deny(0xF9), "Unknown(Reason { code: \"unmapped\"")
    }),
    ("needs_more_time", |bench| {
        warm(bench);
        let ask = bench.ask(SUM);
        let _ready = done(bench.driver.prepare(NOW));
        bench.terminal.set_quirk(Quirk::MoreTime(4 * SECOND));
        let started = done(bench.driver.start(&ask));
        bench.tell("start", &started);
        let Outcome::Done(handle) = started else { panic!("{started:?}") };
        assert!(matches!(bench.finish(&handle, SUM), Standing::Paid(_)));
    }),
    ("a_terminal_that_does_not_tell_its_last_transaction", |bench| {
        bench.terminal.forget_command(packet::REPEAT_RECEIPT);
        bench.terminal.set_will(None);
        let (handle, started) = bench.pay(SUM);
        assert!(matches!(started, Outcome::Done(_)));
        bench.terminal.guest(Guest::Pays);
        bench.restart();
        let handle = handle.unwrap();
        let standing = bench.finish(&handle, SUM);
        assert!(matches!(standing, Standing::Unclear(_)), "{standing:?}");
    }),
];

fn quirky(bench: &mut Bench, quirk: Quirk, expected: &str) {
    warm(bench);
    let ask = bench.ask(SUM);
    let _ready = done(bench.driver.prepare(NOW));
    bench.terminal.set_quirk(quirk);
    let started = done(bench.driver.start(&ask));
    bench.tell("start", &started);
    assert!(format!("{started:?}").starts_with(expected), "{started:?}");
    assert_eq!(bench.terminal.payments_begun(), 1, "only the one before it");
}

fn give_back(bench: &mut Bench, amount: Tiyn, transaction: &str) -> &'static str {
    let reference = bench.ask(amount).reference;
    let (method, transaction) = ("card".to_owned(), transaction.to_owned());
    let begun = done(bench.driver.give_back(&GiveBack { reference, amount, paid: SUM, method, transaction }));
    bench.tell("give back", &begun);
    let Outcome::Done(handle) = begun else { panic!("{begun:?}") };
    match bench.finish(&handle, amount) {
        Standing::Paid(evidence) if evidence.amount == amount => "paid",
        Standing::Failed(_) => "failed",
        other => panic!("{other:?}"),
    }
}

#[test]
fn dialogues_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let is_blessed = std::env::var_os("KASSAD_BLESS").is_some();
    let mut differing = Vec::new();
    for (name, play) in CASES {
        let mut bench = Bench::new();
        play(&mut bench);
        bench.hear();
        assert_eq!(bench.terminal.violations(), Vec::<String>::new(), "{name}");
        let path = folder.join(format!("{name}.txt"));
        if is_blessed {
            std::fs::write(&path, &bench.told).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != bench.told {
            differing.push(format!("{name}: now it is\n{}", bench.told));
        }
    }
    assert!(differing.is_empty(), "{} differ\n{}", differing.len(), differing.join("\n"));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), CASES.len());
    assert_eq!(CASES.len(), 26);
}

// ---- the dialogue alone ----

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

#[test]
fn silence_repeats_a_question_and_never_a_payment() {
    let question = packet::status_enquiry(Settings::usual().password);
    let payment = packet::payment(SUM, [0x03, 0x98]).unwrap();
    for (apdu, care, times) in [(question, Care::Harmless, 3), (payment, Care::Money, 1)] {
        let mut dialogue = Dialogue::new(Framing::Serial);
        assert!(dialogue.command(&apdu, care, Pace::Long, at(0)));
        assert!(!dialogue.command(&apdu, care, Pace::Long, at(0)), "one command at a time");
        let mut sent = Vec::new();
        for second in 0..30 {
            dialogue.tick(at(second));
            sent.extend(dialogue.output());
        }
        assert_eq!(sent, frame::encode(Framing::Serial, &apdu.to_bytes()).repeat(times));
        assert_eq!(dialogue.event(), Some(Event::Lost(Timer::T2)));
        assert_eq!((dialogue.event(), dialogue.deadline()), (None, None));
    }
}

#[test]
fn every_deadline_has_its_reason_and_progress_restarts_the_longest() {
    let frame = |bytes: &[u8]| frame::encode(Framing::Serial, bytes);
    let mut dialogue = Dialogue::new(Framing::Serial);
    dialogue.command(&packet::payment(SUM, [0x03, 0x98]).unwrap(), Care::Money, Pace::Long, at(0));
    assert_eq!(dialogue.deadline(), Some((at(0).plus(T2), Timer::T2)));
    dialogue.received(&[0x06, 0x10, 0x02, 0x80], at(1));
    assert_eq!(dialogue.deadline().map(|(_, timer)| timer), Some(Timer::T1));
    dialogue.tick(at(2));
    assert!(dialogue.output().ends_with(&[0x15]), "half a frame is asked for again");
    dialogue.received(&frame(&[0x80, 0x00, 0x00]), at(2));
    assert_eq!(dialogue.event(), Some(Event::Taken));
    assert_eq!(dialogue.deadline(), Some((at(182), Timer::T4)));
    dialogue.received(&frame(&[0x04, 0xFF, 0x01, 0x0A]), at(100));
    dialogue.received(&[0x06], at(100));
    assert_eq!(dialogue.event(), Some(Event::Progress(0x0A)));
    assert_eq!(dialogue.deadline(), Some((at(280), Timer::T4)));
    dialogue.tick(at(280));
    assert_eq!(dialogue.event(), Some(Event::Lost(Timer::T4)));
    let mut quick = Dialogue::new(Framing::Serial);
    quick.command(&packet::status_enquiry(Settings::usual().password), Care::Harmless, Pace::Quick, at(0));
    quick.received(&frame(&[0x80, 0x00, 0x00]), at(0));
    assert_eq!(quick.deadline(), Some((at(5), Timer::T3)));
}

#[test]
fn the_same_terminal_over_tcp_without_framing() {
    let mut bench = Bench::over(Framing::Tcp);
    with_guest(&mut bench, Guest::Pays);
    let Standing::Paid(evidence) = bench_paid(&mut bench) else { panic!() };
    assert_eq!((evidence.amount, evidence.transaction.as_str()), (SUM, "0001/000101"));
    assert_eq!(evidence.detail, "VISA, card *1210, terminal 10053862");
    let said = bench.terminal.said();
    assert!(said.iter().any(|(way, bytes)| *way == Way::ToTerminal && bytes.starts_with(&packet::PAYMENT)));
    assert_eq!(bench.terminal.violations(), Vec::<String>::new());
}

/// Without a transcript: TCP has no frames to show.
fn bench_paid(bench: &mut Bench) -> Standing {
    let ask = bench.ask(SUM);
    assert_eq!(done(bench.driver.prepare(NOW)), Outcome::Done(()));
    let Outcome::Done(handle) = done(bench.driver.start(&ask)) else { panic!() };
    for _ in 0..100 {
        match bench.look(Act::Payment, &handle, SUM) {
            Outcome::Done(Standing::Pending(_)) => bench.pass(SECOND / 2),
            Outcome::Done(standing) => return standing,
            lost => panic!("{lost:?}"),
        }
    }
    panic!("it never ends")
}

#[test]
fn a_probe_tells_green_yellow_and_red_and_starts_nothing() {
    let mut bench = Bench::new();
    let code = |health: Health| match health {
        Health::Good => "good".to_owned(),
        Health::Warns(reason) => format!("warns {}", reason.code),
        Health::Bad(reason) => format!("bad {}", reason.code),
    };
    let mut seen = Vec::new();
    for state in [0x00, 0xCC, 0x9C, 0xDF] {
        bench.terminal.set_state(state);
        seen.push(code(done(bench.driver.probe(NOW))));
    }
    bench.terminal.cut(true);
    seen.push(code(done(bench.driver.probe(NOW))));
    let words =
        ["good", "warns terminal_attention", "warns terminal_working", "bad terminal_attention", "bad line_silent"];
    assert_eq!(seen, words);
    assert_eq!((bench.terminal.payments_begun(), bench.terminal.books().len()), (0, 0));
}

#[test]
fn the_registry_builds_it_from_a_configuration() {
    let kind = KINDS.iter().find(|kind| kind.name == "zvt").unwrap();
    let Build::Terminal(build) = kind.build else { panic!() };
    let built = |address: &str, key: &str, number: i64| {
        let setup = Setup {
            name: "card".to_owned(),
            address: address.to_owned(),
            keys: BTreeMap::from([(key.to_owned(), kassad::drivers::Value::Number(number))]),
            secrets: BTreeMap::new(),
            vault: Arc::new(Notes::default()),
            installation: String::new(),
            utc_offset_s: 0,
            clock: Clock::manual(NOW),
        };
        build(&setup).map(|driver| driver.abilities().refund).map_err(|bad| bad.key)
    };
    assert_eq!(built("serial:/dev/ttyUSB0", "currency", 398), Ok(true));
    assert_eq!(built("tcp://10.0.0.9:20007", "currency", 398), Ok(true));
    assert_eq!(built("http://10.0.0.9", "currency", 398), Err("address"));
    assert_eq!(built("serial:/dev/ttyUSB0", "currency", 39_800), Err("currency"));
    assert_eq!(built("serial:/dev/ttyUSB0", "config_byte", 300), Err("config_byte"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_bring_any_bytes_back_in_any_pieces(apdu in prop::collection::vec(any::<u8>(), 0..600), noise in prop::collection::vec(0x20_u8..0x7F, 0..8)) {
        let mut bytes = noise;
        bytes.extend(frame::encode(Framing::Serial, &apdu));
        bytes.extend(frame::encode(Framing::Serial, &apdu));
        let mut deframer = Deframer::new(Framing::Serial);
        let arrivals: Vec<Arrival> = bytes.iter().filter_map(|byte| deframer.take(*byte)).collect();
        prop_assert_eq!(arrivals, vec![Arrival::Apdu(apdu.clone()), Arrival::Apdu(apdu)]);
        prop_assert!(!deframer.is_inside());
    }

    #[test]
    fn apdus_bring_their_data_back(control in any::<[u8; 2]>(), data in prop::collection::vec(any::<u8>(), 0..700)) {
        let apdu = Apdu::new(control, &data);
        prop_assert_eq!(Apdu::from_bytes(&apdu.to_bytes()), Some(apdu));
    }

    #[test]
    fn no_field_breaks_the_reader(data in prop::collection::vec(any::<u8>(), 0..400)) {
        let info = StatusInfo::read(&data);
        prop_assert!(info.amount.is_none_or(|sum| (0..=packet::AMOUNT_MAX).contains(&sum.0)));
        let _lines = packet::block_lines(&data);
        let _apdu = Apdu::from_bytes(&data);
    }

    /// Bytes that no terminal says, pressed into the most delicate moment; every second byte is one with a meaning.
    #[test]
    fn garbage_is_never_money(garbage in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(vec![0x02, 0x03, 0x04, 0x06, 0x0F, 0x10, 0x15, 0x27, 0x80, 0x84])], 0..600), piece in 1_usize..40) {
        let mut dialogue = Dialogue::new(Framing::Serial);
        dialogue.command(&packet::payment(SUM, [0x03, 0x98]).unwrap(), Care::Money, Pace::Long, at(0));
        dialogue.received(&[0x06], at(0));
        let _command = dialogue.output();
        let (mut now, mut events) = (at(0), Vec::new());
        for bytes in garbage.chunks(piece) {
            dialogue.received(bytes, now);
            now = now.plus(Duration::from_millis(150));
            dialogue.tick(now);
            events.extend(std::iter::from_fn(|| dialogue.event()));
            let sent = dialogue.output();
            prop_assert!(!sent.windows(2).any(|pair| pair == packet::PAYMENT));
        }
        let is_money = |event: &Event| matches!(event, Event::Status(info) if info.result == Some(0)) || matches!(event, Event::Ended(_));
        prop_assert!(!events.iter().any(is_money), "{:?}", events);
    }
}
