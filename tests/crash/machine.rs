//! The same deaths with the true program: `kassad run` as a process of its own on the machine's clock, killed with SIGKILL while a
//! partner or a printer holds its request, ended with SIGTERM in the middle of a sale, and started ten times at once (F19).

use super::{Fuse, House, Last, MACHINE, People, Story, http};
use kassad::host::clock::Clock;
use kassad::sandbox::terminal::Screen;
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixDatagram};
use tokio::task::JoinSet;

/// How long anything that the machine must do may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A `kassad run`; it never outlives its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.0.kill().is_ok();
        let _reaped = self.0.wait().is_ok();
    }
}

impl Process {
    fn start(house: &House) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kassad"));
        command.arg("run").arg("--config").arg(house.config_file()).env("NOTIFY_SOCKET", house.notices());
        command.env_remove("WATCHDOG_USEC").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Process(command.spawn().unwrap())
    }

    fn term(&self) {
        let told = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status().unwrap();
        assert!(told.success());
    }

    /// Waits for the end; its status and what it complained of.
    async fn ended(&mut self) -> (ExitStatus, String) {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        let end = async {
            loop {
                beat.tick().await;
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
            }
        };
        let status = tokio::time::timeout(2 * LIMIT, end).await.expect("the process ends");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
        (status, said)
    }
}

/// The socket on which systemd would listen.
struct Notices(UnixDatagram);

impl Notices {
    fn open(house: &House) -> Notices {
        Notices(UnixDatagram::bind(house.notices()).unwrap())
    }

    async fn wait_for(&self, word: &str) {
        let mut notice = [0; 512];
        let heard = async {
            loop {
                let length = self.0.recv(&mut notice).await.unwrap();
                if String::from_utf8_lossy(&notice[..length]).lines().any(|line| line == word) {
                    return;
                }
            }
        };
        tokio::time::timeout(LIMIT, heard).await.unwrap_or_else(|_| panic!("{word} never came"));
    }
}

/// A port below those that the system gives away by itself: nobody takes it while its daemon is dead.
pub(super) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::SeqCst)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

async fn build(story: Story, seed: u64) -> (Arc<House>, Notices) {
    let (public, local) = (free_address(), free_address());
    let house = House::build(story, Clock::machine(), MACHINE, seed, [public, local]).await;
    house.open_at(public, local);
    let notices = Notices::open(&house);
    (house, notices)
}

/// Starts the program on the world as it is, and returns when it says that payments may come.
async fn start(house: &House, notices: &Notices, last: Option<Last>) -> (Process, Arc<Fuse>) {
    let fuse = Fuse::new(last);
    house.wire(&fuse);
    let mut process = Process::start(house);
    tokio::select! {
        () = notices.wait_for("READY=1") => {}
        (status, said) = process.ended() => panic!("it did not start: {status}: {said}"),
    }
    (process, fuse)
}

async fn kill_at(story: Story, point: &'static str, seed: u64) -> Option<String> {
    let (house, notices) = build(story, seed).await;
    let mut people = People::default();
    let (mut process, fuse) = start(&house, &notices, Some(Last::At(point.to_owned()))).await;
    let was_reached = house.until_blown(&fuse, &mut people).await;
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let (mut process, _fuse) = start(&house, &notices, None).await;
    let is_over = house.finish(&mut people).await;
    process.term();
    let (status, said) = process.ended().await;
    let mut broken = house.broken_laws();
    if !(was_reached && is_over && status.success()) {
        broken.push(format!("reached: {was_reached}, over: {is_over}, {status}: {said}"));
    }
    house.tell(point, &broken)
}

