//! The laws about fiscal receipts (F21, F25, F26): what the register and AiPay have on record against what guests paid and got back, the
//! papers at the counter against the register, and what the POS and the drawer know of it.

use super::super::lunch::Sold;
use super::super::lunch::register::FLOAT_TENGE;
use super::{Books, Leaf, Matter};
use crate::domain::fiscal::{PayKind, Side, Vat};
use crate::domain::money::Tiyn;
use crate::ledger::fiscal::FiscalRow;
use crate::sandbox::webkassa::SandboxReceipt;
use std::collections::{BTreeMap, BTreeSet};

/// The rate in the configuration of the sandbox restaurant.
const RATE: Vat = Vat(Some(16));

/// What a line is called where only a part of it is billed.
const PART: &str = ", бөлігі/часть";

/// What the only line is called where the dishes are not known.
const ORDER: &str = "Тапсырыс/Заказ ";

/// How long a guest stays after the notice: a later receipt is printed only when somebody asks for it.
const GUEST_STAYS_MS: i64 = 15 * 60_000;

impl Books<'_> {
    /// The register's receipts of one kind.
    pub(super) fn of_side(&self, side: Side) -> impl Iterator<Item = &SandboxReceipt> {
        self.receipts.iter().filter(move |receipt| receipt.side == side)
    }

    fn of_order<'b>(&'b self, order: &'b Sold, side: Side) -> impl Iterator<Item = &'b SandboxReceipt> {
        self.of_side(side).filter(|receipt| receipt.order_number == order.number)
    }

    fn row_of(&self, receipt: &SandboxReceipt) -> Option<&FiscalRow> {
        self.documents.iter().find(|row| row.sign.as_deref() == Some(receipt.sign.as_str()))
    }

    /// What was paid and stayed is on record once, in the way it was paid, by the one who has to register it.
    pub(super) fn receipted_once(&self) -> Vec<String> {
        let mut due: BTreeMap<&str, BTreeMap<Option<PayKind>, i64>> = BTreeMap::new();
        let movements = self.movements();
        for (id, kind, tenge) in &movements {
            *due.entry(id).or_default().entry(*kind).or_default() += tenge;
        }
        let mut issued = self.issued_by_cloud();
        let mut flaws = Vec::new();
        for order in self.sold {
            let mut due = due.remove(order.foreign_id.as_str()).unwrap_or_default();
            *due.entry(Some(PayKind::Cash)).or_default() += order.cash_tenge - order.cash_returned_tenge;
            let number = &order.number;
            for kind in PayKind::ALL {
                let (wanted, found) = (due.remove(&Some(kind)).unwrap_or(0), self.registered(order, kind));
                if Tiyn::from_tenge(wanted) != Some(found) {
                    flaws.push(format!("order {number}: {found} of {kind:?} are registered, {wanted} stayed"));
                }
            }
            let (wanted, found) = (due.remove(&None).unwrap_or(0), issued.remove(&order.foreign_id).unwrap_or(0));
            if wanted != found {
                flaws.push(format!("order {number}: AiPay issued receipts of {found}, {wanted} were paid there"));
            }
            let returns = self.of_order(order, Side::Return).count();
            let sales = self.of_order(order, Side::Sale).count();
            let (is_ours, refunds) = (!order.is_through_cloud() || order.cash_tenge > 0, order.slips as usize);
            if order.paid && (sales, returns) != (usize::from(is_ours), refunds) {
                flaws.push(format!("order {number}: {sales} receipts and {returns} returns of {refunds}"));
            }
        }
        let numbers: BTreeSet<&str> = self.sold.iter().map(|order| order.number.as_str()).collect();
        let strange = self.receipts.iter().filter(|receipt| !numbers.contains(receipt.order_number.as_str()));
        flaws.extend(strange.map(|receipt| format!("a receipt {} of no order", receipt.sign)));
        flaws.extend(
            issued.into_iter().map(|(id, tenge)| format!("AiPay issued a receipt of {tenge} for no order '{id}'")),
        );
        flaws
    }

    /// What AiPay issued, by foreign id of the order.
    fn issued_by_cloud(&self) -> BTreeMap<String, i64> {
        let mut issued: BTreeMap<String, i64> = BTreeMap::new();
        for receipt in self.shop.world.aipay().receipts() {
            let row = self.attempts.iter().find(|row| row.reference.as_str() == receipt.external_id);
            let id = row.and_then(|row| self.orders.get(&row.order.0)).cloned().unwrap_or_default();
            *issued.entry(id).or_default() += receipt.amount;
        }
        issued
    }

    /// What the register has of an order in one way: sales less returns, less change.
    fn registered(&self, order: &Sold, kind: PayKind) -> Tiyn {
        let paid = |receipt: &SandboxReceipt| {
            let sum: i64 = receipt.payments.iter().filter(|one| one.kind == kind).map(|one| one.sum.0).sum();
            if kind == PayKind::Cash { sum - receipt.change.0 } else { sum }
        };
        let sold: i64 = self.of_order(order, Side::Sale).map(paid).sum();
        let back: i64 = self.of_order(order, Side::Return).map(paid).sum();
        Tiyn(sold - back)
    }

    /// No key twice; lines, payments and tax come to the total; the dishes are the order's; a return names a sale of the same order; our
    /// books have each of them, with the same sums.
    pub(super) fn receipts_right(&self) -> Vec<String> {
        let mut keys = BTreeSet::new();
        let orders = self.shop.world.poster().orders();
        let mut flaws = Vec::new();
        for receipt in &self.receipts {
            let mut wrong = |what: &str| flaws.push(format!("receipt {}: {what}", receipt.sign));
            if receipt.key.is_empty() || !keys.insert(&receipt.key) {
                wrong("its key is another one's too");
            }
            let lines: i64 = receipt.lines.iter().map(|(_, sum)| sum.0).sum();
            if lines + receipt.added.0 != receipt.total.0 {
                wrong("its lines do not come to its total");
            }
            let paid: i64 = receipt.payments.iter().map(|one| one.sum.0).sum();
            if paid - receipt.change.0 != receipt.total.0 {
                wrong("its payments do not come to its total");
            }
            // Each line is rounded to the tiyn.
            let slack = i64::try_from(receipt.lines.len()).unwrap_or(i64::MAX);
            if (RATE.within(receipt.total).0 - receipt.vat.0).abs() > slack {
                wrong("its tax is not the tax of its total");
            }
            let order = orders.iter().find(|order| order.number == receipt.order_number);
            if order.is_some_and(|order| !is_of_dishes(receipt, &order.lines)) {
                wrong("its dishes are not the order's");
            }
            let is_of_order = |sale: &SandboxReceipt| {
                receipt.basis.as_ref() == Some(&sale.sign) && sale.order_number == receipt.order_number
            };
            if (receipt.side == Side::Return) != self.of_side(Side::Sale).any(is_of_order) {
                wrong("it returns no receipt of its order");
            }
            match self.row_of(receipt) {
                Some(row) if row.total == receipt.total && row.key.as_ref() == Some(&receipt.key) => {}
                Some(_) => wrong("our books say something else of it"),
                None => wrong("our books do not have it"),
            }
        }
        let signs: BTreeSet<&str> = self.receipts.iter().map(|receipt| receipt.sign.as_str()).collect();
        let made_up = self.documents.iter().filter_map(|row| row.sign.as_deref()).filter(|sign| !signs.contains(sign));
        flaws.extend(made_up.map(|sign| format!("our books have a sign {sign} that the register does not know")));
        flaws
    }

    /// A paper of a paid order is the register's, its notice, or our own that says who issues the receipt; each kind comes once unmarked.
    pub(super) fn guests_have_paper(&self) -> Vec<String> {
        let printer = self.shop.printer("receipt");
        let mut flaws: Vec<String> = printer.map(|printer| printer.faults()).unwrap_or_default();
        let of_kind = |is_it: fn(&Matter) -> bool| {
            self.leaves.iter().filter(|leaf| is_it(&leaf.matter)).cloned().collect::<Vec<Leaf>>()
        };
        // Where cash was paid too, the register's paper is the guest's; our own may come beside it.
        let is_both = |order: &&Sold| order.paid && order.is_through_cloud() && order.cash_tenge > 0;
        let both: BTreeSet<&str> = self.sold.iter().filter(is_both).map(|order| order.number.as_str()).collect();
        let mut plain = of_kind(|matter| *matter == Matter::Plain);
        plain.retain(|leaf| !leaf.number.as_deref().is_some_and(|number| both.contains(number)));
        let ours = self.sold.iter().filter(|order| order.paid && order.is_through_cloud() && order.cash_tenge == 0);
        flaws.extend(super::one_each(&plain, ours, "our own"));
        let registers = of_kind(|matter| matches!(matter, Matter::Fiscal(Side::Sale, _) | Matter::Notice(Side::Sale)));
        let fiscal = |order: &&Sold| order.paid && (!order.is_through_cloud() || order.cash_tenge > 0);
        for order in self.sold.iter().filter(fiscal) {
            if !registers.iter().any(|leaf| leaf.number.as_ref() == Some(&order.number)) {
                flaws.push(format!("no paper of the register for order {}", order.number));
            }
        }
        let bare = |leaf: &&Leaf| leaf.matter != Matter::House && leaf.number.is_none();
        flaws
            .extend(self.leaves.iter().filter(bare).map(|leaf| format!("a paper without a number: {:?}", leaf.matter)));
        for leaf in &registers {
            if !self.sold.iter().any(|order| order.paid && Some(&order.number) == leaf.number.as_ref()) {
                flaws.push(format!("a paper of the register for order {:?}, which is not paid", leaf.number));
            }
        }
        flaws
    }

    /// Every receipt of the register came out once unmarked, with its sign, its order and its mark of autonomy; or the guest had the notice
    /// and was gone. No paper has a sign of its own.
    pub(super) fn signs_on_paper(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        for receipt in &self.receipts {
            let is_it = |leaf: &&Leaf| leaf.matter == Matter::Fiscal(receipt.side, receipt.sign.clone());
            let papers: Vec<&Leaf> = self.leaves.iter().filter(is_it).collect();
            let mut wrong = |what: &str| flaws.push(format!("receipt {}: {what}", receipt.sign));
            if papers.iter().filter(|leaf| !leaf.is_repeat).count() > 1 {
                wrong("it came out twice unmarked");
            }
            if papers.iter().any(|leaf| leaf.number.as_ref() != Some(&receipt.order_number)) {
                wrong("its paper is of another order");
            }
            if papers.iter().any(|leaf| leaf.is_autonomous != receipt.is_autonomous) {
                wrong("its paper does not tell how it was made");
            }
            let row = self.row_of(receipt);
            let noticed = row.and_then(|row| Some(row.changed.0 - row.noticed?.0));
            let is_overtaken = row.is_some_and(|row| self.overtaken.contains(&row.id.0));
            let is_noticed = self.leaves.iter().any(|leaf| {
                leaf.matter == Matter::Notice(receipt.side) && leaf.number.as_ref() == Some(&receipt.order_number)
            });
            match (papers.is_empty(), noticed) {
                (true, Some(late_ms)) if late_ms > GUEST_STAYS_MS && is_noticed => {}
                (true, _) => wrong("the guest got neither it nor, in its place, a notice"),
                // The receipt itself came before the notice could.
                (false, Some(_)) if !is_noticed && !is_overtaken => wrong("its notice never came out"),
                (false, _) => {}
            }
        }
        let signs: BTreeSet<&str> = self.receipts.iter().map(|receipt| receipt.sign.as_str()).collect();
        for leaf in &self.leaves {
            match &leaf.matter {
                Matter::Fiscal(_, sign) if !signs.contains(sign.as_str()) => {
                    flaws.push(format!("a paper with the sign {sign}, which no register gave"));
                }
                Matter::Fiscal(..) | Matter::Plain | Matter::Slip | Matter::Notice(_) | Matter::House => {}
            }
        }
        flaws
    }

    /// Every refund that went has a slip, or the register's return, or its notice; each kind comes at most once unmarked.
    pub(super) fn refunds_have_paper(&self) -> Vec<String> {
        let kinds: [fn(&Matter) -> bool; 3] = [
            |matter| *matter == Matter::Slip,
            |matter| matches!(matter, Matter::Fiscal(Side::Return, _)),
            |matter| *matter == Matter::Notice(Side::Return),
        ];
        let mut flaws = Vec::new();
        for order in self.sold {
            let of = |is_it: &fn(&Matter) -> bool| {
                let all = self.leaves.iter().filter(|leaf| leaf.number.as_ref() == Some(&order.number));
                let all: Vec<&Leaf> = all.filter(|leaf| is_it(&leaf.matter)).collect();
                (all.len(), all.iter().filter(|leaf| !leaf.is_repeat).count())
            };
            let counts: Vec<(usize, usize)> = kinds.iter().map(of).collect();
            let refunds = order.slips as usize;
            let came: usize = counts.iter().map(|(all, _)| *all).sum();
            if came < refunds || counts.iter().any(|(_, bare)| *bare > refunds) || (refunds == 0 && came > 0) {
                flaws.push(format!("order {}: papers {counts:?} of {refunds} refunds", order.number));
            }
        }
        flaws
    }

    /// Each closed order that the register has is marked in the POS, and no other one; the POS's own register printed nothing.
    pub(super) fn pos_knows(&self) -> Vec<String> {
        let orders = self.shop.world.poster().orders();
        let mut flaws = Vec::new();
        for order in self.sold {
            let Some(seen) = orders.iter().find(|seen| seen.id.to_string() == order.foreign_id) else { continue };
            let has = |side| self.of_order(order, side).next().is_some();
            // The POS knows nothing of parts: it hears of a return when all of a receipt went back.
            let is_back = self.of_order(order, Side::Return).any(|back| {
                let of = |sale: &&SandboxReceipt| back.basis.as_ref() == Some(&sale.sign) && sale.total == back.total;
                self.of_order(order, Side::Sale).any(|sale| of(&sale))
            });
            let wanted = match (has(Side::Sale), is_back) {
                (_, true) => 2,
                (true, false) => 1,
                (false, false) => 0,
            };
            if seen.print_fiscal != wanted || seen.fiscal_prints != 0 {
                let (mark, prints) = (seen.print_fiscal, seen.fiscal_prints);
                flaws.push(format!("order {}: marked {mark}, {wanted} is right; printed there {prints}", order.number));
            }
        }
        flaws
    }

    /// The drawer is down to its change once the notes that guests left are out of it, and every shift is closed.
    pub(super) fn drawer(&self) -> Vec<String> {
        let webkassa = self.shop.world.webkassa();
        let mut flaws = Vec::new();
        if Tiyn::from_tenge(FLOAT_TENGE) != Some(webkassa.drawer()) {
            flaws.push(format!("{} are in the drawer, {FLOAT_TENGE} of change should be", webkassa.drawer()));
        }
        let open = webkassa.shifts().iter().filter(|shift| shift.closed.is_none()).count();
        if open > 0 || self.shifts_closed() == 0 {
            flaws.push(format!("{open} shifts are open, {} closed", self.shifts_closed()));
        }
        let house = self.leaves.iter().filter(|leaf| leaf.matter == Matter::House && !leaf.is_repeat).count();
        let due = webkassa.moves().len() + self.shifts_closed();
        if house > due || !self.leaves.iter().any(|leaf| leaf.matter == Matter::House) {
            flaws.push(format!("{house} papers of reports and cash moves, {due} are due"));
        }
        flaws
    }

    /// Shifts that ended with their report.
    pub(super) fn shifts_closed(&self) -> usize {
        self.shop.world.webkassa().shifts().iter().filter(|shift| shift.closed.is_some()).count()
    }
}

/// Whether each dish of an order stands on its receipt once, as itself or as a part. A receipt that could not wait for the POS names the
/// order.
fn is_of_dishes(receipt: &SandboxReceipt, dishes: &[(String, u32)]) -> bool {
    let is_dish = |name: &str, dish: &str| {
        let rest = name.strip_prefix(dish);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(PART))
    };
    let stands_once = |dish: &str| receipt.lines.iter().filter(|(name, _)| is_dish(name, dish)).count() == 1;
    let names_order = |name: &str| name.strip_prefix(ORDER).is_some_and(|rest| rest.starts_with(&receipt.order_number));
    if let [(name, _)] = receipt.lines.as_slice()
        && names_order(name)
    {
        return true;
    }
    receipt.lines.len() == dishes.len() && dishes.iter().all(|(dish, _)| stands_once(dish))
}
