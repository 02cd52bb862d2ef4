//! The harness of the stories: the true daemon and the sandbox restaurant on one clock that stands until a story waits for a fact. Talks
//! to the daemon over real HTTP and looks at the partners' own books; nothing here knows how the daemon does it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kassad::config::Config;
use kassad::daemon::{self, Daemon, Machine, StartFault};
use kassad::domain::time::Wall;
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::lock::LockFault;
use kassad::host::secret::Secret;
use kassad::host::tasks::{Stop, StopHand};
use kassad::ledger::{Gate, Reader, journal};
use kassad::sandbox::Ports;
use kassad::sandbox::aipay::{AiPay, InvoiceView, sign};
use kassad::sandbox::poster::{OrderView, Poster};
use kassad::sandbox::printer::Printer;
use kassad::sandbox::restaurant::{SANDBOX_SECRET, Shop, ShopOptions};
use kassad::sandbox::terminal::{Screen, Terminal};
use kassad::transport::web::{Limits, Request, Trust, Web};
use kassad::workers::Device;
use kassad::workers::probe::Probes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// 2026-11-21 08:00:00 UTC: lunch in Almaty.
pub const NOON: Wall = Wall(1_795_248_000_000);
pub const PHONE: &str = "77011234567";
/// How far the clock moves each time a fact does not hold yet.
pub const STEP: Duration = Duration::from_millis(100);
/// Real time between two looks at a fact.
const TICK: Duration = Duration::from_millis(2);
/// Real time after which a fact counts as never coming.
const CAP: Duration = Duration::from_secs(60);

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A restaurant with its daemon.
pub struct Counter {
    pub clock: Clock,
    pub shop: Shop,
    pub folder: TempDir,
    ids: Ids,
    /// While it is shut, nothing is committed: the power is out.
    power: Arc<AtomicBool>,
    daemon: Option<Daemon>,
    _hand: StopHand,
}

/// What came back from the daemon.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub body: Value,
    pub text: String,
}

impl Counter {
    /// Opens the restaurant, without a cash register, and starts the daemon.
    pub async fn open() -> Counter {
        Counter::raise(false).await
    }

    /// The same with the cash register.
    pub async fn open_with_register() -> Counter {
        Counter::raise(true).await
    }

    async fn raise(register: bool) -> Counter {
        // Another story of the same process may have installed it.
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let clock = Clock::manual(NOON);
        let ids = Ids::seeded(7);
        let (hand, stop) = Stop::pair();
        let spawner = daemon::spawner(stop.clone());
        let options = ShopOptions {
            ports: Ports::default(),
            printers: [0; 3],
            terminals: 1,
            guest: None,
            register,
            webhook_url: None,
        };
        let shop = Shop::open(options, &clock, &ids, &spawner, &stop).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let power = Arc::new(AtomicBool::new(true));
        let mut counter = Counter { clock, shop, folder, ids, power, daemon: None, _hand: hand };
        counter.start().await;
        counter
    }

    pub fn config(&self) -> Config {
        self.shop.config(self.folder.path(), ANY_PORT, ANY_PORT).unwrap()
    }

    /// The same with something added to the section of a printer.
    pub fn config_with(&self, printer: &str, keys: &str) -> Config {
        self.config();
        let text = std::fs::read_to_string(self.folder.path().join("kassad.toml")).unwrap();
        let head = format!("[[printer]]\nname = \"{printer}\"\n");
        assert!(text.contains(&head));
        Config::parse(&text.replace(&head, &format!("{head}{keys}\n")), self.folder.path()).unwrap()
    }

    pub fn machine(&self) -> Machine {
        let power = self.power.clone();
        let gate: Gate = Arc::new(move |_| power.load(Ordering::SeqCst));
        Machine { clock: self.clock.clone(), ids: self.ids.clone(), gate }
    }

    /// Starts the daemon on the ledger that is there.
    pub async fn start(&mut self) {
        self.start_with(&self.config()).await;
    }

    /// Starts the daemon with another configuration.
    pub async fn start_with(&mut self, config: &Config) {
        self.power.store(true, Ordering::SeqCst);
        let daemon = started(config, &self.machine()).await;
        self.aipay().set_webhook_url(Some(format!("http://{}/webhooks/aipay", daemon.public)));
        self.daemon = Some(daemon);
    }

