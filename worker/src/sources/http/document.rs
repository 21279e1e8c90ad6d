//! Reading a document that lies on the source's own host, with the source's credentials.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::HttpSource;
use super::paging::HttpRequest;
use crate::source::{Document, SourceError};

impl HttpSource {
    /// The document at a URL of the source's host. 404 and 410: there is none, or it is not shown.
    pub(super) async fn document(&self, url: &Url, max_bytes: u64) -> Result<Document, SourceError> {
        if url.origin() != self.inner.base.origin() {
            return Ok(Document::Elsewhere);
        }
        let request = HttpRequest {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: None,
            hides_answer: false,
        };
        // GitHub's contents API gives the file itself only if it is asked to.
        let is_github = url.path().contains("/repos/") && url.path().contains("/contents/");
        let accept = if is_github {
            "application/vnd.github.raw+json"
        } else {
            "*/*"
        };
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        let answer = self.transport.call(&request, &headers).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(Document::Missing);
        }
        self.rules.judge(&request, &answer, (false, false), &self.transport)?;
        if answer.endless || answer.body.len() as u64 > max_bytes {
            return Ok(Document::TooLong);
        }
        Ok(Document::Found(answer.body.to_vec()))
    }
}
