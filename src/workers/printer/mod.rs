//! One printer, one queue, one task: a dead printer blocks nobody else (F23). What may have left us once comes again only with the mark
//! (I7); what surely did not, comes unmarked. While it has nothing to do the printer is asked how it is, so that trouble is known before
//! a guest waits for a receipt (escpos §3).

use super::{BackOff, Errand, Office, earliest, until};
use crate::domain::ids::JobId;
use crate::domain::outcome::Reason;
use crate::domain::paper::{Document, Imprint, TestSlip};
use crate::domain::time::Wall;
use crate::drivers::printer::status::{self, Finding, Paper, PrintName, Said, Trouble};
use crate::drivers::printer::{self, Ability, Profile, escpos};
use crate::flows::print::{self, Printed};
use crate::host::clock::Monotonic;
use crate::host::floor::Trust;
use crate::ledger::Fault;
use crate::ledger::outbox::{JobRow, JobState};
use crate::transport::whereabouts::Whereabouts;
use crate::transport::wire::{Limits, Way};
use crate::transport::{Bar, Cause, Loss};
use link::Link;
use memory::Memory;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

mod link;
mod memory;
mod proof;

/// The longest pause while a printer is away or out of paper: the page names it within two seconds of its return.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pause between two looks at a printer without work: its trouble is on the page within two seconds.
const LOOK_GAP: Duration = Duration::from_millis(1_500);

/// The same where other tills print too: each look takes the printer away from them for a moment.
const LOOK_GAP_SHARED: Duration = Duration::from_secs(10);

/// How long a printer with work may stand before its backup does the work (F23).
const STANDS_MAX: Duration = Duration::from_secs(10);

/// How long the rest of an interrupted document may take to come out of the printer's memory.
const REST_LIMIT: Duration = Duration::from_secs(15);

/// A printer that was silent for this long has nothing left to say about that rest.
const REST_SILENCE: Duration = Duration::from_secs(2);

/// A printer as the configuration describes it.
pub struct Printer {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub way: Way,
    /// What it can do, as far as the configuration says.
    pub profile: Profile,
    /// Whether other tills print on it too: then the wire is opened for each job.
    pub is_shared: bool,
    /// What tells it from a printer that had its name before: kind and address.
    pub identity: String,
}

type Asked = (Errand, oneshot::Sender<Result<(), Reason>>);

struct Desk {
    office: Office,
    name: String,
    place: Whereabouts,
    profile: Profile,
    /// As the configuration says, without what was learnt and chosen.
    configured: Profile,
    is_shared: bool,
    memory: Memory,
    link: Option<Link>,
    back_off: BackOff,
    /// When the next try to print may begin.
    try_at: Monotonic,
    look_at: Monotonic,
    /// Since when it has work and stands.
    stands_since: Option<Monotonic>,
    /// It never answered in this run: only a job is a reason to ask it again.
    is_mute: bool,
    /// The last document may have ended inside a command.
    is_rough: bool,
    /// Some of an interrupted document may still be in its memory.
    holds_rest: bool,
    ages: Ages,
    last: Finding,
}

/// Serves one printer until the daemon stops.
pub async fn run(office: Office, printer: Printer) {
    let errands = office.errands.open(&printer.name);
    let Printer { name, way, profile, is_shared, identity } = printer;
    let kept = office.look(|view| view.vault(&memory::vault_name(&name))).unwrap_or_default();
    let memory = Memory::read(kept.as_deref(), &identity);
    let mut desk = Desk {
        place: Whereabouts::new(way).with_mac(memory.mac()),
        profile: memory.apply(profile.clone()),
        configured: profile,
        office,
        name,
        is_shared,
        memory,
        link: None,
        back_off: BackOff::default(),
        try_at: Monotonic::default(),
        look_at: Monotonic::default(),
        stands_since: None,
        is_mute: false,
        // Whoever served it before us may have died inside of a command.
        is_rough: true,
        holds_rest: false,
        ages: Ages::default(),
        last: Finding::READY,
    };
    desk.serve(errands).await;
    if let Some(link) = desk.link.take() {
        let _closed = link.finish().await.is_ok();
    }
}

/// What ended a pause.
enum Wake {
    Due,
    Stop,
    Errand(Asked),
    Said(Vec<Said>),
    Lost,
}

