//! An ESC/POS printer as a real server on loopback (escpos §3). It understands strictly ([`machine`]): what a real one would garble is a
//! fault here. What it can do is data ([`Model`]): pages, characters of the host's own, pictures, answers, buffer and speed. It runs out
//! of paper at a chosen byte and has four ways to go on ([`Behaviour`]), loses its line at a chosen byte, is silent, or off. What it
//! printed can be read and seen ([`Paper`]), whichever way it was sent.

use crate::domain::time::Wall;
use crate::host::clock::Clock;
use crate::host::tasks::{Spawner, Stop};
use crate::transport::wire::Dial;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, watch};

mod command;
pub mod gallery;
mod machine;
mod model;
mod picture;
mod reading;
mod receiver;
mod strip;
mod symbol;
#[cfg(test)]
mod tests;

pub use model::{Answers, Behaviour, Model, Others, Unknown};
pub use reading::looks;

use receiver::{Receiver, Worked};
use strip::Strip;

/// Stops a partner at a point of a story: called with the partner and what just happened, `true` freezes the connection.
pub type Tripwire = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// How often a switched-on printer tries to get its port back.
const LISTEN_GAP: Duration = Duration::from_millis(50);
/// How finely a printer with a speed works.
const TICKS_A_SECOND: u32 = 50;
/// What a line inside this process holds on its way, in bytes.
const LINE_BYTES: usize = 1024;

/// What a printer is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Prints and answers.
    Ready,
    /// The same, and reports that the roll ends soon.
    PaperLow,
    /// Stands without paper: takes bytes into its buffer, reports; what comes after a new roll is its [`Behaviour`].
    PaperOut,
    /// Stands with an open cover: the same with another reason.
    CoverOpen,
    /// Stands with a stuck cutter, until the host or a person recovers it.
    Cutter,
    /// Stands without a reason.
    Offline,
    /// Prints and never answers: a one-way printer.
    Silent,
    /// Switched off: refuses connections and forgets its buffer.
    Off,
}

impl State {
    /// All of them with their words for the control page.
    const WORDS: [(State, &str); 8] = [
        (State::Ready, "ok"),
        (State::PaperLow, "paper_low"),
        (State::PaperOut, "paper_out"),
        (State::CoverOpen, "cover_open"),
        (State::Cutter, "cutter"),
        (State::Offline, "offline"),
        (State::Silent, "silent"),
        (State::Off, "off"),
    ];

    fn stands(self) -> bool {
        match self {
            State::PaperOut | State::CoverOpen | State::Cutter | State::Offline | State::Off => true,
            State::Ready | State::PaperLow | State::Silent => false,
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
    /// What it says, line by line, read back from its dots where it was not sent as text.
    pub text: String,
    dots: usize,
    strips: Arc<[Strip]>,
}

impl Paper {
    /// What it looks like, as a PNG.
    pub fn png(&self) -> Vec<u8> {
        picture::png(&[&self.strips], self.dots)
    }
}

impl fmt::Debug for Paper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Paper {}:\n{}", self.number, self.text)
    }
}

/// Prints bytes on a fresh printer of a model: the text of what came out, its picture as a PNG, and what was wrong.
pub fn picture_of(bytes: &[u8], model: Model) -> (String, Vec<u8>, Vec<String>) {
    let mut receiver = Receiver::new(Model { bytes_per_second: 0, ..model });
    receiver.receive(bytes, State::Ready);
    let mut left = usize::MAX;
    while let Worked::Cut(_) = receiver.work(State::Ready, Wall(0), &mut left) {}
    let mut papers: Vec<&[Strip]> = receiver.papers.iter().map(|paper| &*paper.strips).collect();
    papers.extend(Some(receiver.machine.strips()).filter(|strips| strips.iter().any(|strip| !strip.is_blank())));
    let text = papers.iter().map(|strips| reading::text(strips, model.dots)).collect();
    (text, picture::png(&papers, model.dots), receiver.machine.faults().to_vec())
}

/// A printer.
pub struct Printer {
    name: String,
    partner: String,
    model: Model,
    clock: Clock,
    inside: Mutex<Receiver>,
    state: watch::Sender<State>,
    count: watch::Sender<usize>,
    /// One hand works the buffer off, and one connection is served.
    head: Turn<()>,
    line: Arc<Turn<()>>,
}

