//! deploy/nats.conf on a real nats-server: each role may do what it needs, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use futures::StreamExt;
use parking_lot::Mutex;
use tideline_core::words::NatsAddress;
use tideline_core::words::{JobId, Token};
use tideline_queue::jetstream::JetStreamQueue;
use tideline_queue::{Hint, Queue, QueueHealth};
use tideline_tests::compose::{self, workspace};
use tideline_tests::servers::Nats;
use tideline_tests::wait_until;

const LIMIT: Duration = Duration::from_secs(20);

async fn server(test: &str) -> Result<Option<Nats>> {
    if !Nats::is_here() {
        println!("{test}: left out, there is no nats-server (install nats-server)");
        return Ok(None);
    }
    let services = compose::services(&BTreeMap::new())?;
    Nats::from_compose(&services["nats"]).await.map(Some)
}

/// The URL of a role, as docker-compose.yml gives it.
fn url(server: &Nats, role: &str) -> Result<String> {
    let services = compose::services(&BTreeMap::new())?;
    let url = services[role]
        .environment
        .get("TIDELINE_QUEUE")
        .context("TIDELINE_QUEUE")?;
    Ok(url.replace("nats:4222", &server.address()))
}

async fn open(server: &Nats, role: &str) -> Result<JetStreamQueue> {
    Ok(JetStreamQueue::open(&NatsAddress::parse(&url(server, role)?)?).await?)
}

fn hint(job: i64) -> Hint {
    Hint {
        kind: "ingest".into(),
        jobs: vec![(JobId(job), Token(1))],
        trace: None,
    }
}

#[tokio::test]
async fn hints_flow_from_every_role_to_the_worker_with_the_rights_that_each_has() {
    let Some(server) = server("hints_flow_from_every_role_to_the_worker").await.unwrap() else {
        return;
    };
    let worker = open(&server, "worker").await.unwrap();
    for (job, role) in (1_i64..).zip(["producer", "scheduler", "worker"]) {
        let sender = open(&server, role).await.unwrap();
        sender.publish(&[hint(job)]).await.unwrap();
        let received = tokio::time::timeout(LIMIT, worker.receive(&["ingest".into()], 1)).await;
        let received = received
            .unwrap_or_else(|_| panic!("no hint of the {role} came; {:?}", worker.health()))
            .unwrap();
        assert_eq!(received[0].hint().jobs, [(JobId(job), Token(1))]);
        received[0].ack().await;
        let mut woken = sender.wakeups();
        worker.wake().await;
        tokio::time::timeout(LIMIT, woken.next())
            .await
            .expect("no wake-up came");
        assert_eq!(sender.health(), QueueHealth::Healthy, "{role}");
    }
    wait_until("all hints to be acked", LIMIT, async || {
        let left = messages(&server).await?;
        ensure!(left == 0, "{left} are in the stream");
        Ok(())
    })
    .await
    .unwrap();
}

/// Messages in the stream, from the server's own monitoring.
async fn messages(server: &Nats) -> Result<u64> {
    let url = format!("{}/jsz", server.monitor_url());
    let text = tideline_tests::http_client()?.get(url).send().await?.text().await?;
    let answer: serde_json::Value = serde_json::from_str(&text)?;
    answer["messages"].as_u64().context("no count of messages")
}

/// A connection as this role, with what the server refused it.
async fn connect(server: &Nats, role: &str) -> Result<(async_nats::Client, Arc<Mutex<Vec<String>>>)> {
    let refused = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&refused);
    let url: url::Url = url(server, role)?.parse()?;
    let password = url.password().context("no password")?.to_owned();
    let options = async_nats::ConnectOptions::with_user_and_password(role.to_owned(), password);
    let options = options.event_callback(move |event| {
        noted.lock().push(event.to_string());
        std::future::ready(())
    });
    Ok((options.connect(server.url()).await?, refused))
}

async fn wait_for_refusal(refused: &Mutex<Vec<String>>, subject: &str) -> Result<()> {
    wait_until(&format!("a refusal of {subject}"), LIMIT, async || {
        let seen = refused.lock();
        let found = seen.iter().any(|text| {
            let text = text.to_lowercase();
            text.contains("permissions violation") && text.contains(&subject.to_lowercase())
        });
        ensure!(found, "{seen:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_role_may_do_on_nats_what_it_does_not_need() {
    let Some(server) = server("no_role_may_do_on_nats_what_it_does_not_need").await.unwrap() else {
        return;
    };
    // The stream and a consumer are there, so that nothing is refused for want of them.
    let worker = open(&server, "worker").await.unwrap();
    let kinds = ["ingest".to_owned()];
    let waiting = worker.receive(&kinds, 1);
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err());
    let everybody = [
        "$JS.API.STREAM.DELETE.OTHER",
        "$JS.API.STREAM.PURGE.TIDELINE_HINTS",
        "$JS.API.STREAM.CREATE.OTHER",
        "$JS.API.STREAM.MSG.GET.TIDELINE_HINTS",
        "$JS.API.CONSUMER.DELETE.TIDELINE_HINTS.ingest",
        "$SYS.REQ.SERVER.PING",
        "other.subject",
    ];
    let senders = [
        "$JS.API.CONSUMER.MSG.NEXT.TIDELINE_HINTS.ingest",
        "$JS.API.CONSUMER.CREATE.TIDELINE_HINTS.mine.tideline.hints.mine",
        "$JS.ACK.TIDELINE_HINTS.ingest.1.1.1.1.0",
    ];
    for role in ["producer", "scheduler", "worker"] {
        let (client, refused) = connect(&server, role).await.unwrap();
        let more: &[&str] = if role == "worker" { &[] } else { &senders };
        for subject in everybody.iter().chain(more) {
            client.publish(*subject, "{}".into()).await.unwrap();
            wait_for_refusal(&refused, subject).await.unwrap();
        }
        let mut spied = client.subscribe("tideline.hints.>").await.unwrap();
        wait_for_refusal(&refused, "tideline.hints.>").await.unwrap();
        client.publish("tideline.hints.ingest", "x".into()).await.unwrap();
        client.flush().await.unwrap();
        let seen = tokio::time::timeout(Duration::from_millis(200), spied.next()).await;
        assert!(!matches!(seen, Ok(Some(_))), "{role} reads the hints of others");
    }
    let context = jetstream::new(connect(&server, "worker").await.unwrap().0);
    assert!(context.get_stream("TIDELINE_HINTS").await.is_ok());
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_nobody_comes_in_without_one() {
    let Some(server) = server("a_wrong_password_is_refused").await.unwrap() else {
        return;
    };
    for wrong in [server.url(), server.url().replace("nats://", "nats://worker:guess@")] {
        let opened = JetStreamQueue::open(&NatsAddress::parse(&wrong).unwrap()).await;
        let error = opened.err().expect("it came in").to_string();
        assert!(error.starts_with("queue: ") && error.contains("credentials"), "{error}");
        assert!(!error.contains("guess"), "{error}");
    }
}

#[test]
fn nats_takes_the_file_as_it_is_with_passwords_from_the_environment() {
    if !Nats::is_here() {
        return;
    }
    let nats = compose::services(&BTreeMap::new()).unwrap()["nats"].clone();
    let mut command = Nats::command().unwrap();
    command
        .arg("-t")
        .arg("-c")
        .arg(workspace().unwrap().join("deploy/nats.conf"));
    let output = command.env_clear().envs(&nats.environment).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = command.env_clear().output().unwrap();
    assert!(!output.status.success(), "it starts without passwords");
}
