//! What is remembered of an answer, so that the next one can be asked for on condition or found equal.

use http::header::{ETAG, LAST_MODIFIED, LINK};
use sha2::{Digest, Sha256};
use tideline_config::settings::Pagination;
use tideline_core::words::{Fingerprint, Validators};

use super::plan::Plan;
use super::transport::Answer;

/// What a validator may measure; longer ones are not worth keeping.
const MAX_VALIDATOR_BYTES: usize = 512;

/// The header that tells the next page, if one does.
pub(super) fn telling_header(pagination: &Pagination) -> Option<&str> {
    match pagination {
        Pagination::LinkHeader { .. } => Some(LINK.as_str()),
        Pagination::Header { header, .. } | Pagination::NextUrlHeader { header, .. } => Some(header.as_str()),
        _ => None,
    }
}

/// SHA-256 over the body and the headers that decide what comes next.
pub(super) fn content_print(plan: &Plan, answer: &Answer) -> Fingerprint {
    let mut hasher = Sha256::new();
    if let Some(name) = telling_header(&plan.pagination) {
        for value in answer.headers.get_all(name) {
            hasher.update(value.as_bytes());
            hasher.update([0]);
        }
    }
    hasher.update(answer.url.as_str().as_bytes());
    hasher.update([0]);
    hasher.update(&answer.body);
    Fingerprint(hasher.finalize().into())
}

pub(super) fn validators(
    print: Fingerprint,
    content: Option<Fingerprint>,
    answer: &Answer,
    old: Option<&Validators>,
) -> Validators {
    let header = |name: &http::HeaderName| {
        let value = answer.headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR_BYTES).then(|| value.to_owned())
    };
    Validators {
        request: Some(print),
        etag: header(&ETAG).or_else(|| old.and_then(|old| old.etag.clone())),
        last_modified: header(&LAST_MODIFIED).or_else(|| old.and_then(|old| old.last_modified.clone())),
        content,
    }
}
