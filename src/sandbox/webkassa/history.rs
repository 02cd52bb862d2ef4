//! How the partner shows what it has: the answer of `check`, items of the history, shifts, the cashbox itself (fiscal-kz §1.3, §1.5).

use super::check::{Check, Position, pay_code};
use super::envelope::{Body, INVALID, NO_SHIFT, Refusal, invalid, quantity, refusal, tenge};
use super::print::ticket_url;
use super::report::side_code;
use super::till::{Receipt, Till, told, told_with_offset};
use super::{Operator, WebkassaOptions};
use crate::domain::fiscal::PayKind;
use crate::domain::time::Wall;
use serde_json::{Value, json as object};

/// The most rows of one page (§1.3).
const TAKE_MAX: i64 = 50;

/// The answer of `check`, without the lines for paper.
pub(super) fn answer(receipt: &Receipt, till: &Till, options: &WebkassaOptions) -> Value {
    object!({
        "CheckNumber": receipt.sign,
        "CheckOrderNumber": receipt.number,
        "ShiftNumber": receipt.shift,
        "DateTime": receipt.at_text(),
        "DateTimeUTC": told_with_offset(receipt.at),
        "OfflineMode": receipt.is_autonomous,
        "CashboxOfflineMode": till.is_away(),
        "Cashbox": cashbox(options),
        "Organization": {"TaxPayerName": options.taxpayer, "TaxPayerIN": options.bin},
        "EmployeeName": options.cashier,
        "Total": tenge(receipt.check.total),
        "TicketUrl": ticket_url(receipt, options),
        "TicketPrintUrl": format!(
            "https://kassa.example/spa-ui/ticket?chb={}&sh={}&extnum={}",
            options.cashbox, receipt.shift, receipt.check.key
        ),
    })
}

/// What stands in the footer of every receipt.
pub(super) fn cashbox(options: &WebkassaOptions) -> Value {
    object!({
        "UniqueNumber": options.cashbox,
        "RegistrationNumber": options.registration,
        "IdentityNumber": options.identity,
        "Address": options.address,
        "AddressKz": options.address_kz,
        "Ofd": operator(&options.operator),
    })
}

fn operator(operator: &Operator) -> Value {
    object!({
        "Name": operator.name, "NameKz": operator.name_kz, "NameEn": operator.name, "Host": operator.host, "Code": operator.code,
    })
}

/// A receipt as the history shows it.
pub(super) fn item(receipt: &Receipt, options: &WebkassaOptions) -> Value {
    let check = &receipt.check;
    let payments = check.payments.iter();
    let payments = payments.map(|(kind, sum)| object!({"Sum": tenge(*sum), "PaymentTypeName": pay_name(*kind)}));
    let percent = check.taxes().first().map_or(0, |(percent, _)| *percent);
    object!({
        "CashboxUniqueNumber": options.cashbox,
        "CashboxRegistrationNumber": options.registration,
        "CashboxIdentityNumber": options.identity,
        "Number": receipt.sign,
        "OrderNumber": receipt.number,
        "RegistratedOn": receipt.at_text(),
        "RegistratedOnUTC": told_with_offset(receipt.at),
        "IsOffline": receipt.is_autonomous,
        "DocumentNumber": receipt.number,
        "OperationType": side_code(check.side),
        "ShiftNumber": receipt.shift,
        "EmployeeName": options.cashier,
        "Payments": payments.collect::<Vec<_>>(),
        "Total": tenge(check.total),
        "Change": tenge(check.change),
        "Taken": tenge(check.taken()),
        "Discount": tenge(check.discounts()),
        "Markup": tenge(check.markups()),
        "Tax": tenge(check.vat()),
        "TaxPercent": percent,
        "VATPayer": options.vat_certificate.is_some(),
        "Positions": positions(check),
        "ExternalCheckNumber": check.key,
        "ExternalOrderNumber": check.order,
        "TicketUrl": ticket_url(receipt, options),
        "CustomerXin": check.buyer,
    })
}

/// The same with the operator beside it.
pub(super) fn item_with_operator(receipt: &Receipt, options: &WebkassaOptions) -> Value {
    let mut shown = item(receipt, options);
    if let Some(members) = shown.as_object_mut() {
        members.insert("Ofd".to_owned(), operator(&options.operator));
    }
    shown
}

