//! Wires and their faults (F22): sockets, pseudo-terminals, pipes and files; printers that stop, talk, hang up, are pulled out and come back
//! under another name or address. A loss is `Unknown` if and only if a byte of the job was accepted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use kassad::domain::paper::{Document, Imprint, Slip};
use kassad::domain::time::Wall;
use kassad::drivers::printer::status::{Finding, Question, Trouble};
use kassad::drivers::printer::{Letters, Profile, render, samples};
use kassad::host::clock::Clock;
use kassad::host::tasks::{Stop, StopHand};
use kassad::sandbox::plugs::{CH340, Cable, FTDI, Plugs};
use kassad::sandbox::printer::Printer;
use kassad::transport::address::{Address, Mark, Place};
use kassad::transport::discover::{self, Bus};
use kassad::transport::neighbours::Mac;
use kassad::transport::whereabouts::Whereabouts;
use kassad::transport::wire::{Limits, Way, Wire};
use kassad::transport::{Bar, Loss};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_serial::{SerialPort, SerialStream};

const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
const FIRST: Imprint = Imprint { job: 42, copy: 1, instead_of: None };

fn story(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(30), story).await };
    tokio::task::LocalSet::new().block_on(&runtime, limited).expect("the story takes too long");
}

fn quick() -> Limits {
    Limits { chunk: Duration::from_millis(300), finish: Duration::from_millis(300), ..Limits::default() }
}

async fn open(address: &Address) -> Wire {
    Wire::open(address, quick(), &Clock::machine()).await.unwrap()
}

/// Asks and reads one byte, as the worker does.
async fn answer(wire: &mut Wire, question: Question) -> Option<Option<Trouble>> {
    wire.ask(question.bytes()).await.unwrap();
    let bytes = wire.read_some(Duration::from_millis(300)).await.unwrap();
    bytes.first().and_then(|byte| question.read(*byte)).map(Finding::trouble)
}

/// A paper that names a shop or a printer.
fn slip(name: &str) -> Document {
    let (_, sample) = samples().into_iter().find(|(known, _)| known == "slip").unwrap();
    let Document::Slip(slip) = sample else { unreachable!() };
    Document::Slip(Slip { shop: name.to_owned(), ..slip })
}

/// A paper for a narrow printer.
fn paper() -> Vec<u8> {
    render(&slip("Дастархан"), &FIRST, &Profile::narrow(Letters::Pc866))
}

/// Bytes in which no part looks like another, all 256 values among them.
fn long(bytes: u32) -> Vec<u8> {
    (0..bytes.div_ceil(4)).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect()
}

fn is_unknown(sent: &Result<(), Loss>) -> bool {
    matches!(sent, Err(Loss::Unknown(_)))
}

fn is_not_sent(sent: &Result<(), Loss>) -> bool {
    matches!(sent, Err(Loss::NotSent(_)))
}

async fn until_closed(wire: &mut Wire) {
    while wire.is_open() {
        tokio::task::yield_now().await;
    }
}

// ---- sockets

async fn listening() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Address::Tcp { host: "127.0.0.1".to_owned(), port })
}

/// A connected pair; the printer's side has small buffers where told.
async fn pair(buffer: Option<u32>, limits: Limits) -> (Wire, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.set_send_buffer_size(bytes).unwrap();
    }
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let wire = Wire::open(&address, limits, &Clock::machine()).await.unwrap();
    (wire, listener.accept().await.unwrap().0)
}

#[test]
fn a_printer_that_never_reads_is_given_up_at_its_deadline() {
    story(async {
        let (mut wire, _printer) = pair(Some(4096), quick()).await;
        let mut heard = Vec::new();
        let begun = Clock::machine();
        let sent = wire.send_job(&long(64 << 20), &mut heard).await;
        assert!(is_unknown(&sent), "{sent:?}");
        assert!(begun.now().0 < Duration::from_secs(20), "{:?}", begun.now());
        let Err(loss) = sent else { unreachable!() };
        assert!(loss.to_string().contains("is there paper"), "{loss}");
        assert_eq!(heard, b"");
    });
}

#[test]
fn bytes_that_only_our_own_machine_took_are_not_with_the_printer() {
    story(async {
        // All of the job fits into our buffers; the printer's side is full long before.
        let (mut wire, printer) = pair(Some(2048), quick()).await;
        wire.send_job(&long(200 << 10), &mut Vec::new()).await.unwrap();
        let ended = wire.finish().await;
        let Err(Loss::Unknown(cause)) = ended else { panic!("{ended:?}") };
        assert_eq!(cause.bar, Some(Bar::Silent));
        drop(printer);
        // One that took everything and never hangs up has it all.
        let (mut wire, mut printer) = pair(None, quick()).await;
        let mut taken = [0; 3];
        wire.send_job(b"job", &mut Vec::new()).await.unwrap();
        printer.read_exact(&mut taken).await.unwrap();
        wire.finish().await.unwrap();
        assert_eq!(printer.read(&mut taken).await.unwrap(), 0, "our half is shut, its own is not");
    });
}

