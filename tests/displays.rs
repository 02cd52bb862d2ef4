//! Stories of what is plugged in: the true daemon with displays and printers on pseudo-terminals in the sockets of a made-up machine, where
//! they are pulled out and come back under another name (F22). Money goes on whatever happens here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use crate::shop::Counter;
use kassad::config::Config;
use kassad::drivers::display::Speech;
use kassad::drivers::printer::codepage::Letters;
use kassad::host::tasks::{Stop, StopHand};
use kassad::sandbox::display::Display;
use kassad::sandbox::plugs::{CH340, Cable, FTDI, Model, Plugs, TM_T20, socket_link};
use kassad::sandbox::printer::Printer;
use kassad::transport::address::Address;
use kassad::transport::discover::{self, Bus, Guess};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const REPEAT: &str = "ПОВТОР";

/// How far the clock moves at a time while a printer answers over a serial line: it must have its half second.
const GENTLE: Duration = Duration::from_millis(10);

/// A counter with sockets.
struct Bench {
    shop: Counter,
    plugs: Plugs,
    _machine: TempDir,
}

/// A device in its socket; dropped, its cable is out.
struct Plugged {
    name: &'static str,
    socket: &'static str,
    hand: StopHand,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    /// The shop's own configuration, changed: `{root}` is where the sockets are.
    async fn open(change: impl Fn(&Counter, String) -> String) -> Bench {
        let machine = tempfile::tempdir().unwrap();
        let plugs = Plugs::new(machine.path()).unwrap();
        let mut shop = Counter::open().await;
        shop.stop().await;
        let _written = shop.config();
        let text = std::fs::read_to_string(shop.folder.path().join("kassad.toml")).unwrap();
        let text = change(&shop, text).replace("{root}", machine.path().to_str().unwrap());
        let config = Config::parse(&text, shop.folder.path()).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"));
        shop.start_with(&config).await;
        Bench { shop, plugs, _machine: machine }
    }

    /// A shop with more sections.
    async fn with(sections: &str) -> Bench {
        Bench::open(|_, text| format!("{text}\n{sections}")).await
    }

    fn plug(&self, name: &'static str, socket: &'static str, model: Model, device: &Device) -> Plugged {
        let cable = Cable::new().unwrap();
        self.plugs.plug(Bus::Serial, name, socket, model, &cable.node).unwrap();
        let (hand, stop) = Stop::pair();
        let device = device.clone();
        let task = tokio::spawn(async move {
            // The whole of it: its held end must live as long as the device.
            let mut cable = cable;
            match device {
                Device::Display(display) => display.listen(&mut cable.device, stop).await,
                Device::Printer(printer) => printer.converse(&mut cable.device, &stop).await,
            }
        });
        Plugged { name, socket, hand, task }
    }

    fn pull(&self, plugged: Plugged) {
        self.plugs.pull(Bus::Serial, plugged.name, plugged.socket).unwrap();
        plugged.hand.give();
    }

    async fn until_shown(&self, display: &Display, words: [&str; 2]) {
        let is_shown = async || {
            let [upper, lower] = display.text();
            upper.contains(words[0]) && lower.contains(words[1])
        };
        self.shop.until(&format!("the display shows {words:?}, not {:?}", display.text()), is_shown).await;
    }

    /// How a device is, as the page shows it.
    async fn device(&self, name: &str) -> Value {
        let status = self.shop.get("/api/v1/status").await.body;
        let devices = status["devices"].as_array().cloned().unwrap_or_default();
        devices.into_iter().find(|device| device["name"] == name).unwrap_or(Value::Null)
    }

    async fn until_state(&self, name: &str, state: &str) {
        let is_so = async || self.device(name).await["state"] == state;
        self.shop.until_by(GENTLE, &format!("{name} is {state}"), is_so).await;
    }

    /// Paid in cash and all of its paper proven.
    async fn sell(&self) {
        let order = self.shop.order();
        let id = self.shop.pay(order, "cash").await;
        self.until_printed(&id).await;
    }

    async fn until_printed(&self, id: &str) {
        let is_printed = async || {
            let prints = self.shop.payment(id).await["prints"].as_array().cloned().unwrap_or_default();
            prints.len() == 3 && prints.iter().all(|print| print["state"] == "confirmed")
        };
        self.shop.until_by(GENTLE, &format!("{id} is printed"), is_printed).await;
    }
}

