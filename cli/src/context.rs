//! What a command stands on: the configuration, the store, the clock.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tideline_config::settings::{Settings, SourceSettings};
use tideline_config::{Examined, check_store_url, load, load_examined, parse};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::full_text;
use tideline_core::words::Secret;
use tideline_core::words::Timestamp;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::backends::{Mode, Opened, open_queue, open_store, redact_url, wake_roles};
use tideline_runtime::telemetry::{init, init_with};
use tideline_scheduler::{RestSources, Task as _};
use tideline_store::Store;

use crate::args::Global;
use crate::client::credentials::Credentials;
use crate::client::{Client, Server};
use crate::exit::{Code, Failure};
use crate::roles::RoleContext;

/// The configuration file, if nothing else is said.
const DEFAULT_CONFIG: &str = "tideline.yaml";
/// The store, if neither configuration nor arguments say.
const DEFAULT_STORE: &str = "sqlite://tideline.db";

/// A store that takes longer to open is mentioned.
const SLOW_STORE: Duration = Duration::from_secs(2);

/// What a process that runs roles logs unless `RUST_LOG` says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logs {
    /// What happens.
    All,
    /// Only what needs a person: progress is shown instead.
    OnlyErrors,
}

/// What every command understands, and the clock.
pub(crate) struct Context {
    global: Global,
    clock: OnceLock<Arc<dyn Clock>>,
}

impl Context {
    /// The clock is the store's as soon as one is open.
    pub(crate) fn new(global: Global) -> Self {
        Self {
            global,
            clock: OnceLock::new(),
        }
    }

