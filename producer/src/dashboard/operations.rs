//! `/operations`: workers, queue, version, configuration, and the audit log.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{Role, SourceState, grouped};

use super::configuration::Keys;
use super::filters::{Filter, filters, pager};
use super::format::{ago, bytes, count};
use super::parts::{audit_row, command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Failure, Fields, Query, Viewer};
use super::{Dashboard, history};
use crate::api::Problem;
use crate::api::types::{AuditEntry, Configuration, Figures, Hook, Page as List, Status, Storage, Subscription};

/// Tables shown.
const TABLES: usize = 12;

/// Acts of one page.
const ROWS: &str = "50";

const FILTERS: &[Filter] = &[
    Filter::text("actor", "Who", ""),
    Filter::text("act", "Act", "sources.pause"),
    Filter::text("source", "Source", ""),
];

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/operations", get(show))
        .route("/audit", get(audit))
}

async fn show(viewer: Viewer) -> Result<Page, Failure> {
    let status: Status = viewer.get("/v1/status").await?;
    let configuration = if viewer.may(Role::Operate) && viewer.sees_all() {
        super::source::optional(viewer.get::<Configuration>("/v1/configuration").await)?
    } else {
        None
    };
    let storage = if viewer.sees_all() {
        Some(viewer.get::<Storage>("/v1/storage").await?)
    } else {
        None
    };
    let findings = if configuration.is_some() {
        findings(&viewer, &status, configuration.as_ref()).await?
    } else {
        Vec::new()
    };
    let samples = history::read(&viewer).await?;
    let content = html! {
        header.page { h1 { "Operations" } (live_state()) }
        (live("fleet", fleet(&viewer, &status, &samples)))
        @if let Some(configuration) = &configuration { (checked(configuration, &findings)) }
        (live("workers", workers(&viewer, &status)))
        div.columns {
            @if let Some(storage) = &storage { (stored(storage)) }
            @if let Some(configuration) = &configuration { (Keys::of_the_process(configuration).section("Configuration of this process")) }
        }
        @if !viewer.is_demo() { (command("tideline check")) }
    };
    Ok(page(&viewer, "/operations", "Operations", content))
}

fn fleet(viewer: &Viewer, status: &Status, samples: &[Figures]) -> Markup {
    let now = viewer.now;
    html! {
        section aria-label="Fleet" {
            dl.figures.strip {
                div { dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) } }
                div { dt { "Queue" } dd { (status.queue) } }
                div { dt { "Workers" } dd { (status.workers.len()) } }
                div { dt { "Scheduler" } dd {
                    @match (history::at_work(samples), history::idle_since(samples, now)) {
                        (_, Some(at)) => { "none since " (ago(at, now)) }
                        (Some(_), None) => { "at work" }
                        (None, None) => { "no sign yet" }
                    }
                } }
                div { dt { "Jobs due" } dd { (grouped(status.jobs.due)) } }
                div { dt { "Running" } dd { (grouped(status.jobs.running)) } }
                div { dt { "Parked" } dd { (grouped(status.jobs.parked)) } }
                div { dt { "Changes so far" } dd { (grouped(u64::try_from(status.last_sequence).unwrap_or(0))) } }
            }
            @if status.queue != "healthy" {
                p.notice { "The queue is degraded, but nothing is lost: workers look for due jobs in the store until \
                it is back." }
            }
            @if history::idle_since(samples, now).is_some() {
                p.notice.bad {
                    "No scheduler is running: cycles neither start nor end, and jobs of dead workers are not rescued. \
                     Start one with "
                    code { "tideline scheduler" } ", or everything with " code { "tideline run" } ". Any number may run at once."
                }
            }
        }
    }
}

