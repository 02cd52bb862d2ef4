//! What is said to a Kaspi Smart POS and what it answers, as pure functions (kaspi-terminal §1.1–§1.9). The envelope is read on any HTTP
//! status; an answer of the older API has none and counts only with HTTP 200 and the name of its operation. `fail` and `success` end an
//! operation, any other word, known or not, does not (§1.4). A minus is a refund: on a payment it settles nothing, on a refund it does.

use super::{AHEAD_MS, LIFE_MS, Tokens};
use crate::domain::attempt::Evidence;
use crate::domain::ids::Handle;
use crate::domain::money::Tiyn;
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Wall;
use crate::drivers::{Act, Asked, GiveBack, Standing, foreign_id, scalar};
use crate::host::secret::Secret;
use crate::transport::web::{Answer, Request};
use serde_json::Value as Json;

/// The process id that no operation has: a question about it proves the token and disturbs nobody.
pub const NO_PROCESS: &str = "0";
/// How long a token counts when its end cannot be read or is absurd: an hour less than the 24 that it lives.
const LIFE_UNREAD_MS: i64 = 23 * 60 * 60 * 1000;
/// The latest end of a token that is believed; a terminal with a wrong clock must not stop renewals.
const LIFE_MS_MAX: i64 = 25 * 60 * 60 * 1000;
/// The largest sum the terminal takes: the limit of its 32-bit number (§1.3).
const AMOUNT_TENGE_MAX: i64 = 2_147_483_647;
/// The longest word of the terminal that is kept.
const WORD_CHARS_MAX: usize = 64;

/// Which of the terminal's two APIs is spoken; told by the configuration and never changed by itself (§1.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// Paths under `/v2`, envelopes, tokens.
    #[default]
    V2,
    /// The older one: bare paths, bare answers, no tokens.
    V1,
}

impl Api {
    fn get(self, call: &str) -> Request {
        match self {
            Api::V2 => Request::get(format!("/v2/{call}")),
            Api::V1 => Request::get(format!("/{call}")),
        }
    }
}

/// The terminal's answer to a question, or that it did not let us ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// An answer to the question.
    Said(Outcome<T>),
    /// HTTP 401 or 403: nothing was done, the token is not accepted.
    Denied,
    /// Error 103: it is not `unknown`, so there is nothing to find out; `status` tells (§1.5).
    NothingToSettle,
}

/// Who answers at the terminal's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A Kaspi terminal.
    Terminal,
    /// A Kaspi terminal that does not accept our token.
    Denied,
    /// Something else.
    Stranger,
}

/// Asks to be let in; blocks until the tap.
pub fn register_request(name: &str) -> Request {
    Api::V2.get("register").query("name", name)
}

/// Asks for a new pair of tokens.
pub fn revoke_request(name: &str, refresh: &Secret) -> Request {
    Api::V2.get("revoke").query("name", name).secret_query("refreshToken", refresh)
}

/// Asks for money.
pub fn payment_request(api: Api, tenge: i64, is_slip_ours: bool, access: Option<&Secret>) -> Request {
    let request = api.get("payment").query("amount", tenge.to_string());
    allowed(slip(request, is_slip_ours), access)
}

/// Gives money back: by the method of the payment and its transaction number, the whole or a part of it (§1.8).
pub fn refund_request(api: Api, refund: &Refund, is_slip_ours: bool, access: Option<&Secret>) -> Request {
    let request = api.get("refund").query("amount", refund.tenge.to_string());
    let request = request.query("method", refund.method).query("transactionId", refund.transaction.as_str());
    allowed(slip(request, is_slip_ours), access)
}

/// Asks what became of an operation.
pub fn status_request(api: Api, handle: &Handle, access: Option<&Secret>) -> Request {
    allowed(api.get("status").query("processId", handle.as_str()), access)
}

/// Makes the terminal find out.
pub fn actualize_request(api: Api, handle: &Handle, access: Option<&Secret>) -> Request {
    allowed(api.get("actualize").query("processId", handle.as_str()), access)
}

/// Asks which device it is; nothing shows on its screen. The older API has no such call: there an operation is asked about that is none.
pub fn presence_request(api: Api, access: Option<&Secret>) -> Request {
    match api {
        Api::V2 => allowed(api.get("deviceinfo"), access),
        Api::V1 => status_request(api, &Handle(NO_PROCESS.to_owned()), access),
    }
}

fn slip(request: Request, is_ours: bool) -> Request {
    if is_ours { request.query("owncheque", "true") } else { request }
}

fn allowed(request: Request, access: Option<&Secret>) -> Request {
    match access {
        Some(token) => request.secret_header("accesstoken", token),
        None => request,
    }
}

