//! The body of `check` read and recomputed as fiscal-kz §1.4 and §1.6 say: lines, modifiers, tax inside the price, payments less change.
//! Its arithmetic is the sandbox's own, so that a fault of the house's arithmetic does not find itself right here.

use super::envelope::{Body, NO_RIGHT, Refusal, invalid, refusal};
use super::units::{self, Unit};
use super::{Rounding, WebkassaOptions};
use crate::domain::fiscal::{PayKind, Side};
use crate::domain::money::Tiyn;

/// The longest idempotency key and the longest order number, in characters (§1.4).
const KEY_LETTERS_MAX: usize = 50;
const ORDER_LETTERS_MAX: usize = 200;
/// How far a told tax may be from the computed one, in tiyn (§1.13).
const TAX_SLACK_TIYN: i64 = 1;

/// How wide the returned form of a receipt is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Paper {
    /// 80 mm.
    #[default]
    Wide,
    /// 57 and 58 mm.
    Narrow,
}

/// A receipt as it was asked for, every sum agreed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub side: Side,
    pub positions: Vec<Position>,
    pub modifiers: Vec<Modifier>,
    pub payments: Vec<(PayKind, Tiyn)>,
    pub change: Tiyn,
    pub total: Tiyn,
    /// Empty where none was told.
    pub key: String,
    pub order: String,
    pub buyer: String,
    pub email: String,
    pub paper: Paper,
    pub basis: Option<Basis>,
}

/// One line, its sum already rounded as asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Position {
    pub name: String,
    pub count_milli: i64,
    pub price: Tiyn,
    pub discount: Tiyn,
    pub markup: Tiyn,
    pub sum: Tiyn,
    pub tax: Tax,
    pub unit: Unit,
    pub mark: String,
    pub section: i64,
}

/// A discount or surcharge on the whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Modifier {
    pub text: String,
    pub is_markup: bool,
    pub sum: Tiyn,
    pub tax: Tax,
}

/// The tax of a line; without a rate there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tax {
    pub percent: Option<i64>,
    pub sum: Tiyn,
}

/// What a return says of the receipt that it returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    pub sign: String,
    pub at: String,
    pub registration: String,
    pub total: Tiyn,
    pub is_offline: bool,
}

impl Check {
    /// Reads and recomputes the body of a request.
    pub(super) fn read(body: &Body, options: &WebkassaOptions) -> Result<Check, Refusal> {
        let side = match body.number("operationtype") {
            Some(2) => Side::Sale,
            Some(3) => Side::Return,
            Some(0 | 1) => return Err(refusal(NO_RIGHT, "У кассира нет прав на операции покупки")),
            Some(_) | None => return Err(invalid("Не указан или неизвестен OperationType")),
        };
        let rounding = RoundType::read(body)?;
        let read = |item: &Body| Position::read(item, options, rounding);
        let positions: Vec<Position> = body.list("positions")?.iter().map(read).collect::<Result<_, _>>()?;
        if positions.is_empty() {
            return Err(invalid("Чек не содержит позиций"));
        }
        let modifiers = body.list("ticketmodifiers")?;
        let modifiers: Vec<Modifier> =
            modifiers.iter().map(|item| Modifier::read(item, options)).collect::<Result<_, _>>()?;
        let total = total(&positions, &modifiers, rounding, options)?;
        let payments = payments(body)?;
        let change = change(body, &payments, total)?;
        let paper = match body.number("paperkind").unwrap_or(0) {
            0 | 12 | 13 => Paper::Wide,
            3 => Paper::Narrow,
            other => return Err(invalid(format!("Неизвестный PaperKind {other}"))),
        };
        let basis = if side == Side::Return { Some(Basis::read(body)?) } else { None };
        let check = Check {
            side,
            positions,
            modifiers,
            payments,
            change,
            total,
            key: key(body)?,
            order: limited(body, "externalordernumber", ORDER_LETTERS_MAX)?,
            buyer: body.text("customerxin").unwrap_or_default().to_owned(),
            email: body.text("customeremail").unwrap_or_default().to_owned(),
            paper,
            basis,
        };
        check.has_fit_extras(body)?;
        Ok(check)
    }

