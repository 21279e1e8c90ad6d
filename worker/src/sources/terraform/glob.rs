//! Patterns of the configuration: `*` stands for any characters.

use tideline_core::rules::glob_matches;

/// Any of some patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Globs(Vec<String>);

impl Globs {
    pub(super) fn new(patterns: &[String]) -> Self {
        Self(patterns.to_vec())
    }

    /// Whether one of them fits the whole text. No pattern fits nothing.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| glob_matches(pattern, text))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pattern, if there is one alone.
    pub(super) fn single(&self) -> Option<&str> {
        match self.0.as_slice() {
            [pattern] => Some(pattern),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_the_rest_for_itself() {
        for (pattern, text, fitting) in [
            ("prod-*", "prod-a", true),
            ("prod-*", "prod-", true),
            ("prod-*", "preprod-a", false),
            ("*-net", "prod-net", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(glob_matches(pattern, text), fitting, "{pattern} {text}");
        }
        assert!(!Globs::default().matches("x"));
    }
}
