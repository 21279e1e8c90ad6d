//! One process with telemetry: what a collector gets, and the page for Prometheus.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is test code")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tideline_config::settings::TelemetrySettings;
use tideline_core::words::{ClaimedJob, Fingerprint, JobId, Timestamp, Token, Trigger};
use tideline_runtime::telemetry::{context, init, metrics, spans};

/// Answers every request with 200, and passes on path and body.
fn collector() -> (u16, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                while let Some(request) = read_request(&mut stream) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    let _ = sender.send(request);
                }
            });
        }
    });
    (port, receiver)
}

fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    let path = head.split(' ').nth(1)?.to_owned();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
    let mut body = vec![0; length.trim().parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some((path, body))
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

fn job(trace: Option<String>) -> ClaimedJob {
    ClaimedJob {
        id: JobId(7),
        token: Token(2),
        kind: "greet".into(),
        key: "k".into(),
        fingerprint: Fingerprint::default(),
        args: "null".into(),
        cursor: None,
        progress: None,
        attempt: 1,
        rung: 0,
        due_at: Timestamp(0),
        trigger: Trigger::Manual,
        trace,
        source: None,
        cycle: None,
    }
}

#[test]
fn a_collector_gets_linked_traces_and_metrics_and_prometheus_gets_a_page() {
    let (port, requests) = collector();
    let settings = TelemetrySettings {
        otlp_endpoint: Some(format!("http://127.0.0.1:{port}").parse().unwrap()),
        ..TelemetrySettings::default()
    };
    let guard = init(&settings, "test").unwrap();

    let creation = spans::publish("greet", 1);
    let created = context::of(&creation).unwrap();
    drop(creation);
    let process = spans::process(&job(Some(created.clone())), None);
    let own = context::of(&process).unwrap();
    assert_ne!(own[3..35], created[3..35], "an attempt is a trace of its own");
    spans::ended(&process, "retry", Some("transient"));
    drop(process);
    metrics::lease_lost("greet");
    metrics::due_lag("greet", Duration::from_millis(3));
    metrics::queue_degraded(true);

    let page = guard.metrics_page().render();
    for line in [
        r#"tideline_leases_lost_total{messaging_destination_name="greet"} 1"#,
        r#"tideline_job_due_lag_seconds_bucket{messaging_destination_name="greet",le="0.005"} 1"#,
        "tideline_queue_degraded 1",
        r#"service_name="tideline-test""#,
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }

    // The end of the process sends what is not sent yet.
    drop(guard);
    let mut traces = Vec::new();
    let mut measured = Vec::new();
    while traces.is_empty() || measured.is_empty() {
        let (path, body) = requests.recv_timeout(Duration::from_secs(10)).unwrap();
        match path.as_str() {
            "/v1/traces" => traces.extend(body),
            "/v1/metrics" => measured.extend(body),
            other => panic!("{other}"),
        }
    }
    for part in [
        "process greet",
        "publish greet",
        "messaging.destination.name",
        "transient",
        "tideline-test",
    ] {
        assert!(contains(&traces, part.as_bytes()), "{part} is in no trace");
    }
    // The link holds the trace of the creation, so that is there twice: in the span itself and in the link.
    let trace_id: Vec<u8> = (3..35)
        .step_by(2)
        .map(|at| u8::from_str_radix(&created[at..at + 2], 16).unwrap())
        .collect();
    let times = traces.windows(16).filter(|window| **window == trace_id[..]).count();
    assert_eq!(times, 2);
    assert!(contains(&measured, b"tideline.leases.lost"));
}
