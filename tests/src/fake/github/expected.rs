//! The oracle: what the catalog must hold with the default parameters, written independently of the preset's
//! expressions.

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};
use tideline_core::words::EntityRef;

use super::model::{Model, ORGANIZATION, Repository};
use crate::oracle::Expected;

pub(super) fn entities(model: &Model) -> Expected {
    let mut expected = Expected::new();
    for repository in model
        .repositories()
        .filter(|repository| !repository.archived && !repository.fork)
    {
        let entity = of_repository(repository);
        if let Ok(reference) = EntityRef::new("Resource", "default", &format!("github-{}", repository.id)) {
            expected.insert(reference, entity);
        }
        for path in ["catalog-info.yaml", "parts/one.yaml", "deep/two.yaml"] {
            // The other files are read only if the first one leads there.
            let leads = repository
                .files
                .get("catalog-info.yaml")
                .is_some_and(|text| text.contains("kind: Location"));
            if path == "catalog-info.yaml" || leads {
                of_file(repository, path, &mut expected);
            }
        }
    }
    expected
}

fn url(repository: &Repository) -> String {
    format!("https://github.example/{ORGANIZATION}/{}", repository.name)
}

fn of_repository(repository: &Repository) -> Value {
    let (url, slug) = (url(repository), format!("{ORGANIZATION}/{}", repository.name));
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Resource",
        "metadata": {
            "namespace": "default",
            "name": format!("github-{}", repository.id),
            "title": slug,
            "description": repository.description,
            "tags": repository.topics,
            "labels": { "github.com/visibility": if repository.private { "private" } else { "public" } },
            "annotations": {
                "backstage.io/managed-by-location": format!("url:{url}"),
                "backstage.io/managed-by-origin-location": format!("url:{url}"),
                "backstage.io/source-location": format!("url:{url}/tree/{}/", repository.branch),
                "backstage.io/view-url": url,
                "github.com/project-slug": slug,
                "github.com/repository-id": repository.id.to_string(),
                "github.com/default-branch": repository.branch,
                "github.com/language": "Rust",
            },
        },
        "spec": { "type": "repository", "lifecycle": "production", "owner": "group:default/acme" },
    })
}

fn of_file(repository: &Repository, path: &str, expected: &mut Expected) {
    let documents = repository
        .files
        .get(path)
        .and_then(|text| Yaml::load_from_str(text).ok())
        .unwrap_or_default();
    let documents = documents
        .iter()
        .filter_map(|document| crate::compose::to_json(document).ok());
    for mut entity in documents.filter(|document| document["kind"] != "Location") {
        let (url, branch) = (url(repository), &repository.branch);
        let location = format!("url:{url}/blob/{branch}/{path}");
        let folder = path.rfind('/').map_or("", |at| &path[..=at]);
        entity["metadata"]["annotations"] = json!({
            "backstage.io/managed-by-location": location,
            "backstage.io/managed-by-origin-location": location,
            "backstage.io/view-url": format!("{url}/blob/{branch}/{path}"),
            "backstage.io/edit-url": format!("{url}/edit/{branch}/{path}"),
            "backstage.io/source-location": format!("url:{url}/tree/{branch}/{folder}"),
            "github.com/project-slug": format!("{ORGANIZATION}/{}", repository.name),
        });
        let kind = entity["kind"].as_str().unwrap_or_default();
        let name = entity["metadata"]["name"].as_str().unwrap_or_default();
        if let Ok(reference) = EntityRef::new(kind, "default", name) {
            expected.insert(reference, entity);
        }
    }
}
