//! Paper from its job to its end (F21, F23): what may have left us once comes again only marked (I7); what waited for too long asks
//! first; what a dead printer cannot do another does instead, and one of the two owns it at any time; the drawer opens once.

use super::Rules;
use crate::domain::ids::{JobId, OrderId};
use crate::domain::outcome::Reason;
use crate::domain::paper::{Document, Imprint};
use crate::ledger::attempts::AttemptRow;
use crate::ledger::outbox::{self, DRAWER, JobKind, JobRow, JobState, NewJob};
use crate::ledger::questions::{NewQuestion, QuestionRow};
use crate::ledger::{Fault, Tx, refused};
use std::time::Duration;

/// Questions that are about paper.
pub const QUESTIONS: [&str; 2] = ["print", "print_old"];

/// Why an old paper is done without having been printed: a person said so.
const NOT_WANTED: &str = "not_wanted";

/// Copies of one job that may come out without proof before a person is asked.
const COPIES_MAX: i64 = 3;

/// The most jobs that go to a backup printer at a time: a kitchen's hour.
const REROUTED_MAX: u32 = 200;

/// A kitchen ticket that waited this long may have been cooked by word of mouth.
const TICKET_AGE_MAX: Duration = Duration::from_secs(15 * 60);

/// A guest who waited this long for paper has gone.
const PAPER_AGE_MAX: Duration = Duration::from_secs(2 * 3_600);

/// A drawer that opens later than this startles somebody else.
const DRAWER_AGE_MAX: Duration = Duration::from_secs(60);

/// How long a document may wait before a person is asked whether it is still wanted (F21).
pub fn age_max(document: &str) -> Duration {
    match document {
        DRAWER => DRAWER_AGE_MAX,
        _ if document.starts_with("ticket:") => TICKET_AGE_MAX,
        _ => PAPER_AGE_MAX,
    }
}

/// How a print ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Printed {
    /// The printer said that it processed everything.
    Confirmed,
    /// Everything was accepted, and the printer was well afterwards.
    Sent,
    /// Everything was accepted by a printer that never says anything: a person may look.
    OneWay,
    /// Bytes left us and nobody knows what came out: it is repeated, marked.
    Suspect(Reason),
    /// Surely no byte of it left us: it is sent again, unmarked.
    NotSent(Reason),
    /// The printer says why it stands: the document comes, marked if any of it left us, as soon as it goes on.
    Held(Reason),
}

/// A job is about to be sent: commits that bytes may leave from here on, and says what goes on the paper (I7). `None`: nothing is to be
/// printed any more.
pub fn begin(tx: &Tx<'_>, job: JobId) -> Result<Option<(Document, Imprint)>, Fault> {
    let job = tx.job(job)?;
    if !job.is_due() {
        return Ok(None);
    }
    let Ok(document) = serde_json::from_str(&job.body) else {
        hold_for_a_person(tx, &job, outbox::BROKEN_JOB)?;
        return Ok(None);
    };
    if job.document == DRAWER && job.tries > 0 {
        // It was on its way when we died: nobody knows, and it never opens twice.
        end_drawer(tx, &job, "restart")?;
        return Ok(None);
    }
    if job.state == JobState::Sending && job.tries > COPIES_MAX {
        // We died over it more often than that: it must not keep us from everything behind it (F20).
        hold_for_a_person(tx, &job, outbox::UNPROVEN)?;
        return Ok(None);
    }
    let instead_of = meant_for(tx, &job, &document)?;
    let copy = job.tries + 1;
    tx.set_job(&job, JobState::Sending, copy, None)?;
    Ok(Some((document, Imprint { job: job.id.0, copy: u32::try_from(copy).unwrap_or(u32::MAX), instead_of })))
}

/// The station, else the printer, that paper of a stand-in was meant for.
fn meant_for(tx: &Tx<'_>, job: &JobRow, document: &Document) -> Result<Option<String>, Fault> {
    let Some(original) = job.instead else { return Ok(None) };
    Ok(Some(match document {
        Document::Ticket(ticket) => ticket.station.clone(),
        Document::Receipt(_)
        | Document::Refund(_)
        | Document::Slip(_)
        | Document::Report(_)
        | Document::Drawer
        | Document::Test(_)
        | Document::Fiscal(_)
        | Document::Notice(_)
        | Document::Shift(_)
        | Document::Cash(_) => tx.job(original)?.target,
    }))
}

