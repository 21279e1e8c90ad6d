//! The dashboard on a large store: each page's time at the server and its size, and what a hundred open pages cost
//! while a cycle runs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tideline_cli::bench::{Paging, Shape, StaticSource, percentile};
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_tests::process::{Tideline, run};
use tideline_tests::servers::{TestDatabase, free_port};
use tideline_tests::wait_until;

use crate::figure::{Figure, Goal};
use crate::fleet::cpu_seconds;
use crate::stage::{SOURCE, Stage};

/// Requests of each page.
const SAMPLES: usize = 20;
/// Open pages.
const DASHBOARDS: usize = 100;
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(20);
/// The pages.
const PAGES: [(&str, &str); 25] = [
    ("overview", "/"),
    ("source", "/sources/large"),
    ("catalog", "/catalog"),
    ("catalog by name", "/catalog?name=service-99999*"),
    (
        "catalog by a name that nobody has",
        "/catalog?name=nothing-has-this-name",
    ),
    ("catalog by a part of names that nobody has", "/catalog?name=*nothing*"),
    ("catalog by namespace", "/catalog?namespace=team-49"),
    ("catalog by label", "/catalog?label=tier%3Dgold"),
    (
        "entity",
        "/catalog/entity?source=large&ref=component%3Ateam-0%2Fservice-999950",
    ),
    ("changes", "/changes"),
    ("changes by text", "/changes?text=service-999"),
    ("changes of nothing", "/changes?text=nothing-has-this-name"),
    ("events", "/events"),
    ("events of nothing", "/events?topics=nobody.sends.this"),
    ("event", "/events/999999"),
    ("jobs", "/jobs"),
    ("parked jobs", "/jobs?state=parked"),
    ("old jobs", "/jobs?state=parked&age=1h"),
    ("job", "/jobs/10500"),
    ("hooks", "/hooks"),
    ("hook", "/hooks?name=ci"),
    ("subscription", "/subscriptions/reports"),
    ("targets", "/targets"),
    ("operations", "/operations"),
    ("audit", "/audit?source=large"),
];

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let database = stage.database().await?;
    let source = StaticSource::start(Shape {
        entities: 400_000,
        partitions: 40,
        page: 50,
    })
    .await?;
    let folder = tempfile::Builder::new().prefix("tideline-bench-").tempdir()?;
    let port = free_port()?;
    let yaml = format!(
        "store: {}\nqueue: in-process\nlisten: ${{TIDELINE_LISTEN}}\nhooks:\n  - {{ name: ci, provider: standard, secret: \
         whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }}\nsources:\n  - {{ name: large, type: push }}\n{}",
        database.url(),
        source.yaml(
            SOURCE,
            Paging::Cursor,
            "    parallel_partitions: 2\n    burst: { length: 300s, interval: 0s }\n"
        )
    );
    let file = folder.path().join("tideline.yaml");
    std::fs::write(&file, yaml.replace("${TIDELINE_LISTEN}", "none"))?;
    run(folder.path(), &["migrate"]).await?;
    std::fs::write(&file, yaml)?;
    fill(&database).await?;
    let listen = format!("127.0.0.1:{port}");
    let producer = Tideline::start(
        folder.path(),
        "producer",
        &["producer"],
        &[("TIDELINE_LISTEN", &listen)],
    )?;
    tideline_tests::http_client()?;
    // Bodies are counted as they come over the wire.
    let client = reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .build()?;
    let address = format!("http://{listen}");
    wait_until("the gateway", Duration::from_secs(60), async || {
        client.get(format!("{address}/readyz")).send().await?.error_for_status()
    })
    .await?;
    let mut figures = Vec::new();
    for (name, path) in PAGES {
        figures.extend(page(&client, &address, name, path, &stage).await?);
    }
    figures.push(first_page(&client, &address, &stage).await?);
    let roles = ["worker", "scheduler"]
        .map(|role| Tideline::start(folder.path(), role, &[role], &[("TIDELINE_LISTEN", "none")]));
    figures.extend(open_pages(&client, &address, &producer, &stage).await?);
    drop(roles);
    drop(producer);
    database.remove().await?;
    Ok(figures)
}

async fn fill(database: &TestDatabase) -> Result<()> {
    let now = SystemClock.now().0.to_string();
    let mut connection = PgConnection::connect(database.url()).await?;
    connection
        .execute(AssertSqlSafe(include_str!("dashboard.sql").replace("$NOW", &now)))
        .await?;
    connection.execute("VACUUM ANALYZE").await?;
    connection.execute("CHECKPOINT").await?;
    Ok(connection.close().await?)
}

