//! `tideline try`: read a page of a source and show what becomes of it. For people who write a configuration; needs no
//! store.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use clap::Args;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tideline_config::settings::{SourceKind, SourceSettings};
use tideline_core::clock::SystemClock;
use tideline_core::full_text;
use tideline_core::rules::scrub_urls;
use tideline_core::words::{ChildPartition, MalformedItem};
use tideline_worker::sources::http::Exchange;
use tideline_worker::sources::open_observed;
use tideline_worker::{PageContent, PageRequest, Pass, Source, sort_out};

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Out, Tone, count, counted};
use crate::plan::configured;

/// Pages read on the way to a resource.
const MAX_STEPS: usize = 20;
/// Entities of a page that a person sees in full.
const BODIES: usize = 3;
/// Bytes shown of an item whose reference is another one's, at most.
const SAMPLE: usize = 125;

/// What to try.
#[derive(Args, Debug)]
pub(crate) struct TryArgs {
    /// Name of a source in the configuration
    source: String,
    /// Read this resource, reached through its first parents [default: the first resource]
    #[arg(long)]
    resource: Option<String>,
    /// Number of pages to read
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pages: u32,
    /// Number of entities per page to show in full; others are listed by reference [default: 3; with --json: all]
    #[arg(long)]
    bodies: Option<usize>,
}

/// A page, as programs get it.
#[derive(Serialize)]
struct TriedPage {
    partition: String,
    requests: Vec<Exchange>,
    entities: Vec<Value>,
    malformed: Vec<MalformedItem>,
    children: Vec<ChildPartition>,
    next: Option<String>,
    /// Why the next page cannot be determined.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl TriedPage {
    /// Reports the entities that an earlier page showed too.
    fn report_repeats(&mut self, shown: &mut HashSet<String>) {
        for entity in &self.entities {
            let Some(reference) = entity["ref"].as_str() else {
                continue;
            };
            if !shown.insert(reference.to_owned()) {
                self.malformed.push(MalformedItem {
                    reference: reference.parse().ok(),
                    error: format!("an item on a page before this one gives the same reference, {reference}"),
                    sample: entity["body"].to_string().chars().take(SAMPLE).collect(),
                });
            }
        }
    }

    /// With the bodies of so many entities.
    fn with_bodies(mut self, bodies: usize) -> Self {
        for entity in self.entities.iter_mut().skip(bodies) {
            if let Some(entity) = entity.as_object_mut() {
                entity.remove("body");
            }
        }
        self
    }

    /// A run would stop here too.
    fn check(&self) -> Result<(), Failure> {
        match &self.failure {
            None => Ok(()),
            Some(why) => Err(Failure::new(Code::Failed, why.clone())),
        }
    }
}

/// A source under trial, and what it sent and received since the last look.
struct Trial {
    source: Arc<dyn Source>,
    settings: SourceSettings,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

/// Where a page starts.
struct Start {
    partition: String,
    args: Value,
    cursor: Option<Value>,
}

/// Reads and shows the pages.
pub(crate) async fn run(context: &Context, out: &mut Out, args: TryArgs) -> anyhow::Result<Code> {
    let settings = context.settings()?;
    let trial = Trial::new(configured(&settings, &args.source)?)?;
    let mut start = trial.start_of(out, args.resource.as_deref()).await?;
    let mut pages = Vec::new();
    let (mut shown, mut whole) = (HashSet::new(), Ok(()));
    for _ in 0..args.pages {
        let (mut page, next, wait) = trial.read(out, &start).await?;
        page.report_repeats(&mut shown);
        whole = page.check();
        if out.is_json() {
            pages.push(page.with_bodies(args.bodies.unwrap_or(usize::MAX)));
        } else {
            show_page(out, &page, args.bodies.unwrap_or(BODIES))?;
        }
        let Some(next) = next.filter(|_| whole.is_ok()) else {
            break;
        };
        if wait {
            note(
                out,
                "The source asked to wait (rate limit), so no further pages are read.",
            )?;
            break;
        }
        start.cursor = Some(next);
    }
    if out.is_json() {
        out.document(&json!({"source": args.source, "pages": pages}))?;
    }
    whole?;
    Ok(Code::Done)
}

impl Trial {
    fn new(settings: &SourceSettings) -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let observed = Arc::clone(&seen);
        let observer = Arc::new(move |exchange| observed.lock().push(exchange));
        Ok(Self {
            source: open_observed(settings, Arc::new(SystemClock), observer)?,
            settings: settings.clone(),
            seen,
        })
    }

