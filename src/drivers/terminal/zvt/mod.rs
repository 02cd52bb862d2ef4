//! Payment terminals that speak ZVT over a serial line or TCP (kaspi-terminal §2.2). The live dialogue is held between start and
//! inquiry. When it is lost – cable out, daemon or terminal restarted – nothing is sent again: the line is opened anew, and the
//! terminal's last transaction is compared with the one before the start ([`starts`]), once the terminal says that it is at rest.

pub mod cable;
pub mod dialogue;
pub mod frame;
pub mod packet;
mod setup;
pub mod starts;

pub use setup::{KIND, Settings};

use crate::domain::ids::{Handle, Reference};
use crate::domain::money::Tiyn;
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Wall;
use crate::drivers::{Act, Asked, Collect, GiveBack, Health, Standing, Terminal, TerminalAbilities, Vault, lost};
use crate::host::clock::Monotonic;
use crate::transport::Loss;
use cable::Cable;
use dialogue::{Care, Dialogue, Event, Pace};
use futures_util::future::BoxFuture;
use packet::{Apdu, StatusInfo, result_word};
use starts::{Anchor, Mark, Starts, failure, receipt_of};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a guest may take while the terminal goes on reporting; it ends by itself before that.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long an inquiry listens.
const LISTEN: Duration = Duration::from_millis(500);
/// How long the tail of an older talk is listened to after the line was opened.
const TAIL: Duration = Duration::from_millis(250);
/// A terminal that is there acknowledges in milliseconds: after this long without any byte the line is dead.
const KNOCK: Duration = Duration::from_millis(2500);
/// How long a start waits for "taken" while the terminal asks for more time.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long the terminal has to stop what waits.
const ABORT_LIMIT: Duration = Duration::from_secs(3);
/// Terminal states in which it surely carries nothing out: ready, wrong date, printer, card inserted or not removed.
const AT_REST: [u8; 5] = [0x00, 0x62, 0xCC, 0xDC, 0xE1];
/// Codes by which it says that something else is going on.
const BUSY: [u8; 2] = [0x9C, 0xA0];

/// A command under way, whose end is somebody's money.
#[derive(Debug)]
struct Live {
    handle: Handle,
    amount: Tiyn,
    before: Anchor,
    status: Option<StatusInfo>,
    word: &'static str,
}

/// How a command ended, that we waited for.
#[derive(Debug, Default)]
struct Exchange {
    denied: Option<u8>,
    aborted: Option<u8>,
    ended: Option<Vec<u8>>,
    status: Option<StatusInfo>,
    lines: Vec<String>,
}

/// How the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing is being carried out; the code is its state.
    Quiet(u8),
    /// Something is being carried out.
    Busy,
    /// It cannot work, or does not say.
    Troubled(u8),
}

/// The driver.
pub struct Zvt {
    cable: Box<dyn Cable>,
    settings: Settings,
    vault: Arc<dyn Vault>,
    vault_name: String,
    dialogue: Dialogue,
    is_registered: bool,
    /// The last transaction, read when the terminal was made ready and good for the next start only.
    anchor: Option<Anchor>,
    starts: Option<Starts>,
    live: Option<Live>,
    /// The end of the last live command: its inquiry may be asked for again.
    ended: Option<(Handle, Standing)>,
    /// Payments that the terminal did not reverse: they go back as a refund.
    irreversible: BTreeSet<String>,
}

impl Zvt {
    /// The driver over any cable; no byte leaves yet.
    pub fn over(cable: Box<dyn Cable>, settings: Settings, vault: Arc<dyn Vault>, name: &str) -> Zvt {
        Zvt {
            cable,
            settings,
            vault,
            vault_name: format!("terminal.{name}.starts"),
            dialogue: Dialogue::new(settings.framing),
            is_registered: false,
            anchor: None,
            starts: None,
            live: None,
            ended: None,
            irreversible: BTreeSet::new(),
        }
    }

    // ---- the line ----

