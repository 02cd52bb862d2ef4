//! AiPay as the mission's API chapter §1 describes it: invoices to a phone, four statuses, fifteen minutes of life, and webhooks signed
//! in dialect A or B that are repeated until somebody answers 200 within five seconds. It refuses what the partner would refuse and
//! keeps no promise that the partner does not make: the same `external_id` twice makes two invoices.

use super::gate::{Ask, AutoGuest, Gate, Ground, Stage, Will, json, post, utc_time, with_gate};
use crate::domain::time::Wall;
use crate::host::clock::Monotonic;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long an invoice lives.
pub const INVOICE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a receiver of webhooks may think.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_secs(5);
/// The gaps between deliveries of one webhook; after the last one it is given up.
pub const WEBHOOK_GAPS_S: [u64; 10] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 900];
/// The largest invoice, in tenge.
const AMOUNT_TENGE_MAX: i64 = 100_000_000;
/// The longest description and the longest `external_id`, in characters.
const TEXT_LETTERS_MAX: usize = 500;

/// Which of the partner's two ways of writing webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `X-AiPay-Signature` and `event`.
    A,
    /// `X-Signature` and `status`.
    B,
}

impl Dialect {
    /// The name of the signature's header.
    pub fn header(self) -> &'static str {
        match self {
            Dialect::A => "x-aipay-signature",
            Dialect::B => "x-signature",
        }
    }
}

/// When webhooks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookMode {
    /// At once, once, repeated until accepted.
    Normal,
    /// Every message twice at the same time (F04).
    Twice,
    /// Never (F10).
    Never,
    /// This much later.
    Late(Duration),
    /// The guest pays at once and the webhook goes out before the reply to the create (F02).
    BeforeReply,
}

/// How this AiPay is set up.
#[derive(Clone, Debug)]
pub struct AiPayOptions {
    /// The only key that is let in.
    pub api_key: String,
    /// What webhooks are signed with.
    pub webhook_secret: String,
    /// How webhooks are written.
    pub dialect: Dialect,
    /// Where they go; plain `http://`.
    pub webhook_url: Option<String>,
    /// How long an invoice lives.
    pub life: Duration,
    /// Guests that act on their own.
    pub guest: Option<AutoGuest>,
}

impl Default for AiPayOptions {
    fn default() -> AiPayOptions {
        AiPayOptions {
            api_key: "sandbox-aipay-key".to_owned(),
            webhook_secret: "sandbox-aipay-secret".to_owned(),
            dialect: Dialect::A,
            webhook_url: None,
            life: INVOICE_LIFE,
            guest: None,
        }
    }
}

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// The guest may pay.
    Pending,
    /// The money moved.
    Paid,
    /// Not paid in time.
    Expired,
    /// It failed.
    Error,
}

impl InvoiceStatus {
    fn word(self) -> &'static str {
        match self {
            InvoiceStatus::Pending => "pending",
            InvoiceStatus::Paid => "paid",
            InvoiceStatus::Expired => "expired",
            InvoiceStatus::Error => "error",
        }
    }
}

/// An invoice as tests and the control page see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvoiceView {
    /// The partner's name of it.
    pub id: String,
    /// The caller's name of it.
    pub external_id: String,
    /// Whole tenge, as asked for.
    pub amount: i64,
    /// Whole tenge, as the guest paid.
    pub amount_paid: i64,
    /// The guest's phone.
    pub phone: String,
    /// What the guest reads.
    pub description: String,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// When it was made.
    pub created: Wall,
    /// When it was paid.
    pub paid: Option<Wall>,
    /// How often the guest's money moved.
    pub times_paid: u32,
    /// The guest put the phone away.
    pub walked_away: bool,
}

/// One webhook and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryView {
    /// The invoice.
    pub invoice_id: String,
    /// The status it tells.
    pub status: InvoiceStatus,
    /// How often it was sent.
    pub tries: u32,
    /// The last HTTP status that came back; none when nothing came back.
    pub answered: Option<u16>,
    /// Accepted with 200.
    pub is_accepted: bool,
}

/// A fiscal receipt that the partner issued itself: one per paid invoice, whatever the shop registers elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AiPayReceipt {
    /// The invoice.
    pub invoice_id: String,
    /// The caller's name of it.
    pub external_id: String,
    /// Whole tenge.
    pub amount: i64,
}

/// The simulated AiPay.
pub struct AiPay {
    gate: Gate,
    ground: Ground,
    /// The partner itself, for the tasks it starts.
    this: std::sync::Weak<AiPay>,
    state: Mutex<Books>,
}