#[test]
fn a_reset_at_every_byte_is_unknown_from_the_first_on() {
    story(async {
        let job = paper();
        let (listener, address) = listening().await;
        for cut in 0..=job.len() {
            let mut wire = open(&address).await;
            let (mut printer, _) = listener.accept().await.unwrap();
            let hang_up = async {
                let mut taken = vec![0; cut];
                printer.read_exact(&mut taken).await.unwrap();
                assert_eq!(taken, job[..cut]);
                printer.set_zero_linger().unwrap();
                drop(printer);
            };
            if cut == 0 {
                hang_up.await;
                until_closed(&mut wire).await;
                let sent = wire.send_job(&job, &mut Vec::new()).await;
                assert!(is_not_sent(&sent), "{sent:?}");
                continue;
            }
            let mut heard = Vec::new();
            let (sent, ()) = tokio::join!(wire.send_job(&job, &mut heard), hang_up);
            let lost = match sent {
                Ok(()) => wire.read_some(Duration::from_secs(2)).await.map(|_| ()),
                Err(loss) => Err(loss),
            };
            assert!(is_unknown(&lost), "{cut}: {lost:?}");
        }
    });
}

#[test]
fn an_idle_line_that_was_dropped_is_seen_before_a_job_and_the_job_is_not_sent() {
    story(async {
        let (mut wire, mut printer) = pair(None, quick()).await;
        assert!(wire.is_open());
        wire.send_job(b"first", &mut Vec::new()).await.unwrap();
        let mut first = [0; 5];
        printer.read_exact(&mut first).await.unwrap();
        assert!(wire.is_open());
        printer.write_all(&[0x16]).await.unwrap();
        drop(printer);
        until_closed(&mut wire).await;
        // Of the second job no byte was accepted, whatever became of the first.
        let sent = wire.send_job(b"second", &mut Vec::new()).await;
        assert!(is_not_sent(&sent), "{sent:?}");
    });
}

#[test]
fn a_printer_that_shut_its_half_takes_no_job() {
    story(async {
        let (mut wire, mut printer) = pair(None, quick()).await;
        printer.shutdown().await.unwrap();
        until_closed(&mut wire).await;
        let sent = wire.send_job(b"job", &mut Vec::new()).await;
        assert!(is_not_sent(&sent), "{sent:?}");
        drop(wire);
        let mut rest = Vec::new();
        printer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "not one byte went out");
    });
}

#[test]
fn a_printer_that_talks_before_it_reads_blocks_nobody() {
    /// What a printer says unasked of its state, over and over.
    const STATE: [u8; 4] = [0x14, 0x00, 0x00, 0x0F];
    story(async {
        let job = long(16 << 20);
        let converse = async |mut wire: Wire, mut printer: TcpStream, listens: bool| {
            let mut heard = Vec::new();
            let speak = async {
                printer.write_all(&STATE.repeat(1 << 20)).await.ok()?;
                printer.write_all(b"\x37\x22last\0").await.ok()?;
                let mut taken = vec![0; job.len()];
                printer.read_exact(&mut taken).await.ok()?;
                Some(taken)
            };
            let send = async {
                let sent = if listens { wire.send_job(&job, &mut heard).await } else { wire.write_all(&job).await };
                if sent.is_err() {
                    drop(wire);
                }
                sent
            };
            let (sent, taken) = tokio::join!(send, speak);
            (sent, taken.is_some_and(|taken| taken == job), heard)
        };
        let patient = Limits { chunk: Duration::from_secs(10), ..quick() };
        let (wire, printer) = pair(Some(8192), patient).await;
        let (sent, all, heard) = converse(wire, printer, true).await;
        assert!(sent.is_ok() && all, "{sent:?}");
        assert_eq!(heard.len(), 4096);
        assert!(heard.ends_with(b"\x14\x00\x00\x0F\x37\x22last\0"), "the newest is kept");
        // Who does not listen and such a printer wait for each other: that is why jobs are sent so.
        let (wire, printer) = pair(Some(8192), quick()).await;
        let (sent, all, _) = converse(wire, printer, false).await;
        assert!(is_unknown(&sent) && !all, "{sent:?}");
    });
}

#[test]
fn a_printer_that_only_talks_is_given_up_all_the_same() {
    story(async {
        let (mut wire, mut printer) = pair(Some(4096), quick()).await;
        let mut heard = Vec::new();
        let flood = async { while printer.write_all(&[0x14; 512]).await.is_ok() {} };
        let job = long(64 << 20);
        tokio::select! {
            sent = wire.send_job(&job, &mut heard) => assert!(is_unknown(&sent), "{sent:?}"),
            () = flood => panic!("the wire hung up first"),
        }
        assert_eq!(heard.len(), 4096);
    });
}

// ---- serial lines

/// A line: what hangs on it, the address, and what keeps it up.
fn line(settings: &str) -> (SerialStream, Address, SerialStream) {
    // Held without a lock: the line stays up while nobody talks.
    let (printer, held) = SerialStream::pair().unwrap();
    let address = Address::parse(&format!("serial:{}?{settings}", held.name().unwrap())).unwrap();
    (printer, address, held)
}

