//! Small builders for cases. Every moment is explicit; [`T0`] is when a case begins.

use std::sync::Arc;

use crate::{ClaimRequest, SettleRequest, StartedCycle, Store};
use tideline_core::rules::{fingerprint, key_hash, page_fingerprint};
use tideline_core::words::{
    Change, ChildPartition, ClaimedJob, Commit, CycleNumber, DeliveryId, Enqueued, Entity, FeedPosition, Fingerprint,
    JobId, JobRecord, KeyHash, Lease, MalformedItem, NewEvent, NewJob, PageBatch, PageMemory, PageWrite, Progress,
    Sequence, Settled, Settlement, SourceId, SourceRecord, SourceSpec, Timestamp, Trigger, Validators, Verdict,
    WorkerId,
};

/// When a case begins.
pub const T0: Timestamp = Timestamp(1_700_000_000_000);

/// The kind of jobs made by [`new_job`].
pub const KIND: &str = "test";

/// `ms` milliseconds after [`T0`].
pub fn t(ms: i64) -> Timestamp {
    Timestamp(T0.0 + ms)
}

/// A worker of this name.
pub fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

/// A job of kind [`KIND`], due at [`T0`], whose fingerprint is that of its args (JSON text).
pub fn new_job(key: &str, args: &str) -> NewJob {
    NewJob {
        kind: KIND.to_owned(),
        key: key.to_owned(),
        fingerprint: fingerprint(args.as_bytes()),
        args: args.to_owned(),
        due_at: T0,
        trigger: Trigger::Manual,
        trace: None,
    }
}

/// Up to `limit` changes, for a reader that has read everything up to `after`.
pub async fn changes_after(store: &Arc<dyn Store>, after: i64, limit: u32) -> Vec<Change> {
    let position = FeedPosition::after(Sequence(after));
    store.list_changes(position, limit).await.unwrap().changes
}

/// Enqueues one job.
pub async fn enqueue(store: &Arc<dyn Store>, job: NewJob, now: Timestamp) -> Enqueued {
    let answers = store.enqueue(&[job], now).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers[0]
}

/// A claim of up to `limit` jobs of these kinds, whatever is due.
pub fn claim_request(name: &str, kinds: &[&str], limit: u32) -> ClaimRequest {
    ClaimRequest {
        worker: worker(name),
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        hinted: None,
        limit,
    }
}

/// Claims up to `limit` jobs of kind [`KIND`] for the worker, which has a lease of 5 s.
pub async fn claim(store: &Arc<dyn Store>, name: &str, limit: u32, now: Timestamp) -> Vec<ClaimedJob> {
    claim_kind(store, name, KIND, limit, now).await
}

/// Claims up to `limit` partitions for the worker, which has a lease of 5 s.
pub async fn claim_ingest(store: &Arc<dyn Store>, name: &str, limit: u32, now: Timestamp) -> Vec<ClaimedJob> {
    claim_kind(store, name, "ingest", limit, now).await
}

pub async fn claim_kind(store: &Arc<dyn Store>, name: &str, kind: &str, limit: u32, now: Timestamp) -> Vec<ClaimedJob> {
    store
        .heartbeat(&worker(name), Timestamp(now.0 + 5_000), now)
        .await
        .unwrap();
    store.claim(&claim_request(name, &[kind], limit), now).await.unwrap()
}

/// Claims the one job of kind [`KIND`] that is due.
pub async fn claim_one(store: &Arc<dyn Store>, name: &str, now: Timestamp) -> ClaimedJob {
    only(claim(store, name, 10, now).await)
}

/// Ends one attempt.
pub async fn settle(store: &Arc<dyn Store>, lease: Lease, settlement: Settlement, now: Timestamp) -> Settled {
    only(store.settle(&[SettleRequest { lease, settlement }], now).await.unwrap())
}

/// The one element.
pub fn only<T: std::fmt::Debug>(mut all: Vec<T>) -> T {
    assert_eq!(all.len(), 1, "exactly one was expected: {all:?}");
    all.remove(0)
}

/// The job of this kind and key.
pub async fn job_of(store: &Arc<dyn Store>, kind: &str, key: &str) -> JobRecord {
    let filter = crate::JobFilter {
        kind: Some(kind.to_owned()),
        key: Some(key.to_owned()),
        limit: 10,
        ..Default::default()
    };
    only(store.list_jobs(&filter).await.unwrap())
}

