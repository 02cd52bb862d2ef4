//! Webkassa as fiscal-kz §1 describes it: a cashbox with one receipt per key, refusals as `Errors` under HTTP 200, calls one after
//! another, shifts of 24 hours and an operator that may be away for 72. It is strict where the reference is sure; where the reference
//! doubts there is an option. Hands play the cashier, the operator and bad luck.

use super::gate::{Ask, Gate, Ground, json, with_gate};
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::host::clock::Monotonic;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use serde_json::{Value, json as object};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod check;
mod envelope;
mod history;
mod options;
mod print;
mod report;
#[cfg(test)]
mod tests;
mod till;
mod units;
mod views;

use super::faults::Fault;
use check::{Check, Paper};
use envelope::{
    BAD_LOGIN, Body, INVALID, NO_CASHBOX, NO_RECEIPT, NO_RIGHT, NO_SUCH_KEY, NOT_AUTHORISED, OTHER_HOST, Refusal,
    SHIFT_STILL_OPEN, UNKNOWN, invalid, refusal, tenge,
};
use history::{Page, shift_of};
pub use options::{Operator, Rounding, WebkassaOptions};
use print::{Form, Tongue};
use till::{Now, Recalled, Till, key_known, told, told_with_offset};
use views::seen;
pub use views::{SandboxMove, SandboxReceipt, SandboxReport, SandboxShift};

/// How long a shift takes documents, from its first one (§3.5).
pub const SHIFT_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long documents may be autonomous (§3.5).
pub const AUTONOMOUS_MAX: Duration = Duration::from_secs(72 * 3600);
/// How often a call looks whether the caller before it hung up: a closed line is noticed within these turns.
const LOOKS_MAX: u32 = 200;
/// How many turns a call takes, so that two at once are seen.
const WORK_TURNS: u32 = 3;
/// How long the licence of a new cashbox lasts, in milliseconds.
const LICENCE_MS: i64 = 365 * 24 * 3_600_000;

/// The simulated Webkassa.
pub struct Webkassa {
    gate: Gate,
    ground: Ground,
    stage: Arc<AtomicU8>,
    state: Mutex<Office>,
}

with_gate!(Webkassa);

struct Office {
    options: WebkassaOptions,
    till: Till,
    tokens: Vec<(String, Monotonic)>,
    licence_ends: Wall,
    /// Where the next call is sent to, with 505.
    elsewhere: Option<String>,
    /// The next document is answered with −1; whether it is made all the same.
    unknown: Option<bool>,
}

/// The calls that are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Authorize,
    Check,
    Money,
    X,
    Z,
    PrintFormat,
    History,
    HistoryByNumber,
    ByExternal,
    ShiftHistory,
    ZHistory,
    ZByShift,
    Cashboxes,
    ClientInfo,
    State,
    Units,
}

/// Addresses in lower case, and the names of the calls for faults and tripwires (§1.3).
const CALLS: [(&str, Call, &str); 16] = [
    ("/api/v4/authorize", Call::Authorize, "authorize"),
    ("/api/v4/check", Call::Check, "check"),
    ("/api/v4/moneyoperation", Call::Money, "money"),
    ("/api/v4/xreport", Call::X, "x"),
    ("/api/v4/zreport", Call::Z, "z"),
    ("/api/v4/ticket/printformat", Call::PrintFormat, "print_format"),
    ("/api/v4/check/history", Call::History, "history"),
    ("/api/v4/check/historybynumber", Call::HistoryByNumber, "history_by_number"),
    ("/api-history/v4/ticket/getticketbyexternalchecknumber", Call::ByExternal, "by_external"),
    ("/api/v4/cashbox/shifthistory", Call::ShiftHistory, "shift_history"),
    ("/api/v4/zreport/history", Call::ZHistory, "z_history"),
    ("/api/v4/zreport/byshiftnumber", Call::ZByShift, "z_by_shift"),
    ("/api/v4/cashboxes", Call::Cashboxes, "cashboxes"),
    ("/api-portal/v4/cashbox/client-info", Call::ClientInfo, "client_info"),
    ("/api-portal/cashbox/state", Call::State, "state"),
    ("/api/v4/references/refunits", Call::Units, "units"),
];