    fn has_fit_extras(&self, body: &Body) -> Result<(), Refusal> {
        if !self.buyer.is_empty() && (self.buyer.len() != 12 || !is_digits(&self.buyer)) {
            return Err(invalid("CustomerXin: ИИН/БИН должен состоять из 12 цифр"));
        }
        match body.text("externallinkid") {
            Some(link) if !is_guid(link) => Err(invalid("ExternalLinkId должен быть GUID")),
            Some(_) | None => Ok(()),
        }
    }

    /// The tax by rate, the highest rate first.
    pub(super) fn taxes(&self) -> Vec<(i64, Tiyn)> {
        let mut rates: std::collections::BTreeMap<i64, i64> = std::collections::BTreeMap::new();
        let lines = self.positions.iter().map(|one| (one.tax, 1));
        let modifiers = self.modifiers.iter().map(|one| (one.tax, if one.is_markup { 1 } else { -1 }));
        for (tax, sign) in lines.chain(modifiers) {
            if let Some(percent) = tax.percent {
                *rates.entry(percent).or_default() += sign * tax.sum.0;
            }
        }
        rates.into_iter().rev().map(|(percent, sum)| (percent, Tiyn(sum))).collect()
    }

    /// All tax.
    pub(super) fn vat(&self) -> Tiyn {
        self.taxes().into_iter().map(|(_, sum)| sum).sum()
    }

    /// What was handed over.
    pub(super) fn taken(&self) -> Tiyn {
        self.payments.iter().map(|(_, sum)| *sum).sum()
    }

    /// Cash that stays in the drawer, or leaves it on a return.
    pub(super) fn cash(&self) -> Tiyn {
        let cash: Tiyn = self.payments.iter().filter(|(kind, _)| *kind == PayKind::Cash).map(|(_, sum)| *sum).sum();
        Tiyn(cash.0 - self.change.0)
    }

    /// Discounts of lines and of the whole.
    pub(super) fn discounts(&self) -> Tiyn {
        let whole = self.modifiers.iter().filter(|one| !one.is_markup).map(|one| one.sum);
        self.positions.iter().map(|one| one.discount).chain(whole).sum()
    }

    /// Surcharges of lines and of the whole.
    pub(super) fn markups(&self) -> Tiyn {
        let whole = self.modifiers.iter().filter(|one| one.is_markup).map(|one| one.sum);
        self.positions.iter().map(|one| one.markup).chain(whole).sum()
    }
}

/// The code of a way of paying (§1.4).
pub(super) fn pay_code(kind: PayKind) -> i64 {
    match kind {
        PayKind::Cash => 0,
        PayKind::Card => 1,
        PayKind::Mobile => 4,
    }
}

/// What is rounded to whole tenge (§1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoundType {
    Nothing,
    Positions,
    Total,
}

impl RoundType {
    fn read(body: &Body) -> Result<RoundType, Refusal> {
        match body.number("roundtype").unwrap_or(2) {
            0 => Ok(RoundType::Nothing),
            2 => Ok(RoundType::Positions),
            3 => Ok(RoundType::Total),
            other => Err(invalid(format!("Неизвестный RoundType {other}"))),
        }
    }
}

impl Rounding {
    fn to_tenge(self, sum: Tiyn) -> Tiyn {
        let more = match self {
            Rounding::HalfUp => 50,
            Rounding::Up => 99,
        };
        Tiyn((sum.0 + more).div_euclid(100) * 100)
    }
}

