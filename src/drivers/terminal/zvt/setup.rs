//! How a ZVT terminal is set up: its keys in the configuration, and the driver built from them.

use super::Zvt;
use super::cable::WireCable;
use super::frame::Framing;
use super::packet::{self, Password};
use crate::drivers::{BadSetup, Build, Key, Kind, Setup, Takes, Terminal};
use crate::transport::address::Address;

/// Its line in the registry.
pub const KIND: Kind = Kind {
    name: "zvt",
    title: "card terminal with the ZVT protocol, on a serial line or in the shop's network",
    keys: &[
        Key {
            name: "password_file",
            takes: Takes::SecretFile,
            required: false,
            help: "the terminal's till password, six digits; 000000 unless told",
        },
        Key {
            name: "currency",
            takes: Takes::Number,
            required: false,
            help: "ISO number of the currency; 398 is tenge",
        },
        Key {
            name: "config_byte",
            takes: Takes::Number,
            required: false,
            help: "how the terminal works with a till, as its manual says; 156: it prints the guest's slip, we start the payments",
        },
    ],
    build: Build::Terminal(build),
};

/// Tenge.
const CURRENCY_DEFAULT: i64 = 398;
/// `80` lines for paper come as text, `10` payments begin at the till only, `08` intermediate status is sent, `04` the slips of the
/// end of day come to us.
const CONFIG_DEFAULT: i64 = 0x9C;
/// What the driver is set to.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The till password.
    pub password: Password,
    /// ISO number in BCD.
    pub currency: [u8; 2],
    /// The config byte of the registration.
    pub config: u8,
    /// How APDUs travel.
    pub framing: Framing,
}

fn build(setup: &Setup) -> Result<Box<dyn Terminal>, BadSetup> {
    let bad = |key, problem: &str| BadSetup { key, problem: problem.to_owned() };
    let mut address =
        Address::parse(&setup.address).map_err(|cause| BadSetup { key: "address", problem: cause.to_string() })?;
    let framing = match &mut address {
        Address::Serial(line) => {
            if !setup.address.contains("stop=") {
                // The protocol's own line is 9600 8N2.
                line.stop_bits = 2;
            }
            Framing::Serial
        }
        Address::Tcp { .. } => Framing::Tcp,
        Address::Usb(_) | Address::Web { .. } => {
            return Err(bad("address", "write serial:/dev/ttyUSB0 or tcp://HOST:20007"));
        }
    };
    let password = setup.secret("password_file").map_or("000000", |secret| secret.expose());
    let currency = setup.number("currency").unwrap_or(CURRENCY_DEFAULT);
    let config = setup.number("config_byte").unwrap_or(CONFIG_DEFAULT);
    let settings = Settings {
        password: Password::parse(password).ok_or_else(|| bad("password_file", "the password is six digits"))?,
        currency: Some(currency)
            .filter(|number| (1..=999).contains(number))
            .and_then(packet::bcd)
            .ok_or_else(|| bad("currency", "write the ISO number of the currency: 398 is tenge"))?,
        config: u8::try_from(config).map_err(|_| bad("config_byte", "write 0 to 255"))?,
        framing,
    };
    let cable = Box::new(WireCable::new(address, setup.clock.clone()));
    Ok(Box::new(Zvt::over(cable, settings, setup.vault.clone(), &setup.name)))
}

impl Settings {
    /// Tenge, the usual password, a serial line.
    pub fn usual() -> Settings {
        Settings { password: Password([0; 3]), currency: [0x03, 0x98], config: 0x9C, framing: Framing::Serial }
    }
}
