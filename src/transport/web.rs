//! HTTP to partners: one request, one answer or one [`Loss`]. A refused connection, an unknown name, a failed handshake or a slow
//! connect is `NotSent`; everything after that is `Unknown` (style, law 5). Each request has its own connection: an idle one that the
//! server closed meanwhile would turn a request that never left into a doubtful one; only [`Web::open_kept`] keeps one. No proxy, redirect, retry or cookie: money
//! goes where the configuration says, once. Trusted roots are inside the binary. Certificates by name over an IP: kaspi-terminal §1.1.

use super::{Bar, Cause, Loss};
use crate::host::secret::Secret;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection, its name and its handshake may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an ordinary request may take from the first step to the last byte.
pub const WHOLE_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest ordinary answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The longest answer that is a list of a POS, in bytes.
pub const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many headers of an answer are kept.
const HEADERS_MAX: usize = 64;
/// The longest text of a lost wire.
const CAUSE_CHARS_MAX: usize = 200;

/// How much time and room one request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first step to the last byte.
    pub whole: Duration,
    /// Bytes of the answer.
    pub body_max: usize,
}

impl Limits {
    /// For one record.
    pub const RECORD: Limits = Limits { whole: WHOLE_TIMEOUT, body_max: ANSWER_BYTES_MAX };
    /// For a list.
    pub const LIST: Limits = Limits { whole: WHOLE_TIMEOUT, body_max: LIST_BYTES_MAX };
}

/// Whom we believe to be the other side of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// A certificate for the host of the address, by the trusted roots.
    #[default]
    Roots,
    /// A certificate for this name, while dialling the IP of the address.
    Named(String),
    /// A certificate issued by these authorities and nobody else: for the host of the address, or for a name while dialling its IP.
    Issued(Authorities, Option<String>),
    /// Anybody. Only where the configuration asks for it.
    Anybody,
}

/// Who may issue the certificates that we believe.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads the certificates of a PEM text; none, or one that cannot be an authority, is an error.
    pub fn from_pem(pem: &[u8]) -> Result<Authorities, BadPem> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let authorities = read.map_err(|cause| BadPem(format!("it is no PEM: {cause}")))?;
        if authorities.is_empty() {
            return Err(BadPem("no -----BEGIN CERTIFICATE----- is in it".to_owned()));
        }
        let authorities = Authorities(authorities);
        authorities.roots().map_err(|cause| BadPem(format!("a certificate in it is unusable: {cause}")))?;
        Ok(authorities)
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.0.iter().try_for_each(|one| roots.add(one.clone()))?;
        Ok(roots)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Authorities({})", self.0.len())
    }
}

/// A file that names no authorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPem(pub String);

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(pub String);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads, except where a partner acts on GET.
    Get,
    /// Acts.
    Post,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Plain(String),
    Hidden(Secret),
}