/// The job of this number.
pub async fn job(store: &Arc<dyn Store>, id: JobId) -> JobRecord {
    let filter = crate::JobFilter {
        after: Some(JobId(id.0 - 1)),
        limit: 1,
        ..Default::default()
    };
    let found = only(store.list_jobs(&filter).await.unwrap());
    assert_eq!(found.id, id);
    found
}

/// A source of the configuration.
pub fn spec(name: &str, parallel_partitions: u32) -> SourceSpec {
    SourceSpec {
        name: name.to_owned(),
        source_type: "http".to_owned(),
        identity: fingerprint(name.as_bytes()),
        parallel_partitions,
    }
}

/// Makes this the only source of the configuration.
pub async fn add_source(store: &Arc<dyn Store>, name: &str, parallel_partitions: u32) -> SourceId {
    let sync = store
        .sync_sources(&[spec(name, parallel_partitions)], T0)
        .await
        .unwrap();
    only(sync.ids).1
}

/// The source of this name.
pub async fn source(store: &Arc<dyn Store>, name: &str) -> SourceRecord {
    store.find_source(name).await.unwrap().expect("the source exists")
}

/// Starts the one cycle that is due.
pub async fn start_cycle(store: &Arc<dyn Store>, now: Timestamp) -> StartedCycle {
    only(store.start_cycles(10, now).await.unwrap())
}

/// Adds a source, starts its first cycle and claims its root partition for worker `w`.
pub async fn begin(store: &Arc<dyn Store>, name: &str, parallel_partitions: u32) -> Reader {
    add_source(store, name, parallel_partitions).await;
    start_cycle(store, T0).await;
    Reader::new(only(claim_ingest(store, "w", 1, T0).await))
}

/// An entity with this reference and body.
pub fn entity(reference: &str, body: &str) -> Entity {
    let reference = reference.parse().unwrap();
    Entity {
        key_hash: key_hash(&reference),
        reference,
        fingerprint: fingerprint(body.as_bytes()),
        body: body.to_owned(),
    }
}

/// The entities `component:default/{first} …`, `count` of them, each with a body that holds its number and `version`.
pub fn entities(first: u32, count: u32, version: u32) -> Vec<Entity> {
    (first..first + count)
        .map(|n| {
            entity(
                &format!("component:default/c{n:07}"),
                &format!("{{\"n\":{n},\"version\":{version}}}"),
            )
        })
        .collect()
}

/// Like [`entities`], each with a body of at least `bytes` bytes.
pub fn padded(first: u32, count: u32, bytes: usize) -> Vec<Entity> {
    let fill = |n: u32| char::from(b'a' + u8::try_from(n % 26).unwrap());
    (first..first + count)
        .map(|n| {
            let text: String = std::iter::repeat_n(fill(n), bytes).collect();
            entity(
                &format!("component:default/c{n:07}"),
                &format!("{{\"n\":{n},\"text\":\"{text}\"}}"),
            )
        })
        .collect()
}

/// A verified delivery with this id, about something of its own.
pub fn delivery(hook: &str, id: &str) -> NewEvent {
    NewEvent {
        topic: "github.push".to_owned(),
        key: format!("about-{id}"),
        delivery: Some(DeliveryId {
            hook: hook.to_owned(),
            id: id.to_owned(),
        }),
        verdict: Verdict::Verified,
        malformed: false,
        headers: vec![],
        body: b"{}".to_vec(),
        trace: None,
    }
}

/// A child partition with this key and empty args.
pub fn child(key: &str) -> ChildPartition {
    ChildPartition {
        key: key.to_owned(),
        args: serde_json::json!({ "of": key }),
    }
}

/// A page of entities, without children; `next` is set by [`Reader::batch`].
pub fn written(page: u32, entities: Vec<Entity>) -> PageWrite {
    written_with(page, entities, vec![], vec![], vec![])
}

