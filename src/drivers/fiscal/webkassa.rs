//! Webkassa v4 (fiscal-kz §1): a cloud cash register, or its module in the shop, which speaks the same. A document is kept as text and
//! sent letter by letter with the token put in front; its key makes a repeat harmless (§1.11), so a lost answer is `Unknown` and the
//! same goes out again. A login happens at most once in a call, a 505 leads at most to two other hosts, and only a fiscal sign is
//! success.

use crate::domain::fiscal::{Registered, ShiftReport};
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::paper::ReportKind;
use crate::drivers::{
    BadSetup, Build, Entry, Filing, Fiscal, FiscalAbilities, Health, Key, Kind, RegisterState, Reported, Setup, Takes,
    Value, lost,
};
use crate::host::clock::Clock;
use crate::host::secret::Secret;
use crate::transport::web::{Answer, Limits, Request};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

mod answer;
mod fields;
mod hosts;
mod lookup;
mod memory;
mod report;
mod request;

pub use answer::*;
use hosts::{Address, Hosts};
pub use lookup::*;
use memory::Memory;
pub use report::*;
pub use request::*;

/// Its line in the registry.
pub const KIND: Kind = Kind {
    name: "webkassa",
    title: "Webkassa, the cloud cash register or its module in the shop",
    keys: &[
        Key {
            name: "api_key_file",
            takes: Takes::SecretFile,
            required: true,
            help: "the system key WKD-…, from Webkassa's support; the test key does not work in production",
        },
        Key { name: "login", takes: Takes::Text, required: true, help: "the cashier's login in Webkassa" },
        Key { name: "password_file", takes: Takes::SecretFile, required: true, help: "the cashier's password" },
        Key {
            name: "cashbox",
            takes: Takes::Text,
            required: true,
            help: "the factory number of the cashbox (ЗНМ): SWK and 8 digits",
        },
        Key {
            name: "round_type",
            takes: Takes::Number,
            required: false,
            help: "what Webkassa rounds: 0 nothing (usual), 2 each position, 3 the total",
        },
        Key {
            name: "paper",
            takes: Takes::Text,
            required: false,
            help: "\"80mm\" (usual) or \"58mm\": for which paper Webkassa lays the receipt out",
        },
        Key {
            name: "hosts",
            takes: Takes::Texts,
            required: false,
            help: "hosts outside of the address's domain that Webkassa may send us to when it is down",
        },
        Key {
            name: "test",
            takes: Takes::Flag,
            required: false,
            help: "receipts are no receipts; on for dev… and for a sandbox on this machine unless told",
        },
        Key {
            name: "local",
            takes: Takes::Flag,
            required: false,
            help: "Webkassa's module in the shop, which works without internet; on for ports 1331 and 1332 of this machine",
        },
    ],
    build: Build::Fiscal(build),
};

/// How long one request may take, and how long its answer may be.
const LIMITS: Limits = Limits { whole: Duration::from_secs(20), body_max: 1024 * 1024 };
/// How many hosts get one request.
const HOSTS_TRIED_MAX: usize = 3;
/// How many of the newest shifts are searched for a receipt.
pub const SHIFTS_SEARCHED_MAX: usize = 3;
/// How many pages of one list are read.
pub const PAGES_MAX: usize = 40;

fn build(setup: &Setup) -> Result<Arc<dyn Fiscal>, BadSetup> {
    Ok(Arc::new(Webkassa::open(setup)?))
}

/// The driver.
pub struct Webkassa {
    hosts: Hosts,
    key: Secret,
    login: String,
    password: Secret,
    place: Place,
    abilities: FiscalAbilities,
    memory: Memory,
    clock: Clock,
    /// Two requests of one cashbox must not meet (§0): whoever uses this driver waits here.
    turn: Mutex<()>,
}

impl fmt::Debug for Webkassa {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Webkassa({}, {:?})", self.place.cashbox, self.hosts)
    }
}

