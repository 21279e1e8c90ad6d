//! Several `tideline` processes with one configuration: producers, workers and schedulers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::Tideline;

/// One process of the fleet.
struct Member {
    name: String,
    role: &'static str,
    listen: String,
    process: Tideline,
    frozen: bool,
}

/// Running processes. They are killed when this is dropped.
pub struct Fleet {
    folder: TempDir,
    members: Vec<Member>,
}

impl Fleet {
    /// Starts this many processes of each role. In `yaml`, `${TIDELINE_LISTEN}` is an address of each process' own.
    ///
    /// # Errors
    /// The program cannot be built or started.
    pub fn start(yaml: &str, roles: &[(&'static str, usize)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tideline-fleet-").tempdir()?;
        std::fs::write(folder.path().join("tideline.yaml"), yaml)?;
        let mut fleet = Self {
            folder,
            members: Vec::new(),
        };
        for (role, count) in roles {
            for number in 1..=*count {
                let listen = format!("127.0.0.1:{}", crate::servers::free_port()?);
                let name = format!("{role}-{number}");
                let process = launch(fleet.folder.path(), &name, role, &listen)?;
                fleet.members.push(Member {
                    name,
                    role,
                    listen,
                    process,
                    frozen: false,
                });
            }
        }
        Ok(fleet)
    }

    /// How many processes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Numbers of the processes of a role.
    pub fn of_role(&self, role: &str) -> Vec<usize> {
        let members = self.members.iter().enumerate();
        members
            .filter(|(_, member)| member.role == role)
            .map(|(at, _)| at)
            .collect()
    }

    /// `worker-2`.
    #[must_use]
    pub fn name(&self, at: usize) -> &str {
        &self.members[at].name
    }

    /// Where a process listens, `host:port`.
    #[must_use]
    pub fn listen(&self, at: usize) -> &str {
        &self.members[at].listen
    }

    /// The folder with the configuration and the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process itself.
    pub fn process(&mut self, at: usize) -> &mut Tideline {
        &mut self.members[at].process
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It does not end.
    pub async fn kill(&mut self, at: usize) -> Result<()> {
        self.members[at].frozen = false;
        self.members[at].process.kill().await
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// The signal could not be sent.
    pub fn freeze(&mut self, at: usize) -> Result<()> {
        self.members[at].frozen = true;
        self.members[at].process.freeze()
    }

    /// SIGCONT to all that are frozen.
    ///
    /// # Errors
    /// A signal could not be sent.
    pub fn thaw(&mut self) -> Result<()> {
        for member in self.members.iter_mut().filter(|member| member.frozen) {
            member.frozen = false;
            member.process.thaw()?;
        }
        Ok(())
    }

    /// Starts every process again that has ended, as a container platform does. Answers how many.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn revive(&mut self) -> Result<usize> {
        let mut revived = 0;
        for member in &mut self.members {
            if member.process.check_runs().is_err() {
                member.process = launch(self.folder.path(), &member.name, member.role, &member.listen)?;
                revived += 1;
            }
        }
        Ok(revived)
    }

    /// Asks all to drain (SIGTERM) and waits until they have ended.
    ///
    /// # Errors
    /// One does not end in time, or not well.
    pub async fn drain(&mut self, limit: Duration) -> Result<()> {
        self.thaw()?;
        for member in &mut self.members {
            member.process.terminate()?;
        }
        for member in &mut self.members {
            let status = member.process.wait(limit).await.with_context(|| member.name.clone())?;
            anyhow::ensure!(status.success(), "{} ended with {status}", member.name);
        }
        Ok(())
    }

    /// The end of every log, for the report of a failed test.
    #[must_use]
    pub fn last_words(&self) -> String {
        let tail = |member: &Member| {
            let log = member.process.log().unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(8).collect();
            format!(
                "--- {}\n{}\n",
                member.name,
                lines.into_iter().rev().collect::<Vec<_>>().join("\n")
            )
        };
        self.members.iter().map(tail).collect()
    }
}

fn launch(folder: &Path, name: &str, role: &str, listen: &str) -> Result<Tideline> {
    let variables = [("TIDELINE_LISTEN", listen), ("HOSTNAME", name)];
    Tideline::start(folder, name, &[role, "--config", "tideline.yaml"], &variables)
}
