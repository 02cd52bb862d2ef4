//! Stories of the counter page on the LAN and of people's data: the true daemon behind an address that is not loopback, and strangers who
//! speak HTTP by hand. Where the machine has no such address they come by a proxy, which counts the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use crate::shop::{Bare, Counter, PHONE, STEP, wish};
use kassad::config::Config;
use kassad::host::floor::Trust;
use kassad::host::secret::write_private;
use kassad::ledger::{Reader, journal};
use kassad::sandbox::aipay::sign;
use kassad::sandbox::restaurant::SANDBOX_SECRET;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PIN: &str = "471108";
const MINUTE: Duration = Duration::from_secs(60);

/// An address of this machine that is not loopback; nothing is sent to find it.
fn lan() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.77:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

fn with_pin(shop: &Counter, pin: &str) -> Config {
    shop.config();
    write_private(&shop.folder.path().join("counter.pin"), pin).unwrap();
    let text = std::fs::read_to_string(shop.folder.path().join("kassad.toml")).unwrap();
    let head = "[listen]\n";
    assert!(text.contains(head));
    let keys = format!("{head}pin_file = \"counter.pin\"\nhosts = [\"kassa.local\"]\n");
    let mut config = Config::parse(&text.replace(head, &keys), shop.folder.path()).unwrap();
    config.listen.local = "0.0.0.0:0".parse().unwrap();
    config
}

async fn open() -> Counter {
    let mut shop = Counter::open().await;
    shop.stop().await;
    let config = with_pin(&shop, PIN);
    shop.start_with(&config).await;
    shop
}

/// An answer, as it came.
#[derive(Debug)]
struct Told {
    status: u16,
    head: String,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> Option<String> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")))?;
        Some(line.split_once(": ").unwrap().1.to_owned())
    }

    /// The key in the cookie.
    fn cookie(&self) -> String {
        let set = self.header("set-cookie").unwrap();
        set.split(';').next().unwrap().to_owned()
    }
}

/// Somebody of the LAN.
struct Stranger {
    to: SocketAddr,
    host: String,
    proxied: bool,
}