/// Writes down how a print ended.
pub fn end(tx: &Tx<'_>, job: JobId, printed: &Printed) -> Result<(), Fault> {
    let job = tx.job(job)?;
    if !job.is_due() {
        // A person, or a newer ticket, was quicker.
        return Ok(());
    }
    if job.document == DRAWER {
        return drawer_ended(tx, &job, printed);
    }
    match printed {
        Printed::Confirmed => came_out(tx, &job, JobState::Confirmed, None),
        Printed::Sent => came_out(tx, &job, JobState::Sent, None),
        Printed::OneWay => came_out(tx, &job, JobState::Suspect, Some(&Reason::new(outbox::ONE_WAY, ""))),
        Printed::Suspect(_) if job.tries >= COPIES_MAX => hold_for_a_person(tx, &job, outbox::UNPROVEN),
        // Cut short as often as that, it is no roll that ended: the next copy would be one more.
        Printed::Held(_) if job.state == JobState::Sending && job.tries >= COPIES_MAX => {
            hold_for_a_person(tx, &job, outbox::UNPROVEN)
        }
        Printed::Suspect(reason) => {
            tx.set_job(&job, JobState::Suspect, job.tries, Some(&Reason::new(&reason.code, "")))
        }
        Printed::NotSent(reason) => {
            tx.set_job(&job, JobState::Queued, untried(&job), Some(&Reason::new(&reason.code, "")))
        }
        Printed::Held(reason) => tx.set_job(&job, JobState::Held, job.tries, Some(&Reason::new(&reason.code, ""))),
    }
}

/// The count of tries when the last one surely sent nothing.
fn untried(job: &JobRow) -> i64 {
    if job.state == JobState::Sending { (job.tries - 1).max(0) } else { job.tries }
}

/// The paper is there: nobody is asked about this job any more, but about the next of the order that still waits for a person.
fn came_out(tx: &Tx<'_>, job: &JobRow, state: JobState, reason: Option<&Reason>) -> Result<(), Fault> {
    tx.set_job(job, state, job.tries, reason)?;
    relieve(tx, job, outbox::REROUTED)?;
    close_questions(tx, job, "print")
}

/// Nobody is asked about this job any more. A question of an older version names no job: it is about all of its order.
fn close_questions(tx: &Tx<'_>, job: &JobRow, code: &str) -> Result<(), Fault> {
    for question in tx.questions_of(job.order)?.iter().filter(|question| question.code == code) {
        if job_of(question).is_none_or(|id| id == job.id) {
            tx.answer(question.id, "kassad", "", "printed")?;
        }
    }
    Ok(())
}

/// The job that a question about paper names.
pub fn job_of(question: &QuestionRow) -> Option<JobId> {
    let (_, number) = question.args.iter().find(|(name, _)| name == "job")?;
    number.parse().ok().map(JobId)
}

/// What a stand-in did is done for the printer it stood in for.
fn relieve(tx: &Tx<'_>, job: &JobRow, code: &str) -> Result<(), Fault> {
    let Some(original) = job.instead else { return Ok(()) };
    let original = tx.job(original)?;
    if !original.is_held_for(&[outbox::REROUTED]) {
        return Ok(());
    }
    tx.set_job(&original, JobState::Done, job.tries, Some(&Reason::new(code, "")))
}

fn is_unproven(job: &JobRow) -> bool {
    job.is_held_for(&[outbox::UNPROVEN, outbox::BROKEN_JOB])
}

/// One bad job never blocks its printer: it steps aside until a person takes it up again ([`retry`]).
fn hold_for_a_person(tx: &Tx<'_>, job: &JobRow, code: &str) -> Result<(), Fault> {
    tx.set_job(job, JobState::Held, job.tries, Some(&Reason::new(code, "")))?;
    ask(tx, job, "print")
}

