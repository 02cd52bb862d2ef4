//! A Kaspi Smart POS on the shop's network (terminal chapter §1): every call is a GET, every reply an envelope, one operation at a time,
//! no name of ours on a payment. The guest stands in front of it: QR, card, refusal, or nobody. What the bank really took is kept apart
//! from what the device says, so that a test can compare the two.

use super::authority::Identity;
use super::gate::{Ask, AutoGuest, Gate, Ground, Will, json, shop_time, with_gate};
use crate::domain::time::Wall;
use crate::host::clock::Monotonic;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

mod operation;

use operation::{Operation, Unclear, Wanted};
pub use operation::{OperationStatus, OperationView, PayMethod, Product};

/// How long a token opens the terminal.
pub const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long the device waits for a guest before the operation fails.
pub const GUEST_PATIENCE: Duration = Duration::from_secs(150);
/// The shortest gap between two `actualize` calls of one operation.
pub const ACTUALIZE_GAP: Duration = Duration::from_secs(10);
/// How long the device remembers an operation.
pub const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// The largest amount, in tenge.
const AMOUNT_TENGE_MAX: i64 = 2_147_483_647;

/// How this terminal is set up.
#[derive(Clone, Debug)]
pub struct TerminalOptions {
    /// Its name in the sandbox.
    pub name: String,
    /// "Защита интеграции": tokens are demanded.
    pub protected: bool,
    /// Registrations are allowed without a tap.
    pub auto_allow: bool,
    /// How long a token lives.
    pub token_life: Duration,
    /// Write `expirationDate` as `Nov 21, 2026 13:05:00`, the other form seen in the wild.
    pub english_dates: bool,
    /// Guests that act on their own.
    pub guest: Option<AutoGuest>,
    /// The refresh token before the last is taken until the new pair was used once, as after a reply that got lost.
    pub keeps_old_refresh: bool,
    /// The certificate; without one the terminal speaks plain HTTP.
    pub tls: Option<Identity>,
}

impl Default for TerminalOptions {
    fn default() -> TerminalOptions {
        TerminalOptions {
            name: "counter".to_owned(),
            protected: true,
            auto_allow: false,
            token_life: TOKEN_LIFE,
            english_dates: false,
            guest: None,
            keeps_old_refresh: false,
            tls: None,
        }
    }
}

/// What the terminal's screen shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "screen", rename_all = "snake_case")]
pub enum Screen {
    /// Nothing to do.
    Idle,
    /// Somebody wants to be registered.
    Register {
        /// The name it gave.
        name: String,
    },
    /// The guest is asked to pay.
    Pay {
        /// Whole tenge.
        amount: i64,
    },
    /// The guest is asked to confirm a refund.
    Refund {
        /// Whole tenge.
        amount: i64,
    },
}

/// The simulated terminal.
pub struct Terminal {
    gate: Gate,
    ground: Ground,
    this: Weak<Terminal>,
    state: Mutex<Device>,
}

with_gate!(Terminal);

struct Device {
    options: TerminalOptions,
    /// By the name given at registration.
    tokens: BTreeMap<String, Tokens>,
    prompts: Vec<Prompt>,
    next_prompt: u64,
    operations: Vec<Operation>,
    next_unknown: Option<Unclear>,
    product: Product,
}

#[derive(Clone)]
struct Tokens {
    access: String,
    refresh: String,
    /// The refresh token that this pair replaced, while this pair was never used.
    before: Option<String>,
    die: Monotonic,
    date: String,
}

struct Prompt {
    number: u64,
    name: String,
    decision: Option<Result<Tokens, Trouble>>,
}

/// A prompt that is withdrawn when nobody waits for it any more.
struct PromptGuard<'a> {
    terminal: &'a Terminal,
    number: u64,
}

