//! Random histories, told to SQLite and to Postgres alike: both must answer the same and look the same after each act.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tideline_shared::rules::{fingerprint, key_hash, page_fingerprint};
use tideline_shared::store::conformance::{T0, child, entity, spec, worker};
use tideline_shared::store::sqlite::SqliteStore;
use tideline_shared::store::{
    ClaimRequest, EntityFilter, JobFilter, RescuePolicy, SettleRequest, SourceCommand, Store, StoreError,
};
use tideline_shared::words::{
    ChildPartition, CycleEnd, CycleNumber, CycleRecord, CycleState, JobId, JobRecord, JobState, KeyHash, Lease,
    MalformedItem, NewJob, PageBatch, PageMemory, PageWrite, Progress, Sequence, Settlement, SourceId, SourceRecord,
    SourceSpec, SourceState, SweepPlan, Timestamp, Token, Trigger, Validators, WorkerId,
};
use tideline_tests::seed;

use super::database::Database;

const HISTORIES: u64 = 4;
const ACTS: usize = 400;
/// Where more are found than this, the stores choose; no act finds so many.
const MANY: u32 = 100;
const LEASE: Duration = Duration::from_secs(5);
/// Acts shown if a history fails.
const SHOWN: usize = 12;

/// A job, by what is the same in both stores.
type Name = (String, String);

/// An attempt, as its worker knows it.
#[derive(Clone, Debug)]
struct Attempt {
    job: Name,
    token: Token,
    source: Option<String>,
    cycle: Option<CycleNumber>,
    progress: Progress,
}

/// One act. Rows are named, because the stores number them differently.
#[derive(Clone, Debug)]
enum Act {
    Sync(Vec<SourceSpec>),
    Command(String, SourceCommand),
    Start,
    Heartbeat(WorkerId),
    Retire(WorkerId),
    Claim(WorkerId, Vec<String>, u32),
    Commit(Attempt, Vec<PageWrite>, Option<String>),
    Restart(Attempt),
    Checkpoint(Attempt, Option<String>, Option<String>),
    Settle(Vec<(Attempt, Settlement)>),
    Enqueue(Vec<NewJob>),
    TakeDue(i64),
    Rescue(RescuePolicy),
    End(String, CycleNumber, CycleEnd),
    Plan(String, CycleNumber, u32),
    Sweep(String, CycleNumber, u32),
    Hold(String, CycleNumber, SweepPlan, Option<Timestamp>),
    MoveNext(String, CycleNumber, Option<Timestamp>, Option<Timestamp>),
    HoldBack(String, Timestamp),
    Block(String),
    Retry(Name),
    Delete(String),
    Prune(Timestamp),
}

/// One store, and the numbers of its rows.
struct Side {
    store: Arc<dyn Store>,
    jobs: Vec<JobRecord>,
    sources: Vec<SourceRecord>,
}

impl Side {
    async fn look(&mut self) {
        let all = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        self.jobs = self.store.list_jobs(&all).await.unwrap();
        self.jobs.sort_by(|a, b| (&a.kind, &a.key).cmp(&(&b.kind, &b.key)));
        self.sources = self.store.list_sources().await.unwrap();
    }

    fn job(&self, (kind, key): &Name) -> JobId {
        let found = self.jobs.iter().find(|job| job.kind == *kind && job.key == *key);
        found.map_or(JobId(i64::MAX), |job| job.id)
    }

    fn name(&self, id: JobId) -> Name {
        let job = self.jobs.iter().find(|job| job.id == id).unwrap();
        (job.kind.clone(), job.key.clone())
    }

    fn source(&self, name: &str) -> SourceId {
        let found = self.sources.iter().find(|source| source.name == name);
        found.map_or(SourceId(i64::MAX), |source| source.id)
    }

    fn lease(&self, attempt: &Attempt) -> Lease {
        Lease {
            job: self.job(&attempt.job),
            token: attempt.token,
        }
    }

