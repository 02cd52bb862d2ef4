//! From an order and its payments to a bill whose sums agree to the tiyn (fiscal-kz §1.6, §3.6, §3.7): whole orders, shares of an order,
//! and what goes back of a receipt. Everything comes to what was paid; only cash is rounded, to whole tenge, and the bill shows it.

use crate::domain::fiscal::{
    Bill, Modifier, ModifierKind, PayKind, Payment, Position, Side, UNIT_KILOGRAM, UNIT_PIECE, UNIT_SERVICE, Vat,
};
use crate::domain::money::Tiyn;
use crate::domain::order::{self, Milli, Snapshot};

/// The longest name of a position, in characters.
pub const NAME_CHARS_MAX: usize = 120;

const DISCOUNT: &str = "Жеңілдік/Скидка";
const SERVICE: &str = "Қызмет көрсету/Обслуживание";
const ROUNDING: &str = "Дөңгелектеу/Округление";

/// How a service charge stands on a receipt (§3.7).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ServiceCharge {
    /// As a line of its own, with the unit of services.
    Position,
    /// As a surcharge on the whole.
    Surcharge,
}

/// What the shop decided about its bills.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The rate of a line that tells none.
    pub vat: Vat,
    /// The unit of a line that tells none.
    pub unit: u16,
    /// The unit of such a line where its quantity has a fraction.
    pub weight_unit: u16,
    /// How a service charge stands on the receipt.
    pub service_charge: ServiceCharge,
}

impl Default for Terms {
    /// No payer of value added tax, pieces and kilograms.
    fn default() -> Terms {
        Terms { vat: Vat(None), unit: UNIT_PIECE, weight_unit: UNIT_KILOGRAM, service_charge: ServiceCharge::Position }
    }
}

/// What was paid in one way towards a bill.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The way.
    pub kind: PayKind,
    /// How much of it the bill is for.
    pub amount: Tiyn,
    /// What was handed over in cash, where it was more.
    pub tendered: Option<Tiyn>,
}

/// The goods of a bill, with what they come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Goods {
    positions: Vec<Position>,
    modifiers: Vec<Modifier>,
}

/// The bill of a whole order. The shares come to what is due.
pub fn whole(order: &Snapshot, terms: &Terms, shares: &[Share]) -> Bill {
    bill(Side::Sale, &order.number, goods_of(order, terms), shares, terms.vat)
}

/// The bill of a part of an order: every line of it in proportion, as one unit with the price of its share.
pub fn share(order: &Snapshot, terms: &Terms, shares: &[Share]) -> Bill {
    let whole = goods_of(order, terms);
    let sum = shares.iter().map(|share| share.amount).sum();
    bill(Side::Sale, &order.number, scaled(&whole, sum), shares, terms.vat)
}

/// The bill of what an order has grown by since the positions of earlier bills; `None` where the growth is not exactly some lines.
pub fn growth(order: &Snapshot, terms: &Terms, earlier: &[Position], shares: &[Share]) -> Option<Bill> {
    let sum: Tiyn = shares.iter().map(|share| share.amount).sum();
    let mut known: Vec<(&str, Tiyn, i64)> =
        earlier.iter().map(|one| (one.name.as_str(), one.price, one.quantity.0)).collect();
    let mut fresh = Vec::new();
    for position in goods_of(order, terms).positions {
        let mut left = position.quantity.0;
        for (_, _, had) in
            known.iter_mut().filter(|(name, price, _)| *name == position.name && *price == position.price)
        {
            let taken = left.min(*had);
            (left, *had) = (left - taken, *had - taken);
        }
        if left > 0 {
            let is_cut = left != position.quantity.0;
            let discount = if is_cut { Tiyn::ZERO } else { position.discount };
            let markup = if is_cut { Tiyn::ZERO } else { position.markup };
            fresh.push(Position { quantity: Milli(left), discount, markup, ..position });
        }
    }
    let goods = Goods { positions: fresh, modifiers: Vec::new() };
    (goods.sum() == sum && !goods.positions.is_empty())
        .then(|| bill(Side::Sale, &order.number, goods, shares, terms.vat))
}