fn bad(key: &'static str, problem: &str) -> BadSetup {
    BadSetup { key, problem: problem.to_owned() }
}

/// The cashbox and how we work on it.
fn place(setup: &Setup) -> Result<Place, BadSetup> {
    let cashbox = setup.text("cashbox").map(str::trim).unwrap_or_default();
    let digits = cashbox.strip_prefix("SWK").unwrap_or_default();
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("cashbox", "is the factory number (ЗНМ) of the cashbox: SWK and 8 digits, like SWK00012345"));
    }
    let round_type = setup.number("round_type").unwrap_or(0);
    let round_type = u8::try_from(round_type)
        .ok()
        .filter(|kind| *kind <= 3)
        .ok_or_else(|| bad("round_type", "is 0 (nothing is rounded), 1, 2 or 3; leave it out when in doubt"))?;
    let paper = match setup.text("paper") {
        None | Some("80mm") => 0,
        Some("58mm") => 3,
        Some(_) => return Err(bad("paper", "is \"80mm\" or \"58mm\"")),
    };
    Ok(Place { cashbox: cashbox.to_owned(), round_type, paper })
}

fn allowed(setup: &Setup) -> Result<Vec<String>, BadSetup> {
    let hosts = match setup.keys.get("hosts") {
        Some(Value::Texts(hosts)) => hosts.clone(),
        Some(Value::Text(_) | Value::Number(_) | Value::Flag(_)) | None => Vec::new(),
    };
    let is_host = |host: &String| Address::parse(&format!("https://{host}")).is_some_and(|at| at.host() == host);
    let is_good = hosts.iter().all(is_host);
    is_good
        .then_some(hosts)
        .ok_or_else(|| bad("hosts", "is a list of bare host names in small letters, like [\"kkm.webkassa.kz\"]"))
}

impl Webkassa {
    /// Builds the driver; no byte leaves yet.
    pub fn open(setup: &Setup) -> Result<Webkassa, BadSetup> {
        let secret = |key: &'static str, problem: &str| setup.secret(key).cloned().ok_or_else(|| bad(key, problem));
        let key = secret("api_key_file", "names the file with the system key WKD-…, which Webkassa's support issues")?;
        let password = secret("password_file", "names the file with the cashier's password in Webkassa")?;
        let login = setup.text("login").map(str::trim).filter(|login| !login.is_empty());
        let login = login.ok_or_else(|| bad("login", "is the cashier's login in Webkassa"))?.to_owned();
        let place = place(setup)?;
        let hosts = Hosts::open(&setup.address, allowed(setup)?)
            .map_err(|cause| BadSetup { key: "address", problem: cause.to_string() })?;
        let at = Address::parse(&setup.address).ok_or_else(|| bad("address", "is https://kkm.webkassa.kz"))?;
        if setup.address.starts_with("http:") && !at.is_loopback() {
            return Err(bad("address", "begins with https://: passwords leave this machine only over TLS"));
        }
        let port = at.is_loopback().then(|| at.port()).flatten();
        let is_local = matches!(port, Some(1331 | 1332));
        // The module's normal port serves the real cashbox (§1.1).
        let is_test = at.host().starts_with("dev") || at.is_loopback() && port != Some(1331);
        let abilities = FiscalAbilities {
            is_test: setup.flag("test").unwrap_or(is_test),
            is_local: setup.flag("local").unwrap_or(is_local),
        };
        let owner = format!("{login} at {}", setup.address);
        let memory = Memory::new(setup.vault.clone(), format!("webkassa:{}", setup.name), owner);
        Ok(Webkassa {
            hosts,
            key,
            login,
            password,
            place,
            abilities,
            memory,
            clock: setup.clock.clone(),
            turn: Mutex::new(()),
        })
    }

