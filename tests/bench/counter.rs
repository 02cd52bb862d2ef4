//! The figures of the README: `cargo bench`. Everything runs on loopback and on the disk of the target folder, and ends by itself;
//! `KASSAD_BENCH_QUICK=1` makes it short. Absolute times belong to the machine; the ratios are taken within one run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::float_arithmetic
)]
#![allow(missing_docs)]

use criterion::{Criterion, Throughput};
use kassad::config::Config;
use kassad::daemon::{Daemon, Machine};
use kassad::domain::attempt::{Event, Evidence};
use kassad::domain::ids::Handle;
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line, Milli, PosOrder, PosStanding, Snapshot, Tender};
use kassad::domain::paper::{Document, Imprint, PaymentLine, Receipt};
use kassad::domain::time::Wall;
use kassad::drivers::printer::{Letters, Profile, Way, render};
use kassad::drivers::signature;
use kassad::flows::collect::{self, Plan};
use kassad::flows::print::{self, Printed};
use kassad::flows::settle::{self, Look};
use kassad::flows::{Rules, Station};
use kassad::host::ids::Ids;
use kassad::host::secret::Secret;
use kassad::ledger::outbox::JobKind;
use kassad::ledger::{Ledger, Reader, open_gate};
use rusqlite::Connection;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The word that opens the sandbox; the daemon under test knows no other partner.
const SECRET: &str = "sandbox";
/// Guests' orders that were paid before the webhooks come.
const KNOWN_INVOICES: u64 = 64;
/// Connections of the flood.
const CONNECTIONS: usize = 64;
/// A moment of the sales; wall time is a label.
const NOW: Wall = Wall(1_795_000_000_000);

fn is_quick() -> bool {
    std::env::var_os("KASSAD_BENCH_QUICK").is_some()
}

/// A number of repetitions: the full one, or the short one.
fn times(full: u64, quick: u64) -> u64 {
    if is_quick() { quick } else { full }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
    let folder = tempfile::tempdir_in(target_folder()).unwrap();
    let daemon = runtime.block_on(start_daemon(folder.path()));
    let bare = Bare::open(&folder.path().join("bare.db"));
    let webhooks = Webhooks::new(daemon.public);

    let mut criterion = Criterion::default().configure_from_args().sample_size(if is_quick() { 10 } else { 50 });
    if is_quick() {
        criterion = criterion.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    }
    webhook(&mut criterion, &webhooks, &bare);
    sale(&mut criterion, folder.path());
    receipt(&mut criterion);

    println!("\nfigure                                              measured        aim");
    webhook_figures(&webhooks, &bare);
    flood_figures(&runtime, &webhooks, &bare);
    runtime.block_on(daemon.stop());
    sale_figures(folder.path());
    receipt_figures();
    binary_figures(folder.path());
    criterion.final_summary();
}

/// One line of the table.
fn figure(name: &str, measured: &str, aim: &str) {
    println!("{name:<50}  {measured:<14}  {aim}");
}

fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_kassad")).parent().unwrap().to_owned()
}

// --- the daemon under test -------------------------------------------------------------------------------------------------

fn config_text(ledger: &Path) -> String {
    format!(
        "[listen]\npublic = \"127.0.0.1:0\"\nlocal = \"127.0.0.1:0\"\n[ledger]\npath = \"{}\"\n\
         [[cloud]]\nname = \"aipay\"\nkind = \"aipay\"\naddress = \"http://127.0.0.1:9/v1\"\n\
         api_key_file = \"secret\"\nwebhook_secret_files = [\"secret\"]\n\
         [[terminal]]\nname = \"counter\"\nkind = \"kaspi_smart_pos\"\naddress = \"http://127.0.0.1:9\"\nprotected = false\n\
         [pos]\nname = \"poster\"\nkind = \"poster\"\naddress = \"http://127.0.0.1:9/api\"\ntoken_file = \"secret\"\n\
         spot_id = 1\nspot_tablet_id = 1\n\
         [[printer]]\nname = \"receipt\"\nkind = \"escpos\"\naddress = \"tcp://127.0.0.1:9\"\nroles = [\"receipt\"]\n\
         [[printer]]\nname = \"hot\"\nkind = \"escpos\"\naddress = \"tcp://127.0.0.1:9\"\n\
         [[station]]\nname = \"hot\"\nprinter = \"hot\"\nworkshop = 1\n[log]\nlevel = \"error\"\n",
        ledger.display()
    )
}

