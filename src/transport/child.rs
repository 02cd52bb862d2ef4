//! A program that we look after. It starts through our own binary, which asks the kernel to end it when we end, also by SIGKILL, and then
//! becomes the program. It has a process group, no input, and of our environment only what a tunnel program needs; what it says goes to
//! our log, bounded in length and number, without its own words and without what looks like a key.

use crate::host::clock::{Clock, Monotonic};
use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tracing::info;

/// The hidden command of our binary that becomes a program.
pub const COMMAND: &str = "__child";

/// Exit status when the program cannot be started, as a shell has it.
pub const EXIT_NO_PROGRAM: u8 = 127;

/// How long a program may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(2);

/// The longest line of a program that is logged, in characters.
const LINE_CHARS_MAX: usize = 300;

/// Lines in one span that are logged; the others are counted.
const LINES_MAX: u32 = 20;
const LINES_SPAN: Duration = Duration::from_secs(10);

/// A run of letters and digits this long, with both in it, is taken for a key.
const KEY_CHARS_MIN: usize = 24;

/// Words of the program's own command line this long are never logged.
const WORD_CHARS_MIN: usize = 8;

/// What a tunnel program may see of our environment: where programs and certificates are, its language, its way out, and its own
/// settings. Never `CREDENTIALS_DIRECTORY`.
const ENVIRONMENT: [&str; 12] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
const PREFIXES: [&str; 6] = ["TUNNEL_", "NGROK_", "FRP_", "CHISEL_", "RATHOLE_", "BORE_"];

/// A running program.
pub struct Child {
    child: tokio::process::Child,
    group: Option<Pid>,
    words: Vec<String>,
}

impl Child {
    /// Starts a program through our binary `helper`. An error: the helper cannot be started.
    pub fn start(helper: &Path, words: &[String]) -> io::Result<Child> {
        let mut command = Command::new(helper);
        command
            .arg(COMMAND)
            .arg(std::process::id().to_string())
            .arg("--")
            .args(words)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let words = words.iter().filter(|word| word.chars().count() >= WORD_CHARS_MIN).cloned().collect();
        Ok(Child { child, group, words })
    }

    /// Its process number, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Logs what it says until it ends; its exit status.
    pub async fn ended(&mut self, clock: &Clock) -> io::Result<ExitStatus> {
        let (told, complained) = (self.child.stdout.take(), self.child.stderr.take());
        let words = &self.words;
        let mut lines = std::pin::pin!(async {
            tokio::join!(tell(told, words, clock), tell(complained, words, clock));
            std::future::pending::<()>().await;
        });
        let status = tokio::select! {
            status = self.child.wait() => status,
            () = &mut lines => Err(io::Error::other("never")),
        };
        // What it started without waiting for it would hold its ports against the next one.
        if let Some(group) = self.group.take() {
            let _killed = kill_process_group(group, Signal::KILL).is_ok();
        }
        // Its last words are in the pipe already; a grandchild may keep the pipe open for ever.
        let _last = clock.limit(Duration::from_millis(100), lines).await.is_ok();
        status
    }

    /// Ends it and all of its group: politely, then surely.
    pub async fn stop(mut self, clock: &Clock) {
        let Some(group) = self.group else { return };
        let _told = kill_process_group(group, Signal::TERM).is_ok();
        let is_gone = clock.limit(FAREWELL, self.child.wait()).await.is_ok();
        // What it started may still be there.
        let _killed = kill_process_group(group, Signal::KILL).is_ok();
        if !is_gone {
            let _reaped = self.child.wait().await.is_ok();
        }
        self.group = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let _killed = kill_process_group(group, Signal::KILL).is_ok();
        }
    }
}

/// Becomes a program that ends when `parent` ends: the whole of the hidden command. Returns only when that failed.
pub fn become_program(parent: u32, words: &[OsString]) -> io::Error {
    if let Err(cause) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return cause.into();
    }
    // It may have ended before we asked: then nobody would tell us.
    let is_there = getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()).is_ok_and(|id| id == parent));
    if !is_there {
        return io::Error::other("who started us is gone");
    }
    let Some((program, rest)) = words.split_first() else { return io::Error::other("no program is named") };
    std::process::Command::new(program).args(rest).exec()
}

