//! Kaspi Smart POS over its local API v2 (kaspi-terminal §1): every call is a GET, every answer an envelope on any HTTP status, sums
//! are whole tenge. There is no idempotency key and no search (§1.3): a start whose answer is lost stays unknown and is never
//! repeated. `fail` and `success` end an attempt; any other word, known or not, does not (§1.4). An inquiry is never `Refused`.

use crate::domain::attempt::Evidence;
use crate::domain::ids::Handle;
use crate::domain::money::Tiyn;
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Wall;
use crate::drivers::{
    Asked, BadSetup, Build, Collect, GiveBack, Health, Key, Kind, Setup, Standing, Takes, Terminal, TerminalAbilities,
    Vault, foreign_id, lost, scalar,
};
use crate::host::secret::Secret;
use crate::transport::web::{ANSWER_BYTES_MAX, Answer, Limits, Request, Trust, Web};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

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
            name: "insecure",
            takes: Takes::Flag,
            required: false,
            help: "believe any certificate: whoever holds the terminal's address can then pose as the terminal",
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
/// How long before its end a token is renewed.
const RENEW_AHEAD_MS: i64 = 30 * 60 * 1000;
/// How long a token counts when its end cannot be read or is absurd: an hour less than the 24 that it lives.
const LIFE_UNREAD_MS: i64 = 23 * 60 * 60 * 1000;
/// The latest end of a token that is believed; a terminal with a wrong clock must not stop renewals.
const LIFE_MS_MAX: i64 = 25 * 60 * 60 * 1000;
/// The largest sum the terminal takes: the limit of its 32-bit number (§1.3).
const AMOUNT_TENGE_MAX: i64 = 2_147_483_647;
/// The longest word of the terminal that is kept.
const WORD_CHARS_MAX: usize = 64;

/// What names us to a protected terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Goes with each call.
    pub access: Secret,
    /// Renews both.
    pub refresh: Secret,
    /// When the access token ends, as far as we know.
    pub until: Wall,
}

impl Tokens {
    /// As the vault keeps them.
    pub fn to_text(&self) -> String {
        serde_json::json!({
            "access": self.access.expose(), "refresh": self.refresh.expose(), "until": self.until.0,
        })
        .to_string()
    }

    /// Reads what the vault kept.
    pub fn from_text(text: &str) -> Option<Tokens> {
        let json: Json = serde_json::from_str(text).ok()?;
        let secret = |key: &str| json.get(key).and_then(Json::as_str).map(Secret::new);
        Some(Tokens {
            access: secret("access")?,
            refresh: secret("refresh")?,
            until: Wall(json.get("until").and_then(Json::as_i64)?),
        })
    }
}

/// The terminal's own status of an operation, or that it did not let us ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// An answer to the question.
    Said(Outcome<T>),
    /// HTTP 401 or 403: nothing was done, the token is not accepted.
    Denied,
    /// Error 103: it is not `unknown`, so there is nothing to find out; `status` tells (§1.5).
    NothingToSettle,
}

/// Asks to be let in; blocks until the tap.
pub fn register_request(name: &str) -> Request {
    Request::get("/v2/register").query("name", name)
}

/// Asks for a new pair of tokens.
pub fn revoke_request(name: &str, refresh: &Secret) -> Request {
    Request::get("/v2/revoke").query("name", name).secret_query("refreshToken", refresh)
}

/// Asks for money.
pub fn payment_request(tenge: i64, is_slip_ours: bool, access: Option<&Secret>) -> Request {
    let request = Request::get("/v2/payment").query("amount", tenge.to_string());
    allowed(if is_slip_ours { request.query("owncheque", "true") } else { request }, access)
}

/// Asks what became of an operation.
pub fn status_request(handle: &Handle, access: Option<&Secret>) -> Request {
    allowed(Request::get("/v2/status").query("processId", handle.as_str()), access)
}

/// Makes the terminal find out.
pub fn actualize_request(handle: &Handle, access: Option<&Secret>) -> Request {
    allowed(Request::get("/v2/actualize").query("processId", handle.as_str()), access)
}

fn allowed(request: Request, access: Option<&Secret>) -> Request {
    match access {
        Some(token) => request.secret_header("accesstoken", token),
        None => request,
    }
}