async fn start_daemon(folder: &Path) -> Daemon {
    let path = folder.join("webhooks.db");
    let mut ledger = Ledger::open(&path, &Ids::seeded(1), open_gate()).unwrap();
    for number in 0..KNOWN_INVOICES {
        pay_by_invoice(&mut ledger, number);
    }
    drop(ledger);
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    let config = Config::parse(&config_text(&path), folder).unwrap();
    Daemon::start(&config, Machine::real()).await.unwrap()
}

/// A paid invoice: its later notices are matched to it and start no inquiry, so that the daemon's own work is measured.
fn pay_by_invoice(ledger: &mut Ledger, number: u64) {
    let rules = Rules { pos: None, stations: Vec::new(), receipt_printers: Vec::new(), ..rules() };
    let wish = Plan { source: "api".into(), tender: Tender::KaspiInvoice, via: "aipay".into(), ..wish(number) };
    let id = ledger.decide(NOW, |tx| collect::plan(tx, &rules, &wish)).unwrap().id;
    ledger.decide(NOW, |tx| collect::send(tx, &rules, id)).unwrap();
    ledger.decide(NOW, |tx| collect::accepted(tx, &rules, id, Handle(format!("inv_{number}")))).unwrap();
    ledger.decide(NOW, |tx| collect::conclude(tx, &rules, id, Event::Settled(evidence(&wish.snapshot)))).unwrap();
}

// --- (a) and (d): webhooks ---------------------------------------------------------------------------------------------------

/// Distinct, correctly signed notices.
struct Webhooks {
    address: SocketAddr,
    next: AtomicU64,
    secret: Secret,
}

impl Webhooks {
    fn new(address: SocketAddr) -> Webhooks {
        Webhooks { address, next: AtomicU64::new(0), secret: Secret::new(SECRET) }
    }

    fn body(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let invoice = number % KNOWN_INVOICES;
        format!(
            "{{\"event\":\"invoice.seen{number}\",\"invoice_id\":\"inv_{invoice}\",\"external_id\":\"dastarkhan-{invoice}-1-1\",\
             \"amount\":12400,\"paid_at\":\"2026-11-21T20:27:00Z\"}}"
        )
    }

    fn request(&self) -> Vec<u8> {
        let body = self.body();
        format!(
            "POST /webhooks/aipay HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nuser-agent: AiPay/1.0\r\n\
             x-aipay-signature: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            signature::sign(&self.secret, body.as_bytes()),
            body.len()
        )
        .into_bytes()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

/// From the first byte to the 200.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Duration {
    let mut answer = [0; 1024];
    let start = Instant::now();
    stream.write_all(request).unwrap();
    let length = stream.read(&mut answer).unwrap();
    let took = start.elapsed();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200") && answer[..length].ends_with(b"\r\n\r\n"));
    took
}

/// The same row in a table of the same form, on the same disk, with the same settings, and nothing around it.
struct Bare(Connection);

impl Bare {
    fn open(path: &Path) -> Bare {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 8000;
                 CREATE TABLE inbox (
                    id INTEGER PRIMARY KEY, door TEXT NOT NULL, event_key TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
                    received INTEGER NOT NULL, state TEXT NOT NULL, attempt INTEGER, handle TEXT, status TEXT, amount INTEGER,
                    UNIQUE (door, event_key)) STRICT;",
            )
            .unwrap();
        Bare(connection)
    }

    fn commit(&self, number: u64, body: &str) -> Duration {
        let headers = "{\"content-type\":\"application/json\",\"dialect\":\"A\",\"user-agent\":\"AiPay/1.0\",\
             \"x-aipay-signature\":\"f604ad593607115fc3e73c1923e18dad75a3eee748b16c7c04fbd2ee5da171a1\"}";
        let (key, status) = (format!("inv_{}:seen{number}", number % KNOWN_INVOICES), format!("seen{number}"));
        let start = Instant::now();
        self.0.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
        self.0
            .prepare_cached(
                "INSERT INTO inbox (door, event_key, headers, body, received, state, attempt, handle, status, amount)
                 VALUES ('aipay', ?1, ?2, ?3, ?4, 'matched', ?5, 'inv_8f3a', ?6, 1240000)",
            )
            .unwrap()
            .execute((key, headers, body.as_bytes(), NOW.0, i64::try_from(number).unwrap(), status))
            .unwrap();
        self.0.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
        start.elapsed()
    }
}