impl Stranger {
    fn of(shop: &Counter) -> Stranger {
        let port = shop.local().port();
        match lan() {
            Some(ip) => Stranger { to: (ip, port).into(), host: format!("{ip}:{port}"), proxied: false },
            None => Stranger { to: ([127, 0, 0, 1], port).into(), host: format!("192.0.2.2:{port}"), proxied: true },
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
        let has = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !has("host") {
            text += &format!("Host: {}\r\n", self.host);
        }
        if self.proxied {
            text += "X-Forwarded-For: 192.0.2.9\r\n";
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.to).await.unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let all = String::from_utf8_lossy(&all).into_owned();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Told { status, head: head.replace("\r\n", "\n"), body: body.to_owned() }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask("GET", path, headers, "").await.status
    }

    async fn sign_in(&self, body: &Value) -> Told {
        self.ask("POST", "/api/v1/sign-in", &[("Content-Type", "application/json")], &body.to_string()).await
    }

    async fn cookie(&self, name: &str) -> String {
        let told = self.sign_in(&json!({ "pin": PIN, "name": name })).await;
        assert_eq!(told.status, 200, "{told:?}");
        told.cookie()
    }
}

// ---- the way in ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_lan_the_page_is_shown_and_everything_else_needs_a_key() {
    let shop = open().await;
    let guest = Stranger::of(&shop);
    let page = guest.ask("GET", "/", &[], "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("counter.js") && page.header("content-security-policy").is_some());
    for path in ["/counter.js", "/counter.css", "/healthz", "/api/v1/words?lang=kk"] {
        assert_eq!(guest.get(path, &[]).await, 200, "{path}");
    }
    let closed = [
        "/api/v1/status",
        "/api/v1/orders",
        "/api/v1/payments",
        "/api/v1/jobs",
        "/api/v1/day",
        "/api/v1/events",
        "/api/v1/keys",
        "/api/v1/fiscal",
        "/api/v1/printers",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/probe/abc",
        "/nothing",
    ];
    for path in closed {
        let told = guest.ask("GET", path, &[], "").await;
        assert_eq!((told.status, told.json()["code"].as_str()), (401, Some("key_needed")), "{path} {told:?}");
        // A loopback name in the head does not make a stranger one of this machine.
        assert_eq!(guest.get(path, &[("Host", "127.0.0.1:8780")]).await, 401, "{path}");
    }
    let order = shop.order();
    let body = wish(order, "cash").to_string();
    let json = ("Content-Type", "application/json");
    assert_eq!(guest.ask("POST", "/api/v1/payments", &[json], &body).await.status, 401);
    assert_eq!(guest.ask("POST", "/v1/invoices", &[json], "{}").await.status, 401, "bots have keys of their own");
    // This machine goes on as ever.
    assert_eq!(shop.get("/api/v1/status").await.status, 200);
    assert_eq!(shop.get("/api/v1/payments").await.body["payments"], json!([]), "nothing was begun");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_pin_gives_a_cookie_that_sells_and_lasts_over_a_restart() {
    let mut shop = open().await;
    let tablet = Stranger::of(&shop);
    let told = tablet.sign_in(&json!({ "pin": PIN, "name": "планшет" })).await;
    assert_eq!(told.status, 200, "{told:?}");
    let set = told.header("set-cookie").unwrap();
    for flag in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age="] {
        assert!(set.contains(flag), "{set}");
    }
    assert!(!set.contains("Domain") && set.split([';', '=']).nth(1).unwrap().len() >= 32, "{set}");
    assert!(!told.body.contains(told.cookie().split_once('=').unwrap().1), "the page's scripts never see the key");
    assert_eq!(told.header("cache-control").as_deref(), Some("no-store"));
    let (cookie, order) = (told.cookie(), shop.order());
    let own = format!("http://{}", tablet.host);
    let headers = [("Cookie", cookie.as_str()), ("Content-Type", "application/json"), ("Origin", own.as_str())];
    let paid = tablet.ask("POST", "/api/v1/payments", &headers, &wish(order, "cash").to_string()).await;
    assert_eq!(paid.status, 201, "{paid:?}");
    assert_eq!(tablet.get("/metrics", &[("Cookie", &cookie)]).await, 200);
    assert_eq!(tablet.get("/openapi.json", &[("Cookie", &cookie), ("Host", "kassa.local")]).await, 200);
    shop.stop().await;
    let config = with_pin(&shop, PIN);
    shop.start_with(&config).await;
    let tablet = Stranger::of(&shop);
    assert_eq!(tablet.get("/api/v1/status", &[("Cookie", &cookie)]).await, 200, "a restart keeps keys");
    // Neither the key nor the PIN is in the ledger.
    let key = cookie.split_once('=').unwrap().1.to_owned();
    shop.stop().await;
    let bytes = std::fs::read(shop.folder.path().join("ledger.db")).unwrap();
    assert!(!holds(&bytes, &key) && holds(&bytes, "планшет"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_pin_ends_every_key() {
    let mut shop = open().await;
    let tablet = Stranger::of(&shop);
    let cookie = tablet.cookie("планшет").await;
    assert_eq!(tablet.get("/api/v1/status", &[("Cookie", &cookie)]).await, 200);
    shop.stop().await;
    let config = with_pin(&shop, "830517");
    shop.start_with(&config).await;
    let tablet = Stranger::of(&shop);
    assert_eq!(tablet.get("/api/v1/status", &[("Cookie", &cookie)]).await, 401);
    assert_eq!(tablet.sign_in(&json!({ "pin": PIN })).await.status, 403);
    assert_eq!(tablet.sign_in(&json!({ "pin": "830517" })).await.status, 200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_gets_its_key_once_and_devices_are_listed_and_revoked() {
    let shop = open().await;
    let guest = Stranger::of(&shop);
    let told = guest.sign_in(&json!({ "pin": PIN, "name": "скрипт", "as": "program" })).await;
    let key = told.json()["key"].as_str().unwrap().to_owned();
    assert!(key.len() >= 32 && told.header("set-cookie").is_none(), "{told:?}");
    let bearer = format!("Bearer {key}");
    let bearer = [("Authorization", bearer.as_str())];
    let cookie = guest.cookie("планшет").await;
    let listed = guest.ask("GET", "/api/v1/keys", &bearer, "").await;
    assert!(!listed.body.contains(&key), "{listed:?}");
    let keys = listed.json()["keys"].clone();
    let names: Vec<(&str, bool)> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["name"].as_str().unwrap(), key["this"].as_bool().unwrap()))
        .collect();
    assert_eq!(names, [("скрипт", true), ("планшет", false)]);
    assert_eq!(keys[0]["used"], "2026-11-21");
    let tablet = keys[1]["id"].as_str().unwrap();
    let mut listens = Bare::open(guest.to).await;
    let proxy = if guest.proxied { "X-Forwarded-For: 192.0.2.9\r\n" } else { "" };
    let ask = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: {cookie}\r\n{proxy}\r\n",
        guest.host
    );
    listens.say(ask.as_bytes()).await;
    listens.until("event: hello").await;
    let said = guest.ask("POST", &format!("/api/v1/keys/{tablet}/revoke"), &bearer, "").await;
    assert_eq!(said.status, 200, "{said:?}");
    // What it listens to ends with its key.
    listens.rest().await;
    assert_eq!(guest.get("/api/v1/status", &[("Cookie", &cookie)]).await, 401);
    assert_eq!(guest.ask("POST", &format!("/api/v1/keys/{tablet}/revoke"), &bearer, "").await.status, 404);
    assert_eq!(guest.ask("POST", "/api/v1/sign-out", &bearer, "").await.status, 200);
    assert_eq!(guest.get("/api/v1/status", &bearer).await, 401);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_the_pin_is_stopped_and_who_has_a_key_goes_on() {
    let shop = open().await;
    let guest = Stranger::of(&shop);
    let cookie = guest.cookie("планшет").await;
    for left in ["4", "3", "2", "1"] {
        let told = guest.sign_in(&json!({ "pin": "081542" })).await;
        assert_eq!((told.status, told.json()["detail"].as_str()), (403, Some(left)), "{told:?}");
    }
    let told = guest.sign_in(&json!({ "pin": "081542" })).await;
    assert_eq!(told.status, 429, "{told:?}");
    assert_eq!(told.header("retry-after").as_deref(), Some("900"), "{told:?}");
    assert_eq!(guest.sign_in(&json!({ "pin": PIN })).await.status, 429, "the right one as well");
    let status = guest.ask("GET", "/api/v1/status?lang=en", &[("Cookie", &cookie)], "").await;
    assert_eq!(status.status, 200, "a device with a key goes on");
    let devices = status.json()["devices"].clone();
    let mark = devices.as_array().unwrap().iter().find(|device| device["name"] == "sign-in").unwrap().clone();
    assert_eq!(mark["state"], "warn");
    assert!(mark["text"].as_str().unwrap().starts_with("Somebody is guessing the PIN"), "{mark}");
    shop.pass(15 * MINUTE, MINUTE).await;
    assert_eq!(guest.sign_in(&json!({ "pin": PIN })).await.status, 200);
    let status = guest.ask("GET", "/api/v1/status", &[("Cookie", &cookie)], "").await.json();
    assert!(!status["devices"].to_string().contains("warn"), "{status}");
    shop.close().await;
}

/// A page on the web that had its name rebound to us, a form on another site, another server of the same machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_reads_nothing_and_writes_nothing_even_with_the_cookie() {
    let shop = open().await;
    let victim = Stranger::of(&shop);
    let cookie = victim.cookie("планшет").await;
    let cookie = ("Cookie", cookie.as_str());
    let body = wish(shop.order(), "cash").to_string();
    let json = ("Content-Type", "application/json");
    for (due, headers) in [
        (421, vec![cookie, json, ("Host", "evil.kz:8780")]),
        (421, vec![cookie, json, ("Host", "192.168.1.7.evil.kz")]),
        (403, vec![cookie, json, ("Origin", "http://evil.kz")]),
        (403, vec![cookie, json, ("Origin", "null")]),
        (403, vec![cookie, json, ("Sec-Fetch-Site", "same-site")]),
        (415, vec![cookie, ("Content-Type", "text/plain")]),
        (415, vec![cookie, ("Content-Type", "application/x-www-form-urlencoded")]),
        (415, vec![cookie]),
    ] {
        let told = victim.ask("POST", "/api/v1/payments", &headers, &body).await;
        assert_eq!(told.status, due, "{headers:?} {told:?}");
    }
    for (due, path, headers) in [
        (421, "/api/v1/orders", vec![cookie, ("Host", "evil.kz:8780")]),
        (403, "/api/v1/events", vec![cookie, ("Origin", "http://evil.kz")]),
        (403, "/api/v1/status", vec![cookie, ("Sec-Fetch-Site", "cross-site")]),
        (421, "/metrics", vec![cookie, ("Host", "evil.kz")]),
    ] {
        assert_eq!(victim.get(path, &headers).await, due, "{path} {headers:?}");
    }
    let key = cookie.1.split_once('=').unwrap().1;
    for name in ["key", "token", "access_token", "pin"] {
        assert_eq!(victim.get(&format!("/api/v1/status?{name}={key}"), &[]).await, 400, "{name}");
        assert_eq!(victim.get(&format!("/?{name}={key}"), &[cookie]).await, 400, "{name}");
    }
    assert_eq!(shop.get("/api/v1/payments").await.body["payments"], json!([]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_this_machine_makes_nobody_one_of_us() {
    let shop = Counter::open().await;
    let here = Stranger { to: shop.local(), host: shop.local().to_string(), proxied: false };
    assert_eq!(here.get("/api/v1/status", &[]).await, 200);
    for header in [("X-Forwarded-For", "10.0.0.9"), ("Forwarded", "for=10.0.0.9"), ("X-Forwarded-Proto", "https")] {
        let told = here.ask("GET", "/api/v1/status", &[header], "").await;
        assert_eq!((told.status, told.json()["code"].as_str()), (401, Some("no_pin")), "{told:?}");
    }
    let told = here.sign_in(&json!({ "pin": "471108" })).await;
    assert_eq!((told.status, told.json()["code"].as_str()), (403, Some("no_pin")), "{told:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_leads_to_the_page_closes_it() {
    let shop = Counter::open().await;
    let own_question = shop.probes().issue(&kassad::host::ids::Ids::seeded(7));
    // A question of somebody else, a doctor's, says nothing; ours belongs to the public listener.
    assert_eq!(shop.get("/probe/abc123").await.status, 200);
    assert_eq!(shop.public_get(&format!("/probe/{own_question}")).await.status, 200);
    assert_eq!(shop.get("/api/v1/status").await.status, 200);
    shop.get(&format!("/probe/{own_question}")).await;
    for path in ["/api/v1/status", "/api/v1/orders", "/metrics"] {
        let told = shop.get(path).await;
        assert_eq!((told.status, &told.body["code"]), (403, &json!("tunnel_wrong_door")), "{path} {}", told.text);
    }
    assert_eq!(shop.public_get("/probe/abc123").await.status, 200, "webhooks come in as ever");
    shop.close().await;
}

#[test]
fn a_pin_that_anybody_tries_first_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counter.pin");
    let config =
        Config::parse("[listen]\nlocal = \"0.0.0.0:8780\"\npin_file = \"counter.pin\"\n", folder.path()).unwrap();
    assert_eq!(config.pin().unwrap_err().key, "listen.pin_file", "a missing file");
    for weak in [
        "0000",
        "1111",
        "1234",
        "4321",
        "9876",
        "7890",
        "123456",
        "87654321",
        "1212",
        "123123",
        "12341234",
        "2580",
        "123",
        "123456789",
        "12a4",
        "пин1",
        "",
    ] {
        write_private(&file, weak).unwrap();
        let fault = config.pin().unwrap_err();
        assert!(fault.line == 3 && !fault.cure.is_empty(), "{weak} {fault}");
        assert_eq!(config.look_at_secrets().0.len(), 1, "{weak}");
        assert!(weak.len() < 3 || !fault.to_string().contains(weak) || weak == "123", "a fault names no PIN: {fault}");
    }
    for good in ["471108", "803157", "20481357"] {
        write_private(&file, good).unwrap();
        assert_eq!(config.pin().unwrap().unwrap().expose(), good);
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(config.pin().unwrap_err().cure, format!("chmod 600 {}", file.display()));
    assert_eq!(config.look_at_secrets().0.len(), 1);
}

// ---- people's data ----

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Where a text stands in the files of the ledger.
fn found(shop: &Counter, text: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(shop.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("ledger.db") && holds(&std::fs::read(&path).unwrap(), text) {
            files.push(name);
        }
    }
    files
}

/// The list of payments without what grows with time.
fn aged(payments: &Value) -> Value {
    let mut payments = payments.clone();
    for row in payments["payments"].as_array_mut().unwrap() {
        assert!(row.as_object_mut().unwrap().remove("age_s").is_some(), "{row}");
        if let Some(question) = row["question"].as_object_mut() {
            question.remove("since_s");
        }
    }
    payments
}

/// What the books say of each payment: whose it is, where it stands, what was asked, paid and may still go back, and what went back.
fn sums(payments: &Value) -> Vec<[Value; 6]> {
    let back = |row: &Value| {
        row["refunds"].as_array().unwrap().iter().map(|one| json!([one["amount"], one["state"]])).collect::<Vec<_>>()
    };
    let rows = payments["payments"].as_array().unwrap().iter();
    rows.map(|row| {
        let [id, state, asked, paid, left] =
            ["id", "state", "amount", "amount_paid", "refundable"].map(|name| row[name].clone());
        [id, state, asked, paid, left, json!(back(row))]
    })
    .collect()
}

/// A guest's phone, a comment of a bot with a name and another phone, a reason typed by a person with a third.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_after_ninety_days_people_are_forgotten_and_a_replay_changes_nothing() {
    const NAME: &str = "Айгуль с пятого этажа";
    const OTHER: &str = "87019876543";
    let mut shop = Counter::open().await;
    shop.clock.tell_trust(Trust::Synced);
    let order = shop.order();
    let id = shop.pay(order, "kaspi_invoice").await;
    shop.until_invoices(1).await;
    shop.until_state(&id, "waiting").await;
    let invoice = shop.invoice();
    assert!(shop.aipay().guest_pays(&invoice.id));
    shop.is_sold_once(order, &id, 0, 6100).await;
    let cash_order = shop.order();
    let cash = shop.pay(cash_order, "cash").await;
    shop.until_done(&cash).await;
    let back = json!({ "amount": 100, "by": "Мария", "because": format!("вернула, телефон {OTHER}") });
    let said = shop.post(&format!("/api/v1/payments/{cash}/refund"), &back).await;
    assert!(said.status < 300, "{said:?}");
    // A script's own order, whose payment has no phone; its key is bound to the whole of what was asked.
    let own = json!({ "reference": "own-1", "total": 700, "tender": "cash", "comment": "для Дархана",
        "description": format!("звонить {OTHER}") });
    let keyed = shop.post_keyed("/api/v1/payments", "script-1", &own).await;
    assert_eq!(keyed.status, 201, "{keyed:?}");
    let bot =
        json!({ "amount": 2500, "phone": PHONE, "external_id": "bot-1", "description": format!("{NAME} {OTHER}") });
    let first = shop.bot_post(&bot).await;
    assert_eq!((first.status, first.body["phone"].as_str()), (201, Some(PHONE)), "{first:?}");
    shop.until_invoices(2).await;
    assert!(shop.aipay().guest_pays(&shop.invoice().id));
    let name = first.body["invoice_id"].as_str().unwrap().to_owned();
    shop.until("the bot's invoice is paid", async || shop.bot_get(&name).await.body["status"] == "paid").await;
    shop.until("its paper is out", async || {
        let jobs = shop.get("/api/v1/jobs").await.body["jobs"].as_array().cloned().unwrap_or_default();
        jobs.iter().all(|job| ["confirmed", "done"].contains(&job["state"].as_str().unwrap_or_default()))
    })
    .await;
    let body =
        json!({ "event": "invoice.paid", "invoice_id": invoice.id, "external_id": id, "amount": 6100, "phone": PHONE })
            .to_string();
    assert_eq!(shop.signed_notice(&body).await, 200);
    assert!(!found(&shop, PHONE).is_empty() && !found(&shop, NAME).is_empty(), "it is kept for a while");
    let sold = sums(&shop.get("/api/v1/payments").await.body);
    assert!(sold.iter().any(|row| row[0] == cash && row[5][0][0] == json!(100)), "{sold:?}");
    let books = shop.get("/api/v1/day").await.body;
    assert!(!books.to_string().contains(PHONE) && !shop.get("/api/v1/status").await.text.contains(PHONE));
    assert!(
        !shop.get("/api/v1/payments").await.text.contains(PHONE)
            && !shop.get("/api/v1/jobs").await.text.contains(PHONE)
    );

    // The clock that nobody has set decides nothing, however late it says it is.
    shop.clock.tell_trust(Trust::Unknown);
    shop.clock.jump(kassad::domain::time::Wall(shop.clock.told_wall().0 + 91 * 86_400_000));
    shop.pass(13 * 60 * MINUTE, 5 * MINUTE).await;
    assert!(!found(&shop, PHONE).is_empty());
    shop.clock.tell_trust(Trust::Synced);
    shop.until_by(MINUTE, "people are forgotten", async || {
        [PHONE, NAME, OTHER].iter().all(|text| found(&shop, text).is_empty())
    })
    .await;

    // An old notice, rightly signed: known, and nothing comes of it. The bot's repeat is the invoice that was paid.
    let before = aged(&shop.get("/api/v1/payments").await.body);
    let asked = shop.questions().await;
    assert_eq!(sums(&before), sold, "the books add up as they did");
    assert_eq!(shop.notice("x-aipay-signature", &sign(SANDBOX_SECRET, body.as_bytes()), &body).await, 200);
    let again = shop.bot_post(&bot).await;
    assert_eq!((again.status, &again.body["invoice_id"]), (201, &first.body["invoice_id"]), "{again:?}");
    assert_eq!(again.body["phone"], Value::Null);
    let known = shop.post_keyed("/api/v1/payments", "script-1", &own).await;
    assert_eq!((known.status, &known.body["id"]), (201, &keyed.body["id"]), "{known:?}");
    let mut other = bot.clone();
    other["amount"] = json!(9000);
    assert_eq!(shop.bot_post(&other).await.status, 409, "the key is still bound to what was asked for");
    shop.pass(15 * MINUTE, 100 * STEP).await;
    assert_eq!(aged(&shop.get("/api/v1/payments").await.body), before);
    assert_eq!(shop.questions().await, asked, "no question comes of it");
    shop.stop().await;
    let reader = Reader::open(&shop.folder.path().join("ledger.db")).unwrap();
    assert_eq!(journal::verify(&reader).unwrap().1, []);
    let connection = rusqlite::Connection::open(shop.folder.path().join("ledger.db")).unwrap();
    let bound = "SELECT count(*), sum(content LIKE 'bare:%') FROM keys";
    let (keys, bare): (i64, i64) = connection.query_row(bound, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(keys >= 2 && keys == bare, "{bare} of {keys}");
    drop(connection);
    let mode = std::fs::metadata(shop.folder.path().join("ledger.db")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let config = shop.config();
    shop.start_with(&config).await;
    shop.close().await;
}

/// The journal is for ever: a phone must not get into it, whoever types it where.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_phone_gets_into_the_journal() {
    let mut shop = Counter::open().await;
    let order = shop.order();
    let id = shop.pay(order, "cash").await;
    shop.until_done(&id).await;
    let because = format!("вернул, телефон {PHONE}");
    let body = json!({ "amount": 6100, "by": "Мария", "because": because });
    let said = shop.post(&format!("/api/v1/payments/{id}/refund"), &body).await;
    assert!(said.status < 300, "{said:?}");
    let other = shop.order();
    let invoice = shop.pay(other, "kaspi_invoice").await;
    shop.until_state(&invoice, "waiting").await;
    let unread = format!("{{\"phone\":\"{PHONE}\"}}");
    assert_eq!(shop.signed_notice(&unread).await, 200);
    shop.until_asked("unreadable").await;
    shop.stop().await;
    let connection = rusqlite::Connection::open(shop.folder.path().join("ledger.db")).unwrap();
    let told: String =
        connection.query_row("SELECT group_concat(entry, char(10)) FROM journal", [], |row| row.get(0)).unwrap();
    assert!(told.contains("вернул") && !told.contains(PHONE), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_the_ledger_are_nobody_elses() {
    let mut shop = Counter::open().await;
    shop.stop().await;
    let mut config = shop.config();
    config.ledger = shop.folder.path().join("var/kassad/ledger.db");
    shop.start_with(&config).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = config.ledger.parent().unwrap();
    assert_eq!(mode(folder), 0o700);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("ledger.db")
            && path.extension().is_some_and(|end| end != "lock")
        {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "the ledger, its log and its index: {seen}");
    shop.stop().await;
}
