//! The handler of kind `microcks`: one job is one entity of one target. What is to be done it finds in the catalog when
//! it runs, so the newest wish wins, however often it changed meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tideline_config::settings::{MicrocksSettings, OnInvalid, SourceKind, SourceSettings, TargetKind, TargetSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::Ladder;
use tideline_core::words::{ClaimedJob, EntityRef, MICROCKS_KIND, TargetObject, TargetRequest};
use tideline_queue::Queue;
use tideline_store::{OriginalEntity, Store, StoreError};

use super::super::documents::{DocumentError, Documents};
use super::super::entity;
use super::super::events::{EventLog, SyncEvents};
use super::super::gate::{Gate, Pass};
use super::super::meter;
use super::apply::{ApplyError, Turn};
use super::client::{Microcks, MicrocksError};
use super::desired::{Desired, Owned, SyncFiles, desired};
use super::enrich::Enricher;
use super::listing::Listing;
use super::record::record_of;
use crate::batches::Batches;
use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::places::Admission;
use crate::source::Source;

/// Jobs at a time for each call at a time: while one calls, another one reads or writes the store.
const JOBS_PER_CALL: u32 = 2;
/// How long one entity may take: a hundred mocks of some requests each.
const DEADLINE: Duration = Duration::from_secs(900);
/// How long a job waits whose target is not in this worker's configuration.
const UNKNOWN: Duration = Duration::from_secs(60);

/// Keeps mocks in step with the catalog.
pub struct MicrocksHandler {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: EventLog,
    targets: HashMap<String, Target>,
}

pub(super) struct Target {
    pub(super) settings: TargetSettings,
    pub(super) microcks_settings: MicrocksSettings,
    pub(super) gate: Gate,
    pub(super) microcks: Microcks,
    listing: Listing,
    documents: Documents,
    objects: Batches<TargetObject, bool>,
}

/// What went wrong with one entity.
#[derive(Default)]
struct Troubles {
    transient: bool,
    retry_after: Option<Duration>,
    texts: Vec<String>,
    outage: Option<String>,
}

impl Troubles {
    fn document(&mut self, error: &DocumentError) {
        if let DocumentError::Unreadable {
            transient, retry_after, ..
        } = error
        {
            self.transient |= *transient;
            self.retry_after = self.retry_after.max(*retry_after);
        }
        self.texts.push(error.to_string());
    }

    /// Notes an error; a store's goes to the caller.
    fn apply(&mut self, part: &str, error: ApplyError) -> Result<(), StoreError> {
        let text = error.to_string();
        match error {
            ApplyError::Store(error) => return Err(error),
            ApplyError::Microcks(MicrocksError::Outage(why)) => self.outage = Some(why),
            ApplyError::Microcks(MicrocksError::Transient { retry_after, .. }) => {
                self.transient = true;
                self.retry_after = self.retry_after.max(retry_after);
            }
            ApplyError::Microcks(MicrocksError::Refused(_)) | ApplyError::Permanent(_) => {}
        }
        self.texts.push(format!("mock {part:?}: {text}"));
        Ok(())
    }

    fn text(&self) -> String {
        self.texts.join("; ")
    }
}

impl MicrocksHandler {
    /// A handler for the Microcks targets among these, whose documents are read with the help of these sources.
    ///
    /// # Errors
    /// Names the target and the key that cannot work.
    pub fn new(
        store: Arc<dyn Store>,
        queue: &Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        targets: &[TargetSettings],
        sources: &[(SourceSettings, Arc<dyn Source>)],
    ) -> Result<Self, String> {
        let is_folder = |settings: &SourceSettings| matches!(settings.kind, SourceKind::Files(_));
        let folders: HashSet<String> = sources
            .iter()
            .filter(|(settings, _)| is_folder(settings))
            .map(|(settings, _)| settings.name.clone())
            .collect();
        let readers: HashMap<String, Arc<dyn Source>> = sources
            .iter()
            .map(|(settings, source)| (settings.name.clone(), Arc::clone(source)))
            .collect();
        let mut opened = HashMap::new();
        for settings in targets {
            let TargetKind::Microcks(microcks_settings) = &settings.kind else {
                continue;
            };
            let name = settings.name.as_str();
            let wrong = |why: String| format!("target {name}: {why}");
            let microcks = Microcks::new(settings, microcks_settings, Arc::clone(&clock));
            let microcks = microcks.map_err(|problems| wrong(format!("{problems:?}")))?;
            let limits = (microcks_settings.max_artifact_bytes, settings.timeout);
            let hosts = microcks_settings.document_hosts.clone();
            let documents = Documents::new((readers.clone(), folders.clone()), hosts, limits, Arc::clone(&clock));
            let parts = (Arc::clone(&store), Arc::clone(queue), Arc::clone(&clock));
            let target = Target {
                gate: Gate::new(
                    parts.0,
                    parts.1,
                    parts.2,
                    (name, MICROCKS_KIND),
                    settings.concurrency * JOBS_PER_CALL,
                ),
                microcks,
                listing: Listing::default(),
                objects: Batches::default(),
                documents: documents.map_err(wrong)?,
                microcks_settings: microcks_settings.clone(),
                settings: settings.clone(),
            };
            opened.insert(settings.name.clone(), target);
        }
        Ok(Self {
            log: EventLog::new(Arc::clone(&store), Arc::clone(&clock)),
            store,
            clock,
            targets: opened,
        })
    }

