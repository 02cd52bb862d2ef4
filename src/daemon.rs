//! Wiring: the lock, the ledger, one task per outside thing, the two listeners; supervision and the stop. The only file that spawns.
//! A money task that ends ends the daemon (systemd restarts it, H3 holds); a task of a face ends alone.

use crate::config::{self, Config, Device, Role};
use crate::domain::order::Tender;
use crate::drivers::{Build, Cloud, Fiscal, NoVault, Pos, Setup, Terminal, WebhookScheme};
use crate::flows::fiscal as fiscal_flow;
use crate::flows::{FiscalRules, Issuer, Rules, ServiceCharge, Station, print, reconcile};
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::lock::{LockFault, OneDaemon};
use crate::host::secret::Secret;
use crate::host::tasks::{Spawner, Stop, StopHand};
use crate::http::listener::Manner;
use crate::http::{self, BotAccess, Door, Faces, Way};
use crate::ledger::{Fault, Gate, Ledger, OpenFault, Reader, open_gate};
use crate::transport::address::{Address, BadAddress};
use crate::transport::web::{BadAddress as BadUrl, Trust, Web};
use crate::transport::wire;
use crate::workers::courier::{self, Bot, Dialect};
use crate::workers::pos::Counter;
use crate::workers::probe::Probes;
use crate::workers::vault::LedgerVault;
use crate::workers::writer::{self, Writer};
use crate::workers::{Office, cloud, display, fiscal, maintenance, pos, printer, terminal, tunnel};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

/// How long workers may finish the exchange they are in after the signal to stop.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long the ledger's thread may take for its last commit. Both together stay under the five seconds that a stop may take.
const LAST_COMMIT: Duration = Duration::from_secs(1);

/// What a daemon takes from its machine; tests and the demo bring their own.
#[derive(Clone)]
pub struct Machine {
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub ids: Ids,
    /// Where a crash test may stop the ledger.
    pub gate: Gate,
}

impl Machine {
    /// The machine itself.
    pub fn real() -> Machine {
        Machine { clock: Clock::machine(), ids: Ids::machine(), gate: open_gate() }
    }

