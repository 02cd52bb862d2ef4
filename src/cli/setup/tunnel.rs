//! The way in from outside, and the page for tablets: who brings the public listener out, a key of our own for an SSH server, and that
//! server's key, which nobody believes before a person has compared it with what the server itself shows.

use super::talk::Stopped;
use super::{Setup, say};
use crate::cli::setup::draft::Place;
use crate::config::tunnel::{Forward, TunnelKind};
use crate::config::{is_loopback, weakness};
use crate::drivers::Takes;
use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::secret::Secret;
use crate::transport::ssh_key::{self, HostKey};
use std::path::PathBuf;
use toml::Value;

const TUNNEL: Place = Place("tunnel", None);
const LISTEN: Place = Place("listen", None);
const SHOP: Place = Place("shop", None);

/// The kinds in the order in which they are offered.
const KINDS: [&str; 3] = ["none", "ssh", "command"];

/// What each kind of tunnel has for itself, to be taken away when another is chosen.
const OWN: [&str; 6] = ["address", "key_file", "host_keys", "forward", "free_command", "command"];

/// Ready commands, as `config/examples/tunnel` explains them: title, and the words.
const COMMANDS: [(&str, &[&str]); 5] = [
    (
        "cloudflared",
        &["cloudflared", "tunnel", "--no-autoupdate", "run", "--token-file", "/etc/kassad/cloudflared.token"],
    ),
    ("ngrok", &["ngrok", "start", "kassad", "--config", "/etc/kassad/ngrok.yml", "--log", "stdout"]),
    ("frpc", &["frpc", "-c", "/etc/kassad/frpc.toml"]),
    ("rathole", &["rathole", "--client", "/etc/kassad/rathole.toml"]),
    (
        "chisel",
        &[
            "/bin/sh",
            "-c",
            "AUTH=$(cat /etc/kassad/chisel.auth) exec chisel client --keepalive 25s --fingerprint FINGERPRINT https://kassa.example.kz R:127.0.0.1:8790:127.0.0.1:8790",
        ],
    ),
];

/// Where an SSH server listens for us, unless told: a socket is taken over at once by a new session.
const SOCKET: &str = "/run/kassad/shop.sock";

/// The page for tablets.
const LAN: &str = "0.0.0.0:8780";
const PIN_FILE: &str = "counter.pin";
const PIN_DIGITS: usize = 6;

/// Only whole words believe a key: a slip of the finger must not.
const BELIEVED: [&str; 3] = ["yes", "да", "иә"];

