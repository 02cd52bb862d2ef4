//! The question that proves the way in: a nonce goes out to the public address and must come back to our own public listener. Whoever
//! answers shows the nonce with a proof that only this daemon can make, so that a router's page or another shop is never taken for us.

use crate::host::ids::Ids;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Characters of our own nonces.
const NONCE_CHARS: usize = 20;

/// Characters of any nonce that is answered.
pub const NONCE_CHARS_MAX: usize = 64;

/// Nonces on their way at once; the oldest is forgotten.
const OUTSIDE_MAX: usize = 16;

/// Hex digits of a proof: 64 bits, for a question that opens nothing.
const PROOF_CHARS: usize = 16;

/// What both listeners and the worker of the tunnel know of probes. A key of its own for each run of the daemon.
#[derive(Clone)]
pub struct Probes {
    key: [u8; 16],
    outside: Arc<Mutex<VecDeque<String>>>,
}

impl Probes {
    /// Probes of one run.
    pub fn new(ids: &Ids) -> Probes {
        let (high, low) = (ids.bits().to_be_bytes(), ids.bits().to_be_bytes());
        let mut key = [0; 16];
        for (place, byte) in key.iter_mut().zip(high.into_iter().chain(low)) {
            *place = byte;
        }
        Probes { key, outside: Arc::default() }
    }

    /// A fresh nonce that is on its way from now on.
    pub fn issue(&self, ids: &Ids) -> String {
        let nonce = ids.name(NONCE_CHARS);
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        if outside.len() >= OUTSIDE_MAX {
            outside.pop_front();
        }
        outside.push_back(nonce.clone());
        nonce
    }

    /// It came back, or it is given up.
    pub fn forget(&self, nonce: &str) {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != nonce);
    }

    /// Whether a nonce is one of ours that is on its way: it is answered in any flood.
    pub fn is_ours(&self, nonce: &str) -> bool {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == nonce)
    }

    /// What the listeners answer: the nonce and its proof. `None`: it is no nonce.
    pub fn answer(&self, nonce: &str) -> Option<String> {
        is_nonce(nonce).then(|| format!("{nonce} {}\n", self.proof(nonce)))
    }

    fn proof(&self, nonce: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(nonce.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        hex.chars().take(PROOF_CHARS).collect()
    }
}

/// Whether a text may be a nonce: letters and digits, not too many.
pub fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.len() <= NONCE_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_run_proves_a_nonce() {
        let ids = Ids::seeded(1);
        let (ours, others) = (Probes::new(&ids), Probes::new(&ids));
        let nonce = ours.issue(&ids);
        assert!(ours.is_ours(&nonce) && !others.is_ours(&nonce));
        assert_eq!(ours.answer(&nonce), ours.answer(&nonce));
        assert_ne!(ours.answer(&nonce), others.answer(&nonce));
        ours.forget(&nonce);
        assert!(!ours.is_ours(&nonce));
        for bad in ["", "../etc", "a b", "%41", &"a".repeat(NONCE_CHARS_MAX + 1)] {
            assert_eq!(ours.answer(bad), None, "{bad}");
        }
    }
}