    /// The switch of the power: once shut, no commit happens.
    pub fn power(&self) -> Arc<AtomicBool> {
        self.power.clone()
    }

    /// The power goes out, and the box starts again.
    pub async fn power_cut(&mut self) {
        self.power.store(false, Ordering::SeqCst);
        self.daemon.take().unwrap().kill().await;
        self.start().await;
    }

    pub async fn stop(&mut self) {
        self.daemon.take().unwrap().stop().await;
    }

    pub fn public(&self) -> SocketAddr {
        self.daemon.as_ref().unwrap().public
    }

    /// The local listener as this machine finds it: by loopback, wherever else it listens.
    pub fn local(&self) -> SocketAddr {
        let local = self.daemon.as_ref().unwrap().local;
        if local.ip().is_unspecified() { (std::net::Ipv4Addr::LOCALHOST, local.port()).into() } else { local }
    }

    pub fn probes(&self) -> &Probes {
        &self.daemon.as_ref().unwrap().probes
    }

    /// How a device is, with its code.
    pub fn device(&self, name: &str) -> Option<Device> {
        self.daemon.as_ref().unwrap().office.devices.all().remove(name)
    }

    /// Says how a device is, as its worker would.
    pub fn says(&self, name: &str, role: &'static str, state: &'static str, code: &str, detail: &str) {
        self.daemon.as_ref().unwrap().office.devices.set(name, role, state, code, detail);
    }

    pub fn aipay(&self) -> &Arc<AiPay> {
        self.shop.world.aipay()
    }

    pub fn poster(&self) -> &Arc<Poster> {
        self.shop.world.poster()
    }

    pub fn till(&self) -> &Arc<Terminal> {
        &self.shop.world.terminals()[0]
    }

    pub fn printer(&self, name: &str) -> &Arc<Printer> {
        self.shop.printer(name).unwrap()
    }

    pub fn papers(&self, name: &str) -> Vec<String> {
        self.printer(name).papers().into_iter().map(|paper| paper.text).collect()
    }

    pub fn invoice(&self) -> InvoiceView {
        self.aipay().invoices().pop().unwrap()
    }

    pub fn in_pos(&self, id: u64) -> OrderView {
        self.poster().orders().into_iter().find(|order| order.id == id).unwrap()
    }

    /// A table orders бешбармақ from the hot station and tea from the cold one: 6 100 ₸.
    pub fn order(&self) -> u64 {
        self.poster().open_order(5, "Айгерім", &[(1, 1), (13, 1)])
    }

    // ---- the daemon's surfaces ----

    async fn send(&self, to: SocketAddr, request: Request) -> Said {
        let web = Web::open(&format!("http://{to}"), &Trust::Roots).unwrap();
        let answer = web.send(&request, Limits::RECORD).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Said { status: answer.status, body: answer.json().unwrap_or(Value::Null), text }
    }

