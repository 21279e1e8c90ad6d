//! What a change of the catalog means for a target. Pure.

use serde_json::{Value, json};
use tideline_config::settings::{TargetKind, TargetSettings};
use tideline_core::rules::{canonical_json, fingerprint, sent_fingerprint};
use tideline_core::words::{Change, Fingerprint};

/// Annotations that say where an entity was read from. Source: Backstage, "Well-known Annotations".
const LOCATIONS: [&str; 3] = [
    "backstage.io/managed-by-location",
    "backstage.io/managed-by-origin-location",
    "backstage.io/source-location",
];

/// What a target has to do about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing: it does not concern the target.
    Nothing,
    /// Bring the entity to its current state, unless it already has this fingerprint.
    Make(Fingerprint),
    /// Remove everything of the entity.
    Remove,
}

/// Digest of the settings that determine which entities a target has, and where.
pub(crate) fn scope(target: &TargetSettings) -> String {
    let follow = &target.follow;
    let mut text = json!([follow.sources, follow.kinds, follow.namespaces]).to_string();
    if let TargetKind::Microcks(microcks) = &target.kind {
        text.push_str(&json!([microcks.server(), microcks.annotation]).to_string());
    }
    fingerprint(text.as_bytes()).to_string()
}

/// What the target has to do about the change. `original`: the body as its source gave it, if the change shows more.
/// `starts`: how often the target's feed started over.
pub(crate) fn wish(target: &TargetSettings, change: &Change, original: Option<&str>, starts: u32) -> Wish {
    if !target.follow.allows_source(&change.source) || !target.follow.allows(&change.reference) {
        return Wish::Nothing;
    }
    let Some(body) = &change.body else {
        return Wish::Remove;
    };
    match &target.kind {
        TargetKind::Http(http) => Wish::Make(sent_fingerprint(&change.source, body, http.repeats(starts))),
        TargetKind::Microcks(microcks) => {
            // Added servers are irrelevant to the mocks that they name.
            let body = original.unwrap_or(body);
            let Ok(entity) = serde_json::from_str::<Value>(body) else {
                return Wish::Remove;
            };
            let annotations = &entity["metadata"]["annotations"];
            let reference = &annotations[microcks.annotation.as_str()];
            if reference.is_null() {
                return Wish::Remove;
            }
            let locations = LOCATIONS.map(|name| &annotations[name]);
            let mut relevant = json!([
                change.source,
                reference,
                locations,
                entity["metadata"]["name"],
                entity["spec"]["definition"]
            ]);
            if let (Some(_), Some(relevant)) = (&microcks.enrich, relevant.as_array_mut()) {
                // The source's write replaces the enrichment, which has to be added again.
                relevant.push(json!(body));
            }
            let text = relevant.to_string();
            Wish::Make(fingerprint(canonical_json(&text).unwrap_or(text).as_bytes()))
        }
    }
}
