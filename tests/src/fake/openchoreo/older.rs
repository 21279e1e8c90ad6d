//! OpenChoreo's organization API, of releases before namespaces: an envelope around every answer, `continue` tokens
//! that expire with 410, and the endpoints of a service only in its details. There is no OpenAPI document of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::TOKEN;
use crate::fake::{FakeApi, FakeRequest, Reply};
use crate::hostile::Fault;

/// A component, as its details have it.
type Component = Value;
/// What a list makes of a component, by organization, project and name.
type Select<'a> = &'a dyn Fn(&(String, String, String), &Component) -> Option<Value>;

/// The API.
pub struct OlderOpenChoreo {
    /// Components by organization, project and name.
    components: Mutex<BTreeMap<(String, String, String), Component>>,
    expired: Mutex<HashSet<String>>,
    broken: Mutex<HashSet<String>>,
    tokens: AtomicU64,
}

impl OlderOpenChoreo {
    /// Organizations of two projects, with the given numbers of organizations and components.
    #[must_use]
    pub fn new(organizations: u32, components: u32) -> Self {
        let mut all = BTreeMap::new();
        for organization in 0..organizations {
            for project in 0..2 {
                for number in 0..components {
                    let name = format!("c{project}-{number:03}");
                    let key = (format!("org-{organization}"), format!("p{project}"), name.clone());
                    all.insert(key, component(&name, number));
                }
            }
        }
        Self {
            components: Mutex::new(all),
            expired: Mutex::default(),
            broken: Mutex::default(),
            tokens: AtomicU64::new(0),
        }
    }

    /// The details of components of this name cannot be read, or can again.
    pub fn set_broken(&self, component: &str, on: bool) {
        if on {
            self.broken.lock().insert(component.to_owned());
        } else {
            self.broken.lock().remove(component);
        }
    }

    /// References that a catalog must have, with the APIs that components provide.
    #[must_use]
    pub fn expected(&self) -> BTreeMap<String, Vec<String>> {
        let mut expected = BTreeMap::new();
        for ((organization, project, name), component) in &*self.components.lock() {
            expected.insert(format!("domain:default/{organization}"), vec![]);
            expected.insert(format!("system:{organization}/{project}"), vec![]);
            let endpoints = component["workload"]["endpoints"].as_object();
            let apis: Vec<String> = (endpoints.into_iter().flatten())
                .filter(|(_, endpoint)| endpoint["schema"]["content"].is_string())
                .map(|(endpoint, _)| format!("api:{organization}/{name}_{endpoint}"))
                .collect();
            for api in &apis {
                expected.insert(api.clone(), vec![]);
            }
            expected.insert(format!("component:{organization}/{name}"), apis);
        }
        expected
    }

    fn list(&self, items: Vec<Value>, request: &FakeRequest) -> Reply {
        let limit = request
            .parameter("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(50);
        let after = match request.parameter("continue") {
            None => None,
            Some(token) if self.expired.lock().contains(token) => {
                return failed(410, "The provided continue parameter is too old");
            }
            Some(token) => token.split_once('/').map(|(_, name)| name.to_owned()),
        };
        let behind = |item: &Value| after.as_deref().is_none_or(|after| item["name"].as_str() > Some(after));
        let mut rest: Vec<Value> = items.into_iter().filter(behind).collect();
        let more = rest.len() > limit;
        rest.truncate(limit);
        let token = rest.last().filter(|_| more).map_or_else(String::new, |last| {
            let number = self.tokens.fetch_add(1, Ordering::Relaxed);
            format!("{number}/{}", last["name"].as_str().unwrap_or_default())
        });
        let metadata = json!({ "resourceVersion": "7", "continue": token, "hasMore": more });
        success(&json!({ "items": rest, "metadata": metadata }))
    }

    fn one(&self, organization: &str, project: &str, name: &str) -> Reply {
        if self.broken.lock().contains(name) {
            return failed(403, "forbidden");
        }
        let key = (organization.to_owned(), project.to_owned(), name.to_owned());
        match self.components.lock().get(&key) {
            Some(component) => success(component),
            None => failed(404, "not found"),
        }
    }
}

fn component(name: &str, number: u32) -> Component {
    let kind = ["Service", "WebApplication", "ScheduledTask"][number as usize % 3];
    let mut component = json!({
        "name": name, "type": kind, "description": format!("number {number}"), "status": "Active",
        "createdAt": "2025-10-01T00:00:00Z", "repositoryUrl": format!("https://git.example/{name}"), "branch": "main",
    });
    if kind == "Service" {
        component["workload"] = json!({ "name": format!("{name}-workload"), "endpoints": {
            "rest": { "type": "REST", "port": 8080, "schema": { "content": "openapi: 3.0.0" } },
            "raw": { "type": "TCP", "port": 9000 },
        } });
    }
    component
}

fn success(data: &Value) -> Reply {
    Reply::json(200, &json!({ "success": true, "data": data }))
}

fn failed(status: u16, error: &str) -> Reply {
    Reply::json(status, &json!({ "success": false, "error": error }))
}

impl FakeApi for OlderOpenChoreo {
    fn answer(&self, request: &FakeRequest) -> Reply {
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return failed(401, "unauthorized");
        }
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let of = |select: Select<'_>| -> Vec<Value> {
            let mut found: BTreeMap<String, Value> = BTreeMap::new();
            for (key, component) in &*self.components.lock() {
                if let Some(item) = select(key, component) {
                    found.insert(item["name"].to_string(), item);
                }
            }
            found.into_values().collect()
        };
        match parts.as_slice() {
            ["api", "v1", "orgs"] => {
                let organizations = of(&|(organization, ..), _| {
                    Some(
                        json!({ "name": organization, "displayName": "", "namespace": organization, "createdAt": "2025-10-01T00:00:00Z", "status": "Ready" }),
                    )
                });
                self.list(organizations, request)
            }
            ["api", "v1", "orgs", organization, "projects"] => {
                let projects = of(&|(owner, project, _), _| {
                    (owner == organization)
                        .then(|| json!({ "name": project, "orgName": owner, "displayName": "P", "status": "Ready" }))
                });
                self.list(projects, request)
            }
            ["api", "v1", "orgs", organization, "projects", project, "components"] => {
                let components = of(&|(owner, within, _), component| {
                    let mut listed = component.clone();
                    listed.as_object_mut()?.remove("workload");
                    (owner == organization && within == project).then_some(listed)
                });
                self.list(components, request)
            }
            [
                "api",
                "v1",
                "orgs",
                organization,
                "projects",
                project,
                "components",
                name,
            ] => self.one(organization, project, name),
            _ => failed(404, "no such path"),
        }
    }

    fn fault(&self, fault: Fault, request: &FakeRequest) -> Option<Reply> {
        match fault {
            Fault::Internal => Some(failed(500, "internal error")),
            Fault::TooMany(seconds) => Some(failed(429, "slow down").with("retry-after", seconds.to_string())),
            Fault::Expired => {
                self.expired.lock().insert(request.parameter("continue")?.to_owned());
                Some(failed(410, "The provided continue parameter is too old"))
            }
            Fault::WrongJson | Fault::Cut | Fault::Moved => None,
        }
    }
}
