//! Random histories of events and of who follows them: both stores must answer the same, and an oracle beside them
//! knows for each event whether a subscription may still get it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tideline_core::words::{
    Actor, EventOutcome, EventSequence, NewEvent, SettleEvent, SubscriptionKind, SubscriptionSpec, TakeEvents, Taken,
    Timestamp, Verdict,
};
use tideline_store::conformance::T0;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{Deed, EventStart, OperatorAct, Store, SubscriptionAct, SubscriptionCommand};
use tideline_tests::seed_or;

use super::super::database::Database;

const USUAL: u64 = 6_402_373_705_728_000;
const HISTORIES: u64 = 3;
const ACTS: usize = 300;
const NAMES: [&str; 2] = ["one", "two"];
/// So few, that keys that fail take all the room now and then.
const MAX_OUTSTANDING: u32 = 6;

/// What may still become of an event that a subscription follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Dead,
    Done,
}

/// What a subscription must get.
#[derive(Default)]
struct Expected {
    fates: BTreeMap<EventSequence, (String, Fate)>,
}

struct History {
    stores: [Arc<dyn Store>; 2],
    random: StdRng,
    now: Timestamp,
    expected: BTreeMap<&'static str, Expected>,
    /// Handed out and perhaps not settled yet: name, event, token.
    held: Vec<(&'static str, EventSequence, i64)>,
    log: Vec<(EventSequence, String)>,
    token: i64,
    acked: u32,
    dead: u32,
}

impl History {
    fn name(&mut self) -> &'static str {
        NAMES.choose(&mut self.random).copied().unwrap()
    }

    /// The same of both stores.
    async fn both<T: std::fmt::Debug>(&self, mut ask: impl AsyncFnMut(&Arc<dyn Store>) -> T) -> T {
        let first = ask(&self.stores[0]).await;
        let second = ask(&self.stores[1]).await;
        assert_eq!(
            format!("{first:?}"),
            format!("{second:?}"),
            "SQLite and Postgres differ"
        );
        first
    }

