//! A whole restaurant on loopback: the sandbox partners, three printers, and a configuration that points the daemon at them.

use crate::config::Config;
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::secret::write_private;
use crate::host::tasks::{Spawner, Stop};
use crate::sandbox::aipay::AiPayOptions;
use crate::sandbox::authority::{Authority, Identity, TERMINAL_NAME, Validity};
use crate::sandbox::bot::BotOptions;
use crate::sandbox::poster::PosterOptions;
use crate::sandbox::printer::Printer;
use crate::sandbox::terminal::TerminalOptions;
use crate::sandbox::webkassa::WebkassaOptions;
use crate::sandbox::{AutoGuest, Ports, World, WorldOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The word that opens every sandbox partner.
pub const SANDBOX_SECRET: &str = "sandbox";

/// How the restaurant is set up.
pub struct ShopOptions {
    /// Where partners listen; 0 lets the system choose.
    pub ports: Ports,
    /// Ports of the printers.
    pub printers: [u16; 3],
    /// Tills with a terminal each.
    pub terminals: u8,
    /// Guests that act by themselves.
    pub guest: Option<AutoGuest>,
    /// Whether the daemon's configuration names the cash register.
    pub register: bool,
    /// Where AiPay's notices go.
    pub webhook_url: Option<String>,
}

/// A running restaurant without its daemon.
pub struct Shop {
    /// AiPay, Poster, Webkassa, terminals and the bot.
    pub world: World,
    /// Whether the daemon's configuration names the cash register.
    register: bool,
    /// `receipt`, `hot`, `bar`, with where they listen.
    pub printers: Vec<(Arc<Printer>, SocketAddr)>,
    /// Who issued the first terminal's certificate, as PEM; none where it speaks plain HTTP.
    authority: Option<String>,
}

/// Files beside the configuration that hold the word.
const SECRET_FILES: [&str; 7] =
    ["aipay.key", "aipay.secret", "bot.key", "bot.secret", "poster.token", "webkassa.key", "webkassa.password"];
/// The file of the authority beside the configuration.
const AUTHORITY_FILE: &str = "terminal-authority.pem";

impl Shop {
    /// Opens all partners; the terminals speak plain HTTP.
    pub async fn open(
        options: ShopOptions,
        clock: &Clock,
        ids: &Ids,
        spawner: &Spawner,
        stop: &Stop,
    ) -> io::Result<Shop> {
        Shop::raise(options, None, (clock, ids), spawner, stop).await
    }

    /// The same, with TLS at the first terminal, as a protected one speaks it: by a certificate of an authority made for this shop.
    pub async fn open_with_tls(
        options: ShopOptions,
        clock: &Clock,
        ids: &Ids,
        spawner: &Spawner,
        stop: &Stop,
    ) -> io::Result<Shop> {
        let authority = Authority::new()?;
        let tls = (authority.pem(), authority.issue(TERMINAL_NAME, Validity::Always)?);
        Shop::raise(options, Some(tls), (clock, ids), spawner, stop).await
    }

    async fn raise(
        options: ShopOptions,
        tls: Option<(String, Identity)>,
        (clock, ids): (&Clock, &Ids),
        spawner: &Spawner,
        stop: &Stop,
    ) -> io::Result<Shop> {
        let (authority, identity) = tls.unzip();
        let terminal = |place: u8| TerminalOptions {
            tls: identity.clone().filter(|_| place == 0),
            name: format!("till{}", place + 1),
            protected: true,
            auto_allow: true,
            guest: options.guest,
            ..TerminalOptions::default()
        };
        let world = WorldOptions {
            ports: options.ports,
            aipay: AiPayOptions {
                api_key: SANDBOX_SECRET.to_owned(),
                webhook_secret: SANDBOX_SECRET.to_owned(),
                webhook_url: options.webhook_url,
                guest: options.guest,
                ..AiPayOptions::default()
            },
            poster: PosterOptions { token: SANDBOX_SECRET.to_owned(), ..PosterOptions::default() },
            webkassa: WebkassaOptions {
                api_key: SANDBOX_SECRET.to_owned(),
                login: SANDBOX_SECRET.to_owned(),
                password: SANDBOX_SECRET.to_owned(),
                ..WebkassaOptions::default()
            },
            terminals: (0..options.terminals).map(terminal).collect(),
            bot: BotOptions { secret: SANDBOX_SECRET.to_owned(), ..BotOptions::default() },
        };
        let world = World::start(world, clock.clone(), ids.clone(), spawner, stop.clone()).await?;
        let mut printers = Vec::new();
        for (name, port) in ["receipt", "hot", "bar"].into_iter().zip(options.printers) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            let printer = Printer::new(name, 48, clock.clone());
            spawner.start(printer.clone().serve(listener, stop.clone()));
            world.plug_printer(printer.clone());
            printers.push((printer, address));
        }
        Ok(Shop { world, register: options.register, printers, authority })
    }

    /// The printer of a name.
    pub fn printer(&self, name: &str) -> Option<&Arc<Printer>> {
        self.printers.iter().map(|(printer, _)| printer).find(|printer| printer.name() == name)
    }

    /// Writes the configuration of a daemon for this restaurant, with its secrets, into a folder, and reads it.
    pub fn config(&self, folder: &Path, public: SocketAddr, local: SocketAddr) -> io::Result<Config> {
        std::fs::create_dir_all(folder)?;
        for file in SECRET_FILES {
            write_private(&folder.join(file), SANDBOX_SECRET)?;
        }
        if let Some(pem) = &self.authority {
            std::fs::write(folder.join(AUTHORITY_FILE), pem)?;
        }
        let text = self.config_text(public, local);
        std::fs::write(folder.join("kassad.toml"), &text)?;
        Config::parse(&text, folder).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            io::Error::new(io::ErrorKind::InvalidData, faults.join("; "))
        })
    }

    /// The register; what goes through AiPay it issues itself.
    fn fiscal_text(&self) -> String {
        format!(
            "[fiscal]\nname = \"kassa\"\nkind = \"webkassa\"\naddress = \"{}\"\napi_key_file = \"webkassa.key\"\n\
             login = \"{SANDBOX_SECRET}\"\npassword_file = \"webkassa.password\"\ncashbox = \"{}\"\nvat = \"16\"\n\
             external = [\"kaspi_invoice\"]\nissued_by = \"AiPay\"\n\n",
            self.world.webkassa_base(),
            WebkassaOptions::default().cashbox,
        )
    }

    fn config_text(&self, public: SocketAddr, local: SocketAddr) -> String {
        let mut text = format!(
            "[shop]\nname = \"Дастархан\"\ntimezone = \"Asia/Almaty\"\nbusiness_day_ends = \"06:00\"\n\n\
             [listen]\npublic = \"{public}\"\nlocal = \"{local}\"\n\n[ledger]\npath = \"ledger.db\"\n\n"
        );
        for place in 0..self.world.terminals().len() {
            let address = self.world.terminal_base(place).unwrap_or_default();
            text += &format!(
                "[[terminal]]\nname = \"till{}\"\nkind = \"kaspi_smart_pos\"\naddress = \"{address}\"\nprotected = true\n",
                place + 1
            );
            if address.starts_with("https") {
                text += &format!("ca_file = \"{AUTHORITY_FILE}\"\n");
            }
            text += "\n";
        }
        text += &format!(
            "[[cloud]]\nname = \"aipay\"\nkind = \"aipay\"\naddress = \"{}\"\napi_key_file = \"aipay.key\"\n\
             webhook_secret_files = [\"aipay.secret\"]\n\n\
             [[bot]]\nname = \"telegram\"\napi_key_file = \"bot.key\"\nwebhook_url = \"{}\"\n\
             webhook_secret_file = \"bot.secret\"\ndialect = \"A\"\ncloud = \"aipay\"\n\n\
             [pos]\nname = \"poster\"\nkind = \"poster\"\naddress = \"{}\"\ntoken_file = \"poster.token\"\n\
             spot_id = 1\nspot_tablet_id = 1\npoll_s = 5\n\n",
            self.world.aipay_base(),
            self.world.bot_url(),
            self.world.poster_base(),
        );
        if self.register {
            text += &self.fiscal_text();
        }
        for (printer, address) in &self.printers {
            let roles = if printer.name() == "receipt" { "roles = [\"receipt\"]\n" } else { "" };
            text += &format!(
                "[[printer]]\nname = \"{}\"\nkind = \"escpos\"\naddress = \"tcp://{address}\"\npaper = \"80mm\"\nletters = \"kz1048\"\n{roles}\n",
                printer.name()
            );
        }
        text += "[[station]]\nname = \"Горячий цех\"\nprinter = \"hot\"\nworkshop = 1\n\n\
                 [[station]]\nname = \"Холодный цех\"\nprinter = \"bar\"\nworkshop = 2\n\n[tunnel]\nkind = \"none\"\n\n[log]\nlevel = \"error\"\n";
        text
    }
}
