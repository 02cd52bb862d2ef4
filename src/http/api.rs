//! The local API (`contract.md`, "Local API"): what the counter page and scripts in the shop use. It starts collections, shows them, and
//! takes a person's answers; every decision is a flow's.

use super::problem::Problem;
use super::webhooks::whole_body;
use super::{Faces, lang, shape};
use crate::domain::attempt::State as AttemptState;
use crate::domain::ids::{AttemptId, JobId, QuestionId};
use crate::domain::money::Tiyn;
use crate::domain::order::{Phone, Snapshot, Tender};
use crate::domain::outcome::Outcome;
use crate::flows::collect::{self, Answer, Plan};
use crate::flows::{print, reconcile};
use crate::i18n::{self, Lang};
use crate::ledger::Fault;
use crate::ledger::attempts::AttemptRow;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// Between these two ages, in milliseconds, a ticket on a printer that never says anything is shown for somebody to look: the cook had time
/// to take it, and it is not yet eaten (F21).
const UNSEEN_MS: (i64, i64) = (20_000, 15 * 60_000);

/// Payments, jobs or questions in one list.
const PAYMENTS_MAX: u32 = 200;

/// Parts of one order.
const PARTS_MAX: i64 = 50;

/// Characters of an idempotency key.
const KEY_CHARS_MAX: usize = 120;

/// The routes of the local API, without its event stream.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/api/v1/words", get(words))
        .route("/api/v1/status", get(status))
        .route("/api/v1/orders", get(orders))
        .route("/api/v1/orders/{id}", get(order))
        .route("/api/v1/payments", get(payments).post(pay))
        .route("/api/v1/payments/{id}", get(payment))
        .route("/api/v1/payments/{id}/cancel", post(cancel))
        .route("/api/v1/payments/{id}/answer", post(answer))
        .route("/api/v1/questions/{id}/answer", post(settle_question))
        .route("/api/v1/jobs", get(jobs))
        .route("/api/v1/jobs/{id}/retry", post(retry))
        .route("/api/v1/jobs/{id}/tick", post(tick))
        .route("/api/v1/day", get(day))
}

/// What every handler gets: the faces, and the language of the answer.
pub(super) struct Asked {
    pub(super) faces: Arc<Faces>,
    pub(super) lang: Lang,
}

impl Asked {
    pub(super) fn new(faces: Arc<Faces>, uri: &Uri, headers: &HeaderMap) -> Asked {
        Asked { faces, lang: lang(uri, headers) }
    }

    pub(super) fn told(&self, answer: Result<Value, Problem>) -> Response {
        match answer {
            Ok(value) => Json(value).into_response(),
            Err(problem) => problem.told(self.lang).into_response(),
        }
    }

    fn shown(&self, row: &AttemptRow) -> Result<Value, Problem> {
        Ok(self.faces.office.look(|view| shape::payment(&self.faces, view, row, self.lang))?)
    }

    pub(super) async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
        let bytes = whole_body(&self.faces.office.clock, headers, body).await.map_err(|status| {
            Problem::new(status.as_u16(), "bad_request", status.canonical_reason().unwrap_or_default())
        })?;
        serde_json::from_slice(&bytes).map_err(|cause| Problem::bad(format!("the body is not JSON: {cause}")))
    }

    /// The caller's key, bound to the content of the request (H2); `what` keeps the keys of different acts apart.
    pub(super) fn key(headers: &HeaderMap, what: &str, content: &str) -> Result<Option<(String, String)>, Problem> {
        match headers.get("idempotency-key").map(|value| value.to_str()) {
            Some(Ok(key)) if !key.is_empty() && key.len() <= KEY_CHARS_MAX => {
                Ok(Some((format!("{what}:{key}"), content.to_owned())))
            }
            Some(_) => Err(Problem::bad(format!("Idempotency-Key: 1 to {KEY_CHARS_MAX} plain characters"))),
            None => Ok(None),
        }
    }

    pub(super) fn attempt(&self, id: &str) -> Result<AttemptRow, Problem> {
        let found = self.faces.office.look(|view| view.attempt_of(id))?;
        found.ok_or_else(|| Problem::new(404, "missing", format!("payment {id}")))
    }
}

