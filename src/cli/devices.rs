//! `kassad devices`: what is plugged in, what it probably is, and the address that finds it again. What is there and may not be opened is a
//! finding with its cure. Opens nothing.

use super::say;
use crate::i18n::{Lang, sentence};
use crate::transport::discover::{self, Bus, Found};
use crate::transport::permit::{self, Permit, Person};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn devices(root: &Path, lang: Lang, as_json: bool) -> ExitCode {
    let found = discover::list(root);
    if as_json {
        let found: Vec<Value> = found.iter().map(|one| shown(root, one, lang)).collect();
        say(&json!({ "devices": found }).to_string());
        return ExitCode::SUCCESS;
    }
    if found.is_empty() {
        say(&sentence(lang, "devices.none", &[]));
    }
    for one in &found {
        let told = |name: &str| shown(root, one, lang)[name].as_str().unwrap_or_default().to_owned();
        let numbers = one.plug.as_ref().map(|plug| format!("{:04x}:{:04x}", plug.mark.vid, plug.mark.pid));
        let kind = sentence(lang, &format!("devices.{}", one.guess.word()), &[]);
        let line = format!("{:<14} {:<9} {} — {kind}", told("path"), numbers.unwrap_or_default(), told("title"));
        say(line.trim_end());
        say(&format!("    address = {:?}", one.address));
        let cure = told("cure");
        if !cure.is_empty() {
            say(&format!("    {cure}"));
        }
    }
    ExitCode::SUCCESS
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
