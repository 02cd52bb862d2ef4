//! Poster over its web API v3 with a personal token (poster §1–5, way B of §14). The token is in every URL. HTTP statuses say
//! nothing; errors come as object, number or text, also inside `response`; scalars are numbers or strings as it pleases. `dash.*`
//! speaks in tiyn, `closeTransaction` in tenge (§2): conversion happens here and nowhere else. A close whose answer is doubtful is
//! `Unknown`, and the worker reads before anything else.

use crate::domain::fiscal::{Side, UNIT_KILOGRAM};
use crate::domain::money::Tiyn;
use crate::domain::order::{Line, Milli, Snapshot};
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Wall;
use crate::drivers::{
    BadSetup, Build, Closing, FiscalMark, Key, Kind, Pos, PosOrder, PosStanding, Setup, Takes, lost, scalar,
};
use crate::host::secret::Secret;
use crate::transport::web::{Answer, Limits, Request, Trust, Web};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::Arc;

/// Its line in the registry.
pub const KIND: Kind = Kind {
    name: "poster",
    title: "Poster POS over its web API",
    keys: &[
        Key {
            name: "token_file",
            takes: Takes::SecretFile,
            required: true,
            help: "the personal token: console → Access → Integrations → Personal integration",
        },
        Key { name: "spot_id", takes: Takes::Number, required: true, help: "the outlet's id in Poster" },
        Key {
            name: "spot_tablet_id",
            takes: Takes::Number,
            required: true,
            help: "the register's id in Poster, from access.getTablets",
        },
        Key {
            name: "payment_method_id",
            takes: Takes::Number,
            required: false,
            help: "the id of the own payment method for Kaspi, from settings.getPaymentMethods",
        },
    ],
    build: Build::Pos(build),
};

/// How many open orders are taken from a list; the newest come first.
pub const ORDERS_MAX: usize = 1000;
/// How many lines an order may have.
pub const LINES_MAX: usize = 500;
/// The longest text of Poster that is kept.
const TEXT_CHARS_MAX: usize = 300;
/// How many modifiers of one line are kept.
const MODIFIERS_MAX: usize = 32;

/// Which outlet and register we speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The outlet.
    pub spot_id: i64,
    /// The register.
    pub spot_tablet_id: i64,
    /// The own method for Kaspi, where the account has one.
    pub payment_method_id: Option<i64>,
    /// The shop's offset from UTC in seconds.
    pub utc_offset_s: i32,
}

/// Asks for open orders since the day of `from`.
pub fn open_orders_request(place: &Place, from: Wall, now: Wall, token: &Secret) -> Request {
    call(Request::get("/dash.getTransactions"), token)
        .query("dateFrom", day(from, place.utc_offset_s))
        .query("dateTo", day(now, place.utc_offset_s))
        .query("status", "1")
        .query("type", "spots")
        .query("id", place.spot_id.to_string())
}

/// Asks for one order.
pub fn order_request(foreign_id: &str, token: &Secret) -> Request {
    call(Request::get("/dash.getTransaction"), token).query("transaction_id", foreign_id)
}

/// Asks for the lines of one order, with names and stations.
pub fn lines_request(foreign_id: &str, token: &Secret) -> Request {
    call(Request::get("/dash.getTransactionProducts"), token).query("transaction_id", foreign_id)
}

/// Asks to close: sums in tenge, the whole amount in one call (§4).
pub fn close_request(place: &Place, closing: &Closing, token: &Secret) -> Result<Request, Reason> {
    let is_negative = closing.cash.0 < 0 || closing.cashless.0 < 0;
    let is_nothing = closing.cash.0 == 0 && closing.cashless.0 == 0;
    if is_negative || is_nothing {
        return Err(Reason::new("pos_sum", "Poster closes an order only with what was paid for it"));
    }
    if !is_order_id(&closing.foreign_id) {
        return Err(not_an_order());
    }
    let (spot, tablet) = (place.spot_id.to_string(), place.spot_tablet_id.to_string());
    let (cash, cashless) = (closing.cash.decimal(), closing.cashless.decimal());
    let method = place.payment_method_id.filter(|_| closing.cashless.0 > 0).map(|id| id.to_string());
    let mut pairs = vec![
        ("spot_id", spot.as_str()),
        ("spot_tablet_id", tablet.as_str()),
        ("transaction_id", closing.foreign_id.as_str()),
        ("payed_cash", cash.as_str()),
        ("payed_card", cashless.as_str()),
    ];
    if let Some(method) = &method {
        pairs.push(("payment_method_id", method));
    }
    Ok(call(Request::post("/transactions.closeTransaction"), token).form(&pairs))
}

