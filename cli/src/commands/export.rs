//! `tideline export`: the catalog, or a part of it, as a stream of bodies.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use saphyr::{LoadableYamlNode as _, Yaml, YamlEmitter};
use tideline_producer::api::types::Entity;

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
                Format::Ndjson => out.line(entity.body.get())?,
                Format::Yaml => out.line(yaml(entity.body.get())?)?,
            }
        }
    }
    Ok(Code::Done)
}

/// The body as a YAML document. JSON is YAML already (YAML 1.2, section 1.3), only not as people write it.
fn yaml(body: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    for document in Yaml::load_from_str(body)? {
        YamlEmitter::new(&mut text).dump(&document)?;
        writeln!(text)?;
    }
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_from_its_yaml_as_it_was() {
        let body = r#"{"kind":"Component","metadata":{"name":"web","on":"yes","version":"1.10"},"spec":{"n":1,"tags":["a","b"]}}"#;
        let text = yaml(body).unwrap();
        assert!(text.starts_with("---\nkind: Component\n"), "{text}");
        assert_eq!(Yaml::load_from_str(&text).unwrap(), Yaml::load_from_str(body).unwrap());
    }
}
