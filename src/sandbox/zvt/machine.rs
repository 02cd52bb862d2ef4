//! The inside of the simulated ZVT terminal, without input and output: it knows the protocol from the other side, strictly, and keeps its
//! own books of what the bank really did. What a till may not do is a violation, counted and told.

use crate::domain::money::Tiyn;
use crate::drivers::terminal::zvt::dialogue::{T1, T2, TRIES_MAX};
use crate::drivers::terminal::zvt::frame::{self, ACK, Arrival, Deframer, Framing, NAK};
use crate::drivers::terminal::zvt::packet::{self, Apdu, bcd, number};
use crate::host::clock::Monotonic;
use std::collections::VecDeque;
use std::time::Duration;

/// How long the terminal waits for a guest.
pub const GUEST_PATIENCE: Duration = Duration::from_secs(90);
/// How often it says that it still waits.
const PROGRESS_GAP: Duration = Duration::from_secs(3);
/// How long the bank takes.
const BANK_SPAN: Duration = Duration::from_millis(800);

/// What a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The guest pays.
    Payment,
    /// A payment of this shift is undone.
    Reversal,
    /// Money goes back.
    Refund,
}

/// A transaction in the terminal's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What it is.
    pub kind: Kind,
    /// How much.
    pub amount: Tiyn,
    /// The receipt's number.
    pub receipt: u16,
    /// The number of the exchange with the bank.
    pub trace: u32,
    /// 0 is success.
    pub result: u8,
    /// A later one undid it.
    pub is_reversed: bool,
    /// The end of day was made after it.
    pub is_settled: bool,
}

/// What the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Shows a good card.
    Pays,
    /// Shows a card that the bank declines.
    Declines,
    /// Presses the red key, or leaves.
    WalksAway,
}

/// How the next command is answered instead of being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// `84` and this code.
    Deny(u8),
    /// `84 9C` first, and "taken" after a span.
    MoreTime(Duration),
    /// `15`, so many times.
    Nak(u8),
}

/// What the screen shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Dark.
    Off,
    /// Nothing to do.
    Idle,
    /// The guest is asked for a card.
    Card(Kind, Tiyn),
    /// The bank is asked.
    Bank,
}

struct Operation {
    kind: Kind,
    amount: Tiyn,
    reverses: Option<usize>,
    began: Monotonic,
    progress_at: Monotonic,
    /// The bank was asked; then it answers with this code.
    bank: Option<(Monotonic, u8)>,
}

/// An APDU on its way to the till.
struct Out {
    apdu: Vec<u8>,
    /// The end of a successful transaction: where the till never takes it, the terminal undoes the transaction.
    undoes: Option<usize>,
    tries: u8,
    until: Monotonic,
    is_received: bool,
    wants_answer: bool,
}

/// The terminal.
pub struct Machine {
    framing: Framing,
    deframer: Deframer,
    byte_at: Monotonic,
    is_on: bool,
    is_registered: bool,
    password: [u8; 3],
    operation: Option<Operation>,
    books: Vec<Transaction>,
    /// Its memory of the last transaction, cleared by the end of day.
    last: Option<usize>,
    trace: u32,
    receipt: u16,
    queue: VecDeque<Out>,
    /// The last command: the same frame again while our answer is not taken is a repetition.
    command: Vec<u8>,
    /// A command that is begun later.
    later: Option<(Monotonic, Vec<u8>)>,
    payments_begun: u32,
    violations: Vec<String>,
    /// Undo a payment whose result the till never took.
    pub auto_reversal: bool,
    /// What a guest does, so long after being asked.
    pub will: Option<(Duration, Guest)>,
    /// For the next command.
    pub quirk: Option<Quirk>,
    /// Commands that this model does not know.
    pub unknown_commands: Vec<[u8; 2]>,
    /// What the status enquiry says.
    pub state: u8,
    output: Vec<u8>,
}

