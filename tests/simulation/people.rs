//! The people of a simulated day: guests who order and pay, cashiers who start payments and tap twice, waiters who change and close orders
//! by hand, a manager who answers questions after looking at what truly happened, and a bot that sells.

use super::plan::{Kind, Mutant};
use super::world::{Act, BOT_KEY, Sale, Sim, Standing, dish};
use kassad::domain::attempt::State;
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Milli, Tender};
use kassad::flows::fiscal;
use kassad::ledger::attempts::AttemptRow;
use kassad::ledger::orders::Closing;
use kassad::ledger::outbox::JobKind;
use kassad::ledger::questions::QuestionRow;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How long one opens orders, in milliseconds.
const OPEN_MS: u64 = 1_500_000;

/// How often a cashier starts anew before the guest pays in cash.
const TRIES_MAX: u64 = 4;

/// How often anybody calls the daemon in vain before it counts as stuck.
const CALLS_MAX: u64 = 2_000;

/// A guest from the door to the door.
pub async fn guest(sim: Sim, no: u64) {
    sim.world().open_sales += 1;
    let own = |what: &str| format!("guest {no} {what}");
    sim.sleep_ms(sim.pick(&own("comes"), OPEN_MS)).await;
    let is_bots = sim.pick(&own("way"), 100) < 20;
    let id = if is_bots { format!("b{no}") } else { format!("{}", 1000 + no) };
    let lines = (0..1 + sim.pick(&own("dishes"), 3))
        .map(|place| dish(sim.pick(&own("dish"), 3) * 3 + place, 1 + sim.pick(&own("quantity"), 2)));
    let mut sale = Sale {
        number: id.clone(),
        lines: lines.collect(),
        standing: Standing::Open,
        closes: 0,
        is_bots,
        dishes: BTreeMap::new(),
        shown_due: Tiyn::ZERO,
        shown: BTreeSet::new(),
        cash: Tiyn::ZERO,
        back: Tiyn::ZERO,
        returned: Tiyn::ZERO,
        pos_returned: Tiyn::ZERO,
    };
    sale.note_dishes();
    sim.world().sales.insert(id.clone(), sale);
    if is_bots {
        through_bot(&sim, &id).await;
    } else {
        sim.affair(waiter(sim.clone(), id.clone()));
        through_till(&sim, &id).await;
        if sim.strikes(Kind::BringsBack) {
            brings_back(&sim, &id).await;
        }
    }
    sim.world().open_sales -= 1;
}

/// A waiter at the POS, who knows nothing of payments.
async fn waiter(sim: Sim, id: String) {
    sim.sleep_ms(sim.between("waiter", 1_000, 40_000)).await;
    let (grows, shrinks) = (sim.strikes(Kind::OrderGrows), sim.strikes(Kind::OrderShrinks));
    let (closes, removes) = (sim.strikes(Kind::ClosedByHand), sim.strikes(Kind::OrderRemoved));
    let more = dish(sim.pick("one more", 8), 1);
    let mut world = sim.world();
    let net = world.net(&id);
    let sale = world.sales.get_mut(&id).unwrap();
    if sale.standing != Standing::Open {
        return;
    }
    if grows {
        sale.add(more);
    } else if shrinks && sale.lines.len() > 1 {
        sale.lines.pop();
    } else if closes {
        close_by_hand(sale, net);
    } else if removes {
        sale.standing = Standing::Removed;
    }
}

/// Closed at the POS itself: what is missing is taken in cash.
fn close_by_hand(sale: &mut Sale, net: Tiyn) {
    let due = sale.due();
    sale.cash = Tiyn(sale.cash.0 + (due.0 - net.0).max(0));
    // The parts that were paid in cash before are cash as well.
    let cash = sale.cash.min(due);
    sale.standing = Standing::Closed(cash, Tiyn(due.0 - cash.0));
}

/// Calls the daemon until it answers; it may be without power. A refusal is an answer.
async fn patient(sim: &Sim, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    for _ in 0..CALLS_MAX {
        match sim.call(false, path, headers, body.to_string()).await {
            Some((502 | 503, _)) | None => sim.sleep_ms(2_000).await,
            Some(answer) => return answer,
        }
    }
    sim.world().violate(format!("{path} never got an answer"));
    (0, Value::Null)
}

