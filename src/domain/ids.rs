//! Names of things: row numbers as their own types (no bare `id: i64`), and the two names of an attempt.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    )+};
}

row_id!(
    /// An order of the POS, of a bot or of the API, in our ledger.
    OrderId,
    /// A share of an order collected by one tender.
    PartId,
    /// One effort to collect a part.
    AttemptId,
    /// One effort to give money back.
    RefundId,
    /// Something that must still happen outside.
    JobId,
    /// A verified message, kept raw.
    InboxId,
    /// What only evidence or a named person settles.
    QuestionId,
    /// A row of the journal.
    Seq,
    /// A row of `fiscal`: a document for the cash register.
    FiscalId,
);

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    )+};
}

text_id!(
    /// Our name of an attempt, unique for ever: `<shop>-<order>-<part>-<attempt>`; also the payment's public id.
    Reference,
    /// The partner's name of an attempt: a process id, an invoice id.
    Handle,
);
