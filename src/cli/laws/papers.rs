//! Papers as a guest reads them: what kind, of which order, with which sign, whether it is a repeat. Nothing here knows what was sent to
//! the printer.

use crate::domain::fiscal::Side;
use crate::sandbox::printer::Printer;
use std::sync::Arc;

/// What a paper is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matter {
    /// The shop's own, or a ticket: no fiscal document.
    Plain,
    /// The shop's own about money that went back.
    Slip,
    /// The register's, with its sign.
    Fiscal(Side, String),
    /// In place of the register's while it is away.
    Notice(Side),
    /// Of no order: a report, cash in or out.
    House,
}

/// One paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// What it is.
    pub matter: Matter,
    /// The order's number.
    pub number: Option<String>,
    /// Whether it is marked as a repeat.
    pub is_repeat: bool,
    /// Whether it says that the register was without its operator.
    pub is_autonomous: bool,
}

/// All papers of a printer, oldest first.
pub(super) fn leaves(printer: Option<&Arc<Printer>>) -> Vec<Leaf> {
    printer.map(|printer| printer.papers().iter().map(|paper| read(&paper.text)).collect()).unwrap_or_default()
}

fn read(text: &str) -> Leaf {
    // Large letters are read back with gaps of their own.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Leaf {
        matter: matter(&text),
        number: number(&text),
        is_repeat: text.contains("ПОВТОР"),
        // A return also tells how the receipt was made that it gives back.
        is_autonomous: text.split("Чек-основание").next().is_some_and(|own| own.contains("Автономный режим")),
    }
}

fn matter(text: &str) -> Matter {
    let side = if text.contains("ВОЗВРАТ") { Side::Return } else { Side::Sale };
    let is_house = ["X-ОТЧЁТ", "Z-ОТЧЁТ", "ВНЕСЕНИЕ ДЕНЕГ", "ИЗЪЯТИЕ ДЕНЕГ"].iter().any(|word| text.contains(word));
    match (sign(text), side) {
        (_, _) if is_house => Matter::House,
        (Some(sign), side) => Matter::Fiscal(side, sign),
        (None, side) if text.contains("ЭТО НЕ ЧЕК") => Matter::Notice(side),
        (None, Side::Return) => Matter::Slip,
        (None, Side::Sale) => Matter::Plain,
    }
}

/// The sign of a document that calls itself fiscal. The last one: what is above it may be a half that the power cut off.
fn sign(text: &str) -> Option<String> {
    let sign: String = text.rsplit_once("ФБ/ФП: ")?.1.chars().take_while(char::is_ascii_digit).collect();
    let is_fiscal = text.contains("ФИСКАЛДЫ ЧЕК/ФИСКАЛЬНЫЙ ЧЕК");
    (is_fiscal && !sign.is_empty()).then_some(sign)
}

/// The number of the order: behind its word, or the first number of a ticket.
fn number(text: &str) -> Option<String> {
    let (_, after) = text.rsplit_once("Заказ № ").or_else(|| text.split_once("№ "))?;
    Some(after.split(' ').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::printer::gallery::{Sheet, gallery};

    fn of(sheets: &[Sheet], name: &str) -> Leaf {
        let sheet = sheets.iter().find(|sheet| sheet.name == name);
        read(sheet.map(|sheet| sheet.text.as_str()).unwrap_or_default())
    }

    #[test]
    fn every_kind_of_paper_is_read_for_what_it_is() {
        let sheets = gallery();
        for place in ["80mm-native", "58mm-native", "80mm-raster", "58mm-defined"] {
            let read = |name: &str| of(&sheets, &format!("{name}-{place}"));
            let number = Some("1950".to_owned());
            for (name, matter) in [
                ("fiscal-sale", Matter::Fiscal(Side::Sale, "2150417004417".to_owned())),
                ("fiscal-mixed", Matter::Fiscal(Side::Sale, "2150417004417".to_owned())),
                ("fiscal-test", Matter::Fiscal(Side::Sale, "2150417004417".to_owned())),
                ("fiscal-refund", Matter::Fiscal(Side::Return, "2150417004532".to_owned())),
                ("fiscal-notice", Matter::Notice(Side::Sale)),
                ("fiscal-notice-refund", Matter::Notice(Side::Return)),
                ("receipt", Matter::Plain),
                ("ticket-new", Matter::Plain),
                ("refund", Matter::Slip),
            ] {
                let leaf = read(name);
                assert_eq!((&leaf.matter, &leaf.number), (&matter, &number), "{name}-{place}");
                assert!(!leaf.is_repeat, "{name}-{place}");
            }
            assert_eq!(read("fiscal-cash-in").matter, Matter::House, "{place}");
        }
    }
}
