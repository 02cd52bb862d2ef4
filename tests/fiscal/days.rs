//! Days at the counter with the true daemon and the restaurant's own register: without a link, over the law's window, in two ways of
//! paying, with money that goes back, with a setting that is wrong (F21, F25, F26). Judged by the register's books and the guest's paper.

use crate::shop::Counter;
use kassad::config::Config;
use kassad::domain::fiscal::{PayKind, Side};
use kassad::domain::money::Tiyn;
use kassad::host::floor::Trust;
use kassad::sandbox::webkassa::{SandboxReceipt, Webkassa};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn kassa(shop: &Counter) -> &Arc<Webkassa> {
    shop.shop.world.webkassa()
}

/// The shop's configuration with some of its text in other words.
fn config(shop: &Counter, changes: &[(&str, &str)]) -> Config {
    let _written = shop.config();
    let mut text = std::fs::read_to_string(shop.folder.path().join("kassad.toml")).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    Config::parse(&text, shop.folder.path()).unwrap()
}

/// A restaurant whose configuration differs.
async fn open(changes: &[(&str, &str)]) -> Counter {
    let mut shop = Counter::open_with_register().await;
    shop.stop().await;
    let config = config(&shop, changes);
    shop.start_with(&config).await;
    shop
}

async fn fiscal(shop: &Counter) -> Value {
    shop.get("/api/v1/fiscal").await.body
}

/// The documents, oldest first.
async fn documents(shop: &Counter) -> Vec<Value> {
    let mut documents = fiscal(shop).await["documents"].as_array().cloned().unwrap();
    documents.reverse();
    documents
}

async fn until_registered(shop: &Counter, count: usize) {
    shop.until(&format!("{count} documents are registered"), async || {
        documents(shop).await.iter().filter(|one| one["state"] == "registered").count() == count
    })
    .await;
}

/// An order of 6 100 ₸ is paid and closed.
async fn sell(shop: &Counter, tender: &str) -> (u64, String) {
    let order = shop.order();
    let id = shop.pay(order, tender).await;
    if tender == "kaspi_terminal" {
        shop.until_state(&id, "waiting").await;
        assert!(shop.till().guest_pays_qr());
    }
    shop.until_state(&id, "paid").await;
    shop.until("the POS closed it", async || shop.in_pos(order).status == 2).await;
    (order, id)
}

async fn pay_part(shop: &Counter, order: u64, tender: &str, amount: i64, more: &[(&str, Value)]) -> String {
    let mut body = json!({ "order_id": order.to_string(), "tender": tender, "amount": amount });
    for (key, value) in more {
        body[key] = value.clone();
    }
    let said = shop.post("/api/v1/payments", &body).await;
    assert_eq!(said.status, 201, "{}", said.text);
    said.body["id"].as_str().unwrap().to_owned()
}

async fn give_back(shop: &Counter, id: &str, amount: i64) {
    let wish = json!({ "by": "Мария", "because": "гость вернул блюдо", "amount": amount });
    let said = shop.post(&format!("/api/v1/payments/{id}/refund"), &wish).await;
    assert_eq!(said.status, 201, "{}", said.text);
}

/// One receipt for each document of ours, with the sign that we know, in our order, and nothing that a strict register complains about.
async fn agrees(shop: &Counter) -> Vec<SandboxReceipt> {
    let kept = kassa(shop).receipts();
    let theirs: Vec<Option<String>> = kept.iter().map(|one| Some(one.sign.clone())).collect();
    let ours = documents(shop).await.into_iter().filter(|one| one["act"] == "sale" || one["act"] == "return");
    let ours: Vec<Option<String>> = ours.map(|one| one["sign"].as_str().map(str::to_owned)).collect();
    assert_eq!(ours, theirs);
    assert_eq!(kassa(shop).violations(), Vec::<String>::new());
    kept
}

/// Papers of the receipt printer without a fiscal sign, which the guests get while the register is away.
fn notices(shop: &Counter) -> Vec<String> {
    shop.papers("receipt").into_iter().filter(|paper| paper.contains("ЭТО НЕ ЧЕК")).collect()
}

/// All others: receipts and reports.
fn receipts(shop: &Counter) -> Vec<String> {
    shop.papers("receipt").into_iter().filter(|paper| !paper.contains("ЭТО НЕ ЧЕК")).collect()
}