/// The sum in whole tenge; anything else is refused before a byte leaves.
pub fn whole_tenge(amount: Tiyn) -> Result<i64, Reason> {
    let bad = |why: &str| Reason::new("bad_amount", format!("{} ₸: {why}", amount.decimal()));
    let tenge = amount.whole_tenge().ok_or_else(|| bad("the terminal takes whole tenge only"))?;
    if (1..=AMOUNT_TENGE_MAX).contains(&tenge) { Ok(tenge) } else { Err(bad("the terminal does not take such a sum")) }
}

/// A refund that the terminal can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    tenge: i64,
    method: &'static str,
    transaction: String,
}

impl Refund {
    /// Checks what goes back before a byte leaves: a whole sum, not above the payment, a method and a number that the terminal knows.
    pub fn of(ask: &GiveBack) -> Result<Refund, Reason> {
        let tenge = whole_tenge(ask.amount)?;
        if ask.amount > ask.paid {
            let detail = format!("{} ₸ of {} ₸", ask.amount.decimal(), ask.paid.decimal());
            return Err(Reason::new("refund_above", detail));
        }
        let told = ask.method.trim();
        let method = ["qr", "card", "alaqan"].into_iter().find(|known| known.eq_ignore_ascii_case(told));
        let method = method.ok_or_else(|| Reason::new("refund_method", word(told)))?;
        let transaction = foreign_id(&Json::from(ask.transaction.as_str()));
        let transaction = transaction.ok_or_else(|| Reason::new("refund_transaction", word(&ask.transaction)))?;
        Ok(Refund { tenge, method, transaction })
    }
}

