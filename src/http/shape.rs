//! How rows look outside: the JSON of the local API (`contract.md`, "Local API"), and reading sums from JSON.

use super::Faces;
use crate::domain::attempt::State;
use crate::domain::money::Tiyn;
use crate::domain::order::{Line, Milli, Phone, Snapshot};
use crate::i18n::{self, Lang};
use crate::ledger::attempts::AttemptRow;
use crate::ledger::outbox::{DRAWER, JobKind, JobRow};
use crate::ledger::questions::QuestionRow;
use crate::ledger::refunds::RefundRow;
use crate::ledger::{Fault, View};
use serde_json::{Value, json};

/// Lines that one request may bring.
const LINES_MAX: usize = 200;

/// Characters of any text in a request.
pub const TEXT_CHARS_MAX: usize = 500;

/// A sum as a JSON integer of whole tenge, or as a decimal string.
pub fn sum(amount: Tiyn) -> Value {
    match amount.whole_tenge() {
        Some(tenge) => json!(tenge),
        None => json!(amount.decimal()),
    }
}

/// Reads a sum: a JSON integer, or a decimal string; a float is refused (I9).
pub fn read_sum(value: &Value, field: &str) -> Result<Tiyn, String> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .and_then(Tiyn::from_tenge)
            .ok_or_else(|| format!("{field}: write whole tenge as an integer, or a decimal string like \"12400.50\"")),
        Value::String(text) => Tiyn::parse_tenge(text).map_err(|cause| format!("{field}: {cause}")),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("{field}: write whole tenge as an integer, or a decimal string like \"12400.50\""))
        }
    }
}

/// A member that is there and not null.
pub fn given<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

/// Reads a text of bounded length.
pub fn read_text(value: &Value, field: &str) -> Result<String, String> {
    match value.as_str() {
        Some(text) if text.chars().count() <= TEXT_CHARS_MAX => Ok(text.to_owned()),
        Some(_) => Err(format!("{field}: at most {TEXT_CHARS_MAX} characters")),
        None => Err(format!("{field}: write a text")),
    }
}

/// Reads the lines of an order that comes with the request.
pub fn read_lines(value: &Value) -> Result<Vec<Line>, String> {
    let Some(items) = value.as_array().filter(|items| items.len() <= LINES_MAX) else {
        return Err(format!("lines: write a list of at most {LINES_MAX} lines"));
    };
    items.iter().enumerate().map(|(place, item)| read_line(item, place)).collect()
}

