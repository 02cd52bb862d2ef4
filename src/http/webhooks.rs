//! `POST /webhooks/<name>`: size and time first, then the signature over the raw bytes, then durable, then 200 (I8). Nothing is parsed
//! before the signature is right; nothing that was signed right is lost.

use super::{BODY_BYTES_MAX, BODY_LIMIT, Faces, plain_headers};
use crate::drivers::{Headers, Verified};
use crate::flows::intake::{self, Claim, Kept, Message};
use crate::host::clock::{Clock, Monotonic};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Wrongly signed bodies within a window before the rest of them get 429.
const FORGED_MAX: u32 = 60;

/// The window.
const FORGED_WINDOW: Duration = Duration::from_secs(60);

/// Headers worth keeping with a message; none of them is a secret of ours.
const KEPT_HEADERS: [&str; 6] =
    ["content-type", "user-agent", "x-aipay-signature", "x-signature", "date", "x-request-id"];

/// The route of webhooks.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new().route("/webhooks/{name}", post(receive))
}

/// Counts wrongly signed bodies. Rightly signed ones are never counted: a genuine notice always gets its 200.
#[derive(Debug, Default)]
pub struct Flood(Mutex<(Monotonic, u32)>);

/// What one more forgery means.
#[derive(Debug, PartialEq, Eq)]
struct Forgery {
    /// The rest of the window gets 429.
    is_flood: bool,
    /// The first of its window is worth a line in the log, with how many the window before held.
    before: Option<u32>,
}

impl Flood {
    fn count(&self, clock: &Clock) -> Forgery {
        let now = clock.now();
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = window.1 == 0 || now.since(window.0) >= FORGED_WINDOW;
        let before = is_first.then_some(window.1);
        if is_first {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        Forgery { is_flood: window.1 > FORGED_MAX, before }
    }
}

async fn receive(
    State(faces): State<Arc<Faces>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    let Some(door) = faces.doors.get(&name) else {
        return StatusCode::NOT_FOUND;
    };
    let body = match whole_body(&faces.office.clock, &headers, body).await {
        Ok(body) => body,
        Err(status) => return status,
    };
    let headers = plain_headers(&headers);
    let Ok(verified) = door.scheme.verify(&door.secrets, &headers, &body) else {
        faces.forged.fetch_add(1, Ordering::Relaxed);
        let forgery = faces.flood.count(&faces.office.clock);
        if let Some(before) = forgery.before {
            warn!(door = %name, before, "a body with a missing or wrong signature; more of them within a minute are only counted");
        }
        if forgery.is_flood {
            return StatusCode::TOO_MANY_REQUESTS;
        }
        return StatusCode::from_u16(door.scheme.forged_status()).unwrap_or(StatusCode::FORBIDDEN);
    };
    let message = message(&name, &headers, &verified, door.scheme.read(&verified));
    match faces.office.writer.decide(move |tx| intake::receive(tx, &message)).await {
        Ok(kept) => {
            match kept {
                Kept::Matched | Kept::Again => {}
                Kept::Orphan => info!(door = %name, "a notice that no attempt claims yet"),
                Kept::Unreadable => warn!(door = %name, "a correctly signed notice that cannot be read was kept"),
            }
            StatusCode::OK
        }
        // Not durable: the sender must try again.
        Err(fault) => {
            warn!(door = %name, %fault, "a notice could not be kept");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// The whole body within its limits of size and time.
pub(super) async fn whole_body(clock: &Clock, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, StatusCode> {
    let announced = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match clock.limit(BODY_LIMIT, axum::body::to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(cause)) if is_too_large(&cause) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn is_too_large(cause: &axum::Error) -> bool {
    use std::error::Error;
    cause.source().is_some_and(|source| source.to_string().contains("length limit"))
}

fn message(
    door: &str,
    headers: &Headers,
    verified: &Verified,
    read: Result<crate::drivers::Notice, crate::drivers::Unreadable>,
) -> Message {
    let kept: serde_json::Map<String, serde_json::Value> = KEPT_HEADERS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), json!(headers.only(name)?))))
        .chain([("dialect".to_owned(), json!(verified.dialect()))])
        .collect();
    let (event_key, claim) = match read {
        Ok(notice) => {
            let claim = Claim {
                handle: notice.handle,
                reference: notice.reference,
                status: notice.status,
                amount: notice.amount,
            };
            (notice.event_key, Ok(claim))
        }
        Err(unreadable) => {
            let hash = Sha256::digest(verified.body());
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            (format!("unreadable {hex}"), Err(unreadable.0))
        }
    };
    let headers = serde_json::Value::Object(kept).to_string();
    Message { door: door.to_owned(), headers, body: verified.body().to_vec(), claim, event_key }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;

    #[test]
    fn forgeries_are_told_once_a_window_with_the_count_of_the_one_before() {
        let (clock, flood) = (Clock::manual(Wall(0)), Flood::default());
        assert_eq!(flood.count(&clock), Forgery { is_flood: false, before: Some(0) });
        for _ in 1..FORGED_MAX {
            assert_eq!(flood.count(&clock), Forgery { is_flood: false, before: None });
        }
        assert_eq!(flood.count(&clock), Forgery { is_flood: true, before: None });
        clock.advance(FORGED_WINDOW);
        assert_eq!(flood.count(&clock), Forgery { is_flood: false, before: Some(FORGED_MAX + 1) });
    }
}