with_gate!(AiPay);

struct Books {
    options: AiPayOptions,
    mode: WebhookMode,
    is_trial_over: bool,
    invoices: Vec<Invoice>,
    deliveries: Vec<DeliveryView>,
}

struct Invoice {
    view: InvoiceView,
    dies: Monotonic,
    expires: Wall,
    /// Shown in place of the status.
    word: Option<String>,
}

struct Wanted {
    phone: String,
    amount: i64,
    description: String,
    external_id: String,
}

type Refusal = (u16, &'static str, &'static str);

impl AiPay {
    /// An AiPay without invoices.
    pub fn new(ground: &Ground, options: AiPayOptions) -> Arc<AiPay> {
        let books = Books {
            options,
            mode: WebhookMode::Normal,
            is_trial_over: false,
            invoices: Vec::new(),
            deliveries: Vec::new(),
        };
        Arc::new_cyclic(|this| AiPay {
            gate: Gate::new("aipay", ground),
            ground: ground.clone(),
            this: this.clone(),
            state: Mutex::new(books),
        })
    }

    /// The partner's HTTP face; the base path is `/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(receive).with_state(Arc::clone(self))
    }

    /// Sets where webhooks go.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.books().options.webhook_url = url;
    }

    /// Sets when webhooks go.
    pub fn set_webhook_mode(&self, mode: WebhookMode) {
        self.books().mode = mode;
        self.gate.touch();
    }

    /// When webhooks go.
    pub fn webhook_mode(&self) -> WebhookMode {
        self.books().mode
    }

    /// Sets how webhooks are written.
    pub fn set_dialect(&self, dialect: Dialect) {
        self.books().options.dialect = dialect;
    }

    /// Changes the secret of webhooks: a rotation.
    pub fn set_webhook_secret(&self, secret: &str) {
        self.books().options.webhook_secret = secret.to_owned();
    }

    /// Lets guests act on their own, from the next invoice on.
    pub fn set_auto_guest(&self, guest: Option<AutoGuest>) {
        self.books().options.guest = guest;
        self.gate.touch();
    }

    /// Whether guests act on their own.
    pub fn has_auto_guest(&self) -> bool {
        self.books().options.guest.is_some()
    }

    /// Ends the trial period: every call is refused with 402.
    pub fn set_trial_over(&self, is_over: bool) {
        self.books().is_trial_over = is_over;
    }

    /// The guest pays; `false` unless the invoice waits.
    pub fn guest_pays(&self, id: &str) -> bool {
        self.pay(id, &[InvoiceStatus::Pending], None)
    }

    /// The guest pays another sum than asked, which the record then shows (F06).
    pub fn guest_pays_sum(&self, id: &str, tenge: i64) -> bool {
        self.pay(id, &[InvoiceStatus::Pending], Some(tenge))
    }

    /// The guest's confirmation arrives after expiry or an error (F05).
    pub fn guest_pays_late(&self, id: &str) -> bool {
        self.pay(id, &[InvoiceStatus::Expired, InvoiceStatus::Error], None)
    }

    /// The guest puts the phone away: nobody will pay on his own.
    pub fn guest_walks_away(&self, id: &str) -> bool {
        let is_known = self.books().find(id).map(|invoice| invoice.view.walked_away = true).is_some();
        self.gate.touch();
        is_known
    }

    /// The invoice fails; `false` unless it waits.
    pub fn set_error(&self, id: &str) -> bool {
        self.turn(id, &[InvoiceStatus::Pending], InvoiceStatus::Error, |_| {})
    }

    /// The invoice's life ends now; `false` unless it waits.
    pub fn expire(&self, id: &str) -> bool {
        self.turn(id, &[InvoiceStatus::Pending], InvoiceStatus::Expired, |_| {})
    }

    /// Lets the record show a word of a later version in place of the status, until none is given again.
    pub fn set_word(&self, id: &str, word: Option<&str>) -> bool {
        self.books().find(id).map(|invoice| invoice.word = word.map(str::to_owned)).is_some()
    }

    /// Sends the message about the invoice's present status once more.
    pub fn redeliver(&self, id: &str) -> bool {
        let status = self.books().find(id).map(|invoice| invoice.view.status);
        let Some(status) = status.filter(|status| *status != InvoiceStatus::Pending) else { return false };
        self.deliver(id, status, Duration::ZERO);
        true
    }

    /// All invoices, oldest first.
    pub fn invoices(&self) -> Vec<InvoiceView> {
        self.sweep();
        self.books().invoices.iter().map(|invoice| invoice.view.clone()).collect()
    }

    /// The fiscal receipts that the partner issued, oldest first.
    pub fn receipts(&self) -> Vec<AiPayReceipt> {
        let books = self.books();
        let paid = books.invoices.iter().map(|invoice| &invoice.view).filter(|view| view.times_paid > 0);
        let receipt = |view: &InvoiceView| AiPayReceipt {
            invoice_id: view.id.clone(),
            external_id: view.external_id.clone(),
            amount: view.amount_paid,
        };
        paid.map(receipt).collect()
    }

    /// All webhooks, oldest first.
    pub fn deliveries(&self) -> Vec<DeliveryView> {
        self.books().deliveries.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pay(&self, id: &str, from: &[InvoiceStatus], tenge: Option<i64>) -> bool {
        let now = self.ground.clock.wall();
        self.turn(id, from, InvoiceStatus::Paid, |invoice| {
            invoice.paid = Some(now);
            invoice.times_paid += 1;
            invoice.amount_paid = tenge.unwrap_or(invoice.amount);
        })
    }

    /// Changes a status and tells the world; every change goes through here.
    fn turn(&self, id: &str, from: &[InvoiceStatus], to: InvoiceStatus, change: impl FnOnce(&mut InvoiceView)) -> bool {
        self.sweep();
        let is_turned = match self.books().find(id) {
            Some(invoice) if from.contains(&invoice.view.status) => {
                invoice.view.status = to;
                change(&mut invoice.view);
                true
            }
            Some(_) | None => false,
        };
        if is_turned {
            self.announce(id, to);
        }
        is_turned
    }

    /// Expires what is over, so that nobody ever sees a dead invoice waiting.
    fn sweep(&self) {
        let now = self.ground.clock.now();
        let mut over = Vec::new();
        for invoice in &mut self.books().invoices {
            if invoice.view.status == InvoiceStatus::Pending && invoice.dies <= now {
                invoice.view.status = InvoiceStatus::Expired;
                over.push(invoice.view.id.clone());
            }
        }
        for id in over {
            self.announce(&id, InvoiceStatus::Expired);
        }
    }

    fn announce(&self, id: &str, status: InvoiceStatus) {
        self.gate.touch();
        match self.webhook_mode() {
            WebhookMode::Normal | WebhookMode::BeforeReply => {
                self.deliver(id, status, Duration::ZERO);
            }
            WebhookMode::Twice => {
                self.deliver(id, status, Duration::ZERO);
                self.deliver(id, status, Duration::ZERO);
            }
            WebhookMode::Never => {}
            WebhookMode::Late(span) => {
                self.deliver(id, status, span);
            }
        }
    }

    /// Starts a delivery; the returned signal turns true after its first try.
    fn deliver(&self, id: &str, status: InvoiceStatus, wait: Duration) -> watch::Receiver<bool> {
        let tried = watch::Sender::new(false);
        let receiver = tried.subscribe();
        let place = {
            let mut books = self.books();
            let invoice_id = id.to_owned();
            books.deliveries.push(DeliveryView { invoice_id, status, tries: 0, answered: None, is_accepted: false });
            books.deliveries.len() - 1
        };
        if let Some(this) = self.this.upgrade() {
            let id = id.to_owned();
            self.ground.start(async move { this.run_delivery(place, &id, status, wait, &tried).await });
        }
        receiver
    }

    async fn run_delivery(
        &self,
        place: usize,
        id: &str,
        status: InvoiceStatus,
        wait: Duration,
        tried: &watch::Sender<bool>,
    ) {
        self.ground.clock.sleep(wait).await;
        for gap in WEBHOOK_GAPS_S {
            let answered = self.send_webhook(id, status).await;
            let is_accepted = answered == Some(200);
            if let Some(delivery) = self.books().deliveries.get_mut(place) {
                delivery.tries += 1;
                delivery.answered = answered;
                delivery.is_accepted = is_accepted;
            }
            tried.send_replace(true);
            self.gate.touch();
            if answered.is_some() {
                self.gate.seen("notice", Stage::Answering);
            }
            if is_accepted {
                return;
            }
            self.ground.clock.sleep(Duration::from_secs(gap)).await;
        }
    }

    async fn send_webhook(&self, id: &str, status: InvoiceStatus) -> Option<u16> {
        let now = self.ground.clock.wall();
        let (url, header, body, signature) = {
            let mut books = self.books();
            let url = books.options.webhook_url.clone()?;
            let (dialect, secret) = (books.options.dialect, books.options.webhook_secret.clone());
            let body = webhook_body(dialect, &books.find(id)?.view, status, now);
            let signature = sign(&secret, body.as_bytes());
            (url, dialect.header(), body, signature)
        };
        let headers = [(header, signature.as_str())];
        let posted = self.ground.clock.limit(WEBHOOK_PATIENCE, post(&url, &headers, body.as_bytes())).await;
        posted.ok().and_then(Result::ok)
    }

    async fn create(&self, ask: &Ask) -> Response {
        let wanted = match self.admit(ask).and_then(|()| wanted(ask, &self.gate)) {
            Ok(wanted) => wanted,
            Err(refusal) => return refuse(&self.gate, refusal),
        };
        let (id, reply) = self.enter(wanted);
        if self.webhook_mode() == WebhookMode::BeforeReply && self.mark_paid_silently(&id) {
            let mut tried = self.deliver(&id, InvoiceStatus::Paid, Duration::ZERO);
            // An error means that the world ends: then nobody reads the reply.
            let _first_try = tried.wait_for(|tried| *tried).await.is_ok();
        }
        json(201, &reply)
    }

    fn mark_paid_silently(&self, id: &str) -> bool {
        let now = self.ground.clock.wall();
        let is_found = self.books().find(id).map(|invoice| {
            let view = &mut invoice.view;
            (view.status, view.paid, view.times_paid) = (InvoiceStatus::Paid, Some(now), view.times_paid + 1);
            view.amount_paid = view.amount;
        });
        self.gate.touch();
        is_found.is_some()
    }

    fn enter(&self, wanted: Wanted) -> (String, Value) {
        let (now, wall) = (self.ground.clock.now(), self.ground.clock.wall());
        let id = format!("inv_{}", self.ground.ids.name(16));
        let mut books = self.books();
        let life = books.options.life;
        let is_second = books.invoices.iter().any(|known| {
            known.view.external_id == wanted.external_id
                && known.view.status == InvoiceStatus::Pending
                && known.dies > now
        });
        let view = InvoiceView {
            id: id.clone(),
            external_id: wanted.external_id,
            amount: wanted.amount,
            amount_paid: 0,
            phone: wanted.phone,
            description: wanted.description,
            status: InvoiceStatus::Pending,
            created: wall,
            paid: None,
            times_paid: 0,
            walked_away: false,
        };
        let external_id = view.external_id.clone();
        let expires = wall.plus_ms(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let invoice = Invoice { view, dies: now.plus(life), expires, word: None };
        let reply = invoice.record();
        let dies = invoice.dies;
        books.invoices.push(invoice);
        let guest = books.options.guest.filter(|_| books.mode != WebhookMode::BeforeReply);
        drop(books);
        if is_second {
            self.gate.complain(format!("a second live invoice for external_id {external_id}"));
        }
        self.start_life(&id, dies, guest);
        (id, reply)
    }

    fn start_life(&self, id: &str, dies: Monotonic, guest: Option<AutoGuest>) {
        let Some(this) = self.this.upgrade() else { return };
        let clock = self.ground.clock.clone();
        self.ground.start(async move {
            clock.sleep_until(dies).await;
            this.sweep();
        });
        let (Some(this), Some(guest)) = (self.this.upgrade(), guest) else { return };
        let (thinks, will) = guest.draw(&self.ground.ids);
        let id = id.to_owned();
        self.ground.start(async move {
            this.ground.clock.sleep(thinks).await;
            let is_here = this.books().find(&id).is_some_and(|invoice| !invoice.view.walked_away);
            let _acted = match will {
                Will::Pay | Will::PayByCard if is_here => this.guest_pays(&id),
                Will::BeDeclined if is_here => this.set_error(&id),
                Will::Pay | Will::PayByCard | Will::BeDeclined | Will::WalkAway => this.guest_walks_away(&id),
            };
        });
    }

    fn read(&self, ask: &Ask, id: &str) -> Response {
        if let Err(refusal) = self.admit(ask) {
            return refuse(&self.gate, refusal);
        }
        self.sweep();
        let record = self.books().find(id).map(|invoice| invoice.record());
        match record {
            Some(record) => json(200, &record),
            None => refuse(&self.gate, (404, "not_found", "no such invoice")),
        }
    }

    fn admit(&self, ask: &Ask) -> Result<(), Refusal> {
        let books = self.books();
        let key = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if key != Some(books.options.api_key.as_str()) {
            return Err((401, "unauthorized", "the API key is missing or wrong"));
        }
        if books.is_trial_over {
            return Err((402, "payment_required", "the trial period is over"));
        }
        if ask.query.is_empty() { Ok(()) } else { Err((400, "bad_request", "this call takes no query parameters")) }
    }
}

impl Books {
    fn find(&mut self, id: &str) -> Option<&mut Invoice> {
        self.invoices.iter_mut().find(|invoice| invoice.view.id == id)
    }
}

impl Invoice {
    /// The invoice as the partner's API shows it: its own members and no others.
    fn record(&self) -> Value {
        let view = &self.view;
        let amount = if view.status == InvoiceStatus::Paid { view.amount_paid } else { view.amount };
        serde_json::json!({
            "invoice_id": view.id,
            "status": self.word.as_deref().unwrap_or(view.status.word()),
            "amount": amount,
            "phone": view.phone,
            "created_at": utc_time(view.created),
            "expires_at": utc_time(self.expires),
        })
    }
}

async fn receive(State(aipay): State<Arc<AiPay>>, request: Request) -> Response {
    let ask = match Ask::read(request).await {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    let path = ask.path.clone();
    match path.strip_prefix("/v1/invoices").map(|rest| (rest, &ask.method)) {
        Some(("", &Method::POST)) => aipay.gate.pass("create", aipay.create(&ask)).await,
        Some((rest, &Method::GET)) if rest.len() > 1 && rest.starts_with('/') => {
            aipay.gate.pass("get", async { aipay.read(&ask, &rest[1..]) }).await
        }
        Some(_) => refuse(&aipay.gate, (405, "method_not_allowed", "POST /invoices or GET /invoices/{invoice_id}")),
        None => refuse(&aipay.gate, (404, "not_found", "no such address; the base is /v1")),
    }
}

fn refuse(gate: &Gate, (status, code, message): Refusal) -> Response {
    gate.complain(format!("refused with {status}: {message}"));
    json(status, &serde_json::json!({"error": {"code": code, "message": message}}))
}

fn wanted(ask: &Ask, gate: &Gate) -> Result<Wanted, Refusal> {
    if !ask.is_of("application/json") {
        return Err((415, "unsupported_media_type", "Content-Type must be application/json"));
    }
    let body: Map<String, Value> =
        serde_json::from_slice(&ask.body).map_err(|_| (400, "bad_json", "the body is not a JSON object"))?;
    for key in body.keys().filter(|key| !["phone", "amount", "description", "external_id"].contains(&key.as_str())) {
        gate.complain(format!("unknown member {key} in POST /invoices"));
    }
    let text = |name: &str| {
        let text = body.get(name).and_then(Value::as_str).map(str::to_owned);
        text.filter(|text| !text.trim().is_empty() && text.chars().count() <= TEXT_LETTERS_MAX)
    };
    let phone = text("phone").filter(|phone| is_phone(phone));
    let phone = phone.ok_or((422, "bad_phone", "phone must be 77XXXXXXXXX: 11 digits, no plus"))?;
    // `as_i64` is none for 12400.0 as well as for "12400": only a JSON integer passes.
    let amount = body.get("amount").and_then(Value::as_i64).filter(|amount| (1..=AMOUNT_TENGE_MAX).contains(amount));
    let amount = amount.ok_or((422, "bad_amount", "amount must be an integer of whole tenge above zero"))?;
    let description = text("description").ok_or((422, "bad_description", "description is missing"))?;
    let external_id = text("external_id").ok_or((422, "bad_external_id", "external_id is missing"))?;
    Ok(Wanted { phone, amount, description, external_id })
}

fn is_phone(text: &str) -> bool {
    text.len() == 11 && text.starts_with("77") && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn webhook_body(dialect: Dialect, invoice: &InvoiceView, status: InvoiceStatus, now: Wall) -> String {
    let amount = if status == InvoiceStatus::Paid { invoice.amount_paid } else { invoice.amount };
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    match dialect {
        Dialect::A => put("event", format!("invoice.{}", status.word()).into()),
        Dialect::B => put("status", status.word().into()),
    };
    put("invoice_id", invoice.id.clone().into());
    put("external_id", invoice.external_id.clone().into());
    put("amount", amount.into());
    match (dialect, status, invoice.paid) {
        (Dialect::A, InvoiceStatus::Paid, Some(paid)) => put("paid_at", utc_time(paid).into()),
        (Dialect::A, _, _) => None,
        (Dialect::B, _, _) => put("timestamp", utc_time(now).into()),
    };
    Value::Object(body).to_string()
}

/// HMAC-SHA256 over the raw body as lower-case hex, as both dialects sign.
pub fn sign(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so this cannot fail; an empty signature would be refused everywhere.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
