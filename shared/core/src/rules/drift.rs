use crate::words::{DriftTotals, SweepPlan};

/// What happens to entities that the catalog has but the source no longer has, without an event. Missing and diverged
/// entities are written by the cycle's pages under every policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftPolicy {
    /// They stay, and are reported.
    Report,
    /// They stay until a person decides, as with a held sweep.
    Hold,
    /// They are deleted, as with any complete cycle.
    #[default]
    Reconcile,
}

/// A policy's decision on a planned sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriftDecision {
    /// As the removal guards decide.
    Follow,
    /// Nothing is deleted, and no approval is requested.
    Keep,
    /// Held for a person, for this reason.
    Hold(String),
}

/// Decides what a policy makes of the sweep of a cycle that found drift. An approved sweep is performed under every
/// policy.
#[must_use]
pub fn decide_drift(policy: DriftPolicy, drift: DriftTotals, plan: SweepPlan) -> DriftDecision {
    let approved = plan.approved.is_some_and(|approved| plan.candidates <= approved);
    if plan.candidates == 0 || drift.extra == 0 || approved {
        return DriftDecision::Follow;
    }
    match policy {
        DriftPolicy::Reconcile => DriftDecision::Follow,
        DriftPolicy::Report => DriftDecision::Keep,
        DriftPolicy::Hold => DriftDecision::Hold(format!(
            "{} of {} entities are gone from the source, but no event reported it (drift: hold)",
            plan.candidates, plan.owned
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(extra: u64) -> DriftTotals {
        DriftTotals {
            missing: 1,
            extra,
            diverged: 2,
        }
    }

    fn plan(candidates: u64, approved: Option<u64>) -> SweepPlan {
        SweepPlan {
            owned: 10,
            marked: 8,
            candidates,
            approved,
            ..SweepPlan::default()
        }
    }

    #[test]
    fn only_what_is_extra_is_held_or_kept_and_only_until_a_person_approves() {
        let decide = |policy, extra, approved| decide_drift(policy, drift(extra), plan(extra, approved));
        assert_eq!(decide(DriftPolicy::Reconcile, 2, None), DriftDecision::Follow);
        assert_eq!(decide(DriftPolicy::Report, 2, None), DriftDecision::Keep);
        assert!(matches!(decide(DriftPolicy::Hold, 2, None), DriftDecision::Hold(why) if why.contains("2 of 10")));
        for policy in [DriftPolicy::Report, DriftPolicy::Hold] {
            assert_eq!(decide(policy, 0, None), DriftDecision::Follow);
            assert_eq!(decide(policy, 2, Some(2)), DriftDecision::Follow);
            assert_ne!(decide(policy, 3, Some(2)), DriftDecision::Follow);
        }
    }
}