impl Position {
    fn read(item: &Body, options: &WebkassaOptions, rounding: RoundType) -> Result<Position, Refusal> {
        let name = item.text("positionname").ok_or_else(|| invalid("Не указано наименование позиции"))?;
        if name.chars().count() > options.name_letters_max || name.chars().any(char::is_control) {
            return Err(invalid(format!("Недопустимое наименование позиции «{name}»")));
        }
        let wrong = |what: &str| invalid(format!("Позиция «{name}»: {what}"));
        let count_milli = item
            .milli("count")?
            .filter(|count| *count > 0)
            .ok_or_else(|| wrong("количество должно быть больше нуля"))?;
        let price = item.money("price")?.ok_or_else(|| wrong("не указана цена"))?;
        let discount = item.money("discount")?.unwrap_or_default();
        let markup = item.money("markup")?.unwrap_or_default();
        if price.0 < 0 || discount.0 < 0 || markup.0 < 0 {
            return Err(wrong("цена, скидка и наценка не могут быть меньше нуля"));
        }
        let gross = half_up(i128::from(count_milli) * i128::from(price.0), 1000)
            .ok_or_else(|| wrong("сумма слишком велика"))?;
        let sum = Tiyn(gross.0 - discount.0 + markup.0);
        let sum = if rounding == RoundType::Positions { options.rounding.to_tenge(sum) } else { sum };
        if sum.0 < 0 || !sum.in_limits() {
            return Err(wrong("сумма позиции меньше нуля или слишком велика"));
        }
        let unit =
            item.number("unitcode").and_then(units::find).ok_or_else(|| wrong("неизвестная единица измерения"))?;
        let mark = item.text("mark").unwrap_or_default().to_owned();
        if !mark.is_empty() && count_milli != 1000 {
            return Err(wrong("код маркировки передаётся при количестве 1"));
        }
        let tax = Tax::read(item, sum, options).map_err(|fault| wrong(&fault.text))?;
        let section = item.number("sectioncode").unwrap_or(0);
        Ok(Position { name: name.to_owned(), count_milli, price, discount, markup, sum, tax, unit, mark, section })
    }
}

impl Modifier {
    fn read(item: &Body, options: &WebkassaOptions) -> Result<Modifier, Refusal> {
        let text = item.text("text").ok_or_else(|| invalid("Не указан текст модификатора чека"))?.to_owned();
        let is_markup = match item.number("type") {
            Some(1) => false,
            Some(2) => true,
            Some(_) | None => return Err(invalid(format!("Модификатор «{text}»: тип должен быть 1 или 2"))),
        };
        let sum = item.money("sum")?.filter(|sum| sum.0 > 0);
        let sum = sum.ok_or_else(|| invalid(format!("Модификатор «{text}»: сумма должна быть больше нуля")))?;
        let tax = Tax::read(item, sum, options);
        let tax = tax.map_err(|fault| invalid(format!("Модификатор «{text}»: {}", fault.text)))?;
        Ok(Modifier { text, is_markup, sum, tax })
    }
}

impl Tax {
    fn read(item: &Body, gross: Tiyn, options: &WebkassaOptions) -> Result<Tax, Refusal> {
        let told = item.money("tax")?;
        let percent = item.milli("taxpercent")?.unwrap_or(0);
        match item.number("taxtype") {
            Some(0) if percent != 0 || told.unwrap_or_default() != Tiyn::ZERO => {
                Err(invalid("без НДС ставка и сумма налога должны быть нулевыми"))
            }
            Some(0) => Ok(Tax { percent: None, sum: Tiyn::ZERO }),
            Some(100) => {
                let rate = options.rates.iter().copied().find(|rate| rate * 1000 == percent);
                let rate = rate.ok_or_else(|| invalid("неизвестная ставка НДС"))?;
                let sum = told.ok_or_else(|| invalid("не указана сумма НДС"))?;
                let own = within(gross, rate);
                if (sum.0 - own.0).abs() > TAX_SLACK_TIYN {
                    return Err(invalid(format!(
                        "НДС {} не соответствует расчётному {}",
                        sum.decimal(),
                        own.decimal()
                    )));
                }
                Ok(Tax { percent: Some(rate), sum })
            }
            Some(_) | None => Err(invalid("TaxType должен быть 0 или 100")),
        }
    }
}

