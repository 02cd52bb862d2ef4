//! A printer's section of the configuration becomes its [`Profile`]. A value that no printer has is refused with its cure; what is not
//! written is what most shops have: paper of 80 mm, page 866, Kazakh letters as characters of our own.

use super::{Buzzer, Cut, Drawer, Face, Letters, Profile, QrForm, StatusAbilities, Way};
use crate::drivers::{BadSetup, Setup};
use std::ops::RangeInclusive;

/// Cells of a line that any paper may have.
const COLUMNS: RangeInclusive<i64> = 24..=72;

/// Reads the keys of [`super::escpos::KIND`].
pub fn read(setup: &Setup) -> Result<Profile, BadSetup> {
    let mut profile = paper(setup, letters(setup)?)?;
    if let Some(number) = setup.number("code_page") {
        profile.page = u8::try_from(number).map_err(|_| page_range(number))?;
    }
    profile.way = way(setup, profile.letters)?;
    profile.cut = choice(setup, "cut", &[("partial", Cut::Partial), ("full", Cut::Full), ("none", Cut::None)])?;
    profile.qr = choice(setup, "qr", &[("raster", QrForm::Raster), ("native", QrForm::Native)])?;
    profile.double_byte_off = setup.flag("double_byte_off").unwrap_or(true);
    profile.drawer = drawer(setup)?;
    profile.buzzer = buzzer(setup, profile.drawer)?;
    if setup.flag("answers") == Some(false) {
        profile.status = StatusAbilities::NONE;
    }
    Ok(profile)
}

/// The paper with its dots, font and columns (escpos §3.7).
fn paper(setup: &Setup, letters: Letters) -> Result<Profile, BadSetup> {
    let widths = [("80mm", Profile::wide(letters)), ("58mm", Profile::narrow(letters))];
    let mut profile = choice(setup, "paper", &widths)?;
    let is_wide = profile.dots == widths[0].1.dots;
    profile.dots = match setup.number("dpi").unwrap_or(203) {
        203 => profile.dots,
        180 if is_wide => 512,
        180 => return Err(bad("dpi", "paper of 58 mm at 180 dpi differs by model: write columns instead".to_owned())),
        other => return Err(bad("dpi", format!("{other} dpi is no print head of a counter: write 203 or 180"))),
    };
    profile.face = choice(setup, "font", &[("a", Face::A), ("b", Face::B)])?;
    let (cell, _) = super::font::cell(profile.face);
    profile.columns = profile.dots / cell;
    if let Some(number) = setup.number("columns") {
        let columns = COLUMNS.contains(&number).then(|| usize::try_from(number).ok()).flatten();
        profile.columns = columns.ok_or_else(|| {
            let (least, most) = (COLUMNS.start(), COLUMNS.end());
            bad("columns", format!("{number} is out of bounds: count the ruler of the test slip, {least} to {most}"))
        })?;
        // A wider roll, or a narrower print: both keep their cells.
        profile.dots = profile.dots.max(profile.columns * cell);
    }
    Ok(profile)
}

/// The table, named or told by a number that only one table has on most models.
fn letters(setup: &Setup) -> Result<Letters, BadSetup> {
    if let Some(word) = setup.text("letters") {
        let problem =
            || format!("'{word}' is not a table of letters: write \"pc866\", \"cp1251\", \"kz1048\" or \"posiflex\"");
        return Letters::from_word(word).ok_or_else(|| bad("letters", problem()));
    }
    match setup.number("code_page") {
        None => Ok(Letters::Pc866),
        Some(number) if !(0..=255).contains(&number) => Err(page_range(number)),
        Some(number) => {
            let usual = Letters::ALL.into_iter().find(|letters| i64::from(letters.usual_page()) == number);
            let problem = || {
                format!(
                    "page {number} is another table on each model: add letters = \"pc866\", \"cp1251\", \"kz1048\" or \"posiflex\""
                )
            };
            usual.ok_or_else(|| bad("letters", problem()))
        }
    }
}

/// How Kazakh letters come to paper: from the page where it has them, else as characters of our own.
fn way(setup: &Setup, letters: Letters) -> Result<Way, BadSetup> {
    let usual = if letters.holds_kazakh() { Way::Page } else { Way::Defined };
    if setup.text("kazakh").is_none() {
        return Ok(usual);
    }
    choice(setup, "kazakh", &[("page", Way::Page), ("defined", Way::Defined), ("raster", Way::Raster)])
}

fn drawer(setup: &Setup) -> Result<Option<Drawer>, BadSetup> {
    let pin = match setup.number("drawer_pin") {
        None | Some(2) => 0,
        Some(5) => 1,
        Some(other) => return Err(bad("drawer_pin", format!("a drawer has no pin {other}: write 2 or 5"))),
    };
    Ok(setup.flag("drawer").unwrap_or(false).then_some(Drawer { pin, ..Drawer::USUAL }))
}

fn buzzer(setup: &Setup, drawer: Option<Drawer>) -> Result<Buzzer, BadSetup> {
    let words =
        [("none", Buzzer::None), ("epson", Buzzer::Epson), ("clone", Buzzer::Clone), ("drawer", Buzzer::Drawer)];
    let buzzer = choice(setup, "buzzer", &words)?;
    if buzzer == Buzzer::Drawer && drawer.is_some() {
        let problem = "a bell and a drawer on one plug: each ticket would open the drawer; remove one of them";
        return Err(bad("buzzer", problem.to_owned()));
    }
    Ok(buzzer)
}

/// The value of a word; the first one when the key is not there.
fn choice<T: Clone, const N: usize>(
    setup: &Setup,
    key: &'static str,
    words: &[(&'static str, T); N],
) -> Result<T, BadSetup> {
    let word = setup.text(key);
    let found = words.iter().find(|(known, _)| word.is_none_or(|word| word == *known));
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(known, _)| format!("\"{known}\"")).collect();
        bad(key, format!("'{}' is not one of its words: write {}", word.unwrap_or_default(), known.join(" or ")))
    })
}

fn page_range(number: i64) -> BadSetup {
    bad("code_page", format!("{number} is not a page: write the number from the printer's self-test, 0 to 255"))
}

fn bad(key: &'static str, problem: String) -> BadSetup {
    BadSetup { key, problem }
}
