//! Webhooks while everything breaks: senders that try again until they are answered 2xx, a fleet of real processes on
//! Postgres and NATS that are killed and restarted, subscribers that are pushed to and one that pulls. Nothing that was
//! acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod parties;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tideline_core::words::EventSequence;
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_store::{EventFilter, EventStore, SubscriptionStore};
use tideline_tests::fleet::Fleet;
use tideline_tests::servers::{Nats, Postgres, Restart, own_nats, own_postgres};
use tideline_tests::{http_client, seed, wait_until};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::parties::{Puller, Receipts, Senders, Subscriber};

/// Names of the subscriptions that are pushed to.
const PUSHED: [&str; 2] = ["first", "second"];
const PULLED: &str = "puller";
/// Webhooks in all: `TIDELINE_CHAOS_WEBHOOKS`.
const WEBHOOKS: u32 = 1_500;
const LIMIT: Duration = Duration::from_secs(60);

fn from_environment(name: &str, usual: u32) -> u32 {
    let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
    given.unwrap_or(usual)
}

/// How long things break: `TIDELINE_CHAOS_SECONDS`, else twelve seconds.
fn chaos_time() -> Duration {
    Duration::from_secs(from_environment("TIDELINE_CHAOS_SECONDS", 12).into())
}

struct Stage {
    fleet: Fleet,
    postgres: Postgres,
    nats: Nats,
    subscribers: Vec<Arc<Subscriber>>,
}

async fn build(test: &str) -> Result<Option<Stage>> {
    let (Some(postgres), Some(nats)) = (own_postgres(test).await?, own_nats(test).await?) else {
        return Ok(None);
    };
    let yaml = format!(
        "store: \"{}\"\nqueue: \"{}\"\nlisten: ${{TIDELINE_LISTEN}}\nsecret_key: \"{}\"\nsubscriptions:\n  allow_http: true\n  \
         allow_networks: [127.0.0.0/8]\n  timeout: 2s\n  backoff: [200ms, 500ms, 1s, 2s, 2s, 2s, 2s, 2s, 2s, 2s, 2s, 2s, 2s, 2s, 2s, 2s]\n\
         hooks:\n  - {{ name: ci, provider: standard, insecure: true }}\n",
        postgres.url(),
        nats.url(),
        "07".repeat(32)
    );
    let fleet = Fleet::start(&yaml, &[("producer", 2), ("worker", 2), ("scheduler", 1)])?;
    let mut subscribers = Vec::new();
    for _ in PUSHED {
        subscribers.push(Subscriber::start().await?);
    }
    Ok(Some(Stage {
        fleet,
        postgres,
        nats,
        subscribers,
    }))
}

impl Stage {
    fn producers(&self) -> Vec<String> {
        let producers = self.fleet.of_role("producer");
        producers
            .iter()
            .map(|at| format!("http://{}", self.fleet.listen(*at)))
            .collect()
    }

