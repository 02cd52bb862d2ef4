//! An ESC/POS printer as a real server on loopback (escpos §3). It understands strictly ([`machine`]): what a real one would garble is a
//! fault here. It serves one connection at a time, answers status in real time and in sequence, runs out of paper with a job in its
//! buffer and prints it later, loses its line at a chosen byte, is silent, or off. What it printed can be read and seen ([`Paper`]).

use crate::domain::time::Wall;
use crate::host::clock::Clock;
use crate::host::tasks::Stop;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

mod machine;
mod picture;

use machine::{Event, Machine, Row};

/// Stops a partner at a point of a story: called with the partner and what just happened, `true` freezes the connection.
pub type Tripwire = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// The receive buffer: a printer that stands takes so much and then makes its line wait.
const BUFFER_BYTES_MAX: usize = 16 * 1024;
/// How often a switched-on printer tries to get its port back.
const LISTEN_GAP: Duration = Duration::from_millis(50);
/// The most papers kept; the oldest go first.
const PAPERS_MAX: usize = 1000;

/// What a printer is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Prints and answers.
    Ready,
    /// Stands without paper: takes bytes into its buffer, reports, prints them after a new roll.
    PaperOut,
    /// Stands with an open cover: the same with another reason.
    CoverOpen,
    /// Prints and never answers: a one-way printer.
    Silent,
    /// Switched off: refuses connections and forgets its buffer.
    Off,
}

impl State {
    fn stands(self) -> bool {
        match self {
            State::PaperOut | State::CoverOpen | State::Off => true,
            State::Ready | State::Silent => false,
        }
    }
}

/// One cut piece of paper.
#[derive(Clone)]
pub struct Paper {
    /// Which one it is, from 1.
    pub number: usize,
    /// When it was cut.
    pub at: Wall,
    /// What it says, line by line.
    pub text: String,
    columns: usize,
    rows: Arc<[Row]>,
}

impl Paper {
    /// What it looks like, as a PNG.
    pub fn png(&self) -> Vec<u8> {
        picture::png(&self.rows, self.columns)
    }
}

impl fmt::Debug for Paper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Paper {}:\n{}", self.number, self.text)
    }
}

/// A printer.
pub struct Printer {
    name: String,
    partner: String,
    columns: usize,
    clock: Clock,
    inside: Mutex<Inside>,
    state: watch::Sender<State>,
    count: watch::Sender<usize>,
}

struct Inside {
    machine: Machine,
    /// Bytes taken and not yet worked off.
    buffer: VecDeque<u8>,
    /// The beginning of what may become a real-time request.
    held: Vec<u8>,
    /// Answers for the connection.
    answers: Vec<u8>,
    papers: VecDeque<Paper>,
    drawer_pulses: usize,
    in_job: bool,
    cut_after_bytes: Option<usize>,
    tripwire: Option<Tripwire>,
    frozen: bool,
}

