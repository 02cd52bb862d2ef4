//! Paths, methods, keys, probes and places of the public listener: what is listed is there, all else is the same nothing; and whoever
//! keeps us waiting gives his place to whoever does not.

use super::{Calm, Counter, kept, metric, notice, right, say, signed, status};
use crate::shop::{Bare, PHONE};
use kassad::daemon;
use kassad::host::clock::Clock;
use kassad::host::ids::Ids;
use kassad::host::tasks::Stop;
use kassad::http::flood::{ALARM_AT, PROBES_PER_S, WINDOW};
use kassad::http::listener::{self, Manner};
use kassad::http::places::Places;
use kassad::sandbox::restaurant::SANDBOX_SECRET;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_listed_paths_are_there_and_each_by_its_one_method() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let ask = async |line: &str| say(&shop, format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
    let mut nothing = std::collections::BTreeSet::new();
    for path in [
        "/",
        "/webhooks",
        "/webhooks/",
        "/webhooks/nobody",
        "/webhooks/aipay/",
        "/webhooks/aipay/x",
        "/webhooks/AiPay",
        "/webhooks/%61ipay",
        "/webhooks//aipay",
        "//webhooks/aipay",
        "/./webhooks/aipay",
        "/webhooks/aipay%00",
        "/webhooks/aipay%2f",
        "/webhooks/..%2f..%2fmetrics",
        "/webhooks/../metrics",
        "/webhooks/aipay;a=b",
        "/probe",
        "/probe/",
        "/probe/a/b",
        "/probe/a-b",
        "/probe/%41",
        "/metrics",
        "/readyz",
        "/healthz",
        "/openapi.json",
        "/api/v1/status",
        "/api/v1/events",
        "/counter.js",
        "/v1/invoices",
        "/v1/invoices/inv_1",
        "/.env",
        "/favicon.ico",
        "/robots.txt",
        "/wp-login.php",
        "http://localhost:8780/metrics",
        "*",
    ] {
        for method in ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO"] {
            let heard = ask(&format!("{method} {path}")).await;
            // A star is a target of OPTIONS alone.
            let due: &[u16] = if path == "*" { &[400, 404] } else { &[404] };
            assert!(due.contains(&status(&heard)), "{method} {path}: {heard}");
            if status(&heard) == 404 && method != "HEAD" {
                nothing.insert(heard.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n"));
            }
        }
    }
    assert_eq!(nothing.len(), 1, "{nothing:#?}");
    for (path, allowed) in [("/webhooks/aipay", "POST"), ("/probe/abc", "GET")] {
        for method in ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO"] {
            if method != allowed {
                let heard = ask(&format!("{method} {path}")).await;
                assert_eq!(status(&heard), 405, "{method} {path}");
                assert!(heard.contains(&format!("\r\nallow: {allowed}\r\n")), "{heard}");
            }
        }
    }
    assert_eq!(kept(&shop).await, 0);
    calm.holds();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_probe_is_answered_in_any_flood_of_others() {
    let shop = Counter::open().await;
    let probe = async |nonce: &str| {
        status(&say(&shop, format!("GET /probe/{nonce} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await)
    };
    let mut passed = 0;
    for number in 0..PROBES_PER_S + 30 {
        passed += u32::from(probe(&format!("stranger{number}")).await == 200);
    }
    // The clock of the story stands, but for what its own calls move it.
    assert_eq!(passed, PROBES_PER_S);
    let ours = shop.probes().issue(&Ids::seeded(99));
    assert_eq!(probe(&ours).await, 200);
    shop.probes().forget(&ours);
    assert_eq!(probe(&ours).await, 429);
    // Nor does the flood touch a notice, or the probe at home.
    assert_eq!(status(&say(&shop, &signed(notice("inv-probe").as_bytes())).await), 200);
    assert_eq!(shop.get("/probe/abc").await.status, 200);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(probe("stranger").await, 200);
    shop.close().await;
}

fn webhooks(status: &Value) -> Value {
    let devices = status["devices"].as_array().cloned().unwrap_or_default();
    devices.into_iter().find(|device| device["name"] == "webhooks").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_ten_forgeries_in_a_minute_alarm_and_the_alarm_goes_by_itself() {
    let shop = Counter::open().await;
    for number in 0..ALARM_AT {
        assert_eq!(webhooks(&shop.get("/api/v1/status").await.body), Value::Null, "{number}");
        assert_eq!(shop.notice("x-aipay-signature", "00", "{}").await, 403);
    }
    shop.until("the alarm shows", async || webhooks(&shop.get("/api/v1/status").await.body)["state"] == "warn").await;
    let shown = webhooks(&shop.get("/api/v1/status").await.body);
    assert!(shown["text"].as_str().unwrap().contains("10"), "{shown}");
    assert!(shop.get("/metrics").await.text.contains("kassad_device_up{name=\"webhooks\",role=\"webhooks\"} 1"));
    shop.clock.advance(WINDOW);
    shop.until("the alarm is over", async || webhooks(&shop.get("/api/v1/status").await.body)["state"] == "up").await;
    // Somebody goes on: it comes back.
    for _ in 0..ALARM_AT {
        shop.notice("x-aipay-signature", "00", "{}").await;
    }
    shop.until("it shows again", async || webhooks(&shop.get("/api/v1/status").await.body)["state"] == "warn").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_outside_are_known_by_their_key_alone_and_guesses_are_counted() {
    let calm = Calm::watch();
    let mut shop = Counter::open().await;
    let mut config = shop.config();
    config.listen.public_invoices = true;
    shop.stop().await;
    shop.start_with(&config).await;
    let wish = json!({ "phone": PHONE, "amount": 500, "external_id": "tg-1" }).to_string();
    let call = async |head: &str, body: &[u8]| {
        let mut bytes =
            format!("POST /v1/invoices HTTP/1.1\r\nhost: x\r\n{head}content-length: {}\r\n\r\n", body.len())
                .into_bytes();
        bytes.extend_from_slice(body);
        status(&say(&shop, &bytes).await)
    };
    let key = format!("authorization: Bearer {SANDBOX_SECRET}\r\n");
    let guesses = [
        String::new(),
        "authorization: \r\n".to_owned(),
        "authorization: Bearer\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Basic {SANDBOX_SECRET}\r\n"),
        format!("authorization: Bearer {SANDBOX_SECRET}x\r\n"),
        format!("authorization: Bearer {}\r\n", &SANDBOX_SECRET[1..]),
        format!("authorization: Bearer {}\r\n", SANDBOX_SECRET.to_uppercase()),
        format!("{key}{key}"),
        format!("{key}authorization: Bearer other\r\n"),
        format!("cookie: key={SANDBOX_SECRET}\r\n"),
    ];
    for guess in &guesses {
        assert_eq!(call(guess, wish.as_bytes()).await, 401, "{guess}");
    }
    for _ in 0..60 {
        call("authorization: Bearer guess\r\n", wish.as_bytes()).await;
    }
    assert_eq!(call("authorization: Bearer guess\r\n", wish.as_bytes()).await, 429);
    assert_eq!(call(&key, wish.as_bytes()).await, 201, "a right key in a flood of wrong ones");
    assert_eq!(metric(&shop, "kassad_wrong_keys_total").await, i64::try_from(guesses.len()).unwrap() + 61);
    // With the right key, whatever the body: an answer, and no invoice.
    for body in bodies() {
        let status = call(&key, &body).await;
        assert!((400..500).contains(&status), "{status} {}", String::from_utf8_lossy(&body));
    }
    for path in ["inv_", "inv_nobody", "inv_%2e", "..", "a/b", "inv_1?x=y"] {
        let text = format!("GET /v1/invoices/{path} HTTP/1.1\r\nhost: x\r\n{key}\r\n");
        assert_eq!(status(&say(&shop, text.as_bytes()).await), 404, "{path}");
    }
    assert_eq!(shop.get("/api/v1/payments").await.body["payments"].as_array().unwrap().len(), 1);
    calm.holds();
    shop.close().await;
}

/// Calls that ask for nothing that can be had.
fn bodies() -> Vec<Vec<u8>> {
    let whole = json!({ "phone": PHONE, "amount": 700, "external_id": "tg-2", "description": "чай" });
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("700.00"),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!("x".repeat(5000)),
    ];
    let mut bodies: Vec<Vec<u8>> =
        vec![b"".to_vec(), b"{".to_vec(), b"\xFF".to_vec(), b"[]".to_vec(), "[".repeat(60_000).into_bytes()];
    for field in ["phone", "amount", "external_id"] {
        for value in odd
            .iter()
            .filter(|value| !(field == "external_id" && [" ", "\u{0}", "700.00"].iter().any(|text| *value == text)))
        {
            let mut body = whole.clone();
            body[field] = value.clone();
            bodies.push(body.to_string().into_bytes());
        }
    }
    for lines in [
        json!("x"),
        json!([1]),
        json!([{ "name": "" }]),
        json!([{ "name": 1, "quantity": 1e9, "sum": -5 }]),
        json!({ "a": 1 }),
    ] {
        let mut body = whole.clone();
        body["lines"] = lines;
        bodies.push(body.to_string().into_bytes());
    }
    bodies
}

/// A listener with few places whose door `/` says hello and whose door `/held` waits until it is told.
struct Small {
    to: SocketAddr,
    places: Places,
    /// Counts who holds on at the second door, and lets them go.
    holding: Arc<AtomicUsize>,
    told: Arc<Semaphore>,
    _hand: kassad::host::tasks::StopHand,
}

impl Small {
    async fn open(places: usize, manner: impl FnOnce(Places) -> Manner) -> (Small, impl Future<Output = ()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let (hand, stop) = Stop::pair();
        let (holding, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let held = (holding.clone(), told.clone());
        let router = axum::Router::new().route("/", axum::routing::get(async || "hello")).route(
            "/held",
            axum::routing::get(async move || {
                held.0.fetch_add(1, Ordering::SeqCst);
                held.1.acquire().await.unwrap().forget();
                "held"
            }),
        );
        let places = Places::new(places, places);
        let face = listener::serve(
            listener,
            router,
            manner(places.clone()),
            Clock::machine(),
            daemon::spawner(stop.clone()),
            stop,
        );
        (Small { to, places, holding, told, _hand: hand }, face)
    }

    async fn until_taken(&self, count: usize) {
        while self.places.taken() != count {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_waiting_gives_his_place_and_one_at_work_never_does() {
    let (small, face) = Small::open(2, |places| Manner { places, ..Manner::local() }).await;
    let story = async {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        // One has been served and keeps his connection, one says nothing: the third displaces who has waited longest since.
        let mut silent = Bare::open(small.to).await;
        small.until_taken(1).await;
        let mut served = Bare::open(small.to).await;
        served.say(get("/").as_bytes()).await;
        served.until("hello").await;
        let mut third = Bare::open(small.to).await;
        third.say(get("/").as_bytes()).await;
        third.until("hello").await;
        assert_eq!(silent.rest().await, "", "displaced without a word");
        served.say(get("/").as_bytes()).await;
        served.until("hello").await;
        // Both at work: the next is turned away, and nobody else.
        served.say(get("/held").as_bytes()).await;
        third.say(get("/held").as_bytes()).await;
        while small.holding.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        let before = small.places.refused();
        assert!(Bare::open(small.to).await.rest().await.starts_with("HTTP/1.1 429 "));
        assert_eq!((small.places.refused(), small.places.taken()), (before + 1, 2));
        small.told.add_permits(2);
        served.until("held").await;
        third.until("held").await;
        // A place comes back with the end of its connection.
        drop((served, third));
        small.until_taken(0).await;
    };
    tokio::select! {
        () = face => panic!("the listener ended"),
        () = story => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_half_a_head_is_let_go() {
    let quick = |places| Manner { places, head_limit: Duration::from_millis(50), ..Manner::public() };
    let (small, face) = Small::open(8, quick).await;
    let story = async {
        for said in ["", "GET", "GET / HTTP/1.1\r\nhost: x\r\n", "GET / HTTP/1.1\r\nx: y"] {
            let mut wire = Bare::open(small.to).await;
            wire.say(said.as_bytes()).await;
            assert!(!wire.rest().await.contains("200 OK"), "{said}");
        }
        small.until_taken(0).await;
    };
    tokio::select! {
        () = face => panic!("the listener ended"),
        () = story => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_is_let_go_and_a_half_closed_genuine_one_is_answered() {
    let shop = Counter::open().await;
    let body = notice("inv-drip");
    let whole = signed(body.as_bytes());
    let mut slow = Bare::open(shop.public()).await;
    slow.say(&whole[..whole.len() - 1]).await;
    let (heard, ()) = tokio::join!(slow.rest(), shop.pass(Duration::from_secs(20), Duration::from_millis(100)));
    assert_eq!(status(&heard), 408, "{heard}");
    // Ended in the middle.
    assert_eq!(status(&say(&shop, &whole[..whole.len() - 1]).await), 400);
    assert_eq!(kept(&shop).await, 0);
    // In pieces, and then hung up.
    let mut wire = Bare::open(shop.public()).await;
    for piece in whole.chunks(50) {
        wire.say(piece).await;
        tokio::task::yield_now().await;
    }
    wire.hang_up().await;
    assert_eq!(status(&wire.rest().await), 200);
    assert_eq!(kept(&shop).await, 1);
    // Refused before all was said: the answer arrives all the same.
    let long = vec![b'x'; 200_000];
    let mut wire = Bare::open(shop.public()).await;
    let mut bytes =
        format!("POST /webhooks/aipay HTTP/1.1\r\n{}content-length: 200000\r\n\r\n", right(&long)).into_bytes();
    bytes.extend_from_slice(&long);
    wire.say(&bytes).await;
    assert_eq!(status(&wire.rest().await), 413);
    shop.close().await;
}
