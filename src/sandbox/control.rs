//! The control page: a person plays the guest with a phone, the guest at the terminal, the waiter at the register, and bad luck. One
//! JSON with everything (`/control/state`), one way to act (`POST /control/{partner}/{action}` with a small JSON), pictures of paper.

use super::World;
use super::aipay::{InvoiceStatus, WebhookMode};
use super::faults::{Fault, Faults, Rule};
use super::gate::{AutoGuest, answer, json, plain, utc_time};
use super::menu::MENU;
use super::poster::ByHand;
use super::terminal::{Product, Terminal};
use super::webkassa::Webkassa;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json as object};
use std::sync::Arc;
use std::time::Duration;

/// How many of the newest rows of each list the page gets.
const ROWS_MAX: usize = 40;
/// What "late" means on the page unless it says how late.
const LATE: Duration = Duration::from_secs(30);

/// How many of the newest papers of a printer the page shows.
const PAPERS_SHOWN: usize = 4;

/// One sheet that a printer put out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaperView {
    /// Which one it is.
    pub number: usize,
    /// What is written on it.
    pub text: String,
}

/// A sandbox printer, as the page needs it.
pub trait PrinterView: Send + Sync {
    /// Its name.
    fn name(&self) -> String;
    /// How many sheets it put out in all.
    fn count(&self) -> usize;
    /// The newest sheets, the newest first, at most so many.
    fn newest(&self, most: usize) -> Vec<PaperView>;
    /// How a sheet looks, as a PNG; `None` when there is no such sheet any more.
    fn png(&self, number: usize) -> Option<Vec<u8>>;
    /// Its state as a word: `ok`, `paper_low`, `paper_out`, `cover_open`, `cutter`, `offline`, `silent`, `off`.
    fn state(&self) -> String;
    /// Sets the state; `false` for a word it does not know.
    fn set_state(&self, state: &str) -> bool;
}

/// The page and its JSON.
pub fn router(world: World) -> Router {
    Router::new()
        .route("/", get(async || page("text/html; charset=utf-8", include_str!("control.html"))))
        .route("/control.css", get(async || page("text/css; charset=utf-8", include_str!("control.css"))))
        .route("/control.js", get(async || page("text/javascript; charset=utf-8", include_str!("control.js"))))
        .route("/control/state", get(async |State(world): State<Arc<World>>| json(200, &state(&world))))
        .route("/control/printers/{name}/{paper}", get(paper))
        .route("/control/samples/{place}", get(sample))
        .route("/control/{partner}/{action}", post(act))
        .with_state(Arc::new(world))
}

