//! Time of day as a label. Wall time never decides money (I6): deadlines are monotonic and live in the workers.

use serde::{Deserialize, Serialize};

/// Time of day in milliseconds since 1970 UTC; it may jump, so it only labels.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl Wall {
    /// The label `ms` milliseconds later.
    pub fn plus_ms(self, ms: i64) -> Wall {
        Wall(self.0.saturating_add(ms))
    }
}