/// Where the process dies: while somebody else holds what it sent.
const DEATHS: [(Story, &str); 12] = [
    (Story::Terminal, "terminal till1 status received 1"),
    (Story::Terminal, "terminal till1 status answering 1"),
    (Story::Terminal, "poster close received 1"),
    (Story::Terminal, "poster close applied 1"),
    (Story::Terminal, "poster close answering 1"),
    (Story::Terminal, "printer:receipt paper bytes 1"),
    (Story::Terminal, "printer:hot paper cut 1"),
    (Story::Phone, "aipay create applied 1"),
    (Story::Phone, "aipay create answering 1"),
    (Story::EarlyNotice, "aipay get applied 1"),
    (Story::Bot, "bot webhook applied 1"),
    (Story::Bot, "printer:bar paper bytes 1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f01_the_true_process_is_killed_and_goes_on() {
    let (mut worlds, mut broken, mut count) = (JoinSet::new(), Vec::new(), 0);
    let mut deaths = (0..).zip(DEATHS);
    loop {
        while worlds.len() < 4
            && let Some((seed, (story, point))) = deaths.next()
        {
            worlds.spawn(kill_at(story, point, seed));
        }
        let Some(ended) = worlds.join_next().await else { break };
        count += 1;
        broken.extend(ended.unwrap());
    }
    println!("{count} kills of the true process, {} broken", broken.len());
    assert!(broken.is_empty(), "{} of {count}:\n{}", broken.len(), broken.join("\n"));
    assert_eq!(count, DEATHS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn told_to_stop_in_the_middle_of_a_sale_it_ends_in_time_and_loses_nothing() {
    let (house, notices) = build(Story::Terminal, 7).await;
    let mut people = People::default();
    let (mut process, _fuse) = start(&house, &notices, None).await;
    house.cashier_sells(&mut people).await;
    assert!(people.sales[0].payment.is_some(), "{:?}", house.diary);
    let terminal = &house.shop.world.terminals()[0];
    terminal.until(|terminal| matches!(terminal.screen(), Screen::Pay { .. })).await;
    // The counter page is open and listens: it must not keep the daemon.
    let mut page = TcpStream::connect(house.local()).await.unwrap();
    page.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    page.readable().await.unwrap();
    let told = house.clock.now();
    process.term();
    notices.wait_for("STOPPING=1").await;
    let (status, said) = process.ended().await;
    let took = house.clock.now().since(told);
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}: {said}");
    // The guest pays while nobody listens; the next daemon finds out.
    assert!(terminal.guest_pays_card());
    let (_process, _fuse) = start(&house, &notices, None).await;
    assert!(house.finish(&mut people).await);
    assert_eq!(house.broken_laws(), Vec::<String>::new());
    assert_eq!(people.answers, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f19_of_ten_daemons_on_one_ledger_one_works_and_nine_say_why_not() {
    let (house, notices) = build(Story::Terminal, 8).await;
    let (mut first, _fuse) = start(&house, &notices, None).await;
    for _ in 0..9 {
        let (status, said) = Process::start(&house).ended().await;
        assert_eq!(status.code(), Some(3), "{said}");
        let holder = format!("process {}", first.0.id());
        assert!(said.contains(&holder) && said.contains("systemctl stop kassad"), "{said}");
    }
    let (status, health) = http(house.local(), "GET", "/healthz", "", None).await.unwrap_or((0, json!(null)));
    assert_eq!(status, 200, "{health}");
    let mut people = People::default();
    assert!(house.finish(&mut people).await, "{:?}", house.diary);
    assert_eq!(house.broken_laws(), Vec::<String>::new());
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    // All at once: the lock has one winner, whoever it is.
    let mut copies: Vec<Process> = (0..10).map(|_| Process::start(&house)).collect();
    let mut refused = 0;
    notices.wait_for("READY=1").await;
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    let all = async {
        while refused < 9 {
            beat.tick().await;
            copies.retain_mut(|copy| match copy.0.try_wait().unwrap() {
                Some(status) => {
                    assert_eq!(status.code(), Some(3));
                    refused += 1;
                    false
                }
                None => true,
            });
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("nine give up");
    assert_eq!(copies.len(), 1);
}