impl Basis {
    fn read(body: &Body) -> Result<Basis, Refusal> {
        let missing = |what: &str| invalid(format!("Не указано основание возврата: {what}"));
        let basis = body.part("returnbasisdetails").ok_or_else(|| missing("ReturnBasisDetails"))?;
        let text = |name: &str, shown: &str| basis.text(name).map(str::to_owned).ok_or_else(|| missing(shown));
        Ok(Basis {
            sign: text("checknumber", "CheckNumber")?,
            at: text("datetime", "DateTime")?,
            registration: text("registrationnumber", "RegistrationNumber")?,
            total: basis.money("total")?.ok_or_else(|| missing("Total"))?,
            is_offline: basis.flag("isoffline").ok_or_else(|| missing("IsOffline"))?,
        })
    }
}

fn total(
    positions: &[Position],
    modifiers: &[Modifier],
    rounding: RoundType,
    options: &WebkassaOptions,
) -> Result<Tiyn, Refusal> {
    let lines: Tiyn = positions.iter().map(|one| one.sum).sum();
    let whole: i64 = modifiers.iter().map(|one| if one.is_markup { one.sum.0 } else { -one.sum.0 }).sum();
    let total = Tiyn(lines.0 + whole);
    let total = if rounding == RoundType::Total { options.rounding.to_tenge(total) } else { total };
    if total.0 <= 0 || !total.in_limits() {
        return Err(invalid("Сумма чека должна быть больше нуля"));
    }
    let signed = modifiers.iter().map(|one| if one.is_markup { one.tax.sum.0 } else { -one.tax.sum.0 });
    let vat: i64 = positions.iter().map(|one| one.tax.sum.0).chain(signed).sum();
    let is_taxed = positions.iter().any(|one| one.tax.percent.is_some());
    if is_taxed && vat <= 0 {
        return Err(invalid("Сумма НДС чека должна быть больше нуля"));
    }
    Ok(total)
}

fn payments(body: &Body) -> Result<Vec<(PayKind, Tiyn)>, Refusal> {
    let mut payments: Vec<(PayKind, Tiyn)> = Vec::new();
    for item in body.list("payments")? {
        let kind = PayKind::ALL.into_iter().find(|kind| Some(pay_code(*kind)) == item.number("paymenttype"));
        let kind = kind.ok_or_else(|| invalid("Неизвестный тип оплаты"))?;
        let sum = item.money("sum")?.filter(|sum| sum.0 > 0 && sum.in_limits());
        let sum = sum.ok_or_else(|| invalid("Сумма оплаты должна быть больше нуля"))?;
        if payments.iter().any(|(known, _)| *known == kind) {
            return Err(invalid(format!("Тип оплаты {} указан повторно", pay_code(kind))));
        }
        payments.push((kind, sum));
    }
    if payments.is_empty() { Err(invalid("Чек не содержит оплат")) } else { Ok(payments) }
}

/// The change: as told, or computed where nothing is told; it is given back in cash only.
fn change(body: &Body, payments: &[(PayKind, Tiyn)], total: Tiyn) -> Result<Tiyn, Refusal> {
    let taken: Tiyn = payments.iter().map(|(_, sum)| *sum).sum();
    let cash: Tiyn = payments.iter().filter(|(kind, _)| *kind == PayKind::Cash).map(|(_, sum)| *sum).sum();
    let change = body.money("change")?.unwrap_or(Tiyn((taken.0 - total.0).max(0)));
    if change.0 < 0 || taken.0 - change.0 != total.0 {
        let paid = Tiyn(taken.0 - change.0);
        return Err(invalid(format!("Сумма оплат {} не равна сумме чека {}", paid.decimal(), total.decimal())));
    }
    if change > cash { Err(invalid("Сдача больше суммы наличных")) } else { Ok(change) }
}

