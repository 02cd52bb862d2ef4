//! What must still happen outside: closes, prints, notices to bots. A job is written down with what it is for (I2) and is unique by that.

use super::{Fault, Tx, View};
use crate::domain::ids::{AttemptId, JobId, OrderId};
use crate::domain::outcome::Reason;
use crate::domain::time::Wall;
use rusqlite::{OptionalExtension, Row};
use serde_json::json;

/// What a job does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Closes an order in the POS.
    Close,
    /// Prints a document.
    Print,
    /// Tells a bot.
    Notify,
}

impl JobKind {
    /// The word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            JobKind::Close => "close",
            JobKind::Print => "print",
            JobKind::Notify => "notify",
        }
    }
}

/// Where a job stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// To be done.
    Queued,
    /// Being done; after a restart nobody knows how far it came.
    Sending,
    /// Bytes left us, and the printer was well afterwards: no proof, a sign.
    Sent,
    /// The printer said that it processed everything.
    Confirmed,
    /// Bytes left us and the proof did not come: it is repeated, marked; with the reason [`ONE_WAY`] only when a person wants it.
    Suspect,
    /// Waits for paper or a person.
    Held,
    /// Done, by the other side's own record.
    Done,
    /// A person has to look.
    Question,
}

impl JobState {
    const ALL: [JobState; 8] = [
        JobState::Queued,
        JobState::Sending,
        JobState::Sent,
        JobState::Confirmed,
        JobState::Suspect,
        JobState::Held,
        JobState::Done,
        JobState::Question,
    ];

    /// The word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Sending => "sending",
            JobState::Sent => "sent",
            JobState::Confirmed => "confirmed",
            JobState::Suspect => "suspect",
            JobState::Held => "held",
            JobState::Done => "done",
            JobState::Question => "question",
        }
    }

    /// Whether a worker still has to act.
    pub fn is_open(self) -> bool {
        match self {
            JobState::Queued | JobState::Sending | JobState::Suspect | JobState::Held => true,
            JobState::Sent | JobState::Confirmed | JobState::Done | JobState::Question => false,
        }
    }
}

/// A job of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The printer, POS or bot, by its name in the configuration.
    pub target: String,
    /// The order.
    pub order: OrderId,
    /// The payment it follows from.
    pub attempt: Option<AttemptId>,
    /// What it is for: `close`, `receipt`, `ticket`, `invoice.paid`.
    pub document: String,
    /// From 1 among its like.
    pub no: i64,
    /// Where it stands.
    pub state: JobState,
    /// How often bytes may have left us.
    pub tries: i64,
    /// The document or body, as JSON.
    pub body: String,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
    /// When it was written down.
    pub created: Wall,
    /// The job of another printer that this one does instead of it.
    pub instead: Option<JobId>,
    /// When a person wanted it done (again): its age counts from here.
    pub wanted: Option<Wall>,
}

/// Why a print is held for a person: it was out as often as it may be, and nothing proves it.
pub const UNPROVEN: &str = "unproven";

/// Why a print is held for a person: its document cannot be read.
pub const BROKEN_JOB: &str = "broken_job";

/// Why a print is held for a person: it waited for too long to come out unasked.
pub const TOO_OLD: &str = "too_old";

/// Why a print is held: another printer does it.
pub const REROUTED: &str = "rerouted";

/// Why a print stays suspect: its printer never says anything.
pub const ONE_WAY: &str = "one_way";

/// Why a print is done without paper: a newer one, or its own printer, took its place.
pub const SUPERSEDED: &str = "superseded";

/// The document of a job that opens the drawer.
pub const DRAWER: &str = "drawer";

impl JobRow {
    /// Whether it is held until a person takes it up again; a job held for paper resumes by itself.
    pub fn waits_for_a_person(&self) -> bool {
        self.is_held_for(&[UNPROVEN, BROKEN_JOB, TOO_OLD])
    }

    /// Whether it is held for one of these reasons.
    pub fn is_held_for(&self, codes: &[&str]) -> bool {
        self.state == JobState::Held && codes.contains(&self.code())
    }

