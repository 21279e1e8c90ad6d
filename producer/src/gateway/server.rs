//! Serves connections: HTTP/1.1 with limits against slow and greedy clients. `axum::serve` has none of them.
//!
//! Limits apply to the time for the head of a request (also between requests), the time for its body, and the
//! connections per address. Connections above the total limit still get health responses, since a busy gateway is
//! alive. After the soft stop, requests that have arrived are answered; incomplete ones are not waited for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use futures::StreamExt as _;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Maximum number of connections.
    pub(super) connections: usize,
    /// Maximum number of connections per address.
    pub(super) per_address: usize,
    /// How long the head of a request may take, from the end of the request before.
    pub(super) head: Duration,
    /// How long the body of a request may take.
    pub(super) body: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            per_address: 12_000,
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
        }
    }
}

/// Number of connections above the limit that still get health responses.
const RESERVE: usize = 64;

/// Time limit for connections above the limit.
const RESERVE_HEAD: Duration = Duration::from_secs(2);

/// How long an incomplete request may still take after the soft stop.
const STOP_PATIENCE: Duration = Duration::from_millis(300);

/// Pause after a failed accept: too many open files, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted. The standard library's 128 are too few when many clients reconnect at
/// once, and a client that finds no place retries only after a second.
const BACKLOG: u32 = 4_096;

/// Listens on `host:port`, at the first of its addresses that can be bound.
pub(super) async fn listen(address: &str) -> std::io::Result<TcpListener> {
    let mut failed = None;
    for address in tokio::net::lookup_host(address).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| std::io::Error::other("the name has no address")))
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows that would let other processes take the address.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then until the requests that have arrived are answered. `health` serves connections above the
/// limits.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    health: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) {
    let (open, tasks) = (Arc::new(Open::default()), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (total, of_address) = open.count(address.ip());
        let above = total >= limits.connections || of_address >= limits.per_address;
        if above && total >= limits.connections + RESERVE {
            continue;
        }
        let place = Open::take(&open, address.ip());
        let (routes, limits) = if above {
            let limits = ConnectionLimits {
                head: RESERVE_HEAD,
                body: RESERVE_HEAD,
                ..limits
            };
            (health.clone(), limits)
        } else {
            (router.clone(), limits)
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            connection(stream, address, routes, limits, !above, stop).await;
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Open connections, by address.
#[derive(Default)]
struct Open(Mutex<HashMap<IpAddr, usize>>, AtomicUsize);

struct OpenPlace {
    open: Arc<Open>,
    address: IpAddr,
}

impl Open {
    fn count(&self, address: IpAddr) -> (usize, usize) {
        let of_address = self.0.lock().get(&address).copied().unwrap_or(0);
        (self.1.load(Ordering::Relaxed), of_address)
    }

    fn take(open: &Arc<Self>, address: IpAddr) -> OpenPlace {
        *open.0.lock().entry(address).or_default() += 1;
        open.1.fetch_add(1, Ordering::Relaxed);
        OpenPlace {
            open: Arc::clone(open),
            address,
        }
    }
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        self.open.1.fetch_sub(1, Ordering::Relaxed);
        let mut addresses = self.open.0.lock();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// Whether a request of a connection has arrived and is not answered yet.
#[derive(Default)]
struct Progress {
    /// Its head has arrived, and its answer is not written yet.
    begun: AtomicBool,
    /// Its body is still to come.
    arriving: AtomicBool,
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    routes: Router,
    limits: ConnectionLimits,
    keep_alive: bool,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let progress = Arc::new(Progress::default());
    let of_requests = Arc::clone(&progress);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (routes, progress) = (routes.clone(), Arc::clone(&of_requests));
        async move {
            progress.begun.store(true, Ordering::Release);
            let mut request: Request = request.map(|body| arriving(body, Arc::clone(&progress), limits.body));
            request.extensions_mut().insert(ConnectInfo(address));
            let response = routes.oneshot(request).await;
            response.map(|response| response.map(|body| answering(body, progress)))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        served = serving.as_mut() => return log(served),
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    // A request that has arrived is answered, however long it takes; an incomplete one gets a short grace period.
    loop {
        tokio::select! {
            served = serving.as_mut() => return log(served),
            () = tokio::time::sleep(STOP_PATIENCE) => {}
        }
        let arrived = progress.begun.load(Ordering::Acquire) && !progress.arriving.load(Ordering::Acquire);
        if !arrived {
            return;
        }
    }
}

/// Ends the request when it is dropped.
struct Answering(Arc<Progress>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.begun.store(false, Ordering::Release);
    }
}

/// The body of a response: while it is written, the request is not over.
fn answering(body: Body, progress: Arc<Progress>) -> Body {
    let ends = Answering(progress);
    Body::new(body.map_frame(move |frame| {
        let _ = &ends;
        frame
    }))
}

fn log(served: Result<(), hyper::Error>) {
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The body of a request, with a time limit, and a handle that shows whether it has arrived.
fn arriving(body: Incoming, progress: Arc<Progress>, longest: Duration) -> Body {
    use hyper::body::Body as _;
    let waits = !body.is_end_stream();
    progress.arriving.store(waits, Ordering::Release);
    if !waits {
        return Body::empty();
    }
    let deadline = tokio::time::Instant::now() + longest;
    let frames = futures::stream::unfold(Some(body), move |body| {
        let progress = Arc::clone(&progress);
        async move {
            let mut body = body?;
            let frame: Option<Result<Frame<Bytes>, std::io::Error>> =
                match tokio::time::timeout_at(deadline, body.frame()).await {
                    Ok(Some(frame)) => Some(frame.map_err(std::io::Error::other)),
                    Ok(None) => None,
                    Err(_) => Some(Err(std::io::Error::from(std::io::ErrorKind::TimedOut))),
                };
            if body.is_end_stream() || frame.is_none() {
                progress.arriving.store(false, Ordering::Release);
            }
            let next = matches!(frame, Some(Ok(_))).then_some(body);
            frame.map(|frame| (frame, next))
        }
    });
    Body::new(http_body_util::StreamBody::new(frames.fuse()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hundreds_who_connect_at_once_need_not_try_again() {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        if allowed.trim().parse().unwrap_or(0) < BACKLOG {
            return eprintln!("left out: this system lets fewer than {BACKLOG} connections wait");
        }
        // Nothing is accepted: clients connect and wait.
        let listener = listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = (0..400).map(|_| TcpStream::connect(address));
        let connected = tokio::time::timeout(Duration::from_secs(60), futures::future::try_join_all(connecting)).await;
        assert_eq!(connected.expect("the rest finds no place").unwrap().len(), 400);
    }
}
