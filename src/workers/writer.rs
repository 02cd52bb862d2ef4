//! The way to the ledger's only writer. Flows that arrive while a commit is on its way to the disk share the next one; each caller is
//! told after the commit that holds its flow, never before (I8).

use crate::host::clock::Clock;
use crate::ledger::{Change, Errand, Fault, Ledger, Tx};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Flows that may wait for the writer; more callers wait in front of the queue.
const QUEUE_MAX: usize = 1024;

/// Flows that share one commit at most: enough for a flood, little enough to keep the first of them quick.
const SHARED_MAX: usize = 256;

/// The way to decide.
#[derive(Clone)]
pub struct Writer(mpsc::Sender<Box<dyn Errand>>);

/// The end of the queue that the writer's thread takes from.
pub struct Queue(mpsc::Receiver<Box<dyn Errand>>);

struct Call<T, F> {
    flow: Option<F>,
    answer: Option<T>,
    caller: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Errand for Call<T, F>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Fault> {
        let flow = self.flow.take().ok_or(Fault::Stopping)?;
        self.answer = Some(flow(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), Fault>) {
        let Call { answer, caller, .. } = *self;
        // A caller that went away (a closed connection) needs no answer; the commit stands.
        let _told = caller.send(committed.and_then(|()| answer.ok_or(Fault::Stopping))).is_ok();
    }
}

impl Writer {
    /// A way to decide, and the end of the queue for the writer's thread.
    pub fn pair() -> (Writer, Queue) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Writer(sender), Queue(receiver))
    }

    /// Runs one flow and returns after its commit.
    pub async fn decide<T: Send + 'static>(
        &self,
        flow: impl FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (caller, answer) = oneshot::channel();
        let call = Call { flow: Some(flow), answer: None, caller };
        self.0.send(Box::new(call)).await.map_err(|_| Fault::Stopping)?;
        answer.await.map_err(|_| Fault::Stopping)?
    }
}

/// The writer's thread: takes what is waiting, decides it in one commit, tells the callers and everybody who listens. Ends when all
/// ways to it are gone.
pub fn run(mut ledger: Ledger, mut queue: Queue, clock: &Clock, changes: &broadcast::Sender<Change>) {
    while let Some(first) = queue.0.blocking_recv() {
        let mut errands = vec![first];
        while errands.len() < SHARED_MAX {
            match queue.0.try_recv() {
                Ok(errand) => errands.push(errand),
                Err(_) => break,
            }
        }
        match ledger.decide_all(clock.wall(), errands) {
            // Nobody listening is no fault: the rows are there.
            Some(made) => made.into_iter().for_each(|change| drop(changes.send(change))),
            None => return,
        }
    }
}
