//! Wires. A transport's only failure is [`Loss`]: no byte accepted by the other side is `NotSent`; anything later is `Unknown` (law 5).

pub mod address;
pub mod child;
pub mod discover;
pub mod neighbours;
pub mod permit;
mod port;
mod serial;
pub mod ssh;
pub mod ssh_key;
mod tcp;
mod usb;
pub mod web;
pub mod whereabouts;
pub mod wire;

use std::fmt;

/// How a wire failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// No byte was accepted by the other side: the act surely did not happen.
    #[error("not sent: {0}")]
    NotSent(Cause),
    /// Bytes may have arrived: what became of the act is unknown.
    #[error("the answer was lost: {0}")]
    Unknown(Cause),
}

/// Why a wire failed: a text for the log, and what stood in the way, where the transport could tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What stood in the way.
    pub bar: Option<Bar>,
    /// What the machine said.
    pub text: String,
}

/// What stood in the way of a wire. It changes nothing about the money: it helps people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The address is there and nobody serves the port.
    Refused,
    /// Nobody answered in time.
    Silent,
    /// The name of the host is not found.
    Nameless,
    /// What answers speaks another language than the one that was expected.
    Foreign,
    /// The certificate is not valid yet: mostly the clock of this machine is wrong (F13).
    TlsClock,
    /// The certificate is past its end.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// The certificate was issued by somebody we do not trust.
    TlsIssuer,
    /// The certificate is broken, revoked or of no use.
    TlsCertificate,
    /// The other side speaks no TLS, or one that we do not.
    TlsSpeech,
    /// Another device has the address now (F22).
    Stranger,
}

impl Bar {
    /// All of them.
    pub const ALL: [Bar; 11] = [
        Bar::Refused,
        Bar::Silent,
        Bar::Nameless,
        Bar::Foreign,
        Bar::TlsClock,
        Bar::TlsExpired,
        Bar::TlsName,
        Bar::TlsIssuer,
        Bar::TlsCertificate,
        Bar::TlsSpeech,
        Bar::Stranger,
    ];

    /// Code of the sentence with the cure; the plain failures of a network share one.
    pub fn code(self) -> &'static str {
        match self {
            Bar::Refused | Bar::Silent | Bar::Foreign => "no_link",
            Bar::Nameless => "no_name",
            Bar::TlsClock => "tls_clock",
            Bar::TlsExpired => "tls_expired",
            Bar::TlsName => "tls_name",
            Bar::TlsIssuer => "tls_issuer",
            Bar::TlsCertificate => "tls_certificate",
            Bar::TlsSpeech => "tls_speech",
            Bar::Stranger => "printer_stranger",
        }
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause { bar: None, text }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f13_every_bar_has_its_sentence() {
        for bar in Bar::ALL {
            assert!(crate::i18n::is_known(bar.code()), "{}", bar.code());
        }
    }
}
