//! What an open page does by itself, and what it leaves alone.

use anyhow::{Result, ensure};
use serde_json::json;
use tideline_tests::browser::Browser;

use crate::stage::{Stage, shows};

/// Where the person is on the page: what they typed, whether the cursor is there, what they opened, how far they
/// scrolled.
const PERSON: &str = r#"(() => {
  const field = document.querySelector("form[action$='/delete'] [name=reason]");
  return [field.value, document.activeElement === field, field.closest("details").open, window.scrollY, window.mark];
})()"#;

#[tokio::test]
async fn live_updates_leave_focus_scroll_and_what_somebody_types_alone() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.sign_in(&browser).await?;
    browser.resize(800, 500).await?;
    browser.open(&format!("{}/sources/inventory", stage.address)).await?;
    browser
        .wait("document.querySelector('#live').dataset.state === 'on'")
        .await?;
    browser
        .value("document.querySelector(\"form[action$='/delete']\").closest('details').open = true")
        .await?;
    browser
        .fill("form[action$='/delete'] [name=reason]", "half a sen")
        .await?;
    browser
        .value("document.querySelector(\"form[action$='/delete'] [name=reason]\").focus()")
        .await?;
    browser.value("window.scrollTo(0, 120); window.mark = 'stays'").await?;
    let before = browser.value(PERSON).await?;
    ensure!(before == json!(["half a sen", true, true, 120, "stays"]), "{before}");
    stage.write_entities(38, 5)?;
    stage.refresh().await?;
    // The commands, where the person is, change with the cycle too.
    browser.wait("document.querySelector('#cycle-2') !== null").await?;
    let after = browser.value(PERSON).await?;
    ensure!(after == before, "{after}");
    Ok(())
}

#[tokio::test]
async fn live_updates_wait_while_they_are_paused_and_are_made_up_for_afterwards() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.sign_in(&browser).await?;
    browser
        .open(&format!("{}/changes?change=removed", stage.address))
        .await?;
    browser
        .wait("document.querySelector('#live').dataset.state === 'on'")
        .await?;
    browser.press("p").await?;
    browser
        .wait("document.querySelector('#live').textContent.startsWith('paused')")
        .await?;
    let waiting = "Number(document.querySelector('#live').textContent.match(/[0-9]+/)?.[0] ?? 0)";
    let before = browser.value(waiting).await?;
    stage.write_entities(39, 1)?;
    stage.refresh().await?;
    browser.wait(&format!("{waiting} > {before}")).await?;
    ensure!(
        browser.value(&shows("mail-039")).await? == false && browser.value(&shows("No change matches")).await? == true,
        "a paused page changed"
    );
    browser.press("p").await?;
    browser.wait(&shows("mail-039")).await?;
    browser
        .wait("document.querySelector('#live').textContent === 'live'")
        .await
}

#[tokio::test]
async fn a_plan_under_way_says_how_far_it_is() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.sign_in(&browser).await?;
    // This source does not answer: its plan waits until the page is left.
    browser.open(&format!("{}/sources/wiki/plan", stage.address)).await?;
    browser.click("main form button").await?;
    browser.wait(&shows("Read 0 entities")).await?;
    ensure!(
        browser.value("document.readyState").await? == "loading",
        "the plan ended, so the page is whole"
    );
    let shown = "[...document.querySelectorAll('.plan .reading')].filter((line) => line.checkVisibility()).length";
    ensure!(browser.value(shown).await? == 1, "older words are still shown");
    Ok(())
}

#[tokio::test]
async fn an_open_question_about_a_held_sweep_does_not_become_one_about_another() -> Result<()> {
    let Some(browser) = Browser::start().await? else {
        return Ok(());
    };
    let stage = Stage::prepare().await?.run().await?;
    stage.write_entities(20, 1)?;
    stage.refresh().await?;
    stage.sign_in(&browser).await?;
    browser.open(&format!("{}/sources/inventory", stage.address)).await?;
    browser
        .wait("document.querySelector('#live').dataset.state === 'on'")
        .await?;
    browser.click("#held details summary").await?;
    browser.fill("#held form [name=reason]", "they moved away").await?;
    stage.write_entities(10, 1)?;
    stage.refresh().await?;
    browser.wait(&shows("This has changed since you opened it")).await?;
    let cycle = "document.querySelector('#held form [name=cycle]').value";
    let seen = browser.value(cycle).await?;
    browser.click("#held form button.danger").await?;
    browser
        .wait("document.querySelector('h1')?.textContent === 'The state does not allow this'")
        .await?;
    browser.open(&format!("{}/sources/inventory", stage.address)).await?;
    ensure!(browser.value(cycle).await? != seen, "no newer sweep is held");
    let source = stage.get("/v1/sources/inventory").await?;
    ensure!(source["entities"] == json!(40), "something was deleted: {source}");
    Ok(())
}
