//! How long kassad waits, whom it asks then, and that what a person said is looked at again: F05, F07, F27.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::shop::{Counter, Said};
use kassad::sandbox::aipay::WebhookMode;
use kassad::sandbox::terminal::Screen;
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f27_a_sum_waits_a_minute_behind_another_guest_and_is_never_shown_later() {
    let shop = Counter::open().await;
    let (first, second) = (shop.order(), shop.order());
    let ahead = shop.pay(first, "kaspi_terminal").await;
    shop.until_on_screen().await;
    let behind = shop.pay(second, "kaspi_terminal").await;
    shop.until_by(SECOND, "the second is turned away", async || shop.is(&behind, "failed").await).await;
    let reason = shop.payment(&behind).await["reason"].clone();
    assert_eq!(reason["code"], "busy");
    let number = shop.payment(&ahead).await["order_number"].as_str().unwrap().to_owned();
    assert!(reason["text"].as_str().unwrap().contains(&number), "{reason}");
    assert!(shop.till().guest_pays_qr());
    shop.is_sold_once(first, &ahead, 0, 6100).await;
    shop.pass(MINUTE, SECOND).await;
    assert!(!matches!(shop.till().screen(), Screen::Pay { .. }), "no sum appears in front of a stranger");
    assert_eq!(shop.till().operations().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_an_invoice_that_its_partner_never_ends_becomes_a_question() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Never);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice().id;
    shop.aipay().set_word(&invoice, Some("on_hold"));
    shop.pass(15 * MINUTE, 5 * SECOND).await;
    shop.until_by(SECOND, "it is unclear", async || shop.is(&id, "unresolved").await).await;
    shop.until_by(SECOND, "a person may answer", async || shop.questions().await == ["unresolved"]).await;
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live", "nobody is asked twice meanwhile");
    assert!(shop.aipay().guest_pays_late(&invoice) || shop.aipay().guest_pays(&invoice));
    shop.aipay().set_word(&invoice, None);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_money_that_comes_in_the_evening_is_seen_before_the_night_is_over() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Never);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    shop.pass(15 * MINUTE, 5 * SECOND).await;
    shop.until_state(&id, "expired").await;
    shop.pass(8 * 60 * MINUTE, 30 * SECOND).await;
    assert!(shop.aipay().guest_pays_late(&shop.invoice().id));
    let paid = shop.clock.now();
    shop.until_by(30 * SECOND, "the late money is seen", async || shop.is(&id, "paid").await).await;
    assert!(shop.clock.now().since(paid) <= 61 * MINUTE, "{:?}", shop.clock.now().since(paid));
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

async fn answered(shop: &Counter, id: &str, outcome: &str, more: &serde_json::Value) -> Said {
    let mut answer = json!({ "by": "Мария", "because": "смотрела историю", "outcome": outcome });
    for (key, value) in more.as_object().into_iter().flatten() {
        answer[key] = value.clone();
    }
    shop.post(&format!("/api/v1/payments/{id}/answer"), &answer).await
}

/// A payment at a terminal that went silent, unclear for two minutes.
async fn unclear(shop: &Counter, order: u64) -> String {
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.till().faults().set_down(true);
    shop.until_asked("unresolved").await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_a_person_answers_by_name_with_the_number_and_twice_when_it_is_no() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.till().faults().set_down(true);
    shop.until_state(&id, "unresolved").await;
    assert_eq!(answered(&shop, &id, "not_paid", &json!({ "confirmed": true })).await.body["code"], "too_early");
    shop.until_asked("unresolved").await;
    for (outcome, more, code) in [
        ("paid", json!({}), "answer_incomplete"),
        ("paid", json!({ "transaction": " " }), "answer_incomplete"),
        ("not_paid", json!({ "by": "" , "confirmed": true }), "answer_incomplete"),
        ("not_paid", json!({ "because": " ", "confirmed": true }), "answer_incomplete"),
        ("not_paid", json!({}), "confirm_not_paid"),
        ("not_paid", json!({ "confirmed": "yes" }), "confirm_not_paid"),
        ("perhaps", json!({}), "bad_request"),
    ] {
        let said = answered(&shop, &id, outcome, &more).await;
        assert_eq!(said.body["code"], code, "{outcome} {more}: {}", said.text);
        assert!(shop.is(&id, "unresolved").await);
    }
    let said = answered(&shop, &id, "not_paid", &json!({ "confirmed": true })).await;
    assert_eq!(said.body["state"], "failed", "{}", said.text);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_a_persons_paid_is_confirmed_by_the_terminal_in_silence() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = unclear(&shop, order).await;
    assert!(shop.till().guest_pays_card());
    let said = answered(&shop, &id, "paid", &json!({ "transaction": "4711" })).await;
    assert_eq!((&said.body["state"], &said.body["method"]), (&json!("paid"), &json!("")));
    shop.till().faults().set_down(false);
    shop.until_by(SECOND, "the terminal's word is kept", async || shop.payment(&id).await["method"] == "card").await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_a_persons_paid_that_the_terminal_denies_is_loud() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = unclear(&shop, order).await;
    assert!(shop.till().guest_declines());
    answered(&shop, &id, "paid", &json!({ "transaction": "4711" })).await;
    shop.till().faults().set_down(false);
    shop.settle("answer_contradicted").await;
    // The ratchet holds: what a person took as paid stays so until it is given back.
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.pass(5 * MINUTE, SECOND).await;
    assert_eq!(shop.questions().await, Vec::<String>::new(), "it is said once");
    shop.close().await;
}
