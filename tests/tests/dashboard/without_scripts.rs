//! The dashboard in a browser that runs no scripts: everything but live updates.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde_json::json;
use tideline_tests::browser::Browser;

use crate::every_page::PAGES;
use crate::stage::{Stage, shows};

/// Says what is wrong with a page: it shows nothing, or something that only a script could serve.
const READABLE: &str = r#"(() => {
  const wrong = [], seen = (e) => e.checkVisibility();
  if (document.querySelector("main").innerText.trim().length < 40) wrong.push("it shows next to nothing");
  if (!document.querySelector("h1")?.innerText.trim()) wrong.push("it has no heading");
  for (const e of document.querySelectorAll("[data-copy], [data-all], #live")) if (seen(e)) wrong.push("of no use: " + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll("button[type=button]")) if (seen(e)) wrong.push("does nothing: " + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll("form")) if (!e.getAttribute("action") && e.method !== "dialog") wrong.push("goes nowhere: " + e.outerHTML.slice(0, 120));
  return wrong.join("\n");
})()"#;

#[tokio::test]
async fn without_scripts_every_page_is_readable_and_filters_and_acts_work() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    browser.without_scripts().await?;
    stage.sign_in(&browser).await?;
    read_every_page(&browser, &stage).await?;
    use_filters(&browser, &stage).await?;
    act_on_a_source(&browser, &stage).await?;
    act_on_jobs(&browser, &stage).await?;
    approve_a_held_sweep(&browser, &stage).await?;

    browser.click(".who button").await?;
    browser.wait("location.pathname === '/sign-in'").await?;
    browser.open(&format!("{}/jobs", stage.address)).await?;
    browser.wait("location.pathname === '/sign-in'").await
}

async fn read_every_page(browser: &Browser, stage: &Stage) -> Result<()> {
    let parked = stage.parked_job().await?;
    let mut wrong = String::new();
    for path in PAGES.into_iter().filter(|path| *path != "/sign-in") {
        let address = format!("{}{}", stage.address, path.replace("PARKED", &parked));
        browser.open(&address).await?;
        let found = browser.value(READABLE).await?;
        if found != "" {
            writeln!(wrong, "{path}: {}", found.as_str().unwrap_or_default())?;
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    let ran = browser.value("document.querySelector('#live')?.dataset.state").await?;
    ensure!(ran.is_null(), "a script ran: {ran}");
    Ok(())
}

async fn use_filters(browser: &Browser, stage: &Stage) -> Result<()> {
    browser.open(&format!("{}/catalog", stage.address)).await?;
    browser.fill("#filter-name", "checkout-*").await?;
    browser.fill("#filter-label", "tier=gold").await?;
    browser.click(".filters button").await?;
    browser.wait("location.search.includes('name=checkout-')").await?;
    browser.wait(&shows("checkout-000")).await?;
    for other in ["payments-001", "checkout-008"] {
        ensure!(
            browser.value(&shows(other)).await? == false,
            "{other} passes the filter"
        );
    }
    browser.open(&format!("{}/jobs", stage.address)).await?;
    browser
        .value("document.querySelector('#filter-state').value = 'parked'")
        .await?;
    browser.click(".filters button").await?;
    browser.wait("location.search.includes('state=parked')").await?;
    browser.wait(&shows("order-1")).await
}

async fn act_on_a_source(browser: &Browser, stage: &Stage) -> Result<()> {
    for (act, state) in [("pause", "paused"), ("resume", "active")] {
        browser.open(&format!("{}/", stage.address)).await?;
        browser
            .click(&format!("form[action='/sources/people/{act}'] button"))
            .await?;
        stage
            .until(state, "/v1/sources/people", |source| source["state"] == state)
            .await?;
    }
    browser.open(&format!("{}/sources/people/plan", stage.address)).await?;
    browser.click("main form button").await?;
    browser.wait(&shows("Nothing would change")).await
}

async fn act_on_jobs(browser: &Browser, stage: &Stage) -> Result<()> {
    stage.take();
    let parked = stage.parked_job().await?;
    browser.open(&format!("{}/jobs?state=parked", stage.address)).await?;
    browser.click(&format!("input[name=job][value='{parked}']")).await?;
    browser.click("#many button").await?;
    stage
        .until("the mail is sent", "/v1/jobs?kind=send-mail", |jobs| {
            jobs["items"][0]["state"] == "done"
        })
        .await
}

async fn approve_a_held_sweep(browser: &Browser, stage: &Stage) -> Result<()> {
    stage.write_entities(10, 1)?;
    stage.refresh().await?;
    browser.open(&format!("{}/", stage.address)).await?;
    browser.wait(&shows("would delete 30 entities, 75 %")).await?;
    browser.click(".needs a.go[href*='#held']").await?;
    browser.wait(&shows("accounts-012")).await?;
    browser.click("#held details summary").await?;
    browser.fill("#held form [name=reason]", "they moved away").await?;
    browser.click("#held form button.danger").await?;
    stage
        .until("the sweep is over", "/v1/sources/inventory", |source| {
            source["entities"] == json!(10) && source["held"].is_null()
        })
        .await?;
    browser.open(&format!("{}/sources/inventory", stage.address)).await?;
    browser.wait(&shows("they moved away")).await?;
    ensure!(
        browser.value("document.querySelector('#held')").await?.is_null(),
        "the held sweep is still shown"
    );
    Ok(())
}
