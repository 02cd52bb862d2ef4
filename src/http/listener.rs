//! A listener: connections come in, get a place, say a whole request in time, are answered and let go. Each connection is a task of its
//! own, so a panic ends that connection only. At the public one a request with a body is the last of its connection: what stands behind it is
//! nobody's second request, and no reading of its length that differs from a proxy's can smuggle one in.

use super::Peer;
use super::places::{Place, Places, Work};
use crate::host::clock::Clock;
use crate::host::tasks::{Spawner, Stop};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use futures_util::future::BoxFuture;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service;

/// Longest time for a request's head, and for the pause before the next one, in machine time.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Largest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Connections open at once to the public listener.
pub const CONNECTIONS_MAX: usize = 512;

/// Connections open at once to the local listener: both full, and those that leave, are fewer than the 1024 descriptors that a process has
/// unless somebody gave it more.
const CONNECTIONS_LOCAL_MAX: usize = 256;

/// Connections open at once from one source that is not this machine.
const CONNECTIONS_OF_ONE_MAX: usize = 32;

/// Connections that lost their place and are about to close; more newcomers wait before the door.
const LEAVING_MAX: usize = 64;

/// Requests of one connection; after them it is opened anew.
const REQUESTS_MAX: u32 = 1000;

/// What a connection hears for which there is no place.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How long open connections may finish after the signal to stop.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long, and how many bytes, we still listen to somebody who was answered before he had finished: closed at once, the answer would be
/// lost with what he is still sending (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// How a listener treats its connections.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Who has a place.
    pub places: Places,
    /// Longest time for a request's head, in machine time.
    pub head_limit: Duration,
    /// Requests of one connection.
    pub requests_max: u32,
    /// Whether only a question without a body, answered well, keeps its connection: behind it nothing can hide, and the tunnel's own probes
    /// ride one connection instead of paying for many.
    pub keeps_questions_only: bool,
    /// Whether a request is at work from its head on. Where it is not, the router says so when the body is whole ([`Place::work`]).
    pub works_from_head: bool,
}

impl Manner {
    /// What the tunnel exposes: a request with a body is the last of its connection.
    pub fn public() -> Manner {
        let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX);
        Manner {
            places,
            head_limit: HEAD_LIMIT,
            requests_max: REQUESTS_MAX,
            keeps_questions_only: true,
            works_from_head: false,
        }
    }

    /// The counter's own: pages keep their connection, and streams of events live for long.
    pub fn local() -> Manner {
        let places = Places::new(CONNECTIONS_LOCAL_MAX, CONNECTIONS_OF_ONE_MAX);
        Manner {
            places,
            head_limit: HEAD_LIMIT,
            requests_max: REQUESTS_MAX,
            keeps_questions_only: false,
            works_from_head: true,
        }
    }
}

/// Serves a router until the signal to stop.
pub async fn serve(listener: TcpListener, router: Router, manner: Manner, clock: Clock, spawner: Spawner, stop: Stop) {
    let descriptors = Arc::new(Semaphore::new(manner.places.most() + LEAVING_MAX));
    loop {
        // A permit is a descriptor: those that lost their place are gone before more come in.
        let next = async { (descriptors.clone().acquire_owned().await, listener.accept().await) };
        let (permit, accepted) = tokio::select! {
            biased;
            () = stop.wait() => return,
            next = next => next,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors for a moment: the places of finished connections come back.
            clock.sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some((place, has_displaced)) = manner.places.take(peer.ip()) else {
            turn_away(stream);
            continue;
        };
        let guest = Guest { router: router.clone(), manner: manner.clone(), place: place.clone(), peer };
        let (clock, stop) = (clock.clone(), stop.clone());
        spawner.start(async move {
            tokio::select! {
                biased;
                () = place.lost() => {}
                () = converse(stream, guest, &clock, &stop) => {}
            }
            drop((place, permit));
        });
        if has_displaced {
            // In a flood the door is not quicker than the hall: whoever came in may speak before others come.
            tokio::task::yield_now().await;
        }
    }
}

/// One write that cannot wait: a flood costs us nothing, and who came in good faith knows to come again.
fn turn_away(stream: TcpStream) {
    use std::io::Write;
    if let Ok(mut stream) = stream.into_std() {
        let _told = stream.write_all(NO_PLACE).is_ok();
    }
}

async fn converse(stream: TcpStream, guest: Guest, clock: &Clock, stop: &Stop) {
    // Small answers leave at once; without it they only leave later.
    let _quick = stream.set_nodelay(true).is_ok();
    let is_public = guest.manner.keeps_questions_only;
    let head_limit = guest.manner.head_limit;
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_limit)
        .max_buf_size(HEAD_BYTES_MAX)
        // Who has said all may close his side and still hear the answer; a stream of events ends when its reader goes.
        .half_close(is_public)
        .serve_connection(TokioIo::new(stream), Served { guest, requests: Arc::default() });
    let talk = poll_fn(|context| connection.poll_without_shutdown(context));
    let is_stopped = tokio::select! {
        // A connection that broke is the other side's affair.
        _ended = talk => false,
        () = stop.wait() => true,
    };
    if is_stopped {
        Pin::new(&mut connection).graceful_shutdown();
        let talk = poll_fn(|context| connection.poll_without_shutdown(context));
        let _in_time = clock.limit(FAREWELL, talk).await.is_ok();
        return;
    }
    let stream = connection.into_parts().io.into_inner();
    tokio::select! {
        _gone = clock.limit(LINGER, linger(stream)) => {}
        () = stop.wait() => {}
    }
}

async fn linger(mut stream: TcpStream) {
    let mut sink = [0; 2048];
    let mut heard = 0;
    if stream.shutdown().await.is_ok() {
        while let Ok(count) = stream.read(&mut sink).await {
            heard += count;
            if count == 0 || heard > LINGER_BYTES_MAX {
                return;
            }
        }
    }
}

/// A connection's side of the house.
struct Guest {
    router: Router,
    manner: Manner,
    place: Place,
    peer: SocketAddr,
}

/// The requests of one connection: each gets its peer and its place with it, and the last one closes.
struct Served {
    guest: Guest,
    requests: Arc<AtomicU32>,
}

impl hyper::service::Service<Request<Incoming>> for Served {
    type Response = Response<Held>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Held>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Guest { router, manner, place, peer } = &self.guest;
        place.begin();
        let work = manner.works_from_head.then(|| place.work());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(*peer));
        request.extensions_mut().insert(place.clone());
        let is_last = self.requests.fetch_add(1, Ordering::Relaxed) + 1 >= manner.requests_max;
        let may_stay = !manner.keeps_questions_only || is_question(&request);
        let only_if_well = manner.keeps_questions_only;
        let mut router = router.clone();
        Box::pin(async move {
            let answered = Service::call(&mut router, request).await;
            let mut response = answered?;
            if is_last || !may_stay || only_if_well && response.status() != StatusCode::OK {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Held { body, _work: work }))
        })
    }
}

/// Whether a request has no body, in whatever words one might be announced.
fn is_question(request: &Request<Body>) -> bool {
    let headers = request.headers();
    let announced = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT];
    request.method() == Method::GET && announced.iter().all(|name| !headers.contains_key(name))
}

/// The body of an answer; the connection is at work until its end.
struct Held {
    body: Body,
    _work: Option<Work>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        pin!(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
