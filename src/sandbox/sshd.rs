//! A real OpenSSH server on loopback, as the one that a shop rents: the machine's own `sshd` as a child of ours, with its own folder, port
//! and keys. It can be killed with all its sessions, started again, given another host key, told whom to let in, and frozen; nothing of
//! the machine's own server is touched, but for the empty folder `/run/sshd` that every `sshd` of root demands.

use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::tasks::Spawner;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

/// Where programs for the administrator are, on a machine whose `PATH` does not say so.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Without this folder a server of root does not start.
const RUN_FOLDER: &str = "/run/sshd";

/// The machine's time within which a server must listen.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// Lines of its log that are kept.
const LINES_MAX: usize = 2000;

/// Its word that it listens.
const LISTENS: &str = "Server listening on";

/// Its word that somebody was let in.
const LET_IN: &str = "Accepted publickey";

/// How a server is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshdOptions {
    /// The address that it listens at, which is also where forwards are taken.
    pub address: Ipv4Addr,
    /// Seconds between two questions whether a silent client is still there.
    pub alive_s: u32,
    /// Unanswered questions after which the client is dropped, and its forwards with it.
    pub alive_count: u32,
    /// Whether our key may log in from the beginning.
    pub is_allowed: bool,
}

impl Default for SshdOptions {
    /// On loopback; a dead client is dropped after about six seconds.
    fn default() -> SshdOptions {
        SshdOptions { address: Ipv4Addr::LOCALHOST, alive_s: 2, alive_count: 2, is_allowed: true }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum SshdFault {
    /// The machine has none.
    #[error("there is no sshd on this machine: apt-get install openssh-server")]
    Missing,
    /// It does not listen; its own words.
    #[error("sshd does not listen: {0}")]
    NotReady(String),
    /// A key cannot be made.
    #[error("no key for sshd: {0}")]
    Key(#[from] russh::keys::ssh_key::Error),
    /// The machine refused.
    #[error("cannot start sshd: {0}")]
    Machine(#[from] io::Error),
}

/// A server, running or not. Dropped, it is killed with all its sessions.
pub struct Sshd {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    options: SshdOptions,
    user: String,
    host_key: PrivateKey,
    client_key: PrivateKey,
    child: Option<Child>,
    log: Log,
    spawner: Spawner,
}

/// What the server says.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>, Arc<watch::Sender<u64>>);

impl Sshd {
    /// Where the machine's server is.
    pub fn find() -> Result<PathBuf, SshdFault> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
        // It starts itself again for each session and insists on its full name.
        let mut found = folders.map(|folder| folder.join("sshd")).filter(|file| file.is_absolute() && file.is_file());
        found.next().ok_or(SshdFault::Missing)
    }

    /// Makes keys and settings in a folder of its own, and starts it on a free port.
    pub async fn open(folder: &Path, options: SshdOptions, ids: &Ids, spawner: &Spawner) -> Result<Sshd, SshdFault> {
        let program = Sshd::find()?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let address = SocketAddr::from((options.address, free_port(options.address)?));
        let (host_key, client_key) = (new_key(ids)?, new_key(ids)?);
        let user = user_name();
        let (log, spawner) = (Log::default(), spawner.clone());
        let folder = folder.to_owned();
        let mut sshd =
            Sshd { program, folder, address, options, user, host_key, client_key, child: None, log, spawner };
        write_private(&sshd.client_key_file(), &sshd.client_key)?;
        sshd.allow(sshd.options.is_allowed)?;
        sshd.start().await?;
        Ok(sshd)
    }

    /// Starts it again where it was; returns when it listens.
    pub async fn start(&mut self) -> Result<(), SshdFault> {
        self.kill().await;
        make_run_folder();
        write_private(&self.folder.join("host_key"), &self.host_key)?;
        let settings = self.folder.join("sshd_config");
        std::fs::write(&settings, self.settings())?;
        let mut child = self.command(&settings).spawn()?;
        let ready = match child.stderr.take() {
            Some(stderr) => self.ready(stderr).await,
            None => Err(SshdFault::NotReady("it has no voice".to_owned())),
        };
        self.child = Some(child);
        ready
    }

    /// Ends it at once with all its sessions, as a power cut there would for the clients that it had.
    pub async fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        end_family(&child);
        let _reaped = child.wait().await.is_ok();
    }

    /// Stops taking new sessions; those that are there go on.
    pub async fn stop_listening(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill().await.is_ok();
        }
    }

    /// Freezes all sessions: their connections and places stay taken, and nothing moves. Returns how many there were.
    pub fn freeze(&self) -> usize {
        let sessions = self.sessions();
        sessions.iter().for_each(|session| signal(*session, Signal::STOP));
        sessions.len()
    }

    /// Lets frozen sessions go on.
    pub fn thaw(&self) {
        self.sessions().into_iter().for_each(|session| signal(session, Signal::CONT));
    }

    /// Ends all sessions; new ones are taken.
    pub fn end_sessions(&self) {
        self.sessions().into_iter().for_each(|session| signal(session, Signal::KILL));
    }

    /// The processes of its sessions.
    pub fn sessions(&self) -> Vec<i32> {
        self.child.as_ref().and_then(|child| i32::try_from(child.id()?).ok()).map(descendants).unwrap_or_default()
    }

    /// Whether our key may log in from now on.
    pub fn allow(&self, is_allowed: bool) -> Result<(), SshdFault> {
        let line = format!("{}\n", self.client_key.public_key().to_openssh()?);
        std::fs::write(self.folder.join("authorized_keys"), if is_allowed { line } else { String::new() })?;
        Ok(())
    }

    /// Another host key from the next start on; returns the one that was.
    pub fn change_host_key(&mut self, key: PrivateKey) -> PrivateKey {
        std::mem::replace(&mut self.host_key, key)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The account that may log in: whoever runs us.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The file of the key that may log in.
    pub fn client_key_file(&self) -> PathBuf {
        self.folder.join("client_key")
    }

    /// Its host key as a configuration names it: `ssh-ed25519 AAAA…`.
    pub fn host_key_line(&self) -> Result<String, SshdFault> {
        Ok(self.host_key.public_key().to_openssh()?.trim().to_owned())
    }

    /// The fingerprint of its host key: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.host_key.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    /// The section of a daemon that comes to it at `address`, which may be a road in front of it.
    pub fn section(&self, address: SocketAddr, forward: &str, public_url: &str) -> Result<String, SshdFault> {
        Ok(format!(
            "[tunnel]\nkind = \"ssh\"\npublic_url = \"{public_url}\"\naddress = \"ssh://{}@{address}\"\n\
             key_file = \"{}\"\nhost_keys = [\"{}\"]\nforward = \"{forward}\"\n",
            self.user,
            self.client_key_file().display(),
            self.host_key_line()?,
        ))
    }

    /// What it said, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How often somebody was let in.
    pub fn logins(&self) -> usize {
        self.log().iter().filter(|line| line.contains(LET_IN)).count()
    }

    fn settings(&self) -> String {
        let (folder, at) = (self.folder.display(), self.address);
        format!(
            "Port {}\nListenAddress {}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n\
             PidFile none\nUsePAM no\nUseDNS no\nStrictModes no\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nX11Forwarding no\nPrintMotd no\n\
             LoginGraceTime 10\nMaxStartups 200\nAllowTcpForwarding remote\nAllowStreamLocalForwarding remote\n\
             StreamLocalBindUnlink yes\nGatewayPorts clientspecified\nTCPKeepAlive no\n\
             ClientAliveInterval {}\nClientAliveCountMax {}\nLogLevel VERBOSE\n",
            at.port(),
            at.ip(),
            self.options.alive_s,
            self.options.alive_count,
        )
    }

    fn command(&self, settings: &Path) -> Command {
        let mut words: Vec<PathBuf> = vec![self.program.clone(), "-D".into(), "-e".into(), "-f".into()];
        words.push(settings.to_owned());
        // Killed ourselves, we cannot end it any more: the kernel does, where the machine has the program that asks for it.
        if let Some(setpriv) =
            ["/usr/bin/setpriv", "/bin/setpriv"].map(PathBuf::from).into_iter().find(|at| at.is_file())
        {
            words.splice(0..0, [setpriv, "--pdeathsig".into(), "KILL".into(), "--".into()]);
        }
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Listens to what it says, from now until it and its sessions are gone.
    async fn ready(&self, stderr: ChildStderr) -> Result<(), SshdFault> {
        let before = self.log.count(LISTENS);
        let mut news = self.log.1.subscribe();
        let log = self.log.clone();
        let (held, mut ended) = tokio::sync::oneshot::channel::<()>();
        self.spawner.start(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                log.keep(line);
            }
            drop(held);
        });
        let listens = async {
            loop {
                if self.log.count(LISTENS) > before {
                    return true;
                }
                tokio::select! {
                    biased;
                    _ = news.changed() => {}
                    _ = &mut ended => return self.log.count(LISTENS) > before,
                }
            }
        };
        match Clock::machine().limit(READY_LIMIT, listens).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(SshdFault::NotReady(self.log().pop().unwrap_or_default())),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            end_family(child);
        }
    }
}

