//! The laws of the demo, checked against what the world outside really did: the partners' own books, the papers that came out, and the
//! journal of the ledger. The daemon's opinion of itself is not asked.

use super::lunch::{Sold, Tally, Way};
use super::say;
use crate::config::Config;
use crate::domain::attempt::State;
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::refunds::RefundRow;
use crate::ledger::{Fault, OpenFault, Reader, journal};
use crate::sandbox::printer::Printer;
use crate::sandbox::restaurant::Shop;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// More rows than a demo makes.
const ROWS_MAX: u32 = 1_000_000;

/// What a refund slip says, and nothing else does.
const SLIP: &str = "ВОЗВРАТ";

/// Flaws shown of one law.
const SHOWN_MAX: usize = 5;

/// What came of a lunch.
pub(super) struct Report {
    rows: Vec<(String, String)>,
    laws: Vec<(&'static str, Vec<String>)>,
}

impl Report {
    pub(super) fn is_lawful(&self) -> bool {
        self.laws.iter().all(|(_, flaws)| flaws.is_empty())
    }
}

/// Why nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckFault {
    #[error(transparent)]
    Open(#[from] OpenFault),
    #[error(transparent)]
    Read(#[from] Fault),
}

struct Books<'a> {
    shop: &'a Shop,
    sold: &'a [Sold],
    attempts: Vec<AttemptRow>,
    refunds: Vec<RefundRow>,
    /// Order of the ledger to the foreign id.
    orders: BTreeMap<i64, String>,
}

/// Compares all books.
pub(super) fn check(
    shop: &Shop,
    config: &Config,
    sold: &[Sold],
    tally: &Tally,
    drained: bool,
) -> Result<Report, CheckFault> {
    let reader = Reader::open(&config.ledger)?;
    let view = reader.view();
    let attempts = view.newest_attempts(None, ROWS_MAX)?;
    let mut orders = BTreeMap::new();
    for row in &attempts {
        if let Entry::Vacant(place) = orders.entry(row.order.0) {
            place.insert(view.order(row.order)?.snapshot.foreign_id);
        }
    }
    let (journal_rows, chain) = journal::verify(&reader)?;
    let refunds = view.refunds_since(Wall(0), ROWS_MAX)?;
    let books = Books { shop, sold, attempts, refunds, orders };
    let (receipts, receipt_flaws) = books.papers(shop.printer("receipt"), &books.receipts_due());
    let (mut tickets, mut ticket_flaws) = (0, Vec::new());
    for station in ["hot", "bar"] {
        let (count, flaws) = books.papers(shop.printer(station), &books.tickets_due(station));
        tickets += count;
        ticket_flaws.extend(flaws);
    }
    let paid = sold.iter().filter(|order| order.paid).count();
    let closed = shop.world.poster().orders().iter().filter(|order| order.status == 2).count();
    let deliveries: u64 = shop.world.aipay().deliveries().iter().map(|delivery| u64::from(delivery.tries)).sum();
    let notices = u64::try_from(view.messages()?).unwrap_or(0);
    let repeated = deliveries.saturating_sub(notices);
    let faults: u64 = books.partner_faults() + tally.power_cuts.get() + tally.printer_faults.get();
    let by = |wanted: fn(Way) -> bool| sold.iter().filter(|order| order.paid && wanted(order.way)).count();
    let rows = vec![
        ("orders".to_owned(), sold.len().to_string()),
        (
            "paid".to_owned(),
            format!(
                "{paid}   (terminal {}, phone invoice {}, bot {})",
                by(|way| matches!(way, Way::Terminal(_))),
                by(|way| way == Way::Phone),
                by(|way| way == Way::Bot)
            ),
        ),
        ("left without paying".to_owned(), sold.iter().filter(|order| !order.paid).count().to_string()),
        (
            "closed in POS".to_owned(),
            format!("{closed} of {}", sold.iter().filter(|order| order.paid && order.way != Way::Bot).count()),
        ),
        ("receipts".to_owned(), receipts.to_string()),
        ("kitchen tickets".to_owned(), tickets.to_string()),
        (
            "in parts, given back".to_owned(),
            format!("{}, {}", sold.iter().filter(|order| order.cash_tenge > 0).count(), tally.refunds.get()),
        ),
        (
            "duplicates prevented".to_owned(),
            format!("{}   (webhooks {repeated}, taps {})", repeated + tally.double_taps.get(), tally.double_taps.get()),
        ),
        (
            "faults survived".to_owned(),
            format!(
                "{faults}   (power cuts {}, printers {}, wires and partners {})",
                tally.power_cuts.get(),
                tally.printer_faults.get(),
                books.partner_faults()
            ),
        ),
        ("answered by a person".to_owned(), tally.answers.get().to_string()),
        ("journal".to_owned(), format!("{journal_rows} rows")),
    ];
    let stuck = sold.iter().filter_map(|order| Some(format!("order {}: {}", order.number, order.stuck.as_ref()?)));
    let mut ends: Vec<String> = stuck.collect();
    if !drained {
        ends.push("something is still open an hour after the last guest".to_owned());
    }
    let chain = chain.into_iter().map(|flaw| format!("{}: {}", flaw.place, flaw.problem)).collect();
    let laws = vec![
        ("no guest is charged twice, no payment is lost", books.charged_once()),
        ("every paid order is closed in the POS once, with its sum", books.closed_once()),
        ("our books are the partners' books", books.same_sums()),
        ("a receipt for every paid order, and no unmarked second one", receipt_flaws),
        ("a slip for every refund, and no more went back than was paid", books.slips()),
        ("every dish reaches its station, and no unmarked second ticket", ticket_flaws),
        ("the bot hears of every end of its invoices", books.bot_heard()),
        ("partners saw no request that their protocol forbids", books.violations()),
        ("every state has an exit", ends),
        ("the journal is whole", chain),
    ];
    Ok(Report { rows, laws })
}

impl Books<'_> {
    /// What the world charged less what it gave back, in tenge, by foreign id of the order; what no order explains goes under an empty id.
    fn charges(&self) -> BTreeMap<String, i64> {
        let mut charges: BTreeMap<String, i64> = BTreeMap::new();
        let mut add = |row: Option<&AttemptRow>, tenge: i64| {
            let id = row.and_then(|row| self.orders.get(&row.order.0)).cloned().unwrap_or_default();
            *charges.entry(id).or_default() += tenge;
        };
        for invoice in self.shop.world.aipay().invoices().iter().filter(|invoice| invoice.times_paid > 0) {
            let row = self.attempts.iter().find(|row| row.reference.as_str() == invoice.external_id);
            add(row, invoice.amount_paid * i64::from(invoice.times_paid));
        }
        for (place, terminal) in self.shop.world.terminals().iter().enumerate() {
            let via = format!("till{}", place + 1);
            for operation in terminal.operations().iter().filter(|operation| operation.charged) {
                let is_same = |row: &&AttemptRow| {
                    let named =
                        row.attempt.handle.as_ref().is_some_and(|handle| handle.as_str() == operation.process_id);
                    let proven = row.attempt.evidence.as_ref().map(|evidence| evidence.transaction.as_str());
                    row.via == via && (named || (proven.is_some() && proven == operation.transaction_id.as_deref()))
                };
                let of_refund = |row: &&AttemptRow| {
                    let proven = row.attempt.evidence.as_ref().map(|evidence| evidence.transaction.as_str());
                    row.via == via && proven.is_some() && proven == operation.refund_of.as_deref()
                };
                match operation.is_refund {
                    true => add(self.attempts.iter().find(of_refund), -operation.amount),
                    false => add(self.attempts.iter().find(is_same), operation.amount),
                }
            }
        }
        charges
    }

