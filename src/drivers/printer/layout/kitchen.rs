//! Kitchen tickets (pos-and-kitchen §2.2): a difference to what the kitchen has, to be read from a step away. A cancellation is white
//! on black and counts downwards; nobody takes it for something to cook.

use super::sheet::{Sheet, Words};
use super::{Align, Style, wrap};
use crate::domain::order::Milli;
use crate::domain::paper::{Ticket, TicketKind, TicketLine};

/// What a kind of ticket is called.
const fn heading(kind: TicketKind) -> Words {
    match kind {
        TicketKind::New => ("НОВЫЙ", "ЖАҢА"),
        TicketKind::Addition => ("ДОБАВКА", "ҚОСЫМША"),
        // "Do not cook": the imperative, which leaves a cook nothing to guess.
        TicketKind::Cancel => ("ОТМЕНА", "ДАЙЫНДАМАҢЫЗ"),
    }
}

impl Sheet<'_> {
    pub fn ticket(&mut self, ticket: &Ticket) {
        let (number, known) = ticket.sequence;
        self.two(&ticket.station, &format!("{number}/{known}"), Style::BOLD);
        match ticket.kind {
            TicketKind::New | TicketKind::Addition => self.both(heading(ticket.kind), Style::BIG),
            TicketKind::Cancel => self.both_bars(heading(ticket.kind), Style::BIG.inverted()),
        }
        self.whose(ticket);
        self.when(ticket);
        self.rule('=');
        for (place, line) in ticket.lines.iter().enumerate() {
            if place > 0 {
                self.rule('-');
            }
            self.portion(line, ticket.kind);
        }
        self.rule('=');
        if !ticket.comment.is_empty() {
            self.framed(&ticket.comment);
        }
    }

    /// The order and its table, large; the table in both languages where that fits.
    fn whose(&mut self, ticket: &Ticket) {
        let number = format!("№ {}", ticket.order_number);
        if !ticket.table.starts_with(|sign: char| sign.is_ascii_digit()) {
            self.two(&number, &ticket.table, Style::BIG);
        } else if !self.two_on_one(&number, &format!("Стол / Үстел {}", ticket.table), Style::BIG) {
            self.two(&number, &format!("Стол {}", ticket.table), Style::BIG);
        }
    }

    fn when(&mut self, ticket: &Ticket) {
        if ticket.waiter.is_empty() {
            self.two(&ticket.at, "", Style::PLAIN);
        } else if !self.two_on_one(&ticket.at, &format!("Официант / Даяшы {}", ticket.waiter), Style::PLAIN)
        {
            self.two(&ticket.at, &format!("Официант {}", ticket.waiter), Style::PLAIN);
        }
    }

    fn portion(&mut self, line: &TicketLine, kind: TicketKind) {
        let (quantity, style) = match kind {
            TicketKind::New => (line.quantity.to_string(), Style::TALL),
            TicketKind::Addition if line.quantity.0 > 0 => (format!("+{}", line.quantity), Style::TALL),
            TicketKind::Addition => (line.quantity.to_string(), Style::TALL),
            TicketKind::Cancel => {
                let less = Milli(line.quantity.0.saturating_abs().saturating_neg());
                (less.to_string(), Style::TALL.inverted())
            }
        };
        self.indented(&format!("{quantity} x "), &line.name, style);
        for modifier in &line.modifiers {
            self.indented("    + ", modifier, Style { bold: false, ..Style::TALL });
        }
        if !line.comment.is_empty() {
            self.indented("    ! ", &line.comment, Style::TALL);
        }
    }

    /// A comment to the order as a whole, in a frame that nobody overlooks.
    fn framed(&mut self, text: &str) {
        let cells = self.profile.columns;
        for line in wrap(&self.profile.fold(text), cells.saturating_sub(4)) {
            self.push(format!("{:<cells$}", format!("! {line}")), Style::TALL.inverted(), Align::Left);
        }
    }
}
