//! The configuration as types. Unknown keys and sections are refused, and every fault is told at once, with its line, its key, the
//! problem and the cure. What a driver's own keys are is told by the registry ([`Kind::keys`]), so a new driver changes nothing here.
//! Secrets are never values: a key names a file, under `$CREDENTIALS_DIRECTORY` where systemd sets it, else beside the configuration.

use crate::drivers::{BadSetup, Build, KINDS, Key, Kind, NoVault, Setup, Takes, Value, Vault};
use crate::host::clock::Clock;
use crate::host::secret::{BadSecret, Secret, read_private};
use crate::transport::address::Address;
use crate::transport::ssh_key;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub mod fiscal;
pub mod tunnel;

pub use fiscal::FiscalConfig;
pub use tunnel::Tunnel;

/// The most secrets that are accepted at once for one partner, for rotation.
pub const SECRETS_MAX: usize = 3;

/// The longest name of a device, cloud, bot or station, in characters.
pub const NAME_CHARS_MAX: usize = 32;

/// The shortest and longest gap between two looks at the POS's open orders, in seconds.
pub const POLL_S: std::ops::RangeInclusive<i64> = 1..=300;

/// The gap between two looks at the POS's open orders when nothing else is told, in seconds.
pub const POLL_S_USUAL: u32 = 5;

/// The shortest and longest time that words about people are kept, in days.
pub const PHONES_KEPT_DAYS: std::ops::RangeInclusive<i64> = 1..=3650;

/// The same when nothing else is told: as long as replays are expected (F15).
pub const PHONES_KEPT_DAYS_USUAL: u32 = 90;

/// Digits of the PIN of the counter page.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 6..=8;

const SECTIONS: &[&str] = &[
    "shop", "listen", "ledger", "terminal", "cloud", "bot", "pos", "fiscal", "printer", "station", "display", "tunnel",
    "log",
];
const SECTIONS_LATER: &[&str] = &["notify"];
const ROLES: &[(&str, Role)] = &[("receipt", Role::Receipt)];

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The key with its section: `printer.receipt.paper`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub cure: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}: {}; {}", self.line, self.key, self.problem, self.cure)
    }
}

/// The shop.
#[derive(Clone, Debug)]
pub struct Shop {
    /// What stands on the page and on paper.
    pub name: String,
    /// Where its clock stands.
    pub timezone: TimeZone,
    /// When its business day ends, in minutes after midnight.
    pub business_day_ends_min: u16,
}

/// The two listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// What the tunnel exposes.
    pub public: SocketAddr,
    /// The counter page and the API.
    pub local: SocketAddr,
    /// Whether bots may call `/v1/invoices` from outside as well.
    pub public_invoices: bool,
    /// The file of the PIN that devices of the LAN sign in with, and its line; without it only this machine may.
    pub pin_file: Option<(PathBuf, usize)>,
    /// Names of this machine in the LAN, besides its addresses.
    pub hosts: Vec<String>,
}

impl Listen {
    /// Where programs of this machine find the local listener: loopback, whatever else it listens on.
    pub fn local_here(&self) -> SocketAddr {
        let (ip, port) = (self.local.ip(), self.local.port());
        match () {
            () if ip.is_loopback() => self.local,
            () if ip.is_ipv6() && ip.is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, port).into(),
            () => (std::net::Ipv4Addr::LOCALHOST, port).into(),
        }
    }
}

/// A device or partner: what every one of them has, and its driver's own keys.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name, unique in its family.
    pub name: String,
    /// Its line of the registry.
    pub kind: &'static Kind,
    /// The base address.
    pub address: String,
    /// The driver's own keys, checked against [`Kind::keys`].
    pub keys: BTreeMap<String, Value>,
    /// The files of its secrets by the key that names them.
    pub secret_files: BTreeMap<String, Vec<PathBuf>>,
    /// Where its section begins.
    pub line: usize,
}

/// The till software.
#[derive(Clone, Debug)]
pub struct PosConfig {
    /// The partner.
    pub device: Device,
    /// The gap between two looks at its open orders, in seconds.
    pub poll_s: u32,
}

/// What a printer prints besides the tickets of its stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The guest's receipts.
    Receipt,
}

/// A printer.
#[derive(Clone, Debug)]
pub struct PrinterConfig {
    /// The device.
    pub device: Device,
    /// What it prints; stations need no role.
    pub roles: Vec<Role>,
    /// Whether other tills print on it too: then its wire is opened for each job.
    pub is_shared: bool,
    /// The printer that does its work while it stands.
    pub backup: Option<String>,
}

/// A place in the kitchen that gets tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its name, as the ticket shows it.
    pub name: String,
    /// The printer that serves it.
    pub printer: String,
    /// The POS's own id of it.
    pub workshop: String,
}

/// A customer display.
#[derive(Clone, Debug)]
pub struct DisplayConfig {
    /// The device.
    pub device: Device,
    /// The terminal or cloud whose payments it shows; all of them without it.
    pub terminal: Option<String>,
}

/// How a bot's webhook is signed and worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `X-AiPay-Signature` and an event.
    A,
    /// `X-Signature` and a status.
    B,
}

/// Where a bot's webhooks go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotWebhook {
    /// The address.
    pub url: String,
    /// The file of the secret that signs them.
    pub secret_file: PathBuf,
}

