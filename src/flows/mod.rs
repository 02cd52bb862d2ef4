//! Decisions: each function is one ledger transaction, without `async`, clock or wire. A worker or a surface calls it and does what it
//! says. The transaction boundaries are the function boundaries.

use crate::domain::time::Wall;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

pub mod collect;
pub mod intake;
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
