//! `tideline entities`: look into the catalog.

use clap::{Args, Subcommand};
use tideline_core::words::{EntityRef, Timestamp};
use tideline_store::{EntityFilter, EntityRecord, StoreError};

use super::sources::get_source;
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, embedded, embedded_all, moment};

/// Entities read from the store at a time.
const PAGE: u32 = 1_000;

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct EntitiesArgs {
    #[command(subcommand)]
    command: Option<EntitiesCommand>,
}

/// What to do with entities.
#[derive(Debug, Subcommand)]
enum EntitiesCommand {
    /// List entities (the default)
    List(ListArgs),
    /// Show the body of one entity, once for each source that owns it
    Get {
        /// kind:namespace/name
        #[arg(value_name = "REF")]
        reference: EntityRef,
        /// Only this source's version
        #[arg(long)]
        source: Option<String>,
    },
}

/// Which entities.
#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Only entities of this source
    #[arg(long)]
    source: Option<String>,
    /// Only entities of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only the entity with this reference (kind:namespace/name)
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<EntityRef>,
    /// Maximum number of entities
    #[arg(long, default_value_t = 100, conflicts_with = "all", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// List all entities
    #[arg(long)]
    all: bool,
}

/// Lists or shows.
pub(crate) async fn run(context: &Context, out: &mut Out, args: EntitiesArgs) -> anyhow::Result<Code> {
    match args.command {
        Some(EntitiesCommand::Get { reference, source }) => get(context, out, reference, source).await,
        Some(EntitiesCommand::List(list_args)) => list(context, out, list_args).await,
        None => {
            let all = ListArgs {
                source: None,
                kind: None,
                reference: None,
                limit: 100,
                all: false,
            };
            list(context, out, all).await
        }
    }
}

/// Reads page by page and prints each page at once, so that memory stays flat.
async fn list(context: &Context, out: &mut Out, args: ListArgs) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    if let Some(name) = &args.source {
        get_source(&*store, name).await?;
    }
    let mut left = if args.all { u64::MAX } else { args.limit };
    let mut filter = EntityFilter {
        source: args.source,
        kind: args.kind.map(|kind| kind.to_lowercase()),
        reference: args.reference,
        after: None,
        limit: PAGE,
    };
    let mut list = out.begin_list()?;
    let mut shown = 0_u64;
    loop {
        filter.limit = u32::try_from(left.min(u64::from(PAGE))).unwrap_or(PAGE);
        let page = if filter.limit == 0 {
            Vec::new()
        } else {
            store.list_entities(&filter).await?
        };
        let Some(last) = page.last() else { break };
        filter.after = Some((last.source.clone(), last.reference.clone()));
        let read = u64::try_from(page.len()).unwrap_or(u64::MAX);
        left = left.saturating_sub(read);
        shown += read;
        if out.is_json() {
            for record in &page {
                out.list_item(&mut list, &embedded(record, &["body"])?)?;
            }
        } else {
            out.grid(&entities_grid(&page, context.now()))?;
        }
        if read < u64::from(filter.limit) {
            break;
        }
    }
    out.end_list(list)?;
    if !out.is_json() && shown == 0 {
        out.line("No such entities.")?;
    } else if !out.is_json() && left == 0 {
        out.toned(Tone::Dim, "There may be more: --limit N or --all")?;
    }
    Ok(Code::Done)
}

fn entities_grid(page: &[EntityRecord], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["ref", "source", "sequence", "changed"]);
    for record in page {
        grid.row(vec![
            record.reference.as_str().into(),
            record.source.as_str().into(),
            Piece::number(u64::try_from(record.sequence.0).unwrap_or_default()),
            moment(record.changed_at, now).into(),
        ]);
    }
    grid
}

async fn get(context: &Context, out: &mut Out, reference: EntityRef, source: Option<String>) -> anyhow::Result<Code> {
    let store = context.operator_store().await?;
    let records = store
        .list_entities(&EntityFilter {
            source,
            reference: Some(reference.clone()),
            limit: PAGE,
            ..EntityFilter::default()
        })
        .await?;
    if records.is_empty() {
        return Err(StoreError::NotFound {
            what: "entity",
            name: reference.to_string(),
        }
        .into());
    }
    if out.is_json() {
        out.document(&embedded_all(&records, &["body"])?)?;
        return Ok(Code::Done);
    }
    for record in &records {
        out.toned(
            Tone::Dim,
            format!(
                "{} of {}, change {}, {}",
                record.reference,
                record.source,
                record.sequence,
                moment(record.changed_at, context.now())
            ),
        )?;
        match serde_json::from_str::<serde_json::Value>(&record.body) {
            Ok(body) => out.document(&body)?,
            Err(_) => out.line(&record.body)?,
        }
    }
    Ok(Code::Done)
}
