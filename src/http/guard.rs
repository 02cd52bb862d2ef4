//! Who may come in at the local listener. Programs of this machine need nothing; everybody else needs a key, which a device gets for the
//! PIN ([`super::keys`]). A browser lends any page on the web its way to us; what such a page cannot do is name us by a `Host` that no
//! foreign name server gives out (DNS rebinding), hide whose it is (`Origin`), or send JSON (CSRF).

use super::problem::Problem;
use super::{Faces, Peer, keys, lang};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What anybody may read: it is in every copy of kassad, and the page needs it to ask for the PIN.
const OPEN: &[&str] = &["/", "/counter.css", "/counter.js", "/api/v1/words", "/healthz"];

/// Where the PIN is told.
pub(super) const SIGN_IN: &str = "/api/v1/sign-in";

/// Names in a query that somebody might put a secret under: addresses end up in logs and histories.
const SECRET_NAMES: &[&str] = &["key", "pin", "token", "access_token", "api_key", "secret"];

/// Headers that a proxy adds: who comes by one is not this machine, though the connection says so.
const PROXY_HEADERS: &[&str] = &["forwarded", "x-real-ip", "via", "cf-connecting-ip", "true-client-ip"];

/// What a request must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: it is open to all, or proves itself (bots).
    Nothing,
    /// Nothing: it comes from this machine.
    Own,
    /// The key of a device.
    Key,
}

/// Who was let in; every request carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    /// A program of this machine, or somebody for whom nothing is asked.
    Unnamed,
    /// A device, by its id.
    Device(String),
}

/// Lets in who may come in, and nobody else.
pub async fn admit(State(faces): State<Arc<Faces>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    note_wrong_door(&faces, request.uri().path());
    let due = judge(peer, request.method(), request.uri(), request.headers(), faces.keys.hosts());
    let visitor = match due {
        // The whole world would be this machine: nobody is, until the tunnel is put right.
        Ok(Due::Own) if faces.is_wrong_door.load(Ordering::Relaxed) => {
            Err(Problem::new(403, "tunnel_wrong_door", faces.office.rules.shop.clone()))
        }
        Ok(Due::Nothing | Due::Own) => Ok(Visitor::Unnamed),
        Ok(Due::Key) => keys::visitor(&faces, request.headers()).await,
        Err(problem) => Err(problem),
    };
    match visitor {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(problem) => {
            let is_unknown = problem.status == 401;
            let mut response = problem.told(lang(request.uri(), request.headers())).into_response();
            if is_unknown {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// Our own question from outside belongs to the public listener. Here it says that a tunnel was pointed at this one by mistake.
fn note_wrong_door(faces: &Faces, path: &str) {
    let Some(nonce) = path.strip_prefix("/probe/") else { return };
    if faces.probes.is_ours(nonce) && !faces.is_wrong_door.swap(true, Ordering::Relaxed) {
        tracing::error!(
            "the tunnel leads to the local listener: the counter is closed until it leads to the public one"
        );
        faces.office.devices.set("tunnel-door", "tunnel", "down", "tunnel_wrong_door", "");
    }
}

/// What a request must show, told from what the connection and its head say.
fn judge(
    peer: Option<IpAddr>,
    method: &Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    hosts: &[String],
) -> Result<Due, Problem> {
    if let Some(name) = secret_in(uri.query().unwrap_or_default()) {
        return Err(Problem::new(400, "key_in_url", name));
    }
    let (path, is_read) = (uri.path(), method == Method::GET || method == Method::HEAD);
    // A bot's key is in no browser: a page that was rebound to us has none.
    let is_of_bots = path == "/v1/invoices" || path.starts_with("/v1/invoices/");
    if is_of_bots || is_read && OPEN.contains(&path) {
        return Ok(Due::Nothing);
    }
    let host = own_host(headers, hosts)?;
    if is_read {
        judge_read(headers, host)?
    } else {
        judge_write(headers, host)?
    }
    match () {
        () if path == SIGN_IN => Ok(Due::Nothing),
        () if peer.is_some_and(is_this_machine) && is_loopback(host) && !came_by_proxy(headers) => Ok(Due::Own),
        () => Ok(Due::Key),
    }
}

fn secret_in(query: &str) -> Option<&str> {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    names.into_iter().find(|name| SECRET_NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// The one `Host`, if it names us: loopback, an address (no name server has a say in it), or a name of the configuration.
fn own_host<'a>(headers: &'a HeaderMap, hosts: &[String]) -> Result<&'a str, Problem> {
    let host = text(headers, "host").unwrap_or_default();
    let name = name_of(host);
    let plain = name.strip_suffix('.').unwrap_or(name);
    let is_ours = is_loopback(host)
        || name.parse::<IpAddr>().is_ok()
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(plain));
    if is_ours && headers.get_all("host").iter().count() == 1 {
        return Ok(host);
    }
    Err(Problem::new(421, "foreign_host", host))
}

/// A page reads its own server only; what a person types into the address bar comes from nowhere.
fn judge_read(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    own_origin(headers, host)?;
    match text(headers, "sec-fetch-site") {
        Some(site) if site != "same-origin" && site != "none" => foreign(&format!("Sec-Fetch-Site: {site}")),
        Some(_) | None => Ok(()),
    }
}

fn judge_write(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let origin = own_origin(headers, host)?;
    match text(headers, header::CONTENT_TYPE.as_str()) {
        Some(kind) if is_json(kind) => {}
        Some(kind) => return Err(Problem::new(415, "not_json", format!("Content-Type: {kind}"))),
        None if has_body(headers) => return Err(Problem::new(415, "not_json", "Content-Type is missing")),
        None => {}
    }
    // Without an origin it is a program: browsers name the origin of every such request, and where it goes.
    match text(headers, "sec-fetch-site") {
        Some(site) if site != "same-origin" && (origin.is_none() || site != "none") => {
            foreign(&format!("Sec-Fetch-Site: {site}"))
        }
        Some(_) | None => Ok(()),
    }
}

fn own_origin<'a>(headers: &'a HeaderMap, host: &str) -> Result<Option<&'a str>, Problem> {
    let origin = text(headers, "origin");
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host));
    match origin {
        Some(origin) if !is_own(origin) => Err(Problem::new(403, "foreign_origin", format!("Origin: {origin}"))),
        Some(_) | None => Ok(origin),
    }
}

