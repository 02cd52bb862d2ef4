//! Fiscal receipts on the local API: the cash register as it stands, its newest documents, reports and cash moves, and a paper printed
//! (again) for the guest. Every decision is a flow's; the register itself is spoken to by its worker alone.

use super::api::{Asked, named};
use super::problem::Problem;
use super::{Faces, shape};
use crate::domain::attempt::State as AttemptState;
use crate::domain::ids::{AttemptId, FiscalId, OrderId};
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use crate::domain::time::Wall;
use crate::flows::{Issuer, fiscal};
use crate::i18n::{self, Lang, sentence};
use crate::ledger::fiscal::{Act, FiscalRow, State as Standing};
use crate::ledger::{Fault, View};
use crate::workers::fiscal::WINDOW;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// Documents in the list.
const DOCUMENTS_MAX: u32 = 30;

/// The routes of fiscal receipts.
pub fn routes() -> Router<Arc<Faces>> {
    Router::new()
        .route("/api/v1/fiscal", get(show))
        .route("/api/v1/fiscal/x", post(x))
        .route("/api/v1/fiscal/z", post(z))
        .route("/api/v1/fiscal/cash", post(cash))
        .route("/api/v1/fiscal/{id}/print", post(print))
        .route("/api/v1/fiscal/{id}/retry", post(retry))
}

async fn show(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    asked.told(register(&asked).map_err(Problem::from))
}

/// The register: how it is, what waits for it, and what it did last.
fn register(asked: &Asked) -> Result<Value, Fault> {
    let (faces, now) = (&asked.faces, asked.faces.office.clock.wall());
    let name = faces.rules().fiscal.register.clone();
    let device = name.as_ref().and_then(|name| faces.office.devices.all().remove(name));
    faces.office.look(|view| {
        // What waits for somebody is there however old it is.
        let mut documents = view.fiscal_open(name.as_deref().unwrap_or_default(), DOCUMENTS_MAX)?;
        for row in view.newest_fiscal(DOCUMENTS_MAX)? {
            if !documents.iter().any(|known| known.id == row.id) {
                documents.push(row);
            }
        }
        documents.sort_by_key(|row| std::cmp::Reverse(row.id));
        let documents =
            documents.iter().map(|row| document(faces, view, row, asked.lang)).collect::<Result<Vec<_>, _>>()?;
        let Some(name) = &name else {
            return Ok(json!({ "register": Value::Null, "state": "none", "documents": documents }));
        };
        let (waiting, oldest) = view.fiscal_backlog(name)?;
        let (state, text) = match &device {
            Some(device) => (device.state, text_of(asked.lang, &device.code, &device.detail)),
            None => ("unknown", String::new()),
        };
        Ok(json!({
            "register": name,
            "state": state,
            "text": text,
            "is_test": faces.rules().fiscal.is_test,
            "shift": fiscal::last_shift(&view, name)?,
            "waiting": waiting,
            "oldest_s": oldest.map(|oldest| age_s(oldest, now)),
            "hours_left": fiscal::window(&view, name)?.map(|since| hours_left(since, now)),
            "documents": documents,
        }))
    })
}

fn text_of(lang: Lang, code: &str, detail: &str) -> String {
    if code.is_empty() { String::new() } else { sentence(lang, code, &[("detail", detail)]) }
}

fn age_s(from: Wall, now: Wall) -> i64 {
    now.0.saturating_sub(from.0).max(0) / 1000
}

/// Whole hours of the law's 72 that are left since a moment.
pub(super) fn hours_left(since: Wall, now: Wall) -> i64 {
    let window_s = i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX);
    window_s.saturating_sub(age_s(since, now)).max(0) / 3600
}

/// A document as the API shows it.
fn document(faces: &Faces, view: View<'_>, row: &FiscalRow, lang: Lang) -> Result<Value, Fault> {
    let number = row.order.map(|order| view.order(order)).transpose()?.map(|order| order.snapshot.number);
    let answer: Value = serde_json::from_str(row.answer.as_deref().unwrap_or("null"))?;
    let reason = row.reason.as_ref().filter(|reason| i18n::is_known(&reason.code));
    Ok(json!({
        "id": row.id,
        "act": row.act.word(),
        "act_text": sentence(lang, &format!("fiscal.act.{}", row.act.word()), &[]),
        "order_number": number,
        "total": shape::sum(row.total),
        "state": row.state.word(),
        "state_text": sentence(lang, &format!("fiscal.state.{}", row.state.word()), &[]),
        "sign": row.sign,
        "shift": answer["shift"],
        "at": answer["at"],
        "is_autonomous": answer["is_autonomous"] == Value::Bool(true),
        "text": reason.map(|reason| text_of(lang, &reason.code, &reason.detail)),
        "basis": row.basis,
        "pos": row.mark.word(),
        "may_print": row.answer.is_some() || row.act.is_bill(),
        "may_retry": !row.state.is_final(),
        "created_at": faces.rules().machine_time(row.created),
    }))
}

async fn x(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    report(faces, &uri, &headers, body, ReportKind::X).await
}

async fn z(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    report(faces, &uri, &headers, body, ReportKind::Z).await
}

async fn report(faces: Arc<Faces>, uri: &Uri, headers: &HeaderMap, body: Body, kind: ReportKind) -> Response {
    let asked = Asked::new(faces, uri, headers);
    let row = report_it(&asked, headers, body, kind).await;
    created(&asked, row)
}

async fn report_it(asked: &Asked, headers: &HeaderMap, body: Body, kind: ReportKind) -> Result<FiscalRow, Problem> {
    let body = asked.body(headers, body).await?;
    let by = shape::given(&body, "by").map(|by| shape::read_text(by, "by")).transpose().map_err(Problem::bad)?;
    let (by, rules) = (by.unwrap_or_else(|| "counter".to_owned()), asked.faces.office.rules.clone());
    Ok(asked.faces.office.writer.decide(move |tx| fiscal::want_report(tx, &rules, kind, &by)).await?)
}

