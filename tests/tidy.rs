//! The house itself: laws of the design that no type carries, checked over the source text. A file is judged by its floor, which is
//! its first folder or its name. Test modules inside a source file are free; comments and texts in quotes are not code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Raised as the house grows: a walk that sees nothing proves nothing.
const FILES_MIN: usize = 75;

/// Each floor and the modules of this crate that it may name besides itself.
const FLOORS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("host", &["domain"]),
    ("i18n", &["domain"]),
    ("config", &["domain", "host", "i18n", "drivers", "transport"]),
    ("ledger", &["domain", "host", "i18n"]),
    ("transport", &["domain", "host", "i18n"]),
    ("drivers", &["domain", "host", "i18n", "transport"]),
    ("flows", &["domain", "host", "i18n", "ledger"]),
    ("workers", &["domain", "host", "i18n", "config", "ledger", "flows", "transport", "drivers"]),
    ("http", &["domain", "host", "i18n", "config", "ledger", "flows", "transport", "drivers", "workers"]),
    (
        "cli",
        &[
            "domain",
            "host",
            "i18n",
            "config",
            "ledger",
            "flows",
            "transport",
            "drivers",
            "workers",
            "http",
            "daemon",
            "sandbox",
        ],
    ),
    (
        "daemon",
        &["domain", "host", "i18n", "config", "ledger", "flows", "transport", "drivers", "workers", "http", "sandbox"],
    ),
    (
        "main",
        &[
            "domain",
            "host",
            "i18n",
            "config",
            "ledger",
            "flows",
            "transport",
            "drivers",
            "workers",
            "http",
            "cli",
            "daemon",
            "sandbox",
        ],
    ),
    // the outside world as it is: the partners' protocols, not our decisions
    ("sandbox", &["domain", "host", "i18n", "config", "transport", "drivers"]),
];

/// Scenarios of the counter that a test must prove by name: `f07_terminal_says_unknown`.
const SCENARIOS: &[&str] = &[
    "f01_", "f02_", "f03_", "f04_", "f05_", "f06_", "f07_", "f08_", "f09_", "f10_", "f11_", "f12_", "f19_", "f22_",
    "f24_", "f25_", "f21_", "f26_", "f13_", "f15_",
];

/// Whether the stories that prove the scenarios are part of this tree yet.
const STORIES: &str = "tests/counter.rs";

/// What may stand at the top of the tree in sight.
const TOP: &[&str] =
    &["Cargo.lock", "Cargo.toml", "README.md", "config", "cross.toml", "src", "systemd", "target", "tests", "udev"];

struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn floor(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        // What was built is nobody's source: `cargo fuzz` has a folder of its own for it.
        let is_built = path.ends_with("fuzz/target");
        if path.is_dir() && !is_built { walk(&path, found) } else { found.push(path) }
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    // A file of tests is as free as a test module.
    let is_code = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
    paths.retain(|path| {
        is_code(path) && !path.starts_with(root().join("src")) || is_code(path) && !path.ends_with("tests.rs")
    });
    paths.sort();
    let source = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let code = code(&text);
        Source { path: path.strip_prefix(root()).unwrap().display().to_string(), text, code }
    };
    paths.iter().map(source).collect()
}

/// The text without its test module, its comments and what stands in quotes.
fn code(text: &str) -> String {
    let opens = |at: &usize| text[*at..].find(['{', ';']).is_some_and(|end| text[*at..][end..].starts_with('{'));
    let tests = text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at).find(opens);
    let text = &text[..tests.unwrap_or(text.len())];
    let lines = text.lines().map(|line| {
        let mut bare = String::new();
        let mut quoted = false;
        let mut signs = line.chars().peekable();
        while let Some(sign) = signs.next() {
            match sign {
                '\\' if quoted => drop(signs.next()),
                '\'' if !quoted && signs.peek() == Some(&'"') => drop(signs.next()),
                '"' => quoted = !quoted,
                '/' if !quoted && signs.peek() == Some(&'/') => break,
                _ if quoted => {}
                _ => bare.push(sign),
            }
        }
        bare
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Modules of this crate that a code names: `crate::x`, `kassad::x`, and each name of `crate::{x, y::z}`.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for start in ["crate::", "kassad::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|sign| sign.is_alphanumeric() || sign == '_' || sign == '$') {
                continue;
            }
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                None => drop(names.insert(word(rest))),
                Some(group) => names.extend(heads(group)),
            }
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect()
}

