//! The PIN and the keys that devices of the LAN get for it. A key is 192 random bits that only its device has; the ledger holds its hash,
//! taken together with the PIN, so that another PIN ends every key without a word of the PIN being kept. Wrong PINs are counted on the
//! monotonic clock: who guesses is stopped, who has a key goes on.

use super::guard::Visitor;
use super::problem::Problem;
use super::webhooks::whole_body;
use super::{Faces, Peer, lang};
use crate::flows::keys::{self, PageKey};
use crate::host::clock::{Clock, Monotonic};
use crate::host::ids::Ids;
use crate::host::secret::Secret;
use crate::workers::Devices;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, http::HeaderName};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tracing::{info, warn};

/// Wrong PINs of one source within the window.
const WRONG_MAX: usize = 5;

/// Wrong PINs of all sources together within the window.
const WRONG_MAX_ALL: usize = 20;

/// How long a wrong PIN counts.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Characters of a device's name.
const NAME_CHARS_MAX: usize = 40;

/// How long a browser keeps the cookie, in seconds: 400 days, the most that browsers allow (RFC 6265bis §5.5).
const COOKIE_AGE_S: u32 = 400 * 24 * 3600;

const COOKIE: &str = "kassad";
const DAY_MS: i64 = 86_400_000;

/// What the mark of guessed PINs is called among the devices.
const MARK: &str = "sign-in";

/// The PIN, the names of this machine, and the wrong tries.
pub struct Keys {
    pin: Option<Secret>,
    hosts: Vec<String>,
    ids: Ids,
    tries: Mutex<Tries>,
}

/// Wrong PINs within the window, oldest first; no more of them are kept than lock everybody out.
#[derive(Debug, Default)]
struct Tries {
    wrong: VecDeque<(Monotonic, IpAddr)>,
    is_marked: bool,
}

/// What a PIN led to.
#[derive(Debug, PartialEq, Eq)]
enum Try {
    Right,
    /// So many tries are left.
    Wrong(usize),
    /// This one was the last for a while.
    Locked(Duration),
    /// It was not looked at.
    Refused(Duration),
}

impl Keys {
    /// Without a PIN only this machine may come in.
    pub fn new(pin: Option<Secret>, hosts: Vec<String>, ids: Ids) -> Keys {
        Keys { pin, hosts, ids, tries: Mutex::default() }
    }

    /// Names of this machine in the LAN.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the mark away once nobody is locked out any more.
    fn unmark(&self, clock: &Clock, devices: &Devices) {
        let mut tries = self.tries();
        tries.forget(clock.now());
        if tries.is_marked && tries.wrong.len() < WRONG_MAX {
            tries.is_marked = false;
            devices.set(MARK, "guard", "up", "", "");
        }
    }