    /// Whether a worker or a person still has to act on it: paper of a one-way printer has come as far as it ever will.
    pub fn is_open(&self) -> bool {
        self.state.is_open() && !self.is_one_way()
    }

    /// Whether its own printer's worker has to act on it now.
    pub fn is_due(&self) -> bool {
        self.is_open() && !self.is_held_for(&[UNPROVEN, BROKEN_JOB, TOO_OLD, REROUTED])
    }

    /// Whether another job took its place before anybody saw its paper.
    pub fn gave_way(&self) -> bool {
        self.state == JobState::Done && self.code() == SUPERSEDED
    }

    /// Whether its paper may be out, on a printer that never says so.
    pub fn is_one_way(&self) -> bool {
        self.state == JobState::Suspect && self.code() == ONE_WAY
    }

    /// Why it stands where it stands; empty when nothing is to be said.
    pub fn code(&self) -> &str {
        self.reason.as_ref().map_or("", |reason| reason.code.as_str())
    }
}

/// A job to write down.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    /// What it does.
    pub kind: JobKind,
    /// The printer, POS or bot.
    pub target: &'a str,
    /// The order.
    pub order: OrderId,
    /// The payment it follows from.
    pub attempt: Option<AttemptId>,
    /// What it is for.
    pub document: &'a str,
    /// From 1 among its like.
    pub no: i64,
    /// The document or body, as JSON.
    pub body: String,
}

struct Raw {
    id: i64,
    kind: String,
    target: String,
    order: i64,
    attempt: Option<i64>,
    document: String,
    no: i64,
    state: String,
    tries: i64,
    body: String,
    reason: Option<String>,
    created: i64,
    instead: Option<i64>,
    wanted: Option<i64>,
}

const COLUMNS: &str = "SELECT id, kind, target, order_id, attempt, document, no, state, tries, body, reason, created,
     instead, wanted FROM jobs";

/// What a worker or a person still has to see to, in the words of the index `jobs_open`.
const OPEN: &str =
    "state IN ('queued', 'sending', 'suspect', 'held') AND coalesce(reason ->> '$.code', '') <> 'one_way'";

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        kind: row.get(1)?,
        target: row.get(2)?,
        order: row.get(3)?,
        attempt: row.get(4)?,
        document: row.get(5)?,
        no: row.get(6)?,
        state: row.get(7)?,
        tries: row.get(8)?,
        body: row.get(9)?,
        reason: row.get(10)?,
        created: row.get(11)?,
        instead: row.get(12)?,
        wanted: row.get(13)?,
    })
}

fn job(raw: Raw) -> Result<JobRow, Fault> {
    let broken = |what: &str| Fault::Broken(format!("job {}: {what}", raw.id));
    Ok(JobRow {
        id: JobId(raw.id),
        kind: [JobKind::Close, JobKind::Print, JobKind::Notify]
            .into_iter()
            .find(|kind| kind.word() == raw.kind)
            .ok_or_else(|| broken("kind"))?,
        state: JobState::ALL.into_iter().find(|state| state.word() == raw.state).ok_or_else(|| broken("state"))?,
        reason: raw.reason.as_deref().map(serde_json::from_str).transpose()?,
        target: raw.target,
        order: OrderId(raw.order),
        attempt: raw.attempt.map(AttemptId),
        document: raw.document,
        no: raw.no,
        tries: raw.tries,
        body: raw.body,
        created: Wall(raw.created),
        instead: raw.instead.map(JobId),
        wanted: raw.wanted.map(Wall),
    })
}

