//! The strict interpreter inside the sandbox printer: bytes in order become rows of cells (escpos §2.2, §3). It starts in double-byte
//! mode, as printers made in China do, and calls everything a fault that a real one would print as junk or swallow.

use crate::drivers::printer::Letters;
use crate::drivers::printer::layout::{Align, Style};

/// The most faults kept.
const FAULTS_MAX: usize = 100;

/// What a byte brought about.
#[derive(Debug)]
pub enum Event {
    /// Something to say, in sequence.
    Answer(Vec<u8>),
    /// The drawer was opened.
    Drawer,
    /// The paper was cut.
    Cut(Vec<Row>),
}

/// A row of cells.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its cells with their looks.
    pub cells: Vec<(char, Style)>,
    /// Its place.
    pub align: Align,
}

impl Row {
    /// How many plain cells it takes.
    pub fn columns(&self) -> usize {
        self.cells.iter().map(|(_, style)| 1 + usize::from(style.wide)).sum()
    }
}

/// The rows as text; empty rows at the end are only fed paper.
pub fn text(rows: &[Row], columns: usize) -> String {
    let printed = rows.iter().rposition(|row| !row.cells.is_empty()).map_or(0, |last| last + 1);
    let mut text = String::new();
    for row in rows.iter().take(printed) {
        let wide = row.cells.first().is_some_and(|(_, style)| style.wide);
        let margin = match row.align {
            Align::Left => 0,
            Align::Centre => columns.saturating_sub(row.columns()) / 2 / (1 + usize::from(wide)),
        };
        let letters: String = row.cells.iter().map(|(letter, _)| letter).collect();
        text.push_str(format!("{:margin$}{letters}", "").trim_end());
        text.push('\n');
    }
    text
}

/// The interpreter.
#[derive(Debug)]
pub struct Machine {
    columns: usize,
    /// `None` for a page that this model has not.
    letters: Option<Letters>,
    double_byte: bool,
    style: Style,
    align: Align,
    command: Vec<u8>,
    row: Row,
    rows: Vec<Row>,
    faults: Vec<String>,
}