impl Machine {
    /// A terminal that was just switched on.
    pub fn new(framing: Framing) -> Machine {
        Machine {
            framing,
            deframer: Deframer::new(framing),
            byte_at: Monotonic::default(),
            is_on: true,
            is_registered: false,
            password: [0; 3],
            operation: None,
            books: Vec::new(),
            last: None,
            trace: 100,
            receipt: 0,
            queue: VecDeque::new(),
            command: Vec::new(),
            later: None,
            payments_begun: 0,
            violations: Vec::new(),
            auto_reversal: true,
            will: None,
            quirk: None,
            unknown_commands: Vec::new(),
            state: 0,
            output: Vec::new(),
        }
    }

    // ---- people ----

    /// The guest acts; `false` when nobody is asked.
    pub fn guest(&mut self, guest: Guest, now: Monotonic) -> bool {
        let Some(operation) = self.operation.as_mut().filter(|operation| operation.bank.is_none()) else {
            return false;
        };
        match guest {
            Guest::Pays | Guest::Declines => {
                operation.bank = Some((now.plus(BANK_SPAN), if guest == Guest::Pays { 0x00 } else { 0x05 }));
                self.say(Apdu::new(packet::INTERMEDIATE_STATUS, &[0x04]), None, now);
            }
            Guest::WalksAway => self.give_up(0x6C, now),
        }
        true
    }

    /// The power goes out; what the bank was asked is charged or not.
    pub fn power_off(&mut self, is_charged: bool, now: Monotonic) {
        if let Some(operation) = self.operation.take().filter(|_| is_charged) {
            self.book(&operation, 0x00, now);
        }
        self.is_on = false;
        self.is_registered = false;
        self.later = None;
        self.queue.clear();
        self.output.clear();
        self.command.clear();
        self.deframer.reset();
    }

    /// The power comes back: nobody is registered.
    pub fn power_on(&mut self) {
        self.is_on = true;
    }

    /// A transaction that somebody made on the terminal itself.
    pub fn by_hand(&mut self, amount: Tiyn, now: Monotonic) {
        let operation =
            Operation { kind: Kind::Payment, amount, reverses: None, began: now, progress_at: now, bank: None };
        self.book(&operation, 0x00, now);
    }

    /// What the screen shows.
    pub fn screen(&self) -> Screen {
        match &self.operation {
            _ if !self.is_on => Screen::Off,
            None => Screen::Idle,
            Some(Operation { bank: Some(_), .. }) => Screen::Bank,
            Some(operation) => Screen::Card(operation.kind, operation.amount),
        }
    }

    /// All transactions, oldest first.
    pub fn books(&self) -> &[Transaction] {
        &self.books
    }

    /// How many payments it was asked for and took up.
    pub fn payments_begun(&self) -> u32 {
        self.payments_begun
    }

    /// What the till did wrong.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    // ---- the line ----

