//! Which commands a source's state allows, shared by all stores.

use super::{SourceCommand, StoreError};
use tideline_core::words::{CycleNumber, CycleState, JobId, JobState, SourceState};

/// The row that the decision on a command is based on.
pub(super) struct Standing {
    pub(super) id: i64,
    pub(super) state: SourceState,
    pub(super) cycle: i64,
    pub(super) held_cycle: Option<i64>,
    pub(super) held_state: Option<CycleState>,
    /// A push source: there is nothing to read.
    pub(super) pushed: bool,
    pub(super) held_removals: Option<i64>,
}

impl Standing {
    /// Why the command is refused, if it is. Whether there is a cycle to cancel shows when it is tried.
    pub(super) fn refusal(&self, command: SourceCommand) -> Option<String> {
        if let SourceCommand::ApproveSweep { cycle, removals } = command
            && self.held_cycle.is_some()
            && (self.held_cycle != Some(cycle.0) || self.held_removals.map(u64::try_from) != Some(Ok(removals)))
        {
            return Some(self.another_sweep(cycle, removals));
        }
        self.misfit(command).map(str::to_owned)
    }

    /// Why an approval does not apply: something else is held by now.
    pub(super) fn another_sweep(&self, cycle: CycleNumber, removals: u64) -> String {
        let held = self.held_cycle.zip(self.held_removals);
        let now = held.map_or("has no held sweep".to_owned(), |(held, removals)| {
            format!("holds the sweep of cycle {held}, which would remove {removals} entities")
        });
        format!(
            "{now}; the approval is for cycle {cycle} and {removals} entities. Look again, then approve what you see"
        )
    }

    fn misfit(&self, command: SourceCommand) -> Option<&'static str> {
        let orphaned = self.state == SourceState::Orphaned;
        match command {
            SourceCommand::Refresh(_) | SourceCommand::Pause if orphaned => {
                Some("is no longer in the configuration; sources reset --delete deletes its entities")
            }
            SourceCommand::Refresh(_) if self.pushed => {
                Some("is of type push: its entities are written by programs, so nothing is read")
            }
            SourceCommand::Resume if self.state != SourceState::Paused => Some("is not paused"),
            SourceCommand::ApproveSweep { .. } | SourceCommand::RejectSweep if self.held_cycle.is_none() => {
                Some("has no held sweep")
            }
            SourceCommand::ApproveSweep { .. } if orphaned => Some("is no longer in the configuration"),
            SourceCommand::RejectSweep if self.held_state == Some(CycleState::Sweeping) => {
                Some("is already sweeping: the sweep was approved")
            }
            _ => None,
        }
    }

    /// The held cycle that sweeps as soon as it is approved: no newer one has begun.
    pub(super) fn resumable(&self) -> Option<i64> {
        self.held_cycle
            .filter(|held| *held == self.cycle && self.held_state == Some(CycleState::Held))
    }
}

/// Whether an operator may cancel a job in this state.
pub(super) fn check_cancel(job: JobId, state: JobState, partition: bool) -> Result<(), StoreError> {
    if partition {
        return Err(StoreError::Refused(format!(
            "job {job} is a partition of a source; cancel the cycle of the source instead"
        )));
    }
    let ended = match state {
        JobState::Done => "done",
        JobState::Cancelled => "cancelled",
        JobState::Waiting | JobState::Running | JobState::Parked => return Ok(()),
    };
    Err(StoreError::Refused(format!("job {job} is already {ended}")))
}
