//! The cash register's worker: one request at a time, in the order of the ledger. The request is committed before its first byte and is
//! all that is ever repeated; a document that may be at the register is never made anew. While the register is away the guests get paper
//! that says so, and everything goes out in order when it is back (F21, F26; fiscal-kz §1.11, §1.12).

use super::{BackOff, Office, earliest, until};
use crate::domain::fiscal::Registered;
use crate::domain::ids::{FiscalId, OrderId};
use crate::domain::outcome::{Outcome, Reason};
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::drivers::{Entry, Filing, Fiscal, Health, Reported};
use crate::flows::fiscal::{self, Ready, WANTED};
use crate::host::clock::Monotonic;
use crate::host::floor::Trust;
use crate::host::ids::Ids;
use crate::ledger::Fault;
use crate::ledger::fiscal::{Act, FiscalRow, State};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{error, info, warn};

/// The longest pause between two tries of a document.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pause before another try of a document that was set aside, or of a register that takes nothing until somebody acts.
const ASIDE_PAUSE: Duration = Duration::from_secs(300);

/// The pause after "another request is running".
const TURN_PAUSE: Duration = Duration::from_secs(2);

/// Times in a row that another request was running, before the register counts as in trouble: a minute.
const TURNS_MAX: u32 = 30;

/// Tries in a row without a clear answer before a register that is well otherwise is believed about everything else (I11).
const UNCLEAR_MAX: u32 = 5;

/// Looks at the register that answers and does not know a document it has the key of, before a person is asked.
const LOOKS_MAX: u32 = 3;

/// The pause between two looks at an idle register.
const PROBE_GAP: Duration = Duration::from_secs(600);

/// The pause between two looks at the calendar.
const CALENDAR_GAP: Duration = Duration::from_secs(60);

/// Receipts wait this long before there is a red line for them.
const WAITING_FOR: Duration = Duration::from_secs(600);

/// Longer than this ago nobody waits for paper any more.
const NOTICE_AGE_MAX_MS: i64 = 15 * 60_000;

/// The law's limit of autonomy (fiscal-kz §3.5).
pub const WINDOW: Duration = Duration::from_secs(72 * 3_600);

/// Hours left at which the log calls for somebody (F26).
const ALARM_HOURS: [i64; 3] = [24, 12, 3];

/// A time of day that is further behind the labels is wrong.
const BEHIND_MS_MAX: i64 = 60_000;

/// Documents looked at in one round.
const ROUND_MAX: u32 = 200;

/// How the register is, as the two halves of the worker see it.
#[derive(Clone, Debug, Default)]
struct Condition {
    /// Why nothing gets through; `None` while it does.
    trouble: Option<Reason>,
}

struct Desk {
    office: Office,
    name: String,
    driver: Arc<dyn Fiscal>,
    ids: Ids,
    condition: Mutex<Condition>,
}

/// Serves one cash register until the daemon stops.
pub async fn run(office: Office, name: String, driver: Arc<dyn Fiscal>, ids: Ids) {
    let stop = office.stop.clone();
    let desk = Desk { office, name, driver, ids, condition: Mutex::default() };
    tokio::select! {
        biased;
        // What is on its way is asked about after the next start: stopping in its middle is one more lost answer.
        () = stop.wait() => {}
        ((), ()) = async { tokio::join!(desk.register_all(), desk.look_after()) } => {}
    }
}

/// What a step leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The document is through, or a person's: the next one.
    Through,
    /// Nothing goes through at the moment.
    Pause(Duration),
    /// This one is left aside for a while; the others go on.
    Aside,
}

/// What is remembered of documents in this life.
#[derive(Default)]
struct Tries {
    /// Documents left aside, until when.
    aside: HashMap<FiscalId, Monotonic>,
    /// Documents that the register knows and does not show: how often it was asked.
    unseen: HashMap<FiscalId, u32>,
    /// Documents of which surely no try of this life reached the register.
    unsent: HashSet<FiscalId>,
    /// Documents of which nobody knew what became of them: how often in a row.
    unclear: HashMap<FiscalId, u32>,
    /// How often in a row another request was running.
    turns: u32,
    back_off: BackOff,
}

