//! The words of the design as the OpenAPI document knows them: the same names, checked against the real ones by the compiler.

use serde::Serialize;
use tideline_core::words;
use utoipa::ToSchema;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident: $($variant:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        #[allow(missing_docs, reason = "the words are explained where they are defined, in tideline_core::words")]
        pub enum $name { $($variant,)* }

        impl From<words::$name> for $name {
            fn from(word: words::$name) -> Self {
                match word { $(words::$name::$variant => Self::$variant,)* }
            }
        }
    };
}

word!(
    /// Where a source stands, apart from its cycle.
    SourceState: Active Paused Blocked Orphaned
);
word!(
    /// Whether the jobs of a target may run.
    TargetState: Active Paused
);
word!(
    /// Why a cycle or a job started.
    Trigger: Schedule Webhook Manual Drift Start
);
word!(
    /// Where a cycle stands.
    CycleState: Bursting Sweeping Held Complete Incomplete Cancelled
);
word!(
    /// Where a job stands.
    JobState: Waiting Running Done Parked Cancelled
);
word!(
    /// What happened to an entity.
    ChangeKind: Added Modified Removed
);
word!(
    /// What the holder of a token may do.
    Role: Read Operate Push Admin
);
word!(
    /// What an actor is.
    ActorKind: Token Local System Person
);
word!(
    /// What enqueueing a job did.
    EnqueueOutcome: Inserted Superseded Unchanged
);
word!(
    /// How an entity of the catalog differed from its source.
    DriftKind: Missing Extra Diverged
);
