//! All tests in one binary: on two cores linking costs more than running. One module per kind of proof (style: tests).
mod config;
mod counter;
mod crash;
mod exchanges;
mod ledger;
mod receipts;
mod schema;
mod shop;
mod simulation;
mod tidy;
