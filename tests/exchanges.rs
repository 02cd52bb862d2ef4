//! Recorded exchanges of each driver, as text (style §4): in `tests/exchanges/<case>.<what>.txt`, `>` is the request as it leaves,
//! `<` the answer (its first line the HTTP status), `=` what we make of it. `KASSAD_BLESS=1` writes what is `=` and `>` anew: read the
//! difference before believing it. Then hostile answers, and stories of the terminal's tokens over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use futures_util::future::BoxFuture;
use kassad::domain::ids::{Handle, Reference};
use kassad::domain::money::Tiyn;
use kassad::domain::order::Phone;
use kassad::domain::outcome::{Outcome, Reason};
use kassad::domain::time::Wall;
use kassad::drivers::invoice::aipay::{self, AiPayWebhooks};
use kassad::drivers::pos::poster::{self, Place};
use kassad::drivers::terminal::kaspi_smart_pos::{self as kaspi, Api, KaspiSmartPos, Refund, Tokens};
use kassad::drivers::{
    Act, Asked, Build, Closing, Collect, Forged, GiveBack, Headers, KINDS, Setup, Standing, Terminal, Value, Vault,
    WebhookScheme, signature,
};
use kassad::host::clock::Clock;
use kassad::host::secret::Secret;
use kassad::transport::web::Answer;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// How many files the folder holds: an empty folder proves nothing.
const EXCHANGES: usize = 152;
const NOW: Wall = Wall(1_780_000_000_000); // 2026-05-28 20:26:40 UTC, the 29th in the shop
const OFFSET_S: i32 = 5 * 3600;

fn secret() -> Secret {
    Secret::new("s3cr3t")
}

fn collect(amount: Tiyn) -> Collect {
    Collect {
        amount,
        reference: Reference("dastarkhan-1950-1-1".to_owned()),
        description: "Заказ 1950".to_owned(),
        phone: Phone::parse("77011234567"),
    }
}

fn asked_as(act: Act) -> Asked {
    Asked { act, handle: Handle("17800000001".to_owned()), amount: Tiyn(1_240_000) }
}

/// A part of a payment by QR goes back.
fn refund() -> Refund {
    Refund::of(&GiveBack {
        reference: Reference("dastarkhan-1950-1-r1".to_owned()),
        amount: Tiyn(240_000),
        paid: Tiyn(1_240_000),
        method: "qr".to_owned(),
        transaction: "412345678".to_owned(),
    })
    .unwrap()
}

fn place() -> Place {
    Place { spot_id: 1, spot_tablet_id: 2, payment_method_id: Some(7), utc_offset_s: OFFSET_S }
}

