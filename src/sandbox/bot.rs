//! The shop's Telegram bot, as far as the daemon sees it: an address that takes AiPay's webhooks, checks their signature, and sometimes
//! fails. The daemon writes to it in the partner's form (mission APIs §1).

use super::aipay::{Dialect, sign};
use super::gate::{Ask, Gate, Ground, plain, with_gate};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;

/// How this bot is set up.
#[derive(Clone, Debug)]
pub struct BotOptions {
    /// What webhooks to it are signed with.
    pub secret: String,
    /// How they are written.
    pub dialect: Dialect,
}

impl Default for BotOptions {
    fn default() -> BotOptions {
        BotOptions { secret: "sandbox-bot-secret".to_owned(), dialect: Dialect::A }
    }
}

/// A webhook that the bot accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BotEvent {
    /// `paid`, `expired`, `error`.
    pub status: String,
    /// The invoice.
    pub invoice_id: String,
    /// The bot's own name of the order.
    pub external_id: String,
    /// Whole tenge.
    pub amount: i64,
    /// The raw body.
    pub raw: String,
}

/// The simulated bot.
pub struct Bot {
    gate: Gate,
    options: BotOptions,
    state: Mutex<Memory>,
}

with_gate!(Bot);

#[derive(Default)]
struct Memory {
    events: Vec<BotEvent>,
    forged: u32,
    failures_left: u32,
}

impl Bot {
    /// A bot that heard nothing yet.
    pub fn new(ground: &Ground, options: BotOptions) -> Arc<Bot> {
        Arc::new(Bot { gate: Gate::new("bot", ground), options, state: Mutex::default() })
    }

    /// The bot's HTTP face.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(receive).with_state(Arc::clone(self))
    }

    /// The next `times` webhooks are answered with 500 and forgotten.
    pub fn fail(&self, times: u32) {
        self.memory().failures_left = times;
    }

    /// Everything accepted, in order, repetitions included.
    pub fn events(&self) -> Vec<BotEvent> {
        self.memory().events.clone()
    }

    /// How many webhooks had a wrong signature.
    pub fn forged(&self) -> u32 {
        self.memory().forged
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, ask: &Ask) -> Response {
        if ask.method != Method::POST || ask.path != "/webhook/aipay" {
            self.gate.complain(format!("{} {} is not the bot's webhook", ask.method, ask.path));
            return plain(404, "no such address");
        }
        let expected = sign(&self.options.secret, &ask.body);
        let given = ask.header(self.options.dialect.header()).unwrap_or_default();
        if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            self.memory().forged += 1;
            self.gate.complain("a webhook with a wrong signature");
            return plain(403, "wrong signature");
        }
        let Some(event) = read_event(self.options.dialect, &ask.body) else {
            self.gate.complain("a signed webhook that cannot be read");
            return plain(400, "unreadable");
        };
        let mut memory = self.memory();
        if memory.failures_left > 0 {
            memory.failures_left -= 1;
            return plain(500, "the bot was told to fail");
        }
        memory.events.push(event);
        plain(200, "ok")
    }
}

async fn receive(State(bot): State<Arc<Bot>>, request: Request) -> Response {
    match Ask::read(request).await {
        Ok(ask) => bot.gate.pass("webhook", async { bot.hear(&ask) }).await,
        Err(refusal) => refusal,
    }
}

fn read_event(dialect: Dialect, body: &[u8]) -> Option<BotEvent> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let status = match dialect {
        Dialect::A => text("event")?.strip_prefix("invoice.")?.to_owned(),
        Dialect::B => text("status")?,
    };
    Some(BotEvent {
        status,
        invoice_id: text("invoice_id")?,
        external_id: text("external_id")?,
        amount: json.get("amount").and_then(Value::as_i64)?,
        raw: String::from_utf8(body.to_vec()).ok()?,
    })
}
