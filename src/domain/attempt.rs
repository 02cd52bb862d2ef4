//! One effort to collect a part, and the only function by which it changes. Paid is a ratchet (I3); unknown is a state (H1);
//! what a restart, a lost wire or a "check again" means is one event (H3).

use crate::domain::ids::Handle;
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use serde::{Deserialize, Serialize};

/// Where an attempt stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Written down; nothing left this box yet, so it may still be dropped or sent.
    Planned,
    /// About to be sent or being sent: from here nothing is repeated, only asked.
    Sent,
    /// The partner has it and the guest has not decided.
    Waiting,
    /// The money moved.
    Paid,
    /// The partner's own record says that it did not happen.
    Failed,
    /// Withdrawn before the guest paid.
    Cancelled,
    /// The time to pay passed.
    Expired,
    /// Nobody here can judge it yet.
    Unresolved,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 8] = [
        State::Planned,
        State::Sent,
        State::Waiting,
        State::Paid,
        State::Failed,
        State::Cancelled,
        State::Expired,
        State::Unresolved,
    ];

    /// The word of the contract and of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Sent => "sent",
            State::Waiting => "waiting",
            State::Paid => "paid",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
            State::Unresolved => "unresolved",
        }
    }

    /// Reads the word of the contract.
    pub fn from_word(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether it may still become paid on the ordinary road, so that its part must not be collected again (I4).
    pub fn is_live(self) -> bool {
        match self {
            State::Planned | State::Sent | State::Waiting | State::Unresolved => true,
            State::Paid | State::Failed | State::Cancelled | State::Expired => false,
        }
    }
}

/// What proves that money moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was really paid.
    pub amount: Tiyn,
    /// How, in the partner's word: `qr`, `card`, `alaqan`, `invoice`, `cash`; kept for refunds.
    pub method: String,
    /// The partner's transaction number: order number or RRN; empty where there is none.
    #[serde(default)]
    pub transaction: String,
    /// Who says so: `terminal`, `cloud`, `person`.
    pub source: String,
    /// More that the partner told: product, card mask, name of the person and the reason.
    #[serde(default)]
    pub detail: String,
    /// What the guest handed over in cash; the difference to the amount went back as change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tendered: Option<Tiyn>,
}

/// What can happen to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The worker is about to act; committed before the first byte.
    Dispatched,
    /// Not sent yet, and already known by what name it can be asked about; nothing else changes.
    Named(Handle),
    /// The partner took it and named it.
    Accepted(Handle),
    /// The partner named it after we had lost its answer (a notice or a search that carries our reference).
    Recognised(Handle),
    /// Surely nothing left us: it goes back to the queue.
    NotSent(Reason),
    /// The partner's own record: the money moved.
    Settled(Evidence),
    /// The partner said no, or its own record says that it did not happen.
    Declined(Reason),
    /// The partner's own record, or an unsent attempt dropped by a person.
    Withdrawn(Reason),
    /// The partner's own record, or the life of an unsent attempt, is over.
    Lapsed(Reason),
    /// The partner's record says that it goes on.
    Pending,
    /// A lost wire, a lost answer, a restart, "check again".
    Unknown(Reason),
}

/// An attempt as the decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where it stands.
    pub state: State,
    /// The partner's name of it.
    pub handle: Option<Handle>,
    /// What was asked.
    pub amount: Tiyn,
    /// What proves the payment; only with `paid`.
    pub evidence: Option<Evidence>,
    /// Paid after it had been failed, cancelled or expired.
    pub late: bool,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
}

/// An event that this state does not know: a fault of ours, not of the partner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an attempt that is {state:?} cannot take {event:?}")]
pub struct Illegal {
    /// Where the attempt stood.
    pub state: State,
    /// What was to happen.
    pub event: Box<Event>,
}

impl Attempt {
    /// A new attempt: written down, not sent.
    pub fn planned(amount: Tiyn) -> Attempt {
        Attempt { state: State::Planned, handle: None, amount, evidence: None, late: false, reason: None }
    }

