//! All tests in one binary: on two cores linking costs more than running. One module per kind of proof (style: tests).
mod balance;
mod clock;
mod config;
mod counter;
mod crash;
mod displays;
mod doctor;
mod exchanges;
mod ledger;
mod patience;
mod receipts;
mod refunds;
mod schema;
mod shop;
mod terminal;
mod tidy;