/// The sum in whole tenge; anything else is refused before a byte leaves.
pub fn whole_tenge(amount: Tiyn) -> Result<i64, Reason> {
    let bad = |why: &str| Reason::new("bad_amount", format!("{} ₸: {why}", amount.decimal()));
    let tenge = amount.whole_tenge().ok_or_else(|| bad("the terminal takes whole tenge only"))?;
    if (1..=AMOUNT_TENGE_MAX).contains(&tenge) { Ok(tenge) } else { Err(bad("the terminal does not take such a sum")) }
}

/// Reads the answer to `register` or `revoke`. `Refused` holds the cure.
pub fn read_tokens(answer: &Answer, now: Wall, utc_offset_s: i32) -> Outcome<Tokens> {
    let Some(envelope) = Envelope::read(answer) else { return garbled(answer) };
    match envelope.code {
        0 => {}
        105 => return Outcome::Refused(name_taken(&envelope.text)),
        107 => return Outcome::NotSent(Reason::new("busy", &envelope.text)),
        code @ (100 | 106 | 108 | 999) => {
            return Outcome::Refused(Reason::new("not_registered", format!("{code} {}", envelope.text)));
        }
        _ => return Outcome::Unknown(envelope.unmapped()),
    }
    let secret = |key: &str| envelope.data.get(key).and_then(foreign_token);
    match (secret("accessToken"), secret("refreshToken")) {
        (Some(access), Some(refresh)) => {
            let told = envelope.data.get("expirationDate").and_then(Json::as_str);
            Outcome::Done(Tokens { access, refresh, until: end_of_life(told, now, utc_offset_s) })
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => garbled(answer),
    }
}

/// Reads the answer to `payment`.
pub fn read_start(answer: &Answer) -> Reply<Handle> {
    if is_denied(answer) {
        return Reply::Denied;
    }
    let Some(envelope) = Envelope::read(answer) else { return Reply::Said(garbled(answer)) };
    Reply::Said(match envelope.code {
        0 => match envelope.data.get("processId").and_then(foreign_id) {
            Some(id) => Outcome::Done(Handle(id)),
            None => Outcome::Unknown(Reason::new("no_handle", "the terminal took the sum and named no operation")),
        },
        107 => Outcome::NotSent(Reason::new("busy", &envelope.text)),
        // 100, 106 and 108 exist and nobody has written down what they mean (kaspi-terminal §1.5): unmapped (H1).
        999 => Outcome::Refused(Reason::new("terminal_refused", format!("{} {}", envelope.code, envelope.text))),
        _ => Outcome::Unknown(envelope.unmapped()),
    })
}

/// Reads the answer to `status` or `actualize`. `asked` is what we asked for, where it is still known.
pub fn read_standing(answer: &Answer, handle: &Handle, asked: Option<Tiyn>) -> Reply<Standing> {
    if is_denied(answer) {
        return Reply::Denied;
    }
    let Some(envelope) = Envelope::read(answer) else { return Reply::Said(garbled(answer)) };
    match envelope.code {
        0 => Reply::Said(standing(&envelope, handle, asked)),
        101 => Reply::Said(Outcome::Done(Standing::Unclear(Reason::new("no_such_process", &envelope.text)))),
        103 => Reply::NothingToSettle,
        _ => Reply::Said(Outcome::Unknown(envelope.unmapped())),
    }
}

fn standing(envelope: &Envelope, handle: &Handle, asked: Option<Tiyn>) -> Outcome<Standing> {
    let data = &envelope.data;
    if let Some(other) = data.get("processId").and_then(scalar).filter(|id| id != handle.as_str()) {
        return Outcome::Unknown(Reason::new(
            "contradiction",
            format!("the answer is about operation {}", word(&other)),
        ));
    }
    let sub_status = data.get("subStatus").and_then(scalar).map(|text| word(&text));
    let Some(status) = data.get("status").and_then(scalar) else {
        return Outcome::Unknown(Reason::new("garbled", "an operation without a status"));
    };
    Outcome::Done(match status.to_ascii_lowercase().as_str() {
        "success" => paid(data, asked),
        "fail" => {
            let sub_status = sub_status.map(|text| format!(" ({text})")).unwrap_or_default();
            Standing::Failed(Reason::new("terminal_failed", format!("{}{sub_status}", envelope.text)))
        }
        "unknown" => Standing::Unclear(Reason::new("terminal_unknown", &envelope.text)),
        // `wait`, and every word that a later version may say: it goes on until it ends by a word that we know.
        _ => Standing::Pending(sub_status.unwrap_or_else(|| word(&status))),
    })
}

fn paid(data: &Json, asked: Option<Tiyn>) -> Standing {
    let cheque = data.get("chequeInfo").unwrap_or(&Json::Null);
    let field = |key: &str| cheque.get(key).and_then(scalar).map(|text| word(&text));
    let shown = cheque.get("amount").and_then(scalar);
    if shown.as_deref().is_some_and(|text| text.contains(['-', '−'])) {
        return Standing::Unclear(Reason::new("contradiction", "the terminal reports a refund for a payment"));
    }
    let told = || data.get("amount").and_then(scalar).and_then(|text| sum_on_slip(&text)).filter(|sum| sum.0 > 0);
    let Some(amount) = shown.and_then(|text| sum_on_slip(&text)).or_else(told).or(asked) else {
        return Standing::Unclear(Reason::new("amount_unread", "paid, but the sum on the slip cannot be read"));
    };
    let method = field("method").unwrap_or_default().to_lowercase();
    let number = if method == "card" { field("rrn") } else { field("orderNumber") };
    let transaction = data.get("transactionId").and_then(scalar).map(|text| word(&text));
    let transaction = transaction.or(number).or_else(|| field("orderNumber")).or_else(|| field("rrn"));
    Standing::Paid(Evidence {
        amount,
        method,
        transaction: transaction.unwrap_or_default(),
        source: "terminal".to_owned(),
        detail: detail(data, field("cardMask")),
        tendered: None,
    })
}

/// Product and loan (another commission, a shorter settlement) and the end of the card's number.
fn detail(data: &Json, card_mask: Option<String>) -> String {
    let add = data.get("addInfo").unwrap_or(&Json::Null);
    let text = |key: &str| add.get(key).and_then(scalar).map(|text| word(&text));
    let term = text("LoanTerm").filter(|months| months != "0").map(|months| format!("{months} months"));
    // Only four digits, whatever the terminal calls a mask: a card number is never stored.
    let card = card_mask.map(|mask| {
        let digits: Vec<char> = mask.chars().filter(char::is_ascii_digit).collect();
        format!("card *{}", digits.iter().skip(digits.len().saturating_sub(4)).collect::<String>())
    });
    let parts = [text("ProductType"), text("LoanOfferName"), term, card];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Reads a sum as a slip shows it: `12 400 ₸`, `1 000,00 ₸`, `1,000.5`. Not negative; `None` where it is not clear.
pub fn sum_on_slip(text: &str) -> Option<Tiyn> {
    if text.chars().count() > WORD_CHARS_MAX || text.contains(['-', '−']) {
        return None;
    }
    let text = text.trim_matches(|sign: char| !sign.is_ascii_digit());
    if !text.chars().all(|sign| sign.is_ascii_digit() || sign.is_whitespace() || ".,'’".contains(sign)) {
        return None;
    }
    let solid: String = text.chars().filter(|sign| !sign.is_whitespace()).collect();
    // Two digits or one at the end are tiyn; three are a group of thousands.
    let (whole, fraction) = match solid.rfind(['.', ',']) {
        Some(place) if solid.len() - place <= 3 => (solid.get(..place)?, solid.get(place + 1..)?),
        Some(_) | None => (solid.as_str(), "0"),
    };
    let mut groups = whole.split(['.', ',', '\'', '’']);
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    if first.is_empty() || (!rest.is_empty() && first.len() > 3) || rest.iter().any(|group| group.len() != 3) {
        return None;
    }
    Tiyn::parse_tenge(&format!("{first}{}.{fraction}", rest.concat())).ok()
}

/// When a token ends. The terminal writes its local time in one of two forms (§1.2).
pub fn end_of_life(told: Option<&str>, now: Wall, utc_offset_s: i32) -> Wall {
    let parsed = told.and_then(|text| {
        ["%Y-%m-%d %H:%M:%S", "%b %d, %Y %H:%M:%S"]
            .iter()
            .find_map(|form| jiff::civil::DateTime::strptime(form, text.trim()).ok())
    });
    let offset = jiff::tz::Offset::from_seconds(utc_offset_s).unwrap_or(jiff::tz::Offset::UTC);
    let end = parsed.and_then(|local| offset.to_timestamp(local).ok()).map(|at| Wall(at.as_millisecond()));
    // An end in the past or far away is a wrong clock on one of the two sides: renewing at every step would be a storm.
    let is_sane = |end: &Wall| *end > now.plus_ms(RENEW_AHEAD_MS) && *end <= now.plus_ms(LIFE_MS_MAX);
    end.filter(is_sane).unwrap_or(now.plus_ms(LIFE_UNREAD_MS))
}

struct Envelope {
    code: i64,
    text: String,
    data: Json,
}

impl Envelope {
    fn read(answer: &Answer) -> Option<Envelope> {
        let mut json = answer.json()?;
        let code = scalar(json.get("statusCode")?)?.parse().ok()?;
        let data = json.get_mut("data").map(Json::take).unwrap_or_default();
        let error = json.get("errorText").and_then(scalar);
        let text = error.or_else(|| data.get("message").and_then(scalar)).unwrap_or_default();
        Some(Envelope { code, text, data })
    }

    fn unmapped(&self) -> Reason {
        Reason::new("unmapped", format!("the terminal answered {} {}", self.code, self.text))
    }
}

fn is_denied(answer: &Answer) -> bool {
    let code = Envelope::read(answer).map(|envelope| envelope.code);
    // A simulator repeats the envelope's code as the HTTP status, so either place may say it (§1.1).
    matches!(answer.status, 401 | 403) && !matches!(code, Some(0..=400 | 404..)) || matches!(code, Some(401 | 403))
}

fn garbled<T>(answer: &Answer) -> Outcome<T> {
    Outcome::Unknown(Reason::new("garbled", format!("{}, not the terminal's envelope", answer.shape())))
}

fn name_taken(text: &str) -> Reason {
    let cure = "on the terminal: admin panel → «Защита интеграции» → «Настроить доступ» → «Запретить» for our name, then again";
    Reason::new("name_taken", format!("{cure} (105 {})", text.chars().take(WORD_CHARS_MAX).collect::<String>()))
}

fn foreign_token(value: &Json) -> Option<Secret> {
    let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= 2048)?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Secret::new(text))
}

