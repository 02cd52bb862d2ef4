//! A payment cloud. Creates go out one by one, in order, and wait in the ledger while the link is down; whether a lost create arrived is
//! asked, never guessed (F03). Polling is the guarantee, a notice only makes it sooner (F10).

use super::hearing::Hearing;
use super::tunnel::Reach;
use super::{BackOff, Office, earliest, until};
use crate::domain::attempt::{Event, State};
use crate::domain::ids::AttemptId;
use crate::domain::outcome::{Outcome, Reason};
use crate::drivers::{Cloud, CloudAbilities, Collect, InvoiceRecord, Standing};
use crate::flows::{collect, reconcile};
use crate::host::clock::Monotonic;
use crate::host::floor::Trust;
use crate::host::tasks::Stop;
use crate::ledger::Fault;
use crate::ledger::attempts::AttemptRow;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Inquiries on their way at once: an outage must not open hundreds of connections.
const INQUIRIES_MAX: usize = 8;

/// The longest pause between two tries of the oldest unsent invoice.
const RESEND_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long after its end an invoice is still asked about each minute (F05).
const LATE_WATCH: Duration = Duration::from_secs(15 * 60);

/// How long after its end it is asked about at all: over the end of the business day, and over a person's second thoughts.
const LAST_WATCH: Duration = Duration::from_secs(24 * 3600);

/// The pace of the late hours.
const LATE_PACE: Duration = Duration::from_secs(3600);

/// How long and how often a create without an answer is looked for before it counts as never made: its request may still be on its way
/// when the first look finds nothing (F03).
const SEARCH_FOR: Duration = Duration::from_secs(15);
const SEARCHES_MIN: u32 = 3;

/// What the worker remembers of an attempt: deadlines only.
struct Pace {
    since: Monotonic,
    next: Monotonic,
    over: Option<Monotonic>,
    /// Whether it was looked, late enough, if a notice had claimed it as paid.
    claim_checked: bool,
    /// When the partner's record was last read.
    heard: Option<Monotonic>,
    back_off: BackOff,
    asking: bool,
    /// Looks that found no invoice of our reference.
    searches: u32,
}

/// What an exchange brought.
struct Heard {
    id: AttemptId,
    state: Result<State, Fault>,
    link: bool,
}

struct Desk {
    office: Office,
    name: String,
    cloud: Arc<dyn Cloud>,
    abilities: CloudAbilities,
    paces: HashMap<AttemptId, Pace>,
    asking: FuturesUnordered<BoxFuture<'static, Heard>>,
    sending: FuturesUnordered<BoxFuture<'static, Heard>>,
    send_at: Monotonic,
    send_back_off: BackOff,
    hearing: Hearing,
    is_linked: bool,
}

/// Serves one cloud until the daemon stops.
pub async fn run(office: Office, name: String, cloud: Arc<dyn Cloud>) {
    let stop = office.stop.clone();
    let mut desk = Desk {
        abilities: cloud.abilities(),
        office,
        name,
        cloud,
        paces: HashMap::new(),
        asking: FuturesUnordered::new(),
        sending: FuturesUnordered::new(),
        send_at: Monotonic::default(),
        send_back_off: BackOff::default(),
        hearing: Hearing::default(),
        is_linked: false,
    };
    desk.serve(&stop).await;
    // A create that is on its way is finished and committed: its answer names the invoice.
    while let Some(heard) = desk.sending.next().await {
        desk.sent(heard);
    }
}

