//! `kassad run`: the daemon under systemd or by hand.

use super::{EXIT_CONFIG, EXIT_HELD, complain, read_config};
use crate::daemon::{Daemon, Ended, Machine, StartFault};
use crate::host::{limits, logging, systemd};
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

/// With fewer a flood through the tunnel can take them all.
const DESCRIPTORS_FEW: u64 = 2048;

pub(super) async fn run(path: &Path) -> ExitCode {
    let config = match read_config(path) {
        Ok(config) => config,
        Err(ended) => return ended,
    };
    logging::start(config.log_level);
    let descriptors = limits::raise_descriptors();
    if descriptors < DESCRIPTORS_FEW {
        warn!(descriptors, "few files may be open at once: in a flood connections are turned away (LimitNOFILE)");
    }
    let machine = Machine::real();
    #[cfg(debug_assertions)]
    let machine = machine.rehearsed();
    let daemon = match Daemon::start(&config, machine).await {
        Ok(daemon) => daemon,
        Err(fault) => {
            complain(&fault.to_string());
            return ExitCode::from(match fault {
                StartFault::Lock(crate::host::lock::LockFault::Held { .. }) => EXIT_HELD,
                StartFault::Config(_) => EXIT_CONFIG,
                StartFault::Lock(_) | StartFault::Open(_) | StartFault::Ledger(_) | StartFault::Machine { .. } => 1,
            });
        }
    };
    systemd::ready();
    let office = daemon.office.clone();
    let alive = async move {
        let Some(pause) = systemd::watchdog_pause() else {
            return std::future::pending().await;
        };
        loop {
            // Alive means that the ledger takes commits: a daemon that cannot commit is better started again.
            if office.writer.prove(&office.clock).await.is_ok() {
                systemd::alive();
            }
            office.clock.sleep(pause).await;
        }
    };
    let told = async {
        tokio::select! {
            () = told_to_stop() => {}
            () = alive => {}
        }
        systemd::stopping();
    };
    match daemon.run_until(told).await {
        Ended::Told => ExitCode::SUCCESS,
        Ended::Lost(worker) => {
            complain(&format!("{worker} ended by itself"));
            ExitCode::FAILURE
        }
    }
}

/// SIGTERM from systemd, or Ctrl-C.
pub(super) async fn told_to_stop() {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without signals only a kill ends us, which the ledger survives.
        (Err(_), _) | (_, Err(_)) => std::future::pending().await,
    }
}
