//! AiPay, the cloud that turns Kaspi Pay into invoices and webhooks (mission-apis §1). Sums are whole tenge. It knows neither
//! idempotency nor search: a create whose answer is lost stays unknown (contract, "What a failed create means"). A word for a status
//! that we do not know means that it goes on. A read is never `Refused`: only the cloud's own record ends an invoice.

use crate::domain::attempt::Evidence;
use crate::domain::ids::{Handle, Reference};
use crate::domain::money::Tiyn;
use crate::domain::order::Tender;
use crate::domain::outcome::{Outcome, Reason};
use crate::drivers::{
    BadSetup, Build, Cloud, CloudAbilities, CloudWithWebhooks, Collect, Forged, Headers, InvoiceRecord, Key, Kind,
    Notice, Setup, Standing, Takes, Unreadable, Verified, WebhookScheme, foreign_id, lost, scalar, signature,
};
use crate::host::secret::Secret;
use crate::transport::web::{Answer, Limits, Request, Trust, Web};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

/// Its line in the registry.
pub const KIND: Kind = Kind {
    name: "aipay",
    title: "AiPay: Kaspi invoices to a phone",
    keys: &[
        Key {
            name: "api_key_file",
            takes: Takes::SecretFile,
            required: true,
            help: "the API key of this till, from AiPay's cabinet",
        },
        Key {
            name: "webhook_secret_files",
            takes: Takes::SecretFiles,
            required: true,
            help: "what AiPay signs its webhooks with; several while it is being changed",
        },
    ],
    build: Build::Cloud(build, &ABILITIES),
};

/// What it can do; it issues the fiscal receipt of what is paid through it.
const ABILITIES: CloudAbilities =
    CloudAbilities { tenders: &[Tender::KaspiInvoice], life: LIFE, find: false, issues_receipts: true };

/// How long a guest may pay.
pub const LIFE: Duration = Duration::from_secs(15 * 60);
/// The header of each dialect's signature.
const DIALECTS: [(&str, &str); 2] = [("A", "x-aipay-signature"), ("B", "x-signature")];
/// The longest description that is sent: it is read on a phone.
const DESCRIPTION_CHARS_MAX: usize = 200;
/// The longest name of an invoice; it becomes a part of a path.
const INVOICE_ID_CHARS_MAX: usize = 64;
/// The longest word of the cloud that is kept.
const WORD_CHARS_MAX: usize = 64;

/// Asks for an invoice; what AiPay cannot take is refused before a byte leaves.
pub fn create_request(ask: &Collect, key: &Secret) -> Result<Request, Reason> {
    let bad = |why: &str| Reason::new("bad_amount", format!("{} ₸: {why}", ask.amount.decimal()));
    let tenge = ask.amount.whole_tenge().ok_or_else(|| bad("AiPay takes whole tenge only"))?;
    if tenge <= 0 {
        return Err(bad("there is nothing to collect"));
    }
    let phone = ask.phone.as_ref().ok_or_else(|| Reason::new("no_phone", "an invoice goes to a phone"))?;
    let description: String = ask.description.chars().take(DESCRIPTION_CHARS_MAX).collect();
    let body = serde_json::json!({
        "phone": phone.digits(), "amount": tenge, "description": description, "external_id": ask.reference.as_str(),
    });
    Ok(Request::post("/invoices").bearer(key).json(body.to_string()))
}

/// Asks for the cloud's own record; `None` where the handle cannot be AiPay's.
pub fn get_request(handle: &Handle, key: &Secret) -> Option<Request> {
    let id = invoice_id(&Json::String(handle.0.clone()))?;
    Some(Request::get(format!("/invoices/{id}")).bearer(key))
}

/// Reads the answer to a create.
pub fn read_create(answer: &Answer, ask: &Collect) -> Outcome<InvoiceRecord> {
    let because = |code: &str| Reason::new(code, told(answer));
    match answer.status {
        200..=299 => read_record(answer).and_then(|(record, amount)| match (&record.reference, amount) {
            (Some(reference), _) if *reference != ask.reference => contradiction("it carries another reference"),
            (_, Some(amount)) if amount != ask.amount => contradiction("it is over another sum"),
            (_, _) => Outcome::Done(record),
        }),
        429 => Outcome::NotSent(because("too_many")),
        503 => Outcome::NotSent(because("partner_busy")),
        401 | 403 => Outcome::Refused(because("bad_key")),
        402 => Outcome::Refused(because("trial_over")),
        // "Conflict" may mean that an earlier try of the same reference was taken: that is no proof of nothing.
        409 => Outcome::Unknown(because("conflict")),
        400..=499 => Outcome::Refused(because("cloud_refused")),
        _ => Outcome::Unknown(because("unmapped")),
    }
}

