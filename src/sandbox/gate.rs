//! The entrance of every partner: one accept loop that can break a line without a word, one road for each request (tripwire, fault,
//! apply, tripwire, answer), and the list of what a strict partner would complain about.

use super::authority::Identity;
use super::faults::{Fault, Faults};
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::{Spawner, Stop};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// The largest body a partner reads or sends, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest reply to a webhook that is looked at, in bytes.
const REPLY_BYTES_MAX: usize = 8 << 10;
/// How often a port is asked for again after the partner was switched off.
const REBIND_TRIES: u32 = 1000;

/// Where in its life a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Read, nothing applied.
    Received,
    /// Applied, the answer not yet made.
    Applied,
    /// The answer is made, no byte of it sent.
    Answering,
}

/// Looks at each request (`partner`, `call`, stage); `true` freezes it there for ever, so that a test can kill the daemon at that point.
pub type Tripwire = Arc<dyn Fn(&str, &str, Stage) -> bool + Send + Sync>;

/// What every partner of one sandbox stands on.
#[derive(Clone)]
pub struct Ground {
    /// The sandbox's time.
    pub clock: Clock,
    /// Names and chance.
    pub ids: Ids,
    /// Starts what must run on its own.
    pub spawner: Spawner,
    /// The end of the world.
    pub stop: Stop,
}

impl Ground {
    /// Starts a task that ends with the world.
    pub fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawner.start(async move {
            tokio::select! {
                () = stop.wait() => {}
                () = task => {}
            }
        });
    }
}

/// The entrance of one partner.
pub struct Gate {
    partner: String,
    clock: Clock,
    faults: Arc<Faults>,
    tripwire: Mutex<Option<Tripwire>>,
    violations: Mutex<Vec<String>>,
    revision: watch::Sender<u64>,
}

impl Gate {
    /// The entrance of the partner of this name.
    pub fn new(partner: &str, ground: &Ground) -> Gate {
        Gate {
            partner: partner.to_owned(),
            clock: ground.clock.clone(),
            faults: Arc::new(Faults::new(ground.ids.clone())),
            tripwire: Mutex::new(None),
            violations: Mutex::new(Vec::new()),
            revision: watch::Sender::new(0),
        }
    }

    /// The partner's name.
    pub fn partner(&self) -> &str {
        &self.partner
    }

    /// The partner's faults.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Sets or takes away the tripwire.
    pub fn set_tripwire(&self, tripwire: Option<Tripwire>) {
        *self.tripwire.lock().unwrap_or_else(PoisonError::into_inner) = tripwire;
    }

    /// Everything a strict partner would complain about, in order.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a complaint down.
    pub fn complain(&self, what: impl Into<String>) {
        let what = what.into();
        tracing::debug!(partner = %self.partner, what, "the sandbox partner complains");
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        self.touch();
    }

    /// Tells everybody who waits for a fact that something changed.
    pub fn touch(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Waits until a fact holds; it is looked at after every change.
    pub async fn until(&self, fact: impl Fn() -> bool) {
        let mut revision = self.revision.subscribe();
        loop {
            // Seen first, looked at second: a change in between is not missed, and no lock is held while looking.
            revision.mark_unchanged();
            if fact() || revision.changed().await.is_err() {
                return;
            }
        }
    }

    /// Leads one request through: what goes wrong on the way is decided here, what it does is `apply`.
    pub async fn pass(&self, call: &str, apply: impl Future<Output = Response>) -> Response {
        self.pass_told(call, |_| apply).await
    }

    /// The same where what is done needs to know what will go wrong with its answer.
    pub async fn pass_told<A: Future<Output = Response>>(
        &self,
        call: &str,
        apply: impl FnOnce(Option<Fault>) -> A,
    ) -> Response {
        self.trip(call, Stage::Received).await;
        let fault = self.faults.draw(call);
        match fault {
            Some(Fault::Down | Fault::DropBefore) => return dropped(),
            Some(Fault::Status(status)) => return plain(status, "the sandbox was told to answer this"),
            Some(Fault::LoseReply | Fault::Garbage | Fault::Truncated | Fault::Slow(_) | Fault::Stall) | None => {}
        }
        let answer = apply(fault).await;
        self.touch();
        self.trip(call, Stage::Applied).await;
        let answer = match fault {
            Some(Fault::LoseReply) => return dropped(),
            Some(Fault::Stall) => return std::future::pending().await,
            Some(Fault::Garbage) => garbage(),
            Some(Fault::Truncated) => halved(answer).await,
            Some(Fault::Slow(span)) => {
                self.clock.sleep(span).await;
                answer
            }
            Some(Fault::Down | Fault::DropBefore | Fault::Status(_)) | None => answer,
        };
        self.trip(call, Stage::Answering).await;
        answer
    }

    async fn trip(&self, call: &str, stage: Stage) {
        if self.seen(call, stage) {
            std::future::pending::<()>().await;
        }
    }

    /// Shows the tripwire a call of the partner's own; whether it froze.
    pub fn seen(&self, call: &str, stage: Stage) -> bool {
        let tripwire = self.tripwire.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tripwire.is_some_and(|tripwire| tripwire(&self.partner, call, stage))
    }
}

/// A request, read to its end.
#[derive(Debug)]
pub struct Ask {
    /// GET, POST, …
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query's pairs in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
}

impl Ask {
    /// Reads a request; what cannot be read gets its refusal.
    pub async fn read(request: Request) -> Result<Ask, Response> {
        let (head, body) = request.into_parts();
        let query = pairs(&head.uri).ok_or_else(|| plain(400, "the query string cannot be read"))?;
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| plain(413, "the body is too large"))?;
        Ok(Ask { method: head.method, path: head.uri.path().to_owned(), query, headers: head.headers, body })
    }