    /// The same as a crash test wants it, told by the environment. A release does not know how.
    #[cfg(debug_assertions)]
    pub fn rehearsed(self) -> Machine {
        let (gate, clock) = crate::ledger::halt::rehearse(self.gate, self.clock);
        Machine { gate, clock, ..self }
    }
}

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// Another daemon has the ledger.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenFault),
    /// The ledger cannot decide.
    #[error(transparent)]
    Ledger(#[from] Fault),
    /// A secret or a driver's key is wrong.
    #[error("line {}: {}: {} — {}", .0.line, .0.key, .0.problem, .0.cure)]
    Config(config::Fault),
    /// A port is taken, or a folder is missing.
    #[error("{what}: {cause}")]
    Machine {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// A running daemon.
pub struct Daemon {
    /// The ledger, the clock, the devices.
    pub office: Office,
    /// Where webhooks come in.
    pub public: SocketAddr,
    /// Where the counter page is.
    pub local: SocketAddr,
    /// What proves the way in.
    pub probes: Probes,
    hand: StopHand,
    end: StopHand,
    workers: JoinSet<String>,
    writer: std::thread::JoinHandle<()>,
    _lock: OneDaemon,
}

/// Why a daemon ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// A worker ended without being told.
    Lost(String),
}

impl Daemon {
    /// Starts everything. Returns when both listeners are open and every unclear attempt is known to be asked about.
    pub async fn start(config: &Config, machine: Machine) -> Result<Daemon, StartFault> {
        if let Some(folder) = config.ledger.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let what = || format!("cannot make the folder of the ledger {}", folder.display());
            make_private(folder).map_err(|cause| StartFault::Machine { what: what(), cause })?;
        }
        let lock = OneDaemon::take(&config.ledger)?;
        let mut rules = rules(config);
        rules.fiscal.is_test = is_test_register(config, &machine.clock).map_err(StartFault::Config)?;
        let (writer, queue) = Writer::pair();
        let mut ledger = Ledger::open(&config.ledger, &machine.ids, machine.gate.clone())?;
        if let Some(label) = ledger.view().last_label()? {
            machine.clock.note_label(label);
        }
        let unclear = ledger.decide(machine.clock.wall(), |tx| reconcile::restart(tx, &rules))?;
        if unclear > 0 {
            info!(unclear, "payments are being checked after the restart");
        }
        let printers: Vec<String> = config.printers.iter().map(|printer| printer.device.name.clone()).collect();
        let stranded = ledger.decide(machine.clock.wall(), |tx| print::without_printer(tx, &printers))?;
        if stranded > 0 {
            warn!(stranded, "papers wait for printers that the configuration does not name: a person is asked");
        }
        ledger.decide(machine.clock.wall(), |tx| fiscal_flow::opened(tx, &rules))?;
        let unowned = ledger.decide(machine.clock.wall(), |tx| fiscal_flow::without_register(tx, &rules))?;
        if unowned > 0 {
            warn!(
                unowned,
                "documents wait for a cash register that the configuration does not name: a person is asked"
            );
        }
        let installation = format!("kassad-{}", ledger.shop());
        let (hand, stop) = Stop::pair();
        let (end, ended) = Stop::pair();
        let reader = Reader::open(&config.ledger)?;
        let (office, changes) = Office::new(machine.clock.clone(), writer, reader, rules, stop.clone());
        let devices = Devices::build(config, &office, &installation).map_err(StartFault::Config)?;
        let public = bind(config.listen.public).await?;
        let local = bind(config.listen.local).await?;
        // Programs of this machine come by loopback, also where the page has an address of its own in the LAN.
        let own = match config.listen.local_here() {
            here if here.ip() == config.listen.local.ip() || config.listen.local.ip().is_unspecified() => None,
            here => Some(bind(SocketAddr::new(here.ip(), address(&local)?.port())).await?),
        };
        let thread = writer_thread(ledger, queue, machine.clock.clone(), changes)?;
        let spawner = spawner(ended);
        let mut workers = JoinSet::new();
        let faces = Arc::new(devices.start(&office, &spawner, &mut workers, &machine.ids));
        let addresses = (address(&public)?, address(&local)?);
        hire_tunnel(config, &faces, addresses.0, &spawner, &mut workers, &machine.ids);
        let clock = machine.clock.clone();
        let face = |listener, router, manner: &Manner| {
            http::listener::serve(listener, router, manner.clone(), clock.clone(), spawner.clone(), stop.clone())
        };
        hire(&mut workers, "public listener", face(public, http::public_router(&faces), &faces.public));
        hire(&mut workers, "local listener", face(local, http::local_router(&faces), &faces.local));
        if let Some(own) = own {
            hire(&mut workers, "local listener on loopback", face(own, http::local_router(&faces), &faces.local));
        }
        hire(&mut workers, "alarm of forgeries", http::flood::watch(faces.clone()));
        hire(&mut workers, "maintenance", maintenance::run(office.clone(), config.phones_kept_days));
        info!(public = %addresses.0, local = %addresses.1, "the counter is open");
        let (public, local) = addresses;
        let probes = faces.probes.clone();
        Ok(Daemon { office, public, local, probes, hand, end, workers, writer: thread, _lock: lock })
    }

    /// Serves until told to stop, or until a worker is lost.
    pub async fn run_until(mut self, told: impl Future<Output = ()>) -> Ended {
        let ended = tokio::select! {
            () = told => Ended::Told,
            Some(lost) = self.workers.join_next() => {
                let name = lost.unwrap_or_else(|cause| cause.to_string());
                error!(worker = %name, "a worker ended by itself: the daemon ends, and is started again");
                Ended::Lost(name)
            }
        };
        self.stop().await;
        ended
    }

    /// Stops: workers finish the exchange they are in, the last commit is made, nothing is lost.
    pub async fn stop(self) {
        let Daemon { office, hand, end, mut workers, writer, .. } = self;
        hand.give();
        let farewell = async { while workers.join_next().await.is_some() {} };
        // The machine's own time: a manual clock would wait for ever.
        let _all_gone = Clock::machine().limit(FAREWELL, farewell).await.is_ok();
        workers.shutdown().await;
        end.give();
        drop(office);
        join(writer).await;
    }

    /// Ends as a power cut would: nobody is told, nothing more is done. The gate must be closed, or what waits for the ledger is still
    /// committed.
    pub async fn kill(self) {
        let Daemon { office, hand, end, mut workers, writer, .. } = self;
        end.give();
        workers.shutdown().await;
        drop((office, hand));
        join(writer).await;
    }
}