async fn words(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let words: serde_json::Map<String, Value> =
        i18n::words(asked.lang).map(|(code, text)| (code.to_owned(), json!(text))).collect();
    asked.told(Ok(json!({ "lang": asked.lang.word(), "words": words })))
}

async fn status(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(status_of(&asked))
}

fn status_of(asked: &Asked) -> Result<Value, Problem> {
    let faces = &asked.faces;
    let devices: Vec<Value> = faces
        .office
        .devices
        .all()
        .into_iter()
        .map(|(name, device)| {
            let args = [("order", device.detail.as_str()), ("detail", device.detail.as_str())];
            let text =
                if device.code.is_empty() { String::new() } else { i18n::sentence(asked.lang, &device.code, &args) };
            json!({ "name": name, "role": device.role, "state": device.state, "code": device.code, "text": text, "detail": device.detail })
        })
        .collect();
    let questions = faces.office.look(|view| {
        let open = view.listed_questions(PAYMENTS_MAX)?;
        let unasked = view.watched_all()?.into_iter().filter(|row| {
            row.attempt.state == AttemptState::Unresolved
                && !open.iter().any(|question| question.attempt == Some(row.id))
        });
        let unclear = unasked.map(|row| shape::unclear(faces, view, &row, asked.lang));
        let refunds = view.watched_refunds_all()?.into_iter().filter(|row| {
            row.refund.state == crate::domain::refund::State::Unresolved
                && !open.iter().any(|question| question.refund == Some(row.id))
        });
        let unclear = unclear.chain(refunds.map(|row| shape::unclear_refund(faces, view, &row, asked.lang)));
        let asked = open.iter().map(|question| shape::question(faces, view, question, asked.lang));
        unclear.chain(asked).collect::<Result<Vec<_>, _>>()
    })?;
    let tenders: Vec<Tender> =
        faces.ways.iter().flat_map(|way| way.tenders.iter().copied()).chain([Tender::Cash]).collect();
    Ok(json!({
        "shop": faces.rules().shop,
        "now": faces.rules().machine_time(faces.office.clock.wall()),
        "devices": devices,
        "questions": questions,
        "tenders": tenders,
    }))
}

async fn orders(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(orders_of(&asked))
}

