//! `/operations`: workers, queue, version, configuration, and who did what.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{Role, grouped};

use super::Dashboard;
use super::filters::{Filter, filters, pager};
use super::format::{ago, length};
use super::parts::{audit_row, command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Failure, Fields, Query, Viewer};
use crate::api::types::{AuditEntry, Configuration, Page as List, Status};

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
    let content = html! {
        header.page { h1 { "Operations" } (live_state()) }
        (live("fleet", fleet(&status)))
        (live("workers", workers(&viewer, &status)))
        @if let Some(configuration) = &configuration { (configured(configuration)) }
        (command("tideline check"))
    };
    Ok(page(&viewer, "/operations", "Operations", content))
}

fn fleet(status: &Status) -> Markup {
    html! {
        section aria-label="Fleet" {
            dl.figures.strip {
                div { dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) } }
                div { dt { "Queue" } dd { (status.queue) } }
                div { dt { "Workers" } dd { (status.workers.len()) } }
                div { dt { "Jobs due" } dd { (grouped(status.jobs.due)) } }
                div { dt { "Running" } dd { (grouped(status.jobs.running)) } }
                div { dt { "Parked" } dd { (grouped(status.jobs.parked)) } }
                div { dt { "Changes so far" } dd { (grouped(u64::try_from(status.last_sequence).unwrap_or(0))) } }
            }
            @if status.queue != "healthy" {
                p.notice { "The queue is degraded, and nothing is lost: workers look for due jobs in the store until it is back." }
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
                div.scroll { table {
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

fn configured(configuration: &Configuration) -> Markup {
    let ms = |ms: u64| length(std::time::Duration::from_millis(ms));
    let seconds = |seconds: u64| length(std::time::Duration::from_secs(seconds));
    html! {
        section aria-labelledby="configuration-title" {
            h2 #configuration-title { "Configuration of this process" }
            dl.facts.card {
                dt { "store" } dd { code { (configuration.store) } }
                dt { "queue" } dd { code { (configuration.queue) } }
                dt { "listen" } dd { code { (configuration.listen.as_deref().unwrap_or("none")) } }
                dt { "worker.concurrency" } dd { (configuration.worker.concurrency) }
                dt { "worker.lease" } dd { (ms(configuration.worker.lease_ms)) }
                dt { "worker.poll" } dd { (ms(configuration.worker.poll_ms)) }
                dt { "scheduler.poll" } dd { (ms(configuration.scheduler.poll_ms)) }
                dt { "scheduler.resend_after" } dd { (ms(configuration.scheduler.resend_after_ms)) }
                dt { "changes.retention" } dd { (seconds(configuration.changes_retention_seconds)) }
                dt { "shutdown.grace" } dd { (seconds(configuration.shutdown_grace_seconds)) }
                dt { "database.max_connections" } dd { (configuration.database_max_connections) }
            }
        }
    }
}

async fn audit(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let mut asked = query.values(FILTERS);
    asked.extend([("limit", ROWS), ("page_token", query.get("page_token"))]);
    let acts: List<AuditEntry> = viewer.list("/v1/audit", &asked).await?;
    let content = html! {
        header.page { h1 { "Audit" } p { "What people and programs did, and what they were refused" } (live_state()) }
        (filters("/audit", FILTERS, &query))
        (live("audit", entries(&viewer, &acts, &query)))
        (command(&query.command("tideline audit", FILTERS)))
    };
    Ok(page(&viewer, "/audit", "Audit", content))
}

fn entries(viewer: &Viewer, acts: &List<AuditEntry>, query: &Fields) -> Markup {
    html! {
        @if acts.items.is_empty() {
            p.empty { @if query.any(FILTERS) { "No act matches. " a href="/audit" { "Show all" } } @else { "Nobody has done anything yet." } }
        } @else {
            div.scroll { table {
                thead { tr { th { "When" } th { "Who" } th { "What" } } }
                tbody { @for entry in &acts.items { (audit_row(entry, viewer.now)) } }
            } }
        }
        (pager("/audit", FILTERS, query, acts.next_page_token.as_deref()))
    }
}
