//! A job handler of your own: the queue is useful by itself. Jobs are named by kind and key and carry a fingerprint:
//! the same one again is not run again. Run it: `cargo run -p tideline-cli --example own_handler`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tideline_config::settings::WorkerSettings;
use tideline_core::clock::{Clock, SystemClock};
use tideline_producer::{JobSpec, Producer};
use tideline_queue::{Queue, in_process::InProcessQueue};
use tideline_runtime::Runtime;
use tideline_store::{Store, sqlite::SqliteStore};
use tideline_worker::{Attempt, Handler, HandlerError, Outcome, Worker, WorkerParts};

/// Counts the letters of a text, with a checkpoint between its two steps.
struct CountLetters {
    letters: Arc<AtomicU64>,
}

#[async_trait]
impl Handler for CountLetters {
    fn kind(&self) -> &'static str {
        "count_letters"
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        let args: serde_json::Value =
            serde_json::from_str(&attempt.job.args).map_err(|error| HandlerError::Permanent(error.to_string()))?;
        let text = args["text"]
            .as_str()
            .ok_or_else(|| HandlerError::Permanent("args.text is missing".into()))?;
        // After a crash the next attempt finds this in `attempt.job.cursor`.
        attempt.checkpoint(&json!({ "step": "counted" }).to_string()).await?;
        self.letters.fetch_add(
            text.chars().filter(|c| c.is_alphabetic()).count() as u64,
            Ordering::Relaxed,
        );
        Ok(Outcome::Done)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("own_handler.db");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queue: Arc<dyn Queue> = Arc::new(InProcessQueue::default());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "own_handler").await?);

    let letters = Arc::new(AtomicU64::new(0));
    let runtime = Runtime::new(Arc::clone(&clock));
    let worker = Worker::new(WorkerParts {
        store: Arc::clone(&store),
        queue: Arc::clone(&queue),
        clock: Arc::clone(&clock),
        settings: WorkerSettings::default(),
        handlers: vec![Arc::new(CountLetters {
            letters: Arc::clone(&letters),
        })],
    });
    runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));

    let producer = Producer::new(Arc::clone(&store), queue, Arc::clone(&clock));
    let job = |key: &str, text: &str| JobSpec::new("count_letters", key, &json!({ "text": text }));
    producer
        .enqueue(vec![job("greeting", "hello")?, job("answer", "forty-two")?])
        .await?;
    // The same wish again is no work.
    let again = producer.enqueue(vec![job("greeting", "hello")?]).await?;
    while store.stats(clock.now()).await?.running > 0 || letters.load(Ordering::Relaxed) < 13 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!(
        "{} letters; enqueued again: {:?}",
        letters.load(Ordering::Relaxed),
        again[0].outcome
    );
    runtime.shut_down(Duration::from_secs(10)).await;
    Ok(())
}