/// What is still to be collected for an order of the POS; `None` when it is not to be sold any more.
fn missing(sim: &Sim, id: &str) -> Option<Tiyn> {
    let world = sim.world();
    let left = Tiyn(world.owed(id).0 - world.net(id).0);
    (world.sales[id].standing == Standing::Open && left > Tiyn::ZERO).then_some(left)
}

async fn through_till(sim: &Sim, id: &str) {
    let has_parts = sim.strikes(Kind::Parts);
    let mut tries = 0;
    while let Some(left) = missing(sim, id) {
        tries += 1;
        let is_last = tries > TRIES_MAX;
        if is_last && sim.pick("leaves", 4) == 0 && sim.world().net(id) == Tiyn::ZERO && no_live(sim, id) {
            return;
        }
        let is_part = has_parts && left.whole_tenge().is_some_and(|left| left > 1000) && !is_last;
        let amount = if is_part { Tiyn(left.0 / 200 * 100) } else { left };
        let way = if is_last || (is_part && sim.pick("cash part", 3) == 0) { 9 } else { sim.pick("way", 8) };
        match collect(sim, id, amount, is_part, way, &format!("{id}-{tries}")).await {
            Some(_) => {}
            None => sim.sleep_ms(5_000).await,
        }
        if tries > 240 {
            sim.world().violate(format!("order {id} cannot be collected"));
            return;
        }
    }
}

/// A dish comes back after the close: its money goes back the way it came, half of it or all.
async fn brings_back(sim: &Sim, id: &str) {
    let is_closed = |sim: &Sim| {
        let world = sim.world();
        world.sales[id].closes == 1 && world.sales[id].back == Tiyn::ZERO && world.net(id) == world.owed(id)
    };
    for _ in 0..30 {
        if is_closed(sim) {
            break;
        }
        sim.sleep_ms(10_000).await;
    }
    let of_ours = sim.look(|view| view.order_of("pos", id)).flatten();
    let is_known = of_ours.is_some_and(|order| order.closing == Closing::Closed);
    let paid = attempts(sim, id).unwrap_or_default().into_iter().rfind(|row| row.attempt.state == State::Paid);
    let Some(row) = paid.filter(|_| is_known && is_closed(sim)) else { return };
    let (reference, Some(evidence)) = (row.reference.0.clone(), row.attempt.evidence.clone()) else { return };
    let is_half = sim.pick("brings back", 2) == 0 && evidence.amount.0 % 200 == 0;
    let amount = if is_half { Tiyn(evidence.amount.0 / 2) } else { evidence.amount };
    if amount > sim.world().owed(id) {
        return;
    }
    let is_terminals = row.tender == Tender::KaspiTerminal && evidence.source == "terminal";
    let by_hand = row.tender != Tender::Cash && !is_terminals;
    let transaction = if by_hand { format!("back-{reference}") } else { String::new() };
    let body = json!({
        "amount": amount.whole_tenge(), "by": "Айгуль", "because": "вернули блюдо", "transaction": transaction,
    });
    let (path, key) = (format!("/api/v1/payments/{reference}/refund"), format!("back-{id}"));
    let (status, shown) = patient(sim, &path, &[("idempotency-key", &key)], &body).await;
    sim.world().tell(&format!("{amount} of {reference} is to go back: {status} {}", shown["code"]));
    if status != 201 {
        sim.world().note(format!("refund refused {}", shown["code"]));
        return;
    }
    let refund = shown["id"].as_str().unwrap_or_default().to_owned();
    if !is_terminals {
        sim.world().give(&refund, &reference, amount);
    }
    if sim.strikes(Kind::DoubleTap) {
        let (_, again) = patient(sim, &path, &[("idempotency-key", &key)], &body).await;
        if again["id"] != shown["id"] {
            sim.world().violate(format!("a double tap made another refund: {shown} and {again}"));
        }
    }
}

fn no_live(sim: &Sim, id: &str) -> bool {
    attempts(sim, id).is_some_and(|rows| !rows.iter().any(|row| row.attempt.state.is_live()))
}

fn attempts(sim: &Sim, id: &str) -> Option<Vec<AttemptRow>> {
    sim.look(|view| match view.order_of("pos", id)? {
        Some(order) => view.attempts_of_order(order.id),
        None => Ok(Vec::new()),
    })
}

