//! When the next question goes out, and what two misses in a row mean: pure. The gaps keep detection within twelve seconds while a
//! payment is live, and the month within 150 MB of mobile data.

use super::Reach;
use crate::host::clock::Monotonic;
use std::time::Duration;

/// How long one question may take. Five seconds between two starts and two misses are under twelve.
pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// Between two questions while a payment is live at a cloud, from start to start.
pub(super) const LIVE_GAP: Duration = Duration::from_secs(5);
/// The same while the shop is open.
pub(super) const OPEN_GAP: Duration = Duration::from_secs(30);
/// The same at night.
pub(super) const NIGHT_GAP: Duration = Duration::from_secs(300);
/// The same until the way in is proven.
pub(super) const DOWN_GAP: Duration = Duration::from_secs(2);

/// How long after the last order or payment the shop counts as open.
pub(super) const OPEN_FOR: Duration = Duration::from_secs(3600);

/// How long a connection may stand without one question coming back before it is made anew; longer each time.
const PATIENCE_MIN: Duration = Duration::from_secs(10);
const PATIENCE_MAX: Duration = Duration::from_secs(120);

/// How busy the shop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hours {
    /// A payment or refund is under way at a cloud.
    Live,
    /// Something happened within the last hour.
    Open,
    /// Nothing did.
    Night,
}

impl Hours {
    /// Between two questions that come back.
    pub(super) fn gap(self) -> Duration {
        match self {
            Hours::Live => LIVE_GAP,
            Hours::Open => OPEN_GAP,
            Hours::Night => NIGHT_GAP,
        }
    }
}

/// What one question brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Our own listener's answer.
    Ours,
    /// Nothing in time, or no connection at all: the code of the sentence, and what the log says.
    Nobody(&'static str, String),
    /// Another answer than ours: it costs data, and somebody is there to be asked less often.
    Stranger(String),
}

/// What follows from a question and, where it was a miss, its repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the outside reaches us.
    pub(super) reach: Reach,
    /// Whether the connection is to be made anew.
    pub(super) renew: bool,
}

/// The deadlines of questions.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    started: Option<Monotonic>,
    /// Double misses in a row that somebody else answered.
    strange: u32,
    /// Renewals since the last question that came back.
    renewals: u32,
}

impl Pulse {
    /// When the next question is due.
    pub(super) fn due(&self, hours: Hours, reach: Reach) -> Monotonic {
        let gap = match reach {
            Reach::Up | Reach::Unwatched => hours.gap(),
            Reach::Unknown | Reach::Down => DOWN_GAP.saturating_mul(1 << self.strange.min(10)).min(hours.gap()),
        };
        self.started.map_or(Monotonic::default(), |started| started.plus(gap))
    }

    /// A question goes out.
    pub(super) fn start(&mut self, now: Monotonic) {
        self.started = Some(now);
    }

    /// The next question is due at once: the connection is new.
    pub(super) fn hurry(&mut self) {
        (self.started, self.strange) = (None, 0);
    }

    /// Judges a question by its last answer, over a connection that is there since `opened`.
    pub(super) fn judge(&mut self, heard: &Heard, reach: Reach, opened: Monotonic, now: Monotonic) -> Verdict {
        match heard {
            Heard::Ours => {
                (self.strange, self.renewals) = (0, 0);
                return Verdict { reach: Reach::Up, renew: false };
            }
            Heard::Nobody(..) => self.strange = 0,
            Heard::Stranger(_) => self.strange = self.strange.saturating_add(1),
        }
        let stood = now.since(opened);
        let patience = PATIENCE_MIN.saturating_mul(1 << self.renewals.min(8)).min(PATIENCE_MAX);
        let renew = reach == Reach::Up || stood >= patience;
        self.renewals = self.renewals.saturating_add(u32::from(renew));
        // A program takes its time to connect: until then nothing is known.
        let is_early = reach == Reach::Unknown && stood < PATIENCE_MIN;
        Verdict { reach: if is_early { Reach::Unknown } else { Reach::Down }, renew }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Monotonic {
        Monotonic(Duration::from_secs(s))
    }

    #[test]
    fn f11_a_dead_path_is_known_within_twelve_seconds() {
        // It dies right after a question came back: the next one, its limit, and the repetition with its limit.
        assert!(LIVE_GAP + LIMIT + LIMIT <= Duration::from_secs(12));
        assert!(OPEN_GAP + LIMIT + LIMIT <= Duration::from_secs(40));
        let mut pulse = Pulse::default();
        pulse.start(at(100));
        let due = |pulse: &Pulse, hours, reach| pulse.due(hours, reach).0.as_secs();
        assert_eq!(due(&pulse, Hours::Live, Reach::Up), 105);
        assert_eq!(due(&pulse, Hours::Open, Reach::Up), 130);
        assert_eq!(due(&pulse, Hours::Night, Reach::Up), 400);
        assert_eq!(due(&pulse, Hours::Night, Reach::Down), 102);
        pulse.hurry();
        assert_eq!(due(&pulse, Hours::Night, Reach::Up), 0);
    }

    #[test]
    fn a_dead_connection_is_made_anew_at_once_and_then_ever_later() {
        let mut pulse = Pulse::default();
        let nobody = Heard::Nobody("tunnel_lost", String::new());
        let up = pulse.judge(&Heard::Ours, Reach::Unknown, at(0), at(1));
        assert_eq!(up, Verdict { reach: Reach::Up, renew: false });
        assert_eq!(pulse.judge(&nobody, Reach::Up, at(0), at(60)), Verdict { reach: Reach::Down, renew: true });
        // The new connection stands since 61 and carries nothing.
        let renewed: Vec<u64> = (62..200)
            .scan(61, |opened, now| {
                let renew = pulse.judge(&nobody, Reach::Down, at(*opened), at(now)).renew;
                if renew {
                    *opened = now;
                }
                Some(renew.then_some(now))
            })
            .flatten()
            .collect();
        assert_eq!(
            renewed,
            [81, 121],
            "twenty seconds after the first, forty after the second, eighty after the third"
        );
        assert_eq!(pulse.judge(&Heard::Ours, Reach::Down, at(121), at(200)).reach, Reach::Up);
    }

    #[test]
    fn a_stranger_is_asked_ever_less_and_silence_is_not() {
        let mut pulse = Pulse::default();
        let stranger = Heard::Stranger("HTTP 502".to_owned());
        let mut gaps = Vec::new();
        for _ in 0..6 {
            pulse.start(at(1000));
            let _verdict = pulse.judge(&stranger, Reach::Down, at(999), at(1000));
            gaps.push(pulse.due(Hours::Open, Reach::Down).since(at(1000)).as_secs());
        }
        assert_eq!(gaps, [4, 8, 16, 30, 30, 30]);
        assert_eq!(pulse.due(Hours::Live, Reach::Down).since(at(1000)).as_secs(), 5);
        let _verdict = pulse.judge(&Heard::Nobody("tunnel_lost", String::new()), Reach::Down, at(999), at(1000));
        assert_eq!(pulse.due(Hours::Night, Reach::Down).since(at(1000)).as_secs(), 2);
    }

    #[test]
    fn a_program_that_still_connects_is_not_down() {
        let mut pulse = Pulse::default();
        let nobody = Heard::Nobody("tunnel_lost", String::new());
        let early = pulse.judge(&nobody, Reach::Unknown, at(0), at(4));
        assert_eq!(early, Verdict { reach: Reach::Unknown, renew: false });
        assert_eq!(pulse.judge(&nobody, Reach::Unknown, at(0), at(12)).reach, Reach::Down);
    }
}
