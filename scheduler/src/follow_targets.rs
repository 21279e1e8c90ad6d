//! Turns changes of the catalog into jobs of targets.
//!
//! Each target continues from its own stored position, which moves only when the jobs of all changes up to there are in
//! the store: every change is applied at least once, and applying it twice enqueues the same job. A job's key is the
//! target and the entity, so that only the newest of many changes of one entity is processed. Besides the feed there
//! are *looks*, which walk through everything that a target knows: when the feed started over (to find removals in the
//! meantime), at intervals (drift), and on request. Any number of schedulers may follow at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tideline_config::settings::{TargetKind, TargetSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::target_job;
use tideline_core::words::{
    Change, EntityRef, Fingerprint, NewJob, Sequence, TargetEntity, TargetLook, TargetPlace, TargetRequest,
    TargetState, Timestamp, Trigger,
};
use tideline_queue::{Queue, announce};
use tideline_runtime::Pace;
use tideline_runtime::telemetry::{context, spans};
use tideline_store::{EntityFilter, Store, StoreError, TargetEntityFilter, TargetNote};

use crate::scheduler::Task;
use crate::target_traces;
use crate::target_wishes::{Wish, scope, wish};

/// Number of changes applied, and of entities checked, at a time.
const BATCH: u32 = 1_000;
/// Number of entities that one job checks.
const LOOKED_AT_TOGETHER: usize = 100;
/// How often the feed is polled without a wake-up: page commits send none.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// See the module.
pub struct FollowTargets {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    targets: Vec<Followed>,
}

struct Followed {
    settings: TargetSettings,
    /// Whether its position was compared with the configuration. Only once: processes with different configurations
    /// would start over forever.
    is_compared: AtomicBool,
}

