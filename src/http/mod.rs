//! The two faces: the public listener, which serves what the tunnel exposes and nothing else, and the local one for the counter. Faces
//! decide nothing: they check form, call a flow and show the result. Every request has limits on its head, body, time and number.

use crate::flows::Rules;
use crate::host::secret::Secret;
use crate::i18n::Lang;
use crate::workers::Office;
use crate::workers::pos::Counter;
use crate::workers::probe::Probes;
use axum::Router;
use axum::http::{HeaderMap, Uri};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tower::Layer;

pub mod api;
pub mod compat;
pub mod counter;
pub mod events;
pub mod fiscal;
pub mod flood;
pub mod gate;
pub mod guard;
pub mod health;
pub mod keys;
pub mod listener;
pub mod places;
pub mod printers;
pub mod problem;
pub mod refunds;
pub mod shape;
pub mod webhooks;

use crate::domain::order::Tender;
use crate::drivers::{Headers, WebhookScheme};

/// Largest body of any request, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest time for a request's body.
pub const BODY_LIMIT: Duration = Duration::from_secs(10);

/// A webhook's name, its scheme and its secrets.
pub struct Door {
    /// How its notices are signed and worded.
    pub scheme: Arc<dyn WebhookScheme>,
    /// Any of these may have signed.
    pub secrets: Vec<Secret>,
}

/// A bot that may call `/v1/invoices`.
pub struct BotAccess {
    /// Its name in the configuration.
    pub name: String,
    /// Its Bearer key.
    pub key: Secret,
    /// The cloud its invoices go to.
    pub cloud: String,
}

/// A way to collect: a terminal or a cloud, with the tenders it takes.
pub struct Way {
    /// Its name in the configuration.
    pub name: String,
    /// The tenders it takes.
    pub tenders: Vec<Tender>,
}

/// Everything the faces know.
pub struct Faces {
    /// The ledger, the clock, the rules.
    pub office: Office,
    /// The POS, if there is one.
    pub counter: Option<Counter>,
    /// Webhooks by name.
    pub doors: BTreeMap<String, Door>,
    /// Bots.
    pub bots: Vec<BotAccess>,
    /// Ways to collect, in the order of the configuration.
    pub ways: Vec<Way>,
    /// Printers with what they can do as configured.
    pub printers: Vec<(String, crate::drivers::printer::Profile)>,
    /// Whether bots may call from outside as well.
    pub public_invoices: bool,
    /// What is counted of strangers.
    pub strangers: flood::Strangers,
    /// How the public listener treats its connections.
    pub public: listener::Manner,
    /// How the local listener treats its connections.
    pub local: listener::Manner,
    /// What proves the way in.
    pub probes: Probes,
    /// Whether our own question came in at the local listener: a tunnel leads to the wrong one.
    pub is_wrong_door: AtomicBool,
    /// Who may come in from the LAN.
    pub keys: keys::Keys,
}

/// Who is at the other end of a connection; every request carries it. Behind a tunnel it is this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Faces {
    /// What the shop decided.
    pub fn rules(&self) -> &Rules {
        &self.office.rules
    }
}

/// What the tunnel exposes.
pub fn public_router(faces: &Arc<Faces>) -> Router {
    let open = webhooks::routes().merge(health::probe());
    let router = if faces.public_invoices { open.merge(compat::routes()) } else { open };
    let gate = axum::middleware::from_fn_with_state(faces.clone(), gate::only_ours);
    // The gate stands before all routes: as a layer of theirs it would tell by an `Allow` which of the paths that it denies has a shape of
    // ours.
    Router::new().fallback_service(gate.layer(router.with_state(faces.clone())))
}

/// What the counter, the bots in the shop and the scrapers use.
pub fn local_router(faces: &Arc<Faces>) -> Router {
    counter::routes()
        .merge(api::routes())
        .merge(refunds::routes())
        .merge(fiscal::routes())
        .merge(printers::routes())
        .merge(events::routes())
        .merge(keys::routes())
        .merge(compat::routes())
        .merge(health::routes())
        .merge(health::probe())
        .layer(axum::middleware::from_fn_with_state(faces.clone(), guard::admit))
        .with_state(faces.clone())
}

/// The language asked for by `?lang=` or the browser; Russian otherwise.
pub fn lang(uri: &Uri, headers: &HeaderMap) -> Lang {
    let asked = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")));
    match asked.and_then(Lang::from_word) {
        Some(lang) => lang,
        None => match headers.get("accept-language").and_then(|value| value.to_str().ok()) {
            Some(header) => Lang::from_header(header),
            None => Lang::Ru,
        },
    }
}

/// Headers as drivers read them; values that are no text are left out.
fn plain_headers(headers: &HeaderMap) -> Headers {
    let pairs =
        headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Headers(pairs.collect())
}
