//! Seeded days at the counter in simulated time: the true flows, ledger, workers and faces against models of the partners whose truth is
//! known. After every commit and at the end of each day the laws are checked; a day that breaks one is shrunk and printed with its seed.
//! By hand: `KASSAD_SIM_DAYS=100000 cargo test simulation`, one day again: `KASSAD_SIM_SEED=7 KASSAD_SIM_DAYS=1 cargo test simulation`;
//! `KASSAD_SIM_HUNT=1` plays on after a broken day and lists them all, without shrinking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod day;
mod drivers;
mod engine;
mod laws;
mod people;
mod plan;
mod printers;
mod register;
mod world;

use day::Told;
use plan::{Kind, Mutant, Plan};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Days of a run in CI. Measured: an eighth of a second of one core each, so about 900 days in a minute on two cores that are idle; the
/// rest of `cargo test` wants them too.
const DAYS: u64 = 300;

/// Where the seeds of a run in CI begin.
const FIRST_SEED: u64 = 1;

/// Events before the flaw that a report shows.
const TRACE_SHOWN: usize = 60;

/// Seeds whose days broke a law once.
const SEEDS: &str = include_str!("simulation/seeds.txt");

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Plays days on all cores; what was seen in all of them, and the days that broke a law: only the first, or all.
fn run(seeds: &[u64], is_hunt: bool) -> (BTreeMap<String, u64>, Vec<(Plan, Told)>) {
    let (next, seen, broken) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while is_hunt || broken.lock().unwrap().is_empty() {
                    let place = next.fetch_add(1, Ordering::SeqCst) as usize;
                    let Some(seed) = seeds.get(place) else { return };
                    let plan = Plan::of(*seed);
                    let told = day::play(&plan);
                    let mut seen = seen.lock().unwrap();
                    for (what, count) in &told.seen {
                        *seen.entry(what.clone()).or_insert(0) += count;
                    }
                    *seen.entry("days".to_owned()).or_insert(0) += 1;
                    *seen.entry("commits".to_owned()).or_insert(0) += told.commits;
                    *seen.entry("guests".to_owned()).or_insert(0) += plan.guests.len() as u64;
                    if !told.violations.is_empty() {
                        let told = if is_hunt { Told { trace: Vec::new(), ..told } } else { told };
                        broken.lock().unwrap().push((plan, told));
                    }
                }
            });
        }
    });
    (seen.into_inner().unwrap(), broken.into_inner().unwrap())
}

/// What law a flaw is about: a shrunk plan must break the same one.
fn law(told: &Told) -> String {
    told.violations[0]
        .chars()
        .filter(|sign| sign.is_alphabetic() || *sign == ' ')
        .take(200)
        .collect::<String>()
        .split(' ')
        .take(2)
        .collect()
}

/// Drops misfortunes, guests and hours as long as the same law stays broken.
fn shrink(plan: Plan, told: Told) -> (Plan, Told) {
    let (mut best, wanted) = ((plan, told), 1);
    loop {
        let before = (best.0.off.len(), best.0.guests.len(), best.0.calm_at);
        let mut smaller: Vec<Plan> = Vec::new();
        let plan = best.0.clone();
        smaller.extend([2, 4].map(|part| Plan { calm_at: plan.calm_at * (part - 1) / part, ..plan.clone() }));
        for half in [0, 1] {
            let guests = plan.guests.iter().copied().filter(|guest| guest % 2 == half).collect();
            smaller.push(Plan { guests, ..plan.clone() });
        }
        for guest in &plan.guests {
            let guests = plan.guests.iter().copied().filter(|other| other != guest).collect();
            smaller.push(Plan { guests, ..plan.clone() });
        }
        for (kind, _) in Kind::ALL.iter().filter(|(kind, _)| !plan.off.contains(kind)) {
            let off = plan.off.iter().copied().chain([*kind]).collect();
            smaller.push(Plan { off, ..plan.clone() });
        }
        for tried in smaller {
            // Combine what was dropped so far with this one.
            let tried = Plan {
                guests: tried.guests.intersection(&best.0.guests).copied().collect(),
                off: tried.off.union(&best.0.off).copied().collect(),
                calm_at: tried.calm_at.min(best.0.calm_at),
                ..best.0.clone()
            };
            let is_smaller = (tried.off.len(), tried.guests.len(), tried.calm_at)
                != (best.0.off.len(), best.0.guests.len(), best.0.calm_at);
            if !is_smaller {
                continue;
            }
            let told = day::play(&tried);
            if told.violations.len() >= wanted && law(&told) == law(&best.1) {
                best = (tried, told);
            }
        }
        if (best.0.off.len(), best.0.guests.len(), best.0.calm_at) == before {
            return best;
        }
    }
}

/// A broken day as people read it.
fn report(plan: Plan, told: Told) -> String {
    let (seed, first) = (plan.seed, told.violations.join("\n  "));
    let (plan, told) = shrink(plan, told);
    let on: Vec<String> =
        Kind::ALL.iter().filter(|(kind, _)| !plan.off.contains(kind)).map(|(kind, _)| kind.name()).collect();
    format!(
        "seed {seed} broke a law:\n  {first}\nsmallest plan that still does: guests {:?}, misfortunes {on:?} until {:?}; step {}:\n  {}\nthe last events:\n  {}\nagain: KASSAD_SIM_SEED={seed} KASSAD_SIM_DAYS=1 cargo test simulation\n",
        plan.guests,
        plan.calm_at,
        told.steps,
        told.violations.join("\n  "),
        told.trace[told.trace.len().saturating_sub(TRACE_SHOWN)..].join("\n  "),
    )
}

