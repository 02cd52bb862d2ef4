//! The machine below us: clocks, random bytes, secrets, tasks, the lock, the log, systemd. Not for `domain`.

pub mod clock;
pub mod floor;
pub mod ids;
pub mod limits;
pub mod lock;
pub mod logging;
pub mod redact;
pub mod secret;
pub mod systemd;
pub mod tasks;