/// Tells that the goods of an order have their fiscal receipt, or were given back with one; it prints nothing (§4).
pub fn mark_request(place: &Place, mark: &FiscalMark, token: &Secret) -> Result<Request, Reason> {
    if !is_order_id(&mark.foreign_id) {
        return Err(not_an_order());
    }
    let mut pairs = vec![
        ("spot_id".to_owned(), place.spot_id.to_string()),
        ("spot_tablet_id".to_owned(), place.spot_tablet_id.to_string()),
        ("transaction_id".to_owned(), mark.foreign_id.clone()),
        ("fiscal_return".to_owned(), (mark.side == Side::Return).to_string()),
        ("time".to_owned(), mark.at.0.to_string()),
    ];
    for (no, line) in mark.lines.iter().enumerate() {
        let (product, variant) = line.key.split_once(':').unwrap_or((&line.key, "0"));
        let count = line.quantity.to_string().replace(',', ".");
        pairs.push((format!("products[{no}][product_id]"), product.to_owned()));
        pairs.push((format!("products[{no}][modification_id]"), variant.to_owned()));
        pairs.push((format!("products[{no}][count]"), count));
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    Ok(call(Request::post("/transactions.changeFiscalStatus"), token).form(&pairs))
}

fn call(request: Request, token: &Secret) -> Request {
    request.secret_query("token", token)
}

/// Reads the list of open orders. A line of the list that is no order is left out; a list of nothing else is `Unknown`.
pub fn read_open_orders(answer: &Answer, spot_id: i64) -> Outcome<Vec<Snapshot>> {
    response(answer).and_then(|list| {
        let items = match &list {
            Json::Array(items) => items.as_slice(),
            // PHP says "none" in several ways.
            Json::Null | Json::Bool(false) => &[],
            Json::Bool(true) | Json::Number(_) | Json::String(_) | Json::Object(_) => return garbled(answer),
        };
        let spot_id = spot_id.to_string();
        let is_ours = |item: &&Json| {
            let told = |key: &str| text(item, key);
            told("status").is_none_or(|status| status == "1") && told("spot_id").is_none_or(|spot| spot == spot_id)
        };
        let orders: Vec<Snapshot> =
            items.iter().filter(is_ours).take(ORDERS_MAX).filter_map(|item| snapshot(item, Vec::new())).collect();
        if orders.is_empty() && items.iter().any(|item| is_ours(&item)) {
            garbled(answer)
        } else {
            Outcome::Done(orders)
        }
    })
}

/// Reads one order; its lines come from [`read_lines`].
pub fn read_order(answer: &Answer, foreign_id: &str, lines: Vec<Line>) -> Outcome<PosOrder> {
    response(answer).and_then(|found| {
        let item = match &found {
            Json::Array(items) if items.is_empty() => return Outcome::Refused(not_found()),
            Json::Array(items) => items.first().cloned().unwrap_or_default(),
            Json::Object(_) => found.clone(),
            Json::Null | Json::Bool(false) => return Outcome::Refused(not_found()),
            Json::Bool(true) | Json::Number(_) | Json::String(_) => return garbled(answer),
        };
        let Some(snapshot) = snapshot(&item, lines).filter(|order| order.foreign_id == foreign_id) else {
            return garbled(answer);
        };
        match text(&item, "status").as_deref() {
            Some("1") => Outcome::Done(PosOrder { snapshot, standing: PosStanding::Open }),
            Some("2") => match closed(&item) {
                Some(standing) => Outcome::Done(PosOrder { snapshot, standing }),
                None => garbled(answer),
            },
            Some("3" | "4") => Outcome::Done(PosOrder { snapshot, standing: PosStanding::Removed }),
            // 0 is an online order that nobody accepted yet: neither open nor over (§3).
            other => Outcome::Unknown(Reason::new("pos_status", format!("status {}", other.unwrap_or("none")))),
        }
    })
}

/// Reads the lines of one order. A line that cannot be read makes the whole unreadable: half an order is no order.
pub fn read_lines(answer: &Answer) -> Outcome<Vec<Line>> {
    response(answer).and_then(|list| {
        let items = match list {
            Json::Array(items) if items.len() <= LINES_MAX => items,
            Json::Null | Json::Bool(false) => Vec::new(),
            Json::Array(_) | Json::Bool(true) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
                return garbled(answer);
            }
        };
        let lines: Option<Vec<Line>> = items.iter().map(line).collect();
        lines.map_or_else(|| garbled(answer), Outcome::Done)
    })
}

/// Reads the answer to a close.
pub fn read_close(answer: &Answer) -> Outcome<()> {
    response(answer).and_then(|done| {
        let is_done = ["err_code", "error_code"].iter().any(|key| text(&done, key).as_deref() == Some("0"));
        if is_done { Outcome::Done(()) } else { garbled(answer) }
    })
}