/// So many papers of a kind came out, and all of everything is proven: no step of the clock finds a printer at work. On a slow machine
/// the other kind may come out too: the clock of these days runs much faster than a request.
async fn until_printed(shop: &Counter, papers: fn(&Counter) -> Vec<String>, count: usize) -> String {
    shop.until(&format!("{count} papers came out"), async || papers(shop).len() >= count).await;
    shop.until("all paper is proven", async || {
        shop.get("/api/v1/jobs").await.body["jobs"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    let mut papers = papers(shop);
    assert_eq!(papers.len(), count, "{papers:?}");
    papers.pop().unwrap()
}

/// The open questions about the register.
async fn questions(shop: &Counter) -> Vec<String> {
    shop.questions().await.into_iter().filter(|code| code.starts_with("fiscal_")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_day_without_the_register() {
    let shop = Counter::open_with_register().await;
    sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    let paper = until_printed(&shop, receipts, 1).await;
    assert!(paper.contains("ФИСКАЛЬНЫЙ ЧЕК"), "{paper}");
    let early = notices(&shop).len();
    kassa(&shop).faults().set_down(true);
    let mut hours = 73;
    for (count, tender) in (1..).zip(["cash", "kaspi_terminal", "cash", "kaspi_terminal"]) {
        let (order, _) = sell(&shop, tender).await;
        let paper = until_printed(&shop, notices, early + count).await;
        let newest = documents(&shop).await.pop().unwrap();
        let number = newest["id"].to_string();
        for words in ["ЭТО НЕ ЧЕК", "ЧЕК БУДЕТ ПОЗЖЕ", "КЕЙІНІРЕК", "6 100", &number] {
            assert!(paper.contains(words), "{words} in {paper}");
        }
        assert!(!paper.contains("ФБ/ФП") && !paper.contains("ФИСКАЛЬНЫЙ ЧЕК"), "{paper}");
        assert_eq!(shop.in_pos(order).print_fiscal, 0);
        let page = fiscal(&shop).await;
        assert_eq!((&page["waiting"], &page["state"]), (&json!(count), &json!("down")), "{page}");
        let left = page["hours_left"].as_i64().unwrap();
        assert!(left < hours, "{left} hours left after {hours}");
        hours = left;
        shop.pass(2 * HOUR, Duration::from_secs(20)).await;
        assert_eq!(questions(&shop).await, ["fiscal_waiting"], "one red line for all of them");
    }
    // The business day ends without a link: its Z report waits behind its receipts.
    shop.pass(10 * HOUR, MINUTE).await;
    let acts: Vec<Value> = documents(&shop).await.into_iter().map(|one| one["act"].clone()).collect();
    assert_eq!(acts, ["sale", "sale", "sale", "sale", "sale", "z"]);
    assert_eq!((kassa(&shop).receipts().len(), shop.papers("receipt").len()), (1, early + 5));
    kassa(&shop).faults().set_down(false);
    until_registered(&shop, 6).await;
    let kept = agrees(&shop).await;
    assert_eq!(
        kept.iter().map(|one| (one.shift, one.number)).collect::<Vec<_>>(),
        [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]
    );
    assert!(kept.iter().all(|one| one.total == Tiyn(610_000)));
    let shifts = kassa(&shop).shifts();
    assert!(shifts.len() == 1 && shifts[0].closed.is_some() && shifts[0].receipts == 5, "{shifts:?}");
    // The guests have gone: no paper but the report.
    let paper = until_printed(&shop, receipts, 2).await;
    assert!(paper.contains("С ГАШЕНИЕМ"), "{paper}");
    shop.pass(5 * MINUTE, Duration::from_secs(5)).await;
    assert_eq!(shop.papers("receipt").len(), early + 6);
    assert!(shop.poster().orders().iter().all(|order| order.print_fiscal == 1 && order.fiscal_prints == 0));
    assert_eq!(questions(&shop).await, Vec::<String>::new());
    let page = fiscal(&shop).await;
    assert_eq!((&page["waiting"], &page["hours_left"]), (&json!(0), &Value::Null));
    // One of them comes back for the receipt.
    let said = shop.post(&format!("/api/v1/fiscal/{}/print", documents(&shop).await[1]["id"]), &json!({})).await;
    assert_eq!(said.status, 200, "{}", said.text);
    let paper = until_printed(&shop, receipts, 3).await;
    for words in ["ФИСКАЛЬНЫЙ ЧЕК", &kept[1].sign, "Оплачено: 21.11.2026 13:"] {
        assert!(paper.contains(words), "{words} in {paper}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_window_of_72_hours() {
    let shop = Counter::open_with_register().await;
    shop.clock.tell_trust(Trust::Synced);
    kassa(&shop).faults().set_down(true);
    sell(&shop, "cash").await;
    sell(&shop, "kaspi_terminal").await;
    until_printed(&shop, notices, 2).await;
    shop.pass(73 * HOUR, 5 * MINUTE).await;
    kassa(&shop).faults().set_down(false);
    shop.until_asked("fiscal_window").await;
    shop.pass(HOUR, 30 * Duration::from_secs(1)).await;
    assert_eq!(kassa(&shop).receipts().len(), 0, "nothing goes out blindly");
    assert_eq!(fiscal(&shop).await["hours_left"], 0);
    shop.settle("fiscal_window").await;
    until_registered(&shop, 2).await;
    agrees(&shop).await;
    shop.until("nobody is asked any more", async || questions(&shop).await.is_empty()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f21_paper_of_a_receipt_again_keeps_its_number() {
    let shop = Counter::open_with_register().await;
    let (order, _) = sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    let first = until_printed(&shop, receipts, 1).await;
    let sign = agrees(&shop).await.remove(0).sign;
    assert!(first.contains(&sign) && !first.contains("КӨШІРМЕ"), "{first}");
    let path = format!("/api/v1/fiscal/{}/print", documents(&shop).await[0]["id"]);
    assert_eq!(shop.post(&path, &json!({})).await.status, 200);
    let again = until_printed(&shop, receipts, 2).await;
    assert!(again.contains(&sign) && again != first, "it says that it is a repeat: {again}");
    shop.pass(HOUR, Duration::from_secs(10)).await;
    assert_eq!(agrees(&shop).await.len(), 1);
    assert_eq!(shop.in_pos(order).print_fiscal, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_cash_and_kaspi_one_receipt_two_ways_with_change() {
    let shop = Counter::open_with_register().await;
    let order = shop.order();
    let kaspi = pay_part(&shop, order, "kaspi_terminal", 4000, &[]).await;
    shop.until_state(&kaspi, "waiting").await;
    assert!(shop.till().guest_pays_qr());
    shop.until_state(&kaspi, "paid").await;
    assert_eq!(documents(&shop).await.len(), 0, "the rest is not paid yet");
    let cash = pay_part(&shop, order, "cash", 2100, &[("tendered", json!(5000))]).await;
    until_registered(&shop, 1).await;
    until_printed(&shop, receipts, 1).await;
    shop.until_state(&cash, "paid").await;
    shop.until("the POS closed it", async || shop.in_pos(order).status == 2).await;
    let seen = shop.in_pos(order);
    assert_eq!((seen.closes, seen.payed_cash.0, seen.payed_card.0), (1, 210_000, 400_000), "{seen:?}");
    let kept = agrees(&shop).await;
    let ways: Vec<(PayKind, i64)> = kept[0].payments.iter().map(|one| (one.kind, one.sum.0)).collect();
    assert_eq!(ways.len(), 2, "{ways:?}");
    assert!(ways.contains(&(PayKind::Mobile, 400_000)) && ways.contains(&(PayKind::Cash, 500_000)), "{ways:?}");
    assert_eq!((kept[0].total, kept[0].change), (Tiyn(610_000), Tiyn(290_000)));
    // VAT of 16 % inside 6 100: 841,38.
    assert_eq!(kept[0].vat, Tiyn(84_138));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_refund_of_a_part_refers_to_the_receipt_and_two_refunds_return_the_whole() {
    let shop = Counter::open_with_register().await;
    let (order, id) = sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    give_back(&shop, &id, 2500).await;
    give_back(&shop, &id, 3600).await;
    until_registered(&shop, 3).await;
    let kept = agrees(&shop).await;
    let told: Vec<(Side, i64, Option<&String>)> =
        kept.iter().map(|one| (one.side, one.total.0, one.basis.as_ref())).collect();
    let sale = Some(&kept[0].sign);
    assert_eq!(told, [(Side::Sale, 610_000, None), (Side::Return, 250_000, sale), (Side::Return, 360_000, sale)]);
    // Each return rounds the tax inside its own lines: a tiyn is all that may be between.
    assert!((kept[1].vat.0 + kept[2].vat.0 - kept[0].vat.0).abs() <= 1, "{kept:?}");
    let paper = until_printed(&shop, receipts, 3).await;
    assert!(paper.contains(&kept[2].sign) && paper.contains("ВОЗВРАТ"), "{paper}");
    shop.settle("pos_return").await;
    assert_eq!(shop.in_pos(order).closes, 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_what_others_issue_is_never_registered_here_and_our_share_is() {
    let shop = open(&[
        ("external = [\"kaspi_invoice\"]", "external = [\"kaspi_terminal\"]"),
        ("issued_by = \"AiPay\"", "issued_by = \"Kaspi\""),
    ])
    .await;
    sell(&shop, "kaspi_terminal").await;
    shop.until_papers("receipt", 1).await;
    assert!(!shop.papers("receipt")[0].contains("ФБ/ФП"), "{:?}", shop.papers("receipt"));
    let order = shop.order();
    let kaspi = pay_part(&shop, order, "kaspi_terminal", 4000, &[]).await;
    shop.until_state(&kaspi, "waiting").await;
    assert!(shop.till().guest_pays_qr());
    shop.until_state(&kaspi, "paid").await;
    pay_part(&shop, order, "cash", 2100, &[]).await;
    until_registered(&shop, 1).await;
    shop.until("the POS closed it", async || shop.in_pos(order).status == 2).await;
    shop.pass(HOUR, Duration::from_secs(10)).await;
    let kept = agrees(&shop).await;
    assert_eq!(kept.iter().map(|one| one.total.0).collect::<Vec<_>>(), [210_000], "the share in cash only");
    assert_eq!(questions(&shop).await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_refused_document_asks_a_person_and_goes_out_anew_after_the_cure() {
    // The register knows no such rate: code 9.
    let mut shop = open(&[("vat = \"16\"", "vat = \"7\"")]).await;
    sell(&shop, "cash").await;
    shop.until_asked("fiscal_refused").await;
    until_printed(&shop, notices, 1).await;
    let refused = documents(&shop).await.remove(0);
    assert_eq!((&refused["state"], &refused["may_retry"]), (&json!("refused"), &json!(true)));
    shop.pass(HOUR, Duration::from_secs(10)).await;
    assert_eq!(kassa(&shop).violations().len(), 1, "what is refused is not sent again");
    shop.stop().await;
    shop.start().await;
    assert_eq!(questions(&shop).await, ["fiscal_refused"]);
    let said = shop.post(&format!("/api/v1/fiscal/{}/retry", refused["id"]), &json!({})).await;
    assert_eq!(said.status, 200, "{}", said.text);
    until_registered(&shop, 1).await;
    let kept = kassa(&shop).receipts();
    assert_eq!((kept.len(), kept[0].times_asked, kept[0].vat), (1, 1, Tiyn(84_138)));
    assert_eq!(kassa(&shop).violations().len(), 1);
    assert_eq!(questions(&shop).await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_shift_of_more_than_a_day_is_closed_before_the_next_sale() {
    let shop = open(&[("vat = \"16\"", "vat = \"16\"\nauto_z = false")]).await;
    sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    until_printed(&shop, receipts, 1).await;
    shop.pass(25 * HOUR, 5 * MINUTE).await;
    assert!(kassa(&shop).shifts()[0].closed.is_none());
    sell(&shop, "kaspi_terminal").await;
    until_registered(&shop, 3).await;
    let kept = agrees(&shop).await;
    assert_eq!(kept.iter().map(|one| one.shift).collect::<Vec<_>>(), [1, 2]);
    assert!(kassa(&shop).shifts()[0].closed.is_some());
    until_printed(&shop, receipts, 3).await;
    assert_eq!(questions(&shop).await, Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_the_pos_hears_of_a_receipt_once_and_never_of_an_order_that_is_gone() {
    let shop = Counter::open_with_register().await;
    let (order, _) = sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    shop.until("the POS knows", async || shop.in_pos(order).print_fiscal == 1).await;
    assert_eq!(shop.in_pos(order).fiscal_prints, 0, "its own register prints nothing");
    let gone = shop.order();
    let id = shop.pay(gone, "kaspi_terminal").await;
    shop.until_state(&id, "waiting").await;
    assert!(shop.poster().remove(gone));
    assert!(shop.till().guest_pays_qr());
    shop.until_state(&id, "paid").await;
    shop.until_asked("removed").await;
    shop.pass(MINUTE, Duration::from_millis(200)).await;
    shop.pass(10 * MINUTE, Duration::from_secs(2)).await;
    assert_eq!(shop.in_pos(gone).print_fiscal, 0);
    assert_eq!(shop.in_pos(order).print_fiscal, 1);
    assert_eq!(shop.poster().violations(), Vec::<String>::new());
    agrees(&shop).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_reports_and_cash_by_hand_print_their_papers() {
    let shop = Counter::open_with_register().await;
    sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    until_printed(&shop, receipts, 1).await;
    let cash = |is_in: bool| json!({ "in": is_in, "amount": 5000, "by": "Мария", "because": "размен" });
    for (count, path, body, words) in [
        (2, "cash", cash(true), "5 000"),
        (3, "cash", cash(false), "5 000"),
        (4, "x", json!({}), "БЕЗ ГАШЕНИЯ"),
        (5, "z", json!({ "by": "Мария" }), "С ГАШЕНИЕМ"),
    ] {
        let said = shop.post(&format!("/api/v1/fiscal/{path}"), &body).await;
        assert_eq!(said.status, 201, "{}", said.text);
        let paper = until_printed(&shop, receipts, count).await;
        assert!(paper.contains(words), "{words} in {paper}");
    }
    let moves = kassa(&shop).moves();
    assert_eq!(moves.iter().map(|one| (one.is_in, one.sum.0)).collect::<Vec<_>>(), [(true, 500_000), (false, 500_000)]);
    assert!(kassa(&shop).shifts()[0].closed.is_some());
    // No shift, nothing to report about.
    let said = shop.post("/api/v1/fiscal/z", &json!({})).await;
    assert_eq!(said.status, 201, "{}", said.text);
    shop.until("it is settled", async || documents(&shop).await.last().unwrap()["state"] == "settled").await;
    assert_eq!((receipts(&shop).len(), kassa(&shop).shifts().len()), (5, 1));
    assert_eq!(kassa(&shop).violations(), Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_closed_but_not_fiscal_is_a_question_until_it_is_solved_even_after_a_power_cut() {
    let mut shop = Counter::open_with_register().await;
    kassa(&shop).set_blocked(true);
    let (order, _) = sell(&shop, "cash").await;
    until_printed(&shop, notices, 1).await;
    shop.pass(11 * MINUTE, Duration::from_secs(5)).await;
    shop.until_asked("fiscal_waiting").await;
    assert_eq!(shop.in_pos(order).status, 2);
    shop.power_cut().await;
    assert_eq!(questions(&shop).await, ["fiscal_waiting"]);
    kassa(&shop).set_blocked(false);
    until_registered(&shop, 1).await;
    agrees(&shop).await;
    shop.until("nobody is asked any more", async || questions(&shop).await.is_empty()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_register_that_left_the_configuration_leaves_its_documents_to_a_person() {
    let mut shop = Counter::open_with_register().await;
    kassa(&shop).faults().set_down(true);
    sell(&shop, "cash").await;
    until_printed(&shop, notices, 1).await;
    shop.stop().await;
    let renamed = config(&shop, &[("name = \"kassa\"", "name = \"kassa-2\"")]);
    shop.start_with(&renamed).await;
    kassa(&shop).faults().set_down(false);
    shop.until_asked("fiscal_uncertain").await;
    sell(&shop, "cash").await;
    until_registered(&shop, 1).await;
    assert_eq!(kassa(&shop).receipts().len(), 1, "the old one is nobody's to send");
    shop.settle("fiscal_uncertain").await;
    let states: Vec<Value> = documents(&shop).await.into_iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["settled", "registered"]);
    shop.close().await;
}
