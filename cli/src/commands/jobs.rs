//! `tideline jobs`: list them, look at one, run one again, give one up, enqueue one.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::value::RawValue;
use tideline_core::words::{JobState, Timestamp};
use tideline_producer::api::types::{Enqueue, EnqueueAnswer, Job, NewJob, Why};

use super::several::Several;
use crate::client::{Client, Listing, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Piece, Tone, moment, sentence, short};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: Option<JobsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// List jobs (the default)
    List(ListArgs),
    /// Show one job with its arguments, cursor, progress and last error
    #[command(alias = "get")]
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
    /// Cancel a job that is not a partition of a source
    Cancel {
        /// ID of the job
        job: i64,
    },
    /// Enqueue a job; if it exists, replace its arguments
    Enqueue {
        /// Kind, which selects the handler
        kind: String,
        /// Key, unique within the kind
        key: String,
        /// Arguments for the handler, in JSON
        #[arg(long, value_name = "JSON", default_value = "{}")]
        args: String,
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
    /// Continue where the last list ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Maximum number of jobs
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
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

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Lists, shows or acts.
pub(crate) async fn run(context: &Context, out: &mut Out, args: JobsArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    match args.command {
        None => list(context, &client, out, args.list).await?,
        Some(JobsCommand::List(list_args)) => list(context, &client, out, list_args).await?,
        Some(JobsCommand::Show { job }) => show(context, &client, out, job).await?,
        Some(JobsCommand::Retry { jobs }) => return retry(context, &client, out, &jobs).await,
        Some(JobsCommand::Cancel { job }) => cancel(&client, out, job).await?,
        Some(JobsCommand::Enqueue { kind, key, args }) => enqueue(&client, out, kind, key, &args).await?,
    }
    Ok(Code::Done)
}

async fn list(context: &Context, client: &Client<'_>, out: &mut Out, args: ListArgs) -> anyhow::Result<()> {
    let request = Request::get(&["jobs"])
        .query("kind", args.kind)
        .query("state", args.state.map(State::as_str))
        .query("source", args.source)
        .query("key", args.key);
    let nothing = if request.is_whole() {
        "No jobs yet: the cycles of sources make them, and so does `tideline jobs enqueue`."
    } else {
        "No such jobs."
    };
    let listing = Listing {
        request,
        limit: args.limit,
        page_token: args.page_token,
        nothing,
        more: "There may be more:",
    };
    listing.print(client, out, |jobs| jobs_grid(jobs, context.now())).await
}

fn jobs_grid(jobs: &[Job], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["job", "kind", "key", "state", "due", "attempt", "rung", "last error"]);
    for job in jobs {
        let due = match (job.state, job.due_at) {
            (JobState::Waiting, Some(due)) => moment(due.0, now),
            (JobState::Waiting, None) => "waiting for a place".to_owned(),
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
    let (word, tone) = state_word(state);
    Piece::toned(word, tone)
}

fn state_word(state: JobState) -> (&'static str, Tone) {
    match state {
        JobState::Waiting => ("waiting", Tone::Plain),
        JobState::Running => ("running", Tone::Busy),
        JobState::Done => ("done", Tone::Good),
        JobState::Parked => ("parked", Tone::Bad),
        JobState::Cancelled => ("cancelled", Tone::Bad),
    }
}

async fn show(context: &Context, client: &Client<'_>, out: &mut Out, id: i64) -> anyhow::Result<()> {
    let answer = client.send(&Request::get(&["jobs", &id.to_string()])).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let why = why(client, id).await?;
    out.grid(&job_pairs(&answer.read()?, &why, context.now()))?;
    Ok(())
}

async fn why(client: &Client<'_>, id: i64) -> anyhow::Result<Why> {
    client.ask(&Request::get(&["jobs", &id.to_string(), "why"])).await
}

fn job_pairs(job: &Job, why: &Why, now: Timestamp) -> Grid {
    let mut grid = Grid::pairs();
    grid.pair("job", job.id.to_string());
    grid.pair("kind", job.kind.as_str());
    grid.pair("key", job.key.as_str());
    grid.pair("state", state(job.state));
    let state_word = state_word(job.state).0;
    grid.pair("why", sentence(why.sentence_after(state_word), now));
    grid.pair("trigger", job.trigger.as_str());
    grid.pair("attempt", job.attempt.to_string());
    grid.pair("rung", job.rung.to_string());
    grid.pair("claims so far", job.token.to_string());
    if let (Some(source), Some(cycle)) = (&job.source, job.cycle) {
        grid.pair("source", format!("{source}, cycle {cycle}"));
    }
    grid.pair(
        "created",
        format!("{} ({})", job.created_at, moment(job.created_at.0, now)),
    );
    grid.pair(
        "updated",
        format!("{} ({})", job.updated_at, moment(job.updated_at.0, now)),
    );
    grid.pair("args", job.args.get());
    for (name, value) in [
        ("cursor", job.cursor.as_deref().map(RawValue::get)),
        ("progress", job.progress.as_deref().map(RawValue::get)),
        ("trace", job.trace.as_deref()),
        ("last error", job.last_error.as_deref()),
    ] {
        if let Some(text) = value {
            grid.pair(name, text);
        }
    }
    grid
}

/// A job that cannot be retried keeps back none of the others.
async fn retry(context: &Context, client: &Client<'_>, out: &mut Out, jobs: &[i64]) -> anyhow::Result<Code> {
    let mut list = if out.is_json() {
        Some(out.begin_list("items")?)
    } else {
        None
    };
    let mut several = Several::new();
    for job in jobs {
        let request = Request::post(&["jobs", &job.to_string(), "retry"]);
        let answered = client.ask::<Box<RawValue>>(&request).await;
        let Some(retried) = several.take(&format!("job {job}"), answered)? else {
            continue;
        };
        match &mut list {
            Some(list) => out.list_item(list, &retried)?,
            None => {
                // It is due now as far as the job goes, but its source may hold it back.
                let why = sentence(&why(client, *job).await?.sentence, context.now());
                out.note(Tone::Plain, format!("job {job}: retried; {why}"))?;
            }
        }
    }
    if let Some(list) = list {
        out.end_list(list, None)?;
    }
    Ok(several.code())
}

async fn cancel(client: &Client<'_>, out: &mut Out, job: i64) -> anyhow::Result<()> {
    let answer = client
        .send(&Request::post(&["jobs", &job.to_string(), "cancel"]))
        .await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    Ok(out.note(Tone::Plain, format!("job {job}: cancelled"))?)
}

async fn enqueue(client: &Client<'_>, out: &mut Out, kind: String, key: String, args: &str) -> anyhow::Result<()> {
    let args = RawValue::from_string(args.to_owned())
        .map_err(|error| Failure::new(Code::Config, format!("--args must be JSON: {error}")))?;
    let job = NewJob {
        kind,
        key,
        args,
        due_at: None,
    };
    let request = Request::post(&["jobs"]).body(&Enqueue { jobs: vec![job] })?;
    let answer = client.send(&request).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let enqueued: EnqueueAnswer = answer.read()?;
    let job = enqueued.jobs.first().context("the response names no job")?;
    let outcome = serde_json::to_value(job.outcome)?;
    Ok(out.note(
        Tone::Plain,
        format!("job {}: {}", job.id, outcome.as_str().unwrap_or_default()),
    )?)
}