/// One effort to collect, followed to its end. `None`: it was refused.
async fn collect(sim: &Sim, id: &str, amount: Tiyn, is_part: bool, way: u64, key: &str) -> Option<State> {
    let reference = begin(sim, id, amount, is_part, way, key).await?;
    follow(sim, &reference).await
}

/// The beginning of an effort, by its reference. `None`: it was refused.
async fn begin(sim: &Sim, id: &str, amount: Tiyn, is_part: bool, way: u64, key: &str) -> Option<String> {
    let mut body = match way {
        0..5 => json!({ "order_id": id, "tender": "kaspi_terminal", "terminal": format!("till{}", 1 + way % 2) }),
        5..9 => json!({ "order_id": id, "tender": "kaspi_invoice", "phone": "77011234567" }),
        _ => json!({ "order_id": id, "tender": "cash" }),
    };
    if is_part {
        body["amount"] = json!(amount.whole_tenge());
    }
    sim.world().tell(&format!("{key}: to collect {amount} of order {id} by {way}, part {is_part}"));
    // Notes are in the cashier's hand before the tap, and handed back when it is refused.
    let in_hand = |sim: &Sim, sum: Tiyn| {
        let mut world = sim.world();
        let sale = world.sales.get_mut(id).unwrap();
        sale.cash = Tiyn(sale.cash.0 + sum.0);
    };
    if way == 9 {
        in_hand(sim, amount);
        sim.world().in_hand.insert(id.to_owned());
    }
    let (status, shown) = patient(sim, "/api/v1/payments", &[("idempotency-key", key)], &body).await;
    if way == 9 {
        sim.world().in_hand.remove(id);
        let taken = shown["amount"].as_i64().filter(|_| status == 201).and_then(Tiyn::from_tenge).unwrap_or(Tiyn::ZERO);
        // Notes that a waiter closed the order with by hand meanwhile stay in the till.
        let stays = {
            let world = sim.world();
            let is_by_hand = status != 201 && matches!(world.sales[id].standing, Standing::Closed(..));
            let needed = world.owed(id).0 - (world.net(id).0 - amount.0);
            if is_by_hand { Tiyn(needed.clamp(0, amount.0)) } else { Tiyn::ZERO }
        };
        in_hand(sim, Tiyn(taken.0.max(stays.0) - amount.0));
    }
    if status != 201 {
        sim.world().note(format!("refused {status}"));
        sim.world().tell(&format!("{key} was refused: {status} {}", shown["code"]));
        return None;
    }
    let reference = shown["id"].as_str().unwrap_or_default().to_owned();
    if sim.strikes(Kind::DoubleTap) {
        let (_, again) = patient(sim, "/api/v1/payments", &[("idempotency-key", key)], &body).await;
        if again["id"] != shown["id"] {
            sim.world().violate(format!("a double tap made another payment: {shown} and {again}"));
        }
    }
    if way == 9 {
        return Some(reference);
    }
    if sim.strikes(Kind::SecondTill) {
        // It must be refused while the first lives; the law of one live attempt judges.
        let other = format!("{key}-other");
        patient(sim, "/api/v1/payments", &[("idempotency-key", &other)], &body).await;
    }
    if sim.strikes(Kind::Cancels) {
        sim.sleep_ms(sim.between("cancels", 1, 20_000)).await;
        patient(sim, &format!("/api/v1/payments/{reference}/cancel"), &[], &json!({})).await;
    }
    Some(reference)
}

/// Waits for the end of an attempt.
async fn follow(sim: &Sim, reference: &str) -> Option<State> {
    for _ in 0..CALLS_MAX * 2 {
        let state = sim.look(|view| Ok(view.attempt_of(reference)?.map(|row| row.attempt.state)));
        match state.flatten() {
            Some(state) if !state.is_live() => return Some(state),
            Some(_) | None => sim.sleep_ms(6_000).await,
        }
    }
    sim.world().violate(format!("{reference} never ended"));
    None
}