impl Setup<'_> {
    /// Who brings the public listener out.
    pub(super) async fn way_in(&mut self) -> Result<(), Stopped> {
        self.heading("tunnel");
        let present = self.draft.text(TUNNEL, "kind").map(str::to_owned);
        let known = KINDS.iter().position(|kind| Some(*kind) == present.as_deref()).unwrap_or(0);
        let titles = KINDS.map(|kind| self.talk.word(&format!("setup.tunnel.{kind}"), ""));
        let chosen = self.talk.choose(&self.talk.word("setup.tunnel.who", ""), &titles, known)?;
        let kind = KINDS.get(chosen).copied().unwrap_or("none");
        if present.as_deref() != Some(kind) {
            OWN.iter().for_each(|key| self.draft.unset_known(TUNNEL, key));
        }
        if present.is_some() || kind != "none" {
            self.draft.set(TUNNEL, "kind", Value::String(kind.to_owned()));
        }
        match kind {
            "ssh" => self.ssh().await?,
            "command" => self.command()?,
            // An address that somebody else's tunnel has stays as it is.
            _ => return self.webhooks(),
        }
        self.value(TUNNEL, "public_url", Takes::Text, "https://kassa.example.kz", "")?;
        self.webhooks()
    }

    /// What goes into the clouds' forms.
    fn webhooks(&mut self) -> Result<(), Stopped> {
        let Some(url) = self.draft.text(TUNNEL, "public_url").map(|url| url.trim_end_matches('/').to_owned()) else {
            return Ok(());
        };
        if !url.starts_with("https://") && !is_loopback(&url) {
            self.talk.tell("setup.tunnel.plain", "");
        }
        for at in 0..self.draft.count("cloud") {
            let name = self.draft.text(Place("cloud", Some(at)), "name").unwrap_or_default();
            self.talk.tell("setup.tunnel.webhook", &format!("{url}/webhooks/{name}"));
        }
        Ok(())
    }

    async fn ssh(&mut self) -> Result<(), Stopped> {
        self.value(TUNNEL, "address", Takes::Text, "ssh://kassad@203.0.113.7", "")?;
        self.value(TUNNEL, "forward", Takes::Text, SOCKET, "")?;
        self.own_key()?;
        self.server_key().await
    }

    /// Our key: the one that is there, or a new one that is written with everything else.
    fn own_key(&mut self) -> Result<(), Stopped> {
        let file =
            self.draft.text(TUNNEL, "key_file").map(str::to_owned).unwrap_or_else(|| self.secret_file("tunnel.key"));
        let path = self.folder().join(&file);
        // Whatever else keeps it from being read: a key that is there is never replaced.
        let there = std::fs::symlink_metadata(&path).is_ok();
        let public = match there {
            true => Secret::read_block(&path).ok().and_then(|private| ssh_key::public_of(&private)),
            false => {
                let shop = self.draft.text(SHOP, "name").unwrap_or("shop");
                let plain: String = shop.chars().filter(char::is_ascii_alphanumeric).collect();
                let comment = if plain.is_empty() { "kassad".to_owned() } else { format!("kassad-{plain}") };
                ssh_key::make(&Ids::machine(), &comment).map(|new| {
                    self.secrets.push((path.clone(), new.private.expose().trim_end().to_owned()));
                    new.public
                })
            }
        };
        let Some(public) = public else {
            self.talk.tell("setup.tunnel.key_bad", &path.display().to_string());
            return Err(Stopped);
        };
        self.draft.set(TUNNEL, "key_file", Value::String(file));
        let forward = self.draft.text(TUNNEL, "forward").unwrap_or_default();
        // A permitted port is named; for a socket the server's own section of `sshd_config` says where (config/examples/tunnel).
        let place = if forward.starts_with('/') { String::new() } else { format!(",permitlisten=\"{forward}\"") };
        self.talk.tell("setup.tunnel.authorized", &path.display().to_string());
        say("");
        say(&format!("restrict,port-forwarding{place} {public}"));
        say("");
        Ok(())
    }

    /// The server's key: asked for, shown, and believed only by a person.
    async fn server_key(&mut self) -> Result<(), Stopped> {
        let pinned = self.draft.texts(TUNNEL, "host_keys");
        let server = self.server();
        let seen = match &server {
            Some((host, port)) => {
                ssh_key::host_key(host, *port, &Clock::machine()).await.map_err(|cause| cause.to_string())
            }
            None => Err(String::new()),
        };
        match seen {
            Ok(key) if is_pinned(&pinned, &key) => {
                self.talk.tell("setup.tunnel.same_key", &key.fingerprint);
                return Ok(());
            }
            Ok(key) => {
                let code = if pinned.is_empty() { "setup.tunnel.new_key" } else { "setup.tunnel.other_key" };
                self.talk.tell(code, &key.fingerprint);
                let said = self.talk.ask(&self.talk.word("setup.tunnel.believe", ""), "")?;
                if BELIEVED.contains(&said.to_lowercase().as_str()) {
                    self.draft.set(TUNNEL, "host_keys", Value::Array(vec![Value::String(key.line)]));
                    return Ok(());
                }
                self.talk.tell("setup.tunnel.unbelieved", "");
            }
            Err(cause) => self.talk.tell("setup.tunnel.unseen", &cause),
        }
        // By hand, from the server's own screen; what is pinned already stays with Enter.
        self.value(TUNNEL, "host_keys", Takes::Texts, "", "")
    }

    /// Host and port of the address, as the reader of the configuration takes it apart.
    fn server(&self) -> Option<(String, u16)> {
        let mut draft = self.draft.clone();
        draft.set(TUNNEL, "public_url", Value::String("https://kassa.example.kz".to_owned()));
        draft.set(TUNNEL, "host_keys", Value::Array(vec![Value::String(format!("SHA256:{}", "A".repeat(43)))]));
        draft.set(TUNNEL, "key_file", Value::String("tunnel.key".to_owned()));
        match draft.read_back(self.folder()).ok()?.tunnel.kind {
            TunnelKind::Ssh(ssh) => {
                let _place: Forward = ssh.forward;
                Some((ssh.host, ssh.port))
            }
            TunnelKind::None | TunnelKind::Command(_) => None,
        }
    }

    /// A ready command, or the one that is there.
    fn command(&mut self) -> Result<(), Stopped> {
        let present = self.draft.texts(TUNNEL, "command");
        let is_of = |name: &str| {
            present.iter().any(|word| word.rsplit('/').next() == Some(name) || word.contains(&format!(" {name} ")))
        };
        let known = COMMANDS.iter().position(|(name, _)| is_of(name));
        let own = self.talk.word("setup.tunnel.own_command", "");
        let titles: Vec<String> = COMMANDS.iter().map(|(name, _)| (*name).to_owned()).chain([own]).collect();
        let usual = known.unwrap_or(if present.is_empty() { 0 } else { COMMANDS.len() });
        let chosen = self.talk.choose(&self.talk.word("setup.tunnel.program", ""), &titles, usual)?;
        match COMMANDS.get(chosen) {
            // Enter keeps what somebody wrote.
            Some(_) if known == Some(chosen) => {}
            Some((name, words)) => {
                let words = words.iter().map(|word| Value::String((*word).to_owned())).collect();
                self.draft.set(TUNNEL, "command", Value::Array(words));
                self.talk.tell("setup.tunnel.example", name);
            }
            None => self.value(TUNNEL, "command", Takes::Texts, "", "")?,
        }
        Ok(())
    }

    /// Whether tablets use the page, and their PIN.
    pub(super) fn page(&mut self) -> Result<(), Stopped> {
        self.heading("listen");
        let present = self.draft.text(LISTEN, "local").map(str::to_owned);
        let was_open = present.as_deref().is_some_and(|local| !is_loopback(local));
        if !self.talk.is(&self.talk.word("setup.lan", ""), was_open)? {
            if was_open {
                ["local", "pin_file"].iter().for_each(|key| self.draft.unset(LISTEN, key));
            }
            return Ok(());
        }
        if !was_open {
            self.draft.set(LISTEN, "local", Value::String(LAN.to_owned()));
        }
        let file = self.draft.text(LISTEN, "pin_file").map(str::to_owned).unwrap_or_else(|| self.secret_file(PIN_FILE));
        let path = self.folder().join(&file);
        self.draft.set(LISTEN, "pin_file", Value::String(file));
        if path.exists() {
            self.talk.tell("setup.pin_kept", &path.display().to_string());
            return Ok(());
        }
        let pin = loop {
            let typed = self.talk.ask(&self.talk.word("setup.pin", ""), &new_pin(&Ids::machine()))?;
            if weakness(&typed).is_none() {
                break typed;
            }
            self.talk.tell("setup.pin_weak", "");
        };
        self.secrets.push((path, pin));
        Ok(())
    }

    /// Where a new secret of this name goes.
    fn secret_file(&self, name: &str) -> String {
        self.at.secrets.map_or_else(|| PathBuf::from(name), |folder| folder.join(name)).display().to_string()
    }
}

