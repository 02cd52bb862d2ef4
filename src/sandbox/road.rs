//! A stretch of the internet: a TCP relay that can go silent. While its barrier is down it moves no byte, answers nothing, and never
//! resets anything: so a mobile network loses a mapping (F11). It leads to a port, or to a Unix socket as a web server in front of it would.

use crate::host::tasks::{Spawner, Stop};
use futures_util::future::join;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Bytes on their way at once, each way of a connection.
const PIECE_BYTES: usize = 16 << 10;

/// Where a road leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// To a port.
    Port(SocketAddr),
    /// To a Unix socket.
    Socket(PathBuf),
}

/// What stops several roads at once: all of them are one mobile network.
#[derive(Clone, Debug)]
pub struct Barrier(Arc<watch::Sender<Weather>>);

/// How it is out there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    is_cut: bool,
    /// Mappings lost so far: what began before the last loss is silent for ever.
    losses: u64,
}

/// Bytes that went through a road.
#[derive(Debug, Default)]
pub struct Toll {
    out: AtomicU64,
    back: AtomicU64,
}

impl Default for Barrier {
    fn default() -> Barrier {
        Barrier(Arc::new(watch::Sender::new(Weather::default())))
    }
}

impl Barrier {
    /// From now on nothing moves.
    pub fn cut(&self) {
        self.0.send_modify(|weather| weather.is_cut = true);
    }

    /// Everything moves again, also what was on its way, as after a short hole in the radio.
    pub fn give_back(&self) {
        self.0.send_modify(|weather| weather.is_cut = false);
    }

    /// New connections move again; those from before are silent for ever, as after a new address or a lost mapping.
    pub fn give_back_anew(&self) {
        self.0.send_modify(|weather| *weather = Weather { is_cut: false, losses: weather.losses + 1 });
    }

    /// Waits until a new connection gets through; the count of losses then.
    async fn arrive(&self) -> u64 {
        let mut weather = self.0.subscribe();
        // The sender lives as long as we do.
        weather.wait_for(|weather| !weather.is_cut).await.map_or(0, |weather| weather.losses)
    }

    /// Waits until a connection that began at a count of losses may move; for ever when its mapping is lost.
    async fn pass(&self, born: u64) {
        let mut weather = self.0.subscribe();
        // The sender lives as long as we do.
        let _open = weather.wait_for(|weather| !weather.is_cut && weather.losses == born).await.is_ok();
    }
}

impl Toll {
    /// Bytes towards the end of the road.
    pub fn out(&self) -> u64 {
        self.out.load(Ordering::Relaxed)
    }

    /// Bytes back to whoever came.
    pub fn back(&self) -> u64 {
        self.back.load(Ordering::Relaxed)
    }
}

/// Opens a road on a free port of loopback; returns where it begins and its toll.
pub async fn open(end: End, barrier: &Barrier, spawner: &Spawner, stop: &Stop) -> io::Result<(SocketAddr, Arc<Toll>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let begins = listener.local_addr()?;
    let toll = Arc::new(Toll::default());
    let (counted, barrier, spawner, stop) = (toll.clone(), barrier.clone(), spawner.clone(), stop.clone());
    let own = spawner.clone();
    own.start(async move {
        loop {
            let come = tokio::select! {
                () = stop.wait() => return,
                come = listener.accept() => come,
            };
            let Ok((near, _)) = come else { continue };
            let (end, barrier, toll, stop) = (end.clone(), barrier.clone(), counted.clone(), stop.clone());
            spawner.start(async move {
                tokio::select! {
                    () = stop.wait() => {}
                    () = lead(near, end, barrier, toll) => {}
                }
            });
        }
    });
    Ok((begins, toll))
}

/// One connection. What comes while the road is cut is accepted, because loopback loses no SYN, and hears nothing.
async fn lead(mut near: TcpStream, end: End, barrier: Barrier, toll: Arc<Toll>) {
    let mut said = Vec::new();
    // Its first packet leaves again and again until the road is there, or until whoever sends it gives up.
    let born = loop {
        tokio::select! {
            biased;
            born = barrier.arrive() => break born,
            read = near.read_buf(&mut said), if said.len() < PIECE_BYTES => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
        }
    };
    let _small = near.set_nodelay(true).is_ok();
    let (near_in, near_out) = near.into_split();
    let toll = &*toll;
    match end {
        End::Port(address) => {
            let Ok(far) = TcpStream::connect(address).await else { return };
            let _small = far.set_nodelay(true).is_ok();
            let (far_in, far_out) = far.into_split();
            join(
                carry(near_in, far_out, &barrier, born, (said, &toll.out)),
                carry(far_in, near_out, &barrier, born, (Vec::new(), &toll.back)),
            )
            .await;
        }
        End::Socket(path) => {
            let Ok(far) = UnixStream::connect(path).await else { return };
            let (far_in, far_out) = far.into_split();
            join(
                carry(near_in, far_out, &barrier, born, (said, &toll.out)),
                carry(far_in, near_out, &barrier, born, (Vec::new(), &toll.back)),
            )
            .await;
        }
    }
}

/// One way of a connection, to its end; what was said before the road was there goes first.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    barrier: &Barrier,
    born: u64,
    (mut piece, toll): (Vec<u8>, &AtomicU64),
) {
    loop {
        let is_over = piece.is_empty() && from.read_buf(&mut piece).await.unwrap_or(0) == 0;
        // It may have been cut while nobody spoke: the end of a connection is a packet too.
        barrier.pass(born).await;
        if is_over {
            let _told = to.shutdown().await.is_ok();
            return;
        }
        if to.write_all(&piece).await.is_err() {
            return;
        }
        toll.fetch_add(u64::try_from(piece.len()).unwrap_or(0), Ordering::Relaxed);
        piece.clear();
        piece.reserve(PIECE_BYTES);
    }
}
