//! Where a device or partner is: the `address` of the configuration as types. An address that cannot be used is told with its cure. What
//! is plugged in can be named by its identity instead of a `/dev` name, which changes with the order of plugging in (F22).

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a device or partner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp://10.0.0.7:9100`
    Tcp {
        /// Name or number of the host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `serial:/dev/ttyUSB0?baud=38400&parity=none&stop=1&flow=rtscts`, or by identity: `serial:?vid=1a86&pid=7523&baud=9600`,
    /// `serial:by-path/NAME`, `serial:by-id/NAME`
    Serial(SerialLine),
    /// `usb:/dev/usb/lp0`, or by identity, as a serial line
    Usb(Place),
    /// `http://…` or `https://…`
    Web {
        /// The whole base address, without a slash at its end.
        base: String,
        /// Whether it is `https`.
        secure: bool,
    },
}

/// Which plugged-in device is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// By what it is found, at each opening anew.
    pub mark: Mark,
    /// The folder that holds `dev` and `sys`: `/`, or the host's in a container.
    pub root: PathBuf,
}

/// By what a plugged-in device is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// By its node.
    Node(PathBuf),
    /// By a link that udev makes from maker, model and serial number.
    ById(String),
    /// By a link that udev makes from the socket it is plugged into.
    ByPath(String),
    /// By what its plug says of itself.
    Usb(UsbMark),
}

/// What a USB plug says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsbMark {
    /// The maker's number.
    pub vid: u16,
    /// The product's number.
    pub pid: u16,
    /// The serial number, where it must be this one.
    pub serial: Option<String>,
}

/// A serial line and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialLine {
    /// The device.
    pub place: Place,
    /// Bits per second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
    /// Who may ask the other side to wait.
    pub flow: Flow,
}

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Flow control of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// None: long jobs may lose bytes.
    None,
    /// By wires; the cable must bring the printer's DTR to our CTS (escpos §3.4).
    RtsCts,
    /// By bytes.
    XonXoff,
}

/// Why a text is no address, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// None of the known forms.
    #[error(
        "'{0}' is not an address: write tcp://10.0.0.7:9100, serial:/dev/ttyUSB0?baud=38400, usb:/dev/usb/lp0, http://… or https://…"
    )]
    Form(String),
    /// No host before the port.
    #[error("'{0}' names no host: write tcp://HOST:PORT, for example tcp://10.0.0.7:9100")]
    Host(String),
    /// No port, or not a port.
    #[error("'{0}' names no port: write tcp://HOST:PORT; printers listen on 9100")]
    Port(String),
    /// Not an absolute path of a device.
    #[error("'{0}' names no device: write its whole path, for example {1}; `kassad devices` lists what is plugged in")]
    Path(String, &'static str),
    /// A setting of a serial line that does not exist.
    #[error(
        "'{0}' is not a setting of a serial line: write baud=, parity=none|even|odd, stop=1|2, flow=none|rtscts|xonxoff"
    )]
    Setting(String),
    /// Half an identity, or two ways at once.
    #[error(
        "'{0}' names no one device: write a path, or by-id/NAME, or by-path/NAME, or ?vid=1a86&pid=7523 with serial= where it has one; `kassad devices` prints the line"
    )]
    Identity(String),
}

const BAUD_DEFAULT: u32 = 9600;
const BAUD_MAX: u32 = 4_000_000;

impl Address {
    /// Reads an address of the configuration.
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        let shown = || text.chars().take(80).collect::<String>();
        if text.chars().any(|sign| sign.is_control() || sign == ' ') {
            return Err(BadAddress::Form(shown()));
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            return tcp(rest, shown());
        }
        if let Some(rest) = text.strip_prefix("serial:") {
            return SerialLine::parse(rest, shown()).map(Address::Serial);
        }
        if let Some(rest) = text.strip_prefix("usb:") {
            let (name, settings) = rest.split_once('?').unwrap_or((rest, ""));
            let refuse = |setting: &str| Err(BadAddress::Identity(setting.to_owned()));
            return Place::parse(name, settings, shown(), "usb:/dev/usb/lp0", refuse).map(Address::Usb);
        }
        let (rest, secure) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(BadAddress::Form(shown())),
        };
        if rest.is_empty() || rest.starts_with(['/', ':', '?']) {
            return Err(BadAddress::Form(shown()));
        }
        Ok(Address::Web { base: text.trim_end_matches('/').to_owned(), secure })
    }
}

