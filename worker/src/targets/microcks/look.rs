//! Checks many entities and changes none of them: those out of sync get jobs of their own.

use std::collections::HashMap;
use std::time::Duration;

use tideline_core::rules::target_job;
use tideline_core::words::{EntityRef, MICROCKS_KIND, TargetObject, TargetRequest};
use tideline_queue::announce;
use tideline_store::{OriginalEntity, Store, StoreError};

use super::super::entity;
use super::super::events::SyncEvents;
use super::super::gate::Pass;
use super::apply::Turn;
use super::client::MicrocksError;
use super::desired::SyncFiles;
use super::enrich::is_shown;
use super::handler::{MicrocksHandler, Target};
use super::record::record_of;
use crate::handler::{Attempt, HandlerError, Outcome};

/// How long one job looks. Entities that it does not get to have jobs of their own, which are read side by side.
const LONGEST: Duration = Duration::from_secs(60);

/// What the store has of many entities.
struct Known {
    /// As each of their sources gave them.
    originals: HashMap<EntityRef, Vec<OriginalEntity>>,
    owned: HashMap<EntityRef, Vec<TargetObject>>,
    /// What the sources have beside them.
    files: SyncFiles,
}

impl Known {
    async fn read(store: &dyn Store, target: &str, references: &[EntityRef]) -> Result<Self, StoreError> {
        let mut known = Self {
            originals: HashMap::new(),
            owned: HashMap::new(),
            files: SyncFiles::default(),
        };
        for entity in store.list_originals(references).await? {
            let of_it = known.originals.entry(entity.reference.clone());
            of_it.or_default().push(entity);
        }
        for object in store.find_target_objects(target, references).await? {
            let of_it = known.owned.entry(object.reference.clone());
            of_it.or_default().push(object);
        }
        Ok(known)
    }

    fn originals(&self, reference: &EntityRef) -> &[OriginalEntity] {
        self.originals.get(reference).map_or(&[], Vec::as_slice)
    }

    fn owned(&self, reference: &EntityRef) -> &[TargetObject] {
        self.owned.get(reference).map_or(&[], Vec::as_slice)
    }
}

impl MicrocksHandler {
    /// Looks at the entity of the request and its others.
    pub(super) async fn look(
        &self,
        attempt: &Attempt,
        target: &Target,
        pass: &Pass,
        request: &TargetRequest,
    ) -> Result<Outcome, HandlerError> {
        let references: Vec<EntityRef> = [&request.reference]
            .into_iter()
            .chain(&request.others)
            .cloned()
            .collect();
        let known = Known::read(&*self.store, &request.target, &references).await?;
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        let until = self.clock.now().plus(LONGEST);
        for reference in references {
            if attempt.stop.is_cancelled() {
                return Ok(Outcome::HandBack);
            }
            let names = (request.target.as_str(), &reference);
            let events = SyncEvents::new(&self.log, names, attempt.job.trace.clone());
            let turn = self.turn(target, &reference, &events, false);
            let is_right = match self.clock.now() < until {
                true => self.is_right(target, &turn, &known).await,
                false => Ok(false),
            };
            match is_right {
                Ok(true) => right.push(reference),
                // What is wrong its own job finds out, and says so.
                Ok(false) | Err(MicrocksError::Refused(_) | MicrocksError::Transient { .. }) => wrong.push(reference),
                Err(MicrocksError::Outage(why)) => return self.hold_back(target, pass, &events, &why).await,
            }
        }
        if let Some(missing) = target.microcks.missing_role().await {
            let names = (request.target.as_str(), &request.reference);
            let events = SyncEvents::new(&self.log, names, attempt.job.trace.clone());
            return self.hold_back(target, pass, &events, &missing).await;
        }
        if !wrong.is_empty() {
            self.enqueue(attempt, (target, request), wrong).await?;
        }
        target.gate.confirm(&right).await?;
        target.gate.answered(pass).await;
        Ok(Outcome::Done)
    }

    /// Whether an entity has all the mocks that it wants, and no other, and its readers see them.
    async fn is_right(&self, target: &Target, turn: &Turn<'_>, known: &Known) -> Result<bool, MicrocksError> {
        let (originals, owned) = (known.originals(turn.reference), known.owned(turn.reference));
        let entity = entity::followed(&target.settings.follow, originals);
        let desired = self.desired(target, entity, &known.files).await;
        if !desired.is_annotated || !desired.problems.is_empty() || !turn.unwanted(&desired, owned).is_empty() {
            return Ok(false);
        }
        let source = entity.map(|entity| entity.source.as_str());
        let servers = match &target.microcks_settings.enrich {
            Some(at) => turn.servers(at, &desired, owned),
            None => Vec::new(),
        };
        if !is_shown(originals, (turn.target, source), &servers, &desired.definition) {
            return Ok(false);
        }
        for mock in &desired.mocks {
            match record_of(owned, mock) {
                Some(record) if turn.is_made(mock, record).await? => {}
                Some(_) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Gives entities jobs of their own.
    async fn enqueue(
        &self,
        attempt: &Attempt,
        (target, request): (&Target, &TargetRequest),
        references: Vec<EntityRef>,
    ) -> Result<(), HandlerError> {
        let (trigger, now) = (attempt.job.trigger, self.clock.now());
        let job = |reference| {
            let request = TargetRequest {
                target: request.target.clone(),
                reference,
                cause: request.cause,
                round: request.round,
                again: false,
                others: Vec::new(),
            };
            target_job(MICROCKS_KIND, &request, (trigger, attempt.job.trace.clone()), now)
        };
        let jobs: Result<Vec<_>, _> = references.into_iter().map(job).collect();
        let jobs = jobs.map_err(|error| HandlerError::Permanent(format!("a job cannot be written: {error}")))?;
        let enqueued = self.store.enqueue(&jobs, now).await?;
        announce(&*target.gate.queue, &jobs, &enqueued, attempt.job.trace.as_deref(), now).await;
        Ok(())
    }
}
