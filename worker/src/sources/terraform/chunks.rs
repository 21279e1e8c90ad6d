//! A download for a reader that blocks: some chunks of it are ahead of the reader, never the whole.

use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// One chunk, in bytes.
const CHUNK: usize = 64 << 10;
/// Chunks on their way.
const AHEAD: usize = 4;

/// Where chunks go in.
pub(super) struct Feeder(mpsc::Sender<io::Result<Bytes>>);

/// Where they come out.
pub(super) struct Chunks {
    from: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    left: u64,
}

/// The two ends of a download of at most `limit` bytes.
pub(super) fn chunks(limit: u64) -> (Feeder, Chunks) {
    let (to, from) = mpsc::channel(AHEAD);
    let chunks = Chunks {
        from,
        current: Bytes::new(),
        left: limit,
    };
    (Feeder(to), chunks)
}

impl Feeder {
    /// Passes on chunks until the end, a failure, or until the reader is gone.
    ///
    /// # Errors
    /// The download's; its text may name the address.
    pub(super) async fn feed(self, mut from: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            match from.read_buf(&mut chunk).await {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    if self.0.send(Ok(chunk.freeze())).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    let _ = self.0.send(Err(error.kind().into())).await;
                    return Err(error);
                }
            }
        }
    }
}

impl Chunks {
    /// Whether more than the limit came.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 && !self.current.is_empty()
    }
}

impl Read for Chunks {
    /// Must be called where blocking is allowed.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.from.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = self
            .current
            .len()
            .min(to.len())
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.current.copy_to_slice(&mut to[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}
