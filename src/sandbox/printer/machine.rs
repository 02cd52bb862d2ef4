//! The strict interpreter inside the sandbox printer: bytes in order become strips of paper (escpos §2.2, §2.3, §3). It keeps its state
//! across connections: a command whose end was lost takes it from the next job. Everything that a real printer would print as junk or
//! swallow is a fault.

use super::command::{self, COLUMN_BYTES, Extent, extent, number};
use super::model::{Model, Unknown};
use super::strip::{Band, Cell, Dots, Letter, Row, Strip, indent};
use super::symbol::Symbol;
use crate::drivers::printer::layout::{Align, Style};
use crate::drivers::printer::{Buzzer, Face, Letters, font};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most faults kept.
const FAULTS_MAX: usize = 100;
/// Dots from one row to the next unless told otherwise.
const PITCH: usize = 30;
/// The highest picture in one command that all printers take, in dots.
const PICTURE_DOTS_MAX: usize = 2303;
/// The longest command that is kept; the bytes of a longer one are passed over.
const COMMAND_BYTES_MAX: usize = 1 << 20;
/// What stands where no letter could be printed.
const JUNK: char = '\u{FFFD}';

/// What a byte brought about.
#[derive(Debug)]
pub enum Event {
    /// Something to say, in sequence.
    Answer(Vec<u8>),
    /// Wanted to know of the paper sensor (`true`) or the drawer, in sequence.
    Fence(bool),
    /// Which changes are to be told unasked.
    Unasked(u8),
    /// Whether going offline is to be told.
    OfflineAnswer(bool),
    /// The drawer was opened.
    Drawer,
    /// The cook was called.
    Beep,
    /// The paper was cut.
    Cut(Vec<Strip>),
}

/// The interpreter.
#[derive(Debug)]
pub struct Machine {
    model: Model,
    set: Settings,
    /// Characters of the host's own, by font and code.
    defined: BTreeMap<(bool, u8), Arc<[u16]>>,
    symbol: Symbol,
    /// A picture that was sent and not yet printed (`GS ( L`).
    stored: Option<Dots>,
    command: Vec<u8>,
    /// Bytes of an overlong command still to come.
    passed_over: usize,
    row: Row,
    /// How wide it is, in dots.
    row_dots: usize,
    /// Parameters of an unknown command stand in the row.
    is_row_junk: bool,
    strips: Vec<Strip>,
    faults: Vec<String>,
}

/// What `ESC @` resets.
#[derive(Debug)]
struct Settings {
    /// The page; none of ours on page 0 and on numbers that the model lacks.
    letters: Option<Letters>,
    double_byte: bool,
    style: Style,
    face: Face,
    underlined: bool,
    align: Align,
    pitch: usize,
    /// Whether codes stand for what was defined.
    own: bool,
}

impl Settings {
    fn of(model: &Model) -> Settings {
        Settings {
            letters: None,
            double_byte: model.double_byte,
            style: Style::PLAIN,
            face: Face::A,
            underlined: false,
            align: Align::Left,
            pitch: PITCH,
            own: false,
        }
    }
}

