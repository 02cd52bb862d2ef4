//! Kaspi Smart POS over its local API (kaspi-terminal §1): one operation at a time, sums in whole tenge, no idempotency key and no search
//! (§1.3). So a start or a refund whose answer is lost stays unknown and is never repeated, and an inquiry is never `Refused`. Protection
//! is what the configuration says: neither TLS, nor tokens, nor the API are ever downgraded here. A new pair of tokens is durable before
//! it is used, and the old one is kept until the new one worked once (F09).

use crate::domain::ids::Handle;
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Wall;
use crate::drivers::{
    Act, Asked, BadSetup, Build, Collect, GiveBack, Health, Key, Kind, Setup, Standing, Takes, Terminal,
    TerminalAbilities, Vault, lost,
};
use crate::host::secret::Secret;
use crate::transport::web::{ANSWER_BYTES_MAX, Answer, Authorities, Limits, Request, Trust, Web};
use crate::transport::{Bar, Loss};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

mod exchange;

pub use exchange::*;

/// Its line in the registry.
pub const KIND: Kind = Kind {
    name: "kaspi_smart_pos",
    title: "Kaspi Smart POS terminal in the shop's network",
    keys: &[
        Key {
            name: "protected",
            takes: Takes::Flag,
            required: false,
            help: "tokens, as «Защита интеграции» on the terminal wants them; on for https://, off for http:// unless told",
        },
        Key {
            name: "tls_name",
            takes: Takes::Text,
            required: false,
            help: "the name that the terminal's certificate must be valid for; any name under kaspipos.kz does",
        },
        Key {
            name: "ca_file",
            takes: Takes::File,
            required: false,
            help: "PEM of the authority that issued the terminal's certificate; then no other is believed",
        },
        Key {
            name: "insecure",
            takes: Takes::Flag,
            required: false,
            help: "believe any certificate: whoever holds the terminal's address can then pose as the terminal",
        },
        Key {
            name: "api",
            takes: Takes::Text,
            required: false,
            help: "\"v2\", or \"v1\" for an old terminal that knows no paths under /v2 and no tokens",
        },
        Key {
            name: "own_slip",
            takes: Takes::Flag,
            required: false,
            help: "we print the slip and the terminal does not",
        },
    ],
    build: Build::Terminal(build),
};

/// The name for the certificate when none is given: the wildcard of every terminal covers it (§1.1).
pub const TLS_NAME_DEFAULT: &str = "terminal.kaspipos.kz";
/// How long a registration may wait for the tap on the terminal's screen.
pub const REGISTER_TIMEOUT: Duration = Duration::from_secs(60);
/// The part of its life after which a token is renewed, in percent (F09).
const RENEW_AFTER_PERCENT: i64 = 80;
/// What a token must have left when a payment starts, however long it lives (F09).
const AHEAD_MS: i64 = 10 * 60 * 1000;
/// How long a token lives by the terminal's own rule (§1.2).
const LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// The pause before a refused renewal is tried again while the token still lives.
const REFUSED_PAUSE_MS: i64 = 5 * 60 * 1000;
/// A look at the terminal is short: it is there or it is not.
const LOOK: Limits = Limits { whole: Duration::from_secs(6), body_max: ANSWER_BYTES_MAX };

/// What names us to a protected terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Goes with each call.
    pub access: Secret,
    /// Renews both.
    pub refresh: Secret,
    /// When we got them.
    pub from: Wall,
    /// When the access token ends, as far as we know.
    pub until: Wall,
}

impl Tokens {
    /// As the vault keeps them.
    pub fn to_text(&self) -> String {
        self.to_json().to_string()
    }

    /// Reads what the vault kept.
    pub fn from_text(text: &str) -> Option<Tokens> {
        Tokens::from_json(&serde_json::from_str(text).ok()?)
    }

    fn to_json(&self) -> Json {
        serde_json::json!({
            "access": self.access.expose(), "refresh": self.refresh.expose(), "from": self.from.0, "until": self.until.0,
        })
    }

