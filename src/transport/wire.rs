//! One wire to a printer, whatever it is made of. It judges its own failures and nothing else (law 5): until a byte of a job was accepted
//! a failure is `NotSent`, afterwards `Unknown`. Every step has a deadline on the house's clock; nothing here blocks a thread.

use crate::host::clock::Clock;
use crate::transport::Loss;
use crate::transport::address::Address;
use crate::transport::port::{self, Port};
use crate::transport::serial::{LEAD_BYTES_MAX, Line};
use futures_util::future::BoxFuture;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

/// The most bytes that one read returns.
const READ_BYTES_MAX: usize = 256;
/// The most that is kept of what a printer says during a job: of one that says more, the newest counts.
const HEARD_BYTES_MAX: usize = 4096;
/// "Go on" and "wait", said by the printer; no status byte equals them (escpos §3.2).
const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
/// How often a serial line is asked whether its last byte is out.
const SERIAL_ASK_GAP: Duration = Duration::from_millis(10);
/// The shortest pause between two looks at how much of a job is on its way.
const SERIAL_ASK_GAP_MIN: Duration = Duration::from_millis(1);
/// How long stale input is looked for.
const DRAIN_SPAN: Duration = Duration::from_millis(20);
/// The most stale input that is thrown away; a device that says more is left talking.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// How patient a wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To open it.
    pub open: Duration,
    /// To hand over one chunk, besides the time that a serial line needs for it.
    pub chunk: Duration,
    /// How large a chunk is, 1 to 4 kB.
    pub chunk_bytes: usize,
    /// To get the last byte out at the end, besides the time that a serial line needs for what it holds.
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
    /// What was said while somebody only asked whether the wire is open.
    said: Vec<u8>,
    /// The printer asked to wait, and it is ours to obey.
    is_paused: bool,
}

