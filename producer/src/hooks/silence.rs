//! Tells when a hook has received nothing for much longer than usual: the webhook may have been deleted, or its URL
//! changed. What is usual the figures of the last week say, hour by hour: in the log, other hooks' deliveries may be
//! all that a look reaches.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tideline_core::clock::Clock;
use tideline_core::words::{EventSequence, NewEvent, Timestamp, Verdict};
use tideline_queue::Queue;
use tideline_runtime::{LoopError, Pace, Runtime, Wake};
use tideline_store::{HookHour, Store, StoreError};

/// How often the hooks are looked at.
const LOOK: Duration = Duration::from_secs(300);
/// With fewer deliveries there is no usual interval.
const LEAST: u64 = 10;
/// A silence this many times the longest interval is unusual.
const FACTOR: u32 = 3;
/// A shorter silence is never told of.
const SHORTEST: Duration = Duration::from_secs(3_600);

/// Looks for silent hooks.
pub(super) struct Silence {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hooks: Vec<String>,
}

/// A silence of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silent {
    since: Timestamp,
    lasts: Duration,
    /// The longest one before, about.
    usual: Duration,
}

/// Deliveries of one hour, as if they had come evenly up to the last one.
#[derive(Clone, Copy)]
struct Hour {
    first: Timestamp,
    last: Timestamp,
    /// Between two of them.
    pause: Duration,
    stored: u64,
}

impl Hour {
    fn of(hour: &HookHour) -> Option<Self> {
        let last = hour.last_stored_at?;
        let pause = last.since(hour.hour) / u32::try_from(hour.stored).unwrap_or(u32::MAX).max(1);
        Some(Self {
            first: if hour.stored > 1 { hour.hour.plus(pause) } else { last },
            last,
            pause: if hour.stored > 1 { pause } else { Duration::ZERO },
            stored: hour.stored,
        })
    }
}

/// Whether a hook has been silent for much longer than usual. `hours`: its own, oldest first.
fn silence(hours: &[Hour], now: Timestamp) -> Option<Silent> {
    if hours.iter().map(|hour| hour.stored).sum::<u64>() < LEAST {
        return None;
    }
    let between = (hours.windows(2)).filter_map(|pair| Some(pair.last()?.first.since(pair.first()?.last)));
    let within = hours.iter().map(|hour| hour.pause);
    let usual = between.chain(within).max()?;
    let since = hours.last()?.last;
    let lasts = now.since(since);
    (lasts >= (usual * FACTOR).max(SHORTEST)).then_some(Silent { since, lasts, usual })
}

impl Silence {
    pub(super) fn start(self, runtime: &Runtime) {
        let silence = Arc::new(self);
        runtime.spawn_loop("silent hooks", LOOK, Wake::Never, move || {
            let silence = Arc::clone(&silence);
            async move { silence.run_once().await.map(|()| Pace::Idle).map_err(LoopError::from) }
        });
    }

    /// Checks all hooks.
    async fn run_once(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let kept = i64::try_from(HookHour::KEPT.as_millis()).unwrap_or(i64::MAX);
        let all = self
            .store
            .list_hook_hours(Timestamp(now.0.saturating_sub(kept)))
            .await?;
        for hook in &self.hooks {
            let own = all.iter().filter(|hour| hour.hook == *hook);
            let hours: Vec<Hour> = own.filter_map(Hour::of).collect();
            if let Some(silent) = silence(&hours, now) {
                self.tell(hook, silent, now).await?;
            }
        }
        Ok(())
    }

    /// Reports each silence once, no matter how many gateways check.
    async fn tell(&self, hook: &str, silent: Silent, now: Timestamp) -> Result<(), StoreError> {
        let name = format!("silent:{hook}");
        // Of the last silence that was told of, the moment when it began.
        let (told, since) = (self.store.find_position(&name).await?, EventSequence(silent.since.0));
        if told == Some(since) || !self.store.move_position(&name, told, since).await? {
            return Ok(());
        }
        let (lasts, usual) = (silent.lasts.as_secs(), silent.usual.as_secs());
        let (minutes, longest) = (lasts / 60, usual / 60);
        let reason = format!("nothing for {minutes} min; the longest pause before was {longest} min");
        let body = json!({ "hook": hook, "silent_seconds": lasts, "usual_seconds": usual, "reason": reason });
        let event = NewEvent {
            topic: "hook.silent".to_owned(),
            key: hook.to_owned(),
            delivery: None,
            verdict: Verdict::Own,
            malformed: false,
            headers: vec![],
            body: body.to_string().into_bytes(),
            trace: None,
        };
        self.store.append_events(&[event], now).await?;
        self.queue.wake().await;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use tideline_core::clock::ManualClock;
    use tideline_core::words::DeliveryId;
    use tideline_queue::in_process::InProcessQueue;
    use tideline_store::sqlite::SqliteStore;
    use tideline_store::{EventFilter, EventStore, ObservationStore};

    const HOUR: i64 = 3_600_000;

    struct Bench {
        store: Arc<SqliteStore>,
        _folder: tempfile::TempDir,
    }

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let store = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
        Bench { store, _folder: folder }
    }

