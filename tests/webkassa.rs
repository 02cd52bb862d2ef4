//! The Webkassa driver: the pure halves of its recorded exchanges (`tests/exchanges/webkassa_*`, walked by `exchanges.rs`), laws over
//! any bill and any answer, and stories over real sockets: one login in a call, a token that survives a restart, another host on 505,
//! and a lost receipt found again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use futures_util::future::BoxFuture;
use kassad::domain::fiscal::{
    Basis, Bill, Modifier, ModifierKind, PayKind, Payment, Position, Side, UNIT_PIECE, UNIT_SERVICE, Vat,
};
use kassad::domain::money::Tiyn;
use kassad::domain::order::Milli;
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::paper::ReportKind;
use kassad::domain::time::Wall;
use kassad::drivers::fiscal::webkassa::{self as wk, Place, Question, Webkassa};
use kassad::drivers::{Build, Entry, Filing, Fiscal, Health, KINDS, Setup, Value, Vault};
use kassad::host::clock::Clock;
use kassad::host::secret::Secret;
use kassad::transport::web::Answer;
use proptest::prelude::*;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const KEY: &str = "0b1d9c0a-4c1e-4e0b-9d53-6a6b3f1f2a10";
const NOW: Wall = Wall(1_780_000_000_000); // 2026-05-28
const CASHBOX: &str = "SWK00777001";

fn place() -> Place {
    Place { cashbox: CASHBOX.to_owned(), round_type: 0, paper: 0 }
}

fn position(name: &str, milli: i64, price: i64) -> Position {
    Position {
        name: name.to_owned(),
        quantity: Milli(milli),
        unit: UNIT_PIECE,
        price: Tiyn(price),
        discount: Tiyn::ZERO,
        markup: Tiyn::ZERO,
        vat: Vat(Some(16)),
    }
}

/// Two soups, tea, a service charge; a part by QR, the rest in cash with change (§4.4): 6 270 tenge.
fn bill(side: Side) -> Bill {
    let service = Position {
        unit: UNIT_SERVICE, ..position("Қызмет көрсету/Обслуживание 10%", 1000, 57_000)
    };
    let tea =
        Position {
            vat: Vat(None), discount: Tiyn(10_000), markup: Tiyn(5_000), ..position("Шай/Чай", 1000, 95_000)
        };
    Bill {
        side,
        order_number: "A-17".to_owned(),
        positions: vec![position("Лағман/Лагман", 2000, 240_000), tea, service],
        modifiers: vec![
            Modifier {
                kind: ModifierKind::Discount,
                text: "Жеңілдік".to_owned(),
                sum: Tiyn(1_050),
                vat: Vat(Some(16)),
            },
            Modifier {
                kind: ModifierKind::Surcharge, text: "Үстеме".to_owned(), sum: Tiyn(1_050), vat: Vat(Some(16))
            },
        ],
        payments: vec![
            Payment { kind: PayKind::Mobile, sum: Tiyn(400_000) },
            Payment { kind: PayKind::Cash, sum: Tiyn(250_000) },
        ],
        change: Tiyn(23_000),
        total: Tiyn(627_000),
    }
}

fn basis() -> Basis {
    Basis {
        sign: "2170584930261".to_owned(),
        at: "21.11.2026 13:45:18".to_owned(),
        registration: "600400000123".to_owned(),
        total: Tiyn(627_000),
        is_autonomous: false,
    }
}

fn kept(case: &str) -> String {
    let (sale, back, original) = (bill(Side::Sale), bill(Side::Return), basis());
    let entry = match case {
        "webkassa_return" => Entry::Bill { key: KEY, bill: &back, basis: Some(&original) },
        "webkassa_cash" => Entry::Cash { key: KEY, is_in: false, amount: Tiyn(2_500_050) },
        _ => Entry::Bill { key: KEY, bill: &sale, basis: None },
    };
    wk::compose(&place(), &entry).unwrap()
}

