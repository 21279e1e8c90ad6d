//! Targets: mocks of 1,000 APIs from nothing, again without a change, and after a change, against a Microcks that
//! answers in 20 ms; and an HTTP endpoint that is told of every entity.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use tideline_cli::bench::{Paging, Shape, StaticSource, percentile};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{
    EntityRef, FeedPosition, JobRecord, JobState, MICROCKS_KIND, TargetLook, TargetPlace, Timestamp, Trigger,
};
use tideline_store::{EntityFilter, JobFilter, Store, TargetEntityFilter};
use tideline_tests::microcks::{FakeMicrocks, Trouble};
use tideline_tests::process::Tideline;
use tideline_tests::wait_until;
use tokio::net::TcpListener;

use crate::figure::{Figure, Goal};
use crate::ingest::{OPTIONS, Values};
use crate::stage::{Place, SOURCE, Stage};

/// How long Microcks takes over each call.
const LATENCY: Duration = Duration::from_millis(20);
/// Of the target `mocks`.
const CONCURRENCY: u32 = 16;
/// APIs whose definitions change for the latency, all at once, and how often.
const LIVE: u32 = 10;
const CHANGES: u32 = 20;
const LIMIT: Duration = Duration::from_secs(200);
/// Jobs per second of the Backstage plugin: one every ten seconds.
const OLD_PLUGIN: f64 = 0.1;

const SETTINGS: &str = "one process, Postgres, target concurrency 16, a Microcks that answers in 20 ms";
const SETTINGS_HTTP: &str =
    "one process, Postgres, worker and target concurrency 64, 600-byte entities, a receiver on this machine";

pub(crate) async fn measure(apis: u32, entities: u32, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        microcks(&stage, apis, &mut values).await?;
        endpoint(&stage, entities, &mut values).await?;
    }
    Ok(figures(&stage, (apis, entities), &values))
}

async fn microcks(stage: &Stage, apis: u32, values: &mut Values) -> Result<()> {
    let microcks = FakeMicrocks::start(false).await?;
    microcks.set_trouble(Trouble {
        latency: LATENCY,
        ..Trouble::default()
    });
    let folder = tempfile::tempdir()?;
    write_apis(&folder.path().join("many"), apis, 0)?;
    let live = folder.path().join("live");
    write_apis(&live, 0, 0)?;
    let source = |name: &str, path: &Path, rest: &str| {
        format!(
            "- name: {name}\n  type: files\n  path: {}\n  rest: {rest}\n  burst: {{ interval: 0s }}\n",
            path.display()
        )
    };
    let yaml = format!(
        "sources:\n{}{}targets:\n- name: mocks\n  type: microcks\n  base_url: {}\n  concurrency: {CONCURRENCY}\n  drift_interval: none\n",
        source("many", &folder.path().join("many"), "1h"),
        source("live", &live, "200ms"),
        microcks.url(),
    );
    let database = stage.database().await?;
    let place = Place::new(database.url(), "in-process", &yaml).await?;
    let store = place.store().await?;
    let mut process = Tideline::start(place.folder(), "run", &["run"], &[])?;
    let first = first_sync(&microcks, &*store, apis).await?;
    values.add("calls", first.calls_per_second);
    values.add("mocks", first.mocks_per_second);
    values.add("look", look(&microcks, &*store, apis).await?);
    let lags = changes(&microcks, &*store, &live).await?;
    values.add("lag p50", percentile(&lags, 50));
    values.add("lag p99", percentile(&lags, 99));
    process.terminate()?;
    process.wait(LIMIT).await?;
    drop((store, place));
    database.remove().await
}