/// Who may call `/v1/invoices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Its name.
    pub name: String,
    /// The file of its key.
    pub api_key_file: PathBuf,
    /// Where its webhooks go; without it the bot asks.
    pub webhook: Option<BotWebhook>,
    /// How they are signed and worded.
    pub dialect: Dialect,
    /// The cloud that its invoices go to.
    pub cloud: String,
    /// Where its section begins.
    pub line: usize,
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shop.
    pub shop: Shop,
    /// The two listeners.
    pub listen: Listen,
    /// The file of the ledger.
    pub ledger: PathBuf,
    /// How long guests' phones and other words about people are kept, in days.
    pub phones_kept_days: u32,
    /// Terminals at the counter.
    pub terminals: Vec<Device>,
    /// Payment clouds; their names are their webhook paths.
    pub clouds: Vec<Device>,
    /// Bots.
    pub bots: Vec<Bot>,
    /// The till software.
    pub pos: Option<PosConfig>,
    /// Who issues fiscal receipts; `None` where nobody said.
    pub fiscal: Option<FiscalConfig>,
    /// Printers.
    pub printers: Vec<PrinterConfig>,
    /// Places in the kitchen.
    pub stations: Vec<Station>,
    /// Customer displays.
    pub displays: Vec<DisplayConfig>,
    /// The way in from outside.
    pub tunnel: Tunnel,
    /// The least important line that is logged.
    pub log_level: tracing::Level,
}

impl Config {
    /// Reads the file with the registry of this build; secrets lie under `$CREDENTIALS_DIRECTORY`, else beside the file.
    pub fn read(path: &Path) -> Result<Config, Vec<Fault>> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            vec![Fault {
                line: 0,
                key: path.display().to_string(),
                problem: format!("cannot be read: {cause}"),
                cure: "name the file with --config and let this user read it".to_owned(),
            }]
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let secrets = std::env::var_os("CREDENTIALS_DIRECTORY").map_or(folder.to_owned(), PathBuf::from);
        parse_text(&text, folder, &secrets, KINDS)
    }

    /// Reads a text with the registry of this build; relative paths start at `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Config, Vec<Fault>> {
        Config::parse_with(text, folder, KINDS)
    }

    /// Reads a text with a registry of the caller's.
    pub fn parse_with(text: &str, folder: &Path, kinds: &'static [Kind]) -> Result<Config, Vec<Fault>> {
        parse_text(text, folder, folder, kinds)
    }

    /// Reads a device's secrets and gives all that its driver is built from.
    pub fn setup(
        &self,
        device: &Device,
        vault: Arc<dyn Vault>,
        installation: &str,
        utc_offset_s: i32,
        clock: &Clock,
    ) -> Result<Setup, Fault> {
        let mut secrets = BTreeMap::new();
        for (key, files) in &device.secret_files {
            let name = format!("{}.{key}", device.name);
            let read = files.iter().map(|file| read_secret(file, device.line, &name));
            let read = read.collect::<Result<Vec<_>, _>>()?;
            if read.iter().any(is_sandbox_word) && !is_loopback(&device.address) {
                return Err(sandbox_word(device.line, &name));
            }
            secrets.insert(key.clone(), read);
        }
        Ok(Setup {
            name: device.name.clone(),
            address: device.address.clone(),
            keys: device.keys.clone(),
            secrets,
            vault,
            installation: installation.to_owned(),
            utc_offset_s,
            clock: clock.clone(),
        })
    }

    /// What is wrong with the secret files: faults, and what is only missing while every partner is the sandbox.
    pub fn look_at_secrets(&self) -> (Vec<Fault>, Vec<Fault>) {
        let printers = self.printers.iter().map(|printer| &printer.device);
        let pos = self.pos.iter().map(|pos| &pos.device);
        let register = self.fiscal.iter().filter_map(|fiscal| fiscal.device.as_ref());
        let (mut faults, mut missing, mut faults_of_pin) = (Vec::new(), Vec::new(), Vec::new());
        let mut look = |file: &Path, line: usize, key: &str, is_near: bool| match Secret::read(file) {
            Ok(secret) if is_sandbox_word(&secret) && !is_near => faults.push(sandbox_word(line, key)),
            Ok(_) => {}
            Err(BadSecret::File { .. }) if is_near && !file.exists() => {
                missing.extend(read_secret(file, line, key).err())
            }
            Err(_) => faults.extend(read_secret(file, line, key).err()),
        };
        for device in self.terminals.iter().chain(&self.clouds).chain(pos).chain(register).chain(printers) {
            for (key, files) in &device.secret_files {
                files.iter().for_each(|file| {
                    look(file, device.line, &format!("{}.{key}", device.name), is_loopback(&device.address));
                });
            }
        }
        faults_of_pin.extend(self.pin().err());
        let is_near = self.is_all_loopback();
        for bot in &self.bots {
            look(&bot.api_key_file, bot.line, &format!("bot.{}.api_key_file", bot.name), is_near);
            if let Some(webhook) = &bot.webhook {
                look(&webhook.secret_file, bot.line, &format!("bot.{}.webhook_secret_file", bot.name), is_near);
            }
        }
        faults.extend(faults_of_pin);
        faults.extend(self.tunnel_key());
        (faults, missing)
    }

    /// Every file that holds a secret, by the order of the sections.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let printers = self.printers.iter().map(|printer| &printer.device);
        let pos = self.pos.iter().map(|pos| &pos.device);
        let register = self.fiscal.iter().filter_map(|fiscal| fiscal.device.as_ref());
        let devices = self.terminals.iter().chain(&self.clouds).chain(pos).chain(register).chain(printers);
        let mut files: Vec<PathBuf> =
            devices.flat_map(|device| device.secret_files.values().flatten().cloned()).collect();
        for bot in &self.bots {
            files.push(bot.api_key_file.clone());
            files.extend(bot.webhook.iter().map(|webhook| webhook.secret_file.clone()));
        }
        files.extend(self.listen.pin_file.iter().map(|(file, _)| file.clone()));
        if let tunnel::TunnelKind::Ssh(ssh) = &self.tunnel.kind {
            files.push(ssh.key_file.clone());
        }
        files
    }

    /// What is wrong with the private key of an SSH tunnel.
    pub fn tunnel_key(&self) -> Option<Fault> {
        let tunnel::TunnelKind::Ssh(ssh) = &self.tunnel.kind else { return None };
        let (problem, cure) = match read_private(&ssh.key_file, KEY_BYTES_MAX) {
            Ok(text) if ssh_key::public_of(&Secret::new(text.as_str())).is_some() => return None,
            Ok(_) => (
                format!("{} is no OpenSSH private key without a passphrase", ssh.key_file.display()),
                "`kassad setup` makes one".to_owned(),
            ),
            Err(cause @ (BadSecret::Open { .. } | BadSecret::Foreign { .. })) => (cause.to_string(), cause.cure()),
            Err(cause) => (cause.to_string(), "`kassad setup` makes one".to_owned()),
        };
        Some(Fault { line: self.tunnel.line, key: "tunnel.key_file".to_owned(), problem, cure })
    }

    /// Reads the PIN that devices of the LAN sign in with; `None` where only this machine may use the page.
    pub fn pin(&self) -> Result<Option<Secret>, Fault> {
        const KEY: &str = "listen.pin_file";
        let Some((file, line)) = &self.listen.pin_file else { return Ok(None) };
        let pin = read_secret(file, *line, KEY)?;
        match weakness(pin.expose()) {
            None => Ok(Some(pin)),
            Some(problem) => Err(Fault {
                line: *line,
                key: KEY.to_owned(),
                problem: problem.to_owned(),
                cure: format!("put 6 to 8 digits that nobody guesses into {}", file.display()),
            }),
        }
    }

    /// Whether every partner with an address of its own is on this machine: then nothing real can be bought or sold.
    pub fn is_all_loopback(&self) -> bool {
        let pos = self.pos.iter().map(|pos| &pos.device);
        let register = self.fiscal.iter().filter_map(|fiscal| fiscal.device.as_ref());
        self.terminals.iter().chain(&self.clouds).chain(pos).chain(register).all(|device| is_loopback(&device.address))
    }

    /// Reads a bot's key and the secret of its webhooks. The sandbox's word opens nothing real (F29).
    pub fn bot_secrets(&self, bot: &Bot) -> Result<(Secret, Option<Secret>), Fault> {
        let (key, secret) = bot.secrets()?;
        let is_known = is_sandbox_word(&key) || secret.as_ref().is_some_and(is_sandbox_word);
        if is_known && !self.is_all_loopback() {
            return Err(sandbox_word(bot.line, &format!("bot.{}", bot.name)));
        }
        Ok((key, secret))
    }
}

