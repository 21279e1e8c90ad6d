//! Sends requests and reads responses: one connection pool per source, credentials, bounded bodies, redirects within
//! the origin only.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tideline_config::settings::{HttpSettings, RateLimitHeaders};
use tideline_core::clock::Clock;
use tideline_core::rules::REDACTED;
use tideline_core::words::Validators;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;
use url::Url;

use super::super::redact::Redactor;
use super::auth::{self, Credential, Tokens};
use super::exchange::{Observer, Shown};
use super::hidden::{self, MIN_SECRET_BYTES};
use super::pace::Pace;
use super::paging::HttpRequest;
use super::plan::Problem;
use crate::source::{ErrorClass, SourceError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of redirects, all within one origin.
const MAX_REDIRECTS: usize = 5;

/// Maximum size that is read of an error response and of a token endpoint's response, in bytes.
pub(super) const MAX_SMALL_BODY: u64 = 64 * 1024;

/// Maximum number of bytes of a body shown in an error.
const SHOWN_BYTES: usize = 200;

/// Why no request of any kind can succeed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Outage {
    /// There is no connection.
    #[error("no connection")]
    NoConnection,
    /// There is no token.
    #[error("no token")]
    NoToken,
}

/// An answer.
pub(in crate::sources) struct Answer {
    pub(in crate::sources) status: StatusCode,
    pub(in crate::sources) headers: HeaderMap,
    /// Where it came from, after redirects.
    pub(super) url: Url,
    pub(in crate::sources) body: Bytes,
    /// The body went on after the limit.
    pub(in crate::sources) endless: bool,
}

/// Sends requests of one source.
pub(in crate::sources) struct Transport {
    pub(super) client: reqwest::Client,
    /// For resources that are read by POST, if there are some: a redirect that would make it a GET is not followed (RFC
    /// 9110, section 15.4).
    posting: Option<reqwest::Client>,
    base: Url,
    headers: HeaderMap,
    credential: Credential,
    max_body_bytes: u64,
    pub(super) rate_limit: RateLimitHeaders,
    pub(in crate::sources) pace: Option<Pace>,
    pub(in crate::sources) redactor: Arc<Redactor>,
    pub(in crate::sources) clock: Arc<dyn Clock>,
    pub(in crate::sources) observer: Option<Observer>,
}

