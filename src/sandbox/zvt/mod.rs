//! A card terminal with ZVT at the end of a line: a pseudo-terminal that the daemon opens like any serial adapter, or a cable in memory
//! for a driver on a clock of its own. The line between may lose, change or stop bytes at a chosen place, in either direction.

use crate::drivers::terminal::zvt::cable::Cable;
use crate::drivers::terminal::zvt::frame::Framing;
use crate::host::clock::{Clock, Monotonic};
use crate::host::tasks::Stop;
use crate::transport::Loss;
use futures_util::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_serial::{SerialPort, SerialStream};

mod machine;

use machine::Machine;
pub use machine::{Guest, Kind, Quirk, Screen, Transaction};

/// What happens to one byte of a direction, counted from the first one after the fault was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurt {
    /// It never arrives.
    Lost,
    /// It arrives as another one.
    Changed,
    /// It and everything after it, in both directions, never arrives, until the line is whole again.
    Cut,
    /// It arrives twice.
    Doubled,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the till to the terminal.
    ToTerminal,
    /// From the terminal to the till.
    ToTill,
}

/// One piece of a conversation.
pub type Said = (Way, Vec<u8>);

struct Line {
    machine: Machine,
    is_cut: bool,
    cuts_at_payment: bool,
    hurt: Option<(Way, usize, Hurt)>,
    counted: [usize; 2],
    /// What the terminal says leaves so much later.
    delay: Duration,
    delayed: Vec<(Monotonic, Vec<u8>)>,
    said: Vec<Said>,
}

/// The terminal and its line.
pub struct ZvtTerminal {
    clock: Clock,
    line: Mutex<Line>,
    changed: watch::Sender<u64>,
}

impl ZvtTerminal {
    /// A terminal that was just switched on.
    pub fn new(framing: Framing, clock: Clock) -> Arc<ZvtTerminal> {
        let line = Line {
            machine: Machine::new(framing),
            is_cut: false,
            cuts_at_payment: false,
            hurt: None,
            counted: [0; 2],
            delay: Duration::ZERO,
            delayed: Vec::new(),
            said: Vec::new(),
        };
        Arc::new(ZvtTerminal { clock, line: Mutex::new(line), changed: watch::Sender::new(0) })
    }

    // ---- people and bad luck ----

    /// The guest acts; `false` when nobody is asked.
    pub fn guest(&self, guest: Guest) -> bool {
        let now = self.clock.now();
        self.change(|line| line.machine.guest(guest, now))
    }

    /// What guests do by themselves, so long after being asked.
    pub fn set_will(&self, will: Option<(Duration, Guest)>) {
        self.change(|line| line.machine.will = will);
    }

    /// How the next command is answered.
    pub fn set_quirk(&self, quirk: Quirk) {
        self.change(|line| line.machine.quirk = Some(quirk));
    }

    /// This model does not know a command.
    pub fn forget_command(&self, control: [u8; 2]) {
        self.change(|line| line.machine.unknown_commands.push(control));
    }

    /// What the status enquiry says.
    pub fn set_state(&self, state: u8) {
        self.change(|line| line.machine.state = state);
    }

    /// Whether a payment whose result the till never takes is undone.
    pub fn set_auto_reversal(&self, is_on: bool) {
        self.change(|line| line.machine.auto_reversal = is_on);
    }

    /// The power goes out in the middle of whatever it does.
    pub fn power_off(&self, is_charged: bool) {
        let now = self.clock.now();
        self.change(|line| line.machine.power_off(is_charged, now));
    }

    /// The power comes back.
    pub fn power_on(&self) {
        self.change(|line| line.machine.power_on());
    }

    /// Somebody makes a payment on the terminal itself.
    pub fn by_hand(&self, amount: crate::domain::money::Tiyn) {
        let now = self.clock.now();
        self.change(|line| line.machine.by_hand(amount, now));
    }

    /// Hurts the byte of this place, counted from now.
    pub fn hurt(&self, way: Way, place: usize, hurt: Hurt) {
        self.change(|line| {
            line.hurt = Some((way, place, hurt));
            line.counted = [0; 2];
        });
    }

    /// Cuts the line, or makes it whole.
    pub fn cut(&self, is_cut: bool) {
        self.change(|line| {
            line.is_cut = is_cut;
            line.hurt = None;
        });
    }

    /// Cuts the line as soon as the terminal has the next payment, before it says a byte about it.
    pub fn cut_at_payment(&self) {
        self.change(|line| line.cuts_at_payment = true);
    }

    /// What the terminal says leaves so much later.
    pub fn set_delay(&self, delay: Duration) {
        self.change(|line| line.delay = delay);
    }

    /// What is due happens though nobody reads: what the terminal says waits on the line.
    pub fn act(&self) {
        let now = self.clock.now();
        let mut line = self.line();
        line.machine.tick(now);
        line.collect(now);
    }

    // ---- looks ----

    /// Whether the line is cut now.
    pub fn is_cut(&self) -> bool {
        self.line().is_cut
    }

    /// What the screen shows.
    pub fn screen(&self) -> Screen {
        self.line().machine.screen()
    }

    /// All transactions, oldest first.
    pub fn books(&self) -> Vec<Transaction> {
        self.line().machine.books().to_vec()
    }

    /// How many payments it took up.
    pub fn payments_begun(&self) -> u32 {
        self.line().machine.payments_begun()
    }

    /// What the till did wrong.
    pub fn violations(&self) -> Vec<String> {
        self.line().machine.violations().to_vec()
    }

    /// What was said since the last look, as it left its speaker.
    pub fn said(&self) -> Vec<Said> {
        std::mem::take(&mut self.line().said)
    }

    // ---- the end of the line ----

