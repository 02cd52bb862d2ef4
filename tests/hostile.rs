//! Enemies of the public listener: the true daemon over real sockets, and everything the internet tries. A genuine notice is answered 200
//! and durable whatever happens beside it, nothing else leaves a trace in the ledger, and nothing panics (issue 6, F15).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod doors;
mod floods;
mod forgeries;
mod replay;
mod smuggling;

use crate::shop::{Bare, Counter};
use kassad::sandbox::aipay::sign;
use kassad::sandbox::restaurant::SANDBOX_SECRET;
use serde_json::json;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static HOOK: Once = Once::new();
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics outside of the tests themselves from here on; a task that panics would otherwise only lose its connection.
struct Calm(usize);

impl Calm {
    fn watch() -> Calm {
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if panic.location().is_none_or(|at| !at.file().starts_with("tests/")) {
                    PANICS.fetch_add(1, Ordering::SeqCst);
                }
                usual(panic);
            }));
        });
        Calm(PANICS.load(Ordering::SeqCst))
    }

    fn holds(&self) {
        assert_eq!(PANICS.load(Ordering::SeqCst), self.0, "something panicked");
    }
}

/// A readable notice about an invoice that we do not know: kept as an orphan, once.
fn notice(invoice: &str) -> String {
    json!({ "event": "invoice.paid", "invoice_id": invoice, "external_id": "nobody", "amount": 100 }).to_string()
}

/// A request to the webhook with more headers, and a body with its length.
fn post(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("POST /webhooks/aipay HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\n{head}\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn right(body: &[u8]) -> String {
    format!("x-aipay-signature: {}\r\n", sign(SANDBOX_SECRET, body))
}

/// The same, rightly signed.
fn signed(body: &[u8]) -> Vec<u8> {
    post(&right(body), body)
}

fn chunked(head: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes =
        format!("POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{head}\r\n").into_bytes();
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Says bytes on a fresh connection, hangs up, and hears everything until the other side closes.
async fn say(shop: &Counter, bytes: &[u8]) -> String {
    let mut wire = Bare::open(shop.public()).await;
    wire.say(bytes).await;
    wire.hang_up().await;
    wire.rest().await
}

/// The statuses of all answers in what was heard, `100 Continue` apart.
fn statuses(heard: &str) -> Vec<u16> {
    let lines = heard.split("HTTP/1.").skip(1);
    lines.filter_map(|line| line.split(' ').nth(1)?.parse().ok()).filter(|status| *status != 100).collect()
}

/// The only status of what was heard.
fn status(heard: &str) -> u16 {
    let all = statuses(heard);
    assert_eq!(all.len(), 1, "{heard}");
    all[0]
}

async fn metric(shop: &Counter, name: &str) -> i64 {
    let text = shop.get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

async fn kept(shop: &Counter) -> i64 {
    metric(shop, "kassad_notices_total").await
}
