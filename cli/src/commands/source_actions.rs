//! What `tideline sources` does to a source.

use serde_json::json;
use tideline_core::words::{CycleNumber, HeldSweep, SourceRecord, SourceState, Trigger};
use tideline_store::{SourceCommand, Store, StoreError};

use super::confirm::confirm;
use super::sources::get_source;
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Out, count};

/// Entities deleted per transaction of `reset --delete`.
const DELETE_STEP: u32 = 5_000;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Refresh,
    Pause,
    Resume,
    Cancel,
    Reset {
        delete: bool,
    },
    Approve {
        /// The cycle and the number of removals that a script saw; none: those that the question shows.
        seen: Option<(CycleNumber, u64)>,
    },
    Reject,
}

/// Asks if something would be lost, then does it and says so.
pub(crate) async fn act(
    context: &Context,
    out: &mut Out,
    name: &str,
    action: Action,
    yes: bool,
) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let source = get_source(&*store, name).await?;
    if let Some(question) = question(&source, action)? {
        confirm(&question, yes)?;
    }
    let command = action.command(&source)?;
    store.command_source(name, command, context.now()).await?;
    let mut deleted = 0;
    if action == (Action::Reset { delete: true }) {
        deleted = delete_entities(context, &*store, &source).await?;
    }
    context.follow_up(store).await?;
    if out.is_json() {
        out.document(&json!({"source": name, "action": action.word(), "deleted": deleted}))?;
    } else {
        out.line(format!("{name}: {}", sentence(&source, action, deleted)))?;
    }
    Ok(Code::Done)
}

impl Action {
    fn command(self, source: &SourceRecord) -> Result<SourceCommand, StoreError> {
        Ok(match self {
            Self::Refresh => SourceCommand::Refresh(Trigger::Manual),
            Self::Pause => SourceCommand::Pause,
            Self::Resume => SourceCommand::Resume,
            Self::Cancel => SourceCommand::Cancel,
            Self::Reset { delete: false } => SourceCommand::Reset,
            Self::Reset { delete: true } => SourceCommand::ResetAndDelete,
            Self::Approve { seen } => {
                let held = held(source)?;
                let (cycle, removals) = seen.unwrap_or((held.cycle, held.would_remove));
                SourceCommand::ApproveSweep { cycle, removals }
            }
            Self::Reject => SourceCommand::RejectSweep,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Reset { .. } => "reset",
            Self::Approve { .. } => "approve",
            Self::Reject => "reject",
        }
    }
}

/// The sweep that waits for a person.
fn held(source: &SourceRecord) -> Result<&HeldSweep, StoreError> {
    (source.held.as_ref()).ok_or_else(|| StoreError::Refused(format!("no sweep of {} is held", source.name)))
}

/// What to ask before something is lost; none: nothing is.
fn question(source: &SourceRecord, action: Action) -> Result<Option<String>, StoreError> {
    let name = &source.name;
    Ok(match action {
        Action::Reset { delete: true } => Some(format!(
            "Delete {} entities of {name} from the catalog?",
            count(source.entities)
        )),
        Action::Reset { delete: false } => Some(format!("Forget all cursors and page memories of {name}?")),
        Action::Approve { .. } => {
            let held = held(source)?;
            if held.approved {
                return Err(StoreError::Refused(format!(
                    "the held sweep of {name} is approved already"
                )));
            }
            Some(format!(
                "Delete {} of {} entities of {name} ({})?",
                count(held.would_remove),
                count(held.owned),
                held.reason
            ))
        }
        _ => None,
    })
}

/// What comes of it, by the state of the source before: a confirmation promises nothing that its state does not allow.
fn sentence(source: &SourceRecord, action: Action, deleted: u64) -> String {
    let name = &source.name;
    match action {
        Action::Refresh if source.state == SourceState::Paused => {
            format!("a cycle was asked for; it starts after `tideline sources resume {name}`")
        }
        Action::Refresh => "a cycle was asked for; it starts as soon as none is running".to_owned(),
        Action::Pause => "paused; `tideline sources resume` goes on".to_owned(),
        Action::Resume => "resumed".to_owned(),
        Action::Cancel => "the running cycle is cancelled; nothing is swept".to_owned(),
        Action::Reset { delete: false } => match source.state {
            SourceState::Active => "reset; the next cycle reads everything".to_owned(),
            SourceState::Paused => {
                format!("reset; the next cycle, after `tideline sources resume {name}`, reads everything")
            }
            SourceState::Blocked => {
                format!("reset; the next cycle, after `tideline sources refresh {name}`, reads everything")
            }
            SourceState::Orphaned => "reset; no cycle comes unless it is in the configuration again".to_owned(),
        },
        Action::Reset { delete: true } if source.state == SourceState::Orphaned => {
            format!("forgotten; {} entities deleted", count(deleted))
        }
        Action::Reset { delete: true } => format!("reset; {} entities deleted", count(deleted)),
        // As the store decides: a newer cycle may have begun, whose end does the sweep.
        Action::Approve { .. } if source.held.as_ref().is_some_and(|held| held.cycle != source.cycle) => {
            "approved; the sweep is done at the end of the next complete cycle".to_owned()
        }
        Action::Approve { .. } => "approved; the sweep goes on".to_owned(),
        Action::Reject => "rejected; the entities stay".to_owned(),
    }
}

/// Deletes in steps. A cycle that starts meanwhile may add entities again: stops when a step does not get further.
pub(crate) async fn delete_entities(
    context: &Context,
    store: &dyn Store,
    source: &SourceRecord,
) -> Result<u64, StoreError> {
    let mut left = source.entities;
    loop {
        let after = store
            .delete_source_entities(&source.name, DELETE_STEP, context.now())
            .await?;
        if after == 0 || after >= left {
            return Ok(source.entities.saturating_sub(after));
        }
        left = after;
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{SourceId, Timestamp};

    use super::*;

    fn said(state: SourceState, action: Action) -> String {
        let held = HeldSweep {
            cycle: CycleNumber(2),
            reason: String::new(),
            would_remove: 5,
            owned: 10,
            held_at: Timestamp(0),
            approved: false,
        };
        let source = SourceRecord {
            id: SourceId(1),
            name: "platform".into(),
            source_type: "http".into(),
            state,
            blocked_reason: None,
            cycle: CycleNumber(3),
            cycle_ended_at: None,
            next_cycle_at: None,
            requested: None,
            hold_until: None,
            entities: 10,
            held: Some(held),
        };
        sentence(&source, action, 0)
    }

    #[test]
    fn a_confirmation_promises_only_what_the_state_of_the_source_allows() {
        let reset = Action::Reset { delete: false };
        for (state, action, part) in [
            (SourceState::Active, Action::Refresh, "as soon as none is running"),
            (SourceState::Blocked, Action::Refresh, "as soon as none is running"),
            (
                SourceState::Paused,
                Action::Refresh,
                "after `tideline sources resume platform`",
            ),
            (SourceState::Active, reset, "the next cycle reads everything"),
            (SourceState::Paused, reset, "after `tideline sources resume platform`"),
            (SourceState::Blocked, reset, "after `tideline sources refresh platform`"),
            (SourceState::Orphaned, reset, "no cycle comes"),
            (
                SourceState::Active,
                Action::Approve { seen: None },
                "at the end of the next complete cycle",
            ),
        ] {
            let text = said(state, action);
            assert!(text.contains(part), "{state:?} {action:?}: {text}");
        }
    }
}
