//! A real browser: Chromium without a window, driven over the DevTools protocol through a pipe
//! (<https://chromedevtools.github.io/devtools-protocol/>). Where none is installed, tests say so and leave out what needs one.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::servers::find_program;

/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects the browser's pipes (3 takes commands, 4 gives answers) with what the harness holds.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#;

/// A browser with one page. It is killed when this is dropped.
pub struct Browser {
    _process: Child,
    _profile: tempfile::TempDir,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    asked: u64,
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
        let mut command = Command::new("sh");
        command.args(["-c", PIPES]).arg(program);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.args([
            "--headless",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-gpu",
            "--hide-scrollbars",
        ]);
        if nix::unistd::geteuid().is_root() {
            // Its sandbox refuses to run as root.
            command.arg("--no-sandbox");
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut browser = Self {
            commands: process.stdin.take().context("its stdin")?,
            answers: BufReader::new(process.stdout.take().context("its stdout")?),
            _process: process,
            _profile: profile,
            session: None,
            asked: 0,
        };
        let target = browser
            .ask("Target.createTarget", json!({"url": "about:blank"}))
            .await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        ensure!(browser.session.is_some(), "no session: {attached}");
        Ok(Some(browser))
    }

    /// Sends a command and waits for its answer; what comes in between is told to nobody.
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.asked += 1;
        let mut command = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        let asked = self.asked;
        let answering = async {
            self.commands.write_all(&text).await?;
            loop {
                let mut message = Vec::new();
                self.answers.read_until(0, &mut message).await?;
                ensure!(message.pop() == Some(0), "the browser is gone");
                let message: Value = serde_json::from_slice(&message)?;
                if message["id"] == json!(asked) {
                    return Ok(message);
                }
            }
        };
        let mut answer = tokio::time::timeout(PATIENCE, answering)
            .await
            .with_context(|| method.to_owned())??;
        if !answer["error"].is_null() {
            bail!("{method}: {}", answer["error"]);
        }
        Ok(answer["result"].take())
    }

    /// Opens an address and waits until it is there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(&mut self, address: &str) -> Result<()> {
        let opened = self.ask("Page.navigate", json!({"url": address})).await?;
        ensure!(opened["errorText"].is_null(), "{address}: {}", opened["errorText"]);
        self.wait("document.readyState === 'complete'").await
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// It throws.
    pub async fn value(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.ask("Runtime.evaluate", asked).await?;
        ensure!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {}",
            answer["exceptionDetails"]
        );
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression holds. While a page is left for another one it is asked again.
    ///
    /// # Errors
    /// It does not hold in time; with the text of the page.
    pub async fn wait(&mut self, expression: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.value(expression).await.ok() != Some(json!(true)) {
            if tokio::time::Instant::now() >= deadline {
                let page = self.value("location.href + '\\n' + document.body.innerText").await?;
                bail!("waited for {expression} at {}", page.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Clicks what a selector finds first.
    ///
    /// # Errors
    /// It finds nothing.
    pub async fn click(&mut self, selector: &str) -> Result<()> {
        let found = format!("document.querySelector({}) !== null", json!(selector));
        self.wait(&found).await?;
        self.value(&format!("document.querySelector({}).click()", json!(selector)))
            .await?;
        Ok(())
    }

    /// Fills in what a selector finds first.
    ///
    /// # Errors
    /// It finds nothing.
    pub async fn fill(&mut self, selector: &str, text: &str) -> Result<()> {
        let fill = format!("document.querySelector({}).value = {}", json!(selector), json!(text));
        self.value(&fill).await.map(drop)
    }

    /// Presses a key on the page.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn press(&mut self, key: &str) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "text": if kind == "keyDown" { key } else { "" }});
            self.ask("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Makes the window so large, in CSS pixels.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn resize(&mut self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", size).await.map(drop)
    }

    /// Prefers `dark` or `light` pages.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn prefer(&mut self, scheme: &str) -> Result<()> {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Runs no script of any page from now on; what the harness asks is still answered.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn without_scripts(&mut self) -> Result<()> {
        let off = json!({"value": true});
        self.ask("Emulation.setScriptExecutionDisabled", off).await.map(drop)
    }

    /// What the window shows, as PNG.
    ///
    /// # Errors
    /// Those of the protocol.
    pub async fn picture(&mut self) -> Result<Vec<u8>> {
        let asked = json!({"format": "png"});
        let answer = self.ask("Page.captureScreenshot", asked).await?;
        Ok(STANDARD.decode(answer["data"].as_str().unwrap_or_default())?)
    }
}
