//! The partners' languages. A driver translates between our shapes and one partner's protocol over a transport; it holds no
//! database, clock or logger. Requests are built and answers are read by pure functions. Adding a driver is one file and one line in
//! [`KINDS`]. Law 5: a lost wire is passed through as the transport judged it; an answer that cannot be mapped is `Unknown`.

use crate::domain::attempt::Evidence;
use crate::domain::fiscal::{Basis, Bill, Moved, Registered, ShiftReport, Side};
use crate::domain::ids::{Handle, Reference};
use crate::domain::money::Tiyn;
use crate::domain::order::{Line, Phone, Snapshot, Tender};
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::host::clock::Clock;
use crate::host::secret::Secret;
use crate::transport::Loss;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub mod display;
pub mod fiscal;
pub mod invoice;
pub mod pos;
pub mod printer;
pub mod signature;
pub mod terminal;

/// What is to be collected, as a driver needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect {
    /// How much.
    pub amount: Tiyn,
    /// Our name of the attempt, told to the partner where it takes one.
    pub reference: Reference,
    /// What the guest reads.
    pub description: String,
    /// The guest's phone, for a phone invoice.
    pub phone: Option<Phone>,
}

/// What the partner's own record says of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on; the word is for the screen (`WaitUser`, `pending`).
    Pending(String),
    /// The money moved.
    Paid(Evidence),
    /// It did not happen.
    Failed(Reason),
    /// It was withdrawn.
    Cancelled(Reason),
    /// The guest did not pay in time.
    Expired(Reason),
    /// The partner itself does not know (terminal `unknown`), or no longer knows this handle: only time or a person tells.
    Unclear(Reason),
}

/// What a terminal can do, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalAbilities {
    /// The shortest gap between two [`Terminal::settle`] calls of one attempt.
    pub settle_gap: Duration,
    /// The pace of [`Terminal::inquire`] while the guest pays.
    pub inquire_gap: Duration,
    /// After this long without an end the attempt counts as unclear and a person is asked.
    pub patience: Duration,
    /// Whether a waiting payment can be stopped from here.
    pub abort: bool,
    /// Whether money can go back by it.
    pub refund: bool,
    /// Whether its own end of day can be asked for from here.
    pub settlement: bool,
}

/// What a handle of a terminal belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The guest pays.
    Payment,
    /// The guest gets money back.
    Refund,
}

/// Something that a terminal was asked to do, as the ledger remembers it: a restarted driver knows no more than this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it is.
    pub act: Act,
    /// The terminal's name of it.
    pub handle: Handle,
    /// The sum that was asked.
    pub amount: Tiyn,
}

/// Money that goes back by the terminal that took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveBack {
    /// Our name of the refund.
    pub reference: Reference,
    /// How much goes back.
    pub amount: Tiyn,
    /// The whole payment that it belongs to.
    pub paid: Tiyn,
    /// How it was paid, in the partner's word, from the payment's evidence.
    pub method: String,
    /// The partner's transaction number, from the payment's evidence.
    pub transaction: String,
}

/// How a device is, found out without disturbing anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may take money (green).
    Good,
    /// It works, but somebody should look (yellow).
    Warns(Reason),
    /// It cannot take money now (red); the reason holds the cure.
    Bad(Reason),
}

/// A card or QR device at the counter. One attempt at a time.
pub trait Terminal: Send {
    /// What it can do.
    fn abilities(&self) -> TerminalAbilities;
    /// Makes sure that we may talk to the device: registers (blocks until the tap on its screen) or refreshes tokens. `Refused` has the cure in its detail.
    fn prepare(&mut self, now: Wall) -> BoxFuture<'_, Outcome<()>>;
    /// The name by which the next start can be asked about even when its answer is lost, where the device's protocol allows one; after
    /// [`Terminal::prepare`]. The caller commits it before the start.
    fn handle_before(&self, _reference: &Reference) -> Option<Handle> {
        None
    }
    /// Shows the amount on the device. Returns as soon as the device accepted it; the caller commits the handle before the first inquiry.
    /// Busy is `NotSent` with code `busy`.
    fn start<'a>(&'a mut self, ask: &'a Collect) -> BoxFuture<'a, Outcome<Handle>>;
    /// Finds out how the device is, without a prompt on its screen, a registration or a transaction.
    fn probe(&mut self, now: Wall) -> BoxFuture<'_, Health>;
    /// Asks what became of it; for a refund `Standing::Paid` says that the money went back. Never `Refused`: a denied question says
    /// nothing about the money.
    fn inquire<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>>;
    /// Makes the device find out about something unclear (Kaspi's `actualize`), no more often than `settle_gap`.
    fn settle<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>>;
    /// Begins to give money back; like [`Terminal::start`] it returns as soon as the device took it. Where the answer is lost nothing is
    /// repeated: there is no list of refunds to look in.
    fn give_back<'a>(&'a mut self, ask: &'a GiveBack) -> BoxFuture<'a, Outcome<Handle>>;
    /// The terminal's own end of day; its slip as text.
    fn settlement(&mut self) -> BoxFuture<'_, Outcome<String>>;
    /// Tries to stop a waiting attempt; `Done` only when it is surely stopped.
    fn abort<'a>(&'a mut self, handle: &'a Handle) -> BoxFuture<'a, Outcome<()>>;
}

