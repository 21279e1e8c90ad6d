//! The gateway of a fleet, over HTTP.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use tideline_core::words::Secret;
use tideline_producer::api::NDJSON;
use url::{Host, Url};

use super::error::ClientError;
use super::lines::Lines;
use super::request::Request;
use super::{Answer, MAX_ANSWER};

/// Maximum wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Maximum wait for an answer: longer than the gateway lets a request take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits before a request whose response was lost is resent.
const REPEATS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// A request whose response was lost after this time is not resent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Maximum wait for the end of an answer that comes line by line: longer than a gateway lets a plan take.
const LINES_TIMEOUT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// A gateway: its address, and the token.
#[derive(Clone)]
pub(crate) struct Server {
    url: Url,
    token: Option<Secret>,
}

impl Server {
    /// At this URL, which may have a path.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut url =
            Url::parse(text).map_err(|error| format!("{error}; expected a URL like https://tideline.example.com"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("expected a URL like https://tideline.example.com".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not contain a user or password; use `tideline login`, or TIDELINE_TOKEN".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it must not contain parameters or a fragment".to_owned());
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self { url, token: None })
    }

    /// Opened by this token.
    pub(crate) fn with_token(self, token: Option<Secret>) -> Self {
        Self { token, ..self }
    }

    /// Whether the connection is unencrypted and leaves this machine.
    pub(crate) fn is_open_to_eavesdroppers(&self) -> bool {
        let loopback = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.url.scheme() == "http" && !loopback
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

pub(crate) struct Remote {
    server: Server,
    http: reqwest::Client,
}

impl Remote {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// This machine has no certificates to trust.
    pub(crate) fn open(server: Server) -> anyhow::Result<Self> {
        // A provider that is already installed is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("tideline/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { server, http })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The API's problem, or why there is no answer.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, ClientError> {
        let response = self.begin(request, TIMEOUT).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(request, response).await?;
        if status.is_success() && is_json(&headers, body.is_empty()) {
            return Ok(Answer { body });
        }
        Err(self.refusal(status.as_u16(), &headers, &body))
    }

    /// Sends a request again if its answer is lost on the way. An act needs a key for that.
    ///
    /// # Errors
    /// As [`Remote::send`].
    pub(crate) async fn send_patiently(&self, request: &Request) -> Result<Answer, ClientError> {
        let began = Instant::now();
        for wait in REPEATS {
            match self.send(request).await {
                Err(ClientError::Broken { .. }) if began.elapsed() < PATIENCE => tokio::time::sleep(wait).await,
                answered => return answered,
            }
        }
        self.send(request).await
    }

    /// Sends a request whose answer comes line by line, however long that takes.
    ///
    /// # Errors
    /// As [`Remote::send`].
    pub(crate) async fn lines(&self, request: &Request) -> Result<Lines, ClientError> {
        let response = self.begin(request, LINES_TIMEOUT).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() && has_type(&headers, NDJSON) {
            return Ok(Lines::new(self.server.to_string(), response));
        }
        let body = self.body(request, response).await?;
        Err(self.refusal(status.as_u16(), &headers, &body))
    }

    async fn begin(&self, request: &Request, timeout: Duration) -> Result<reqwest::Response, ClientError> {
        let url = format!("{}{}", self.server.url, request.target());
        let mut asked = self.http.request(request.method.clone(), url).timeout(timeout);
        if let Some(token) = &self.server.token {
            asked = asked.bearer_auth(token.reveal());
        }
        for (name, value) in request.headers() {
            asked = asked.header(name, value);
        }
        if let Some(body) = &request.body {
            asked = asked.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        asked.send().await.map_err(|error| {
            let (server, source) = (self.server.to_string(), error.without_url());
            if source.is_connect() {
                return ClientError::Unreachable { server, source };
            }
            self.broken(request, Box::new(source))
        })
    }

    async fn body(&self, request: &Request, response: reqwest::Response) -> Result<Vec<u8>, ClientError> {
        read(response).await.map_err(|source| self.broken(request, source))
    }

    fn broken(&self, request: &Request, source: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
        ClientError::Broken {
            server: self.server.to_string(),
            acts: !request.is_get(),
            source,
        }
    }

    fn refusal(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> ClientError {
        let server = self.server.to_string();
        if let Some(mut refusal) = ClientError::problem(body) {
            refusal.server = Some(server);
            refusal.with_token = self.server.token.is_some();
            let request = headers.get("x-request-id").and_then(|id| id.to_str().ok());
            refusal.request = request.map(str::to_owned);
            return ClientError::Problem(refusal);
        }
        let hint = match status {
            300..=399 => "; redirects are not followed, use the final URL",
            502..=504 => "; the proxy in front of it cannot reach it",
            _ => "",
        };
        ClientError::NotTideline { server, status, hint }
    }
}

fn is_json(headers: &HeaderMap, empty: bool) -> bool {
    empty || has_type(headers, "application/json")
}

fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with(media_type))
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(format!("it is longer than {MAX_ANSWER} bytes").into());
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_without_credentials() {
        for (text, shown) in [
            ("https://t.example", "https://t.example"),
            ("https://t.example/tideline", "https://t.example/tideline"),
            ("http://127.0.0.1:7070/", "http://127.0.0.1:7070"),
        ] {
            assert_eq!(Server::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "t.example",
            "t.example:7070",
            "ftp://t.example",
            "https://me:hunter2@t.example",
            "https://t.example/?token=hunter2",
        ] {
            let why = Server::parse(text).err().unwrap();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_token_to_another_machine_without_tls_can_be_overheard() {
        let open = |text: &str| Server::parse(text).unwrap().is_open_to_eavesdroppers();
        assert!(open("http://t.example") && open("http://10.0.0.1:7070"));
        assert!(!open("https://t.example") && !open("http://localhost:7070") && !open("http://[::1]:7070"));
    }
}
