//! The outside world as real servers on loopback, each speaking its partner's documented protocol strictly: AiPay, Poster, Webkassa,
//! Kaspi terminals, a bot, and a page to play guest, waiter and bad luck. Used by `kassad demo`, `kassad sandbox`, integrators and the
//! tests. A partner is a state behind a short lock, a router, and hands for the people around it; it never knows who calls.

use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::{Spawner, Stop};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

pub mod aipay;
pub mod authority;
pub mod bot;
pub mod control;
pub mod display;
pub mod faults;
pub mod gate;
pub mod menu;
pub mod plugs;
pub mod poster;
pub mod printer;
pub mod restaurant;
pub mod road;
pub mod sshd;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod webkassa;
pub mod zvt;

use aipay::{AiPay, AiPayOptions};
use authority::Identity;
use bot::{Bot, BotOptions};
use control::PrinterView;
pub use gate::{AutoGuest, Ground, Stage, Tripwire, serve, serve_partner, serve_partner_over_tls};
use poster::{Poster, PosterOptions};
use terminal::{Terminal, TerminalOptions};
use webkassa::{Webkassa, WebkassaOptions};

/// Ports on 127.0.0.1; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The control page.
    pub control: u16,
    /// AiPay.
    pub aipay: u16,
    /// Poster.
    pub poster: u16,
    /// Webkassa.
    pub webkassa: u16,
    /// The bot.
    pub bot: u16,
    /// The first terminal; the next ones follow it.
    pub terminal: u16,
}

/// What the world is made of.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Where everybody listens.
    pub ports: Ports,
    /// The payment cloud.
    pub aipay: AiPayOptions,
    /// The till software.
    pub poster: PosterOptions,
    /// The cash register's service.
    pub webkassa: WebkassaOptions,
    /// The terminals, one per till.
    pub terminals: Vec<TerminalOptions>,
    /// The bot.
    pub bot: BotOptions,
}

impl Default for WorldOptions {
    /// One of each, on free ports.
    fn default() -> WorldOptions {
        WorldOptions {
            ports: Ports::default(),
            aipay: AiPayOptions::default(),
            poster: PosterOptions::default(),
            webkassa: WebkassaOptions::default(),
            terminals: vec![TerminalOptions::default()],
            bot: BotOptions::default(),
        }
    }
}

/// A sheet on show: how a document looks on some printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it is, for a person.
    pub title: String,
    /// How it looks, as a PNG.
    pub png: Vec<u8>,
}

/// One running world. Clones are hands on the same world.
#[derive(Clone)]
pub struct World(Arc<Parts>);

struct Parts {
    ground: Ground,
    aipay: Arc<AiPay>,
    poster: Arc<Poster>,
    webkassa: Arc<Webkassa>,
    terminals: Vec<Arc<Terminal>>,
    bot: Arc<Bot>,
    printers: Mutex<Vec<Arc<dyn PrinterView>>>,
    samples: Mutex<Arc<[Sample]>>,
    addresses: Addresses,
}

struct Addresses {
    control: SocketAddr,
    aipay: SocketAddr,
    poster: SocketAddr,
    webkassa: SocketAddr,
    bot: SocketAddr,
    terminals: Vec<SocketAddr>,
}

impl World {
    /// Binds all ports and starts all servers; they run until the stop.
    pub async fn start(
        options: WorldOptions,
        clock: Clock,
        ids: Ids,
        spawner: &Spawner,
        stop: Stop,
    ) -> Result<World, io::Error> {
        let ground = Ground { clock, ids, spawner: spawner.clone(), stop };
        let ports = options.ports;
        let (control, control_at) = bind(ports.control).await?;
        let aipay = AiPay::new(&ground, options.aipay);
        let aipay_at = open(&ground, ports.aipay, aipay.router(), aipay.faults()).await?;
        let poster = Poster::new(&ground, options.poster);
        let poster_at = open(&ground, ports.poster, poster.router(), poster.faults()).await?;
        let webkassa = Webkassa::new(&ground, options.webkassa);
        let webkassa_at = open(&ground, ports.webkassa, webkassa.router(), webkassa.faults()).await?;
        let bot = Bot::new(&ground, options.bot);
        let bot_at = open(&ground, ports.bot, bot.router(), bot.faults()).await?;
        let mut terminals = Vec::new();
        let mut terminals_at = Vec::new();
        for (place, options) in (0_u16..).zip(options.terminals) {
            let port = if ports.terminal == 0 { 0 } else { ports.terminal.saturating_add(place) };
            let identity = options.tls.clone();
            let terminal = Terminal::new(&ground, options);
            terminals_at.push(open_terminal(&ground, port, &terminal, identity).await?);
            terminals.push(terminal);
        }
        let addresses = Addresses {
            control: control_at,
            aipay: aipay_at,
            poster: poster_at,
            webkassa: webkassa_at,
            bot: bot_at,
            terminals: terminals_at,
        };
        let (printers, samples) = (Mutex::default(), Mutex::default());
        let parts =
            Parts { ground: ground.clone(), aipay, poster, webkassa, terminals, bot, printers, samples, addresses };
        let world = World(Arc::new(parts));
        ground.spawner.start(serve(control, control::router(world.clone()), ground.stop.clone()));
        Ok(world)
    }

