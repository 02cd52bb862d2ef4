//! What proves that paper came out, best first (escpos §3.3): its own name told back when it is printed, the answer to a fence behind it,
//! a printer that is well afterwards. Trouble that is heard before the proof interrupts: the document comes again, whole and marked.

use super::link::Link;
use super::{Desk, words};
use crate::domain::outcome::Reason;
use crate::drivers::printer::Ability;
use crate::drivers::printer::status::{self, Finding, PrintName, Question, Said, Trouble};
use crate::flows::print::Printed;
use crate::host::clock::Monotonic;
use crate::transport::Loss;
use crate::transport::address::Address;
use crate::transport::wire::Way;
use std::time::Duration;
use tracing::warn;

/// How long a printer has to process a job and say so.
const PROOF_LIMIT: Duration = Duration::from_secs(15);

/// Behind the answer to a fence, how long a printer has that may know the better proof: the paper comes out after the bytes are read.
const NAME_LIMIT: Duration = Duration::from_secs(3);

/// The pause between two looks at a printer that is at work.
const WORK_LOOK: Duration = Duration::from_secs(1);

/// What a printer said about a document that is out.
enum Verdict {
    Proven,
    Interrupted(Trouble),
    Silent,
}

/// Looks behind a job at a printer that proves nothing better, and the pause before each: 150 mm of paper at 50 mm a second.
const WEAK_LOOKS: u32 = 3;
const WEAK_LOOK_GAP: Duration = Duration::from_secs(1);

/// The wait for a proof.
struct Wait {
    name: PrintName,
    until: Monotonic,
    look_at: Monotonic,
    asked: Question,
    is_fenced: bool,
}

impl Desk {
    /// Waits for the proof of a document that was handed over; `said` came while it was.
    pub(super) async fn proof(&mut self, mut link: Link, said: &[Said], name: PrintName) -> Printed {
        let abilities = self.profile.status;
        if abilities.real_time != Ability::Yes {
            return self.one_way(link).await;
        }
        if let Some(trouble) = said.iter().find_map(trouble_told) {
            return self.interrupted(link, trouble).await;
        }
        if (abilities.process_id, abilities.fence) == (Ability::No, Ability::No) {
            return self.weaker_sign(link).await;
        }
        match self.wait(&mut link, name).await {
            Ok(Verdict::Proven) => {
                self.keep(link).await;
                Printed::Confirmed
            }
            Ok(Verdict::Interrupted(trouble)) => self.interrupted(link, trouble).await,
            Ok(Verdict::Silent) if abilities.process_id != Ability::Yes && abilities.fence == Ability::Unknown => {
                let printed = self.weaker_sign(link).await;
                if printed == Printed::Sent {
                    // Well, but it knows neither: it is not asked for them again.
                    self.profile.status.fence = Ability::No;
                    self.profile.status.process_id = Ability::No;
                }
                printed
            }
            Ok(Verdict::Silent) => Printed::Suspect(Reason::new("no_proof", "")),
            Err(loss) => lost(loss),
        }
    }

    async fn wait(&mut self, link: &mut Link, name: PrintName) -> Result<Verdict, Loss> {
        if self.profile.status.process_id != Ability::No {
            link.put_name(name).await?;
        }
        if self.profile.status.process_id != Ability::Yes {
            link.put(Question::Fence).await?;
        }
        let now = self.office.clock.now();
        let (until, look_at) = (now.plus(PROOF_LIMIT), now.plus(WORK_LOOK));
        let mut wait = Wait { name, until, look_at, asked: Question::Paper, is_fenced: false };
        loop {
            let now = self.office.clock.now();
            if now >= wait.until {
                return Ok(self.overdue(&wait));
            }
            if now >= wait.look_at {
                wait.asked = if wait.asked == Question::Paper { Question::Offline } else { Question::Paper };
                wait.look_at = now.plus(WORK_LOOK);
                link.put(wait.asked).await?;
            }
            let span = wait.until.min(wait.look_at).since(now);
            for said in link.hear(span).await? {
                if let Some(verdict) = self.weigh(link, &mut wait, &said) {
                    return Ok(verdict);
                }
            }
        }
    }