    fn target(&self, job: &ClaimedJob) -> Option<&Target> {
        self.targets.get(TargetRequest::target_of(&job.key))
    }

    pub(super) async fn desired(&self, target: &Target, entity: Option<&OriginalEntity>, files: &SyncFiles) -> Desired {
        let Some(entity) = entity else {
            return Desired::default();
        };
        let body: Value = serde_json::from_str(&entity.body).unwrap_or_default();
        let owned = Owned {
            source: &entity.source,
            reference: &entity.reference,
            body: &body,
        };
        let delete_invalid = target.microcks_settings.on_invalid == OnInvalid::Delete;
        let documents = (&target.documents, files);
        desired(documents, &target.microcks_settings, &owned, delete_invalid).await
    }

    /// Makes Microcks what the entity wants, mock by mock; one that fails holds up no other.
    async fn reconcile(&self, attempt: &Attempt, turn: &Turn<'_>, desired: &Desired) -> Result<Troubles, HandlerError> {
        let mut troubles = Troubles::default();
        desired.problems.iter().for_each(|problem| troubles.document(problem));
        let owned = turn.owned().await?;
        for mock in &desired.mocks {
            attempt.still_held().await?;
            let record = record_of(&owned, mock);
            let Err(error) = turn.make(mock, record).await else {
                continue;
            };
            let text = error.to_string();
            troubles.apply(&mock.mock_id, error)?;
            turn.note_error(record, &text).await?;
            if troubles.outage.is_some() {
                return Ok(troubles);
            }
        }
        for object in turn.unwanted(desired, &owned) {
            attempt.still_held().await?;
            if let Err(error) = turn.remove(object).await {
                troubles.apply(&object.part, error)?;
            }
            if troubles.outage.is_some() {
                break;
            }
        }
        Ok(troubles)
    }

    /// Readers of the catalog see the existing mocks as servers of the API.
    async fn name_servers(
        &self,
        turn: &Turn<'_>,
        target: &Target,
        entity: Option<&OriginalEntity>,
        desired: &Desired,
    ) -> Result<(), StoreError> {
        let was_named = entity.is_some_and(|entity| entity.additions.contains_key(turn.target));
        if target.microcks_settings.enrich.is_none() && !was_named {
            return Ok(());
        }
        let servers = match &target.microcks_settings.enrich {
            Some(at) => turn.servers(at, desired, &turn.owned().await?),
            None => Vec::new(),
        };
        let enricher = Enricher {
            store: &*self.store,
            clock: &*self.clock,
            events: turn.events,
            target: turn.target,
            reference: turn.reference,
        };
        let source = entity.map(|entity| entity.source.as_str());
        enricher.show(source, &servers, &desired.definition).await
    }

