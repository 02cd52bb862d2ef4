//! Giving money back, and the only function by which a refund changes. The same laws as for taking it: done is a ratchet (I3), unknown is
//! a state (H1), what a restart or a lost wire means is one event (H3). A refund is never repeated blindly: nobody lists refunds for us.

use crate::domain::attempt::Evidence;
use crate::domain::ids::Handle;
use crate::domain::money::Tiyn;
use crate::domain::outcome::Reason;
use serde::{Deserialize, Serialize};

/// How the money goes back.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By the terminal that took it.
    Terminal,
    /// Notes and coins, by the cashier.
    Cash,
    /// By a person in the partner's own application (Kaspi Pay), recorded here with its number.
    ByHand,
}

impl Way {
    /// The word of the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Way::Terminal => "terminal",
            Way::Cash => "cash",
            Way::ByHand => "by_hand",
        }
    }

    /// Reads the word of the ledger.
    pub fn from_word(word: &str) -> Option<Way> {
        [Way::Terminal, Way::Cash, Way::ByHand].into_iter().find(|way| way.word() == word)
    }
}

/// Where a refund stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Written down; nothing left this box yet.
    Planned,
    /// About to be sent or being sent: from here it is only asked about.
    Sent,
    /// The partner has it; the guest may have to confirm.
    Waiting,
    /// The money went back.
    Done,
    /// It did not happen: the sum is available again.
    Failed,
    /// Dropped before it left.
    Cancelled,
    /// Nobody here can judge it yet: the sum stays reserved.
    Unresolved,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 7] =
        [State::Planned, State::Sent, State::Waiting, State::Done, State::Failed, State::Cancelled, State::Unresolved];

    /// The word of the ledger and of the API.
    pub fn word(self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Sent => "sent",
            State::Waiting => "waiting",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Unresolved => "unresolved",
        }
    }

    /// Reads the word of the ledger.
    pub fn from_word(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether it may still give money back on the ordinary road.
    pub fn is_live(self) -> bool {
        match self {
            State::Planned | State::Sent | State::Waiting | State::Unresolved => true,
            State::Done | State::Failed | State::Cancelled => false,
        }
    }

    /// Whether its sum is spoken for: given back already, or perhaps about to be.
    pub fn holds_money(self) -> bool {
        self.is_live() || self == State::Done
    }
}

/// What can happen to a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The terminal's driver names it before it acts, where the name does not come from the partner.
    Named(Handle),
    /// The worker is about to act; committed before the first byte.
    Dispatched,
    /// The partner took it and named it.
    Accepted(Handle),
    /// Surely nothing left us: it goes back to the queue.
    NotSent(Reason),
    /// The money went back; the evidence's amount is what really went.
    Returned(Evidence),
    /// The partner's own record, or a person, says that it did not happen.
    Declined(Reason),
    /// Dropped by a person before it was sent.
    Withdrawn(Reason),
    /// The partner's record says that it goes on.
    Pending,
    /// A lost wire, a lost answer, a restart.
    Unknown(Reason),
}

/// A refund as the decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Where it stands.
    pub state: State,
    /// The partner's name of it.
    pub handle: Option<Handle>,
    /// What is to go back.
    pub amount: Tiyn,
    /// What proves that it went; only with `done`.
    pub proof: Option<Evidence>,
    /// Done after it had been failed: a person or the partner was corrected.
    pub late: bool,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
}

/// An event that this state does not know: a fault of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a refund that is {state:?} cannot take {event:?}")]
pub struct Illegal {
    /// Where the refund stood.
    pub state: State,
    /// What was to happen.
    pub event: Box<Event>,
}

impl Refund {
    /// A new refund: written down, not sent.
    pub fn planned(amount: Tiyn) -> Refund {
        Refund { state: State::Planned, handle: None, amount, proof: None, late: false, reason: None }
    }

