//! The test slip (escpos §6): what this printer is set to, a ruler to count its columns, every way to print Kazakh with its number, QR
//! codes by the printer and by us, and the looks that kitchens read.

use super::sheet::Sheet;
use super::{Align, Item, Line, Style, wrap};
use crate::domain::paper::{QrBlock, TestSlip};
use crate::drivers::printer::{Profile, QrForm, Way, candidates};

/// All letters that Russian pages lack, and Russian ones beside them.
const SAMPLE: &str = "ӘҒҚҢӨҰҮҺІ әғқңөұүһі Привет!";

/// Cells of a number before its sample.
const MARK_CELLS: usize = 4;

impl Sheet<'_> {
    pub fn test(&mut self, slip: &TestSlip) {
        self.centre(&slip.shop, Style::BIG);
        self.both(("СЫНАҚ БЕТІ", "ПРОБНАЯ ПЕЧАТЬ"), Style::BOLD);
        self.rule('-');
        self.two(&slip.printer, &slip.at, Style::PLAIN);
        let columns = self.profile.columns;
        self.two(&format!("{columns} таңба / знаков"), "", Style::PLAIN);
        self.two(&self.profile.choice_word(), "", Style::PLAIN);
        let ruler = "1234567890".chars().cycle().take(columns).collect();
        self.push(ruler, Style::PLAIN, Align::Left);
        self.rule('-');
        self.ways();
        self.rule('-');
        self.looks();
        self.rule('-');
        for (form, caption) in [(QrForm::Raster, "QR raster"), (QrForm::Native, "QR native")] {
            let block = QrBlock { text: format!("kassad {}", slip.printer), caption: caption.to_owned() };
            self.qr(&block, form);
        }
        self.rule('-');
        self.both(("СОҢЫ", "КОНЕЦ"), Style::BOLD);
    }

    /// Each way in its own letters: the person says which numbers are flawless.
    fn ways(&mut self) {
        self.question();
        for candidate in candidates(self.profile) {
            let (way, letters, page) = (candidate.way, candidate.letters, candidate.page);
            let printer = Profile { way, letters, page, ..self.profile.clone() };
            let cells = self.profile.columns.saturating_sub(MARK_CELLS);
            for (row, part) in wrap(&printer.fold(SAMPLE), cells).into_iter().enumerate() {
                let mark = if row == 0 { format!("{:>2}  ", candidate.number) } else { " ".repeat(MARK_CELLS) };
                let line = Line { text: mark + &part, style: Style::PLAIN, align: Align::Left };
                self.items.push(Item::Sample(candidate, line));
            }
        }
    }

    /// The question as a picture: it can be read whatever page is chosen.
    fn question(&mut self) {
        let Some(picture) = candidates(self.profile).into_iter().rfind(|one| one.way == Way::Raster) else { return };
        for text in
            ["Қай нөмір дұрыс басылды? Бірнешеуі болса – кішісі", "Какой номер верен? Если их несколько – меньший"]
        {
            for part in wrap(text, self.profile.columns) {
                let line = Line { text: part, style: Style::PLAIN, align: Align::Centre };
                self.items.push(Item::Sample(picture, line));
            }
        }
    }

    fn looks(&mut self) {
        self.indented("", "Қалың / Жирный", Style::BOLD);
        self.indented("", "Биік / Высокий", Style::TALL);
        self.indented("", "Үлкен / Большой", Style::BIG);
        self.bar("ОТМЕНА", Style::BIG.inverted());
        self.indented("", "№ 7 «шай» – 12 400 ₸", Style::PLAIN);
    }
}
