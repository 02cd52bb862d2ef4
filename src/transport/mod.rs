//! Wires. A transport's only failure is [`Loss`]: no byte accepted by the other side is `NotSent`; anything later is `Unknown` (law 5).

pub mod address;
pub mod discover;
pub mod permit;
mod serial;
mod tcp;
mod usb;
pub mod web;
pub mod wire;

/// How a wire failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// No byte was accepted by the other side: the act surely did not happen.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Bytes may have arrived: what became of the act is unknown.
    #[error("the answer was lost: {0}")]
    Unknown(String),
}