/// Reads the answer to `register` or `revoke`. `Refused` holds the cure.
pub fn read_tokens(answer: &Answer, now: Wall, utc_offset_s: i32) -> Outcome<Tokens> {
    let Some(envelope) = Envelope::read(answer).filter(|envelope| !envelope.is_bare) else { return garbled(answer) };
    match envelope.code {
        0 => {}
        105 => return Outcome::Refused(name_taken(&envelope.text)),
        107 => return Outcome::NotSent(Reason::new("busy", &envelope.text)),
        code @ (100 | 106 | 108 | 999) => {
            return Outcome::Refused(Reason::new("not_registered", format!("{code} {}", envelope.text)));
        }
        _ => return Outcome::Unknown(envelope.unmapped()),
    }
    let secret = |key: &str| envelope.data.get(key).and_then(foreign_token);
    match (secret("accessToken"), secret("refreshToken")) {
        (Some(access), Some(refresh)) => {
            let told = envelope.data.get("expirationDate").and_then(Json::as_str);
            let until = end_of_life(told, now, utc_offset_s);
            let from = if now == Wall::default() { until.plus_ms(-LIFE_MS) } else { now };
            Outcome::Done(Tokens { access, refresh, from, until })
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => garbled(answer),
    }
}

/// Reads the answer to `payment` or `refund`.
pub fn read_start(answer: &Answer, act: Act) -> Reply<Handle> {
    if is_denied(answer) {
        // Denied, and yet it names an operation: that cannot be mapped, and what may run is not started again (H1).
        let names = Envelope::read(answer).is_some_and(|envelope| envelope.data.get("processId").is_some());
        return if names { Reply::Said(garbled(answer)) } else { Reply::Denied };
    }
    let Some(envelope) = Envelope::read(answer) else { return Reply::Said(garbled(answer)) };
    Reply::Said(match (envelope.code, act) {
        (0, Act::Payment | Act::Refund) => match envelope.data.get("processId").and_then(foreign_id) {
            Some(id) => Outcome::Done(Handle(id)),
            None => Outcome::Unknown(Reason::new("no_handle", "the terminal took the sum and named no operation")),
        },
        (107, Act::Payment | Act::Refund) => Outcome::NotSent(Reason::new("busy", &envelope.text)),
        // 100, 106 and 108 exist and nobody has written down what they mean (kaspi-terminal §1.5): unmapped (H1).
        (999, Act::Payment) => Outcome::Refused(Reason::new("terminal_refused", format!("999 {}", envelope.text))),
        (999, Act::Refund) => Outcome::Refused(Reason::new("refund_refused", format!("999 {}", envelope.text))),
        (_, Act::Payment | Act::Refund) => Outcome::Unknown(envelope.unmapped()),
    })
}

/// Reads the answer to `status` or `actualize`.
pub fn read_standing(answer: &Answer, asked: &Asked) -> Reply<Standing> {
    if is_denied(answer) {
        return Reply::Denied;
    }
    let Some(envelope) = Envelope::read(answer) else { return Reply::Said(garbled(answer)) };
    match envelope.code {
        0 => Reply::Said(standing(&envelope, asked)),
        101 => Reply::Said(Outcome::Done(Standing::Unclear(Reason::new("no_such_process", &envelope.text)))),
        103 => Reply::NothingToSettle,
        _ => Reply::Said(Outcome::Unknown(envelope.unmapped())),
    }
}

/// Reads the answer to the question which device it is.
pub fn read_presence(answer: &Answer, api: Api) -> Presence {
    if is_denied(answer) {
        return Presence::Denied;
    }
    let Some(envelope) = Envelope::read(answer) else {
        let is_old = api == Api::V1 && answer.json().is_some_and(|json| json.is_object());
        return if is_old { Presence::Terminal } else { Presence::Stranger };
    };
    let names = ["posNum", "serialNum", "terminalId"];
    let is_named = names.iter().any(|name| envelope.data.get(name).and_then(scalar).is_some());
    // An envelope with an error is a terminal's too: an older one may not know the call.
    let is_ours = envelope.code != 0 || is_named || api == Api::V1;
    if is_ours { Presence::Terminal } else { Presence::Stranger }
}

fn standing(envelope: &Envelope, asked: &Asked) -> Outcome<Standing> {
    let data = &envelope.data;
    if let Some(other) = data.get("processId").and_then(scalar).filter(|id| id != asked.handle.as_str()) {
        return Outcome::Unknown(Reason::new(
            "contradiction",
            format!("the answer is about operation {}", word(&other)),
        ));
    }
    let sub_status = data.get("subStatus").and_then(scalar).map(|text| word(&text));
    let Some(status) = data.get("status").and_then(scalar) else {
        return Outcome::Unknown(Reason::new("garbled", "an operation without a status"));
    };
    Outcome::Done(match status.to_ascii_lowercase().as_str() {
        "success" => succeeded(data, asked),
        "fail" => {
            let sub_status = sub_status.map(|text| format!(" ({text})")).unwrap_or_default();
            let code = match asked.act {
                Act::Payment => "terminal_failed",
                Act::Refund => "refund_failed",
            };
            Standing::Failed(Reason::new(code, format!("{}{sub_status}", envelope.text)))
        }
        "unknown" => Standing::Unclear(Reason::new("terminal_unknown", &envelope.text)),
        // `wait`, and every word that a later version may say: it goes on until it ends by a word that we know.
        _ => Standing::Pending(sub_status.unwrap_or_else(|| word(&status))),
    })
}

/// Money moved; the slip says which way.
fn succeeded(data: &Json, asked: &Asked) -> Standing {
    let cheque = data.get("chequeInfo").unwrap_or(&Json::Null);
    let shown = cheque.get("amount").and_then(scalar);
    let told = data.get("amount").and_then(scalar);
    let is_minus = [&shown, &told].into_iter().flatten().any(|text| text.contains(MINUS));
    let kind = cheque.get("type").and_then(scalar).unwrap_or_default().to_ascii_lowercase();
    let contradiction = |text: &str| Standing::Unclear(Reason::new("contradiction", text));
    match asked.act {
        Act::Payment if is_minus || kind == "refund" => {
            return contradiction("the terminal reports a refund for a payment");
        }
        Act::Refund if kind == "payment" => return contradiction("the terminal reports a payment for a refund"),
        Act::Payment | Act::Refund => {}
    }
    let sum = |text: String| sum_on_slip(&text.replace(MINUS, "")).filter(|sum| sum.0 > 0);
    let amount = shown.and_then(sum).or(told.and_then(sum)).unwrap_or(asked.amount);
    let is_refund_said = is_minus || kind == "refund";
    if asked.act == Act::Refund && !is_refund_said && amount != asked.amount {
        return contradiction("a success that names no refund, with another sum than was to go back");
    }
    Standing::Paid(evidence(data, cheque, amount))
}

/// The signs of a sum that went the other way.
const MINUS: [char; 2] = ['-', '−'];

fn evidence(data: &Json, cheque: &Json, amount: Tiyn) -> Evidence {
    let field = |key: &str| cheque.get(key).and_then(scalar).map(|text| word(&text));
    let method = field("method").unwrap_or_default().to_lowercase();
    let number = if method == "card" { field("rrn") } else { field("orderNumber") };
    let transaction = data.get("transactionId").and_then(scalar).map(|text| word(&text));
    let transaction = transaction.or(number).or_else(|| field("orderNumber")).or_else(|| field("rrn"));
    Evidence {
        amount,
        method,
        transaction: transaction.unwrap_or_default(),
        source: "terminal".to_owned(),
        detail: detail(data, field("cardMask")),
        tendered: None,
    }
}

/// Product and loan (another commission, a shorter settlement) and the end of the card's number.
fn detail(data: &Json, card_mask: Option<String>) -> String {
    let add = data.get("addInfo").unwrap_or(&Json::Null);
    let text = |key: &str| add.get(key).and_then(scalar).map(|text| word(&text));
    let term = text("LoanTerm").filter(|months| months != "0").map(|months| format!("{months} months"));
    // Only four digits, whatever the terminal calls a mask: a card number is never stored.
    let card = card_mask.map(|mask| {
        let digits: Vec<char> = mask.chars().filter(char::is_ascii_digit).collect();
        format!("card *{}", digits.iter().skip(digits.len().saturating_sub(4)).collect::<String>())
    });
    let parts = [text("ProductType"), text("LoanOfferName"), term, card];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Reads a sum as a slip shows it: `12 400 ₸`, `1 000,00 ₸`, `1,000.5`. Not negative; `None` where it is not clear.
pub fn sum_on_slip(text: &str) -> Option<Tiyn> {
    if text.chars().count() > WORD_CHARS_MAX || text.contains(['-', '−']) {
        return None;
    }
    let text = text.trim_matches(|sign: char| !sign.is_ascii_digit());
    if !text.chars().all(|sign| sign.is_ascii_digit() || sign.is_whitespace() || ".,'’".contains(sign)) {
        return None;
    }
    let solid: String = text.chars().filter(|sign| !sign.is_whitespace()).collect();
    // Two digits or one at the end are tiyn; three are a group of thousands.
    let (whole, fraction) = match solid.rfind(['.', ',']) {
        Some(place) if solid.len() - place <= 3 => (solid.get(..place)?, solid.get(place + 1..)?),
        Some(_) | None => (solid.as_str(), "0"),
    };
    let mut groups = whole.split(['.', ',', '\'', '’']);
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    if first.is_empty() || (!rest.is_empty() && first.len() > 3) || rest.iter().any(|group| group.len() != 3) {
        return None;
    }
    Tiyn::parse_tenge(&format!("{first}{}.{fraction}", rest.concat())).ok()
}

/// When a token ends. The terminal writes its local time in one of two forms (§1.2). Before anybody told us the time of day (a restart in
/// the middle of a payment) the terminal is believed.
pub fn end_of_life(told: Option<&str>, now: Wall, utc_offset_s: i32) -> Wall {
    let parsed = told.and_then(|text| {
        ["%Y-%m-%d %H:%M:%S", "%b %d, %Y %H:%M:%S"]
            .iter()
            .find_map(|form| jiff::civil::DateTime::strptime(form, text.trim()).ok())
    });
    let offset = jiff::tz::Offset::from_seconds(utc_offset_s).unwrap_or(jiff::tz::Offset::UTC);
    let end = parsed.and_then(|local| offset.to_timestamp(local).ok()).map(|at| Wall(at.as_millisecond()));
    // An end in the past or far away is a wrong clock on one of the two sides: renewing at every step would be a storm.
    let is_sane =
        |end: &Wall| now == Wall::default() || *end > now.plus_ms(AHEAD_MS) && *end <= now.plus_ms(LIFE_MS_MAX);
    end.filter(is_sane).unwrap_or(now.plus_ms(LIFE_UNREAD_MS))
}

struct Envelope {
    code: i64,
    text: String,
    data: Json,
    /// The older API's answer: no envelope around it.
    is_bare: bool,
}

impl Envelope {
    fn read(answer: &Answer) -> Option<Envelope> {
        let mut json = answer.json()?;
        let Some(code) = json.get("statusCode") else { return Envelope::bare(answer, json) };
        let code = scalar(code)?.parse().ok()?;
        let data = json.get_mut("data").map(Json::take).unwrap_or_default();
        let error = json.get("errorText").and_then(scalar);
        let text = error.or_else(|| data.get("message").and_then(scalar)).unwrap_or_default();
        Some(Envelope { code, text, data, is_bare: false })
    }

    /// An answer of the older API: the operation itself (§1.9). A gateway's JSON has a `status` too, so only HTTP 200 and both names count.
    fn bare(answer: &Answer, json: Json) -> Option<Envelope> {
        json.get("processId").and_then(foreign_id)?;
        json.get("status").and_then(Json::as_str)?;
        let text = json.get("message").and_then(scalar).unwrap_or_default();
        (answer.status == 200).then_some(Envelope { code: 0, text, data: json, is_bare: true })
    }

    fn unmapped(&self) -> Reason {
        Reason::new("unmapped", format!("the terminal answered {} {}", self.code, self.text))
    }
}

fn is_denied(answer: &Answer) -> bool {
    let code = Envelope::read(answer).map(|envelope| envelope.code);
    // A simulator repeats the envelope's code as the HTTP status, so either place may say it (§1.1).
    matches!(answer.status, 401 | 403) && !matches!(code, Some(0..=400 | 404..)) || matches!(code, Some(401 | 403))
}

fn garbled<T>(answer: &Answer) -> Outcome<T> {
    Outcome::Unknown(Reason::new("garbled", format!("{}, not the terminal's envelope", answer.shape())))
}

fn name_taken(text: &str) -> Reason {
    let cure = "on the terminal: admin panel → «Защита интеграции» → «Настроить доступ» → «Запретить» for our name, then again";
    Reason::new("name_taken", format!("{cure} (105 {})", text.chars().take(WORD_CHARS_MAX).collect::<String>()))
}

fn foreign_token(value: &Json) -> Option<Secret> {
    let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= 2048)?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Secret::new(text))
}

