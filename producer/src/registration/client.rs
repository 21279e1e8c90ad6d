//! Requests to providers: paced, tried again where that is harmless, and without the secret in any error.

use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LINK, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tideline_core::rules::{scrub_tokens, scrub_urls};
use tideline_core::words::Secret;
use url::Url;

/// How long a request may take. HCP Terraform verifies the URL meanwhile.
const TIMEOUT: Duration = Duration::from_secs(60);
/// HCP Terraform allows 30 requests a second for a token.
const PACE: Duration = Duration::from_millis(50);
/// Tries of one request.
const TRIES: u32 = 5;
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Maximum number of bytes shown of an error's text.
const SHOWN: usize = 300;

/// Where an API is, and who asks.
#[derive(Clone, Debug)]
pub struct Access {
    /// Paths are joined to it.
    pub base_url: Url,
    /// Sent as `Authorization: Bearer`.
    pub token: Secret,
}

/// Why a webhook was not registered.
#[derive(Debug, thiserror::Error)]
#[error("{place}{message}")]
pub struct RegistrationError {
    place: String,
    message: String,
    /// The status of an answer that says so.
    pub status: Option<u16>,
}

impl RegistrationError {
    pub(super) fn wrong(message: String) -> Self {
        Self {
            place: String::new(),
            message,
            status: None,
        }
    }

    /// With what it is about.
    pub(super) fn at(self, place: &str) -> Self {
        Self {
            place: format!("{place}: "),
            ..self
        }
    }

    /// With advice.
    pub(super) fn hint(self, hint: &str) -> Self {
        Self {
            message: format!("{}; {hint}", self.message),
            ..self
        }
    }
}

/// An answer that says that it worked.
pub(super) struct Answer {
    pub(super) body: Value,
    headers: HeaderMap,
}

impl Answer {
    /// The path and query of the next page, of a `Link` header (RFC 8288).
    pub(super) fn next(&self) -> Option<String> {
        let links = self.headers.get(LINK)?.to_str().ok()?;
        let link = links.split(',').find(|link| link.contains("rel=\"next\""))?;
        let url = Url::parse(link.split('<').nth(1)?.split('>').next()?).ok()?;
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        Some(query)
    }
}

/// Sends requests to one API.
pub(super) struct Client {
    http: reqwest::Client,
    access: Access,
    headers: HeaderMap,
}

impl Client {
    pub(super) fn new(
        access: Access,
        accept: &'static str,
        more: &[(&'static str, &'static str)],
    ) -> Result<Self, RegistrationError> {
        // A provider that is already installed is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in more {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {}", access.token.reveal()));
        let mut bearer =
            bearer.map_err(|_| RegistrationError::wrong("the token cannot be sent in a header".to_owned()))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let http = reqwest::Client::builder()
            .user_agent(concat!("tideline/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                RegistrationError::wrong(format!("the HTTP client cannot be set up: {}", error.without_url()))
            })?;
        Ok(Self { http, access, headers })
    }

    /// Sends a request and reads its answer. `path` begins with a slash and may have a query.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, RegistrationError> {
        let base = self.access.base_url.as_str().trim_end_matches('/');
        let url = format!("{base}{path}");
        let shown = format!("{method} {}", url.split('?').next().unwrap_or_default());
        let mut tries = 0;
        loop {
            tries += 1;
            tokio::time::sleep(PACE).await;
            let mut request = self.http.request(method.clone(), &url).headers(self.headers.clone());
            if let Some(body) = body {
                let kind = if self
                    .headers
                    .get(ACCEPT)
                    .is_some_and(|kind| kind == "application/vnd.api+json")
                {
                    "application/vnd.api+json"
                } else {
                    "application/json"
                };
                request = request.header(CONTENT_TYPE, kind).body(body.to_string());
            }
            // What was made may have been made although the answer is lost.
            let is_repeatable = *method != Method::POST;
            let response = match request.send().await {
                Ok(response) => response,
                Err(_) if is_repeatable && tries < TRIES => continue,
                Err(error) => {
                    let why = if error.is_timeout() {
                        "did not answer in time"
                    } else {
                        "cannot be reached"
                    };
                    return Err(RegistrationError::wrong(format!("{shown}: {why}")));
                }
            };
            let (status, headers) = (response.status(), response.headers().clone());
            let text = response.text().await.unwrap_or_default();
            let again = status == StatusCode::TOO_MANY_REQUESTS || (status.is_server_error() && is_repeatable);
            if again && tries < TRIES {
                tokio::time::sleep(wait(&headers, tries)).await;
                continue;
            }
            if status.is_success() {
                let body = serde_json::from_str(&text).unwrap_or_default();
                return Ok(Answer { body, headers });
            }
            return Err(self.refused(&shown, status, &text, body));
        }
    }

    fn refused(&self, shown: &str, status: StatusCode, text: &str, sent: Option<&Value>) -> RegistrationError {
        let said: Value = serde_json::from_str(text).unwrap_or_default();
        let of = |error: &Value| {
            let words = [&error["title"], &error["detail"], &error["message"]];
            let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
            words.join(": ")
        };
        let mut parts: Vec<String> = said["message"].as_str().map(str::to_owned).into_iter().collect();
        parts.extend(
            said["errors"]
                .as_array()
                .into_iter()
                .flatten()
                .map(of)
                .filter(|text| !text.is_empty()),
        );
        let mut why: String = parts.join("; ").chars().take(SHOWN).collect();
        // A provider may repeat what was sent.
        for secret in [self.access.token.reveal()]
            .into_iter()
            .chain(sent.iter().flat_map(|sent| secrets_in(sent)))
        {
            if !secret.is_empty() {
                why = why.replace(secret, "[redacted]");
            }
        }
        let why = scrub_tokens(&scrub_urls(&why));
        let advice = match status.as_u16() {
            401 => " (the token is missing, wrong or expired)",
            403 | 404 => " (it does not exist, or the token has no access to it)",
            _ => "",
        };
        let colon = if why.is_empty() { "" } else { ": " };
        RegistrationError {
            place: String::new(),
            message: format!("{shown} answered {status}{advice}{colon}{why}"),
            status: Some(status.as_u16()),
        }
    }
}

/// The secret texts of a body.
fn secrets_in(body: &Value) -> Vec<&str> {
    let places = [&body["config"]["secret"], &body["data"]["attributes"]["token"]];
    places.iter().filter_map(|value| value.as_str()).collect()
}

/// How long to wait before the next try.
fn wait(headers: &HeaderMap, tries: u32) -> Duration {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<f64>().ok();
    let asked =
        number(RETRY_AFTER.as_str()).or_else(|| number("x-ratelimit-reset").filter(|seconds| *seconds < 3_600.0));
    let asked = asked.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    asked
        .unwrap_or(Duration::from_millis(200) * 2_u32.pow(tries.min(8)))
        .min(MAX_WAIT)
}

/// A part of a path.
pub(super) fn segment(text: &str) -> String {
    let mut url = Url::parse("http://x/").ok();
    if let Some(Ok(mut segments)) = url.as_mut().map(|url| url.path_segments_mut()) {
        segments.pop_if_empty().push(text);
    }
    url.map(|url| url.path().trim_start_matches('/').to_owned())
        .unwrap_or_default()
}