impl Desk {
    async fn serve(&mut self, stop: &Stop) {
        let mut ear = self.office.listen();
        let mut reach = self.office.tunnel.listen();
        while !stop.is_given() {
            let next = match self.step().await {
                Ok(next) => next,
                Err(Fault::Stopping) => return,
                Err(fault) => {
                    warn!(cloud = %self.name, %fault, "the ledger did not take a step");
                    Some(self.office.clock.now().plus(RESEND_PAUSE_MAX))
                }
            };
            let clock = self.office.clock.clone();
            tokio::select! {
                biased;
                () = stop.wait() => {}
                nudges = ear.changed_of(&["attempt", "inbox"]) => {
                    for nudge in nudges {
                        if let Some(pace) = self.paces.get_mut(&AttemptId(nudge)) {
                            pace.next = Monotonic::default();
                        }
                    }
                }
                Some(heard) = self.asking.next() => self.heard(heard),
                Some(heard) = self.sending.next() => self.sent(heard),
                // The office holds the other side.
                _changed = reach.changed() => {
                    let reach = *reach.borrow_and_update();
                    self.reach_changed(reach);
                }
                () = until(&clock, next) => {}
            }
        }
    }

    /// Notices do not come from now on, or they do again.
    fn reach_changed(&mut self, reach: Reach) {
        if reach != Reach::Down {
            return;
        }
        self.hearing.lost_the_way();
        let now = self.office.clock.now();
        for pace in self.paces.values_mut().filter(|pace| pace.over.is_none() && !pace.asking) {
            let soon = now.plus(pause_at(now.since(pace.since), reach));
            pace.next = pace.next.min(soon);
        }
    }

    /// Whether the payments that were found by asking had their notices.
    fn listen_back(&mut self) -> Result<(), Fault> {
        let now = self.office.clock.now();
        while let Some(attempt) = self.hearing.due(now) {
            let (was_heard, newest) =
                self.office.look(|view| Ok((view.was_heard_of(attempt)?, view.newest_message(&self.name)?)))?;
            if self.hearing.judge(was_heard, newest) {
                warn!(cloud = %self.name, "three payments in a row were found by asking alone: does the cloud know our address?");
                self.note_link(self.is_linked);
            }
        }
        if self.hearing.is_alarmed() {
            let newest = self.office.look(|view| view.newest_message(&self.name))?;
            if self.hearing.hears(newest) {
                info!(cloud = %self.name, "notices come again");
                self.note_link(self.is_linked);
            }
        }
        Ok(())
    }

    /// Starts everything that is due now; returns the next deadline.
    async fn step(&mut self) -> Result<Option<Monotonic>, Fault> {
        self.listen_back()?;
        let rows = self.office.look(|view| view.watched(&self.name))?;
        self.paces.retain(|id, _| rows.iter().any(|row| row.id == *id));
        let now = self.office.clock.now();
        let mut deadlines = Vec::from_iter(self.hearing.next());
        let mut is_first = true;
        for row in &rows {
            if row.attempt.state == State::Planned {
                if let Some(dies) = self.lapse_unsent(row, now).await? {
                    if std::mem::take(&mut is_first) && self.sending.is_empty() {
                        if self.send_at <= now { self.send(row.clone()) } else { deadlines.push(self.send_at) }
                    }
                    deadlines.push(dies);
                }
                continue;
            }
            if self.is_over(row, now).await? {
                continue;
            }
            if row.attempt.state == State::Sent {
                if self.sending.is_empty() {
                    // The ledger refused what came of the create (disk full): from here it is only asked about.
                    self.conclude(row.id, Event::Unknown(Reason::new("interrupted", ""))).await?;
                }
                continue;
            }
            let is_nameless = row.attempt.handle.is_none() && !self.abilities.find;
            let (room, pace) = (self.asking.len() < INQUIRIES_MAX, self.pace(row.id, now));
            if pace.asking || is_nameless {
                continue;
            }
            if pace.next > now {
                deadlines.push(pace.next);
            } else if room {
                pace.asking = true;
                pace.next = now.plus(LATE_WATCH);
                self.ask(row.clone());
            }
        }
        // The ends above are far apart: a look each half minute finds them.
        deadlines.push(now.plus(RESEND_PAUSE_MAX));
        Ok(earliest(deadlines))
    }