/// What a printer says while it is written to.
struct Ear<'a> {
    /// Where it goes; nobody listens where there is no place.
    heard: Option<&'a mut Vec<u8>>,
    /// The printer asked to wait.
    is_paused: bool,
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
        Wire::begin(address, port::open(address), limits, clock).await
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
        Ok(Wire { port, limits, clock: clock.clone(), committed: false, said: Vec::new(), is_paused: false })
    }

    /// Sends the bytes of a job in chunks, each with its deadline.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        self.send(bytes, true, &mut Ear::deaf()).await
    }

    /// Sends a whole job, from its first byte to its last, and keeps what the printer says meanwhile: the newest 4096 bytes of it. The job
    /// begins here: what an earlier one left on this wire says nothing about it. A printer that hangs up before the end has lost it.
    pub async fn send_job(&mut self, bytes: &[u8], heard: &mut Vec<u8>) -> Result<(), Loss> {
        self.committed = false;
        if !self.is_open() {
            return Err(self.loss("the printer closed the wire".to_owned()));
        }
        // The runtime looks at its wires between two turns: what was said before the job is heard before it.
        tokio::task::yield_now().await;
        let mut ear = Ear { heard: Some(heard), is_paused: self.is_paused };
        ear.hear(&std::mem::take(&mut self.said), false);
        let sent = self.send(bytes, true, &mut ear).await;
        self.is_paused = ear.is_paused;
        sent
    }

    /// Sends a question that prints nothing (a status request): its loss says nothing about a job.
    pub async fn ask(&mut self, question: &[u8]) -> Result<(), Loss> {
        self.send(question, false, &mut Ear::deaf()).await
    }

    /// Whether the other end is still there, as far as the machine knows; asked at once. Many printers drop a line that is silent for long.
    pub fn is_open(&mut self) -> bool {
        self.said.len() >= HEARD_BYTES_MAX || self.port.is_up(&mut self.said)
    }

    /// Reads what came, waiting at most a span; empty when nothing came.
    pub async fn read_some(&mut self, span: Duration) -> Result<Vec<u8>, Loss> {
        if !self.said.is_empty() {
            return Ok(std::mem::take(&mut self.said));
        }
        let mut buffer = [0; READ_BYTES_MAX];
        let read = poll_fn(|context| self.port.poll_read(context, &mut buffer));
        match self.clock.limit(span, read).await {
            Err(_elapsed) => Ok(Vec::new()),
            Ok(Ok(0)) => Err(self.loss("the other side closed the wire".to_owned())),
            Ok(Ok(count)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.is_paused = paused(self.is_paused, bytes, self.port.paced().is_some());
                Ok(bytes.to_vec())
            }
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
        let Wire { port, limits, clock, committed, .. } = self;
        let ended = match port {
            Port::Tcp(stream) => finish_stream(stream, limits.finish, &clock).await,
            Port::Inside(stream) => finish_stream(stream, limits.finish, &clock).await,
            Port::Serial(line) => finish_line(line, limits.finish, &clock).await,
            Port::Usb(node) => clock.limit(limits.finish, node.sent()).await.unwrap_or_else(|_elapsed| Err(stuck())),
        };
        ended.map_err(|cause| loss(committed, told(&cause)))
    }

    async fn send(&mut self, bytes: &[u8], job: bool, ear: &mut Ear<'_>) -> Result<(), Loss> {
        for chunk in bytes.chunks(self.limits.chunk_bytes.max(1)) {
            let (accepted, ended) = self.send_chunk(chunk, ear).await;
            self.committed |= job && accepted > 0;
            ended.map_err(|what| self.loss(what))?;
        }
        Ok(())
    }

    /// Hands over one chunk; tells how much of it was accepted in any case.
    async fn send_chunk(&mut self, chunk: &[u8], ear: &mut Ear<'_>) -> (usize, Result<(), String>) {
        let until = self.clock.now().plus(self.limits.chunk).plus(self.port.span(chunk.len()));
        let mut accepted = 0;
        while let Some(rest) = chunk.get(accepted..).filter(|rest| !rest.is_empty()) {
            let span = until.since(self.clock.now());
            match self.clock.limit(span, exchange(&mut self.port, &self.clock, rest, ear)).await {
                Ok(Err(cause)) => return (accepted, Err(told(&cause))),
                // One that talks all the time is not given more of it.
                Ok(Ok(0)) if self.clock.now() < until => {}
                Ok(Ok(count)) if count > 0 => accepted += count,
                Ok(Ok(_)) | Err(_) => {
                    self.port.give_up();
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

impl Ear<'_> {
    fn deaf() -> Ear<'static> {
        Ear { heard: None, is_paused: false }
    }

    fn hear(&mut self, bytes: &[u8], obeys: bool) {
        self.is_paused = paused(self.is_paused, bytes, obeys);
        if let Some(heard) = &mut self.heard {
            heard.extend(bytes);
            let old = heard.len().saturating_sub(HEARD_BYTES_MAX);
            heard.drain(..old);
        }
    }
}

/// Whether to wait behind what was heard.
fn paused(is_paused: bool, heard: &[u8], obeys: bool) -> bool {
    let flow = heard.iter().rfind(|byte| obeys && matches!(**byte, XON | XOFF));
    flow.map_or(is_paused, |flow| *flow == XOFF)
}

/// One step of writing: how many bytes were accepted, 0 when something was heard instead. Lost to its deadline it has written nothing.
async fn exchange(port: &mut Port, clock: &Clock, bytes: &[u8], ear: &mut Ear<'_>) -> io::Result<usize> {
    let is_paced = ear.heard.is_some() && port.paced().is_some();
    if !is_paced {
        return poll_fn(|context| step(port, context, bytes, ear)).await;
    }
    let bytes = bytes.get(..LEAD_BYTES_MAX).unwrap_or(bytes);
    while let Some(ahead) = ahead(port, bytes.len(), ear)? {
        // A pause ends by a byte alone.
        let heard = clock.limit(ahead, poll_fn(|context| listen(port, context, ear))).await;
        heard.unwrap_or(Ok(()))?;
    }
    poll_fn(|context| step(port, context, bytes, ear)).await
}

/// How long to listen before more bytes may go out.
fn ahead(port: &Port, more: usize, ear: &Ear<'_>) -> io::Result<Option<Duration>> {
    let Some(line) = port.paced() else { return Ok(None) };
    if ear.is_paused {
        return Ok(Some(Duration::MAX));
    }
    let waiting = line.waiting()?;
    Ok((waiting.saturating_add(more) > LEAD_BYTES_MAX).then(|| line.span(waiting).max(SERIAL_ASK_GAP_MIN)))
}

fn step(port: &mut Port, context: &mut Context<'_>, bytes: &[u8], ear: &mut Ear<'_>) -> Poll<io::Result<usize>> {
    let heard = if ear.heard.is_some() { listen(port, context, ear) } else { Poll::Pending };
    if let Poll::Ready(Err(cause)) = heard {
        return Poll::Ready(Err(cause));
    }
    let written = if ear.is_paused { Poll::Pending } else { port.poll_write(context, bytes) };
    match written {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Pending if heard.is_ready() => Poll::Ready(Ok(0)),
        Poll::Ready(_) | Poll::Pending => written,
    }
}

/// Hears what there is now; the end of the wire is an error.
fn listen(port: &mut Port, context: &mut Context<'_>, ear: &mut Ear<'_>) -> Poll<io::Result<()>> {
    let mut buffer = [0; READ_BYTES_MAX];
    let obeys = port.paced().is_some();
    port.poll_read(context, &mut buffer).map(|read| match read? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            ear.hear(buffer.get(..count).unwrap_or_default(), obeys);
            Ok(())
        }
    })
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

/// Waits for the last byte as long as the line needs for what it holds, and a little longer.
async fn finish_line(mut line: Line, span: Duration, clock: &Clock) -> io::Result<()> {
    let span = span.saturating_add(line.span(line.waiting()?));
    let sent = async {
        while line.waiting()? > 0 {
            clock.sleep(SERIAL_ASK_GAP).await;
        }
        Ok(())
    };
    let ended = clock.limit(span, sent).await.unwrap_or_else(|_elapsed| Err(stuck()));
    if ended.is_err() {
        line.give_up();
    }
    ended
}

fn stuck() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the last bytes are stuck")
}

fn loss(committed: bool, what: String) -> Loss {
    if committed { Loss::Unknown(what.into()) } else { Loss::NotSent(what.into()) }
}

/// What helps against the failures that shops see most.
const CURES: [(io::ErrorKind, &str); 8] = [
    (io::ErrorKind::NotFound, "it is not plugged in, or has another name now: `kassad devices` shows it"),
    (io::ErrorKind::PermissionDenied, "we may not open it: install the udev rules, then plug it in again"),
    (io::ErrorKind::ResourceBusy, "another program holds it"),
    (io::ErrorKind::ConnectionRefused, "it is off, starting, or serves another till"),
    (io::ErrorKind::HostUnreachable, "nobody has this address: is it switched on, has it another address now?"),
    (io::ErrorKind::ConnectionReset, "it hung up: did it lose its power?"),
    (io::ErrorKind::BrokenPipe, "it hung up: did it lose its power, or its cable?"),
    (io::ErrorKind::UnexpectedEof, "it closed the wire in the middle"),
];

/// What the kernel says of a device that was pulled out: `EIO`, `ENXIO`, `ENODEV`.
const PULLED_OUT: [i32; 3] = [5, 6, 19];

/// The cause with its cure where we know one.
fn told(cause: &io::Error) -> String {
    if cause.raw_os_error().is_some_and(|number| PULLED_OUT.contains(&number)) {
        return format!("{cause}: it was pulled out or switched off");
    }
    match CURES.iter().find(|(kind, _)| *kind == cause.kind()) {
        Some((_, cure)) => format!("{cause}: {cure}"),
        None => cause.to_string(),
    }
}