impl View<'_> {
    fn jobs_where(&self, tail: &str, values: impl rusqlite::Params) -> Result<Vec<JobRow>, Fault> {
        let mut query = self.connection.prepare_cached(&format!("{COLUMNS} {tail}"))?;
        let raws: Vec<Raw> = query.query_map(values, raw)?.collect::<Result<_, _>>()?;
        raws.into_iter().map(job).collect()
    }

    /// One job.
    pub fn job(&self, id: JobId) -> Result<JobRow, Fault> {
        let found = self.jobs_where("WHERE id = ?1", [id.0])?.pop();
        found.ok_or_else(|| Fault::Missing(format!("job {id}")))
    }

    /// The open jobs of one target, oldest first.
    pub fn open_jobs(&self, target: &str, limit: u32) -> Result<Vec<JobRow>, Fault> {
        self.jobs_where(&format!("WHERE target = ?1 AND {OPEN} ORDER BY id LIMIT ?2"), (target, limit))
    }

    /// The oldest job that a printer has to do now; the drawer does not wait for paper.
    pub fn next_print(&self, printer: &str) -> Result<Option<JobRow>, Fault> {
        let tail = format!(
            "WHERE target = ?1 AND {OPEN} AND NOT (state = 'held' AND reason ->> '$.code' IN (?2, ?3, ?4, ?5))
             ORDER BY document <> 'drawer', id LIMIT 1"
        );
        Ok(self.jobs_where(&tail, (printer, UNPROVEN, BROKEN_JOB, TOO_OLD, REROUTED))?.pop())
    }

    /// The open jobs of a printer with the moment that their age counts from.
    pub fn ages(&self, printer: &str) -> Result<Vec<(JobId, Wall)>, Fault> {
        let sql = format!("SELECT id, coalesce(wanted, created) FROM jobs WHERE target = ?1 AND {OPEN}");
        let mut query = self.connection.prepare_cached(&sql)?;
        let ages = query.query_map([printer], |row| Ok((JobId(row.get(0)?), Wall(row.get(1)?))))?;
        Ok(ages.collect::<Result<_, _>>()?)
    }

    /// The jobs of a printer that another does instead of it.
    pub fn rerouted(&self, printer: &str) -> Result<Vec<JobRow>, Fault> {
        let tail = format!("WHERE target = ?1 AND {OPEN} AND state = 'held' AND reason ->> '$.code' = ?2 ORDER BY id");
        self.jobs_where(&tail, (printer, REROUTED))
    }

    /// What other printers did instead of a job, oldest first.
    pub fn stand_ins(&self, job: JobId) -> Result<Vec<JobRow>, Fault> {
        self.jobs_where("WHERE instead = ?1 ORDER BY id", [job.0])
    }

    /// The open notices for a bot, those that were never refused first; a later one of an attempt waits for the earlier.
    pub fn due_notices(&self, bot: &str, limit: u32) -> Result<Vec<JobRow>, Fault> {
        let tail = format!(
            "WHERE target = ?1 AND kind = 'notify' AND {OPEN}
             AND NOT EXISTS (SELECT 1 FROM jobs AS earlier WHERE earlier.order_id = jobs.order_id AND earlier.kind = 'notify'
                 AND earlier.target = jobs.target AND earlier.attempt = jobs.attempt AND earlier.id < jobs.id
                 AND earlier.state IN ('queued', 'sending', 'suspect', 'held'))
             ORDER BY reason IS NOT NULL, id LIMIT ?2"
        );
        self.jobs_where(&tail, (bot, limit))
    }

    /// All jobs that a worker or a person still has to see to, oldest first.
    pub fn unfinished_jobs(&self, limit: u32) -> Result<Vec<JobRow>, Fault> {
        self.jobs_where(&format!("WHERE {OPEN} ORDER BY id LIMIT ?1"), [limit])
    }

    /// What the page shows: jobs that wait for a person first, the newest of them on top, then those that a worker still has to do. A
    /// job that another printer does is shown there.
    pub fn listed_jobs(&self, limit: u32) -> Result<Vec<JobRow>, Fault> {
        let asked = "(state = 'question' OR state = 'held' AND reason ->> '$.code' IN (?2, ?3, ?4))";
        let tail = format!(
            "WHERE state IN ('queued', 'sending', 'suspect', 'held', 'question')
             AND coalesce(reason ->> '$.code', '') NOT IN ('one_way', 'rerouted') AND document <> 'drawer'
             ORDER BY {asked} DESC, CASE WHEN {asked} THEN -id ELSE id END LIMIT ?1"
        );
        self.jobs_where(&tail, (limit, UNPROVEN, BROKEN_JOB, TOO_OLD))
    }

    /// Kitchen paper of printers that never say anything, while it is worth asking whether it came out: written to them between these
    /// two moments; the newest first.
    pub fn unseen_tickets(&self, from: Wall, to: Wall) -> Result<Vec<JobRow>, Fault> {
        let tail = "WHERE state = 'suspect' AND coalesce(reason ->> '$.code', '') = 'one_way' AND document LIKE 'ticket:%'
             AND (SELECT at FROM journal WHERE journal.seq = jobs.seq) BETWEEN ?1 AND ?2 ORDER BY jobs.seq DESC LIMIT 50";
        self.jobs_where(tail, (from.0, to.0))
    }

    /// The jobs of an order, oldest first.
    pub fn jobs_of(&self, order: OrderId) -> Result<Vec<JobRow>, Fault> {
        self.jobs_where("WHERE order_id = ?1 ORDER BY id", [order.0])
    }
}