/// The request of a case, and what its answer means.
fn exchange(case: &str, answer: &Answer) -> (String, String) {
    let (ask, handle) = (collect(Tiyn(1_240_000)), Handle("inv_8f3a".to_owned()));
    let process = Handle("17800000001".to_owned());
    let token = secret();
    let (paid, returned) = (asked_as(Act::Payment), asked_as(Act::Refund));
    match case {
        "terminal_register" => {
            let meaning = kaspi::read_tokens(answer, NOW, OFFSET_S)
                .map(|tokens| (tokens.until, tokens.access.expose().to_owned()));
            (kaspi::register_request("kassad-7f").to_string(), format!("{meaning:?}"))
        }
        "terminal_revoke" => {
            let meaning = kaspi::read_tokens(answer, NOW, OFFSET_S)
                .map(|tokens| (tokens.until, tokens.access.expose().to_owned()));
            (kaspi::revoke_request("kassad-7f", &token).to_string(), format!("{meaning:?}"))
        }
        "terminal_payment" => {
            let request = kaspi::payment_request(Api::V2, 12_400, true, Some(&token));
            (request.to_string(), format!("{:?}", kaspi::read_start(answer, Act::Payment)))
        }
        "terminal_status" => {
            let request = kaspi::status_request(Api::V2, &process, Some(&token));
            (request.to_string(), format!("{:?}", kaspi::read_standing(answer, &paid)))
        }
        // This terminal is not protected.
        "terminal_actualize" => {
            let request = kaspi::actualize_request(Api::V2, &process, None);
            (request.to_string(), format!("{:?}", kaspi::read_standing(answer, &paid)))
        }
        "terminal_refund" => {
            let request = kaspi::refund_request(Api::V2, &refund(), true, Some(&token));
            (request.to_string(), format!("{:?}", kaspi::read_start(answer, Act::Refund)))
        }
        "terminal_refund_status" => {
            let request = kaspi::status_request(Api::V2, &process, Some(&token));
            (request.to_string(), format!("{:?}", kaspi::read_standing(answer, &returned)))
        }
        "terminal_refund_actualize" => {
            let request = kaspi::actualize_request(Api::V2, &process, Some(&token));
            (request.to_string(), format!("{:?}", kaspi::read_standing(answer, &returned)))
        }
        "terminal_deviceinfo" => {
            let request = kaspi::presence_request(Api::V2, Some(&token));
            (request.to_string(), format!("{:?}", kaspi::read_presence(answer, Api::V2)))
        }
        "terminal_v1_payment" => {
            let request = kaspi::payment_request(Api::V1, 12_400, false, None);
            (request.to_string(), format!("{:?}", kaspi::read_start(answer, Act::Payment)))
        }
        "terminal_v1_refund" => {
            let request = kaspi::refund_request(Api::V1, &refund(), false, None);
            (request.to_string(), format!("{:?}", kaspi::read_start(answer, Act::Refund)))
        }
        "terminal_v1_status" => {
            let request = kaspi::status_request(Api::V1, &process, None);
            (request.to_string(), format!("{:?}", kaspi::read_standing(answer, &paid)))
        }
        "terminal_v1_presence" => {
            let request = kaspi::presence_request(Api::V1, None);
            (request.to_string(), format!("{:?}", kaspi::read_presence(answer, Api::V1)))
        }
        "aipay_create" => {
            let request = aipay::create_request(&ask, &token).unwrap();
            (request.to_string(), format!("{:?}", aipay::read_create(answer, &ask)))
        }
        "aipay_get" => {
            let request = aipay::get_request(&handle, &token).unwrap();
            (request.to_string(), format!("{:?}", aipay::read_inquiry(answer, &handle)))
        }
        "aipay_notice_a" => notice("x-aipay-signature", &answer.body),
        "aipay_notice_b" => notice("x-signature", &answer.body),
        "poster_list" => {
            let request = poster::open_orders_request(&place(), Wall(NOW.0 - 86_400_000), NOW, &token);
            (request.to_string(), format!("{:?}", poster::read_open_orders(answer, 1)))
        }
        "poster_order" => {
            let request = poster::order_request("1950", &token);
            (request.to_string(), format!("{:?}", poster::read_order(answer, "1950", Vec::new())))
        }
        "poster_lines" => {
            (poster::lines_request("1950", &token).to_string(), format!("{:?}", poster::read_lines(answer)))
        }
        "poster_close" => {
            let closing = Closing {
                foreign_id: "1950".to_owned(),
                cash: Tiyn(100_050),
                cashless: Tiyn(1_139_950),
                is_fiscal_elsewhere: false,
            };
            let request = poster::close_request(&place(), &closing, &token).unwrap();
            (request.to_string(), format!("{:?}", poster::read_close(answer)))
        }
        case if case.starts_with("webkassa_") => crate::webkassa::exchange(case, answer),
        unknown => panic!("no such case: {unknown}"),
    }
}

fn notice(header: &str, body: &[u8]) -> (String, String) {
    let signed = signature::sign(&secret(), body);
    let headers = Headers(vec![(header.to_owned(), signed.clone())]);
    let verified = AiPayWebhooks.verify(&[secret()], &headers, body).unwrap();
    (format!("{header}: {signed}"), format!("{:?}", AiPayWebhooks.read(&verified)))
}

