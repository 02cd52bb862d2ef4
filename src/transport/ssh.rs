//! A reverse forward: an SSH server takes connections for us and hands them through the one connection that we opened (RFC 4254 §7). The
//! server is believed by its pinned key only; a channel for another place than the one we asked for is refused; each failure has its
//! own code, so that an installer knows which end to mend (F11, F13, F14).

use crate::host::clock::Clock;
use crate::host::secret::Secret;
use crate::host::tasks::Spawner;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, select_ok};
use futures_util::stream::FuturesUnordered;
use russh::client::{ChannelOpenHandle, Config, Handle, Handler, Msg};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect, Preferred};
use rustix::net::{Shutdown, shutdown};
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tracing::debug;

/// How long a name, a connection and the server's first words may take. Without it the kernel's own pauses add a minute after the path
/// is back (F11).
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Within that limit a new connection is tried each second beside the older ones: the one begun after the path came back wins.
const TRY_GAP: Duration = Duration::from_secs(1);

/// How long a name may take; after that the addresses are used that it had before (F14).
const NAME_LIMIT: Duration = Duration::from_secs(2);

/// How long keys, login and each request may take.
const TALK_LIMIT: Duration = Duration::from_secs(10);

/// A sign of life when nothing was heard for this long: often enough for a carrier's NAT, seldom enough for mobile data.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// So many signs of life may stay without an answer.
const KEEP_ALIVE_TRIES: usize = 3;

/// Connections through the forward at once; more are turned away. More than the public listener has places, so that there the slowest
/// gives way before anybody is turned away here.
pub const CHANNELS_MAX: usize = 640;

/// How long the other end may still talk when our listener has answered and hung up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The longest text of a failure, in characters: some of it is a stranger's.
const FAILURE_CHARS_MAX: usize = 200;

/// A connection through the forward that says nothing for this long is ended.
const CHANNEL_IDLE: Duration = Duration::from_secs(120);

/// What a channel may hold on its way to us, in bytes; and its largest packet.
const WINDOW_BYTES: u32 = 128 * 1024;
const PACKET_BYTES_MAX: u32 = 32 * 1024;

/// Messages of a channel that wait for our listener.
const CHANNEL_MESSAGES_MAX: usize = 16;

/// The buffer of each direction of a connection, in bytes.
const COPY_BYTES: usize = 16 * 1024;

/// What is read of a command's output at the server, in bytes.
const OUTPUT_BYTES_MAX: usize = 4096;

/// What the first words of an SSH server begin with (RFC 4253 §4.2).
const GREETING: &[u8] = b"SSH-";

/// Addresses of one name that are tried at once.
const ADDRESSES_MAX: usize = 4;

/// An SSH server that takes connections for us.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our account there.
    pub user: String,
    /// The keys that it is believed by.
    pub host_keys: HostKeys,
    /// Where it listens for us.
    pub place: Place,
}

/// Where a server listens for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port of one of its addresses.
    Port(String, u16),
    /// A Unix socket of its file system.
    Socket(String),
}

/// The keys that a server is believed by, as fingerprints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeys {
    believed: Vec<String>,
    kinds: Vec<russh::keys::Algorithm>,
}

impl HostKeys {
    /// Reads `ssh-ed25519 AAAA…` and `SHA256:…`; what is neither matches nothing.
    pub fn new(texts: &[String]) -> HostKeys {
        let mut keys = HostKeys { believed: Vec::new(), kinds: Vec::new() };
        for text in texts.iter().map(|text| text.trim()) {
            match PublicKey::from_openssh(text) {
                Ok(key) => {
                    keys.kinds.push(key.algorithm());
                    keys.believed.push(fingerprint(&key));
                }
                Err(_) => keys.believed.push(text.trim_end_matches('=').to_owned()),
            }
        }
        // A bare fingerprint does not say its kind: then the server may show any.
        if keys.kinds.len() < keys.believed.len() {
            keys.kinds.clear();
        }
        keys
    }