    /// AiPay.
    pub fn aipay(&self) -> &Arc<AiPay> {
        &self.0.aipay
    }

    /// Poster.
    pub fn poster(&self) -> &Arc<Poster> {
        &self.0.poster
    }

    /// Webkassa.
    pub fn webkassa(&self) -> &Arc<Webkassa> {
        &self.0.webkassa
    }

    /// The terminals, in the order of the options.
    pub fn terminals(&self) -> &[Arc<Terminal>] {
        &self.0.terminals
    }

    /// The bot.
    pub fn bot(&self) -> &Arc<Bot> {
        &self.0.bot
    }

    /// The printers on the page.
    pub fn printers(&self) -> Vec<Arc<dyn PrinterView>> {
        self.0.printers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a printer on the page.
    pub fn plug_printer(&self, printer: Arc<dyn PrinterView>) {
        self.0.printers.lock().unwrap_or_else(PoisonError::into_inner).push(printer);
    }

    /// The sheets on show.
    pub fn samples(&self) -> Arc<[Sample]> {
        Arc::clone(&self.0.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts sheets on show in place of those that were: title and PNG.
    pub fn plug_samples(&self, samples: Vec<(String, Vec<u8>)>) {
        let samples = samples.into_iter().map(|(title, png)| Sample { title, png }).collect();
        *self.0.samples.lock().unwrap_or_else(PoisonError::into_inner) = samples;
    }

    /// The world's time.
    pub fn clock(&self) -> &Clock {
        &self.0.ground.clock
    }

    /// The world's chance.
    pub fn ids(&self) -> &Ids {
        &self.0.ground.ids
    }

    /// AiPay's base address.
    pub fn aipay_base(&self) -> String {
        format!("http://{}/v1", self.0.addresses.aipay)
    }

    /// Poster's base address.
    pub fn poster_base(&self) -> String {
        format!("http://{}/api", self.0.addresses.poster)
    }

    /// Webkassa's base address.
    pub fn webkassa_base(&self) -> String {
        format!("http://{}", self.0.addresses.webkassa)
    }

    /// A terminal's address without `/v2`; none when there is no such terminal.
    pub fn terminal_base(&self, place: usize) -> Option<String> {
        let address = self.0.addresses.terminals.get(place)?;
        let scheme = if self.0.terminals.get(place)?.is_tls() { "https" } else { "http" };
        Some(format!("{scheme}://{address}"))
    }

    /// Where the bot takes webhooks.
    pub fn bot_url(&self) -> String {
        format!("http://{}/webhook/aipay", self.0.addresses.bot)
    }

    /// The control page.
    pub fn control_url(&self) -> String {
        format!("http://{}/", self.0.addresses.control)
    }

    /// Sets or takes away the tripwire of every partner.
    pub fn set_tripwire(&self, tripwire: Option<Tripwire>) {
        self.0.aipay.set_tripwire(tripwire.clone());
        self.0.poster.set_tripwire(tripwire.clone());
        self.0.webkassa.set_tripwire(tripwire.clone());
        self.0.bot.set_tripwire(tripwire.clone());
        self.0.terminals.iter().for_each(|terminal| terminal.set_tripwire(tripwire.clone()));
    }
}

async fn bind(port: u16) -> Result<(TcpListener, SocketAddr), io::Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|cause| io::Error::new(cause.kind(), format!("127.0.0.1:{port}: {cause}")))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn open(
    ground: &Ground,
    port: u16,
    router: axum::Router,
    faults: &Arc<faults::Faults>,
) -> Result<SocketAddr, io::Error> {
    let (listener, address) = bind(port).await?;
    ground.spawner.start(serve_partner(listener, router, Arc::clone(faults), ground.stop.clone()));
    Ok(address)
}

async fn open_terminal(
    ground: &Ground,
    port: u16,
    terminal: &Arc<Terminal>,
    identity: Option<Identity>,
) -> Result<SocketAddr, io::Error> {
    let Some(identity) = identity else { return open(ground, port, terminal.router(), terminal.faults()).await };
    let (listener, address) = bind(port).await?;
    let faults = Arc::clone(terminal.faults());
    let serve = serve_partner_over_tls(listener, terminal.router(), identity, faults, ground.stop.clone());
    ground.spawner.start(serve);
    Ok(address)
}