impl Log {
    fn keep(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
        drop(lines);
        self.1.send_modify(|revision| *revision += 1);
    }

    fn count(&self, word: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|line| line.contains(word)).count()
    }
}

/// A port that nobody has just now.
pub fn free_port(address: Ipv4Addr) -> io::Result<u16> {
    Ok(std::net::TcpListener::bind((address, 0))?.local_addr()?.port())
}

/// A new ed25519 key.
pub fn new_key(ids: &Ids) -> Result<PrivateKey, SshdFault> {
    let mut seed = [0; 32];
    for part in seed.chunks_mut(8) {
        part.copy_from_slice(&ids.bits().to_be_bytes());
    }
    Ok(PrivateKey::from(Ed25519Keypair::from_seed(&seed)))
}

fn write_private(file: &Path, key: &PrivateKey) -> Result<(), SshdFault> {
    let text = key.to_openssh(LineEnding::LF)?;
    let mut at = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    io::Write::write_all(&mut at, text.as_bytes())?;
    Ok(())
}

fn make_run_folder() {
    // Only root's server wants it, and only root may make it; the server itself says what is wrong.
    let _made = std::fs::DirBuilder::new().mode(0o755).create(RUN_FOLDER).is_ok();
}

/// The name of the account that we run as.
fn user_name() -> String {
    let own = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ours = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == own).then(|| name.to_owned())
    });
    ours.unwrap_or_else(|| "root".to_owned())
}

