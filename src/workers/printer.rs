//! One printer, one queue, one task: a dead printer blocks nobody else (F23). What may have left us once comes again only with the mark
//! (I7); what surely did not, comes unmarked.

use super::{BackOff, Office, until};
use crate::domain::outcome::Reason;
use crate::drivers::printer::status::{self, Finding, Question, Said, Trouble};
use crate::drivers::printer::{self, Ability, Profile};
use crate::flows::settle::{self, Printed};
use crate::host::clock::{Clock, Monotonic};
use crate::host::tasks::Stop;
use crate::ledger::Fault;
use crate::ledger::outbox::{JobRow, JobState};
use crate::transport::address::Address;
use crate::transport::wire::{Limits, Way, Wire};
use crate::transport::{Cause, Loss};
use std::time::Duration;
use tracing::{info, warn};

/// The longest pause while a printer is away or out of paper: the page names it within two seconds of its return.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a printer has for a real-time answer; a model that needs longer counts as one that never answers.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// How long a printer has to process a job and say so.
const FENCE_LIMIT: Duration = Duration::from_secs(15);

/// The pause between two looks at a printer without work: paper should be found missing before a guest waits for a receipt.
const LOOK_GAP: Duration = Duration::from_secs(10);

struct Desk {
    office: Office,
    name: String,
    way: Way,
    profile: Profile,
    back_off: BackOff,
}

/// Serves one printer until the daemon stops.
pub async fn run(office: Office, name: String, way: Way, profile: Profile) {
    let stop = office.stop.clone();
    let mut desk = Desk { office, name, way, profile, back_off: BackOff::default() };
    desk.serve(&stop).await;
}

impl Desk {
    /// Ends between two documents: one that is on its way to paper is finished and committed first.
    async fn serve(&mut self, stop: &Stop) {
        let mut ear = self.office.listen();
        let mut look_at = Monotonic::default();
        while !stop.is_given() {
            let job = self.office.look(|view| view.next_print(&self.name)).unwrap_or_default();
            let clock = self.office.clock.clone();
            if let Some(job) = job {
                match self.print(&job).await {
                    Ok(true) => self.back_off.reset(),
                    Ok(false) => pause(&clock, stop, self.back_off.pause(PAUSE_MAX)).await,
                    Err(Fault::Stopping) => return,
                    Err(fault) => {
                        warn!(printer = %self.name, %fault, "the ledger did not take what came of a print");
                        pause(&clock, stop, PAUSE_MAX).await;
                    }
                }
                look_at = clock.now().plus(LOOK_GAP);
                continue;
            }
            if look_at <= clock.now() {
                self.look_idle().await;
                look_at = clock.now().plus(LOOK_GAP);
            }
            tokio::select! {
                biased;
                () = stop.wait() => {}
                _ = ear.changed_of(&["job"]) => {}
                () = until(&clock, Some(look_at)) => {}
            }
        }
    }

    /// One try to print the oldest job. `true`: it left the queue.
    async fn print(&mut self, job: &JobRow) -> Result<bool, Fault> {
        let id = job.id;
        let mut wire = match self.ready().await {
            Ok(wire) => wire,
            Err(reason) => {
                let waits = if self.is_away(&reason) { Printed::NotSent(reason) } else { Printed::Held(reason) };
                // Nothing of this try left us; a job that is out already stays what it was, until the printer is back.
                if matches!(job.state, JobState::Queued | JobState::Held) {
                    self.office.writer.decide(move |tx| settle::print_end(tx, id, &waits)).await?;
                }
                return Ok(false);
            }
        };
        let Some((document, imprint)) = self.office.writer.decide(move |tx| settle::print_begin(tx, id)).await? else {
            return Ok(true);
        };
        let bytes = printer::render(&document, &imprint, &self.profile);
        let printed = match wire.write_all(&bytes).await {
            Ok(()) => self.proof(wire).await,
            Err(Loss::NotSent(detail)) => Printed::NotSent(Reason::new("printer_off", detail)),
            Err(Loss::Unknown(detail)) => Printed::Suspect(Reason::new("link_lost", detail)),
        };
        let is_done = matches!(printed, Printed::Confirmed | Printed::Sent);
        match &printed {
            Printed::Confirmed | Printed::Sent => {
                info!(printer = %self.name, job = %id, document = %job.document, copy = imprint.copy, "printed");
                self.office.devices.set(&self.name, "printer", "up", "", "");
            }
            Printed::Suspect(reason) | Printed::NotSent(reason) | Printed::Held(reason) => {
                warn!(printer = %self.name, job = %id, %reason, "not proven to be printed");
                self.office.devices.set(&self.name, "printer", "down", &reason.code, &reason.detail);
            }
        }
        self.office.writer.decide(move |tx| settle::print_end(tx, id, &printed)).await?;
        Ok(is_done)
    }

    fn is_away(&self, reason: &Reason) -> bool {
        reason.code == "printer_off"
    }

    /// An open wire to a printer that says it can print, or says nothing at all.
    async fn ready(&mut self) -> Result<Wire, Reason> {
        let opened = Wire::open_way(&self.way, Limits::default(), &self.office.clock).await;
        let mut wire = match opened {
            Ok(wire) => wire,
            Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => return Err(self.away(detail)),
        };
        match self.findings(&mut wire).await {
            Ok(Some(finding)) => match finding.trouble() {
                Some(trouble) => {
                    let (state, code) = words(trouble);
                    self.office.devices.set(&self.name, "printer", state, code, "");
                    Err(Reason::new(code, ""))
                }
                None => {
                    self.office.devices.set(&self.name, "printer", "up", "", "");
                    Ok(wire)
                }
            },
            Ok(None) => Ok(wire),
            Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => Err(self.away(detail)),
        }
    }

