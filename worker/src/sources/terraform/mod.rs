//! The `terraform` source: the workspaces of an organization of HCP Terraform or Terraform Enterprise, and what their
//! states hold. Its root partition is the list of workspaces; each workspace is a child partition of one page: its
//! newest state, so that a workspace is written as one serial of its state or not at all.
//!
//! A workspace whose state version is the remembered one costs no request at all. A state that must not take the place
//! of what the catalog has (`accept.rs`) is reported, and the workspace keeps its entities. Nothing that Terraform
//! marks as sensitive, or that sounds so, leaves `state.rs`.

mod accept;
mod catalog;
mod chunks;
mod glob;
mod name;
mod requests;
mod secret_texts;
mod select;
mod sensitive;
mod state;
mod workspace;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tideline_config::settings::{SourceSettings, TerraformSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::RemovalGuard;
use tideline_core::words::{ChildPartition, EntityRef, Fingerprint, MalformedItem, Validators};
use tideline_store::{CatalogStore, EntityFilter, StoreError};

use self::accept::{Held, Known, objection};
use self::catalog::Form;
use self::glob::Globs;
use self::name::workspace_name;
use self::requests::{Requests, StateRead};
use self::select::Selection;
use self::workspace::{Listed, Workspace};
use super::http::Observer;
use crate::source::{ErrorClass, Item, Page, PageContent, PageRequest, Source, SourceError};

/// What args and rules call a workspace's partition.
const WORKSPACE: &str = "workspace";

/// Resources that the catalog is asked for at a time.
const AT_A_TIME: usize = 1_000;

/// The `terraform` source.
pub(super) struct TerraformSource {
    name: String,
    requests: Requests,
    selection: Selection,
    form: Arc<Form>,
    /// Workspaces whose state is taken as it is.
    accepted: Globs,
    guard: RemovalGuard,
    /// What a page is made with, besides the answers.
    salt: String,
    catalog: OnceLock<Arc<dyn CatalogStore>>,
}

/// What the list of workspaces hands to the partition of one. An event knows only the id.
#[derive(Serialize, Deserialize)]
struct Args {
    resource: String,
    workspace: Workspace,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_version: Option<String>,
}

impl TerraformSource {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Keys whose values cannot be used.
    pub(super) fn new(
        source: &SourceSettings,
        settings: &TerraformSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<(String, String)>> {
        let requests = Requests::new(settings, source.page_timeout, clock)?;
        let form = Form {
            namespace: settings.namespace.clone(),
            owner: settings.owner.clone(),
            organization: settings.organization.clone(),
            web: requests.web(&settings.organization),
            labels: settings.labels.clone(),
            tag_labels: Globs::new(&settings.tag_labels),
            data_sources: settings.data_sources,
            wanted: state::Wanted {
                attributes: Globs::new(&settings.attributes),
                outputs: Globs::new(&settings.outputs),
                denied: Globs::new(&settings.sensitive),
            },
        };
        Ok(Self {
            name: source.name.clone(),
            requests,
            selection: Selection::new(settings),
            salt: format!("{form:?} {:?}", source.volatile),
            form: Arc::new(form),
            accepted: Globs::new(&settings.accept_resets),
            guard: source.guard,
            catalog: OnceLock::new(),
        })
    }

    /// Shows every exchange with the API to `observer`, without credentials and addresses of states.
    pub(super) fn observed(mut self, observer: Observer) -> Self {
        self.requests.observe(observer);
        self
    }

    /// A page of the list of workspaces: nothing but partitions.
    async fn list(&self, cursor: Option<&Value>) -> Result<Page, SourceError> {
        let number = match cursor {
            None => 1,
            Some(cursor) => page_of(cursor)?,
        };
        let (list, hold) = self.requests.list(&self.selection, number).await?;
        let next = list
            .next()
            .map_err(|why| permanent(format!("the list of workspaces: {why}")))?;
        if next.is_some_and(|next| next <= number) {
            return Err(permanent(format!(
                "the list of workspaces: page {number} says that page {next:?} follows it"
            )));
        }
        let selected = list
            .into_workspaces()
            .into_iter()
            .filter(|listed| self.selection.takes(&listed.workspace));
        let children = selected.map(|listed| self.child(listed)).collect::<Result<_, _>>()?;
        Ok(Page {
            content: PageContent::Items(Vec::new()),
            next: next.map(|page| json!({ "page": page })),
            children,
            validators: Validators::default(),
            hold,
            failure: None,
        })
    }

    fn child(&self, listed: Listed) -> Result<ChildPartition, SourceError> {
        let key = key(&listed.workspace.id).filter(|_| !listed.workspace.name.is_empty());
        let key = key.ok_or_else(|| permanent("the list of workspaces has one without an id or a name".to_owned()))?;
        let args = Args {
            resource: WORKSPACE.to_owned(),
            workspace: listed.workspace,
            state_version: listed.state_version,
        };
        let args = serde_json::to_value(args).map_err(|error| permanent(error.to_string()))?;
        Ok(ChildPartition { key, args })
    }

    /// The only page of a workspace.
    async fn workspace(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let args: Args = serde_json::from_value(request.args.clone())
            .map_err(|error| permanent(format!("partition {}: its args: {error}", request.partition)))?;
        let workspace = if args.workspace.name.is_empty() {
            match self.requests.workspace(&args.workspace.id, &self.selection).await? {
                Some(listed) if self.is_ours(&listed) => listed.workspace,
                // Another organization's, not selected, gone, or not shown: the list of workspaces will tell.
                _ => return Ok(page(Vec::new(), Validators::default())),
            }
        } else {
            args.workspace
        };
        let print = self.print(&workspace);
        let remembered = request.memory.map(|memory| &memory.validators);
        let remembered = remembered.filter(|validators| validators.request == Some(print));
        let is_remembered =
            |version: &str| remembered.is_some_and(|validators| validators.etag.as_deref() == Some(version));
        if args.state_version.as_deref().is_some_and(is_remembered) {
            return Ok(unchanged(remembered));
        }
        let Some(version) = self.requests.state_version(&workspace).await? else {
            return self.without_state(&workspace, request.memory.is_some()).await;
        };
        if is_remembered(version.id()) {
            return Ok(unchanged(remembered));
        }
        let validators = Validators {
            request: Some(print),
            etag: Some(version.id().to_owned()),
            ..Validators::default()
        };
        let read = self.requests.state(&workspace, version, &self.form).await?;
        let known = self.known(&workspace, request.memory.is_some()).await?;
        let items = match self.objection(&workspace, known.as_ref(), &read).await? {
            None => read.items,
            Some(why) => vec![self.held(&workspace, &why)],
        };
        Ok(page(items, validators))
    }

    async fn objection(
        &self,
        workspace: &Workspace,
        known: Option<&Known>,
        read: &StateRead,
    ) -> Result<Option<String>, SourceError> {
        if self.accepted.matches(&workspace.name) {
            return Ok(None);
        }
        let is_reset = known.is_some_and(|known| !known.is_continued_by(&read.header));
        let held = Held {
            resources: read.resources,
            kept: match is_reset {
                true => self.kept(&read.items).await?,
                false => read.resources,
            },
        };
        Ok(objection(known, &read.header, held, self.guard))
    }

    /// How many of the resources the catalog has already.
    async fn kept(&self, items: &[Item]) -> Result<u64, SourceError> {
        let Some(catalog) = self.catalog.get() else {
            return Ok(0);
        };
        let resources: Vec<EntityRef> = items
            .iter()
            .filter_map(|item| match item {
                Item::Entity { reference, .. } if reference.kind() == "resource" => Some(reference.clone()),
                _ => None,
            })
            .collect();
        let mut kept = 0;
        for some in resources.chunks(AT_A_TIME) {
            let found = catalog.find_entities(some).await.map_err(silent)?;
            kept += found.iter().filter(|entity| entity.source == self.name).count() as u64;
        }
        Ok(kept)
    }

    /// A workspace that shows no state: it has none yet, or the token may no longer see it. An API answers 404 to both.
    async fn without_state(&self, workspace: &Workspace, was_read: bool) -> Result<Page, SourceError> {
        let known = self.known(workspace, was_read).await?;
        let item = match known.filter(|_| !self.accepted.matches(&workspace.name)) {
            None => catalog::Catalog::new(&self.form, workspace).into_items(None),
            Some(known) => {
                let why = format!(
                    "its state returns 404, but serial {} was read before: does the token lack permission to read \
                     states?",
                    known.serial
                );
                vec![self.held(workspace, &why)]
            }
        };
        Ok(page(item, Validators::default()))
    }

    /// An item without a name: its partition keeps what it owns, and people see why.
    fn held(&self, workspace: &Workspace, why: &str) -> Item {
        Item::Malformed(MalformedItem {
            reference: None,
            error: format!(
                "workspace {}: {why}; its entities stay as they are (if this is intended, add it to accept_resets)",
                workspace.name
            ),
            sample: String::new(),
        })
    }

    /// What the catalog has of the workspace's state. One that was read before may have had another name then.
    async fn known(&self, workspace: &Workspace, was_read: bool) -> Result<Option<Known>, SourceError> {
        let Some(catalog) = self.catalog.get() else {
            return Ok(None);
        };
        let name = workspace_name(&workspace.id, &workspace.name);
        let reference = EntityRef::encode("System", &self.form.namespace, &name);
        let filter = EntityFilter {
            source: Some(self.name.clone()),
            kind: None,
            reference: Some(reference.map_err(|error| permanent(error.to_string()))?),
            after: None,
            limit: 1,
        };
        let found = catalog.list_entities(&filter).await.map_err(silent)?;
        let known = found.first().and_then(|entity| Known::of(&entity.body, &workspace.id));
        match known {
            None if was_read => self.known_by_id(&**catalog, &workspace.id).await,
            known => Ok(known),
        }
    }

    async fn known_by_id(&self, catalog: &dyn CatalogStore, id: &str) -> Result<Option<Known>, SourceError> {
        let mut filter = EntityFilter {
            source: Some(self.name.clone()),
            kind: Some("system".to_owned()),
            reference: None,
            after: None,
            limit: 1_000,
        };
        loop {
            let found = catalog.list_entities(&filter).await.map_err(silent)?;
            let known = found.iter().find_map(|entity| Known::of(&entity.body, id));
            let Some(last) = found.last().filter(|_| known.is_none()) else {
                return Ok(known);
            };
            filter.after = Some((last.source.clone(), last.reference.clone()));
        }
    }

    fn is_ours(&self, listed: &Listed) -> bool {
        let organization = listed.organization.as_deref();
        organization.is_none_or(|name| name.eq_ignore_ascii_case(&self.form.organization))
            && !listed.workspace.name.is_empty()
            && self.selection.takes(&listed.workspace)
    }

    /// Over all that a workspace's page is made of, except its state.
    fn print(&self, workspace: &Workspace) -> Fingerprint {
        let mut hasher = Sha256::new();
        let accepted = self.accepted.matches(&workspace.name);
        for part in [
            self.salt.as_str(),
            &format!("{workspace:?}"),
            if accepted { "accepted" } else { "" },
        ] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        Fingerprint(hasher.finalize().into())
    }
}

#[async_trait]
impl Source for TerraformSource {
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let read = match request.args.get("resource").and_then(Value::as_str) {
            None => self.list(request.cursor).await,
            Some(WORKSPACE) => self.workspace(request).await,
            Some(other) => Err(permanent(format!("a source of type terraform has no resource {other}"))),
        };
        read.map_err(|error| self.requests.redacted(error))
    }

