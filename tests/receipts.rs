//! Paper: golden texts and bytes, the way over the sandbox printer and back, the faults of the encoding crate.
//! `KASSAD_BLESS=1` rewrites the golden files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use escpos::driver::Driver;
use escpos::printer::Printer as Crate;
use escpos::utils::{CashDrawer, PageCode, Protocol};
use kassad::domain::fiscal::{PrintKind, PrintLine};
use kassad::domain::paper::{Document, Imprint, Receipt, TicketKind};
use kassad::drivers::printer::layout::{self, Item, Style};
use kassad::drivers::printer::status::{self, Paper as Roll, Question, Trouble};
use kassad::drivers::printer::{Buzzer, Cut, Drawer, Letters, Profile, QrForm, Way, render, samples};
use kassad::host::clock::Clock;
use kassad::host::tasks::{Stop, StopHand};
use kassad::sandbox::printer::{Model, Printer, State, picture_of};
use kassad::transport::Loss;
use kassad::transport::address::Address;
use kassad::transport::wire::{Limits, Wire};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

// ---- documents

/// One of the documents that `print-test` shows.
fn sample(name: &str) -> Document {
    let found = samples().into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no sample {name}")).1
}

/// A receipt without a picture: pictures have tests of their own.
fn receipt() -> Document {
    let Document::Receipt(receipt) = sample("receipt") else { unreachable!() };
    Document::Receipt(Receipt { qr: None, ..receipt })
}

fn ticket(kind: TicketKind) -> Document {
    sample(match kind {
        TicketKind::New => "ticket-new",
        TicketKind::Addition => "ticket-addition",
        TicketKind::Cancel => "ticket-cancel",
    })
}

const FIRST: Imprint = Imprint { job: 42, copy: 1, instead_of: None };
/// Papers of a cash register by their names: what a picture is kept of.
fn is_fiscal(name: &str) -> bool {
    name.starts_with("fiscal")
}

const SECOND: Imprint = Imprint { job: 42, copy: 2, instead_of: None };

/// Every kind of document, and what is added to one that comes again.
fn papers() -> Vec<(String, Document, Imprint)> {
    let elsewhere = Imprint { instead_of: Some("Бар".to_owned()), ..SECOND };
    let mut papers: Vec<_> = samples().into_iter().map(|(name, document)| (name, document, FIRST)).collect();
    papers.push(("receipt-repeat".to_owned(), receipt(), SECOND));
    papers.push(("fiscal-later-repeat".to_owned(), sample("fiscal-later"), SECOND));
    papers.push(("ticket-elsewhere".to_owned(), ticket(TicketKind::New), elsewhere));
    papers
}

/// What is all text in the printer's own page.
fn plain_papers() -> Vec<(String, Document, Imprint)> {
    let mut papers = papers();
    papers.retain(|(name, _, _)| name != "test");
    for (name, document, _) in &mut papers {
        if name == "receipt" {
            *document = receipt();
        }
        if let Document::Fiscal(receipt) = document {
            receipt.registered.lines.retain(|line| line.kind != PrintKind::Qr);
            (receipt.registered.qr, receipt.registered.register.site) = (String::new(), String::new());
        }
    }
    papers
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

/// A picture of one bit a dot: its width, its height, whether each dot is dark.
type Dots = (u32, u32, Vec<bool>);

fn dots(png: &[u8]) -> Dots {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut dots = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut dots).unwrap();
    (info.width, info.height, dots.iter().map(|dot| *dot < 0x80).collect())
}

fn of_one_bit((width, height, dark): &Dots) -> Vec<u8> {
    let across = *width as usize;
    let row = |row: &[bool]| -> Vec<u8> {
        let byte = |eight: &[bool]| (0..8).fold(0, |byte, at| byte << 1 | u8::from(!eight.get(at).unwrap_or(&false)));
        row.chunks(8).map(byte).collect()
    };
    let bytes: Vec<u8> = dark.chunks(across).flat_map(row).collect();
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, *width, *height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_compression(png::Compression::High);
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    picture
}

/// The paper as the sandbox printer burns it, dot by dot.
fn check_picture(name: &str, bytes: &[u8], columns: &str) {
    let (_, now, faults) = picture_of(bytes, Model::standard(columns.parse().unwrap()));
    assert_eq!(faults, Vec::<String>::new(), "{name}");
    let (path, now) = (folder().join(name), dots(&now));
    if std::env::var_os("KASSAD_BLESS").is_some() {
        std::fs::write(&path, of_one_bit(&now)).unwrap();
    }
    let golden = std::fs::read(&path).map(|golden| dots(&golden)).unwrap_or_default();
    assert!(golden == now, "{name} changed; KASSAD_BLESS=1, then look at it");
}