fn webhook(criterion: &mut Criterion, webhooks: &Webhooks, bare: &Bare) {
    let mut group = criterion.benchmark_group("webhook");
    let mut stream = webhooks.connect();
    group.bench_function("first byte to 200, durable", |bench| {
        bench.iter_custom(|rounds| (0..rounds).map(|_| exchange(&mut stream, &webhooks.request())).sum());
    });
    group.bench_function("bare commit of the same row", |bench| {
        bench.iter_custom(|rounds| {
            (0..rounds).map(|_| bare.commit(webhooks.next.load(Ordering::Relaxed), &webhooks.body())).sum()
        });
    });
    group.finish();
}

/// Takes turns, so that both see the same disk and the same neighbours.
fn webhook_figures(webhooks: &Webhooks, bare: &Bare) {
    let mut stream = webhooks.connect();
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..times(4000, 200) {
        ours.push(exchange(&mut stream, &webhooks.request()));
        bares.push(bare.commit(webhooks.next.load(Ordering::Relaxed), &webhooks.body()));
    }
    let (ours, bares) = (median(ours), median(bares));
    let ratio = ours.as_secs_f64() / bares.as_secs_f64();
    figure("webhook, first byte to 200, body durable, p50", &micros(ours), "");
    figure("bare SQLite commit of the same row, p50", &micros(bares), "");
    figure("  ratio", &format!("{ratio:.2}"), "<= 2");
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[spans.len() / 2]
}

fn micros(span: Duration) -> String {
    format!("{} µs", span.as_micros())
}

/// As many bare commits as go, one after the other; then webhooks from 64 connections; in turns.
fn flood_figures(runtime: &tokio::runtime::Runtime, webhooks: &Webhooks, bare: &Bare) {
    let (rounds, span) = (times(5, 1), Duration::from_millis(times(2000, 300)));
    let (mut bare_rates, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (start, mut commits) = (Instant::now(), 0_u32);
        while start.elapsed() < span {
            bare.commit(webhooks.next.load(Ordering::Relaxed), &webhooks.body());
            commits += 1;
        }
        bare_rates.push(f64::from(commits) / start.elapsed().as_secs_f64());
        rates.push(flood(runtime, webhooks, span));
    }
    bare_rates.sort_by(f64::total_cmp);
    rates.sort_by(f64::total_cmp);
    let (bare_rate, rate) = (bare_rates[bare_rates.len() / 2], rates[rates.len() / 2]);
    figure("webhooks a second from 64 connections", &format!("{rate:.0}"), "");
    figure("bare commits a second, one row each", &format!("{bare_rate:.0}"), "");
    figure("  ratio", &format!("{:.2}", rate / bare_rate), ">= 3");
}

/// The flood's client is one thread, so that the daemon keeps a core; requests are made and signed before the clock runs.
fn flood(_runtime: &tokio::runtime::Runtime, webhooks: &Webhooks, span: Duration) -> f64 {
    let per_connection = usize::try_from(span.as_millis()).unwrap() * 60 / CONNECTIONS;
    let requests: Vec<Vec<Vec<u8>>> =
        (0..CONNECTIONS).map(|_| (0..per_connection).map(|_| webhooks.request()).collect()).collect();
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answered = Arc::new(AtomicU64::new(0));
    let address = webhooks.address;
    let start = client.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(stream);
        }
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for (mut stream, requests) in streams.into_iter().zip(requests) {
            let answered = answered.clone();
            tasks.spawn(async move {
                let mut answer = [0; 1024];
                for request in &requests {
                    if start.elapsed() >= span {
                        return;
                    }
                    stream.write_all(request).await.unwrap();
                    let length = stream.read(&mut answer).await.unwrap();
                    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                assert!(start.elapsed() >= span, "the flood ran dry: make more requests");
            });
        }
        tasks.join_all().await;
        start
    });
    answered.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

// --- (b): one whole sale -----------------------------------------------------------------------------------------------------

fn rules() -> Rules {
    let station = |name: &str, workshop: &str| Station {
        name: name.into(),
        printer: name.into(),
        workshop: Some(workshop.into()),
    };
    Rules {
        shop: "Дастархан".into(),
        zone: jiff::tz::TimeZone::get("Asia/Almaty").unwrap(),
        day_ends_min: 360,
        stations: vec![station("hot", "1"), station("bar", "2")],
        receipt_printers: vec!["receipt".into()],
        drawers: vec![],
        backups: Default::default(),
        pos: Some("poster".into()),
        fiscal: kassad::flows::FiscalRules::nothing(),
    }
}

