//! The outside world as real servers on loopback.

pub mod printer;
