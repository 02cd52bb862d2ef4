//! The executor of a simulated day: one thread, tasks polled in an order that the seed draws, each task with the life it belongs to. When a
//! daemon dies all tasks of its life are dropped between two polls, as a power cut would; the world's tasks go on.

use futures_util::future::BoxFuture;
use kassad::host::ids::Ids;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// The life of a task: the world's, or the number of a daemon.
pub type Life = u32;

/// The tasks of partners, guests and staff.
pub const WORLD: Life = 0;

#[derive(Default)]
struct Queue {
    fresh: Vec<(Life, BoxFuture<'static, ()>)>,
    ready: Vec<u64>,
}

/// Starts tasks from inside of tasks.
#[derive(Clone, Default)]
pub struct Hand(Arc<Mutex<Queue>>);

impl Hand {
    pub fn start(&self, life: Life, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().fresh.push((life, Box::pin(task)));
    }
}

struct Bell {
    task: u64,
    rung: AtomicBool,
    hand: Hand,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.hand.0.lock().unwrap().ready.push(self.task);
        }
    }
}

struct Task {
    life: Life,
    future: BoxFuture<'static, ()>,
    bell: Arc<Bell>,
}

pub struct Engine {
    hand: Hand,
    tasks: BTreeMap<u64, Task>,
    begun: u64,
    chance: Ids,
}

impl Engine {
    pub fn new(hand: Hand, seed: u64) -> Engine {
        Engine { hand, tasks: BTreeMap::new(), begun: 0, chance: Ids::seeded(seed ^ 0x0E4E) }
    }

    /// Polls one task that is ready; `false` when all wait.
    pub fn turn(&mut self) -> bool {
        let fresh = std::mem::take(&mut self.hand.0.lock().unwrap().fresh);
        for (life, future) in fresh {
            self.begun += 1;
            let bell = Arc::new(Bell { task: self.begun, rung: AtomicBool::new(true), hand: self.hand.clone() });
            self.tasks.insert(self.begun, Task { life, future, bell });
            self.hand.0.lock().unwrap().ready.push(self.begun);
        }
        let next = {
            let ready = &mut self.hand.0.lock().unwrap().ready;
            if ready.is_empty() {
                return false;
            }
            // Who waits for a stop is woken in an order that no seed knows.
            ready.sort_unstable();
            let place = if ready.len() == 1 { 0 } else { self.chance.below(ready.len() as u64) as usize };
            ready.remove(place)
        };
        let Some(task) = self.tasks.get_mut(&next) else { return true };
        task.bell.rung.store(false, Ordering::SeqCst);
        let waker = Waker::from(task.bell.clone());
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.tasks.remove(&next);
        }
        true
    }

    /// Ends all tasks of a life at once: nobody is told.
    pub fn kill(&mut self, life: Life) {
        // Ended without the lock: whoever waits for them is woken, and rings.
        let fresh = std::mem::take(&mut self.hand.0.lock().unwrap().fresh);
        let (ended, goes_on) = fresh.into_iter().partition::<Vec<_>, _>(|(of, _)| *of == life);
        self.hand.0.lock().unwrap().fresh.extend(goes_on);
        drop(ended);
        let ended: Vec<u64> = self.tasks.iter().filter(|(_, task)| task.life == life).map(|(id, _)| *id).collect();
        ended.iter().for_each(|id| drop(self.tasks.remove(id)));
    }
}