    /// The first value of a query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the body is declared as this media type.
    pub fn is_of(&self, media: &str) -> bool {
        let declared = self.header("content-type").unwrap_or_default();
        declared.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media)
    }
}

/// The pairs of a form body.
pub fn form_pairs(body: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    pairs(&Uri::builder().path_and_query(format!("/?{text}")).build().ok()?)
}

fn pairs(uri: &Uri) -> Option<Vec<(String, String)>> {
    Query::<Vec<(String, String)>>::try_from_uri(uri).ok().map(|Query(pairs)| pairs)
}

/// A JSON answer.
pub fn json(status: u16, body: &Value) -> Response {
    answer(status, "application/json; charset=utf-8", body.to_string())
}

/// A plain text answer.
pub fn plain(status: u16, text: &str) -> Response {
    answer(status, "text/plain; charset=utf-8", text.to_owned())
}

/// Any answer.
pub fn answer(status: u16, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Marks an answer that must never be sent: the accept loop closes the connection instead.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the sandbox broke this connection on purpose")]
struct Dropped;

fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Dropped);
    response
}

fn garbage() -> Response {
    answer(200, "text/html; charset=utf-8", "<!doctype html><title>502</title><h1>Bad Gateway</h1><p>nginx")
}

async fn halved(whole: Response) -> Response {
    let (head, body) = whole.into_parts();
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    Response::from_parts(head, Body::from(bytes.slice(..bytes.len() / 2)))
}

/// Serves a router until the stop; it ends at once and waits for no connection.
pub async fn serve(listener: TcpListener, router: Router, stop: Stop) {
    let always_up = watch::Sender::new(false);
    run(listener, Face { router, tls: None }, always_up.subscribe(), stop).await;
}

/// The same for a partner that can be switched off: then its open connections break and its port refuses new ones.
pub async fn serve_partner(listener: TcpListener, router: Router, faults: Arc<Faults>, stop: Stop) {
    run(listener, Face { router, tls: None }, faults.watch_down(), stop).await;
}

/// The same over TLS.
pub async fn serve_partner_over_tls(
    listener: TcpListener,
    router: Router,
    identity: Identity,
    faults: Arc<Faults>,
    stop: Stop,
) {
    run(listener, Face { router, tls: Some(identity.acceptor()) }, faults.watch_down(), stop).await;
}

/// What a connection meets.
#[derive(Clone)]
struct Face {
    router: Router,
    tls: Option<TlsAcceptor>,
}

async fn run(listener: TcpListener, face: Face, mut down: watch::Receiver<bool>, stop: Stop) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = listener;
    loop {
        tokio::select! {
            () = stop.wait() => return,
            () = accept_until_down(&listener, &face, &mut down) => {}
        }
        drop(listener);
        let Some(socket) = hold_port(address).await else { return };
        tokio::select! {
            () = stop.wait() => return,
            _up = down.wait_for(|down| !*down) => {}
        }
        match socket.listen(1024) {
            Ok(again) => listener = again,
            Err(cause) => return tracing::error!(%address, %cause, "the sandbox cannot listen again"),
        }
    }
}

async fn accept_until_down(listener: &TcpListener, face: &Face, down: &mut watch::Receiver<bool>) {
    let mut connections: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = switched_off(down) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.push(Box::pin(meet(stream, face.clone()))),
                Err(_) => tokio::task::yield_now().await,
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

async fn switched_off(down: &mut watch::Receiver<bool>) {
    if down.wait_for(|down| *down).await.is_err() {
        // Nobody holds the switch any more: it stays as it is.
        std::future::pending::<()>().await;
    }
}

async fn meet(stream: TcpStream, face: Face) {
    let _ = stream.set_nodelay(true);
    match face.tls {
        None => converse(stream, face.router).await,
        // A caller that does not believe our certificate hangs up here, and has said nothing yet.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, face.router).await;
            }
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let road = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = road.await.unwrap_or_else(|never| match never {});
            if response.extensions().get::<Dropped>().is_some() { Err(Dropped) } else { Ok(response) }
        }
    });
    // Broken lines are this file's trade: how a connection ended tells nothing new.
    let _ended = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Takes the port without listening on it, so that the system refuses connections and nobody else gets the number.
