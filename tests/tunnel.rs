//! The way in, with the real peers: the machine's own OpenSSH server on loopback, real sockets, and paths that go silent (F11). Money
//! never waits for it (F10). Where a peer is missing the stories say so aloud, and fail if `KASSAD_REQUIRE` names it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod bench;
mod countryside;
mod real;

use bench::{Bench, Place, SECOND, Wish, not_run};
use countryside::{Countryside, SERVER, word};
use kassad::daemon;
use kassad::host::ids::Ids;
use kassad::host::tasks::Stop;
use kassad::sandbox::road::{self, Barrier, End};
use kassad::sandbox::sshd::{Sshd, SshdFault, SshdOptions, free_port, new_key};
use real::Real;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A tunnel that is down is noticed within this time while a guest has an invoice.
const DETECTION: Duration = Duration::from_secs(12);

/// It is up again within this time after the path is back.
const RECOVERY: Duration = Duration::from_secs(5);

/// A payment is known within this time, whatever the tunnel does.
const PAYMENT: Duration = Duration::from_secs(4);

/// For what has no limit of its own.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_notice_comes_in_through_a_real_server() {
    for place in [Place::Port, Place::Socket] {
        let Some(bench) = Bench::open(Wish { place, ..Wish::default() }).await else { return };
        bench.until_tunnel("up", SOON).await;
        assert_eq!(bench.sshd.logins(), 1);
        bench.is_open_for_notices().await;
        // Nothing but the few paths of the public listener is out there.
        let page = reqwest::get(format!("http://{}/", bench.outside)).await;
        assert_eq!(page.unwrap().status().as_u16(), 404);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_server_that_is_killed_and_started_again_is_found_again() {
    let Some(mut bench) = Bench::open(Wish { place: Place::Port, ..Wish::default() }).await else { return };
    bench.until_tunnel("up", SOON).await;
    let (id, _) = bench.ask_guest().await;
    bench.sshd.kill().await;
    let noticed = bench.until_tunnel("down", DETECTION).await;
    let seen = bench.pay_and_see(&id).await;
    assert!(seen <= PAYMENT, "{seen:?}, the loss was seen after {noticed:?}");
    bench.pass_really(20 * SECOND).await;
    bench.sshd.start().await.unwrap();
    bench.until_tunnel("up", RECOVERY).await;
    bench.is_open_for_notices().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_dead_session_loses_its_socket_to_the_next_one_at_once() {
    let Some(bench) = Bench::open(Wish::default()).await else { return };
    bench.until_tunnel("up", SOON).await;
    let (id, _) = bench.ask_guest().await;
    assert!(bench.sshd.freeze() > 0);
    bench.until_tunnel("down", DETECTION).await;
    bench.until_tunnel("up", 10 * SECOND).await;
    assert!(bench.pay_and_see(&id).await <= PAYMENT);
    bench.is_open_for_notices().await;
    assert!(bench.sshd.sessions().len() >= 2, "the frozen one is still there");
    bench.close().await;
}

/// What an installer writes for a port: whoever listens there is our own dead session.
const FREE: &str =
    "free_command = \"kill -KILL $(ss -ltnpH 'sport = :{port}' | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u)\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_dead_session_that_holds_the_port_is_ended_by_the_command() {
    let Some(bench) = Bench::open(Wish { place: Place::Port, more: FREE, ..Wish::default() }).await else { return };
    bench.until_tunnel("up", SOON).await;
    let (id, _) = bench.ask_guest().await;
    assert!(bench.sshd.freeze() > 0);
    bench.until_tunnel("down", DETECTION).await;
    // The path is there all the time: what it takes is a login, a refusal and a program of the server.
    bench.until_tunnel("up", SOON).await;
    assert!(bench.pay_and_see(&id).await <= PAYMENT);
    bench.is_open_for_notices().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_without_a_command_the_port_is_free_when_the_server_drops_the_dead_session() {
    let options = SshdOptions { alive_s: 1, alive_count: 3, ..SshdOptions::default() };
    let Some(bench) = Bench::open(Wish { place: Place::Port, options, ..Wish::default() }).await else { return };
    bench.until_tunnel("up", SOON).await;
    let (id, _) = bench.ask_guest().await;
    // A new address: no reset ever reaches the server, which keeps the old session until it answers no more.
    bench.barrier.cut();
    bench.barrier.give_back_anew();
    bench.until_tunnel("down", DETECTION).await;
    bench.until_code("tunnel_port_taken", SOON).await;
    assert!(bench.pay_and_see(&id).await <= PAYMENT);
    bench.until_tunnel("up", 10 * SOON).await;
    bench.is_open_for_notices().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_server_with_another_key_is_told_nothing() {
    let Some(mut bench) = Bench::open(Wish::default()).await else { return };
    bench.until_tunnel("up", SOON).await;
    let logins = bench.sshd.logins();
    let known = bench.sshd.change_host_key(new_key(&bench.ids).unwrap());
    let strange = bench.sshd.fingerprint();
    bench.sshd.start().await.unwrap();
    bench.until_code("tunnel_host_key", SOON).await;
    let shown = bench.shop.device("tunnel").unwrap();
    assert_eq!((shown.role, shown.state), ("tunnel", "down"));
    assert!(shown.detail.contains(&strange), "{}", shown.detail);
    bench.pass_really(20 * SECOND).await;
    assert_eq!(bench.sshd.logins(), logins);
    let asked = bench.sshd.log().into_iter().filter(|line| line.contains("authenticating user")).collect::<Vec<_>>();
    assert_eq!(asked, Vec::<String>::new(), "not even a name was told");
    bench.sshd.change_host_key(known);
    bench.sshd.start().await.unwrap();
    bench.until_tunnel("up", SOON).await;
    bench.is_open_for_notices().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_first_login_that_fails_is_tried_until_it_is_allowed() {
    let options = SshdOptions { is_allowed: false, ..SshdOptions::default() };
    let Some(bench) = Bench::open(Wish { options, ..Wish::default() }).await else { return };
    bench.until_code("tunnel_login", SOON).await;
    assert_eq!(bench.tunnel().0, "down");
    bench.pass_really(20 * SECOND).await;
    assert_eq!(bench.sshd.logins(), 0);
    bench.sshd.allow(true).unwrap();
    bench.until_tunnel("up", 20 * SECOND).await;
    bench.is_open_for_notices().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_server_that_is_away_at_the_start_is_found_later() {
    let Some(mut bench) = Bench::open(Wish { is_there: false, ..Wish::default() }).await else { return };
    bench.until_tunnel("down", SOON).await;
    let (id, _) = bench.ask_guest().await;
    assert!(bench.pay_and_see(&id).await <= PAYMENT);
    bench.sshd.start().await.unwrap();
    bench.until_tunnel("up", RECOVERY).await;
    bench.is_open_for_notices().await;
    bench.close().await;
}

/// The path goes silent for a time while a guest has an invoice; with `is_anew` the shop has another address afterwards.
async fn silence(span: Duration, is_anew: bool) {
    let Some(bench) = Bench::open(Wish::default()).await else { return };
    bench.until_tunnel("up", SOON).await;
    let (id, _) = bench.ask_guest().await;
    let cut = bench.shop.clock.now();
    bench.barrier.cut();
    let noticed = bench.until_tunnel("down", DETECTION).await;
    let seen = bench.pay_and_see(&id).await;
    assert!(seen <= PAYMENT, "known after {seen:?}");
    let (next, _) = bench.ask_guest().await;
    let seen = bench.pay_and_see(&next).await;
    assert!(seen <= PAYMENT, "the next one known after {seen:?}");
    // Red means money, and all money is in order: the page shows a grey mark.
    assert_eq!(bench.tunnel().0, "down");
    assert_eq!(bench.shop.questions().await, Vec::<String>::new());
    assert_eq!(bench.shop.get("/readyz").await.status, 200);
    let step = if span > 600 * SECOND { 2 * SECOND } else { SECOND / 2 };
    let left = span.saturating_sub(bench.shop.clock.now().since(cut));
    bench.shop.pass(left.saturating_sub(10 * SECOND), step).await;
    bench.pass_really(10 * SECOND.min(left)).await;
    assert_eq!(bench.tunnel().0, "down");
    match is_anew {
        true => bench.barrier.give_back_anew(),
        false => bench.barrier.give_back(),
    }
    let back = bench.until_tunnel("up", RECOVERY).await;
    assert!(noticed <= DETECTION && back <= RECOVERY);
    bench.is_open_for_notices().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_20_silent_seconds() {
    silence(20 * SECOND, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_90_silent_seconds() {
    silence(90 * SECOND, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_300_silent_seconds_and_a_new_address() {
    silence(300 * SECOND, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_silent_hour() {
    silence(3600 * SECOND, true).await;
}

#[tokio::test]
async fn a_silent_road_moves_nothing_and_resets_nobody() {
    let (_hand, stop) = Stop::pair();
    let spawner = daemon::spawner(stop.clone());
    let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let end = End::Port(echo.local_addr().unwrap());
    let own = spawner.clone();
    spawner.start(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            own.start(async move {
                let (mut from, mut to) = stream.split();
                let _ended = tokio::io::copy(&mut from, &mut to).await.is_ok();
            });
        }
    });
    let barrier = Barrier::default();
    let (road, toll) = road::open(end.clone(), &barrier, &spawner, &stop).await.unwrap();
    let (other, _) = road::open(end, &Barrier::default(), &spawner, &stop).await.unwrap();
    let (mut old, mut beside) = (TcpStream::connect(road).await.unwrap(), TcpStream::connect(other).await.unwrap());
    exchange(&mut old, b"one").await;
    assert_eq!((toll.out(), toll.back()), (3, 3));
    barrier.cut();
    old.write_all(b"two").await.unwrap();
    let mut late = TcpStream::connect(road).await.unwrap();
    late.write_all(b"new").await.unwrap();
    exchange(&mut beside, b"meanwhile").await;
    assert_eq!((toll.out(), toll.back()), (3, 3));
    barrier.give_back();
    for stream in [&mut old, &mut late] {
        assert_eq!(heard(stream, 3).await.len(), 3);
    }
    assert_eq!((toll.out(), toll.back()), (9, 9));
    barrier.cut();
    barrier.give_back_anew();
    old.write_all(b"lost").await.unwrap();
    exchange(&mut TcpStream::connect(road).await.unwrap(), b"fresh").await;
    assert_eq!((toll.out(), toll.back()), (14, 14));
    // Neither an answer nor an end: the shop cannot tell it from patience.
    let mut nothing = [0; 8];
    assert_eq!(old.try_read(&mut nothing).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

async fn exchange(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).await.unwrap();
    assert_eq!(heard(stream, words.len()).await, words);
}

async fn heard(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut words = vec![0; bytes];
    tokio::time::timeout(SOON, stream.read_exact(&mut words)).await.unwrap().unwrap();
    words
}

/// OpenSSH's own client as the program of `kind = "command"`: it ends when its session does, and is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_tunnel_program_that_dies_is_started_again() {
    let mut real = Real::open().await;
    let (_hand, stop) = Stop::pair();
    let folder = real.folder.path().join("sshd");
    let sshd = Sshd::open(&folder, SshdOptions::default(), &Ids::machine(), &daemon::spawner(stop)).await;
    let sshd = match sshd {
        Err(SshdFault::Missing) => return not_run("sshd", "there is no sshd here", "apt-get install openssh-server"),
        sshd => sshd.unwrap(),
    };
    let (at, port) = (sshd.address(), free_port(Ipv4Addr::LOCALHOST).unwrap());
    std::fs::write(folder.join("known"), format!("[{}]:{} {}\n", at.ip(), at.port(), sshd.host_key_line().unwrap()))
        .unwrap();
    let (key, public) = (sshd.client_key_file(), real.public);
    let options = [
        "BatchMode=yes".to_owned(),
        "ExitOnForwardFailure=yes".to_owned(),
        "IdentitiesOnly=yes".to_owned(),
        format!("UserKnownHostsFile={}", folder.join("known").display()),
    ];
    let mut words = vec!["ssh".to_owned(), "-F".to_owned(), "none".to_owned(), "-N".to_owned()];
    words.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
    words.extend(["-i".to_owned(), key.display().to_string(), "-p".to_owned(), at.port().to_string()]);
    words.extend(["-R".to_owned(), format!("127.0.0.1:{port}:{public}"), format!("{}@{}", sshd.user(), at.ip())]);
    let public_url = format!("http://127.0.0.1:{port}");
    let section = format!("[tunnel]\nkind = \"command\"\npublic_url = \"{public_url}\"\ncommand = {words:?}\n");
    real.start(section, &public_url).await;
    real.until_tunnel("up", 20 * SECOND).await;
    let id = real.ask_guest().await;
    let sessions = sshd.sessions();
    assert!(!sessions.is_empty());
    sshd.end_sessions();
    let again = async || sshd.logins() == 2;
    real.until("the program was started again", 20 * SECOND, again).await;
    assert!(real.pay_and_see(&id).await <= PAYMENT);
    real.until_tunnel("up", 20 * SECOND).await;
    let id = real.ask_guest().await;
    assert!(real.pay_and_see(&id).await <= PAYMENT);
    real.until_notice().await;
}

/// The machine's own time, a `kassad run` of its own, packets that vanish in the middle of three network namespaces, and another address
/// of the shop afterwards: no reset ever reaches the server, which still holds the port for the old session.
#[test]
fn f11_20_silent_seconds_in_a_real_network_with_another_address_after_them() {
    let country = match Countryside::open() {
        Ok(country) => country,
        Err(because) => return not_run("netns", &because, "run as root with iproute2; containers need NET_ADMIN"),
    };
    if Sshd::find().is_err() {
        return not_run("sshd", "there is no sshd on this machine", "apt-get install openssh-server");
    }
    let ((tell_section, section), (tell_over, over)) = (word(), word::<()>());
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().to_owned();
    let server = country.live("server", async move || {
        let (_hand, stop) = Stop::pair();
        let options = SshdOptions { address: SERVER.parse().unwrap(), ..SshdOptions::default() };
        let sshd = Sshd::open(&keys, options, &Ids::machine(), &daemon::spawner(stop)).await.unwrap();
        let url = format!("http://{SERVER}:18790");
        tell_section.send(sshd.section(sshd.address(), &format!("{SERVER}:18790"), &url).unwrap()).unwrap();
        // Its voice is heard to the end.
        tokio::task::spawn_blocking(move || over.recv().is_ok()).await.unwrap();
        sshd.logins()
    });
    let section = section.recv_timeout(Duration::from_secs(30)).unwrap();
    let country = std::sync::Arc::new(country);
    let weather = country.clone();
    let shop = country.live("shop", async move || live_through(section, &weather).await);
    shop.join().unwrap();
    tell_over.send(()).unwrap();
    assert_eq!(server.join().unwrap(), 2, "one session before the cut, one after it");
}

async fn live_through(section: String, weather: &Countryside) {
    let mut real = Real::open().await;
    real.start(section, &format!("http://{SERVER}:18790")).await;
    real.until_tunnel("up", 20 * SECOND).await;
    let id = real.ask_guest().await;
    let begun = real.clock.now();
    weather.cut();
    let noticed = real.until_tunnel("down", DETECTION).await;
    assert!(real.pay_and_see(&id).await <= PAYMENT);
    let left = (20 * SECOND).saturating_sub(real.clock.now().since(begun));
    let over = real.clock.now().plus(left);
    real.until("the silence is over", 30 * SECOND, async || real.clock.now() >= over).await;
    assert_eq!(real.tunnel().await, "down");
    weather.give_back(true);
    let back = real.until_tunnel("up", RECOVERY).await;
    assert!(noticed <= DETECTION && back <= RECOVERY, "{noticed:?} {back:?}");
    let id = real.ask_guest().await;
    assert!(real.pay_and_see(&id).await <= PAYMENT);
    real.until_notice().await;
}