    /// An invoice that was never sent in its life is over. Otherwise, when it will be.
    async fn lapse_unsent(&mut self, row: &AttemptRow, now: Monotonic) -> Result<Option<Monotonic>, Fault> {
        let life = self.abilities.life;
        let dies = self.pace(row.id, now).since.plus(life);
        // Its life began with the call, also before a restart. Only a time of day that was set from the network may judge that; else its
        // life begins anew (I6, F12).
        let age_ms = self.office.clock.wall().0.saturating_sub(row.created.0);
        let is_old = self.office.clock.trust() == Trust::Synced
            && u128::try_from(age_ms).is_ok_and(|age_ms| age_ms >= life.as_millis());
        if dies > now && !is_old {
            return Ok(Some(dies));
        }
        self.conclude(row.id, Event::Lapsed(Reason::new("never_sent", ""))).await?;
        Ok(None)
    }

    /// Ends the asking: a day after the end of an invoice (F05); a lost create that nobody ever heard of, that long after its life.
    async fn is_over(&mut self, row: &AttemptRow, now: Monotonic) -> Result<bool, Fault> {
        let (id, life, find) = (row.id, self.abilities.life, self.abilities.find);
        let is_live = row.attempt.state.is_live();
        let pace = self.pace(id, now);
        if !is_live {
            let over = *pace.over.get_or_insert(now);
            // Time alone ends nothing: the partner's record must have been read after it.
            let is_nameless = row.attempt.handle.is_none() && !find;
            if is_nameless && now.since(over) < LAST_WATCH {
                return Ok(false);
            }
            let heard_late = pace.heard.map(|heard| heard.since(over)).unwrap_or_default();
            if heard_late >= LATE_WATCH && !std::mem::replace(&mut pace.claim_checked, true) {
                self.office.writer.decide(move |tx| reconcile::ask_about_claim(tx, id)).await?;
            }
            if !is_nameless && heard_late < LAST_WATCH {
                return Ok(false);
            }
            self.office.writer.decide(move |tx| reconcile::stop_watching(tx, id)).await?;
            return Ok(true);
        }
        let is_lost = row.attempt.state == State::Unresolved && row.attempt.handle.is_none() && !find;
        if is_lost && now.since(pace.since) >= life + LATE_WATCH {
            self.conclude(id, Event::Lapsed(Reason::new("never_heard", ""))).await?;
            return Ok(true);
        }
        Ok(false)
    }

    fn pace(&mut self, id: AttemptId, now: Monotonic) -> &mut Pace {
        self.paces.entry(id).or_insert(Pace {
            since: now,
            next: now,
            over: None,
            claim_checked: false,
            heard: None,
            back_off: BackOff::default(),
            asking: false,
            searches: 0,
        })
    }

    /// Sends the oldest unsent invoice: intent committed, then the act, then what came of it.
    fn send(&mut self, row: AttemptRow) {
        let (office, cloud) = (self.office.clone(), self.cloud.clone());
        self.sending.push(Box::pin(async move {
            let id = row.id;
            let (state, link) = match create(&office, cloud.as_ref(), row).await {
                Ok((state, link)) => (Ok(state), link),
                Err(fault) => (Err(fault), true),
            };
            Heard { id, state, link }
        }));
    }

    fn sent(&mut self, heard: Heard) {
        let now = self.office.clock.now();
        self.note_link(heard.link);
        match heard.state {
            // Back in the queue: the link is down, and the order of invoices is kept.
            Ok(State::Planned) | Err(_) => self.send_at = now.plus(self.send_back_off.pause(RESEND_PAUSE_MAX)),
            Ok(
                State::Sent
                | State::Waiting
                | State::Paid
                | State::Failed
                | State::Cancelled
                | State::Expired
                | State::Unresolved,
            ) => {
                self.send_back_off.reset();
                self.send_at = now;
                if let Some(pace) = self.paces.get_mut(&heard.id) {
                    pace.since = now;
                    pace.next = now.plus(pause_at(Duration::ZERO, self.office.tunnel.reach()));
                }
            }
        }
    }