fn word(text: &str) -> String {
    text.chars().take(WORD_CHARS_MAX).collect()
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
    is_protected: bool,
    is_slip_ours: bool,
    tokens: Option<Tokens>,
    /// A new pair that the vault did not take yet: the old one is dead, and this one is not used before it is durable.
    unstored: Option<Tokens>,
    /// The pair was not accepted and could not be renewed: only a registration helps.
    is_dismissed: bool,
    /// The last time of day we were told; it only labels the end of tokens.
    now: Wall,
}

impl KaspiSmartPos {
    /// Builds the driver; no byte leaves yet.
    pub fn open(setup: &Setup) -> Result<KaspiSmartPos, BadSetup> {
        let is_tls = setup.address.starts_with("https:");
        let trust = match (setup.text("tls_name"), setup.flag("insecure").unwrap_or(false)) {
            (Some(_), true) => {
                let problem =
                    "'insecure' believes any certificate, so a name for it says nothing: leave one of them out";
                return Err(BadSetup { key: "tls_name", problem: problem.to_owned() });
            }
            (Some(name), false) => Trust::Named(name.to_owned()),
            (None, true) => Trust::Anybody,
            (None, false) if is_tls && has_ip(&setup.address) => Trust::Named(TLS_NAME_DEFAULT.to_owned()),
            (None, false) => Trust::Roots,
        };
        let web = Web::open(&setup.address, &trust)
            .map_err(|cause| BadSetup { key: "address", problem: cause.to_string() })?;
        Ok(KaspiSmartPos {
            web,
            vault: setup.vault.clone(),
            vault_name: format!("terminal.{}.tokens", setup.name),
            installation: setup.installation.clone(),
            utc_offset_s: setup.utc_offset_s,
            is_protected: setup.flag("protected").unwrap_or(is_tls),
            is_slip_ours: setup.flag("own_slip").unwrap_or(false),
            tokens: None,
            unstored: None,
            is_dismissed: false,
            now: Wall::default(),
        })
    }

