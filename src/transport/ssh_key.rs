//! Keys of SSH without a session: a new key of ours for an installation, and the key that a server shows before anybody logs in. Whether
//! that key is the right one, only a person who sees the server itself can tell: nothing here believes it.

use crate::host::clock::Clock;
use crate::host::ids::Ids;
use crate::host::secret::Secret;
use russh::client::{Config, Handler, connect_stream};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{HashAlg, PrivateKey, PublicKey, PublicKeyOrCertificate};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long the whole look at a server may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of the seed of an ed25519 key (RFC 8032).
const SEED_BYTES: usize = 32;

/// A new key of ours.
pub struct NewKey {
    /// The private key in OpenSSH's form, several lines.
    pub private: Secret,
    /// Its public line: `ssh-ed25519 AAAA… comment`.
    pub public: String,
}

/// The key that a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// As `host_keys` of the configuration takes it: `ssh-ed25519 AAAA…`.
    pub line: String,
    /// As `ssh-keygen -lf` prints it: `SHA256:…`.
    pub fingerprint: String,
}

/// Why no key was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// There is no way to the server.
    #[error("not reached: {0}")]
    Away(String),
    /// Nobody answered in time.
    #[error("no answer within {} s", LOOK_LIMIT.as_secs())]
    Silent,
    /// What answers is no SSH server that we understand.
    #[error("it is no SSH server: {0}")]
    Foreign(String),
}

/// Makes an ed25519 key from the machine's chance; `None` where the library cannot write it.
pub fn make(ids: &Ids, comment: &str) -> Option<NewKey> {
    let mut seed = [0; SEED_BYTES];
    for (places, _) in seed.chunks_mut(8).zip(0..) {
        places.copy_from_slice(&ids.bits().to_be_bytes());
    }
    let pair = Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(KeypairData::from(pair), comment).ok()?;
    let private = key.to_openssh(LineEnding::LF).ok()?;
    let public = key.public_key().to_openssh().ok()?;
    Some(NewKey { private: Secret::new(private.as_str()), public })
}

/// The public line of a private key in OpenSSH's form; `None` where it is none, or one with a passphrase.
pub fn public_of(private: &Secret) -> Option<String> {
    let key = PrivateKey::from_openssh(private.expose()).ok().filter(|key| !key.is_encrypted())?;
    key.public_key().to_openssh().ok()
}

/// The fingerprint of a pinned key; what is one already stays.
pub fn fingerprint(line: &str) -> String {
    PublicKey::from_openssh(line).map_or_else(|_| line.to_owned(), |key| key.fingerprint(HashAlg::Sha256).to_string())
}

/// Asks a server for its key, and hangs up before any login.
pub async fn host_key(host: &str, port: u16, clock: &Clock) -> Result<HostKey, Unseen> {
    clock.limit(LOOK_LIMIT, look(host, port)).await.unwrap_or(Err(Unseen::Silent))
}

async fn look(host: &str, port: u16) -> Result<HostKey, Unseen> {
    let stream = TcpStream::connect((host, port)).await.map_err(|cause| Unseen::Away(cause.to_string()))?;
    let seen = Arc::new(Mutex::new(None));
    let said = connect_stream(Arc::new(Config::default()), stream, Passer(seen.clone())).await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (seen, said.err()) {
        (Some(key), _) => Ok(key),
        (None, cause) => Err(Unseen::Foreign(cause.map(|cause| cause.to_string()).unwrap_or_default())),
    }
}

/// Notes the key and goes: nothing is said behind the handshake.
struct Passer(Arc<Mutex<Option<HostKey>>>);

impl Handler for Passer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = shown {
            let mut bare = key.clone();
            bare.set_comment("");
            let line = bare.to_openssh()?.trim().to_owned();
            let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(HostKey { line, fingerprint });
        }
        Ok(false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_and_no_two_are_the_same() {
        let ids = Ids::seeded(1);
        let (one, other) = (make(&ids, "kassad-shop").unwrap(), make(&ids, "kassad-shop").unwrap());
        assert_ne!(one.public, other.public);
        assert!(one.public.starts_with("ssh-ed25519 AAAA") && one.public.ends_with(" kassad-shop"), "{}", one.public);
        assert!(one.private.expose().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        assert_eq!(public_of(&one.private).as_deref(), Some(one.public.as_str()));
        assert!(fingerprint(&one.public).starts_with("SHA256:"));
        assert_eq!(fingerprint("SHA256:abc"), "SHA256:abc");
        assert_eq!(public_of(&Secret::new("no key")), None);
    }
}
