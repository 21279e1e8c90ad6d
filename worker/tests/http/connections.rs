//! What happens to connections and bodies on the way.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use serde_json::json;
use tideline_config::settings::Pagination;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use crate::api::*;
use crate::encodings::gzip;

#[tokio::test]
async fn all_members_of_a_gzip_answer_are_read() {
    let api = Api::start(|_| {
        let text = json!(components(0, 3)).to_string();
        let (one, two) = text.as_bytes().split_at(40);
        let body = [gzip(one), gzip(two)].concat();
        Response::builder()
            .header("content-encoding", "gzip")
            .body(Body::from(body))
            .unwrap()
    })
    .await;
    assert_eq!(pass(&open(things(&api.url, Pagination::None))).await.names, names(3));
}

/// Answers one request per connection, keeps it open, and closes it as soon as the next request comes.
async fn closes_at_reuse() -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = json!(components(0, 1)).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = stream.read(&mut request).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_at_its_reuse_costs_no_failure() {
    let url = closes_at_reuse().await;
    let source = open(things(&url, Pagination::None));
    for _ in 0..3 {
        assert_eq!(references(&first(&source).await.unwrap()).len(), 1);
    }
}

#[tokio::test]
async fn no_more_requests_go_out_per_second_than_allowed() {
    let api = Api::start(|_| answer(json!(components(0, 1)))).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.max_requests_per_second = Some(20.0);
    let source = open(settings);
    let began = tokio::time::Instant::now();
    for _ in 0..5 {
        first(&source).await.unwrap();
    }
    // The first goes out at once, each of the others a twentieth of a second after the one before.
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
}
