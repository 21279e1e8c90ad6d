//! What is refused at the start, and whether the rights that the deployment gives are enough.

use std::time::Duration;

use async_nats::jetstream;
use tideline_core::words::NatsAddress;
use tideline_queue::jetstream::JetStreamQueue;
use tideline_queue::{Queue as _, QueueError, QueueHealth};
use tideline_tests::servers::{self, Nats};
use tideline_tests::wait_until;

use crate::{LIMIT, connect, hint};

/// What opening says about a server with this configuration.
async fn complaint(config: &str, url: impl Fn(&Nats) -> String) -> Option<String> {
    if !Nats::is_here() {
        println!("left out, there is no nats-server to start (install nats-server)");
        return None;
    }
    let server = Nats::start_with(Some(config)).await.unwrap();
    let address = NatsAddress::parse(&url(&server)).unwrap();
    match JetStreamQueue::open(&address).await {
        Err(QueueError::Config(text)) => Some(text),
        Err(other) => panic!("no configuration error: {other:?}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test]
async fn wrong_credentials_are_a_configuration_error_without_the_password() {
    let config = "authorization { users = [ {user: ann, password: right} ] }";
    for login in ["ann:hunter2@", "hunter2@", ""] {
        let url = |server: &Nats| format!("nats://{login}{}", server.address());
        let Some(text) = complaint(config, url).await else {
            return;
        };
        assert!(text.starts_with("queue: ") && text.contains("credentials"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_nats_without_jetstream_is_a_configuration_error() {
    // The account of this user has no JetStream, though the server has.
    let config = "accounts { A: { users: [ {user: ann, password: right} ] } }";
    let url = |server: &Nats| format!("nats://ann:right@{}", server.address());
    let Some(text) = complaint(config, url).await else {
        return;
    };
    assert!(text.contains("without JetStream"), "{text}");
}

#[tokio::test]
async fn too_little_storage_is_a_configuration_error() {
    let config = "accounts { A: { jetstream: { max_file: 1M }, users: [ {user: ann, password: right} ] } }";
    let url = |server: &Nats| format!("nats://ann:right@{}", server.address());
    let Some(text) = complaint(config, url).await else {
        return;
    };
    assert!(text.contains("storage") && text.contains("max_bytes"), "{text}");
}

#[tokio::test]
async fn missing_rights_are_a_configuration_error() {
    let config = r#"accounts { A: { jetstream: enabled, users: [
        {user: ann, password: right, permissions: { publish: ["tideline.>"] } } ] } }"#;
    let url = |server: &Nats| format!("nats://ann:right@{}", server.address());
    let Some(text) = complaint(config, url).await else {
        return;
    };
    assert!(
        text.contains("permissions listed in docs/operations.md") && text.contains("Permissions Violation"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_the_url_demands_tls() {
    let Some(server) = servers::own_nats("no tls").await.unwrap() else {
        return;
    };
    let address = NatsAddress::parse(&format!("tls://{}", server.address())).unwrap();
    match JetStreamQueue::open(&address).await {
        Err(QueueError::Config(text)) => assert!(text.starts_with("queue: "), "{text}"),
        Err(other) => panic!("{other:?}"),
        Ok(queue) => assert!(matches!(queue.health(), QueueHealth::Degraded(_))),
    }
}

/// `deploy/nats.conf` without what the harness gives on the command line, and with a password.
fn deployed_config() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats.conf");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let place = ["listen:", "http:", "store_dir:"];
        if place.iter().any(|key| line.trim_start().starts_with(key)) {
            continue;
        }
        let mut line = line.to_owned();
        for role in ["PRODUCER", "WORKER", "SCHEDULER"] {
            line = line.replace(&format!("$NATS_{role}_PASSWORD"), "right");
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_deployment_gives_each_role_are_enough() {
    if !Nats::is_here() {
        println!("left out, there is no nats-server to start (install nats-server)");
        return;
    }
    let server = Nats::start_with(Some(&deployed_config())).await.unwrap();
    let login = |role: &str| format!("nats://{role}:right@{}", server.address());
    let producer = connect(&login("producer")).await;
    let worker = connect(&login("worker")).await;
    let scheduler = connect(&login("scheduler")).await;
    for (sender, job) in [(&producer, 1), (&scheduler, 2), (&worker, 3)] {
        sender.publish(&[hint(job)]).await.unwrap();
        let received = tokio::time::timeout(LIMIT, worker.receive(&["k".into()], 1)).await;
        let received = received.unwrap().unwrap();
        assert_eq!(received[0].hint(), &hint(job));
        received[0].ack().await;
        for waiter in [&producer, &worker, &scheduler] {
            let mut wakeups = waiter.wakeups();
            wait_until("a wake-up", LIMIT, async || {
                sender.wake().await;
                tokio::time::timeout(Duration::from_millis(300), wakeups.next()).await
            })
            .await
            .unwrap();
        }
    }
    for queue in [&producer, &worker, &scheduler] {
        assert_eq!(queue.health(), QueueHealth::Healthy);
    }
    // The acks arrived, so nothing comes again.
    let options = async_nats::ConnectOptions::with_user_and_password("worker".into(), "right".into());
    let admin = jetstream::new(options.connect(server.url()).await.unwrap());
    wait_until("an empty stream", LIMIT, async || {
        let stream = admin
            .get_stream("TIDELINE_HINTS")
            .await
            .map_err(|error| error.to_string())?;
        match stream.cached_info().state.messages {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        }
    })
    .await
    .unwrap();
}