/// The request of a recorded case, and what its answer means.
pub fn exchange(case: &str, answer: &Answer) -> (String, String) {
    let (key, token) = (Secret::new("WKD-k"), Secret::new("t1"));
    let asked = |question: Question, meaning: String| (question.request(&key, &token).to_string(), meaning);
    match case {
        "webkassa_check" | "webkassa_return" | "webkassa_cash" => {
            let question = Question::unpack(&kept(case)).unwrap();
            let meaning = format!("{:?}", wk::read_filing(answer, &question));
            asked(question, meaning)
        }
        "webkassa_login" => {
            let request = wk::authorize_request(&key, "cashier@example.kz", &Secret::new("p"));
            (request.to_string(), format!("{:?}", wk::read_token(answer)))
        }
        "webkassa_print" => asked(wk::print_request(&place(), KEY), format!("{:?}", wk::read_printed(answer))),
        "webkassa_shifts" => asked(wk::shifts_request(&place(), 0), format!("{:?}", wk::read_shifts(answer))),
        "webkassa_history" => {
            asked(wk::history_request(&place(), 154, 0), format!("{:?}", wk::read_page(answer, KEY, 0)))
        }
        "webkassa_ticket" => {
            asked(wk::ticket_request(&place(), KEY, 154), format!("{:?}", wk::read_ticket(answer, KEY)))
        }
        "webkassa_x" => {
            asked(wk::report_request(&place(), ReportKind::X), format!("{:?}", wk::read_report(answer, ReportKind::X)))
        }
        "webkassa_z" => {
            asked(wk::report_request(&place(), ReportKind::Z), format!("{:?}", wk::read_report(answer, ReportKind::Z)))
        }
        "webkassa_closed" => {
            asked(wk::closed_report_request(&place(), 154), format!("{:?}", wk::read_closed_report(answer, 154)))
        }
        "webkassa_client" => asked(wk::client_request(&place()), format!("{:?}", wk::read_client(answer, NOW))),
        "webkassa_cashboxes" => asked(wk::cashboxes_request(), format!("{:?}", wk::read_cashboxes(answer, CASHBOX))),
        unknown => panic!("no such case: {unknown}"),
    }
}

const CASES: [&str; 13] = [
    "webkassa_check",
    "webkassa_return",
    "webkassa_cash",
    "webkassa_login",
    "webkassa_print",
    "webkassa_shifts",
    "webkassa_history",
    "webkassa_ticket",
    "webkassa_x",
    "webkassa_z",
    "webkassa_closed",
    "webkassa_client",
    "webkassa_cashboxes",
];

fn code<T: std::fmt::Debug>(outcome: &Outcome<T>) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Refused(reason) => format!("refused {}", reason.code),
        Outcome::NotSent(reason) => format!("not sent {}", reason.code),
        Outcome::Unknown(reason) => format!("unknown {}", reason.code),
    }
}

#[test]
fn what_no_register_takes_is_refused_before_it_is_kept() {
    let fault = |change: &dyn Fn(&mut Bill), basis: Option<&Basis>| {
        let mut changed = bill(if basis.is_some() { Side::Return } else { Side::Sale });
        change(&mut changed);
        wk::compose(&place(), &Entry::Bill { key: KEY, bill: &changed, basis }).map_err(|reason| reason.code)
    };
    assert!(fault(&|_| {}, None).is_ok() && fault(&|_| {}, Some(&basis())).is_ok());
    let bad = Err("fiscal_bill".to_owned());
    assert_eq!(fault(&|bill| bill.total = Tiyn(1), None), bad);
    assert_eq!(fault(&|bill| bill.positions[0].name = " \u{7}".to_owned(), None), bad);
    assert_eq!(fault(&|bill| bill.side = Side::Return, None), bad, "a return without its basis");
    let timeless = Basis { at: String::new(), ..basis() };
    assert_eq!(fault(&|_| {}, Some(&timeless)), bad);
    for key in ["", "two words", &"k".repeat(51)] {
        let cash = Entry::Cash { key, is_in: true, amount: Tiyn(100) };
        assert_eq!(wk::compose(&place(), &cash).map_err(|reason| reason.code), bad, "{key}");
    }
    let nothing = Entry::Cash { key: KEY, is_in: true, amount: Tiyn::ZERO };
    assert_eq!(wk::compose(&place(), &nothing).map_err(|reason| reason.code), bad);
    let long = fault(&|bill| bill.positions[0].name = "Ә".repeat(500), None).unwrap();
    assert!(long.contains(&"Ә".repeat(wk::NAME_CHARS_MAX)) && !long.contains(&"Ә".repeat(wk::NAME_CHARS_MAX + 1)));
}

#[test]
fn every_code_of_the_table_has_its_sentence() {
    let codes: Vec<i64> = (-1..=20).chain([255, 505, 1013, 1014, 1404, 9999]).collect();
    for number in codes {
        for text in ["последовательно", ""] {
            let fault = wk::Fault { code: Some(number), text: text.to_owned() };
            let reason = wk::meaning(&fault).reason();
            assert!(kassad::i18n::is_known(&reason.code), "{number}: {}", reason.code);
        }
    }
}

