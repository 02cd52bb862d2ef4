//! Paper: golden texts and bytes, the way over the sandbox printer and back, hostile menus, the faults of the encoding crate.
//! `KASSAD_BLESS=1` rewrites the golden files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use escpos::driver::Driver;
use escpos::printer::Printer as Crate;
use escpos::utils::{CashDrawer, PageCode, Protocol};
use kassad::domain::money::Tiyn;
use kassad::domain::order::{Line as Dish, Milli};
use kassad::domain::paper::{Document, Imprint, PaymentLine, Receipt, TestSlip, Ticket, TicketKind, TicketLine};
use kassad::drivers::printer::layout::{self, Style};
use kassad::drivers::printer::status::{self, Paper as Roll, Question, Trouble};
use kassad::drivers::printer::{Cut, Letters, Profile, escpos as language, render};
use kassad::host::clock::Clock;
use kassad::host::tasks::{Stop, StopHand};
use kassad::sandbox::printer::{Printer, State};
use kassad::transport::Loss;
use kassad::transport::address::Address;
use kassad::transport::wire::{Limits, Wire};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

// ---- documents

fn dish(name: &str, quantity: i64, tenge: i64, modifiers: &[&str]) -> Dish {
    Dish {
        key: name.to_owned(),
        name: name.to_owned(),
        modifiers: modifiers.iter().map(|text| (*text).to_owned()).collect(),
        quantity: Milli(quantity),
        sum: Tiyn(tenge * 100),
        workshop: None,
        comment: String::new(),
    }
}

fn receipt() -> Document {
    Document::Receipt(Receipt {
        shop: "Дастархан".to_owned(),
        order_number: "1950".to_owned(),
        table: "7".to_owned(),
        waiter: "Айгүл".to_owned(),
        lines: vec![
            dish("Лагман уйгурский", 2000, 4_800, &[]),
            dish("Бешбармақ с кониной и домашней лапшой на большую компанию", 1000, 9_500, &["қазы"]),
            dish("Шашлык из баранины", 350, 2_100, &["без лука", "острый соус"]),
            dish("Чай «Ташкентский» 1 000 мл", 1000, 1_200, &[]),
            dish("Нан – лепёшка", 3000, 900, &[]),
        ],
        total: Tiyn(1_850_000),
        payments: vec![
            PaymentLine {
                label: "Kaspi QR".to_owned(),
                amount: Tiyn(1_350_000),
                transaction: "14159265".to_owned(),
                tendered: None,
            },
            PaymentLine {
                label: "Наличные".to_owned(),
                amount: Tiyn(500_000),
                transaction: String::new(),
                tendered: None,
            },
        ],
        paid_at: "21.11.2026 13:05".to_owned(),
        reference: "k7-000123".to_owned(),
    })
}

fn portion(quantity: i64, name: &str, modifiers: &[&str], comment: &str) -> TicketLine {
    TicketLine {
        quantity: Milli(quantity),
        name: name.to_owned(),
        modifiers: modifiers.iter().map(|text| (*text).to_owned()).collect(),
        comment: comment.to_owned(),
    }
}

fn ticket(kind: TicketKind) -> Document {
    let (sequence, lines, comment) = match kind {
        TicketKind::New => (
            (1, 1),
            vec![
                portion(2000, "Лагман уйгурский", &["острый", "без лука"], ""),
                portion(1000, "Бешбармақ с кониной и домашней лапшой", &[], "подать вместе с чаем"),
                portion(350, "Шашлык из баранины", &[], ""),
            ],
            "У гостя аллергия на орехи",
        ),
        TicketKind::Addition => ((2, 3), vec![portion(1000, "Самса с тыквой", &[], "")], ""),
        TicketKind::Cancel => ((3, 3), vec![portion(1000, "Лагман уйгурский", &["острый"], "")], ""),
    };
    Document::Ticket(Ticket {
        station: "Горячий цех".to_owned(),
        order_number: "1950".to_owned(),
        table: "7".to_owned(),
        waiter: "Айгүл".to_owned(),
        kind,
        sequence,
        lines,
        comment: comment.to_owned(),
        at: "21.11.2026 12:40".to_owned(),
    })
}

