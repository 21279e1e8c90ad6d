//! Child resources, as deep as one likes.

use std::collections::BTreeMap;

use serde_json::json;
use tideline_config::settings::{EntityShape, HttpSettings, Pagination, Resource};
use tideline_worker::sources::http::check;
use tideline_worker::{Item, Source};

use crate::api::*;

fn child(name: &str, parent: &str, path: &str, value: (&str, &str)) -> Resource {
    Resource {
        parent: Some(parent.into()),
        parent_values: BTreeMap::from([(value.0.to_owned(), value.1.to_owned())]),
        ..resource(name, path, Pagination::None)
    }
}

/// Organizations → projects → components; only components are entities.
fn three_levels(base: &url::Url) -> HttpSettings {
    let mut organisations = resource("orgs", "/orgs", Pagination::None);
    organisations.entity = EntityShape::None;
    let mut projects = child("projects", "orgs", "/orgs/{org}/projects", ("org", ".id"));
    projects.entity = EntityShape::None;
    let mut components = child(
        "components",
        "projects",
        "/components",
        ("project", ".slug | ascii_downcase"),
    );
    components.query = BTreeMap::from([
        ("org".into(), vec!["{org}".into()]),
        ("project".into(), vec!["p-{project}".into()]),
    ]);
    components.entity = EntityShape::Named {
        kind: "Component".into(),
        namespace: "$parent.org".into(),
        name: ".name".into(),
        body: Some("{name, project: $parent.project}".into()),
    };
    rest(base, vec![organisations, projects, components])
}

#[tokio::test]
async fn three_levels_are_read_with_the_values_of_all_parents() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/orgs" => answer(json!([{"id": "a/b"}, {"id": "c"}, {"id": "c"}])),
        "/components" => {
            let (org, project) = (seen.query("org").unwrap(), seen.query("project").unwrap());
            answer(json!([{"name": format!("{}-{project}", &org[..1])}]))
        }
        "/orgs/a%2Fb/projects" | "/orgs/c/projects" => answer(json!([{"slug": "X"}, {"slug": "Y"}])),
        other => panic!("{other}"),
    })
    .await;
    let mut source = three_levels(&api.url);
    if let EntityShape::Named { namespace, .. } = &mut source.resources[2].entity {
        *namespace = "$parent.org | gsub(\"/\"; \"_\")".into();
    }
    let mut pass = pass(&open(source)).await;
    pass.names.sort();
    assert_eq!(pass.names, ["a-p-x", "a-p-y", "c-p-x", "c-p-y"]);
    let mut keys: Vec<&str> = pass.partitions.iter().map(|partition| partition.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "components/a%2Fb/x",
            "components/a%2Fb/y",
            "components/c/x",
            "components/c/y",
            "projects/a%2Fb",
            "projects/c"
        ]
    );
}

#[tokio::test]
async fn values_of_a_parent_go_into_a_body_too() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/orgs" => answer(json!([{"id": 7}])),
        _ => {
            let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            assert_eq!(body, json!({"filter": {"org": 7}, "text": "of 7"}));
            answer(json!(components(0, 2)))
        }
    })
    .await;
    let mut orgs = resource("orgs", "/orgs", Pagination::None);
    orgs.entity = EntityShape::None;
    let mut search = child("search", "orgs", "/search", ("org", ".id"));
    search.post = true;
    search.body = Some(json!({"filter": {"org": "{org}"}, "text": "of {org}"}));
    assert_eq!(pass(&open(rest(&api.url, vec![orgs, search]))).await.names, names(2));
}

#[tokio::test]
async fn a_parent_without_its_value_is_reported_and_stops_the_sweep() {
    let api = Api::start(|_| answer(json!([{"id": "a"}, {"no": 1}, {"id": null}, {"id": {"x": 1}}]))).await;
    let mut settings = three_levels(&api.url);
    settings.resources.truncate(2);
    let page = first(&open(settings)).await.unwrap();
    assert_eq!(page.children.len(), 1);
    let nameless = items(&page).iter().filter(|item| match item {
        Item::Malformed(item) => item.reference.is_none() && item.error.contains("projects"),
        Item::Entity { .. } | Item::MadeBy(_) => false,
    });
    assert_eq!(nameless.count(), 3);
}

