//! The child's side: reads batches from its standard input until that ends.

use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::program::Programs;
use super::wire::{self, Reply, Request};

/// The argument that makes a program a child.
pub(crate) const ARGUMENT: &str = "__tideline-evaluate-expressions";

/// What a child sends before anything else.
pub(crate) const HELLO: &[u8; 16] = b"tideline-jq/001\n";

static SERVES: AtomicBool = AtomicBool::new(false);

/// Whether this program called [`serve_if_child`], so that it can be its own child.
pub(crate) fn serves() -> bool {
    SERVES.load(Ordering::Acquire)
}

/// If this process was started to evaluate expressions, does so until its parent has no more of them. To be called
/// first in `main`, before any thread is started.
#[must_use]
pub fn serve_if_child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        SERVES.store(true, Ordering::Release);
        return None;
    }
    let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
    let (Some(memory), Some(stack)) = (number(), number()) else {
        return Some(ExitCode::FAILURE);
    };
    Some(match serve(memory, stack) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(memory: u64, stack: u64) -> io::Result<()> {
    limit(memory)?;
    let (ask, asked) = mpsc::sync_channel::<Request>(0);
    let (answer, answered) = mpsc::sync_channel::<Reply>(0);
    std::thread::Builder::new()
        .name("expressions".to_owned())
        .stack_size(usize::try_from(stack).unwrap_or(usize::MAX))
        .spawn(move || {
            let mut programs = Programs::default();
            for request in asked {
                if answer.send(programs.run(&request.batch)).is_err() {
                    return;
                }
            }
        })?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    io::Write::write_all(&mut output, HELLO)?;
    io::Write::flush(&mut output)?;
    while let Some(request) = wire::read::<Request>(&mut input)? {
        let timeout = Duration::from_millis(request.timeout_ms);
        ask.send(request).map_err(io::Error::other)?;
        let reply = answered.recv_timeout(timeout).map_err(io::Error::other)?;
        wire::write(&mut output, &reply)?;
    }
    Ok(())
}

/// Limits the address space, and leaves no core file and no other file behind.
#[cfg(unix)]
fn limit(memory: u64) -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    setrlimit(Resource::RLIMIT_AS, memory, memory)?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = memory;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    Ok(())
}

#[cfg(not(unix))]
fn limit(_: u64) -> io::Result<()> {
    Ok(())
}
