//! What the way in costs in mobile data: questions through the machine's own OpenSSH server are counted on both roads of the shop, with the
//! headers of TCP and the handshake of TLS added, and a month of them by the schedule stays under the budget.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crate::shop::Counter;
use crate::tunnel::bench::not_run;
use kassad::daemon;
use kassad::host::ids::Ids;
use kassad::host::tasks::Stop;
use kassad::sandbox::road::{self, Barrier, End, Toll};
use kassad::sandbox::sshd::{Sshd, SshdFault, SshdOptions};
use kassad::transport::web::{Limits, Request, Trust, Web};
use std::sync::Arc;
use std::time::Duration;

/// The budget of a month, in megabytes.
const MONTH_MB_MAX: u64 = 150;

/// A question at night; nothing else happens at the counter of this test.
const NIGHT_GAP: Duration = Duration::from_secs(300);

/// Questions that are measured.
const QUESTIONS: u64 = 20;

/// Bytes of IP and TCP with time stamps, for each segment.
const HEADER_BYTES: u64 = 52;

/// Segments of a question over a kept connection, on each road: it, the answer, and an acknowledgement of each.
const KEPT_SEGMENTS: [u64; 2] = [4, 4];

/// Segments of a question over a new connection: in the session a channel is opened, confirmed, used both ways and closed both ways, with
/// two bare acknowledgements; outside three open and four close the connection besides.
const FRESH_SEGMENTS: [u64; 2] = [8, 11];

/// What TLS 1.3 adds to each question, and to each new connection that is not resumed, with a chain of two certificates.
const TLS_RECORD_BYTES: u64 = 2 * 22;
const TLS_HANDSHAKE_BYTES: u64 = 4_000;

/// A sign of life of an idle session and its answer, with headers: 60 + 36 bytes in three segments (measured with OpenSSH 9).
const KEEP_ALIVE_BYTES: u64 = 96 + 3 * HEADER_BYTES;

const DAY_S: u64 = 86_400;
const OPEN_S: u64 = 12 * 3600;
/// 150 payments of a minute each.
const LIVE_S: u64 = 150 * 60;

fn paid(tolls: &[Arc<Toll>; 2]) -> [u64; 2] {
    [0, 1].map(|place| tolls[place].out() + tolls[place].back())
}

/// Bytes of one question on each road, headers included.
fn each(before: [u64; 2], after: [u64; 2], segments: [u64; 2]) -> [u64; 2] {
    [0, 1].map(|place| (after[place] - before[place]) / QUESTIONS + segments[place] * HEADER_BYTES)
}

/// A month in megabytes: what a question costs while a payment is live, while the shop is open, and at night.
fn month_mb(live: u64, open: u64, night: u64) -> u64 {
    let day = LIVE_S / 5 * live
        + (OPEN_S - LIVE_S) / 30 * open
        + (DAY_S - OPEN_S) / 300 * night
        + (DAY_S - OPEN_S) / 30 * KEEP_ALIVE_BYTES;
    day * 30 / 1_000_000
}

async fn answered(shop: &Counter) -> u64 {
    let text = shop.get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix("kassad_probe_total{result=\"answered\"} "));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_month_of_questions_stays_within_the_mobile_budget() {
    let mut shop = Counter::open().await;
    shop.stop().await;
    let (_hand, stop) = Stop::pair();
    let spawner = daemon::spawner(stop.clone());
    let folder = shop.folder.path().join("sshd");
    let sshd = match Sshd::open(&folder, SshdOptions::default(), &Ids::seeded(3), &spawner).await {
        Ok(sshd) => sshd,
        Err(SshdFault::Missing) => {
            return not_run("sshd", "there is no sshd on this machine", "apt-get install openssh-server");
        }
        Err(other) => panic!("{other}"),
    };
    let (barrier, socket) = (Barrier::default(), shop.folder.path().join("way.sock"));
    let (session, first) = road::open(End::Port(sshd.address()), &barrier, &spawner, &stop).await.unwrap();
    let (seen, second) = road::open(End::Socket(socket.clone()), &barrier, &spawner, &stop).await.unwrap();
    let url = format!("http://{seen}");
    shop.shop.set_way_in(sshd.section(session, &socket.display().to_string(), &url).unwrap());
    shop.start().await;
    shop.until("the tunnel is up", async || shop.device("tunnel").is_some_and(|device| device.state == "up")).await;
    let tolls = [first, second];

    // The daemon's own questions, over the connection that it keeps.
    let before = paid(&tolls);
    for _ in 0..QUESTIONS {
        let count = answered(&shop).await;
        shop.clock.advance(NIGHT_GAP);
        while answered(&shop).await == count {
            tokio::task::yield_now().await;
        }
    }
    let kept = each(before, paid(&tolls), KEPT_SEGMENTS);

    // The same over a new connection each.
    let web = Web::open(&url, &Trust::Roots).unwrap();
    let before = paid(&tolls);
    for _ in 0..QUESTIONS {
        let answer = web.send(&Request::get("/probe/23456789abcdefghjkmn"), Limits::RECORD).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let fresh = each(before, paid(&tolls), FRESH_SEGMENTS);

    // The server's own port: our listener keeps the connection while a payment is live, and ends it within half a minute.
    let [kept, fresh] = [kept, fresh].map(|[session, seen]| (session, seen));
    let bare = month_mb(kept.0 + kept.1, fresh.0 + fresh.1, fresh.0 + fresh.1);
    // A web server in front, with TLS: our side is kept while the shop is open, and its own side while a payment is live, where it is
    // told to keep it. Where it is not, the month is over the budget: `fronted` is printed for the record.
    let night = fresh.0 + fresh.1 + TLS_RECORD_BYTES + TLS_HANDSHAKE_BYTES;
    let mixed = fresh.0 + kept.1 + TLS_RECORD_BYTES;
    let fronted = month_mb(mixed, mixed, night);
    let spared = month_mb(kept.0 + kept.1 + TLS_RECORD_BYTES, mixed, night);
    let told =
        format!("kept {kept:?}, fresh {fresh:?} bytes; a month {bare} MB bare, {fronted} fronted, {spared} spared");
    println!("{told}");
    assert!(kept.0 > 200 && kept.1 > 200 && fresh.0 > kept.0 && fresh.1 > kept.1, "{told}");
    assert!(bare < MONTH_MB_MAX && spared < MONTH_MB_MAX, "{told}");
    shop.close().await;
}
