//! F25: an order in parts, cash with change, and money that goes back: never more than was paid, never twice, and everybody hears of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::shop::{Counter, PHONE, Said};
use kassad::sandbox::faults::Fault;
use kassad::sandbox::poster::ByHand;
use kassad::sandbox::terminal::Screen;
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

// ---- by the terminal that took it ----

/// An order paid by QR at the terminal and done.
async fn sold_by_qr(shop: &Counter) -> (u64, String) {
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    assert!(shop.till().guest_pays_qr());
    shop.is_sold_once(order, &id, 0, 6100).await;
    (order, id)
}

async fn refund_of(shop: &Counter, id: &str) -> Value {
    shop.get(&format!("/api/v1/refunds/{id}")).await.body
}

async fn until_refund(shop: &Counter, id: &str, state: &str) {
    shop.until(&format!("{id} is {state}"), async || refund_of(shop, id).await["state"] == state).await;
}

async fn on_terminal(shop: &Counter, payment: &str, amount: i64) -> String {
    let said = refund(shop, payment, &json!({ "amount": amount })).await;
    assert_eq!((said.status, &said.body["way"]), (201, &json!("terminal")), "{}", said.text);
    let id = said.body["id"].as_str().unwrap().to_owned();
    shop.until("the refund is on the screen", async || shop.till().screen() == Screen::Refund { amount }).await;
    id
}