fn tcp(rest: &str, shown: String) -> Result<Address, BadAddress> {
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(|| BadAddress::Port(shown.clone()))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.unwrap_or(host).is_empty()
        || bare.unwrap_or(host).contains(['/', '@', '[', ']'])
        || (bare.is_none() && host.contains(':'))
    {
        return Err(BadAddress::Host(shown));
    }
    let port = port.parse().ok().filter(|port| *port != 0).ok_or(BadAddress::Port(shown))?;
    Ok(Address::Tcp { host: bare.unwrap_or(host).to_owned(), port })
}

impl Place {
    /// A node by its path.
    pub fn node(path: impl Into<PathBuf>) -> Place {
        Place { mark: Mark::Node(path.into()), root: PathBuf::from("/") }
    }

    /// Reads the device of an address; a setting that is not about identity is the caller's.
    fn parse(
        name: &str,
        settings: &str,
        shown: String,
        example: &'static str,
        mut other: impl FnMut(&str) -> Result<(), BadAddress>,
    ) -> Result<Place, BadAddress> {
        let (mut vid, mut pid, mut serial, mut root) = (None, None, None, None);
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let half = || BadAddress::Identity(setting.to_owned());
            match setting.split_once('=') {
                Some(("vid", value)) => vid = Some(number(value).ok_or_else(half)?),
                Some(("pid", value)) => pid = Some(number(value).ok_or_else(half)?),
                Some(("serial", value)) if !value.is_empty() => serial = Some(value.to_owned()),
                Some(("root", value)) if value.starts_with('/') => root = Some(PathBuf::from(value)),
                Some(_) | None => other(setting)?,
            }
        }
        let link = |kind: &str| {
            let rest = name.strip_prefix(kind);
            rest.filter(|rest| !rest.is_empty() && !rest.contains('/') && !rest.starts_with('.')).map(str::to_owned)
        };
        let mark = match (vid, pid) {
            (Some(vid), Some(pid)) if name.is_empty() => Mark::Usb(UsbMark { vid, pid, serial }),
            (None, None) if serial.is_none() => match (link("by-id/"), link("by-path/")) {
                (Some(link), _) => Mark::ById(link),
                (None, Some(link)) => Mark::ByPath(link),
                (None, None) if name.starts_with('/') && name.len() > 1 => Mark::Node(PathBuf::from(name)),
                (None, None) => return Err(BadAddress::Path(shown, example)),
            },
            _ => return Err(BadAddress::Identity(shown)),
        };
        Ok(Place { mark, root: root.unwrap_or_else(|| PathBuf::from("/")) })
    }

    /// Its settings in an address, without those of a line.
    fn settings(&self) -> Vec<String> {
        let mut settings = Vec::new();
        if let Mark::Usb(UsbMark { vid, pid, serial }) = &self.mark {
            settings.push(format!("vid={vid:04x}"));
            settings.push(format!("pid={pid:04x}"));
            settings.extend(serial.iter().map(|serial| format!("serial={serial}")));
        }
        if self.root != Path::new("/") {
            settings.push(format!("root={}", self.root.display()));
        }
        settings
    }
}

/// Four digits of a USB number.
fn number(text: &str) -> Option<u16> {
    (text.len() == 4).then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for Place {
    /// The name in front of the settings.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mark {
            Mark::Node(path) => write!(out, "{}", path.display()),
            Mark::ById(link) => write!(out, "by-id/{link}"),
            Mark::ByPath(link) => write!(out, "by-path/{link}"),
            Mark::Usb(_) => Ok(()),
        }
    }
}

impl SerialLine {
    fn parse(rest: &str, shown: String) -> Result<SerialLine, BadAddress> {
        let (name, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut baud, mut parity, mut stop_bits, mut flow) = (BAUD_DEFAULT, Parity::None, 1, Flow::None);
        let line = |setting: &str| {
            set(setting, &mut baud, &mut parity, &mut stop_bits, &mut flow)
                .ok_or_else(|| BadAddress::Setting(setting.to_owned()))
        };
        let place = Place::parse(name, settings, shown, "serial:/dev/ttyUSB0?baud=38400", line)?;
        Ok(SerialLine { place, baud, parity, stop_bits, flow })
    }
}

fn set(setting: &str, baud: &mut u32, parity: &mut Parity, stop_bits: &mut u8, flow: &mut Flow) -> Option<()> {
    match setting.split_once('=')? {
        ("baud", value) => *baud = value.parse().ok().filter(|baud| (300..=BAUD_MAX).contains(baud))?,
        ("parity", "none") => *parity = Parity::None,
        ("parity", "even") => *parity = Parity::Even,
        ("parity", "odd") => *parity = Parity::Odd,
        ("stop", "1") => *stop_bits = 1,
        ("stop", "2") => *stop_bits = 2,
        ("flow", "none") => *flow = Flow::None,
        ("flow", "rtscts") => *flow = Flow::RtsCts,
        ("flow", "xonxoff") => *flow = Flow::XonXoff,
        _ => return None,
    }
    Some(())
}