    /// The only way an attempt changes. Returns it unchanged where the event adds nothing (duplicates, the ratchet).
    pub fn apply(&self, event: Event) -> Result<Attempt, Illegal> {
        match self.state {
            State::Planned => match event {
                Event::Dispatched => Ok(self.to(State::Sent, None)),
                Event::Named(handle) => Ok(Attempt { handle: Some(handle), ..self.clone() }),
                Event::NotSent(reason) => Ok(self.to(State::Planned, Some(reason))),
                Event::Declined(reason) => Ok(self.to(State::Failed, Some(reason))),
                Event::Withdrawn(reason) => Ok(self.to(State::Cancelled, Some(reason))),
                Event::Lapsed(reason) => Ok(self.to(State::Expired, Some(reason))),
                Event::Settled(evidence) if evidence.source == "person" => Ok(self.paid(evidence, false)),
                // A planned attempt was never outside: a restart finds it as it is.
                Event::Unknown(_) => Ok(self.clone()),
                // A create that was "not taken" and is named by the partner all the same: it is outside, and not sent again.
                Event::Recognised(handle) => Ok(self.named(handle)),
                Event::Accepted(_) | Event::Settled(_) | Event::Pending => {
                    Err(Illegal { state: self.state, event: Box::new(event) })
                }
            },
            State::Sent | State::Waiting | State::Unresolved => match event {
                Event::Accepted(handle) | Event::Recognised(handle) => Ok(self.named(handle)),
                Event::NotSent(reason) if self.state == State::Sent => Ok(self.to(State::Planned, Some(reason))),
                Event::Settled(evidence) => Ok(self.paid(evidence, false)),
                Event::Declined(reason) => Ok(self.to(State::Failed, Some(reason))),
                Event::Withdrawn(reason) => Ok(self.to(State::Cancelled, Some(reason))),
                Event::Lapsed(reason) => Ok(self.to(State::Expired, Some(reason))),
                Event::Pending if self.handle.is_some() => Ok(self.to(State::Waiting, None)),
                Event::Pending => Ok(self.clone()),
                Event::Unknown(reason) => Ok(self.to(State::Unresolved, Some(reason))),
                // A notice named it while the create was on its way: the partner has it, whatever the reply says.
                Event::NotSent(_) => Ok(self.clone()),
                Event::Dispatched | Event::Named(_) => Err(Illegal { state: self.state, event: Box::new(event) }),
            },
            // Over for us, but the partner's record may still say that the guest paid (F05).
            State::Failed | State::Cancelled | State::Expired => match event {
                Event::Settled(evidence) => Ok(self.paid(evidence, true)),
                Event::Accepted(handle) | Event::Recognised(handle) => {
                    Ok(Attempt { handle: Some(handle), ..self.clone() })
                }
                Event::Declined(_)
                | Event::Withdrawn(_)
                | Event::Lapsed(_)
                | Event::Pending
                | Event::Unknown(_)
                | Event::NotSent(_) => Ok(self.clone()),
                Event::Dispatched | Event::Named(_) => Err(Illegal { state: self.state, event: Box::new(event) }),
            },
            // The ratchet: nothing leads back (I3). Only a refund reduces what was paid.
            State::Paid => match event {
                Event::Accepted(handle) | Event::Recognised(handle) if self.handle.is_none() => {
                    Ok(Attempt { handle: Some(handle), ..self.clone() })
                }
                // A person's word becomes the partner's: its number and method serve the refund (I1).
                Event::Settled(evidence) if self.is_confirmed_by(&evidence) => Ok(self.confirmed(evidence)),
                Event::Settled(_)
                | Event::Declined(_)
                | Event::Withdrawn(_)
                | Event::Lapsed(_)
                | Event::Pending
                | Event::Unknown(_)
                | Event::Accepted(_)
                | Event::NotSent(_)
                | Event::Recognised(_) => Ok(self.clone()),
                Event::Dispatched | Event::Named(_) => Err(Illegal { state: self.state, event: Box::new(event) }),
            },
        }
    }

    /// Whether only a person says that the money moved, so that the partner's record may still confirm or contradict it.
    pub fn is_a_persons_word(&self) -> bool {
        self.state == State::Paid && self.evidence.as_ref().is_some_and(|evidence| evidence.source == "person")
    }

