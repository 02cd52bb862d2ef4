//! A shop behind a real `sshd`: the true daemon on a manual clock, the machine's own OpenSSH server, and roads that can go silent. Where
//! the clock must not outrun the real peers it moves at their pace: a step is over when a server has greeted once.

use crate::shop::{Counter, STEP};
use kassad::daemon;
use kassad::host::ids::Ids;
use kassad::host::tasks::{Stop, StopHand};
use kassad::sandbox::road::{self, Barrier, End};
use kassad::sandbox::sshd::{Sshd, SshdFault, SshdOptions, free_port};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

pub const SECOND: Duration = Duration::from_secs(1);

/// Real time after which a greeting counts as never coming.
const GREETING_CAP: Duration = Duration::from_secs(30);

/// Where the server takes connections for the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Port,
    Socket,
}

/// What a story is about; the rest is as usual.
pub struct Wish {
    pub place: Place,
    pub options: SshdOptions,
    /// Added to the section of the tunnel; `{port}` is the port of the forward.
    pub more: &'static str,
    /// Whether the server is there when the daemon starts.
    pub is_there: bool,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish { place: Place::Socket, options: SshdOptions::default(), more: "", is_there: true }
    }
}

pub struct Bench {
    pub shop: Counter,
    pub sshd: Sshd,
    /// Before the shop's whole internet: its session and its own questions from outside.
    pub barrier: Barrier,
    /// Where clouds come, whose way is never cut.
    pub outside: SocketAddr,
    pub ids: Ids,
    _hand: StopHand,
}