    fn from_json(json: &Json) -> Option<Tokens> {
        let secret = |key: &str| json.get(key).and_then(Json::as_str).map(Secret::new);
        let wall = |key: &str| json.get(key).and_then(Json::as_i64).map(Wall);
        let until = wall("until")?;
        // A vault of an earlier version knows no beginning.
        let from = wall("from").unwrap_or(until.plus_ms(-LIFE_MS));
        Some(Tokens { access: secret("access")?, refresh: secret("refresh")?, from, until })
    }

    fn is_dead(&self, now: Wall) -> bool {
        self.until <= now
    }

    fn is_due(&self, now: Wall) -> bool {
        let life = self.until.0.saturating_sub(self.from.0);
        let due = self.from.plus_ms(life / 100 * RENEW_AFTER_PERCENT);
        now >= due || now.plus_ms(AHEAD_MS) >= self.until
    }
}

/// The pair in use and the one before it, which is kept until this one was accepted once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pairs {
    now: Tokens,
    before: Option<Tokens>,
}

impl Pairs {
    fn to_text(&self) -> String {
        let mut json = self.now.to_json();
        if let (Some(before), Some(members)) = (&self.before, json.as_object_mut()) {
            members.insert("before".to_owned(), before.to_json());
        }
        json.to_string()
    }

    fn from_text(text: &str) -> Option<Pairs> {
        let json: Json = serde_json::from_str(text).ok()?;
        Some(Pairs { now: Tokens::from_json(&json)?, before: json.get("before").and_then(Tokens::from_json) })
    }
}

fn build(setup: &Setup) -> Result<Box<dyn Terminal>, BadSetup> {
    Ok(Box::new(KaspiSmartPos::open(setup)?))
}

/// The driver.
pub struct KaspiSmartPos {
    web: Web,
    vault: Arc<dyn Vault>,
    vault_name: String,
    installation: String,
    utc_offset_s: i32,
    api: Api,
    is_protected: bool,
    is_insecure: bool,
    is_plain: bool,
    is_slip_ours: bool,
    pairs: Option<Pairs>,
    /// The pair in use was accepted at least once.
    has_worked: bool,
    /// A new pair that the vault did not take yet: the old one is dead, and this one is not used before it is durable.
    unstored: Option<Pairs>,
    /// The terminal did not accept the access token: renew it, whatever its end says.
    is_denied: bool,
    /// The pair was not accepted and could not be renewed: only a registration helps.
    is_dismissed: bool,
    /// Why the last renewal did not work while the token still lived.
    not_renewed: Option<Reason>,
    /// When the terminal last refused a renewal: asking at every step would be a storm.
    refused_at: Option<Wall>,
    /// The last time of day we were told; it only labels the end of tokens.
    now: Wall,
}

impl KaspiSmartPos {
    /// Builds the driver; no byte leaves yet.
    pub fn open(setup: &Setup) -> Result<KaspiSmartPos, BadSetup> {
        let is_tls = setup.address.starts_with("https:");
        let is_insecure = setup.flag("insecure").unwrap_or(false);
        let api = api(setup)?;
        let is_protected = setup.flag("protected").unwrap_or(is_tls && api == Api::V2);
        if is_protected && api == Api::V1 {
            let problem = "the older API knows no tokens: leave 'api' out, or write protected = false";
            return Err(BadSetup { key: "api", problem: problem.to_owned() });
        }
        let web = Web::open(&setup.address, &trust(setup, is_tls, is_insecure)?)
            .map_err(|cause| BadSetup { key: "address", problem: cause.to_string() })?;
        Ok(KaspiSmartPos {
            web,
            vault: setup.vault.clone(),
            vault_name: format!("terminal.{}.tokens", setup.name),
            installation: setup.installation.clone(),
            utc_offset_s: setup.utc_offset_s,
            api,
            is_protected,
            is_insecure,
            is_plain: !is_tls,
            is_slip_ours: setup.flag("own_slip").unwrap_or(false),
            pairs: None,
            has_worked: false,
            unstored: None,
            is_denied: false,
            is_dismissed: false,
            not_renewed: None,
            refused_at: None,
            now: Wall::default(),
        })
    }

    // ---- tokens ----