    fn ask(&mut self, row: AttemptRow) {
        let (office, cloud) = (self.office.clone(), self.cloud.clone());
        let now = office.clock.now();
        let pace = self.pace(row.id, now);
        let age = now.since(pace.since);
        pace.searches += u32::from(row.attempt.handle.is_none());
        let is_searched = age >= SEARCH_FOR && pace.searches >= SEARCHES_MIN;
        let is_overdue = age >= self.abilities.life + Duration::from_secs(60);
        let late = Late { is_searched, is_overdue };
        self.asking.push(Box::pin(async move {
            let id = row.id;
            let (state, link) = match inquire(&office, cloud.as_ref(), row, late).await {
                Ok((state, link)) => (Ok(state), link),
                Err(fault) => (Err(fault), true),
            };
            Heard { id, state, link }
        }));
    }

    fn heard(&mut self, heard: Heard) {
        let now = self.office.clock.now();
        self.note_link(heard.link);
        let reach = self.office.tunnel.reach();
        if heard.state.as_ref().is_ok_and(|state| *state == State::Paid) {
            self.hearing.paid(heard.id, reach, now);
        }
        let Some(pace) = self.paces.get_mut(&heard.id) else {
            return;
        };
        // A notice that came while we asked has set `next` to now: ask once more.
        let was_nudged = pace.asking && pace.next == Monotonic::default();
        pace.asking = false;
        let is_live = heard.state.as_ref().is_ok_and(|state| state.is_live());
        let is_late = pace.over.is_some_and(|over| now.since(over) >= LATE_WATCH);
        let regular = match (is_live, is_late) {
            (true, _) => pause_at(now.since(pace.since), reach),
            (false, false) => Duration::from_secs(60),
            (false, true) => LATE_PACE,
        };
        pace.next = if heard.link && heard.state.is_ok() {
            pace.back_off.reset();
            pace.heard = Some(now);
            if was_nudged { now } else { now.plus(regular) }
        } else {
            now.plus(pace.back_off.pause(RESEND_PAUSE_MAX).max(regular))
        };
    }

    fn note_link(&mut self, is_up: bool) {
        self.is_linked = is_up;
        let (state, code) = match is_up {
            true if self.hearing.is_alarmed() => ("warn", "webhooks_missing"),
            true => ("up", ""),
            false => ("down", "link_lost"),
        };
        self.office.devices.set(&self.name, "cloud", state, code, "");
    }

    async fn conclude(&mut self, id: AttemptId, event: Event) -> Result<(), Fault> {
        conclude(&self.office, id, event).await.map(drop)
    }
}

/// F10: each 3 s for 2 minutes, each 10 s to 10 minutes, then each minute; at first each 2 s where notices are known not to come.
fn pause_at(age: Duration, reach: Reach) -> Duration {
    Duration::from_secs(match age.as_secs() {
        0..120 if reach == Reach::Down => 2,
        0..120 => 3,
        120..600 => 10,
        _ => 60,
    })
}

async fn conclude(office: &Office, id: AttemptId, event: Event) -> Result<State, Fault> {
    let rules = office.rules.clone();
    let row = office.writer.decide(move |tx| collect::conclude(tx, &rules, id, event)).await?;
    Ok(row.attempt.state)
}

