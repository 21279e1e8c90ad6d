use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{Uid, chown};
use tempfile::TempDir;
use tokio::net::TcpStream;
use url::Url;

use super::child::ServerProcess;
use super::postgres::unprivileged_user;
use super::{find_program, free_port};

const LIMIT: Duration = Duration::from_secs(30);

/// A PgBouncer that pools transactions, in front of a Postgres that asks for no password. It dies when this is dropped.
pub struct PgBouncer {
    port: u16,
    _process: ServerProcess,
    _folder: TempDir,
}

impl PgBouncer {
    /// Connections to Postgres for each database.
    pub const POOL: usize = 4;

    /// Whether the program is on this machine.
    #[must_use]
    pub fn is_here() -> bool {
        find_program("pgbouncer").is_some()
    }

    /// Whether it follows prepared statements from one connection to the next (since 1.21).
    #[must_use]
    pub fn keeps_statements() -> bool {
        let said = find_program("pgbouncer").and_then(|path| Command::new(path).arg("--version").output().ok());
        let said = said.map_or_else(String::new, |output| {
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        let version = said.strip_prefix("PgBouncer ").unwrap_or_default();
        let numbers: Vec<u32> = version.split('.').take(2).map_while(|part| part.parse().ok()).collect();
        numbers >= vec![1, 21]
    }

    /// Starts one in front of the server of this URL. It gives each transaction to another connection than the one
    /// before, if it can, so that nothing works by chance. PgBouncer refuses to run as root: then it runs as another
    /// user.
    ///
    /// # Errors
    /// What it said.
    pub async fn start(postgres: &Url) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tideline-pgbouncer-").tempdir()?;
        let (path, users, port) = (folder.path().join("ini"), folder.path().join("users"), free_port()?);
        let (host, behind) = (
            postgres.host_str().context("a host")?,
            postgres.port().context("a port")?,
        );
        fs::write(&users, format!("{:?} \"\"\n", postgres.username()))?;
        let text = format!(
            "[databases]\n* = host={host} port={behind}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {}\n\
             server_round_robin = 1\nmax_client_conn = 500\n",
            users.display(),
            Self::POOL
        );
        let keeps = if Self::keeps_statements() {
            "max_prepared_statements = 100\n"
        } else {
            ""
        };
        fs::write(&path, text + keeps)?;
        let mut command = Command::new(find_program("pgbouncer").context("there is no pgbouncer")?);
        command.arg(&path).current_dir(folder.path());
        if Uid::effective().is_root() {
            let user = unprivileged_user()?;
            for path in [folder.path(), &path, &users] {
                chown(path, Some(user.uid), Some(user.gid)).context("giving its files to PgBouncer")?;
            }
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut process = ServerProcess::spawn(command, &folder.path().join("log"))?;
        let answered = crate::wait_until("an answer of PgBouncer", LIMIT, async || {
            if process.ended()?.is_some() {
                return Ok(false);
            }
            TcpStream::connect(("127.0.0.1", port)).await?;
            anyhow::Ok(true)
        });
        if !answered.await.unwrap_or(false) {
            return Err(process.complaint("PgBouncer does not start"));
        }
        Ok(Self {
            port,
            _process: process,
            _folder: folder,
        })
    }

    /// The same database through this.
    ///
    /// # Errors
    /// The URL has no place for a port.
    pub fn url(&self, direct: &str) -> Result<Url> {
        let mut url: Url = direct.parse()?;
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(self.port)).ok().context("a port in the URL")?;
        Ok(url)
    }
}