async fn through_bot(sim: &Sim, id: &str) {
    let due = sim.world().sales[id].due();
    let lines: Vec<Value> = sim.world().sales[id]
        .lines
        .iter()
        .map(|line| json!({ "name": line.name, "quantity": line.quantity.0 / 1000, "sum": line.sum.whole_tenge(), "workshop": line.workshop }))
        .collect();
    let body = json!({ "phone": "77017654321", "amount": due.whole_tenge(), "description": "с собой", "external_id": id, "lines": lines });
    let bearer = format!("Bearer {BOT_KEY}");
    let headers = [("authorization", bearer.as_str())];
    for _ in 0..2 {
        let (status, made) = patient(sim, "/v1/invoices", &headers, &body).await;
        if status != 201 {
            sim.world().violate(format!("the bot got {status}: {made}"));
            return;
        }
        let reference = made["invoice_id"].as_str().unwrap_or_default().trim_start_matches("inv_").to_owned();
        let lives = |sim: &Sim| {
            sim.look(|view| Ok(view.attempt_of(&reference)?.is_some_and(|row| row.attempt.state.is_live())))
        };
        if sim.strikes(Kind::BotRepeats) {
            let (_, again) = patient(sim, "/v1/invoices", &headers, &body).await;
            if again["invoice_id"] != made["invoice_id"] && lives(sim) == Some(true) {
                sim.world().violate(format!("the same external_id made two invoices: {made} and {again}"));
            }
        }
        if sim.strikes(Kind::BotChangesMind) {
            let mut other = body.clone();
            other["amount"] = json!(due.whole_tenge().unwrap_or_default() + 5);
            let (status, answer) = patient(sim, "/v1/invoices", &headers, &other).await;
            if status != 409 && lives(sim) == Some(true) {
                sim.world().violate(format!("an external_id was bound anew: {status} {answer}"));
            }
        }
        if follow(sim, &reference).await == Some(State::Paid) {
            return;
        }
    }
}

/// The manager: sees the questions on the page, goes to look, and answers.
pub async fn manager(sim: Sim) {
    let mut asked = 0_u64;
    loop {
        sim.sleep_ms(15_000).await;
        if sim.0.plan.mutant == Some(Mutant::DeafPeople) {
            continue;
        }
        for question in sim.look(|view| view.open_questions()).unwrap_or_default() {
            sim.world().note(format!("question {}", question.code));
            asked += 1;
            answer(&sim, &question, asked).await;
        }
    }
}

/// What a person finds out about an attempt.
enum Look {
    Paid(String),
    NotPaid,
    Wait,
}

fn look(sim: &Sim, row: &AttemptRow) -> Look {
    let world = sim.world();
    let reference = row.reference.as_str();
    let found = match row.tender {
        Tender::KaspiTerminal => {
            let operation = world.operations.values().find(|operation| operation.reference == reference);
            operation.map(|operation| (operation.act, operation.transaction.clone()))
        }
        Tender::KaspiInvoice | Tender::KaspiQr | Tender::Cash => {
            let invoice = world.invoices.iter().find(|(_, invoice)| invoice.reference == reference);
            invoice.map(|(handle, invoice)| (invoice.act, handle.clone()))
        }
    };
    match found {
        Some((Act::Waits, _)) => Look::Wait,
        Some((Act::Paid, transaction)) => Look::Paid(transaction),
        Some((Act::Failed | Act::Expired, _)) => Look::NotPaid,
        None if world.travels.get(reference).is_some_and(|count| *count > 0) => Look::Wait,
        None => Look::NotPaid,
    }
}

async fn answer(sim: &Sim, question: &QuestionRow, asked: u64) {
    match question.code.as_str() {
        "unresolved" | "lost_create" => answer_attempt(sim, question).await,
        "refund_unclear" => answer_refund(sim, question).await,
        "pos_return" => {
            // The books of the POS are made equal by hand.
            let id = question.order.and_then(|order| sim.look(|view| Ok(view.order(order)?.snapshot.foreign_id)));
            let Some(id) = id else { return };
            let returned = sim.world().sales[&id].returned;
            sim.world().sales.get_mut(&id).unwrap().pos_returned = returned;
            settle(sim, question).await;
        }
        "print" => answer_print(sim, question).await,
        "fiscal_refused" | "fiscal_uncertain" | "fiscal_other" => retry_document(sim, question).await,
        // It goes by itself when the register is back.
        "fiscal_waiting" => {}
        "answer_corrected" | "overpaid" | "double_paid" | "part_paid" | "second_running" | "order_changed"
        | "closed_by_hand" | "removed" | "pos_close" => answer_order(sim, question, asked).await,
        _ => settle(sim, question).await,
    }
}

