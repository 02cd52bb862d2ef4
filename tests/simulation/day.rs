//! One day: the true daemon, piece by piece as `daemon.rs` puts it together but without threads and sockets, in a world of models, on a
//! clock that goes to the next deadline when everybody waits. The power goes and comes back; the laws look on.

use super::drivers::{BotWay, Kaspi, Poster, Till};
use super::engine::{Engine, Life, WORLD};
use super::laws::{self, Watch};
use super::plan::{Kind, Mutant, Plan};
use super::world::{BOT_KEY, Running, SECRET, Sim};
use super::{people, printers, register};
use kassad::domain::order::Tender;
use kassad::domain::time::Wall;
use kassad::drivers::invoice::aipay::AiPayWebhooks;
use kassad::drivers::printer::{Letters, Profile, StatusAbilities};
use kassad::flows::{Rules, Station, reconcile};
use kassad::host::clock::{Clock, Monotonic};
use kassad::host::ids::Ids;
use kassad::host::lock::{LockFault, OneDaemon};
use kassad::host::secret::Secret;
use kassad::host::tasks::Stop;
use kassad::http::{self, BotAccess, Door, Faces, Way};
use kassad::ledger::{Gate, GatePoint, Ledger, Reader};
use kassad::transport::wire;
use kassad::workers::courier::{self, Bot, Dialect};
use kassad::workers::pos::Counter;
use kassad::workers::vault::LedgerVault;
use kassad::workers::writer::{self, Writer};
use kassad::workers::{Office, cloud, fiscal, maintenance, pos, printer, terminal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-21 08:00:00 UTC: lunch in Almaty.
const NOON: i64 = 1_795_248_000_000;

/// By then the last guest is gone and everything is put right; what is left is stuck.
const DAY_MAX: Duration = Duration::from_secs(4 * 3600);

/// The world runs on so long after the end, so that late doubles would show.
const AFTERMATH: Duration = Duration::from_secs(180);

/// Polls after which a day counts as running in circles.
const TURNS_MAX: u64 = 3_000_000;

/// What came of a day.
#[derive(Debug)]
pub struct Told {
    pub hash: String,
    pub commits: u64,
    pub steps: u64,
    pub violations: Vec<String>,
    pub seen: BTreeMap<String, u64>,
    pub trace: Vec<String>,
}

/// Where ledgers of simulated days live: memory, where the machine has it.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// The same file by an address that tells SQLite that nobody outside this process looks at it: its locks stay in memory.
fn alone(ledger: &Path) -> PathBuf {
    PathBuf::from(format!("file:{}?vfs=unix-excl", ledger.display()))
}

struct Day {
    sim: Sim,
    engine: Engine,
    ledger: PathBuf,
    life: Life,
    lock: Option<OneDaemon>,
    starts_at: Option<Monotonic>,
    watch: Watch,
    turns: u64,
    /// A copy of an older ledger, for a disk that forgets.
    older: Option<PathBuf>,
}

/// Plays a day in a folder of its own.
pub fn play(plan: &Plan) -> Told {
    let folder = folder();
    play_in(plan, folder.path())
}

pub fn play_in(plan: &Plan, folder: &Path) -> Told {
    let sim = Sim::new(Clock::manual(Wall(NOON)), plan.clone());
    let engine = Engine::new(sim.0.hand.clone(), plan.seed);
    let mut day = Day {
        sim: sim.clone(),
        engine,
        ledger: folder.join("ledger.db"),
        life: WORLD,
        lock: None,
        starts_at: Some(Monotonic::default()),
        watch: Watch::default(),
        turns: 0,
        older: None,
    };
    for guest in &plan.guests {
        sim.affair(people::guest(sim.clone(), *guest));
    }
    // They have no end of their own.
    sim.0.hand.start(WORLD, people::manager(sim.clone()));
    sim.0.hand.start(WORLD, machine_trouble(sim.clone(), day.ledger.clone()));
    day.run();
    day.told()
}

impl Day {
    fn run(&mut self) {
        let (mut over_at, mut looked_at) = (None, Monotonic::default());
        loop {
            self.power();
            let is_busy = self.engine.turn();
            self.turns += 1;
            self.observe();
            if !self.sim.world().violations.is_empty() {
                return;
            }
            if self.turns > TURNS_MAX {
                self.sim.world().violate("the day runs in circles".to_owned());
                return;
            }
            if is_busy {
                continue;
            }
            let now = self.sim.now();
            if over_at.is_some_and(|over: Monotonic| now.since(over) >= AFTERMATH) {
                if self.left().is_empty() {
                    return;
                }
                // Asked in the last minutes: it is answered first.
                over_at = None;
            }
            if now.0 > DAY_MAX {
                let left = self.left();
                self.sim.world().violate(format!("no exit: {}", left.join("; ")));
                return;
            }
            if over_at.is_none() && now.since(looked_at) >= Duration::from_secs(10) {
                looked_at = now;
                if self.sim.world().open_sales == 0 && now.0 >= self.sim.0.plan.calm_at {
                    self.sim.world().is_calm = true;
                    over_at = self.left().is_empty().then_some(now);
                }
            }
            let wakes = self.sim.0.clock.next_wake();
            let Some(next) = wakes.into_iter().chain(self.starts_at).min() else {
                self.sim.world().violate("nobody waits for anything".to_owned());
                return;
            };
            self.sim.0.clock.advance(next.since(now));
        }
    }

    /// Starts, kills and stops the daemon.
    fn power(&mut self) {
        if self.sim.world().is_dead {
            self.cut();
        }
        let now = self.sim.now();
        if self.starts_at.is_some_and(|at| at <= now) && !self.start() {
            self.starts_at = Some(now.plus(Duration::from_secs(5)));
        }
    }

    fn cut(&mut self) {
        self.engine.kill(self.life);
        *self.sim.running() = None;
        self.lock = None;
        {
            let mut world = self.sim.world();
            world.is_dead = false;
            world.tell("the power is gone");
        }
        if self.sim.0.plan.mutant == Some(Mutant::ForgetfulDisk) {
            self.forget();
        }
        let pause_ms = self.sim.between("without power", 1_000, 40_000);
        self.starts_at = Some(self.sim.now().plus(Duration::from_millis(pause_ms)));
    }

    /// The newest commits were never on the disk.
    fn forget(&mut self) {
        if let Some(older) = &self.older {
            std::fs::copy(older, &self.ledger).unwrap();
            let _gone = std::fs::remove_file(self.ledger.with_extension("db-wal")).is_ok();
            let _gone = std::fs::remove_file(self.ledger.with_extension("db-shm")).is_ok();
            self.watch = Watch::default();
        }
    }

    /// Everything that `Daemon::start` does, without threads and sockets; `false` when the disk is full.
    fn start(&mut self) -> bool {
        self.life += 1;
        self.starts_at = None;
        let (sim, life) = (self.sim.clone(), self.life);
        self.lock = Some(locked(&self.ledger));
        let rules = rules(sim.0.plan.seed);
        let mut ledger = Ledger::open(&alone(&self.ledger), &Ids::seeded(sim.0.plan.seed), gate(&sim)).unwrap();
        if ledger.decide(sim.0.clock.wall(), |tx| reconcile::restart(tx, &rules)).is_err() {
            sim.world().is_dead = true;
            return false;
        }
        let (writer, queue) = Writer::pair();
        let (hand, stop) = Stop::pair();
        let reader = Reader::open(&alone(&self.ledger)).unwrap();
        let (office, changes) = Office::new(sim.0.clock.clone(), writer, reader, rules, stop);
        let start = |task: futures_util::future::BoxFuture<'static, ()>| sim.0.hand.start(life, task);
        start(Box::pin(writer::serve(ledger, queue, sim.0.clock.clone(), changes)));
        let vault = Arc::new(LedgerVault(office.clone()));
        for place in 0..2 {
            let till = Till { sim: sim.clone(), place, vault: vault.clone(), token: None };
            start(Box::pin(terminal::run(office.clone(), format!("till{}", place + 1), Box::new(till))));
        }
        let kaspi = Arc::new(Kaspi { sim: sim.clone(), can_find: sim.0.plan.seed.is_multiple_of(2) });
        start(Box::pin(cloud::run(office.clone(), "aipay".to_owned(), kaspi)));
        let counter = Counter::new(office.clone(), Arc::new(Poster(sim.clone())));
        start(Box::pin(pos::run(counter.clone(), "poster".to_owned(), Some(Duration::from_secs(60)))));
        if register::rules(sim.0.plan.seed).register.is_some() {
            let ids = Ids::seeded(sim.0.plan.seed ^ u64::from(life) << 32);
            let kassa = Arc::new(register::Kassa { sim: sim.clone(), ids: ids.clone() });
            start(Box::pin(fiscal::run(office.clone(), register::NAME.to_owned(), kassa, ids)));
        }
        // One of the printers of a day never answers.
        for (place, name) in ["receipt", "hot", "bar"].into_iter().enumerate() {
            let answers = sim.0.plan.seed % 3 != place as u64;
            let mut profile = Profile::wide(Letters::Pc866);
            if !answers {
                profile.status = StatusAbilities::NONE;
            }
            let way = wire::Way::Inside(printers::way(&sim, name, answers));
            let described =
                printer::Printer { name: name.to_owned(), way, profile, is_shared: false, identity: name.to_owned() };
            start(Box::pin(printer::run(office.clone(), described)));
        }
        let bot = Bot { name: "bot".to_owned(), webhook_secret: Secret::new(SECRET), dialect: Dialect::A };
        start(Box::pin(courier::run(office.clone(), Box::new(BotWay(sim.clone())), bot)));
        start(Box::pin(maintenance::run(office.clone(), 90)));
        let faces = Arc::new(faces(office.clone(), counter));
        let (local, public) = (http::local_router(&faces), http::public_router(&faces));
        *sim.running() = Some(Running { life, office, local, public, stop: hand });
        sim.world().tell("the daemon starts");
        true
    }

    /// The laws that are cheap, after each commit.
    fn observe(&mut self) {
        let commits = self.sim.world().commits;
        if self.watch.commits == commits {
            return;
        }
        self.watch.commits = commits;
        let Some(office) = self.sim.running().as_ref().map(|running| running.office.clone()) else { return };
        office.look(|view| self.watch.look(&self.sim, view)).unwrap();
        if self.sim.0.plan.mutant == Some(Mutant::ForgetfulDisk) && commits % 100 == 50 {
            let copy = self.ledger.with_extension("older");
            let _gone = std::fs::remove_file(&copy).is_ok();
            let connection = rusqlite::Connection::open(alone(&self.ledger)).unwrap();
            connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            self.older = Some(copy);
        }
    }

    /// What is not over yet.
    fn left(&self) -> Vec<String> {
        let Some(mut left) = self.sim.look(laws::left) else {
            return vec!["the daemon is away".to_owned()];
        };
        let world = self.sim.world();
        if world.affairs > 0 {
            left.push(format!("{} affairs of the world", world.affairs));
        }
        if world.open_sales > 0 {
            left.push(format!("{} guests", world.open_sales));
        }
        for given in world.given.iter().filter(|given| !self.watch.given.contains(&given.reference)) {
            left.push(format!("{} went back and is not done", given.reference));
        }
        for charge in world.charges.iter() {
            // Learnt by asking within the late watch, or by a notice.
            let is_known = self.watch.paid.contains(&charge.reference);
            if !is_known {
                left.push(format!("{} was charged and is not paid", charge.reference));
            }
        }
        left
    }

    fn told(mut self) -> Told {
        self.engine.kill(self.life);
        *self.sim.running() = None;
        if self.sim.0.plan.mutant == Some(Mutant::EditedJournal) {
            let connection = rusqlite::Connection::open(alone(&self.ledger)).unwrap();
            connection
                .execute_batch(
                    "DROP TRIGGER journal_keeps; UPDATE journal SET entry = replace(entry, 'a', 'b') WHERE seq = 20",
                )
                .unwrap();
        }
        let reader = Reader::open(&alone(&self.ledger)).unwrap();
        if self.sim.world().violations.is_empty() {
            laws::at_the_end(&self.sim, &reader);
        }
        let connection = rusqlite::Connection::open(alone(&self.ledger)).unwrap();
        let hash: Vec<u8> = connection
            .query_row("SELECT hash FROM journal ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
            .unwrap_or_default();
        let mut world = self.sim.world();
        world.seen.insert("turns".to_owned(), self.turns);
        world.seen.insert("simulated seconds".to_owned(), self.sim.now().0.as_secs());
        Told {
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            commits: world.commits,
            steps: world.steps,
            violations: world.violations.clone(),
            seen: world.seen.clone(),
            trace: world.trace.iter().cloned().collect(),
        }
    }
}

fn gate(sim: &Sim) -> Gate {
    let sim = sim.clone();
    Arc::new(move |point| {
        sim.step();
        let mut world = sim.world();
        if let GatePoint::AfterCommit(_) = point {
            world.commits += 1;
        }
        !world.is_dead
    })
}

fn rules(seed: u64) -> Rules {
    let station = |name: &str, workshop: &str| Station {
        name: name.to_owned(),
        printer: name.to_owned(),
        workshop: Some(workshop.to_owned()),
    };
    Rules {
        shop: "Дастархан".to_owned(),
        zone: jiff::tz::TimeZone::get("Asia/Almaty").unwrap(),
        day_ends_min: 360,
        stations: vec![station("hot", "1"), station("bar", "2")],
        receipt_printers: vec!["receipt".to_owned()],
        drawers: vec![],
        backups: Default::default(),
        pos: Some("poster".to_owned()),
        fiscal: register::rules(seed),
    }
}

fn faces(office: Office, counter: Counter) -> Faces {
    let way = |name: &str, tender| Way { name: name.to_owned(), tenders: vec![tender] };
    let door = Door { scheme: Arc::new(AiPayWebhooks), secrets: vec![Secret::new(SECRET)] };
    Faces {
        office,
        counter: Some(counter),
        doors: BTreeMap::from([("aipay".to_owned(), door)]),
        bots: vec![BotAccess { name: "bot".to_owned(), key: Secret::new(BOT_KEY), cloud: "aipay".to_owned() }],
        ways: vec![
            way("till1", Tender::KaspiTerminal),
            way("till2", Tender::KaspiTerminal),
            way("aipay", Tender::KaspiInvoice),
        ],
        printers: Vec::new(),
        public_invoices: false,
        strangers: http::flood::Strangers::default(),
        public: http::listener::Manner::public(),
        local: http::listener::Manner::local(),
        probes: kassad::workers::probe::Probes::new(&kassad::host::ids::Ids::seeded(1)),
        is_wrong_door: std::sync::atomic::AtomicBool::new(false),
        keys: http::keys::Keys::new(None, Vec::new(), kassad::host::ids::Ids::seeded(1)),
    }
}

/// The machine's own misfortunes, each a few times a day at most: a full disk, a jumping clock, a second daemon, a kind stop.
async fn machine_trouble(sim: Sim, ledger: PathBuf) {
    loop {
        sim.sleep_ms(sim.between("trouble", 200_000, 500_000)).await;
        if sim.strikes(Kind::DiskFull) {
            cap(&sim, true).await;
            sim.sleep_ms(sim.between("disk full", 1_000, 60_000)).await;
            cap(&sim, false).await;
        }
        if sim.strikes(Kind::ClockJump) {
            let now = sim.0.clock.wall().0;
            let (hour, year) = (3_600_000, 365 * 24 * 3_600_000_i64);
            let jumps = [now + hour, now - hour, now + 24 * hour, now - 24 * hour, 0, now + 10 * year];
            let to = jumps[sim.pick("jump", 6) as usize];
            sim.0.clock.jump(Wall(to));
            if sim.pick("set right", 2) == 0 {
                sim.sleep_ms(sim.between("jumped", 1_000, 60_000)).await;
                sim.0.clock.jump(Wall(NOON + sim.now().0.as_millis() as i64));
            }
        }
        let is_running = sim.running().is_some();
        if is_running && sim.strikes(Kind::SecondDaemon) && OneDaemon::take(&ledger).is_ok() {
            sim.world().violate("a second daemon took the ledger".to_owned());
        }
        if is_running && sim.strikes(Kind::Stop) {
            let life = sim.running().as_ref().map(|running| {
                running.stop.give();
                running.life
            });
            // The longest farewell of `Daemon::stop`; what is still there then is ended.
            sim.sleep_ms(3_000).await;
            if sim.running().as_ref().map(|running| running.life) == life {
                sim.world().is_dead = true;
            }
        }
    }
}

/// No page more than there are: what a full disk does to SQLite (F17).
async fn cap(sim: &Sim, is_full: bool) {
    let Some(office) = sim.running().as_ref().map(|running| running.office.clone()) else { return };
    sim.world().tell(if is_full { "the disk is full" } else { "there is room again" });
    let _dead = office.writer.decide(move |tx| tx.cap_pages(is_full.then_some(1))).await.is_ok();
}

/// The lock of a ledger that nobody else uses. Another test of this process may be starting a program: between its fork and its exec the
/// child holds a copy of every open file, the lock that was just let go too.
fn locked(ledger: &std::path::Path) -> OneDaemon {
    for _ in 0..1_000_000 {
        match OneDaemon::take(ledger) {
            Ok(lock) => return lock,
            Err(LockFault::Held { .. }) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the lock of {} stays held", ledger.display());
}