fn workers(viewer: &Viewer, status: &Status) -> Markup {
    html! {
        section aria-labelledby="workers-title" {
            h2 #workers-title { "Workers" }
            @if status.workers.is_empty() {
                p.empty { "No worker is alive. Start one with " code { "tideline worker" } ", or everything with " code { "tideline run" } "." }
            } @else {
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Worker" } th.number { "Jobs" } th { "Started" } th { "Lease ends" } } }
                    tbody { @for worker in &status.workers {
                        tr {
                            td { code { (worker.worker) } }
                            td.number { (grouped(worker.running)) }
                            td { (ago(worker.started_at.0, viewer.now)) }
                            td { (ago(worker.alive_until.0, viewer.now)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// Warnings about the configuration and its state in the store; none: there are none.
async fn findings(
    viewer: &Viewer,
    status: &Status,
    configuration: Option<&Configuration>,
) -> Result<Vec<String>, Problem> {
    let mut found = Vec::new();
    let configured = configuration.map_or(&[][..], |configuration| &configuration.sources);
    for source in configured {
        found.extend(
            source
                .warnings
                .iter()
                .map(|warning| format!("source {}: {warning}", source.name)),
        );
        if !status.sources.iter().any(|known| known.source.name == source.name) {
            found.push(format!(
                "source {} is in the configuration of this process but not in the store",
                source.name
            ));
        }
    }
    for known in &status.sources {
        let name = &known.source.name;
        let ours = configured.iter().find(|source| source.name == *name);
        match (known.source.state, ours) {
            (SourceState::Orphaned, _) => found.push(format!(
                "source {name} has entities but is no longer in the \
            configuration"
            )),
            (SourceState::Blocked, _) => found.push(format!(
                "source {name} is blocked: {}",
                known
                    .source
                    .blocked_reason
                    .as_deref()
                    .unwrap_or("its configuration is rejected")
            )),
            (_, None) => found.push(format!(
                "source {name} is running but is not in the configuration of this \
            process: do all processes have the same file?"
            )),
            (_, Some(ours)) if ours.source_type != known.source.source_type && known.source.source_type != "demo" => {
                found.push(format!(
                    "source {name} is of another type in the store ({})",
                    known.source.source_type
                ));
            }
            _ => {}
        }
    }
    let hooks: List<Hook> = viewer.get("/v1/hooks").await?;
    for hook in hooks.items.iter().filter(|hook| !hook.verifies) {
        found.push(format!("hook {} does not verify senders: set a secret", hook.name));
    }
    let subscriptions: List<Subscription> = viewer.get("/v1/subscriptions").await?;
    for subscription in subscriptions
        .items
        .iter()
        .filter(|subscription| subscription.missed_to.is_some())
    {
        found.push(format!(
            "subscription {} missed events that were dropped before it saw them: keep events for longer (events.retention)",
            subscription.name
        ));
    }
    let open = configuration.and_then(|configuration| configuration.listen.as_deref());
    if open.is_some_and(|listen| listen.starts_with("0.0.0.0") || listen.starts_with("[::]")) && !viewer.signed_in {
        found.push(
            "listen: others can reach this address; put a proxy with TLS in front of it, and create tokens".to_owned(),
        );
    }
    Ok(found)
}

fn checked(configuration: &Configuration, findings: &[String]) -> Markup {
    html! {
        section aria-labelledby="check-title" {
            h2 #check-title { "Configuration check" }
            @if findings.is_empty() {
                p.calm { "Nothing is odd. " (count(configuration.sources.len() as u64, "source is", "sources are")) " configured, and the store agrees." }
            } @else {
                ul.needs { @for finding in findings { li { span.why { (finding) } } } }
            }
        }
    }
}

fn stored(storage: &Storage) -> Markup {
    let largest = storage.tables.first().map_or(1, |table| table.bytes.max(1));
    // SQLite does not know how many rows a table has.
    let counted = storage.tables.iter().any(|table| table.rows.is_some());
    html! {
        section aria-labelledby="storage-title" {
            h2 #storage-title { "Store, " (bytes(storage.bytes)) }
            @if storage.tables.is_empty() {
                p.empty { "The sizes of tables are not shown for a SQLite file this large: measuring them would read \
                the whole file." }
            } @else {
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Table" } th.number { "Size" } @if counted { th.number { "Rows, about" } } th.wide { span.unseen { "Share" } } } }
                    tbody { @for table in storage.tables.iter().take(TABLES) {
                        tr {
                            td { (table.name) }
                            td.number { (bytes(table.bytes)) }
                            @if counted { td.number { @if let Some(rows) = table.rows { (grouped(rows)) } } }
                            td.wide.share { progress max=(largest) value=(table.bytes) aria-label={ "Size of " (table.name) } {} }
                        }
                    } }
                } }
                @if storage.tables.len() > TABLES { p.soft { (storage.tables.len() - TABLES) " smaller tables are left out." } }
            }
        }
    }
}

async fn audit(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let mut asked = query.values(FILTERS);
    asked.extend([("limit", ROWS), ("page_token", query.get("page_token"))]);
    let acts: List<AuditEntry> = viewer.list("/v1/audit", &asked).await?;
    let content = html! {
        header.page { h1 { "Audit" } p { "What people and programs did, and which acts were refused" } (live_state()) }
        (filters("/audit", FILTERS, &query))
        (live("audit", entries(&viewer, &acts, &query)))
        (command(&query.command("tideline audit", FILTERS)))
    };
    Ok(page(&viewer, "/audit", "Audit", content))
}

fn entries(viewer: &Viewer, acts: &List<AuditEntry>, query: &Fields) -> Markup {
    html! {
        @if acts.items.is_empty() {
            p.empty { @if query.any(FILTERS) { "No act matches. " a href="/audit" { "Show all" } } @else { "No acts \
            yet." } }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "When" } th { "Who" } th { "What" } } }
                tbody { @for entry in &acts.items { (audit_row(entry, viewer.now)) } }
            } }
        }
        (pager("/audit", FILTERS, query, acts.next_page_token.as_deref()))
    }
}
