//! All tests from outside, in one binary.
mod config;
mod tidy;