impl Text {
    fn expose(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Hidden(secret) => secret.expose(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    Empty,
    Json(Vec<u8>),
    /// JSON with a secret inside, and the same text as people may see it.
    Guarded {
        shown: String,
        sent: Secret,
    },
    Form(Vec<(String, String)>),
}

/// A request as a value: drivers build it, tests read it, [`Web::send`] sends it. Its texts hide secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Request {
    method: Method,
    path: String,
    query: Vec<(String, Text)>,
    headers: Vec<(&'static str, Text)>,
    body: Body,
}

impl Request {
    /// A GET of a path below the base address, written as it stands (`/v2/status`).
    pub fn get(path: impl Into<String>) -> Request {
        Request::new(Method::Get, path.into())
    }

    /// A POST to a path below the base address.
    pub fn post(path: impl Into<String>) -> Request {
        Request::new(Method::Post, path.into())
    }

    fn new(method: Method, path: String) -> Request {
        Request { method, path, query: Vec::new(), headers: Vec::new(), body: Body::Empty }
    }

    /// Adds a pair to the query.
    pub fn query(mut self, key: &str, value: impl Into<String>) -> Request {
        self.query.push((key.to_owned(), Text::Plain(value.into())));
        self
    }

    /// Adds a secret to the query.
    pub fn secret_query(mut self, key: &str, value: &Secret) -> Request {
        self.query.push((key.to_owned(), Text::Hidden(value.clone())));
        self
    }

    /// Adds a header; its name in lower case.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, Text::Plain(value.into())));
        self
    }

    /// Adds a header with a secret.
    pub fn secret_header(mut self, name: &'static str, value: &Secret) -> Request {
        self.headers.push((name, Text::Hidden(value.clone())));
        self
    }

    /// Adds `Authorization: Bearer`.
    pub fn bearer(self, key: &Secret) -> Request {
        let value = Secret::new(format!("Bearer {}", key.expose()));
        self.secret_header("authorization", &value)
    }

    /// Sets a JSON body from bytes that are already JSON, sent as they stand (they may be signed).
    pub fn json(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = Body::Json(body.into());
        self
    }

    /// Sets a JSON body that holds a secret: what is sent, and the same with the secret hidden.
    pub fn guarded_json(mut self, shown: impl Into<String>, sent: Secret) -> Request {
        self.body = Body::Guarded { shown: shown.into(), sent };
        self
    }

    /// Sets a form-encoded body.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Request {
        self.body = Body::Form(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        self
    }
}

impl fmt::Display for Request {
    /// The request for people and for recorded exchanges: one line each, `•••` for secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Text| match text {
            Text::Plain(text) => text.clone(),
            Text::Hidden(_) => "•••".to_owned(),
        };
        let word = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        write!(out, "{word} {}", self.path)?;
        for (place, (key, value)) in self.query.iter().enumerate() {
            write!(out, "{}{key}={}", if place == 0 { "?" } else { "&" }, shown(value))?;
        }
        for (name, value) in &self.headers {
            write!(out, "\n{name}: {}", shown(value))?;
        }
        match &self.body {
            Body::Empty => Ok(()),
            Body::Json(bytes) => write!(out, "\n{}", String::from_utf8_lossy(bytes)),
            Body::Guarded { shown, .. } => write!(out, "\n{shown}"),
            Body::Form(pairs) => pairs.iter().try_for_each(|(key, value)| write!(out, "\n{key}={value}")),
        }
    }
}

/// What came back, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `None` when it is none.
    pub fn json(&self) -> Option<serde_json::Value> {
        let body = self.body.strip_prefix(b"\xEF\xBB\xBF".as_slice()).unwrap_or(&self.body);
        serde_json::from_slice(body).ok()
    }

    /// What it is without its content: content may hold phones or tokens and goes to no log.
    pub fn shape(&self) -> String {
        format!("HTTP {} with {} bytes", self.status, self.body.len())
    }
}

/// A partner's base address, ready for requests.
#[derive(Clone)]
pub struct Web {
    base: String,
    client: Result<reqwest::Client, String>,
}

impl fmt::Debug for Web {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Web({})", self.base)
    }
}

impl Web {
    /// Prepares requests to a base address, its path included. Only a wrong address is an error: where TLS cannot be set up, each
    /// request is `NotSent` with the cause, and the daemon runs on.
    pub fn open(address: &str, trust: &Trust) -> Result<Web, BadAddress> {
        Web::open_with(address, trust, 0)
    }

    /// The same, but one idle connection is kept for the next request. Only for questions that may be lost: a request over a connection
    /// that the server closed meanwhile fails.
    pub fn open_kept(address: &str, trust: &Trust) -> Result<Web, BadAddress> {
        Web::open_with(address, trust, 1)
    }

