//! Printers behind the kernel's `usblp` (escpos §3.4). The node is opened without blocking: a printer without paper refuses data for as
//! long as it likes, and closing cancels what is in flight, so the last byte is waited for. A FIFO serves as a one-way printer, a
//! plain file as one that takes everything.

use crate::transport::address::Place;
use crate::transport::discover::{self, Bus};
use crate::transport::port;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;

/// `O_NONBLOCK` of Linux on every architecture that we build for.
const NON_BLOCKING: i32 = 0o4000;

/// An open printer node.
#[derive(Debug)]
pub enum Node {
    /// A device or FIFO that tells when it is ready.
    Ready {
        /// The node.
        file: AsyncFd<File>,
        /// Whether answers can be read.
        answers: bool,
    },
    /// A plain file.
    Plain(File),
}

/// Opens the node of a printer, wherever it is plugged in now. One opener at a time: the kernel answers `busy` to the second.
pub fn open(place: &Place) -> io::Result<Node> {
    discover::opened(place, Bus::Usb, open_node)
}

fn open_node(path: &Path) -> io::Result<Node> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(Node::Plain(OpenOptions::new().append(true).open(path)?));
    }
    let answers = kind.is_char_device();
    if !answers && !kind.is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a printer: write usb:/dev/usb/lp0"));
    }
    let file = OpenOptions::new().read(answers).write(true).custom_flags(NON_BLOCKING).open(path)?;
    Ok(Node::Ready { file: watched(file)?, answers })
}

/// Watches a node for being ready. The call is deprecated for types that may close their descriptor under the watch; a `File` cannot.
#[allow(deprecated, reason = "its successor is unsafe, which the house forbids; a File keeps its descriptor")]
fn watched(file: File) -> io::Result<AsyncFd<File>> {
    AsyncFd::new(file)
}

impl Node {
    /// Writes what the node takes now, at least one byte.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let file = match self {
            Node::Plain(file) => return Poll::Ready(file.write(bytes)),
            Node::Ready { file, .. } => file,
        };
        loop {
            let mut ready = ready!(file.poll_write_ready(context))?;
            if let Ok(written) = ready.try_io(|file| file.get_ref().write(bytes)) {
                return Poll::Ready(written);
            }
        }
    }

    /// Reads what the printer said; never anything where it cannot speak.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Node::Ready { file, answers: true } = self else { return Poll::Pending };
        loop {
            let mut ready = ready!(file.poll_read_ready(context))?;
            match ready.try_io(|file| file.get_ref().read(buffer)) {
                // The end of a node that hung up, or an empty packet: then wait for the next.
                Ok(Ok(0)) if !port::is_up(ready.get_inner()) => return Poll::Ready(Ok(0)),
                Ok(Ok(0)) => ready.clear_ready(),
                Ok(read) => return Poll::Ready(read),
                Err(_would_block) => {}
            }
        }
    }

    /// Whether the printer is still plugged in.
    pub fn is_up(&self) -> bool {
        match self {
            Node::Plain(_) => true,
            Node::Ready { file, .. } => port::is_up(file.get_ref()),
        }
    }

    /// Waits until the node has given its last byte to the printer. A node that was pulled out is ready for everything: that is asked for
    /// apart.
    pub async fn sent(self) -> io::Result<()> {
        match self {
            Node::Plain(_) => Ok(()),
            Node::Ready { file, .. } => {
                // A new registration asks the kernel for the state as it is, not for the next change of it.
                let file = watched(file.into_inner())?;
                let _ready = file.writable().await?;
                if port::is_up(file.get_ref()) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
            }
        }
    }
}
