//! The register's own X and Z reports and the slips of cash moves (fiscal-kz §1.7, §4.6). No service lays them out, so we do. Sales and
//! their returns stand in full, other blocks of nothing take one line.

use super::super::Style;
use super::super::sheet::{Sheet, Words};
use super::{BECAUSE, BY, DRAWER, SHIFT, form};
use crate::domain::fiscal::{Ever, Turnover};
use crate::domain::money::Tiyn;
use crate::domain::paper::{CashSlip, ReportKind, ShiftPaper};

const SALES: Words<'static> = ("Сату", "Продажи");
const SALE_RETURNS: Words<'static> = ("Сатуды қайтару", "Возвраты продаж");
const PURCHASES: Words<'static> = ("Сатып алу", "Покупки");
const PURCHASE_RETURNS: Words<'static> = ("Сатып алуды қайтару", "Возвраты покупок");

/// What a report is called, and what it does to the counters of the shift.
const fn words(kind: ReportKind) -> (Words<'static>, Words<'static>) {
    match kind {
        ReportKind::X => (("X-ЕСЕП", "X-ОТЧЁТ"), ("ӨШІРУСІЗ ЕСЕП", "ОТЧЁТ БЕЗ ГАШЕНИЯ")),
        ReportKind::Z => (("Z-ЕСЕП", "Z-ОТЧЁТ"), ("ӨШІРУМЕН ЕСЕП", "ОТЧЁТ С ГАШЕНИЕМ")),
    }
}

