//! `[tunnel]`: how the outside reaches the public listener. `ssh` is made by kassad itself, `command` is a program that kassad looks after,
//! `none` leaves it to somebody else: then everything still works, by asking instead of hearing.

use super::{DeTable, Section, Source, check_address, one};
use std::path::PathBuf;

/// The port of SSH where the address names none.
const SSH_PORT: u16 = 22;

/// The most host keys that are believed at once, while the server changes its own.
pub const HOST_KEYS_MAX: usize = 3;

/// The most words of a command.
const WORDS_MAX: usize = 64;

/// The longest path of a Unix socket (`sockaddr_un`), in bytes.
const SOCKET_BYTES_MAX: usize = 107;

const KINDS: [&str; 3] = ["ssh", "command", "none"];

/// How the public listener is reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Who brings it out.
    pub kind: TunnelKind,
    /// The address at which the outside reaches it, without a path of webhooks: `https://kassa.example.kz`.
    pub public_url: Option<String>,
    /// Where the section begins.
    pub line: usize,
}

/// Who brings the public listener out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// Nobody, or somebody that we do not know of.
    None,
    /// We ourselves, by a reverse forward to an SSH server.
    Ssh(SshTunnel),
    /// A program that we start and look after.
    Command(CommandTunnel),
}

/// A reverse forward to an OpenSSH server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshTunnel {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The account there.
    pub user: String,
    /// The file of our private key, in OpenSSH's form.
    pub key_file: PathBuf,
    /// The server's keys that are believed: `ssh-ed25519 AAAA…` or `SHA256:…`.
    pub host_keys: Vec<String>,
    /// Where the server takes connections for us.
    pub forward: Forward,
    /// Run at the server when the place is taken by our own dead session.
    pub free_command: Option<String>,
}

/// Where an SSH server takes connections for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forward {
    /// A port of an address there.
    Port(String, u16),
    /// A Unix socket: with `StreamLocalBindUnlink yes` a new session takes it over at once.
    Socket(String),
}

/// A tunnel program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTunnel {
    /// The program and its words.
    pub command: Vec<String>,
}

impl Tunnel {
    /// Nothing of ours reaches out.
    pub fn none() -> Tunnel {
        Tunnel { kind: TunnelKind::None, public_url: None, line: 0 }
    }

    /// The word of its kind in the configuration.
    pub fn word(&self) -> &'static str {
        match self.kind {
            TunnelKind::Ssh(_) => "ssh",
            TunnelKind::Command(_) => "command",
            TunnelKind::None => "none",
        }
    }
}

pub(super) fn read(root: &DeTable<'_>, source: &mut Source<'_>) -> Tunnel {
    let mut section = one(root, source, "tunnel");
    let word = section.text(source, "kind").unwrap_or_else(|| "none".to_owned());
    let kind = match word.as_str() {
        "none" => Some(TunnelKind::None),
        "ssh" => read_ssh(&mut section, source).map(TunnelKind::Ssh),
        "command" => read_command(&mut section, source).map(TunnelKind::Command),
        other => {
            let cure = format!("write one of {}", KINDS.map(|kind| format!("{kind:?}")).join(", "));
            section.fault(source, "kind", format!("there is no tunnel of kind {other:?}"), cure);
            return Tunnel::none();
        }
    };
    let public_url = read_public_url(&mut section, source, word != "none");
    section.refuse_unknown(source);
    Tunnel { kind: kind.unwrap_or(TunnelKind::None), public_url, line: section.line }
}

fn read_public_url(section: &mut Section<'_>, source: &mut Source<'_>, is_needed: bool) -> Option<String> {
    let what = "where the outside reaches this shop, like \"https://kassa.example.kz\"";
    let url = match is_needed {
        true => section.need_text(source, "public_url", what),
        false => section.text(source, "public_url"),
    }?;
    let url = url.trim_end_matches('/').to_owned();
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    if !is_web || check_address(&url).is_err() || url.contains(['?', '#', '@']) {
        section.fault(
            source,
            "public_url",
            format!("{url:?} is no web address"),
            "write it like \"https://kassa.example.kz\"",
        );
    } else if url.ends_with("/webhooks") || url.contains("/webhooks/") {
        let cure = "leave /webhooks out: kassad adds it";
        section.fault(source, "public_url", "it names the path of webhooks", cure);
    }
    Some(url)
}

