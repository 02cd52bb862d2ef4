//! all tests
mod exchanges;
