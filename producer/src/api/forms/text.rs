//! Text formats: one declaration that the code validates with and that the OpenAPI document shows as `pattern`.
//! Patterns use only what ECMA-262 and the usual engines have in common.

use std::sync::LazyLock;

use regex::Regex;

use crate::api::problem::{Code, Problem};

/// The format of a text.
#[derive(Debug)]
pub(crate) struct Form {
    /// Matches the whole text.
    pub(crate) pattern: &'static str,
    /// What is allowed, for people.
    says: &'static str,
    compiled: LazyLock<Option<Regex>>,
}

macro_rules! form {
    ($pattern:literal, $says:literal) => {
        Form {
            pattern: $pattern,
            says: $says,
            compiled: LazyLock::new(|| Regex::new($pattern).ok()),
        }
    };
}

impl Form {
    /// Whether a text has this format.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| compiled.is_match(text))
    }

    /// Refuses a text in another format.
    ///
    /// # Errors
    /// `invalid_request`, with the field and what it takes.
    pub(crate) fn check(&self, field: &str, text: &str) -> Result<(), Problem> {
        if self.is_of(text) {
            return Ok(());
        }
        Err(Problem::new(
            Code::InvalidRequest,
            format!("{field} must be {}", self.says),
        ))
    }
}

/// The name of a subscription.
pub(crate) static NAME: Form = form!(r"^[A-Za-z0-9_.-]{1,63}$", "1 to 63 letters, digits, -, _ or .");

/// The id of an event, and a place in the log of events.
pub(crate) static EVENT: Form = form!(r"^[0-9]{1,18}$", "1 to 18 digits");

/// What acknowledges an event, or a batch of changes.
pub(crate) static ACK_ID: Form = form!(
    r"^(changes|[0-9]{1,18})\.-?[0-9]{1,19}$",
    "`ack_id` values returned by a pull"
);

/// The name of a token.
pub(crate) static TOKEN_NAME: Form = form!(
    r"^[^\u0000-\u001F\u007F-\u009F]{1,100}$",
    "1 to 100 printable characters"
);

/// The kind of a job, and its key. [`Producer`](crate::Producer) checks them.
pub(crate) static JOB_KIND: Form = form!(r"^[^\u0000-\u001F\u007F-\u009F]+$", "printable characters");
pub(crate) static JOB_KEY: Form = form!(
    r"^[^\u0000-\u001F\u007F-\u009F]{1,512}$",
    "1 to 512 printable characters"
);

/// A part of a reference. [`EntityRef`](tideline_core::words::EntityRef) checks it, and how long they are together.
pub(crate) static PART: Form = form!(
    r"^[^:/\s\u0000-\u001F\u007F-\u009F]+$",
    "a part of a reference, without `:`, `/` and white space"
);

/// A reference.
pub(crate) static REFERENCE: Form = form!(
    r"^[^:/\s\u0000-\u001F\u007F-\u009F]+:[^:/\s\u0000-\u001F\u007F-\u009F]+/[^:/\s\u0000-\u001F\u007F-\u009F]+$",
    "kind:namespace/name"
);

/// Where a reader of the change feed stands. [`FeedPosition`](tideline_core::words::FeedPosition) checks it.
pub(crate) static POSITION: Form = form!(r"^\+?[0-9]{1,30}(-\+?[0-9]{1,30})?$", "0, or the `next` of a response");

/// A moment.
pub(crate) static TIME: Form = form!(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
    "an RFC 3339 time like 2026-11-29T02:10:00Z"
);

/// Where a reader begins.
pub(crate) static START: Form = form!(
    r"^(now|beginning|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))$",
    "now, beginning, or an RFC 3339 time"
);

/// Topics or patterns of topics. [`TopicGlob`](tideline_core::rules::TopicGlob) checks them: other scripts have
/// letters, too.
pub(crate) static TOPIC: Form = form!(
    r"^[^\u0000-\u0029\u002B\u002C\u003B-\u0040\u005B-\u005E\u0060\u007B-\u00A0]{1,200}$",
    "a topic or a pattern of topics"
);

/// The same, separated by commas.
pub(crate) static TOPICS: Form = form!(
    r"^[^\u0000-\u0008\u000E-\u001F!-)+;-@\[-\^`{-\u0084\u0086-\u009F]*$",
    "topics or patterns of topics, separated by commas"
);

/// The signing secret of a push. [`PushTarget`](tideline_runtime::push_target::PushTarget) checks it.
pub(crate) static PUSH_SECRET: Form = form!(
    r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$",
    "whsec_ and 24 to 64 bytes in base64"
);

/// The `next_page_token` of a response.
pub(crate) static PAGE_TOKEN: Form = form!(r"^[A-Za-z0-9_-]*$", "the `next_page_token` of a response");

#[cfg(test)]
pub(crate) fn all() -> [&'static Form; 13] {
    [
        &NAME,
        &EVENT,
        &ACK_ID,
        &TOKEN_NAME,
        &PART,
        &REFERENCE,
        &POSITION,
        &TIME,
        &START,
        &TOPIC,
        &TOPICS,
        &PUSH_SECRET,
        &PAGE_TOKEN,
    ]
}

#[cfg(test)]
mod tests {
    use tideline_core::rules::TopicGlob;
    use tideline_core::words::{EntityRef, FeedPosition};

    use super::*;

    /// Every character that ends are made of, and some beyond.
    fn characters() -> impl Iterator<Item = char> {
        ('\0'..='\u{ff}').chain(['ʼ', 'Ω', '\u{2028}', '日'])
    }

    #[test]
    fn every_pattern_compiles_and_covers_the_whole_text() {
        for form in all() {
            assert!(form.compiled.is_some(), "{}", form.pattern);
            assert!(form.pattern.starts_with('^') && form.pattern.ends_with('$'));
        }
    }

    #[test]
    fn a_pattern_forbids_nothing_that_the_code_accepts() {
        for c in characters() {
            let text = format!("a{c}b");
            if text.parse::<TopicGlob>().is_ok() {
                assert!(TOPIC.is_of(&text) && TOPICS.is_of(&text), "topic {text:?}");
            }
            if let Ok(reference) = EntityRef::new(&text, &text, &text) {
                assert!(REFERENCE.is_of(reference.as_str()) && PART.is_of(&text), "{text:?}");
            }
        }
        for text in ["0", "17", "+17", "17-400", "9223372036854775807"] {
            assert!(text.parse::<FeedPosition>().is_ok() && POSITION.is_of(text), "{text}");
        }
        for text in [
            "now",
            "beginning",
            "2026-11-29T02:10:00Z",
            "2026-11-29 02:10:00.5+01:00",
        ] {
            let is_moment = !text.contains('n');
            assert!(START.is_of(text) && TIME.is_of(text) == is_moment, "{text}");
        }
    }

    #[test]
    fn what_a_pattern_forbids_the_code_refuses() {
        for c in characters() {
            let text = format!("a{c}b");
            if !TOPIC.is_of(&text) {
                assert!(text.parse::<TopicGlob>().is_err(), "topic {text:?}");
            }
            if !PART.is_of(&text) {
                assert!(EntityRef::new("k", "d", &text).is_err(), "{text:?}");
            }
        }
        for text in ["", "-1", "x", "1-2-3", "1-"] {
            assert!(text.parse::<FeedPosition>().is_err() && !POSITION.is_of(text), "{text}");
        }
    }
}
