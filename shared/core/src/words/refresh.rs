use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The kind of jobs that reread what an event named.
pub const REFRESH_KIND: &str = "refresh";

/// What to reread: the args of a refresh job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// Name of the source.
    pub source: String,
    /// What of it.
    pub target: RefreshTarget,
    /// The last event that requested it. Another event is another request, so that the last reading comes after the
    /// last event.
    pub event: i64,
    /// Delay of a second reading after the first, in milliseconds: the sender may hold back later events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_again_ms: Option<u64>,
}

/// The part of a source to reread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refresh", rename_all = "snake_case")]
pub enum RefreshTarget {
    /// One item.
    Item {
        /// Its resource; none: the first one.
        resource: Option<String>,
        /// What fills the resource's `item`.
        values: Map<String, Value>,
        /// The event said that it is gone: if the source does not have it, it is removed at once.
        removed: bool,
    },
    /// One partition.
    Partition {
        /// Its resource; none: the root.
        resource: Option<String>,
        /// The values of its parents.
        values: Map<String, Value>,
        /// The event said that it is gone: if the source shows nothing there, its entities are removed at once.
        #[serde(default, skip_serializing_if = "is_false")]
        removed: bool,
        /// Every partition that a cycle has found and that has these values, and none that no cycle has found. The
        /// values need not be complete.
        #[serde(default, skip_serializing_if = "is_false")]
        only_known: bool,
        /// The partitions that it reveals too.
        #[serde(default, skip_serializing_if = "is_false")]
        deep: bool,
    },
    /// All of it: a cycle is requested.
    Source,
    /// Nothing: the source's API is asked for more, and another event is published.
    Event {
        /// The rule's place in the source's `on`, from 0.
        rule: usize,
        /// What fills the path.
        values: Map<String, Value>,
    },
    /// A rule that failed on the event: its job is parked, so that a person sees it.
    FailedRule {
        /// Its place in the source's `on`, from 0.
        rule: usize,
        /// Why.
        error: String,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl RefreshRequest {
    /// Longer keys end in a hash of the rest.
    const MAX_KEY_BYTES: usize = 400;

    /// The key of its job. Requests for the same thing have the same key, so that of many only the newest is done.
    /// Whether an event said that it is gone is a part of the key: another event that follows must not take the place
    /// of that. So is the event on which a rule failed, since nothing else tells of it.
    #[must_use]
    pub fn key(&self) -> String {
        let named = |word: &str, resource: &Option<String>, values: &Map<String, Value>| {
            let values = Value::Object(values.clone()).to_string();
            format!("{word}/{}/{values}", resource.as_deref().unwrap_or_default())
        };
        let rest = match &self.target {
            RefreshTarget::Item {
                resource,
                values,
                removed,
            } => {
                let word = if *removed { "item-removed" } else { "item" };
                named(word, resource, values)
            }
            RefreshTarget::Partition {
                resource,
                values,
                removed,
                only_known,
                deep,
            } => {
                let word = match (only_known, deep) {
                    (false, false) => "partition",
                    (false, true) => "partition-deep",
                    (true, false) => "known",
                    (true, true) => "known-deep",
                };
                let word = format!("{word}{}", if *removed { "-removed" } else { "" });
                named(&word, resource, values)
            }
            RefreshTarget::Source => "source".to_owned(),
            RefreshTarget::Event { rule, values } => format!("event/{rule}/{}", Value::Object(values.clone())),
            RefreshTarget::FailedRule { rule, .. } => format!("rule/{rule}/{}", self.event),
        };
        let key = format!("{}/{rest}", self.source);
        if key.len() <= Self::MAX_KEY_BYTES {
            return key;
        }
        let word = rest.split('/').next().unwrap_or_default();
        format!(
            "{}/{word}/~{}",
            self.source,
            hex::encode(Sha256::digest(rest.as_bytes()))
        )
    }

    /// The source in the key of a refresh job; none: it is a job of another kind.
    #[must_use]
    pub fn source_of<'k>(kind: &str, key: &'k str) -> Option<&'k str> {
        (kind == REFRESH_KIND).then(|| key.split('/').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(id: &str, removed: bool, event: i64) -> RefreshRequest {
        let values = json!({ "id": id }).as_object().cloned().unwrap_or_default();
        RefreshRequest {
            source: "s".into(),
            target: RefreshTarget::Item {
                resource: Some("services".into()),
                values,
                removed,
            },
            event,
            look_again_ms: None,
        }
    }

    #[test]
    fn requests_for_the_same_item_have_one_key_and_others_another() {
        assert_eq!(item("1", false, 1).key(), item("1", false, 2).key());
        assert_ne!(item("1", false, 1).key(), item("2", false, 1).key());
        assert_eq!(item("1", false, 1).key(), r#"s/item/services/{"id":"1"}"#);
        let (long, other) = (item(&"x".repeat(500), false, 1), item(&"x".repeat(501), false, 1));
        assert!(long.key().len() <= 400 && long.key() != other.key());
    }

    #[test]
    fn a_deletion_is_not_superseded_by_another_event_about_the_same_thing() {
        assert_ne!(item("1", true, 1).key(), item("1", false, 2).key());
        assert_eq!(item("1", true, 1).key(), item("1", true, 3).key());
        let long = "x".repeat(500);
        assert_ne!(item(&long, true, 1).key(), item(&long, false, 2).key());
        let partition = |removed: bool| RefreshRequest {
            target: RefreshTarget::Partition {
                resource: None,
                values: Map::new(),
                removed,
                only_known: true,
                deep: true,
            },
            ..item("1", false, 1)
        };
        assert_eq!(partition(false).key(), "s/known-deep//{}");
        assert_eq!(partition(true).key(), "s/known-deep-removed//{}");
    }

    #[test]
    fn each_event_on_which_a_rule_failed_has_a_job_of_its_own() {
        let failed = |event: i64| RefreshRequest {
            target: RefreshTarget::FailedRule {
                rule: 0,
                error: "values.id is absent or null".to_owned(),
            },
            ..item("1", false, event)
        };
        assert_eq!([failed(12).key(), failed(16).key()], ["s/rule/0/12", "s/rule/0/16"]);
    }
}
