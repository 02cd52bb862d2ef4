//! `/v1/invoices`, compatible with AiPay (`mission-apis` §1): a bot written for AiPay works by changing its base address, and gains the
//! offline queue, the kitchen ticket and the receipt. `external_id` is its idempotency key (`contract.md`, "Decided").

use super::webhooks::whole_body;
use super::{BotAccess, Faces, shape};
use crate::domain::attempt::State as AttemptState;
use crate::domain::money::Tiyn;
use crate::domain::order::{Line, Milli, Phone, Snapshot, Tender};
use crate::domain::outcome::Outcome;
use crate::domain::time::Wall;
use crate::flows::collect::{self, Plan};
use crate::flows::settle;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::{Fault, View};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// Life of a bot's invoice from the bot's call, in milliseconds.
const LIFE_MS: i64 = 15 * 60 * 1000;

/// Characters of the caller's own id.
const EXTERNAL_ID_CHARS_MAX: usize = 120;

/// The routes of the AiPay-compatible invoices.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new().route("/v1/invoices", post(create)).route("/v1/invoices/{id}", get(read))
}

/// An error in AiPay's manner: a status and a sentence.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        let status = match &fault {
            Fault::Refused { code: "tiyn" | "no_sum" | "too_much", .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Refused { .. } => StatusCode::CONFLICT,
            Fault::Missing(_) => StatusCode::NOT_FOUND,
            Fault::Storage(_) | Fault::Stopping | Fault::Broken(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal(status, fault.to_string())
    }
}

fn bot<'a>(faces: &'a Faces, headers: &HeaderMap) -> Result<&'a BotAccess, Refusal> {
    let mut values = headers.get_all("authorization").iter();
    let only = values.next().filter(|_| values.next().is_none());
    let key = only.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // Each is compared, whichever fits: how long it takes names no bot.
    let known = key
        .and_then(|key| faces.bots.iter().fold(None, |known, bot| if bot.key.equals(key) { Some(bot) } else { known }));
    known.ok_or_else(|| match faces.strangers.wrong_key(&faces.office.clock) {
        true => Refusal(StatusCode::TOO_MANY_REQUESTS, "too many calls with a wrong API key".to_owned()),
        false => Refusal(StatusCode::UNAUTHORIZED, "unknown API key".to_owned()),
    })
}

async fn create(State(faces): State<Arc<Faces>>, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let bot = bot(&faces, &headers)?;
    let said = |status: StatusCode| Refusal(status, status.canonical_reason().unwrap_or_default().to_owned());
    let bytes = whole_body(&faces.office.clock, &headers, body).await.map_err(said)?;
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|cause| Refusal(StatusCode::BAD_REQUEST, format!("the body is not JSON: {cause}")))?;
    let wanted = wanted(&faces, bot, &body)?;
    let known = |view: View<'_>| collect::known_by_key(&view, &wanted.key, &wanted.content, true);
    if let Some(known) = faces.office.look(known)? {
        return Ok((StatusCode::CREATED, Json(invoice(&known))).into_response());
    }
    let wish = wish(&faces, bot, &body, wanted).await?;
    let rules = faces.office.rules.clone();
    let row = faces.office.writer.decide(move |tx| collect::plan(tx, &rules, &wish)).await?;
    Ok((StatusCode::CREATED, Json(invoice(&row))).into_response())
}

/// What a bot asks for, before anybody else is asked.
struct Wanted {
    amount: Tiyn,
    phone: Phone,
    external_id: String,
    order_id: Option<String>,
    description: String,
    key: String,
    content: String,
}

fn wrong(text: &str) -> Refusal {
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned())
}

fn wanted(faces: &Faces, bot: &BotAccess, body: &Value) -> Result<Wanted, Refusal> {
    let amount = body["amount"].as_i64().and_then(Tiyn::from_tenge).filter(|amount| *amount > Tiyn::ZERO);
    let amount = amount.ok_or_else(|| wrong("amount: whole tenge above 0, as an integer"))?;
    let phone = body["phone"].as_str().and_then(Phone::parse).ok_or_else(|| wrong("phone: 77XXXXXXXXX"))?;
    let external_id =
        body["external_id"].as_str().filter(|id| !id.is_empty() && id.chars().count() <= EXTERNAL_ID_CHARS_MAX);
    let external_id = external_id.ok_or_else(|| wrong("external_id: 1 to 120 characters"))?.to_owned();
    let description = shape::given(body, "description").map(|value| shape::read_text(value, "description"));
    let description = description.transpose().map_err(|text| wrong(&text))?.filter(|text| !text.trim().is_empty());
    // AiPay shows it to the guest and insists on it.
    let description = description.unwrap_or_else(|| format!("{}: {external_id}", faces.rules().shop));
    let order_id = order_id(body)?;
    let content = json!([amount, phone.digits(), description, order_id, lines(body)]).to_string();
    let key = format!("bot:{}:{external_id}", bot.name);
    Ok(Wanted { amount, phone, external_id, order_id, description, key, content })
}

