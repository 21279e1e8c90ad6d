//! When the jobs of dead workers run again.

use std::time::Duration;

/// What happens to the jobs of dead workers.
#[derive(Clone, Copy, Debug)]
pub struct RescuePolicy {
    /// Number of rescues in a row after which the job is due at once …
    pub free: u32,
    /// … later ones only after this wait, …
    pub delay: Duration,
    /// … and this many park it: it seems to kill its workers.
    pub park_after: u32,
}

impl Default for RescuePolicy {
    /// Three times at once, then after ten seconds each; after the tenth time in a row the job itself is considered the
    /// cause.
    fn default() -> Self {
        Self {
            free: 3,
            delay: Duration::from_secs(10),
            park_after: 10,
        }
    }
}
