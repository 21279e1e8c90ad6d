//! What a workspace and the instances in its state become in the catalog.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use tideline_core::words::{EntityRef, MalformedItem};

use super::glob::Globs;
use super::name::{resource_name, slug, workspace_name};
use super::sensitive::holds_secrets;
use super::state::{Header, Instance, Resource, Sink, Wanted};
use super::workspace::Workspace;
use crate::source::Item;

/// What an entity depends on at most; of a longer list the rest is counted in an annotation.
const MAX_DEPENDENCIES: usize = 100;
/// The longest text of an annotation that shows an output, in bytes.
const MAX_OUTPUT_BYTES: usize = 1_000;
/// The longest value of a label. Source: Backstage, "Descriptor Format of Catalog Entities", labels.
const MAX_LABEL: usize = 63;

/// How the configuration wants them.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    pub(super) namespace: String,
    pub(super) owner: String,
    pub(super) organization: String,
    /// What pages of the organization begin with, such as `https://app.terraform.io/app/acme`.
    pub(super) web: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Tags `key:value` or `key=value` (or tags with a value) that become labels.
    pub(super) tag_labels: Globs,
    pub(super) data_sources: bool,
    pub(super) wanted: Wanted,
}

/// The entities of one workspace, while its state is read.
pub(super) struct Catalog<'f> {
    form: &'f Form,
    workspace: &'f Workspace,
    outputs: BTreeMap<String, String>,
    drafts: Vec<Draft>,
    /// Numbers of addresses, as configurations have them.
    addresses: HashMap<String, usize>,
    /// Drafts of an address, by its number.
    instances: Vec<Vec<usize>>,
    resources: u64,
}

/// An instance whose relations are not known yet.
struct Draft {
    name: String,
    module: String,
    /// JSON text up to the end of its `spec`, which is open.
    body: String,
    dependencies: Vec<usize>,
}

impl<'f> Catalog<'f> {
    pub(super) fn new(form: &'f Form, workspace: &'f Workspace) -> Self {
        Self {
            form,
            workspace,
            outputs: BTreeMap::new(),
            drafts: Vec::new(),
            addresses: HashMap::new(),
            instances: Vec::new(),
            resources: 0,
        }
    }

    /// Instances of managed resources so far.
    pub(super) fn resources(&self) -> u64 {
        self.resources
    }

    /// The workspace's entity, then those of its state. `state`: none if there is none yet.
    pub(super) fn into_items(self, state: Option<&Header>) -> Vec<Item> {
        let mut items = Vec::with_capacity(self.drafts.len() + 1);
        items.push(self.workspace_item(state));
        for place in 0..self.drafts.len() {
            items.push(self.resource_item(place));
        }
        items
    }