    fn partition(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<ChildPartition> {
        let id = values.get(WORKSPACE).and_then(Value::as_str);
        match (resource, id) {
            (None | Some(WORKSPACE), Some(id)) => Some(ChildPartition {
                key: key(id)?,
                args: json!({ "resource": WORKSPACE, "workspace": { "id": id } }),
            }),
            (None, None) => Some(ChildPartition {
                key: String::new(),
                args: json!({}),
            }),
            _ => None,
        }
    }

    fn has_shared_limit(&self) -> bool {
        true
    }

    fn share(&self, workers: u32) {
        self.requests.share(workers);
    }

    fn attach(&self, catalog: Arc<dyn CatalogStore>) {
        // Who came first knows the same catalog.
        let _ = self.catalog.set(catalog);
    }
}

/// The key of a workspace's partition. An id of another form is none: it may come from an event.
fn key(id: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (!id.is_empty() && id.len() <= 100 && id.chars().all(legal)).then(|| format!("{WORKSPACE}/{id}"))
}

fn page_of(cursor: &Value) -> Result<u32, SourceError> {
    let page = cursor
        .get("page")
        .and_then(Value::as_u64)
        .and_then(|page| u32::try_from(page).ok());
    page.ok_or_else(|| SourceError::new(ErrorClass::CursorExpired, "the cursor is of another release"))
}

fn page(items: Vec<Item>, validators: Validators) -> Page {
    Page {
        content: PageContent::Items(items),
        next: None,
        children: Vec::new(),
        validators,
        hold: None,
        failure: None,
    }
}

fn unchanged(remembered: Option<&Validators>) -> Page {
    Page {
        content: PageContent::Unchanged,
        ..page(Vec::new(), remembered.cloned().unwrap_or_default())
    }
}

/// The catalog cannot be asked.
fn silent(error: StoreError) -> SourceError {
    SourceError {
        class: ErrorClass::Transient { retry_after: None },
        message: "the catalog does not say what it has of the workspace".to_owned(),
        source: Some(Box::new(error)),
    }
}

fn permanent(message: String) -> SourceError {
    SourceError::new(ErrorClass::Permanent, message)
}