impl Machine {
    /// As switched on.
    pub fn new(columns: usize) -> Machine {
        Machine {
            columns,
            letters: None,
            double_byte: true,
            style: Style::PLAIN,
            align: Align::Left,
            command: Vec::new(),
            row: Row::default(),
            rows: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What was printed since the last cut.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What was not understood.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The line was lost inside a command: its beginning is forgotten.
    pub fn drop_incomplete(&mut self) {
        self.command.clear();
    }

    /// Switched off: the row in its memory is lost, the paper stays.
    pub fn power_off(&mut self) {
        self.command.clear();
        self.initialise();
    }

    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) -> Option<Event> {
        if self.command.is_empty() {
            match byte {
                0x0A => self.end_row(),
                0x10 | 0x1B..=0x1D => self.command.push(byte),
                0x20..=0x7E | 0x80.. => self.print(byte),
                _ => self.fault(format!("control byte {byte:02X} in the text")),
            }
            return None;
        }
        self.command.push(byte);
        match length(&self.command) {
            None => {
                let command = std::mem::take(&mut self.command);
                self.fault(format!("unknown command {command:02X?}"));
                None
            }
            Some(length) if self.command.len() < length => None,
            Some(_) => {
                let command = std::mem::take(&mut self.command);
                self.execute(&command)
            }
        }
    }

    fn execute(&mut self, command: &[u8]) -> Option<Event> {
        match *command {
            [0x1B, 0x40] => self.initialise(),
            [0x1B, 0x74, page] => self.select(page),
            [0x1B, 0x61, place @ 0..=1] => {
                if !self.row.cells.is_empty() {
                    self.fault("alignment changed inside a row".to_owned());
                }
                self.align = if place == 1 { Align::Centre } else { Align::Left };
            }
            [0x1B, 0x45, on] => self.style.bold = on & 1 == 1,
            [0x1B, 0x64, count] => {
                if !self.row.cells.is_empty() {
                    self.end_row();
                }
                self.rows.extend((0..count).map(|_| Row::default()));
            }
            [0x1B, 0x32] | [0x1B, 0x33 | 0x4D, _] | [0x1B, 0x42, _, _] => {}
            [0x1B, 0x70, _, on, off] => {
                if on > off {
                    self.fault(format!("drawer pulse {on} longer than its pause {off}"));
                }
                return Some(Event::Drawer);
            }
            [0x1C, 0x2E] => self.double_byte = false,
            [0x1C, 0x26] => self.double_byte = true,
            [0x1D, 0x21, size @ (0x00 | 0x01 | 0x10 | 0x11)] => {
                self.style.wide = size & 0x10 != 0;
                self.style.tall = size & 0x01 != 0;
            }
            [0x1D, 0x42, on] => self.style.inverse = on & 1 == 1,
            [0x1D, 0x56, ..] => return Some(self.cut()),
            [0x1D, 0x72, 1 | 2] => return Some(Event::Answer(vec![0x00])),
            [0x1D, 0x49, 67] => return Some(Event::Answer(b"\x5FSANDBOX\0".to_vec())),
            [0x1D, 0x28, 0x48, 6, 0, 0x30, 0x30, ref name @ ..] => {
                return Some(Event::Answer([&[0x37, 0x22], name, &[0]].concat()));
            }
            _ => self.fault(format!("unsupported command {command:02X?}")),
        }
        None
    }

    fn initialise(&mut self) {
        self.row.cells.clear();
        self.letters = None;
        self.double_byte = true;
        self.style = Style::PLAIN;
        self.align = Align::Left;
    }

    fn select(&mut self, page: u8) {
        self.letters = Letters::ALL.into_iter().find(|letters| letters.usual_page() == page);
        if self.letters.is_none() {
            self.fault(format!("no page {page}"));
        }
    }

    fn print(&mut self, byte: u8) {
        if byte >= 0x80 && self.double_byte {
            self.fault(format!("byte {byte:02X} in double-byte mode"));
        }
        let letter = match self.letters {
            _ if byte < 0x80 => char::from(byte),
            Some(letters) => letters.decode(byte).unwrap_or('\u{FFFD}'),
            None => '\u{FFFD}',
        };
        if letter == '\u{FFFD}' {
            self.fault(format!("byte {byte:02X} is no letter of the page"));
        }
        if self.row.columns() + usize::from(self.style.wide) >= self.columns {
            self.fault("a row is wider than the paper".to_owned());
            self.end_row();
        }
        self.row.cells.push((letter, self.style));
    }

    fn end_row(&mut self) {
        self.row.align = self.align;
        self.rows.push(std::mem::take(&mut self.row));
    }

    fn cut(&mut self) -> Event {
        if !self.row.cells.is_empty() {
            self.fault("cut inside a row".to_owned());
            self.end_row();
        }
        Event::Cut(std::mem::take(&mut self.rows))
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }
}

/// How long a command is, as far as its bytes tell; `None` when nobody knows it.
fn length(command: &[u8]) -> Option<usize> {
    match command {
        [0x1B, 0x32 | 0x40] | [0x1C, 0x26 | 0x2E] => Some(2),
        [0x1B, 0x33 | 0x45 | 0x4D | 0x61 | 0x64 | 0x74, ..] | [0x1D, 0x21 | 0x42 | 0x49 | 0x72, ..] => Some(3),
        [0x1D, 0x56] | [0x1D, 0x56, 0 | 1 | 0x30 | 0x31] => Some(3),
        [0x1D, 0x56, 0x41 | 0x42, ..] | [0x1B, 0x42, ..] => Some(4),
        [0x1B, 0x70, ..] => Some(5),
        [0x1D, 0x28, _, low, high, ..] => Some(5 + usize::from(*low) + 256 * usize::from(*high)),
        [0x1D, 0x28, ..] => Some(5),
        _ => None,
    }
}
