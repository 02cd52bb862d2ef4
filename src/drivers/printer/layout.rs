//! Documents become lines of cells (pos-and-kitchen §2.2). Text is folded to the page before it is measured, so a line never outgrows the
//! paper; a number is never parted by a wrap. A repeat says so at its head (I7), and a receipt says that it is not fiscal.

use crate::domain::money::Tiyn;
use crate::domain::order::{self, Milli};
use crate::domain::paper::{Document, Imprint, Receipt, RefundSlip, Report, Slip, TestSlip, Ticket, TicketKind, TicketLine};
use crate::drivers::printer::Profile;

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

/// One line of cells in one style; each character of `text` is a cell that the profile's page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The cells.
    pub text: String,
    /// Their look.
    pub style: Style,
    /// Their place.
    pub align: Align,
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
pub fn layout(document: &Document, imprint: &Imprint, profile: &Profile) -> Vec<Line> {
    let mut sheet = Sheet { profile, lines: Vec::with_capacity(32) };
    if imprint.copy >= 2 {
        sheet.repeat(imprint.copy);
    }
    match document {
        Document::Receipt(receipt) => sheet.receipt(receipt),
        Document::Ticket(ticket) => sheet.ticket(ticket),
        Document::Refund(slip) => sheet.refund(slip),
        Document::Slip(slip) => sheet.slip(slip),
        Document::Report(report) => sheet.report(report),
        // Nothing to lay out: its bytes are a pulse.
        Document::Drawer => return Vec::new(),
        Document::Test(slip) => sheet.test(slip),
    }
    sheet.tail(imprint);
    sheet.lines
}

/// The lines as plain text, each as it stands on the paper.
pub fn text(lines: &[Line], columns: usize) -> String {
    let mut text = String::new();
    for line in lines {
        let margin = match line.align {
            Align::Left => 0,
            Align::Centre => line.style.cells(columns).saturating_sub(width(&line.text)) / 2,
        };
        text.push_str(format!("{:margin$}{}", "", line.text).trim_end());
        text.push('\n');
    }
    text
}

/// Parts a text into lines of at most `cells`: at spaces, else inside a word, never inside a number that fits a line.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let (text, cells) = (text.trim(), cells.max(1));
    if width(text) <= cells {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for piece in pieces(text).iter().flat_map(|word| chop(word, cells)) {
        let length = width(&piece);
        if used > 0 && used + 1 + length > cells {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(&piece);
        used += length;
    }
    lines.push(line);
    lines
}

/// What must stay on one line: words, and groups of digits that make one number (`12 400`).
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match pieces.last_mut() {
            Some(last) if last.ends_with(|sign: char| sign.is_ascii_digit()) && is_group(word) => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => pieces.push(word.to_owned()),
        }
    }
    pieces
}

fn is_group(word: &str) -> bool {
    word.bytes().take_while(u8::is_ascii_digit).count() == 3
}

/// Parts a piece that is longer than a line, not between the signs of a number when that can be.
fn chop(piece: &str, cells: usize) -> Vec<String> {
    let signs: Vec<char> = piece.chars().collect();
    let mut rest = signs.as_slice();
    let mut parts = Vec::with_capacity(1);
    while rest.len() > cells {
        let in_number =
            |at: &usize| matches!(rest.get(at - 1..=*at), Some([left, right]) if numeric(*left) && numeric(*right));
        let at = (1..=cells).rev().find(|at| !in_number(at)).unwrap_or(cells);
        let (part, after) = rest.split_at(at);
        parts.push(part.iter().collect());
        rest = after;
    }
    parts.push(rest.iter().collect());
    parts
}

fn numeric(sign: char) -> bool {
    sign.is_ascii_digit() || " ,.".contains(sign)
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Narrowest column that a name may be wrapped into beside a sum.
const NAME_CELLS_MIN: usize = 12;
const UNFISCAL: (&str, &str) = ("НЕФИСКАЛЬНЫЙ ЧЕК", "ФИСКАЛДЫ ЕМЕС ЧЕК");

struct Sheet<'a> {
    profile: &'a Profile,
    lines: Vec<Line>,
}

