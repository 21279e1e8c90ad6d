//! External systems that are kept in step with the catalog.

mod documents;
mod entity;
mod events;
mod gate;
mod http;
mod meter;
mod microcks;

use tideline_config::settings::{TargetKind, TargetSettings};

pub use http::HttpTargetHandler;
pub use microcks::MicrocksHandler;

/// What of a target's settings cannot work, each with its place within the target, such as `body`.
#[must_use]
pub fn check(target: &TargetSettings) -> Vec<(String, String)> {
    match &target.kind {
        TargetKind::Microcks(_) => Vec::new(),
        TargetKind::Http(settings) => http::check(settings),
    }
}