impl Printer {
    /// A printer with paper, switched on, that can do everything. `columns` is 48, 42 or 32; its pages are Epson's: 17, 46 and 53.
    pub fn new(name: &str, columns: usize, clock: Clock) -> Arc<Printer> {
        Printer::model(name, Model::standard(columns), clock)
    }

    /// A printer of a model, with paper, switched on.
    pub fn model(name: &str, model: Model, clock: Clock) -> Arc<Printer> {
        Arc::new(Printer {
            name: name.to_owned(),
            partner: format!("printer:{name}"),
            model,
            clock,
            inside: Mutex::new(Receiver::new(model)),
            state: watch::Sender::new(State::Ready),
            count: watch::Sender::new(0),
            head: Turn::new(()),
            line: Arc::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Serves a port until told to stop, one connection at a time.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: Stop) {
        tokio::select! {
            () = self.drive(&stop) => {}
            () = self.listen(listener, &stop) => {}
        }
    }

    async fn listen(&self, listener: TcpListener, stop: &Stop) {
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
                                self.attend(stream, &open, stop).await;
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

    /// Serves one connection while others wait at the port or are turned away.
    async fn attend<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, port: &TcpListener, stop: &Stop) {
        let turn_away = async {
            match self.model.others {
                Others::Wait => stop.wait().await,
                Others::Refused => while port.accept().await.is_ok() {},
            }
        };
        tokio::select! {
            () = self.talk(stream, stop) => {}
            () = turn_away => {}
        }
    }

    /// Serves one connection over any stream, for example the other end of a serial line, until it closes.
    pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, stop: &Stop) {
        tokio::select! {
            () = self.drive(stop) => {}
            () = self.talk(stream, stop) => {}
        }
    }

    /// A line to it inside this process, for [`crate::transport::wire::Way::Inside`]; its tasks are the caller's.
    pub fn dial(self: &Arc<Self>, spawner: &Spawner, stop: &Stop) -> Dial {
        let (printer, spawner, stop) = (Arc::clone(self), spawner.clone(), stop.clone());
        let (head, until) = (Arc::clone(self), stop.clone());
        spawner.start(async move { head.drive(&until).await });
        Arc::new(move || {
            let (printer, spawner, stop) = (Arc::clone(&printer), spawner.clone(), stop.clone());
            Box::pin(async move {
                let turn = printer.take_turn().await?;
                let (ours, theirs) = tokio::io::duplex(LINE_BYTES);
                spawner.start(async move { printer.talk_in_turn(theirs, turn, &stop).await });
                Ok(ours)
            })
        })
    }

    /// Waits for the line, as a second connection does; refused by a printer that is off, or by one that turns others away.
    async fn take_turn(&self) -> io::Result<OwnedMutexGuard<()>> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let line = Arc::clone(&self.line);
        let turn = match self.model.others {
            _ if self.state() == State::Off => return Err(refused()),
            Others::Wait => line.lock_owned().await,
            Others::Refused => line.try_lock_owned().map_err(|_taken| refused())?,
        };
        if self.state() == State::Off { Err(refused()) } else { Ok(turn) }
    }

    async fn talk_in_turn(&self, stream: DuplexStream, turn: OwnedMutexGuard<()>, stop: &Stop) {
        self.talk(stream, stop).await;
        drop(turn);
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, stop: &Stop) {
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
            self.lock().received = received;
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
        reading::text(self.lock().machine.strips(), self.model.dots)
    }

    /// What it did not understand, or a real one would garble.
    pub fn faults(&self) -> Vec<String> {
        self.lock().machine.faults().to_vec()
    }

    /// How often the drawer was opened.
    pub fn drawer_pulses(&self) -> usize {
        self.lock().drawer_pulses
    }

    /// How often the cook was called.
    pub fn beeps(&self) -> usize {
        self.lock().beeps
    }

    /// What it is up to.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Takes the paper away, opens the cover, switches it off, puts a new roll in …
    pub fn set_state(&self, state: State) {
        self.change(state);
        if self.model.bytes_per_second == 0 {
            self.work(usize::MAX);
        }
        self.ring();
    }

    /// Chooses what becomes of what it holds when it stands.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// Ends the roll after so many more bytes were worked off, once; requests in real time do not count.
    pub fn paper_out_after(&self, bytes: usize) {
        self.lock().paper_out_after = Some(bytes);
        if bytes == 0 {
            self.work(usize::MAX);
            self.ring();
        }
    }

