//! One wire to a printer, whatever it is made of. It judges its own failures and nothing else (law 5): until a byte of a job was accepted
//! a failure is `NotSent`, afterwards `Unknown`. Every step has a deadline on the house's clock; nothing here blocks a thread.

use crate::host::clock::Clock;
use crate::transport::address::Address;
use crate::transport::{Loss, serial, tcp, usb};
use futures_util::future::BoxFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio_serial::SerialStream;

/// The most bytes that one read returns.
const READ_BYTES_MAX: usize = 256;
/// How often a serial line is asked whether its last byte is out.
const SERIAL_ASK_GAP: Duration = Duration::from_millis(10);
/// How long stale input is looked for.
const DRAIN_SPAN: Duration = Duration::from_millis(20);
/// The most stale input that is thrown away; a device that says more is left talking.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// How patient a wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To open it.
    pub open: Duration,
    /// To hand over one chunk.
    pub chunk: Duration,
    /// How large a chunk is, 1 to 4 kB.
    pub chunk_bytes: usize,
    /// To get the last byte out at the end.
    pub finish: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            open: Duration::from_secs(3),
            chunk: Duration::from_secs(10),
            chunk_bytes: 2048,
            finish: Duration::from_secs(2),
        }
    }
}

/// An open wire to a printer.
#[derive(Debug)]
pub struct Wire {
    port: Port,
    limits: Limits,
    clock: Clock,
    /// Whether bytes of a job were accepted: from then on every failure is `Unknown`.
    committed: bool,
}

#[derive(Debug)]
enum Port {
    Tcp(TcpStream),
    Serial(SerialStream),
    Usb(usb::Node),
    Inside(DuplexStream),
}

/// Who is asked for a line inside of this process.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<DuplexStream>> + Send + Sync>;

/// Where a printer is.
#[derive(Clone)]
pub enum Way {
    /// Where the address says.
    Address(Address),
    /// Inside of this process: a simulation has no sockets.
    Inside(Dial),
}

impl Wire {
    /// Opens the wire that an address names. Absent, refused, busy and not permitted are all `NotSent`, told with the cure.
    pub async fn open(address: &Address, limits: Limits, clock: &Clock) -> Result<Wire, Loss> {
        Wire::begin(address, open(address), limits, clock).await
    }

    /// Opens the wire to where a printer is, as [`Wire::open`] does.
    pub async fn open_way(way: &Way, limits: Limits, clock: &Clock) -> Result<Wire, Loss> {
        match way {
            Way::Address(address) => Wire::open(address, limits, clock).await,
            Way::Inside(dial) => {
                let port = async { dial().await.map(Port::Inside) };
                Wire::begin(&"inside", port, limits, clock).await
            }
        }
    }

    async fn begin(
        address: &impl std::fmt::Display,
        open: impl Future<Output = io::Result<Port>>,
        limits: Limits,
        clock: &Clock,
    ) -> Result<Wire, Loss> {
        let opened = clock.limit(limits.open, open).await;
        let port = match opened {
            Ok(Ok(port)) => port,
            Ok(Err(cause)) => return Err(Loss::NotSent(format!("{address}: {}", told(&cause)).into())),
            Err(_elapsed) => {
                return Err(Loss::NotSent(format!("{address}: nobody answers; is it switched on?").into()));
            }
        };
        Ok(Wire { port, limits, clock: clock.clone(), committed: false })
    }

