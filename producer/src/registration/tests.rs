//! Against fakes of the providers, one of which sends its verification to the real hooks.

mod fake;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tideline_core::clock::SystemClock;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::Runtime;
use tideline_runtime::sealing::Sealer;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EventFilter, EventStore, HookSecretStore};

use self::fake::stored;
pub(crate) use self::fake::{Fake, terraform_api};
use super::*;
use crate::hooks::{Hooks, HooksParts};

const SECRET: &str = "hook-s3cret-0123456789";
const TOKEN: &str = "tfc-token-0123456789";

/// The real hooks on a port.
pub(crate) struct Gateway {
    pub(crate) url: Url,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) api: crate::api::Api,
    pub(crate) runtime: Runtime,
    _folder: tempfile::TempDir,
}

async fn serve(app: Router) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn listen() -> (tokio::net::TcpListener, Url) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url.parse().unwrap())
}

async fn gateway() -> Gateway {
    gateway_with(&format!(
        "hooks: [{{ name: tfc, provider: terraform, secret: {SECRET} }}]"
    ))
    .await
}

/// With this configuration, in which `{url}` stands for the gateway's address.
pub(crate) async fn gateway_with(yaml: &str) -> Gateway {
    let (listener, url) = listen().await;
    let yaml = yaml.replace("{url}", url.as_str());
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(
        SqliteStore::open(folder.path().join("t.db").to_str().unwrap())
            .await
            .unwrap(),
    );
    let settings = Arc::new(tideline_config::parse(&yaml, "t.yaml".as_ref(), &|_| None).unwrap());
    let runtime = Runtime::new(Arc::new(SystemClock));
    let hooks = Hooks::start(
        HooksParts {
            store: Arc::clone(&store) as _,
            queue: Arc::new(InProcessQueue::default()),
            clock: Arc::new(SystemClock),
            hooks: settings.hooks.clone(),
            events: settings.events.clone(),
            sealer: Arc::new(Sealer::new(settings.secret_key.as_ref()).unwrap()),
            expressions: settings.expressions,
        },
        &runtime,
    );
    let routes = hooks.router();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Gateway {
        url,
        api: crate::api::Api::new(crate::api::ApiParts {
            store: Arc::clone(&store) as _,
            queue: Arc::new(InProcessQueue::default()),
            clock: Arc::new(SystemClock),
            settings: Some(settings),
            planner: None,
            stop: runtime.stop(),
        }),
        store,
        runtime,
        _folder: folder,
    }
}

impl Gateway {
    fn endpoint(&self, secret: &str) -> Endpoint {
        Endpoint {
            url: self.url.join("/hooks/tfc").unwrap(),
            secret: Secret::new(secret.to_owned()),
        }
    }

    /// The hook's secret, as `tideline hooks register` asks for it.
    async fn take_secret(&self, rotate: bool) -> (String, bool) {
        let (secret, created) = self
            .ask_for_secret(json!({ "rotate": rotate, "reveal": true }), "")
            .await;
        (secret.unwrap(), created)
    }

