//! The till software: reads the open orders into memory (no row is written for an order that nobody pays), and closes paid ones by
//! looking, closing once, and looking again (F24). A lost answer leads back to looking.

use super::{BackOff, Office, earliest, until};
use crate::domain::fiscal::Side;
use crate::domain::ids::JobId;
use crate::domain::order::{PosStanding, Snapshot, Tender};
use crate::domain::outcome::{Outcome, Reason};
use crate::drivers::{Closing, FiscalMark, Pos};
use crate::flows::settle::{self, Look};
use crate::flows::{Issuer, fiscal};
use crate::host::clock::Monotonic;
use crate::host::tasks::Stop;
use crate::ledger::fiscal::Act;
use crate::ledger::outbox::{JobRow, JobState};
use crate::ledger::{Fault, Tx};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// The pause between two looks at the open orders.
const POLL_GAP: Duration = Duration::from_secs(5);

/// The longest pause while the POS is away.
const POLL_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause before an order is tried to be closed again.
const CLOSE_PAUSE_MAX: Duration = Duration::from_secs(60);

/// A close whose effect was not seen is repeated no sooner: it may still be on its way in the POS, and what a second one does is nowhere
/// written down (`poster` §4).
const CLOSE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// So often a POS may say "done" and leave the order open before a person is asked.
const UNSEEN_CLOSES_MAX: i64 = 3;

/// Closes on their way at once.
const CLOSES_MAX: usize = 4;

/// Orders whose lines are read in one round of looks: an account bears about five calls a second.
const READS_PER_ROUND: usize = 8;

/// A snapshot this old may still be sold when the POS is away.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// Receipts that the POS is told of in one round.
const MARKS_MAX: u32 = 100;

/// The longest wait for the POS when the cashier stands at the order.
const READ_LIMIT: Duration = Duration::from_secs(6);

/// The open orders as last seen.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The orders with when they were last seen.
    pub orders: Vec<(Snapshot, Monotonic)>,
    /// Whether the POS answered the last look.
    pub is_up: bool,
    /// When it last answered.
    pub seen: Option<Monotonic>,
}

/// The POS as surfaces see it.
#[derive(Clone)]
pub struct Counter {
    office: Office,
    pos: Arc<dyn Pos>,
    board: Arc<watch::Sender<Board>>,
}

impl Counter {
    /// A counter over a POS.
    pub fn new(office: Office, pos: Arc<dyn Pos>) -> Counter {
        Counter { office, pos, board: Arc::new(watch::Sender::new(Board::default())) }
    }

    /// The open orders as last seen.
    pub fn board(&self) -> Board {
        self.board.borrow().clone()
    }

    /// Hears of changes of the board.
    pub fn listen(&self) -> watch::Receiver<Board> {
        self.board.subscribe()
    }

    /// An order as it stands now. With the POS away, a snapshot younger than a minute will do.
    pub async fn fresh(&self, foreign_id: &str) -> Outcome<Snapshot> {
        let read = self.office.clock.limit(READ_LIMIT, self.pos.read(foreign_id)).await;
        let away = match read {
            Ok(Outcome::Done(order)) => {
                return match order.standing {
                    PosStanding::Open => Outcome::Done(order.snapshot),
                    PosStanding::Closed { .. } => Outcome::Refused(Reason::new("pos_closed", foreign_id)),
                    PosStanding::Removed => Outcome::Refused(Reason::new("pos_removed", foreign_id)),
                };
            }
            Ok(Outcome::Refused(reason)) => return Outcome::Refused(reason),
            Ok(Outcome::NotSent(reason) | Outcome::Unknown(reason)) => reason,
            Err(_) => Reason::new("pos_away", "no answer"),
        };
        let now = self.office.clock.now();
        let board = self.board.borrow();
        let known =
            board.orders.iter().find(|(order, seen)| order.foreign_id == foreign_id && now.since(*seen) < FRESH_FOR);
        match known {
            Some((order, _)) => Outcome::Done(order.clone()),
            None => Outcome::NotSent(Reason::new("pos_away", away.detail)),
        }
    }
}

/// Serves one POS until the daemon stops.
pub async fn run(counter: Counter, name: String, poll_gap: Option<Duration>) {
    let stop = counter.office.stop.clone();
    let gap = poll_gap.unwrap_or(POLL_GAP);
    let polling = async {
        tokio::select! {
            biased;
            () = stop.wait() => {}
            () = poll(&counter, &name, gap) => {}
        }
    };
    let marking = async {
        tokio::select! {
            biased;
            () = stop.wait() => {}
            () = mark_all(&counter) => {}
        }
    };
    tokio::join!(polling, marking, close_all(&counter, &name, &stop));
}