/// Takes the envelope off (§1): what is inside `response`, or what the error means.
fn response(answer: &Answer) -> Outcome<Json> {
    let Some(mut json) = answer.json().filter(Json::is_object) else {
        return match answer.status {
            429 => Outcome::NotSent(Reason::new("too_many", answer.shape())),
            503 => Outcome::NotSent(Reason::new("partner_busy", answer.shape())),
            _ => garbled(answer),
        };
    };
    if let Some(error) = json.get("error").filter(|error| !error.is_null()) {
        let code = error.get("code").unwrap_or(error);
        let said = error.get("message").or_else(|| json.get("message")).unwrap_or(error);
        if scalar(code).as_deref() != Some("0") {
            return meaning(scalar(code), scalar(said));
        }
    }
    let Some(response) = json.get_mut("response").map(Json::take) else { return garbled(answer) };
    let code = ["err_code", "error_code"].iter().find_map(|key| text(&response, key)).filter(|code| code != "0");
    match code {
        Some(code) => meaning(Some(code), text(&response, "message")),
        None => Outcome::Done(response),
    }
}

fn meaning<T>(code: Option<String>, said: Option<String>) -> Outcome<T> {
    let said = said.filter(|said| code.as_deref() != Some(said)).map(|said| cut(&said)).unwrap_or_default();
    let number: Option<i64> = code.as_deref().and_then(|code| code.parse().ok());
    let because = |word: &str| {
        let number = number.map_or_else(|| code.as_deref().map(cut).unwrap_or_default(), |number| number.to_string());
        Reason::new(word, format!("Poster's error {number} {said}").trim_end())
    };
    match number {
        Some(10 | 11 | 12 | 20 | 54) => Outcome::Refused(because("pos_key")),
        Some(88) => Outcome::Refused(because("pos_sum")),
        // "Could not save" does not say that it did not.
        Some(1 | 44) => Outcome::Unknown(because("pos_unsure")),
        Some(_) => Outcome::Refused(because("pos_refused")),
        None => Outcome::Unknown(because("unmapped")),
    }
}

fn snapshot(item: &Json, lines: Vec<Line>) -> Option<Snapshot> {
    let foreign_id = text(item, "transaction_id").filter(|id| is_order_id(id))?;
    let table = || text(item, "table_id").filter(|id| id != "0");
    Some(Snapshot {
        number: foreign_id.clone(),
        foreign_id,
        table: text(item, "table_name").or_else(table).unwrap_or_default(),
        waiter: text(item, "name").unwrap_or_default(),
        due: due(item)?,
        lines,
        comment: text(item, "transaction_comment").unwrap_or_default(),
    })
}

/// What the guest owes: `payed_sum` even while open (§3). A zero there means "not told", except where everything is a gift.
fn due(item: &Json) -> Option<Tiyn> {
    let payed = minor(item, "payed_sum")?;
    let sum = minor(item, "sum")?;
    let is_reduced = ["discount", "bonus"]
        .iter()
        .any(|key| text(item, key).is_some_and(|text| text.contains(|sign| ('1'..='9').contains(&sign))));
    match (payed, sum) {
        (Some(payed), _) if payed.0 > 0 || is_reduced => Some(payed),
        (payed, sum) => sum.or(payed),
    }
}

fn closed(item: &Json) -> Option<PosStanding> {
    let paid = |key: &str| minor(item, key).map(Option::unwrap_or_default);
    let others = [paid("payed_cert")?, paid("payed_bonus")?, paid("payed_third_party")?, paid("payed_ewallet")?];
    let other = others.into_iter().try_fold(Tiyn::ZERO, Tiyn::checked_add)?;
    Some(PosStanding::Closed { cash: paid("payed_cash")?, cashless: paid("payed_card")?, other })
}

fn line(item: &Json) -> Option<Line> {
    let product = text(item, "product_id")?;
    let variant = text(item, "modification_id").unwrap_or_else(|| "0".to_owned());
    let paid = minor(item, "payed_sum")?.filter(|sum| sum.0 > 0);
    let full = minor(item, "product_sum")?;
    let modifiers = text(item, "modificator_name").unwrap_or_default();
    Some(Line {
        name: text(item, "product_name").unwrap_or_else(|| format!("№ {product}")),
        key: format!("{product}:{variant}"),
        modifiers: modifiers
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .take(MODIFIERS_MAX)
            .map(str::to_owned)
            .collect(),
        quantity: quantity(&text(item, "num")?)?,
        sum: paid.or(full).unwrap_or_default(),
        workshop: text(item, "workshop").filter(|id| id != "0"),
        comment: String::new(),
        // Sold by weight: Poster counts it in kilograms.
        unit: text(item, "weight_flag").filter(|flag| flag == "1").map(|_| UNIT_KILOGRAM),
        vat: None,
    })
}

