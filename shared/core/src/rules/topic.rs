use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::words::NewEvent;

/// Why a text is not a topic, or not a pattern of topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing there.
    #[error("a topic must not be empty")]
    Empty,
    /// Too long.
    #[error("a topic has at most {} bytes", NewEvent::MAX_TOPIC_BYTES)]
    Long,
    /// A character that is not allowed in topics.
    #[error("a topic may contain only letters, digits and . - _ : /, not {0:?}")]
    Character(char),
}

fn is_topic_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | ':' | '/')
}

fn check(text: &str, star: bool) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > NewEvent::MAX_TOPIC_BYTES {
        return Err(TopicError::Long);
    }
    let is_allowed = |c: &char| is_topic_character(*c) || (star && *c == '*');
    match text.chars().find(|c| !is_allowed(c)) {
        Some(other) => Err(TopicError::Character(other)),
        None => Ok(()),
    }
}

/// Whether a text can be the topic of an event.
///
/// # Errors
/// What is wrong with it.
pub fn check_topic(text: &str) -> Result<(), TopicError> {
    check(text, false)
}

/// First words of the topics of Tideline's own events. External events never have them.
const OWN_WORDS: [&str; 8] = [
    "cycle",
    "drift",
    "hook",
    "job",
    "source",
    "subscription",
    "sweep",
    "sync",
];

/// Whether a topic is one of Tideline's own.
#[must_use]
pub fn is_own_topic(topic: &str) -> bool {
    topic.split('.').next().is_some_and(|word| OWN_WORDS.contains(&word))
}

/// Why a topic, or the name of a hook that makes topics, is refused.
#[must_use]
pub fn own_topic_refusal() -> String {
    format!("is reserved for Tideline's own events: {}", OWN_WORDS.join(", "))
}

/// What a provider calls a kind of event as part of a topic: `repo:push` is `repo.push`, white space is `-`.
#[must_use]
pub fn topic_word(text: &str) -> String {
    let word: String = text
        .trim()
        .chars()
        .map(|c| match c {
            ':' | '/' => '.',
            c if is_topic_character(c) => c,
            _ => '-',
        })
        .take(100)
        .collect();
    let word = word.trim_matches('.');
    if word.is_empty() {
        "unknown".to_owned()
    } else {
        word.to_owned()
    }
}

/// Whether a pattern, in which `*` stands for any run of characters and all else for itself, covers a whole text.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A topic, or with `*` for any run of characters (dots too) a pattern of topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TopicGlob(String);

impl TopicGlob {
    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it covers a topic.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        glob_matches(&self.0, topic)
    }

    /// Whether it may cover one of Tideline's own topics.
    #[must_use]
    pub fn may_be_own(&self) -> bool {
        let word = self.0.split('.').next().unwrap_or_default();
        word.contains('*') || OWN_WORDS.contains(&word)
    }

    /// Whether any of them covers a topic; none at all covers every one.
    #[must_use]
    pub fn any_matches(globs: &[Self], topic: &str) -> bool {
        globs.is_empty() || globs.iter().any(|glob| glob.matches(topic))
    }
}

impl fmt::Display for TopicGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicGlob {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        check(text, true)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for TopicGlob {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl From<TopicGlob> for String {
    fn from(glob: TopicGlob) -> Self {
        glob.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "this is test code")]

    use super::*;

    fn covers(glob: &str, topic: &str) -> bool {
        glob.parse::<TopicGlob>().unwrap().matches(topic)
    }

    #[test]
    fn a_star_covers_any_run_of_characters_and_nothing_else_is_special() {
        for (glob, topic, expected) in [
            ("github.push", "github.push", true),
            ("github.push", "github.pushed", false),
            ("github.push", "a.github.push", false),
            ("github.*", "github.push", true),
            ("github.*", "github.", true),
            ("github.*", "github", false),
            ("*", "anything.at.all", true),
            ("*.push", "gitlab.push", true),
            ("*.push", "gitlab.push.x", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("ci.*.failed", "ci.service.x.failed", true),
        ] {
            assert_eq!(covers(glob, topic), expected, "{glob} {topic}");
        }
    }

    #[test]
    fn what_a_provider_calls_an_event_becomes_a_word_of_a_topic() {
        for (text, word) in [
            ("push", "push"),
            ("repo:push", "repo.push"),
            ("run:completed", "run.completed"),
            ("Push Hook", "Push-Hook"),
            ("", "unknown"),
            ("a\nb*", "a-b-"),
        ] {
            assert_eq!(topic_word(text), word);
            assert_eq!(check_topic(word), Ok(()));
        }
        assert_eq!(check_topic("a*"), Err(TopicError::Character('*')));
        assert_eq!("".parse::<TopicGlob>(), Err(TopicError::Empty));
    }
}
