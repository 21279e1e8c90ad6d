//! The API of one process on SQLite: lists over one connection, long polls, the check of a token, `status`, and a plan.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tideline_cli::bench::{Paging, Shape, StaticSource, percentile};
use tideline_tests::process::{Tideline, run};
use tideline_tests::servers::free_port;
use tideline_tests::{http_client, wait_until};

use crate::figure::{Figure, Goal};
use crate::ingest::{OPTIONS, PAGE, Values};
use crate::polls;
use crate::stage::{Place, SOURCE, Watched};

/// Jobs beside the entities.
const JOBS: u32 = 10_000;

/// Requests with and without a token.
const CHECKS: u32 = 2_000;

/// How often `status` is asked.
const LOOKS: u32 = 5;

const LIMIT: Duration = Duration::from_secs(120);

const SETTINGS: &str = "SQLite, one process, 600-byte entities, page 1,000, loopback, no compression unless said";

pub(crate) async fn measure(entities: u32, waiting: u32, rounds: u32) -> Result<Vec<Figure>> {
    let source = StaticSource::start(Shape {
        entities,
        partitions: 1,
        page: PAGE,
    })
    .await?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let yaml = format!(
        "sources:\n{}  - {{ name: pushed, type: push }}\n",
        source.yaml(SOURCE, Paging::Cursor, OPTIONS)
    );
    let place = Place::new("sqlite://tideline.db", "in-process", &yaml).await?;
    place.cycle().await?;
    listen(place.folder(), &address)?;
    let mut values = Values::default();
    let mut gateway = start(place.folder(), &address, LIMIT).await?;
    let client = Client::new(&address)?;
    client.enqueue(JOBS).await?;
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        values.add("entities", client.rate("entities?limit=1000", false).await?);
        values.add("entities gzip", client.rate("entities?limit=1000", true).await?);
        values.add("changes", client.rate("changes?limit=1000", false).await?);
        for _ in 0..LOOKS {
            values.add("status", status(place.folder()).await?);
        }
        // What lists took and gave back would be found again by the long polls.
        gateway.terminate()?;
        gateway.wait(LIMIT).await?;
        gateway = start(place.folder(), &address, LIMIT).await?;
        let polled = polls::measure(&address, gateway.id(), waiting, &client).await?;
        values.add("polls memory", polled.memory_mib);
        values.add("polls woken", polled.woken.as_secs_f64());
    }
    // Last, because from the first token on every request needs one.
    let open = client.whoami(CHECKS).await?;
    let token = client.token().await?;
    let checked = Client { token, ..client }.whoami(CHECKS).await?;
    values.add("token", percentile(&checked, 50) - percentile(&open, 50));
    gateway.terminate()?;
    gateway.wait(LIMIT).await?;
    for _ in 0..rounds {
        let (seconds, peak) = plan(place.folder()).await?;
        values.add("plan", f64::from(entities) / seconds);
        values.add("plan peak", peak);
    }
    Ok(figures(entities, waiting, &values))
}

/// From now on the gateway listens there, and nothing of the source is read.
fn listen(folder: &Path, address: &str) -> Result<()> {
    let path = folder.join("tideline.yaml");
    let yaml = std::fs::read_to_string(&path)?.replace("listen: none", &format!("listen: {address}"));
    Ok(std::fs::write(path, yaml)?)
}

async fn start(folder: &Path, address: &str, limit: Duration) -> Result<Tideline> {
    let mut gateway = Tideline::start(folder, "producer", &["producer"], &[])?;
    let (http, url) = (http_client()?, format!("http://{address}/readyz"));
    wait_until("the gateway", limit, async || {
        gateway.check_runs()?;
        ensure!(http.get(&url).send().await?.status().is_success(), "not ready");
        Ok(())
    })
    .await?;
    Ok(gateway)
}

/// Milliseconds of `tideline status`, the start of the program included.
async fn status(folder: &Path) -> Result<f64> {
    let started = Instant::now();
    run(folder, &["status", "--json"]).await?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// Seconds and most memory of `tideline plan` that finds nothing to change.
async fn plan(folder: &Path) -> Result<(f64, f64)> {
    let started = Instant::now();
    let mut process = Tideline::start(folder, "plan", &["plan", SOURCE, "--summary"], &[])?;
    let id = process.id();
    let watch = tokio::spawn(async move {
        let mut watched = Watched::default();
        while watched.look(id) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        watched
    });
    let status = process.wait(Duration::from_secs(600)).await?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "the plan ended with {status}: {}", process.log()?);
    Ok((seconds, watch.await?.peak_kib / 1024.0))
}

