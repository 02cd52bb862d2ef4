//! Three network namespaces in a row: the shop, the internet, the server. The internet between them can swallow every packet without a
//! word, as a carrier does, and the shop can get another address meanwhile. Needs the right to make namespaces.

use std::process::Command;
use std::sync::mpsc;

/// The shop's address, the one after the change, and the server's.
pub const SHOP: &str = "10.213.7.2";
pub const SHOP_LATER: &str = "10.213.7.3";
pub const SERVER: &str = "10.214.7.2";
const SHOP_ROUTER: &str = "10.213.7.1";
const SERVER_ROUTER: &str = "10.214.7.1";

/// The namespaces, taken away at the end.
pub struct Countryside {
    name: String,
}

impl Countryside {
    /// Makes them; what the machine says against it otherwise.
    pub fn open() -> Result<Countryside, String> {
        let own = Countryside { name: format!("kassad{}", std::process::id()) };
        let [shop, middle, server] = ["shop", "middle", "server"].map(|place| own.place(place));
        for place in [&shop, &middle, &server] {
            ip(&["netns", "add", place])?;
            ip(&["-n", place, "link", "set", "lo", "up"])?;
        }
        for (place, address, router) in [(&shop, SHOP, SHOP_ROUTER), (&server, SERVER, SERVER_ROUTER)] {
            let port = format!("to{}", if place == &shop { "shop" } else { "server" });
            ip(&["link", "add", "out", "netns", place, "type", "veth", "peer", "name", &port, "netns", &middle])?;
            ip(&["-n", &middle, "addr", "add", &format!("{router}/24"), "dev", &port])?;
            ip(&["-n", &middle, "link", "set", &port, "up"])?;
            ip(&["-n", place, "addr", "add", &format!("{address}/24"), "dev", "out"])?;
            ip(&["-n", place, "link", "set", "out", "up"])?;
            ip(&["-n", place, "route", "add", "default", "via", router])?;
        }
        ip(&["netns", "exec", &middle, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        Ok(own)
    }

    /// From now on every packet in the middle vanishes: no reset, no "unreachable".
    pub fn cut(&self) {
        for address in [SERVER, SHOP, SHOP_LATER] {
            ip(&["-n", &self.place("middle"), "route", "add", "blackhole", &format!("{address}/32")]).unwrap();
        }
    }

    /// The way is back; with `is_moved` the shop has another address, and what is sent to the old one still vanishes.
    pub fn give_back(&self, is_moved: bool) {
        if is_moved {
            let shop = self.place("shop");
            ip(&["-n", &shop, "addr", "del", &format!("{SHOP}/24"), "dev", "out"]).unwrap();
            ip(&["-n", &shop, "addr", "add", &format!("{SHOP_LATER}/24"), "dev", "out"]).unwrap();
            ip(&["-n", &shop, "route", "replace", "default", "via", SHOP_ROUTER]).unwrap();
        }
        for address in [SERVER, if is_moved { SHOP_LATER } else { SHOP }] {
            ip(&["-n", &self.place("middle"), "route", "del", "blackhole", &format!("{address}/32")]).unwrap();
        }
    }

    /// Does something on a thread that lives in one of the places, with its own runtime; everything it starts lives there too.
    pub fn live<T: Send + 'static>(
        &self,
        place: &str,
        life: impl AsyncFnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let entrance = std::fs::File::open(format!("/run/netns/{}", self.place(place))).unwrap();
        std::thread::spawn(move || {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&entrance), Some(kind)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(life())
        })
    }

    fn place(&self, place: &str) -> String {
        format!("{}-{place}", self.name)
    }
}

impl Drop for Countryside {
    fn drop(&mut self) {
        for place in ["shop", "middle", "server"] {
            // It may never have been made.
            let _gone = ip(&["netns", "del", &self.place(place)]).is_ok();
        }
    }
}

/// A word between two lives.
pub fn word<T>() -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
    mpsc::channel()
}

fn ip(words: &[&str]) -> Result<(), String> {
    let ran = Command::new("ip").args(words).output().map_err(|cause| format!("ip: {cause}"))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&ran.stderr).trim())),
    }
}
