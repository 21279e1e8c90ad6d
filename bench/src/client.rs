//! A small HTTP/1.1 client and server. What measures must cost little beside what is measured: one connection each, no
//! pooling, no more of a message parsed than is needed.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// Shorter bodies are sent together with their head.
const TOGETHER: usize = 64 * 1024;
/// Longest head of a message.
const MAX_HEAD: usize = 64 * 1024;

/// One connection that is kept open.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    received: Vec<u8>,
}

/// What was answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Fails unless it is a success.
    pub(crate) fn successful(self) -> Result<Self> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!((200..300).contains(&self.status), "{}: {text}", self.status);
        Ok(self)
    }

    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// `host:port` of a URL.
pub(crate) fn host_of(url: &Url) -> Result<String> {
    ensure!(url.scheme() == "http", "{url}: only http is measured");
    let host = url.host_str().with_context(|| format!("{url} names no host"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    Ok(format!("{host}:{port}"))
}

impl Connection {
    pub(crate) async fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host)
            .await
            .with_context(|| format!("connect to {host}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: host.to_owned(),
            received: Vec::new(),
        })
    }

    /// Sends JSON, or nothing.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Reply> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.exchange(head.as_bytes(), body.as_bytes()).await
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<Reply> {
        if body.len() < TOGETHER {
            self.stream.write_all(&[head, body].concat()).await?;
        } else {
            self.stream.write_all(head).await?;
            self.stream.write_all(body).await?;
        }
        let head = read_head(&mut self.stream, &mut self.received).await?;
        let head = head.context("the server closed the connection")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = if header(&head, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            self.read_chunks().await?
        } else {
            let length = header(&head, "content-length").map_or(Ok(0), str::parse)?;
            read_exactly(&mut self.stream, &mut self.received, length).await?
        };
        Ok(Reply {
            status: status.with_context(|| format!("no status in {head}"))?,
            body,
        })
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = find(&self.received, b"\r\n") {
                    let line = self.received.drain(..end + 2).collect::<Vec<_>>();
                    break String::from_utf8_lossy(&line).trim().to_owned();
                }
                ensure!(
                    self.stream.read_buf(&mut self.received).await? > 0,
                    "a chunk is cut off"
                );
            };
            let length = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)?;
            let mut chunk = read_exactly(&mut self.stream, &mut self.received, length + 2).await?;
            if length == 0 {
                return Ok(body);
            }
            chunk.truncate(length);
            body.append(&mut chunk);
        }
    }
}

/// Serves requests until it is dropped: path and body to what is answered.
pub(crate) struct Server {
    pub(crate) address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `answer` gives status and body.
    pub(crate) async fn start(
        answer: impl Fn(&str, &[u8]) -> (u16, String) + Clone + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move { serve(stream, answer).await });
            }
        });
        Ok(Self { address, task })
    }
}

async fn serve(mut stream: TcpStream, answer: impl Fn(&str, &[u8]) -> (u16, String)) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut received).await? {
        let length = header(&head, "content-length").map_or(Ok(0), str::parse)?;
        let body = read_exactly(&mut stream, &mut received, length).await?;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let (status, text) = answer(path, &body);
        let reply = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(reply.as_bytes()).await?;
    }
    Ok(())
}

/// The head of the next message; none: the connection was closed before it.
async fn read_head(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<Option<String>> {
    loop {
        if let Some(end) = find(received, b"\r\n\r\n") {
            let head: Vec<u8> = received.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        ensure!(received.len() < MAX_HEAD, "a head is too long");
        if stream.read_buf(received).await? == 0 {
            if received.is_empty() {
                return Ok(None);
            }
            bail!("a head is cut off");
        }
    }
}

async fn read_exactly(stream: &mut TcpStream, received: &mut Vec<u8>, length: usize) -> Result<Vec<u8>> {
    while received.len() < length {
        ensure!(stream.read_buf(received).await? > 0, "a body is cut off");
    }
    let rest = received.split_off(length);
    Ok(std::mem::replace(received, rest))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The value of a header.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut found = line.filter(|(given, _)| given.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_answered_as_the_server_says() -> Result<()> {
        let server = Server::start(|path, body| (201, format!("{path} {}", body.len()))).await?;
        let mut connection = Connection::open(&server.address).await?;
        for bytes in [0, 10, 200_000] {
            let reply = connection.ask("POST", "/a", &"x".repeat(bytes)).await?;
            assert_eq!((reply.status, reply.body), (201, format!("/a {bytes}").into_bytes()));
        }
        Ok(())
    }
}
