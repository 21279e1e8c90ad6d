//! A small pool of children, and the handling of their exits.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::child;
use super::expression::Expression;
use super::in_process::{NoReply, Threads};
use super::process::Process;
use super::wire::{self, Batch, Input, Outcome, Reply, Request, Take};

/// Maximum number of children that one batch may terminate; beyond it, bad inputs are no longer isolated.
const MAX_ENDED: u32 = 32;

/// Size of a request after which a child is not reused, since it would keep the memory.
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Allowance for a reply besides its outputs.
const REPLY_OVERHEAD_BYTES: u64 = 16 * 1024 * 1024;

/// Limits of expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of concurrent children.
    pub processes: u32,
    /// Address space of a child in bytes.
    pub memory_bytes: u64,
    /// Stack of a child in bytes.
    pub stack_bytes: u64,
    /// Time limit of [`Evaluator::evaluate`] once it has a child; it waits for a child equally long.
    pub timeout: Duration,
    /// Outputs of one program.
    pub max_outputs: u32,
    /// Bytes of all outputs of [`Evaluator::evaluate`].
    pub max_output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 2,
            memory_bytes: 512 << 20,
            stack_bytes: 32 << 20,
            timeout: Duration::from_secs(10),
            max_outputs: 100_000,
            max_output_bytes: 32 << 20,
        }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// It took too long. On a less busy machine it may finish.
    #[error("the expressions took longer than {} ms; check for an endless loop", .0.as_millis())]
    TimedOut(Duration),
    /// The outputs together have too many bytes.
    #[error("the expressions produced more than {0} bytes")]
    TooLarge(u64),
    /// Too many inputs exceed the limits of memory or stack.
    #[error("the expressions crash the processes that evaluate them: {0}")]
    Exceeded(&'static str),
    /// No child could be started, or all of them are busy. May work later.
    #[error("expressions cannot be evaluated right now")]
    Unavailable(#[source] io::Error),
    /// The input is not JSON.
    #[error("the input is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The expression failed on this input.
    #[error("{0}")]
    Failed(String),
}

impl EvaluateError {
    /// Whether a retry may work: the expression and its input may be fine.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Unavailable(_))
    }
}

enum Place {
    Processes {
        program: PathBuf,
        idle: Mutex<Vec<Process>>,
    },
    Threads(Threads),
}

