use crate::words::{CycleRecord, CycleState, HeldSweep, JobRecord, JobState, SourceRecord, SourceState, Timestamp};

use super::Why;
use super::job::why_job;

/// The sentence for a source: its own state, then its running cycle, then what comes next.
pub(super) fn why_source(
    source: &SourceRecord,
    cycle: Option<&CycleRecord>,
    partitions: &[JobRecord],
    now: Timestamp,
) -> Why {
    match source.state {
        SourceState::Orphaned => {
            return Why::Orphaned {
                entities: source.entities,
            };
        }
        SourceState::Paused => return Why::Paused,
        SourceState::Blocked => {
            return Why::Blocked {
                because: source
                    .blocked_reason
                    .clone()
                    .unwrap_or_else(|| "unknown error".to_owned()),
            };
        }
        SourceState::Active => {}
    }
    match cycle {
        Some(cycle) if cycle.state == CycleState::Bursting => bursting(source, cycle, partitions, now),
        Some(cycle) if cycle.state == CycleState::Sweeping => Why::Sweeping {
            cycle: cycle.number,
            removed: cycle.totals.removed,
        },
        cycle => between_cycles(source, cycle, now),
    }
}

fn bursting(source: &SourceRecord, cycle: &CycleRecord, partitions: &[JobRecord], now: Timestamp) -> Why {
    if let Some(until) = source.hold_until.filter(|until| *until > now) {
        return Why::HeldBackBySource { until };
    }
    let at_work = partitions.iter().any(|job| {
        job.state == JobState::Running || job.state == JobState::Waiting && job.due_at.is_some_and(|due| due <= now)
    });
    if !at_work {
        // The partition that goes on first decides what the source waits for.
        if let Some(next) = partitions
            .iter()
            .filter(|job| job.state == JobState::Waiting && job.due_at.is_some())
            .min_by_key(|job| job.due_at)
        {
            return why_job(next, None, now);
        }
    }
    if let Some(held) = source.held.as_ref().filter(|held| held.approved) {
        return Why::ApprovedUntilCycleEnds {
            would_remove: held.would_remove,
            cycle: cycle.number,
        };
    }
    if let Some(parked) = partitions.iter().find(|job| job.state == JobState::Parked) {
        return Why::PartitionParked {
            job: parked.id,
            because: parked.last_error.clone().unwrap_or_else(|| "unknown error".to_owned()),
        };
    }
    Why::Bursting {
        cycle: cycle.number,
        done: cycle.totals.partitions_done,
        partitions: cycle.totals.partitions,
    }
}

fn between_cycles(source: &SourceRecord, cycle: Option<&CycleRecord>, now: Timestamp) -> Why {
    if let Some(held) = source.held.as_ref().filter(|held| !held.approved) {
        return held_sweep(held);
    }
    if let Some(trigger) = source.requested {
        return Why::Requested { trigger };
    }
    let Some(next) = source.next_cycle_at else {
        return match source.source_type.as_str() {
            "push" => Why::Pushed,
            _ => Why::NothingPlanned,
        };
    };
    if next <= now {
        return Why::CycleDueSince { since: next };
    }
    match cycle {
        Some(cycle) if matches!(cycle.state, CycleState::Complete | CycleState::Held) => Why::RestingUntil {
            until: next,
            after: cycle.number,
            // A held sweep is decided by now.
            reason: (cycle.reason.clone()).filter(|_| cycle.state == CycleState::Complete),
        },
        Some(cycle) => Why::StartsAfreshAt {
            until: next,
            cycle: cycle.number,
            reason: cycle.reason.clone(),
        },
        None => Why::NotDueUntil { until: next },
    }
}

fn held_sweep(held: &HeldSweep) -> Why {
    Why::HeldForApproval {
        cycle: held.cycle,
        since: held.since_cycle,
        percent: (u128::from(held.would_remove) * 100 / u128::from(held.owned.max(1)))
            .try_into()
            .unwrap_or(100),
        would_remove: held.would_remove,
        owned: held.owned,
        reason: held.reason.clone(),
    }
}
