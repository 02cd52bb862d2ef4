//! Answers of Webkassa (fiscal-kz §1.5, §1.8, §1.9): the envelope, what each error code means, the receipt. `Errors` and `Data` may
//! both be there, and a fiscal sign in `Data` wins. Without a sign nothing counts as registered; a code without a row in the table,
//! and everything that is no envelope, is unknown (H1).

use crate::domain::fiscal::{Moved, PrintKind, PrintLine, Register, Registered};
use crate::domain::money::Tiyn;
use crate::domain::outcome::{Outcome, Reason};
use crate::drivers::Filing;
use crate::drivers::fiscal::webkassa::fields::{
    TEXT_CHARS_MAX, clean, flag, get, local_time, number, plain, sign, sum, text,
};
use crate::drivers::fiscal::webkassa::request::{MONEY, Question};
use crate::transport::web::Answer;
use serde_json::Value as Json;

/// How many lines of a receipt are kept.
pub const LINES_MAX: usize = 400;
/// The longest picture of a receipt that is kept, in signs of base64.
pub const IMAGE_CHARS_MAX: usize = 64 * 1024;
/// The longest payload of a code that is kept.
const QR_CHARS_MAX: usize = 1000;
/// In what words code 9 says that two requests of one cashbox met (§1.9).
const TURN_WORDS: [&str; 8] =
    ["последоват", "одновремен", "параллел", "sequential", "simultan", "concurrent", "бір мезгіл", "кезекпен"];

/// One error of the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number; `None` where there is none to be read.
    pub code: Option<i64>,
    /// What Webkassa says.
    pub text: String,
}

/// Why an answer brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing left this machine, or the login before it failed.
    NotSent(Reason),
    /// Nobody knows.
    Unknown(Reason),
    /// What was asked is not taken as it is.
    Refused(Reason),
    /// Nothing is taken before somebody acts.
    Stopped(Reason),
    /// The token is no longer good.
    Login(Reason),
    /// The shift is too old.
    ShiftOver(Reason),
    /// There is no open shift.
    NoShift(Reason),
    /// The key exists.
    Known(Reason),
    /// What was looked for is not there.
    Absent(Reason),
    /// Another request of the cashbox runs.
    OutOfTurn(Reason),
}

impl Trouble {
    /// The reason in it.
    pub fn reason(self) -> Reason {
        match self {
            Trouble::NotSent(reason)
            | Trouble::Unknown(reason)
            | Trouble::Refused(reason)
            | Trouble::Stopped(reason)
            | Trouble::Login(reason)
            | Trouble::ShiftOver(reason)
            | Trouble::NoShift(reason)
            | Trouble::Known(reason)
            | Trouble::Absent(reason)
            | Trouble::OutOfTurn(reason) => reason,
        }
    }

    /// What it means for a question that makes no document: a denied question says nothing.
    pub fn of_question<T>(self) -> Outcome<T> {
        match self {
            Trouble::NotSent(reason) | Trouble::OutOfTurn(reason) => Outcome::NotSent(reason),
            other @ (Trouble::Unknown(_)
            | Trouble::Refused(_)
            | Trouble::Stopped(_)
            | Trouble::Login(_)
            | Trouble::ShiftOver(_)
            | Trouble::NoShift(_)
            | Trouble::Known(_)
            | Trouble::Absent(_)) => Outcome::Unknown(other.reason()),
        }
    }

    /// What it means for a document.
    pub fn of_document(self) -> Outcome<Filing> {
        match self {
            Trouble::NotSent(reason) => Outcome::NotSent(reason),
            Trouble::Unknown(reason) => Outcome::Unknown(reason),
            Trouble::Refused(reason) => Outcome::Refused(reason),
            Trouble::Stopped(reason) => Outcome::Done(Filing::Stopped(reason)),
            Trouble::ShiftOver(reason) => Outcome::Done(Filing::ShiftOver(reason)),
            Trouble::Known(reason) => Outcome::Done(Filing::Known(reason)),
            Trouble::OutOfTurn(reason) => Outcome::Done(Filing::OutOfTurn(reason)),
            // No document asks for these: what they would say of one nobody knows (H1).
            Trouble::Login(reason) | Trouble::NoShift(reason) | Trouble::Absent(reason) => {
                Outcome::Unknown(Reason { code: "fiscal_unmapped".to_owned(), ..reason })
            }
        }
    }
}

/// What came in the envelope. Its data may hold a token, so nothing prints it.
pub struct Said {
    /// The errors; none on success.
    pub faults: Vec<Fault>,
    /// The data; `null` when there is none.
    pub data: Json,
}

impl Said {
    /// The data of a success.
    pub fn success(self) -> Result<Json, Trouble> {
        match self.faults.first() {
            Some(fault) => Err(meaning(fault)),
            None => Ok(self.data),
        }
    }
}