    fn open_with(address: &str, trust: &Trust, idle_max: usize) -> Result<Web, BadAddress> {
        let mut url = reqwest::Url::parse(address)
            .map_err(|cause| BadAddress(format!("'{address}' is no address: {cause}; write http://… or https://…")))?;
        let has_known_scheme = matches!(url.scheme(), "http" | "https") && url.host().is_some();
        let is_bare =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !has_known_scheme || !is_bare {
            return Err(BadAddress("an address is http:// or https://, a host and a path, and no more".to_owned()));
        }
        let dialled = match trust {
            Trust::Named(name) | Trust::Issued(_, Some(name)) => Some(rename(&mut url, name)?),
            Trust::Roots | Trust::Issued(_, None) | Trust::Anybody => None,
        };
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Web { base, client: client(trust, dialled, idle_max) })
    }

    /// Sends one request once and reads its answer to the end.
    pub async fn send(&self, request: &Request, limits: Limits) -> Result<Answer, Loss> {
        let client = self.client.as_ref().map_err(|cause| Loss::NotSent(cause.clone().into()))?;
        let sent = self.built(client, request, limits)?.send().await;
        let mut response = sent.map_err(judged)?;
        let headers = response
            .headers()
            .iter()
            .take(HEADERS_MAX)
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|cause| Loss::Unknown(told(cause)))? {
            if body.len() + chunk.len() > limits.body_max {
                return Err(Loss::Unknown(format!("HTTP {status} with more than {} bytes", limits.body_max).into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    fn built(
        &self,
        client: &reqwest::Client,
        request: &Request,
        limits: Limits,
    ) -> Result<reqwest::RequestBuilder, Loss> {
        let mut url = reqwest::Url::parse(&format!("{}{}", self.base, request.path))
            .map_err(|cause| Loss::NotSent(format!("the path is no path: {cause}").into()))?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query.iter().map(|(key, value)| (key, value.expose())));
        }
        let mut built = match request.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
        };
        for (name, text) in &request.headers {
            let mut value = reqwest::header::HeaderValue::from_str(text.expose())
                .map_err(|_| Loss::NotSent(format!("the value of header {name} cannot be sent").into()))?;
            value.set_sensitive(matches!(text, Text::Hidden(_)));
            built = built.header(*name, value);
        }
        built = built.timeout(limits.whole);
        let json = |built: reqwest::RequestBuilder, bytes: Vec<u8>| {
            built.header(reqwest::header::CONTENT_TYPE, "application/json; charset=utf-8").body(bytes)
        };
        Ok(match &request.body {
            Body::Empty => built,
            Body::Json(bytes) => json(built, bytes.clone()),
            Body::Guarded { sent, .. } => json(built, sent.expose().as_bytes().to_vec()),
            Body::Form(pairs) => built.form(pairs),
        })
    }
}

/// Puts the name of the certificate in place of the IP and gives back what is to be dialled.
fn rename(url: &mut reqwest::Url, name: &str) -> Result<(String, SocketAddr), BadAddress> {
    let ip: Option<IpAddr> = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    let (Some(ip), Some(port), "https") = (ip, url.port_or_known_default(), url.scheme()) else {
        return Err(BadAddress("a name for the certificate needs an address like https://10.0.0.5:8080".to_owned()));
    };
    if name.parse::<IpAddr>().is_ok() || url.set_host(Some(name)).is_err() {
        return Err(BadAddress(format!("'{name}' is no host name")));
    }
    let name = url.host_str().unwrap_or(name).to_owned();
    Ok((name, SocketAddr::new(ip, port)))
}

