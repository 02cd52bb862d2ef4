//! Pure laws of the counter: no clock, no random source, no database, no log. Every function here is a decision over values.
//!
//! Kept by these types: paid is a ratchet (I3) and unknown a state (H1, H3) in [`attempt`]; silence is never "not paid" (I1) in [`outcome`];
//! money is integers (I9) in [`money`]; wall time is a label (I6) in [`time`]; a repeat says so (I7) in [`paper`]. All laws: [`crate`].
pub mod attempt;
pub mod bill;
pub mod fiscal;
pub mod ids;
pub mod money;
pub mod order;
pub mod outcome;
pub mod paper;
pub mod people;
pub mod refund;
pub mod time;
