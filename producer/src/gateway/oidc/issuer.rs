//! The provider's documents: its metadata (OpenID Connect Discovery 1.0) and its keys (RFC 7517), and the requests to
//! it. Each has a time limit and a size limit, and follows no redirect.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tideline_config::oidc::OidcSettings;
use tideline_core::clock::Clock;
use url::Url;

use super::SignInError;
use super::cache::Cache;
use super::verify::{self, Expected};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The parts of the provider's metadata that are used.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// The client's secret goes into the body: the provider does not take it in a header (which is the default of RFC
    /// 8414).
    pub(super) fn wants_secret_in_body(&self) -> bool {
        let methods = self
            .token_endpoint_auth_methods_supported
            .as_deref()
            .unwrap_or_default();
        let has = |wanted: &str| methods.iter().any(|method| method == wanted);
        has("client_secret_post") && !has("client_secret_basic")
    }

    /// An endpoint that would transmit secrets unencrypted, although the provider itself is reached over TLS.
    fn open_endpoint(&self, issuer: &Url) -> Option<&Url> {
        let all = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        let mut all = all.into_iter().chain(&self.userinfo_endpoint);
        all.find(|endpoint| issuer.scheme() == "https" && endpoint.scheme() != "https")
    }
}

/// A set of keys, parsed one by one: one of an unknown kind does not invalidate the others (RFC 7517, section 5).
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// Why a request got no response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CallError(String);

impl CallError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// The provider.
pub(super) struct Issuer {
    settings: OidcSettings,
    http: Option<reqwest::Client>,
    clock: Arc<dyn Clock>,
    metadata: Cache<Metadata>,
    keys: Cache<Vec<Jwk>>,
}

impl Issuer {
    pub(super) fn new(settings: &OidcSettings, clock: Arc<dyn Clock>) -> Self {
        // A provider that is already installed is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("tideline/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build();
        Self {
            settings: settings.clone(),
            http: http.ok(),
            clock,
            metadata: Cache::default(),
            keys: Cache::default(),
        }
    }

    /// As configured, without a trailing slash.
    pub(super) fn id(&self) -> &str {
        self.settings.issuer.as_str().trim_end_matches('/')
    }

    pub(super) fn unreachable(&self, error: CallError) -> SignInError {
        SignInError::Unreachable {
            name: self.settings.name.clone(),
            reason: error.0,
        }
    }

    /// The provider's metadata.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, SignInError> {
        let metadata = self.metadata.get(|_| true, self.read_metadata()).await;
        metadata.map_err(|error| self.unreachable(error))
    }

    async fn read_metadata(&self) -> Result<Metadata, CallError> {
        let issuer = self.id();
        let address = format!("{issuer}/.well-known/openid-configuration");
        let metadata: Metadata = self.read(|http| http.get(address)).await?;
        if metadata.issuer.trim_end_matches('/') != issuer {
            let given = metadata.issuer;
            return Err(CallError(format!(
                "it identifies itself as {given}, but dashboard.oidc.issuer is {issuer}"
            )));
        }
        match metadata.open_endpoint(&self.settings.issuer) {
            Some(open) => Err(CallError(format!("{open} is not an https address"))),
            None => Ok(metadata),
        }
    }

    /// The claims of an ID token that this provider signed for this client and that is valid now.
    pub(super) async fn verify<C: DeserializeOwned>(&self, token: &str, metadata: &Metadata) -> Result<C, SignInError> {
        let unverified = |reason: String| SignInError::Unverified {
            name: self.settings.name.clone(),
            reason,
        };
        let header = verify::header(token).map_err(unverified)?;
        let find = |keys: &Vec<Jwk>| verify::key(keys, &header).is_some();
        let keys = self.keys.get(find, self.read_keys(&metadata.jwks_uri)).await;
        let keys = keys.map_err(|error| self.unreachable(error))?;
        let key = verify::key(&keys, &header)
            .ok_or_else(|| unverified("it is signed with a key that the provider does not publish".to_owned()))?;
        let expected = Expected {
            issuer: &metadata.issuer,
            audience: &self.settings.client_id,
            now: self.clock.now(),
        };
        verify::claims(token, &header, key, &expected).map_err(unverified)
    }

    async fn read_keys(&self, address: &Url) -> Result<Vec<Jwk>, CallError> {
        let set: KeySet = self.read(|http| http.get(address.clone())).await?;
        let keys = set.keys.into_iter();
        Ok(keys.filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// The provider's userinfo about the person with this access token.
    pub(super) async fn userinfo(
        &self,
        endpoint: &Url,
        token: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, SignInError> {
        let info = self.read(|http| http.get(endpoint.clone()).bearer_auth(token)).await;
        info.map_err(|error| self.unreachable(error))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        request: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<T, CallError> {
        let sent = request(self.http()?).send().await;
        let answer = sent.map_err(cause)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(CallError(format!("{} answered {status}", answer.url().path())));
        }
        let bytes = bounded(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallError(format!("its response cannot be parsed: {error}")))
    }

    async fn exchange(&self, request: oauth2::HttpRequest) -> Result<oauth2::HttpResponse, CallError> {
        let (parts, body) = request.into_parts();
        let request = self.http()?.request(parts.method, parts.uri.to_string());
        let answer = request.headers(parts.headers).body(body).send().await.map_err(cause)?;
        let mut response = axum::http::Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let body = bounded(answer).await?;
        response.body(body).map_err(|error| CallError(error.to_string()))
    }

    fn http(&self) -> Result<&reqwest::Client, CallError> {
        let none = || CallError("the HTTP client cannot be set up".to_owned());
        self.http.as_ref().ok_or_else(none)
    }
}

/// Requests that `oauth2` makes.
impl<'c> oauth2::AsyncHttpClient<'c> for Issuer {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}

/// A body of at most [`MAX_BYTES`].
async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(cause)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(CallError("its response is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong, with its causes but without the address, which may contain a code.
fn cause(error: reqwest::Error) -> CallError {
    CallError(tideline_core::full_text(&error.without_url()))
}