    async fn let_in(&mut self) -> Outcome<()> {
        if !self.is_protected {
            return Outcome::Done(());
        }
        if let Some(tokens) = self.unstored.take() {
            return self.keep(tokens).await;
        }
        if self.tokens.is_none() {
            self.tokens = self.vault.load(&self.vault_name).await.as_deref().and_then(Tokens::from_text);
        }
        let Some(tokens) = self.tokens.clone() else { return self.register().await };
        if self.is_dismissed {
            return self.register().await;
        }
        if tokens.until > self.now.plus_ms(RENEW_AHEAD_MS) {
            return Outcome::Done(());
        }
        match self.renew().await {
            // The terminal forgot us or holds another pair: it takes a person's tap (§1.2).
            Outcome::Refused(_) => self.register().await,
            // The old pair serves as long as it lives; a later call renews it.
            Outcome::NotSent(_) if tokens.until > self.now => Outcome::Done(()),
            other @ (Outcome::Done(()) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other,
        }
    }

    async fn register(&mut self) -> Outcome<()> {
        let limits = Limits { whole: REGISTER_TIMEOUT, body_max: ANSWER_BYTES_MAX };
        let request = register_request(&self.installation);
        match self.ask_tokens(&request, limits).await {
            Outcome::Done(tokens) => self.keep(tokens).await,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other.map(|_| ()),
        }
    }

    async fn renew(&mut self) -> Outcome<()> {
        let Some(tokens) = &self.tokens else { return Outcome::Refused(no_access()) };
        let request = revoke_request(&self.installation, &tokens.refresh);
        match self.ask_tokens(&request, Limits::RECORD).await {
            Outcome::Done(tokens) => self.keep(tokens).await,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other.map(|_| ()),
        }
    }

    async fn ask_tokens(&self, request: &Request, limits: Limits) -> Outcome<Tokens> {
        match self.web.send(request, limits).await {
            Ok(answer) if matches!(answer.status, 401 | 403) => Outcome::Refused(no_access()),
            Ok(answer) => read_tokens(&answer, self.now, self.utc_offset_s),
            Err(loss) => lost(loss),
        }
    }

    /// Makes a new pair durable, then uses it: a pair that is lost costs somebody a walk to the terminal.
    async fn keep(&mut self, tokens: Tokens) -> Outcome<()> {
        match self.vault.store(&self.vault_name, tokens.to_text()).await {
            Ok(()) => {
                self.tokens = Some(tokens);
                self.is_dismissed = false;
                Outcome::Done(())
            }
            Err(reason) => {
                self.unstored = Some(tokens);
                Outcome::NotSent(reason)
            }
        }
    }

    fn access(&self) -> Option<&Secret> {
        self.tokens.as_ref().filter(|_| self.is_protected).map(|tokens| &tokens.access)
    }

    /// Asks; where the token is not accepted, renews it once and asks once more. Safe for a start as well: a denied call did nothing.
    async fn ask<T>(
        &mut self,
        request: impl Fn(Option<&Secret>) -> Request,
        read: impl Fn(&Answer) -> Reply<T>,
    ) -> Reply<T> {
        if self.is_protected && self.tokens.is_none() {
            self.tokens = self.vault.load(&self.vault_name).await.as_deref().and_then(Tokens::from_text);
        }
        for is_last in [false, true] {
            let reply = match self.web.send(&request(self.access()), Limits::RECORD).await {
                Ok(answer) => read(&answer),
                Err(loss) => Reply::Said(lost(loss)),
            };
            if !matches!(reply, Reply::Denied) || is_last || !self.is_protected {
                return reply;
            }
            let renewed = match self.unstored.take() {
                Some(tokens) => self.keep(tokens).await,
                None => self.renew().await,
            };
            match renewed {
                Outcome::Done(()) => {}
                Outcome::Refused(_) => {
                    self.is_dismissed = true;
                    return Reply::Denied;
                }
                Outcome::NotSent(_) | Outcome::Unknown(_) => return Reply::Denied,
            }
        }
        Reply::Denied
    }

    async fn begin(&mut self, collect: &Collect) -> Outcome<Handle> {
        let tenge = match whole_tenge(collect.amount) {
            Ok(tenge) => tenge,
            Err(reason) => return Outcome::Refused(reason),
        };
        let is_slip_ours = self.is_slip_ours;
        let reply = self.ask(|access| payment_request(tenge, is_slip_ours, access), read_start).await;
        match reply {
            Reply::Said(outcome) => outcome,
            // Denied calls do nothing: the attempt may go out again once we are let in.
            Reply::Denied => Outcome::NotSent(no_access()),
            Reply::NothingToSettle => Outcome::Unknown(Reason::new("unmapped", "103 to a start")),
        }
    }

    async fn look(&mut self, asked: &Asked) -> Outcome<Standing> {
        let handle = &asked.handle;
        let read = |answer: &Answer| read_standing(answer, handle, Some(asked.amount));
        let reply = self.ask(|access| status_request(handle, access), read).await;
        known(reply)
    }

    async fn find_out(&mut self, asked: &Asked) -> Outcome<Standing> {
        let handle = &asked.handle;
        let read = |answer: &Answer| read_standing(answer, handle, Some(asked.amount));
        match self.ask(|access| actualize_request(handle, access), read).await {
            Reply::NothingToSettle => self.look(asked).await,
            reply @ (Reply::Said(_) | Reply::Denied) => known(reply),
        }
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
            refund: false,
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
        Box::pin(std::future::ready(Health::Good))
    }

    fn inquire<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        Box::pin(self.look(asked))
    }