fn page(media: &'static str, text: &'static str) -> Response {
    let mut response = answer(200, media, text);
    let policy = axum::http::HeaderValue::from_static("default-src 'self'; img-src 'self' data:");
    response.headers_mut().insert(axum::http::header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn state(world: &World) -> Value {
    let invoices = newest(world.aipay().invoices());
    let orders = newest(world.poster().orders());
    let terminals: Vec<Value> = world.terminals().iter().map(|terminal| terminal_state(terminal)).collect();
    let printers: Vec<Value> = world.printers().iter().map(|printer| printer_state(printer.as_ref())).collect();
    object!({
        "now": utc_time(world.clock().wall()),
        "aipay": {
            "base": world.aipay_base(), "invoices": invoices, "deliveries": newest(world.aipay().deliveries()),
            "mode": mode_word(world.aipay().webhook_mode()), "auto": world.aipay().has_auto_guest(),
            "luck": luck(world.aipay().faults(), &world.aipay().violations()),
        },
        "poster": {
            "base": world.poster_base(), "orders": orders, "menu": MENU,
            "luck": luck(world.poster().faults(), &world.poster().violations()),
        },
        "webkassa": webkassa_state(world),
        "terminals": terminals,
        "bot": {
            "url": world.bot_url(), "events": newest(world.bot().events()),
            "luck": luck(world.bot().faults(), &world.bot().violations()),
        },
        "printers": printers,
        "samples": world.samples().iter().map(|sample| sample.title.clone()).collect::<Vec<_>>(),
    })
}

fn newest<T>(mut rows: Vec<T>) -> Vec<T> {
    rows.reverse();
    rows.truncate(ROWS_MAX);
    rows
}

fn luck(faults: &Faults, violations: &[String]) -> Value {
    let last = violations.len().saturating_sub(5);
    object!({"is_down": faults.is_down(), "fired": faults.fired(), "violations": violations.get(last..)})
}

fn terminal_state(terminal: &Terminal) -> Value {
    object!({
        "name": terminal.name(), "screen": terminal.screen(), "operations": newest(terminal.operations()),
        "auto": terminal.has_auto_guest(), "luck": luck(terminal.faults(), &terminal.violations()),
    })
}

fn webkassa_state(world: &World) -> Value {
    let webkassa = world.webkassa();
    object!({
        "base": world.webkassa_base(), "receipts": newest(webkassa.receipts()), "moves": newest(webkassa.moves()),
        "shift": webkassa.shifts().last(), "drawer": webkassa.drawer(), "is_autonomous": webkassa.is_autonomous(),
        "luck": luck(webkassa.faults(), &webkassa.violations()),
    })
}

fn printer_state(printer: &dyn PrinterView) -> Value {
    let newest: Vec<Value> = printer
        .newest(PAPERS_SHOWN)
        .iter()
        .map(|paper| object!({"number": paper.number, "text": paper.text}))
        .collect();
    object!({"name": printer.name(), "state": printer.state(), "papers": printer.count(), "newest": newest})
}

fn mode_word(mode: WebhookMode) -> &'static str {
    match mode {
        WebhookMode::Normal => "normal",
        WebhookMode::Twice => "twice",
        WebhookMode::Never => "never",
        WebhookMode::Late(_) => "late",
        WebhookMode::BeforeReply => "before_reply",
    }
}

/// A paper by its number, `7.png`, or the newest one, `last.png`.
async fn paper(State(world): State<Arc<World>>, Path((name, paper)): Path<(String, String)>) -> Response {
    let picture = || {
        let printer = world.printers().into_iter().find(|printer| printer.name() == name)?;
        let number = match paper.strip_suffix(".png")? {
            "last" => printer.newest(1).first()?.number,
            number => number.parse().ok()?,
        };
        printer.png(number)
    };
    shown(picture())
}

async fn sample(State(world): State<Arc<World>>, Path(place): Path<String>) -> Response {
    let place = place.strip_suffix(".png").and_then(|place| place.parse::<usize>().ok());
    shown(place.and_then(|place| world.samples().get(place).map(|sample| sample.png.clone())))
}

fn shown(picture: Option<Vec<u8>>) -> Response {
    match picture {
        Some(png) => answer(200, "image/png", png),
        None => plain(404, "no such paper"),
    }
}

async fn act(
    State(world): State<Arc<World>>,
    Path((partner, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A page of another origin cannot send this media type unasked: that is all the protection that a sandbox needs.
    let is_json = headers.get("content-type").is_some_and(|media| media.as_bytes().starts_with(b"application/json"));
    let args: Option<Map<String, Value>> =
        if body.is_empty() { Some(Map::new()) } else { serde_json::from_slice(&body).ok() };
    let Some(args) = args.filter(|_| is_json) else {
        return json(400, &object!({"ok": false, "why": "send a JSON object as application/json"}));
    };
    match perform(&world, &partner, &action, &Args(args)) {
        Some(done) => json(200, &object!({"ok": true, "done": done})),
        None => json(409, &object!({"ok": false, "why": "no such action, or it is not possible now"})),
    }
}

/// The small JSON of an action.
struct Args(Map<String, Value>);

impl Args {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn guest(&self) -> Option<AutoGuest> {
        self.flag("on").then(AutoGuest::default)
    }
}

/// Does what was asked; none when that is not possible.
fn perform(world: &World, partner: &str, action: &str, args: &Args) -> Option<Value> {
    match partner {
        "aipay" => on_aipay(world, action, args),
        "poster" => on_poster(world, action, args),
        "webkassa" => on_webkassa(world.webkassa(), action, args),
        "terminal" => {
            let place = usize::try_from(args.number("terminal").unwrap_or(0)).ok()?;
            on_terminal(world.terminals().get(place)?, action, args)
        }
        "bot" if action == "fail" => {
            world.bot().fail(u32::try_from(args.number("times").unwrap_or(1)).ok()?);
            Some(Value::Null)
        }
        "bot" => on_luck(world.bot().faults(), action, args),
        "printer" if action == "state" => {
            let name = args.text("printer")?;
            let printer = world.printers().into_iter().find(|printer| printer.name() == name)?;
            is_done(printer.set_state(args.text("state")?))
        }
        _ => None,
    }
}

fn is_done(is_done: bool) -> Option<Value> {
    is_done.then_some(Value::Null)
}

/// What can be done to every partner: switch it off, clear its faults, order a fault.
fn on_luck(faults: &Faults, action: &str, args: &Args) -> Option<Value> {
    match action {
        "down" => faults.set_down(args.flag("on")),
        "clear" => faults.clear(),
        "fault" => {
            let fault = Fault::from_word(args.text("fault")?, args.number("number"))?;
            let times = u32::try_from(args.number("times").unwrap_or(1)).ok()?;
            let skip = u32::try_from(args.number("skip").unwrap_or(0)).ok()?;
            faults.add(Rule { call: args.text("call").unwrap_or("*").to_owned(), fault, times, skip });
        }
        "chance" => {
            let fault = Fault::from_word(args.text("fault")?, args.number("number"))?;
            faults.chance(fault, u16::try_from(args.number("per_mille")?).ok()?);
        }
        _ => return None,
    }
    Some(Value::Null)
}

fn on_aipay(world: &World, action: &str, args: &Args) -> Option<Value> {
    let aipay = world.aipay();
    let id = args.text("id").unwrap_or_default();
    match action {
        "pays" => match aipay.invoices().iter().find(|invoice| invoice.id == id)?.status {
            InvoiceStatus::Pending => is_done(aipay.guest_pays(id)),
            InvoiceStatus::Expired | InvoiceStatus::Error => is_done(aipay.guest_pays_late(id)),
            InvoiceStatus::Paid => None,
        },
        "pays_sum" => is_done(aipay.guest_pays_sum(id, i64::try_from(args.number("amount")?).ok()?)),
        "walks_away" => is_done(aipay.guest_walks_away(id)),
        "error" => is_done(aipay.set_error(id)),
        "redeliver" => is_done(aipay.redeliver(id)),
        "mode" => {
            let late = args.number("seconds").map_or(LATE, Duration::from_secs);
            aipay.set_webhook_mode(match args.text("mode")? {
                "normal" => WebhookMode::Normal,
                "twice" => WebhookMode::Twice,
                "never" => WebhookMode::Never,
                "late" => WebhookMode::Late(late),
                "before_reply" => WebhookMode::BeforeReply,
                _ => return None,
            });
            Some(Value::Null)
        }
        "webhook_url" => {
            aipay.set_webhook_url(args.text("url").map(str::to_owned));
            Some(Value::Null)
        }
        "trial_over" => {
            aipay.set_trial_over(args.flag("on"));
            Some(Value::Null)
        }
        "auto" => {
            aipay.set_auto_guest(args.guest());
            Some(Value::Null)
        }
        _ => on_luck(aipay.faults(), action, args),
    }
}

fn on_terminal(terminal: &Terminal, action: &str, args: &Args) -> Option<Value> {
    match action {
        "allow" => is_done(terminal.tap_allow()),
        "deny" => is_done(terminal.tap_deny()),
        "forbid" => is_done(terminal.forbid(args.text("name")?)),
        "qr" => is_done(terminal.guest_pays_qr()),
        "card" => is_done(terminal.guest_pays_card()),
        "alaqan" => is_done(terminal.guest_pays_alaqan()),
        "declined" => is_done(terminal.guest_declines()),
        "walks_away" => is_done(terminal.guest_walks_away()),
        "unknown" => {
            let asks = u32::try_from(args.number("asks").unwrap_or(1)).ok()?;
            terminal.set_unknown(asks, args.flag("success"));
            Some(Value::Null)
        }
        "product" => {
            let months = u32::try_from(args.number("months").unwrap_or(12)).ok()?;
            terminal.set_product(match args.text("product")? {
                "gold" => Product::Gold,
                "red" => Product::Red,
                "loan" => Product::Loan { months },
                "installment" => Product::Installment { months },
                _ => return None,
            });
            Some(Value::Null)
        }
        "reboot" => {
            terminal.reboot();
            Some(Value::Null)
        }
        "expire_tokens" => {
            terminal.expire_tokens();
            Some(Value::Null)
        }
        "auto" => {
            terminal.set_auto_guest(args.guest());
            Some(Value::Null)
        }
        _ => on_luck(terminal.faults(), action, args),
    }
}

fn on_poster(world: &World, action: &str, args: &Args) -> Option<Value> {
    let poster = world.poster();
    let id = args.number("id").unwrap_or_default();
    match action {
        "open" => Some(object!({"id": open_order(world, args)})),
        "add_dish" => {
            let product = args.number("product").unwrap_or_else(|| world.ids().below(14) + 1);
            is_done(poster.add_dish_with(id, product, args.text("modifiers").unwrap_or_default()))
        }
        "set_count" => {
            is_done(poster.set_count(id, args.number("product")?, u32::try_from(args.number("count")?).ok()?))
        }
        "close_cash" => is_done(poster.close_by_hand(id, ByHand::Cash)),
        "close_card" => is_done(poster.close_by_hand(id, ByHand::Card)),
        "remove" => is_done(poster.remove(id)),
        _ => on_luck(poster.faults(), action, args),
    }
}

fn on_webkassa(webkassa: &Webkassa, action: &str, args: &Args) -> Option<Value> {
    match action {
        "autonomous" => webkassa.set_autonomous(args.flag("on")),
        "expire_tokens" => webkassa.expire_tokens(),
        "blocked" => webkassa.set_blocked(args.flag("on")),
        "licensed" => webkassa.set_licensed(args.flag("on")),
        "data_with_14" => webkassa.set_answers_14_with_data(args.flag("on")),
        "unknown" => webkassa.answer_unknown_once(args.flag("made")),
        "z" => return is_done(webkassa.close_shift()),
        _ => return on_luck(webkassa.faults(), action, args),
    }
    Some(Value::Null)
}

/// Opens the order that was described, or one that a hungry table would order.
fn open_order(world: &World, args: &Args) -> u64 {
    let ids = world.ids();
    let table = args.number("table").unwrap_or_else(|| ids.below(20) + 1);
    let line = |line: &Value| {
        let count = line.get("count").and_then(Value::as_u64).unwrap_or(1);
        Some((line.get("product")?.as_u64()?, u32::try_from(count).ok()?))
    };
    let described = args.0.get("lines").and_then(Value::as_array);
    let lines: Vec<(u64, u32)> = match described {
        Some(lines) => lines.iter().filter_map(line).collect(),
        None => (0..ids.below(3) + 2).map(|_| (ids.below(14) + 1, 1)).collect(),
    };
    world.poster().open_order(table, args.text("waiter").unwrap_or("Айгерім"), &lines)
}