    async fn subscribe(&self) -> Result<()> {
        let (client, base) = (http_client()?, self.producers().remove(0));
        let mut bodies: Vec<(&str, serde_json::Value)> = Vec::new();
        for (name, subscriber) in PUSHED.iter().zip(&self.subscribers) {
            let push = serde_json::json!({"url": subscriber.url(), "in_flight": 16});
            bodies.push((
                name,
                serde_json::json!({"topics": ["ci.*"], "from": "beginning", "push": push}),
            ));
        }
        bodies.push((PULLED, serde_json::json!({"topics": ["ci.*"], "from": "beginning"})));
        for (name, body) in bodies {
            let url = format!("{base}/v1/subscriptions/{name}");
            wait_until("a subscription to be made", LIMIT, async || {
                let answer = client.put(&url).json(&body).send().await?;
                ensure!(answer.status().is_success(), "{}", answer.text().await?);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn break_something(&mut self, random: &mut StdRng) -> Result<()> {
        let any = random.random_range(0..self.fleet.len());
        match random.random_range(0..8) {
            0..=3 => self.fleet.kill(any).await?,
            4 => {
                self.fleet.freeze(any)?;
                tokio::time::sleep(Duration::from_millis(random.random_range(100..1_500))).await;
                self.fleet.thaw()?;
            }
            5 => self.postgres.restart(Restart::Immediate).await?,
            6 => self.postgres.restart(Restart::Fast).await?,
            _ => self.nats.restart(true).await?,
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(100..900))).await;
        self.fleet.revive()?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_webhook_is_in_the_log_once_and_reaches_every_subscription_in_order_whatever_breaks() {
    let test = "every_acknowledged_webhook_is_in_the_log_once_and_reaches_every_subscription_in_order_whatever_breaks";
    let seed = seed(test);
    let Some(mut stage) = build(test).await.unwrap() else {
        return;
    };
    if let Err(error) = run(&mut stage, seed).await {
        panic!("seed {seed}: {error:#}\n{}", stage.fleet.last_words());
    }
}

async fn run(stage: &mut Stage, seed: u64) -> Result<()> {
    stage.subscribe().await?;
    let stop = CancellationToken::new();
    let count = from_environment("TIDELINE_CHAOS_WEBHOOKS", WEBHOOKS);
    let senders = Senders::start(&stage.producers(), count, seed, stop.clone())?;
    let puller = Puller::start(&stage.producers(), PULLED, stop.clone())?;
    let mut random = StdRng::seed_from_u64(seed);
    let started = Instant::now();
    let mut faults = 0;
    while started.elapsed() < chaos_time() {
        stage.break_something(&mut random).await?;
        faults += 1;
    }
    let acknowledged = senders.finish(LIMIT).await?;
    println!(
        "{faults} faults, {} webhooks acknowledged in {:?}",
        acknowledged.len(),
        started.elapsed()
    );
    ensure!(
        acknowledged.len() > 50,
        "only {} webhooks were acknowledged",
        acknowledged.len()
    );
    let store = PostgresStore::connect(&stage.postgres.url(), PostgresOptions::default()).await?;
    let log = log_of(&store).await?;
    for id in &acknowledged {
        ensure!(log.contains_key(id), "{id} was acknowledged and is not in the log");
    }
    let receipts: Vec<(&str, &Receipts)> = (PUSHED.iter().copied())
        .zip(stage.subscribers.iter().map(|subscriber| &subscriber.receipts))
        .chain([(PULLED, puller.receipts.as_ref())])
        .collect();
    for (name, receipts) in receipts {
        wait_until("everything to arrive", LIMIT, async || {
            stage.fleet.revive()?;
            let missing = log.keys().filter(|id| !receipts.has(id)).count();
            ensure!(missing == 0, "{name}: {missing} of {} have not arrived", log.len());
            Ok(())
        })
        .await?;
        check_order(name, receipts, &log)?;
        let letters = store.list_dead_letters(name, EventSequence(0), 10).await?;
        ensure!(letters.is_empty(), "{name}: given up: {letters:?}");
    }
    stop.cancel();
    Ok(())
}

/// Where each webhook is in the log: once.
async fn log_of(store: &PostgresStore) -> Result<HashMap<String, i64>> {
    let filter = EventFilter {
        hook: Some("ci".to_owned()),
        ..EventFilter::default()
    };
    let (mut found, mut after) = (HashMap::new(), EventSequence(0));
    loop {
        let reading = store.list_events_after(after, &filter, 1_000).await?;
        for event in reading.events {
            let id = event.head.delivery.context("a delivery")?.id;
            let before = found.insert(id.clone(), event.head.sequence.0);
            ensure!(before.is_none(), "{id} is in the log twice");
        }
        if reading.next == after {
            return Ok(found);
        }
        after = reading.next;
    }
}

/// What came for the first time came in the order of the log, key by key.
fn check_order(name: &str, receipts: &Receipts, log: &HashMap<String, i64>) -> Result<()> {
    let mut last: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for id in receipts.first_ones() {
        let Some(sequence) = log.get(&id).copied() else {
            continue;
        };
        let key = id.split('-').next().unwrap_or_default().to_owned();
        if let Some((before, earlier)) = last.get(&key) {
            ensure!(*before < sequence, "{name}: {id} came after {earlier}");
        }
        last.insert(key, (sequence, id));
    }
    Ok(())
}
