//! Kitchen tickets are differences (F23): what the order has now, against what the station may have seen of it. A ticket of which no byte
//! has left us was seen by nobody: it gives way to the new one.

use super::{Rules, Station, print};
use crate::domain::ids::OrderId;
use crate::domain::order::{Line, Milli, Snapshot};
use crate::domain::outcome::Reason;
use crate::domain::paper::{Document, Ticket, TicketKind, TicketLine};
use crate::ledger::orders::OrderRow;
use crate::ledger::outbox::{JobKind, JobRow, JobState, NewJob, REROUTED, SUPERSEDED, TOO_OLD};
use crate::ledger::{Fault, Tx, View};

/// Queues the tickets of an order: one per station that has something new to cook, and one that takes back what is not to be cooked any
/// more. A ticket that surely nobody has seen yet gives way to the new one and comes with it.
pub fn tickets(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, now: &Snapshot) -> Result<(), Fault> {
    let mut fresh = Vec::new();
    for station in &rules.stations {
        let lines = lines_for(rules, station, now);
        let told = told(tx, order.id, station)?;
        let wish = told.is_new_wish(&now.comment);
        if difference(lines.clone(), told.net(true)).is_nothing() && !wish {
            continue;
        }
        tell_less(tx, &told.unseen)?;
        let kind = if told.seen.is_empty() { TicketKind::New } else { TicketKind::Addition };
        let difference = difference(lines, told.net(false));
        let no = next_no(tx, order.id, station)?;
        let is_told = difference.is_nothing();
        let parts = [(TicketKind::Cancel, difference.less), (kind, difference.more)];
        // A wish to the order as a whole that came later goes out alone: it may be an allergy.
        let parts = parts.into_iter().filter(|(part, lines)| !lines.is_empty() || (wish && is_told && *part == kind));
        fresh.extend((no..).zip(parts).map(|(no, (kind, lines))| Fresh { station, no, kind, lines }));
    }
    let earlier = live(tx, order.id)?.len();
    let all = u32::try_from(earlier + fresh.len()).unwrap_or(u32::MAX);
    for (place, ticket) in (1..).zip(fresh) {
        let sequence = (u32::try_from(earlier + place).unwrap_or(u32::MAX), all);
        queue(tx, rules, order, now, ticket, sequence)?;
    }
    Ok(())
}

/// A ticket to write down.
struct Fresh<'a> {
    station: &'a Station,
    no: i64,
    kind: TicketKind,
    lines: Vec<TicketLine>,
}

fn queue(
    tx: &Tx<'_>,
    rules: &Rules,
    order: &OrderRow,
    now: &Snapshot,
    fresh: Fresh<'_>,
    sequence: (u32, u32),
) -> Result<(), Fault> {
    let Fresh { station, no, kind, lines } = fresh;
    let ticket = Document::Ticket(Ticket {
        station: station.name.clone(),
        order_number: now.number.clone(),
        table: now.table.clone(),
        waiter: now.waiter.clone(),
        kind,
        sequence,
        lines,
        comment: now.comment.clone(),
        at: rules.paper_time(tx.now()),
    });
    tx.add_job(&NewJob {
        kind: JobKind::Print,
        target: &station.printer,
        order: order.id,
        attempt: None,
        document: &document_of(station),
        no,
        body: serde_json::to_string(&ticket)?,
    })?;
    Ok(())
}

/// Nobody has seen these tickets, and nobody will.
fn tell_less(tx: &Tx<'_>, unseen: &[(JobRow, Ticket)]) -> Result<(), Fault> {
    let superseded = Reason::new(SUPERSEDED, "");
    for (job, _) in unseen {
        for stand_in in tx.stand_ins(job.id)?.into_iter().filter(JobRow::is_open) {
            tx.set_job(&stand_in, JobState::Done, stand_in.tries, Some(&superseded))?;
        }
        tx.set_job(job, JobState::Done, job.tries, Some(&superseded))?;
        print::gave_way(tx, job)?;
    }
    Ok(())
}

fn document_of(station: &Station) -> String {
    format!("ticket:{}", station.name)
}

/// What a station cooks of an order. A dish that no station is set for goes to the catch-all: the first station without a workshop,
/// else the first of all; no dish is ever lost for a missing setting.
fn lines_for(rules: &Rules, station: &Station, now: &Snapshot) -> Vec<TicketLine> {
    let of =
        |line: &Line| rules.stations.iter().find(|other| other.workshop.is_some() && other.workshop == line.workshop);
    let catch_all = rules.stations.iter().find(|other| other.workshop.is_none()).or(rules.stations.first());
    now.lines
        .iter()
        .filter(|line| of(line).or(catch_all) == Some(station))
        .map(|line| TicketLine {
            quantity: line.quantity,
            name: line.name.clone(),
            modifiers: line.modifiers.clone(),
            comment: line.comment.clone(),
        })
        .collect()
}

/// The tickets of an order over all stations that came or will come, each once: what another printer does instead is no second one.
fn live(view: &View<'_>, order: OrderId) -> Result<Vec<JobRow>, Fault> {
    let mut jobs = view.jobs_of(order)?;
    jobs.retain(|job| job.document.starts_with("ticket:") && job.instead.is_none() && !job.gave_way());
    Ok(jobs)
}