/// Nobody is at the cashbox.
const FREE: u8 = 0;
/// A call is being worked on.
const WORKING: u8 = 1;
/// A call is done, and its caller still waits for the answer.
const ANSWERING: u8 = 2;

/// The turn of one call at the cashbox; it ends when the caller has its answer or hangs up.
struct Turn(Arc<AtomicU8>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(FREE, Ordering::SeqCst);
    }
}

impl Webkassa {
    /// A cashbox without a shift.
    pub fn new(ground: &Ground, options: WebkassaOptions) -> Arc<Webkassa> {
        let till = Till { away_since: options.autonomous.then(|| ground.clock.now()), ..Till::default() };
        let office = Office {
            options,
            till,
            tokens: Vec::new(),
            licence_ends: ground.clock.wall().plus_ms(LICENCE_MS),
            elsewhere: None,
            unknown: None,
        };
        Arc::new(Webkassa {
            gate: Gate::new("webkassa", ground),
            ground: ground.clone(),
            stage: Arc::default(),
            state: Mutex::new(office),
        })
    }

    /// The partner's HTTP face; the base is the host alone.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(receive).with_state(Arc::clone(self))
    }

    /// Puts the cashbox's operator away or back: receipts are autonomous meanwhile, and uploaded when it is back.
    pub fn set_autonomous(&self, is_away: bool) {
        let now = self.now();
        self.office().till.set_away(is_away, now);
        self.gate.touch();
    }

    /// Whether the operator is away.
    pub fn is_autonomous(&self) -> bool {
        self.office().till.is_away()
    }

    /// Ends all logins.
    pub fn expire_tokens(&self) {
        self.office().tokens.clear();
        self.gate.touch();
    }

    /// Sends the next call to other hosts: code 505 with `AlternativeDomainNames`.
    pub fn answer_505_once(&self, hosts: &[&str]) {
        self.office().elsewhere = Some(hosts.join(","));
    }

    /// Answers the next document with code −1; `is_made` tells whether it is registered all the same.
    pub fn answer_unknown_once(&self, is_made: bool) {
        self.office().unknown = Some(is_made);
    }

    /// Changes whether code 14 brings the first receipt.
    pub fn set_answers_14_with_data(&self, with_data: bool) {
        self.office().options.answers_14_with_data = with_data;
    }

    /// Blocks the cashbox, as the operator or the tax office does: code 7.
    pub fn set_blocked(&self, is_blocked: bool) {
        self.office().till.is_blocked = is_blocked;
        self.gate.touch();
    }

    /// Takes the licence away or gives it back: code 10.
    pub fn set_licensed(&self, is_licensed: bool) {
        self.office().till.is_unlicensed = !is_licensed;
        self.gate.touch();
    }

    /// Sets until when the licence lasts.
    pub fn set_licence_end(&self, end: Wall) {
        self.office().licence_ends = end;
    }

    /// Somebody closes the shift in the partner's own cabinet; `false` when none is open.
    pub fn close_shift(&self) -> bool {
        let now = self.now();
        let is_closed = self.office().report(ReportKind::Z, now).is_ok();
        self.gate.touch();
        is_closed
    }

    /// All receipts, oldest first.
    pub fn receipts(&self) -> Vec<SandboxReceipt> {
        self.office().till.receipts.iter().map(seen).collect()
    }

    /// All cash that was moved, oldest first.
    pub fn moves(&self) -> Vec<SandboxMove> {
        let office = self.office();
        let seen = office.till.moves.iter().map(|one| SandboxMove {
            key: one.key.clone(),
            is_in: one.is_in,
            sum: one.sum,
            shift: one.shift,
            at: one.at,
            times_asked: one.times_asked,
        });
        seen.collect()
    }

    /// Cash in the drawer.
    pub fn drawer(&self) -> Tiyn {
        self.office().till.drawer
    }

    /// All shifts, oldest first.
    pub fn shifts(&self) -> Vec<SandboxShift> {
        let office = self.office();
        let seen = office.till.shifts.iter().map(|shift| SandboxShift {
            number: shift.number,
            opened: shift.opened,
            closed: shift.closed,
            receipts: office.till.within(shift.number).count(),
        });
        seen.collect()
    }

    /// All reports, oldest first.
    pub fn reports(&self) -> Vec<SandboxReport> {
        let office = self.office();
        let seen = office.till.reports.iter();
        let seen =
            seen.map(|one| SandboxReport { kind: one.kind, shift: one.shift, at: one.at, data: one.data.clone() });
        seen.collect()
    }

    fn office(&self) -> MutexGuard<'_, Office> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now { wall: self.ground.clock.wall(), point: self.ground.clock.now() }
    }

    /// Takes the turn at the cashbox; none while another call runs. A caller that was answered late may have hung up: that is looked for.
    async fn enter(&self) -> Option<Turn> {
        for _ in 0..LOOKS_MAX {
            match self.stage.compare_exchange(FREE, WORKING, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    let turn = Turn(Arc::clone(&self.stage));
                    for _ in 0..WORK_TURNS {
                        tokio::task::yield_now().await;
                    }
                    return Some(turn);
                }
                Err(ANSWERING) => tokio::task::yield_now().await,
                Err(_) => return None,
            }
        }
        None
    }

    async fn answer(&self, call: Call, ask: &Ask, fault: Option<Fault>, held: &Mutex<Option<Turn>>) -> Response {
        let hosts = self.office().elsewhere.take();
        if let Some(hosts) = hosts {
            return elsewhere(&hosts);
        }
        let body = match self.admit(call, ask) {
            Ok(body) => body,
            Err((status, refused)) => return json(status, &refused),
        };
        if !call.is_of_cashbox() {
            return self.told(self.dispatch(call, ask, &body));
        }
        let Some(turn) = self.enter().await else {
            self.gate.complain(format!("{call:?} came while another call was running"));
            let fault = refusal(INVALID, "Запросы по одной кассе должны выполняться последовательно");
            return json(200, &fault.envelope(None));
        };
        let answer = self.told(self.dispatch(call, ask, &body));
        // Nobody waits for an answer that never comes: the turn is over.
        if !matches!(fault, Some(Fault::Stall | Fault::LoseReply)) {
            self.stage.store(ANSWERING, Ordering::SeqCst);
            *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        }
        answer
    }

    /// The way in: method, key, media type, a readable body, a fresh token, the right cashbox.
    fn admit(&self, call: Call, ask: &Ask) -> Result<Body, (u16, Value)> {
        if ask.method != Method::POST {
            self.gate.complain(format!("{} {}: all calls are POST", ask.method, ask.path));
            return Err((405, object!({"Message": "The requested resource does not support this method"})));
        }
        let office = self.office();
        if ask.header("x-api-key") != Some(office.options.api_key.as_str()) {
            self.gate.complain(format!("{call:?} without the right x-api-key"));
            if office.options.answers_401_without_key {
                return Err((401, object!({"Message": "Unauthorized"})));
            }
            return Err((200, refusal(NOT_AUTHORISED, "Не авторизован: неверный API KEY").envelope(None)));
        }
        if !ask.is_of("application/json") {
            self.gate.complain(format!("{call:?} is not application/json"));
            return Err((415, object!({"Message": "Unsupported Media Type"})));
        }
        let body = Body::read(&ask.body).ok_or_else(|| {
            self.gate.complain(format!("{call:?}: the body is not a JSON object"));
            (400, object!({"Message": "The request is invalid"}))
        })?;
        if call != Call::Authorize {
            let token = body.text("token").unwrap_or_default();
            let now = self.ground.clock.now();
            if !office.tokens.iter().any(|(known, dies)| known == token && *dies > now) {
                let fault = refusal(office.options.stale_token_code, "Сессия устарела, необходима авторизация");
                return Err((200, fault.envelope(None)));
            }
        }
        if call.is_of_cashbox() && body.text("cashboxuniquenumber") != Some(office.options.cashbox.as_str()) {
            self.gate.complain(format!("{call:?} for a cashbox that is not here"));
            return Err((200, refusal(NO_CASHBOX, "Касса не найдена или недоступна пользователю").envelope(None)));
        }
        Ok(body)
    }

    fn told(&self, outcome: Result<Value, Told>) -> Response {
        match outcome {
            Ok(data) => json(200, &object!({"Data": data})),
            Err(Told { fault, data }) => {
                if matches!(fault.code, BAD_LOGIN | NO_RIGHT | INVALID) {
                    self.gate.complain(format!("refused with {}: {}", fault.code, fault.text));
                }
                json(200, &fault.envelope(data))
            }
        }
    }

    fn dispatch(&self, call: Call, ask: &Ask, body: &Body) -> Result<Value, Told> {
        let now = self.now();
        let mut office = self.office();
        match call {
            Call::Authorize => self.authorize(&mut office, body),
            Call::Check => self.document(&mut office, |office| self.check(office, ask, body, now)),
            Call::Money => self.document(&mut office, |office| self.money(office, body, now)),
            Call::X => Ok(office.report(ReportKind::X, now)?),
            Call::Z => self.document(&mut office, |office| Ok(office.report(ReportKind::Z, now)?)),
            Call::PrintFormat => Ok(office.print_format(ask, body)?),
            Call::History | Call::HistoryByNumber | Call::ByExternal => Ok(office.look_up(call, body)?),
            Call::ShiftHistory => Ok(object!({"Shifts": Page::read(body)?.rows(history::shifts(&office.till))})),
            Call::ZHistory => Ok(Page::read(body)?.of(office.z_reports())),
            Call::ZByShift => Ok(office.z_report(body)?),
            Call::Cashboxes => Ok(history::cashboxes(&office.till, &office.options)),
            Call::ClientInfo => Ok(history::client_info(&office.till, &office.options, office.licence_ends)),
            Call::State => Ok(history::state(&office.till, &office.options, office.licence_ends)),
            Call::Units => Ok(units::listed()),
        }
    }

    fn authorize(&self, office: &mut Office, body: &Body) -> Result<Value, Told> {
        let is_known = body.text("login") == Some(office.options.login.as_str())
            && body.text("password") == Some(office.options.password.as_str());
        if !is_known {
            return Err(refusal(BAD_LOGIN, "Неверный логин или пароль").into());
        }
        let token = format!("{:016x}{:016x}", self.ground.ids.bits(), self.ground.ids.bits());
        let now = self.ground.clock.now();
        office.tokens.retain(|(_, dies)| *dies > now);
        office.tokens.push((token.clone(), now.plus(office.options.token_life)));
        Ok(object!({"Token": token}))
    }

    /// Makes a document, or answers −1 where that was ordered.
    fn document(
        &self,
        office: &mut Office,
        make: impl FnOnce(&mut Office) -> Result<Value, Told>,
    ) -> Result<Value, Told> {
        match office.unknown.take() {
            None => make(office),
            Some(is_made) => {
                let _made = is_made.then(|| make(office));
                Err(refusal(UNKNOWN, "Неизвестная ошибка").into())
            }
        }
    }

    fn check(&self, office: &mut Office, ask: &Ask, body: &Body, now: Now) -> Result<Value, Told> {
        office.till.admit()?;
        let key = check::key(body)?;
        let asked = body.clone().without("token");
        match self.recall(office, &key, &asked) {
            Some(Recalled::Receipt { place, .. }) => {
                let data = office.options.answers_14_with_data.then(|| office.receipt(place, ask, body));
                return Err(Told { fault: key_known(&key), data });
            }
            Some(Recalled::Move { .. }) => return Err(key_known(&key).into()),
            None => {}
        }
        if key.is_empty() {
            self.gate.complain("a check without ExternalCheckNumber");
        }
        let check = Check::read(body, &office.options)?;
        if office.options.vat_certificate.is_none() && !check.taxes().is_empty() {
            self.gate.complain("VAT on a receipt of a seller who pays none");
        }
        let Office { till, options, .. } = office;
        let place = till.register(check, asked, options, &self.ground.ids, now)?;
        Ok(office.receipt(place, ask, body))
    }

    fn money(&self, office: &mut Office, body: &Body, now: Now) -> Result<Value, Told> {
        office.till.admit()?;
        let key = check::key(body)?;
        let asked = body.clone().without("token");
        if self.recall(office, &key, &asked).is_some() {
            return Err(key_known(&key).into());
        }
        if key.is_empty() {
            self.gate.complain("a movement of cash without ExternalCheckNumber");
        }
        let is_in = match body.number("operationtype") {
            Some(0) => true,
            Some(1) => false,
            Some(_) | None => return Err(invalid("Не указан или неизвестен OperationType").into()),
        };
        let sum = body.money("sum")?.filter(|sum| sum.0 > 0 && sum.in_limits());
        let sum = sum.ok_or_else(|| invalid("Сумма должна быть больше нуля"))?;
        let Office { till, options, .. } = office;
        let place = till.shift_cash((key, asked), (is_in, sum), options, now)?;
        let shift = till.moves.get(place).map_or(0, |moved| moved.shift);
        Ok(object!({
            "OfflineMode": till.is_away(),
            "CashboxOfflineMode": till.is_away(),
            "ShiftNumber": shift,
            "DateTime": told(now.wall),
            "DateTimeUTC": told_with_offset(now.wall),
            "Sum": tenge(till.drawer),
            "Cashbox": history::cashbox(options),
        }))
    }

    /// Looks for the document of a key; another body under it is what no right client sends.
    fn recall(&self, office: &mut Office, key: &str, asked: &Body) -> Option<Recalled> {
        let entered = office.till.recall(key, asked)?;
        let is_same = match &entered {
            Recalled::Receipt { is_same, .. } | Recalled::Move { is_same } => *is_same,
        };
        if !is_same {
            self.gate.complain(format!("other body under the same key {key}"));
        }
        Some(entered)
    }
}

