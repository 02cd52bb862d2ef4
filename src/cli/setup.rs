//! `kassad setup`: the first installation as a conversation, and any later one: what stands there is what Enter takes. Each answer is judged
//! at once by the reader of the configuration. Nothing is written before the last question: stopping half-way leaves everything as it was.

use super::{check, complain, say};
use crate::config::fiscal::issuing;
use crate::config::is_loopback;
use crate::drivers::{Build, KINDS, Key, Kind, Takes};
use crate::host::clock::Clock;
use crate::i18n::{Lang, is_known};
use crate::transport::discover::{self, Found, Guess};
use crate::transport::neighbours;
use draft::{Draft, Place, written};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use talk::Stopped;
use toml::Value;

mod draft;
mod talk;
mod tunnel;

pub(super) use talk::Talk;

/// What an address or a name usually is, by family and kind, where nothing stands there yet.
const USUAL: &[(&str, &str, &str)] = &[
    ("terminal", "name", "counter"),
    ("printer", "name", "receipt"),
    ("kaspi_smart_pos", "address", "https://10.0.0.5:8080"),
    ("zvt", "address", "serial:/dev/ttyUSB0?baud=9600"),
    ("aipay", "address", "https://api.aipay.kz/v1"),
    ("poster", "address", "https://joinposter.com/api"),
    ("webkassa", "address", "https://devkkm.webkassa.kz"),
    ("escpos", "address", "tcp://10.0.0.7:9100"),
    ("escpos", "paper", "80mm"),
    ("kaspi_smart_pos", "protected", "true"),
    ("poster", "spot_id", "1"),
    ("poster", "spot_tablet_id", "1"),
];

/// Keys that nobody must write, and that are asked for all the same.
const ASKED_TOO: [(&str, &str); 2] = [("terminal", "protected"), ("printer", "paper")];

/// How the file of a secret is called after its device, by its key.
const FILES: [(&str, &str); 4] = [
    ("api_key_file", "key"),
    ("webhook_secret_files", "secret"),
    ("token_file", "token"),
    ("password_file", "password"),
];

/// The port of printers on the LAN.
const PRINTERS: u16 = 9100;

const FISCAL: Place = Place("fiscal", None);

/// Where everything is.
pub(super) struct Where<'w> {
    /// The configuration.
    pub(super) config: &'w Path,
    /// The folder of new secrets; beside the configuration without it.
    pub(super) secrets: Option<&'w Path>,
    /// The machine whose devices are offered.
    pub(super) root: &'w Path,
}

/// The conversation and what came of it so far.
struct Setup<'w> {
    at: &'w Where<'w>,
    talk: Talk,
    draft: Draft,
    /// Whether nothing was there before: then the usual answer is that there is one of everything.
    is_first: bool,
    /// Secrets that were typed, by their files.
    secrets: Vec<(PathBuf, String)>,
    /// What is plugged in or on the LAN: what it is, and the address that finds it.
    found: Vec<(Guess, String, String)>,
}

pub(super) async fn setup(at: &Where<'_>, lang: Lang) -> ExitCode {
    let text = match std::fs::read_to_string(at.config) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(cause) => {
            complain(&format!("{}: {cause}", at.config.display()));
            return ExitCode::FAILURE;
        }
    };
    let draft = match Draft::read(&text) {
        Ok(draft) => draft,
        Err(cause) => {
            complain(&format!("{}: {cause}", at.config.display()));
            return ExitCode::from(super::EXIT_CONFIG);
        }
    };
    let mut setup = Setup {
        at,
        talk: Talk::new(lang),
        draft,
        is_first: text.is_empty(),
        secrets: Vec::new(),
        found: found(at.root).await,
    };
    match setup.talk_through().await {
        Ok(true) => setup.write(!text.is_empty()),
        Ok(false) => {
            setup.talk.tell("setup.nothing", "");
            ExitCode::SUCCESS
        }
        Err(Stopped) => {
            say("");
            setup.talk.tell("setup.nothing", "");
            ExitCode::FAILURE
        }
    }
}

