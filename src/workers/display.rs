//! One customer display, one task. What it shows is a view of the ledger: the newest live attempt, "paid" for ten seconds, then the shop's
//! name. It writes only when that changes. Nobody waits for it: a display that is away is a grey device, and is found again by its
//! address – under another name too (F22) – while money goes on.

use super::{BackOff, Office, earliest, until};
use crate::domain::attempt::{Evidence, State};
use crate::domain::ids::AttemptId;
use crate::domain::money::Tiyn;
use crate::domain::order::Tender;
use crate::drivers::display::{Face, Lines, Panel};
use crate::host::clock::Monotonic;
use crate::ledger::{Fault, View};
use crate::transport::Loss;
use crate::transport::address::Address;
use crate::transport::discover;
use crate::transport::wire::{Limits, Wire};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tracing::info;

/// How long the guest may read that it came.
const PAID_SPAN: Duration = Duration::from_secs(10);

/// How long the guest is asked to wait for something unclear; it may stay unclear for a day, and another guest stands there.
const UNCLEAR_SPAN: Duration = Duration::from_secs(180);

/// The pace of a link that runs, two characters a second.
const STEP: Duration = Duration::from_millis(500);

/// How often a display is looked for while nothing is written: it says nothing itself when it is pulled out.
const LOOK_GAP: Duration = Duration::from_secs(2);

/// The longest pause while it is away.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Newest attempts that can still have a face.
const NEWEST: u32 = 16;

/// A display takes 50 bytes at once or never.
const LIMITS: Limits = Limits {
    open: Duration::from_secs(1),
    chunk: Duration::from_secs(2),
    chunk_bytes: 1024,
    finish: Duration::from_secs(1),
};

/// An attempt as the guest may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    id: AttemptId,
    state: State,
    /// Since when it stands so, as far as this task saw; `None`: since before it began.
    since: Option<Monotonic>,
    order: String,
    amount: Tiyn,
    paid: Option<Tiyn>,
    change: Option<Tiyn>,
    tender: Tender,
    link: Option<String>,
}

struct Pole {
    office: Office,
    name: String,
    address: Address,
    panel: Panel,
    terminal: Option<String>,
    /// When each of the newest attempts came into its state.
    since: Option<BTreeMap<AttemptId, (State, Option<Monotonic>)>>,
    line: Option<Line>,
    back_off: BackOff,
    open_at: Monotonic,
}

/// An open display and what it shows.
struct Line {
    wire: Wire,
    node: Option<PathBuf>,
    shown: Option<(Face, Lines)>,
}

/// Serves one display until the daemon stops.
pub async fn run(office: Office, name: String, address: Address, panel: Panel, terminal: Option<String>) {
    let open_at = office.clock.now();
    let (since, line, back_off) = (None, None, BackOff::default());
    Pole { office, name, address, panel, terminal, since, line, back_off, open_at }.serve().await;
}

impl Pole {
    async fn serve(&mut self) {
        let (clock, stop) = (self.office.clock.clone(), self.office.stop.clone());
        let mut ear = self.office.listen();
        let begun = clock.now();
        while !stop.is_given() {
            let now = clock.now();
            let seen = self.seen(now).unwrap_or_default();
            let (face, face_ends) = face(&seen, &self.office.rules.shop, now);
            let is_running = self.panel.is_running(&face);
            let step = usize::try_from(now.since(begun).as_millis() / STEP.as_millis()).unwrap_or(0);
            self.show(face, step).await;
            let gap = if is_running && self.line.is_some() { STEP } else { LOOK_GAP };
            let wake = if self.line.is_some() { clock.now().plus(gap) } else { self.open_at };
            tokio::select! {
                biased;
                () = stop.wait() => {}
                _ = ear.changed_of(&["attempt"]) => {}
                () = until(&clock, earliest(face_ends.into_iter().chain([wake]))) => {}
            }
        }
        // A sum that nobody asks for any more must not stay on the pole; one that is away keeps it.
        if self.line.is_some() {
            self.show(Face::Idle { shop: self.office.rules.shop.clone() }, 0).await;
        }
    }

