//! The `[fiscal]` section: who issues the fiscal receipt for what, and how the cash register is told (fiscal-kz §1.4, §3.4). A driver of
//! the registry registers here; what its own service or a terminal issues is named, never registered twice; nobody is an answer too.

use super::{Device, Section, Source, device_named, kind, nearest, one};
use crate::domain::fiscal::{PayKind, UNIT_KILOGRAM, UNIT_PIECE, Vat};
use crate::domain::order::Tender;
use crate::domain::time::Wall;
use crate::drivers::Build;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use toml::de::DeTable;

/// How long a guest may be kept waiting for the fiscal sign, in seconds: a register has 7 (fiscal-kz §3.5).
pub const NOTICE_AFTER_S: RangeInclusive<i64> = 1..=60;

/// The same when nothing else is told.
pub const NOTICE_AFTER_S_USUAL: i64 = 8;

/// How long the rest of a part-paid order may be waited for, in minutes.
pub const PART_AFTER_MIN: RangeInclusive<i64> = 1..=240;

/// The same when nothing else is told.
pub const PART_AFTER_MIN_USUAL: i64 = 15;

/// The words of evidence whose kind of payment a shop may choose.
const METHODS: [&str; 4] = ["qr", "card", "alaqan", "invoice"];

/// What the section says besides a driver's own keys.
const COMMON: [&str; 18] = [
    "name",
    "kind",
    "external",
    "unfiscal",
    "issued_by",
    "vat",
    "vat_next",
    "qr",
    "card",
    "alaqan",
    "invoice",
    "unit",
    "weight_unit",
    "service_charge",
    "notice_after_s",
    "part_after_min",
    "auto_z",
    "contact",
];

/// Kinds that are no driver.
pub(super) const PLAIN_KINDS: [&str; 2] = ["external", "none"];

/// What the shop decided about fiscal receipts.
#[derive(Clone, Debug)]
pub struct FiscalConfig {
    /// The cash register; `None` where we register nothing.
    pub device: Option<Device>,
    /// Tenders whose receipt somebody else issues.
    pub external: BTreeSet<Tender>,
    /// Tenders that get no fiscal receipt.
    pub unfiscal: BTreeSet<Tender>,
    /// Whether `external` is written out, if only as an empty list: then somebody was asked.
    pub is_external_told: bool,
    /// Who issues what we do not; empty where there is nobody.
    pub issued_by: String,
    /// How the register counts a payment, by the word of its evidence.
    pub kinds: BTreeMap<String, PayKind>,
    /// The usual rate.
    pub vat: Vat,
    /// The rate that follows it, and from when.
    pub vat_next: Option<(Wall, Vat)>,
    /// The unit of a line that tells none.
    pub unit: u16,
    /// The same of a line with a fraction.
    pub weight_unit: u16,
    /// Whether a service charge is put on the whole receipt, else it is a line of its own.
    pub is_service_surcharge: bool,
    /// How long the guest waits for the fiscal sign, in seconds.
    pub notice_after_s: u32,
    /// How long the rest of a part-paid order is waited for, in minutes.
    pub part_after_min: u32,
    /// Whether the shift is closed by itself at the end of the business day.
    pub auto_z: bool,
    /// Where a guest asks for a receipt that comes later.
    pub contact: String,
    /// Where the section begins.
    pub line: usize,
}

/// The tenders of clouds that issue receipts themselves, and the first one's name as a guest knows it.
pub fn issuing(clouds: &[Device]) -> (BTreeSet<Tender>, Option<&'static str>) {
    let of = |device: &Device| match device.kind.build {
        Build::Cloud(_, abilities) if abilities.issues_receipts => Some((device.kind.title, abilities.tenders)),
        Build::Cloud(..)
        | Build::Terminal(_)
        | Build::Fiscal(_)
        | Build::Pos(_)
        | Build::Printer(_)
        | Build::Display(_) => None,
    };
    let issuing: Vec<_> = clouds.iter().filter_map(of).collect();
    // A title begins with the name: "AiPay: Kaspi invoices to a phone".
    let name = issuing.first().and_then(|(title, _)| title.split(':').next());
    (issuing.iter().flat_map(|(_, tenders)| tenders.iter().copied()).collect(), name)
}