impl Machine {
    /// As switched on.
    pub fn new(model: Model) -> Machine {
        Machine {
            set: Settings::of(&model),
            model,
            defined: BTreeMap::new(),
            symbol: Symbol::default(),
            stored: None,
            command: Vec::new(),
            passed_over: 0,
            row: Row::default(),
            row_dots: 0,
            is_row_junk: false,
            strips: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What was printed since the last cut.
    pub fn strips(&self) -> &[Strip] {
        &self.strips
    }

    /// What was not understood.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Switched off: what is in its memory is lost, the paper stays.
    pub fn power_off(&mut self) {
        self.forget();
        self.initialise();
    }

    /// Loses the row in the making and the command in the coming.
    pub fn forget(&mut self) {
        self.command.clear();
        self.passed_over = 0;
        self.drop_row();
    }

    /// Loses the line that was being printed when the paper ended: the row or the picture in the making, else the last one that came out.
    pub fn lose_line(&mut self) {
        if !self.row.cells.is_empty() {
            self.drop_row();
        } else if self.command.starts_with(&[0x1D, 0x76, 0x30]) && self.command.len() > 8 {
            self.command.iter_mut().skip(8).for_each(|dots| *dots = 0);
        } else {
            self.strips.pop_if(|last| !last.is_blank());
        }
    }

    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) -> Option<Event> {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return None;
        }
        if self.command.is_empty() {
            match byte {
                // Printers ignore NUL, and CR unless they are told to feed at it.
                0x00 | 0x0D => {}
                0x0A => self.end_row(self.set.pitch),
                0x10 | 0x1B..=0x1D => self.command.push(byte),
                0x20..=0x7E | 0x80.. => self.print(byte),
                _ => self.fault(format!("control byte {byte:02X} in the text")),
            }
            return None;
        }
        if byte == 0x10 && self.command.first() == Some(&0x10) {
            // A request in real time that broke off with its line: the next one begins anew, and nothing of it is printed.
            self.command.truncate(1);
            return None;
        }
        self.command.push(byte);
        match extent(&self.command, &self.model) {
            Extent::Unknown => {
                let command = std::mem::take(&mut self.command);
                self.refuse("unknown", &command);
                None
            }
            Extent::AtLeast(bytes) if bytes > COMMAND_BYTES_MAX => {
                self.passed_over = bytes - self.command.len();
                self.command.clear();
                self.fault(format!("a command of {bytes} bytes"));
                None
            }
            Extent::AtLeast(bytes) if self.command.len() < bytes => None,
            Extent::AtLeast(_) => {
                let command = std::mem::take(&mut self.command);
                self.execute(&command)
            }
        }
    }

    fn execute(&mut self, command: &[u8]) -> Option<Event> {
        match *command {
            [0x10, ..] => {}
            [0x1B, 0x40] => {
                self.initialise();
                return Some(Event::Unasked(0));
            }
            [0x1B, 0x70, pin, on, off] => return self.pulse(pin, on, off),
            [0x1B, 0x42, 1..=9, _] => return Some(Event::Beep),
            [0x1B, 0x28, 0x41, _, _, 0x30 | 0x61, ..] => return Some(Event::Beep),
            [0x1B, 0x69 | 0x6D] => return Some(self.cut(0)),
            [0x1D, 0x56, _] => return Some(self.cut(0)),
            [0x1D, 0x56, _, dots] => return Some(self.cut(usize::from(dots))),
            [0x1D, 0x61, changes] => return Some(Event::Unasked(changes)),
            [0x1D, 0x72, 1 | 0x31] if self.model.answers.fence => return Some(Event::Fence(true)),
            [0x1D, 0x72, 2 | 0x32] if self.model.answers.fence => return Some(Event::Fence(false)),
            [0x1D, 0x72, _] if !self.model.answers.fence => {}
            [0x1D, 0x49, what] => return self.identify(what),
            [0x1D, 0x28, group, _, _, ref told @ ..] => return self.counted(group, told, command),
            [0x1D, 0x76, 0x30, scale, width_low, width_high, low, high, ref data @ ..] => {
                self.raster(scale, (number(width_low, width_high), number(low, high)), data);
            }
            [0x1B, 0x26, height, first, last, ref columns @ ..] => self.define(height, (first, last), columns),
            _ => self.adjust(command),
        }
        None
    }

