//! Recorded exchanges, for a person who writes a configuration: without credentials, and with only the beginning of the
//! response.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use serde::Serialize;
use url::Url;

use super::super::redact::{Redactor, sounds_secret};
use super::transport::address;
use tideline_core::rules::REDACTED;

/// Maximum number of bytes shown of a body.
const SHOWN_BYTES: usize = 2_000;

/// Headers of an answer that say something about pages, limits or conditions.
const TELLING: [&str; 6] = [
    "content-type",
    "link",
    "etag",
    "last-modified",
    "retry-after",
    "location",
];

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// `GET` or `POST`.
    pub method: String,
    /// The URL; values of its query that are secret, or sound so, are hidden.
    pub url: String,
    /// Headers of the request, credentials hidden.
    pub headers: Vec<(String, String)>,
    /// The beginning of the request's body, secrets hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// Headers of the answer that are about its type, the next page, limits and conditions.
    pub answer_headers: Vec<(String, String)>,
    /// Length of the answer's body as far as it was read, decompressed.
    pub answer_bytes: usize,
    /// The beginning of the answer's body, secrets hidden.
    pub answer: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Observes every exchange of a source.
pub type Observer = Arc<dyn Fn(Exchange) + Send + Sync>;

/// A request as it may be shown.
pub(super) struct Shown {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Shown {
    /// Hides what is secret in the request.
    pub(super) fn new(request: &reqwest::Request, redactor: &Redactor) -> Self {
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let form = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        Self {
            method: request.method().to_string(),
            url: url(request.url(), redactor),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), header(name, value, redactor)))
                .collect(),
            // A form is what the token endpoint gets: all of it is about the credentials.
            body: body.map(|bytes| {
                if form {
                    REDACTED.to_owned()
                } else {
                    redactor.sample(bytes, SHOWN_BYTES)
                }
            }),
        }
    }

    /// With its answer. The body of a token endpoint's answer is not shown.
    pub(super) fn answered(
        self,
        status: http::StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        took: Duration,
        redactor: &Redactor,
    ) -> Exchange {
        let is_token = self.body.as_deref() == Some(REDACTED);
        Exchange {
            status: status.as_u16(),
            answer_headers: headers
                .iter()
                .filter(|(name, _)| TELLING.contains(&name.as_str()) || name.as_str().contains("ratelimit"))
                .map(|(name, value)| (name.to_string(), header(name, value, redactor)))
                .collect(),
            answer_bytes: body.len(),
            answer: if is_token {
                REDACTED.to_owned()
            } else {
                redactor.sample(body, SHOWN_BYTES)
            },
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            method: self.method,
            url: self.url,
            headers: self.headers,
            body: self.body,
        }
    }
}

/// The URL with the query that paging needs a person to see.
fn url(url: &Url, redactor: &Redactor) -> String {
    let mut text = redactor.text(&address(url));
    for (place, (name, value)) in url.query_pairs().enumerate() {
        let value = if sounds_secret(&name) {
            REDACTED.to_owned()
        } else {
            redactor.text(&value)
        };
        text.push(if place == 0 { '?' } else { '&' });
        text.push_str(&redactor.text(&name));
        text.push('=');
        text.push_str(&value);
    }
    text
}

/// A value that was marked sensitive comes from the configuration, which does not declare which of them are secrets.
fn header(name: &HeaderName, value: &http::HeaderValue, redactor: &Redactor) -> String {
    if value.is_sensitive() || sounds_secret(name.as_str()) {
        return REDACTED.to_owned();
    }
    redactor.text(&String::from_utf8_lossy(value.as_bytes()))
}