impl Sheet<'_> {
    fn repeat(&mut self, copy: u32) {
        self.bar("", Style::PLAIN.inverted());
        self.bar(&format!("ПОВТОР / ҚАЙТАЛАУ №{copy}"), Style::BIG.inverted());
        self.bar("", Style::PLAIN.inverted());
        self.gap();
    }

    /// Both languages on one line where they fit, else one below the other.
    fn both(&mut self, (russian, kazakh): (&str, &str), style: Style) {
        if width(russian) + width(kazakh) + 3 <= style.cells(self.profile.columns) {
            self.centre(&format!("{russian} / {kazakh}"), style);
        } else {
            self.centre(russian, style);
            self.centre(kazakh, style);
        }
    }

    fn refund(&mut self, slip: &RefundSlip) {
        self.centre(&slip.shop, Style::BIG);
        self.both(("ВОЗВРАТ", "ҚАЙТАРУ"), Style::BIG);
        self.both(("НЕФИСКАЛЬНЫЙ ДОКУМЕНТ", "ФИСКАЛДЫ ЕМЕС ҚҰЖАТ"), Style::BOLD);
        self.rule('-');
        self.two(&format!("Заказ № {}", slip.order_number), &place(&slip.table), Style::BOLD);
        self.two(&slip.at, "", Style::PLAIN);
        self.rule('=');
        self.two("ВОЗВРАТ", &format!("{} ₸", slip.amount), Style::BIG);
        self.rule('-');
        self.sum(&slip.label, slip.amount);
        if !slip.transaction.is_empty() {
            self.indented("  ", &format!("операция {}", slip.transaction), Style::PLAIN);
        }
        self.indented("", &format!("Оформил: {}", slip.by), Style::PLAIN);
        self.indented("", &format!("Причина: {}", slip.because), Style::PLAIN);
        self.gap();
        self.indented("", &format!("К оплате {}", slip.payment), Style::PLAIN);
        self.indented("", &format!("Возврат {}", slip.reference), Style::PLAIN);
    }

    fn receipt(&mut self, receipt: &Receipt) {
        self.centre(&receipt.shop, Style::BIG);
        self.both(UNFISCAL, Style::BOLD);
        self.rule('-');
        self.two(&format!("Заказ № {}", receipt.order_number), &place(&receipt.table), Style::BOLD);
        self.two(&receipt.paid_at, &served(&receipt.waiter), Style::PLAIN);
        self.rule('-');
        for line in &receipt.lines {
            self.dish(line);
        }
        self.rule('=');
        self.two("ИТОГО", &format!("{} ₸", receipt.total), Style::BIG);
        self.rule('-');
        for payment in &receipt.payments {
            self.sum(&payment.label, payment.amount);
            if !payment.transaction.is_empty() {
                self.indented("  ", &format!("операция {}", payment.transaction), Style::PLAIN);
            }
            if let Some(tendered) = payment.tendered.filter(|tendered| *tendered > payment.amount) {
                self.sum("  Получено / Алынды", tendered);
                self.sum("  Сдача / Қайтарым", Tiyn(tendered.0.saturating_sub(payment.amount.0)));
            }
        }
        self.gap();
        self.centre("Рақмет! Спасибо!", Style::PLAIN);
        self.indented("", &format!("Оплата {}", receipt.reference), Style::PLAIN);
    }

    fn slip(&mut self, slip: &Slip) {
        self.centre(&slip.shop, Style::BIG);
        self.two(&format!("Заказ № {}", slip.order_number), &slip.at, Style::PLAIN);
        self.sum(&slip.payment.label, slip.payment.amount);
        for line in &slip.text {
            self.indented("", line, Style::PLAIN);
        }
        self.indented("", &format!("Оплата {}", slip.reference), Style::PLAIN);
    }

    fn report(&mut self, report: &Report) {
        self.centre(&report.shop, Style::BIG);
        for row in &report.rows {
            self.sum(&format!("{} / {} ({})", row.russian, row.kazakh, row.count), row.sum);
        }
        self.sum("ИТОГО", report.total);
    }

    fn dish(&mut self, line: &order::Line) {
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

    fn ticket(&mut self, ticket: &Ticket) {
        let (number, known) = ticket.sequence;
        let sequence = format!("{number} из {known}");
        self.two(&ticket.station, &sequence, Style::BOLD);
        let (kind, cancelled) = match ticket.kind {
            TicketKind::New => ("НОВЫЙ", false),
            TicketKind::Addition => ("ДОБАВКА", false),
            TicketKind::Cancel => ("ОТМЕНА", true),
        };
        if cancelled {
            self.bar(kind, Style::BIG.inverted());
        } else {
            self.centre(kind, Style::BIG);
        }
        self.two(&format!("№ {}", ticket.order_number), &place(&ticket.table), Style::BIG);
        self.two(&ticket.at, &served(&ticket.waiter), Style::PLAIN);
        self.rule('=');
        for (place, line) in ticket.lines.iter().enumerate() {
            if place > 0 {
                self.rule('-');
            }
            self.portion(line, cancelled);
        }
        self.rule('=');
        if !ticket.comment.is_empty() {
            self.framed(&ticket.comment);
        }
    }

    fn portion(&mut self, line: &TicketLine, cancelled: bool) {
        let (quantity, style) = if cancelled {
            (Milli(line.quantity.0.saturating_abs().saturating_neg()), Style::TALL.inverted())
        } else {
            (line.quantity, Style::TALL)
        };
        self.indented(&format!("{quantity} x "), &line.name, style);
        for modifier in &line.modifiers {
            self.indented("    + ", modifier, Style { bold: false, ..Style::TALL });
        }
        if !line.comment.is_empty() {
            self.indented("    ! ", &line.comment, Style::TALL);
        }
    }

    fn test(&mut self, slip: &TestSlip) {
        self.centre(&slip.shop, Style::BIG);
        self.centre("ПРОБНАЯ ПЕЧАТЬ / СЫНАҚ БАСПА", Style::BOLD);
        self.rule('-');
        self.two(&slip.printer, &slip.at, Style::PLAIN);
        let profile = self.profile;
        self.two(
            &format!("{} знаков", profile.columns),
            &format!("{}, страница {}", profile.letters.word(), profile.page),
            Style::PLAIN,
        );
        let ruler: String = "1234567890".chars().cycle().take(profile.columns).collect();
        self.indented("", &ruler, Style::PLAIN);
        self.rule('-');
        self.indented("", "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ", Style::PLAIN);
        self.indented("", "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", Style::PLAIN);
        self.indented("", "Ә Ғ Қ Ң Ө Ұ Ү Һ І  ә ғ қ ң ө ұ ү һ і", Style::PLAIN);
        self.indented("", "ABCXYZ abcxyz 0123456789 .,:;!?+-*/=%@#&()[]", Style::PLAIN);
        self.indented("", "№ 7 «чай» – 12 400 ₸", Style::PLAIN);
        self.rule('-');
        self.indented("", "Жирный / Қалың", Style::BOLD);
        self.indented("", "Высокий / Биік", Style::TALL);
        self.indented("", "Большой", Style::BIG);
        self.bar("ОТМЕНА", Style::BIG.inverted());
    }

    fn tail(&mut self, imprint: &Imprint) {
        self.indented("", &format!("печать {}", imprint.job), Style::PLAIN);
    }

    fn fold(&self, text: &str) -> String {
        self.profile.letters.fold(text)
    }

    fn push(&mut self, text: String, style: Style, align: Align) {
        self.lines.push(Line { text, style, align });
    }

    fn gap(&mut self) {
        self.push(String::new(), Style::PLAIN, Align::Left);
    }

    fn rule(&mut self, sign: char) {
        let rule = std::iter::repeat_n(sign, self.profile.columns).collect();
        self.push(rule, Style::PLAIN, Align::Left);
    }

    fn centre(&mut self, text: &str, style: Style) {
        for line in wrap(&self.fold(text), style.cells(self.profile.columns)) {
            if !line.is_empty() {
                self.push(line, style, Align::Centre);
            }
        }
    }

    /// A bar over the whole width with a text in its middle.
    fn bar(&mut self, text: &str, style: Style) {
        let cells = style.cells(self.profile.columns);
        for line in wrap(&self.fold(text), cells) {
            self.push(format!("{line:^cells$}"), style, Align::Left);
        }
    }

    /// A comment to the order as a whole, in a frame that nobody overlooks.
    fn framed(&mut self, text: &str) {
        let cells = self.profile.columns;
        for line in wrap(&self.fold(text), cells.saturating_sub(4)) {
            self.push(format!("{:<cells$}", format!("! {line}")), Style::TALL.inverted(), Align::Left);
        }
    }

    /// A text behind a mark; its further lines stand under its first letter.
    fn indented(&mut self, mark: &str, text: &str, style: Style) {
        let cells = style.cells(self.profile.columns);
        let indent = width(mark).min(cells / 2);
        let mark = mark.get(..indent).unwrap_or(mark);
        for (row, line) in wrap(&self.fold(text), cells - indent).into_iter().enumerate() {
            let line = if row == 0 { format!("{mark}{line}") } else { format!("{:indent$}{line}", "") };
            self.push(line, style, Align::Left);
        }
    }

    /// A name at the left, a sum at the right.
    fn sum(&mut self, name: &str, sum: Tiyn) {
        self.two(name, &sum.to_string(), Style::PLAIN);
    }

    /// Two texts at the two edges: on one line, else the left one wrapped beside the right one, else under each other.
    fn two(&mut self, left: &str, right: &str, style: Style) {
        let columns = self.profile.columns;
        let (left, right) = (self.fold(left), self.fold(right));
        let style = if width(&right) > style.cells(columns) { Style { wide: false, ..style } } else { style };
        let cells = style.cells(columns);
        let beside = cells.saturating_sub(width(&right) + 1);
        if right.is_empty() {
            for row in wrap(&left, cells) {
                self.push(row, style, Align::Left);
            }
        } else if width(&left) + 1 + width(&right) <= cells {
            let left_cells = cells - width(&right);
            self.push(format!("{left:<left_cells$}{right}"), style, Align::Left);
        } else if beside >= NAME_CELLS_MIN && !style.wide {
            let mut rows = wrap(&left, beside);
            if let Some(last) = rows.last_mut() {
                let left_cells = cells - width(&right);
                *last = format!("{last:<left_cells$}{right}");
            }
            for row in rows {
                self.push(row, style, Align::Left);
            }
        } else {
            for row in wrap(&left, cells).into_iter().filter(|row| !row.is_empty()) {
                self.push(row, style, Align::Left);
            }
            for row in wrap(&right, cells) {
                self.push(format!("{row:>cells$}"), style, Align::Left);
            }
        }
    }
}