    /// Takes bytes from the till.
    pub fn received(&mut self, bytes: &[u8], now: Monotonic) {
        if !self.is_on {
            return;
        }
        self.byte_at = now;
        for byte in bytes {
            match self.deframer.take(*byte) {
                None => {}
                Some(Arrival::Ack) => self.acknowledged(),
                Some(Arrival::Nak) => self.repeat(now),
                Some(Arrival::Broken) => self.output.push(NAK),
                Some(Arrival::Apdu(apdu)) => self.arrived(&apdu, now),
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Monotonic) {
        if !self.is_on {
            return;
        }
        if self.framing == Framing::Serial && self.deframer.is_inside() && now >= self.byte_at.plus(T1) {
            self.deframer.reset();
            self.output.push(NAK);
        }
        if let Some((_, command)) = self.later.take_if(|(at, _)| now >= *at) {
            self.carry_out(&command, now);
        }
        if self.queue.front().is_some_and(|out| out.tries > 0 && now >= out.until) {
            self.repeat(now);
        }
        self.operate(now);
        self.send(now);
    }

    /// When [`Machine::tick`] has something to do.
    pub fn deadline(&self) -> Option<Monotonic> {
        let inside = self.framing == Framing::Serial && self.deframer.is_inside();
        let silence = inside.then(|| self.byte_at.plus(T1));
        let front = self.queue.front().map(|out| out.until);
        let operation = self.operation.as_ref().map(|operation| match (operation.bank, self.will) {
            (Some((at, _)), _) => at,
            (None, Some((after, _))) => operation.progress_at.min(operation.began.plus(after)),
            (None, None) => operation.progress_at.min(operation.began.plus(GUEST_PATIENCE)),
        });
        [silence, front, operation, self.later.as_ref().map(|(at, _)| *at)]
            .into_iter()
            .flatten()
            .filter(|_| self.is_on)
            .min()
    }

    /// Bytes to the till.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn acknowledged(&mut self) {
        let Some(out) = self.queue.front_mut() else { return };
        out.is_received = true;
        if !out.wants_answer {
            self.queue.pop_front();
        }
    }

    fn repeat(&mut self, now: Monotonic) {
        let Some(out) = self.queue.front_mut() else { return };
        if out.tries < TRIES_MAX {
            out.tries += 1;
            out.until = now.plus(T2);
            out.is_received = false;
            self.output.extend(frame::encode(self.framing, &out.apdu));
            return;
        }
        let undoes = self.queue.pop_front().and_then(|out| out.undoes).filter(|_| self.auto_reversal);
        if let Some(place) = undoes {
            self.queue.clear();
            self.undo(place, now);
        }
        self.send(now);
    }

    fn arrived(&mut self, bytes: &[u8], now: Monotonic) {
        if self.framing == Framing::Serial {
            if let Some(Quirk::Nak(times)) = self.quirk {
                self.quirk = times.checked_sub(2).map(|left| Quirk::Nak(left + 1));
                return self.output.push(NAK);
            }
            self.output.push(ACK);
        }
        let Some(apdu) = Apdu::from_bytes(bytes) else { return self.complain("an APDU of a wrong length") };
        match apdu.control {
            [0x80, _] | [0x84, _] => self.answered(apdu.control),
            _ if self.command == bytes && self.is_answer_open() => self.repeat(now),
            _ => self.asked(&apdu, bytes, now),
        }
        self.send(now);
    }

    /// Whether the till may not have received our answer to its last command.
    fn is_answer_open(&self) -> bool {
        self.later.is_some() || self.queue.front().is_some_and(|out| !out.wants_answer && out.tries > 0)
    }

    fn answered(&mut self, control: [u8; 2]) {
        let Some(front) = self.queue.front().filter(|out| out.wants_answer && out.tries > 0) else {
            return self.complain("an answer to nothing");
        };
        if control[0] == 0x84 && control[1] != 0 && front.apdu.starts_with(&packet::STATUS_INFORMATION) {
            self.complain("a result was denied");
        }
        self.queue.pop_front();
    }

    fn asked(&mut self, apdu: &Apdu, bytes: &[u8], now: Monotonic) {
        self.acknowledged();
        match self.quirk.take() {
            Some(Quirk::Deny(code)) => return self.answer([0x84, code], now),
            Some(Quirk::MoreTime(span)) => {
                self.command = bytes.to_vec();
                self.later = Some((now.plus(span), bytes.to_vec()));
                return self.answer([0x84, 0x9C], now);
            }
            Some(Quirk::Nak(_)) | None => {}
        }
        if self.unknown_commands.contains(&apdu.control) {
            return self.answer([0x84, 0x83], now);
        }
        self.command = bytes.to_vec();
        self.carry_out(bytes, now);
    }

    // ---- commands ----

    fn carry_out(&mut self, bytes: &[u8], now: Monotonic) {
        let Some(apdu) = Apdu::from_bytes(bytes) else { return };
        let data = apdu.data.as_slice();
        if apdu.control == packet::ABORT {
            return self.stop(now);
        }
        if self.operation.is_some() || self.later.is_some() || self.queue.iter().any(|out| out.wants_answer) {
            return self.answer([0x84, 0xA0], now);
        }
        if !self.is_registered && apdu.control != packet::REGISTRATION {
            return self.answer([0x84, 0x6B], now);
        }
        match apdu.control {
            packet::REGISTRATION => self.register(data, now),
            packet::LOG_OFF => {
                self.is_registered = false;
                self.answer(packet::POSITIVE, now);
            }
            packet::PAYMENT => match amount(data, 0) {
                Some(amount) => {
                    self.payments_begun += 1;
                    self.operate_on(Kind::Payment, amount, None, now);
                }
                None => self.wrong("a payment without a sum", now),
            },
            packet::REFUND if data.starts_with(&self.password) => match amount(data, 3) {
                Some(amount) => self.operate_on(Kind::Refund, amount, None, now),
                None => self.wrong("a refund without a sum", now),
            },
            packet::REVERSAL if data.starts_with(&self.password) => self.reverse(data, now),
            packet::REPEAT_RECEIPT if data.starts_with(&self.password) => self.repeat_receipt(now),
            packet::END_OF_DAY if data.starts_with(&self.password) => self.end_day(now),
            packet::STATUS_ENQUIRY if data.starts_with(&self.password) => {
                self.answer(packet::POSITIVE, now);
                self.say(Apdu::new(packet::COMPLETION, &[self.state]), None, now);
            }
            packet::DIAGNOSIS => {
                self.answer(packet::POSITIVE, now);
                self.say(line("DIAGNOSIS OK"), None, now);
                self.say(Apdu::new(packet::COMPLETION, &[]), None, now);
            }
            packet::REFUND
            | packet::REVERSAL
            | packet::REPEAT_RECEIPT
            | packet::END_OF_DAY
            | packet::STATUS_ENQUIRY => self.wrong("a wrong password", now),
            _ => self.answer([0x84, 0x83], now),
        }
    }

    fn register(&mut self, data: &[u8], now: Monotonic) {
        if !data.starts_with(&self.password) || data.len() < 6 || data.get(4..6) != Some(&[0x03, 0x98]) {
            return self.wrong("a registration that cannot be read", now);
        }
        self.is_registered = true;
        self.answer(packet::POSITIVE, now);
        self.say(Apdu::new(packet::COMPLETION, &[0x19, 0x00, 0x29, 0x10, 0x05, 0x38, 0x62]), None, now);
    }

    fn operate_on(&mut self, kind: Kind, amount: Tiyn, reverses: Option<usize>, now: Monotonic) {
        let bank = reverses.map(|_| (now.plus(BANK_SPAN), 0x00));
        let progress_at = now.plus(PROGRESS_GAP);
        self.operation = Some(Operation { kind, amount, reverses, began: now, progress_at, bank });
        self.answer(packet::POSITIVE, now);
        if reverses.is_none() {
            self.say(Apdu::new(packet::INTERMEDIATE_STATUS, &[0x0A]), None, now);
        }
    }

    fn reverse(&mut self, data: &[u8], now: Monotonic) {
        let receipt = data.get(3..6).and_then(|field| field.strip_prefix(&[0x87])).and_then(number);
        let Some(receipt) = receipt else { return self.wrong("a reversal without a receipt", now) };
        let place = self.books.iter().position(|one| i64::from(one.receipt) == receipt && one.kind == Kind::Payment);
        let code = match place.and_then(|place| self.books.get(place)) {
            Some(one) if one.is_reversed => 0xB4,
            Some(one) if one.is_settled || one.result != 0 => 0xB5,
            Some(one) => return self.operate_on(Kind::Reversal, one.amount, place, now),
            None => 0xB5,
        };
        self.answer(packet::POSITIVE, now);
        self.say(Apdu::new(packet::STATUS_INFORMATION, &[0x27, code]), None, now);
        self.say(Apdu::new(packet::ABORTED, &[code]), None, now);
    }

    fn repeat_receipt(&mut self, now: Monotonic) {
        self.answer(packet::POSITIVE, now);
        match self.last.and_then(|last| self.books.get(last)) {
            Some(last) => {
                let info = Apdu::new(packet::STATUS_INFORMATION, &result(last));
                self.say(info, None, now);
                self.say(Apdu::new(packet::COMPLETION, &[]), None, now);
            }
            None => self.say(Apdu::new(packet::ABORTED, &[0x83]), None, now),
        }
    }

    fn end_day(&mut self, now: Monotonic) {
        let open = self.books.iter_mut().filter(|one| !one.is_settled && one.result == 0);
        let (mut total, mut count) = (0, 0);
        for one in open {
            one.is_settled = true;
            count += 1;
            total += if one.kind == Kind::Payment { one.amount.0 } else { -one.amount.0 };
        }
        self.last = None;
        self.answer(packet::POSITIVE, now);
        self.say(Apdu::new(packet::INTERMEDIATE_STATUS, &[0x0F]), None, now);
        for text in ["END OF DAY".to_owned(), format!("COUNT {count}"), format!("TOTAL {}", Tiyn(total).decimal())] {
            self.say(line(&text), None, now);
        }
        let sum = bcd::<6>(total.max(0)).unwrap_or_default();
        self.say(Apdu::new(packet::STATUS_INFORMATION, &[&[0x27, 0x00, 0x04], &sum[..]].concat()), None, now);
        self.say(Apdu::new(packet::COMPLETION, &[]), None, now);
    }

    fn stop(&mut self, now: Monotonic) {
        // What the bank was asked is not stopped by anybody.
        let is_waiting = self.operation.as_ref().is_some_and(|operation| operation.bank.is_none());
        self.answer(packet::POSITIVE, now);
        if is_waiting {
            self.give_up(0x6C, now);
        }
    }

    // ---- transactions ----

    fn operate(&mut self, now: Monotonic) {
        let Some(operation) = &mut self.operation else { return };
        if let Some((at, code)) = operation.bank {
            if now >= at
                && let Some(operation) = self.operation.take()
            {
                self.conclude(&operation, code, now);
            }
            return;
        }
        let waited = now.since(operation.began);
        if let Some((_, guest)) = self.will.filter(|(after, _)| waited >= *after) {
            self.guest(guest, now);
        } else if waited >= GUEST_PATIENCE {
            self.give_up(0x6C, now);
        } else if now >= operation.progress_at {
            operation.progress_at = now.plus(PROGRESS_GAP);
            // A till that does not take the last one need not hear the next one.
            if self.queue.is_empty() {
                self.say(Apdu::new(packet::INTERMEDIATE_STATUS, &[0x0A]), None, now);
            }
        }
    }

    fn conclude(&mut self, operation: &Operation, code: u8, now: Monotonic) {
        if code != 0 {
            self.trace += 1;
            let data = [&[0x27, code, 0x0B], &bcd::<3>(i64::from(self.trace)).unwrap_or_default()[..]].concat();
            self.say(Apdu::new(packet::STATUS_INFORMATION, &data), None, now);
            return self.say(Apdu::new(packet::ABORTED, &[code]), None, now);
        }
        let place = self.book(operation, code, now);
        let data = self.books.last().map(result).unwrap_or_default();
        let undoes = (operation.kind == Kind::Payment).then_some(place);
        self.say(Apdu::new(packet::STATUS_INFORMATION, &data), undoes, now);
        self.say(Apdu::new(packet::COMPLETION, &[]), None, now);
    }

    fn give_up(&mut self, code: u8, now: Monotonic) {
        self.operation = None;
        self.say(Apdu::new(packet::STATUS_INFORMATION, &[0x27, code]), None, now);
        self.say(Apdu::new(packet::ABORTED, &[code]), None, now);
    }

    /// Writes a transaction down; returns its place in the books.
    fn book(&mut self, operation: &Operation, result: u8, _now: Monotonic) -> usize {
        self.trace += 1;
        self.receipt = if self.receipt >= 9999 { 1 } else { self.receipt + 1 };
        if let Some(one) = operation.reverses.and_then(|place| self.books.get_mut(place)) {
            one.is_reversed = true;
        }
        self.books.push(Transaction {
            kind: operation.kind,
            amount: operation.amount,
            receipt: self.receipt,
            trace: self.trace,
            result,
            is_reversed: false,
            is_settled: false,
        });
        self.last = Some(self.books.len() - 1);
        self.books.len() - 1
    }

    /// The till never took the result: the terminal undoes the payment by itself.
    fn undo(&mut self, place: usize, now: Monotonic) {
        let Some(amount) = self.books.get(place).map(|one| one.amount) else { return };
        let operation =
            Operation { kind: Kind::Reversal, amount, reverses: Some(place), began: now, progress_at: now, bank: None };
        self.book(&operation, 0x00, now);
    }

    // ---- saying ----

    fn answer(&mut self, control: [u8; 2], now: Monotonic) {
        // An older answer that the till still has to take is overtaken by this one.
        self.queue.retain(|out| out.wants_answer);
        let apdu = Apdu::new(control, &[]).to_bytes();
        self.queue.push_front(Out {
            apdu,
            undoes: None,
            tries: 0,
            until: now,
            is_received: false,
            wants_answer: false,
        });
    }

    fn say(&mut self, apdu: Apdu, undoes: Option<usize>, now: Monotonic) {
        let apdu = apdu.to_bytes();
        self.queue.push_back(Out { apdu, undoes, tries: 0, until: now, is_received: false, wants_answer: true });
    }

    fn send(&mut self, now: Monotonic) {
        while let Some(out) = self.queue.front_mut().filter(|out| out.tries == 0) {
            out.tries = 1;
            out.until = now.plus(T2);
            self.output.extend(frame::encode(self.framing, &out.apdu));
            if self.framing == Framing::Tcp && !out.wants_answer {
                self.queue.pop_front();
            }
        }
    }

    fn wrong(&mut self, what: &str, now: Monotonic) {
        self.complain(what);
        self.answer([0x84, 0x83], now);
    }

    fn complain(&mut self, what: &str) {
        self.violations.push(what.to_owned());
    }
}

fn amount(data: &[u8], from: usize) -> Option<Tiyn> {
    let field = data.get(from..from + 7)?.strip_prefix(&[0x04])?;
    number(field).filter(|sum| *sum > 0 && data.get(from + 7..) == Some(&[0x49, 0x03, 0x98])).map(Tiyn)
}

/// The status information of a transaction.
fn result(one: &Transaction) -> Vec<u8> {
    let mut data = vec![0x27, one.result, 0x04];
    data.extend(bcd::<6>(one.amount.0).unwrap_or_default());
    data.extend([0x49, 0x03, 0x98, 0x0B]);
    data.extend(bcd::<3>(i64::from(one.trace)).unwrap_or_default());
    data.extend([0x0C, 0x13, 0x05, 0x00, 0x0D, 0x11, 0x21, 0x29, 0x10, 0x05, 0x38, 0x62, 0x87]);
    data.extend(bcd::<2>(i64::from(one.receipt)).unwrap_or_default());
    data.extend([0x22, 0xF0, 0xF8, 0x44, 0x00, 0xEE, 0xEE, 0xEE, 0xEE, 0x12, 0x10, 0x8B, 0xF0, 0xF4]);
    data.extend(b"VISA");
    data
}

fn line(text: &str) -> Apdu {
    Apdu::new(packet::PRINT_LINE, &[&[0x00], text.as_bytes()].concat())
}
