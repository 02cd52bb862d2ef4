//! `kassad doctor`: the shop looked over, one line a check, with the cure of what is not well. It reads and asks; it never writes to the
//! ledger, opens no device and makes none prompt. What nobody can know is said as unknown, and is no alarm.

use super::devices::{cure, outside};
use super::say;
use super::setup::Talk;
use crate::config::{self, Config, Device};
use crate::domain::order::Tender;
use crate::domain::outcome::Outcome;
use crate::domain::time::Wall;
use crate::drivers::{Build, Health, NoVault, Value};
use crate::flows::Issuer;
use crate::host::clock::Clock;
use crate::i18n::{Lang, sentence};
use crate::ledger::Reader;
use crate::transport::Loss;
use crate::transport::address::Address;
use crate::transport::discover::whereabouts;
use crate::transport::permit::{Permit, Person};
use crate::transport::web::{Limits, Request, Trust, Web};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

mod bundle;
mod tunnel;

/// Free space under which new payments will soon stop, and under which somebody should look, in MB.
const SPACE_MB: (u64, u64) = (64, 512);

/// How far the clock may be behind the newest row: two clocks of one machine differ by less.
const BEHIND_MS: i64 = 60_000;

/// How one thing of the shop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Green,
    /// Nobody can know it from here.
    Unknown,
    Yellow,
    Red,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    level: Level,
    /// `link.counter`, `terminal.counter`, `plug.receipt`, `ledger`, `clock`.
    about: String,
    text: String,
    cure: Option<String>,
    /// The code alone, where text and cure hold words of partners or people: those do not leave the shop.
    code: Option<String>,
}

/// Makes the lines in one language.
struct Doctor {
    lang: Lang,
    root: PathBuf,
    checks: Vec<Check>,
}

/// What is looked at, and how it is told.
pub(super) struct Wish<'w> {
    /// The configuration of the daemon.
    pub(super) config: &'w Path,
    /// The machine.
    pub(super) root: &'w Path,
    /// As JSON.
    pub(super) as_json: bool,
    /// Where the bundle goes, if one is wanted; asked for where the path is empty.
    pub(super) bundle: Option<&'w Path>,
}

pub(super) async fn doctor(wish: &Wish<'_>, lang: Lang) -> ExitCode {
    let mut doctor = Doctor { lang, root: wish.root.to_owned(), checks: Vec::new() };
    let config = doctor.configuration(wish.config);
    if let Some(config) = &config {
        doctor.terminals(config);
        doctor.nodes(config);
        doctor.receipts(config);
        doctor.ledger(&config.ledger);
        doctor.daemon(config).await;
        doctor.tunnel(config).await;
        doctor.clock(newest_wall(&config.ledger).ok().flatten(), Clock::machine().wall());
        doctor.people(config, Clock::machine().wall());
    }
    match wish.bundle {
        Some(to) => doctor.bundled(wish.config, config.as_ref(), to).await,
        None => doctor.told(wish.as_json),
    }
}

/// The address of the local listener for us, who are on the same machine.
fn local_url(config: &Config) -> String {
    format!("http://{}", config.listen.local_here())
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Green => "green",
            Level::Unknown => "unknown",
            Level::Yellow => "yellow",
            Level::Red => "red",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Level::Green => "[+]",
            Level::Unknown => "[?]",
            Level::Yellow => "[!]",
            Level::Red => "[x]",
        }
    }
}

impl Doctor {
    /// A line by its code; where the code has a cure, that is told too.
    fn note(&mut self, level: Level, about: impl Into<String>, code: &str, detail: &str) {
        self.note_with(level, about, code, &[("detail", detail)]);
    }

    /// The same with other places than `{detail}`.
    fn note_with(&mut self, level: Level, about: impl Into<String>, code: &str, args: &[(&str, &str)]) {
        let cure = format!("{code}.cure");
        let is_curable = level >= Level::Yellow && crate::i18n::is_known(&cure);
        let cure = is_curable.then(|| sentence(self.lang, &cure, args));
        let text = sentence(self.lang, code, args);
        self.checks.push(Check { level, about: about.into(), text, cure, code: None });
    }

