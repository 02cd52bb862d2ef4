//! Printers behind the kernel's `usblp` (escpos §3.4). The node is opened without blocking: a printer without paper refuses data for as
//! long as it likes, and closing cancels what is in flight, so the last byte is waited for. A FIFO serves as a one-way printer, a
//! plain file as one that takes everything.

use crate::transport::address::Place;
use crate::transport::discover::{self, Bus};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
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
    open_node(&discover::node(place, Bus::Usb)?)
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
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match self {
            Node::Plain(file) => return file.write(bytes),
            Node::Ready { file, .. } => file,
        };
        loop {
            let mut ready = file.writable().await?;
            if let Ok(written) = ready.try_io(|file| file.get_ref().write(bytes)) {
                return written;
            }
        }
    }

    /// Reads what the printer said; waits for ever where it cannot speak.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Node::Ready { file, answers: true } = self else { return std::future::pending().await };
        loop {
            let mut ready = file.readable().await?;
            match ready.try_io(|file| file.get_ref().read(buffer)) {
                // An empty packet, not the end: wait for the next.
                Ok(Ok(0)) => ready.clear_ready(),
                Ok(read) => return read,
                Err(_would_block) => {}
            }
        }
    }

    /// Waits until the node has given its last byte to the printer.
    pub async fn sent(self) -> io::Result<()> {
        match self {
            Node::Plain(_) => Ok(()),
            Node::Ready { file, .. } => {
                // A new registration asks the kernel for the state as it is, not for the next change of it.
                let file = watched(file.into_inner())?;
                file.writable().await.map(|_ready| ())
            }
        }
    }
}