/// The key that names the document; empty where none was told.
pub(super) fn key(body: &Body) -> Result<String, Refusal> {
    limited(body, "externalchecknumber", KEY_LETTERS_MAX)
}

fn limited(body: &Body, name: &str, letters_max: usize) -> Result<String, Refusal> {
    let text = body.text(name).unwrap_or_default();
    if text.chars().count() > letters_max {
        return Err(invalid(format!("Поле {name} длиннее {letters_max} символов")));
    }
    Ok(text.to_owned())
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_guid(text: &str) -> bool {
    let bare = text.trim_start_matches('{').trim_end_matches('}');
    let lengths: Vec<usize> = bare.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && bare.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// The tax inside a sum, to the nearest tiyn.
fn within(gross: Tiyn, percent: i64) -> Tiyn {
    half_up(i128::from(gross.0) * i128::from(percent), i128::from(100 + percent)).unwrap_or_default()
}

/// A quotient to the nearest whole, halves up.
fn half_up(part: i128, whole: i128) -> Option<Tiyn> {
    i64::try_from((2 * part + whole).div_euclid(2 * whole)).ok().map(Tiyn)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json as object};

    fn read(body: &Value) -> Result<Check, Refusal> {
        Check::read(&Body::read(body.to_string().as_bytes()).unwrap(), &WebkassaOptions::default())
    }

    fn line(count: i64, price: i64, more: &Value) -> Value {
        let mut line = object!({
            "Count": count, "Price": price, "TaxType": 100, "TaxPercent": 12, "UnitCode": 796, "PositionName": "Лағман",
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    }

    /// The vendor's own sample of lines, modifiers and payments (§1.6).
    fn sample() -> Value {
        object!({
            "OperationType": 2, "ExternalCheckNumber": "k", "RoundType": 0,
            "Positions": [
                line(1, 500, &object!({"Discount": 71, "Markup": 129, "Tax": 59.79})),
                line(10, 2000, &object!({"Discount": 1000, "Tax": 2035.71})),
            ],
            "TicketModifiers": [
                {"Sum": 958, "Text": "Скидка", "Type": 1, "TaxType": 100, "TaxPercent": 12, "Tax": 102.64},
                {"Sum": 485, "Text": "Наценка", "Type": 2, "TaxType": 100, "TaxPercent": 12, "Tax": 51.96},
            ],
            "Payments": [{"Sum": 18235, "PaymentType": 1}, {"Sum": 1000, "PaymentType": 0}], "Change": 150,
        })
    }

    #[test]
    fn the_vendors_sample_agrees() {
        let check = read(&sample()).unwrap();
        let sums: Vec<i64> = check.positions.iter().map(|one| one.sum.0).collect();
        assert_eq!(sums, [55_800, 1_900_000]);
        assert_eq!((check.total, check.change, check.cash()), (Tiyn(1_908_500), Tiyn(15_000), Tiyn(85_000)));
        assert_eq!(check.vat(), Tiyn(5979 + 203_571 - 10_264 + 5196));
        assert_eq!((check.discounts(), check.markups()), (Tiyn(202_900), Tiyn(61_400)));
    }

    #[test]
    fn tax_at_sixteen_per_cent() {
        for (gross, tax) in [(500, 6897), (1_000, 13_793), (2_500, 34_483), (11_600, 160_000), (6_270, 86_483)] {
            assert_eq!(within(Tiyn(gross * 100), 16), Tiyn(tax), "{gross}");
        }
    }

    #[test]
    fn what_does_not_agree_is_refused_with_a_text() {
        let change = |path: &str, value: Value| {
            let mut body = sample();
            *body.pointer_mut(path).unwrap() = value;
            read(&body).unwrap_err()
        };
        let refused = [
            (change("/Positions", object!([])), "позиций"),
            (change("/Payments", object!([])), "оплат"),
            (change("/Payments/0/Sum", object!(18234)), "не равна"),
            (change("/Payments/0/Sum", object!(-1)), "больше нуля"),
            (change("/Payments/0/PaymentType", object!(0)), "повторно"),
            (change("/Payments/0/PaymentType", object!(2)), "Неизвестный тип"),
            (change("/Change", object!(151)), "не равна"),
            (change("/Positions/0/Tax", object!(59.81)), "НДС"),
            (change("/Positions/0/TaxPercent", object!(13)), "ставка"),
            (change("/Positions/0/TaxType", object!(1)), "TaxType"),
            (change("/Positions/0/TaxType", object!(0)), "без НДС"),
            (change("/Positions/0/UnitCode", object!(0)), "единица"),
            (change("/Positions/0/PositionName", object!("  ")), "наименование"),
            (change("/Positions/0/PositionName", object!("a\nb")), "наименование"),
            (change("/Positions/0/Count", object!(0)), "количество"),
            (change("/Positions/0/Count", object!(1.0005)), "трёх"),
            (change("/Positions/0/Price", object!(-5)), "меньше нуля"),
            (change("/Positions/0/Price", object!("500")), "число"),
            (change("/Positions/0/Price", object!(0.001)), "двух"),
            (change("/Positions/0/Discount", object!(1000)), "меньше нуля"),
            (change("/TicketModifiers/0/Tax", object!(100)), "НДС"),
            (change("/TicketModifiers/0/Type", object!(3)), "тип"),
            (change("/RoundType", object!(1)), "RoundType"),
            (change("/OperationType", object!(7)), "OperationType"),
            (change("/ExternalCheckNumber", object!("k".repeat(51))), "длиннее"),
        ];
        for (fault, word) in refused {
            assert!(fault.code == 9 && fault.text.contains(word), "{word}: {fault:?}");
        }
        assert_eq!(change("/OperationType", object!(0)).code, 4);
        let slack = |tax: Value| {
            let mut body = sample();
            *body.pointer_mut("/Positions/0/Tax").unwrap() = tax;
            read(&body).is_ok()
        };
        assert!(slack(object!(59.78)) && slack(object!(59.80)) && !slack(object!(59.77)));
    }

    #[test]
    fn rounding_of_lines_and_of_the_total() {
        let body = |kind: i64, paid: Value| {
            object!({
                "OperationType": 2, "ExternalCheckNumber": "k", "RoundType": kind,
                "Positions": [
                    {"Count": 0.333, "Price": 1000.5, "TaxType": 0, "UnitCode": 166, "PositionName": "Казы"},
                    {"Count": 1, "Price": 0.3, "TaxType": 0, "UnitCode": 796, "PositionName": "Соль"},
                ],
                "Payments": [{"Sum": paid, "PaymentType": 4}],
            })
        };
        // 0.333 · 1000.50 = 333.1665 → 333.17, and 0.30: together 333.47.
        assert!(read(&body(0, object!(333.47))).is_ok());
        assert!(read(&body(2, object!(333))).is_ok());
        assert!(read(&body(3, object!(333))).is_ok());
        assert!(read(&body(0, object!(333))).is_err());
        let up = WebkassaOptions { rounding: Rounding::Up, ..WebkassaOptions::default() };
        let body = Body::read(body(2, object!(335)).to_string().as_bytes()).unwrap();
        assert_eq!(Check::read(&body, &up).unwrap().total, Tiyn(33_500));
    }

    #[test]
    fn change_that_is_not_told_is_computed() {
        let mut body = sample();
        body.as_object_mut().unwrap().remove("Change");
        assert_eq!(read(&body).unwrap().change, Tiyn(15_000));
        *body.pointer_mut("/Payments/0/Sum").unwrap() = object!(19_100);
        assert!(read(&body).unwrap_err().text.contains("Сдача"), "change cannot come from a card");
    }
}
