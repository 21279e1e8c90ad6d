//! `backstage`: pages of the catalog for a Backstage without a plugin.

use tideline_core::words::Secret;

use super::reader::Section;
use super::settings::LocationSettings;
use super::targets::read_follow;

/// Shortest key, in characters: 128 bits in hex.
const MIN_KEY: usize = 32;

pub(super) fn read_backstage(root: &Section<'_>) -> Option<LocationSettings> {
    let doc = "For Backstage without Tideline's package.";
    root.section("backstage", doc, |backstage| {
        let doc = "Serves the catalog as a `Location` of YAML pages, at `/backstage/KEY/locations.yaml`. Off unless a \
                   key is set.";
        backstage.optional_section("locations", doc, read_locations).flatten()
    })
}

fn read_locations(locations: &Section<'_>) -> Option<LocationSettings> {
    if !locations.has("key") && !locations.is_describing() {
        locations.fail_here("must have a key");
    }
    let kind = "secret";
    let doc = "Part of the pages' address: anyone who knows it can read them. 32 or more random characters, such as \
               the output of `openssl rand -hex 32`.";
    let key = locations.parsed_secret("key", kind, "", doc, &parse_key);
    locations.require("key");
    let doc = "A second accepted key, for rotation.";
    let next = locations.parsed_secret("next_key", kind, "not given", doc, &parse_key);
    let doc = "Which entities are on the pages.";
    let follow = locations.section("follow", doc, read_follow);
    let doc = "Number of pages. A change to an entity changes one of them; changing this number changes all of them.";
    let pages = locations.count("pages", 64, 1..=1_024, doc);
    let doc = "If there are more entities, nothing is served: a catalog of this size needs the package, which follows \
               changes.";
    let max_entities = locations.count("max_entities", 10_000, 1..=100_000, doc);
    let keys: Vec<Secret> = key.into_iter().chain(next).collect();
    (!keys.is_empty()).then_some(LocationSettings {
        keys,
        follow,
        pages,
        max_entities,
    })
}

fn parse_key(text: &str) -> Result<Secret, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if text.len() < MIN_KEY || !text.bytes().all(allowed) {
        return Err(format!(
            "must be at least {MIN_KEY} letters, digits, `-`, `_`, `.` or `~`, or it could be guessed"
        ));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::parse;

    #[test]
    fn the_pages_are_off_unless_there_is_a_key_that_cannot_be_guessed() {
        let read = |text: &str| parse(text, Path::new("t.yaml"), &|_| None);
        assert!(read("store: sqlite://t.db\n").unwrap().locations.is_none());
        let long = "k".repeat(32);
        let settings = read(&format!(
            "backstage: {{ locations: {{ key: {long}, next_key: {long}2, follow: {{ kinds: [API] }} }} }}\n"
        ));
        let locations = settings.unwrap().locations.unwrap();
        assert_eq!(
            (locations.keys.len(), locations.pages, locations.max_entities),
            (2, 64, 10_000)
        );
        assert_eq!(locations.follow.kinds, ["api"]);
        for wrong in ["key: short", "key: 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk/..'", "{}"] {
            let wrong = wrong.trim_matches(['{', '}']);
            let error = read(&format!("backstage: {{ locations: {{ {wrong} }} }}\n"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("backstage.locations"), "{error}");
            assert!(!error.contains("kkkk"), "{error}");
        }
    }
}
