//! The `tideline` program as a process of its own: started, stopped, frozen and killed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::Signal;

use crate::servers::ServerProcess;

/// The program: what `TIDELINE_BIN` names, else built by cargo beside the tests.
///
/// # Errors
/// It cannot be built.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(|error| anyhow!(error))
}

fn build() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("TIDELINE_BIN") {
        return Ok(given.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")?;
    let mut command = Command::new(env!("CARGO"));
    // The same features as `cargo test --workspace --all-features`, and none of the variables that cargo gives to
    // tests: with either one different, half of the dependencies would be compiled again.
    command.args(["build", "--quiet", "--workspace", "--all-features", "--bins"]);
    let given =
        |name: &str| name == "CARGO_MANIFEST_DIR" || name == "CARGO_MANIFEST_PATH" || name.starts_with("CARGO_PKG_");
    for (name, _) in std::env::vars().filter(|(name, _)| given(name)) {
        command.env_remove(name);
    }
    let output = command.current_dir(root).output().context("starting cargo")?;
    ensure!(
        output.status.success(),
        "cargo build failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tests = std::env::current_exe()?;
    let beside = tests
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("tideline"));
    beside
        .filter(|path| path.is_file())
        .with_context(|| format!("no tideline beside {}", tests.display()))
}

/// A running `tideline`. It is killed when this is dropped.
pub struct Tideline {
    process: ServerProcess,
    log: PathBuf,
}

impl Tideline {
    /// Starts it in `folder` with these arguments and variables; what it says goes to the end of `folder/NAME.log`.
    ///
    /// # Errors
    /// It cannot be built or started.
    pub fn start(folder: &Path, name: &str, args: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(binary()?);
        command.current_dir(folder).args(args).envs(variables.iter().copied());
        let log = folder.join(format!("{name}.log"));
        let process = ServerProcess::spawn(command, &log)?;
        Ok(Self { process, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// It does not end.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// SIGTERM: asks it to drain.
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn freeze(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn thaw(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It runs longer than `limit`; with its last lines.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match self.process.wait(limit).await {
            Ok(status) => Ok(status),
            Err(error) => Err(self.process.complaint(&format!("{error:#}"))),
        }
    }

    /// Fails, with its last lines, if it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_runs(&mut self) -> Result<()> {
        match self.process.ended()? {
            None => Ok(()),
            Some(status) => Err(self.process.complaint(&format!("tideline ended with {status}"))),
        }
    }

    /// Its complete log so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> Result<String> {
        let text = std::fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Runs a command of `tideline` to its end; answers its standard output.
///
/// # Errors
/// It fails, or runs longer than a minute; with what it said.
pub async fn run(folder: &Path, args: &[&str]) -> Result<String> {
    let mut command = tokio::process::Command::new(binary()?);
    command.current_dir(folder).args(args).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.with_context(|| format!("tideline {args:?} took too long"))??;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("tideline {args:?} ended with {}: {said}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