/// API entities, each with the two mocks of `.mocks/microcks.yaml`.
fn write_apis(folder: &Path, count: u32, version: u32) -> Result<()> {
    std::fs::create_dir_all(folder.join(".mocks"))?;
    let mocks = "apiVersion: bcgov.dev/v1alpha1\nkind: MicrocksSync\nspec:\n  mocks:\n  - { mockId: a, artifacts: [] }\n  - { mockId: b, \
                 artifacts: [] }\n";
    std::fs::write(folder.join(".mocks/microcks.yaml"), mocks)?;
    for number in 0..count {
        let text = format!(
            "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: api-{number}\n  annotations:\n    bcgov/microcks-config-ref: \
             dir:.mocks\nspec:\n  type: openapi\n  definition: |\n    openapi: 3.0.3\n    info: {{ title: x, version: '1' }}\n    paths:\n      \
             /v{version}:\n        get:\n          responses: {{}}\n"
        );
        std::fs::write(folder.join(format!("api-{number}.yaml")), text)?;
    }
    Ok(())
}

struct FirstSync {
    calls_per_second: f64,
    mocks_per_second: f64,
}

/// From the first call to the last one.
async fn first_sync(microcks: &FakeMicrocks, store: &dyn Store, apis: u32) -> Result<FirstSync> {
    let calls = || microcks.state.calls.lock().len();
    while calls() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (began, mocks) = (Instant::now(), 2 * apis as usize);
    loop {
        // Counted rarely: the calls are answered by this process.
        tokio::time::sleep(Duration::from_millis(20)).await;
        ensure!(
            began.elapsed() < LIMIT,
            "{} of {mocks} mocks",
            microcks.services().len()
        );
        if microcks.state.services.lock().len() == mocks && in_step(store, apis).await? {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "calls are few")]
    let calls = calls() as f64;
    Ok(FirstSync {
        calls_per_second: calls / seconds,
        mocks_per_second: f64::from(2 * apis) / seconds,
    })
}

/// Every entity was brought in step, and no job is to be done.
async fn in_step(store: &dyn Store, apis: u32) -> Result<bool> {
    let counts = store.count_targets().await?;
    let known = counts.iter().find(|counts| counts.name == "mocks");
    if known.is_none_or(|known| known.objects < u64::from(2 * apis)) {
        return Ok(false);
    }
    is_idle(store).await
}

async fn is_idle(store: &dyn Store) -> Result<bool> {
    let jobs = jobs(store).await?;
    ensure!(jobs.iter().all(|job| job.state != JobState::Parked), "a job is parked");
    Ok(jobs.iter().all(|job| job.state == JobState::Done))
}

async fn jobs(store: &dyn Store) -> Result<Vec<JobRecord>> {
    let mut filter = JobFilter {
        kind: Some(MICROCKS_KIND.to_owned()),
        limit: 1_000,
        ..JobFilter::default()
    };
    let mut all = Vec::new();
    loop {
        let jobs = store.list_jobs(&filter).await?;
        let Some(last) = jobs.last() else { return Ok(all) };
        filter.after = Some(last.id);
        all.extend(jobs);
    }
}

/// A look at everything that finds nothing to do, with a listing that an earlier look asked for: entities per second,
/// from its first job's enqueueing to its last one's end.
async fn look(microcks: &FakeMicrocks, store: &dyn Store, apis: u32) -> Result<f64> {
    let before = microcks.calls().len();
    let known = store.list_target_entities(&all("mocks")).await?;
    let [.., last_but_one, _] = &known[..] else {
        bail!("nothing is known")
    };
    look_after(store, Some(last_but_one.reference.clone())).await?;
    let listed = microcks.calls().len();
    let began = look_after(store, None).await?;
    let jobs = jobs(store).await?;
    let looks = || jobs.iter().filter(|job| job.created_at >= began);
    let first = looks().map(|job| job.created_at).min().context("nothing looked")?;
    let last = looks().map(|job| job.updated_at).max().unwrap_or(first);
    let calls = microcks.calls();
    ensure!(calls.len() == listed, "the full look called: {:?}", &calls[listed..]);
    let is_listing = |call: &String| call.starts_with("GET /api/services?page=");
    let calls = &calls[before..];
    ensure!(
        calls.iter().all(is_listing),
        "it asked for more than the listing: {calls:?}"
    );
    Ok(f64::from(apis) / last.since(first).as_secs_f64().max(0.001))
}

