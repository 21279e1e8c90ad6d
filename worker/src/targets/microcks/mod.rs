//! Microcks: for each API entity that names a `microcks.yaml`, the mocks in that file. Here are the pure parts: what the
//! annotation and the file say, what a mock's version is called, what an artifact is, and how it gets the mock's identity.

mod annotation;
mod artifact;
mod stamp;
mod sync_file;
mod version;

pub use annotation::{AnnotationError, ConfigReference};
pub use artifact::{ArtifactKind, file_names};
pub use stamp::{Identity, StampError, stamp};
pub use sync_file::{ArtifactSpec, MockProblem, MockSpec, SyncFile, SyncFileError};
pub use version::{entity_hash, owned_version};