impl Transport {
    /// Prepares the pool; connects to nothing.
    ///
    /// # Errors
    /// Names the keys whose values cannot be sent.
    pub(in crate::sources) fn new(
        settings: &HttpSettings,
        page_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<Problem>> {
        // A provider that is already installed is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let redactor = Arc::new(Redactor::default());
        let mut problems = Vec::new();
        let headers = fixed_headers(settings, &redactor, &mut problems);
        hidden::learn(settings, &redactor);
        let credential = Credential::new(&settings.auth, &redactor).map_err(|problem| vec![problem])?;
        if !problems.is_empty() {
            return Err(problems);
        }
        let build = |policy| {
            let client = reqwest::Client::builder()
                .user_agent(concat!("tideline/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT.min(page_timeout))
                .read_timeout(page_timeout)
                .timeout(page_timeout)
                .referer(false)
                // Unpacked here: an answer may be several members one after the other, of which it reads one.
                .no_gzip()
                .redirect(policy)
                .build();
            client.map_err(|error| {
                let why = redactor.text(&chain(&error.without_url()));
                let problem = format!("the HTTP client cannot be set up: {why}");
                vec![("base_url".to_owned(), problem)]
            })
        };
        let client = build(same_origin_only(|_| true))?;
        let keeps_method = |status| matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let posts = settings.resources.iter().any(|resource| resource.post);
        let posting = posts.then(|| build(same_origin_only(keeps_method))).transpose()?;
        Ok(Self {
            client,
            posting,
            base: settings.base_url.clone(),
            headers,
            credential,
            max_body_bytes: settings.max_body_bytes,
            rate_limit: settings.rate_limit.clone(),
            pace: settings.max_requests_per_second.map(Pace::new),
            redactor,
            clock,
            observer: None,
        })
    }

    /// Sends the request and reads the answer whole. A token that is refused is fetched anew, once.
    ///
    /// # Errors
    /// Transient: no answer, or one that was cut. Answers of any status are not errors here.
    pub(in crate::sources) async fn fetch(
        &self,
        asked: &HttpRequest,
        condition: Option<&Validators>,
    ) -> Result<Answer, SourceError> {
        let mut extra = HeaderMap::new();
        if let Some(condition) = condition {
            add_condition(&mut extra, condition);
        }
        self.call(asked, &extra).await
    }

    /// Like [`Transport::fetch`], with headers of this request alone.
    pub(super) async fn call(&self, asked: &HttpRequest, extra: &HeaderMap) -> Result<Answer, SourceError> {
        let (answer, used) = self.send(asked, extra).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let (Credential::Fetched(tokens), Some(used)) = (&self.credential, used)
        {
            tokens.refuse(&used).await;
            return Ok(self.send(asked, extra).await?.0);
        }
        Ok(answer)
    }

    async fn send(
        &self,
        asked: &HttpRequest,
        extra: &HeaderMap,
    ) -> Result<(Answer, Option<tideline_core::words::Secret>), SourceError> {
        let mut headers = self.headers.clone();
        headers.extend(asked.headers.clone());
        let mut used = None;
        match &self.credential {
            Credential::None => {}
            Credential::Fixed(name, value) => {
                headers.insert(name.clone(), value.clone());
            }
            Credential::Fetched(tokens) => {
                let token = self.token(tokens).await.map_err(no_token)?;
                if let Some(value) = auth::sensitive(&format!("Bearer {}", token.reveal())) {
                    headers.insert(AUTHORIZATION, value);
                }
                used = Some(token);
            }
        }
        for (name, value) in extra {
            headers.insert(name.clone(), value.clone());
        }
        if asked.body.is_some() {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        let mut request = self
            .client
            .request(asked.method.clone(), asked.url.clone())
            .headers(headers);
        if let Some(body) = &asked.body {
            request = request.body(body.clone());
        }
        let answer = self.receive(asked, request, self.max_body_bytes).await?;
        Ok((answer, used))
    }

    pub(super) async fn receive(
        &self,
        asked: &HttpRequest,
        request: reqwest::RequestBuilder,
        limit: u64,
    ) -> Result<Answer, SourceError> {
        let request = request.build().map_err(|error| self.no_answer(asked, error))?;
        let shown = self.observer.as_ref().map(|_| Shown::new(&request, &self.redactor));
        let started = self.clock.now();
        let response = self.first_byte(request).await;
        let response = response.map_err(|error| self.no_answer(asked, error))?;
        let status = response.status();
        let limit = if status.is_success() {
            limit
        } else {
            limit.min(MAX_SMALL_BODY)
        };
        let (headers, url) = (response.headers().clone(), response.url().clone());
        let expected = response.content_length().unwrap_or(0).min(limit);
        let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        // One byte more than allowed shows whether there is more.
        let most = limit.saturating_add(1);
        match unpacked(response).take(most).read_to_end(&mut body).await {
            Ok(_) => {}
            // The status of an error says enough, whatever became of its text.
            Err(_) if !status.is_success() => {}
            Err(error) => return Err(self.cut(asked, error)),
        }
        let endless = body.len() as u64 > limit;
        if endless {
            body.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        if let (Some(observer), Some(shown)) = (&self.observer, shown) {
            let took = self.clock.now().since(started);
            let mut exchange = shown.answered(status, &headers, &body, took, &self.redactor);
            if asked.hides_answer && status.is_success() {
                REDACTED.clone_into(&mut exchange.answer);
            }
            observer(exchange);
        }
        Ok(Answer {
            status,
            headers,
            url,
            body: body.into(),
            endless,
        })
    }

    /// Sends the request when it is its turn. A kept-alive connection that the server closed just before does not count
    /// as a failure: the request is resent once, immediately (RFC 9110, section 9.2.2; a source is only read, by POST
    /// too).
    pub(super) async fn first_byte(&self, request: reqwest::Request) -> Result<reqwest::Response, reqwest::Error> {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let posting = self.posting.as_ref().filter(|_| request.method() == Method::POST);
        let client = posting.unwrap_or(&self.client);
        let again = request.try_clone();
        match (client.execute(request).await, again) {
            (Err(error), Some(again)) if was_closed(&error) => client.execute(again).await,
            (answer, _) => answer,
        }
    }

    fn cut(&self, asked: &HttpRequest, error: std::io::Error) -> SourceError {
        match error.downcast::<reqwest::Error>() {
            Ok(error) => self.no_answer(asked, error),
            Err(error) => {
                let why = self.redactor.text(&chain(&error));
                let text = format!("{} sent a truncated or broken response: {why}", address(&asked.url));
                SourceError::new(ErrorClass::Transient { retry_after: None }, text)
            }
        }
    }

    fn no_answer(&self, asked: &HttpRequest, error: reqwest::Error) -> SourceError {
        let what = if error.is_timeout() {
            "did not answer in time"
        } else if error.is_connect() {
            "cannot be reached"
        } else if error.is_body() || error.is_decode() {
            "sent a truncated or broken response"
        } else {
            "did not answer"
        };
        let class = if error.is_builder() {
            ErrorClass::Permanent
        } else {
            ErrorClass::Transient { retry_after: None }
        };
        let outage = error.is_connect().then(|| Box::new(Outage::NoConnection).into());
        let why = self.redactor.text(&chain(&error.without_url()));
        SourceError {
            source: outage,
            ..SourceError::new(class, format!("{} {what}: {why}", address(&asked.url)))
        }
    }

    /// Tokens that are fetched, if that is how it proves who asks.
    pub(super) fn tokens(&self) -> Option<&Tokens> {
        match &self.credential {
            Credential::Fetched(tokens) => Some(tokens),
            Credential::None | Credential::Fixed(..) => None,
        }
    }

    /// An address of the API.
    pub(super) fn api(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let joined = format!("{}{path}", self.base.path().trim_end_matches('/'));
        url.set_path(&joined);
        url
    }

    /// The headers of every request, without credentials.
    pub(super) fn fixed(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// The first bytes of a body, for an error.
    pub(super) fn shown(&self, body: &[u8]) -> String {
        self.redactor.sample(body, SHOWN_BYTES)
    }
}

/// Scheme, host, port and path: never user information, query or fragment.
pub(in crate::sources) fn address(url: &Url) -> String {
    format!("{}{}", super::paging::origin_text(url), url.path())
}

/// Without a token nothing can be sent.
pub(super) fn no_token(error: SourceError) -> SourceError {
    SourceError {
        source: Some(Box::new(Outage::NoToken)),
        ..error
    }
}

/// The connection was closed before anything of an answer came: hyper finds that out only when it writes.
fn was_closed(error: &reqwest::Error) -> bool {
    if error.is_timeout() || error.is_connect() || error.is_builder() || error.is_redirect() {
        return false;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            return matches!(
                error.kind(),
                ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof
            );
        }
        cause = error.source();
    }
    false
}

/// The body, with all members of a gzip answer unpacked (RFC 1952, section 2.2); other encodings are unpacked already.
pub(super) fn unpacked(response: reqwest::Response) -> Pin<Box<dyn AsyncRead + Send>> {
    let encoding = response
        .headers()
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let is_gzip = encoding.is_some_and(|name| matches!(name.trim().to_ascii_lowercase().as_str(), "gzip" | "x-gzip"));
    let bytes = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
    if is_gzip {
        let mut decoder = GzipDecoder::new(bytes);
        decoder.multiple_members(true);
        Box::pin(decoder)
    } else {
        Box::pin(bytes)
    }
}

fn same_origin_only(follows: impl Fn(StatusCode) -> bool + Send + Sync + 'static) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        let within = attempt
            .previous()
            .last()
            .is_some_and(|from| from.origin() == attempt.url().origin());
        if within && follows(attempt.status()) && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn fixed_headers(settings: &HttpSettings, redactor: &Redactor, problems: &mut Vec<Problem>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"));
    for (name, value) in &settings.headers {
        let at = format!("headers.{name}");
        // Nothing declares which headers hold secrets; these hold none.
        let lower = name.to_ascii_lowercase();
        let harmless = ["accept", "user-agent", "content-type", "x-github-api-version"];
        if !harmless.iter().any(|known| lower.starts_with(known)) && value.reveal().len() >= MIN_SECRET_BYTES {
            redactor.add(value.reveal());
        }
        match (HeaderName::from_bytes(name.as_bytes()), auth::sensitive(value.reveal())) {
            (Ok(name), Some(value)) => {
                headers.insert(name, value);
            }
            (Err(_), _) => problems.push((at, "is not a header's name".to_owned())),
            (_, None) => problems.push((at, auth::NOT_A_HEADER.to_owned())),
        }
    }
    headers
}

fn add_condition(headers: &mut HeaderMap, validators: &Validators) {
    let value = |text: &Option<String>| text.as_ref().and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(etag) = value(&validators.etag) {
        headers.insert(IF_NONE_MATCH, etag);
    } else if let Some(date) = value(&validators.last_modified) {
        // RFC 9110, section 13.1.3: of no meaning beside If-None-Match.
        headers.insert(IF_MODIFIED_SINCE, date);
    }
}

/// The error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
