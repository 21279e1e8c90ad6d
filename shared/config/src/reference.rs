//! `docs/configuration.md`, made from the declarations that also read the file. To write it again after a change:
//! `TIDELINE_WRITE_DOCS=1 cargo test -p tideline-config in_docs`.

use std::fmt::Write;

use super::process::read_settings;
use super::reader::Context;

const INTRODUCTION: &str = include_str!("introduction.md");

/// One documented key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyDoc {
    /// The section: `sources[].burst`; empty for the top level.
    pub(super) section: String,
    pub(super) key: String,
    /// Only with: `type: http`.
    pub(super) variant: String,
    pub(super) kind: String,
    pub(super) default: String,
    pub(super) required: bool,
    pub(super) range: String,
    pub(super) doc: &'static str,
}

impl KeyDoc {
    /// Whether it is declared in this section, by this name, for this variant.
    pub(super) fn is_at(&self, section: &str, key: &str, variant: &str) -> bool {
        self.section == section && self.key == key && self.variant == variant
    }
}

/// The whole page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let (keys, _) = declarations();
    let mut sections: Vec<&str> = Vec::new();
    for key in &keys {
        if !sections.contains(&key.section.as_str()) {
            sections.push(&key.section);
        }
    }
    // A section stands after the one it is part of.
    sections.sort_by_key(|section| order(section, &keys));
    let mut page = INTRODUCTION.to_owned();
    for section in sections {
        let title = if section.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`{section}`")
        };
        let _ = write!(page, "\n## {title}\n\n");
        page.push_str("| Key | Kind | Default | Allowed | Meaning |\n|---|---|---|---|---|\n");
        for key in keys.iter().filter(|key| key.section == section) {
            page.push_str(&row(key));
        }
    }
    page
}

/// Every key that is declared anywhere, those of all source types too, and the sections that may be just a word.
pub(super) fn declarations() -> (Vec<KeyDoc>, Vec<(String, String)>) {
    let env = |_: &str| None;
    let context = Context::describing(&env);
    read_settings(&context.root());
    context.into_declarations()
}

/// The place of each key on the way to a section among its siblings.
fn order(section: &str, keys: &[KeyDoc]) -> Vec<usize> {
    let mut parent = String::new();
    let parts = section.split('.').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let name = part.trim_end_matches("[]");
            let place = keys.iter().position(|key| key.section == parent && key.key == name);
            parent = if parent.is_empty() {
                part.to_owned()
            } else {
                format!("{parent}.{part}")
            };
            place.unwrap_or(usize::MAX)
        })
        .collect()
}

fn row(key: &KeyDoc) -> String {
    let default = if key.required { "**required**" } else { &key.default };
    let with = if key.variant.is_empty() {
        String::new()
    } else {
        format!("(`type: {}`) ", key.variant)
    };
    let cells = [key.kind.as_str(), default, &key.range, &format!("{with}{}", key.doc)];
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| `{}` | {} |\n", key.key, cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_docs_is_the_one_the_program_would_write() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = reference();
        if std::env::var_os("TIDELINE_WRITE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/configuration.md is out of date; run TIDELINE_WRITE_DOCS=1 cargo test -p tideline-config in_docs"
        );
    }

    #[test]
    fn every_key_is_described() {
        let page = reference();
        for row in page.lines().filter(|line| line.starts_with("| `")) {
            assert!(row.matches(" | ").count() >= 4 && row.ends_with(". |"), "{row}");
        }
        for key in [
            "`sources[].burst`",
            "`sources[].resources[].pagination.size`",
            "`sources[].auth.oauth2`",
        ] {
            assert!(page.contains(&format!("## {key}")), "{key}");
        }
    }
}
