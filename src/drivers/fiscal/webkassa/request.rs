//! Requests to Webkassa (fiscal-kz §1.3, §1.4). What registers something is kept as text before its first byte leaves; at sending time
//! the token is put in front, and nothing else of the body changes. Sums are JSON numbers with at most two decimals, made from text.

use crate::domain::fiscal::{Basis, Bill, Modifier, ModifierKind, PayKind, Position, Side, Vat};
use crate::domain::money::Tiyn;
use crate::domain::order::Milli;
use crate::domain::outcome::Reason;
use crate::domain::paper::ReportKind;
use crate::drivers::Entry;
use crate::drivers::fiscal::webkassa::fields::clean;
use crate::host::secret::Secret;
use crate::transport::web::Request;
use serde_json::{Value as Json, json};

/// Registers a receipt.
pub const CHECK: &str = "/api/v4/check";
/// Puts cash in or takes it out.
pub const MONEY: &str = "/api/v4/MoneyOperation";
/// Gives a token.
pub const AUTHORIZE: &str = "/api/v4/Authorize";
/// The name of a position is cut to this many characters.
pub const NAME_CHARS_MAX: usize = 128;
/// The order's number is cut to this many characters (§1.4).
pub const ORDER_CHARS_MAX: usize = 200;
/// The longest idempotency key (§1.4).
pub const KEY_CHARS_MAX: usize = 50;
/// How many shifts or receipts a list may bring at once (§1.3).
pub const PAGE: usize = 50;

/// On which cashbox we work, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its factory number.
    pub cashbox: String,
    /// What Webkassa rounds: 0 nothing, 2 each position, 3 the total (§1.6).
    pub round_type: u8,
    /// The paper of the lines in answers: 0 for 80 mm, 3 for 58 mm.
    pub paper: u8,
}

/// A question whose body has everything but the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The path below the base address.
    pub path: String,
    /// The body, a JSON object.
    pub body: String,
}

impl Question {
    fn new(path: &str, body: Json) -> Question {
        Question { path: path.to_owned(), body: body.to_string() }
    }

    /// Takes a kept document apart again; `None` where it is none of ours.
    pub fn unpack(kept: &str) -> Option<Question> {
        let inside = kept.strip_prefix("{\"path\":\"")?.strip_suffix('}')?;
        let (path, body) = inside.split_once("\",\"body\":")?;
        let is_ours = [CHECK, MONEY].contains(&path) && body.starts_with('{') && body.ends_with('}');
        is_ours.then(|| Question { path: path.to_owned(), body: body.to_owned() })
    }

    fn pack(&self) -> String {
        format!("{{\"path\":\"{}\",\"body\":{}}}", self.path, self.body)
    }

    /// The request with the token and the system key.
    pub fn request(&self, key: &Secret, token: &Secret) -> Request {
        let sent = Secret::new(with_token(&self.body, token.expose()));
        Request::post(self.path.clone())
            .secret_header("x-api-key", key)
            .guarded_json(with_token(&self.body, "•••"), sent)
    }
}

fn with_token(body: &str, token: &str) -> String {
    let rest = body.strip_prefix("{").unwrap_or(body);
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"Token\":{}{comma}{rest}", Json::from(token))
}

/// Asks for a token (§1.2).
pub fn authorize_request(key: &Secret, login: &str, password: &Secret) -> Request {
    let body = |password: &str| json!({ "Login": login, "Password": password }).to_string();
    let sent = Secret::new(body(password.expose()));
    Request::post(AUTHORIZE).secret_header("x-api-key", key).guarded_json(body("•••"), sent)
}

/// A document as it is kept and sent: `{"path": …, "body": {…}}` without the token.
pub fn compose(place: &Place, entry: &Entry<'_>) -> Result<String, Reason> {
    let question = match *entry {
        Entry::Bill { key, bill, basis } => check(place, key, bill, basis)?,
        Entry::Cash { key, is_in, amount } => money_operation(place, key, is_in, amount)?,
    };
    Ok(question.pack())
}

