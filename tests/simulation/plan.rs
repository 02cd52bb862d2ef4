//! What a simulated day is made of: a seed, the guests who come, the misfortunes that may strike. A failing plan shrinks by dropping
//! misfortunes and guests; every draw has a stream of its own, so that dropping one leaves the others where they were.

use std::collections::BTreeSet;
use std::time::Duration;

/// Everything that can go wrong, with its chance in a million at each opportunity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Cut,
    Swallowed,
    Unanswered,
    TooLate,
    Slow,
    Throttled,
    Garbage,
    Outage,
    TerminalUnclear,
    TerminalLies,
    TerminalReboot,
    TerminalByHand,
    TerminalRefuses,
    TokenExpired,
    NeedsTap,
    GuestDeclines,
    GuestLeaves,
    GuestSlow,
    PaysLate,
    PaysLess,
    PaysMore,
    NoticeLost,
    NoticeTwice,
    NoticeLate,
    NoticeEarly,
    NoticeForged,
    NoticeLies,
    NoticeUnreadable,
    NoticeStranger,
    CloudRefuses,
    CloudError,
    CloudForgets,
    OrderGrows,
    OrderShrinks,
    ClosedByHand,
    OrderRemoved,
    PosRefuses,
    PosPretends,
    PaperEnds,
    PrinterOff,
    WireCut,
    NoProof,
    BotRefuses,
    BotRepeats,
    BotChangesMind,
    DiskFull,
    Kill,
    Stop,
    ClockJump,
    SecondDaemon,
    DoubleTap,
    SecondTill,
    Cancels,
    WrongAnswer,
    Parts,
    BringsBack,
    RegisterStops,
    RegisterRefuses,
    RegisterAlone,
}

impl Kind {
    pub const ALL: [(Kind, u64); 59] = [
        (Kind::Cut, 12_000),
        (Kind::Swallowed, 2_000),
        (Kind::Unanswered, 3_000),
        (Kind::TooLate, 3_000),
        (Kind::Slow, 15_000),
        (Kind::Throttled, 8_000),
        (Kind::Garbage, 5_000),
        (Kind::Outage, 1_500),
        (Kind::TerminalUnclear, 80_000),
        (Kind::TerminalLies, 30_000),
        (Kind::TerminalReboot, 30_000),
        (Kind::TerminalByHand, 30_000),
        (Kind::TerminalRefuses, 15_000),
        (Kind::TokenExpired, 20_000),
        (Kind::NeedsTap, 100_000),
        (Kind::GuestDeclines, 60_000),
        (Kind::GuestLeaves, 40_000),
        (Kind::GuestSlow, 30_000),
        (Kind::PaysLate, 300_000),
        (Kind::PaysLess, 20_000),
        (Kind::PaysMore, 20_000),
        (Kind::NoticeLost, 100_000),
        (Kind::NoticeTwice, 150_000),
        (Kind::NoticeLate, 100_000),
        (Kind::NoticeEarly, 60_000),
        (Kind::NoticeForged, 30_000),
        (Kind::NoticeLies, 30_000),
        (Kind::NoticeUnreadable, 10_000),
        (Kind::NoticeStranger, 10_000),
        (Kind::CloudRefuses, 15_000),
        (Kind::CloudError, 20_000),
        (Kind::CloudForgets, 10_000),
        (Kind::OrderGrows, 40_000),
        (Kind::OrderShrinks, 30_000),
        (Kind::ClosedByHand, 30_000),
        (Kind::OrderRemoved, 15_000),
        (Kind::PosRefuses, 20_000),
        (Kind::PosPretends, 20_000),
        (Kind::PaperEnds, 25_000),
        (Kind::PrinterOff, 15_000),
        (Kind::WireCut, 25_000),
        (Kind::NoProof, 15_000),
        (Kind::BotRefuses, 60_000),
        (Kind::BotRepeats, 150_000),
        (Kind::BotChangesMind, 80_000),
        (Kind::DiskFull, 300_000),
        (Kind::Kill, 1_200),
        (Kind::Stop, 150_000),
        (Kind::ClockJump, 400_000),
        (Kind::SecondDaemon, 200_000),
        (Kind::DoubleTap, 100_000),
        (Kind::SecondTill, 60_000),
        (Kind::Cancels, 50_000),
        (Kind::WrongAnswer, 80_000),
        (Kind::Parts, 150_000),
        (Kind::BringsBack, 120_000),
        (Kind::RegisterStops, 10_000),
        (Kind::RegisterRefuses, 15_000),
        (Kind::RegisterAlone, 20_000),
    ];

    pub fn chance(self) -> u64 {
        Kind::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, chance)| *chance)
    }

    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

/// What is broken on purpose, to prove that the laws see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The terminal takes the money twice.
    ChargesTwice,
    /// The terminal gives the money back twice.
    GivesBackTwice,
    /// A driver calls a lost answer "not sent", as many integrations do.
    LossIsNotSent,
    /// A driver calls a lost answer "not paid", as many more do.
    LossIsFailure,
    /// A driver says "paid" of what waits.
    WaitIsPaid,
    /// The close goes out with a sum that is too small.
    WrongSum,
    /// The close goes out twice.
    ClosesTwice,
    /// The printer proves a paper that never came out.
    PaperLost,
    /// Paper comes out twice without the mark.
    PaperTwice,
    /// Nobody answers any question.
    DeafPeople,
    /// A power cut takes the last commits with it, as without `synchronous=FULL` (I2).
    ForgetfulDisk,
    /// Somebody edits the journal.
    EditedJournal,
    /// The bot's notices are dropped and called delivered.
    SilentCourier,
    /// The register is told of a document under a new key at each try.
    RegistersTwice,
    /// A return of money is not registered.
    ForgetsReturns,
}

/// A day to play.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub guests: BTreeSet<u64>,
    pub off: BTreeSet<Kind>,
    /// Misfortunes end at this time of the day.
    pub calm_at: Duration,
    pub mutant: Option<Mutant>,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let guests = 20 + mix(seed, 1) % 21;
        Plan {
            seed,
            guests: (0..guests).collect(),
            off: BTreeSet::new(),
            calm_at: Duration::from_secs(3600),
            mutant: None,
        }
    }

    pub fn broken(seed: u64, mutant: Mutant) -> Plan {
        Plan { mutant: Some(mutant), ..Plan::of(seed) }
    }
}

/// The finaliser of SplitMix64 over a seed and a stream.
pub fn mix(seed: u64, stream: u64) -> u64 {
    let mut word = seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
    for _ in 0..2 {
        word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
    }
    word
}
