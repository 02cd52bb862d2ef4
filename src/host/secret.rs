//! Text that cannot be printed: keys, tokens and webhook secrets.

use std::fmt;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// The longest secret file that is read, in bytes.
pub const SECRET_BYTES_MAX: u64 = 4096;

/// The longest secret of several lines that is read, in bytes.
pub const BLOCK_BYTES_MAX: u64 = 16 * 1024;

/// A key or token. `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret file gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum BadSecret {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file holds no single line of text.
    #[error("{path} must hold the secret as one line of at most {SECRET_BYTES_MAX} bytes")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no text, or too much of it.
    #[error("{path} must hold a private key of at most {BLOCK_BYTES_MAX} bytes")]
    Block {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// A secret from a text already in memory.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Reads a secret file: one line, surrounding white space ignored.
    pub fn read(path: &Path) -> Result<Secret, BadSecret> {
        let file = |cause| BadSecret::File { path: path.to_owned(), cause };
        let form = || BadSecret::Form { path: path.to_owned() };
        if std::fs::metadata(path).map_err(file)?.len() > SECRET_BYTES_MAX {
            return Err(form());
        }
        let text = std::fs::read_to_string(path).map_err(file)?;
        let line = text.trim();
        if line.is_empty() || line.contains('\n') { Err(form()) } else { Ok(Secret(line.to_owned())) }
    }

    /// Reads a secret of several lines, a private key: at most [`BLOCK_BYTES_MAX`] bytes.
    pub fn read_block(path: &Path) -> Result<Secret, BadSecret> {
        let file = |cause| BadSecret::File { path: path.to_owned(), cause };
        if std::fs::metadata(path).map_err(file)?.len() > BLOCK_BYTES_MAX {
            return Err(BadSecret::Block { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(file)?;
        if text.trim().is_empty() { Err(BadSecret::Block { path: path.to_owned() }) } else { Ok(Secret(text)) }
    }

    /// The text itself, for the wire only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares without telling by its duration where the texts differ.
    pub fn equals(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}