/// What `kassad devices --lan` finds.
async fn found(root: &Path) -> Vec<(Guess, String, String)> {
    let title = |one: &Found| one.plug.as_ref().map_or_else(String::new, |plug| plug.title.clone());
    let plugged = discover::list(root);
    let mut all: Vec<_> = plugged.iter().map(|one| (one.guess, title(one), one.address.clone())).collect();
    let table = root.join(neighbours::TABLE.trim_start_matches('/'));
    let neighbours = neighbours::serving(PRINTERS, &table, &Clock::machine()).await;
    let lan =
        neighbours.into_iter().map(|(at, mac)| (Guess::Printer, mac.to_string(), format!("tcp://{at}:{PRINTERS}")));
    all.extend(lan);
    all
}

fn family_of(kind: &Kind) -> &'static str {
    match kind.build {
        Build::Terminal(_) => "terminal",
        Build::Cloud(..) => "cloud",
        Build::Pos(_) => "pos",
        Build::Fiscal(_) => "fiscal",
        Build::Printer(_) => "printer",
        Build::Display(_) => "display",
    }
}

fn kinds(family: &str) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| family_of(kind) == family).collect()
}

fn usual(kind: &str, key: &str) -> &'static str {
    USUAL.iter().find(|(known, about, _)| *known == kind && *about == key).map_or("", |(_, _, value)| value)
}