/// The one place where the TLS backend is chosen. Risk (fiscal-kz §1.1): strict stacks were seen to fail against `kkm.webkassa.kz` with
/// "wrong signature type"; the same failure here is `Bar::TlsSpeech`, so nothing is sent and nothing is lost. To switch, give `reqwest`
/// the feature `native-tls` in Cargo.toml and build the client with `tls_backend_native()` instead of `tls_backend_preconfigured`.
fn client(trust: &Trust, dialled: Option<(String, SocketAddr)>, idle_max: usize) -> Result<reqwest::Client, String> {
    let tls = tls(trust).map_err(|cause| format!("TLS cannot be set up: {cause}"))?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(WHOLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .user_agent(concat!("kassad/", env!("CARGO_PKG_VERSION")));
    if let Some((name, address)) = dialled {
        builder = builder.resolve(&name, address);
    }
    builder.build().map_err(|cause| format!("the HTTP client cannot be set up: {}", chain(cause)))
}

fn tls(trust: &Trust) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    Ok(match trust {
        Trust::Roots | Trust::Named(_) => {
            let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Issued(authorities, _) => builder.with_root_certificates(authorities.roots()?).with_no_client_auth(),
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Believer(provider))).with_no_client_auth()
        }
    })
}

/// Believes every certificate; signatures of the handshake are still checked.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The border between "no byte was accepted" and everything later.
fn judged(cause: reqwest::Error) -> Loss {
    if cause.is_connect() || cause.is_builder() { Loss::NotSent(told(cause)) } else { Loss::Unknown(told(cause)) }
}

/// What stood in the way, and the causes in one line.
fn told(cause: reqwest::Error) -> Cause {
    let bars = sources(&cause).find_map(bar);
    let is_silent = cause.is_timeout();
    match bars {
        Some((bar, Some(text))) => Cause { bar: Some(bar), text },
        Some((bar, None)) => Cause { bar: Some(bar), text: chain(cause) },
        None => Cause { bar: is_silent.then_some(Bar::Silent), text: chain(cause) },
    }
}

/// The causes below an error. What stands inside an I/O error is a cause too, which `source` alone would skip.
fn sources(cause: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(cause.source(), |one| inner(*one))
}

fn inner<'a>(one: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match one.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => one.source(),
    }
}

/// What one cause says about the obstacle, and in what words where it has better ones than its own.
fn bar(cause: &(dyn Error + 'static)) -> Option<(Bar, Option<String>)> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls_bar(tls));
    }
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        return http.is_parse().then_some((Bar::Foreign, None));
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Some((Bar::Refused, None)),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut) => {
            Some((Bar::Silent, None))
        }
        // The resolver's error has no type of its own to be known by.
        Some(_) | None => cause.to_string().starts_with("dns error").then_some((Bar::Nameless, None)),
    }
}

/// The cases of F13 told apart: clock, end, name, issuer.
#[allow(clippy::wildcard_enum_match_arm)]
fn tls_bar(cause: &rustls::Error) -> (Bar, Option<String>) {
    let rustls::Error::InvalidCertificate(flaw) = cause else { return (Bar::TlsSpeech, None) };
    match flaw {
        CertificateError::NotValidYet => (Bar::TlsClock, None),
        CertificateError::NotValidYetContext { time, not_before } => {
            (Bar::TlsClock, Some(format!("{} < {}", day(*time), day(*not_before))))
        }
        CertificateError::Expired => (Bar::TlsExpired, None),
        CertificateError::ExpiredContext { time, not_after } => {
            (Bar::TlsExpired, Some(format!("{} > {}", day(*time), day(*not_after))))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (Bar::TlsName, None),
        // An issuer that only has the name of one we trust did not sign with its key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (Bar::TlsIssuer, None),
        // Everything else that is wrong with a certificate, now and in later versions of the library, helps nobody to be told apart.
        _ => (Bar::TlsCertificate, None),
    }
}

/// A date as people here write it: `01.01.2000`.
fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "?".to_owned(), |at| at.strftime("%d.%m.%Y").to_string())
}

