//! GitHub's list of deliveries, of a repository's or an organization's webhook
//! (<https://docs.github.com/en/rest/repos/webhooks#list-deliveries-for-a-repository-webhook>).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::{ACCEPT, LINK, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tideline_config::hooks::{RepairPlace, RepairSettings};
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{Secret, Timestamp};
use url::Url;

use super::{DeliveryList, Listed, NotListed, Sent};

/// Maximum number of pages of one listing: 10,000 deliveries.
const MAX_PAGES: u32 = 100;
/// A listing's page, and a delivery with its payload of up to 25 MB.
const MAX_BODY_BYTES: usize = 64 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Github {
    /// `…/hooks/ID/deliveries`.
    base: Url,
    token: Secret,
    client: Result<reqwest::Client, NotListed>,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Item {
    id: u64,
    guid: String,
    delivered_at: String,
}

#[derive(Deserialize)]
struct Detail {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    headers: Option<BTreeMap<String, String>>,
    payload: Option<Box<RawValue>>,
}

impl Github {
    pub(super) fn new(settings: &RepairSettings, clock: Arc<dyn Clock>) -> Self {
        let mut base = settings.api_url.clone();
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop_if_empty();
            match &settings.place {
                RepairPlace::Repository(owner, name) => path.extend(["repos", owner, name]),
                RepairPlace::Organization(name) => path.extend(["orgs", name]),
            };
            path.extend(["hooks", &settings.hook_id.to_string(), "deliveries"]);
        }
        Self {
            base,
            token: settings.token.clone(),
            client: client(),
            clock,
        }
    }

    /// Pages of a listing since a moment, newest first; `true`: there are more than are read.
    async fn pages(&self, status: Option<&str>, since: Timestamp, found: &mut Vec<Listed>) -> Result<bool, NotListed> {
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = self.base.clone();
            url.query_pairs_mut().append_pair("per_page", "100");
            for (name, value) in [("status", status), ("cursor", cursor.as_deref())] {
                if let Some(value) = value {
                    url.query_pairs_mut().append_pair(name, value);
                }
            }
            let Some((headers, body)) = self.get(url).await? else {
                return Err(NotListed(
                    "GitHub has no such webhook: check repair.hook_id and the token's permissions".to_owned(),
                ));
            };
            let items: Vec<Item> = serde_json::from_slice(&body)
                .map_err(|error| NotListed(format!("GitHub's list of deliveries cannot be read: {error}")))?;
            let all = items.len();
            for item in items {
                let at: Timestamp = item.delivered_at.parse().unwrap_or(self.clock.now());
                if at >= since {
                    found.push(Listed {
                        number: item.id,
                        id: item.guid,
                    });
                } else if status.is_none() {
                    return Ok(false);
                }
            }
            cursor = next_cursor(&headers, &self.base);
            if cursor.is_none() || all == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// None: 404.
    async fn get(&self, url: Url) -> Result<Option<(HeaderMap, Vec<u8>)>, NotListed> {
        let failed =
            |error: reqwest::Error| NotListed(format!("GitHub cannot be queried: {}", full_text(&error.without_url())));
        let client = self.client.clone()?;
        let request = client.get(url).bearer_auth(self.token.reveal());
        let request = request
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header(USER_AGENT, concat!("tideline/", env!("CARGO_PKG_VERSION")));
        let response = request.send().await.map_err(failed)?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::UNAUTHORIZED => {
                return Err(NotListed("GitHub rejects repair.token: 401 Unauthorized".to_owned()));
            }
            status if !status.is_success() => {
                return Err(NotListed(format!(
                    "GitHub answered the request for the list of deliveries with {status}"
                )));
            }
            _ => {}
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(failed)?);
            if body.len() > MAX_BODY_BYTES {
                return Err(NotListed(format!(
                    "GitHub's response is larger than {MAX_BODY_BYTES} bytes"
                )));
            }
        }
        Ok(Some((headers, body)))
    }
}

fn client() -> Result<reqwest::Client, NotListed> {
    // A provider that is already installed is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build();
    client.map_err(|error| NotListed(format!("the HTTP client cannot be set up: {error}")))
}

/// `cursor` of the next page. It is put into our own URL: no response decides where requests go.
fn next_cursor(headers: &HeaderMap, base: &Url) -> Option<String> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let target = next.split_once('<')?.1.split_once('>')?.0;
    let url = base.join(target).ok()?;
    url.query_pairs()
        .find(|(name, _)| name == "cursor")
        .map(|(_, cursor)| cursor.into_owned())
}

#[async_trait]
impl DeliveryList for Github {
    async fn list(&self, since: Timestamp) -> Result<Vec<Listed>, NotListed> {
        let mut found = Vec::new();
        self.pages(Some("failure"), since, &mut found).await?;
        if self.pages(None, since, &mut found).await? {
            tracing::warn!(
                "GitHub sent more deliveries than it lists; the oldest ones were checked only if they failed"
            );
        }
        Ok(found)
    }

    async fn fetch(&self, number: u64) -> Result<Option<Sent>, NotListed> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&number.to_string());
        }
        let Some((_, body)) = self.get(url).await? else {
            return Ok(None);
        };
        let detail: Detail = serde_json::from_slice(&body)
            .map_err(|error| NotListed(format!("a delivery of GitHub cannot be read: {error}")))?;
        let Some(payload) = detail.request.payload else {
            return Ok(None);
        };
        let mut headers = HeaderMap::new();
        for (name, value) in detail.request.headers.unwrap_or_default() {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        Ok(Some(Sent {
            headers,
            body: payload.get().as_bytes().to_vec(),
        }))
    }
}