/// A whole look at what comes after an entity; says when it was asked for.
async fn look_after(store: &dyn Store, after: Option<EntityRef>) -> Result<Timestamp> {
    let looking = |place: &TargetPlace| TargetPlace {
        look: Some(TargetLook {
            began_at: SystemClock.now(),
            after: after.clone(),
            trigger: Trigger::Drift,
        }),
        ..place.clone()
    };
    let began = move_to(store, "mocks", looking).await?;
    wait_until("the look", LIMIT, async || {
        // Whatever is asked for here takes from what is measured.
        let target = store.find_target("mocks").await?.context("no target")?;
        ensure!(target.place.look.is_none(), "it looks");
        let stats = store.stats(SystemClock.now()).await?;
        ensure!(stats.due == 0 && stats.running == 0, "it looks: {stats:?}");
        Ok(())
    })
    .await?;
    let known = store.list_target_entities(&all("mocks")).await?;
    let mut looked = known.iter().filter(|entity| Some(&entity.reference) > after.as_ref());
    ensure!(
        looked.all(|entity| entity.synced_at.is_some_and(|at| at >= began)),
        "some were not looked at"
    );
    Ok(began)
}

fn all(target: &str) -> TargetEntityFilter {
    TargetEntityFilter {
        target: target.to_owned(),
        limit: 1_000,
        ..TargetEntityFilter::default()
    }
}

/// Moves a target's place while it may move itself; says when.
async fn move_to(store: &dyn Store, target: &str, to: impl Fn(&TargetPlace) -> TargetPlace) -> Result<Timestamp> {
    loop {
        let place = store.find_target(target).await?.context("no target")?.place;
        let now = SystemClock.now();
        if store.move_target(target, &place, &to(&place)).await? {
            return Ok(now);
        }
    }
}

/// From the commit of a change of a definition until its mock is the new one, in ms.
async fn changes(microcks: &FakeMicrocks, store: &dyn Store, folder: &Path) -> Result<Vec<f64>> {
    let mut lags = Vec::new();
    for version in 0..=CHANGES {
        write_live(folder, version)?;
        let operation = format!("GET /v{version}");
        let mut seen: BTreeMap<String, Timestamp> = BTreeMap::new();
        let began = Instant::now();
        while seen.len() < 2 * LIVE as usize {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ensure!(
                began.elapsed() < LIMIT,
                "{} of {} mocks are at {operation}",
                seen.len(),
                2 * LIVE
            );
            let now = SystemClock.now();
            let services = microcks.state.services.lock();
            let newest = services
                .values()
                .filter(|service| service.name.starts_with("live-") && service.operations.contains_key(&operation));
            for service in newest {
                seen.entry(service.full_name()).or_insert(now);
            }
        }
        if version == 0 {
            // They were made; from now on they change.
            continue;
        }
        for (mock, at) in seen {
            let name = mock.split(':').next().unwrap_or_default();
            let reference: EntityRef = format!("api:default/{name}").parse()?;
            let filter = EntityFilter {
                reference: Some(reference),
                limit: 1,
                ..EntityFilter::default()
            };
            let entity = store.list_entities(&filter).await?.pop().context("no entity")?;
            lags.push(at.since(entity.changed_at).as_secs_f64() * 1e3);
        }
    }
    Ok(lags)
}

fn write_live(folder: &Path, version: u32) -> Result<()> {
    let made = tempfile::tempdir()?;
    write_apis(made.path(), LIVE, version)?;
    for number in 0..LIVE {
        let text = std::fs::read_to_string(made.path().join(format!("api-{number}.yaml")))?;
        let hidden = folder.join(format!(".live-{number}"));
        std::fs::write(&hidden, text.replace("name: api-", "name: live-"))?;
        std::fs::rename(hidden, folder.join(format!("live-{number}.yaml")))?;
    }
    Ok(())
}

