//! Old notices, rightly signed, sent again: in every state of their payment, after its refund, after a hundred days and a purge. The
//! sender gets its 200, and not a row of the journal, a question or a paper comes of it.

use super::{Calm, Counter, chunked, kept, metric, post, right, say, signed, status};
use kassad::sandbox::aipay::sign;
use kassad::sandbox::restaurant::SANDBOX_SECRET;
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A notice as AiPay words it, in both dialects.
fn bodies(invoice: &str, payment: &str, status: &str) -> [String; 2] {
    let a =
        json!({ "event": format!("invoice.{status}"), "invoice_id": invoice, "external_id": payment, "amount": 6100 });
    let b = json!({ "status": status, "invoice_id": invoice, "external_id": payment, "amount": 6100 });
    [a.to_string(), b.to_string()]
}

/// One body in many envelopes.
fn envelopes(body: &str) -> Vec<Vec<u8>> {
    let bytes = body.as_bytes();
    let b = format!("X-Signature: {}\r\n", sign(SANDBOX_SECRET, bytes));
    vec![
        signed(bytes),
        post(&right(bytes).to_uppercase(), bytes),
        post(&b, bytes),
        post(&format!("{}{b}", right(bytes)), bytes),
        post(
            &format!("x-request-id: {}\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n{}", "7".repeat(40), right(bytes)),
            bytes,
        ),
        chunked(&right(bytes), &bytes.chunks(9).collect::<Vec<_>>()),
    ]
}

/// The same without what only says how long ago something was.
fn timeless(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !["age_s", "since_s"].contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name, timeless(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(timeless).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// What the world could notice.
async fn world(shop: &Counter, payment: &str) -> Value {
    json!({
        "payment": timeless(shop.payment(payment).await),
        "questions": shop.questions().await,
        "papers": [shop.papers("receipt").len(), shop.papers("hot").len(), shop.papers("bar").len()],
        "orders": format!("{:?}", shop.poster().orders()),
        "jobs": timeless(shop.get("/api/v1/jobs").await.body),
        "kept": kept(shop).await,
    })
}

/// Replays notices in all envelopes; returns the rows of the journal that came of it.
async fn replay(shop: &Counter, payment: &str, bodies: &[String]) -> i64 {
    shop.pass(Duration::from_secs(30), Duration::from_millis(500)).await;
    let (before, rows) = (world(shop, payment).await, metric(shop, "kassad_journal_rows").await);
    for body in bodies {
        for envelope in envelopes(body) {
            assert_eq!(status(&say(shop, &envelope).await), 200, "{}", String::from_utf8_lossy(&envelope));
        }
    }
    shop.pass(Duration::from_secs(30), Duration::from_millis(500)).await;
    assert_eq!(world(shop, payment).await, before);
    metric(shop, "kassad_journal_rows").await - rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_old_notices_change_nothing_in_any_state_nor_after_a_hundred_days() {
    let calm = Calm::watch();
    let mut shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice().id;
    let (paid, pending) = (bodies(&invoice, &id, "paid"), bodies(&invoice, &id, "pending"));
    // A first word is kept, and says no more than that somebody should ask.
    assert_eq!(shop.signed_notice(&pending[0]).await, 200);
    assert_eq!(replay(&shop, &id, &pending).await, 0, "waiting");
    assert!(shop.aipay().guest_pays(&invoice));
    shop.is_sold_once(order, &id, 0, 6100).await;
    let all = [paid.as_slice(), pending.as_slice()].concat();
    assert_eq!(replay(&shop, &id, &all).await, 0, "paid");
    let back = json!({ "by": "Мария", "because": "гость вернул", "transaction": "77881" });
    let done = shop.post(&format!("/api/v1/payments/{id}/refund"), &back).await;
    assert_eq!(done.body["state"], "done", "{}", done.text);
    shop.until("it is refunded", async || shop.payment(&id).await["refundable"] == 0).await;
    assert_eq!(replay(&shop, &id, &all).await, 0, "refunded");
    // A hundred days later the ledger keeps no bodies and no phones of that time.
    shop.stop().await;
    {
        let ledger = rusqlite::Connection::open(shop.folder.path().join("ledger.db")).unwrap();
        let purged = ledger.execute("UPDATE inbox SET body = x'', headers = '{}'", ()).unwrap();
        assert!(purged >= 2, "{purged}");
    }
    shop.clock.jump(crate::shop::NOON.plus_ms(100 * i64::try_from(DAY.as_millis()).unwrap()));
    shop.start().await;
    assert_eq!(replay(&shop, &id, &all).await, 0, "after a hundred days");
    calm.holds();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_old_notices_of_an_expired_invoice_and_of_nobody_change_nothing() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice().id;
    assert!(shop.aipay().expire(&invoice));
    shop.until_state(&id, "expired").await;
    let expired = bodies(&invoice, &id, "expired");
    assert_eq!(shop.signed_notice(&expired[0]).await, 200);
    // The cloud is asked about for a while after the end (F05): let that pass.
    shop.pass(Duration::from_secs(30 * 60), Duration::from_secs(2)).await;
    assert_eq!(replay(&shop, &id, &expired).await, 0, "expired");
    // Who insists that it is paid makes us ask again, and the cloud's own record is what counts.
    let paid = bodies(&invoice, &id, "paid");
    assert_eq!(shop.signed_notice(&paid[0]).await, 200);
    replay(&shop, &id, &paid).await;
    assert!(shop.is(&id, "expired").await);
    // Of nobody's invoice and of no meaning: once a question, and never again.
    let odd = [super::notice("inv-of-nobody"), "signed and of no meaning".to_owned()];
    for body in &odd {
        assert_eq!(shop.signed_notice(body).await, 200);
    }
    shop.pass(Duration::from_secs(11 * 60), Duration::from_secs(1)).await;
    shop.until_asked("orphan").await;
    shop.until_asked("unreadable").await;
    assert_eq!(replay(&shop, &id, &odd).await, 0, "asked about");
    shop.settle("unreadable").await;
    assert_eq!(replay(&shop, &id, &odd).await, 0, "settled");
    calm.holds();
    shop.close().await;
}
