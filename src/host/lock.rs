//! One daemon per ledger (F19): a file lock held for life, and a line in the file that says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The lock on a ledger; it ends with the process, however that ends.
#[derive(Debug)]
pub struct OneDaemon {
    _file: File,
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockFault {
    /// Another daemon holds it.
    #[error(
        "another kassad works on the ledger {ledger}: {holder}. Stop it first (systemctl stop kassad), or give this one its own [ledger] path"
    )]
    Held {
        /// The ledger.
        ledger: PathBuf,
        /// What the holder wrote.
        holder: String,
    },
    /// The lock file cannot be made.
    #[error("cannot lock {path}: {cause}")]
    File {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl OneDaemon {
    /// Takes the lock of a ledger, or says who has it. Touches nothing else.
    pub fn take(ledger: &Path) -> Result<OneDaemon, LockFault> {
        let path = ledger.with_extension("db.lock");
        let fault = |cause| LockFault::File { path: path.clone(), cause };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What the holder wrote is a courtesy; an unreadable line changes nothing.
                let _read = Read::by_ref(&mut file).take(200).read_to_string(&mut holder).is_ok();
                return Err(LockFault::Held { ledger: ledger.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(cause)) => return Err(fault(cause)),
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        file.set_len(0).map_err(fault)?;
        file.seek(SeekFrom::Start(0)).map_err(fault)?;
        writeln!(file, "process {}, boot {}", std::process::id(), boot.trim()).map_err(fault)?;
        Ok(OneDaemon { _file: file })
    }
}