    fn is_confirmed_by(&self, evidence: &Evidence) -> bool {
        let is_same_sum = self.evidence.as_ref().is_some_and(|known| known.amount == evidence.amount);
        self.is_a_persons_word() && is_same_sum && evidence.source != "person"
    }

    fn confirmed(&self, evidence: Evidence) -> Attempt {
        let said = self.evidence.as_ref().map(|known| known.detail.clone()).unwrap_or_default();
        let detail = if evidence.detail.is_empty() { said } else { format!("{}; {said}", evidence.detail) };
        Attempt { evidence: Some(Evidence { detail, ..evidence }), ..self.clone() }
    }

    fn to(&self, state: State, reason: Option<Reason>) -> Attempt {
        Attempt { state, reason, ..self.clone() }
    }

    fn named(&self, handle: Handle) -> Attempt {
        Attempt { state: State::Waiting, handle: Some(handle), reason: None, ..self.clone() }
    }

    fn paid(&self, evidence: Evidence, late: bool) -> Attempt {
        Attempt { state: State::Paid, evidence: Some(evidence), late, reason: None, ..self.clone() }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        Evidence {
            amount: Tiyn(500_000),
            method: "invoice".into(),
            transaction: String::new(),
            source: "cloud".into(),
            detail: String::new(),
            tendered: None,
        }
    }

    fn reason() -> Reason {
        Reason::new("test", "")
    }

    fn waiting() -> Attempt {
        let planned = Attempt::planned(Tiyn(500_000));
        let sent = planned.apply(Event::Dispatched).expect("planned can be sent");
        sent.apply(Event::Accepted(Handle("inv_1".into()))).expect("sent can be accepted")
    }

    /// All orders, with repetition, of what a partner can report; whenever `paid` is among them the end is `paid`.
    #[test]
    fn f04_any_order_of_reports_ends_the_same() {
        let reports: [fn() -> Event; 5] = [
            || Event::Pending,
            || Event::Settled(evidence()),
            || Event::Lapsed(reason()),
            || Event::Withdrawn(reason()),
            || Event::Unknown(reason()),
        ];
        let mut seen = 0;
        for code in 0..reports.len().pow(5) {
            let picks: Vec<usize> = (0..5).map(|place| code / reports.len().pow(place) % reports.len()).collect();
            let end =
                picks.iter().fold(waiting(), |attempt, pick| attempt.apply(reports[*pick]()).expect("a report fits"));
            assert_eq!(end.state == State::Paid, picks.contains(&1), "{picks:?}");
            seen += 1;
        }
        assert_eq!(seen, 3125);
    }

    #[test]
    fn paid_is_a_ratchet() {
        let paid = waiting().apply(Event::Settled(evidence())).expect("waiting can be paid");
        for event in [Event::Lapsed(reason()), Event::Declined(reason()), Event::Unknown(reason()), Event::Pending] {
            assert_eq!(paid.apply(event), Ok(paid.clone()));
        }
        assert!(paid.apply(Event::Dispatched).is_err());
    }

    #[test]
    fn only_what_surely_stayed_here_may_be_sent_again() {
        let sent = Attempt::planned(Tiyn(100)).apply(Event::Dispatched).expect("planned can be sent");
        assert_eq!(sent.apply(Event::NotSent(reason())).expect("it fits").state, State::Planned);
        assert_eq!(sent.apply(Event::Unknown(reason())).expect("it fits").state, State::Unresolved);
        assert_eq!(waiting().apply(Event::NotSent(reason())).expect("it fits").state, State::Waiting);
        let unresolved = sent.apply(Event::Unknown(reason())).expect("it fits");
        assert!(unresolved.apply(Event::Dispatched).is_err());
    }

    #[test]
    fn f05_paid_after_expiry_is_paid_and_late() {
        let expired = waiting().apply(Event::Lapsed(reason())).expect("it fits");
        let paid = expired.apply(Event::Settled(evidence())).expect("it fits");
        assert_eq!((paid.state, paid.late), (State::Paid, true));
    }
}
