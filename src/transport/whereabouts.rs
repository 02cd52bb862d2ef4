//! Where a printer is now (F22). A printer on the LAN is known by its hardware, learnt at its configured address: when that address falls
//! silent it is looked for among the neighbours, and when another device answers there not one byte goes out. Only proven hardware
//! switches by itself; everything else asks a person by its loss.

use super::address::Address;
use super::neighbours::{self, Mac};
use super::wire::{Limits, Way, Wire};
use super::{Bar, Cause, Loss};
use crate::host::clock::{Clock, Monotonic};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an address must not answer before the printer is looked for elsewhere: one that was switched off and on is back by then.
const AWAY_SPAN: Duration = Duration::from_secs(10);
/// The shortest pause between two searches.
const SEEK_GAP: Duration = Duration::from_secs(30);
/// The longest: a printer that is off all night is no reason to ask a whole network twice a minute.
const SEEK_GAP_MAX: Duration = Duration::from_secs(300);
/// The most addresses that are tried in one search.
const ADDRESSES_MAX: usize = 2;

/// Where a printer is, and what is known of it.
pub struct Whereabouts {
    way: Way,
    table: PathBuf,
    mac: Option<Mac>,
    /// Its hardware answers for other addresses too, as a repeater does: it tells nobody apart.
    is_shared: bool,
    /// The address that the configured one meant last.
    near: Option<Ipv4Addr>,
    /// Where the printer was found instead, in this run.
    found: Option<Ipv4Addr>,
    /// The last opening was there.
    is_moved: bool,
    away: Option<Away>,
    seek_at: Monotonic,
    seek_gap: Duration,
}

/// A printer that does not answer.
struct Away {
    since: Monotonic,
    /// Who had its hardware when it was just gone, and so is somebody else.
    others: Vec<Ipv4Addr>,
}

impl Whereabouts {
    /// A printer of which only the configured way is known.
    pub fn new(way: Way) -> Whereabouts {
        Whereabouts {
            way,
            table: PathBuf::from(neighbours::TABLE),
            mac: None,
            is_shared: false,
            near: None,
            found: None,
            is_moved: false,
            away: None,
            seek_at: Monotonic::default(),
            seek_gap: SEEK_GAP,
        }
    }

    /// Another table of neighbours than the kernel's own.
    #[must_use]
    pub fn with_table(mut self, table: &Path) -> Whereabouts {
        table.clone_into(&mut self.table);
        self
    }

    /// What an earlier run learnt at the same configured address.
    #[must_use]
    pub fn with_mac(mut self, mac: Option<Mac>) -> Whereabouts {
        self.mac = mac;
        self
    }

    /// The hardware of the printer, once it is known: worth keeping beside the configured address.
    pub fn mac(&self) -> Option<Mac> {
        self.mac
    }

    /// The configured way.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Forgets the printer: whatever answers at the configured address next is it. A person says so after it was replaced.
    pub fn forget(&mut self) {
        (self.mac, self.is_shared, self.found, self.is_moved) = (None, false, None, false);
    }

    /// The configured address and the one where the printer is now, while they differ.
    pub fn moved(&self) -> Option<(Address, Address)> {
        let Way::Address(Address::Tcp { host, port }) = &self.way else { return None };
        let now = tcp(self.found.filter(|_| self.is_moved)?, *port);
        Some((Address::Tcp { host: host.clone(), port: *port }, now))
    }

    /// Opens the wire to the printer, wherever it is now. `NotSent` with [`Bar::Stranger`]: another device has its address, and it is nowhere
    /// else. A search takes about three seconds; the first comes after ten seconds of silence, or at once behind a stranger. So does the
    /// first opening of all, which makes sure that the hardware is the printer's alone.
    pub async fn open(&mut self, limits: Limits, clock: &Clock) -> Result<Wire, Loss> {
        let Way::Address(Address::Tcp { host, port }) = &self.way else {
            return Wire::open_way(&self.way, limits, clock).await;
        };
        let (host, port) = (host.clone(), *port);
        let opened = match self.open_found(port, limits, clock).await {
            Some(wire) => Ok((wire, true)),
            None => match self.open_configured(&host, port, limits, clock).await {
                Ok(wire) => Ok((wire, false)),
                Err(loss) => self.seek(port, limits, clock, &loss).await.map(|wire| (wire, true)).ok_or(loss),
            },
        };
        self.is_moved = opened.as_ref().is_ok_and(|(_, is_moved)| *is_moved);
        if opened.is_ok() {
            (self.away, self.seek_at, self.seek_gap) = (None, Monotonic::default(), SEEK_GAP);
        }
        opened.map(|(wire, _)| wire)
    }

    /// Where it was found before, as long as it is still there.
    async fn open_found(&self, port: u16, limits: Limits, clock: &Clock) -> Option<Wire> {
        self.open_proven(self.found?, port, limits, clock).await
    }