    /// Lets the line go: what is asked next begins anew.
    fn hang_up(&mut self) {
        self.cable.close();
        self.dialogue = Dialogue::new(self.settings.framing);
        self.is_registered = false;
        self.anchor = None;
        self.live = None;
    }

    /// Writes what the dialogue has to say; an answer never counts as an act.
    async fn flush(&mut self) -> Result<(), Loss> {
        let bytes = self.dialogue.output();
        if bytes.is_empty() { Ok(()) } else { self.cable.write(&bytes, false).await }
    }

    /// The next event, waiting at most until a point of time.
    async fn step(&mut self, limit: Monotonic) -> Result<Option<Event>, Loss> {
        loop {
            self.flush().await?;
            if let Some(event) = self.dialogue.event() {
                return Ok(Some(event));
            }
            let now = self.cable.now();
            let until = self.dialogue.deadline().map_or(limit, |(until, _)| until.min(limit));
            let bytes = self.cable.read(until.since(now)).await?;
            let then = self.cable.now();
            if !bytes.is_empty() {
                self.dialogue.received(&bytes, then);
                continue;
            }
            self.dialogue.tick(then);
            if then >= limit {
                self.flush().await?;
                return Ok(self.dialogue.event());
            }
        }
    }

    /// Carries a command out that nobody's money hangs on, and waits for its end.
    async fn exchange(&mut self, apdu: &Apdu, care: Care, pace: Pace) -> Outcome<Exchange> {
        let begun = self.cable.now();
        if !self.dialogue.command(apdu, care, pace, begun) {
            return Outcome::NotSent(working());
        }
        let mut exchange = Exchange::default();
        loop {
            // Only the first contact is impatient: afterwards the protocol's own times and repeats hold.
            let is_first = !self.is_registered && !self.dialogue.was_heard();
            let knock = if is_first { begun.plus(KNOCK) } else { self.cable.now().plus(dialogue::T4) };
            let event = match self.step(knock).await {
                Ok(event) => event,
                Err(loss) => {
                    self.hang_up();
                    return lost(loss);
                }
            };
            match event {
                None if !is_first => {}
                None | Some(Event::Lost(_)) => return self.silent(care),
                Some(Event::Taken | Event::Progress(_)) => {}
                Some(Event::Status(info)) => exchange.status = Some(info),
                Some(Event::Printed(lines)) => exchange.lines.extend(lines),
                Some(Event::Denied(code)) => {
                    self.is_registered &= code != 0x6B;
                    return Outcome::Done(Exchange { denied: Some(code), ..exchange });
                }
                Some(Event::Aborted(code)) => return Outcome::Done(Exchange { aborted: Some(code), ..exchange }),
                Some(Event::Ended(data)) => return Outcome::Done(Exchange { ended: Some(data), ..exchange }),
            }
        }
    }

    fn silent<T>(&mut self, care: Care) -> Outcome<T> {
        self.hang_up();
        match care {
            Care::Harmless => Outcome::NotSent(Reason::new("line_silent", "")),
            Care::Money => Outcome::Unknown(Reason::new("link_lost", "the terminal fell silent")),
        }
    }

