//! The till's side of one ZVT line, without input and output: bytes and now go in; bytes, events and the next deadline with its reason
//! come out (kaspi-terminal §2.2). A frame that was received says nothing about money. A command that moves money goes out a second
//! time only when the terminal itself says that it did not receive it; silence is told as [`Event::Lost`], and others find out.

use super::frame::{self, ACK, Arrival, Deframer, Framing, NAK};
use super::packet::{self, Apdu, StatusInfo};
use crate::host::clock::Monotonic;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest pause inside a frame.
pub const T1: Duration = Duration::from_millis(200);
/// The longest wait for the byte after a frame, and for the first answer to a command.
pub const T2: Duration = Duration::from_secs(5);
/// The longest silence of a command that needs nobody.
pub const T3: Duration = Duration::from_secs(5);
/// The longest silence of a command that waits for a guest or a bank; intermediate status restarts it.
pub const T4: Duration = Duration::from_secs(180);
/// How often a frame goes out in all.
pub const TRIES_MAX: u8 = 3;
/// The most events that wait for the driver; a line that floods us loses the oldest.
const EVENTS_MAX: usize = 256;

/// What a deadline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Silence inside a frame.
    T1,
    /// No acknowledgement, or no first answer.
    T2,
    /// A command that needs nobody does not end.
    T3,
    /// A command with a guest or a bank does not end.
    T4,
}

/// What may be done about a command that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// It may be sent again: it only asks.
    Harmless,
    /// It moves money or books: after silence nobody sends it again.
    Money,
}

/// Who has to act before a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nobody but the terminal.
    Quick,
    /// A guest or a bank.
    Long,
}

/// What happened on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command was understood and is being carried out.
    Taken,
    /// The command was not carried out; the code says why.
    Denied(u8),
    /// What became of a transaction.
    Status(StatusInfo),
    /// What the guest is asked to do.
    Progress(u8),
    /// Lines for paper.
    Printed(Vec<String>),
    /// The command ended; with the data of the completion.
    Ended(Vec<u8>),
    /// The command ended without success.
    Aborted(u8),
    /// The terminal fell silent: what became of the command is unknown.
    Lost(Timer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No command is out.
    Idle,
    /// The command is out, nothing was heard of it.
    Acking,
    /// The command was received, not yet answered.
    Answering,
    /// The terminal leads until it ends the command.
    Led,
}

/// A frame of ours that is not acknowledged yet.
#[derive(Clone, Debug)]
struct Out {
    frame: Vec<u8>,
    tries: u8,
    until: Monotonic,
}

/// One line and the command on it.
#[derive(Debug)]
pub struct Dialogue {
    framing: Framing,
    deframer: Deframer,
    phase: Phase,
    care: Care,
    pace: Pace,
    /// The command, to be sent again where that is allowed.
    command: Vec<u8>,
    tries: u8,
    until: Monotonic,
    /// Our "understood" on its way.
    reply: Option<Out>,
    /// The last APDU that we answered: the same one again, while the answer is not acknowledged, is a repetition.
    answered: Vec<u8>,
    /// A request to stop, on its way beside the command.
    interrupting: bool,
    byte_at: Monotonic,
    heard: bool,
    output: Vec<u8>,
    events: VecDeque<Event>,
}

