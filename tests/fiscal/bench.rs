//! A register with its worker on a bench: ledger, worker and driver are the true ones, the wire to the sandbox Webkassa breaks where it is
//! told to, and the daemon dies and comes back. The clock moves only while no request is on its way, so that nothing depends on speed.
#![allow(clippy::disallowed_methods)]

use futures_util::future::BoxFuture;
use kassad::domain::fiscal::Registered;
use kassad::domain::fiscal::{ShiftReport, Side, Vat};
use kassad::domain::ids::{AttemptId, FiscalId};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line, Milli, Snapshot, Tender};
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::paper::ReportKind;
use kassad::domain::time::Wall;
use kassad::drivers::fiscal::webkassa::Webkassa;
use kassad::drivers::{Entry, Filing, Fiscal, FiscalAbilities, RegisterState, Reported, Setup, Value};
use kassad::flows::collect::{self, Plan};
use kassad::flows::{FiscalRules, Rules, fiscal as flow, reconcile, refund};
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::secret::Secret;
use kassad::host::tasks::{Spawner, Stop, StopHand};
use kassad::ledger::fiscal::{Act, FiscalRow, State};
use kassad::ledger::{Fault, Gate, Ledger, Reader, Tx, journal};
use kassad::sandbox::webkassa::{SandboxReceipt, Webkassa as Sandbox, WebkassaOptions};
use kassad::sandbox::{World, WorldOptions};
use kassad::workers::vault::LedgerVault;
use kassad::workers::writer::{self, Writer};
use kassad::workers::{Office, fiscal};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// 2026-11-21 08:00:00 UTC: lunch in Almaty.
pub const NOON: Wall = Wall(1_795_248_000_000);
pub const NAME: &str = "kassa";
/// What an order of the bench costs.
pub const SUM: Tiyn = Tiyn(710_000);

/// Turns of the runtime without a request on its way, after which everybody waits for the clock.
const QUIET_TURNS: u32 = 24;
/// How far the clock moves then.
const STEP: Duration = Duration::from_millis(500);
/// Steps after which a fact counts as never coming: two hours.
const STEPS_MAX: u32 = 14_400;

// ---- the wire ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Nowhere,
    /// After this many bytes towards the register.
    Request(usize),
    /// After this many bytes of its answer; with 0 the answer is lost as a whole.
    Answer(usize),
}

#[derive(Default)]
struct Plot {
    /// Connections that pass whole before the one that is cut.
    skip: usize,
    cut: Option<Cut>,
    /// The power that goes out with the wire.
    power: Option<Arc<AtomicBool>>,
    was_cut: bool,
}

/// A stretch of wire.
pub struct Wire {
    port: u16,
    plot: Mutex<Plot>,
    snap: Notify,
}