impl Setup<'_> {
    fn folder(&self) -> &Path {
        self.at.config.parent().unwrap_or(Path::new(""))
    }

    fn heading(&self, family: &str) {
        say("");
        self.talk.tell(&format!("setup.part.{family}"), "");
    }

    /// All questions; whether the answers shall be written.
    async fn talk_through(&mut self) -> Result<bool, Stopped> {
        self.talk.tell("setup.hello", "");
        self.heading("shop");
        for (key, usual) in [("name", "Касса"), ("timezone", "Asia/Almaty"), ("business_day_ends", "06:00")] {
            self.value(Place("shop", None), key, Takes::Text, usual, "")?;
        }
        self.several("terminal")?;
        self.several("cloud")?;
        self.heading("pos");
        let place = Place("pos", None);
        let is_there = self.draft.get(place, "kind").is_some();
        if self.talk.is(&self.talk.word("setup.any.pos", ""), is_there || self.is_first)? {
            self.device(place)?;
        } else {
            self.draft.remove(place);
        }
        self.several("printer")?;
        self.heading("fiscal");
        self.fiscal()?;
        self.way_in().await?;
        self.page()?;
        self.confirm()
    }

    /// The devices of a family one by one, then more of them.
    fn several(&mut self, family: &'static str) -> Result<(), Stopped> {
        self.heading(family);
        let mut at = 0;
        while at < self.draft.count(family) {
            let place = Place(family, Some(at));
            let name = self.draft.text(place, "name").unwrap_or_default().to_owned();
            if self.talk.is(&self.talk.word("setup.keep", &name), true)? {
                self.device(place)?;
                at += 1;
            } else {
                self.draft.set_stations(&name, "-");
                self.draft.remove(place);
            }
        }
        loop {
            let (question, is_first) =
                if at == 0 { (format!("setup.any.{family}"), true) } else { ("setup.more".into(), false) };
            if !self.talk.is(&self.talk.word(&question, ""), is_first && self.is_first)? {
                return Ok(());
            }
            self.device(Place(family, Some(at)))?;
            at += 1;
        }
    }

    /// One device: its driver, name, address and the driver's own keys.
    fn device(&mut self, place: Place) -> Result<(), Stopped> {
        let all = kinds(place.0);
        let present = self.draft.text(place, "kind").map(str::to_owned);
        let known = all.iter().position(|kind| Some(kind.name) == present.as_deref());
        let chosen = match all.len() {
            0 => return Ok(()),
            1 => 0,
            _ => {
                let titles: Vec<String> = all.iter().map(|kind| kind.title.to_owned()).collect();
                self.talk.choose(&self.talk.word("setup.key.kind", ""), &titles, known.unwrap_or(0))?
            }
        };
        if let Some(kind) = all.get(chosen) {
            self.become_kind(place, kind.name, kind.keys);
            let was = self.draft.text(place, "name").unwrap_or_default().to_owned();
            let name = if usual(place.0, "name").is_empty() { kind.name } else { usual(place.0, "name") };
            let taken = place.1.unwrap_or(0) > 0;
            let name = if taken { format!("{name}{}", place.1.unwrap_or(0) + 1) } else { name.to_owned() };
            self.value(place, "name", Takes::Text, &name, "")?;
            let name = self.draft.text(place, "name").unwrap_or_default().to_owned();
            if !was.is_empty() && was != name {
                self.draft.rename(place.0, &was, &name);
            }
            self.driver(place, kind)?;
            if place.0 == "printer" {
                self.printer(place, &name)?;
            }
        }
        Ok(())
    }

    /// Takes the keys of another driver away: they would be refused.
    fn become_kind(&mut self, place: Place, name: &str, keys: &[Key]) {
        let before = self.draft.text(place, "kind").and_then(|kind| KINDS.iter().find(|known| known.name == kind));
        if let Some(before) = before.filter(|before| before.name != name) {
            let gone = before.keys.iter().filter(|old| !keys.iter().any(|new| new.name == old.name));
            gone.for_each(|old| self.draft.unset(place, old.name));
            self.draft.unset(place, "address");
        }
        self.draft.set(place, "kind", Value::String(name.to_owned()));
    }

    /// The address and the keys that this driver needs.
    fn driver(&mut self, place: Place, kind: &'static Kind) -> Result<(), Stopped> {
        let offered = self.offer(place.0);
        let real = usual(kind.name, "address");
        if self.draft.text(place, "address").is_some_and(is_loopback) && !is_loopback(real) {
            self.talk.tell("setup.sandbox", real);
        }
        self.value(place, "address", Takes::Text, offered.first().map_or(real, String::as_str), "")?;
        let is_asked = |key: &&Key| key.required || ASKED_TOO.contains(&(place.0, key.name));
        for key in kind.keys.iter().filter(is_asked) {
            match key.takes {
                Takes::SecretFile | Takes::SecretFiles => self.secret(place, kind, key)?,
                Takes::Text | Takes::Number | Takes::Flag | Takes::Texts | Takes::File => {
                    self.value(place, key.name, key.takes, usual(kind.name, key.name), key.help)?;
                }
            }
        }
        Ok(())
    }

    /// Shows what was found for a family; its addresses.
    fn offer(&self, family: &str) -> Vec<String> {
        let is_ours = |guess: Guess| guess.word() == family;
        let ours: Vec<_> = self.found.iter().filter(|(guess, _, _)| is_ours(*guess)).collect();
        if !ours.is_empty() {
            self.talk.tell("setup.found", "");
        }
        ours.iter()
            .enumerate()
            .for_each(|(at, (_, title, address))| say(&format!("    {}) {address}  {title}", at + 1)));
        ours.into_iter().map(|(_, _, address)| address.clone()).collect()
    }

    /// Asks for one value until the reader of the configuration takes it.
    fn value(&mut self, place: Place, key: &str, takes: Takes, usual: &str, help: &str) -> Result<(), Stopped> {
        let present = self.draft.get(place, key).map(|value| match value {
            Value::String(text) => text.clone(),
            Value::Array(_) => self.draft.texts(place, key).join(", "),
            Value::Boolean(flag) => flag.to_string(),
            Value::Integer(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => written(value),
        });
        let shown = present.unwrap_or_else(|| usual.to_owned());
        let question = self.question(place.0, key, help);
        loop {
            if takes == Takes::Flag {
                let flag = self.talk.is(&question, shown == "true")?;
                self.draft.set(place, key, Value::Boolean(flag));
                return Ok(());
            }
            let text = self.talk.ask(&question, &shown)?;
            let found = (key == "address").then(|| text.parse::<usize>().ok()).flatten();
            let mut offered =
                self.found.iter().filter(|(guess, _, _)| guess.word() == place.0).map(|(_, _, address)| address);
            let text = found.and_then(|number| offered.nth(number.checked_sub(1)?).cloned()).unwrap_or(text);
            let value = match (takes, text.parse::<i64>()) {
                (Takes::Number, Ok(number)) => Value::Integer(number),
                (Takes::Texts, _) => {
                    Value::Array(text.split(',').map(|one| Value::String(one.trim().to_owned())).collect())
                }
                (
                    Takes::Text | Takes::Number | Takes::Flag | Takes::File | Takes::SecretFile | Takes::SecretFiles,
                    _,
                ) => Value::String(text),
            };
            self.draft.set(place, key, value);
            let faults = self.draft.faults(place, key, self.folder());
            if faults.is_empty() {
                return Ok(());
            }
            faults.iter().for_each(|fault| say(&format!("    {}; {}", fault.problem, fault.cure)));
        }
    }

    /// What is asked: our own sentence in the person's language, else what the driver says of its key.
    fn question(&self, family: &str, key: &str, help: &str) -> String {
        let own = [format!("setup.key.{family}.{key}"), format!("setup.key.{key}")];
        let own = own.iter().find(|code| is_known(code));
        own.map_or_else(|| format!("{key} ({help})"), |code| self.talk.word(code, ""))
    }

    /// A secret into its own file: never shown, never in the configuration.
    fn secret(&mut self, place: Place, kind: &Kind, key: &Key) -> Result<(), Stopped> {
        let name = self.draft.text(place, "name").unwrap_or(kind.name);
        let end = FILES.iter().find(|(known, _)| *known == key.name).map_or("secret", |(_, end)| *end);
        let usual = format!("{name}.{end}");
        let present = self.draft.text(place, key.name).map(str::to_owned);
        let file = present.or_else(|| self.draft.texts(place, key.name).first().cloned());
        let is_new = file.is_none();
        let file = file.unwrap_or_else(|| match self.at.secrets {
            Some(folder) => folder.join(&usual).display().to_string(),
            None => usual,
        });
        let path = self.folder().join(&file);
        let hint = self.talk.word(if path.exists() { "setup.secret_kept" } else { "setup.secret_later" }, &file);
        let typed = self.talk.secret(&format!("{} ({hint})", self.question(place.0, key.name, key.help)))?;
        if !typed.is_empty() && typed != "-" {
            self.secrets.retain(|(known, _)| *known != path);
            self.secrets.push((path, typed));
        }
        if is_new {
            let file = Value::String(file);
            let value = if key.takes == Takes::SecretFiles { Value::Array(vec![file]) } else { file };
            self.draft.set(place, key.name, value);
        }
        Ok(())
    }

    /// What a printer prints.
    fn printer(&mut self, place: Place, name: &str) -> Result<(), Stopped> {
        let roles = self.draft.texts(place, "roles");
        let is_first = place.1 == Some(0);
        let usual = if self.draft.get(place, "roles").is_some() {
            roles.iter().any(|role| role == "receipt")
        } else {
            is_first
        };
        let role = self.talk.is(&self.talk.word("setup.receipts", ""), usual)?;
        if role {
            self.draft.set(place, "roles", Value::Array(vec![Value::String("receipt".to_owned())]));
        } else if !roles.is_empty() {
            self.draft.unset(place, "roles");
        }
        loop {
            let text = self.talk.ask(&self.talk.word("setup.stations", ""), &self.draft.stations(name))?;
            if self.draft.set_stations(name, &text) {
                return Ok(());
            }
            self.talk.tell("setup.stations_form", "");
        }
    }

    /// Who issues the fiscal receipts.
    fn fiscal(&mut self) -> Result<(), Stopped> {
        let drivers = kinds("fiscal");
        let words: Vec<&str> = drivers.iter().map(|kind| kind.name).chain(["external", "none"]).collect();
        let plain = ["external", "none"].map(|word| self.talk.word(&format!("setup.fiscal.{word}"), ""));
        let titles: Vec<String> = drivers.iter().map(|kind| kind.title.to_owned()).chain(plain).collect();
        let present = self.draft.text(FISCAL, "kind").and_then(|kind| words.iter().position(|word| *word == kind));
        let was_external = present.and_then(|at| words.get(at)) == Some(&"external");
        let chosen = self.talk.choose(&self.talk.word("setup.fiscal.who", ""), &titles, present.unwrap_or(0))?;
        match drivers.get(chosen).copied() {
            Some(kind) => {
                self.become_kind(FISCAL, kind.name, kind.keys);
                self.driver(FISCAL, kind)?;
                self.paper(kind);
                self.value(FISCAL, "vat", Takes::Text, "none", "")?;
                let shop = self.draft.text(Place("shop", None), "name").unwrap_or_default().to_owned();
                self.value(FISCAL, "contact", Takes::Text, &shop, "")?;
            }
            None => {
                self.become_kind(FISCAL, words.get(chosen).copied().unwrap_or("none"), &[]);
                ["name", "address"].into_iter().for_each(|key| self.draft.unset(FISCAL, key));
            }
        }
        self.elsewhere(words.get(chosen).copied().unwrap_or("none"), was_external)
    }

    /// A register that lays its receipts out itself does so for the paper of the first printer.
    fn paper(&mut self, kind: &Kind) {
        let paper = self.draft.text(Place("printer", Some(0)), "paper").map(str::to_owned);
        if let Some(paper) = paper.filter(|_| kind.keys.iter().any(|key| key.name == "paper")) {
            self.draft.set(FISCAL, "paper", Value::String(paper));
        }
    }

    /// Which receipts somebody else issues: two for one payment are as wrong as none.
    fn elsewhere(&mut self, kind: &str, was_external: bool) -> Result<(), Stopped> {
        let clouds = self.draft.read_back(self.folder()).map(|config| config.clouds).unwrap_or_default();
        let (by_cloud, cloud) = issuing(&clouds);
        if kind == "external" {
            // A list that somebody wrote stays, but for what is asked here.
            let mut listed = if was_external { self.draft.texts(FISCAL, "external") } else { Vec::new() };
            let cash = Value::Array(vec![Value::String("cash".to_owned())]);
            let is_unfiscal = self.draft.get(FISCAL, "unfiscal") == Some(&cash);
            let was_told = if listed.is_empty() { !is_unfiscal } else { listed.iter().any(|tender| tender == "cash") };
            let is_told = self.talk.is(&self.talk.word("setup.fiscal.cash", ""), was_told)?;
            if !listed.is_empty() {
                listed.retain(|tender| tender != "cash");
                listed.extend(is_told.then(|| "cash".to_owned()));
                let listed = listed.into_iter().map(Value::String).collect();
                self.draft.set(FISCAL, "external", Value::Array(listed));
            } else {
                self.draft.unset(FISCAL, "external");
                if is_told {
                    self.draft.unset(FISCAL, "unfiscal");
                } else {
                    self.draft.set(FISCAL, "unfiscal", cash);
                }
            }
            return self.value(FISCAL, "issued_by", Takes::Text, "Kaspi", "");
        }
        let mut external = self.draft.texts(FISCAL, "external");
        let is_kaspi = |at: &usize| {
            self.draft.text(Place("terminal", Some(*at)), "kind").is_some_and(|kind| kind.starts_with("kaspi"))
        };
        let was_on = external.iter().any(|tender| tender == "kaspi_terminal");
        external.retain(|tender| tender != "kaspi_terminal");
        let is_on = (0..self.draft.count("terminal")).any(|at| is_kaspi(&at))
            && self.talk.is(&self.talk.word("setup.fiscal.kaspi", ""), was_on)?;
        external.extend(is_on.then(|| "kaspi_terminal".to_owned()));
        if !is_on && self.draft.text(FISCAL, "issued_by") == Some("Kaspi") {
            self.draft.unset(FISCAL, "issued_by");
        }
        for tender in by_cloud
            .iter()
            .map(|tender| tender.word())
            .filter(|word| !external.iter().any(|one| one == word))
            .collect::<Vec<_>>()
        {
            external.push(tender.to_owned());
        }
        if let Some(cloud) = cloud {
            self.talk.tell("setup.fiscal.cloud", cloud);
        }
        let usual =
            if external.iter().any(|tender| tender == "kaspi_terminal") { "Kaspi" } else { cloud.unwrap_or("Kaspi") };
        let is_needed = !external.is_empty();
        self.draft.set(FISCAL, "external", Value::Array(external.into_iter().map(Value::String).collect()));
        if is_needed { self.value(FISCAL, "issued_by", Takes::Text, usual, "") } else { Ok(()) }
    }

    /// The last question. What the reader of the configuration would refuse is told before it.
    fn confirm(&mut self) -> Result<bool, Stopped> {
        say("");
        let faults = self.draft.read_back(self.folder()).err().unwrap_or_default();
        for fault in &faults {
            say(&format!("  {}: {}; {}", fault.key, fault.problem, fault.cure));
        }
        let config = self.at.config.display().to_string();
        self.talk.is(&self.talk.word("setup.write", &config), faults.is_empty())
    }

    /// Writes secrets first, then the configuration; the one before stays beside it with its date.
    fn write(&self, was_there: bool) -> ExitCode {
        let config = self.at.config;
        let text = self.draft.render(self.talk.lang);
        let mode = std::fs::metadata(config).map_or(0o644, |old| old.permissions().mode() & 0o777);
        let written = || -> std::io::Result<Option<PathBuf>> {
            for (path, secret) in &self.secrets {
                put(path, &format!("{secret}\n"), 0o600)?;
            }
            let kept = if was_there { Some(keep(config)?) } else { None };
            put(config, &text, mode)?;
            Ok(kept)
        };
        match written() {
            Ok(kept) => {
                if let Some(kept) = kept {
                    self.talk.tell("setup.kept", &kept.display().to_string());
                }
                self.talk.tell("setup.written", &config.display().to_string());
                // What is left to do is told by the same eyes as ever.
                let _checked = check::check(config, None);
                say("");
                self.talk.tell("setup.next", &config.display().to_string());
                ExitCode::SUCCESS
            }
            Err(cause) => {
                complain(&format!("{}: {cause}", self.talk.word("setup.unwritten", "")));
                ExitCode::FAILURE
            }
        }
    }
}

/// A copy of a file beside it, named by the moment.
fn keep(path: &Path) -> std::io::Result<PathBuf> {
    let now = jiff::Timestamp::from_millisecond(Clock::machine().wall().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kept = path.with_file_name(format!("{name}.{}", now.strftime("%Y-%m-%d-%H%M%S")));
    let copied = std::fs::copy(path, &kept)?;
    if copied == std::fs::metadata(path)?.len() { Ok(kept) } else { Err(std::io::Error::other("the copy is short")) }
}

/// A file that is there as a whole or not at all, readable as the mode says from its first byte on.
fn put(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let fresh = path.with_file_name(format!("{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
    if fresh.exists() {
        std::fs::remove_file(&fresh)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    std::fs::File::open(folder)?.sync_all()
}
