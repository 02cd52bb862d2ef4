//! The machine below us: clocks, random bytes, secrets, tasks. Not for `domain`.
pub mod clock;
pub mod ids;
pub mod secret;
pub mod tasks;