#[test]
fn words_of_code_9_and_the_two_forms_of_505() {
    let turn = |text: &str| wk::meaning(&wk::Fault { code: Some(9), text: text.to_owned() }).reason().code;
    for text in
        ["Запросы должны быть последовательными", "REQUESTS MUST BE SEQUENTIAL", "Кассада бір мезгілде екі сұраныс"]
    {
        assert_eq!(turn(text), "fiscal_turn", "{text}");
    }
    for text in ["Последовательность не содержит элементов", "Sequence contains no elements", ""]
    {
        assert_eq!(turn(text), "fiscal_invalid", "{text}");
    }
    let names = || vec![("alternativedomainnames".to_owned(), " a.webkassa.kz, ,b.webkassa.kz".to_owned())];
    let said = br#"{"Errors":[{"Code":505,"Text":"down"}]}"#.to_vec();
    let told = |status, headers, body: &[u8]| wk::alternatives(&Answer { status, headers, body: body.to_vec() });
    let both = Some(vec!["a.webkassa.kz".to_owned(), "b.webkassa.kz".to_owned()]);
    assert_eq!(told(505, names(), b"<html>"), both);
    assert_eq!(told(200, names(), &said), both);
    assert_eq!(told(200, Vec::new(), &said), Some(Vec::new()));
    assert_eq!(told(200, names(), br#"{"Data":{}}"#), None);
    assert_eq!(told(502, names(), b"<html>"), None);
}

/// The value of a number of JSON as a sum, through its text.
fn as_sum(json: &Json) -> Tiyn {
    let text = json.to_string();
    Tiyn::parse_tenge(text.strip_suffix(".0").unwrap_or(&text)).unwrap()
}

prop_compose! {
    fn any_position()(milli in 1i64..100_000, price in 0i64..50_000_000, cut in 0i64..100, vat in prop::option::of(0u8..40)) -> Position {
        let mut one = Position { vat: Vat(vat), ..position("Тамақ", milli, price) };
        one.discount = Tiyn(one.gross().0 * cut / 100);
        one
    }
}

prop_compose! {
    fn any_bill()(positions in prop::collection::vec(any_position(), 1..12), card in 0i64..100, more in 0i64..1_000_000) -> Option<Bill> {
        let total = Tiyn(positions.iter().map(|one| one.sum().0).sum());
        let by_card = total.0 * card / 100;
        let payments = [(PayKind::Card, by_card), (PayKind::Cash, total.0 - by_card + more)];
        let payments = payments.into_iter().filter(|(_, sum)| *sum > 0).map(|(kind, sum)| Payment { kind, sum: Tiyn(sum) }).collect();
        let bill = Bill {
            side: Side::Sale,
            order_number: "7".to_owned(),
            positions,
            modifiers: Vec::new(),
            payments,
            change: Tiyn(more),
            total,
        };
        Some(bill).filter(|bill| bill.check().is_ok())
    }
}

fn hostile() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        (-1i64..20).prop_map(Json::from),
        prop::sample::select(vec![
            "2170584930261",
            "",
            "14",
            "2",
            "abc",
            "ФП: 123456789",
            "Время: 21.11.2026 13:45:18",
            "x?i=1234567&t=20261121T134518",
            KEY,
            CASHBOX,
            "1 000,5",
            "31.12.2027",
            "№",
            "САТУ №",
        ])
        .prop_map(Json::from),
        "\\PC{0,20}".prop_map(Json::from),
    ];
    let names = vec![
        "Errors",
        "errors",
        "Data",
        "data",
        "Code",
        "Text",
        "CheckNumber",
        "Number",
        "CheckOrderNumber",
        "ShiftNumber",
        "DateTime",
        "RegistratedOn",
        "Total",
        "TicketUrl",
        "TicketPrintFormat",
        "Lines",
        "Order",
        "Type",
        "Value",
        "Style",
        "Cashbox",
        "Ofd",
        "Token",
        "Items",
        "Rows",
        "Shifts",
        "List",
        "ExternalCheckNumber",
        "UniqueNumber",
        "Sell",
        "Taken",
        "Count",
        "PaymentsByTypesApiModel",
        "Sum",
        "CashboxStatus",
        "License",
        "LicenseExpirationDate",
        "OfflineMode",
        "StartNonNullable",
        "Shift",
        "CurrentStatus",
    ];
    scalar.prop_recursive(5, 96, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No answer makes a reader panic, and nothing is registered without a fiscal sign.
    #[test]
    fn any_answer_is_read_and_none_registers_without_a_sign(status in 199u16..206, data in hostile(), errors in hostile(), is_wrapped in any::<bool>()) {
        let body = if is_wrapped { serde_json::json!({ "Data": data, "Errors": errors }) } else { data };
        let answer = Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() };
        for case in CASES {
            exchange(case, &answer);
        }
        let _told = (wk::wants_login(&answer), wk::alternatives(&answer), wk::read_open_shift(&answer));
        let question = Question::unpack(&kept("webkassa_check")).unwrap();
        if let Outcome::Done(Filing::Registered(told)) = wk::read_filing(&answer, &question) {
            prop_assert!((6..=20).contains(&told.sign.len()) && told.sign.bytes().all(|byte| byte.is_ascii_digit()), "{}", told.sign);
            prop_assert!(body.to_string().contains(&told.sign));
        }
    }

    #[test]
    fn any_bytes_are_unknown(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let answer = Answer { status, headers: Vec::new(), body };
        for case in ["webkassa_check", "webkassa_cash"] {
            let question = Question::unpack(&kept(case)).unwrap();
            prop_assert!(matches!(wk::read_filing(&answer, &question), Outcome::Unknown(_)));
        }
    }

    /// What leaves is what was meant, to the tiyn and to the thousandth; the token changes nothing else.
    #[test]
    fn a_composed_bill_keeps_every_sum(bill in any_bill()) {
        prop_assume!(bill.is_some());
        let bill = bill.unwrap();
        let text = wk::compose(&place(), &Entry::Bill { key: KEY, bill: &bill, basis: None }).unwrap();
        prop_assert_eq!(&text, &wk::compose(&place(), &Entry::Bill { key: KEY, bill: &bill, basis: None }).unwrap());
        let whole: Json = serde_json::from_str(&text).unwrap();
        let body = &whole["body"];
        for (line, told) in bill.positions.iter().zip(body["Positions"].as_array().unwrap()) {
            prop_assert_eq!(as_sum(&told["Price"]), line.price);
            prop_assert_eq!(as_sum(&told["Tax"]), line.tax());
            let discount = told.get("Discount").map_or(Tiyn::ZERO, as_sum);
            prop_assert_eq!(discount, line.discount);
            prop_assert_eq!(Milli::parse(&told["Count"].to_string()), Some(line.quantity));
        }
        let paid: i64 = body["Payments"].as_array().unwrap().iter().map(|one| as_sum(&one["Sum"]).0).sum();
        prop_assert_eq!(paid - as_sum(&body["Change"]).0, bill.total.0);
        let question = Question::unpack(&text).unwrap();
        let is_kept = text.ends_with(&format!("{}}}", question.body));
        prop_assert!(is_kept);
        let sent = question.request(&Secret::new("k"), &Secret::new("t")).to_string();
        let rest = question.body.strip_prefix('{').unwrap();
        let is_unchanged = sent.ends_with(&format!("{{\"Token\":\"•••\",{rest}"));
        prop_assert!(is_unchanged);
        // Its own total in the answer is believed, any other is another document.
        for (total, is_ours) in [(bill.total.0, true), (bill.total.0 + 1, false)] {
            let data = format!(r#"{{"Data":{{"CheckNumber":"217058493","Total":{}}}}}"#, Tiyn(total).decimal());
            let answer = Answer { status: 200, headers: Vec::new(), body: data.into_bytes() };
            prop_assert_eq!(matches!(wk::read_filing(&answer, &question), Outcome::Done(Filing::Registered(_))), is_ours);
        }
    }
}

// ---- over real sockets ----

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, String>>);

