use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The store's number of a source. People use its name.
    SourceId
);
number!(
    /// The store's number of a job.
    JobId
);
number!(
    /// The number of a cycle within its source: 1, 2, 3 …
    CycleNumber
);
number!(
    /// The fencing token of a job: rises at every claim; a write that carries an older one is refused.
    Token
);
number!(
    /// The place of a change in the change feed; later commits have higher numbers.
    Sequence
);
number!(
    /// The place of an event in the log of events; later commits have higher numbers. 0: before the first one.
    EventSequence
);

/// One run of one worker process, unique among all runs: `name-of-host/random`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to write for a job: valid while the store's row is `running` with exactly this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The leased job.
    pub job: JobId,
    /// The token its claim got.
    pub token: Token,
}
