//! One printer, one queue, one task: a dead printer blocks nobody else (F23). What may have left us once comes again only with the mark
//! (I7); what surely did not, comes unmarked.

use super::{BackOff, Office, earliest, until};
use crate::drivers::printer::{self, Profile, status};
use crate::flows::settle::{self, Printed};
use crate::host::clock::Monotonic;
use crate::domain::outcome::Reason;
use crate::ledger::Fault;
use crate::ledger::outbox::JobRow;
use crate::transport::address::Address;
use crate::transport::wire::Wire;
use crate::transport::Loss;
use std::time::Duration;
use tracing::{info, warn};

/// The longest pause while a printer is away or out of paper.
const PAUSE_MAX: Duration = Duration::from_secs(5);
