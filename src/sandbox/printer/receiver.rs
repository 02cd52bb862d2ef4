//! The inside of the sandbox printer: its receive buffer, what it hears in real time wherever it stands, what it does when the paper ends
//! in the middle (escpos §3.1–§3.4), and what it put out. No time, no line: [`super::Printer`] has both.

use super::machine::{Event, Machine};
use super::model::{Behaviour, Model};
use super::reading;
use super::{Paper, State, Tripwire};
use crate::domain::time::Wall;
use std::collections::VecDeque;

/// The most papers kept; the oldest go first.
const PAPERS_MAX: usize = 1000;
/// Empties the buffers in real time (`DLE DC4` function 8), and what is said when it is done.
const CLEAR: [u8; 10] = [0x10, 0x14, 0x08, 0x01, 0x03, 0x14, 0x01, 0x06, 0x02, 0x08];
const CLEARED: [u8; 3] = [0x37, 0x25, 0x00];
/// Going offline, told when that was wished (`GS ( H` function 49).
const WENT_OFFLINE: [u8; 3] = [0x37, 0x23, 0x00];

/// A byte in the buffer.
#[derive(Clone, Copy)]
struct Held {
    byte: u8,
    /// Requests in real time take no room.
    takes_room: bool,
}

/// What working brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Worked {
    /// There is nothing to do, or nothing may be done.
    Idle,
    /// A paper was cut; so many in all.
    Cut(usize),
    /// The roll is at its end.
    PaperEnds,
}

/// What taking bytes brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// A job begins.
    pub begins: bool,
    /// An error that can be recovered from was cleared by the host.
    pub recovers: bool,
}

/// The inside.
pub struct Receiver {
    /// What it is made of.
    pub model: Model,
    /// Its interpreter.
    pub machine: Machine,
    /// What it put out, oldest first.
    pub papers: VecDeque<Paper>,
    /// How often the drawer was opened.
    pub drawer_pulses: usize,
    /// How often the cook was called.
    pub beeps: usize,
    /// What becomes of what it holds when the paper ends.
    pub behaviour: Behaviour,
    /// Bytes to work off until the paper ends.
    pub paper_out_after: Option<usize>,
    /// Bytes of the next connection until it breaks.
    pub cut_after_bytes: Option<usize>,
    /// Bytes of the newest connection.
    pub received: usize,
    /// Asked at the points of a story.
    pub tripwire: Option<Tripwire>,
    /// Says nothing more on this connection.
    pub frozen: bool,
    buffer: VecDeque<Held>,
    filled: usize,
    /// The beginning of what may become a request in real time.
    request: Vec<u8>,
    answers: Vec<u8>,
    in_job: bool,
    /// Has a new roll and goes on only when data comes.
    waits: bool,
    /// Which changes are told unasked, and what was told last.
    unasked: u8,
    told: [u8; 4],
    tells_offline: bool,
}

impl Receiver {
    /// As switched on for the first time.
    pub fn new(model: Model) -> Receiver {
        Receiver {
            machine: Machine::new(model),
            model,
            papers: VecDeque::new(),
            drawer_pulses: 0,
            beeps: 0,
            behaviour: Behaviour::Continues,
            paper_out_after: None,
            cut_after_bytes: None,
            received: 0,
            tripwire: None,
            frozen: false,
            buffer: VecDeque::new(),
            filled: 0,
            request: Vec::new(),
            answers: Vec::new(),
            in_job: false,
            waits: false,
            unasked: 0,
            told: [0; 4],
            tells_offline: false,
        }
    }

    /// A connection begins. What the last one left in the buffer and in the interpreter stays.
    pub fn begin(&mut self) {
        self.answers.clear();
        self.request.clear();
        self.frozen = false;
        self.in_job = false;
    }

    /// What is to be said now, and whether the connection is frozen.
    pub fn say(&mut self) -> (Vec<u8>, bool) {
        (if self.frozen { Vec::new() } else { std::mem::take(&mut self.answers) }, self.frozen)
    }

