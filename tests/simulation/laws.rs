//! The laws. After each commit: what is paid stays paid, one live attempt per part, nothing is paid in our books that nobody paid. At the
//! end: our books are the world's books, every order is closed once with its money, every dish and receipt is on paper, and nothing waits.

use super::plan::Mutant;
use super::register;
use super::world::{Given, Sim, Standing, World};
use kassad::domain::attempt::State;
use kassad::domain::fiscal::Side;
use kassad::domain::ids::{AttemptId, OrderId, QuestionId, Seq};
use kassad::domain::money::Tiyn;
use kassad::domain::order::Tender;
use kassad::domain::paper::{Document, TicketKind, TicketLine};
use kassad::domain::time::Wall;
use kassad::flows::{Issuer, fiscal};
use kassad::ledger::attempts::AttemptRow;
use kassad::ledger::fiscal::{Act, FiscalRow};
use kassad::ledger::orders::{Closing, OrderRow};
use kassad::ledger::outbox::{JobKind, JobRow};
use kassad::ledger::refunds::RefundRow;
use kassad::ledger::{Fault, Reader, View, journal};
use std::collections::{BTreeMap, BTreeSet};

/// More rows than a day makes.
const ROWS_MAX: u32 = 100_000;

/// What was seen of the ledger so far.
#[derive(Default)]
pub struct Watch {
    pub commits: u64,
    /// References that the ledger knows as paid.
    pub paid: BTreeSet<String>,
    /// References of refunds that it knows as done.
    pub given: BTreeSet<String>,
    seq: Seq0,
    states: BTreeMap<i64, State>,
}

/// The last journal row that was looked at.
struct Seq0(Seq);

impl Default for Seq0 {
    fn default() -> Seq0 {
        Seq0(Seq(0))
    }
}