    /// Makes a pseudo-terminal, puts a link to it at `path`, and returns the end that [`ZvtTerminal::serve`] holds.
    pub fn plug(path: &Path) -> io::Result<PtyEnd> {
        let (master, slave) = SerialStream::pair()?;
        let name = slave.name().ok_or_else(|| io::Error::other("a pseudo-terminal without a name"))?;
        if path.is_symlink() {
            std::fs::remove_file(path)?;
        }
        std::os::unix::fs::symlink(&name, path)?;
        Ok(PtyEnd { master, _slave: slave, path: path.to_owned() })
    }

    /// Talks over a pseudo-terminal until told to stop.
    pub async fn serve(self: Arc<Self>, mut end: PtyEnd, stop: Stop) {
        let mut changed = self.changed.subscribe();
        let mut chunk = [0; 512];
        loop {
            let (bytes, deadline) = self.turn();
            if !bytes.is_empty() && end.master.write_all(&bytes).await.is_err() {
                return;
            }
            let due = async {
                match deadline {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.wait() => return,
                read = end.master.read(&mut chunk) => match read {
                    Ok(count) => self.take(chunk.get(..count).unwrap_or_default()),
                    Err(_gone) => return,
                },
                _told = changed.changed() => {}
                () = due => {}
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let result = change(&mut self.line());
        self.changed.send_modify(|turn| *turn += 1);
        result
    }

    /// Bytes from the till.
    fn take(&self, bytes: &[u8]) {
        let now = self.clock.now();
        let mut line = self.line();
        line.said.push((Way::ToTerminal, bytes.to_vec()));
        let arrived = line.carry(Way::ToTerminal, bytes);
        let begun = line.machine.payments_begun();
        line.machine.received(&arrived, now);
        if line.cuts_at_payment && line.machine.payments_begun() > begun {
            (line.is_cut, line.cuts_at_payment) = (true, false);
        }
        line.collect(now);
    }

    /// What reaches the till now, and when there is more to do.
    fn turn(&self) -> (Vec<u8>, Option<Monotonic>) {
        let now = self.clock.now();
        let mut line = self.line();
        line.machine.tick(now);
        line.collect(now);
        let (due, later) = std::mem::take(&mut line.delayed).into_iter().partition(|(at, _)| *at <= now);
        line.delayed = later;
        let due: Vec<(Monotonic, Vec<u8>)> = due;
        let bytes: Vec<u8> = due.into_iter().flat_map(|(_, bytes)| bytes).collect();
        let waiting = line.delayed.iter().map(|(at, _)| *at).min();
        (bytes, [line.machine.deadline(), waiting].into_iter().flatten().min())
    }
}

impl Line {
    /// Takes what the terminal says onto the line.
    fn collect(&mut self, now: Monotonic) {
        let bytes = self.machine.output();
        if !bytes.is_empty() {
            self.said.push((Way::ToTill, bytes.clone()));
            let arriving = self.carry(Way::ToTill, &bytes);
            self.delayed.push((now.plus(self.delay), arriving));
        }
    }

    /// What of these bytes arrives at the other end.
    fn carry(&mut self, way: Way, bytes: &[u8]) -> Vec<u8> {
        let mut arrived = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let counted = &mut self.counted[usize::from(way == Way::ToTill)];
            let place = *counted;
            *counted += 1;
            let hurt = self.hurt.filter(|(hurt_way, at, _)| *hurt_way == way && *at == place).map(|(_, _, hurt)| hurt);
            self.is_cut |= hurt == Some(Hurt::Cut);
            match hurt {
                _ if self.is_cut => {}
                Some(Hurt::Lost | Hurt::Cut) => {}
                Some(Hurt::Changed) => arrived.push(byte ^ 0xFF),
                Some(Hurt::Doubled) => arrived.extend([*byte, *byte]),
                None => arrived.push(*byte),
            }
        }
        arrived
    }
}

/// The terminal's end of a pseudo-terminal. Dropped, the line is as an adapter that was pulled out.
pub struct PtyEnd {
    master: SerialStream,
    /// Held open, so that the line outlives a till that closes it.
    _slave: SerialStream,
    path: PathBuf,
}

impl Drop for PtyEnd {
    fn drop(&mut self) {
        // Somebody may have taken the link away already.
        let _removed = std::fs::remove_file(&self.path).is_ok();
    }
}

/// A cable in memory between a driver and a terminal, on a manual clock that it moves itself whenever both wait.
pub struct Direct {
    terminal: Arc<ZvtTerminal>,
    is_open: bool,
}

impl Direct {
    /// A cable to a terminal on a manual clock.
    pub fn new(terminal: &Arc<ZvtTerminal>) -> Direct {
        Direct { terminal: terminal.clone(), is_open: false }
    }
}

impl Cable for Direct {
    fn open(&mut self) -> BoxFuture<'_, Result<(), Loss>> {
        self.is_open = true;
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn close(&mut self) {
        self.is_open = false;
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8], _counts: bool) -> BoxFuture<'a, Result<(), Loss>> {
        self.terminal.take(bytes);
        Box::pin(std::future::ready(Ok(())))
    }

    fn read(&mut self, span: Duration) -> BoxFuture<'_, Result<Vec<u8>, Loss>> {
        let clock = self.terminal.clock.clone();
        let end = clock.now().plus(span);
        loop {
            let (bytes, deadline) = self.terminal.turn();
            let now = clock.now();
            if !bytes.is_empty() || now >= end {
                return Box::pin(std::future::ready(Ok(bytes)));
            }
            clock.advance(deadline.map_or(end, |at| at.min(end)).since(now));
        }
    }

    fn now(&self) -> Monotonic {
        self.terminal.clock.now()
    }
}
