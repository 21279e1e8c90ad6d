//! Downloads from addresses that a response names, and partitions that are not requested because of their version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tideline_config::settings::{AnswerFormat, Auth, EntityShape, HttpSettings, Pagination};
use tideline_core::words::Secret;
use tideline_worker::{ErrorClass, PageContent, PageRequest, Source};
use url::Url;

use crate::api::*;

const SECRET: &str = "s1gned-and-secret";

/// A resource whose response tells where its items lie.
fn exports(api: &Url, hosts: &[&Url]) -> HttpSettings {
    let mut exports = resource("exports", "/exports/newest", Pagination::None);
    exports.download = Some(".links.archive".into());
    let mut settings = rest(api, vec![exports]);
    settings.auth = Auth::Bearer(Secret::new("hush-hush"));
    settings.download_hosts = hosts
        .iter()
        .map(|url| format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()))
        .collect();
    settings
}

/// An API that names an address below `archive`, another one each time.
async fn api(archive: Url) -> Api {
    let times = AtomicU64::new(0);
    Api::start(move |seen| {
        assert_eq!(seen.header("authorization"), Some("Bearer hush-hush"));
        let time = times.fetch_add(1, Ordering::SeqCst);
        let address = format!("{archive}{SECRET}/{time}?signature={SECRET}");
        answer(json!({"links": {"archive": address}}))
    })
    .await
}

#[tokio::test]
async fn a_download_is_read_from_an_allowed_host_without_credentials_and_its_address_is_shown_nowhere() {
    let archive = Api::start(|_| answer(json!(components(0, 3)))).await;
    let api = api(archive.url.clone()).await;
    let shown = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&shown);
    let source = open(exports(&api.url, &[&archive.url])).observed(Arc::new(move |exchange| log.lock().push(exchange)));
    let page = first(&source).await.unwrap();
    assert_eq!(references(&page).len(), 3);
    for seen in archive.seen() {
        assert!(
            seen.headers
                .keys()
                .all(|name| name != "authorization" && name != "cookie"),
            "{seen:?}"
        );
        assert!(seen.path.contains(SECRET) && seen.raw_query.contains(SECRET));
    }
    let remembered = memory(&page);
    assert!(
        !format!("{remembered:?}").contains(SECRET),
        "what is stored of the page"
    );
    let shown = serde_json::to_string(&*shown.lock()).unwrap();
    assert!(!shown.contains(SECRET) && shown.contains("/exports/newest"), "{shown}");
    // Another address of the same content changes nothing.
    let again = super::api::page(&source, None, Some(&remembered)).await.unwrap();
    assert!(matches!(again.content, PageContent::Unchanged));
}

#[tokio::test]
async fn a_download_from_a_host_that_is_not_allowed_or_redirects_to_one_is_refused_and_not_requested() {
    let elsewhere = Api::start(|_| answer(json!(components(0, 3)))).await;
    let target = elsewhere.url.clone();
    let archive = Api::start(move |_| status(302, &[("location", target.as_str())], "")).await;
    for (address, hosts) in [
        (elsewhere.url.clone(), vec![]),
        (archive.url.clone(), vec![&archive.url]),
    ] {
        let api = api(address).await;
        let error = first(&open(exports(&api.url, &hosts))).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent);
        assert!(
            error.message.contains("download_hosts") && !error.message.contains(SECRET),
            "{error}"
        );
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn no_error_of_a_download_shows_its_address() {
    let code = Arc::new(AtomicU16::new(200));
    let current = Arc::clone(&code);
    let archive = Api::start(move |seen| {
        let body = format!("<html>{} {}", seen.path, seen.raw_query);
        status(current.load(Ordering::SeqCst), &[], &body)
    })
    .await;
    let api = api(archive.url.clone()).await;
    let mut settings = exports(&api.url, &[&archive.url]);
    for (answered, transient) in [(403, true), (410, true), (503, true), (400, false), (200, false)] {
        code.store(answered, Ordering::SeqCst);
        let error = first(&open(settings.clone())).await.unwrap_err();
        let is_transient = matches!(error.class, ErrorClass::Transient { .. });
        assert_eq!(is_transient, transient, "{answered}: {error}");
        if answered != 200 {
            assert!(!error.message.contains(SECRET), "{error}");
        }
    }
    for download in [".links", ".nothing", ".links.archive | error"] {
        settings.resources[0].download = Some(download.into());
        let error = first(&open(settings.clone())).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent);
        assert!(!error.message.contains(SECRET), "{error}");
    }
    // Nothing listens there.
    let api = self::api(Url::parse("http://127.0.0.1:1/").unwrap()).await;
    let error = first(&open(exports(&api.url, &[&Url::parse("http://127.0.0.1:1").unwrap()])))
        .await
        .unwrap_err();
    assert!(
        matches!(error.class, ErrorClass::Transient { .. }) && !error.message.contains(SECRET),
        "{error}"
    );
}

