//! The open wire to a printer, with what is on its way back: one reader for the whole stream, and a count of the questions that are
//! answered in sequence, so that the answer behind an older document is never the proof of a newer one.

use crate::drivers::printer::status::{self, Finding, PrintName, Question, Said};
use crate::host::clock::Clock;
use crate::transport::Loss;
use crate::transport::wire::Wire;
use std::time::Duration;

/// How long a printer has for a real-time answer; a model that needs longer counts as one that never answers.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// How long late answers are waited for before a question: what was said to an older question is no answer to this one.
const LATE_SPAN: Duration = Duration::from_millis(20);

/// How long a printer has to throw away what it holds.
const CLEAR_LIMIT: Duration = Duration::from_secs(1);

/// The longest wait for a printer that has nothing to say.
const QUIET_SPAN: Duration = Duration::from_secs(3_600);

/// An open wire.
pub struct Link {
    wire: Wire,
    reader: status::Reader,
    clock: Clock,
    /// Answers in sequence that are still to come.
    owed: u32,
}

impl Link {
    /// A wire that was just opened: what comes first on it was said to somebody else.
    pub async fn new(mut wire: Wire, clock: Clock) -> Result<Link, Loss> {
        wire.drain().await?;
        Ok(Link { wire, reader: status::Reader::new(), clock, owed: 0 })
    }

    /// What the printer says within a span; empty when it says nothing.
    pub async fn hear(&mut self, span: Duration) -> Result<Vec<Said>, Loss> {
        let bytes = self.wire.read_some(span).await?;
        Ok(self.read(&bytes))
    }

    /// Waits until the printer says something by itself.
    pub async fn listen(&mut self) -> Result<Vec<Said>, Loss> {
        self.hear(QUIET_SPAN).await
    }

    /// Sends a job and returns what the printer said meanwhile.
    pub async fn send(&mut self, job: &[u8]) -> Result<Vec<Said>, Loss> {
        let mut heard = Vec::new();
        self.wire.send_job(job, &mut heard).await?;
        Ok(self.read(&heard))
    }

    /// Asks one real-time question. `None`: no answer in time.
    pub async fn ask(&mut self, question: Question) -> Result<Option<Finding>, Loss> {
        self.wire.ask(question.bytes()).await?;
        let mut heard = Finding::READY;
        let until = self.clock.now().plus(ANSWER_LIMIT);
        loop {
            let left = until.since(self.clock.now());
            if left.is_zero() {
                return Ok(None);
            }
            for said in self.hear(left).await? {
                match said {
                    Said::RealTime(byte) => {
                        if let Some(finding) = question.read(byte) {
                            return Ok(Some(heard.and(finding)));
                        }
                    }
                    Said::Unasked(bytes) => heard = status::unasked(bytes),
                    Said::Sequential(_) | Said::Block(..) | Said::Flow(_) | Said::Garbage(_) => {}
                }
            }
        }
    }

    /// Asks how the printer is: paper, then what stops it, then which error where there is one. `None`: it does not answer.
    pub async fn examine(&mut self) -> Result<Option<Finding>, Loss> {
        while !self.hear(LATE_SPAN).await?.is_empty() {}
        let mut all = Finding::READY;
        for question in status::BEFORE {
            let Some(finding) = self.ask(question).await? else { return Ok(None) };
            all = all.and(finding);
        }
        if all.error
            && let Some(finding) = self.ask(Question::Error).await?
        {
            all = all.and(finding);
        }
        Ok(Some(all))
    }

    /// Sends a question without waiting for its answer.
    pub async fn put(&mut self, question: Question) -> Result<(), Loss> {
        self.wire.ask(question.bytes()).await?;
        self.owed += u32::from(question == Question::Fence);
        Ok(())
    }

    /// Asks to be told when everything before it is on paper.
    pub async fn put_name(&mut self, name: PrintName) -> Result<(), Loss> {
        self.wire.ask(&status::tell_when_printed(name)).await
    }

    /// Whether the last of the answers in sequence has come with this byte.
    pub fn is_last_answer(&mut self) -> bool {
        let was_owed = self.owed > 0;
        self.owed = self.owed.saturating_sub(1);
        was_owed && self.owed == 0
    }

    /// Waits until everything that was sent before is processed, at most a span. A printer that lost some of it answers fewer questions:
    /// after the last of them it is silent.
    pub async fn settle(&mut self, limit: Duration, silence: Duration) -> Result<(), Loss> {
        self.put(Question::Fence).await?;
        let until = self.clock.now().plus(limit);
        let mut has_answered = false;
        while self.owed > 0 {
            let left = until.since(self.clock.now());
            let said = self.hear(if has_answered { silence.min(left) } else { left }).await?;
            if said.is_empty() {
                break;
            }
            for _answer in said.iter().filter(|said| matches!(said, Said::Sequential(_))) {
                has_answered = true;
                self.owed = self.owed.saturating_sub(1);
            }
        }
        self.owed = 0;
        Ok(())
    }

    /// Has the printer throw away what it holds; whether it says that it did.
    pub async fn clear(&mut self) -> Result<bool, Loss> {
        self.wire.ask(&status::CLEAR).await?;
        let until = self.clock.now().plus(CLEAR_LIMIT);
        loop {
            let left = until.since(self.clock.now());
            if left.is_zero() {
                return Ok(false);
            }
            let said = self.hear(left).await?;
            if said.iter().any(|said| matches!(said, Said::Block(head, content) if status::is_cleared(*head, content)))
            {
                self.owed = 0;
                return Ok(true);
            }
        }
    }

    /// Asks to be told of changes unasked; whether the printer does so.
    pub async fn tell_unasked(&mut self) -> Result<bool, Loss> {
        self.wire.ask(&status::TELL_UNASKED).await?;
        let until = self.clock.now().plus(ANSWER_LIMIT);
        loop {
            let left = until.since(self.clock.now());
            if left.is_zero() {
                return Ok(false);
            }
            if self.hear(left).await?.iter().any(|said| matches!(said, Said::Unasked(_))) {
                return Ok(true);
            }
        }
    }

    /// Closes kindly; an error means that the tail of a job may be missing.
    pub async fn finish(self) -> Result<(), Loss> {
        self.wire.finish().await
    }

    fn read(&mut self, bytes: &[u8]) -> Vec<Said> {
        bytes.iter().filter_map(|byte| self.reader.push(*byte)).collect()
    }
}
