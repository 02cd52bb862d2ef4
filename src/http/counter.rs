//! The counter page: three files inside the binary, a view that any reload rebuilds from the ledger (F31).

use super::Faces;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;

/// Nothing from elsewhere, no frames, no forms to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its two files.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", include_str!("assets/counter.html"))))
        .route("/counter.css", get(async || asset("text/css; charset=utf-8", include_str!("assets/counter.css"))))
        .route("/counter.js", get(async || asset("text/javascript; charset=utf-8", include_str!("assets/counter.js"))))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}
