//! The gate of the public listener: its few paths and nothing else, by method and exact name before a byte of the body is read; then the
//! whole body within its limits; only then is the request at work. Everything else hears the same short answers without a word (F15).

use super::places::Place;
use super::webhooks::whole_body;
use super::{Faces, Peer};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The longest name of an invoice in a path, in bytes.
const INVOICE_BYTES_MAX: usize = 64;

/// What a request wants, as far as its first line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish<'a> {
    Webhook,
    Probe(&'a str),
    Invoices,
    Invoice,
}

impl Wish<'_> {
    /// The one method of each path. `HEAD` is not among them: nobody who means us asks so.
    fn method(self) -> Method {
        match self {
            Wish::Webhook | Wish::Invoices => Method::POST,
            Wish::Probe(_) | Wish::Invoice => Method::GET,
        }
    }
}

/// Lets in what is one of our paths, with its body whole. A query is nobody's here and is passed by; a path is taken as it stands, since
/// none of ours has a sign that anybody would need to encode.
pub async fn only_ours(State(faces): State<Arc<Faces>>, request: Request, next: Next) -> Response {
    let is_named = |name: &str| faces.doors.contains_key(name);
    let Some(wish) = wish(request.uri().path(), faces.public_invoices, is_named) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let method = wish.method();
    if request.method() != method {
        let allowed = HeaderValue::from_static(if method == Method::POST { "POST" } else { "GET" });
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allowed)]).into_response();
    }
    if let Wish::Probe(nonce) = wish
        && !faces.probes.is_ours(nonce)
        && !faces.strangers.probes.take(&faces.office.clock)
    {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let (parts, body) = request.into_parts();
    let body = match whole_body(&faces.office.clock, &parts.headers, body).await {
        Ok(body) => body,
        Err(status) => {
            let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
            tracing::debug!(?peer, %status, "a body that did not come whole");
            return status.into_response();
        }
    };
    let work = parts.extensions.get::<Place>().map(Place::work);
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    drop(work);
    answer
}

fn wish(path: &str, has_invoices: bool, is_named: impl Fn(&str) -> bool) -> Option<Wish<'_>> {
    if let Some(name) = path.strip_prefix("/webhooks/") {
        return is_named(name).then_some(Wish::Webhook);
    }
    if let Some(nonce) = path.strip_prefix("/probe/") {
        return crate::workers::probe::is_nonce(nonce).then_some(Wish::Probe(nonce));
    }
    if path == "/v1/invoices" {
        return has_invoices.then_some(Wish::Invoices);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_id = |id: &str| !id.is_empty() && id.len() <= INVOICE_BYTES_MAX && id.bytes().all(is_plain);
    let id = path.strip_prefix("/v1/invoices/").filter(|_| has_invoices);
    id.is_some_and(is_id).then_some(Wish::Invoice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_paths_are_ours() {
        let wish = |path, invoices| wish(path, invoices, |name| name == "aipay");
        for (path, due) in [
            ("/webhooks/aipay", Some(Wish::Webhook)),
            ("/webhooks/aipay/", None),
            ("/webhooks/AIPAY", None),
            ("/webhooks/%61ipay", None),
            ("/webhooks/../webhooks/aipay", None),
            ("//webhooks/aipay", None),
            ("/webhooks/", None),
            ("/webhooks", None),
            ("/probe/abc", Some(Wish::Probe("abc"))),
            ("/probe/a/b", None),
            ("/probe/a%20b", None),
            ("/probe/", None),
            ("/", None),
            ("*", None),
            ("", None),
            ("/metrics", None),
        ] {
            assert_eq!(wish(path, false), due, "{path}");
        }
        for path in ["/v1/invoices", "/v1/invoices/inv_1"] {
            assert!(wish(path, true).is_some() && wish(path, false).is_none(), "{path}");
        }
        for path in ["/v1/invoices/", "/v1/invoices/a/b", "/v1/invoices/%2e", "/v1/invoices2"] {
            assert_eq!(wish(path, true), None, "{path}");
        }
    }
}