    /// Commands that only change how the next ones come out, or feed.
    fn adjust(&mut self, command: &[u8]) {
        match *command {
            [0x1B, 0x74, page] => self.select(page),
            [0x1B, 0x61, place @ (0 | 1 | 0x30 | 0x31)] => {
                if !self.row.cells.is_empty() {
                    self.fault("alignment changed inside a row".to_owned());
                }
                self.set.align = if place & 1 == 1 { Align::Centre } else { Align::Left };
            }
            [0x1B, 0x45, on] => self.set.style.bold = on & 1 == 1,
            [0x1D, 0x42, on] => self.set.style.inverse = on & 1 == 1,
            [0x1B, 0x2D, on] => self.set.underlined = on & 3 != 0,
            [0x1B, 0x4D, face @ (0 | 1 | 0x30 | 0x31)] => self.set.face = face_of(face & 1 == 1),
            [0x1B, 0x21, look] => {
                let (bold, tall, wide) = (look & 0x08 != 0, look & 0x10 != 0, look & 0x20 != 0);
                self.set.style = Style { bold, tall, wide, ..self.set.style };
                self.set.face = face_of(look & 0x01 != 0);
                self.set.underlined = look & 0x80 != 0;
            }
            [0x1D, 0x21, size @ (0x00 | 0x01 | 0x10 | 0x11)] => {
                self.set.style.wide = size & 0x10 != 0;
                self.set.style.tall = size & 0x01 != 0;
            }
            [0x1B, 0x32] => self.set.pitch = PITCH,
            [0x1B, 0x33, dots] => self.set.pitch = usize::from(dots),
            [0x1B, 0x4A, dots] => self.feed(usize::from(dots)),
            [0x1B, 0x64, rows] => {
                if !self.row.cells.is_empty() {
                    self.end_row(self.set.pitch);
                }
                (0..rows).for_each(|_| self.end_row(self.set.pitch));
            }
            [0x1B, 0x25, on] => self.set.own = on & 1 == 1,
            [0x1B, 0x3F, code] => drop(self.defined.remove(&(self.is_small(), code))),
            [0x1C, 0x2E] => self.set.double_byte = false,
            [0x1C, 0x26] => self.set.double_byte = true,
            _ => self.refuse("unsupported", command),
        }
    }

    /// `GS (` and what follows its length.
    fn counted(&mut self, group: u8, told: &[u8], command: &[u8]) -> Option<Event> {
        let answers = self.model.answers;
        match (group, told) {
            (0x48, [0x30, 0x30, name @ ..]) if answers.process_id && name.len() == 4 => {
                return Some(Event::Answer([&[0x37, 0x22], name, &[0]].concat()));
            }
            (0x48, [0x31, 0x30, wanted]) if answers.process_id => {
                return Some(Event::OfflineAnswer(!matches!(wanted, 0 | 0x30)));
            }
            (0x6B, [0x31, 0x51, 0x30]) if self.model.qr => self.print_symbol(),
            (0x6B, told) if self.model.qr => {
                if let Err(problem) = self.symbol.set(told) {
                    self.fault(problem);
                }
            }
            (0x4C, [0x30, 0x70, 0x30, across, down, 0x31, width_low, width_high, low, high, data @ ..])
                if self.model.graphics =>
            {
                let (width, height) = (number(*width_low, *width_high), number(*low, *high));
                let dots = Dots::from_bytes(data, width.div_ceil(8), width, height);
                self.stored = Some(dots.scaled(usize::from(*across).clamp(1, 2), usize::from(*down).clamp(1, 2)));
            }
            (0x4C, [0x30, 0x02 | 0x32]) if self.model.graphics => match self.stored.take() {
                Some(dots) => self.print_band(dots, None),
                None => self.fault("a picture is printed that was never sent".to_owned()),
            },
            (_, told) => self.unknown_group(told, command),
        }
        None
    }

    /// A long command that this model lacks. Parameters among the text are junk if they ever come to paper.
    fn unknown_group(&mut self, told: &[u8], command: &[u8]) {
        let answers_are_asked = command.get(2) == Some(&0x48);
        match self.model.unknown {
            Unknown::Swallows if answers_are_asked => {}
            Unknown::Swallows => self.refuse("unknown", command),
            Unknown::Prints => {
                for byte in told.iter().filter(|byte| (0x20..0x7F).contains(*byte)) {
                    self.put(Letter::Native(char::from(*byte)));
                    self.is_row_junk = true;
                }
            }
        }
    }