    /// The attempts of this display. What was paid before the task began is old news.
    fn seen(&mut self, now: Monotonic) -> Result<Vec<Seen>, Fault> {
        let terminal = self.terminal.clone();
        let mut seen = self.office.look(|view| rows(view, terminal.as_deref()))?;
        let before = self.since.take();
        for one in &mut seen {
            let known = before.as_ref().map(|before| before.get(&one.id));
            one.since = match known {
                None => None,
                Some(Some((state, since))) if *state == one.state => *since,
                Some(_) => Some(now),
            };
        }
        self.since = Some(seen.iter().map(|one| (one.id, (one.state, one.since))).collect());
        Ok(seen)
    }

    /// Makes the display show a face, if it is there.
    async fn show(&mut self, face: Face, step: usize) {
        if self.is_gone() {
            self.line = None;
            self.lost("it was unplugged, or is plugged in elsewhere now");
        }
        if self.line.is_none() && self.office.clock.now() >= self.open_at {
            self.open().await;
        }
        let Some(line) = &mut self.line else { return };
        let lines = self.panel.lines(&face, step);
        let bytes = match &line.shown {
            Some((_, shown)) if *shown == lines => return,
            Some((old, _)) if *old == face => self.panel.upper(&lines),
            Some(_) | None => self.panel.bytes(&lines),
        };
        match line.wire.write_all(&bytes).await {
            Ok(()) => {
                line.shown = Some((face, lines));
                self.back_off.reset();
                self.office.devices.set(&self.name, "display", "up", "", "");
            }
            Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => {
                self.line = None;
                self.lost(&detail.to_string());
            }
        }
    }

    /// Whether what we hold is no longer what the address means.
    fn is_gone(&self) -> bool {
        self.line.as_ref().is_some_and(|line| discover::whereabouts(&self.address).ok() != Some(line.node.clone()))
    }

    async fn open(&mut self) {
        let node = discover::whereabouts(&self.address).ok().flatten();
        match Wire::open(&self.address, LIMITS, &self.office.clock).await {
            Ok(wire) => {
                info!(display = %self.name, node = ?node, "the display is there");
                self.line = Some(Line { wire, node, shown: None });
            }
            Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => self.lost(&detail.to_string()),
        }
    }

    fn lost(&mut self, detail: &str) {
        self.open_at = self.office.clock.now().plus(self.back_off.pause(PAUSE_MAX));
        self.office.devices.set(&self.name, "display", "down", "display_off", detail);
    }
}

/// The attempts that may have a face, oldest first.
fn rows(view: View<'_>, terminal: Option<&str>) -> Result<Vec<Seen>, Fault> {
    let mut rows = view.newest_attempts(None, NEWEST)?;
    let live = view.watched_all()?;
    rows.extend(live.into_iter().filter(|row| row.attempt.state.is_live()));
    rows.retain(|row| terminal.is_none_or(|terminal| row.via == terminal));
    rows.sort_by_key(|row| row.id);
    rows.dedup_by_key(|row| row.id);
    let seen = rows.into_iter().map(|row| {
        let number = view.order(row.order)?.snapshot.number;
        Ok(Seen {
            id: row.id,
            state: row.attempt.state,
            since: None,
            order: number,
            amount: row.attempt.amount,
            paid: row.attempt.evidence.as_ref().map(|evidence| evidence.amount),
            change: row.attempt.evidence.as_ref().and_then(change_of),
            tender: row.tender,
            // Where a partner's name of a payment is a link, that is what the guest opens.
            link: row.attempt.handle.map(|handle| handle.0).filter(|handle| handle.starts_with("https://")),
        })
    });
    seen.collect()
}

/// What went back of the notes that the guest handed over.
fn change_of(evidence: &Evidence) -> Option<Tiyn> {
    evidence.tendered.and_then(|tendered| tendered.checked_sub(evidence.amount)).filter(|change| *change > Tiyn::ZERO)
}

