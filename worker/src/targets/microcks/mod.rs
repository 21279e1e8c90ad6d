//! Microcks: for each API entity that names a `microcks.yaml`, the mocks in that file. Start at [`MicrocksHandler`];
//! `desired.rs` finds out what an entity wants, `apply.rs` makes it so.

mod annotation;
mod apply;
mod artifact;
mod client;
mod definition;
mod desired;
mod enrich;
mod handler;
mod listing;
mod look;
mod record;
mod servers;
mod stamp;
mod sync_file;
mod verify;
mod version;

use annotation::ConfigReference;
use artifact::{ArtifactKind, Recognized, file_names};
use stamp::{Identity, stamp};
use sync_file::{MockSpec, SyncFile};
use version::{events_url, mock_url, owned_version};

pub use handler::MicrocksHandler;
