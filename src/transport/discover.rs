//! What is plugged in, and which node an identity means right now (F22): a USB adapter that was pulled out and comes back as `ttyUSB1` is
//! still the same one. Everything is read from sysfs and from udev's links, nothing is opened: a look must never move a device's wires.
//! Two devices that say the same of themselves are never guessed between: the socket tells them apart, or nobody does.

use super::address::{Address, Flow, Mark, Parity, Place, SerialLine, UsbMark};
use super::permit::{Permit, Person};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// A serial line: a port of the machine, a USB adapter, a virtual COM port.
    Serial,
    /// A printer behind the kernel's `usblp`.
    Usb,
}

/// What it probably is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// A receipt or kitchen printer.
    Printer,
    /// A payment terminal.
    Terminal,
    /// A customer display.
    Display,
    /// A bare line or adapter: only a person knows what hangs on it.
    Unknown,
}

impl Guess {
    /// The word for machines and for `devices.*` sentences.
    pub fn word(self) -> &'static str {
        match self {
            Guess::Printer => "printer",
            Guess::Terminal => "terminal",
            Guess::Display => "display",
            Guess::Unknown => "unknown",
        }
    }
}

/// What a USB plug tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// Its numbers; the serial number as it is, telling or not.
    pub mark: UsbMark,
    /// Maker and product in words.
    pub title: String,
}

/// Something plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What kind of node it has.
    pub bus: Bus,
    /// The node, below the root that was looked at.
    pub node: PathBuf,
    /// What its plug tells; none for a port of the machine.
    pub plug: Option<Plug>,
    /// udev's links by what it is.
    pub by_id: Vec<String>,
    /// udev's links by where it is plugged in.
    pub by_path: Vec<String>,
    /// What a printer says of itself.
    pub ieee1284: Option<String>,
    /// What it probably is.
    pub guess: Guess,
    /// Whether the daemon may open it.
    pub permit: Permit,
    /// An address that finds it again, wherever it is plugged in next where it can be told apart.
    pub address: String,
}

/// Serial numbers that makers burn into every piece.
const DUMMIES: [&str; 8] = ["0", "0001", "0000", "00000000", "12345678", "123456789", "0123456789ABCDEF", "0123456789"];

/// How often an identity may mean another node by the time that one is open.
const OPEN_TRIES: usize = 3;

/// Numbers by which printers are known (escpos §5), for the guess alone: clones borrow them.
const PRINTERS: [(u16, u16); 14] = [
    (0x0416, 0x5011),
    (0x0456, 0x0808),
    (0x0483, 0x5743),
    (0x0483, 0x5840),
    (0x0519, 0x0001),
    (0x0519, 0x0003),
    (0x0525, 0xa700),
    (0x0d3a, 0x0369),
    (0x0dd4, 0x0237),
    (0x0fe6, 0x811e),
    (0x1504, 0x001f),
    (0x1fc9, 0x2016),
    (0x28e9, 0x0289),
    (0x6868, 0x0200),
];

/// Makers of printers and of payment terminals: Epson, Star, Citizen; Ingenico, Verifone.
const MAKERS: [(u16, Guess); 5] = [
    (0x04b8, Guess::Printer),
    (0x0519, Guess::Printer),
    (0x1d90, Guess::Printer),
    (0x0b00, Guess::Terminal),
    (0x11ca, Guess::Terminal),
];

/// Words in what a device says of itself.
const WORDS: [(&str, Guess); 11] = [
    ("customer display", Guess::Display),
    ("pole display", Guess::Display),
    ("line display", Guess::Display),
    ("vfd", Guess::Display),
    ("printer", Guess::Printer),
    ("receipt", Guess::Printer),
    ("thermal", Guess::Printer),
    ("ingenico", Guess::Terminal),
    ("verifone", Guess::Terminal),
    ("pax ", Guess::Terminal),
    ("payment", Guess::Terminal),
];

/// The node that an address means now. `NotFound` where nothing answers to it; two that do are an error that asks for the socket.
pub fn node(place: &Place, bus: Bus) -> Result<PathBuf> {
    match &place.mark {
        Mark::Node(path) => Ok(below(&place.root, path)),
        Mark::ById(link) => linked(&place.root, by_id(bus), link),
        Mark::ByPath(link) => linked(&place.root, by_path(bus), link),
        Mark::Usb(mark) => plugged(&place.root, mark, bus),
    }
}