impl Dialogue {
    /// A line on which nothing was said.
    pub fn new(framing: Framing) -> Dialogue {
        Dialogue {
            framing,
            deframer: Deframer::new(framing),
            phase: Phase::Idle,
            care: Care::Harmless,
            pace: Pace::Quick,
            command: Vec::new(),
            tries: 0,
            until: Monotonic::default(),
            reply: None,
            answered: Vec::new(),
            interrupting: false,
            byte_at: Monotonic::default(),
            heard: false,
            output: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Sends a command. `false`, and nothing is sent, while another one is under way.
    pub fn command(&mut self, apdu: &Apdu, care: Care, pace: Pace, now: Monotonic) -> bool {
        if self.phase != Phase::Idle {
            return false;
        }
        self.events.clear();
        (self.care, self.pace, self.tries, self.heard) = (care, pace, 1, false);
        self.command = frame::encode(self.framing, &apdu.to_bytes());
        self.output.extend(&self.command);
        self.phase = if self.framing == Framing::Serial { Phase::Acking } else { Phase::Answering };
        self.until = now.plus(T2);
        true
    }

    /// Asks to stop the command under way; how that ended is told by the end of the command. `false` when none is under way.
    pub fn interrupt(&mut self) -> bool {
        if self.phase == Phase::Idle {
            return false;
        }
        self.interrupting = true;
        self.output.extend(frame::encode(self.framing, &packet::abort().to_bytes()));
        true
    }

    /// Whether a command is under way.
    pub fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Whether anything came since the last command.
    pub fn was_heard(&self) -> bool {
        self.heard
    }

    /// Takes bytes from the line.
    pub fn received(&mut self, bytes: &[u8], now: Monotonic) {
        self.byte_at = now;
        self.heard |= !bytes.is_empty();
        for byte in bytes {
            match self.deframer.take(*byte) {
                None => {}
                Some(Arrival::Ack) => self.acknowledged(now),
                Some(Arrival::Nak) => self.not_received(now),
                Some(Arrival::Broken) => self.output.push(NAK),
                Some(Arrival::Apdu(apdu)) => self.arrived(&apdu, now),
            }
        }
    }

    /// Nothing came until now: what is overdue happens.
    pub fn tick(&mut self, now: Monotonic) {
        if self.framing == Framing::Serial && self.deframer.is_inside() && now >= self.byte_at.plus(T1) {
            self.deframer.reset();
            self.output.push(NAK);
        }
        if self.reply.as_ref().is_some_and(|reply| now >= reply.until) {
            self.reply_again(now);
        }
        if self.phase != Phase::Idle && now >= self.until {
            match self.phase {
                Phase::Acking if self.care == Care::Harmless => self.command_again(now),
                Phase::Idle | Phase::Acking | Phase::Answering => self.end(Event::Lost(Timer::T2)),
                Phase::Led => self.end(Event::Lost(self.led().1)),
            }
        }
    }

    /// The next point at which [`Dialogue::tick`] has something to do, and why.
    pub fn deadline(&self) -> Option<(Monotonic, Timer)> {
        let inside = self.framing == Framing::Serial && self.deframer.is_inside();
        let silence = inside.then(|| (self.byte_at.plus(T1), Timer::T1));
        let reply = self.reply.as_ref().map(|reply| (reply.until, Timer::T2));
        let command = match self.phase {
            Phase::Idle => None,
            Phase::Acking | Phase::Answering => Some((self.until, Timer::T2)),
            Phase::Led => Some((self.until, self.led().1)),
        };
        [silence, reply, command].into_iter().flatten().min()
    }

    /// Bytes to be written, in order.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The next event.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn led(&self) -> (Duration, Timer) {
        match self.pace {
            Pace::Quick => (T3, Timer::T3),
            Pace::Long => (T4, Timer::T4),
        }
    }

    fn acknowledged(&mut self, now: Monotonic) {
        if self.reply.take().is_none() && self.phase == Phase::Acking {
            (self.phase, self.until) = (Phase::Answering, now.plus(T2));
        }
    }

    fn not_received(&mut self, now: Monotonic) {
        if self.reply.is_some() {
            self.reply_again(now);
        } else if self.phase == Phase::Acking {
            // Even money goes out again here: the terminal itself says that it did not read the frame.
            self.command_again(now);
        }
    }

    fn command_again(&mut self, now: Monotonic) {
        if self.tries >= TRIES_MAX {
            return self.end(Event::Lost(Timer::T2));
        }
        self.tries += 1;
        self.until = now.plus(T2);
        self.output.extend(&self.command);
    }

    fn reply_again(&mut self, now: Monotonic) {
        match &mut self.reply {
            Some(reply) if reply.tries < TRIES_MAX => {
                reply.tries += 1;
                reply.until = now.plus(T2);
                self.output.extend(&reply.frame);
            }
            // It is the terminal's turn to notice; the command has its own deadline.
            Some(_) | None => self.reply = None,
        }
    }

    fn arrived(&mut self, bytes: &[u8], now: Monotonic) {
        if self.framing == Framing::Serial {
            self.output.push(ACK);
        }
        if self.reply.is_some() && self.answered == bytes {
            // Our answer was lost: the same APDU again is answered again and happened once.
            return self.reply_again(now);
        }
        // Whoever goes on has received what we sent.
        self.acknowledged(now);
        if self.phase == Phase::Acking {
            (self.phase, self.until) = (Phase::Answering, now.plus(T2));
        }
        let Some(apdu) = Apdu::from_bytes(bytes) else { return };
        match apdu.control {
            [0x80, _] | [0x84, 0x00] => self.taken(now),
            // "Needs more time": neither taken nor denied, so its answer is waited for as long as a guest.
            [0x84, 0x9C] => self.until = self.until.max(now.plus(T4)),
            [0x84, code] => self.denied(code),
            _ => self.told(&apdu, bytes, now),
        }
    }

    fn taken(&mut self, now: Monotonic) {
        if self.phase == Phase::Answering {
            (self.phase, self.until) = (Phase::Led, now.plus(self.led().0));
            self.tell(Event::Taken);
        } else {
            self.interrupting = false;
        }
    }

    fn denied(&mut self, code: u8) {
        if self.phase == Phase::Answering {
            self.end(Event::Denied(code));
        } else {
            self.interrupting = false;
        }
    }

    /// An APDU of the terminal's own.
    fn told(&mut self, apdu: &Apdu, bytes: &[u8], now: Monotonic) {
        let event = match apdu.control {
            packet::STATUS_INFORMATION => Event::Status(StatusInfo::read(&apdu.data)),
            packet::INTERMEDIATE_STATUS => Event::Progress(apdu.data.first().copied().unwrap_or(0xFF)),
            packet::PRINT_LINE => Event::Printed(vec![packet::text(apdu.data.get(1..).unwrap_or_default())]),
            packet::PRINT_BLOCK => Event::Printed(packet::block_lines(&apdu.data)),
            packet::COMPLETION => Event::Ended(apdu.data.clone()),
            packet::ABORTED => Event::Aborted(apdu.data.first().copied().unwrap_or(0xFF)),
            _ => return self.reply(&Apdu::new([0x84, 0x83], &[]), bytes, now),
        };
        self.reply(&packet::positive(), bytes, now);
        match self.phase {
            // The tail of an older talk: answered, so that the terminal becomes free, and believed by nobody.
            Phase::Idle | Phase::Acking => return,
            Phase::Answering if self.care == Care::Harmless => return,
            // The answer was lost on the way: it could not go on without having taken the command.
            Phase::Answering => {
                self.phase = Phase::Led;
                self.tell(Event::Taken);
            }
            Phase::Led => {}
        }
        self.until = now.plus(self.led().0);
        match event {
            Event::Ended(_) | Event::Aborted(_) => self.end(event),
            Event::Taken
            | Event::Denied(_)
            | Event::Status(_)
            | Event::Progress(_)
            | Event::Printed(_)
            | Event::Lost(_) => self.tell(event),
        }
    }

    fn reply(&mut self, apdu: &Apdu, to: &[u8], now: Monotonic) {
        let frame = frame::encode(self.framing, &apdu.to_bytes());
        self.output.extend(&frame);
        if self.framing == Framing::Serial {
            self.answered = to.to_vec();
            self.reply = Some(Out { frame, tries: 1, until: now.plus(T2) });
        }
    }

    fn end(&mut self, event: Event) {
        self.phase = Phase::Idle;
        self.interrupting = false;
        self.tell(event);
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
