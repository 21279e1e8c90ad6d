use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User, chown};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tempfile::TempDir;
use url::Url;

use super::child::{ServerProcess, children_of, wait_briefly};
use super::{find_program, free_port};

const LIMIT: Duration = Duration::from_secs(60);

/// How a Postgres goes down before it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Ends its connections and writes a checkpoint (SIGINT).
    Fast,
    /// Ends without a checkpoint and recovers from its log (SIGQUIT).
    Immediate,
    /// SIGKILL of the whole server.
    Kill,
}

/// A Postgres of our own, with fsync on. It dies, and its data goes, when this is dropped.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    user: Option<User>,
    process: std::sync::Mutex<Option<ServerProcess>>,
}

impl Postgres {
    /// Whether the programs are on this machine.
    #[must_use]
    pub fn is_here() -> bool {
        find_program("postgres").is_some() && find_program("initdb").is_some()
    }

    /// Makes a cluster and starts a server on it. Postgres refuses to run as root: then it runs as another user.
    ///
    /// # Errors
    /// What the server said.
    pub async fn start() -> Result<Self> {
        Self::start_with(&["shared_buffers=128MB"]).await
    }

    /// Like [`Postgres::start`], with further settings as in `shared_buffers=1GB`.
    ///
    /// # Errors
    /// What the server said.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let user = if Uid::effective().is_root() {
            Some(unprivileged_user()?)
        } else {
            None
        };
        let folder = tempfile::Builder::new().prefix("tideline-postgres-").tempdir()?;
        if let Some(user) = &user {
            chown(folder.path(), Some(user.uid), Some(user.gid)).context("giving the data folder to Postgres")?;
        }
        let server = Self {
            folder,
            port: free_port()?,
            settings: settings.iter().map(ToString::to_string).collect(),
            user,
            process: std::sync::Mutex::new(None),
        };
        server.make_cluster()?;
        server.launch().await?;
        Ok(server)
    }

    /// `postgres://tideline@127.0.0.1:PORT/postgres`, of a superuser without a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://tideline@{}/postgres", self.address())
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Takes it down and brings it back.
    ///
    /// # Errors
    /// It does not end or does not come back.
    pub async fn restart(&self, how: Restart) -> Result<()> {
        self.stop(how).await?;
        self.launch().await
    }

    /// Takes it down.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&self, how: Restart) -> Result<()> {
        let Some(mut process) = self.take() else { return Ok(()) };
        let children = children_of(process.id());
        match how {
            Restart::Fast => process.signal(Signal::SIGINT)?,
            Restart::Immediate => process.signal(Signal::SIGQUIT)?,
            Restart::Kill => process.signal_tree(Signal::SIGKILL)?,
        }
        if process.wait(LIMIT).await.is_err() {
            return Err(process.complaint("Postgres does not end"));
        }
        // A new server refuses the data folder while a child of the old one has its shared memory.
        crate::wait_until("the end of Postgres' children", LIMIT, async || {
            let left = children
                .iter()
                .filter(|id| Path::new(&format!("/proc/{id}/cmdline")).exists())
                .count();
            if left == 0 {
                Ok(())
            } else {
                Err(format!("{left} still run"))
            }
        })
        .await
    }

    /// Starts it again after [`Postgres::stop`].
    ///
    /// # Errors
    /// What the server said.
    pub async fn launch(&self) -> Result<()> {
        let data = self.folder.path().join("data");
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(&data).arg("-k").arg(self.folder.path());
        for setting in [
            "listen_addresses=127.0.0.1",
            &format!("port={}", self.port),
            "fsync=on",
            "synchronous_commit=on",
            "max_connections=200",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let mut process = ServerProcess::spawn(command, &self.folder.path().join("log"))?;
        let url: Url = self.url().parse()?;
        let answered = crate::wait_until("an answer of Postgres", LIMIT, async || {
            if process.ended()?.is_some() {
                return Ok(false);
            }
            connect(&url).await?.close().await?;
            anyhow::Ok(true)
        });
        if !answered.await.unwrap_or(false) {
            return Err(process.complaint("Postgres does not start"));
        }
        *self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Freezes the server and all its children (SIGSTOP).
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn freeze(&self) -> Result<()> {
        self.signal_tree(Signal::SIGSTOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn thaw(&self) -> Result<()> {
        self.signal_tree(Signal::SIGCONT)
    }

    /// The lines of its log that have this in them, with the detail that follows each.
    #[must_use]
    pub fn complaints(&self, about: &str) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let found = lines.iter().enumerate().filter(|(_, line)| line.contains(about));
        let with_detail = found
            .take(3)
            .map(|(at, _)| lines[at..lines.len().min(at + 12)].join("\n"));
        with_detail.collect::<Vec<_>>().join("\n")
    }

    fn signal_tree(&self, signal: Signal) -> Result<()> {
        let mut process = self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        process.as_mut().map_or(Ok(()), |process| process.signal_tree(signal))
    }

    fn take(&self) -> Option<ServerProcess> {
        self.process
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
    }

    fn make_cluster(&self) -> Result<()> {
        let mut command = self.command("initdb")?;
        command.arg("-D").arg(self.folder.path().join("data"));
        command.args(["--username=tideline", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        let output = command.output().context("starting initdb")?;
        ensure!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn command(&self, program: &str) -> Result<Command> {
        let path = find_program(program).with_context(|| format!("there is no {program}"))?;
        let mut command = Command::new(path);
        command.current_dir(self.folder.path());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut process) = self.take() {
            // Frozen ones do not hear anything else.
            let _ = process.signal_tree(Signal::SIGCONT);
            let _ = process.signal(Signal::SIGQUIT);
            wait_briefly(&mut process, Duration::from_secs(5));
        }
    }
}

/// A database of one test. On a server of our own it goes with the server; on a given one it is dropped by
/// [`Self::remove`].
pub struct TestDatabase {
    url: Url,
    server: Option<Arc<Postgres>>,
}

impl TestDatabase {
    /// Makes one with a name of its own on the server of `url`.
    ///
    /// # Errors
    /// The server does not answer, or the user may not create databases.
    pub async fn create(url: &str, server: Option<Arc<Postgres>>) -> Result<Self> {
        let mut url: Url = url.parse().context("the URL of the test Postgres")?;
        let name = format!("tideline_test_{:016x}", rand::random::<u64>());
        let mut connection = connect(&url).await?;
        let statement = format!("CREATE DATABASE {name}");
        connection
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .context("CREATE DATABASE")?;
        connection.close().await?;
        url.set_path(&name);
        Ok(Self { url, server })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The server, if it is our own.
    #[must_use]
    pub fn server(&self) -> Option<&Postgres> {
        self.server.as_deref()
    }

    /// Drops it, with the connections there are. Not needed on a server of our own.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn remove(self) -> Result<()> {
        if self.server.is_none() {
            let statement = format!("DROP DATABASE {} WITH (FORCE)", self.url.path().trim_start_matches('/'));
            let mut url = self.url.clone();
            url.set_path("postgres");
            connect(&url).await?.execute(sqlx::AssertSqlSafe(statement)).await?;
        }
        Ok(())
    }
}

async fn connect(url: &Url) -> Result<PgConnection> {
    let options = sqlx::postgres::PgConnectOptions::from_url(url)?;
    let connecting = tokio::time::timeout(Duration::from_secs(5), options.connect());
    Ok(connecting
        .await
        .context("connecting to the test Postgres took too long")??)
}

pub(super) fn unprivileged_user() -> Result<User> {
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(user);
        }
    }
    bail!("Postgres refuses to run as root, and there is neither a user postgres nor nobody")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn committed_rows_survive_every_kind_of_restart() {
        let Some(server) = super::super::own_postgres("committed_rows_survive_every_kind_of_restart")
            .await
            .unwrap()
        else {
            return;
        };
        let url: Url = server.url().parse().unwrap();
        connect(&url)
            .await
            .unwrap()
            .execute("CREATE TABLE kept (n int)")
            .await
            .unwrap();
        for (turn, how) in [Restart::Fast, Restart::Immediate, Restart::Kill]
            .into_iter()
            .enumerate()
        {
            let mut connection = connect(&url).await.unwrap();
            connection.execute("INSERT INTO kept VALUES (1)").await.unwrap();
            server.restart(how).await.unwrap();
            assert!(connection.ping().await.is_err(), "{how:?} ended the connections");
            let mut connection = connect(&url).await.unwrap();
            let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(kept, i64::try_from(turn).unwrap() + 1, "{how:?}");
        }
        let fsync: String = sqlx::query_scalar("SHOW fsync")
            .fetch_one(&mut connect(&url).await.unwrap())
            .await
            .unwrap();
        assert_eq!(fsync, "on");
    }

    #[tokio::test]
    async fn a_frozen_server_is_silent_and_goes_on_when_thawed() {
        let Some(server) = super::super::own_postgres("a_frozen_server_is_silent").await.unwrap() else {
            return;
        };
        let url: Url = server.url().parse().unwrap();
        let mut connection = connect(&url).await.unwrap();
        server.freeze().unwrap();
        {
            let asked = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&mut connection);
            tokio::pin!(asked);
            assert!(
                tokio::time::timeout(Duration::from_millis(200), &mut asked)
                    .await
                    .is_err()
            );
            server.thaw().unwrap();
            assert_eq!(tokio::time::timeout(LIMIT, asked).await.unwrap().unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn each_database_is_empty_and_one_server_serves_them_all() {
        let test = "each_database_is_empty_and_one_server_serves_them_all";
        let (Some(one), Some(two)) = (
            super::super::database(test).await.unwrap(),
            super::super::database(test).await.unwrap(),
        ) else {
            return;
        };
        assert_ne!(one.url(), two.url());
        let mut connection = connect(&one.url().parse().unwrap()).await.unwrap();
        connection.execute("CREATE TABLE mine (n int)").await.unwrap();
        let mut other = connect(&two.url().parse().unwrap()).await.unwrap();
        assert!(other.execute("SELECT * FROM mine").await.is_err());
        drop((connection, other));
        one.remove().await.unwrap();
        two.remove().await.unwrap();
    }
}