    /// Records the attempt's outcome at the entity, and ends it.
    async fn settle(
        &self,
        target: &Target,
        pass: &Pass,
        (reference, is_followed): (&EntityRef, bool),
        events: &SyncEvents<'_>,
        troubles: &Troubles,
    ) -> Result<Outcome, HandlerError> {
        let name = &target.settings.name;
        if let Some(outage) = &troubles.outage {
            target.gate.settle(reference, Some(outage.clone())).await?;
            return self.hold_back(target, pass, events, outage).await;
        }
        let error = (!troubles.texts.is_empty()).then(|| troubles.text());
        target.gate.settle(reference, error.clone()).await?;
        let Some(message) = error else {
            if !is_followed {
                self.store.forget_target_entity(name, reference).await?;
            }
            return Ok(Outcome::Done);
        };
        if troubles.transient {
            events.tell("sync.retry_scheduled", json!({ "error": message })).await;
            return Err(HandlerError::Transient {
                message,
                not_before: troubles.retry_after.map(|wait| self.clock.now().plus(wait)),
            });
        }
        events.tell("sync.error", json!({ "error": message })).await;
        Err(HandlerError::Permanent(message))
    }

    /// Microcks does not answer, or not to us: all jobs of the target wait.
    pub(super) async fn hold_back(
        &self,
        target: &Target,
        pass: &Pass,
        events: &SyncEvents<'_>,
        outage: &str,
    ) -> Result<Outcome, HandlerError> {
        events.tell("sync.global_backoff", json!({ "error": outage })).await;
        Ok(target.gate.hold_back(pass, outage).await?)
    }

    /// The turn of one entity.
    pub(super) fn turn<'t>(
        &'t self,
        target: &'t Target,
        reference: &'t EntityRef,
        events: &'t SyncEvents<'t>,
        again: bool,
    ) -> Turn<'t> {
        Turn {
            store: &self.store,
            objects: &target.objects,
            clock: &*self.clock,
            microcks: &target.microcks,
            listing: &target.listing,
            settings: &target.microcks_settings,
            target: &target.settings.name,
            reference,
            events,
            again,
        }
    }
}

#[async_trait]
impl Handler for MicrocksHandler {
    fn kind(&self) -> &'static str {
        MICROCKS_KIND
    }

    fn ladder(&self, job: &ClaimedJob) -> Ladder {
        self.target(job)
            .map_or_else(Ladder::default, |target| target.settings.backoff.clone())
    }

    fn deadline(&self, _: &ClaimedJob) -> Duration {
        DEADLINE
    }

    fn admit(&self, job: &ClaimedJob) -> Admission {
        self.target(job).map_or(Admission::Shared, |target| target.gate.admit())
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        let request: TargetRequest = serde_json::from_str(&attempt.job.args)
            .map_err(|error| HandlerError::Permanent(format!("the job's args: {error}")))?;
        let Some(target) = self.targets.get(&request.target) else {
            let why = "its target is not in this worker's configuration".to_owned();
            return Ok(Outcome::Postpone(self.clock.now().plus(UNKNOWN), why));
        };
        meter::job(&*self.clock, &request.target, self.work(attempt, target, &request)).await
    }
}

impl MicrocksHandler {
    /// Brings Microcks in step with what the catalog has of the entity now.
    async fn work(&self, attempt: &Attempt, target: &Target, request: &TargetRequest) -> Result<Outcome, HandlerError> {
        let pass = match target.gate.enter().await? {
            Ok(pass) => pass,
            Err(outcome) => return Ok(outcome),
        };
        if attempt.stop.is_cancelled() {
            return Ok(Outcome::HandBack);
        }
        if !request.others.is_empty() {
            return self.look(attempt, target, &pass, request).await;
        }
        let reference = &request.reference;
        let entity = entity::find_original(&*self.store, &target.settings.follow, reference).await?;
        let desired = self.desired(target, entity.as_ref(), &SyncFiles::default()).await;
        let names = (request.target.as_str(), reference);
        let events = SyncEvents::new(&self.log, names, attempt.job.trace.clone());
        let turn = self.turn(target, reference, &events, request.again);
        // What the source wrote names no mocks: existing ones are named at once, and new ones as soon as they exist.
        self.name_servers(&turn, target, entity.as_ref(), &desired).await?;
        let mut troubles = self.reconcile(attempt, &turn, &desired).await?;
        self.name_servers(&turn, target, entity.as_ref(), &desired).await?;
        if troubles.outage.is_none() {
            match target.microcks.missing_role().await {
                Some(missing) => troubles.outage = Some(missing),
                None => target.gate.answered(&pass).await,
            }
        }
        self.settle(target, &pass, (reference, desired.is_annotated), &events, &troubles)
            .await
    }
}