async fn create(office: &Office, cloud: &dyn Cloud, row: AttemptRow) -> Result<(State, bool), Fault> {
    let (id, rules) = (row.id, office.rules.clone());
    let sending = rules.clone();
    let Some(row) = office.writer.decide(move |tx| collect::send(tx, &sending, id)).await? else {
        return Ok((State::Sent, true));
    };
    let ask = Collect {
        amount: row.attempt.amount,
        reference: row.reference.clone(),
        description: row.description.clone(),
        phone: row.phone.clone(),
    };
    match cloud.create(&ask).await {
        Outcome::Done(record) => {
            info!(attempt = %row.reference, invoice = %record.handle, "the invoice is with the guest");
            let handle = record.handle.clone();
            let row = office.decide_surely(move |tx| collect::accepted(tx, &rules, id, handle.clone())).await?;
            if matches!(record.standing, Standing::Pending(_)) {
                return Ok((row.attempt.state, true));
            }
            Ok((conclude(office, id, event_of(record.standing)).await?, true))
        }
        Outcome::Refused(reason) => {
            warn!(attempt = %row.reference, %reason, "the cloud refused the invoice");
            office.devices.set(&row.via, "cloud", "up", &reason.code, &reason.detail);
            let event = Event::Declined(reason);
            let state = office.writer.decide(move |tx| collect::refused_at_create(tx, &rules, id, event)).await?;
            Ok((state.attempt.state, true))
        }
        Outcome::NotSent(reason) => {
            Ok((conclude(office, id, Event::NotSent(Reason::new(&reason.code, ""))).await?, false))
        }
        Outcome::Unknown(reason) => {
            warn!(attempt = %row.reference, %reason, "whether the invoice was created is unknown");
            Ok((conclude(office, id, Event::Unknown(reason)).await?, false))
        }
    }
}

/// What may be concluded from silence by now.
#[derive(Clone, Copy)]
struct Late {
    /// A create that was not found was never made.
    is_searched: bool,
    /// The invoice should have ended by itself.
    is_overdue: bool,
}

async fn inquire(office: &Office, cloud: &dyn Cloud, row: AttemptRow, late: Late) -> Result<(State, bool), Fault> {
    let Late { is_searched, is_overdue } = late;
    let found = match &row.attempt.handle {
        Some(handle) => cloud.inquire(handle).await.map(Some),
        None => cloud.find(&row.reference).await,
    };
    match found {
        Outcome::Done(Some(InvoiceRecord { handle, standing, .. })) => {
            if matches!(standing, Standing::Pending(_)) && is_overdue {
                // Long past its life and still not ended by the partner: unclear, so that a person is asked (I11). The asking goes on.
                let unclear = Event::Unknown(Reason::new("overdue", ""));
                return Ok((conclude(office, row.id, unclear).await?, true));
            }
            if row.attempt.handle.is_none() {
                let (id, rules) = (row.id, office.rules.clone());
                office.writer.decide(move |tx| collect::accepted(tx, &rules, id, handle)).await?;
            }
            Ok((conclude(office, row.id, event_of(standing)).await?, true))
        }
        Outcome::Done(None) if !is_searched => Ok((row.attempt.state, true)),
        // Surely none there: the create never arrived.
        Outcome::Done(None) => {
            Ok((conclude(office, row.id, Event::Declined(Reason::new("not_created", ""))).await?, true))
        }
        Outcome::Refused(reason) => {
            warn!(attempt = %row.reference, %reason, "the cloud does not show the invoice");
            office.devices.set(&row.via, "cloud", "up", &reason.code, &reason.detail);
            Ok((row.attempt.state, true))
        }
        // The link is down: the guest may have paid or not. It stays as it is, until its life is over without an answer.
        Outcome::NotSent(reason) | Outcome::Unknown(reason) if is_overdue && row.attempt.state == State::Waiting => {
            Ok((conclude(office, row.id, Event::Unknown(Reason::new(&reason.code, ""))).await?, false))
        }
        Outcome::NotSent(_) | Outcome::Unknown(_) => Ok((row.attempt.state, false)),
    }
}

fn event_of(standing: Standing) -> Event {
    match standing {
        Standing::Pending(_) => Event::Pending,
        Standing::Paid(evidence) => Event::Settled(evidence),
        Standing::Failed(reason) => Event::Declined(reason),
        Standing::Cancelled(reason) => Event::Withdrawn(reason),
        Standing::Expired(reason) => Event::Lapsed(reason),
        Standing::Unclear(reason) => Event::Unknown(reason),
    }
}
