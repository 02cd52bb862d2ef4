//! `kassad devices`: what is plugged in, what it probably is, and the address that finds it again. What is there and may not be opened is a
//! finding with its cure. Opens nothing, unless asked for the printers on the LAN.

use super::say;
use crate::host::clock::Clock;
use crate::i18n::{Lang, sentence};
use crate::transport::address::Address;
use crate::transport::discover::{self, Bus, Found, Guess};
use crate::transport::neighbours::{self, Mac};
use crate::transport::permit::{self, Permit, Person};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The port of printers.
const PRINTERS: u16 = 9100;

pub(super) async fn devices(root: &Path, lang: Lang, lan: bool, as_json: bool) -> ExitCode {
    let mut found: Vec<Value> = discover::list(root).iter().map(|one| shown(root, one, lang)).collect();
    if lan {
        let table = root.join(neighbours::TABLE.trim_start_matches('/'));
        let neighbours = neighbours::serving(PRINTERS, &table, &Clock::machine()).await;
        found.extend(neighbours.into_iter().map(|(at, mac)| neighbour(at, mac)));
    }
    if as_json {
        say(&json!({ "devices": found }).to_string());
        return ExitCode::SUCCESS;
    }
    if found.is_empty() {
        say(&sentence(lang, "devices.none", &[]));
    }
    found.iter().for_each(|one| tell(one, lang));
    ExitCode::SUCCESS
}

/// One device for a person's eyes.
fn tell(one: &Value, lang: Lang) {
    let told = |name: &str| one[name].as_str().unwrap_or_default();
    let numbers = one["vid"].as_str().map(|vid| format!("{vid}:{}", told("pid")));
    let kind = sentence(lang, &format!("devices.{}", told("guess")), &[]);
    let line = format!("{:<14} {:<9} {} — {kind}", told("path"), numbers.unwrap_or_default(), told("title"));
    say(line.trim_end());
    say(&format!("    address = {:?}", told("address")));
    if !told("cure").is_empty() {
        say(&format!("    {}", told("cure")));
    }
}

/// A neighbour on the LAN that serves the port of printers.
fn neighbour(at: Ipv4Addr, mac: Mac) -> Value {
    json!({
        "path": at.to_string(),
        "bus": "lan",
        "mac": mac.to_string(),
        "title": mac.to_string(),
        "guess": Guess::Printer.word(),
        "permitted": true,
        "address": Address::Tcp { host: at.to_string(), port: PRINTERS }.to_string(),
    })
}

fn shown(root: &Path, one: &Found, lang: Lang) -> Value {
    let mark = one.plug.as_ref().map(|plug| &plug.mark);
    json!({
        "path": outside(root, &one.node),
        "bus": match one.bus { Bus::Serial => "serial", Bus::Usb => "usb" },
        "vid": mark.map(|mark| format!("{:04x}", mark.vid)),
        "pid": mark.map(|mark| format!("{:04x}", mark.pid)),
        "serial": mark.and_then(|mark| mark.serial.clone()),
        "title": one.plug.as_ref().map(|plug| plug.title.clone()),
        "ieee1284": one.ieee1284,
        "by_id": one.by_id,
        "by_path": one.by_path,
        "guess": one.guess.word(),
        "permitted": one.permit == Permit::Granted,
        "cure": cure(root, &one.permit, lang),
        "address": one.address,
    })
}

/// A path as the machine itself names it.
pub(super) fn outside(root: &Path, path: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(root).unwrap_or(path))
}

/// What helps where the daemon may not open something.
pub(super) fn cure(root: &Path, permit: &Permit, lang: Lang) -> Option<String> {
    let user = Person::here(root).name;
    match permit {
        Permit::Granted => None,
        Permit::Group(group) => {
            let group = permit::group_name(root, group);
            Some(sentence(lang, "devices.group", &[("user", &user), ("group", &group)]))
        }
        Permit::Owner => Some(sentence(lang, "devices.owner", &[("user", &user)])),
    }
}
