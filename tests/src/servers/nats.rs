use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::child::{ServerProcess, wait_briefly};
use super::{find_program, free_port};

const LIMIT: Duration = Duration::from_secs(30);

/// A nats-server of our own, with JetStream on files and monitoring. It dies, and its data goes, when this is dropped.
pub struct Nats {
    folder: TempDir,
    port: u16,
    monitor_port: u16,
    config: Option<String>,
    process: Mutex<Option<ServerProcess>>,
}

impl Nats {
    /// Whether the program is on this machine.
    #[must_use]
    pub fn is_here() -> bool {
        find_program("nats-server").is_some()
    }

    /// Starts one without accounts.
    ///
    /// # Errors
    /// What the server said.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// Starts one with this configuration text besides (accounts, users, limits).
    ///
    /// # Errors
    /// What the server said.
    pub async fn start_with(config: Option<&str>) -> Result<Self> {
        let server = Self {
            folder: tempfile::Builder::new().prefix("tideline-nats-").tempdir()?,
            port: free_port()?,
            monitor_port: free_port()?,
            config: config.map(str::to_owned),
            process: Mutex::new(None),
        };
        server.launch().await?;
        Ok(server)
    }

    /// Starts one with the file and the environment that a compose service gives it; addresses and the store are our
    /// own.
    ///
    /// # Errors
    /// The service has no file, or what the server said.
    pub async fn from_compose(service: &crate::compose::Service) -> Result<Self> {
        let (file, _) = service.mounts.first().context("no file is mounted")?;
        let mut text = std::fs::read_to_string(crate::compose::workspace()?.join(file))?;
        for (name, value) in &service.environment {
            text = text.replace(&format!("${name}"), &format!("{value:?}"));
        }
        // What the command line says must not be said twice.
        let ours = ["listen:", "http:", "store_dir:"];
        let text: Vec<&str> = text
            .lines()
            .filter(|line| !ours.iter().any(|it| line.trim_start().starts_with(it)))
            .collect();
        Self::start_with(Some(&text.join("\n"))).await
    }

    /// The program, not started.
    ///
    /// # Errors
    /// It is not on this machine.
    pub fn command() -> Result<Command> {
        Ok(Command::new(
            find_program("nats-server").context("there is no nats-server")?,
        ))
    }

    /// `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT` of the server's own monitoring.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// Starts it again after a stop.
    ///
    /// # Errors
    /// What the server said.
    pub async fn launch(&self) -> Result<()> {
        let mut command = Self::command()?;
        let [port, monitor_port] = [self.port, self.monitor_port].map(|port| port.to_string());
        command.args(["-a", "127.0.0.1", "-p", &port, "-m", &monitor_port, "-js", "-sd"]);
        command.arg(self.folder.path().join("store"));
        if let Some(text) = &self.config {
            let path = self.folder.path().join("nats.conf");
            std::fs::write(&path, text)?;
            command.arg("-c").arg(path);
        }
        let mut process = ServerProcess::spawn(command, &self.folder.path().join("log"))?;
        let (client, health) = (crate::http_client()?, format!("{}/healthz", self.monitor_url()));
        let answered = crate::wait_until("an answer of nats-server", LIMIT, async || {
            if process.ended()?.is_some() {
                return Ok(false);
            }
            client.get(&health).send().await?.error_for_status()?;
            anyhow::Ok(true)
        });
        if !answered.await.unwrap_or(false) {
            return Err(process.complaint("nats-server does not start"));
        }
        *self.process.lock() = Some(process);
        Ok(())
    }

    /// Takes it down in good order (SIGTERM) or not (SIGKILL).
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&self, kill: bool) -> Result<()> {
        let taken = self.process.lock().take();
        let Some(mut process) = taken else { return Ok(()) };
        process.signal(if kill { Signal::SIGKILL } else { Signal::SIGTERM })?;
        match process.wait(LIMIT).await {
            Ok(_) => Ok(()),
            Err(_) => Err(process.complaint("nats-server does not end")),
        }
    }

    /// Takes it down and brings it back with what it had stored.
    ///
    /// # Errors
    /// It does not end or does not come back.
    pub async fn restart(&self, kill: bool) -> Result<()> {
        self.stop(kill).await?;
        self.launch().await
    }

    /// Kills it, deletes all that JetStream had stored, and brings it back.
    ///
    /// # Errors
    /// It does not end or does not come back.
    pub async fn wipe(&self) -> Result<()> {
        self.stop(true).await?;
        let store = self.folder.path().join("store");
        if store.exists() {
            std::fs::remove_dir_all(&store).context("deleting JetStream's store")?;
        }
        self.launch().await
    }

    /// Deletes the files of all streams while it runs: it does not notice, and cannot read them any more.
    ///
    /// # Errors
    /// They cannot be deleted.
    pub fn lose_files(&self) -> Result<()> {
        std::fs::remove_dir_all(self.streams_folder()).context("deleting the files of JetStream")
    }

    /// Whether a stream's messages have a folder. A stream without one is broken.
    #[must_use]
    pub fn has_files(&self, stream: &str) -> bool {
        self.streams_folder().join(stream).join("msgs").is_dir()
    }

    fn streams_folder(&self) -> PathBuf {
        self.folder.path().join("store/jetstream/$G/streams")
    }

    /// Freezes it (SIGSTOP).
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn freeze(&self) -> Result<()> {
        self.process
            .lock()
            .as_mut()
            .map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn thaw(&self) -> Result<()> {
        self.process
            .lock()
            .as_mut()
            .map_or(Ok(()), |process| process.signal(Signal::SIGCONT))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.lock().take() {
            let _ = process.signal(Signal::SIGKILL);
            wait_briefly(&mut process, Duration::from_secs(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream;

    use super::*;

    async fn streams(server: &Nats) -> Vec<String> {
        use futures::TryStreamExt;
        let client = async_nats::connect(server.url()).await.unwrap();
        jetstream::new(client).stream_names().try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn a_stream_survives_a_restart_and_a_kill_but_no_wipe() {
        let Some(server) = super::super::own_nats("a_stream_survives_a_restart").await.unwrap() else {
            return;
        };
        let client = async_nats::connect(server.url()).await.unwrap();
        let config = jetstream::stream::Config {
            name: "KEPT".into(),
            subjects: vec!["kept.>".into()],
            ..Default::default()
        };
        jetstream::new(client).create_stream(config).await.unwrap();
        server.restart(false).await.unwrap();
        assert_eq!(streams(&server).await, ["KEPT"]);
        server.restart(true).await.unwrap();
        assert_eq!(streams(&server).await, ["KEPT"]);
        server.wipe().await.unwrap();
        assert!(streams(&server).await.is_empty());
    }
}