fn slip() -> Document {
    let (shop, printer) = ("Дастархан".to_owned(), "receipt".to_owned());
    Document::Test(TestSlip { shop, printer, at: "21.11.2026 09:00".to_owned() })
}

const FIRST: Imprint = Imprint { job: 42, copy: 1, instead_of: None };
const SECOND: Imprint = Imprint { job: 42, copy: 2, instead_of: None };

fn papers() -> Vec<(&'static str, Document, Imprint)> {
    vec![
        ("receipt", receipt(), FIRST),
        ("receipt-repeat", receipt(), SECOND),
        ("ticket-new", ticket(TicketKind::New), FIRST),
        ("ticket-addition", ticket(TicketKind::Addition), FIRST),
        ("ticket-cancel", ticket(TicketKind::Cancel), FIRST),
        ("ticket-repeat", ticket(TicketKind::New), SECOND),
        ("test", slip(), FIRST),
    ]
}

fn profiles() -> [(&'static str, Profile); 2] {
    [("48", Profile::wide(Letters::Kz1048)), ("32", Profile::narrow(Letters::Pc866))]
}

// ---- golden files

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receipts")
}

fn check(name: &str, now: &str) {
    let path = folder().join(name);
    if std::env::var_os("KASSAD_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == now, "{name} changed; look, then KASSAD_BLESS=1.\n--- golden\n{golden}\n--- now\n{now}");
}

/// Each line behind its looks: Wide, Tall, Bold, Inverse.
fn annotated(lines: &[layout::Line], columns: usize) -> String {
    let mut text = String::new();
    for (line, shown) in lines.iter().zip(layout::text(lines, columns).lines()) {
        let Style { wide, tall, bold, inverse } = line.style;
        for (holds, sign) in [(wide, 'W'), (tall, 'T'), (bold, 'B'), (inverse, 'I')] {
            text.push(if holds { sign } else { '.' });
        }
        writeln!(text, "|{shown}").unwrap();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let end = if *byte == 0x0A { '\n' } else { ' ' };
        write!(text, "{byte:02X}{end}").unwrap();
    }
    text + "\n"
}

#[test]
fn papers_are_as_they_were() {
    for (columns, profile) in profiles() {
        for (name, document, imprint) in papers() {
            let lines = layout::layout(&document, &imprint, &profile);
            check(&format!("{name}-{columns}.txt"), &annotated(&lines, profile.columns));
            check(&format!("{name}-{columns}.hex"), &hex(&render(&document, &imprint, &profile)));
        }
    }
    assert_eq!(std::fs::read_dir(folder()).unwrap().count(), papers().len() * profiles().len() * 2);
}

#[test]
fn a_repeat_says_so_first_and_everything_else_is_the_same() {
    for (_, profile) in profiles() {
        for document in [receipt(), ticket(TicketKind::New)] {
            let first = layout::layout(&document, &FIRST, &profile);
            let second = layout::layout(&document, &SECOND, &profile);
            let head = second.len() - first.len();
            assert_eq!(&second[head..], &first[..]);
            let text = layout::text(&second[..head], profile.columns);
            assert!(text.contains("ПОВТОР") && text.contains("ТАЛАУ №2"), "{text}");
        }
    }
}

// ---- bytes → printer → text

fn sandbox(columns: usize) -> Arc<Printer> {
    Printer::new("receipt", columns, Clock::machine())
}

async fn served(printer: &Arc<Printer>) -> (Address, StopHand) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hand, stop) = Stop::pair();
    tokio::task::spawn_local(Arc::clone(printer).serve(listener, stop));
    (Address::Tcp { host: "127.0.0.1".to_owned(), port }, hand)
}

fn story(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(20), story).await };
    tokio::task::LocalSet::new().block_on(&runtime, limited).expect("the story takes too long");
}

fn quick() -> Limits {
    Limits { chunk: Duration::from_millis(300), finish: Duration::from_millis(300), ..Limits::default() }
}

async fn open(address: &Address) -> Wire {
    Wire::open(address, quick(), &Clock::machine()).await.unwrap()
}