    fn workspace_item(&self, state: Option<&Header>) -> Item {
        let (form, workspace) = (self.form, self.workspace);
        let name = workspace_name(&workspace.id, &workspace.name);
        let mut annotations = self.annotations();
        let mut note = |key: &str, value: &str| {
            if !value.is_empty() {
                annotations.insert(format!("terraform.io/{key}"), Value::from(value));
            }
        };
        note("project-id", &workspace.project_id);
        note("execution-mode", &workspace.execution_mode);
        note("vcs-repository", &workspace.repository);
        note("working-directory", &workspace.working_directory);
        if let Some(state) = state {
            note("terraform-version", &state.terraform_version);
            note("serial", &state.serial.to_string());
            note("lineage", &state.lineage);
            note("resources", &self.resources.to_string());
        }
        for (output, value) in &self.outputs {
            annotations.insert(format!("output.terraform.io/{output}"), Value::from(value.as_str()));
        }
        let mut metadata = self.metadata(&name, &workspace.name, annotations);
        if !workspace.description.is_empty() {
            metadata.insert("description".into(), Value::from(workspace.description.as_str()));
        }
        let tags: Vec<String> = workspace.tags.iter().filter_map(|tag| legal_tag(tag)).collect();
        if !tags.is_empty() {
            metadata.insert("tags".into(), json!(tags));
        }
        let body = json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "System",
            "metadata": metadata,
            "spec": { "owner": form.owner, "type": "terraform-workspace" },
        });
        entity("System", &form.namespace, &name, body.to_string())
    }

    fn resource_item(&self, place: usize) -> Item {
        let draft = &self.drafts[place];
        let mut found: Vec<usize> = Vec::new();
        for address in &draft.dependencies {
            let all = &self.instances[*address];
            // Within a module instance, what it refers to is its own.
            let own = |of: &&usize| self.drafts[**of].module == draft.module;
            let some_own = all.iter().any(|of| own(&of));
            let wanted = all.iter().filter(|of| !some_own || own(of));
            found.extend(wanted.filter(|of| **of != place));
        }
        found.sort_unstable();
        found.dedup();
        let references: Vec<String> = (found.iter().take(MAX_DEPENDENCIES))
            .map(|of| format!("resource:{}/{}", self.form.namespace, self.drafts[*of].name))
            .collect();
        let mut body = draft.body.clone();
        if !references.is_empty() {
            body.push_str(",\"dependsOn\":");
            body.push_str(&json!(references).to_string());
        }
        if found.len() > references.len() {
            body.push_str(&format!(",\"dependenciesLeftOut\":{}", found.len() - references.len()));
        }
        body.push_str("}}");
        entity("Resource", &self.form.namespace, &draft.name, body)
    }

    /// What all entities of the workspace have.
    fn annotations(&self) -> Map<String, Value> {
        let (form, workspace) = (self.form, self.workspace);
        let location = format!("url:{}/workspaces/{}", form.web, workspace.name);
        let mut annotations = Map::new();
        for (key, value) in [
            ("backstage.io/managed-by-location", location.as_str()),
            ("backstage.io/managed-by-origin-location", location.as_str()),
            ("terraform.io/organization", form.organization.as_str()),
            ("terraform.io/workspace", workspace.name.as_str()),
            ("terraform.io/workspace-id", workspace.id.as_str()),
        ] {
            annotations.insert(key.to_owned(), Value::from(value));
        }
        annotations
    }

    fn metadata(&self, name: &str, title: &str, annotations: Map<String, Value>) -> Map<String, Value> {
        let mut labels: BTreeMap<String, String> = self.form.labels.clone();
        for tag in &self.workspace.tags {
            if let Some((key, value)) = tag.split_once([':', '='])
                && self.form.tag_labels.matches(key)
                && let value = label(value)
                && !value.is_empty()
            {
                labels.insert(key.to_owned(), value);
            }
        }
        let mut metadata = Map::new();
        metadata.insert("name".into(), Value::from(name));
        metadata.insert("namespace".into(), Value::from(self.form.namespace.as_str()));
        metadata.insert("title".into(), Value::from(title));
        metadata.insert("annotations".into(), Value::Object(annotations));
        if !labels.is_empty() {
            metadata.insert("labels".into(), json!(labels));
        }
        metadata
    }

    fn draft(&mut self, resource: &Resource, instance: &Instance, short: &str, full: &str) -> Draft {
        let address = format!("{full}{}", instance.index);
        let name = resource_name(&self.workspace.id, short, &address);
        let mut annotations = self.annotations();
        let provider = provider(&resource.provider);
        for (key, value) in [
            ("address", address.as_str()),
            ("module", resource.module.as_str()),
            ("index", instance.index.trim_matches(['[', ']', '"'])),
            ("provider", provider.as_str()),
            ("status", if instance.is_tainted { "tainted" } else { "" }),
            ("mode", if resource.mode == "data" { "data" } else { "" }),
        ] {
            if !value.is_empty() {
                annotations.insert(format!("terraform.io/{key}"), Value::from(value));
            }
        }
        let metadata = self.metadata(&name, &address, annotations);
        let mut spec = json!({
            "type": resource.kind,
            "owner": self.form.owner,
            "system": format!("{}/{}", self.form.namespace, workspace_name(&self.workspace.id, &self.workspace.name)),
        })
        .to_string();
        // It stays open for what it depends on.
        spec.pop();
        if !instance.attributes.is_empty() && !holds_secrets(&resource.kind) {
            spec.push_str(",\"attributes\":");
            spec.push_str(&instance.attributes);
        }
        let metadata = Value::Object(metadata);
        let body = format!(
            "{{\"apiVersion\":\"backstage.io/v1alpha1\",\"kind\":\"Resource\",\"metadata\":{metadata},\"spec\":{spec}"
        );
        let dependencies = instance
            .dependencies
            .iter()
            .map(|address| number(&mut self.addresses, &mut self.instances, address));
        Draft {
            name,
            module: resource.module.clone(),
            body,
            dependencies: dependencies.collect(),
        }
    }
}

