use crate::words::SweepPlan;

/// The removal guards of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemovalGuard {
    /// Hold a sweep of more than this share of what the source owned before, 0–100: new entities must not make a
    /// deletion look smaller. 0 holds every deletion; none: no such guard.
    pub reject_above_percent: Option<f64>,
    /// Hold the sweep of a cycle that saw nothing at all although the source owns something.
    pub reject_empty: bool,
}

/// The decision on a planned sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepDecision {
    /// Delete the candidates (there may be none).
    Sweep,
    /// Hold it for a person, for this reason.
    Hold(String),
}

/// Decides whether a complete cycle may delete what it missed. An approval covers at most the number of entities that
/// the person saw; a sweep that has grown since is held again.
#[must_use]
pub fn decide_sweep(guard: RemovalGuard, plan: SweepPlan) -> SweepDecision {
    if plan.candidates == 0 || plan.approved.is_some_and(|approved| plan.candidates <= approved) {
        return SweepDecision::Sweep;
    }
    if guard.reject_empty && plan.marked == 0 {
        return SweepDecision::Hold(format!(
            "the cycle saw no entity at all: would delete {} of {}",
            plan.candidates, plan.owned
        ));
    }
    if let Some(limit) = guard.reject_above_percent {
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let percent = plan.candidates as f64 * 100.0 / plan.owned_before().max(1) as f64;
        if percent > limit {
            let new = match plan.fresh {
                0 => String::new(),
                fresh => format!(", besides {fresh} new ones"),
            };
            return SweepDecision::Hold(format!(
                "would delete {percent:.1} % ({} of {}{new}), more than {limit} %",
                plan.candidates,
                plan.owned_before()
            ));
        }
    }
    SweepDecision::Sweep
}

/// Why a reading of one origin may not remove what it no longer shows: more than the guard lets a sweep remove at once.
/// The next complete cycle then presents it to a person.
#[must_use]
pub fn refuse_drop(guard: RemovalGuard, owned: u64, dropped: u64) -> Option<String> {
    let plan = SweepPlan {
        owned,
        marked: owned.saturating_sub(dropped),
        candidates: dropped,
        ..SweepPlan::default()
    };
    match decide_sweep(guard, plan) {
        SweepDecision::Sweep => None,
        SweepDecision::Hold(why) => Some(why),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(owned: u64, marked: u64, candidates: u64) -> SweepPlan {
        SweepPlan {
            owned,
            marked,
            candidates,
            ..SweepPlan::default()
        }
    }

    const GUARD: RemovalGuard = RemovalGuard {
        reject_above_percent: Some(20.0),
        reject_empty: true,
    };

    #[test]
    fn a_sweep_at_the_limit_passes_and_one_above_it_is_held() {
        assert_eq!(decide_sweep(GUARD, plan(100, 80, 20)), SweepDecision::Sweep);
        assert!(matches!(decide_sweep(GUARD, plan(100, 79, 21)), SweepDecision::Hold(why) if why.contains("21.0 %")));
    }

    #[test]
    fn what_is_new_makes_no_deletion_smaller() {
        let renamed = SweepPlan {
            fresh: 260,
            ..plan(310, 260, 50)
        };
        assert!(
            matches!(decide_sweep(GUARD, renamed), SweepDecision::Hold(why) if why.contains("100.0 % (50 of 50, besides 260 new ones)"))
        );
        let grown = SweepPlan {
            fresh: 900,
            ..plan(1_000, 980, 20)
        };
        assert_eq!(decide_sweep(GUARD, grown), SweepDecision::Sweep, "20 of 100");
    }

    #[test]
    fn zero_percent_holds_every_deletion_and_only_deletions() {
        let guard = RemovalGuard {
            reject_above_percent: Some(0.0),
            reject_empty: false,
        };
        assert!(matches!(
            decide_sweep(guard, plan(1_000_000, 999_999, 1)),
            SweepDecision::Hold(_)
        ));
        assert_eq!(decide_sweep(guard, plan(10, 10, 0)), SweepDecision::Sweep);
    }

    #[test]
    fn an_empty_cycle_is_held_unless_nothing_is_owned() {
        let guard = RemovalGuard {
            reject_above_percent: None,
            reject_empty: true,
        };
        assert!(matches!(decide_sweep(guard, plan(3, 0, 3)), SweepDecision::Hold(_)));
        assert_eq!(decide_sweep(guard, plan(0, 0, 0)), SweepDecision::Sweep);
    }

    #[test]
    fn an_approval_does_not_cover_a_sweep_that_has_grown() {
        let approved = |candidates| SweepPlan {
            approved: Some(30),
            ..plan(100, 100 - candidates, candidates)
        };
        assert_eq!(decide_sweep(GUARD, approved(30)), SweepDecision::Sweep);
        assert!(matches!(decide_sweep(GUARD, approved(31)), SweepDecision::Hold(_)));
    }

    proptest! {
        #[test]
        fn without_an_approval_no_more_than_the_share_is_ever_swept(
            owned in 1_u64..1_000_000, candidates in 1_u64..1_000_000, limit in 0.0_f64..=100.0,
        ) {
            let candidates = candidates.min(owned);
            let guard = RemovalGuard { reject_above_percent: Some(limit), reject_empty: true };
            if decide_sweep(guard, plan(owned, owned - candidates, candidates)) == SweepDecision::Sweep {
                prop_assert!(candidates as f64 * 100.0 <= limit * owned as f64 * (1.0 + 1e-12));
            }
        }
    }
}