    /// Does it; the answer as text, with names for numbers. Looks afterwards.
    async fn answer(&mut self, act: &Act, now: Timestamp) -> String {
        match self.act(act, now).await {
            Ok(text) => text,
            Err(StoreError::NotFound { what, .. }) => format!("no such {what}"),
            Err(StoreError::Refused(_)) => "refused".to_owned(),
            Err(StoreError::Broken { act, .. }) => format!("broken: {act}"),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn act(&mut self, act: &Act, now: Timestamp) -> Result<String, StoreError> {
        let store = Arc::clone(&self.store);
        let text = match act {
            Act::Sync(specs) => {
                let mut sync = store.sync_sources(specs, now).await?;
                sync.ids.iter_mut().for_each(|(_, id)| *id = SourceId(0));
                format!("{sync:?}")
            }
            Act::Command(name, command) => format!("{:?}", store.command_source(name, *command, now).await?),
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
            Act::Commit(attempt, pages, next) => {
                let batch = PageBatch {
                    lease: self.lease(attempt),
                    source: self.source(attempt.source.as_deref().unwrap()),
                    cycle: attempt.cycle.unwrap(),
                    partition: attempt.job.1.clone(),
                    pages: pages.clone(),
                    next: next.clone(),
                    progress: attempt.progress,
                    malformed_keep: 5,
                };
                format!("{:?}", store.commit_pages(&batch, now).await?)
            }
            Act::Restart(attempt) => format!("{:?}", store.restart_partition(self.lease(attempt), now).await?),
            Act::Checkpoint(attempt, cursor, progress) => {
                let lease = self.lease(attempt);
                let kept = store.checkpoint(lease, cursor.as_deref(), progress.as_deref(), now);
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
            Act::HoldBack(name, until) => format!("{:?}", store.hold_back(self.source(name), *until).await?),
            Act::Block(name) => format!("{:?}", store.block_source(self.source(name), "no rights").await?),
            Act::Retry(job) => format!("{:?}", store.retry_job(self.job(job), now).await?),
            Act::Delete(name) => format!("{:?}", store.delete_source_entities(name, MANY, now).await?),
            Act::Prune(before) => format!("{:?}", store.prune_tombstones(*before, MANY).await?),
        };
        Ok(text)
    }

    /// Everything that can be seen of the store, a line each.
    async fn picture(&mut self, now: Timestamp) -> String {
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
        let mut changes = store.list_changes(Sequence(0), 10_000).await.unwrap();
        changes.sort_by(|a, b| (&a.source, &a.reference).cmp(&(&b.source, &b.reference)));
        for mut change in changes {
            change.sequence = Sequence(0);
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

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

/// Who makes the history up.
struct Author {
    random: StdRng,
    now: Timestamp,
    attempts: Vec<Attempt>,
}

impl Author {
    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_ratio(1, n)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        from.choose(&mut self.random).cloned()
    }

    fn soon(&mut self) -> Timestamp {
        self.now.plus(Duration::from_millis(self.random.random_range(0..1_000)))
    }

    fn source(&mut self) -> String {
        self.pick(&["a", "b"]).unwrap().to_owned()
    }

    /// What happens next. The view is that of one store; the other one is the same.
    async fn next(&mut self, view: &Side) -> Act {
        if !view.sources.iter().any(|source| source.state != SourceState::Orphaned) {
            return self.sync();
        }
        // What keeps cycles going is likelier than what disturbs them.
        match self.random.random_range(0..100) {
            0..8 => Act::Start,
            8..24 => Act::Claim(
                self.worker(),
                vec!["ingest".into(), "test".into()],
                self.random.random_range(1..4),
            ),
            24..54 => self.of_an_attempt(view).await,
            54..76 => self.of_a_cycle(view).await,
            76..80 => self.enqueue(),
            80..83 => Act::TakeDue(1_000),
            83..87 => Act::Heartbeat(self.worker()),
            87..90 => {
                let policy = RescuePolicy {
                    free: 1,
                    delay: Duration::from_secs(2),
                    park_after: 3,
                };
                Act::Rescue(policy)
            }
            90..94 => self.of_an_operator(view),
            94..97 => self.resume(view),
            97 => Act::Retire(self.worker()),
            98 => self.sync(),
            _ => Act::HoldBack(self.source(), self.soon()),
        }
    }

    fn worker(&mut self) -> WorkerId {
        worker(self.pick(&["w1", "w2"]).unwrap())
    }

    fn sync(&mut self) -> Act {
        let all = ["a", "b"].map(|name| {
            let mut spec = spec(name, self.random.random_range(1..4));
            if self.one_in(10) {
                spec.identity = fingerprint(b"another");
            }
            spec
        });
        let kept = if self.one_in(8) { 1 } else { 2 };
        Act::Sync(all[..kept].to_vec())
    }

    fn enqueue(&mut self) -> Act {
        let job = |key: &str, author: &mut Self| {
            let args = format!("{}", author.random.random_range(0..3));
            NewJob {
                kind: "test".into(),
                key: key.into(),
                fingerprint: fingerprint(args.as_bytes()),
                args,
                due_at: author.soon(),
                trigger: Trigger::Webhook,
                trace: None,
            }
        };
        let mut jobs = vec![job("x", self)];
        if self.one_in(2) {
            jobs.push(job("y", self));
        }
        Act::Enqueue(jobs)
    }

    async fn of_an_attempt(&mut self, view: &Side) -> Act {
        let attempts = self.attempts.clone();
        let Some(attempt) = self.pick(&attempts) else {
            return Act::Claim(self.worker(), vec!["ingest".into()], 2);
        };
        if attempt.source.is_none() {
            let progress = self.one_in(2).then(|| "{\"n\":1}".to_owned());
            return match self.random.random_range(0..3) {
                0 => Act::Checkpoint(attempt, Some("\"c\"".into()), progress),
                _ => self.settle(attempt),
            };
        }
        if attempt.progress.finished {
            return Act::Settle(vec![(attempt, Settlement::Done)]);
        }
        match self.random.random_range(0..12) {
            0 => self.settle(attempt),
            1 => Act::Restart(attempt),
            _ => self.commit(attempt, view).await,
        }
    }

    fn settle(&mut self, attempt: Attempt) -> Act {
        let (due_at, error) = (self.soon(), "no luck".to_owned());
        let settlement = match self.random.random_range(0..20) {
            0 if self.one_in(3) => Settlement::Parked { error },
            1 if self.one_in(3) => Settlement::Cancelled { error },
            0..6 => Settlement::HandedBack,
            6..10 => Settlement::Retry { due_at, rung: 1, error },
            10..13 => Settlement::Postponed { due_at, reason: error },
            13..18 => Settlement::Again { due_at },
            _ => Settlement::Done,
        };
        let mut ends = vec![(attempt.clone(), settlement)];
        let others: Vec<_> = (self.attempts.iter())
            .filter(|other| other.job != attempt.job)
            .cloned()
            .collect();
        if let Some(other) = self.pick(&others)
            && self.one_in(3)
        {
            let due_at = self.soon();
            ends.push((other, Settlement::Again { due_at }));
        }
        Act::Settle(ends)
    }

    /// One to three pages, each as remembered, with other validators, or written anew; sometimes a batch sent before.
    async fn commit(&mut self, attempt: Attempt, view: &Side) -> Act {
        let first = attempt.progress.next_page;
        let known = view
            .store
            .list_page_memories(view.job(&attempt.job), first, 3)
            .await
            .unwrap();
        let count = self.random.random_range(1..4);
        let is_root = attempt.source.as_ref() == Some(&attempt.job.1);
        let mut pages = Vec::new();
        for page in first..first + count {
            let next = Some(format!("\"c{page}\"")).filter(|_| page + 1 < first + count || self.one_in(4));
            let memory = known.iter().find(|memory| memory.page == page).cloned();
            pages.push(match memory {
                Some(memory) if self.one_in(2) => {
                    let anew = memory.next != next || self.one_in(4);
                    PageWrite::Touched {
                        validators: anew.then(|| self.validators()),
                        memory: PageMemory { next, ..memory },
                    }
                }
                _ => self.written(page, next, is_root),
            });
        }
        let next = pages.last().and_then(|page| page.memory().next.clone());
        Act::Commit(attempt, pages, next)
    }

    fn validators(&mut self) -> Validators {
        let etag = self.random.random_range(0..5);
        Validators {
            request: Some(fingerprint(b"request")),
            etag: Some(format!("\"{etag}\"")),
            last_modified: None,
            content: self.one_in(2).then(|| fingerprint(b"content")),
        }
    }

    fn written(&mut self, page: u32, next: Option<String>, is_root: bool) -> PageWrite {
        let mut references: Vec<String> = (0..10).map(|n| format!("component:default/c{n}")).collect();
        references.retain(|_| self.random.random_ratio(2, 5));
        let entities: Vec<_> = (references.iter())
            .map(|reference| entity(reference, &json!({"v": self.random.random_range(0..3)}).to_string()))
            .collect();
        let malformed: Vec<MalformedItem> = (0..u32::from(self.one_in(20)))
            .map(|_| MalformedItem {
                reference: (!self.one_in(4)).then(|| "component:default/broken".parse().unwrap()),
                error: "it is broken".into(),
                sample: "{".into(),
            })
            .collect();
        let kept: Vec<KeyHash> = malformed
            .iter()
            .filter_map(|item| item.reference.as_ref().map(key_hash))
            .collect();
        // In order of their keys, because that decides who gets a place.
        let children: Vec<ChildPartition> = (0..u32::from(is_root && self.one_in(3)))
            .map(|_| child(&format!("p{page:02}")))
            .collect();
        let memory = PageMemory {
            page,
            fingerprint: page_fingerprint(&entities, &kept, &malformed),
            entities: u32::try_from(entities.len() + kept.len()).unwrap(),
            unidentified: u32::try_from(malformed.len() - kept.len()).unwrap(),
            next,
            children,
            validators: self.validators(),
        };
        PageWrite::Written {
            memory,
            entities,
            kept,
            malformed,
        }
    }

    /// What a scheduler would do with what it finds.
    async fn of_a_cycle(&mut self, view: &Side) -> Act {
        let name = self.source();
        let cycles = view.store.list_cycles(view.source(&name), 1).await.unwrap_or_default();
        let Some(CycleRecord { number, state, .. }) = cycles.first().cloned() else {
            return Act::Start;
        };
        let confirm = if name == "a" { 1 } else { 2 };
        let next_cycle_at = Some(self.soon());
        let end = |state, reason: Option<&str>| {
            let end = CycleEnd {
                state,
                reason: reason.map(str::to_owned),
                next_cycle_at,
            };
            Act::End(name.clone(), number, end)
        };
        match state {
            CycleState::Bursting => {
                let finished = view.store.list_finished_cycles(10).await.unwrap();
                match finished.iter().find(|cycle| cycle.source_name == name) {
                    Some(cycle) if cycle.totals.partitions_cancelled > 0 => {
                        end(CycleState::Cancelled, Some("given up"))
                    }
                    Some(cycle) if cycle.totals.partitions_parked + cycle.totals.unidentified > 0 => {
                        end(CycleState::Incomplete, Some("parked"))
                    }
                    Some(_) => end(CycleState::Sweeping, None),
                    None => Act::Claim(self.worker(), vec!["ingest".into()], 2),
                }
            }
            CycleState::Sweeping => match self.random.random_range(0..6) {
                0 | 1 => Act::Plan(name, number, confirm),
                2 | 3 => Act::Sweep(name, number, confirm),
                4 => end(CycleState::Complete, None),
                _ => Act::Hold(name, number, SweepPlan::default(), next_cycle_at),
            },
            _ if self.one_in(3) => {
                let source = view.sources.iter().find(|source| source.name == name);
                let from = source.and_then(|source| source.next_cycle_at);
                Act::MoveNext(name, number, from, next_cycle_at)
            }
            _ => Act::Start,
        }
    }

    /// Lets sources go on that stand still.
    fn resume(&mut self, view: &Side) -> Act {
        let still = |state| view.sources.iter().find(|source| source.state == state);
        match (still(SourceState::Paused), still(SourceState::Blocked)) {
            (Some(source), _) => Act::Command(source.name.clone(), SourceCommand::Resume),
            (None, Some(source)) => Act::Command(source.name.clone(), SourceCommand::Refresh(Trigger::Manual)),
            (None, None) => Act::Start,
        }
    }

    fn of_an_operator(&mut self, view: &Side) -> Act {
        let name = self.source();
        let command = |command| Act::Command(name.clone(), command);
        match self.random.random_range(0..16) {
            0 | 1 => command(SourceCommand::Refresh(Trigger::Manual)),
            2 => command(SourceCommand::Pause),
            3..6 => command(SourceCommand::Resume),
            6 => command(SourceCommand::Cancel),
            7 => command(SourceCommand::Reset),
            8 => command(SourceCommand::ResetAndDelete),
            9 => command(SourceCommand::ApproveSweep),
            10 => command(SourceCommand::RejectSweep),
            11 => Act::Delete(name),
            12 => Act::Block(name),
            13 => Act::Prune(self.now),
            _ => {
                let stuck: Vec<_> = (view.jobs.iter())
                    .filter(|job| matches!(job.state, JobState::Parked | JobState::Cancelled))
                    .map(|job| (job.kind.clone(), job.key.clone()))
                    .collect();
                self.pick(&stuck).map_or(Act::Start, Act::Retry)
            }
        }
    }

    /// Remembers who works on what. Now and then a worker does not hear that it lost its lease, and goes on.
    fn heed(&mut self, view: &Side) {
        for job in view.jobs.iter().filter(|job| job.state == JobState::Running) {
            let progress = job.progress.as_deref();
            let running = Attempt {
                job: (job.kind.clone(), job.key.clone()),
                token: job.token,
                source: job.source.clone(),
                cycle: job.cycle,
                progress: (job.source.as_ref().and(progress))
                    .map_or_else(Progress::default, |text| serde_json::from_str(text).unwrap()),
            };
            match self.attempts.iter_mut().find(|attempt| attempt.job == running.job) {
                Some(attempt) if attempt.token == running.token => {
                    // Else it did not hear of its last commit, and sends it again.
                    if !self.random.random_ratio(1, 10) {
                        *attempt = running;
                    }
                }
                Some(attempt) if self.random.random_ratio(4, 5) => *attempt = running,
                Some(_) => {}
                None => self.attempts.push(running),
            }
        }
        let runs = |attempt: &Attempt| {
            let is_it = |job: &&JobRecord| job.kind == attempt.job.0 && job.key == attempt.job.1;
            let job = view.jobs.iter().find(is_it);
            job.is_some_and(|job| job.state == JobState::Running && job.token == attempt.token)
        };
        let random = &mut self.random;
        self.attempts
            .retain(|attempt| runs(attempt) || random.random_ratio(2, 3));
    }
}

async fn tell(seed: u64, database: &Database) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("t.db").display());
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(SqliteStore::open(&url).await.unwrap()),
        Arc::new(database.store().await),
    ];
    let mut sides = stores.map(|store| Side {
        store,
        jobs: Vec::new(),
        sources: Vec::new(),
    });
    let mut author = Author {
        random: StdRng::seed_from_u64(seed),
        now: T0,
        attempts: Vec::new(),
    };
    let mut told: VecDeque<(Timestamp, Act)> = VecDeque::new();
    let mut complete = 0;
    for number in 0..ACTS {
        let act = author.next(&sides[0]).await;
        complete += u32::from(matches!(&act, Act::End(_, _, end) if end.state == CycleState::Complete));
        if told.len() == SHOWN {
            told.pop_front();
        }
        told.push_back((author.now, act.clone()));
        let mut answers = Vec::new();
        let mut pictures = Vec::new();
        for side in &mut sides {
            answers.push(side.answer(&act, author.now).await);
            pictures.push(side.picture(author.now).await);
        }
        let differing = pictures[0]
            .lines()
            .zip(pictures[1].lines())
            .find(|(one, other)| one != other);
        assert!(
            answers[0] == answers[1] && pictures[0] == pictures[1],
            "seed {seed}, act {number}: SQLite and Postgres differ.\n{}\nanswers:\n  {}\n  {}\nfirst line:\n{differing:#?}",
            told.iter().map(|act| format!("{act:?}\n")).collect::<String>(),
            answers[0],
            answers[1],
        );
        author.heed(&sides[0]);
        if author.one_in(3) {
            author.now = author.soon();
        }
    }
    assert!(complete > 0, "seed {seed}: no cycle was completed");
    println!("seed {seed}: {complete} cycles completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_and_postgres_tell_the_same_story() {
    let seed = seed("sqlite_and_postgres_tell_the_same_story");
    for history in 0..HISTORIES {
        let Some(database) = Database::create().await else {
            return;
        };
        tell(seed.wrapping_add(history), &database).await;
    }
}
