//! A terminal at the counter: one amount on its screen at a time, the older ones asked about until they are clear. The handle is
//! committed before the first inquiry (F08); a lost wire is unclear, never "not paid" (F07).

use super::{BackOff, Office, earliest, until};
use crate::domain::attempt::{Event, State};
use crate::domain::ids::{AttemptId, RefundId};
use crate::domain::outcome::{Outcome, Reason};
use crate::drivers::{Act, Asked, Collect, Health, Standing, Terminal, TerminalAbilities};
use crate::flows::{collect, reconcile};
use crate::host::clock::Monotonic;
use crate::host::tasks::Stop;
use crate::ledger::Fault;
use crate::ledger::attempts::AttemptRow;
use std::collections::HashMap;
use std::time::Duration;
use tracing::{info, warn};

mod refund;
mod settlement;

/// How long an amount waits for a terminal that is busy or away before the cashier is told to do something else.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two tries to put an amount on the screen.
const START_GAP: Duration = Duration::from_secs(2);

/// The slowest pace of asking about an unclear attempt in its first minutes.
const UNCLEAR_PACE_MAX: Duration = Duration::from_secs(30);

/// The pace of asking about an attempt that stayed unclear.
const UNCLEAR_PACE_SLOW: Duration = Duration::from_secs(120);

/// After this the slow pace is enough.
const UNCLEAR_FAST_FOR: Duration = Duration::from_secs(600);

/// A preparation that takes longer than this waits for a tap on the terminal's screen.
const TAP_AFTER: Duration = Duration::from_secs(3);

/// How long an attempt that a person decided is still asked about: the terminal keeps its operations for a day.
const LATE_WATCH: Duration = Duration::from_secs(24 * 3600);

/// The pause between two looks at a terminal that nothing is asked of: the cashier should know before the guest stands there.
const PREPARE_GAP: Duration = Duration::from_secs(20);

/// Reasons whose cure is a person's hand on the terminal's screen.
const TAP_CODES: [&str; 4] = ["not_registered", "register_again", "no_access", "name_taken"];

/// Reasons of a plain lost link, where a look at the terminal says more.
const LINK_CODES: [&str; 2] = ["no_link", "link_lost"];

/// What the worker remembers of an attempt: deadlines only.
struct Pace {
    since: Monotonic,
    next: Monotonic,
    settled: Option<Monotonic>,
    back_off: BackOff,
}

struct Desk {
    office: Office,
    name: String,
    driver: Box<dyn Terminal>,
    abilities: TerminalAbilities,
    paces: HashMap<AttemptId, Pace>,
    returns: HashMap<RefundId, Pace>,
    prepare_at: Monotonic,
    settle_at: Monotonic,
}

/// Serves one terminal until the daemon stops.
pub async fn run(office: Office, name: String, driver: Box<dyn Terminal>) {
    let abilities = driver.abilities();
    let stop = office.stop.clone();
    let (paces, returns) = (HashMap::new(), HashMap::new());
    let (prepare_at, settle_at) = (Monotonic::default(), Monotonic::default());
    let mut desk = Desk { office, name, driver, abilities, paces, returns, prepare_at, settle_at };
    desk.serve(&stop).await;
}

impl Desk {
    /// Ends between two steps: an exchange with the device is finished and committed first.
    async fn serve(&mut self, stop: &Stop) {
        let mut ear = self.office.listen();
        while !stop.is_given() {
            let next = match self.step().await {
                Ok(next) => next,
                Err(Fault::Stopping) => return,
                Err(fault) => {
                    warn!(terminal = %self.name, %fault, "the ledger did not take a step");
                    Some(self.office.clock.now().plus(START_GAP))
                }
            };
            let clock = self.office.clock.clone();
            tokio::select! {
                biased;
                () = stop.wait() => {}
                nudges = ear.changed_of(&["attempt", "refund"]) => {
                    for nudge in nudges {
                        if let Some(pace) = self.paces.get_mut(&AttemptId(nudge)) {
                            pace.next = Monotonic::default();
                        }
                    }
                }
                () = until(&clock, next) => {}
            }
        }
    }