/// A refusal, with the data that may stand beside it.
struct Told {
    fault: Refusal,
    data: Option<Value>,
}

impl From<Refusal> for Told {
    fn from(fault: Refusal) -> Told {
        Told { fault, data: None }
    }
}

impl Call {
    fn of(path: &str) -> Option<(Call, &'static str)> {
        let path = path.to_ascii_lowercase();
        CALLS.iter().find(|(known, ..)| *known == path).map(|(_, call, word)| (*call, *word))
    }

    /// Whether the call is about the cashbox: those come one after another.
    fn is_of_cashbox(self) -> bool {
        !matches!(self, Call::Authorize | Call::Cashboxes | Call::Units)
    }
}

impl Office {
    /// The answer about a receipt, with its lines for paper.
    fn receipt(&self, place: usize, ask: &Ask, body: &Body) -> Value {
        let Some(receipt) = self.till.receipts.get(place) else { return Value::Null };
        let form = Form { has_points: self.options.check_writes_points, ..self.form(ask, body) };
        let mut answer = history::answer(receipt, &self.till, &self.options);
        if let Some(members) = answer.as_object_mut() {
            members.insert("TicketPrintFormat".to_owned(), print::lines(receipt, &self.options, form));
        }
        answer
    }

    /// Width by `PaperKind`, languages by the headers: Kazakh first where nothing is said.
    fn form(&self, ask: &Ask, body: &Body) -> Form {
        let paper = if body.number("paperkind") == Some(3) { Paper::Narrow } else { Paper::Wide };
        let columns = match paper {
            Paper::Wide => self.options.columns.0,
            Paper::Narrow => self.options.columns.1,
        };
        let second = match Tongue::of(ask.header("secondary-language")) {
            Some(Tongue::Kazakh) => Some(Tongue::Russian),
            Some(Tongue::Russian) => Some(Tongue::Kazakh),
            None => None,
        };
        let first = Tongue::of(ask.header("accept-language")).or(second).unwrap_or(Tongue::Kazakh);
        Form { columns, first, is_copy: false, has_points: false }
    }

