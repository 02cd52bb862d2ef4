//! The time floor (F12): a box without a battery clock wakes up in the past, and what was labelled once is never labelled earlier again.
//! Labels go on from the last commit at the pace of the monotonic clock until the time of day has caught up, or the machine says that
//! its time is synchronised: then the time of day is believed as it is. Labels only: nothing about money waits for them (I6).

use super::clock::Monotonic;
use crate::domain::time::Wall;
use std::sync::{Mutex, PoisonError};

/// What systemd-timesyncd makes when it has set the clock; its folder is there as soon as it runs.
const SYNCED: &str = "/run/systemd/timesync/synchronized";

/// What is known of the machine's time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Set from the network.
    Synced,
    /// A service that sets it runs, and has not yet.
    Unsynced,
    /// Nobody tells: another service, or none.
    Unknown,
}

/// The floor under the labels.
#[derive(Debug, Default)]
pub struct Floor(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last label, and when it was given.
    last: Option<(Wall, Monotonic)>,
    /// What a test says instead of the machine.
    told: Option<Trust>,
}

impl Floor {
    /// No label is earlier than this one from here on.
    pub fn note(&self, label: Wall, now: Monotonic) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = Some((label, now));
    }

    /// The label for a moment at which the time of day is `wall`.
    pub fn label(&self, wall: Wall, now: Monotonic) -> Wall {
        if self.trust() == Trust::Synced {
            return wall;
        }
        self.lowest(now).map_or(wall, |lowest| wall.max(lowest))
    }

    /// The earliest label that may be given now; `None` before the first.
    pub fn lowest(&self, now: Monotonic) -> Option<Wall> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (label, at) = state.last?;
        Some(label.plus_ms(i64::try_from(now.since(at).as_millis()).unwrap_or(i64::MAX)))
    }

    /// Whether the time of day may be believed.
    pub fn trust(&self) -> Trust {
        if let Some(told) = self.0.lock().unwrap_or_else(PoisonError::into_inner).told {
            return told;
        }
        let synced = std::path::Path::new(SYNCED);
        match (synced.exists(), synced.parent().is_some_and(std::path::Path::exists)) {
            (true, _) => Trust::Synced,
            (false, true) => Trust::Unsynced,
            (false, false) => Trust::Unknown,
        }
    }

    /// Says what is known, instead of the machine: for tests and the demo.
    pub fn tell(&self, trust: Trust) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).told = Some(trust);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn f12_labels_go_on_from_the_last_one_until_the_clock_is_set() {
        let floor = Floor::default();
        floor.tell(Trust::Unknown);
        let at = |seconds| Monotonic(Duration::from_secs(seconds));
        let (noon, epoch) = (Wall(1_795_237_200_000), Wall(0));
        assert_eq!(floor.label(epoch, at(0)), epoch, "an empty ledger knows no better");
        floor.note(noon, at(1));
        assert_eq!(floor.label(epoch, at(1)), noon);
        assert_eq!(floor.label(epoch, at(61)), noon.plus_ms(60_000), "labels go on");
        assert_eq!(floor.label(noon.plus_ms(90_000), at(61)), noon.plus_ms(90_000), "a later time of day is believed");
        floor.tell(Trust::Synced);
        assert_eq!(floor.label(epoch, at(61)), epoch, "a clock that was set from the network is right");
    }
}
