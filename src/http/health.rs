//! `/healthz` (alive), `/readyz` (may take money), `/metrics` (Prometheus text), `/probe/<nonce>` (the tunnel's echo).

use super::Faces;
use crate::domain::attempt::State as AttemptState;
use crate::ledger::Fault;
use crate::ledger::outbox::JobKind;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Characters of a probe's nonce.
const NONCE_CHARS_MAX: usize = 64;

/// Alive, ready, measured.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            "/openapi.json",
            get(async || ([(header::CONTENT_TYPE, "application/json")], include_str!("assets/openapi.json"))),
        )
}

/// The echo by which the tunnel is proven from outside.
pub fn probe() -> Router<Arc<Faces>> {
    Router::new().route("/probe/{nonce}", get(echo))
}

async fn echo(Path(nonce): Path<String>) -> Result<String, StatusCode> {
    let is_plain = nonce.len() <= NONCE_CHARS_MAX && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { Ok(nonce) } else { Err(StatusCode::NOT_FOUND) }
}

/// Ready when the ledger takes commits; partners that are away do not stop the counter, they are named.
async fn ready(State(faces): State<Arc<Faces>>) -> Response {
    let ledger = faces.office.writer.decide(|tx| tx.probe()).await;
    let partners: serde_json::Map<String, Value> = faces
        .office
        .devices
        .all()
        .into_iter()
        .map(|(name, device)| (name, json!({ "role": device.role, "state": device.state, "code": device.code })))
        .collect();
    let (status, word) = match &ledger {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault.to_string()),
    };
    (status, Json(json!({ "ledger": word, "partners": partners }))).into_response()
}

async fn metrics(State(faces): State<Arc<Faces>>) -> Response {
    match measured(&faces) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault.to_string()).into_response(),
    }
}

fn measured(faces: &Faces) -> Result<String, Fault> {
    let (attempts, jobs, questions, messages, seq) = faces.office.look(|view| {
        Ok((
            view.watched_all()?,
            view.unfinished_jobs(10_000)?,
            view.open_questions()?.len(),
            view.messages()?,
            view.last_seq()?,
        ))
    })?;
    let mut text = String::new();
    let mut line = |name: &str, help: &str, kind: &str, values: &[(String, i64)]| {
        // Writing into a String cannot fail.
        let _written = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").is_ok();
        for (labels, value) in values {
            let _written = writeln!(text, "{name}{labels} {value}").is_ok();
        }
    };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let states: Vec<(String, i64)> = AttemptState::ALL
        .iter()
        .filter(|state| state.is_live())
        .map(|state| {
            let number = attempts.iter().filter(|row| row.attempt.state == *state).count();
            (format!("{{state=\"{}\"}}", state.word()), count(number))
        })
        .collect();
    line("kassad_live_payments", "Payments that are not decided.", "gauge", &states);
    let open: Vec<(String, i64)> = [JobKind::Close, JobKind::Print, JobKind::Notify]
        .iter()
        .map(|kind| {
            (format!("{{kind=\"{}\"}}", kind.word()), count(jobs.iter().filter(|job| job.kind == *kind).count()))
        })
        .collect();
    line("kassad_open_jobs", "What must still happen outside.", "gauge", &open);
    line("kassad_open_questions", "What waits for a person.", "gauge", &[(String::new(), count(questions))]);
    line("kassad_notices_total", "Verified notices kept.", "counter", &[(String::new(), messages)]);
    line("kassad_journal_rows", "Rows of the journal.", "counter", &[(String::new(), seq.0)]);
    let forged = i64::try_from(faces.forged.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    line(
        "kassad_forged_total",
        "Bodies with a missing or wrong signature since the start.",
        "counter",
        &[(String::new(), forged)],
    );
    let up: Vec<(String, i64)> = faces
        .office
        .devices
        .all()
        .into_iter()
        .map(|(name, device)| {
            let is_well = ["up", "busy"].contains(&device.state);
            (
                format!("{{name=\"{}\",role=\"{}\"}}", name.replace(['"', '\\', '\n'], "_"), device.role),
                i64::from(is_well),
            )
        })
        .collect();
    line("kassad_device_up", "1 when a device or partner answers.", "gauge", &up);
    Ok(text)
}