    fn initialise(&mut self) {
        self.drop_row();
        self.set = Settings::of(&self.model);
        self.defined.clear();
        self.symbol = Symbol::default();
    }

    fn drop_row(&mut self) {
        self.row.cells.clear();
        self.row_dots = 0;
        self.is_row_junk = false;
    }

    fn select(&mut self, page: u8) {
        let held = self.model.pages.iter().find(|(number, _)| *number == page).map(|(_, letters)| *letters);
        if held.is_none() && page != 0 {
            self.fault(format!("no page {page}"));
        }
        self.set.letters = held;
    }

    fn pulse(&mut self, pin: u8, on: u8, off: u8) -> Option<Event> {
        if on > off {
            self.fault(format!("drawer pulse {on} longer than its pause {off}"));
        }
        if !matches!(pin, 0 | 1 | 0x30 | 0x31) {
            self.fault(format!("no drawer at {pin:02X}"));
            return None;
        }
        (on > 0).then_some(Event::Drawer)
    }

    fn identify(&mut self, what: u8) -> Option<Event> {
        if !self.model.answers.identity {
            return None;
        }
        let text = match what {
            1 | 0x31 => return Some(Event::Answer(vec![0x20])),
            2 | 0x32 => return Some(Event::Answer(vec![0x02 | u8::from(self.model.double_byte)])),
            3 | 0x33 => return Some(Event::Answer(vec![0x01])),
            65 => "1.00",
            66 => "EPSON",
            67 => self.model.name,
            68 => "0000001",
            69 => "",
            _ => {
                self.fault(format!("asked for an unknown identity {what}"));
                return None;
            }
        };
        Some(Event::Answer([b"\x5F", text.as_bytes(), b"\0"].concat()))
    }

    fn is_small(&self) -> bool {
        self.set.face == Face::B
    }

    /// Defines characters of the font in use, column by column (escpos §2.3).
    fn define(&mut self, height: u8, (first, last): (u8, u8), mut columns: &[u8]) {
        if !command::is_definable(height, first, last) {
            return self.refuse("unsupported", &[0x1B, 0x26, height, first, last]);
        }
        let (width, rows) = font::cell(self.set.face);
        for code in first..=last {
            let Some((count, rest)) = columns.split_first() else { return };
            let count = usize::from(*count);
            if count > width {
                return self.fault(format!("a defined character of {count} columns"));
            }
            let (own, rest) = rest.split_at(rest.len().min(COLUMN_BYTES * count));
            self.defined.insert((self.is_small(), code), glyph(own, width, rows));
            columns = rest;
        }
    }

    fn print(&mut self, byte: u8) {
        if self.set.own
            && let Some(own) = self.defined.get(&(self.is_small(), byte))
        {
            let own = Letter::Defined(Arc::clone(own));
            return self.put(own);
        }
        if byte < 0x80 {
            return self.put(Letter::Native(char::from(byte)));
        }
        let letter = self.set.letters.and_then(|letters| letters.decode(byte)).filter(|_| !self.set.double_byte);
        if self.set.double_byte {
            self.fault(format!("byte {byte:02X} in double-byte mode"));
        } else if letter.is_none() {
            self.fault(format!("byte {byte:02X} is no letter of the page"));
        }
        self.put(Letter::Native(letter.unwrap_or(JUNK)));
    }

    fn put(&mut self, letter: Letter) {
        let Settings { style, face, underlined, .. } = self.set;
        let cell = Cell { letter, style, face, underlined };
        let (width, _) = cell.size();
        if self.row_dots + width > self.model.dots {
            self.fault("a row is wider than the paper".to_owned());
            self.end_row(self.set.pitch);
        }
        self.row_dots += width;
        self.row.cells.push(cell);
    }

