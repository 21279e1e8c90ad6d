//! What an answer's headers say about when to ask again: `Retry-After` (RFC 9110, section 10.2.3), rate-limit headers
//! by name, and the IETF fields (draft-ietf-httpapi-ratelimit-headers: `RateLimit` and `RateLimit-Policy` as structured
//! fields, and the older `RateLimit: limit=…, remaining=…, reset=…` and `RateLimit-Remaining` / `RateLimit-Reset`).

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use tideline_config::settings::RateLimitHeaders;
use tideline_core::words::Timestamp;

/// A number below this is seconds from now, above it Unix time.
const UNIX_FROM: u64 = 100_000_000;

/// Unix time above this is in milliseconds, above a thousand times this in microseconds, and so on: as seconds it would
/// be the year 5138.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// The wait that `Retry-After` asks for: seconds, or a date compared with the answer's own `Date` (else with `now`). A
/// number that is Unix time is read as such, in whatever unit.
pub(super) fn retry_after(headers: &HeaderMap, limits: &RateLimitHeaders, now: Timestamp) -> Option<Duration> {
    let text = text(headers, RETRY_AFTER.as_str())?;
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            let seconds = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
            until(seconds.as_secs(), headers, now)
        }
        Ok(_) => return None,
        Err(_) => Duration::from_secs(unix_seconds(text)?.saturating_sub(server_now(headers, now))),
    };
    Some(wait.min(limits.max_hold))
}

/// The wait until the source's limit is reset, if the answer says that nothing is left of it.
pub(in crate::sources) fn hold(headers: &HeaderMap, names: &RateLimitHeaders, now: Timestamp) -> Option<Duration> {
    let pair = |remaining: &str, reset: &str| {
        let left = number(headers, remaining)?;
        (left == 0).then(|| until(number(headers, reset).unwrap_or(0), headers, now))
    };
    let waits = [
        pair(&names.remaining, &names.reset),
        pair("ratelimit-remaining", "ratelimit-reset"),
        ietf(headers, now),
    ];
    waits
        .into_iter()
        .flatten()
        .max()
        .map(|wait| wait.min(names.max_hold))
        .filter(|wait| !wait.is_zero())
}

/// Whether the answer says that nothing is left of a limit, whenever it is reset.
pub(super) fn exhausted(headers: &HeaderMap, names: &RateLimitHeaders) -> bool {
    number(headers, &names.remaining) == Some(0)
        || number(headers, "ratelimit-remaining") == Some(0)
        || limits(headers, "ratelimit").iter().any(|limit| limit.left() == Some(0))
}

fn until(reset: u64, headers: &HeaderMap, now: Timestamp) -> Duration {
    if reset >= UNIX_FROM {
        let mut seconds = reset;
        while seconds >= SECONDS_BELOW {
            seconds /= 1000;
        }
        Duration::from_secs(seconds.saturating_sub(server_now(headers, now)))
    } else {
        Duration::from_secs(reset)
    }
}

/// Unix seconds by the server's clock, or ours if it does not tell.
pub(super) fn server_now(headers: &HeaderMap, now: Timestamp) -> u64 {
    text(headers, DATE.as_str())
        .and_then(unix_seconds)
        .unwrap_or_else(|| u64::try_from(now.0 / 1000).unwrap_or(0))
}

/// Unix seconds of an HTTP date.
pub(super) fn unix_seconds(date: &str) -> Option<u64> {
    let moment = httpdate::parse_http_date(date).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A whole number, rounded up; some APIs send `12.5`.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    whole(text(headers, name)?)
}

fn whole(text: &str) -> Option<u64> {
    let text = text.split([',', ';']).next().unwrap_or_default().trim();
    text.parse().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        (value.is_finite() && (0.0..1e19).contains(&value)).then(|| {
            // In range by the check above.
            Duration::from_secs_f64(value.ceil()).as_secs()
        })
    })
}

fn ietf(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let policies = limits(headers, "ratelimit-policy");
    limits(headers, "ratelimit")
        .iter()
        .filter(|limit| limit.left() == Some(0))
        .map(|limit| {
            let window = || policies.iter().find(|policy| policy.name == limit.name)?.parameter("w");
            let reset = limit
                .parameter("t")
                .or_else(|| limit.parameter("reset"))
                .or_else(window);
            until(reset.unwrap_or(0), headers, now)
        })
        .max()
}

/// One limit or policy of an IETF field.
#[derive(Debug)]
struct Limit {
    name: String,
    parameters: Vec<(String, u64)>,
}

impl Limit {
    fn parameter(&self, name: &str) -> Option<u64> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    }

    fn left(&self) -> Option<u64> {
        self.parameter("r").or_else(|| self.parameter("remaining"))
    }
}

