//! The sheet that every document is written on: lines, bars, rules, labels of two languages, names beside sums. Each text is folded once,
//! here, so that no document can forget it.

use super::{Align, Item, Line, Style, width, wrap};
use crate::domain::money::Tiyn;
use crate::domain::paper::{Imprint, QrBlock};
use crate::drivers::printer::qr::Code;
use crate::drivers::printer::{Profile, QrForm};

/// A label in two languages, in the order in which its reader takes them.
pub(super) type Words<'w> = (&'w str, &'w str);

/// Narrowest column that a name may be wrapped into beside a sum.
const NAME_CELLS_MIN: usize = 12;

pub(super) struct Sheet<'a> {
    pub profile: &'a Profile,
    pub items: Vec<Item>,
}

impl<'a> Sheet<'a> {
    pub fn new(profile: &'a Profile) -> Sheet<'a> {
        Sheet { profile, items: Vec::with_capacity(48) }
    }

    /// What stands above any document: that it is a repeat, and whose paper it is where it comes out elsewhere.
    pub fn marks(&mut self, imprint: &Imprint) {
        if imprint.copy >= 2 {
            let kazakh = format!("ҚАЙТАЛАУ №{}", imprint.copy);
            let mark = self.stacked(("ПОВТОР", &kazakh), Style::BIG);
            self.mark(&mark);
        }
        if let Some(name) = &imprint.instead_of {
            self.mark(&[format!("ВМЕСТО / ОРНЫНА: {name}")]);
        }
    }

    /// A block of bars that is seen from across the kitchen.
    fn mark(&mut self, lines: &[String]) {
        self.bar("", Style::PLAIN.inverted());
        for line in lines {
            self.bar(line, Style::BIG.inverted());
        }
        self.bar("", Style::PLAIN.inverted());
        self.gap();
    }

    /// The number of the print job: what the paper and the journal have in common.
    pub fn tail(&mut self, imprint: &Imprint) {
        self.indented("", &format!("басып шығару / печать {}", imprint.job), Style::PLAIN);
    }

    /// Cells of a line in a style.
    pub fn cells(&self, style: Style) -> usize {
        style.cells(self.profile.columns)
    }

    pub fn fits(&self, text: &str, style: Style) -> bool {
        width(text) <= self.cells(style)
    }

    pub fn push(&mut self, text: String, style: Style, align: Align) {
        self.items.push(Item::Line(Line { text, style, align }));
    }

    pub fn gap(&mut self) {
        self.push(String::new(), Style::PLAIN, Align::Left);
    }

    pub fn rule(&mut self, sign: char) {
        let rule = std::iter::repeat_n(sign, self.profile.columns).collect();
        self.push(rule, Style::PLAIN, Align::Left);
    }

    pub fn centre(&mut self, text: &str, style: Style) {
        for line in wrap(&self.profile.fold(text), self.cells(style)) {
            if !line.is_empty() {
                self.push(line, style, Align::Centre);
            }
        }
    }

    /// A bar over the whole width with a text in its middle.
    pub fn bar(&mut self, text: &str, style: Style) {
        let cells = self.cells(style);
        for line in wrap(&self.profile.fold(text), cells) {
            self.push(format!("{line:^cells$}"), style, Align::Left);
        }
    }

    /// Both languages in the middle: on one line where they fit, else one below the other.
    pub fn both(&mut self, words: Words, style: Style) {
        for line in self.stacked(words, style) {
            self.centre(&line, style);
        }
    }

    /// The same as bars.
    pub fn both_bars(&mut self, words: Words, style: Style) {
        for line in self.stacked(words, style) {
            self.bar(&line, style);
        }
    }

    fn stacked(&self, words: Words, style: Style) -> Vec<String> {
        let one = label(words);
        if self.fits(&one, style) { vec![one] } else { vec![words.0.to_owned(), words.1.to_owned()] }
    }

    /// A text behind a mark; its further lines stand under its first letter.
    pub fn indented(&mut self, mark: &str, text: &str, style: Style) {
        let cells = self.cells(style);
        if width(mark) > cells / 2 {
            // No column is left beside it.
            for line in wrap(mark, cells).into_iter().chain(wrap(&self.profile.fold(text), cells)) {
                self.push(line, style, Align::Left);
            }
            return;
        }
        let indent = width(mark);
        for (row, line) in wrap(&self.profile.fold(text), cells - indent).into_iter().enumerate() {
            let line = if row == 0 { format!("{mark}{line}") } else { format!("{:indent$}{line}", "") };
            self.push(line, style, Align::Left);
        }
    }

    /// A fact behind its label, as running text.
    pub fn fact(&mut self, words: Words, value: &str) {
        self.indented("", &format!("{}: {value}", label(words)), Style::PLAIN);
    }

    /// A label at the left, its value at the right: with the languages apart, close, or below each other, as the line allows.
    pub fn named(&mut self, words: Words, value: &str, style: Style) {
        if self.two_on_one(&label(words), value, style) || self.two_on_one(&close(words), value, style) {
            return;
        }
        self.two(words.0, "", style);
        self.two(words.1, value, style);
    }

    /// A name at the left, a sum at the right.
    pub fn sum(&mut self, name: &str, sum: Tiyn) {
        self.two(name, &sum.to_string(), Style::PLAIN);
    }

    /// What all of it comes to, as large as it fits on one line.
    pub fn total(&mut self, words: Words, sum: Tiyn) {
        let sum = format!("{sum} ₸");
        if !self.two_on_one(&label(words), &sum, Style::BIG) && !self.two_on_one(&close(words), &sum, Style::BIG) {
            self.named(words, &sum, Style::TALL);
        }
    }

    /// Two texts at the two edges where both fit on one line; says whether they did.
    pub fn two_on_one(&mut self, left: &str, right: &str, style: Style) -> bool {
        let fits = width(&self.profile.fold(left)) + 1 + width(&self.profile.fold(right)) <= self.cells(style);
        if fits {
            self.two(left, right, style);
        }
        fits
    }

    /// Two texts at the two edges: on one line, else the left one wrapped beside the right one, else under each other.
    pub fn two(&mut self, left: &str, right: &str, style: Style) {
        let (left, right) = (self.profile.fold(left), self.profile.fold(right));
        let style = if self.fits(&right, style) { style } else { Style { wide: false, ..style } };
        let cells = self.cells(style);
        let beside = cells.checked_sub(width(&right) + 1);
        let beside = beside.filter(|beside| width(&left) <= *beside || (*beside >= NAME_CELLS_MIN && !style.wide));
        let mut rows = match beside {
            _ if right.is_empty() => wrap(&left, cells),
            Some(beside) => {
                // What fits is not wrapped: it keeps its indent.
                let mut rows = if width(&left) <= beside { vec![left] } else { wrap(&left, beside) };
                if let Some(last) = rows.last_mut() {
                    *last = format!("{last:<beside$} {right}");
                }
                rows
            }
            None => {
                let mut rows = wrap(&left, cells);
                rows.extend(wrap(&right, cells).iter().map(|row| format!("{row:>cells$}")));
                rows
            }
        };
        rows.retain(|row| !row.is_empty());
        for row in rows {
            self.push(row, style, Align::Left);
        }
    }

    /// A QR code with its caption; what fits no code of this paper is printed as text.
    pub fn qr(&mut self, block: &QrBlock, form: QrForm) {
        match Code::fit(&block.text, form, self.profile) {
            Some(code) => self.items.push(Item::Code(code)),
            None => self.indented("", &block.text, Style::PLAIN),
        }
        self.centre(&block.caption, Style::PLAIN);
    }
}

/// Both languages of a label, or the one word that is the same in both.
pub(super) fn label((first, second): Words) -> String {
    if first == second { first.to_owned() } else { format!("{first} / {second}") }
}

/// The same without air, for narrow paper.
fn close((first, second): Words) -> String {
    format!("{first}/{second}")
}