impl Printer {
    /// A printer with paper, switched on. `columns` is 48 or 32; its pages are Epson's: 17, 46 and 53.
    pub fn new(name: &str, columns: usize, clock: Clock) -> Arc<Printer> {
        let inside = Inside {
            machine: Machine::new(columns),
            buffer: VecDeque::new(),
            held: Vec::new(),
            answers: Vec::new(),
            papers: VecDeque::new(),
            drawer_pulses: 0,
            in_job: false,
            cut_after_bytes: None,
            tripwire: None,
            frozen: false,
        };
        Arc::new(Printer {
            name: name.to_owned(),
            partner: format!("printer:{name}"),
            columns,
            clock,
            inside: Mutex::new(inside),
            state: watch::Sender::new(State::Ready),
            count: watch::Sender::new(0),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Serves a port until told to stop, one connection after the other.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: Stop) {
        let Ok(address) = listener.local_addr() else { return };
        let mut listener = Some(listener);
        let mut state = self.state.subscribe();
        while !stop.is_given() {
            let off = *state.borrow_and_update() == State::Off;
            match listener.take() {
                Some(_closed) if off => {}
                Some(open) => {
                    tokio::select! {
                        () = stop.wait() => return,
                        _changed = state.changed() => {}
                        accepted = open.accept() => {
                            if let Ok((stream, _from)) = accepted {
                                self.converse(stream, &stop).await;
                            }
                        }
                    }
                    listener = Some(open);
                }
                None if off => {
                    tokio::select! {
                        () = stop.wait() => return,
                        _changed = state.changed() => {}
                    }
                }
                None => match TcpListener::bind(address).await {
                    Ok(open) => listener = Some(open),
                    Err(_taken) => tokio::select! {
                        () = stop.wait() => return,
                        () = self.clock.sleep(LISTEN_GAP) => {}
                    },
                },
            }
        }
    }

    /// Serves one connection over any stream, for example the other end of a serial line, until it closes.
    pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, stop: &Stop) {
        let mut state = self.state.subscribe();
        self.lock().begin();
        let mut received = 0;
        let mut chunk = [0; 1024];
        loop {
            let now = *state.borrow_and_update();
            let (answers, frozen) = self.lock().say();
            if frozen {
                return frozen_until_gone(&mut stream, stop).await;
            }
            let wrote = tokio::select! {
                () = stop.wait() => return,
                wrote = stream.write_all(&answers) => wrote,
            };
            if wrote.is_err() || now == State::Off {
                return;
            }
            let room = self.lock().room(received).min(chunk.len());
            let Some(free) = chunk.get_mut(..room) else { return };
            let read = tokio::select! {
                () = stop.wait() => return,
                _changed = state.changed() => continue,
                read = stream.read(free), if room > 0 => read,
            };
            let count = read.unwrap_or(0);
            received += count;
            self.receive(chunk.get(..count).unwrap_or_default());
            if count == 0 || self.lock().line_breaks(received) {
                let (answers, frozen) = self.lock().say();
                if frozen {
                    return frozen_until_gone(&mut stream, stop).await;
                }
                // The other side may be gone: then nobody wants the answers.
                let _told = stream.write_all(&answers).await;
                return;
            }
        }
    }

    /// What it printed, oldest first; the unfinished strip is not among it.
    pub fn papers(&self) -> Vec<Paper> {
        self.lock().papers.iter().cloned().collect()
    }

    /// Waits until so many papers were cut in all.
    pub async fn wait_papers(&self, count: usize) {
        let mut counted = self.count.subscribe();
        // The sender lives in the printer that we hold.
        let _reached = counted.wait_for(|cut| *cut >= count).await.is_ok();
    }

    /// What hangs out of it, printed and not cut.
    pub fn strip(&self) -> String {
        machine::text(self.lock().machine.rows(), self.columns)
    }

    /// What it did not understand, or a real one would garble.
    pub fn faults(&self) -> Vec<String> {
        self.lock().machine.faults().to_vec()
    }

    /// How often the drawer was opened.
    pub fn drawer_pulses(&self) -> usize {
        self.lock().drawer_pulses
    }

    /// What it is up to.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Takes the paper away, opens the cover, switches it off, puts a new roll in …
    pub fn set_state(&self, state: State) {
        if state == State::Off {
            self.lock().power_off();
        }
        self.state.send_replace(state);
        self.work();
        // A connection that waits must say what became known by the work.
        self.state.send_modify(|_same| {});
    }

    /// Breaks the next connection after so many received bytes, once.
    pub fn cut_connection_after(&self, bytes: usize) {
        self.lock().cut_after_bytes = Some(bytes);
    }

    /// Calls this with `("printer:NAME", "bytes")` when the first bytes of a job arrive (its `ESC`) and with `"cut"` when a paper is
    /// complete; when it returns `true`, the connection freezes until the other side is gone.
    pub fn set_tripwire(&self, tripwire: Tripwire) {
        self.lock().tripwire = Some(tripwire);
    }

    fn receive(&self, bytes: &[u8]) {
        let state = self.state();
        let begins = self.lock().receive(bytes, state);
        if begins {
            self.trip("bytes");
        }
        self.work();
    }

    /// Works the buffer off as far as the state allows.
    fn work(&self) {
        while let Some(cut) = self.next_cut() {
            self.count.send_replace(cut);
            self.trip("cut");
        }
    }

    /// Works on to the next cut. A function of its own, so that the lock is free again when the tripwire is asked.
    fn next_cut(&self) -> Option<usize> {
        self.lock().work(self.state(), self.clock.wall(), self.columns)
    }

    fn trip(&self, what: &str) {
        let tripwire = self.lock().tripwire.clone();
        if tripwire.is_some_and(|tripwire| tripwire(&self.partner, what)) {
            self.lock().frozen = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says nothing more on a connection and swallows what still comes, until the other side died: then the next one is served.
async fn frozen_until_gone<S: AsyncRead + Unpin>(stream: &mut S, stop: &Stop) {
    let mut swallowed = [0; 256];
    loop {
        tokio::select! {
            () = stop.wait() => return,
            read = stream.read(&mut swallowed) => if read.unwrap_or(0) == 0 { return },
        }
    }
}

impl Inside {
    fn begin(&mut self) {
        self.answers.clear();
        self.held.clear();
        self.frozen = false;
        self.in_job = false;
        self.machine.drop_incomplete();
    }

    fn say(&mut self) -> (Vec<u8>, bool) {
        (if self.frozen { Vec::new() } else { std::mem::take(&mut self.answers) }, self.frozen)
    }

    /// How much may be read: what the buffer holds, and no further than the byte at which the line breaks.
    fn room(&self, received: usize) -> usize {
        let until_break = self.cut_after_bytes.map_or(usize::MAX, |bytes| bytes.saturating_sub(received).max(1));
        BUFFER_BYTES_MAX.saturating_sub(self.buffer.len()).min(until_break)
    }

    fn line_breaks(&mut self, received: usize) -> bool {
        self.cut_after_bytes.take_if(|bytes| received >= *bytes).is_some()
    }

    fn power_off(&mut self) {
        self.buffer.clear();
        self.begin();
        self.machine.power_off();
    }

    /// Takes bytes; real-time requests are answered at once, wherever they stand. Tells whether a job begins.
    fn receive(&mut self, bytes: &[u8], state: State) -> bool {
        let mut begins = false;
        for byte in bytes {
            self.held.push(*byte);
            match self.held.as_slice() {
                [0x10] | [0x10, 0x04] => {}
                [0x10, 0x04, question @ 1..=4] => {
                    let answer = real_time(*question, state);
                    self.held.clear();
                    if state != State::Silent {
                        self.answers.push(answer);
                    }
                }
                _ => {
                    begins |= *byte == 0x1B && !self.in_job;
                    self.in_job |= *byte == 0x1B;
                    self.buffer.extend(self.held.drain(..));
                }
            }
        }
        begins
    }

    /// Works off until a paper is cut, which it tells with their number so far, or nothing is left.
    fn work(&mut self, state: State, now: Wall, columns: usize) -> Option<usize> {
        while !state.stands() {
            match self.machine.take(self.buffer.pop_front()?) {
                None => {}
                Some(Event::Answer(answer)) if state != State::Silent => self.answers.extend(answer),
                Some(Event::Answer(_)) => {}
                Some(Event::Drawer) => self.drawer_pulses += 1,
                Some(Event::Cut(rows)) => {
                    self.in_job = false;
                    let number = self.papers.back().map_or(0, |paper| paper.number) + 1;
                    let text = machine::text(&rows, columns);
                    self.papers.push_back(Paper { number, at: now, text, columns, rows: rows.into() });
                    if self.papers.len() > PAPERS_MAX {
                        self.papers.pop_front();
                    }
                    return Some(number);
                }
            }
        }
        None
    }
}

/// The answer to `DLE EOT n` (escpos §3.1).
fn real_time(question: u8, state: State) -> u8 {
    let (no_paper, open) = (state == State::PaperOut, state == State::CoverOpen);
    let bit = |holds: bool, bits: u8| if holds { bits } else { 0 };
    0x12 | match question {
        1 => bit(no_paper || open, 0x08),
        2 => bit(open, 0x04) | bit(no_paper, 0x20),
        4 => bit(no_paper, 0x6C),
        _ => 0,
    }
}

/// Sheets shown on the control page: each is drawn anew whenever the page asks.
const SHOWN_MAX: usize = 3;

impl crate::sandbox::control::PrinterView for Printer {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn papers(&self) -> Vec<crate::sandbox::control::PaperView> {
        let papers = self.papers();
        let first = papers.len().saturating_sub(SHOWN_MAX);
        let shown = papers.into_iter().skip(first);
        shown.map(|paper| crate::sandbox::control::PaperView { text: paper.text.clone(), png: paper.png() }).collect()
    }

    fn state(&self) -> String {
        let word = match self.state() {
            State::Ready | State::Silent => "ok",
            State::PaperOut => "paper_out",
            State::CoverOpen => "cover_open",
            State::Off => "off",
        };
        word.to_owned()
    }

    fn set_state(&self, state: &str) -> bool {
        let state = match state {
            "ok" => State::Ready,
            "paper_out" => State::PaperOut,
            "cover_open" => State::CoverOpen,
            "off" => State::Off,
            _ => return false,
        };
        self.set_state(state);
        true
    }
}