/// `"default";r=0;t=30, "burst";r=5` (RFC 9651 list), or the older `limit=100, remaining=0, reset=30` as one limit.
fn limits(headers: &HeaderMap, field: &str) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut older = Limit {
        name: String::new(),
        parameters: Vec::new(),
    };
    for value in headers.get_all(field).iter().filter_map(|value| value.to_str().ok()) {
        for member in split_outside_quotes(value, ',') {
            let mut pieces = split_outside_quotes(member, ';').into_iter();
            let first = pieces.next().unwrap_or_default();
            let parameters = pieces.filter_map(parameter).collect();
            match parameter(first) {
                Some(pair) => older.parameters.push(pair),
                None => limits.push(Limit {
                    name: first.trim_matches('"').to_owned(),
                    parameters,
                }),
            }
        }
    }
    if !older.parameters.is_empty() {
        limits.push(older);
    }
    limits
}

fn parameter(text: &str) -> Option<(String, u64)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim().to_ascii_lowercase(), whole(value)?))
}

/// Pieces of a header's value; separators inside quotes do not count.
pub(super) fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                pieces.push(text[start..at].trim());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    pieces
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn retry(pairs: &[(&str, &str)]) -> Option<u64> {
        retry_after(&headers(pairs), &RateLimitHeaders::default(), NOW).map(|wait| wait.as_secs())
    }

    fn held(pairs: &[(&str, &str)]) -> Option<u64> {
        hold(&headers(pairs), &RateLimitHeaders::default(), NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry(&[("retry-after", "120")]), Some(120));
        assert_eq!(retry(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60));
        assert_eq!(retry(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        assert_eq!(
            retry(&[
                ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"),
                ("date", "Sun, 06 Nov 1994 08:50:07 GMT")
            ]),
            Some(30)
        );
        assert_eq!(retry(&[("retry-after", "soon")]), None);
        assert_eq!(retry(&[("retry-after", "-5")]), None);
        assert_eq!(
            retry(&[("retry-after", "99999999")]),
            Some(3600),
            "never longer than max_hold"
        );
        assert_eq!(retry(&[]), None);
    }

    #[test]
    fn unix_time_in_any_unit_is_read_as_what_it_is() {
        for text in [
            "784111800",
            "784111800.5",
            "784111800000",
            "784111800000000",
            "784111800000000000",
        ] {
            let wait = retry(&[("retry-after", text)]).unwrap();
            assert!((23..=24).contains(&wait), "{text}: {wait}");
            let pairs = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", text)];
            let wait = held(&pairs).unwrap();
            assert!((23..=24).contains(&wait), "{text}: {wait}");
        }
        assert_eq!(retry(&[("retry-after", "784111000")]), Some(0), "it is over");
    }

    #[test]
    fn the_longest_hold_is_configured() {
        let limits = RateLimitHeaders {
            max_hold: Duration::from_secs(10),
            ..RateLimitHeaders::default()
        };
        let wait = retry_after(&headers(&[("retry-after", "60")]), &limits, NOW);
        assert_eq!(wait, Some(limits.max_hold));
    }

    #[test]
    fn named_headers_hold_when_nothing_is_left() {
        assert_eq!(
            held(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "42")]),
            Some(42)
        );
        assert_eq!(
            held(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111800")]),
            Some(23)
        );
        assert_eq!(
            held(&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "42")]),
            None
        );
        assert_eq!(held(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")]), Some(7));
    }

    #[test]
    fn the_ietf_fields_are_understood_in_both_forms() {
        assert_eq!(held(&[("ratelimit", "\"default\";r=0;t=30")]), Some(30));
        assert_eq!(held(&[("ratelimit", "\"a,b\";r=5;t=9, \"c\";r=0;t=3")]), Some(3));
        assert_eq!(
            held(&[("ratelimit", "\"d\";r=0"), ("ratelimit-policy", "\"d\";q=100;w=60")]),
            Some(60)
        );
        assert_eq!(held(&[("ratelimit", "limit=100, remaining=0, reset=50")]), Some(50));
        assert_eq!(held(&[("ratelimit", "limit=100, remaining=3, reset=50")]), None);
        assert!(exhausted(
            &headers(&[("ratelimit", "\"d\";r=0")]),
            &RateLimitHeaders::default()
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_fail_or_wait_for_ever(value in "[ -~]{0,60}") {
            for name in ["retry-after", "ratelimit", "ratelimit-policy", "x-ratelimit-reset", "date"] {
                let headers = headers(&[(name, value.as_str()), ("x-ratelimit-remaining", "0")]);
                if headers.is_empty() {
                    continue;
                }
                let limits = RateLimitHeaders::default();
                let wait = retry_after(&headers, &limits, NOW).max(hold(&headers, &limits, NOW));
                proptest::prop_assert!(wait.unwrap_or_default() <= limits.max_hold);
            }
        }
    }
}