impl Sink for Catalog<'_> {
    fn output(&mut self, name: &str, value: Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text,
            value => value.to_string(),
        };
        let is_name = name.len() <= MAX_LABEL && slug(name, MAX_LABEL).len() == name.len();
        if is_name && text.len() <= MAX_OUTPUT_BYTES {
            self.outputs.insert(name.to_owned(), text);
        }
    }

    fn resource(&mut self, resource: &Resource, instances: Vec<Instance>) {
        let is_data = resource.mode == "data";
        if !(resource.mode == "managed" || (is_data && self.form.data_sources)) {
            return;
        }
        let data = if is_data { "data." } else { "" };
        let short = format!("{data}{}.{}", resource.kind, resource.name);
        let dot = if resource.module.is_empty() { "" } else { "." };
        let full = format!("{}{dot}{short}", resource.module);
        let configured = format!("{}{dot}{short}", without_indexes(&resource.module));
        let number = number(&mut self.addresses, &mut self.instances, &configured);
        for instance in instances.iter().filter(|instance| !instance.is_deposed) {
            self.resources += u64::from(!is_data);
            let draft = self.draft(resource, instance, &short, &full);
            self.instances[number].push(self.drafts.len());
            self.drafts.push(draft);
        }
    }
}

/// The number of an address.
fn number(addresses: &mut HashMap<String, usize>, instances: &mut Vec<Vec<usize>>, address: &str) -> usize {
    if let Some(number) = addresses.get(address) {
        return *number;
    }
    addresses.insert(address.to_owned(), instances.len());
    instances.push(Vec::new());
    instances.len() - 1
}

/// `module.a["x"].module.b[0]` is `module.a.module.b` in a configuration.
fn without_indexes(module: &str) -> String {
    let mut out = String::with_capacity(module.len());
    let (mut inside, mut quoted, mut escaped) = (false, false, false);
    for c in module.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if inside => quoted = !quoted,
            '[' if !quoted => inside = true,
            ']' if !quoted => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// `provider["registry.terraform.io/hashicorp/aws"].west` is `registry.terraform.io/hashicorp/aws.west`.
fn provider(text: &str) -> String {
    let inner = text
        .rsplit_once("provider[\"")
        .and_then(|(_, rest)| rest.split_once("\"]"));
    inner.map_or_else(|| text.to_owned(), |(name, alias)| format!("{name}{alias}"))
}

/// A text as a label's value.
fn label(text: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = text
        .trim()
        .chars()
        .map(|c| if legal(c) { c } else { '-' })
        .take(MAX_LABEL)
        .collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Backstage's tags: `[a-z0-9+#]` with `-` between, and `:` since 1.13.
fn legal_tag(tag: &str) -> Option<String> {
    let tag = tag.to_ascii_lowercase().replace([' ', '_', '.', '/', '='], "-");
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '#' | ':');
    let is_legal = !tag.is_empty()
        && tag.len() <= MAX_LABEL
        && tag.split('-').all(|part| !part.is_empty() && part.chars().all(legal));
    is_legal.then_some(tag)
}

fn entity(kind: &str, namespace: &str, name: &str, body: String) -> Item {
    match EntityRef::encode(kind, namespace, name) {
        Ok(reference) => Item::Entity { reference, body },
        Err(error) => Item::Malformed(MalformedItem {
            reference: None,
            error: error.to_string(),
            sample: String::new(),
        }),
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
