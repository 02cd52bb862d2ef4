//! How the lower floors ask for a task of their own: `daemon.rs` makes the spawner, so it alone decides what runs (law 4).

use futures_util::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

type Start = dyn Fn(BoxFuture<'static, ()>) + Send + Sync;

/// Starts tasks that end with their owner.
#[derive(Clone)]
pub struct Spawner(Arc<Start>);

impl Spawner {
    /// A spawner over the owner's way to start a task.
    pub fn new(start: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static) -> Spawner {
        Spawner(Arc::new(start))
    }

    /// Starts a task.
    pub fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.0)(Box::pin(task));
    }
}

/// The signal to stop, fanned out to everybody.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// The hand on the signal to stop.
#[derive(Debug)]
pub struct StopHand(watch::Sender<bool>);

impl Stop {
    /// A signal and the hand that gives it.
    pub fn pair() -> (StopHand, Stop) {
        let (hand, stop) = watch::channel(false);
        (StopHand(hand), Stop(stop))
    }

    /// Waits for the signal; a dropped hand is the signal too.
    pub async fn wait(&self) {
        let mut stop = self.0.clone();
        // An error means that the hand is gone, which is the signal as well.
        let _told = stop.wait_for(|told| *told).await;
    }

    /// Whether the signal was given.
    pub fn is_given(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl StopHand {
    /// Gives the signal.
    pub fn give(&self) {
        self.0.send_replace(true);
    }
}