/// What a payment cloud can do, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloudAbilities {
    /// Tenders it takes.
    pub tenders: &'static [Tender],
    /// How long a guest may pay after the create.
    pub life: Duration,
    /// Whether a lost create can be looked up by our reference.
    pub find: bool,
    /// Whether the cloud issues the fiscal receipt for what is paid through it.
    pub issues_receipts: bool,
}

/// An invoice as the cloud's own record shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceRecord {
    /// The cloud's name of it.
    pub handle: Handle,
    /// Our reference, where the record carries it.
    pub reference: Option<Reference>,
    /// Where it stands.
    pub standing: Standing,
}

/// A payment cloud: phone requests, links, QR.
pub trait Cloud: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> CloudAbilities;
    /// Creates an invoice. `NotSent` waits and is sent later; `Unknown` is asked about, never blindly repeated (F03).
    fn create<'a>(&'a self, ask: &'a Collect) -> BoxFuture<'a, Outcome<InvoiceRecord>>;
    /// Reads the cloud's own record. Never `Refused`: a denied question says nothing about the money.
    fn inquire<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Outcome<InvoiceRecord>>;
    /// Looks an invoice up by our reference; only where `abilities().find`. `Done(None)`: the cloud surely has none.
    fn find<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Outcome<Option<InvoiceRecord>>>;
}

/// Header names and values of a request, names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The only value of a header; `None` when it is missing or doubled.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }
}

/// A body whose signature was checked. Only [`signature`] makes one, so reading a notice proves the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub(in crate::drivers) body: Vec<u8>,
    pub(in crate::drivers) dialect: &'static str,
}

impl Verified {
    /// The raw bytes, as signed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Which of the partner's dialects signed it.
    pub fn dialect(&self) -> &'static str {
        self.dialect
    }
}

/// The signature is missing or wrong. Nothing more is told to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is missing or wrong")]
pub struct Forged;

/// The signature is right and the body cannot be read: it is kept and becomes a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a correctly signed notice cannot be read: {0}")]
pub struct Unreadable(pub String);

/// What a verified notice claims. It moves no money: it wakes the inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The partner's name of the attempt.
    pub handle: Handle,
    /// Our reference, where the notice carries one.
    pub reference: Option<Reference>,
    /// The partner's word for the status: `paid`, `expired`, `error`.
    pub status: String,
    /// The claimed amount.
    pub amount: Option<Tiyn>,
    /// The same event delivered again has the same key (F04): partner's event id, or handle and status.
    pub event_key: String,
}

/// How one partner signs and words its webhooks.
pub trait WebhookScheme: Send + Sync {
    /// Checks the signature over the raw bytes with each secret in turn, in constant time.
    fn verify(&self, secrets: &[Secret], headers: &Headers, body: &[u8]) -> Result<Verified, Forged>;
    /// Reads a verified body.
    fn read(&self, verified: &Verified) -> Result<Notice, Unreadable>;
    /// The HTTP status for a wrong signature: 403 for AiPay, 401 for Kaspi Pay.
    fn forged_status(&self) -> u16;
}

pub use crate::domain::order::{PosOrder, PosStanding};

/// With what an order is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The POS's own id of the order.
    pub foreign_id: String,
    /// Notes and coins.
    pub cash: Tiyn,
    /// Cashless.
    pub cashless: Tiyn,
    /// Whether somebody else than the POS issues the fiscal receipt: a POS that makes them itself must make none.
    pub is_fiscal_elsewhere: bool,
}

/// The till software. The worker closes by looking, closing once and looking again (`poster.md` §14).
pub trait Pos: Send + Sync {
    /// Open orders, without lines where the POS lists none; `from` is the start of the previous business day.
    fn open_orders(&self, from: Wall, now: Wall) -> BoxFuture<'_, Outcome<Vec<Snapshot>>>;
    /// One order with its lines.
    fn read<'a>(&'a self, foreign_id: &'a str) -> BoxFuture<'a, Outcome<PosOrder>>;
    /// Asks the POS to close. `Unknown` after a lost answer: read before anything else.
    fn close<'a>(&'a self, closing: &'a Closing) -> BoxFuture<'a, Outcome<()>>;
    /// Tells the POS that the fiscal receipt exists already, so that it makes none; telling it twice changes nothing.
    fn mark_fiscal<'a>(&'a self, mark: &'a FiscalMark) -> BoxFuture<'a, Outcome<()>>;
}