    async fn perform(&self, name: &str, act: SubscriptionAct) -> Result<(), String> {
        let deed = Deed::ActOnSubscription {
            subscription: name.to_owned(),
            act,
        };
        let act = OperatorAct::new(deed, Actor::local("history"));
        self.both(async |store| {
            store
                .perform(&act, self.now)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await
    }

    async fn append(&mut self) {
        let events: Vec<NewEvent> = (0..self.random.random_range(1..6))
            .map(|_| NewEvent {
                topic: ["t", "t", "u"].choose(&mut self.random).copied().unwrap().to_owned(),
                key: ["", "a", "b", "c", "bad"]
                    .choose(&mut self.random)
                    .copied()
                    .unwrap()
                    .to_owned(),
                delivery: None,
                verdict: Verdict::Published,
                malformed: false,
                headers: vec![],
                body: b"{}".to_vec(),
                trace: None,
            })
            .collect();
        let appended = self
            .both(async |store| store.append_events(&events, self.now).await.unwrap())
            .await;
        for (event, appended) in events.into_iter().zip(appended).filter(|(event, _)| event.topic == "t") {
            self.log.push((appended.sequence, event.key.clone()));
            for expected in self.expected.values_mut() {
                expected
                    .fates
                    .insert(appended.sequence, (event.key.clone(), Fate::Open));
            }
        }
    }

    /// Makes it, or puts it again, which changes nothing of where it stands.
    async fn put(&mut self, name: &'static str) {
        let spec = SubscriptionSpec {
            name: name.to_owned(),
            kind: SubscriptionKind::Pull,
            topics: vec!["t".parse().unwrap()],
            max_outstanding: MAX_OUTSTANDING,
            filter: None,
            push: None,
            changes: None,
        };
        let act = SubscriptionAct::Put {
            spec: Box::new(spec),
            start: EventStart::Now,
        };
        self.perform(name, act).await.unwrap();
        self.expected.entry(name).or_default();
    }

    async fn take(&mut self, name: &'static str) -> usize {
        self.token += 1;
        let request = TakeEvents {
            max: self.random.random_range(1..5),
            leased_until: self.now.plus(Duration::from_secs(5)),
            token: self.token,
            in_flight: None,
        };
        let taken = self
            .both(async |store| store.take_events(name, &request, self.now).await.ok())
            .await;
        let Some(taken) = taken else { return 0 };
        self.note_dead(name).await;
        self.check(name, &taken);
        for one in &taken.events {
            self.held.push((name, one.event.head.sequence, self.token));
        }
        taken.events.len()
    }

    /// Only what is open is handed out, and of a key nothing that overtakes an open one.
    fn check(&self, name: &str, taken: &Taken) {
        let fates = &self.expected[name].fates;
        let batch: Vec<EventSequence> = taken.events.iter().map(|one| one.event.head.sequence).collect();
        for sequence in &batch {
            let (key, fate) = &fates[sequence];
            assert_eq!(*fate, Fate::Open, "{name} got {sequence}");
            let overtaken = fates.range(..*sequence).find(|(earlier, (of, fate))| {
                !key.is_empty() && of == key && *fate == Fate::Open && !batch.contains(earlier)
            });
            assert_eq!(overtaken, None, "{name} got {sequence} too early");
        }
    }

    /// Settles something that was handed out, perhaps long ago. The key `bad` fails more often.
    async fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.held.len());
        let (name, sequence, token) = self.held.swap_remove(at);
        let Some((key, _)) = self.expected.get(name).and_then(|of| of.fates.get(&sequence)).cloned() else {
            return;
        };
        let dice = self.random.random_range(0..10);
        let outcome = match (key.as_str(), dice) {
            ("bad", 0..9) | (_, 0) => EventOutcome::Again {
                due_at: self.now.plus(Duration::from_millis(300)),
                error: Some("500".to_owned()),
            },
            (_, 1) => EventOutcome::Untried,
            (_, 2) => EventOutcome::Dead {
                error: "400".to_owned(),
            },
            _ => EventOutcome::Acked,
        };
        let settlement = [SettleEvent {
            sequence,
            token,
            outcome: outcome.clone(),
        }];
        let settled = self
            .both(async |store| {
                store
                    .settle_events(name, &settlement, self.now)
                    .await
                    .unwrap_or_default()
            })
            .await;
        if settled == [true] && outcome == EventOutcome::Acked {
            let (_, fate) = self.expected.get_mut(name).unwrap().fates.get_mut(&sequence).unwrap();
            assert_eq!(*fate, Fate::Open, "{name} acknowledged {sequence} twice");
            *fate = Fate::Done;
            self.acked += 1;
        }
        self.note_dead(name).await;
    }

    /// What was given up, by the subscriber or for want of room.
    async fn note_dead(&mut self, name: &'static str) {
        let letters = self
            .both(async |store| {
                let letters = store.list_dead_letters(name, EventSequence(0), 1_000).await.unwrap();
                letters
                    .into_iter()
                    .map(|one| (one.sequence, one.attempts, one.error))
                    .collect::<Vec<_>>()
            })
            .await;
        let Some(expected) = self.expected.get_mut(name) else {
            return;
        };
        for (sequence, _, _) in letters {
            let (_, fate) = expected.fates.get_mut(&sequence).unwrap();
            assert_ne!(*fate, Fate::Done, "{name} gave up {sequence}, which was acknowledged");
            self.dead += u32::from(*fate == Fate::Open);
            *fate = Fate::Dead;
        }
    }

    async fn letters(&mut self, name: &'static str, retries: bool) {
        let dead = |of: &Expected| {
            of.fates
                .iter()
                .find(|(_, (_, fate))| *fate == Fate::Dead)
                .map(|(at, _)| *at)
        };
        let one = self
            .expected
            .get(name)
            .and_then(dead)
            .filter(|_| self.random.random_ratio(1, 2));
        let act = match retries {
            true => SubscriptionAct::RetryDeadLetters(one),
            false => SubscriptionAct::DropDeadLetters(one),
        };
        if self.perform(name, act).await.is_err() {
            return;
        }
        let to = if retries { Fate::Open } else { Fate::Done };
        for (sequence, (_, fate)) in &mut self.expected.get_mut(name).unwrap().fates {
            if *fate == Fate::Dead && one.is_none_or(|one| one == *sequence) {
                *fate = to;
            }
        }
    }