/// Opens the device that an identity means. What it means is looked up again behind the opening: in between the device may have been pulled
/// out, and another one have taken its name.
pub fn opened<T>(place: &Place, bus: Bus, open: impl Fn(&Path) -> Result<T>) -> Result<T> {
    let here = || node(place, bus)?.canonicalize();
    for _ in 0..OPEN_TRIES {
        let meant = here()?;
        let device = open(&meant)?;
        if here().is_ok_and(|again| again == meant) {
            return Ok(device);
        }
    }
    Err(Error::new(ErrorKind::NotFound, "it is being plugged in and out"))
}

/// Where the device of an address is at this moment; `None` for what is no device of this machine.
pub fn whereabouts(address: &Address) -> Result<Option<PathBuf>> {
    let (place, bus) = match address {
        Address::Serial(line) => (&line.place, Bus::Serial),
        Address::Usb(place) => (place, Bus::Usb),
        Address::Tcp { .. } | Address::Web { .. } => return Ok(None),
    };
    node(place, bus)?.canonicalize().map(Some)
}

/// Everything that is plugged in, serial lines first, by their names.
pub fn list(root: &Path) -> Vec<Found> {
    let person = Person::here(root);
    let mut all: Vec<Found> = [Bus::Serial, Bus::Usb]
        .into_iter()
        .flat_map(|bus| nodes(root, bus).into_iter().map(move |node| (bus, node)))
        .map(|(bus, (node, device))| found(root, bus, node, &device, &person))
        .collect();
    let addresses: Vec<String> = all.iter().map(|one| address(root, one, &all)).collect();
    all.iter_mut().zip(addresses).for_each(|(one, address)| one.address = address);
    all
}

fn found(root: &Path, bus: Bus, node: PathBuf, device: &Path, person: &Person) -> Found {
    let plug = plug(root, device);
    let ieee1284 = device.ancestors().take(3).find_map(|folder| attribute(folder, "ieee1284_id"));
    let links = |folders: &[&str]| links_to(root, folders, &node);
    Found {
        by_id: links(by_id(bus)),
        by_path: links(by_path(bus)),
        guess: guess(bus, plug.as_ref(), ieee1284.as_deref()),
        permit: person.may_open(&node).unwrap_or(Permit::Owner),
        address: String::new(),
        bus,
        node,
        plug,
        ieee1284,
    }
}

fn guess(bus: Bus, plug: Option<&Plug>, ieee1284: Option<&str>) -> Guess {
    if bus == Bus::Usb || ieee1284.is_some() {
        return Guess::Printer;
    }
    let Some(Plug { mark, title }) = plug else { return Guess::Unknown };
    let title = format!("{} ", title.to_lowercase());
    let told = WORDS.iter().find(|(word, _)| title.contains(word)).map(|(_, guess)| *guess);
    let known = PRINTERS.contains(&(mark.vid, mark.pid)).then_some(Guess::Printer);
    let made = MAKERS.iter().find(|(vid, _)| *vid == mark.vid).map(|(_, guess)| *guess);
    told.or(known).or(made).unwrap_or(Guess::Unknown)
}

/// The line for the configuration: by serial number where that tells it apart, else by socket, else by what there is.
fn address(root: &Path, one: &Found, all: &[Found]) -> String {
    let is_only = |mark: &UsbMark| {
        all.iter()
            .filter(|other| other.bus == one.bus && other.plug.as_ref().is_some_and(|it| it.mark == *mark))
            .count()
            == 1
    };
    let own = one.plug.as_ref().map(|plug| plug.mark.clone()).filter(|mark| is_only(mark) && is_telling(mark));
    let first = |links: &[String]| links.first().cloned();
    let shown = PathBuf::from("/").join(one.node.strip_prefix(root).unwrap_or(&one.node));
    let mark = match (own, first(&one.by_path), first(&one.by_id)) {
        (Some(mark), _, _) => Mark::Usb(mark),
        (None, Some(link), _) => Mark::ByPath(link),
        // udev's name of clones is the same for all of them: better than the node's, and only where it is alone.
        (None, None, Some(link)) if one.plug.as_ref().is_some_and(|plug| is_only(&plug.mark)) => Mark::ById(link),
        (None, None, _) => Mark::Node(shown),
    };
    let place = Place { mark, root: root.to_owned() };
    match one.bus {
        Bus::Usb => Address::Usb(place).to_string(),
        Bus::Serial => {
            let line = SerialLine { place, baud: 9600, parity: Parity::None, stop_bits: 1, flow: Flow::None };
            // The usual settings go without saying.
            Address::Serial(line).to_string().replace("&parity=none&stop=1&flow=none", "")
        }
    }
}

fn is_telling(mark: &UsbMark) -> bool {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte));
    mark.serial.as_deref().is_some_and(|serial| is_plain(serial) && !DUMMIES.contains(&serial))
}