/// The POS's order, if the bot names one: a text, or the number as the POS itself writes it.
fn order_id(body: &Value) -> Result<Option<String>, Refusal> {
    let named = match shape::given(body, "order_id") {
        None => return Ok(None),
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => id.as_u64().map(|id| id.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    let named = named.filter(|id| !id.is_empty() && id.chars().count() <= EXTERNAL_ID_CHARS_MAX);
    named.map(Some).ok_or_else(|| wrong("order_id: the order's number in the POS, as a text or a whole number"))
}

/// The dishes, if the bot names any: an empty list says as little as none.
fn lines(body: &Value) -> Option<&Value> {
    shape::given(body, "lines").filter(|lines| lines.as_array().is_none_or(|lines| !lines.is_empty()))
}

async fn wish(faces: &Faces, bot: &BotAccess, body: &Value, wanted: Wanted) -> Result<Plan, Refusal> {
    let Wanted { amount, phone, external_id, order_id, description, key, content } = wanted;
    let (source, snapshot) = match order_id {
        Some(order_id) => ("pos".to_owned(), pos_order(faces, &order_id).await?),
        None => {
            let order = own_order(body, &external_id, &description, amount).map_err(|text| wrong(&text))?;
            (format!("bot:{}", bot.name), order)
        }
    };
    Ok(Plan {
        part: None,
        tendered: None,
        due_seen: None,
        source,
        snapshot,
        tender: Tender::KaspiInvoice,
        via: bot.cloud.clone(),
        amount: Some(amount),
        phone: Some(phone),
        description,
        bot: Some((bot.name.clone(), external_id)),
        key: Some((key, content)),
        key_renews: true,
    })
}

/// Without lines the kitchen's ticket carries the description.
fn own_order(body: &Value, external_id: &str, description: &str, amount: Tiyn) -> Result<Snapshot, String> {
    let lines = match lines(body) {
        None => vec![Line {
            key: description.to_owned(),
            name: if description.trim().is_empty() { external_id.to_owned() } else { description.to_owned() },
            modifiers: Vec::new(),
            quantity: Milli::ONE,
            sum: amount,
            workshop: None,
            comment: String::new(),
            unit: None,
            vat: None,
        }],
        Some(value) => shape::read_lines(value)?,
    };
    Ok(Snapshot {
        foreign_id: external_id.to_owned(),
        number: external_id.to_owned(),
        table: String::new(),
        waiter: String::new(),
        due: amount,
        lines,
        comment: String::new(),
    })
}

async fn pos_order(faces: &Faces, order_id: &str) -> Result<Snapshot, Refusal> {
    let Some(counter) = &faces.counter else {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "order_id: this shop has no POS".to_owned()));
    };
    match counter.fresh(order_id).await {
        Outcome::Done(snapshot) => Ok(snapshot),
        Outcome::Refused(reason) => Err(Refusal(StatusCode::CONFLICT, format!("order_id: {reason}"))),
        Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
            Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, reason.to_string()))
        }
    }
}

async fn read(
    State(faces): State<Arc<Faces>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let bot = bot(&faces, &headers)?;
    let missing = || Refusal(StatusCode::NOT_FOUND, format!("there is no invoice {id}"));
    let reference = id.strip_prefix("inv_").ok_or_else(missing)?;
    let row = faces.office.look(|view| view.attempt_of(reference))?;
    // One bot does not see another's invoices.
    let row = row.filter(|row| row.bot.as_deref() == Some(bot.name.as_str())).ok_or_else(missing)?;
    Ok(Json(invoice(&row)))
}

fn invoice(row: &AttemptRow) -> Value {
    let mut shown = json!({
        "invoice_id": settle::invoice_id(row),
        "status": settle::bot_status(row.attempt.state).unwrap_or("pending"),
        "amount": row.attempt.amount.whole_tenge(),
        "phone": row.phone.as_ref().map(Phone::digits),
        "external_id": row.external_id,
        "created_at": utc(row.created),
        "expires_at": utc(row.created.plus_ms(LIFE_MS)),
    });
    if row.attempt.state == AttemptState::Paid {
        shown["paid_at"] = json!(utc(row.changed));
    }
    shown
}

/// RFC 3339 in UTC, as AiPay writes it.
fn utc(at: Wall) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
