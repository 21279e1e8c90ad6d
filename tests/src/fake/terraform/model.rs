use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

/// The secret in every state, which must never appear anywhere.
pub const SECRET: &str = "hunter2-s3cret";

/// An organization.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name.
    pub organization: String,
    /// The token that is good.
    pub token: String,
    /// By id.
    pub workspaces: BTreeMap<String, FakeWorkspace>,
    /// The most that a page of a list has.
    pub max_page_size: usize,
    /// One in this many addresses of a state has already expired when it is issued; 0: none.
    pub stale_every: u64,
    /// Whether documents of workspaces name their current state version.
    pub names_versions: bool,
    tickets: HashMap<String, String>,
    given: u64,
}

/// A workspace.
#[derive(Clone, Debug, Default)]
pub struct FakeWorkspace {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The token may no longer see it.
    pub hidden: bool,
    /// The token may no longer see its states.
    pub states_hidden: bool,
    /// Its newest state.
    pub state: Option<FakeState>,
}

/// A state.
#[derive(Clone, Debug)]
pub struct FakeState {
    /// Rises with every change.
    pub serial: u64,
    /// Made anew with a new state.
    pub lineage: String,
    /// The attribute `name` of resources `thing.KEY`.
    pub things: BTreeMap<String, String>,
    /// Members of a nested block of each thing, about 100 bytes each.
    pub block: u32,
    /// Its file, written once: what is changed later does not show.
    pub rendered: Option<String>,
}

impl FakeState {
    /// With these things, each with its own name as attribute.
    #[must_use]
    pub fn new(serial: u64, things: &[&str]) -> Self {
        Self {
            serial,
            lineage: "lineage-1".to_owned(),
            things: things
                .iter()
                .map(|thing| ((*thing).to_owned(), format!("{thing}-1")))
                .collect(),
            block: 0,
            rendered: None,
        }
    }

    /// As it is now, for good: a large one is not written anew for each request.
    #[must_use]
    pub fn rendered(self) -> Self {
        Self {
            rendered: Some(self.text()),
            ..self
        }
    }

    /// The state's file.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(text) = &self.rendered {
            return text.clone();
        }
        let resources: Vec<Value> = (self.things.iter())
            .map(|(key, name)| thing(key, name, self.block))
            .collect();
        json!({
            "version": 4, "terraform_version": "1.9.5", "serial": self.serial, "lineage": self.lineage,
            "outputs": {
                "endpoint": { "value": format!("https://{}.example", self.things.len()), "type": "string" },
                "admin": { "value": SECRET, "type": "string", "sensitive": true },
                "root_password": { "value": SECRET, "type": "string" },
            },
            "resources": resources, "check_results": null,
        })
        .to_string()
    }
}

fn thing(key: &str, name: &str, block: u32) -> Value {
    let rule = |number: u32| json!({ "priority": number, "action": "allow", "cidr": "10.0.0.0/8", "ports": [80, 443], "description": null });
    let rules: Vec<Value> = (0..block).map(rule).collect();
    let mut thing = json!({
        "mode": "managed", "type": "thing", "name": key, "provider": "provider[\"registry.terraform.io/acme/thing\"]",
        "instances": [{
            "schema_version": 0,
            "attributes": {
                "id": format!("id-{key}"), "name": name, "password": SECRET, "tags": { "api_token": SECRET, "team": "core" },
                "zone": SECRET,
            },
            "sensitive_attributes": [[{ "type": "get_attr", "value": "zone" }]],
            "private": "bnVsbA==",
        }],
    });
    if !rules.is_empty() {
        thing["instances"][0]["attributes"]["rules"] = json!(rules);
    }
    thing
}

impl Model {
    /// An organization `acme` without workspaces.
    #[must_use]
    pub fn new() -> Self {
        Self {
            organization: "acme".to_owned(),
            token: "tfc-token-0123456789".to_owned(),
            workspaces: BTreeMap::new(),
            max_page_size: 100,
            stale_every: 0,
            names_versions: true,
            tickets: HashMap::new(),
            given: 0,
        }
    }