/// Each row behind its looks: Wide, Tall, Bold, Inverse; a code and a sample of another way say what they are.
fn annotated(items: &[Item], columns: usize) -> String {
    let mut text = String::new();
    for (item, shown) in items.iter().zip(layout::text(items, columns).lines()) {
        match item {
            Item::Line(line) => {
                let Style { wide, tall, bold, inverse } = line.style;
                for (holds, sign) in [(wide, 'W'), (tall, 'T'), (bold, 'B'), (inverse, 'I')] {
                    text.push(if holds { sign } else { '.' });
                }
                writeln!(text, "|{shown}").unwrap();
            }
            Item::Sample(candidate, _) => writeln!(text, "....|{shown:<34}{}", candidate.word()).unwrap(),
            Item::Code(code) => writeln!(text, "....|{shown} {:?}, {} dots a module", code.form, code.module).unwrap(),
        }
    }
    text
}

/// Bytes, a row of paper each; more than three equal ones as `00x48`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|left, right| left == right) {
        let end = if run[0] == 0x0A { '\n' } else { ' ' };
        if run.len() > 3 {
            write!(text, "{:02X}x{}{end}", run[0], run.len()).unwrap();
        } else {
            run.iter().for_each(|byte| write!(text, "{byte:02X}{end}").unwrap());
        }
    }
    text + "\n"
}