/// That the goods of an order were registered somewhere else than in the POS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiscalMark {
    /// The POS's own id of the order.
    pub foreign_id: String,
    /// Sold, or given back.
    pub side: Side,
    /// The lines, as the POS told them.
    pub lines: Vec<Line>,
    /// When, as a label.
    pub at: Wall,
}

/// A document for a cash register, as the ledger remembers it.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'e> {
    /// A receipt of a sale or of a return.
    Bill {
        /// The idempotency key, made once.
        key: &'e str,
        /// What is registered.
        bill: &'e Bill,
        /// The receipt that a return gives back.
        basis: Option<&'e Basis>,
    },
    /// Cash into the drawer or out of it.
    Cash {
        /// The idempotency key, made once.
        key: &'e str,
        /// Into it, else out of it.
        is_in: bool,
        /// How much.
        amount: Tiyn,
    },
}

/// What a register did with a document that reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filing {
    /// The receipt has its fiscal sign: now, or since an earlier try of the same key.
    Registered(Box<Registered>),
    /// The cash is on record.
    Moved(Box<Moved>),
    /// The key is known, and nothing was told of its document: look it up.
    Known(Reason),
    /// The shift is older than 24 hours: nothing is taken before the Z report.
    ShiftOver(Reason),
    /// Another request of the same register was running: the same again in a moment.
    OutOfTurn(Reason),
    /// The register takes no document at all until somebody acts: blocked, no licence, wrong login, autonomous for more than 72 hours.
    Stopped(Reason),
}

/// What came of a wish for an X or Z report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The report; after a Z the shift is closed.
    Report(Box<ShiftReport>),
    /// There is no open shift, or it is closed already.
    NoShift,
    /// The register answers nothing of the kind until somebody acts.
    Stopped(Reason),
}

/// What a register is, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiscalAbilities {
    /// A test register: its receipts are no receipts (F29).
    pub is_test: bool,
    /// It stands in the shop and issues autonomous receipts without a link to the internet.
    pub is_local: bool,
}

/// How a register is, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterState {
    /// Whether it takes documents; the reason holds the cure.
    pub health: Health,
    /// The open shift; `None` when there is none, or it was not told.
    pub shift: Option<u64>,
    /// Whether it is without its operator.
    pub is_autonomous: bool,
}

/// A cash register with a fiscal memory, as its own service shows it. The worker sends one request at a time; `file` and `report` may
/// make several exchanges (login, another host), none of which can make a second document of one key.
pub trait Fiscal: Send + Sync {
    /// What it is.
    fn abilities(&self) -> FiscalAbilities;
    /// The request for a document, as it is kept and sent letter by letter, without secrets and without what a login changes. Fails where
    /// the register cannot take such a document at all.
    fn compose(&self, entry: &Entry<'_>) -> Result<String, Reason>;
    /// Sends a composed request. `Refused`: this document is taken by no means as it is. `Unknown`: send the same once more.
    fn file<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Outcome<Filing>>;
    /// Looks a receipt up by its key, in the documented order. `Done(None)`: the register surely has none.
    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Outcome<Option<Box<Registered>>>>;
    /// Makes an X or Z report.
    fn report(&self, kind: ReportKind) -> BoxFuture<'_, Outcome<Reported>>;
    /// The Z report of a shift that is closed already; `None` when the register has none of it.
    fn closed_report(&self, shift: u64) -> BoxFuture<'_, Outcome<Option<Box<ShiftReport>>>>;
    /// Finds out how it is, without making a document.
    fn probe(&self) -> BoxFuture<'_, Outcome<RegisterState>>;
}

/// Durable memory for a driver's own tokens. `store` returns after the commit.
pub trait Vault: Send + Sync {
    /// The text stored under a name.
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>>;
    /// Stores a text; an error means that it is not durable.
    fn store<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), Reason>>;
}

/// The vault of a driver that keeps nothing: it forgets what it is given.
pub struct NoVault;

