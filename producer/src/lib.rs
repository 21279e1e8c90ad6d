//! The front door. [`Producer`] enqueues jobs and passes on what is asked of sources; [`api`] is what people and
//! programs may ask and do, and [`gateway`] offers it over HTTP, with health, metrics and the dashboard. It decides
//! nothing: the store does.

pub mod api;
mod compat;
mod dashboard;
mod enqueue;
mod etag;
pub mod gateway;
pub mod hooks;
mod locations;
pub mod registration;
mod secrets;
pub mod yaml;

pub use enqueue::{EnqueueError, JobSpec, Producer};