    /// Sends the bytes of a job in chunks, each with its deadline.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        self.send(bytes, true).await
    }

    /// Sends a question that prints nothing (a status request): its loss says nothing about a job.
    pub async fn ask(&mut self, question: &[u8]) -> Result<(), Loss> {
        self.send(question, false).await
    }

    /// Reads what came, waiting at most a span; empty when nothing came.
    pub async fn read_some(&mut self, span: Duration) -> Result<Vec<u8>, Loss> {
        let mut buffer = [0; READ_BYTES_MAX];
        match self.clock.limit(span, self.port.read(&mut buffer)).await {
            Err(_elapsed) => Ok(Vec::new()),
            Ok(Ok(0)) => Err(self.loss("the other side closed the wire".to_owned())),
            Ok(Ok(count)) => Ok(buffer.iter().take(count).copied().collect()),
            Ok(Err(cause)) => Err(self.loss(told(&cause))),
        }
    }

    /// Throws away what came before it was asked for: answers to an earlier daemon are no answers to us.
    pub async fn drain(&mut self) -> Result<(), Loss> {
        let mut thrown = 0;
        while thrown < DRAIN_BYTES_MAX {
            match self.read_some(DRAIN_SPAN).await?.len() {
                0 => break,
                count => thrown += count,
            }
        }
        Ok(())
    }

    /// Closes kindly: half-closes TCP and lets the printer read to the end, waits for the last byte on serial and USB.
    /// An error means that the tail of a job may be missing.
    pub async fn finish(self) -> Result<(), Loss> {
        let Wire { port, limits, clock, committed } = self;
        let ended = match port {
            Port::Tcp(stream) => finish_stream(stream, limits.finish, &clock).await,
            Port::Inside(stream) => finish_stream(stream, limits.finish, &clock).await,
            Port::Serial(port) => in_time(clock.limit(limits.finish, serial_sent(&port, &clock)).await),
            Port::Usb(node) => in_time(clock.limit(limits.finish, node.sent()).await),
        };
        ended.map_err(|cause| loss(committed, told(&cause)))
    }

    async fn send(&mut self, bytes: &[u8], job: bool) -> Result<(), Loss> {
        for chunk in bytes.chunks(self.limits.chunk_bytes.max(1)) {
            let (accepted, ended) = self.send_chunk(chunk).await;
            self.committed |= job && accepted > 0;
            ended.map_err(|what| self.loss(what))?;
        }
        Ok(())
    }

    /// Hands over one chunk; tells how much of it was accepted in any case.
    async fn send_chunk(&mut self, chunk: &[u8]) -> (usize, Result<(), String>) {
        let until = self.clock.now().plus(self.limits.chunk);
        let mut accepted = 0;
        while let Some(rest) = chunk.get(accepted..).filter(|rest| !rest.is_empty()) {
            let span = until.since(self.clock.now());
            match self.clock.limit(span, self.port.write(rest)).await {
                Ok(Ok(0)) => return (accepted, Err("the other side takes no more bytes".to_owned())),
                Ok(Ok(count)) => accepted += count,
                Ok(Err(cause)) => return (accepted, Err(told(&cause))),
                Err(_elapsed) => {
                    return (accepted, Err("it takes no bytes; is there paper, is the cover closed?".to_owned()));
                }
            }
        }
        (accepted, Ok(()))
    }

    fn loss(&self, what: String) -> Loss {
        loss(self.committed, what)
    }
}

impl Port {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Port::Tcp(stream) => stream.write(bytes).await,
            Port::Serial(port) => port.write(bytes).await,
            Port::Usb(node) => node.write(bytes).await,
            Port::Inside(stream) => stream.write(bytes).await,
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Port::Tcp(stream) => stream.read(buffer).await,
            Port::Serial(port) => port.read(buffer).await,
            Port::Usb(node) => node.read(buffer).await,
            Port::Inside(stream) => stream.read(buffer).await,
        }
    }
}

async fn open(address: &Address) -> io::Result<Port> {
    match address {
        Address::Tcp { host, port } => tcp::open(host, *port).await.map(Port::Tcp),
        Address::Serial(line) => serial::open(line).map(Port::Serial),
        Address::Usb(place) => usb::open(place).map(Port::Usb),
        Address::Web { .. } => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a printer has no web address: write tcp://HOST:9100"))
        }
    }
}

/// Tells the printer that nothing follows, then reads until it hangs up too. One that never does has everything all the same.
async fn finish_stream(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    span: Duration,
    clock: &Clock,
) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; READ_BYTES_MAX];
    let hung_up = async {
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    };
    clock.limit(span, hung_up).await.unwrap_or(Ok(()))
}

async fn serial_sent(port: &SerialStream, clock: &Clock) -> io::Result<()> {
    while serial::waiting(port)? > 0 {
        clock.sleep(SERIAL_ASK_GAP).await;
    }
    Ok(())
}

fn in_time(ended: Result<io::Result<()>, crate::host::clock::Elapsed>) -> io::Result<()> {
    ended.unwrap_or_else(|_elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, "the last bytes are stuck")))
}

fn loss(committed: bool, what: String) -> Loss {
    if committed { Loss::Unknown(what.into()) } else { Loss::NotSent(what.into()) }
}

/// What helps against the failures that shops see most.
const CURES: [(io::ErrorKind, &str); 4] = [
    (io::ErrorKind::NotFound, "it is not plugged in, or has another name now: `kassad devices` shows it"),
    (io::ErrorKind::PermissionDenied, "we may not open it: install the udev rules, then plug it in again"),
    (io::ErrorKind::ResourceBusy, "another program holds it"),
    (io::ErrorKind::ConnectionRefused, "it is off, starting, or serves another till"),
];

/// The cause with its cure where we know one.
fn told(cause: &io::Error) -> String {
    match CURES.iter().find(|(kind, _)| *kind == cause.kind()) {
        Some((_, cure)) => format!("{cause}: {cure}"),
        None => cause.to_string(),
    }
}