    /// The hash under which a key is known while this PIN holds.
    fn hash(pin: &Secret, key: &str) -> String {
        let mut hash = Sha256::new();
        for part in ["kassad counter key", pin.expose(), key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Tries {
    fn forget(&mut self, now: Monotonic) {
        while self.wrong.front().is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.wrong.pop_front();
        }
    }

    /// How long a source must wait; the locks are looked at before the PIN is, so that a locked source learns nothing.
    fn wait(&self, now: Monotonic, source: IpAddr) -> Option<Duration> {
        let rest = |at: &Monotonic| WINDOW.saturating_sub(now.since(*at));
        let own: Vec<&Monotonic> = self.wrong.iter().filter(|(_, of)| *of == source).map(|(at, _)| at).collect();
        // The wait ends when the first of them is forgotten that makes one too many.
        let of_source = own.len().checked_sub(WRONG_MAX).and_then(|place| own.get(place)).map(|at| rest(at));
        let of_all = self.wrong.len().checked_sub(WRONG_MAX_ALL).and_then(|place| self.wrong.get(place));
        of_source.max(of_all.map(|(at, _)| rest(at)))
    }

    fn take(&mut self, now: Monotonic, source: IpAddr, is_right: bool) -> Try {
        self.forget(now);
        if let Some(wait) = self.wait(now, source) {
            return Try::Refused(wait);
        }
        if is_right {
            self.wrong.retain(|(_, of)| *of != source);
            return Try::Right;
        }
        self.wrong.push_back((now, source));
        match self.wait(now, source) {
            Some(wait) => Try::Locked(wait),
            None => Try::Wrong(WRONG_MAX - self.wrong.iter().filter(|(_, of)| *of == source).count()),
        }
    }
}

/// One source: an address, or the network of 64 bits that a device of IPv6 takes its addresses from.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// The routes of the keys.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/api/v1/sign-in", post(sign_in))
        .route("/api/v1/sign-out", post(sign_out))
        .route("/api/v1/keys", get(devices))
        .route("/api/v1/keys/{id}/revoke", post(revoke))
}

/// The device whose key a request shows.
pub(super) async fn visitor(faces: &Faces, headers: &HeaderMap) -> Result<Visitor, Problem> {
    faces.keys.unmark(&faces.office.clock, &faces.office.devices);
    let Some(pin) = &faces.keys.pin else {
        return Err(Problem::new(401, "no_pin", "[listen] pin_file"));
    };
    let known = faces.office.look(|view| keys::list(&view))?;
    let hashes: Vec<String> = shown(headers).map(|key| Keys::hash(pin, key)).collect();
    let is_shown = |key: &&PageKey| hashes.iter().any(|hash| bool::from(hash.as_bytes().ct_eq(key.hash.as_bytes())));
    let Some(key) = known.into_iter().find(|key| is_shown(&key)) else {
        return Err(Problem::new(401, "key_needed", ""));
    };
    let (day, id) = (today(faces), key.id.clone());
    if key.used_day != day {
        // A ledger that takes no commit must not lock a device out.
        let _noted = faces.office.writer.decide(move |tx| keys::touch(tx, &id, day)).await.is_ok();
    }
    Ok(Visitor::Device(key.id))
}

/// The keys that a request shows: as a program by `Authorization`, else as a browser by its cookie.
fn shown(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name: HeaderName| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer "));
    let pairs = text(header::COOKIE).flat_map(|value| value.split(';'));
    let cookies = pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    bearer.chain(cookies).filter(|key| !key.is_empty()).take(4)
}

fn today(faces: &Faces) -> i64 {
    faces.office.clock.wall().0.div_euclid(DAY_MS)
}

async fn sign_in(
    State(faces): State<Arc<Faces>>,
    peer: Option<Extension<Peer>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |Extension(Peer(peer))| peer.ip());
    match signed_in(&faces, peer, &headers, body).await {
        Ok(response) => response,
        Err((problem, wait)) => {
            let mut response = problem.told(lang(&uri, &headers)).into_response();
            if let Some(wait) = wait.and_then(|wait| HeaderValue::from_str(&wait.as_secs().max(1).to_string()).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            response
        }
    }
}

type NotIn = (Problem, Option<Duration>);

async fn signed_in(faces: &Faces, peer: IpAddr, headers: &HeaderMap, body: Body) -> Result<Response, NotIn> {
    let plain = |problem: Problem| (problem, None);
    let bytes = whole_body(&faces.office.clock, headers, body).await;
    let bytes = bytes.map_err(|status| plain(Problem::new(status.as_u16(), "bad_request", "")))?;
    // What was sent is not shown in the answer: it may hold the PIN.
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| plain(Problem::bad("the body is not JSON")))?;
    let typed = body["pin"].as_str().ok_or_else(|| plain(Problem::bad("pin: 6 to 8 digits as a text")))?;
    let is_program = match body["as"].as_str() {
        None if body["as"].is_null() => false,
        Some("browser") => false,
        Some("program") => true,
        Some(_) | None => return Err(plain(Problem::bad("as: browser or program"))),
    };
    let Some(pin) = &faces.keys.pin else {
        return Err(plain(Problem::new(403, "no_pin", "[listen] pin_file")));
    };
    try_pin(faces, source(peer), pin.equals(typed))?;
    let name = device_name(&body);
    let (id, key) = (faces.keys.ids.name(6), fresh_key(&faces.keys.ids));
    let day = today(faces);
    let row = PageKey { id: id.clone(), name: name.clone(), hash: Keys::hash(pin, &key), made_day: day, used_day: day };
    let dropped =
        faces.office.writer.decide(move |tx| keys::add(tx, row)).await.map_err(|fault| plain(fault.into()))?;
    info!(id, %peer, dropped = dropped.unwrap_or_default(), "a device signed in to the counter page");
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_program {
        return Ok(([no_store], Json(json!({ "id": id, "name": name, "key": key }))).into_response());
    }
    let cookie = cookie(&key, COOKIE_AGE_S, is_https(headers));
    Ok(([no_store, (header::SET_COOKIE, cookie)], Json(json!({ "id": id, "name": name }))).into_response())
}

