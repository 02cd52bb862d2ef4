//! What guests get: the receipt, the slip of one payment, and what goes with money given back. None of them is fiscal, and each says so.

use super::Style;
use super::sheet::{Sheet, Words};
use crate::domain::money::Tiyn;
use crate::domain::order::{self, Milli};
use crate::domain::paper::{PaymentLine, Receipt, RefundSlip, Slip};

const UNFISCAL_RECEIPT: Words<'static> = ("ФИСКАЛДЫ ЕМЕС ЧЕК", "НЕФИСКАЛЬНЫЙ ЧЕК");
pub(super) const UNFISCAL: Words<'static> = ("ФИСКАЛДЫ ЕМЕС ҚҰЖАТ", "НЕФИСКАЛЬНЫЙ ДОКУМЕНТ");
const ORDER: Words<'static> = ("Тапсырыс", "Заказ");
const TABLE: Words<'static> = ("Үстел", "Стол");
const WAITER: Words<'static> = ("Даяшы", "Официант");
pub(super) const TOTAL: Words<'static> = ("БАРЛЫҒЫ", "ИТОГО");
pub(super) const PAYMENT: Words<'static> = ("Төлем", "Оплата");
pub(super) const REFUND: Words<'static> = ("Қайтару", "Возврат");

impl Sheet<'_> {
    pub fn receipt(&mut self, receipt: &Receipt) {
        self.centre(&receipt.shop, Style::BIG);
        self.both(UNFISCAL_RECEIPT, Style::BOLD);
        self.issuer(&receipt.issuer);
        self.rule('-');
        self.order(&receipt.order_number, &receipt.table);
        self.served(&receipt.paid_at, &receipt.waiter);
        self.rule('-');
        for line in &receipt.lines {
            self.dish(line);
        }
        self.rule('=');
        self.total(TOTAL, receipt.total);
        self.rule('-');
        for payment in &receipt.payments {
            self.payment(payment);
        }
        self.gap();
        self.centre("Рақмет! Спасибо!", Style::PLAIN);
        if let Some(block) = &receipt.qr {
            self.qr(block, self.profile.qr);
        }
        self.fact(PAYMENT, &receipt.reference);
    }

    pub fn refund(&mut self, slip: &RefundSlip) {
        self.centre(&slip.shop, Style::BIG);
        self.both(("ҚАЙТАРУ", "ВОЗВРАТ"), Style::BIG);
        self.both(UNFISCAL, Style::BOLD);
        self.rule('-');
        self.order(&slip.order_number, &slip.table);
        self.two(&slip.at, "", Style::PLAIN);
        self.rule('=');
        self.total(("Қайтарылды", "Возвращено"), slip.amount);
        self.rule('-');
        self.sum(&slip.label, slip.amount);
        self.transaction(&slip.transaction);
        self.fact(("Рәсімдеген", "Оформил"), &slip.by);
        self.fact(("Себебі", "Причина"), &slip.because);
        self.gap();
        self.fact(PAYMENT, &slip.payment);
        self.fact(REFUND, &slip.reference);
    }

    pub fn slip(&mut self, slip: &Slip) {
        self.centre(&slip.shop, Style::BIG);
        self.both(("ТӨЛЕМ", "ОПЛАТА"), Style::BIG);
        self.both(UNFISCAL, Style::BOLD);
        self.rule('-');
        self.order(&slip.order_number, "");
        self.two(&slip.at, "", Style::PLAIN);
        self.rule('=');
        self.total(("Төленді", "Оплачено"), slip.payment.amount);
        self.rule('-');
        self.payment(&slip.payment);
        if !slip.text.is_empty() {
            self.rule('-');
        }
        for line in &slip.text {
            self.verbatim(line);
        }
        self.gap();
        self.fact(PAYMENT, &slip.reference);
    }

    /// Who issues the fiscal receipt where we do not.
    fn issuer(&mut self, issuer: &str) {
        if !issuer.is_empty() {
            self.centre(&format!("Фискалдық чекті {issuer} береді"), Style::PLAIN);
            self.centre(&format!("Фискальный чек выдаёт {issuer}"), Style::PLAIN);
        }
    }

    /// The order and its table, on one line where they fit.
    pub(super) fn order(&mut self, number: &str, table: &str) {
        let number = format!("№ {number}");
        let place = place(table);
        if self.two_on_one(&format!("{} {number}", super::sheet::label(ORDER)), &place, Style::BOLD) {
            return;
        }
        self.named(ORDER, &number, Style::BOLD);
        if is_number(table) {
            self.named(TABLE, table, Style::BOLD);
        } else {
            self.two(&place, "", Style::BOLD);
        }
    }

    /// The time, and who served, on one line where they fit.
    fn served(&mut self, at: &str, waiter: &str) {
        if waiter.is_empty() {
            self.two(at, "", Style::PLAIN);
        } else if !self.two_on_one(at, &format!("{} {waiter}", super::sheet::label(WAITER)), Style::PLAIN) {
            self.two(at, "", Style::PLAIN);
            self.named(WAITER, waiter, Style::PLAIN);
        }
    }

    pub(super) fn dish(&mut self, line: &order::Line) {
        if line.quantity == Milli::ONE {
            self.sum(&line.name, line.sum);
        } else {
            self.indented("", &line.name, Style::PLAIN);
            self.sum(&format!("  {}", amount(line.quantity, line.sum)), line.sum);
        }
        for modifier in &line.modifiers {
            self.indented("  + ", modifier, Style::PLAIN);
        }
    }

    pub(super) fn payment(&mut self, payment: &PaymentLine) {
        self.sum(&payment.label, payment.amount);
        self.transaction(&payment.transaction);
        if let Some(tendered) = payment.tendered.filter(|tendered| *tendered > payment.amount) {
            self.sum("  Алынды / Получено", tendered);
            self.sum("  Қайтарым / Сдача", Tiyn(tendered.0.saturating_sub(payment.amount.0)));
        }
    }

    /// The partner's number of a payment; the word is the same in both languages.
    pub(super) fn transaction(&mut self, number: &str) {
        if !number.is_empty() {
            self.indented("  ", &format!("транзакция {number}"), Style::PLAIN);
        }
    }

    /// A line of the partner as it is; one that is too long for this paper is wrapped.
    fn verbatim(&mut self, line: &str) {
        let folded = self.profile.fold(line.trim_end());
        if self.fits(&folded, Style::PLAIN) {
            self.push(folded, Style::PLAIN, super::Align::Left);
        } else {
            self.indented("", line, Style::PLAIN);
        }
    }
}

fn is_number(table: &str) -> bool {
    table.starts_with(|sign: char| sign.is_ascii_digit())
}

/// The table as people say it; the POS may name a place that is no table.
fn place(table: &str) -> String {
    if is_number(table) { format!("{} {table}", super::sheet::label(TABLE)) } else { table.to_owned() }
}

/// Quantity with the price of one, where that is a whole number of tiyn.
fn amount(quantity: Milli, sum: Tiyn) -> String {
    let whole = sum.0.checked_mul(1000).filter(|milli| quantity.0 > 0 && milli % quantity.0 == 0);
    match whole {
        Some(milli) => format!("{quantity} x {}", Tiyn(milli / quantity.0)),
        None => format!("{quantity} x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_of_one_is_shown_only_when_exact() {
        assert_eq!(amount(Milli(2000), Tiyn(320_000)), "2 x 1 600");
        assert_eq!(amount(Milli(350), Tiyn(100_000)), "0,35 x");
        assert_eq!(amount(Milli(-1000), Tiyn(100)), "-1 x");
    }
}
