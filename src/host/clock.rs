//! The only reader of clocks. Deadlines are monotonic; wall time labels (I6). Tests and the demo bring their own clock.

use super::floor::{Floor, Trust};
use crate::domain::time::Wall;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point of monotonic time, since the clock was made.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// This point plus a span.
    pub fn plus(self, span: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(span))
    }

    /// The span from an earlier point to this one; zero if it is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The limit passed before the awaited thing happened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// The time of one daemon: the machine's, a faster one for the demo, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>, Arc<Floor>);

#[derive(Debug)]
enum Kind {
    Machine { start: Instant },
    Fast { start: Instant, wall: Wall, factor: u32 },
    Manual(Mutex<Manual>),
}

/// A clock that stands, and who waits for it.
#[derive(Debug)]
struct Manual {
    now: Monotonic,
    wall: Wall,
    waits: BTreeMap<(Monotonic, u64), Waker>,
    /// Waits begun so far: those for the same point are woken in the order in which they began.
    begun: u64,
}

impl Clock {
    /// The machine's own clocks.
    #[allow(clippy::disallowed_methods)]
    pub fn machine() -> Clock {
        Clock(Arc::new(Kind::Machine { start: Instant::now() }), Arc::default())
    }

    /// A clock that runs `factor` times as fast as the machine's: the demo's lunch in a minute.
    #[allow(clippy::disallowed_methods)]
    pub fn fast(factor: u32) -> Clock {
        let fast = Kind::Fast { start: Instant::now(), wall: machine_wall(), factor: factor.max(1) };
        Clock(Arc::new(fast), Arc::default())
    }

    /// A clock that stands until it is moved; its wall time starts where told.
    pub fn manual(wall: Wall) -> Clock {
        let standing = Manual { now: Monotonic::default(), wall, waits: BTreeMap::new(), begun: 0 };
        let clock = Clock(Arc::new(Kind::Manual(Mutex::new(standing))), Arc::default());
        clock.tell_trust(Trust::Unknown);
        clock
    }

    /// The point of monotonic time now.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> Monotonic {
        match &*self.0 {
            Kind::Machine { start } => Monotonic(start.elapsed()),
            Kind::Fast { start, factor, .. } => Monotonic(start.elapsed() * *factor),
            Kind::Manual(manual) => lock(manual).now,
        }
    }

    /// The time of day now: a label, never earlier than the last one that was committed, unless the machine's clock was set since (F12).
    pub fn wall(&self) -> Wall {
        self.1.label(self.told_wall(), self.now())
    }

    /// A label was committed: the time of day does not fall behind it.
    pub fn note_label(&self, label: Wall) {
        self.1.note(label, self.now());
    }

    /// How far the machine's time of day is behind the labels, in milliseconds; 0 when it is not.
    pub fn behind_ms(&self) -> i64 {
        self.1.lowest(self.now()).map_or(0, |lowest| lowest.0.saturating_sub(self.told_wall().0)).max(0)
    }

    /// Whether the machine's time of day may be believed.
    pub fn trust(&self) -> Trust {
        self.1.trust()
    }

    /// Says whether the time of day may be believed, instead of the machine: for tests.
    pub fn tell_trust(&self, trust: Trust) {
        self.1.tell(trust);
    }

    /// The time of day as the machine says it, right or wrong.
    pub fn told_wall(&self) -> Wall {
        match &*self.0 {
            Kind::Machine { .. } => machine_wall(),
            Kind::Fast { wall, .. } => wall.plus_ms(i64::try_from(self.now().0.as_millis()).unwrap_or(i64::MAX)),
            Kind::Manual(manual) => lock(manual).wall,
        }
    }

    /// Waits for a span of this clock's time.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now().plus(span)).await;
    }

    /// Waits for a point of this clock's time.
    #[allow(clippy::disallowed_methods)]
    pub async fn sleep_until(&self, point: Monotonic) {
        match &*self.0 {
            Kind::Machine { .. } => tokio::time::sleep(point.since(self.now())).await,
            Kind::Fast { factor, .. } => tokio::time::sleep(point.since(self.now()) / *factor).await,
            Kind::Manual(manual) => Wait { manual, point, place: None }.await,
        }
    }

    /// Waits for `future`, at most for a span of this clock's time.
    pub async fn limit<F: Future>(&self, span: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(span) => Err(Elapsed),
        }
    }

    /// Moves a manual clock, monotonic and wall alike; other clocks ignore it.
    pub fn advance(&self, span: Duration) {
        let Kind::Manual(manual) = &*self.0 else {
            return;
        };
        let reached = {
            let mut manual = lock(manual);
            manual.wall = manual.wall.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
            manual.now = manual.now.plus(span);
            let now = manual.now;
            let still = manual.waits.split_off(&(now, u64::MAX));
            std::mem::replace(&mut manual.waits, still)
        };
        reached.into_values().for_each(Waker::wake);
    }

    /// The next point that anybody waits for on a manual clock: a simulation goes there when nothing else is left to do.
    pub fn next_wake(&self) -> Option<Monotonic> {
        match &*self.0 {
            Kind::Manual(manual) => lock(manual).waits.keys().next().map(|(point, _)| *point),
            Kind::Machine { .. } | Kind::Fast { .. } => None,
        }
    }

    /// Sets the wall time of a manual clock without moving its monotonic time: a clock jump (F12).
    pub fn jump(&self, to: Wall) {
        if let Kind::Manual(manual) = &*self.0 {
            lock(manual).wall = to;
        }
    }
}

fn lock(manual: &Mutex<Manual>) -> MutexGuard<'_, Manual> {
    manual.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A wait for a point of a manual clock.
struct Wait<'a> {
    manual: &'a Mutex<Manual>,
    point: Monotonic,
    place: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut manual = lock(self.manual);
        if manual.now >= self.point {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            manual.begun += 1;
            manual.begun
        });
        manual.waits.insert((self.point, place), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            lock(self.manual).waits.remove(&(self.point, place));
        }
    }
}

#[allow(clippy::disallowed_methods)]
fn machine_wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