impl Wire {
    async fn lay(to: SocketAddr, spawner: &Spawner) -> Arc<Wire> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Arc::new(Wire { port, plot: Mutex::default(), snap: Notify::new() });
        let serving = wire.clone();
        spawner.start(Box::pin(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(to).await.unwrap();
                serving.carry(near, far).await;
            }
        }));
        wire
    }

    /// The connection after `skip` others is cut; `power` goes out at the same moment.
    pub fn arm(&self, skip: usize, cut: Cut, power: Option<Arc<AtomicBool>>) {
        let cut = Some(cut).filter(|cut| *cut != Cut::Nowhere);
        *self.plot.lock().unwrap() = Plot { skip, cut, power, ..Plot::default() };
    }

    pub fn was_cut(&self) -> bool {
        self.plot.lock().unwrap().was_cut
    }

    /// Breaks the connection that hangs.
    pub fn snap(&self) {
        self.snap.notify_one();
    }

    fn take_cut(&self) -> Cut {
        let mut plot = self.plot.lock().unwrap();
        if plot.skip > 0 {
            plot.skip -= 1;
            return Cut::Nowhere;
        }
        plot.cut.take().unwrap_or(Cut::Nowhere)
    }

    fn breaks(&self) {
        let mut plot = self.plot.lock().unwrap();
        plot.was_cut = true;
        if let Some(power) = &plot.power {
            power.store(false, Ordering::SeqCst);
        }
    }

    async fn carry(&self, mut near: TcpStream, mut far: TcpStream) {
        let cut = self.take_cut();
        let (mut there, mut back) = (0, 0);
        let (mut question, mut answer) = ([0; 16_384], [0; 16_384]);
        if cut == Cut::Request(0) {
            self.breaks();
            return;
        }
        loop {
            tokio::select! {
                () = self.snap.notified() => break self.breaks(),
                read = near.read(&mut question) => {
                    let count = read.unwrap_or(0);
                    let passes = if let Cut::Request(most) = cut { count.min(most - there) } else { count };
                    if count == 0 || far.write_all(&question[..passes]).await.is_err() {
                        break;
                    }
                    there += passes;
                    if cut == Cut::Request(there) {
                        self.breaks();
                        break;
                    }
                }
                read = far.read(&mut answer) => {
                    let count = read.unwrap_or(0);
                    let passes = if let Cut::Answer(most) = cut { count.min(most - back) } else { count };
                    if count == 0 {
                        break;
                    }
                    back += passes;
                    if cut == Cut::Answer(back) {
                        // The power goes before the last bytes arrive: what they say is never committed.
                        self.breaks();
                        let _gone = near.write_all(&answer[..passes]).await.is_err();
                        break;
                    }
                    if near.write_all(&answer[..passes]).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
}

// ---- the driver, with a look at whether it is at work ----

struct Watched {
    inner: Webkassa,
    busy: Arc<AtomicUsize>,
}

struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watched {
    fn at_work<'a, T: Send + 'a>(&'a self, work: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        let busy = Busy(self.busy.clone());
        Box::pin(async move {
            let came = work.await;
            drop(busy);
            came
        })
    }
}

impl Fiscal for Watched {
    fn abilities(&self) -> FiscalAbilities {
        self.inner.abilities()
    }

    fn compose(&self, entry: &Entry<'_>) -> Result<String, Reason> {
        self.inner.compose(entry)
    }

    fn file<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Outcome<Filing>> {
        self.at_work(self.inner.file(request))
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome<Option<Box<Registered>>>> {
        self.at_work(self.inner.find(key))
    }

    fn report(&self, kind: ReportKind) -> BoxFuture<'_, Outcome<Reported>> {
        self.at_work(self.inner.report(kind))
    }

    fn closed_report(&self, shift: u64) -> BoxFuture<'_, Outcome<Option<Box<ShiftReport>>>> {
        self.at_work(self.inner.closed_report(shift))
    }

    fn probe(&self) -> BoxFuture<'_, Outcome<RegisterState>> {
        self.at_work(self.inner.probe())
    }
}

// ---- the bench ----

/// A daemon's life, as far as the register is concerned.
struct Life {
    office: Office,
    power: Arc<AtomicBool>,
    busy: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
    _hand: StopHand,
}

pub struct Bench {
    pub world: World,
    pub clock: Clock,
    pub wire: Arc<Wire>,
    rules: Rules,
    ids: Ids,
    folder: TempDir,
    /// A gate for every life, beside the power.
    gate: Gate,
    life: Option<Life>,
    /// What was asked for so far: names of orders.
    asked: u64,
    _hand: StopHand,
}

/// Where ledgers live: memory, where the machine has it.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn rules() -> Rules {
    Rules {
        shop: "Дастархан".to_owned(),
        zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(5)),
        day_ends_min: 360,
        stations: vec![],
        receipt_printers: vec!["receipt".to_owned()],
        drawers: vec![],
        backups: BTreeMap::default(),
        pos: None,
        fiscal: FiscalRules {
            register: Some(NAME.to_owned()),
            vat: Vat(Some(16)),
            auto_z: false,
            ..FiscalRules::nothing()
        },
    }
}

impl Bench {
    pub async fn build(change: impl FnOnce(&mut WebkassaOptions), gate: Gate) -> Bench {
        let mut options = WorldOptions::default();
        change(&mut options.webkassa);
        let clock = Clock::manual(NOON);
        let (hand, stop) = Stop::pair();
        let spawner = Spawner::new(|task| drop(tokio::spawn(task)));
        let world = World::start(options, clock.clone(), Ids::seeded(7), &spawner, stop).await.unwrap();
        let to: SocketAddr = world.webkassa_base().trim_start_matches("http://").parse().unwrap();
        let wire = Wire::lay(to, &spawner).await;
        let mut bench = Bench {
            world,
            clock,
            wire,
            rules: rules(),
            ids: Ids::seeded(11),
            folder: folder(),
            gate,
            life: None,
            asked: 0,
            _hand: hand,
        };
        while !bench.start() {}
        bench
    }

