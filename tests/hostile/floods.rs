//! Ten thousand connections that want nothing good, of every kind at once. Places, descriptors and memory stay within their bounds, and a
//! genuine notice on a fresh connection is answered and durable all the while.

use super::{Calm, Counter, kept, metric, notice, post, right, signed, status};
use crate::shop::Bare;
use kassad::host::clock::Clock;
use kassad::http::listener::CONNECTIONS_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::time::Duration;

/// Connections of the flood in all.
const FLOOD: usize = 10_000;

/// Connections of the flood held at once: more than there are places.
const HELD: usize = 700;

/// Genuine notices sent meanwhile.
const GENUINE: usize = 100;

/// The median time of a genuine notice, from the first byte of its connection to its 200. A commit to a slow disk and a test machine that
/// builds beside it are in it: measured there, 2 to 4 ms.
const MEDIAN_MAX: Duration = Duration::from_millis(100);

/// What all of it may cost at its peak, with whatever other tests of this process need meanwhile: 512 places with a head and a body each
/// are 40 MiB; measured, 17.
const GROWTH_KIB_MAX: u64 = 96 * 1024;

/// Both ends of every connection are ours here.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(8192, |most| most.min(8192));
    assert!(wanted >= 4096, "this test needs 4096 descriptors, the machine allows {wanted}");
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// One connection that wants nothing good; those that are held are kept open by us.
async fn enemy(shop: &Counter, number: usize) -> Option<Bare> {
    let mut wire = Bare::open(shop.public()).await;
    match number % 8 {
        // says nothing
        0 | 1 => Some(wire),
        // half a head
        2 => {
            wire.say(b"POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-le").await;
            Some(wire)
        }
        // a body that does not come
        3 => {
            wire.say(b"POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n{\"event\"").await;
            Some(wire)
        }
        // a body that does not end
        4 => {
            wire.say(b"POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n")
                .await;
            Some(wire)
        }
        // a whole forgery whose answer nobody reads
        5 => {
            wire.say(&post("x-aipay-signature: 00\r\n", &[b'x'; 2000])).await;
            Some(wire)
        }
        // hangs up, and never hears
        6 => {
            wire.say(b"GET /probe/abc HTTP/1.1\r\n").await;
            wire.hang_up().await;
            Some(wire)
        }
        // breaks
        _ => {
            wire.say(&post(&right(b"{}"), b"{")).await;
            wire.reset();
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_enemies_do_not_shut_out_one_genuine_notice() {
    allow_descriptors();
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let watch = Clock::machine();
    let before = resident_kib();
    let (opened, peak) = (std::cell::Cell::new(0_usize), std::cell::Cell::new(0_u64));
    let flood = async {
        let mut held = VecDeque::new();
        while opened.get() < FLOOD {
            held.extend(enemy(&shop, opened.get()).await);
            if held.len() > HELD {
                held.pop_front();
            }
            opened.set(opened.get() + 1);
        }
        held
    };
    let genuine = async {
        let mut times = Vec::new();
        for number in 0..GENUINE {
            // Spread over the whole of the flood, once all places are taken.
            while opened.get() < HELD + number * (FLOOD - HELD) / GENUINE {
                tokio::task::yield_now().await;
            }
            let body = notice(&format!("inv-{number}"));
            let start = watch.now();
            let mut wire = Bare::open(shop.public()).await;
            wire.say(&signed(body.as_bytes())).await;
            let heard = wire.rest().await;
            times.push(watch.now().since(start));
            assert_eq!(status(&heard), 200, "{number}: {heard}");
            let places = metric(&shop, "kassad_connections{listener=\"public\"}").await;
            assert!(places <= i64::try_from(CONNECTIONS_MAX).unwrap(), "{places}");
            peak.set(peak.get().max(resident_kib()));
        }
        times
    };
    let (held, mut times) = tokio::join!(flood, genuine);
    times.sort();
    let (median, slowest) = (times[GENUINE / 2], times[GENUINE - 1]);
    let grown = peak.get().saturating_sub(before);
    let displaced = metric(&shop, "kassad_displaced_total{listener=\"public\"}").await;
    let told = format!("median {median:?}, slowest {slowest:?}, {grown} KiB more, {displaced} displaced");
    assert_eq!(kept(&shop).await, i64::try_from(GENUINE).unwrap(), "all are durable; {told}");
    assert!(median <= MEDIAN_MAX, "{told}");
    assert!(grown <= GROWTH_KIB_MAX, "{told}");
    assert!(displaced > 1000, "the flood was one: {told}");
    assert_eq!(metric(&shop, "kassad_refused_total{listener=\"public\"}").await, 0, "{told}");
    drop(held);
    shop.until("all places come back", async || metric(&shop, "kassad_connections{listener=\"public\"}").await == 0)
        .await;
    calm.holds();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_in_pieces_of_one_byte_cost_what_they_say() {
    const CONNECTIONS: usize = 60;
    const PIECES: usize = 50_000;
    allow_descriptors();
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let before = resident_kib();
    let head = b"POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let pieces = b"1\r\nx\r\n".repeat(PIECES);
    let mut wires = Vec::new();
    let mut peak = before;
    for _ in 0..CONNECTIONS {
        let mut wire = Bare::open(shop.public()).await;
        wire.say(head).await;
        wire.say(&pieces).await;
        wires.push(wire);
        peak = peak.max(resident_kib());
    }
    // All of them end, so all was read.
    for mut wire in wires {
        wire.say(b"0\r\n\r\n").await;
        assert!([403, 429].contains(&status(&wire.rest().await)));
        peak = peak.max(resident_kib());
    }
    // 3 MB were said; kept piece by piece they would be 120 MiB.
    let grown = peak.saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
    calm.holds();
    shop.close().await;
}