    fn believes(&self, seen: &str) -> bool {
        self.believed.iter().any(|one| one == seen)
    }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Our private key.
#[derive(Clone)]
pub struct Login(Arc<PrivateKey>);

impl Login {
    /// Reads a private key in OpenSSH's form, without a passphrase.
    pub fn read(secret: &Secret) -> Result<Login, Failure> {
        let key = russh::keys::decode_secret_key(secret.expose(), None);
        let key = key.map_err(|cause| Failure::Key(cause.to_string()))?;
        // Of the others each would need its own way to sign, and servers refuse half of them.
        let kind = key.algorithm();
        if kind == russh::keys::Algorithm::Ed25519 {
            return Ok(Login(Arc::new(key)));
        }
        Err(Failure::Key(format!("it is {kind}, not ssh-ed25519")))
    }
}

/// Why there is no forward. The text is for the log and the installer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Our own private key cannot be used.
    #[error("our key cannot be used: {0}")]
    Key(String),
    /// The name of the server is not found.
    #[error("the name is not found: {0}")]
    Nameless(String),
    /// There is no way to the server, or nobody serves the port.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// Nobody answered in time.
    #[error("no answer in time ({0})")]
    Silent(&'static str),
    /// What answers is no SSH server, or one that we do not understand.
    #[error("no SSH server that we understand: {0}")]
    Foreign(String),
    /// The server showed another key than the pinned ones.
    #[error("the server's key is {0}, which is not pinned")]
    HostKey(String),
    /// The server did not let us in.
    #[error("the server does not accept our key for {0}")]
    Login(String),
    /// The server does not give us the place, which another session may hold.
    #[error("the server does not give {0}")]
    Taken(String),
    /// The server keeps refusing the place.
    #[error("the server keeps refusing {0}")]
    Forward(String),
    /// The server ended the connection.
    #[error("the connection ended: {0}")]
    Closed(String),
}

impl Failure {
    /// Code of the sentence with the cure.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Key(_) => "tunnel_key",
            Failure::Nameless(_) => "tunnel_no_name",
            Failure::Unreachable(_) => "tunnel_unreachable",
            Failure::Silent(_) => "tunnel_silent",
            Failure::Foreign(_) => "tunnel_not_ssh",
            Failure::HostKey(_) => "tunnel_host_key",
            Failure::Login(_) => "tunnel_login",
            Failure::Taken(_) => "tunnel_port_taken",
            Failure::Forward(_) => "tunnel_forward",
            Failure::Closed(_) => "tunnel_closed",
        }
    }

    /// Whether somebody answered: then trying again at once only makes it worse. Where nobody did, the path is down and may be back
    /// any second.
    pub fn is_answered(&self) -> bool {
        match self {
            Failure::Nameless(_) | Failure::Unreachable(_) | Failure::Silent(_) => false,
            Failure::Key(_)
            | Failure::Foreign(_)
            | Failure::HostKey(_)
            | Failure::Login(_)
            | Failure::Taken(_)
            | Failure::Forward(_)
            | Failure::Closed(_) => true,
        }
    }
}

/// Bytes over the outer connection since the start: what mobile data costs, without the headers of TCP.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Bytes that came.
    pub received: Arc<AtomicU64>,
    /// Bytes that went.
    pub sent: Arc<AtomicU64>,
}

impl Meter {
    /// Both together.
    fn sum(&self) -> u64 {
        self.received.load(Ordering::Relaxed).wrapping_add(self.sent.load(Ordering::Relaxed))
    }
}

/// The addresses of a name. A question that hangs is kept and never asked twice at once: it holds a thread of the machine (F14).
#[derive(Default)]
pub struct Names {
    known: Vec<SocketAddr>,
    asked: Option<BoxFuture<'static, io::Result<Vec<SocketAddr>>>>,
}

impl Names {
    /// Looks a name up within two seconds; where nobody answers, it is where it was before.
    pub async fn look_up(&mut self, host: &str, port: u16, clock: &Clock) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let asked = self.asked.get_or_insert_with(|| {
            let host = host.to_owned();
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect()) })
        });
        let why = match clock.limit(NAME_LIMIT, asked).await {
            Ok(Ok(found)) if !found.is_empty() => {
                self.asked = None;
                self.known.clone_from(&found);
                return Ok(found);
            }
            Ok(answer) => {
                self.asked = None;
                answer.err().map_or_else(|| "it has no address".to_owned(), |cause| cause.to_string())
            }
            Err(_) => "no answer".to_owned(),
        };
        if self.known.is_empty() { Err(Failure::Nameless(format!("{host}: {why}"))) } else { Ok(self.known.clone()) }
    }
}

