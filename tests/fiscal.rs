//! One receipt for every payment, by byte and by story (F21, F25, F26): the true driver, worker and ledger, and the true daemon, against
//! the sandbox Webkassa over sockets that are cut at every byte, answers that are lost at every call, and power that goes at every
//! commit. The laws are checked against the register's own books, not against ours. Time is moved by hand and nobody sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod bench;
mod books;
mod bytes;
mod commits;
mod days;
mod lost;
