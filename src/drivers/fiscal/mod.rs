//! Cash registers with a fiscal memory, one service per file.

pub mod webkassa;