/// What the printer said stands at our end: the kernel carries it over in its own time.
async fn until_come(held: &SerialStream, bytes: u32) {
    while held.bytes_to_read().unwrap() < bytes {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    story(async {
        for settings in ["baud=38400", "baud=115200&flow=rtscts", "baud=9600&flow=xonxoff"] {
            let (mut printer, address, _held) = line(settings);
            let mut wire = open(&address).await;
            let job = long(64 << 10);
            let read = async {
                let mut taken: Vec<u8> = Vec::new();
                let mut some = [0; 100];
                while taken.len() < job.len() {
                    let count = printer.read(&mut some).await.unwrap();
                    taken.extend(&some[..count]);
                    for _ in 0..3 {
                        tokio::task::yield_now().await;
                    }
                }
                taken
            };
            let mut heard = Vec::new();
            let (sent, taken) = tokio::join!(wire.send_job(&job, &mut heard), read);
            sent.unwrap();
            assert!(taken == job, "{settings}");
            wire.finish().await.unwrap();
        }
    });
}

#[test]
fn a_line_that_takes_nothing_more_holds_up_nothing_but_its_job() {
    story(async {
        for settings in ["baud=38400", "baud=38400&flow=xonxoff"] {
            let (mut printer, address, _held) = line(settings);
            let mut wire = open(&address).await;
            let begun = Clock::machine();
            let turns = Cell::new(0u64);
            let others = async {
                loop {
                    turns.set(turns.get() + 1);
                    tokio::task::yield_now().await;
                }
            };
            let mut heard = Vec::new();
            let job = long(1 << 20);
            tokio::select! {
                sent = wire.send_job(&job, &mut heard) => assert!(is_unknown(&sent), "{sent:?}"),
                () = others => {}
            }
            assert!(turns.get() > 100, "the thread stood still: {} turns", turns.get());
            assert!(begun.now().0 >= quick().chunk, "{:?}", begun.now());
            // What comes next on this line begins from its beginning.
            drop(wire);
            let mut rest = [0; 4096];
            while printer.try_read(&mut rest).is_ok_and(|count| count > 0) {}
            let mut wire = open(&address).await;
            wire.send_job(b"whole", &mut heard).await.unwrap();
            wire.finish().await.unwrap();
            let mut whole = [0; 5];
            printer.read_exact(&mut whole).await.unwrap();
            assert_eq!(&whole, b"whole", "{settings}");
        }
    });
}

#[test]
fn a_printer_that_said_wait_before_the_job_gets_no_byte_of_it() {
    story(async {
        let (mut printer, address, held) = line("baud=38400");
        let mut wire = open(&address).await;
        printer.write_all(&[0x16, XOFF]).await.unwrap();
        until_come(&held, 2).await;
        let mut heard = Vec::new();
        let sent = wire.send_job(b"job", &mut heard).await;
        assert!(is_not_sent(&sent), "{sent:?}");
        assert_eq!(heard, [0x16, XOFF]);
        // It still waits at the next try, and a question reaches it all the same.
        assert!(is_not_sent(&wire.send_job(b"job", &mut heard).await));
        wire.ask(&[0x10, 0x04, 0x04]).await.unwrap();
        let mut question = [0; 3];
        printer.read_exact(&mut question).await.unwrap();
        assert_eq!(question, [0x10, 0x04, 0x04], "no byte of a job before it");
        printer.write_all(&[0x12, XON]).await.unwrap();
        let mut said = Vec::new();
        while said.len() < 2 {
            said.extend(wire.read_some(Duration::from_secs(2)).await.unwrap());
        }
        assert_eq!(said, [0x12, XON]);
        wire.send_job(b"job", &mut heard).await.unwrap();
        let mut job = [0; 3];
        printer.read_exact(&mut job).await.unwrap();
        assert_eq!(&job, b"job");
    });
}

/// A job over a line whose printer says "wait" after some bytes and "go on" when nothing more comes: how much came by then, all that came,
/// and what we heard.
async fn with_a_pause(settings: &str, job: &[u8]) -> (usize, Vec<u8>, Vec<u8>) {
    let (mut printer, address, _held) = line(settings);
    let limits = Limits { chunk: Duration::from_secs(10), ..quick() };
    let mut wire = Wire::open(&address, limits, &Clock::machine()).await.unwrap();
    let read = async {
        let clock = Clock::machine();
        let mut taken = vec![0; 100];
        printer.read_exact(&mut taken).await.unwrap();
        printer.write_all(&[XOFF]).await.unwrap();
        let mut some = [0; 1024];
        while let Ok(count) = clock.limit(Duration::from_millis(150), printer.read(&mut some)).await {
            taken.extend(&some[..count.unwrap()]);
            if taken.len() == job.len() {
                return (taken.len(), taken);
            }
        }
        let paused_at = taken.len();
        printer.write_all(&[XON]).await.unwrap();
        while taken.len() < job.len() {
            let count = printer.read(&mut some).await.unwrap();
            taken.extend(&some[..count]);
        }
        (paused_at, taken)
    };
    let mut heard = Vec::new();
    let (sent, (paused_at, taken)) = tokio::join!(wire.send_job(job, &mut heard), read);
    sent.unwrap();
    (paused_at, taken, heard)
}

#[test]
fn wait_and_go_on_are_obeyed_by_the_kernel_where_the_address_says_so_and_by_us_where_nobody_else_does() {
    story(async {
        let job = long(512 << 10);
        let (paused_at, taken, heard) = with_a_pause("baud=115200", &job).await;
        assert!(paused_at < job.len() && taken == job, "{paused_at}");
        assert_eq!(heard, [XOFF, XON]);
        let (paused_at, taken, heard) = with_a_pause("baud=115200&flow=xonxoff", &job).await;
        assert!(paused_at < job.len() && taken == job, "{paused_at}");
        assert_eq!(heard, b"", "the kernel keeps them for itself");
        // Where wires say it, the bytes mean nothing.
        let (paused_at, taken, _) = with_a_pause("baud=115200&flow=rtscts", &job).await;
        assert!(paused_at == job.len() && taken == job, "{paused_at}");
    });
}

#[test]
fn a_device_pulled_out_in_mid_write_is_unknown_and_before_it_not_sent() {
    story(async {
        let (mut printer, address, _held) = line("baud=38400");
        let mut wire = open(&address).await;
        let pulled = async {
            let mut taken = [0; 333];
            printer.read_exact(&mut taken).await.unwrap();
            drop(printer);
        };
        let mut heard = Vec::new();
        let job = long(1 << 20);
        let (sent, ()) = tokio::join!(wire.send_job(&job, &mut heard), pulled);
        assert!(is_unknown(&sent), "{sent:?}");
        assert!(!wire.is_open());

        let (printer, address, _held) = line("baud=38400");
        let mut wire = open(&address).await;
        assert!(wire.is_open());
        drop(printer);
        assert!(!wire.is_open());
        let sent = wire.send_job(&job, &mut heard).await;
        assert!(is_not_sent(&sent), "{sent:?}");
    });
}

#[test]
fn what_came_before_us_is_not_heard() {
    story(async {
        let (mut printer, address, held) = line("baud=38400");
        printer.write_all(b"answers to an earlier daemon").await.unwrap();
        until_come(&held, 28).await;
        let mut wire = open(&address).await;
        assert_eq!(wire.read_some(Duration::from_millis(50)).await.unwrap(), b"");
        printer.write_all(&[0x16]).await.unwrap();
        assert_eq!(wire.read_some(Duration::from_secs(2)).await.unwrap(), [0x16]);
    });
}

// ---- identity

/// A machine with a printer in a socket, known by what its plug says.
struct Machine {
    folder: tempfile::TempDir,
    plugs: Plugs,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let plugs = Plugs::new(folder.path()).unwrap();
        Machine { folder, plugs }
    }

    fn address(&self, mark: &str) -> Address {
        let join = if mark.contains('?') { "&" } else { "?" };
        Address::parse(&format!("serial:{mark}{join}root={}&baud=115200", self.folder.path().display())).unwrap()
    }
}

