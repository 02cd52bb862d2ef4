//! Refunds on the local API: begin one, see it, drop it before it is sent, and take a person's answer about an unclear one.

use super::api::Asked;
use super::problem::Problem;
use super::{Faces, shape};
use crate::flows::refund::{self, Answer, Wish};
use crate::ledger::refunds::RefundRow;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::sync::Arc;

/// Characters of a partner's number that a person types.
const TRANSACTION_CHARS_MAX: usize = 64;

/// The routes of refunds.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/api/v1/payments/{id}/refund", post(begin))
        .route("/api/v1/refunds/{id}", get(show))
        .route("/api/v1/refunds/{id}/cancel", post(cancel))
        .route("/api/v1/refunds/{id}/answer", post(answer))
}

fn found(asked: &Asked, id: &str) -> Result<RefundRow, Problem> {
    let found = asked.faces.office.look(|view| view.refund_of(id))?;
    found.ok_or_else(|| Problem::new(404, "missing", format!("refund {id}")))
}

fn shown(asked: &Asked, row: &RefundRow) -> Result<Value, Problem> {
    Ok(asked.faces.office.look(|view| shape::refund(&asked.faces, view, row, asked.lang))?)
}

async fn begin(
    State(faces): State<Arc<Faces>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    match begin_it(&asked, &id, &headers, body).await {
        Ok(shown) => (StatusCode::CREATED, Json(shown)).into_response(),
        Err(problem) => problem.told(asked.lang).into_response(),
    }
}

async fn begin_it(asked: &Asked, id: &str, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let body = asked.body(headers, body).await?;
    let payment = asked.attempt(id)?;
    let key = Asked::key(headers, "refund", &format!("{id} {body}"))?;
    let (by, because) = super::api::named(&body)?;
    let amount = shape::given(&body, "amount").map(|value| shape::read_sum(value, "amount")).transpose();
    let wish = Wish {
        attempt: payment.id,
        amount: amount.map_err(Problem::bad)?,
        by,
        because,
        transaction: transaction(&body),
        key,
    };
    let rules = asked.faces.office.rules.clone();
    let row = asked.faces.office.writer.decide(move |tx| refund::plan(tx, &rules, &wish)).await?;
    shown(asked, &row)
}

fn transaction(body: &Value) -> String {
    body["transaction"].as_str().unwrap_or_default().chars().take(TRANSACTION_CHARS_MAX).collect()
}

async fn show(State(faces): State<Arc<Faces>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(found(&asked, &id).and_then(|row| shown(&asked, &row)))
}

async fn cancel(State(faces): State<Arc<Faces>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let answer = cancel_it(&asked, &id).await;
    asked.told(answer)
}

async fn cancel_it(asked: &Asked, id: &str) -> Result<Value, Problem> {
    let (id, rules) = (found(asked, id)?.id, asked.faces.office.rules.clone());
    let row = asked.faces.office.writer.decide(move |tx| refund::cancel(tx, &rules, id, "counter")).await?;
    shown(asked, &row)
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
    let id = found(asked, id)?.id;
    let (by, because) = super::api::named(&body)?;
    let returned = match body["outcome"].as_str() {
        Some("returned") => true,
        Some("not_returned") => false,
        Some(_) | None => return Err(Problem::bad("outcome: returned or not_returned")),
    };
    let confirmed = body["confirmed"] == Value::Bool(true);
    let said = Answer { by, because, returned, transaction: transaction(&body), confirmed };
    let rules = asked.faces.office.rules.clone();
    let row = asked.faces.office.writer.decide(move |tx| refund::answer(tx, &rules, id, &said)).await?;
    shown(asked, &row)
}
