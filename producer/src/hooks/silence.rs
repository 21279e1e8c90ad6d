//! Tells when a hook has received nothing for much longer than usual: the webhook may have been deleted, or its URL changed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tideline_core::clock::Clock;
use tideline_core::words::{EventSequence, NewEvent, Timestamp, Verdict};
use tideline_queue::Queue;
use tideline_runtime::{LoopError, Pace, Runtime, Wake};
use tideline_store::{EventFilter, Store, StoreError};

/// How often the hooks are looked at.
const LOOK: Duration = Duration::from_secs(300);
/// Deliveries whose distances say what is usual.
const DELIVERIES: u32 = 100;
/// With fewer nobody knows.
const LEAST: usize = 10;
/// So many times the longest distance is much longer than usual.
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

/// How long a hook has been silent, and the longest silence before; none: no longer than usual. `moments`: of its deliveries,
/// newest first.
fn silence(moments: &[Timestamp], now: Timestamp) -> Option<(Duration, Duration)> {
    if moments.len() < LEAST {
        return None;
    }
    let usual = moments
        .windows(2)
        .filter_map(|pair| Some(pair.first()?.since(*pair.last()?)))
        .max()?;
    let silent = now.since(*moments.first()?);
    (silent >= (usual * FACTOR).max(SHORTEST)).then_some((silent, usual))
}

impl Silence {
    pub(super) fn start(self, runtime: &Runtime) {
        let silence = Arc::new(self);
        runtime.spawn_loop("silent hooks", LOOK, Wake::Never, move || {
            let silence = Arc::clone(&silence);
            async move { silence.run_once().await.map(|()| Pace::Idle).map_err(LoopError::from) }
        });
    }

    /// Looks at all hooks.
    async fn run_once(&self) -> Result<(), StoreError> {
        for hook in &self.hooks {
            let filter = EventFilter {
                hook: Some(hook.clone()),
                ..EventFilter::default()
            };
            let page = self.store.list_events_before(None, &filter, DELIVERIES).await?;
            let moments: Vec<Timestamp> = page.events.iter().map(|head| head.created_at).collect();
            let (Some(last), now) = (page.events.first(), self.clock.now()) else {
                continue;
            };
            if let Some((silent, usual)) = silence(&moments, now) {
                self.tell(hook, last.sequence, (silent, usual), now).await?;
            }
        }
        Ok(())
    }

    /// Once for each silence, however many gateways look.
    async fn tell(
        &self,
        hook: &str,
        last: EventSequence,
        (silent, usual): (Duration, Duration),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = format!("silent:{hook}");
        let told = self.store.find_position(&name).await?;
        if told == Some(last) || !self.store.move_position(&name, told, last).await? {
            return Ok(());
        }
        let (minutes, longest) = (silent.as_secs() / 60, usual.as_secs() / 60);
        let reason = format!("nothing for {minutes} min; the longest pause before was {longest} min");
        let body = json!({ "hook": hook, "silent_seconds": silent.as_secs(), "usual_seconds": usual.as_secs(), "reason": reason });
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
    use tideline_store::EventStore;
    use tideline_store::sqlite::SqliteStore;

    const HOUR: i64 = 3_600_000;

    #[tokio::test]
    async fn a_hook_that_is_silent_for_much_longer_than_usual_is_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(
            SqliteStore::open(folder.path().join("t.db").to_str().unwrap())
                .await
                .unwrap(),
        );
        let delivery = |number: i64| NewEvent {
            topic: "ci.done".to_owned(),
            key: String::new(),
            delivery: Some(DeliveryId {
                hook: "ci".to_owned(),
                id: number.to_string(),
            }),
            verdict: Verdict::Verified,
            malformed: false,
            headers: vec![],
            body: b"{}".to_vec(),
            trace: None,
        };
        // Every hour, but for a night of ten hours.
        for number in 0..12 {
            let at = Timestamp((number + if number > 5 { 10 } else { 0 }) * HOUR);
            store.append_events(&[delivery(number)], at).await.unwrap();
        }
        let (last, topics) = (Timestamp(21 * HOUR), vec!["hook.silent".parse().unwrap()]);
        let told = async |after: i64| {
            let looking = Silence {
                store: Arc::clone(&store) as Arc<dyn Store>,
                queue: Arc::new(InProcessQueue::default()),
                clock: Arc::new(ManualClock::new(Timestamp(last.0 + after * HOUR))),
                hooks: vec!["ci".to_owned(), "new".to_owned()],
            };
            looking.run_once().await.unwrap();
            let filter = EventFilter {
                topics: topics.clone(),
                ..EventFilter::default()
            };
            store.list_events_before(None, &filter, 10).await.unwrap().events.len()
        };
        assert_eq!(told(32).await, 0, "three nights are usual");
        assert_eq!(told(33).await, 1);
        assert_eq!(told(40).await, 1, "once");
        store
            .append_events(&[delivery(99)], Timestamp(last.0 + 41 * HOUR))
            .await
            .unwrap();
        assert_eq!(told(60).await, 1, "it speaks again");
        assert_eq!(told(41 + 123).await, 2);
    }
}
