//! Live updates: a stream of server-sent events per open page. No matter how many pages are open, one task polls the
//! store, and only while a page is open; each address is rendered once for all viewers with the same rights. Its live
//! fragments are compared with those sent before, and the changed ones are sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use serde::Serialize;
use tideline_core::rules::fingerprint;
use tideline_core::words::{Fingerprint, SourceRecord, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Dashboard;
use super::viewer::{Query, SignedIn};
use crate::api::place::Place;
use crate::api::{Api, Code, Principal, Problem, SourceScope};

/// Minimum interval between two reads of the store.
const LOOK: Duration = Duration::from_secs(1);

/// Polling interval without wake-ups: writes of another process are seen after this time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Rendering a page takes at most one part in this many of the time.
const SHARE: u32 = 20;

/// Streams at a time.
const MAX_STREAMS: usize = 2_000;

/// Maximum number of addresses, by rights, that are rendered at a time.
const MAX_CHANNELS: usize = 256;

/// Maximum duration of a stream: then the browser reconnects, and is authenticated again.
const LONGEST: Duration = Duration::from_secs(300);

/// How many messages a slow reader may lag behind before it gets the whole page again.
const BEHIND: usize = 4;

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Maximum size of a page, in bytes.
const MAX_PAGE: usize = 4 * 1024 * 1024;

/// The comment before a live fragment, followed by its id and [`END`].
pub(super) const BEGIN: &str = "<!--live ";
/// The end of that comment.
pub(super) const END: &str = "-->";
/// The comment after a fragment.
pub(super) const CLOSE: &str = "<!--/live-->";

/// An address and the rights of the viewer.
type Key = (String, String);

/// Fragments by id.
type Fragments = Arc<Vec<Fragment>>;

#[derive(Clone, PartialEq, Eq, Serialize)]
struct Fragment {
    id: String,
    html: String,
}

/// One address that has viewers.
struct Channel {
    newest: watch::Receiver<Fragments>,
    changed: broadcast::Sender<Fragments>,
}

/// All streams of this process.
pub(super) struct Live {
    api: Api,
    rung: watch::Sender<u64>,
    watching: Mutex<bool>,
    channels: Mutex<HashMap<Key, Channel>>,
    places: Arc<Semaphore>,
}

impl Live {
    pub(super) fn new(api: &Api) -> Self {
        Self {
            api: api.clone(),
            rung: watch::Sender::default(),
            watching: Mutex::default(),
            channels: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }

    fn stop(&self) -> CancellationToken {
        self.api.state.stop.clone()
    }

    /// Registers a listener that is notified when the store has changed. From now on the store is polled, until no
    /// listener is left.
    fn listen(self: &Arc<Self>) -> watch::Receiver<u64> {
        let mut watching = self.watching.lock();
        let listener = self.rung.subscribe();
        if !std::mem::replace(&mut *watching, true) {
            let live = Arc::clone(self);
            tokio::spawn(async move { live.watch().await });
        }
        listener
    }

    async fn watch(&self) {
        let (stop, mut wakeups) = (self.stop(), self.api.state.queue.wakeups());
        let mut seen = None;
        loop {
            let earliest = Instant::now() + LOOK;
            tokio::select! {
                () = wakeups.next() => {}
                () = tokio::time::sleep(PATIENCE) => {}
                () = stop.cancelled() => {}
            }
            tokio::select! {
                () = tokio::time::sleep_until(earliest) => {}
                () = stop.cancelled() => {}
            }
            {
                let mut watching = self.watching.lock();
                if self.rung.receiver_count() == 0 || stop.is_cancelled() {
                    *watching = false;
                    return;
                }
            }
            // An unavailable store is polled again; pages show what is known.
            if let Ok((state, busy)) = self.look().await
                && (busy || seen != Some(state))
            {
                seen = Some(state);
                self.rung.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// What distinguishes states of the store, and whether jobs are running, whose progress it does not reflect.
    async fn look(&self) -> Result<(Fingerprint, bool), Problem> {
        let state = &self.api.state;
        let stats = state.store.stats(state.clock.now()).await?;
        let sources = state.store.list_sources().await?;
        let events = state.store.event_bounds().await?;
        let subscriptions = state.store.list_subscriptions().await?;
        let targets = state.store.list_targets().await?;
        let workers = state.store.list_workers().await?.len();
        let queue = state.queue.health();
        let hooks = state
            .store
            .list_hook_hours(Timestamp(state.clock.now().0 - HOUR))
            .await?;
        let checks = self.checks(&sources).await?;
        let text = format!(
            "{stats:?} {sources:?} {events:?} {subscriptions:?} {targets:?} {workers} {queue:?} {hooks:?} {checks:?}"
        );
        Ok((fingerprint(text.as_bytes()), stats.running > 0))
    }

    /// When each source with a configured check was last checked.
    async fn checks(&self, sources: &[SourceRecord]) -> Result<Vec<Timestamp>, Problem> {
        let (state, mut ended) = (&self.api.state, Vec::new());
        let settings = state.settings.iter().flat_map(|settings| &settings.sources);
        for checked in settings.filter(|source| source.check.is_some()) {
            if let Some(source) = sources.iter().find(|source| source.name == checked.name) {
                let newest = state.store.list_checks(source.id, 1).await?;
                ended.extend(newest.first().map(|check| check.ended_at));
            }
        }
        Ok(ended)
    }

    /// The channel of an address; opened for its first viewer.
    fn join(self: &Arc<Self>, pages: &Router, key: Key, principal: Principal) -> Result<Joined, Problem> {
        let mut channels = self.channels.lock();
        let full = channels.len() >= MAX_CHANNELS;
        let channel = match channels.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if full => {
                return Err(Problem::new(Code::Overloaded, "too many different pages are open"));
            }
            Entry::Vacant(entry) => {
                let (newest, changed) = (watch::Sender::default(), broadcast::Sender::new(BEHIND));
                let making = Making {
                    live: Arc::clone(self),
                    pages: pages.clone(),
                    principal,
                    key,
                    changed: changed.clone(),
                };
                let channel = Channel {
                    newest: newest.subscribe(),
                    changed,
                };
                tokio::spawn(making.run(newest));
                entry.insert(channel)
            }
        };
        Ok(Joined {
            newest: channel.newest.clone(),
            changed: channel.changed.subscribe(),
        })
    }
}

struct Joined {
    newest: watch::Receiver<Fragments>,
    changed: broadcast::Receiver<Fragments>,
}

/// Renders one address repeatedly while it has viewers.
struct Making {
    live: Arc<Live>,
    pages: Router,
    principal: Principal,
    key: Key,
    changed: broadcast::Sender<Fragments>,
}

impl Making {
    async fn run(self, newest: watch::Sender<Fragments>) {
        let mut rung = self.live.listen();
        loop {
            let begun = Instant::now();
            if let Some(fragments) = self.make().await {
                let differs = |fragment: &&Fragment| {
                    let before = newest.borrow();
                    let same = before.iter().find(|before| before.id == fragment.id);
                    same.is_none_or(|same| steady(&same.html) != steady(&fragment.html))
                };
                let changed: Vec<Fragment> = fragments.iter().filter(differs).cloned().collect();
                // Viewers that are present when the first fragments are made wait for all of them.
                let first = newest.send_replace(Arc::new(fragments)).is_empty();
                if !first && !changed.is_empty() {
                    let _ = self.changed.send(Arc::new(changed));
                }
            }
            tokio::time::sleep(LOOK.max(begun.elapsed() * SHARE)).await;
            loop {
                let woken = tokio::time::timeout(PATIENCE, rung.changed()).await;
                if self.is_left() {
                    return;
                }
                match woken {
                    Ok(Ok(())) => break,
                    Ok(Err(_)) => return,
                    Err(_) => {}
                }
            }
        }
    }

    /// Returns true if no viewer is left: then the channel is closed.
    fn is_left(&self) -> bool {
        let mut channels = self.live.channels.lock();
        let left = self.changed.receiver_count() == 0 || self.live.stop().is_cancelled();
        if left {
            channels.remove(&self.key);
        }
        left
    }

    /// The live fragments of the page as it is now.
    async fn make(&self) -> Option<Vec<Fragment>> {
        let mut request = Request::builder().uri(&self.key.0).body(Body::empty()).ok()?;
        request.extensions_mut().insert(self.principal.clone());
        request.extensions_mut().insert(SignedIn(false));
        let response = match self.pages.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if response.status() != StatusCode::OK {
            return None;
        }
        let page = axum::body::to_bytes(response.into_body(), MAX_PAGE).await.ok()?;
        Some(fragments(std::str::from_utf8(&page).ok()?))
    }
}

/// The live fragments of a page. User content cannot imitate their markers, since `<` is escaped there.
fn fragments(page: &str) -> Vec<Fragment> {
    let marked = page.split(BEGIN).skip(1);
    let fragment = |marked: &str| {
        let (id, rest) = marked.split_once(END)?;
        let (html, _) = rest.split_once(CLOSE)?;
        Some(Fragment {
            id: id.to_owned(),
            html: html.to_owned(),
        })
    };
    marked.filter_map(fragment).collect()
}

/// A fragment without its relative times, which change by themselves.
fn steady(html: &str) -> String {
    let mut parts = html.split("<time");
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (tag, rest) = part.split_once('>').unwrap_or((part, ""));
        let (_, rest) = rest.split_once("</time>").unwrap_or(("", rest));
        steady.push_str("<time");
        steady.push_str(tag);
        steady.push_str(rest);
    }
    steady
}

/// The state of a stream.
struct Streaming {
    joined: Joined,
    whole: bool,
    ends: Instant,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Streaming {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let fragments = if std::mem::take(&mut self.whole) {
            // Changes between the page and the stream are included here.
            let ready = self.joined.newest.wait_for(|fragments| !fragments.is_empty());
            tokio::select! {
                ready = ready => ready.ok()?.clone(),
                () = tokio::time::sleep_until(self.ends) => return None,
                () = self.stop.cancelled() => return None,
            }
        } else {
            tokio::select! {
                changed = self.joined.changed.recv() => match changed {
                    Ok(fragments) => fragments,
                    Err(broadcast::error::RecvError::Lagged(_)) => self.joined.newest.borrow().clone(),
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.ends) => return None,
                () = self.stop.cancelled() => return None,
            }
        };
        let json = serde_json::to_string(&*fragments).ok()?;
        Some((Ok(Event::default().event("changed").data(json)), self))
    }
}

#[derive(Clone)]
struct LiveState {
    dashboard: Dashboard,
    pages: Router,
}

impl axum::extract::FromRef<LiveState> for Dashboard {
    fn from_ref(state: &LiveState) -> Self {
        state.dashboard.clone()
    }
}

/// `/live?page=ADDRESS`.
pub(super) fn router(dashboard: Dashboard, pages: Router) -> Router {
    Router::new()
        .route("/live", get(open))
        .with_state(LiveState { dashboard, pages })
}

async fn open(State(state): State<LiveState>, Query(query): Query, request: Request) -> Response {
    let Some(principal) = request.extensions().get::<Principal>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if let Some(place) = request.extensions().get::<Place>() {
        place.give_back();
    }
    match begin(&state, query.get("page"), principal) {
        Ok(events) => Sse::new(events)
            .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
            .into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn begin(
    state: &LiveState,
    page: &str,
    principal: Principal,
) -> Result<impl Stream<Item = Result<Event, Infallible>> + use<>, Problem> {
    let live = &state.dashboard.live;
    if !page.starts_with('/') || page.starts_with("/live") {
        return Err(Problem::new(Code::InvalidRequest, "page takes the path of a page"));
    }
    let place = Arc::clone(&live.places)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Overloaded, "too many pages are open"))?;
    let sources = match &principal.sources {
        SourceScope::All => Vec::new(),
        SourceScope::Only { globs, .. } => globs.clone(),
    };
    let rights = format!("{} {sources:?}", principal.role);
    let streaming = Streaming {
        joined: live.join(&state.pages, (page.to_owned(), rights), principal)?,
        whole: true,
        ends: Instant::now() + LONGEST,
        stop: live.stop(),
        _place: place,
    };
    Ok(stream::unfold(streaming, Streaming::next).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_found_by_their_marks_and_no_text_can_forge_one() {
        let forged = maud::html! { p { "<!--live x-->evil<!--/live-->" } }.into_string();
        let page = format!("<main><!--live a--><div id=\"a\">{forged}</div><!--/live--><p></p></main>");
        let found = fragments(&page);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, "a");
        assert!(found[0].html.starts_with("<div") && found[0].html.ends_with("</div>"));
    }

    #[test]
    fn time_going_by_is_no_change() {
        let before = "<p><time datetime=\"1\">3 s ago</time> x</p>";
        let after = "<p><time datetime=\"1\">4 s ago</time> x</p>";
        assert_eq!(steady(before), steady(after));
        assert_ne!(steady(before), steady("<p><time datetime=\"2\">3 s ago</time> x</p>"));
        assert_ne!(steady(before), steady("<p><time datetime=\"1\">3 s ago</time> y</p>"));
    }
}