/// What was wrong at the register was put right there: the document goes out again.
async fn retry_document(sim: &Sim, question: &QuestionRow) {
    let Some(id) = fiscal::document_of(question) else { return };
    let office = sim.running().as_ref().map(|running| running.office.clone());
    let Some(office) = office else { return };
    let rules = office.rules.clone();
    let tried = office.writer.decide(move |tx| fiscal::retry(tx, &rules, id)).await.is_ok();
    sim.world().tell(&format!("document {id} is tried again: {tried}"));
}

async fn settle(sim: &Sim, question: &QuestionRow) {
    let path = format!("/api/v1/questions/{}/answer", question.id);
    let body = json!({ "by": "Управляющая", "because": "посмотрела сама" });
    let (status, said) = patient(sim, &path, &[], &body).await;
    sim.world().tell(&format!("{} of {:?} answered: {status}", question.code, question.order));
    // It may have been answered by evidence meanwhile.
    if status != 200 && status != 404 {
        sim.world().violate(format!("the answer to {} got {status}: {said}", question.code));
    }
}

async fn answer_attempt(sim: &Sim, question: &QuestionRow) {
    let Some(id) = question.attempt else { return };
    let Some(row) = sim.look(|view| view.attempt(id)) else { return };
    // Only what later evidence can correct is answered wrongly: the partner knows the attempt by its name.
    let is_wrong = row.attempt.handle.is_some() && sim.strikes(Kind::WrongAnswer);
    let (outcome, transaction) = match look(sim, &row) {
        Look::Paid(_) if is_wrong => ("not_paid", String::new()),
        Look::Paid(transaction) => ("paid", transaction),
        Look::NotPaid => ("not_paid", String::new()),
        Look::Wait if is_wrong => ("not_paid", String::new()),
        Look::Wait => return,
    };
    if outcome == "not_paid" {
        sim.world().denied.insert(row.reference.0.clone());
    } else {
        make_up(sim, &row, true);
    }
    let body = json!({
        "by": "Управляющая", "because": "посмотрела сама", "outcome": outcome, "transaction": transaction,
        "confirmed": outcome == "not_paid",
    });
    let (status, said) = patient(sim, &format!("/api/v1/payments/{}/answer", row.reference), &[], &body).await;
    if status != 200 && outcome == "paid" {
        make_up(sim, &row, false);
    }
    sim.world().note(format!("answered {outcome} {}", if is_wrong { "wrongly" } else { "rightly" }));
    sim.world().tell(&format!("{} answered {outcome}, wrongly {is_wrong}: {status}", row.reference));
    if status != 200 && status != 409 {
        sim.world().violate(format!("the answer about {} got {status}: {said}", row.reference));
    }
}

async fn answer_refund(sim: &Sim, question: &QuestionRow) {
    let Some(id) = question.refund else { return };
    let Some(row) = sim.look(|view| view.refund(id)) else { return };
    let is_wrong = row.refund.handle.is_some() && sim.strikes(Kind::WrongAnswer);
    let reference = row.reference.as_str();
    let (found, travels) = {
        let world = sim.world();
        let found = world.operations.values().find(|operation| operation.reference == reference);
        (found.cloned(), world.travels.get(reference).is_some_and(|count| *count > 0))
    };
    let (outcome, transaction) = match found {
        Some(operation) if operation.act == Act::Paid && !is_wrong => ("returned", operation.transaction),
        Some(operation) if operation.act == Act::Waits => return,
        None if travels => return,
        Some(_) | None => ("not_returned", String::new()),
    };
    let body = json!({
        "by": "Управляющая", "because": "посмотрела сама", "outcome": outcome, "transaction": transaction,
        "confirmed": outcome == "not_returned",
    });
    let (status, said) = patient(sim, &format!("/api/v1/refunds/{reference}/answer"), &[], &body).await;
    sim.world().note(format!("answered {outcome} {}", if is_wrong { "wrongly" } else { "rightly" }));
    sim.world().tell(&format!("{reference} answered {outcome}, wrongly {is_wrong}: {status}"));
    if status != 200 && status != 409 {
        sim.world().violate(format!("the answer about {reference} got {status}: {said}"));
    }
}

