//! Tells a bot what became of its invoice, in AiPay's form and signed the same way, until the bot accepts it.

use super::{BackOff, Office, earliest, until};
use crate::domain::ids::JobId;
use crate::domain::outcome::Reason;
use crate::domain::time::Wall;
use crate::drivers::signature;
use crate::host::clock::Monotonic;
use crate::host::secret::Secret;
use crate::ledger::outbox::JobRow;
use crate::transport::web::{Limits, Request, Web};
use crate::{flows::settle, transport::Loss};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;
use tracing::warn;

/// The longest pause between two deliveries of one notice.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// The pause while there is nothing to retry but the ledger.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// Refused for this long, a notice is a person's affair. Counted anew after a restart: only a running daemon knows how long it tried.
const REFUSED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Notices looked at at once; those that were never refused come first, so that a backlog starves no new one.
const NOTICES_MAX: u32 = 200;

/// How often one notice was refused, and when it is due again.
struct Pace {
    since: Monotonic,
    next: Monotonic,
    back_off: BackOff,
}

/// In which form a bot wants its notices (`mission-apis` §1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `X-AiPay-Signature` and `event`.
    A,
    /// `X-Signature` and `status`.
    B,
}

/// A bot that called `/v1/invoices`.
#[derive(Clone, Debug)]
pub struct Bot {
    /// Its name in the configuration.
    pub name: String,
    /// With what its notices are signed.
    pub webhook_secret: Secret,
    /// In which form.
    pub dialect: Dialect,
}

/// The way to a bot.
pub trait Delivery: Send + Sync {
    /// Posts a signed notice; the status of the answer.
    fn post<'a>(&'a self, header: &'static str, signature: String, body: String) -> BoxFuture<'a, Result<u16, Loss>>;
}

impl Delivery for Web {
    fn post<'a>(&'a self, header: &'static str, signature: String, body: String) -> BoxFuture<'a, Result<u16, Loss>> {
        Box::pin(async move {
            let request = Request::post("").header(header, signature).json(body);
            self.send(&request, Limits::RECORD).await.map(|answer| answer.status)
        })
    }
}

#[derive(Deserialize)]
struct Told {
    status: String,
    invoice_id: String,
    external_id: String,
    amount: Option<i64>,
    at_ms: i64,
}

/// Serves one bot, usually over HTTP to its webhook address, until the daemon stops.
pub async fn run(office: Office, way: Box<dyn Delivery>, bot: Bot) {
    let stop = office.stop.clone();
    tokio::select! {
        biased;
        () = stop.wait() => {}
        () = serve(&office, way.as_ref(), &bot) => {}
    }
}

/// Serves a bot without a webhook address: it hears nothing, so what was written down for it is done.
pub async fn run_silent(office: Office, name: String) {
    let stop = office.stop.clone();
    let serve = async {
        let mut ear = office.listen();
        loop {
            let jobs = office.look(|view| view.due_notices(&name, NOTICES_MAX)).unwrap_or_default();
            for job in &jobs {
                let id = job.id;
                if let Err(fault) = office.writer.decide(move |tx| settle::told(tx, id, Ok(()))).await {
                    warn!(bot = %name, %fault, "the ledger did not take that a bot hears nothing");
                    office.clock.sleep(FAULT_PAUSE).await;
                }
            }
            if jobs.is_empty() {
                ear.changed_of(&["job"]).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.wait() => {}
        () = serve => {}
    }
}

async fn serve(office: &Office, way: &dyn Delivery, bot: &Bot) {
    let mut ear = office.listen();
    let mut paces: HashMap<JobId, Pace> = HashMap::new();
    loop {
        let jobs = office.look(|view| view.due_notices(&bot.name, NOTICES_MAX)).unwrap_or_default();
        paces.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        let now = office.clock.now();
        let is_due = |job: &&JobRow| paces.get(&job.id).is_none_or(|pace| pace.next <= now);
        // One at a time: what was written down meanwhile is looked at before the next refused one.
        if let Some(job) = jobs.iter().find(is_due) {
            let accepted = deliver(office, way, bot, job).await;
            let now = office.clock.now();
            let pace = paces.entry(job.id).or_insert(Pace { since: now, next: now, back_off: BackOff::default() });
            pace.next = now.plus(pace.back_off.pause(PAUSE_MAX));
            let is_given_up = accepted.is_err() && now.since(pace.since) >= REFUSED_FOR;
            let id = job.id;
            let written = office.writer.decide(move |tx| {
                if is_given_up { settle::give_up_telling(tx, id) } else { settle::told(tx, id, accepted) }
            });
            if let Err(fault) = written.await {
                warn!(bot = %bot.name, %fault, "the ledger did not take what came of a notice");
            }
            continue;
        }
        let next = earliest(paces.values().map(|pace| pace.next));
        tokio::select! {
            biased;
            _ = ear.changed_of(&["job"]) => {}
            () = until(&office.clock, next.or(Some(office.clock.now().plus(FAULT_PAUSE * 12)))) => {}
        }
    }
}

async fn deliver(office: &Office, way: &dyn Delivery, bot: &Bot, job: &JobRow) -> Result<(), Reason> {
    let told: Told = serde_json::from_str(&job.body).map_err(|cause| Reason::new("broken", cause))?;
    let (header, body) = notice(bot.dialect, &told, &office.rules.machine_time(Wall(told.at_ms)));
    let signature = signature::sign(&bot.webhook_secret, body.as_bytes());
    match way.post(header, signature, body).await {
        Ok(status) if (200..300).contains(&status) => Ok(()),
        Ok(status) => Err(Reason::new("bot_refused", status)),
        Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => Err(Reason::new("link_lost", detail)),
    }
}

fn notice(dialect: Dialect, told: &Told, at: &str) -> (&'static str, String) {
    match dialect {
        Dialect::A => {
            let mut body = json!({
                "event": format!("invoice.{}", told.status),
                "invoice_id": told.invoice_id,
                "external_id": told.external_id,
                "amount": told.amount,
            });
            if told.status == "paid" {
                body["paid_at"] = json!(at);
            }
            ("x-aipay-signature", body.to_string())
        }
        Dialect::B => {
            let body = json!({
                "invoice_id": told.invoice_id,
                "status": told.status,
                "external_id": told.external_id,
                "amount": told.amount,
                "timestamp": at,
            });
            ("x-signature", body.to_string())
        }
    }
}
