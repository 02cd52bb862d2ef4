//! The conversation: a line asked and answered, on a terminal or through a pipe. A secret is read without being shown, and Ctrl-C in the
//! middle of it leaves the terminal as it was.

use crate::cli::say;
use crate::i18n::{Lang, sentence};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Read, StdinLock, Write, stdin, stdout};

/// The longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// Words that mean yes and no, in every language at once.
const YES: [&str; 7] = ["y", "yes", "д", "да", "и", "иә", "1"];
const NO: [&str; 6] = ["n", "no", "н", "нет", "ж", "жоқ"];

/// The answers ended before the questions did: nothing is to be written.
pub(in crate::cli) struct Stopped;

/// Who is asked.
pub(in crate::cli) struct Talk {
    input: StdinLock<'static>,
    pub(super) lang: Lang,
}

impl Talk {
    pub(in crate::cli) fn new(lang: Lang) -> Talk {
        Talk { input: stdin().lock(), lang }
    }

    /// The sentence of a code.
    pub(in crate::cli) fn word(&self, code: &str, detail: &str) -> String {
        sentence(self.lang, code, &[("detail", detail)])
    }

    /// A line for the person, by its code.
    pub(super) fn tell(&self, code: &str, detail: &str) {
        say(&self.word(code, detail));
    }

    /// Asks for a text; Enter takes the usual one.
    pub(in crate::cli) fn ask(&mut self, question: &str, usual: &str) -> Result<String, Stopped> {
        let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
        prompt(&format!("  {question}{shown}: "))?;
        let line = self.line()?;
        Ok(if line.is_empty() { usual.to_owned() } else { line })
    }

    /// Asks for yes or no.
    pub(super) fn is(&mut self, question: &str, usual: bool) -> Result<bool, Stopped> {
        let usual = self.word(if usual { "setup.yes" } else { "setup.no" }, "");
        loop {
            let word = self.ask(question, &usual)?.to_lowercase();
            match () {
                () if YES.contains(&word.as_str()) => return Ok(true),
                () if NO.contains(&word.as_str()) => return Ok(false),
                () => self.tell("setup.yes_or_no", ""),
            }
        }
    }

    /// Lets one of several be chosen by its number; the usual one is counted from 0.
    pub(super) fn choose(&mut self, question: &str, from: &[String], usual: usize) -> Result<usize, Stopped> {
        from.iter().enumerate().for_each(|(at, text)| say(&format!("    {}) {text}", at + 1)));
        loop {
            let number = self.ask(question, &(usual + 1).to_string())?;
            match number.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
                Some(at) if at < from.len() => return Ok(at),
                Some(_) | None => self.tell("setup.number", &from.len().to_string()),
            }
        }
    }

    /// Asks for a secret; on a terminal nothing of it is shown.
    pub(super) fn secret(&mut self, question: &str) -> Result<String, Stopped> {
        let question = format!("  {question}: ");
        if !stdin().is_terminal() {
            prompt(&question)?;
            return self.line();
        }
        // First quiet, then asked: what is typed the moment the question is there must not be shown either.
        let quiet = Quiet::begin().map_err(|_| Stopped)?;
        prompt(&question)?;
        let typed = self.typed();
        drop(quiet);
        say("");
        typed
    }

    fn line(&mut self) -> Result<String, Stopped> {
        let mut line = String::new();
        let read = self.input.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).map_err(|_| Stopped)?;
        if read == 0 { Err(Stopped) } else { Ok(line.trim().to_owned()) }
    }

    /// What is typed up to Enter, sign by sign, because the terminal neither shows nor edits it now.
    fn typed(&mut self) -> Result<String, Stopped> {
        let mut typed = Vec::new();
        loop {
            let mut byte = [0];
            self.input.read_exact(&mut byte).map_err(|_| Stopped)?;
            match byte[0] {
                b'\r' | b'\n' => break,
                // Ctrl-C; Ctrl-D at the beginning.
                3 => return Err(Stopped),
                4 if typed.is_empty() => return Err(Stopped),
                // Backspace, and Ctrl-U for the whole line.
                8 | 127 => drop(typed.pop()),
                21 => typed.clear(),
                0..=31 => {}
                byte => typed.push(byte),
            }
        }
        String::from_utf8(typed).map(|text| text.trim().to_owned()).map_err(|_| Stopped)
    }
}

fn prompt(text: &str) -> Result<(), Stopped> {
    let mut out = stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| Stopped)
}

/// A terminal that shows nothing of what is typed, until it is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> rustix::io::Result<Quiet> {
        let before = tcgetattr(stdin())?;
        let mut quiet = before.clone();
        // Its signals too: Ctrl-C would end the process and leave the terminal dumb.
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Drain, &quiet)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _restored = tcsetattr(stdin(), OptionalActions::Drain, &self.0).is_ok();
    }
}
