//! What is remembered of an answer, so that the next one can be asked for on condition or found equal.

use http::HeaderMap;
use http::header::{ETAG, LAST_MODIFIED, LINK};
use sha2::{Digest, Sha256};
use tideline_config::settings::Pagination;
use tideline_core::words::{Fingerprint, Timestamp, Validators};

use super::limits::{server_now, unix_seconds};
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
    (answer, now): (&Answer, Timestamp),
    old: Option<&Validators>,
) -> Validators {
    let header = |name: &http::HeaderName| {
        let value = answer.headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR_BYTES).then(|| value.to_owned())
    };
    Validators {
        request: Some(print),
        etag: header(&ETAG).or_else(|| old.and_then(|old| old.etag.clone())),
        last_modified: header(&LAST_MODIFIED)
            .filter(|modified| is_settled(modified, &answer.headers, now))
            .or_else(|| old.and_then(|old| old.last_modified.clone())),
        content,
    }
}

/// Whether nothing can have changed since in the second that a `Last-Modified` names. It has no finer time, so that
/// what changes after the answer, and within that second, is answered 304 (RFC 9110, section 8.8.2.2). One more second
/// is for a server that dates its answer when it sends it, not when it made it.
fn is_settled(modified: &str, headers: &HeaderMap, now: Timestamp) -> bool {
    unix_seconds(modified).is_some_and(|modified| modified.saturating_add(1) < server_now(headers, now))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::DATE;

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn settled(date: Option<&'static str>, now_seconds: i64) -> bool {
        let date = date.map(|date| (DATE, HeaderValue::from_static(date)));
        is_settled(MODIFIED, &HeaderMap::from_iter(date), Timestamp(now_seconds * 1000))
    }

    #[test]
    fn a_last_modified_of_the_second_of_the_answer_is_not_sent_back() {
        for (date, believed) in [
            ("Sun, 06 Nov 1994 08:49:36 GMT", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("Sun, 06 Nov 1994 08:49:39 GMT", true),
        ] {
            assert_eq!(settled(Some(date), 0), believed, "{date}");
        }
        assert!(
            settled(None, 784_111_779) && !settled(None, 784_111_778),
            "by our clock"
        );
        assert!(!is_settled("yesterday", &HeaderMap::new(), Timestamp(i64::MAX)));
    }
}
