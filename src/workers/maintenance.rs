//! What nobody else owns: a person is asked when an attempt stayed unclear (I11), orphans are matched again or become questions (F02).

use super::{Office, earliest, until};
use crate::domain::attempt::State;
use crate::domain::ids::{AttemptId, InboxId, RefundId};
use crate::domain::refund;
use crate::domain::time::Wall;
use crate::flows::{intake, reconcile, refund as give_back};
use crate::host::clock::Monotonic;
use crate::host::floor::Trust;
use crate::ledger::Fault;
use crate::ledger::people::Place;
use std::collections::HashMap;
use std::time::Duration;
use tracing::{info, warn};

/// A time of day that moved by more than this against the monotonic clock has jumped.
const JUMP_MS: u64 = 60_000;

/// The pause between two looks at the clock.
const CLOCK_LOOK: Duration = Duration::from_secs(30);

/// The pause between two rounds.
const ROUND: Duration = Duration::from_secs(5);

/// An attempt unclear for this long: a person may answer.
const UNCLEAR_FOR: Duration = Duration::from_secs(120);

/// A message without an attempt for this long: a person is asked.
const ORPHAN_FOR: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Since {
    unclear: HashMap<AttemptId, Monotonic>,
    refunds: HashMap<RefundId, Monotonic>,
    orphans: HashMap<InboxId, Monotonic>,
}

/// What was seen of the machine's clock.
#[derive(Default)]
struct Seen {
    last: Option<(Wall, Monotonic)>,
    is_shown: bool,
}

/// Rows of one step of the forgetting: a commit of a few milliseconds.
const FORGET_ROWS: u32 = 50;

/// The pause between two steps, and until a payment that is under way is over.
const FORGET_PAUSE: Duration = Duration::from_secs(2);

/// The pause between two walks, and before the first.
const FORGET_EVERY: Duration = Duration::from_secs(6 * 3600);
const FORGET_FIRST: Duration = Duration::from_secs(600);

/// Makes its rounds until the daemon stops; words about people are kept for so many days.
pub async fn run(office: Office, kept_days: u32) {
    let stop = office.stop.clone();
    tokio::select! {
        biased;
        () = stop.wait() => {}
        () = rounds(&office) => {}
        () = clock_looks(&office) => {}
        () = forgetting(&office, kept_days) => {}
    }
}

/// Blanks what was kept of people for long enough, a few rows at a time, while nobody pays.
async fn forgetting(office: &Office, kept_days: u32) {
    let mut pause = FORGET_FIRST;
    loop {
        office.clock.sleep(pause).await;
        pause = FORGET_EVERY;
        // A clock that nobody has set must not decide what is old (F12).
        if office.clock.trust() != Trust::Synced {
            continue;
        }
        let before = office.clock.wall().plus_ms(-i64::from(kept_days) * 86_400_000);
        for place in Place::ALL {
            match forget(office, place, before).await {
                Ok(0) => {}
                Ok(blanked) => info!(?place, blanked, kept_days, "words about people were forgotten"),
                Err(fault) => warn!(?place, %fault, "words about people could not be forgotten: trying again later"),
            }
        }
    }
}

/// A guest stands at the counter; what stays unclear for days does not.
fn is_under_way(state: State) -> bool {
    state.is_live() && state != State::Unresolved
}

/// One walk over a table; returns how many rows were blanked.
async fn forget(office: &Office, place: Place, before: Wall) -> Result<usize, Fault> {
    let done = office.look(|view| view.people_done(place))?;
    let (mut after, mut kept, mut blanked) = (done, None, 0);
    loop {
        while office.look(|view| view.watched_all())?.iter().any(|row| is_under_way(row.attempt.state)) {
            office.clock.sleep(FORGET_PAUSE).await;
        }
        let step = office.writer.decide(move |tx| tx.forget_people(place, after, before, FORGET_ROWS)).await?;
        blanked += step.blanked;
        kept = kept.or(step.kept);
        after = step.after;
        if step.is_end {
            break;
        }
        office.clock.sleep(FORGET_PAUSE).await;
    }
    // Up to the first row that somebody still works on nothing needs to be looked at again.
    let upto = kept.map_or(after, |kept| kept - 1);
    if upto > done || blanked > 0 {
        office.writer.decide(move |tx| tx.people_are_done(place, upto)).await?;
    }
    Ok(blanked)
}

