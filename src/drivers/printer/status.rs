//! What a printer is asked and what its bytes mean (escpos §3.1–§3.3). Pure: a worker sends [`Question::bytes`] and gives the answer to
//! [`Reader`]. A byte without the fixed bits of a status is garbage, never good news.

/// A question to a printer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `DLE EOT 1`: online or not.
    Printer,
    /// `DLE EOT 2`: why it is offline.
    Offline,
    /// `DLE EOT 3`: which error.
    Error,
    /// `DLE EOT 4`: the paper sensors.
    Paper,
    /// `GS r 1`: the paper sensor, answered in sequence and never while offline: a fence behind a job.
    Fence,
}

/// What is asked before a job, in this order.
pub const BEFORE: [Question; 2] = [Question::Paper, Question::Offline];
/// What is asked behind a job.
pub const AFTER: Question = Question::Fence;

/// How much paper there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paper {
    /// Enough, or no sensor to tell.
    Enough,
    /// The roll ends soon.
    Low,
    /// None.
    Out,
}

/// What an answer says. Flags that a question does not cover are false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The roll.
    pub paper: Paper,
    /// The cover is open.
    pub cover_open: bool,
    /// It does not print now.
    pub offline: bool,
    /// An error that needs a person: cutter, or one that nothing clears.
    pub error: bool,
    /// The cutter is stuck.
    pub cutter: bool,
}

/// Why a job must not be started, for the till to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No paper.
    PaperOut,
    /// The cover is open.
    CoverOpen,
    /// The cutter is stuck.
    Cutter,
    /// Another error.
    Error,
    /// Offline without a reason.
    Offline,
}

impl Finding {
    /// Nothing to complain about.
    pub const READY: Finding =
        Finding { paper: Paper::Enough, cover_open: false, offline: false, error: false, cutter: false };

    /// Both findings together.
    pub fn and(self, other: Finding) -> Finding {
        Finding {
            paper: self.paper.max(other.paper),
            cover_open: self.cover_open || other.cover_open,
            offline: self.offline || other.offline,
            error: self.error || other.error,
            cutter: self.cutter || other.cutter,
        }
    }

    /// Why nothing may be printed now, the most telling reason first.
    pub fn trouble(self) -> Option<Trouble> {
        let reasons = [
            (self.cover_open, Trouble::CoverOpen),
            (self.paper == Paper::Out, Trouble::PaperOut),
            (self.cutter, Trouble::Cutter),
            (self.error, Trouble::Error),
            (self.offline, Trouble::Offline),
        ];
        reasons.into_iter().find_map(|(holds, trouble)| holds.then_some(trouble))
    }
}

impl Question {
    /// The bytes to send, alone and never inside another command.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Question::Printer => &[0x10, 0x04, 1],
            Question::Offline => &[0x10, 0x04, 2],
            Question::Error => &[0x10, 0x04, 3],
            Question::Paper => &[0x10, 0x04, 4],
            Question::Fence => &[0x1D, 0x72, 1],
        }
    }

    /// What a byte says as the answer to this question; `None` when it is no answer to it.
    pub fn read(self, byte: u8) -> Option<Finding> {
        let fits = match self {
            Question::Fence => is_sequential(byte),
            Question::Printer | Question::Offline | Question::Error | Question::Paper => is_real_time(byte),
        };
        fits.then(|| self.finding(byte))
    }

    fn finding(self, byte: u8) -> Finding {
        let set = |bits: u8| byte & bits != 0;
        let paper = |out: u8, low: u8| match (set(out), set(low)) {
            (true, _) => Paper::Out,
            (false, true) => Paper::Low,
            (false, false) => Paper::Enough,
        };
        match self {
            Question::Printer => Finding { offline: set(0x08), ..Finding::READY },
            Question::Offline => {
                Finding { cover_open: set(0x04), paper: paper(0x20, 0), error: set(0x40), ..Finding::READY }
            }
            Question::Error => Finding { cutter: set(0x08), error: set(0x28), ..Finding::READY },
            Question::Paper => Finding { paper: paper(0x60, 0x0C), ..Finding::READY },
            Question::Fence => Finding { paper: paper(0x0C, 0x03), ..Finding::READY },
        }
    }
}

/// `GS a`: from now on it tells of changes of its line, errors and paper unasked, and how it is at once; `ESC @` ends that (§3.2).
pub const TELL_UNASKED: [u8; 3] = [0x1D, 0x61, 0x0E];

