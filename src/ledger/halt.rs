//! Named points for crash tests. Debug builds only: a release holds none of it. The process says on standard error which side of which
//! commit it reaches (`reaches collect.send:after:2`), and stands still for ever at the one that `KASSAD_HALT_AT` names. A commit is
//! named by the outermost flow on the stack when its first row is written: a new flow has its points without anybody naming them.

use super::{Gate, GatePoint};
use crate::host::clock::Clock;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether anybody wants the names: finding one costs a walk over the stack.
static LISTENS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The flows of the transaction that is open on this thread.
    static FLOWS: RefCell<Flows> = RefCell::default();
}

#[derive(Default)]
struct Flows {
    names: Vec<String>,
    is_named: bool,
}

/// The gate and the clock as a crash test wants them: `KASSAD_HALT_AT` names a point, `KASSAD_CLOCK_FACTOR` says how many times as fast
/// as the machine's the clock runs. What is not told stays as it is.
pub fn rehearse(gate: Gate, clock: Clock) -> (Gate, Clock) {
    let told = |name| std::env::var(name).ok();
    let gate = told("KASSAD_HALT_AT").map_or(gate, telling_gate);
    let clock = told("KASSAD_CLOCK_FACTOR").and_then(|factor| factor.parse().ok()).map_or(clock, Clock::fast);
    (gate, clock)
}

/// A gate that says each point it reaches, and never returns from the one of this name.
fn telling_gate(at: String) -> Gate {
    LISTENS.store(true, Ordering::SeqCst);
    let counts: Mutex<BTreeMap<String, u32>> = Mutex::default();
    Arc::new(move |point| {
        let side = match point {
            GatePoint::BeforeCommit(_) => "before",
            GatePoint::AfterCommit(_) => "after",
        };
        for flow in FLOWS.with_borrow(|flows| flows.names.clone()) {
            let name = count(&mut counts.lock().unwrap_or_else(PoisonError::into_inner), &format!("{flow}:{side}"));
            say(&format!("reaches {name}"));
            if name == at {
                say("halts");
                loop {
                    std::thread::park();
                }
            }
        }
        true
    })
}

/// A transaction begins.
pub(in crate::ledger) fn begins() {
    FLOWS.take();
}

/// Another flow begins in it.
pub(in crate::ledger) fn next_flow() {
    FLOWS.with_borrow_mut(|flows| flows.is_named = false);
}

/// The present flow writes a row.
pub(in crate::ledger) fn writes() {
    if !LISTENS.load(Ordering::SeqCst) || FLOWS.with_borrow(|flows| flows.is_named) {
        return;
    }
    let name = name_of(&Backtrace::force_capture().to_string());
    FLOWS.with_borrow_mut(|flows| {
        flows.is_named = true;
        flows.names.push(name);
    });
}

fn count(counts: &mut BTreeMap<String, u32>, point: &str) -> String {
    let count = counts.entry(point.to_owned()).or_default();
    *count += 1;
    format!("{point}:{count}")
}

fn say(what: &str) {
    // A test that does not listen any more misses nothing.
    let _said = writeln!(std::io::stderr().lock(), "{what}").is_ok();
}

/// `collect.send` for a stack, whose innermost frame comes first; for a write that no flow makes, the function that makes it.
fn name_of(stack: &str) -> String {
    let flow = frames(stack).filter(|(_, file)| file.starts_with("flows/")).last();
    let other = || frames(stack).find(|(_, file)| !file.starts_with("ledger/"));
    let Some((function, file)) = flow.or_else(other) else { return "unknown".to_owned() };
    let file = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".rs");
    // Symbols say the whole path, lines only the last name.
    let generic = if function.ends_with('>') { function.find('<') } else { None };
    let function = function.get(..generic.unwrap_or(function.len())).unwrap_or(function);
    format!("{file}.{}", function.trim_end_matches("::{{closure}}").rsplit("::").next().unwrap_or(function))
}

/// The frames of this crate: function and file under `src/`.
fn frames(stack: &str) -> impl Iterator<Item = (&str, &str)> {
    stack.lines().zip(stack.lines().skip(1)).filter_map(|(function, place)| {
        let (_, function) = function.split_once(": ")?;
        let (_, file) = place.trim().strip_prefix("at ")?.split_once("src/")?;
        // The standard library has a `src/` too, under a path of its own.
        let is_ours = !place.contains("/library/") && !place.contains("/registry/");
        is_ours.then_some((function.trim(), file.split(':').next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_by_its_outermost_flow() {
        let stack = "   0: kassad::ledger::halt::writes\n             at ./src/ledger/halt.rs:60:20\n   \
                     1: save_attempt\n             at ./src/ledger/attempts.rs:270:5\n   \
                     2: kassad::flows::collect::conclude\n             at ./src/flows/collect.rs:199:5\n   \
                     3: accepted\n             at ./src/flows/collect.rs:170:5\n   \
                     4: call_once<T>\n             at /rustc/0/library/core/src/ops/function.rs:250:5\n   \
                     5: kassad::workers::terminal::Desk::start::{{closure}}\n             at ./src/workers/terminal.rs:211:9\n";
        assert_eq!(name_of(stack), "collect.accepted");
        let bare = "   0: kassad::ledger::Tx::write\n             at ./src/ledger/mod.rs:1:5\n   \
                    1: <kassad::workers::vault::V as kassad::drivers::Vault>::store::{{closure}}\n             at ./src/workers/vault.rs:20:5\n";
        assert_eq!(name_of(bare), "vault.store");
        assert_eq!(name_of(""), "unknown");
    }

    #[test]
    fn the_same_point_is_counted() {
        let mut counts = BTreeMap::new();
        let names = ["a:before", "a:after", "a:before"].map(|point| count(&mut counts, point));
        assert_eq!(names, ["a:before:1", "a:after:1", "a:before:2"]);
    }
}