/// The longest private key that is read, in bytes.
const KEY_BYTES_MAX: u64 = 16 * 1024;

/// The word that every sandbox partner takes, as the installed unit falls back to.
const SANDBOX_WORD: &str = "sandbox";

fn is_sandbox_word(secret: &Secret) -> bool {
    secret.equals(SANDBOX_WORD)
}

/// Whether an address stays on this machine, as the sandbox's do.
pub fn is_loopback(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|own| host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

fn sandbox_word(line: usize, key: &str) -> Fault {
    Fault {
        line,
        key: key.to_owned(),
        problem: "the secret is the word of the sandbox, and a partner is real".to_owned(),
        cure: "put the real secret into the file that this key names".to_owned(),
    }
}

impl Bot {
    /// Reads the bot's key and the secret of its webhooks.
    fn secrets(&self) -> Result<(Secret, Option<Secret>), Fault> {
        let api_key = read_secret(&self.api_key_file, self.line, &format!("bot.{}.api_key_file", self.name))?;
        let key = format!("bot.{}.webhook_secret_file", self.name);
        let webhook = self.webhook.as_ref().map(|webhook| read_secret(&webhook.secret_file, self.line, &key));
        Ok((api_key, webhook.transpose()?))
    }
}

fn read_secret(file: &Path, line: usize, key: &str) -> Result<Secret, Fault> {
    Secret::read(file).map_err(|cause| Fault {
        line,
        key: key.to_owned(),
        problem: cause.to_string(),
        cure: cause.cure(),
    })
}

/// Why a PIN is none, or is among the first that anybody tries.
pub(crate) fn weakness(pin: &str) -> Option<&'static str> {
    let digits = pin.as_bytes();
    if !PIN_DIGITS.contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Some("the PIN must be 6 to 8 digits");
    }
    let goes_by =
        |step: u8| digits.windows(2).all(|pair| matches!(pair, [one, two] if (one + step - b'0') % 10 == two - b'0'));
    let repeats = (1..=digits.len() / 2)
        .any(|span| digits.len().is_multiple_of(span) && digits.chunks(span).all(|part| part == &digits[..span]));
    let is_weak =
        goes_by(1) || goes_by(9) || repeats || ["147258", "258369", "159753", "789456", "147852"].contains(&pin);
    is_weak.then_some("the PIN is among the first that anybody tries")
}