    async fn open_configured(&mut self, host: &str, port: u16, limits: Limits, clock: &Clock) -> Result<Wire, Loss> {
        let Some(at) = resolve(host, limits, clock).await? else {
            return Wire::open_way(&self.way, limits, clock).await;
        };
        self.near = Some(at);
        let wire = Wire::open(&tcp(at, port), limits, clock).await?;
        match (self.mac, neighbours::mac_of(&self.table, IpAddr::V4(at))) {
            (Some(known), Some(seen)) if known != seen => return Err(stranger(at, known, seen)),
            (None, Some(seen)) if !self.is_shared => self.learn(seen, at, clock).await,
            // Behind a router there is no hardware to see: the address is all there is.
            (_, Some(_) | None) => {}
        }
        self.found = None;
        Ok(wire)
    }

    /// Hardware is an identity only while nobody else answers with it.
    async fn learn(&mut self, seen: Mac, at: Ipv4Addr, clock: &Clock) {
        self.is_shared = !neighbours::find(seen, at, &[at], &self.table, clock).await.is_empty();
        self.mac = Some(seen).filter(|_| !self.is_shared);
    }

    /// Looks for the known hardware around its last address, where that is due.
    async fn seek(&mut self, port: u16, limits: Limits, clock: &Clock, loss: &Loss) -> Option<Wire> {
        let (now, mac, near) = (clock.now(), self.mac?, self.near?);
        let known = [Some(near), self.found];
        let others = || neighbours::addresses(&self.table, mac).filter(|at| !known.contains(&Some(*at))).collect();
        let away = self.away.get_or_insert_with(|| Away { since: now, others: others() });
        let is_stranger = matches!(loss, Loss::NotSent(Cause { bar: Some(Bar::Stranger), .. }));
        if now < self.seek_at || (!is_stranger && now.since(away.since) < AWAY_SPAN) {
            return None;
        }
        self.seek_at = now.plus(self.seek_gap);
        self.seek_gap = self.seek_gap.saturating_mul(2).min(SEEK_GAP_MAX);
        // Two that swapped their addresses were both known before.
        let mut besides = if is_stranger { Vec::new() } else { away.others.clone() };
        besides.push(near);
        let at = self.search(mac, near, besides, port, limits, clock).await;
        at.map(|(wire, at)| {
            self.found = Some(at);
            wire
        })
    }

    async fn search(
        &self,
        mac: Mac,
        near: Ipv4Addr,
        mut besides: Vec<Ipv4Addr>,
        port: u16,
        limits: Limits,
        clock: &Clock,
    ) -> Option<(Wire, Ipv4Addr)> {
        let tries_max = besides.len() + ADDRESSES_MAX;
        loop {
            let found = neighbours::find(mac, near, &besides, &self.table, clock).await;
            // An address that it had once may still stand in the table: the next one counts. More of them prove nothing.
            besides.extend(&found);
            if found.is_empty() || besides.len() > tries_max {
                return None;
            }
            for at in found {
                if let Some(wire) = self.open_proven(at, port, limits, clock).await {
                    return Some((wire, at));
                }
            }
        }
    }

    /// A wire to an address whose hardware is the printer's: seen behind the opening, so that it is the one that answered.
    async fn open_proven(&self, at: Ipv4Addr, port: u16, limits: Limits, clock: &Clock) -> Option<Wire> {
        let wire = Wire::open(&tcp(at, port), limits, clock).await.ok()?;
        let is_it = self.mac.is_some() && neighbours::mac_of(&self.table, IpAddr::V4(at)) == self.mac;
        is_it.then_some(wire)
    }
}

fn tcp(at: Ipv4Addr, port: u16) -> Address {
    Address::Tcp { host: at.to_string(), port }
}

fn stranger(at: Ipv4Addr, known: Mac, seen: Mac) -> Loss {
    let text = format!("{at} belongs to another device now: {seen} answers there, the printer is {known}");
    Loss::NotSent(Cause { bar: Some(Bar::Stranger), text })
}

/// The address of a host now; none where it has no IPv4 one.
async fn resolve(host: &str, limits: Limits, clock: &Clock) -> Result<Option<Ipv4Addr>, Loss> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(v4(address));
    }
    let nameless = |text: String| Loss::NotSent(Cause { bar: Some(Bar::Nameless), text: format!("{host}: {text}") });
    match clock.limit(limits.open, tokio::net::lookup_host((host, 0))).await {
        Ok(Ok(mut all)) => Ok(all.find_map(|address| v4(address.ip()))),
        Ok(Err(cause)) => Err(nameless(cause.to_string())),
        Err(_elapsed) => Err(nameless("nobody tells where it is".to_owned())),
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