impl Desk {
    /// Ends between two documents: one that is on its way to paper is finished and committed first.
    async fn serve(&mut self, mut errands: mpsc::Receiver<Asked>) {
        let (stop, clock) = (self.office.stop.clone(), self.office.clock.clone());
        let mut ear = self.office.listen();
        while !stop.is_given() {
            match self.work().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Fault::Stopping) => return,
                Err(fault) => {
                    warn!(printer = %self.name, %fault, "the ledger did not take what came of a print");
                    self.try_at = clock.now().plus(PAUSE_MAX);
                }
            }
            let next = earliest([self.look_at, self.try_at].into_iter().filter(|point| *point > clock.now()));
            let mut link = self.link.take();
            let wake = tokio::select! {
                biased;
                () = stop.wait() => Wake::Stop,
                Some(asked) = errands.recv() => Wake::Errand(asked),
                heard = listen(&mut link) => heard.map_or(Wake::Lost, Wake::Said),
                _ = ear.changed_of(&["job"]) => Wake::Due,
                () = until(&clock, next) => Wake::Due,
            };
            self.link = link;
            match wake {
                Wake::Due | Wake::Stop => {}
                Wake::Errand((errand, reply)) => {
                    // Whoever asked may have gone; what was done stands.
                    let _told = reply.send(self.run_errand(errand).await).is_ok();
                }
                Wake::Said(said) => self.hear(&said),
                Wake::Lost => {
                    self.link = None;
                    self.look_at = clock.now();
                }
            }
        }
    }

    /// One piece of work. `true`: there may be more at once.
    async fn work(&mut self) -> Result<bool, Fault> {
        let now = self.office.clock.now();
        let ages = self.office.look(|view| view.ages(&self.name))?;
        self.ages.note(&ages, now);
        if self.try_at <= now
            && let Some(job) = self.office.look(|view| view.next_print(&self.name))?
        {
            let id = job.id;
            if self.is_too_old(&job) {
                self.office.writer.decide(move |tx| print::ask_if_old(tx, id)).await?;
                return Ok(true);
            }
            let is_out = self.print(&job).await?;
            if is_out {
                self.back_off.reset();
            } else {
                self.try_at = self.office.clock.now().plus(self.back_off.pause(PAUSE_MAX));
            }
            self.look_at = self.office.clock.now().plus(self.look_gap());
            self.relieve(!is_out).await?;
            return Ok(is_out);
        }
        if self.look_at <= now && self.try_at <= now {
            let is_well = self.look_idle().await?;
            self.look_at = self.office.clock.now().plus(self.look_gap());
            if let Some(is_well) = is_well {
                self.relieve(!is_well).await?;
            }
        }
        Ok(false)
    }

    fn look_gap(&self) -> Duration {
        if self.is_shared { LOOK_GAP_SHARED } else { LOOK_GAP }
    }

    /// Whether a job has waited for too long. What was written down before this run is judged by the time of day, and only by one that was
    /// set from the network; everything else by how long it was seen to wait (I6).
    fn is_too_old(&self, job: &JobRow) -> bool {
        if job.state == JobState::Sending {
            return false;
        }
        let most = print::age_max(&job.document);
        let Some(age) = self.ages.of(job.id) else { return false };
        let clock = &self.office.clock;
        let since = job.wanted.unwrap_or(job.created);
        let by_day = Duration::from_millis(u64::try_from(clock.wall().0.saturating_sub(since.0)).unwrap_or(0));
        let is_trusted = clock.trust() == Trust::Synced;
        let is_drawer_of_old = job.document == crate::ledger::outbox::DRAWER && age.is_carried && !is_trusted;
        clock.now().since(age.seen) >= most || is_drawer_of_old || (age.is_carried && is_trusted && by_day >= most)
    }

    /// One try to print the oldest job. `true`: it left the queue.
    async fn print(&mut self, job: &JobRow) -> Result<bool, Fault> {
        let id = job.id;
        let link = match self.ready().await {
            Ok(link) => link,
            Err(reason) => {
                let is_away = ["printer_off", "printer_stranger"].contains(&reason.code.as_str());
                let waits = if is_away { Printed::NotSent(reason) } else { Printed::Held(reason) };
                // Nothing of this try left us; a job that is out already stays what it was, until the printer is back. One that was on its
                // way when we died is nobody's any more: it can be seen, taken up again, and done by another printer.
                let ended = match job.state {
                    JobState::Queued | JobState::Held => Some(waits),
                    JobState::Sending => Some(Printed::Suspect(Reason::new("restart", ""))),
                    JobState::Sent | JobState::Confirmed | JobState::Suspect | JobState::Done | JobState::Question => {
                        None
                    }
                };
                if let Some(ended) = ended {
                    self.office.writer.decide(move |tx| print::end(tx, id, &ended)).await?;
                }
                return Ok(false);
            }
        };
        let Some(link) = self.let_rest_out(link).await else { return Ok(false) };
        let Some((document, imprint)) = self.office.writer.decide(move |tx| print::begin(tx, id)).await? else {
            self.keep(link).await;
            return Ok(true);
        };
        let printed = self.put_on_paper(link, &document, &imprint).await;
        let is_done = matches!(printed, Printed::Confirmed | Printed::Sent | Printed::OneWay);
        match &printed {
            Printed::Confirmed | Printed::Sent | Printed::OneWay => {
                info!(printer = %self.name, job = %id, document = %job.document, copy = imprint.copy, "printed");
                self.show_up();
            }
            Printed::Suspect(reason) | Printed::NotSent(reason) => {
                warn!(printer = %self.name, job = %id, %reason, "not proven to be printed");
                self.show("down", &reason.code, &reason.detail);
            }
            Printed::Held(reason) => warn!(printer = %self.name, job = %id, %reason, "interrupted"),
        }
        self.office.writer.decide(move |tx| print::end(tx, id, &printed)).await?;
        self.remember().await?;
        Ok(is_done)
    }

    async fn put_on_paper(&mut self, mut link: Link, document: &Document, imprint: &Imprint) -> Printed {
        let mut bytes = if self.is_rough { escpos::recovery(&self.profile) } else { Vec::new() };
        bytes.extend(match document {
            // The numbers on the slip are those of the configured printer, whatever was chosen since.
            Document::Test(_) => {
                let profile = Profile { status: self.profile.status, ..self.configured.clone() };
                printer::render(document, imprint, &profile)
            }
            Document::Receipt(_)
            | Document::Ticket(_)
            | Document::Refund(_)
            | Document::Slip(_)
            | Document::Report(_)
            | Document::Fiscal(_)
            | Document::Notice(_)
            | Document::Shift(_)
            | Document::Cash(_)
            | Document::Drawer => printer::render(document, imprint, &self.profile),
        });
        let was_rough = std::mem::replace(&mut self.is_rough, true);
        let printed = match link.send(&bytes).await {
            Ok(said) => self.proof(link, &said, name_of(imprint)).await,
            Err(Loss::NotSent(detail)) => Printed::NotSent(Reason::new("printer_off", detail)),
            Err(Loss::Unknown(detail)) => Printed::Suspect(Reason::new("link_lost", detail)),
        };
        match &printed {
            Printed::Confirmed | Printed::Sent | Printed::OneWay => self.is_rough = false,
            // No byte left us, the recovery included: the printer is as it was.
            Printed::NotSent(_) => self.is_rough = was_rough,
            Printed::Suspect(_) | Printed::Held(_) => {}
        }
        printed
    }

    /// An open wire to a printer that says it can print, or says nothing at all.
    async fn ready(&mut self) -> Result<Link, Reason> {
        if let Some(kept) = self.link.take()
            && let Ok((link, Some(finding))) = self.examined(kept).await
        {
            return self.judge(link, finding).await;
        }
        // None was kept, or it died while nobody used it: that is no news.
        let opened = match self.place.open(Limits::default(), &self.office.clock).await {
            Ok(wire) => Link::new(wire, self.office.clock.clone()).await,
            Err(loss) => Err(loss),
        };
        let examined = match opened {
            Ok(link) => self.examined(link).await,
            Err(loss) => Err(loss),
        };
        match examined {
            Ok((link, Some(finding))) => self.judge(link, finding).await,
            // It answered before and is silent now: it is there, but it is not well.
            Ok((link, None)) if self.profile.status.real_time == Ability::Yes => {
                self.judge(link, Finding { offline: true, ..Finding::READY }).await
            }
            Ok((link, None)) => {
                self.is_mute = true;
                Ok(link)
            }
            Err(Loss::NotSent(cause) | Loss::Unknown(cause)) => Err(self.away(&cause)),
        }
    }

    /// Asks how the printer is, and once whether it tells of changes by itself.
    async fn examined(&mut self, mut link: Link) -> Result<(Link, Option<Finding>), Loss> {
        if self.profile.status.real_time == Ability::No {
            return Ok((link, None));
        }
        let finding = link.examine().await?;
        if finding.is_some() {
            self.profile.status.real_time = Ability::Yes;
            self.is_mute = false;
        }
        let is_well = finding.is_some_and(|finding| finding.trouble().is_none());
        if is_well && !self.is_rough && self.profile.status.unasked == Ability::Unknown {
            self.profile.status.unasked = if link.tell_unasked().await? { Ability::Yes } else { Ability::No };
        }
        Ok((link, finding))
    }

    async fn judge(&mut self, link: Link, finding: Finding) -> Result<Link, Reason> {
        self.show_finding(finding);
        match finding.trouble() {
            Some(trouble) => {
                self.keep(link).await;
                Err(Reason::new(words(trouble).1, ""))
            }
            None => Ok(link),
        }
    }

    /// Ours alone: the wire stays. Other tills wait for it otherwise, and one that never answers proves most by how it hangs up.
    async fn keep(&mut self, link: Link) {
        if self.is_shared || self.profile.status.real_time != Ability::Yes {
            let _closed = link.finish().await.is_ok();
        } else {
            self.link = Some(link);
        }
    }

    /// The rest of an interrupted document comes out of the printer's memory before the whole comes again. `None`: the wire is lost.
    async fn let_rest_out(&mut self, mut link: Link) -> Option<Link> {
        if self.holds_rest {
            if self.profile.status.fence != Ability::No && link.settle(REST_LIMIT, REST_SILENCE).await.is_err() {
                return None;
            }
            self.holds_rest = false;
        }
        Some(link)
    }

    /// A look at a printer without work; whether it is well. `None`: a model that never answers is left in peace, unless its work is
    /// done elsewhere.
    async fn look_idle(&mut self) -> Result<Option<bool>, Fault> {
        let never_answers = self.is_mute || self.profile.status.real_time == Ability::No;
        if never_answers && self.office.look(|view| view.rerouted(&self.name))?.is_empty() {
            return Ok(None);
        }
        let ready = self.ready().await;
        let is_well = ready.is_ok();
        if let Ok(link) = ready {
            if never_answers {
                self.show_up();
            }
            self.keep(link).await;
        }
        self.remember().await?;
        Ok(Some(is_well))
    }

    /// Work goes to the backup while the printer stands, and comes home when it is back.
    async fn relieve(&mut self, stands: bool) -> Result<(), Fault> {
        let (name, rules) = (self.name.clone(), self.office.rules.clone());
        if !rules.backups.contains_key(&name) {
            return Ok(());
        }
        let now = self.office.clock.now();
        if !stands {
            self.stands_since = None;
            if !self.office.look(|view| view.rerouted(&name))?.is_empty() {
                self.office.writer.decide(move |tx| print::take_back(tx, &name)).await?;
                self.show_up();
            }
            return Ok(());
        }
        let has_work = self.office.look(|view| view.next_print(&name))?.is_some();
        if !has_work {
            return Ok(());
        }
        let since = *self.stands_since.get_or_insert(now);
        if now.since(since) < STANDS_MAX {
            return Ok(());
        }
        let went = self.office.writer.decide(move |tx| print::reroute(tx, &rules, &name)).await?;
        if let Some((jobs, backup)) = went {
            warn!(printer = %self.name, %backup, jobs, "it stands: another printer does its work");
            self.show("down", "rerouted", &backup);
        }
        Ok(())
    }

    async fn run_errand(&mut self, errand: Errand) -> Result<(), Reason> {
        match errand {
            Errand::Test => self.print_test().await,
            Errand::Letters(number) => {
                let chosen = self.configured.with_candidate(number);
                let chosen = chosen.ok_or_else(|| Reason::new("no_candidate", number))?;
                self.profile = Profile { status: self.profile.status, ..chosen };
                self.memory.choose(&self.profile);
                self.store().await.map_err(|fault| Reason::new("storage", fault))
            }
        }
    }

    /// A test page is asked for by a person who stands there: it leaves no job. A printer that was replaced is a new one from here on.
    async fn print_test(&mut self) -> Result<(), Reason> {
        if self.office.devices.all().get(&self.name).is_some_and(|device| device.code == "printer_stranger") {
            self.place.forget();
        }
        let link = self.ready().await?;
        let slip = TestSlip {
            shop: self.office.rules.shop.clone(),
            printer: self.name.clone(),
            at: self.office.rules.paper_time(self.office.clock.wall()),
        };
        let imprint = Imprint { job: 0, copy: 1, instead_of: None };
        let printed = self.put_on_paper(link, &Document::Test(slip), &imprint).await;
        self.remember().await.map_err(|fault| Reason::new("storage", fault))?;
        match printed {
            Printed::Confirmed | Printed::Sent | Printed::OneWay => Ok(()),
            Printed::Suspect(reason) | Printed::NotSent(reason) | Printed::Held(reason) => Err(reason),
        }
    }

    /// Keeps what was learnt, where that is new.
    async fn remember(&mut self) -> Result<(), Fault> {
        let before = self.memory.clone();
        self.memory.learn(self.profile.status, self.place.mac());
        if self.memory == before { Ok(()) } else { self.store().await }
    }

    async fn store(&self) -> Result<(), Fault> {
        let (name, text) = (memory::vault_name(&self.name), self.memory.text().unwrap_or_default());
        self.office.writer.decide(move |tx| tx.store_in_vault(&name, &text)).await
    }

    /// News that nobody asked for.
    fn hear(&mut self, said: &[Said]) {
        for said in said {
            if let Said::Unasked(bytes) = said {
                self.show_finding(status::unasked(*bytes));
                self.look_at = self.office.clock.now();
            }
        }
    }

    fn away(&mut self, cause: &Cause) -> Reason {
        let code = if cause.bar == Some(Bar::Stranger) { "printer_stranger" } else { "printer_off" };
        self.show("down", code, &cause.text);
        Reason::new(code, cause)
    }

    fn show_finding(&mut self, finding: Finding) {
        self.last = finding;
        match finding.trouble().map(words) {
            Some((state, code)) => self.show(state, code, ""),
            None => self.show_up(),
        }
    }

    /// It can print; what is soon to be done about it is told all the same.
    fn show_up(&self) {
        if let Some((_, now)) = self.place.moved() {
            self.office.devices.set(&self.name, "printer", "warn", "printer_moved", &now.to_string());
        } else if self.last.paper == Paper::Low {
            self.office.devices.set(&self.name, "printer", "warn", "paper_low", "");
        } else {
            self.office.devices.set(&self.name, "printer", "up", "", "");
        }
    }

    /// It cannot print. Where another printer does its work, that is what people must know.
    fn show(&self, state: &'static str, code: &str, detail: &str) {
        let backup = self.office.rules.backups.get(&self.name);
        let is_relieved = self.office.look(|view| view.rerouted(&self.name)).is_ok_and(|jobs| !jobs.is_empty());
        match backup.filter(|_| is_relieved) {
            Some(backup) => self.office.devices.set(&self.name, "printer", state, "rerouted", backup),
            None => self.office.devices.set(&self.name, "printer", state, code, detail),
        }
    }
}