impl Sheet<'_> {
    pub fn shift(&mut self, paper: &ShiftPaper) {
        let report = &paper.report;
        let (title, effect) = words(report.kind);
        self.test_head(paper.is_test);
        self.centre(&paper.shop, Style::BIG);
        self.both(title, Style::BIG);
        self.both(effect, Style::BOLD);
        self.register(&report.register);
        self.rule('-');
        self.named(SHIFT, &report.shift.to_string(), Style::BOLD);
        if report.number > 0 {
            self.known(("Есеп нөмірі", "Номер отчёта"), &report.number.to_string());
        }
        self.known(("Басталуы", "Начало"), &report.opened);
        self.known(("Есеп уақыты", "Время отчёта"), &report.made);
        self.known(("Жабылуы", "Закрыта"), &report.closed);
        self.known(("Құжаттар", "Документов"), &report.documents.to_string());
        self.ever(("Басындағы нөлденбейтін сомалар", "Необнуляемые суммы на начало"), &report.at_start);
        self.turnover(SALES, &report.sales, true);
        self.turnover(SALE_RETURNS, &report.sale_returns, true);
        if is_none(&report.purchases) {
            self.rule('-');
        }
        self.turnover(PURCHASES, &report.purchases, false);
        self.turnover(PURCHASE_RETURNS, &report.purchase_returns, false);
        self.rule('-');
        self.row(("Ақша енгізу", "Внесения"), report.put_in);
        self.row(("Ақша алу", "Изъятия"), report.taken_out);
        self.named(DRAWER, &form::money(report.in_drawer), Style::BOLD);
        // How purchases would count here is not told anywhere: without any there is one answer.
        if is_none(&report.purchases) && is_none(&report.purchase_returns) {
            let revenue = Tiyn(net(&report.sales).0.saturating_sub(net(&report.sale_returns).0));
            self.named(("Түсім", "Выручка"), &form::money(revenue), Style::BOLD);
        }
        self.ever(("Соңындағы нөлденбейтін сомалар", "Необнуляемые суммы на конец"), &report.at_end);
        self.rule('-');
        let operators = [&report.register.operator_kz, &report.register.operator];
        for (mark, operator) in ["ФДО: ", "ОФД: "].into_iter().zip(operators).filter(|(_, name)| !name.is_empty())
        {
            self.indented("", &format!("{mark}{operator}"), Style::PLAIN);
        }
        self.known(("Кассир", "Кассир"), &report.register.cashier);
        self.known(("Бақылау сомасы", "Контрольная сумма"), &report.control);
        self.autonomous(report.is_autonomous);
        self.test_bar(paper.is_test);
    }

    /// Totals that are never set back; only those of a restaurant where the others are nothing.
    fn ever(&mut self, title: Words, ever: &Ever) {
        self.rule('-');
        self.both(title, Style::BOLD);
        self.row(SALES, ever.sales);
        self.row(SALE_RETURNS, ever.sale_returns);
        for (words, sum) in [(PURCHASES, ever.purchases), (PURCHASE_RETURNS, ever.purchase_returns)] {
            if sum != Tiyn::ZERO {
                self.row(words, sum);
            }
        }
    }

    /// The documents of one kind: how many and how much in large type, then by ways of payment.
    fn turnover(&mut self, title: Words, turnover: &Turnover, is_full: bool) {
        if is_none(turnover) && !is_full {
            self.row(title, Tiyn::ZERO);
            return;
        }
        self.rule('-');
        self.both(title, Style::BOLD);
        self.two(&format!("Чектер / Чеков: {}", turnover.count), &form::money(net(turnover)), Style::TALL);
        for payment in &turnover.payments {
            self.row(form::pay_words(payment.kind), payment.sum);
        }
        let rest = [
            (("Қайтарым", "Сдача"), turnover.change),
            (("Жеңілдік", "Скидки"), turnover.discount),
            (("Үстеме", "Наценки"), turnover.markup),
            (("ҚҚС", "НДС"), turnover.vat),
        ];
        for (words, sum) in rest.into_iter().filter(|(_, sum)| *sum != Tiyn::ZERO) {
            self.row(words, sum);
        }
        if turnover.count_ever > 0 {
            self.known(("Барлық құжат", "Всего документов"), &turnover.count_ever.to_string());
        }
    }

    fn row(&mut self, words: Words, sum: Tiyn) {
        self.named(words, &form::money(sum), Style::PLAIN);
    }

    pub fn cash(&mut self, slip: &CashSlip) {
        let title = if slip.is_in {
            ("НАҚТЫ АҚШАНЫ ЕНГІЗУ", "ВНЕСЕНИЕ ДЕНЕГ В КАССУ")
        } else {
            ("НАҚТЫ АҚШАНЫ АЛУ", "ИЗЪЯТИЕ ДЕНЕГ ИЗ КАССЫ")
        };
        self.test_head(slip.is_test);
        self.centre(&slip.shop, Style::BIG);
        self.both(title, Style::TALL);
        if let Some(moved) = &slip.moved {
            self.register(&moved.register);
            self.named(SHIFT, &moved.shift.to_string(), Style::PLAIN);
        }
        let at = slip.moved.as_ref().map(|moved| moved.at.as_str()).filter(|at| !at.is_empty());
        self.known(("Уақыты", "Время"), at.unwrap_or(&slip.at));
        self.rule('=');
        self.total(("Сомасы", "Сумма"), slip.amount);
        self.rule('-');
        if let Some(left) = slip.moved.as_ref().and_then(|moved| moved.in_drawer) {
            self.named(DRAWER, &form::money(left), Style::BOLD);
        }
        for (words, text) in [(BY, &slip.by), (BECAUSE, &slip.because)] {
            if !text.is_empty() {
                self.fact(words, text);
            }
        }
        self.autonomous(slip.moved.as_ref().is_some_and(|moved| moved.is_autonomous));
        self.test_bar(slip.is_test);
    }
}

/// What stays of it when the change is given back.
fn net(turnover: &Turnover) -> Tiyn {
    Tiyn(turnover.taken.0.saturating_sub(turnover.change.0))
}

/// Whether there was nothing of the kind.
fn is_none(turnover: &Turnover) -> bool {
    let is_unpaid = turnover.payments.iter().all(|payment| payment.sum == Tiyn::ZERO);
    turnover.count == 0 && turnover.taken == Tiyn::ZERO && is_unpaid
}
