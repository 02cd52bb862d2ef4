//! X and Z reports, and how the cashbox is (fiscal-kz §1.3, §1.7). Reports come short or extended, and a block that is missing is zero:
//! a report is paper, and what moves money is on the receipts.

use crate::domain::fiscal::{Ever, PayKind, Payment, Register, ShiftReport, Turnover};
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::drivers::fiscal::webkassa::answer::{Trouble, envelope, garbled, register};
use crate::drivers::fiscal::webkassa::fields::{flag, get, list, number, sum, text};
use crate::drivers::{Health, Reported};
use crate::transport::web::Answer;
use serde_json::Value as Json;

/// How long before its end a licence is spoken of.
const LICENCE_AHEAD_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// Reads the answer to the wish for a report.
pub fn read_report(answer: &Answer, kind: ReportKind) -> Result<Reported, Trouble> {
    match envelope(answer)?.success() {
        Ok(data) => {
            shift_report(&data, kind).map(|report| Reported::Report(Box::new(report))).ok_or_else(|| garbled(answer))
        }
        Err(Trouble::NoShift(_)) => Ok(Reported::NoShift),
        Err(Trouble::Stopped(reason)) => Ok(Reported::Stopped(reason)),
        Err(other) => Err(other),
    }
}

/// Reads the Z report of a shift that is closed; `None` when there is none.
pub fn read_closed_report(answer: &Answer, shift: u64) -> Result<Option<Box<ShiftReport>>, Trouble> {
    match envelope(answer)?.success() {
        Ok(data) => {
            let report = shift_report(&data, ReportKind::Z).filter(|report| report.shift == shift);
            report.map(|report| Some(Box::new(report))).ok_or_else(|| garbled(answer))
        }
        Err(Trouble::Absent(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The report in an answer; `None` where it names no shift.
fn shift_report(data: &Json, kind: ReportKind) -> Option<ShiftReport> {
    let told = |key: &str| text(data, &[key]).unwrap_or_default();
    let placed = |side: &str| {
        let block = get(get(data, "MoneyPlacementOperations")?, side)?;
        sum(block, &["Amount"])
    };
    Some(ShiftReport {
        kind,
        register: register(data),
        shift: number(data, &["ShiftNumber"])?,
        number: number(data, &["ReportNumber"]).unwrap_or(0),
        documents: number(data, &["DocumentCount"]).unwrap_or(0),
        opened: told("StartOn"),
        made: told("ReportOn"),
        closed: if kind == ReportKind::Z { told("CloseOn") } else { String::new() },
        sales: turnover(data, "Sell"),
        purchases: turnover(data, "Buy"),
        sale_returns: turnover(data, "ReturnSell"),
        purchase_returns: turnover(data, "ReturnBuy"),
        put_in: sum(data, &["PutMoneySum"]).or_else(|| placed("Deposit")).unwrap_or_default(),
        taken_out: sum(data, &["TakeMoneySum"]).or_else(|| placed("WithDrawal")).unwrap_or_default(),
        in_drawer: sum(data, &["SumInCashbox"]).unwrap_or_default(),
        at_start: ever(data, "StartNonNullable"),
        at_end: ever(data, "EndNonNullable"),
        control: told("ControlSum"),
        is_autonomous: ["CashboxOfflineMode", "OfflineMode"].iter().any(|key| flag(data, &[key]) == Some(true)),
    })
}

fn turnover(data: &Json, side: &str) -> Turnover {
    let Some(block) = get(data, side) else { return Turnover::default() };
    let part = |key: &str| sum(block, &[key]).unwrap_or_default();
    let payments = list(block, &["PaymentsByTypesApiModel", "PaymentsByTypes"]).unwrap_or_default();
    Turnover {
        count: number(block, &["Count"]).unwrap_or(0),
        count_ever: number(block, &["TotalCount"]).unwrap_or(0),
        taken: part("Taken"),
        change: part("Change"),
        discount: part("Discount"),
        markup: part("Markup"),
        vat: part("VAT"),
        payments: payments.iter().filter_map(payment).take(8).collect(),
    }
}

fn payment(json: &Json) -> Option<Payment> {
    let kind = match number(json, &["Type", "PaymentType"])? {
        0 => PayKind::Cash,
        1 => PayKind::Card,
        4 => PayKind::Mobile,
        _ => return None,
    };
    Some(Payment { kind, sum: sum(json, &["Sum"])? })
}

fn ever(data: &Json, key: &str) -> Ever {
    let block = get(data, key).cloned().unwrap_or_default();
    let part = |key: &str| sum(&block, &[key]).unwrap_or(Tiyn::ZERO);
    Ever {
        sales: part("Sell"),
        purchases: part("Buy"),
        sale_returns: part("ReturnSell"),
        purchase_returns: part("ReturnBuy"),
    }
}

/// Reads the cashbox's status and licence.
pub fn read_client(answer: &Answer, now: Wall) -> Result<Health, Trouble> {
    let data = envelope(answer)?.success()?;
    let status = text(&data, &["CashboxStatus"]).map_or(Health::Good, |word| status(&word));
    let licence = get(&data, "License").and_then(|licence| text(licence, &["LicenseExpirationDate"]));
    Ok(match (status, licence.and_then(|told| last_day(&told))) {
        (Health::Good | Health::Warns(_), Some((day, end))) if end <= now => {
            Health::Bad(Reason::new("fiscal_licence", format!("until {day}")))
        }
        (Health::Good, Some((day, end))) if end <= now.plus_ms(LICENCE_AHEAD_MS) => {
            Health::Warns(Reason::new("fiscal_licence_soon", day))
        }
        (status, _) => status,
    })
}

/// A cashbox in the list of the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its numbers.
    pub register: Register,
    /// How it is by its status.
    pub health: Health,
    /// The open shift.
    pub shift: Option<u64>,
    /// Whether it is without its operator.
    pub is_autonomous: bool,
}

/// Reads the list of cashboxes and finds ours; a list without it is `Stopped`.
pub fn read_cashboxes(answer: &Answer, cashbox: &str) -> Result<Listed, Trouble> {
    let data = envelope(answer)?.success()?;
    let items = list(&data, &["List", "Items", "Rows", "Cashboxes"]).ok_or_else(|| garbled(answer))?;
    let is_ours = |item: &&Json| {
        text(item, &["UniqueNumber", "CashboxUniqueNumber"]).is_some_and(|it| it.eq_ignore_ascii_case(cashbox))
    };
    let item = items.iter().find(is_ours).ok_or_else(|| {
        Trouble::Stopped(Reason::new("fiscal_cashbox", format!("{cashbox} is not in the login's list")))
    })?;
    // The list is flat and names the numbers as a nested cashbox does.
    let nested = serde_json::json!({ "Cashbox": item });
    let shift = number(item, &["Shift", "ShiftNumber"]);
    let inner = || get(item, "Shift").and_then(|shift| number(shift, &["ShiftNumber", "Number"]));
    Ok(Listed {
        register: register(&nested),
        health: text(item, &["CurrentStatus"]).map_or(Health::Good, |word| status(&word)),
        shift: shift.or_else(inner).filter(|shift| *shift > 0),
        is_autonomous: flag(item, &["IsOffline"]).unwrap_or(false),
    })
}

/// A status as a number or a word (§1.3).
fn status(word: &str) -> Health {
    let lower = word.to_lowercase();
    let is = |stems: &[&str]| stems.iter().any(|stem| lower.contains(stem));
    match lower.as_str() {
        "1" => Health::Good,
        "2" | "3" | "4" | "5" => Health::Bad(Reason::new("fiscal_blocked", format!("status {word}"))),
        "0" => Health::Bad(Reason::new("fiscal_inactive", format!("status {word}"))),
        _ if is(&["block", "блок", "deregist", "снят"]) => {
            Health::Bad(Reason::new("fiscal_blocked", format!("status {word}")))
        }
        _ if is(&["inactive", "неактив", "created", "создан"]) => {
            Health::Bad(Reason::new("fiscal_inactive", format!("status {word}")))
        }
        _ if is(&["active", "актив", "белсенді"]) => Health::Good,
        _ => Health::Warns(Reason::new("fiscal_status", format!("status {word}"))),
    }
}

/// A day as people here write it, and its last moment in the country's time; the form that Webkassa writes is not known.
fn last_day(told: &str) -> Option<(String, Wall)> {
    let bare = told.split(['T', ' ']).next().unwrap_or_default();
    let date = ["%d.%m.%Y", "%Y-%m-%d"].iter().find_map(|form| jiff::civil::Date::strptime(form, bare).ok())?;
    let end = jiff::tz::Offset::from_hours(5).ok()?.to_timestamp(date.at(23, 59, 59, 0)).ok()?;
    Some((date.strftime("%d.%m.%Y").to_string(), Wall(end.as_millisecond())))
}
