//! `tideline entities`: look into the catalog.

use clap::{Args, Subcommand};
use tideline_core::words::{ChangeKind, EntityRef, Timestamp};
use tideline_producer::api::types::{Change, Entity, Page};

use super::entity_diff;
use crate::client::{Client, Listing, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Piece, Tone, moment, pretty};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct EntitiesArgs {
    #[command(subcommand)]
    command: Option<EntitiesCommand>,
    #[command(flatten)]
    list: ListArgs,
}

/// What to do with entities.
#[derive(Debug, Subcommand)]
enum EntitiesCommand {
    /// List entities (the default)
    List(ListArgs),
    /// Show the body of one entity, once for each source that owns it
    #[command(alias = "show")]
    Get {
        /// kind:namespace/name
        #[arg(value_name = "REF")]
        reference: EntityRef,
        /// Only this source's version
        #[arg(long)]
        source: Option<String>,
    },
    /// Show the latest change of one entity in each source, including removals
    History {
        /// kind:namespace/name
        #[arg(value_name = "REF")]
        reference: EntityRef,
    },
    /// Compare an entity with the source, reading the whole source and writing nothing. With --server, the server reads it
    Diff {
        /// kind:namespace/name
        #[arg(value_name = "REF")]
        reference: EntityRef,
        /// Only this source [default: every source that owns it]
        #[arg(long)]
        source: Option<String>,
    },
}

/// Which entities.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Filters {
    /// Only entities of this source
    #[arg(long)]
    source: Option<String>,
    /// Only entities of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only entities in this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only entities whose name matches this glob, such as 'payments-*'
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Only entities with this label: key=value, or key alone for any value
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only the entity with this reference (kind:namespace/name)
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<EntityRef>,
}

impl Filters {
    /// The list of these entities.
    pub(super) fn request(self) -> Request {
        Request::get(&["entities"])
            .query("source", self.source)
            .query("kind", self.kind)
            .query("namespace", self.namespace)
            .query("name", self.name)
            .query("label", self.label)
            .query("ref", self.reference)
    }
}

/// Which entities, and how many.
#[derive(Args, Clone, Debug)]
struct ListArgs {
    #[command(flatten)]
    filters: Filters,
    /// Continue where the last list ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Maximum number of entities
    #[arg(long, default_value_t = 100, conflicts_with = "all", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// List all entities
    #[arg(long)]
    all: bool,
}

/// Lists or shows.
pub(crate) async fn run(context: &Context, out: &mut Out, args: EntitiesArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    match args.command {
        Some(EntitiesCommand::Get { reference, source }) => get(context, &client, out, &reference, source).await?,
        Some(EntitiesCommand::Diff { reference, source }) => {
            return entity_diff::run(context, &client, out, &reference, source).await;
        }
        Some(EntitiesCommand::History { reference }) => history(context, &client, out, &reference).await?,
        Some(EntitiesCommand::List(list_args)) => list(context, &client, out, list_args).await?,
        None => list(context, &client, out, args.list).await?,
    }
    Ok(Code::Done)
}

async fn list(context: &Context, client: &Client<'_>, out: &mut Out, args: ListArgs) -> anyhow::Result<()> {
    let request = args.filters.request();
    let nothing = if request.is_whole() {
        "No entities yet: `tideline status` says what the sources do."
    } else {
        "No such entities."
    };
    let listing = Listing {
        request,
        limit: if args.all { u64::MAX } else { args.limit },
        page_token: args.page_token,
        nothing,
        more: "There may be more: --limit N, --all, or",
    };
    listing
        .print(client, out, |page| entities_grid(page, context.now()))
        .await
}

fn entities_grid(page: &[Entity], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["ref", "source", "sequence", "changed"]);
    for record in page {
        grid.row(vec![
            record.shown_ref().into(),
            record.source.as_str().into(),
            Piece::number(u64::try_from(record.sequence).unwrap_or_default()),
            moment(record.changed_at.0, now).into(),
        ]);
    }
    grid
}

/// The entities of a reference, one for each source that owns it.
///
/// # Errors
/// There is none.
pub(super) async fn find(
    client: &Client<'_>,
    reference: &EntityRef,
    source: Option<String>,
) -> anyhow::Result<Page<Entity>> {
    let request = Request::get(&["entities"])
        .query("ref", Some(reference))
        .query("source", source)
        .query("limit", Some(1_000));
    let page: Page<Entity> = client.ask(&request).await?;
    if page.items.is_empty() {
        return Err(Failure::new(Code::NotFound, format!("entity {reference} does not exist")).into());
    }
    Ok(page)
}

async fn get(
    context: &Context,
    client: &Client<'_>,
    out: &mut Out,
    reference: &EntityRef,
    source: Option<String>,
) -> anyhow::Result<()> {
    let page = find(client, reference, source).await?;
    if out.is_json() {
        return Ok(out.answer(&serde_json::to_string(&page)?)?);
    }
    for entity in &page.items {
        let changed = moment(entity.changed_at.0, context.now());
        out.toned(
            Tone::Dim,
            format!(
                "{} of {}, change {}, {changed}",
                entity.shown_ref(),
                entity.source,
                entity.sequence
            ),
        )?;
        out.data(&pretty(entity.body.get()))?;
    }
    Ok(())
}

async fn history(context: &Context, client: &Client<'_>, out: &mut Out, reference: &EntityRef) -> anyhow::Result<()> {
    let (kind, rest) = reference.as_str().split_once(':').unwrap_or_default();
    let (namespace, name) = rest.split_once('/').unwrap_or_default();
    let request = Request::get(&["entities", kind, namespace, name, "history"]);
    let answer = client.send(&request).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let page: Page<Change> = answer.read()?;
    let mut grid = Grid::new(&["change", "source", "sequence", "when"]);
    for change in &page.items {
        let (word, tone) = match change.change {
            ChangeKind::Added => ("added", Tone::Good),
            ChangeKind::Modified => ("modified", Tone::Warn),
            ChangeKind::Removed => ("removed", Tone::Bad),
        };
        grid.row(vec![
            Piece::toned(word, tone),
            change.source.as_str().into(),
            Piece::number(u64::try_from(change.sequence).unwrap_or_default()),
            moment(change.changed_at.0, context.now()).into(),
        ]);
    }
    Ok(out.grid(&grid)?)
}
