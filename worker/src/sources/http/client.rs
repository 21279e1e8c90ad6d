//! The transport for targets and for documents beside entities, with the same credentials, limits and redaction as for
//! sources.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tideline_config::settings::{Auth, HttpSettings, NextUrls, RateLimitHeaders};
use tideline_core::clock::Clock;
use tideline_core::words::Secret;
use url::Url;

use super::limits;
use super::paging::HttpRequest;
use super::plan::Problem;
use super::transport::{Outage, Transport};
use crate::source::{ErrorClass, SourceError};

/// Sends requests to one server.
pub(crate) struct HttpClient {
    transport: Transport,
    rate_limit: RateLimitHeaders,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Besides those of the client; they win.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
        }
    }
}

/// An answer of any status.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// The body went on after the limit.
    pub(crate) endless: bool,
    /// How long the server wants no further requests.
    pub(crate) retry_after: Option<Duration>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing can be sent to the server now: no connection, or no token.
    #[error("{0}")]
    Outage(String),
    /// This request was not answered.
    #[error("{0}")]
    NoReply(String),
}

impl HttpClient {
    /// Connects to nothing.
    ///
    /// # Errors
    /// Names the keys whose values cannot be sent.
    pub(crate) fn new(
        base_url: &Url,
        auth: &Auth,
        headers: impl IntoIterator<Item = (String, Secret)>,
        max_body_bytes: u64,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<Problem>> {
        let settings = HttpSettings {
            base_url: base_url.clone(),
            headers: headers.into_iter().collect(),
            auth: auth.clone(),
            max_body_bytes,
            cursor_expired: Vec::new(),
            rate_limit: RateLimitHeaders::default(),
            max_requests_per_second: None,
            next_urls: NextUrls {
                hosts: Vec::new(),
                base_path: None,
            },
            conditional: false,
            resources: Vec::new(),
            definitions: None,
            variables: Vec::new(),
            alternatives: Vec::new(),
            download_hosts: Vec::new(),
        };
        Ok(Self {
            transport: Transport::new(&settings, timeout, clock)?,
            rate_limit: settings.rate_limit,
        })
    }

    /// Sends a request and reads the answer whole. A token that is refused is fetched anew, once.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let request = HttpRequest {
            method: call.method,
            url: call.url,
            headers: HeaderMap::new(),
            body: call.body,
            hides_answer: false,
        };
        let answer = self.transport.call(&request, &call.headers).await.map_err(call_error)?;
        let now = self.transport.clock.now();
        Ok(Reply {
            status: answer.status,
            retry_after: limits::retry_after(&answer.headers, &self.rate_limit, now),
            body: answer.body,
            endless: answer.endless,
        })
    }

    /// The first bytes of a body, for people.
    pub(crate) fn shown(&self, body: &[u8]) -> String {
        self.transport.shown(body)
    }

    /// Replaces the current token by a new one. `false`: tokens cannot be fetched.
    pub(crate) async fn renew_token(&self) -> Result<bool, CallError> {
        self.transport.renew_token().await.map_err(call_error)
    }

    /// What the token says of its bearer.
    pub(crate) async fn claims(&self) -> Option<serde_json::Value> {
        self.transport.claims().await
    }
}

fn call_error(error: SourceError) -> CallError {
    let outage = error.source.as_ref().is_some_and(|source| source.is::<Outage>());
    if outage || error.class == ErrorClass::Config {
        CallError::Outage(error.message)
    } else {
        CallError::NoReply(error.message)
    }
}