/// Asks and reads one byte, as the worker will.
async fn answer(wire: &mut Wire, question: Question) -> Option<Option<Trouble>> {
    wire.ask(question.bytes()).await.unwrap();
    let bytes = wire.read_some(Duration::from_millis(300)).await.unwrap();
    bytes.first().and_then(|byte| question.read(*byte)).map(status::Finding::trouble)
}

#[test]
fn what_is_printed_is_what_was_laid_out() {
    story(async {
        for (_, profile) in profiles() {
            let printer = sandbox(profile.columns);
            let (address, _hand) = served(&printer).await;
            for (place, (name, document, imprint)) in papers().into_iter().enumerate() {
                let mut wire = open(&address).await;
                wire.drain().await.unwrap();
                for question in status::BEFORE {
                    assert_eq!(answer(&mut wire, question).await, Some(None));
                }
                wire.write_all(&render(&document, &imprint, &profile)).await.unwrap();
                assert_eq!(answer(&mut wire, status::AFTER).await, Some(None), "{name}");
                wire.finish().await.unwrap();
                let printed = printer.papers();
                assert_eq!(printed.len(), place + 1);
                let laid_out = layout::text(&layout::layout(&document, &imprint, &profile), profile.columns);
                assert_eq!(printed[place].text, laid_out, "{name}");
                if let Some(folder) = std::env::var_os("KASSAD_PAPERS") {
                    let path = Path::new(&folder).join(format!("{name}-{}.png", profile.columns));
                    std::fs::write(path, printed[place].png()).unwrap();
                }
            }
            assert_eq!(printer.faults(), Vec::<String>::new());
        }
    });
}

#[test]
fn a_paper_is_a_picture() {
    story(async {
        let printer = sandbox(48);
        let (address, _hand) = served(&printer).await;
        let mut wire = open(&address).await;
        wire.write_all(&render(&receipt(), &FIRST, &Profile::wide(Letters::Kz1048))).await.unwrap();
        printer.wait_papers(1).await;
        let picture = printer.papers()[0].png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut dots = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut dots).unwrap();
        assert_eq!(info.width, 48 * 12 + 2 * (24 + 16));
        let ink = dots.iter().filter(|dot| **dot < 0x40).count();
        assert!(ink > 10_000 && ink < dots.len() / 4, "{ink} of {}", dots.len());
    });
}

// ---- states of the printer

#[test]
fn f21_without_paper_the_job_waits_in_the_printer_and_comes_later() {
    story(async {
        let printer = sandbox(48);
        let (address, _hand) = served(&printer).await;
        printer.set_state(State::PaperOut);
        let mut wire = open(&address).await;
        assert_eq!(answer(&mut wire, Question::Paper).await, Some(Some(Trouble::PaperOut)));
        assert_eq!(Question::Paper.read(0x7E).unwrap().paper, Roll::Out);
        wire.write_all(&render(&receipt(), &FIRST, &Profile::wide(Letters::Pc866))).await.unwrap();
        assert_eq!(answer(&mut wire, Question::Fence).await, None, "no fence while it stands");
        assert!(printer.papers().is_empty());
        printer.set_state(State::Ready);
        printer.wait_papers(1).await;
        let late = wire.read_some(Duration::from_secs(2)).await.unwrap();
        assert_eq!(late, [0x00], "the fence comes when the paper came");
    });
}

#[test]
fn cover_silence_and_power() {
    story(async {
        let printer = sandbox(32);
        let (address, _hand) = served(&printer).await;
        printer.set_state(State::CoverOpen);
        let mut wire = open(&address).await;
        assert_eq!(answer(&mut wire, Question::Offline).await, Some(Some(Trouble::CoverOpen)));
        assert_eq!(answer(&mut wire, Question::Printer).await, Some(Some(Trouble::Offline)));
        printer.set_state(State::Silent);
        assert_eq!(answer(&mut wire, Question::Paper).await, None);
        wire.write_all(&render(&slip(), &FIRST, &Profile::narrow(Letters::Pc866))).await.unwrap();
        printer.wait_papers(1).await;
        printer.set_state(State::Off);
        let gone = wire.read_some(Duration::from_secs(2)).await;
        assert!(matches!(gone, Err(Loss::Unknown(_))), "{gone:?}");
        let refused = refused(&address).await;
        assert!(refused.contains("is off"), "{refused}");
        printer.set_state(State::Ready);
        loop {
            if let Ok(mut wire) = Wire::open(&address, quick(), &Clock::machine()).await {
                assert_eq!(answer(&mut wire, Question::Paper).await, Some(None));
                break;
            }
            tokio::task::yield_now().await;
        }
    });
}