impl Vault for Memory {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move { self.0.lock().unwrap().get(name).cloned() })
    }

    fn store<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async move {
            self.0.lock().unwrap().insert(name.to_owned(), text);
            Ok(())
        })
    }
}

fn setup(address: &str, vault: Arc<Memory>) -> Setup {
    let text = |text: &str| Value::Text(text.to_owned());
    Setup {
        name: "kassa".to_owned(),
        address: address.to_owned(),
        keys: BTreeMap::from([("login".to_owned(), text("cashier@example.kz")), ("cashbox".to_owned(), text(CASHBOX))]),
        secrets: BTreeMap::from([
            ("api_key_file".to_owned(), vec![Secret::new("WKD-key1")]),
            ("password_file".to_owned(), vec![Secret::new("pass1")]),
        ]),
        vault,
        installation: "kassad-7f".to_owned(),
        utc_offset_s: 5 * 3600,
        clock: Clock::manual(NOW),
    }
}

async fn counter() -> (TcpListener, Arc<Memory>, Webkassa) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vault = Arc::new(Memory::default());
    let driver = Webkassa::open(&setup(&address(&listener), vault.clone())).unwrap();
    (listener, vault, driver)
}

fn address(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

/// One exchange of a script: the path, what the body holds, the answer; an empty answer hangs up.
type Step<'s> = (&'s str, &'s str, &'s str);