    impl Bench {
        /// A delivery in the log and in the figures.
        async fn deliver(&self, hook: &str, at: i64) {
            self.store
                .append_events(&[delivery(hook, at)], Timestamp(at))
                .await
                .unwrap();
            let hour = HookHour {
                hook: hook.to_owned(),
                hour: Timestamp(at - at % HOUR),
                stored: 1,
                last_stored_at: Some(Timestamp(at)),
                ..HookHour::default()
            };
            self.store.add_hook_hours(&[hour], Timestamp(at)).await.unwrap();
        }

        /// How often it was told of silent hooks after a look at this moment.
        async fn told(&self, at: i64) -> usize {
            let looking = Silence {
                store: Arc::clone(&self.store) as Arc<dyn Store>,
                queue: Arc::new(InProcessQueue::default()),
                clock: Arc::new(ManualClock::new(Timestamp(at))),
                hooks: vec!["ci".to_owned(), "new".to_owned()],
            };
            looking.run_once().await.unwrap();
            let filter = EventFilter {
                topics: vec!["hook.silent".parse().unwrap()],
                ..EventFilter::default()
            };
            let page = self.store.list_events_before(None, &filter, 10).await.unwrap();
            page.events.len()
        }
    }

    fn delivery(hook: &str, number: i64) -> NewEvent {
        NewEvent {
            topic: "ci.done".to_owned(),
            key: String::new(),
            delivery: Some(DeliveryId {
                hook: hook.to_owned(),
                id: number.to_string(),
            }),
            verdict: Verdict::Verified,
            malformed: false,
            headers: vec![],
            body: b"{}".to_vec(),
            trace: None,
        }
    }

    #[tokio::test]
    async fn a_hook_that_is_silent_for_much_longer_than_usual_is_told_of_once() {
        let bench = bench().await;
        // Every hour, except a night of ten hours.
        for number in 0..12 {
            bench
                .deliver("ci", (number + if number > 5 { 10 } else { 0 }) * HOUR)
                .await;
        }
        let last = 21;
        assert_eq!(bench.told((last + 32) * HOUR).await, 0, "three nights are usual");
        assert_eq!(bench.told((last + 33) * HOUR).await, 1);
        assert_eq!(bench.told((last + 40) * HOUR).await, 1, "once");
        bench.deliver("ci", (last + 34) * HOUR).await;
        assert_eq!(bench.told((last + 60) * HOUR).await, 1, "it speaks again");
        assert_eq!(bench.told((last + 34 + 102) * HOUR).await, 2);
    }

    #[tokio::test]
    async fn a_silent_hook_is_told_of_although_others_are_busy() {
        let bench = bench().await;
        for number in 0..12 {
            bench.deliver("ci", number * HOUR).await;
        }
        // More than a look at the log reaches.
        let others: Vec<NewEvent> = (0..6_000).map(|number| delivery("busy", number)).collect();
        for batch in others.chunks(NewEvent::MAX_BATCH) {
            bench.store.append_events(batch, Timestamp(12 * HOUR)).await.unwrap();
        }
        assert_eq!(bench.told(20 * HOUR).await, 1);
    }

    #[test]
    fn deliveries_of_a_busy_hour_count_as_if_they_came_evenly() {
        let hour = |number: i64, stored: u64, minute: i64| {
            let hour = Timestamp(number * HOUR);
            let last_stored_at = Some(hour.plus(Duration::from_secs(minute.unsigned_abs() * 60)));
            Hour::of(&HookHour {
                hour,
                stored,
                last_stored_at,
                ..HookHour::default()
            })
            .unwrap()
        };
        let busy = [hour(0, 59, 59), hour(1, 59, 59)];
        let minutes = |minutes: i64| Timestamp(HOUR + minutes * 60_000);
        assert_eq!(silence(&busy, minutes(118)), None);
        let silent = silence(&busy, minutes(119)).unwrap();
        assert_eq!((silent.since, silent.usual), (minutes(59), Duration::from_secs(120)));
        assert_eq!(silence(&[hour(0, 9, 59)], minutes(6_000)), None, "nobody knows");
    }
}
