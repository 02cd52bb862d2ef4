//! The spooler against printers that behave: paper ends at every byte of a receipt, printers die, a backup does their work, drawers open
//! once. True workers, a true ledger, the sandbox's printers on lines inside the process, a clock that is moved.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

use kassad::domain::ids::{JobId, OrderId};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line, Milli, Snapshot, Tender};
use kassad::domain::paper::{Document, PaymentLine, Receipt, Ticket, TicketKind, TicketLine};
use kassad::domain::time::Wall;
use kassad::drivers::printer::{Ability, Letters, Profile};
use kassad::flows::collect::{self, Plan};
use kassad::flows::{Rules, print, reconcile};
use kassad::host::clock::{Clock, Monotonic};
use kassad::host::floor::Trust;
use kassad::host::ids::Ids;
use kassad::host::tasks::{Spawner, Stop, StopHand};
use kassad::ledger::outbox::{JobKind, JobRow, JobState, NewJob};
use kassad::ledger::{Ledger, Reader, open_gate};
use kassad::sandbox::printer::{Answers, Behaviour, Model, Printer, State};
use kassad::transport::wire::Way;
use kassad::workers::printer;
use kassad::workers::writer::{self, Writer};
use kassad::workers::{Errand, Office};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOON: Wall = Wall(1_795_248_000_000);
const SECOND: Duration = Duration::from_secs(1);
const REPEAT: &str = "ПОВТОР";

/// A shop of printers: one thread, no sockets, no time of its own.
struct Shop {
    clock: Clock,
    office: Office,
    order: OrderId,
    printers: BTreeMap<String, Arc<Printer>>,
    made: i64,
    hand: StopHand,
    _folder: tempfile::TempDir,
}

fn rules(backups: &[(&str, &str)], drawers: &[&str]) -> Rules {
    Rules {
        shop: "Дастархан".to_owned(),
        zone: jiff::tz::TimeZone::UTC,
        day_ends_min: 360,
        stations: vec![],
        receipt_printers: vec![],
        drawers: drawers.iter().map(|name| (*name).to_owned()).collect(),
        backups: backups.iter().map(|(name, backup)| ((*name).to_owned(), (*backup).to_owned())).collect(),
        pos: None,
        fiscal: kassad::flows::FiscalRules::nothing(),
    }
}

/// Where a ledger lives that nobody needs tomorrow.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

impl Shop {
    fn open(models: &[(&str, Model)], rules: Rules) -> Shop {
        let (clock, folder) = (Clock::manual(NOON), folder());
        let path = folder.path().join("ledger.db");
        let mut ledger = Ledger::open(&path, &Ids::seeded(5), open_gate()).unwrap();
        let wish = Plan {
            source: "api".to_owned(),
            snapshot: snapshot(),
            tender: Tender::Cash,
            via: "cash".to_owned(),
            amount: None,
            part: None,
            tendered: None,
            due_seen: None,
            phone: None,
            description: "Заказ".to_owned(),
            bot: None,
            key: None,
            key_renews: false,
        };
        let order = ledger.decide(NOON, |tx| collect::plan(tx, &rules, &wish)).unwrap().order;
        let (writer, queue) = Writer::pair();
        let (hand, stop) = Stop::pair();
        let (office, changes) = Office::new(clock.clone(), writer, Reader::open(&path).unwrap(), rules, stop.clone());
        tokio::spawn(writer::serve(ledger, queue, clock.clone(), changes));
        let mut shop = Shop { clock, office, order, printers: BTreeMap::new(), made: 0, hand, _folder: folder };
        for (name, model) in models {
            let made = Printer::model(name, *model, shop.clock.clone());
            shop.printers.insert((*name).to_owned(), made);
            shop.hire(name, &stop);
        }
        shop
    }

    /// Puts a worker to a printer.
    fn hire(&self, name: &str, stop: &Stop) {
        let spawner = Spawner::new(|task| drop(tokio::spawn(task)));
        let way = Way::Inside(self.printers[name].dial(&spawner, stop));
        let described = printer::Printer {
            name: name.to_owned(),
            way,
            profile: Profile::wide(Letters::Pc866),
            is_shared: false,
            identity: format!("escpos {name}"),
        };
        tokio::spawn(printer::run(self.office.clone(), described));
    }

