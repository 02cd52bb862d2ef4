//! Finding a receipt again whose answer was lost (fiscal-kz §1.11): its lines by our key, the histories of the newest shifts, the
//! ticket by key and shift. Lines are read by their labels in both languages and both orders (§4.1), and by the payload of their
//! code (§3.3). Two witnesses that disagree are doubt, and doubt is never an answer.

use crate::domain::fiscal::{PrintKind, PrintLine, Register, Registered};
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use crate::drivers::fiscal::webkassa::answer::{QrFacts, Trouble, envelope, garbled, lines, registered};
use crate::drivers::fiscal::webkassa::fields::{get, list, local_time, number, sign, text};
use crate::drivers::fiscal::webkassa::request::PAGE;
use crate::transport::web::Answer;
use serde_json::Value as Json;

/// A receipt as its own lines tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// The fiscal sign.
    pub sign: Option<String>,
    /// When, as written.
    pub at: Option<String>,
    /// The shift.
    pub shift: Option<u64>,
    /// Its number within the shift.
    pub number: Option<u64>,
    /// The total, from the code.
    pub total: Option<Tiyn>,
    /// The register's number, from the code.
    pub registration: Option<String>,
    /// The payload of the code.
    pub qr: String,
    /// Whether it says that it was made in autonomous mode.
    pub is_autonomous: bool,
    /// The lines.
    pub lines: Vec<PrintLine>,
}

/// Reads the lines of a receipt.
pub fn read_printed(answer: &Answer) -> Result<Printed, Trouble> {
    let data = envelope(answer)?.success()?;
    let found = get(&data, "Lines").or_else(|| get(&data, "TicketPrintFormat")).unwrap_or(&data);
    let lines = lines(found);
    if lines.is_empty() { Err(garbled(answer)) } else { printed(lines) }
}

fn printed(lines: Vec<PrintLine>) -> Result<Printed, Trouble> {
    let of = |kind: PrintKind| lines.iter().filter(move |line| line.kind == kind).map(|line| line.value.trim());
    let texts: Vec<&str> = of(PrintKind::Text).collect();
    let qr = of(PrintKind::Qr).next_back().unwrap_or_default().to_owned();
    let code = QrFacts::read(&qr);
    // The footer is below the dishes and the head above them: a dish may be called anything.
    let written = texts
        .iter()
        .rev()
        .find_map(|line| sign(after_label(line, &["фп", "фб"], &["фискальный признак", "фискалдық белгі"])?));
    if let (Some(written), Some(coded)) = (&written, &code.sign)
        && written != coded
    {
        return Err(doubt("the lines and the code of the receipt tell two signs"));
    }
    let time = |line: &&str| local_time(after_label(line, &["время", "уақыты", "time"], &[])?);
    let shift = |line: &&str| {
        let is_head = words(line).any(|word| ["смена", "ауысым"].contains(&word.as_str()));
        is_head.then(|| line.split_whitespace().next_back()?.parse().ok()).flatten()
    };
    Ok(Printed {
        sign: written.or(code.sign),
        at: texts.iter().rev().find_map(time).or(code.at),
        shift: texts.iter().find_map(shift),
        number: texts.iter().find_map(|line| order_number(line)),
        total: code.total,
        registration: code.registration,
        is_autonomous: texts.iter().any(|line| is_offline_mark(line)),
        qr,
        lines,
    })
}

fn words(line: &str) -> impl Iterator<Item = String> {
    let lower = line.to_lowercase();
    let words: Vec<String> =
        lower.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

/// What stands behind the first colon, when one of the words or phrases stands before it.
fn after_label<'l>(line: &'l str, labels: &[&str], phrases: &[&str]) -> Option<&'l str> {
    let (head, tail) = line.split_once(':')?;
    let lower = head.to_lowercase();
    let is_labelled =
        words(head).any(|word| labels.contains(&word.as_str())) || phrases.iter().any(|phrase| lower.contains(phrase));
    is_labelled.then(|| tail.trim())
}

/// The number at the end of the title: `САТУ/ПРОДАЖА   №28`.
fn order_number(line: &str) -> Option<u64> {
    let titles = ["продажа", "сату", "продажи", "сатуды"];
    let (head, tail) = line.rsplit_once('№')?;
    let is_title =
        words(head).all(|word| titles.contains(&word.as_str()) || ["возврат", "қайтару"].contains(&word.as_str()));
    (is_title && words(head).next().is_some()).then(|| tail.trim().parse().ok()).flatten()
}

fn is_offline_mark(line: &str) -> bool {
    let lower = line.to_lowercase();
    ["автономный режим", "автономном режиме", "автономды режим"].iter().any(|mark| lower.contains(mark))
}

/// One page of shifts: their numbers as they came.
pub fn read_shifts(answer: &Answer) -> Result<Vec<u64>, Trouble> {
    let data = envelope(answer)?.success()?;
    let items = list(&data, &["Shifts", "Items", "Rows"]).ok_or_else(|| garbled(answer))?;
    let numbers: Option<Vec<u64>> = items.iter().map(|item| number(item, &["ShiftNumber", "Number"])).collect();
    numbers.ok_or_else(|| garbled(answer))
}