/// A program that asks the API over one connection.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    fn new(address: &str) -> Result<Self> {
        Ok(Self {
            http: http_client()?,
            url: format!("http://{address}/v1"),
            token: None,
        })
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}/{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn write(&self, method: reqwest::Method, path: &str, body: &Value) -> Result<Value> {
        let request = self.request(method, path).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&response.bytes().await?)?)
    }

    async fn enqueue(&self, jobs: u32) -> Result<()> {
        for first in (0..jobs).step_by(1_000) {
            let jobs: Vec<Value> = (first..jobs.min(first + 1_000))
                .map(|number| json!({ "kind": "bench", "key": number.to_string() }))
                .collect();
            let post = reqwest::Method::POST;
            self.write(post, "jobs", &json!({ "jobs": jobs })).await?;
        }
        Ok(())
    }

    /// Changes the catalog.
    pub(crate) async fn push(&self, title: &str) -> Result<()> {
        let body = json!({ "kind": "Component", "metadata": { "name": "pushed", "title": title } });
        let entities = json!({ "upserts": [{ "body": body }] });
        self.write(reqwest::Method::PUT, "sources/pushed/entities", &entities)
            .await
            .map(drop)
    }

    /// The newest position of the change feed.
    pub(crate) async fn position(&self) -> Result<String> {
        let status = self.get("status").await?;
        let status: Value = serde_json::from_slice(&status)?;
        Ok(status["last_sequence"].to_string())
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>> {
        let response = self.request(reqwest::Method::GET, path).send().await?;
        Ok(response.error_for_status()?.bytes().await?.to_vec())
    }

    /// Records per second of a whole list, page after page.
    async fn rate(&self, list: &str, compressed: bool) -> Result<f64> {
        #[derive(serde::Deserialize)]
        struct Page<'a> {
            #[serde(borrow, alias = "changes")]
            items: Vec<&'a serde_json::value::RawValue>,
            next_page_token: Option<String>,
            next: Option<String>,
        }
        let (mut read, mut place) = (0_u32, String::new());
        let started = Instant::now();
        loop {
            let mut request = self.request(reqwest::Method::GET, &format!("{list}{place}"));
            if !compressed {
                request = request.header("accept-encoding", "identity");
            }
            let page = request.send().await?.error_for_status()?.bytes().await?;
            let page: Page<'_> = serde_json::from_slice(&page).with_context(|| format!("a page of {list}"))?;
            read += u32::try_from(page.items.len())?;
            place = match (page.next_page_token, page.next) {
                (Some(token), _) => format!("&page_token={token}"),
                (None, Some(next)) if !page.items.is_empty() => format!("&after={next}"),
                _ => break,
            };
        }
        Ok(f64::from(read) / started.elapsed().as_secs_f64())
    }

    /// Microseconds of the cheapest request there is.
    async fn whoami(&self, times: u32) -> Result<Vec<f64>> {
        let mut took = Vec::new();
        for _ in 0..times {
            let started = Instant::now();
            self.get("whoami").await?;
            took.push(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(took)
    }

    async fn token(&self) -> Result<Option<String>> {
        let new = json!({ "name": "bench", "role": "admin" });
        let made = self.write(reqwest::Method::POST, "tokens", &new).await?;
        Ok(made["secret"].as_str().map(str::to_owned))
    }
}

fn figures(entities: u32, waiting: u32, values: &Values) -> Vec<Figure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let versions = format!("tideline {}, {cores} cores", env!("CARGO_PKG_VERSION"));
    let figure = |title: &str, name: &str, n: u32, unit: &str, goal: Goal| {
        Figure::new(title, u64::from(n), unit, values.get(name), &versions)
            .with(SETTINGS)
            .wanted(goal)
    };
    let (at_least, at_most) = (Goal::AtLeast, Goal::AtMost);
    vec![
        figure(
            "API: entities over one connection",
            "entities",
            entities,
            "entities/s",
            at_least(100_000.0),
        ),
        figure(
            "API: entities over one connection, gzip",
            "entities gzip",
            entities,
            "entities/s",
            at_least(0.0),
        ),
        figure(
            "API: changes over one connection",
            "changes",
            entities,
            "changes/s",
            at_least(100_000.0),
        ),
        figure(
            "API: memory that open long polls take",
            "polls memory",
            waiting,
            "MiB",
            at_most(200.0),
        ),
        figure(
            "API: a commit wakes all long polls",
            "polls woken",
            waiting,
            "s",
            at_most(1.0),
        ),
        figure("API: check of a token, p50", "token", CHECKS, "µs", at_most(50.0)),
        figure(
            "tideline status, with 10,000 jobs",
            "status",
            entities,
            "ms",
            at_most(100.0),
        ),
        figure(
            "tideline plan, nothing to change",
            "plan",
            entities,
            "entities/s",
            at_least(0.0),
        ),
        figure(
            "tideline plan: peak memory",
            "plan peak",
            entities,
            "MiB",
            at_most(128.0),
        ),
    ]
}
