//! Whether a state may take the place of what the catalog has of its workspace. Pure.

use serde::Deserialize;
use tideline_core::rules::RemovalGuard;

use super::state::Header;

/// What the catalog has of a workspace's state: annotations of the workspace's entity, which is written with its
/// resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) serial: u64,
    pub(super) lineage: String,
    pub(super) resources: u64,
}

#[derive(Deserialize)]
struct Body {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    annotations: Annotations,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "terraform.io/serial")]
    serial: Option<String>,
    #[serde(rename = "terraform.io/lineage", default)]
    lineage: String,
    #[serde(rename = "terraform.io/resources")]
    resources: Option<String>,
    #[serde(rename = "terraform.io/workspace-id", default)]
    workspace: String,
}

impl Known {
    /// Read from the body of a workspace's entity; none: it has no state yet, or was another workspace of the same
    /// name.
    pub(super) fn of(body: &str, workspace: &str) -> Option<Self> {
        let annotations = serde_json::from_str::<Body>(body).ok()?.metadata.annotations;
        if annotations.workspace != workspace {
            return None;
        }
        Some(Self {
            serial: annotations.serial?.parse().ok()?,
            lineage: annotations.lineage,
            resources: annotations
                .resources
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
        })
    }
}

/// What a state holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Instances of managed resources.
    pub(super) resources: u64,
    /// How many of them the catalog has already.
    pub(super) kept: u64,
}

impl Known {
    /// Whether a state goes on with this one.
    pub(super) fn is_continued_by(&self, state: &Header) -> bool {
        self.lineage == state.lineage || self.lineage.is_empty() || state.lineage.is_empty()
    }
}

/// Why what the catalog has stays; none: the state is taken.
pub(super) fn objection(known: Option<&Known>, state: &Header, held: Held, guard: RemovalGuard) -> Option<String> {
    let known = known?;
    let same = known.is_continued_by(state);
    let Held { resources, kept } = held;
    if same && state.serial < known.serial {
        return Some(format!(
            "the state has serial {}, but serial {} of the same lineage was read before: an older state is ignored",
            state.serial, known.serial
        ));
    }
    if resources == 0 && known.resources > 0 && guard.reject_empty {
        return Some(format!(
            "the state (serial {}) has no resources, but {} were read before (serial {})",
            state.serial, known.resources, known.serial
        ));
    }
    if same {
        return None;
    }
    let lost = known.resources.saturating_sub(kept);
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    let percent = lost as f64 * 100.0 / known.resources.max(1) as f64;
    let limit = guard.reject_above_percent?;
    (percent > limit).then(|| {
        format!(
            "the state begins a new lineage ({} after {}): of {} resources, {lost} are not in it",
            state.lineage, known.lineage, known.resources
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: RemovalGuard = RemovalGuard {
        reject_above_percent: Some(20.0),
        reject_empty: true,
    };

    fn known(serial: u64, lineage: &str, resources: u64) -> Known {
        Known {
            serial,
            lineage: lineage.to_owned(),
            resources,
        }
    }

    fn judge(known: Option<&Known>, serial: u64, lineage: &str, resources: u64) -> Option<String> {
        let held = Held {
            resources,
            kept: resources,
        };
        judge_held(known, serial, lineage, held)
    }

    fn judge_held(known: Option<&Known>, serial: u64, lineage: &str, held: Held) -> Option<String> {
        let state = Header {
            version: 4,
            serial,
            lineage: lineage.to_owned(),
            ..Header::default()
        };
        objection(known, &state, held, GUARD)
    }

    #[test]
    fn a_lower_serial_of_the_same_lineage_is_ignored_and_one_of_another_lineage_is_not() {
        let before = known(9, "l1", 10);
        assert!(judge(Some(&before), 8, "l1", 10).is_some_and(|why| why.contains("older")));
        assert_eq!(judge(Some(&before), 9, "l1", 10), None);
        assert_eq!(
            judge(Some(&before), 10, "l1", 1),
            None,
            "a destroyed part is the sweep's to judge"
        );
        assert_eq!(judge(Some(&before), 1, "l2", 8), None);
        assert_eq!(judge(None, 1, "l1", 0), None);
    }

    #[test]
    fn an_empty_state_and_a_reset_that_loses_much_are_held() {
        let before = known(9, "l1", 10);
        assert!(judge(Some(&before), 10, "l1", 0).is_some_and(|why| why.contains("no resources")));
        assert!(judge(Some(&before), 1, "l2", 7).is_some_and(|why| why.contains("new lineage")));
        assert_eq!(
            judge(Some(&known(9, "l1", 0)), 10, "l1", 0),
            None,
            "it was empty before"
        );
    }

    #[test]
    fn a_reset_that_replaces_all_resources_by_as_many_others_is_held() {
        let before = known(9, "l1", 5);
        let others = Held { resources: 5, kept: 0 };
        assert!(judge_held(Some(&before), 1, "l2", others).is_some_and(|why| why.contains("5 are not in it")));
        assert_eq!(
            judge_held(Some(&before), 10, "l1", others),
            None,
            "the sweep's to judge"
        );
        let most = Held { resources: 5, kept: 4 };
        assert_eq!(judge_held(Some(&before), 1, "l2", most), None);
    }

    #[test]
    fn what_the_catalog_knows_is_in_the_annotations_of_the_workspace() {
        let body = r#"{"kind":"System","metadata":{"annotations":{"terraform.io/lineage":"l","terraform.io/resources":"3",
            "terraform.io/serial":"7","terraform.io/workspace-id":"ws-1"},"name":"a"}}"#;
        assert_eq!(Known::of(body, "ws-1"), Some(known(7, "l", 3)));
        assert_eq!(Known::of(body, "ws-2"), None, "made anew under the same name");
        assert_eq!(Known::of(r#"{"metadata":{"annotations":{}}}"#, ""), None);
        assert_eq!(Known::of("[]", "ws-1"), None);
    }
}
