//! What a person decides about the register's documents (I10), and what asks them (I11).

use super::{QUESTIONS, WANTED, meant, sale};
use crate::domain::ids::FiscalId;
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use crate::flows::Rules;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::fiscal::{Act, Change, FiscalRow, Mark, State};
use crate::ledger::questions::{NewQuestion, QuestionRow};
use crate::ledger::{Fault, Tx, refused};

pub(super) fn ask(tx: &Tx<'_>, row: &FiscalRow, code: &'static str, reason: &Reason) -> Result<(), Fault> {
    let number = row.order.map(|order| tx.order(order)).transpose()?.map(|order| order.snapshot.number);
    let args = vec![
        ("document", row.id.to_string()),
        ("order", number.unwrap_or_default()),
        ("amount", row.total.to_string()),
        ("reason", reason.to_string()),
    ];
    tx.ask(&NewQuestion { code, order: row.order, args, ..NewQuestion::default() })
}

/// The document that a question is about.
pub fn document_of(question: &QuestionRow) -> Option<FiscalId> {
    let (_, id) = question.args.iter().find(|(name, _)| name == "document")?;
    QUESTIONS.contains(&question.code.as_str()).then(|| id.parse().ok().map(FiscalId)).flatten()
}

pub(super) fn forget_questions(tx: &Tx<'_>, row: &FiscalRow, outcome: &str) -> Result<(), Fault> {
    let questions = match row.order {
        Some(order) => tx.questions_of(order)?,
        None => tx.open_questions()?,
    };
    for question in questions {
        if document_of(&question) == Some(row.id) && question.code != "pos_mark" {
            tx.answer(question.id, "kassad", "", outcome)?;
        }
    }
    Ok(())
}

/// A named person has settled what a question was about.
pub fn answered(tx: &Tx<'_>, question: &QuestionRow) -> Result<(), Fault> {
    match (question.code.as_str(), document_of(question)) {
        ("fiscal_window", _) => allow_all(tx, question),
        ("pos_mark", Some(id)) => tx.set_mark(&tx.fiscal(id)?, Mark::Done),
        ("fiscal_refused" | "fiscal_uncertain" | "fiscal_other", Some(id)) => {
            let row = tx.fiscal(id)?;
            if row.state.is_final() {
                return Ok(());
            }
            let reason = Reason::new("answered", "");
            tx.set_fiscal(&row, &Change { state: State::Settled, reason: Some(&reason), answer: None })?;
            // What gives this receipt back has nothing to give back any more.
            for back in tx.fiscal_returns(id)?.iter().filter(|back| !back.state.is_final()) {
                tx.set_fiscal(back, &Change { state: State::Settled, reason: Some(&reason), answer: None })?;
            }
            Ok(())
        }
        (_, _) => Ok(()),
    }
}

/// The oldest document waited for more than the law's 72 hours: nothing is sent blindly any more, a person decides (F26).
pub fn ask_about_window(tx: &Tx<'_>, register: &str) -> Result<(), Fault> {
    let (count, _) = tx.fiscal_backlog(register)?;
    let args = vec![("register", register.to_owned()), ("count", count.to_string())];
    tx.ask(&NewQuestion { code: "fiscal_window", args, ..NewQuestion::default() })
}

fn allow_all(tx: &Tx<'_>, question: &QuestionRow) -> Result<(), Fault> {
    let Some((_, register)) = question.args.iter().find(|(name, _)| name == "register") else { return Ok(()) };
    let reason = Reason::new(WANTED, "");
    for row in tx.fiscal_open(register, u32::MAX)?.iter().filter(|row| row.state.is_due()) {
        tx.set_fiscal(row, &Change { state: row.state, reason: Some(&reason), answer: None })?;
    }
    Ok(())
}

/// Receipts wait for the register for long: one red line for all of them, until they are through.
pub fn ask_about_waiting(tx: &Tx<'_>, register: &str, reason: &Reason) -> Result<(), Fault> {
    let (count, _) = tx.fiscal_backlog(register)?;
    let is_asked = tx.open_questions()?.iter().any(|question| question.code == "fiscal_waiting");
    if count == 0 || is_asked {
        return Ok(());
    }
    let args = vec![("register", register.to_owned()), ("count", count.to_string()), ("reason", reason.code.clone())];
    tx.ask(&NewQuestion { code: "fiscal_waiting", args, ..NewQuestion::default() })
}

/// Nothing waits for the register any more.
pub fn waiting_ended(tx: &Tx<'_>, register: &str) -> Result<(), Fault> {
    for question in tx.open_questions()? {
        let is_ours = question.args.iter().any(|(name, value)| name == "register" && value == register);
        if is_ours && ["fiscal_waiting", "fiscal_window"].contains(&question.code.as_str()) {
            tx.answer(question.id, "kassad", "", "registered")?;
        }
    }
    Ok(())
}

/// A person wants a document tried again. One that was surely refused is made anew from what the shop's rules say now.
pub fn retry(tx: &Tx<'_>, rules: &Rules, id: FiscalId) -> Result<FiscalRow, Fault> {
    let row = tx.fiscal(id)?;
    let basis = row.basis.map(|basis| tx.fiscal(basis)).transpose()?;
    if basis.is_some_and(|sale| sale.state == State::Settled) {
        return refused("fiscal_basis", row.id.to_string());
    }
    if rules.fiscal.register.as_ref() != Some(&row.register) {
        return refused("no_fiscal", row.register);
    }
    match row.state {
        State::Registered | State::Settled => refused("fiscal_final", row.id.to_string()),
        State::Queued | State::Sending | State::Uncertain => {
            let reason = Reason::new(WANTED, "");
            forget_questions(tx, &row, "again")?;
            tx.set_fiscal(&row, &Change { state: row.state, reason: Some(&reason), answer: None })
        }
        State::Refused => {
            forget_questions(tx, &row, "again")?;
            let (bill, total) = anew(tx, rules, &row)?;
            tx.renew_fiscal(&row, &bill, total)
        }
    }
}

/// The content of a refused document by the rules of today; of a return, as it was.
fn anew(tx: &Tx<'_>, rules: &Rules, row: &FiscalRow) -> Result<(String, Tiyn), Fault> {
    let (Act::Sale, Some(order)) = (row.act, row.order) else { return Ok((row.bill.clone(), row.total)) };
    let order = tx.order(order)?;
    let mut shares = Vec::new();
    for (attempt, amount) in tx.fiscal_shares(row.id)? {
        shares.push((tx.attempt(attempt)?, amount));
    }
    let shares: Vec<(&AttemptRow, Tiyn)> = shares.iter().map(|(row, amount)| (row, *amount)).collect();
    let is_only = tx.fiscal_of_order(order.id)?.iter().filter(|one| one.act == Act::Sale).count() == 1;
    let mut meant = meant(row)?;
    if is_only {
        meant.bill = sale(tx, rules, &order, &shares)?;
    }
    Ok((serde_json::to_string(&meant)?, meant.bill.total))
}

/// Documents of a register that the configuration does not name any more have no worker: a person is asked (I11).
pub fn without_register(tx: &Tx<'_>, rules: &Rules) -> Result<usize, Fault> {
    let register = rules.fiscal.register.clone().unwrap_or_default();
    let strays = tx.fiscal_strays(&register)?;
    for row in &strays {
        let reason = Reason::new("no_fiscal", &row.register);
        if row.order.is_some() {
            ask(tx, row, "fiscal_uncertain", &reason)?;
        } else {
            tx.set_fiscal(row, &Change { state: State::Settled, reason: Some(&reason), answer: None })?;
        }
    }
    Ok(strays.len())
}