/// A page of everything a page may have.
pub fn written_with(
    page: u32,
    entities: Vec<Entity>,
    children: Vec<ChildPartition>,
    kept: Vec<KeyHash>,
    malformed: Vec<MalformedItem>,
) -> PageWrite {
    let memory = PageMemory {
        page,
        fingerprint: page_fingerprint(&entities, &kept, &malformed),
        entities: u32::try_from(entities.len() + kept.len()).unwrap(),
        kept: u32::try_from(kept.len()).unwrap(),
        unidentified: u32::try_from(malformed.iter().filter(|item| item.reference.is_none()).count()).unwrap(),
        next: None,
        lost: vec![],
        children,
        validators: Validators {
            request: Some(Fingerprint([1; 32])),
            etag: Some(format!("\"etag-{page}\"")),
            last_modified: None,
            content: Some(Fingerprint([2; 32])),
        },
        read_at: T0,
    };
    PageWrite::Written {
        memory,
        entities,
        kept,
        malformed,
        makers: vec![],
    }
}

/// The page with these items as the makers of its entities.
pub fn made_by(mut page: PageWrite, items: &[KeyHash]) -> PageWrite {
    if let PageWrite::Written { makers, .. } = &mut page {
        *makers = items.to_vec();
    }
    page
}

/// The page, as its reading began then.
pub fn read_at(mut page: PageWrite, moment: Timestamp) -> PageWrite {
    let (PageWrite::Touched { memory, .. } | PageWrite::Written { memory, .. }) = &mut page;
    memory.read_at = moment;
    page
}

/// An unchanged page.
pub fn touched(memory: PageMemory) -> PageWrite {
    PageWrite::Touched {
        memory,
        validators: None,
    }
}

/// A worker's view of a partition that it has claimed.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The claimed job.
    pub job: ClaimedJob,
    /// Progress as last committed.
    pub progress: Progress,
}

impl Reader {
    /// Reads what the claim says.
    pub fn new(job: ClaimedJob) -> Self {
        let progress = job
            .progress
            .as_deref()
            .map(|text| serde_json::from_str(text).unwrap())
            .unwrap_or_default();
        Self { job, progress }
    }

    /// The source.
    pub fn source(&self) -> SourceId {
        self.job.source.expect("an ingest job has a source")
    }

    /// The cycle.
    pub fn cycle(&self) -> CycleNumber {
        self.job.cycle.expect("an ingest job has a cycle")
    }

    /// A batch of these pages, followed by the cursor `next` (JSON text); none: the partition is finished.
    pub fn batch(&self, mut pages: Vec<PageWrite>, next: Option<&str>) -> PageBatch {
        if let Some(PageWrite::Written { memory, .. }) = pages.last_mut() {
            memory.next = next.map(str::to_owned);
        }
        PageBatch {
            lease: self.job.lease(),
            source: self.source(),
            cycle: self.cycle(),
            partition: self.job.key.clone(),
            pages,
            next: next.map(str::to_owned),
            progress: self.progress,
            malformed_keep: 100,
        }
    }

    /// Commits these pages and goes on from there if they were committed.
    pub async fn commit(
        &mut self,
        store: &Arc<dyn Store>,
        pages: Vec<PageWrite>,
        next: Option<&str>,
        now: Timestamp,
    ) -> Commit {
        let commit = store.commit_pages(&self.batch(pages, next), now).await.unwrap();
        if let Commit::Committed { progress, .. } = &commit {
            self.progress = *progress;
        }
        commit
    }

    /// Commits one page of these entities at the place where the partition is.
    pub async fn write(&mut self, store: &Arc<dyn Store>, entities: Vec<Entity>, next: Option<&str>, now: Timestamp) {
        let page = written(self.progress.next_page, entities);
        let commit = self.commit(store, vec![page], next, now).await;
        assert!(matches!(commit, Commit::Committed { .. }), "{commit:?}");
    }

    /// Commits one last page that reveals these children, and settles the partition as done.
    pub async fn reveal_and_finish(&mut self, store: &Arc<dyn Store>, children: &[&str], now: Timestamp) {
        let children = children.iter().map(|key| child(key)).collect();
        let page = written_with(self.progress.next_page, vec![], children, vec![], vec![]);
        let commit = self.commit(store, vec![page], None, now).await;
        assert!(matches!(commit, Commit::Committed { .. }), "{commit:?}");
        assert_eq!(self.settle(store, Settlement::Done, now).await, Settled::Settled);
    }

    /// Ends the attempt.
    pub async fn settle(&self, store: &Arc<dyn Store>, settlement: Settlement, now: Timestamp) -> Settled {
        settle(store, self.job.lease(), settlement, now).await
    }
}