    async fn act(&mut self) {
        let name = self.name();
        match self.random.random_range(0..100) {
            0..25 => self.append().await,
            25..50 => {
                self.take(name).await;
            }
            50..82 => self.settle().await,
            82..85 => self.put(name).await,
            85..88 => drop(
                self.perform(name, SubscriptionAct::Command(SubscriptionCommand::Pause))
                    .await,
            ),
            88..93 => drop(
                self.perform(name, SubscriptionAct::Command(SubscriptionCommand::Resume))
                    .await,
            ),
            93..95 => self.letters(name, true).await,
            95..96 => self.letters(name, false).await,
            96..97 => {
                let replay = SubscriptionCommand::Replay(EventStart::Beginning);
                if self.perform(name, SubscriptionAct::Command(replay)).await.is_ok() {
                    let all = self.log.iter().map(|(at, key)| (*at, (key.clone(), Fate::Open)));
                    // What was given up before stays so until a person says otherwise, and comes again as well.
                    self.expected.get_mut(name).unwrap().fates = all.collect();
                    self.perform(name, SubscriptionAct::DropDeadLetters(None))
                        .await
                        .unwrap();
                }
            }
            97..98 if self.perform(name, SubscriptionAct::Delete).await.is_ok() => {
                self.expected.remove(name);
            }
            _ => {}
        }
        self.now = self.now.plus(Duration::from_millis(self.random.random_range(1..400)));
        let records = self.both(async |store| store.list_subscriptions().await.unwrap()).await;
        assert_eq!(records.len(), self.expected.len());
    }

    /// In the end everything that is open is handed out, and nothing else.
    async fn drain(&mut self) {
        for name in NAMES
            .into_iter()
            .filter(|name| self.expected.contains_key(name))
            .collect::<Vec<_>>()
        {
            drop(
                self.perform(name, SubscriptionAct::Command(SubscriptionCommand::Resume))
                    .await,
            );
            for _ in 0..1_000 {
                self.now = self.now.plus(Duration::from_secs(1));
                self.take(name).await;
                let held: Vec<_> = self
                    .held
                    .extract_if(.., |(of, _, token)| *of == name && *token == self.token)
                    .collect();
                for (_, sequence, token) in held {
                    let ack = [SettleEvent {
                        sequence,
                        token,
                        outcome: EventOutcome::Acked,
                    }];
                    let settled = self
                        .both(async |store| store.settle_events(name, &ack, self.now).await.unwrap())
                        .await;
                    assert_eq!(settled, [true]);
                    self.expected.get_mut(name).unwrap().fates.get_mut(&sequence).unwrap().1 = Fate::Done;
                }
                if self.expected[name].fates.values().all(|(_, fate)| *fate != Fate::Open) {
                    break;
                }
            }
            let lost = self.expected[name]
                .fates
                .iter()
                .find(|(_, (_, fate))| *fate == Fate::Open);
            assert_eq!(lost, None, "{name} never got it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_and_postgres_tell_the_same_story_of_events_and_lose_none() {
    let seed = seed_or("sqlite_and_postgres_tell_the_same_story_of_events_and_lose_none", USUAL);
    let (mut acked, mut dead) = (0, 0);
    for history in 0..HISTORIES {
        let Some(database) = Database::create().await else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let mut told = History {
            stores: [
                Arc::new(SqliteStore::open(&url).await.unwrap()),
                Arc::new(database.store().await),
            ],
            random: StdRng::seed_from_u64(seed.wrapping_add(history)),
            now: T0,
            expected: BTreeMap::new(),
            held: vec![],
            log: vec![],
            token: 0,
            acked: 0,
            dead: 0,
        };
        for name in NAMES {
            told.put(name).await;
        }
        for _ in 0..ACTS {
            told.act().await;
        }
        told.drain().await;
        (acked, dead) = (acked + told.acked, dead + told.dead);
    }
    println!("{acked} events were acknowledged, {dead} given up");
    assert!(acked > 0 && dead > 0, "the histories lead nowhere");
}
