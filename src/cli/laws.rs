//! The laws of the demo, checked against what the world outside really did: the partners' own books, the papers that came out, and the
//! journal of the ledger. The daemon's opinion of itself is not asked.

mod papers;
mod register;

use super::lunch::{Sold, Tally, Way};
use super::say;
use crate::config::Config;
use crate::domain::attempt::State;
use crate::domain::fiscal::{PayKind, Side};
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::fiscal::FiscalRow;
use crate::ledger::refunds::RefundRow;
use crate::ledger::{Fault, OpenFault, Reader, journal};
use crate::sandbox::restaurant::Shop;
use crate::sandbox::terminal::{OperationView, PayMethod, Terminal};
use crate::sandbox::webkassa::SandboxReceipt;
use papers::{Leaf, Matter};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// More rows than a demo makes.
const ROWS_MAX: u32 = 1_000_000;

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
    /// Documents of the cash register.
    documents: Vec<FiscalRow>,
    /// Those of them whose notice gave way to the receipt before it came out.
    overtaken: BTreeSet<i64>,
    /// What the cash register has.
    receipts: Vec<SandboxReceipt>,
    /// What came out at the counter.
    leaves: Vec<Leaf>,
    /// Order of the ledger to the foreign id.
    orders: BTreeMap<i64, String>,
}

