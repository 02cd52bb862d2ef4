//! X and Z reports (fiscal-kz §1.7): the short form with sections and taxes. Counters are of the shift; totals that are never reset
//! obey `End − Start = Taken − Change`.

use super::WebkassaOptions;
use super::check::pay_code;
use super::envelope::tenge;
use super::till::{Now, Receipt, Shift, Till, told};
use crate::domain::fiscal::{PayKind, Side};
use crate::domain::money::Tiyn;
use crate::domain::paper::ReportKind;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;

/// Codes of the kinds of documents (§1.4).
pub(super) const fn side_code(side: Side) -> i64 {
    match side {
        Side::Sale => 2,
        Side::Return => 3,
    }
}

/// The report of a shift as the partner tells it.
pub(super) fn report(till: &Till, shift: &Shift, kind: ReportKind, options: &WebkassaOptions, now: Now) -> Value {
    let moved = |is_in: bool| -> Tiyn {
        let moves = till.moves.iter().filter(|one| one.shift == shift.number && one.is_in == is_in);
        moves.map(|one| one.sum).sum()
    };
    let documents =
        till.within(shift.number).count() + till.moves.iter().filter(|one| one.shift == shift.number).count();
    let (sales, returns) = till.ever();
    let (series, number) = options.vat_certificate.clone().unwrap_or_default();
    let mut told_report = object!({
        "TaxPayerName": options.taxpayer,
        "TaxPayerIN": options.bin,
        "TaxPayerVAT": options.vat_certificate.is_some(),
        "TaxPayerVATSeria": series,
        "TaxPayerVATNumber": number,
        "ReportNumber": till.reports.len() + 1,
        "CashboxSN": options.cashbox,
        "CashboxIN": options.identity,
        "CashboxRN": options.registration,
        "CashboxAddress": options.address,
        "StartOn": told(shift.opened),
        "ReportOn": told(now.wall),
        "CloseOn": shift.closed.map(told),
        "CashierCode": 1,
        "CashierName": options.cashier,
        "ShiftNumber": shift.number,
        "DocumentCount": documents,
        "PutMoneySum": tenge(moved(true)),
        "TakeMoneySum": tenge(moved(false)),
        "ControlSum": control(till, shift),
        "OfflineMode": till.is_away(),
        "CashboxOfflineMode": till.is_away(),
        "SumInCashbox": tenge(till.drawer),
        "Sell": block(till, shift.number, Side::Sale),
        "ReturnSell": block(till, shift.number, Side::Return),
        "Buy": empty_block(),
        "ReturnBuy": empty_block(),
        "StartNonNullable": ever(shift.ever),
        "EndNonNullable": ever((sales, returns)),
        "Ofd": {"Name": options.operator.name, "Host": options.operator.host, "Code": options.operator.code},
        "Sections": sections(till, shift.number),
        "Taxes": taxes(till, shift.number),
    });
    if kind == ReportKind::Z
        && let Some(members) = told_report.as_object_mut()
    {
        members.insert("CloseOn".to_owned(), told(now.wall).into());
    }
    told_report
}

fn of(till: &Till, shift: u64, side: Side) -> Vec<&Receipt> {
    till.within(shift).filter(|one| one.check.side == side).collect()
}

fn block(till: &Till, shift: u64, side: Side) -> Value {
    let receipts = of(till, shift, side);
    let sum = |of: fn(&Receipt) -> Tiyn| tenge(receipts.iter().map(|one| of(one)).sum());
    let paid = |kind: PayKind| -> Tiyn {
        let payments = receipts.iter().flat_map(|one| &one.check.payments).filter(|(known, _)| *known == kind);
        payments.map(|(_, sum)| *sum).sum()
    };
    let payments = PayKind::ALL.into_iter().map(|kind| (kind, paid(kind))).filter(|(_, sum)| sum.0 != 0);
    let payments = payments.map(|(kind, sum)| object!({"Sum": tenge(sum), "Type": pay_code(kind)}));
    object!({
        "PaymentsByTypesApiModel": payments.collect::<Vec<_>>(),
        "Discount": sum(|one| one.check.discounts()),
        "Markup": sum(|one| one.check.markups()),
        "Taken": sum(|one| one.check.taken()),
        "Change": sum(|one| one.check.change),
        "Count": receipts.len(),
        "TotalCount": till.receipts.iter().filter(|one| one.check.side == side).count(),
        "VAT": sum(|one| one.check.vat()),
    })
}

fn empty_block() -> Value {
    object!({
        "PaymentsByTypesApiModel": [], "Discount": 0, "Markup": 0, "Taken": 0, "Change": 0, "Count": 0, "TotalCount": 0, "VAT": 0,
    })
}

fn ever((sales, returns): (Tiyn, Tiyn)) -> Value {
    object!({"Sell": tenge(sales), "Buy": 0, "ReturnSell": tenge(returns), "ReturnBuy": 0})
}

fn sections(till: &Till, shift: u64) -> Value {
    let mut sections: BTreeMap<(i64, i64), (u64, i64)> = BTreeMap::new();
    for receipt in till.within(shift) {
        for position in &receipt.check.positions {
            let entry = sections.entry((position.section, side_code(receipt.check.side))).or_default();
            entry.0 += 1;
            entry.1 += position.sum.0;
        }
    }
    let told = |((code, operation), (count, sum)): ((i64, i64), (u64, i64))| object!({"Code": code, "OperationType": operation, "Count": count, "Amount": tenge(Tiyn(sum))});
    sections.into_iter().map(told).collect()
}

fn taxes(till: &Till, shift: u64) -> Value {
    let mut taxes: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
    for receipt in till.within(shift) {
        let check = &receipt.check;
        let lines = check.positions.iter().map(|one| (one.tax, one.sum.0, 1));
        let whole = check.modifiers.iter().map(|one| (one.tax, one.sum.0, if one.is_markup { 1 } else { -1 }));
        for (tax, sum, sign) in lines.chain(whole) {
            let Some(percent) = tax.percent else { continue };
            let entry = taxes.entry((side_code(check.side), percent)).or_default();
            entry.0 += sign * sum;
            entry.1 += sign * tax.sum.0;
        }
    }
    let told = |((operation, percent), (turnover, amount)): ((i64, i64), (i64, i64))| {
        let (turnover, amount) = (tenge(Tiyn(turnover)), tenge(Tiyn(amount)));
        object!({"Type": 100, "OperationType": operation, "Turnover": turnover, "Amount": amount, "Percent": percent})
    };
    taxes.into_iter().map(told).collect()
}

/// A number that two reports of the same documents share, and others hardly do.
fn control(till: &Till, shift: &Shift) -> i64 {
    let start = i64::try_from(shift.number).unwrap_or(0);
    let mix = |sum: i64, more: i64| (sum * 31 + more) % 1_000_000_007;
    till.within(shift.number).map(|one| one.check.total.0).fold(start, mix)
}