/// Evaluates expressions within limits. Share one per process: it keeps the children.
pub struct Evaluator {
    limits: Limits,
    place: Place,
    permits: Semaphore,
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Evaluator {
    /// In children of this program; on threads of it if it did not call [`super::serve_if_child`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        match this_program() {
            Ok(program) if child::serves() => Self::with_command(limits, program),
            _ => Self::at(limits, Place::Threads(Threads::default())),
        }
    }

    /// In children that run `program`, which must call [`super::serve_if_child`].
    #[must_use]
    pub fn with_command(limits: Limits, program: PathBuf) -> Self {
        let idle = Mutex::new(Vec::new());
        Self::at(limits, Place::Processes { program, idle })
    }

    fn at(limits: Limits, place: Place) -> Self {
        let permits = Semaphore::new(limits.processes.max(1) as usize);
        Self { limits, place, permits }
    }

    /// Time limit of [`Evaluator::evaluate`], including the wait for a child.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.limits.timeout * 2
    }

    /// All outputs of one expression on one JSON text. The wait for a child does not count as its time.
    ///
    /// # Errors
    /// The input is not JSON, the expression fails on it, a limit is exceeded, or no child is available.
    pub async fn evaluate(&self, expression: &Expression, input: &str) -> Result<Vec<Value>, EvaluateError> {
        let texts = self.evaluate_to_texts(expression, input).await?;
        let values = texts.iter().map(|text| serde_json::from_str(text));
        values
            .collect::<Result<_, _>>()
            .map_err(|error| EvaluateError::Failed(format!("the result of the expression cannot be read: {error}")))
    }

    /// As [`evaluate`](Self::evaluate), each output as JSON text: its numbers keep all their digits.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub async fn evaluate_to_texts(&self, expression: &Expression, input: &str) -> Result<Vec<String>, EvaluateError> {
        let program = match expression {
            Expression::Text(text) => return Ok(vec![Value::from(text.as_str()).to_string()]),
            Expression::Path(path) => return at_path(path, input).map(|text| vec![text.to_owned()]),
            Expression::Jq(program) => program,
        };
        serde_json::from_str::<serde::de::IgnoredAny>(input).map_err(EvaluateError::NotJson)?;
        let batch = Batch {
            calls: vec![program.call(Take::All)],
            parent: "{}".to_owned(),
            lookup: "{}".to_owned(),
            inputs: vec![Input {
                text: input.to_owned(),
                calls: vec![0],
            }],
            max_outputs: self.limits.max_outputs,
            max_bytes: self.limits.max_output_bytes,
        };
        let timeout = self.limits.timeout;
        let permit = self.permit(Instant::now() + timeout).await?;
        let outcomes = self.run(permit, batch, Instant::now() + timeout, timeout).await?;
        match outcomes.into_iter().flatten().next() {
            Some(Outcome::Values(texts) | Outcome::Elements(texts)) => Ok(texts),
            Some(Outcome::Failed(why)) => Err(EvaluateError::Failed(why)),
            None => Ok(Vec::new()),
        }
    }

    /// Runs programs on many inputs, in one round trip: for each input an outcome per program, in their order. The
    /// texts must be JSON. An input on which a program exceeds memory or stack fails alone; the others are evaluated
    /// all the same.
    ///
    /// # Errors
    /// The whole batch took longer than `timeout`, its outputs are too large, or no child is available.
    pub async fn batch(&self, batch: Batch, timeout: Duration) -> Result<Vec<Vec<Outcome>>, EvaluateError> {
        if batch.inputs.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + timeout;
        let permit = self.permit(deadline).await?;
        self.run(permit, batch, deadline, timeout).await
    }

    /// The permit for one child. Timing out while waiting for it says nothing about the caller's own expression.
    async fn permit(&self, until: Instant) -> Result<SemaphorePermit<'_>, EvaluateError> {
        let unavailable = |why: &str| EvaluateError::Unavailable(io::Error::other(why));
        match tokio::time::timeout_at(until, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(unavailable("nothing is evaluated any more")),
            Err(_) => Err(unavailable(
                "all processes for expressions are busy (expressions.processes)",
            )),
        }
    }

    async fn run(
        &self,
        _permit: SemaphorePermit<'_>,
        batch: Batch,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Vec<Vec<Outcome>>, EvaluateError> {
        let run = async {
            match &self.place {
                Place::Processes { program, idle } => self.in_processes(program, idle, batch, deadline).await,
                Place::Threads(threads) => self.on_threads(threads, batch).await,
            }
        };
        tokio::time::timeout_at(deadline, run)
            .await
            .unwrap_or(Err(EvaluateError::TimedOut(timeout)))
    }

    async fn on_threads(&self, threads: &Threads, batch: Batch) -> Result<Vec<Vec<Outcome>>, EvaluateError> {
        static WARNED: Once = Once::new();

        WARNED.call_once(|| {
            tracing::warn!(
                "jq expressions run without memory limits: call tideline_expression::serve_if_child() first in main"
            );
        });
        let max_bytes = batch.max_bytes;
        match threads.run(batch, self.limits.stack_bytes).await {
            Ok(Reply::Done(outcomes)) => Ok(outcomes),
            Ok(Reply::TooLarge) => Err(EvaluateError::TooLarge(max_bytes)),
            Err(NoReply::Busy) => Err(EvaluateError::Unavailable(io::Error::other(
                "an expression that took too long still runs",
            ))),
            Err(NoReply::Failed) => Err(EvaluateError::Exceeded("a program panicked")),
        }
    }

    /// A part that terminates its child is halved until the offending input is isolated.
    async fn in_processes(
        &self,
        program: &PathBuf,
        idle: &Mutex<Vec<Process>>,
        batch: Batch,
        deadline: Instant,
    ) -> Result<Vec<Vec<Outcome>>, EvaluateError> {
        let max_bytes = batch.max_bytes;
        let calls: Vec<usize> = batch.inputs.iter().map(|input| input.calls.len()).collect();
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); calls.len()];
        let mut request = Request { batch, timeout_ms: 0 };
        let inputs = std::mem::take(&mut request.batch.inputs);
        let mut parts: Vec<Range<usize>> = std::iter::once(0..inputs.len()).collect();
        let (mut ended, mut made) = (0, 0);
        while let Some(part) = parts.pop() {
            request.batch.inputs = inputs[part.clone()].to_vec();
            let left = deadline.saturating_duration_since(Instant::now());
            request.timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            let frame = wire::encode(&request).map_err(EvaluateError::Unavailable)?;
            let (reply, why) = self.exchange(program, idle, &frame, max_bytes).await?;
            match reply {
                Some(Reply::Done(done)) if done.len() == part.len() => {
                    made += done.iter().flatten().map(bytes).sum::<u64>();
                    for (place, done) in part.zip(done) {
                        outcomes[place] = done;
                    }
                }
                Some(Reply::TooLarge) => return Err(EvaluateError::TooLarge(max_bytes)),
                _ if ended >= MAX_ENDED => return Err(EvaluateError::Exceeded(why)),
                _ if part.len() == 1 => {
                    ended += 1;
                    outcomes[part.start] = vec![Outcome::Failed(why.to_owned()); calls[part.start]];
                }
                _ => {
                    ended += 1;
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
            }
            if made > max_bytes {
                return Err(EvaluateError::TooLarge(max_bytes));
            }
        }
        Ok(outcomes)
    }

    /// The reply of a child; or none, and why the child exited. A request that an idle child does not answer is sent to
    /// a fresh one, too: the idle one may have been terminated by something else.
    async fn exchange(
        &self,
        program: &PathBuf,
        idle: &Mutex<Vec<Process>>,
        frame: &[u8],
        max_bytes: u64,
    ) -> Result<(Option<Reply>, &'static str), EvaluateError> {
        let max_bytes = max_bytes.saturating_mul(2).saturating_add(REPLY_OVERHEAD_BYTES);
        let keep = |process| {
            if frame.len() <= MAX_KEPT_BYTES {
                idle.lock().push(process);
            }
        };
        let kept = idle.lock().pop();
        if let Some(mut process) = kept
            && let Ok(reply) = process.exchange(frame, max_bytes).await
        {
            keep(process);
            return Ok((Some(reply), ""));
        }
        let started = Process::start(program, self.limits.memory_bytes, self.limits.stack_bytes).await;
        let mut process = started.map_err(EvaluateError::Unavailable)?;
        match process.exchange(frame, max_bytes).await {
            Ok(reply) => {
                keep(process);
                Ok((Some(reply), ""))
            }
            Err(_) => Ok((None, process.end().await)),
        }
    }
}

fn bytes(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Values(texts) | Outcome::Elements(texts) => texts.iter().map(|text| text.len() as u64).sum(),
        Outcome::Failed(_) => 0,
    }
}

/// The executable of this process, also after its file was replaced by a newer one.
fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe()
}

/// As jq does it: `null` where a member is absent, an error where there can be none.
/// The part of a JSON text at a path, as it is written.
fn at_path<'t>(path: &[String], input: &'t str) -> Result<&'t str, EvaluateError> {
    let whole: &RawValue = serde_json::from_str(input).map_err(EvaluateError::NotJson)?;
    let mut text = whole.get();
    for name in path {
        if text == "null" {
            break;
        }
        let members = serde_json::from_str::<HashMap<String, &RawValue>>(text);
        let members = members
            .map_err(|_| EvaluateError::Failed(format!("there is no .{name}, because the value is not an object")))?;
        text = members.get(name).map_or("null", |value| value.get());
    }
    Ok(text)
}