/// An answer knows no other sum than the one that was asked for: what the guest paid less or more is made up for in cash at once.
fn make_up(sim: &Sim, row: &AttemptRow, is_done: bool) {
    let (mut world, reference) = (sim.world(), row.reference.as_str());
    let id = world.orders_of[reference].clone();
    let known = if is_done { Tiyn::ZERO } else { world.made_up.remove(reference).unwrap_or(Tiyn::ZERO) };
    let made_up = if is_done { Tiyn(row.attempt.amount.0 - world.charged(reference).0) } else { known };
    if made_up == Tiyn::ZERO {
        return;
    }
    let sign = if is_done { 1 } else { -1 };
    let sale = world.sales.get_mut(&id).unwrap();
    sale.cash = Tiyn(sale.cash.0 + sign * made_up.0);
    if is_done {
        world.made_up.insert(reference.to_owned(), made_up);
        world.note("made up for".to_owned());
    }
}

/// Is there paper? What is missing is printed again before anybody says that it is there.
async fn answer_print(sim: &Sim, question: &QuestionRow) {
    let Some(order) = question.order else { return };
    let jobs = sim.look(|view| view.jobs_of(order)).unwrap_or_default();
    let mut all_there = true;
    for job in jobs.iter().filter(|job| job.kind == JobKind::Print && job.waits_for_a_person()) {
        let is_there = sim.world().papers.iter().any(|paper| paper.job == job.id.0 && paper.is_whole);
        if !is_there {
            all_there = false;
            patient(sim, &format!("/api/v1/jobs/{}/retry", job.id), &[], &json!({})).await;
        }
    }
    if all_there {
        settle(sim, question).await;
    }
}

/// Puts the money of an order right in the world, and then says so.
async fn answer_order(sim: &Sim, question: &QuestionRow, asked: u64) {
    let Some(order) = question.order else { return };
    let Some(row) = sim.look(|view| view.order(order)) else { return };
    let live = sim.look(|view| view.attempts_of_order(order)).unwrap_or_default();
    if live.iter().any(|row| row.attempt.state.is_live()) {
        return;
    }
    let id = row.snapshot.foreign_id.clone();
    if sim.world().in_hand.contains(&id) {
        // Nobody counts the till while a cashier holds the guest's notes.
        return;
    }
    let (net, owed, is_open, is_bots) = {
        let world = sim.world();
        let sale = &world.sales[&id];
        (world.net(&id), world.owed(&id), sale.standing == Standing::Open, sale.is_bots)
    };
    let owed = if is_bots && net < owed { Tiyn::ZERO } else { owed };
    if net < owed && is_open && question.code != "pos_close" {
        let grew = row.snapshot.due < owed;
        if grew && sim.pick("takes it back", 2) == 0 {
            take_back_dishes(sim, &id, row.snapshot.lines.clone());
        } else {
            // The guest is still there, and pays the rest in cash or by Kaspi.
            let way = if asked > 400 { 9 } else { 5 + 4 * sim.pick("rest by", 2) };
            // Not followed: who waits for it could not answer what is asked about it.
            begin(sim, &id, owed, false, way, &format!("rest-{}-{asked}", question.id)).await;
            return if missing(sim, &id).is_none() {
                settle(sim, question).await
            };
        }
    }
    {
        let mut world = sim.world();
        let (net, owed) = (world.net(&id), world.owed(&id));
        let owed = if is_bots && net < owed { Tiyn::ZERO } else { owed };
        let sale = world.sales.get_mut(&id).unwrap();
        if net > owed {
            let back = Tiyn(net.0 - owed.0);
            sale.back = Tiyn(sale.back.0 + back.0);
            world.tell(&format!("{back} of order {id} given back"));
        }
        let sale = world.sales.get_mut(&id).unwrap();
        if question.code == "order_changed"
            && sale.standing == Standing::Open
            && sale.snapshot(&id).fingerprint() != row.snapshot.fingerprint()
        {
            // It is worth less now than what was asked for: the POS is put right by hand.
            let net = world.net(&id);
            close_by_hand(world.sales.get_mut(&id).unwrap(), net);
        }
    }
    settle(sim, question).await;
}

/// The waiter takes the dish back from the order that the guest does not want to pay.
fn take_back_dishes(sim: &Sim, id: &str, lines: Vec<kassad::domain::order::Line>) {
    let mut world = sim.world();
    let sale = world.sales.get_mut(id).unwrap();
    if sale.standing == Standing::Open {
        sale.lines = lines.into_iter().filter(|line| line.quantity > Milli(0)).collect();
    }
}
