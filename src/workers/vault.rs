//! Durable memory of drivers, in the ledger.

use super::Office;
use crate::domain::outcome::Reason;
use crate::drivers::Vault;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The vault of one daemon.
pub struct LedgerVault(pub Office);

impl Vault for LedgerVault {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        async move { self.0.look(|view| view.vault(name)).ok().flatten() }.boxed()
    }

    fn store<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), Reason>> {
        let name = name.to_owned();
        async move {
            let stored = self.0.writer.decide(move |tx| tx.store_in_vault(&name, &text)).await;
            stored.map_err(|fault| Reason::new("storage", fault))
        }
        .boxed()
    }
}