#[test]
fn simulation_of_days_at_the_counter() {
    let (first, days) = (number("KASSAD_SIM_SEED", FIRST_SEED), number("KASSAD_SIM_DAYS", DAYS));
    let mut seeds: Vec<u64> = (first..first + days).collect();
    if days == DAYS {
        seeds.extend(SEEDS.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()));
    }
    let is_hunt = number("KASSAD_SIM_HUNT", 0) == 1;
    let (seen, mut broken) = run(&seeds, is_hunt);
    if is_hunt {
        broken.sort_by_key(|(plan, _)| plan.seed);
        let flaws = broken.iter().map(|(plan, told)| format!("seed {}: {}\n", plan.seed, told.violations.join("; ")));
        let flaws = flaws.collect::<String>();
        assert!(broken.is_empty(), "{} of {} days broke a law:\n{flaws}", broken.len(), seeds.len());
    }
    if let Some((plan, told)) = broken.into_iter().next() {
        if number("KASSAD_SIM_SHRINK", 1) == 0 {
            panic!("seed {}: {}\n{}", plan.seed, told.violations.join("\n"), told.trace.join("\n"));
        }
        panic!("{}", report(plan, told));
    }
    for (what, count) in &seen {
        println!("{count:>10}  {what}");
    }
    if days >= DAYS {
        assert_eq!(unseen(&seen), Vec::<String>::new(), "the simulation tests less than it says");
    }
}

/// Besides every misfortune: where a loss fell, each way of an attempt from state to state, each question, each end of a job.
const MET: [&str; 50] = [
    "cut before the first byte",
    "cut in the request",
    "cut in the answer",
    "lying notice",
    "terminal busy",
    "nothing -> planned",
    "nothing -> paid",
    "planned -> sent",
    "planned -> cancelled",
    "planned -> expired",
    "planned -> failed",
    "sent -> planned",
    "sent -> waiting",
    "sent -> failed",
    "sent -> unresolved",
    "waiting -> paid",
    "waiting -> failed",
    "waiting -> expired",
    "waiting -> unresolved",
    "unresolved -> waiting",
    "unresolved -> paid",
    "unresolved -> failed",
    "unresolved -> expired",
    "expired -> paid",
    "asked unresolved",
    "asked lost_create",
    "asked closed_by_hand",
    "asked order_changed",
    "asked removed",
    "asked part_paid",
    "asked overpaid",
    "asked double_paid",
    "asked second_running",
    "asked claimed_paid",
    "asked orphan",
    "asked unreadable",
    "asked pos_close",
    "asked pos_return",
    "asked refund_unclear",
    "answered returned rightly",
    "answered not_returned rightly",
    "refund done",
    "refund failed",
    "answered paid rightly",
    "answered not_paid rightly",
    "answered not_paid wrongly",
    "job confirmed",
    "job sent",
    "job suspect",
    "job question",
];

/// What the days of a run should have met and did not.
fn unseen(seen: &BTreeMap<String, u64>) -> Vec<String> {
    let misfortunes = Kind::ALL.iter().map(|(kind, _)| format!("fault {}", kind.name()));
    let wanted = misfortunes.chain(MET.iter().map(|what| (*what).to_owned()));
    wanted.filter(|what| !seen.contains_key(what)).collect()
}

#[test]
fn simulation_of_the_same_seed_writes_the_same_journal() {
    for seed in [3, 8, 21] {
        let (one, other) = (day::play(&Plan::of(seed)), day::play(&Plan::of(seed)));
        assert_eq!((one.hash, one.commits, one.steps), (other.hash, other.commits, other.steps), "seed {seed}");
    }
}

/// The simulation can fail: each thing that is broken on purpose is seen by the law that it breaks.
#[test]
fn simulation_sees_what_is_broken_on_purpose() {
    let cases = [
        (Mutant::ChargesTwice, "charged twice"),
        (Mutant::GivesBackTwice, "given back twice"),
        (Mutant::LossIsNotSent, "done twice"),
        (Mutant::LossIsFailure, "charged twice"),
        (Mutant::WaitIsPaid, "is paid with"),
        (Mutant::WrongSum, "was closed with"),
        (Mutant::ClosesTwice, "was closed twice"),
        (Mutant::PaperLost, "0 papers"),
        (Mutant::PaperTwice, "without the mark"),
        (Mutant::DeafPeople, "no exit"),
        (Mutant::ForgetfulDisk, ""),
        (Mutant::EditedJournal, "journal:"),
        (Mutant::SilentCourier, "the bot heard"),
        (Mutant::RegistersTwice, "at the register"),
        (Mutant::ForgetsReturns, "at the register"),
    ];
    for (mutant, law) in cases {
        let seen = (1..40).find_map(|seed| {
            let told = day::play(&Plan::broken(seed, mutant));
            told.violations.into_iter().find(|flaw| flaw.contains(law))
        });
        assert!(seen.is_some(), "{mutant:?} was not seen");
    }
}
