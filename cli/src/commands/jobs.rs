//! `tideline jobs`: list them, look at one, run one again.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tideline_core::rules::scrub_urls;
use tideline_core::words::{JobId, JobRecord, JobState, Timestamp};
use tideline_store::{JobFilter, OperatorStore, StoreError};

use super::sources::get_source;
use super::why::why_of_job;
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, embedded, embedded_all, moment, short};

/// Members of a job that hold JSON texts.
const TEXTS: [&str; 3] = ["args", "cursor", "progress"];

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: Option<JobsCommand>,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// List jobs (the default)
    List(ListArgs),
    /// Show one job with its arguments, cursor, progress and last error
    Show {
        /// ID of the job
        job: i64,
    },
    /// Make parked, cancelled or waiting jobs due now and reset their back-off
    Retry {
        /// IDs of the jobs
        #[arg(required = true)]
        jobs: Vec<i64>,
    },
}

/// Which jobs.
#[derive(Args, Debug)]
struct ListArgs {
    /// Only jobs of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only jobs in this state
    #[arg(long)]
    state: Option<State>,
    /// Only partitions of this source
    #[arg(long)]
    source: Option<String>,
    /// Only jobs with this key
    #[arg(long)]
    key: Option<String>,
    /// Only jobs with a higher ID
    #[arg(long, value_name = "JOB")]
    after: Option<i64>,
    /// Maximum number of jobs
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Waiting,
    Running,
    Done,
    Parked,
    Paused,
    Cancelled,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Parked => Self::Parked,
            State::Paused => Self::Paused,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// Lists, shows or retries.
pub(crate) async fn run(context: &Context, out: &mut Out, args: JobsArgs) -> anyhow::Result<Code> {
    match args.command {
        None => {
            list(
                context,
                out,
                JobFilter {
                    limit: 100,
                    ..JobFilter::default()
                },
            )
            .await
        }
        Some(JobsCommand::List(list_args)) => list(context, out, list_args.into()).await,
        Some(JobsCommand::Show { job }) => show(context, out, JobId(job)).await,
        Some(JobsCommand::Retry { jobs }) => retry(context, out, &jobs).await,
    }
}

impl From<ListArgs> for JobFilter {
    fn from(args: ListArgs) -> Self {
        Self {
            kind: args.kind,
            state: args.state.map(JobState::from),
            source: args.source,
            key: args.key,
            after: args.after.map(JobId),
            limit: args.limit,
        }
    }
}

/// The job of this number.
pub(crate) async fn find_job(store: &dyn OperatorStore, job: JobId) -> Result<Option<JobRecord>, StoreError> {
    let filter = JobFilter {
        after: Some(JobId(job.0.saturating_sub(1))),
        limit: 1,
        ..JobFilter::default()
    };
    Ok(read_jobs(store, &filter)
        .await?
        .into_iter()
        .find(|found| found.id == job))
}

/// For people: a cursor may be a signed URL.
async fn read_jobs(store: &dyn OperatorStore, filter: &JobFilter) -> Result<Vec<JobRecord>, StoreError> {
    let mut jobs = store.list_jobs(filter).await?;
    for job in &mut jobs {
        job.cursor = job.cursor.as_deref().map(scrub_urls);
    }
    Ok(jobs)
}

async fn list(context: &Context, out: &mut Out, filter: JobFilter) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    if let Some(name) = &filter.source {
        get_source(&*store, name).await?;
    }
    let jobs = read_jobs(&*store, &filter).await?;
    if out.is_json() {
        out.document(&embedded_all(&jobs, &TEXTS)?)?;
    } else if jobs.is_empty() {
        out.line("No such jobs.")?;
    } else {
        out.grid(&jobs_grid(&jobs, context.now()))?;
        if let Some(last) = jobs.last().filter(|_| u32::try_from(jobs.len()) == Ok(filter.limit)) {
            out.toned(Tone::Dim, format!("There may be more: --after {}", last.id))?;
        }
    }
    Ok(Code::Done)
}

fn jobs_grid(jobs: &[JobRecord], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["job", "kind", "key", "state", "due", "attempt", "rung", "last error"]);
    for job in jobs {
        let due = match (job.state, job.due_at) {
            (JobState::Waiting, Some(due)) => moment(due, now),
            (JobState::Waiting, None) => "waits for a place".to_owned(),
            _ => String::new(),
        };
        grid.row(vec![
            Piece::number(u64::try_from(job.id.0).unwrap_or_default()),
            job.kind.as_str().into(),
            job.key.as_str().into(),
            state(job.state),
            due.into(),
            Piece::number(u64::from(job.attempt)),
            Piece::number_toned(u64::from(job.rung), Tone::Warn),
            short(job.last_error.as_deref().unwrap_or_default(), 120).into(),
        ]);
    }
    grid
}

