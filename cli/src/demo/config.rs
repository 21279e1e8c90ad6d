//! The demo's configuration: what a user would write for this API.

use std::net::SocketAddr;

use tideline_config::settings::{DEMO, Settings};
use tideline_core::words::SourceRecord;

/// The world of `tideline demo` without options.
const DEFAULT_SEED: u64 = 42;
const DEFAULT_ENTITIES: u64 = 20_000;

/// Each world is a source of its own, so that one never sweeps the other's entities.
pub(crate) fn source_name(seed: u64, entities: u64) -> String {
    if (seed, entities) == (DEFAULT_SEED, DEFAULT_ENTITIES) {
        "demo".to_owned()
    } else {
        format!("demo-{seed}-{entities}")
    }
}

/// Makes the settings' sources known as a demo's: the store keeps their type, and one that is merely called `demo` was
/// not made by a demo.
pub(crate) fn mark(settings: &mut Settings) {
    for source in &mut settings.sources {
        DEMO.clone_into(&mut source.source_type);
    }
}

/// Whether a source of the store was made by a demo.
pub(crate) fn is_demo_source(source: &SourceRecord) -> bool {
    source.source_type == DEMO
}

/// The configuration that reads the API at `address`. Without an address for the dashboard nothing listens.
pub(crate) fn yaml(name: &str, address: SocketAddr, store: &str, dashboard: Option<SocketAddr>) -> String {
    let listen = dashboard.map_or_else(|| "none".to_owned(), |dashboard| dashboard.to_string());
    include_str!("demo.yaml")
        .replace("{store}", store)
        .replace("{name}", name)
        .replace("{listen}", &listen)
        .replace("{address}", &address.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tideline_config::parse;

    use super::*;

    #[test]
    fn each_world_has_a_source_of_its_own() {
        let names = [(42, 20_000), (7, 20_000), (42, 500)].map(|(seed, entities)| source_name(seed, entities));
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }

    #[test]
    fn no_configuration_can_name_the_type_of_a_demo() {
        let text = yaml("demo", SocketAddr::from(([127, 0, 0, 1], 7071)), "sqlite://t.db", None);
        let parsed = parse(
            &text.replace("type: http", "type: demo"),
            Path::new("demo.yaml"),
            &|_| None,
        );
        assert!(parsed.is_err());
        let mut settings = parse(&text, Path::new("demo.yaml"), &|_| None).unwrap();
        mark(&mut settings);
        assert_eq!(settings.sources[0].spec().source_type, DEMO);
        assert!(settings.is_demo());
    }
}