    fn told(self, as_json: bool) -> ExitCode {
        // What is unknown is no alarm.
        let worst = self.checks.iter().map(|check| check.level).filter(|level| *level >= Level::Yellow).max();
        let (word, exit) = match worst {
            Some(Level::Red) => ("red", 2),
            Some(Level::Yellow) => ("yellow", 1),
            Some(Level::Green | Level::Unknown) | None => ("green", 0),
        };
        if as_json {
            let shown = |check: &Check| json!({ "level": check.level.word(), "about": check.about, "text": check.text, "cure": check.cure });
            let checks: Vec<Json> = self.checks.iter().map(shown).collect();
            say(&json!({ "level": word, "checks": checks }).to_string());
            return ExitCode::from(exit);
        }
        for check in &self.checks {
            say(&format!("{} {:<20} {}", check.level.sign(), check.about, check.text));
            if let Some(cure) = &check.cure {
                say(&format!("    {:<20} -> {cure}", ""));
            }
        }
        say(&sentence(self.lang, &format!("doctor.{word}"), &[]));
        ExitCode::from(exit)
    }

    /// Writes the bundle and tells what is in it.
    async fn bundled(&self, path: &Path, config: Option<&Config>, to: &Path) -> ExitCode {
        let usual = "kassad-support.txt";
        let asked = match to.as_os_str().is_empty() {
            false => Ok(to.to_owned()),
            true => {
                let mut talk = Talk::new(self.lang);
                let question = talk.word("bundle.where", "");
                talk.ask(&question, usual).map(PathBuf::from)
            }
        };
        let Ok(to) = asked else { return ExitCode::FAILURE };
        let text = self.bundle(path, config).await;
        let tell = |code: &str, detail: &str| say(&sentence(self.lang, code, &[("detail", detail)]));
        if let Err(cause) = bundle::put(&to, &text) {
            tell("bundle.unwritten", &format!("{}: {cause}", to.display()));
            return ExitCode::from(2);
        }
        tell("bundle.written", &format!("{} ({} kB)", to.display(), text.len().div_ceil(1024)));
        let [inside, outside] = bundle::contents();
        tell("bundle.inside", inside);
        tell("bundle.outside", outside);
        ExitCode::SUCCESS
    }

    /// The configuration and its secrets; without a configuration there is nothing more to look at.
    fn configuration(&mut self, path: &Path) -> Option<Config> {
        let mut tell = |level: Level, fault: &config::Fault| {
            let place = match fault.line {
                0 => fault.key.clone(),
                line => format!("{}:{line}", path.display()),
            };
            let text = format!("{place}: {}", fault.problem);
            self.checks.push(Check {
                level,
                about: fault.key.clone(),
                text,
                cure: Some(fault.cure.clone()),
                code: None,
            });
        };
        let config = match Config::read(path) {
            Ok(config) => config,
            Err(faults) => {
                faults.iter().for_each(|fault| tell(Level::Red, fault));
                return None;
            }
        };
        let (faults, missing) = config.look_at_secrets();
        faults.iter().for_each(|fault| tell(Level::Red, fault));
        missing.iter().for_each(|fault| tell(Level::Yellow, fault));
        if faults.is_empty() && missing.is_empty() {
            self.note(Level::Green, "config", "doctor.config", &path.display().to_string());
        }
        Some(config)
    }

    /// Whether anybody between us and a terminal could read along or play it.
    fn terminals(&mut self, config: &Config) {
        for terminal in config.terminals.iter().filter(|terminal| terminal.address.starts_with("http")) {
            let is = |key: &str, wanted: bool| terminal.keys.get(key) == Some(&Value::Flag(wanted));
            let (level, code) = match () {
                () if is("insecure", true) => (Level::Yellow, "doctor.insecure"),
                () if config::is_loopback(&terminal.address) => (Level::Green, "doctor.near"),
                () if terminal.address.starts_with("http://") || is("protected", false) => {
                    (Level::Yellow, "doctor.plain")
                }
                () => (Level::Green, "doctor.guarded"),
            };
            self.note(level, format!("link.{}", terminal.name), code, "");
        }
    }