impl Desk {
    /// Registers what is due, one after the other.
    async fn register_all(&self) {
        let mut ear = self.office.listen();
        let mut tries = Tries::default();
        let mut pause_until: Option<Monotonic> = None;
        let mut probe_at = self.office.clock.now();
        loop {
            let now = self.office.clock.now();
            let rows = self.due();
            tries.aside.retain(|id, _| rows.iter().any(|row| row.id == *id));
            let wanted = rows.iter().any(|row| row.reason.as_ref().is_some_and(|reason| reason.code == WANTED));
            let next = rows.iter().find(|row| tries.aside.get(&row.id).is_none_or(|until| *until <= now)).cloned();
            let mut deadlines: Vec<Monotonic> = tries.aside.values().copied().collect();
            match (next, pause_until.filter(|until| *until > now)) {
                (Some(row), None) => {
                    pause_until = None;
                    match self.step(&row, &mut tries).await {
                        Ok(Next::Through) => tries.back_off.reset(),
                        Ok(Next::Pause(pause)) => pause_until = Some(self.office.clock.now().plus(pause)),
                        Ok(Next::Aside) => {
                            tries.aside.insert(row.id, self.office.clock.now().plus(ASIDE_PAUSE));
                        }
                        Err(fault) => {
                            warn!(document = %row.id, %fault, "the ledger did not take what came of a document");
                            pause_until = Some(self.office.clock.now().plus(PAUSE_MAX));
                        }
                    }
                    continue;
                }
                (Some(_), Some(until)) => deadlines.push(until),
                (None, _) => {
                    if probe_at <= now {
                        self.probe().await;
                        probe_at = self.office.clock.now().plus(PROBE_GAP);
                    }
                    deadlines.push(probe_at);
                }
            }
            tokio::select! {
                biased;
                _ = ear.changed_of(&["fiscal"]) => {
                    // What a person wants is tried at once.
                    let is_wanted = |row: &FiscalRow| row.reason.as_ref().is_some_and(|reason| reason.code == WANTED);
                    if !wanted && self.due().iter().any(is_wanted) {
                        pause_until = None;
                        tries.aside.clear();
                    }
                }
                () = until(&self.office.clock, earliest(deadlines)) => {}
            }
        }
    }

    fn due(&self) -> Vec<FiscalRow> {
        let mut rows = self.office.look(|view| view.fiscal_due(&self.name, ROUND_MAX)).unwrap_or_default();
        // A Z report that may have closed its shift comes first: after another document it would close the next one.
        rows.sort_by_key(|row| !(row.act == Act::Z && row.state != State::Queued));
        rows
    }