/// The ledger's thread ends when the last way to it is gone: tasks of faces may hold one for a moment longer.
async fn join(writer: std::thread::JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(move || writer.join().is_ok());
    let _in_time = Clock::machine().limit(LAST_COMMIT, joined).await.is_ok();
}

/// The folder of the ledger, closed to others where we make it ourselves.
fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn hire(workers: &mut JoinSet<String>, name: &str, work: impl Future<Output = ()> + Send + 'static) {
    let name = name.to_owned();
    workers.spawn(async move {
        work.await;
        name
    });
}

/// Hires the worker of the way in, where the configuration names one.
fn hire_tunnel(
    config: &Config,
    faces: &Faces,
    target: SocketAddr,
    spawner: &Spawner,
    workers: &mut JoinSet<String>,
    ids: &Ids,
) {
    let is_nobodys = config.tunnel.kind == config::tunnel::TunnelKind::None && config.tunnel.public_url.is_none();
    if is_nobodys {
        return;
    }
    let office = faces.office.clone();
    office.devices.set(tunnel::NAME, tunnel::NAME, "unknown", "", "");
    let means = tunnel::Means {
        target: reachable(target),
        probes: faces.probes.clone(),
        ids: ids.clone(),
        spawner: spawner.clone(),
        // The file that runs now, also when another one took its place on the disk.
        helper: "/proc/self/exe".into(),
        clouds: config.clouds.iter().map(|cloud| cloud.name.clone()).collect(),
    };
    let work = tunnel::run(office.clone(), config.tunnel.clone(), means);
    hire(workers, "tunnel", alone(office, tunnel::NAME.to_owned(), tunnel::NAME, spawner.clone(), work));
}

/// Where this machine itself reaches a listener of its own: one that listens everywhere is at loopback too.
fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(match listener {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    listener
}

/// Starts tasks that end with the daemon; a panic in one ends that one.
#[allow(clippy::disallowed_methods)]
pub fn spawner(end: Stop) -> Spawner {
    let runtime = tokio::runtime::Handle::current();
    Spawner::new(move |task: BoxFuture<'static, ()>| {
        let end = end.clone();
        drop(runtime.spawn(async move {
            tokio::select! {
                biased;
                () = end.wait() => {}
                () = task => {}
            }
        }));
    })
}

/// A worker without which money goes on: should it break, its device is down and the daemon stays.
async fn alone(
    office: Office,
    name: String,
    role: &'static str,
    spawner: Spawner,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let (held, ended) = tokio::sync::oneshot::channel::<()>();
    spawner.start(async move {
        work.await;
        drop(held);
    });
    // Nothing is ever sent: the end of the other side is the news.
    let _ended = ended.await.is_err();
    if !office.stop.is_given() {
        error!(worker = %name, "a worker broke; the others go on");
        office.devices.set(&name, role, "down", "broken", "");
        office.stop.wait().await;
    }
}

