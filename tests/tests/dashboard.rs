//! The dashboard in a real browser, over a real `tideline`.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tideline_tests::axe;
use tideline_tests::browser::Browser;
use tideline_tests::process::Tideline;
use tideline_tests::servers::free_port;
use tideline_tests::wait_until;

const TOKEN: &str = "token-of-the-test";

/// Everything that a page must have for somebody who does not see it: names of controls and charts, unique ids, one heading of
/// the first order, a language. Says what is wrong.
const ACCESSIBLE: &str = r#"(() => {
  const wrong = [], name = (e) => (e.getAttribute("aria-label") || e.textContent || e.title || "").trim()
    || [...(e.labels || [])].map((l) => l.textContent.trim()).join("");
  for (const e of document.querySelectorAll("a, button, summary, select, input:not([type=hidden]), [role=button], [role=img]"))
    if (!name(e) && !(e.labels || []).length) wrong.push("no name: " + e.outerHTML.slice(0, 120));
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) wrong.push("id twice: " + id);
  for (const e of document.querySelectorAll("[aria-labelledby]"))
    if (!document.getElementById(e.getAttribute("aria-labelledby"))) wrong.push("no label: " + e.outerHTML.slice(0, 80));
  if (document.querySelectorAll("h1").length !== 1) wrong.push("headings: " + document.querySelectorAll("h1").length);
  if (!document.documentElement.lang) wrong.push("no language");
  return wrong.join("\n");
})()"#;

fn write_entities(folder: &Path, count: u32) -> Result<()> {
    let mut text = String::new();
    for number in 0..count {
        writeln!(
            text,
            "{{\"kind\":\"Component\",\"metadata\":{{\"name\":\"service-{number:03}\",\"labels\":{{\"tier\":\"gold\"}}}},\
             \"spec\":{{\"owner\":\"team-{}\"}}}}",
            number % 7
        )?;
    }
    Ok(std::fs::write(folder.join("entities.ndjson"), text)?)
}

/// A `tideline run` on a folder of forty entities.
struct Running {
    folder: tempfile::TempDir,
    address: String,
    _process: Tideline,
}

async fn run() -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    write_entities(&data, 40)?;
    let port = free_port()?;
    let yaml = format!(
        "listen: 127.0.0.1:{port}\nhooks:\n  - {{ name: ci, provider: token, header: x-token, secret: s3cret }}\nsources:\n  - name: inventory\n    type: files\n    path: data\n    rest: 1h\n    removals: {{ \
         confirm_cycles: 1 }}\n"
    );
    std::fs::write(folder.path().join("tideline.yaml"), yaml)?;
    let process = Tideline::start(folder.path(), "run", &["run"], &[("TIDELINE_API_TOKEN", TOKEN)])?;
    let address = format!("http://127.0.0.1:{port}");
    answers(&address).await?;
    Ok(Running {
        folder,
        address,
        _process: process,
    })
}

async fn answers(address: &str) -> Result<()> {
    let client = tideline_tests::http_client()?;
    wait_until("the gateway", Duration::from_secs(60), async || {
        client.get(format!("{address}/readyz")).send().await?.error_for_status()
    })
    .await?;
    Ok(())
}

async fn sign_in(browser: &mut Browser, address: &str) -> Result<()> {
    browser.open(&format!("{address}/")).await?;
    browser.wait("location.pathname === '/sign-in'").await?;
    browser.fill("#token", TOKEN).await?;
    browser.click("form button").await?;
    browser
        .wait("location.pathname === '/' && document.querySelector('h1').textContent === 'Overview'")
        .await
}

fn shows(text: &str) -> String {
    format!(
        "document.querySelector('main').innerText.includes({})",
        serde_json::json!(text)
    )
}

#[tokio::test]
async fn a_person_signs_in_and_approves_a_held_sweep_that_the_page_shows_by_itself() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let running = run().await?;
    sign_in(&mut browser, &running.address).await?;
    browser.wait(&shows("40 entities of 1 source")).await?;

    // What follows comes by itself: the mark stays as long as nobody reloads.
    browser.value("window.mark = 'stays'").await?;
    write_entities(&running.folder.path().join("data"), 10)?;
    let client = tideline_tests::http_client()?;
    let refresh = format!("{}/v1/sources/inventory/refresh", running.address);
    client
        .post(refresh)
        .bearer_auth(TOKEN)
        .send()
        .await?
        .error_for_status()?;
    browser.wait(&shows("would delete 30 entities, 75 %")).await?;
    ensure!(browser.value("window.mark").await? == "stays", "the page was reloaded");

    browser.click(".needs a.go").await?;
    browser.wait(&shows("Cycle 2 would delete 30 entities")).await?;
    ensure!(
        browser.value(&shows("service-012")).await? == true,
        "what would go is not named"
    );
    browser.click("#held details summary").await?;
    browser
        .value("document.querySelector('#held form').requestSubmit()")
        .await?;
    ensure!(
        browser.value("!!document.querySelector('#held form :invalid')").await? == true,
        "no reason was asked for"
    );
    browser
        .fill("#held form [name=reason]", "the old services were switched off")
        .await?;
    browser.click("#held form button.danger").await?;
    browser.wait("!document.querySelector('#held')").await?;
    browser.wait(&shows("the old services were switched off")).await?;
    browser.open(&format!("{}/", running.address)).await?;
    browser.wait(&shows("10 entities of 1 source")).await?;

    browser.click(".who button").await?;
    browser.wait("location.pathname === '/sign-in'").await?;
    browser.open(&format!("{}/jobs", running.address)).await?;
    browser.wait("location.pathname === '/sign-in'").await
}

