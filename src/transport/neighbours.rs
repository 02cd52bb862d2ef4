//! Neighbours on the LAN (F22): which hardware has an address now, and which address a piece of hardware has. The kernel's own table is read;
//! to fill it, the hosts around an address get one empty datagram each, which makes the kernel ask for them. Nothing else is sent to
//! anybody, and nobody's port is opened here.

use crate::host::clock::Clock;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Where the kernel shows its table of neighbours.
pub const TABLE: &str = "/proc/net/arp";

/// The bit of a row whose hardware has answered.
const COMPLETE: u32 = 0x2;
/// The port of the discard service: whoever serves it throws away what comes.
const DISCARD: u16 = 9;
/// How many hosts are asked for at a time: a small switch should not notice.
const BURST: usize = 16;
/// The pause between two such groups.
const BURST_GAP: Duration = Duration::from_millis(20);
/// How long hosts have to answer the kernel.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The pause between two looks into the table.
const LOOK_GAP: Duration = Duration::from_millis(100);

/// The number that a maker gave to a network card: the identity of a printer on the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `00:11:22:aa:bb:cc`; none for what is no number of one card.
    pub fn parse(text: &str) -> Option<Mac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts.next().filter(|part| part.len() == 2).and_then(|part| u8::from_str_radix(part, 16).ok())?;
        }
        // The lowest bit of the first byte marks groups; broadcast is one of them.
        let is_one_card = bytes.first().is_some_and(|first| first & 1 == 0) && bytes != [0; 6];
        (is_one_card && parts.next().is_none()).then_some(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    /// `00:11:22:aa:bb:cc`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// All neighbours in a table that have answered.
pub fn list(table: &Path) -> Vec<(Ipv4Addr, Mac)> {
    let text = std::fs::read_to_string(table).unwrap_or_default();
    text.lines().filter_map(neighbour).collect()
}

/// One row: address, kind of hardware, state, hardware, mask, card of ours.
fn neighbour(line: &str) -> Option<(Ipv4Addr, Mac)> {
    let mut columns = line.split_whitespace();
    let address = columns.next()?.parse().ok()?;
    let state = columns.nth(1)?.strip_prefix("0x")?;
    let is_known = u32::from_str_radix(state, 16).ok()? & COMPLETE != 0;
    Mac::parse(columns.next()?).filter(|_| is_known).map(|mac| (address, mac))
}

/// The hardware behind an address, where the table knows exactly one: it does for a neighbour that we just talked to.
pub fn mac_of(table: &Path, host: IpAddr) -> Option<Mac> {
    let IpAddr::V4(host) = host else { return None };
    let mut all: Vec<Mac> =
        list(table).into_iter().filter(|(address, _)| *address == host).map(|(_, mac)| mac).collect();
    all.dedup();
    <[Mac; 1]>::try_from(all).ok().map(|[mac]| mac)
}

/// The addresses that a piece of hardware has in a table.
pub fn addresses(table: &Path, mac: Mac) -> impl Iterator<Item = Ipv4Addr> {
    list(table).into_iter().filter(move |(_, hardware)| *hardware == mac).map(|(address, _)| address)
}

/// The addresses that a piece of hardware has now, besides those that are known not to serve us: asks for all hosts around an address of a
/// private network and waits at most two seconds for the first to show up. The caller proves what it finds by opening it.
pub async fn find(mac: Mac, near: Ipv4Addr, besides: &[Ipv4Addr], table: &Path, clock: &Clock) -> Vec<Ipv4Addr> {
    if !(near.is_private() || near.is_link_local() || near.is_loopback()) {
        return Vec::new();
    }
    nudge(near, clock).await;
    let until = clock.now().plus(ANSWER_LIMIT);
    loop {
        let is_near = |at: &Ipv4Addr| network(*at) == network(near) && !besides.contains(at);
        let mut found: Vec<Ipv4Addr> = addresses(table, mac).filter(is_near).collect();
        if !found.is_empty() || clock.now() >= until {
            found.sort();
            found.dedup();
            return found;
        }
        clock.sleep(LOOK_GAP).await;
    }
}

/// The first three numbers of an address.
fn network(address: Ipv4Addr) -> [u8; 3] {
    let [a, b, c, _] = address.octets();
    [a, b, c]
}

/// Makes the kernel ask who has each of the 254 addresses around one.
async fn nudge(near: Ipv4Addr, clock: &Clock) {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await else { return };
    let [a, b, c] = network(near);
    let hosts: Vec<Ipv4Addr> = (1..=254).map(|d| Ipv4Addr::new(a, b, c, d)).collect();
    for group in hosts.chunks(BURST) {
        for host in group {
            // Whether it arrives is of no interest: the kernel asked.
            let _sent = clock.limit(BURST_GAP, socket.send_to(&[], (*host, DISCARD))).await.is_ok();
        }
        clock.sleep(BURST_GAP).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ROWS: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
10.0.0.1         0x1         0x2         02:fc:00:00:00:05     *        eth0
10.0.0.7         0x1         0x2         00:26:AB:01:02:03     *        eth0
10.0.0.8         0x1         0x0         00:26:ab:01:02:04     *        eth0
10.0.0.9         0x1         0x6         00:26:ab:01:02:05     *        eth0
10.0.0.10        0x1         0x2         00:00:00:00:00:00     *        eth0
10.0.0.11        0x1         0x2         00:26:ab:01:02:06     *        eth0
10.0.0.11        0x1         0x2         00:26:ab:01:02:07     *        wlan0
10.0.0.12        0x1         0x2
garbage
";

    #[test]
    fn a_mac_is_read_and_written_back() {
        assert_eq!(Mac::parse("00:26:AB:01:02:03").unwrap().to_string(), "00:26:ab:01:02:03");
        for bad in [
            "",
            "00:26:ab:01:02",
            "00:26:ab:01:02:03:04",
            "00-26-ab-01-02-03",
            "0:26:ab:01:02:03",
            "+0:26:ab:01:02:03",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
        ] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_who_answered_and_is_alone_is_known() {
        let table = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(table.path(), ROWS).unwrap();
        let told = |host: &str| mac_of(table.path(), host.parse().unwrap()).map(|mac| mac.to_string());
        assert_eq!(told("10.0.0.7").as_deref(), Some("00:26:ab:01:02:03"));
        assert_eq!(told("10.0.0.9").as_deref(), Some("00:26:ab:01:02:05"));
        for unknown in ["10.0.0.8", "10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "::1"] {
            assert_eq!(told(unknown), None, "{unknown}");
        }
        assert_eq!(list(table.path()).len(), 5);
        assert_eq!(mac_of(Path::new("/nonexistent"), "10.0.0.7".parse().unwrap()), None);
    }
}