fn state(state: JobState) -> Piece {
    let (word, tone) = match state {
        JobState::Waiting => ("waiting", Tone::Plain),
        JobState::Running => ("running", Tone::Busy),
        JobState::Done => ("done", Tone::Good),
        JobState::Parked => ("parked", Tone::Bad),
        JobState::Paused => ("paused", Tone::Warn),
        JobState::Cancelled => ("cancelled", Tone::Bad),
    };
    Piece::toned(word, tone)
}

async fn show(context: &Context, out: &mut Out, id: JobId) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let job = find_job(&*store, id).await?.ok_or_else(|| not_found(id))?;
    if out.is_json() {
        out.document(&embedded(&job, &TEXTS)?)?;
        return Ok(Code::Done);
    }
    let now = context.now();
    let reason = why_of_job(&*store, &job, now).await?;
    out.grid(&job_pairs(&job, &reason.to_string(), now))?;
    Ok(Code::Done)
}

fn job_pairs(job: &JobRecord, reason: &str, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    grid.pair("job", job.id.to_string());
    grid.pair("kind", job.kind.as_str());
    grid.pair("key", job.key.as_str());
    grid.pair("state", state(job.state));
    grid.pair("why", reason);
    grid.pair("trigger", job.trigger.as_str());
    grid.pair("attempt", job.attempt.to_string());
    grid.pair("rung", job.rung.to_string());
    grid.pair("claims so far", job.token.to_string());
    if let (Some(source), Some(cycle)) = (&job.source, job.cycle) {
        grid.pair("source", format!("{source}, cycle {cycle}"));
    }
    grid.pair(
        "created",
        format!("{} ({})", job.created_at, moment(job.created_at, now)),
    );
    grid.pair(
        "updated",
        format!("{} ({})", job.updated_at, moment(job.updated_at, now)),
    );
    grid.pair("args", job.args.as_str());
    for (name, value) in [
        ("cursor", &job.cursor),
        ("progress", &job.progress),
        ("trace", &job.trace),
        ("last error", &job.last_error),
    ] {
        if let Some(text) = value {
            grid.pair(name, text.as_str());
        }
    }
    grid
}

async fn retry(context: &Context, out: &mut Out, jobs: &[i64]) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    for job in jobs {
        store.retry_job(JobId(*job), context.now()).await?;
        if !out.is_json()
            && let Some(record) = find_job(&*store, JobId(*job)).await?
        {
            // It is due now as far as the job goes, but its source may hold it back.
            let reason = why_of_job(&*store, &record, context.now()).await?;
            out.line(format!("job {job}: retried; {reason}"))?;
        }
    }
    context.follow_up(store).await?;
    if out.is_json() {
        out.document(&json!({"action": "retry", "jobs": jobs}))?;
    }
    Ok(Code::Done)
}

fn not_found(job: JobId) -> StoreError {
    StoreError::NotFound {
        what: "job",
        name: job.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{Fingerprint, NewJob, Trigger, WorkerId};
    use tideline_store::sqlite::SqliteStore;
    use tideline_store::{ClaimRequest, JobStore, WorkerStore};

    use super::*;

    #[tokio::test]
    async fn the_query_of_a_signed_url_in_a_cursor_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("t.db").to_string_lossy())
            .await
            .unwrap();
        let (now, worker) = (Timestamp(1), WorkerId("w".into()));
        let job = NewJob {
            kind: "k".into(),
            key: "a".into(),
            fingerprint: Fingerprint([1; 32]),
            args: "{}".into(),
            due_at: now,
            trigger: Trigger::Manual,
            trace: None,
        };
        store.enqueue(&[job], now).await.unwrap();
        store.heartbeat(&worker, Timestamp(1_000), now).await.unwrap();
        let request = ClaimRequest {
            worker,
            kinds: vec!["k".into()],
            hinted: None,
            limit: 1,
        };
        let claimed = store.claim(&request, now).await.unwrap().remove(0);
        let cursor = r#"{"next":"https://host/items?page=2&sig=s3cret"}"#;
        assert!(
            store
                .checkpoint(claimed.lease(), Some(cursor), None, now)
                .await
                .unwrap()
        );
        let shown = find_job(&store, claimed.id).await.unwrap().unwrap().cursor.unwrap();
        assert!(
            shown.contains("https://host/items") && !shown.contains("s3cret"),
            "{shown}"
        );
        serde_json::from_str::<serde_json::Value>(&shown).expect("it is still JSON");
    }
}
