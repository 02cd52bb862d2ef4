//! The sample papers as pictures: every kind of document on both widths of paper, in every way of printing letters. What a person looks
//! at before a printer is bought, and what the tests hold against each other.

use super::{Model, picture_of};
use crate::domain::paper::Imprint;
use crate::drivers::printer::{self, Face, Letters, Profile, Way};

/// One sample paper.
pub struct Sheet {
    /// What it is: `receipt-80mm-defined`.
    pub name: String,
    /// What it says, line by line.
    pub text: String,
    /// What it looks like.
    pub png: Vec<u8>,
    /// What a real printer would have garbled; empty when all is well.
    pub faults: Vec<String>,
}

/// The widths of paper with their names.
pub fn widths(letters: Letters) -> [(&'static str, Profile); 2] {
    [("80mm", Profile::wide(letters)), ("58mm", Profile::narrow(letters))]
}

/// The ways of printing letters with their names, each with the page that it is used on.
pub const WAYS: [(&str, Way, Letters); 3] = [
    ("native", Way::Page, Letters::Kz1048),
    ("defined", Way::Defined, Letters::Pc866),
    ("raster", Way::Raster, Letters::Pc866),
];

/// What the guest's page of the demo shows: the guest's receipt and a kitchen ticket, with what they are.
pub fn shown() -> Vec<(String, Vec<u8>)> {
    let titles = [("receipt", "Чек"), ("ticket-new", "Кухня"), ("ticket-cancel", "Отмена"), ("test", "Пробная печать")];
    let ways = [("native", "буквы принтера"), ("defined", "свои буквы"), ("raster", "картинкой")];
    let title = |name: &str| {
        let (document, rest) = titles.iter().find_map(|(word, title)| Some((title, name.strip_prefix(word)?)))?;
        let (_, way) = ways.iter().find(|(word, _)| rest.ends_with(word))?;
        let width = if rest.contains("58mm") { "58 мм" } else { "80 мм" };
        Some(format!("{document}, {width}, {way}"))
    };
    let wanted = |document: &str| titles.iter().any(|(word, _)| *word == document);
    gallery_of(wanted).into_iter().filter_map(|sheet| Some((title(&sheet.name)?, sheet.png))).collect()
}

/// All sample papers: twenty-four documents, two widths, three ways.
pub fn gallery() -> Vec<Sheet> {
    gallery_of(|_| true)
}

fn gallery_of(wanted: impl Fn(&str) -> bool) -> Vec<Sheet> {
    let mut sheets = Vec::new();
    for (document_name, document) in printer::samples().into_iter().filter(|(name, _)| wanted(name)) {
        for (way_name, way, letters) in WAYS {
            for (width_name, profile) in widths(letters) {
                let profile = Profile { way, ..profile };
                let imprint = Imprint { job: 42, copy: 1, instead_of: None };
                let bytes = printer::render(&document, &imprint, &profile);
                let model = Model::standard(profile.dots / printer::font::cell(Face::A).0);
                let (text, png, faults) = picture_of(&bytes, model);
                sheets.push(Sheet { name: format!("{document_name}-{width_name}-{way_name}"), text, png, faults });
            }
        }
    }
    sheets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_drawn_and_nothing_is_garbled() {
        let sheets = gallery();
        assert_eq!(sheets.len(), 24 * 2 * 3);
        for sheet in &sheets {
            // The test slip tries pages that no one model has all of.
            let is_test = sheet.name.starts_with("test-");
            assert!(is_test || sheet.faults.is_empty(), "{}: {:?}", sheet.name, sheet.faults);
            assert!(sheet.png.len() > 1000 && sheet.text.lines().count() > 3, "{}", sheet.name);
        }
    }

    #[test]
    fn pictures_and_own_letters_say_the_same() {
        let sheets = gallery();
        let text = |name: &str, way: &str| {
            let found = sheets.iter().find(|sheet| sheet.name == format!("{name}-{way}"));
            found.map(|sheet| sheet.text.clone()).unwrap_or_default()
        };
        for name in
            ["receipt-80mm", "receipt-58mm", "ticket-new-80mm", "ticket-new-58mm", "refund-58mm", "report-z-80mm"]
        {
            let (defined, raster) = (text(name, "defined"), text(name, "raster"));
            assert!(defined.contains('қ') || defined.contains('Қ'), "{defined}");
            assert_eq!(super::super::looks(&defined), super::super::looks(&raster), "{name}");
        }
    }
}
