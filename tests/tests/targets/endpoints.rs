//! The `http` target, and handlers that are programs elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::fingerprint;
use tideline_core::words::{FeedPosition, HTTP_TARGET_KIND, JobState, NewJob, Sequence, TargetPlace, Trigger};
use tideline_store::{JobFilter, TargetCommand, TargetEntityFilter};
use tideline_tests::wait_until;
use tokio::net::TcpListener;

use super::stage::{LIMIT, Options, Stage, spec};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// An endpoint that answers with what is set, and remembers what came.
#[derive(Default)]
pub(super) struct Endpoint {
    seen: Mutex<Vec<Seen>>,
    /// Statuses of the next answers; then 200.
    statuses: Mutex<Vec<u16>>,
    /// Bodies of the next answers; then none.
    answers: Mutex<Vec<Value>>,
    /// Answers wait for it.
    gate: tokio::sync::RwLock<()>,
}

impl Endpoint {
    pub(super) async fn start() -> (Arc<Self>, String) {
        let endpoint = Arc::new(Self::default());
        let shared = Arc::clone(&endpoint);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            shared.seen.lock().push(Seen {
                line: format!("{method} {uri}"),
                headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            });
            drop(shared.gate.read().await);
            let status = {
                let mut statuses = shared.statuses.lock();
                if statuses.is_empty() { 200 } else { statuses.remove(0) }
            };
            let status = StatusCode::from_u16(status).unwrap();
            let mut answers = shared.answers.lock();
            let text = if answers.is_empty() {
                String::new()
            } else {
                answers.remove(0).to_string()
            };
            (status, text)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        (endpoint, url)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// What somebody has who does what the requests say.
    fn state(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        for Seen { line, body, .. } in self.seen() {
            let (method, path) = line.split_once(' ').unwrap();
            match method {
                "DELETE" => state.remove(path),
                _ => state.insert(path.to_owned(), body),
            };
        }
        state
    }

    pub(super) async fn has(&self, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<String, String> = wanted
            .iter()
            .map(|(path, body)| ((*path).to_owned(), (*body).to_owned()))
            .collect();
        let there = wait_until("the endpoint to know", LIMIT, async || {
            let state = self.state();
            ensure!(state == wanted, "{state:?}");
            Ok(())
        });
        there.await.unwrap();
    }
}

/// A further target, at the end of those of a stage.
pub(super) fn search(url: &str, lines: &str) -> String {
    format!(
        "- name: search\n  type: http\n  url: {url}/e/{{kind}}/{{namespace}}/{{name}}\n  backoff: [50ms, 50ms, 50ms]\n{lines}"
    )
}

const SHAPE: &str = "  body: '{ id: .ref, name: .entity.metadata.name }'\n";

async fn command(stage: &Stage, command: TargetCommand) {
    stage.command_target("search", command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_is_one_shaped_request_and_a_removal_is_a_delete() {
    let (endpoint, url) = Endpoint::start().await;
    let stage = Stage::start(&search(&url, SHAPE)).await;
    stage.write_api("cat", None, &spec(&["/a"]));
    stage.write_api("dog", None, &spec(&["/a"]));
    stage.cycle().await;
    let shaped = |name: &str| format!(r#"{{"id":"api:default/{name}","name":"{name}"}}"#);
    endpoint
        .has(&[
            ("/e/api/default/cat", &shaped("cat")),
            ("/e/api/default/dog", &shaped("dog")),
        ])
        .await;
    stage.remove("dog.yaml");
    stage.cycle().await;
    endpoint.has(&[("/e/api/default/cat", &shaped("cat"))]).await;
    let requests = endpoint.seen();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(requests.iter().all(|seen| seen.headers.contains_key("idempotency-key")));
    // Resends everything, for an endpoint that lost it.
    command(&stage, TargetCommand::Resync).await;
    let again = wait_until("the snapshot", LIMIT, async || {
        let seen = endpoint.seen();
        // The job that deleted the dog may not have forgotten it yet, and then it is deleted again.
        let cats: Vec<_> = seen.iter().filter(|seen| seen.line.ends_with("/cat")).collect();
        ensure!(cats.len() == 2, "{seen:?}");
        Ok([0, 1].map(|place| cats[place].headers["idempotency-key"].clone()))
    });
    let [first, second] = again.await.unwrap();
    assert_ne!(first, second, "whoever lost it must not take it for what it had");
    // What comes back as it was is another change.
    stage.write_api("dog", None, &spec(&["/a"]));
    stage.cycle().await;
    let back = wait_until("the dog to come back", LIMIT, async || {
        let seen = endpoint.seen();
        let puts = (seen.iter()).filter(|seen| seen.line.starts_with("PUT") && seen.line.ends_with("/dog"));
        let keys: HashSet<_> = puts.map(|seen| &seen.headers["idempotency-key"]).collect();
        ensure!(keys.len() == 2, "{seen:?}");
        Ok(())
    });
    back.await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_sources_had_is_removed_when_the_last_of_them_drops_it() {
    let (endpoint, url) = Endpoint::start().await;
    let stage = Stage::with(Options {
        target: &search(&url, "  body: .source\n"),
        two_sources: true,
        ..Options::default()
    })
    .await;
    stage.write_api("cat", None, &spec(&["/a"]));
    stage.cycle().await;
    endpoint.has(&[("/e/api/default/cat", r#""code""#)]).await;
    let more = "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: cat\nspec: {}\n";
    stage.write("../more/cat.yaml", more);
    stage.cycle_of("more").await;
    stage.remove("cat.yaml");
    stage.cycle().await;
    endpoint.has(&[("/e/api/default/cat", r#""more""#)]).await;
    stage.remove("../more/cat.yaml");
    stage.cycle_of("more").await;
    endpoint.has(&[]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_back_to_what_an_endpoint_has_is_sent_if_another_was_on_its_way() {
    let (endpoint, url) = Endpoint::start().await;
    let stage = Stage::start(&search(&url, "  body: .entity.spec.type\n")).await;
    let write = async |kind: &str| {
        let text = format!(
            "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: {{ name: cat }}\nspec: {{ type: {kind} }}\n"
        );
        stage.write("cat.yaml", &text);
        stage.cycle().await;
        stage.follows("search").await;
    };
    let sent = async |count: usize| {
        let sent = wait_until("the request", LIMIT, async || {
            ensure!(endpoint.seen().len() == count, "{:?}", endpoint.seen());
            Ok(())
        });
        sent.await.unwrap();
    };
    write("old").await;
    endpoint.has(&[("/e/api/default/cat", r#""old""#)]).await;
    let gate = endpoint.gate.write().await;
    write("new").await;
    sent(2).await;
    write("old").await;
    drop(gate);
    sent(3).await;
    endpoint.has(&[("/e/api/default/cat", r#""old""#)]).await;
    // The same for one that goes and comes back.
    let gate = endpoint.gate.write().await;
    stage.remove("cat.yaml");
    stage.cycle().await;
    sent(4).await;
    write("old").await;
    drop(gate);
    sent(5).await;
    endpoint.has(&[("/e/api/default/cat", r#""old""#)]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shaped_body_keeps_all_digits_of_numbers() {
    let (endpoint, url) = Endpoint::start().await;
    let stage = Stage::start(&search(&url, "  body: '{ id: .entity.spec.id }'\n")).await;
    let text = "{\"kind\":\"API\",\"metadata\":{\"name\":\"cat\"},\"spec\":{\"id\":12345678901234567890123456789}}";
    stage.write("cat.json", text);
    stage.cycle().await;
    endpoint
        .has(&[("/e/api/default/cat", r#"{"id":12345678901234567890123456789}"#)])
        .await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_position_was_lost_an_endpoint_is_sent_everything_again_only_if_it_wants_to() {
    for (lines, again) in [("  snapshot: true\n", 1), ("", 0)] {
        let (endpoint, url) = Endpoint::start().await;
        let stage = Stage::start(&search(&url, &format!("{SHAPE}{lines}"))).await;
        stage.write_api("cat", None, &spec(&["/a"]));
        stage.cycle().await;
        let puts = async |path: &str, count: usize| {
            let sent = wait_until("the requests", LIMIT, async || {
                let seen = endpoint.seen();
                let of_it = seen
                    .iter()
                    .filter(|seen| seen.line == format!("PUT /e/api/default/{path}"));
                ensure!(of_it.count() == count, "{seen:?}");
                Ok(())
            });
            sent.await.unwrap();
        };
        puts("cat", 1).await;
        stage.follows("search").await;
        let record = stage.store.find_target("search").await.unwrap().unwrap();
        let lost = TargetPlace {
            position: FeedPosition::after(Sequence(1_000_000)),
            ..record.place.clone()
        };
        assert!(stage.store.move_target("search", &record.place, &lost).await.unwrap());
        stage.write_api("dog", None, &spec(&["/a"]));
        stage.cycle().await;
        puts("dog", 1).await;
        puts("cat", 1 + again).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_that_has_no_address_is_an_error_until_it_is_gone() {
    let (endpoint, url) = Endpoint::start().await;
    let stage = Stage::start(&search(&url, "")).await;
    stage.write(
        "dots.yaml",
        "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: { name: .. }\nspec: {}\n",
    );
    let in_state = async |wanted: JobState| {
        let reached = wait_until("the job", LIMIT, async || {
            let filter = JobFilter {
                kind: Some(HTTP_TARGET_KIND.into()),
                limit: 10,
                ..JobFilter::default()
            };
            let jobs = stage.store.list_jobs(&filter).await?;
            ensure!(jobs.iter().any(|job| job.state == wanted), "{jobs:?}");
            Ok(())
        });
        reached.await.unwrap();
    };
    stage.cycle().await;
    in_state(JobState::Parked).await;
    stage.remove("dots.yaml");
    stage.cycle().await;
    in_state(JobState::Done).await;
    assert!(endpoint.seen().is_empty(), "nothing is sent to another address");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_fails_is_sent_again_and_one_that_is_refused_waits_for_a_person_or_the_next_change() {
    let (endpoint, url) = Endpoint::start().await;
    *endpoint.statuses.lock() = vec![503, 500, 200, 422];
    let stage = Stage::start(&search(
        &url,
        "  removal: tombstone\n  body: 'if .removed then { gone: .name } else .name end'\n",
    ))
    .await;
    stage.write_api("cat", None, &spec(&["/a"]));
    stage.cycle().await;
    wait_until("three attempts", LIMIT, async || {
        ensure!(endpoint.seen().len() == 3, "{:?}", endpoint.seen());
        Ok(())
    })
    .await
    .unwrap();
    let keys: Vec<_> = endpoint
        .seen()
        .iter()
        .map(|seen| seen.headers["idempotency-key"].clone())
        .collect();
    assert!(
        keys.iter().all(|key| *key == keys[0]),
        "one request, however often it is sent"
    );
    stage.write_api("cat", None, &spec(&["/b"]));
    stage.cycle().await;
    let parked = wait_until("the refused job", LIMIT, async || {
        let filter = JobFilter {
            kind: Some(HTTP_TARGET_KIND.into()),
            limit: 10,
            ..JobFilter::default()
        };
        let job = stage.store.list_jobs(&filter).await?.remove(0);
        ensure!(job.state == JobState::Parked, "{job:?}");
        Ok::<_, anyhow::Error>(job)
    });
    assert!(parked.await.unwrap().last_error.unwrap().contains("422"));
    // A change back to what the endpoint has ends the failure.
    stage.write_api("cat", None, &spec(&["/a"]));
    stage.cycle().await;
    let mended = wait_until("the failure to end", LIMIT, async || {
        let filter = TargetEntityFilter {
            target: "search".into(),
            failing: true,
            limit: 10,
            ..TargetEntityFilter::default()
        };
        let failing = stage.store.list_target_entities(&filter).await?;
        ensure!(failing.is_empty(), "{failing:?}");
        Ok(())
    });
    mended.await.unwrap();
    stage.remove("cat.yaml");
    stage.cycle().await;
    endpoint.has(&[("/e/api/default/cat", r#"{"gone":"cat"}"#)]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_elsewhere_works_on_jobs_by_signed_requests_and_says_what_came_of_them() {
    let (endpoint, url) = Endpoint::start().await;
    *endpoint.answers.lock() = vec![
        json!({ "outcome": "again", "after_ms": 10, "cursor": { "page": 2 } }),
        json!({ "outcome": "failed", "error": "try later" }),
        json!({ "outcome": "done" }),
    ];
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let handlers =
        format!("handlers:\n- {{ kind: send-mail, url: '{url}/jobs', secret: {secret}, backoff: [10ms] }}\n");
    let stage = Stage::start(&handlers).await;
    let now = SystemClock.now();
    let job = |key: &str| NewJob {
        kind: "send-mail".into(),
        key: key.into(),
        fingerprint: fingerprint(key.as_bytes()),
        args: r#"{"to":"a@example.com","id":12345678901234567890123456789}"#.into(),
        due_at: now,
        trigger: Trigger::Manual,
        trace: None,
    };
    let state = async |key: &str| {
        let filter = JobFilter {
            kind: Some("send-mail".into()),
            key: Some(key.into()),
            limit: 1,
            ..JobFilter::default()
        };
        stage.store.list_jobs(&filter).await.unwrap().remove(0)
    };
    stage.enqueue(job("order-1")).await;
    let done = wait_until("the job to be done", LIMIT, async || {
        let job = state("order-1").await;
        ensure!(job.state == JobState::Done, "{job:?}");
        Ok(())
    });
    done.await.unwrap();
    let seen = endpoint.seen();
    let bodies: Vec<Value> = seen
        .iter()
        .map(|seen| serde_json::from_str(&seen.body).unwrap())
        .collect();
    assert_eq!(bodies[0]["args"]["to"], "a@example.com");
    assert!(
        seen[0].body.contains(r#""id":12345678901234567890123456789"#),
        "{}",
        seen[0].body
    );
    let cursors: Vec<&Value> = bodies.iter().map(|body| &body["cursor"]).collect();
    assert_eq!(cursors, [&Value::Null, &json!({ "page": 2 }), &json!({ "page": 2 })]);
    for Seen { headers, body, .. } in &seen {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(&secret[6..]).unwrap()).unwrap();
        mac.update(format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
    }
    *endpoint.answers.lock() = vec![json!({ "outcome": "permanent", "error": "no such address" })];
    stage.enqueue(job("order-2")).await;
    let parked = wait_until("the job to be parked", Duration::from_secs(20), async || {
        let job = state("order-2").await;
        ensure!(job.state == JobState::Parked, "{job:?}");
        Ok(job)
    });
    assert_eq!(parked.await.unwrap().last_error.as_deref(), Some("no such address"));
    stage.stop().await;
}
