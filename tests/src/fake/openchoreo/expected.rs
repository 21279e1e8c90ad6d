//! The oracle: what the catalog must hold, written independently of the preset's expressions.

use serde_json::{Map, Value, json};
use tideline_core::words::EntityRef;

use super::model::{CLUSTER, KINDS, Model};
use crate::oracle::Expected;

const OWNER: &str = "group:default/openchoreo-users";

pub(super) fn entities(model: &Model) -> Expected {
    let mut expected = Expected::new();
    let mut add = |entity: Value| {
        let text = |key: &str| entity["metadata"][key].as_str().unwrap_or_default().to_owned();
        let kind = entity["kind"].as_str().unwrap_or_default();
        if let Ok(reference) = EntityRef::new(kind, &text("namespace"), &text("name")) {
            expected.insert(reference, entity);
        }
    };
    for namespace in model.namespaces() {
        let name = namespace["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut domain = entity(
            "Domain",
            "default",
            &namespace,
            &[("status", json!("Active"))],
            json!({ "owner": OWNER }),
        );
        domain["metadata"]["tags"] = json!(["openchoreo", "namespace", "domain"]);
        add(domain);
        for (path, kind) in KINDS {
            for object in model.list(&name, path).unwrap_or_default() {
                for mut entity in namespaced(kind, &name, &object) {
                    if kind == "Component" {
                        provides(model, &name, &mut entity);
                    }
                    add(entity);
                }
            }
        }
    }
    for path in CLUSTER {
        for object in model.cluster(&format!("cluster{path}")).unwrap_or_default() {
            let kind = KINDS
                .iter()
                .find(|(other, _)| *other == path)
                .map_or("", |(_, kind)| kind);
            add(entity(
                &format!("Cluster{kind}"),
                "openchoreo-cluster",
                &object,
                &[("namespace", Value::Null)],
                json!({ "owner": OWNER }),
            ));
        }
    }
    expected
}

/// A component says which APIs it provides: those of its workloads.
fn provides(model: &Model, namespace: &str, component: &mut Value) {
    let workloads = model.list(namespace, "workloads").unwrap_or_default();
    let own = workloads
        .iter()
        .filter(|workload| workload["spec"]["owner"]["componentName"] == component["metadata"]["name"]);
    let mut provided: Vec<String> = own
        .flat_map(|workload| apis(namespace, "", workload, &[]))
        .filter_map(|api| Some(format!("api:{namespace}/{}", api["metadata"]["name"].as_str()?)))
        .collect();
    provided.sort();
    if !provided.is_empty() {
        component["spec"]["providesApis"] = json!(provided);
    }
}

fn namespaced(kind: &str, namespace: &str, object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let name = &object["metadata"]["name"];
    let owner = object["metadata"]["annotations"]["backstage.io/owner"]
        .as_str()
        .unwrap_or(OWNER);
    let condition = &object["status"]["conditions"][0];
    let ready = condition["status"] == "True";
    let state = if ready {
        json!("Ready")
    } else {
        condition["reason"].clone()
    };
    let mut annotations = vec![("status", state)];
    let mut body = json!({ "owner": owner, "domain": format!("default/{namespace}") });
    let project = &spec["owner"]["projectName"];
    match kind {
        "Project" => {
            annotations.extend([
                ("project", name.clone()),
                ("project-id", object["metadata"]["uid"].clone()),
                ("project-type", json!("default")),
                ("deployment-pipeline", json!("default")),
            ]);
            return vec![entity("System", namespace, object, &annotations, body)];
        }
        "Component" => {
            let class = spec["componentType"]["name"].as_str().unwrap_or_default();
            annotations.extend([
                ("project", project.clone()),
                ("component", name.clone()),
                ("component-type", json!(class)),
                ("component-uid", object["metadata"]["uid"].clone()),
                ("branch", json!("main")),
            ]);
            let class = match class {
                "deployment/web-application" => "website",
                "cronjob/nightly" => "job",
                _ => "service",
            };
            let lifecycle = if ready { "production" } else { "experimental" };
            body = json!({ "owner": owner, "system": project, "type": class, "lifecycle": lifecycle });
            let mut component = entity("Component", namespace, object, &annotations, body);
            component["metadata"]["annotations"]["backstage.io/source-location"] = json!(format!(
                "url:https://git.example/{}.git",
                name.as_str().unwrap_or_default()
            ));
            return vec![component];
        }
        "Workload" => return apis(namespace, owner, object, &annotations),
        "Resource" => {
            annotations.extend([("project", project.clone()), ("resource-type", json!("mysql"))]);
            body = json!({ "owner": owner, "system": project, "type": "mysql" });
        }
        "Environment" => {
            annotations.push(("data-plane", json!("default")));
            body["isProduction"] = spec["isProduction"].clone();
            body["dataPlaneRef"] = spec["dataPlaneRef"].clone();
        }
        "DeploymentPipeline" => body["promotionPaths"] = json!([]),
        _ => {}
    }
    vec![entity(kind, namespace, object, &annotations, body)]
}