/// Checks an address: `tcp://host:port`, `serial:…`, `usb:…`, `http://…` or `https://…`; what is wrong and what would be right.
fn check_address(address: &str) -> Result<(), (String, String)> {
    const FORMS: &str = "write tcp://HOST:PORT, serial:/dev/NAME?baud=9600, usb:/dev/usb/lp0, http://… or https://…";
    let is_plugged = ["serial:", "usb:"].iter().any(|wire| address.starts_with(wire));
    match Address::parse(address) {
        Ok(_) => Ok(()),
        // What is plugged in has many ways to be named: there the address itself says best what is wrong.
        Err(cause) if is_plugged => Err((cause.to_string(), "`kassad devices` prints the line".to_owned())),
        Err(_) => Err((format!("{address:?} is no address"), FORMS.to_owned())),
    }
}

/// What all readers of one text share.
struct Source<'a> {
    starts: Vec<usize>,
    folder: &'a Path,
    secrets: &'a Path,
    kinds: &'static [Kind],
    faults: Vec<Fault>,
}

impl Source<'_> {
    fn line(&self, span: Range<usize>) -> usize {
        self.starts.partition_point(|start| *start <= span.start)
    }

    fn fault(&mut self, line: usize, key: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) {
        self.faults.push(Fault { line, key: key.into(), problem: problem.into(), cure: cure.into() });
    }
}

/// One section while it is read: what is asked for is known, the rest is refused at the end.
struct Section<'a> {
    path: String,
    line: usize,
    table: &'a DeTable<'a>,
    known: BTreeSet<&'a str>,
}

fn parse_text(text: &str, folder: &Path, secrets: &Path, kinds: &'static [Kind]) -> Result<Config, Vec<Fault>> {
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut source = Source { starts, folder, secrets, kinds, faults: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = source.line(error.span().unwrap_or(0..0));
        source.fault(
            line,
            "toml",
            error.message(),
            "the file must be TOML: texts in quotes, one key a line, each once",
        );
    }
    let root = document.get_ref();
    refuse_unknown_sections(root, &mut source);
    let config = read_config(root, &mut source);
    let mut faults = source.faults;
    if faults.is_empty() {
        return Ok(config);
    }
    faults.sort_by(|one, other| (one.line, &one.key).cmp(&(other.line, &other.key)));
    Err(faults)
}

fn read_config(root: &DeTable<'_>, source: &mut Source<'_>) -> Config {
    let shop = read_shop(root, source);
    let listen = read_listen(root, source);
    let (ledger, phones_kept_days) = read_ledger(root, source);
    let terminals = many(root, source, "terminal", |section, source| device(section, source, &[]));
    let clouds = many(root, source, "cloud", |section, source| device(section, source, &[]));
    let pos = read_pos(root, source);
    let fiscal = fiscal::read(root, source, &clouds, &shop.timezone);
    let names = |devices: Vec<&str>| devices.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let printer_names = names(listed_names(root, "printer"));
    let printers = many(root, source, "printer", |section, source| read_printer(section, source, &printer_names));
    let cloud_names = names(listed_names(root, "cloud"));
    let stations = many(root, source, "station", |section, source| read_station(section, source, &printer_names));
    let payers = names([listed_names(root, "terminal"), listed_names(root, "cloud")].concat());
    let displays = many(root, source, "display", |section, source| read_display(section, source, &payers));
    let bots = many(root, source, "bot", |section, source| read_bot(section, source, &cloud_names));
    let tunnel = tunnel::read(root, source);
    let log_level = read_log(root, source);
    Config {
        shop,
        listen,
        ledger,
        phones_kept_days,
        terminals,
        clouds,
        bots,
        pos,
        fiscal,
        printers,
        stations,
        displays,
        tunnel,
        log_level,
    }
}

fn read_shop(root: &DeTable<'_>, source: &mut Source<'_>) -> Shop {
    let mut section = one(root, source, "shop");
    let name = section.text(source, "name").unwrap_or_else(|| "Касса".to_owned());
    let zone = section.text(source, "timezone").unwrap_or_else(|| "Asia/Almaty".to_owned());
    let timezone = TimeZone::get(&zone).unwrap_or_else(|_| {
        section.fault(source, "timezone", format!("there is no time zone {zone:?}"), "write one like \"Asia/Almaty\"");
        TimeZone::UTC
    });
    let ends = section.text(source, "business_day_ends").unwrap_or_else(|| "06:00".to_owned());
    let business_day_ends_min = minutes(&ends).unwrap_or_else(|| {
        section.fault(source, "business_day_ends", format!("{ends:?} is no time of day"), "write it like \"06:00\"");
        0
    });
    section.refuse_unknown(source);
    Shop { name, timezone, business_day_ends_min }
}

fn read_listen(root: &DeTable<'_>, source: &mut Source<'_>) -> Listen {
    let mut section = one(root, source, "listen");
    let public = section.socket(source, "public", SocketAddr::from(([127, 0, 0, 1], 8790)));
    let local = section.socket(source, "local", SocketAddr::from(([127, 0, 0, 1], 8780)));
    if public.port() == local.port() && public.port() != 0 {
        section.fault(source, "local", "both listeners have the same port", "give each its own: 8790 and 8780");
    }
    let public_invoices = section.flag(source, "public_invoices").unwrap_or(false);
    let pin_line = section.get("pin_file").map(|value| source.line(value.span()));
    let pin = section.text(source, "pin_file");
    if !local.ip().is_loopback() && pin_line.is_none() {
        let cure = "put a PIN of 6 to 8 digits into a file and name it: pin_file = \"counter.pin\"; or keep the page on 127.0.0.1";
        section.fault(
            source,
            "local",
            format!("{local} can be reached from elsewhere, and nothing asks who comes"),
            cure,
        );
    }
    let hosts = section.texts(source, "hosts").unwrap_or_default();
    for host in hosts.iter().filter(|host| !is_host_name(host)) {
        let cure = "write names without port and path, like hosts = [\"kassa.local\"]; addresses need no entry";
        section.fault(source, "hosts", format!("{host:?} is no name of a machine"), cure);
    }
    let pin_file = pin.map(|file| (source.secrets.join(file), pin_line.unwrap_or(section.line)));
    section.refuse_unknown(source);
    Listen { public, local, public_invoices, pin_file, hosts }
}

