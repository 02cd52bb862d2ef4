//! `kassad check`: the configuration, and the journal of the ledger.

use super::{EXIT_CONFIG, complain, complain_of, read_config, say};
use crate::config::Config;
use crate::ledger::{Reader, journal};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn check(config: &Path, ledger: Option<&str>) -> ExitCode {
    match ledger {
        Some(ledger) if !ledger.is_empty() => check_ledger(Path::new(ledger)),
        Some(_) => match read_config(config) {
            Ok(config) => check_ledger(&config.ledger),
            Err(ended) => ended,
        },
        None => match read_config(config) {
            Ok(read) => check_secrets(config, &read),
            Err(ended) => ended,
        },
    }
}

/// The files of the secrets: one that is missing is a warning as long as every partner is the sandbox.
fn check_secrets(path: &Path, config: &Config) -> ExitCode {
    let (faults, missing) = config.look_at_secrets();
    complain_of(path, &faults);
    if !faults.is_empty() {
        return ExitCode::from(EXIT_CONFIG);
    }
    if !missing.is_empty() {
        say("Only with the sandbox; a real partner needs each of these:");
        complain_of(path, &missing);
    }
    say(&format!("{}: good", path.display()));
    ExitCode::SUCCESS
}

fn check_ledger(path: &Path) -> ExitCode {
    let reader = match Reader::open(path) {
        Ok(reader) => reader,
        Err(fault) => {
            complain(&fault.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match journal::verify(&reader) {
        Ok((rows, flaws)) if flaws.is_empty() => {
            say(&format!("{}: {rows} journal rows, every one in its place", path.display()));
            ExitCode::SUCCESS
        }
        Ok((rows, flaws)) => {
            for flaw in &flaws {
                complain(&format!("{}: {}: {}", path.display(), flaw.place, flaw.problem));
            }
            complain(&format!("{rows} journal rows, {} flaws: somebody changed the ledger by hand", flaws.len()));
            ExitCode::from(EXIT_CONFIG)
        }
        Err(cause) => {
            complain(&format!("{}: {cause}", path.display()));
            ExitCode::from(EXIT_CONFIG)
        }
    }
}