async fn poll(counter: &Counter, name: &str, gap: Duration) {
    let mut back_off = BackOff::default();
    loop {
        let pause = match look_around(counter).await {
            Ok(()) => {
                back_off.reset();
                counter.office.devices.set(name, "pos", "up", "", "");
                gap
            }
            Err(reason) => {
                counter.office.devices.set(name, "pos", "down", &reason.code, &reason.detail);
                counter.board.send_modify(|board| board.is_up = false);
                back_off.pause(POLL_PAUSE_MAX).max(gap)
            }
        };
        counter.office.clock.sleep(pause).await;
    }
}

/// One look at the open orders; the lines of new and changed ones are read with it.
async fn look_around(counter: &Counter) -> Result<(), Reason> {
    // A clock that is or was wrong hides no order: from the earlier of the machine's time and the labels to the later one (F12).
    let (label, told) = (counter.office.clock.wall(), counter.office.clock.told_wall());
    let (first, last) = (label.min(told), label.max(told));
    // From the previous business day: a table opened at 23:50 is not lost at midnight.
    let from = counter.office.rules.day_start(counter.office.rules.day_start(first).plus_ms(-1));
    let listed = match counter.pos.open_orders(from, last).await {
        Outcome::Done(orders) => orders,
        Outcome::Refused(reason) | Outcome::NotSent(reason) | Outcome::Unknown(reason) => return Err(reason),
    };
    let now = counter.office.clock.now();
    let before = counter.board();
    let mut orders = Vec::with_capacity(listed.len());
    let mut reads = 0;
    for order in listed {
        let known = before.orders.iter().map(|(known, _)| known).find(|known| known.foreign_id == order.foreign_id);
        let with_lines = match known {
            Some(known) if known.due == order.due && !known.lines.is_empty() => Some(known.clone()),
            Some(_) | None if reads < READS_PER_ROUND => {
                reads += 1;
                match counter.pos.read(&order.foreign_id).await {
                    Outcome::Done(read) if read.standing == PosStanding::Open => Some(read.snapshot),
                    Outcome::Done(_) => continue,
                    Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => None,
                }
            }
            Some(_) | None => None,
        };
        orders.push((with_lines.unwrap_or(order), now));
    }
    counter.board.send_if_modified(|board| {
        let is_same = board.is_up
            && board.orders.len() == orders.len()
            && board.orders.iter().zip(&orders).all(|((old, _), (new, _))| old == new);
        *board = Board { orders, is_up: true, seen: Some(now) };
        !is_same
    });
    look_at_parts(counter).await
}

/// Orders that are paid in part: one that left the list, or shrank to what was paid, is read and decided about (F24).
async fn look_at_parts(counter: &Counter) -> Result<(), Reason> {
    let office = &counter.office;
    let waiting = office.look(|view| settle::waiting_parts(&view)).unwrap_or_default();
    for (order, stayed) in waiting.into_iter().take(READS_PER_ROUND) {
        let foreign_id = &order.snapshot.foreign_id;
        let listed = counter.board().orders.into_iter().map(|(listed, _)| listed);
        if listed.into_iter().any(|listed| listed.foreign_id == *foreign_id && listed.due > stayed) {
            continue;
        }
        match counter.pos.read(foreign_id).await {
            Outcome::Done(seen) => {
                let (rules, id) = (office.rules.clone(), order.id);
                let looked = office.writer.decide(move |tx| settle::part_look(tx, &rules, id, &seen)).await;
                if let Err(fault) = looked {
                    warn!(order = %foreign_id, %fault, "the ledger did not take what the POS says of a part");
                }
            }
            Outcome::Refused(reason) => warn!(order = %foreign_id, %reason, "the POS does not show an order in parts"),
            Outcome::NotSent(reason) | Outcome::Unknown(reason) => return Err(reason),
        }
    }
    Ok(())
}

