//! What a cash register puts on paper: receipts with a fiscal sign, the notice that stands in for one, X and Z reports, cash moves. Only a
//! document with a sign carries the words of a fiscal receipt; a paper of a test register is barred at its head, middle and end (F29).

use super::sheet::{Sheet, Words};
use super::{Align, Style};
use crate::domain::fiscal::Register;

pub mod form;
mod notice;
mod receipt;
mod reflow;
mod shift;

const BIN: Words<'static> = ("БСН", "БИН");
const SERIAL: Words<'static> = ("КЗН", "ЗНМ");
const REGISTRATION: Words<'static> = ("КТН", "РНМ");
const IDENTITY: Words<'static> = ("КСН", "ИНК");
const SHIFT: Words<'static> = ("Ауысым", "Смена");
const RETURN: Words<'static> = ("ҚАЙТАРУ", "ВОЗВРАТ");
const AUTONOMOUS: Words<'static> = ("Автономды режим", "Автономный режим");
const DRAWER: Words<'static> = ("Кассадағы нақты ақша", "Наличных в кассе");
const BY: Words<'static> = ("Рәсімдеген", "Оформил");
const BECAUSE: Words<'static> = ("Себебі", "Причина");

impl Sheet<'_> {
    /// Bars over a paper of a test register, with the words that it is no receipt.
    fn test_head(&mut self, is_test: bool) {
        if is_test {
            self.test_bar(true);
            self.gap();
            self.both(("Сынақ кассасы: бұл чек емес", "Тестовая касса: это не чек"), Style::BOLD);
        }
    }

    /// The same bar in the middle and at the end, so that no half of the paper is without one.
    fn test_bar(&mut self, is_test: bool) {
        if is_test {
            self.bar("ТЕСТ", Style::BIG.inverted());
        }
    }

    /// A fact with its label at the left, where it is known.
    fn known(&mut self, words: Words, value: &str) {
        if !value.is_empty() {
            self.named(words, value, Style::PLAIN);
        }
    }

    /// Who sells, and the register with its numbers.
    fn register(&mut self, register: &Register) {
        self.centre(&register.taxpayer, Style::PLAIN);
        if !register.bin.is_empty() {
            self.centre(&format!("{}/{} {}", BIN.0, BIN.1, register.bin), Style::PLAIN);
        }
        for address in [&register.address_kz, &register.address] {
            self.centre(address, Style::PLAIN);
        }
        self.rule('-');
        self.known(SERIAL, &register.serial);
        self.known(REGISTRATION, &register.registration);
        self.known(IDENTITY, &register.identity);
    }

    /// That the register is without its operator.
    fn autonomous(&mut self, is_autonomous: bool) {
        if is_autonomous {
            self.both(AUTONOMOUS, Style::BOLD);
        }
    }

    /// A label at the left edge and a figure at the right one; where no line holds both, the figure stands at the right below.
    fn pair(&mut self, indent: usize, left: &str, right: &str, style: Style) {
        let cells = self.cells(style);
        let (left, right) = (self.profile.fold(left), self.profile.fold(right));
        let (left, right) = (left.trim(), right.trim());
        let indent = indent.min(cells / 4);
        let beside = cells.saturating_sub(indent + super::width(right) + 1);
        let mut rows = super::wrap(left, cells - indent);
        let last = rows.last().map_or(0, |row| super::width(row));
        if right.is_empty() || last > beside || beside == 0 {
            rows.extend(super::wrap(right, cells - indent).iter().map(|row| format!("{row:>0$}", cells - indent)));
        } else if let Some(row) = rows.last_mut() {
            *row = format!("{row:<beside$} {right}");
        }
        for row in rows.iter().filter(|row| !row.trim().is_empty()) {
            self.push(format!("{:indent$}{row}", ""), style, Align::Left);
        }
    }
}