    /// Puts the row on paper and goes on by so many dots, or by its height where that is more.
    fn end_row(&mut self, pitch: usize) {
        if std::mem::take(&mut self.is_row_junk) {
            self.fault("parameters of an unknown command on paper".to_owned());
        }
        let mut row = std::mem::take(&mut self.row);
        self.row_dots = 0;
        row.align = self.set.align;
        row.pitch = pitch.max(row.height());
        self.strips.push(Strip::Row(row));
    }

    fn feed(&mut self, dots: usize) {
        if self.row.cells.is_empty() {
            self.strips.push(Strip::Feed(dots));
        } else {
            self.end_row(dots);
        }
    }

    fn raster(&mut self, scale: u8, (row_bytes, height): (usize, usize), data: &[u8]) {
        if !matches!(scale, 0..=3 | 0x30..=0x33) || row_bytes == 0 || height == 0 {
            return self.refuse("unsupported", &[0x1D, 0x76, 0x30, scale]);
        }
        if height > PICTURE_DOTS_MAX {
            self.fault(format!("a picture {height} dots high"));
        }
        let dots = Dots::from_bytes(data, row_bytes, row_bytes * 8, height);
        self.print_band(dots.scaled(1 + usize::from(scale & 1), 1 + usize::from(scale >> 1 & 1)), None);
    }

    fn print_symbol(&mut self) {
        match self.symbol.draw() {
            Ok((dots, _)) if dots.width() > self.model.dots => {
                self.fault(format!("a symbol {} dots wide is not drawn", dots.width()));
            }
            Ok((dots, says)) => self.print_band(dots, Some(says)),
            Err(problem) => self.fault(problem),
        }
    }

    fn print_band(&mut self, dots: Dots, says: Option<String>) {
        if !self.row.cells.is_empty() {
            self.fault("a picture inside a row".to_owned());
            self.end_row(self.set.pitch);
        }
        // The last byte of a row may reach over an edge that is no multiple of eight.
        if dots.width() >= self.model.dots + 8 {
            self.fault(format!("a picture {} dots wide", dots.width()));
        }
        let left = indent(self.set.align, dots.width(), self.model.dots);
        self.strips.push(Strip::Band(Band { left, dots, says }));
    }

    fn cut(&mut self, dots: usize) -> Event {
        if !self.row.cells.is_empty() {
            self.fault("cut inside a row".to_owned());
            self.end_row(self.set.pitch);
        }
        if dots > 0 {
            self.strips.push(Strip::Feed(dots));
        }
        Event::Cut(std::mem::take(&mut self.strips))
    }

    /// A command that makes no sense. One that ends in NUL was cut short and filled up by the host: that is how a host gets free of it.
    fn refuse(&mut self, how: &str, command: &[u8]) {
        if command.last() != Some(&0) {
            let shown = command.get(..command.len().min(12)).unwrap_or_default();
            self.fault(format!("{how} command {shown:02X?}"));
        }
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    /// Whether the bell hangs on the drawer's plug.
    pub fn rings_with_drawer(&self) -> bool {
        self.model.knows(Buzzer::Drawer)
    }
}

fn face_of(small: bool) -> Face {
    if small { Face::B } else { Face::A }
}

/// Columns of three bytes, the highest bit on top, as rows of dots. Columns that were not sent are white.
fn glyph(columns: &[u8], width: usize, rows: usize) -> Arc<[u16]> {
    let mut glyph = vec![0_u16; rows];
    for (x, column) in columns.chunks(COLUMN_BYTES).enumerate() {
        for (y, row) in glyph.iter_mut().enumerate() {
            let inked = column.get(y / 8).is_some_and(|byte| byte >> (7 - y % 8) & 1 == 1);
            *row |= u16::from(inked) << (width - 1 - x);
        }
    }
    glyph.into()
}
