//! The way in. One half keeps the tunnel (an SSH session or a program), the other asks through the public address whether our own
//! listener answers: the process may look healthy while the path is dead (F11). Money never waits for either: polling finds everything.

mod keeper;
mod prober;
mod pulse;

use super::Office;
use super::probe::Probes;
use crate::config::tunnel::{Tunnel, TunnelKind};
use crate::host::clock::Monotonic;
use crate::host::ids::Ids;
use crate::host::tasks::Spawner;
use crate::transport::ssh::Meter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, watch};

/// The name of the tunnel among the devices, and its role.
pub const NAME: &str = "tunnel";

/// Whether the outside reaches us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody asks: the configuration names no public address.
    #[default]
    Unwatched,
    /// Not proven yet.
    Unknown,
    /// The last question came back.
    Up,
    /// Two questions in a row did not come back, or there is no connection to carry them: notices do not come.
    Down,
}

/// What others may know of the tunnel: whether it is up, and what it did since the start.
#[derive(Clone, Debug, Default)]
pub struct Board {
    reach: Arc<watch::Sender<Reach>>,
    /// Times that the tunnel was started again.
    pub restarts: Arc<AtomicU64>,
    /// Questions that came back.
    pub answered: Arc<AtomicU64>,
    /// Questions that did not.
    pub missed: Arc<AtomicU64>,
    /// Bytes of our own SSH connections.
    pub meter: Meter,
}

impl Board {
    /// Whether the outside reaches us.
    pub fn reach(&self) -> Reach {
        *self.reach.borrow()
    }

    /// Hears when that changes.
    pub fn listen(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    /// Says whether the outside reaches us; whether that is new.
    pub fn tell(&self, reach: Reach) -> bool {
        self.reach.send_if_modified(|told| std::mem::replace(told, reach) != reach)
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the worker needs beside the office.
pub struct Means {
    /// Where the public listener is.
    pub target: SocketAddr,
    /// What proves that it is ours.
    pub probes: Probes,
    /// Chance.
    pub ids: Ids,
    /// Starts the task of each connection.
    pub spawner: Spawner,
    /// Our own binary: it starts programs.
    pub helper: PathBuf,
    /// The clouds: their payments are hurried by notices.
    pub clouds: Vec<String>,
}

/// How the connection to the outside is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// Not there yet.
    Opening,
    /// There since then. Whether anything comes through is another question.
    Open(Monotonic),
    /// Not there: the code of the sentence, and what the log says.
    Closed(&'static str, String),
}

/// What both halves share.
struct Desk {
    office: Office,
    means: Means,
    line: watch::Sender<Line>,
    /// Questions do not come back: the connection is to be made anew.
    renew: Notify,
    /// Whether a payment at a cloud is under way.
    is_live: watch::Sender<bool>,
}

/// Keeps and watches the tunnel until the daemon stops.
pub async fn run(office: Office, tunnel: Tunnel, means: Means) {
    let line = match &tunnel.kind {
        // Somebody else's: taken as open.
        TunnelKind::None => Line::Open(office.clock.now()),
        TunnelKind::Ssh(_) | TunnelKind::Command(_) => Line::Opening,
    };
    let desk = Desk {
        office,
        means,
        line: watch::Sender::new(line),
        renew: Notify::new(),
        is_live: watch::Sender::new(false),
    };
    let keep = async {
        match &tunnel.kind {
            TunnelKind::Ssh(ssh) => keeper::keep_ssh(&desk, ssh).await,
            TunnelKind::Command(command) => keeper::keep_program(&desk, &command.command).await,
            TunnelKind::None => desk.office.stop.wait().await,
        }
    };
    tokio::join!(keep, prober::watch(&desk, &tunnel));
}
