//! Serial lines (escpos §3.4): 8 data bits, the settings of the address, nobody else on the port while we hold it. The kernel raises DTR
//! and RTS at the first opening and drops them at the last closing, which is what printers wait for: nothing else moves them.

use crate::transport::address::{Flow, Parity, SerialLine};
use crate::transport::discover::{self, Bus};
use rustix::termios::{InputModes, OptionalActions};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use tokio_serial::{ClearBuffer, SerialPort, SerialStream};

/// `O_NONBLOCK` and `O_NOCTTY` of Linux on every architecture that we build for.
const NON_BLOCKING_NO_CONSOLE: i32 = 0o4000 | 0o400;

/// The most bytes that may be on their way where the printer can only say "wait" by a byte that nobody but us obeys: it says so when 128
/// bytes of its buffer are left.
pub const LEAD_BYTES_MAX: usize = 64;

/// An open serial line.
#[derive(Debug)]
pub struct Line {
    /// The line itself.
    pub port: SerialStream,
    baud: u32,
    /// Start, data, parity and stop bits of one byte.
    bits: u32,
    flow: Flow,
    is_stuck: bool,
}

/// Opens a line for us alone, wherever its device is plugged in now. What came before us is thrown away.
pub fn open(line: &SerialLine) -> io::Result<Line> {
    let port = discover::opened(&line.place, Bus::Serial, |node| open_node(line, node))?;
    port.clear(ClearBuffer::Input)?;
    let bits = 1 + 8 + u32::from(line.parity != Parity::None) + u32::from(line.stop_bits);
    Ok(Line { port, baud: line.baud, bits, flow: line.flow, is_stuck: false })
}

fn open_node(line: &SerialLine, node: &Path) -> io::Result<SerialStream> {
    let parity = match line.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let flow = match line.flow {
        Flow::None => tokio_serial::FlowControl::None,
        Flow::RtsCts => tokio_serial::FlowControl::Hardware,
        Flow::XonXoff => tokio_serial::FlowControl::Software,
    };
    let stop_bits = if line.stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
    let settings = tokio_serial::new(node.to_string_lossy(), line.baud)
        .data_bits(tokio_serial::DataBits::Eight)
        .parity(parity)
        .stop_bits(stop_bits)
        .flow_control(flow)
        .exclusive(true);
    // Behind the exclusive opening nobody gets a second descriptor, not even we.
    let second = (line.flow == Flow::XonXoff).then(|| second(node)).transpose()?;
    let port = SerialStream::open(&settings).map_err(|cause| match cause.kind {
        // The crate says "no device" of a line that another program has locked.
        tokio_serial::ErrorKind::NoDevice if node.exists() => {
            io::Error::new(io::ErrorKind::ResourceBusy, cause.description)
        }
        tokio_serial::ErrorKind::NoDevice
        | tokio_serial::ErrorKind::InvalidInput
        | tokio_serial::ErrorKind::Unknown
        | tokio_serial::ErrorKind::Io(_) => cause.into(),
    })?;
    second.as_ref().map(only_the_printer_asks_to_wait).transpose()?;
    Ok(port)
}

fn second(node: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(NON_BLOCKING_NO_CONSOLE).open(node)
}

/// Our own "wait" and "go on" would be bytes in the middle of a picture: only the printer sends them (escpos §3.4).
fn only_the_printer_asks_to_wait(node: &File) -> io::Result<()> {
    let mut settings = rustix::termios::tcgetattr(node)?;
    settings.input_modes.remove(InputModes::IXOFF | InputModes::IXANY);
    Ok(rustix::termios::tcsetattr(node, OptionalActions::Now, &settings)?)
}

impl Line {
    /// Bytes that the machine holds and the line has not taken yet. Asked for instead of a flush, which blocks its thread.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.port.bytes_to_write()?).unwrap_or(usize::MAX))
    }

    /// How long the line needs for some bytes.
    pub fn span(&self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(u64::from(self.bits));
        Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(self.baud.max(1)))
    }

    /// Whether nobody but us obeys when the printer says "wait": the kernel does it where the address says so, and wires speak for themselves.
    pub fn is_ours_to_pause(&self) -> bool {
        self.flow == Flow::None
    }

    /// Whether the device is still there: a line that was hung up answers no question.
    pub fn is_up(&self) -> bool {
        self.port.bytes_to_read().is_ok()
    }

    /// Its last bytes will not go out: closing it must not wait for them.
    pub fn give_up(&mut self) {
        self.is_stuck = true;
    }
}

impl Drop for Line {
    /// The kernel waits half a minute at closing for bytes that a printer does not take, and our thread with it.
    fn drop(&mut self) {
        if self.is_stuck {
            let _thrown_away = self.port.clear(ClearBuffer::Output).is_ok();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::transport::address::Place;

    fn opened(flow: Flow, theirs: &SerialStream) -> Line {
        let place = Place::node(theirs.name().unwrap());
        open(&SerialLine { place, baud: 9600, parity: Parity::Even, stop_bits: 2, flow }).unwrap()
    }

    #[tokio::test]
    async fn a_line_is_as_its_address_says() {
        let (_master, slave) = SerialStream::pair().unwrap();
        let about = second(Path::new(&slave.name().unwrap())).unwrap();
        let line = opened(Flow::XonXoff, &slave);
        let modes = rustix::termios::tcgetattr(&about).unwrap().input_modes;
        assert!(modes.contains(InputModes::IXON) && !modes.contains(InputModes::IXOFF), "{modes:?}");
        assert_eq!(line.port.data_bits().unwrap(), tokio_serial::DataBits::Eight);
        assert_eq!(line.port.stop_bits().unwrap(), tokio_serial::StopBits::Two);
        // 12 bits at 9600: 1.25 ms a byte, 20 seconds for a full buffer.
        assert_eq!((line.span(1), line.span(16_384)), (Duration::from_micros(1250), Duration::from_millis(20_480)));
        drop(line);
        let line = opened(Flow::None, &slave);
        let modes = rustix::termios::tcgetattr(&about).unwrap().input_modes;
        assert!(!modes.intersects(InputModes::IXON | InputModes::IXOFF), "{modes:?}");
        assert!(line.is_ours_to_pause() && line.is_up());
    }

    #[tokio::test]
    async fn a_line_that_was_hung_up_is_not_up() {
        let (master, slave) = SerialStream::pair().unwrap();
        let line = opened(Flow::RtsCts, &slave);
        assert!(line.is_up() && !line.is_ours_to_pause());
        drop(master);
        assert!(!line.is_up());
    }
}
