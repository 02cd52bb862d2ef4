//! The wires below a [`Wire`](super::wire::Wire): what each of them takes, says and knows of its other end. All are asked without waiting, so
//! that one task can listen and write at once.

use super::address::Address;
use super::{serial, tcp, usb};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(super) enum Port {
    Tcp(TcpStream),
    Serial(serial::Line),
    Usb(usb::Node),
    Inside(DuplexStream),
}

pub(super) async fn open(address: &Address) -> io::Result<Port> {
    match address {
        Address::Tcp { host, port } => tcp::open(host, *port).await.map(Port::Tcp),
        Address::Serial(line) => serial::open(line).map(Port::Serial),
        Address::Usb(place) => usb::open(place).map(Port::Usb),
        Address::Web { .. } => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a printer has no web address: write tcp://HOST:9100"))
        }
    }
}

impl Port {
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self {
            Port::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Port::Serial(line) => Pin::new(&mut line.port).poll_write(context, bytes),
            Port::Usb(node) => node.poll_write(context, bytes),
            Port::Inside(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        again_if_interrupted(context, written)
    }

    /// What came; 0 at the end of the wire.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = match self {
            Port::Tcp(stream) => fill(Pin::new(stream), context, buffer),
            Port::Serial(line) => fill(Pin::new(&mut line.port), context, buffer),
            Port::Usb(node) => node.poll_read(context, buffer),
            Port::Inside(stream) => fill(Pin::new(stream), context, buffer),
        };
        again_if_interrupted(context, read)
    }

    /// Whether the other end is there, as far as the machine knows. What a line inside of this process said goes to `said`: there is no
    /// other way to ask it.
    pub(super) fn is_up(&mut self, said: &mut Vec<u8>) -> bool {
        match self {
            Port::Tcp(stream) => is_up(&*stream),
            Port::Serial(line) => line.is_up(),
            Port::Usb(node) => node.is_up(),
            Port::Inside(stream) => {
                let mut buffer = [0; 64];
                let read = fill(Pin::new(stream), &mut Context::from_waker(Waker::noop()), &mut buffer);
                let count = if let Poll::Ready(Ok(count)) = read { count } else { 0 };
                said.extend(buffer.iter().take(count));
                read.is_pending() || count > 0
            }
        }
    }

    /// How long the wire needs for some bytes at best.
    pub(super) fn span(&self, bytes: usize) -> Duration {
        match self {
            Port::Serial(line) => line.span(bytes),
            Port::Tcp(_) | Port::Usb(_) | Port::Inside(_) => Duration::ZERO,
        }
    }

    /// The line, where the printer's "wait" is ours to obey.
    pub(super) fn paced(&self) -> Option<&serial::Line> {
        match self {
            Port::Serial(line) => Some(line).filter(|line| line.is_ours_to_pause()),
            Port::Tcp(_) | Port::Usb(_) | Port::Inside(_) => None,
        }
    }

    /// Its last bytes will not go out.
    pub(super) fn give_up(&mut self) {
        match self {
            Port::Serial(line) => line.give_up(),
            Port::Tcp(_) | Port::Usb(_) | Port::Inside(_) => {}
        }
    }
}

fn fill(stream: Pin<&mut impl AsyncRead>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(stream.poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// A signal to the process is no failure of a wire; the deadline of whoever asks bounds the repeats.
fn again_if_interrupted(context: &Context<'_>, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    match done {
        Poll::Ready(Err(cause)) if cause.kind() == io::ErrorKind::Interrupted => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Ready(_) | Poll::Pending => done,
    }
}

/// Whether the kernel has not heard that the other end hung up. Takes nothing of what it said.
pub(super) fn is_up(descriptor: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(descriptor, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let down = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    poll(&mut asked, Some(&at_once)).is_ok() && !asked.iter().any(|one| one.revents().intersects(down))
}