/// Takes the envelope off. Something in front of the service may answer for it: then nothing is known (§1.9).
pub fn envelope(answer: &Answer) -> Result<Said, Trouble> {
    let json = match answer.status {
        408 | 429 | 500.. => None,
        _ => answer.json(),
    };
    let Some(json) = json.filter(|json| get(json, "Errors").is_some() || get(json, "Data").is_some()) else {
        return Err(match answer.status {
            401 | 403 => Trouble::Unknown(Reason::new("fiscal_key", answer.shape())),
            _ => garbled(answer),
        });
    };
    let faults = match get(&json, "Errors") {
        None => Vec::new(),
        Some(Json::Array(items)) => items.iter().map(fault).collect(),
        Some(other) => vec![fault(other)],
    };
    Ok(Said { faults, data: get(&json, "Data").cloned().unwrap_or_default() })
}

fn fault(json: &Json) -> Fault {
    let code = text(json, &["Code"]).and_then(|code| code.parse().ok());
    let said = text(json, &["Text", "Message"]).or_else(|| json.as_str().map(clean));
    Fault { code, text: said.unwrap_or_default() }
}

/// The answer is nothing that Webkassa says.
pub fn garbled(answer: &Answer) -> Trouble {
    Trouble::Unknown(Reason::new("garbled", format!("{}, not what Webkassa answers", answer.shape())))
}

/// What an error means (§1.9).
pub fn meaning(fault: &Fault) -> Trouble {
    let code = fault.code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
    let because = |word: &str| Reason::new(word, format!("Webkassa's error {code} {}", fault.text).trim_end());
    match fault.code {
        Some(1) => Trouble::Stopped(because("fiscal_login")),
        Some(2 | 3) => Trouble::Login(because("fiscal_login")),
        Some(4 | 5) => Trouble::Stopped(because("fiscal_rights")),
        Some(6) => Trouble::Stopped(because("fiscal_cashbox")),
        Some(7) => Trouble::Stopped(because("fiscal_blocked")),
        Some(8) => Trouble::Refused(because("fiscal_no_cash")),
        Some(9) if is_about_turn(&fault.text) => Trouble::OutOfTurn(because("fiscal_turn")),
        Some(9 | 17 | 255) => Trouble::Refused(because("fiscal_invalid")),
        Some(10 | 1404) => Trouble::Stopped(because("fiscal_licence")),
        Some(11) => Trouble::ShiftOver(because("fiscal_shift_over")),
        Some(12 | 13) => Trouble::NoShift(because("fiscal_no_shift")),
        Some(14) => Trouble::Known(because("fiscal_known")),
        Some(15 | 16 | 19 | 1014) => Trouble::Absent(because("fiscal_absent")),
        Some(18) => Trouble::Stopped(because("fiscal_window")),
        Some(1013) => Trouble::Stopped(because("fiscal_offline_off")),
        Some(505) => Trouble::Unknown(because("fiscal_host")),
        Some(_) | None => Trouble::Unknown(because("fiscal_unmapped")),
    }
}

fn is_about_turn(text: &str) -> bool {
    // "A sequence has no elements" is a fault of the service and no matter of order.
    let text = text.to_lowercase().replace("последовательность", "");
    TURN_WORDS.iter().any(|word| text.contains(word))
}

/// Whether the token of the request is no longer good.
pub fn wants_login(answer: &Answer) -> bool {
    envelope(answer)
        .is_ok_and(|said| registered(&said.data).is_none() && matches!(said.success(), Err(Trouble::Login(_))))
}

/// Where else the same request may go, when this host says that it is down (505).
pub fn alternatives(answer: &Answer) -> Option<Vec<String>> {
    let is_down = |said: &Said| said.faults.first().is_some_and(|fault| fault.code == Some(505));
    if answer.status != 505 && !envelope(answer).is_ok_and(|said| is_down(&said) && registered(&said.data).is_none()) {
        return None;
    }
    let header = answer.headers.iter().find(|(name, _)| name == "alternativedomainnames");
    let names = header.map(|(_, value)| value.split(',').map(|name| name.trim().to_owned()));
    Some(names.map(|names| names.filter(|name| !name.is_empty()).take(8).collect()).unwrap_or_default())
}

/// Reads a token (§1.2).
pub fn read_token(answer: &Answer) -> Result<String, Trouble> {
    let data = match envelope(answer)?.success() {
        Ok(data) => data,
        // A login that does not pass the check of its form is wrong too.
        Err(Trouble::Login(reason) | Trouble::Refused(reason)) => {
            return Err(Trouble::Stopped(Reason { code: "fiscal_login".to_owned(), ..reason }));
        }
        Err(other) => return Err(other),
    };
    let token = get(&data, "Token").and_then(Json::as_str).map(str::trim);
    token.filter(|token| (1..=4096).contains(&token.len())).map(str::to_owned).ok_or_else(|| garbled(answer))
}