#[tokio::test]
async fn a_download_may_be_yaml_and_may_not_be_larger_than_a_body() {
    let archive = Api::start(|_| {
        status(
            200,
            &[],
            "kind: Component\nmetadata: { name: a }\n---\nkind: API\nmetadata: { name: b }\n",
        )
    })
    .await;
    let api = api(archive.url.clone()).await;
    let mut settings = exports(&api.url, &[&archive.url]);
    settings.resources[0].format = AnswerFormat::Yaml;
    let page = first(&open(settings.clone())).await.unwrap();
    assert_eq!(references(&page), ["component:default/a", "api:default/b"]);
    settings.max_body_bytes = 20;
    let error = first(&open(settings)).await.unwrap_err();
    assert!(error.message.contains("max_body_bytes"), "{error}");
}

/// Projects and a list below each, which is as new as the project's `changed`.
fn versioned(base: &Url) -> HttpSettings {
    let mut projects = resource("projects", "/projects", Pagination::None);
    projects.entity = EntityShape::None;
    let mut things = resource("things", "/projects/{id}/things", Pagination::None);
    things.parent = Some("projects".into());
    things.parent_values = [("id".to_owned(), ".id".to_owned())].into();
    things.version = Some(".changed".into());
    things.absent = vec![404];
    rest(base, vec![projects, things])
}

async fn child(
    source: &impl Source,
    args: &Value,
    memory: Option<&tideline_core::words::PageMemory>,
) -> tideline_worker::Page {
    let request = PageRequest {
        partition: "things/1",
        args,
        cursor: None,
        memory,
        pass: tideline_worker::Pass::Trial,
    };
    source.read_page(request).await.unwrap()
}

#[tokio::test]
async fn a_partition_whose_version_is_that_of_its_last_reading_is_not_requested() {
    let changed = Arc::new(Mutex::new(json!("monday")));
    let current = Arc::clone(&changed);
    let api = Api::start(move |seen| match seen.path.as_str() {
        "/projects" => answer(json!([{"id": 1, "changed": *current.lock()}])),
        _ if seen.header("if-none-match") == Some("\"1\"") => status(304, &[("etag", "\"1\"")], ""),
        _ => status(200, &[("etag", "\"1\"")], &json!(components(0, 2)).to_string()),
    })
    .await;
    let source = open(versioned(&api.url));
    let args = async || first(&source).await.unwrap().children[0].args.clone();
    let remembered = memory(&child(&source, &args().await, None).await);
    let before = api.count();
    let page = child(&source, &args().await, Some(&remembered)).await;
    assert!(matches!(page.content, PageContent::Unchanged));
    assert_eq!(
        (api.count(), page.validators == remembered.validators),
        (before + 1, true),
        "only the projects"
    );
    // Another version is asked for, on condition.
    *changed.lock() = json!("tuesday");
    let page = child(&source, &args().await, Some(&remembered)).await;
    assert!(matches!(page.content, PageContent::Unchanged));
    let last = api.seen().pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.header("if-none-match")),
        ("/projects/1/things", Some("\"1\""))
    );
    let remembered = memory(&page);
    let before = api.count();
    child(&source, &args().await, Some(&remembered)).await;
    assert_eq!(api.count(), before + 1, "now this one is known");
    // No version says nothing.
    for none in [Value::Null, json!({"a": 1})] {
        *changed.lock() = none;
        let before = api.count();
        child(&source, &args().await, Some(&remembered)).await;
        assert_eq!(api.count(), before + 2);
    }
}

#[tokio::test]
async fn a_partition_that_was_absent_is_not_requested_again_before_its_version_changes() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/projects" => answer(json!([{"id": 1, "changed": "monday"}])),
        _ => status(404, &[], ""),
    })
    .await;
    let source = open(versioned(&api.url));
    let args = first(&source).await.unwrap().children[0].args.clone();
    let remembered = memory(&child(&source, &args, None).await);
    let before = api.count();
    let page = child(&source, &args, Some(&remembered)).await;
    assert!(matches!(page.content, PageContent::Unchanged));
    assert_eq!(api.count(), before);
}

#[tokio::test]
async fn a_version_that_fails_loses_no_partition() {
    let api = Api::start(|_| answer(json!([{"id": 1, "changed": 5}]))).await;
    let mut settings = versioned(&api.url);
    for each in [None, Some(".".to_owned())] {
        settings.resources[1].each = each;
        for version in [".changed | fromdateiso8601", "empty", "error(\"no\")"] {
            settings.resources[1].version = Some(version.into());
            let page = first(&open(settings.clone())).await.unwrap();
            assert_eq!(
                (page.children.len(), page.children[0].args.get("version")),
                (1, None),
                "{version}"
            );
        }
    }
}