/// Reads the answer to a read of the record.
pub fn read_inquiry(answer: &Answer, handle: &Handle) -> Outcome<InvoiceRecord> {
    let because = |code: &str| Reason::new(code, told(answer));
    match answer.status {
        200..=299 => read_record(answer).and_then(|(record, _)| {
            if record.handle == *handle { Outcome::Done(record) } else { contradiction("it is another invoice") }
        }),
        404 | 410 => {
            let standing = Standing::Unclear(because("no_such_invoice"));
            Outcome::Done(InvoiceRecord { handle: handle.clone(), reference: None, standing })
        }
        401 | 403 => Outcome::Unknown(because("bad_key")),
        402 => Outcome::Unknown(because("trial_over")),
        429 => Outcome::Unknown(because("too_many")),
        _ => Outcome::Unknown(because("unmapped")),
    }
}

fn read_record(answer: &Answer) -> Outcome<(InvoiceRecord, Option<Tiyn>)> {
    let garbled = || Outcome::Unknown(Reason::new("garbled", format!("{}, not an invoice", answer.shape())));
    let Some(json) = answer.json() else { return garbled() };
    let id = json.get("invoice_id").and_then(invoice_id);
    let status = json.get("status").and_then(scalar);
    let (Some(id), Some(status)) = (id, status) else { return garbled() };
    let amount = match json.get("amount").filter(|amount| !amount.is_null()) {
        Some(value) => match sum(value) {
            Some(amount) => Some(amount),
            None => return garbled(),
        },
        None => None,
    };
    let reference = json.get("external_id").and_then(foreign_id).map(Reference);
    let standing = standing(&status, amount, &id, &json);
    Outcome::Done((InvoiceRecord { handle: Handle(id), reference, standing }, amount))
}

fn standing(status: &str, amount: Option<Tiyn>, id: &str, json: &Json) -> Standing {
    let because = |code: &str| {
        let text = ["error_message", "message"].iter().find_map(|key| json.get(key).and_then(scalar));
        Reason::new(code, text.unwrap_or_default())
    };
    match (status.to_ascii_lowercase().as_str(), amount) {
        ("paid", Some(amount)) => Standing::Paid(Evidence {
            amount,
            method: "invoice".to_owned(),
            transaction: id.to_owned(),
            source: "cloud".to_owned(),
            detail: json.get("paid_at").and_then(scalar).map(|at| format!("paid_at {}", word(&at))).unwrap_or_default(),
            tendered: None,
        }),
        ("paid", None) => Standing::Unclear(Reason::new("amount_unread", "paid, and the record names no sum")),
        ("expired", _) => Standing::Expired(because("invoice_expired")),
        ("error", _) => Standing::Failed(because("invoice_failed")),
        (_, _) => Standing::Pending(word(status)),
    }
}

/// What the partner says of a refusal, without echoing its body: a body may hold the guest's phone.
fn told(answer: &Answer) -> String {
    let json = answer.json().unwrap_or_default();
    let error = json.get("error").cloned().unwrap_or_default();
    let text =
        ["message", "detail", "code"].iter().find_map(|key| error.get(key).or_else(|| json.get(key)).and_then(scalar));
    let text = scalar(&error).or(text).unwrap_or_default();
    format!("HTTP {} {}", answer.status, text.chars().take(WORD_CHARS_MAX * 2).collect::<String>())
        .trim_end()
        .to_owned()
}

fn contradiction<T>(what: &str) -> Outcome<T> {
    Outcome::Unknown(Reason::new("contradiction", format!("the cloud's record is not of our invoice: {what}")))
}

fn invoice_id(value: &Json) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    scalar(value).filter(|text| text.len() <= INVOICE_ID_CHARS_MAX && text.bytes().all(is_plain))
}

fn sum(value: &Json) -> Option<Tiyn> {
    scalar(value).and_then(|text| Tiyn::parse_tenge(&text).ok()).filter(|sum| sum.0 >= 0)
}

