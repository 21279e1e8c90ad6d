//! Reads a document on the source's own host, with the source's credentials.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::HttpSource;
use super::paging::HttpRequest;
use crate::source::{Document, SourceError};

/// Maximum number of parts of a branch's name, as in `release/2026/q4`.
const MAX_BRANCH_PARTS: usize = 4;

impl HttpSource {
    /// The document at a URL of the source's host, or at a page of GitHub if the source asks its API. 404 and 410:
    /// there is none, or it is not shown.
    pub(super) async fn document(&self, url: &Url, max_bytes: u64) -> Result<Document, SourceError> {
        let contents = contents_of_page(url, &self.inner.base);
        if contents.is_empty() {
            return match url.origin() == self.inner.base.origin() {
                true => self.document_at(url, max_bytes).await,
                false => Ok(Document::Elsewhere),
            };
        }
        for address in contents {
            match self.document_at(&address, max_bytes).await? {
                Document::Missing => {}
                found => return Ok(found),
            }
        }
        Ok(Document::Missing)
    }

    async fn document_at(&self, url: &Url, max_bytes: u64) -> Result<Document, SourceError> {
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

/// The pages of the GitHub whose API is at `base`: github.com, a company's part of ghe.com, or Enterprise Server.
fn pages_of(base: &Url) -> Option<Url> {
    let host = base.host_str()?;
    let mut pages = base.clone();
    if base.path().trim_end_matches('/') != "/api/v3" {
        let host = host.strip_prefix("api.")?;
        if host != "github.com" && !host.ends_with(".ghe.com") {
            return None;
        }
        pages.set_host(Some(host)).ok()?;
    }
    Some(pages)
}

/// `…/O/R/blob/REF/PATH` as the contents API has it. The address does not say where the name of the branch ends: the
/// shortest is tried first. Source: GitHub REST API, "Get repository content"; of Enterprise Server, below `/api/v3`.
fn contents_of_page(page: &Url, base: &Url) -> Vec<Url> {
    let parts: Vec<&str> = page.path().trim_start_matches('/').split('/').collect();
    let [owner, repository, "blob" | "tree" | "raw", rest @ ..] = parts.as_slice() else {
        return Vec::new();
    };
    if pages_of(base).is_none_or(|pages| pages.origin() != page.origin()) {
        return Vec::new();
    }
    let address = |parts: usize| {
        let (branch, path) = rest.split_at(parts);
        let mut api = base.clone();
        let root = base.path().trim_end_matches('/');
        api.set_path(&format!(
            "{root}/repos/{owner}/{repository}/contents/{}",
            path.join("/")
        ));
        let branch = branch.join("/");
        let branch = percent_encoding::percent_decode_str(&branch).decode_utf8_lossy();
        api.query_pairs_mut().clear().append_pair("ref", &branch);
        api
    };
    (1..rest.len().min(MAX_BRANCH_PARTS + 1)).map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(page: &str, base: &str) -> Vec<String> {
        let found = contents_of_page(&page.parse().unwrap(), &base.parse().unwrap());
        found.into_iter().map(|url| url.to_string()).collect()
    }

    #[test]
    fn a_page_of_github_is_read_through_the_contents_api_of_the_same_github() {
        let api = "https://api.github.com/repos/o/r/contents";
        assert_eq!(
            contents(
                "https://github.com/o/r/blob/feature%2Fx/b%23.yaml",
                "https://api.github.com"
            ),
            [format!("{api}/b%23.yaml?ref=feature%2Fx")]
        );
        assert_eq!(
            contents(
                "https://github.com/o/r/blob/release/1.0/a/b.yaml",
                "https://api.github.com"
            ),
            [
                format!("{api}/1.0/a/b.yaml?ref=release"),
                format!("{api}/a/b.yaml?ref=release%2F1.0"),
                format!("{api}/b.yaml?ref=release%2F1.0%2Fa"),
            ]
        );
        assert_eq!(
            contents("https://acme.ghe.com/o/r/raw/main/b.yaml", "https://api.acme.ghe.com/"),
            ["https://api.acme.ghe.com/repos/o/r/contents/b.yaml?ref=main"]
        );
        assert_eq!(
            contents(
                "https://git.acme.dev/o/r/blob/main/b.yaml",
                "https://git.acme.dev/api/v3"
            ),
            ["https://git.acme.dev/api/v3/repos/o/r/contents/b.yaml?ref=main"]
        );
        for (page, base) in [
            ("https://gitlab.com/o/r/blob/main/a", "https://api.github.com"),
            ("https://github.com/o/r/blob/main/a", "https://api.example.com"),
            ("https://git.acme.dev/o/r/blob/main/a", "https://git.acme.dev/api/v4"),
            ("https://github.com/o/r/blob/main", "https://api.github.com"),
        ] {
            assert!(contents(page, base).is_empty(), "{page} {base}");
        }
    }
}