    fn at(&self, name: &str) -> &Arc<Printer> {
        &self.printers[name]
    }

    async fn add(&mut self, target: &str, document: &str, body: &Document) -> JobId {
        self.made += 1;
        let (target, document) = (target.to_owned(), document.to_owned());
        let (order, no, body) = (self.order, self.made, serde_json::to_string(body).unwrap());
        let add = move |tx: &kassad::ledger::Tx<'_>| {
            let (kind, attempt) = (JobKind::Print, None);
            tx.add_job(&NewJob { kind, target: &target, order, attempt, document: &document, no, body })
        };
        self.decide(add).await.unwrap()
    }

    /// A decision, with the turns that it needs.
    async fn decide<T: Send + 'static>(
        &self,
        flow: impl FnOnce(&kassad::ledger::Tx<'_>) -> Result<T, kassad::ledger::Fault> + Send + 'static,
    ) -> T {
        self.office.writer.decide(flow).await.unwrap()
    }

    fn job(&self, id: JobId) -> JobRow {
        self.office.look(|view| view.job(id)).unwrap()
    }

    fn stand_in(&self, id: JobId) -> JobRow {
        self.office.look(|view| view.stand_ins(id)).unwrap().pop().unwrap()
    }

    fn is(&self, id: JobId, state: JobState) -> bool {
        self.job(id).state == state
    }

    fn shown(&self, name: &str) -> (&'static str, String) {
        let device = self.office.devices.all()[name].clone();
        (device.state, device.code)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.at(name).papers().into_iter().map(|paper| paper.text).collect()
    }

    /// Lets everybody run who can, then moves the clock to the next who waits for it, until a fact holds.
    async fn until(&self, what: &str, fact: impl Fn() -> bool) {
        self.within(Duration::from_secs(1_200), what, fact).await;
    }

    async fn within(&self, span: Duration, what: &str, fact: impl Fn() -> bool) {
        let end = self.clock.now().plus(span);
        loop {
            turns().await;
            if fact() {
                return;
            }
            let now = self.clock.now();
            let next = self.clock.next_wake().filter(|next| *next <= end);
            let Some(next) = next else { panic!("it never came within {span:?} that {what}") };
            self.clock.advance(next.since(now));
        }
    }

    /// Lets a span of time pass.
    async fn pass(&self, span: Duration) {
        let end = self.clock.now().plus(span);
        loop {
            turns().await;
            let now = self.clock.now();
            match self.clock.next_wake().filter(|next| *next <= end) {
                Some(next) => self.clock.advance(next.since(now)),
                None => return self.clock.advance(end.since(now)),
            }
        }
    }

    fn close(self) {
        self.hand.give();
        for printer in self.printers.values() {
            assert_eq!(printer.faults(), Vec::<String>::new(), "{}", printer.name());
        }
    }
}

/// Everything is in one thread and in memory: after so many turns everybody waits for the clock.
async fn turns() {
    for _ in 0..48 {
        tokio::task::yield_now().await;
    }
}

fn snapshot() -> Snapshot {
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
    Snapshot {
        foreign_id: "1950".to_owned(),
        number: "1950".to_owned(),
        table: "5".to_owned(),
        waiter: String::new(),
        due: Tiyn(700_000),
        lines: vec![line],
        comment: String::new(),
    }
}

fn receipt() -> Document {
    Document::Receipt(Receipt {
        shop: "Дастархан".to_owned(),
        order_number: "1950".to_owned(),
        table: "5".to_owned(),
        waiter: String::new(),
        lines: snapshot().lines,
        total: Tiyn(700_000),
        payments: vec![PaymentLine {
            label: "Kaspi QR".to_owned(),
            amount: Tiyn(700_000),
            transaction: "4711".to_owned(),
            tendered: None,
        }],
        paid_at: "21.11.2026 13:05".to_owned(),
        reference: "K7H2M-1-1-1".to_owned(),
        qr: None,
        issuer: String::new(),
    })
}

