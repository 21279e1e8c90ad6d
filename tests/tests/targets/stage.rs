//! A folder of API entities with their mocks, a Microcks, and all roles.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::fingerprint;
use tideline_core::words::{
    Actor, ActorKind, EntityRef, JobRecord, JobState, MICROCKS_KIND, NewJob, TargetEntity, TargetLook, TargetObject,
    TargetPlace, TargetRecord, Trigger,
};
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{
    Deed, JobFilter, OperatorAct, SourceCommand, Store, TargetCommand, TargetEntityFilter, TargetObjectFilter,
};
use tideline_tests::embedded::Embedded;
use tideline_tests::microcks::FakeMicrocks;
use tideline_tests::wait_until;
use tokio::runtime::{Builder, Runtime};

pub(crate) const LIMIT: Duration = Duration::from_secs(90);

pub(crate) const METADATA: &str = "apiVersion: mocks.microcks.io/v1alpha1\nkind: APIMetadata\nmetadata:\n  name: x\n  version: x\n  \
labels:\n    team: blue\noperations:\n  GET /pets:\n    delay: 50\n    dispatcher: URI_PARAMS\n    dispatcherRules: kind\n    \
parameterConstraints:\n      - name: Auth\n        in: header\n        required: true\n";

pub(crate) const EXAMPLES: &str = "apiVersion: mocks.microcks.io/v1alpha1\nkind: APIExamples\nmetadata:\n  name: x\n  version: x\n\
operations:\n  GET /pets:\n    cat:\n      response:\n        status: 200\n";

pub(crate) fn spec(paths: &[&str]) -> String {
    let paths: String = paths
        .iter()
        .map(|path| format!("  {path}:\n    get:\n      responses: {{}}\n"))
        .collect();
    format!("openapi: 3.0.3\ninfo:\n  title: Anything\n  version: 1.0.0\npaths:\n{paths}")
}

/// A `microcks.yaml` with these mocks, each with its artifacts.
pub(crate) fn sync_file(mocks: &[(&str, &[&str])]) -> String {
    let mocks: String = (mocks.iter())
        .map(|(id, artifacts)| {
            let artifacts: String = artifacts
                .iter()
                .map(|path| format!("        - path: {path}\n"))
                .collect();
            let artifacts = if artifacts.is_empty() {
                " []\n".to_owned()
            } else {
                format!("\n{artifacts}")
            };
            format!("    - mockId: {id}\n      artifacts:{artifacts}")
        })
        .collect();
    let mocks = if mocks.is_empty() {
        " []\n".to_owned()
    } else {
        format!("\n{mocks}")
    };
    format!("apiVersion: bcgov.dev/v1alpha1\nkind: MicrocksSync\nspec:\n  mocks:{mocks}")
}

/// The full name of a mock's service.
pub(crate) fn mock(api: &str, id: &str) -> String {
    let digest = fingerprint(format!("api:default/{api}").as_bytes()).to_string();
    format!("{api}:bk-{}-{id}", &digest[..16])
}

pub(crate) struct Stage {
    pub(crate) microcks: FakeMicrocks,
    pub(crate) store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    folder: tempfile::TempDir,
    yaml: String,
    /// In a runtime of their own, which can be torn away under them.
    roles: Option<(Embedded, Runtime)>,
}

/// How a stage differs from the usual one.
#[derive(Default)]
pub(crate) struct Options<'o> {
    /// Lines of the target.
    pub(crate) target: &'o str,
    /// Microcks wants tokens.
    pub(crate) tokens: bool,
    /// Of one request; empty: 2 s.
    pub(crate) timeout: &'o str,
    /// Further keys of the worker.
    pub(crate) worker: &'o str,
    /// A second source, `more`, reads the folder `more` beside that of `code`.
    pub(crate) two_sources: bool,
    /// Not SQLite.
    pub(crate) store: Option<Arc<dyn Store>>,
}

