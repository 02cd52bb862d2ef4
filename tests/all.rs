//! All tests in one binary: on two cores linking costs more than running. One module per kind of proof (style: tests).
mod clock;
mod config;
mod counter;
mod crash;
mod dialogues;
mod exchanges;
mod ledger;
mod patience;
mod receipts;
mod refunds;
mod schema;
mod shop;
mod terminal;
mod tidy;
mod zvt;