fn ticket() -> Document {
    let line =
        TicketLine { quantity: Milli::ONE, name: "Лагман".to_owned(), modifiers: vec![], comment: String::new() };
    Document::Ticket(Ticket {
        station: "Горячий цех".to_owned(),
        order_number: "1950".to_owned(),
        table: "5".to_owned(),
        waiter: String::new(),
        kind: TicketKind::New,
        sequence: (1, 1),
        lines: vec![line],
        comment: String::new(),
        at: "21.11.2026 13:05".to_owned(),
    })
}

/// A clone that knows the fence and no better proof.
const CLONE: Model = Model { answers: Answers::CLONE, clears: false, ..Model::SANDBOX };

/// One that prints all that others do, and never says a word.
const ONE_WAY: Model = Model { answers: Answers::NONE, ..Model::SANDBOX };

// ---- F21: paper ends at every byte ----

/// The lines that one copy has, without the mark and the number of its job.
fn lines_of(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty() && !line.contains("печать")).collect()
}

fn holds(text: &str, lines: &[String]) -> bool {
    let mut rest = text.lines();
    lines.iter().all(|line| rest.any(|seen| seen.trim() == line))
}

async fn paper_ends_at_every_byte(model: Model, behaviour: Behaviour) {
    let mut shop = Shop::open(&[("receipt", model)], rules(&[], &[]));
    shop.at("receipt").set_behaviour(behaviour);
    let first = shop.add("receipt", "receipt", &receipt()).await;
    shop.until("the first one is proven", || shop.is(first, JobState::Confirmed)).await;
    let lines = lines_of(&shop.texts("receipt")[0]);
    assert!(lines.len() > 8, "{lines:?}");
    let imprint = kassad::domain::paper::Imprint { job: 1, copy: 1, instead_of: None };
    let bytes = kassad::drivers::printer::render(&receipt(), &imprint, &Profile::wide(Letters::Pc866)).len();
    let (mut interrupted, mut copies) = (0, 0);
    for byte in 0..=bytes {
        let before = shop.at("receipt").papers().last().map_or(0, |paper| paper.number);
        shop.at("receipt").paper_out_after(byte);
        let job = shop.add("receipt", "receipt", &receipt()).await;
        let stands = || shop.at("receipt").state() == State::PaperOut;
        shop.until("it is proven or stands", || shop.is(job, JobState::Confirmed) || stands()).await;
        if stands() {
            shop.until("it is held", || shop.job(job).code() == "paper_out" || shop.is(job, JobState::Confirmed)).await;
            interrupted += 1;
            shop.at("receipt").set_state(State::Ready);
        }
        let told = format!("byte {byte} of {bytes}, {behaviour:?}");
        shop.until(&told, || shop.is(job, JobState::Confirmed)).await;
        shop.pass(5 * SECOND).await;
        let papers = shop.at("receipt").papers().into_iter().filter(|paper| paper.number > before);
        let mut papers: Vec<String> = papers.map(|paper| paper.text).collect();
        papers.push(shop.at("receipt").strip());
        let whole: Vec<&String> = papers.iter().filter(|paper| holds(paper, &lines)).collect();
        assert!(!whole.is_empty(), "{told}: no whole paper in {papers:#?}");
        let unmarked = whole.iter().filter(|paper| !paper.contains(REPEAT)).count();
        assert!(unmarked <= 1, "{told}: {unmarked} whole papers without the mark: {papers:#?}");
        copies += whole.len();
        shop.at("receipt").paper_out_after(usize::MAX);
    }
    println!("{behaviour:?}: {bytes} bytes, {interrupted} interrupted, {copies} whole papers");
    assert!(interrupted > bytes / 2, "{interrupted} of {bytes} were interrupted");
    shop.close();
}

#[tokio::test]
async fn f21_paper_ends_at_every_byte_of_a_printer_that_tells_when_it_printed() {
    for behaviour in Behaviour::ALL {
        paper_ends_at_every_byte(Model::EPSON_80, behaviour).await;
    }
}