    /// With a workspace, whose id follows its name.
    #[must_use]
    pub fn with(mut self, name: &str, state: Option<FakeState>) -> Self {
        let id = format!("ws-{name}");
        let workspace = FakeWorkspace {
            id: id.clone(),
            name: name.to_owned(),
            tags: vec!["team:core".to_owned()],
            state,
            ..FakeWorkspace::default()
        };
        self.workspaces.insert(id, workspace);
        self
    }

    /// The workspace `ws-NAME`; made anew if there is none.
    pub fn workspace(&mut self, name: &str) -> &mut FakeWorkspace {
        self.workspaces.entry(format!("ws-{name}")).or_default()
    }

    /// Changes the newest state of a workspace, whose serial rises.
    pub fn apply(&mut self, name: &str, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        if let Some(state) = &mut self.workspace(name).state {
            state.serial += 1;
            change(&mut state.things);
        }
    }

    /// What the catalog must show: the serial of each workspace, and the name of each of its things.
    #[must_use]
    pub fn expected(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for workspace in self.workspaces.values().filter(|it| !it.hidden) {
            let serial = workspace.state.as_ref().map(|state| state.serial.to_string());
            all.insert(workspace.name.clone(), serial.unwrap_or_default());
            for (key, name) in workspace.state.iter().flat_map(|state| &state.things) {
                all.insert(format!("{} thing.{key}", workspace.name), name.clone());
            }
        }
        all
    }

    /// All tickets for downloads that were given out.
    #[must_use]
    pub fn tickets(&self) -> BTreeSet<String> {
        self.tickets.keys().cloned().collect()
    }

    pub(super) fn shown(&self, id: &str) -> Option<&FakeWorkspace> {
        self.workspaces.get(id).filter(|workspace| !workspace.hidden)
    }

    pub(super) fn document(&self, workspace: &FakeWorkspace) -> Value {
        let mut relationships = json!({
            "organization": { "data": { "id": self.organization, "type": "organizations" } },
            "project": { "data": { "id": "prj-1", "type": "projects" } },
        });
        if self.names_versions && !workspace.states_hidden {
            let data = version_id(workspace).map(|id| json!({ "id": id, "type": "state-versions" }));
            relationships["current-state-version"] = json!({ "data": data });
        }
        json!({
            "id": workspace.id, "type": "workspaces",
            "attributes": {
                "name": workspace.name, "description": null, "tag-names": workspace.tags, "execution-mode": "remote",
                "locked": true, "terraform-version": "1.9.5", "working-directory": null, "vcs-repo": null,
            },
            "relationships": relationships,
        })
    }

    pub(super) fn state_version(&mut self, id: &str, base: &str, archive: &str) -> Option<Value> {
        let workspace = self.shown(id).filter(|workspace| !workspace.states_hidden)?;
        let (version, state) = (version_id(workspace)?, workspace.state.clone()?);
        let text = state.text();
        self.given += 1;
        let ticket = format!("dmF1bHQ6djE6{:016x}{}", rand::random::<u64>(), self.given);
        if self.stale_every == 0 || !self.given.is_multiple_of(self.stale_every) {
            self.tickets.insert(ticket.clone(), text.clone());
        }
        let address = format!("{base}{archive}{ticket}");
        Some(json!({
            "id": version, "type": "state-versions",
            "attributes": {
                "created-at": "2026-01-01T00:00:00Z", "size": text.len(), "serial": state.serial, "state-version": 4,
                "hosted-state-download-url": address, "hosted-json-state-download-url": address,
                "status": "finalized", "resources-processed": false, "terraform-version": "1.9.5",
            },
            "relationships": { "workspace": { "data": { "id": id, "type": "workspaces" } } },
        }))
    }

    /// The state that a ticket is for.
    pub(super) fn redeem(&self, ticket: &str) -> Option<String> {
        self.tickets.get(ticket).cloned()
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

/// Another state, another version.
fn version_id(workspace: &FakeWorkspace) -> Option<String> {
    let state = workspace.state.as_ref()?;
    let all: String = state
        .things
        .iter()
        .map(|(key, name)| format!("{key}={name};"))
        .collect();
    let hash = all
        .bytes()
        .fold(5_381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
    Some(format!(
        "sv-{}-{}-{}-{hash:x}",
        workspace.name, state.lineage, state.serial
    ))
}