/// What the terminal really gave back, in whole tenge.
fn given(shop: &Counter) -> i64 {
    shop.till().operations().iter().filter(|one| one.is_refund && one.charged).map(|one| one.amount).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_the_guest_confirms_a_part_on_the_terminal_and_gets_the_rest_later() {
    let shop = Counter::open().await;
    let (_, payment) = sold_by_qr(&shop).await;
    let first = on_terminal(&shop, &payment, 1000).await;
    until_refund(&shop, &first, "waiting").await;
    assert_eq!(refund(&shop, &payment, &json!({ "amount": 1 })).await.body["code"], "refund_running");
    assert_eq!(shop.post(&format!("/api/v1/refunds/{first}/cancel"), &json!({})).await.body["code"], "no_abort");
    assert!(shop.till().guest_pays_qr());
    until_refund(&shop, &first, "done").await;
    assert_ne!(refund_of(&shop, &first).await["transaction"], "");
    assert_eq!(shop.payment(&payment).await["refundable"], 5100);
    let rest = on_terminal(&shop, &payment, 5100).await;
    until_refund(&shop, &rest, "waiting").await;
    assert!(shop.till().guest_pays_qr());
    until_refund(&shop, &rest, "done").await;
    assert_eq!(given(&shop), 6100);
    assert_eq!(refund(&shop, &payment, &json!({})).await.body["code"], "refund_nothing");
    shop.until_papers("receipt", 3).await;
    assert_eq!(shop.till().violations(), Vec::<String>::new());
    shop.settle("pos_return").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_refund_that_the_guest_does_not_confirm_is_available_again() {
    let shop = Counter::open().await;
    let (_, payment) = sold_by_qr(&shop).await;
    let first = on_terminal(&shop, &payment, 6100).await;
    until_refund(&shop, &first, "waiting").await;
    assert!(shop.till().guest_declines());
    until_refund(&shop, &first, "failed").await;
    assert_eq!(shop.payment(&payment).await["refundable"], 6100);
    let second = on_terminal(&shop, &payment, 6100).await;
    until_refund(&shop, &second, "waiting").await;
    assert!(shop.till().guest_pays_qr());
    until_refund(&shop, &second, "done").await;
    assert_eq!(given(&shop), 6100);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_refund_whose_answer_is_lost_is_never_begun_again() {
    let shop = Counter::open().await;
    let (_, payment) = sold_by_qr(&shop).await;
    shop.till().faults().once("refund", Fault::LoseReply);
    let first = on_terminal(&shop, &payment, 6100).await;
    until_refund(&shop, &first, "unresolved").await;
    assert!(shop.till().guest_pays_qr(), "the guest confirms what we do not know of");
    assert_eq!(refund(&shop, &payment, &json!({})).await.body["code"], "refund_running");
    let path = format!("/api/v1/refunds/{first}/answer");
    let no = json!({ "by": "Мария", "because": "x", "outcome": "not_returned" });
    assert_eq!(shop.post(&path, &no).await.body["code"], "too_early");
    shop.until_asked("refund_unclear").await;
    assert_eq!(shop.post(&path, &no).await.body["code"], "confirm_not_returned");
    let yes = json!({ "by": "Мария", "because": "есть в истории", "outcome": "returned", "transaction": "5501" });
    assert_eq!(shop.post(&path, &yes).await.body["state"], "done");
    assert_eq!((given(&shop), shop.till().operations().len()), (6100, 2));
    shop.settle("pos_return").await;
    assert_eq!(shop.questions().await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_refund_survives_a_lost_link_and_a_power_cut() {
    let mut shop = Counter::open().await;
    let (_, payment) = sold_by_qr(&shop).await;
    let first = on_terminal(&shop, &payment, 2000).await;
    until_refund(&shop, &first, "waiting").await;
    shop.till().faults().set_down(true);
    until_refund(&shop, &first, "unresolved").await;
    assert!(shop.till().guest_pays_qr());
    shop.till().faults().set_down(false);
    until_refund(&shop, &first, "done").await;
    let second = on_terminal(&shop, &payment, 4100).await;
    until_refund(&shop, &second, "waiting").await;
    shop.power_cut().await;
    assert!(shop.till().guest_pays_qr());
    until_refund(&shop, &second, "done").await;
    assert_eq!(given(&shop), 6100);
    assert_eq!(shop.till().operations().len(), 3);
    shop.until_papers("receipt", 3).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_persons_word_about_a_refund_is_corrected_by_the_terminal_loudly() {
    let shop = Counter::open().await;
    let (_, payment) = sold_by_qr(&shop).await;
    let id = on_terminal(&shop, &payment, 6100).await;
    until_refund(&shop, &id, "waiting").await;
    shop.till().faults().set_down(true);
    assert!(shop.till().guest_pays_qr());
    shop.until_asked("refund_unclear").await;
    let no = json!({ "by": "Мария", "because": "не вижу", "outcome": "not_returned", "confirmed": true });
    assert_eq!(shop.post(&format!("/api/v1/refunds/{id}/answer"), &no).await.body["state"], "failed");
    shop.till().faults().set_down(false);
    shop.settle("refund_late").await;
    assert_eq!(refund_of(&shop, &id).await["late"], true);
    assert_eq!(given(&shop), 6100);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_payment_and_a_refund_share_one_screen() {
    let shop = Counter::open().await;
    let (_, payment) = sold_by_qr(&shop).await;
    let back = on_terminal(&shop, &payment, 500).await;
    let order = shop.poster().open_order(6, "Ерлан", &[(1, 1)]);
    let id = shop.pay(order, "kaspi_terminal").await;
    until_refund(&shop, &back, "waiting").await;
    assert!(shop.till().guest_pays_qr());
    until_refund(&shop, &back, "done").await;
    shop.until("then the next guest's sum", async || matches!(shop.till().screen(), Screen::Pay { .. })).await;
    assert!(shop.till().guest_pays_card());
    shop.until_state(&id, "paid").await;
    assert_eq!(shop.till().operations().len(), 3);
    assert_eq!(shop.till().violations(), Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_what_was_too_much_goes_back_and_the_order_goes_on() {
    let shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_invoices(1).await;
    assert!(shop.aipay().guest_pays_sum(&shop.invoice().id, 7000));
    shop.until_asked("overpaid").await;
    assert_eq!(shop.in_pos(order).closes, 0);
    let back = refund(&shop, &id, &json!({ "amount": 900, "transaction": "90011" })).await;
    assert_eq!(back.body["state"], "done", "{}", back.text);
    shop.until("the order is closed", async || shop.in_pos(order).status == 2).await;
    let seen = shop.in_pos(order);
    assert_eq!((seen.closes, seen.payed_card.0, seen.payed_cash.0), (1, 610_000, 0), "closed with its sum");
    shop.until_papers("receipt", 2).await;
    shop.until_papers("hot", 1).await;
    assert_eq!(shop.questions().await, Vec::<String>::new());
    shop.close().await;
}

/// Takes part of an order in cash and lets the POS forget the rest in some way.
async fn paid_in_part(shop: &Counter) -> (u64, String) {
    let order = shop.order();
    let id = begun(shop, order, "cash", 2000, &json!({})).await;
    assert!(shop.is(&id, "paid").await);
    (order, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_an_order_paid_in_part_and_closed_by_hand_is_asked_about() {
    let shop = Counter::open().await;
    let (order, _) = paid_in_part(&shop).await;
    assert!(shop.poster().close_by_hand(order, ByHand::Cash));
    shop.settle("closed_by_hand").await;
    shop.pass(std::time::Duration::from_secs(60), std::time::Duration::from_secs(1)).await;
    assert_eq!(shop.questions().await, Vec::<String>::new(), "it is asked once");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_an_order_that_shrinks_to_what_was_paid_closes_by_itself() {
    let shop = Counter::open().await;
    let order = shop.poster().open_order(5, "Айгерім", &[(1, 1), (13, 2)]);
    let paid = begun(&shop, order, "cash", 6100, &json!({})).await;
    assert!(shop.is(&paid, "paid").await);
    assert_eq!(shop.in_pos(order).status, 1);
    assert!(shop.poster().set_count(order, 13, 1), "the second tea is taken back");
    shop.until("the order is closed", async || shop.in_pos(order).status == 2).await;
    let seen = shop.in_pos(order);
    assert_eq!((seen.closes, seen.payed_cash.0), (1, 610_000), "{seen:?}");
    shop.until_papers("receipt", 1).await;
    assert_eq!(shop.questions().await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_an_order_paid_in_part_and_removed_gives_its_money_back() {
    let shop = Counter::open().await;
    let (order, id) = paid_in_part(&shop).await;
    assert!(shop.poster().remove(order));
    shop.until_asked("removed").await;
    assert_eq!(refund(&shop, &id, &json!({})).await.body["state"], "done");
    shop.settle("removed").await;
    shop.close().await;
}
