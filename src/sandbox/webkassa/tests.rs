//! The sandbox Webkassa over real sockets: every rule of fiscal-kz §1.13, time moved by hand, papers letter by letter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use super::{Webkassa, WebkassaOptions};
use crate::domain::fiscal::{PayKind, Payment, Side};
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::{Spawner, Stop, StopHand};
use crate::sandbox::faults::Fault;
use crate::sandbox::{World, WorldOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-21 08:00:00 UTC, one in the afternoon at the counter.
const NOON: Wall = Wall(1_795_248_000_000);
const CASHBOX: &str = "SWK00010001";
const HOUR: Duration = Duration::from_secs(3600);

const CHECK: &str = "/api/v4/check";
const MONEY: &str = "/api/v4/MoneyOperation";
const X: &str = "/api/v4/XReport";
const Z: &str = "/api/v4/ZReport";
const PRINT: &str = "/api/v4/Ticket/PrintFormat";
const HISTORY: &str = "/api/v4/Check/History";
const BY_NUMBER: &str = "/api/v4/Check/HistoryByNumber";
const BY_KEY: &str = "/api-history/v4/Ticket/GetTicketByExternalCheckNumber";
const SHIFTS: &str = "/api/v4/Cashbox/ShiftHistory";
const Z_HISTORY: &str = "/api/v4/ZReport/History";
const Z_BY_SHIFT: &str = "/api/v4/ZReport/ByShiftNumber";
const CASHBOXES: &str = "/api/v4/Cashboxes";
const CLIENT: &str = "/api-portal/v4/cashbox/client-info";
const STATE: &str = "/api-portal/cashbox/state";

struct Shop {
    world: World,
    clock: Clock,
    http: reqwest::Client,
    token: String,
    _hand: StopHand,
}

async fn shop(change: impl FnOnce(&mut WebkassaOptions)) -> Shop {
    // A second test in the same process finds the provider installed: that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = WorldOptions::default();
    change(&mut options.webkassa);
    let clock = Clock::manual(NOON);
    let (hand, stop) = Stop::pair();
    let spawner = Spawner::new(|task| drop(tokio::spawn(task)));
    let world = World::start(options, clock.clone(), Ids::seeded(7), &spawner, stop).await.unwrap();
    // Each request on its own connection, so that no request meets a line that an earlier fault broke.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut shop = Shop { world, clock, http, token: String::new(), _hand: hand };
    shop.log_in().await;
    shop
}

async fn plain() -> Shop {
    shop(|_| {}).await
}

impl Shop {
    fn webkassa(&self) -> &Arc<Webkassa> {
        self.world.webkassa()
    }

    async fn log_in(&mut self) {
        let told = self.call("/api/v4/Authorize", json!({"Login": "sandbox", "Password": "sandbox"})).await;
        self.token = told["Data"]["Token"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    }

    fn request(&self, path: &str, mut body: Value) -> reqwest::RequestBuilder {
        let members = body.as_object_mut().unwrap();
        members.entry("Token").or_insert(self.token.clone().into());
        members.entry("CashboxUniqueNumber").or_insert(CASHBOX.into());
        let url = format!("{}{path}", self.world.webkassa_base());
        self.http.post(url).header("x-api-key", "sandbox").json(&body)
    }

    async fn ask(&self, path: &str, body: Value) -> reqwest::Result<Value> {
        self.request(path, body).send().await?.json().await
    }

    async fn call(&self, path: &str, body: Value) -> Value {
        self.ask(path, body).await.unwrap()
    }

    async fn code(&self, path: &str, body: Value) -> i64 {
        let told = self.call(path, body).await;
        told["Errors"][0]["Code"].as_i64().unwrap_or_else(|| panic!("no error: {told}"))
    }

    /// What a call is refused with: its text.
    async fn refusal(&self, path: &str, body: Value) -> String {
        let told = self.call(path, body).await;
        assert_eq!(told["Errors"][0]["Code"], 9, "{told}");
        told["Errors"][0]["Text"].as_str().unwrap().to_owned()
    }

    async fn done(&self, path: &str, body: Value) -> Value {
        let told = self.call(path, body).await;
        assert!(told.get("Errors").is_none(), "{told}");
        told["Data"].clone()
    }

    async fn sell(&self, key: &str, tenge: i64, kind: i64) -> Value {
        self.done(CHECK, sale(key, tenge, kind)).await
    }

    fn violations(&self) -> Vec<String> {
        self.webkassa().violations()
    }
}

/// A sale of one dish without VAT.
fn sale(key: &str, tenge: i64, kind: i64) -> Value {
    json!({
        "OperationType": 2, "RoundType": 0, "ExternalCheckNumber": key, "ExternalOrderNumber": "A-17",
        "Positions": [{
            "Count": 1, "Price": tenge, "TaxType": 0, "TaxPercent": 0, "Tax": 0, "PositionName": "Лағман", "UnitCode": 796,
        }],
        "Payments": [{"Sum": tenge, "PaymentType": kind}],
    })
}

/// The return of a part of a sale, told by its answer.
fn refund(key: &str, tenge: i64, kind: i64, sold: &Value) -> Value {
    let mut body = sale(key, tenge, kind);
    body["OperationType"] = json!(3);
    body["ReturnBasisDetails"] = json!({
        "CheckNumber": sold["CheckNumber"], "DateTime": sold["DateTime"],
        "RegistrationNumber": sold["Cashbox"]["RegistrationNumber"], "Total": sold["Total"], "IsOffline": sold["OfflineMode"],
    });
    body
}

fn text_of(lines: &Value) -> String {
    let lines = lines.as_array().unwrap();
    let shown = |line: &Value| {
        let value = line["Value"].as_str().unwrap();
        if line["Type"] == 2 { format!("[QR {value}]") } else { value.to_owned() }
    };
    lines.iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_key_a_login_and_a_fresh_token_are_demanded() {
    let mut shop = plain().await;
    let url = format!("{}{CASHBOXES}", shop.world.webkassa_base());
    let keyless = shop.http.post(&url).json(&json!({"Token": shop.token})).send().await.unwrap();
    assert_eq!(
        (keyless.status().as_u16(), keyless.json::<Value>().await.unwrap()["Errors"][0]["Code"].clone()),
        (200, json!(3))
    );
    assert_eq!(shop.code("/api/v4/Authorize", json!({"Login": "sandbox", "Password": "wrong"})).await, 1);
    assert_eq!(shop.violations().len(), 2, "{:?}", shop.violations());
    assert_eq!(shop.token.len(), 32);
    assert_eq!(shop.code(CASHBOXES, json!({"Token": ""})).await, 2);
    assert_eq!(shop.code(CHECK, json!({"Token": "0".repeat(32)})).await, 2);
    shop.clock.advance(24 * HOUR - Duration::from_secs(1));
    shop.done(CASHBOXES, json!({})).await;
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.code(CASHBOXES, json!({})).await, 2, "too old");
    shop.log_in().await;
    shop.webkassa().expire_tokens();
    assert_eq!(shop.code(CHECK, sale("k", 500, 0)).await, 2, "in the middle of a sale");
    shop.log_in().await;
    assert_eq!(shop.sell("k", 500, 0).await["CheckOrderNumber"], 1);
    assert_eq!(shop.violations().len(), 2, "a stale token is nobody's fault");
}

#[tokio::test]
async fn the_way_in_is_strict_and_its_doubts_are_options() {
    let shop = shop(|options| (options.stale_token_code, options.answers_401_without_key) = (3, true)).await;
    let base = shop.world.webkassa_base();
    let send = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(send(shop.http.post(format!("{base}{CHECK}")).json(&json!({}))).await, 401);
    let keyed = |path: &str| shop.http.post(format!("{base}{path}")).header("x-api-key", "sandbox");
    assert_eq!(send(shop.http.get(format!("{base}{CHECK}")).header("x-api-key", "sandbox")).await, 405);
    assert_eq!(send(keyed(CHECK).body("{}")).await, 415);
    assert_eq!(send(keyed(CHECK).header("content-type", "application/json").body("[1]")).await, 400);
    assert_eq!(send(keyed("/api/check").json(&json!({}))).await, 404, "the legacy path");
    assert_eq!(shop.violations().len(), 5);
    assert_eq!(shop.code(CASHBOXES, json!({"Token": "x"})).await, 3);
    assert_eq!(shop.code(CHECK, json!({"CashboxUniqueNumber": "SWK99999999"})).await, 6);
}

#[tokio::test]
async fn a_sale_gets_its_sign_its_numbers_and_its_links() {
    let shop = plain().await;
    shop.clock.advance(Duration::from_secs(18));
    let mut body = sale("key-1", 6_270, 4);
    body["Positions"][0]["TaxType"] = json!(100);
    body["Positions"][0]["TaxPercent"] = json!(16);
    body["Positions"][0]["Tax"] = json!(864.83);
    let told = shop.done(CHECK, body).await;
    let sign = told["CheckNumber"].as_str().unwrap();
    assert!(sign.len() == 13 && sign.bytes().all(|byte| byte.is_ascii_digit()), "{sign}");
    assert_eq!((&told["CheckOrderNumber"], &told["ShiftNumber"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&told["DateTime"], &told["DateTimeUTC"]),
        (&json!("21.11.2026 13:00:18"), &json!("21.11.2026 13:00:18 +05:00"))
    );
    assert_eq!(
        (&told["OfflineMode"], &told["CashboxOfflineMode"], &told["Total"]),
        (&json!(false), &json!(false), &json!(6270))
    );
    assert_eq!(told["Cashbox"]["RegistrationNumber"], "010000000017");
    assert_eq!(told["Cashbox"]["Ofd"]["Host"], "consumer.ofd.example");
    assert_eq!(told["Organization"]["TaxPayerIN"], "000000000017");
    let url = format!("http://consumer.ofd.example?i={sign}&f=010000000017&s=6270.00&t=20261121T130018");
    assert_eq!(told["TicketUrl"], url);
    assert!(told["TicketPrintUrl"].as_str().unwrap().ends_with("ticket?chb=SWK00010001&sh=1&extnum=key-1"));
    let second = shop.sell("key-2", 500, 1).await;
    assert_eq!(second["CheckOrderNumber"], 2);
    assert_ne!(second["CheckNumber"], told["CheckNumber"]);
    let seen = &shop.webkassa().receipts()[0];
    assert_eq!((seen.sign.as_str(), seen.key.as_str(), seen.side), (sign, "key-1", Side::Sale));
    assert_eq!((seen.total, seen.vat, seen.times_asked), (Tiyn(627_000), Tiyn(86_483), 1));
    assert_eq!(seen.payments, [Payment { kind: PayKind::Mobile, sum: Tiyn(627_000) }]);
    assert_eq!((seen.order_number.as_str(), seen.is_autonomous), ("A-17", false));
    assert!(shop.violations().is_empty(), "{:?}", shop.violations());
}

#[tokio::test]
async fn keys_of_any_letter_case_are_read_and_unknown_ones_ignored() {
    let shop = plain().await;
    let body = json!({
        "operationtype": 2, "ROUNDTYPE": 0, "externalCheckNumber": "k", "isStorno": false, "Whatever": {"a": 1},
        "positions": [{"COUNT": 2, "price": 1000, "taxType": 0, "positionName": "Чай", "unitcode": 796, "MarkupDeleted": false}],
        "payments": [{"SUM": 2000, "paymenttype": 1}], "CHANGE": null,
    });
    assert_eq!(shop.done("/API/v4/Check", body).await["Total"], 2000);
}

#[tokio::test]
async fn a_body_that_does_not_agree_is_refused_and_makes_nothing() {
    let shop = plain().await;
    let mut twice = sale("k", 500, 0);
    twice["Payments"] = json!([{"Sum": 200, "PaymentType": 0}, {"Sum": 300, "PaymentType": 0}]);
    assert!(shop.refusal(CHECK, twice).await.contains("повторно"));
    let mut less = sale("k", 500, 0);
    less["Payments"][0]["Sum"] = json!(499.99);
    assert!(shop.refusal(CHECK, less).await.contains("499.99"));
    assert_eq!(shop.code(CHECK, json!({"OperationType": 0, "ExternalCheckNumber": "k"})).await, 4, "purchases");
    assert_eq!(shop.webkassa().shifts().len(), 0, "and no shift was opened");
    assert_eq!(shop.violations().len(), 3);
    let mut keyless = sale("k", 500, 0);
    keyless.as_object_mut().unwrap().remove("ExternalCheckNumber");
    shop.done(CHECK, keyless).await;
    assert!(shop.violations()[3].contains("without ExternalCheckNumber"));
}

#[tokio::test]
async fn a_key_makes_one_receipt_whatever_comes_after() {
    let shop = plain().await;
    let first = shop.sell("k", 500, 0).await;
    let again = shop.call(CHECK, sale("k", 500, 0)).await;
    assert_eq!(again["Errors"][0]["Code"], 14);
    assert!(again["Errors"][0]["Text"].as_str().unwrap().contains("внешним номером k"));
    assert_eq!(again["Data"], first, "all of it, the lines for paper too");
    assert!(shop.violations().is_empty(), "the same body once more is what a client must send");
    let other = shop.call(CHECK, sale("k", 700, 0)).await;
    assert_eq!((&other["Errors"][0]["Code"], &other["Data"]["Total"]), (&json!(14), &json!(500)), "the first one");
    assert!(shop.violations()[0].contains("other body under the same key"), "{:?}", shop.violations());
    shop.webkassa().set_answers_14_with_data(false);
    assert!(shop.call(CHECK, sale("k", 500, 0)).await.get("Data").is_none());
    assert_eq!((shop.webkassa().receipts().len(), shop.webkassa().receipts()[0].times_asked), (1, 4));
    assert_eq!(shop.webkassa().drawer(), Tiyn(50_000));
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_its_key() {
    let shop = plain().await;
    for fault in [Fault::LoseReply, Fault::Garbage, Fault::Truncated] {
        let key = fault.word();
        shop.webkassa().faults().once("check", fault);
        assert!(shop.ask(CHECK, sale(key, 500, 1)).await.is_err());
        assert_eq!(shop.call(CHECK, sale(key, 500, 1)).await["Errors"][0]["Code"], 14, "{key}");
    }
    shop.webkassa().faults().once("check", Fault::DropBefore);
    assert!(shop.ask(CHECK, sale("dropped", 500, 1)).await.is_err());
    shop.sell("dropped", 500, 1).await;
    assert_eq!(shop.webkassa().receipts().len(), 4);
    assert!(shop.violations().is_empty(), "{:?}", shop.violations());
}

#[tokio::test]
async fn every_call_has_its_name_for_faults() {
    let shop = plain().await;
    let calls = [
        ("authorize", "/api/v4/Authorize"),
        ("check", CHECK),
        ("money", MONEY),
        ("x", X),
        ("z", Z),
        ("print_format", PRINT),
        ("history", HISTORY),
        ("history_by_number", BY_NUMBER),
        ("by_external", BY_KEY),
        ("shift_history", SHIFTS),
        ("z_by_shift", Z_BY_SHIFT),
        ("z_history", Z_HISTORY),
        ("cashboxes", CASHBOXES),
        ("client_info", CLIENT),
        ("state", STATE),
        ("units", "/api/v4/references/RefUnits"),
    ];
    for (word, path) in calls {
        shop.webkassa().faults().once(word, Fault::Status(503));
        let status = shop.request(path, json!({})).send().await.unwrap().status();
        assert_eq!(status, 503, "{word}");
    }
    assert_eq!(calls.len(), super::CALLS.len());
}

#[tokio::test]
async fn two_calls_at_once_are_out_of_sequence() {
    let shop = plain().await;
    let turn = shop.webkassa().enter().await;
    assert!(turn.is_some());
    assert_eq!(shop.code(X, json!({})).await, 9, "reports wait their turn too");
    assert_eq!((shop.violations().len(), shop.webkassa().reports().len()), (1, 0));
    drop(turn);
    shop.sell("a", 500, 0).await;
    shop.webkassa().faults().once("check", Fault::Slow(Duration::from_secs(20)));
    let slow = shop.call(CHECK, sale("slow", 500, 0));
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("answered at once"),
        () = shop.webkassa().until(|webkassa| webkassa.receipts().iter().any(|one| one.key == "slow")) => {}
    }
    let before = shop.violations().len();
    let text = shop.refusal(CHECK, sale("b", 500, 0)).await;
    assert!(text.contains("последовательно"), "{text}");
    assert_eq!(shop.violations().len(), before + 1);
    let (slow, ()) = tokio::join!(slow, async {
        for _ in 0..100 {
            shop.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(slow["Data"]["Total"], 500);
    shop.sell("b", 500, 0).await;
}

#[tokio::test]
async fn a_caller_whose_answer_never_comes_may_ask_again() {
    let shop = plain().await;
    for (key, fault) in [("stalled", Fault::Stall), ("late", Fault::Slow(HOUR))] {
        shop.webkassa().faults().once("check", fault);
        tokio::select! {
            _ = shop.ask(CHECK, sale(key, 500, 0)) => panic!("answered"),
            () = shop.webkassa().until(|webkassa| webkassa.receipts().iter().any(|one| one.key == key)) => {}
        }
        // The first call was given up: its line is closed.
        assert_eq!(shop.code(CHECK, sale(key, 500, 0)).await, 14, "{key}");
    }
    assert!(shop.violations().is_empty(), "{:?}", shop.violations());
    shop.webkassa().faults().once("check", Fault::Stall);
    let stalled = shop.ask(CHECK, sale("held", 500, 0));
    tokio::pin!(stalled);
    tokio::select! {
        _ = &mut stalled => panic!("answered"),
        () = shop.webkassa().until(|webkassa| webkassa.receipts().len() == 3) => {}
    }
    assert_eq!(shop.code(CHECK, sale("held", 500, 0)).await, 14, "a stalled call does not count as running");
    assert!(shop.violations().is_empty(), "{:?}", shop.violations());
}

#[tokio::test]
async fn a_return_needs_the_five_values_of_its_receipt() {
    let shop = plain().await;
    let sold = shop.sell("sale", 5_000, 1).await;
    let right = refund("back", 2_000, 1, &sold);
    let mut bare = right.clone();
    bare.as_object_mut().unwrap().remove("ReturnBasisDetails");
    assert!(shop.refusal(CHECK, bare).await.contains("основание"));
    for field in ["CheckNumber", "DateTime", "RegistrationNumber", "Total", "IsOffline"] {
        let mut body = right.clone();
        body["ReturnBasisDetails"].as_object_mut().unwrap().remove(field);
        let text = shop.refusal(CHECK, body).await;
        assert!(text.contains("основание") && text.contains(field), "{text}");
    }
    let wrong = [
        ("CheckNumber", json!("1000000000000")),
        ("DateTime", json!("21.11.2026 13:00")),
        ("RegistrationNumber", json!("010000000018")),
        ("Total", json!(2000)),
        ("IsOffline", json!(true)),
    ];
    for (field, value) in wrong {
        let mut body = right.clone();
        body["ReturnBasisDetails"][field] = value;
        shop.refusal(CHECK, body).await;
    }
    let back = shop.done(CHECK, right.clone()).await;
    assert_eq!(back["CheckOrderNumber"], 2);
    assert_eq!(shop.webkassa().receipts()[1].basis.as_deref(), sold["CheckNumber"].as_str());
    assert_eq!(shop.code(CHECK, right).await, 14, "the key holds");
    let text = shop.refusal(CHECK, refund("more", 3_001, 1, &sold)).await;
    assert!(text.contains("больше суммы"), "{text}");
    shop.done(CHECK, refund("rest", 3_000, 1, &sold)).await;
    assert!(shop.refusal(CHECK, refund("a tenge", 1, 1, &sold)).await.contains("больше суммы"));
    assert!(shop.refusal(CHECK, refund("of a return", 1, 1, &back)).await.contains("не найден"));
}

#[tokio::test]
async fn a_return_of_a_foreign_receipt_is_an_option() {
    let shop = shop(|options| options.accepts_unknown_basis = true).await;
    let foreign = json!({
        "CheckNumber": "1000000000000", "DateTime": "01.02.2026 10:00:00", "Total": 700, "OfflineMode": false,
        "Cashbox": {"RegistrationNumber": "010000000099"},
    });
    shop.done(CHECK, refund("back", 700, 1, &foreign)).await;
}

#[tokio::test]
async fn a_shift_opens_with_the_first_document_and_lasts_a_day() {
    let mut shop = plain().await;
    assert_eq!((shop.code(X, json!({})).await, shop.code(Z, json!({})).await), (13, 13), "there never was one");
    let sold = shop.sell("1", 500, 0).await;
    assert_eq!(shop.webkassa().shifts()[0].opened, NOON);
    shop.clock.advance(24 * HOUR);
    shop.log_in().await;
    shop.sell("2", 500, 0).await;
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.code(CHECK, sale("3", 500, 0)).await, 11);
    assert_eq!(shop.code(CHECK, refund("4", 500, 0, &sold)).await, 11);
    assert_eq!(shop.code(MONEY, json!({"OperationType": 0, "Sum": 1, "ExternalCheckNumber": "5"})).await, 11);
    assert_eq!(shop.code(CHECK, sale("1", 500, 0)).await, 14, "a known key is known all the same");
    shop.done(X, json!({})).await;
    let z = shop.done(Z, json!({})).await;
    assert_eq!((&z["ShiftNumber"], &z["DocumentCount"], &z["SumInCashbox"]), (&json!(1), &json!(2), &json!(1000)));
    assert_eq!(shop.code(Z, json!({})).await, 12);
    assert_eq!(shop.code(X, json!({})).await, 13);
    let next = shop.sell("3", 700, 0).await;
    assert_eq!((&next["ShiftNumber"], &next["CheckOrderNumber"]), (&json!(2), &json!(1)));
    assert_eq!(shop.webkassa().drawer(), Tiyn(170_000), "the drawer outlives the shift");
    let kinds: Vec<ReportKind> = shop.webkassa().reports().iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [ReportKind::X, ReportKind::Z]);
    assert!(shop.violations().is_empty(), "{:?}", shop.violations());
}

#[tokio::test]
async fn a_report_holds_its_relations() {
    let shop = plain().await;
    let mut first = sale("0", 300, 0);
    first["Payments"][0]["Sum"] = json!(1000);
    first["Change"] = json!(700);
    let sold = shop.done(CHECK, first).await;
    shop.done(Z, json!({})).await;
    // The second shift: a sale with everything, a return, cash in and out.
    let body = json!({
        "OperationType": 2, "RoundType": 0, "ExternalCheckNumber": "1",
        "Positions": [
            {"Count": 1, "Price": 500, "Discount": 71, "Markup": 129, "TaxType": 100, "TaxPercent": 12, "Tax": 59.79,
             "PositionName": "Лағман", "UnitCode": 796},
            {"Count": 10, "Price": 2000, "Discount": 1000, "TaxType": 100, "TaxPercent": 12, "Tax": 2035.71,
             "PositionName": "Шай", "UnitCode": 796, "SectionCode": 2},
        ],
        "TicketModifiers": [
            {"Sum": 958, "Text": "Скидка", "Type": 1, "TaxType": 100, "TaxPercent": 12, "Tax": 102.64},
            {"Sum": 485, "Text": "Наценка", "Type": 2, "TaxType": 100, "TaxPercent": 12, "Tax": 51.96},
        ],
        "Payments": [{"Sum": 18235, "PaymentType": 1}, {"Sum": 1000, "PaymentType": 0}], "Change": 150,
    });
    assert_eq!(shop.done(CHECK, body).await["Total"], 19_085);
    shop.done(CHECK, refund("back", 100, 0, &sold)).await;
    shop.done(MONEY, json!({"OperationType": 0, "Sum": 2000.5, "ExternalCheckNumber": "in"})).await;
    shop.done(MONEY, json!({"OperationType": 1, "Sum": 50, "ExternalCheckNumber": "out"})).await;
    for (path, is_z) in [(X, false), (Z, true)] {
        let told = shop.done(path, json!({})).await;
        let sell = json!({
            "PaymentsByTypesApiModel": [{"Sum": 1000, "Type": 0}, {"Sum": 18235, "Type": 1}], "Discount": 2029, "Markup": 614,
            "Taken": 19235, "Change": 150, "Count": 1, "TotalCount": 2, "VAT": 2044.82,
        });
        assert_eq!(told["Sell"], sell);
        assert_eq!((&told["ReturnSell"]["Taken"], &told["ReturnSell"]["Count"]), (&json!(100), &json!(1)));
        assert_eq!((&told["Buy"]["Count"], &told["ReturnBuy"]["Taken"]), (&json!(0), &json!(0)));
        assert_eq!(told["StartNonNullable"], json!({"Sell": 300, "Buy": 0, "ReturnSell": 0, "ReturnBuy": 0}));
        assert_eq!(told["EndNonNullable"], json!({"Sell": 19385, "Buy": 0, "ReturnSell": 100, "ReturnBuy": 0}));
        assert_eq!((&told["PutMoneySum"], &told["TakeMoneySum"]), (&json!(2000.5), &json!(50)));
        // 300 of the first shift, 850 of the sale, less the return, more and less what was moved.
        assert_eq!(told["SumInCashbox"], json!(3000.5));
        assert_eq!(
            told["Taxes"],
            json!([{"Type": 100, "OperationType": 2, "Turnover": 19085, "Amount": 2044.82, "Percent": 12}])
        );
        assert_eq!(
            (&told["DocumentCount"], &told["ShiftNumber"], told["CloseOn"].is_string()),
            (&json!(4), &json!(2), is_z)
        );
        assert_eq!((&told["CashboxRN"], &told["TaxPayerVAT"]), (&json!("010000000017"), &json!(true)));
        assert!(told["ControlSum"].is_i64() && told["Sections"].as_array().unwrap().len() == 3);
    }
    assert_eq!(shop.webkassa().drawer(), Tiyn(300_050));
}

#[tokio::test]
async fn the_drawer_gives_no_more_than_it_has() {
    let shop = plain().await;
    let out = |sum: Value, key: &str| json!({"OperationType": 1, "Sum": sum, "ExternalCheckNumber": key});
    assert_eq!(shop.code(MONEY, out(json!(1), "none")).await, 8);
    assert_eq!(shop.webkassa().shifts().len(), 0);
    let told = shop.done(MONEY, json!({"OperationType": 0, "Sum": 5000, "ExternalCheckNumber": "in"})).await;
    assert_eq!((&told["Sum"], &told["ShiftNumber"]), (&json!(5000), &json!(1)));
    assert!(told.get("CheckNumber").is_none() && told["Cashbox"]["UniqueNumber"] == CASHBOX);
    assert_eq!(shop.code(MONEY, json!({"OperationType": 0, "Sum": 5000, "ExternalCheckNumber": "in"})).await, 14);
    assert_eq!(shop.code(MONEY, out(json!(5000.01), "much")).await, 8);
    assert_eq!(shop.done(MONEY, out(json!(4999.99), "out")).await["Sum"], json!(0.01));
    for wrong in [json!(0), json!(-5), json!("5"), json!(null), json!(0.001)] {
        assert_eq!(shop.code(MONEY, out(wrong.clone(), "bad")).await, 9, "{wrong}");
    }
    let moves: Vec<(bool, u32)> = shop.webkassa().moves().iter().map(|one| (one.is_in, one.times_asked)).collect();
    assert_eq!(moves, [(true, 2), (false, 1)]);
}

#[tokio::test]
async fn a_cash_return_above_the_drawer_is_an_option() {
    for (refuses, code) in [(false, None), (true, Some(8))] {
        let shop = shop(|options| options.refuses_refund_above_drawer = refuses).await;
        let sold = shop.sell("sale", 500, 1).await;
        let told = shop.call(CHECK, refund("back", 500, 0, &sold)).await;
        assert_eq!(told["Errors"][0]["Code"].as_i64(), code, "{told}");
        assert_eq!(shop.webkassa().drawer(), Tiyn(if refuses { 0 } else { -50_000 }));
    }
}

#[tokio::test]
async fn without_its_operator_the_cashbox_signs_itself_for_three_days() {
    let mut shop = plain().await;
    shop.sell("online", 500, 0).await;
    shop.webkassa().set_autonomous(true);
    let told = shop.sell("away", 500, 0).await;
    assert_eq!((&told["OfflineMode"], &told["CashboxOfflineMode"]), (&json!(true), &json!(true)));
    assert_eq!(told["CheckNumber"].as_str().unwrap().len(), 9);
    assert!(text_of(&told["TicketPrintFormat"]).contains("Автономды режим/Автономный режим"));
    let known = shop.call(CHECK, sale("online", 500, 0)).await["Data"].clone();
    assert_eq!((&known["OfflineMode"], &known["CashboxOfflineMode"]), (&json!(false), &json!(true)));
    assert_eq!(shop.done(CASHBOXES, json!({})).await["List"][0]["IsOffline"], true);
    assert!(!shop.webkassa().receipts()[1].is_uploaded);
    for day in 1..=3 {
        shop.clock.advance(24 * HOUR);
        shop.log_in().await;
        shop.done(Z, json!({})).await;
        shop.sell(&format!("day {day}"), 500, 0).await;
    }
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.code(CHECK, sale("late", 500, 0)).await, 18);
    assert_eq!(shop.code(MONEY, json!({"OperationType": 0, "Sum": 1, "ExternalCheckNumber": "in"})).await, 18);
    shop.done(Z, json!({})).await;
    shop.webkassa().set_autonomous(false);
    assert!(shop.webkassa().receipts().iter().all(|one| one.is_uploaded));
    let back = shop.sell("late", 500, 0).await;
    assert_eq!((&back["OfflineMode"], &back["CashboxOfflineMode"]), (&json!(false), &json!(false)));
    let mut wrong = refund("r", 500, 0, &told);
    wrong["ReturnBasisDetails"]["IsOffline"] = json!(false);
    shop.refusal(CHECK, wrong).await;
    shop.done(CHECK, refund("r", 500, 0, &told)).await;
}

#[tokio::test]
async fn a_cashbox_that_cannot_be_autonomous_says_so() {
    let shop = shop(|options| (options.autonomous, options.allows_autonomous) = (true, false)).await;
    assert!(shop.webkassa().is_autonomous());
    assert_eq!(shop.code(CHECK, sale("k", 500, 0)).await, 1013);
}

#[tokio::test]
async fn bad_luck_of_the_service_itself() {
    let shop = plain().await;
    shop.webkassa().answer_505_once(&["one.example", "two.example"]);
    let told = shop.request(CHECK, sale("k", 500, 0)).send().await.unwrap();
    assert_eq!(told.status(), 200);
    assert_eq!(told.headers()["AlternativeDomainNames"], "one.example,two.example");
    assert_eq!(told.json::<Value>().await.unwrap()["Errors"][0]["Code"], 505);
    assert_eq!(shop.webkassa().receipts().len(), 0);
    shop.webkassa().answer_unknown_once(false);
    assert_eq!(shop.code(CHECK, sale("k", 500, 0)).await, -1);
    assert_eq!(shop.webkassa().receipts().len(), 0);
    shop.webkassa().answer_unknown_once(true);
    assert_eq!(shop.code(CHECK, sale("k", 500, 0)).await, -1);
    assert_eq!(shop.code(CHECK, sale("k", 500, 0)).await, 14, "it was made all the same");
    for (switch, code) in
        [(Webkassa::set_blocked as fn(&Webkassa, bool), 7), (|one: &Webkassa, on| one.set_licensed(!on), 10)]
    {
        switch(shop.webkassa(), true);
        assert_eq!(shop.code(CHECK, sale("next", 500, 0)).await, code);
        assert_eq!(shop.code(Z, json!({})).await, code);
        switch(shop.webkassa(), false);
    }
    shop.sell("next", 500, 0).await;
    assert!(shop.webkassa().close_shift() && !shop.webkassa().close_shift(), "somebody in the cabinet");
    assert_eq!(shop.code(Z, json!({})).await, 12);
}

#[tokio::test]
async fn receipts_are_found_by_key_sign_and_shift() {
    let shop = plain().await;
    for number in 1..=3 {
        shop.sell(&format!("k{number}"), 500 * number, 4).await;
    }
    shop.done(Z, json!({})).await;
    let last = shop.sell("k4", 700, 0).await;
    let page = shop.done(HISTORY, json!({"ShiftNumber": 1, "Skip": 1, "Take": 1})).await;
    assert_eq!((&page["Total"], &page["Skip"], page["Items"].as_array().unwrap().len()), (&json!(3), &json!(1), 1));
    let item = &page["Items"][0];
    assert_eq!(
        (&item["ExternalCheckNumber"], &item["OrderNumber"], &item["Total"]),
        (&json!("k2"), &json!(2), &json!(1000))
    );
    assert_eq!((&item["RegistratedOn"], &item["IsOffline"]), (&json!("21.11.2026 13:00:00"), &json!(false)));
    assert_eq!(item["Payments"], json!([{"Sum": 1000, "PaymentTypeName": "Мобильный платеж"}]));
    assert_eq!(item["Positions"][0]["PositionName"], "Лағман");
    assert_eq!(shop.code(HISTORY, json!({"ShiftNumber": 1, "Take": 51})).await, 9);
    assert_eq!(shop.code(HISTORY, json!({"ShiftNumber": 3})).await, 15);
    assert_eq!(shop.code(HISTORY, json!({})).await, 9, "the shift is needed");
    let by_number = json!({"ShiftNumber": 1, "Number": item["Number"]});
    let found = shop.done(BY_NUMBER, by_number).await;
    assert_eq!((&found["ExternalCheckNumber"], &found["Ofd"]["Code"]), (&json!("k2"), &json!(1)));
    assert_eq!(shop.code(BY_NUMBER, json!({"ShiftNumber": 2, "Number": item["Number"]})).await, 16);
    let by_key = |key: &str, shift: Value| json!({"ExternalCheckNumber": key, "ShiftNumber": shift});
    assert_eq!(shop.done(BY_KEY, by_key("k4", json!(2))).await["Number"], last["CheckNumber"]);
    assert_eq!(shop.code(BY_KEY, by_key("k4", json!(1))).await, 19, "another shift");
    assert_eq!(shop.code(BY_KEY, by_key("k5", json!(2))).await, 19);
    assert_eq!(shop.code(BY_KEY, by_key("k4", json!(7))).await, 15);
    assert_eq!(shop.code(BY_KEY, by_key("k4", json!(null))).await, 9);
    assert_eq!(shop.code(PRINT, json!({"ExternalCheckNumber": "k5"})).await, 19);
    let shifts = shop.done(SHIFTS, json!({"Skip": 0, "Take": 50})).await["Shifts"].clone();
    assert_eq!((&shifts[0]["ShiftNumber"], &shifts[1]["ShiftNumber"]), (&json!(2), &json!(1)), "newest first");
    assert!(shifts[0].get("CloseDate").is_none() && shifts[1]["CloseDate"] == "21.11.2026 13:00:00");
}

#[tokio::test]
async fn closed_shifts_and_the_cashbox_are_shown() {
    let shop = plain().await;
    shop.sell("k", 500, 0).await;
    assert_eq!(shop.code(Z_BY_SHIFT, json!({"ShiftNumber": 1})).await, 1014);
    assert_eq!(shop.code(Z_BY_SHIFT, json!({"ShiftNumber": 2})).await, 15);
    let z = shop.done(Z, json!({})).await;
    assert_eq!(shop.done(Z_BY_SHIFT, json!({"ShiftNumber": 1})).await, z);
    assert_eq!(shop.done(Z_HISTORY, json!({"Skip": 0, "Take": 10})).await["Items"], json!([z]));
    let cashbox = shop.done(CASHBOXES, json!({})).await["List"][0].clone();
    assert_eq!(
        (&cashbox["UniqueNumber"], &cashbox["Shift"], &cashbox["CurrentStatus"]),
        (&json!(CASHBOX), &json!(1), &json!(1))
    );
    assert_eq!(cashbox["RegistrationNumber"], "010000000017");
    let client = shop.done(CLIENT, json!({})).await;
    assert_eq!(
        (&client["CashboxStatus"], &client["License"]["LicenseExpirationDate"]),
        (&json!(1), &json!("21.11.2027 13:00:00"))
    );
    let state = shop.done(STATE, json!({})).await;
    assert_eq!((&state["OfdProtocolVersion"], &state["CurrentState"]["ShiftClosed"]), (&json!(203), &json!(true)));
    shop.webkassa().set_blocked(true);
    assert_eq!(shop.done(CLIENT, json!({})).await["CashboxStatus"], 2, "a blocked one still tells how it is");
    assert!(shop.done("/api/v4/references/RefUnits", json!({})).await.as_array().unwrap().len() >= 20);
}

/// The bill of the reference's own sample (§4.4).
fn sample() -> Value {
    let line = |name: &str, count: i64, price: i64, tax: Value| {
        json!({
            "Count": count, "Price": price, "TaxType": 100, "TaxPercent": 16, "Tax": tax, "PositionName": name, "UnitCode": 796,
        })
    };
    json!({
        "OperationType": 2, "RoundType": 0, "ExternalCheckNumber": "sample", "ExternalOrderNumber": "A-17",
        "Positions": [line("Лағман/Лагман", 2, 2400, json!(662.07)), line("Шай/Чай", 1, 900, json!(124.14))],
        "TicketModifiers": [{
            "Sum": 570, "Text": "Қызмет көрсету/Обслуживание 10%", "Type": 2, "TaxType": 100, "TaxPercent": 16, "Tax": 78.62,
        }],
        "Payments": [{"Sum": 4000, "PaymentType": 4}, {"Sum": 2500, "PaymentType": 0}], "Change": 230,
    })
}

const SALE_48: &str = "
              ЖШС/ТОО «Дастархан»
              БСН/БИН 000000000017
ҚҚС Сериясы/НДС Серия 10001             №0000017
------------------------------------------------
                    Касса 1
                 Ауысым/Смена 1
Чек/Чек №<sign>
Кассир/Кассир Айгерім
САТУ/ПРОДАЖА                                  №1
------------------------------------------------
Тапсырыс нөмірі/Номер заказа: A-17
  1. Лағман/Лагман
   2 дана/шт x 2 400,00
   Құны/Стоимость                       4 800,00
  2. Шай/Чай
   1 дана/шт x 900,00
   Құны/Стоимость                         900,00
Қызмет көрсету/Обслуживание 10%           570,00
------------------------------------------------
Мобильді төлем/Мобильный платеж:        4 000,00
Қолма-қол/Наличные:                     2 500,00
Қайтарым/Сдача:                           230,00
БАРЛЫҒЫ/ИТОГО:                          6 270,00
соның ішінде ҚҚС/в т.ч. НДС 16%:          864,83
------------------------------------------------
ФБ/ФП: <sign>
Уақыты/Время: 21.11.2026 13:00:00
Алматы қ., Абай даңғ., 1 үй
г. Алматы, пр. Абая, д. 1
ФДО: «Песочница» АҚ
ОФД: АО «Песочница»
Чекті тексеру үшін сайтқа кіріңіз/Для проверки
чека зайдите на сайт: consumer.ofd.example
------------------------------------------------
          ФИСКАЛДЫ ЧЕК/ФИСКАЛЬНЫЙ ЧЕК
[QR http://consumer.ofd.example?i=<sign>&f=010000000017&s=6270.00&t=20261121T130000]
                 КСН/ИНК: 7001
     МКК БКМ коды (КТН)/Код ККМ КГД (РНМ):
                  010000000017
              КЗН/ЗНМ: SWK00010001
                  WEBKASSA.KZ";

const REFUND_36: &str = "
        ЖШС/ТОО «Дастархан»
        БСН/БИН 000000000017
ҚҚС Сериясы/НДС Серия 10001 №0000017
------------------------------------
              Касса 1
           Ауысым/Смена 1
Чек/Чек №<sign>
Кассир/Кассир Айгерім
САТУДЫ ҚАЙТАРУ/ВОЗВРАТ ПРОДАЖИ    №2
------------------------------------
Тапсырыс нөмірі/Номер заказа: A-17
  1. Лағман уйгурский с бараниной и
   перцем
   0,5 кг/кг x 12 400,50
   Жеңілдік/Скидка           -200,25
   Үстеме/Наценка             +10,00
   Құны/Стоимость           6 010,00
------------------------------------
Мобильді төлем/Мобильный платеж:
6 010,00
БАРЛЫҒЫ/ИТОГО:              6 010,00
соның ішінде ҚҚС/в т.ч. НДС 16%:
828,97
------------------------------------
ФБ/ФП: <sign>
Уақыты/Время: 21.11.2026 13:00:00
Алматы қ., Абай даңғ., 1 үй
г. Алматы, пр. Абая, д. 1
ФДО: «Песочница» АҚ
ОФД: АО «Песочница»
Чекті тексеру үшін сайтқа
кіріңіз/Для проверки чека зайдите на
сайт: consumer.ofd.example
------------------------------------
    ФИСКАЛДЫ ЧЕК/ФИСКАЛЬНЫЙ ЧЕК
[QR http://consumer.ofd.example?i=<sign>&f=010000000017&s=6010.00&t=20261121T130000]
           КСН/ИНК: 7001
   МКК БКМ коды (КТН)/Код ККМ КГД
        (РНМ): 010000000017
        КЗН/ЗНМ: SWK00010001
            WEBKASSA.KZ";

#[tokio::test]
async fn a_sale_on_eighty_millimetres() {
    let shop = plain().await;
    let told = shop.done(CHECK, sample()).await;
    let lines = &told["TicketPrintFormat"];
    let text = text_of(lines);
    assert!(text.contains("4\u{a0}800,00"), "groups stand apart by U+00A0");
    let text = text.replace('\u{a0}', " ").replace(told["CheckNumber"].as_str().unwrap(), "<sign>");
    assert_eq!(format!("\n{text}"), SALE_48);
    let is_bold = |word: &str| {
        let line =
            lines.as_array().unwrap().iter().find(|line| line["Value"].as_str().unwrap().contains(word)).unwrap();
        line["Style"] == 1
    };
    assert!(is_bold("БАРЛЫҒЫ") && is_bold("ФИСКАЛДЫ") && !is_bold("Қолма-қол"));
    let orders: Vec<u64> = lines.as_array().unwrap().iter().map(|line| line["Order"].as_u64().unwrap()).collect();
    assert_eq!(orders, (1..=41).collect::<Vec<u64>>());
    let printed = shop.done(PRINT, json!({"ExternalCheckNumber": "sample"})).await;
    assert_eq!(&printed["Lines"], lines);
}

#[tokio::test]
async fn a_return_on_fifty_eight_millimetres() {
    let shop = plain().await;
    let sold = shop.done(CHECK, sample()).await;
    let mut body = refund("back", 6_010, 4, &sold);
    body["PaperKind"] = json!(3);
    body["Positions"] = json!([{
        "Count": 0.5, "Price": 12400.5, "Discount": 200.25, "Markup": 10, "TaxType": 100, "TaxPercent": 16, "Tax": 828.97,
        "PositionName": "Лағман уйгурский с бараниной и перцем", "UnitCode": 166,
    }]);
    let told = shop.done(CHECK, body).await;
    let text = text_of(&told["TicketPrintFormat"]);
    let text = text.replace('\u{a0}', " ").replace(told["CheckNumber"].as_str().unwrap(), "<sign>");
    assert_eq!(format!("\n{text}"), REFUND_36);
}

#[tokio::test]
async fn papers_in_other_languages_as_copies_and_with_points() {
    let shop = shop(|options| (options.check_writes_points, options.vat_certificate) = (true, None)).await;
    let mut body = sale("k", 12_400, 0);
    body["CustomerXin"] = json!("000000000025");
    let told = shop.done(CHECK, body).await;
    let text = text_of(&told["TicketPrintFormat"]);
    assert!(text.contains("1 дана/шт x 12400.00") && !text.contains("НДС"), "{text}");
    assert!(text.contains("Клиенттің ЖСН/БСН/ИИН/БИН клиента: 000000000025"));
    let print = async |first: Option<&str>, second: Option<&str>, is_copy: bool| {
        let mut request = shop.request(PRINT, json!({"ExternalCheckNumber": "k", "isDuplicate": is_copy}));
        for (name, value) in [("Accept-Language", first), ("Secondary-Language", second)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        text_of(&request.send().await.unwrap().json::<Value>().await.unwrap()["Data"]["Lines"])
    };
    let russian = print(Some("ru-RU"), Some("kk-KZ"), false).await;
    assert!(russian.contains("ПРОДАЖА/САТУ ") && russian.contains("12\u{a0}400,00"), "{russian}");
    assert!(russian.find("г. Алматы").unwrap() < russian.find("Алматы қ.").unwrap());
    assert!(print(None, Some("kk-KZ"), false).await.contains("ПРОДАЖА/САТУ "));
    assert!(print(Some("kk-KZ"), None, false).await.contains("САТУ/ПРОДАЖА "));
    assert!(print(None, None, true).await.starts_with("                КӨШІРМЕ/ДУБЛИКАТ\n"));
}