    fn print_format(&self, ask: &Ask, body: &Body) -> Result<Value, Refusal> {
        let key = body.text("externalchecknumber").ok_or_else(|| invalid("Не указан ExternalCheckNumber"))?;
        let receipt = self.till.by_key(key).ok_or_else(|| no_such_key(key))?;
        let is_copy = body.flag("isduplicate").unwrap_or(false);
        Ok(object!({"Lines": print::lines(receipt, &self.options, Form { is_copy, ..self.form(ask, body) })}))
    }

    fn look_up(&self, call: Call, body: &Body) -> Result<Value, Refusal> {
        let shift = shift_of(body, &self.till)?;
        if call == Call::History {
            let items = self.till.within(shift).map(|receipt| history::item(receipt, &self.options));
            return Ok(Page::read(body)?.of(items.collect()));
        }
        if call == Call::HistoryByNumber {
            let sign = body.text("number").ok_or_else(|| invalid("Не указан фискальный признак Number"))?;
            let receipt = self.till.within(shift).find(|receipt| receipt.sign == sign);
            let receipt = receipt.ok_or_else(|| refusal(NO_RECEIPT, format!("Чек {sign} не найден")))?;
            return Ok(history::item_with_operator(receipt, &self.options));
        }
        let key = body.text("externalchecknumber").ok_or_else(|| invalid("Не указан ExternalCheckNumber"))?;
        let receipt = self.till.by_key(key).filter(|receipt| receipt.shift == shift);
        receipt.map(|receipt| history::item(receipt, &self.options)).ok_or_else(|| no_such_key(key))
    }

