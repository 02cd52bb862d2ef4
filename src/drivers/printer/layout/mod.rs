//! Documents become lines of cells (pos-and-kitchen §2.2). Text is folded to what the printer prints before it is measured, so a line
//! never outgrows the paper; a number is never parted by a wrap. A repeat says so at its head (I7), and a receipt says that it is not
//! fiscal. Guests read Kazakh first, as on fiscal receipts (fiscal-kz §4.1); cooks read Russian first.

use crate::domain::paper::{Document, Imprint};
use crate::drivers::printer::qr::Code;
use crate::drivers::printer::{Candidate, Profile};

pub(super) mod fiscal;
mod guest;
mod kitchen;
mod report;
mod sheet;
mod test;
mod wrap;

use sheet::Sheet;
pub use wrap::wrap;

/// How the cells of a line look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Twice as wide: half as many cells.
    pub wide: bool,
    /// Twice as high.
    pub tall: bool,
    /// Emphasised.
    pub bold: bool,
    /// White on black.
    pub inverse: bool,
}

/// Where the cells of a line stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Centre,
}

/// One line of cells in one style; each character of `text` is a cell that the profile prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The cells.
    pub text: String,
    /// Their look.
    pub style: Style,
    /// Their place.
    pub align: Align,
}

/// What stands below each other on a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A line of text.
    Line(Line),
    /// A line of the test slip, printed in the candidate's way and not in the printer's own.
    Sample(Candidate, Line),
    /// A QR code in the middle of the paper.
    Code(Code),
}

impl Style {
    /// As the printer starts.
    pub const PLAIN: Style = Style { wide: false, tall: false, bold: false, inverse: false };
    /// Emphasised.
    pub const BOLD: Style = Style { bold: true, ..Style::PLAIN };
    /// Twice as high, emphasised: to be read from a distance.
    pub const TALL: Style = Style { tall: true, ..Style::BOLD };
    /// Twice as wide and high.
    pub const BIG: Style = Style { wide: true, ..Style::TALL };

    /// The same in white on black.
    pub const fn inverted(self) -> Style {
        Style { inverse: true, ..self }
    }

    /// Cells of this style on a line of so many plain ones.
    pub const fn cells(self, columns: usize) -> usize {
        if self.wide { columns / 2 } else { columns }
    }
}

/// Lays a document out for a printer.
pub fn layout(document: &Document, imprint: &Imprint, profile: &Profile) -> Vec<Item> {
    let mut sheet = Sheet::new(profile);
    sheet.marks(imprint);
    match document {
        Document::Receipt(receipt) => sheet.receipt(receipt),
        Document::Ticket(ticket) => sheet.ticket(ticket),
        Document::Refund(slip) => sheet.refund(slip),
        Document::Slip(slip) => sheet.slip(slip),
        Document::Report(report) => sheet.report(report),
        // Nothing to lay out: its bytes are a pulse.
        Document::Drawer => return Vec::new(),
        Document::Test(slip) => sheet.test(slip),
        Document::Fiscal(receipt) => sheet.fiscal(receipt),
        Document::Notice(notice) => sheet.notice(notice),
        Document::Shift(paper) => sheet.shift(paper),
        Document::Cash(slip) => sheet.cash(slip),
    }
    sheet.tail(imprint);
    sheet.items
}

/// The items as plain text, a row each as it stands on the paper; a QR code is its text in brackets.
pub fn text(items: &[Item], columns: usize) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Line(line) | Item::Sample(_, line) => {
                let margin = match line.align {
                    Align::Left => 0,
                    Align::Centre => line.style.cells(columns).saturating_sub(width(&line.text)) / 2,
                };
                text.push_str(format!("{:margin$}{}", "", line.text).trim_end());
            }
            Item::Code(code) => text.push_str(&format!("[QR {}]", code.text)),
        }
        text.push('\n');
    }
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}
