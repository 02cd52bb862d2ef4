//! A shop in the machine's own time: the sandbox partners here, and `kassad run` as a process of its own, as on a box at the counter.

use super::bench::SECOND;
use crate::shop::wish;
use kassad::daemon;
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::tasks::{Stop, StopHand};
use kassad::sandbox::Ports;
use kassad::sandbox::restaurant::{Shop, ShopOptions};
use kassad::sandbox::sshd::free_port;
use kassad::transport::web::{Limits, Request, Trust, Web};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Between two looks at a fact, in the machine's time.
const TICK: Duration = Duration::from_millis(50);

pub struct Real {
    pub shop: Shop,
    pub folder: TempDir,
    pub clock: Clock,
    pub public: SocketAddr,
    pub local: SocketAddr,
    kassad: Option<Child>,
    _hand: StopHand,
}

impl Real {
    /// The partners and the folder; the box itself is still off.
    pub async fn open() -> Real {
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let (hand, stop) = Stop::pair();
        let spawner = daemon::spawner(stop.clone());
        let options = ShopOptions {
            ports: Ports::default(),
            printers: [0; 3],
            terminals: 1,
            guest: None,
            register: false,
            webhook_url: None,
        };
        let clock = Clock::machine();
        let shop = Shop::open(options, &clock, &Ids::machine(), &spawner, &stop).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ours = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(Ipv4Addr::LOCALHOST).unwrap()));
        let (public, local) = (ours(), ours());
        Real { shop, folder, clock, public, local, kassad: None, _hand: hand }
    }

    /// Switches the box on, with a section `[tunnel]`; notices go to `public_url`.
    pub async fn start(&mut self, section: String, public_url: &str) {
        self.shop.set_way_in(section);
        self.shop.world.aipay().set_webhook_url(Some(format!("{public_url}/webhooks/aipay")));
        self.shop.config(self.folder.path(), self.public, self.local).unwrap();
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut kassad = Command::new(env!("CARGO_BIN_EXE_kassad"));
        kassad.arg("run").arg("--config").arg(self.folder.path().join("kassad.toml"));
        kassad.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        self.kassad = Some(kassad.spawn().unwrap());
        self.until("the box answers", 30 * SECOND, async || self.get("/healthz").await.is_some()).await;
    }

    pub async fn get(&self, path: &str) -> Option<Value> {
        self.send(Request::get(path)).await
    }

    async fn send(&self, request: Request) -> Option<Value> {
        let web = Web::open(&format!("http://{}", self.local), &Trust::Roots).unwrap();
        let answer = web.send(&request, Limits::RECORD).await.ok()?;
        (200..300).contains(&answer.status).then(|| answer.json().unwrap_or(Value::Null))
    }

    /// The state of the tunnel on the page.
    pub async fn tunnel(&self) -> String {
        let status = self.get("/api/v1/status").await.unwrap_or_default();
        let devices = status["devices"].as_array().cloned().unwrap_or_default();
        let found = devices.iter().find(|device| device["role"] == "tunnel");
        found.map(|device| device["state"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }

    /// Waits for the tunnel to be in a state; how long that took.
    pub async fn until_tunnel(&self, state: &str, limit: Duration) -> Duration {
        self.until(&format!("the tunnel is {state}"), limit, async || self.tunnel().await == state).await
    }

    /// Waits for a fact; how long that took. Fails after the limit.
    pub async fn until(&self, what: &str, limit: Duration, fact: impl AsyncFn() -> bool) -> Duration {
        let (start, mut ticks) = (self.clock.now(), tokio::time::interval(TICK));
        while !fact().await {
            ticks.tick().await;
            let waited = self.clock.now().since(start);
            assert!(waited < limit, "after {waited:?} it has not come that {what}: {}", self.log());
        }
        self.clock.now().since(start)
    }

    /// A table orders, and its guest has an invoice on the phone; the payment's name.
    pub async fn ask_guest(&self) -> String {
        let order = self.shop.world.poster().open_order(5, "Айгерім", &[(1, 1), (13, 1)]);
        let body = wish(order, "kaspi_invoice").to_string();
        let payment = self.send(Request::post("/api/v1/payments").json(body)).await;
        let id = payment.as_ref().and_then(|payment| payment["id"].as_str()).unwrap_or_default().to_owned();
        assert!(!id.is_empty(), "{payment:?} {}", self.log());
        self.until("the guest is asked", 10 * SECOND, async || self.state(&id).await == "waiting").await;
        id
    }

    /// The guest pays the newest invoice; how long until the counter knows.
    pub async fn pay_and_see(&self, id: &str) -> Duration {
        let invoice = self.shop.world.aipay().invoices().pop().unwrap().id;
        assert!(self.shop.world.aipay().guest_pays(&invoice));
        self.until("the payment is known", 30 * SECOND, async || self.state(id).await == "paid").await
    }

    /// Waits until the newest notice was accepted.
    pub async fn until_notice(&self) {
        let deliveries = || self.shop.world.aipay().deliveries();
        let is_in = async || deliveries().last().is_some_and(|delivery| delivery.is_accepted);
        self.until("the notice came in", 10 * SECOND, is_in).await;
    }

    async fn state(&self, id: &str) -> String {
        let payment = self.get(&format!("/api/v1/payments/{id}")).await.unwrap_or_default();
        payment["state"].as_str().unwrap_or_default().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