/// The first words of a group of imports, up to its closing bracket.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut item, mut items) = (0, String::new(), Vec::new());
    for sign in group.chars() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ => {}
        }
        if depth == 0 && !",{}".contains(sign) {
            item.push(sign);
        }
    }
    items.push(item);
    items.iter().map(|item| word(item.trim())).filter(|word| !word.is_empty()).collect()
}

fn refuse(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Faults where code of the given floors holds one of the words.
fn words_on(floors: &[&str], words: &[&str], except: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| floors.is_empty() || floors.contains(&source.floor())) {
        if except.contains(&source.path.as_str()) {
            continue;
        }
        for word in words.iter().filter(|word| source.code.contains(**word)) {
            faults.push(format!("{}: {word}", source.path));
        }
    }
    faults
}

#[test]
fn a_floor_names_only_floors_below() {
    let sources = sources("src");
    assert!(sources.len() >= FILES_MIN, "{} files", sources.len());
    let floors: Vec<&str> = FLOORS.iter().map(|(floor, _)| *floor).collect();
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path != "src/lib.rs") {
        let Some((_, below)) = FLOORS.iter().find(|(floor, _)| *floor == source.floor()) else {
            faults.push(format!("{}: no floor of the house", source.path));
            continue;
        };
        for name in named(&source.code).iter().filter(|name| floors.contains(&name.as_str())) {
            if name != source.floor() && !below.contains(&name.as_str()) {
                faults.push(format!("{} names {name}", source.path));
            }
        }
    }
    refuse(faults);
}

#[test]
fn ledger_and_flows_never_meet_drivers_and_transport() {
    for (floor, below) in FLOORS {
        let (inner, outer) = (["ledger", "flows"], ["drivers", "transport"]);
        let meets =
            |one: &[&str; 2], other: &[&str; 2]| one.contains(floor) && below.iter().any(|name| other.contains(name));
        assert!(!meets(&inner, &outer) && !meets(&outer, &inner), "{floor}");
    }
}

#[test]
fn the_domain_knows_no_machine() {
    let foreign =
        ["tokio", "rusqlite", "axum", "reqwest", "tracing", "getrandom", "jiff", "toml", "serde_json", "futures_util"];
    let mut faults = words_on(&["domain"], &foreign, &[]);
    faults.extend(words_on(&["domain"], &["std::fs", "std::net", "std::env", "std::process", "async fn"], &[]));
    refuse(faults);
}

#[test]
fn flows_are_synchronous_and_surfaces_have_no_sql() {
    let mut faults = words_on(&["flows"], &["async ", ".await", "tokio"], &[]);
    faults.extend(words_on(&["workers", "http", "cli"], &["rusqlite"], &[]));
    refuse(faults);
}

#[test]
fn only_the_daemon_starts_tasks_and_threads() {
    let starts = ["tokio::spawn", "task::spawn", "spawn_blocking", "thread::spawn", "thread::Builder", "spawn_local"];
    refuse(words_on(&[], &starts, &["src/daemon.rs"]));
}

#[test]
fn only_the_clock_reads_clocks() {
    let reads = [
        "Instant::now",
        "SystemTime::now",
        "Timestamp::now",
        "Zoned::now",
        "time::sleep",
        "thread::sleep",
        "time::timeout",
    ];
    refuse(words_on(&[], &reads, &["src/host/clock.rs"]));
    refuse(words_on(&[], &["getrandom::"], &["src/host/ids.rs"]));
}

/// What makes a crash test possible is not in a release: each use stands under its condition, and the rest is in one file.
#[test]
fn a_release_cannot_be_told_to_stand_still() {
    let mut uses = 0;
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| source.path != "src/ledger/halt.rs") {
        let lines: Vec<&str> = source.code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if ["mod halt", "halt::", "rehearse"].iter().any(|word| line.contains(word)) {
                uses += 1;
                let is_debug =
                    lines[at.saturating_sub(2)..at].iter().any(|line| line.contains("#[cfg(debug_assertions)]"));
                let is_told = is_debug.then_some(()).ok_or_else(|| format!("{}:{}: {line}", source.path, at + 1));
                faults.extend(is_told.err());
            }
        }
        // Names of variables stand in quotes.
        let names = ["KASSAD_HALT_AT", "KASSAD_CLOCK_FACTOR"];
        faults.extend(
            names.iter().filter(|name| source.text.contains(**name)).map(|name| format!("{}: {name}", source.path)),
        );
    }
    assert!(uses >= 8, "{uses} uses");
    refuse(faults);
}