fn word(text: &str) -> String {
    text.chars().take(WORD_CHARS_MAX).collect()
}

fn build(setup: &Setup) -> Result<CloudWithWebhooks, BadSetup> {
    let key = setup.secret("api_key_file").cloned().ok_or_else(|| BadSetup {
        key: "api_key_file",
        problem: "names the file with the API key of AiPay's cabinet".to_owned(),
    })?;
    let web = Web::open(&setup.address, &Trust::Roots)
        .map_err(|cause| BadSetup { key: "address", problem: cause.to_string() })?;
    Ok((Arc::new(AiPay { web, key }), Arc::new(AiPayWebhooks)))
}

/// The driver.
#[derive(Debug)]
pub struct AiPay {
    web: Web,
    key: Secret,
}

impl Cloud for AiPay {
    fn abilities(&self) -> CloudAbilities {
        ABILITIES
    }

    fn create<'a>(&'a self, ask: &'a Collect) -> BoxFuture<'a, Outcome<InvoiceRecord>> {
        Box::pin(async move {
            let request = match create_request(ask, &self.key) {
                Ok(request) => request,
                Err(reason) => return Outcome::Refused(reason),
            };
            match self.web.send(&request, Limits::RECORD).await {
                Ok(answer) => read_create(&answer, ask),
                Err(loss) => lost(loss),
            }
        })
    }

    fn inquire<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Outcome<InvoiceRecord>> {
        Box::pin(async move {
            let Some(request) = get_request(handle, &self.key) else {
                return Outcome::Unknown(Reason::new("bad_handle", "this is no invoice of AiPay"));
            };
            match self.web.send(&request, Limits::RECORD).await {
                Ok(answer) => read_inquiry(&answer, handle),
                Err(loss) => lost(loss),
            }
        })
    }

    fn find<'a>(&'a self, _reference: &'a Reference) -> BoxFuture<'a, Outcome<Option<InvoiceRecord>>> {
        let reason = Reason::new("no_search", "AiPay cannot look an invoice up by our reference");
        Box::pin(std::future::ready(Outcome::Unknown(reason)))
    }
}

/// How AiPay signs and words its webhooks, in both of its dialects.
#[derive(Clone, Copy, Debug)]
pub struct AiPayWebhooks;

impl WebhookScheme for AiPayWebhooks {
    fn verify(&self, secrets: &[Secret], headers: &Headers, body: &[u8]) -> Result<Verified, Forged> {
        let count = |name: &str| headers.0.iter().filter(|(key, _)| key == name).count();
        // A doubled header means that somebody between us added one: which of them counts is not ours to guess.
        if DIALECTS.iter().any(|(_, name)| count(name) > 1) {
            return Err(Forged);
        }
        let tries = DIALECTS.iter().filter_map(|(dialect, name)| headers.only(name).map(|value| (*dialect, value)));
        // Both are checked, whichever is right: the first that is counts.
        tries.map(|(dialect, value)| signature::verify(secrets, value, body, dialect)).fold(Err(Forged), Result::or)
    }

    fn read(&self, verified: &Verified) -> Result<Notice, Unreadable> {
        let unreadable = |what: &str| Unreadable(what.to_owned());
        let json: Json = serde_json::from_slice(verified.body()).map_err(|_| unreadable("it is not JSON"))?;
        let id = json.get("invoice_id").and_then(invoice_id).ok_or_else(|| unreadable("it names no invoice"))?;
        let told = |key: &str| json.get(key).and_then(scalar).map(|text| word(&text));
        // Each dialect has its own member; a body that carries only the other's is read all the same.
        let status = if verified.dialect() == "A" {
            told("event").or_else(|| told("status"))
        } else {
            told("status").or_else(|| told("event"))
        };
        let status = status.ok_or_else(|| unreadable("it names neither event nor status"))?;
        let status = status.strip_prefix("invoice.").unwrap_or(&status).to_ascii_lowercase();
        if status.is_empty() {
            return Err(unreadable("its event has no name"));
        }
        Ok(Notice {
            event_key: format!("{id}:{status}"),
            handle: Handle(id),
            reference: json.get("external_id").and_then(foreign_id).map(Reference),
            status,
            // The claim wakes an inquiry and moves nothing: an unreadable sum is as good as none.
            amount: json.get("amount").and_then(sum),
        })
    }

    fn forged_status(&self) -> u16 {
        403
    }
}