/// The open shift, out of the first page of shifts: the newest, when it has no end. `None`: it has one, or there is no shift.
pub fn read_open_shift(answer: &Answer) -> Result<Option<u64>, Trouble> {
    let data = envelope(answer)?.success()?;
    let items = list(&data, &["Shifts", "Items", "Rows"]).ok_or_else(|| garbled(answer))?;
    let of =
        |item: &Json| number(item, &["ShiftNumber", "Number"]).map(|no| (no, text(item, &["CloseDate"]).is_none()));
    let shifts: Option<Vec<(u64, bool)>> = items.iter().map(of).collect();
    let shifts = shifts.ok_or_else(|| garbled(answer))?;
    if shifts.len() >= PAGE && shifts.first() < shifts.last() {
        return Err(doubt("the newest shift is on a later page"));
    }
    Ok(shifts.into_iter().max().filter(|(_, is_open)| *is_open).map(|(no, _)| no))
}

/// One page of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The receipt with our key.
    pub found: Option<Box<Registered>>,
    /// Whether more pages follow.
    pub has_more: bool,
}

/// Reads one page of a history and looks for our key on it.
pub fn read_page(answer: &Answer, key: &str, skip: usize) -> Result<Page, Trouble> {
    let data = envelope(answer)?.success()?;
    let items = list(&data, &["Items", "Rows"]).ok_or_else(|| garbled(answer))?;
    let seen = skip.saturating_add(items.len());
    let total = number(&data, &["Total"]).and_then(|total| usize::try_from(total).ok());
    if items.is_empty() && total.is_some_and(|total| total > seen) {
        return Err(garbled(answer));
    }
    let found = match items.iter().find(|item| has_key(item, key)) {
        None => None,
        Some(item) => {
            Some(Box::new(registered(item).ok_or_else(|| doubt("the receipt is in the history without its sign"))?))
        }
    };
    let has_more = total.map_or(items.len() >= PAGE, |total| seen < total) && !items.is_empty();
    Ok(Page { found, has_more })
}

/// Reads the ticket that was asked for by key and shift.
pub fn read_ticket(answer: &Answer, key: &str) -> Result<Box<Registered>, Trouble> {
    let data = envelope(answer)?.success()?;
    let item = list(&data, &["Items", "Rows"]).and_then(<[Json]>::first).unwrap_or(&data);
    let is_other = get(item, "ExternalCheckNumber").is_some() && !has_key(item, key);
    registered(item).filter(|_| !is_other).map(Box::new).ok_or_else(|| garbled(answer))
}

/// Keys come back in any letter case and in braces (§1.4).
fn has_key(item: &Json, key: &str) -> bool {
    let bare = |text: &str| text.trim().trim_matches(['{', '}']).to_ascii_lowercase();
    text(item, &["ExternalCheckNumber"]).is_some_and(|told| bare(&told) == bare(key))
}

/// Puts together what the lines and the histories told; a receipt needs a sign and a time.
pub fn together(printed: Option<Printed>, item: Option<Box<Registered>>) -> Result<Registered, Trouble> {
    let printed = printed.unwrap_or_default();
    let item = item.map(|item| *item);
    if let (Some(printed), Some(item)) = (&printed.sign, &item)
        && *printed != item.sign
    {
        return Err(doubt("the lines and the history tell two signs"));
    }
    let nothing = || Registered {
        sign: String::new(),
        number: 0,
        shift: 0,
        at: String::new(),
        total: None,
        is_autonomous: false,
        is_register_autonomous: false,
        qr: String::new(),
        register: Register::default(),
        lines: Vec::new(),
    };
    let mut whole = item.unwrap_or_else(nothing);
    let or = |told: String, other: String| if told.is_empty() { other } else { told };
    whole.sign = or(whole.sign, printed.sign.unwrap_or_default());
    // The lines show the time as the first answer told it; a history may write it in another form.
    whole.at = or(printed.at.unwrap_or_default(), whole.at);
    whole.qr = or(printed.qr, whole.qr);
    whole.register.registration = or(whole.register.registration, printed.registration.unwrap_or_default());
    whole.shift = if whole.shift == 0 { printed.shift.unwrap_or(0) } else { whole.shift };
    whole.number = if whole.number == 0 { printed.number.unwrap_or(0) } else { whole.number };
    whole.total = whole.total.or(printed.total);
    whole.is_autonomous |= printed.is_autonomous;
    if whole.lines.is_empty() {
        whole.lines = printed.lines;
    }
    if whole.sign.is_empty() || whole.at.is_empty() {
        return Err(doubt("the receipt is there, and its sign or time cannot be read"));
    }
    Ok(whole)
}

/// What was found cannot be believed or read.
pub fn doubt(what: &str) -> Trouble {
    Trouble::Unknown(Reason::new("fiscal_unreadable", what))
}
