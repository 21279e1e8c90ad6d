//! Many long polls at once, each on a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::api::Client;
use crate::stage::Watched;

/// So many are opened at a time: the gateway's backlog is not without end.
const AT_A_TIME: u32 = 200;

/// What they cost.
pub(crate) struct Polled {
    /// What the process has more of while all of them wait.
    pub(crate) memory_mib: f64,
    /// From the commit to the last answer, the write of the change included.
    pub(crate) woken: Duration,
}

pub(crate) async fn measure(address: &str, process: u32, count: u32, client: &Client) -> Result<Polled> {
    let position = client.position().await?;
    let mut watched = Watched::default();
    watched.look(process);
    let before = watched.now_kib;
    let woken = Arc::new(AtomicU32::new(0));
    let mut polls = JoinSet::new();
    for first in (0..count).step_by(usize::try_from(AT_A_TIME)?) {
        for _ in first..count.min(first + AT_A_TIME) {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("GET /v1/changes?after={position}&wait=30 HTTP/1.1\r\nhost: {address}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let woken = Arc::clone(&woken);
            polls.spawn(async move {
                let mut answer = [0; 2048];
                let length = stream.read(&mut answer).await?;
                ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "it was refused");
                woken.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // They wait as soon as the gateway has looked once for each.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(woken.load(Ordering::Relaxed) == 0, "long polls do not wait");
    watched.look(process);
    let began = Instant::now();
    client.push(&format!("{began:?}")).await?;
    while let Some(poll) = polls.join_next().await {
        poll.context("a long poll panicked")??;
    }
    Ok(Polled {
        memory_mib: (watched.now_kib - before) / 1024.0,
        woken: began.elapsed(),
    })
}