type Trouble = (i64, &'static str);

const BAD_PARAMETER: i64 = 999;
const NO_PROCESS: i64 = 101;
const NOT_UNKNOWN: i64 = 103;
const REGISTRATION: i64 = 105;
const BUSY: i64 = 107;

impl Terminal {
    /// A terminal that nobody registered at.
    pub fn new(ground: &Ground, options: TerminalOptions) -> Arc<Terminal> {
        let gate = Gate::new(&format!("terminal {}", options.name), ground);
        let device = Device {
            options,
            tokens: BTreeMap::new(),
            prompts: Vec::new(),
            next_prompt: 0,
            operations: Vec::new(),
            next_unknown: None,
            product: Product::default(),
        };
        Arc::new_cyclic(|this| Terminal { gate, ground: ground.clone(), this: this.clone(), state: Mutex::new(device) })
    }

    /// The terminal's HTTP face; paths begin with `/v2`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(receive).with_state(Arc::clone(self))
    }

    /// The terminal's name in the sandbox.
    pub fn name(&self) -> String {
        self.device().options.name.clone()
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.device().options.tls.is_some()
    }

    /// What guests pay with from now on.
    pub fn set_product(&self, product: Product) {
        self.device().product = product;
    }

    /// How long the tokens live that are given from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.device().options.token_life = life;
    }

    /// Whether the refresh token before the last is taken until the new pair was used once.
    pub fn set_keeps_old_refresh(&self, keeps: bool) {
        self.device().options.keeps_old_refresh = keeps;
    }

    /// Switches "Защита интеграции".
    pub fn set_protected(&self, protected: bool) {
        self.device().options.protected = protected;
    }

    /// Lets guests act on their own, from the next operation on.
    pub fn set_auto_guest(&self, guest: Option<AutoGuest>) {
        self.device().options.guest = guest;
        self.gate.touch();
    }

    /// Whether guests act on their own.
    pub fn has_auto_guest(&self) -> bool {
        self.device().options.guest.is_some()
    }

    /// A person taps «Разрешить»; `false` when nobody asked.
    pub fn tap_allow(&self) -> bool {
        self.decide(true)
    }

    /// A person taps «Запретить».
    pub fn tap_deny(&self) -> bool {
        self.decide(false)
    }

    /// Admin panel, «Запретить»: the terminal forgets a name, so that it can register again.
    pub fn forbid(&self, name: &str) -> bool {
        self.device().tokens.remove(name).is_some()
    }

    /// All tokens die at once, as after 24 hours.
    pub fn expire_tokens(&self) {
        let now = self.ground.clock.now();
        self.device().tokens.values_mut().for_each(|tokens| tokens.die = now);
    }

    /// The guest scans the QR and pays; `false` when nothing waits.
    pub fn guest_pays_qr(&self) -> bool {
        self.guest(Some(PayMethod::Qr))
    }

    /// The guest pays by card.
    pub fn guest_pays_card(&self) -> bool {
        self.guest(Some(PayMethod::Card))
    }

    /// The guest pays by palm.
    pub fn guest_pays_alaqan(&self) -> bool {
        self.guest(Some(PayMethod::Alaqan))
    }

    /// The bank declines.
    pub fn guest_declines(&self) -> bool {
        self.guest(None)
    }

    /// The guest presses the red key or leaves: the operation is cancelled on the device.
    pub fn guest_walks_away(&self) -> bool {
        self.finish(|operation| operation.fail("Операция отменена", "ProcessCancelled"))
    }

    /// The next operation, or the one that waits, turns unknown at once and needs this many `actualize` calls; then it has happened or not.
    pub fn set_unknown(&self, asks: u32, then_success: bool) {
        let now = self.ground.clock.now();
        let unclear = Unclear { asks_left: asks, then_success };
        let transaction = self.transaction();
        let mut device = self.device();
        match device.waiting(now) {
            Some(operation) => operation.blur(unclear, transaction),
            None => device.next_unknown = Some(unclear),
        }
        drop(device);
        self.gate.touch();
    }

    /// Power off and on: operations are forgotten, tokens stay; what waited is cancelled.
    pub fn reboot(&self) {
        let mut device = self.device();
        device.prompts.clear();
        for operation in &mut device.operations {
            if operation.view.status == OperationStatus::Wait {
                operation.fail("Перезагрузка", "ProcessCancelled");
            }
            operation.view.is_forgotten = true;
        }
        drop(device);
        self.gate.touch();
    }

    /// All operations, oldest first, those forgotten by the device included.
    pub fn operations(&self) -> Vec<OperationView> {
        let now = self.ground.clock.now();
        let mut device = self.device();
        let _waiting = device.waiting(now).is_some();
        device.operations.iter().map(|operation| operation.view.clone()).collect()
    }

    /// What the screen shows now.
    pub fn screen(&self) -> Screen {
        let now = self.ground.clock.now();
        let mut device = self.device();
        if let Some(prompt) = device.prompts.iter().find(|prompt| prompt.decision.is_none()) {
            return Screen::Register { name: prompt.name.clone() };
        }
        match device.waiting(now) {
            Some(operation) if operation.view.is_refund => Screen::Refund { amount: operation.view.amount },
            Some(operation) => Screen::Pay { amount: operation.view.amount },
            None => Screen::Idle,
        }
    }

    fn device(&self) -> MutexGuard<'_, Device> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transaction(&self) -> String {
        (0..12).map(|_| char::from(b'0' + u8::try_from(self.ground.ids.below(10)).unwrap_or(0))).collect()
    }

    fn guest(&self, method: Option<PayMethod>) -> bool {
        let transaction = self.transaction();
        self.finish(|operation| match method {
            Some(method) => operation.succeed(operation.view.method.unwrap_or(method), transaction),
            None if operation.view.is_refund => operation.fail("Клиент не подтвердил возврат", "QrTransactionFailure"),
            None => operation.fail("Недостаточно средств", "QrTransactionFailure"),
        })
    }

    fn finish(&self, end: impl FnOnce(&mut Operation)) -> bool {
        let now = self.ground.clock.now();
        let is_ended = self.device().waiting(now).map(end).is_some();
        self.gate.touch();
        is_ended
    }

    fn decide(&self, is_allowed: bool) -> bool {
        let is_decided = {
            let mut device = self.device();
            let open = device.prompts.iter().find(|prompt| prompt.decision.is_none());
            open.map(|prompt| (prompt.number, prompt.name.clone())).is_some_and(|(number, name)| {
                let decision = if is_allowed {
                    Ok(device.grant(&name, &self.ground))
                } else {
                    Err((REGISTRATION, "Registration was rejected on the terminal"))
                };
                let prompt = device.prompts.iter_mut().find(|prompt| prompt.number == number);
                prompt.map(|prompt| prompt.decision = Some(decision)).is_some()
            })
        };
        self.gate.touch();
        is_decided
    }

    async fn register(&self, ask: &Ask) -> Result<Value, Trouble> {
        let name = ask.param("name").filter(|name| !name.is_empty()).ok_or((BAD_PARAMETER, "name is required"))?;
        let guard = self.prompt(name)?;
        self.gate.touch();
        self.gate
            .until(|| {
                self.device().prompts.iter().all(|prompt| prompt.number != guard.number || prompt.decision.is_some())
            })
            .await;
        let mut device = self.device();
        let prompt = device.prompts.iter_mut().find(|prompt| prompt.number == guard.number);
        let decision = prompt.and_then(|prompt| prompt.decision.take());
        drop(device);
        decision.unwrap_or(Err((REGISTRATION, "the terminal was restarted"))).map(|tokens| tokens.shown())
    }

    fn prompt(&self, name: &str) -> Result<PromptGuard<'_>, Trouble> {
        let mut device = self.device();
        if !device.options.protected {
            return Err((REGISTRATION, "integration protection is off"));
        }
        if device.tokens.contains_key(name) {
            return Err((REGISTRATION, "this name is already allowed"));
        }
        device.next_prompt += 1;
        let number = device.next_prompt;
        let decision = device.options.auto_allow.then(|| Ok(device.grant(name, &self.ground)));
        device.prompts.push(Prompt { number, name: name.to_owned(), decision });
        Ok(PromptGuard { terminal: self, number })
    }

    fn revoke(&self, ask: &Ask) -> Result<Value, Trouble> {
        let name = ask.param("name").ok_or((BAD_PARAMETER, "name is required"))?;
        let refresh = ask.param("refreshToken").ok_or((BAD_PARAMETER, "refreshToken is required"))?;
        let mut device = self.device();
        let is_kept = device.options.keeps_old_refresh;
        let is_known =
            |tokens: &Tokens| tokens.refresh == refresh || (is_kept && tokens.before.as_deref() == Some(refresh));
        if !device.tokens.get(name).is_some_and(is_known) {
            return Err((REGISTRATION, "wrong name or refresh token"));
        }
        Ok(device.grant(name, &self.ground).shown())
    }

    fn payment(&self, ask: &Ask) -> Result<Value, Trouble> {
        let amount = amount(ask)?;
        owncheque(ask)?;
        self.begin(Wanted { amount, refund: None })
    }

    fn refund(&self, ask: &Ask) -> Result<Value, Trouble> {
        let amount = amount(ask)?;
        owncheque(ask)?;
        let method = ask
            .param("method")
            .and_then(PayMethod::from_word)
            .ok_or((BAD_PARAMETER, "method must be qr, card or alaqan"))?;
        let id = ask.param("transactionId").ok_or((BAD_PARAMETER, "transactionId is required"))?;
        let left = self.device().left_of(method, id).ok_or((BAD_PARAMETER, "no such sale with this method"))?;
        if amount > left {
            return Err((BAD_PARAMETER, "the sum is above what is left of the sale"));
        }
        self.begin(Wanted { amount, refund: Some((method, id.to_owned())) })
    }

    fn begin(&self, wanted: Wanted) -> Result<Value, Trouble> {
        let (now, wall) = (self.ground.clock.now(), self.ground.clock.wall());
        let transaction = self.transaction();
        let mut device = self.device();
        if device.waiting(now).is_some() {
            return Err((BUSY, "Предыдущая операция не завершена"));
        }
        let is_card_refund = matches!(&wanted.refund, Some((PayMethod::Card, _)));
        let mut operation = Operation::new(device.new_process_id(wall), wanted, device.product, now, wall);
        if is_card_refund {
            operation.succeed(PayMethod::Card, transaction.clone());
        }
        let reply = operation.accepted();
        if let Some(unclear) = device.next_unknown.take() {
            operation.blur(unclear, transaction);
        }
        let id = operation.view.process_id.clone();
        device.operations.push(operation);
        let guest = device.options.guest;
        drop(device);
        self.start_guest(&id, guest);
        Ok(reply)
    }

    fn start_guest(&self, id: &str, guest: Option<AutoGuest>) {
        let (Some(this), Some(guest)) = (self.this.upgrade(), guest) else { return };
        let (thinks, will) = guest.draw(&self.ground.ids);
        let id = id.to_owned();
        self.ground.start(async move {
            this.ground.clock.sleep(thinks).await;
            let now = this.ground.clock.now();
            if this.device().waiting(now).is_none_or(|operation| operation.view.process_id != id) {
                return;
            }
            let _acted = match will {
                Will::Pay => this.guest_pays_qr(),
                Will::PayByCard => this.guest_pays_card(),
                Will::BeDeclined => this.guest_declines(),
                Will::WalkAway => false,
            };
        });
    }

    fn status(&self, ask: &Ask) -> Result<Value, Trouble> {
        let now = self.ground.clock.now();
        self.device().remembered(ask, now).map(|operation| operation.shown())
    }

    fn actualize(&self, ask: &Ask) -> Result<Value, Trouble> {
        let now = self.ground.clock.now();
        let mut device = self.device();
        let operation = device.remembered(ask, now)?;
        if operation.view.status != OperationStatus::Unknown {
            return Err((NOT_UNKNOWN, "Операция не может быть актуализирована"));
        }
        let is_early = operation.actualized_at.is_some_and(|last| now.since(last) < ACTUALIZE_GAP);
        operation.actualized_at = Some(now);
        if !is_early {
            operation.look_again();
        }
        let (shown, id) = (operation.shown(), operation.view.process_id.clone());
        drop(device);
        if is_early {
            self.gate.complain(format!("actualize of {id} closer than 10 s"));
        }
        Ok(shown)
    }

    fn device_info(&self) -> Value {
        let name = self.name();
        object!({"posNum": "1", "serialNum": format!("SANDBOX-{name}"), "terminalId": "10053862"})
    }

    fn is_let_in(&self, call: &str, ask: &Ask) -> bool {
        let now = self.ground.clock.now();
        let mut device = self.device();
        let is_open = !device.options.protected || ["register", "revoke", "deviceinfo"].contains(&call);
        let given = ask.header("accesstoken");
        let is_good = |tokens: &&mut Tokens| tokens.die > now && given == Some(tokens.access.as_str());
        let key = device.tokens.values_mut().find(is_good);
        // A call that needs no token proves none.
        is_open || key.map(|tokens| tokens.before = None).is_some()
    }

    async fn answer(&self, call: &str, ask: &Ask) -> Response {
        self.look_at_parameters(call, ask);
        if !self.is_let_in(call, ask) {
            return envelope(403, Err((403, "Forbidden")));
        }
        let result = match call {
            "register" => self.register(ask).await,
            "revoke" => self.revoke(ask),
            "payment" => self.payment(ask),
            "refund" => self.refund(ask),
            "status" => self.status(ask),
            "actualize" => self.actualize(ask),
            _ => Ok(self.device_info()),
        };
        // "Busy" is an answer, not a complaint: a lost reply may have left an amount on the screen.
        if let Err((BAD_PARAMETER | REGISTRATION | NOT_UNKNOWN, text)) = &result {
            self.gate.complain(format!("{call} refused: {text}"));
        }
        envelope(200, result)
    }

    fn look_at_parameters(&self, call: &str, ask: &Ask) {
        let known = parameters(call);
        for (name, _) in ask.query.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            self.gate.complain(format!("unknown parameter {name} in {call}"));
        }
        if !ask.body.is_empty() {
            self.gate.complain(format!("{call} came with a body"));
        }
    }
}

