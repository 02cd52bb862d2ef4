//! kassad: the bridge at the restaurant counter.
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod drivers;
pub mod flows;
pub mod host;
pub mod http;
pub mod i18n;
pub mod ledger;
pub mod sandbox;
pub mod transport;
pub mod workers;