impl Vault for NoVault {
    fn load<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    fn store<'a>(&'a self, _name: &'a str, _text: String) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Everything a driver is built from: one section of the configuration, its secrets already read.
#[derive(Clone)]
pub struct Setup {
    /// The name in the configuration.
    pub name: String,
    /// The base address.
    pub address: String,
    /// The driver's own keys, already checked against [`Kind::keys`].
    pub keys: BTreeMap<String, Value>,
    /// Secrets by the key that named their file (`api_key_file`), one or more each.
    pub secrets: BTreeMap<String, Vec<Secret>>,
    /// Durable memory.
    pub vault: Arc<dyn Vault>,
    /// A name of this installation, the same for ever; the terminal knows us by it.
    pub installation: String,
    /// The shop's offset from UTC in seconds, for partners that write local times.
    pub utc_offset_s: i32,
    /// Time for the wires that a driver opens itself: their deadlines are the protocol's.
    pub clock: Clock,
}

/// A value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    Texts(Vec<String>),
}

/// What a key of the configuration takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Text.
    Text,
    /// Whole number.
    Number,
    /// Yes or no.
    Flag,
    /// Several texts.
    Texts,
    /// The name of a file that holds no secret, beside the configuration; the driver gets its path as text.
    File,
    /// The name of a file that holds a secret.
    SecretFile,
    /// Up to three names of files that hold secrets.
    SecretFiles,
}

/// One key of a driver's own configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Whether it must be there.
    pub required: bool,
    /// What it is for, for error messages and the example configuration.
    pub help: &'static str,
}

/// A payment cloud and the scheme of its webhooks.
pub type CloudWithWebhooks = (Arc<dyn Cloud>, Arc<dyn WebhookScheme>);

/// What a driver is and how it is built.
#[derive(Clone, Copy)]
pub enum Build {
    /// A terminal.
    Terminal(fn(&Setup) -> Result<Box<dyn Terminal>, BadSetup>),
    /// A payment cloud with its webhooks, and what it can do.
    Cloud(fn(&Setup) -> Result<CloudWithWebhooks, BadSetup>, &'static CloudAbilities),
    /// A cash register's service.
    Fiscal(fn(&Setup) -> Result<Arc<dyn Fiscal>, BadSetup>),
    /// Till software.
    Pos(fn(&Setup) -> Result<Arc<dyn Pos>, BadSetup>),
    /// A printer language; the wire is named by the address.
    Printer(fn(&Setup) -> Result<printer::Profile, BadSetup>),
    /// The language of a customer display; the wire is named by the address.
    Display(fn(&Setup) -> Result<display::Panel, BadSetup>),
}

/// One line of the registry of drivers.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The word after `kind =`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Its own keys.
    pub keys: &'static [Key],
    /// How it is built.
    pub build: Build,
}

impl fmt::Debug for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Kind({})", self.name)
    }
}

/// A section of the configuration that a driver cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct BadSetup {
    /// Which key.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Setup {
    /// A text key.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.keys.get(key) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Number(_) | Value::Flag(_) | Value::Texts(_)) | None => None,
        }
    }

    /// A number key.
    pub fn number(&self, key: &str) -> Option<i64> {
        match self.keys.get(key) {
            Some(Value::Number(number)) => Some(*number),
            Some(Value::Text(_) | Value::Flag(_) | Value::Texts(_)) | None => None,
        }
    }

    /// A yes-or-no key.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.keys.get(key) {
            Some(Value::Flag(flag)) => Some(*flag),
            Some(Value::Text(_) | Value::Number(_) | Value::Texts(_)) | None => None,
        }
    }

    /// The first secret of a key.
    pub fn secret(&self, key: &str) -> Option<&Secret> {
        self.secrets.get(key).and_then(|secrets| secrets.first())
    }
}

/// The registry: adding a driver is one file and one line here.
pub const KINDS: &[Kind] = &[
    terminal::kaspi_smart_pos::KIND,
    terminal::zvt::KIND,
    invoice::aipay::KIND,
    pos::poster::KIND,
    fiscal::webkassa::KIND,
    printer::escpos::KIND,
    display::cd5220::KIND,
    display::escpos_display::KIND,
];

/// A lost wire as a driver passes it on: as the transport judged it.
pub fn lost<T>(loss: Loss) -> Outcome<T> {
    match loss {
        Loss::NotSent(cause) => {
            let code = cause.bar.map_or("no_link", crate::transport::Bar::code);
            Outcome::NotSent(Reason::new(code, cause))
        }
        Loss::Unknown(cause) => Outcome::Unknown(Reason::new("link_lost", cause)),
    }
}

/// A scalar of a partner's JSON as text: text and number alike; `None` for everything else and for empty text.
pub fn scalar(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A partner's name of something, where it can be one: printable ASCII without spaces, no longer than [`FOREIGN_ID_CHARS_MAX`].
pub fn foreign_id(value: &serde_json::Value) -> Option<String> {
    scalar(value).filter(|text| text.len() <= FOREIGN_ID_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The longest name a partner may give to something of its own.
pub const FOREIGN_ID_CHARS_MAX: usize = 128;