    async fn let_in(&mut self) -> Outcome<()> {
        if !self.is_protected {
            return Outcome::Done(());
        }
        if let Some(pairs) = self.unstored.take() {
            return self.keep(pairs).await;
        }
        self.recall().await;
        self.forget_before().await;
        let Some(tokens) = self.pairs.as_ref().map(|pairs| pairs.now.clone()) else { return self.register().await };
        if self.is_dismissed {
            return self.register().await;
        }
        let is_dead = self.is_denied || tokens.is_dead(self.now);
        if !is_dead && (!tokens.is_due(self.now) || self.was_refused_lately()) {
            return Outcome::Done(());
        }
        match self.renew().await {
            // The terminal forgot us or holds another pair: it takes a person's tap (§1.2), but not while the token still opens it.
            Outcome::Refused(_) if is_dead => self.register().await,
            Outcome::Refused(reason) if !is_dead => {
                (self.not_renewed, self.refused_at) = (Some(reason), Some(self.now));
                Outcome::Done(())
            }
            // Where the answer was lost the terminal may have replaced the pair: then it denies the next call, which does nothing, and the
            // refresh token that we still have is tried again.
            Outcome::NotSent(reason) | Outcome::Unknown(reason) if !is_dead && self.unstored.is_none() => {
                self.not_renewed = Some(reason);
                Outcome::Done(())
            }
            other @ (Outcome::Done(()) | Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other,
        }
    }

    async fn recall(&mut self) {
        if self.is_protected && self.pairs.is_none() {
            self.pairs = self.vault.load(&self.vault_name).await.as_deref().and_then(Pairs::from_text);
        }
    }

    /// Lets the old pair go once the new one was accepted; a vault that does not take it is asked again later.
    async fn forget_before(&mut self) {
        let Some(pairs) = self.pairs.as_mut().filter(|pairs| self.has_worked && pairs.before.is_some()) else { return };
        if self.vault.store(&self.vault_name, pairs.now.to_text()).await.is_ok() {
            pairs.before = None;
        }
    }

    fn was_refused_lately(&self) -> bool {
        let pause = |at: Wall| at.0..at.plus_ms(REFUSED_PAUSE_MS).0;
        self.refused_at.is_some_and(|at| pause(at).contains(&self.now.0))
    }

    async fn register(&mut self) -> Outcome<()> {
        let limits = Limits { whole: REGISTER_TIMEOUT, body_max: ANSWER_BYTES_MAX };
        match self.ask_tokens(&register_request(&self.installation), limits).await {
            Outcome::Done(now) => self.keep(Pairs { now, before: None }).await,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other.map(|_| ()),
        }
    }

    /// Renews by the refresh token, and by the one before where the new pair never worked (F09). After a lost answer the same refresh token
    /// is the old one: it is tried again by the next call.
    async fn renew(&mut self) -> Outcome<()> {
        let Some(pairs) = self.pairs.clone() else { return Outcome::Refused(no_access()) };
        let mut kept = pairs.now.clone();
        let mut renewed = self.revoke(&pairs.now).await;
        if let (Outcome::Refused(_), Some(before)) = (&renewed, pairs.before) {
            let again = self.revoke(&before).await;
            if !matches!(again, Outcome::Refused(_)) {
                (kept, renewed) = (before, again);
            }
        }
        match renewed {
            Outcome::Done(now) => self.keep(Pairs { now, before: Some(kept) }).await,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other.map(|_| ()),
        }
    }

    async fn revoke(&self, tokens: &Tokens) -> Outcome<Tokens> {
        self.ask_tokens(&revoke_request(&self.installation, &tokens.refresh), Limits::RECORD).await
    }

    async fn ask_tokens(&self, request: &Request, limits: Limits) -> Outcome<Tokens> {
        match self.web.send(request, limits).await {
            Ok(answer) if matches!(answer.status, 401 | 403) => Outcome::Refused(no_access()),
            Ok(answer) => read_tokens(&answer, self.now, self.utc_offset_s),
            Err(loss) => lost(loss),
        }
    }

    /// Makes a new pair durable, then uses it: a pair that is lost costs somebody a walk to the terminal.
    async fn keep(&mut self, pairs: Pairs) -> Outcome<()> {
        match self.vault.store(&self.vault_name, pairs.to_text()).await {
            Ok(()) => {
                self.pairs = Some(pairs);
                (self.has_worked, self.is_denied, self.is_dismissed) = (false, false, false);
                (self.not_renewed, self.refused_at) = (None, None);
                Outcome::Done(())
            }
            Err(reason) => {
                self.unstored = Some(pairs);
                Outcome::NotSent(reason)
            }
        }
    }

    fn access(&self) -> Option<&Secret> {
        self.pairs.as_ref().filter(|_| self.is_protected).map(|pairs| &pairs.now.access)
    }

    // ---- money ----

    /// Asks; where the token is not accepted, renews it once and asks once more. Safe for a start as well: a denied call did nothing.
    async fn ask<T>(
        &mut self,
        request: impl Fn(Option<&Secret>) -> Request,
        read: impl Fn(&Answer) -> Reply<T>,
    ) -> Reply<T> {
        self.recall().await;
        for is_last in [false, true] {
            let reply = match self.web.send(&request(self.access()), Limits::RECORD).await {
                Ok(answer) => read(&answer),
                Err(loss) => Reply::Said(lost(loss)),
            };
            match &reply {
                Reply::Denied if !is_last && self.is_protected => {}
                Reply::Denied => return reply,
                // These words are the terminal's own: the token opened it.
                Reply::Said(Outcome::Done(_) | Outcome::Refused(_)) | Reply::NothingToSettle => {
                    self.has_worked = true;
                    return reply;
                }
                Reply::Said(Outcome::NotSent(_) | Outcome::Unknown(_)) => return reply,
            }
            let renewed = match self.unstored.take() {
                Some(pairs) => self.keep(pairs).await,
                None => self.renew().await,
            };
            match renewed {
                Outcome::Done(()) => {}
                Outcome::Refused(_) => {
                    self.is_dismissed = true;
                    return Reply::Denied;
                }
                Outcome::NotSent(_) | Outcome::Unknown(_) => {
                    self.is_denied = true;
                    return Reply::Denied;
                }
            }
        }
        Reply::Denied
    }

    async fn begin(&mut self, collect: &Collect) -> Outcome<Handle> {
        let tenge = match whole_tenge(collect.amount) {
            Ok(tenge) => tenge,
            Err(reason) => return Outcome::Refused(reason),
        };
        let (api, is_slip_ours) = (self.api, self.is_slip_ours);
        let request = |access: Option<&Secret>| payment_request(api, tenge, is_slip_ours, access);
        begun(self.ask(request, |answer| read_start(answer, Act::Payment)).await)
    }

    async fn begin_refund(&mut self, ask: &GiveBack) -> Outcome<Handle> {
        let refund = match Refund::of(ask) {
            Ok(refund) => refund,
            Err(reason) => return Outcome::Refused(reason),
        };
        let (api, is_slip_ours) = (self.api, self.is_slip_ours);
        let request = |access: Option<&Secret>| refund_request(api, &refund, is_slip_ours, access);
        begun(self.ask(request, |answer| read_start(answer, Act::Refund)).await)
    }

    async fn look(&mut self, asked: &Asked) -> Outcome<Standing> {
        let api = self.api;
        let request = |access: Option<&Secret>| status_request(api, &asked.handle, access);
        known(self.ask(request, |answer| read_standing(answer, asked)).await)
    }

    async fn find_out(&mut self, asked: &Asked) -> Outcome<Standing> {
        let api = self.api;
        let request = |access: Option<&Secret>| actualize_request(api, &asked.handle, access);
        match self.ask(request, |answer| read_standing(answer, asked)).await {
            Reply::NothingToSettle => self.look(asked).await,
            reply @ (Reply::Said(_) | Reply::Denied) => known(reply),
        }
    }

    // ---- health ----

    async fn check(&mut self) -> Health {
        self.recall().await;
        let access = self.access().filter(|_| !self.is_dismissed).cloned();
        match self.web.send(&presence_request(self.api, access.as_ref()), LOOK).await {
            Err(loss) => return Health::Bad(away(loss)),
            Ok(answer) => match read_presence(&answer, self.api) {
                Presence::Stranger => return Health::Bad(Reason::new("not_terminal", answer.shape())),
                Presence::Terminal | Presence::Denied => {}
            },
        }
        if self.is_protected && access.is_none() {
            let code = if self.is_dismissed { "register_again" } else { "not_registered" };
            return Health::Bad(Reason::new(code, ""));
        }
        // A terminal may name itself without a token (§1.3), so the token is proven by a question about no operation.
        let question = status_request(self.api, &Handle(NO_PROCESS.to_owned()), access.as_ref());
        match self.web.send(&question, LOOK).await {
            Err(loss) => return Health::Bad(away(loss)),
            Ok(answer) => match read_presence(&answer, self.api) {
                Presence::Denied => {
                    self.is_denied = self.is_protected;
                    return Health::Bad(no_access());
                }
                Presence::Terminal => self.has_worked = true,
                // It named itself a moment ago: what it says of an operation that is none tells nothing.
                Presence::Stranger => {}
            },
        }
        self.worries()
    }

    /// What does not stop a payment and should not stay so.
    fn worries(&self) -> Health {
        if let Some(reason) = &self.not_renewed {
            return Health::Warns(Reason::new("token_soon", reason));
        }
        if self.is_insecure {
            return Health::Warns(Reason::new("insecure_tls", ""));
        }
        if self.is_plain && !self.is_protected {
            return Health::Warns(Reason::new("unprotected", ""));
        }
        Health::Good
    }
}

/// Why nobody can be reached, as far as the wire tells.
fn away(loss: Loss) -> Reason {
    let (Loss::NotSent(cause) | Loss::Unknown(cause)) = loss;
    let code = match cause.bar {
        Some(Bar::Refused) => "terminal_off",
        Some(Bar::Silent) => "terminal_silent",
        Some(Bar::Foreign) => "not_terminal",
        Some(bar) => bar.code(),
        None => "no_link",
    };
    Reason::new(code, cause)
}

/// What became of a start.
fn begun(reply: Reply<Handle>) -> Outcome<Handle> {
    match reply {
        Reply::Said(outcome) => outcome,
        // Denied calls do nothing: it may go out again once we are let in.
        Reply::Denied => Outcome::NotSent(no_access()),
        Reply::NothingToSettle => Outcome::Unknown(Reason::new("unmapped", "103 to a start")),
    }
}

/// A read that says nothing about the money is `Unknown`, whoever said it: a denied read must not end an attempt.
fn known(reply: Reply<Standing>) -> Outcome<Standing> {
    match reply {
        Reply::Said(outcome) => outcome,
        Reply::Denied => Outcome::Unknown(no_access()),
        Reply::NothingToSettle => Outcome::Unknown(Reason::new("unmapped", "103 to a status")),
    }
}

fn no_access() -> Reason {
    let cure =
        "the terminal does not accept our token: tap «Разрешить» on it, and keep `protected` as «Защита интеграции» is";
    Reason::new("no_access", cure)
}

fn api(setup: &Setup) -> Result<Api, BadSetup> {
    match setup.text("api") {
        None | Some("v2") => Ok(Api::V2),
        Some("v1") => Ok(Api::V1),
        Some(other) => {
            Err(BadSetup { key: "api", problem: format!("there is no API {other:?}: write \"v2\" or \"v1\"") })
        }
    }
}

/// Whom we believe to be the terminal. Nothing here is ever weakened later.
fn trust(setup: &Setup, is_tls: bool, is_insecure: bool) -> Result<Trust, BadSetup> {
    let bad = |key, problem: &str| Err(BadSetup { key, problem: problem.to_owned() });
    let name = setup.text("tls_name").map(str::to_owned);
    let file = setup.text("ca_file");
    match (&name, file) {
        (Some(_), _) if is_insecure => {
            return bad(
                "tls_name",
                "'insecure' believes any certificate, so a name for it says nothing: keep one of them",
            );
        }
        (_, Some(_)) if is_insecure => {
            return bad(
                "ca_file",
                "'insecure' believes any certificate, so an authority says nothing: keep one of them",
            );
        }
        (_, Some(_)) if !is_tls => return bad("ca_file", "there is no certificate without https://"),
        (Some(_) | None, Some(_) | None) => {}
    }
    let name = name.or_else(|| (is_tls && has_ip(&setup.address)).then(|| TLS_NAME_DEFAULT.to_owned()));
    Ok(match (file, name) {
        _ if is_insecure => Trust::Anybody,
        (Some(file), name) => Trust::Issued(authorities(file)?, name),
        (None, Some(name)) => Trust::Named(name),
        (None, None) => Trust::Roots,
    })
}

fn authorities(file: &str) -> Result<Authorities, BadSetup> {
    let bad = |problem: String| BadSetup { key: "ca_file", problem: format!("{file}: {problem}") };
    let pem = std::fs::read(file).map_err(|cause| bad(cause.to_string()))?;
    Authorities::from_pem(&pem).map_err(|cause| bad(cause.to_string()))
}

fn has_ip(address: &str) -> bool {
    let host = address.trim_start_matches("https://").split('/').next().unwrap_or_default();
    host.starts_with('[') || host.split(':').next().is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_ok())
}