/// Counts a try; the one that locks a source is a line in the log and a mark on the page.
fn try_pin(faces: &Faces, source: IpAddr, is_right: bool) -> Result<(), NotIn> {
    let mut tries = faces.keys.tries();
    let (problem, wait) = match tries.take(faces.office.clock.now(), source, is_right) {
        Try::Right => return Ok(()),
        Try::Wrong(left) => return Err((Problem::new(403, "pin_wrong", left.to_string()), None)),
        Try::Locked(wait) => {
            tries.is_marked = true;
            warn!(%source, "wrong PINs at the counter page: further tries are refused for a while");
            faces.office.devices.set(MARK, "guard", "warn", "pin_guessed", &source.to_string());
            (Problem::new(429, "pin_locked", wait.as_secs().to_string()), wait)
        }
        Try::Refused(wait) => (Problem::new(429, "pin_locked", wait.as_secs().to_string()), wait),
    };
    Err((problem, Some(wait)))
}

fn device_name(body: &Value) -> String {
    let given = body["name"].as_str().unwrap_or_default();
    let name: String = given.chars().filter(|sign| !sign.is_control()).take(NAME_CHARS_MAX).collect();
    if name.trim().is_empty() { "?".to_owned() } else { name.trim().to_owned() }
}

fn fresh_key(ids: &Ids) -> String {
    (0..3).map(|_| format!("{:016x}", ids.bits())).collect()
}

/// Whether the browser came over TLS, by a proxy: then the cookie must not go out in the open.
fn is_https(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text("origin").starts_with("https://") || text("x-forwarded-proto").eq_ignore_ascii_case("https")
}

