//! `kassad print-test`: the test slip of a printer, and the line of it that reads right, which the daemon keeps (escpos §2.2). Without a
//! daemon the slip goes out directly and the answer is told as lines for the configuration. `--pictures` needs no printer: it draws what
//! would come out, on both widths of paper and in every way of printing letters.

use super::client::Client;
use super::{complain, read_config, say};
use crate::config::Config;
use crate::domain::paper::{Document, Imprint, TestSlip};
use crate::drivers::printer::{self, Candidate, Profile, Way};
use crate::drivers::{Build, NoVault};
use crate::host::clock::Clock;
use crate::i18n::{Lang, sentence};
use crate::sandbox::printer::gallery::gallery;
use crate::transport::address::Address;
use crate::transport::web::Request;
use crate::transport::wire::{Limits, Wire};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// What a person asks for.
pub(super) struct Wish {
    pub(super) printer: Option<String>,
    pub(super) keep: Option<u32>,
}

/// Prints the test slip, asks which line reads right, and keeps the answer.
pub(super) async fn print_test(config: &Path, lang: Lang, wish: &Wish) -> ExitCode {
    let read = match read_config(config) {
        Ok(read) => read,
        Err(ended) => return ended,
    };
    match tried(&read, lang, wish).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

async fn tried(config: &Config, lang: Lang, wish: &Wish) -> Result<(), String> {
    let name = named(config, wish.printer.as_deref(), lang)?;
    let client = Client::of(config, lang)?;
    let daemon = client.is_up().await.then_some(&client);
    let profile = profile(config, &name)?;
    let candidates = printer::candidates(&profile);
    let number = match wish.keep {
        Some(number) => Some(number),
        None => {
            match daemon {
                Some(client) => {
                    drop(client.call(Request::post(format!("/api/v1/printers/{}/test", escaped(&name)))).await?)
                }
                None => directly(config, &name, &profile).await?,
            }
            say(&sentence(lang, "print_test.done", &[("detail", &name)]));
            for one in &candidates {
                say(&format!("{:>3}  {}", one.number, crate::http::printers::title(one, lang)));
            }
            answer(lang)
        }
    };
    let Some(number) = number else { return Ok(()) };
    let chosen = candidates.iter().find(|one| one.number == number);
    let chosen = chosen
        .ok_or_else(|| sentence(lang, "print_test.range", &[("detail", &format!("1 – {}", candidates.len()))]))?;
    match daemon {
        Some(client) => {
            let path = format!("/api/v1/printers/{}/letters", escaped(&name));
            let kept = client.call(Request::post(path).json(json!({ "number": number }).to_string())).await?;
            say(&sentence(lang, "page.letters_kept", &[("detail", kept["text"].as_str().unwrap_or_default())]));
        }
        None => {
            let title = crate::http::printers::title(chosen, lang);
            say(&sentence(lang, "print_test.keep", &[("detail", &title)]));
            say(&lines(chosen));
        }
    }
    Ok(())
}

/// What a choice looks like in the configuration.
fn lines(chosen: &Candidate) -> String {
    let (letters, page) = (chosen.letters.word(), chosen.page);
    let way = match chosen.way {
        Way::Page => "page",
        Way::Defined => "defined",
        Way::Raster => "raster",
    };
    format!("letters = \"{letters}\"\ncode_page = {page}\nkazakh = \"{way}\"")
}

/// The printer that is meant: the named one, or the only one.
fn named(config: &Config, asked: Option<&str>, lang: Lang) -> Result<String, String> {
    let names: Vec<&str> = config.printers.iter().map(|printer| printer.device.name.as_str()).collect();
    match (asked, names.as_slice()) {
        (Some(name), names) if names.contains(&name) => Ok(name.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (asked, names) => {
            let detail = format!("{} (--printer {})", asked.unwrap_or("?"), names.join(" | "));
            Err(sentence(lang, "no_printer", &[("detail", &detail)]))
        }
    }
}

fn profile(config: &Config, name: &str) -> Result<Profile, String> {
    let printer = config.printers.iter().find(|printer| printer.device.name == name);
    let device = printer.map(|printer| &printer.device).ok_or_else(|| name.to_owned())?;
    let setup = config.setup(device, Arc::new(NoVault), "", 0, &Clock::machine()).map_err(|fault| fault.problem)?;
    match device.kind.build {
        Build::Printer(build) => build(&setup).map_err(|bad| format!("{}: {}", bad.key, bad.problem)),
        Build::Terminal(_) | Build::Cloud(..) | Build::Pos(_) | Build::Fiscal(_) | Build::Display(_) => {
            Err(name.to_owned())
        }
    }
}

/// The slip over a wire of our own: the daemon does not run, so the printer is free.
async fn directly(config: &Config, name: &str, profile: &Profile) -> Result<(), String> {
    let clock = Clock::machine();
    let device = config.printers.iter().find(|printer| printer.device.name == name).map(|printer| &printer.device);
    let address = device.map(|device| device.address.as_str()).unwrap_or_default();
    let address = Address::parse(address).map_err(|bad| bad.to_string())?;
    let slip = TestSlip {
        shop: config.shop.name.clone(),
        printer: name.to_owned(),
        at: crate::daemon::rules(config).paper_time(clock.wall()),
    };
    let imprint = Imprint { job: 0, copy: 1, instead_of: None };
    let bytes = printer::render(&Document::Test(slip), &imprint, profile);
    let mut wire = Wire::open(&address, Limits::default(), &clock).await.map_err(|loss| loss.to_string())?;
    wire.write_all(&bytes).await.map_err(|loss| loss.to_string())?;
    wire.finish().await.map_err(|loss| loss.to_string())
}

/// The number a person types; `None` when nobody is there or nothing was typed.
fn answer(lang: Lang) -> Option<u32> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return None;
    }
    let mut out = std::io::stdout();
    let _asked = write!(out, "{}", sentence(lang, "print_test.ask", &[])).and_then(|()| out.flush()).is_ok();
    let mut line = String::new();
    stdin.lock().read_line(&mut line).ok()?;
    line.trim().parse().ok()
}

/// A name in a path of the API.
fn escaped(name: &str) -> String {
    name.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Draws the sample papers into a folder: both widths, every way of printing letters.
pub(super) fn pictures(folder: &Path) -> ExitCode {
    match drawn(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            complain(&format!("{}: {cause}", folder.display()));
            ExitCode::FAILURE
        }
    }
}

fn drawn(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for sheet in gallery() {
        let path = folder.join(format!("{}.png", sheet.name));
        std::fs::write(&path, &sheet.png)?;
        std::fs::write(folder.join(format!("{}.txt", sheet.name)), &sheet.text)?;
        say(&path.display().to_string());
    }
    Ok(())
}
