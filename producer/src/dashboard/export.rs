//! `/catalog/export`: the entities that match a list's filters, as a streamed file.

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use maud::{Markup, html};

use super::Dashboard;
use super::catalog::chosen;
use super::viewer::{Failure, Query, Viewer, address};
use crate::api::types::{Entity, Page as List};
use crate::api::{Code, Problem};

/// Entities of one request.
const LIMIT: &str = "1000";

pub(super) fn router() -> Router<Dashboard> {
    Router::new().route("/catalog/export", get(export))
}

/// Links to the file, in both forms.
pub(super) fn links(filters: &[(&str, &str)]) -> Markup {
    let link = |format: &'static str| {
        let mut query = filters.to_vec();
        query.push(("format", format));
        address("/catalog/export", &query)
    };
    html! {
        p.pager { "Export " @if filters.is_empty() { "all" } @else { "what matches" } " as "
            a href=(link("ndjson")) download { "NDJSON" } " or " a href=(link("yaml")) download { "YAML" } }
    }
}

/// How bodies are written.
#[derive(Clone, Copy)]
enum Format {
    Ndjson,
    Yaml,
}

impl Format {
    fn write(self, entities: &[Entity]) -> Result<Bytes, Problem> {
        let mut text = String::new();
        for entity in entities {
            match self {
                Self::Ndjson => text.push_str(entity.body.get()),
                Self::Yaml => {
                    let yaml = crate::yaml::document(entity.body.get());
                    text.push_str(
                        &yaml.map_err(|error| Problem::internal("an entity cannot be written as YAML", &error))?,
                    );
                }
            }
            text.push('\n');
        }
        Ok(Bytes::from(text))
    }
}

async fn export(viewer: Viewer, Query(query): Query) -> Result<Response, Failure> {
    let (format, name, content_type) = match query.get("format") {
        "" | "ndjson" => (Format::Ndjson, "catalog.ndjson", "application/x-ndjson"),
        "yaml" => (Format::Yaml, "catalog.yaml", "application/yaml"),
        other => {
            let detail = format!("format must be ndjson or yaml, not {other}");
            return Err(Problem::new(Code::InvalidRequest, detail).into());
        }
    };
    let filters = chosen(&query);
    let filters: Vec<(String, String)> = filters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // Problems with the filters are shown as a page; a later failure aborts the file.
    let first = read(&viewer, &filters, None).await?;
    let exporting = Exporting {
        viewer,
        filters,
        format,
        page: Some(first),
    };
    let parts = stream::try_unfold(exporting, Exporting::next);
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, disposition),
    ];
    Ok((
        headers,
        Body::from_stream(parts.map_err(|problem: Problem| std::io::Error::other(problem.detail))),
    )
        .into_response())
}

/// A file being streamed.
struct Exporting {
    viewer: Viewer,
    filters: Vec<(String, String)>,
    format: Format,
    page: Option<List<Entity>>,
}

impl Exporting {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Problem> {
        let Some(page) = self.page.take() else {
            return Ok(None);
        };
        let bytes = self.format.write(&page.items)?;
        if let Some(token) = page.next_page_token {
            self.page = Some(read(&self.viewer, &self.filters, Some(&token)).await?);
        }
        Ok(Some((bytes, self)))
    }
}

async fn read(viewer: &Viewer, filters: &[(String, String)], token: Option<&str>) -> Result<List<Entity>, Problem> {
    let mut query: Vec<(&str, &str)> = filters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    query.extend([("limit", LIMIT), ("page_token", token.unwrap_or_default())]);
    viewer.list("/v1/entities", &query).await
}