impl FollowTargets {
    /// A follower for these targets.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        targets: Vec<TargetSettings>,
    ) -> Self {
        let followed = |settings| Followed {
            settings,
            is_compared: AtomicBool::new(false),
        };
        Self {
            store,
            queue,
            clock,
            targets: targets.into_iter().map(followed).collect(),
        }
    }

    /// One step of one target: of its look, if there is one, otherwise of the feed. `true`: there may be more to do.
    async fn step(&self, followed: &Followed) -> Result<bool, StoreError> {
        let target = &followed.settings;
        let Some(record) = self.store.find_target(&target.name).await? else {
            return Ok(false);
        };
        if record.state == TargetState::Paused {
            return Ok(false);
        }
        let place = record.place;
        if let Some(next) = self.rescoped(followed, &place) {
            self.store.move_target(&target.name, &place, &next).await?;
            return Ok(true);
        }
        followed.is_compared.store(true, Ordering::Relaxed);
        if let Some(look) = &place.look {
            return self.look(target, &place, look).await;
        }
        if let Some(next) = self.due_look(target, &place) {
            return Ok(self.store.move_target(&target.name, &place, &next).await? && next.look.is_some());
        }
        self.follow(target, &place).await
    }

    /// The position of a target that now follows other entities, or has moved to another address: the start, with a
    /// look for entities that it should no longer have.
    fn rescoped(&self, followed: &Followed, place: &TargetPlace) -> Option<TargetPlace> {
        let scope = scope(&followed.settings);
        let before = place.scope.as_ref();
        if before == Some(&scope) || before.is_some() && followed.is_compared.load(Ordering::Relaxed) {
            return None;
        }
        let is_first = before.is_none();
        let scoped = TargetPlace {
            scope: Some(scope),
            ..place.clone()
        };
        if is_first {
            return Some(scoped);
        }
        let trigger = match &place.look {
            Some(look) if look.trigger == Trigger::Manual => Trigger::Manual,
            _ => Trigger::Start,
        };
        let from_start = TargetPlace {
            position: TargetPlace::default().position,
            rounds: place.rounds + 1,
            ..scoped
        };
        Some(looking(&from_start, self.clock.now(), trigger))
    }

    /// The position with a look, if one is due.
    fn due_look(&self, target: &TargetSettings, place: &TargetPlace) -> Option<TargetPlace> {
        let TargetKind::Microcks(microcks) = &target.kind else {
            return None;
        };
        let (every, now) = (microcks.drift_interval?, self.clock.now());
        let began = match place.looked_at {
            // There is nothing to check yet.
            None => {
                return Some(TargetPlace {
                    looked_at: Some(now),
                    ..place.clone()
                });
            }
            Some(last) if last.plus(every) > now => return None,
            Some(_) => now,
        };
        Some(looking(place, began, Trigger::Drift))
    }

    /// Enqueues jobs for the next known entities.
    async fn look(&self, target: &TargetSettings, place: &TargetPlace, look: &TargetLook) -> Result<bool, StoreError> {
        let filter = TargetEntityFilter {
            target: target.name.clone(),
            after: look.after.clone(),
            failing: false,
            limit: BATCH,
        };
        let known = self.store.list_target_entities(&filter).await?;
        let (last, whole) = (
            known.last().map(|entity| entity.reference.clone()),
            known.len() < BATCH as usize,
        );
        let mut requests = Vec::new();
        // Most of them are in sync, which is checked for many at once.
        let (apart, together): (Vec<_>, Vec<_>) =
            (known.into_iter()).partition(|entity| !can_be_looked_at_together(target, look) || entity.error.is_some());
        for entity in apart {
            if self.is_wanted(target, look, &entity).await? {
                requests.push(request(
                    target,
                    entity.reference,
                    (look.began_at.0, place.rounds),
                    look.trigger,
                ));
            }
        }
        for entities in together.chunks(LOOKED_AT_TOGETHER) {
            let mut references = entities.iter().map(|entity| entity.reference.clone());
            if let Some(first) = references.next() {
                requests.push(TargetRequest {
                    others: references.collect(),
                    ..request(target, first, (look.began_at.0, place.rounds), look.trigger)
                });
            }
        }
        self.enqueue(target, requests, look.trigger, &[]).await?;
        let next = TargetPlace {
            look: (!whole).then(|| TargetLook {
                after: last,
                ..look.clone()
            }),
            ..place.clone()
        };
        self.store.move_target(&target.name, place, &next).await?;
        Ok(true)
    }

    /// Whether a look concerns an entity. An endpoint is not resent what it has just because the feed started over.
    async fn is_wanted(
        &self,
        target: &TargetSettings,
        look: &TargetLook,
        entity: &TargetEntity,
    ) -> Result<bool, StoreError> {
        let is_followed = target.follow.allows(&entity.reference);
        if look.trigger != Trigger::Start || matches!(target.kind, TargetKind::Microcks(_)) || !is_followed {
            return Ok(true);
        }
        let filter = EntityFilter {
            reference: Some(entity.reference.clone()),
            limit: BATCH,
            ..EntityFilter::default()
        };
        let there = self.store.list_entities(&filter).await?;
        Ok(!there.iter().any(|entity| target.follow.allows_source(&entity.source)))
    }

    /// Applies the next changes.
    async fn follow(&self, target: &TargetSettings, place: &TargetPlace) -> Result<bool, StoreError> {
        let reading = match self.store.list_changes(place.position, BATCH).await {
            Ok(reading) => reading,
            Err(StoreError::StartOver(gap)) => {
                tracing::warn!(target = target.name, %gap, "a target follows the change feed from the start again");
                let fresh = TargetPlace {
                    starts: place.starts + 1,
                    rounds: place.rounds + 1,
                    looked_at: place.looked_at,
                    scope: place.scope.clone(),
                    ..TargetPlace::default()
                };
                let next = looking(&fresh, self.clock.now(), Trigger::Start);
                return self.store.move_target(&target.name, place, &next).await;
            }
            Err(error) => return Err(error),
        };
        if reading.changes.is_empty() {
            return Ok(false);
        }
        let originals = self.originals(target, &reading.changes).await?;
        let wishes = reading.changes.iter().map(|change| {
            let original = originals.get(&change.sequence).map(String::as_str);
            let wish = wish(target, change, original, place.starts);
            (change.reference.clone(), (wish, change.sequence.0))
        });
        let wishes: BTreeMap<EntityRef, (Wish, i64)> = wishes.filter(|(_, (wish, _))| *wish != Wish::Nothing).collect();
        self.apply(target, (wishes, place.rounds), &reading.changes).await?;
        let next = TargetPlace {
            position: reading.next,
            ..place.clone()
        };
        let moved = self.store.move_target(&target.name, place, &next).await?;
        Ok(reading.more || !moved)
    }

    /// The sources' original bodies, where the feed shows enriched ones. Only needed for mocks.
    async fn originals(
        &self,
        target: &TargetSettings,
        changes: &[Change],
    ) -> Result<HashMap<Sequence, String>, StoreError> {
        let is_mocked = matches!(target.kind, TargetKind::Microcks(_));
        let concerned = |change: &&Change| change.body.is_some() && target.follow.allows(&change.reference);
        let sequences: Vec<Sequence> = (changes.iter())
            .filter(|change| is_mocked && concerned(change))
            .map(|change| change.sequence)
            .collect();
        if sequences.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(self.store.find_originals(&sequences).await?.into_iter().collect())
    }

    /// Enqueues what is new, then notes it: in the other order a crash between the two would lose it. What an endpoint
    /// has is recorded by the worker that sends it.
    async fn apply(
        &self,
        target: &TargetSettings,
        (wishes, round): (BTreeMap<EntityRef, (Wish, i64)>, u32),
        changes: &[Change],
    ) -> Result<(), StoreError> {
        if wishes.is_empty() {
            return Ok(());
        }
        let references: Vec<EntityRef> = wishes.keys().cloned().collect();
        let known = self.store.find_target_entities(&target.name, &references).await?;
        let known: HashMap<EntityRef, (Option<Fingerprint>, bool)> = known
            .into_iter()
            .map(|entity| (entity.reference, (entity.fingerprint, entity.error.is_some())))
            .collect();
        let is_noted = matches!(target.kind, TargetKind::Microcks(_));
        let (mut requests, mut notes) = (Vec::new(), Vec::new());
        for (reference, (wish, cause)) in wishes {
            let print = match wish {
                Wish::Make(print) => Some(print),
                Wish::Remove | Wish::Nothing => None,
            };
            // A removal is relevant as long as the target knows the entity: an earlier one may have left it in place,
            // because another source has it.
            let is_news = match known.get(&reference) {
                None => print.is_some(),
                // After a failure, even a change back to what an endpoint has is one: it ends the failure.
                Some((before, has_failed)) => *has_failed && !is_noted || print.is_none() || *before != print,
            };
            if is_news {
                requests.push(request(target, reference.clone(), (cause, round), Trigger::Schedule));
                if is_noted {
                    notes.push(TargetNote {
                        reference,
                        fingerprint: print,
                    });
                }
            }
        }
        let causes: HashSet<i64> = requests.iter().map(|request| request.cause).collect();
        let changes: Vec<&Change> = (changes.iter())
            .filter(|change| causes.contains(&change.sequence.0))
            .collect();
        self.enqueue(target, requests, Trigger::Schedule, &changes).await?;
        if !notes.is_empty() {
            self.store.note_target_entities(&target.name, &notes).await?;
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        target: &TargetSettings,
        requests: Vec<TargetRequest>,
        trigger: Trigger,
        changes: &[&Change],
    ) -> Result<(), StoreError> {
        if requests.is_empty() {
            return Ok(());
        }
        let (kind, now) = (target.kind.job_kind(), self.clock.now());
        let trace = self.trace(target, requests.len(), changes).await?;
        let new = |request: &TargetRequest| target_job(kind, request, (trigger, trace.clone()), now).ok();
        let jobs: Vec<NewJob> = requests.iter().filter_map(new).collect();
        let enqueued = self.store.enqueue(&jobs, now).await?;
        announce(&*self.queue, &jobs, &enqueued, trace.as_deref(), now).await;
        Ok(())
    }
}