/// Reaches the server: the first connection over which it greets us, within the limit.
pub async fn dial(server: &Server, names: &mut Names, clock: &Clock) -> Result<TcpStream, Failure> {
    let end = clock.now().plus(CONNECT_LIMIT);
    let addresses = names.look_up(&server.host, server.port, clock).await?;
    let mut last = None;
    let mut tries = FuturesUnordered::new();
    tries.push(greeted(addresses.clone()));
    loop {
        let next = clock.now().plus(TRY_GAP).min(end);
        tokio::select! {
            biased;
            Some(tried) = tries.next() => match tried {
                Ok(stream) => return Ok(stream),
                Err(failure) if failure.is_answered() => return Err(failure),
                // Refused at once: the next try waits for its second.
                Err(failure) => last = Some(failure),
            },
            () = clock.sleep_until(next) => {
                if clock.now() >= end {
                    return Err(last.unwrap_or(Failure::Silent("connect")));
                }
                tries.push(greeted(addresses.clone()));
            }
        }
    }
}

/// A connection over which somebody said the first word of SSH; nothing of it is taken.
async fn greeted(addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
    let unreachable = |cause: io::Error| {
        let is_silence = cause.kind() == io::ErrorKind::TimedOut;
        if is_silence { Failure::Silent("connect") } else { Failure::Unreachable(cause.to_string()) }
    };
    let tries = addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
    let (stream, _) = select_ok(tries).await.map_err(unreachable)?;
    // Small answers leave at once.
    let _quick = stream.set_nodelay(true).is_ok();
    let mut word = [0; GREETING.len()];
    let said = stream.peek(&mut word).await.map_err(|cause| Failure::Closed(cause.to_string()))?;
    let word = word.get(..said).unwrap_or_default();
    match () {
        () if word.is_empty() => Err(Failure::Closed("before a word".to_owned())),
        () if GREETING.starts_with(word) => Ok(stream),
        () => Err(Failure::Foreign("its first words are not SSH's".to_owned())),
    }
}

/// What the library asks us while a session lives.
struct Doorman {
    host_keys: HostKeys,
    place: Place,
    target: SocketAddr,
    seen: Arc<Mutex<Option<String>>>,
    channels: Arc<Semaphore>,
    clock: Clock,
    spawner: Spawner,
}

impl Doorman {
    /// Lets a connection through to our listener; a task of its own.
    async fn let_in(&self, is_ours: bool, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        if !is_ours {
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        }
        let Ok(room) = self.channels.clone().try_acquire_owned() else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let (target, clock) = (self.target, self.clock.clone());
        self.spawner.start(async move {
            match clock.limit(CONNECT_LIMIT, TcpStream::connect(target)).await {
                Ok(Ok(ours)) => {
                    let _quick = ours.set_nodelay(true).is_ok();
                    reply.accept().await;
                    carry(channel, ours, &clock).await;
                }
                Ok(Err(_)) | Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
            drop(room);
        });
    }
}

/// Copies both ways until our listener hangs up, or nothing is said for too long: what the other end still holds open is nobody's then.
async fn carry(channel: Channel<Msg>, ours: TcpStream, clock: &Clock) {
    let meter = Meter::default();
    let (our_in, mut our_out) = tokio::io::split(Counted { stream: ours, meter: meter.clone() });
    let (their_in, mut their_out) = tokio::io::split(channel.into_stream());
    let (mut our_in, mut their_in) =
        (BufReader::with_capacity(COPY_BYTES, our_in), BufReader::with_capacity(COPY_BYTES, their_in));
    let inward = async {
        let _copied = tokio::io::copy_buf(&mut their_in, &mut our_out).await.is_ok();
        let _told = our_out.shutdown().await.is_ok();
    };
    let outward = async {
        let _copied = tokio::io::copy_buf(&mut our_in, &mut their_out).await.is_ok();
        let _told = their_out.shutdown().await.is_ok();
    };
    let both = async {
        let (mut inward, mut outward) = (std::pin::pin!(inward), std::pin::pin!(outward));
        let has_asked_all = tokio::select! {
            () = &mut inward => true,
            () = &mut outward => false,
        };
        if has_asked_all {
            outward.await;
        } else {
            let _last = clock.limit(LAST_WORDS, inward).await.is_ok();
        }
    };
    let mut both = std::pin::pin!(both);
    let mut before = meter.sum();
    loop {
        if clock.limit(CHANNEL_IDLE, both.as_mut()).await.is_ok() || meter.sum() == before {
            return;
        }
        before = meter.sum();
    }
}

impl Handler for Doorman {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let seen = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => fingerprint(key),
            PublicKeyOrCertificate::Certificate(_) => "a certificate".to_owned(),
        };
        let is_believed = self.host_keys.believes(&seen);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (!is_believed).then_some(seen);
        Ok(is_believed)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        let is_ours = matches!(&self.place, Place::Port(address, port)
            if address == connected_address && u32::from(*port) == connected_port);
        self.let_in(is_ours, channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        let is_ours = matches!(&self.place, Place::Socket(path) if path == socket_path);
        self.let_in(is_ours, channel, reply).await;
        Ok(())
    }

