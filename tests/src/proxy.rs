//! A TCP proxy to put between Tideline and its servers: cuts, refuses, delays, and leaves connections half open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the proxy does with bytes and new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards.
    Forward,
    /// Forwards each piece after this wait.
    Delay(Duration),
    /// Forwards nothing and closes nothing: what a network that drops packets looks like.
    HalfOpen,
    /// Resets new connections; older ones stay (see [`Proxy::cut`]).
    Refuse,
    /// What the client says arrives; every so manieth answer is lost, and its connection with it. The client cannot
    /// know whether the server did what it was asked.
    LoseAnswers(u32),
}

/// A running proxy. It stops, with its connections, when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
    _stop: DropGuard,
}

impl Proxy {
    /// Starts in front of `upstream` (`host:port`) on a free port of the loopback address.
    ///
    /// # Errors
    /// No port.
    pub async fn start(upstream: impl Into<String>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the proxy")?;
        let address = listener.local_addr()?;
        let (mode, cuts, stop) = (
            watch::Sender::new(Mode::Forward),
            watch::Sender::new(0),
            CancellationToken::new(),
        );
        let accept = accept(listener, upstream.into(), mode.clone(), cuts.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self {
            address,
            mode,
            cuts,
            _stop: stop.drop_guard(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Resets all connections that there are; new ones are treated as the mode says.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn accept(listener: TcpListener, upstream: String, mode: watch::Sender<Mode>, cuts: watch::Sender<u64>) {
    let answers = Arc::new(AtomicU32::new(0));
    while let Ok((client, _)) = listener.accept().await {
        let refused = *mode.borrow() == Mode::Refuse;
        let server = if refused {
            None
        } else {
            TcpStream::connect(&upstream).await.ok()
        };
        let Some(server) = server else {
            // Dropping it with this set sends a reset instead of a farewell.
            let _ = client.set_zero_linger();
            continue;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = (client.set_zero_linger(), server.set_zero_linger());
        let mut cut = cuts.subscribe();
        let modes = (mode.subscribe(), mode.subscribe());
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                _ = cut.changed() => {}
                () = forward(from_client, to_server, modes.0, None) => {}
                () = forward(from_server, to_client, modes.1, Some(answers)) => {}
            }
        });
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    answers: Option<Arc<AtomicU32>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // Bytes are left in the kernel while the mode is half open, so that the sender is not told anything either.
        if mode.wait_for(|mode| *mode != Mode::HalfOpen).await.is_err() {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(count @ 1..) = read else { return };
        if let (Mode::LoseAnswers(every), Some(answers)) = (*mode.borrow(), &answers)
            && (answers.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every)
        {
            return;
        }
        let wait = match *mode.borrow() {
            Mode::Delay(wait) => wait,
            _ => Duration::ZERO,
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if mode.wait_for(|mode| *mode != Mode::HalfOpen).await.is_err() || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn echo_behind_proxy() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        Proxy::start(address.to_string()).await.unwrap()
    }

    async fn ask(stream: &mut TcpStream) -> std::io::Result<[u8; 4]> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn it_forwards_and_delays() {
        let proxy = echo_behind_proxy().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
        proxy.set(Mode::Delay(Duration::from_millis(30)));
        let started = Instant::now();
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
        assert!(started.elapsed() >= Duration::from_millis(60), "both ways are delayed");
    }

    #[tokio::test]
    async fn a_cut_ends_the_connections_and_new_ones_work() {
        let proxy = echo_behind_proxy().await;
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut old).await.unwrap();
        proxy.cut();
        let ended = timeout(Duration::from_secs(5), old.read_u8()).await.unwrap();
        assert!(ended.is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&ask(&mut new).await.unwrap(), b"ping");
    }

    #[tokio::test]
    async fn refused_connections_end_at_once() {
        let proxy = echo_behind_proxy().await;
        proxy.set(Mode::Refuse);
        let asked = async {
            let mut stream = TcpStream::connect(proxy.address()).await?;
            ask(&mut stream).await
        };
        assert!(timeout(Duration::from_secs(5), asked).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn lost_answers_end_the_connection_of_their_question() {
        let proxy = echo_behind_proxy().await;
        proxy.set(Mode::LoseAnswers(3));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
        }
        assert!(ask(&mut stream).await.is_err());
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
    }

    #[tokio::test]
    async fn a_half_open_connection_says_nothing_and_goes_on_later() {
        let proxy = echo_behind_proxy().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut stream).await.unwrap();
        proxy.set(Mode::HalfOpen);
        let silent = timeout(Duration::from_millis(100), ask(&mut stream)).await;
        assert!(silent.is_err(), "neither an answer nor an end");
        proxy.set(Mode::Forward);
        let mut answer = [0; 4];
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&answer, b"ping");
    }
}