    /// Who issues the fiscal receipt for what: twice is as wrong as never.
    fn receipts(&mut self, config: &Config) {
        let Some(fiscal) = &config.fiscal else {
            // With the sandbox alone nothing is sold that the law asks about.
            let level = if config.is_all_loopback() { Level::Yellow } else { Level::Red };
            return self.note(level, "fiscal", "doctor.fiscal_silent", "");
        };
        let rules = crate::daemon::rules(config).fiscal;
        let register = rules.register.clone().unwrap_or_default();
        let is_plain = rules.register.is_none() && fiscal.external.is_empty();
        if is_plain {
            self.note(Level::Yellow, "fiscal", "doctor.fiscal_plain", "");
        }
        let (by_cloud, cloud) = config::fiscal::issuing(&config.clouds);
        for tender in taken(config) {
            let about = format!("fiscal.{}", tender.word());
            let shown = sentence(self.lang, &format!("tender.{}", tender.word()), &[]);
            let (level, code, detail) = match rules.issuer(tender) {
                Issuer::Register if by_cloud.contains(&tender) => {
                    (Level::Red, "doctor.fiscal_twice", cloud.unwrap_or_default())
                }
                Issuer::Register => (Level::Green, "doctor.fiscal_register", register.as_str()),
                Issuer::External => (Level::Green, "doctor.fiscal_external", rules.issued_by.as_str()),
                // Said once for all of them, or decided for this one.
                Issuer::Nobody if is_plain => continue,
                Issuer::Nobody => (Level::Yellow, "doctor.fiscal_nobody", ""),
            };
            let args = [("tender", shown.as_str()), ("detail", detail), ("word", tender.word())];
            self.note_with(level, about, code, &args);
        }
        let is_kaspi = config.terminals.iter().any(|terminal| terminal.kind.name.starts_with("kaspi"));
        if rules.register.is_some() && is_kaspi && !fiscal.is_external_told {
            self.note(Level::Yellow, "fiscal.kaspi_terminal", "doctor.fiscal_unsaid", "");
        }
    }