impl fmt::Display for Address {
    /// As the configuration writes it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(out, "tcp://[{host}]:{port}"),
            Address::Tcp { host, port } => write!(out, "tcp://{host}:{port}"),
            Address::Usb(place) => {
                let settings = place.settings().join("&");
                let mark = if settings.is_empty() { "" } else { "?" };
                write!(out, "usb:{place}{mark}{settings}")
            }
            Address::Web { base, .. } => out.write_str(base),
            Address::Serial(line) => {
                let parity = match line.parity {
                    Parity::None => "none",
                    Parity::Even => "even",
                    Parity::Odd => "odd",
                };
                let flow = match line.flow {
                    Flow::None => "none",
                    Flow::RtsCts => "rtscts",
                    Flow::XonXoff => "xonxoff",
                };
                let (place, baud, stop) = (&line.place, line.baud, line.stop_bits);
                let mut settings = place.settings();
                settings.push(format!("baud={baud}&parity={parity}&stop={stop}&flow={flow}"));
                write!(out, "serial:{place}?{}", settings.join("&"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_contract() {
        let tcp = Address::Tcp { host: "10.0.0.7".to_owned(), port: 9100 };
        assert_eq!(Address::parse("tcp://10.0.0.7:9100"), Ok(tcp));
        assert_eq!(Address::parse("usb:/dev/usb/lp0"), Ok(Address::Usb(Place::node("/dev/usb/lp0"))));
        let line = SerialLine {
            place: Place::node("/dev/ttyUSB0"),
            baud: 38_400,
            parity: Parity::None,
            stop_bits: 1,
            flow: Flow::None,
        };
        assert_eq!(Address::parse("serial:/dev/ttyUSB0?baud=38400&parity=none&stop=1"), Ok(Address::Serial(line)));
        let web = Address::Web { base: "https://api.aipay.kz/v1".to_owned(), secure: true };
        assert_eq!(Address::parse("https://api.aipay.kz/v1/"), Ok(web));
    }

    #[test]
    fn every_address_is_written_back() {
        let texts = [
            "tcp://printer:9100",
            "tcp://[::1]:9100",
            "serial:/dev/ttyS0?baud=9600&parity=even&stop=2&flow=rtscts",
            "serial:?vid=1a86&pid=7523&serial=A50285BI&baud=9600&parity=none&stop=1&flow=none",
            "serial:by-path/pci-0000:00:14.0-usb-0:2:1.0-port0?root=/host&baud=9600&parity=none&stop=1&flow=none",
            "usb:by-id/usb-EPSON_TM-T20_123",
            "usb:?vid=04b8&pid=0e03",
        ];
        for text in texts {
            assert_eq!(Address::parse(text).map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn faults_name_their_cure() {
        let faults = [
            ("", "tcp://10.0.0.7:9100"),
            ("10.0.0.7:9100", "tcp://10.0.0.7:9100"),
            ("tcp://10.0.0.7", "9100"),
            ("tcp://10.0.0.7:0", "9100"),
            ("tcp://:9100", "names no host"),
            ("tcp://::1:9100", "names no host"),
            ("tcp://[]:9100", "names no host"),
            ("usb:lp0", "kassad devices"),
            ("serial:ttyUSB0", "kassad devices"),
            ("serial:/dev/ttyUSB0?speed=9600", "baud="),
            ("serial:/dev/ttyUSB0?baud=fast", "baud="),
            ("serial:by-id/?baud=9600", "kassad devices"),
            ("serial:by-path/../tty", "kassad devices"),
            ("serial:?vid=1a86", "vid=1a86&pid=7523"),
            ("serial:?vid=6790&pid=xyz1", "vid=1a86&pid=7523"),
            ("serial:/dev/ttyUSB0?vid=1a86&pid=7523", "names no one device"),
            ("usb:?serial=A", "names no one device"),
            ("usb:/dev/usb/lp0?baud=9600", "names no one device"),
            ("http://", "http://"),
            ("tcp://a b:1", "is not an address"),
        ];
        for (text, cure) in faults {
            let told = Address::parse(text).err().map(|fault| fault.to_string()).unwrap_or_default();
            assert!(told.contains(cure), "{text}: {told}");
        }
    }
}
