//! Devices that signed in to the counter page: a bounded list of names and hashes in the vault. A key itself is nowhere: who reads the
//! ledger or its backup cannot use it.

use crate::ledger::{Fault, Tx, View};
use serde::{Deserialize, Serialize};

/// Devices that may be signed in at once; one more drops the one that was unused for longest.
pub const KEYS_MAX: usize = 24;

/// Where the list is kept.
const NAME: &str = "counter.keys";

/// A device that signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageKey {
    /// Our name of it, for the list and the revocation.
    pub id: String,
    /// What the person called it.
    pub name: String,
    /// Hash of its key with the PIN of that time, as hex.
    pub hash: String,
    /// The day it signed in, in days since 1970 (UTC).
    pub made_day: i64,
    /// The last day it was used.
    pub used_day: i64,
}

/// The devices, in the order in which they signed in.
pub fn list(view: &View<'_>) -> Result<Vec<PageKey>, Fault> {
    match view.vault(NAME)? {
        Some(text) => Ok(serde_json::from_str(&text)?),
        None => Ok(Vec::new()),
    }
}

/// A device signs in. Returns the name of the one that had to give way.
pub fn add(tx: &Tx<'_>, key: PageKey) -> Result<Option<String>, Fault> {
    let mut keys = list(tx)?;
    let mut dropped = None;
    while keys.len() >= KEYS_MAX {
        let oldest = keys.iter().enumerate().min_by_key(|(_, key)| key.used_day).map_or(0, |(place, _)| place);
        dropped = Some(keys.remove(oldest).name);
    }
    keys.push(key);
    save(tx, &keys)?;
    Ok(dropped)
}

/// Notes the last day of use.
pub fn touch(tx: &Tx<'_>, id: &str, day: i64) -> Result<(), Fault> {
    let mut keys = list(tx)?;
    if let Some(key) = keys.iter_mut().find(|key| key.id == id && key.used_day != day) {
        key.used_day = day;
        save(tx, &keys)?;
    }
    Ok(())
}

/// Signs a device out for good.
pub fn revoke(tx: &Tx<'_>, id: &str) -> Result<PageKey, Fault> {
    let mut keys = list(tx)?;
    let Some(place) = keys.iter().position(|key| key.id == id) else {
        return Err(Fault::Missing(format!("device {id}")));
    };
    let gone = keys.remove(place);
    save(tx, &keys)?;
    Ok(gone)
}

fn save(tx: &Tx<'_>, keys: &[PageKey]) -> Result<(), Fault> {
    tx.store_in_vault(NAME, &serde_json::to_string(keys)?)
}
