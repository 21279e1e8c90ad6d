//! Reconciles Microcks with one entity: creates, updates in place, reads back, deletes. Ownership is a record in the
//! store, written before the service is created; nothing else is ever touched. The process may die after any step: the
//! next run finds out what is left to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tideline_config::settings::{DriftAction, EnrichSettings, MicrocksSettings};
use tideline_core::clock::Clock;
use tideline_core::words::{EntityRef, TargetObject};
use tideline_store::{Store, StoreError, TargetObjectFilter};

use super::super::events::SyncEvents;
use super::ArtifactKind;
use super::client::{Microcks, MicrocksError, Service, ServiceView};
use super::desired::{Desired, Keep, Mock};
use super::listing::{Listing, digest};
use super::record::{Detail, keeps_what_was_given};
use super::verify::{doubled, given, verify};
use super::{events_url, mock_url};
use crate::batches::Batches;

/// Maximum number of mocks that one entity can own.
const MAX_OBJECTS: u32 = 1_000;

/// Why a mock could not be brought in sync.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// Microcks returned an error.
    #[error(transparent)]
    Microcks(#[from] MicrocksError),
    /// A person has to look.
    #[error("{0}")]
    Permanent(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One entity's turn.
pub(super) struct Turn<'t> {
    pub(super) store: &'t Arc<dyn Store>,
    pub(super) objects: &'t Batches<TargetObject, bool>,
    pub(super) clock: &'t dyn Clock,
    pub(super) microcks: &'t Microcks,
    pub(super) listing: &'t Listing,
    pub(super) settings: &'t MicrocksSettings,
    pub(super) target: &'t str,
    pub(super) reference: &'t EntityRef,
    pub(super) events: &'t SyncEvents<'t>,
    /// What was refused before is tried again.
    pub(super) again: bool,
}

/// What has to be done about a mock.
enum Need {
    Nothing,
    /// It was changed or removed by hand.
    Drifted(&'static str),
    /// It differs from its desired state.
    Change,
}

impl Turn<'_> {
    /// What the entity owns.
    pub(super) async fn owned(&self) -> Result<Vec<TargetObject>, StoreError> {
        let filter = TargetObjectFilter {
            target: self.target.to_owned(),
            reference: Some(self.reference.clone()),
            after: None,
            limit: MAX_OBJECTS,
        };
        self.store.list_target_objects(&filter).await
    }

    /// Brings one mock in sync.
    pub(super) async fn make(&self, mock: &Mock, owned: Option<&TargetObject>) -> Result<(), ApplyError> {
        // Services in another Microcks are ignored.
        let (owned, elsewhere) = match owned.map(|object| (object, Detail::of(object))) {
            Some((_, detail)) if !detail.is_in(self.microcks.server()) => (None, Some(detail.server)),
            _ => (owned, None),
        };
        let mut object = owned.cloned().unwrap_or_else(|| self.fresh(mock));
        let mut detail = Detail::of(&object);
        if !self.again && detail.refused.as_deref() == Some(mock.fingerprint.to_string().as_str()) {
            let error = object
                .error
                .clone()
                .unwrap_or_else(|| "Microcks rejected it before".to_owned());
            return Err(ApplyError::Permanent(error));
        }
        match self.need(mock, &object, &detail).await? {
            Need::Nothing if detail.in_swagger == mock.in_swagger && !detail.server.is_empty() => return Ok(()),
            Need::Nothing => {
                detail.in_swagger = mock.in_swagger;
                self.microcks.server().clone_into(&mut detail.server);
                return self.save(&mut object, &detail).await;
            }
            Need::Drifted(how) => {
                let event = json!({ "mock": mock.mock_id, "service": mock.object(), "how": how });
                self.events.tell("sync.drift_found", event).await;
                if self.settings.drift == DriftAction::Report {
                    let why = format!(
                        "{} was {how} in Microcks by somebody else (drift: report leaves it so)",
                        mock.object()
                    );
                    return Err(ApplyError::Permanent(why));
                }
                detail.artifacts.values_mut().for_each(String::clear);
            }
            Need::Change => {}
        }
        let found = self.microcks.find(&mock.name, &mock.version).await?;
        if owned.is_none() && found.is_some() && !self.settings.adopt {
            let made = elsewhere
                .map(|server| format!(" there, but in {server}"))
                .unwrap_or_default();
            return Err(ApplyError::Permanent(format!(
                "{} already exists in Microcks, but Tideline did not create it{made}; delete it there, or set adopt: true on the \
                 target to take it over",
                mock.object()
            )));
        }
        let made = self.change(mock, &mut object, &mut detail, found).await;
        match &made {
            Err(ApplyError::Microcks(MicrocksError::Refused(why)) | ApplyError::Permanent(why)) => {
                detail.refused = Some(mock.fingerprint.to_string());
                object.error = Some(why.clone());
                self.save(&mut object, &detail).await?;
            }
            // The next attempt goes on behind what was uploaded.
            Err(ApplyError::Microcks(_)) => self.save(&mut object, &detail).await?,
            Ok(()) | Err(ApplyError::Store(_)) => {}
        }
        made
    }

    fn fresh(&self, mock: &Mock) -> TargetObject {
        TargetObject {
            object: mock.object(),
            reference: self.reference.clone(),
            part: mock.mock_id.clone(),
            remote_id: None,
            fingerprint: None,
            detail: "{}".to_owned(),
            error: None,
            updated_at: self.clock.now(),
        }
    }

    /// Whether a mock is in sync, as far as the listing shows.
    pub(super) async fn is_made(&self, mock: &Mock, object: &TargetObject) -> Result<bool, MicrocksError> {
        let detail = Detail::of(object);
        let is_same = object.fingerprint == Some(mock.fingerprint) && detail.in_swagger == mock.in_swagger;
        let is_here = detail.server == self.microcks.server();
        let (Some(id), true, None) = (&object.remote_id, is_same && is_here, &detail.refused) else {
            return Ok(false);
        };
        let listed = self.listing.digest(self.microcks, self.clock, id).await?;
        Ok(listed.as_deref() == Some(detail.digest.as_str()))
    }

    async fn need(&self, mock: &Mock, object: &TargetObject, detail: &Detail) -> Result<Need, ApplyError> {
        let (Some(id), true) = (&object.remote_id, object.fingerprint == Some(mock.fingerprint)) else {
            return Ok(Need::Change);
        };
        let listed = self.listing.digest(self.microcks, self.clock, id).await?;
        if listed.as_deref() == Some(detail.digest.as_str()) {
            return Ok(if self.again { Need::Change } else { Need::Nothing });
        }
        // The listing may be older than what another process did.
        let Some(view) = self.microcks.view_by_id(id).await? else {
            self.listing.forget(id).await;
            return Ok(Need::Drifted("removed"));
        };
        self.listing.note(&view.service).await;
        Ok(if digest(&view.service) == detail.digest {
            Need::Nothing
        } else {
            Need::Drifted("changed")
        })
    }

    /// Creates the service, or changes it in place.
    async fn change(
        &self,
        mock: &Mock,
        object: &mut TargetObject,
        detail: &mut Detail,
        found: Option<Service>,
    ) -> Result<(), ApplyError> {
        let word = if found.is_some() { "update" } else { "create" };
        let event = json!({ "mock": mock.mock_id, "service": mock.object(), "action": word });
        self.events.tell("sync.reconcile_started", event.clone()).await;
        // The state that these very artifacts led to.
        let expected = (object.fingerprint == Some(mock.fingerprint)).then(|| detail.digest.clone());
        let was_whole = object.fingerprint.is_some();
        // From here on it is owned, but incomplete.
        (object.fingerprint, object.error, detail.refused) = (None, None, None);
        (detail.name, detail.version) = (mock.name.clone(), mock.version.clone());
        (detail.in_swagger, detail.is_event) = (mock.in_swagger, mock.is_event());
        (detail.server, object.remote_id) = (
            self.microcks.server().to_owned(),
            found.as_ref().map(|service| service.id.clone()),
        );
        match &found {
            None => detail.starts_anew(),
            Some(service) => detail.touched |= was_whole && digest(service) != detail.digest,
        }
        if self.again {
            detail.artifacts.values_mut().for_each(String::clear);
        }
        let (before, lost_a_file) = (detail.given.clone(), detail.lost_a_file(mock));
        let now = given(mock);
        detail.given.extend(now.iter().cloned());
        detail.will_upload(mock);
        self.save(object, detail).await?;
        // Content that Microcks refuses must not destroy the existing mock.
        self.upload(mock, detail, |_| true).await?;
        let mut view = self.read_back(mock).await?;
        let is_undone = || expected.as_ref() == Some(&digest(&view.service));
        let is_stale = lost_a_file || detail.touched && !is_undone() || keeps_what_was_given(&before, &now, &view);
        let mut is_new = found.is_none();
        if is_stale && !is_new {
            view = self.replace(mock, object, detail, &view.service).await?;
            is_new = true;
        }
        (detail.given, detail.touched) = (now, false);
        self.finish(mock, object, detail, (view, is_new)).await?;
        self.events.tell("sync.reconcile_completed", event).await;
        Ok(())
    }

    /// Recreates a service that would keep obsolete content.
    async fn replace(
        &self,
        mock: &Mock,
        object: &mut TargetObject,
        detail: &mut Detail,
        there: &Service,
    ) -> Result<ServiceView, ApplyError> {
        let event = json!({ "mock": mock.mock_id, "service": mock.object() });
        self.events.tell("sync.update_replace_started", event).await;
        self.microcks.delete(&there.id).await?;
        self.listing.forget(&there.id).await;
        object.remote_id = None;
        detail.starts_anew();
        detail.given = given(mock);
        detail.will_upload(mock);
        self.save(object, detail).await?;
        self.upload(mock, detail, |_| true).await?;
        self.read_back(mock).await
    }

    /// Records the outcome: the mock is whole if Microcks skipped nothing.
    async fn finish(
        &self,
        mock: &Mock,
        object: &mut TargetObject,
        detail: &mut Detail,
        (mut view, is_new): (ServiceView, bool),
    ) -> Result<(), ApplyError> {
        let mut verdict = verify(mock, &view);
        if verdict.metadata && !is_new {
            // A new import of the main artifact may have reset what the metadata said, which was not uploaded again.
            let metadata = |kind: ArtifactKind| kind == ArtifactKind::ApiMetadata;
            let again = mock.artifacts.iter().filter(|artifact| metadata(artifact.kind));
            again.for_each(|artifact| drop(detail.artifacts.insert(artifact.file_name.clone(), String::new())));
            self.upload(mock, detail, metadata).await?;
            view = self.read_back(mock).await?;
            verdict = verify(mock, &view);
        }
        for operation in doubled(mock, &view) {
            self.microcks.put_operation(&view.service.id, &operation).await?;
        }
        object.remote_id = Some(view.service.id.clone());
        detail.digest = digest(&view.service);
        self.listing.note(&view.service).await;
        if !verdict.missing.is_empty() {
            return Err(ApplyError::Permanent(verdict.text()));
        }
        object.fingerprint = Some(mock.fingerprint);
        self.save(object, detail).await
    }

    /// Uploads what changed: the main artifact first, then metadata, then the others.
    async fn upload(
        &self,
        mock: &Mock,
        detail: &mut Detail,
        which: impl Fn(ArtifactKind) -> bool,
    ) -> Result<(), ApplyError> {
        let mut order: Vec<usize> = (0..mock.artifacts.len()).collect();
        let rank = |index: usize| match (index, mock.artifacts[index].kind) {
            (0, _) => 0,
            (_, ArtifactKind::ApiMetadata) => 1,
            _ => 2,
        };
        order.sort_by_key(|index| rank(*index));
        for index in order {
            let artifact = &mock.artifacts[index];
            if !which(artifact.kind) || detail.artifacts.get(&artifact.file_name) == Some(&artifact.hash) {
                continue;
            }
            let said = self.microcks.upload(artifact, index == 0).await;
            let said = said.map_err(|error| match error {
                MicrocksError::Refused(why) => MicrocksError::Refused(format!("{}: {why}", artifact.path)),
                other => other,
            })?;
            if index == 0 && said.as_deref().is_none_or(|said| said != mock.object()) {
                return Err(ApplyError::Permanent(match said {
                    None => format!("Microcks found nothing in {}", artifact.file_name),
                    Some(said) => format!(
                        "Microcks made {} of {}, not {}",
                        said.chars().take(200).collect::<String>(),
                        artifact.file_name,
                        mock.object()
                    ),
                }));
            }
            let event = json!({ "mock": mock.mock_id, "service": mock.object(), "artifact": artifact.file_name });
            self.events.tell("sync.artifact_upload_finished", event).await;
            detail
                .artifacts
                .insert(artifact.file_name.clone(), artifact.hash.clone());
        }
        Ok(())
    }

    async fn read_back(&self, mock: &Mock) -> Result<ServiceView, ApplyError> {
        let gone = || {
            ApplyError::Permanent(format!(
                "Microcks accepted the artifacts without an error, but has no service {}",
                mock.object()
            ))
        };
        let service = self.microcks.find(&mock.name, &mock.version).await?.ok_or_else(gone)?;
        self.microcks.view_by_id(&service.id).await?.ok_or_else(gone)
    }

    async fn save(&self, object: &mut TargetObject, detail: &Detail) -> Result<(), ApplyError> {
        object.detail = serde_json::to_string(detail).unwrap_or_else(|_| "{}".to_owned());
        object.updated_at = self.clock.now();
        if self.put(object.clone()).await? {
            return Ok(());
        }
        Err(ApplyError::Permanent(format!(
            "{} belongs to another entity",
            object.object
        )))
    }

    /// Records an object, together with those of other attempts. `false`: it belongs to another entity.
    async fn put(&self, object: TargetObject) -> Result<bool, StoreError> {
        let put = async |objects: Vec<TargetObject>| self.store.put_target_objects(self.target, &objects).await;
        self.objects.call(object, put).await
    }

    /// The addresses of the existing mocks that should be named in the API's definition, in the order of the file.
    /// Mocks that are only kept because their desired state is unknown are named as before.
    pub(super) fn servers(&self, at: &EnrichSettings, desired: &Desired, owned: &[TargetObject]) -> Vec<String> {
        let place = |object: &TargetObject| desired.mocks.iter().position(|mock| mock.object() == object.object);
        let unwanted: BTreeSet<&str> = self
            .unwanted(desired, owned)
            .into_iter()
            .map(|object| object.object.as_str())
            .collect();
        let is_event = |place: usize, detail: &Detail| {
            let mock = desired.mocks.get(place);
            mock.map_or(detail.is_event, Mock::is_event)
        };
        let mut named: Vec<(usize, &TargetObject, Detail)> = (owned.iter())
            .filter(|object| object.remote_id.is_some() && !unwanted.contains(object.object.as_str()))
            .map(|object| (place(object), object, Detail::of(object)))
            .filter(|(_, _, detail)| detail.is_in(self.microcks.server()))
            .filter(|(place, _, detail)| place.map_or(detail.in_swagger, |place| desired.mocks[place].in_swagger))
            .map(|(place, object, detail)| (place.unwrap_or(usize::MAX), object, detail))
            .collect();
        named.sort_by_key(|(place, object, _)| (*place, &object.object));
        let address = |place: usize, detail: &Detail| match is_event(place, detail) {
            true => Some(events_url(at.events.as_ref()?, &detail.name, &detail.version)),
            false => Some(mock_url(&at.mocks, &detail.name, &detail.version)),
        };
        let named = named.iter();
        named.filter_map(|(place, _, detail)| address(*place, detail)).collect()
    }

    /// Objects that are owned but no longer desired.
    pub(super) fn unwanted<'o>(&self, desired: &Desired, owned: &'o [TargetObject]) -> Vec<&'o TargetObject> {
        let is_kept = |object: &TargetObject| match &desired.keep {
            Keep::All => true,
            Keep::These(ids) => ids.contains(&object.part),
            Keep::None => false,
        };
        let is_wanted = |object: &TargetObject| desired.mocks.iter().any(|mock| mock.object() == object.object);
        owned
            .iter()
            .filter(|object| !is_wanted(object) && !is_kept(object))
            .collect()
    }

    /// Deletes an owned service by its technical id, then forgets it. One in another Microcks is only forgotten.
    pub(super) async fn remove(&self, object: &TargetObject) -> Result<(), ApplyError> {
        let detail = Detail::of(object);
        if !detail.is_in(self.microcks.server()) {
            self.store.forget_target_object(self.target, &object.object).await?;
            return Ok(());
        }
        let id = match &object.remote_id {
            Some(id) => Some(id.clone()),
            // It is not known whether it was made.
            None => {
                let Detail { name, version, .. } = detail;
                self.microcks.find(&name, &version).await?.map(|service| service.id)
            }
        };
        let event = json!({ "mock": object.part, "service": object.object });
        self.events.tell("sync.delete_started", event.clone()).await;
        if let Some(id) = id {
            self.microcks.delete(&id).await?;
            self.listing.forget(&id).await;
        }
        self.store.forget_target_object(self.target, &object.object).await?;
        self.events.tell("sync.delete_completed", event).await;
        Ok(())
    }

    /// Records an owned mock's problem.
    pub(super) async fn note_error(&self, owned: Option<&TargetObject>, error: &str) -> Result<(), StoreError> {
        let Some(owned) = owned else { return Ok(()) };
        let newest = self
            .owned()
            .await?
            .into_iter()
            .find(|object| object.object == owned.object);
        if let Some(mut object) = newest.filter(|object| object.error.as_deref() != Some(error)) {
            object.error = Some(error.to_owned());
            self.put(object).await?;
        }
        Ok(())
    }
}
