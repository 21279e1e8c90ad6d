//! A `tideline run` with something on every page: a healthy source, one that cannot be read, webhooks, subscriptions,
//! dead letters, a parked job, a target with an entity that fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::{Path as Segments, State};
use axum::http::StatusCode;
use axum::routing::{any, post};
use serde_json::{Value, json};
use tideline_tests::browser::Browser;
use tideline_tests::process::Tideline;
use tideline_tests::servers::free_port;
use tideline_tests::wait_until;

pub(crate) const TOKEN: &str = "token-of-the-test";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Services of the catalog.
const NAMES: [&str; 8] = [
    "checkout", "payments", "ledger", "search", "accounts", "shipping", "pricing", "mail",
];

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) address: String,
    client: reqwest::Client,
    /// Whether what Tideline sends is taken.
    takes: Arc<AtomicBool>,
    process: Option<Tideline>,
}

impl Stage {
    /// A configuration that nothing runs yet.
    pub(crate) async fn prepare() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let takes = Arc::new(AtomicBool::new(false));
        let receiver = receiver(Arc::clone(&takes)).await?;
        let (port, closed) = (free_port()?, free_port()?);
        let address = format!("http://127.0.0.1:{port}");
        let key = "07".repeat(32);
        let yaml = format!(
            "store: sqlite://tideline.db\nlisten: 127.0.0.1:{port}\npublic_url: {address}\nsecret_key: \"{key}\"\n\
             hooks:\n  - {{ name: ci, provider: token, header: x-token, secret: s3cret }}\n\
             subscriptions: {{ allow_http: true, allow_networks: [127.0.0.0/8], backoff: [100ms] }}\n\
             handlers: [{{ kind: send-mail, url: \"{receiver}/jobs\", secret: s3cret-s3cret-s3cret, backoff: [100ms] }}]\n\
             targets:\n  - name: search\n    type: http\n    url: \"{receiver}/entities/{{kind}}/{{name}}\"\n    follow: {{ sources: [inventory] }}\n\
             sources:\n  - {{ name: inventory, type: files, path: data, rest: 1h, removals: {{ confirm_cycles: 1 }}, on: [{{ topic: 'ci.*', \
             refresh: source }}] }}\n  - {{ name: people, type: files, path: people, rest: 1h }}\n  - {{ name: wiki, type: http, base_url: \
             \"http://127.0.0.1:{closed}\", backoff: [10m], resources: [{{ name: pages, path: /pages }}] }}\n"
        );
        std::fs::write(folder.path().join("tideline.yaml"), yaml)?;
        for name in ["data", "people"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let stage = Self {
            folder,
            address,
            client: tideline_tests::http_client()?,
            takes,
            process: None,
        };
        stage.write_entities(40, 1)?;
        let person = |name: &str| format!("{{\"kind\":\"User\",\"metadata\":{{\"name\":\"{name}\"}},\"spec\":{{}}}}\n");
        let people: String = ["ana", "bo", "chidi"].map(person).concat();
        std::fs::write(stage.path("people").join("people.ndjson"), people)?;
        Ok(stage)
    }