    /// Everything that is due now; returns the next deadline.
    async fn step(&mut self) -> Result<Option<Monotonic>, Fault> {
        let (rows, refunds) =
            self.office.look(|view| Ok((view.watched(&self.name)?, view.watched_refunds(&self.name)?)))?;
        self.paces.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let now = self.office.clock.now();
        let mut on_screen = false;
        for row in &rows {
            match row.attempt.state {
                State::Sent | State::Waiting | State::Unresolved => {
                    let due = self.pace(row.id).next <= now;
                    let state = if due { self.inquire(row).await? } else { row.attempt.state };
                    on_screen |= state == State::Waiting || state == State::Sent;
                }
                // Answered by a person: later evidence may still correct or contradict it.
                State::Failed | State::Cancelled | State::Expired | State::Paid => {
                    let (id, pace) = (row.id, self.pace(row.id));
                    if row.attempt.handle.is_none() || now.since(pace.since) >= LATE_WATCH {
                        self.office.writer.decide(move |tx| reconcile::stop_watching(tx, id)).await?;
                    } else if pace.next <= now {
                        self.inquire(row).await?;
                    }
                }
                State::Planned => {}
            }
        }
        on_screen |= self.ask_refunds(&refunds).await?;
        if self.turn_away(&rows, on_screen).await? {
            return Ok(Some(now));
        }
        let first = rows.iter().find(|row| row.attempt.state == State::Planned);
        // A guest who pays goes before one who gets money back: both wait for the one screen.
        if first.is_none() && self.start_refund(&refunds, on_screen).await? {
            return Ok(Some(self.office.clock.now()));
        }
        match first {
            Some(row) if !on_screen && self.pace(row.id).next <= now => self.start(row).await?,
            Some(_) => {}
            None if self.prepare_at <= now && !on_screen => {
                self.look_after().await;
                self.prepare_at = self.office.clock.now().plus(PREPARE_GAP);
                let is_quiet = !rows.iter().any(|row| row.attempt.state.is_live())
                    && !refunds.iter().any(|row| row.refund.state.is_live());
                if is_quiet {
                    self.settle_day().await?;
                }
            }
            None => {}
        }
        let planned = rows.iter().filter(|row| row.attempt.state == State::Planned && !on_screen).map(|row| row.id);
        let asked = rows.iter().filter(|row| row.attempt.state != State::Planned).map(|row| row.id);
        let ids: Vec<AttemptId> = planned.take(1).chain(asked).collect();
        let deadlines =
            ids.iter().filter_map(|id| self.paces.get(id)).map(|pace| pace.next).chain(self.refund_deadlines());
        Ok(earliest(deadlines.chain([self.prepare_at]).filter(|point| *point > now)).or(Some(now.plus(START_GAP))))
    }

    /// A minute behind another guest is enough: the cashier is told, and no sum appears later in front of a stranger.
    async fn turn_away(&mut self, rows: &[AttemptRow], on_screen: bool) -> Result<bool, Fault> {
        let now = self.office.clock.now();
        let mut turned = false;
        for (place, row) in rows.iter().filter(|row| row.attempt.state == State::Planned).enumerate() {
            let waited = now.since(self.pace(row.id).since);
            if waited >= START_PATIENCE && (on_screen || place > 0) {
                let ahead = rows.iter().find(|other| other.id != row.id && other.attempt.state.is_live());
                let ahead = ahead.map(|other| self.number(other)).unwrap_or_default();
                self.conclude(row.id, Event::Declined(Reason::new("busy", ahead))).await?;
                turned = true;
            }
        }
        Ok(turned)
    }

    /// The number of an attempt's order, as people say it.
    fn number(&self, row: &AttemptRow) -> String {
        self.office.look(|view| view.order(row.order)).map(|order| order.snapshot.number).unwrap_or_default()
    }

    fn pace(&mut self, id: AttemptId) -> &mut Pace {
        let now = self.office.clock.now();
        // What is met for the first time may come from before a restart, where it was settled a moment ago: the gap begins now.
        let settled = Some(now);
        self.paces.entry(id).or_insert(Pace { since: now, next: now, settled, back_off: BackOff::default() })
    }