impl Terminal for KaspiSmartPos {
    fn abilities(&self) -> TerminalAbilities {
        TerminalAbilities {
            settle_gap: Duration::from_secs(10),
            inquire_gap: Duration::from_secs(1),
            patience: Duration::from_secs(180),
            abort: false,
            refund: true,
            settlement: false,
        }
    }

    fn prepare(&mut self, now: Wall) -> BoxFuture<'_, Outcome<()>> {
        self.now = now;
        Box::pin(self.let_in())
    }

    fn start<'a>(&'a mut self, ask: &'a Collect) -> BoxFuture<'a, Outcome<Handle>> {
        Box::pin(self.begin(ask))
    }

    fn probe(&mut self, now: Wall) -> BoxFuture<'_, Health> {
        self.now = now;
        Box::pin(self.check())
    }

    fn inquire<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        Box::pin(self.look(asked))
    }

    fn settle<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        Box::pin(self.find_out(asked))
    }

    fn give_back<'a>(&'a mut self, ask: &'a GiveBack) -> BoxFuture<'a, Outcome<Handle>> {
        Box::pin(self.begin_refund(ask))
    }

    fn settlement(&mut self) -> BoxFuture<'_, Outcome<String>> {
        let reason = Reason::new("no_settlement", "this terminal settles by itself");
        Box::pin(std::future::ready(Outcome::Refused(reason)))
    }

    fn abort<'a>(&'a mut self, _handle: &'a Handle) -> BoxFuture<'a, Outcome<()>> {
        let reason = Reason::new("no_abort", "this terminal cannot be stopped from here: cancel on its screen");
        Box::pin(std::future::ready(Outcome::Refused(reason)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tokens(name: &str) -> Tokens {
        Tokens {
            access: Secret::new(name),
            refresh: Secret::new(format!("r{name}")),
            from: Wall(0),
            until: Wall(LIFE_MS),
        }
    }

    #[test]
    fn f09_both_pairs_survive_the_vault() {
        for before in [None, Some(tokens("old"))] {
            let pairs = Pairs { now: tokens("new"), before };
            assert_eq!(Pairs::from_text(&pairs.to_text()), Some(pairs));
        }
        assert_eq!(Tokens::from_text(&tokens("a").to_text()), Some(tokens("a")));
        // As an earlier version left them.
        let old = format!(r#"{{"access":"a","refresh":"ra","until":{LIFE_MS}}}"#);
        assert_eq!(Pairs::from_text(&old), Some(Pairs { now: tokens("a"), before: None }));
        assert_eq!(Pairs::from_text("{}"), None);
    }

    #[test]
    fn f09_a_token_is_renewed_after_four_fifths_of_its_life_and_ten_minutes_before_its_end() {
        let day = tokens("a");
        let minute = 60_000;
        assert!(!day.is_due(Wall(LIFE_MS / 5 * 4 - 1)) && day.is_due(Wall(LIFE_MS / 5 * 4)));
        let hour = Tokens { until: Wall(30 * minute), ..day };
        assert!(!hour.is_due(Wall(20 * minute - 1)) && hour.is_due(Wall(20 * minute)), "80 % would be 24 minutes");
        assert!(!hour.is_dead(Wall(30 * minute - 1)) && hour.is_dead(Wall(30 * minute)));
    }

    #[test]
    fn tls_names_are_for_addresses_without_one() {
        for (address, is_ip) in [
            ("https://10.0.0.5:8080", true),
            ("https://[fe80::1]:8080", true),
            ("https://till.kaspipos.kz:8080", false),
            ("https://localhost", false),
        ] {
            assert_eq!(has_ip(address), is_ip, "{address}");
        }
    }
}
