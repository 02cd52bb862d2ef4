//! all tests
mod receipts;
