//! What a person does in the browser.

use anyhow::{Result, ensure};
use serde_json::json;
use tideline_tests::browser::Browser;

use crate::stage::{Stage, shows};

#[tokio::test]
async fn a_person_signs_in_and_approves_a_held_sweep_that_the_page_shows_by_itself() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.sign_in(&browser).await?;

    // The update arrives by itself: the mark stays unless the page is reloaded.
    browser.value("window.mark = 'stays'").await?;
    stage.write_entities(10, 1)?;
    stage.refresh().await?;
    browser.wait(&shows("would delete 30 entities, 75 %")).await?;
    ensure!(browser.value("window.mark").await? == "stays", "the page was reloaded");

    browser.click(".needs a.go[href*='#held']").await?;
    browser.wait(&shows("would delete 30 entities")).await?;
    browser.wait(&shows("accounts-012")).await?;
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
    stage
        .until("they are gone", "/v1/sources/inventory", |source| {
            source["entities"] == json!(10)
        })
        .await?;

    browser.click(".who button").await?;
    browser.wait("location.pathname === '/sign-in'").await?;
    browser.open(&format!("{}/jobs", stage.address)).await?;
    browser.wait("location.pathname === '/sign-in'").await
}

#[tokio::test]
async fn a_person_retries_parked_jobs_and_dead_letters_and_replays_a_webhook() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.sign_in(&browser).await?;
    browser.wait(&shows("given up for subscription deploys")).await?;
    stage.take();

    browser.click(".needs a.go[href='/jobs?state=parked']").await?;
    browser.wait(&shows("order-1")).await?;
    browser.click("#many button[name=all]").await?;
    stage
        .until("the mail is sent", "/v1/jobs?kind=send-mail", |jobs| {
            jobs["items"][0]["state"] == "done"
        })
        .await?;

    browser
        .open(&format!("{}/subscriptions/deploys", stage.address))
        .await?;
    browser.wait(&shows("the disk is full")).await?;
    browser.click("#letters form button").await?;
    // It goes from the page by itself, once the subscriber has it.
    browser.wait(&shows("None: no event was given up.")).await?;

    let events = stage.get("/v1/events?limit=1").await?;
    let page = format!("/events/{}", stage.webhook().await?);
    browser.open(&format!("{}{page}", stage.address)).await?;
    browser.click("main details summary").await?;
    browser.click("main details form button").await?;
    browser
        .wait(&format!(
            "location.pathname !== '{page}' && location.pathname.startsWith('/events/')"
        ))
        .await?;
    let copy = stage.get("/v1/events?limit=1&topics=ci.*").await?;
    ensure!(copy["items"][0]["id"] != events["items"][0]["id"], "no copy: {copy}");
    let acts = stage.get("/v1/audit?limit=3").await?;
    let acts: Vec<&str> = acts["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|act| act["act"].as_str())
        .collect();
    ensure!(
        acts == ["events.replay", "dead_letters.retry", "jobs.retry"],
        "{acts:?}"
    );
    Ok(())
}

#[tokio::test]
async fn keys_lead_to_pages_and_to_the_search() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.sign_in(&browser).await?;
    browser.press("?").await?;
    browser.wait("document.querySelector('#keys').open").await?;
    browser.value("document.querySelector('#keys').close()").await?;
    browser.press("g").await?;
    browser.press("j").await?;
    browser
        .wait("location.pathname === '/jobs' && document.readyState === 'complete'")
        .await?;
    browser.press("/").await?;
    browser
        .wait("location.pathname === '/catalog' && document.activeElement.name === 'name'")
        .await?;
    browser.fill("#filter-name", "checkout-*").await?;
    browser.click(".filters button").await?;
    browser.wait("location.search.includes('name=checkout-')").await?;
    browser.wait(&shows("checkout-008")).await?;
    ensure!(
        browser.value(&shows("payments-001")).await? == false,
        "the filter lets all through"
    );
    Ok(())
}