fn check(place: &Place, key: &str, bill: &Bill, basis: Option<&Basis>) -> Result<Question, Reason> {
    bill.check().map_err(|cause| Reason::new("fiscal_bill", cause))?;
    let mut body = json!({
        "CashboxUniqueNumber": place.cashbox,
        "OperationType": match bill.side { Side::Sale => 2, Side::Return => 3 },
        "Positions": bill.positions.iter().map(position).collect::<Result<Vec<Json>, Reason>>()?,
        "Payments": bill.payments.iter().map(|one| json!({ "Sum": sum(one.sum), "PaymentType": payment_type(one.kind) })).collect::<Vec<Json>>(),
        "Change": sum(bill.change),
        "RoundType": place.round_type,
        "ExternalCheckNumber": checked_key(key)?,
        "PaperKind": place.paper,
    });
    let mut add = |name: &str, value: Json| {
        if let Some(members) = body.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if !bill.modifiers.is_empty() {
        add("TicketModifiers", bill.modifiers.iter().map(modifier).collect());
    }
    let order = cut(&bill.order_number, ORDER_CHARS_MAX);
    if !order.is_empty() {
        add("ExternalOrderNumber", Json::from(order));
    }
    match (bill.side, basis) {
        (Side::Return, Some(basis)) => add("ReturnBasisDetails", return_basis(basis)?),
        (Side::Return, None) => return Err(Reason::new("fiscal_bill", "a return needs the receipt that it returns")),
        (Side::Sale, _) => {}
    }
    Ok(Question::new(CHECK, body))
}

fn position(line: &Position) -> Result<Json, Reason> {
    let name = cut(&line.name, NAME_CHARS_MAX);
    if name.is_empty() {
        return Err(Reason::new("fiscal_bill", "a line has no name"));
    }
    let mut json = json!({
        "Count": count(line.quantity),
        "Price": sum(line.price),
        "PositionName": name,
        "UnitCode": line.unit,
    });
    if let Some(members) = json.as_object_mut() {
        members.extend(taxes(line.vat, line.tax()));
        let extras = [("Discount", line.discount), ("Markup", line.markup)];
        members.extend(
            extras.into_iter().filter(|(_, value)| value.0 != 0).map(|(key, value)| (key.to_owned(), sum(value))),
        );
    }
    Ok(json)
}

fn modifier(one: &Modifier) -> Json {
    let (kind, word) = match one.kind {
        ModifierKind::Discount => (1, "Жеңілдік/Скидка"),
        ModifierKind::Surcharge => (2, "Үстеме/Наценка"),
    };
    let told = cut(&one.text, NAME_CHARS_MAX);
    let mut json = json!({
        "Sum": sum(one.sum),
        "Text": if told.is_empty() { word } else { told.as_str() },
        "Type": kind,
    });
    if let Some(members) = json.as_object_mut() {
        members.extend(taxes(one.vat, one.vat.within(one.sum)));
    }
    json
}

/// No tax and a rate of zero look the same: `TaxType` 0 (§1.4).
fn taxes(vat: Vat, tax: Tiyn) -> [(String, Json); 3] {
    let percent = vat.0.unwrap_or(0);
    let kind = if percent == 0 { 0 } else { 100 };
    [
        ("TaxPercent".to_owned(), Json::from(percent)),
        ("Tax".to_owned(), sum(tax)),
        ("TaxType".to_owned(), Json::from(kind)),
    ]
}

fn payment_type(kind: PayKind) -> u8 {
    match kind {
        PayKind::Cash => 0,
        PayKind::Card => 1,
        PayKind::Mobile => 4,
    }
}

fn return_basis(basis: &Basis) -> Result<Json, Reason> {
    let is_whole = [&basis.sign, &basis.at, &basis.registration].iter().all(|text| !text.trim().is_empty());
    if !is_whole {
        return Err(Reason::new("fiscal_bill", "the receipt that is returned lacks its sign, time or register"));
    }
    Ok(json!({
        "CheckNumber": basis.sign,
        "DateTime": basis.at,
        "RegistrationNumber": basis.registration,
        "Total": sum(basis.total),
        "IsOffline": basis.is_autonomous,
    }))
}

fn money_operation(place: &Place, key: &str, is_in: bool, amount: Tiyn) -> Result<Question, Reason> {
    if amount <= Tiyn::ZERO || !amount.in_limits() {
        return Err(Reason::new("fiscal_bill", "cash that moves is above zero"));
    }
    let body = json!({
        "CashboxUniqueNumber": place.cashbox,
        "OperationType": if is_in { 0 } else { 1 },
        "Sum": sum(amount),
        "ExternalCheckNumber": checked_key(key)?,
    });
    Ok(Question::new(MONEY, body))
}

fn checked_key(key: &str) -> Result<&str, Reason> {
    let is_key = (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_key.then_some(key).ok_or_else(|| Reason::new("fiscal_bill", "a key is 1 to 50 printable signs"))
}

/// Asks for the lines of a receipt (§1.8).
pub fn print_request(place: &Place, key: &str) -> Question {
    let body = json!({ "CashboxUniqueNumber": place.cashbox, "ExternalCheckNumber": key, "PaperKind": place.paper });
    Question::new("/api/v4/Ticket/PrintFormat", body)
}

/// Asks for one page of the shifts.
pub fn shifts_request(place: &Place, skip: usize) -> Question {
    let body = json!({ "CashboxUniqueNumber": place.cashbox, "Skip": skip, "Take": PAGE });
    Question::new("/api/v4/Cashbox/ShiftHistory", body)
}

/// Asks for one page of the receipts of a shift.
pub fn history_request(place: &Place, shift: u64, skip: usize) -> Question {
    let body = json!({ "CashboxUniqueNumber": place.cashbox, "ShiftNumber": shift, "Skip": skip, "Take": PAGE });
    Question::new("/api/v4/Check/History", body)
}

/// Asks for a receipt by our key and its shift.
pub fn ticket_request(place: &Place, key: &str, shift: u64) -> Question {
    let body = json!({ "CashboxUniqueNumber": place.cashbox, "ExternalCheckNumber": key, "ShiftNumber": shift });
    Question::new("/api-history/v4/Ticket/GetTicketByExternalCheckNumber", body)
}

/// Asks for an X or Z report; a Z closes the shift.
pub fn report_request(place: &Place, kind: ReportKind) -> Question {
    let path = match kind {
        ReportKind::X => "/api/v4/XReport",
        ReportKind::Z => "/api/v4/ZReport",
    };
    Question::new(path, json!({ "CashboxUniqueNumber": place.cashbox }))
}

/// Asks for the Z report of a closed shift.
pub fn closed_report_request(place: &Place, shift: u64) -> Question {
    let body = json!({ "CashboxUniqueNumber": place.cashbox, "ShiftNumber": shift });
    Question::new("/api/v4/ZReport/ByShiftNumber", body)
}

/// Asks for the cashbox's status and licence.
pub fn client_request(place: &Place) -> Question {
    Question::new("/api-portal/v4/cashbox/client-info", json!({ "CashboxUniqueNumber": place.cashbox }))
}

/// Asks for the cashboxes of the login.
pub fn cashboxes_request() -> Question {
    Question::new("/api/v4/Cashboxes", json!({}))
}

/// A sum as a JSON number: its text has at most 15 digits, which a double carries unchanged.
fn sum(sum: Tiyn) -> Json {
    exact(&sum.decimal())
}

fn count(quantity: Milli) -> Json {
    exact(&quantity.to_string().replace(',', "."))
}

fn exact(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}

fn cut(text: &str, chars_max: usize) -> String {
    clean(text).chars().take(chars_max).collect::<String>().trim_end().to_owned()
}