    /// Makes sure that we may talk to the terminal, and says on the page how it is.
    async fn prepare(&mut self) -> Outcome<()> {
        let (clock, devices, name) = (self.office.clock.clone(), self.office.devices.clone(), self.name.clone());
        let preparing = self.driver.prepare(clock.wall());
        let mut preparing = std::pin::pin!(preparing);
        let prepared = match clock.limit(TAP_AFTER, &mut preparing).await {
            Ok(prepared) => prepared,
            Err(_elapsed) => {
                // A registration blocks until somebody taps "allow" on the terminal's screen: the page says so meanwhile.
                devices.set(&name, "terminal", "tap", "tap", "");
                preparing.await
            }
        };
        match &prepared {
            // How it is says the next look at it; what is asked of it now says "busy".
            Outcome::Done(()) => {}
            Outcome::Refused(reason) => {
                self.office.devices.set(&self.name, "terminal", "tap", &reason.code, &reason.detail)
            }
            Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                self.office.devices.set(&self.name, "terminal", "down", &reason.code, &reason.detail);
            }
        }
        prepared
    }

    /// While nothing is asked of it: renews what must be renewed, then finds out how it is, before the cashier needs it.
    async fn look_after(&mut self) {
        match self.prepare().await {
            Outcome::Done(()) => {}
            Outcome::NotSent(reason) | Outcome::Unknown(reason) if LINK_CODES.contains(&reason.code.as_str()) => {}
            Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => return,
        }
        let health = self.driver.probe(self.office.clock.wall()).await;
        let (state, reason) = match health {
            Health::Good => ("up", None),
            Health::Warns(reason) => ("warn", Some(reason)),
            Health::Bad(reason) if TAP_CODES.contains(&reason.code.as_str()) => ("tap", Some(reason)),
            Health::Bad(reason) => ("down", Some(reason)),
        };
        let (code, detail) = reason.map_or_else(Default::default, |reason| (reason.code, reason.detail));
        self.office.devices.set(&self.name, "terminal", state, &code, &detail);
    }

    /// Puts the amount on the screen: intent committed, then the act, then what came of it.
    async fn start(&mut self, row: &AttemptRow) -> Result<(), Fault> {
        let (id, rules) = (row.id, self.office.rules.clone());
        let prepared = self.prepare().await;
        if let Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) = prepared {
            return self.not_started(row, reason).await;
        }
        let handle = self.driver.handle_before(&row.reference);
        let Some(row) =
            self.office.writer.decide(move |tx| collect::send_named(tx, &rules, id, handle.clone())).await?
        else {
            return Ok(());
        };
        let ask = Collect {
            amount: row.attempt.amount,
            reference: row.reference.clone(),
            description: row.description.clone(),
            phone: None,
        };
        match self.driver.start(&ask).await {
            Outcome::Done(handle) => {
                info!(attempt = %row.reference, "the amount is on the terminal");
                let number = self.number(&row);
                self.office.devices.set(&self.name, "terminal", "busy", "", &number);
                let rules = self.office.rules.clone();
                self.office.decide_surely(move |tx| collect::accepted(tx, &rules, id, handle.clone())).await?;
                let next = self.office.clock.now().plus(self.abilities.inquire_gap);
                let pace = self.pace(id);
                *pace = Pace { since: next, next, settled: None, back_off: BackOff::default() };
                Ok(())
            }
            Outcome::Refused(reason) => self.conclude(id, Event::Declined(reason)).await.map(drop),
            Outcome::NotSent(reason) => {
                self.conclude(id, Event::NotSent(reason.clone())).await?;
                let state = if reason.code == "busy" { "busy" } else { "down" };
                self.office.devices.set(&self.name, "terminal", state, &reason.code, &reason.detail);
                self.not_started(&row, reason).await
            }
            Outcome::Unknown(reason) => {
                warn!(attempt = %row.reference, %reason, "whether the terminal took the amount is unknown");
                self.conclude(id, Event::Unknown(reason)).await.map(drop)
            }
        }
    }

    /// The terminal did not take it; how it is, is on the page already. After a minute the cashier is told, instead of a silent queue.
    async fn not_started(&mut self, row: &AttemptRow, reason: Reason) -> Result<(), Fault> {
        let now = self.office.clock.now();
        // Busy with an order of ours that is still unclear is told by its number; busy with anything else is told so.
        let reason = match self.office.look(|view| view.watched(&self.name))?.iter().find(|other| other.id != row.id) {
            Some(ours) if reason.code == "busy" && ours.attempt.state.is_live() => {
                Reason::new("busy", self.number(ours))
            }
            Some(_) | None if reason.code == "busy" => Reason::new("busy_other", &reason.detail),
            Some(_) | None => reason,
        };
        let pace = self.pace(row.id);
        pace.next = now.plus(START_GAP);
        if now.since(pace.since) >= START_PATIENCE {
            self.conclude(row.id, Event::Declined(reason)).await?;
        }
        Ok(())
    }

    /// Asks what became of an attempt. Returns its state after the answer.
    async fn inquire(&mut self, row: &AttemptRow) -> Result<State, Fault> {
        if row.attempt.state == State::Sent {
            // The ledger refused what came of the start (disk full): from here it is only asked about.
            return self.conclude(row.id, Event::Unknown(Reason::new("interrupted", ""))).await;
        }
        let Some(handle) = row.attempt.handle.clone() else {
            // Nothing to ask by: only a person can tell (`kaspi-terminal` §1.7); maintenance asks one.
            let pause = UNCLEAR_PACE_SLOW;
            let next = self.office.clock.now().plus(pause);
            self.pace(row.id).next = next;
            return Ok(row.attempt.state);
        };
        let asked = Asked { act: Act::Payment, handle, amount: row.attempt.amount };
        let answer = self.driver.inquire(&asked).await;
        let answer = match &answer {
            Outcome::Done(Standing::Unclear(reason)) if self.may_settle(row.id) => {
                self.pace(row.id).settled = Some(self.office.clock.now());
                match self.driver.settle(&asked).await {
                    Outcome::Done(standing) => Outcome::Done(standing),
                    Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => {
                        Outcome::Done(Standing::Unclear(reason.clone()))
                    }
                }
            }
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => answer,
        };
        let now = self.office.clock.now();
        let (patience, gap) = (self.abilities.patience, self.abilities.inquire_gap);
        let is_slow = now.since(self.pace(row.id).since) >= patience;
        // A question that was not answered: the page says what stands in the way, a certificate or a cable.
        let trouble = match &answer {
            Outcome::Done(_) => None,
            Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => Some(reason.clone()),
        };
        let event = match answer {
            Outcome::Done(Standing::Pending(_)) if is_slow => Event::Unknown(Reason::new("slow", "")),
            Outcome::Done(Standing::Pending(_)) => Event::Pending,
            Outcome::Done(Standing::Paid(evidence)) => Event::Settled(evidence),
            Outcome::Done(Standing::Failed(reason)) => Event::Declined(reason),
            Outcome::Done(Standing::Cancelled(reason)) => Event::Withdrawn(reason),
            Outcome::Done(Standing::Expired(reason)) => Event::Lapsed(reason),
            Outcome::Done(Standing::Unclear(reason))
            | Outcome::Refused(reason)
            | Outcome::NotSent(reason)
            | Outcome::Unknown(reason) => Event::Unknown(Reason::new(&reason.code, "")),
        };
        match trouble {
            None => {
                let number = self.number(row);
                self.office.devices.set(&self.name, "terminal", "busy", "", &number);
            }
            Some(reason) => self.office.devices.set(&self.name, "terminal", "down", &reason.code, &reason.detail),
        }
        let after = self.conclude(row.id, event).await?;
        if !after.is_live() {
            self.office.devices.set(&self.name, "terminal", "up", "", "");
        }
        let pace = self.pace(row.id);
        pace.next = match after {
            State::Waiting => {
                pace.back_off.reset();
                now.plus(gap)
            }
            State::Unresolved if now.since(pace.since) < UNCLEAR_FAST_FOR => {
                now.plus(pace.back_off.pause(UNCLEAR_PACE_MAX))
            }
            State::Unresolved | State::Failed | State::Cancelled | State::Expired | State::Paid => {
                now.plus(UNCLEAR_PACE_SLOW)
            }
            State::Planned | State::Sent => now,
        };
        Ok(after)
    }

    fn may_settle(&mut self, id: AttemptId) -> bool {
        let (now, gap) = (self.office.clock.now(), self.abilities.settle_gap);
        self.pace(id).settled.is_none_or(|last| now.since(last) >= gap)
    }

    async fn conclude(&mut self, id: AttemptId, event: Event) -> Result<State, Fault> {
        let rules = self.office.rules.clone();
        let row = self.office.writer.decide(move |tx| collect::conclude(tx, &rules, id, event)).await?;
        Ok(row.attempt.state)
    }
}
