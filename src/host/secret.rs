//! Text that cannot be printed: keys, tokens and webhook secrets. Their files are nobody else's: mode 0600 or 0400, owned by this user or
//! root, or under `$CREDENTIALS_DIRECTORY`, which systemd keeps itself (systemd.exec(5), "Credentials").

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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
    /// Others may read it: group or world has a bit.
    #[error("{path} can be read by others (mode {mode:04o})")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user than this one or root.
    #[error("{path} belongs to another user ({uid})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
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
        let text = read_private(path, SECRET_BYTES_MAX)?;
        let line = text.trim();
        if line.is_empty() || line.contains('\n') {
            return Err(BadSecret::Form { path: path.to_owned() });
        }
        Ok(Secret(line.to_owned()))
    }

    /// Reads a secret of several lines, a private key: at most [`BLOCK_BYTES_MAX`] bytes.
    pub fn read_block(path: &Path) -> Result<Secret, BadSecret> {
        let block = || BadSecret::Block { path: path.to_owned() };
        match read_private(path, BLOCK_BYTES_MAX) {
            Ok(text) if !text.trim().is_empty() => Ok(Secret(text)),
            Ok(_) | Err(BadSecret::Form { .. }) => Err(block()),
            Err(bad) => Err(bad),
        }
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

impl BadSecret {
    /// What makes it right.
    pub fn cure(&self) -> String {
        match self {
            BadSecret::Open { path, .. } => format!("chmod 600 {}", path.display()),
            BadSecret::Foreign { path, .. } => {
                format!("chown it to the user that kassad runs as, then chmod 600 {}", path.display())
            }
            BadSecret::File { .. } | BadSecret::Form { .. } => {
                "put the secret there as one line, readable by this user only (chmod 600)".to_owned()
            }
            BadSecret::Block { .. } => {
                "put the private key there as it was made, readable by this user only (chmod 600)".to_owned()
            }
        }
    }
}

/// Reads a file that only this user may read, as text of at most so many bytes; the file that was judged is the one that is read.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<String, BadSecret> {
    let file = |cause| BadSecret::File { path: path.to_owned(), cause };
    let opened = File::open(path).map_err(file)?;
    let about = opened.metadata().map_err(file)?;
    if !is_of_systemd(path) {
        judge(path, &about, own_uid())?;
    }
    let mut text = String::new();
    let read = opened.take(bytes_max.saturating_add(1)).read_to_string(&mut text).map_err(file)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > bytes_max {
        return Err(BadSecret::Form { path: path.to_owned() });
    }
    Ok(text)
}

/// Writes a file that only this user may read, whole or not at all: beside it first, then in its place. A link there is replaced, not followed.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    match std::fs::remove_file(&beside) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

fn judge(path: &Path, about: &Metadata, own: Option<u32>) -> Result<(), BadSecret> {
    let (mode, uid) = (about.permissions().mode() & 0o7777, about.uid());
    if mode & 0o077 != 0 {
        return Err(BadSecret::Open { path: path.to_owned(), mode });
    }
    // Root reads everything: then whose file it is tells nothing, and a check before the service starts must not fail.
    if uid == 0 || own.is_none_or(|own| own == uid || own == 0) {
        return Ok(());
    }
    Err(BadSecret::Foreign { path: path.to_owned(), uid })
}

/// Whether systemd put it there for this service alone.
fn is_of_systemd(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| !folder.is_empty() && path.starts_with(folder))
}

/// The user that this process acts as; `None` where the system does not show it.
fn own_uid() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|about| about.uid())
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_private(&path, "word\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_cure() {
        for mode in [0o600, 0o400] {
            let (_folder, path) = file(mode);
            assert_eq!(Secret::read(&path).unwrap().expose(), "word", "{mode:o}");
        }
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601, 0o610] {
            let (_folder, path) = file(mode);
            let bad = Secret::read(&path).unwrap_err();
            assert_eq!(bad.cure(), format!("chmod 600 {}", path.display()), "{mode:o}");
            assert!(bad.to_string().contains(&format!("{mode:04o}")), "{bad}");
        }
    }

    #[test]
    fn a_secret_of_another_user_is_refused() {
        let (_folder, path) = file(0o600);
        let about = std::fs::metadata(&path).unwrap();
        judge(&path, &about, Some(about.uid())).unwrap();
        let foreign = judge(&path, &about, Some(about.uid() + 1));
        assert_eq!(foreign.is_err(), about.uid() != 0, "{foreign:?}");
    }

    #[test]
    fn a_file_that_was_open_to_all_is_closed_by_writing() {
        let (_folder, path) = file(0o644);
        write_private(&path, "new").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Secret::read(&path).unwrap().expose(), "new");
    }
}