/// Every page, of a store that has something to show.
const PAGES: [&str; 19] = [
    "/",
    "/sources/inventory",
    "/catalog?label=tier%3Dgold",
    "/catalog?name=none",
    "/catalog/entity?source=inventory&ref=component%3Adefault%2Fservice-001",
    "/changes",
    "/events",
    "/events/1",
    "/jobs",
    "/jobs?state=parked",
    "/jobs/1",
    "/hooks",
    "/hooks?name=ci",
    "/subscriptions",
    "/targets",
    "/operations",
    "/audit",
    "/tokens",
    "/sources/none",
];

#[tokio::test]
async fn every_page_fits_a_small_screen_and_is_usable_by_everybody_in_the_light_and_in_the_dark() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let running = run().await?;
    sign_in(&mut browser, &running.address).await?;
    browser.wait(&shows("40 entities of 1 source")).await?;
    let mut wrong = String::new();
    for path in PAGES {
        browser.resize(360, 740).await?;
        browser.prefer("light").await?;
        browser.open(&format!("{}{path}", running.address)).await?;
        let width = browser.value("document.documentElement.scrollWidth").await?;
        if width.as_u64() > Some(360) {
            writeln!(wrong, "{path} is {width} pixels wide")?;
        }
        for found in [browser.value(ACCESSIBLE).await?, violations(&mut browser).await?] {
            if found != "" {
                writeln!(wrong, "{path}: {}", found.as_str().unwrap_or_default())?;
            }
        }
        if browser.value("document.title.endsWith('· Tideline')").await? != true {
            writeln!(wrong, "{path} has no title of ours")?;
        }
        browser.resize(3_840, 2_160).await?;
        browser.prefer("dark").await?;
        let light = browser.value(
            "(([r, g, b]) => r + g + b)(getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number))",
        );
        if light.await?.as_u64() >= Some(150) {
            writeln!(wrong, "{path} is bright in the dark")?;
        }
        let found = violations(&mut browser).await?;
        if found != "" {
            writeln!(wrong, "{path} in the dark: {}", found.as_str().unwrap_or_default())?;
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

/// What axe-core finds wrong with the page; nothing, where it cannot be had.
async fn violations(browser: &mut Browser) -> Result<serde_json::Value> {
    let Some(script) = axe::script() else {
        return Ok("".into());
    };
    browser.value(&format!("{script};true")).await?;
    browser.value(axe::RUN).await
}

#[tokio::test]
async fn keys_lead_to_pages_and_to_the_search() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let running = run().await?;
    sign_in(&mut browser, &running.address).await?;
    browser.press("?").await?;
    browser.wait("document.querySelector('#keys').open").await?;
    browser.value("document.querySelector('#keys').close()").await?;
    browser.press("g").await?;
    browser.press("j").await?;
    browser.wait("location.pathname === '/jobs'").await?;
    browser.press("/").await?;
    browser
        .wait("location.pathname === '/catalog' && document.activeElement.name === 'name'")
        .await?;
    browser.fill("#filter-name", "service-01*").await?;
    browser.click(".filters button").await?;
    browser.wait("location.search.includes('name=service-01')").await?;
    browser.wait(&shows("service-019")).await?;
    ensure!(
        browser.value(&shows("service-020")).await? == false,
        "the filter lets all through"
    );
    Ok(())
}

/// `TIDELINE_WRITE_SCREENSHOTS=1 cargo test -p tideline-tests --test dashboard pictures` takes those of docs/dashboard.md.
#[tokio::test]
async fn the_demo_runs_live_in_the_browser_and_gives_the_pictures_of_the_documentation() -> Result<()> {
    let Some(mut browser) = Browser::start().await? else {
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
    answers(&address).await?;
    browser.resize(1_280, 800).await?;
    browser.open(&format!("{address}/")).await?;
    browser.value("window.mark = 'stays'").await?;
    browser.wait("document.querySelector('main progress') !== null").await?;
    browser
        .wait("/Cycle [2-9]/i.test(document.querySelector('main').innerText)")
        .await?;
    ensure!(browser.value("window.mark").await? == "stays", "the page was reloaded");
    if std::env::var_os("TIDELINE_WRITE_SCREENSHOTS").is_none() {
        return Ok(());
    }
    browser
        .wait("/Cycle ([6-9]|1\\d)/i.test(document.querySelector('main').innerText)")
        .await?;
    let source = "demo-42-3000";
    for (name, path, scheme) in [
        ("overview", "/".to_owned(), "light"),
        ("source", format!("/sources/{source}"), "light"),
        ("changes", "/changes".to_owned(), "dark"),
    ] {
        browser.prefer(scheme).await?;
        browser.open(&format!("{address}{path}")).await?;
        let picture = browser.picture().await?;
        ensure!(picture.len() < 200_000, "{name} has {} bytes", picture.len());
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dashboard");
        std::fs::create_dir_all(&docs)?;
        std::fs::write(docs.join(format!("{name}.png")), picture)?;
    }
    Ok(())
}