#[derive(Clone)]
enum Device {
    Display(Arc<Display>),
    Printer(Arc<Printer>),
}

fn display(speech: Speech) -> Arc<Display> {
    Display::new(speech, 20, Letters::Pc866, 17)
}

fn on(display: &Arc<Display>) -> Device {
    Device::Display(display.clone())
}

fn section(name: &str, kind: &str, mark: &str, more: &str) -> String {
    format!("[[display]]\nname = \"{name}\"\nkind = \"{kind}\"\naddress = \"serial:{mark}&root={{root}}\"\n{more}\n")
}

const BY_SERIAL: &str = "?vid=0403&pid=6001&serial=A50285BI";

// ---- the guest reads along ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sum_appears_while_the_guest_pays_and_thanks_after_it() {
    let sections = section("pole", "cd5220", BY_SERIAL, "terminal = \"till1\"")
        + &section("epson", "escpos_display", "?vid=1a86&pid=7523", "lang = \"kk\"");
    let bench = Bench::with(&sections).await;
    let (pole, epson) = (display(Speech::Cd5220), display(Speech::EscPos));
    let _pole = bench.plug("ttyUSB0", "1-1", FTDI, &on(&pole));
    let _epson = bench.plug("ttyUSB1", "1-2", CH340, &on(&epson));
    bench.until_shown(&pole, ["Дастархан", "Добро пожаловать"]).await;
    bench.until_shown(&epson, ["Дастархан", "Кош келдiнiз"]).await;
    let shop = &bench.shop;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    bench.until_shown(&pole, [&format!("Оплатите Kaspi №{order}"), "К ОПЛАТЕ    6 100 тг"]).await;
    bench.until_shown(&epson, ["Kaspi-мен", "ТОЛЕНIЗ     6 100 тг"]).await;
    shop.until_on_screen().await;
    shop.until_state(&id, "waiting").await;
    let drawn = pole.pictures();
    shop.pass(Duration::from_secs(5), Duration::from_millis(500)).await;
    assert_eq!(pole.pictures(), drawn, "it is written only when something changes");
    assert!(shop.till().guest_pays_qr());
    bench.until_shown(&pole, ["Спасибо!", "ОПЛАЧЕНО    6 100 тг"]).await;
    bench.until_shown(&pole, ["Дастархан", "Добро пожаловать"]).await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    // An invoice is no business of the terminal's display.
    let other = shop.order();
    let invoice = shop.pay(other, "kaspi_invoice").await;
    bench.until_shown(&epson, ["Kaspi-де шот", "6 100 тг"]).await;
    assert!(pole.text()[0].contains("Дастархан"));
    shop.until_state(&invoice, "waiting").await;
    assert_eq!((pole.faults(), epson.faults()), (Vec::new(), Vec::new()));
    bench.shop.close().await;
    // Nobody asks for the sum any more.
    assert!(epson.text()[0].contains("Дастархан"), "{:?}", epson.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclear_payment_asks_the_guest_to_wait() {
    let bench = Bench::with(&section("pole", "cd5220", BY_SERIAL, "")).await;
    let pole = display(Speech::Cd5220);
    let _pole = bench.plug("ttyUSB0", "1-1", FTDI, &on(&pole));
    let shop = &bench.shop;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    bench.until_shown(&pole, ["Оплатите Kaspi", "6 100"]).await;
    shop.till().set_unknown(2, true);
    bench.until_shown(&pole, ["Подождите", "Проверяем оплату"]).await;
    shop.until_state(&id, "paid").await;
    bench.until_shown(&pole, ["Спасибо!", "ОПЛАЧЕНО    6 100 тг"]).await;
    assert_eq!(pole.faults(), Vec::<String>::new());
    bench.shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_display_that_is_not_there_holds_up_no_payment() {
    let bench = Bench::with(&section("pole", "cd5220", BY_SERIAL, "")).await;
    bench.until_state("pole", "down").await;
    let shop = &bench.shop;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    assert!(shop.till().guest_pays_qr());
    shop.is_sold_once(order, &id, 0, 6100).await;
    let pole = bench.device("pole").await;
    assert_eq!((&pole["role"], &pole["state"]), (&"display".into(), &"down".into()));
    assert!(pole["text"].as_str().unwrap().contains("Дисплей покупателя"), "{pole}");
    assert_eq!(shop.get("/readyz").await.status, 200);
    bench.shop.close().await;
}

// ---- F22: back under another name ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_a_display_that_comes_back_under_another_name_goes_on() {
    let bench = Bench::with(&section("pole", "cd5220", BY_SERIAL, "")).await;
    let pole = display(Speech::Cd5220);
    let plugged = bench.plug("ttyUSB0", "1-1", FTDI, &on(&pole));
    let shop = &bench.shop;
    let order = shop.order();
    let id = shop.pay(order, "kaspi_terminal").await;
    shop.until_on_screen().await;
    bench.until_shown(&pole, ["Оплатите Kaspi", "6 100"]).await;
    bench.pull(plugged);
    bench.until_state("pole", "down").await;
    shop.until_state(&id, "waiting").await;
    // In another socket, under another name, behind another line; and a stranger has its old name.
    let stranger = display(Speech::EscPos);
    let _stranger = bench.plug("ttyUSB0", "1-3", CH340, &on(&stranger));
    let _back = bench.plug("ttyUSB1", "1-4", FTDI, &on(&pole));
    bench.until_state("pole", "up").await;
    bench.until_shown(&pole, ["Оплатите Kaspi", "6 100"]).await;
    assert!(shop.till().guest_pays_qr());
    bench.until_shown(&pole, ["Спасибо!", "6 100"]).await;
    shop.is_sold_once(order, &id, 0, 6100).await;
    assert_eq!((stranger.text()[0].trim(), stranger.faults()), ("", Vec::new()));
    assert_eq!(pole.faults(), Vec::<String>::new());
    bench.shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_a_printer_pulled_out_in_mid_receipt_comes_back_elsewhere_and_prints_it_with_the_mark() {
    let bench = Bench::open(|shop, text| {
        readdressed(shop, text, "receipt", "serial:?vid=0403&pid=6001&serial=A50285BI&root={root}")
    })
    .await;
    let printer = bench.shop.printer("receipt").clone();
    let plugged = bench.plug("ttyUSB0", "1-1", FTDI, &Device::Printer(printer.clone()));
    bench.until_state("receipt", "up").await;
    // It says that it is well, takes half of a receipt, and is gone.
    printer.cut_connection_after(600);
    let order = bench.shop.order();
    let id = bench.shop.pay(order, "cash").await;
    bench.shop.until_by(GENTLE, "the line broke", async || plugged.task.is_finished()).await;
    bench.until_state("receipt", "down").await;
    bench.pull(plugged);
    let _back = bench.plug("ttyUSB3", "1-1", FTDI, &Device::Printer(printer));
    bench.until_printed(&id).await;
    let receipts = bench.shop.papers("receipt");
    assert!(receipts.last().unwrap().contains(REPEAT), "{receipts:?}");
    assert_eq!(receipts.iter().filter(|receipt| !receipt.contains(REPEAT)).count(), 0, "{receipts:?}");
    bench.shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_two_equal_printers_that_swap_their_names_keep_their_paper() {
    let by_path = |socket: &str| format!("serial:by-path/{}?root={{root}}", socket_link(socket));
    let bench = Bench::open(|shop, text| {
        let text = readdressed(shop, text, "hot", &by_path("1-1"));
        readdressed(shop, text, "bar", &by_path("1-2"))
    })
    .await;
    let (hot, bar) = (bench.shop.printer("hot").clone(), bench.shop.printer("bar").clone());
    let (hot, bar) = (Device::Printer(hot), Device::Printer(bar));
    let (in_one, in_two) = (bench.plug("ttyUSB0", "1-1", CH340, &hot), bench.plug("ttyUSB1", "1-2", CH340, &bar));
    bench.until_state("hot", "up").await;
    bench.until_state("bar", "up").await;
    bench.sell().await;
    bench.pull(in_one);
    bench.pull(in_two);
    let _one = bench.plug("ttyUSB1", "1-1", CH340, &hot);
    let _two = bench.plug("ttyUSB0", "1-2", CH340, &bar);
    bench.sell().await;
    for (printer, dish, other) in [("hot", "Бешбармақ", "Чай"), ("bar", "Чай", "Бешбармақ")] {
        let papers = bench.shop.papers(printer);
        assert_eq!(papers.len(), 2, "{papers:?}");
        assert!(papers.iter().all(|paper| paper.contains(dish) && !paper.contains(other)), "{papers:?}");
    }
    bench.shop.close().await;
}

/// The configuration with a printer of the shop at another address.
fn readdressed(shop: &Counter, text: String, name: &str, address: &str) -> String {
    let old =
        shop.shop.printers.iter().find(|(printer, _)| printer.name() == name).map(|(_, at)| format!("tcp://{at}"));
    let old = old.unwrap();
    assert_eq!(text.matches(&old).count(), 1, "{text}");
    text.replace(&old, address)
}

// ---- what is plugged in ----

/// A machine with a receipt printer, an adapter that tells who it is, and two that do not.
fn sockets() -> (TempDir, Plugs, Vec<Cable>) {
    let machine = tempfile::tempdir().unwrap();
    let plugs = Plugs::new(machine.path()).unwrap();
    let cables: Vec<Cable> = (0..4).map(|_| Cable::new().unwrap()).collect();
    plugs.plug(Bus::Serial, "ttyUSB0", "1-1", CH340, &cables[0].node).unwrap();
    plugs.plug(Bus::Serial, "ttyUSB1", "1-2", CH340, &cables[1].node).unwrap();
    plugs.plug(Bus::Serial, "ttyUSB2", "1-3", FTDI, &cables[2].node).unwrap();
    plugs.plug(Bus::Usb, "lp0", "1-4", TM_T20, &cables[3].node).unwrap();
    (machine, plugs, cables)
}

fn found_at(root: &Path, address: &str) -> Result<PathBuf, String> {
    let settings = if address.contains('?') { "&" } else { "?" };
    let address = Address::parse(&format!("{address}{settings}root={}", root.display())).unwrap();
    discover::whereabouts(&address).map(Option::unwrap).map_err(|cause| cause.to_string())
}

#[tokio::test]
async fn f22_twins_are_never_guessed_between() {
    let (machine, plugs, cables) = sockets();
    let find = |address: &str| found_at(machine.path(), address);
    assert_eq!(find("serial:?vid=0403&pid=6001"), Ok(cables[2].node.clone()));
    assert_eq!(find("serial:?vid=0403&pid=6001&serial=A50285BI"), Ok(cables[2].node.clone()));
    assert!(find("serial:?vid=0403&pid=6001&serial=OTHER").is_err());
    let told = find("serial:?vid=1a86&pid=7523").unwrap_err();
    for word in ["2 devices", "by-path/", &socket_link("1-1"), &socket_link("1-2")] {
        assert!(told.contains(word), "{told}");
    }
    assert_eq!(find(&format!("serial:by-path/{}", socket_link("1-2"))), Ok(cables[1].node.clone()));
    assert_eq!(find("usb:?vid=04b8&pid=0e03"), Ok(cables[3].node.clone()));
    assert!(find("usb:?vid=1a86&pid=7523").is_err(), "a serial line is no printer node");
    plugs.pull(Bus::Serial, "ttyUSB0", "1-1").unwrap();
    assert_eq!(find("serial:?vid=1a86&pid=7523"), Ok(cables[1].node.clone()));
    assert!(find(&format!("serial:by-path/{}", socket_link("1-1"))).is_err());
}

#[tokio::test]
async fn what_is_plugged_in_is_told_with_an_address_that_finds_it_again() {
    let (machine, _plugs, cables) = sockets();
    let all = discover::list(machine.path());
    let told: Vec<(String, Guess)> = all.iter().map(|one| (one.address.clone(), one.guess)).collect();
    let root = machine.path().display();
    let socket = |socket: &str| format!("serial:by-path/{}?root={root}&baud=9600", socket_link(socket));
    let expected = [
        (socket("1-1"), Guess::Unknown),
        (socket("1-2"), Guess::Unknown),
        (format!("serial:?vid=0403&pid=6001&serial=A50285BI&root={root}&baud=9600"), Guess::Unknown),
        (format!("usb:?vid=04b8&pid=0e03&serial=J5SF000123&root={root}"), Guess::Printer),
    ];
    assert_eq!(told, expected);
    for (one, cable) in all.iter().zip(&cables) {
        let address = Address::parse(&one.address).unwrap();
        assert_eq!(discover::whereabouts(&address).unwrap(), Some(cable.node.clone()), "{}", one.address);
    }
}
