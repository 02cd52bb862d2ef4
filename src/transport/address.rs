//! Where a device or partner is: the `address` of the configuration as types. An address that cannot be used is told with its cure.

use std::fmt;
use std::path::PathBuf;

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
    /// `serial:/dev/ttyUSB0?baud=38400&parity=none&stop=1&flow=rtscts`
    Serial(SerialLine),
    /// `usb:/dev/usb/lp0`
    Usb(PathBuf),
    /// `http://…` or `https://…`
    Web {
        /// The whole base address, without a slash at its end.
        base: String,
        /// Whether it is `https`.
        secure: bool,
    },
}

/// A serial line and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialLine {
    /// The device.
    pub path: PathBuf,
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
        if let Some(path) = text.strip_prefix("usb:") {
            return device(path, shown(), "usb:/dev/usb/lp0").map(Address::Usb);
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
    if host.is_empty() || bare.unwrap_or(host).contains(['/', '@', '[', ']']) || (bare.is_none() && host.contains(':'))
    {
        return Err(BadAddress::Host(shown));
    }
    let port = port.parse().ok().filter(|port| *port != 0).ok_or(BadAddress::Port(shown))?;
    Ok(Address::Tcp { host: bare.unwrap_or(host).to_owned(), port })
}

fn device(path: &str, shown: String, example: &'static str) -> Result<PathBuf, BadAddress> {
    if path.starts_with('/') && path.len() > 1 {
        Ok(PathBuf::from(path))
    } else {
        Err(BadAddress::Path(shown, example))
    }
}

impl SerialLine {
    fn parse(rest: &str, shown: String) -> Result<SerialLine, BadAddress> {
        let (path, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let path = device(path, shown, "serial:/dev/ttyUSB0?baud=38400")?;
        let mut line = SerialLine { path, baud: BAUD_DEFAULT, parity: Parity::None, stop_bits: 1, flow: Flow::None };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            line.set(setting).ok_or_else(|| BadAddress::Setting(setting.to_owned()))?;
        }
        Ok(line)
    }

    fn set(&mut self, setting: &str) -> Option<()> {
        match setting.split_once('=')? {
            ("baud", value) => self.baud = value.parse().ok().filter(|baud| (300..=BAUD_MAX).contains(baud))?,
            ("parity", "none") => self.parity = Parity::None,
            ("parity", "even") => self.parity = Parity::Even,
            ("parity", "odd") => self.parity = Parity::Odd,
            ("stop", "1") => self.stop_bits = 1,
            ("stop", "2") => self.stop_bits = 2,
            ("flow", "none") => self.flow = Flow::None,
            ("flow", "rtscts") => self.flow = Flow::RtsCts,
            ("flow", "xonxoff") => self.flow = Flow::XonXoff,
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Address {
    /// As the configuration writes it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(out, "tcp://[{host}]:{port}"),
            Address::Tcp { host, port } => write!(out, "tcp://{host}:{port}"),
            Address::Usb(path) => write!(out, "usb:{}", path.display()),
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
                let (path, baud, stop) = (line.path.display(), line.baud, line.stop_bits);
                write!(out, "serial:{path}?baud={baud}&parity={parity}&stop={stop}&flow={flow}")
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
        assert_eq!(Address::parse("usb:/dev/usb/lp0"), Ok(Address::Usb("/dev/usb/lp0".into())));
        let line = SerialLine {
            path: "/dev/ttyUSB0".into(),
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
        let texts =
            ["tcp://printer:9100", "tcp://[::1]:9100", "serial:/dev/ttyS0?baud=9600&parity=even&stop=2&flow=rtscts"];
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
            ("usb:lp0", "kassad devices"),
            ("serial:ttyUSB0", "kassad devices"),
            ("serial:/dev/ttyUSB0?speed=9600", "baud="),
            ("serial:/dev/ttyUSB0?baud=fast", "baud="),
            ("http://", "http://"),
            ("tcp://a b:1", "is not an address"),
        ];
        for (text, cure) in faults {
            let told = Address::parse(text).err().map(|fault| fault.to_string()).unwrap_or_default();
            assert!(told.contains(cure), "{text}: {told}");
        }
    }
}