/// Looks when something changed or becomes due, and no more often than each [`ROUND`]: a quiet shop costs nothing.
async fn rounds(office: &Office) {
    let mut since = Since::default();
    let mut ear = office.listen();
    loop {
        let next = round(office, &mut since).await.unwrap_or_else(|fault| {
            warn!(%fault, "a round of maintenance failed");
            Some(office.clock.now())
        });
        office.clock.sleep(ROUND).await;
        tokio::select! {
            biased;
            () = until(&office.clock, next) => {}
            _ = ear.changed_of(&["attempt", "refund", "inbox"]) => {}
        }
    }
}

/// Looks at the clock each minute; no query, no row while all is well.
async fn clock_looks(office: &Office) {
    let mut seen = Seen::default();
    loop {
        if let Err(fault) = watch_clock(office, &mut seen).await {
            warn!(%fault, "a jump of the clock could not be put on record");
        }
        office.clock.sleep(CLOCK_LOOK).await;
    }
}

/// Tells of a time of day that jumped, that is behind the labels, or that nobody has set yet (F12). Nothing else follows from it.
async fn watch_clock(office: &Office, seen: &mut Seen) -> Result<(), Fault> {
    let (wall, now) = (office.clock.told_wall(), office.clock.now());
    if let Some((last, at)) = seen.last.replace((wall, now)) {
        let should = last.plus_ms(i64::try_from(now.since(at).as_millis()).unwrap_or(i64::MAX));
        if should.0.abs_diff(wall.0) > JUMP_MS {
            office.writer.decide(move |tx| reconcile::clock_jumped(tx, should, wall)).await?;
        }
    }
    let code = match office.clock.trust() {
        Trust::Unsynced => "clock",
        Trust::Unknown if office.clock.behind_ms() > i64::try_from(JUMP_MS).unwrap_or(i64::MAX) => "clock_behind",
        Trust::Unknown | Trust::Synced => "",
    };
    if !code.is_empty() || seen.is_shown {
        seen.is_shown = true;
        let date = office.rules.paper_time(wall);
        office.devices.set("clock", "clock", if code.is_empty() { "up" } else { "warn" }, code, &date);
    }
    Ok(())
}

/// Asks about everything that waits for long enough; returns when the next becomes due.
async fn round(office: &Office, since: &mut Since) -> Result<Option<Monotonic>, Fault> {
    let now = office.clock.now();
    let mut due = Vec::new();
    let unclear: Vec<AttemptId> = office.look(|view| {
        let rows = view.watched_all()?.into_iter();
        Ok(rows.filter(|row| row.attempt.state == State::Unresolved).map(|row| row.id).collect())
    })?;
    since.unclear.retain(|id, _| unclear.contains(id));
    for id in unclear {
        let asked_at = since.unclear.entry(id).or_insert(now).plus(UNCLEAR_FOR);
        if asked_at <= now {
            office.writer.decide(move |tx| reconcile::ask_a_person(tx, id)).await?;
        } else {
            due.push(asked_at);
        }
    }
    let refunds: Vec<RefundId> = office.look(|view| {
        let rows = view.watched_refunds_all()?.into_iter();
        Ok(rows.filter(|row| row.refund.state == refund::State::Unresolved).map(|row| row.id).collect())
    })?;
    since.refunds.retain(|id, _| refunds.contains(id));
    for id in refunds {
        let asked_at = since.refunds.entry(id).or_insert(now).plus(UNCLEAR_FOR);
        if asked_at <= now {
            office.writer.decide(move |tx| give_back::ask_a_person(tx, id)).await?;
        } else {
            due.push(asked_at);
        }
    }
    let orphans: Vec<InboxId> = office.look(|view| Ok(view.orphans()?.iter().map(|orphan| orphan.id).collect()))?;
    since.orphans.retain(|id, _| orphans.contains(id));
    for id in orphans {
        let asked_at = since.orphans.entry(id).or_insert(now).plus(ORPHAN_FOR);
        if asked_at <= now {
            office.writer.decide(move |tx| intake::ask_about_orphan(tx, id)).await?;
        } else {
            due.push(asked_at);
        }
    }
    Ok(earliest(due))
}