    // What the library would let in by itself, and nobody asked for.

    async fn server_channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        self.let_in(false, channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        self.let_in(false, channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        _socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        self.let_in(false, channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        self.let_in(false, channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut russh::client::Session,
    ) -> Result<(), russh::Error> {
        self.let_in(false, channel, reply).await;
        Ok(())
    }
}

/// A session with a server. Dropped, its connection is cut at once, also where the path is dead and nothing can be said any more.
pub struct Session {
    handle: Handle<Doorman>,
    cut: Cut,
}

/// Ends a connection under whoever uses it.
struct Cut(OwnedFd);

impl Drop for Cut {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _cut = shutdown(&self.0, Shutdown::Both).is_ok();
    }
}

/// What a session needs beside its server.
pub struct Means<'a> {
    /// Our key.
    pub login: &'a Login,
    /// Where connections are handed to.
    pub target: SocketAddr,
    /// Counts the bytes.
    pub meter: &'a Meter,
    /// Time.
    pub clock: &'a Clock,
    /// Starts the task of each connection.
    pub spawner: &'a Spawner,
}

impl Session {
    /// Greets the server over a dialled connection, checks its key and logs in.
    pub async fn open(server: &Server, stream: TcpStream, means: &Means<'_>) -> Result<Session, Failure> {
        let cut = stream.as_fd().try_clone_to_owned().map(Cut).map_err(|cause| Failure::Closed(cause.to_string()))?;
        let seen = Arc::default();
        let doorman = Doorman {
            host_keys: server.host_keys.clone(),
            place: server.place.clone(),
            target: means.target,
            seen: Arc::clone(&seen),
            channels: Arc::new(Semaphore::new(CHANNELS_MAX)),
            clock: means.clock.clone(),
            spawner: means.spawner.clone(),
        };
        let stream = Counted { stream, meter: means.meter.clone() };
        let greet = russh::client::connect_stream(Arc::new(config(&server.host_keys)), stream, doorman);
        let greeted = means.clock.limit(TALK_LIMIT, greet).await.map_err(|_| Failure::Silent("keys"))?;
        let mut handle = greeted.map_err(|cause| judged(&cause, &seen))?;
        let key = PrivateKeyWithHashAlg::new(means.login.0.clone(), None);
        let login = means.clock.limit(TALK_LIMIT, handle.authenticate_publickey(&server.user, key));
        match login.await.map_err(|_| Failure::Silent("login"))? {
            Ok(answer) if answer.success() => Ok(Session { handle, cut }),
            Ok(_) => Err(Failure::Login(server.user.clone())),
            Err(cause) => Err(judged(&cause, &seen)),
        }
    }