    /// The only way a refund changes. Returns it unchanged where the event adds nothing.
    pub fn apply(&self, event: Event) -> Result<Refund, Illegal> {
        match self.state {
            State::Planned => match event {
                Event::Named(handle) => Ok(Refund { handle: Some(handle), ..self.clone() }),
                Event::Dispatched => Ok(self.to(State::Sent, None)),
                Event::NotSent(reason) => Ok(self.to(State::Planned, Some(reason))),
                Event::Declined(reason) => Ok(self.to(State::Failed, Some(reason))),
                Event::Withdrawn(reason) => Ok(self.to(State::Cancelled, Some(reason))),
                // Cash, or a refund that a person made outside: nothing of ours leaves the box.
                Event::Returned(proof) if proof.source == "person" => Ok(self.done(proof, false)),
                Event::Unknown(_) => Ok(self.clone()),
                Event::Accepted(_) | Event::Returned(_) | Event::Pending => {
                    Err(Illegal { state: self.state, event: Box::new(event) })
                }
            },
            State::Sent | State::Waiting | State::Unresolved => match event {
                Event::Accepted(handle) => {
                    Ok(Refund { state: State::Waiting, handle: Some(handle), reason: None, ..self.clone() })
                }
                Event::NotSent(reason) if self.state == State::Sent => Ok(self.to(State::Planned, Some(reason))),
                Event::Returned(proof) => Ok(self.done(proof, false)),
                Event::Declined(reason) => Ok(self.to(State::Failed, Some(reason))),
                Event::Pending if self.handle.is_some() => Ok(self.to(State::Waiting, None)),
                Event::Pending | Event::NotSent(_) => Ok(self.clone()),
                Event::Unknown(reason) => Ok(self.to(State::Unresolved, Some(reason))),
                Event::Named(_) | Event::Dispatched | Event::Withdrawn(_) => {
                    Err(Illegal { state: self.state, event: Box::new(event) })
                }
            },
            State::Failed | State::Cancelled => match event {
                Event::Returned(proof) => Ok(self.done(proof, true)),
                Event::Accepted(handle) => Ok(Refund { handle: Some(handle), ..self.clone() }),
                Event::NotSent(_) | Event::Declined(_) | Event::Withdrawn(_) | Event::Pending | Event::Unknown(_) => {
                    Ok(self.clone())
                }
                Event::Named(_) | Event::Dispatched => Err(Illegal { state: self.state, event: Box::new(event) }),
            },
            // The ratchet: money that went back does not come again.
            State::Done => match event {
                Event::Accepted(_)
                | Event::NotSent(_)
                | Event::Returned(_)
                | Event::Declined(_)
                | Event::Withdrawn(_)
                | Event::Pending
                | Event::Unknown(_) => Ok(self.clone()),
                Event::Named(_) | Event::Dispatched => Err(Illegal { state: self.state, event: Box::new(event) }),
            },
        }
    }

    /// What surely went back.
    pub fn returned(&self) -> Tiyn {
        self.proof.as_ref().filter(|_| self.state == State::Done).map_or(Tiyn::ZERO, |proof| proof.amount)
    }

    fn to(&self, state: State, reason: Option<Reason>) -> Refund {
        Refund { state, reason, ..self.clone() }
    }

    fn done(&self, proof: Evidence, late: bool) -> Refund {
        Refund { state: State::Done, proof: Some(proof), late, reason: None, ..self.clone() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proof(source: &str) -> Evidence {
        Evidence {
            amount: Tiyn(500),
            method: "qr".into(),
            transaction: "1".into(),
            source: source.into(),
            detail: String::new(),
            tendered: None,
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let reason = || Reason::new("test", "");
        prop_oneof![
            Just(Event::Named(Handle("n".into()))),
            Just(Event::Dispatched),
            Just(Event::Accepted(Handle("h".into()))),
            Just(Event::NotSent(reason())),
            Just(Event::Returned(proof("terminal"))),
            Just(Event::Declined(reason())),
            Just(Event::Withdrawn(reason())),
            Just(Event::Pending),
            Just(Event::Unknown(reason())),
        ]
    }

    proptest! {
        /// Money leaves by us once: after the first dispatch only "surely not sent" leads back to the queue, and done is never undone.
        #[test]
        fn done_is_a_ratchet_and_nothing_is_sent_twice(events in proptest::collection::vec(any_event(), 0..24)) {
            let mut refund = Refund::planned(Tiyn(500));
            let (mut sent, mut recalled, mut was_done) = (0, 0, false);
            for event in events {
                let (dispatch, recall) =
                    (event == Event::Dispatched, matches!(event, Event::NotSent(_)) && refund.state == State::Sent);
                if let Ok(next) = refund.apply(event) {
                    sent += u32::from(dispatch);
                    recalled += u32::from(recall);
                    refund = next;
                }
                was_done |= refund.state == State::Done;
                prop_assert!(!was_done || refund.state == State::Done);
                prop_assert!(sent - recalled <= 1);
                prop_assert_eq!(refund.state == State::Done, refund.proof.is_some());
            }
        }
    }

    #[test]
    fn a_refund_by_a_person_needs_no_wire() {
        let done = Refund::planned(Tiyn(500)).apply(Event::Returned(proof("person"))).unwrap();
        assert_eq!((done.state, done.returned()), (State::Done, Tiyn(500)));
        assert!(Refund::planned(Tiyn(500)).apply(Event::Returned(proof("terminal"))).is_err());
    }
}