fn marked(text: &str, mark: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn with_mark(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n").collect()
}

#[test]
fn exchanges_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut differing = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let received = marked(&text, "<");
        let (status, body) = received.split_once('\n').unwrap_or((&received, ""));
        let answer =
            Answer { status: status.trim().parse().unwrap(), headers: Vec::new(), body: body.as_bytes().to_vec() };
        let (request, meaning) = exchange(name.split('.').next().unwrap(), &answer);
        let title: String = text.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        let now =
            format!("{title}{}{}{}", with_mark(">", &request), with_mark("<", &received), with_mark("=", &meaning));
        if now == text {
            continue;
        }
        if std::env::var_os("KASSAD_BLESS").is_some() {
            std::fs::write(path, now).unwrap();
        } else {
            differing.push(format!("{name}: now it is\n{now}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert_eq!(paths.len(), EXCHANGES);
}

#[test]
fn what_a_partner_cannot_take_is_refused_before_it_leaves() {
    assert_eq!(aipay::create_request(&collect(Tiyn(50)), &secret()).unwrap_err().code, "bad_amount");
    assert_eq!(aipay::create_request(&collect(Tiyn(0)), &secret()).unwrap_err().code, "bad_amount");
    let without_phone = Collect { phone: None, ..collect(Tiyn(100)) };
    assert_eq!(aipay::create_request(&without_phone, &secret()).unwrap_err().code, "no_phone");
    for handle in ["", "../keys", "inv_1?x=1", "inv 1", &"a".repeat(65)] {
        assert_eq!(aipay::get_request(&Handle(handle.to_owned()), &secret()), None, "{handle}");
    }
    let close = |id: &str, cash, cashless| {
        let closing = Closing {
            foreign_id: id.to_owned(),
            cash: Tiyn(cash),
            cashless: Tiyn(cashless),
            is_fiscal_elsewhere: false,
        };
        poster::close_request(&place(), &closing, &secret())
            .map(|request| request.to_string())
            .map_err(|reason| reason.code)
    };
    assert_eq!(close("1950", 0, 0), Err("pos_sum".to_owned()));
    assert_eq!(close("1950", -100, 200), Err("pos_sum".to_owned()));
    assert_eq!(close("19&50", 100, 0), Err("pos_refused".to_owned()));
    // The own method is for cashless money only.
    assert!(!close("1950", 100, 0).unwrap().contains("payment_method_id"));
}

#[test]
fn f04_signatures_of_both_dialects() {
    let body = br#"{"invoice_id":"inv_1","status":"paid","event":"invoice.expired"}"#;
    let (good, bad) = (signature::sign(&secret(), body), "0".repeat(64));
    let (good, bad) = (good.as_str(), bad.as_str());
    let dialect = |headers: &[(&str, &str)]| {
        let headers = Headers(headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        AiPayWebhooks.verify(&[Secret::new("older"), secret()], &headers, body)
    };
    let (a, b) = ("x-aipay-signature", "x-signature");
    let status = |headers: &[(&str, &str)]| dialect(headers).map(|it| AiPayWebhooks.read(&it).unwrap().status);
    assert_eq!(status(&[(a, good)]), Ok("expired".to_owned()));
    assert_eq!(status(&[(b, good)]), Ok("paid".to_owned()));
    assert_eq!(status(&[(b, good), (a, bad)]), Ok("paid".to_owned()));
    assert_eq!(status(&[(b, good), (a, good)]), Ok("expired".to_owned()));
    for forged in
        [&[][..], &[(a, bad)], &[(a, ""), (b, "")], &[(a, good), (a, good)], &[(a, good), (b, bad), (b, good)]]
    {
        assert_eq!(status(forged), Err(Forged), "{forged:?}");
    }
}

#[test]
fn f06_a_driver_is_built_from_its_section_and_says_what_is_missing() {
    let setup = |address: &str, keys: &[(&str, Value)]| Setup {
        keys: keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        ..setup(address, Arc::new(Memory::default()))
    };
    let fault = |kind: &str, setup: &Setup| {
        let kind = KINDS.iter().find(|line| line.name == kind).unwrap();
        match kind.build {
            Build::Terminal(build) => build(setup).err(),
            Build::Cloud(build, _) => build(setup).err(),
            Build::Pos(build) => build(setup).err(),
            Build::Fiscal(build) => build(setup).err(),
            Build::Printer(_) | Build::Display(_) => panic!("not ours"),
        }
        .map(|fault| fault.key)
    };
    assert_eq!(fault("kaspi_smart_pos", &setup("https://10.0.0.5:8080", &[])), None);
    assert_eq!(fault("kaspi_smart_pos", &setup("http://10.0.0.5:8080", &[("protected", Value::Flag(true))])), None);
    assert_eq!(fault("kaspi_smart_pos", &setup("tcp://10.0.0.5:8080", &[])), Some("address"));
    let both = [("tls_name", Value::Text("a.kaspipos.kz".to_owned())), ("insecure", Value::Flag(true))];
    assert_eq!(fault("kaspi_smart_pos", &setup("https://10.0.0.5:8080", &both)), Some("tls_name"));
    assert_eq!(fault("aipay", &setup("https://api.aipay.kz/v1", &[])), Some("api_key_file"));
    assert_eq!(fault("poster", &setup("https://joinposter.com/api", &[])), Some("token_file"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No bytes make a reader panic, and garbage is never a word about money.
    #[test]
    fn f02_garbage_is_never_an_answer(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let answer = Answer { status, headers: Vec::new(), body: body.clone() };
        for case in CASES {
            let (_, meaning) = exchange(case, &answer);
            prop_assert!(!meaning.contains("Paid") && !meaning.contains("Failed(") && !meaning.contains("Expired("), "{}", meaning);
        }
        let verified = AiPayWebhooks.verify(&[secret()], &Headers(vec![("x-signature".into(), signature::sign(&secret(), &body))]), &body).unwrap();
        prop_assert!(AiPayWebhooks.read(&verified).is_err());
        let _sum = kaspi::sum_on_slip(&String::from_utf8_lossy(&body));
    }

    /// Right names with wrong values do not panic either.
    #[test]
    fn f02_known_names_with_any_values(status in 100u16..600, body in hostile_json()) {
        let answer = Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() };
        for case in CASES {
            exchange(case, &answer);
        }
        notice("x-aipay-signature", &answer.body);
    }

    #[test]
    fn sums_on_slips_come_back(tenge in 0i64..10_000_000_000) {
        let sum = Tiyn(tenge * 100);
        prop_assert_eq!(kaspi::sum_on_slip(&format!("{sum} ₸")), Some(sum));
        prop_assert_eq!(kaspi::sum_on_slip(&format!("{},00", sum.decimal())), Some(sum));
    }
}

const CASES: [&str; 19] = [
    "terminal_register",
    "terminal_revoke",
    "terminal_payment",
    "terminal_status",
    "terminal_actualize",
    "terminal_refund",
    "terminal_refund_status",
    "terminal_refund_actualize",
    "terminal_deviceinfo",
    "terminal_v1_payment",
    "terminal_v1_refund",
    "terminal_v1_status",
    "terminal_v1_presence",
    "aipay_create",
    "aipay_get",
    "poster_list",
    "poster_order",
    "poster_lines",
    "poster_close",
];

fn hostile_json() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        prop::sample::select(vec![
            "success",
            "paid",
            "1",
            "2",
            "0",
            "107",
            "17800000001",
            "inv_8f3a",
            "1950",
            "-5 ₸",
            "١٢"
        ])
        .prop_map(serde_json::Value::from),
        "\\PC{0,20}".prop_map(serde_json::Value::from),
    ];
    let names = vec![
        "statusCode",
        "data",
        "errorText",
        "message",
        "status",
        "subStatus",
        "processId",
        "chequeInfo",
        "amount",
        "addInfo",
        "cardMask",
        "method",
        "accessToken",
        "refreshToken",
        "expirationDate",
        "type",
        "serialNum",
        "invoice_id",
        "external_id",
        "event",
        "response",
        "error",
        "code",
        "err_code",
        "transaction_id",
        "sum",
        "payed_sum",
        "payed_card",
        "product_id",
        "num",
    ];
    scalar.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// A vault in memory; it refuses to store while told so.
#[derive(Default)]
struct Memory {
    texts: Mutex<BTreeMap<String, String>>,
    is_full: Mutex<bool>,
}

impl Vault for Memory {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move { self.texts.lock().unwrap().get(name).cloned() })
    }

    fn store<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async move {
            if *self.is_full.lock().unwrap() {
                return Err(Reason::new("disk_full", ""));
            }
            self.texts.lock().unwrap().insert(name.to_owned(), text);
            Ok(())
        })
    }
}

