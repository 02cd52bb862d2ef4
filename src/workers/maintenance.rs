//! What nobody else owns: a person is asked when an attempt stayed unclear (I11), orphans are matched again or become questions (F02).

use super::Office;
use crate::domain::attempt::State;
use crate::domain::ids::{AttemptId, InboxId, RefundId};
use crate::domain::refund;
use crate::domain::time::Wall;
use crate::flows::{intake, reconcile, refund as give_back};
use crate::host::clock::Monotonic;
use crate::host::floor::Trust;
use crate::ledger::Fault;
use std::collections::HashMap;
use std::time::Duration;
use tracing::warn;

/// A time of day that moved by more than this against the monotonic clock has jumped.
const JUMP_MS: u64 = 60_000;

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
    clock: Option<(Wall, Monotonic)>,
    is_clock_shown: bool,
}

/// Makes its rounds until the daemon stops.
pub async fn run(office: Office) {
    let stop = office.stop.clone();
    tokio::select! {
        biased;
        () = stop.wait() => {}
        () = rounds(&office) => {}
    }
}

async fn rounds(office: &Office) {
    let mut since = Since::default();
    loop {
        if let Err(fault) = round(office, &mut since).await {
            warn!(%fault, "a round of maintenance failed");
        }
        office.clock.sleep(ROUND).await;
    }
}

/// Tells of a time of day that jumped, that is behind the labels, or that nobody has set yet (F12). Nothing else follows from it.
async fn watch_clock(office: &Office, since: &mut Since) -> Result<(), Fault> {
    let (wall, now) = (office.clock.told_wall(), office.clock.now());
    if let Some((last, at)) = since.clock.replace((wall, now)) {
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
    if !code.is_empty() || since.is_clock_shown {
        since.is_clock_shown = true;
        let date = office.rules.paper_time(wall);
        office.devices.set("clock", "clock", if code.is_empty() { "up" } else { "warn" }, code, &date);
    }
    Ok(())
}

async fn round(office: &Office, since: &mut Since) -> Result<(), Fault> {
    watch_clock(office, since).await?;
    let now = office.clock.now();
    let unclear: Vec<AttemptId> = office.look(|view| {
        let rows = view.watched_all()?.into_iter();
        Ok(rows.filter(|row| row.attempt.state == State::Unresolved).map(|row| row.id).collect())
    })?;
    since.unclear.retain(|id, _| unclear.contains(id));
    for id in unclear {
        if now.since(*since.unclear.entry(id).or_insert(now)) >= UNCLEAR_FOR {
            office.writer.decide(move |tx| reconcile::ask_a_person(tx, id)).await?;
        }
    }
    let refunds: Vec<RefundId> = office.look(|view| {
        let rows = view.watched_refunds_all()?.into_iter();
        Ok(rows.filter(|row| row.refund.state == refund::State::Unresolved).map(|row| row.id).collect())
    })?;
    since.refunds.retain(|id, _| refunds.contains(id));
    for id in refunds {
        if now.since(*since.refunds.entry(id).or_insert(now)) >= UNCLEAR_FOR {
            office.writer.decide(move |tx| give_back::ask_a_person(tx, id)).await?;
        }
    }
    let orphans: Vec<InboxId> = office.look(|view| Ok(view.orphans()?.iter().map(|orphan| orphan.id).collect()))?;
    since.orphans.retain(|id, _| orphans.contains(id));
    for id in orphans {
        if now.since(*since.orphans.entry(id).or_insert(now)) >= ORPHAN_FOR {
            office.writer.decide(move |tx| intake::ask_about_orphan(tx, id)).await?;
        }
    }
    Ok(())
}
