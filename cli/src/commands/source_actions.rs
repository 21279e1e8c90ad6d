//! What `tideline sources` does to a source.

use tideline_core::words::SourceState;
use tideline_producer::api::types::{Accepted, Approval, Held, Reset, Source};

use super::confirm::confirm;
use crate::client::{Client, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Out, Tone, count, counted};

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
        /// The sweep that a script saw; none: the one that the question shows.
        seen: Option<Approval>,
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
    let client = context.client().await?;
    let source: Source = client.ask(&Request::get(&["sources", name])).await?;
    if let Some(question) = question(&source, action)? {
        confirm(&question, yes)?;
    }
    let accepted = perform(&client, &source, action).await?;
    if out.is_json() {
        out.document(&accepted)?;
    } else {
        let deleted = accepted.deleted.unwrap_or_default();
        out.note(Tone::Plain, format!("{name}: {}", sentence(&source, action, deleted)))?;
    }
    Ok(Code::Done)
}

async fn perform(client: &Client<'_>, source: &Source, action: Action) -> anyhow::Result<Accepted> {
    let request = Request::post(&["sources", &source.name, action.word()]);
    let request = match action {
        Action::Reset { delete } => request.body(&Reset { delete })?,
        Action::Approve { seen: Some(seen) } => request.body(&seen)?,
        Action::Approve { seen: None } => {
            let held = held(source)?;
            request.body(&Approval {
                cycle: held.cycle,
                would_remove: held.would_remove,
            })?
        }
        _ => request,
    };
    let mut accepted: Accepted = client.ask(&request).await?;
    // A large source is deleted by several requests. A cycle that starts meanwhile may add entities again: stops when a
    // request does not get further.
    while accepted.remaining.is_some_and(|remaining| remaining > 0) {
        let next: Accepted = client.ask(&request).await?;
        let stuck = next.remaining >= accepted.remaining;
        accepted.remaining = next.remaining;
        accepted.deleted = Some(accepted.deleted.unwrap_or_default() + next.deleted.unwrap_or_default());
        if stuck {
            break;
        }
    }
    Ok(accepted)
}

impl Action {
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

/// The sweep that is waiting for a decision.
fn held(source: &Source) -> Result<&Held, Failure> {
    let missing = || Failure::new(Code::Refused, format!("source {} has no held sweep", source.name));
    source.held.as_ref().ok_or_else(missing)
}

/// What to ask before something is lost; none: nothing is.
fn question(source: &Source, action: Action) -> Result<Option<String>, Failure> {
    let name = &source.name;
    Ok(match action {
        Action::Reset { delete: true } => Some(format!(
            "Delete {} of {name} from the catalog?",
            counted(source.entities, "entity", "entities")
        )),
        Action::Reset { delete: false } => Some(format!("Discard all cursors and remembered pages of {name}?")),
        Action::Approve { .. } => {
            let held = held(source)?;
            if held.approved {
                let text = format!("the held sweep of {name} is already approved");
                return Err(Failure::new(Code::Refused, text));
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
fn sentence(source: &Source, action: Action, deleted: u64) -> String {
    let name = &source.name;
    match action {
        Action::Refresh if source.state == SourceState::Paused => {
            format!("a cycle was requested; it starts after `tideline sources resume {name}`")
        }
        Action::Refresh => "a cycle was requested; it starts as soon as none is running".to_owned(),
        Action::Pause => format!("paused; `tideline sources resume {name}` continues"),
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
            SourceState::Orphaned => "reset; no cycle starts unless it is in the configuration again".to_owned(),
        },
        Action::Reset { delete: true } if source.state == SourceState::Orphaned => {
            format!("forgotten; {} deleted", counted(deleted, "entity", "entities"))
        }
        Action::Reset { delete: true } => format!("reset; {} deleted", counted(deleted, "entity", "entities")),
        // As the store decides: a newer cycle may have begun, whose end does the sweep.
        Action::Approve { .. } if source.held.as_ref().is_some_and(|held| held.cycle != source.cycle) => {
            "approved; the sweep is done at the end of the next complete cycle".to_owned()
        }
        Action::Approve { .. } => "approved; the sweep continues".to_owned(),
        Action::Reject => "rejected; the entities stay".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{CycleNumber, Timestamp};

    use super::*;

    fn said(state: SourceState, action: Action) -> String {
        let held = Held {
            cycle: CycleNumber(2),
            reason: String::new(),
            would_remove: 5,
            owned: 10,
            held_at: Timestamp(0).into(),
            since_cycle: None,
            approved: false,
        };
        let source = Source {
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
            (SourceState::Orphaned, reset, "no cycle starts"),
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