/// The causes in one line, without the URL: it may hold a token.
fn chain(cause: reqwest::Error) -> String {
    let cause = cause.without_url();
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const QUICK: Limits = Limits { whole: Duration::from_millis(300), body_max: 16 };

    async fn against(answer: &[u8], wait: bool) -> Result<Answer, Loss> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web::open(&format!("http://{}", listener.local_addr().unwrap()), &Trust::Roots).unwrap();
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 2048];
            let _head = socket.read(&mut buffer).await.unwrap();
            socket.write_all(answer).await.unwrap();
            if wait {
                std::future::pending::<()>().await;
            }
        };
        let request = Request::post("/api").secret_query("token", &Secret::new("687409:abc")).json("{}");
        tokio::pin!(serve);
        let send = web.send(&request, QUICK);
        tokio::pin!(send);
        tokio::select! {
            biased;
            result = &mut send => return result,
            () = serve => {}
        }
        send.await
    }

    #[tokio::test]
    async fn a_refused_connection_is_not_sent_and_hides_the_url() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let web = Web::open(&address, &Trust::Roots).unwrap();
        let request = Request::get("/x").secret_query("token", &Secret::new("687409:abc"));
        let loss = web.send(&request, QUICK).await.unwrap_err();
        assert!(matches!(&loss, Loss::NotSent(cause) if !cause.text.contains("687409")), "{loss:?}");
    }

    #[tokio::test]
    async fn everything_after_the_first_byte_is_unknown() {
        for (answer, wait) in [
            (b"".as_slice(), false),
            (b"HTTP/1.1 20", false),
            (b"not http at all\r\n\r\n", false),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n12345678901234567", false),
            (b"", true),
        ] {
            let loss = against(answer, wait).await.unwrap_err();
            assert!(matches!(&loss, Loss::Unknown(cause) if !cause.text.contains("687409")), "{loss:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_passed_on_whatever_its_status() {
        let moved = against(b"HTTP/1.1 302 Found\r\nLocation: /y\r\ncontent-length: 2\r\n\r\n{}", false).await.unwrap();
        assert_eq!((moved.status, moved.body.as_slice()), (302, b"{}".as_slice()));
        assert!(moved.headers.contains(&("location".to_owned(), "/y".to_owned())));
    }

    #[tokio::test]
    async fn a_failed_handshake_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        for trust in [Trust::Roots, Trust::Named("till.kaspipos.kz".to_owned()), Trust::Anybody] {
            let web = Web::open(&address, &trust).unwrap();
            let serve = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
                let mut rest = Vec::new();
                let _read = socket.read_to_end(&mut rest).await;
            };
            let request = Request::get("/");
            let (loss, ()) = tokio::join!(web.send(&request, Limits::RECORD), serve);
            assert!(matches!(loss, Err(Loss::NotSent(_))), "{loss:?}");
        }
    }

    #[test]
    fn addresses() {
        let open = |address: &str, trust: Trust| Web::open(address, &trust).map(|web| web.base);
        let named = || Trust::Named("till.kaspipos.kz".to_owned());
        assert_eq!(open("https://10.0.0.5:8080/", named()).unwrap(), "https://till.kaspipos.kz:8080");
        assert_eq!(open("https://api.aipay.kz/v1", Trust::Roots).unwrap(), "https://api.aipay.kz/v1");
        for bad in ["", "10.0.0.5:8080", "ftp://x", "http://user:pass@x", "http://x/?token=1", "https://"] {
            assert!(open(bad, Trust::Roots).is_err(), "{bad}");
        }
        assert!(open("http://10.0.0.5", named()).is_err());
        assert!(open("https://kaspi.local", named()).is_err());
        assert!(open("https://10.0.0.5", Trust::Named("10.0.0.6".to_owned())).is_err());
    }

    #[test]
    fn texts_hide_secrets() {
        let request = Request::get("/x").secret_query("token", &Secret::new("687409:abc")).bearer(&Secret::new("key1"));
        let guarded = Request::post("/x").guarded_json("{}", Secret::new("key1"));
        for text in [format!("{request:?}"), request.to_string(), format!("{guarded:?}"), guarded.to_string()] {
            assert!(!text.contains("687409") && !text.contains("key1"), "{text}");
        }
    }
}