/// Reads what became of a kept document.
pub fn read_filing(answer: &Answer, kept: &Question) -> Outcome<Filing> {
    let said = match envelope(answer) {
        Ok(said) => said,
        Err(trouble) => return trouble.of_document(),
    };
    if kept.path == MONEY { read_moved(answer, said) } else { read_check(answer, said, kept) }
}

fn read_check(answer: &Answer, said: Said, kept: &Question) -> Outcome<Filing> {
    if let Some(registered) = registered(&said.data) {
        return match registered.total.filter(|told| !is_asked_total(&kept.body, *told)) {
            None => Outcome::Done(Filing::Registered(Box::new(registered))),
            // Another document has our key: a person must look. Written out, since a sign is no phone.
            Some(told) => Outcome::Refused(Reason {
                code: "fiscal_other".to_owned(),
                detail: format!("sign {}, total {}", registered.sign, told.decimal()),
            }),
        };
    }
    match said.success() {
        Err(trouble) => trouble.of_document(),
        Ok(_) => garbled(answer).of_document(),
    }
}

/// Whether a told total is what the payments less the change of a kept receipt come to. Where the register rounds, it may differ by a
/// tenge a position.
fn is_asked_total(body: &str, told: Tiyn) -> bool {
    let Ok(body) = serde_json::from_str::<Json>(body) else { return false };
    let payments = get(&body, "Payments").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let paid: Option<i64> = payments.iter().map(|one| sum(one, &["Sum"]).map(|sum| sum.0)).sum();
    let Some(paid) = paid else { return false };
    let asked = paid.saturating_sub(sum(&body, &["Change"]).unwrap_or_default().0);
    let positions = get(&body, "Positions").and_then(Json::as_array).map_or(0, Vec::len);
    let is_rounding = number(&body, &["RoundType"]) != Some(0);
    let slack = if is_rounding { u64::try_from(positions).unwrap_or(0).saturating_mul(100) } else { 0 };
    asked.abs_diff(told.0) <= slack
}

fn read_moved(answer: &Answer, said: Said) -> Outcome<Filing> {
    let data = &said.data;
    let is_known = said.faults.first().is_none_or(|fault| fault.code == Some(14));
    match number(data, &["ShiftNumber"]).filter(|_| is_known) {
        Some(shift) => Outcome::Done(Filing::Moved(Box::new(Moved {
            shift,
            at: time(data),
            in_drawer: sum(data, &["Sum"]),
            is_autonomous: flag(data, &["CashboxOfflineMode"]).unwrap_or(false)
                || flag(data, &["OfflineMode"]).unwrap_or(false),
            register: register(data),
        }))),
        None => match said.success() {
            Err(trouble) => trouble.of_document(),
            Ok(_) => garbled(answer).of_document(),
        },
    }
}

/// The receipt in an answer or in an item of a history; `None` without a fiscal sign.
pub fn registered(data: &Json) -> Option<Registered> {
    let sign = sign(&text(data, &["CheckNumber", "Number"])?)?;
    let qr = get(data, "TicketUrl").and_then(Json::as_str).map(payload).unwrap_or_default();
    let code = QrFacts::read(&qr);
    let mut register = register(data);
    if register.registration.is_empty() {
        register.registration = code.registration.unwrap_or_default();
    }
    let at = Some(time(data)).filter(|at| !at.is_empty()).or(code.at).unwrap_or_default();
    Some(Registered {
        sign,
        number: number(data, &["CheckOrderNumber", "OrderNumber"]).unwrap_or(0),
        shift: number(data, &["ShiftNumber"]).unwrap_or(0),
        at,
        total: sum(data, &["Total"]),
        is_autonomous: flag(data, &["OfflineMode", "IsOffline"]).unwrap_or(false),
        is_register_autonomous: flag(data, &["CashboxOfflineMode"]).unwrap_or(false),
        qr,
        register,
        lines: get(data, "TicketPrintFormat").map(lines).unwrap_or_default(),
    })
}

/// When it was, letter by letter where the register wrote it as a receipt does.
fn time(data: &Json) -> String {
    let told = ["DateTime", "RegistratedOn", "DateTimeUTC", "RegistratedOnUTC"];
    // What is in no known form is still what the register wrote.
    let bare = || text(data, &told);
    told.iter().find_map(|key| local_time(&text(data, &[key])?)).or_else(bare).unwrap_or_default()
}

