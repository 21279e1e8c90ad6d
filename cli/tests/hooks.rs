//! `tideline hooks` at a provider.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::support::Home;

/// A GitHub whose organization has this webhook.
fn github(hook: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = json!([hook]).to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while reader.read_line(&mut head).unwrap() > 2 {}
            let answer = match head.starts_with("GET") {
                true => format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                ),
                false => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
            };
            (&stream).write_all(answer.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = reader.read_to_end(&mut Vec::new());
        }
    });
    url
}

#[test]
fn a_webhook_that_does_not_work_is_not_verified() {
    let home = Home::with("hooks:\n  - { name: github, provider: github, secret: s3cret }\n");
    let mut hook = json!({
        "id": 7, "active": true, "events": ["push", "repository"],
        "config": { "url": "https://tideline.example.com/hooks/github", "content_type": "json" },
    });
    let verify = |hook: &Value| {
        let api = github(hook);
        let arguments = ["hooks", "verify", "github", "--organization", "acme", "--api-url", &api];
        let mut command = home.command(&[&arguments[..], &["--url", "https://tideline.example.com"]].concat());
        let said = command.env("GITHUB_TOKEN", "t0ken").output().unwrap();
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        (said.status.code(), text)
    };
    let (code, said) = verify(&hook);
    assert_eq!(code, Some(0), "{said}");
    hook["active"] = json!(false);
    hook["config"]["content_type"] = json!("form");
    let (code, said) = verify(&hook);
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("it is disabled, it sends forms") && said.contains("hooks register"),
        "{said}"
    );
}
