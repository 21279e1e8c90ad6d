//! `tideline why`: one sentence.

use clap::Args;
use serde::Serialize;
use tideline_core::words::{JobId, JobRecord, Timestamp};
use tideline_store::{JobFilter, Store, StoreError};

use super::jobs::find_job;
use super::view::view;
use crate::context::Context;
use crate::exit::Code;
use crate::output::Out;
use tideline_core::rules::{Facts, Why, why};

/// What to explain.
#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    /// Name of a source, or ID or key of a job
    #[arg(value_name = "SOURCE|JOB")]
    subject: String,
}

#[derive(Serialize)]
struct Answer {
    subject: String,
    sentence: String,
    #[serde(flatten)]
    why: Why,
}

/// Looks for a source first, then for a job of that number or key.
pub(crate) async fn run(context: &Context, out: &mut Out, args: WhyArgs) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let answers = explain(&*store, &args.subject, context.now()).await?;
    if answers.is_empty() {
        return Err(StoreError::NotFound {
            what: "source or job",
            name: args.subject,
        }
        .into());
    }
    for answer in &answers {
        if out.is_json() {
            out.document(answer)?;
        } else {
            out.line(format!("{}: {}", answer.subject, answer.sentence))?;
        }
    }
    Ok(Code::Done)
}

/// What a job waits for, with its source read from the store.
pub(crate) async fn why_of_job(store: &dyn Store, job: &JobRecord, now: Timestamp) -> Result<Why, StoreError> {
    let source = match &job.source {
        Some(name) => store.find_source(name).await?,
        None => None,
    };
    let facts = Facts::Job {
        job,
        source: source.as_ref(),
    };
    Ok(why(facts, now))
}

async fn explain(store: &dyn Store, subject: &str, now: Timestamp) -> Result<Vec<Answer>, StoreError> {
    if let Some(source) = store.find_source(subject).await? {
        let view = view(store, source, now).await?;
        return Ok(vec![Answer {
            subject: format!("source {subject}"),
            sentence: view.why.to_string(),
            why: view.why,
        }]);
    }
    let mut jobs: Vec<JobRecord> = Vec::new();
    if let Ok(number) = subject.parse() {
        jobs.extend(find_job(store, JobId(number)).await?);
    }
    if jobs.is_empty() {
        let filter = JobFilter {
            key: Some(subject.to_owned()),
            limit: 1,
            ..JobFilter::default()
        };
        jobs = store.list_jobs(&filter).await?;
    }
    let mut answers = Vec::new();
    for job in jobs {
        let why = why_of_job(store, &job, now).await?;
        answers.push(Answer {
            subject: format!("job {} ({} {})", job.id, job.kind, job.key),
            sentence: why.to_string(),
            why,
        });
    }
    Ok(answers)
}