/// Reads the section; `None` where there is none.
pub(super) fn read(
    root: &DeTable<'_>,
    source: &mut Source<'_>,
    clouds: &[Device],
    zone: &TimeZone,
) -> Option<FiscalConfig> {
    root.get("fiscal")?;
    let mut section = one(root, source, "fiscal");
    let word = section.need_text(source, "kind", "\"webkassa\", \"external\" or \"none\"")?;
    // What no driver says is read first: what is left belongs to the driver, or is not known.
    let Issuers { external, unfiscal, is_told, issued_by } = read_issuers(&mut section, source, &word, clouds);
    let is_register = !PLAIN_KINDS.contains(&word.as_str());
    let is_driver = source.kinds.iter().any(|kind| kind.name == word && matches!(kind.build, Build::Fiscal(_)));
    let vat = read_vat(&mut section, source, is_driver);
    let vat_next = read_vat_next(&mut section, source, zone);
    let kinds =
        METHODS.iter().filter_map(|method| Some(((*method).to_owned(), read_kind(&mut section, source, method)?)));
    let kinds = kinds.collect();
    let unit = read_unit(&mut section, source, "unit", UNIT_PIECE);
    let weight_unit = read_unit(&mut section, source, "weight_unit", UNIT_KILOGRAM);
    let is_service_surcharge = read_service_charge(&mut section, source);
    let notice_after_s = bounded(&mut section, source, "notice_after_s", NOTICE_AFTER_S, NOTICE_AFTER_S_USUAL);
    let part_after_min = bounded(&mut section, source, "part_after_min", PART_AFTER_MIN, PART_AFTER_MIN_USUAL);
    let auto_z = section.flag(source, "auto_z").unwrap_or(true);
    let contact = section.text(source, "contact").unwrap_or_default();
    let line = section.line;
    let device = if is_register {
        Some(read_register(&mut section, source, &word)?)
    } else {
        section.refuse_unknown(source);
        None
    };
    Some(FiscalConfig {
        device,
        external,
        unfiscal,
        is_external_told: is_told,
        issued_by,
        kinds,
        vat,
        vat_next,
        unit,
        weight_unit,
        is_service_surcharge,
        notice_after_s,
        part_after_min,
        auto_z,
        contact,
        line,
    })
}

/// The cash register by its driver; it is called after its kind where it has no name.
fn read_register(section: &mut Section<'_>, source: &mut Source<'_>, word: &str) -> Option<Device> {
    let name = match section.get("name") {
        Some(_) => section.need_name(source),
        None => Some(word.to_owned()),
    };
    section.known.insert("name");
    // Without it nobody can say whose keys the others are.
    kind(section, source, word)?;
    device_named(section, source, &COMMON, name)
}

/// Who issues what we do not.
struct Issuers {
    external: BTreeSet<Tender>,
    unfiscal: BTreeSet<Tender>,
    is_told: bool,
    issued_by: String,
}

fn read_issuers(section: &mut Section<'_>, source: &mut Source<'_>, word: &str, clouds: &[Device]) -> Issuers {
    let is_told = section.get("external").is_some();
    let written = read_tenders(section, source, "external");
    let unfiscal = read_tenders(section, source, "unfiscal");
    for tender in unfiscal.iter().filter(|tender| written.contains(tender)) {
        let problem = format!("{:?} stands under external too", tender.word());
        section.fault(source, "unfiscal", problem, "somebody issues its receipt or nobody does: leave it in one list");
    }
    let (by_cloud, cloud) = issuing(clouds);
    let external = match (is_told, word) {
        (true, _) => written,
        (false, "external") => Tender::ALL.into_iter().filter(|tender| !unfiscal.contains(tender)).collect(),
        (false, _) => by_cloud.into_iter().filter(|tender| !unfiscal.contains(tender)).collect(),
    };
    let issued_by = match section.text(source, "issued_by") {
        Some(name) => name,
        None if external.is_empty() => String::new(),
        // Only AiPay's own tender is external: its name is known.
        None if !is_told && word != "external" => cloud.unwrap_or_default().to_owned(),
        None => {
            let cure = "add issued_by = \"Kaspi\": who issues these receipts, as it stands on the guest's paper";
            section.fault(source, "issued_by", "it is missing", cure);
            String::new()
        }
    };
    Issuers { external, unfiscal, is_told, issued_by }
}