#[test]
fn f22_a_job_cut_by_the_cable_begins_again_under_the_new_name() {
    story(async {
        for mark in ["?vid=0403&pid=6001&serial=A50285BI", "by-id/usb-FT232R_USB_UART-if00"] {
            let machine = Machine::new();
            let address = machine.address(mark);
            let mut cable = Cable::new().unwrap();
            machine.plugs.plug(Bus::Serial, "ttyUSB0", "1-1", FTDI, &cable.node).unwrap();
            let mut wire = open(&address).await;
            let job = long(200 << 10);
            let pulled = async {
                let mut taken = vec![0; 1000];
                cable.device.read_exact(&mut taken).await.unwrap();
                machine.plugs.pull(Bus::Serial, "ttyUSB0", "1-1").unwrap();
                drop(cable);
                taken
            };
            let mut heard = Vec::new();
            let (sent, taken) = tokio::join!(wire.send_job(&job, &mut heard), pulled);
            assert!(is_unknown(&sent) && taken == job[..1000], "{sent:?}");
            let gone = Wire::open(&address, quick(), &Clock::machine()).await;
            assert!(matches!(gone, Err(Loss::NotSent(_))), "{gone:?}");
            // Another one takes the old name; ours comes back in another socket.
            let mut other = Cable::new().unwrap();
            machine.plugs.plug(Bus::Serial, "ttyUSB0", "1-1", CH340, &other.node).unwrap();
            let mut back = Cable::new().unwrap();
            machine.plugs.plug(Bus::Serial, "ttyUSB1", "1-2", FTDI, &back.node).unwrap();
            let mut wire = open(&address).await;
            let read = async {
                let mut taken = vec![0; job.len()];
                back.device.read_exact(&mut taken).await.unwrap();
                taken
            };
            let (sent, taken) = tokio::join!(wire.send_job(&job, &mut heard), read);
            sent.unwrap();
            assert!(taken == job, "{mark}: from its beginning");
            assert!(other.device.try_read(&mut [0; 16]).is_err(), "nothing for the other");
        }
    });
}