fn dish(name: &str, count: i64, price: i64, workshop: &str) -> Line {
    Line {
        key: format!("{}:0", name.len()),
        name: name.into(),
        modifiers: Vec::new(),
        quantity: Milli(count * 1000),
        sum: Tiyn(count * price * 100),
        workshop: Some(workshop.into()),
        comment: String::new(),
        unit: None,
        vat: None,
    }
}

/// A table's usual order: five lines for two stations.
fn order(number: u64) -> Snapshot {
    let lines = vec![
        dish("Лагман уйгурский", 2, 2200, "1"),
        dish("Бешбармак", 1, 3900, "1"),
        dish("Самса с говядиной", 3, 700, "1"),
        dish("Чай с молоком, чайник", 1, 1200, "2"),
        dish("Айран домашний", 2, 400, "2"),
    ];
    let due = lines.iter().map(|line| line.sum).sum();
    let number = (100_000 + number).to_string();
    Snapshot {
        foreign_id: number.clone(),
        number,
        table: "5".into(),
        waiter: "Зал 1".into(),
        due,
        lines,
        comment: String::new(),
    }
}

fn wish(number: u64) -> Plan {
    Plan {
        source: "pos".into(),
        snapshot: order(number),
        tender: Tender::KaspiTerminal,
        via: "counter".into(),
        amount: None,
        part: None,
        tendered: None,
        due_seen: None,
        phone: None,
        description: format!("Дастархан: заказ {}", 100_000 + number),
        bot: None,
        key: Some((format!("api:{number:08}-7f3c-4e1a"), format!("{{\"order_id\":\"{number}\"}}"))),
        key_renews: false,
    }
}

fn evidence(order: &Snapshot) -> Evidence {
    Evidence {
        amount: order.due,
        method: "qr".into(),
        transaction: "14159265358".into(),
        source: "terminal".into(),
        detail: "Gold".into(),
        tendered: None,
    }
}

/// One sale at the terminal, from the wish to the last paper: every commit that the daemon makes for it, one after the other.
fn sell(ledger: &mut Ledger, rules: &Rules, number: u64) {
    let wish = wish(number);
    let id = ledger.decide(NOW, |tx| collect::plan(tx, rules, &wish)).unwrap().id;
    ledger.decide(NOW, |tx| collect::send(tx, rules, id)).unwrap();
    ledger.decide(NOW, |tx| collect::accepted(tx, rules, id, Handle(format!("{}", 7_000_000 + number)))).unwrap();
    let paid = Event::Settled(evidence(&wish.snapshot));
    let order = ledger.decide(NOW, |tx| collect::conclude(tx, rules, id, paid)).unwrap().order;
    let close = ledger.view().jobs_of(order).unwrap().into_iter().find(|job| job.kind == JobKind::Close).unwrap().id;
    let mut seen = PosOrder { snapshot: wish.snapshot.clone(), standing: PosStanding::Open };
    let look = ledger.decide(NOW, |tx| settle::look(tx, rules, close, &seen, false)).unwrap();
    assert!(matches!(look, Look::Close { .. }));
    let cashless = wish.snapshot.due;
    seen.standing = PosStanding::Closed { cash: Tiyn::ZERO, cashless, other: Tiyn::ZERO };
    assert_eq!(ledger.decide(NOW, |tx| settle::look(tx, rules, close, &seen, true)).unwrap(), Look::Closed);
    let jobs = ledger.view().jobs_of(order).unwrap();
    let prints: Vec<_> = jobs.into_iter().filter(|job| job.kind == JobKind::Print).collect();
    assert_eq!(prints.len(), 3);
    for paper in prints {
        ledger.decide(NOW, |tx| print::begin(tx, paper.id)).unwrap().unwrap();
        ledger.decide(NOW, |tx| print::end(tx, paper.id, &Printed::Confirmed)).unwrap();
    }
}

fn sale(criterion: &mut Criterion, folder: &Path) {
    let mut ledger = Ledger::open(&folder.join("sale.db"), &Ids::seeded(1), open_gate()).unwrap();
    let (rules, mut number) = (rules(), 0);
    criterion.bench_function("one whole sale through the ledger", |bench| {
        bench.iter(|| {
            number += 1;
            sell(&mut ledger, &rules, number);
        });
    });
}