#[tokio::test]
async fn a_value_that_jq_leaves_out_makes_no_child() {
    let api = Api::start(|_| answer(json!([{"id": "a", "archived": true}, {"id": "b"}]))).await;
    let mut settings = three_levels(&api.url);
    settings.resources.truncate(2);
    settings.resources[1]
        .parent_values
        .insert("org".into(), "select(.archived | not) | .id".into());
    let page = first(&open(settings)).await.unwrap();
    assert_eq!(page.children.len(), 1);
    assert_eq!(items(&page).len(), 0);
}

#[tokio::test]
async fn other_resources_without_a_parent_are_partitions_of_the_root() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/a" => answer(json!(components(0, 1))),
        _ => answer(json!(components(1, 2))),
    })
    .await;
    let settings = rest(
        &api.url,
        vec![
            resource("a", "/a", Pagination::None),
            resource("b", "/b", Pagination::None),
        ],
    );
    let pass = pass(&open(settings)).await;
    assert_eq!(pass.names, names(2));
    assert_eq!(pass.partitions[0].key, "b");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_all_at_once() {
    let url = url::Url::parse("http://127.0.0.1:1").unwrap();
    let mut settings = three_levels(&url);
    assert_eq!(check(&settings), []);
    settings.resources[0].items = Some(".a |".into());
    settings.resources[1].path = "/orgs/{orgg}".into();
    settings.resources[1]
        .parent_values
        .insert("org".into(), "nope(.)".into());
    settings.resources[2].parent = Some("prjects".into());
    let places: Vec<String> = check(&settings).into_iter().map(|(place, _)| place).collect();
    for place in [
        "resources[0].items",
        "resources[1].path",
        "resources[1].values.org",
        "resources[2].parent",
    ] {
        assert!(
            places.iter().any(|known| known == place),
            "{place} is not among {places:?}"
        );
    }
    let mut circle = three_levels(&url);
    circle.resources[1].parent = Some("components".into());
    assert!(check(&circle).iter().any(|(_, why)| why.contains("circle")));
    let mut untold = three_levels(&url);
    untold.resources[1].parent_values.clear();
    assert!(check(&untold).iter().any(|(place, _)| place == "resources[1].values"));
}

#[tokio::test]
async fn one_item_may_have_several_partitions_or_none_and_a_resource_headers_of_its_own() {
    let api = Api::start(|seen| match (seen.path.as_str(), seen.header("accept")) {
        ("/repos", Some("application/json")) => {
            answer(json!([{"name": "a", "files": ["x", "y"]}, {"name": "b", "files": []}]))
        }
        ("/repos/a/x" | "/repos/a/y", Some("text/yaml")) => {
            answer(json!([component(&seen.path[7..].replace('/', "-"))]))
        }
        other => panic!("{other:?}"),
    })
    .await;
    let mut repos = resource("repos", "/repos", Pagination::None);
    repos.entity = EntityShape::None;
    let mut files = child("files", "repos", "/repos/{repo}/{file}", ("file", ".file"));
    files.parent_values.insert("repo".into(), ".repo".into());
    files.each = Some(".name as $repo | .files[] | {repo: $repo, file: .}".into());
    files.headers = BTreeMap::from([("accept".into(), "text/yaml".into())]);
    let settings = rest(&api.url, vec![repos, files]);
    assert_eq!(check(&settings), []);
    let mut pass = pass(&open(settings.clone())).await;
    pass.names.sort();
    assert_eq!(pass.names, ["a-x", "a-y"]);

    let mut wrong = settings;
    wrong.resources[1].each = Some(".files[".into());
    let problems = check(&wrong);
    assert!(
        problems.iter().any(|(key, _)| key == "resources[1].each"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn resources_beside_the_first_one_are_known_before_it_is_read_and_revealed_by_its_first_page() {
    let api = Api::start(|_| answer(json!([]))).await;
    let source = open(rest(
        &api.url,
        vec![
            resource("first", "/first", Pagination::None),
            resource("second", "/second", Pagination::None),
            child("below", "second", "/below/{id}", ("id", ".id")),
        ],
    ));
    let roots = source.roots();
    assert_eq!(
        roots.iter().map(|root| root.key.as_str()).collect::<Vec<_>>(),
        ["second"]
    );
    assert_eq!(api.count(), 0);
    assert_eq!(first(&source).await.unwrap().children, roots);
}
