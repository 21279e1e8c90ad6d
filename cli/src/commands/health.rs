//! `tideline health`: the health check of containers, which have no shell and no curl.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Out, unreachable};

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Where roles listen unless a configuration says otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:7070";

/// Whom to ask.
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// URL to check: …/livez (its loops are running) or …/readyz (the store is reachable and its schema current)
    /// [default: /livez at the `listen` of the configuration given with --config, else http://127.0.0.1:7070/livez]
    url: Option<Url>,
    /// Timeout in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// 0 if the answer is 200, else 7.
pub(crate) async fn run(context: &Context, out: &mut Out, args: HealthArgs) -> anyhow::Result<Code> {
    let url = match args.url {
        Some(url) => url,
        None => configured(context)?,
    };
    let answer = tokio::time::timeout(Duration::from_secs(args.timeout), get(&url))
        .await
        .map_err(|_| not_healthy(format!("{url} does not answer within {} s", args.timeout)))?;
    let (status, body) = answer.map_err(|error| not_healthy(unreachable(url.as_str(), error.as_ref())))?;
    if out.is_json() {
        out.document(&json!({"url": url.as_str(), "status": status, "healthy": status == 200, "body": body}))?;
    } else {
        out.line(format!("{status} {}", body.trim_end()))?;
    }
    Ok(if status == 200 { Code::Done } else { Code::NotInTime })
}

/// Where the roles of the given configuration listen, as this machine reaches them.
fn configured(context: &Context) -> anyhow::Result<Url> {
    let listen = match context.given_settings()? {
        None => DEFAULT_LISTEN.to_owned(),
        Some(settings) => settings.listen.ok_or_else(|| {
            let why = "listen is none in the configuration, so there is no address to check; specify the URL";
            Failure::new(Code::Config, why)
        })?,
    };
    let (host, port) = listen.rsplit_once(':').unwrap_or((&listen, "7070"));
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Url::parse(&format!("http://{host}:{port}/livez")).context("listen is no address that can be checked")
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