/// Letters, digits, dashes and dots; a bare address is no name.
fn is_host_name(host: &str) -> bool {
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    is_plain && !host.is_empty() && host.len() <= 253 && host.parse::<std::net::IpAddr>().is_err()
}

fn read_ledger(root: &DeTable<'_>, source: &mut Source<'_>) -> (PathBuf, u32) {
    let mut section = one(root, source, "ledger");
    let path = section.text(source, "path").unwrap_or_else(|| "/var/lib/kassad/ledger.db".to_owned());
    let days = section.number(source, "phones_kept_days").unwrap_or(i64::from(PHONES_KEPT_DAYS_USUAL));
    if !PHONES_KEPT_DAYS.contains(&days) {
        let cure = format!("write {} to {} days", PHONES_KEPT_DAYS.start(), PHONES_KEPT_DAYS.end());
        section.fault(source, "phones_kept_days", format!("{days} is out of bounds"), cure);
    }
    section.refuse_unknown(source);
    (source.folder.join(path), u32::try_from(days).unwrap_or(PHONES_KEPT_DAYS_USUAL))
}

fn read_pos(root: &DeTable<'_>, source: &mut Source<'_>) -> Option<PosConfig> {
    root.get("pos")?;
    let mut section = one(root, source, "pos");
    let poll = section.number(source, "poll_s").unwrap_or(i64::from(POLL_S_USUAL));
    if !POLL_S.contains(&poll) {
        let cure = format!("write {} to {} seconds", POLL_S.start(), POLL_S.end());
        section.fault(source, "poll_s", format!("{poll} is out of bounds"), cure);
    }
    let device = device(&mut section, source, &["poll_s"])?;
    Some(PosConfig { device, poll_s: u32::try_from(poll).unwrap_or(POLL_S_USUAL) })
}

fn read_printer(section: &mut Section<'_>, source: &mut Source<'_>, printers: &[String]) -> Option<PrinterConfig> {
    let words = section.texts(source, "roles").unwrap_or_default();
    let mut roles = Vec::new();
    for word in words {
        match ROLES.iter().find(|(name, _)| *name == word) {
            Some((_, role)) => roles.push(*role),
            None => {
                let cure = format!("roles are {}; a kitchen printer needs none, only a [[station]]", role_words());
                section.fault(source, "roles", format!("there is no role {word:?}"), cure);
            }
        }
    }
    let is_shared = section.flag(source, "shared").unwrap_or(false);
    let backup = read_backup(section, source, printers);
    let device = device(section, source, &["roles", "shared", "backup"])?;
    Some(PrinterConfig { device, roles, is_shared, backup })
}

fn read_backup(section: &mut Section<'_>, source: &mut Source<'_>, printers: &[String]) -> Option<String> {
    let backup = section.text(source, "backup")?;
    let own = section.get("name").and_then(|name| name.get_ref().as_str());
    if own == Some(backup.as_str()) {
        let cure = "write the name of another [[printer]], or leave the key out";
        section.fault(source, "backup", "a printer cannot stand in for itself", cure);
    } else if !printers.contains(&backup) {
        let cure = match nearest(&backup, printers.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "add a [[printer]] with this name".to_owned(),
        };
        section.fault(source, "backup", format!("there is no printer named {backup:?}"), cure);
    }
    Some(backup)
}

fn read_display(section: &mut Section<'_>, source: &mut Source<'_>, payers: &[String]) -> Option<DisplayConfig> {
    let terminal = section.text(source, "terminal");
    if let Some(terminal) = &terminal {
        section.must_be_listed(source, "terminal", terminal, payers);
    }
    let device = device(section, source, &["terminal"])?;
    if device.address.starts_with("http") {
        let cure = "write serial:/dev/NAME?baud=9600; `kassad devices` prints the line";
        section.fault(source, "address", "a display has no web address", cure);
    }
    Some(DisplayConfig { device, terminal })
}