    pub async fn open() -> Bench {
        Bench::build(|_| {}, kassad::ledger::open_gate()).await
    }

    pub fn sandbox(&self) -> &Arc<Sandbox> {
        self.world.webkassa()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// The daemon starts on the ledger that is there; `false` when a crash point stopped it before it was up.
    pub fn start(&mut self) -> bool {
        assert!(self.life.is_none());
        let power = Arc::new(AtomicBool::new(true));
        let (on, gate) = (power.clone(), self.gate.clone());
        let gate: Gate = Arc::new(move |point| {
            let goes_on = on.load(Ordering::SeqCst) && gate(point);
            on.store(goes_on, Ordering::SeqCst);
            goes_on
        });
        let mut ledger = Ledger::open(&self.path(), &self.ids, gate).unwrap();
        let rules = self.rules.clone();
        if ledger.decide(self.clock.wall(), |tx| reconcile::restart(tx, &rules)).is_err() {
            return false;
        }
        let (writer, queue) = Writer::pair();
        let (hand, stop) = Stop::pair();
        let reader = Reader::open(&self.path()).unwrap();
        let (office, changes) = Office::new(self.clock.clone(), writer, reader, rules, stop);
        let text = |text: &str| Value::Text(text.to_owned());
        let secret = |key: &str| (key.to_owned(), vec![Secret::new("sandbox")]);
        let setup = Setup {
            name: NAME.to_owned(),
            address: format!("http://127.0.0.1:{}", self.wire.port),
            keys: BTreeMap::from([
                ("login".to_owned(), text("sandbox")),
                ("cashbox".to_owned(), text(&WebkassaOptions::default().cashbox)),
            ]),
            secrets: BTreeMap::from([secret("api_key_file"), secret("password_file")]),
            vault: Arc::new(LedgerVault(office.clone())),
            installation: "kassad-7f".to_owned(),
            utc_offset_s: 5 * 3600,
            clock: self.clock.clone(),
        };
        let busy = Arc::new(AtomicUsize::new(0));
        let driver = Arc::new(Watched { inner: Webkassa::open(&setup).unwrap(), busy: busy.clone() });
        let tasks = [
            tokio::spawn(writer::serve(ledger, queue, self.clock.clone(), changes)),
            tokio::spawn(fiscal::run(office.clone(), NAME.to_owned(), driver, self.ids.clone())),
        ];
        self.life = Some(Life { office, power, busy, tasks, _hand: hand });
        true
    }

    /// Ends as a power cut would.
    pub async fn die(&mut self) {
        let Some(Life { office, power, mut tasks, .. }) = self.life.take() else { return };
        power.store(false, Ordering::SeqCst);
        for task in &mut tasks {
            task.abort();
            let _ended = task.await.is_err();
        }
        drop(office);
    }

    /// Where the power went out, the daemon starts anew.
    pub async fn revive(&mut self) {
        if self.life.as_ref().is_none_or(|life| !life.power.load(Ordering::SeqCst)) {
            self.die().await;
            while !self.start() {}
        }
    }

    pub fn power(&self) -> Arc<AtomicBool> {
        self.life.as_ref().unwrap().power.clone()
    }

    pub fn office(&self) -> &Office {
        &self.life.as_ref().unwrap().office
    }

    pub async fn decide<T: Send + 'static>(
        &self,
        decision: impl FnOnce(&Tx<'_>, &Rules) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let rules = self.rules.clone();
        self.office().writer.decide(move |tx| decision(tx, &rules)).await
    }

    pub fn row(&self, id: FiscalId) -> FiscalRow {
        self.office().look(|view| view.fiscal(id)).unwrap()
    }

    pub fn rows(&self) -> Vec<FiscalRow> {
        let mut rows = self.office().look(|view| view.newest_fiscal(100_000)).unwrap();
        rows.reverse();
        rows
    }

    pub fn questions(&self) -> Vec<String> {
        let open = self.office().look(|view| view.open_questions()).unwrap();
        open.into_iter().map(|question| format!("{} {:?}", question.code, question.args)).collect()
    }

    /// Waits for a fact. The clock moves while it does not hold and nothing is on its way. With the power gone, the daemon starts anew.
    pub async fn until(&mut self, what: &str, fact: impl Fn(&Bench) -> bool) {
        let (mut quiet, mut steps, mut turns) = (0, 0, 0_u64);
        loop {
            self.revive().await;
            tokio::task::yield_now().await;
            let is_busy = self.life.as_ref().unwrap().busy.load(Ordering::SeqCst) > 0;
            quiet = if is_busy { 0 } else { quiet + 1 };
            // Something may hang on its way for ever: that too is a fact to look for.
            turns += 1;
            if (quiet == 1 || quiet == QUIET_TURNS || turns % 256 == 0) && fact(self) {
                return;
            }
            if quiet > QUIET_TURNS {
                quiet = 0;
                steps += 1;
                self.clock.advance(STEP);
                if steps > STEPS_MAX {
                    panic!("it never came that {what}\n{}", self.dump());
                }
            }
        }
    }

    /// Waits until a document is registered, and looks at what came of it.
    pub async fn until_registered(&mut self, id: FiscalId) {
        self.until(&format!("{id} is registered"), |bench| bench.row(id).state.is_final()).await;
    }

    pub fn dump(&self) -> String {
        let rows: Vec<String> = self
            .rows()
            .iter()
            .rev()
            .take(5)
            .map(|row| format!("{} {:?} {:?} {:?} {:?}", row.id, row.act, row.state, row.sign, row.reason))
            .collect();
        let kept: Vec<SandboxReceipt> = self.sandbox().receipts().into_iter().rev().take(3).collect();
        format!(
            "ledger: {rows:#?}\nregister: {kept:#?}\nits shifts: {:?}\nviolations: {:?}\nquestions: {:?}\ndevices: {:?}",
            self.sandbox().shifts(),
            self.sandbox().violations(),
            self.questions(),
            self.office().devices.all()
        )
    }

    // ---- people ----

    /// A name that no order had yet.
    pub fn next_name(&mut self) -> String {
        self.asked += 1;
        format!("A-{:05}", self.asked)
    }

    /// An order is paid in cash. Told twice under one name it is paid once.
    pub async fn sell(&self, name: &str) -> Result<FiscalId, Fault> {
        let wish = order(name);
        self.decide(move |tx, rules| {
            let paid = collect::plan(tx, rules, &wish)?;
            Ok(newest(tx, paid.id, Act::Sale))
        })
        .await
    }

    /// Some of what was paid for an order goes back, once under one name.
    pub async fn give_back(&self, sale: FiscalId, amount: Option<Tiyn>, name: &str) -> Result<FiscalId, Fault> {
        let key = Some((format!("back {name}"), "the same".to_owned()));
        self.decide(move |tx, rules| {
            let (attempt, _) = tx.fiscal_shares(sale)?.remove(0);
            let (by, because) = ("Мария".to_owned(), "гость вернул блюдо".to_owned());
            refund::plan(tx, rules, &refund::Wish { attempt, amount, by, because, transaction: String::new(), key })?;
            Ok(newest(tx, attempt, Act::Return))
        })
        .await
    }

    pub async fn close_shift(&self) -> Result<FiscalId, Fault> {
        self.decide(|tx, rules| Ok(flow::want_report(tx, rules, ReportKind::Z, "Мария")?.id)).await
    }

    pub async fn put_cash(&self, is_in: bool) -> Result<FiscalId, Fault> {
        let put =
            move |tx: &Tx<'_>, rules: &Rules| flow::move_cash(tx, rules, is_in, Tiyn(5_000), "Мария", "размен", None);
        self.decide(move |tx, rules| Ok(put(tx, rules)?.id)).await
    }

    // ---- laws ----

    /// The laws of one document that is through.
    pub fn is_registered_once(&self, id: FiscalId, how: &str) {
        let row = self.row(id);
        assert_eq!(row.state, State::Registered, "{how}: {row:?}\n{}", self.dump());
        let told = format!("{how}: {row:?}");
        match row.act {
            Act::Sale | Act::Return => {
                let kept = self.sandbox().receipts();
                let of_key: Vec<&SandboxReceipt> =
                    kept.iter().filter(|one| Some(&one.key) == row.key.as_ref()).collect();
                assert_eq!(of_key.len(), 1, "{told}");
                assert_eq!(Some(&of_key[0].sign), row.sign.as_ref(), "{told}");
                assert_eq!(of_key[0].total, row.total, "{told}");
                assert_eq!(of_key[0].side, if row.act == Act::Sale { Side::Sale } else { Side::Return }, "{told}");
                let basis = row.basis.map(|basis| self.row(basis).sign.unwrap());
                assert_eq!(of_key[0].basis, basis, "{told}");
            }
            Act::CashIn | Act::CashOut => {
                let kept = self.sandbox().moves();
                assert_eq!(kept.iter().filter(|one| Some(&one.key) == row.key.as_ref()).count(), 1, "{told}");
            }
            Act::X | Act::Z => {}
        }
        let papers = self.papers(&row);
        assert_eq!(papers, 1, "{told}: papers");
        assert_eq!(self.questions(), Vec::<String>::new(), "{told}");
        assert_eq!(self.sandbox().violations(), Vec::<String>::new(), "{told}");
    }

    /// Papers of a registered document that are not marked as a repeat, on the receipt printer.
    fn papers(&self, row: &FiscalRow) -> usize {
        let name = format!("fiscal:{}", row.id);
        let jobs = self
            .office()
            .look(|view| match row.order {
                Some(order) => view.jobs_of(order),
                None => {
                    let house = format!("{NAME} 2026-11-21");
                    view.order_of(flow::HOUSE, &house)?.map_or(Ok(Vec::new()), |order| view.jobs_of(order.id))
                }
            })
            .unwrap();
        jobs.iter().filter(|job| job.document == name && job.no == 1).count()
    }

    /// The laws of everything: as many in the register's books as in ours, one for one, and an unbroken journal.
    pub async fn close(mut self) {
        let rows = self.rows();
        let count =
            |acts: &[Act]| rows.iter().filter(|row| acts.contains(&row.act) && row.state == State::Registered).count();
        assert_eq!(self.sandbox().receipts().len(), count(&[Act::Sale, Act::Return]), "{}", self.dump());
        assert_eq!(self.sandbox().moves().len(), count(&[Act::CashIn, Act::CashOut]), "{}", self.dump());
        let closed = self.sandbox().shifts().iter().filter(|shift| shift.closed.is_some()).count();
        assert_eq!(closed, count(&[Act::Z]), "{}", self.dump());
        assert_eq!(self.questions(), Vec::<String>::new());
        assert_eq!(self.sandbox().violations(), Vec::<String>::new());
        self.die().await;
        let reader = Reader::open(&self.path()).unwrap();
        let (rows, flaws) = journal::verify(&reader).unwrap();
        assert!(rows > 0 && flaws.is_empty(), "{rows} rows, {} flaws", flaws.len());
    }
}

/// The newest document of a payment, of one kind.
fn newest(tx: &Tx<'_>, attempt: AttemptId, act: Act) -> FiscalId {
    let order = tx.attempt(attempt).unwrap().order;
    tx.fiscal_of_order(order).unwrap().into_iter().rfind(|row| row.act == act).unwrap().id
}

/// Two dishes, 7 100 ₸, paid with a note of 10 000.
fn order(name: &str) -> Plan {
    let line = |key: &str, name: &str, milli: i64, sum: i64| Line {
        key: key.to_owned(),
        name: name.to_owned(),
        modifiers: vec![],
        quantity: Milli(milli),
        sum: Tiyn(sum),
        workshop: None,
        comment: String::new(),
        unit: None,
        vat: None,
    };
    Plan {
        source: "api".to_owned(),
        snapshot: Snapshot {
            foreign_id: name.to_owned(),
            number: name.to_owned(),
            table: "5".to_owned(),
            waiter: String::new(),
            due: SUM,
            lines: vec![line("3", "Лағман", 2000, 620_000), line("13", "Шай", 1000, 90_000)],
            comment: String::new(),
        },
        tender: Tender::Cash,
        via: String::new(),
        amount: None,
        part: None,
        tendered: Some(Tiyn(1_000_000)),
        due_seen: None,
        phone: None,
        description: String::new(),
        bot: None,
        key: Some((name.to_owned(), "the same".to_owned())),
        key_renews: false,
    }
}