fn read_tenders<'a>(section: &mut Section<'a>, source: &mut Source<'_>, key: &'a str) -> BTreeSet<Tender> {
    let words = section.texts(source, key).unwrap_or_default();
    let mut tenders = BTreeSet::new();
    for word in &words {
        match Tender::from_word(word) {
            Some(tender) => drop(tenders.insert(tender)),
            None => {
                let cure = match nearest(word, Tender::ALL.into_iter().map(Tender::word)) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("tenders are {}", Tender::ALL.map(Tender::word).join(", ")),
                };
                section.fault(source, key, format!("there is no tender {word:?}"), cure);
            }
        }
    }
    tenders
}

fn read_vat(section: &mut Section<'_>, source: &mut Source<'_>, is_needed: bool) -> Vat {
    const CURE: &str = "write \"16\" for a payer of value added tax, \"none\" for everybody else";
    if section.get("vat").is_none() {
        section.known.insert("vat");
        if is_needed {
            section.fault(source, "vat", "it is missing", format!("{CURE}: the accountant knows"));
        }
        return Vat(None);
    }
    let Some(text) = section.text(source, "vat") else { return Vat(None) };
    rate(&text).unwrap_or_else(|| {
        section.fault(source, "vat", format!("{text:?} is no rate"), CURE);
        Vat(None)
    })
}

/// A rate as people write it: per cent without a sign, or `none`.
pub fn rate(text: &str) -> Option<Vat> {
    match text {
        "none" => Some(Vat(None)),
        percent if percent.bytes().all(|byte| byte.is_ascii_digit()) => {
            percent.parse().ok().filter(|percent| (1..=99).contains(percent)).map(|percent| Vat(Some(percent)))
        }
        _ => None,
    }
}

fn read_vat_next(section: &mut Section<'_>, source: &mut Source<'_>, zone: &TimeZone) -> Option<(Wall, Vat)> {
    let text = section.text(source, "vat_next")?;
    let read = text.split_once(' ').and_then(|(day, percent)| {
        let from = day.parse::<jiff::civil::Date>().ok()?.to_zoned(zone.clone()).ok()?;
        Some((Wall(from.timestamp().as_millisecond()), rate(percent)?))
    });
    if read.is_none() {
        let cure = "write the first day and the rate from then on: \"2027-01-01 10\"";
        section.fault(source, "vat_next", format!("{text:?} is no day with a rate"), cure);
    }
    read
}

fn read_kind<'a>(section: &mut Section<'a>, source: &mut Source<'_>, key: &'a str) -> Option<PayKind> {
    match section.text(source, key)?.as_str() {
        "mobile" => Some(PayKind::Mobile),
        "card" => Some(PayKind::Card),
        other => {
            let cure = "write \"mobile\" or \"card\": how the register counts it";
            section.fault(source, key, format!("{other:?} is no kind of payment"), cure);
            None
        }
    }
}

fn read_unit<'a>(section: &mut Section<'a>, source: &mut Source<'_>, key: &'a str, usual: u16) -> u16 {
    let Some(number) = section.number(source, key) else { return usual };
    u16::try_from(number).ok().filter(|code| *code > 0).unwrap_or_else(|| {
        let cure = "write a code of the register: 796 piece, 166 kilogram, 112 litre, 5114 service";
        section.fault(source, key, format!("{number} is no code of a unit"), cure);
        usual
    })
}

fn read_service_charge(section: &mut Section<'_>, source: &mut Source<'_>) -> bool {
    match section.text(source, "service_charge").as_deref() {
        None | Some("position") => false,
        Some("surcharge") => true,
        Some(other) => {
            let cure = "write \"position\" (a line of its own) or \"surcharge\" (on the whole receipt)";
            section.fault(source, "service_charge", format!("there is no way {other:?}"), cure);
            false
        }
    }
}

fn bounded<'a>(
    section: &mut Section<'a>,
    source: &mut Source<'_>,
    key: &'a str,
    bounds: RangeInclusive<i64>,
    usual: i64,
) -> u32 {
    let number = section.number(source, key).unwrap_or(usual);
    if !bounds.contains(&number) {
        let cure = format!("write {} to {}; {usual} without the key", bounds.start(), bounds.end());
        section.fault(source, key, format!("{number} is out of bounds"), cure);
    }
    u32::try_from(number).unwrap_or(u32::MAX)
}
