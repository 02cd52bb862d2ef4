//! The lunch peak of `kassad demo --orders N`: waiters open orders, cashiers collect them through the local API, guests pay, a bot sells,
//! and a seeded evil spirit breaks wires, printers, partners and the power. Everything runs over real sockets on a clock that is faster
//! than the machine's; at the end the laws are checked against what the world outside really did ([`super::laws`]).

pub(super) mod register;
mod returns;

use super::way_in::WayIn;
use super::{demo, laws, say};
use crate::config::Config;
use crate::daemon::{self, Daemon, Machine};
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::{Spawner, Stop};
use crate::ledger::Gate;
use crate::sandbox::aipay::{InvoiceStatus, WebhookMode};
use crate::sandbox::faults::{Fault, Faults, Rule};
use crate::sandbox::menu::WAITERS;
use crate::sandbox::printer::{Printer, State as PrinterState};
use crate::sandbox::restaurant::{SANDBOX_SECRET, Shop, ShopOptions};
use crate::sandbox::terminal::OperationStatus;
use crate::sandbox::{AutoGuest, Ports};
use crate::transport::web::{Limits, Request, Trust, Web};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How much faster than the machine's the demo's clock runs. A printer has half a second to answer: a busy machine needs 50 ms of its own.
const HASTE: u32 = 10;

/// Demo time between two guests, on average.
const GUEST_GAP_MS: u64 = 3_000;

/// Demo time after which a sale counts as stuck: longer than an invoice's life and its late watch.
const SALE_LIMIT: Duration = Duration::from_secs(3 * 3600);

/// Demo time for what is left to do when the last guest is gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(3600);

/// How often a cashier starts anew when a guest did not pay.
const TRIES_MAX: u32 = 4;

/// Width of the progress bar in cells.
const BAR_CELLS: usize = 40;

/// How an order was sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// At the terminal of this till.
    Terminal(u64),
    /// To the guest's phone.
    Phone,
    /// By the bot, to the guest's phone.
    Bot,
    /// All of it in notes and coins.
    Cash,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sold {
    /// The id of the POS, or the bot's own.
    pub(super) foreign_id: String,
    /// The number people say.
    pub(super) number: String,
    /// What was due, in whole tenge.
    pub(super) due_tenge: i64,
    /// How it was sold in the end.
    pub(super) way: Way,
    /// The stations that have something to cook: `hot`, `bar`.
    pub(super) stations: Vec<&'static str>,
    /// Whether the guest paid in the end.
    pub(super) paid: bool,
    /// What of it was paid in cash, in whole tenge; nothing where the guest left and took it along.
    pub(super) cash_tenge: i64,
    /// What went back by the terminal, in whole tenge.
    pub(super) returned_tenge: i64,
    /// What went back in cash after the order was paid, in whole tenge.
    pub(super) cash_returned_tenge: i64,
    /// Refunds that went: each has its paper.
    pub(super) slips: u32,
    /// Why it is stuck, if it is.
    pub(super) stuck: Option<String>,
}

impl Sold {
    /// Paid in cash and in another way.
    pub(super) fn is_mixed(&self) -> bool {
        self.cash_tenge > 0 && self.way != Way::Cash
    }

    /// Whether a payment of it is AiPay's to register.
    pub(super) fn is_through_cloud(&self) -> bool {
        matches!(self.way, Way::Phone | Way::Bot)
    }
}

/// What the demo counts besides.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Double taps and second tills that were turned away.
    pub(super) double_taps: Cell<u64>,
    /// Times the power was cut.
    pub(super) power_cuts: Cell<u64>,
    /// Times a printer ran out of paper, was off, or lost its line.
    pub(super) printer_faults: Cell<u64>,
    /// Refunds that went through.
    pub(super) refunds: Cell<u64>,
    /// Questions that a cashier answered.
    pub(super) answers: Cell<u64>,
    /// How long the cash register was out of reach in one stretch.
    pub(super) register_away: Cell<Duration>,
    /// Receipts that waited for it at the end of that.
    pub(super) waited: Cell<i64>,
    /// Where notices came in by a tunnel: logins at its server, and how often that was killed.
    pub(super) tunnel: Cell<Option<(usize, u32)>>,
    done: Cell<usize>,
    paid: Cell<usize>,
}