async fn refused(address: &Address) -> String {
    loop {
        match Wire::open(address, quick(), &Clock::machine()).await {
            Err(Loss::NotSent(what)) => return what.to_string(),
            Err(Loss::Unknown(what)) => panic!("{what}"),
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}

#[test]
fn a_line_cut_at_any_byte_is_unknown_and_leaves_no_fault() {
    story(async {
        let profile = Profile::narrow(Letters::Pc866);
        let job = render(&ticket(TicketKind::Addition), &FIRST, &profile);
        let printer = sandbox(profile.columns);
        let (address, _hand) = served(&printer).await;
        for cut in (1..job.len()).step_by(7) {
            printer.cut_connection_after(cut);
            let mut wire = open(&address).await;
            let sent = wire.write_all(&job).await;
            let lost = match sent {
                Ok(()) => wire.read_some(Duration::from_secs(2)).await.map(|_| ()),
                Err(loss) => Err(loss),
            };
            assert!(matches!(lost, Err(Loss::Unknown(_))), "{cut}: {lost:?}");
        }
        let mut wire = open(&address).await;
        wire.write_all(&job).await.unwrap();
        assert_eq!(answer(&mut wire, Question::Fence).await, Some(None));
        assert_eq!(printer.faults(), Vec::<String>::new());
        assert!(printer.papers().last().unwrap().text.ends_with("печать 42\n"));
    });
}

#[test]
fn a_tripwire_freezes_after_the_cut_and_before_the_fence() {
    story(async {
        let profile = Profile::wide(Letters::Pc866);
        let printer = sandbox(profile.columns);
        let (address, _hand) = served(&printer).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        printer.set_tripwire(Arc::new(move |partner, what| {
            log.lock().unwrap().push(format!("{partner} {what}"));
            what == "cut"
        }));
        let mut wire = open(&address).await;
        assert_eq!(answer(&mut wire, Question::Paper).await, Some(None));
        wire.write_all(&render(&receipt(), &FIRST, &profile)).await.unwrap();
        assert_eq!(answer(&mut wire, Question::Fence).await, None);
        assert_eq!(*seen.lock().unwrap(), ["printer:receipt bytes", "printer:receipt cut"]);
        assert_eq!(printer.papers().len(), 1);
    });
}

// ---- hostile text

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\x00-\\x1F\\x7F-\\x9FА-яӘә₸0-9 ,.]{0,80}"]
}