    /// Asks the server to listen for us. `Taken`: it said no, in a word without a reason (RFC 4254 §4).
    pub async fn forward(&self, place: &Place, clock: &Clock) -> Result<(), Failure> {
        let asked = clock.limit(TALK_LIMIT, async {
            match place {
                Place::Port(address, port) => self.handle.tcpip_forward(address, u32::from(*port)).await.map(drop),
                Place::Socket(path) => self.handle.streamlocal_forward(path).await,
            }
        });
        match asked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(russh::Error::RequestDenied)) => Err(Failure::Taken(match place {
                Place::Port(address, port) => format!("{address}:{port}"),
                Place::Socket(path) => path.clone(),
            })),
            Ok(Err(cause)) => Err(Failure::Closed(cause.to_string())),
            Err(_) => Err(Failure::Silent("forward")),
        }
    }

    /// Runs a command at the server, within limits of time and output; its exit status, if it told one.
    pub async fn run(&self, command: &str, clock: &Clock) -> Result<Option<u32>, Failure> {
        let closed = |cause: russh::Error| Failure::Closed(cause.to_string());
        let work = clock.limit(TALK_LIMIT, async {
            let mut channel = self.handle.channel_open_session().await.map_err(closed)?;
            channel.exec(true, command).await.map_err(closed)?;
            let (mut status, mut bytes) = (None, 0);
            while let Some(message) = channel.wait().await {
                #[allow(clippy::wildcard_enum_match_arm)]
                match message {
                    ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                    ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => bytes += data.len(),
                    ChannelMsg::Failure | ChannelMsg::Close => break,
                    // The rest is of no interest; the list is the library's and may grow.
                    _ => {}
                }
                if bytes > OUTPUT_BYTES_MAX {
                    break;
                }
            }
            Ok(status)
        });
        work.await.map_err(|_| Failure::Silent("command"))?
    }

    /// Waits until the session ends, and says why.
    pub async fn ended(&mut self) -> Failure {
        match (&mut self.handle).await {
            Ok(()) => Failure::Closed("by the server".to_owned()),
            Err(cause) => Failure::Closed(cause.to_string()),
        }
    }

    /// Says goodbye within a moment: the server frees the place at once.
    pub async fn close(self, clock: &Clock) {
        let Session { mut handle, cut } = self;
        let goodbye = async {
            if handle.disconnect(Disconnect::ByApplication, "", "").await.is_ok() {
                let _ended = (&mut handle).await.is_ok();
            }
        };
        let _said = clock.limit(TRY_GAP, goodbye).await.is_ok();
        drop(cut);
    }
}

fn config(host_keys: &HostKeys) -> Config {
    let mut preferred = Preferred::default();
    if !host_keys.kinds.is_empty() {
        preferred.key = Cow::Owned(host_keys.kinds.clone());
    }
    Config {
        preferred,
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES_MAX,
        channel_buffer_size: CHANNEL_MESSAGES_MAX,
        keepalive_interval: Some(KEEP_ALIVE),
        keepalive_max: KEEP_ALIVE_TRIES,
        ..Config::default()
    }
}

/// What an error before the login means.
fn judged(cause: &russh::Error, seen: &Mutex<Option<String>>) -> Failure {
    if let Some(seen) = seen.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Failure::HostKey(seen);
    }
    debug!(?cause, "the SSH session did not begin");
    #[allow(clippy::wildcard_enum_match_arm)]
    match cause {
        russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, theirs, .. } => Failure::HostKey(
            format!("of another kind: {}", theirs.join(", ")).chars().take(FAILURE_CHARS_MAX).collect(),
        ),
        russh::Error::IO(_) | russh::Error::HUP | russh::Error::Disconnect | russh::Error::SendError => {
            Failure::Closed(cause.to_string())
        }
        // Everything else is a word that one of us did not understand; the list is the library's and may grow.
        _ => Failure::Foreign(cause.to_string()),
    }
}

/// A stream whose bytes are counted.
pub struct Counted<S> {
    stream: S,
    meter: Meter,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        let read = u64::try_from(into.filled().len().saturating_sub(before)).unwrap_or(0);
        self.meter.received.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, from))?;
        self.meter.sent.fetch_add(u64::try_from(written).unwrap_or(0), Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
