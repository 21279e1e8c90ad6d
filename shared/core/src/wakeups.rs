//! The seam through which loops are woken.

use async_trait::async_trait;

/// One waiter for wake-ups.
#[async_trait]
pub trait Wakeups: Send {
    /// Returns after a wake-up since the last return, at once if there was one; several count as one. Cancel-safe.
    async fn next(&mut self);
}
