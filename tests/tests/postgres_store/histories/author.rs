use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tideline_core::rules::RescuePolicy;
use tideline_core::rules::{fingerprint, key_hash, made_fingerprint, page_fingerprint};
use tideline_core::words::{
    ChildPartition, CycleEnd, CycleNumber, CycleRecord, CycleState, Delta, DeltaBasis, DeltaChange, JobRecord,
    JobState, KeyHash, MalformedItem, NewJob, Origin, PageMemory, PageWrite, Progress, Settlement, SourceState,
    SweepPlan, Timestamp, Trigger, Validators, WorkerId, item_hash,
};
use tideline_store::SourceCommand;
use tideline_store::conformance::{T0, child, entity, spec, worker};

use super::side::Side;
use super::{Act, Attempt};

/// Who makes the history up.
pub(super) struct Author {
    random: StdRng,
    pub(super) now: Timestamp,
    attempts: Vec<Attempt>,
}

impl Author {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            now: T0,
            attempts: Vec::new(),
        }
    }

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
    pub(super) async fn next(&mut self, view: &Side) -> Act {
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
            90 => self.deltas(),
            91 => self.either_delta(),
            92 | 93 => self.of_an_operator(view),
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

    /// What refreshes found that began a little while ago, of entities that pages have too.
    fn deltas(&mut self) -> Act {
        let mut deltas = Vec::new();
        for number in 0..11 {
            if !self.one_in(6) {
                continue;
            }
            let reference = format!("component:default/c{number}");
            let change = if self.one_in(4) {
                DeltaChange::Remove(reference.parse().unwrap())
            } else {
                let body = json!({"v": self.random.random_range(0..3)}).to_string();
                DeltaChange::Upsert(entity(&reference, &body))
            };
            let basis = if self.one_in(8) {
                DeltaBasis::Pushed(self.one_in(2).then(|| self.random.random_range(0..4)))
            } else {
                DeltaBasis::Read(self.a_while_ago())
            };
            deltas.push(Delta { change, basis });
        }
        let name = self.source();
        let origin = self.one_in(2).then(|| self.origin(&name));
        Act::Deltas(name, origin, deltas)
    }

    fn either_delta(&mut self) -> Act {
        if self.one_in(2) {
            self.deltas()
        } else {
            self.drop_unseen()
        }
    }

    /// A reading that showed nothing of its partition or item: what is its own goes.
    fn drop_unseen(&mut self) -> Act {
        let name = self.source();
        let origin = self.origin(&name);
        Act::Drop(name, origin, self.a_while_ago())
    }

    fn origin(&mut self, source: &str) -> Origin {
        let partition = match self.random.random_range(0..4) {
            0 => source.to_owned(),
            number => format!("{source}/p{number:02}"),
        };
        let item = self.one_in(2).then(|| self.maker());
        let names_it = item.is_some() && self.one_in(2);
        Origin {
            partition: Some(partition),
            item,
            entity: names_it.then(|| {
                let number = self.random.random_range(0..10);
                key_hash(&format!("component:default/c{number}").parse().unwrap())
            }),
        }
    }

    fn maker(&mut self) -> KeyHash {
        item_hash("things", [("name", ["x", "y", "z"][self.random.random_range(0..3)])])
    }

    fn a_while_ago(&mut self) -> Timestamp {
        Timestamp(self.now.0 - self.random.random_range(0..1_500))
    }

    async fn of_an_attempt(&mut self, view: &Side) -> Act {
        let attempts = self.attempts.clone();
        let Some(attempt) = self.pick(&attempts) else {
            return Act::Claim(self.worker(), vec!["ingest".into()], 2);
        };
        if attempt.source.is_none() {
            return match self.random.random_range(0..3) {
                0 => Act::Checkpoint(attempt, "\"c\"".into()),
                _ => self.settle(attempt),
            };
        }
        if attempt.progress.finished {
            return Act::Settle(vec![(attempt, Settlement::Done)]);
        }
        let is_root = attempt.source.as_ref() == Some(&attempt.job.1);
        match self.random.random_range(0..14) {
            0 => self.settle(attempt),
            1 if is_root => Act::Reveal(attempt, child(["p00", "p07"][self.random.random_range(0..2)])),
            1 => Act::Restart(attempt),
            2 => Act::ClaimSiblings(attempt, self.random.random_range(1..4)),
            3 => self.commit_whole(attempt, view).await,
            _ => self.commit(attempt, view).await,
        }
    }

    fn settle(&mut self, attempt: Attempt) -> Act {
        let (due_at, error) = (self.soon(), "no luck".to_owned());
        let settlement = match self.random.random_range(0..20) {
            0 if self.one_in(2) => Settlement::Parked { error },
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

    /// One to three pages, each unchanged, with other validators, or written anew.
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
                        memory: PageMemory {
                            next,
                            read_at: self.a_while_ago(),
                            ..memory
                        },
                    }
                }
                _ => self.written(page, next, is_root),
            });
        }
        let next = pages.last().and_then(|page| page.memory().next.clone());
        Act::Commit(attempt, pages, next)
    }

    /// One page that is all there is, unchanged, with other validators, or written anew.
    async fn commit_whole(&mut self, attempt: Attempt, view: &Side) -> Act {
        let known = view
            .store
            .list_page_memories(view.job(&attempt.job), 0, 1)
            .await
            .unwrap();
        let page = match known.into_iter().next() {
            Some(memory) if self.one_in(2) => PageWrite::Touched {
                validators: self.one_in(3).then(|| self.validators()),
                memory: PageMemory {
                    next: None,
                    read_at: self.a_while_ago(),
                    ..memory
                },
            },
            _ => self.written(0, None, false),
        };
        Act::CommitSibling(attempt, Box::new(page))
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
        let malformed: Vec<MalformedItem> = self
            .one_in(20)
            .then(|| MalformedItem {
                reference: (!self.one_in(4)).then(|| "component:default/broken".parse().unwrap()),
                error: "it is broken".into(),
                sample: "{".into(),
            })
            .into_iter()
            .collect();
        let kept: Vec<KeyHash> = malformed
            .iter()
            .filter_map(|item| item.reference.as_ref().map(key_hash))
            .collect();
        let makers: Vec<KeyHash> = if self.one_in(2) {
            entities.iter().map(|_| self.maker()).collect()
        } else {
            vec![]
        };
        // In order of their keys, because that decides who gets a place.
        let children: Vec<ChildPartition> = (is_root && self.one_in(3))
            .then(|| child(&format!("p{page:02}")))
            .into_iter()
            .collect();
        let memory = PageMemory {
            lost: vec![],
            page,
            fingerprint: made_fingerprint(page_fingerprint(&entities, &kept, &malformed), &makers),
            entities: u32::try_from(entities.len() + kept.len()).unwrap(),
            kept: u32::try_from(kept.len()).unwrap(),
            unidentified: u32::try_from(malformed.len() - kept.len()).unwrap(),
            next,
            children,
            validators: self.validators(),
            read_at: self.a_while_ago(),
        };
        PageWrite::Written {
            memory,
            entities,
            kept,
            malformed,
            makers,
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
                    Some(cycle) if cycle.totals.partitions_done == 0 || self.one_in(10) => {
                        end(CycleState::Incomplete, Some("nothing was read"))
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
        match self.random.random_range(0..15) {
            0 | 1 => command(SourceCommand::Refresh(Trigger::Manual)),
            2 => command(SourceCommand::Pause),
            3..6 => command(SourceCommand::Resume),
            6 => command(SourceCommand::Cancel),
            7 => command(SourceCommand::Reset),
            8 => Act::Delete(name),
            9 => {
                let held = view.sources.iter().filter(|source| source.name == name);
                let held = held.filter_map(|source| source.held.as_ref()).next();
                let unseen = u64::from(self.one_in(4));
                command(SourceCommand::ApproveSweep {
                    cycle: held.map_or(CycleNumber(1), |held| held.cycle),
                    removals: held.map_or(0, |held| held.would_remove + unseen),
                })
            }
            10 => command(SourceCommand::RejectSweep),
            11 => Act::Block(name),
            12 => Act::Prune(self.now),
            _ => {
                let stuck: Vec<_> = (view.jobs.iter())
                    .filter(|job| matches!(job.state, JobState::Parked | JobState::Cancelled))
                    .map(|job| (job.kind.clone(), job.key.clone()))
                    .collect();
                self.pick(&stuck).map_or(Act::Start, Act::Retry)
            }
        }
    }

    /// Lets some time pass, or none.
    pub(super) fn wait(&mut self) {
        if self.one_in(3) {
            self.now = self.soon();
        }
    }

    /// Remembers who works on what. Now and then a worker does not hear that it lost its lease, and goes on.
    pub(super) fn heed(&mut self, view: &Side) {
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
                    // Else it did not hear of its last commit, and goes on from before it.
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