/// Kills a server and all that came of it. Its sessions have left its process group, so they are found by their parents, and first.
fn end_family(child: &Child) {
    let Some(listener) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
    // Stopped, it starts no further session while we look.
    signal(listener, Signal::STOP);
    descendants(listener).into_iter().for_each(|session| signal(session, Signal::KILL));
    signal(listener, Signal::KILL);
}

fn signal(process: i32, signal: Signal) {
    if let Some(process) = Pid::from_raw(process) {
        // Gone already is as good.
        let _sent = kill_process(process, signal).is_ok();
    }
}

/// The children of a process, and theirs.
fn descendants(of: i32) -> Vec<i32> {
    let processes: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let process: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // proc(5): the name stands in brackets and may hold anything; the state and the parent follow.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(processes.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_of_our_own_chance_and_read_back() {
        let (one, same, other) = (Ids::seeded(3), Ids::seeded(3), Ids::seeded(4));
        let key = new_key(&one).unwrap();
        assert_eq!(key.public_key(), new_key(&same).unwrap().public_key());
        assert_ne!(key.public_key(), new_key(&other).unwrap().public_key());
        let text = key.to_openssh(LineEnding::LF).unwrap();
        assert_eq!(PrivateKey::from_openssh(text.as_str()).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn this_process_is_found_among_the_descendants_of_its_parent() {
        let own = i32::try_from(std::process::id()).unwrap();
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        assert!(descendants(parent).contains(&own));
        assert!(!descendants(own).contains(&own));
    }
}
