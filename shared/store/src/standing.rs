//! Which commands fit a source, whatever store it is in.

use super::SourceCommand;
use tideline_core::words::{CycleState, SourceState};

/// Why a reset ends a cycle.
pub(super) const RESET: &str = "reset by a person";

/// The row that a command decides on.
pub(super) struct Standing {
    pub(super) id: i64,
    pub(super) state: SourceState,
    pub(super) cycle: i64,
    pub(super) held_cycle: Option<i64>,
    pub(super) held_state: Option<CycleState>,
    /// Others write its entities: there is nothing to read.
    pub(super) pushed: bool,
}

impl Standing {
    /// Why the command does not fit, if it does not. Whether there is a cycle to cancel shows when it is tried.
    pub(super) fn refusal(&self, command: SourceCommand) -> Option<&'static str> {
        let orphaned = self.state == SourceState::Orphaned;
        match command {
            SourceCommand::Refresh(_) | SourceCommand::Pause if orphaned => {
                Some("it is no longer in the configuration; sources reset --delete deletes its entities")
            }
            SourceCommand::Refresh(_) if self.pushed => {
                Some("it is of type push: nothing is read, others write its entities")
            }
            SourceCommand::Resume if self.state != SourceState::Paused => Some("it is not paused"),
            SourceCommand::ApproveSweep | SourceCommand::RejectSweep if self.held_cycle.is_none() => {
                Some("no sweep of it is held")
            }
            SourceCommand::ApproveSweep if orphaned => Some("it is no longer in the configuration"),
            SourceCommand::RejectSweep if self.held_state == Some(CycleState::Sweeping) => {
                Some("its sweep was approved and is being done")
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