fn setup(address: &str, vault: Arc<Memory>) -> Setup {
    Setup {
        name: "counter".to_owned(),
        address: address.to_owned(),
        keys: BTreeMap::from([("protected".to_owned(), Value::Flag(true))]),
        secrets: BTreeMap::new(),
        vault,
        installation: "kassad-7f".to_owned(),
        utc_offset_s: OFFSET_S,
        clock: Clock::machine(),
    }
}

/// Answers one request after the other from a script of (expected start of the request, token it carries, answer).
async fn serve(listener: &TcpListener, script: &[(&str, &str, u16, &str)]) {
    for (request, token, status, body) in script {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with(&format!("GET {request}")), "{request} is not {head}");
        assert_eq!(head.contains("accesstoken: "), !token.is_empty(), "{head}");
        assert!(head.contains(token), "{token} is not in {head}");
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

const PAIR_1: &str =
    r#"{"statusCode":0,"data":{"accessToken":"a1","refreshToken":"r1","expirationDate":"2026-05-30 01:00:00"}}"#;
const PAIR_2: &str =
    r#"{"statusCode":0,"data":{"accessToken":"a2","refreshToken":"r2","expirationDate":"May 30, 2026 01:00:00"}}"#;
const TAKEN: &str = r#"{"statusCode":0,"data":{"processId":"17800000001","status":"wait"}}"#;
const NO: &str = r#"{"statusCode":105,"errorText":"already allowed"}"#;

async fn terminal() -> (TcpListener, Arc<Memory>, KaspiSmartPos) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vault = Arc::new(Memory::default());
    let setup = setup(&format!("http://{}", listener.local_addr().unwrap()), vault.clone());
    let driver = KaspiSmartPos::open(&setup).unwrap();
    (listener, vault, driver)
}

