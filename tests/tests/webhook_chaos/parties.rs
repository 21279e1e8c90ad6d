//! Senders and receivers.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tideline_tests::{http_client, wait_until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Each sends the webhooks of one key, one after the other.
const KEYS: u32 = 12;

/// Ids in the order in which they came for the first time.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<(HashSet<String>, Vec<String>)>);

impl Receipts {
    fn note(&self, id: &str) {
        let mut receipts = self.0.lock();
        if receipts.0.insert(id.to_owned()) {
            receipts.1.push(id.to_owned());
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.lock().0.contains(id)
    }

    pub(crate) fn first_ones(&self) -> Vec<String> {
        self.0.lock().1.clone()
    }
}

/// Pushed to. Every seventh request fails.
pub(crate) struct Subscriber {
    address: SocketAddr,
    pub(crate) receipts: Receipts,
    requests: AtomicU32,
}

impl Subscriber {
    pub(crate) async fn start() -> Result<Arc<Self>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let subscriber = Arc::new(Self {
            address: listener.local_addr()?,
            receipts: Receipts::default(),
            requests: AtomicU32::new(0),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&subscriber));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(subscriber)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn receive(State(subscriber): State<Arc<Subscriber>>, axum::Json(body): axum::Json<Value>) -> StatusCode {
    let id = body["data"]["delivery"].as_str().unwrap_or_default().to_owned();
    if subscriber.requests.fetch_add(1, Ordering::Relaxed) % 7 == 6 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    subscriber.receipts.note(&id);
    StatusCode::NO_CONTENT
}

/// Send until they are answered 2xx, and only then the next one.
pub(crate) struct Senders(JoinSet<Vec<String>>);

impl Senders {
    pub(crate) fn start(producers: &[String], count: u32, seed: u64, stop: CancellationToken) -> Result<Self> {
        let (mut tasks, client) = (JoinSet::new(), http_client()?);
        for key in 0..KEYS {
            let (producers, client, stop) = (producers.to_vec(), client.clone(), stop.clone());
            let random = StdRng::seed_from_u64(seed ^ u64::from(key));
            tasks.spawn(async move { send_all(&client, &producers, key, count / KEYS, random, &stop).await });
        }
        Ok(Self(tasks))
    }

    /// All that was acknowledged, when everything was, or the time is over.
    pub(crate) async fn finish(mut self, limit: Duration) -> Result<Vec<String>> {
        let mut acknowledged = Vec::new();
        wait_until("all senders to be answered", limit, async || {
            while let Some(ids) = self.0.try_join_next() {
                acknowledged.extend(ids?);
            }
            ensure!(self.0.is_empty(), "{} are not", self.0.len());
            Ok(())
        })
        .await?;
        Ok(acknowledged)
    }
}

async fn send_all(
    client: &reqwest::Client,
    producers: &[String],
    key: u32,
    count: u32,
    mut random: StdRng,
    stop: &CancellationToken,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..count {
        let id = format!("k{key}-{number}");
        let body = json!({"type": "done", "data": {"id": format!("k{key}"), "number": number}});
        loop {
            if stop.is_cancelled() {
                return acknowledged;
            }
            let producer = &producers[random.random_range(0..producers.len())];
            let request = client.post(format!("{producer}/hooks/ci")).header("webhook-id", &id);
            let answer = request.timeout(Duration::from_secs(3)).json(&body).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(20..200))).await;
        }
        acknowledged.push(id);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..20))).await;
    }
    acknowledged
}

/// Pulls, and acknowledges what it got; sometimes it forgets to.
pub(crate) struct Puller {
    pub(crate) receipts: Arc<Receipts>,
}

impl Puller {
    pub(crate) fn start(producers: &[String], name: &str, stop: CancellationToken) -> Result<Self> {
        let receipts = Arc::new(Receipts::default());
        let (noted, client) = (Arc::clone(&receipts), http_client()?);
        let urls: Vec<String> = producers
            .iter()
            .map(|base| format!("{base}/v1/subscriptions/{name}"))
            .collect();
        tokio::spawn(async move {
            let mut turn = 0_usize;
            while !stop.is_cancelled() {
                turn += 1;
                let url = &urls[turn % urls.len()];
                if pull(&client, url, &noted, turn).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        Ok(Self { receipts })
    }
}

async fn pull(client: &reqwest::Client, url: &str, receipts: &Receipts, turn: usize) -> Result<()> {
    let wanted = json!({"max": 50, "wait": 1, "lease": 2});
    let answer = client.post(format!("{url}/pull")).json(&wanted).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    let mut ids = Vec::new();
    for event in answer["events"].as_array().into_iter().flatten() {
        receipts.note(event["delivery"].as_str().unwrap_or_default());
        ids.push(event["ack_id"].clone());
    }
    if ids.is_empty() || turn.is_multiple_of(11) {
        return Ok(());
    }
    let acked = client
        .post(format!("{url}/ack"))
        .json(&json!({ "ack_ids": ids }))
        .send()
        .await?;
    acked.error_for_status()?;
    Ok(())
}
