//! `kassad check`: the configuration, and the journal of the ledger.

use super::{EXIT_CONFIG, complain, read_config, say};
use crate::ledger::{Reader, journal};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn check(config: &Path, ledger: Option<&Path>) -> ExitCode {
    match ledger {
        Some(ledger) if !ledger.as_os_str().is_empty() => check_ledger(ledger),
        Some(_) => match read_config(config) {
            Ok(config) => check_ledger(&config.ledger),
            Err(ended) => ended,
        },
        None => match read_config(config) {
            Ok(_) => {
                say(&format!("{}: good", config.display()));
                ExitCode::SUCCESS
            }
            Err(ended) => ended,
        },
    }
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
