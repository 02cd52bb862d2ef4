//! Pure laws of the counter: no clock, no random source, no database, no log. Every function here is a decision over values.
pub mod attempt;
pub mod ids;
pub mod money;
pub mod order;
pub mod outcome;
pub mod paper;
pub mod time;
