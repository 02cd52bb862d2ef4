//! Decisions: each function is one ledger transaction, without `async`, clock or wire. A worker or a surface calls it and does what it
//! says. The transaction boundaries are the function boundaries.

pub use crate::domain::bill::ServiceCharge;
use crate::domain::bill::Terms;
use crate::domain::fiscal::{PayKind, Vat};
use crate::domain::order::Tender;
use crate::domain::time::Wall;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::time::Duration;

pub mod collect;
pub mod fiscal;
pub mod intake;
pub mod keys;
pub mod kitchen;
pub mod print;
pub mod reconcile;
pub mod refund;
pub mod settle;

/// A place in the kitchen that gets tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its name on the ticket.
    pub name: String,
    /// The printer, by its name in the configuration.
    pub printer: String,
    /// The POS's own id of the station; `None` takes every dish that no other station takes.
    pub workshop: Option<String>,
}

/// Who issues the fiscal receipt for a payment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// We, by the cash register of the configuration.
    Register,
    /// The payment's own service: Kaspi's register, the cloud. We never make a second one.
    External,
    /// Nobody: our paper says that it is not fiscal.
    Nobody,
}

/// What the shop decided about fiscal receipts.
#[derive(Clone, Debug)]
pub struct FiscalRules {
    /// The cash register, by its name in the configuration; `None` where we issue nothing.
    pub register: Option<String>,
    /// Who issues what: by tender, the register for those that are not named where there is one, else nobody.
    pub issuers: BTreeMap<Tender, Issuer>,
    /// Who issues what we do not, for the guest's paper: `Kaspi`.
    pub issued_by: String,
    /// How the register counts a payment, by the word of its evidence: `qr`, `card`, `alaqan`, `invoice`; mobile where not named.
    pub kinds: BTreeMap<String, PayKind>,
    /// The usual rate and, from a moment on, another one.
    pub vat: Vat,
    /// The rate that follows the usual one, and from when.
    pub vat_next: Option<(Wall, Vat)>,
    /// The unit of a line that tells none.
    pub unit: u16,
    /// The unit of a line that tells none and has a fraction.
    pub weight_unit: u16,
    /// How a service charge stands on the receipt.
    pub service_charge: ServiceCharge,
    /// How long the guest waits for the fiscal sign before there is paper without it.
    pub notice_after: Duration,
    /// How long the rest of an order that is paid in part is waited for before its receipt is made.
    pub part_after: Duration,
    /// Whether the shift is closed by itself at the end of the business day.
    pub auto_z: bool,
    /// Where a guest may ask for a receipt that comes later.
    pub contact: String,
    /// Whether the register is a test register (F29).
    pub is_test: bool,
}

impl FiscalRules {
    /// The rules of a shop that issues no fiscal receipts.
    pub fn nothing() -> FiscalRules {
        FiscalRules {
            register: None,
            issuers: BTreeMap::new(),
            issued_by: String::new(),
            kinds: BTreeMap::new(),
            vat: Vat(None),
            vat_next: None,
            unit: crate::domain::fiscal::UNIT_PIECE,
            weight_unit: crate::domain::fiscal::UNIT_KILOGRAM,
            service_charge: ServiceCharge::Position,
            notice_after: Duration::from_secs(8),
            part_after: Duration::from_secs(900),
            auto_z: true,
            contact: String::new(),
            is_test: false,
        }
    }

    /// Who issues the receipt for a payment by this tender.
    pub fn issuer(&self, tender: Tender) -> Issuer {
        let usual = if self.register.is_some() { Issuer::Register } else { Issuer::Nobody };
        self.issuers.get(&tender).copied().unwrap_or(usual)
    }

    /// How the register counts a payment with this word in its evidence.
    pub fn kind(&self, tender: Tender, method: &str) -> PayKind {
        let usual = match (tender, method) {
            (Tender::Cash, _) => PayKind::Cash,
            (_, "card") => PayKind::Card,
            (Tender::KaspiTerminal | Tender::KaspiInvoice | Tender::KaspiQr, _) => PayKind::Mobile,
        };
        if tender == Tender::Cash { usual } else { self.kinds.get(method).copied().unwrap_or(usual) }
    }

    /// What stands on a bill at a moment.
    pub fn terms(&self, at: Wall) -> Terms {
        let vat = match self.vat_next {
            Some((from, next)) if at >= from => next,
            Some(_) | None => self.vat,
        };
        let (unit, weight_unit, service_charge) = (self.unit, self.weight_unit, self.service_charge);
        Terms { vat, unit, weight_unit, service_charge }
    }
}

/// What the shop decided in its configuration, as far as flows need it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Name of the shop.
    pub shop: String,
    /// Its time zone, for what people read.
    pub zone: TimeZone,
    /// Hour and minute at which the business day ends, in minutes after midnight.
    pub day_ends_min: i64,
    /// Stations of the kitchen.
    pub stations: Vec<Station>,
    /// Printers that print the guest's receipt.
    pub receipt_printers: Vec<String>,
    /// Printers whose drawer opens when cash was paid.
    pub drawers: Vec<String>,
    /// Which printer stands in for which.
    pub backups: BTreeMap<String, String>,
    /// The POS that closes orders of the source `pos`, by its name in the configuration.
    pub pos: Option<String>,
    /// Fiscal receipts.
    pub fiscal: FiscalRules,
}

impl Rules {
    /// A label for paper: `21.11.2026 13:05`, in the shop's time.
    pub fn paper_time(&self, at: Wall) -> String {
        self.zoned(at).strftime("%d.%m.%Y %H:%M").to_string()
    }

    /// RFC 3339 with the shop's offset, for machines.
    pub fn machine_time(&self, at: Wall) -> String {
        self.zoned(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// Start of the business day that contains a moment.
    pub fn day_start(&self, at: Wall) -> Wall {
        let shifted = self.zoned(at.plus_ms(-self.day_ends_min * 60_000));
        match shifted.start_of_day() {
            Ok(midnight) => Wall(midnight.timestamp().as_millisecond() + self.day_ends_min * 60_000),
            // Only outside the years that the calendar knows: then a day is the last 24 hours.
            Err(_) => at.plus_ms(-24 * 3_600_000),
        }
    }

    /// The shop's offset from UTC at a moment, in seconds.
    pub fn utc_offset_s(&self, at: Wall) -> i32 {
        self.zoned(at).offset().seconds()
    }

    fn zoned(&self, at: Wall) -> jiff::Zoned {
        jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone())
    }
}