/// `DLE DC4` fn 8: throws away what it holds and has not printed, also while it stands (§3.4).
pub const CLEAR: [u8; 10] = [0x10, 0x14, 0x08, 0x01, 0x03, 0x14, 0x01, 0x06, 0x02, 0x08];

/// Four printable characters that name one copy of a job, for [`tell_when_printed`].
pub type PrintName = [u8; 4];

/// `GS ( H` fn 48: answered with this name when everything before it is on paper (§3.3).
pub fn tell_when_printed(name: PrintName) -> Vec<u8> {
    [&[0x1D, 0x28, 0x48, 6, 0, 0x30, 0x30][..], &name].concat()
}

/// The name in a block that answers [`tell_when_printed`].
pub fn printed(head: u8, content: &[u8]) -> Option<PrintName> {
    match content {
        [0x22, name @ ..] if head == 0x37 => name.try_into().ok(),
        _ => None,
    }
}

/// Whether a block says that [`CLEAR`] was done.
pub fn is_cleared(head: u8, content: &[u8]) -> bool {
    head == 0x37 && content == [0x25]
}

/// What a printer told unasked (§3.2).
pub fn unasked(bytes: [u8; 4]) -> Finding {
    let [state, error, paper, _reserved] = bytes;
    let rest = Finding { offline: state & 0x08 != 0, cover_open: state & 0x20 != 0, ..Finding::READY };
    let rest = Finding { cutter: error & 0x08 != 0, error: error & 0x28 != 0, ..rest };
    Finding {
        paper: if paper & 0x0C != 0 {
            Paper::Out
        } else if paper & 0x03 != 0 {
            Paper::Low
        } else {
            Paper::Enough
        },
        ..rest
    }
}

/// Whether a byte has the fixed bits of an answer to `DLE EOT n`.
pub fn is_real_time(byte: u8) -> bool {
    byte & 0x93 == 0x12
}

/// Whether a byte has the fixed bits of a short answer given in sequence (`GS r`, `GS I`).
pub fn is_sequential(byte: u8) -> bool {
    byte & 0x90 == 0
}

/// One thing that a printer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An answer to `DLE EOT n`; which one, only the asker knows.
    RealTime(u8),
    /// A short answer in sequence.
    Sequential(u8),
    /// Four bytes sent unasked when something changed.
    Unasked([u8; 4]),
    /// A block: its head byte and its content up to the closing zero.
    Block(u8, Vec<u8>),
    /// Flow control of a serial line: `true` to go on.
    Flow(bool),
    /// Nothing known.
    Garbage(u8),
}

/// The longest block that is kept; a longer one is noise.
pub const BLOCK_BYTES_MAX: usize = 80;