fn read_ssh(section: &mut Section<'_>, source: &mut Source<'_>) -> Option<SshTunnel> {
    let address = section.need_text(source, "address", "the server, like \"ssh://kassad@203.0.113.7\"");
    let server = address.as_deref().and_then(server);
    if let (Some(address), None) = (&address, &server) {
        let cure = "write ssh://ACCOUNT@HOST or ssh://ACCOUNT@HOST:PORT";
        section.fault(source, "address", format!("{address:?} is no SSH server"), cure);
    }
    let key_file = section.need_text(source, "key_file", "the file of our private key; `kassad setup` makes one");
    let host_keys = read_host_keys(section, source);
    let forward = section.need_text(
        source,
        "forward",
        "where the server listens for us: \"127.0.0.1:8790\" or \"/run/kassad/shop.sock\"",
    );
    let place = forward.as_deref().and_then(place);
    if let (Some(forward), None) = (&forward, &place) {
        let cure = "write \"127.0.0.1:8790\" or the path of a socket like \"/run/kassad/shop.sock\"";
        section.fault(source, "forward", format!("{forward:?} is no place"), cure);
    }
    let free_command = section.text(source, "free_command");
    let (host, port, user) = server?;
    Some(SshTunnel {
        host,
        port,
        user,
        key_file: source.secrets.join(key_file?),
        host_keys: host_keys?,
        forward: place?,
        free_command,
    })
}

fn read_host_keys(section: &mut Section<'_>, source: &mut Source<'_>) -> Option<Vec<String>> {
    if section.get("host_keys").is_none() {
        let cure = "add host_keys = [\"ssh-ed25519 AAAA…\"]: the line of the server's /etc/ssh/ssh_host_ed25519_key.pub; `kassad setup` asks the server and shows it";
        section.known.insert("host_keys");
        section.fault(source, "host_keys", "it is missing: no server is believed without it", cure);
        return None;
    }
    let keys = section.texts(source, "host_keys")?;
    if keys.is_empty() || keys.len() > HOST_KEYS_MAX {
        section.fault(
            source,
            "host_keys",
            format!("it names {} keys", keys.len()),
            format!("name 1 to {HOST_KEYS_MAX}"),
        );
    }
    let is_key = |key: &str| {
        let mut words = key.split_whitespace();
        match (words.next(), words.next()) {
            (Some(fingerprint), None) => fingerprint.strip_prefix("SHA256:").is_some_and(|rest| rest.len() >= 43),
            (Some(kind), Some(text)) => {
                (kind.starts_with("ssh-") || kind.starts_with("ecdsa-")) && text.starts_with("AAAA")
            }
            (None, _) => false,
        }
    };
    if let Some(bad) = keys.iter().find(|key| !is_key(key)) {
        let cure = "write \"ssh-ed25519 AAAA…\" or \"SHA256:…\", as `ssh-keygen -lf` prints it";
        section.fault(source, "host_keys", format!("{bad:?} is no host key"), cure);
    }
    Some(keys)
}

fn read_command(section: &mut Section<'_>, source: &mut Source<'_>) -> Option<CommandTunnel> {
    if section.get("command").is_none() {
        section.known.insert("command");
        let cure = "add command = [\"cloudflared\", \"tunnel\", \"run\", …]: the program and its words";
        section.fault(source, "command", "it is missing", cure);
        return None;
    }
    let command = section.texts(source, "command")?;
    if command.first().is_none_or(|program| program.trim().is_empty()) || command.len() > WORDS_MAX {
        section.fault(
            source,
            "command",
            "it names no program",
            format!("write the program and at most {WORDS_MAX} words"),
        );
    }
    Some(CommandTunnel { command })
}

/// `ssh://user@host[:port]`.
fn server(address: &str) -> Option<(String, u16, String)> {
    let (user, place) = address.strip_prefix("ssh://")?.trim_end_matches('/').split_once('@')?;
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.map_or(Some(SSH_PORT), |port| port.parse().ok().filter(|port| *port != 0))?;
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    (is_name(user) && is_name(host) && !user.contains(':')).then(|| (host.to_owned(), port, user.to_owned()))
}

fn place(forward: &str) -> Option<Forward> {
    if forward.starts_with('/') {
        let is_path = forward.len() <= SOCKET_BYTES_MAX && forward.len() > 1;
        return is_path.then(|| Forward::Socket(forward.to_owned()));
    }
    let (host, port) = forward.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| Forward::Port(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_places_are_read_strictly() {
        let told = |text| server(text).map(|(host, port, user)| format!("{user} at {host} {port}"));
        assert_eq!(told("ssh://kassad@203.0.113.7").as_deref(), Some("kassad at 203.0.113.7 22"));
        assert_eq!(told("ssh://kassad@[2001:db8::7]:2222").as_deref(), Some("kassad at 2001:db8::7 2222"));
        for bad in
            ["203.0.113.7", "ssh://203.0.113.7", "ssh://a:b@host", "ssh://a@host:0", "ssh://@host", "ssh://a@h/x"]
        {
            assert_eq!(told(bad), None, "{bad}");
        }
        assert_eq!(place("127.0.0.1:8790"), Some(Forward::Port("127.0.0.1".to_owned(), 8790)));
        assert_eq!(place("/run/kassad/shop.sock"), Some(Forward::Socket("/run/kassad/shop.sock".to_owned())));
        for bad in ["8790", ":8790", "localhost:0", "/", "run/shop.sock"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
