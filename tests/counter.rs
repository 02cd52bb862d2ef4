//! Stories of the counter: the true daemon against the sandbox partners, on a clock that moves while a story waits for a fact. Each
//! sets only what it is about; its name is a sentence with the number of the scenario.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use crate::shop::{Bare, Counter, NOON, PHONE, wish};
use kassad::daemon::{Daemon, StartFault};
use kassad::host::lock::LockFault;
use kassad::sandbox::Stage;
use kassad::sandbox::aipay::{InvoiceStatus, WebhookMode, sign};
use kassad::sandbox::faults::{Fault, Rule};
use kassad::sandbox::poster::ByHand;
use kassad::sandbox::printer::State as PrinterState;
use kassad::sandbox::restaurant::SANDBOX_SECRET;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Finds the mark of paper that may have come out before (I7).
const REPEAT: &str = "ПОВТОР";

// ---- the whole sale ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_pays_by_qr_at_the_terminal_and_everything_else_happens_by_itself() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.is(&id, "waiting").await);
    assert!(shop.till().guest_pays_qr());
    shop.is_sold_once(order, &id, 0, 6100).await;
    let (receipt, hot, bar) = (&shop.papers("receipt")[0], &shop.papers("hot")[0], &shop.papers("bar")[0]);
    for word in ["Дастархан", "Бешбармақ", "Чай с молоком", "6 100", "Kaspi QR"] {
        assert!(receipt.contains(word), "{word} in {receipt}");
    }
    assert!(hot.contains("Бешбармақ") && !hot.contains("Чай"), "{hot}");
    assert!(bar.contains("Чай с молоком") && !bar.contains("Бешбармақ"), "{bar}");
    let payment = shop.payment(&id).await;
    assert_eq!(payment["method"], "qr");
    assert_eq!(payment["amount"], 6100);
    assert_eq!(payment["created_at"], "2026-11-21T13:00:00+05:00");
    assert_eq!(shop.till().operations().len(), 1);
    assert_eq!(shop.poster().violations(), Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_invoice_is_paid_and_its_webhook_closes_the_order() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_invoices(1).await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice();
    assert_eq!((invoice.amount, invoice.phone.as_str()), (6100, PHONE));
    assert_eq!(invoice.external_id, id);
    assert!(shop.aipay().guest_pays(&invoice.id));
    shop.is_sold_once(order, &id, 0, 6100).await;
    let delivered = shop.aipay().deliveries();
    assert!(delivered.iter().all(|delivery| delivery.is_accepted && delivery.tries == 1), "{delivered:?}");
    assert!(!shop.payment(&id).await.to_string().contains(PHONE), "a phone is shown masked");
    assert_eq!(shop.aipay().violations(), Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cash_closes_the_order_as_cash() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &id, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_paid_in_two_parts_closes_once_with_both_sums() {
    let shop = Counter::open().await;
    let order = shop.order();
    let part = json!({ "order_id": order.to_string(), "tender": "kaspi_terminal", "amount": 4000 });
    let said = shop.post("/api/v1/payments", &part).await;
    assert_eq!(said.status, 201, "{}", said.text);
    let first = said.body["id"].as_str().unwrap().to_owned();
    shop.until_on_screen().await;
    shop.till().guest_pays_card();
    shop.until_state(&first, "paid").await;
    assert_eq!(shop.in_pos(order).status, 1, "half paid is not closed");
    assert_eq!(shop.payment(&first).await["pos"], "none");
    let rest = shop.pay(order, "cash").await;
    assert_eq!(shop.payment(&rest).await["amount"], 2100);
    shop.is_sold_once(order, &rest, 2100, 4000).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_no_pos_knows_is_sold_by_its_reference() {
    let shop = Counter::open().await;
    let lines = json!([{ "name": "Плов", "quantity": 2, "sum": 6200, "workshop": 1 }]);
    let body = json!({ "reference": "web-17", "lines": lines, "total": 6200, "tender": "kaspi_terminal" });
    let said = shop.post("/api/v1/payments", &body).await;
    assert_eq!(said.status, 201, "{}", said.text);
    let id = said.body["id"].as_str().unwrap().to_owned();
    shop.until_on_screen().await;
    shop.till().guest_pays_qr();
    shop.until_done(&id).await;
    assert_eq!((shop.papers("receipt").len(), shop.papers("hot").len(), shop.papers("bar").len()), (1, 1, 0));
    assert_eq!(shop.payment(&id).await["reference"], "web-17");
    shop.close().await;
}

// ---- bots ----

fn bot_wish(external_id: &str, amount: i64) -> Value {
    json!({ "phone": PHONE, "amount": amount, "description": "Доставка: 2 плова, без лука", "external_id": external_id })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_sells_through_us_as_through_aipay_and_hears_a_signed_webhook() {
    let shop = Counter::open().await;
    shop.shop.world.bot().fail(2);
    let said = shop.bot_post(&bot_wish("tg-1", 6200)).await;
    assert_eq!(said.status, 201, "{}", said.text);
    assert_eq!(said.body["status"], "pending");
    assert_eq!(said.body["expires_at"], "2026-11-21T08:15:00Z");
    let invoice_id = said.body["invoice_id"].as_str().unwrap().to_owned();
    shop.until_invoices(1).await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.until("the bot knows", async || !shop.shop.world.bot().events().is_empty()).await;
    let events = shop.shop.world.bot().events();
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!((event.status.as_str(), event.external_id.as_str(), event.amount), ("paid", "tg-1", 6200));
    assert_eq!(event.invoice_id, invoice_id);
    assert_eq!(shop.shop.world.bot().forged(), 0);
    let record = shop.bot_get(&invoice_id).await;
    assert_eq!((record.status, &record.body["status"]), (200, &json!("paid")));
    shop.until_papers("receipt", 1).await;
    shop.until_papers("hot", 1).await;
    let ticket = &shop.papers("hot")[0];
    assert!(ticket.contains("2 плова"), "without lines the ticket carries the description: {ticket}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bots_external_id_is_its_idempotency_key() {
    let shop = Counter::open().await;
    let first = shop.bot_post(&bot_wish("tg-2", 6200)).await;
    let again = shop.bot_post(&bot_wish("tg-2", 6200)).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body["invoice_id"], again.body["invoice_id"]);
    assert_eq!(shop.bot_post(&bot_wish("tg-2", 6300)).await.status, 409);
    shop.until_invoices(1).await;
    let old = first.body["invoice_id"].as_str().unwrap();
    shop.until_by(2 * SECOND, "it expired", async || shop.bot_get(old).await.body["status"] == "expired").await;
    shop.until("the bot heard", async || shop.shop.world.bot().events().len() == 1).await;
    assert_eq!(shop.shop.world.bot().events()[0].status, "expired");
    let anew = shop.bot_post(&bot_wish("tg-2", 6200)).await;
    assert_eq!(anew.status, 201, "{}", anew.text);
    assert_ne!(anew.body["invoice_id"], first.body["invoice_id"]);
    shop.until_invoices(2).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_without_the_right_key_is_not_let_in() {
    let shop = Counter::open().await;
    assert_eq!(shop.post("/v1/invoices", &bot_wish("tg-3", 100)).await.status, 401);
    assert_eq!(shop.get("/v1/invoices/inv_1").await.status, 401);
    assert_eq!(shop.bot_get("inv_1").await.status, 404);
    for bad in [json!(100.0), json!("100"), json!(0), json!(-5), Value::Null] {
        let mut body = bot_wish("tg-3", 100);
        body["amount"] = bad.clone();
        assert_eq!(shop.bot_post(&body).await.status, 422, "{bad}");
    }
    assert_eq!(shop.public_get("/v1/invoices/inv_1").await.status, 404, "the tunnel does not show it");
    assert!(shop.aipay().invoices().is_empty());
    shop.close().await;
}

// ---- F01: power ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_power_cut_while_the_guest_pays_at_the_terminal() {
    let mut shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.power().store(false, Ordering::SeqCst);
    assert!(shop.till().guest_pays_qr());
    shop.power_cut().await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.till().operations().len(), 1, "nobody is charged twice");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_power_cut_between_payment_and_receipt() {
    for (call, stage) in [
        ("transactions.closeTransaction", Stage::Received),
        ("transactions.closeTransaction", Stage::Applied),
        ("dash.getTransaction", Stage::Answering),
    ] {
        let mut shop = Counter::open().await;
        let order = shop.order();
        let id = shop.pay(order, "kaspi_terminal").await;
        shop.until_on_screen().await;
        let power = shop.power();
        shop.poster().set_tripwire(Some(Arc::new(move |_, name, at| {
            if (name, at) == (call, stage) {
                power.store(false, Ordering::SeqCst);
            }
            false
        })));
        shop.till().guest_pays_qr();
        let power = shop.power();
        shop.until("the power is out", async || !power.load(Ordering::SeqCst)).await;
        shop.poster().set_tripwire(None);
        shop.power_cut().await;
        shop.is_sold_once(order, &id, 0, 6100).await;
        assert_eq!(shop.till().operations().len(), 1, "nobody is charged twice");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_power_cut_while_the_receipt_is_cut_brings_it_again_with_the_mark() {
    let mut shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    let power = shop.power();
    shop.printer("receipt").set_tripwire(Arc::new(move |_, what| {
        if what == "cut" {
            power.store(false, Ordering::SeqCst);
        }
        false
    }));
    shop.till().guest_pays_qr();
    shop.until_papers("receipt", 1).await;
    shop.printer("receipt").set_tripwire(Arc::new(|_, _| false));
    shop.power_cut().await;
    shop.until_done(&id).await;
    let receipts = shop.papers("receipt");
    let marked: Vec<bool> = receipts.iter().map(|receipt| receipt.contains(REPEAT)).collect();
    assert_eq!(marked, [false, true], "{receipts:?}");
    assert_eq!(shop.in_pos(order).closes, 1);
    assert_eq!(shop.till().operations().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_power_cut_with_the_create_on_its_way_leaves_one_invoice() {
    for stage in [Stage::Received, Stage::Applied] {
        let mut shop = Counter::open().await;
        let order = shop.order();
        let power = shop.power();
        shop.aipay().set_tripwire(Some(Arc::new(move |_, call, at| {
            if (call, at) == ("create", stage) {
                power.store(false, Ordering::SeqCst);
            }
            false
        })));
        let id = shop.pay(order, "kaspi_invoice").await;
        let power = shop.power();
        shop.until("the power is out", async || !power.load(Ordering::SeqCst)).await;
        shop.until_invoices(1).await;
        shop.aipay().set_tripwire(None);
        shop.power_cut().await;
        shop.until_state(&id, "unresolved").await;
        assert_eq!(shop.aipay().invoices().len(), 1);
        assert!(shop.aipay().guest_pays(&shop.invoice().id));
        shop.is_sold_once(order, &id, 0, 6100).await;
        assert_eq!(shop.aipay().invoices().len(), 1);
        shop.close().await;
    }
}

// ---- F02–F05, F10: the cloud ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_webhook_before_the_create_reply() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::BeforeReply);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.aipay().invoices().len(), 1);
    assert!(shop.aipay().deliveries().iter().all(|delivery| delivery.is_accepted));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_the_webhook_comes_and_the_create_reply_never_does() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::BeforeReply);
    shop.aipay().faults().once("create", Fault::LoseReply);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.aipay().invoices().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_a_notice_that_nobody_claims_becomes_a_question() {
    let shop = Counter::open().await;
    let body = r#"{"event":"invoice.paid","invoice_id":"inv_stranger","external_id":"other-1","amount":4500}"#;
    assert_eq!(shop.signed_notice(body).await, 200);
    assert_eq!(shop.questions().await, Vec::<String>::new());
    shop.until_by(2 * SECOND, "somebody is asked", async || shop.questions().await == ["orphan"]).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_create_reply_lost() {
    let shop = Counter::open().await;
    shop.aipay().faults().once("create", Fault::LoseReply);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "unresolved").await;
    let answer = json!({ "by": "Мария", "because": "гость ничего не получил", "outcome": "not_paid" });
    let path = format!("/api/v1/payments/{id}/answer");
    assert_eq!(shop.post(&path, &answer).await.body["code"], "too_early");
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live", "the part stays blocked");
    shop.pass(3 * MINUTE, SECOND).await;
    shop.until_asked("lost_create").await;
    assert_eq!(shop.aipay().invoices().len(), 1, "a create is never blindly repeated");
    let nameless = json!({ "by": "", "because": "x", "outcome": "not_paid" });
    assert_eq!(shop.post(&path, &nameless).await.status, 422);
    assert_eq!(shop.post(&path, &answer).await.body["state"], "failed");
    assert_eq!(shop.questions().await, Vec::<String>::new());

    let second = shop.pay(order, "kaspi_invoice").await;
    assert_ne!(second, id, "a new attempt has a new reference");
    shop.until_invoices(2).await;
    let (lost, found) = (shop.aipay().invoices()[0].id.clone(), shop.invoice().id);
    shop.aipay().guest_pays(&found);
    shop.is_sold_once(order, &second, 0, 6100).await;
    // The guest had got the first one after all, and pays it too.
    assert!(shop.aipay().guest_pays(&lost));
    shop.until_asked("double_paid").await;
    let late = shop.payment(&id).await;
    assert_eq!((&late["state"], &late["late"]), (&json!("paid"), &json!(true)));
    assert_eq!(shop.in_pos(order).closes, 1);
    assert_eq!(shop.papers("receipt").len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_a_lost_create_that_nobody_hears_of_expires_on_record() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Never);
    shop.aipay().faults().once("create", Fault::LoseReply);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "unresolved").await;
    shop.pass(29 * MINUTE, 2 * SECOND).await;
    assert!(shop.is(&id, "unresolved").await);
    shop.until_by(SECOND, "it expired", async || shop.is(&id, "expired").await).await;
    assert_eq!(shop.aipay().invoices().len(), 1);
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_webhook_twice_and_out_of_order() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Twice);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice().id;
    let notice = |event: &str| {
        json!({ "event": event, "invoice_id": invoice, "external_id": id, "amount": 6100 }).to_string()
    };
    // A notice moves no money: the record says `pending`.
    for word in ["invoice.paid", "invoice.expired", "invoice.error", "invoice.refunded"] {
        assert_eq!(shop.signed_notice(&notice(word)).await, 200);
    }
    shop.pass(5 * SECOND, SECOND / 10).await;
    assert!(shop.is(&id, "waiting").await);
    assert_eq!(shop.in_pos(order).status, 1);

    assert!(shop.aipay().guest_pays(&invoice));
    shop.until_state(&id, "paid").await;
    for word in ["invoice.pending", "invoice.expired", "invoice.error", "invoice.paid", "invoice.paid"] {
        assert_eq!(shop.signed_notice(&notice(word)).await, 200);
    }
    for _ in 0..10 {
        shop.aipay().redeliver(&invoice);
    }
    shop.until("all are accepted", async || shop.aipay().deliveries().iter().all(|one| one.is_accepted)).await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.pass(10 * SECOND, SECOND / 10).await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

async fn expired(shop: &Counter, order: u64) -> String {
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    shop.pass(15 * MINUTE, 2 * SECOND).await;
    shop.until_state(&id, "expired").await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_paid_after_expiry_closes_an_order_that_is_still_open() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = expired(&shop, order).await;
    assert!(shop.aipay().guest_pays_late(&shop.invoice().id));
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.payment(&id).await["late"], true);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_paid_after_expiry_is_found_without_a_webhook() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Never);
    let order = shop.order();
    let id = expired(&shop, order).await;
    shop.pass(5 * MINUTE, SECOND).await;
    assert!(shop.aipay().guest_pays_late(&shop.invoice().id));
    shop.until_by(SECOND, "the late money is seen", async || shop.is(&id, "paid").await).await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_paid_three_hours_late_and_settled_in_cash_meanwhile_is_a_question() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = expired(&shop, order).await;
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.pass(180 * MINUTE, 20 * SECOND).await;
    assert!(shop.aipay().guest_pays_late(&shop.invoice().id));
    shop.until_asked("double_paid").await;
    assert_eq!(shop.payment(&id).await["late"], true);
    assert_eq!(shop.in_pos(order).closes, 1);
    assert_eq!(shop.papers("receipt").len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f06_a_smaller_sum_than_asked_closes_nothing() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    assert!(shop.aipay().guest_pays_sum(&shop.invoice().id, 6000));
    shop.until_asked("part_paid").await;
    assert_eq!(shop.payment(&id).await["amount_paid"], 6000);
    assert_eq!(shop.in_pos(order).status, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_webhook_never_comes() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Never);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    shop.pass(30 * SECOND, SECOND / 5).await;
    let paid = shop.clock.now();
    assert!(shop.aipay().guest_pays(&shop.invoice().id));
    shop.until_state(&id, "paid").await;
    assert!(shop.clock.now().since(paid) <= 4 * SECOND, "{:?}", shop.clock.now().since(paid));
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}