    /// The register by its own word. Only while no daemon runs: a register takes one request at a time, and the daemon's comes first.
    async fn register(&mut self, config: &Config) {
        let Some(device) = config.fiscal.as_ref().and_then(|fiscal| fiscal.device.as_ref()) else { return };
        let (about, clock) = (format!("fiscal.{}", device.name), Clock::machine());
        let Build::Fiscal(build) = device.kind.build else { return };
        let offset_s = crate::daemon::rules(config).utc_offset_s(clock.wall());
        let setup = config.setup(device, Arc::new(NoVault), "kassad-doctor", offset_s, &clock);
        let driver = match setup.map(|setup| build(&setup)) {
            Ok(Ok(driver)) => driver,
            Ok(Err(bad)) => return self.note(Level::Red, about, "doctor.fiscal_unasked", &bad.to_string()),
            // The secrets were told already.
            Err(_) => return,
        };
        let (level, reason) = match driver.probe().await {
            Outcome::Done(state) => match state.health {
                Health::Good => return self.note(Level::Green, about, "doctor.fiscal_good", ""),
                Health::Warns(reason) => (Level::Yellow, reason),
                Health::Bad(reason) => (Level::Red, reason),
            },
            Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                return self.note(Level::Red, about, "doctor.fiscal_unasked", &reason.detail);
            }
        };
        self.note(level, about, &reason.code, &reason.detail);
    }

    /// Everything of the configuration that is plugged into this machine: is it there, may the daemon open it, is it another's too.
    fn nodes(&mut self, config: &Config) {
        let mut taken: BTreeMap<PathBuf, String> = BTreeMap::new();
        for (family, device) in plugged(config) {
            let about = format!("plug.{}", device.name);
            let Ok(address) = Address::parse(&device.address) else { continue };
            let node = match whereabouts(&address) {
                Ok(Some(node)) => node,
                Ok(None) => continue,
                Err(cause) => {
                    // Without a display everything is sold all the same.
                    let level = if family == "display" { Level::Yellow } else { Level::Red };
                    self.note(level, about, "doctor.node_away", &format!("{} ({cause})", device.address));
                    continue;
                }
            };
            let shown = outside(&self.root, &node).display().to_string();
            if let Some(other) = taken.insert(node.clone(), about.clone()) {
                self.note(Level::Red, about.clone(), "doctor.node_twice", &format!("{shown} ({other})"));
            }
            let permit = Person::here(&self.root).may_open(&node).unwrap_or(Permit::Owner);
            match cure(&self.root, &permit, self.lang) {
                None => self.note(Level::Green, about, "doctor.node", &shown),
                Some(cure) => {
                    let text = sentence(self.lang, "doctor.node_denied", &[("detail", &shown)]);
                    self.checks.push(Check { level: Level::Red, about, text, cure: Some(cure), code: None });
                }
            }
        }
    }

    fn ledger(&mut self, path: &Path) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let shown = folder.display().to_string();
        // The folder comes with the first start too; what counts is where it will be.
        let nearest = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        if !matches!(Person::here(&self.root).may_open(nearest), Ok(Permit::Granted)) {
            return self.note(Level::Red, "ledger", "doctor.ledger_denied", &shown);
        }
        let free_mb = rustix::fs::statvfs(nearest).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >> 20);
        let free = free_mb.map_or_else(|| "?".to_owned(), |free| free.to_string());
        match (path.exists(), free_mb) {
            (_, Some(mb)) if mb < SPACE_MB.0 => self.note(Level::Red, "ledger", "doctor.space", &free),
            (_, Some(mb)) if mb < SPACE_MB.1 => self.note(Level::Yellow, "ledger", "doctor.space", &free),
            (false, _) => self.note(Level::Unknown, "ledger", "doctor.ledger_new", ""),
            (true, _) => match newest_wall(path) {
                Ok(_) => self.note(Level::Green, "ledger", "doctor.ledger", &free),
                Err(cause) => self.note(Level::Red, "ledger", "doctor.ledger_unread", &cause),
            },
        }
    }

    /// The running daemon, how it finds its devices, and what waits for a person.
    async fn daemon(&mut self, config: &Config) {
        let status = match self.status(config).await {
            Ok(status) => status,
            Err(cause) => {
                self.note(Level::Red, "kassad", "doctor.daemon_away", &cause);
                return self.register(config).await;
            }
        };
        self.note(Level::Green, "kassad", "doctor.daemon", "");
        let items = |name: &str| status[name].as_array().cloned().unwrap_or_default();
        for device in items("devices") {
            let text = |name: &str| device[name].as_str().unwrap_or_default().to_owned();
            let (state, role) = (text("state"), text("role"));
            let level = match (state.as_str(), role.as_str()) {
                ("up" | "busy", _) => Level::Green,
                ("unknown", _) => Level::Unknown,
                ("down", "display" | "bot" | "tunnel") => Level::Yellow,
                ("down", _) => Level::Red,
                _ => Level::Yellow,
            };
            let told = if text("text").is_empty() {
                sentence(self.lang, &format!("device.{state}"), &[])
            } else {
                text("text")
            };
            let about = format!("{role}.{}", text("name"));
            // The sentence of a device names its cure itself; the wire's own words say where exactly.
            let cure = (level >= Level::Yellow).then(|| text("detail")).filter(|detail| !detail.is_empty());
            self.checks.push(Check { level, about, text: told, cure, code: Some(text("code")) });
        }
        let questions = items("questions");
        if questions.is_empty() {
            self.note(Level::Green, "questions", "doctor.no_questions", "");
        }
        for question in questions {
            let text = |name: &str| question[name].as_str().unwrap_or_default().to_owned();
            let is_money = ["unresolved", "lost_create"].contains(&text("code").as_str());
            let level = if is_money { Level::Red } else { Level::Yellow };
            let cure = Some(sentence(self.lang, "doctor.question.cure", &[]));
            let told = format!("№{} {}", text("order_number"), text("text"));
            self.checks.push(Check { level, about: "question".to_owned(), text: told, cure, code: Some(text("code")) });
        }
    }

    async fn status(&self, config: &Config) -> Result<Json, String> {
        let web = Web::open(&local_url(config), &Trust::Roots).map_err(|cause| cause.to_string())?;
        let request = Request::get("/api/v1/status").query("lang", self.lang.word());
        let answer = web.send(&request, Limits::LIST).await.map_err(|loss| match loss {
            Loss::NotSent(cause) | Loss::Unknown(cause) => cause.to_string(),
        })?;
        let status = answer.json().filter(|_| answer.status == 200);
        status.ok_or_else(|| format!("{} {}", config.listen.local, answer.status))
    }

    /// Whether phones stay for longer than they are kept, because nobody knows that the clock is right: then nothing is forgotten.
    fn people(&mut self, config: &Config, now: Wall) {
        const GRACE_DAYS: i64 = 1;
        if self.root.join("run/systemd/timesync/synchronized").exists() {
            return;
        }
        let days = i64::from(config.phones_kept_days);
        let before = now.plus_ms(-(days + GRACE_DAYS) * 86_400_000);
        let is_late =
            Reader::open(&config.ledger).is_ok_and(|reader| reader.view().has_phones(before).unwrap_or(false));
        if is_late {
            self.note(Level::Yellow, "people", "doctor.people_wait", &days.to_string());
        }
    }

    /// Whether the wall clock can be believed, as far as the machine tells.
    fn clock(&mut self, newest: Option<Wall>, now: Wall) {
        if newest.is_some_and(|newest| newest.0.saturating_sub(now.0) > BEHIND_MS) {
            let text = sentence(self.lang, "doctor.clock_behind", &[]);
            let cure = Some(sentence(self.lang, "doctor.clock.cure", &[]));
            return self.checks.push(Check { level: Level::Red, about: "clock".to_owned(), text, cure, code: None });
        }
        let service = self.root.join("run/systemd/timesync");
        match (service.join("synchronized").exists(), service.exists()) {
            (true, _) => self.note(Level::Green, "clock", "doctor.clock", ""),
            (false, true) => {
                let text = sentence(self.lang, "clock", &[]);
                let cure = Some(sentence(self.lang, "doctor.clock.cure", &[]));
                self.checks.push(Check { level: Level::Yellow, about: "clock".to_owned(), text, cure, code: None });
            }
            (false, false) => self.note(Level::Unknown, "clock", "doctor.clock_unknown", ""),
        }
    }
}