#[test]
fn f22_a_name_that_changes_hands_during_the_opening_is_not_trusted() {
    let machine = Machine::new();
    let (ours, theirs) = (machine.folder.path().join("ours"), machine.folder.path().join("theirs"));
    for node in [&ours, &theirs] {
        std::fs::write(node, "").unwrap();
    }
    let links = machine.folder.path().join("dev/serial/by-id");
    let point = |aim: &Path| {
        let _was = std::fs::remove_file(links.join("printer")).is_ok();
        std::os::unix::fs::symlink(aim, links.join("printer")).unwrap();
    };
    let place = Place { mark: Mark::ById("printer".to_owned()), root: machine.folder.path().to_owned() };
    // While it is opened, the link turns to where the device is now.
    point(&theirs);
    let tried = std::cell::RefCell::new(Vec::new());
    let opened = discover::opened(&place, Bus::Serial, |node| {
        tried.borrow_mut().push(node.to_owned());
        point(&ours);
        Ok(node.to_owned())
    });
    assert_eq!(opened.unwrap(), ours.canonicalize().unwrap());
    assert_eq!(*tried.borrow(), [theirs.canonicalize().unwrap(), ours.canonicalize().unwrap()]);
    // It never settles: told, not guessed and not tried for ever.
    let turns = Cell::new(0);
    let never = discover::opened(&place, Bus::Serial, |node| {
        turns.set(turns.get() + 1);
        point(if turns.get() % 2 == 0 { &ours } else { &theirs });
        Ok(node.to_owned())
    });
    assert_eq!(never.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(turns.get(), 3);
}

#[test]
fn f22_a_storm_of_plugs_ends_at_the_right_device_and_never_reaches_the_other() {
    const EVENTS: usize = 400;
    story(async {
        let machine = Machine::new();
        let address = machine.address("?vid=0403&pid=6001&serial=A50285BI");
        let (mut ours, mut other) = (Cable::new().unwrap(), Cable::new().unwrap());
        let aims: [PathBuf; 2] = [ours.node.clone(), other.node.clone()];
        let root = machine.folder.path().to_owned();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        // Much faster than fifty a second, from a thread of its own: names change in the middle of an opening.
        let storm = std::thread::spawn(move || {
            let plugs = Plugs::new(&root).unwrap();
            for event in 0..EVENTS {
                let (name, model) = (["ttyUSB0", "ttyUSB1"][event / 2 % 2], [FTDI, CH340][event % 2]);
                plugs.plug(Bus::Serial, name, "1-1", model, &aims[event % 2]).unwrap();
                plugs.pull(Bus::Serial, name, "1-1").unwrap();
            }
            plugs.plug(Bus::Serial, "ttyUSB7", "1-3", FTDI, &aims[0]).unwrap();
            over.store(true, Ordering::SeqCst);
        });
        let (mut opened, mut away) = (0, 0);
        let mut heard = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            match Wire::open(&address, quick(), &Clock::machine()).await {
                Ok(mut wire) => {
                    opened += 1;
                    wire.send_job(b"A", &mut heard).await.unwrap();
                }
                Err(Loss::NotSent(_)) => away += 1,
                Err(loss) => panic!("{loss}"),
            }
        }
        storm.join().unwrap();
        assert!(opened + away > 10, "{opened} openings, {away} times away");
        let mut wire = open(&address).await;
        wire.send_job(b"the whole job", &mut heard).await.unwrap();
        wire.finish().await.unwrap();
        let mut taken = vec![0; opened + 13];
        ours.device.read_exact(&mut taken).await.unwrap();
        assert_eq!(taken, [vec![b'A'; opened], b"the whole job".to_vec()].concat());
        assert!(other.device.try_read(&mut [0; 16]).is_err(), "nothing for the other");
    });
}

// ---- what is absent, a whole printer behind a line, files and pipes

#[test]
fn absent_and_refused_are_not_sent() {
    story(async {
        let clock = Clock::machine();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let addresses = [
            format!("tcp://127.0.0.1:{free}"),
            "usb:/dev/usb/lp-absent".to_owned(),
            "serial:/dev/ttyABSENT".to_owned(),
            "usb:/proc".to_owned(),
            "http://127.0.0.1".to_owned(),
        ];
        for address in addresses {
            let opened = Wire::open(&Address::parse(&address).unwrap(), quick(), &clock).await;
            assert!(matches!(opened, Err(Loss::NotSent(_))), "{address}: {opened:?}");
        }
    });
}

#[test]
fn a_serial_line_prints_and_answers() {
    story(async {
        let (ours, mut theirs) = SerialStream::pair().unwrap();
        theirs.set_exclusive(false).unwrap();
        let path = theirs.name().expect("a pty has a name");
        let address = Address::parse(&format!("serial:{path}?baud=38400&parity=none&stop=1")).unwrap();
        let profile = Profile::narrow(Letters::Pc866);
        let printer = Printer::new("receipt", profile.columns, Clock::machine());
        let (_hand, stop) = Stop::pair();
        let task = Arc::clone(&printer);
        tokio::task::spawn_local(async move { task.converse(ours, &stop).await });
        drop(theirs);
        let mut wire = open(&address).await;
        let second = Wire::open(&address, quick(), &Clock::machine()).await;
        assert!(matches!(second, Err(Loss::NotSent(_))), "{second:?}");
        assert_eq!(answer(&mut wire, Question::Paper).await, Some(None));
        wire.write_all(&paper()).await.unwrap();
        assert_eq!(answer(&mut wire, Question::Fence).await, Some(None));
        wire.finish().await.unwrap();
        assert_eq!(printer.papers().len(), 1);
        assert_eq!(printer.faults(), Vec::<String>::new());
    });
}