fn role_words() -> String {
    ROLES.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn read_station(section: &mut Section<'_>, source: &mut Source<'_>, printers: &[String]) -> Option<Station> {
    let name = section.need_text(source, "name", "the name that the ticket shows");
    let printer = section.need_text(source, "printer", "the name of a [[printer]]");
    if let Some(printer) = &printer {
        section.must_be_listed(source, "printer", printer, printers);
    }
    let workshop = if section.get("workshop").is_some_and(|value| value.get_ref().is_integer()) {
        section.number(source, "workshop").map(|number| number.to_string())
    } else {
        section.need_text(source, "workshop", "the POS's own id of the station")
    };
    section.refuse_unknown(source);
    Some(Station { name: name?, printer: printer?, workshop: workshop? })
}

fn read_bot(section: &mut Section<'_>, source: &mut Source<'_>, clouds: &[String]) -> Option<Bot> {
    let name = section.need_name(source);
    let api_key_file = section.need_text(source, "api_key_file", "the file of the bot's key");
    let cloud = section.need_text(source, "cloud", "the name of a [[cloud]]");
    if let Some(cloud) = &cloud {
        section.must_be_listed(source, "cloud", cloud, clouds);
    }
    let dialect = match section.text(source, "dialect").as_deref() {
        None | Some("A") => Dialect::A,
        Some("B") => Dialect::B,
        Some(other) => {
            section.fault(source, "dialect", format!("there is no dialect {other:?}"), "write \"A\" or \"B\"");
            Dialect::A
        }
    };
    let url = section.text(source, "webhook_url");
    let secret = section.text(source, "webhook_secret_file");
    if url.as_deref().is_some_and(|url| !url.starts_with("http") || check_address(url).is_err()) {
        section.fault(source, "webhook_url", "it is no web address", "write http://… or https://…");
    }
    let webhook = match (url, secret) {
        (Some(url), Some(file)) => Some(BotWebhook { url, secret_file: source.secrets.join(file) }),
        (None, None) => None,
        (Some(_), None) => {
            section.fault(source, "webhook_secret_file", "it is missing", "name the file of the secret that signs");
            None
        }
        (None, Some(_)) => {
            section.fault(source, "webhook_url", "it is missing", "say where the webhooks go, or drop the secret");
            None
        }
    };
    section.refuse_unknown(source);
    let api_key_file = source.secrets.join(api_key_file?);
    Some(Bot { name: name?, api_key_file, webhook, dialect, cloud: cloud?, line: section.line })
}

fn read_log(root: &DeTable<'_>, source: &mut Source<'_>) -> tracing::Level {
    const LEVELS: &[(&str, tracing::Level)] = &[
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    let mut section = one(root, source, "log");
    let word = section.text(source, "level").unwrap_or_else(|| "info".to_owned());
    let level = LEVELS.iter().find(|(name, _)| *name == word).map(|(_, level)| *level);
    if level.is_none() {
        let cure = "write error, warn, info, debug or trace";
        section.fault(source, "level", format!("there is no level {word:?}"), cure);
    }
    section.refuse_unknown(source);
    level.unwrap_or(tracing::Level::INFO)
}

/// Reads what every device has and its driver's own keys; `base` are the keys that the section has read already.
fn device(section: &mut Section<'_>, source: &mut Source<'_>, base: &[&str]) -> Option<Device> {
    let name = section.need_name(source);
    device_named(section, source, base, name)
}

/// The same with a name that is known already.
fn device_named(
    section: &mut Section<'_>,
    source: &mut Source<'_>,
    base: &[&str],
    name: Option<String>,
) -> Option<Device> {
    let word = section.need_text(source, "kind", "the driver");
    let address = section.need_text(source, "address", "where it is");
    if let Some(address) = &address
        && let Err((problem, cure)) = check_address(address)
    {
        section.fault(source, "address", problem, cure);
    }
    let kind = kind(section, source, &word?)?;
    let (mut keys, mut secret_files) = (BTreeMap::new(), BTreeMap::new());
    for key in kind.keys.iter().filter(|key| !base.contains(&key.name)) {
        match section.driver_key(source, key) {
            Some(Given::Value(value)) => drop(keys.insert(key.name.to_owned(), value)),
            Some(Given::Files(files)) => drop(secret_files.insert(key.name.to_owned(), files)),
            None => {}
        }
    }
    section.refuse_unknown(source);
    let device = Device { name: name?, kind, address: address?, keys, secret_files, line: section.line };
    // What is missing was said already.
    let has = |key: &&Key| device.keys.contains_key(key.name) || device.secret_files.contains_key(key.name);
    let is_whole = kind.keys.iter().filter(|key| key.required).all(|key| has(&key));
    if let Some(bad) = refused(&device).filter(|_| is_whole) {
        let (problem, cure) = bad.problem.split_once(": ").unwrap_or((&bad.problem, "see the example configuration"));
        section.fault(source, bad.key, problem, cure);
    }
    Some(device)
}

/// What a driver that opens nothing says of its keys: it is built once to see, with secrets that nobody has read.
fn refused(device: &Device) -> Option<BadSetup> {
    let unread = |key: &String| (key.clone(), vec![Secret::new("unread")]);
    let setup = Setup {
        name: device.name.clone(),
        address: device.address.clone(),
        keys: device.keys.clone(),
        secrets: device.secret_files.keys().map(unread).collect(),
        vault: Arc::new(NoVault),
        installation: String::new(),
        utc_offset_s: 0,
        clock: Clock::machine(),
    };
    match device.kind.build {
        Build::Printer(build) => build(&setup).err(),
        Build::Display(build) => build(&setup).err(),
        Build::Fiscal(build) => build(&setup).err(),
        Build::Terminal(_) | Build::Cloud(..) | Build::Pos(_) => None,
    }
}

/// Looks a kind up and checks that it belongs into this section.
fn kind(section: &mut Section<'_>, source: &mut Source<'_>, word: &str) -> Option<&'static Kind> {
    let family = section.family().to_owned();
    let found = source.kinds.iter().find(|kind| kind.name == word);
    if let Some(kind) = found
        && section_of(&kind.build) != family
    {
        let right = section_of(&kind.build);
        section.fault(source, "kind", format!("{word:?} is a {right}, not a {family}"), format!("move it to {right}"));
        return None;
    }
    if found.is_none() {
        let plain = if family == "fiscal" { &fiscal::PLAIN_KINDS[..] } else { &[] };
        let drivers = source.kinds.iter().filter(|kind| section_of(&kind.build) == family).map(|kind| kind.name);
        let words: Vec<&str> = drivers.chain(plain.iter().copied()).collect();
        let cure = match nearest(word, words.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if words.is_empty() => "this build has no driver of that family".to_owned(),
            None => format!("known here: {}", words.join(", ")),
        };
        section.fault(source, "kind", format!("there is no driver {word:?}"), cure);
    }
    found
}

fn section_of(build: &Build) -> &'static str {
    match build {
        Build::Terminal(_) => "terminal",
        Build::Cloud(..) => "cloud",
        Build::Pos(_) => "pos",
        Build::Fiscal(_) => "fiscal",
        Build::Printer(_) => "printer",
        Build::Display(_) => "display",
    }
}