fn is_passed_on(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    ENVIRONMENT.contains(&name) || name.starts_with("LC_") || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Logs the lines of a pipe.
async fn tell(pipe: Option<impl AsyncRead + Unpin>, words: &[String], clock: &Clock) {
    let Some(mut pipe) = pipe else { return };
    let (mut line, mut budget) = (Vec::new(), Budget::default());
    let mut chunk = [0; 1024];
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        for byte in chunk.iter().take(read) {
            match byte {
                b'\n' => say(&std::mem::take(&mut line), words, &mut budget, clock),
                // Four bytes are the longest character; the rest of the line is left out.
                byte if line.len() < LINE_CHARS_MAX * 4 => line.push(*byte),
                _ => {}
            }
        }
    }
    say(&line, words, &mut budget, clock);
}

fn say(line: &[u8], words: &[String], budget: &mut Budget, clock: &Clock) {
    let line = masked(&String::from_utf8_lossy(line), words);
    if !line.is_empty() && budget.takes(clock.now()) {
        info!(target: "kassad::tunnel", left_out = std::mem::take(&mut budget.left_out), "{line}");
    }
}

/// How many lines were logged in this span.
#[derive(Default)]
struct Budget {
    since: Monotonic,
    lines: u32,
    left_out: u32,
}

impl Budget {
    fn takes(&mut self, now: Monotonic) -> bool {
        if now.since(self.since) >= LINES_SPAN {
            (self.since, self.lines) = (now, 0);
        }
        self.lines = self.lines.saturating_add(1);
        let takes = self.lines <= LINES_MAX;
        self.left_out += u32::from(!takes);
        takes
    }
}

/// The line without the command's words, without what looks like a key, and without signs that steer a screen.
fn masked(line: &str, words: &[String]) -> String {
    let line = words.iter().fold(line.trim().to_owned(), |line, word| line.replace(word.as_str(), "•••"));
    let line: String = line.chars().filter(|sign| !sign.is_control()).take(LINE_CHARS_MAX).collect();
    let is_of_key = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    let mut told = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while !rest.is_empty() {
        let end = rest.find(|sign| !is_of_key(sign)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let is_key = run.len() >= KEY_CHARS_MIN
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic());
        told.push_str(if is_key { "•••" } else { run });
        let sign = after.chars().next();
        told.extend(sign);
        rest = after.get(sign.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_words_of_the_command_stay_out_of_the_log() {
        let words = ["shop-42-secret".to_owned()];
        let shown = |line: &str| masked(line, &words);
        assert_eq!(
            shown("INF Registered tunnel connection connIndex=0"),
            "INF Registered tunnel connection connIndex=0"
        );
        assert_eq!(shown("token=eyJhIjoiMTIzNDU2Nzg5MDEyMzQ1Njc4OTAifQ bad"), "token=••• bad");
        assert_eq!(shown("cannot use shop-42-secret"), "cannot use •••");
        assert_eq!(shown("\u{1b}[31mred\u{7}"), "[31mred");
        assert_eq!(shown(&"ы".repeat(1000)).chars().count(), LINE_CHARS_MAX);
        assert_eq!(shown("https://kassa.example.kz/a.b-c"), "https://kassa.example.kz/a.b-c");
    }

    #[test]
    fn a_flood_of_lines_is_counted() {
        let mut budget = Budget::default();
        let at = |s| Monotonic(Duration::from_secs(s));
        assert_eq!((0..100).filter(|_| budget.takes(at(1))).count(), 20);
        assert_eq!(budget.left_out, 80);
        assert!(budget.takes(at(11)));
    }

    #[test]
    fn a_program_sees_little_of_our_environment() {
        for name in ["PATH", "LC_ALL", "TUNNEL_TOKEN", "NGROK_AUTHTOKEN", "https_proxy"] {
            assert!(is_passed_on(OsStr::new(name)), "{name}");
        }
        for name in ["CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LD_PRELOAD", "KASSAD_LOG", "INVOCATION_ID"] {
            assert!(!is_passed_on(OsStr::new(name)), "{name}");
        }
    }
}