struct Lunch<'a> {
    shop: &'a Shop,
    clock: &'a Clock,
    seed: u64,
    ids: &'a Ids,
    web: &'a Web,
    tally: &'a Tally,
    seen: &'a RefCell<Vec<String>>,
}

/// Plays the lunch and shows what came of it. Succeeds only if every law held.
pub(super) async fn play(orders: u32, wish: &demo::Wish, folder: &Path) -> Result<ExitCode, String> {
    let seed = wish.seed;
    let (clock, ids) = (Clock::fast(HASTE), Ids::seeded(seed));
    let (_hand, stop) = Stop::pair();
    let spawner = daemon::spawner(stop.clone());
    let mut shop = open_shop(wish.no_wait, &clock, &ids, &spawner, &stop).await?;
    let mut way_in = demo::way_in(wish, folder, &mut shop, &spawner).await?;
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let config = shop.config(folder, any, any).map_err(|cause| cause.to_string())?;
    let (mut config, mut power) = (config, Power::new(&clock, &ids));
    power.on(&config).await?;
    let (public, local) = power.addresses();
    (config.listen.public, config.listen.local) = (public, local);
    let straight = || format!("http://{public}/webhooks/aipay");
    shop.world.aipay().set_webhook_url(Some(way_in.as_ref().map_or_else(straight, WayIn::webhook_url)));
    shop.world.webkassa().set_answers_14_with_data(seed.is_multiple_of(2));
    let web = Web::open(&format!("http://{local}"), &Trust::Roots).map_err(|cause| cause.to_string())?;
    let tally = Tally::default();
    let seen = RefCell::default();
    let lunch = Lunch { shop: &shop, clock: &clock, seed, ids: &ids, web: &web, tally: &tally, seen: &seen };
    say(&format!(
        "  {orders} orders, seed {seed}: a lunch in {HASTE} times the speed, two tills, a bot, three printers, and bad luck"
    ));
    lunch.morning().await?;
    let (over, is_over) = watch::channel(false);
    let selling = async {
        let sold = lunch.sell_all(orders).await;
        over.send_replace(true);
        sold
    };
    let (sold, troubled, tunnelled, ()) = tokio::join!(
        selling,
        lunch.trouble(&config, &mut power, orders, is_over.clone()),
        lunch.trouble_way_in(way_in.as_mut(), orders, is_over.clone()),
        show_progress(&tally, orders, &clock, is_over),
    );
    troubled.and(tunnelled)?;
    calm(&shop);
    let mut left = lunch.drain().await;
    if left.is_empty() {
        lunch.evening(&sold).await?;
        left = lunch.drain().await;
    }
    power.off().await;
    let kills = tally.tunnel.get().map_or(0, |(_, kills)| kills);
    tally.tunnel.set(way_in.as_ref().map(|way_in| (way_in.sshd.logins(), kills)));
    let report = laws::check(&shop, &config, &sold, &tally, &left).map_err(|fault| fault.to_string())?;
    laws::show(&report);
    Ok(if report.is_lawful() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn open_shop(no_wait: bool, clock: &Clock, ids: &Ids, spawner: &Spawner, stop: &Stop) -> Result<Shop, String> {
    let (thinks_min, thinks_max) = if no_wait { (0, 0) } else { (1_500, 7_000) };
    let guest = AutoGuest {
        thinks_min: Duration::from_millis(thinks_min),
        thinks_max: Duration::from_millis(thinks_max),
        walks_away_per_mille: 12,
        card_per_mille: 350,
        declined_per_mille: 25,
    };
    let options = ShopOptions {
        ports: Ports::default(),
        printers: [0; 3],
        terminals: 2,
        guest: Some(guest),
        register: true,
        webhook_url: None,
    };
    Shop::open_with_tls(options, clock, ids, spawner, stop)
        .await
        .map_err(|cause| format!("cannot open the sandbox: {cause}"))
}

/// How long the terminals may take to let the daemon in.
const LET_IN_LIMIT: Duration = Duration::from_secs(60);

/// The daemon, with a hand on its plug.
struct Power<'a> {
    clock: &'a Clock,
    ids: &'a Ids,
    daemon: Option<(Daemon, Arc<AtomicBool>)>,
}

impl<'a> Power<'a> {
    fn new(clock: &'a Clock, ids: &'a Ids) -> Power<'a> {
        Power { clock, ids, daemon: None }
    }

    async fn on(&mut self, config: &Config) -> Result<(), String> {
        let is_on = Arc::new(AtomicBool::new(true));
        let gate: Gate = {
            let is_on = is_on.clone();
            Arc::new(move |_| is_on.load(Ordering::SeqCst))
        };
        let machine = Machine { clock: self.clock.clone(), ids: self.ids.clone(), gate };
        let daemon = Daemon::start(config, machine).await.map_err(|fault| fault.to_string())?;
        self.daemon = Some((daemon, is_on));
        Ok(())
    }

    /// Waits until the terminals have let the daemon in. A registration whose answer is lost needs a hand on the terminal's admin panel
    /// (error 105), and nobody in this lunch has one free.
    async fn let_in(&self) {
        let Some((daemon, _)) = &self.daemon else { return };
        let mut devices = daemon.office.devices.listen();
        let are_in = devices.wait_for(|devices| {
            let mut terminals = devices.values().filter(|device| device.role == "terminal");
            terminals.all(|terminal| ["up", "warn", "busy"].contains(&terminal.state))
        });
        let _in_time = self.clock.limit(LET_IN_LIMIT, are_in).await.is_ok();
    }

    /// As a power cut: nothing is finished, nothing is told.
    async fn cut(&mut self) {
        if let Some((daemon, is_on)) = self.daemon.take() {
            is_on.store(false, Ordering::SeqCst);
            daemon.kill().await;
        }
    }

    async fn off(&mut self) {
        if let Some((daemon, _)) = self.daemon.take() {
            daemon.stop().await;
        }
    }

    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        self.daemon.as_ref().map_or((any, any), |(daemon, _)| (daemon.public, daemon.local))
    }
}