/// What a driver's key was given.
enum Given {
    Value(Value),
    Files(Vec<PathBuf>),
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    fn family(&self) -> &str {
        self.path.split('.').next().unwrap_or(&self.path)
    }

    /// The value of a key, which is known from now on, with its line.
    fn take(&mut self, key: &'a str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.insert(key);
        self.get(key)
    }

    fn fault(&self, source: &mut Source<'_>, key: &str, problem: impl Into<String>, cure: impl Into<String>) {
        let line = self.get(key).map_or(self.line, |value| source.line(value.span()));
        source.fault(line, format!("{}.{key}", self.path), problem, cure);
    }

    fn wrong_type(&self, source: &mut Source<'_>, key: &str, wanted: &str) {
        self.fault(source, key, "it has the wrong type", format!("write {wanted}"));
    }

    fn text(&mut self, source: &mut Source<'_>, key: &'a str) -> Option<String> {
        match self.take(key)?.get_ref().as_str() {
            Some(text) if !text.trim().is_empty() => return Some(text.to_owned()),
            Some(_) => self.fault(source, key, "it is empty", "write a text"),
            None => self.wrong_type(source, key, "a text in quotes"),
        }
        None
    }

    fn need_text(&mut self, source: &mut Source<'_>, key: &'a str, what: &str) -> Option<String> {
        if self.get(key).is_none() {
            self.known.insert(key);
            self.fault(source, key, "it is missing", format!("add {key} = \"…\": {what}"));
            return None;
        }
        self.text(source, key)
    }

    /// A name that can stand in a path, a file name and a log line.
    fn need_name(&mut self, source: &mut Source<'_>) -> Option<String> {
        let name = self.need_text(source, "name", "a short name of your own")?;
        let plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || "-_".contains(sign);
        if !name.chars().all(plain) || name.len() > NAME_CHARS_MAX {
            let cure = format!("use a-z, 0-9, - and _, at most {NAME_CHARS_MAX} of them");
            self.fault(source, "name", format!("{name:?} cannot be a name"), cure);
        }
        Some(name)
    }

    fn number(&mut self, source: &mut Source<'_>, key: &'a str) -> Option<i64> {
        let number = self.take(key)?.get_ref().as_integer();
        let number = number.and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.wrong_type(source, key, "a whole number without quotes");
        }
        number
    }

    fn flag(&mut self, source: &mut Source<'_>, key: &'a str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(source, key, "true or false");
        }
        flag
    }

    fn texts(&mut self, source: &mut Source<'_>, key: &'a str) -> Option<Vec<String>> {
        let items = self.take(key)?.get_ref().as_array();
        let texts: Option<Vec<String>> =
            items.and_then(|items| items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.wrong_type(source, key, "a list of texts: [\"…\", \"…\"]");
        }
        texts
    }

    fn socket(&mut self, source: &mut Source<'_>, key: &'a str, usual: SocketAddr) -> SocketAddr {
        let Some(text) = self.text(source, key) else { return usual };
        text.parse().unwrap_or_else(|_| {
            let cure = format!("write an address with its port, like \"{usual}\"");
            self.fault(source, key, format!("{text:?} is no socket address"), cure);
            usual
        })
    }

    fn must_be_listed(&self, source: &mut Source<'_>, key: &str, name: &str, listed: &[String]) {
        if !listed.iter().any(|known| known == name) {
            let cure = match nearest(name, listed.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("add a [[{key}]] with this name"),
            };
            self.fault(source, key, format!("there is no {key} named {name:?}"), cure);
        }
    }

    fn driver_key(&mut self, source: &mut Source<'_>, key: &'static Key) -> Option<Given> {
        if self.get(key.name).is_none() {
            self.known.insert(key.name);
            if key.required {
                self.fault(source, key.name, "it is missing", format!("add {}: {}", key.name, key.help));
            }
            return None;
        }
        match key.takes {
            Takes::Text => self.text(source, key.name).map(Value::Text).map(Given::Value),
            Takes::Number => self.number(source, key.name).map(Value::Number).map(Given::Value),
            Takes::Texts => self.texts(source, key.name).map(Value::Texts).map(Given::Value),
            Takes::Flag => {
                let flag = self.take(key.name)?.get_ref().as_bool();
                if flag.is_none() {
                    self.wrong_type(source, key.name, "true or false");
                }
                flag.map(Value::Flag).map(Given::Value)
            }
            Takes::File => {
                let path = source.folder.join(self.text(source, key.name)?);
                let text = path.to_str().map(str::to_owned);
                if text.is_none() {
                    self.fault(source, key.name, "its path is no UTF-8", "name the folder in plain letters");
                }
                text.map(Value::Text).map(Given::Value)
            }
            Takes::SecretFile => self.text(source, key.name).map(|file| Given::Files(vec![source.secrets.join(file)])),
            Takes::SecretFiles => {
                let files = self.texts(source, key.name)?;
                if files.is_empty() || files.len() > SECRETS_MAX {
                    let cure = format!("name 1 to {SECRETS_MAX} files");
                    self.fault(source, key.name, format!("it names {} files", files.len()), cure);
                }
                Some(Given::Files(files.into_iter().map(|file| source.secrets.join(file)).collect()))
            }
        }
    }

    fn refuse_unknown(&self, source: &mut Source<'_>) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.known.contains(key.get_ref().as_ref())) {
            let cure = match nearest(key.get_ref(), self.known.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("keys here: {}", self.known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            let line = source.line(key.span());
            source.fault(line, format!("{}.{}", self.path, key.get_ref()), "this key is not known", cure);
        }
    }
}

