use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Kinds in a namespace: path, kind.
pub(super) const KINDS: [(&str, &str); 14] = [
    ("projects", "Project"),
    ("components", "Component"),
    ("workloads", "Workload"),
    ("resources", "Resource"),
    ("environments", "Environment"),
    ("dataplanes", "DataPlane"),
    ("workflowplanes", "WorkflowPlane"),
    ("observabilityplanes", "ObservabilityPlane"),
    ("deploymentpipelines", "DeploymentPipeline"),
    ("componenttypes", "ComponentType"),
    ("traits", "Trait"),
    ("workflows", "Workflow"),
    ("resourcetypes", "ResourceType"),
    ("projecttypes", "ProjectType"),
];

/// Cluster-wide kinds, without the prefix.
pub(super) const CLUSTER: [&str; 8] = [
    "dataplanes",
    "workflowplanes",
    "observabilityplanes",
    "componenttypes",
    "traits",
    "workflows",
    "resourcetypes",
    "projecttypes",
];

/// How much there is at the start.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Namespaces.
    pub namespaces: u32,
    /// Components in each of them; there is a workload for each and a project for ten of them.
    pub components: u32,
    /// Objects of every other kind in each of them, and of each cluster-wide kind.
    pub others: u32,
}

/// What the API's document demands of types.
fn type_spec(path: &str) -> Value {
    let resources = json!([{ "id": "one", "template": { "kind": "ConfigMap" } }]);
    match path {
        "componenttypes" => json!({ "workloadType": "deployment", "resources": resources }),
        "workflows" => json!({ "runTemplate": { "kind": "Workflow" } }),
        "resourcetypes" | "projecttypes" => json!({ "resources": resources }),
        _ => json!({}),
    }
}

type Objects = BTreeMap<String, Value>;

/// What the control plane has.
#[derive(Debug)]
pub struct Model {
    random: StdRng,
    made: u64,
    namespaces: BTreeMap<String, (Value, BTreeMap<&'static str, Objects>)>,
    cluster: BTreeMap<&'static str, Objects>,
    forbidden: BTreeSet<String>,
}

impl Model {
    pub(super) fn new(seed: u64, size: Size) -> Self {
        let mut model = Self {
            random: StdRng::seed_from_u64(seed),
            made: 0,
            namespaces: BTreeMap::new(),
            cluster: BTreeMap::new(),
            forbidden: BTreeSet::new(),
        };
        for number in 0..size.namespaces {
            model.add_namespace(&format!("ns-{number}"), size);
        }
        for kind in CLUSTER {
            // Every namespace may have the same names.
            let objects = (0..size.others).map(|number| {
                let name = format!("{kind}-{number}");
                (
                    name.clone(),
                    json!({ "metadata": { "name": name, "uid": format!("cluster-{kind}-{number}") }, "spec": type_spec(kind) }),
                )
            });
            model.cluster.insert(kind, objects.collect());
        }
        model
    }

    fn add_namespace(&mut self, name: &str, size: Size) {
        let namespace = json!({
            "metadata": {
                "name": name,
                "uid": format!("uid-{name}"),
                "labels": { "openchoreo.dev/control-plane": "true" },
                "annotations": { "openchoreo.dev/display-name": format!("Namespace {name}") },
                "creationTimestamp": "2026-01-06T10:00:00Z",
            },
            "status": { "phase": "Active" },
        });
        self.namespaces.insert(name.to_owned(), (namespace, BTreeMap::new()));
        for (path, _) in KINDS {
            let count = match path {
                "projects" => size.components.div_ceil(10),
                "components" | "workloads" => size.components,
                _ => size.others,
            };
            for number in 0..count {
                self.put(name, path, &format!("{path}-{number:03}"));
            }
            self.namespaces.entry(name.to_owned()).and_modify(|(_, kinds)| {
                kinds.entry(path).or_default();
            });
        }
    }

    /// Makes an object, or another version of it.
    pub fn put(&mut self, namespace: &str, path: &'static str, name: &str) {
        self.made += 1;
        let spec = self.spec(path, name);
        let kind = KINDS
            .iter()
            .find(|(other, _)| *other == path)
            .map_or("", |(_, kind)| kind);
        let mut annotations = json!({ "openchoreo.dev/description": format!("version {}", self.made) });
        if self.random.random_bool(0.3) {
            annotations["backstage.io/owner"] = json!(format!("group:default/team-{}", self.made % 5));
        }
        let ready = if self.random.random_bool(0.8) { "True" } else { "False" };
        let object = json!({
            "apiVersion": "openchoreo.dev/v1alpha1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": format!("uid-{namespace}-{path}-{name}"),
                "annotations": annotations,
                "creationTimestamp": "2026-02-03T04:05:06Z",
            },
            "spec": spec,
            "status": { "conditions": [{
                "type": "Ready",
                "status": ready,
                "reason": "Reconciled",
                "lastTransitionTime": "2026-02-03T04:05:06Z",
            }] },
        });
        if let Some((_, kinds)) = self.namespaces.get_mut(namespace) {
            kinds.entry(path).or_default().insert(name.to_owned(), object);
        }
    }