    /// Runs it until there is something on every page.
    pub(crate) async fn run(mut self) -> Result<Self> {
        let process = Tideline::start(self.folder.path(), "run", &["run"], &[("TIDELINE_API_TOKEN", TOKEN)])?;
        self.process = Some(process);
        wait_until("the gateway", PATIENCE, async || {
            let ready = self.client.get(format!("{}/readyz", self.address)).send().await?;
            ready.error_for_status()
        })
        .await?;
        self.until("both sources are read", "/v1/status", |status| {
            let sources = status["sources"].as_array().into_iter().flatten();
            sources
                .filter(|source| source["source"]["entities"].as_u64() > Some(0))
                .count()
                == 2
        })
        .await?;
        let topics = json!({"topics": ["ci.*"], "from": "beginning"});
        self.put("/v1/subscriptions/reports", &topics).await?;
        let pushed = json!({"topics": ["ci.deploy"], "push": {"url": format!("{}/", self.receiver()?)}});
        self.put("/v1/subscriptions/deploys", &pushed).await?;
        for number in 0..6 {
            self.deliver(if number % 2 == 0 { "deploy" } else { "build" }, number, "s3cret")
                .await?;
        }
        self.deliver("deploy", 7, "wrong").await?;
        let jobs = json!({"jobs": [{"kind": "send-mail", "key": "order-1", "args": {"to": "ana@example.com"}}]});
        self.post("/v1/jobs", &jobs).await?;
        self.until("dead letters", "/v1/subscriptions/deploys", |shown| {
            shown["dead_letters"].as_u64() >= Some(3)
        })
        .await?;
        self.until("a parked job", "/v1/jobs?state=parked&kind=send-mail", |jobs| {
            jobs["items"].as_array().is_some_and(|items| !items.is_empty())
        })
        .await?;
        self.until("the target is in step but for one", "/v1/targets/search", |target| {
            target["failing"] == json!(1) && target["entities"] == json!(40)
        })
        .await?;
        Ok(self)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// So many services, in their state of this number.
    pub(crate) fn write_entities(&self, count: u32, state: u32) -> Result<()> {
        write_entities(&self.path("data"), count, state)
    }

    /// What Tideline sends is taken from now on.
    pub(crate) fn take(&self) {
        self.takes.store(true, Ordering::Relaxed);
    }

    fn receiver(&self) -> Result<String> {
        let yaml = std::fs::read_to_string(self.path("tideline.yaml"))?;
        let (_, rest) = yaml.split_once("send-mail, url: \"").context("the handler")?;
        Ok(rest.split_once("/jobs").context("its path")?.0.to_owned())
    }

    /// A webhook of the CI.
    async fn deliver(&self, what: &str, number: u32, token: &str) -> Result<()> {
        let body = json!({"type": what, "number": number, "service": NAMES[number as usize % NAMES.len()], "commit": "3f2a9c1"});
        let sent = self
            .client
            .post(format!("{}/hooks/ci", self.address))
            .header("x-token", token);
        let answer = sent.json(&body).send().await?;
        ensure!(
            answer.status().is_success() == (token == "s3cret"),
            "{}",
            answer.status()
        );
        Ok(())
    }

    async fn put(&self, path: &str, body: &Value) -> Result<()> {
        let sent = self.client.put(format!("{}{path}", self.address)).bearer_auth(TOKEN);
        let answer = sent.json(body).send().await?;
        ensure!(answer.status().is_success(), "PUT {path}: {}", answer.text().await?);
        Ok(())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<()> {
        let sent = self.client.post(format!("{}{path}", self.address)).bearer_auth(TOKEN);
        let answer = sent.json(body).send().await?;
        ensure!(answer.status().is_success(), "POST {path}: {}", answer.text().await?);
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let sent = self.client.get(format!("{}{path}", self.address)).bearer_auth(TOKEN);
        Ok(sent.send().await?.error_for_status()?.json().await?)
    }

    /// Waits until an answer of the API is as it should be.
    pub(crate) async fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
        wait_until(what, PATIENCE, async || {
            let answer = self.get(path).await?;
            ensure!(holds(&answer), "{answer}");
            Ok::<_, anyhow::Error>(())
        })
        .await
    }

    /// The number of the job that waits for a person.
    pub(crate) async fn parked_job(&self) -> Result<String> {
        let jobs = self.get("/v1/jobs?state=parked&kind=send-mail").await?;
        Ok(jobs["items"][0]["id"].to_string())
    }

    /// The number of a webhook.
    pub(crate) async fn webhook(&self) -> Result<String> {
        let events = self.get("/v1/events?limit=1&topics=ci.deploy").await?;
        Ok(events["items"][0]["id"].as_str().context("a webhook")?.to_owned())
    }

    /// Another whole cycle of the source.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let newest = self.get("/v1/sources/inventory/cycles?limit=1").await?["items"][0]["number"].as_u64();
        self.post("/v1/sources/inventory/refresh", &json!({})).await?;
        self.until("another cycle", "/v1/sources/inventory/cycles?limit=1", |cycles| {
            let cycle = &cycles["items"][0];
            cycle["number"].as_u64() > newest && !matches!(cycle["state"].as_str(), Some("bursting" | "sweeping"))
        })
        .await
    }

    /// Signs in as the administrator.
    pub(crate) async fn sign_in(&self, browser: &Browser) -> Result<()> {
        browser.open(&format!("{}/", self.address)).await?;
        browser.wait("location.pathname === '/sign-in'").await?;
        browser.fill("#token", TOKEN).await?;
        browser.click("form button").await?;
        let there = "location.pathname === '/' && document.querySelector('h1').textContent === 'Overview'";
        // The script that listens to keys runs when the page is whole.
        browser
            .wait(&format!("{there} && document.readyState === 'complete'"))
            .await
    }
}

pub(crate) fn write_entities(folder: &Path, count: u32, state: u32) -> Result<()> {
    let mut text = String::new();
    for number in 0..count {
        // A few differ from one state to the next.
        let replicas = if number % 13 == state % 13 { state } else { 2 };
        let body = json!({
            "kind": "Component",
            "metadata": {
                "name": format!("{}-{number:03}", NAMES[number as usize % NAMES.len()]),
                "title": format!("The service {number}"),
                "labels": {"tier": if number % 3 == 0 { "gold" } else { "silver" }},
                "annotations": {"example.com/runbook": format!("https://runbooks.example.com/{number}")},
            },
            "spec": {"owner": format!("team-{}", number % 7), "lifecycle": "production", "replicas": replicas},
        });
        writeln!(text, "{body}")?;
    }
    Ok(std::fs::write(folder.join("entities.ndjson"), text)?)
}

/// Takes nothing until it is told to, but for entities, of which it never takes one.
async fn receiver(takes: Arc<AtomicBool>) -> Result<String> {
    let answer = async |State(takes): State<Arc<AtomicBool>>| match takes.load(Ordering::Relaxed) {
        true => (StatusCode::OK, ""),
        false => (StatusCode::INTERNAL_SERVER_ERROR, "the disk is full"),
    };
    let entity = async |Segments((_, name)): Segments<(String, String)>| match name.as_str() {
        "mail-007" => (StatusCode::UNPROCESSABLE_ENTITY, "the index has no field replicas"),
        _ => (StatusCode::OK, ""),
    };
    let routes = Router::new()
        .route("/", post(answer))
        .route("/jobs", post(answer))
        .route("/entities/{kind}/{name}", any(entity))
        .with_state(takes);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// Whether the page shows a text; headings are shown in capitals.
pub(crate) fn shows(text: &str) -> String {
    let text = json!(text.to_lowercase());
    format!("document.querySelector('main').innerText.toLowerCase().includes({text})")
}
