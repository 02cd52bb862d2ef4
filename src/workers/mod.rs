//! One task per outside thing. A worker owns its device or partner, asks the ledger what is due, acts, and tells the ledger what came of
//! it. It holds deadlines (monotonic) but no truth: everything it knows is rebuilt from the ledger after a restart.

use crate::domain::outcome::Reason;
use crate::flows::Rules;
use crate::host::clock::{Clock, Monotonic};
use crate::host::ids::Ids;
use crate::host::tasks::Stop;
use crate::ledger::{Change, Fault, Reader, Tx, View};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use writer::Writer;

pub mod cloud;
pub mod courier;
pub mod display;
pub mod fiscal;
pub mod hearing;
pub mod maintenance;
pub mod pos;
pub mod printer;
pub mod probe;
pub mod terminal;
pub mod tunnel;
pub mod vault;
pub mod writer;

/// Changes kept for a slow listener; one that falls further behind looks everything up anew.
const CHANGES_MAX: usize = 1024;

/// The pause between two tries of a decision that must not be forgotten.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);

/// What every worker and surface works with.
#[derive(Clone)]
pub struct Office {
    /// Time.
    pub clock: Clock,
    /// The way to decide.
    pub writer: Writer,
    /// What the shop decided.
    pub rules: Arc<Rules>,
    /// How the devices are.
    pub devices: Devices,
    /// The way to ask a printer for something beside its jobs.
    pub errands: Errands,
    /// Whether notices can reach us.
    pub tunnel: tunnel::Board,
    /// The signal to stop.
    pub stop: Stop,
    reader: Arc<Mutex<Reader>>,
    changes: broadcast::Sender<Change>,
}

impl Office {
    /// An office over an open ledger; returns the sender that the writer's thread announces changes through.
    pub fn new(
        clock: Clock,
        writer: Writer,
        reader: Reader,
        rules: Rules,
        stop: Stop,
    ) -> (Office, broadcast::Sender<Change>) {
        let changes = broadcast::Sender::new(CHANGES_MAX);
        let office = Office {
            clock,
            writer,
            rules: Arc::new(rules),
            devices: Devices::default(),
            errands: Errands::default(),
            tunnel: tunnel::Board::default(),
            stop,
            reader: Arc::new(Mutex::new(reader)),
            changes: changes.clone(),
        };
        (office, changes)
    }

    /// Looks at committed rows. Short: it holds the only reading connection.
    pub fn look<T>(&self, question: impl FnOnce(View<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        question(self.reader.lock().unwrap_or_else(PoisonError::into_inner).view())
    }

    /// Decides what must not be forgotten, the partner's name of an attempt: tries until the ledger takes it. Only a stop ends it.
    pub async fn decide_surely<T: Send + 'static>(
        &self,
        flow: impl Fn(&Tx<'_>) -> Result<T, Fault> + Clone + Send + 'static,
    ) -> Result<T, Fault> {
        loop {
            match self.writer.decide(flow.clone()).await {
                Err(Fault::Storage(cause)) => {
                    tracing::error!(%cause, "the ledger takes no commit: trying again, nothing new is started here");
                    self.clock.sleep(STORAGE_PAUSE).await;
                }
                decided => return decided,
            }
        }
    }

    /// Hears of every commit from now on.
    pub fn listen(&self) -> Ear {
        Ear(self.changes.subscribe())
    }
}

/// Hears of commits.
pub struct Ear(broadcast::Receiver<Change>);

impl Ear {
    /// The next change; `None` when some were missed, so that everything must be looked up.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            // The daemon ends: nothing more will change.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }

    /// Waits for any change, and takes all that came with it.
    pub async fn changed(&mut self) {
        self.next().await;
        while self.0.try_recv().is_ok() {}
    }

