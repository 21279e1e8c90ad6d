//! Concurrent store calls share one: while one batch runs, the next gathers, so no caller waits for a timer.

use std::future::Future;
use std::pin::pin;

use parking_lot::Mutex;
use tideline_store::StoreError;
use tokio::sync::oneshot;

/// Maximum number of calls of a batch.
const MOST: usize = 500;

type Answer<O> = Result<O, StoreError>;

/// See the module.
pub(crate) struct Batches<I, O> {
    waiting: Mutex<Vec<(I, oneshot::Sender<Answer<O>>)>>,
    turn: tokio::sync::Mutex<()>,
}

impl<I, O> Default for Batches<I, O> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl<I: Clone, O> Batches<I, O> {
    /// Waits until `run` was called, no earlier than now, with this item and those of others, and returns its result:
    /// `run` returns one per item, in order. If it fails, all of them fail. The item of a caller that stopped waiting
    /// is left out; if it was running a batch for others, they retry.
    pub(crate) async fn call<F, R>(&self, item: I, run: F) -> Answer<O>
    where
        F: Fn(Vec<I>) -> R,
        R: Future<Output = Answer<Vec<O>>>,
    {
        loop {
            let (answer, mut answered) = oneshot::channel();
            self.waiting.lock().push((item.clone(), answer));
            let mut turn = pin!(self.turn.lock());
            let _turn = tokio::select! {
                biased;
                answer = &mut answered => match answer {
                    Ok(answer) => return answer,
                    Err(_) => continue,
                },
                turn = &mut turn => turn,
            };
            loop {
                match answered.try_recv() {
                    Ok(answer) => return answer,
                    Err(oneshot::error::TryRecvError::Closed) => break,
                    Err(oneshot::error::TryRecvError::Empty) => self.run_next(&run).await,
                }
            }
        }
    }

    async fn run_next<F, R>(&self, run: &F)
    where
        F: Fn(Vec<I>) -> R,
        R: Future<Output = Answer<Vec<O>>>,
    {
        let batch: Vec<_> = {
            let mut waiting = self.waiting.lock();
            waiting.retain(|(_, answer)| !answer.is_closed());
            let count = waiting.len().min(MOST);
            waiting.drain(..count).collect()
        };
        let (items, answers): (Vec<I>, Vec<_>) = batch.into_iter().unzip();
        match run(items).await {
            Ok(outputs) => {
                for (answer, output) in answers.into_iter().zip(outputs) {
                    // The receiver is gone if its caller stopped waiting.
                    let _ = answer.send(Ok(output));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.shared()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn calls_that_are_made_together_share_a_batch_and_each_gets_its_own_answer() {
        let (batches, runs) = (Batches::<usize, usize>::default(), AtomicUsize::new(0));
        let doubled = async |items: Vec<usize>| {
            runs.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(items.into_iter().map(|item| item * 2).collect::<Vec<_>>())
        };
        let calls = (0..100).map(|item| batches.call(item, &doubled));
        let answers = futures::future::join_all(calls).await;
        for (item, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), item * 2);
        }
        let runs = runs.load(Ordering::Relaxed);
        assert!(runs <= 2, "{runs} runs");
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_runs_the_batch_takes_no_other_one_with_it() {
        let batches = Arc::new(Batches::<u8, u8>::default());
        let slow = |items: Vec<u8>| async move {
            tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
            Ok(items)
        };
        let leader = tokio::spawn({
            let batches = Arc::clone(&batches);
            async move { batches.call(1, slow).await }
        });
        tokio::task::yield_now().await;
        let follower = tokio::spawn({
            let batches = Arc::clone(&batches);
            async move { batches.call(2, |items| async move { Ok(items) }).await }
        });
        tokio::task::yield_now().await;
        leader.abort();
        assert_eq!(follower.await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn an_error_is_the_error_of_all_who_shared_the_batch() {
        let batches = Batches::<u8, u8>::default();
        let failing = |_: Vec<u8>| async {
            Err(StoreError::Unavailable {
                act: "test",
                maybe_done: false,
                source: "no".into(),
            })
        };
        let (one, other) = futures::join!(batches.call(1, failing), batches.call(2, failing));
        assert!(one.unwrap_err().may_retry() && other.unwrap_err().may_retry());
    }
}