/// Every document on both widths, with Kazakh letters from the page and as letters of our own; one as pictures.
#[test]
fn papers_are_as_they_were() {
    let [wide, (narrow, page)] = profiles();
    let defined = Profile { way: Way::Defined, ..page };
    let mut count = 0;
    for (columns, profile) in [wide, (narrow, defined)] {
        for (name, document, imprint) in papers() {
            let items = layout::layout(&document, &imprint, &profile);
            check(&format!("{name}-{columns}.txt"), &annotated(&items, profile.columns));
            // The dots of a code are in the pictures; its bytes are kept as the printer's own command.
            let form = if is_fiscal(&name) { QrForm::Native } else { profile.qr };
            let bytes = Profile { qr: form, ..profile.clone() };
            check(&format!("{name}-{columns}.hex"), &hex(&render(&document, &imprint, &bytes)));
            count += 2;
            if is_fiscal(&name) {
                check_picture(&format!("{name}-{columns}.png"), &render(&document, &imprint, &profile), columns);
                count += 1;
            }
        }
    }
    let raster = Profile { way: Way::Raster, ..Profile::narrow(Letters::Pc866) };
    check("ticket-cancel-32-raster.hex", &hex(&render(&ticket(TicketKind::Cancel), &FIRST, &raster)));
    assert_eq!((count, std::fs::read_dir(folder()).unwrap().count()), (140, 141));
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

// ---- papers of a cash register

/// A paper as one text of single spaces, so that no break of a line hides a word.
fn whole(document: &Document, profile: &Profile) -> String {
    let text = layout::text(&layout::layout(document, &FIRST, profile), profile.columns);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn every_width() -> Vec<Profile> {
    let raster = |profile| Profile { way: Way::Raster, ..profile };
    let columns = [24, 32, 42, 48, 56, 64];
    columns.map(|columns| raster(Profile { columns, dots: 12 * columns, ..Profile::wide(Letters::Kz1048) })).into()
}

#[test]
fn f26_only_a_paper_with_a_sign_calls_itself_a_fiscal_receipt() {
    let (mut with, mut without) = (0, 0);
    for profile in every_width() {
        for (name, document) in samples() {
            let text = whole(&document, &profile);
            let is_titled = text.to_uppercase().contains("ФИСКАЛЬНЫЙ ЧЕК") || text.contains("ФИСКАЛДЫ ЧЕК");
            if let Document::Fiscal(receipt) = &document {
                assert!(is_titled && text.contains(&format!("ФП: {} ", receipt.registered.sign)), "{name}: {text}");
                with += 1;
            } else if is_fiscal(&name) {
                assert!(!is_titled && !text.contains("ФП:"), "{name}: {text}");
                without += 1;
            }
        }
    }
    assert_eq!((with, without), (60, 30));
}

#[test]
fn f26_a_notice_says_in_two_languages_that_it_is_no_receipt_and_how_to_get_one() {
    for profile in every_width() {
        for name in ["fiscal-notice", "fiscal-notice-refund"] {
            let text = whole(&sample(name), &profile);
            for words in ["БҰЛ ЧЕК ЕМЕС", "ЭТО НЕ ЧЕК", "байланыс жоқ", "Нет связи", " 417 ", "№ 1950", "14159"]
            {
                assert!(text.contains(words), "{name}, {words}: {text}");
            }
        }
    }
}

#[test]
fn a_sale_never_says_return_and_a_return_always_does() {
    for profile in every_width() {
        for (name, document) in samples().into_iter().filter(|(name, _)| is_fiscal(name)) {
            assert_eq!(whole(&document, &profile).contains("ВОЗВРАТ"), name.contains("refund"), "{name}");
        }
    }
}

#[test]
fn the_first_number_behind_a_sign_and_a_space_is_that_of_the_order() {
    for profile in every_width() {
        for (name, document) in samples().into_iter().filter(|(_, document)| matches!(document, Document::Fiscal(_))) {
            let text = whole(&document, &profile);
            let (_, after) = text.split_once("№ ").unwrap();
            assert!(after.starts_with("1950 "), "{name}: {text}");
        }
    }
}

#[test]
fn f29_a_paper_of_a_test_register_is_barred_at_both_ends() {
    for profile in every_width() {
        for (name, mut document) in samples().into_iter().filter(|(name, _)| is_fiscal(name)) {
            match &mut document {
                Document::Fiscal(receipt) => receipt.is_test = true,
                Document::Notice(notice) => notice.is_test = true,
                Document::Shift(paper) => paper.is_test = true,
                Document::Cash(slip) => slip.is_test = true,
                Document::Receipt(_)
                | Document::Ticket(_)
                | Document::Refund(_)
                | Document::Slip(_)
                | Document::Report(_)
                | Document::Drawer
                | Document::Test(_) => panic!("{name} is no paper of a register"),
            }
            let items = layout::layout(&document, &FIRST, &profile);
            let is_bar = |item: &&Item| matches!(item, Item::Line(line) if line.style == Style::BIG.inverted() && line.text.trim() == "ТЕСТ");
            let bars = if matches!(document, Document::Fiscal(_)) { 3 } else { 2 };
            assert_eq!(items.iter().filter(is_bar).count(), bars, "{name}");
            assert!(is_bar(&items.first().unwrap()), "{name}");
            let last = items.iter().rposition(|item| is_bar(&item)).unwrap();
            let below = layout::text(&items[last + 1..], profile.columns);
            assert!(below.contains("печать") && !below.contains("ФП"), "{name}: {below}");
            assert!(whole(&document, &profile).contains("это не чек"), "{name}");
        }
    }
}

/// What a register left out is added where the law wants it: the sign, the autonomous mark, the code.
#[test]
fn what_the_law_wants_and_the_register_left_out_is_added() {
    let Document::Fiscal(mut receipt) = sample("fiscal-autonomous") else { unreachable!() };
    let is_wanted = |line: &PrintLine| {
        line.kind == PrintKind::Text && !line.value.contains("21504170044") && !line.value.contains("втоном")
    };
    receipt.registered.lines.retain(is_wanted);
    for profile in every_width() {
        let items = layout::layout(&Document::Fiscal(receipt.clone()), &FIRST, &profile);
        let codes: Vec<&Item> = items.iter().filter(|item| matches!(item, Item::Code(_))).collect();
        let [Item::Code(code)] = codes.as_slice() else { panic!("{codes:?}") };
        assert_eq!(code.text, receipt.registered.qr);
        // 25 mm at 203 dpi, where the paper has them.
        assert!(code.picture().unwrap().width() >= 200, "{code:?}");
        let text = whole(&Document::Fiscal(receipt.clone()), &profile);
        assert!(text.contains("ФП: 2150417004417") && text.contains("Автономный режим"), "{text}");
        assert!(text.contains("ФИСКАЛЬНЫЙ ЧЕК [QR"), "{text}");
    }
}

#[test]
fn a_receipt_names_who_issues_the_fiscal_one() {
    let Document::Receipt(plain) = receipt() else { unreachable!() };
    let named = Document::Receipt(Receipt { issuer: "Kaspi".to_owned(), ..plain.clone() });
    for profile in every_width() {
        let text = whole(&named, &profile);
        assert!(text.contains("Фискалдық чекті Kaspi береді Фискальный чек выдаёт Kaspi"), "{text}");
        assert!(!whole(&Document::Receipt(plain.clone()), &profile).contains("Kaspi береді"));
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
            for (place, (name, document, imprint)) in plain_papers().into_iter().enumerate() {
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
        wire.write_all(&render(&receipt(), &FIRST, &Profile::narrow(Letters::Pc866))).await.unwrap();
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
        // What was cut in the middle takes its end from the next job: NUL completes it and prints nothing.
        let free = [&[0; 16][..], b"\x1B@"].concat();
        let job = [&free[..], &render(&ticket(TicketKind::Addition), &FIRST, &profile)].concat();
        let printer = sandbox(profile.columns);
        let (address, _hand) = served(&printer).await;
        for cut in (free.len() + 1..job.len()).step_by(7) {
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
    assert!(render(&receipt(), &FIRST, &profile).ends_with(&[0x1D, 0x56, 0x42, 0x00]));
    profile.cut = Cut::Full;
    assert!(render(&receipt(), &FIRST, &profile).ends_with(&[0x1D, 0x56, 0x41, 0x00]));
    profile.cut = Cut::None;
    assert!(render(&receipt(), &FIRST, &profile).ends_with(&[0x1B, 0x64, 1]));
}

#[test]
fn the_drawer_pulse_has_its_times() {
    let theirs = by_crate(|printer| _ = printer.cash_drawer(CashDrawer::Pin2).unwrap());
    assert_eq!(theirs, [0x1B, 0x70, 0x00]);
    let mut profile = Profile::wide(Letters::Pc866);
    assert!(render(&Document::Drawer, &FIRST, &profile).is_empty());
    profile.drawer = Some(Drawer::USUAL);
    assert_eq!(render(&Document::Drawer, &FIRST, &profile), [0x1B, 0x70, 0x00, 0x19, 0xFA]);
    profile.drawer = Some(Drawer { pin: 1, ..Drawer::USUAL });
    assert_eq!(render(&Document::Drawer, &FIRST, &profile), [0x1B, 0x70, 0x01, 0x19, 0xFA]);
}

#[test]
fn a_qr_code_is_of_model_2() {
    let theirs = by_crate(|printer| _ = printer.qrcode("kassad").unwrap());
    assert!(has(&theirs, &[0x1D, 0x28, 0x6B, 4, 0, 0x31, 0x41, 0x31, 0]), "when this fails the crate has learnt it");
    let profile = Profile { qr: QrForm::Native, ..Profile::wide(Letters::Pc866) };
    let ours = render(&sample("receipt"), &FIRST, &profile);
    let model: &[u8] = &[0x1D, 0x28, 0x6B, 4, 0, 0x31, 0x41, 0x32, 0];
    let (module, level): (&[u8], &[u8]) =
        (&[0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x43, 8], &[0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x45, 0x31]);
    let data = [&[0x1D, 0x28, 0x6B, 21, 0, 0x31, 0x50, 0x30], &b"kassad K3F9Q-1-1-1"[..]].concat();
    let print: &[u8] = &[0x1D, 0x28, 0x6B, 3, 0, 0x31, 0x51, 0x30];
    assert!(has(&ours, &[model, module, level, &data, print].concat()));
}

#[test]
fn the_cook_is_called_after_the_cut_of_a_ticket_alone() {
    let cut: &[u8] = &[0x1D, 0x56, 0x42, 0x00];
    for (buzzer, bell) in [
        (Buzzer::None, &[][..]),
        (Buzzer::Epson, &[0x1B, 0x28, 0x41, 5, 0, 0x61, 0x64, 2, 3, 2]),
        (Buzzer::Clone, &[0x1B, 0x42, 3, 2]),
        (Buzzer::Drawer, &[0x1B, 0x70, 0, 0xFF, 0xFF]),
    ] {
        let profile = Profile { buzzer, ..Profile::wide(Letters::Pc866) };
        assert!(render(&ticket(TicketKind::Addition), &FIRST, &profile).ends_with(&[cut, bell].concat()));
        assert!(render(&receipt(), &FIRST, &profile).ends_with(cut));
    }
}

#[test]
fn a_hyphen_stays_a_hyphen() {
    let theirs = by_crate(|printer| _ = printer.page_code(PageCode::WPC1251).unwrap().write("-").unwrap());
    assert_eq!(theirs.last(), Some(&0xAD));
    for letters in Letters::ALL {
        assert_eq!(letters.bytes("-"), b"-");
    }
    let defined = Profile { way: Way::Defined, ..Profile::wide(Letters::Cp1251) };
    assert!(!has(&render(&receipt(), &FIRST, &defined), &[0xAD]));
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