/// What this process has handed to the system in bytes, and what the system counts as written to the disk, in whole pages of memory.
fn written() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    (value("wchar:"), value("write_bytes:"))
}

fn sale_figures(folder: &Path) {
    let path = folder.join("bytes.db");
    let (rules, warm, sales) = (rules(), times(500, 50), times(2000, 200));
    let mut ledger = Ledger::open(&path, &Ids::seeded(1), open_gate()).unwrap();
    (0..warm).for_each(|number| sell(&mut ledger, &rules, number));
    let (commits, before, start) = (ledger.commits(), written(), Instant::now());
    (warm..warm + sales).for_each(|number| sell(&mut ledger, &rules, number));
    let (took, commits) = (start.elapsed(), ledger.commits() - commits);
    // Closing folds the log into the ledger: what it still owed is counted.
    drop(ledger);
    let after = written();
    let kib = |bytes: u64| format!("{:.1} KiB", bytes as f64 / sales as f64 / 1024.0);
    let grown = std::fs::metadata(&path).unwrap().len() / (warm + sales) * sales;
    figure("one whole sale through the ledger", &micros(took / u32::try_from(sales).unwrap()), "");
    figure("  commits", &format!("{}", commits / sales), "");
    figure("  bytes written: log and ledger, with checkpoints", &kib(after.0 - before.0), "<= 64 KiB");
    figure("  the same in whole pages of 4 KiB (write_bytes)", &kib(after.1 - before.1), "");
    figure("  growth of the ledger", &kib(grown), "");
}

// --- (c): paper ----------------------------------------------------------------------------------------------------------------

/// A receipt of 20 bilingual lines.
fn long_receipt() -> Document {
    let lines: Vec<Line> = (0..20).map(|number| dish(&format!("Қазақша ет, блюдо {number}"), 2, 1500, "1")).collect();
    let total = lines.iter().map(|line| line.sum).sum();
    Document::Receipt(Receipt {
        shop: "Дастархан".into(),
        order_number: "1950".into(),
        table: "5".into(),
        waiter: "Зал 1".into(),
        lines,
        total,
        payments: vec![PaymentLine {
            label: "Kaspi QR".into(),
            amount: total,
            transaction: "14159265".into(),
            tendered: None,
        }],
        paid_at: "21.11.2026 13:05".into(),
        reference: "K3F9Q-1-1-1".into(),
        qr: None,
        issuer: String::new(),
    })
}

const JOB: Imprint = Imprint { job: 17, copy: 1, instead_of: None };

/// The ways of printing letters, by name.
fn ways() -> [(&'static str, Profile); 3] {
    [
        ("receipt of 20 lines to bytes", Profile::wide(Letters::Kz1048)),
        ("receipt with our own letters", Profile { way: Way::Defined, ..Profile::wide(Letters::Pc866) }),
        ("receipt as raster", Profile { way: Way::Raster, ..Profile::wide(Letters::Pc866) }),
    ]
}

fn receipt(criterion: &mut Criterion) {
    let document = long_receipt();
    let mut group = criterion.benchmark_group("paper");
    for (name, profile) in ways() {
        group.throughput(Throughput::Bytes(render(&document, &JOB, &profile).len() as u64));
        group.bench_function(name, |bench| bench.iter(|| render(&document, &JOB, &profile)));
    }
    group.finish();
}

/// How long a receipt takes, and what Kazakh costs on a serial line: its bytes against those of plain fallback letters.
fn receipt_figures() {
    let document = long_receipt();
    for ((name, profile), aim) in ways().into_iter().zip(["<= 50 µs", "", "<= 3 ms"]) {
        let spans = (0..times(400, 50)).map(|_| {
            let start = Instant::now();
            std::hint::black_box(render(&document, &JOB, &profile));
            start.elapsed()
        });
        figure(name, &micros(median(spans.collect())), aim);
    }
    let bytes = |way| render(&document, &JOB, &Profile { way, ..Profile::wide(Letters::Pc866) }).len();
    let (plain, defined) = (bytes(Way::Page), bytes(Way::Defined));
    let ratio = format!("{:.2} ({defined})", defined as f64 / plain as f64);
    figure("bytes with our own letters / plain", &ratio, "<= 1.5");
}

// --- the binary ------------------------------------------------------------------------------------------------------------------

/// The built daemon as a process; it ends with the value.
struct Running {
    child: Child,
    ready: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill().is_ok();
        let _reaped = self.child.wait().is_ok();
    }
}

