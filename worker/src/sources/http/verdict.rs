//! Classifies responses by status.
//!
//! | Answer | Class |
//! |---|---|
//! | 410, or what `cursor_expired` names, to a request with a cursor | cursor expired |
//! | 408, 425, 429, 5xx; 403 with `Retry-After`, with nothing left of a limit, or whose text tells of a rate limit | transient |
//! | 401, 403: this request is not allowed; the partition is parked, and the next cycle tries again | permanent |
//! | a redirect to another origin, any other status | permanent |

use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use tideline_config::settings::{AnswerPattern, RateLimitHeaders};
use tideline_core::words::Timestamp;
use url::Url;

use super::limits;
use super::paging::{HttpRequest, origin_text};
use super::transport::{Answer, Transport, address};
use crate::source::{ErrorClass, SourceError};

/// The wait after a rate limit that only the text of a 403 tells. GitHub's documentation of its secondary limits: "wait
/// for at least one minute before retrying".
const UNTOLD_WAIT: Duration = Duration::from_secs(60);

/// What the configuration says about answers.
pub(in crate::sources) struct Rules {
    pub(in crate::sources) cursor_expired: Vec<AnswerPattern>,
    pub(in crate::sources) rate_limit: RateLimitHeaders,
    pub(in crate::sources) max_body_bytes: u64,
}

impl Rules {
    /// Ok for an answer that can be read (2xx with a body that looks like JSON) and for 304.
    ///
    /// # Errors
    /// As the table of this module says.
    pub(in crate::sources) fn judge(
        &self,
        asked: &HttpRequest,
        answer: &Answer,
        (with_cursor, gone): (bool, bool),
        transport: &Transport,
    ) -> Result<(), SourceError> {
        let shown = address(&asked.url);
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        if answer.status.is_success() {
            return self.judge_body(&shown, answer, transport);
        }
        let gone = gone && !self.is_transient(answer, transport.clock.now());
        if with_cursor && (gone || self.says_expired(answer)) {
            let why = format!(
                "{} {shown} answered {}: the cursor expired",
                asked.method, answer.status
            );
            return Err(SourceError::new(ErrorClass::CursorExpired, why));
        }
        let class = self.class(answer, transport.clock.now());
        let advice = match answer.status.as_u16() {
            401 => " (the credentials are missing, wrong or expired: check auth)",
            403 if class == ErrorClass::Permanent => " (the credentials do not allow it)",
            404 => " (check base_url and path)",
            _ => "",
        };
        let right = missing_right(answer).filter(|_| class == ErrorClass::Permanent);
        let advice = right.unwrap_or_else(|| advice.to_owned());
        let said = transport.shown(&answer.body);
        let said = if said.trim().is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        let text = match redirect_target(answer) {
            Some(target) => format!(
                "{} {shown} answered {} to {}",
                asked.method,
                answer.status,
                not_followed(asked, answer, &target)
            ),
            None => format!("{} {shown} answered {}{advice}{said}", asked.method, answer.status),
        };
        Err(SourceError::new(class, text))
    }

    fn judge_body(&self, shown: &str, answer: &Answer, transport: &Transport) -> Result<(), SourceError> {
        let first = transport.shown(&answer.body);
        let permanent = |what: String| {
            let text = format!("{shown} {what}; it begins: {first}");
            Err(SourceError::new(ErrorClass::Permanent, text))
        };
        if looks_like_xml(answer) {
            return permanent(
                "answered XML, which cannot be read; ask the API for JSON (a header, or another path)".to_owned(),
            );
        }
        if looks_like_html(answer) {
            return permanent("answered HTML, not JSON (a login page, or the wrong base_url?)".to_owned());
        }
        if answer.endless {
            return permanent(format!(
                "sent more than {} bytes (max_body_bytes): request smaller pages or raise the limit",
                self.max_body_bytes
            ));
        }
        Ok(())
    }

    /// Whether the answer says that the request may work later, whatever its status says besides.
    pub(super) fn is_transient(&self, answer: &Answer, now: Timestamp) -> bool {
        matches!(self.class(answer, now), ErrorClass::Transient { .. })
    }

    fn says_expired(&self, answer: &Answer) -> bool {
        answer.status == StatusCode::GONE || self.patterns(answer).next().is_some()
    }