/// The world is well again: what is left is the daemon's to finish.
fn calm(shop: &Shop) {
    shop.world.aipay().faults().clear();
    shop.world.aipay().set_webhook_mode(WebhookMode::Normal);
    shop.world.poster().faults().clear();
    shop.world.webkassa().faults().clear();
    shop.world.webkassa().set_autonomous(false);
    shop.world.bot().faults().clear();
    shop.world.terminals().iter().for_each(|terminal| terminal.faults().clear());
    shop.printers.iter().for_each(|(printer, _)| printer.set_state(PrinterState::Ready));
}

impl Lunch<'_> {
    async fn sell_all(&self, orders: u32) -> Vec<Sold> {
        // Two draws make a peak in the middle, as at noon.
        let span_ms = u64::from(orders) * GUEST_GAP_MS;
        let arrivals: Vec<u64> = (0..orders).map(|_| (self.ids.below(span_ms) + self.ids.below(span_ms)) / 2).collect();
        let mut guests: FuturesUnordered<_> = arrivals
            .into_iter()
            .enumerate()
            .map(|(place, at_ms)| self.serve(place, Duration::from_millis(at_ms)))
            .collect();
        let mut sold = Vec::new();
        while let Some(order) = guests.next().await {
            self.tally.done.set(self.tally.done.get() + 1);
            self.tally.paid.set(self.tally.paid.get() + usize::from(order.paid));
            sold.push(order);
        }
        sold
    }

    /// One guest from the door to the receipt. What a guest orders and how it is sold hangs on the seed and the guest alone.
    async fn serve(&self, place: usize, arrives: Duration) -> Sold {
        self.clock.sleep(arrives).await;
        let own = Ids::seeded(self.seed.wrapping_mul(1_000_003).wrapping_add(place as u64));
        let way = match own.below(100) {
            0..45 => Way::Terminal(1 + own.below(2)),
            45..73 => Way::Phone,
            73..85 => Way::Cash,
            _ => Way::Bot,
        };
        let mut sold = if way == Way::Bot { bot_order(place, &own) } else { self.table_order(way, &own) };
        let draws = (own.below(100), own.below(100));
        if let Err(_late) = self.clock.limit(SALE_LIMIT, self.sell(&mut sold, draws)).await {
            sold.stuck = Some("no end in three hours".to_owned());
        }
        sold
    }

    fn table_order(&self, way: Way, own: &Ids) -> Sold {
        let dishes: Vec<(u64, u32)> = {
            let mut products: Vec<u64> = (0..1 + own.below(4)).map(|_| 1 + own.below(14)).collect();
            products.sort_unstable();
            products.dedup();
            products.into_iter().map(|product| (product, u32::try_from(1 + own.below(3)).unwrap_or(1))).collect()
        };
        let waiter = WAITERS.get(usize::try_from(own.below(4)).unwrap_or(0)).copied().unwrap_or_default();
        let poster = self.shop.world.poster();
        let id = poster.open_order(1 + own.below(20), waiter, &dishes);
        let opened = poster.orders().into_iter().find(|order| order.id == id);
        let is_hot = dishes.iter().any(|(product, _)| *product <= 8);
        let is_bar = dishes.iter().any(|(product, _)| *product > 8);
        Sold {
            foreign_id: id.to_string(),
            number: opened.as_ref().map(|order| order.number.clone()).unwrap_or_default(),
            due_tenge: opened.and_then(|order| order.due.whole_tenge()).unwrap_or_default(),
            way,
            stations: [(is_hot, "hot"), (is_bar, "bar")]
                .into_iter()
                .filter(|(is, _)| *is)
                .map(|(_, name)| name)
                .collect(),
            paid: false,
            cash_tenge: 0,
            returned_tenge: 0,
            cash_returned_tenge: 0,
            slips: 0,
            stuck: None,
        }
    }

    /// From the first part to the second thoughts.
    async fn sell(&self, sold: &mut Sold, (in_parts, given_back): (u64, u64)) {
        let is_table = sold.way != Way::Bot;
        let in_cash = match sold.way {
            Way::Bot => Ok(()),
            Way::Cash => self.cash_whole(sold).await,
            Way::Terminal(_) | Way::Phone => self.cash_part(sold, in_parts).await,
        };
        if let Err(problem) = in_cash {
            sold.stuck = Some(problem);
            return;
        }
        if !sold.paid {
            self.collect(sold).await;
        }
        if !is_table || sold.stuck.is_some() {
            return;
        }
        let after = async {
            self.cash_back(sold).await?;
            self.dish_back(sold, given_back).await
        };
        if let Err(problem) = after.await {
            sold.stuck = Some(problem);
        }
    }

    async fn collect(&self, sold: &mut Sold) {
        for attempt in 0..TRIES_MAX {
            if attempt > 0 && sold.way != Way::Bot {
                // The first way did not work out: the guest takes out the phone, or comes to the till.
                sold.way = if sold.way == Way::Phone { Way::Terminal(1 + self.ids.below(2)) } else { Way::Phone };
            }
            let ended = if sold.way == Way::Bot {
                self.through_bot(sold).await
            } else {
                self.through_till(sold, attempt).await
            };
            match ended.as_deref() {
                Ok("paid") => {
                    sold.paid = true;
                    return;
                }
                Ok(_) => {}
                Err(problem) => {
                    sold.stuck = Some(problem.clone());
                    return;
                }
            }
        }
    }

    /// The cashier collects one order through the local API, and follows it. Returns the last state.
    async fn through_till(&self, sold: &Sold, attempt: u32) -> Result<String, String> {
        let mut body = json!({ "order_id": sold.foreign_id, "tender": "kaspi_terminal" });
        match sold.way {
            Way::Terminal(till) => body["terminal"] = json!(format!("till{till}")),
            Way::Phone | Way::Bot | Way::Cash => {
                body["tender"] = json!("kaspi_invoice");
                body["phone"] = json!(self.phone());
            }
        }
        let key = format!("{}-{attempt}", sold.foreign_id);
        let shown = self.patient("POST", "/api/v1/payments", Some((&key, &body))).await?;
        let mut id = shown["id"].as_str().unwrap_or_default().to_owned();
        if self.ids.below(10) == 0
            && let Some(second) = self.tap_twice(&key, &body, &shown).await?
        {
            id = second;
        }
        self.follow(&id).await
    }

    /// A nervous finger, and the second till: the same payment, and a refusal. Where the first one had failed by then, the second till's is
    /// the payment to follow.
    async fn tap_twice(&self, key: &str, body: &Value, first: &Value) -> Result<Option<String>, String> {
        let again = self.patient("POST", "/api/v1/payments", Some((key, body))).await?;
        if again["id"] != first["id"] {
            return Err(format!("a double tap made a second payment: {} and {}", first["id"], again["id"]));
        }
        let other = format!("{key}-other");
        match self.patient("POST", "/api/v1/payments", Some((&other, body))).await {
            Ok(second) => {
                let path = format!("/api/v1/payments/{}", first["id"].as_str().unwrap_or_default());
                let ended = self.patient("GET", &path, None).await?;
                if !["failed", "cancelled", "expired"].contains(&ended["state"].as_str().unwrap_or_default()) {
                    return Err(format!("the second till made a second payment: {} and {}", first["id"], second["id"]));
                }
                return Ok(second["id"].as_str().map(str::to_owned));
            }
            Err(_refused) => self.tally.double_taps.set(self.tally.double_taps.get() + 2),
        }
        Ok(None)
    }

    async fn follow(&self, id: &str) -> Result<String, String> {
        let path = format!("/api/v1/payments/{id}");
        loop {
            let shown = self.patient("GET", &path, None).await?;
            if let Some(handle) = shown["handle"].as_str() {
                let mut seen = self.seen.borrow_mut();
                if !seen.iter().any(|known| known == handle) {
                    seen.push(handle.to_owned());
                }
            }
            match shown["state"].as_str().unwrap_or_default() {
                ended @ ("paid" | "failed" | "cancelled" | "expired") => return Ok(ended.to_owned()),
                "unresolved" if !shown["question"].is_null() => self.answer(id, &shown).await?,
                _ => {}
            }
            self.clock.sleep(Duration::from_millis(1_500)).await;
        }
    }

    /// Two unclear minutes are over: the cashier looks at the terminal itself, or asks the guest to show the phone.
    async fn answer(&self, id: &str, shown: &Value) -> Result<(), String> {
        let seen = match shown["via"].as_str().unwrap_or_default() {
            "aipay" => self.look_at_phone(id),
            till => {
                let amount = shown["amount"].as_i64().unwrap_or_default();
                self.look_at_terminal(till, amount, shown["handle"].as_str())
            }
        };
        let (outcome, transaction) = match seen {
            Look::Paid(transaction) => ("paid", transaction),
            Look::NotPaid => ("not_paid", String::new()),
            Look::Wait => return Ok(()),
        };
        let because = "посмотрел сам";
        let confirmed = outcome == "not_paid";
        let body = json!({
            "by": "Кассир", "because": because, "outcome": outcome, "transaction": transaction, "confirmed": confirmed,
        });
        // Evidence may have come first: then there is nothing to answer any more.
        if self.patient("POST", &format!("/api/v1/payments/{id}/answer"), Some(("", &body))).await.is_ok() {
            self.tally.answers.set(self.tally.answers.get() + 1);
        }
        Ok(())
    }

    fn look_at_phone(&self, id: &str) -> Look {
        let invoices = self.shop.world.aipay().invoices();
        match invoices.iter().find(|invoice| invoice.external_id == id) {
            None => Look::NotPaid,
            // The guest shows the phone: with webhooks away and the create lost, nobody else can tell.
            Some(invoice) => match invoice.status {
                InvoiceStatus::Paid => Look::Paid(invoice.id.clone()),
                InvoiceStatus::Pending => Look::Wait,
                InvoiceStatus::Expired | InvoiceStatus::Error => Look::NotPaid,
            },
        }
    }

    /// The history on the terminal: the operation that the payment names, else the newest of this sum that no payment names.
    fn look_at_terminal(&self, till: &str, amount: i64, named: Option<&str>) -> Look {
        let place = till.trim_start_matches("till").parse::<usize>().unwrap_or(1).saturating_sub(1);
        let Some(terminal) = self.shop.world.terminals().get(place) else {
            return Look::Wait;
        };
        let mut seen = self.seen.borrow_mut();
        let operations = terminal.operations();
        let is_it = |process: &str| match named {
            Some(named) => process == named,
            None => !seen.iter().any(|known| known == process),
        };
        let found =
            operations.iter().rev().find(|one| !one.is_refund && one.amount == amount && is_it(&one.process_id));
        let Some(found) = found else {
            return Look::NotPaid;
        };
        let is_over = [OperationStatus::Success, OperationStatus::Fail].contains(&found.status);
        let process = found.process_id.clone();
        match (&found.transaction_id, found.charged) {
            (Some(transaction), true) => {
                seen.push(process);
                Look::Paid(transaction.clone())
            }
            (_, false) if is_over => {
                seen.push(process);
                Look::NotPaid
            }
            (_, _) => Look::Wait,
        }
    }

    async fn through_bot(&self, sold: &Sold) -> Result<String, String> {
        let body = json!({
            "phone": self.phone(),
            "amount": sold.due_tenge,
            "description": format!("Плов и чай с собой, {}", sold.number),
            "external_id": sold.foreign_id,
        });
        let shown = self.patient("BOT", "/v1/invoices", Some(("", &body))).await?;
        let id = shown["invoice_id"].as_str().unwrap_or_default().to_owned();
        loop {
            let shown = self.patient("BOT", &format!("/v1/invoices/{id}"), None).await?;
            if let ended @ ("paid" | "expired" | "error") = shown["status"].as_str().unwrap_or_default() {
                return Ok(ended.to_owned());
            }
            if let Some(payment) = id.strip_prefix("inv_") {
                let shown = self.patient("GET", &format!("/api/v1/payments/{payment}"), None).await?;
                if shown["state"] == "unresolved" && !shown["question"].is_null() {
                    self.answer(payment, &shown).await?;
                }
            }
            self.clock.sleep(Duration::from_secs(2)).await;
        }
    }

    fn phone(&self) -> String {
        format!("7701{:07}", self.ids.below(10_000_000))
    }

    /// Calls the daemon until it answers: it may be without power, and the POS behind it may be away. A refusal is an answer.
    async fn patient(&self, method: &str, path: &str, sent: Option<(&str, &Value)>) -> Result<Value, String> {
        loop {
            let mut request = if sent.is_some() { Request::post(path) } else { Request::get(path) };
            if let Some((key, body)) = sent {
                request = request.json(body.to_string());
                if !key.is_empty() {
                    request = request.header("idempotency-key", key);
                }
            }
            if method == "BOT" {
                request = request.header("authorization", format!("Bearer {SANDBOX_SECRET}"));
            }
            match self.web.send(&request, Limits::LIST).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer.json().unwrap_or(Value::Null)),
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => {
                    let told = answer.json().unwrap_or(Value::Null);
                    return Err(format!("{method} {path}: {} {}", answer.status, told));
                }
                Err(_lost) => {}
            }
            self.clock.sleep(Duration::from_secs(2)).await;
        }
    }

    /// Waits until nothing is left to do outside and nothing is unclear; tells what is left when it took too long.
    async fn drain(&self) -> Vec<String> {
        let left = RefCell::default();
        let idle = async {
            loop {
                let open = self.left_to_do().await?;
                self.settle_questions().await?;
                if open.is_empty() {
                    return Ok::<(), String>(());
                }
                left.replace(open);
                self.clock.sleep(Duration::from_secs(2)).await;
            }
        };
        match self.clock.limit(DRAIN_LIMIT, idle).await {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(problem)) => vec![problem],
            Err(_late) => left.into_inner(),
        }
    }

    async fn left_to_do(&self) -> Result<Vec<String>, String> {
        let jobs = self.patient("GET", "/api/v1/jobs", None).await?;
        let mut left = shown(&jobs["jobs"], |_| true);
        for state in ["planned", "sent", "waiting", "unresolved"] {
            let live = self.patient("GET", &format!("/api/v1/payments?limit=1&state={state}"), None).await?;
            left.extend(shown(&live["payments"], |_| true));
        }
        left.extend(self.left_at_register().await?);
        Ok(left)
    }

    /// The evil spirit of the lunch. Its plan depends on the seed alone; when it strikes depends on how far the lunch is.
    async fn trouble(
        &self,
        config: &Config,
        power: &mut Power<'_>,
        orders: u32,
        is_over: watch::Receiver<bool>,
    ) -> Result<(), String> {
        power.let_in().await;
        let world = &self.shop.world;
        for fault in [Fault::LoseReply, Fault::DropBefore] {
            world.aipay().faults().chance(fault, 12);
            world.poster().faults().chance(fault, 12);
            world.terminals().iter().for_each(|terminal| terminal.faults().chance(fault, 4));
        }
        world.poster().faults().chance(Fault::Status(502), 10);
        world.poster().faults().chance(Fault::Garbage, 8);
        world.aipay().faults().chance(Fault::Status(503), 10);
        world.aipay().faults().add(Rule { call: "create".to_owned(), fault: Fault::LoseReply, times: 1, skip: 3 });
        world.bot().fail(2);
        self.trouble_register();
        let all = usize::try_from(orders).unwrap_or(usize::MAX);
        let partners = [
            (all / 10, Strike::Webhooks(WebhookMode::Twice)),
            (all / 4, Strike::Webhooks(WebhookMode::Late(Duration::from_secs(20)))),
            (all / 3, Strike::PosDown),
            (all * 2 / 5, Strike::Unknown),
            (all / 2, Strike::Webhooks(WebhookMode::Never)),
            (all * 3 / 5, Strike::CloudDown),
            (all * 4 / 5, Strike::Webhooks(WebhookMode::BeforeReply)),
        ];
        let printers = [(all / 8, Strike::PaperOut), (all * 3 / 8, Strike::PrinterOff), (all * 2 / 3, Strike::LineCut)];
        let power = async {
            for at in [all / 5, all * 3 / 4] {
                if !self.reached(at, is_over.clone()).await {
                    break;
                }
                self.tally.power_cuts.set(self.tally.power_cuts.get() + 1);
                power.cut().await;
                self.clock.sleep(Duration::from_secs(5)).await;
                power.on(config).await?;
            }
            Ok(())
        };
        let (powered, (), (), registered) = tokio::join!(
            power,
            self.strike_all(&partners, is_over.clone()),
            self.strike_all(&printers, is_over.clone()),
            self.strike_register(all, is_over.clone()),
        );
        powered.and(registered)
    }

    /// The server that notices come in through dies once with all its sessions, and comes back.
    async fn trouble_way_in(
        &self,
        way_in: Option<&mut WayIn>,
        orders: u32,
        is_over: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let all = usize::try_from(orders).unwrap_or(usize::MAX);
        let Some(way_in) = way_in else { return Ok(()) };
        if !self.reached(all * 9 / 20, is_over).await {
            return Ok(());
        }
        self.tally.tunnel.set(Some((0, 1)));
        way_in.sshd.kill().await;
        self.clock.sleep(Duration::from_secs(20 + self.ids.below(40))).await;
        way_in.sshd.start().await.map_err(|fault| fault.to_string())
    }

    /// Waits until so many guests are served; `false` when the lunch is over first.
    async fn reached(&self, served: usize, is_over: watch::Receiver<bool>) -> bool {
        while self.tally.done.get() < served {
            if *is_over.borrow() {
                return false;
            }
            self.clock.sleep(Duration::from_secs(1)).await;
        }
        true
    }

    async fn strike_all(&self, strikes: &[(usize, Strike)], is_over: watch::Receiver<bool>) {
        for (at, strike) in strikes {
            if !self.reached(*at, is_over.clone()).await {
                return;
            }
            self.strike(strike).await;
        }
    }

    async fn strike(&self, strike: &Strike) {
        let world = &self.shop.world;
        let pause = Duration::from_secs(20 + self.ids.below(40));
        let printer = |name: &str| {
            self.tally.printer_faults.set(self.tally.printer_faults.get() + 1);
            self.shop.printer(name)
        };
        match strike {
            Strike::Webhooks(mode) => world.aipay().set_webhook_mode(*mode),
            Strike::Unknown => world.terminals().iter().for_each(|terminal| terminal.set_unknown(2, true)),
            Strike::PosDown => self.away(world.poster().faults(), pause).await,
            Strike::CloudDown => self.away(world.aipay().faults(), pause).await,
            Strike::PaperOut => self.stands(printer("hot"), PrinterState::PaperOut, pause).await,
            Strike::PrinterOff => self.stands(printer("receipt"), PrinterState::Off, pause).await,
            Strike::LineCut => {
                if let Some(printer) = printer("bar") {
                    printer.cut_connection_after(150);
                }
            }
        }
    }

    async fn away(&self, faults: &Faults, pause: Duration) {
        faults.set_down(true);
        self.clock.sleep(pause).await;
        faults.set_down(false);
    }

    async fn stands(&self, printer: Option<&Arc<Printer>>, state: PrinterState, pause: Duration) {
        if let Some(printer) = printer {
            printer.set_state(state);
            self.clock.sleep(pause).await;
            printer.set_state(PrinterState::Ready);
        }
    }
}

