//! A customer display at the end of a serial line, of either language. It is as strict as the manuals let it be: what a real one would
//! show as junk, ignore or lose is a fault, and what stands on its two lines can be read back. Like a real one it never answers.

use crate::drivers::display::Speech;
use crate::drivers::printer::codepage::Letters;
use crate::host::tasks::Stop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};

const LINES: usize = 2;

/// A display.
pub struct Display {
    speech: Speech,
    columns: usize,
    letters: Letters,
    table: u8,
    inside: Mutex<Inside>,
}

/// What it holds.
struct Inside {
    glass: Vec<Vec<char>>,
    column: usize,
    row: usize,
    /// Whether its Cyrillic table is chosen.
    is_cyrillic: bool,
    /// CD5220: a line was written whole, and nothing else is heard until the display is cleared.
    is_string: bool,
    /// ESC/POS: whether it or the printer behind it listens.
    is_selected: bool,
    pending: Vec<u8>,
    pictures: usize,
    faults: Vec<String>,
}

/// What the front of the bytes is.
enum Command {
    /// More bytes are needed.
    Half,
    /// Understood; so many bytes.
    Known(usize),
    /// Not a command of this language; so many bytes.
    Strange(usize),
}

impl Display {
    /// A display that is switched off. `table` is the number of its Cyrillic table, which holds `letters`.
    pub fn new(speech: Speech, columns: usize, letters: Letters, table: u8) -> Arc<Display> {
        Arc::new(Display { speech, columns, letters, table, inside: Mutex::new(Inside::blank(columns)) })
    }

