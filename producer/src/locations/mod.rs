//! The catalog as a `Location` of YAML pages, for a Backstage without the package: `/backstage/KEY/locations.yaml`
//! names the pages, which Backstage reads again at its own pace, with ETags. The key is all that opens them: Backstage
//! sends nothing else.
//!
//! An entity is on the page that the hash of its reference names, so one change alters one page. The pages are served
//! only while each source has been read completely once: what Backstage does not find on a page, it deletes.

mod cut;

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tideline_config::settings::LocationSettings;
use tideline_core::words::{CycleRecord, CycleState, Sequence, SourceId, SourceState};

use self::cut::Cut;
use crate::api::{Api, ApiState, Code, Problem};
use crate::etag::is_known;
use crate::secrets::is_same;

/// How long a Backstage waits that comes too early, in seconds.
const RETRY_AFTER: u64 = 60;

/// Newest cycles of a source that are looked through for a complete one.
const CYCLES: u32 = 20;

struct Pages {
    api: Arc<ApiState>,
    settings: LocationSettings,
    /// Sources that were read completely once.
    read: Mutex<HashSet<SourceId>>,
    /// The ETags of all pages, at this place in the feed.
    known: Mutex<Option<(Sequence, Vec<String>)>>,
}

pub(crate) fn router(api: &Api) -> Router {
    let settings = api.state.settings.as_ref();
    let Some(settings) = settings.and_then(|settings| settings.locations.clone()) else {
        return Router::new();
    };
    let pages = Pages {
        api: Arc::clone(&api.state),
        settings,
        read: Mutex::default(),
        known: Mutex::default(),
    };
    Router::new()
        .route("/backstage/{key}/locations.yaml", get(index))
        .route("/backstage/{key}/pages/{page}", get(page))
        .with_state(Arc::new(pages))
}

async fn index(
    State(pages): State<Arc<Pages>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    pages.admit(&key)?;
    pages.check_sources().await?;
    let mut text = "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata:\n  name: tideline\n  description: The catalog of \
                    Tideline\nspec:\n  type: url\n  targets:\n"
        .to_owned();
    for page in 0..pages.settings.pages {
        text.push_str(&format!("    - ./pages/{page}.yaml\n"));
    }
    let etag = etag(text.as_bytes());
    Ok(answer(&headers, &etag, text))
}

async fn page(
    State(pages): State<Arc<Pages>>,
    Path((key, page)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    pages.admit(&key)?;
    let number = page.strip_suffix(".yaml").and_then(|number| number.parse::<u32>().ok());
    let number = number
        .filter(|number| *number < pages.settings.pages)
        .ok_or_else(not_found)?;
    pages.check_sources().await?;
    let last = pages.api.store.stats(pages.api.clock.now()).await?.last_sequence;
    let known = (pages.known.lock().as_ref())
        .filter(|(sequence, _)| *sequence == last)
        .and_then(|(_, etags)| etags.get(number as usize).cloned());
    if let Some(etag) = known.filter(|etag| is_known(&headers, etag)) {
        return Ok(answer(&headers, &etag, String::new()));
    }
    let cut = Cut::read(&*pages.api.store, &pages.settings, number).await?;
    let etag = cut.etags.get(number as usize).cloned().unwrap_or_default();
    // What changed while it was read is a newer place, which has its own.
    *pages.known.lock() = Some((last, cut.etags));
    Ok(answer(&headers, &etag, cut.text))
}

impl Pages {
    fn admit(&self, key: &str) -> Result<(), Problem> {
        let is_ours = self
            .settings
            .keys
            .iter()
            .any(|ours| is_same(ours.reveal().as_bytes(), key.as_bytes()));
        is_ours.then_some(()).ok_or_else(not_found)
    }

    /// A source that has not completed a cycle yet may have unknown entities.
    async fn check_sources(&self) -> Result<(), Problem> {
        for source in self.api.store.list_sources().await? {
            let is_there = source.state == SourceState::Orphaned || source.source_type == "push";
            if is_there || !self.settings.follow.allows_source(&source.name) || self.read.lock().contains(&source.id) {
                continue;
            }
            let cycles = self.api.store.list_cycles(source.id, CYCLES).await?;
            let is_whole = |cycle: &CycleRecord| matches!(cycle.state, CycleState::Complete | CycleState::Held);
            if cycles.iter().any(is_whole) {
                self.read.lock().insert(source.id);
                continue;
            }
            let detail = format!(
                "{} has not been read completely yet; until then, its entities would be missing from the pages",
                source.name
            );
            return Err(Problem {
                retry_after: Some(RETRY_AFTER),
                ..Problem::new(Code::Unavailable, detail)
            });
        }
        Ok(())
    }
}

fn not_found() -> Problem {
    Problem::new(Code::NotFound, "")
}

/// Weak, since the answer may be compressed.
fn etag(content: &[u8]) -> String {
    format!("W/\"{}\"", hex::encode(&Sha256::digest(content)[..16]))
}

fn answer(headers: &HeaderMap, etag: &str, text: String) -> Response {
    let mut response = if is_known(headers, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        text.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests;