impl Drop for PromptGuard<'_> {
    fn drop(&mut self) {
        self.terminal.device().prompts.retain(|prompt| prompt.number != self.number);
        self.terminal.gate.touch();
    }
}

impl Device {
    /// Replaces both tokens of a name.
    fn grant(&mut self, name: &str, ground: &Ground) -> Tokens {
        let life = self.options.token_life;
        let ends = ground.clock.wall().plus_ms(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let form = if self.options.english_dates { "%b %-d, %Y %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        let tokens = Tokens {
            access: ground.ids.name(32),
            refresh: ground.ids.name(32),
            before: self.tokens.get(name).map(|tokens| tokens.refresh.clone()),
            die: ground.clock.now().plus(life),
            date: shop_time(ends, form),
        };
        self.tokens.insert(name.to_owned(), tokens.clone());
        tokens
    }

    /// What may still go back of a sale, in tenge; none when there is no such sale. A reboot forgets nothing of it: the bank knows.
    fn left_of(&self, method: PayMethod, transaction: &str) -> Option<i64> {
        let views = || self.operations.iter().map(|operation| &operation.view);
        let sale = views().find(|view| {
            let is_ours = !view.is_refund && view.charged && view.method == Some(method);
            is_ours && view.transaction_id.as_deref() == Some(transaction)
        })?;
        let is_back = |view: &&OperationView| view.charged || view.status == OperationStatus::Wait;
        let refunds = views().filter(|view| view.refund_of.as_deref() == Some(transaction)).filter(is_back);
        Some(sale.amount - refunds.map(|view| view.amount).sum::<i64>())
    }

    /// Opaque to callers; it grows, as the real ones seem to.
    fn new_process_id(&self, wall: Wall) -> String {
        let count = i64::try_from(self.operations.len()).unwrap_or(0);
        wall.plus_ms(count).0.to_string()
    }

    /// The operation the guest stands before; one whose time is over fails here.
    fn waiting(&mut self, now: Monotonic) -> Option<&mut Operation> {
        let operation = self.operations.last_mut().filter(|last| last.view.status == OperationStatus::Wait)?;
        if now.since(operation.began) >= GUEST_PATIENCE {
            operation.fail("Время ожидания оплаты истекло", "ProcessCancelled");
            return None;
        }
        Some(operation)
    }

    fn remembered(&mut self, ask: &Ask, now: Monotonic) -> Result<&mut Operation, Trouble> {
        let id = ask.param("processId").filter(|id| !id.is_empty()).ok_or((BAD_PARAMETER, "processId is required"))?;
        let _waiting = self.waiting(now).is_some();
        let known = self.operations.iter_mut().find(|operation| {
            operation.view.process_id == id && !operation.view.is_forgotten && now.since(operation.began) < MEMORY
        });
        known.ok_or((NO_PROCESS, "Процесс не найден"))
    }
}

impl Tokens {
    fn shown(&self) -> Value {
        object!({"accessToken": self.access, "refreshToken": self.refresh, "expirationDate": self.date})
    }
}

async fn receive(State(terminal): State<Arc<Terminal>>, request: Request) -> Response {
    let ask = match Ask::read(request).await {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    let path = ask.path.clone();
    match path.strip_prefix("/v2/") {
        Some(call) if !parameters(call).is_empty() || call == "deviceinfo" => {
            if ask.method == Method::GET {
                // A question about no operation is counted apart: a scripted fault of `status` meets the operation that it is meant for.
                let is_about_nothing = call == "status" && ask.param("processId") == Some("0");
                let counted = if is_about_nothing { "probe" } else { call };
                return terminal.gate.pass(counted, terminal.answer(call, &ask)).await;
            }
            terminal.gate.complain(format!("{call} must be GET"));
            envelope(405, Err((405, "Method Not Allowed")))
        }
        Some(_) | None => {
            terminal.gate.complain(format!("no such address: {path}"));
            envelope(404, Err((404, "Not Found")))
        }
    }
}

fn parameters(call: &str) -> &'static [&'static str] {
    match call {
        "register" => &["name"],
        "revoke" => &["name", "refreshToken"],
        "payment" => &["amount", "owncheque"],
        "refund" => &["amount", "method", "transactionId", "owncheque"],
        "status" | "actualize" => &["processId"],
        _ => &[],
    }
}

fn envelope(status: u16, result: Result<Value, Trouble>) -> Response {
    match result {
        Ok(data) => json(status, &object!({"data": data, "statusCode": 0})),
        Err((code, text)) => json(status, &object!({"data": {}, "statusCode": code, "errorText": text})),
    }
}

fn amount(ask: &Ask) -> Result<i64, Trouble> {
    let text = ask.param("amount").ok_or((BAD_PARAMETER, "amount is required"))?;
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.parse().ok().filter(|amount| is_digits && (1..=AMOUNT_TENGE_MAX).contains(amount));
    amount.ok_or((BAD_PARAMETER, "amount must be whole tenge above zero"))
}

fn owncheque(ask: &Ask) -> Result<(), Trouble> {
    match ask.param("owncheque") {
        None | Some("true" | "false") => Ok(()),
        Some(_) => Err((BAD_PARAMETER, "owncheque must be true or false")),
    }
}
