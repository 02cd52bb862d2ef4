//! `POST /webhooks/<name>`: size and time first, then the signature over the raw bytes, then durable, then 200 (I8). Nothing is parsed
//! before the signature is right; nothing that was signed right is lost.

use super::{BODY_BYTES_MAX, BODY_LIMIT, Faces, plain_headers};
use crate::drivers::{Headers, Verified};
use crate::flows::intake::{self, Claim, Kept, Message};
use crate::host::clock::Clock;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use tracing::{info, warn};

/// Headers worth keeping with a message; none of them is a secret of ours.
const KEPT_HEADERS: [&str; 6] =
    ["content-type", "user-agent", "x-aipay-signature", "x-signature", "date", "x-request-id"];

/// The route of webhooks.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new().route("/webhooks/{name}", post(receive))
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
        if faces.strangers.forged_body(&faces.office.clock, &name) {
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
    clock.limit(BODY_LIMIT, copied(body)).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

/// Copies a body piece by piece: kept as they came, pieces of one byte each would cost forty times what they say.
async fn copied(mut body: Body) -> Result<Vec<u8>, StatusCode> {
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_broken| StatusCode::BAD_REQUEST)?;
        // Trailers are nothing to us.
        let Some(piece) = frame.data_ref() else { continue };
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        whole.extend_from_slice(piece);
    }
    Ok(whole)
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