/// The bill of money that goes back of a receipt, of which `returned` went back before. What is left of it at the end goes back to the
/// tiyn; before that every line in proportion. `None` where nothing is left to return.
pub fn give_back(original: &Bill, returned: &[Bill], shares: &[Share], is_last: bool) -> Option<Bill> {
    let left = |kind: PayKind| {
        let before: i64 = returned.iter().map(|bill| bill.paid(kind).0).sum();
        Tiyn((original.paid(kind).0 - before).max(0))
    };
    let asked =
        |kind: PayKind| -> Tiyn { shares.iter().filter(|share| share.kind == kind).map(|share| share.amount).sum() };
    let wanted = |kind: PayKind| if kind == PayKind::Cash { whole_tenge(asked(kind)) } else { asked(kind) };
    let mut payments: Vec<Payment> = PayKind::ALL
        .into_iter()
        .map(|kind| Payment { kind, sum: if is_last { left(kind) } else { wanted(kind).min(left(kind)) } })
        .collect();
    // A way that the receipt does not know, or has too little of: what else is left of it.
    let asked_all: i64 = PayKind::ALL.iter().map(|kind| wanted(*kind).0).sum();
    let mut missing = if is_last { 0 } else { asked_all - payments.iter().map(|payment| payment.sum.0).sum::<i64>() };
    for payment in &mut payments {
        let more = missing.min(left(payment.kind).0 - payment.sum.0).max(0);
        payment.sum = Tiyn(payment.sum.0 + more);
        missing -= more;
    }
    payments.retain(|payment| payment.sum > Tiyn::ZERO);
    let total: Tiyn = payments.iter().map(|payment| payment.sum).sum();
    let whole = Goods { positions: original.positions.clone(), modifiers: original.modifiers.clone() };
    let goods = if returned.is_empty() && total == original.total { whole } else { scaled(&whole, total) };
    (total > Tiyn::ZERO).then(|| Bill {
        side: Side::Return,
        order_number: original.order_number.clone(),
        positions: goods.positions,
        modifiers: goods.modifiers,
        payments,
        change: Tiyn::ZERO,
        total,
    })
}

impl Goods {
    fn sum(&self) -> Tiyn {
        let lines: i64 = self.positions.iter().map(|one| one.sum().0).sum();
        Tiyn(lines + self.modifiers.iter().map(|one| one.signed().0).sum::<i64>())
    }
}

/// Half a tenge and more is one (§3.6).
fn whole_tenge(sum: Tiyn) -> Tiyn {
    Tiyn((sum.0 + 50).div_euclid(100) * 100)
}

/// The lines of an order, and what makes them come to what is due: a discount, or a service charge.
fn goods_of(order: &Snapshot, terms: &Terms) -> Goods {
    let mut positions: Vec<Position> = order.lines.iter().filter_map(|line| position(line, terms)).collect();
    let mut modifiers = Vec::new();
    let lines: i64 = positions.iter().map(|one| one.sum().0).sum();
    let missing = order.due.0 - lines;
    if positions.is_empty() {
        positions.push(single(&wording(order), terms.unit, order.due, terms.vat));
    } else if missing < 0 {
        modifiers = discounts(&positions, Tiyn(-missing));
    } else if missing > 0 && terms.service_charge == ServiceCharge::Position {
        positions.push(single(SERVICE, UNIT_SERVICE, Tiyn(missing), terms.vat));
    } else if missing > 0 {
        modifiers.push(Modifier {
            kind: ModifierKind::Surcharge,
            text: SERVICE.to_owned(),
            sum: Tiyn(missing),
            vat: terms.vat,
        });
    }
    Goods { positions, modifiers }
}

/// What stands on the bill of an order without lines.
fn wording(order: &Snapshot) -> String {
    if cut(&order.comment).is_empty() {
        format!("Тапсырыс/Заказ {}", order.number)
    } else {
        cut(&order.comment)
    }
}

fn cut(name: &str) -> String {
    let clean: String =
        name.split(|sign: char| sign.is_whitespace() || sign.is_control()).collect::<Vec<_>>().join(" ");
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    clean.chars().take(NAME_CHARS_MAX).collect()
}