fn code<T: std::fmt::Debug>(outcome: &Outcome<T>) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Refused(reason) => format!("refused {}", reason.code),
        Outcome::NotSent(reason) => format!("not sent {}", reason.code),
        Outcome::Unknown(reason) => format!("unknown {}", reason.code),
    }
}

fn asked(handle: &Handle) -> Asked {
    Asked { act: Act::Payment, handle: handle.clone(), amount: Tiyn(1_240_000) }
}

#[tokio::test]
async fn a_terminal_registers_charges_and_renews_a_token_that_died() {
    let (listener, vault, mut driver) = terminal().await;
    let ask = collect(Tiyn(1_240_000));
    let story = async {
        assert_eq!(code(&driver.prepare(NOW).await), "done");
        assert!(vault.texts.lock().unwrap()["terminal.counter.tokens"].contains("a1"));
        assert_eq!(code(&driver.prepare(NOW).await), "done", "a living token is not renewed");
        // 403 to the start: renewed, and started once more.
        let Outcome::Done(handle) = driver.start(&ask).await else { panic!("not started") };
        assert!(vault.texts.lock().unwrap()["terminal.counter.tokens"].contains("a2"));
        let paid = driver.inquire(&asked(&handle)).await;
        assert!(matches!(&paid, Outcome::Done(Standing::Paid(evidence)) if evidence.amount == ask.amount), "{paid:?}");
        // `actualize` has nothing to find out: the status is read instead.
        assert!(
            matches!(driver.settle(&asked(&handle)).await, Outcome::Done(Standing::Pending(word)) if word == "WaitUser")
        );
        assert_eq!(code(&driver.prepare(NOW.plus_ms(23 * 3_600_000 + 1_800_000)).await), "done");
    };
    let script = [
        ("/v2/register?name=kassad-7f", "", 200, PAIR_1),
        ("/v2/payment?amount=12400", "a1", 403, ""),
        ("/v2/revoke?name=kassad-7f&refreshToken=r1", "", 200, PAIR_2),
        ("/v2/payment?amount=12400", "a2", 200, TAKEN),
        ("/v2/status?processId=17800000001", "a2", 200, r#"{"statusCode":0,"data":{"status":"success","amount":0}}"#),
        ("/v2/actualize?processId=17800000001", "a2", 200, r#"{"statusCode":103}"#),
        (
            "/v2/status?processId=17800000001",
            "a2",
            200,
            r#"{"statusCode":0,"data":{"status":"wait","subStatus":"WaitUser"}}"#,
        ),
        ("/v2/revoke?name=kassad-7f&refreshToken=r2", "", 200, PAIR_1),
    ];
    tokio::join!(story, serve(&listener, &script));
}

#[tokio::test]
async fn a_terminal_that_forgot_us_says_the_cure() {
    let (listener, vault, mut driver) = terminal().await;
    let dead =
        Tokens { access: Secret::new("a0"), refresh: Secret::new("r0"), from: NOW, until: NOW.plus_ms(86_400_000) };
    vault.texts.lock().unwrap().insert("terminal.counter.tokens".to_owned(), dead.to_text());
    let (ask, handle) = (collect(Tiyn(1_240_000)), Handle("17800000001".to_owned()));
    let story = async {
        assert_eq!(code(&driver.prepare(NOW).await), "done");
        assert_eq!(code(&driver.inquire(&asked(&handle)).await), "unknown no_access");
        let refused = driver.prepare(NOW).await;
        assert!(
            matches!(&refused, Outcome::Refused(reason) if reason.code == "name_taken" && reason.detail.contains("Запретить"))
        );
        assert_eq!(code(&driver.start(&ask).await), "not sent no_access");
        assert_eq!(code(&driver.prepare(NOW).await), "done", "after the cure");
    };
    let script = [
        ("/v2/status", "a0", 403, ""),
        ("/v2/revoke", "", 200, NO),
        ("/v2/register", "", 200, NO),
        ("/v2/payment", "a0", 401, ""),
        ("/v2/revoke", "", 200, NO),
        ("/v2/register", "", 200, PAIR_1),
    ];
    tokio::join!(story, serve(&listener, &script));
}

#[tokio::test]
async fn a_pair_that_is_not_durable_is_not_used() {
    let (listener, vault, mut driver) = terminal().await;
    let story = async {
        *vault.is_full.lock().unwrap() = true;
        assert_eq!(code(&driver.prepare(NOW).await), "not sent disk_full");
        *vault.is_full.lock().unwrap() = false;
        assert_eq!(code(&driver.prepare(NOW).await), "done", "the same pair, without another tap");
        assert_eq!(code(&driver.start(&collect(Tiyn(100))).await), "not sent busy");
        assert_eq!(code(&driver.start(&collect(Tiyn(150))).await), "refused bad_amount");
    };
    let script = [
        ("/v2/register", "", 200, PAIR_1),
        ("/v2/payment?amount=1 ", "a1", 200, r#"{"statusCode":107,"errorText":"Предыдущая операция не завершена"}"#),
    ];
    tokio::join!(story, serve(&listener, &script));
}
