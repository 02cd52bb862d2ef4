//! Refunds by a terminal, on the same road as payments: intent committed, then the act, then what came of it; what is unclear is asked
//! about and never begun again. One thing is on the terminal's screen at a time.

use super::{Desk, LATE_WATCH, Pace, START_GAP, START_PATIENCE, UNCLEAR_FAST_FOR, UNCLEAR_PACE_MAX, UNCLEAR_PACE_SLOW};
use crate::domain::ids::RefundId;
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::refund::{Event, State};
use crate::drivers::{Act, Asked, GiveBack, Standing};
use crate::flows::refund;
use crate::host::clock::Monotonic;
use crate::ledger::Fault;
use crate::ledger::refunds::RefundRow;
use crate::workers::BackOff;
use tracing::{info, warn};

impl Desk {
    /// Asks about the refunds that are outside; says whether one is on the terminal's screen.
    pub(super) async fn ask_refunds(&mut self, rows: &[RefundRow]) -> Result<bool, Fault> {
        self.returns.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let now = self.office.clock.now();
        let mut on_screen = false;
        for row in rows {
            match row.refund.state {
                State::Sent | State::Waiting | State::Unresolved => {
                    let is_due = self.return_pace(row.id).next <= now;
                    let state = if is_due { self.inquire_refund(row).await? } else { row.refund.state };
                    on_screen |= state == State::Waiting || state == State::Sent;
                }
                // Judged by a person: the terminal may still correct it.
                State::Failed | State::Cancelled => {
                    let (id, pace) = (row.id, self.return_pace(row.id));
                    if row.refund.handle.is_none() || now.since(pace.since) >= LATE_WATCH {
                        self.office.writer.decide(move |tx| refund::stop_watching(tx, id)).await?;
                    } else if pace.next <= now {
                        self.inquire_refund(row).await?;
                    }
                }
                State::Planned | State::Done => {}
            }
        }
        Ok(on_screen)
    }