/// A decimal count; digits beyond thousandths are dropped, since nothing weighs them.
fn quantity(text: &str) -> Option<Milli> {
    match text.split_once('.') {
        Some((whole, fraction)) => Milli::parse(&format!("{whole}.{}", fraction.get(..3).unwrap_or(fraction))),
        None => Milli::parse(text),
    }
}

/// A sum in tiyn. `None`: it is there and no sum; `Some(None)`: it is not there.
fn minor(item: &Json, key: &str) -> Option<Option<Tiyn>> {
    let Some(text) = text(item, key) else {
        return item.get(key).is_none_or(|value| value.is_null() || value == "").then_some(None);
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if !fraction.bytes().all(|byte| byte == b'0') {
        return None;
    }
    whole.parse().ok().map(Tiyn).filter(|sum| sum.in_limits()).map(Some)
}

fn text(item: &Json, key: &str) -> Option<String> {
    item.get(key).and_then(scalar).map(|text| cut(&text))
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn is_order_id(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn not_an_order() -> Reason {
    Reason::new("pos_refused", "an order of Poster is named by digits")
}

fn not_found() -> Reason {
    Reason::new("pos_refused", "Poster has no such order")
}

fn garbled<T>(answer: &Answer) -> Outcome<T> {
    Outcome::Unknown(Reason::new("garbled", format!("{}, not what Poster answers", answer.shape())))
}

/// The shop's day as Poster writes it.
fn day(at: Wall, utc_offset_s: i32) -> String {
    let offset = jiff::tz::Offset::from_seconds(utc_offset_s).unwrap_or(jiff::tz::Offset::UTC);
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    offset.to_datetime(at).strftime("%Y%m%d").to_string()
}

fn build(setup: &Setup) -> Result<Arc<dyn Pos>, BadSetup> {
    let number = |key: &'static str| {
        let bad = || BadSetup { key, problem: "is a number from Poster's console".to_owned() };
        setup.number(key).filter(|id| *id > 0).ok_or_else(bad)
    };
    let token = setup.secret("token_file").cloned().ok_or_else(|| BadSetup {
        key: "token_file",
        problem: "names the file with Poster's personal token".to_owned(),
    })?;
    let place = Place {
        spot_id: number("spot_id")?,
        spot_tablet_id: number("spot_tablet_id")?,
        payment_method_id: setup.number("payment_method_id"),
        utc_offset_s: setup.utc_offset_s,
    };
    let web = Web::open(&setup.address, &Trust::Roots)
        .map_err(|cause| BadSetup { key: "address", problem: cause.to_string() })?;
    Ok(Arc::new(Poster { web, token, place }))
}

/// The driver.
#[derive(Debug)]
pub struct Poster {
    web: Web,
    token: Secret,
    place: Place,
}

impl Poster {
    async fn ask<T>(&self, request: Request, limits: Limits, read: impl FnOnce(&Answer) -> Outcome<T>) -> Outcome<T> {
        match self.web.send(&request, limits).await {
            Ok(answer) => read(&answer),
            Err(loss) => lost(loss),
        }
    }
}

impl Pos for Poster {
    fn open_orders(&self, from: Wall, now: Wall) -> BoxFuture<'_, Outcome<Vec<Snapshot>>> {
        Box::pin(async move {
            let request = open_orders_request(&self.place, from, now, &self.token);
            self.ask(request, Limits::LIST, |answer| read_open_orders(answer, self.place.spot_id)).await
        })
    }

    fn read<'a>(&'a self, foreign_id: &'a str) -> BoxFuture<'a, Outcome<PosOrder>> {
        Box::pin(async move {
            if !is_order_id(foreign_id) {
                return Outcome::Refused(not_an_order());
            }
            // Lines first: if a dish is added in between, the sum read after it disagrees with them and not the other way round.
            let lines = self.ask(lines_request(foreign_id, &self.token), Limits::RECORD, read_lines).await;
            match lines {
                Outcome::Done(lines) => {
                    let request = order_request(foreign_id, &self.token);
                    self.ask(request, Limits::RECORD, |answer| read_order(answer, foreign_id, lines)).await
                }
                other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => {
                    other.and_then(|_| Outcome::Unknown(Reason::new("garbled", "")))
                }
            }
        })
    }

    fn close<'a>(&'a self, closing: &'a Closing) -> BoxFuture<'a, Outcome<()>> {
        Box::pin(async move {
            match close_request(&self.place, closing, &self.token) {
                Ok(request) => self.ask(request, Limits::RECORD, read_close).await,
                Err(reason) => Outcome::Refused(reason),
            }
        })
    }

    fn mark_fiscal<'a>(&'a self, mark: &'a FiscalMark) -> BoxFuture<'a, Outcome<()>> {
        Box::pin(async move {
            match mark_request(&self.place, mark, &self.token) {
                Ok(request) => self.ask(request, Limits::RECORD, read_close).await,
                Err(reason) => Outcome::Refused(reason),
            }
        })
    }
}