fn plugged(root: &Path, mark: &UsbMark, bus: Bus) -> Result<PathBuf> {
    let is_meant = |device: &Path| {
        plug(root, device).is_some_and(|plug| {
            let is_model = (plug.mark.vid, plug.mark.pid) == (mark.vid, mark.pid);
            is_model && (mark.serial.is_none() || plug.mark.serial == mark.serial)
        })
    };
    let meant: Vec<PathBuf> =
        nodes(root, bus).into_iter().filter(|(_, device)| is_meant(device)).map(|(node, _)| node).collect();
    match meant.as_slice() {
        [node] => Ok(node.clone()),
        [] => Err(Error::new(ErrorKind::NotFound, "no such device is plugged in")),
        twins => {
            let sockets: Vec<String> = twins.iter().map(|node| socket(root, bus, node)).collect();
            let told =
                format!("{} devices answer to that: name the socket instead ({})", twins.len(), sockets.join("; "));
            Err(Error::new(ErrorKind::InvalidInput, told))
        }
    }
}

/// Where a node is plugged in, for a person who must tell twins apart.
fn socket(root: &Path, bus: Bus, node: &Path) -> String {
    match links_to(root, by_path(bus), node).first() {
        Some(link) => format!("{} is by-path/{link}", node.display()),
        None => format!("{} has no by-path link: install the udev rules", node.display()),
    }
}

fn linked(root: &Path, folders: &[&str], link: &str) -> Result<PathBuf> {
    let mut paths = folders.iter().map(|folder| root.join(folder).join(link));
    let found = paths.find_map(|path| path.canonicalize().ok());
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, "nothing is plugged in under this name"))
}

/// Names of the links in some folders that lead to a node.
fn links_to(root: &Path, folders: &[&str], node: &Path) -> Vec<String> {
    let Ok(aim) = node.canonicalize() else { return Vec::new() };
    let mut names: Vec<String> = folders
        .iter()
        .flat_map(|folder| entries(&root.join(folder)))
        .filter(|path| path.canonicalize().is_ok_and(|end| end == aim))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The links of systemd's own rules, then of ours.
fn by_id(bus: Bus) -> &'static [&'static str] {
    match bus {
        Bus::Serial => &["dev/serial/by-id", "dev/kassad/serial-by-id"],
        Bus::Usb => &["dev/kassad/printer-by-id"],
    }
}

fn by_path(bus: Bus) -> &'static [&'static str] {
    match bus {
        Bus::Serial => &["dev/serial/by-path", "dev/kassad/serial-by-path"],
        Bus::Usb => &["dev/kassad/printer-by-path"],
    }
}

/// The nodes of a bus that have a device behind them, each with its folder in sysfs.
fn nodes(root: &Path, bus: Bus) -> Vec<(PathBuf, PathBuf)> {
    let (class, folder) = match bus {
        Bus::Serial => ("sys/class/tty", "dev"),
        Bus::Usb => ("sys/class/usbmisc", "dev/usb"),
    };
    let mut found: Vec<(PathBuf, PathBuf)> = entries(&root.join(class))
        .into_iter()
        .filter(|entry| match bus {
            // Consoles have no device; a slot of the serial driver without a chip says that its type is 0.
            Bus::Serial => entry.join("device").exists() && attribute(entry, "type").as_deref() != Some("0"),
            Bus::Usb => entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("lp")),
        })
        .filter_map(|entry| Some((root.join(folder).join(entry.file_name()?), entry.canonicalize().ok()?)))
        .filter(|(node, _)| node.exists())
        .collect();
    found.sort();
    found
}

/// What the USB plug above a device in sysfs tells.
fn plug(root: &Path, device: &Path) -> Option<Plug> {
    let top = root.join("sys").canonicalize().ok()?;
    let mut folders = device.ancestors().take_while(|folder| folder.starts_with(&top) && **folder != top);
    let folder = folders.find(|folder| folder.join("idVendor").exists())?;
    let number = |name| u16::from_str_radix(&attribute(folder, name)?, 16).ok();
    let words = ["manufacturer", "product"].into_iter().filter_map(|name| attribute(folder, name));
    Some(Plug {
        mark: UsbMark { vid: number("idVendor")?, pid: number("idProduct")?, serial: attribute(folder, "serial") },
        title: words.collect::<Vec<_>>().join(" "),
    })
}

/// One line of sysfs, printable; `None` where it is missing or empty.
fn attribute(folder: &Path, name: &str) -> Option<String> {
    let text = std::fs::read(folder.join(name)).ok()?;
    let text: String = String::from_utf8_lossy(&text).chars().filter(|sign| !sign.is_control()).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