fn writer_thread(
    ledger: Ledger,
    queue: writer::Queue,
    clock: Clock,
    changes: tokio::sync::broadcast::Sender<crate::ledger::Change>,
) -> Result<std::thread::JoinHandle<()>, StartFault> {
    let run = move || writer::run(ledger, queue, &clock, &changes);
    let started = std::thread::Builder::new().name("ledger".to_owned()).stack_size(512 * 1024).spawn(run);
    started.map_err(|cause| StartFault::Machine { what: "cannot start the ledger's thread".to_owned(), cause })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartFault> {
    let what = || format!("cannot listen on {address}: is something else there, or is it not this machine's?");
    TcpListener::bind(address).await.map_err(|cause| StartFault::Machine { what: what(), cause })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartFault> {
    listener.local_addr().map_err(|cause| StartFault::Machine { what: "a listener has no address".to_owned(), cause })
}

/// What flows need of the configuration.
pub fn rules(config: &Config) -> Rules {
    Rules {
        shop: config.shop.name.clone(),
        zone: config.shop.timezone.clone(),
        day_ends_min: i64::from(config.shop.business_day_ends_min),
        stations: config
            .stations
            .iter()
            .map(|station| Station {
                name: station.name.clone(),
                printer: station.printer.clone(),
                workshop: Some(station.workshop.clone()).filter(|workshop| !workshop.is_empty()),
            })
            .collect(),
        receipt_printers: config
            .printers
            .iter()
            .filter(|printer| printer.roles.contains(&Role::Receipt))
            .map(|printer| printer.device.name.clone())
            .collect(),
        drawers: config
            .printers
            .iter()
            .filter(|printer| printer.roles.contains(&Role::Receipt) && has_drawer(&printer.device))
            .map(|printer| printer.device.name.clone())
            .collect(),
        backups: config
            .printers
            .iter()
            .filter_map(|printer| Some((printer.device.name.clone(), printer.backup.clone()?)))
            .collect(),
        pos: config.pos.as_ref().map(|pos| pos.device.name.clone()),
        fiscal: config.fiscal.as_ref().map_or_else(FiscalRules::nothing, fiscal_rules),
    }
}

/// What flows need of the section about receipts; whether the register is a test register is its driver's to tell.
fn fiscal_rules(fiscal: &config::FiscalConfig) -> FiscalRules {
    let usual = if fiscal.device.is_some() { Issuer::Register } else { Issuer::Nobody };
    let issuer = |tender: Tender| match () {
        () if fiscal.external.contains(&tender) => Issuer::External,
        () if fiscal.unfiscal.contains(&tender) => Issuer::Nobody,
        () => usual,
    };
    FiscalRules {
        register: fiscal.device.as_ref().map(|device| device.name.clone()),
        issuers: Tender::ALL.into_iter().map(|tender| (tender, issuer(tender))).collect(),
        issued_by: fiscal.issued_by.clone(),
        kinds: fiscal.kinds.clone(),
        vat: fiscal.vat,
        vat_next: fiscal.vat_next,
        unit: fiscal.unit,
        weight_unit: fiscal.weight_unit,
        service_charge: if fiscal.is_service_surcharge { ServiceCharge::Surcharge } else { ServiceCharge::Position },
        notice_after: Duration::from_secs(u64::from(fiscal.notice_after_s)),
        part_after: Duration::from_secs(u64::from(fiscal.part_after_min) * 60),
        auto_z: fiscal.auto_z,
        contact: fiscal.contact.clone(),
        is_test: false,
    }
}

/// Whether the cash register is a test register, by its driver's word.
fn is_test_register(config: &Config, clock: &Clock) -> Result<bool, config::Fault> {
    let Some(device) = config.fiscal.as_ref().and_then(|fiscal| fiscal.device.as_ref()) else { return Ok(false) };
    let setup = config.setup(device, Arc::new(NoVault), "", 0, clock)?;
    match device.kind.build {
        Build::Fiscal(build) => {
            let bad = |cause: crate::drivers::BadSetup| {
                fault(device, cause.key, &cause.problem, "see the example configuration")
            };
            Ok(build(&setup).map_err(bad)?.abilities().is_test)
        }
        Build::Terminal(_) | Build::Cloud(..) | Build::Pos(_) | Build::Printer(_) | Build::Display(_) => Ok(false),
    }
}

fn has_drawer(printer: &Device) -> bool {
    printer.keys.get("drawer") == Some(&crate::drivers::Value::Flag(true))
}

/// Everything that the configuration names, opened but not yet at work.
struct Devices {
    terminals: Vec<(String, Box<dyn Terminal>)>,
    clouds: Vec<(String, Arc<dyn Cloud>, Door)>,
    pos: Option<(String, Arc<dyn Pos>, Duration)>,
    register: Option<(String, Arc<dyn Fiscal>)>,
    printers: Vec<printer::Printer>,
    displays: Vec<(String, Address, crate::drivers::display::Panel, Option<String>)>,
    bots: Vec<(BotAccess, Option<(Web, Bot)>)>,
    public_invoices: bool,
    pin: Option<Secret>,
    hosts: Vec<String>,
}

impl Devices {
    fn build(config: &Config, office: &Office, installation: &str) -> Result<Devices, config::Fault> {
        let offset_s = office.rules.utc_offset_s(office.clock.wall());
        let vault = Arc::new(LedgerVault(office.clone()));
        let setup = |device: &Device| config.setup(device, vault.clone(), installation, offset_s, &office.clock);
        let mut devices = Devices {
            terminals: Vec::new(),
            clouds: Vec::new(),
            pos: None,
            register: None,
            printers: Vec::new(),
            displays: Vec::new(),
            bots: Vec::new(),
            public_invoices: config.listen.public_invoices,
            pin: config.pin()?,
            hosts: config.listen.hosts.clone(),
        };
        for device in &config.terminals {
            devices.add(device, &setup(device)?, None)?;
        }
        for device in &config.clouds {
            devices.add(device, &setup(device)?, None)?;
        }
        for printer in &config.printers {
            devices.add_printer(printer, &setup(&printer.device)?)?;
        }
        for display in &config.displays {
            devices.add_display(display, &setup(&display.device)?)?;
        }
        if let Some(pos) = &config.pos {
            devices.add(&pos.device, &setup(&pos.device)?, Some(Duration::from_secs(u64::from(pos.poll_s))))?;
        }
        if let Some(device) = config.fiscal.as_ref().and_then(|fiscal| fiscal.device.as_ref()) {
            devices.add(device, &setup(device)?, None)?;
        }
        for bot in &config.bots {
            devices.add_bot(bot, config.bot_secrets(bot)?)?;
        }
        Ok(devices)
    }

    fn add(&mut self, device: &Device, setup: &Setup, poll: Option<Duration>) -> Result<(), config::Fault> {
        let name = device.name.clone();
        let bad =
            |cause: crate::drivers::BadSetup| fault(device, cause.key, &cause.problem, "see the example configuration");
        match device.kind.build {
            Build::Terminal(build) => self.terminals.push((name, build(setup).map_err(bad)?)),
            Build::Cloud(build, _) => {
                let (cloud, scheme): (Arc<dyn Cloud>, Arc<dyn WebhookScheme>) = build(setup).map_err(bad)?;
                let secrets = setup.secrets.get("webhook_secret_files").cloned().unwrap_or_default();
                self.clouds.push((name, cloud, Door { scheme, secrets }));
            }
            Build::Pos(build) => {
                self.pos = Some((name, build(setup).map_err(bad)?, poll.unwrap_or(Duration::from_secs(5))))
            }
            Build::Fiscal(build) => self.register = Some((name, build(setup).map_err(bad)?)),
            // Their sections say more than every device's: see `add_printer` and `add_display`.
            Build::Printer(_) | Build::Display(_) => {}
        }
        Ok(())
    }

    fn add_printer(&mut self, printer: &config::PrinterConfig, setup: &Setup) -> Result<(), config::Fault> {
        let device = &printer.device;
        if let Build::Printer(build) = device.kind.build {
            let bad = |cause: crate::drivers::BadSetup| {
                fault(device, cause.key, &cause.problem, "see the example configuration")
            };
            self.printers.push(printer::Printer {
                name: device.name.clone(),
                way: wire::Way::Address(wire_address(device)?),
                profile: build(setup).map_err(bad)?,
                is_shared: printer.is_shared,
                identity: format!("{} {}", device.kind.name, device.address),
            });
        }
        Ok(())
    }

    fn add_display(&mut self, display: &config::DisplayConfig, setup: &Setup) -> Result<(), config::Fault> {
        let device = &display.device;
        if let Build::Display(build) = device.kind.build {
            let bad = |cause: crate::drivers::BadSetup| {
                fault(device, cause.key, &cause.problem, "see the example configuration")
            };
            let panel = build(setup).map_err(bad)?;
            self.displays.push((device.name.clone(), wire_address(device)?, panel, display.terminal.clone()));
        }
        Ok(())
    }

    fn add_bot(&mut self, bot: &config::Bot, secrets: (Secret, Option<Secret>)) -> Result<(), config::Fault> {
        let (key, secret) = secrets;
        let access = BotAccess { name: bot.name.clone(), key, cloud: bot.cloud.clone() };
        let hears = match (&bot.webhook, secret) {
            (Some(webhook), Some(webhook_secret)) => {
                let web = Web::open(&webhook.url, &Trust::Roots).map_err(|cause: BadUrl| config::Fault {
                    line: bot.line,
                    key: format!("bot.{}.webhook_url", bot.name),
                    problem: cause.to_string(),
                    cure: "write http://… or https://…".to_owned(),
                })?;
                let dialect = match bot.dialect {
                    config::Dialect::A => Dialect::A,
                    config::Dialect::B => Dialect::B,
                };
                Some((web, Bot { name: bot.name.clone(), webhook_secret, dialect }))
            }
            (None, _) | (_, None) => None,
        };
        self.bots.push((access, hears));
        Ok(())
    }

    /// Hires a worker for each, and gives the faces what they need to know.
    fn start(self, office: &Office, spawner: &Spawner, workers: &mut JoinSet<String>, ids: &Ids) -> Faces {
        let mut ways: Vec<Way> = Vec::new();
        let mut doors = BTreeMap::new();
        for (name, driver) in self.terminals {
            ways.push(Way { name: name.clone(), tenders: vec![Tender::KaspiTerminal] });
            office.devices.set(&name, "terminal", "unknown", "", "");
            hire(workers, &format!("terminal {name}"), terminal::run(office.clone(), name, driver));
        }
        for (name, driver, door) in self.clouds {
            ways.push(Way { name: name.clone(), tenders: driver.abilities().tenders.to_vec() });
            doors.insert(name.clone(), door);
            office.devices.set(&name, "cloud", "unknown", "", "");
            hire(workers, &format!("cloud {name}"), cloud::run(office.clone(), name, driver));
        }
        let printers = self.printers.iter().map(|one| (one.name.clone(), one.profile.clone())).collect();
        for described in self.printers {
            let name = described.name.clone();
            office.devices.set(&name, "printer", "unknown", "", "");
            hire(workers, &format!("printer {name}"), printer::run(office.clone(), described));
        }
        for (name, address, panel, terminal) in self.displays {
            office.devices.set(&name, "display", "unknown", "", "");
            let work = display::run(office.clone(), name.clone(), address, panel, terminal);
            hire(workers, &format!("display {name}"), alone(office.clone(), name, "display", spawner.clone(), work));
        }
        let counter = self.pos.map(|(name, pos, poll)| {
            let counter = Counter::new(office.clone(), pos);
            office.devices.set(&name, "pos", "unknown", "", "");
            hire(workers, &format!("pos {name}"), pos::run(counter.clone(), name, Some(poll)));
            counter
        });
        if let Some((name, driver)) = self.register {
            office.devices.set(&name, "fiscal", "unknown", "", "");
            hire(workers, &format!("cash register {name}"), fiscal::run(office.clone(), name, driver, ids.clone()));
        }
        let mut bots = Vec::new();
        for (access, hears) in self.bots {
            let name = access.name.clone();
            match hears {
                Some((web, bot)) => {
                    hire(workers, &format!("bot {name}"), courier::run(office.clone(), Box::new(web), bot))
                }
                None => hire(workers, &format!("bot {name}"), courier::run_silent(office.clone(), name)),
            }
            bots.push(access);
        }
        Faces {
            office: office.clone(),
            counter,
            doors,
            bots,
            ways,
            printers,
            public_invoices: self.public_invoices,
            strangers: http::flood::Strangers::default(),
            public: Manner::public(),
            local: Manner::local(),
            probes: Probes::new(ids),
            is_wrong_door: std::sync::atomic::AtomicBool::new(false),
            keys: http::keys::Keys::new(self.pin, self.hosts, ids.clone()),
        }
    }
}

/// The wire of a device that is no web server.
fn wire_address(device: &Device) -> Result<Address, config::Fault> {
    Address::parse(&device.address).map_err(|cause: BadAddress| {
        fault(device, "address", &cause.to_string(), "tcp://HOST:9100, serial:/dev/…, usb:/dev/usb/lp0")
    })
}

fn fault(device: &Device, key: &str, problem: &str, cure: &str) -> config::Fault {
    config::Fault {
        line: device.line,
        key: format!("{}.{key}", device.name),
        problem: problem.to_owned(),
        cure: cure.to_owned(),
    }
}