fn foreign<T>(detail: &str) -> Result<T, Problem> {
    Err(Problem::new(403, "foreign_origin", detail))
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0");
    !is_empty || headers.contains_key(header::TRANSFER_ENCODING)
}

/// A listener for both families tells an IPv4 peer in the form of IPv6.
fn is_this_machine(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

fn came_by_proxy(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| PROXY_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded"))
}

/// A `Host` without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether a `Host` names this machine by a name that no foreign name server can give out.
fn is_loopback(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, Uri};

    type Pairs<'a> = &'a [(&'static str, &'static str)];

    fn due(peer: &str, method: &str, path: &'static str, headers: Pairs<'_>) -> Result<Due, u16> {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let method = if method == "GET" { Method::GET } else { Method::POST };
        let hosts = ["kassa.local".to_owned()];
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        judge(peer.parse().ok(), &method, &Uri::from_static(path), &map, &hosts).map_err(|problem| problem.status)
    }

    const HOME: (&str, &str) = ("host", "127.0.0.1:8780");
    const LAN: (&str, &str) = ("host", "192.168.1.7:8780");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn only_our_own_may_write() {
        let long = ("content-length", "9");
        let status = |headers: Pairs<'_>| due("127.0.0.1", "POST", "/api/v1/payments", headers).err().unwrap_or(200);
        for (status_due, headers) in [
            (200, vec![HOME, JSON, long]),
            (200, vec![("host", "LOCALHOST:8780"), JSON]),
            (200, vec![("host", "[::1]:8780"), JSON]),
            (200, vec![HOME, JSON, ("origin", "http://127.0.0.1:8780")]),
            (200, vec![HOME, JSON, ("origin", "http://127.0.0.1:8780"), ("sec-fetch-site", "same-origin")]),
            (200, vec![HOME, ("origin", "http://127.0.0.1:8780")]),
            (200, vec![HOME, ("content-length", "0")]),
            (200, vec![HOME]),
            (403, vec![HOME, ("sec-fetch-site", "cross-site")]),
            (403, vec![HOME, JSON, ("sec-fetch-site", "same-site")]),
            (403, vec![HOME, ("sec-fetch-site", "none")]),
            (421, vec![JSON]),
            (421, vec![HOME, HOME, JSON]),
            (421, vec![("host", "evil.kz"), JSON]),
            (421, vec![("host", "127.0.0.1.evil.kz:8780"), JSON]),
            (421, vec![("host", "kassa.local.evil.kz"), JSON]),
            (403, vec![HOME, JSON, ("origin", "http://evil.kz")]),
            (403, vec![HOME, JSON, ("origin", "null")]),
            (403, vec![HOME, JSON, ("origin", "http://127.0.0.1:3000")]),
            (415, vec![HOME, ("content-type", "text/plain"), long]),
            (415, vec![HOME, ("content-type", "application/x-www-form-urlencoded")]),
            (415, vec![HOME, ("content-type", "multipart/form-data; boundary=x")]),
            (415, vec![HOME, long]),
            (415, vec![HOME, ("transfer-encoding", "chunked")]),
        ] {
            assert_eq!(status(&headers), status_due, "{headers:?}");
        }
    }

    #[test]
    fn only_this_machine_needs_no_key() {
        for (peer, headers, due_now) in [
            ("127.0.0.1", vec![HOME], Due::Own),
            ("::1", vec![("host", "[::1]:8780")], Due::Own),
            ("::ffff:127.0.0.1", vec![("host", "localhost")], Due::Own),
            // A proxy of this machine, by its headers or by the name it was asked under.
            ("127.0.0.1", vec![HOME, ("x-forwarded-for", "10.0.0.9")], Due::Key),
            ("127.0.0.1", vec![HOME, ("x-forwarded-proto", "https")], Due::Key),
            ("127.0.0.1", vec![HOME, ("forwarded", "for=10.0.0.9")], Due::Key),
            ("127.0.0.1", vec![HOME, ("via", "1.1 proxy")], Due::Key),
            ("127.0.0.1", vec![("host", "kassa.local")], Due::Key),
            ("127.0.0.1", vec![LAN], Due::Key),
            // Somebody else, whatever the head says.
            ("192.168.1.20", vec![LAN], Due::Key),
            ("192.168.1.20", vec![HOME], Due::Key),
            ("192.168.1.20", vec![("host", "KASSA.LOCAL.:8780")], Due::Key),
            ("::ffff:192.168.1.20", vec![HOME], Due::Key),
            ("fd00::9", vec![("host", "[fd00::2]:8780")], Due::Key),
            ("nobody knows", vec![HOME], Due::Key),
        ] {
            for path in ["/api/v1/status", "/api/v1/events", "/metrics", "/openapi.json", "/readyz", "/probe/x", "/x"] {
                assert_eq!(due(peer, "GET", path, &headers), Ok(due_now), "{peer} {path} {headers:?}");
            }
            let json = [headers.clone(), vec![JSON]].concat();
            assert_eq!(due(peer, "POST", "/api/v1/payments", &json), Ok(due_now), "{peer} {headers:?}");
            // Open to all: the page, and the way to a key. A form sent to the page is no page.
            assert_eq!(due(peer, "POST", SIGN_IN, &json), Ok(Due::Nothing), "{peer} {headers:?}");
            assert_eq!(due(peer, "POST", "/", &json), Ok(due_now), "{peer} {headers:?}");
            for path in ["/", "/counter.js", "/counter.css", "/api/v1/words?lang=kk", "/healthz", "/v1/invoices/x"] {
                assert_eq!(due(peer, "GET", path, &headers), Ok(Due::Nothing), "{peer} {path}");
            }
            assert_eq!(due(peer, "GET", "/v1/invoicesx", &headers), Ok(due_now), "{peer}");
        }
    }

    #[test]
    fn a_page_of_another_server_reads_nothing() {
        for path in ["/api/v1/events", "/api/v1/status", "/metrics"] {
            let status = |headers: Pairs<'_>| due("192.168.1.20", "GET", path, headers).err().unwrap_or(200);
            assert_eq!(status(&[LAN, ("origin", "http://192.168.1.7:8780")]), 200);
            assert_eq!(status(&[LAN, ("sec-fetch-site", "same-origin")]), 200);
            assert_eq!(status(&[LAN, ("sec-fetch-site", "none")]), 200);
            assert_eq!(status(&[LAN, ("origin", "http://192.168.1.7:9999")]), 403);
            assert_eq!(status(&[LAN, ("origin", "http://evil.kz")]), 403);
            assert_eq!(status(&[LAN, ("sec-fetch-site", "same-site")]), 403);
            assert_eq!(status(&[("host", "evil.kz")]), 421);
            assert_eq!(status(&[]), 421);
        }
    }

    #[test]
    fn a_secret_in_an_address_is_refused_everywhere() {
        for path in ["/?key=x", "/api/v1/status?lang=ru&token=x", "/v1/invoices?api_key=x", "/healthz?PIN=1"] {
            assert_eq!(due("127.0.0.1", "GET", path, &[HOME]), Err(400), "{path}");
        }
        assert_eq!(due("127.0.0.1", "GET", "/api/v1/status?lang=ru&monkey=1", &[HOME]), Ok(Due::Own));
    }
}