/// What the guest sees now, and when that ends by itself.
fn face(seen: &[Seen], shop: &str, now: Monotonic) -> (Face, Option<Monotonic>) {
    for one in seen.iter().rev() {
        let until = |span| one.since.map(|since: Monotonic| since.plus(span)).filter(|end| *end > now);
        match one.state {
            State::Planned | State::Sent | State::Waiting => {
                let (order, link) = (one.order.clone(), one.link.clone());
                return (Face::Pay { order, amount: one.amount, tender: one.tender, link }, None);
            }
            State::Paid => {
                if let Some(end) = until(PAID_SPAN) {
                    let paid = Face::Paid { amount: one.paid.unwrap_or(one.amount) };
                    return (one.change.map_or(paid, |change| Face::Change { change }), Some(end));
                }
            }
            State::Unresolved => {
                if let Some(end) = until(UNCLEAR_SPAN) {
                    return (Face::Unclear, Some(end));
                }
            }
            State::Failed | State::Cancelled | State::Expired => {}
        }
    }
    (Face::Idle { shop: shop.to_owned() }, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: i64, state: State, since_s: Option<u64>) -> Seen {
        let since = since_s.map(|since| Monotonic(Duration::from_secs(since)));
        let (order, amount) = (id.to_string(), Tiyn(id * 100));
        let (id, tender) = (AttemptId(id), Tender::KaspiTerminal);
        Seen { id, state, since, order, amount, paid: None, change: None, tender, link: None }
    }

    fn shown(seen: &[Seen], now_s: u64) -> (Face, Option<u64>) {
        let (face, end) = face(seen, "Дастархан", Monotonic(Duration::from_secs(now_s)));
        (face, end.map(|end| end.0.as_secs()))
    }

    #[test]
    fn the_newest_live_attempt_is_asked_for_and_paid_stays_ten_seconds() {
        let idle = (Face::Idle { shop: "Дастархан".to_owned() }, None);
        let pay = |id: i64| Face::Pay {
            order: id.to_string(),
            amount: Tiyn(id * 100),
            tender: Tender::KaspiTerminal,
            link: None,
        };
        assert_eq!(shown(&[], 5), idle);
        let two = [one(1, State::Waiting, None), one(2, State::Sent, None)];
        assert_eq!(shown(&two, 5), (pay(2), None));
        // The second is paid: said for ten seconds, then the first is asked for again.
        let two = [one(1, State::Waiting, None), one(2, State::Paid, Some(5))];
        assert_eq!(shown(&two, 14), (Face::Paid { amount: Tiyn(200) }, Some(15)));
        assert_eq!(shown(&two, 15), (pay(1), None));
        // The first is paid late, while the second is asked for: the guest in front counts.
        let two = [one(1, State::Paid, Some(5)), one(2, State::Waiting, None)];
        assert_eq!(shown(&two, 6), (pay(2), None));
        // What was paid before the daemon started is no news.
        assert_eq!(shown(&[one(1, State::Paid, None)], 1), idle);
        assert_eq!(shown(&[one(1, State::Failed, Some(1))], 1), idle);
    }

    #[test]
    fn f25_the_change_is_shown_where_some_goes_back() {
        let with = |change| Seen { change, ..one(7, State::Paid, Some(10)) };
        assert_eq!(shown(&[with(Some(Tiyn(90_000)))], 11).0, Face::Change { change: Tiyn(90_000) });
        assert_eq!(shown(&[with(None)], 11).0, Face::Paid { amount: Tiyn(700) });
    }

    #[test]
    fn unclear_is_said_and_does_not_stay_for_the_next_guest() {
        let seen = [one(1, State::Unresolved, Some(10))];
        assert_eq!(shown(&seen, 11), (Face::Unclear, Some(190)));
        assert_eq!(shown(&seen, 190).0, Face::Idle { shop: "Дастархан".to_owned() });
    }
}
