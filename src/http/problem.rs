//! Errors of the local API: `application/problem+json` (RFC 9457) with a code for machines and a sentence for people.

use crate::domain::outcome::Reason;
use crate::i18n::{self, Lang};
use crate::ledger::Fault;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that says what went wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Stable word.
    pub code: String,
    /// What exactly.
    pub detail: String,
    /// The sentence for people.
    pub title: String,
}

impl Problem {
    /// A problem with a sentence of `i18n.rs`, named by its code.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Problem {
        Problem { status, code: code.to_owned(), detail: detail.into(), title: String::new() }
    }

    /// The request itself cannot be understood.
    pub fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(400, "bad_request", detail)
    }

    /// A partner's or the house's reason as an answer.
    pub fn of_reason(status: u16, reason: &Reason) -> Problem {
        Problem::new(status, &reason.code, reason.detail.clone())
    }

    /// A ledger's fault as an answer.
    pub fn of_fault(fault: Fault) -> Problem {
        match fault {
            Fault::Storage(detail) => Problem::new(503, "storage", detail),
            Fault::Stopping => Problem::new(503, "stopping", ""),
            Fault::Missing(what) => Problem::new(404, "missing", what),
            Fault::Refused { code, detail } => {
                let status = match code {
                    "tiyn" | "whole_part" | "no_sum" | "too_much" | "answer_incomplete" | "refund_too_much"
                    | "bad_part" | "tendered" => 422,
                    _ => 409,
                };
                Problem::new(status, code, detail)
            }
            Fault::Broken(detail) => Problem::new(500, "broken", detail),
        }
    }

    /// The same with its sentence in a language.
    pub fn told(mut self, lang: Lang) -> Problem {
        let detail = self.detail.clone();
        self.title = i18n::sentence(lang, &self.code, &[("detail", &detail), ("order", &detail), ("amount", &detail)]);
        self
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        Problem::of_fault(fault)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = if self.title.is_empty() { self.told(Lang::Ru) } else { self };
        let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "type": format!("about:blank#{}", told.code),
            "code": told.code,
            "title": told.title,
            "status": told.status,
            "detail": told.detail,
        });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Body::from(body.to_string())).into_response()
    }
}
