//! What is counted of strangers, and when it is too much (F15). Only what is not rightly signed is ever counted: a genuine notice gets
//! its 200 in any flood. Ten within a minute alarm the owner, who sees a chip on the page; sixty, and the rest of the minute hears 429.

use super::Faces;
use crate::host::clock::{Clock, Monotonic};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::warn;

/// Forgeries within a window before the rest of them get 429.
pub const FORGED_MAX: u32 = 60;

/// Forgeries within a window that are worth an alarm.
pub const ALARM_AT: u32 = 10;

/// The window.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Strangers' probes that are answered at once, and each second after that.
pub const PROBES_PER_S: u32 = 20;

/// The device under which the page and `/metrics` show the alarm.
const DEVICE: &str = "webhooks";

/// Counts forgeries: bodies with a wrong signature, or calls with a wrong key.
#[derive(Debug, Default)]
pub struct Flood {
    window: Mutex<Window>,
    total: AtomicU64,
}

#[derive(Debug, Default)]
struct Window {
    from: Monotonic,
    count: u32,
    alarmed: Option<Monotonic>,
}

/// What one more forgery means.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgery {
    /// The rest of the window gets 429.
    pub is_flood: bool,
    /// The first of its window is worth a line in the log, with how many the window before held.
    pub before: Option<u32>,
    /// It is the one that raises the alarm.
    pub is_alarm: bool,
}

impl Flood {
    /// Counts one more.
    pub fn count(&self, clock: &Clock) -> Forgery {
        self.total.fetch_add(1, Ordering::Relaxed);
        let now = clock.now();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = window.count == 0 || now.since(window.from) >= WINDOW;
        let before = is_first.then_some(window.count);
        if is_first {
            (window.from, window.count) = (now, 0);
        }
        window.count = window.count.saturating_add(1);
        if window.count >= ALARM_AT {
            window.alarmed = Some(now);
        }
        Forgery { is_flood: window.count > FORGED_MAX, before, is_alarm: window.count == ALARM_AT }
    }

    /// How many since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How long ago the last one came that is part of an alarm; `None` without one.
    fn alarmed(&self, clock: &Clock) -> Option<Duration> {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.alarmed.map(|at| clock.now().since(at))
    }
}

/// Lets so many through a second, and as many at once.
#[derive(Debug)]
pub struct Bucket {
    per_s: u32,
    /// What is left, in thousandths of a call, and when that was counted.
    left: Mutex<(u64, Monotonic)>,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_s: u32) -> Bucket {
        Bucket { per_s, left: Mutex::new((u64::from(per_s) * 1000, Monotonic::default())) }
    }

    /// Whether one more may pass.
    pub fn take(&self, clock: &Clock) -> bool {
        let now = clock.now();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        // A thousandth of a call comes back with each millisecond, times the calls a second.
        let ms = u64::try_from(now.since(left.1).as_millis()).unwrap_or(u64::MAX);
        if ms > 0 {
            let full = u64::from(self.per_s) * 1000;
            *left = (left.0.saturating_add(ms.saturating_mul(u64::from(self.per_s))).min(full), now);
        }
        let may_pass = left.0 >= 1000;
        if may_pass {
            left.0 -= 1000;
        }
        may_pass
    }
}

/// All that is counted of strangers.
#[derive(Debug)]
pub struct Strangers {
    /// Bodies with a missing or wrong signature.
    pub bodies: Flood,
    /// Calls with a missing or wrong key.
    pub keys: Flood,
    /// Probes that are not ours.
    pub probes: Bucket,
    alarm: Notify,
}

impl Default for Strangers {
    fn default() -> Strangers {
        Strangers {
            bodies: Flood::default(),
            keys: Flood::default(),
            probes: Bucket::new(PROBES_PER_S),
            alarm: Notify::new(),
        }
    }
}

impl Strangers {
    /// Counts a body; says whether it is part of a flood.
    pub fn forged_body(&self, clock: &Clock, door: &str) -> bool {
        let forgery = self.bodies.count(clock);
        if let Some(before) = forgery.before {
            warn!(
                door,
                before, "a body with a missing or wrong signature; more of them within a minute are only counted"
            );
        }
        self.told(&forgery)
    }

    /// Counts a call without a right key; says whether it is part of a flood.
    pub fn wrong_key(&self, clock: &Clock) -> bool {
        let forgery = self.keys.count(clock);
        if let Some(before) = forgery.before {
            warn!(before, "a call with a missing or wrong API key; more of them within a minute are only counted");
        }
        self.told(&forgery)
    }

    fn told(&self, forgery: &Forgery) -> bool {
        if forgery.is_alarm {
            warn!(
                bodies = self.bodies.total(),
                keys = self.keys.total(),
                "ten forgeries within a minute: is a webhook secret out of date, or is somebody trying the door?"
            );
            self.alarm.notify_one();
        }
        forgery.is_flood
    }

    /// How long ago the last forgery of an alarm came.
    fn alarmed(&self, clock: &Clock) -> Option<Duration> {
        [self.bodies.alarmed(clock), self.keys.alarmed(clock)].into_iter().flatten().min()
    }
}

/// Shows the alarm on the page while it lasts, and takes it away a window after the last forgery.
pub async fn watch(faces: Arc<Faces>) {
    let office = &faces.office;
    let watch = async {
        loop {
            faces.strangers.alarm.notified().await;
            let total = faces.strangers.bodies.total().saturating_add(faces.strangers.keys.total());
            office.devices.set(DEVICE, DEVICE, "warn", "forged", &total.to_string());
            while let Some(left) = faces
                .strangers
                .alarmed(&office.clock)
                .and_then(|since| WINDOW.checked_sub(since))
                .filter(|left| !left.is_zero())
            {
                office.clock.sleep(left).await;
            }
            office.devices.set(DEVICE, DEVICE, "up", "", "");
        }
    };
    tokio::select! {
        biased;
        () = office.stop.wait() => {}
        () = watch => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;

    #[test]
    fn forgeries_are_told_once_a_window_with_the_count_of_the_one_before() {
        let (clock, flood) = (Clock::manual(Wall(0)), Flood::default());
        assert_eq!(flood.count(&clock), Forgery { is_flood: false, before: Some(0), is_alarm: false });
        for number in 2..=FORGED_MAX {
            let due = Forgery { is_flood: false, before: None, is_alarm: number == ALARM_AT };
            assert_eq!(flood.count(&clock), due);
        }
        assert_eq!(flood.count(&clock), Forgery { is_flood: true, before: None, is_alarm: false });
        assert_eq!(flood.alarmed(&clock), Some(Duration::ZERO));
        clock.advance(WINDOW);
        let due = Forgery { is_flood: false, before: Some(FORGED_MAX + 1), is_alarm: false };
        assert_eq!(flood.count(&clock), due);
        assert_eq!(flood.alarmed(&clock), Some(WINDOW), "a single one is no alarm");
        assert_eq!(flood.total(), u64::from(FORGED_MAX) + 2);
    }

    #[test]
    fn a_bucket_fills_with_time_and_never_above_its_rim() {
        let (clock, bucket) = (Clock::manual(Wall(0)), Bucket::new(20));
        let passed = |tries: u32| (0..tries).filter(|_| bucket.take(&clock)).count();
        assert_eq!(passed(100), 20);
        for _ in 0..10 {
            clock.advance(Duration::from_millis(5));
            assert!(!bucket.take(&clock) || clock.now().0.as_millis().is_multiple_of(50));
        }
        clock.advance(Duration::from_secs(3600));
        assert_eq!(passed(100), 20);
    }
}
