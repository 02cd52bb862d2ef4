//! Printers. [`layout`] turns a document into lines of cells, [`escpos`] turns lines into bytes, [`status`] reads what a printer answers.
//! What a model can do is data ([`Profile`]): a page number means nothing without the model (escpos §2.2), so both are settings, and
//! [`candidates`] finds out which are right.

use crate::drivers::{BadSetup, Setup};

pub mod candidates;
pub mod codepage;
pub mod escpos;
pub mod font;
pub mod layout;
pub mod qr;
mod raster;
pub mod samples;
mod setup;
pub mod status;

pub use candidates::{Candidate, candidates};
pub use codepage::Letters;
pub use escpos::{recovery, render};
pub use samples::samples;

/// What a printer model can do, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Width of the print in dots: 576 on paper of 80 mm (512 at 180 dpi), 384 on 58 mm.
    pub dots: usize,
    /// The font of plain text.
    pub face: Face,
    /// Cells of that font in a line: 48 or 64 on paper of 80 mm (42 or 56 at 180 dpi), 32 or 42 on 58 mm.
    pub columns: usize,
    /// The characters its page holds.
    pub letters: Letters,
    /// The number of that page on this model (`ESC t`).
    pub page: u8,
    /// How letters come to paper that the page lacks.
    pub way: Way,
    /// Whether every job leaves the double-byte mode in which Chinese makers ship their printers.
    pub double_byte_off: bool,
    /// Empty lines before the cut, so that the tail passes the cutter or the tear bar.
    pub feed_lines: u8,
    /// How paper is parted.
    pub cut: Cut,
    /// How it calls the cook.
    pub buzzer: Buzzer,
    /// Which pin opens the drawer; `None` without a drawer.
    pub drawer: Option<Drawer>,
    /// Who draws a QR code.
    pub qr: QrForm,
    /// What it answers.
    pub status: StatusAbilities,
}

/// A font of the printer: the size of its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Font A, 12 by 24 dots.
    A,
    /// Font B, 9 by 17 dots.
    B,
}

/// How letters come to paper that the page lacks (escpos §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As letters that look alike: the page holds all that matters, or nothing better is to be had.
    Page,
    /// As characters of our own, defined at the head of each job.
    Defined,
    /// Every line as a picture from our own font.
    Raster,
}

/// How a printer calls the cook; a command that a model does not know is never sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buzzer {
    /// It has none.
    None,
    /// `ESC ( A`: Epson.
    Epson,
    /// `ESC B`: Xprinter, Rongta, ZKC and the like.
    Clone,
    /// A bell on the drawer's plug: `ESC p`.
    Drawer,
}

/// The drawer's plug and its pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawer {
    /// 0 for pin 2, 1 for pin 5.
    pub pin: u8,
    /// How long the pulse lasts, in steps of 2 ms.
    pub on: u8,
    /// How long it rests after it, in steps of 2 ms.
    pub off: u8,
}

impl Drawer {
    /// Pin 2, 50 ms on and 500 ms off: what most drawers take (escpos §3.6).
    pub const USUAL: Drawer = Drawer { pin: 0, on: 25, off: 250 };
}

/// Who draws a QR code (escpos §3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QrForm {
    /// The printer: a few bytes, on models that know `GS ( k`.
    Native,
    /// We, as a picture that every printer with graphics prints.
    Raster,
}

/// How paper is parted after a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A bridge of paper remains: tickets hang on the rail.
    Partial,
    /// All the way.
    Full,
    /// No cutter: a person tears.
    None,
}

/// What a printer answers, learnt by asking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusAbilities {
    /// Answers `DLE EOT n` at once, also while it stands.
    pub real_time: Ability,
    /// Answers `GS r n` in sequence: everything before it was processed.
    pub fence: Ability,
    /// Answers `GS ( H` with the number it was given, when everything before it is on paper.
    pub process_id: Ability,
    /// Tells of changes unasked after `GS a`.
    pub unasked: Ability,
}

impl StatusAbilities {
    /// Nobody asked it yet.
    pub const UNKNOWN: StatusAbilities = StatusAbilities::all(Ability::Unknown);
    /// It never says anything.
    pub const NONE: StatusAbilities = StatusAbilities::all(Ability::No);

    const fn all(ability: Ability) -> StatusAbilities {
        StatusAbilities { real_time: ability, fence: ability, process_id: ability, unasked: ability }
    }
}

/// Whether a model can do a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Nobody asked it yet.
    Unknown,
    /// It did.
    Yes,
    /// It does not: do not wait for it.
    No,
}

impl Profile {
    /// A printer of 80 mm with a cutter and this page at its usual number.
    pub fn wide(letters: Letters) -> Profile {
        Profile {
            dots: 576,
            face: Face::A,
            columns: 48,
            letters,
            page: letters.usual_page(),
            way: Way::Page,
            double_byte_off: true,
            feed_lines: 1,
            cut: Cut::Partial,
            buzzer: Buzzer::None,
            drawer: None,
            qr: QrForm::Raster,
            status: StatusAbilities::UNKNOWN,
        }
    }

    /// A printer of 58 mm with this page at its usual number.
    pub fn narrow(letters: Letters) -> Profile {
        Profile { dots: 384, columns: 32, feed_lines: 3, ..Profile::wide(letters) }
    }

    /// The profile that a section of the configuration describes.
    pub fn from_setup(config: &Setup) -> Result<Profile, BadSetup> {
        setup::read(config)
    }

    /// Whether a character comes to paper as itself.
    pub fn prints(&self, letter: char) -> bool {
        match self.way {
            Way::Page => self.letters.encode(letter).is_some(),
            Way::Defined => self.letters.encode(letter).is_some() || self.defines(letter),
            Way::Raster => draws(letter),
        }
    }

    /// What this printer prints of a text: each character is one cell, and nothing that has ink is dropped.
    pub fn fold(&self, text: &str) -> String {
        let mut folded = String::with_capacity(text.len());
        match self.way {
            Way::Page => self.letters.fold_into(text, &mut folded),
            Way::Defined | Way::Raster => codepage::fold_by(text, |letter| self.prints(letter), &mut folded),
        }
        folded
    }

    /// Whether a character that the page lacks is printed as one of our own. The Latin I looks the same as the Kazakh one and costs nothing.
    fn defines(&self, letter: char) -> bool {
        draws(letter) && !matches!(letter, 'І' | 'і')
    }
}

/// Whether our fonts draw a character. A space that does not break is a space.
fn draws(letter: char) -> bool {
    letter != '\u{A0}' && font::has(letter)
}
