//! Printer models as data (escpos §2.2, §3.2–§3.7): what a family of printers knows, says and holds. Numbers of pages are those of the
//! maker's table; what a model does not know is garbled by it, so a test sees a wrong profile on the paper.

use crate::drivers::printer::{Buzzer, Face, Letters, font};

/// What a printer can do, what it answers and how it stumbles.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// What it calls itself (`GS I 67`).
    pub name: &'static str,
    /// Width of the print in dots.
    pub dots: usize,
    /// Its pages with letters of ours by their numbers; page 0 is on every model and has none of them.
    pub pages: &'static [(u8, Letters)],
    /// Whether it starts in the double-byte mode of Chinese makers.
    pub double_byte: bool,
    /// What it says.
    pub answers: Answers,
    /// Whether it takes characters of the host's own (`ESC &`).
    pub user_defined: bool,
    /// Whether it takes pictures (`GS v 0`).
    pub raster: bool,
    /// Whether it takes pictures in Epson's current form (`GS ( L`).
    pub graphics: bool,
    /// Whether it draws QR codes (`GS ( k`).
    pub qr: bool,
    /// The calls for the cook that it knows.
    pub buzzers: &'static [Buzzer],
    /// Whether it empties its buffers when told in real time (`DLE DC4 8`).
    pub clears: bool,
    /// What it does with a long command that it does not know.
    pub unknown: Unknown,
    /// The receive buffer in bytes: a printer that stands takes so much and then makes its line wait.
    pub buffer_bytes: usize,
    /// How many bytes it works off in a second; 0 for at once.
    pub bytes_per_second: u32,
    /// What a second connection meets while one is open.
    pub others: Others,
}

/// Which questions a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// `DLE EOT n`, at once.
    pub real_time: bool,
    /// `GS r n`, in sequence.
    pub fence: bool,
    /// `GS ( H`, when everything before is on paper.
    pub process_id: bool,
    /// `GS a`: tells of changes unasked.
    pub unasked: bool,
    /// `GS I n`, in sequence.
    pub identity: bool,
}

impl Answers {
    /// Says all there is to say.
    pub const ALL: Answers = Answers { real_time: true, fence: true, process_id: true, unasked: true, identity: true };
    /// What most clones say.
    pub const CLONE: Answers = Answers { process_id: false, unasked: false, ..Answers::ALL };
    /// A one-way printer.
    pub const NONE: Answers =
        Answers { real_time: false, fence: false, process_id: false, unasked: false, identity: false };
}

/// What becomes of a command with a length (`GS (`) that a model does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is passed over whole.
    Swallows,
    /// Its parameters come out as text.
    Prints,
}

/// What a second connection meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// It hangs until the first one closes.
    Wait,
    /// It is closed at once.
    Refused,
}

/// What becomes of what the printer holds when it stands and gets a new roll (escpos §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// It goes on where it stood.
    #[default]
    Continues,
    /// The line being printed is lost, then it goes on.
    DropsLine,
    /// All that it holds when it begins to stand is lost.
    Loses,
    /// It keeps everything and goes on only when new data comes.
    Waits,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Behaviour; 4] = [Behaviour::Continues, Behaviour::DropsLine, Behaviour::Loses, Behaviour::Waits];
}

const EPSON_PAGES: &[(u8, Letters)] = &[(17, Letters::Pc866), (46, Letters::Cp1251), (53, Letters::Kz1048)];

impl Model {
    /// An 80 mm printer that can and says everything and starts in double-byte mode, so that no job may rely on the start.
    pub const SANDBOX: Model = Model {
        name: "SANDBOX",
        dots: 576,
        pages: EPSON_PAGES,
        double_byte: true,
        answers: Answers::ALL,
        user_defined: true,
        raster: true,
        graphics: true,
        qr: true,
        buzzers: &[Buzzer::Epson, Buzzer::Clone],
        clears: true,
        unknown: Unknown::Swallows,
        buffer_bytes: 16 * 1024,
        bytes_per_second: 0,
        others: Others::Wait,
    };
    /// Epson's current 80 mm models: 203 dpi.
    pub const EPSON_80: Model =
        Model { name: "TM-T20III", double_byte: false, buzzers: &[Buzzer::Epson], ..Model::SANDBOX };
    /// Epson's 80 mm models of 180 dpi: 42 and 56 columns.
    pub const EPSON_80_180DPI: Model = Model { name: "TM-T88V", dots: 512, buffer_bytes: 4096, ..Model::EPSON_80 };
    /// Generic 58 mm printers.
    pub const GENERIC_58: Model = Model {
        name: "POS-58",
        dots: 384,
        pages: &[(17, Letters::Pc866), (59, Letters::Pc866), (73, Letters::Cp1251)],
        double_byte: true,
        answers: Answers::CLONE,
        graphics: false,
        qr: false,
        buzzers: &[],
        clears: false,
        buffer_bytes: 4096,
        ..Model::SANDBOX
    };
    /// Xprinter and its like on 80 mm: unknown commands come out as text, a second connection is turned away.
    pub const XPRINTER_80: Model = Model {
        name: "XP-T80A",
        dots: 576,
        pages: &[(17, Letters::Pc866), (23, Letters::Cp1251), (73, Letters::Cp1251)],
        qr: true,
        buzzers: &[Buzzer::Clone],
        unknown: Unknown::Prints,
        buffer_bytes: 16 * 1024,
        others: Others::Refused,
        ..Model::GENERIC_58
    };
    /// Rongta: other numbers for the same pages.
    pub const RONGTA_80: Model = Model {
        name: "RP326",
        pages: &[(7, Letters::Pc866), (6, Letters::Cp1251)],
        unknown: Unknown::Swallows,
        others: Others::Wait,
        ..Model::XPRINTER_80
    };
    /// Posiflex: the bell rings with the drawer's pulse.
    pub const POSIFLEX_80: Model = Model {
        name: "PP6900",
        pages: &[(17, Letters::Pc866), (28, Letters::Cp1251)],
        double_byte: false,
        buzzers: &[Buzzer::Drawer],
        ..Model::RONGTA_80
    };
    /// A printer behind a one-way cable or box.
    pub const ONE_WAY: Model = Model { name: "ONE-WAY", answers: Answers::NONE, ..Model::RONGTA_80 };

    /// The models that shops have.
    pub const ALL: [Model; 7] = [
        Model::EPSON_80,
        Model::EPSON_80_180DPI,
        Model::GENERIC_58,
        Model::XPRINTER_80,
        Model::RONGTA_80,
        Model::POSIFLEX_80,
        Model::ONE_WAY,
    ];

    /// The sandbox's own model with so many columns of font A: 48, 42 or 32.
    pub fn standard(columns: usize) -> Model {
        let (width, _) = font::cell(Face::A);
        // 42 columns are what is left of 512 dots.
        let dots = if columns == 42 { 512 } else { columns * width };
        Model { dots, ..Model::SANDBOX }
    }

    /// How many plain cells of a font a line holds.
    pub fn columns(&self, face: Face) -> usize {
        self.dots / font::cell(face).0
    }

    /// Whether it knows a call for the cook.
    pub fn knows(&self, buzzer: Buzzer) -> bool {
        self.buzzers.contains(&buzzer)
    }
}
