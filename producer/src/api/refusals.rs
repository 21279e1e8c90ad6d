//! Acts that are refused before they reach the store: the role or the sources of a token do not cover them, or their
//! target does not exist. The audit log has them too, but not each repetition: a program that keeps trying must not
//! bury what people did.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::full_text;
use tideline_core::words::{Actor, Timestamp};
use tideline_store::{Deed, OperatorAct};

use super::ApiState;
use super::problem::Problem;

/// How often the same refusal is recorded.
const EVERY: Duration = Duration::from_secs(60);

/// Maximum number of refusals of one actor that are recorded in that time.
const MAX_OF_ACTOR: usize = 30;

/// Maximum length of a name that is recorded, in characters.
const MAX_NAME: usize = 200;

/// Routes that change something but are not acts: routine requests of subscribers.
const NO_ACTS: [&str; 4] = ["/plan", "/pull", "/ack", "/nack"];

/// Times of the refusals in the last minute, by actor, act and target.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<(String, String, String), Timestamp>>);

impl Refusals {
    /// Whether a refusal is to be recorded; then it is remembered.
    fn is_new(&self, actor: &Actor, act: &str, target: &str, now: Timestamp) -> bool {
        let actor = format!("{:?} {}", actor.kind, actor.name);
        let mut recent = self.0.lock();
        recent.retain(|_, noted_at| now.since(*noted_at) < EVERY);
        let key = (actor, act.to_owned(), target.to_owned());
        let is_new = !recent.contains_key(&key) && recent.keys().filter(|(of, ..)| *of == key.0).count() < MAX_OF_ACTOR;
        if is_new {
            recent.insert(key, now);
        }
        is_new
    }
}

impl ApiState {
    /// Records a refusal, at most once a minute. The client gets the refusal even if the store cannot be written.
    pub(super) async fn note_refusal(&self, actor: Actor, act: &str, target: String, problem: &Problem) {
        let target: String = target.chars().take(MAX_NAME).collect();
        if !self.refusals.is_new(&actor, act, &target, self.clock.now()) {
            return;
        }
        let of_source = act.starts_with("sources.") || act == "entities.push";
        let deed = Deed::Refused {
            act: act.to_owned(),
            source: of_source.then(|| target.clone()),
            target,
            why: match problem.detail.as_str() {
                "" => problem.title.clone().into_owned(),
                detail => detail.to_owned(),
            },
        };
        match self.producer.perform(&OperatorAct::new(deed, actor)).await {
            Err(error) if !error.is_refusal() => {
                tracing::warn!(error = full_text(&error), act, "a refusal was not recorded");
            }
            _ => {}
        }
    }
}

/// The name of an operation in the audit log, as [`Deed::name`] has it; none: it is not an act.
pub(super) fn act_of(path: &str, operation: &str) -> Option<String> {
    if NO_ACTS.iter().any(|end| path.ends_with(end)) {
        return None;
    }
    let act = match operation {
        "sources_push" => "entities.push",
        "hooks_take" => "hooks.save_secret",
        "subscriptions_remove" => "subscriptions.delete",
        "subscriptions_retry" => "dead_letters.retry",
        "subscriptions_drop" => "dead_letters.drop",
        other => return Some(other.replacen('_', ".", 1)),
    };
    Some(act.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_recorded_once_a_minute_and_few_different_ones() {
        let (refusals, actor) = (Refusals::default(), Actor::local("ci"));
        let at = |seconds: i64| Timestamp(seconds * 1_000);
        assert!(refusals.is_new(&actor, "sources.pause", "a", at(0)));
        assert!(!refusals.is_new(&actor, "sources.pause", "a", at(59)));
        assert!(refusals.is_new(&actor, "sources.pause", "a", at(60)));
        let recorded = (0..1_000)
            .filter(|name| refusals.is_new(&actor, "sources.pause", &format!("s{name}"), at(61)))
            .count();
        assert_eq!(recorded, MAX_OF_ACTOR - 1);
        assert!(refusals.is_new(&Actor::local("other"), "sources.pause", "a", at(61)));
    }
}
