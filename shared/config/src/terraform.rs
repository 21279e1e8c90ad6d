//! The `terraform` source, and what events make it read again if the configuration does not say.

use std::collections::BTreeMap;

use serde_json::Value;
use tideline_core::words::Secret;
use url::Url;

use super::auth::read_auth;
use super::http::{host, read_rate_limit};
use super::reader::Section;
use super::settings::{Auth, DEFAULT_ATTRIBUTES, HttpSettings, NextUrls, RefreshRule, RefreshScope, TerraformSettings};

/// HCP Terraform.
const BASE_URL: &str = "https://app.terraform.io";
/// What the path of the API ends with.
const API_PATH: &str = "api/v2";
/// HCP Terraform lets a token send 30 requests a second; other programs may use it too.
const REQUESTS_PER_SECOND: f64 = 20.0;
/// When a cycle looks for what no notification told of.
pub(super) const SCHEDULE: &str = "0 */6 * * *";
/// When a source is checked for drift: midway between two cycles, which would just have repaired it.
pub(super) const CHECK_SCHEDULE: &str = "0 3,15 * * *";
/// Resource name of a workspace's partition, in rules.
const WORKSPACE: &str = "workspace";

/// Final runs that may have written a state: Terraform stores what was made before an apply failed or was stopped. What else a
/// run may be called, now or later, is no reason to look.
const FINAL_RUN: &str = "([.body.notifications[]? | .run_status? | strings] | any(. == \"applied\" or . == \"errored\" or . == \
                         \"canceled\" or . == \"force_canceled\"))";
/// A health assessment looked for drift.
const ASSESSMENT: &str = "(.body.trigger_scope == \"assessment\")";
/// The id of the workspace, in payloads of version 1 and 2.
const WORKSPACE_ID: &str = "(.body.workspace_id // .body.details.workspace_id?)";

pub(super) fn read_terraform(source: &Section<'_>) -> Option<TerraformSettings> {
    let organization = read_organization(source);
    let doc = "Names of the workspaces to read; `*` matches any characters.";
    let workspaces = source.text_or_texts("workspaces", "all that the token may see", 1_000, doc);
    let doc = "Only workspaces that have all of these tags: `name`, or `key:value` for a tag with a value.";
    let tags = source.text_or_texts("tags", "[]", 100, doc);
    let doc = "Only workspaces of this project: its name, or its id (`prj-…`).";
    let project = source.optional_text("project", "any", doc);
    let namespace = source.optional_text("namespace", "default", "Namespace of the entities.");
    let owner = source.optional_text("owner", "unknown", "`spec.owner` of the entities.");
    let doc = "Labels of all entities, such as `tenant: acme`.";
    let labels = source.text_map("labels", "mapping of texts", doc);
    check_labels(source, &labels);
    let doc = "Keys of a workspace's `key:value` tags that become labels of its entities; `*` matches any characters.";
    let tag_labels = source.text_or_texts("labels_from_tags", "[]", 100, doc);
    let (attributes, outputs) = read_shown(source);
    let doc = "Names of attributes and outputs that are never shown, besides those that suggest a secret; `*` matches \
               any characters.";
    let sensitive = source.text_or_texts("sensitive", "[]", 1_000, doc);
    let data_sources = source.flag("data_sources", false, "Also create entities for data sources.");
    let doc = "Workspaces whose state is accepted even if it no longer has any resources, has an older serial, or has \
               a new lineage with far fewer resources. Other workspaces then keep their entities.";
    let accept_resets = source.text_or_texts("accept_resets", "[]", 1_000, doc);
    let doc = "Hosts (`name` or `name:port`) from which states may be downloaded, besides the host of `base_url` and \
               `archivist.terraform.io` of HCP Terraform. No credentials are sent there.";
    let download_hosts = source.parsed_texts("download_hosts", "list of hosts", 100, doc, &host);
    let doc = "Maximum size of a state. A larger one is an error.";
    let max_state_bytes = source.size("max_state_bytes", 256 << 20, 1 << 10..=1 << 34, doc);
    let http = read_api(source)?;
    Some(TerraformSettings {
        http,
        organization: organization?,
        workspaces,
        tags,
        project,
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
        owner: owner.unwrap_or_else(|| "unknown".to_owned()),
        labels,
        tag_labels,
        attributes,
        outputs,
        data_sources,
        sensitive,
        accept_resets,
        download_hosts,
        max_state_bytes,
    })
}

fn read_organization(source: &Section<'_>) -> Option<String> {
    let doc = "Organization, as in URLs.";
    source.required_parsed("organization", "text", "letters, digits, `-`, `_`", doc, &|text| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (!text.is_empty() && text.len() <= 100 && text.chars().all(legal))
            .then(|| text.to_owned())
            .ok_or_else(|| "must be letters, digits, `-` or `_`".to_owned())
    })
}