fn ask(tx: &Tx<'_>, job: &JobRow, code: &'static str) -> Result<(), Fault> {
    tx.ask(&NewQuestion {
        code,
        order: Some(job.order),
        attempt: job.attempt,
        inbox: None,
        refund: None,
        args: vec![
            ("printer", job.target.clone()),
            ("order", tx.order(job.order)?.snapshot.number),
            ("job", job.id.0.to_string()),
        ],
    })
}

/// A job has waited for longer than its document may ([`age_max`]): a person is asked, and the queue goes on. A
/// drawer is dropped.
pub fn ask_if_old(tx: &Tx<'_>, job: JobId) -> Result<(), Fault> {
    let job = tx.job(job)?;
    if !job.is_due() || job.state == JobState::Sending {
        return Ok(());
    }
    if job.document == DRAWER {
        return end_drawer(tx, &job, outbox::TOO_OLD);
    }
    tx.set_job(&job, JobState::Held, job.tries, Some(&Reason::new(outbox::TOO_OLD, "")))?;
    ask(tx, &job, "print_old")
}

/// A named person settled a question about the paper of an order. What came out unproven is taken as seen; what is too old is not wanted
/// any more. Missing paper is a [`retry`] of its job.
pub fn answered(tx: &Tx<'_>, order: OrderId, question: &QuestionRow, who: &str) -> Result<(), Fault> {
    let asked = job_of(question);
    for job in tx.jobs_of(order)?.into_iter().filter(|job| asked.is_none_or(|id| id == job.id)) {
        if question.code == "print" && is_unproven(&job) {
            tx.set_job(&job, JobState::Sent, job.tries, Some(&Reason::new("seen", who)))?;
            relieve(tx, &job, outbox::REROUTED)?;
        }
        if question.code == "print_old" && job.is_held_for(&[outbox::TOO_OLD]) {
            tx.set_job(&job, JobState::Done, job.tries, Some(&Reason::new(NOT_WANTED, who)))?;
            relieve(tx, &job, NOT_WANTED)?;
        }
    }
    Ok(())
}

/// A person saw the paper: what a printer could not prove is confirmed, and nothing of it comes again. Refused as `not_printed` while
/// none of it can be out.
pub fn tick(tx: &Tx<'_>, job: JobId) -> Result<JobRow, Fault> {
    let job = tx.job(job)?;
    let may_be_out = match job.state {
        JobState::Sent | JobState::Suspect => true,
        JobState::Held => job.tries > 0 && !job.is_held_for(&[outbox::REROUTED]),
        JobState::Queued | JobState::Sending | JobState::Confirmed | JobState::Done | JobState::Question => false,
    };
    if job.kind != JobKind::Print || !may_be_out {
        return refused("not_printed", job.document);
    }
    came_out(tx, &job, JobState::Confirmed, Some(&Reason::new("seen", "")))?;
    tx.job(job.id)
}

/// A person wants a job done (again). A print that was out once comes marked; one that another printer does comes back, unless it is
/// being printed there at this moment.
pub fn retry(tx: &Tx<'_>, job: JobId) -> Result<JobRow, Fault> {
    let job = tx.job(job)?;
    match job.state {
        JobState::Done if job.code() != NOT_WANTED => return refused("done", job.document),
        JobState::Queued | JobState::Sending => {}
        JobState::Held if job.is_held_for(&[outbox::REROUTED]) => drop(fetch_back(tx, &job)?),
        JobState::Sent
        | JobState::Confirmed
        | JobState::Suspect
        | JobState::Held
        | JobState::Question
        | JobState::Done => {
            if job.document == DRAWER {
                return refused("done", job.document);
            }
            tx.want_job(job.id)?;
            tx.set_job(&job, JobState::Queued, job.tries, None)?;
            QUESTIONS.iter().try_for_each(|code| close_questions(tx, &job, code))?;
        }
    }
    tx.job(job.id)
}

/// A ticket that was too old gave way to a newer one: nobody is asked about it any more.
pub fn gave_way(tx: &Tx<'_>, job: &JobRow) -> Result<(), Fault> {
    close_questions(tx, job, "print_old")
}

