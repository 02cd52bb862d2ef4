//! The log: to standard error, one line per event; the journal of the machine keeps it. Never PAN, secrets or phones.

use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. `KASSAD_LOG` overrules the configured level: `debug`, or `warn,kassad=debug`.
pub fn start(level: Level) {
    let told = std::env::var("KASSAD_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = told.unwrap_or_else(|| Targets::new().with_default(Level::WARN).with_target("kassad", level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // systemd's journal brings its own time.
    let started = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => tracing_subscriber::registry().with(lines.without_time().with_filter(filter)).try_init(),
        None => tracing_subscriber::registry().with(lines.with_filter(filter)).try_init(),
    };
    // A second start (tests, the demo) keeps the first log.
    let _kept = started.is_ok();
}
