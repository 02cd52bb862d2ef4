//! Stories of the counter: the true daemon against the sandbox partners, on a clock that moves while a story waits for a fact. Each
//! sets only what it is about; its name is a sentence with the number of the scenario.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use crate::shop::{Bare, Counter, NOON, PHONE, wish};
use kassad::daemon::{Daemon, StartFault};
use kassad::host::lock::LockFault;
use kassad::sandbox::Stage;
use kassad::sandbox::aipay::{WebhookMode, sign};
use kassad::sandbox::faults::{Fault, Rule};
use kassad::sandbox::poster::{ByHand, SecondClose};
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
    shop.until_state(&id, "waiting").await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_may_name_a_pos_order_and_closes_it() {
    let shop = Counter::open().await;
    let order = shop.order();
    let mut wish = bot_wish("tg-4", 6100);
    wish["order_id"] = json!(order.to_string());
    let said = shop.bot_post(&wish).await;
    assert_eq!(said.status, 201, "{}", said.text);
    assert_eq!(shop.bot_post(&wish).await.body["invoice_id"], said.body["invoice_id"]);
    shop.until_invoices(1).await;
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live");
    shop.aipay().guest_pays(&shop.invoice().id);
    let id = said.body["invoice_id"].as_str().unwrap().strip_prefix("inv_").unwrap();
    shop.is_sold_once(order, id, 0, 6100).await;
    assert_eq!(shop.bot_post(&wish).await.body["status"], "paid", "asked again after the order is closed");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_may_write_the_pos_order_as_a_number_and_lines_as_an_empty_list() {
    let shop = Counter::open().await;
    let order = shop.order();
    let mut wish = bot_wish("tg-6", 6100);
    wish["order_id"] = json!(order);
    let said = shop.bot_post(&wish).await;
    assert_eq!(said.status, 201, "{}", said.text);
    wish["order_id"] = json!(order.to_string());
    assert_eq!(shop.bot_post(&wish).await.body["invoice_id"], said.body["invoice_id"], "the same order");
    let id = said.body["invoice_id"].as_str().unwrap().strip_prefix("inv_").unwrap();
    assert_eq!(shop.payment(id).await["order_id"], order.to_string());
    for bad in [json!(1.5), json!(-1), json!(true), json!([1]), json!("")] {
        wish["order_id"] = bad.clone();
        assert_eq!(shop.bot_post(&wish).await.status, 422, "{bad}");
    }
    let mut plain = bot_wish("tg-7", 500);
    plain["lines"] = json!([]);
    let said = shop.bot_post(&plain).await;
    assert_eq!(said.status, 201, "{}", said.text);
    assert_eq!(shop.bot_post(&bot_wish("tg-7", 500)).await.body["invoice_id"], said.body["invoice_id"]);
    shop.until_invoices(2).await;
    let invoice = shop.aipay().invoices().into_iter().find(|invoice| invoice.amount == 500).unwrap();
    shop.aipay().guest_pays(&invoice.id);
    shop.until_papers("hot", 1).await;
    assert!(shop.papers("hot")[0].contains("2 плова"), "the ticket carries the description: {:?}", shop.papers("hot"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_hears_of_an_invoice_that_failed() {
    let shop = Counter::open().await;
    assert_eq!(shop.bot_post(&bot_wish("tg-5", 500)).await.status, 201);
    shop.until_invoices(1).await;
    shop.aipay().set_error(&shop.invoice().id);
    shop.until("the bot knows", async || !shop.shop.world.bot().events().is_empty()).await;
    assert_eq!(shop.shop.world.bot().events()[0].status, "error");
    shop.close().await;
}

fn notices(shop: &Counter) -> Vec<(String, String)> {
    let events = shop.shop.world.bot().events();
    events.into_iter().map(|event| (event.external_id, event.status)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_did_not_hear_of_the_expiry_hears_of_the_late_payment_only() {
    let shop = Counter::open().await;
    shop.shop.world.bot().fail(u32::MAX);
    let said = shop.bot_post(&bot_wish("tg-20", 700)).await;
    let id = said.body["invoice_id"].as_str().unwrap().to_owned();
    shop.until_invoices(1).await;
    shop.until_by(2 * SECOND, "it expired", async || shop.bot_get(&id).await.body["status"] == "expired").await;
    let is_refused = async || {
        let jobs = shop.get("/api/v1/jobs").await.body["jobs"].clone();
        jobs.as_array().unwrap().iter().any(|job| job["kind"] == "notify" && job["text"].is_string())
    };
    shop.until("the bot refused it", is_refused).await;
    assert!(shop.aipay().guest_pays_late(&shop.invoice().id));
    shop.until("it is paid", async || shop.bot_get(&id).await.body["status"] == "paid").await;
    shop.shop.world.bot().fail(0);
    shop.until("the bot heard", async || !notices(&shop).is_empty()).await;
    shop.pass(10 * MINUTE, SECOND).await;
    assert_eq!(notices(&shop), [("tg-20".to_owned(), "paid".to_owned())]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_refuses_for_a_day_becomes_a_question_and_is_told_when_a_person_says_so() {
    let shop = Counter::open().await;
    shop.shop.world.bot().fail(u32::MAX);
    assert_eq!(shop.bot_post(&bot_wish("tg-21", 700)).await.status, 201);
    shop.until_invoices(1).await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.until("it is refused", async || shop.get("/api/v1/jobs").await.text.contains("notify")).await;
    shop.until_by(MINUTE, "somebody is asked", async || shop.questions().await == ["bot_silent"]).await;
    assert!(shop.clock.now().since(kassad::host::clock::Monotonic::default()) >= 24 * 60 * MINUTE, "not sooner");
    let jobs = shop.get("/api/v1/jobs").await.body["jobs"].clone();
    assert_eq!((&jobs[0]["kind"], &jobs[0]["state"]), (&json!("notify"), &json!("question")), "{jobs}");
    shop.shop.world.bot().fail(0);
    assert_eq!(shop.post(&format!("/api/v1/jobs/{}/retry", jobs[0]["id"]), &json!({})).await.status, 200);
    shop.until("the bot heard", async || notices(&shop).len() == 1).await;
    shop.until("nobody is asked any more", async || shop.questions().await.is_empty()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_without_a_webhook_leaves_no_work_behind() {
    let mut shop = Counter::open().await;
    shop.stop().await;
    let mut config = shop.config();
    config.bots[0].webhook = None;
    shop.start_with(&config).await;
    let said = shop.bot_post(&bot_wish("tg-22", 700)).await;
    let id = said.body["invoice_id"].as_str().unwrap().to_owned();
    shop.until_invoices(1).await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.until("it is paid", async || shop.bot_get(&id).await.body["status"] == "paid").await;
    let none = async || shop.get("/api/v1/jobs").await.body["jobs"] == json!([]);
    shop.until("nothing is left to do", none).await;
    assert!(notices(&shop).is_empty());
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
    for (call, stage) in [("close", Stage::Received), ("close", Stage::Applied), ("read", Stage::Answering)] {
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
        shop.until_done(&id).await;
        let seen = shop.in_pos(order);
        assert_eq!((seen.status, seen.closes, seen.payed_card.0), (2, 1, 610_000), "{seen:?}");
        for printer in ["receipt", "hot", "bar"] {
            let papers = shop.papers(printer);
            let unmarked = papers.iter().filter(|paper| !paper.contains(REPEAT)).count();
            assert!(!papers.is_empty() && unmarked <= 1, "{papers:?}");
        }
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
    let answer =
        json!({ "by": "Мария", "because": "гость ничего не получил", "outcome": "not_paid", "confirmed": true });
    let path = format!("/api/v1/payments/{id}/answer");
    assert_eq!(shop.post(&path, &answer).await.body["code"], "too_early");
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live", "the part stays blocked");
    shop.pass(3 * MINUTE, SECOND).await;
    shop.until_asked("lost_create").await;
    assert_eq!(shop.aipay().invoices().len(), 1, "a create is never blindly repeated");
    let nameless = json!({ "by": "", "because": "x", "outcome": "not_paid", "confirmed": true });
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
    let notice =
        |event: &str| json!({ "event": event, "invoice_id": invoice, "external_id": id, "amount": 6100 }).to_string();
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
    // The rest is collectable, and then it closes with both.
    let rest = shop.pay(order, "cash").await;
    assert_eq!(shop.payment(&rest).await["amount"], 100);
    shop.until_done(&rest).await;
    let seen = shop.in_pos(order);
    assert_eq!((seen.closes, seen.payed_cash.0, seen.payed_card.0), (1, 10_000, 600_000));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f06_a_larger_sum_than_asked_closes_nothing() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    assert!(shop.aipay().guest_pays_sum(&shop.invoice().id, 7000));
    shop.until_asked("overpaid").await;
    assert_eq!(shop.payment(&id).await["amount_paid"], 7000);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_word_that_nobody_knows_is_not_final() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice().id;
    shop.aipay().set_word(&invoice, Some("on_hold"));
    shop.pass(MINUTE, SECOND / 2).await;
    assert!(shop.is(&id, "waiting").await);
    assert!(shop.aipay().guest_pays(&invoice));
    shop.pass(10 * SECOND, SECOND / 2).await;
    assert!(shop.is(&id, "waiting").await, "the webhook says paid, the record does not");
    shop.aipay().set_word(&invoice, None);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

// ---- F07, F08: the terminal ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_terminal_says_unknown_and_finds_out_later() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    shop.till().set_unknown(2, true);
    shop.until_state(&id, "unresolved").await;
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live");
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.till().operations().len(), 1);
    assert_eq!(shop.till().violations(), Vec::<String>::new(), "actualize keeps its pace");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_link_drops_before_the_sum_is_sent_and_comes_back() {
    let shop = Counter::open().await;
    shop.until("the terminal is up", async || shop.get("/readyz").await.body["partners"]["till1"]["state"] == "up")
        .await;
    shop.till().faults().set_down(true);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.pass(SECOND, SECOND / 20).await;
    assert!(is_unsent(&shop, &id).await);
    shop.till().faults().set_down(false);
    shop.until_on_screen().await;
    shop.till().guest_pays_qr();
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.till().operations().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_terminal_away_for_a_minute_gives_the_order_back_to_the_cashier() {
    let shop = Counter::open().await;
    shop.till().faults().set_down(true);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "failed").await;
    assert_eq!(shop.payment(&id).await["reason"]["code"], "no_link");
    assert!(shop.clock.wall().0 - NOON.0 >= 60_000, "it waited a minute");
    assert!(shop.till().operations().is_empty());
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_link_drops_after_the_sum_was_sent() {
    let shop = Counter::open().await;
    shop.till().faults().once("payment", Fault::LoseReply);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "unresolved").await;
    assert_eq!(shop.try_pay(order, "kaspi_terminal").await.body["code"], "live");
    shop.till().guest_pays_qr();
    shop.until_asked("unresolved").await;
    assert_eq!(shop.till().operations().len(), 1, "one sum was sent");
    let answer =
        json!({ "by": "Мария", "because": "вижу оплату в Kaspi Pay", "outcome": "paid", "transaction": "8841" });
    let path = format!("/api/v1/payments/{id}/answer");
    let mut nameless = answer.clone();
    nameless["transaction"] = json!("");
    assert_eq!(shop.post(&path, &nameless).await.body["code"], "answer_incomplete");
    let said = shop.post(&path, &answer).await;
    assert_eq!((&said.body["state"], &said.body["transaction"]), (&json!("paid"), &json!("8841")), "{}", said.text);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_link_drops_while_the_guest_taps() {
    for away in [SECOND, MINUTE] {
        let shop = Counter::open().await;
        let order = shop.order();
        let id = shop.pay(order, "kaspi_terminal").await;
        shop.until_state(&id, "waiting").await;
        shop.till().faults().set_down(true);
        assert!(shop.till().guest_pays_qr());
        shop.pass(away, SECOND / 10).await;
        shop.until_state(&id, "unresolved").await;
        shop.till().faults().set_down(false);
        shop.is_sold_once(order, &id, 0, 6100).await;
        assert_eq!(shop.till().operations().len(), 1);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_link_never_comes_back_and_a_person_is_asked() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.till().faults().set_down(true);
    shop.until_asked("unresolved").await;
    assert!(shop.is(&id, "unresolved").await, "silence is never `not paid`");
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live");
    let answer =
        json!({ "by": "Мария", "because": "в истории терминала оплаты нет", "outcome": "not_paid", "confirmed": true });
    assert_eq!(shop.post(&format!("/api/v1/payments/{id}/answer"), &answer).await.body["state"], "failed");
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_later_evidence_corrects_a_persons_answer() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.till().faults().set_down(true);
    shop.till().guest_pays_card();
    shop.until_asked("unresolved").await;
    let answer = json!({ "by": "Мария", "because": "не вижу оплаты", "outcome": "not_paid", "confirmed": true });
    assert_eq!(shop.post(&format!("/api/v1/payments/{id}/answer"), &answer).await.body["state"], "failed");
    shop.till().faults().set_down(false);
    shop.settle("answer_corrected").await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.payment(&id).await["late"], true);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_answer_that_is_not_json_is_unclear_and_never_not_paid() {
    let shop = Counter::open().await;
    let order = shop.order();
    shop.till().faults().add(Rule { call: "status".to_owned(), fault: Fault::Garbage, times: 2, skip: 1 });
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "unresolved").await;
    shop.until_state(&id, "waiting").await;
    shop.till().guest_pays_qr();
    shop.is_sold_once(order, &id, 0, 6100).await;

    let second = shop.order();
    shop.till().faults().once("payment", Fault::Garbage);
    let unclear = shop.pay(second, "kaspi_terminal").await;
    shop.until_state(&unclear, "unresolved").await;
    shop.until_asked("unresolved").await;
    assert_eq!(shop.till().operations().len(), 2, "the sum went out once");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_is_declined_may_try_again() {
    let shop = Counter::open().await;
    let order = shop.order();
    let first = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&first, "waiting").await;
    shop.till().guest_declines();
    shop.until_state(&first, "failed").await;
    let second = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    shop.till().guest_pays_alaqan();
    shop.is_sold_once(order, &second, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_a_terminal_that_forgot_the_sum_in_a_reboot_is_unclear() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.till().guest_pays_card();
    shop.till().reboot();
    shop.until_asked("unresolved").await;
    assert!(shop.is(&id, "unresolved").await);
    assert_eq!(shop.till().operations().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f09_token_expires_while_the_guest_pays() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.till().expire_tokens();
    shop.pass(5 * SECOND, SECOND / 10).await;
    shop.till().guest_pays_qr();
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!(shop.till().violations(), Vec::<String>::new(), "nobody had to tap");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_walks_away_from_the_terminal_leaves_the_order_open() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    shop.until_state(&id, "failed").await;
    assert!(shop.clock.wall().0 - NOON.0 >= 150_000, "the terminal itself gave up, not we");
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.close().await;
}

// ---- F19: two daemons ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f19_two_daemons_on_one_ledger() {
    let shop = Counter::open().await;
    // Their ports are taken as well: the lock speaks first.
    shop.shop.config(shop.folder.path(), shop.public(), shop.local()).unwrap();
    let same = kassad::config::Config::read(&shop.folder.path().join("kassad.toml")).unwrap();
    match Daemon::start(&same, shop.machine()).await {
        Err(StartFault::Lock(LockFault::Held { holder, .. })) => {
            assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two daemons on one ledger"),
    }
    let binary = std::process::Command::new(env!("CARGO_BIN_EXE_kassad"))
        .args(["run", "--config"])
        .arg(shop.folder.path().join("kassad.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&binary.stderr).into_owned();
    assert_eq!(binary.status.code(), Some(3), "{said}");
    for word in ["another kassad", "ledger.db", "process", "systemctl stop kassad"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    // The first one goes on undisturbed.
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &id, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_stopped_leaves_its_ledger_to_the_next() {
    let mut shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    shop.stop().await;
    shop.aipay().guest_pays(&shop.invoice().id);
    shop.start().await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

// ---- F24: the order changes under our hands ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_a_total_grew_while_the_guest_paid() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.poster().add_dish(order, 14));
    shop.till().guest_pays_qr();
    shop.until_asked("order_changed").await;
    let seen = shop.in_pos(order);
    assert_eq!((seen.status, seen.closes), (1, 0), "nothing is closed with the wrong sum");
    assert_eq!(shop.payment(&id).await["pos"], "question");
    shop.until_papers("receipt", 1).await;
    // The guest pays the rest, and the order closes with both.
    let rest = shop.pay(order, "cash").await;
    assert_eq!(shop.payment(&rest).await["amount"], 800);
    shop.until("it is closed", async || shop.in_pos(order).status == 2).await;
    let seen = shop.in_pos(order);
    assert_eq!((seen.closes, seen.payed_cash.0, seen.payed_card.0), (1, 80_000, 610_000));
    shop.until_papers("bar", 2).await;
    assert!(shop.papers("bar")[1].contains("Компот") && !shop.papers("bar")[1].contains("Чай"));
    shop.until_papers("receipt", 2).await;
    let (first, second) = (&shop.papers("receipt")[0], &shop.papers("receipt")[1]);
    assert!(first.contains("6 100") && !first.contains("Компот"), "{first}");
    assert!(second.contains("6 900") && second.contains("Компот") && !second.contains(REPEAT), "{second}");
    assert_eq!(shop.questions().await, Vec::<String>::new(), "what was asked is answered by the close");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_a_total_grew_between_the_look_and_the_close() {
    let shop = Counter::open().await;
    let order = shop.order();
    let poster = Arc::downgrade(shop.poster());
    shop.poster().set_tripwire(Some(Arc::new(move |_, call, at| {
        if (call, at) == ("close", Stage::Received) {
            poster.upgrade().unwrap().add_dish(order, 14);
        }
        false
    })));
    let id = shop.pay(order, "cash").await;
    shop.until_asked("order_changed").await;
    shop.poster().set_tripwire(None);
    assert_eq!(shop.payment(&id).await["pos"], "question");
    assert_eq!(shop.in_pos(order).closes, 0);
    let rest = shop.pay(order, "cash").await;
    shop.until("it is closed", async || shop.in_pos(order).status == 2).await;
    shop.until_done(&rest).await;
    assert_eq!(shop.in_pos(order).payed_cash.0, 690_000);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_b_closed_by_hand_between_the_look_and_the_close() {
    for answer in [SecondClose::NotFound, SecondClose::NotSaved, SecondClose::Pretends] {
        for (by_hand, question) in [(ByHand::Card, None), (ByHand::Cash, Some("closed_by_hand"))] {
            let shop = Counter::open().await;
            shop.poster().set_second_close(answer);
            let order = shop.order();
            let id = shop.pay(order, "kaspi_terminal").await;
            shop.until_on_screen().await;
            let poster = Arc::downgrade(shop.poster());
            shop.poster().set_tripwire(Some(Arc::new(move |_, call, at| {
                if (call, at) == ("close", Stage::Received) {
                    poster.upgrade().unwrap().close_by_hand(order, by_hand);
                }
                false
            })));
            shop.till().guest_pays_qr();
            match question {
                None => shop.is_sold_once(order, &id, 0, 6100).await,
                Some(code) => shop.until_asked(code).await,
            }
            assert_eq!(shop.in_pos(order).closes, 1, "no second payment line");
            shop.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_b_closed_by_hand_as_cash_while_the_guest_paid() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.poster().close_by_hand(order, ByHand::Cash));
    shop.till().guest_pays_qr();
    shop.until_asked("closed_by_hand").await;
    assert_eq!(shop.payment(&id).await["pos"], "question");
    assert_eq!(shop.in_pos(order).closes, 1, "no second payment line");
    shop.until_papers("receipt", 1).await;
    let asked = shop.get("/api/v1/status").await.body["questions"][0]["id"].clone();
    let answer = json!({ "by": "Мария", "because": "исправили тип оплаты" });
    assert_eq!(shop.post(&format!("/api/v1/questions/{asked}/answer"), &answer).await.status, 200);
    assert_eq!(shop.questions().await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_b_closed_by_hand_as_we_would_have_is_taken_as_done() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.poster().close_by_hand(order, ByHand::Card));
    shop.till().guest_pays_qr();
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_b_an_order_that_is_closed_already_is_not_collected() {
    let shop = Counter::open().await;
    let order = shop.order();
    shop.poster().close_by_hand(order, ByHand::Cash);
    let said = shop.try_pay(order, "kaspi_terminal").await;
    assert_eq!((said.status, &said.body["code"]), (409, &json!("pos_closed")), "{}", said.text);
    assert_eq!(shop.try_pay(777, "kaspi_terminal").await.status, 409);
    assert!(shop.till().operations().is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_c_pos_down_for_an_hour() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    shop.poster().faults().set_down(true);
    shop.till().guest_pays_qr();
    shop.until_papers("receipt", 1).await;
    shop.until_papers("hot", 1).await;
    shop.pass(60 * MINUTE, 5 * SECOND).await;
    let payment = shop.payment(&id).await;
    assert_eq!((&payment["state"], &payment["pos"]), (&json!("paid"), &json!("waiting")));
    assert!(shop.get("/api/v1/jobs").await.text.contains("\"close\""));
    assert_eq!(shop.get("/readyz").await.status, 200);
    shop.poster().faults().set_down(false);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_c_pos_away_sells_what_was_seen_within_a_minute() {
    let shop = Counter::open().await;
    let order = shop.order();
    let seen = async || !shop.get("/api/v1/orders").await.body["orders"].as_array().unwrap().is_empty();
    shop.until("the order is on the board", seen).await;
    shop.poster().faults().set_down(true);
    shop.pass(20 * SECOND, SECOND / 2).await;
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    shop.till().guest_pays_qr();
    shop.until_papers("receipt", 1).await;
    shop.pass(MINUTE, SECOND / 2).await;
    let unknown = shop.try_pay(order + 1, "cash").await;
    assert_eq!((unknown.status, &unknown.body["code"]), (503, &json!("pos_away")), "{}", unknown.text);
    shop.poster().faults().set_down(false);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_the_answer_to_the_close_is_lost() {
    for fault in [Fault::LoseReply, Fault::Garbage, Fault::Truncated, Fault::Status(502)] {
        let shop = Counter::open().await;
        let order = shop.order();
        shop.poster().faults().once("close", fault);
        let id = shop.pay(order, "cash").await;
        shop.is_sold_once(order, &id, 6100, 0).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_an_order_removed_while_the_guest_paid_is_a_question() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.poster().remove(order));
    shop.till().guest_pays_qr();
    shop.until_asked("removed").await;
    assert_eq!(shop.payment(&id).await["state"], "paid");
    assert_eq!(shop.in_pos(order).closes, 0);
    shop.close().await;
}

// ---- the link to the world ----

/// It waits in the queue, or is just being tried.
async fn is_unsent(shop: &Counter, id: &str) -> bool {
    ["planned", "sent"].contains(&shop.payment(id).await["state"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internet_down_and_invoices_wait_and_go_out_in_order() {
    let shop = Counter::open().await;
    shop.aipay().faults().set_down(true);
    let mut ids = Vec::new();
    for table in 1..=3 {
        let order = shop.poster().open_order(table, "Ерлан", &[(3, 1)]);
        ids.push(shop.pay(order, "kaspi_invoice").await);
    }
    // The counter works on meanwhile.
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    shop.till().guest_pays_qr();
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.pass(3 * MINUTE, SECOND / 2).await;
    for id in &ids {
        // A try is on its way now and then: it comes back to the queue each time.
        shop.until_state(id, "planned").await;
    }
    shop.aipay().faults().set_down(false);
    shop.until_invoices(3).await;
    let sent: Vec<String> = shop.aipay().invoices().into_iter().map(|invoice| invoice.external_id).collect();
    assert_eq!(sent, ids);
    assert_eq!(shop.aipay().violations(), Vec::<String>::new());
    for invoice in shop.aipay().invoices() {
        shop.aipay().guest_pays(&invoice.id);
    }
    for id in &ids {
        shop.until_state(id, "paid").await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_that_could_not_be_sent_in_its_life_expires() {
    let shop = Counter::open().await;
    shop.aipay().faults().set_down(true);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.pass(14 * MINUTE, 2 * SECOND).await;
    shop.until_state(&id, "planned").await;
    shop.until_by(SECOND, "it expired", async || shop.is(&id, "expired").await).await;
    assert_eq!(shop.payment(&id).await["reason"]["code"], "never_sent");
    shop.aipay().faults().set_down(false);
    shop.pass(MINUTE, SECOND / 2).await;
    assert!(shop.aipay().invoices().is_empty(), "the guest gets no surprise");
    let cash = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &cash, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_that_waits_can_be_cancelled_and_one_that_is_sent_cannot() {
    let shop = Counter::open().await;
    shop.aipay().faults().set_down(true);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    // The first try to send it is over: it waits.
    shop.until("it waits", async || shop.payment(&id).await["reason"]["code"] == "no_link").await;
    let path = format!("/api/v1/payments/{id}/cancel");
    assert_eq!(shop.post(&path, &json!({})).await.body["state"], "cancelled");
    shop.aipay().faults().set_down(false);
    let second = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&second, "waiting").await;
    assert_eq!(shop.aipay().invoices().len(), 1);
    let said = shop.post(&format!("/api/v1/payments/{second}/cancel"), &json!({})).await;
    assert_eq!((said.status, &said.body["code"]), (409, &json!("no_cancel")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_is_busy_gets_the_invoice_later_and_one_that_refuses_ends_it() {
    let shop = Counter::open().await;
    for status in [429, 503] {
        let order = shop.poster().open_order(1, "Ерлан", &[(3, 1)]);
        let before = shop.aipay().invoices().len();
        shop.aipay().faults().once("create", Fault::Status(status));
        let id = shop.pay(order, "kaspi_invoice").await;
        shop.until_state(&id, "waiting").await;
        assert_eq!(shop.aipay().invoices().len(), before + 1);
    }
    shop.aipay().set_trial_over(true);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "failed").await;
    assert_eq!(shop.payment(&id).await["reason"]["code"], "trial_over");
    shop.aipay().set_trial_over(false);
    shop.aipay().faults().once("create", Fault::Status(500));
    let unclear = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&unclear, "unresolved").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_paid_while_the_link_was_down_past_its_life_is_found_and_blocks_its_part_until_then() {
    let shop = Counter::open().await;
    shop.aipay().set_webhook_mode(WebhookMode::Never);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    shop.aipay().faults().set_down(true);
    let down = async || shop.get("/readyz").await.body["partners"]["aipay"]["state"] == "down";
    shop.until("the link is down", down).await;
    assert!(shop.aipay().guest_pays(&shop.invoice().id));
    shop.pass(25 * MINUTE, 2 * SECOND).await;
    let payment = shop.payment(&id).await;
    assert_eq!(payment["state"], "unresolved", "{payment}");
    assert_eq!(shop.try_pay(order, "cash").await.body["code"], "live");
    shop.aipay().faults().set_down(false);
    shop.is_sold_once(order, &id, 0, 6100).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invoices_that_wait_survive_a_power_cut_in_their_order() {
    let mut shop = Counter::open().await;
    shop.aipay().faults().set_down(true);
    let mut ids = Vec::new();
    for table in 1..=3 {
        let order = shop.poster().open_order(table, "Ерлан", &[(3, 1)]);
        ids.push(shop.pay(order, "kaspi_invoice").await);
    }
    shop.pass(10 * SECOND, SECOND / 10).await;
    shop.power_cut().await;
    shop.aipay().faults().set_down(false);
    shop.until_invoices(3).await;
    let sent: Vec<String> = shop.aipay().invoices().into_iter().map(|invoice| invoice.external_id).collect();
    assert_eq!(sent, ids);
    shop.close().await;
}

// ---- paper ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_printer_blocks_nobody_else() {
    let shop = Counter::open().await;
    shop.printer("hot").set_state(PrinterState::Off);
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shop.order();
        orders.push((order, shop.pay(order, "cash").await));
    }
    shop.until_papers("receipt", 3).await;
    shop.until_papers("bar", 3).await;
    shop.until("all are closed", async || orders.iter().all(|(order, _)| shop.in_pos(*order).status == 2)).await;
    shop.pass(MINUTE, SECOND / 10).await;
    assert!(shop.papers("hot").is_empty());
    shop.printer("hot").set_state(PrinterState::Ready);
    for (_, id) in &orders {
        shop.until_done(id).await;
    }
    let tickets = shop.papers("hot");
    assert_eq!(tickets.len(), 3, "{tickets:?}");
    assert!(tickets.iter().all(|ticket| !ticket.contains(REPEAT)), "nothing of it had left us: {tickets:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_a_dead_kitchen_printer_is_replaced_by_its_backup_and_takes_nothing_twice() {
    let mut shop = Counter::open().await;
    shop.stop().await;
    shop.start_with(&shop.config_with("hot", "backup = \"bar\"")).await;
    shop.printer("hot").set_state(PrinterState::Off);
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.until_papers("bar", 2).await;
    let bar = shop.papers("bar");
    let replaced: Vec<&String> = bar.iter().filter(|paper| paper.contains("ВМЕСТО")).collect();
    assert_eq!(replaced.len(), 1, "{bar:?}");
    assert!(replaced[0].contains("Горячий цех") && !replaced[0].contains(REPEAT), "{}", replaced[0]);
    let told = shop.get("/api/v1/status?lang=ru").await.body["devices"].to_string();
    assert!(told.contains("bar"), "the page names where the ticket went: {told}");
    shop.printer("hot").set_state(PrinterState::Ready);
    shop.pass(MINUTE, SECOND / 10).await;
    assert_eq!((shop.papers("hot").len(), shop.papers("bar").len()), (0, 2));
    let prints = shop.payment(&id).await["prints"].to_string();
    assert!(!prints.contains("queued") && !prints.contains("held"), "{prints}");
    // The printer is back: the next order is its own again.
    let next = shop.order();
    shop.pay(next, "cash").await;
    shop.until_papers("hot", 1).await;
    assert!(!shop.papers("hot")[0].contains("ВМЕСТО"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drawer_opens_once_for_cash_and_never_for_a_card() {
    let mut shop = Counter::open().await;
    shop.stop().await;
    let with_drawer = shop.config_with("receipt", "drawer = true");
    shop.start_with(&with_drawer).await;
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.until("the drawer opens", async || shop.printer("receipt").drawer_pulses() == 1).await;
    shop.until_papers("receipt", 1).await;
    let card = shop.order();
    shop.pay(card, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.till().guest_pays_qr());
    shop.until_papers("receipt", 2).await;
    shop.stop().await;
    shop.start_with(&with_drawer).await;
    shop.pass(MINUTE, SECOND / 10).await;
    assert_eq!(shop.printer("receipt").drawer_pulses(), 1);
    assert!(shop.is(&id, "paid").await);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_proves_nothing_is_listed_for_a_look_and_ticked_by_one_tap() {
    let shop = Counter::open().await;
    shop.printer("hot").set_state(PrinterState::Silent);
    let order = shop.order();
    shop.pay(order, "cash").await;
    let unseen = async || {
        let jobs = shop.get("/api/v1/jobs").await.body["jobs"].as_array().cloned().unwrap_or_default();
        jobs.into_iter().find(|job| job["may_tick"] == true)
    };
    shop.until("somebody is to look", async || unseen().await.is_some()).await;
    let job = unseen().await.unwrap()["id"].to_string();
    let said = shop.post(&format!("/api/v1/jobs/{job}/tick"), &json!({})).await;
    assert_eq!(said.status, 200, "{}", said.text);
    assert!(unseen().await.is_none());
    assert_eq!(shop.papers("hot").len(), 1);
    // Said twice, or of a paper that nobody waits for: nothing happens.
    let again = shop.post(&format!("/api/v1/jobs/{job}/tick"), &json!({})).await;
    assert!([200, 409].contains(&again.status), "{}", again.text);
    assert_eq!(shop.post("/api/v1/jobs/999/tick", &json!({})).await.status, 404);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_the_test_slip_that_reads_right_is_kept_over_a_restart() {
    let mut shop = Counter::open().await;
    // The worker acts on the clock of the house: it goes on while we wait.
    let asked = async |path: &str, body: Value| {
        // In small steps: the sandbox draws pictures and codes in true time.
        let (path, clock) = (path.to_owned(), shop.pass(20 * SECOND, SECOND / 100));
        tokio::join!(shop.post(&path, &body), clock).0
    };
    let printed = asked("/api/v1/printers/hot/test", json!({})).await;
    assert_eq!(printed.status, 200, "{}", printed.text);
    let candidates = printed.body["candidates"].as_array().cloned().unwrap_or_default();
    let raster = candidates.last().unwrap()["number"].clone();
    shop.until_papers("hot", 1).await;
    for (path, body, status) in [
        ("/api/v1/printers/nobody/test", json!({}), 404),
        ("/api/v1/printers/hot/letters", json!({ "number": 99 }), 400),
        ("/api/v1/printers/hot/letters", json!({ "number": "3" }), 400),
        ("/api/v1/printers/hot/letters", json!({ "number": -1 }), 400),
    ] {
        let said = shop.post(path, &body).await;
        assert_eq!(said.status, status, "{path} {body}: {}", said.text);
    }
    let kept = asked("/api/v1/printers/hot/letters", json!({ "number": raster })).await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    shop.power_cut().await;
    let order = shop.order();
    shop.pay(order, "cash").await;
    shop.until_papers("hot", 2).await;
    let ticket = shop.papers("hot").pop().unwrap();
    assert!(ticket.contains("НОВЫЙ / ЖАҢА"), "pictures are read back: {ticket}");
    // The test slip tries pages that this printer has not: its faults are its purpose.
    assert!(
        shop.printer("hot").faults().iter().all(|fault| fault.contains("page")),
        "{:?}",
        shop.printer("hot").faults()
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_out_holds_the_receipt_until_the_new_roll() {
    let shop = Counter::open().await;
    shop.printer("receipt").set_state(PrinterState::PaperOut);
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    let state = async || {
        let payment = shop.payment(&id).await;
        let prints = payment["prints"].as_array().cloned().unwrap_or_default();
        prints.iter().any(|print| print["document"] == "receipt" && print["state"] == "held")
    };
    shop.until("the receipt is held", state).await;
    assert_eq!(shop.get("/readyz").await.body["partners"]["receipt"]["state"], "paper_out");
    assert!(shop.papers("receipt").is_empty());
    shop.printer("receipt").set_state(PrinterState::Ready);
    shop.is_sold_once(order, &id, 6100, 0).await;
    assert!(!shop.papers("receipt")[0].contains(REPEAT));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_breaks_in_the_middle_of_a_receipt_brings_it_again_with_the_mark() {
    let shop = Counter::open().await;
    shop.printer("receipt").cut_connection_after(300);
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.until_done(&id).await;
    let receipts = shop.papers("receipt");
    assert!(receipts.last().unwrap().contains(REPEAT), "{receipts:?}");
    assert_eq!(receipts.iter().filter(|receipt| !receipt.contains(REPEAT)).count(), 0, "{receipts:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printer_that_never_answers_prints_once() {
    let shop = Counter::open().await;
    shop.printer("receipt").set_state(PrinterState::Silent);
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    let is_out = async || {
        let payment = shop.payment(&id).await;
        payment["prints"]
            .as_array()
            .unwrap()
            .iter()
            .any(|print| print["document"] == "receipt" && print["state"] == "suspect")
    };
    shop.until("the receipt is out", is_out).await;
    shop.pass(MINUTE, SECOND / 10).await;
    assert_eq!(shop.papers("receipt").len(), 1, "{:?}", shop.papers("receipt"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_without_proof_comes_three_times_and_then_lets_the_next_one_pass() {
    let shop = Counter::open().await;
    let order = shop.order();
    shop.printer("receipt").cut_connection_after(300);
    let id = shop.pay(order, "cash").await;
    let receipt = async || {
        let prints = shop.payment(&id).await["prints"].clone();
        let job = prints.as_array().unwrap().iter().find(|print| print["document"] == "receipt").cloned();
        let jobs = shop.get("/api/v1/jobs").await.body["jobs"].clone();
        let number = job.map_or(Value::Null, |job| job["job"].clone());
        jobs.as_array().unwrap().iter().find(|job| job["id"] == number).cloned().unwrap_or(Value::Null)
    };
    for copy in 1..=3 {
        let state = if copy < 3 { "suspect" } else { "held" };
        let is_out = async || {
            let job = receipt().await;
            job["tries"] == copy && job["state"] == state
        };
        shop.until(&format!("copy {copy} is {state}"), is_out).await;
        shop.printer("receipt").cut_connection_after(if copy < 3 { 300 } else { usize::MAX });
    }
    assert_eq!(shop.questions().await, ["print"]);
    let next = shop.order();
    let other = shop.pay(next, "cash").await;
    shop.until_done(&other).await;
    let held = receipt().await;
    assert_eq!((&held["state"], &held["tries"]), (&json!("held"), &json!(3)), "it waits for a person: {held}");
    assert_eq!(shop.post(&format!("/api/v1/jobs/{}/retry", held["id"]), &json!({})).await.status, 200);
    shop.until_done(&id).await;
    assert!(shop.papers("receipt").last().unwrap().contains(REPEAT), "{:?}", shop.papers("receipt"));
    assert_eq!(shop.questions().await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_way_printer_that_hangs_up_rudely_gets_no_second_copy() {
    let shop = Counter::open().await;
    let printer = shop.printer("receipt");
    printer.set_state(PrinterState::Silent);
    let is_out = async |id: &str| {
        let prints = shop.payment(id).await["prints"].clone();
        prints.as_array().unwrap().iter().any(|print| print["document"] == "receipt" && print["state"] == "suspect")
    };
    // The first one goes behind a recovery; from the second on they are of one length.
    for count in 1..=2 {
        let order = shop.order();
        let kind = shop.pay(order, "cash").await;
        shop.until("the receipt is out", async || is_out(&kind).await).await;
        assert_eq!(shop.papers("receipt").len(), count);
    }
    // In the middle of the cut: by then we have handed over all of it.
    printer.cut_connection_after(printer.received() - 2);
    let order = shop.order();
    let rude = shop.pay(order, "cash").await;
    shop.until("the receipt is out", async || is_out(&rude).await).await;
    shop.pass(MINUTE, SECOND / 10).await;
    assert!(is_out(&rude).await);
    assert_eq!(shop.papers("receipt").len(), 2, "not one copy more: {:?}", shop.papers("receipt"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_printed_once_more_by_a_person_says_so() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.until_done(&id).await;
    let prints = shop.payment(&id).await["prints"].clone();
    let receipt =
        prints.as_array().unwrap().iter().find(|print| print["document"] == "receipt").unwrap()["job"].clone();
    assert_eq!(shop.post(&format!("/api/v1/jobs/{receipt}/retry"), &json!({})).await.status, 200);
    shop.until_papers("receipt", 2).await;
    assert!(shop.papers("receipt")[1].contains(REPEAT));
    assert_eq!(shop.post("/api/v1/jobs/4711/retry", &json!({})).await.status, 404);
    shop.close().await;
}

// ---- double tap ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_tap_is_one_payment() {
    let shop = Counter::open().await;
    let order = shop.order();
    let tap = wish(order, "kaspi_terminal");
    let tap = || shop.post_keyed("/api/v1/payments", "tap-1", &tap);
    let (first, second, third) = tokio::join!(tap(), tap(), tap());
    assert_eq!((first.status, second.status, third.status), (201, 201, 201), "{first:?} {second:?} {third:?}");
    assert_eq!(first.body["id"], second.body["id"]);
    assert_eq!(first.body["id"], third.body["id"]);
    let other_key = shop.post_keyed("/api/v1/payments", "tap-2", &wish(order, "kaspi_terminal")).await;
    assert_eq!((other_key.status, &other_key.body["code"]), (409, &json!("live")), "{}", other_key.text);
    let other_content = shop.post_keyed("/api/v1/payments", "tap-1", &wish(order, "cash")).await;
    assert_eq!((other_content.status, &other_content.body["code"]), (409, &json!("key_reused")));
    let id = first.body["id"].as_str().unwrap().to_owned();
    shop.until_on_screen().await;
    shop.till().guest_pays_qr();
    shop.is_sold_once(order, &id, 0, 6100).await;
    let again = shop.post_keyed("/api/v1/payments", "tap-1", &wish(order, "kaspi_terminal")).await;
    assert_eq!((again.status, &again.body["state"]), (201, &json!("paid")));
    let paid = shop.try_pay(order, "cash").await;
    assert_eq!(paid.status, 409, "{}", paid.text);
    assert_eq!(shop.till().operations().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tills_at_one_order_make_one_payment() {
    let shop = Counter::open().await;
    let order = shop.order();
    let (one, two) = tokio::join!(shop.try_pay(order, "kaspi_terminal"), shop.try_pay(order, "kaspi_invoice"));
    let mut answers = [one.status, two.status];
    answers.sort_unstable();
    assert_eq!(answers, [201, 409], "{one:?} {two:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_order_waits_for_the_busy_terminal() {
    let shop = Counter::open().await;
    let (one, two) = (shop.order(), shop.poster().open_order(6, "Ерлан", &[(3, 1)]));
    let first = shop.pay(one, "kaspi_terminal").await;
    shop.until_state(&first, "waiting").await;
    let second = shop.pay(two, "kaspi_terminal").await;
    shop.pass(10 * SECOND, SECOND / 10).await;
    assert!(shop.is(&second, "planned").await);
    shop.till().guest_pays_qr();
    shop.until_state(&second, "waiting").await;
    shop.till().guest_pays_qr();
    shop.until_done(&first).await;
    shop.until_state(&second, "paid").await;
    let sums: Vec<i64> = shop.till().operations().iter().map(|operation| operation.amount).collect();
    assert_eq!(sums, [6100, 2900]);
    shop.close().await;
}

// ---- bad input ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_get_a_clear_answer_and_move_nothing() {
    let shop = Counter::open().await;
    let order = shop.order();
    let ask = |change: &[(&str, Value)]| {
        let mut body = wish(order, "kaspi_terminal");
        for (name, value) in change {
            body[*name] = value.clone();
        }
        body
    };
    for (change, status) in [
        (vec![("tender", json!("gold"))], 400),
        (vec![("amount", json!(100.0))], 400),
        (vec![("amount", json!(100.5))], 400),
        (vec![("amount", json!(1e3))], 400),
        (vec![("amount", json!("1e3"))], 400),
        (vec![("amount", json!("100.505"))], 400),
        (vec![("amount", json!([100]))], 400),
        (vec![("amount", json!("100.50"))], 422),
        (vec![("amount", json!(0))], 422),
        (vec![("amount", json!(-5))], 422),
        (vec![("amount", json!(6101))], 422),
        (vec![("amount", json!(i64::MAX))], 400),
        (vec![("order_id", Value::Null)], 400),
        (vec![("reference", json!("x"))], 400),
        (vec![("tender", json!("kaspi_invoice"))], 422),
        (vec![("tender", json!("kaspi_invoice")), ("phone", json!("123"))], 422),
        (vec![("tender", json!("kaspi_qr"))], 422),
    ] {
        let said = shop.post("/api/v1/payments", &ask(&change)).await;
        assert_eq!(said.status, status, "{change:?}: {}", said.text);
        assert!(!said.body["title"].as_str().unwrap_or_default().is_empty(), "{}", said.text);
        assert!(!said.body["code"].as_str().unwrap_or_default().is_empty(), "{}", said.text);
    }
    let own = json!({ "reference": "r-1", "total": 100.5, "tender": "kaspi_terminal" });
    assert_eq!(shop.post("/api/v1/payments", &own).await.status, 400);
    let tiyn = json!({ "reference": "r-1", "total": "12400.50", "tender": "kaspi_terminal" });
    assert_eq!(shop.post("/api/v1/payments", &tiyn).await.body["code"], "tiyn");
    assert_eq!(shop.get("/api/v1/payments/nobody").await.status, 404);
    assert_eq!(shop.get("/api/v1/payments?state=nonsense").await.status, 400);
    let request = "POST /api/v1/payments HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"tender\"";
    assert!(shop.raw(shop.local(), request.as_bytes()).await.starts_with("HTTP/1.1 400"));
    let large = json!({ "reference": "x".repeat(70_000), "total": 1, "tender": "cash" });
    assert_eq!(shop.post("/api/v1/payments", &large).await.status, 413);
    assert!(shop.get("/api/v1/payments").await.body["payments"].as_array().unwrap().is_empty());
    assert!(shop.till().operations().is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_in_the_cashiers_browser_moves_nothing() {
    let shop = Counter::open().await;
    let order = shop.order();
    let (to, body) = (shop.local(), wish(order, "cash").to_string());
    let write = async |path: &str, head: &str, body: &str| {
        let length = body.len();
        let text = format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}");
        shop.raw(to, text.as_bytes()).await.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let json = "content-type: application/json\r\n";
    let form = format!("host: {to}\r\norigin: http://evil.kz\r\ncontent-type: text/plain\r\n");
    assert_eq!(write("/api/v1/payments", &form, &body).await, "403", "a simple form");
    let plain = format!("host: {to}\r\ncontent-type: text/plain\r\n");
    assert_eq!(write("/api/v1/payments", &plain, &body).await, "415", "a form of an old browser");
    let rebound = format!("host: evil.kz:8780\r\norigin: http://evil.kz:8780\r\n{json}");
    assert_eq!(write("/api/v1/payments", &rebound, &body).await, "421", "a name that was pointed at us");
    assert!(shop.get("/api/v1/payments").await.body["payments"].as_array().unwrap().is_empty());
    let page = format!("host: {to}\r\norigin: http://{to}\r\n{json}");
    assert_eq!(write("/api/v1/payments", &page, &body).await, "201", "the counter page");
    // Writes without a body: a program names no origin, a browser always does.
    assert_eq!(write("/api/v1/jobs/4711/retry", &format!("host: {to}\r\n"), "").await, "404");
    assert_eq!(write("/api/v1/jobs/4711/retry", &format!("host: {to}\r\norigin: http://evil.kz\r\n"), "").await, "403");
    assert_eq!(write("/api/v1/jobs/4711/retry", &format!("host: {to}\r\norigin: http://{to}\r\n"), "").await, "404");
    // A bot is known by its key, under whatever name it calls.
    let bot = format!("host: kassa.lan\r\nauthorization: Bearer {SANDBOX_SECRET}\r\n");
    assert_eq!(write("/v1/invoices", &bot, &bot_wish("tg-9", 500).to_string()).await, "201");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_with_tiyn_is_refused_before_any_money_moves() {
    let shop = Counter::open().await;
    let order = shop.order();
    assert!(shop.poster().add_dish_at(order, 14, 80_050));
    for tender in ["kaspi_terminal", "kaspi_invoice"] {
        let said = shop.try_pay(order, tender).await;
        assert_eq!((said.status, &said.body["code"]), (422, &json!("tiyn")), "{}", said.text);
    }
    assert!(shop.till().operations().is_empty() && shop.aipay().invoices().is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_with_missing_or_wrong_signatures_change_nothing() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let rows = shop.get("/metrics").await.text;
    // The journal itself may grow meanwhile: a printer that was just met is remembered.
    let kept = rows.lines().find(|line| line.starts_with("kassad_notices_total")).unwrap().to_owned();
    let body = json!({ "event": "invoice.paid", "invoice_id": shop.invoice().id, "external_id": id, "amount": 6100 });
    let body = body.to_string();
    let right = sign(SANDBOX_SECRET, body.as_bytes());
    let with_one_byte_changed = body.replace("6100", "6200");
    assert_eq!(shop.notice("x-aipay-signature", &right, &with_one_byte_changed).await, 403);
    assert_eq!(shop.notice("x-aipay-signature", &sign("other", body.as_bytes()), &body).await, 403);
    assert_eq!(shop.notice("x-aipay-signature", "", &body).await, 403);
    assert_eq!(shop.notice("x-other", &right, &body).await, 403);
    assert_eq!(shop.notice("x-aipay-signature", &right[1..], &body).await, 403);
    let after = shop.get("/metrics").await.text;
    assert!(after.contains(&kept), "nothing was kept: {after}");
    assert!(after.contains("kassad_forged_total 5"), "{after}");
    assert!(shop.is(&id, "waiting").await);
    // Both dialects are let in.
    assert_eq!(shop.notice("x-aipay-signature", &right, &body).await, 200);
    let b = json!({ "status": "paid", "invoice_id": shop.invoice().id, "external_id": id, "amount": 6100 }).to_string();
    assert_eq!(shop.notice("x-signature", &sign(SANDBOX_SECRET, b.as_bytes()), &b).await, 200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rightly_signed_body_that_cannot_be_read_is_kept_and_asked_about() {
    let shop = Counter::open().await;
    for body in ["not JSON", "{}", r#"{"event":"invoice.paid"}"#, r#"{"invoice_id":"../../x","event":"invoice.paid"}"#]
    {
        let before = shop.questions().await.len();
        assert_eq!(shop.signed_notice(body).await, 200, "{body}");
        assert_eq!(shop.questions().await.len(), before + 1, "{body}");
        assert_eq!(shop.signed_notice(body).await, 200, "{body} again");
        assert_eq!(shop.questions().await.len(), before + 1, "{body} again");
    }
    assert!(shop.questions().await.iter().all(|code| code == "unreadable"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doors_have_names_methods_sizes_and_patience() {
    let shop = Counter::open().await;
    let request = |path: &str, head: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n{body}")
    };
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let to = shop.public();
    let said = shop.raw(to, request("/webhooks/nobody", "content-length: 2\r\n", "{}").as_bytes()).await;
    assert_eq!(status(&said), "404");
    assert_eq!(shop.public_get("/webhooks/aipay").await.status, 405);
    for hidden in ["/", "/api/v1/orders", "/metrics", "/readyz"] {
        assert_eq!(shop.public_get(hidden).await.status, 404, "{hidden} is not for the world");
    }
    let (outside, inside) = (shop.public_get("/probe/abc123").await, shop.get("/probe/abc123").await);
    assert!(
        outside.text.starts_with("abc123 ") && outside.text == inside.text,
        "one daemon: {} {}",
        outside.text,
        inside.text
    );
    // Too large, announced and not announced.
    let said = shop.raw(to, request("/webhooks/aipay", "content-length: 70000\r\n", "").as_bytes()).await;
    assert_eq!(status(&said), "413", "{said}");
    let chunk = format!("{:x}\r\n{}\r\n", 33_000, "x".repeat(33_000));
    let chunks = format!("{chunk}{chunk}0\r\n\r\n");
    let said = shop.raw(to, request("/webhooks/aipay", "transfer-encoding: chunked\r\n", &chunks).as_bytes()).await;
    assert_eq!(status(&said), "413", "{said}");
    // Slow: the rest of the body never comes.
    let mut slow = Bare::open(to).await;
    slow.say(request("/webhooks/aipay", "content-length: 50\r\n", "{\"event\"").as_bytes()).await;
    let (said, ()) = tokio::join!(slow.until("HTTP/1.1 408"), shop.pass(30 * SECOND, SECOND / 10));
    assert_eq!(status(&said), "408", "{said}");
    // What is no HTTP at all.
    let said = shop.raw(to, b"\x16\x03\x01 hello\r\n\r\n").await;
    assert_eq!(status(&said), "400", "{said}");
    assert_eq!(shop.get("/healthz").await.status, 200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_forgeries_is_shut_out_and_a_genuine_notice_still_gets_in() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_state(&id, "waiting").await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(shop.notice("x-aipay-signature", "00", "{}").await);
    }
    assert_eq!(answers[0], 403);
    assert_eq!(answers[99], 429);
    assert!(shop.aipay().guest_pays(&shop.invoice().id));
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert!(shop.aipay().deliveries().iter().all(|delivery| delivery.answered == Some(200)));
    shop.pass(MINUTE, SECOND / 2).await;
    assert_eq!(shop.notice("x-aipay-signature", "00", "{}").await, 403, "the flood is over");
    shop.close().await;
}

// ---- the page and the machines around it ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_on_where_the_page_left_off() {
    let shop = Counter::open().await;
    let listen = |last: &str| format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
    let mut page = Bare::open(shop.local()).await;
    page.say(listen("").as_bytes()).await;
    page.until("event: hello").await;
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    let seen = page.until(&format!("\"payment\":\"{id}\"")).await;
    let last: i64 = seen.lines().filter_map(|line| line.strip_prefix("id: ")?.trim().parse().ok()).max().unwrap();
    drop(page);
    shop.until_done(&id).await;

    let mut page = Bare::open(shop.local()).await;
    page.say(listen(&format!("last-event-id: {last}\r\n")).as_bytes()).await;
    let missed = page.until("\"kind\":\"job\"").await;
    let numbers: Vec<i64> = missed.lines().filter_map(|line| line.strip_prefix("id: ")?.trim().parse().ok()).collect();
    assert_eq!(numbers.first(), Some(&(last + 1)), "{missed}");
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order: {numbers:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_readiness_and_measures_are_told() {
    let shop = Counter::open().await;
    assert_eq!(shop.get("/healthz").await.status, 200);
    let up = async || {
        let partners = shop.get("/readyz").await.body["partners"].clone();
        ["till1", "poster", "receipt", "hot", "bar"].iter().all(|name| partners[name]["state"] == "up")
    };
    shop.until("everybody is up", up).await;
    shop.poster().faults().set_down(true);
    let down = async || shop.get("/readyz").await.body["partners"]["poster"]["state"] == "down";
    shop.until("the POS is down", down).await;
    let ready = shop.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["ledger"]), (200, &json!("ok")), "money may still be taken");
    let metrics = shop.get("/metrics").await.text;
    for line in ["kassad_live_payments{state=\"waiting\"} 0", "kassad_device_up{name=\"poster\",role=\"pos\"} 0"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(shop.get("/").await.status, 200);
    assert_eq!(shop.get("/openapi.json").await.status, 200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_ledger_that_cannot_commit_is_not_ready_until_it_can() {
    let shop = Counter::open().await;
    assert_eq!(shop.get("/readyz").await.status, 200);
    // The disk is full: SQLite reads, and takes nothing.
    let disk = rusqlite::Connection::open(shop.folder.path().join("ledger.db")).unwrap();
    disk.execute_batch(
        "CREATE TRIGGER full_journal BEFORE INSERT ON journal BEGIN SELECT raise(ROLLBACK, 'disk full'); END;
         CREATE TRIGGER full_meta BEFORE INSERT ON meta BEGIN SELECT raise(ROLLBACK, 'disk full'); END;",
    )
    .unwrap();
    assert_eq!(shop.get("/readyz").await.status, 200, "proven a moment ago, and the card is spared");
    let order = shop.order();
    let said = shop.try_pay(order, "cash").await;
    assert_eq!((said.status, &said.body["code"]), (503, &json!("storage")), "{}", said.text);
    let ready = shop.get("/readyz").await;
    assert_eq!(ready.status, 503, "{} after {}", ready.text, said.text);
    disk.execute_batch("DROP TRIGGER full_journal; DROP TRIGGER full_meta").unwrap();
    assert_eq!(shop.get("/readyz").await.status, 200, "a probe of its own finds out");
    // After a quiet minute a failure is found without a payment.
    disk.execute_batch(
        "CREATE TRIGGER full_meta BEFORE INSERT ON meta BEGIN SELECT raise(ROLLBACK, 'disk full'); END;",
    )
    .unwrap();
    shop.pass(2 * MINUTE, SECOND).await;
    assert_eq!(shop.get("/readyz").await.status, 503);
    disk.execute_batch("DROP TRIGGER full_meta").unwrap();
    let id = shop.pay(order, "cash").await;
    shop.is_sold_once(order, &id, 6100, 0).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_of_the_day_add_up() {
    let shop = Counter::open().await;
    let (one, two) = (shop.order(), shop.order());
    let cash = shop.pay(one, "cash").await;
    let qr = shop.pay(two, "kaspi_terminal").await;
    shop.until_on_screen().await;
    shop.till().guest_pays_qr();
    shop.until_done(&cash).await;
    shop.until_done(&qr).await;
    let day = shop.get("/api/v1/day").await.body;
    assert_eq!((&day["paid"], &day["closed_in_pos"]), (&json!(12200), &json!(12200)), "{day}");
    assert_eq!(day["by_tender"], json!({ "cash": 6100, "kaspi_terminal": 6100 }));
    shop.close().await;
}
