//! The seam to the store: the truth of Tideline. One method is one atomic, named act; no transaction, connection or row
//! type leaks through. Only this folder knows the tables. Backends: [`sqlite`] and [`postgres`]; one conformance suite
//! ([`conformance`]) holds for both. Look next at [`IngestStore::commit_pages`].

mod acts;
mod batch;
mod change_subscriptions;
mod check_seam;
mod deltas;
mod drift_seam;
mod enrichment_seam;
mod error;
mod event_acts;
mod event_seams;
mod events;
mod hook_secrets;
mod observations;
mod requests;
mod seams;
mod search_seam;
mod sessions;
mod sibling_seam;
mod standing;
mod subscriptions;
mod target_seams;
mod versions;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod postgres;
pub mod sqlite;

pub use acts::*;
pub use check_seam::{CheckStore, CheckToken, KEPT_CHECKS};
pub use drift_seam::DriftStore;
pub use enrichment_seam::{Additions, Enrichment, EnrichmentStore, OriginalEntity};
pub use error::StoreError;
pub use event_acts::SubscriptionAct;
pub use event_seams::{ChangeSubscriptionStore, EventStore, FollowerStore, SubscriptionStore};
pub use events::{EventBounds, EventFilter, EventPage, EventReading, EventStart};
pub use hook_secrets::{HookSecretStore, KEPT_HOOK_SECRETS};
pub use observations::{
    Follower, FollowerSample, HookHour, ObservationStore, Origin, OriginPage, Sample, StoreSize, TableSize,
};
pub use requests::*;
pub use seams::*;
pub use search_seam::{ChangeSearch, FoundChanges, FoundNames, NamePattern, NameSearch, SearchStore};
pub use sessions::{Person, Session, SessionStore};
pub use sibling_seam::{Sibling, SiblingStore, SiblingsCommitted};
pub use subscriptions::{Exchanged, Notice, SubscriptionCommand};
pub use target_seams::{TargetCommand, TargetEntityFilter, TargetNote, TargetObjectFilter, TargetSettled, TargetStore};
pub use versions::{Version, VersionStore};
