//! What can go wrong on a partner's side, by script or by seeded chance, and the count of everything that did. The same for every
//! partner: a lost line, a lost answer, a strange answer, a late answer, no answer (failure scenarios F03, F07, F10, F24).

use crate::host::ids::Ids;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// One thing that goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line breaks before the request counts: nothing is applied.
    Down,
    /// The same, told apart in the count: the request arrived and was thrown away.
    DropBefore,
    /// The request is applied; the connection closes without a reply.
    LoseReply,
    /// An HTTP status instead of an answer; nothing is applied.
    Status(u16),
    /// Applied, but the answer is a web page with status 200.
    Garbage,
    /// Applied, but only the first half of the answer's JSON arrives.
    Truncated,
    /// Applied at once, answered after this span of the sandbox's clock.
    Slow(Duration),
    /// Applied, never answered.
    Stall,
}

impl Fault {
    /// The word under which it is counted and ordered on the control page.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Down => "down",
            Fault::DropBefore => "drop_before",
            Fault::LoseReply => "lose_reply",
            Fault::Status(_) => "status",
            Fault::Garbage => "garbage",
            Fault::Truncated => "truncated",
            Fault::Slow(_) => "slow",
            Fault::Stall => "stall",
        }
    }

    /// The fault of a word; `number` is the HTTP status or the seconds of slowness.
    pub fn from_word(word: &str, number: Option<u64>) -> Option<Fault> {
        match word {
            "down" => Some(Fault::Down),
            "drop_before" => Some(Fault::DropBefore),
            "lose_reply" => Some(Fault::LoseReply),
            "status" => Some(Fault::Status(u16::try_from(number.unwrap_or(500)).ok()?)),
            "garbage" => Some(Fault::Garbage),
            "truncated" => Some(Fault::Truncated),
            "slow" => Some(Fault::Slow(Duration::from_secs(number.unwrap_or(20)))),
            "stall" => Some(Fault::Stall),
            _ => None,
        }
    }
}

/// A scripted fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which call: `create`, `get`, `payment`, `close`, …; `*` is every call.
    pub call: String,
    /// What goes wrong.
    pub fault: Fault,
    /// With how many calls.
    pub times: u32,
    /// How many matching calls pass unharmed first.
    pub skip: u32,
}

/// The faults of one partner.
#[derive(Debug)]
pub struct Faults {
    plan: Mutex<Plan>,
    is_down: watch::Sender<bool>,
    ids: Ids,
}

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    chances: Vec<(Fault, u16)>,
    fired: BTreeMap<String, u64>,
}

impl Faults {
    /// No faults yet; chance is drawn from `ids`.
    pub fn new(ids: Ids) -> Faults {
        Faults { plan: Mutex::new(Plan::default()), is_down: watch::Sender::new(false), ids }
    }

    /// Adds a scripted fault; rules are tried in the order they came.
    pub fn add(&self, rule: Rule) {
        self.plan().rules.push(rule);
    }

    /// The next call of this name goes wrong, once.
    pub fn once(&self, call: &str, fault: Fault) {
        self.add(Rule { call: call.to_owned(), fault, times: 1, skip: 0 });
    }

    /// From now on every call goes wrong like this with a chance of `per_mille`; 0 takes the chance away.
    pub fn chance(&self, fault: Fault, per_mille: u16) {
        let mut plan = self.plan();
        plan.chances.retain(|(known, _)| known.word() != fault.word());
        if per_mille > 0 {
            plan.chances.push((fault, per_mille));
        }
    }

    /// Forgets all rules and chances and switches the partner on; the count stays.
    pub fn clear(&self) {
        let mut plan = self.plan();
        plan.rules.clear();
        plan.chances.clear();
        drop(plan);
        self.set_down(false);
    }

    /// Switches the whole partner off or on. Off: open connections break, new ones are refused.
    pub fn set_down(&self, is_down: bool) {
        if self.is_down.send_replace(is_down) != is_down && is_down {
            *self.plan().fired.entry("off".to_owned()).or_default() += 1;
        }
    }

    /// Whether the whole partner is off.
    pub fn is_down(&self) -> bool {
        *self.is_down.borrow()
    }

    /// Follows the switch of the whole partner.
    pub fn watch_down(&self) -> watch::Receiver<bool> {
        self.is_down.subscribe()
    }

    /// How many faults of each kind happened.
    pub fn fired(&self) -> BTreeMap<String, u64> {
        self.plan().fired.clone()
    }

    /// What goes wrong with this call, counted; scripted faults go before chance.
    pub fn draw(&self, call: &str) -> Option<Fault> {
        let mut plan = self.plan();
        let fault = plan.scripted(call).or_else(|| {
            plan.chances.iter().find(|(_, chance)| self.ids.below(1000) < u64::from(*chance)).map(|(fault, _)| *fault)
        })?;
        *plan.fired.entry(fault.word().to_owned()).or_default() += 1;
        Some(fault)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn scripted(&mut self, call: &str) -> Option<Fault> {
        let mut fault = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.call == "*" || rule.call == call) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                fault = Some(rule.fault);
                break;
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        fault
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_script_skips_fires_and_ends() {
        let faults = Faults::new(Ids::seeded(1));
        faults.add(Rule { call: "get".to_owned(), fault: Fault::LoseReply, times: 2, skip: 1 });
        let drawn: Vec<_> = ["get", "create", "get", "get", "get"].iter().map(|call| faults.draw(call)).collect();
        assert_eq!(drawn, [None, None, Some(Fault::LoseReply), Some(Fault::LoseReply), None]);
        assert_eq!(faults.fired().get("lose_reply"), Some(&2));
    }

    #[test]
    fn chance_is_seeded_and_can_be_taken_away() {
        let run = |seed| {
            let faults = Faults::new(Ids::seeded(seed));
            faults.chance(Fault::Garbage, 500);
            (0..100).filter(|_| faults.draw("x").is_some()).count()
        };
        assert_eq!(run(7), run(7));
        assert!((20..80).contains(&run(7)));
        let faults = Faults::new(Ids::seeded(7));
        faults.chance(Fault::Garbage, 1000);
        faults.chance(Fault::Garbage, 0);
        assert_eq!(faults.draw("x"), None);
    }

    #[test]
    fn words_lead_back_to_faults() {
        for fault in [Fault::Down, Fault::DropBefore, Fault::LoseReply, Fault::Garbage, Fault::Truncated, Fault::Stall]
        {
            assert_eq!(Fault::from_word(fault.word(), None), Some(fault));
        }
        assert_eq!(Fault::from_word("status", Some(503)), Some(Fault::Status(503)));
        assert_eq!(Fault::from_word("nonsense", None), None);
    }
}
