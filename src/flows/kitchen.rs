//! Kitchen tickets are differences (F23): what the order has now, less what its earlier tickets already told the station.

use super::{Rules, Station};
use crate::domain::ids::OrderId;
use crate::domain::order::{Line, Milli, Snapshot};
use crate::domain::paper::{Document, Ticket, TicketKind, TicketLine};
use crate::ledger::orders::OrderRow;
use crate::ledger::outbox::{JobKind, NewJob};
use crate::ledger::{Fault, Tx, View};

/// Queues the tickets of an order: one per station that has something new to cook.
pub fn tickets(tx: &Tx<'_>, rules: &Rules, order: &OrderRow, now: &Snapshot) -> Result<(), Fault> {
    for station in &rules.stations {
        let lines = lines_for(rules, station, now);
        let (told, tickets) = told(tx, order.id, station)?;
        let fresh = difference(lines, told);
        if fresh.is_empty() {
            continue;
        }
        queue(tx, rules, order, now, station, fresh, tickets)?;
    }
    Ok(())
}

fn queue(
    tx: &Tx<'_>,
    rules: &Rules,
    order: &OrderRow,
    now: &Snapshot,
    station: &Station,
    lines: Vec<TicketLine>,
    earlier: u32,
) -> Result<(), Fault> {
    let no = earlier + 1;
    let ticket = Document::Ticket(Ticket {
        station: station.name.clone(),
        order_number: now.number.clone(),
        table: now.table.clone(),
        waiter: now.waiter.clone(),
        kind: if earlier == 0 { TicketKind::New } else { TicketKind::Addition },
        sequence: (no, no),
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
        no: i64::from(no),
        body: serde_json::to_string(&ticket)?,
    })?;
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

/// What earlier tickets of this order told the station, and how many they were.
fn told(view: &View<'_>, order: OrderId, station: &Station) -> Result<(Vec<TicketLine>, u32), Fault> {
    let document = document_of(station);
    let mut lines = Vec::new();
    let mut count = 0;
    for job in view.jobs_of(order)?.iter().filter(|job| job.document == document) {
        if let Document::Ticket(ticket) = serde_json::from_str(&job.body)? {
            lines.extend(ticket.lines);
            count += 1;
        }
    }
    Ok((lines, count))
}

/// The lines that are new, by name and modifiers.
fn difference(wanted: Vec<TicketLine>, mut told: Vec<TicketLine>) -> Vec<TicketLine> {
    let mut fresh = Vec::new();
    for mut line in wanted {
        let dish = line.clone();
        for known in told.iter_mut().filter(|known| is_same_dish(known, &dish)) {
            let covered = known.quantity.0.min(line.quantity.0).max(0);
            known.quantity = Milli(known.quantity.0 - covered);
            line.quantity = Milli(line.quantity.0 - covered);
        }
        if line.quantity.0 > 0 {
            fresh.push(line);
        }
    }
    fresh
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
        assert_eq!(difference(vec![dish("Лагман", 2), dish("Чай", 2)], told.clone()), vec![dish("Лагман", 1)]);
        assert_eq!(difference(vec![dish("Лагман", 1), dish("Чай", 2)], told), vec![]);
        assert_eq!(difference(vec![dish("Лагман", 1), dish("Лагман", 1)], vec![dish("Лагман", 1)]).len(), 1);
    }
}