/// Paper that waits for a printer which the configuration does not name any more has no worker: a person is asked (I11).
pub fn without_printer(tx: &Tx<'_>, printers: &[String]) -> Result<usize, Fault> {
    let mut found = 0;
    for job in tx.unfinished_jobs(u32::MAX)? {
        if job.kind != JobKind::Print || !job.is_due() || printers.contains(&job.target) {
            continue;
        }
        if job.document == DRAWER {
            end_drawer(tx, &job, "no_printer")?;
        } else {
            hold_for_a_person(tx, &job, outbox::UNPROVEN)?;
        }
        found += 1;
    }
    Ok(found)
}

/// A printer stands and its work waits: its backup does it (F23). Returns how many jobs went, and where. Only the printer's own worker
/// asks for this, between two jobs; a job that is a stand-in itself stays.
pub fn reroute(tx: &Tx<'_>, rules: &Rules, printer: &str) -> Result<Option<(usize, String)>, Fault> {
    let Some(backup) = rules.backups.get(printer) else { return Ok(None) };
    let mut went = 0;
    for job in tx.open_jobs(printer, REROUTED_MAX)? {
        if !job.is_due() || job.kind != JobKind::Print || job.document == DRAWER || job.instead.is_some() {
            continue;
        }
        tx.add_stand_in(&job, backup)?;
        tx.set_job(&job, JobState::Held, job.tries, Some(&Reason::new(outbox::REROUTED, "")))?;
        went += 1;
    }
    Ok((went > 0).then(|| (went, backup.clone())))
}

/// A printer is back: what its backup has not done comes home. What was begun there comes marked; what is being printed there at this
/// moment, or waits for a person, stays. Returns how many came.
pub fn take_back(tx: &Tx<'_>, printer: &str) -> Result<usize, Fault> {
    let mut came = 0;
    for job in tx.rerouted(printer)? {
        came += usize::from(fetch_back(tx, &job)?);
    }
    Ok(came)
}

fn fetch_back(tx: &Tx<'_>, original: &JobRow) -> Result<bool, Fault> {
    let Some(stand_in) = tx.stand_ins(original.id)?.pop() else { return Ok(false) };
    if !stand_in.is_due() || stand_in.state == JobState::Sending {
        return Ok(false);
    }
    tx.set_job(&stand_in, JobState::Done, stand_in.tries, Some(&Reason::new(outbox::SUPERSEDED, "")))?;
    tx.set_job(original, JobState::Queued, stand_in.tries, None)?;
    if stand_in.wanted.is_some() {
        tx.want_job(original.id)?;
    }
    Ok(true)
}

/// Cash was paid: its drawers open, once.
pub fn open_drawer(tx: &Tx<'_>, rules: &Rules, payment: &AttemptRow) -> Result<(), Fault> {
    let body = serde_json::to_string(&Document::Drawer)?;
    for printer in &rules.drawers {
        tx.add_job(&NewJob {
            kind: JobKind::Print,
            target: printer,
            order: payment.order,
            attempt: Some(payment.id),
            document: DRAWER,
            no: payment.id.0,
            body: body.clone(),
        })?;
    }
    Ok(())
}

/// A pulse that nobody is sure of is never sent again.
fn drawer_ended(tx: &Tx<'_>, job: &JobRow, printed: &Printed) -> Result<(), Fault> {
    let was_sent = job.state == JobState::Sending;
    match printed {
        Printed::Confirmed => tx.set_job(job, JobState::Confirmed, job.tries, None),
        Printed::Sent => tx.set_job(job, JobState::Sent, job.tries, None),
        Printed::OneWay => end_drawer(tx, job, outbox::ONE_WAY),
        Printed::Suspect(reason) => end_drawer(tx, job, &reason.code),
        Printed::Held(reason) if was_sent => end_drawer(tx, job, &reason.code),
        Printed::NotSent(reason) | Printed::Held(reason) => {
            tx.set_job(job, JobState::Queued, untried(job), Some(&Reason::new(&reason.code, "")))
        }
    }
}

fn end_drawer(tx: &Tx<'_>, job: &JobRow, code: &str) -> Result<(), Fault> {
    tx.set_job(job, JobState::Done, job.tries, Some(&Reason::new(code, "")))
}