    fn charged_once(&self) -> Vec<String> {
        let mut charges = self.charges();
        let mut flaws = Vec::new();
        for order in self.sold {
            let charged = charges.remove(&order.foreign_id).unwrap_or(0);
            let due = if order.paid { order.due_tenge - order.cash_tenge - order.returned_tenge } else { 0 };
            if charged != due {
                flaws.push(format!("order {}: {charged} tenge were charged, {due} were due", order.number));
            }
        }
        flaws.extend(charges.into_iter().map(|(id, tenge)| format!("{tenge} tenge were charged for no order '{id}'")));
        flaws
    }

    fn closed_once(&self) -> Vec<String> {
        let orders = self.shop.world.poster().orders();
        let mut flaws = Vec::new();
        for order in self.sold.iter().filter(|order| order.way != Way::Bot) {
            let Some(seen) = orders.iter().find(|seen| seen.id.to_string() == order.foreign_id) else {
                flaws.push(format!("order {} is gone from the POS", order.number));
                continue;
            };
            let wanted = if order.paid { (2, 1, Tiyn::from_tenge(order.due_tenge)) } else { (1, 0, Some(Tiyn::ZERO)) };
            let payed = seen.payed_cash.checked_add(seen.payed_card);
            if order.paid && seen.payed_cash.whole_tenge() != Some(order.cash_tenge) {
                let cash = seen.payed_cash;
                flaws.push(format!("order {}: {cash} in cash, {} were handed over", order.number, order.cash_tenge));
            }
            if (seen.status, seen.closes, payed) != wanted {
                flaws.push(format!(
                    "order {}: status {}, closed {} times, {payed:?} paid",
                    order.number, seen.status, seen.closes
                ));
            }
        }
        flaws
    }

    fn same_sums(&self) -> Vec<String> {
        let paid = self.attempts.iter().filter(|row| row.attempt.state == State::Paid);
        let paid: Tiyn = paid.filter_map(|row| Some(row.attempt.evidence.as_ref()?.amount)).sum();
        let back: Tiyn = self.refunds.iter().map(|row| row.refund.returned()).sum();
        let ours = Tiyn(paid.0 - back.0);
        let theirs: i64 =
            self.charges().values().sum::<i64>() + self.sold.iter().map(|order| order.cash_tenge).sum::<i64>();
        if ours.whole_tenge() == Some(theirs) { Vec::new() } else { vec![format!("ours {ours}, theirs {theirs}")] }
    }