    /// How much may be read: what the buffer holds, and no further than the byte at which the line breaks.
    pub fn room(&self, received: usize) -> usize {
        let until_break = self.cut_after_bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub(received).max(1));
        self.model.buffer_bytes.saturating_sub(self.filled).min(until_break)
    }

    /// Whether the line breaks now, once.
    pub fn line_breaks(&mut self, received: usize) -> bool {
        self.cut_after_bytes.take_if(|bytes| received >= *bytes).is_some()
    }

    /// How many bytes wait to be worked off and may be.
    pub fn due(&self, state: State) -> usize {
        if state.stands() || self.waits { 0 } else { self.buffer.len() }
    }

    /// Takes bytes. Requests in real time are heard at once, also inside other data (escpos §2.3).
    pub fn receive(&mut self, bytes: &[u8], state: State) -> Taken {
        let mut taken = Taken::default();
        let filled = self.filled;
        for byte in bytes {
            taken.begins |= *byte == 0x1B && !self.in_job;
            self.in_job |= *byte == 0x1B;
            self.buffer.push_back(Held { byte: *byte, takes_room: true });
            self.filled += 1;
            if self.model.answers.real_time {
                taken.recovers |= self.listen(*byte, state);
            }
        }
        self.waits &= self.filled <= filled;
        taken
    }

    /// Watches for requests in real time; tells whether the host recovers from an error.
    fn listen(&mut self, byte: u8, state: State) -> bool {
        self.request.push(byte);
        match *self.request.as_slice() {
            [0x10] | [0x10, 0x04 | 0x05 | 0x14] | [0x10, 0x14, 0x01] | [0x10, 0x14, 0x01, 0 | 1] => return false,
            [0x10, 0x04, question @ 1..=4] => self.answer(&[real_time(question, state)], state),
            [0x10, 0x05, how @ 1..=2] => {
                if state == State::Cutter && how == 2 {
                    self.clear();
                }
                self.heard();
                return state == State::Cutter;
            }
            [0x10, 0x14, 0x01, _, 1..=8] => self.pulse(),
            ref request if *request == CLEAR => {
                if self.model.clears {
                    self.clear();
                    self.answer(&CLEARED, state);
                }
            }
            ref request if CLEAR.starts_with(request) => return false,
            _ => {
                self.request.clear();
                if byte == 0x10 {
                    self.request.push(byte);
                }
                return false;
            }
        }
        self.heard();
        false
    }

    /// A request is complete: its bytes in the buffer take no room.
    fn heard(&mut self) {
        let bytes = std::mem::take(&mut self.request).len();
        for held in self.buffer.iter_mut().rev().take(bytes).filter(|held| held.takes_room) {
            held.takes_room = false;
            self.filled -= 1;
        }
    }

    fn answer(&mut self, bytes: &[u8], state: State) {
        if state != State::Silent {
            self.answers.extend(bytes);
        }
    }

    fn pulse(&mut self) {
        self.drawer_pulses += 1;
        self.beeps += usize::from(self.machine.rings_with_drawer());
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.filled = 0;
        self.waits = false;
        self.machine.forget();
    }

    /// Works off until a paper is cut, the roll ends, or nothing is left of the buffer or of `bytes`.
    pub fn work(&mut self, state: State, now: Wall, bytes: &mut usize) -> Worked {
        loop {
            if self.paper_out_after.take_if(|left| *left == 0).is_some() {
                return Worked::PaperEnds;
            }
            if self.due(state) == 0 || *bytes == 0 {
                return Worked::Idle;
            }
            let Some(held) = self.buffer.pop_front() else { return Worked::Idle };
            *bytes -= 1;
            if held.takes_room {
                self.filled -= 1;
                self.paper_out_after = self.paper_out_after.map(|left| left.saturating_sub(1));
            }
            if let Some(event) = self.machine.take(held.byte)
                && let Some(cut) = self.happens(event, state, now)
            {
                return Worked::Cut(cut);
            }
        }
    }

    fn happens(&mut self, event: Event, state: State, now: Wall) -> Option<usize> {
        match event {
            Event::Answer(answer) => self.answer(&answer, state),
            Event::Fence(true) => self.answer(&[if state == State::PaperLow { 0x03 } else { 0x00 }], state),
            Event::Fence(false) => self.answer(&[0x00], state),
            Event::Unasked(changes) => {
                self.unasked = if self.model.answers.unasked { changes } else { 0 };
                self.told = unasked(state);
                if self.unasked != 0 {
                    self.answer(&unasked(state), state);
                }
            }
            Event::OfflineAnswer(wanted) => self.tells_offline = wanted,
            Event::Drawer => self.pulse(),
            Event::Beep => self.beeps += 1,
            Event::Cut(strips) => {
                self.in_job = false;
                let number = self.papers.back().map_or(0, |paper| paper.number) + 1;
                let (text, dots) = (reading::text(&strips, self.model.dots), self.model.dots);
                self.papers.push_back(Paper { number, at: now, text, dots, strips: strips.into() });
                if self.papers.len() > PAPERS_MAX {
                    self.papers.pop_front();
                }
                return Some(number);
            }
        }
        None
    }

    /// Something became of it: it stands, goes on, or is switched off.
    pub fn change(&mut self, before: State, after: State) {
        match (before.stands(), after.stands()) {
            (_, true) if after == State::Off => self.power_off(),
            (false, true) => self.stand(after),
            (true, false) => {
                self.waits = self.behaviour == Behaviour::Waits && before != State::Off && !self.buffer.is_empty();
            }
            (true, true) | (false, false) => {}
        }
        // Online or not, errors, paper: each is told only to a host that asked for it.
        let wanted = [(0x02, 0), (0x04, 1), (0x08, 2)].into_iter().filter(|(bit, _)| self.unasked & bit != 0);
        let now = unasked(after);
        if wanted.into_iter().any(|(_, place)| self.told.get::<usize>(place) != now.get(place)) {
            self.told = now;
            self.answer(&now, after);
        }
    }

    fn stand(&mut self, state: State) {
        match self.behaviour {
            Behaviour::Continues | Behaviour::Waits => {}
            Behaviour::DropsLine => self.machine.lose_line(),
            Behaviour::Loses => self.clear(),
        }
        if self.tells_offline {
            self.answer(&WENT_OFFLINE, state);
        }
    }

    fn power_off(&mut self) {
        self.clear();
        self.begin();
        self.unasked = 0;
        self.tells_offline = false;
        self.machine.power_off();
    }
}

/// The answer to `DLE EOT n` (escpos §3.1).
fn real_time(question: u8, state: State) -> u8 {
    let is = |other: State| state == other;
    let bit = |holds: bool, bits: u8| if holds { bits } else { 0 };
    0x12 | match question {
        1 => bit(state.stands(), 0x08),
        2 => bit(is(State::CoverOpen), 0x04) | bit(is(State::PaperOut), 0x20) | bit(is(State::Cutter), 0x40),
        3 => bit(is(State::Cutter), 0x08),
        _ => bit(is(State::PaperOut), 0x6C) | bit(is(State::PaperLow), 0x0C),
    }
}

/// What is told unasked (escpos §3.2).
fn unasked(state: State) -> [u8; 4] {
    let bit = |holds: bool, bits: u8| if holds { bits } else { 0 };
    [
        0x10 | bit(state.stands(), 0x08) | bit(state == State::CoverOpen, 0x20),
        bit(state == State::Cutter, 0x08),
        bit(state == State::PaperOut, 0x0F) | bit(state == State::PaperLow, 0x03),
        0,
    ]
}
