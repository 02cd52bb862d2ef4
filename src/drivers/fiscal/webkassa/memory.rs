//! What outlives one answer: the token of the login (fiscal-kz §1.2) and the numbers of the register (§1.4, for returns). Both are in
//! the vault and survive a restart. One login runs at a time, and who waited for it uses its token.

use crate::domain::fiscal::Register;
use crate::drivers::Vault;
use crate::drivers::fiscal::webkassa::answer::{Trouble, filled};
use crate::host::secret::Secret;
use serde_json::{Value as Json, json};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A token and how new it is.
#[derive(Clone, Debug)]
pub struct Held {
    /// The token.
    pub token: Secret,
    /// Whether it was given after the dead one that was shown.
    pub is_fresh: bool,
}

/// The memory of one register.
pub struct Memory {
    vault: Arc<dyn Vault>,
    name: String,
    /// Whose token it is: another login or address has another.
    owner: String,
    token: Mutex<Option<Secret>>,
    register: Mutex<Option<Register>>,
}

impl Memory {
    /// The memory under a name in the vault.
    pub fn new(vault: Arc<dyn Vault>, name: String, owner: String) -> Memory {
        Memory { vault, name, owner, token: Mutex::new(None), register: Mutex::new(None) }
    }

    /// The token in use, or what a login gives: when there is none, and when the one in use is the dead one.
    pub async fn token(
        &self,
        dead: Option<&Secret>,
        log_in: impl Future<Output = Result<String, Trouble>> + Send,
    ) -> Result<Held, Trouble> {
        let mut held = self.token.lock().await;
        if held.is_none() && dead.is_none() {
            *held = self.recalled().await;
        }
        if let Some(token) = held.as_ref().filter(|token| dead != Some(*token)) {
            return Ok(Held { token: token.clone(), is_fresh: dead.is_some() });
        }
        let token = Secret::new(log_in.await?);
        *held = Some(token.clone());
        let text = json!({ "owner": self.owner, "token": token.expose() }).to_string();
        // A token that is not durable costs one more login after a restart, and nothing else.
        let _stored = self.vault.store(&self.name, text).await;
        Ok(Held { token, is_fresh: true })
    }

    async fn recalled(&self) -> Option<Secret> {
        let kept: Json = serde_json::from_str(&self.vault.load(&self.name).await?).ok()?;
        let part = |key: &str| kept.get(key).and_then(Json::as_str);
        part("token").filter(|_| part("owner") == Some(&self.owner)).map(Secret::new)
    }

    /// Fills what an answer left out of its register, and remembers what it told.
    pub async fn filled(&self, told: Register) -> Register {
        let mut known = self.register.lock().await;
        if known.is_none() {
            let kept = self.vault.load(&self.register_name()).await;
            *known = kept.and_then(|text| serde_json::from_str(&text).ok());
        }
        let before = known.clone().unwrap_or_default();
        let whole = filled(told, &before);
        let lasting = Register { cashier: String::new(), ..whole.clone() };
        if lasting != before {
            if let Ok(text) = serde_json::to_string(&lasting) {
                let _stored = self.vault.store(&self.register_name(), text).await;
            }
            *known = Some(lasting);
        }
        whole
    }

    fn register_name(&self) -> String {
        format!("{}.register", self.name)
    }
}