/// Tells the POS of receipts that exist, so that it makes none: once the order is closed there, again until it hears it.
async fn mark_all(counter: &Counter) {
    let office = &counter.office;
    let mut ear = office.listen();
    let mut back_off = BackOff::default();
    loop {
        let due = office.look(|view| fiscal::marks(&view, MARKS_MAX)).unwrap_or_default();
        let mut is_away = false;
        for (row, order) in due {
            let side = if row.act == Act::Return { Side::Return } else { Side::Sale };
            let lines = order.snapshot.lines;
            let mark = FiscalMark { foreign_id: order.snapshot.foreign_id, side, lines, at: row.changed };
            let refused = match counter.pos.mark_fiscal(&mark).await {
                Outcome::Done(()) => None,
                Outcome::Refused(reason) => Some(reason),
                Outcome::NotSent(reason) | Outcome::Unknown(reason) => {
                    warn!(order = %mark.foreign_id, %reason, "the POS did not hear of a receipt");
                    is_away = true;
                    continue;
                }
            };
            let id = row.id;
            let noted = office.writer.decide(move |tx| fiscal::marked(tx, id, refused.as_ref())).await;
            if let Err(fault) = noted {
                warn!(document = %id, %fault, "the ledger did not take that the POS knows of a receipt");
                is_away = true;
                break;
            }
            back_off.reset();
        }
        let again = is_away.then(|| office.clock.now().plus(back_off.pause(CLOSE_PAUSE_MAX)));
        tokio::select! {
            biased;
            () = until(&office.clock, again) => {}
            _ = ear.changed_of(&["mark", "order"]), if again.is_none() => {}
        }
    }
}

struct Pace {
    next: Monotonic,
    back_off: BackOff,
    /// When a close went out whose effect was not seen.
    acted: Option<Monotonic>,
    busy: bool,
}

/// Ends between two closes: one that is on its way is finished and committed first.
async fn close_all(counter: &Counter, name: &str, stop: &Stop) {
    let office = &counter.office;
    let mut ear = office.listen();
    let mut paces: HashMap<JobId, Pace> = HashMap::new();
    let mut closing: FuturesUnordered<BoxFuture<'static, (JobId, Result<Next, Fault>)>> = FuturesUnordered::new();
    let mut is_first_look = true;
    while !stop.is_given() {
        let now = office.clock.now();
        let jobs = office.look(|view| view.open_jobs(name, 500)).unwrap_or_default();
        paces.retain(|id, pace| pace.busy || jobs.iter().any(|job| job.id == *id));
        let mut deadlines = Vec::new();
        for job in jobs {
            // A close that went out before a restart may still be on its way to the POS.
            let acted = (is_first_look && job.tries > 0).then_some(now);
            let fresh = Pace { next: now, back_off: BackOff::default(), acted, busy: false };
            let pace = paces.entry(job.id).or_insert(fresh);
            if pace.busy {
                continue;
            }
            if pace.next > now {
                deadlines.push(pace.next);
            } else if closing.len() < CLOSES_MAX {
                pace.busy = true;
                let may_act = pace.acted.is_none_or(|acted| now.since(acted) >= CLOSE_AGAIN_AFTER);
                let counter = counter.clone();
                closing.push(Box::pin(async move { (job.id, close(&counter, &job, may_act).await) }));
            }
        }
        is_first_look = false;
        let next = earliest(deadlines);
        tokio::select! {
            biased;
            () = stop.wait() => {}
            Some((id, outcome)) = closing.next() => note(office, &mut paces, id, outcome),
            _ = ear.changed_of(&["job"]) => {}
            () = until(&office.clock, next) => {}
        }
    }
    while let Some((id, outcome)) = closing.next().await {
        note(office, &mut paces, id, outcome);
    }
}

fn note(office: &Office, paces: &mut HashMap<JobId, Pace>, id: JobId, outcome: Result<Next, Fault>) {
    let now = office.clock.now();
    let Some(pace) = paces.get_mut(&id) else {
        return;
    };
    pace.busy = false;
    pace.next = match outcome {
        Ok(Next::Over) => now,
        Ok(Next::LookLater) => now.plus(pace.back_off.pause(CLOSE_PAUSE_MAX)),
        Ok(Next::ActedUnseen) => {
            pace.acted = Some(now);
            now.plus(pace.back_off.pause(CLOSE_PAUSE_MAX))
        }
        Err(fault) => {
            warn!(job = %id, %fault, "the ledger did not take what came of a close");
            now.plus(CLOSE_PAUSE_MAX)
        }
    };
}

/// What follows a try to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Closed, or a person's.
    Over,
    /// Nothing was done: look again later.
    LookLater,
    /// The close went out and its effect is not seen yet: look soon, act again only after a while.
    ActedUnseen,
}

