//! `/catalog`: entities, found by name and source; and a single entity in full.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};

use super::Dashboard;
use super::filters::{Filter, filters_with, pager, quoted};
use super::format::{ago, bytes, encoded};
use super::parts::{command, live, live_state, source_path};
use super::shell::{Page, page};
use super::viewer::{Failure, Fields, Query, Viewer, address};
use super::{entity, export};
use crate::api::types::{Entity, Page as List};
use crate::api::{Code, Problem};

/// Entities of one page.
const ROWS: &str = "50";

const FILTERS: &[Filter] = &[
    Filter::search("name", "Name", "payments-*"),
    Filter::text("kind", "Kind", "component"),
    Filter::text("namespace", "Namespace", "default"),
    Filter::text("source", "Source", ""),
    Filter::text("label", "Label", "tier=gold"),
];

/// The filters of the list, which are parameters of the API too.
pub(super) fn chosen(query: &Fields) -> Vec<(&'static str, &str)> {
    query.values(FILTERS)
}

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/catalog", get(list))
        .route("/catalog/entity", get(show))
        .merge(export::router())
}

async fn list(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let mut asked = query.values(FILTERS);
    asked.extend([("limit", ROWS), ("page_token", query.get("page_token"))]);
    let entities: List<Entity> = viewer.list("/v1/entities", &asked).await?;
    let content = html! {
        header.page { h1 { "Catalog" } p { "The live entities of all sources" } }
        (filters_with("/catalog", FILTERS, &query, &viewer.sources().await?))
        (rows(&viewer, &entities, &query))
        @if !entities.items.is_empty() { (export::links(&query.values(FILTERS))) }
        (command(&query.command("tideline entities list", FILTERS)))
    };
    Ok(page(&viewer, "/catalog", "Catalog", content))
}

fn rows(viewer: &Viewer, entities: &List<Entity>, query: &Fields) -> Markup {
    html! {
        @if entities.items.is_empty() {
            p.empty {
                @if entities.next_page_token.is_some() { "None so far. A search runs only for a moment at a time: \
                continue with the next page." }
                @else if let Some(wider) = wider(query) {
                    "No entity has this name. " a href=(wider[0]) { "Names that begin with it" } " · " a href=(wider[1]) { "Names that contain it" }
                }
                @else if query.any(FILTERS) { "No entity matches. " a href="/catalog" { "Show all" } }
                @else { "The catalog is empty until the first page of a source is read. " a href="/" { "See what \
                sources are doing" } }
            }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "Name" } th { "Kind" } th.wide { "Namespace" } th.wide { "Source" } th.number.wide { "Size" } th { "Changed" } } }
                tbody {
                    @for entity in &entities.items {
                        @let (kind, namespace, name) = divided(&entity.reference);
                        tr {
                            td.long { a href=(entity_path(&entity.source, &entity.reference)) { (name) } }
                            td { (kind) }
                            td.wide { (namespace) }
                            td.wide { a href=(source_path(&entity.source)) { (entity.source) } }
                            td.number.wide { (bytes(entity.body.get().len() as u64)) }
                            td { (ago(entity.changed_at.0, viewer.now)) }
                        }
                    }
                }
            } }
        }
        (pager("/catalog", FILTERS, query, entities.next_page_token.as_deref()))
    }
}

/// Addresses of the same list for names that begin with, and that contain, the searched one; none: it was a pattern.
fn wider(query: &Fields) -> Option<[String; 2]> {
    let name = query.get("name");
    if name.is_empty() || name.contains(['*', '?', '[', '{', '\\']) {
        return None;
    }
    Some([format!("{name}*"), format!("*{name}*")].map(|pattern| {
        let mut values = query.values(FILTERS);
        values.retain(|(filter, _)| *filter != "name");
        values.push(("name", &pattern));
        address("/catalog", &values)
    }))
}

/// Kind, namespace and name of a reference.
pub(super) fn divided(reference: &str) -> (&str, &str, &str) {
    let (kind, rest) = reference.split_once(':').unwrap_or(("", reference));
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    (kind, namespace, name)
}

/// The address of an entity's page.
pub(super) fn entity_path(source: &str, reference: &str) -> String {
    format!("/catalog/entity?source={}&ref={}", encoded(source), encoded(reference))
}

async fn show(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let (source, reference) = (query.get("source"), query.get("ref"));
    let asked = [("source", source), ("ref", reference), ("limit", "20")];
    let found: List<Entity> = viewer.list("/v1/entities", &asked).await?;
    if found.items.is_empty() {
        let detail = format!("{reference} is not in the catalog; it may have been removed");
        return Err(Problem::new(Code::NotFound, detail).into());
    }
    let (kind, namespace, name) = divided(reference);
    let mut shown = Vec::new();
    for entity in found.items {
        let context = entity::read(&viewer, &entity).await?;
        shown.push((entity, context));
    }
    let content = html! {
        header.page {
            h1 { a.crumb href="/catalog" { "Catalog / " } (name) }
            p { (kind) " in " (namespace) }
            (live_state())
        }
        (live("entity", html! { @for (entity, context) in &shown { (entity::section(&viewer, entity, context)) } }))
        (command(&format!("tideline entities get {}", quoted(reference))))
    };
    Ok(page(&viewer, "/catalog", name, content))
}