    /// An open line, and a terminal that knows us.
    async fn connect(&mut self) -> Outcome<()> {
        if !self.cable.is_open() {
            self.hang_up();
            if let Err(loss) = self.cable.open().await {
                return lost(loss);
            }
            // A serial line has no connections: the terminal may be in the middle of what it was asked before.
            let limit = self.cable.now().plus(TAIL);
            loop {
                match self.step(limit).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(loss) => {
                        self.hang_up();
                        return lost(loss);
                    }
                }
            }
        }
        if self.is_registered {
            return Outcome::Done(());
        }
        let Settings { password, config, currency, .. } = self.settings;
        let registration = packet::registration(password, config, currency);
        self.exchange(&registration, Care::Harmless, Pace::Quick).await.and_then(|exchange| match exchange {
            Exchange { ended: Some(_), .. } => {
                self.is_registered = true;
                Outcome::Done(())
            }
            Exchange { denied: Some(code), .. } if BUSY.contains(&code) => Outcome::NotSent(working()),
            Exchange { denied, aborted, .. } => {
                let code = denied.or(aborted).unwrap_or(0xFF);
                Outcome::NotSent(Reason::new("terminal_attention", format!("registration: {}", told(code))))
            }
        })
    }

    /// Asks whether anything is being carried out; a terminal that was switched off meanwhile gets to know us again first.
    async fn rest(&mut self) -> Outcome<Rest> {
        match self.enquire().await {
            Outcome::Done(Rest::Troubled(0x6B)) => match self.connect().await {
                Outcome::Done(()) => self.enquire().await,
                Outcome::Refused(reason) => Outcome::Refused(reason),
                Outcome::NotSent(reason) => Outcome::NotSent(reason),
                Outcome::Unknown(reason) => Outcome::Unknown(reason),
            },
            other @ (Outcome::Done(_) | Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other,
        }
    }

    async fn enquire(&mut self) -> Outcome<Rest> {
        let enquiry = packet::status_enquiry(self.settings.password);
        self.exchange(&enquiry, Care::Harmless, Pace::Quick).await.map(|exchange| match exchange {
            Exchange { ended: Some(data), .. } => match state_byte(&data) {
                Some(code) if AT_REST.contains(&code) => Rest::Quiet(code),
                Some(code) if BUSY.contains(&code) => Rest::Busy,
                Some(code) => Rest::Troubled(code),
                None => Rest::Troubled(0xFF),
            },
            Exchange { denied: Some(code), .. } if BUSY.contains(&code) => Rest::Busy,
            Exchange { denied, aborted, .. } => Rest::Troubled(denied.or(aborted).unwrap_or(0xFF)),
        })
    }

    /// Reads the last transaction of a terminal at rest.
    async fn last(&mut self) -> Outcome<Anchor> {
        let question = packet::repeat_receipt(self.settings.password);
        self.exchange(&question, Care::Harmless, Pace::Quick).await.and_then(|exchange| match exchange {
            Exchange { denied: Some(0x83), .. } => Outcome::Done(Anchor::Blind),
            Exchange { denied: Some(_), .. } => Outcome::NotSent(working()),
            Exchange { aborted: Some(code), status: None, .. } => match code {
                // "Not possible": there is nothing to repeat.
                0x83 => Outcome::Done(Anchor::Empty),
                _ => Outcome::Unknown(Reason::new("terminal_attention", told(code))),
            },
            Exchange { status, .. } => {
                Outcome::Done(status.and_then(|info| Mark::of(&info)).map_or(Anchor::Blind, Anchor::Mark))
            }
        })
    }

    /// Goes on with a live dialogue that nobody asked about meanwhile, so that it comes to its end.
    async fn attend(&mut self) {
        if let Some(live) = &self.live {
            let asked = Asked { act: Act::Payment, handle: live.handle.clone(), amount: live.amount };
            // How it ended is kept for whoever asks.
            let _standing = self.listen(&asked, LISTEN).await;
        }
    }

    /// Ready for a start: a known terminal at rest, and what was last before it.
    async fn ready(&mut self) -> Outcome<()> {
        self.attend().await;
        if self.live.is_some() || self.dialogue.is_busy() {
            return Outcome::NotSent(working());
        }
        self.anchor = None;
        match self.connect().await {
            Outcome::Done(()) => {}
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => return other,
        }
        let rest = match self.rest().await {
            Outcome::Done(rest) => rest,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => return other.map(|_| ()),
        };
        match rest {
            Rest::Busy => return Outcome::NotSent(working()),
            // Without this question a start could not be judged later, but it can be made.
            Rest::Quiet(_) | Rest::Troubled(0x83) => {}
            Rest::Troubled(code) => return Outcome::NotSent(Reason::new("terminal_attention", told(code))),
        }
        self.last().await.map(|anchor| self.anchor = Some(anchor))
    }

    // ---- starts ----

    async fn memory(&mut self) -> &mut Starts {
        if self.starts.is_none() {
            let text = self.vault.load(&self.vault_name).await.unwrap_or_default();
            self.starts = Some(Starts::from_text(&text));
        }
        self.starts.get_or_insert_default()
    }

    /// Sends what moves money: the start is durable first, and "taken" is waited for.
    async fn begin(&mut self, apdu: Option<Apdu>, reference: &Reference, amount: Tiyn) -> Outcome<Handle> {
        let Some(apdu) = apdu else {
            let why = format!("{} ₸: the terminal does not take such a sum", amount.decimal());
            return Outcome::Refused(Reason::new("bad_amount", why));
        };
        if self.anchor.is_none()
            && let other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) = self.ready().await
        {
            // Nothing that moves money has left.
            return match other {
                Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                    Outcome::NotSent(reason)
                }
                Outcome::Done(()) => Outcome::NotSent(working()),
            };
        }
        let Some(before) = self.anchor.take() else { return Outcome::NotSent(working()) };
        let handle = before.handle(reference);
        self.memory().await.note(&handle, &before);
        let text = self.memory().await.to_text();
        if let Err(reason) = self.vault.store(&self.vault_name, text).await {
            return Outcome::NotSent(reason);
        }
        if !self.dialogue.command(&apdu, Care::Money, Pace::Long, self.cable.now()) {
            return Outcome::NotSent(working());
        }
        let bytes = self.dialogue.output();
        if let Err(loss) = self.cable.write(&bytes, true).await {
            self.hang_up();
            return lost(loss);
        }
        self.ended = None;
        self.live = Some(Live { handle: handle.clone(), amount, before, status: None, word: "wait" });
        self.until_taken(handle).await
    }

    async fn until_taken(&mut self, handle: Handle) -> Outcome<Handle> {
        let limit = self.cable.now().plus(START_LIMIT);
        match self.step(limit).await {
            // Whatever is told beyond "taken" is kept for the inquiry.
            Ok(Some(Event::Denied(code))) => {
                self.live = None;
                self.is_registered &= code != 0x6B;
                denied(code)
            }
            Ok(Some(Event::Lost(_))) => self.silent(Care::Money),
            Ok(Some(Event::Taken)) => Outcome::Done(handle),
            Ok(Some(event)) => {
                if let Some(standing) = self.absorb(event) {
                    self.live = None;
                    self.ended = Some((handle.clone(), standing));
                }
                Outcome::Done(handle)
            }
            // It asks for more time: the dialogue stays, the inquiry goes on with it.
            Ok(None) => Outcome::Unknown(working()),
            Err(Loss::NotSent(cause) | Loss::Unknown(cause)) => {
                self.hang_up();
                Outcome::Unknown(Reason::new("link_lost", cause))
            }
        }
    }

    // ---- inquiries ----

    /// What an event means for the live command; `Unclear` where only the last transaction tells.
    fn absorb(&mut self, event: Event) -> Option<Standing> {
        let live = self.live.as_mut()?;
        let ask_last = |why| Some(Standing::Unclear(Reason::new("contradiction", why)));
        match event {
            Event::Taken | Event::Denied(_) | Event::Printed(_) | Event::Lost(_) => None,
            Event::Progress(code) => {
                live.word = packet::progress_word(code);
                None
            }
            Event::Status(info) => {
                live.status = Some(info);
                None
            }
            Event::Aborted(code) => match live.status.as_ref().and_then(|info| info.result) {
                Some(0) => ask_last("success and an abort"),
                _ if code == 0 => ask_last("an abort without a reason"),
                Some(result) => Some(Standing::Failed(failure(result))),
                None => Some(Standing::Failed(failure(code))),
            },
            Event::Ended(_) => {
                let mark = live.status.as_ref().and_then(Mark::of);
                let is_known = mark.as_ref().is_some_and(|mark| live.before == Anchor::Mark(mark.clone()));
                match (live.status.as_ref().and_then(|info| info.result), mark.and_then(|mark| mark.evidence())) {
                    (Some(0), Some(_)) if is_known => ask_last("the result of an older transaction"),
                    (Some(0), Some(evidence)) => Some(Standing::Paid(evidence)),
                    (Some(0), None) => ask_last("success without a sum or a number"),
                    (Some(code), _) => Some(Standing::Failed(failure(code))),
                    (None, _) => ask_last("an end without a result"),
                }
            }
        }
    }

    async fn look(&mut self, asked: &Asked) -> Outcome<Standing> {
        if let Some((_, standing)) = self.ended.as_ref().filter(|(handle, _)| *handle == asked.handle)
            && !matches!(standing, Standing::Unclear(_))
        {
            return Outcome::Done(standing.clone());
        }
        match &self.live {
            Some(live) if live.handle == asked.handle => self.listen(asked, LISTEN).await,
            // The line belongs to another payment: a question now would disturb that one.
            Some(_) => Outcome::Unknown(working()),
            None => self.find_out(asked).await,
        }
    }

    /// Goes on with the live dialogue for a span.
    async fn listen(&mut self, asked: &Asked, span: Duration) -> Outcome<Standing> {
        let limit = self.cable.now().plus(span);
        loop {
            let event = match self.step(limit).await {
                Ok(Some(Event::Lost(_))) => return self.silent(Care::Money),
                Ok(Some(Event::Denied(code))) => {
                    // It had asked for more time, and says no after all: nothing was carried out.
                    self.live = None;
                    return match denied(code) {
                        Outcome::Refused(reason) | Outcome::NotSent(reason) => Outcome::Done(Standing::Failed(reason)),
                        Outcome::Unknown(reason) => Outcome::Unknown(reason),
                        Outcome::Done(()) => Outcome::Unknown(working()),
                    };
                }
                Ok(Some(event)) => event,
                Ok(None) => {
                    let word = self.live.as_ref().map_or("wait", |live| live.word);
                    return Outcome::Done(Standing::Pending(word.to_owned()));
                }
                Err(Loss::NotSent(cause) | Loss::Unknown(cause)) => {
                    self.hang_up();
                    return Outcome::Unknown(Reason::new("link_lost", cause));
                }
            };
            match self.absorb(event) {
                None => {}
                Some(Standing::Unclear(_)) => {
                    self.live = None;
                    return self.find_out(asked).await;
                }
                Some(standing) => {
                    self.live = None;
                    self.ended = Some((asked.handle.clone(), standing.clone()));
                    return Outcome::Done(standing);
                }
            }
        }
    }

    /// The live dialogue is gone: a terminal at rest is asked for its last transaction.
    async fn find_out(&mut self, asked: &Asked) -> Outcome<Standing> {
        match self.connect().await {
            Outcome::Done(()) => {}
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => return known(other),
        }
        match self.rest().await {
            Outcome::Done(Rest::Quiet(_)) => {}
            Outcome::Done(Rest::Busy) => return Outcome::Done(Standing::Unclear(working())),
            Outcome::Done(Rest::Troubled(code)) => {
                return Outcome::Done(Standing::Unclear(Reason::new("terminal_attention", told(code))));
            }
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => return known(other),
        }
        let last = match self.last().await {
            Outcome::Done(last) => last,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => return known(other),
        };
        let standing = self.memory().await.judge(asked, &last);
        // What TCP has taken may still be delivered after the connection is gone: only time and a person end it.
        let is_tcp = self.settings.framing == frame::Framing::Tcp;
        Outcome::Done(match &standing {
            Standing::Failed(reason) if is_tcp && reason.code == "not_done" => Standing::Unclear(reason.clone()),
            Standing::Failed(_)
            | Standing::Pending(_)
            | Standing::Paid(_)
            | Standing::Cancelled(_)
            | Standing::Expired(_)
            | Standing::Unclear(_) => standing,
        })
    }

    async fn stop_it(&mut self, handle: &Handle) -> Outcome<()> {
        if self.live.as_ref().is_none_or(|live| live.handle != *handle) || !self.dialogue.interrupt() {
            return Outcome::Refused(Reason::new("no_abort", "the payment is not under way on this line"));
        }
        let amount = self.live.as_ref().map_or(Tiyn::ZERO, |live| live.amount);
        let asked = Asked { act: Act::Payment, handle: handle.clone(), amount };
        match self.listen(&asked, ABORT_LIMIT).await {
            Outcome::Done(Standing::Failed(_) | Standing::Cancelled(_) | Standing::Expired(_)) => Outcome::Done(()),
            Outcome::Done(Standing::Paid(_)) => Outcome::Refused(Reason::new("already_paid", "")),
            Outcome::Done(Standing::Pending(word)) => Outcome::Unknown(Reason::new("terminal_working", word)),
            Outcome::Done(Standing::Unclear(reason)) => Outcome::Unknown(reason),
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => other.map(|_| ()),
        }
    }

    // ---- the rest of a day ----

    async fn return_money(&mut self, ask: &GiveBack) -> Outcome<Handle> {
        let Settings { password, currency, .. } = self.settings;
        let is_whole = ask.amount == ask.paid && !self.irreversible.contains(&ask.transaction);
        let receipt = receipt_of(&ask.transaction).filter(|_| is_whole);
        let reversal = match receipt {
            Some(receipt) if self.memory().await.is_of_this_shift(receipt) => packet::reversal(password, receipt),
            Some(_) | None => None,
        };
        let is_reversal = reversal.is_some();
        let apdu = reversal.or_else(|| packet::refund(password, ask.amount, currency));
        let begun = self.begin(apdu, &ask.reference, ask.amount).await;
        if is_reversal && !matches!(begun, Outcome::NotSent(_)) {
            // The terminal knows its journal better than we: where it says no to this one, the next try is a refund.
            self.irreversible.insert(ask.transaction.clone());
        }
        begun
    }

    async fn close_day(&mut self) -> Outcome<String> {
        match self.ready().await {
            Outcome::Done(()) => {}
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => {
                return other.map(|()| String::new());
            }
        }
        let last = self.anchor.take().unwrap_or(Anchor::Blind);
        let end_of_day = packet::end_of_day(self.settings.password);
        let exchange = match self.exchange(&end_of_day, Care::Money, Pace::Long).await {
            Outcome::Done(exchange) => exchange,
            other @ (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_)) => {
                return other.map(|_| String::new());
            }
        };
        let result = exchange.status.as_ref().and_then(|info| info.result);
        match exchange {
            Exchange { denied: Some(code), .. } => denied(code),
            Exchange { aborted: Some(code), .. } => Outcome::Refused(failure(code)),
            Exchange { .. } if result.is_some_and(|code| code != 0) => {
                Outcome::Refused(failure(result.unwrap_or(0xFF)))
            }
            Exchange { lines, status, .. } => {
                self.memory().await.settle(&last);
                let text = self.memory().await.to_text();
                // Its loss costs a refund where a reversal was meant, or the other way round: the terminal says no then.
                let _kept = self.vault.store(&self.vault_name, text).await.is_ok();
                let sum = status.and_then(|info| info.amount).map(|sum| format!("{} ₸", sum.decimal()));
                Outcome::Done(if lines.is_empty() { sum.unwrap_or_default() } else { lines.join("\n") })
            }
        }
    }

    async fn health(&mut self) -> Health {
        self.attend().await;
        if self.live.is_some() {
            return Health::Good;
        }
        if let Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) = self.connect().await {
            return if reason.code == "terminal_working" { Health::Warns(reason) } else { Health::Bad(reason) };
        }
        match self.rest().await {
            Outcome::Done(Rest::Quiet(0x00)) => Health::Good,
            Outcome::Done(Rest::Quiet(code)) => Health::Warns(Reason::new("terminal_attention", told(code))),
            Outcome::Done(Rest::Busy) => Health::Warns(working()),
            Outcome::Done(Rest::Troubled(0x83)) => {
                Health::Warns(Reason::new("no_last_result", "the terminal does not know the status enquiry"))
            }
            Outcome::Done(Rest::Troubled(code)) => Health::Bad(Reason::new("terminal_attention", told(code))),
            Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => Health::Bad(reason),
        }
    }
}