    /// One document, one try.
    async fn step(&self, row: &FiscalRow, tries: &mut Tries) -> Result<Next, Fault> {
        if self.is_past_the_window(row) {
            let name = self.name.clone();
            self.office.writer.decide(move |tx| fiscal::ask_about_window(tx, &name)).await?;
            self.trouble(&Reason::new("fiscal_window", ""));
            return Ok(Next::Pause(ASIDE_PAUSE));
        }
        let ready = self.office.look(|view| fiscal::ready(&view, row))?;
        let request = match ready {
            Ready::Waits(_) => return Ok(Next::Aside),
            Ready::Report(kind) => return self.report(row, kind, tries).await,
            Ready::Again(request) => request,
            Ready::Bill(bill, basis) => {
                let entry = |key: &str| self.driver.compose(&Entry::Bill { key, bill: &bill, basis: basis.as_ref() });
                match self.bind(row, entry, tries).await? {
                    Some(request) => request,
                    None => return Ok(Next::Through),
                }
            }
            Ready::Cash(is_in) => {
                let entry = |key: &str| self.driver.compose(&Entry::Cash { key, is_in, amount: row.total });
                match self.bind(row, entry, tries).await? {
                    Some(request) => request,
                    None => return Ok(Next::Through),
                }
            }
        };
        if row.request.is_some() && row.act.is_bill() && !tries.unsent.contains(&row.id) {
            let was_closed = self.office.look(|view| view.was_shift_closed(&self.name, row.created))?;
            if was_closed {
                // Whether a register knows its keys beyond their shift is told nowhere: what may be there is looked for first.
                match self.found(row).await {
                    Outcome::Done(Some(answer)) => return self.registered(row, *answer, tries).await,
                    Outcome::Done(None) => {}
                    Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                        return self.unclear(row, &reason, tries).await;
                    }
                }
            }
        }
        // From here on it may be at the register, unless the answer says that nothing left us.
        let was_unsent = tries.unsent.remove(&row.id);
        let filed = self.driver.file(&request).await;
        if was_unsent && matches!(filed, Outcome::NotSent(_)) {
            tries.unsent.insert(row.id);
        }
        self.filed(row, filed, was_unsent, tries).await
    }

    /// Makes a document ready and commits it. `None`: it cannot be made, and a person knows.
    async fn bind(
        &self,
        row: &FiscalRow,
        compose: impl Fn(&str) -> Result<String, Reason>,
        tries: &mut Tries,
    ) -> Result<Option<String>, Fault> {
        let (id, key) = (row.id, self.ids.uuid());
        match compose(&key) {
            Ok(request) => {
                let kept = request.clone();
                self.office.writer.decide(move |tx| fiscal::bind(tx, id, &key, &kept)).await?;
                tries.unsent.insert(id);
                Ok(Some(request))
            }
            Err(reason) => {
                self.office.writer.decide(move |tx| fiscal::refuse(tx, id, &reason)).await?;
                Ok(None)
            }
        }
    }

    /// What the register did with a document; `was_unsent`: no earlier try of it can have reached the register.
    async fn filed(
        &self,
        row: &FiscalRow,
        filed: Outcome<Filing>,
        was_unsent: bool,
        tries: &mut Tries,
    ) -> Result<Next, Fault> {
        let id = row.id;
        let as_it_was = if was_unsent || row.state == State::Queued { State::Queued } else { State::Uncertain };
        match filed {
            Outcome::Done(Filing::Registered(answer)) => self.registered(row, *answer, tries).await,
            Outcome::Done(Filing::Moved(answer)) => {
                self.is_well();
                let rules = self.office.rules.clone();
                self.office.writer.decide(move |tx| fiscal::moved(tx, &rules, id, Some(&answer))).await?;
                Ok(Next::Through)
            }
            Outcome::Done(Filing::Known(_)) if !row.act.is_bill() => {
                // There is no look-up of cash moves: known is done (§1.11).
                self.is_well();
                let rules = self.office.rules.clone();
                self.office.writer.decide(move |tx| fiscal::moved(tx, &rules, id, None)).await?;
                Ok(Next::Through)
            }
            Outcome::Done(Filing::Known(reason)) => self.look_up(row, &reason, tries).await,
            Outcome::Done(Filing::ShiftOver(reason)) => {
                info!(register = %self.name, %reason, "the shift is over");
                // What may have been registered in that shift is looked for before a new one begins.
                let found = if !was_unsent && row.act.is_bill() { self.found(row).await } else { Outcome::Done(None) };
                match found {
                    Outcome::Done(Some(answer)) => self.registered(row, *answer, tries).await,
                    Outcome::Done(None) => self.close_shift(tries).await,
                    Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                        self.not_through(row, State::Uncertain, &reason, tries).await
                    }
                }
            }
            Outcome::Done(Filing::OutOfTurn(reason)) => {
                warn!(register = %self.name, %reason, "another request of this register is running: does another till use it?");
                tries.turns += 1;
                if tries.turns >= TURNS_MAX {
                    self.trouble(&reason);
                }
                Ok(Next::Pause(TURN_PAUSE))
            }
            Outcome::Done(Filing::Stopped(reason)) => {
                self.trouble(&reason);
                let why = reason.clone();
                self.office.writer.decide(move |tx| fiscal::later(tx, id, as_it_was, &why)).await?;
                error!(register = %self.name, %reason, "the cash register takes nothing until somebody acts");
                Ok(Next::Pause(PAUSE_MAX))
            }
            Outcome::Refused(reason) if !was_unsent => {
                // An earlier try may have gone through, whatever is said of this one: it is never made anew (I5).
                warn!(document = %id, %reason, "the cash register refused a document that it may have");
                let found = if row.act.is_bill() { self.found(row).await } else { Outcome::Done(None) };
                match found {
                    Outcome::Done(Some(answer)) => self.registered(row, *answer, tries).await,
                    Outcome::Done(None) | Outcome::Refused(_) => {
                        self.is_well();
                        self.office.writer.decide(move |tx| fiscal::set_aside(tx, id, &reason)).await?;
                        Ok(Next::Aside)
                    }
                    Outcome::NotSent(reason) | Outcome::Unknown(reason) => self.unclear(row, &reason, tries).await,
                }
            }
            Outcome::Refused(reason) => {
                warn!(document = %id, %reason, "the cash register refused a document");
                self.is_well();
                self.office.writer.decide(move |tx| fiscal::refuse(tx, id, &reason)).await?;
                self.over_or_aside(id)
            }
            Outcome::NotSent(reason) => self.not_through(row, as_it_was, &reason, tries).await,
            Outcome::Unknown(reason) => self.unclear(row, &reason, tries).await,
        }
    }

    /// The next document, unless this one still waits for a person: then it is left aside.
    fn over_or_aside(&self, id: FiscalId) -> Result<Next, Fault> {
        let is_due = self.office.look(|view| view.fiscal(id))?.state.is_due();
        Ok(if is_due { Next::Aside } else { Next::Through })
    }

    /// Nobody knows what became of a try. A register that is well otherwise is not held up by one document for ever.
    async fn unclear(&self, row: &FiscalRow, reason: &Reason, tries: &mut Tries) -> Result<Next, Fault> {
        let next = self.not_through(row, State::Uncertain, reason, tries).await?;
        let count = tries.unclear.entry(row.id).or_default();
        *count += 1;
        if *count < UNCLEAR_MAX || !row.act.is_bill() {
            return Ok(next);
        }
        *count = 0;
        let is_up = match self.driver.probe().await {
            Outcome::Done(state) => matches!(state.health, Health::Good | Health::Warns(_)),
            Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => false,
        };
        if !is_up {
            return Ok(next);
        }
        self.is_well();
        let (id, reason) = (row.id, reason.clone());
        self.office.writer.decide(move |tx| fiscal::set_aside(tx, id, &reason)).await?;
        Ok(Next::Aside)
    }

    async fn registered(&self, row: &FiscalRow, answer: Registered, tries: &mut Tries) -> Result<Next, Fault> {
        self.is_well();
        info!(document = %row.id, shift = answer.shift, "registered");
        tries.unseen.remove(&row.id);
        tries.unclear.remove(&row.id);
        tries.turns = 0;
        let (id, rules) = (row.id, self.office.rules.clone());
        self.office.writer.decide(move |tx| fiscal::registered(tx, &rules, id, &answer)).await?;
        self.over_or_aside(id)
    }

    /// The register has the key and told nothing of its document.
    async fn look_up(&self, row: &FiscalRow, reason: &Reason, tries: &mut Tries) -> Result<Next, Fault> {
        match self.found(row).await {
            Outcome::Done(Some(answer)) => self.registered(row, *answer, tries).await,
            Outcome::Done(None) | Outcome::Refused(_) => {
                self.is_well();
                let looks = tries.unseen.entry(row.id).or_default();
                *looks += 1;
                if *looks < LOOKS_MAX {
                    return Ok(Next::Pause(tries.back_off.pause(PAUSE_MAX)));
                }
                let (id, reason) = (row.id, Reason::new("fiscal_known", &reason.detail));
                self.office.writer.decide(move |tx| fiscal::set_aside(tx, id, &reason)).await?;
                Ok(Next::Aside)
            }
            Outcome::NotSent(reason) | Outcome::Unknown(reason) => self.unclear(row, &reason, tries).await,
        }
    }

    async fn found(&self, row: &FiscalRow) -> Outcome<Option<Box<Registered>>> {
        match &row.key {
            Some(key) => self.driver.find(key).await,
            None => Outcome::Done(None),
        }
    }

    async fn not_through(
        &self,
        row: &FiscalRow,
        state: State,
        reason: &Reason,
        tries: &mut Tries,
    ) -> Result<Next, Fault> {
        self.trouble(reason);
        let (id, why) = (row.id, reason.clone());
        self.office.writer.decide(move |tx| fiscal::later(tx, id, state, &why)).await?;
        Ok(Next::Pause(tries.back_off.pause(PAUSE_MAX)))
    }

    /// Closes the shift out of turn: nothing else is taken before it.
    async fn close_shift(&self, tries: &mut Tries) -> Result<Next, Fault> {
        let rules = self.office.rules.clone();
        let wanted = move |tx: &crate::ledger::Tx<'_>| {
            let row = fiscal::want_report(tx, &rules, ReportKind::Z, "kassad")?;
            // Over a lost answer and a restart it goes before everything: else it would close the next shift.
            fiscal::later(tx, row.id, State::Queued, &Reason::new(fiscal::OUT_OF_TURN, ""))?;
            tx.fiscal(row.id)
        };
        let row = self.office.writer.decide(wanted).await?;
        let next = self.report(&row, ReportKind::Z, tries).await?;
        if next == Next::Through && self.office.look(|view| view.fiscal(row.id))?.state != State::Registered {
            // It says "the shift is over" and "there is no shift" in one breath: not at full speed.
            return Ok(Next::Pause(tries.back_off.pause(PAUSE_MAX)));
        }
        Ok(next)
    }

    async fn report(&self, row: &FiscalRow, kind: ReportKind, tries: &mut Tries) -> Result<Next, Fault> {
        let (id, rules) = (row.id, self.office.rules.clone());
        let as_it_was = if row.state == State::Queued { State::Queued } else { State::Uncertain };
        // Totals without an end may be told as often as anybody likes.
        let lost = if kind == ReportKind::Z { State::Uncertain } else { as_it_was };
        if kind == ReportKind::Z && row.state == State::Queued {
            self.office.writer.decide(move |tx| fiscal::begin_report(tx, id)).await?;
        }
        let report = match self.driver.report(kind).await {
            Outcome::Done(Reported::Report(report)) => Some(report),
            // The answer to an earlier try was lost, or somebody closed it elsewhere: its report is there.
            Outcome::Done(Reported::NoShift) if kind == ReportKind::Z => match self.closed_report().await? {
                Outcome::Done(report) => report,
                Outcome::Refused(_) => None,
                Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                    return self.not_through(row, lost, &reason, tries).await;
                }
            },
            Outcome::Done(Reported::NoShift) => None,
            Outcome::Done(Reported::Stopped(reason)) => {
                self.trouble(&reason);
                self.office.writer.decide(move |tx| fiscal::later(tx, id, as_it_was, &reason)).await?;
                return Ok(Next::Pause(PAUSE_MAX));
            }
            Outcome::Refused(reason) => {
                self.office.writer.decide(move |tx| fiscal::refuse(tx, id, &reason)).await?;
                return Ok(Next::Through);
            }
            Outcome::NotSent(reason) => return self.not_through(row, as_it_was, &reason, tries).await,
            Outcome::Unknown(reason) => return self.not_through(row, lost, &reason, tries).await,
        };
        self.is_well();
        match report {
            Some(report) => self.office.writer.decide(move |tx| fiscal::reported(tx, &rules, id, &report)).await?,
            None => self.office.writer.decide(move |tx| fiscal::no_shift(tx, id)).await?,
        }
        Ok(Next::Through)
    }

    async fn closed_report(&self) -> Result<Outcome<Option<Box<crate::domain::fiscal::ShiftReport>>>, Fault> {
        match self.office.look(|view| fiscal::last_shift(&view, &self.name))? {
            Some(shift) => Ok(self.driver.closed_report(shift).await),
            None => Ok(Outcome::Done(None)),
        }
    }

    /// Whether a receipt waited for longer than the law's window, by a clock that can be believed; what a person wants goes out anyway.
    fn is_past_the_window(&self, row: &FiscalRow) -> bool {
        let is_wanted = row.reason.as_ref().is_some_and(|reason| reason.code == WANTED);
        let window_ms = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let age_ms = self.office.clock.wall().0.saturating_sub(row.created.0);
        // What may be at the register already is asked about for ever, with a question of its own.
        let was_sent = row.request.is_some() && row.state != State::Queued;
        row.act.is_bill() && !was_sent && !is_wanted && self.office.clock.trust() == Trust::Synced && age_ms > window_ms
    }

    fn trouble(&self, reason: &Reason) {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(reason.clone());
        self.show();
    }

    fn is_well(&self) {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).trouble = None;
        self.show();
    }

    fn trouble_now(&self) -> Option<Reason> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Hours left of the law's window, and since when it counts.
    fn hours_left(&self) -> Option<i64> {
        let since = self.office.look(|view| fiscal::window(&view, &self.name)).ok().flatten()?;
        let window_ms = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let left_ms = since.0.saturating_add(window_ms).saturating_sub(self.office.clock.wall().0);
        Some(left_ms.clamp(0, window_ms).div_euclid(3_600_000))
    }

    /// Says on the page how the register is.
    fn show(&self) {
        let (devices, name) = (&self.office.devices, self.name.as_str());
        let backlog = self.office.look(|view| view.fiscal_backlog(name)).map_or(0, |(count, _)| count);
        let hours = self.hours_left().map(|hours| hours.to_string()).unwrap_or_default();
        match self.trouble_now() {
            Some(reason) if ["no_link", "link_lost", "fiscal_unmapped", "garbled"].contains(&reason.code.as_str()) => {
                devices.set(name, "fiscal", "down", "fiscal_away", &backlog.to_string());
            }
            Some(reason) => devices.set(name, "fiscal", "down", &reason.code, &reason.detail),
            None if !hours.is_empty() && backlog == 0 => {
                devices.set(name, "fiscal", "warn", "fiscal_autonomous", &hours);
            }
            None if self.driver.abilities().is_test => devices.set(name, "fiscal", "up", "fiscal_test", ""),
            None => devices.set(name, "fiscal", "up", "", ""),
        }
    }

    /// Finds out how an idle register is, so that the page knows before a guest waits.
    async fn probe(&self) {
        match self.driver.probe().await {
            Outcome::Done(state) => match state.health {
                Health::Good => self.is_well(),
                Health::Warns(reason) => {
                    self.is_well();
                    self.office.devices.set(&self.name, "fiscal", "warn", &reason.code, &reason.detail);
                }
                Health::Bad(reason) => self.trouble(&reason),
            },
            Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => self.trouble(&reason),
        }
    }

    /// Everything around the register that has a time: paper for guests who wait, shares that nobody completes, the end of the day, the
    /// red line of receipts that wait, the hours that are left.
    async fn look_after(&self) {
        let mut ear = self.office.listen();
        let mut watch = Watch::default();
        loop {
            let next = self.round(&mut watch).await.unwrap_or_else(|fault| {
                warn!(register = %self.name, %fault, "a round of the cash register failed");
                Some(self.office.clock.now().plus(PAUSE_MAX))
            });
            tokio::select! {
                biased;
                _ = ear.changed_of(&["fiscal", "attempt", "refund"]) => {}
                () = until(&self.office.clock, next) => {}
            }
        }
    }

    async fn round(&self, watch: &mut Watch) -> Result<Option<Monotonic>, Fault> {
        let now = self.office.clock.now();
        let mut due = vec![watch.calendar_at.max(now)];
        due.extend(self.notices(watch, now).await?);
        due.extend(self.parts(watch, now).await?);
        due.extend(self.waiting(watch, now).await?);
        if watch.calendar_at <= now {
            watch.calendar_at = now.plus(CALENDAR_GAP);
            due = vec![watch.calendar_at];
            self.end_day().await?;
            self.call_for_help(watch);
        }
        Ok(earliest(due))
    }

    /// Guests who wait for too long get paper without a sign; at once where it is known that none will come now.
    async fn notices(&self, watch: &mut Watch, now: Monotonic) -> Result<Option<Monotonic>, Fault> {
        let from = self.office.clock.wall().plus_ms(-NOTICE_AGE_MAX_MS);
        let rows = self.office.look(|view| view.fiscal_unnoticed(&self.name, from, ROUND_MAX))?;
        watch.seen.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let wait = if self.trouble_now().is_some() { Duration::ZERO } else { self.office.rules.fiscal.notice_after };
        let mut due = Vec::new();
        for row in &rows {
            let first = *watch.seen.entry(row.id).or_insert(now);
            let at = if row.state == State::Refused { first } else { first.plus(wait) };
            if at <= now {
                let (id, rules) = (row.id, self.office.rules.clone());
                self.office.writer.decide(move |tx| fiscal::notice(tx, &rules, id)).await?;
            } else if at > now {
                due.push(at);
            }
        }
        Ok(earliest(due))
    }

    /// Shares of orders that nobody completes.
    async fn parts(&self, watch: &mut Watch, now: Monotonic) -> Result<Option<Monotonic>, Fault> {
        let wall: Wall = self.office.clock.wall();
        let orders: Vec<OrderId> = self.office.look(|view| fiscal::waiting_parts(&view, &self.office.rules, wall))?;
        watch.parts.retain(|order, _| orders.contains(order));
        let mut due = Vec::new();
        for order in orders {
            let at = watch.parts.entry(order).or_insert(now).plus(self.office.rules.fiscal.part_after);
            if at > now {
                due.push(at);
                continue;
            }
            watch.parts.insert(order, now);
            let rules = self.office.rules.clone();
            self.office.writer.decide(move |tx| fiscal::part_waited(tx, &rules, order)).await?;
        }
        Ok(earliest(due))
    }

    /// One red line while receipts wait for long; it goes by itself.
    async fn waiting(&self, watch: &mut Watch, now: Monotonic) -> Result<Option<Monotonic>, Fault> {
        let name = self.name.clone();
        if self.due().is_empty() {
            if watch.waiting_since.take().is_some() || !watch.is_cleared {
                watch.is_cleared = true;
                self.office.writer.decide(move |tx| fiscal::waiting_ended(tx, &name)).await?;
                self.show();
            }
            return Ok(None);
        }
        let at = watch.waiting_since.get_or_insert(now).plus(WAITING_FOR);
        if at > now {
            return Ok(Some(at));
        }
        {
            let reason = self.trouble_now().unwrap_or_else(|| Reason::new("fiscal_queued", ""));
            self.office.writer.decide(move |tx| fiscal::ask_about_waiting(tx, &name, &reason)).await?;
        }
        // Once answered it is not asked again at once.
        watch.waiting_since = Some(now);
        Ok(Some(now.plus(WAITING_FOR)))
    }

    /// The Z report of a business day that is over, once nobody can doubt which day it is.
    async fn end_day(&self) -> Result<(), Fault> {
        let clock = &self.office.clock;
        if clock.trust() == Trust::Unsynced || clock.behind_ms() > BEHIND_MS_MAX {
            return Ok(());
        }
        let (day, rules) = (self.office.rules.day_start(clock.wall()), self.office.rules.clone());
        self.office.writer.decide(move |tx| fiscal::end_day(tx, &rules, day)).await.map(drop)
    }

    /// The log calls for somebody when the window closes (F26).
    fn call_for_help(&self, watch: &mut Watch) {
        let Some(hours) = self.hours_left() else {
            watch.alarmed = None;
            return;
        };
        self.show();
        let mark = ALARM_HOURS.into_iter().filter(|mark| hours < *mark).min();
        if mark.is_some() && mark != watch.alarmed {
            error!(register = %self.name, hours, "the cash register's window of autonomy closes");
        }
        watch.alarmed = mark;
    }
}

/// What is remembered of what waits.
#[derive(Default)]
struct Watch {
    seen: HashMap<FiscalId, Monotonic>,
    parts: HashMap<OrderId, Monotonic>,
    waiting_since: Option<Monotonic>,
    is_cleared: bool,
    alarmed: Option<i64>,
    calendar_at: Monotonic,
}
