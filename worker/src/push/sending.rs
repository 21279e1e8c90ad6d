//! Sends one request to a subscriber. It connects only to allowed addresses, whatever the name resolves to at that
//! moment, and follows no redirects, so that addresses that the configuration does not allow cannot be reached
//! indirectly.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tideline_config::subscriptions::SubscriptionSettings;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{AddressPolicy, scrub_tokens, scrub_urls};
use tideline_core::words::Timestamp;
use tideline_runtime::push_target::{PushTarget, forbidden, literal_address, signing_key};

use super::message::Message;
use crate::standard_webhooks::signature;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size that is read of an error response.
const SHOWN_BYTES: usize = 300;
/// Cap on the wait that `Retry-After` asks for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Accepted,
    /// Anything else; not to be retried before this time.
    Failed {
        error: String,
        not_before: Option<Timestamp>,
    },
    /// 410: the URL no longer wants events.
    Gone,
}

/// Sends requests. One per process: it keeps the connections.
pub(super) struct Sender {
    client: reqwest::Client,
    addresses: AddressPolicy,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Sender {
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(settings: &SubscriptionSettings, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        // A provider that is already installed is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // A proxy would connect where this program must not.
            .no_proxy()
            .dns_resolver(Arc::new(Resolver(settings.addresses.clone())))
            .build()?;
        Ok(Self {
            client,
            addresses: settings.addresses.clone(),
            timeout: settings.timeout,
            clock,
        })
    }

    /// Sends a message; returns within the timeout. Dropping the future ends the request.
    pub(super) async fn send(&self, target: &PushTarget, message: &Message) -> Answer {
        let failed = |error: String| Answer::Failed {
            error,
            not_before: None,
        };
        if let Some(address) = literal_address(&target.url).filter(|address| !self.addresses.allows(*address)) {
            return failed(forbidden(address));
        }
        let headers = match headers(target, message, self.clock.now()) {
            Ok(headers) => headers,
            Err(error) => return failed(error),
        };
        let request = self
            .client
            .post(target.url.clone())
            .headers(headers)
            .body(message.body.clone());
        let answering = async {
            match request.send().await {
                Ok(response) => self.read(response).await,
                Err(error) => failed(scrub_tokens(&scrub_urls(&full_text(&error.without_url())))),
            }
        };
        let answer = tokio::time::timeout(self.timeout, answering).await;
        answer.unwrap_or_else(|_| failed(format!("no answer within {} s", self.timeout.as_secs())))
    }

    async fn read(&self, response: reqwest::Response) -> Answer {
        let status = response.status();
        if status.is_success() {
            return Answer::Accepted;
        }
        if status == StatusCode::GONE {
            return Answer::Gone;
        }
        let not_before = retry_after(response.headers(), self.clock.now());
        let mut error = status.to_string();
        if status.is_redirection() {
            error.push_str("; redirects are not followed");
        }
        let mut shown = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(Ok(chunk)) = body.next().await {
            shown.extend_from_slice(&chunk);
            if shown.len() >= SHOWN_BYTES {
                break;
            }
        }
        shown.truncate(SHOWN_BYTES);
        let text = String::from_utf8_lossy(&shown);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            error = format!("{error}: {}", scrub_tokens(&scrub_urls(&text)));
        }
        Answer::Failed { error, not_before }
    }
}

fn headers(target: &PushTarget, message: &Message, now: Timestamp) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tideline/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &target.headers {
        let wrong = || format!("header {name} cannot be sent");
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.reveal()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(message.content_type));
    let mut own = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    if let Some(secret) = &target.secret {
        let key = signing_key(secret).ok_or("the secret is invalid; set it again")?;
        let seconds = now.0.div_euclid(1_000);
        own("webhook-id", message.id.clone());
        own("webhook-timestamp", seconds.to_string());
        own(
            "webhook-signature",
            signature(&key, &message.id, seconds, &message.body),
        );
    }
    Ok(headers)
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            let at = at.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis();
            Timestamp(i64::try_from(at).ok()?).since(now)
        }
    };
    Some(now.plus(wait.min(MAX_RETRY_AFTER)))
}

/// Resolves names, and passes on only allowed addresses: a name that changes its address cannot bypass the check.
struct Resolver(AddressPolicy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let refused: Option<IpAddr> = found
                .iter()
                .map(SocketAddr::ip)
                .find(|address| !policy.allows(*address));
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| policy.allows(address.ip()))
                .collect();
            match refused {
                Some(address) if allowed.is_empty() => Err(io::Error::other(forbidden(address)).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_says_when_it_wants_to_be_asked_again() {
        let now = Timestamp(1_000_000);
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::try_from(text).unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(after("120"), Some(now.plus(Duration::from_secs(120))));
        assert_eq!(after("Thu, 01 Jan 1970 00:18:20 GMT"), Some(Timestamp(1_100_000)));
        assert_eq!(after("99999999"), Some(now.plus(MAX_RETRY_AFTER)));
        assert_eq!(after("soon"), None);
    }
}