/// How long a page takes, and what it has.
async fn page(client: &reqwest::Client, address: &str, name: &str, path: &str, stage: &Stage) -> Result<[Figure; 2]> {
    let mut times = Vec::new();
    let mut bytes = 0;
    for sample in 0..=SAMPLES {
        let began = tokio::time::Instant::now();
        let answer = client
            .get(format!("{address}{path}"))
            .header("accept-encoding", "gzip")
            .send()
            .await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(
            status.is_success(),
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        // The first one fills caches.
        if sample > 0 {
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        bytes = body.len();
    }
    #[allow(clippy::cast_precision_loss, reason = "a page has not so many bytes")]
    let kilobytes = bytes as f64 / 1_000.0;
    Ok([
        Figure::new(format!("dashboard, {name}: time"), 1, "ms", &times, &stage.versions)
            .wanted(Goal::AtMost(100.0))
            .with(STORE),
        Figure::new(
            format!("dashboard, {name}: size"),
            1,
            "KB",
            &[kilobytes],
            &stage.versions,
        )
        .with("gzip, over the wire"),
    ])
}

/// The first page that a browser opens, with everything that it loads.
async fn first_page(client: &reqwest::Client, address: &str, stage: &Stage) -> Result<Figure> {
    let plain = client.get(format!("{address}/")).send().await?.text().await?;
    let assets = plain
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .map(str::to_owned);
    let mut bytes = 0;
    for path in std::iter::once("/".to_owned()).chain(assets) {
        let answer = client
            .get(format!("{address}{path}"))
            .header("accept-encoding", "gzip")
            .send()
            .await?;
        bytes += answer.error_for_status()?.bytes().await?.len();
    }
    #[allow(clippy::cast_precision_loss, reason = "a page has not so many bytes")]
    let kilobytes = bytes as f64 / 1_000.0;
    Ok(Figure::new(
        "dashboard: first page with its files",
        1,
        "KB",
        &[kilobytes],
        &stage.versions,
    )
    .wanted(Goal::AtMost(60.0))
    .with("gzip, over the wire"))
}

/// What a hundred open pages cost the producer while a cycle runs, and how much they are sent.
async fn open_pages(
    client: &reqwest::Client,
    address: &str,
    producer: &Tideline,
    stage: &Stage,
) -> Result<[Figure; 2]> {
    let paths = ["%2F", "%2Fsources%2Fbench", "%2Fchanges", "%2Fjobs"];
    let mut streams = tokio::task::JoinSet::new();
    for number in 0..DASHBOARDS {
        let url = format!("{address}/live?page={}", paths[number % paths.len()]);
        let request = client.get(url);
        streams.spawn(async move {
            let mut answer = request.send().await?.error_for_status()?;
            let mut bytes = 0_usize;
            let until = tokio::time::Instant::now() + WATCHED + Duration::from_secs(5);
            while let Ok(Ok(Some(part))) = tokio::time::timeout_at(until, answer.chunk()).await {
                bytes += part.len();
            }
            anyhow::Ok(bytes)
        });
    }
    // Until each has its first whole, and the cycle is under way.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = cpu_seconds(&[producer.id()])?;
    tokio::time::sleep(WATCHED).await;
    let cpu = cpu_seconds(&[producer.id()])? - before;
    let status: serde_json::Value = client
        .get(format!("{address}/v1/sources/{SOURCE}/why"))
        .send()
        .await?
        .json()
        .await?;
    ensure!(
        status["newest_cycle"].is_object() && status["newest_cycle"]["ended_at"].is_null(),
        "the cycle did not run all the time: {status}"
    );
    let mut bytes = 0;
    while let Some(stream) = streams.join_next().await {
        bytes += stream?.context("a stream")?;
    }
    #[allow(clippy::cast_precision_loss, reason = "not so many bytes")]
    let kilobytes = bytes as f64 / 1_000.0 / WATCHED.as_secs_f64() / DASHBOARDS as f64;
    let settings = "100 open pages, a quarter each: overview, source, changes, jobs; a cycle runs in other processes";
    Ok([
        Figure::new(
            "100 open dashboards: processor",
            100,
            "% of a core",
            &[100.0 * cpu / WATCHED.as_secs_f64()],
            &stage.versions,
        )
        .wanted(Goal::AtMost(5.0))
        .with(settings),
        Figure::new(
            "100 open dashboards: sent",
            100,
            "KB/s each",
            &[percentile(&[kilobytes], 50)],
            &stage.versions,
        )
        .with(settings),
    ])
}

/// What the store has.
const STORE: &str = "1,000,000 entities, 10,000 partitions, 100,000 jobs, 1,000,000 events, Postgres";
