//! Whether a cloud's notices reach us at all. Asking finds every payment, so a wrong address at the cloud would stay unseen for ever: when
//! three payments in a row were found by asking alone while the way in was open, somebody should look (F10).

use crate::domain::ids::AttemptId;
use crate::host::clock::Monotonic;
use crate::workers::tunnel::Reach;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a notice may take after we found the payment ourselves.
const GRACE: Duration = Duration::from_secs(60);

/// Payments in a row without a notice that are no accident.
const UNHEARD_MAX: u32 = 3;

/// Payments whose notices are waited for at once; more are not judged.
const WAITING_MAX: usize = 64;

/// What is known of one cloud's notices since the start.
#[derive(Debug, Default)]
pub struct Hearing {
    waiting: VecDeque<(AttemptId, Monotonic)>,
    unheard: u32,
    /// The newest notice when the alarm began: a newer one ends it.
    newest: Option<i64>,
}

impl Hearing {
    /// A payment was found to be paid. It counts where the outside reaches us.
    pub fn paid(&mut self, attempt: AttemptId, reach: Reach, now: Monotonic) {
        if reach == Reach::Up && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((attempt, now));
        }
    }

    /// The way in was lost: what was not heard meanwhile proves nothing.
    pub fn lost_the_way(&mut self) {
        self.waiting.clear();
    }

    /// The payment whose time for a notice is over.
    pub fn due(&mut self, now: Monotonic) -> Option<AttemptId> {
        let is_due = self.waiting.front().is_some_and(|(_, since)| now.since(*since) >= GRACE);
        is_due.then(|| self.waiting.pop_front()).flatten().map(|(attempt, _)| attempt)
    }

    /// When the next payment is due.
    pub fn next(&self) -> Option<Monotonic> {
        self.waiting.front().map(|(_, since)| since.plus(GRACE))
    }

    /// Judges a payment by whether its notice came; whether the alarm begins. `newest`: the newest notice of this cloud.
    pub fn judge(&mut self, was_heard: bool, newest: Option<i64>) -> bool {
        self.unheard = if was_heard { 0 } else { self.unheard.saturating_add(1) };
        if self.unheard == UNHEARD_MAX {
            self.newest = newest;
        }
        self.unheard == UNHEARD_MAX
    }

    /// A look at the newest notice: a new one ends the alarm; whether it did.
    pub fn hears(&mut self, newest: Option<i64>) -> bool {
        let ends = self.is_alarmed() && newest > self.newest;
        if ends {
            self.unheard = 0;
        }
        ends
    }

    /// Whether somebody should look.
    pub fn is_alarmed(&self) -> bool {
        self.unheard >= UNHEARD_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Monotonic {
        Monotonic(Duration::from_secs(s))
    }

    #[test]
    fn f10_three_payments_in_a_row_without_a_notice_are_an_alarm_until_one_comes() {
        let mut hearing = Hearing::default();
        hearing.paid(AttemptId(1), Reach::Up, at(0));
        assert_eq!((hearing.due(at(59)), hearing.next()), (None, Some(at(60))));
        assert_eq!(hearing.due(at(60)), Some(AttemptId(1)));
        assert_eq!(hearing.due(at(60)), None);
        for was_heard in [false, false, true, false, false] {
            assert!(!hearing.judge(was_heard, Some(7)));
        }
        assert!(hearing.judge(false, Some(7)) && hearing.is_alarmed());
        assert!(!hearing.judge(false, Some(7)), "said once");
        assert!(!hearing.hears(Some(7)) && hearing.is_alarmed());
        assert!(hearing.hears(Some(8)) && !hearing.is_alarmed());
    }

    #[test]
    fn f10_what_was_paid_while_the_way_in_was_closed_proves_nothing() {
        let mut hearing = Hearing::default();
        for reach in [Reach::Unwatched, Reach::Unknown, Reach::Down] {
            hearing.paid(AttemptId(1), reach, at(0));
        }
        assert_eq!(hearing.next(), None);
        hearing.paid(AttemptId(1), Reach::Up, at(0));
        hearing.lost_the_way();
        assert_eq!(hearing.due(at(1000)), None);
    }
}