#[tokio::test]
async fn f21_paper_ends_at_every_byte_of_a_clone_that_knows_only_the_fence() {
    for behaviour in Behaviour::ALL {
        paper_ends_at_every_byte(CLONE, behaviour).await;
    }
}

// ---- F23: printers die ----

#[tokio::test]
async fn f23_ten_printers_three_dead_and_the_others_are_not_a_moment_late() {
    let names: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let models: Vec<(&str, Model)> = names.iter().map(|name| (name.as_str(), Model::EPSON_80)).collect();
    let mut finished: Vec<Vec<Monotonic>> = Vec::new();
    for dead in [0, 3] {
        let mut shop = Shop::open(&models, rules(&[], &[]));
        shop.pass(10 * SECOND).await;
        for (name, state) in names.iter().take(dead).zip([State::Off, State::PaperOut, State::Silent]) {
            shop.at(name).set_state(state);
        }
        let mut jobs = Vec::new();
        for name in names.iter().cycle().take(50) {
            jobs.push((name.clone(), shop.add(name, "receipt", &receipt()).await));
        }
        let healthy: Vec<JobId> =
            jobs.iter().filter(|(name, _)| names[3..].contains(name)).map(|(_, id)| *id).collect();
        let mut at = vec![Monotonic::default(); healthy.len()];
        while at.contains(&Monotonic::default()) {
            shop.within(SECOND * 60, "one more is proven", || {
                let mut open = healthy.iter().zip(&at).filter(|(_, at)| **at == Monotonic::default());
                open.any(|(id, _)| shop.is(*id, JobState::Confirmed))
            })
            .await;
            for (id, at) in healthy.iter().zip(&mut at) {
                if *at == Monotonic::default() && shop.is(*id, JobState::Confirmed) {
                    *at = shop.clock.now();
                }
            }
        }
        assert_eq!(healthy.len(), 35);
        assert!(
            jobs.iter()
                .filter(|(name, _)| names[..dead].contains(name))
                .all(|(_, id)| !shop.is(*id, JobState::Confirmed))
        );
        finished.push(at);
        shop.close();
    }
    assert_eq!(finished[0], finished[1], "at the same moments as without the dead ones");
}

#[tokio::test]
async fn f23_a_dead_kitchen_printer_hands_its_tickets_to_the_bar_and_takes_back_what_was_not_begun() {
    let models = [("hot", Model::EPSON_80), ("bar", Model::EPSON_80)];
    let mut shop = Shop::open(&models, rules(&[("hot", "bar")], &[]));
    shop.at("hot").set_state(State::Off);
    let first = shop.add("hot", "ticket:Горячий цех", &ticket()).await;
    shop.within(13 * SECOND, "it is on the bar's paper", || !shop.texts("bar").is_empty()).await;
    let paper = shop.texts("bar").remove(0);
    assert!(paper.contains("ВМЕСТО") && paper.contains("Горячий цех") && !paper.contains(REPEAT), "{paper}");
    shop.until("the kitchen has no more to do", || shop.is(first, JobState::Done)).await;
    assert_eq!(shop.job(first).code(), "rerouted");
    shop.until("nothing is elsewhere", || shop.shown("hot") == ("down", "printer_off".to_owned())).await;
    // From here on both stand: what waits at the bar comes home unmarked, once.
    shop.at("bar").set_state(State::PaperOut);
    let second = shop.add("hot", "ticket:Горячий цех", &ticket()).await;
    shop.until("it waits at the bar", || shop.job(second).code() == "rerouted").await;
    shop.pass(5 * SECOND).await;
    assert_eq!(shop.shown("hot"), ("down", "rerouted".to_owned()));
    shop.at("hot").set_state(State::Ready);
    shop.until("it came home", || shop.is(second, JobState::Confirmed)).await;
    shop.at("bar").set_state(State::Ready);
    shop.pass(60 * SECOND).await;
    assert_eq!((shop.texts("hot").len(), shop.texts("bar").len()), (1, 1));
    assert!(!shop.texts("hot")[0].contains(REPEAT), "nothing of it had left us");
    let stand_in = shop.stand_in(second);
    assert_eq!((stand_in.state, stand_in.code()), (JobState::Done, "superseded"));
    assert_eq!(shop.shown("hot").0, "up");
    shop.close();
}

