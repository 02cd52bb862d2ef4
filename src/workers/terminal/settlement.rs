//! The terminal's own end of day, once a business day and only while nothing is on its screen. The intent is committed first: a lost
//! answer is not asked for twice, a person looks instead.

use super::Desk;
use crate::domain::outcome::{Outcome, Reason};
use crate::flows::reconcile;
use crate::host::floor::Trust;
use crate::ledger::Fault;
use std::time::Duration;
use tracing::{info, warn};

/// The pause between two looks at the calendar.
const CALENDAR_GAP: Duration = Duration::from_secs(60);

/// A time of day that is further behind the labels is wrong. A clock that was stepped back by less only lags: without this a step of one
/// millisecond would end every end of day in silence.
const BEHIND_MS_MAX: i64 = 60_000;

impl Desk {
    /// Asks for the end of day when a business day has ended since the last one.
    pub(super) async fn settle_day(&mut self) -> Result<(), Fault> {
        let now = self.office.clock.now();
        if !self.abilities.settlement || self.settle_at > now {
            return Ok(());
        }
        self.settle_at = now.plus(CALENDAR_GAP);
        if self.office.clock.trust() == Trust::Unsynced || self.office.clock.behind_ms() > BEHIND_MS_MAX {
            // Nobody knows which day it is.
            return Ok(());
        }
        let (name, day) = (self.name.clone(), self.office.rules.day_start(self.office.clock.wall()));
        let begun = self.office.writer.decide(move |tx| reconcile::settlement_begun(tx, &name, day)).await?;
        if !begun {
            return Ok(());
        }
        let ended = match self.driver.settlement().await {
            Outcome::Done(slip) => {
                info!(terminal = %self.name, "the terminal has settled its day");
                Ok(slip)
            }
            Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                warn!(terminal = %self.name, %reason, "the terminal did not settle its day");
                Err(Reason::new(&reason.code, &reason.detail))
            }
        };
        let name = self.name.clone();
        self.office.writer.decide(move |tx| reconcile::settlement_ended(tx, &name, &ended)).await
    }
}
