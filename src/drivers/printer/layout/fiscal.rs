//! What a cash register puts on paper: receipts with a fiscal sign, the notice that stands in for one, X and Z reports, cash moves.

use super::Style;
use super::sheet::Sheet;
use crate::domain::fiscal::PrintKind;
use crate::domain::paper::{CashSlip, FiscalNotice, FiscalReceipt, ShiftPaper};

impl Sheet<'_> {
    pub fn fiscal(&mut self, receipt: &FiscalReceipt) {
        for line in receipt.registered.lines.iter().filter(|line| line.kind == PrintKind::Text) {
            self.two(&line.value, "", Style::PLAIN);
        }
    }

    pub fn notice(&mut self, notice: &FiscalNotice) {
        self.centre(&notice.shop, Style::BIG);
    }

    pub fn shift(&mut self, paper: &ShiftPaper) {
        self.centre(&paper.shop, Style::BIG);
    }

    pub fn cash(&mut self, slip: &CashSlip) {
        self.centre(&slip.shop, Style::BIG);
    }
}