/// Every entity of a source once to an endpoint; then the feed again from its start, without a change.
async fn endpoint(stage: &Stage, entities: u32, values: &mut Values) -> Result<()> {
    let (url, received) = receiver().await?;
    let source = StaticSource::start(Shape {
        entities,
        partitions: 1,
        page: 500,
    })
    .await?;
    let yaml = format!(
        "worker: {{ concurrency: 64 }}\nsources:\n{}targets:\n- name: search\n  type: http\n  url: {url}/{{kind}}/{{namespace}}/{{name}}\n  \
         concurrency: 64\n",
        source.yaml(SOURCE, Paging::Cursor, OPTIONS)
    );
    let database = stage.database().await?;
    let place = Place::new(database.url(), "in-process", &yaml).await?;
    let store = place.store().await?;
    let mut process = Tideline::start(place.folder(), "run", &["run"], &[])?;
    let count = || received.load(Ordering::Relaxed);
    while count() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    while count() < u64::from(entities) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        ensure!(began.elapsed() < LIMIT, "{} of {entities} were received", count());
    }
    values.add("http", f64::from(entities) / began.elapsed().as_secs_f64());

    wait_until("the last jobs", LIMIT, async || {
        let stats = store.stats(SystemClock.now()).await?;
        ensure!(stats.due == 0 && stats.running == 0, "{stats:?}");
        Ok(())
    })
    .await?;
    let (sent, last) = (count(), store.stats(SystemClock.now()).await?.last_sequence);
    let from_start = |place: &TargetPlace| TargetPlace {
        position: FeedPosition::START,
        ..place.clone()
    };
    move_to(&*store, "search", from_start).await?;
    let position = async || -> Result<i64> {
        let target = store.find_target("search").await?.context("no target")?;
        Ok(target.place.position.sequence().0)
    };
    // It begins at its next look at the feed.
    while position().await? == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (began, from) = (Instant::now(), position().await?);
    while position().await? < last.0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "changes are few")]
    let looked_at = (last.0 - from) as f64;
    values.add("followed", looked_at / began.elapsed().as_secs_f64());
    ensure!(count() == sent, "{} requests although nothing changed", count() - sent);
    process.terminate()?;
    process.wait(LIMIT).await?;
    drop((store, place));
    database.remove().await
}

/// Answers 200 at once, and counts.
async fn receiver() -> Result<(String, Arc<AtomicU64>)> {
    let received = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&received);
    let answer = move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Ok((url, received))
}

fn figures(stage: &Stage, (apis, entities): (u32, u32), values: &Values) -> Vec<Figure> {
    let figure = |title: &str, name: &str, n: u32, unit: &str, settings: &str| {
        Figure::new(title, u64::from(n), unit, values.get(name), &stage.versions).with(settings)
    };
    let rounds = values.get("calls").len();
    let limit = vec![f64::from(CONCURRENCY) / LATENCY.as_secs_f64(); rounds];
    let (mocks, samples) = (2 * apis, 2 * LIVE * CHANGES);
    vec![
        figure(
            "mocks from nothing, calls of Microcks",
            "calls",
            mocks,
            "calls/s",
            SETTINGS,
        )
        .against("concurrency / 20 ms", values.get("calls"), &limit)
        .wanted(Goal::RatioAtLeast(0.8)),
        figure("mocks from nothing", "mocks", mocks, "mocks/s", SETTINGS).against(
            "the Backstage plugin, one job in 10 s",
            values.get("mocks"),
            &vec![OLD_PLUGIN; rounds],
        ),
        figure(
            "look at unchanged mocks, no call but the listing",
            "look",
            apis,
            "entities/s",
            SETTINGS,
        )
        .wanted(Goal::AtLeast(20_000.0)),
        figure(
            "definition committed to mock updated, p50",
            "lag p50",
            samples,
            "ms",
            SETTINGS,
        ),
        figure(
            "definition committed to mock updated, p99",
            "lag p99",
            samples,
            "ms",
            SETTINGS,
        )
        .wanted(Goal::AtMost(1_000.0 + 4.0 * LATENCY.as_secs_f64() * 1e3)),
        figure(
            "http target, every entity once",
            "http",
            entities,
            "changes/s",
            SETTINGS_HTTP,
        )
        .wanted(Goal::AtLeast(3_000.0)),
        figure(
            "http target, the feed again without a change",
            "followed",
            entities,
            "entities/s",
            SETTINGS_HTTP,
        )
        .wanted(Goal::AtLeast(20_000.0)),
    ]
}
