//! The documents of the API, as far as they are read. JSON:API; unknown members are skipped.
//! <https://developer.hashicorp.com/terraform/cloud-docs/api-docs/workspaces>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A workspace, as the catalog and the partition's args have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Workspace {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    /// Tags, and tags with a value as `key:value`; sorted.
    pub(super) tags: Vec<String>,
    pub(super) project_id: String,
    pub(super) project: String,
    pub(super) execution_mode: String,
    pub(super) repository: String,
    pub(super) working_directory: String,
}

/// What a list of workspaces says.
#[derive(Debug, Deserialize)]
pub(super) struct WorkspaceList {
    data: Vec<Document>,
    #[serde(default)]
    included: Vec<Included>,
    #[serde(default)]
    meta: Meta,
    links: Option<Links>,
}

/// One workspace.
#[derive(Debug, Deserialize)]
pub(super) struct WorkspaceDocument {
    data: Document,
    #[serde(default)]
    included: Vec<Included>,
}

#[derive(Debug, Deserialize)]
struct Document {
    id: String,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    relationships: Relationships,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    name: String,
    #[serde(deserialize_with = "or_default")]
    description: String,
    #[serde(deserialize_with = "or_default")]
    tag_names: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    execution_mode: String,
    #[serde(deserialize_with = "or_default")]
    vcs_repo_identifier: String,
    #[serde(deserialize_with = "or_default")]
    working_directory: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Relationships {
    project: Relationship,
    organization: Relationship,
    current_state_version: Option<Relationship>,
    effective_tag_bindings: Many,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Relationship {
    #[serde(deserialize_with = "or_default")]
    data: Option<Identifier>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Many {
    #[serde(deserialize_with = "or_default")]
    data: Vec<Identifier>,
}

#[derive(Debug, Deserialize)]
struct Identifier {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Included {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    attributes: IncludedAttributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IncludedAttributes {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    pagination: Option<Pagination>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pagination {
    next_page: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Links {
    next: Option<String>,
}

/// A workspace with the id of its current state version, if the answer names one.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) workspace: Workspace,
    pub(super) state_version: Option<String>,
    /// Name of the organization, where it is told.
    pub(super) organization: Option<String>,
}

impl WorkspaceList {
    pub(super) fn into_workspaces(self) -> Vec<Listed> {
        let included = &self.included;
        self.data
            .into_iter()
            .map(|document| listed(document, included))
            .collect()
    }

    /// The number of the page after `page`; none: it is the last one.
    ///
    /// # Errors
    /// The answer does not say.
    pub(super) fn next(&self) -> Result<Option<u32>, &'static str> {
        match (&self.meta.pagination, &self.links) {
            (Some(pagination), _) => Ok(pagination.next_page),
            (None, Some(links)) => match &links.next {
                None => Ok(None),
                Some(next) => page_number(next).map(Some).ok_or("its links.next has no page[number]"),
            },
            (None, None) => {
                Err("it has neither meta.pagination nor links, so it is unknown whether there are more pages")
            }
        }
    }
}

impl WorkspaceDocument {
    pub(super) fn into_workspace(self) -> Listed {
        listed(self.data, &self.included)
    }
}

fn listed(document: Document, included: &[Included]) -> Listed {
    let Document {
        id,
        attributes,
        relationships,
    } = document;
    let project_id = relationships.project.data.map(|project| project.id).unwrap_or_default();
    let project = included
        .iter()
        .find(|one| one.kind == "projects" && one.id == project_id);
    let mut tags: BTreeMap<String, ()> = attributes.tag_names.into_iter().map(|tag| (tag, ())).collect();
    for binding in &relationships.effective_tag_bindings.data {
        let found = included
            .iter()
            .find(|one| one.kind.ends_with("tag-bindings") && one.id == binding.id);
        if let Some(Included { attributes, .. }) = found.filter(|one| !one.attributes.key.is_empty()) {
            let tag = if attributes.value.is_empty() {
                attributes.key.clone()
            } else {
                format!("{}:{}", attributes.key, attributes.value)
            };
            tags.insert(tag, ());
        }
    }
    Listed {
        workspace: Workspace {
            id,
            name: attributes.name,
            description: attributes.description,
            tags: tags.into_keys().collect(),
            project: project
                .map(|project| project.attributes.name.clone())
                .unwrap_or_default(),
            project_id,
            execution_mode: attributes.execution_mode,
            repository: attributes.vcs_repo_identifier,
            working_directory: attributes.working_directory,
        },
        state_version: relationships
            .current_state_version
            .and_then(|version| version.data)
            .map(|version| version.id),
        organization: relationships.organization.data.map(|organization| organization.id),
    }
}

/// The page's number in the query of a URL.
fn page_number(url: &str) -> Option<u32> {
    let query = url.split_once('?')?.1;
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .into_iter()
        .find(|(name, _)| name == "page[number]")
        .and_then(|(_, number)| number.parse().ok())
}

/// A state version.
#[derive(Deserialize)]
pub(super) struct StateVersionDocument {
    data: StateVersion,
}

#[derive(Deserialize)]
struct StateVersion {
    id: String,
    attributes: StateVersionAttributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StateVersionAttributes {
    hosted_state_download_url: Option<String>,
    size: Option<u64>,
    status: Option<String>,
}

impl StateVersionDocument {
    pub(super) fn id(&self) -> &str {
        &self.data.id
    }

    /// The address of the state. It alone grants access, so it is neither shown nor stored.
    pub(super) fn address(&self) -> Option<&str> {
        self.data
            .attributes
            .hosted_state_download_url
            .as_deref()
            .filter(|url| !url.is_empty())
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.data.attributes.size
    }

    /// Whether its content can be downloaded. An API that does not tell has finished it.
    pub(super) fn is_pending(&self) -> bool {
        self.data.attributes.status.as_deref() == Some("pending")
    }
}

/// Null is what the type begins with.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list(rest: Value) -> WorkspaceList {
        let mut document = json!({"data": []});
        document
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn the_next_page_is_what_the_answer_says_and_an_answer_that_does_not_say_is_an_error() {
        assert_eq!(
            list(json!({"meta": {"pagination": {"next-page": 2}}})).next(),
            Ok(Some(2))
        );
        assert_eq!(
            list(json!({"meta": {"pagination": {"next-page": null}}})).next(),
            Ok(None)
        );
        let next = "https://app.terraform.io/api/v2/organizations/a/workspaces?page%5Bnumber%5D=3&page%5Bsize%5D=1";
        assert_eq!(list(json!({"links": {"next": next}})).next(), Ok(Some(3)));
        assert_eq!(list(json!({"links": {"next": null}})).next(), Ok(None));
        assert!(list(json!({"links": {"next": "https://x"}})).next().is_err());
        assert!(list(json!({})).next().is_err());
    }

    #[test]
    fn a_workspace_is_read_with_its_tags_and_its_project() {
        let document = json!({
            "data": {"id": "ws-1", "type": "workspaces",
                "attributes": {"name": "a", "description": null, "tag-names": ["x", "team:core"], "vcs-repo-identifier": null},
                "relationships": {
                    "project": {"data": {"id": "prj-1", "type": "projects"}},
                    "organization": {"data": {"id": "acme", "type": "organizations"}},
                    "current-state-version": {"data": {"id": "sv-1", "type": "state-versions"}},
                    "effective-tag-bindings": {"data": [{"id": "tb-1", "type": "effective-tag-bindings"}]}}},
            "included": [
                {"id": "prj-1", "type": "projects", "attributes": {"name": "Networks"}},
                {"id": "tb-1", "type": "effective-tag-bindings", "attributes": {"key": "tenant", "value": "t1"}}],
        });
        let listed = serde_json::from_value::<WorkspaceDocument>(document)
            .unwrap()
            .into_workspace();
        assert_eq!(listed.state_version.as_deref(), Some("sv-1"));
        assert_eq!(listed.organization.as_deref(), Some("acme"));
        assert_eq!(listed.workspace.tags, ["team:core", "tenant:t1", "x"]);
        assert_eq!(
            (listed.workspace.project.as_str(), listed.workspace.description.as_str()),
            ("Networks", "")
        );
    }
}