#[test]
fn a_file_takes_a_job_and_a_stuck_pipe_never_hangs_us() {
    story(async {
        let place = tempfile::tempdir().unwrap();
        let job = paper();
        let path = place.path().join("lp0");
        std::fs::write(&path, b"").unwrap();
        let mut wire = open(&Address::Usb(Place::node(&path))).await;
        wire.write_all(&job).await.unwrap();
        wire.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), job);

        let pipe = place.path().join("lp1");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let address = Address::Usb(Place::node(&pipe));
        let nobody = Wire::open(&address, quick(), &Clock::machine()).await;
        assert!(matches!(nobody, Err(Loss::NotSent(_))), "{nobody:?}");
        // A reader that never reads: the pipe fills, then the wire gives up on its deadline.
        let _reader = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&pipe).unwrap();
        let mut wire = open(&address).await;
        let stuck = wire.write_all(&vec![b'x'; 1 << 20]).await;
        assert!(matches!(stuck, Err(Loss::Unknown(_))), "{stuck:?}");
        let mut full = open(&address).await;
        let unsent = full.write_all(b"x").await;
        assert!(matches!(unsent, Err(Loss::NotSent(_))), "{unsent:?}");
        let unfinished = wire.finish().await;
        assert!(matches!(unfinished, Err(Loss::Unknown(_))), "{unfinished:?}");
    });
}

#[test]
fn a_printer_pulled_out_with_the_end_of_a_job_on_its_way_has_not_got_it() {
    story(async {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("lp0");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&pipe).unwrap();
        let mut wire = open(&Address::Usb(Place::node(&pipe))).await;
        wire.send_job(&paper(), &mut Vec::new()).await.unwrap();
        assert!(wire.is_open());
        drop(reader);
        assert!(!wire.is_open());
        let ended = wire.finish().await;
        assert!(is_unknown(&ended), "{ended:?}");

        // A node that answers: read, written, and pulled out in the middle.
        let (mut printer, held) = SerialStream::pair().unwrap();
        let address = Address::Usb(Place::node(held.name().unwrap()));
        let mut wire = open(&address).await;
        printer.write_all(&[0x16]).await.unwrap();
        until_come(&held, 1).await;
        let pulled = async {
            let mut taken = [0; 100];
            printer.read_exact(&mut taken).await.unwrap();
            drop(printer);
        };
        let (mut heard, job) = (Vec::new(), long(1 << 20));
        let (sent, ()) = tokio::join!(wire.send_job(&job, &mut heard), pulled);
        assert!(is_unknown(&sent), "{sent:?}");
        assert_eq!(heard, [0x16]);
    });
}

// ---- another address

const RECEIPT: &str = "00:26:ab:00:00:0a";
const KITCHEN: &str = "00:26:ab:00:00:0b";
const STRANGER: &str = "00:26:ab:00:00:0c";

/// A network of loopback addresses with a table of neighbours of its own.
struct Lan {
    table: tempfile::NamedTempFile,
    net: u8,
    port: u16,
}

impl Lan {
    /// Each test has its own network and finds its own port.
    async fn new(net: u8) -> Lan {
        let free = TcpListener::bind((Ipv4Addr::new(127, 77, net, 1), 0)).await.unwrap();
        let lan = Lan { table: tempfile::NamedTempFile::new().unwrap(), net, port: free.local_addr().unwrap().port() };
        lan.know(&[]);
        lan
    }