    /// Reads one page. What was requested is shown even if it fails.
    async fn read(&self, out: &mut Out, start: &Start) -> anyhow::Result<(TriedPage, Option<Value>, bool)> {
        let request = PageRequest {
            partition: &start.partition,
            args: &start.args,
            cursor: start.cursor.as_ref(),
            memory: None,
            pass: Pass::Trial,
        };
        let timeout = self.settings.page_timeout;
        let answer = tokio::time::timeout(timeout, self.source.read_page(request)).await;
        let requests = std::mem::take(&mut *self.seen.lock());
        if !out.is_json() {
            for exchange in &requests {
                show_exchange(out, exchange)?;
            }
        }
        let failed = |message: String| Failure::new(Code::Failed, message);
        let page = answer
            .map_err(|_| failed(format!("the page took longer than page_timeout ({timeout:?})")))?
            .map_err(|error| failed(full_text(&error)))?;
        let items = match page.content {
            PageContent::Items(items) => items,
            PageContent::Unchanged => Vec::new(),
        };
        let sorted = sort_out(items, &self.settings.volatile);
        let entities = sorted.entities.into_iter().map(|entity| {
            let body: Value = serde_json::from_str(&entity.body).unwrap_or_else(|_| Value::from(entity.body));
            json!({"ref": entity.reference, "body": body})
        });
        let tried = TriedPage {
            partition: start.partition.clone(),
            requests,
            entities: entities.collect(),
            malformed: sorted.malformed,
            children: page.children,
            next: page.next.as_ref().map(|next| scrub_urls(&next.to_string())),
            failure: page.failure.as_ref().map(|failure| full_text(failure)),
        };
        Ok((tried, page.next, page.hold.is_some()))
    }

    /// The first resource of the API that the server has, where the source knows several.
    async fn chosen(&self, out: &mut Out, root: &Start) -> anyhow::Result<Start> {
        let (page, _, _) = self.read(out, root).await?;
        let first = page.children.into_iter().next();
        let first = first.ok_or_else(|| Failure::new(Code::Failed, "the server's API has no resources"))?;
        Ok(Start::of(first))
    }

    /// The root partition, or one of the wanted resource: found by reading the first page of the first partition of each
    /// resource on the way.
    async fn start_of(&self, out: &mut Out, resource: Option<&str>) -> anyhow::Result<Start> {
        let root = Start {
            partition: self.settings.name.clone(),
            args: json!({}),
            cursor: None,
        };
        let chooses = matches!(&self.settings.kind, SourceKind::Http(http) if !http.alternatives.is_empty());
        let Some(wanted) = resource else {
            return if chooses {
                self.chosen(out, &root).await
            } else {
                Ok(root)
            };
        };
        let known: Vec<&str> = match &self.settings.kind {
            SourceKind::Http(http) => http.resources.iter().map(|resource| resource.name.as_str()).collect(),
            SourceKind::Terraform(_) => vec!["workspaces", "workspace"],
            _ => Vec::new(),
        };
        if !known.contains(&wanted) {
            let message = match known.as_slice() {
                [] => format!("a source of type {} has no resources", self.settings.source_type),
                known => format!("there is no resource {wanted}; there are {}", known.join(", ")),
            };
            return Err(Failure::new(Code::NotFound, message).into());
        }
        if known.first() == Some(&wanted) && !chooses {
            return Ok(root);
        }
        self.search(out, root, wanted).await
    }

