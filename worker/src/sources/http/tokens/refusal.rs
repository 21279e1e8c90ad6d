//! Classifies refusals of a token.
//!
//! | Answer | Class |
//! |---|---|
//! | What is transient as an API's answer (rate limits, 408, 425, 429, 5xx) | the same |
//! | Any other refusal of a GitHub App | transient, after some minutes: an admin may restore the app |
//! | 403 from an OAuth server, which RFC 6749 does not know: something before it | the same |
//! | Any other | the configuration is wrong |

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tideline_config::settings::RateLimitHeaders;
use tideline_core::words::Timestamp;

use super::super::verdict::class_of;
use crate::source::ErrorClass;

/// Nothing of the source can be read without a token; a person who mends it takes minutes.
const REFUSED_WAIT: Duration = Duration::from_secs(5 * 60);

/// Who wants a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applicant {
    /// A GitHub App.
    App,
    /// An OAuth client.
    Client,
    /// An OAuth client that does not know yet where.
    Discovery,
}

/// Try again in some minutes.
pub(super) fn later(rate_limit: &RateLimitHeaders) -> ErrorClass {
    ErrorClass::Transient {
        retry_after: Some(REFUSED_WAIT.min(rate_limit.max_hold)),
    }
}

/// The class of a refusal, and advice, which may be empty.
pub(super) fn judge(
    (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    applicant: Applicant,
    rate_limit: &RateLimitHeaders,
    now: Timestamp,
) -> (ErrorClass, &'static str) {
    let class = class_of((status, headers, body), rate_limit, now);
    if matches!(class, ErrorClass::Transient { .. }) {
        return (class, "");
    }
    match (applicant, status.as_u16()) {
        (Applicant::App, _) => (later(rate_limit), app_advice(status, body)),
        (Applicant::Client | Applicant::Discovery, 403) => (later(rate_limit), ""),
        (Applicant::Client, _) => (
            ErrorClass::Config,
            " (check auth.client_id, auth.client_secret and auth.scope)",
        ),
        (Applicant::Discovery, _) => (ErrorClass::Config, " (check auth.oauth2.issuer)"),
    }
}

fn app_advice(status: StatusCode, body: &[u8]) -> &'static str {
    let is_suspended = || String::from_utf8_lossy(body).to_ascii_lowercase().contains("suspended");
    match status.as_u16() {
        401 => " (check auth.github_app.id, whether the key is one of that App, and the clock of this machine)",
        403 if is_suspended() => " (unsuspend the installation at GitHub)",
        404 => " (check auth.github_app.installation, and whether the App is still installed)",
        _ => " (check auth.github_app)",
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const SECOND: fn(u64) -> Option<Duration> = |seconds| Some(Duration::from_secs(seconds));

    fn class(applicant: Applicant, status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ErrorClass {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let parts = (
            StatusCode::from_u16(status).unwrap(),
            &headers.collect(),
            body.as_bytes(),
        );
        judge(parts, applicant, &RateLimitHeaders::default(), Timestamp(0)).0
    }

    #[test]
    fn a_rate_limit_holds_back_whoever_wants_the_token() {
        for applicant in [Applicant::App, Applicant::Client, Applicant::Discovery] {
            let wait = |status, headers: &[_], body| match class(applicant, status, headers, body) {
                ErrorClass::Transient { retry_after } => retry_after,
                class => panic!("{applicant:?} {status} {body}: {class:?}"),
            };
            assert_eq!(wait(403, &[("retry-after", "7")], ""), SECOND(7));
            let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "42")];
            assert_eq!(wait(403, &spent, ""), SECOND(42));
            let text = "You have exceeded a secondary rate limit.";
            assert_eq!(wait(403, &[], text), SECOND(60));
            assert_eq!(wait(429, &[("retry-after", "7")], ""), SECOND(7));
            assert_eq!(wait(503, &[], ""), None);
        }
    }

    #[test]
    fn an_app_that_is_refused_is_tried_again_and_told_why() {
        let suspended = "This installation has been suspended";
        for (status, body, word) in [
            (401, "", "clock"),
            (403, suspended, "unsuspend"),
            (403, "", "auth.github_app"),
            (404, "", "still installed"),
        ] {
            let again = ErrorClass::Transient {
                retry_after: Some(REFUSED_WAIT),
            };
            assert_eq!(class(Applicant::App, status, &[], body), again);
            let advice = app_advice(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert!(advice.contains(word), "{status}: {advice}");
        }
    }

    #[test]
    fn wrong_client_credentials_are_a_wrong_configuration() {
        for (applicant, status) in [
            (Applicant::Client, 400),
            (Applicant::Client, 401),
            (Applicant::Discovery, 404),
        ] {
            assert_eq!(class(applicant, status, &[], "{}"), ErrorClass::Config);
        }
    }
}
