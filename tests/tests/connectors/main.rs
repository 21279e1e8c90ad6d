//! Named source types against fakes of the APIs that they read: after the faults stop, the catalog is the source.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod github;
mod github_pushes;
mod openchoreo;
mod openchoreo_apis;
mod stage;
mod terraform;