    /// Makes a report; Z ends the shift. Neither touches the drawer nor the totals that are never reset.
    fn report(&mut self, kind: ReportKind, now: Now) -> Result<Value, Refusal> {
        self.till.admit()?;
        let number = match kind {
            ReportKind::X => self.till.open().map(|shift| shift.number),
            ReportKind::Z => Some(self.till.close(now)?),
        };
        let shift = number.and_then(|number| self.till.shift(number));
        let shift = shift.ok_or_else(|| refusal(envelope::NO_OPEN_SHIFT, "Нет открытой смены"))?;
        let (number, data) = (shift.number, report::report(&self.till, shift, kind, &self.options, now));
        self.till.reports.push(till::Report { kind, shift: number, at: now.wall, data: data.clone() });
        Ok(data)
    }

    fn z_reports(&self) -> Vec<Value> {
        let reports = self.till.reports.iter().rev().filter(|one| one.kind == ReportKind::Z);
        reports.map(|one| one.data.clone()).collect()
    }

    fn z_report(&self, body: &Body) -> Result<Value, Refusal> {
        let shift = shift_of(body, &self.till)?;
        let made = self.till.reports.iter().find(|one| one.kind == ReportKind::Z && one.shift == shift);
        made.map(|one| one.data.clone())
            .ok_or_else(|| refusal(SHIFT_STILL_OPEN, "Z-отчёта не существует, смена открыта"))
    }
}

async fn receive(State(webkassa): State<Arc<Webkassa>>, request: Request) -> Response {
    let ask = match Ask::read(request).await {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    let Some((call, word)) = Call::of(&ask.path) else {
        webkassa.gate.complain(format!("no such address: {}", ask.path));
        return json(404, &object!({"Message": "No HTTP resource was found"}));
    };
    let held = Mutex::new(None);
    webkassa.gate.pass_told(word, |fault| webkassa.answer(call, &ask, fault, &held)).await
}

fn elsewhere(hosts: &str) -> Response {
    let mut response = json(200, &refusal(OTHER_HOST, "Сервис временно недоступен по этому адресу").envelope(None));
    if let Ok(hosts) = HeaderValue::from_str(hosts) {
        response.headers_mut().insert(HeaderName::from_static("alternativedomainnames"), hosts);
    }
    response
}

fn no_such_key(key: &str) -> Refusal {
    refusal(NO_SUCH_KEY, format!("Чек с внешним номером {key} не найден"))
}