    async fn ask_for_secret(&self, wanted: Value, key: &str) -> (Option<String>, bool) {
        let mut request = axum::http::Request::post("/v1/hooks/tfc/secret").header("content-type", "application/json");
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(axum::body::Body::from(wanted.to_string())).unwrap();
        let response = self.api.call(crate::api::Principal::local("test"), request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        (
            body["secret"].as_str().map(str::to_owned),
            body["created"] == json!(true),
        )
    }

    /// Acts of the audit log, oldest first.
    async fn acts(&self) -> Vec<String> {
        let filter = tideline_store::AuditFilter {
            limit: 100,
            ..Default::default()
        };
        let acts = tideline_store::AuditStore::list_audit(&*self.store, &filter)
            .await
            .unwrap();
        acts.into_iter().rev().map(|act| act.act).collect()
    }

    pub(crate) async fn topics(&self) -> Vec<String> {
        let read = self
            .store
            .list_events_after(tideline_core::words::EventSequence(0), &EventFilter::default(), 100)
            .await;
        read.unwrap().events.into_iter().map(|event| event.head.topic).collect()
    }
}

async fn terraform_at(fake: &Arc<Fake>, target: TerraformTarget) -> Terraform {
    let access = Access {
        base_url: terraform_api(Arc::clone(fake)).await,
        token: Secret::new(TOKEN.to_owned()),
    };
    Terraform::new(access, "acme", target).unwrap()
}

fn workspace(name: &str) -> TerraformTarget {
    TerraformTarget::Workspaces(vec![name.to_owned()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_18_a_registration_is_verified_while_it_is_made_and_twice_is_once() {
    let (gateway, fake) = (gateway().await, Arc::new(Fake::default()));
    *fake.busy.lock() = 2;
    let provider = terraform_at(&fake, workspace("prod-net")).await;
    let endpoint = gateway.endpoint(SECRET);
    let first = register(&provider, &endpoint).await.unwrap().remove(0).unwrap();
    assert_eq!(
        (first.outcome, first.place.as_str(), first.enabled),
        ("created", "workspace prod-net", true)
    );
    assert!(first.events.contains(&"run:run_errored".to_owned()));
    let again = register(&provider, &endpoint).await.unwrap().remove(0).unwrap();
    assert_eq!((again.outcome, again.id), ("updated", first.id));
    assert_eq!(fake.configurations.lock().len(), 1);
    assert_eq!(
        gateway.topics().await,
        ["tfc.verification"],
        "the same verification twice is one delivery"
    );
    assert_eq!(
        verify(&provider, &endpoint).await.unwrap()[0].last.as_deref(),
        Some("successful (202)")
    );
    gateway.runtime.stop().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_knows_only_the_older_triggers_gets_those() {
    let unknown = vec!["run:run_errored", "run:run_canceled", "assessment:drifted"];
    let fake = Arc::new(Fake {
        unknown,
        ..Fake::default()
    });
    let gateway = gateway().await;
    let provider = terraform_at(&fake, TerraformTarget::Projects(vec!["Nets".into(), "prj-2".into()])).await;
    let done = register(&provider, &gateway.endpoint(SECRET)).await.unwrap();
    let done: Vec<Registered> = done.into_iter().map(Result::unwrap).collect();
    assert_eq!(done[0].events, ["run:completed", "run:errored"]);
    assert_eq!(
        (done[0].place.as_str(), done[1].place.as_str()),
        ("project Nets", "project Apps")
    );
    gateway.runtime.stop().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_deleted_is_told_of_by_workspaces_and_projects_whose_server_can() {
    const RUNS: [&str; 2] = ["run:run_errored", "run:run_canceled"];
    let gateway = gateway().await;
    for (unknown, expected) in [
        (vec![], ["run:run_errored", "workspace:deleted"]),
        (RUNS.to_vec(), ["run:errored", "workspace:deleted"]),
        (
            [&RUNS[..], &["workspace:deleted"]].concat(),
            ["run:errored", "assessment:drifted"],
        ),
    ] {
        let fake = Arc::new(Fake {
            unknown,
            ..Fake::default()
        });
        for target in [workspace("prod-net"), TerraformTarget::Projects(vec!["Nets".into()])] {
            let provider = terraform_at(&fake, target).await;
            let done = register(&provider, &gateway.endpoint(SECRET)).await.unwrap().remove(0);
            let events = done.unwrap().events;
            assert!(
                expected.iter().all(|event| events.iter().any(|one| one == event)),
                "{events:?}"
            );
        }
    }
    gateway.runtime.stop().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_registered_says_why_without_the_secret_and_keeps_the_others() {
    let (gateway, fake) = (gateway().await, Arc::new(Fake::default()));
    let wrong = gateway.endpoint("another-s3cret-9876");
    let provider = terraform_at(&fake, workspace("prod-net")).await;
    let error = register(&provider, &wrong)
        .await
        .unwrap()
        .remove(0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("workspace prod-net") && error.contains("signed verification"),
        "{error}"
    );
    assert!(!error.contains("another-s3cret-9876"), "{error}");
    assert!(fake.configurations.lock().is_empty());

    let gone = terraform_at(&fake, workspace("gone")).await;
    let error = register(&gone, &wrong).await.unwrap_err().to_string();
    assert!(
        error.contains("workspace gone") && error.contains("has no access to it"),
        "{error}"
    );

    let other =
        json!({ "destination-type": "generic", "enabled": true, "url": "https://other.example/hook", "triggers": [] });
    fake.configurations
        .lock()
        .extend((0..20).map(|number| stored(format!("nc-{number}"), &other)));
    let error = register(&provider, &gateway.endpoint(SECRET))
        .await
        .unwrap()
        .remove(0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("20 notification configurations"), "{error}");
    gateway.runtime.stop().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_has_the_url_of_the_hook_is_removed() {
    let (gateway, fake) = (gateway().await, Arc::new(Fake::default()));
    let other =
        json!({ "destination-type": "generic", "enabled": true, "url": "https://other.example/hook", "triggers": [] });
    fake.configurations.lock().push(stored("nc-other".into(), &other));
    let provider = terraform_at(&fake, workspace("prod-net")).await;
    let endpoint = gateway.endpoint(SECRET);
    register(&provider, &endpoint).await.unwrap().remove(0).unwrap();
    assert_eq!(list(&provider, &endpoint).await.unwrap().len(), 1);
    assert_eq!(verify(&provider, &endpoint).await.unwrap()[0].complaint(), None);
    for one in fake.configurations.lock().iter_mut() {
        one["attributes"]["triggers"] = json!(["run:completed"]);
    }
    let complaint = verify(&provider, &endpoint).await.unwrap()[0].complaint().unwrap();
    assert!(complaint.contains("run:errored"), "{complaint}");
    assert_eq!(remove(&provider, &endpoint).await.unwrap()[0].outcome, "removed");
    let left: Vec<Value> = fake.configurations.lock().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(left, ["nc-other"]);
    assert!(list(&provider, &endpoint).await.unwrap().is_empty());
    gateway.runtime.stop().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_of_github_is_made_once_and_a_missing_right_is_named() {
    type Api = State<Arc<Mutex<Vec<Value>>>>;
    async fn all(State(hooks): Api) -> Response {
        axum::Json(hooks.lock().clone()).into_response()
    }
    async fn create(State(hooks): Api, headers: axum::http::HeaderMap, body: Bytes) -> Response {
        assert_eq!(headers["x-github-api-version"], "2022-11-28");
        let mut made: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(made["config"]["secret"], SECRET);
        assert_eq!(made["config"]["insecure_ssl"], "0");
        let mut hooks = hooks.lock();
        made["id"] = json!(hooks.len() + 7);
        hooks.push(made.clone());
        (StatusCode::CREATED, axum::Json(made)).into_response()
    }
    async fn update(State(hooks): Api, Path(id): Path<u64>, body: Bytes) -> Response {
        let mut made: Value = serde_json::from_slice(&body).unwrap();
        made["id"] = json!(id);
        for one in hooks.lock().iter_mut().filter(|one| one["id"] == json!(id)) {
            *one = made.clone();
        }
        axum::Json(made).into_response()
    }
    let hooks: Arc<Mutex<Vec<Value>>> = Arc::default();
    let app = Router::new()
        .route("/repos/acme/web/hooks", get(all).post(create))
        .route("/repos/acme/web/hooks/{id}", patch(update))
        .route(
            "/repos/acme/web/hooks/{id}/pings",
            post(async || StatusCode::NO_CONTENT),
        )
        .with_state(Arc::clone(&hooks));
    let access = Access {
        base_url: serve(app).await,
        token: Secret::new(TOKEN.to_owned()),
    };
    let endpoint = Endpoint {
        url: "https://tideline.example/hooks/github".parse().unwrap(),
        secret: Secret::new(SECRET.to_owned()),
    };
    let github = Github::new(access.clone(), GithubTarget::Repository("acme/web".into())).unwrap();
    for outcome in ["created", "updated", "updated"] {
        let made = register(&github, &endpoint).await.unwrap().remove(0).unwrap();
        assert_eq!((made.outcome, made.id.as_str()), (outcome, "7"));
        assert_eq!(made.events, ["push", "repository"]);
    }
    assert_eq!(hooks.lock().len(), 1);
    assert_eq!(verify(&github, &endpoint).await.unwrap()[0].complaint(), None);
    hooks.lock()[0]["active"] = json!(false);
    hooks.lock()[0]["events"] = json!(["push"]);
    hooks.lock()[0]["config"]["content_type"] = json!("form");
    let complaint = verify(&github, &endpoint).await.unwrap()[0].complaint();
    assert_eq!(
        complaint.as_deref(),
        Some(
            "repository acme/web: webhook 7 does not work: it is disabled, it sends forms instead of application/json, it does \
             not send the events repository; `tideline hooks register` repairs it"
        )
    );
    let github = Github::new(access, GithubTarget::Organization("acme".into())).unwrap();
    let error = register(&github, &endpoint)
        .await
        .unwrap()
        .remove(0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("organization acme") && error.contains("admin:org_hook"),
        "{error}"
    );
}

const STORED: &str = "secret_key: \"0707070707070707070707070707070707070707070707070707070707070707\"\n\
                      hooks: [{ name: tfc, provider: terraform, stored_secret: true }]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_tideline_makes_is_stored_sealed_before_the_provider_learns_it_and_a_second_run_mends_the_first()
{
    let (gateway, fake) = (gateway_with(STORED).await, Arc::new(Fake::default()));
    let (secret, created) = gateway.take_secret(false).await;
    assert!(created);
    let sealed = gateway.store.list_hook_secrets("tfc").await.unwrap();
    assert!(sealed.len() == 1 && !sealed[0].contains(&secret), "{sealed:?}");
    // The first run was killed here: nothing is at the provider. The second one goes on with the same secret.
    let (again, created) = gateway.take_secret(false).await;
    assert_eq!((again.as_str(), created), (secret.as_str(), false));
    let provider = terraform_at(&fake, workspace("prod-net")).await;
    let made = register(&provider, &gateway.endpoint(&again))
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(made.outcome, "created");
    assert_eq!(gateway.topics().await, ["tfc.verification"]);
    // Another secret: both are good until the next one.
    let (rotated, created) = gateway.take_secret(true).await;
    assert!(created && rotated != secret);
    let made = register(&provider, &gateway.endpoint(&rotated))
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(made.outcome, "updated");
    let other = terraform_at(&fake, workspace("prod-web")).await;
    assert!(
        register(&other, &gateway.endpoint(&secret)).await.unwrap()[0].is_ok(),
        "signed before it was rotated"
    );
    gateway.take_secret(true).await;
    assert_eq!(gateway.store.list_hook_secrets("tfc").await.unwrap().len(), 2);
    gateway.runtime.stop().cancel();
}

#[tokio::test]
async fn the_secret_of_a_hook_is_shown_when_it_is_made_and_later_only_on_request_which_is_written_down() {
    let gateway = gateway_with(STORED).await;
    let (made, created) = gateway.ask_for_secret(json!({}), "").await;
    assert!(made.is_some() && created);
    assert_eq!(gateway.ask_for_secret(json!({}), "").await, (None, false));
    assert_eq!(gateway.acts().await, ["hooks.save_secret"]);
    let revealed = gateway.ask_for_secret(json!({"reveal": true}), "").await;
    assert_eq!(revealed, (made.clone(), false));
    assert_eq!(gateway.acts().await, ["hooks.save_secret", "hooks.reveal_secret"]);

    let (rotated, created) = gateway.ask_for_secret(json!({"rotate": true}), "k").await;
    assert!(rotated.is_some() && rotated != made && created);
    let again = gateway.ask_for_secret(json!({"rotate": true}), "k").await;
    assert_eq!(again, (None, false), "a secret that is not in the store was answered");
    let mended = gateway
        .ask_for_secret(json!({"rotate": true, "reveal": true}), "k")
        .await;
    assert_eq!(mended, (rotated, false));
    gateway.runtime.stop().cancel();
}
