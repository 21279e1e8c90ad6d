//! docker-compose.yml without containers: every command in it runs as a plain process, with the same arguments and the
//! same environment, on a nats-server with deploy/nats.conf. Only addresses and the places of files are this machine's.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::extract::State;
use axum::http::Uri;
use serde_json::Value;
use sqlx::Executor;
use tempfile::TempDir;
use tideline_core::words::CycleState;
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_store::{OperatorStore, SourceStore};
use tideline_tests::compose::{Service, services, workspace};
use tideline_tests::process::{Tideline, binary};
use tideline_tests::servers::{Nats, Postgres, free_port, own_postgres};
use tideline_tests::{http_client, wait_until};

/// Variables of a process: name and value.
type Variables = Vec<(String, String)>;

const LIMIT: Duration = Duration::from_secs(120);

/// What an OpenTelemetry collector was sent.
#[derive(Default)]
struct Collected {
    traces: AtomicU64,
    metrics: AtomicU64,
}

/// The containers' network on this machine.
struct Stage {
    folder: TempDir,
    services: BTreeMap<String, Service>,
    /// What is written in the file → what it is here.
    places: Vec<(String, String)>,
    collected: Arc<Collected>,
    postgres: Postgres,
    nats: Nats,
    running: Vec<(String, Tideline)>,
}

async fn collector(collected: Arc<Collected>) -> Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let app = axum::Router::new()
        .fallback(async |State(collected): State<Arc<Collected>>, uri: Uri| {
            let count = if uri.path().ends_with("/traces") {
                &collected.traces
            } else {
                &collected.metrics
            };
            count.fetch_add(1, Ordering::Relaxed);
        })
        .with_state(collected);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

impl Stage {
    async fn build(test: &str) -> Result<Option<Self>> {
        let Some(postgres) = own_postgres(test).await? else {
            return Ok(None);
        };
        if !Nats::is_here() {
            println!("{test}: left out, there is no nats-server (install nats-server)");
            return Ok(None);
        }
        let services = services(&BTreeMap::new())?;
        let nats = Nats::from_compose(&services["nats"]).await?;
        let mut connection = sqlx::PgPool::connect(&postgres.url()).await?.acquire().await?;
        connection.execute("CREATE DATABASE tideline").await?;
        let collected = Arc::new(Collected::default());
        let mut places = vec![
            ("postgres:5432".to_owned(), postgres.address()),
            ("nats:4222".to_owned(), nats.address()),
            (
                "otel-collector:4318".to_owned(),
                collector(Arc::clone(&collected)).await?,
            ),
        ];
        let demo = format!("127.0.0.1:{}", free_port()?);
        for written in ["demo-api:7071", "0.0.0.0:7071", "127.0.0.1:7071"] {
            places.push((written.to_owned(), demo.clone()));
        }
        Ok(Some(Self {
            folder: tempfile::tempdir()?,
            services,
            places,
            collected,
            postgres,
            nats,
            running: Vec::new(),
        }))
    }

    /// A text of a service, as it is on this machine. `listen`: where the process listens that it belongs to.
    fn here(&self, service: &Service, text: &str, listen: &str) -> Result<String> {
        let mut text = text.replace("0.0.0.0:7070", listen).replace("127.0.0.1:7070", listen);
        for (written, place) in &self.places {
            text = text.replace(written, place);
        }
        for (host, container) in &service.mounts {
            let path = workspace()?.join(host);
            text = text.replace(container, path.to_str().context("a path that is no text")?);
        }
        Ok(text)
    }

    /// Arguments and environment of a service's process.
    fn process_of(&self, name: &str, words: &[String], listen: &str) -> Result<(Vec<String>, Variables)> {
        let service = self.services.get(name).with_context(|| format!("no service {name}"))?;
        let words = words.iter().map(|word| self.here(service, word, listen));
        let environment = service.environment.iter();
        let environment = environment.map(|(name, value)| Ok((name.clone(), self.here(service, value, listen)?)));
        Ok((words.collect::<Result<_>>()?, environment.collect::<Result<_>>()?))
    }

