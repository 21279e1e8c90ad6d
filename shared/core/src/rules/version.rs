//! The version of a record that people act on: its ETag. It changes when something relevant to an act changes, not with
//! every page that is read.

use sha2::{Digest, Sha256};

use crate::words::{CycleNumber, JobState, SourceState, SubscriptionRecord, TargetRecord, Timestamp, Token, Trigger};

/// The state that acts on a source depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceVersion {
    /// Its state.
    pub state: SourceState,
    /// Its newest cycle.
    pub cycle: CycleNumber,
    /// The requested cycle, if any.
    pub requested: Option<Trigger>,
    /// The held sweep: its cycle, how many entities it would remove, whether it was approved.
    pub held: Option<(CycleNumber, u64, bool)>,
}

impl SourceVersion {
    /// As a text.
    #[must_use]
    pub fn tag(&self) -> String {
        short(&format!("source {self:?}"))
    }
}

/// The state that acts on a job depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobVersion {
    /// Its state.
    pub state: JobState,
    /// Claims so far.
    pub token: Token,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl JobVersion {
    /// As a text.
    #[must_use]
    pub fn tag(&self) -> String {
        short(&format!("job {self:?}"))
    }
}

/// The version of a subscription: what it follows, where it is sent, whether it is paused, and how much it gave up.
/// Excludes its position, which changes with every event.
#[must_use]
pub fn subscription_version(of: &SubscriptionRecord) -> String {
    let identity = (of.created_at, of.generation, of.kind);
    let follows = (&of.topics, &of.filter, &of.push, &of.changes, of.max_outstanding);
    let stands = (of.state, &of.blocked_reason, of.dead_letters);
    short(&format!("subscription {identity:?} {follows:?} {stands:?}"))
}

/// The version of a target: whether its jobs may run, and how often it was told to start over. Excludes its position,
/// which changes with every change of the catalog.
#[must_use]
pub fn target_version(of: &TargetRecord) -> String {
    let stands = (of.created_at, of.state, of.place.starts);
    short(&format!("target {} {stands:?}", of.name))
}

fn short(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_held_sweep_is_another_version() {
        let version = |removals| {
            SourceVersion {
                state: SourceState::Active,
                cycle: CycleNumber(3),
                requested: None,
                held: Some((CycleNumber(2), removals, false)),
            }
            .tag()
        };
        assert_eq!(version(5), version(5));
        assert_ne!(version(5), version(6));
    }
}