/// Compares all books.
pub(super) fn check(
    shop: &Shop,
    config: &Config,
    sold: &[Sold],
    tally: &Tally,
    left: &[String],
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
    let documents = view.fiscal_since(Wall(0), ROWS_MAX)?;
    let mut overtaken = BTreeSet::new();
    for row in documents.iter().filter(|row| row.noticed.is_some()) {
        let name = format!("notice:{}", row.id);
        let jobs = row.order.map(|order| view.jobs_of(order)).transpose()?.unwrap_or_default();
        if jobs.iter().any(|job| job.document == name && job.gave_way()) {
            overtaken.insert(row.id.0);
        }
    }
    let receipts = shop.world.webkassa().receipts();
    let leaves = papers::leaves(shop.printer("receipt"));
    let books = Books { shop, sold, attempts, refunds, documents, overtaken, receipts, leaves, orders };
    let (mut tickets, mut ticket_flaws) = (0, Vec::new());
    for station in ["hot", "bar"] {
        let (count, flaws) = books.tickets(station);
        tickets += count;
        ticket_flaws.extend(flaws);
    }
    let aipay_receipts = shop.world.aipay().receipts().len();
    let paid = sold.iter().filter(|order| order.paid).count();
    let closed = shop.world.poster().orders().iter().filter(|order| order.status == 2).count();
    let deliveries: u64 = shop.world.aipay().deliveries().iter().map(|delivery| u64::from(delivery.tries)).sum();
    let notices = u64::try_from(view.messages()?).unwrap_or(0);
    let repeated = deliveries.saturating_sub(notices);
    let faults: u64 = books.partner_faults() + tally.power_cuts.get() + tally.printer_faults.get();
    let by = |wanted: fn(Way) -> bool| sold.iter().filter(|order| order.paid && wanted(order.way)).count();
    let mut rows = vec![
        ("orders".to_owned(), sold.len().to_string()),
        (
            "paid".to_owned(),
            format!(
                "{paid}   (terminal {}, phone invoice {}, bot {}, cash {})",
                by(|way| matches!(way, Way::Terminal(_))),
                by(|way| way == Way::Phone),
                by(|way| way == Way::Bot),
                by(|way| way == Way::Cash)
            ),
        ),
        ("left without paying".to_owned(), sold.iter().filter(|order| !order.paid).count().to_string()),
        (
            "closed in POS".to_owned(),
            format!("{closed} of {}", sold.iter().filter(|order| order.paid && order.way != Way::Bot).count()),
        ),
        (
            "fiscal receipts".to_owned(),
            format!(
                "{} registered, {} given back, {aipay_receipts} by AiPay itself",
                books.of_side(Side::Sale).count(),
                books.of_side(Side::Return).count()
            ),
        ),
        (
            "register out of reach".to_owned(),
            format!(
                "{} minutes in one stretch; {} receipts waited, {} notices, {} autonomous",
                tally.register_away.get().as_secs() / 60,
                tally.waited.get(),
                books.documents.iter().filter(|row| row.noticed.is_some()).count(),
                books.receipts.iter().filter(|receipt| receipt.is_autonomous).count()
            ),
        ),
        ("shifts closed with a Z".to_owned(), books.shifts_closed().to_string()),
        ("papers at the counter".to_owned(), books.leaves.len().to_string()),
        ("kitchen tickets".to_owned(), tickets.to_string()),
        (
            "in parts, given back".to_owned(),
            format!("{}, {}", sold.iter().filter(|order| order.is_mixed()).count(), tally.refunds.get()),
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
    let mut silent = Vec::new();
    if let Some((logins, kills)) = tally.tunnel.get() {
        rows.push((
            "notices by the tunnel".to_owned(),
            format!("{notices}   (logins at the server {logins}, server killed {kills})"),
        ));
        let told = shop.world.aipay().deliveries();
        if !told.is_empty() && !told.iter().any(|delivery| delivery.is_accepted) {
            silent.push(format!("none of {} notices came in", told.len()));
        }
    }
    let stuck = sold.iter().filter_map(|order| Some(format!("order {}: {}", order.number, order.stuck.as_ref()?)));
    let ends: Vec<String> = stuck.chain(left.iter().cloned()).collect();
    let chain = chain.into_iter().map(|flaw| format!("{}: {}", flaw.place, flaw.problem)).collect();
    let mut laws = vec![
        ("no guest is charged twice, no payment is lost", books.charged_once()),
        ("every paid order is closed in the POS once, with its sum", books.closed_once()),
        ("our books are the partners' books", books.same_sums()),
        ("every paid part has one fiscal receipt, by the register or by AiPay", books.receipted_once()),
        ("every receipt of the register is right in itself, and so is every return", books.receipts_right()),
        ("a paper for every paid order, and no unmarked second one", books.guests_have_paper()),
        ("a sign on paper is the register's, and where none came in time there is a notice", books.signs_on_paper()),
        ("a paper for every refund, and no more went back than was paid", books.refunds_have_paper()),
        ("the POS knows of every receipt that the register has", books.pos_knows()),
        ("the drawer holds what the register says, and the shift is closed", books.drawer()),
        ("every dish reaches its station, and no unmarked second ticket", ticket_flaws),
        ("the bot hears of every end of its invoices", books.bot_heard()),
        ("partners saw no request that their protocol forbids", books.violations()),
        ("every state has an exit", ends),
        ("the journal is whole", chain),
    ];
    if tally.tunnel.get().is_some() {
        laws.push(("notices come in through the server", silent));
    }
    Ok(Report { rows, laws })
}

impl Books<'_> {
    /// What the world charged less what it gave back, in tenge: the foreign id of the order, empty where no order explains it; how the
    /// register counts it, none where AiPay issues the receipt.
    fn movements(&self) -> Vec<(String, Option<PayKind>, i64)> {
        let id =
            |row: Option<&AttemptRow>| row.and_then(|row| self.orders.get(&row.order.0)).cloned().unwrap_or_default();
        let mut moved = Vec::new();
        for invoice in self.shop.world.aipay().invoices().iter().filter(|invoice| invoice.times_paid > 0) {
            let row = self.attempts.iter().find(|row| row.reference.as_str() == invoice.external_id);
            moved.push((id(row), None, invoice.amount_paid * i64::from(invoice.times_paid)));
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
                let (row, tenge) = match operation.is_refund {
                    true => (self.attempts.iter().find(of_refund), -operation.amount),
                    false => (self.attempts.iter().find(is_same), operation.amount),
                };
                moved.push((id(row), Some(kind_of(row, terminal, operation)), tenge));
            }
        }
        moved
    }

    /// The same, by foreign id of the order.
    fn charges(&self) -> BTreeMap<String, i64> {
        let mut charges: BTreeMap<String, i64> = BTreeMap::new();
        for (id, _, tenge) in self.movements() {
            *charges.entry(id).or_default() += tenge;
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
        let in_cash: i64 = self.sold.iter().map(|order| order.cash_tenge - order.cash_returned_tenge).sum();
        let theirs = self.charges().values().sum::<i64>() + in_cash;
        if ours.whole_tenge() == Some(theirs) { Vec::new() } else { vec![format!("ours {ours}, theirs {theirs}")] }
    }

    /// Every dish of a paid order has its ticket at a station, at most one of an order without the mark of a repeat; no other order has
    /// any. Returns how many there are.
    fn tickets(&self, station: &str) -> (usize, Vec<String>) {
        let Some(printer) = self.shop.printer(station) else {
            return (0, vec!["there is no such printer".to_owned()]);
        };
        let leaves = papers::leaves(Some(printer));
        let due = self.sold.iter().filter(|order| order.paid && order.stations.contains(&station));
        let mut flaws = one_each(&leaves, due, station);
        flaws.extend(printer.faults().into_iter().map(|fault| format!("{station}: {fault}")));
        (leaves.len(), flaws)
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
        all.chain(world.webkassa().violations()).chain(terminals).collect()
    }

    fn partner_faults(&self) -> u64 {
        let world = &self.shop.world;
        let fired = |faults: &crate::sandbox::faults::Faults| faults.fired().values().sum::<u64>();
        let terminals: u64 = world.terminals().iter().map(|terminal| fired(terminal.faults())).sum();
        let clouds = fired(world.aipay().faults()) + fired(world.webkassa().faults());
        clouds + fired(world.poster().faults()) + fired(world.bot().faults()) + terminals
    }
}

/// How the register counts what a terminal took. Where a person answered for a payment nobody knows the way: then it is a mobile one.
fn kind_of(row: Option<&AttemptRow>, terminal: &Terminal, operation: &OperationView) -> PayKind {
    let is_known =
        row.and_then(|row| row.attempt.evidence.as_ref()).is_some_and(|evidence| !evidence.method.is_empty());
    let paid = terminal
        .operations()
        .into_iter()
        .find(|one| !one.is_refund && one.transaction_id.is_some() && one.transaction_id == operation.refund_of);
    match operation.method.or(paid.and_then(|paid| paid.method)) {
        Some(PayMethod::Card) if is_known => PayKind::Card,
        Some(PayMethod::Card | PayMethod::Qr | PayMethod::Alaqan) | None => PayKind::Mobile,
    }
}

/// Each order that is due has a paper, at most one of them without the mark of a repeat; no other order has any.
fn one_each<'s>(leaves: &[Leaf], due: impl Iterator<Item = &'s Sold>, place: &str) -> Vec<String> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut flaws = Vec::new();
    for leaf in leaves {
        match &leaf.number {
            Some(number) => *seen.entry(number).or_default() += u32::from(!leaf.is_repeat),
            None => flaws.push(format!("{place}: a paper without a number")),
        }
    }
    for order in due {
        match seen.remove(order.number.as_str()) {
            Some(0 | 1) => {}
            Some(unmarked) => flaws.push(format!("{place}: order {} came {unmarked} times unmarked", order.number)),
            None => flaws.push(format!("{place}: no paper for order {}", order.number)),
        }
    }
    flaws.extend(seen.into_keys().map(|number| format!("{place}: paper for order {number}, which is not due")));
    flaws
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
