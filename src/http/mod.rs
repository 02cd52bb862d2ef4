//! The two faces: the public listener, which serves what the tunnel exposes and nothing else, and the local one for the counter. Faces
//! decide nothing: they check form, call a flow and show the result. Every request has limits on its head, body, time and number.

use crate::flows::Rules;
use crate::host::clock::Clock;
use crate::host::secret::Secret;
use crate::host::tasks::{Spawner, Stop};
use crate::i18n::Lang;
use crate::workers::Office;
use crate::workers::pos::Counter;
use crate::workers::probe::Probes;
use axum::Router;
use axum::http::{HeaderMap, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub mod api;
pub mod compat;
pub mod counter;
pub mod events;
pub mod fiscal;
pub mod guard;
pub mod health;
pub mod keys;
pub mod printers;
pub mod problem;
pub mod refunds;
pub mod shape;
pub mod webhooks;

use crate::domain::order::Tender;
use crate::drivers::{Headers, WebhookScheme};

/// Largest body of any request, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest time for a request's head, in machine time.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Longest time for a request's body.
pub const BODY_LIMIT: Duration = Duration::from_secs(10);

/// Connections open at once per listener; more are turned away at once.
const CONNECTIONS_MAX: usize = 512;

/// What a connection hears for which there is no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How long open connections may finish after the signal to stop.
const FAREWELL: Duration = Duration::from_secs(1);

/// A webhook's name, its scheme and its secrets.
pub struct Door {
    /// How its notices are signed and worded.
    pub scheme: Arc<dyn WebhookScheme>,
    /// Any of these may have signed.
    pub secrets: Vec<Secret>,
}

/// A bot that may call `/v1/invoices`.
pub struct BotAccess {
    /// Its name in the configuration.
    pub name: String,
    /// Its Bearer key.
    pub key: Secret,
    /// The cloud its invoices go to.
    pub cloud: String,
}

/// A way to collect: a terminal or a cloud, with the tenders it takes.
pub struct Way {
    /// Its name in the configuration.
    pub name: String,
    /// The tenders it takes.
    pub tenders: Vec<Tender>,
}

/// Everything the faces know.
pub struct Faces {
    /// The ledger, the clock, the rules.
    pub office: Office,
    /// The POS, if there is one.
    pub counter: Option<Counter>,
    /// Webhooks by name.
    pub doors: BTreeMap<String, Door>,
    /// Bots.
    pub bots: Vec<BotAccess>,
    /// Ways to collect, in the order of the configuration.
    pub ways: Vec<Way>,
    /// Printers with what they can do as configured.
    pub printers: Vec<(String, crate::drivers::printer::Profile)>,
    /// Whether bots may call from outside as well.
    pub public_invoices: bool,
    /// Wrongly signed bodies since the start.
    pub forged: AtomicU64,
    /// The window that tells a flood of wrongly signed bodies.
    pub flood: webhooks::Flood,
    /// What proves the way in.
    pub probes: Probes,
    /// Who may come in from the LAN.
    pub keys: keys::Keys,
}

/// Who is at the other end of a connection; every request carries it. Behind a tunnel it is this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Faces {
    /// What the shop decided.
    pub fn rules(&self) -> &Rules {
        &self.office.rules
    }
}

/// What the tunnel exposes.
pub fn public_router(faces: &Arc<Faces>) -> Router {
    let open = webhooks::routes().merge(health::probe());
    let router = if faces.public_invoices { open.merge(compat::routes()) } else { open };
    router.with_state(faces.clone())
}

/// What the counter, the bots in the shop and the scrapers use.
pub fn local_router(faces: &Arc<Faces>) -> Router {
    counter::routes()
        .merge(api::routes())
        .merge(refunds::routes())
        .merge(fiscal::routes())
        .merge(printers::routes())
        .merge(events::routes())
        .merge(keys::routes())
        .merge(compat::routes())
        .merge(health::routes())
        .merge(health::probe())
        .layer(axum::middleware::from_fn_with_state(faces.clone(), guard::admit))
        .with_state(faces.clone())
}

/// Serves a router until the signal to stop; each connection is a task of its own, so a panic ends that connection only.
pub async fn serve(listener: TcpListener, router: Router, clock: Clock, spawner: Spawner, stop: Stop) {
    serve_at_most(CONNECTIONS_MAX, listener, router, clock, spawner, stop).await;
}

/// The same with a number of places.
pub async fn serve_at_most(
    places: usize,
    listener: TcpListener,
    router: Router,
    clock: Clock,
    spawner: Spawner,
    stop: Stop,
) {
    let places = Arc::new(Semaphore::new(places));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.wait() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors for a moment: the places of finished connections come back.
            clock.sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            turn_away(stream);
            continue;
        };
        // Small answers leave at once; without it they only leave later.
        let _quick = stream.set_nodelay(true).is_ok();
        let service = TowerToHyperService::new(router.clone().layer(axum::Extension(Peer(peer))));
        let (clock, stop) = (clock.clone(), stop.clone());
        spawner.start(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(32 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                // A connection that broke is the other side's affair.
                _ended = &mut connection => {}
                () = stop.wait() => {
                    connection.as_mut().graceful_shutdown();
                    let _in_time = clock.limit(FAREWELL, connection).await.is_ok();
                }
            }
            drop(place);
        });
    }
}

/// One write that cannot wait: a flood costs us nothing, and who came in good faith knows to come again.
fn turn_away(stream: TcpStream) {
    use std::io::Write;
    if let Ok(mut stream) = stream.into_std() {
        let _told = stream.write_all(NO_PLACE).is_ok();
    }
}

/// The language asked for by `?lang=` or the browser; Russian otherwise.
pub fn lang(uri: &Uri, headers: &HeaderMap) -> Lang {
    let asked = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")));
    match asked.and_then(Lang::from_word) {
        Some(lang) => lang,
        None => match headers.get("accept-language").and_then(|value| value.to_str().ok()) {
            Some(header) => Lang::from_header(header),
            None => Lang::Ru,
        },
    }
}

/// Headers as drivers read them; values that are no text are left out.
fn plain_headers(headers: &HeaderMap) -> Headers {
    let pairs =
        headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Headers(pairs.collect())
}