    /// Begins the oldest planned refund when the screen is free; says whether it tried.
    pub(super) async fn start_refund(&mut self, rows: &[RefundRow], on_screen: bool) -> Result<bool, Fault> {
        let Some(row) = rows.iter().find(|row| row.refund.state == State::Planned) else {
            return Ok(false);
        };
        let (now, id) = (self.office.clock.now(), row.id);
        let (since, next) = (self.return_pace(id).since, self.return_pace(id).next);
        if on_screen {
            if now.since(since) >= START_PATIENCE {
                self.conclude_refund(id, Event::Declined(Reason::new("busy", ""))).await?;
            }
            return Ok(false);
        }
        if next > now {
            return Ok(false);
        }
        let prepared = self.prepare().await;
        if let Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) = prepared {
            self.refund_not_started(id, since, reason).await?;
            return Ok(true);
        }
        let handle = self.driver.handle_before(&row.reference);
        let Some(row) = self.office.writer.decide(move |tx| refund::send(tx, id, handle)).await? else {
            return Ok(true);
        };
        self.give_back(&row, since).await?;
        Ok(true)
    }

    async fn give_back(&mut self, row: &RefundRow, since: Monotonic) -> Result<(), Fault> {
        let id = row.id;
        let payment = self.office.look(|view| view.attempt(row.attempt))?;
        let number = self.number(&payment);
        let evidence = payment.attempt.evidence;
        let ask = GiveBack {
            reference: row.reference.clone(),
            amount: row.refund.amount,
            paid: evidence.as_ref().map_or(row.refund.amount, |evidence| evidence.amount),
            method: evidence.as_ref().map(|evidence| evidence.method.clone()).unwrap_or_default(),
            transaction: evidence.map(|evidence| evidence.transaction).unwrap_or_default(),
        };
        match self.driver.give_back(&ask).await {
            Outcome::Done(handle) => {
                info!(refund = %row.reference, "the refund is on the terminal");
                self.office.devices.set(&self.name, "terminal", "busy", "", &number);
                let rules = self.office.rules.clone();
                self.office.decide_surely(move |tx| refund::accepted(tx, &rules, id, handle.clone())).await?;
                let next = self.office.clock.now().plus(self.abilities.inquire_gap);
                *self.return_pace(id) = Pace { since: next, next, settled: None, back_off: BackOff::default() };
                Ok(())
            }
            Outcome::Refused(reason) => self.conclude_refund(id, Event::Declined(reason)).await.map(drop),
            Outcome::NotSent(reason) => {
                self.conclude_refund(id, Event::NotSent(reason.clone())).await?;
                self.refund_not_started(id, since, reason).await
            }
            Outcome::Unknown(reason) => {
                warn!(refund = %row.reference, %reason, "whether the terminal took the refund is unknown");
                self.conclude_refund(id, Event::Unknown(reason)).await.map(drop)
            }
        }
    }

    async fn refund_not_started(&mut self, id: RefundId, since: Monotonic, reason: Reason) -> Result<(), Fault> {
        let now = self.office.clock.now();
        self.return_pace(id).next = now.plus(START_GAP);
        if now.since(since) >= START_PATIENCE {
            self.conclude_refund(id, Event::Declined(reason)).await?;
        }
        Ok(())
    }

    async fn inquire_refund(&mut self, row: &RefundRow) -> Result<State, Fault> {
        if row.refund.state == State::Sent {
            // The ledger refused what came of the start (disk full): from here it is only asked about.
            return self.conclude_refund(row.id, Event::Unknown(Reason::new("interrupted", ""))).await;
        }
        let Some(handle) = row.refund.handle.clone() else {
            // Nothing to ask by: only a person can tell; maintenance asks one.
            let next = self.office.clock.now().plus(UNCLEAR_PACE_SLOW);
            self.return_pace(row.id).next = next;
            return Ok(row.refund.state);
        };
        let asked = Asked { act: Act::Refund, handle, amount: row.refund.amount };
        let mut answer = self.driver.inquire(&asked).await;
        let is_unclear = matches!(answer, Outcome::Done(Standing::Unclear(_)));
        let (now, settled) = (self.office.clock.now(), self.return_pace(row.id).settled);
        if is_unclear && settled.is_none_or(|last| now.since(last) >= self.abilities.settle_gap) {
            self.return_pace(row.id).settled = Some(now);
            if let Outcome::Done(standing) = self.driver.settle(&asked).await {
                answer = Outcome::Done(standing);
            }
        }
        let now = self.office.clock.now();
        let is_slow = now.since(self.return_pace(row.id).since) >= self.abilities.patience;
        let event = match answer {
            Outcome::Done(Standing::Pending(_)) if is_slow => Event::Unknown(Reason::new("slow", "")),
            Outcome::Done(Standing::Pending(_)) => Event::Pending,
            Outcome::Done(Standing::Paid(proof)) => Event::Returned(proof),
            Outcome::Done(Standing::Failed(reason) | Standing::Cancelled(reason) | Standing::Expired(reason)) => {
                Event::Declined(reason)
            }
            Outcome::Done(Standing::Unclear(reason))
            | Outcome::Refused(reason)
            | Outcome::NotSent(reason)
            | Outcome::Unknown(reason) => Event::Unknown(Reason::new(&reason.code, "")),
        };
        let after = self.conclude_refund(row.id, event).await?;
        let gap = self.abilities.inquire_gap;
        let pace = self.return_pace(row.id);
        pace.next = match after {
            State::Waiting => {
                pace.back_off.reset();
                now.plus(gap)
            }
            State::Unresolved if now.since(pace.since) < UNCLEAR_FAST_FOR => {
                now.plus(pace.back_off.pause(UNCLEAR_PACE_MAX))
            }
            State::Unresolved | State::Failed | State::Cancelled => now.plus(UNCLEAR_PACE_SLOW),
            State::Planned | State::Sent | State::Done => now,
        };
        if !after.is_live() {
            self.office.devices.set(&self.name, "terminal", "up", "", "");
        }
        Ok(after)
    }

    fn return_pace(&mut self, id: RefundId) -> &mut Pace {
        let now = self.office.clock.now();
        // As for payments: the gap between two settlings also holds over a restart.
        let settled = Some(now);
        self.returns.entry(id).or_insert(Pace { since: now, next: now, settled, back_off: BackOff::default() })
    }

    /// The next moment at which a refund needs this terminal.
    pub(super) fn refund_deadlines(&self) -> impl Iterator<Item = Monotonic> + '_ {
        self.returns.values().map(|pace| pace.next)
    }

    async fn conclude_refund(&mut self, id: RefundId, event: Event) -> Result<State, Fault> {
        let rules = self.office.rules.clone();
        let row = self.office.writer.decide(move |tx| refund::conclude(tx, &rules, id, event)).await?;
        Ok(row.refund.state)
    }
}
