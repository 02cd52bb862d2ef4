//! The only source of random bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Letters without the pairs that people confuse.
const ALPHABET: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyz0";

/// Makes names that nobody can guess; a seeded one makes the same names every time, for tests and the demo.
#[derive(Clone, Debug)]
pub struct Ids(Source);

#[derive(Clone, Debug)]
enum Source {
    Machine,
    Seeded(Arc<AtomicU64>),
}

impl Ids {
    /// Names from the machine's random source.
    pub fn machine() -> Ids {
        Ids(Source::Machine)
    }

    /// The same names for the same seed.
    pub fn seeded(seed: u64) -> Ids {
        Ids(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        match &self.0 {
            // Without a random source nothing may be signed or named: there is no honest way on.
            #[allow(clippy::panic)]
            Source::Machine => getrandom::u64().unwrap_or_else(|cause| panic!("no random source: {cause}")),
            Source::Seeded(state) => {
                split_mix(state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15))
            }
        }
    }

    /// A number from 0 up to, without, `below`.
    pub fn below(&self, below: u64) -> u64 {
        self.bits() % below.max(1)
    }

    /// A name of `letters` letters and digits.
    pub fn name(&self, letters: usize) -> String {
        (0..letters).map(|_| char::from(ALPHABET[usize::try_from(self.bits() % 32).unwrap_or(0)])).collect()
    }

    /// A random UUID (RFC 9562, version 4).
    pub fn uuid(&self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let (version, variant) =
            (high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000, low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            version >> 32,
            version >> 16 & 0xFFFF,
            version & 0xFFFF,
            variant >> 48,
            variant & 0xFFFF_FFFF_FFFF
        )
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
fn split_mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