    /// Now, as the users of the store see it.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.get().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    /// The configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.global
            .config
            .clone()
            .unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG))
    }

    /// The checked configuration, with `--store` in it.
    ///
    /// # Errors
    /// There is no such file, or everything that is wrong with it, jq expressions included.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let path = self.config_path();
        if self.global.config.is_none() && !path.exists() {
            return Err(Failure::new(
                Code::Config,
                format!("there is no {DEFAULT_CONFIG} here; pass one with --config, or try `tideline demo` first"),
            )
            .into());
        }
        let mut settings = load_examined(&path, &environment, &examine)?;
        if let Some(store) = self.store_argument()? {
            settings.store = store;
        }
        Ok(settings)
    }

    /// The configuration that `--config` names, if it does.
    ///
    /// # Errors
    /// It is wrong.
    pub(crate) fn given_settings(&self) -> anyhow::Result<Option<Settings>> {
        let path = self.global.config.as_ref();
        Ok(path.map(|path| load(path, &environment)).transpose()?)
    }

    /// The store for a command beside a running process: that of `--store`, of the configuration, or the default one.
    ///
    /// # Errors
    /// The configuration is wrong, or the store cannot be opened.
    pub(crate) async fn operator_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        let settings = self.operator_settings()?;
        Ok(self.open(&settings, &Mode::Operator).await?.store)
    }

    /// The same with its clock and the settings that it was found by.
    ///
    /// # Errors
    /// As [`Context::operator_store`].
    pub(crate) async fn open_operator(&self) -> anyhow::Result<(Settings, Opened)> {
        let settings = self.operator_settings()?;
        let opened = self.open(&settings, &Mode::Operator).await?;
        Ok((settings, opened))
    }

    /// The gateway to ask; none: the store is used.
    ///
    /// # Errors
    /// A store is named too, the URL is wrong, or its token cannot be read.
    pub(crate) fn server(&self) -> anyhow::Result<Option<Server>> {
        let Some(server) = self.named_server()? else {
            return Ok(None);
        };
        if self.global.store.is_some() {
            let text =
                "specify either a server (--server, TIDELINE_SERVER) or a store (--store, TIDELINE_STORE), not both";
            return Err(Failure::new(Code::Config, text).into());
        }
        let given = environment("TIDELINE_TOKEN").filter(|token| !token.is_empty());
        let token = match given {
            Some(token) => Some(Secret::new(token)),
            None => Credentials::load()?.token(&server.to_string()),
        };
        Ok(Some(server.with_token(token)))
    }

    /// The gateway that `--server` names, without a token.
    ///
    /// # Errors
    /// The URL is wrong.
    pub(crate) fn named_server(&self) -> anyhow::Result<Option<Server>> {
        let server = self.global.server.as_deref().filter(|server| !server.is_empty());
        let server = server.map(Server::parse).transpose();
        Ok(server.map_err(|why| Failure::new(Code::Config, format!("--server (or TIDELINE_SERVER): {why}")))?)
    }

    /// Why what is done is done (`--reason`).
    pub(crate) fn reason(&self) -> Option<&str> {
        self.global.reason.as_deref()
    }

    /// The way to the API.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub(crate) async fn client(&self) -> anyhow::Result<Client<'_>> {
        Client::open(self).await
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// As [`Context::operator_store`].
    pub(crate) async fn migrate(&self) -> anyhow::Result<Settings> {
        let settings = self.operator_settings()?;
        self.open(&settings, &Mode::Migrate).await?;
        Ok(settings)
    }

    /// What roles stand on. `command` tells others who has the store.
    ///
    /// # Errors
    /// The configuration is wrong, or store or queue cannot be used.
    pub(crate) async fn role_context(
        &self,
        settings: Settings,
        command: &str,
        logs: Logs,
    ) -> anyhow::Result<RoleContext> {
        let telemetry = match logs {
            Logs::All => init(&settings.telemetry, command)?,
            Logs::OnlyErrors => init_with(&settings.telemetry, command, "error")?,
        };
        let mode = Mode::Role {
            command: format!("tideline {command}"),
        };
        let opened = match logs {
            Logs::All => self.open(&settings, &mode).await?,
            Logs::OnlyErrors => told_if_slow(&settings, self.open(&settings, &mode)).await?,
        };
        Ok(RoleContext {
            queue: open_queue(&settings).await?,
            settings: Arc::new(settings),
            store: Arc::clone(&opened.store),
            clock: Arc::clone(&opened.clock),
            opened: Arc::new(opened),
            telemetry: Some(Arc::new(telemetry)),
        })
    }

    /// The store that a benchmark works beside.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub(crate) fn bench_store(&self) -> anyhow::Result<String> {
        Ok(self.operator_settings()?.store.reveal().to_owned())
    }

    /// The demo's store as a URL.
    ///
    /// # Errors
    /// `--store` names none.
    pub(crate) fn demo_store(&self) -> anyhow::Result<String> {
        let store = self.store_argument()?;
        Ok(store.map_or_else(|| DEFAULT_STORE.to_owned(), |store| store.reveal().to_owned()))
    }

    /// ` --store X` for a hint, if this command was told where its store is; else nothing. Never with a password.
    pub(crate) fn store_option(&self) -> String {
        match &self.global.store {
            Some(store) => format!(" --store {}", redact_url(store)),
            None => String::new(),
        }
    }

    async fn open(&self, settings: &Settings, mode: &Mode) -> anyhow::Result<Opened> {
        let opened = open_store(settings, mode).await?;
        let _ = self.clock.set(Arc::clone(&opened.clock));
        Ok(opened)
    }

    /// Makes what a command changed in the store happen now: the rests that follow from it are set, as a scheduler does
    /// at its next look, and the roles are woken. Without a configuration, or without NATS, the roles notice later.
    pub(crate) async fn follow_up(&self, store: Arc<dyn Store>) -> anyhow::Result<()> {
        let Ok(settings) = load(&self.config_path(), &environment) else {
            return Ok(());
        };
        let sources = settings
            .sources
            .iter()
            .map(|source| (source.name.clone(), source.clone()));
        let rests = RestSources {
            store,
            queue: Arc::new(InProcessQueue::default()),
            clock: self.clock.get().cloned().unwrap_or_else(|| Arc::new(SystemClock)),
            sources: Arc::new(sources.collect()),
        };
        rests.run_once().await?;
        if let Err(error) = wake_roles(&settings).await {
            let _ = writeln!(
                io::stderr(),
                "the roles could not be woken ({}); they will notice within scheduler.poll",
                full_text(&error)
            );
        }
        Ok(())
    }

    /// An operator needs no more than a store.
    fn operator_settings(&self) -> anyhow::Result<Settings> {
        let path = self.config_path();
        let no_file = self.global.config.is_none() && !path.exists();
        let mut settings = if no_file || self.global.store.is_some() {
            parse("", &path, &environment)?
        } else {
            load(&path, &environment)?
        };
        if let Some(store) = self.store_argument()? {
            settings.store = store;
        }
        Ok(settings)
    }

    fn store_argument(&self) -> anyhow::Result<Option<Secret>> {
        let url = self.global.store.as_deref().map(store_url).transpose();
        let url = url.map_err(|why| Failure::new(Code::Config, format!("--store (or TIDELINE_STORE): {why}")))?;
        Ok(url.map(Secret::new))
    }
}