    /// What one thing that the printer said means for the document.
    fn weigh(&mut self, link: &mut Link, wait: &mut Wait, said: &Said) -> Option<Verdict> {
        match said {
            Said::Block(head, content) if status::printed(*head, content) == Some(wait.name) => {
                self.profile.status.process_id = Ability::Yes;
                Some(Verdict::Proven)
            }
            Said::Sequential(byte) if link.is_last_answer() => {
                if let Some(trouble) = Question::Fence.read(*byte).and_then(Finding::trouble) {
                    return Some(Verdict::Interrupted(trouble));
                }
                self.profile.status.fence = Ability::Yes;
                if self.profile.status.process_id == Ability::No {
                    return Some(Verdict::Proven);
                }
                wait.is_fenced = true;
                wait.until = self.office.clock.now().plus(NAME_LIMIT);
                None
            }
            Said::RealTime(byte) => {
                let trouble = wait.asked.read(*byte).and_then(Finding::trouble);
                trouble.map(Verdict::Interrupted)
            }
            Said::Unasked(_) => trouble_told(said).map(Verdict::Interrupted),
            Said::Sequential(_) | Said::Block(..) | Said::Flow(_) | Said::Garbage(_) => None,
        }
    }

    fn overdue(&mut self, wait: &Wait) -> Verdict {
        if !wait.is_fenced {
            return Verdict::Silent;
        }
        // It answers behind the job, and knows nothing better.
        self.profile.status.process_id = Ability::No;
        Verdict::Proven
    }

    /// Paper ended, or somebody opened the cover: what the printer still holds is thrown away where it can, else it comes out first when
    /// the printer goes on.
    async fn interrupted(&mut self, mut link: Link, trouble: Trouble) -> Printed {
        let (state, code) = words(trouble);
        self.show(state, code, "");
        self.holds_rest = true;
        if self.profile.status.process_id == Ability::Yes {
            match link.clear().await {
                Ok(is_cleared) => self.holds_rest = !is_cleared,
                Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => {
                    warn!(printer = %self.name, %detail, "the wire was lost while it stood");
                    return Printed::Held(Reason::new(code, ""));
                }
            }
        }
        self.keep(link).await;
        Printed::Held(Reason::new(code, ""))
    }

    /// A printer that never says anything has it all, or the wire says that it has not.
    async fn one_way(&mut self, link: Link) -> Printed {
        match link.finish().await {
            Ok(()) => Printed::OneWay,
            // All of it was accepted, and this printer proves nothing anyhow: one that hangs up rudely gets no second copy. A serial or
            // USB line tells more: there the end of the paper is still in our machine.
            Err(_) if matches!(self.place.way(), Way::Address(Address::Tcp { .. })) => Printed::OneWay,
            Err(loss) => lost(loss),
        }
    }

    /// A model without the fence that answers in real time is asked behind each job whether it is well: one that ran out of paper in the
    /// middle may have lost the rest. The bytes are in its memory long before they are on paper: it is looked at for as long as a receipt takes.
    async fn weaker_sign(&mut self, mut link: Link) -> Printed {
        for _ in 0..WEAK_LOOKS {
            self.office.clock.sleep(WEAK_LOOK_GAP).await;
            match link.examine().await {
                Ok(Some(finding)) => {
                    if let Some(trouble) = finding.trouble() {
                        return self.interrupted(link, trouble).await;
                    }
                }
                Ok(None) => return Printed::Suspect(Reason::new("no_proof", "")),
                Err(loss) => return lost(loss),
            }
        }
        self.keep(link).await;
        Printed::Sent
    }
}

fn trouble_told(said: &Said) -> Option<Trouble> {
    match said {
        Said::Unasked(bytes) => status::unasked(*bytes).trouble(),
        Said::RealTime(_) | Said::Sequential(_) | Said::Block(..) | Said::Flow(_) | Said::Garbage(_) => None,
    }
}

fn lost(loss: Loss) -> Printed {
    match loss {
        Loss::NotSent(detail) | Loss::Unknown(detail) => Printed::Suspect(Reason::new("link_lost", detail)),
    }
}