fn refuse_unknown_sections(root: &DeTable<'_>, source: &mut Source<'_>) {
    for key in root.keys() {
        let (name, line) = (key.get_ref().as_ref(), source.line(key.span()));
        // TOML knows a key without a letter; a fault without a name would point nowhere.
        let name = if name.is_empty() { "\"\"" } else { name };
        if SECTIONS_LATER.contains(&name) {
            source.fault(line, name, "this section is not in this version", "take it out; it comes in a later one");
        } else if !SECTIONS.contains(&name) {
            let cure = match nearest(name, SECTIONS.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("sections are {}", SECTIONS.join(", ")),
            };
            source.fault(line, name, "this section or key is not known", cure);
        }
    }
}

static EMPTY: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);

/// The only section of a name; an empty one where it is missing.
fn one<'a>(root: &'a DeTable<'a>, source: &mut Source<'_>, name: &'static str) -> Section<'a> {
    let (table, line): (&'a DeTable<'a>, usize) = match root.get_key_value(name) {
        None => (&EMPTY, 0),
        Some((key, value)) => match value.get_ref().as_table() {
            Some(table) => (table, source.line(key.span())),
            None => {
                let line = source.line(key.span());
                source.fault(line, name, "it is no section", format!("write it once, as [{name}]"));
                (&EMPTY, line)
            }
        },
    };
    Section { path: name.to_owned(), line, table, known: BTreeSet::new() }
}

/// All sections of a name, whose own names must differ.
fn many<'a, T>(
    root: &'a DeTable<'a>,
    source: &mut Source<'_>,
    name: &'static str,
    mut read: impl FnMut(&mut Section<'a>, &mut Source<'_>) -> Option<T>,
) -> Vec<T> {
    let Some((key, value)) = root.get_key_value(name) else { return Vec::new() };
    let DeValue::Array(items) = value.get_ref() else {
        let line = source.line(key.span());
        source.fault(line, name, "it is no list of sections", format!("write [[{name}]]"));
        return Vec::new();
    };
    let (mut all, mut taken) = (Vec::new(), BTreeSet::new());
    for (number, item) in items.iter().enumerate() {
        let line = source.line(item.span());
        let DeValue::Table(table) = item.get_ref() else {
            source.fault(line, name, "it is no section", format!("write [[{name}]]"));
            continue;
        };
        let own = table.get("name").and_then(|value| value.get_ref().as_str());
        let path = own.map_or(format!("{name}.{}", number + 1), |own| format!("{name}.{own}"));
        let mut section = Section { path, line, table, known: BTreeSet::new() };
        if own.is_some_and(|own| !taken.insert(own)) {
            section.fault(source, "name", format!("another {name} has this name"), "give each its own");
        }
        all.extend(read(&mut section, source));
    }
    all
}

/// The names given to the sections of a family, whether or not the rest of them is right.
fn listed_names<'a>(root: &'a DeTable<'a>, family: &str) -> Vec<&'a str> {
    let items = root.get(family).and_then(|value| value.get_ref().as_array());
    let tables = items.into_iter().flat_map(|items| items.iter()).filter_map(|item| item.get_ref().as_table());
    tables.filter_map(|table| table.get("name")).filter_map(|name| name.get_ref().as_str()).collect()
}

/// Minutes after midnight of a text `HH:MM`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let two = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?;
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// The known word nearest to a mistyped one, if any is near.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |known: &&str| distance(word, known);
    known.min_by_key(near).filter(|known| distance(word, known) <= 1 + word.chars().count() / 4)
}

/// How many letters must be put in, taken out or changed to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut corner = line;
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let change = corner + usize::from(letter != *other);
            corner = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_words_are_near() {
        assert_eq!(nearest("adress", ["address", "name"].into_iter()), Some("address"));
        assert_eq!(nearest("spot", ["paper", "roles"].into_iter()), None);
        assert_eq!(distance("kind", "kind"), 0);
    }

    #[test]
    fn times_of_day_are_read_strictly() {
        assert_eq!(minutes("06:00"), Some(360));
        assert_eq!(minutes("23:59"), Some(1439));
        for bad in ["24:00", "6:00", "06:60", "+6:00", "06.00", ""] {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_have_five_forms() {
        for good in [
            "tcp://10.0.0.7:9100",
            "serial:/dev/ttyUSB0?baud=38400&parity=none&stop=1",
            "serial:?vid=1a86&pid=7523&serial=A50285BI&baud=9600",
            "serial:by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
            "usb:/dev/usb/lp0",
            "http://127.0.0.1:8811",
            "https://api.aipay.kz/v1",
        ] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["", "10.0.0.7:9100", "tcp://10.0.0.7", "tcp://:9100", "usb:lp0", "ftp://a", "http:///", "tcp://a b:1"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
