//! A certificate authority of the sandbox, made anew at each start: a terminal shows its certificates, and a daemon believes them by
//! `ca_file`. It can also issue what must be refused: a certificate that is over, one of the future, one for another name (F13).

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The name that the terminals of the sandbox have: one under the real ones' wildcard.
pub const TERMINAL_NAME: &str = "*.kaspipos.kz";

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Always, whatever the clock says.
    Always,
    /// It ended in 2020.
    Over,
    /// It begins in the year 4000, as every certificate seems to on a machine without a clock.
    Ahead,
}

/// An authority with its key.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server needs to speak TLS: its certificate and the key of it.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Identity(•••)")
    }
}

impl Identity {
    /// The TLS side of a listener.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

impl Authority {
    /// A new authority that nobody believes yet.
    pub fn new() -> io::Result<Authority> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "kassad sandbox authority");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        CertifiedIssuer::self_signed(params, key).map(Authority).map_err(io::Error::other)
    }

    /// Its own certificate, as `ca_file` takes it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a name and gives what a server needs to show it.
    pub fn issue(&self, name: &str, validity: Validity) -> io::Result<Identity> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, name);
        match validity {
            Validity::Always => {}
            Validity::Over => params.not_after = date_time_ymd(2020, 1, 1),
            Validity::Ahead => params.not_before = date_time_ymd(4000, 1, 1),
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.0).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.map_err(io::Error::other)?.with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).map_err(io::Error::other)?;
        Ok(Identity(Arc::new(config)))
    }
}