/// Answers one request after the other; gives back the bodies.
async fn serve(listener: &TcpListener, script: &[Step<'_>]) -> Vec<String> {
    let mut bodies = Vec::new();
    for (path, holds, answer) in script {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with(&format!("POST {path} ")), "{path} is not {head}");
        assert!(head.contains("x-api-key: WKD-key1"), "{head}");
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        socket.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(holds), "{path}: {holds} is not in {body}");
        bodies.push(body);
        if let Some((extra, answer)) = answer.split_once('|') {
            let length = answer.len();
            let text =
                format!("HTTP/1.1 200 OK\r\n{extra}content-length: {length}\r\nconnection: close\r\n\r\n{answer}");
            socket.write_all(text.as_bytes()).await.unwrap();
        }
    }
    bodies
}

const LOGIN: &str = "/api/v4/Authorize";
const T1: &str = r#"|{"Data":{"Token":"t1"}}"#;
const T2: &str = r#"|{"Data":{"Token":"t2"}}"#;
const OVER: &str = r#"|{"Errors":[{"Code":2,"Text":"session"}]}"#;
const DONE: &str = r#"|{"Data":{"CheckNumber":"2170584930261","ShiftNumber":154,"DateTime":"21.11.2026 13:45:18","Cashbox":{"UniqueNumber":"SWK00777001","RegistrationNumber":"600400000123"}}}"#;
const HOLDS_T1: &str = r#"{"Token":"t1","#;
const HOLDS_T2: &str = r#"{"Token":"t2","#;