    fn spec(&mut self, path: &str, name: &str) -> Value {
        let number: u32 = name
            .rsplit('-')
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0);
        let project = format!("projects-{:03}", number / 10);
        match path {
            "projects" => json!({ "deploymentPipelineRef": { "name": "default" }, "type": { "name": "default" } }),
            "components" => {
                let types = ["deployment/service", "deployment/web-application", "cronjob/nightly"];
                json!({
                    "owner": { "projectName": project },
                    "componentType": { "kind": "ComponentType", "name": types[number as usize % 3] },
                    "workflow": { "name": "docker", "parameters": { "repository": {
                        "url": format!("https://git.example/{name}.git"),
                        "revision": { "branch": "main" },
                    } } },
                })
            }
            "workloads" => {
                let types = ["HTTP", "gRPC", "GraphQL", "Websocket", "TCP"];
                let mut endpoints = json!({});
                for endpoint in 0..self.random.random_range(0..3_usize) {
                    endpoints[format!("e{endpoint}")] = json!({
                        "type": types[(number as usize + endpoint) % 5],
                        "port": 8080 + endpoint,
                        "visibility": ["namespace", "external"],
                        "schema": { "type": "openapi", "content": format!("openapi: 3.0.0 # {}", self.made) },
                    });
                }
                endpoints["plain"] = json!({ "type": "TCP", "port": 9000 });
                let owner = json!({ "projectName": project, "componentName": name.replace("workloads", "components") });
                json!({ "owner": owner, "endpoints": endpoints })
            }
            "resources" => json!({ "owner": { "projectName": project }, "type": { "name": "mysql" } }),
            "environments" => {
                json!({ "dataPlaneRef": { "kind": "DataPlane", "name": "default" }, "isProduction": number == 0 })
            }
            "deploymentpipelines" => json!({ "promotionPaths": [] }),
            path => type_spec(path),
        }
    }

    /// Deletes an object.
    pub fn remove(&mut self, namespace: &str, path: &str, name: &str) {
        if let Some((_, kinds)) = self.namespaces.get_mut(namespace)
            && let Some(objects) = kinds.get_mut(path)
        {
            objects.remove(name);
        }
    }

    /// Some objects change, come and go; now and then a namespace.
    pub fn change(&mut self) {
        let names: Vec<String> = self.namespaces.keys().cloned().collect();
        for namespace in &names {
            let (path, _) = KINDS[self.random.random_range(0..KINDS.len())];
            let objects = self.list(namespace, path).unwrap_or_default();
            let number = self.random.random_range(0..objects.len().max(1));
            let name = objects
                .get(number)
                .and_then(|object| object["metadata"]["name"].as_str());
            match (self.random.random_range(0..3), name) {
                (0, Some(name)) => self.put(namespace, path, name),
                (1, Some(name)) => self.remove(namespace, path, name),
                _ => {
                    let fresh = 100 + self.made;
                    self.put(namespace, path, &format!("{path}-{fresh}"));
                }
            }
        }
        let size = Size {
            namespaces: 0,
            components: 5,
            others: 1,
        };
        if self.random.random_bool(0.3) {
            let fresh = format!("ns-{}", 1_000 + self.made);
            self.add_namespace(&fresh, size);
        }
        if names.len() > 3 && self.random.random_bool(0.1) {
            self.namespaces.remove(&names[self.random.random_range(0..names.len())]);
        }
    }

    /// The lists of a namespace answer 404 although it is there: what lost rights look like.
    pub fn forbid(&mut self, namespace: &str, forbidden: bool) {
        if forbidden {
            self.forbidden.insert(namespace.to_owned());
        } else {
            self.forbidden.remove(namespace);
        }
    }

    pub(super) fn is_forbidden(&self, namespace: &str) -> bool {
        self.forbidden.contains(namespace)
    }

    /// All namespaces, by name.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Value> {
        self.namespaces
            .values()
            .map(|(namespace, _)| namespace.clone())
            .collect()
    }

    /// The objects of a kind in a namespace, by name.
    #[must_use]
    pub fn list(&self, namespace: &str, path: &str) -> Option<Vec<Value>> {
        let (_, kinds) = self.namespaces.get(namespace)?;
        Some(kinds.get(path)?.values().cloned().collect())
    }

    /// The objects of a cluster-wide kind, by name; the path begins with `cluster`.
    #[must_use]
    pub fn cluster(&self, path: &str) -> Option<Vec<Value>> {
        let objects = self.cluster.get(path.strip_prefix("cluster")?)?;
        Some(objects.values().cloned().collect())
    }
}