fn positions(check: &Check) -> Value {
    let told = |one: &Position| {
        object!({
            "PositionName": one.name,
            "Count": quantity(one.count_milli),
            "Price": tenge(one.price),
            "DiscountTenge": tenge(one.discount),
            "Markup": tenge(one.markup),
            "Sum": tenge(one.sum),
            "IsNds": one.tax.percent.is_some(),
            "TaxPercent": one.tax.percent,
            "Tax": tenge(one.tax.sum),
            "UnitCode": one.unit.code,
        })
    };
    check.positions.iter().map(told).collect()
}

fn pay_name(kind: PayKind) -> &'static str {
    match pay_code(kind) {
        0 => "Наличные",
        1 => "Банковская карта",
        _ => "Мобильный платеж",
    }
}

/// One page of a list, asked for by `Skip` and `Take`.
pub(super) struct Page {
    skip: usize,
    take: usize,
}

impl Page {
    /// Reads which page is asked for.
    pub(super) fn read(body: &Body) -> Result<Page, Refusal> {
        let (skip, take) = (body.number("skip").unwrap_or(0), body.number("take").unwrap_or(TAKE_MAX));
        if !(1..=TAKE_MAX).contains(&take) {
            return Err(refusal(INVALID, format!("Take должен быть от 1 до {TAKE_MAX}")));
        }
        let wrong = |_| invalid("Skip не может быть меньше нуля");
        Ok(Page { skip: usize::try_from(skip).map_err(wrong)?, take: usize::try_from(take).map_err(wrong)? })
    }

    /// The page of a list, as history answers.
    pub(super) fn of(&self, items: Vec<Value>) -> Value {
        let total = items.len();
        object!({"Skip": self.skip, "Take": self.take, "Total": total, "Items": self.rows(items)})
    }

    /// Its rows alone.
    pub(super) fn rows(&self, items: Vec<Value>) -> Vec<Value> {
        items.into_iter().skip(self.skip).take(self.take).collect()
    }
}

/// The shift that a request names.
pub(super) fn shift_of(body: &Body, till: &Till) -> Result<u64, Refusal> {
    let number = body.number("shiftnumber").ok_or_else(|| invalid("Не указан номер смены ShiftNumber"))?;
    let shift = u64::try_from(number).ok().and_then(|number| till.shift(number));
    shift.map(|shift| shift.number).ok_or_else(|| refusal(NO_SHIFT, format!("Смена {number} не найдена")))
}

/// All shifts, the newest first.
pub(super) fn shifts(till: &Till) -> Vec<Value> {
    let shown = till.shifts.iter().rev().map(|shift| {
        let mut shown = object!({"ShiftNumber": shift.number, "OpenDate": told(shift.opened)});
        if let (Some(closed), Some(members)) = (shift.closed, shown.as_object_mut()) {
            members.insert("CloseDate".to_owned(), told(closed).into());
        }
        shown
    });
    shown.collect()
}

/// The list of cashboxes: the one there is.
pub(super) fn cashboxes(till: &Till, options: &WebkassaOptions) -> Value {
    object!({"List": [{
        "UniqueNumber": options.cashbox,
        "RegistrationNumber": options.registration,
        "IdentificationNumber": options.identity,
        "Name": options.name,
        "Description": "",
        "IsOffline": till.is_away(),
        "CurrentStatus": status(till),
        "Shift": till.shifts.last().map_or(0, |shift| shift.number),
    }]})
}

/// 1 active, 2 blocked by the operator.
fn status(till: &Till) -> i64 {
    if till.is_blocked { 2 } else { 1 }
}

/// The cashbox with its licence.
pub(super) fn client_info(till: &Till, options: &WebkassaOptions, licence_ends: Wall) -> Value {
    object!({
        "CashboxStatus": status(till),
        "License": {"LicenseStatus": i32::from(!till.is_unlicensed), "LicenseExpirationDate": told(licence_ends)},
        "Ofd": {"Ofd": options.operator.name, "Expiration": null},
    })
}

/// The cashbox with its present shift.
pub(super) fn state(till: &Till, options: &WebkassaOptions, licence_ends: Wall) -> Value {
    let shift = till.shifts.last();
    let number = shift.map_or(0, |shift| shift.number);
    let last = till.within(number).last().map(|receipt| told(receipt.at));
    object!({
        "OfdProtocolVersion": 203,
        "AllLicenseExpiring": told(licence_ends),
        "OrganizationXin": options.bin,
        "CurrentState": {
            "ShiftNumber": number,
            "ShiftClosed": till.open().is_none(),
            "ShiftOpenedAt": shift.map(|shift| told(shift.opened)),
            "LastOperationDate": last,
            "DocumentsCount": till.within(number).count(),
            "ReportState": {"SumInCashbox": tenge(till.drawer)},
        },
    })
}
