//! Totals within a shift and at its end. They are our own counting and no fiscal report, and the paper says so.

use super::Style;
use super::guest::{TOTAL, UNFISCAL};
use super::sheet::{Sheet, Words};
use crate::domain::paper::{Report, ReportKind, ReportRow};

/// What a report is called, and what it says of the shift.
const fn words(kind: ReportKind) -> (Words, Words) {
    match kind {
        ReportKind::X => (("X-ЕСЕП", "X-ОТЧЁТ"), ("АУЫСЫМ ЖАЛҒАСУДА", "СМЕНА ПРОДОЛЖАЕТСЯ")),
        ReportKind::Z => (("Z-ЕСЕП", "Z-ОТЧЁТ"), ("АУЫСЫМ ЖАБЫЛДЫ", "СМЕНА ЗАКРЫТА")),
    }
}

impl Sheet<'_> {
    pub fn report(&mut self, report: &Report) {
        let (title, shift) = words(report.kind);
        self.centre(&report.shop, Style::BIG);
        self.both(title, Style::BIG);
        self.both(UNFISCAL, Style::BOLD);
        self.rule('-');
        let (begin, end) = &report.period;
        let facts =
            [(("Ауысым", "Смена"), &report.shift), (("Басталуы", "Начало"), begin), (("Аяқталуы", "Конец"), end)];
        for (words, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
            self.named(words, value, Style::PLAIN);
        }
        self.rule('-');
        for row in &report.rows {
            self.counted(row);
        }
        self.rule('=');
        self.total(TOTAL, report.total);
        self.rule('-');
        self.both(shift, Style::BOLD);
        self.named(("Басылған уақыты", "Напечатано"), &report.at, Style::PLAIN);
    }

    /// A label, how many and how much: on one line where they fit, else the figures below.
    fn counted(&mut self, row: &ReportRow) {
        let label = if row.russian == row.kazakh || row.kazakh.is_empty() {
            row.russian.clone()
        } else {
            format!("{} / {}", row.kazakh, row.russian)
        };
        let (count, sum) = (format!("{} x", row.count), row.sum.to_string());
        if !self.two_on_one(&label, &format!("{count}{sum:>13}"), Style::PLAIN) {
            self.indented("", &label, Style::PLAIN);
            self.two(&format!("  {count}"), &sum, Style::PLAIN);
        }
    }
}