/// One try to close: look; close what is open and unchanged; look again.
async fn close(counter: &Counter, job: &JobRow, may_act: bool) -> Result<Next, Fault> {
    let office = &counter.office;
    let (id, rules) = (job.id, office.rules.clone());
    let foreign_id = office.look(|view| view.order(job.order))?.snapshot.foreign_id;
    // A close that was begun before a restart or a lost answer counts as acted: what we find may be our own.
    let had_acted = job.tries > 0;
    let before = match seen(counter, &foreign_id).await {
        Ok(order) if order.standing == PosStanding::Open && !may_act => {
            if job.state == JobState::Sending {
                // Begun before a restart: the guest does not wait for the receipt until it may be begun again.
                let (rules, reason) = (rules.clone(), Reason::new("pos_still_open", ""));
                office.writer.decide(move |tx| settle::close_later(tx, &rules, id, &reason)).await?;
            }
            return Ok(Next::LookLater);
        }
        Ok(order) => order,
        Err(unseen) => return unseen_order(counter, id, unseen, Next::LookLater).await,
    };
    let looked = office.writer.decide(move |tx| settle::look(tx, &rules, id, &before, had_acted)).await?;
    let Look::Close { cash, cashless } = looked else {
        return Ok(Next::Over);
    };
    let is_fiscal_elsewhere = Tender::ALL.iter().any(|tender| office.rules.fiscal.issuer(*tender) != Issuer::Nobody);
    let rules = office.rules.clone();
    match counter.pos.close(&Closing { foreign_id: foreign_id.clone(), cash, cashless, is_fiscal_elsewhere }).await {
        Outcome::Done(()) => confirm(counter, id, &foreign_id).await,
        Outcome::Refused(reason) => {
            warn!(order = %foreign_id, %reason, "the POS refused to close");
            let order = seen(counter, &foreign_id).await.ok();
            let refused = move |tx: &Tx<'_>| settle::close_refused(tx, &rules, id, &reason, order.as_ref());
            office.writer.decide(refused).await.map(|()| Next::Over)
        }
        Outcome::NotSent(reason) => {
            office.writer.decide(move |tx| settle::close_later(tx, &rules, id, &reason)).await.map(|()| Next::LookLater)
        }
        Outcome::Unknown(reason) => {
            warn!(order = %foreign_id, %reason, "whether the POS closed is to be looked up");
            office
                .writer
                .decide(move |tx| settle::close_later(tx, &rules, id, &reason))
                .await
                .map(|()| Next::ActedUnseen)
        }
    }
}

/// Reads the order after the close: only the POS's own record makes it closed.
async fn confirm(counter: &Counter, id: JobId, foreign_id: &str) -> Result<Next, Fault> {
    let (office, rules) = (&counter.office, counter.office.rules.clone());
    match seen(counter, foreign_id).await {
        Ok(order) if order.standing == PosStanding::Open => {
            let (reason, tries) = (Reason::new("pos_still_open", ""), office.look(|view| view.job(id))?.tries);
            if tries >= UNSEEN_CLOSES_MAX {
                // It says "done" and stays open: a person has to look (I11).
                let refused = move |tx: &Tx<'_>| settle::close_refused(tx, &rules, id, &reason, None);
                return office.writer.decide(refused).await.map(|()| Next::Over);
            }
            office.writer.decide(move |tx| settle::close_later(tx, &rules, id, &reason)).await?;
            Ok(Next::ActedUnseen)
        }
        Ok(order) => {
            info!(order = %foreign_id, "closed in the POS");
            office.writer.decide(move |tx| settle::look(tx, &rules, id, &order, true)).await.map(|_| Next::Over)
        }
        Err(unseen) => unseen_order(counter, id, unseen, Next::ActedUnseen).await,
    }
}

/// The POS did not show the order: later again while it is away, a person's when it refuses to show it.
async fn unseen_order(counter: &Counter, id: JobId, unseen: Unseen, later: Next) -> Result<Next, Fault> {
    let (office, rules) = (&counter.office, counter.office.rules.clone());
    match unseen {
        Unseen::Away(reason) => {
            office.writer.decide(move |tx| settle::close_later(tx, &rules, id, &reason)).await.map(|()| later)
        }
        Unseen::Refused(reason) => {
            let refused = move |tx: &Tx<'_>| settle::close_refused(tx, &rules, id, &reason, None);
            office.writer.decide(refused).await.map(|()| Next::Over)
        }
    }
}

/// Why an order was not seen.
enum Unseen {
    Away(Reason),
    Refused(Reason),
}

async fn seen(counter: &Counter, foreign_id: &str) -> Result<crate::domain::order::PosOrder, Unseen> {
    match counter.pos.read(foreign_id).await {
        Outcome::Done(order) => Ok(order),
        Outcome::Refused(reason) => Err(Unseen::Refused(reason)),
        Outcome::NotSent(reason) | Outcome::Unknown(reason) => Err(Unseen::Away(reason)),
    }
}
