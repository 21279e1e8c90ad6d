//! What holds on every page: it fits small and large screens, is usable by everybody, and is dark in the dark.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use tideline_tests::axe;
use tideline_tests::browser::Browser;

use crate::stage::Stage;

/// Everything that a page must have for somebody who does not see it: names of controls and charts, unique ids, one
/// heading of the first order, a language. Says what is wrong.
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

/// Every page, of a store that has something to show.
pub(crate) const PAGES: [&str; 25] = [
    "/",
    "/sources/inventory",
    "/sources/inventory/plan",
    "/sources/wiki",
    "/catalog?label=tier%3Dgold",
    "/catalog?name=none",
    "/catalog/entity?source=inventory&ref=component%3Adefault%2Fmail-007",
    "/changes",
    "/events",
    "/events/1",
    "/jobs",
    "/jobs?state=parked",
    "/jobs/PARKED",
    "/hooks",
    "/hooks?name=ci",
    "/subscriptions",
    "/subscriptions/deploys",
    "/subscriptions/reports",
    "/targets",
    "/targets/search",
    "/operations",
    "/audit",
    "/tokens",
    "/sources/none",
    "/sign-in",
];

#[tokio::test]
async fn every_page_fits_a_small_screen_and_is_usable_by_everybody_in_the_light_and_in_the_dark() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    let parked = stage.parked_job().await?;
    stage.sign_in(&browser).await?;
    let mut wrong = String::new();
    for path in PAGES {
        if path == "/sign-in" {
            browser.open(&format!("{}/", stage.address)).await?;
            browser.click(".who button").await?;
            browser.wait("location.pathname === '/sign-in'").await?;
        }
        let address = format!("{}{}", stage.address, path.replace("PARKED", &parked));
        look(&browser, path, &address, &mut wrong).await?;
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

async fn look(browser: &Browser, path: &str, address: &str, wrong: &mut String) -> Result<()> {
    browser.resize(360, 740).await?;
    browser.prefer("light").await?;
    browser.open(address).await?;
    // What is folded must fit as well.
    browser
        .value("document.querySelectorAll('main details').forEach((details) => { details.open = true })")
        .await?;
    let width = browser.value("document.documentElement.scrollWidth").await?;
    if width.as_u64() > Some(360) {
        writeln!(wrong, "{path} is {width} pixels wide")?;
    }
    for found in [browser.value(ACCESSIBLE).await?, violations(browser).await?] {
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
    let found = violations(browser).await?;
    if found != "" {
        writeln!(wrong, "{path} in the dark: {}", found.as_str().unwrap_or_default())?;
    }
    Ok(())
}

/// What axe-core finds wrong with the page; nothing, where it cannot be had.
async fn violations(browser: &Browser) -> Result<serde_json::Value> {
    let Some(script) = axe::script() else {
        return Ok("".into());
    };
    browser.value(&format!("{script};true")).await?;
    browser.value(axe::RUN).await
}
