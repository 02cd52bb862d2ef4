//! HMAC-SHA256 over raw bytes, the signature of every webhook we take or give (mission-apis §1). Only this file makes a
//! [`Verified`] body, so whoever reads a notice holds the proof that its signature was checked. Keys are tried all, in constant time.

use super::{Forged, Verified};
use crate::host::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// How many bytes SHA-256 works on at once: a key is filled up to it, a longer key is hashed first (RFC 2104).
const BLOCK_BYTES: usize = 64;
/// How many bytes a signature has.
const SIGNATURE_BYTES: usize = 32;

/// Signs a body: lower-case hex.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    mac(secret.expose().as_bytes(), body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks a signature in hex against each secret in turn; the dialect says which of the partner's forms carried it.
pub fn verify(secrets: &[Secret], signature: &str, body: &[u8], dialect: &'static str) -> Result<Verified, Forged> {
    let claimed = unhex(signature).ok_or(Forged)?;
    let mut is_genuine = Choice::from(0);
    // An empty secret would let anybody sign.
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        is_genuine |= mac(secret.expose().as_bytes(), body).ct_eq(&claimed);
    }
    if is_genuine.into() { Ok(Verified { body: body.to_vec(), dialect }) } else { Err(Forged) }
}

fn mac(key: &[u8], body: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let hashed = Sha256::digest(key);
    let short = if key.len() > BLOCK_BYTES { hashed.as_slice() } else { key };
    block.iter_mut().zip(short).for_each(|(place, byte)| *place = *byte);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(body);
    mac.finalize().into_bytes().into()
}

fn unhex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut bytes = [0; SIGNATURE_BYTES];
    if text.len() != SIGNATURE_BYTES * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6 (a key longer than a block).
    #[test]
    fn published_vectors() {
        let signed = sign(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(signed, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = mac(&[0xAA; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"), Some(long));
    }

    #[test]
    fn any_of_several_secrets_signs_and_nothing_else_does() {
        let secrets = [Secret::new("old"), Secret::new("new"), Secret::new("")];
        let good = sign(&secrets[1], b"body");
        assert_eq!(verify(&secrets, &good, b"body", "A").map(|verified| verified.dialect()), Ok("A"));
        assert_eq!(
            verify(&secrets, &good.to_uppercase(), b"body", "A").map(|verified| verified.body),
            Ok(b"body".to_vec())
        );
        assert_eq!(verify(&secrets, &good, b"body ", "A"), Err(Forged));
        assert_eq!(verify(&secrets[..1], &good, b"body", "A"), Err(Forged));
        assert_eq!(verify(&[], &good, b"body", "A"), Err(Forged));
        assert_eq!(verify(&secrets, &sign(&secrets[2], b"body"), b"body", "A"), Err(Forged));
        for bad in ["", "zz", &good[..63], &format!("{good}0"), &format!("sha256={good}"), &"é".repeat(32)] {
            assert_eq!(verify(&secrets, bad, b"body", "A"), Err(Forged), "{bad}");
        }
    }
}