/// The tenders that this shop can take.
fn taken(config: &Config) -> Vec<Tender> {
    let by_clouds = config.clouds.iter().flat_map(|cloud| match cloud.kind.build {
        Build::Cloud(_, abilities) => abilities.tenders,
        Build::Terminal(_) | Build::Fiscal(_) | Build::Pos(_) | Build::Printer(_) | Build::Display(_) => &[],
    });
    let by_clouds: Vec<Tender> = by_clouds.copied().collect();
    let is_taken = |tender: &Tender| match tender {
        Tender::Cash => true,
        Tender::KaspiTerminal => !config.terminals.is_empty(),
        Tender::KaspiInvoice | Tender::KaspiQr => by_clouds.contains(tender),
    };
    Tender::ALL.into_iter().filter(is_taken).collect()
}

/// The devices that may be plugged in here, with their families.
fn plugged(config: &Config) -> Vec<(&'static str, &Device)> {
    let terminals = config.terminals.iter().map(|terminal| ("terminal", terminal));
    let printers = config.printers.iter().map(|printer| ("printer", &printer.device));
    let displays = config.displays.iter().map(|display| ("display", &display.device));
    terminals.chain(printers).chain(displays).collect()
}

/// When the newest row of a ledger was written.
fn newest_wall(path: &Path) -> Result<Option<Wall>, String> {
    let reader = Reader::open(path).map_err(|fault| fault.to_string())?;
    reader.view().newest_wall().map_err(|fault| fault.to_string())
}