fn is_pinned(pinned: &[String], key: &HostKey) -> bool {
    pinned.iter().any(|one| ssh_key::fingerprint(one) == key.fingerprint)
}

/// Six digits that nobody guesses.
fn new_pin(ids: &Ids) -> String {
    loop {
        let pin: String =
            (0..PIN_DIGITS).map(|_| char::from(b'0' + u8::try_from(ids.below(10)).unwrap_or(0))).collect();
        if weakness(&pin).is_none() {
            return pin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pin_is_none_of_the_first_that_are_tried() {
        let ids = Ids::seeded(6);
        let pins: Vec<String> = (0..200).map(|_| new_pin(&ids)).collect();
        assert!(pins.iter().all(|pin| pin.len() == PIN_DIGITS && weakness(pin).is_none()), "{pins:?}");
    }

    #[test]
    fn a_pinned_key_is_known_in_both_of_its_forms() {
        let key = ssh_key::make(&Ids::seeded(1), "x").map(|new| new.public).unwrap_or_default();
        let seen = HostKey { line: key.clone(), fingerprint: ssh_key::fingerprint(&key) };
        assert!(is_pinned(&[key], &seen) && is_pinned(std::slice::from_ref(&seen.fingerprint), &seen));
        assert!(!is_pinned(&["SHA256:other".to_owned()], &seen) && !is_pinned(&[], &seen));
    }
}