/// A question that was not answered says nothing about the money.
fn known<T>(outcome: Outcome<T>) -> Outcome<Standing> {
    match outcome {
        Outcome::Refused(reason) | Outcome::Unknown(reason) => Outcome::Unknown(reason),
        Outcome::NotSent(reason) => Outcome::NotSent(reason),
        Outcome::Done(_) => Outcome::Unknown(working()),
    }
}

/// A negative answer to a command that moves money: it was not carried out.
fn denied<T>(code: u8) -> Outcome<T> {
    match (code, result_word(code)) {
        (0x9C | 0xA0, _) => Outcome::NotSent(Reason::new("busy", told(code))),
        (0x6B, _) => Outcome::NotSent(Reason::new("terminal_attention", told(code))),
        (_, Some(_)) => Outcome::Refused(Reason::new("terminal_refused", told(code))),
        // H1: a code of no table is not a refusal.
        (_, None) => Outcome::Unknown(Reason::new("unmapped", told(code))),
    }
}

/// The state of the completion after a status enquiry; a version text (LLLVAR) may stand before it.
fn state_byte(data: &[u8]) -> Option<u8> {
    match data {
        [] => Some(0x00),
        [hundreds @ 0xF0..=0xF9, tens @ 0xF0..=0xF9, ones @ 0xF0..=0xF9, rest @ ..] => {
            let length = [hundreds, tens, ones].iter().fold(0, |sum, digit| sum * 10 + usize::from(*digit & 0x0F));
            rest.get(length).copied()
        }
        [state, ..] => Some(*state),
    }
}