    fn settle<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        Box::pin(self.find_out(asked))
    }

    fn give_back<'a>(&'a mut self, _ask: &'a GiveBack) -> BoxFuture<'a, Outcome<Handle>> {
        Box::pin(std::future::ready(Outcome::Refused(Reason::new("no_refund", ""))))
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

    #[test]
    fn sums_on_slips() {
        let read = |text| sum_on_slip(text).map(|sum| sum.0);
        for (text, tiyn) in [
            ("15 000 ₸", 1_500_000),
            ("15\u{a0}000\u{202f}₸", 1_500_000),
            ("1 000,00 ₸", 100_000),
            ("1,000.50", 100_050),
            ("1.000,5 тг.", 100_050),
            ("1,000", 100_000),
            ("12'345", 1_234_500),
            ("500", 50_000),
            ("KZT 5", 500),
        ] {
            assert_eq!(read(text), Some(tiyn), "{text}");
        }
        for bad in ["", "₸", "-500 ₸", "− 500", "1,00,0", "12 из 13", "1.0000", "1,0,00", "99999999999999999999"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn ends_of_tokens_in_both_forms() {
        let now = Wall(1_780_000_000_000); // 2026-05-28 20:26:40 UTC
        let at = |text| end_of_life(Some(text), now, 5 * 3600).0;
        assert_eq!(at("2026-05-30 01:00:00"), 1_780_084_800_000);
        assert_eq!(at("May 30, 2026 01:00:00"), 1_780_084_800_000);
        let unread = now.plus_ms(LIFE_UNREAD_MS);
        for bad in ["", "30.05.2026", "2026-05-28 01:00:00", "2036-05-30 01:00:00", "янв. 5, 2026 10:00:00"] {
            assert_eq!(end_of_life(Some(bad), now, 5 * 3600), unread, "{bad}");
        }
        assert_eq!(end_of_life(None, now, i32::MAX), unread);
    }

    #[test]
    fn tokens_survive_the_vault() {
        let tokens = Tokens { access: Secret::new("a"), refresh: Secret::new("r"), until: Wall(5) };
        assert_eq!(Tokens::from_text(&tokens.to_text()), Some(tokens));
        assert_eq!(Tokens::from_text("{}"), None);
    }

    #[test]
    fn f06_only_whole_tenge_leave_the_house() {
        assert_eq!(whole_tenge(Tiyn(500_000)), Ok(5_000));
        for bad in [Tiyn(500_050), Tiyn(0), Tiyn(-100), Tiyn(300_000_000_000)] {
            assert_eq!(whole_tenge(bad).unwrap_err().code, "bad_amount");
        }
    }
}
