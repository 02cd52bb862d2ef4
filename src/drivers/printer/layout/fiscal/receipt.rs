//! The receipt with its fiscal sign: the register's own lines (§1.8) or, where it told none, the same form built here; below a rule what
//! the shop adds: the order, the receipt that a return gives back, and what proves the payment.

use super::super::Style;
use super::super::guest::{PAYMENT, REFUND};
use super::super::sheet::Sheet;
use super::reflow::Reading;
use super::{AUTONOMOUS, REGISTRATION, RETURN, form};
use crate::domain::fiscal::{Basis, PrintKind, PrintLine, Side};
use crate::domain::paper::FiscalReceipt;

/// Width of the form that is built here: wider than its lines, so that none is broken before it is set for the paper.
const FORM_COLUMNS: usize = 240;
/// What a receipt calls itself (§4.1), as it is searched for.
const FISCAL: &str = "ФИСКАЛЬНЫЙ ЧЕК";

impl Sheet<'_> {
    pub fn fiscal(&mut self, receipt: &FiscalReceipt) {
        let is_return = receipt.bill.side == Side::Return;
        self.test_head(receipt.is_test);
        self.centre(&receipt.shop, Style::BIG);
        if is_return {
            self.both(RETURN, Style::BIG);
        }
        if !receipt.paid_at.is_empty() {
            let words = if is_return {
                "Қайтарылды / Возвращено"
            } else {
                "Төленді / Оплачено"
            };
            self.centre(&format!("{words}: {}", receipt.paid_at), Style::BOLD);
        }
        self.register_lines(reading(receipt), &receipt.registered.register, |sheet, line| {
            if receipt.is_test && line.to_uppercase().contains(FISCAL) {
                sheet.test_bar(true);
                sheet.gap();
            }
        });
        self.rule('=');
        self.order(&receipt.order_number, &receipt.table);
        if let Some(basis) = &receipt.basis {
            self.basis(basis, &receipt.registered.register.registration);
        }
        for payment in &receipt.evidence {
            self.payment(payment);
        }
        self.fact(if is_return { REFUND } else { PAYMENT }, &receipt.reference);
        self.test_bar(receipt.is_test);
    }

    /// The receipt that is given back. Its sign is not written the way of this paper's own.
    fn basis(&mut self, basis: &Basis, registration: &str) {
        self.rule('-');
        self.both(("Қайтаруға негіз болған чек", "Чек-основание для возврата"), Style::BOLD);
        self.known(("ФБ", "ФП"), &basis.sign);
        self.known(("Уақыты", "Время"), &basis.at);
        self.known(("Сомасы", "Сумма"), &basis.total.to_string());
        if basis.registration != registration {
            self.known(REGISTRATION, &basis.registration);
        }
        self.autonomous(basis.is_autonomous);
        self.rule('-');
    }
}

/// The lines of a receipt, with what the law wants on it and the register left out: code, sign, autonomous mark (§3.2).
fn reading(receipt: &FiscalReceipt) -> Reading {
    let (bill, registered) = (&receipt.bill, &receipt.registered);
    let told = Reading::of(&registered.lines);
    if !told.has_text() {
        return Reading::of(&form::lines(bill, registered, FORM_COLUMNS));
    }
    let text = |value: String, is_bold| PrintLine { kind: PrintKind::Text, value, is_bold };
    let mut lines = registered.lines.clone();
    if registered.is_autonomous && !told.says("автоном") {
        lines.push(text(format!("{}/{}", AUTONOMOUS.0, AUTONOMOUS.1), true));
    }
    if !registered.sign.is_empty() && !told.says(&registered.sign) {
        lines.push(text(format!("ФБ/ФП: {}", registered.sign), false));
    }
    let mut reading = Reading::of(&lines);
    if let Some(code) = form::code(bill, registered).filter(|_| !told.has_code()) {
        reading.put_code(&code, &["ИНК", "РНМ"]);
    }
    reading
}