    fn receipts_due(&self) -> Vec<&Sold> {
        self.sold.iter().filter(|order| order.paid).collect()
    }

    fn tickets_due(&self, station: &str) -> Vec<&Sold> {
        self.sold.iter().filter(|order| order.paid && order.stations.contains(&station)).collect()
    }

    /// Every order that is due has paper, at most one of it without the mark of a repeat; no other order has any. Returns the papers.
    fn papers(&self, printer: Option<&std::sync::Arc<Printer>>, due: &[&Sold]) -> (usize, Vec<String>) {
        let Some(printer) = printer else {
            return (0, vec!["there is no such printer".to_owned()]);
        };
        let papers = printer.papers();
        let mut seen: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        let mut flaws = Vec::new();
        for paper in papers.iter().filter(|paper| !paper.text.contains(SLIP)) {
            let Some(number) = number_on(&paper.text) else {
                flaws.push(format!("{}: a paper without a number", printer.name()));
                continue;
            };
            let (all, unmarked) = seen.entry(number).or_default();
            *all += 1;
            *unmarked += u32::from(!paper.text.contains("ПОВТОР"));
        }
        for order in due {
            match seen.remove(&order.number) {
                Some((_, 0 | 1)) => {}
                Some((_, unmarked)) => {
                    flaws.push(format!("{}: order {} came {unmarked} times unmarked", printer.name(), order.number))
                }
                None => flaws.push(format!("{}: no paper for order {}", printer.name(), order.number)),
            }
        }
        flaws.extend(
            seen.into_keys().map(|number| format!("{}: paper for order {number}, which is not due", printer.name())),
        );
        flaws.extend(printer.faults().into_iter().map(|fault| format!("{}: {fault}", printer.name())));
        (papers.len(), flaws)
    }

    /// Every refund that went has its slip, at most one of them without the mark of a repeat.
    fn slips(&self) -> Vec<String> {
        let Some(printer) = self.shop.printer("receipt") else {
            return vec!["there is no such printer".to_owned()];
        };
        let mut unmarked: BTreeMap<String, u32> = BTreeMap::new();
        let mut all: BTreeMap<String, u32> = BTreeMap::new();
        for paper in printer.papers().iter().filter(|paper| paper.text.contains(SLIP)) {
            let number = number_on(&paper.text).unwrap_or_default();
            *unmarked.entry(number.clone()).or_default() += u32::from(!paper.text.contains("ПОВТОР"));
            *all.entry(number).or_default() += 1;
        }
        let mut flaws = Vec::new();
        for order in self.sold {
            let (came, bare) = (all.remove(&order.number).unwrap_or(0), unmarked.get(&order.number).unwrap_or(&0));
            if came < order.slips || *bare > order.slips {
                flaws.push(format!("order {}: {came} slips, {bare} unmarked, of {}", order.number, order.slips));
            }
        }
        flaws.extend(all.into_keys().map(|number| format!("a slip for order {number}, which got nothing back")));
        flaws
    }

    fn bot_heard(&self) -> Vec<String> {
        let events = self.shop.world.bot().events();
        let bots = self.sold.iter().filter(|order| order.way == Way::Bot && order.paid);
        let silent = bots.filter(|order| {
            !events.iter().any(|event| event.external_id == order.foreign_id && event.status == "paid")
        });
        silent.map(|order| format!("the bot never heard that {} is paid", order.number)).collect()
    }

    fn violations(&self) -> Vec<String> {
        let world = &self.shop.world;
        let terminals = world.terminals().iter().flat_map(|terminal| terminal.violations());
        let all =
            world.aipay().violations().into_iter().chain(world.poster().violations()).chain(world.bot().violations());
        all.chain(terminals).collect()
    }

    fn partner_faults(&self) -> u64 {
        let world = &self.shop.world;
        let fired = |faults: &crate::sandbox::faults::Faults| faults.fired().values().sum::<u64>();
        let terminals: u64 = world.terminals().iter().map(|terminal| fired(terminal.faults())).sum();
        fired(world.aipay().faults()) + fired(world.poster().faults()) + fired(world.bot().faults()) + terminals
    }
}

/// The order's number on a paper: what follows the first `№ ` that is not the number of a repeat.
fn number_on(text: &str) -> Option<String> {
    let after = text.match_indices("№ ").map(|(at, sign)| &text[at + sign.len()..]).next()?;
    Some(after.split_whitespace().next()?.to_owned())
}

/// The table at the end.
pub(super) fn show(report: &Report) {
    say("");
    for (name, value) in &report.rows {
        say(&format!("  {name:<24}{value}"));
    }
    say("");
    let held = report.laws.iter().filter(|(_, flaws)| flaws.is_empty()).count();
    say(&format!("  laws held               {held} of {}", report.laws.len()));
    for (law, flaws) in &report.laws {
        say(&format!("    {} {law}", if flaws.is_empty() { "✓" } else { "✗" }));
        for flaw in flaws.iter().take(SHOWN_MAX) {
            say(&format!("        {flaw}"));
        }
        if flaws.len() > SHOWN_MAX {
            say(&format!("        … and {} more", flaws.len() - SHOWN_MAX));
        }
    }
    say("");
}