    /// Whether the answer to a request with a cursor may mean that the cursor expired, or anything else.
    pub(super) fn may_be_expired(&self, answer: &Answer) -> bool {
        answer.status != StatusCode::GONE
            && self.patterns(answer).next().is_some()
            && self.patterns(answer).all(|pattern| pattern.confirm)
    }

    fn patterns<'r>(&'r self, answer: &'r Answer) -> impl Iterator<Item = &'r AnswerPattern> {
        self.cursor_expired.iter().filter(|pattern| {
            let contains = |text: &String| String::from_utf8_lossy(&answer.body).contains(text.as_str());
            pattern.status == answer.status.as_u16() && pattern.contains.as_ref().is_none_or(contains)
        })
    }

    fn class(&self, answer: &Answer, now: Timestamp) -> ErrorClass {
        class_of((answer.status, &answer.headers, &answer.body), &self.rate_limit, now)
    }
}

/// What kind of error an answer is that is none of success, by its status, headers and body.
pub(super) fn class_of(
    (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    rate_limit: &RateLimitHeaders,
    now: Timestamp,
) -> ErrorClass {
    let wait = limits::retry_after(headers, rate_limit, now);
    let retry_after = wait.or_else(|| limits::hold(headers, rate_limit, now));
    match status.as_u16() {
        408 | 425 | 429 | 500..=599 => ErrorClass::Transient { retry_after },
        403 if wait.is_some() || limits::exhausted(headers, rate_limit) => ErrorClass::Transient { retry_after },
        403 if tells_of_a_rate_limit(body) => ErrorClass::Transient {
            retry_after: Some(UNTOLD_WAIT.min(rate_limit.max_hold)),
        },
        _ => ErrorClass::Permanent,
    }
}

/// GitHub names the right that a refused request needs: the permissions of an App or a fine-grained token, or the
/// scopes of a classic one.
fn missing_right(answer: &Answer) -> Option<String> {
    if !matches!(answer.status.as_u16(), 403 | 404) {
        return None;
    }
    let named = |header: &str| {
        let value = answer.headers.get(header)?.to_str().ok()?.trim();
        let fine = !value.is_empty() && value.len() <= 200 && value.chars().all(|c| !c.is_control());
        fine.then(|| value.to_owned())
    };
    if let Some(permission) = named("x-accepted-github-permissions") {
        return Some(format!(
            " (it needs the permission {permission}, which the credentials may lack)"
        ));
    }
    let scopes = named("x-accepted-oauth-scopes")?;
    let granted = named("x-oauth-scopes").unwrap_or_else(|| "none".to_owned());
    Some(format!(
        " (it needs one of the scopes {scopes}; the token has {granted})"
    ))
}

/// GitHub tells its secondary limits, and its older "abuse detection", in the text of a 403 alone.
fn tells_of_a_rate_limit(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    ["rate limit", "ratelimit", "abuse detection"]
        .iter()
        .any(|words| text.contains(words))
}

fn redirect_target(answer: &Answer) -> Option<Url> {
    if !answer.status.is_redirection() {
        return None;
    }
    let target = answer.headers.get(LOCATION)?.to_str().ok()?;
    answer.url.join(target).ok()
}

/// Where a redirect leads, and why it is not followed.
fn not_followed(asked: &HttpRequest, answer: &Answer, target: &Url) -> String {
    if !matches!(target.scheme(), "http" | "https") {
        return format!("a {}: URL, which is not followed", target.scheme());
    }
    if target.origin() != answer.url.origin() {
        let origin = origin_text(target);
        return format!("{origin}, which is not followed: write the right base_url");
    }
    let target = address(target);
    if asked.method == Method::POST {
        format!("{target}, and a POST is not sent on as a GET: write that path")
    } else {
        format!("{target}, which is one redirect too many: it leads in circles, or far away")
    }
}

/// Whether an answer is XML, or a web page, which may be XML too.
fn looks_like_xml(answer: &Answer) -> bool {
    let told = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let told = told.map(str::to_ascii_lowercase).unwrap_or_default();
    let body = answer.body.trim_ascii_start();
    let begins = |tag: &str| {
        body.get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    !told.contains("html") && (told.contains("xml") || ["<?xml", "<rss", "<feed"].iter().any(|tag| begins(tag)))
}

fn looks_like_html(answer: &Answer) -> bool {
    let told = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let told = told.is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let first = answer.body.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'<') || (told && !matches!(first, Some(b'{' | b'[')))
}
