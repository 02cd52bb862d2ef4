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

/// The echo by which the tunnel is proven from outside: both listeners give the same answer, so that who asks both knows it is one daemon.
pub fn probe() -> Router<Arc<Faces>> {
    Router::new().route("/probe/{nonce}", get(echo))
}

async fn echo(State(faces): State<Arc<Faces>>, Path(nonce): Path<String>) -> Response {
    match faces.probes.answer(&nonce) {
        Some(answer) => ([(header::CACHE_CONTROL, "no-store")], answer).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Ready when the last commit held; partners that are away do not stop the counter, they are named.
async fn ready(State(faces): State<Arc<Faces>>) -> Response {
    let ledger = faces.office.writer.prove(&faces.office.clock).await;
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
    if let Some(register) = &faces.rules().fiscal.register {
        let now = faces.office.clock.wall();
        let (waiting, since) = faces
            .office
            .look(|view| Ok((view.fiscal_backlog(register)?.0, crate::flows::fiscal::window(&view, register)?)))?;
        line(
            "kassad_fiscal_waiting",
            "Receipts that the register has not taken.",
            "gauge",
            &[(String::new(), waiting)],
        );
        let left = since.map_or(72, |since| super::fiscal::hours_left(since, now));
        line(
            "kassad_fiscal_hours_left",
            "Hours left of the law's 72 without a link.",
            "gauge",
            &[(String::new(), left)],
        );
    }
    let up: Vec<(String, i64)> = faces
        .office
        .devices
        .all()
        .into_iter()
        // Not asked yet is neither up nor down.
        .filter(|(_, device)| device.state != "unknown")
        .map(|(name, device)| {
            let is_well = ["up", "busy", "warn"].contains(&device.state);
            (
                format!("{{name=\"{}\",role=\"{}\"}}", name.replace(['"', '\\', '\n'], "_"), device.role),
                i64::from(is_well),
            )
        })
        .collect();
    line("kassad_device_up", "1 when a device or partner answers.", "gauge", &up);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every route of both listeners with its methods. A new route is added here and described in `assets/openapi.json`.
    const ROUTES: &[(&str, &[&str])] = &[
        ("/", &["get"]),
        ("/api/v1/day", &["get"]),
        ("/api/v1/events", &["get"]),
        ("/api/v1/fiscal", &["get"]),
        ("/api/v1/fiscal/cash", &["post"]),
        ("/api/v1/fiscal/x", &["post"]),
        ("/api/v1/fiscal/z", &["post"]),
        ("/api/v1/fiscal/{id}/print", &["post"]),
        ("/api/v1/fiscal/{id}/retry", &["post"]),
        ("/api/v1/jobs", &["get"]),
        ("/api/v1/jobs/{id}/retry", &["post"]),
        ("/api/v1/jobs/{id}/tick", &["post"]),
        ("/api/v1/keys", &["get"]),
        ("/api/v1/keys/{id}/revoke", &["post"]),
        ("/api/v1/orders", &["get"]),
        ("/api/v1/orders/{id}", &["get"]),
        ("/api/v1/payments", &["get", "post"]),
        ("/api/v1/payments/{id}", &["get"]),
        ("/api/v1/payments/{id}/answer", &["post"]),
        ("/api/v1/payments/{id}/cancel", &["post"]),
        ("/api/v1/payments/{id}/refund", &["post"]),
        ("/api/v1/printers", &["get"]),
        ("/api/v1/printers/{name}/letters", &["post"]),
        ("/api/v1/printers/{name}/test", &["post"]),
        ("/api/v1/refunds/{id}", &["get"]),
        ("/api/v1/refunds/{id}/answer", &["post"]),
        ("/api/v1/refunds/{id}/cancel", &["post"]),
        ("/api/v1/questions/{id}/answer", &["post"]),
        ("/api/v1/sign-in", &["post"]),
        ("/api/v1/sign-out", &["post"]),
        ("/api/v1/status", &["get"]),
        ("/api/v1/words", &["get"]),
        ("/counter.css", &["get"]),
        ("/counter.js", &["get"]),
        ("/healthz", &["get"]),
        ("/metrics", &["get"]),
        ("/openapi.json", &["get"]),
        ("/probe/{nonce}", &["get"]),
        ("/readyz", &["get"]),
        ("/v1/invoices", &["post"]),
        ("/v1/invoices/{id}", &["get"]),
        ("/webhooks/{name}", &["post"]),
    ];

    /// The texts of all files that register routes.
    const SOURCES: [&str; 10] = [
        include_str!("api.rs"),
        include_str!("compat.rs"),
        include_str!("counter.rs"),
        include_str!("events.rs"),
        include_str!("fiscal.rs"),
        include_str!("keys.rs"),
        include_str!("printers.rs"),
        include_str!("refunds.rs"),
        include_str!("webhooks.rs"),
        include_str!("health.rs"),
    ];

    #[test]
    fn the_description_names_every_route_and_no_other() -> Result<(), serde_json::Error> {
        let told: Value = serde_json::from_str(include_str!("assets/openapi.json"))?;
        let described: Vec<(&str, Vec<&str>)> = told["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(path, item)| {
                let methods = ["get", "post"].into_iter().filter(|method| !item[*method].is_null());
                (path.as_str(), methods.collect())
            })
            .collect();
        for (path, methods) in ROUTES {
            assert!(described.iter().any(|(other, known)| other == path && known == methods), "{path} {methods:?}");
        }
        assert_eq!(described.len(), ROUTES.len(), "{described:?}");
        Ok(())
    }

    #[test]
    fn every_registered_route_is_in_the_list() {
        let code = |source: &'static str| source.split("#[cfg(test)]").next().unwrap_or_default();
        let registered: Vec<&str> = SOURCES
            .into_iter()
            .flat_map(|source| code(source).split(".route(").skip(1))
            .filter_map(|rest| rest.split('"').nth(1))
            .collect();
        for path in &registered {
            assert!(ROUTES.iter().any(|(known, _)| known == path), "{path}");
        }
        assert_eq!(registered.len(), ROUTES.len(), "{registered:?}");
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() -> Result<(), serde_json::Error> {
        let text = include_str!("assets/openapi.json");
        let told: Value = serde_json::from_str(text)?;
        let references: Vec<&str> =
            text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 50, "{}", references.len());
        for reference in references {
            assert!(told.pointer(reference).is_some(), "{reference}");
        }
        Ok(())
    }
}
