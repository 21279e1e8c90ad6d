//! `tideline why`: one sentence.

use clap::Args;
use tideline_producer::api::types::Explanation;

use crate::client::Request;
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Out, sentence};

/// What to explain.
#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    /// Name of a source, or ID or key of a job
    #[arg(value_name = "SOURCE|JOB")]
    subject: String,
}

/// Looks for a source first, then for a job of that number or key.
pub(crate) async fn run(context: &Context, out: &mut Out, args: WhyArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let answer = client
        .send(&Request::get(&["why"]).query("subject", Some(args.subject)))
        .await?;
    if out.is_json() {
        out.answer(&answer.text())?;
        return Ok(Code::Done);
    }
    let explanation: Explanation = answer.read()?;
    for why in &explanation.subjects {
        out.line(format!("{}: {}", why.subject, sentence(&why.sentence, context.now())))?;
    }
    Ok(Code::Done)
}