fn read_line(item: &Value, place: usize) -> Result<Line, String> {
    let field = |name: &str| format!("lines[{place}].{name}");
    let name = read_text(&item["name"], &field("name"))?;
    let quantity = match &item["quantity"] {
        Value::Null => Milli::ONE,
        Value::Number(number) => {
            Milli::parse(&number.to_string()).ok_or_else(|| format!("{}: write 2 or \"0.35\"", field("quantity")))?
        }
        Value::String(text) => {
            Milli::parse(text).ok_or_else(|| format!("{}: write 2 or \"0.35\"", field("quantity")))?
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(format!("{}: write 2 or \"0.35\"", field("quantity")));
        }
    };
    let sum = given(item, "sum").map(|value| read_sum(value, &field("sum"))).transpose()?.unwrap_or(Tiyn::ZERO);
    let texts = item["modifiers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let modifiers = texts.iter().map(|text| read_text(text, &field("modifiers"))).collect::<Result<Vec<_>, _>>()?;
    let workshop = match &item["workshop"] {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let comment = item["comment"].as_str().unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect();
    let unit =
        match given(item, "unit") {
            None => None,
            Some(value) => {
                Some(value.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code > 0).ok_or_else(
                    || format!("{}: write a unit's code like 796 (piece) or 166 (kilogram)", field("unit")),
                )?)
            }
        };
    let vat = match given(item, "vat") {
        None => None,
        Some(value) => Some(
            value
                .as_u64()
                .and_then(|percent| u8::try_from(percent).ok())
                .filter(|percent| *percent <= 99)
                .ok_or_else(|| format!("{}: write the per cent inside the price: 16, 5, 0", field("vat")))?,
        ),
    };
    if name.trim().is_empty() || quantity.0 <= 0 {
        return Err(format!("lines[{place}]: a line needs a name and a quantity above 0"));
    }
    let key = format!("{name}:{}", modifiers.join(","));
    Ok(Line { key, name, modifiers, quantity, sum, workshop, comment, unit, vat })
}

/// A payment as the API shows it.
pub fn payment(faces: &Faces, view: View<'_>, row: &AttemptRow, lang: Lang) -> Result<Value, Fault> {
    let order = view.order(row.order)?;
    let jobs = view.jobs_of(row.order)?;
    let prints: Vec<Value> = jobs
        .iter()
        .filter(|job| job.kind == JobKind::Print && job.document != DRAWER && !job.gave_way())
        .map(|job| json!({ "job": job.id, "printer": job.target, "document": job.document, "state": job.state.word() }))
        .collect();
    let question = view.questions_about(row.id)?.pop();
    let reason = row.attempt.reason.as_ref().map(|reason| {
        let text = i18n::sentence(lang, &reason.code, &[("detail", &reason.detail), ("order", &reason.detail)]);
        json!({ "code": reason.code, "text": text })
    });
    let is_pos = order.source == "pos";
    let paid = row.attempt.evidence.as_ref();
    let age_ms = faces.office.clock.wall().0.saturating_sub(row.created.0).max(0);
    let refunds =
        view.refunds(row.id)?.iter().map(|back| refund(faces, view, back, lang)).collect::<Result<Vec<_>, _>>()?;
    let tendered = paid.and_then(|evidence| evidence.tendered);
    let receipt = super::fiscal::of_payment(view, order.id, row.id)?;
    let change = tendered.zip(paid).map(|(tendered, paid)| Tiyn(tendered.0.saturating_sub(paid.amount.0)));
    Ok(json!({
        "id": row.reference,
        "state": row.attempt.state,
        "state_text": state_text(row, lang),
        "amount": sum(row.attempt.amount),
        "amount_paid": paid.map(|evidence| sum(evidence.amount)),
        "part": view.part(row.part)?.no,
        "tendered": tendered.map(sum),
        "change": change.map(sum),
        "method": paid.map(|evidence| evidence.method.clone()),
        "transaction": paid.map(|evidence| evidence.transaction.clone()),
        "detail": paid.filter(|evidence| evidence.source != "person").map(|evidence| evidence.detail.clone()),
        "tender": row.tender,
        "via": row.via,
        "handle": row.attempt.handle,
        "order_id": is_pos.then(|| order.snapshot.foreign_id.clone()),
        "reference": (!is_pos).then(|| order.snapshot.foreign_id.clone()),
        "order_number": order.snapshot.number,
        "table": order.snapshot.table,
        "created_at": faces.rules().machine_time(row.created),
        "phone": row.phone.as_ref().map(Phone::masked),
        "late": row.attempt.late,
        "pos": if is_pos { order.closing.word() } else { "none" },
        "fiscal": receipt["state"],
        "fiscal_sign": receipt["sign"],
        "fiscal_at": receipt["at"],
        "fiscal_id": receipt["id"],
        "prints": prints,
        "reason": reason,
        "refunds": refunds,
        "order_paid": sum(crate::flows::settle::counted(&view, &order)?),
        "refundable": sum(crate::flows::refund::available(&view, row)?),
        "may_cancel": row.attempt.state == State::Planned,
        "question": match question { Some(question) => Some(self::question(faces, view, &question, lang)?), None => None },
        "age_s": age_ms / 1000,
    }))
}

/// A refund as the API shows it.
pub fn refund(faces: &Faces, view: View<'_>, row: &RefundRow, lang: Lang) -> Result<Value, Fault> {
    let proof = row.refund.proof.as_ref();
    let reason = row.refund.reason.as_ref().map(|reason| {
        let text = i18n::sentence(lang, &reason.code, &[("detail", &reason.detail), ("order", &reason.detail)]);
        json!({ "code": reason.code, "text": text })
    });
    Ok(json!({
        "id": row.reference,
        "payment": view.attempt(row.attempt)?.reference,
        "state": row.refund.state,
        "state_text": i18n::sentence(lang, &format!("refund.{}", row.refund.state.word()), &[]),
        "amount": sum(row.refund.amount),
        "returned": proof.map(|proof| sum(proof.amount)),
        "transaction": proof.map(|proof| proof.transaction.clone()),
        "way": row.way,
        "handle": row.refund.handle,
        "via": row.via,
        "by": row.who,
        "because": row.because,
        "late": row.refund.late,
        "reason": reason,
        "may_cancel": row.refund.state == crate::domain::refund::State::Planned,
        "created_at": faces.rules().machine_time(row.created),
    }))
}

fn state_text(row: &AttemptRow, lang: Lang) -> String {
    if row.attempt.late && row.attempt.state == State::Paid {
        return i18n::sentence(lang, "paid_late", &[]);
    }
    i18n::sentence(lang, &format!("state.{}", row.attempt.state.word()), &[])
}

/// A question as the API shows it.
pub fn question(faces: &Faces, view: View<'_>, row: &QuestionRow, lang: Lang) -> Result<Value, Fault> {
    let attempt = match row.attempt {
        Some(id) => Some(view.attempt(id)?),
        None => None,
    };
    let number = match row.order {
        Some(order) => view.order(order)?.snapshot.number,
        None => String::new(),
    };
    let args = row.args.iter().map(|(name, value)| (name.as_str(), in_words(name, value, lang)));
    let args: Vec<(&str, String)> = args.collect();
    let args: Vec<(&str, &str)> = args.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let is_unclear = ["unresolved", "lost_create"].contains(&row.code.as_str());
    let is_unclear_refund = row.code == "refund_unclear";
    let refund = row.refund.map(|id| view.refund(id)).transpose()?;
    let asked_sum = match &refund {
        Some(refund) => Some(refund.refund.amount),
        None => attempt.as_ref().map(|attempt| attempt.attempt.amount),
    };
    let choices = match (is_unclear, is_unclear_refund) {
        (true, _) => vec!["paid", "not_paid"],
        (false, true) => vec!["returned", "not_returned"],
        (false, false) => vec!["done"],
    };
    let asked_ms = faces.office.clock.wall().0.saturating_sub(row.asked.0).max(0);
    Ok(json!({
        "id": row.id,
        "code": row.code,
        "text": i18n::sentence(lang, &format!("question.{}", row.code), &args),
        "payment": attempt.as_ref().map(|attempt| attempt.reference.clone()),
        "order_number": number,
        "refund": refund.map(|refund| refund.reference),
        "amount": asked_sum.map(sum),
        "since_s": asked_ms / 1000,
        "may_answer": true,
        "choices": choices,
        "job": crate::flows::print::job_of(row),
        "document": crate::flows::fiscal::document_of(row),
    }))
}

/// A reason among the places of a question is kept as its code and detail; people read its sentence.
fn in_words(name: &str, value: &str, lang: Lang) -> String {
    let (code, detail) = value.split_once(": ").unwrap_or((value, ""));
    if name == "reason" && i18n::is_known(code) {
        return i18n::sentence(lang, code, &[("detail", detail)]);
    }
    value.to_owned()
}

/// An attempt that is unclear and not yet a person's to answer: the red line is there from the first moment (F07, I12).
pub fn unclear(faces: &Faces, view: View<'_>, row: &AttemptRow, lang: Lang) -> Result<Value, Fault> {
    let since_ms = faces.office.clock.wall().0.saturating_sub(row.changed.0).max(0);
    Ok(json!({
        "id": format!("unclear-{}", row.reference),
        "code": "unresolved",
        "text": i18n::sentence(lang, "question.unresolved", &[]),
        "payment": row.reference,
        "order_number": view.order(row.order)?.snapshot.number,
        "amount": sum(row.attempt.amount),
        "since_s": since_ms / 1000,
        "may_answer": false,
        "choices": ["paid", "not_paid"],
    }))
}

/// A refund that is unclear and not yet a person's to answer.
pub fn unclear_refund(faces: &Faces, view: View<'_>, row: &RefundRow, lang: Lang) -> Result<Value, Fault> {
    let since_ms = faces.office.clock.wall().0.saturating_sub(row.changed.0).max(0);
    let payment = view.attempt(row.attempt)?;
    let amount = row.refund.amount.to_string();
    Ok(json!({
        "id": format!("unclear-{}", row.reference),
        "code": "refund_unclear",
        "text": i18n::sentence(lang, "question.refund_unclear", &[("amount", &amount)]),
        "payment": payment.reference,
        "refund": row.reference,
        "order_number": view.order(payment.order)?.snapshot.number,
        "amount": sum(row.refund.amount),
        "since_s": since_ms / 1000,
        "may_answer": false,
        "choices": ["returned", "not_returned"],
    }))
}

/// A job as the API shows it.
pub fn job(view: View<'_>, row: &JobRow, lang: Lang) -> Result<Value, Fault> {
    let order = view.order(row.order)?;
    let text = row.reason.as_ref().map(|reason| i18n::sentence(lang, &reason.code, &[("detail", &reason.detail)]));
    Ok(json!({
        "id": row.id,
        "kind": row.kind.word(),
        "target": row.target,
        "state": row.state.word(),
        "tries": row.tries,
        "order_number": order.snapshot.number,
        "document": row.document,
        "may_tick": row.is_one_way(),
        "text": text,
    }))
}

/// An order of the POS as the API shows it, with its newest payment.
pub fn order(faces: &Faces, view: View<'_>, snapshot: &Snapshot, lang: Lang, with_lines: bool) -> Result<Value, Fault> {
    let known = view.order_of("pos", &snapshot.foreign_id)?;
    let (paid, newest) = match &known {
        Some(known) => (crate::flows::settle::counted(&view, known)?, view.attempts_of_order(known.id)?.pop()),
        None => (Tiyn::ZERO, None),
    };
    let mut shown = json!({
        "order_id": snapshot.foreign_id,
        "number": snapshot.number,
        "table": snapshot.table,
        "waiter": snapshot.waiter,
        "due": sum(snapshot.due),
        "paid": sum(paid),
        "payment": match newest { Some(row) => Some(payment(faces, view, &row, lang)?), None => None },
    });
    if with_lines {
        let line = |line: &Line| {
            json!({
                "name": line.name,
                "modifiers": line.modifiers,
                "quantity": line.quantity.to_string(),
                "sum": sum(line.sum),
                "comment": line.comment,
            })
        };
        shown["lines"] = snapshot.lines.iter().map(line).collect();
    }
    Ok(shown)
}
