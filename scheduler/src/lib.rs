//! The clock: makes time pass. One file per periodic task; each is a `run_once` that reads what is due from the store,
//! decides by pure rules, and acts with statements that are conditional in the store, so any number of schedulers may
//! run at once without a leader. Start reading at [`Scheduler`].

mod check_source;
mod dispatch;
mod end_cycles;
mod follow_events;
mod follow_targets;
mod prune_audit;
mod prune_changes;
mod prune_events;
mod prune_history;
mod prune_versions;
mod publish;
mod refresh_rules;
mod rescue_jobs;
mod rest_sources;
mod scheduler;
mod start_cycles;
mod sweep_cycles;
mod take_samples;
mod target_traces;
mod target_wishes;

pub use check_source::{CheckSource, SourceChecker};
pub use dispatch::Dispatch;
pub use end_cycles::EndCycles;
pub use follow_events::FollowEvents;
pub use follow_targets::FollowTargets;
pub use prune_audit::PruneAudit;
pub use prune_changes::PruneChanges;
pub use prune_events::PruneEvents;
pub use prune_history::PruneHistory;
pub use prune_versions::PruneVersions;
pub use publish::{PublishChanges, PublishEvents};
pub use refresh_rules::check_rules;
pub use rescue_jobs::{Absence, RescueJobs};
pub use rest_sources::RestSources;
pub use scheduler::{Scheduler, SchedulerParts, Task};
pub use start_cycles::StartCycles;
pub use sweep_cycles::SweepCycles;
pub use take_samples::TakeSamples;
