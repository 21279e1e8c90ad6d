//! A real browser: Chromium without a window. Where none is installed, tests say so and leave out what needs one.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetScriptExecutionDisabledParams,
};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType};
use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use chromiumoxide::page::ScreenshotParams;
use chromiumoxide::{BrowserConfig, Page};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::crowded;
use crate::servers::find_program;

/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a page may take until what belongs to it is there.
const LOADS: Duration = Duration::from_secs(10);

/// A browser with one page. It is killed when this is dropped.
pub struct Browser {
    page: Page,
    process: chromiumoxide::Browser,
    profile: tempfile::TempDir,
    events: AbortHandle,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.events.abort();
        if let Some(child) = self.process.get_mut_child() {
            // It may have ended by itself.
            let _ = child.as_mut_inner().start_kill();
        }
        // Its helpers write to the profile for a moment longer.
        for _ in 0..40 {
            let is_over = !matches!(self.process.try_wait(), Ok(None));
            let _ = std::fs::remove_dir_all(self.profile.path());
            std::thread::sleep(Duration::from_millis(50));
            if is_over && !self.profile.path().exists() {
                break;
            }
        }
    }
}

impl Browser {
    /// Starts one; none: it is not installed, which is said.
    ///
    /// # Errors
    /// It is installed and does not start.
    pub async fn start() -> Result<Option<Self>> {
        let given = std::env::var_os("TIDELINE_TEST_CHROMIUM").map(Into::into);
        let found = given.or_else(|| {
            ["chromium", "chromium-browser", "google-chrome"]
                .into_iter()
                .find_map(find_program)
        });
        let Some(program) = found else {
            eprintln!("left out: no chromium is installed, and TIDELINE_TEST_CHROMIUM names none");
            return Ok(None);
        };
        let profile = tempfile::tempdir()?;
        let mut config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(profile.path())
            .launch_timeout(PATIENCE)
            .request_timeout(PATIENCE)
            .disable_https_first()
            .viewport(None)
            .arg("disable-gpu");
        if nix::unistd::geteuid().is_root() {
            // Its sandbox refuses to run as root.
            config = config.no_sandbox();
        }
        let config = config.build().map_err(anyhow::Error::msg)?;
        let (process, mut events) = chromiumoxide::Browser::launch(config).await?;
        let events = tokio::spawn(async move { while events.next().await.is_some() {} }).abort_handle();
        let page = process.new_page("about:blank").await?;
        Ok(Some(Self {
            page,
            process,
            profile,
            events,
        }))
    }

    /// Opens an address and waits until it is there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(&self, address: &str) -> Result<()> {
        self.page.goto(address).await.with_context(|| address.to_owned())?;
        self.wait("document.readyState === 'complete'").await
    }

    /// The value of an expression. One that throws is asked for again for a moment: the page may just be left for
    /// another one.
    ///
    /// # Errors
    /// It throws all the same.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + crowded(LOADS);
        loop {
            match self.evaluate(expression).await {
                Ok(value) => return Ok(value),
                Err(error) if tokio::time::Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn evaluate(&self, expression: &str) -> Result<Value> {
        let mut asked = EvaluateParams::new(expression);
        asked.return_by_value = Some(true);
        asked.await_promise = Some(true);
        let found = self.page.execute(asked).await?.result;
        ensure!(
            found.exception_details.is_none(),
            "{expression}: {:?}",
            found.exception_details
        );
        Ok(found.result.value.unwrap_or_default())
    }

    /// Waits until an expression holds. While a page is left for another one it is asked again.
    ///
    /// # Errors
    /// It does not hold in time; with the text of the page.
    pub async fn wait(&self, expression: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.evaluate(expression).await.ok() != Some(json!(true)) {
            if tokio::time::Instant::now() >= deadline {
                let page = self.value("location.href + '\\n' + document.body.innerText").await?;
                bail!("waited for {expression} at {}", page.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Clicks what a selector finds first. Not at its place on the screen, which the page may change meanwhile.
    ///
    /// # Errors
    /// It finds nothing.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let found = format!("document.querySelector({}) !== null", json!(selector));
        self.wait(&found).await?;
        self.value(&format!("document.querySelector({}).click()", json!(selector)))
            .await
            .map(drop)
    }

    /// Fills in what a selector finds first.
    ///
    /// # Errors
    /// It finds nothing.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let fill = format!("document.querySelector({}).value = {}", json!(selector), json!(text));
        self.value(&fill).await.map(drop)
    }

    /// Presses a key on the page.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn press(&self, key: &str) -> Result<()> {
        let mut event = DispatchKeyEventParams::new(DispatchKeyEventType::KeyDown);
        event.key = Some(key.to_owned());
        event.text = Some(key.to_owned());
        self.page.execute(event.clone()).await?;
        event.r#type = DispatchKeyEventType::KeyUp;
        event.text = None;
        self.page.execute(event).await?;
        Ok(())
    }

    /// Makes the window so large, in CSS pixels.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, false);
        self.page.execute(size).await?;
        Ok(())
    }

    /// Prefers `dark` or `light` pages.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn prefer(&self, scheme: &str) -> Result<()> {
        let scheme = MediaFeature::new("prefers-color-scheme", scheme);
        self.page.emulate_media_features(vec![scheme]).await?;
        Ok(())
    }

    /// Runs no script of any page from now on; what the harness asks is still answered.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn without_scripts(&self) -> Result<()> {
        self.page.execute(SetScriptExecutionDisabledParams::new(true)).await?;
        Ok(())
    }

    /// What the window shows, as PNG.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        Ok(self.page.screenshot(ScreenshotParams::builder().build()).await?)
    }
}
