//! The way in of a demo: this machine's own OpenSSH server on a port of its own, where the daemon's tunnel takes a free port. The cloud
//! of the sandbox knows only that port, so every notice that arrives came through the server.

use crate::host::ids::Ids;
use crate::host::tasks::Spawner;
use crate::sandbox::sshd::{Sshd, SshdFault, SshdOptions, free_port};
use std::net::Ipv4Addr;
use std::path::Path;

/// A server and the place at it that is ours.
pub(super) struct WayIn {
    /// The server.
    pub(super) sshd: Sshd,
    /// The public address of the shop.
    pub(super) url: String,
    forward: String,
}

impl WayIn {
    /// Starts the server; its keys and settings are in a folder of its own.
    pub(super) async fn open(folder: &Path, spawner: &Spawner) -> Result<WayIn, SshdFault> {
        let forward = format!("127.0.0.1:{}", free_port(Ipv4Addr::LOCALHOST)?);
        // Keys are never a seed's: the port is open to everybody on this machine.
        let sshd = Sshd::open(folder, SshdOptions::default(), &Ids::machine(), spawner).await?;
        Ok(WayIn { sshd, url: format!("http://{forward}"), forward })
    }

    /// The section of the daemon's configuration.
    pub(super) fn section(&self) -> Result<String, SshdFault> {
        self.sshd.section(self.sshd.address(), &self.forward, &self.url)
    }

    /// Where the cloud sends its notices.
    pub(super) fn webhook_url(&self) -> String {
        format!("{}/webhooks/aipay", self.url)
    }
}