/// A role waits for a store that does not answer. Where that is not logged, a person is told so once.
async fn told_if_slow<T>(settings: &Settings, opening: impl Future<Output = T>) -> T {
    let mut opening = pin!(opening);
    if let Ok(opened) = tokio::time::timeout(SLOW_STORE, &mut opening).await {
        return opened;
    }
    let _ = writeln!(
        io::stderr(),
        "waiting for the store {}",
        redact_url(settings.store.reveal())
    );
    opening.await
}

/// A variable of the environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What only workers can tell: whether the expressions of a source can be compiled. That resources fit together the
/// reader knows itself, and what follows from a wrong parent need not be told again.
fn examine(read: Examined<'_>) -> Vec<(String, String)> {
    match read {
        Examined::Source(source) => examine_source(source),
        Examined::Target(target) => tideline_worker::targets::check(target),
        Examined::Hook(hook) => tideline_producer::hooks::check_topic(hook),
    }
}

fn examine_source(source: &SourceSettings) -> Vec<(String, String)> {
    let opened = tideline_worker::sources::open(source);
    let mut problems = opened.err().map(|error| error.problems).unwrap_or_default();
    problems.extend(tideline_scheduler::check_rules(source));
    problems.retain(|(key, _)| {
        let key = key.split_once("].").map_or("", |(_, key)| key);
        key != "values" && !matches!(key.split('.').next(), Some("parent" | "path" | "query"))
    });
    problems
}

/// A plain path is a SQLite file. What begins like a URL must be one of a store, or a slip would become the name of a
/// file.
fn store_url(text: &str) -> Result<String, String> {
    let is_scheme = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match text.split_once(':') {
        Some((word, _)) if is_scheme(word) => {
            check_store_url(text).map_err(|why| format!("{why}, or be the plain path of a SQLite file"))?;
            Ok(text.to_owned())
        }
        _ if text.is_empty() => Err("must not be empty".to_owned()),
        _ => Ok(format!("sqlite://{text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_a_sqlite_file() {
        for (text, url) in [
            ("demo.db", "sqlite://demo.db"),
            ("/var/lib/t.db", "sqlite:///var/lib/t.db"),
            ("./a:b.db", "sqlite://./a:b.db"),
            ("sqlite://demo.db", "sqlite://demo.db"),
            ("postgres://db/tideline", "postgres://db/tideline"),
        ] {
            assert_eq!(store_url(text).unwrap(), url);
        }
    }

    #[test]
    fn what_begins_like_a_url_and_is_none_of_a_store_is_no_file() {
        for text in [
            "postgres:/adm:hunter2@db/x",
            "postgres:hunter2",
            "postgress://adm:hunter2@db/x",
            "postgres://adm:hunter2@db:port/x",
            "sqlite::memory:",
            "sqlite:hunter2.db",
            "sqlite://",
            "sqlite://:memory:",
            "",
        ] {
            let why = store_url(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
