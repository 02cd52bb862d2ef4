//! Till software.

pub mod poster;