/// The rows of a list that are still open, as they are.
fn shown(rows: &Value, is_open: impl Fn(&Value) -> bool) -> Vec<String> {
    rows.as_array().into_iter().flatten().filter(|row| is_open(row)).map(|row| format!("still open: {row}")).collect()
}

/// What a guest orders from the bot.
fn bot_order(place: usize, own: &Ids) -> Sold {
    let number = format!("tg-{place}");
    Sold {
        foreign_id: number.clone(),
        number,
        due_tenge: i64::try_from(1_500 + 100 * own.below(60)).unwrap_or(1_500),
        way: Way::Bot,
        // Without lines the description goes to the first station.
        stations: vec!["hot"],
        paid: false,
        cash_tenge: 0,
        returned_tenge: 0,
        cash_returned_tenge: 0,
        slips: 0,
        stuck: None,
    }
}

enum Look {
    Paid(String),
    NotPaid,
    Wait,
}

enum Strike {
    Webhooks(WebhookMode),
    Unknown,
    PosDown,
    CloudDown,
    PaperOut,
    PrinterOff,
    LineCut,
}

/// A bar on a terminal; a line at each tenth elsewhere.
async fn show_progress(tally: &Tally, orders: u32, clock: &Clock, mut is_over: watch::Receiver<bool>) {
    let all = usize::try_from(orders).unwrap_or(usize::MAX).max(1);
    let is_terminal = std::io::stdout().is_terminal();
    let mut said = 0;
    loop {
        let done = tally.done.get();
        let filled = BAR_CELLS * done / all;
        let bar: String = (0..BAR_CELLS).map(|cell| if cell < filled { '█' } else { '░' }).collect();
        let line =
            format!("  {bar} {done}/{all} served, {} paid, {} power cuts", tally.paid.get(), tally.power_cuts.get());
        if is_terminal {
            let mut out = std::io::stdout();
            // A closed pipe is the reader's choice.
            let _shown = write!(out, "\r{line}").and_then(|()| out.flush()).is_ok();
        } else if done * 10 / all > said {
            said = done * 10 / all;
            say(&line);
        }
        if *is_over.borrow() {
            break;
        }
        tokio::select! {
            () = clock.sleep(Duration::from_secs(2)) => {}
            _ = is_over.changed() => {}
        }
    }
    if is_terminal {
        say("");
    }
}
