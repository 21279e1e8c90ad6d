use std::collections::BTreeMap;

use super::HttpSettings;

/// Attributes that are shown if the configuration does not say which.
pub const DEFAULT_ATTRIBUTES: [&str; 9] = [
    "arn",
    "id",
    "labels",
    "location",
    "name",
    "region",
    "self_link",
    "tags",
    "zone",
];

/// The `terraform` source.
#[derive(Clone, Debug)]
pub struct TerraformSettings {
    /// `base_url` (its path ends with `/api/v2`), `auth`, `rate_limit`, `max_requests_per_second`; no resources.
    pub http: HttpSettings,
    /// `organization`.
    pub organization: String,
    /// `workspaces`: names, `*` stands for any characters; none: all.
    pub workspaces: Vec<String>,
    /// `tags` that a workspace must have, all of them: `name`, or `key:value`.
    pub tags: Vec<String>,
    /// `project`: name or id.
    pub project: Option<String>,
    /// `namespace` of the entities, default `default`.
    pub namespace: String,
    /// `owner` of the entities, default `unknown`.
    pub owner: String,
    /// `labels` of all entities.
    pub labels: BTreeMap<String, String>,
    /// `labels_from_tags`: keys of tags that become labels.
    pub tag_labels: Vec<String>,
    /// `attributes` that entities show, default [`DEFAULT_ATTRIBUTES`].
    pub attributes: Vec<String>,
    /// `outputs` that the entity of a workspace shows, default all.
    pub outputs: Vec<String>,
    /// `data_sources`, default false.
    pub data_sources: bool,
    /// `sensitive`: names of attributes and outputs that are never shown, besides those that sound secret.
    pub sensitive: Vec<String>,
    /// `accept_resets`: workspaces whose state is taken although it is empty, older, or of a new lineage.
    pub accept_resets: Vec<String>,
    /// `download_hosts` of states, besides that of `base_url` and HCP Terraform's own.
    pub download_hosts: Vec<String>,
    /// `max_state_bytes`, default 256 MiB.
    pub max_state_bytes: u64,
}