/// What an answer tells of the register: nested, flat as in histories, or short as in reports (§1.5, §1.7).
pub fn register(data: &Json) -> Register {
    let cashbox = get(data, "Cashbox").cloned().unwrap_or_default();
    let operator = get(&cashbox, "Ofd").or_else(|| get(data, "Ofd")).cloned().unwrap_or_default();
    let owner = get(data, "Organization").cloned().unwrap_or_default();
    let nested = |json: &Json, inner: &[&str], outer: &[&str]| {
        text(json, inner).or_else(|| text(data, outer)).unwrap_or_default()
    };
    let identities = ["CashboxIdentityNumber", "CashboxIdentificationNumber", "CashboxIN"];
    Register {
        taxpayer: nested(&owner, &["TaxPayerName"], &["TaxPayerName"]),
        bin: nested(&owner, &["TaxPayerIN"], &["TaxPayerIN"]),
        serial: nested(&cashbox, &["UniqueNumber"], &["CashboxUniqueNumber", "CashboxSN"]),
        registration: nested(&cashbox, &["RegistrationNumber"], &["CashboxRegistrationNumber", "CashboxRN"]),
        identity: nested(&cashbox, &["IdentityNumber", "IdentificationNumber"], &identities),
        address: nested(&cashbox, &["Address"], &["CashboxAddress"]),
        address_kz: nested(&cashbox, &["AddressKz"], &["CashboxAddressKz"]),
        operator: operator.as_str().map(clean).or_else(|| text(&operator, &["Name"])).unwrap_or_default(),
        operator_kz: text(&operator, &["NameKz"]).unwrap_or_default(),
        site: text(&operator, &["Host"]).unwrap_or_default(),
        cashier: text(data, &["EmployeeName", "CashierName"]).unwrap_or_default(),
    }
}

/// Fills what one answer left out with what is known of the same register; the cashier is of one answer only.
pub fn filled(told: Register, known: &Register) -> Register {
    if !told.serial.is_empty() && !known.serial.is_empty() && told.serial != known.serial {
        return told;
    }
    let or = |told: String, known: &String| if told.is_empty() { known.clone() } else { told };
    Register {
        taxpayer: or(told.taxpayer, &known.taxpayer),
        bin: or(told.bin, &known.bin),
        serial: or(told.serial, &known.serial),
        registration: or(told.registration, &known.registration),
        identity: or(told.identity, &known.identity),
        address: or(told.address, &known.address),
        address_kz: or(told.address_kz, &known.address_kz),
        operator: or(told.operator, &known.operator),
        operator_kz: or(told.operator_kz, &known.operator_kz),
        site: or(told.site, &known.site),
        cashier: told.cashier,
    }
}

/// The register's own lines, in their order (§1.8). A line of an unknown kind is left out.
pub fn lines(json: &Json) -> Vec<PrintLine> {
    let mut items: Vec<&Json> = json.as_array().map(|items| items.iter().take(LINES_MAX).collect()).unwrap_or_default();
    items.sort_by_key(|item| number(item, &["Order"]).unwrap_or(u64::MAX));
    items.into_iter().filter_map(line).collect()
}

fn line(item: &Json) -> Option<PrintLine> {
    let value = get(item, "Value").and_then(Json::as_str).unwrap_or_default();
    let is_bold = number(item, &["Style"]) == Some(1);
    let kept = |kind, value: String| Some(PrintLine { kind, value, is_bold });
    match number(item, &["Type"]).unwrap_or(0) {
        0 => kept(PrintKind::Text, plain(value).trim_end().to_owned()),
        1 => {
            let bare = value.split_once("base64,").map_or(value, |(_, picture)| picture);
            (1..=IMAGE_CHARS_MAX)
                .contains(&bare.len())
                .then(|| bare.to_owned())
                .and_then(|it| kept(PrintKind::Image, it))
        }
        2 => Some(payload(value)).filter(|it| !it.is_empty()).and_then(|it| kept(PrintKind::Qr, it)),
        _ => None,
    }
}

/// A payload letter by letter; one that no code could hold is dropped.
fn payload(value: &str) -> String {
    if value.chars().count() <= QR_CHARS_MAX { value.to_owned() } else { String::new() }
}

/// What the payload of a receipt's code tells (§3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QrFacts {
    /// The fiscal sign.
    pub sign: Option<String>,
    /// The register's number.
    pub registration: Option<String>,
    /// The total.
    pub total: Option<Tiyn>,
    /// The time, as receipts write it.
    pub at: Option<String>,
}

impl QrFacts {
    /// Reads a payload; what is not there, or not readable, is `None`.
    pub fn read(payload: &str) -> QrFacts {
        let query = payload.split_once('?').map_or("", |(_, query)| query);
        let part = |key: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.trim()).next()
        };
        let digits =
            |text: &&str| (1..=TEXT_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        QrFacts {
            sign: part("i").and_then(sign),
            registration: part("f").filter(digits).map(str::to_owned),
            total: part("s").and_then(super::fields::tiyn),
            at: part("t").and_then(local_time),
        }
    }
}
