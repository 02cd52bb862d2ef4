//! Programs that kassad looks after, with the true binary: they start, speak into our log, end when told, and end with us even when we
//! are killed without a word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kassad::host::clock::Clock;
use kassad::transport::child::{COMMAND, Child, EXIT_NO_PROGRAM};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const KASSAD: &str = env!("CARGO_BIN_EXE_kassad");

/// Real time after which something counts as never happening.
const CAP: Duration = Duration::from_secs(20);

/// Real time between two looks at a fact.
const TICK: Duration = Duration::from_millis(5);

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Whether a process is there and not yet a zombie.
fn is_running(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().starts_with('Z'));
    state == Some(false)
}

async fn gone(clock: &Clock, id: u32) -> bool {
    clock
        .limit(CAP, async {
            while is_running(id) {
                clock.sleep(TICK).await;
            }
        })
        .await
        .is_ok()
}

#[tokio::test]
async fn a_program_becomes_the_child_itself_and_ends_with_its_own_status() {
    let clock = Clock::machine();
    let mut child = Child::start(Path::new(KASSAD), &words(&["sh", "-c", "echo ready; exit 7"])).unwrap();
    let status = clock.limit(CAP, child.ended(&clock)).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(7));
    // A group of its own, and a program that is not there says so.
    let mut absent = Child::start(Path::new(KASSAD), &words(&["/no/such/program"])).unwrap();
    let status = clock.limit(CAP, absent.ended(&clock)).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(i32::from(EXIT_NO_PROGRAM)));
    assert!(Child::start(Path::new("/no/such/helper"), &words(&["true"])).is_err());
}

#[tokio::test]
async fn a_program_that_is_deaf_to_a_polite_word_is_ended_with_all_that_it_started() {
    let clock = Clock::machine();
    let script = "trap '' TERM; sleep 600 & echo $! > \"$0\"; wait; wait";
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("id");
    let child = Child::start(Path::new(KASSAD), &words(&["sh", "-c", script, note.to_str().unwrap()])).unwrap();
    let id = child.id().unwrap();
    let grandchild: u32 = clock
        .limit(CAP, async {
            loop {
                if let Ok(id) = std::fs::read_to_string(&note).unwrap_or_default().trim().parse() {
                    return id;
                }
                clock.sleep(TICK).await;
            }
        })
        .await
        .unwrap();
    assert!(is_running(id) && is_running(grandchild));
    child.stop(&clock).await;
    assert!(gone(&clock, id).await && gone(&clock, grandchild).await);
}

#[tokio::test]
async fn a_dropped_program_is_gone() {
    let clock = Clock::machine();
    let child = Child::start(Path::new(KASSAD), &words(&["sleep", "600"])).unwrap();
    let id = child.id().unwrap();
    drop(child);
    assert!(gone(&clock, id).await);
}

/// The parent here is a shell that is killed; its child is the hidden command that became `sleep`.
#[tokio::test]
async fn a_program_dies_when_who_started_it_is_killed_without_a_word() {
    let clock = Clock::machine();
    let script = format!("\"{KASSAD}\" {COMMAND} $$ -- sh -c 'echo $$; exec sleep 600' & wait");
    let mut parent = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let id: u32 = line.trim().parse().unwrap();
    assert!(is_running(id));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(gone(&clock, id).await, "it outlived its parent");
}

#[test]
fn a_program_does_not_start_when_its_parent_is_gone_already() {
    // This process starts it, and process 1 is said to.
    let mut child = Command::new(KASSAD)
        .args([COMMAND, "1", "--", "echo", "alive"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(EXIT_NO_PROGRAM)));
    assert_eq!(said, "");
}

/// The whole daemon with a program for a tunnel: it is started, started again when it ends, and gone after the stop.
#[tokio::test]
async fn the_daemon_keeps_its_program_and_takes_it_along() {
    let clock = Clock::machine();
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("starts");
    let script = "echo $$ >> \"$0\"; [ $(wc -l < \"$0\") -gt 1 ] && exec sleep 600; exit 3";
    let text = format!(
        "[shop]\nname = \"Дастархан\"\n[listen]\npublic = \"127.0.0.1:0\"\nlocal = \"127.0.0.1:0\"\n[ledger]\npath = {:?}\n\
         [tunnel]\nkind = \"command\"\npublic_url = \"http://127.0.0.1:9\"\ncommand = [\"sh\", \"-c\", {script:?}, {:?}]\n",
        folder.path().join("ledger.db"),
        note
    );
    let config = folder.path().join("kassad.toml");
    std::fs::write(&config, text).unwrap();
    let mut daemon =
        Command::new(KASSAD).arg("run").arg("--config").arg(&config).stderr(Stdio::null()).spawn().unwrap();
    let second: u32 = clock
        .limit(CAP, async {
            loop {
                let told = std::fs::read_to_string(&note).unwrap_or_default();
                if let Some(Ok(id)) = told.lines().nth(1).map(str::parse) {
                    return id;
                }
                clock.sleep(TICK).await;
            }
        })
        .await
        .unwrap();
    assert!(is_running(second));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(gone(&clock, second).await, "it outlived the daemon");
}
