//! What is remembered of a mock in the store, beside what the store knows of every object of a target.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tideline_core::words::TargetObject;

use super::client::ServiceView;
use super::desired::Mock;

/// What artifacts set of a service that outlives a new import: pairs of an operation and what of it, or of an empty
/// text and a label.
pub(super) type Given = BTreeSet<(String, String)>;

/// What is remembered of a mock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    /// Of the service.
    pub(super) name: String,
    pub(super) version: String,
    /// The Microcks that it is in. Empty: it was recorded before this was, and is in the only one.
    pub(super) server: String,
    /// What was uploaded: file name to hash; no hash: it is being uploaded, or may be another thing by now.
    pub(super) artifacts: BTreeMap<String, String>,
    /// What they, and those before them, set.
    pub(super) given: Given,
    /// A person changed it; a new import alone may not undo that.
    pub(super) touched: bool,
    /// What Microcks had after that.
    pub(super) digest: String,
    /// The fingerprint that Microcks refused.
    pub(super) refused: Option<String>,
    /// The API's definition shall name it.
    pub(super) in_swagger: bool,
    /// It sends messages, and answers no requests.
    pub(super) is_event: bool,
}

impl Detail {
    pub(super) fn of(object: &TargetObject) -> Self {
        serde_json::from_str(&object.detail).unwrap_or_default()
    }

    /// Whether it is in this Microcks, as far as is known.
    pub(super) fn is_in(&self, server: &str) -> bool {
        self.server.is_empty() || self.server == server
    }

    /// Notes what will be uploaded before it is: whenever the process ends, no file can be in Microcks that the record
    /// does not name.
    pub(super) fn will_upload(&mut self, mock: &Mock) {
        for artifact in &mock.artifacts {
            let uploaded = self.artifacts.entry(artifact.file_name.clone()).or_default();
            if *uploaded != artifact.hash {
                uploaded.clear();
            }
        }
    }

    /// Nothing is left of what was uploaded.
    pub(super) fn starts_anew(&mut self) {
        self.artifacts.clear();
        self.given.clear();
        self.touched = false;
    }

    /// Microcks keeps examples by the file that they came in, and forgets none when a file is no longer uploaded.
    pub(super) fn lost_a_file(&self, mock: &Mock) -> bool {
        let is_wanted = |name: &String| mock.artifacts.iter().any(|artifact| artifact.file_name == *name);
        !self.artifacts.keys().all(is_wanted)
    }
}

/// Whether a service still has something that was set and no longer is: a new import keeps it.
pub(super) fn keeps_what_was_given(before: &Given, now: &Given, view: &ServiceView) -> bool {
    let labels = view.service.metadata.labels.as_ref();
    let has = |(operation, what): &(String, String)| match operation.as_str() {
        "" => labels.is_some_and(|labels| labels.contains_key(what)),
        operation => view.service.operations.iter().any(|found| found.name == operation),
    };
    before.difference(now).any(has)
}

/// The record of a mock.
pub(super) fn record_of<'o>(owned: &'o [TargetObject], mock: &Mock) -> Option<&'o TargetObject> {
    owned.iter().find(|object| object.object == mock.object())
}