    /// Sends one request, to another host where this one says that it is down.
    async fn exchange(&self, request: &Request) -> Result<Answer, Trouble> {
        let _turn = self.turn.lock().await;
        let mut tried = Vec::new();
        while tried.len() < HOSTS_TRIED_MAX {
            let (at, web) = self.hosts.here();
            tried.push(at);
            let answer = match web.send(request, LIMITS).await {
                Ok(answer) => answer,
                Err(loss) => {
                    // The next call begins where the configuration says.
                    self.hosts.go_home();
                    return Err(judged(lost(loss), tried.len() > 1));
                }
            };
            let Some(names) = alternatives(&answer) else { return Ok(answer) };
            if !self.hosts.move_on(&names, &tried) {
                break;
            }
        }
        self.hosts.go_home();
        Err(Trouble::Unknown(Reason::new("fiscal_host", format!("{} hosts say that they are down", tried.len()))))
    }

    async fn log_in(&self) -> Result<String, Trouble> {
        let answer = self.exchange(&authorize_request(&self.key, &self.login, &self.password)).await?;
        read_token(&answer)
    }

    /// A token; what it was wanted for has not left, whatever became of the login.
    async fn token(&self, dead: Option<&Secret>) -> Result<memory::Held, Trouble> {
        match self.memory.token(dead, self.log_in()).await {
            Ok(held) => Ok(held),
            Err(Trouble::Stopped(reason)) => Err(Trouble::Stopped(reason)),
            Err(other) => Err(Trouble::NotSent(other.reason())),
        }
    }

    /// Asks with a token; one login at most, then the same body once more.
    async fn ask(&self, question: &Question) -> Result<Answer, Trouble> {
        let mut held = self.token(None).await?;
        loop {
            let answer = self.exchange(&question.request(&self.key, &held.token)).await?;
            if !wants_login(&answer) {
                return Ok(answer);
            }
            if held.is_fresh {
                return Err(Trouble::Stopped(Reason::new("fiscal_login", "a new token is not accepted")));
            }
            held = self.token(Some(&held.token)).await?;
        }
    }

    async fn whole(&self, mut registered: Registered) -> Registered {
        registered.register = self.memory.filled(registered.register).await;
        registered
    }

    async fn filed(&self, kept: &Question) -> Outcome<Filing> {
        let answer = match self.ask(kept).await {
            Ok(answer) => answer,
            Err(trouble) => return trouble.of_document(),
        };
        match read_filing(&answer, kept) {
            Outcome::Done(Filing::Registered(registered)) => {
                Outcome::Done(Filing::Registered(Box::new(self.whole(*registered).await)))
            }
            Outcome::Done(Filing::Moved(mut moved)) => {
                moved.register = self.memory.filled(moved.register).await;
                Outcome::Done(Filing::Moved(moved))
            }
            other @ (Outcome::Done(
                Filing::Known(_) | Filing::ShiftOver(_) | Filing::OutOfTurn(_) | Filing::Stopped(_),
            )
            | Outcome::Refused(_)
            | Outcome::NotSent(_)
            | Outcome::Unknown(_)) => other,
        }
    }

    /// The documented order (§1.11): lines by key, histories of the newest shifts, ticket by key and shift.
    async fn look_up(&self, key: &str) -> Result<Option<Box<Registered>>, Trouble> {
        let asked = match self.ask(&print_request(&self.place, key)).await {
            Ok(answer) => read_printed(&answer),
            Err(trouble) => return Err(trouble),
        };
        let (printed, doubt) = match asked {
            Ok(printed) => (Some(printed), None),
            Err(Trouble::OutOfTurn(reason)) => return Err(Trouble::OutOfTurn(reason)),
            Err(trouble) => (None, Some(trouble)),
        };
        let hunted = self.hunt(key, printed.as_ref().and_then(|printed| printed.shift)).await;
        let item = match (hunted, &printed, doubt) {
            (Ok(item), Some(_), _) => item,
            (Ok(Some(item)), None, _) => Some(item),
            // The service says that it has no such receipt; the lists were a second witness.
            (
                Ok(None) | Err(Trouble::Unknown(_) | Trouble::Refused(_) | Trouble::Absent(_)),
                None,
                Some(Trouble::Absent(_)),
            ) => {
                return Ok(None);
            }
            (Ok(None), None, _) => return Ok(None),
            // The lines alone have the sign and the time.
            (Err(_), Some(_), _) => None,
            (Err(trouble), None, _) => return Err(trouble),
        };
        let mut found = self.whole(together(printed, item)?).await;
        if found.register.registration.is_empty()
            && let Ok(listed) = self.listed().await
        {
            found.register = self.memory.filled(filled(found.register, &listed.register)).await;
        }
        Ok(Some(Box::new(found)))
    }

