//! The log: to standard error, one line per event; the journal of the machine keeps it. Never PAN, secrets or phones.

use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Starts the log. `KASSAD_LOG` overrules the configured level, in the form of `tracing`'s filters.
pub fn start(level: Level) {
    let filter = EnvFilter::try_from_env("KASSAD_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,kassad={}", level.as_str().to_lowercase())));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // systemd's journal brings its own time.
    let started = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => subscriber.without_time().try_init(),
        None => subscriber.try_init(),
    };
    // A second start (tests, the demo) keeps the first log.
    let _kept = started.is_ok();
}
