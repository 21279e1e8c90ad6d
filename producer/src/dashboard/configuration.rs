//! The configuration of the process that responds: the keys set in the file, and the defaults.

use maud::{Markup, html};

use super::format::count;
use crate::api::types::{Configuration, ConfigurationKey};

/// Keys of one part of the configuration, each with its path inside of that part.
pub(super) struct Keys(Vec<(String, ConfigurationKey)>);

impl Keys {
    /// Those of a source.
    pub(super) fn of_source(configuration: &Configuration, name: &str) -> Option<Self> {
        let place = configuration.sources.iter().position(|source| source.name == name)?;
        let part = format!("sources[{place}].");
        let inside = |key: &ConfigurationKey| Some((key.key.strip_prefix(&part)?.to_owned(), key.clone()));
        Some(Self(configuration.keys.iter().filter_map(inside).collect()))
    }

    /// Those of no source, hook or other entry of a list.
    pub(super) fn of_the_process(configuration: &Configuration) -> Self {
        let outside = configuration.keys.iter().filter(|key| !key.key.contains('['));
        Self(outside.map(|key| (key.key.clone(), key.clone())).collect())
    }

    /// Whether the file sets a key of this section.
    pub(super) fn gives(&self, section: &str) -> bool {
        let below = |name: &str| name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        self.0.iter().any(|(name, key)| key.given && below(name))
    }

    /// The section of a page: the keys set in the file, and the rest folded.
    pub(super) fn section(&self, title: &str) -> Markup {
        let (given, defaults): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, key)| key.given);
        html! {
            section aria-labelledby="configuration-title" {
                h2 #configuration-title { (title) }
                div.card {
                    @if given.is_empty() { p.soft { "Nothing is configured here: all values are defaults." } }
                    (list(&given))
                    @if !defaults.is_empty() {
                        details.defaults {
                            summary.soft { (count(defaults.len() as u64, "default", "defaults")) }
                            (list(&defaults))
                        }
                    }
                }
            }
        }
    }
}

fn list(keys: &[&(String, ConfigurationKey)]) -> Markup {
    html! {
        @if !keys.is_empty() {
            dl.facts { @for (name, key) in keys {
                dt { (name) }
                dd { @match key.value.as_str() { Some(text) => { (text) } None => { code { (key.value) } } } }
            } }
        }
    }
}