impl Watch {
    /// Looks at what the newest commits changed.
    pub fn look(&mut self, sim: &Sim, view: View<'_>) -> Result<(), Fault> {
        for (seq, kind, subject) in view.changes_after(self.seq.0, ROWS_MAX)? {
            self.seq = Seq0(seq);
            match kind.as_str() {
                "attempt" => self.attempt(sim, view, &view.attempt(AttemptId(subject))?)?,
                "refund" => {
                    let row = view.refund(kassad::domain::ids::RefundId(subject))?;
                    sim.world().note(format!("refund {}", row.refund.state.word()));
                    if row.refund.state == kassad::domain::refund::State::Done {
                        self.given.insert(row.reference.0.clone());
                    }
                    sim.world().tell(&format!("{}: {}", row.reference, row.refund.state.word()));
                }
                "question" => {
                    if let Ok(question) = view.question(QuestionId(subject)) {
                        sim.world().note(format!("asked {}", question.code));
                        sim.world().tell(&format!("asked {} {:?}", question.code, question.attempt));
                    }
                }
                "job" => {
                    let state = view.job(kassad::domain::ids::JobId(subject))?.state;
                    sim.world().note(format!("job {}", state.word()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attempt(&mut self, sim: &Sim, view: View<'_>, row: &AttemptRow) -> Result<(), Fault> {
        let (reference, state) = (row.reference.0.clone(), row.attempt.state);
        let was = self.states.insert(row.id.0, state);
        let order = view.order(row.order)?;
        let mut world = sim.world();
        let was_word = was.map_or("nothing", State::word);
        if was != Some(state) {
            world.note(format!("{was_word} -> {}", state.word()));
            world.tell(&format!("{reference}: {was_word} -> {}", state.word()));
        }
        world.orders_of.insert(reference.clone(), order.snapshot.foreign_id);
        if was == Some(State::Paid) && state != State::Paid {
            world.violate(format!("{reference} was paid and is {}", state.word()));
        }
        if state.is_live() {
            let live = view.attempts(row.part)?.iter().filter(|row| row.attempt.state.is_live()).count();
            if live > 1 {
                world.violate(format!("{live} live attempts of the part of {reference}"));
            }
        }
        if let Some(evidence) = row.attempt.evidence.as_ref().filter(|_| state == State::Paid) {
            self.paid.insert(reference.clone());
            let charged = world.charged(&reference);
            // The partner's record may come between a person's making up and the word about it.
            let with = Tiyn(charged.0 + world.made_up.get(&reference).map_or(0, |sum| sum.0));
            if row.tender != Tender::Cash && ![charged, with].contains(&evidence.amount) {
                world.violate(format!("{reference} is paid with {}, {charged} were charged", evidence.amount));
            }
        }
        Ok(())
    }
}

/// What waits for somebody in the ledger.
pub fn left(view: View<'_>) -> Result<Vec<String>, Fault> {
    let mut left = Vec::new();
    for row in view.watched_all()?.iter().filter(|row| row.attempt.state.is_live()) {
        left.push(format!("{} is {}", row.reference, row.attempt.state.word()));
    }
    for row in view.watched_refunds_all()?.iter().filter(|row| row.refund.state.is_live()) {
        left.push(format!("{} is {}", row.reference, row.refund.state.word()));
    }
    for job in view.unfinished_jobs(20)? {
        left.push(format!(
            "job {} {} of order {} is {}: {:?}",
            job.id,
            job.document,
            job.order,
            job.state.word(),
            job.reason
        ));
    }
    for row in view.fiscal_open(register::NAME, 20)? {
        left.push(format!("document {} of order {:?} is {}: {:?}", row.id, row.order, row.state.word(), row.reason));
    }
    for row in view.fiscal_marks(20)? {
        left.push(format!("the POS does not know of document {}", row.id));
    }
    for question in view.open_questions()? {
        left.push(format!("question {} of order {:?}", question.code, question.order));
    }
    Ok(left)
}

struct Books {
    orders: Vec<OrderRow>,
    attempts: Vec<AttemptRow>,
    jobs: Vec<JobRow>,
    refunds: Vec<RefundRow>,
    documents: Vec<FiscalRow>,
    shares: BTreeMap<AttemptId, Tiyn>,
}

impl Books {
    fn read(view: View<'_>) -> Result<Books, Fault> {
        let attempts = view.newest_attempts(None, ROWS_MAX)?;
        let ids: BTreeSet<_> = attempts.iter().map(|row| row.order).collect();
        let orders: Vec<OrderRow> = ids.iter().map(|id| view.order(*id)).collect::<Result<_, _>>()?;
        let (mut jobs, mut refunds) = (Vec::new(), Vec::new());
        // Reports hang on an order of the house.
        for order in (1..).map_while(|id| view.order(OrderId(id)).ok()).filter(|order| order.source == fiscal::HOUSE) {
            jobs.extend(view.jobs_of(order.id)?);
        }
        for order in &orders {
            jobs.extend(view.jobs_of(order.id)?);
            refunds.extend(view.refunds_of_order(order.id)?);
        }
        let documents = view.fiscal_since(Wall(0), ROWS_MAX)?;
        let mut shares = BTreeMap::new();
        for row in &attempts {
            shares.insert(row.id, view.fiscal_share(row.id)?);
        }
        Ok(Books { orders, attempts, jobs, refunds, documents, shares })
    }
}

/// All laws over the whole day.
pub fn at_the_end(sim: &Sim, reader: &Reader) {
    let books = Books::read(reader.view()).unwrap();
    let mut world = sim.world();
    if sim.0.plan.mutant != Some(Mutant::DeafPeople) {
        for left in left(reader.view()).unwrap() {
            world.violate(format!("left over: {left}"));
        }
    }
    same_money(&books, &mut world);
    given_once(&books, &mut world);
    closed_once(&books, &mut world);
    on_paper(&books, &mut world);
    cooked_once(&books, &mut world);
    bot_heard(&books, &mut world);
    registered_once(sim.0.plan.seed, &books, &mut world);
    let (_, flaws) = journal::verify(reader).unwrap();
    for flaw in flaws {
        world.violate(format!("journal: {}: {}", flaw.place, flaw.problem));
    }
}

/// Every charge is paid in our books, and the other way round.
fn same_money(books: &Books, world: &mut World) {
    for row in &books.attempts {
        let ours = match &row.attempt.evidence {
            Some(evidence) if row.attempt.state == State::Paid && row.tender != Tender::Cash => evidence.amount,
            Some(_) | None => Tiyn::ZERO,
        };
        let made_up = world.made_up.get(row.reference.as_str()).map_or(0, |sum| sum.0);
        let theirs = Tiyn(world.charged(row.reference.as_str()).0 + made_up);
        if ours != theirs {
            world.violate(format!("{}: {theirs} were charged, our books say {ours}", row.reference));
        }
    }
    let known: BTreeSet<&str> = books.attempts.iter().map(|row| row.reference.as_str()).collect();
    let strange: Vec<String> = world
        .charges
        .iter()
        .filter(|charge| !known.contains(charge.reference.as_str()))
        .map(|charge| charge.reference.clone())
        .collect();
    for reference in strange {
        world.violate(format!("{reference} was charged, and no attempt is on record"));
    }
}

/// What went back is in our books with its slip, and nothing else is.
fn given_once(books: &Books, world: &mut World) {
    for row in &books.refunds {
        let theirs: Tiyn =
            world.given.iter().filter(|given| given.reference == row.reference.0).map(|given| given.amount).sum();
        let slip = format!("refund:{}", row.id);
        let slips = books.jobs.iter().filter(|job| job.document == slip).count();
        let is_done = row.refund.state == kassad::domain::refund::State::Done;
        let is_of = |document: &&FiscalRow| {
            document.act == Act::Return && fiscal::meant(document).unwrap().reference == row.reference.0
        };
        let papers = slips + usize::from(books.documents.iter().any(|document| is_of(&document)));
        if row.refund.returned() != theirs || papers != usize::from(is_done) {
            let (ours, state) = (row.refund.returned(), row.refund.state.word());
            world.violate(format!(
                "{}: {theirs} went back, our books say {ours}, {state}; {slips} slips",
                row.reference
            ));
        }
    }
    let paid = |given: &Given, world: &World| {
        let cash = books.attempts.iter().find(|row| row.reference.0 == given.payment && row.tender == Tender::Cash);
        cash.map_or(world.charged(&given.payment), |row| row.attempt.amount)
    };
    let (known, given) = (|reference: &str| books.refunds.iter().any(|row| row.reference.0 == reference), &world.given);
    let wrong: Vec<Given> =
        given.iter().filter(|given| !known(&given.reference) || given.amount > paid(given, world)).cloned().collect();
    for given in wrong {
        world.violate(format!("{given:?} is not on record, or is more than was paid"));
    }
}

/// Money in less money back is what the order is worth: closed once with it, or never paid and open.
fn closed_once(books: &Books, world: &mut World) {
    let ids: Vec<String> = world.sales.keys().cloned().collect();
    for id in ids {
        let net = world.net(&id);
        let sale = world.sales[&id].clone();
        let order = books.orders.iter().find(|order| order.snapshot.foreign_id == id);
        let closing = order.map_or(Closing::None, |order| order.closing);
        let is_right = match sale.standing {
            Standing::Open if sale.is_bots => net == Tiyn::ZERO || net == sale.due(),
            Standing::Open => net == Tiyn::ZERO && closing == Closing::None,
            Standing::Closed(cash, cashless) => {
                let is_known = closing == Closing::Closed || sale.closes == 0;
                net == Tiyn(cash.0 + cashless.0 - sale.returned.0) && is_known && sale.returned == sale.pos_returned
            }
            Standing::Removed => net == Tiyn::ZERO,
        };
        if !is_right {
            world.violate(format!(
                "order {id} is {:?} worth {}, {net} is in the till, our books say {closing:?}",
                sale.standing,
                sale.due()
            ));
        }
        // A receipt for each order that we closed, with the sum of the close.
        if sale.closes > 0 {
            let total = order.and_then(|order| last_receipt(books, order).max(registered_full(books, order)));
            let closed = Tiyn(world.owed(&id).0 + sale.returned.0);
            if total != Some(closed) {
                world.violate(format!("order {id} was closed with {closed}, its receipt says {total:?}"));
            }
        }
    }
}

fn last_receipt(books: &Books, order: &OrderRow) -> Option<Tiyn> {
    let receipts = books.jobs.iter().filter(|job| job.order == order.id && job.document == "receipt");
    receipts.max_by_key(|job| job.no).and_then(|job| match serde_json::from_str(&job.body).ok()? {
        Document::Receipt(receipt) => Some(receipt.total),
        Document::Ticket(_)
        | Document::Refund(_)
        | Document::Slip(_)
        | Document::Report(_)
        | Document::Drawer
        | Document::Test(_)
        | Document::Fiscal(_)
        | Document::Notice(_)
        | Document::Shift(_)
        | Document::Cash(_) => None,
    })
}

/// What the newest receipt of the register says that the order was paid in full with.
fn registered_full(books: &Books, order: &OrderRow) -> Option<Tiyn> {
    let of = books.documents.iter().filter(|row| row.order == Some(order.id) && row.act == Act::Sale);
    of.map(|row| fiscal::meant(row).unwrap().full).max()
}

/// What was paid is registered once and what went back is returned once: the register's books are the payments.
fn registered_once(seed: u64, books: &Books, world: &mut World) {
    let rules = register::rules(seed);
    let bills: Vec<&FiscalRow> = books.documents.iter().filter(|row| row.act.is_bill()).collect();
    for row in &bills {
        let held = world.register.receipts.iter().filter(|held| row.sign.as_deref() == Some(held.sign()));
        let held: Vec<_> = held.map(|held| (held.total(), held.side() == Side::Return)).collect();
        if held != [(row.total, row.act == Act::Return)] {
            world.violate(format!("document {} over {} is {held:?} at the register", row.id, row.total));
        }
    }
    if world.register.receipts.len() != bills.len() {
        world.violate(format!(
            "{} receipts at the register, {} in our books",
            world.register.receipts.len(),
            bills.len()
        ));
    }
    world.note(format!("shifts {}", world.register.receipts.iter().map(|held| held.shift()).max().unwrap_or(0).min(3)));
    for order in &books.orders {
        let (mut ours, mut on_record, mut elsewhere) = (0, 0, 0);
        let of_order = books.attempts.iter().filter(|row| row.order == order.id && row.attempt.state == State::Paid);
        for row in of_order {
            let back: i64 =
                books.refunds.iter().filter(|refund| refund.attempt == row.id).map(|one| one.refund.returned().0).sum();
            let stayed = row.attempt.evidence.as_ref().map_or(0, |evidence| evidence.amount.0) - back;
            let share = books.shares[&row.id].0;
            if share < 0 || share > stayed {
                world.violate(format!("{}: {share} is registered, {stayed} stayed", row.reference));
            }
            let is_ours = rules.register.is_some() && rules.issuer(row.tender) == Issuer::Register;
            if !is_ours && share != 0 {
                world.violate(format!("{} is registered by us and by another", row.reference));
            }
            // What came late may be too much, and is given back by hand: then nothing of it is registered.
            let counts = !row.attempt.late || share > 0;
            *(if is_ours { &mut ours } else { &mut elsewhere }) += if counts { stayed } else { 0 };
            on_record += share;
        }
        let closes = world.sales[&order.snapshot.foreign_id].closes;
        let due = (order.snapshot.due.0 - elsewhere).clamp(0, ours);
        if closes > 0 && on_record < due {
            world.violate(format!("order {}: {on_record} is registered of {due}", order.snapshot.number));
        }
        let is_told = world.marked.contains(&(order.snapshot.foreign_id.clone(), false));
        if closes > 0 && bills.iter().any(|row| row.order == Some(order.id)) && !is_told {
            world.violate(format!("the POS never heard of the receipt of order {}", order.snapshot.number));
        }
    }
}

/// Every paper that is due came out whole; at most one of its copies is not marked as a repeat.
fn on_paper(books: &Books, world: &mut World) {
    for job in books.jobs.iter().filter(|job| job.kind == JobKind::Print) {
        if job.gave_way() && !world.papers.iter().any(|paper| paper.job == job.id.0) {
            continue;
        }
        let whole = world.papers.iter().filter(|paper| paper.job == job.id.0 && paper.is_whole);
        let (all, unmarked) = (whole.clone().count(), whole.clone().filter(|paper| !paper.is_repeat).count());
        let is_elsewhere = whole.clone().any(|paper| paper.printer != job.target);
        if all == 0 || unmarked > 1 || is_elsewhere {
            world.violate(format!(
                "job {} {} for {} of order {}: {all} papers, {unmarked} of them without the mark, state {}",
                job.id,
                job.document,
                job.target,
                job.order,
                job.state.word()
            ));
        }
    }
    let known: BTreeSet<i64> = books.jobs.iter().map(|job| job.id.0).collect();
    let strange = world.papers.iter().filter(|paper| paper.is_whole && !known.contains(&paper.job)).count();
    if strange > 0 {
        world.violate(format!("{strange} papers of no job"));
    }
}

/// Tickets are differences: together they are the order that was paid, and nothing is cooked twice.
fn cooked_once(books: &Books, world: &mut World) {
    for order in &books.orders {
        let id = &order.snapshot.foreign_id;
        let mut told: BTreeMap<String, i64> = BTreeMap::new();
        let tickets = |job: &&JobRow| job.order == order.id && job.document.starts_with("ticket:") && !job.gave_way();
        for job in books.jobs.iter().filter(tickets) {
            if let Ok(Document::Ticket(ticket)) = serde_json::from_str(&job.body) {
                let sign = if ticket.kind == TicketKind::Cancel { -1 } else { 1 };
                let mut count = |line: &TicketLine| {
                    *told.entry(line.name.clone()).or_default() += sign * line.quantity.0;
                };
                ticket.lines.iter().for_each(&mut count);
            }
        }
        let sale = world.sales[id].clone();
        for (dish, quantity) in &told {
            if *quantity > sale.dishes.get(dish).copied().unwrap_or(0) {
                world.violate(format!("order {id}: {quantity} of {dish} were cooked, of {:?}", sale.dishes));
            }
        }
        let is_paid_bot = sale.is_bots && world.net(id) == sale.due();
        if sale.closes > 0 || is_paid_bot {
            for line in &sale.lines {
                if told.get(&line.name).copied().unwrap_or(0) < line.quantity.0 {
                    world.violate(format!("order {id}: {} of {} never reached the kitchen", line.quantity, line.name));
                }
            }
        }
    }
}

/// The bot heard last of each of its invoices what became of it.
fn bot_heard(books: &Books, world: &mut World) {
    for row in books.attempts.iter().filter(|row| row.bot.is_some()) {
        let word = match row.attempt.state {
            State::Paid => "invoice.paid",
            State::Expired => "invoice.expired",
            State::Failed | State::Cancelled => "invoice.error",
            State::Planned | State::Sent | State::Waiting | State::Unresolved => continue,
        };
        let name = format!("inv_{}", row.reference);
        let last = world.heard.iter().rfind(|(invoice, _)| *invoice == name).map(|(_, event)| event.clone());
        if last.as_deref() != Some(word) {
            world.violate(format!("the bot heard {last:?} of {name}, which is {word}"));
        }
    }
}
