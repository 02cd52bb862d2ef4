//! The way to the ledger's only writer. Flows that arrive while a commit is on its way to the disk share the next one; each caller is
//! told after the commit that holds its flow, never before (I8).

use crate::host::clock::{Clock, Monotonic};
use crate::ledger::{Change, Errand, Fault, Ledger, Tx};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Flows that may wait for the writer; more callers wait in front of the queue.
const QUEUE_MAX: usize = 1024;

/// Flows that share one commit at most: enough for a flood, little enough to keep the first of them quick.
const SHARED_MAX: usize = 256;

/// A commit proves the ledger for this long; without one, the next question about it commits a probe.
const PROVEN_FOR: Duration = Duration::from_secs(60);

/// When a commit last became durable; `None` before the first, and from a failure until the next that holds.
type Proof = Arc<Mutex<Option<Monotonic>>>;

/// The way to decide.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn Errand>>,
    proof: Proof,
}

/// The end of the queue that the writer's thread takes from.
pub struct Queue {
    errands: mpsc::Receiver<Box<dyn Errand>>,
    proof: Proof,
}

struct Call<T, F> {
    flow: Option<F>,
    answer: Option<T>,
    caller: oneshot::Sender<Result<T, Fault>>,
    proof: Proof,
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
        let Call { answer, caller, proof, .. } = *self;
        if matches!(committed, Err(Fault::Storage(_))) {
            set(&proof, None);
        }
        // A caller that went away (a closed connection) needs no answer; the commit stands.
        let _told = caller.send(committed.and_then(|()| answer.ok_or(Fault::Stopping))).is_ok();
    }
}

impl Writer {
    /// A way to decide, and the end of the queue for the writer's thread.
    pub fn pair() -> (Writer, Queue) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let proof = Proof::default();
        (Writer { queue: sender, proof: proof.clone() }, Queue { errands: receiver, proof })
    }

    /// Runs one flow and returns after its commit.
    pub async fn decide<T: Send + 'static>(
        &self,
        flow: impl FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (caller, answer) = oneshot::channel();
        let call = Call { flow: Some(flow), answer: None, caller, proof: self.proof.clone() };
        self.queue.send(Box::new(call)).await.map_err(|_| Fault::Stopping)?;
        answer.await.map_err(|_| Fault::Stopping)?
    }

    /// Whether the ledger takes commits, told by the last one. After a failure, and after a quiet minute, by a commit of its own; else
    /// the writer's thread only shows that it lives: a card wears.
    pub async fn prove(&self, clock: &Clock) -> Result<(), Fault> {
        let proven = *self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        if proven.is_some_and(|at| clock.now().since(at) < PROVEN_FOR) {
            return self.decide(|tx| tx.probe()).await;
        }
        self.decide(|tx| tx.probe_commit()).await?;
        set(&self.proof, Some(clock.now()));
        Ok(())
    }
}

fn set(proof: &Proof, at: Option<Monotonic>) {
    *proof.lock().unwrap_or_else(PoisonError::into_inner) = at;
}

/// The writer's thread: takes what is waiting, decides it in one commit, tells the callers and everybody who listens. Ends when all
/// ways to it are gone.
pub fn run(mut ledger: Ledger, mut queue: Queue, clock: &Clock, changes: &broadcast::Sender<Change>) {
    while let Some(first) = queue.errands.blocking_recv() {
        if !decide_waiting(&mut ledger, &mut queue, first, clock, changes) {
            return;
        }
    }
}

/// The same as a task, for a simulation that has no threads.
pub async fn serve(mut ledger: Ledger, mut queue: Queue, clock: Clock, changes: broadcast::Sender<Change>) {
    while let Some(first) = queue.errands.recv().await {
        if !decide_waiting(&mut ledger, &mut queue, first, &clock, &changes) {
            return;
        }
    }
}

/// Decides what is waiting in one commit; `false` when a crash test closed the gate.
fn decide_waiting(
    ledger: &mut Ledger,
    queue: &mut Queue,
    first: Box<dyn Errand>,
    clock: &Clock,
    changes: &broadcast::Sender<Change>,
) -> bool {
    let mut errands = vec![first];
    while errands.len() < SHARED_MAX {
        match queue.errands.try_recv() {
            Ok(errand) => errands.push(errand),
            Err(_) => break,
        }
    }
    let label = clock.wall();
    let Some(made) = ledger.decide_all(label, errands) else {
        return false;
    };
    if !made.is_empty() {
        clock.note_label(label);
        set(&queue.proof, Some(clock.now()));
    }
    // Nobody listening is no fault: the rows are there.
    made.into_iter().for_each(|change| drop(changes.send(change)));
    true
}