impl FollowTargets {
    /// The trace that the attempts of jobs for these changes are linked to; none without telemetry.
    async fn trace(
        &self,
        target: &TargetSettings,
        jobs: usize,
        changes: &[&Change],
    ) -> Result<Option<String>, StoreError> {
        let bursts = target_traces::bursts(&*self.store, changes).await?;
        let span = spans::follow(&target.name, target.kind.job_kind(), jobs, &bursts);
        Ok(context::of(&span))
    }
}

fn request(
    target: &TargetSettings,
    reference: EntityRef,
    (cause, round): (i64, u32),
    trigger: Trigger,
) -> TargetRequest {
    TargetRequest {
        target: target.name.clone(),
        reference,
        cause,
        round,
        again: trigger == Trigger::Manual,
        others: Vec::new(),
    }
}

fn looking(place: &TargetPlace, now: Timestamp, trigger: Trigger) -> TargetPlace {
    TargetPlace {
        look: Some(TargetLook {
            began_at: now,
            after: None,
            trigger,
        }),
        looked_at: Some(now),
        ..place.clone()
    }
}

/// Whether one job may check many entities: such a job only compares, while a person's request forces the work.
fn can_be_looked_at_together(target: &TargetSettings, look: &TargetLook) -> bool {
    matches!(target.kind, TargetKind::Microcks(_)) && look.trigger != Trigger::Manual
}

#[async_trait]
impl Task for FollowTargets {
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let mut more = false;
        for target in &self.targets {
            more |= self.step(target).await?;
        }
        Ok(if more { Pace::Again } else { Pace::After(LOOK_EVERY) })
    }
}
