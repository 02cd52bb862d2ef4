//! F25: an order in parts, cash with change, and money that goes back: never more than was paid, never twice, and everybody hears of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::shop::{Counter, PHONE, Said};
use serde_json::{Value, json};

async fn part(shop: &Counter, order: u64, tender: &str, amount: i64, more: &Value) -> Said {
    let mut body = json!({ "order_id": order.to_string(), "tender": tender, "amount": amount });
    if tender == "kaspi_invoice" {
        body["phone"] = json!(PHONE);
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    shop.post("/api/v1/payments", &body).await
}

async fn begun(shop: &Counter, order: u64, tender: &str, amount: i64, more: &Value) -> String {
    let said = part(shop, order, tender, amount, more).await;
    assert_eq!(said.status, 201, "{}", said.text);
    said.body["id"].as_str().unwrap().to_owned()
}

async fn refund(shop: &Counter, id: &str, body: &Value) -> Said {
    let mut wish = json!({ "by": "Мария", "because": "гость вернул блюдо" });
    for (key, value) in body.as_object().into_iter().flatten() {
        wish[key] = value.clone();
    }
    shop.post(&format!("/api/v1/payments/{id}/refund"), &wish).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_kaspi_and_cash_with_change_close_the_order_once() {
    let shop = Counter::open().await;
    let order = shop.order();
    let kaspi = begun(&shop, order, "kaspi_terminal", 4000, &json!({})).await;
    shop.until_state(&kaspi, "waiting").await;
    shop.till().guest_pays_qr();
    shop.until_state(&kaspi, "paid").await;
    assert_eq!(shop.in_pos(order).status, 1, "the rest is not paid yet");
    let short = part(&shop, order, "cash", 2100, &json!({ "tendered": 2000 })).await;
    assert_eq!((short.status, &short.body["code"]), (422, &json!("tendered")));
    let cash = begun(&shop, order, "cash", 2100, &json!({ "tendered": 5000 })).await;
    let shown = shop.payment(&cash).await;
    assert_eq!((&shown["state"], &shown["change"], &shown["part"]), (&json!("paid"), &json!(2900), &json!(2)));
    shop.is_sold_once(order, &cash, 2100, 4000).await;
    let receipt = &shop.papers("receipt")[0];
    for words in ["Kaspi QR", "4 000", "Наличные", "2 100", "5 000", "Сдача", "2 900"] {
        assert!(receipt.contains(words), "{words} in {receipt}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_two_guests_pay_their_shares_at_the_same_time() {
    let shop = Counter::open().await;
    let order = shop.order();
    let first = begun(&shop, order, "kaspi_terminal", 3000, &json!({ "part": 1 })).await;
    let second = begun(&shop, order, "kaspi_invoice", 3100, &json!({ "part": 2 })).await;
    for (what, amount, more, code) in [
        ("the same share again", 3000, json!({ "part": 1 }), "live"),
        ("a share that nobody is due", 100, json!({ "part": 3 }), "already_paid"),
        ("the whole while shares are running", 6100, json!({}), "live"),
    ] {
        assert_eq!(part(&shop, order, "cash", amount, &more).await.body["code"], code, "{what}");
    }
    shop.until_state(&first, "waiting").await;
    shop.until_state(&second, "waiting").await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.until_state(&second, "paid").await;
    assert_eq!(shop.in_pos(order).closes, 0);
    shop.till().guest_pays_card();
    shop.is_sold_once(order, &first, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_part_that_fails_is_moved_to_cash() {
    let shop = Counter::open().await;
    let order = shop.order();
    let cash = begun(&shop, order, "cash", 2000, &json!({})).await;
    assert!(shop.is(&cash, "paid").await);
    let kaspi = shop.pay(order, "kaspi_terminal").await;
    assert_eq!(shop.payment(&kaspi).await["amount"], 4100);
    shop.until_state(&kaspi, "waiting").await;
    shop.till().guest_declines();
    shop.until_state(&kaspi, "failed").await;
    let rest = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &rest, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_cash_goes_back_in_parts_and_never_more_than_was_paid() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &id, 6100, 0).await;
    for (what, body, code) in [
        ("nobody's refund", json!({ "by": " " }), "answer_incomplete"),
        ("too much", json!({ "amount": 6101 }), "refund_too_much"),
        ("nothing", json!({ "amount": 0 }), "refund_too_much"),
    ] {
        assert_eq!(refund(&shop, &id, &body).await.body["code"], code, "{what}");
    }
    let path = format!("/api/v1/payments/{id}/refund");
    let body = json!({ "by": "Мария", "because": "не тот суп", "amount": 2500 });
    let first = shop.post_keyed(&path, "press-1", &body).await;
    let again = shop.post_keyed(&path, "press-1", &body).await;
    assert_eq!((first.status, &first.body["state"]), (201, &json!("done")), "{}", first.text);
    assert_eq!(first.body["id"], again.body["id"], "a double tap is one refund");
    let other = shop.post_keyed(&path, "press-1", &json!({ "by": "Мария", "because": "x", "amount": 1 })).await;
    assert_eq!(other.body["code"], "key_reused");
    assert_eq!(shop.payment(&id).await["refundable"], 3600);
    assert_eq!(refund(&shop, &id, &json!({ "amount": 3601 })).await.body["code"], "refund_too_much");
    assert_eq!(refund(&shop, &id, &json!({})).await.body["amount"], 3600);
    assert_eq!(refund(&shop, &id, &json!({})).await.body["code"], "refund_nothing");
    shop.until_papers("receipt", 3).await;
    let slip = &shop.papers("receipt")[1];
    for words in ["ВОЗВРАТ", "ҚАЙТАРУ", "2 500", "Мария", "не тот суп"] {
        assert!(slip.contains(words), "{words} in {slip}");
    }
    // The POS has no call for a return: a person makes it there.
    shop.settle("pos_return").await;
    assert_eq!(shop.try_pay(order, "cash").await.status, 409, "what was given back is not collected again");
    let day = shop.get("/api/v1/day").await.body;
    assert_eq!((&day["paid"], &day["given_back"]), (&json!(6100), &json!(6100)));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_an_invoice_is_refunded_in_kaspi_pay_and_its_number_kept() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_invoices(1).await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(refund(&shop, &id, &json!({ "amount": 1000 })).await.body["code"], "refund_by_hand");
    let done = refund(&shop, &id, &json!({ "amount": 1000, "transaction": "77881" })).await;
    assert_eq!((&done.body["state"], &done.body["way"]), (&json!("done"), &json!("by_hand")));
    assert_eq!(shop.payment(&id).await["refundable"], 5100);
    shop.settle("pos_return").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_nothing_goes_back_of_a_payment_that_was_not_made() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    assert_eq!(refund(&shop, &id, &json!({})).await.body["code"], "refund_unpaid");
    shop.till().guest_declines();
    shop.until_state(&id, "failed").await;
    assert_eq!(refund(&shop, &id, &json!({})).await.body["code"], "refund_unpaid");
    assert_eq!(refund(&shop, "no-such", &json!({})).await.status, 404);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_what_was_paid_twice_goes_back_and_nobody_is_asked_any_more() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_invoices(1).await;
    shop.until_state(&id, "waiting").await;
    // The guest pays at the last moment; the notice and every answer are late, and the order was paid in cash meanwhile.
    let invoice = shop.invoice().id;
    shop.aipay().guest_walks_away(&invoice);
    shop.until_by(std::time::Duration::from_secs(5), "it is expired", async || shop.is(&id, "expired").await).await;
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.aipay().guest_pays_late(&invoice);
    shop.until_asked("double_paid").await;
    let back = refund(&shop, &cash, &json!({})).await;
    assert_eq!(back.body["state"], "done", "{}", back.text);
    shop.until("nobody is asked any more", async || shop.questions().await.is_empty()).await;
    shop.close().await;
}
