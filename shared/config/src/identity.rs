use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::settings::{EntityShape, PageSize, Pagination, Resource, SourceKind};
use tideline_core::rules::{canonical_json, fingerprint};
use tideline_core::words::Fingerprint;

/// What identifies the data of a source: its type, its place and what is read there. No credentials and no timing are part of
/// it, so that a new token or another burst length disturbs nothing.
pub(super) fn identity(source_type: &str, kind: &SourceKind) -> Fingerprint {
    let what = match kind {
        SourceKind::Http(rest) => {
            let mut base_url = rest.base_url.clone();
            // Neither can fail for http and https.
            let _ = base_url.set_username("");
            let _ = base_url.set_password(None);
            let resources: Vec<Value> = rest.resources.iter().map(resource_json).collect();
            let mut what = json!({ "type": source_type, "base_url": base_url.as_str(), "resources": resources });
            if let Some(definitions) = &rest.definitions {
                what["definitions"] = json!(definitions);
            }
            // A header may choose the tenant, the version or the page size. Nothing declares which of them are secrets.
            let headers = rest.headers.iter();
            let headers: BTreeMap<&str, [u8; 32]> = headers
                .map(|(name, value)| (name.as_str(), fingerprint(value.reveal().as_bytes()).0))
                .collect();
            if !headers.is_empty() {
                what["headers"] = json!(headers);
            }
            what
        }
        SourceKind::Own | SourceKind::Push => json!({ "type": source_type }),
        SourceKind::Terraform(terraform) => json!({
            "type": source_type,
            "base_url": terraform.http.base_url.as_str(),
            "organization": terraform.organization,
            "namespace": terraform.namespace,
        }),
        SourceKind::Files(files) => json!({ "type": source_type, "path": files.path.to_string_lossy() }),
    };
    let text = what.to_string();
    fingerprint(canonical_json(&text).unwrap_or(text).as_bytes())
}

fn resource_json(resource: &Resource) -> Value {
    let mut what = json!({
        "name": resource.name,
        "parent": resource.parent,
        "values": resource.parent_values,
        "post": resource.post,
        "path": resource.path,
        "query": query_json(&resource.query),
        "body": resource.body,
        "pagination": pagination_json(&resource.pagination),
        "items": resource.items,
        "entity": entity_json(&resource.entity),
    });
    // Left out where they are not used, so that older sources stay the same ones.
    if let Some(each) = &resource.each {
        what["each"] = json!(each);
    }
    if !resource.headers.is_empty() {
        what["headers"] = json!(resource.headers);
    }
    if let Some(lookup) = &resource.lookup {
        let pagination = pagination_json(&lookup.pagination);
        what["lookup"] = json!([lookup.path, lookup.query, pagination, lookup.items, lookup.entries]);
    }
    if let Some(download) = &resource.download {
        what["download"] = json!(download);
    }
    if let Some(alternative) = &resource.alternative {
        what["alternative"] = json!(alternative);
    }
    what
}

/// A single value as a text, as it was before there were lists.
fn query_json(query: &BTreeMap<String, Vec<String>>) -> Value {
    let value = |values: &Vec<String>| match values.as_slice() {
        [value] => json!(value),
        values => json!(values),
    };
    query
        .iter()
        .map(|(name, values)| (name.clone(), value(values)))
        .collect()
}

fn entity_json(entity: &EntityShape) -> Value {
    match entity {
        EntityShape::None => json!("none"),
        EntityShape::AsIs => json!("as_is"),
        EntityShape::Shaped(shape) => json!({ "shape": shape }),
        EntityShape::Named {
            kind,
            namespace,
            name,
            body,
        } => json!({ "kind": kind, "namespace": namespace, "name": name, "body": body }),
    }
}

fn pagination_json(pagination: &Pagination) -> Value {
    let size = |size: &PageSize| json!([size.parameter, size.size]);
    let optional = |given: &Option<PageSize>| given.as_ref().map(size);
    match pagination {
        Pagination::None => json!(["none"]),
        Pagination::Cursor {
            next,
            parameter,
            in_body,
            size,
        } => json!(["cursor", next, parameter, in_body, optional(size)]),
        Pagination::NextUrl { next, size } => json!(["next_url", next, optional(size)]),
        Pagination::LinkHeader { size } => json!(["link_header", optional(size)]),
        Pagination::NextUrlHeader { header, size } => json!(["next_url_header", header, optional(size)]),
        Pagination::Header {
            header,
            parameter,
            size,
            ..
        } => json!(["header", header, parameter, optional(size)]),
        Pagination::Page {
            parameter,
            first,
            size,
            total_pages,
            total,
            ..
        } => json!(["page", parameter, first, optional(size), total_pages, total]),
        Pagination::Offset {
            parameter,
            first,
            size: by,
            total,
            ..
        } => match first {
            0 => json!(["offset", parameter, size(by), total]),
            first => json!(["offset", parameter, size(by), total, first]),
        },
    }
}
