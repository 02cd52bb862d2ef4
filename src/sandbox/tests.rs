//! The sandbox over real sockets: partners are strict, faults really break lines, webhooks are signed and repeated, time is moved by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use super::aipay::{AiPay, Dialect, InvoiceStatus, WebhookMode};
use super::control::{PaperView, PrinterView};
use super::faults::{Fault, Rule};
use super::poster::{ByHand, ErrorForm, SecondClose};
use super::terminal::{OperationStatus, PayMethod, Screen};
use super::{Stage, World, WorldOptions};
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::{Spawner, Stop, StopHand};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// 2026-11-21 08:00:00 UTC.
const NOON: Wall = Wall(1_795_248_000_000);
const PHONE: &str = "77011234567";

struct Stage0 {
    world: World,
    clock: Clock,
    http: reqwest::Client,
    hand: StopHand,
}

async fn stage(change: impl FnOnce(&mut WorldOptions)) -> Stage0 {
    // A second test in the same process finds the provider installed: that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = WorldOptions::default();
    change(&mut options);
    let clock = Clock::manual(NOON);
    let (hand, stop) = Stop::pair();
    let spawner = Spawner::new(|task| drop(tokio::spawn(task)));
    let world = World::start(options, clock.clone(), Ids::seeded(7), &spawner, stop).await.unwrap();
    world.aipay().set_webhook_url(Some(world.bot_url()));
    // Each request on its own connection, so that no request meets a line that an earlier fault broke.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    Stage0 { world, clock, http, hand }
}

async fn plain_stage() -> Stage0 {
    stage(|options| {
        options.bot.secret = options.aipay.webhook_secret.clone();
        options.terminals[0].protected = false;
    })
    .await
}

impl Stage0 {
    fn aipay(&self) -> &Arc<AiPay> {
        self.world.aipay()
    }

    async fn create(&self, body: Value) -> reqwest::Result<(u16, Value)> {
        let url = format!("{}/invoices", self.world.aipay_base());
        let reply = self.http.post(url).bearer_auth("sandbox-aipay-key").json(&body).send().await?;
        Ok((reply.status().as_u16(), reply.json().await?))
    }

    async fn invoice(&self) -> String {
        let (status, reply) = self.create(wanted()).await.unwrap();
        assert_eq!(status, 201, "{reply}");
        reply["invoice_id"].as_str().unwrap().to_owned()
    }

    async fn terminal(&self, path: &str) -> Value {
        self.get(&format!("{}/v2/{path}", self.world.terminal_base(0).unwrap())).await.1
    }

