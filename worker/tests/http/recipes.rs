//! The recipes of `docs/recipes.md`, each against a server that pages as the API does.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tideline_config::settings::{SourceKind, SourceSettings};
use url::Url;

use crate::api::*;

const RECIPES: &str = include_str!("../../../docs/recipes.md");

/// Things in each list: three pages of ten, the last of which is short.
const THINGS: usize = 25;

fn recipe(name: &str, base: &Url) -> SourceSettings {
    let block = RECIPES
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.starts_with(&format!("- name: {name}\n")))
        .unwrap_or_else(|| panic!("no recipe {name}"));
    let base = base.as_str().trim_end_matches('/');
    let token = std::env::temp_dir().join(format!("tideline-recipe-token-{}", std::process::id()));
    std::fs::write(&token, "t0ken-of-a-file\n").unwrap();
    let block = block.replace("https://api.example.com", base);
    let block = block.replace("/run/secrets/api-token", token.to_str().unwrap());
    let text = format!("sources:\n{block}");
    let environment = |name: &str| (name == "API_TOKEN").then(|| "t0ken".to_owned());
    let settings = tideline_config::parse(&text, std::path::Path::new("recipe.yaml"), &environment);
    settings.unwrap_or_else(|errors| panic!("{errors}")).sources.remove(0)
}

/// Reads a recipe and says what it found, and with how many requests.
async fn read(name: &str, serve: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> (Vec<String>, usize) {
    let api = Api::start(serve).await;
    let settings = recipe(name, &api.url);
    let SourceKind::Http(http) = settings.kind else {
        panic!("{name} is no http source")
    };
    let mut names = pass(&open(*http)).await.names;
    names.sort();
    (names, api.count())
}

fn expected() -> Vec<String> {
    let mut names: Vec<String> = (0..THINGS).map(|number| format!("t{number}")).collect();
    names.sort();
    names
}

fn slice(from: usize, key: &str) -> Vec<Value> {
    (from.min(THINGS)..(from + 10).min(THINGS))
        .map(|number| json!({"type": "thing", key: format!("t{number}")}))
        .collect()
}

fn more(from: usize) -> bool {
    from + 10 < THINGS
}

fn from(seen: &Seen) -> usize {
    seen.number("from").unwrap_or(0)
}

/// An absolute URL of the next page.
fn next(seen: &Seen, from: usize) -> Option<String> {
    let host = seen.header("host").unwrap();
    more(from).then(|| format!("http://{host}{}?from={}", seen.path, from + 10))
}

#[tokio::test]
async fn json_api_odata_and_hal_are_read_by_their_recipes() {
    let found = read("json-api", |seen| {
        answer(json!({"data": slice(from(seen), "id"), "links": {"next": next(seen, from(seen))}}))
    });
    assert_eq!(found.await, (expected(), 3));
    let found = read("odata", |seen| {
        let mut body = json!({"value": slice(from(seen), "ID")});
        if let Some(next) = next(seen, from(seen)) {
            body["@odata.nextLink"] = next.into();
        }
        answer(body)
    });
    assert_eq!(found.await, (expected(), 3));
    let found = read("hal", |seen| {
        let mut links = json!({"self": {"href": "/orders"}});
        if let Some(next) = next(seen, from(seen)) {
            links["next"] = json!({"href": next});
        }
        answer(json!({"_embedded": {"orders": slice(from(seen), "id")}, "_links": links}))
    });
    assert_eq!(found.await, (expected(), 3));
}

#[tokio::test]
async fn graphql_is_read_by_its_recipe() {
    let found = read("graphql", |seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        // As a server does that knows its schema: what is not declared is refused.
        let variables = body["variables"].as_object().unwrap();
        if variables.get("first").and_then(Value::as_u64) != Some(10) || body.get("after").is_some() {
            return answer(
                json!({"errors": [{"message": "Variable \"$first\" of required type \"Int!\" was not provided."}]}),
            );
        }
        let from: usize = variables
            .get("after")
            .map_or(0, |after| after.as_str().unwrap().parse().unwrap());
        let page_info = json!({"hasNextPage": more(from), "endCursor": (from + 10).to_string()});
        answer(json!({"data": {"machines": {"nodes": slice(from, "id"), "pageInfo": page_info}}}))
    });
    assert_eq!(found.await, (expected(), 3));
}

#[tokio::test]
async fn django_and_prefect_are_read_by_their_recipes() {
    let found = read("django", |seen| {
        let from = (seen.number("page").unwrap() - 1) * seen.number("page_size").unwrap();
        if from >= THINGS {
            return status(404, &[], "{\"detail\":\"Invalid page.\"}");
        }
        answer(json!({"count": THINGS, "results": slice(from, "id")}))
    });
    assert_eq!(found.await, (expected(), 3));
    let found = read("prefect", |seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(body["limit"], json!(10));
        answer(slice(usize::try_from(body["offset"].as_u64().unwrap()).unwrap(), "name").into())
    });
    assert_eq!(
        found.await,
        (expected(), 4),
        "nothing but an empty page says that it ends"
    );
}

#[tokio::test]
async fn scim_is_read_by_its_recipe() {
    let found = read("scim", |seen| {
        let start = seen.number("startIndex").unwrap_or(1);
        assert_eq!(seen.number("count"), Some(10));
        let found = slice(start - 1, "id");
        answer(json!({"startIndex": start, "itemsPerPage": found.len(), "totalResults": THINGS, "Resources": found}))
    });
    assert_eq!(found.await, (expected(), 3));
}

