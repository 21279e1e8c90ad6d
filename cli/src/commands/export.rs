//! `tideline export`: the catalog, or a part of it, as a stream of bodies.

use clap::{Args, ValueEnum};
use tideline_producer::api::types::Entity;
use tideline_producer::yaml;

use super::entities::Filters;
use crate::client::Pages;
use crate::context::Context;
use crate::exit::Code;
use crate::output::Out;

/// What to export, and how.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    filters: Filters,
    /// One JSON body per line, or one YAML document per body
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON, one body per line
    Ndjson,
    /// YAML documents
    Yaml,
}

/// Writes page by page, so that memory stays flat.
pub(crate) async fn run(context: &Context, out: &mut Out, args: ExportArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let mut pages = Pages::new(&client, args.filters.request(), u64::MAX, None);
    while let Some(page) = pages.next::<Entity>().await? {
        for entity in &page {
            match args.format {
                Format::Ndjson => out.data(entity.body.get())?,
                Format::Yaml => out.data(&yaml::document(entity.body.get())?)?,
            }
        }
    }
    Ok(Code::Done)
}