    /// Listens to one line until it is pulled out or the stop; begins with a blank glass, as after power on.
    pub async fn listen<S: AsyncRead + Unpin>(self: Arc<Self>, mut line: S, stop: Stop) {
        self.power_on();
        let mut chunk = [0; 256];
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                read = line.read(&mut chunk) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => self.receive(chunk.get(..count).unwrap_or_default()),
                },
            }
        }
    }

    /// Takes bytes as from its line.
    pub fn receive(&self, bytes: &[u8]) {
        let mut inside = self.lock();
        inside.pending.extend_from_slice(bytes);
        while !inside.pending.is_empty() {
            let front = inside.pending.clone();
            let taken = match self.take(&mut inside, &front) {
                Command::Half => break,
                Command::Known(count) => count,
                Command::Strange(count) => {
                    let shown = front.get(..count).unwrap_or_default();
                    inside.faults.push(format!("not understood: {shown:02X?}"));
                    count
                }
            };
            inside.pending.drain(..taken.clamp(1, front.len()));
        }
    }

    /// What stands on its two lines.
    pub fn text(&self) -> [String; LINES] {
        let inside = self.lock();
        [0, 1].map(|row| inside.glass.get(row).into_iter().flatten().collect())
    }

    /// Everything that a real one would not have understood; a command that never ended is one.
    pub fn faults(&self) -> Vec<String> {
        let inside = self.lock();
        let mut faults = inside.faults.clone();
        if !inside.pending.is_empty() {
            faults.push(format!("half a command: {:02X?}", inside.pending));
        }
        faults
    }

    /// How often its lower line was written: with each whole picture once.
    pub fn pictures(&self) -> usize {
        self.lock().pictures
    }

    fn power_on(&self) {
        let mut inside = self.lock();
        let (pictures, faults) = (inside.pictures, std::mem::take(&mut inside.faults));
        *inside = Inside { pictures, faults, ..Inside::blank(self.columns) };
    }

    fn take(&self, inside: &mut Inside, front: &[u8]) -> Command {
        match self.speech {
            Speech::Cd5220 => self.cd5220(inside, front),
            Speech::EscPos => self.escpos(inside, front),
        }
    }

    fn cd5220(&self, inside: &mut Inside, front: &[u8]) -> Command {
        match front {
            [0x0C, ..] => inside.clear(),
            [0x1B, b'Q', which @ (b'A' | b'B'), rest @ ..] => {
                let Some(end) = rest.iter().position(|byte| *byte == 0x0D) else {
                    return if rest.len() > self.columns { Command::Strange(front.len()) } else { Command::Half };
                };
                inside.is_string = true;
                (inside.row, inside.column) = (usize::from(*which == b'B'), 0);
                if end != self.columns {
                    inside.faults.push(format!("a line of {end} characters"));
                }
                rest.iter().take(end).for_each(|byte| self.letter(inside, *byte));
                return Command::Known(end + 4);
            }
            [0x1B] | [0x1B, b'Q'] => return Command::Half,
            // Locked: a real one ignores it.
            _ if inside.is_string => return Command::Strange(1),
            [0x1B, b'@', ..] => inside.reset(),
            [0x1B, b'c', table, ..] => {
                inside.is_cyrillic = *table == b'R';
                return Command::Known(3);
            }
            [0x1B, b'c'] => return Command::Half,
            [byte @ 0x20..=0xFF, ..] => {
                self.letter(inside, *byte);
                return Command::Known(1);
            }
            _ => return Command::Strange(1),
        }
        Command::Known(if front.first() == Some(&0x1B) { 2 } else { 1 })
    }

    fn escpos(&self, inside: &mut Inside, front: &[u8]) -> Command {
        match front {
            [0x1B, b'=', which, ..] => {
                inside.is_selected = which & 2 != 0;
                Command::Known(3)
            }
            [0x1B] | [0x1B, b'=' | b't'] | [0x1F] | [0x1F, b'C'] | [0x1F, b'$'] | [0x1F, b'$', _] => Command::Half,
            _ if !inside.is_selected => Command::Strange(1),
            [0x1B, b'@', ..] => {
                inside.reset();
                Command::Known(2)
            }
            [0x1B, b't', table, ..] => {
                inside.is_cyrillic = *table == self.table;
                Command::Known(3)
            }
            [0x1F, 1, ..] => Command::Known(2),
            [0x1F, b'C', 0 | 1, ..] => Command::Known(3),
            [0x1F, b'$', column, row, ..] => {
                let (column, row) = (usize::from(*column), usize::from(*row));
                if !(1..=self.columns).contains(&column) || !(1..=LINES).contains(&row) {
                    return Command::Strange(4);
                }
                (inside.column, inside.row) = (column - 1, row - 1);
                Command::Known(4)
            }
            [0x0C, ..] => {
                inside.clear();
                Command::Known(1)
            }
            [byte @ 0x20..=0xFF, ..] => {
                self.letter(inside, *byte);
                Command::Known(1)
            }
            _ => Command::Strange(1),
        }
    }

    /// One character at the cursor, which goes on to the next line at the end of one.
    fn letter(&self, inside: &mut Inside, byte: u8) {
        let letter = if byte >= 0x80 && !inside.is_cyrillic { None } else { self.letters.decode(byte) };
        if letter.is_none() {
            inside.faults.push(format!("junk on the glass: {byte:02X}"));
        }
        let (row, column) = (inside.row, inside.column);
        if let Some(cell) = inside.glass.get_mut(row).and_then(|line| line.get_mut(column)) {
            *cell = letter.unwrap_or('\u{FFFD}');
        }
        inside.column += 1;
        if inside.column >= self.columns {
            inside.pictures += inside.row;
            (inside.column, inside.row) = (0, (inside.row + 1) % LINES);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn blank(columns: usize) -> Inside {
        Inside {
            glass: vec![vec![' '; columns]; LINES],
            column: 0,
            row: 0,
            is_cyrillic: false,
            is_string: false,
            is_selected: true,
            pending: Vec::new(),
            pictures: 0,
            faults: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.glass.iter_mut().flatten().for_each(|cell| *cell = ' ');
        (self.column, self.row, self.is_string) = (0, 0, false);
    }

    fn reset(&mut self) {
        self.clear();
        self.is_cyrillic = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Tiyn;
    use crate::domain::order::Tender;
    use crate::drivers::display::{Face, Panel};
    use crate::i18n::Lang;

    fn panel(speech: Speech, letters: Letters, columns: usize) -> Panel {
        Panel { columns, letters, table: 17, lang: Lang::Kk, shows_link: true, speech }
    }

    #[test]
    fn both_languages_show_every_face_and_nothing_else() {
        let link = Some("https://pay.kaspi.kz/pay/abcdef123".to_owned());
        let faces = [
            Face::Idle { shop: "Дастархан «Қымыз»".to_owned() },
            Face::Pay { order: "7".to_owned(), amount: Tiyn(1_240_000), tender: Tender::KaspiInvoice, link: None },
            Face::Pay { order: "8".to_owned(), amount: Tiyn(610_000), tender: Tender::KaspiQr, link },
            Face::Unclear,
            Face::Paid { amount: Tiyn(610_000) },
            Face::Change { change: Tiyn(90_000) },
        ];
        for speech in [Speech::Cd5220, Speech::EscPos] {
            for (letters, columns) in [(Letters::Pc866, 20), (Letters::Kz1048, 20), (Letters::Cp1251, 16)] {
                let (panel, display) = (panel(speech, letters, columns), Display::new(speech, columns, letters, 17));
                for face in &faces {
                    let lines = panel.lines(face, 0);
                    // A byte at a time, as a slow line brings them.
                    panel.bytes(&lines).chunks(1).for_each(|byte| display.receive(byte));
                    assert_eq!(display.text(), lines.0, "{speech:?} {letters:?}");
                    if panel.is_running(face) {
                        let next = panel.lines(face, 3);
                        display.receive(&panel.upper(&next));
                        assert_eq!(display.text(), next.0);
                    }
                }
                assert_eq!(display.faults(), Vec::<String>::new());
                assert_eq!(display.pictures(), faces.len());
            }
        }
    }

    #[test]
    fn what_a_real_one_would_not_show_is_a_fault() {
        let cases: [(Speech, &[u8], &str); 7] = [
            (Speech::Cd5220, b"\x1BQAshort\r", "a line of 5"),
            (Speech::Cd5220, b"\x8F", "junk"),
            (Speech::Cd5220, b"\x1BQA                    \rX", "not understood"),
            (Speech::Cd5220, b"\x1B~", "not understood"),
            (Speech::Cd5220, b"\x1BQAhalf", "half a command"),
            (Speech::EscPos, b"\x1F$\x15\x01", "not understood"),
            (Speech::EscPos, b"\x1Bt\x06\x8F", "junk"),
        ];
        for (speech, bytes, told) in cases {
            let display = Display::new(speech, 20, Letters::Pc866, 17);
            display.receive(bytes);
            assert!(
                display.faults().first().is_some_and(|fault| fault.contains(told)),
                "{bytes:?} {:?}",
                display.faults()
            );
        }
    }
}
