//! `kassad demo`: a whole restaurant on loopback. Without a number of orders it stays up for a person to play with.

use super::run::told_to_stop;
use super::way_in::WayIn;
use super::{EXIT_CONFIG, complain, lunch, say};
use crate::daemon::{self, Daemon, Machine};
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::{Spawner, Stop};
use crate::sandbox::printer::gallery;
use crate::sandbox::restaurant::{SANDBOX_SECRET, Shop, ShopOptions};
use crate::sandbox::sshd::Sshd;
use crate::sandbox::{AutoGuest, Ports};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Where the listeners are in a demo that stays up, as in the example configuration.
const PUBLIC: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8780);

/// A table, its waiter by place in the list, and what is on it: product and count.
type Laid = (u64, usize, &'static [(u64, u32)]);

/// Orders on the tables when the doors open.
const TABLES_LAID: [Laid; 4] = [
    (5, 0, &[(3, 2), (13, 1)]),
    (2, 1, &[(1, 1), (12, 2), (11, 1)]),
    (7, 2, &[(7, 3), (9, 1)]),
    (11, 3, &[(4, 2), (14, 2)]),
];

/// What is played.
pub(super) struct Wish {
    /// Orders to sell; without them it stays up.
    pub(super) orders: Option<u32>,
    /// The same seed plays the same lunch.
    pub(super) seed: u64,
    /// Guests decide at once.
    pub(super) no_wait: bool,
    /// Where the ledger is kept.
    pub(super) data: Option<PathBuf>,
    /// Notices come in through a real OpenSSH server.
    pub(super) is_tunnelled: bool,
}

pub(super) async fn demo(wish: Wish) -> ExitCode {
    if let (true, Err(missing)) = (wish.is_tunnelled, Sshd::find()) {
        complain(&missing.to_string());
        return ExitCode::from(EXIT_CONFIG);
    }
    let (folder, is_ours) = match &wish.data {
        Some(folder) => (folder.clone(), false),
        None => (std::env::temp_dir().join(format!("kassad-demo-{}", std::process::id())), true),
    };
    let ended = match wish.orders {
        Some(orders) => lunch::play(orders, &wish, &folder).await,
        None => stay_up(&wish, &folder).await,
    };
    if is_ours {
        // The machine empties its own temporary folder if this fails.
        let _gone = std::fs::remove_dir_all(&folder).is_ok();
    }
    match ended {
        Ok(ended) => ended,
        Err(cause) => {
            complain(&cause);
            ExitCode::FAILURE
        }
    }
}

async fn stay_up(wish: &Wish, folder: &std::path::Path) -> Result<ExitCode, String> {
    crate::host::logging::start(tracing::Level::WARN);
    let _descriptors = crate::host::limits::raise_descriptors();
    let (clock, ids) = (Clock::machine(), Ids::machine());
    let (_hand, stop) = Stop::pair();
    let spawner = daemon::spawner(stop.clone());
    let guest = wish.no_wait.then(|| AutoGuest {
        thinks_min: Duration::ZERO,
        thinks_max: Duration::from_secs(1),
        ..AutoGuest::default()
    });
    let options = ShopOptions {
        ports: Ports { control: 8810, aipay: 8812, poster: 8813, webkassa: 8814, bot: 9000, terminal: 8811 },
        printers: [9101, 9102, 9103],
        terminals: 1,
        guest,
        register: true,
        webhook_url: Some(format!("http://{PUBLIC}/webhooks/aipay")),
    };
    let opened = Shop::open_with_tls(options, &clock, &ids, &spawner, &stop).await;
    let mut shop = opened.map_err(|cause| format!("cannot open the sandbox: {cause}. Is another demo running?"))?;
    let way_in = way_in(wish, folder, &mut shop, &spawner).await?;
    for (table, waiter, dishes) in TABLES_LAID {
        let waiter = crate::sandbox::menu::WAITERS.get(waiter).copied().unwrap_or_default();
        shop.world.poster().open_order(table, waiter, dishes);
    }
    shop.world.plug_samples(gallery::shown());
    let config = shop.config(folder, PUBLIC, LOCAL).map_err(|cause| cause.to_string())?;
    let daemon =
        Daemon::start(&config, Machine { clock, ids, ..Machine::real() }).await.map_err(|fault| fault.to_string())?;
    say("");
    say(&format!("  Касса       http://{}/        продавайте здесь · sell here", daemon.local));
    say(&format!("  Гость       {}       платите здесь · pay here, see the paper", shop.world.control_url()));
    say("");
    match &way_in {
        None => say(&format!("  webhooks    http://{}/webhooks/aipay   secret: {SANDBOX_SECRET}", daemon.public)),
        Some(way_in) => {
            say(&format!("  webhooks    {}   secret: {SANDBOX_SECRET}", way_in.webhook_url()));
            say(&format!("  tunnel      through sshd at {}", way_in.sshd.address()));
        }
    }
    say(&format!("  bots        http://{}/v1/invoices      key: {SANDBOX_SECRET}", daemon.local));
    say(&format!("  queue       kassad queue --config {}", folder.join("kassad.toml").display()));
    say("");
    say("  Ctrl-C ends it.");
    match daemon.run_until(told_to_stop()).await {
        crate::daemon::Ended::Told => Ok(ExitCode::SUCCESS),
        crate::daemon::Ended::Lost(worker) => Err(format!("{worker} ended by itself")),
    }
}

/// Starts the server that notices come in through, where one is wished for, and points the shop and its cloud at it.
pub(super) async fn way_in(
    wish: &Wish,
    folder: &std::path::Path,
    shop: &mut Shop,
    spawner: &Spawner,
) -> Result<Option<WayIn>, String> {
    if !wish.is_tunnelled {
        return Ok(None);
    }
    let opened = WayIn::open(&folder.join("sshd"), spawner).await.map_err(|fault| fault.to_string())?;
    shop.set_way_in(opened.section().map_err(|fault| fault.to_string())?);
    shop.world.aipay().set_webhook_url(Some(opened.webhook_url()));
    Ok(Some(opened))
}
