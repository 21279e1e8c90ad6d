//! The demo, live; and the pictures of the documentation (`make pictures`). They go to docs/dashboard; with
//! `TIDELINE_WRITE_SCREENSHOTS=all` those in the dark and of a small screen too, to target/dashboard.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_store::sqlite::SqliteStore;
use tideline_tests::browser::Browser;
use tideline_tests::process::Tideline;
use tideline_tests::servers::free_port;
use tideline_tests::wait_until;

use crate::stage::{Stage, shows};

/// Maximum size of a picture, in bytes.
const MAX_BYTES: usize = 200_000;

/// Name, path, and what must be on the page.
const PICTURES: [(&str, &str, &str); 20] = [
    ("overview", "/", "would delete"),
    ("source", "/sources/inventory", "Timeline"),
    ("plan", "/sources/inventory/plan", "Make a plan"),
    ("catalog", "/catalog?source=inventory", "checkout-000"),
    (
        "entity",
        "/catalog/entity?source=inventory&ref=component%3Adefault%2Fpayments-001",
        "Read from",
    ),
    ("changes", "/changes", "modified"),
    ("events", "/events", "drift.found"),
    ("event", "/events/WEBHOOK", "What it caused"),
    ("jobs", "/jobs", "http-target"),
    ("job", "/jobs/PARKED", "the disk is full"),
    ("hooks", "/hooks", "ci"),
    ("hook", "/hooks?name=ci", "Seven days by hour"),
    ("subscriptions", "/subscriptions", "deploys"),
    ("subscription", "/subscriptions/deploys", "Dead letters"),
    ("targets", "/targets", "search"),
    ("target", "/targets/search", "mail-007"),
    ("operations", "/operations", "Workers"),
    ("audit", "/audit", "sources.refresh"),
    ("tokens", "/tokens", "Create a token"),
    ("sign-in", "/sign-in", "API token"),
];

#[tokio::test]
async fn the_demo_runs_live_in_the_browser() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let (api, dashboard) = (free_port()?.to_string(), free_port()?.to_string());
    let args = [
        "demo",
        "--entities",
        "3000",
        "--port",
        &api,
        "--dashboard-port",
        &dashboard,
        "--store",
        "demo.db",
    ];
    let _demo = Tideline::start(folder.path(), "demo", &args, &[])?;
    let address = format!("http://127.0.0.1:{dashboard}");
    let client = tideline_tests::http_client()?;
    wait_until("the gateway", Duration::from_secs(60), async || {
        client.get(format!("{address}/readyz")).send().await?.error_for_status()
    })
    .await?;
    browser.open(&format!("{address}/")).await?;
    browser.value("window.mark = 'stays'").await?;
    browser.wait("document.querySelector('main progress') !== null").await?;
    browser
        .wait("/Cycle [2-9]/i.test(document.querySelector('main').innerText)")
        .await?;
    ensure!(browser.value("window.mark").await? == "stays", "the page was reloaded");
    Ok(())
}

#[tokio::test]
async fn the_pictures_of_the_documentation_are_taken_when_they_are_asked_for() -> Result<()> {
    let Some(asked) = std::env::var_os("TIDELINE_WRITE_SCREENSHOTS") else {
        return Ok(());
    };
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?;
    seed_history(&stage.path("tideline.db")).await?;
    let stage = stage.run().await?;
    for state in 2..24 {
        stage.write_entities(40 + state / 4, state)?;
        stage.refresh().await?;
    }
    let token = json!({"name": "backstage", "role": "read", "expires_in_seconds": 7_776_000});
    stage.post("/v1/tokens", &token).await?;
    stage.write_entities(30, 24)?;
    stage.refresh().await?;
    stage.sign_in(&browser).await?;
    let (parked, webhook) = (stage.parked_job().await?, stage.webhook().await?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (docs, others) = (root.join("docs/dashboard"), root.join("target/dashboard"));
    for folder in [&docs, &others] {
        std::fs::create_dir_all(folder)?;
    }
    let plan = format!("{}/sources/inventory/plan", stage.address);
    for (name, path, text) in PICTURES {
        let address = format!(
            "{}{}",
            stage.address,
            path.replace("PARKED", &parked).replace("WEBHOOK", &webhook)
        );
        if name == "sign-in" {
            browser.click(".who button").await?;
            browser.wait("location.pathname === '/sign-in'").await?;
        }
        // One picture of the documentation is dark, so that readers see how that is.
        let usual = if name == "changes" { "dark" } else { "light" };
        take(
            &browser,
            &address,
            text,
            (1_280, 800),
            usual,
            docs.join(format!("{name}.png")),
        )
        .await?;
        if asked == "all" {
            let other = if usual == "dark" { "light" } else { "dark" };
            let file = |kind: &str| others.join(format!("{name}-{kind}.png"));
            take(&browser, &address, text, (1_280, 1_600), other, file(other)).await?;
            take(&browser, &address, text, (360, 1_400), "light", file("small")).await?;
        }
        if name == "plan" {
            browser.resize(1_280, 800).await?;
            browser.prefer("light").await?;
            browser.open(&plan).await?;
            browser.click("main form button").await?;
            browser.wait(&shows("would")).await?;
            browser.wait("document.readyState === 'complete'").await?;
            write(&docs.join("plan.png"), &browser.picture().await?)?;
        }
    }
    Ok(())
}

async fn take(
    browser: &Browser,
    address: &str,
    text: &str,
    (width, height): (u32, u32),
    scheme: &str,
    file: PathBuf,
) -> Result<()> {
    browser.resize(width, height).await?;
    browser.prefer(scheme).await?;
    browser.open(address).await?;
    browser
        .wait(&shows(text))
        .await
        .with_context(|| file.display().to_string())?;
    write(&file, &browser.picture().await?)
}

fn write(file: &Path, picture: &[u8]) -> Result<()> {
    ensure!(
        picture.len() < MAX_BYTES || !file.parent().is_some_and(|folder| folder.ends_with("docs/dashboard")),
        "{} has {} bytes",
        file.display(),
        picture.len()
    );
    Ok(std::fs::write(file, picture)?)
}

/// Six hours of figures, for the charts, as a busy installation has them.
async fn seed_history(path: &Path) -> Result<()> {
    let location = path.to_str().context("a path")?;
    drop(SqliteStore::open(location).await?);
    let mut store = SqliteConnection::connect(&format!("sqlite://{location}")).await?;
    let minute = SystemClock.now().0 / 60_000 * 60_000;
    for ago in (1..360_i64).rev() {
        let wave = (ago * 7 % 60 + ago * 13 % 37) / 8;
        let lag = if (90..110).contains(&ago) {
            4_000 - (ago - 100).abs() * 300
        } else {
            wave * 20
        };
        sqlx::query("INSERT INTO samples VALUES (?1, 0, ?2, 1, 0, 0, 0, 0, ?3, ?4)")
            .bind(minute - ago * 60_000)
            .bind(lag)
            .bind(20 + wave * 6)
            .bind(i64::from(ago == 97))
            .execute(&mut store)
            .await?;
    }
    for ago in 1..150_i64 {
        let hour = minute / 3_600_000 * 3_600_000 - ago * 3_600_000;
        let stored = 4 + (ago * 11 % 24) / 2;
        sqlx::query("INSERT INTO hook_hours VALUES ('ci', ?1, ?2, 0, ?3, 0, 0, ?1, NULL, NULL)")
            .bind(hour)
            .bind(stored)
            .bind(i64::from(ago == 30) * 3)
            .execute(&mut store)
            .await?;
    }
    store.close().await?;
    Ok(())
}
