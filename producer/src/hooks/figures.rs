//! Statistics of each hook, by the hour. Counted in memory and added to the store every few seconds, so that a webhook
//! costs nothing extra, and so that the counts of all producers are combined. Counts not yet stored are lost if the
//! process is killed, which is acceptable: they are for people.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::Timestamp;
use tideline_runtime::{LoopError, Pace, Runtime, Wake};
use tideline_store::{HookHour, Store};

/// How often they are added to the store.
const EVERY: Duration = Duration::from_secs(2);

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Maximum number of hook hours buffered while the store does not respond.
const MAX_HELD: usize = 10_000;

/// The outcome of a webhook.
#[derive(Clone, Copy)]
pub(super) enum CameOf {
    /// It was stored.
    Stored,
    /// It was stored before.
    Duplicate,
    /// Its origin could not be verified, for this reason.
    Unproven(&'static str),
    /// It was refused for another reason.
    Refused(&'static str),
    /// It could not be accepted now.
    Unavailable(&'static str),
}

/// Counts that are not in the store yet.
#[derive(Default)]
pub(super) struct Figures(Mutex<HashMap<(String, i64), HookHour>>);

impl Figures {
    /// Counts one webhook.
    pub(super) fn note(&self, hook: &str, came_of: CameOf, now: Timestamp) {
        let hour = now.0 - now.0.rem_euclid(HOUR);
        let mut held = self.0.lock();
        if held.len() >= MAX_HELD {
            return;
        }
        let figures = held.entry((hook.to_owned(), hour)).or_insert_with(|| HookHour {
            hook: hook.to_owned(),
            hour: Timestamp(hour),
            ..HookHour::default()
        });
        let error = match came_of {
            CameOf::Stored => {
                figures.stored += 1;
                figures.last_stored_at = Some(now);
                return;
            }
            CameOf::Duplicate => {
                figures.duplicates += 1;
                return;
            }
            CameOf::Unproven(why) => {
                figures.unproven += 1;
                why
            }
            CameOf::Refused(why) => {
                figures.refused += 1;
                why
            }
            CameOf::Unavailable(why) => {
                figures.unavailable += 1;
                why
            }
        };
        figures.last_error_at = Some(now);
        figures.last_error = Some(error.to_owned());
    }

    /// Adds them to the store for as long as the runtime runs.
    pub(super) fn start(self: &Arc<Self>, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, runtime: &Runtime) {
        let (figures, store, clock) = (Arc::clone(self), Arc::clone(store), Arc::clone(clock));
        runtime.spawn_loop("figures of hooks", EVERY, Wake::Never, move || {
            let (figures, store, clock) = (Arc::clone(&figures), Arc::clone(&store), Arc::clone(&clock));
            async move {
                figures.flush(&*store, clock.now()).await;
                Ok::<Pace, LoopError>(Pace::Idle)
            }
        });
    }

    /// Adds the counts since the last time; what the store does not accept is added the next time.
    async fn flush(&self, store: &dyn Store, now: Timestamp) {
        let hours: Vec<HookHour> = std::mem::take(&mut *self.0.lock()).into_values().collect();
        if hours.is_empty() {
            return;
        }
        let Err(error) = store.add_hook_hours(&hours, now).await else {
            return;
        };
        tracing::debug!(error = full_text(&error), "figures of hooks could not be stored");
        if error.might_have_happened() {
            return;
        }
        let mut held = self.0.lock();
        for hour in hours {
            match held.entry((hour.hook.clone(), hour.hour.0)) {
                std::collections::hash_map::Entry::Occupied(mut newer) => add(newer.get_mut(), &hour),
                std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(hour)),
            }
        }
    }
}

/// Adds older counts of the same hour.
fn add(newer: &mut HookHour, older: &HookHour) {
    newer.stored += older.stored;
    newer.duplicates += older.duplicates;
    newer.unproven += older.unproven;
    newer.refused += older.refused;
    newer.unavailable += older.unavailable;
    newer.last_stored_at = newer.last_stored_at.or(older.last_stored_at);
    if newer.last_error.is_none() {
        newer.last_error_at = older.last_error_at;
        newer.last_error.clone_from(&older.last_error);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use tideline_store::sqlite::SqliteStore;

    #[tokio::test]
    async fn what_came_to_a_hook_is_in_the_store_with_the_last_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let store = SqliteStore::open(path.to_str().unwrap()).await.unwrap();
        let (figures, now) = (Figures::default(), Timestamp(500 * HOUR));
        for came_of in [
            CameOf::Stored,
            CameOf::Duplicate,
            CameOf::Unproven("the signature is wrong"),
            CameOf::Stored,
        ] {
            figures.note("ci", came_of, now);
        }
        figures.flush(&store, now).await;
        figures.note("ci", CameOf::Stored, Timestamp(now.0 + HOUR));
        figures.flush(&store, now).await;
        let hours = tideline_store::ObservationStore::list_hook_hours(&store, now)
            .await
            .unwrap();
        assert_eq!(hours.iter().map(|hour| hour.stored).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((hours[0].duplicates, hours[0].unproven), (1, 1));
        assert_eq!(hours[0].last_error.as_deref(), Some("the signature is wrong"));
    }
}