    /// Starts a service and waits until its health check says that it is well.
    async fn start(&mut self, name: &str, number: usize) -> Result<()> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let service = self.services[name].clone();
        let (arguments, environment) = self.process_of(name, &service.command, &listen)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let log = format!("{name}-{number}");
        let process = Tideline::start(self.folder.path(), &log, &arguments, &environment)?;
        self.running.push((log.clone(), process));
        ensure!(
            service.health[0] == "/usr/local/bin/tideline",
            "another program is asked for health: {name}"
        );
        let health = service.health[1..].to_vec();
        wait_until(&format!("{log} to be healthy"), LIMIT, async || {
            if let Some((_, process)) = self.running.last_mut() {
                process.check_runs()?;
            }
            self.run(name, &health, &listen).await.map(drop)
        })
        .await
    }

    /// Runs a command in a service's place to its end; answers what it said.
    async fn run(&self, name: &str, words: &[String], listen: &str) -> Result<String> {
        let (arguments, environment) = self.process_of(name, words, listen)?;
        let mut command = tokio::process::Command::new(binary()?);
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .envs(environment)
            .kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await??;
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        ensure!(
            output.status.success(),
            "{words:?} ended with {}: {}",
            output.status,
            said.concat()
        );
        Ok(said.concat())
    }

    /// The last lines of every process.
    fn last_words(&self) -> String {
        let tail = |(name, process): &(String, Tideline)| {
            let log = process.log().unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(10).collect();
            format!(
                "--- {name}\n{}\n",
                lines.into_iter().rev().collect::<Vec<_>>().join("\n")
            )
        };
        self.running.iter().map(tail).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_compose_file_runs_as_a_process_and_the_fleet_ingests_the_demo() {
    let test = "every_command_of_the_compose_file_runs_as_a_process_and_the_fleet_ingests_the_demo";
    let Some(mut stage) = Stage::build(test).await.unwrap() else {
        return;
    };
    if let Err(error) = run_fleet(&mut stage).await {
        panic!("{error:#}\n{}", stage.last_words());
    }
}

async fn run_fleet(stage: &mut Stage) -> Result<()> {
    let migrate = stage.services["migrate"].command.clone();
    stage.run("migrate", &migrate, "127.0.0.1:1").await?;
    stage.start("demo-api", 1).await?;
    for (name, count) in [
        ("producer", 1),
        ("worker", 4),
        ("scheduler", stage.services["scheduler"].replicas),
    ] {
        for number in 1..=usize::try_from(count)? {
            stage.start(name, number).await?;
        }
    }
    let url = stage.postgres.url().replace("/postgres", "/tideline");
    let store = PostgresStore::connect(&url, PostgresOptions::default()).await?;
    wait_until("a complete cycle of the demo", LIMIT, async || {
        let source = store.find_source("demo").await?.context("no source demo")?;
        let cycles = store.list_cycles(source.id, 10).await?;
        let complete = cycles
            .iter()
            .find(|cycle| cycle.state == CycleState::Complete)
            .context("none is complete")?;
        ensure!(complete.totals.entities > 19_000, "{complete:?}");
        Ok(())
    })
    .await?;
    let status = stage.services["tideline"].command.clone();
    let status = stage.run("tideline", &status, "127.0.0.1:1").await?;
    ensure!(
        status.contains("demo") && !status.contains("for-this-network-only"),
        "{status}"
    );
    wait_until("traces and metrics at the collector", LIMIT, async || {
        let counts = [&stage.collected.traces, &stage.collected.metrics].map(|count| count.load(Ordering::Relaxed));
        ensure!(counts.iter().all(|count| *count > 0), "{counts:?}");
        Ok(())
    })
    .await?;
    let answer = http_client()?
        .get(format!("{}/connz?auth=1", stage.nats.monitor_url()))
        .send()
        .await?
        .text()
        .await?;
    for role in ["producer", "worker", "scheduler"] {
        ensure!(
            answer.contains(&format!("\"authorized_user\": \"{role}\"")),
            "no {role} is connected: {answer}"
        );
    }
    for (name, process) in &mut stage.running {
        process.terminate()?;
        let ended = process
            .wait(Duration::from_secs(40))
            .await
            .with_context(|| name.clone())?;
        ensure!(ended.success(), "{name} ended with {ended}");
        let log = process.log()?;
        ensure!(!log.contains("for-this-network-only"), "{name} logs a password");
        ensure!(
            !log.to_lowercase().contains("permissions violation"),
            "{name} lacks a right on NATS"
        );
    }
    Ok(())
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

#[test]
fn the_containers_are_confined_and_can_be_scaled() {
    let services = services(&BTreeMap::new()).unwrap();
    for (name, service) in &services {
        assert!(service.all["container_name"].is_null(), "{name} could not be scaled");
        assert!(service.all["privileged"].is_null(), "{name}");
        for port in service.all["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().unwrap();
            assert!(
                port.starts_with("127.0.0.1:"),
                "{name} can be reached from outside: {port}"
            );
        }
        for (host, _) in &service.mounts {
            assert!(
                workspace().unwrap().join(host).exists(),
                "{name} mounts {host}, which is not there"
            );
        }
        if service.all["image"]
            .as_str()
            .is_some_and(|image| image.starts_with("tideline:"))
        {
            assert_eq!(service.all["read_only"], true, "{name}");
            assert_eq!(service.all["cap_drop"], serde_json::json!(["ALL"]), "{name}");
            assert_eq!(
                service.all["security_opt"],
                serde_json::json!(["no-new-privileges:true"]),
                "{name}"
            );
            assert!(service.all["user"].is_null(), "{name}: the image says who it runs as");
        }
    }
    for name in ["worker", "scheduler"] {
        assert!(
            services[name].all["ports"].is_null(),
            "several {name}s cannot have the same port"
        );
    }
    for name in ["postgres", "nats"] {
        assert!(services[name].all["ports"].is_null(), "{name} is for the fleet alone");
    }
    assert_eq!(services["demo-api"].all["profiles"], serde_json::json!(["demo"]));
    for name in ["prometheus", "grafana"] {
        assert_eq!(services[name].all["profiles"], serde_json::json!(["metrics"]));
    }
    assert_eq!(services["tideline"].all["profiles"], serde_json::json!(["tools"]));
}

#[test]
fn every_password_comes_from_a_variable_and_each_role_has_its_own() {
    let variables = [
        "POSTGRES_PASSWORD",
        "NATS_PRODUCER_PASSWORD",
        "NATS_WORKER_PASSWORD",
        "NATS_SCHEDULER_PASSWORD",
        "GRAFANA_PASSWORD",
    ];
    let given = variables.map(|name| (name.to_owned(), format!("given-{name}")));
    let services = services(&BTreeMap::from(given)).unwrap();
    let mut all = Vec::new();
    services.values().for_each(|service| texts(&service.all, &mut all));
    assert!(
        !all.iter().any(|text| text.contains("for-this-network-only")),
        "a password is not asked for"
    );
    for role in ["producer", "worker", "scheduler"] {
        let url = &services[role].environment["TIDELINE_QUEUE"];
        let password = format!("given-NATS_{}_PASSWORD", role.to_uppercase());
        assert_eq!(*url, format!("nats://{role}:{password}@nats:4222"));
        let others = variables[1..].iter().filter(|name| !password.ends_with(*name));
        for other in others {
            let values = services[role].environment.values();
            assert!(
                values.clone().all(|value| !value.contains(other)),
                "{role} is told {other}"
            );
        }
    }
    let example = std::fs::read_to_string(workspace().unwrap().join("deploy/fleet.env.example")).unwrap();
    for name in variables {
        assert!(
            example.contains(&format!("\n{name}=\n")),
            "fleet.env.example does not ask for {name}"
        );
    }
}

#[test]
fn docker_compose_accepts_the_file() {
    let there = |arguments: &[&str], folder: &Path| {
        let mut command = Command::new("docker");
        command
            .current_dir(folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.output().ok()
    };
    let root = workspace().unwrap();
    if !there(&["compose", "version"], &root).is_some_and(|output| output.status.success()) {
        println!("docker_compose_accepts_the_file: left out, there is no docker compose");
        return;
    }
    for profiles in [
        &["--profile", "demo", "--profile", "tools", "--profile", "metrics"][..],
        &[],
    ] {
        let arguments = [&["compose"], profiles, &["config", "--quiet"]].concat();
        let output = there(&arguments, &root).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
