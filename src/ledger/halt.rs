//! Named points for crash tests. Debug builds only: a release holds none of it. The process says on standard error which side of which
//! commit it reaches (`reaches collect.send:after:2`), and stands still for ever at the one that it was told. A commit is named by the
//! outermost flow on the stack when its first row is written, so that a new flow has its points without anybody naming them.

use super::{Gate, GatePoint};
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

/// A gate that says each point it reaches, and never returns from the one of this name.
pub fn gate(at: String) -> Gate {
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

/// `collect.send` for a stack, whose innermost frame comes first; for a write outside of the flows, the ledger's own function.
fn name_of(stack: &str) -> String {
    let frames = || stack.lines().filter_map(|line| line.split_once("kassad::").map(|(_, path)| path.trim()));
    let flow = frames().filter_map(|path| path.strip_prefix("flows::")).last();
    let own = || frames().find(|path| !["Tx::record", "Tx::write", "halt::"].iter().any(|inner| path.contains(inner)));
    let path = flow.or_else(own).unwrap_or("unknown").replace("::{{closure}}", "").replace('>', "");
    let words: Vec<&str> = path.split("::").collect();
    words.get(words.len().saturating_sub(2)..).unwrap_or_default().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_by_its_outermost_flow() {
        let stack = "   0: kassad::ledger::halt::writes\n             at ./src/ledger/halt.rs:60:20\n   \
                     1: kassad::ledger::Tx::record_nudge\n   2: kassad::ledger::attempts::<impl kassad::ledger::Tx>::save_attempt\n   \
                     3: kassad::flows::collect::conclude\n   4: kassad::flows::collect::accepted\n             \
                     at ./src/flows/collect.rs:170:5\n   5: kassad::workers::terminal::Desk::start::{{closure}}::{{closure}}\n";
        assert_eq!(name_of(stack), "collect.accepted");
        let bare = "   0: kassad::ledger::Tx::write\n   1: kassad::ledger::Tx::probe_commit\n   2: kassad::workers::writer::x\n";
        assert_eq!(name_of(bare), "Tx.probe_commit");
    }

    #[test]
    fn the_same_point_is_counted() {
        let mut counts = BTreeMap::new();
        let names = ["a:before", "a:after", "a:before"].map(|point| count(&mut counts, point));
        assert_eq!(names, ["a:before:1", "a:after:1", "a:before:2"]);
    }
}