fn any_document() -> impl Strategy<Value = Document> {
    let texts = proptest::collection::vec(hostile(), 8);
    (texts, any::<i64>(), any::<i64>(), 0..4u8).prop_map(|(texts, quantity, sum, kind)| {
        let text = |place: usize| texts[place].clone();
        let kind = match kind {
            0 => TicketKind::New,
            1 => TicketKind::Addition,
            2 => TicketKind::Cancel,
            _ => {
                let line = Dish { modifiers: vec![text(1)], ..dish(&texts[0], quantity, 0, &[]) };
                let payment = PaymentLine { label: text(2), amount: Tiyn(sum), transaction: text(3), tendered: None };
                return Document::Receipt(Receipt {
                    shop: text(4),
                    order_number: text(5),
                    table: text(6),
                    waiter: text(7),
                    lines: vec![Dish { sum: Tiyn(sum), ..line }],
                    total: Tiyn(sum),
                    payments: vec![payment],
                    paid_at: text(0),
                    reference: text(1),
                });
            }
        };
        let line = TicketLine { quantity: Milli(quantity), name: text(0), modifiers: vec![text(1)], comment: text(2) };
        Document::Ticket(Ticket {
            station: text(3),
            order_number: text(4),
            table: text(5),
            waiter: text(6),
            kind,
            sequence: (1, u32::MAX),
            lines: vec![line],
            comment: text(7),
            at: text(0),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_keeps_the_columns_and_commands_nothing(document in any_document(), letters in 0..3usize, wide: bool) {
        let letters = Letters::ALL[letters];
        let profile = if wide { Profile::wide(letters) } else { Profile::narrow(letters) };
        let lines = layout::layout(&document, &SECOND, &profile);
        for line in &lines {
            prop_assert!(line.text.chars().count() <= line.style.cells(profile.columns), "{line:?}");
            for letter in line.text.chars() {
                let byte = letters.encode(letter);
                prop_assert!(byte.is_some_and(|byte| byte >= 0x20 && byte != 0x7F), "{letter:?}");
            }
        }
    }
}

// ---- faults of the crate `escpos` that our own bytes cover (escpos §1)

#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Driver for Tape {
    fn name(&self) -> String {
        "tape".to_owned()
    }
    fn write(&self, data: &[u8]) -> escpos::errors::Result<()> {
        self.0.lock().unwrap().extend(data);
        Ok(())
    }
    fn read(&self, _: &mut [u8]) -> escpos::errors::Result<usize> {
        Ok(0)
    }
    fn flush(&self) -> escpos::errors::Result<()> {
        Ok(())
    }
}

fn by_crate(job: impl FnOnce(&mut Crate<Tape>)) -> Vec<u8> {
    let tape = Tape::default();
    let mut printer = Crate::new(tape.clone(), Protocol::default(), None);
    job(&mut printer);
    printer.print().unwrap();
    std::mem::take(&mut *tape.0.lock().unwrap())
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn the_partial_cut_is_partial() {
    let theirs = by_crate(|printer| _ = printer.partial_cut().unwrap());
    assert_eq!(theirs, [0x1D, 0x56, 0x41, 0x01], "when this fails the crate has learnt it: use its cut");
    let mut profile = Profile::wide(Letters::Pc866);
    assert!(render(&slip(), &FIRST, &profile).ends_with(&[0x1D, 0x56, 0x42, 0x00]));
    profile.cut = Cut::Full;
    assert!(render(&slip(), &FIRST, &profile).ends_with(&[0x1D, 0x56, 0x41, 0x00]));
    profile.cut = Cut::None;
    assert!(render(&slip(), &FIRST, &profile).ends_with(&[0x1B, 0x64, 1]));
}

#[test]
fn the_drawer_pulse_has_its_times() {
    let theirs = by_crate(|printer| _ = printer.cash_drawer(CashDrawer::Pin2).unwrap());
    assert_eq!(theirs, [0x1B, 0x70, 0x00]);
    assert_eq!(language::DRAWER, [0x1B, 0x70, 0x00, 0x19, 0xFA]);
}

#[test]
fn a_hyphen_stays_a_hyphen() {
    let theirs = by_crate(|printer| _ = printer.page_code(PageCode::WPC1251).unwrap().write("-").unwrap());
    assert_eq!(theirs.last(), Some(&0xAD));
    for letters in Letters::ALL {
        assert_eq!(letters.bytes("-"), b"-");
    }
}

#[test]
fn no_raw_utf8_reaches_the_printer() {
    let theirs = by_crate(|printer| _ = printer.page_code(PageCode::PC866).unwrap().write("Қ").unwrap());
    assert!(theirs.ends_with("Қ".as_bytes()));
    assert_eq!(Letters::Pc866.bytes(&Letters::Pc866.fold("Қ₸")), [0x8A, 0xE2, 0xA3]);
}

#[test]
fn a_dish_cannot_open_the_drawer() {
    let theirs = by_crate(|printer| _ = printer.write("Чай\u{1B}p\0\u{19}z").unwrap());
    assert!(has(&theirs, &[0x1B, 0x70, 0x00]));
    let Document::Receipt(mut receipt) = receipt() else { unreachable!() };
    receipt.lines[0].name = "Чай\u{1B}p\0\u{19}z\u{10}\u{4}\u{1}".to_owned();
    let bytes = render(&Document::Receipt(receipt), &FIRST, &Profile::wide(Letters::Pc866));
    assert!(!has(&bytes, &[0x1B, 0x70]) && !has(&bytes, &[0x10]));
}