/// Parts the stream of answers, which may come in any pieces.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    /// A reader at the start of a stream.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Takes one more byte; returns what became complete with it.
    pub fn push(&mut self, byte: u8) -> Option<Said> {
        match self.pending.first().copied() {
            None => self.begin(byte),
            Some(head @ (0x37 | 0x3D | 0x5F)) if byte == 0 || self.pending.len() >= BLOCK_BYTES_MAX => {
                let content = self.pending.drain(..).skip(1).collect();
                Some(if byte == 0 { Said::Block(head, content) } else { Said::Garbage(head) })
            }
            Some(0x37 | 0x3D | 0x5F) => self.keep(byte),
            Some(first) if byte & 0x90 == 0 => match self.pending.as_slice() {
                [_, second, third] => {
                    let said = Said::Unasked([first, *second, *third, byte]);
                    self.pending.clear();
                    Some(said)
                }
                _ => self.keep(byte),
            },
            Some(first) => {
                // Not the rest of an unasked status: its head was noise, this byte begins anew.
                self.pending.clear();
                self.begin(byte).or(Some(Said::Garbage(first)))
            }
        }
    }

    fn begin(&mut self, byte: u8) -> Option<Said> {
        match byte {
            0x11 => Some(Said::Flow(true)),
            0x13 => Some(Said::Flow(false)),
            0x37 | 0x3D | 0x5F => self.keep(byte),
            _ if is_real_time(byte) => Some(Said::RealTime(byte)),
            _ if byte & 0x93 == 0x10 => self.keep(byte),
            _ if is_sequential(byte) => Some(Said::Sequential(byte)),
            _ => Some(Said::Garbage(byte)),
        }
    }

    fn keep(&mut self, byte: u8) -> Option<Said> {
        self.pending.push(byte);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(bytes: &[u8]) -> Vec<Said> {
        let mut reader = Reader::new();
        bytes.iter().filter_map(|byte| reader.push(*byte)).collect()
    }

    #[test]
    fn typical_answers() {
        let trouble = |question: Question, byte| question.read(byte).map(Finding::trouble);
        assert_eq!(trouble(Question::Paper, 0x12), Some(None));
        assert_eq!(trouble(Question::Paper, 0x72), Some(Some(Trouble::PaperOut)));
        assert_eq!(trouble(Question::Paper, 0x7E), Some(Some(Trouble::PaperOut)));
        assert_eq!(Question::Paper.read(0x1E).map(|found| found.paper), Some(Paper::Low));
        assert_eq!(trouble(Question::Offline, 0x16), Some(Some(Trouble::CoverOpen)));
        assert_eq!(trouble(Question::Offline, 0x32), Some(Some(Trouble::PaperOut)));
        assert_eq!(trouble(Question::Error, 0x1A), Some(Some(Trouble::Cutter)));
        assert_eq!(trouble(Question::Printer, 0x1A), Some(Some(Trouble::Offline)));
        assert_eq!(trouble(Question::Fence, 0x00), Some(None));
        assert_eq!(trouble(Question::Fence, 0x0C), Some(Some(Trouble::PaperOut)));
    }

    #[test]
    fn what_is_told_unasked_names_the_trouble() {
        let trouble = |bytes| unasked(bytes).trouble();
        assert_eq!(trouble([0x10, 0x00, 0x00, 0x0F]), None);
        assert_eq!(unasked([0x10, 0x00, 0x03, 0x00]).paper, Paper::Low);
        assert_eq!(trouble([0x18, 0x00, 0x0C, 0x00]), Some(Trouble::PaperOut));
        assert_eq!(trouble([0x38, 0x00, 0x00, 0x00]), Some(Trouble::CoverOpen));
        assert_eq!(trouble([0x18, 0x08, 0x00, 0x00]), Some(Trouble::Cutter));
        assert_eq!(trouble([0x18, 0x00, 0x00, 0x00]), Some(Trouble::Offline));
    }

    #[test]
    fn the_proof_names_its_copy() {
        let block = |bytes: &[u8]| match heard(bytes).pop() {
            Some(Said::Block(head, content)) => (head, content),
            other => (0, format!("{other:?}").into_bytes()),
        };
        let (head, content) = block(b"\x37\x22ab12\0");
        assert_eq!(printed(head, &content), Some(*b"ab12"));
        assert_eq!((printed(0x5F, &content), printed(0x37, b"\"ab1"), printed(0x37, b"ab12")), (None, None, None));
        assert_eq!(tell_when_printed(*b"ab12"), b"\x1D\x28\x48\x06\0\x30\x30ab12");
        let (head, content) = block(&[0x37, 0x25, 0]);
        assert!(is_cleared(head, &content) && !is_cleared(0x5F, &content));
    }

    #[test]
    fn garbage_is_no_answer() {
        for byte in [0x00, 0x11, 0x13, 0x10, 0xFF, 0x92, b'E'] {
            assert_eq!(Question::Paper.read(byte), None, "{byte:02X}");
        }
        assert_eq!(Question::Fence.read(0x12), None, "a late real-time answer is no fence");
    }

    #[test]
    fn a_mixed_stream_is_parted() {
        let mut bytes = vec![0x12, 0x11, 0x14, 0x00, 0x0C, 0x00, 0x00];
        bytes.extend(b"\x5FEPSON\0\x37\x22ab12\0\xFF");
        let expected = [
            Said::RealTime(0x12),
            Said::Flow(true),
            Said::Unasked([0x14, 0x00, 0x0C, 0x00]),
            Said::Sequential(0),
            Said::Block(0x5F, b"EPSON".to_vec()),
            Said::Block(0x37, b"\"ab12".to_vec()),
            Said::Garbage(0xFF),
        ];
        assert_eq!(heard(&bytes), expected);
    }

    #[test]
    fn noise_does_not_swallow_the_next_answer() {
        assert_eq!(heard(&[0x10, 0x12]), [Said::RealTime(0x12)]);
        assert!(heard(&[0x5F; 200]).iter().all(|said| matches!(said, Said::Garbage(_))));
    }
}
