//! `tideline plan`: what the next cycle of a source would change.

use clap::Args;
use tideline_producer::api::PlanRequest;

use crate::context::Context;
use crate::exit::Code;
use crate::output::Out;
use crate::plan::{Printer, follow};

/// What to plan.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// Name of a source in the configuration
    source: String,
    /// Show only the totals
    #[arg(long)]
    summary: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Shows the plan and writes nothing to the store.
pub(crate) async fn run(context: &Context, out: &mut Out, args: PlanArgs) -> anyhow::Result<Code> {
    let mut printer = Printer::new(out, !args.summary);
    let wanted = PlanRequest::whole(args.source);
    let summary = follow(context, wanted, args.timeout, |step| printer.step(&step)).await?;
    printer.summary(&summary)?;
    Ok(match (summary.is_complete(), summary.has_changes()) {
        (false, _) => Code::Failed,
        (true, true) => Code::Changes,
        (true, false) => Code::Done,
    })
}