/// The attributes and the outputs that are shown.
fn read_shown(source: &Section<'_>) -> (Vec<String>, Vec<String>) {
    let doc = "Attributes that entities show; `*` matches any characters. Never shown: what Terraform marks as sensitive, names \
               that suggest a secret, and names listed in `sensitive`.";
    let default = format!("[{}]", DEFAULT_ATTRIBUTES.join(", "));
    let attributes = source.text_or_texts("attributes", &default, 1_000, doc);
    let doc = "Outputs that the entity of a workspace shows as annotations; `*` matches any characters. `[]` for none.";
    let outputs = source.text_or_texts("outputs", "all that are not sensitive", 1_000, doc);
    let or = |key: &str, given: Vec<String>, default: &[&str]| {
        if source.has(key) {
            given
        } else {
            default.iter().map(|text| (*text).to_owned()).collect()
        }
    };
    (
        or("attributes", attributes, &DEFAULT_ATTRIBUTES),
        or("outputs", outputs, &["*"]),
    )
}

fn read_api(source: &Section<'_>) -> Option<HttpSettings> {
    let doc = "HCP Terraform, or the address of Terraform Enterprise (https://terraform.example.com).";
    let base_url = source.parsed("base_url", "URL", BASE_URL, doc, &|text| {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
        url.ok_or_else(|| "must be an http or https URL without user name, query and fragment".to_owned())
    });
    let base_url = base_url.or_else(|| Url::parse(BASE_URL).ok()).map(api_url)?;
    let doc = "Authentication: usually `bearer`, with a team or user token.";
    let auth = source.optional_section("auth", doc, read_auth);
    if auth.is_none() && !source.is_describing() {
        source.fail("auth", "is missing; write auth: { bearer: \"${TFC_TOKEN}\" }");
    }
    let doc = "Maximum requests per second from the whole fleet: each worker process sends its share. `none` for no \
               limit. HCP Terraform allows 30 per token, so sources that share a token must divide them. After a 429 \
               response, the whole fleet waits.";
    let per_second = source.optional_number(
        "max_requests_per_second",
        Some(REQUESTS_PER_SECOND),
        0.01..=10_000.0,
        doc,
    );
    let json_api = [("Accept".to_owned(), Secret::new("application/vnd.api+json".to_owned()))];
    Some(HttpSettings {
        base_url,
        headers: BTreeMap::from(json_api),
        auth: auth.unwrap_or(Auth::None),
        max_body_bytes: 32 << 20,
        cursor_expired: Vec::new(),
        rate_limit: source.section(
            "rate_limit",
            "Headers that announce the API's rate limits.",
            read_rate_limit,
        ),
        max_requests_per_second: per_second,
        next_urls: NextUrls::default(),
        conditional: false,
        resources: Vec::new(),
        variables: Vec::new(),
        definitions: None,
        alternatives: Vec::new(),
        download_hosts: Vec::new(),
    })
}

/// The address of the API, whether or not the configuration has its path.
fn api_url(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with(API_PATH) {
        url.set_path(&path);
    } else {
        url.set_path(&format!("{path}/{API_PATH}"));
    }
    url
}

/// Backstage, "Descriptor Format of Catalog Entities", labels.
fn check_labels(source: &Section<'_>, labels: &BTreeMap<String, String>) {
    let is_word = |text: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 63 && text.chars().all(legal) && ends(text.chars().next()) && ends(text.chars().last())
    };
    for (name, value) in labels {
        let key = name.rsplit_once('/').map_or(name.as_str(), |(_, key)| key);
        if !is_word(key) || !is_word(value) {
            let why = "must have names and values of at most 63 letters, digits, `-`, `_` or `.`";
            source.fail("labels", format!("{why}, but has {name}"));
        }
    }
}

/// What events make a source read again unless it has an `on` of its own: a final run or an assessment, its workspace; a
/// workspace that is gone, the list of them. Other triggers are kept as events, and nothing follows from them.
pub(super) fn default_rules(organization: &str) -> Vec<RefreshRule> {
    let organization = Value::from(organization.to_ascii_lowercase());
    // Whatever the hook is called, and whatever else has such a topic.
    let ours = format!(
        "((.body | objects | (.organization_name // (.details | objects | .organization_name)) | strings | ascii_downcase) \
         == {organization})"
    );
    let workspace = RefreshRule {
        topics: ["*.run.*", "*.assessment.*"].map(str::to_owned).to_vec(),
        when: Some(format!(
            "{ours} and ({WORKSPACE_ID} | strings | length > 0) and ({FINAL_RUN} or {ASSESSMENT})"
        )),
        refresh: RefreshScope::Partition,
        resource: Some(WORKSPACE.to_owned()),
        each: None,
        values: BTreeMap::from([(WORKSPACE.to_owned(), WORKSPACE_ID.to_owned())]),
        removed: None,
        look_again: None,
        only_known: false,
        deep: false,
        fetch: None,
    };
    let list = RefreshRule {
        topics: vec!["*.workspace.deleted".to_owned()],
        when: Some(ours),
        refresh: RefreshScope::Source,
        resource: None,
        each: None,
        values: BTreeMap::new(),
        removed: None,
        look_again: None,
        only_known: false,
        deep: false,
        fetch: None,
    };
    vec![workspace, list]
}

#[cfg(test)]
#[path = "terraform_tests.rs"]
mod tests;