    /// Looks for a receipt where its numbers are. `Ok(None)`: complete lists of all shifts are without it.
    async fn hunt(&self, key: &str, shift: Option<u64>) -> Result<Option<Box<Registered>>, Trouble> {
        if let Some(shift) = shift {
            let ticket = self.ask(&ticket_request(&self.place, key, shift)).await;
            if let Ok(found) = ticket.and_then(|answer| read_ticket(&answer, key)) {
                return Ok(Some(found));
            }
            return self.search(key, shift).await;
        }
        let shifts = self.shifts().await?;
        for shift in shifts.iter().take(SHIFTS_SEARCHED_MAX) {
            if let Some(found) = self.search(key, *shift).await? {
                let at = |found: Box<Registered>| {
                    if found.shift == 0 { Registered { shift: *shift, ..*found }.into() } else { found }
                };
                return Ok(Some(at(found)));
            }
        }
        if shifts.len() > SHIFTS_SEARCHED_MAX {
            return Err(doubt("the newest shifts do not have it, and older ones were not searched"));
        }
        Ok(None)
    }

    /// All shifts, the newest first. Where the lists bring the oldest first, they are read to their end.
    async fn shifts(&self) -> Result<Vec<u64>, Trouble> {
        let mut shifts: Vec<u64> = Vec::new();
        for page in 0..PAGES_MAX {
            let answer = self.ask(&shifts_request(&self.place, page * PAGE)).await?;
            let numbers = read_shifts(&answer)?;
            let is_last = numbers.len() < PAGE;
            let is_newest_first = numbers.first() > numbers.last();
            shifts.extend(numbers);
            if is_last || is_newest_first {
                shifts.sort_unstable_by(|one, other| other.cmp(one));
                shifts.dedup();
                return Ok(shifts);
            }
        }
        Err(doubt("the list of shifts does not end"))
    }

    async fn search(&self, key: &str, shift: u64) -> Result<Option<Box<Registered>>, Trouble> {
        for page in 0..PAGES_MAX {
            let skip = page * PAGE;
            let answer = self.ask(&history_request(&self.place, shift, skip)).await?;
            let page = read_page(&answer, key, skip)?;
            if page.found.is_some() || !page.has_more {
                return Ok(page.found);
            }
        }
        Err(doubt("the history of the shift does not end"))
    }

    async fn listed(&self) -> Result<Listed, Trouble> {
        let answer = self.ask(&cashboxes_request()).await?;
        read_cashboxes(&answer, &self.place.cashbox)
    }

