//! What systemd wants to hear: ready, stopping, alive.

use sd_notify::NotifyState;
use std::time::Duration;

/// Tells that payments may come. Without systemd it tells nobody.
pub fn ready() {
    let _told = sd_notify::notify(&[NotifyState::Ready]).is_ok();
}

/// Tells that the daemon is going down.
pub fn stopping() {
    let _told = sd_notify::notify(&[NotifyState::Stopping]).is_ok();
}

/// Tells that the daemon is alive: only called when the ledger is proven to take commits.
pub fn alive() {
    let _told = sd_notify::notify(&[NotifyState::Watchdog]).is_ok();
}

/// Half of the time after which systemd takes silence for death; `None` when it does not watch.
pub fn watchdog_pause() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