#[test]
fn every_file_says_what_it_is() {
    let mut all = sources("src");
    all.extend(sources("tests"));
    refuse(all.iter().filter(|one| !one.text.starts_with("//! ")).map(|one| one.path.clone()).collect());
}

#[test]
fn the_top_of_the_tree_is_as_commissioned() {
    let names = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    refuse(names.filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str())).collect());
}

#[test]
fn no_file_names_a_machine_of_ours() {
    // Written in two pieces, so that this list does not find itself.
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut files = Vec::new();
    for folder in ["src", "tests", "config", "systemd", "udev", ".ci", "docs"] {
        walk(&root().join(folder), &mut files);
    }
    files.extend(["Cargo.toml", "cross.toml", ".deny.toml", "README.md"].map(|name| root().join(name)));
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok().map(|text| (path, text)));
    let mut seen = 0;
    let mut faults = Vec::new();
    for (path, text) in texts {
        seen += 1;
        faults.extend(
            paths.iter().filter(|word| text.contains(**word)).map(|word| format!("{}: {word}", path.display())),
        );
    }
    assert!(seen >= FILES_MIN, "{seen} files");
    refuse(faults);
}

#[test]
fn the_page_needs_nothing_from_outside_and_red_means_money() {
    let asset = |name: &str| std::fs::read_to_string(root().join("src/http/assets").join(name)).unwrap();
    for name in ["counter.html", "counter.css", "counter.js"] {
        let text = asset(name);
        assert!(!text.contains("://"), "{name} names another server");
        assert!(!text.contains("innerHTML"), "{name}: texts are never markup");
    }
    // I12: one alarm colour, used by the line of unclear money alone.
    let css = asset("counter.css");
    let users = css.lines().filter(|line| line.contains("var(--alarm)"));
    assert!(users.clone().count() > 0 && users.clone().all(|line| line.starts_with(".unclear")));
    // Every word that the page asks for has a row.
    let js = asset("counter.js");
    for (at, start) in js.match_indices("word(\"") {
        let code = js[at + start.len()..].split('"').next().unwrap();
        assert!(kassad::i18n::is_known(code), "{code}");
    }
}

#[test]
fn every_scenario_has_its_test() {
    if !root().join(STORIES).exists() {
        return;
    }
    let mut all = sources("src");
    all.extend(sources("tests"));
    let proven = |scenario: &&&str| all.iter().any(|one| one.text.contains(&format!("fn {scenario}")));
    refuse(SCENARIOS.iter().filter(|scenario| !proven(scenario)).map(|one| format!("no test {one}…")).collect());
}

#[test]
fn the_readers_of_this_file_read_right() {
    assert_eq!(code("let a = \"x // y\"; // crate::flows\n/// crate::ledger"), "let a = ; \n");
    let names = |text| named(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names("use crate::domain::money::Tiyn; pub(in crate::drivers) x"), "domain drivers");
    assert_eq!(names("use crate::{host::{clock, ids}, ledger}; mycrate::flows"), "host ledger");
}

/// Every code that a person may read has its sentence in all languages: a bare code on the page helps nobody.
#[test]
fn every_code_has_a_sentence() {
    let marks = [
        "Reason::new(\"",
        "refused(\"",
        "Problem::new(400, \"",
        "Problem::new(404, \"",
        "Problem::new(422, \"",
        "Problem::new(503, \"",
    ];
    let mut seen = BTreeSet::new();
    for source in sources("src").iter().filter(|source| source.floor() != "sandbox") {
        let text = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for mark in marks {
            for rest in text.split(mark).skip(1) {
                seen.insert(rest.split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
    assert!(seen.len() >= 40, "only {} codes found", seen.len());
    let dumb: Vec<&String> = seen.iter().filter(|code| !kassad::i18n::is_known(code)).collect();
    assert!(dumb.is_empty(), "no sentence for {dumb:?}");
}
