use crate::words::{JobRecord, JobState, OWN_KINDS, SourceRecord, SourceState, Timestamp};

use super::Why;

const UNKNOWN: &str = "unknown error";

/// The sentence for a job: its own state first, then what its source blocks it with.
pub(super) fn why_job(job: &JobRecord, source: Option<&SourceRecord>, now: Timestamp) -> Why {
    match job.state {
        JobState::Running => running(job, now),
        JobState::Done => Why::Done { at: job.updated_at },
        JobState::Parked => Why::Parked {
            because: job.last_error.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
        },
        JobState::Cancelled => Why::Cancelled {
            because: job.last_error.clone(),
        },
        JobState::Waiting => waiting(job, source, now),
    }
}

fn due_since(job: &JobRecord, since: Timestamp) -> Why {
    let is_own = OWN_KINDS.contains(&job.kind.as_str());
    Why::DueSince {
        since,
        kind: (!is_own).then(|| job.kind.clone()),
    }
}

fn running(job: &JobRecord, now: Timestamp) -> Why {
    let Some(worker) = job.worker.clone() else {
        return due_since(job, job.updated_at);
    };
    match job.leased_until {
        Some(until) if until < now => Why::LeaseOver { worker, since: until },
        until => Why::LeasedBy { worker, until },
    }
}

fn waiting(job: &JobRecord, source: Option<&SourceRecord>, now: Timestamp) -> Why {
    if let Some(source) = source {
        match source.state {
            SourceState::Orphaned => {
                return Why::SourceOrphaned {
                    source: source.name.clone(),
                };
            }
            SourceState::Blocked => {
                return Why::SourceBlocked {
                    source: source.name.clone(),
                    because: source.blocked_reason.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
                };
            }
            SourceState::Paused => {
                return Why::SourcePaused {
                    source: source.name.clone(),
                };
            }
            SourceState::Active => {}
        }
    }
    let Some(due_at) = job.due_at else {
        return Why::WaitsForPlace;
    };
    if let Some(until) = source.and_then(|source| source.hold_until)
        && until > now
        && until >= due_at
    {
        return Why::HeldBackBySource { until };
    }
    if due_at <= now {
        return due_since(job, due_at);
    }
    match (job.rung, &job.last_error) {
        (0, None) => Why::NotDueUntil { until: due_at },
        (0, Some(reason)) => Why::PutBackUntil {
            until: due_at,
            reason: reason.clone(),
        },
        (rung, error) => Why::OnRung {
            rung,
            until: due_at,
            error: error.clone(),
        },
    }
}