/// Says aloud that a part of the proof did not run; where the environment requires it, that is a failure.
pub fn not_run(part: &str, because: &str, cure: &str) {
    let line = format!("NOT RUN: {part}, because {because} ({cure})\n");
    // Not the macro: the test runner would keep that line to itself.
    let _said = std::io::stderr().write_all(line.as_bytes()).is_ok();
    let required = std::env::var("KASSAD_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|one| one.trim() == part), "{line}");
}

impl Bench {
    /// The shop with its tunnel; nothing, said aloud, where the machine has no server.
    pub async fn open(wish: Wish) -> Option<Bench> {
        let mut shop = Counter::open().await;
        shop.stop().await;
        let (hand, stop) = Stop::pair();
        let spawner = daemon::spawner(stop.clone());
        let ids = Ids::seeded(u64::from(std::process::id()));
        let mut sshd = match Sshd::open(&shop.folder.path().join("sshd"), wish.options, &ids, &spawner).await {
            Ok(sshd) => sshd,
            Err(SshdFault::Missing) => {
                not_run("sshd", "there is no sshd on this machine", "apt-get install openssh-server");
                return None;
            }
            Err(other) => panic!("{other}"),
        };
        let barrier = Barrier::default();
        let port = free_port(Ipv4Addr::LOCALHOST).unwrap();
        let (forward, end) = match wish.place {
            Place::Port => (format!("127.0.0.1:{port}"), End::Port((Ipv4Addr::LOCALHOST, port).into())),
            Place::Socket => {
                let socket = shop.folder.path().join("way.sock");
                (socket.display().to_string(), End::Socket(socket))
            }
        };
        let (session, _) = road::open(End::Port(sshd.address()), &barrier, &spawner, &stop).await.unwrap();
        let (seen, _) = road::open(end.clone(), &barrier, &spawner, &stop).await.unwrap();
        let (outside, _) = road::open(end, &Barrier::default(), &spawner, &stop).await.unwrap();
        let section = sshd.section(session, &forward, &format!("http://{seen}")).unwrap();
        shop.shop.set_way_in(section + &wish.more.replace("{port}", &port.to_string()));
        if !wish.is_there {
            sshd.kill().await;
        }
        shop.start().await;
        shop.aipay().set_webhook_url(Some(format!("http://{outside}/webhooks/aipay")));
        Some(Bench { shop, sshd, barrier, outside, ids, _hand: hand })
    }

    /// How the tunnel is: its state and code.
    pub fn tunnel(&self) -> (&'static str, String) {
        self.shop.device("tunnel").map_or(("absent", String::new()), |device| (device.state, device.code))
    }

    /// Waits until the tunnel is in a state, at the peers' pace; how long that took by the clock.
    pub async fn until_tunnel(&self, state: &str, limit: Duration) -> Duration {
        self.until_really(&format!("the tunnel is {state}"), limit, async || self.tunnel().0 == state).await
    }

    /// The same for a code.
    pub async fn until_code(&self, code: &str, limit: Duration) -> Duration {
        self.until_really(&format!("the tunnel says {code}"), limit, async || self.tunnel().1 == code).await
    }

    /// Waits for a fact while the clock moves at the peers' pace; fails when it takes longer than `limit` by the clock.
    pub async fn until_really(&self, what: &str, limit: Duration, fact: impl AsyncFn() -> bool) -> Duration {
        let start = self.shop.clock.now();
        loop {
            if fact().await {
                return self.shop.clock.now().since(start);
            }
            let waited = self.shop.clock.now().since(start);
            assert!(
                waited < limit,
                "after {waited:?} it has not come that {what}: {:?}\n{}",
                self.shop.device("tunnel"),
                { self.sshd.log().join("\n") }
            );
            self.beat().await;
            self.shop.clock.advance(STEP);
        }
    }

    /// Lets a span of the clock pass at the peers' pace.
    pub async fn pass_really(&self, span: Duration) {
        let end = self.shop.clock.now().plus(span);
        while self.shop.clock.now() < end {
            self.beat().await;
            self.shop.clock.advance(STEP);
        }
    }

    /// As long as this machine takes for a step of a real peer: a loaded one takes longer, and the clock waits for it.
    async fn beat(&self) {
        let greeted = async {
            let mut wire = TcpStream::connect(self.sshd.address()).await.ok()?;
            let mut hello = [0; 8];
            wire.read_exact(&mut hello).await.ok()?;
            Some(hello)
        };
        let greeted = tokio::time::timeout(GREETING_CAP, greeted).await.unwrap();
        if greeted.is_none() {
            // No server: another program takes as long to start.
            let mut other = tokio::process::Command::new("/bin/sh");
            let status = other.args(["-c", "exit 0"]).status().await.unwrap();
            assert!(status.success());
        }
    }

    /// A table orders, and its guest gets an invoice; the payment's name, and the order's.
    pub async fn ask_guest(&self) -> (String, u64) {
        let (order, before) = (self.shop.order(), self.shop.aipay().invoices().len());
        let id = self.shop.pay(order, "kaspi_invoice").await;
        let waits = async || self.shop.aipay().invoices().len() > before && self.shop.is(&id, "waiting").await;
        self.until_really("the invoice is at the guest", 10 * SECOND, waits).await;
        (id, order)
    }

    /// The guest pays the newest invoice; how long until the counter knows, by the clock.
    pub async fn pay_and_see(&self, id: &str) -> Duration {
        assert!(self.shop.aipay().guest_pays(&self.shop.invoice().id));
        self.until_really(&format!("{id} is paid"), 30 * SECOND, async || self.shop.is(id, "paid").await).await
    }

    /// Whether the newest notice of the cloud was accepted, on its first try.
    pub fn notice_came_at_once(&self) -> bool {
        self.shop.aipay().deliveries().last().is_some_and(|delivery| delivery.is_accepted && delivery.tries == 1)
    }

    /// A guest pays, and the notice comes in by the tunnel.
    pub async fn is_open_for_notices(&self) {
        let (id, order) = self.ask_guest().await;
        self.pay_and_see(&id).await;
        self.until_really("the notice is accepted", 5 * SECOND, async || self.notice_came_at_once()).await;
        self.shop.until(&format!("{id} is done"), async || self.shop.payment(&id).await["pos"] == "closed").await;
        assert_eq!(self.shop.in_pos(order).closes, 1);
    }

    /// The end of every story: nobody was asked anything, and the books are in order.
    pub async fn close(self) {
        assert_eq!(self.shop.questions().await, Vec::<String>::new());
        assert_eq!(self.shop.aipay().violations(), Vec::<String>::new());
        self.shop.close().await;
    }
}