fn apis(namespace: &str, owner: &str, object: &Value, annotations: &[(&str, Value)]) -> Vec<Value> {
    let spec = &object["spec"];
    let component = spec["owner"]["componentName"].as_str().unwrap_or_default();
    let endpoints = spec["endpoints"].as_object().cloned().unwrap_or_default();
    let with_schema = endpoints
        .into_iter()
        .filter(|(_, endpoint)| endpoint["schema"]["content"].is_string());
    let apis = with_schema.map(|(endpoint, at)| {
        let mut annotations = annotations.to_vec();
        annotations.extend([
            ("project", spec["owner"]["projectName"].clone()),
            ("component", json!(component)),
            ("workload", object["metadata"]["name"].clone()),
            ("endpoint-name", json!(endpoint)),
            ("endpoint-type", at["type"].clone()),
            ("endpoint-port", json!(at["port"].to_string())),
            ("endpoint-visibility", json!("namespace,external")),
        ]);
        let class = match at["type"].as_str() {
            Some("gRPC") => "grpc",
            Some("GraphQL") => "graphql",
            Some("Websocket") => "asyncapi",
            _ => "openapi",
        };
        let body = json!({
            "owner": owner,
            "system": spec["owner"]["projectName"],
            "lifecycle": "production",
            "type": class,
            "definition": at["schema"]["content"],
        });
        let mut api = entity("API", namespace, object, &annotations, body);
        api["metadata"]["name"] = json!(format!("{component}_{endpoint}"));
        api["metadata"]["title"] = api["metadata"]["name"].clone();
        api
    });
    apis.collect()
}

/// What all entities have in common.
fn entity(kind: &str, namespace: &str, object: &Value, annotations: &[(&str, Value)], spec: Value) -> Value {
    let metadata = &object["metadata"];
    let mut all = Map::new();
    let own = metadata["namespace"].as_str().or(metadata["name"].as_str());
    all.insert("openchoreo.io/namespace".into(), json!(own));
    all.insert("openchoreo.io/uid".into(), metadata["uid"].clone());
    all.insert("openchoreo.io/created-at".into(), metadata["creationTimestamp"].clone());
    for (name, value) in annotations {
        all.insert(format!("openchoreo.io/{name}"), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    let mut described = json!({
        "namespace": namespace,
        "name": metadata["name"],
        "labels": { "openchoreo.io/managed": "true" },
        "annotations": all,
    });
    let texts = [
        ("title", "openchoreo.dev/display-name"),
        ("description", "openchoreo.dev/description"),
    ];
    for (key, annotation) in texts {
        if metadata["annotations"][annotation].is_string() {
            described[key] = metadata["annotations"][annotation].clone();
        }
    }
    json!({ "apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": described, "spec": spec })
}
