//! Receives bodies in bounded memory: all of them together have `events.max_bytes_in_flight`, each has a length and a time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Memory is counted in pieces of so many bytes.
const PIECE: usize = 1024;
/// A sender that sends nothing for so long is cut off.
const IDLE: Duration = Duration::from_secs(5);
/// So is one that takes longer than this for all of it.
const WHOLE: Duration = Duration::from_secs(60);
/// A body waits for memory for so long: others are written meanwhile, and providers wait for an answer for 10 s.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotReceived {
    /// It is longer than the hook takes.
    Long,
    /// Too many bodies are in memory.
    Full,
    /// Its sender is too slow.
    Slow,
    /// Its sender hung up.
    Broken,
}

/// A body, and its part of the memory for as long as it is here.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    memory: OwnedSemaphorePermit,
}

impl Held {
    /// The bytes, and what they take until it is dropped.
    pub(super) fn into_parts(self) -> (Vec<u8>, OwnedSemaphorePermit) {
        (self.bytes, self.memory)
    }
}

/// The memory that bodies may take. A part of it is for small ones alone, which are not to wait for large ones.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
    /// Pieces of the two.
    sizes: (usize, usize),
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / PIECE;
        let pieces = pieces.clamp(1, Semaphore::MAX_PERMITS);
        let small = pieces / 8;
        Self {
            large: Arc::new(Semaphore::new(pieces - small)),
            small: Arc::new(Semaphore::new(small)),
            sizes: (pieces - small, small),
        }
    }

    /// Where a body of so many bytes is counted, and how many pieces there are; its length may not be known.
    fn part(&self, bytes: Option<usize>) -> (&Arc<Semaphore>, usize) {
        let (large, small) = self.sizes;
        match bytes {
            Some(bytes) if bytes.div_ceil(PIECE) <= small / 8 => (&self.small, small),
            _ => (&self.large, large),
        }
    }

    /// Whoever wants more than there is takes all of it.
    async fn take((part, size): (&Arc<Semaphore>, usize), bytes: usize) -> Result<OwnedSemaphorePermit, NotReceived> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE).min(size)).unwrap_or(u32::MAX);
        let taken = Arc::clone(part).acquire_many_owned(pieces);
        match tokio::time::timeout(PATIENCE, taken).await {
            Ok(Ok(memory)) => Ok(memory),
            Ok(Err(_)) | Err(_) => Err(NotReceived::Full),
        }
    }

    /// Receives a body of at most `most` bytes. `length`: what its sender said.
    pub(super) async fn receive(&self, body: Body, length: Option<u64>, most: u64) -> Result<Held, NotReceived> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let said = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if said.is_some_and(|said| said > most) {
            return Err(NotReceived::Long);
        }
        let most = said.unwrap_or(most);
        let part = self.part(said);
        let mut memory = Self::take(part, said.unwrap_or(0)).await?;
        let counted_of = |memory: &OwnedSemaphorePermit| match memory.num_permits() {
            all if all >= part.1 => usize::MAX,
            pieces => pieces * PIECE,
        };
        let mut counted = counted_of(&memory);
        let mut bytes = Vec::with_capacity(said.unwrap_or(0));
        let mut stream = body.into_data_stream();
        let deadline = Instant::now() + WHOLE;
        loop {
            let idle = deadline.min(Instant::now() + IDLE);
            let next = tokio::time::timeout_at(idle, stream.next()).await;
            let Some(chunk) = next.map_err(|_| NotReceived::Slow)? else {
                return Ok(Held { bytes, memory });
            };
            let chunk = chunk.map_err(|_| NotReceived::Broken)?;
            if bytes.len() + chunk.len() > most {
                return Err(NotReceived::Long);
            }
            let missing = (bytes.len() + chunk.len()).saturating_sub(counted);
            if missing > 0 {
                let more = Self::take(part, missing).await?;
                memory.merge(more);
                counted = counted_of(&memory);
            }
            bytes.extend_from_slice(&chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn receive(memory: &Memory, body: Vec<u8>, length: Option<u64>, most: u64) -> Result<Held, NotReceived> {
        memory.receive(Body::from(body), length, most).await
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_a_bounded_memory_and_give_it_back() {
        let memory = Memory::new(4096);
        let first = receive(&memory, vec![1; 3000], Some(3000), 10_000).await.unwrap();
        for length in [None, Some(2000)] {
            let second = receive(&memory, vec![2; 2000], length, 10_000).await;
            assert_eq!(second.unwrap_err(), NotReceived::Full);
        }
        drop(first);
        assert_eq!(
            receive(&memory, vec![2; 2000], None, 10_000).await.unwrap().bytes,
            [2; 2000]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_for_one_that_is_being_written() {
        let memory = Memory::new(4096);
        let first = receive(&memory, vec![1; 3000], Some(3000), 10_000).await.unwrap();
        let second = receive(&memory, vec![2; 2000], Some(2000), 10_000);
        let written = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, written);
        assert_eq!(second.unwrap().bytes, [2; 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_for_large_ones() {
        let memory = Memory::new(1 << 20);
        let _large = receive(&memory, vec![1; 900_000], Some(900_000), 1 << 20)
            .await
            .unwrap();
        let waiting = receive(&memory, vec![1; 900_000], Some(900_000), 1 << 20);
        let small = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let began = Instant::now();
            receive(&memory, vec![2; 1000], Some(1000), 10_000).await.unwrap();
            began.elapsed()
        };
        let (waiting, took) = tokio::join!(waiting, small);
        assert_eq!(waiting.unwrap_err(), NotReceived::Full);
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_body_that_is_longer_than_said_or_allowed_is_refused() {
        let memory = Memory::new(1 << 20);
        for length in [None, Some(1001), Some(10)] {
            let body = receive(&memory, vec![1; 1001], length, 1000).await;
            assert_eq!(body.unwrap_err(), NotReceived::Long);
        }
        assert!(receive(&memory, vec![1; 1000], None, 1000).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_dribbles_is_cut_off() {
        let dribble = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Some((Ok::<_, std::io::Error>(vec![b'x']), ()))
        });
        let memory = Memory::new(1 << 20);
        let received = memory.receive(Body::from_stream(dribble), None, 1000).await;
        assert_eq!(received.unwrap_err(), NotReceived::Slow);
    }
}