#[tokio::test]
async fn f23_what_the_main_printer_had_begun_comes_marked_from_the_backup() {
    let models = [("hot", Model::EPSON_80), ("bar", Model::EPSON_80)];
    let mut shop = Shop::open(&models, rules(&[("hot", "bar")], &[]));
    let known = shop.add("hot", "ticket:Горячий цех", &ticket()).await;
    shop.until("it tells when it printed", || shop.is(known, JobState::Confirmed)).await;
    shop.at("hot").paper_out_after(60);
    let job = shop.add("hot", "ticket:Горячий цех", &ticket()).await;
    shop.until("the bar prints it", || shop.is(job, JobState::Done)).await;
    let paper = shop.texts("bar").remove(0);
    assert!(paper.contains("ВМЕСТО") && paper.contains(REPEAT), "{paper}");
    shop.at("hot").set_state(State::Ready);
    shop.pass(60 * SECOND).await;
    assert_eq!((shop.texts("hot").len(), shop.texts("bar").len()), (1, 1), "it was thrown away, and is done");
    shop.close();
}

// ---- status ----

#[tokio::test]
async fn f21_trouble_is_told_within_two_seconds_before_anybody_prints() {
    for model in [Model::EPSON_80, CLONE] {
        let shop = Shop::open(&[("receipt", model)], rules(&[], &[]));
        shop.until("it is up", || shop.office.devices.all().get("receipt").is_some_and(|device| device.state == "up"))
            .await;
        let two = Duration::from_secs(2) + Duration::from_millis(100);
        for (state, code) in [
            (State::PaperLow, "paper_low"),
            (State::PaperOut, "paper_out"),
            (State::CoverOpen, "cover_open"),
            (State::Off, "printer_off"),
        ] {
            shop.at("receipt").set_state(state);
            shop.within(two, code, || shop.shown("receipt").1 == code).await;
            shop.at("receipt").set_state(State::Ready);
            shop.within(two, "it is up again", || shop.shown("receipt").0 == "up").await;
        }
        shop.close();
    }
}

#[tokio::test]
async fn a_printer_that_never_answers_is_asked_once_and_a_person_ticks_its_paper() {
    let mut shop = Shop::open(&[("hot", ONE_WAY)], rules(&[], &[]));
    let job = shop.add("hot", "ticket:Горячий цех", &ticket()).await;
    shop.until("it is out", || shop.is(job, JobState::Suspect)).await;
    assert_eq!(shop.job(job).code(), "one_way");
    shop.pass(30 * SECOND).await;
    let unseen = |ms: i64| {
        let now = shop.clock.wall();
        shop.office.look(|view| view.unseen_tickets(now.plus_ms(-ms), now)).unwrap().len()
    };
    assert_eq!((unseen(5_000), unseen(60_000)), (0, 1));
    assert_eq!(shop.office.look(|view| view.unfinished_jobs(10)).unwrap(), []);
    let ticked = shop.decide(move |tx| print::tick(tx, job)).await;
    assert_eq!((ticked.state, unseen(60_000), shop.texts("hot").len()), (JobState::Confirmed, 0, 1));
    shop.close();
}

// ---- age ----