    /// The list, the licence and the shifts; the module in the shop need not know all three calls, and what it tells is enough.
    async fn state(&self) -> Result<RegisterState, Trouble> {
        let listed = match self.listed().await {
            Ok(listed) => Ok(listed),
            Err(Trouble::Unknown(reason)) => Err(Trouble::Unknown(reason)),
            Err(other) => return Err(other),
        };
        let client = self.ask(&client_request(&self.place)).await;
        let told = client.and_then(|answer| read_client(&answer, self.clock.wall()));
        let health = match (&listed, told) {
            (_, Err(Trouble::Stopped(reason))) => Health::Bad(reason),
            (Ok(listed), told) => told.map_or(listed.health.clone(), |told| worse(told, listed.health.clone())),
            (Err(_), Ok(health)) => health,
            (Err(trouble), Err(_)) => return Err(trouble.clone()),
        };
        // The list may name the last shift, open or not.
        let shifts = self.ask(&shifts_request(&self.place, 0)).await;
        let open = shifts.and_then(|answer| read_open_shift(&answer));
        let (shift, is_autonomous) = listed.as_ref().map_or((None, false), |it| (it.shift, it.is_autonomous));
        if let Ok(listed) = listed {
            self.memory.filled(listed.register).await;
        }
        Ok(RegisterState { health, shift: open.unwrap_or(shift), is_autonomous })
    }
}

/// A lost wire; after a host that said 505 nobody can say that nothing left.
fn judged(loss: Outcome<()>, has_moved: bool) -> Trouble {
    match loss {
        Outcome::NotSent(reason) if !has_moved => Trouble::NotSent(reason),
        Outcome::NotSent(reason) | Outcome::Unknown(reason) | Outcome::Refused(reason) => Trouble::Unknown(reason),
        Outcome::Done(()) => doubt("a lost wire"),
    }
}

/// The worse of two; the first where they are alike.
fn worse(one: Health, other: Health) -> Health {
    let rank = |health: &Health| match health {
        Health::Good => 0,
        Health::Warns(_) => 1,
        Health::Bad(_) => 2,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

impl Fiscal for Webkassa {
    fn abilities(&self) -> FiscalAbilities {
        self.abilities
    }

    fn compose(&self, entry: &Entry<'_>) -> Result<String, Reason> {
        compose(&self.place, entry)
    }

    fn file<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Outcome<Filing>> {
        Box::pin(async move {
            match Question::unpack(request) {
                Some(kept) => self.filed(&kept).await,
                None => Outcome::Refused(Reason::new("fiscal_bill", "the kept document is none of Webkassa's")),
            }
        })
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome<Option<Box<Registered>>>> {
        Box::pin(async move { self.look_up(key).await.map_or_else(Trouble::of_question, Outcome::Done) })
    }

    fn report(&self, kind: ReportKind) -> BoxFuture<'_, Outcome<Reported>> {
        Box::pin(async move {
            let asked = self.ask(&report_request(&self.place, kind)).await;
            match asked.and_then(|answer| read_report(&answer, kind)) {
                Ok(Reported::Report(mut report)) => {
                    report.register = self.memory.filled(report.register).await;
                    Outcome::Done(Reported::Report(report))
                }
                Ok(other @ (Reported::NoShift | Reported::Stopped(_))) => Outcome::Done(other),
                Err(Trouble::Stopped(reason)) => Outcome::Done(Reported::Stopped(reason)),
                Err(Trouble::Refused(reason)) => Outcome::Refused(reason),
                Err(trouble) => trouble.of_question(),
            }
        })
    }

    fn closed_report(&self, shift: u64) -> BoxFuture<'_, Outcome<Option<Box<ShiftReport>>>> {
        Box::pin(async move {
            let asked = self.ask(&closed_report_request(&self.place, shift)).await;
            match asked.and_then(|answer| read_closed_report(&answer, shift)) {
                Ok(Some(mut report)) => {
                    report.register = self.memory.filled(report.register).await;
                    Outcome::Done(Some(report))
                }
                Ok(None) => Outcome::Done(None),
                Err(trouble) => trouble.of_question(),
            }
        })
    }

    fn probe(&self) -> BoxFuture<'_, Outcome<RegisterState>> {
        Box::pin(async move {
            match self.state().await {
                Ok(state) => Outcome::Done(state),
                Err(Trouble::Stopped(reason)) => {
                    Outcome::Done(RegisterState { health: Health::Bad(reason), shift: None, is_autonomous: false })
                }
                Err(trouble) => trouble.of_question(),
            }
        })
    }
}