/// No script reads it, and no other site's request carries it.
fn cookie(key: &str, age_s: u32, is_https: bool) -> HeaderValue {
    let secure = if is_https { "; Secure" } else { "" };
    let text = format!("{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

async fn sign_out(
    State(faces): State<Arc<Faces>>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let ended = match visitor {
        Visitor::Device(id) => end(&faces, id).await.map(drop),
        // This machine needs no key and has none to give back.
        Visitor::Unnamed => Ok(()),
    };
    match ended {
        Ok(()) => {
            let gone = cookie("", 0, is_https(&headers));
            ([(header::SET_COOKIE, gone)], Json(json!({ "state": "signed_out" }))).into_response()
        }
        Err(problem) => problem.told(lang(&uri, &headers)).into_response(),
    }
}

async fn end(faces: &Faces, id: String) -> Result<PageKey, Problem> {
    let gone = faces.office.writer.decide(move |tx| keys::revoke(tx, &id)).await?;
    info!(id = %gone.id, "a device was signed out of the counter page");
    Ok(gone)
}

async fn devices(
    State(faces): State<Arc<Faces>>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match faces.office.look(|view| keys::list(&view)) {
        Ok(known) => {
            let shown: Vec<Value> = known.iter().map(|key| shape(key, &visitor)).collect();
            Json(json!({ "keys": shown, "pin": faces.keys.pin.is_some() })).into_response()
        }
        Err(fault) => Problem::from(fault).told(lang(&uri, &headers)).into_response(),
    }
}

fn shape(key: &PageKey, visitor: &Visitor) -> Value {
    let date = |day: i64| {
        let at = jiff::Timestamp::from_millisecond(day.saturating_mul(DAY_MS)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        at.strftime("%Y-%m-%d").to_string()
    };
    let is_this = *visitor == Visitor::Device(key.id.clone());
    json!({ "id": key.id, "name": key.name, "made": date(key.made_day), "used": date(key.used_day), "this": is_this })
}

async fn revoke(State(faces): State<Arc<Faces>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    match end(&faces, id).await {
        Ok(gone) => (StatusCode::OK, Json(json!({ "id": gone.id, "name": gone.name }))).into_response(),
        Err(problem) => problem.told(lang(&uri, &headers)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> Monotonic {
        Monotonic(MINUTE * minutes)
    }

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 168, 1, last])
    }

    #[test]
    fn five_wrong_pins_of_one_source_lock_it_and_nobody_else() {
        let mut tries = Tries::default();
        for left in (1..WRONG_MAX).rev() {
            assert_eq!(tries.take(at(0), from(1), false), Try::Wrong(left));
        }
        assert_eq!(tries.take(at(1), from(1), false), Try::Locked(WINDOW - MINUTE));
        // The right PIN as well: a lock tells nothing.
        assert_eq!(tries.take(at(2), from(1), true), Try::Refused(WINDOW - 2 * MINUTE));
        assert_eq!(tries.take(at(2), from(2), true), Try::Right);
        assert_eq!(tries.take(at(15), from(1), true), Try::Right);
        assert_eq!(tries.take(at(15), from(1), false), Try::Wrong(4));
    }

    #[test]
    fn twenty_wrong_pins_lock_every_source() {
        let mut tries = Tries::default();
        for last in 1..=19 {
            assert_eq!(tries.take(at(u32::from(last) / 10), from(last), false), Try::Wrong(4));
        }
        assert_eq!(tries.take(at(2), from(20), false), Try::Locked(WINDOW - 2 * MINUTE));
        assert_eq!(tries.take(at(2), from(99), true), Try::Refused(WINDOW - 2 * MINUTE));
        assert!(tries.wrong.len() <= WRONG_MAX_ALL);
        assert_eq!(tries.take(at(15), from(99), true), Try::Right);
    }

    #[test]
    fn a_device_of_ipv6_is_one_source_whatever_address_it_takes() {
        let source_of = |text: &str| text.parse().map(source);
        assert_eq!(source_of("fd00::1"), source_of("fd00::ffff:1"));
        assert_ne!(source_of("fd00::1"), source_of("fd00:0:0:1::1"));
        assert_eq!(source_of("::ffff:192.168.1.7"), Ok(from(7)));
    }

    #[test]
    fn a_key_is_taken_from_the_header_or_the_cookie_and_nowhere_else() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1; kassad=one;kassadx=no; kassad=two"));
        headers.append("authorization", HeaderValue::from_static("Bearer three"));
        headers.append("x-key", HeaderValue::from_static("four"));
        assert_eq!(shown(&headers).collect::<Vec<_>>(), ["three", "one", "two"]);
    }

    #[test]
    fn the_cookie_is_strict_and_over_tls_secure() {
        let plain = cookie("k", 9, false);
        assert_eq!(plain, "kassad=k; Path=/; HttpOnly; SameSite=Strict; Max-Age=9");
        assert_eq!(cookie("", 0, true), "kassad=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure");
    }

    #[test]
    fn another_pin_is_another_hash() {
        let (one, other) = (Secret::new("4711"), Secret::new("4712"));
        assert_ne!(Keys::hash(&one, "k"), Keys::hash(&other, "k"));
        assert_ne!(Keys::hash(&Secret::new("47"), "11k"), Keys::hash(&Secret::new("4711"), "k"));
        assert_eq!(Keys::hash(&one, "k").len(), 64);
    }
}