/// Quantity with the price of one, where that is a whole number of tiyn.
fn amount(quantity: Milli, sum: Tiyn) -> String {
    let whole = sum.0.checked_mul(1000).filter(|milli| quantity.0 > 0 && milli % quantity.0 == 0);
    match whole {
        Some(milli) => format!("{quantity} x {}", Tiyn(milli / quantity.0)),
        None => format!("{quantity} x"),
    }
}

/// The table as people say it.
fn place(table: &str) -> String {
    if table.starts_with(|sign: char| sign.is_ascii_digit()) { format!("Стол {table}") } else { table.to_owned() }
}

fn served(waiter: &str) -> String {
    if waiter.is_empty() { String::new() } else { format!("Официант {waiter}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_parted() {
        assert_eq!(wrap("Стейк рибай 12 400 тг", 16), ["Стейк рибай", "12 400 тг"]);
        assert_eq!(wrap("Сок 1 000 000", 10), ["Сок", "1 000 000"]);
        assert_eq!(wrap("абвгд1234567", 8), ["абвгд", "1234567"]);
        assert_eq!(wrap("12345678901234567890", 8), ["12345678", "90123456", "7890"]);
        assert_eq!(wrap("  два   слова  ", 5), ["два", "слова"]);
    }

    #[test]
    fn long_words_are_parted_to_the_width() {
        for cells in 1..12 {
            let lines = wrap("Абракадабраабракадабра и 5 слов 12,50 ещё", cells);
            assert!(lines.iter().all(|line| width(line) <= cells && !line.is_empty()), "{lines:?}");
        }
    }

    #[test]
    fn the_price_of_one_is_shown_only_when_exact() {
        assert_eq!(amount(Milli(2000), Tiyn(320_000)), "2 x 1 600");
        assert_eq!(amount(Milli(350), Tiyn(100_000)), "0,35 x");
        assert_eq!(amount(Milli(-1000), Tiyn(100)), "-1 x");
    }
}
