//! Downloads from addresses that an answer names: without credentials, only from allowed hosts, and without the address in
//! any text, because whoever has it can read what is there.

use std::pin::Pin;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT_ENCODING, LOCATION};
use tokio::io::AsyncRead;
use url::Url;

use super::limits;
use super::paging::origin_text;
use super::transport::{Transport, unpacked};
use crate::source::{ErrorClass, SourceError};

/// Redirects to other origins that are followed, each to an allowed host.
const MAX_HOPS: usize = 3;

/// A download.
pub(in crate::sources) enum Download {
    /// What comes, as it comes.
    Body(Pin<Box<dyn AsyncRead + Send>>),
    /// The address is not good, or no longer.
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

fn refused(what: &str, from: &str, status: StatusCode, retry_after: Option<Duration>) -> SourceError {
    let class = match status.as_u16() {
        408 | 425 | 429 | 500..=599 => ErrorClass::Transient { retry_after },
        _ => ErrorClass::Permanent,
    };
    SourceError::new(class, format!("{what}: {from} answered {status}"))
}

/// The causes of the error may name the address, so only what kind it is is told.
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