fn word(text: &str) -> String {
    text.chars().take(WORD_CHARS_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sums_on_slips() {
        let read = |text| sum_on_slip(text).map(|sum| sum.0);
        for (text, tiyn) in [
            ("15 000 ₸", 1_500_000),
            ("15\u{a0}000\u{202f}₸", 1_500_000),
            ("1 000,00 ₸", 100_000),
            ("1,000.50", 100_050),
            ("1.000,5 тг.", 100_050),
            ("1,000", 100_000),
            ("12'345", 1_234_500),
            ("500", 50_000),
            ("KZT 5", 500),
        ] {
            assert_eq!(read(text), Some(tiyn), "{text}");
        }
        for bad in ["", "₸", "-500 ₸", "− 500", "1,00,0", "12 из 13", "1.0000", "1,0,00", "99999999999999999999"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn ends_of_tokens_in_both_forms() {
        let now = Wall(1_780_000_000_000); // 2026-05-28 20:26:40 UTC
        let at = |text| end_of_life(Some(text), now, 5 * 3600).0;
        assert_eq!(at("2026-05-30 01:00:00"), 1_780_084_800_000);
        assert_eq!(at("May 30, 2026 01:00:00"), 1_780_084_800_000);
        let unread = now.plus_ms(LIFE_UNREAD_MS);
        for bad in ["", "30.05.2026", "2026-05-28 01:00:00", "2036-05-30 01:00:00", "янв. 5, 2026 10:00:00"] {
            assert_eq!(end_of_life(Some(bad), now, 5 * 3600), unread, "{bad}");
        }
        assert_eq!(end_of_life(None, now, i32::MAX), unread);
    }

    #[test]
    fn f06_only_whole_tenge_leave_the_house() {
        assert_eq!(whole_tenge(Tiyn(500_000)), Ok(5_000));
        for bad in [Tiyn(500_050), Tiyn(0), Tiyn(-100), Tiyn(300_000_000_000)] {
            assert_eq!(whole_tenge(bad).unwrap_err().code, "bad_amount");
        }
    }

    #[test]
    fn f06_only_a_refund_that_the_terminal_can_know_leaves_the_house() {
        let ask = |amount, method: &str, transaction: &str| {
            let refund = Refund::of(&GiveBack {
                reference: crate::domain::ids::Reference("r-1".to_owned()),
                amount: Tiyn(amount),
                paid: Tiyn(1_240_000),
                method: method.to_owned(),
                transaction: transaction.to_owned(),
            });
            refund.map(|refund| (refund.tenge, refund.method)).map_err(|reason| reason.code)
        };
        assert_eq!(ask(1_240_000, "qr", "412345678"), Ok((12_400, "qr")));
        assert_eq!(ask(100, " Alaqan ", "412345678"), Ok((1, "alaqan")));
        let code = |code: &str| Err(code.to_owned());
        assert_eq!(ask(1_240_100, "qr", "412345678"), code("refund_above"));
        assert_eq!(ask(0, "qr", "412345678"), code("bad_amount"));
        assert_eq!(ask(150, "qr", "412345678"), code("bad_amount"));
        for method in ["", "cash", "invoice", "q r"] {
            assert_eq!(ask(100, method, "412345678"), code("refund_method"), "{method}");
        }
        for transaction in ["", "  ", "41 23", "4\n5", &"9".repeat(200)] {
            assert_eq!(ask(100, "card", transaction), code("refund_transaction"), "{transaction}");
        }
    }
}