#[tokio::test]
async fn github_and_sentry_are_read_by_their_recipes() {
    let link = |mut response: Response, link: String| {
        response.headers_mut().insert("link", link.parse().unwrap());
        response
    };
    let found = read("github", move |seen| match seen.path.as_str() {
        "/orgs/acme/repos" => answer(json!(
            (0..10).map(|n| json!({"name": format!("r{n}")})).collect::<Vec<_>>()
        )),
        "/repos/acme/r0/commits" => {
            let response = answer(slice(from(seen), "sha").into());
            match next(seen, from(seen)) {
                Some(next) => link(response, format!("<{next}>; rel=\"next\"")),
                None => response,
            }
        }
        _ => status(409, &[], "{\"message\":\"Git Repository is empty.\"}"),
    });
    let (names, requests) = found.await;
    assert_eq!((names.len(), requests), (10 + THINGS, 1 + 3 + 9));
    let found = read("sentry", move |seen| {
        let results = more(from(seen));
        let next = format!(
            "<{}?from={}>; rel=\"next\"; results=\"{results}\"",
            seen.path,
            from(seen) + 10
        );
        link(answer(slice(from(seen), "slug").into()), next)
    });
    assert_eq!(found.await, (expected(), 3));
}

#[tokio::test]
async fn an_api_behind_a_proxy_is_read_by_its_recipe() {
    let found = read("behind-a-proxy", |seen| {
        assert_eq!(seen.path, "/gateway/things/list");
        let mut response = answer(slice(from(seen), "id").into());
        if more(from(seen)) {
            let next = format!("http://api.internal:8080/v1/list?from={}", from(seen) + 10);
            response.headers_mut().insert("x-next-page", next.parse().unwrap());
        }
        response
    });
    assert_eq!(found.await, (expected(), 3));
}

#[tokio::test]
async fn documents_of_yaml_behind_a_list_of_projects_are_read_by_their_recipe() {
    let found = read("yaml-files", |seen| {
        assert_eq!(seen.header("x-api-version"), Some("3"));
        assert_eq!(seen.header("authorization"), Some("Bearer t0ken-of-a-file"));
        match seen.path.as_str() {
            "/projects" => answer(json!([
                {"id": 1, "archived": false, "files": ["a.yaml", "b/c.yaml"]},
                {"id": 2, "archived": true, "files": ["a.yaml"]},
            ])),
            "/projects/1/files/a.yaml" => {
                assert_eq!(seen.header("accept"), Some("text/plain"));
                (
                    http::StatusCode::OK,
                    "kind: Component\nmetadata: { name: one }\n---\nkind: API\nmetadata: { name: two }\n",
                )
                    .into_response()
            }
            "/projects/1/files/b%2Fc.yaml" => status(404, &[], "no such file"),
            other => panic!("{other}"),
        }
    });
    assert_eq!(found.await, (vec!["one".to_owned(), "two".to_owned()], 3));
}

#[tokio::test]
async fn lookups_versions_and_alternatives_are_read_by_their_recipes() {
    let found = read("lookup", |seen| match seen.path.as_str() {
        "/routes" => answer(json!([{"service": "t0", "host": "a.example"}])),
        _ => answer(json!(
            (0..THINGS)
                .map(|number| json!({"id": format!("t{number}")}))
                .collect::<Vec<_>>()
        )),
    });
    assert_eq!(found.await, (expected(), 2));
    let found = read("version", |seen| match seen.path.as_str() {
        "/projects" => answer(json!([{"id": 1, "last_activity_at": "monday"}])),
        _ => answer(json!(
            (0..THINGS)
                .map(|number| json!({"name": format!("t{number}")}))
                .collect::<Vec<_>>()
        )),
    });
    assert_eq!(found.await, (expected(), 2));
    let found = read("alternatives", |seen| match seen.path.as_str() {
        "/v2/things" => status(404, &[], "{}"),
        _ => answer(json!(
            (0..THINGS)
                .map(|number| json!({"name": format!("t{number}")}))
                .collect::<Vec<_>>()
        )),
    });
    assert_eq!(found.await, (expected(), 3));
}

#[tokio::test]
async fn downloads_are_read_by_their_recipe() {
    let lines: Vec<String> = (0..THINGS)
        .map(|number| json!({"serial": format!("t{number}")}).to_string())
        .collect();
    let found = read("download", move |seen| match seen.path.as_str() {
        "/exports/newest" => answer(json!({"links": {"archive": "/archive/1?signature=x"}})),
        _ => status(200, &[], &lines.join("\n")),
    });
    assert_eq!(found.await, (expected(), 2));
}

#[tokio::test]
async fn events_are_completed_by_their_recipe() {
    let api = Api::start(|seen| {
        assert_eq!(
            (seen.path.as_str(), seen.query("from")),
            ("/projects/7/repository/compare", Some("a"))
        );
        answer(json!({"diffs": [{"new_path": "x.md"}, {"new_path": "y.md"}]}))
    })
    .await;
    let settings = recipe("event", &api.url);
    let source = tideline_worker::sources::open(&settings).unwrap();
    let values = json!({"project": 7, "before": "a", "after": "b"});
    let event = json!({"topic": "gitlab.push", "body": {"project_id": 7}}).to_string();
    let made = source
        .complete_event(0, values.as_object().unwrap(), &event)
        .await
        .unwrap();
    assert_eq!(made, json!({"project": 7, "paths": ["x.md", "y.md"]}));
}