    fn away(&self, detail: Cause) -> Reason {
        self.office.devices.set(&self.name, "printer", "down", "printer_off", &detail.text);
        Reason::new("printer_off", detail)
    }

    /// Asks how the printer is. `None`: this model does not answer.
    async fn findings(&mut self, wire: &mut Wire) -> Result<Option<Finding>, Loss> {
        if self.profile.status.real_time == Ability::No {
            return Ok(None);
        }
        wire.drain().await?;
        let mut finding = Finding::READY;
        for question in status::BEFORE {
            wire.ask(question.bytes()).await?;
            match self.answer(wire, question, ANSWER_LIMIT).await? {
                Some(found) => {
                    self.profile.status.real_time = Ability::Yes;
                    finding = finding.and(found);
                }
                // It answered before and is silent now: it is there, but it is not well.
                None if self.profile.status.real_time == Ability::Yes => finding.offline = true,
                None => return Ok(None),
            }
        }
        Ok(Some(finding))
    }

    async fn answer(&self, wire: &mut Wire, question: Question, limit: Duration) -> Result<Option<Finding>, Loss> {
        let until = self.office.clock.now().plus(limit);
        let mut reader = status::Reader::new();
        loop {
            let left = until.since(self.office.clock.now());
            if left.is_zero() {
                return Ok(None);
            }
            for byte in wire.read_some(left).await? {
                match reader.push(byte) {
                    Some(Said::RealTime(byte) | Said::Sequential(byte)) => {
                        if let Some(finding) = question.read(byte) {
                            return Ok(Some(finding));
                        }
                    }
                    Some(Said::Unasked(_) | Said::Block(..) | Said::Flow(_) | Said::Garbage(_)) | None => {}
                }
            }
        }
    }

    /// What proves that the paper came out: the answer to a fence behind the job, where the printer answers at all.
    async fn proof(&mut self, mut wire: Wire) -> Printed {
        if self.profile.status.real_time == Ability::Yes && self.profile.status.fence == Ability::No {
            return self.weaker_sign(wire).await;
        }
        if self.profile.status.real_time != Ability::Yes {
            return match wire.finish().await {
                Ok(()) => Printed::Sent,
                // All of it was accepted, and this printer proves nothing anyhow: one that hangs up rudely gets no second copy. A serial or
                // USB line tells more: there the end of the paper is still in our machine.
                Err(_) if matches!(self.way, Way::Address(Address::Tcp { .. })) => Printed::Sent,
                Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => {
                    Printed::Suspect(Reason::new("link_lost", detail))
                }
            };
        }
        if let Err(Loss::NotSent(detail) | Loss::Unknown(detail)) = wire.ask(status::AFTER.bytes()).await {
            return Printed::Suspect(Reason::new("link_lost", detail));
        }
        match self.answer(&mut wire, status::AFTER, FENCE_LIMIT).await {
            Ok(Some(_)) => {
                self.profile.status.fence = Ability::Yes;
                // The proof is here: how the wire ends no longer matters.
                let _ended = wire.finish().await.is_ok();
                Printed::Confirmed
            }
            Ok(None) if self.profile.status.fence == Ability::Unknown => {
                let printed = self.weaker_sign(wire).await;
                if printed == Printed::Sent {
                    // Well, but it does not know the fence: it is not asked for it again.
                    self.profile.status.fence = Ability::No;
                }
                printed
            }
            Ok(None) => Printed::Suspect(Reason::new("no_proof", "")),
            Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => Printed::Suspect(Reason::new("link_lost", detail)),
        }
    }

    /// A model without the fence that answers in real time is asked behind each job whether it is well: one that ran out of paper in the
    /// middle may have lost the rest.
    async fn weaker_sign(&mut self, mut wire: Wire) -> Printed {
        match self.findings(&mut wire).await {
            Ok(Some(finding)) if finding.trouble().is_none() => {
                let _ended = wire.finish().await.is_ok();
                Printed::Sent
            }
            Ok(_) => Printed::Suspect(Reason::new("no_proof", "")),
            Err(Loss::NotSent(detail) | Loss::Unknown(detail)) => Printed::Suspect(Reason::new("link_lost", detail)),
        }
    }

    /// A look at a printer without work. A model that never answers is left in peace.
    async fn look_idle(&mut self) {
        if self.profile.status.real_time == Ability::No {
            return;
        }
        if let Ok(wire) = self.ready().await {
            let _closed = wire.finish().await.is_ok();
        }
    }
}

/// A pause that a stop ends.
async fn pause(clock: &Clock, stop: &Stop, span: Duration) {
    tokio::select! {
        biased;
        () = stop.wait() => {}
        () = clock.sleep(span) => {}
    }
}

fn words(trouble: Trouble) -> (&'static str, &'static str) {
    match trouble {
        Trouble::PaperOut => ("paper_out", "paper_out"),
        Trouble::CoverOpen => ("down", "cover_open"),
        Trouble::Cutter => ("down", "cutter"),
        Trouble::Error => ("down", "printer_error"),
        Trouble::Offline => ("down", "printer_offline"),
    }
}
