//! Random histories, told to SQLite and to Postgres alike: both must answer the same and look the same after each act.

mod author;
mod followers;
mod side;
mod subscriptions;

use std::collections::VecDeque;
use std::sync::Arc;

use tideline_core::rules::RescuePolicy;
use tideline_core::words::{
    ChildPartition, CycleEnd, CycleNumber, CycleState, Delta, NewJob, Origin, PageWrite, Progress, Settlement,
    SourceSpec, SweepPlan, Timestamp, Token, WorkerId,
};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{SourceCommand, Store};
use tideline_tests::seed_or;

use self::author::Author;
use self::followers::Followers;
use self::side::Side;
use super::database::Database;

/// Nothing here depends on time, so a seed is a story. Others are worth a try after a change of the stores.
const USUAL: u64 = 2_729_847_551_506_217_712;
const HISTORIES: u64 = 4;
const ACTS: usize = 400;
/// Old tombstones go with each act of such a number, so that readers of the change feed miss some.
const PRUNED: usize = 25;
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
    ClaimSiblings(Attempt, u32),
    CommitSibling(Attempt, Box<PageWrite>),
    Restart(Attempt),
    Reveal(Attempt, ChildPartition),
    Checkpoint(Attempt, String),
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
    Deltas(String, Option<Origin>, Vec<Delta>),
    Drop(String, Origin, Timestamp),
}

/// The outcome of a history.
#[derive(Default)]
struct Outcome {
    /// Cycles that were completed.
    complete: u32,
    /// How often a reader of the change feed had read everything.
    compared: u32,
    /// How often one was told to start over.
    told: u32,
}

async fn tell(seed: u64, database: &Database, outcome: &mut Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("t.db").display());
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(SqliteStore::open(&url).await.unwrap()),
        Arc::new(database.store().await),
    ];
    let mut sides = stores.map(Side::new);
    let mut author = Author::new(seed);
    let mut told: VecDeque<(Timestamp, Act)> = VecDeque::new();
    let mut followers = [Followers::new(), Followers::new()];
    for number in 0..ACTS {
        let act = if number % PRUNED == PRUNED - 1 {
            Act::Prune(author.now)
        } else {
            author.next(&sides[0]).await
        };
        outcome.complete += u32::from(matches!(&act, Act::End(_, _, end) if end.state == CycleState::Complete));
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
        for (followers, side) in followers.iter_mut().zip(&sides) {
            followers.look(number, side.store.as_ref()).await;
        }
        author.heed(&sides[0]);
        author.wait();
    }
    for followers in followers {
        outcome.compared += followers.compared;
        outcome.told += followers.told;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_and_postgres_tell_the_same_story() {
    let seed = seed_or("sqlite_and_postgres_tell_the_same_story", USUAL);
    let mut outcome = Outcome::default();
    for history in 0..HISTORIES {
        let Some(database) = Database::create().await else {
            return;
        };
        tell(seed.wrapping_add(history), &database, &mut outcome).await;
    }
    let Outcome {
        complete,
        compared,
        told,
    } = outcome;
    println!(
        "{complete} cycles completed; readers read everything {compared} times, and were told to start over {told} times"
    );
    assert!(complete > 0 && compared > 0 && told > 0, "the histories lead nowhere");
}