    /// Reads first pages until one reveals the wanted resource. One that cannot be read may be of another resource.
    async fn search(&self, out: &mut Out, root: Start, wanted: &str) -> anyhow::Result<Start> {
        let mut visited: HashSet<String> = HashSet::new();
        let mut ahead = VecDeque::from([root]);
        let mut revealed = self.source.roots();
        let mut failed = None;
        for _ in 0..MAX_STEPS {
            for child in std::mem::take(&mut revealed) {
                let resource = child.args["resource"].as_str().unwrap_or_default().to_owned();
                let child = Start::of(child);
                if resource == wanted {
                    return Ok(child);
                }
                if visited.insert(resource) {
                    ahead.push_back(child);
                }
            }
            let Some(start) = ahead.pop_front() else { break };
            match self.read(out, &start).await {
                Ok((page, _, _)) => revealed = page.children,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let message = format!("the first pages of its parents reveal no partition of {wanted}");
        Err(failed.unwrap_or_else(|| Failure::new(Code::Failed, message).into()))
    }
}

impl Start {
    /// The first page of a partition.
    fn of(partition: ChildPartition) -> Self {
        Self {
            partition: partition.key,
            args: partition.args,
            cursor: None,
        }
    }
}

fn note(out: &mut Out, text: &str) -> std::io::Result<()> {
    if out.is_json() {
        return Ok(());
    }
    out.toned(Tone::Dim, text)
}

fn show_exchange(out: &mut Out, exchange: &Exchange) -> std::io::Result<()> {
    out.toned(Tone::Busy, format!("> {} {}", exchange.method, exchange.url))?;
    for (name, value) in &exchange.headers {
        out.toned(Tone::Dim, format!("> {name}: {value}"))?;
    }
    if let Some(body) = &exchange.body {
        out.toned(Tone::Dim, format!("> {body}"))?;
    }
    let tone = if exchange.status < 400 { Tone::Good } else { Tone::Bad };
    let size = count(u64::try_from(exchange.answer_bytes).unwrap_or(u64::MAX));
    out.toned(
        tone,
        format!("< {} in {} ms, {size} bytes", exchange.status, exchange.took_ms),
    )?;
    for (name, value) in &exchange.answer_headers {
        out.toned(Tone::Dim, format!("< {name}: {value}"))?;
    }
    let beginning: String = exchange.answer.chars().take(400).collect();
    out.toned(Tone::Dim, format!("< {beginning}"))?;
    out.line("")
}

fn show_page(out: &mut Out, page: &TriedPage, bodies: usize) -> anyhow::Result<()> {
    out.line(format!(
        "{}: {}, {}, {}",
        page.partition,
        counted(page.entities.len(), "entity", "entities"),
        counted(page.malformed.len(), "malformed item", "malformed items"),
        counted(page.children.len(), "child partition", "child partitions"),
    ))?;
    for (place, entity) in page.entities.iter().enumerate() {
        out.toned(Tone::Good, format!("+ {}", entity["ref"].as_str().unwrap_or_default()))?;
        if place < bodies {
            out.document(&entity["body"])?;
        }
    }
    for item in &page.malformed {
        out.toned(Tone::Bad, format!("! {}", item.error))?;
        out.toned(Tone::Dim, format!("  {}", item.sample))?;
    }
    for child in page.children.iter().take(20) {
        out.line(format!("child partition {}", child.key))?;
    }
    if let Some(more) = page.children.len().checked_sub(20).filter(|more| *more > 0) {
        out.toned(Tone::Dim, format!("and {more} more child partitions"))?;
    }
    match (&page.failure, &page.next) {
        (Some(_), _) => out.toned(Tone::Bad, "This is not the last page, but the next one cannot be read.")?,
        (None, Some(next)) => out.line(format!("next page: {next}"))?,
        (None, None) => out.line("This is the last page.")?,
    }
    out.line("")?;
    Ok(())
}