/// A line of an order; one that costs nothing is not sold.
fn position(line: &order::Line, terms: &Terms) -> Option<Position> {
    if line.sum <= Tiyn::ZERO || line.quantity.0 <= 0 {
        return None;
    }
    let usual = if line.quantity.0 % 1000 == 0 { terms.unit } else { terms.weight_unit };
    let vat = match line.vat {
        // A shop that pays no tax has none in any line.
        Some(percent) if terms.vat.0.is_some() => Vat(Some(percent).filter(|percent| *percent > 0)),
        Some(_) | None => terms.vat,
    };
    let name = if line.modifiers.is_empty() {
        cut(&line.name)
    } else {
        cut(&format!("{} ({})", line.name, line.modifiers.join(", ")))
    };
    // A register takes no line without a name.
    let name = if name.is_empty() { format!("№ {}", cut(&line.key)) } else { name };
    let mut position = single(&name, line.unit.unwrap_or(usual), line.sum, vat);
    priced(&mut position, line.quantity, line.sum);
    Some(position)
}

/// Gives a position its quantity and the price of one unit. Where no price comes to the sum exactly, what is missing is a discount.
fn priced(position: &mut Position, quantity: Milli, sum: Tiyn) {
    // A price whose product with the quantity has no fraction of a tiyn.
    let step = 1000 / gcd(quantity.0, 1000);
    let exact = i128::from(sum.0) * 1000;
    let steps = (exact + i128::from(quantity.0) * i128::from(step) - 1) / (i128::from(quantity.0) * i128::from(step));
    let Ok(price) = i64::try_from(steps * i128::from(step)) else { return };
    (position.quantity, position.price) = (quantity, Tiyn(price));
    position.discount = Tiyn(position.gross().0 - sum.0);
}

fn gcd(one: i64, other: i64) -> i64 {
    if other == 0 { one.max(1) } else { gcd(other, one % other) }
}

fn single(name: &str, unit: u16, sum: Tiyn, vat: Vat) -> Position {
    Position {
        name: name.to_owned(),
        quantity: Milli::ONE,
        unit,
        price: sum,
        discount: Tiyn::ZERO,
        markup: Tiyn::ZERO,
        vat,
    }
}

/// A discount on the whole, one for each rate that the lines have.
fn discounts(positions: &[Position], sum: Tiyn) -> Vec<Modifier> {
    let mut rates: Vec<(Vat, i64)> = Vec::new();
    for position in positions {
        match rates.iter_mut().find(|(vat, _)| *vat == position.vat) {
            Some((_, weight)) => *weight += position.sum().0,
            None => rates.push((position.vat, position.sum().0)),
        }
    }
    let weights: Vec<i64> = rates.iter().map(|(_, weight)| *weight).collect();
    let parts = apportion(sum, &weights);
    rates
        .iter()
        .zip(parts)
        .filter(|(_, sum)| *sum > Tiyn::ZERO)
        .map(|((vat, _), sum)| Modifier { kind: ModifierKind::Discount, text: DISCOUNT.to_owned(), sum, vat: *vat })
        .collect()
}

/// The goods in proportion to another sum: each line once, with the price of its share.
fn scaled(goods: &Goods, sum: Tiyn) -> Goods {
    if goods.sum() == sum {
        return goods.clone();
    }
    let mut lines: Vec<(String, u16, Vat, i64)> =
        goods.positions.iter().map(|one| (part_name(one), one.unit, one.vat, one.sum().0)).collect();
    for surcharge in goods.modifiers.iter().filter(|one| one.kind == ModifierKind::Surcharge) {
        lines.push((surcharge.text.clone(), UNIT_SERVICE, surcharge.vat, surcharge.sum.0));
    }
    let weights: Vec<i64> = lines.iter().map(|(_, _, _, weight)| *weight).collect();
    let parts = apportion(sum, &weights);
    let positions = lines
        .into_iter()
        .zip(parts)
        .filter(|(_, part)| *part > Tiyn::ZERO)
        .map(|((name, unit, vat, _), part)| single(&name, unit, part, vat))
        .collect();
    Goods { positions, modifiers: Vec::new() }
}

/// What a line is called where only a part of it is billed.
fn part_name(position: &Position) -> String {
    const PART: &str = ", бөлігі/часть";
    if position.name.ends_with(PART) {
        return position.name.clone();
    }
    let quantity = if position.quantity == Milli::ONE { String::new() } else { format!(" x {}", position.quantity) };
    let room = NAME_CHARS_MAX - PART.chars().count() - quantity.chars().count();
    let name: String = position.name.chars().take(room).collect();
    format!("{name}{quantity}{PART}")
}

