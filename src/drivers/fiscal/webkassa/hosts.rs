//! Where requests go (fiscal-kz §1.9, code 505): to the address of the configuration, and, when it says that it is down, to another
//! host that it names. A document and a token go only over https to the same domain or to a host that the configuration names; plain
//! http stays on this machine.

use crate::transport::web::{BadAddress, Trust, Web};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Second levels under which everybody may have a name.
const PUBLIC_LEVELS: [&str; 7] = ["com", "co", "org", "net", "edu", "gov", "mil"];

/// The address in use.
#[derive(Debug)]
pub struct Hosts {
    home: Address,
    web: Web,
    allowed: Vec<String>,
    /// Where an answer 505 led to, for this run.
    elsewhere: Mutex<Option<(Address, Web)>>,
}

/// The parts of a base address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    authority: String,
    path: String,
}

impl Address {
    /// Takes a base address apart; `None` where it is none.
    pub fn parse(text: &str) -> Option<Address> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let path = path.trim_matches('/');
        let is_plain = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)) && !text.is_empty()
        };
        is_plain(authority).then(|| Address {
            scheme: scheme.to_ascii_lowercase(),
            authority: authority.to_ascii_lowercase(),
            path: if path.is_empty() { String::new() } else { format!("/{path}") },
        })
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        match self.authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((ip, _)) => ip,
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }

    /// The port, where it is written.
    pub fn port(&self) -> Option<u16> {
        self.authority.rsplit_once(':')?.1.parse().ok()
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host() == "localhost" || self.host().parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }

    /// The part of the name that one owner has; `None` for an IP and for a bare word.
    fn domain(&self) -> Option<String> {
        if self.host().parse::<IpAddr>().is_ok() {
            return None;
        }
        let labels: Vec<&str> = self.host().split('.').collect();
        let is_public = labels.iter().rev().nth(1).is_some_and(|level| PUBLIC_LEVELS.contains(level));
        let keep = if is_public { 3 } else { 2 };
        let start = labels.len().checked_sub(keep)?;
        labels.get(start..).filter(|tail| tail.iter().all(|label| !label.is_empty())).map(|tail| tail.join("."))
    }
}

impl Hosts {
    /// Prepares requests to an address; `allowed` are hosts of other domains that a 505 may lead to.
    pub fn open(address: &str, allowed: Vec<String>) -> Result<Hosts, BadAddress> {
        let web = Web::open(address, &Trust::Roots)?;
        let home = Address::parse(address).ok_or_else(|| BadAddress(format!("'{address}' is no address")))?;
        Ok(Hosts { home, web, allowed, elsewhere: Mutex::new(None) })
    }

    /// The host in use, by its address and its wire.
    pub fn here(&self) -> (String, Web) {
        let elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.as_ref().map_or_else(|| (self.home.text(), self.web.clone()), |(at, web)| (at.text(), web.clone()))
    }

    /// Goes to the first acceptable of the named hosts that was not tried; `false` where there is none.
    pub fn move_on(&self, names: &[String], tried: &[String]) -> bool {
        let next = names.iter().filter_map(|name| self.acceptable(name)).find(|at| !tried.contains(&at.text()));
        let Some((at, web)) = next.and_then(|at| Web::open(&at.text(), &Trust::Roots).ok().map(|web| (at, web))) else {
            return false;
        };
        *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, web));
        true
    }

    /// Goes back to the address of the configuration.
    pub fn go_home(&self) {
        *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn acceptable(&self, name: &str) -> Option<Address> {
        let written = if name.contains("://") { name.to_owned() } else { format!("{}://{name}", self.home.scheme) };
        let named = Address::parse(&written).filter(|at| at.path.is_empty())?;
        let is_named = self.allowed.iter().any(|host| host.eq_ignore_ascii_case(named.host()));
        let is_kin = named.domain().is_some() && named.domain() == self.home.domain();
        let is_safe = match named.scheme.as_str() {
            "https" => is_named || is_kin,
            "http" => self.home.scheme == "http" && self.home.is_loopback() && named.is_loopback(),
            _ => false,
        };
        is_safe.then(|| Address { path: self.home.path.clone(), ..named })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn next(home: &str, name: &str) -> Option<String> {
        let hosts = Hosts::open(home, vec!["kkm.example.kz".to_owned()]).unwrap();
        hosts.move_on(&[name.to_owned()], &[hosts.here().0]).then(|| hosts.here().0)
    }

    #[test]
    fn a_505_leads_only_to_kin_and_to_named_hosts() {
        let home = "https://kkm.webkassa.kz/base/";
        assert_eq!(next(home, "kkm2.webkassa.kz").as_deref(), Some("https://kkm2.webkassa.kz/base"));
        assert_eq!(next(home, "https://KKM.example.kz").as_deref(), Some("https://kkm.example.kz/base"));
        for bad in [
            "kkm.webkassa.kz",
            "http://kkm2.webkassa.kz",
            "webkassa.kz.evil.example",
            "evilwebkassa.kz",
            "https://user@kkm2.webkassa.kz",
            "https://kkm2.webkassa.kz/elsewhere",
            "https://10.0.0.1",
            "http://127.0.0.1:1331",
            "",
            "ftp://kkm2.webkassa.kz",
        ] {
            assert_eq!(next(home, bad), None, "{bad}");
        }
        assert_eq!(next("https://a.com.kz", "b.com.kz"), None);
        assert_eq!(next("http://127.0.0.1:1", "127.0.0.1:2").as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(next("http://127.0.0.1:1", "http://10.0.0.1:2"), None);
        assert_eq!(next("http://127.0.0.1:1", "https://webkassa.kz"), None);
    }
}