fn orders_of(asked: &Asked) -> Result<Value, Problem> {
    let faces = &asked.faces;
    let Some(counter) = &faces.counter else {
        return Ok(json!({ "orders": [], "pos": { "state": "none" } }));
    };
    let board = counter.board();
    let shown = faces.office.look(|view| {
        board
            .orders
            .iter()
            .map(|(order, _)| shape::order(faces, view, order, asked.lang, false))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let age_s = board.seen.map(|seen| faces.office.clock.now().since(seen).as_secs());
    Ok(json!({ "orders": shown, "pos": { "state": if board.is_up { "up" } else { "down" }, "age_s": age_s } }))
}

async fn order(State(faces): State<Arc<Faces>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = order_of(&asked, &id).await;
    asked.told(answer)
}

async fn order_of(asked: &Asked, id: &str) -> Result<Value, Problem> {
    let snapshot = match fresh(asked, id).await {
        Ok(snapshot) => snapshot,
        // Closed or removed meanwhile: the page still shows what was sold.
        Err(problem) => match asked.faces.office.look(|view| view.order_of("pos", id))? {
            Some(known) => known.snapshot,
            None => return Err(problem),
        },
    };
    Ok(asked.faces.office.look(|view| shape::order(&asked.faces, view, &snapshot, asked.lang, true))?)
}

/// The order as the POS has it now.
async fn fresh(asked: &Asked, id: &str) -> Result<Snapshot, Problem> {
    let Some(counter) = &asked.faces.counter else {
        return Err(Problem::new(422, "no_pos", "the configuration has no [pos]"));
    };
    match counter.fresh(id).await {
        Outcome::Done(snapshot) => Ok(snapshot),
        Outcome::Refused(reason) => Err(Problem::of_reason(if reason.code == "pos_key" { 502 } else { 409 }, &reason)),
        Outcome::NotSent(reason) | Outcome::Unknown(reason) => Err(Problem::of_reason(503, &reason)),
    }
}

async fn payments(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(payments_of(&asked, uri.query().unwrap_or_default()))
}

fn payments_of(asked: &Asked, query: &str) -> Result<Value, Problem> {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let state = match value("state") {
        Some(word) => {
            Some(AttemptState::from_word(word).ok_or_else(|| Problem::bad(format!("state: unknown word '{word}'")))?)
        }
        None => None,
    };
    let limit = match value("limit") {
        Some(text) => text.parse::<u32>().map_err(|_| Problem::bad("limit: write a number"))?.min(PAYMENTS_MAX),
        None => 50,
    };
    let shown = asked.faces.office.look(|view| {
        let rows = view.newest_attempts(state, limit)?;
        rows.iter().map(|row| shape::payment(&asked.faces, view, row, asked.lang)).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(json!({ "payments": shown }))
}

async fn payment(State(faces): State<Arc<Faces>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(asked.attempt(&id).and_then(|row| asked.shown(&row)))
}

async fn pay(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    match start(&asked, &headers, body).await {
        Ok(shown) => (StatusCode::CREATED, Json(shown)).into_response(),
        Err(problem) => problem.told(asked.lang).into_response(),
    }
}

async fn start(asked: &Asked, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let body = asked.body(headers, body).await?;
    let key = Asked::key(headers, "api", &body.to_string())?;
    if let Some((key, content)) = &key
        && let Some(known) = asked.faces.office.look(|view| collect::known_by_key(&view, key, content, false))?
    {
        return asked.shown(&known);
    }
    let wish = wish(asked, &body, key).await?;
    let rules = asked.faces.office.rules.clone();
    let row = asked.faces.office.writer.decide(move |tx| collect::plan(tx, &rules, &wish)).await?;
    asked.shown(&row)
}

async fn wish(asked: &Asked, body: &Value, key: Option<(String, String)>) -> Result<Plan, Problem> {
    let tender = shape::read_text(&body["tender"], "tender").map_err(Problem::bad)?;
    let tender = Tender::from_word(&tender)
        .ok_or_else(|| Problem::bad("tender: kaspi_terminal, kaspi_invoice, kaspi_qr or cash"))?;
    let amount = shape::given(body, "amount").map(|value| shape::read_sum(value, "amount")).transpose();
    let amount = amount.map_err(Problem::bad)?;
    let tendered = shape::given(body, "tendered").map(|value| shape::read_sum(value, "tendered")).transpose();
    let tendered = tendered.map_err(Problem::bad)?;
    let due_seen = shape::given(body, "due").map(|value| shape::read_sum(value, "due")).transpose();
    let due_seen = due_seen.map_err(Problem::bad)?;
    let part = match shape::given(body, "part") {
        None => None,
        Some(value) => match value.as_i64().filter(|no| (1..=PARTS_MAX).contains(no)) {
            Some(no) => Some(no),
            None => return Err(Problem::bad(format!("part: a number from 1 to {PARTS_MAX}"))),
        },
    };
    let phone = match shape::given(body, "phone") {
        None => None,
        Some(value) => {
            let text = shape::read_text(value, "phone").map_err(Problem::bad)?;
            Some(Phone::parse(&text).ok_or_else(|| Problem::new(422, "bad_phone", "phone: 77XXXXXXXXX"))?)
        }
    };
    if tender == Tender::KaspiInvoice && phone.is_none() {
        return Err(Problem::new(422, "bad_phone", "phone: a phone invoice needs 77XXXXXXXXX"));
    }
    let via = via(asked, tender, body["terminal"].as_str())?;
    let (source, snapshot) = match (&body["order_id"], &body["reference"]) {
        (Value::String(id), Value::Null) => ("pos", fresh(asked, id).await?),
        (Value::Null, Value::String(reference)) => ("api", own_order(body, reference)?),
        _ => return Err(Problem::bad("write either order_id, or reference with total")),
    };
    let description = match shape::given(body, "description") {
        None => format!("{}: заказ {}", asked.faces.rules().shop, snapshot.number),
        Some(value) => shape::read_text(value, "description").map_err(Problem::bad)?,
    };
    Ok(Plan {
        source: source.to_owned(),
        snapshot,
        tender,
        via,
        amount,
        part,
        tendered,
        due_seen,
        phone,
        description,
        bot: None,
        key,
        key_renews: false,
    })
}

/// The terminal that is named, or the first terminal or cloud of the configuration that takes the tender.
fn via(asked: &Asked, tender: Tender, named: Option<&str>) -> Result<String, Problem> {
    if tender == Tender::Cash {
        return Ok("cashier".to_owned());
    }
    let is_meant = |name: &str| named.is_none_or(|named| named == name) || tender != Tender::KaspiTerminal;
    let way = asked.faces.ways.iter().find(|way| way.tenders.contains(&tender) && is_meant(&way.name));
    way.map(|way| way.name.clone()).ok_or_else(|| Problem::new(422, "no_way", tender.word()))
}

/// An order that no POS knows, as the caller describes it.
fn own_order(body: &Value, reference: &str) -> Result<Snapshot, Problem> {
    let lines =
        shape::given(body, "lines").map(shape::read_lines).transpose().map_err(Problem::bad)?.unwrap_or_default();
    let total = match shape::given(body, "total") {
        None => lines.iter().map(|line| line.sum).sum(),
        Some(value) => shape::read_sum(value, "total").map_err(Problem::bad)?,
    };
    if total <= Tiyn::ZERO {
        return Err(Problem::new(422, "no_sum", "total: above 0"));
    }
    if reference.is_empty() || reference.chars().count() > KEY_CHARS_MAX {
        return Err(Problem::bad(format!("reference: 1 to {KEY_CHARS_MAX} characters")));
    }
    let text =
        |name: &str| body[name].as_str().unwrap_or_default().chars().take(shape::TEXT_CHARS_MAX).collect::<String>();
    Ok(Snapshot {
        foreign_id: reference.to_owned(),
        number: reference.to_owned(),
        table: text("table"),
        waiter: text("waiter"),
        due: total,
        lines,
        comment: text("comment"),
    })
}

async fn cancel(State(faces): State<Arc<Faces>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = cancel_it(&asked, &id).await;
    asked.told(answer)
}

async fn cancel_it(asked: &Asked, id: &str) -> Result<Value, Problem> {
    let (id, rules) = (asked.attempt(id)?.id, asked.faces.office.rules.clone());
    let row = asked.faces.office.writer.decide(move |tx| collect::cancel(tx, &rules, id, "counter")).await?;
    asked.shown(&row)
}

async fn answer(
    State(faces): State<Arc<Faces>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = answer_it(&asked, &id, &headers, body).await;
    asked.told(answer)
}

async fn answer_it(asked: &Asked, id: &str, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let body = asked.body(headers, body).await?;
    let id: AttemptId = asked.attempt(id)?.id;
    let (by, because) = named(&body)?;
    let paid = match body["outcome"].as_str() {
        Some("paid") => true,
        Some("not_paid") => false,
        Some(_) | None => return Err(Problem::bad("outcome: paid or not_paid")),
    };
    let transaction = body["transaction"].as_str().unwrap_or_default().chars().take(64).collect();
    let confirmed = body["confirmed"] == Value::Bool(true);
    let (said, rules) = (Answer { by, because, paid, transaction, confirmed }, asked.faces.office.rules.clone());
    let row = asked.faces.office.writer.decide(move |tx| collect::answer(tx, &rules, id, &said)).await?;
    asked.shown(&row)
}

pub(super) fn named(body: &Value) -> Result<(String, String), Problem> {
    let by = shape::read_text(&body["by"], "by").map_err(Problem::bad)?;
    let because = shape::read_text(&body["because"], "because").map_err(Problem::bad)?;
    Ok((by, because))
}

async fn settle_question(
    State(faces): State<Arc<Faces>>,
    Path(id): Path<i64>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = settle_it(&asked, QuestionId(id), &headers, body).await;
    asked.told(answer)
}

async fn settle_it(asked: &Asked, id: QuestionId, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let (by, because) = named(&asked.body(headers, body).await?)?;
    let rules = asked.faces.office.rules.clone();
    asked.faces.office.writer.decide(move |tx| reconcile::settle_question(tx, &rules, id, &by, &because)).await?;
    Ok(json!({ "id": id, "state": "answered" }))
}

async fn jobs(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let now = asked.faces.office.clock.wall();
    let shown = asked.faces.office.look(|view| {
        let unseen = view.unseen_tickets(now.plus_ms(-UNSEEN_MS.1), now.plus_ms(-UNSEEN_MS.0))?;
        view.listed_jobs(PAYMENTS_MAX)?
            .iter()
            .chain(&unseen)
            .map(|job| shape::job(view, job, asked.lang))
            .collect::<Result<Vec<_>, _>>()
    });
    asked.told(shown.map(|jobs| json!({ "jobs": jobs })).map_err(Problem::from))
}

async fn retry(State(faces): State<Arc<Faces>>, Path(id): Path<i64>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = retry_it(&asked, JobId(id)).await.map_err(Problem::from);
    asked.told(answer)
}

async fn retry_it(asked: &Asked, id: JobId) -> Result<Value, Fault> {
    let row = asked.faces.office.writer.decide(move |tx| print::retry(tx, id)).await?;
    asked.faces.office.look(|view| shape::job(view, &row, asked.lang))
}

async fn tick(State(faces): State<Arc<Faces>>, Path(id): Path<i64>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = tick_it(&asked, JobId(id)).await.map_err(Problem::from);
    asked.told(answer)
}

async fn tick_it(asked: &Asked, id: JobId) -> Result<Value, Fault> {
    let row = asked.faces.office.writer.decide(move |tx| print::tick(tx, id)).await?;
    asked.faces.office.look(|view| shape::job(view, &row, asked.lang))
}

async fn day(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(day_of(&asked).map_err(Problem::from))
}

/// Our own books of the business day: what was paid how, what the POS took as closed, and what is open.
fn day_of(asked: &Asked) -> Result<Value, Fault> {
    let rules = asked.faces.rules();
    let from = rules.day_start(asked.faces.office.clock.wall());
    let books = asked.faces.office.look(|view| {
        let (mut sums, mut paid, mut closed, mut unclear) = (serde_json::Map::new(), Tiyn::ZERO, Tiyn::ZERO, 0);
        for row in view.attempts_since(from, 100_000)? {
            unclear += i64::from(row.attempt.state == AttemptState::Unresolved);
            let Some(evidence) = row.attempt.evidence.filter(|_| row.attempt.state == AttemptState::Paid) else {
                continue;
            };
            paid = Tiyn(paid.0.saturating_add(evidence.amount.0));
            let known = sums.get(row.tender.word()).and_then(Value::as_i64).unwrap_or(0);
            sums.insert(row.tender.word().to_owned(), json!(known.saturating_add(evidence.amount.0)));
            if view.order(row.order)?.closing == crate::ledger::orders::Closing::Closed {
                closed = Tiyn(closed.0.saturating_add(evidence.amount.0));
            }
        }
        let mut back = Tiyn::ZERO;
        for row in view.refunds_since(from, 100_000)? {
            unclear += i64::from(row.refund.state == crate::domain::refund::State::Unresolved);
            back = Tiyn(back.0.saturating_add(row.refund.returned().0));
        }
        let questions = view.open_questions()?.len();
        let fiscal = super::fiscal::day(&asked.faces, view, from)?;
        Ok((sums, paid, back, closed, unclear, questions, fiscal))
    })?;
    let (sums, paid, back, closed, unclear, questions, fiscal) = books;
    let by_tender: serde_json::Map<String, Value> =
        sums.into_iter().map(|(tender, tiyn)| (tender, shape::sum(Tiyn(tiyn.as_i64().unwrap_or(0))))).collect();
    Ok(json!({
        "from": rules.machine_time(from),
        "paid": shape::sum(paid),
        "given_back": shape::sum(back),
        "by_tender": by_tender,
        "closed_in_pos": shape::sum(closed),
        "unclear": unclear,
        "questions": questions,
        "fiscal": fiscal,
    }))
}
