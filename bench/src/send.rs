//! Sends webhooks, and reports how fast they are acknowledged: `tideline-bench send --url …`. It signs as GitHub does,
//! so that it measures whatever takes GitHub's webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tideline_cli::bench::percentile;
use url::Url;

use crate::client::{Connection, host_of};
use crate::figure::Figure;

/// A sender that is told to come back does so after this time.
const PAUSE: Duration = Duration::from_millis(200);
/// So often it comes back.
const TRIES: u32 = 200;

/// Tells the webhooks of one run from those of another.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// What is sent where.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// Where webhooks are sent, as in http://127.0.0.1:7070/hooks/github
    #[arg(long)]
    pub(crate) url: Url,
    /// Connections at a time
    #[arg(long, default_value_t = 256)]
    pub(crate) connections: usize,
    /// Webhooks in all
    #[arg(long, default_value_t = 50_000)]
    pub(crate) requests: usize,
    /// Bytes of a body
    #[arg(long, default_value_t = 2_048)]
    pub(crate) bytes: usize,
    /// Signs them, as X-Hub-Signature-256
    #[arg(long, default_value = "")]
    pub(crate) secret: String,
    /// A further header, as in 'authorization: Bearer …'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) seconds: f64,
    /// From the first byte sent to the acknowledgement, of each webhook, in milliseconds.
    pub(crate) latencies_ms: Vec<f64>,
    /// Answers that were no success, each of which was followed by another try.
    pub(crate) refused: usize,
}

impl Sent {
    #[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
    pub(crate) fn rate(&self) -> f64 {
        self.latencies_ms.len() as f64 / self.seconds
    }
}

/// A webhook, ready to be sent.
struct Webhook {
    head: Vec<u8>,
    body: Arc<Vec<u8>>,
}

/// Makes all webhooks first: signing is the sender's work, and not what is measured.
fn webhooks(load: &Load, host: &str) -> Vec<Webhook> {
    let run = (u64::from(std::process::id()) << 32) + RUNS.fetch_add(1, Ordering::Relaxed);
    // Of large bodies there is one for all: it is their id that tells webhooks apart.
    let shared = (load.bytes > 100_000).then(|| signed(load, 0));
    let webhook = |number: usize| {
        let (body, signature) = shared.clone().unwrap_or_else(|| signed(load, number));
        let mut head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             x-github-event: push\r\nx-github-delivery: {run:016x}-{number}\r\nx-hub-signature-256: sha256={signature}\r\n",
            load.url.path(),
            body.len(),
        );
        for header in &load.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Webhook {
            head: head.into_bytes(),
            body,
        }
    };
    (0..load.requests).map(webhook).collect()
}

fn signed(load: &Load, number: usize) -> (Arc<Vec<u8>>, String) {
    let body = body(number, load.bytes).into_bytes();
    let mut signature = String::new();
    if let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(load.secret.as_bytes()) {
        mac.update(&body);
        signature = hex::encode(mac.finalize().into_bytes());
    }
    (Arc::new(body), signature)
}

/// A push of some thousand repositories, as compressible as GitHub's: names and links, with numbers that are nowhere else.
pub(crate) fn body(number: usize, bytes: usize) -> String {
    let repository = number % 5_000;
    let mut text =
        format!(r#"{{"ref":"refs/heads/main","repository":{{"id":{repository}}},"number":{number},"commits":["#);
    let mut state = number as u64 + 1;
    while text.len() + 120 < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!(
            r#"{{"id":"{state:016x}","url":"https://api.github.com/repos/acme/r{repository}/commits/"}},"#
        ));
    }
    text.push_str("{}]}");
    while text.len() < bytes {
        text.push(' ');
    }
    text
}

/// Sends them all; fails if one of them is never acknowledged.
pub(crate) async fn send(load: &Load) -> Result<Sent> {
    let host = host_of(&load.url)?;
    let webhooks = Arc::new(webhooks(load, &host));
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        connections.push(Connection::open(&host).await?);
    }
    let began = Instant::now();
    let senders = connections.into_iter().map(|connection| {
        let (webhooks, next, host) = (Arc::clone(&webhooks), Arc::clone(&next), host.clone());
        tokio::spawn(async move { send_some(connection, &host, &webhooks, &next).await })
    });
    let senders: Vec<_> = senders.collect();
    let mut all = Sent::default();
    for sender in senders {
        let sent = sender.await??;
        all.latencies_ms.extend(sent.latencies_ms);
        all.refused += sent.refused;
    }
    all.seconds = began.elapsed().as_secs_f64();
    Ok(all)
}

async fn send_some(mut connection: Connection, host: &str, webhooks: &[Webhook], next: &AtomicUsize) -> Result<Sent> {
    let mut sent = Sent::default();
    while let Some(webhook) = webhooks.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            let reply = connection.exchange(&webhook.head, &webhook.body).await;
            tries += 1;
            let reply = match reply {
                Ok(reply) => reply,
                // It was refused before its body was read, and the server hung up.
                Err(_) if tries < TRIES => {
                    sent.refused += 1;
                    connection = Connection::open(host).await?;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if (200..300).contains(&reply.status) {
                break;
            }
            sent.refused += 1;
            let said = String::from_utf8_lossy(&reply.body).into_owned();
            let may_come_back = matches!(reply.status, 429 | 503) && tries < TRIES;
            ensure!(may_come_back, "a webhook was answered {}: {said}", reply.status);
            tokio::time::sleep(PAUSE).await;
        }
        sent.latencies_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(sent)
}

/// The command: some rounds against a server that runs already.
pub(crate) async fn measure(load: &Load, rounds: u32) -> Result<Vec<Figure>> {
    let (mut rates, mut p50, mut p99, mut refused) = (vec![], vec![], vec![], vec![]);
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let sent = send(load).await.context("send webhooks")?;
        rates.push(sent.rate());
        p50.push(percentile(&sent.latencies_ms, 50));
        p99.push(percentile(&sent.latencies_ms, 99));
        #[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
        refused.push(sent.refused as f64);
    }
    let n = load.requests as u64;
    let settings = format!("{} connections, {} bytes, {}", load.connections, load.bytes, load.url);
    let figure = |name: &str, unit: &str, values: &[f64]| Figure::new(name, n, unit, values, "").with(&settings);
    Ok(vec![
        figure("webhooks acknowledged", "per s", &rates),
        figure("webhooks: p50", "ms", &p50),
        figure("webhooks: p99", "ms", &p99),
        figure("webhooks answered 429 or 503", "", &refused),
    ])
}