/// Starts the daemon over a ledger, and waits for the word that systemd waits for.
fn run(folder: &Path, ledger: &Path) -> Running {
    let (config, socket) = (folder.join("kassad.toml"), folder.join("notify"));
    std::fs::write(&config, config_text(ledger)).unwrap();
    let _gone = std::fs::remove_file(&socket).is_ok();
    let ear = UnixDatagram::bind(&socket).unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let start = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_kassad"))
        .arg("run")
        .arg("--config")
        .arg(&config)
        .env("NOTIFY_SOCKET", &socket)
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running { child, ready: Duration::ZERO };
    let mut word = [0; 256];
    let length = ear.recv(&mut word).unwrap();
    running.ready = start.elapsed();
    assert!(word[..length].starts_with(b"READY=1"));
    running
}

impl Running {
    fn resident_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

fn binary_figures(folder: &Path) {
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_kassad")).unwrap().len();
    let mib = |kib: u64| format!("{:.1} MB", kib as f64 * 1024.0 / 1e6);
    figure("release binary", &format!("{:.1} MB", size as f64 / 1e6), "<= 10 MB");
    let idle = run(folder, &folder.join("idle.db"));
    std::thread::sleep(Duration::from_secs(times(8, 2)));
    figure("resident memory of the idle daemon", &mib(idle.resident_kib()), "<= 12 MB");
    drop(idle);
    let payments = times(100_000, 5_000);
    let lived_in = folder.join("lived_in.db");
    fill(&lived_in, payments);
    let mut starts: Vec<Duration> = (0..times(9, 3)).map(|_| run(folder, &lived_in).ready).collect();
    starts.sort_unstable();
    let size = std::fs::metadata(&lived_in).unwrap().len() / 1_000_000;
    let name = format!("start to READY=1, {payments} payments ({size} MB)");
    figure(&name, &format!("{:.0} ms", starts[starts.len() / 2].as_secs_f64() * 1e3), "<= 100 ms");
    let used = run(folder, &lived_in);
    std::thread::sleep(Duration::from_secs(times(8, 2)));
    figure("resident memory over that ledger", &mib(used.resident_kib()), "");
}

/// A ledger with many payments: one true sale, copied row by row with new numbers. Its chain of hashes is not one; a start walks none.
fn fill(path: &Path, payments: u64) {
    let mut ledger = Ledger::open(path, &Ids::seeded(1), open_gate()).unwrap();
    sell(&mut ledger, &rules(), 0);
    drop(ledger);
    let copies = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1) INSERT INTO";
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN").unwrap();
    let count = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let (rows, jobs) = (count("journal"), count("jobs"));
    let copy =
        |sql: String| connection.execute(&format!("{copies} {sql}"), [i64::try_from(payments).unwrap()]).unwrap();
    copy(format!(
        "journal SELECT i * {rows} + seq, at + i, kind, subject + i, entry, randomblob(32) FROM n, (SELECT * FROM journal WHERE seq <= {rows})"
    ));
    copy(format!(
        "orders SELECT id + i, source, foreign_id + i, snapshot, due, closing, created + i, i * {rows} + seq FROM n, (SELECT * FROM orders WHERE id = 1)"
    ));
    copy(
        "parts SELECT id + i, order_id + i, no, amount, paid, state FROM n, (SELECT * FROM parts WHERE id = 1)".into(),
    );
    let columns = "part_id + i, no, tender, via, amount, phone, description, bot, state, handle || i, evidence, late, reason, watched, created + i, changed + i";
    copy(format!(
        "attempts SELECT id + i, {columns}, i * {rows} + seq, external_id FROM n, (SELECT * FROM attempts WHERE id = 1)"
    ));
    copy(format!(
        "jobs SELECT id + i * {jobs}, kind, target, order_id + i, attempt + i, document, no, state, tries, body, reason, created + i, i * {rows} + seq
         FROM n, (SELECT * FROM jobs WHERE id <= {jobs})"
    ));
    connection.execute_batch("COMMIT").unwrap();
    let reader = Reader::open(path).unwrap();
    assert_eq!(reader.view().newest_attempts(None, 1).unwrap()[0].id.0, i64::try_from(payments).unwrap());
}