    /// Breaks the next connection after so many received bytes, once.
    pub fn cut_connection_after(&self, bytes: usize) {
        self.lock().cut_after_bytes = Some(bytes);
    }

    /// How many bytes came over the newest connection.
    pub fn received(&self) -> usize {
        self.lock().received
    }

    /// Calls this with `("printer:NAME", "bytes")` when the first bytes of a job arrive (its `ESC`) and with `"cut"` when a paper is
    /// complete; when it returns `true`, the connection freezes until the other side is gone.
    pub fn set_tripwire(&self, tripwire: Tripwire) {
        self.lock().tripwire = Some(tripwire);
    }

    fn receive(&self, bytes: &[u8]) {
        let taken = {
            let mut inside = self.lock();
            let state = self.state();
            inside.receive(bytes, state)
        };
        if taken.begins {
            self.trip("bytes");
        }
        if taken.recovers {
            self.change(State::Ready);
        }
        if self.model.bytes_per_second == 0 {
            self.work(usize::MAX);
        } else {
            self.ring();
        }
    }

    /// Works the buffer off at the model's speed until told to stop; at once is done by those who bring bytes.
    async fn drive(&self, stop: &Stop) {
        let speed = self.model.bytes_per_second;
        if speed == 0 {
            return stop.wait().await;
        }
        let step = usize::try_from(speed / TICKS_A_SECOND).unwrap_or(usize::MAX).max(1);
        let turns = async {
            let _hand = self.head.lock().await;
            let mut bell = self.state.subscribe();
            loop {
                bell.borrow_and_update();
                let state = self.state();
                let bytes = self.lock().due(state).min(step);
                if bytes == 0 {
                    // The sender lives in the printer that we hold.
                    let _rung = bell.changed().await;
                    continue;
                }
                self.clock.sleep(Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / speed).await;
                self.work(bytes);
                self.ring();
            }
        };
        tokio::select! {
            () = stop.wait() => {}
            () = turns => {}
        }
    }

    /// Works off so many bytes as far as the state allows.
    fn work(&self, mut bytes: usize) {
        loop {
            match self.next(&mut bytes) {
                Worked::Idle => return,
                Worked::Cut(cut) => {
                    self.count.send_replace(cut);
                    self.trip("cut");
                }
                Worked::PaperEnds => self.change(State::PaperOut),
            }
        }
    }

    /// Works on to the next event. A function of its own, so that the lock is free again when the tripwire is asked.
    fn next(&self, bytes: &mut usize) -> Worked {
        let mut inside = self.lock();
        let state = self.state();
        inside.work(state, self.clock.wall(), bytes)
    }

    fn change(&self, state: State) {
        let mut inside = self.lock();
        inside.change(self.state(), state);
        self.state.send_replace(state);
    }

    /// Wakes the connection, which says what became known, and the head.
    fn ring(&self) {
        self.state.send_modify(|_same| {});
    }

    fn trip(&self, what: &str) {
        let tripwire = self.lock().tripwire.clone();
        if tripwire.is_some_and(|tripwire| tripwire(&self.partner, what)) {
            self.lock().frozen = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Receiver> {
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

impl crate::sandbox::control::PrinterView for Printer {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn count(&self) -> usize {
        *self.count.borrow()
    }

    fn newest(&self, most: usize) -> Vec<crate::sandbox::control::PaperView> {
        let view =
            |paper: &Paper| crate::sandbox::control::PaperView { number: paper.number, text: paper.text.clone() };
        self.lock().papers.iter().rev().take(most).map(view).collect()
    }

    fn png(&self, number: usize) -> Option<Vec<u8>> {
        let paper = self.lock().papers.iter().find(|paper| paper.number == number).cloned();
        paper.map(|paper| paper.png())
    }

    fn state(&self) -> String {
        let state = self.state();
        State::WORDS.iter().find(|(known, _)| *known == state).map_or("", |(_, word)| word).to_owned()
    }

    fn set_state(&self, state: &str) -> bool {
        let known = State::WORDS.iter().find(|(_, word)| *word == state);
        known.is_some_and(|(known, _)| {
            self.set_state(*known);
            true
        })
    }
}