async fn cash(State(faces): State<Arc<Faces>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let row = cash_it(&asked, &headers, body).await;
    created(&asked, row)
}

async fn cash_it(asked: &Asked, headers: &HeaderMap, body: Body) -> Result<FiscalRow, Problem> {
    let body = asked.body(headers, body).await?;
    let is_in = body["in"].as_bool().ok_or_else(|| Problem::bad("in: true or false"))?;
    let amount = shape::read_sum(&body["amount"], "amount").map_err(Problem::bad)?;
    let ((by, because), rules) = (named(&body)?, asked.faces.office.rules.clone());
    let key = Asked::key(headers, "cash", "")?.map(|(key, _)| key);
    let moved =
        move |tx: &crate::ledger::Tx<'_>| fiscal::move_cash(tx, &rules, is_in, amount, &by, &because, key.as_deref());
    Ok(asked.faces.office.writer.decide(moved).await?)
}

async fn print(State(faces): State<Arc<Faces>>, Path(id): Path<i64>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let rules = asked.faces.office.rules.clone();
    let row = asked.faces.office.writer.decide(move |tx| fiscal::print_again(tx, &rules, FiscalId(id))).await;
    asked.told(row.and_then(|row| shown(&asked, &row)).map_err(Problem::from))
}

async fn retry(State(faces): State<Arc<Faces>>, Path(id): Path<i64>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::new(faces, &uri, &headers);
    let rules = asked.faces.office.rules.clone();
    let row = asked.faces.office.writer.decide(move |tx| fiscal::retry(tx, &rules, FiscalId(id))).await;
    asked.told(row.and_then(|row| shown(&asked, &row)).map_err(Problem::from))
}

fn shown(asked: &Asked, row: &FiscalRow) -> Result<Value, Fault> {
    asked.faces.office.look(|view| document(&asked.faces, view, row, asked.lang))
}

fn created(asked: &Asked, row: Result<FiscalRow, Problem>) -> Response {
    match row.and_then(|row| shown(asked, &row).map_err(Problem::from)) {
        Ok(shown) => (StatusCode::CREATED, Json(shown)).into_response(),
        Err(problem) => problem.told(asked.lang).into_response(),
    }
}

/// What a payment shows of its receipt: how far it is, the sign, when, and the document that its paper hangs on. A payment whose receipt is
/// not ours shows none, whatever else its order has.
pub(super) fn of_payment(view: View<'_>, order: OrderId, attempt: AttemptId) -> Result<Value, Fault> {
    let mut newest = None;
    for row in view.fiscal_of_order(order)?.into_iter().filter(|row| row.act == Act::Sale) {
        if view.fiscal_shares(row.id)?.iter().any(|(of, _)| *of == attempt) {
            newest = Some(row);
        }
    }
    let Some(row) = newest else { return Ok(json!({ "state": "none" })) };
    let registered = fiscal::registered_of(&row)?;
    Ok(json!({
        "state": fiscal::standing(&view, order)?,
        "sign": row.sign,
        "at": registered.map(|registered| registered.at),
        "id": row.id,
    }))
}

/// The register's side of the day: what is on record, what still waits, and what the payments say beyond it.
pub(super) fn day(faces: &Faces, view: View<'_>, from: Wall) -> Result<Value, Fault> {
    const ALL: u32 = 100_000;
    let is_ours = |tender| faces.rules().fiscal.issuer(tender) == Issuer::Register;
    let (mut registered, mut returned, mut open) = (Tiyn::ZERO, Tiyn::ZERO, [0_i64; 3]);
    for row in view.fiscal_since(from, ALL)?.iter().filter(|row| row.act.is_bill()) {
        match row.state {
            Standing::Queued | Standing::Sending => open[0] += 1,
            Standing::Uncertain => open[1] += 1,
            Standing::Refused => open[2] += 1,
            Standing::Registered if row.act == Act::Return => returned = plus(returned, row.total),
            Standing::Registered => registered = plus(registered, row.total),
            // A person has settled it elsewhere.
            Standing::Settled => {}
        }
    }
    let mut meant = Tiyn::ZERO;
    for row in view.attempts_since(from, ALL)? {
        let evidence = row.attempt.evidence.filter(|_| row.attempt.state == AttemptState::Paid && is_ours(row.tender));
        meant = plus(meant, evidence.map_or(Tiyn::ZERO, |evidence| evidence.amount));
    }
    for row in view.refunds_since(from, ALL)? {
        if is_ours(view.attempt(row.attempt)?.tender) {
            meant = plus(meant, Tiyn(-row.refund.returned().0));
        }
    }
    let on_record = registered.0.saturating_sub(returned.0);
    Ok(json!({
        "registered": shape::sum(registered),
        "returned": shape::sum(returned),
        "queued": open[0],
        "uncertain": open[1],
        "refused": open[2],
        "difference": shape::sum(Tiyn(meant.0.saturating_sub(on_record))),
    }))
}

fn plus(one: Tiyn, other: Tiyn) -> Tiyn {
    Tiyn(one.0.saturating_add(other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_run_from_72_to_0() {
        let since = Wall(1_000_000);
        let after_s = |seconds: i64| hours_left(since, since.plus_ms(seconds * 1000));
        assert_eq!([after_s(-5), after_s(0), after_s(1)], [72, 72, 71]);
        assert_eq!([after_s(71 * 3600), after_s(72 * 3600 - 1), after_s(80 * 3600)], [1, 0, 0]);
    }
}
