use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tideline_core::words::{
    JobId, JobRecord, Lease, Origin, PageBatch, PageWrite, Sequence, SourceId, SourceRecord, Timestamp,
};
use tideline_store::conformance::changes_after;
use tideline_store::{
    ClaimRequest, EntityFilter, JobFilter, NameSearch, SettleRequest, SourceCommand, Store, StoreError,
};

use super::{Act, Attempt, Name};

/// Where more are found than this, the stores choose; no act finds that many.
const MANY: u32 = 100;
const LEASE: Duration = Duration::from_secs(5);

/// One store, and the numbers of its rows.
pub(super) struct Side {
    pub(super) store: Arc<dyn Store>,
    pub(super) jobs: Vec<JobRecord>,
    pub(super) sources: Vec<SourceRecord>,
}

impl Side {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            jobs: Vec::new(),
            sources: Vec::new(),
        }
    }

    async fn look(&mut self) {
        let all = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        self.jobs = self.store.list_jobs(&all).await.unwrap();
        self.jobs.sort_by(|a, b| (&a.kind, &a.key).cmp(&(&b.kind, &b.key)));
        self.sources = self.store.list_sources().await.unwrap();
    }

    pub(super) fn job(&self, (kind, key): &Name) -> JobId {
        let found = self.jobs.iter().find(|job| job.kind == *kind && job.key == *key);
        found.map_or(JobId(i64::MAX), |job| job.id)
    }

    fn name(&self, id: JobId) -> Name {
        let job = self.jobs.iter().find(|job| job.id == id).unwrap();
        (job.kind.clone(), job.key.clone())
    }

    pub(super) fn source(&self, name: &str) -> SourceId {
        let found = self.sources.iter().find(|source| source.name == name);
        found.map_or(SourceId(i64::MAX), |source| source.id)
    }

    fn lease(&self, attempt: &Attempt) -> Lease {
        Lease {
            job: self.job(&attempt.job),
            token: attempt.token,
        }
    }

    fn batch(&self, attempt: &Attempt, pages: &[PageWrite], next: Option<&str>) -> PageBatch {
        PageBatch {
            lease: self.lease(attempt),
            source: self.source(attempt.source.as_deref().unwrap()),
            cycle: attempt.cycle.unwrap(),
            partition: attempt.job.1.clone(),
            pages: pages.to_vec(),
            next: next.map(str::to_owned),
            progress: attempt.progress,
            malformed_keep: 5,
        }
    }

    /// Does it; the answer as text, with names for numbers.
    pub(super) async fn answer(&mut self, act: &Act, now: Timestamp) -> String {
        match self.act_on_jobs(act, now).await {
            Ok(text) => text,
            Err(StoreError::NotFound { what, .. }) => format!("no such {what}"),
            // The others name a job by its number.
            Err(StoreError::Refused(why)) if why.starts_with("source ") => why,
            Err(StoreError::Refused(_)) => "refused".to_owned(),
            Err(StoreError::Broken { act, .. }) => format!("broken: {act}"),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn act_on_jobs(&mut self, act: &Act, now: Timestamp) -> Result<String, StoreError> {
        let store = Arc::clone(&self.store);
        Ok(match act {
            Act::Heartbeat(who) => format!("{:?}", store.heartbeat(who, now.plus(LEASE), now).await?),
            Act::Retire(who) => format!("{:?}", store.retire(who, now).await?),
            Act::Claim(who, kinds, limit) => {
                let request = ClaimRequest {
                    worker: who.clone(),
                    kinds: kinds.clone(),
                    hinted: None,
                    limit: *limit,
                };
                store.heartbeat(who, now.plus(LEASE), now).await?;
                let mut claimed = store.claim(&request, now).await?;
                for job in &mut claimed {
                    job.id = JobId(0);
                    job.source = job.source.map(|_| SourceId(0));
                }
                format!("{:?}", sorted(claimed.iter().map(|job| format!("{job:?}"))))
            }
            Act::Checkpoint(attempt, cursor) => {
                let lease = self.lease(attempt);
                let kept = store.checkpoint(lease, cursor, now);
                format!("{:?}", kept.await?)
            }
            Act::Settle(ends) => {
                let requests: Vec<_> = (ends.iter())
                    .map(|(attempt, settlement)| SettleRequest {
                        lease: self.lease(attempt),
                        settlement: settlement.clone(),
                    })
                    .collect();
                format!("{:?}", store.settle(&requests, now).await?)
            }
            Act::Enqueue(jobs) => {
                let enqueued = store.enqueue(jobs, now).await?;
                let told: Vec<_> = enqueued.iter().map(|it| (it.token, it.outcome, it.claimable)).collect();
                format!("{told:?}")
            }
            Act::TakeDue(resend_after) => {
                let due = store.take_due(MANY, *resend_after, now).await?;
                let told = due
                    .iter()
                    .map(|it| format!("{:?} {:?}", self.name(it.job), (it.token, it.due_at, it.resent)));
                format!("{:?}", sorted(told))
            }
            Act::Rescue(policy) => {
                let rescue = store.rescue(*policy, MANY, now).await?;
                let told = rescue
                    .jobs
                    .iter()
                    .map(|it| format!("{:?} {:?}", self.name(it.job), (&it.worker, it.parked)));
                format!("{:?} {:?}", sorted(told), rescue.next_end)
            }
            Act::Retry(job) => format!("{:?}", store.retry_job(self.job(job), now).await?),
            act => return self.act_on_cycles(act, now).await,
        })
    }

    async fn act_on_cycles(&mut self, act: &Act, now: Timestamp) -> Result<String, StoreError> {
        let store = Arc::clone(&self.store);
        Ok(match act {
            Act::Start => {
                let started = store.start_cycles(10, now).await?;
                self.look().await;
                let told = started.iter().map(|it| {
                    let root = self.name(it.root);
                    let of = (&it.source_name, it.number, it.trigger, it.due_at, it.token);
                    format!("{of:?} {root:?}")
                });
                format!("{:?}", sorted(told))
            }
            Act::Commit(attempt, pages, next) => {
                let batch = self.batch(attempt, pages, next.as_deref());
                format!("{:?}", store.commit_pages(&batch, now).await?)
            }
            Act::ClaimSiblings(lead, limit) => {
                let siblings = store.claim_siblings(self.lease(lead), *limit, now).await?;
                let told = siblings.iter().map(|it| {
                    let memory = it.memory.as_ref().map(|memory| (memory.fingerprint, memory.entities));
                    format!("{:?} {:?} {memory:?}", it.job.key, (it.job.token, it.job.attempt))
                });
                format!("{:?}", sorted(told))
            }
            Act::CommitSibling(attempt, page) => {
                let batch = self.batch(attempt, std::slice::from_ref(&**page), None);
                format!("{:?}", store.commit_siblings(&[batch], now).await?)
            }
            Act::Restart(attempt) => format!("{:?}", store.restart_partition(self.lease(attempt), now).await?),
            Act::Reveal(attempt, child) => {
                let children = std::slice::from_ref(child);
                let revealed = store.reveal_partitions(self.lease(attempt), children, now);
                format!("{:?}", revealed.await?)
            }
            Act::End(name, cycle, end) => {
                format!("{:?}", store.end_cycle(self.source(name), *cycle, end, now).await?)
            }
            Act::Plan(name, cycle, confirm) => {
                format!("{:?}", store.plan_sweep(self.source(name), *cycle, *confirm).await?)
            }
            Act::Sweep(name, cycle, confirm) => {
                let swept = store.sweep(self.source(name), *cycle, *confirm, MANY, now);
                format!("{:?}", swept.await?)
            }
            Act::Hold(name, cycle, plan, next) => {
                let held = store.hold_sweep(self.source(name), *cycle, *plan, "too many", *next, now);
                format!("{:?}", held.await?)
            }
            Act::MoveNext(name, cycle, from, to) => {
                let moved = store.move_next_cycle(self.source(name), *cycle, *from, *to);
                format!("{:?}", moved.await?)
            }
            act => return self.act_on_sources(act, now).await,
        })
    }

    async fn act_on_sources(&mut self, act: &Act, now: Timestamp) -> Result<String, StoreError> {
        let store = Arc::clone(&self.store);
        Ok(match act {
            Act::Sync(specs) => {
                let mut sync = store.sync_sources(specs, now).await?;
                sync.ids.iter_mut().for_each(|(_, id)| *id = SourceId(0));
                format!("{sync:?}")
            }
            Act::Command(name, command) => format!("{:?}", store.command_source(name, *command, now).await?),
            Act::HoldBack(name, until) => format!("{:?}", store.hold_back(self.source(name), *until).await?),
            Act::Block(name) => format!("{:?}", store.block_source(self.source(name), "no rights").await?),
            Act::Delete(name) => {
                let reset = SourceCommand::ResetAndDelete;
                store.command_source(name, reset, now).await?;
                format!("{:?}", store.delete_source_entities(name, MANY, now).await?)
            }
            Act::Prune(before) => format!("{:?}", store.prune_tombstones(*before, MANY).await?),
            Act::Deltas(name, origin, deltas) => {
                let source = self.source(name);
                store.expect_deltas(source).await?;
                let origin = origin.as_ref().map(Origin::hash);
                format!("{:?}", store.write_reading(source, origin, deltas, now).await?)
            }
            Act::Drop(name, origin, since) => {
                let source = self.source(name);
                store.expect_deltas(source).await?;
                format!("{:?}", store.drop_unseen(source, origin, *since, None, now).await?)
            }
            act => unreachable!("{act:?} is of no source"),
        })
    }

    /// Everything that can be seen of the store, a line each.
    pub(super) async fn picture(&mut self, now: Timestamp) -> String {
        self.look().await;
        let store = &self.store;
        let mut text = String::new();
        for source in &self.sources {
            for mut cycle in store.list_cycles(source.id, 1_000).await.unwrap() {
                cycle.source = SourceId(0);
                let _ = writeln!(text, "{} {cycle:?}", source.name);
            }
            for item in store.list_malformed(source.id, 100).await.unwrap() {
                let _ = writeln!(text, "{item:?}");
            }
            for collision in store.list_collisions(source.id, 100).await.unwrap() {
                let _ = writeln!(text, "{} {collision:?}", source.name);
            }
            for unseen in store.list_unseen_entities(source.id, None, 100).await.unwrap() {
                let _ = writeln!(text, "{} {unseen:?}", source.name);
            }
            self.search(source.id, &mut text).await;
            let source = SourceRecord {
                id: SourceId(0),
                ..source.clone()
            };
            let _ = writeln!(text, "{source:?}");
        }
        for job in &self.jobs {
            let shown = JobRecord {
                id: JobId(0),
                leased_until: job.leased_until.filter(|until| *until > now),
                ..job.clone()
            };
            let _ = writeln!(text, "{shown:?}");
            for memory in store.list_page_memories(job.id, 0, 100).await.unwrap() {
                let _ = writeln!(text, "{} {memory:?}", job.key);
            }
        }
        let all = EntityFilter {
            limit: 1_000,
            ..EntityFilter::default()
        };
        // The changes of one commit have the order that suits the store.
        for mut entity in store.list_entities(&all).await.unwrap() {
            entity.sequence = Sequence(0);
            let _ = writeln!(text, "{entity:?}");
        }
        // What a follower ends with: SQLite also keeps the tombstones of a source that was deleted and came back.
        let mut followed = BTreeMap::new();
        for mut change in changes_after(store, 0, 10_000).await {
            change.sequence = Sequence(0);
            followed.insert((change.source.clone(), change.reference.clone()), change);
        }
        for change in followed.values() {
            let _ = writeln!(text, "{change:?}");
        }
        // When the dead are forgotten is a store's own business.
        for live in store
            .list_workers()
            .await
            .unwrap()
            .iter()
            .filter(|it| it.alive_until > now)
        {
            let _ = writeln!(text, "{:?}", (&live.worker, live.alive_until, live.running));
        }
        let _ = writeln!(text, "{:?}", store.stats(now).await.unwrap());
        let _ = writeln!(text, "{:?}", store.next_due(now).await.unwrap());
        text
    }
}

impl Side {
    /// Adds what a search of a source finds that wants everything.
    async fn search(&self, source: SourceId, text: &mut String) {
        let every = NameSearch {
            kind: None,
            namespace: None,
            name: None,
            after: "",
            look: 10_000,
            limit: 10_000,
        };
        let names = self.store.find_names(source, &every).await.unwrap().names;
        for entity in self.store.read_entities(source, &names, &[], 1_000).await.unwrap() {
            let _ = writeln!(text, "{} {}", entity.source, entity.reference);
        }
    }
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}
