//! The contract of every store, written once and run on each backend and through wrappers that inject faults.
//!
//! A case is `pub async fn a_sentence_that_must_hold(store: Arc<dyn Store>)` in the file of its subject; the moments it
//! passes in are explicit. Each file lists its cases in a macro at its end (a test sees to it that none is forgotten),
//! and [`store_conformance!`](crate::store_conformance) makes one `#[tokio::test]` of each:
//!
//! ```ignore
//! async fn open() -> (tempfile::TempDir, Arc<dyn Store>) { … } // a fresh, empty store and what keeps it alive
//! tideline_store::store_conformance!(open);
//! ```
//!
//! `open` may also return an `Option` of that pair: none leaves the case out (no server to test with).

#![allow(missing_docs, reason = "the names of the cases are the sentences that hold")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "all of this is test code"
)]

pub mod acts;
mod builders;
pub mod catalog;
pub mod change_subscriptions;
pub mod checks;
pub mod collisions;
pub mod cycles;
pub mod deltas;
pub mod drift;
pub mod enrichments;
pub mod events;
pub mod feed;
pub mod followers;
pub mod ingest;
pub mod jobs;
pub mod leases;
pub mod observations;
pub mod operators;
pub mod ownership;
pub mod pages;
pub mod places;
pub mod redelivery;
pub mod search;
pub mod sessions;
pub mod settling;
pub mod sharing;
pub mod siblings;
pub mod sources;
pub mod subscription_acts;
pub mod subscriptions;
pub mod supersede;
pub mod sweep;
pub mod targets;
pub mod unseen;
pub mod upkeep;
pub mod versions;

use std::sync::Arc;

pub use builders::*;

use super::Store;

/// One `#[tokio::test]` per case of the suite; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! store_conformance {
    ($open:path) => {
        $crate::store_conformance_acts!($open);
        $crate::store_conformance_catalog!($open);
        $crate::store_conformance_change_subscriptions!($open);
        $crate::store_conformance_checks!($open);
        $crate::store_conformance_collisions!($open);
        $crate::store_conformance_cycles!($open);
        $crate::store_conformance_deltas!($open);
        $crate::store_conformance_drift!($open);
        $crate::store_conformance_enrichments!($open);
        $crate::store_conformance_events!($open);
        $crate::store_conformance_feed!($open);
        $crate::store_conformance_followers!($open);
        $crate::store_conformance_ingest!($open);
        $crate::store_conformance_jobs!($open);
        $crate::store_conformance_leases!($open);
        $crate::store_conformance_observations!($open);
        $crate::store_conformance_operators!($open);
        $crate::store_conformance_ownership!($open);
        $crate::store_conformance_pages!($open);
        $crate::store_conformance_places!($open);
        $crate::store_conformance_redelivery!($open);
        $crate::store_conformance_search!($open);
        $crate::store_conformance_sessions!($open);
        $crate::store_conformance_settling!($open);
        $crate::store_conformance_sharing!($open);
        $crate::store_conformance_siblings!($open);
        $crate::store_conformance_sources!($open);
        $crate::store_conformance_subscription_acts!($open);
        $crate::store_conformance_subscriptions!($open);
        $crate::store_conformance_supersede!($open);
        $crate::store_conformance_sweep!($open);
        $crate::store_conformance_targets!($open);
        $crate::store_conformance_unseen!($open);
        $crate::store_conformance_upkeep!($open);
        $crate::store_conformance_versions!($open);
    };
}

/// The tests of one file of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_cases {
    ($open:path, $file:ident: $($case:ident),* $(,)?) => {
        mod $file {
            #[allow(unused_imports, reason = "a file may have no case yet")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    if let Some((guard, store)) = $crate::conformance::opened($open().await) {
                        $crate::conformance::$file::$case(store).await;
                        drop(guard);
                    }
                }
            )*
        }
    };
}

/// What `open` returned, in one form.
pub fn opened<G>(opened: impl Into<Option<(G, Arc<dyn Store>)>>) -> Option<(G, Arc<dyn Store>)> {
    opened.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_case_is_forgotten() {
        for (file, text) in [
            ("acts", include_str!("acts.rs")),
            ("catalog", include_str!("catalog.rs")),
            ("change_subscriptions", include_str!("change_subscriptions.rs")),
            ("checks", include_str!("checks.rs")),
            ("collisions", include_str!("collisions.rs")),
            ("cycles", include_str!("cycles.rs")),
            ("deltas", include_str!("deltas.rs")),
            ("drift", include_str!("drift.rs")),
            ("enrichments", include_str!("enrichments.rs")),
            ("events", include_str!("events.rs")),
            ("feed", include_str!("feed.rs")),
            ("followers", include_str!("followers.rs")),
            ("ingest", include_str!("ingest.rs")),
            ("jobs", include_str!("jobs.rs")),
            ("leases", include_str!("leases.rs")),
            ("operators", include_str!("operators.rs")),
            ("ownership", include_str!("ownership.rs")),
            ("pages", include_str!("pages.rs")),
            ("places", include_str!("places.rs")),
            ("redelivery", include_str!("redelivery.rs")),
            ("sessions", include_str!("sessions.rs")),
            ("settling", include_str!("settling.rs")),
            ("sharing", include_str!("sharing.rs")),
            ("siblings", include_str!("siblings.rs")),
            ("sources", include_str!("sources.rs")),
            ("subscription_acts", include_str!("subscription_acts.rs")),
            ("subscriptions", include_str!("subscriptions.rs")),
            ("supersede", include_str!("supersede.rs")),
            ("sweep", include_str!("sweep.rs")),
            ("targets", include_str!("targets.rs")),
            ("unseen", include_str!("unseen.rs")),
            ("upkeep", include_str!("upkeep.rs")),
        ] {
            let (cases, list) = text.split_once("macro_rules!").unwrap();
            for case in cases.split("\npub async fn ").skip(1) {
                let name = case.split('(').next().unwrap();
                let listed = list
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == name);
                assert!(listed, "{file}.rs does not list {name}");
            }
        }
    }
}