#[tokio::test]
async fn a_login_happens_once_and_its_token_survives_a_restart() {
    let (listener, vault, driver) = counter().await;
    let document = kept("webkassa_check");
    let story = async {
        assert_eq!(code(&driver.file(&document).await), "done");
        assert_eq!(code(&driver.file(&document).await), "done");
        let restarted = Webkassa::open(&setup(&address(&listener), vault.clone())).unwrap();
        assert_eq!(code(&restarted.file(&document).await), "done");
    };
    let script = [
        (LOGIN, r#""Password":"pass1""#, T1),
        (wk::CHECK, HOLDS_T1, DONE),
        // The same body once more, with a new token in front.
        (wk::CHECK, HOLDS_T1, OVER),
        (LOGIN, r#""Login":"cashier@example.kz""#, T2),
        (wk::CHECK, HOLDS_T2, DONE),
        (wk::CHECK, HOLDS_T2, DONE),
    ];
    let ((), bodies) = tokio::join!(story, serve(&listener, &script));
    let body = Question::unpack(&document).unwrap().body;
    for at in [1, 2, 4, 5] {
        assert!(bodies[at].ends_with(&body[1..]), "{}", bodies[at]);
    }
    assert!(vault.0.lock().unwrap()["webkassa:kassa.register"].contains("600400000123"));
}

#[tokio::test]
async fn a_new_token_that_is_not_accepted_stops_and_tells_no_secret() {
    let (listener, _, driver) = counter().await;
    let document = kept("webkassa_check");
    let story = async {
        let first = driver.file(&document).await;
        assert!(matches!(&first, Outcome::Done(Filing::Stopped(reason)) if reason.code == "fiscal_login"), "{first:?}");
        let second = driver.file(&document).await;
        assert!(
            matches!(&second, Outcome::Done(Filing::Stopped(reason)) if reason.code == "fiscal_login"),
            "{second:?}"
        );
        let told = format!("{driver:?} {first:?} {second:?}");
        for secret in ["WKD-key1", "pass1", "t1"] {
            assert!(!told.contains(secret), "{secret} is in {told}");
        }
    };
    let wrong = r#"|{"Errors":[{"Code":1,"Text":"wrong"}]}"#;
    let script = [(LOGIN, "", T1), (wk::CHECK, HOLDS_T1, OVER), (wk::CHECK, HOLDS_T1, OVER), (LOGIN, "", wrong)];
    tokio::join!(story, serve(&listener, &script));
}

#[tokio::test]
async fn a_login_that_is_lost_leaves_the_document_unsent() {
    let (listener, _, driver) = counter().await;
    let document = kept("webkassa_check");
    let story = async {
        assert_eq!(code(&driver.file(&document).await), "not sent link_lost");
        assert_eq!(code(&driver.file(&document).await), "unknown link_lost");
    };
    let script = [(LOGIN, "", ""), (LOGIN, "", T1), (wk::CHECK, HOLDS_T1, "")];
    tokio::join!(story, serve(&listener, &script));
    drop(listener);
    assert_eq!(code(&driver.file(&document).await), "not sent no_link");
    assert_eq!(code(&driver.file("{}").await), "refused fiscal_bill");
}

#[tokio::test]
async fn one_login_runs_at_a_time() {
    let (listener, _, driver) = counter().await;
    let document = kept("webkassa_check");
    let script = [(LOGIN, "", T1), (wk::CHECK, HOLDS_T1, DONE), (wk::CHECK, HOLDS_T1, DONE)];
    let (one, other, _) = tokio::join!(driver.file(&document), driver.file(&document), serve(&listener, &script));
    assert_eq!((code(&one), code(&other)), ("done".to_owned(), "done".to_owned()));
}

#[tokio::test]
async fn a_host_that_is_down_names_another_and_it_is_remembered() {
    let (listener, _, driver) = counter().await;
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let document = kept("webkassa_check");
    let down =
        |names: &str| format!("AlternativeDomainNames: {names}\r\n|{}", r#"{"Errors":[{"Code":505,"Text":"down"}]}"#);
    let away = down(&format!("evil.example, https://kkm.webkassa.kz,{}", address(&second)));
    let first_script = [(LOGIN, "", T1), (wk::CHECK, HOLDS_T1, away.as_str())];
    let second_script = [(wk::CHECK, HOLDS_T1, DONE), (wk::CHECK, HOLDS_T1, DONE)];
    let story = async {
        assert_eq!(code(&driver.file(&document).await), "done");
        assert_eq!(code(&driver.file(&document).await), "done", "remembered for this run");
    };
    tokio::join!(story, serve(&listener, &first_script), serve(&second, &second_script));
    // Both are down, and each names the other: three tries at most, and then nobody knows.
    let (to_first, to_second) = (down(&address(&listener)), down(&address(&second)));
    let story = async { assert_eq!(code(&driver.file(&document).await), "unknown fiscal_host") };
    let from_second = [(wk::CHECK, HOLDS_T1, to_first.as_str())];
    let from_first = [(wk::CHECK, HOLDS_T1, to_second.as_str())];
    tokio::join!(story, serve(&second, &from_second), serve(&listener, &from_first));
    let strange = down("evil.example,https://kkm.webkassa.kz");
    let story = async { assert_eq!(code(&driver.file(&document).await), "unknown fiscal_host") };
    let script = [(wk::CHECK, HOLDS_T1, strange.as_str())];
    tokio::join!(story, serve(&listener, &script));
}

const PRINT: &str = "/api/v4/Ticket/PrintFormat";
const SHIFTS: &str = "/api/v4/Cashbox/ShiftHistory";
const HISTORY: &str = "/api/v4/Check/History";
const TICKET: &str = "/api-history/v4/Ticket/GetTicketByExternalCheckNumber";
const CASHBOXES: &str = "/api/v4/Cashboxes";
const NOT_THERE: &str = r#"|{"Errors":[{"Code":19,"Text":"no"}]}"#;
const NO_PAGE: &str = "|<html>404</html>";

#[tokio::test]
async fn a_lost_receipt_is_found_by_its_lines_and_its_ticket() {
    let (listener, _, driver) = counter().await;
    let lines = r#"|{"Data":{"Lines":[{"Order":1,"Type":0,"Value":"Ауысым/Смена 154"},{"Order":2,"Type":0,"Value":"ФБ/ФП: 2170584930261"},{"Order":3,"Type":0,"Value":"Уақыты/Время: 21.11.2026 13:45:18"}]}}"#;
    let item = format!(
        r#"|{{"Data":{{"Number":"2170584930261","OrderNumber":28,"RegistratedOn":"2026-11-21T13:45:18","Total":6270,"ExternalCheckNumber":"{KEY}"}}}}"#
    );
    let listed = format!(
        r#"|{{"Data":{{"List":[{{"UniqueNumber":"{CASHBOX}","RegistrationNumber":"600400000123","CurrentStatus":1}}]}}}}"#
    );
    let story = async {
        let Outcome::Done(Some(found)) = driver.find(KEY).await else { panic!("not found") };
        let told = (found.sign.as_str(), found.number, found.shift, found.at.as_str(), found.total);
        assert_eq!(told, ("2170584930261", 28, 154, "21.11.2026 13:45:18", Some(Tiyn(627_000))));
        assert_eq!((found.register.registration.as_str(), found.lines.len()), ("600400000123", 3));
        // The lines alone are enough, and the register is remembered.
        let Outcome::Done(Some(found)) = driver.find(KEY).await else { panic!("not found") };
        assert_eq!((found.sign.as_str(), found.number, found.shift), ("2170584930261", 0, 154));
        assert_eq!(found.register.registration, "600400000123");
    };
    let script = [
        (LOGIN, "", T1),
        (PRINT, KEY, lines),
        (TICKET, r#""ShiftNumber":154"#, item.as_str()),
        (CASHBOXES, HOLDS_T1_ALONE, listed.as_str()),
        (PRINT, KEY, lines),
        (TICKET, KEY, NO_PAGE),
        (HISTORY, r#""ShiftNumber":154"#, NO_PAGE),
    ];
    tokio::join!(story, serve(&listener, &script));
}

const HOLDS_T1_ALONE: &str = r#"{"Token":"t1"}"#;

#[tokio::test]
async fn a_lost_receipt_is_found_in_the_histories_or_surely_not_there() {
    let (listener, _, driver) = counter().await;
    let shifts = r#"|{"Data":{"Shifts":[{"ShiftNumber":153},{"ShiftNumber":154}]}}"#;
    let many =
        r#"|{"Data":{"Shifts":[{"ShiftNumber":154},{"ShiftNumber":153},{"ShiftNumber":152},{"ShiftNumber":151}]}}"#;
    let none = r#"|{"Data":{"Total":0,"Items":[]}}"#;
    let page = format!(
        r#"|{{"Data":{{"Total":51,"Items":[{{"Number":2170584930261,"RegistratedOn":"21.11.2026 13:45:18","ExternalCheckNumber":"{KEY}","CashboxRegistrationNumber":"600400000123"}}]}}}}"#
    );
    let mut full = vec![r#"{"Number":"111111111","ExternalCheckNumber":"x"}"#; 50].join(",");
    full = format!(r#"|{{"Data":{{"Total":51,"Items":[{full}]}}}}"#);
    let story = async {
        let Outcome::Done(Some(found)) = driver.find(KEY).await else { panic!("not found") };
        assert_eq!((found.sign.as_str(), found.shift), ("2170584930261", 153));
        assert_eq!(driver.find(KEY).await, Outcome::Done(None), "19, and complete lists without it");
        assert_eq!(driver.find(KEY).await, Outcome::Done(None), "19 is enough where there are no lists");
        assert_eq!(driver.find(KEY).await, Outcome::Done(None), "complete lists are enough");
        assert_eq!(code(&driver.find(KEY).await), "unknown fiscal_unreadable", "older shifts were not searched");
        assert_eq!(code(&driver.find(KEY).await), "unknown garbled", "nothing can be read");
    };
    let empty = [(HISTORY, r#""ShiftNumber":154"#, none), (HISTORY, r#""ShiftNumber":153"#, none)];
    let mut script = vec![
        (LOGIN, "", T1),
        (PRINT, KEY, NO_PAGE),
        (SHIFTS, "", shifts),
        (HISTORY, r#""ShiftNumber":154,"Skip":0"#, none),
        (HISTORY, r#""ShiftNumber":153,"Skip":0"#, full.as_str()),
        (HISTORY, r#""ShiftNumber":153,"Skip":50"#, page.as_str()),
        (PRINT, KEY, NOT_THERE),
        (SHIFTS, "", shifts),
    ];
    script.extend(empty);
    script.extend([(PRINT, KEY, NOT_THERE), (SHIFTS, "", NO_PAGE), (PRINT, KEY, NO_PAGE), (SHIFTS, "", shifts)]);
    script.extend(empty);
    script.extend([(PRINT, KEY, NO_PAGE), (SHIFTS, "", many)]);
    script.extend(empty);
    script.extend([(HISTORY, r#""ShiftNumber":152"#, none), (PRINT, KEY, NO_PAGE), (SHIFTS, "", NO_PAGE)]);
    tokio::join!(story, serve(&listener, &script));
}

#[tokio::test]
async fn reports_and_the_state_of_the_register() {
    let (listener, _, driver) = counter().await;
    let report = r#"|{"Data":{"ShiftNumber":154,"CloseOn":"21.11.2026 23:00:00"}}"#;
    let listed =
        r#"|{"Data":{"List":[{"UniqueNumber":"SWK00777001","CurrentStatus":1,"Shift":154,"IsOffline":true}]}}"#;
    let soon = r#"|{"Data":{"CashboxStatus":1,"License":{"LicenseExpirationDate":"05.06.2026"}}}"#;
    let story = async {
        assert!(format!("{:?}", driver.report(ReportKind::Z).await).starts_with("Done(Report("));
        assert_eq!(format!("{:?}", driver.report(ReportKind::Z).await), "Done(NoShift)");
        assert_eq!(code(&driver.report(ReportKind::X).await), "not sent fiscal_turn");
        assert!(matches!(driver.closed_report(154).await, Outcome::Done(Some(report)) if report.shift == 154));
        assert_eq!(driver.closed_report(155).await, Outcome::Done(None));
        let Outcome::Done(state) = driver.probe().await else { panic!("no state") };
        assert!(matches!(&state.health, Health::Warns(reason) if reason.code == "fiscal_licence_soon"), "{state:?}");
        assert_eq!((state.shift, state.is_autonomous), (Some(154), true));
        let Outcome::Done(state) = driver.probe().await else { panic!("no state") };
        assert!(matches!(&state.health, Health::Bad(reason) if reason.code == "fiscal_cashbox"), "{state:?}");
        let Outcome::Done(state) = driver.probe().await else { panic!("no state") };
        assert_eq!(
            (state.health, state.shift),
            (Health::Good, Some(154)),
            "a module that knows no licences and no shifts"
        );
        let Outcome::Done(state) = driver.probe().await else { panic!("no state") };
        assert_eq!((state.health, state.shift), (Health::Good, None), "the last shift is closed");
        assert_eq!(code(&driver.probe().await), "unknown garbled");
    };
    let turn = r#"|{"Errors":[{"Code":9,"Text":"Requests must be sequential"}]}"#;
    let client = "/api-portal/v4/cashbox/client-info";
    let script = [
        (LOGIN, "", T1),
        ("/api/v4/ZReport", CASHBOX, report),
        ("/api/v4/ZReport", CASHBOX, r#"|{"Errors":[{"Code":12,"Text":"closed"}]}"#),
        ("/api/v4/XReport", CASHBOX, turn),
        ("/api/v4/ZReport/ByShiftNumber", "154", report),
        ("/api/v4/ZReport/ByShiftNumber", "155", r#"|{"Errors":[{"Code":15,"Text":"no"}]}"#),
        (CASHBOXES, "", listed),
        (client, CASHBOX, soon),
        (SHIFTS, CASHBOX, r#"|{"Data":{"Shifts":[{"ShiftNumber":154},{"ShiftNumber":153,"CloseDate":"x"}]}}"#),
        (CASHBOXES, "", r#"|{"Data":{"List":[]}}"#),
        (CASHBOXES, "", listed),
        (client, CASHBOX, NO_PAGE),
        (SHIFTS, CASHBOX, NO_PAGE),
        (CASHBOXES, "", listed),
        (client, CASHBOX, r#"|{"Data":{"CashboxStatus":1}}"#),
        (
            SHIFTS,
            CASHBOX,
            r#"|{"Data":{"Shifts":[{"ShiftNumber":153,"CloseDate":"x"},{"ShiftNumber":154,"CloseDate":"y"}]}}"#,
        ),
        (CASHBOXES, "", NO_PAGE),
        (client, CASHBOX, NO_PAGE),
    ];
    tokio::join!(story, serve(&listener, &script));
}

#[test]
fn f06_a_bad_section_names_its_key() {
    let with = |address: &str, change: &dyn Fn(&mut Setup)| {
        let mut setup = setup(address, Arc::default());
        change(&mut setup);
        Webkassa::open(&setup).map(|driver| driver.abilities()).map_err(|fault| fault.key)
    };
    let key = |name: &'static str, value: Value| {
        with("https://kkm.webkassa.kz", &move |setup: &mut Setup| {
            drop(setup.keys.insert(name.to_owned(), value.clone()))
        })
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let told = |address: &str| with(address, &|_| {}).map(|it| (it.is_test, it.is_local));
    assert_eq!(told("https://kkm.webkassa.kz"), Ok((false, false)));
    assert_eq!(told("https://devkkm.webkassa.kz"), Ok((true, false)));
    assert_eq!(told("http://127.0.0.1:9000"), Ok((true, false)));
    assert_eq!(told("http://127.0.0.1:1331"), Ok((false, true)));
    assert_eq!(told("http://127.0.0.1:1332"), Ok((true, true)));
    assert_eq!(told("http://kkm.webkassa.kz"), Err("address"));
    assert_eq!(told("kkm.webkassa.kz"), Err("address"));
    for (name, value) in [
        ("cashbox", text("SWK123")),
        ("cashbox", text("SWKabcdefgh")),
        ("login", text(" ")),
        ("round_type", Value::Number(4)),
        ("round_type", Value::Number(-1)),
        ("paper", text("76mm")),
        ("hosts", Value::Texts(vec!["https://x.kz".to_owned()])),
    ] {
        assert_eq!(key(name, value), Err(name));
    }
    assert!(
        key("paper", text("58mm")).is_ok() && key("hosts", Value::Texts(vec!["kkm.example.kz".to_owned()])).is_ok()
    );
    assert_eq!(key("test", Value::Flag(true)).map(|it| it.is_test), Ok(true));
    let kind = KINDS.iter().find(|kind| kind.name == "webkassa").unwrap();
    let Build::Fiscal(build) = kind.build else { panic!("no cash register") };
    assert!(build(&setup("https://kkm.webkassa.kz", Arc::default())).is_ok());
    for secret in ["api_key_file", "password_file"] {
        let fault = with("https://kkm.webkassa.kz", &|setup| drop(setup.secrets.remove(secret)));
        assert_eq!(fault.err(), Some(secret));
    }
}