impl Stage {
    /// Everything at work, on an empty folder.
    pub(crate) async fn start(target: &str) -> Self {
        Self::with(Options {
            target,
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with(options: Options<'_>) -> Self {
        let microcks = FakeMicrocks::start(options.tokens).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("catalog/.mocks")).unwrap();
        let store: Arc<dyn Store> = match options.store {
            Some(store) => store,
            None => {
                let url = format!("sqlite://{}", folder.path().join("t.db").display());
                Arc::new(SqliteStore::open_owned(&url, "test").await.unwrap())
            }
        };
        let auth = if options.tokens {
            format!(
                "  auth: {{ oauth2: {{ issuer: '{}/realms/a', client_id: sync, client_secret: hush-hush }} }}\n",
                microcks.url()
            )
        } else {
            String::new()
        };
        let source = |name: &str, path: &str| {
            format!(
                "- name: {name}\n  type: files\n  path: {}\n  rest: 1h\n  burst: {{ interval: 0 }}\n  removals: {{ \
                 reject_above_percent: none, reject_empty: false }}\n",
                folder.path().join(path).display()
            )
        };
        let mut sources = source("code", "catalog");
        if options.two_sources {
            std::fs::create_dir_all(folder.path().join("more")).unwrap();
            sources.push_str(&source("more", "more"));
        }
        let yaml = format!(
            "worker: {{ lease: 1s {} }}\nsources:\n{sources}targets:\n- name: mocks\n  type: microcks\n  base_url: {}\n  follow: \
             {{ sources: [code], kinds: [API] }}\n  timeout: {}\n{auth}{}",
            options.worker,
            microcks.url(),
            if options.timeout.is_empty() {
                "2s"
            } else {
                options.timeout
            },
            options.target
        );
        let mut stage = Self {
            microcks,
            store,
            queue: Arc::new(InProcessQueue::default()),
            folder,
            yaml,
            roles: None,
        };
        stage.run().await;
        stage
    }

    /// Starts the roles.
    pub(crate) async fn run(&mut self) {
        let settings = tideline_config::parse(&self.yaml, Path::new("t.yaml"), &|_| None).unwrap();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (store, queue) = (Arc::clone(&self.store), Arc::clone(&self.queue));
        let roles = runtime.spawn(async move { Embedded::start(&settings, store, queue).await });
        self.roles = Some((roles.await.unwrap().unwrap(), runtime));
    }

    /// Ends the roles in the middle of whatever they do.
    pub(crate) fn kill(&mut self) {
        if let Some((_, runtime)) = self.roles.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends the roles, for another configuration.
    pub(crate) async fn restart_with(&mut self, target: &str) {
        self.end().await;
        self.yaml.push_str(target);
        self.run().await;
    }

    /// Ends the roles, for a configuration without these lines.
    pub(crate) async fn restart_without(&mut self, target: &str) {
        self.restart_changed(target, "").await;
    }

    /// Ends the roles, for a configuration with these lines in place of those.
    pub(crate) async fn restart_changed(&mut self, before: &str, after: &str) {
        assert!(self.yaml.contains(before), "{}", self.yaml);
        self.end().await;
        self.yaml = self.yaml.replace(before, after);
        self.run().await;
    }

    async fn end(&mut self) {
        if let Some((roles, runtime)) = self.roles.take() {
            runtime.spawn(roles.stop()).await.unwrap();
            runtime.shutdown_background();
        }
    }

    pub(crate) async fn stop(mut self) {
        self.end().await;
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join("catalog").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join("catalog").join(path)).unwrap();
    }

    /// An API entity with this annotation and definition.
    pub(crate) fn write_api(&self, name: &str, annotation: Option<&str>, definition: &str) {
        let annotation = annotation.map(|text| format!("  annotations:\n    bcgov/microcks-config-ref: '{text}'\n"));
        let definition: String = definition.lines().map(|line| format!("    {line}\n")).collect();
        let text = format!(
            "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: {name}\n{}spec:\n  type: openapi\n  definition: \
             |\n{definition}",
            annotation.unwrap_or_default()
        );
        self.write(&format!("{name}.yaml"), &text);
    }

    /// The API `pet` with mocks as described in `.mocks/microcks.yaml`.
    pub(crate) fn write_pet(&self, mocks: &[(&str, &[&str])], paths: &[&str]) {
        self.write(".mocks/meta.yaml", METADATA);
        self.write(".mocks/examples.yaml", EXAMPLES);
        self.write(".mocks/microcks.yaml", &sync_file(mocks));
        self.write_api("pet", Some("dir:.mocks"), &spec(paths));
    }

    /// Reads the folder again.
    pub(crate) async fn cycle(&self) {
        self.cycle_of("code").await;
    }

    /// Reads the folder of this source again.
    pub(crate) async fn cycle_of(&self, name: &str) {
        let source = async || self.store.find_source(name).await.unwrap().unwrap();
        let before = source().await.cycle.0;
        let refresh = SourceCommand::Refresh(Trigger::Manual);
        self.store
            .command_source(name, refresh, SystemClock.now())
            .await
            .unwrap();
        self.queue.wake().await;
        let ended = wait_until("a cycle to end", LIMIT, async || {
            let source = source().await;
            ensure!(source.cycle.0 > before && source.cycle_ended_at.is_some(), "{source:?}");
            Ok(())
        });
        ended.await.unwrap();
    }

    /// Waits until Microcks has exactly these services and no job is to be done.
    pub(crate) async fn has(&self, services: &[String]) {
        let mut wanted = services.to_vec();
        wanted.sort();
        let there = wait_until("the wanted mocks", LIMIT, async || {
            let found = self.microcks.services();
            ensure!(found == wanted, "{found:?}, not {wanted:?}; {:?}", self.job().await);
            self.nothing_to_do().await
        });
        there.await.unwrap();
    }

    /// Waits until no job of the target is to be done.
    pub(crate) async fn idle(&self) {
        wait_until("the jobs to end", LIMIT, async || self.nothing_to_do().await)
            .await
            .unwrap();
    }

    async fn nothing_to_do(&self) -> Result<()> {
        let target = self.target().await;
        let last = self.store.stats(SystemClock.now()).await?.last_sequence;
        ensure!(target.place.look.is_none(), "it looks: {target:?}");
        ensure!(target.place.position.sequence() >= last, "it follows: {target:?}");
        for job in self.jobs().await {
            let is_open = matches!(job.state, JobState::Waiting | JobState::Running) && job.rung == 0;
            ensure!(!is_open, "{job:?}");
        }
        Ok(())
    }

    /// Waits until this target has seen all changes.
    pub(crate) async fn follows(&self, target: &str) {
        let follows = wait_until("a target to follow", LIMIT, async || {
            let target = self.store.find_target(target).await?;
            let last = self.store.stats(SystemClock.now()).await?.last_sequence;
            ensure!(
                target
                    .as_ref()
                    .is_some_and(|target| target.place.position.sequence() >= last),
                "{target:?}"
            );
            Ok(())
        });
        follows.await.unwrap();
    }

    pub(crate) async fn target(&self) -> TargetRecord {
        self.store.find_target("mocks").await.unwrap().unwrap()
    }

    pub(crate) async fn jobs(&self) -> Vec<JobRecord> {
        let filter = JobFilter {
            kind: Some(MICROCKS_KIND.into()),
            limit: 1_000,
            ..JobFilter::default()
        };
        self.store.list_jobs(&filter).await.unwrap()
    }

    /// The only job, or the first one.
    pub(crate) async fn job(&self) -> Option<JobRecord> {
        self.jobs().await.into_iter().next()
    }

    /// Waits until the only job has an error that holds this, and says where the job stands.
    pub(crate) async fn fails_with(&self, text: &str) -> JobState {
        let failed = wait_until("the job to fail", LIMIT, async || {
            let job = self.job().await.ok_or_else(|| anyhow::anyhow!("no job"))?;
            let error = job.last_error.clone().unwrap_or_default();
            ensure!(job.state != JobState::Running && error.contains(text), "{job:?}");
            Ok::<_, anyhow::Error>(job.state)
        });
        failed.await.unwrap()
    }

    pub(crate) async fn command(&self, command: TargetCommand) {
        self.command_target("mocks", command).await;
    }

    pub(crate) async fn enqueue(&self, job: NewJob) {
        self.store.enqueue(&[job], SystemClock.now()).await.unwrap();
        self.queue.wake().await;
    }

    pub(crate) async fn command_target(&self, target: &str, command: TargetCommand) {
        let actor = Actor {
            kind: ActorKind::Token,
            name: "test".into(),
            address: None,
            request: None,
        };
        let deed = Deed::CommandTarget {
            target: target.into(),
            command,
        };
        self.store
            .perform(&OperatorAct::new(deed, actor), SystemClock.now())
            .await
            .unwrap();
        self.queue.wake().await;
    }

    /// Looks at everything again, and waits for the end of that.
    pub(crate) async fn resync(&self) {
        let tokens = async || self.jobs().await.into_iter().map(|job| job.token.0).sum::<i64>();
        let (before, known) = (tokens().await, self.entities().await.len() as i64);
        self.command(TargetCommand::Resync).await;
        let done = wait_until("the jobs to run again", LIMIT, async || {
            let after = tokens().await;
            ensure!(after >= before + known, "{after} of {before} + {known}");
            self.nothing_to_do().await
        });
        done.await.unwrap();
    }

    /// Looks at everything, as happens at intervals, and waits for the end of that.
    pub(crate) async fn look(&self) {
        let tokens = async || self.jobs().await.into_iter().map(|job| job.token.0).sum::<i64>();
        let before = tokens().await;
        self.look_begins().await;
        let done = wait_until("the jobs to run again", LIMIT, async || {
            ensure!(tokens().await > before, "no job ran");
            self.nothing_to_do().await
        });
        done.await.unwrap();
    }

    /// Everything is looked at from now on.
    pub(crate) async fn look_begins(&self) {
        let moved = wait_until("the look to begin", LIMIT, async || {
            let place = self.target().await.place;
            let next = TargetPlace {
                look: Some(TargetLook {
                    began_at: SystemClock.now(),
                    after: None,
                    trigger: Trigger::Drift,
                }),
                ..place.clone()
            };
            ensure!(
                self.store.move_target("mocks", &place, &next).await?,
                "it moved meanwhile"
            );
            Ok(())
        });
        moved.await.unwrap();
    }

    pub(crate) async fn entities(&self) -> Vec<TargetEntity> {
        let filter = TargetEntityFilter {
            target: "mocks".into(),
            limit: 1_000,
            ..TargetEntityFilter::default()
        };
        self.store.list_target_entities(&filter).await.unwrap()
    }

    pub(crate) async fn error_of(&self, api: &str) -> Option<String> {
        let reference: EntityRef = format!("api:default/{api}").parse().unwrap();
        let entities = self.entities().await;
        entities.into_iter().find(|entity| entity.reference == reference)?.error
    }

    pub(crate) async fn owned(&self) -> Vec<TargetObject> {
        let filter = TargetObjectFilter {
            target: "mocks".into(),
            limit: 1_000,
            ..TargetObjectFilter::default()
        };
        self.store.list_target_objects(&filter).await.unwrap()
    }
}

impl Drop for Stage {
    /// A runtime may not be dropped where tasks run.
    fn drop(&mut self) {
        self.kill();
    }
}