/// The number of a station's next ticket: those that gave way keep theirs.
fn next_no(view: &View<'_>, order: OrderId, station: &Station) -> Result<i64, Fault> {
    let document = document_of(station);
    let jobs = view.jobs_of(order)?;
    Ok(1 + jobs.iter().filter(|job| job.document == document).map(|job| job.no).max().unwrap_or(0).max(0))
}

/// What earlier tickets of an order tell its station: those that somebody may have seen, and those that surely nobody has.
struct Told {
    seen: Vec<(JobRow, Ticket)>,
    unseen: Vec<(JobRow, Ticket)>,
}

impl Told {
    /// Whether a wish to the whole order is one that the station does not know, of dishes that it knows.
    fn is_new_wish(&self, comment: &str) -> bool {
        let mut tickets = self.seen.iter().chain(&self.unseen).peekable();
        !comment.is_empty() && tickets.peek().is_some() && tickets.all(|(_, ticket)| ticket.comment != comment)
    }

    /// What they let the station cook, with or without those that nobody has seen.
    fn net(&self, with_unseen: bool) -> Vec<TicketLine> {
        let unseen = self.unseen.iter().filter(|_| with_unseen);
        let mut net: Vec<TicketLine> = Vec::new();
        for (_, ticket) in self.seen.iter().chain(unseen) {
            for line in &ticket.lines {
                let quantity = if ticket.kind == TicketKind::Cancel { -line.quantity.0 } else { line.quantity.0 };
                match net.iter_mut().find(|known| is_same_dish(known, line)) {
                    Some(known) => known.quantity = Milli(known.quantity.0.saturating_add(quantity)),
                    None => net.push(TicketLine { quantity: Milli(quantity), ..line.clone() }),
                }
            }
        }
        net
    }
}

fn told(view: &View<'_>, order: OrderId, station: &Station) -> Result<Told, Fault> {
    let document = document_of(station);
    let mut told = Told { seen: Vec::new(), unseen: Vec::new() };
    for job in live(view, order)?.into_iter().filter(|job| job.document == document) {
        // A body that cannot be read was never printed: a person is asked about it, and its dishes come anew.
        if let Ok(Document::Ticket(ticket)) = serde_json::from_str(&job.body) {
            let side = if is_unseen(view, &job)? { &mut told.unseen } else { &mut told.seen };
            side.push((job, ticket));
        }
    }
    Ok(told)
}

/// Whether surely no byte of a ticket has left us, and nobody has to judge what came of it: one that is only too old gives way.
fn is_unseen(view: &View<'_>, job: &JobRow) -> Result<bool, Fault> {
    let waits = |job: &JobRow| {
        let is_judged = job.waits_for_a_person() && !job.is_held_for(&[TOO_OLD]);
        job.tries == 0 && !is_judged && [JobState::Queued, JobState::Held].contains(&job.state)
    };
    if !waits(job) || !job.is_held_for(&[REROUTED]) {
        return Ok(waits(job));
    }
    // What another printer gave back counts here already, by its tries.
    Ok(view.stand_ins(job.id)?.iter().all(|stand_in| waits(stand_in) || stand_in.code() == SUPERSEDED))
}

/// What the station has to cook more, and less, than it was told.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    more: Vec<TicketLine>,
    less: Vec<TicketLine>,
}

impl Difference {
    fn is_nothing(&self) -> bool {
        self.more.is_empty() && self.less.is_empty()
    }
}

/// The difference, by name, modifiers and wish.
fn difference(wanted: Vec<TicketLine>, mut told: Vec<TicketLine>) -> Difference {
    let mut more = Vec::new();
    for mut line in wanted {
        if let Some(known) = told.iter_mut().find(|known| is_same_dish(known, &line)) {
            let covered = known.quantity.0.min(line.quantity.0).max(0);
            known.quantity = Milli(known.quantity.0 - covered);
            line.quantity = Milli(line.quantity.0 - covered);
        }
        if line.quantity.0 > 0 {
            more.push(line);
        }
    }
    told.retain(|line| line.quantity.0 > 0);
    Difference { more, less: told }
}

fn is_same_dish(known: &TicketLine, line: &TicketLine) -> bool {
    known.name == line.name && known.modifiers == line.modifiers && known.comment == line.comment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dish(name: &str, quantity: i64) -> TicketLine {
        TicketLine { quantity: Milli(quantity * 1000), name: name.into(), modifiers: vec![], comment: String::new() }
    }

    #[test]
    fn a_ticket_is_a_difference() {
        let told = vec![dish("Лагман", 1), dish("Чай", 2)];
        let of = |wanted, told| {
            let Difference { more, less } = difference(wanted, told);
            (more, less)
        };
        assert_eq!(of(vec![dish("Лагман", 2), dish("Чай", 2)], told.clone()), (vec![dish("Лагман", 1)], vec![]));
        assert!(difference(vec![dish("Лагман", 1), dish("Чай", 2)], told.clone()).is_nothing());
        assert_eq!(of(vec![dish("Лагман", 1), dish("Лагман", 1)], vec![dish("Лагман", 1)]).0.len(), 1);
        assert_eq!(
            of(vec![dish("Чай", 1), dish("Плов", 1)], told),
            (vec![dish("Плов", 1)], vec![dish("Лагман", 1), dish("Чай", 1)])
        );
    }
}
