//! Who may write at the local listener: the counter page, and programs of this machine. A browser lends any page on the web its way to
//! loopback; what such a page cannot do is send JSON, or hide whose it is (CSRF, DNS rebinding).

use super::lang;
use super::problem::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Lets reads pass that name this machine, and writes of our own. Bots prove themselves by their key (`/v1/invoices`).
pub async fn own_writes(request: Request, next: Next) -> Response {
    let is_ours = request.uri().path().starts_with("/api/");
    let judged = match (is_ours, request.method() == Method::GET) {
        (false, _) => Ok(()),
        // A page that was rebound to us may not read either: orders and phones are nobody's.
        (true, true) => judge_host(request.headers()).map(drop),
        (true, false) => judge(request.headers()),
    };
    match judged {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.told(lang(request.uri(), request.headers())).into_response(),
    }
}

fn judge_host(headers: &HeaderMap) -> Result<&str, Problem> {
    let host = headers.get("host").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_loopback(host) { Ok(host) } else { Err(Problem::new(421, "foreign_host", format!("Host: {host}"))) }
}

fn judge(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = judge_host(headers)?;
    let origin = text("origin");
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host));
    if let Some(origin) = origin.filter(|origin| !is_own(origin)) {
        return Err(Problem::new(403, "foreign_origin", format!("Origin: {origin}")));
    }
    match text(header::CONTENT_TYPE.as_str()) {
        Some(kind) if is_json(kind) => Ok(()),
        Some(kind) => Err(Problem::new(415, "not_json", format!("Content-Type: {kind}"))),
        None if has_body(headers) => Err(Problem::new(415, "not_json", "Content-Type is missing")),
        // Without a body and without an origin it is a program: browsers name the origin of every such request, and where it goes.
        None => match text("sec-fetch-site") {
            Some(site) if origin.is_none() && site != "same-origin" => {
                Err(Problem::new(403, "foreign_origin", format!("Sec-Fetch-Site: {site}")))
            }
            Some(_) | None => Ok(()),
        },
    }
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0");
    !is_empty || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether a `Host` names this machine by a name that no foreign name server can give out.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn status(headers: &[(&'static str, &'static str)]) -> u16 {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        judge(&pairs.collect()).err().map_or(200, |problem| problem.status)
    }

    #[test]
    fn only_our_own_may_write() {
        let json = ("content-type", "application/json; charset=utf-8");
        let (host, long) = (("host", "127.0.0.1:8780"), ("content-length", "9"));
        for (status_due, headers) in [
            (200, vec![host, json, long]),
            (200, vec![("host", "LOCALHOST:8780"), json]),
            (200, vec![("host", "[::1]:8780"), json]),
            (200, vec![host, json, ("origin", "http://127.0.0.1:8780")]),
            (200, vec![host, ("origin", "http://127.0.0.1:8780")]),
            (200, vec![host, ("content-length", "0")]),
            (403, vec![host, ("sec-fetch-site", "cross-site")]),
            (421, vec![json]),
            (421, vec![("host", "evil.kz"), json]),
            (421, vec![("host", "127.0.0.1.evil.kz:8780"), json]),
            (421, vec![("host", "192.168.1.7:8780"), json]),
            (403, vec![host, json, ("origin", "http://evil.kz")]),
            (403, vec![host, json, ("origin", "null")]),
            (403, vec![host, json, ("origin", "http://127.0.0.1:3000")]),
            (415, vec![host, ("content-type", "text/plain"), long]),
            (415, vec![host, ("content-type", "application/x-www-form-urlencoded")]),
            (415, vec![host, long]),
            (415, vec![host, ("transfer-encoding", "chunked")]),
            (200, vec![host]),
        ] {
            assert_eq!(status(&headers), status_due, "{headers:?}");
        }
    }
}