/// Parts of a sum in proportion to weights, by the largest remainder; in whole tenge where the sum is.
fn apportion(sum: Tiyn, weights: &[i64]) -> Vec<Tiyn> {
    let whole: i128 = weights.iter().map(|weight| i128::from((*weight).max(0))).sum();
    if whole == 0 {
        return weights.iter().enumerate().map(|(at, _)| if at == 0 { sum } else { Tiyn::ZERO }).collect();
    }
    let grain = if sum.0 % 100 == 0 { 100 } else { 1 };
    let grains = i128::from(sum.0 / grain);
    let exact: Vec<i128> = weights.iter().map(|weight| grains * i128::from((*weight).max(0))).collect();
    let mut parts: Vec<i128> = exact.iter().map(|part| part / whole).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(exact[*at] % whole), *at));
    let missing = usize::try_from(grains - parts.iter().sum::<i128>()).unwrap_or(0);
    for at in order.into_iter().take(missing) {
        parts[at] += 1;
    }
    parts.into_iter().map(|part| Tiyn(i64::try_from(part).unwrap_or(0) * grain)).collect()
}

/// Puts goods and payments together. Cash becomes whole tenge, and the bill shows by how much (§3.6).
fn bill(side: Side, order_number: &str, goods: Goods, shares: &[Share], vat: Vat) -> Bill {
    let Goods { positions, mut modifiers } = goods;
    let sum = |kind: PayKind| -> Tiyn { shares.iter().filter(|share| share.kind == kind).map(|one| one.amount).sum() };
    let cash = sum(PayKind::Cash);
    let rounded = whole_tenge(cash);
    let rounding = rounded.0 - cash.0;
    if rounding != 0 {
        let kind = if rounding < 0 { ModifierKind::Discount } else { ModifierKind::Surcharge };
        modifiers.push(Modifier { kind, text: ROUNDING.to_owned(), sum: Tiyn(rounding.abs()), vat });
    }
    let handed: Tiyn = shares
        .iter()
        .filter(|share| share.kind == PayKind::Cash)
        .map(|share| share.tendered.unwrap_or(share.amount).max(share.amount))
        .sum();
    let handed = whole_tenge(handed).max(rounded);
    let payments: Vec<Payment> = PayKind::ALL
        .into_iter()
        .map(|kind| Payment { kind, sum: if kind == PayKind::Cash { handed } else { sum(kind) } })
        .filter(|payment| payment.sum > Tiyn::ZERO)
        .collect();
    let total = Tiyn(shares.iter().map(|share| share.amount.0).sum::<i64>() + rounding);
    Bill {
        side,
        order_number: order_number.to_owned(),
        positions,
        modifiers,
        payments,
        change: Tiyn(handed.0 - rounded.0),
        total,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(name: &str, quantity: i64, sum: i64) -> order::Line {
        order::Line {
            key: name.to_owned(),
            name: name.to_owned(),
            modifiers: Vec::new(),
            quantity: Milli(quantity),
            sum: Tiyn(sum),
            workshop: None,
            comment: String::new(),
            unit: None,
            vat: None,
        }
    }

    fn order(lines: Vec<order::Line>, due: i64) -> Snapshot {
        Snapshot {
            foreign_id: "1950".to_owned(),
            number: "1950".to_owned(),
            table: String::new(),
            waiter: String::new(),
            due: Tiyn(due),
            lines,
            comment: String::new(),
        }
    }

    fn paid(kind: PayKind, tiyn: i64) -> Share {
        Share { kind, amount: Tiyn(tiyn), tendered: None }
    }

    const WITH_VAT: Terms =
        Terms { vat: Vat(Some(16)), unit: 796, weight_unit: 166, service_charge: ServiceCharge::Position };

    #[test]
    fn the_sample_of_the_reference() {
        let order = order(vec![line("Лагман", 2000, 480_000), line("Шай", 1000, 90_000)], 627_000);
        let cash = Share { tendered: Some(Tiyn(250_000)), ..paid(PayKind::Cash, 227_000) };
        let bill = whole(&order, &WITH_VAT, &[paid(PayKind::Mobile, 400_000), cash]);
        bill.check().unwrap();
        assert_eq!((bill.total, bill.change), (Tiyn(627_000), Tiyn(23_000)));
        let taxes: Vec<i64> = bill.positions.iter().map(|one| one.tax().0).collect();
        assert_eq!(taxes, [66_207, 12_414, 7_862]);
        assert_eq!(bill.taxes(), [(16, Tiyn(86_483))]);
        assert_eq!((bill.positions[2].name.as_str(), bill.positions[2].unit), (SERVICE, UNIT_SERVICE));
    }

    #[test]
    fn tax_is_inside_the_price() {
        let vectors = [(50_000, 6_897), (100_000, 13_793), (250_000, 34_483), (1_160_000, 160_000), (627_000, 86_483)];
        assert!(vectors.iter().all(|(sum, tax)| Vat(Some(16)).within(Tiyn(*sum)) == Tiyn(*tax)));
        assert_eq!(Vat(None).within(Tiyn(50_000)), Tiyn::ZERO);
        assert_eq!(Vat(Some(12)).within(Tiyn(55_800)), Tiyn(5_979));
    }

    #[test]
    fn weighed_goods_have_a_price_that_comes_to_their_sum() {
        let bill = whole(
            &order(vec![line("Шашлык", 350, 100_000)], 100_000),
            &Terms::default(),
            &[paid(PayKind::Card, 100_000)],
        );
        bill.check().unwrap();
        let shashlik = &bill.positions[0];
        assert_eq!((shashlik.unit, shashlik.price, shashlik.discount), (UNIT_KILOGRAM, Tiyn(285_720), Tiyn(2)));
    }

    #[test]
    fn cash_is_whole_tenge_and_the_bill_says_so() {
        let order = order(vec![line("Шай", 1000, 10_050)], 10_050);
        let bill = whole(&order, &WITH_VAT, &[paid(PayKind::Cash, 10_050)]);
        bill.check().unwrap();
        assert_eq!((bill.total, bill.modifiers[0].sum), (Tiyn(10_100), Tiyn(50)));
        let exact = whole(&order, &WITH_VAT, &[paid(PayKind::Card, 10_050)]);
        assert_eq!((exact.total, exact.modifiers.len()), (Tiyn(10_050), 0));
    }

    #[test]
    fn an_order_that_grew_is_billed_by_its_new_lines() {
        let first = whole(&order(vec![line("Шай", 1000, 50_000)], 50_000), &WITH_VAT, &[paid(PayKind::Mobile, 50_000)]);
        let grown = order(vec![line("Шай", 2000, 100_000), line("Нан", 1000, 20_000)], 120_000);
        let bill = growth(&grown, &WITH_VAT, &first.positions, &[paid(PayKind::Mobile, 70_000)]).unwrap();
        bill.check().unwrap();
        let names: Vec<(&str, i64)> = bill.positions.iter().map(|one| (one.name.as_str(), one.quantity.0)).collect();
        assert_eq!(names, [("Шай", 1000), ("Нан", 1000)]);
        assert_eq!(growth(&grown, &WITH_VAT, &first.positions, &[paid(PayKind::Mobile, 60_000)]), None);
    }

    fn lines() -> impl Strategy<Value = Vec<order::Line>> {
        let vat = prop_oneof![Just(None), Just(Some(0_u8)), Just(Some(5)), Just(Some(16))];
        let quantity = prop_oneof![(1_i64..20).prop_map(|pieces| pieces * 1000), 1_i64..5_000];
        let one = ("[а-яә ]{1,12}", quantity, 0_i64..2_000_000, vat)
            .prop_map(|(name, quantity, sum, vat)| order::Line { vat, ..line(&name, quantity, sum) });
        prop::collection::vec(one, 0..12)
    }

    fn terms() -> impl Strategy<Value = Terms> {
        (prop_oneof![Just(None), Just(Some(5_u8)), Just(Some(16))], any::<bool>()).prop_map(|(vat, as_line)| Terms {
            vat: Vat(vat),
            service_charge: if as_line { ServiceCharge::Position } else { ServiceCharge::Surcharge },
            ..Terms::default()
        })
    }

    /// The due as it is paid: parts by several ways that come to it, cash perhaps with more than its sum.
    fn split(due: i64, cuts: &[(u8, u16, u16)]) -> Vec<Share> {
        let mut left = due;
        let mut shares = Vec::new();
        for (at, (kind, part, more)) in cuts.iter().enumerate() {
            let amount = if at + 1 == cuts.len() { left } else { left * i64::from(*part) / 65_536 };
            let kind = PayKind::ALL[usize::from(*kind) % 3];
            let tendered = (kind == PayKind::Cash).then_some(Tiyn(amount + i64::from(*more)));
            shares.push(Share { kind, amount: Tiyn(amount), tendered });
            left -= amount;
        }
        shares.retain(|share| share.amount > Tiyn::ZERO);
        shares
    }

    /// All that must hold of any bill: its sums agree, and each tax is that of its line.
    fn holds(bill: &Bill, shares: &[Share]) -> Result<(), TestCaseError> {
        prop_assert_eq!(bill.check(), Ok(()));
        let asked: i64 = shares.iter().map(|share| share.amount.0).sum();
        prop_assert!((bill.total.0 - asked).abs() <= 50, "{} for {asked}", bill.total);
        let is_cash = shares.iter().any(|share| share.kind == PayKind::Cash);
        prop_assert!(is_cash || bill.total.0 == asked);
        prop_assert_eq!(bill.paid(PayKind::Cash).0 % 100, 0);
        let by_hand: i64 = bill.taxes().iter().map(|(_, tax)| tax.0).sum();
        let again: i64 = bill.positions.iter().map(|one| one.tax().0).sum::<i64>()
            + bill.modifiers.iter().map(|one| one.tax().0).sum::<i64>();
        prop_assert_eq!(by_hand, again);
        for position in &bill.positions {
            let (quantity, price) = (i128::from(position.quantity.0), i128::from(position.price.0));
            prop_assert_eq!(quantity * price % 1000, 0, "{:?} has a fraction of a tiyn", position);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn f25_sums_and_taxes_of_any_bill_agree_to_the_tiyn(
            lines in lines(), due in 100_i64..30_000_000, terms in terms(),
            cuts in prop::collection::vec((any::<u8>(), any::<u16>(), any::<u16>()), 1..5),
            part in 1_i64..100,
        ) {
            let order = order(lines, due);
            let shares = split(due, &cuts);
            let bill = whole(&order, &terms, &shares);
            holds(&bill, &shares)?;
            let some = split((due * part / 100).max(100), &cuts);
            holds(&share(&order, &terms, &some), &some)?;
        }

        #[test]
        fn f25_what_goes_back_in_pieces_comes_to_the_whole_receipt(
            lines in lines(), due in 1_000_i64..30_000_000, terms in terms(),
            cuts in prop::collection::vec((any::<u8>(), any::<u16>(), any::<u16>()), 1..4),
            pieces in prop::collection::vec(1_u16..60_000, 0..6),
        ) {
            let order = order(lines, due);
            let mut left = split(due, &cuts);
            let original = whole(&order, &terms, &left);
            let mut returned: Vec<Bill> = Vec::new();
            for (at, piece) in pieces.iter().enumerate() {
                let count = left.len();
                let share = &mut left[at % count];
                let amount = share.amount.0 * i64::from(*piece) / 65_536;
                share.amount = Tiyn(share.amount.0 - amount);
                let back = [Share { amount: Tiyn(amount), tendered: None, ..*share }];
                if let Some(bill) = give_back(&original, &returned, &back, false) {
                    prop_assert_eq!(bill.check(), Ok(()));
                    returned.push(bill);
                }
            }
            if let Some(bill) = give_back(&original, &returned, &left, true) {
                prop_assert_eq!(bill.check(), Ok(()));
                returned.push(bill);
            }
            let total: i64 = returned.iter().map(|bill| bill.total.0).sum();
            prop_assert_eq!(total, original.total.0);
            for kind in PayKind::ALL {
                let back: i64 = returned.iter().map(|bill| bill.paid(kind).0).sum();
                prop_assert_eq!(back, original.paid(kind).0);
            }
        }
    }
}