    pub async fn get(&self, path: &str) -> Said {
        self.send(self.local(), Request::get(path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Said {
        self.send(self.local(), Request::post(path).json(body.to_string())).await
    }

    pub async fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Said {
        self.send(self.local(), Request::post(path).header("idempotency-key", key).json(body.to_string())).await
    }

    /// As the bot: with its key.
    pub async fn bot_post(&self, body: &Value) -> Said {
        let request = Request::post("/v1/invoices").bearer(&Secret::new(SANDBOX_SECRET)).json(body.to_string());
        self.send(self.local(), request).await
    }

    pub async fn bot_get(&self, id: &str) -> Said {
        self.send(self.local(), Request::get(format!("/v1/invoices/{id}")).bearer(&Secret::new(SANDBOX_SECRET))).await
    }

    /// A notice from outside, with whatever signature.
    pub async fn notice(&self, header: &'static str, signature: &str, body: &str) -> u16 {
        let request = Request::post("/webhooks/aipay").header(header, signature).json(body);
        self.send(self.public(), request).await.status
    }

    /// A rightly signed notice in dialect A.
    pub async fn signed_notice(&self, body: &str) -> u16 {
        self.notice("x-aipay-signature", &sign(SANDBOX_SECRET, body.as_bytes()), body).await
    }

    pub async fn public_get(&self, path: &str) -> Said {
        self.send(self.public(), Request::get(path)).await
    }

    /// Starts a collection and returns its name.
    pub async fn pay(&self, order: u64, tender: &str) -> String {
        let said = self.try_pay(order, tender).await;
        assert_eq!(said.status, 201, "{}", said.text);
        said.body["id"].as_str().unwrap().to_owned()
    }

    pub async fn try_pay(&self, order: u64, tender: &str) -> Said {
        self.post("/api/v1/payments", &wish(order, tender)).await
    }

    pub async fn payment(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/payments/{id}")).await.body
    }

    pub async fn is(&self, id: &str, state: &str) -> bool {
        self.payment(id).await["state"] == state
    }

    /// The codes of the open questions.
    pub async fn questions(&self) -> Vec<String> {
        let status = self.get("/api/v1/status").await.body;
        let questions = status["questions"].as_array().cloned().unwrap_or_default();
        // The red line is there at once; a question is what a person may answer.
        let asked = questions.iter().filter(|question| question["may_answer"] == true);
        asked.map(|question| question["code"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A person has looked, and settles the open question of a code.
    pub async fn settle(&self, code: &str) {
        self.until_asked(code).await;
        let status = self.get("/api/v1/status").await.body;
        let questions = status["questions"].as_array().cloned().unwrap_or_default();
        let id = questions.iter().find(|question| question["code"] == code).unwrap()["id"].to_string();
        let answer = json!({ "by": "Мария", "because": "сверила" });
        let said = self.post(&format!("/api/v1/questions/{id}/answer"), &answer).await;
        assert_eq!(said.status, 200, "{}", said.text);
    }

    // ---- time ----

    /// Waits for a fact; the clock moves while it does not hold.
    pub async fn until(&self, what: &str, fact: impl AsyncFn() -> bool) {
        self.until_by(STEP, what, fact).await;
    }

    /// The same in larger or smaller steps.
    pub async fn until_by(&self, step: Duration, what: &str, fact: impl AsyncFn() -> bool) {
        let wait = async {
            let mut ticks = tokio::time::interval(TICK);
            while !fact().await {
                ticks.tick().await;
                self.clock.advance(step);
            }
        };
        if tokio::time::timeout(CAP, wait).await.is_err() {
            panic!("it never came that {what}\n{}", self.dump().await);
        }
    }

    /// Lets a span of time pass in steps, so that everybody who waits gets a turn.
    pub async fn pass(&self, span: Duration, step: Duration) {
        let mut ticks = tokio::time::interval(TICK);
        let end = self.clock.now().plus(span);
        while self.clock.now() < end {
            ticks.tick().await;
            self.clock.advance(step);
        }
    }

    pub async fn until_state(&self, id: &str, state: &str) {
        self.until(&format!("{id} is {state}"), async || self.is(id, state).await).await;
    }

    pub async fn until_asked(&self, code: &str) {
        self.until(&format!("somebody is asked about {code}"), async || {
            let status = self.get("/api/v1/status").await.body;
            let questions = status["questions"].as_array().cloned().unwrap_or_default();
            questions.iter().any(|question| question["code"] == code && question["may_answer"] == true)
        })
        .await;
    }

    pub async fn until_on_screen(&self) {
        self.until("the amount is on the screen", async || matches!(self.till().screen(), Screen::Pay { .. })).await;
    }

    pub async fn until_invoices(&self, count: usize) {
        self.until(&format!("AiPay holds {count} invoices"), async || self.aipay().invoices().len() == count).await;
    }

    pub async fn until_papers(&self, name: &str, count: usize) {
        self.until(&format!("{name} printed {count}"), async || self.papers(name).len() >= count).await;
    }

    /// Paid, closed in the POS, and all paper proven.
    pub async fn until_done(&self, id: &str) {
        self.until(&format!("{id} is done"), async || {
            let payment = self.payment(id).await;
            let prints = payment["prints"].as_array().cloned().unwrap_or_default();
            payment["state"] == "paid"
                && (payment["pos"] == "closed" || payment["order_id"].is_null())
                && prints.len() >= 2
                && prints.iter().all(|print| print["state"] == "confirmed")
        })
        .await;
    }

    /// The order is paid as it should be: once, in the POS too, one receipt, a ticket at each station.
    pub async fn is_sold_once(&self, order: u64, id: &str, cash: i64, cashless: i64) {
        self.until_done(id).await;
        let seen = self.in_pos(order);
        assert_eq!((seen.status, seen.closes), (2, 1), "{seen:?}");
        assert_eq!((seen.payed_cash.0, seen.payed_card.0), (cash * 100, cashless * 100), "{seen:?}");
        assert_eq!(self.papers("receipt").len(), 1, "{:?}", self.papers("receipt"));
        assert_eq!(self.papers("hot").len(), 1, "{:?}", self.papers("hot"));
        assert_eq!(self.papers("bar").len(), 1, "{:?}", self.papers("bar"));
        assert_eq!(self.questions().await, Vec::<String>::new());
    }

    /// Everything that a story leaves behind must be in order: the journal verifies, and no printer was sent nonsense.
    pub async fn close(mut self) {
        for (printer, _) in &self.shop.printers {
            assert_eq!(printer.faults(), Vec::<String>::new(), "{}", printer.name());
        }
        self.stop().await;
        let reader = Reader::open(&self.folder.path().join("ledger.db")).unwrap();
        let (rows, flaws) = journal::verify(&reader).unwrap();
        let flaws: Vec<String> = flaws.iter().map(|flaw| format!("{}: {}", flaw.place, flaw.problem)).collect();
        assert!(flaws.is_empty() && rows > 0, "{rows} rows: {flaws:?}");
    }

    async fn dump(&self) -> String {
        let mut text = format!("at {:?}\n", self.clock.now());
        for path in ["/api/v1/payments", "/api/v1/jobs", "/api/v1/status", "/api/v1/orders"] {
            let said = self.get(path).await;
            text += &format!("{path}: {}\n", serde_json::to_string_pretty(&said.body).unwrap_or(said.text));
        }
        text += &format!("AiPay: {:?}\n{:?}\n", self.aipay().invoices(), self.aipay().violations());
        text += &format!("Poster: {:?}\n{:?}\n", self.poster().orders(), self.poster().violations());
        text += &format!("terminal: {:?}\n{:?}\n", self.till().operations(), self.till().violations());
        for (printer, _) in &self.shop.printers {
            text += &format!("{}: {:?} {:?}\n", printer.name(), printer.state(), printer.papers());
        }
        text
    }

    // ---- bare wires, for what a good client would not send ----

    /// Sends bytes to a listener and reads the answer to the end of the connection.
    pub async fn raw(&self, to: SocketAddr, bytes: &[u8]) -> String {
        let mut wire = Bare::open(to).await;
        wire.say(bytes).await;
        wire.rest().await
    }
}

/// Starts a daemon on a ledger that nobody else uses. Another test of this process may be starting a program: between its fork and its
/// exec the child holds a copy of every open file, the lock that was just let go too.
async fn started(config: &Config, machine: &Machine) -> Daemon {
    for _ in 0..100_000 {
        match Daemon::start(config, machine.clone()).await {
            Ok(daemon) => return daemon,
            Err(StartFault::Lock(LockFault::Held { .. })) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the lock stays held");
}

/// A bare connection.
pub struct Bare(TcpStream);

impl Bare {
    pub async fn open(to: SocketAddr) -> Bare {
        Bare(TcpStream::connect(to).await.unwrap())
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        // A server that has already refused may close while we still speak.
        let _all_said = self.0.write_all(bytes).await.is_ok();
    }

    /// We have said all; the answer may still come.
    pub async fn hang_up(&mut self) {
        let _told = self.0.shutdown().await.is_ok();
    }

    /// Breaks the connection: the other side hears a reset.
    pub fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    /// Everything until the other side closes.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let read = tokio::time::timeout(CAP, self.0.read_to_end(&mut all)).await;
        assert!(read.is_ok(), "the connection stays open after {}", String::from_utf8_lossy(&all));
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Reads until a text came by.
    pub async fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        let read = async {
            let mut piece = [0; 1024];
            while !String::from_utf8_lossy(&all).contains(text) {
                let count = self.0.read(&mut piece).await.unwrap_or(0);
                if count == 0 {
                    break;
                }
                all.extend_from_slice(&piece[..count]);
            }
        };
        let _in_time = tokio::time::timeout(CAP, read).await.is_ok();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(all.contains(text), "no {text} in {all}");
        all
    }
}

/// The body that asks for the whole of an order.
pub fn wish(order: u64, tender: &str) -> Value {
    let mut wish = json!({ "order_id": order.to_string(), "tender": tender });
    if tender == "kaspi_invoice" {
        wish["phone"] = json!(PHONE);
    }
    wish
}
