//! `tideline health`: the health check of containers, which have no shell and no curl.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::exit::{Code, Failure};
use crate::output::Out;

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Whom to ask.
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// URL to check: …/livez (its loops are running) or …/readyz (the store is reachable and its schema current)
    #[arg(default_value = "http://127.0.0.1:7070/livez")]
    url: Url,
    /// Timeout in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// 0 if the answer is 200, else 7.
pub(crate) async fn run(out: &mut Out, args: HealthArgs) -> anyhow::Result<Code> {
    let answer = tokio::time::timeout(Duration::from_secs(args.timeout), get(&args.url))
        .await
        .map_err(|_| not_healthy(format!("{} does not answer within {} s", args.url, args.timeout)))?;
    let (status, body) = answer.map_err(|error| not_healthy(format!("{} cannot be asked: {error:#}", args.url)))?;
    if out.is_json() {
        out.document(&json!({"url": args.url.as_str(), "status": status, "healthy": status == 200, "body": body}))?;
    } else {
        out.line(format!("{status} {}", body.trim_end()))?;
    }
    Ok(if status == 200 { Code::Done } else { Code::NotInTime })
}

fn not_healthy(message: String) -> Failure {
    Failure::new(Code::NotInTime, message)
}

/// HTTP/1.0, so that the answer is not chunked and ends with the connection (RFC 1945).
async fn get(url: &Url) -> anyhow::Result<(u16, String)> {
    anyhow::ensure!(url.scheme() == "http", "only http:// URLs can be asked");
    let host = url.host_str().context("the URL has no host")?;
    let address = (host.trim_matches(['[', ']']), url.port_or_known_default().unwrap_or(80));
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {} HTTP/1.0\r\nhost: {host}\r\nconnection: close\r\n\r\n",
        url.path()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("the answer has no status")?;
    Ok((status, body.to_owned()))
}
