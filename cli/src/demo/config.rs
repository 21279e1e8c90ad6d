//! The demo's configuration: what a user would write for this API.

use std::net::SocketAddr;

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

/// Whether a source of the store was made by a demo.
pub(crate) fn is_demo_source(name: &str) -> bool {
    name == "demo"
        || name
            .strip_prefix("demo-")
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(seed, entities)| seed.parse::<u64>().is_ok() && entities.parse::<u64>().is_ok())
}

/// The configuration that reads the API at `address`.
pub(crate) fn yaml(name: &str, address: SocketAddr, store: &str) -> String {
    include_str!("demo.yaml")
        .replace("{store}", store)
        .replace("{name}", name)
        .replace("{address}", &address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_world_has_a_source_of_its_own_that_is_known_again() {
        for (seed, entities) in [(42, 20_000), (7, 20_000), (42, 500)] {
            assert!(is_demo_source(&source_name(seed, entities)));
        }
        assert_ne!(source_name(42, 20_000), source_name(7, 20_000));
        assert!(!is_demo_source("platform") && !is_demo_source("demo-shop") && !is_demo_source("demo-1-x"));
    }
}