impl Tx<'_> {
    /// Writes a job down. `None` when the same job is there already: an effect is asked for once.
    pub fn add_job(&self, new: &NewJob<'_>) -> Result<Option<JobId>, Fault> {
        let known =
            "SELECT 1 FROM jobs WHERE order_id = ?1 AND kind = ?2 AND target = ?3 AND document = ?4 AND no = ?5";
        let values = (new.order.0, new.kind.word(), new.target, new.document, new.no);
        if self.connection.prepare_cached(known)?.query_row(values, |_| Ok(())).optional()?.is_some() {
            return Ok(None);
        }
        let id = self.next_id("jobs")?;
        let entry =
            json!({ "state": "queued", "kind": new.kind.word(), "target": new.target, "document": new.document });
        let seq = self.record("job", id, &entry)?;
        self.write(
            "INSERT INTO jobs (id, kind, target, order_id, attempt, document, no, state, body, created, seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8, ?9, ?10)",
            rusqlite::params![
                id,
                new.kind.word(),
                new.target,
                new.order.0,
                new.attempt.map(|attempt| attempt.0),
                new.document,
                new.no,
                new.body,
                self.now().0,
                seq.0
            ],
        )?;
        Ok(Some(JobId(id)))
    }

    /// Writes down that another printer does a job, with all that was tried of it so far. Its number is its own, so that it is never
    /// mistaken for paper of that printer.
    pub fn add_stand_in(&self, job: &JobRow, printer: &str) -> Result<JobId, Fault> {
        let id = self.next_id("jobs")?;
        let entry = json!({ "state": "queued", "kind": job.kind.word(), "target": printer, "document": job.document,
            "instead": job.id, "tries": job.tries });
        let seq = self.record("job", id, &entry)?;
        self.write(
            "INSERT INTO jobs (id, kind, target, order_id, attempt, document, no, state, tries, body, created, seq, instead, wanted)
             SELECT ?1, kind, ?2, order_id, attempt, document, -?1, 'queued', tries, body, created, ?3, id, wanted
             FROM jobs WHERE id = ?4",
            (id, printer, seq.0, job.id.0),
        )?;
        Ok(JobId(id))
    }

    /// A person wants a job: its age counts from now.
    pub fn want_job(&self, job: JobId) -> Result<(), Fault> {
        self.write("UPDATE jobs SET wanted = ?2 WHERE id = ?1", (job.0, self.now().0)).map(drop)
    }

    /// Moves a job. Nothing is written when nothing changes: a printer that is off for an hour wears no card.
    pub fn set_job(&self, job: &JobRow, state: JobState, tries: i64, reason: Option<&Reason>) -> Result<(), Fault> {
        if job.state == state && job.tries == tries && job.reason.as_ref() == reason {
            return Ok(());
        }
        let entry = json!({ "state": state.word(), "tries": tries, "reason": reason });
        let seq = self.record("job", job.id.0, &entry)?;
        self.write(
            "UPDATE jobs SET state = ?2, tries = ?3, reason = ?4, seq = ?5 WHERE id = ?1",
            (job.id.0, state.word(), tries, reason.map(serde_json::to_string).transpose()?, seq.0),
        )?;
        Ok(())
    }
}
