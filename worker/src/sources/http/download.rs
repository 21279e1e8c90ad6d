//! Downloads from addresses that an answer names: without credentials, only from allowed hosts, and without the address
//! in any text, because the address alone grants access.

use std::pin::Pin;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, LOCATION};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tideline_expression::Expression;
use tokio::io::{AsyncRead, AsyncReadExt};
use url::Url;

use super::paging::{HttpRequest, origin_text};
use super::transport::{Answer, Transport, address, unpacked};
use super::{HttpSource, limits};
use crate::source::{ErrorClass, SourceError};

/// Maximum number of redirects to other origins, each to an allowed host.
const MAX_HOPS: usize = 3;

/// A download.
pub(in crate::sources) enum Download {
    /// What comes, as it comes.
    Body(Pin<Box<dyn AsyncRead + Send>>),
    /// The address is invalid or has expired.
    Refused(StatusCode),
}

impl Transport {
    /// Opens a download of something (`what`, for errors).
    ///
    /// # Errors
    /// Transient: no answer, or one that says so. Permanent: a host that is not allowed, any other status.
    pub(in crate::sources) async fn download(
        &self,
        what: &str,
        address: Url,
        is_allowed: &(dyn Fn(&Url) -> bool + Send + Sync),
    ) -> Result<Download, SourceError> {
        let mut address = address;
        for _ in 0..=MAX_HOPS {
            let from = origin_text(&address);
            if !is_allowed(&address) {
                let why = format!("{what} is at {from}, a host that download_hosts does not allow");
                return Err(SourceError::new(ErrorClass::Permanent, why));
            }
            let request = self.client.get(address).header(ACCEPT_ENCODING, "gzip").build();
            let request = request.map_err(|error| not_downloaded(what, &from, &error))?;
            let response = self.first_byte(request).await;
            let response = response.map_err(|error| not_downloaded(what, &from, &error))?;
            let status = response.status();
            match status.as_u16() {
                200 => return Ok(Download::Body(unpacked(response))),
                301 | 302 | 303 | 307 | 308 => {
                    let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
                    let target = target.and_then(|target| response.url().join(target).ok());
                    let nowhere = || {
                        let why = format!("{what}: {from} answered {status} without saying where it is");
                        SourceError::new(ErrorClass::Permanent, why)
                    };
                    address = target.ok_or_else(nowhere)?;
                }
                401 | 403 | 404 | 410 => return Ok(Download::Refused(status)),
                _ => {
                    let wait = limits::retry_after(response.headers(), &self.rate_limit, self.clock.now());
                    return Err(refused(what, &from, status, wait));
                }
            }
        }
        let why = format!("{what} is behind more than {MAX_HOPS} redirects");
        Err(SourceError::new(ErrorClass::Permanent, why))
    }
}

impl HttpSource {
    /// The document at the address in a response, as if it had been the response. Its validators are not those of the
    /// response.
    pub(super) async fn downloaded(
        &self,
        download: &Expression,
        asked: &HttpRequest,
        answer: &Answer,
    ) -> Result<Answer, SourceError> {
        let what = format!("the download of {}", address(&asked.url));
        let permanent = |why: &str| SourceError::new(ErrorClass::Permanent, format!("{what}: {why}"));
        let text = std::str::from_utf8(&answer.body).map_err(|_| permanent("the answer is not UTF-8"))?;
        let found = self.inner.evaluator.evaluate(download, text).await;
        let found = found.map_err(|error| match error.is_transient() {
            true => SourceError::new(ErrorClass::Transient { retry_after: None }, format!("{what}: {error}")),
            // Its text may repeat what the answer has.
            false => permanent("the expression `download` fails on the answer"),
        })?;
        let named = found.iter().find_map(Value::as_str);
        let named = named.ok_or_else(|| permanent("the answer names no address (`download` makes no text of it)"))?;
        let at = answer
            .url
            .join(named)
            .map_err(|_| permanent("the address in the answer is none"))?;
        let is_allowed = |url: &Url| is_allowed(url, &self.inner.base, &self.download_hosts);
        let body = match self.transport.download(&what, at, &is_allowed).await? {
            Download::Body(body) => body,
            // Such addresses expire: the next attempt gets a new one.
            Download::Refused(status) => {
                let why = format!("{what}: the address in the answer was answered {status}");
                return Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why));
            }
        };
        let most = self.rules.max_body_bytes;
        let mut bytes = Vec::new();
        let cut = |_| SourceError::new(ErrorClass::Transient { retry_after: None }, format!("{what} was cut"));
        body.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .await
            .map_err(cut)?;
        let endless = bytes.len() as u64 > most;
        let got = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            url: asked.url.clone(),
            body: bytes.into(),
            endless,
        };
        self.rules.judge(asked, &got, (false, false), &self.transport)?;
        Ok(got)
    }
}

/// Whether a source may download from there: from its own host, or one that it names, and not in the clear unless its
/// API is.
pub(in crate::sources) fn is_allowed(url: &Url, base: &Url, hosts: &[String]) -> bool {
    if url.scheme() != base.scheme() && url.scheme() != "https" {
        return false;
    }
    let Some(host) = url.host_str() else { return false };
    let with_port = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    url.origin() == base.origin() || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&with_port))
}

fn refused(what: &str, from: &str, status: StatusCode, retry_after: Option<Duration>) -> SourceError {
    let class = match status.as_u16() {
        408 | 425 | 429 | 500..=599 => ErrorClass::Transient { retry_after },
        _ => ErrorClass::Permanent,
    };
    SourceError::new(class, format!("{what}: {from} answered {status}"))
}

/// The causes of the error may contain the address, so only its kind is shown.
fn not_downloaded(what: &str, from: &str, error: &reqwest::Error) -> SourceError {
    let why = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "did not answer"
    };
    SourceError::new(
        ErrorClass::Transient { retry_after: None },
        format!("{what}: {from} {why}"),
    )
}