    async fn get(&self, url: &str) -> (u16, Value) {
        let reply = self.http.get(url).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    async fn poster(&self, call: &str) -> Value {
        let and = if call.contains('?') { '&' } else { '?' };
        self.get(&format!("{}/{call}{and}token={TOKEN}", self.world.poster_base())).await.1
    }

    async fn poster_write(&self, method: &str, body: Value) -> Value {
        let url = format!("{}/{method}?token={TOKEN}", self.world.poster_base());
        self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// Moves the clock second by second, so that every waiting task gets its turn.
    async fn pass_until(&self, fact: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if fact() {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
        panic!("the fact never came");
    }
}

const TOKEN: &str = "687409:00112233445566778899aabbccddeeff";

fn wanted() -> Value {
    json!({"phone": PHONE, "amount": 12400, "description": "Заказ 1950", "external_id": "t-1950-1-1"})
}

#[tokio::test]
async fn aipay_refuses_what_the_partner_would_refuse() {
    let stage = plain_stage().await;
    let bad = [
        json!({"amount": 12400.0}),
        json!({"amount": "12400"}),
        json!({"amount": 0}),
        json!({"phone": "+77011234567"}),
        json!({"phone": "87011234567"}),
        json!({"phone": 77_011_234_567_i64}),
        json!({"description": ""}),
        json!({"external_id": null}),
    ];
    for change in bad {
        let mut body = wanted();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(stage.create(body).await.unwrap().0, 422, "{change}");
    }
    let url = format!("{}/invoices", stage.world.aipay_base());
    let no_key = stage.http.post(&url).json(&wanted()).send().await.unwrap();
    assert_eq!(no_key.status(), 401);
    let no_json = stage.http.post(&url).bearer_auth("sandbox-aipay-key").body("{}").send().await.unwrap();
    assert_eq!(no_json.status(), 415);
    assert_eq!(stage.http.put(&url).send().await.unwrap().status(), 405);
    stage.aipay().set_trial_over(true);
    assert_eq!(stage.create(wanted()).await.unwrap().0, 402);
    assert_eq!(stage.aipay().invoices().len(), 0);
    assert_eq!(stage.aipay().violations().len(), 12);
}

#[tokio::test]
async fn an_invoice_lives_fifteen_minutes_and_shows_its_documented_members() {
    let stage = plain_stage().await;
    let (_, reply) = stage.create(wanted()).await.unwrap();
    let mut names: Vec<&String> = reply.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["amount", "created_at", "expires_at", "invoice_id", "phone", "status"]);
    assert_eq!(
        (&reply["created_at"], &reply["expires_at"]),
        (&json!("2026-11-21T08:00:00Z"), &json!("2026-11-21T08:15:00Z"))
    );
    let id = reply["invoice_id"].as_str().unwrap();
    stage.clock.advance(Duration::from_secs(15 * 60));
    assert!(!stage.aipay().guest_pays(id), "too late");
    let url = format!("{}/invoices/{id}", stage.world.aipay_base());
    let read = stage.http.get(url).bearer_auth("sandbox-aipay-key").send().await.unwrap();
    assert_eq!(read.json::<Value>().await.unwrap()["status"], "expired");
    stage.world.bot().until(|bot| bot.events().iter().any(|event| event.status == "expired")).await;
    assert!(stage.aipay().guest_pays_late(id));
    stage.world.bot().until(|bot| bot.events().iter().any(|event| event.status == "paid")).await;
    let view = &stage.aipay().invoices()[0];
    assert_eq!((view.status, view.times_paid), (InvoiceStatus::Paid, 1));
}

#[tokio::test]
async fn webhooks_are_signed_in_both_dialects_and_repeated_until_accepted() {
    for dialect in [Dialect::A, Dialect::B] {
        let stage = stage(|options| {
            options.bot.secret = options.aipay.webhook_secret.clone();
            (options.aipay.dialect, options.bot.dialect) = (dialect, dialect);
        })
        .await;
        stage.world.bot().fail(3);
        let id = stage.invoice().await;
        assert!(stage.aipay().guest_pays(&id));
        stage.pass_until(|| stage.world.bot().events().len() == 1).await;
        stage.aipay().until(|aipay| aipay.deliveries()[0].is_accepted).await;
        assert_eq!(stage.aipay().deliveries()[0].tries, 4);
        let event = &stage.world.bot().events()[0];
        assert_eq!((event.status.as_str(), event.external_id.as_str(), event.amount), ("paid", "t-1950-1-1", 12400));
        stage.aipay().set_webhook_secret("another");
        assert!(stage.aipay().redeliver(&id));
        stage.world.bot().until(|bot| bot.forged() == 1).await;
    }
}

#[tokio::test]
async fn a_receiver_that_thinks_too_long_is_asked_again() {
    let stage = plain_stage().await;
    stage.world.bot().faults().once("webhook", Fault::Stall);
    let id = stage.invoice().await;
    assert!(stage.aipay().guest_pays(&id));
    stage.pass_until(|| stage.world.bot().events().len() == 2).await;
    assert_eq!(stage.aipay().deliveries().len(), 1);
}

#[tokio::test]
async fn f02_webhook_arrives_before_the_create_reply() {
    let stage = plain_stage().await;
    stage.aipay().set_webhook_mode(WebhookMode::BeforeReply);
    let (_, reply) = stage.create(wanted()).await.unwrap();
    assert_eq!(stage.world.bot().events().len(), 1, "already there when the reply arrives");
    assert_eq!(reply["status"], "pending");
    assert_eq!(stage.aipay().invoices()[0].status, InvoiceStatus::Paid);
}

#[tokio::test]
async fn webhook_modes_twice_never_and_late() {
    let stage = plain_stage().await;
    stage.aipay().set_webhook_mode(WebhookMode::Twice);
    assert!(stage.aipay().guest_pays(&stage.invoice().await));
    stage.world.bot().until(|bot| bot.events().len() == 2).await;
    stage.aipay().set_webhook_mode(WebhookMode::Never);
    assert!(stage.aipay().guest_pays(&stage.invoice().await));
    assert_eq!(stage.aipay().deliveries().len(), 2);
    stage.aipay().set_webhook_mode(WebhookMode::Late(Duration::from_secs(60)));
    assert!(stage.aipay().guest_pays(&stage.invoice().await));
    let before = stage.clock.now();
    stage.pass_until(|| stage.world.bot().events().len() == 3).await;
    assert!(stage.clock.now().since(before) >= Duration::from_secs(60));
}

#[tokio::test]
async fn faults_break_the_line_before_or_after_the_act() {
    let stage = plain_stage().await;
    let faults = stage.aipay().faults();
    faults.once("create", Fault::DropBefore);
    assert!(stage.create(wanted()).await.is_err());
    assert_eq!(stage.aipay().invoices().len(), 0);
    faults.once("create", Fault::LoseReply);
    assert!(stage.create(wanted()).await.unwrap_err().is_request());
    assert_eq!(stage.aipay().invoices().len(), 1, "applied, and nobody was told");
    faults.once("create", Fault::Truncated);
    assert!(stage.create(wanted()).await.unwrap_err().is_decode());
    faults.once("create", Fault::Garbage);
    assert!(stage.create(wanted()).await.unwrap_err().is_decode());
    assert_eq!(stage.aipay().invoices().len(), 3);
    faults.add(Rule { call: "*".to_owned(), fault: Fault::Status(503), times: 1, skip: 0 });
    let url = format!("{}/invoices/x", stage.world.aipay_base());
    assert_eq!(stage.http.get(url).send().await.unwrap().status(), 503);
    let fired = faults.fired();
    for kind in ["drop_before", "lose_reply", "truncated", "garbage", "status"] {
        assert_eq!(fired.get(kind), Some(&1), "{kind}");
    }
}

#[tokio::test]
async fn a_slow_answer_comes_by_the_clock_after_the_act() {
    let stage = plain_stage().await;
    stage.aipay().faults().once("create", Fault::Slow(Duration::from_secs(20)));
    let asked = stage.create(wanted());
    tokio::pin!(asked);
    tokio::select! {
        _ = &mut asked => panic!("answered at once"),
        () = stage.aipay().until(|aipay| aipay.invoices().len() == 1) => {}
    }
    let (reply, ()) = tokio::join!(asked, async {
        // The handler may enter its sleep after this line: then it sleeps from here, so time must keep moving.
        for _ in 0..100 {
            stage.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(reply.unwrap().0, 201);
}

#[tokio::test]
async fn a_partner_that_is_off_refuses_connections_and_comes_back_on_its_port() {
    let stage = plain_stage().await;
    let kept = reqwest::Client::new();
    let url = format!("{}/invoices/none", stage.world.aipay_base());
    assert_eq!(kept.get(&url).send().await.unwrap().status(), 401);
    for _ in 0..3 {
        stage.aipay().faults().set_down(true);
        let refused = loop {
            match stage.http.get(&url).send().await {
                Err(cause) if cause.is_connect() => break true,
                // The switch needs a turn of the accept loop.
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(refused);
        stage.aipay().faults().set_down(false);
        while stage.http.get(&url).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(stage.aipay().faults().fired().get("off"), Some(&3));
}

#[tokio::test]
async fn servers_end_at_once_with_connections_open() {
    let stage = plain_stage().await;
    stage.aipay().faults().once("create", Fault::Stall);
    let asked = stage.create(wanted());
    tokio::pin!(asked);
    tokio::select! {
        _ = &mut asked => panic!("a stalled call answered"),
        () = stage.aipay().until(|aipay| aipay.invoices().len() == 1) => {}
    }
    stage.hand.give();
    assert!(asked.await.is_err());
}

#[tokio::test]
async fn a_tripwire_freezes_a_request_at_its_stage() {
    for (frozen, applied) in [(Stage::Received, 0), (Stage::Applied, 1), (Stage::Answering, 1)] {
        let stage = plain_stage().await;
        let tripped = Arc::new(Notify::new());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (bell, list) = (tripped.clone(), seen.clone());
        stage.world.set_tripwire(Some(Arc::new(move |partner, call, now| {
            list.lock().unwrap().push(format!("{partner} {call} {now:?}"));
            let is_here = now == frozen;
            if is_here {
                bell.notify_one();
            }
            is_here
        })));
        let asked = stage.create(wanted());
        tokio::select! {
            _ = asked => panic!("answered through a tripwire"),
            () = tripped.notified() => {}
        }
        assert_eq!(stage.aipay().invoices().len(), applied, "{frozen:?}");
        assert_eq!(seen.lock().unwrap()[0], "aipay create Received");
    }
}

#[tokio::test]
async fn terminal_registers_by_tap_and_guards_its_tokens() {
    let stage = stage(|_| {}).await;
    let terminal = &stage.world.terminals()[0];
    let base = stage.world.terminal_base(0).unwrap();
    assert_eq!(stage.get(&format!("{base}/v2/payment?amount=100")).await.0, 403);
    let register = stage.terminal("register?name=till");
    let tap = async {
        terminal.until(|terminal| terminal.screen() == Screen::Register { name: "till".to_owned() }).await;
        assert!(terminal.tap_allow());
    };
    let (reply, ()) = tokio::join!(register, tap);
    let (access, refresh) =
        (reply["data"]["accessToken"].as_str().unwrap(), reply["data"]["refreshToken"].as_str().unwrap());
    assert_eq!(reply["data"]["expirationDate"], "2026-11-22 13:00:00");
    assert_eq!(stage.terminal("register?name=till").await["statusCode"], 105);
    let pay = async |token: &str| {
        let asked = stage.http.get(format!("{base}/v2/payment?amount=100")).header("accesstoken", token);
        asked.send().await.unwrap().status().as_u16()
    };
    assert_eq!(pay(access).await, 200);
    stage.clock.advance(super::terminal::TOKEN_LIFE);
    assert_eq!(pay(access).await, 403);
    assert_eq!(stage.terminal("revoke?name=other&refreshToken=x").await["statusCode"], 105);
    let fresh = stage.terminal(&format!("revoke?name=till&refreshToken={refresh}")).await;
    assert_ne!(fresh["data"]["refreshToken"], refresh);
    assert_eq!(stage.terminal(&format!("revoke?name=till&refreshToken={refresh}")).await["statusCode"], 105);
    assert_eq!(pay(fresh["data"]["accessToken"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn a_registration_that_nobody_waits_for_leaves_the_screen() {
    let stage = stage(|_| {}).await;
    let terminal = &stage.world.terminals()[0];
    tokio::select! {
        _ = stage.terminal("register?name=till") => panic!("registered without a tap"),
        () = terminal.until(|terminal| terminal.screen() != Screen::Idle) => {}
    }
    terminal.until(|terminal| terminal.screen() == Screen::Idle).await;
    assert!(!terminal.tap_allow());
}

#[tokio::test]
async fn terminal_takes_one_payment_at_a_time_in_whole_tenge() {
    let stage = plain_stage().await;
    let terminal = &stage.world.terminals()[0];
    for bad in
        ["payment", "payment?amount=0", "payment?amount=12400.00", "payment?amount=-5", "payment?amount=5&owncheque=1"]
    {
        assert_eq!(stage.terminal(bad).await["statusCode"], 999, "{bad}");
    }
    let started = stage.terminal("payment?amount=12400&owncheque=true").await;
    assert_eq!((&started["statusCode"], &started["data"]["status"]), (&json!(0), &json!("wait")));
    let id = started["data"]["processId"].as_str().unwrap();
    assert_eq!(stage.terminal("payment?amount=5").await["statusCode"], 107);
    assert_eq!(stage.terminal(&format!("actualize?processId={id}")).await["statusCode"], 103);
    assert_eq!(stage.terminal("status?processId=nonsense").await["statusCode"], 101);
    assert!(terminal.guest_pays_card());
    let done = stage.terminal(&format!("status?processId={id}")).await["data"].clone();
    assert_eq!(done["chequeInfo"]["amount"], "12 400 ₸");
    assert_eq!(done["chequeInfo"]["rrn"], done["transactionId"]);
    assert!(done["chequeInfo"]["orderNumber"].is_null());
    let paid = &terminal.operations()[0];
    assert!(paid.charged && paid.method == Some(PayMethod::Card));
    let transaction = paid.transaction_id.clone().unwrap();
    let refund = |method: &str| format!("refund?amount=400&method={method}&transactionId={transaction}");
    assert_eq!(stage.terminal(&refund("qr")).await["statusCode"], 999, "another method than the sale's");
    assert_eq!(stage.terminal(&refund("card")).await["statusCode"], 0);
    let base = stage.world.terminal_base(0).unwrap();
    assert_eq!(stage.http.post(format!("{base}/v2/payment?amount=5")).send().await.unwrap().status(), 405);
    assert_eq!(stage.get(&format!("{base}/v2/cancel?processId={id}")).await.0, 404);
    assert_eq!(stage.terminal("deviceinfo").await["statusCode"], 0);
}

#[tokio::test]
async fn a_guest_who_does_nothing_ends_the_payment_by_the_clock() {
    let stage = plain_stage().await;
    let id = stage.terminal("payment?amount=500").await["data"]["processId"].as_str().unwrap().to_owned();
    stage.clock.advance(super::terminal::GUEST_PATIENCE);
    assert_eq!(stage.terminal(&format!("status?processId={id}")).await["data"]["status"], "fail");
    assert!(!stage.world.terminals()[0].guest_pays_qr());
    assert_eq!(stage.terminal("payment?amount=500").await["statusCode"], 0, "free again");
    stage.world.terminals()[0].reboot();
    assert_eq!(stage.terminal(&format!("status?processId={id}")).await["statusCode"], 101);
}

#[tokio::test]
async fn f07_unknown_is_settled_by_patient_actualize_calls_only() {
    let stage = plain_stage().await;
    let terminal = &stage.world.terminals()[0];
    terminal.set_unknown(2, true);
    let id = stage.terminal("payment?amount=500").await["data"]["processId"].as_str().unwrap().to_owned();
    let status = async |call: &str| stage.terminal(&format!("{call}?processId={id}")).await["data"]["status"].clone();
    assert_eq!(status("status").await, "unknown");
    assert_eq!(status("actualize").await, "unknown");
    stage.clock.advance(Duration::from_secs(9));
    assert_eq!(status("actualize").await, "unknown");
    assert_eq!(terminal.violations().len(), 1, "{:?}", terminal.violations());
    stage.clock.advance(Duration::from_secs(10));
    assert_eq!(status("actualize").await, "success");
    let view = &terminal.operations()[0];
    assert_eq!((view.status, view.charged, view.actualized), (OperationStatus::Success, true, 2));
}

#[tokio::test]
async fn poster_reads_tiyn_as_texts_and_closes_in_tenge_for_the_exact_sum() {
    let stage = plain_stage().await;
    let poster = stage.world.poster();
    let id = poster.open_order(5, "Мария", &[(1, 2), (13, 1)]);
    let list = stage.poster("dash.getTransactions?dateFrom=20261121&dateTo=20261121&status=1&type=spots&id=1").await;
    assert_eq!(list["response"][0]["payed_sum"], "1100000");
    assert_eq!(list["response"][0]["transaction_id"], id.to_string());
    assert_eq!(list["response"][0]["date_close"], "0");
    let lines = stage.poster(&format!("dash.getTransactionProducts?transaction_id={id}")).await;
    assert_eq!(lines["response"][0]["workshop"], "2", "newest first");
    assert_eq!(lines["response"][1]["product_sum"], "980000");
    let close = |card: Value| json!({"spot_id": 1, "spot_tablet_id": 1, "transaction_id": id, "payed_cash": 0, "payed_card": card});
    for wrong in [json!(1_100_000), json!(10_999), json!("11000.01")] {
        let reply = stage.poster_write("transactions.closeTransaction", close(wrong)).await;
        assert_eq!(reply["error"]["code"], 88);
    }
    let done = stage.poster_write("transactions.closeTransaction", close(json!("11000.00"))).await;
    assert_eq!(done["response"]["err_code"], 0);
    let view = &poster.orders()[0];
    assert_eq!((view.closes, view.payed_card, view.status), (1, Tiyn(1_100_000), 2));
    let again = |answer| {
        poster.set_second_close(answer);
        stage.poster_write("transactions.closeTransaction", close(json!(11000)))
    };
    assert_eq!(again(SecondClose::NotFound).await["error"]["code"], 42);
    assert_eq!(again(SecondClose::NotSaved).await["error"]["code"], 44);
    assert_eq!(again(SecondClose::Pretends).await["response"]["err_code"], 0);
    assert_eq!(poster.orders()[0].closes, 1);
    let one = stage.poster(&format!("dash.getTransaction?transaction_id={id}&include_history=true")).await;
    let last = one["response"][0]["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["value2"], &last["value_text"]["payments"]["card"]), (&json!("1100000"), &json!("11000")));
}

#[tokio::test]
async fn poster_answers_errors_with_200_in_every_form() {
    let stage = plain_stage().await;
    let base = stage.world.poster_base();
    assert_eq!(
        stage.get(&format!("{base}/dash.getTransactions")).await,
        (200, json!({"error": {"code": 10, "message": "Access token is missing"}}))
    );
    assert_eq!(stage.get(&format!("{base}/dash.getTransactions?token=1:2")).await.1["error"]["code"], 11);
    assert_eq!(stage.poster("dash.nonsense").await["error"]["code"], 30);
    assert_eq!(stage.poster("transactions.closeTransaction").await["error"]["code"], 30, "GET where POST is due");
    assert_eq!(
        stage.poster_write("dash.getTransactions", json!({})).await["error"]["code"],
        30,
        "POST where GET is due"
    );
    assert_eq!(stage.poster("dash.getTransactions?type=spots").await["error"]["code"], 42);
    assert_eq!(stage.poster_write("transactions.closeTransaction", json!({"spot_id": 9})).await["error"]["code"], 60);
    let wrong_id = json!({"spot_id": "1", "spot_tablet_id": "1", "transaction_id": "1"});
    assert_eq!(stage.poster_write("transactions.closeTransaction", wrong_id).await["error"]["code"], 42);
    stage.world.poster().set_error_form(ErrorForm::Number);
    assert_eq!(stage.poster("dash.getTransaction?transaction_id=1").await["error"], 32);
    stage.world.poster().set_error_form(ErrorForm::Text);
    assert!(stage.poster("dash.getTransaction?transaction_id=1").await["error"].is_string());
}

#[tokio::test]
async fn orders_are_made_over_the_api_and_at_the_register() {
    let stage = plain_stage().await;
    let poster = stage.world.poster();
    let base = json!({"spot_id": 1, "spot_tablet_id": 1, "table_id": 7, "user_id": 2, "guests_count": 3});
    let id = stage.poster_write("transactions.createTransaction", base).await["response"]["transaction_id"]
        .as_u64()
        .unwrap();
    let url = format!("{}/transactions.addTransactionProduct?token={TOKEN}", stage.world.poster_base());
    let form = [("spot_id", "1"), ("spot_tablet_id", "1"), ("transaction_id", &id.to_string()), ("product_id", "3")];
    let added: Value = stage.http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
    assert!(added["response"]["transaction_product"].is_u64(), "{added}");
    assert_eq!(poster.orders()[0].due, Tiyn(290_000));
    assert!(poster.add_dish(id, 14) && poster.set_count(id, 3, 2));
    assert_eq!(poster.orders()[0].due, Tiyn(660_000));
    assert!(
        poster.close_by_hand(id, ByHand::Cash) && !poster.close_by_hand(id, ByHand::Card) && !poster.add_dish(id, 1)
    );
    assert_eq!((poster.orders()[0].closes, poster.orders()[0].payed_cash), (1, Tiyn(660_000)));
    assert!(poster.violations().is_empty(), "{:?}", poster.violations());
}

#[tokio::test]
async fn poster_learns_that_goods_were_registered_elsewhere() {
    let stage = plain_stage().await;
    let poster = stage.world.poster();
    let id = poster.open_order(5, "Мария", &[(1, 2), (13, 1)]);
    let body = |more: Value| {
        let mut body = json!({"spot_id": 1, "spot_tablet_id": 1, "transaction_id": id});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let change = async |more: Value| stage.poster_write("transactions.changeFiscalStatus", body(more)).await;
    let product = |product: u64, count: Value| json!({"products": [{"product_id": product, "modification_id": 0, "count": count}]});
    for (wrong, code) in [
        (json!({}), 42),
        (json!({"products": []}), 42),
        (json!({"products": "1"}), 36),
        (json!({"transaction_id": 1, "products": [{"product_id": 1, "count": 1}]}), 32),
        (product(2, json!(1)), 43),
        (product(1, json!(3)), 155),
        (product(1, json!(0)), 155),
    ] {
        assert_eq!(change(wrong.clone()).await["error"]["code"], code, "{wrong}");
    }
    assert_eq!(poster.orders()[0].print_fiscal, 0);
    let both = json!({"fiscal_return": false, "products": [{"product_id": 1, "count": 2}, {"product_id": 13, "count": "1.0"}]});
    for _ in 0..2 {
        assert_eq!(change(both.clone()).await["response"]["err_code"], 0, "twice changes nothing");
    }
    assert_eq!((poster.orders()[0].print_fiscal, poster.orders()[0].fiscal_prints), (1, 0));
    let shown = stage.poster(&format!("dash.getTransaction?transaction_id={id}&include_products=true")).await;
    assert_eq!(shown["response"][0]["print_fiscal"], "1");
    assert_eq!(shown["response"][0]["products"][1]["print_fiscal"], "1");
    let url = format!("{}/transactions.changeFiscalStatus?token={TOKEN}", stage.world.poster_base());
    let form = [
        ("spot_id", "1".to_owned()),
        ("spot_tablet_id", "1".to_owned()),
        ("transaction_id", id.to_string()),
        ("fiscal_return", "true".to_owned()),
        ("products[0][product_id]", "13".to_owned()),
        ("products[0][count]", "1".to_owned()),
    ];
    let seen = poster.violations().len();
    let told: Value = stage.http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["response"]["err_code"], 0, "{told}");
    let shown = stage.poster(&format!("dash.getTransaction?transaction_id={id}&include_products=true")).await;
    let marks: Vec<&Value> =
        shown["response"][0]["products"].as_array().unwrap().iter().map(|one| &one["print_fiscal"]).collect();
    assert_eq!(marks, ["1", "2"]);
    assert_eq!((poster.orders()[0].print_fiscal, poster.violations().len()), (2, seen));
    poster.faults().once("fiscal", Fault::Status(500));
    assert_eq!(
        stage.http.post(stage.world.poster_base() + "/transactions.changeFiscalStatus").send().await.unwrap().status(),
        500
    );
}

#[tokio::test]
async fn a_register_that_prints_a_receipt_itself_is_counted() {
    let stage = plain_stage().await;
    let id = stage.world.poster().open_order(5, "Мария", &[(13, 1)]);
    let close = json!({"spot_id": 1, "spot_tablet_id": 1, "transaction_id": id, "payed_card": 1200, "print_fiscal": 1});
    assert_eq!(stage.poster_write("transactions.closeTransaction", close).await["response"]["err_code"], 0);
    assert_eq!((stage.world.poster().orders()[0].fiscal_prints, stage.world.poster().orders()[0].print_fiscal), (1, 1));
}

#[tokio::test]
async fn aipay_issues_one_receipt_for_what_is_paid_through_it() {
    let stage = plain_stage().await;
    let (first, second) = (stage.invoice().await, stage.invoice().await);
    assert!(stage.aipay().guest_pays(&first));
    let receipts = stage.aipay().receipts();
    assert_eq!((receipts.len(), receipts[0].invoice_id.as_str(), receipts[0].amount), (1, first.as_str(), 12400));
    assert!(stage.aipay().expire(&second));
    assert_eq!(stage.aipay().receipts().len(), 1);
}

#[tokio::test]
async fn an_order_of_the_register_is_seen_late_and_keeps_its_modifiers() {
    let stage = stage(|options| options.poster.register_lag = Duration::from_secs(20)).await;
    let poster = stage.world.poster();
    let id = poster.open_order(5, "Мария", &[(3, 1)]);
    assert!(poster.add_dish_with(id, 3, "острый, без лука"));
    let call = format!("dash.getTransactionProducts?transaction_id={id}");
    assert_eq!(stage.poster(&call).await["error"]["code"], 32);
    stage.clock.advance(Duration::from_secs(20));
    let lines = stage.poster(&call).await["response"].clone();
    assert_eq!(lines[0]["modificator_name"], "острый, без лука");
    assert_eq!((&lines[0]["modification_id"], &lines[1]["modification_id"]), (&json!("1"), &json!("0")));
}

struct OnePrinter(Mutex<String>);

impl PrinterView for OnePrinter {
    fn name(&self) -> String {
        "Кухня".to_owned()
    }

    fn count(&self) -> usize {
        3
    }

    fn newest(&self, most: usize) -> Vec<PaperView> {
        let papers = [3, 2].map(|number| PaperView { number, text: format!("Лагман {number}") });
        papers.into_iter().take(most).collect()
    }

    fn png(&self, number: usize) -> Option<Vec<u8>> {
        (2..=3).contains(&number).then(|| format!("picture {number}").into_bytes())
    }

    fn state(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set_state(&self, state: &str) -> bool {
        state.clone_into(&mut self.0.lock().unwrap());
        true
    }
}

#[tokio::test]
async fn the_control_page_shows_and_moves_the_world() {
    let stage = plain_stage().await;
    stage.world.plug_printer(Arc::new(OnePrinter(Mutex::new("ok".to_owned()))));
    let at = |path: &str| format!("{}{path}", stage.world.control_url());
    for asset in ["", "control.css", "control.js"] {
        assert_eq!(stage.http.get(at(asset)).send().await.unwrap().status(), 200);
    }
    let act = async |what: &str, body: Value| {
        let reply = stage.http.post(at(&format!("control/{what}"))).json(&body).send().await.unwrap();
        reply.status().as_u16()
    };
    let id = stage.invoice().await;
    assert_eq!(act("aipay/pays", json!({"id": id})).await, 200);
    assert_eq!(act("aipay/pays", json!({"id": id})).await, 409);
    assert_eq!(act("poster/open", json!({"table": 3, "lines": [{"product": 1, "count": 2}]})).await, 200);
    assert_eq!(act("printer/state", json!({"printer": "Кухня", "state": "paper_out"})).await, 200);
    assert_eq!(act("terminal/fault", json!({"call": "payment", "fault": "lose_reply"})).await, 200);
    assert_eq!(act("terminal/qr", json!({"terminal": 4})).await, 409);
    assert_eq!(act("nobody/nothing", json!({})).await, 409);
    assert_eq!(act("webkassa/autonomous", json!({"on": true})).await, 200);
    assert_eq!(act("webkassa/z", json!({})).await, 409, "no shift to close");
    assert_eq!(act("webkassa/fault", json!({"call": "check", "fault": "lose_reply"})).await, 200);
    let (_, state) = stage.get(&at("control/state")).await;
    assert_eq!((&state["webkassa"]["is_autonomous"], &state["webkassa"]["drawer"]), (&json!(true), &json!(0)));
    assert_eq!(state["aipay"]["invoices"][0]["status"], "paid");
    assert_eq!(state["poster"]["orders"][0]["due"], 980_000);
    assert_eq!(state["printers"][0]["state"], "paper_out");
    assert_eq!(state["terminals"][0]["screen"]["screen"], "idle");
    assert_eq!((&state["printers"][0]["papers"], &state["samples"]), (&json!(3), &json!([])));
    assert_eq!(state["printers"][0]["newest"][1]["text"], "Лагман 2");
    stage.world.plug_samples(vec![("Чек, 80 мм".to_owned(), b"sample".to_vec())]);
    let (_, state) = stage.get(&at("control/state")).await;
    assert_eq!(state["samples"], json!(["Чек, 80 мм"]));
    for (path, shown) in [
        ("printers/Кухня/last.png", Some("picture 3")),
        ("printers/Кухня/2.png", Some("picture 2")),
        ("printers/Кухня/1.png", None),
        ("printers/Бар/last.png", None),
        ("samples/0.png", Some("sample")),
        ("samples/1.png", None),
    ] {
        let reply = stage.http.get(at(&format!("control/{path}"))).send().await.unwrap();
        assert_eq!(reply.status(), if shown.is_some() { 200 } else { 404 }, "{path}");
        assert_eq!(reply.text().await.unwrap(), shown.unwrap_or("no such paper"), "{path}");
    }
    let form = stage.http.post(at("control/aipay/down")).body("on=true").send().await.unwrap();
    assert_eq!(form.status(), 400, "no page of another origin may act");
}

#[tokio::test]
async fn guests_of_the_demo_act_on_their_own() {
    let stage = plain_stage().await;
    stage.aipay().set_auto_guest(Some(super::AutoGuest::default()));
    stage.world.terminals()[0].set_auto_guest(Some(super::AutoGuest::default()));
    let _id = stage.invoice().await;
    assert_eq!(stage.terminal("payment?amount=700").await["statusCode"], 0);
    stage.pass_until(|| stage.aipay().invoices()[0].status == InvoiceStatus::Paid).await;
    stage.pass_until(|| stage.world.terminals()[0].operations()[0].charged).await;
    assert!(stage.clock.now().0 <= Duration::from_secs(60));
}
