//! What nobody else owns: a person is asked when an attempt stayed unclear (I11), orphans are matched again or become questions (F02).

use super::{Office, earliest, until};
use crate::domain::attempt::State;
use crate::domain::ids::{AttemptId, InboxId};
use crate::flows::{intake, reconcile};
use crate::host::clock::Monotonic;
use crate::ledger::Fault;
use std::collections::HashMap;
use std::time::Duration;
use tracing::warn;

/// The pause between two rounds.
const ROUND: Duration = Duration::from_secs(5);

/// An attempt unclear for this long: a person may answer.
const UNCLEAR_FOR: Duration = Duration::from_secs(120);

/// A message without an attempt for this long: a person is asked.
const ORPHAN_FOR: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Since {
    unclear: HashMap<AttemptId, Monotonic>,
    orphans: HashMap<InboxId, Monotonic>,
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
            _ = ear.changed_of(&["attempt", "inbox"]) => {}
        }
    }
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