async fn hold_port(address: SocketAddr) -> Option<TcpSocket> {
    for _ in 0..REBIND_TRIES {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        if let Ok(socket) = socket
            && socket.set_reuseaddr(true).is_ok()
            && socket.bind(address).is_ok()
        {
            return Some(socket);
        }
        tokio::task::yield_now().await;
    }
    tracing::error!(%address, "the sandbox lost its port while it was switched off");
    None
}

/// Posts a body to a plain `http://` address and reads the status; one connection for one message, like a webhook sender behind a farm.
pub async fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<u16> {
    let bad = || {
        io::Error::new(io::ErrorKind::InvalidInput, "only http://host:port/path addresses are called from the sandbox")
    };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(bad)?;
    let port = uri.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    read_status(&mut stream).await
}

async fn read_status(stream: &mut TcpStream) -> io::Result<u16> {
    let mut reply = Vec::new();
    let mut piece = [0_u8; 1024];
    while !reply.windows(4).any(|four| four == b"\r\n\r\n") && reply.len() < REPLY_BYTES_MAX {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        reply.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&reply);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP status in the reply"))
}

/// A guest that acts without a hand on the control page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoGuest {
    /// The shortest thought before paying.
    pub thinks_min: Duration,
    /// The longest thought before paying.
    pub thinks_max: Duration,
    /// How many of a thousand guests never pay.
    pub walks_away_per_mille: u16,
    /// How many of a thousand pay by card where both are possible.
    pub card_per_mille: u16,
    /// How many of a thousand are declined by the bank.
    pub declined_per_mille: u16,
}

impl Default for AutoGuest {
    fn default() -> AutoGuest {
        AutoGuest {
            thinks_min: Duration::from_secs(2),
            thinks_max: Duration::from_secs(20),
            walks_away_per_mille: 0,
            card_per_mille: 300,
            declined_per_mille: 0,
        }
    }
}

/// What an automatic guest will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Will {
    /// Pay by QR or in the phone.
    Pay,
    /// Pay by card.
    PayByCard,
    /// Try, and be declined.
    BeDeclined,
    /// Nothing.
    WalkAway,
}

impl AutoGuest {
    /// Draws what the next guest will do and after how long.
    pub fn draw(&self, ids: &Ids) -> (Duration, Will) {
        let span = u64::try_from(self.thinks_max.saturating_sub(self.thinks_min).as_millis()).unwrap_or(u64::MAX - 1);
        let thinks = self.thinks_min.saturating_add(Duration::from_millis(ids.below(span.saturating_add(1))));
        let falls = |per_mille: u16| ids.below(1000) < u64::from(per_mille);
        let will = if falls(self.walks_away_per_mille) {
            Will::WalkAway
        } else if falls(self.declined_per_mille) {
            Will::BeDeclined
        } else if falls(self.card_per_mille) {
            Will::PayByCard
        } else {
            Will::Pay
        };
        (thinks, will)
    }
}

/// Local time of the shop for texts on a device: Kazakhstan has one zone, UTC+5.
pub fn shop_time(wall: crate::domain::time::Wall, form: &str) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(5));
    let instant = jiff::Timestamp::from_millisecond(wall.0).unwrap_or_default();
    instant.to_zoned(zone).strftime(form).to_string()
}

/// RFC 3339 in UTC.
pub fn utc_time(wall: crate::domain::time::Wall) -> String {
    jiff::Timestamp::from_millisecond(wall.0).unwrap_or_default().to_string()
}

/// Gives a partner the hands that all partners have; the partner has a field `gate`.
macro_rules! with_gate {
    ($partner:ty) => {
        impl $partner {
            /// The partner's faults.
            pub fn faults(&self) -> &std::sync::Arc<$crate::sandbox::faults::Faults> {
                self.gate.faults()
            }

            /// Everything a strict partner would complain about, in order.
            pub fn violations(&self) -> Vec<String> {
                self.gate.violations()
            }

            /// Sets or takes away the tripwire of crash tests.
            pub fn set_tripwire(&self, tripwire: Option<$crate::sandbox::gate::Tripwire>) {
                self.gate.set_tripwire(tripwire);
            }

            /// Waits until a fact about this partner holds.
            pub async fn until(&self, fact: impl Fn(&Self) -> bool) {
                self.gate.until(|| fact(self)).await;
            }
        }
    };
}
pub(crate) use with_gate;