/// What a kept wire brings by itself; for ever nothing where none is kept.
async fn listen(link: &mut Option<Link>) -> Result<Vec<Said>, Loss> {
    match link {
        Some(link) => link.listen().await,
        None => std::future::pending().await,
    }
}

/// Since when the open jobs of this printer wait.
#[derive(Default)]
struct Ages {
    jobs: HashMap<JobId, Age>,
    is_begun: bool,
}

#[derive(Clone, Copy)]
struct Age {
    /// The label that its age counts from: a job that a person wanted again is a new one.
    since: Wall,
    seen: Monotonic,
    /// Whether it was written down before this run.
    is_carried: bool,
}

impl Ages {
    /// Takes in what is open now; what was open at the first look was written down before this run.
    fn note(&mut self, open: &[(JobId, Wall)], now: Monotonic) {
        let is_carried = !std::mem::replace(&mut self.is_begun, true);
        self.jobs.retain(|id, _| open.iter().any(|(job, _)| job == id));
        for (job, since) in open {
            let fresh = Age { since: *since, seen: now, is_carried };
            let known = self.jobs.entry(*job).or_insert(fresh);
            if known.since != *since {
                *known = fresh;
            }
        }
    }

    fn of(&self, job: JobId) -> Option<Age> {
        self.jobs.get(&job).copied()
    }
}

/// Four characters for one copy of one job; the same comes again after millions of jobs.
fn name_of(imprint: &Imprint) -> PrintName {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = imprint.job.unsigned_abs().wrapping_mul(8).wrapping_add(u64::from(imprint.copy % 8));
    [0; 4].map(|_: u8| {
        let digit = usize::try_from(rest % 62).ok().and_then(|place| DIGITS.get(place)).copied().unwrap_or(b'0');
        rest /= 62;
        digit
    })
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
