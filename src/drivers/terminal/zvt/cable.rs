//! The wire of a ZVT terminal as the driver uses it: opened again and again, read in short spans, timed by the house's clock. A reader
//! of deadlines belongs to the wire, so the driver itself holds no clock.

use crate::host::clock::{Clock, Monotonic};
use crate::transport::Loss;
use crate::transport::address::Address;
use crate::transport::wire::{Limits, Wire};
use futures_util::future::BoxFuture;
use std::time::Duration;

/// A wire that may be gone and come back.
pub trait Cable: Send {
    /// Opens it, unless it is open.
    fn open(&mut self) -> BoxFuture<'_, Result<(), Loss>>;
    /// Whether it is open.
    fn is_open(&self) -> bool;
    /// Lets it go.
    fn close(&mut self);
    /// Writes all; with `counts` a loss after the first byte is `Unknown`, without it the bytes ask only.
    fn write<'a>(&'a mut self, bytes: &'a [u8], counts: bool) -> BoxFuture<'a, Result<(), Loss>>;
    /// Reads what came, waiting at most a span; empty when nothing came.
    fn read(&mut self, span: Duration) -> BoxFuture<'_, Result<Vec<u8>, Loss>>;
    /// The point of time now.
    fn now(&self) -> Monotonic;
}

/// A serial line or a TCP connection.
#[derive(Debug)]
pub struct WireCable {
    address: Address,
    clock: Clock,
    wire: Option<Wire>,
}

impl WireCable {
    /// A wire to an address, not opened yet.
    pub fn new(address: Address, clock: Clock) -> WireCable {
        WireCable { address, clock, wire: None }
    }
}

fn closed() -> Loss {
    Loss::NotSent("the line is closed".to_owned().into())
}

impl Cable for WireCable {
    fn open(&mut self) -> BoxFuture<'_, Result<(), Loss>> {
        Box::pin(async move {
            if self.wire.is_none() {
                self.wire = Some(Wire::open(&self.address, Limits::default(), &self.clock).await?);
            }
            Ok(())
        })
    }

    fn is_open(&self) -> bool {
        self.wire.is_some()
    }

    fn close(&mut self) {
        self.wire = None;
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8], counts: bool) -> BoxFuture<'a, Result<(), Loss>> {
        Box::pin(async move {
            let wire = self.wire.as_mut().ok_or_else(closed)?;
            if counts { wire.write_all(bytes).await } else { wire.ask(bytes).await }
        })
    }

    fn read(&mut self, span: Duration) -> BoxFuture<'_, Result<Vec<u8>, Loss>> {
        Box::pin(async move { self.wire.as_mut().ok_or_else(closed)?.read_some(span).await })
    }

    fn now(&self) -> Monotonic {
        self.clock.now()
    }
}
