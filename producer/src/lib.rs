//! The front door. [`Producer`] enqueues jobs and passes on what is asked of sources; [`gateway`] offers that, the change
//! feed, health and metrics over HTTP. It decides nothing: the store does.

mod enqueue;
pub mod gateway;

pub use enqueue::{EnqueueError, JobSpec, Producer};