    fn at(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, self.net, host)
    }

    fn address(&self, host: u8) -> Address {
        Address::Tcp { host: self.at(host).to_string(), port: self.port }
    }

    /// The table as the kernel writes it.
    fn know(&self, neighbours: &[(u8, &str)]) {
        let row = |(host, mac): &(u8, &str)| format!("{} 0x1 0x2 {mac} * eth0\n", self.at(*host));
        let rows: String = neighbours.iter().map(row).collect();
        let whole = format!("IP address       HW type     Flags       HW address            Mask     Device\n{rows}");
        std::fs::write(self.table.path(), whole).unwrap();
    }

    /// A printer that is switched on at an address.
    async fn on(&self, host: u8, printer: &Arc<Printer>) -> StopHand {
        let listener = loop {
            match TcpListener::bind((self.at(host), self.port)).await {
                Ok(listener) => break listener,
                Err(_still_in_use) => tokio::task::yield_now().await,
            }
        };
        let (hand, stop) = Stop::pair();
        tokio::task::spawn_local(Arc::clone(printer).serve(listener, stop));
        hand
    }

    /// A port that is not to be opened.
    fn foreign(&self, host: u8) -> std::net::TcpListener {
        let listener = std::net::TcpListener::bind((self.at(host), self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    fn printer_at(&self, host: u8) -> Whereabouts {
        Whereabouts::new(Way::Address(self.address(host))).with_table(self.table.path())
    }
}

fn printer(name: &str) -> Arc<Printer> {
    Printer::new(name, 32, Clock::machine())
}

/// Searches take seconds of this clock; an opening has enough of its time.
fn hurried() -> (Limits, Clock) {
    (Limits { open: Duration::from_secs(150), ..Limits::default() }, Clock::fast(50))
}

/// A paper with the name of the printer that it is meant for, and its proof.
async fn print(place: &mut Whereabouts, name: &str) {
    let (limits, clock) = hurried();
    let mut wire = place.open(limits, &clock).await.unwrap();
    let job = render(&slip(name), &FIRST, &Profile::narrow(Letters::Pc866));
    wire.send_job(&job, &mut Vec::new()).await.unwrap();
    wire.ask(Question::Fence.bytes()).await.unwrap();
    assert_eq!(wire.read_some(Duration::from_secs(60)).await.unwrap(), [0x00]);
    wire.finish().await.unwrap();
}

fn mac(text: &str) -> Option<Mac> {
    Some(Mac::parse(text).unwrap())
}

#[test]
fn f22_two_printers_that_swapped_their_addresses_get_only_their_own_paper() {
    story(async {
        let lan = Lan::new(1).await;
        let (receipt, kitchen) = (printer("receipt"), printer("kitchen"));
        let hands = (lan.on(7, &receipt).await, lan.on(8, &kitchen).await);
        lan.know(&[(7, RECEIPT), (8, KITCHEN)]);
        let (mut to_receipt, mut to_kitchen) = (lan.printer_at(7), lan.printer_at(8));
        print(&mut to_receipt, "receipt").await;
        print(&mut to_kitchen, "kitchen").await;
        assert_eq!((to_receipt.mac(), to_kitchen.mac()), (mac(RECEIPT), mac(KITCHEN)));
        assert_eq!((to_receipt.moved(), to_kitchen.moved()), (None, None));

        hands.0.give();
        hands.1.give();
        let hands = (lan.on(8, &receipt).await, lan.on(7, &kitchen).await);
        lan.know(&[(7, KITCHEN), (8, RECEIPT)]);
        print(&mut to_receipt, "receipt").await;
        print(&mut to_kitchen, "kitchen").await;
        assert_eq!(to_receipt.moved(), Some((lan.address(7), lan.address(8))));
        assert_eq!(to_kitchen.moved(), Some((lan.address(8), lan.address(7))));
        // The same behind a restart, by what was kept.
        let mut to_receipt_again = lan.printer_at(7).with_mac(to_receipt.mac());
        print(&mut to_receipt_again, "receipt").await;
        assert_eq!(to_receipt_again.moved(), Some((lan.address(7), lan.address(8))));

        hands.0.give();
        hands.1.give();
        let _hands = (lan.on(7, &receipt).await, lan.on(8, &kitchen).await);
        lan.know(&[(7, RECEIPT), (8, KITCHEN)]);
        print(&mut to_receipt, "receipt").await;
        print(&mut to_kitchen, "kitchen").await;
        assert_eq!((to_receipt.moved(), to_kitchen.moved()), (None, None));
        for (printer, name, count) in [(&receipt, "receipt", 4), (&kitchen, "kitchen", 3)] {
            let papers = printer.papers();
            assert!(papers.iter().all(|paper| paper.text.contains(name)) && papers.len() == count, "{papers:?}");
            assert_eq!((printer.strip(), printer.faults()), (String::new(), Vec::new()));
        }
    });
}

#[test]
fn f22_another_device_at_the_address_gets_no_byte_until_a_person_says_so() {
    story(async {
        let lan = Lan::new(2).await;
        let (limits, clock) = hurried();
        let (receipt, other) = (printer("receipt"), printer("other"));
        let hand = lan.on(7, &receipt).await;
        lan.know(&[(7, RECEIPT)]);
        let mut place = lan.printer_at(7);
        print(&mut place, "receipt").await;
        hand.give();
        let _hand = lan.on(7, &other).await;
        lan.know(&[(7, STRANGER)]);
        let refused = place.open(limits, &clock).await;
        let Err(Loss::NotSent(cause)) = refused else { panic!("{refused:?}") };
        assert_eq!(cause.bar, Some(Bar::Stranger));
        assert!(kassad::i18n::is_known(Bar::Stranger.code()));
        assert!(cause.text.contains(RECEIPT) && cause.text.contains(STRANGER), "{cause}");
        assert_eq!((other.papers().len(), other.strip()), (0, String::new()));
        // Replaced: the new one is it from now on.
        place.forget();
        print(&mut place, "other").await;
        assert_eq!((place.mac(), place.moved()), (mac(STRANGER), None));
        assert_eq!(other.papers().len(), 1);
    });
}

async fn until_open(place: &mut Whereabouts, clock: &Clock) {
    while place.open(hurried().0, clock).await.is_err() {
        clock.sleep(Duration::from_secs(1)).await;
    }
}

/// Long enough for two searches.
async fn stays_away(place: &mut Whereabouts) {
    let (limits, clock) = hurried();
    while clock.now().0 < Duration::from_secs(50) {
        assert!(matches!(place.open(limits, &clock).await, Err(Loss::NotSent(_))));
        // The worker's pause between two tries.
        clock.sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(place.moved(), None);
}

fn nobody_called(listener: &std::net::TcpListener) {
    let called = listener.accept();
    assert!(called.is_err_and(|none| none.kind() == std::io::ErrorKind::WouldBlock), "a stranger's port was opened");
}

#[test]
fn f22_a_printer_with_another_address_is_found_by_its_hardware_after_ten_seconds() {
    story(async {
        let lan = Lan::new(3).await;
        let (limits, clock) = hurried();
        let receipt = printer("receipt");
        let hand = lan.on(7, &receipt).await;
        lan.know(&[(7, RECEIPT)]);
        let mut place = lan.printer_at(7);
        print(&mut place, "receipt").await;
        hand.give();
        let hand = lan.on(20, &receipt).await;
        // Somebody else serves the same port.
        let foreign = lan.foreign(9);
        lan.know(&[(9, STRANGER)]);
        let begun = clock.now();
        assert!(place.open(limits, &clock).await.is_err());
        // Whoever is asked for shows up: the printer, and an address that it had once.
        lan.know(&[(9, STRANGER), (15, RECEIPT), (20, RECEIPT)]);
        until_open(&mut place, &clock).await;
        let took = clock.now().since(begun);
        assert!(took >= Duration::from_secs(10), "{took:?}");
        assert_eq!(place.moved(), Some((lan.address(7), lan.address(20))));
        print(&mut place, "receipt").await;
        // It stays known there when it is switched off and on.
        hand.give();
        while place.open(limits, &clock).await.is_ok() {}
        assert_eq!(place.moved(), None);
        let _hand = lan.on(20, &receipt).await;
        until_open(&mut place, &clock).await;
        assert_eq!(place.moved(), Some((lan.address(7), lan.address(20))));
        assert_eq!(receipt.papers().len(), 2);
        nobody_called(&foreign);
    });
}

/// Moves a standing clock to whatever is waited for next, up to a search's longest pause.
async fn drive(clock: &Clock) {
    loop {
        tokio::task::yield_now().await;
        let next = clock.next_wake().map(|point| point.since(clock.now()));
        if let Some(span) = next.filter(|span| *span <= Duration::from_secs(3)) {
            clock.advance(span);
        }
    }
}

#[test]
fn f22_a_search_begins_after_ten_seconds_and_comes_ever_more_rarely() {
    story(async {
        let lan = Lan::new(8).await;
        let clock = Clock::manual(Wall(0));
        let limits = Limits { open: Duration::from_secs(1000), ..Limits::default() };
        let mut place = lan.printer_at(7).with_mac(mac(RECEIPT));
        let mut searches = Vec::new();
        while clock.now().0 < Duration::from_secs(700) {
            let begun = clock.now();
            tokio::select! {
                opened = place.open(limits, &clock) => assert!(matches!(opened, Err(Loss::NotSent(_)))),
                () = drive(&clock) => {}
            }
            // A refusal takes no time of this clock; a search does.
            if clock.now() > begun {
                searches.push(begun.0.as_secs());
            }
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(searches[0], 10);
        let gaps: Vec<u64> = searches.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps.len(), 4, "{searches:?}");
        assert!(gaps.iter().zip([30, 60, 120, 240]).all(|(gap, least)| (least..least + 5).contains(gap)), "{gaps:?}");
    });
}

#[test]
fn f22_printers_behind_one_repeater_are_never_taken_for_each_other() {
    story(async {
        let lan = Lan::new(6).await;
        let kitchen = printer("kitchen");
        let hand = lan.on(7, &kitchen).await;
        let bar = lan.foreign(8);
        // Both answer with the repeater's hardware: that is nobody's identity.
        lan.know(&[(7, KITCHEN), (8, KITCHEN)]);
        let mut place = lan.printer_at(7);
        print(&mut place, "kitchen").await;
        assert_eq!(place.mac(), None);
        // The bar's was off when the hardware was learnt, and is known since.
        lan.know(&[(7, KITCHEN)]);
        let mut late = lan.printer_at(7);
        print(&mut late, "kitchen").await;
        assert_eq!(late.mac(), mac(KITCHEN));
        lan.know(&[(7, KITCHEN), (8, KITCHEN)]);
        hand.give();
        stays_away(&mut place).await;
        stays_away(&mut late).await;
        lan.know(&[(8, KITCHEN)]);
        stays_away(&mut late).await;
        // The same behind a restart.
        stays_away(&mut lan.printer_at(7).with_mac(mac(KITCHEN))).await;
        nobody_called(&bar);
    });
}

#[test]
fn f22_hardware_that_answers_for_everybody_proves_nothing() {
    story(async {
        let lan = Lan::new(4).await;
        let foreign = lan.foreign(9);
        let mut place = lan.printer_at(7).with_mac(mac(RECEIPT));
        assert!(place.open(hurried().0, &Clock::machine()).await.is_err());
        let everybody: Vec<(u8, &str)> = (1..=254).map(|host| (host, RECEIPT)).collect();
        lan.know(&everybody);
        stays_away(&mut place).await;
        // The table knows nobody: nobody is opened either.
        lan.know(&[]);
        stays_away(&mut place).await;
        nobody_called(&foreign);
    });
}

#[test]
fn f22_a_host_with_a_name_is_known_by_its_hardware_too() {
    story(async {
        let (limits, clock) = hurried();
        let lan = Lan::new(5).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        std::fs::write(lan.table.path(), format!("127.0.0.1 0x1 0x2 {RECEIPT} * lo\n")).unwrap();
        let named = |host: &str| {
            let way = Way::Address(Address::Tcp { host: host.to_owned(), port });
            Whereabouts::new(way).with_table(lan.table.path())
        };
        let mut place = named("localhost");
        let _wire = place.open(limits, &clock).await.unwrap();
        assert_eq!(place.mac(), mac(RECEIPT));
        let nameless = named("no-such-host.invalid").open(limits, &clock).await;
        let Err(Loss::NotSent(cause)) = nameless else { panic!("{nameless:?}") };
        assert_eq!(cause.bar, Some(Bar::Nameless));
    });
}