    /// Waits for a change of one of these kinds, and takes all that came with it; the attempts that should be asked about now. A worker
    /// sleeps through what is not its own: in a flood of notices nobody looks for jobs.
    pub async fn changed_of(&mut self, kinds: &[&str]) -> Vec<i64> {
        let mut nudges = Vec::new();
        let mut is_ours = false;
        while !is_ours {
            let mut next = self.next().await;
            // Some were missed: any of them may have been ours.
            is_ours = next.is_none();
            while let Some(change) = next.take() {
                if kinds.contains(&change.kind) {
                    is_ours = true;
                    nudges.extend(change.nudge);
                }
                match self.0.try_recv() {
                    Ok(change) => next = Some(change),
                    Err(broadcast::error::TryRecvError::Lagged(_)) => is_ours = true,
                    Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {}
                }
            }
        }
        nudges
    }
}

/// How a device or partner is, for the page and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `terminal`, `cloud`, `pos`, `printer`, `display`, `bot`, `fiscal`, `tunnel`.
    pub role: &'static str,
    /// `up`, `warn`, `down`, `busy`, `tap`, `paper_out`, `unknown`.
    pub state: &'static str,
    /// Code of the sentence that says more; empty when all is well.
    pub code: String,
    /// What the partner said.
    pub detail: String,
}

/// The devices by name.
#[derive(Clone, Debug, Default)]
pub struct Devices(Arc<watch::Sender<BTreeMap<String, Device>>>);

impl Devices {
    /// Says how a device is.
    pub fn set(&self, name: &str, role: &'static str, state: &'static str, code: &str, detail: &str) {
        let device = Device { role, state, code: code.to_owned(), detail: detail.to_owned() };
        self.0.send_if_modified(|devices| {
            let is_new = devices.get(name) != Some(&device);
            if is_new {
                devices.insert(name.to_owned(), device);
            }
            is_new
        });
    }

    /// How all devices are.
    pub fn all(&self) -> BTreeMap<String, Device> {
        self.0.borrow().clone()
    }

    /// Hears of changes.
    pub fn listen(&self) -> watch::Receiver<BTreeMap<String, Device>> {
        self.0.subscribe()
    }
}

/// What a person asks of a printer beside its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Print the test slip.
    Test,
    /// From now on print letters so: a number of the test slip's list (`drivers::printer::candidates`).
    Letters(u32),
}

type Asked = (Errand, oneshot::Sender<Result<(), Reason>>);

/// Errands waiting at a printer; more than a few are somebody's mistake.
const ERRANDS_MAX: usize = 8;

/// The way to ask a printer for something beside its jobs.
#[derive(Clone, Default)]
pub struct Errands(Arc<Mutex<BTreeMap<String, mpsc::Sender<Asked>>>>);

impl Errands {
    /// A printer's worker begins to take errands.
    pub fn open(&self, printer: &str) -> mpsc::Receiver<Asked> {
        let (sender, receiver) = mpsc::channel(ERRANDS_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(printer.to_owned(), sender);
        receiver
    }

    /// Asks a printer and waits for what came of it. `no_printer`: there is none of that name; `printer_busy`: too many wait already.
    pub async fn ask(&self, printer: &str, errand: Errand) -> Result<(), Reason> {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(printer).cloned();
        let Some(sender) = sender else { return Err(Reason::new("no_printer", printer)) };
        let (reply, told) = oneshot::channel();
        sender.try_send((errand, reply)).map_err(|_full| Reason::new("printer_busy", printer))?;
        told.await.unwrap_or_else(|_gone| Err(Reason::new("printer_busy", printer)))
    }
}

/// 1-2-4-8 … seconds, at most `most`; begins anew after a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The pause after one more failure.
    pub fn pause(&mut self, most: Duration) -> Duration {
        let pause = Duration::from_secs(1_u64 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        pause.min(most)
    }

    /// The same, shorter by up to a fifth: many boxes that lost one server do not come back in step.
    pub fn jittered(&mut self, most: Duration, ids: &Ids) -> Duration {
        let parts = u32::try_from(ids.below(21)).unwrap_or(0);
        self.pause(most) * (100 - parts) / 100
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The earliest of some deadlines.
pub fn earliest(points: impl IntoIterator<Item = Monotonic>) -> Option<Monotonic> {
    points.into_iter().min()
}

/// Waits for a deadline; for ever when there is none.
pub async fn until(clock: &Clock, point: Option<Monotonic>) {
    match point {
        Some(point) => clock.sleep_until(point).await,
        None => std::future::pending().await,
    }
}