fn told(code: u8) -> String {
    format!("{code:02X} {}", result_word(code).unwrap_or("of no table"))
}

fn working() -> Reason {
    Reason::new("terminal_working", "")
}

impl Terminal for Zvt {
    fn abilities(&self) -> TerminalAbilities {
        TerminalAbilities {
            settle_gap: Duration::from_secs(10),
            // The terminal waits no longer than T2 for each answer: half of our time is listening.
            inquire_gap: LISTEN,
            patience: PATIENCE,
            abort: true,
            refund: true,
            settlement: true,
        }
    }

    fn prepare(&mut self, _now: Wall) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(self.ready())
    }

    fn handle_before(&self, reference: &Reference) -> Option<Handle> {
        self.anchor.as_ref().map(|anchor| anchor.handle(reference))
    }

    fn start<'a>(&'a mut self, ask: &'a Collect) -> BoxFuture<'a, Outcome<Handle>> {
        let apdu = packet::payment(ask.amount, self.settings.currency);
        Box::pin(self.begin(apdu, &ask.reference, ask.amount))
    }

    fn probe(&mut self, _now: Wall) -> BoxFuture<'_, Health> {
        Box::pin(self.health())
    }

    fn inquire<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        Box::pin(self.look(asked))
    }

    fn settle<'a>(&'a mut self, asked: &'a Asked) -> BoxFuture<'a, Outcome<Standing>> {
        Box::pin(self.look(asked))
    }

    fn give_back<'a>(&'a mut self, ask: &'a GiveBack) -> BoxFuture<'a, Outcome<Handle>> {
        Box::pin(self.return_money(ask))
    }

    fn settlement(&mut self) -> BoxFuture<'_, Outcome<String>> {
        Box::pin(self.close_day())
    }

    fn abort<'a>(&'a mut self, handle: &'a Handle) -> BoxFuture<'a, Outcome<()>> {
        Box::pin(self.stop_it(handle))
    }
}
