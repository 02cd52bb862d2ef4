//! `kassad sandbox`: only the partners, where a configuration looks for them.

use super::{complain, read_config, say};
use crate::config::Config;
use crate::daemon;
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::Stop;
use crate::sandbox::Ports;
use crate::sandbox::restaurant::{SANDBOX_SECRET, Shop, ShopOptions};
use crate::transport::address::Address;
use std::path::Path;
use std::process::ExitCode;

/// Where the control page is, next to the ports of `config/kassad.toml`.
const CONTROL_PORT: u16 = 8810;
/// Where Webkassa is.
const WEBKASSA_PORT: u16 = 8814;

pub(super) async fn sandbox(config: Option<&Path>) -> ExitCode {
    let config = match config.map(read_config).transpose() {
        Ok(config) => config,
        Err(ended) => return ended,
    };
    let options = options(config.as_ref());
    let (_hand, stop) = Stop::pair();
    let spawner = daemon::spawner(stop.clone());
    let shop = match Shop::open(options, &Clock::machine(), &Ids::machine(), &spawner, &stop).await {
        Ok(shop) => shop,
        Err(cause) => {
            complain(&format!("cannot open the sandbox: {cause}. Is another one running?"));
            return ExitCode::FAILURE;
        }
    };
    let (table, waiter) = (5, crate::sandbox::menu::WAITERS.first().copied().unwrap_or_default());
    shop.world.poster().open_order(table, waiter, &[(3, 2), (13, 1)]);
    say(&format!("control page  {}", shop.world.control_url()));
    say(&format!("AiPay         {}   key and webhook secret: {SANDBOX_SECRET}", shop.world.aipay_base()));
    say(&format!("Poster        {}   token: {SANDBOX_SECRET}", shop.world.poster_base()));
    say(&format!("Webkassa      {}   key, login and password: {SANDBOX_SECRET}", shop.world.webkassa_base()));
    say(&format!("terminal      {}", shop.world.terminal_base(0).unwrap_or_default()));
    for (printer, address) in &shop.printers {
        say(&format!("printer       tcp://{address}   {}", printer.name()));
    }
    super::run::told_to_stop().await;
    ExitCode::SUCCESS
}

/// The ports of a configuration, so that `kassad run` with the same file finds its partners.
fn options(config: Option<&Config>) -> ShopOptions {
    let port = |address: Option<&str>, usual: u16| address.and_then(port_of).unwrap_or(usual);
    let first = |devices: Option<&crate::config::Device>| devices.map(|device| device.address.clone());
    let terminal = first(config.and_then(|config| config.terminals.first()));
    let cloud = first(config.and_then(|config| config.clouds.first()));
    let pos = first(config.and_then(|config| config.pos.as_ref().map(|pos| &pos.device)));
    let bot = config.and_then(|config| config.bots.first()?.webhook.as_ref().map(|webhook| webhook.url.clone()));
    let printer = |place: usize, usual: u16| {
        let device =
            config.and_then(|config| config.printers.get(place)).map(|printer| printer.device.address.as_str());
        port(device, usual)
    };
    let public = config.map_or_else(|| "127.0.0.1:8790".to_owned(), |config| config.listen.public.to_string());
    ShopOptions {
        ports: Ports {
            control: CONTROL_PORT,
            aipay: port(cloud.as_deref(), 8812),
            poster: port(pos.as_deref(), 8813),
            webkassa: WEBKASSA_PORT,
            bot: port(bot.as_deref(), 9000),
            terminal: port(terminal.as_deref(), 8811),
        },
        printers: [printer(0, 9101), printer(1, 9102), printer(2, 9103)],
        terminals: 1,
        guest: None,
        register: true,
        webhook_url: Some(format!("http://{public}/webhooks/aipay")),
    }
}

/// The port of an address of ours: `http://127.0.0.1:8812/v1`, `tcp://127.0.0.1:9101`.
fn port_of(address: &str) -> Option<u16> {
    Address::parse(address).ok()?;
    let rest = address.split_once("://")?.1;
    rest.split('/').next()?.rsplit_once(':')?.1.parse().ok()
}