#[tokio::test]
async fn f21_old_paper_asks_first_and_the_next_one_passes() {
    let mut shop = Shop::open(&[("hot", Model::EPSON_80)], rules(&[], &[]));
    shop.at("hot").set_state(State::PaperOut);
    let old = [shop.add("hot", "ticket:a", &ticket()).await, shop.add("hot", "ticket:a", &ticket()).await];
    let slow = shop.add("hot", "receipt", &receipt()).await;
    shop.clock.jump(Wall(NOON.0 + 6 * 3_600_000));
    shop.pass(14 * 60 * SECOND).await;
    assert!(
        old.iter().all(|id| shop.job(*id).code() == "paper_out" || shop.is(*id, JobState::Queued)),
        "a jump is no age"
    );
    shop.pass(2 * 60 * SECOND).await;
    assert_eq!(old.map(|id| shop.job(id).code().to_owned()), ["too_old", "too_old"]);
    let questions = shop.office.look(|view| view.open_questions()).unwrap();
    assert_eq!(questions.iter().map(|question| question.code.as_str()).collect::<Vec<_>>(), ["print_old"; 2]);
    shop.at("hot").set_state(State::Ready);
    shop.until("what is not old is printed", || shop.is(slow, JobState::Confirmed)).await;
    let [wanted, unwanted] = old;
    shop.decide(move |tx| print::retry(tx, wanted)).await;
    shop.until("a person wanted it", || shop.is(wanted, JobState::Confirmed)).await;
    // Each question is about its own paper: the one that was printed took its question with it.
    let left = shop.office.look(|view| view.open_questions()).unwrap();
    assert_eq!(left.iter().map(print::job_of).collect::<Vec<_>>(), [Some(unwanted)]);
    let (id, rules) = (left[0].id, shop.office.rules.clone());
    shop.decide(move |tx| reconcile::settle_question(tx, &rules, id, "Мария", "уже приготовили")).await;
    shop.pass(60 * SECOND).await;
    assert_eq!((shop.job(unwanted).state, shop.job(unwanted).code()), (JobState::Done, "not_wanted"));
    assert_eq!(shop.texts("hot").len(), 2);
    shop.close();
}

#[tokio::test]
async fn f12_over_a_restart_only_a_clock_that_was_set_tells_the_age() {
    for (trust, state) in [(Trust::Unsynced, JobState::Confirmed), (Trust::Synced, JobState::Held)] {
        let mut shop = Shop::open(&[], rules(&[], &[]));
        let job = shop.add("hot", "ticket:a", &ticket()).await;
        let drawer = shop.add("hot", "drawer", &Document::Drawer).await;
        shop.clock.tell_trust(trust);
        shop.clock.jump(Wall(NOON.0 + 3_600_000));
        shop.printers.insert("hot".to_owned(), Printer::model("hot", Model::EPSON_80, shop.clock.clone()));
        shop.hire("hot", &shop.office.stop.clone());
        shop.until("it is judged", || shop.is(job, state)).await;
        assert_eq!((shop.job(drawer).state, shop.job(drawer).code()), (JobState::Done, "too_old"));
        assert_eq!(shop.at("hot").drawer_pulses(), 0);
        shop.close();
    }
}

// ---- errands and what is remembered ----

#[tokio::test]
async fn a_test_page_leaves_no_job_and_a_choice_is_kept() {
    let shop = Shop::open(&[("receipt", Model::EPSON_80)], rules(&[], &[]));
    let errands = shop.office.errands.clone();
    shop.pass(SECOND).await;
    let asked = tokio::spawn(async move {
        let test = errands.ask("receipt", Errand::Test).await;
        let letters = errands.ask("receipt", Errand::Letters(1)).await;
        let wrong = errands.ask("receipt", Errand::Letters(99)).await.map_err(|reason| reason.code);
        (test, letters, wrong)
    });
    shop.until("the errands are run", || asked.is_finished()).await;
    assert_eq!(asked.await.unwrap(), (Ok(()), Ok(()), Err("no_candidate".to_owned())));
    // What it tells unasked is tried at the next look, when no command can be open any more.
    shop.pass(5 * SECOND).await;
    assert_eq!((shop.texts("receipt").len(), shop.office.look(|view| view.unfinished_jobs(10)).unwrap().len()), (1, 0));
    let kept = shop.office.look(|view| view.vault("printer:receipt")).unwrap().unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let first = Profile::wide(Letters::Pc866).with_candidate(1).unwrap();
    assert_eq!(kept["letters"], first.choice_word());
    assert_eq!((&kept["abilities"]["process_id"], &kept["abilities"]["unasked"]), (&true.into(), &true.into()));
    assert_eq!(first.status.real_time, Ability::Unknown, "the configuration says nothing of it");
    // Its printer does not know all the pages of the list: that is what the list is for.
    shop.hand.give();
}
