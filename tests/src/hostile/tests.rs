use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::*;

const SHAPE: Shape = Shape {
    organisations: 23,
    projects: 2,
    components: 3,
};

async fn start(paging: Paging, faults: FaultRates) -> HostileServer {
    let config = HostileConfig {
        seed: 11,
        shape: SHAPE,
        paging,
        faults,
        changes: ChangeRates::default(),
    };
    HostileServer::start(config).await.unwrap()
}

/// Pages through the organizations as a good client of that kind of paging does.
async fn page_through(server: &HostileServer, paging: Paging) -> BTreeSet<String> {
    let client = crate::http_client().unwrap();
    let base = format!("{}/orgs", server.url());
    let mut names = BTreeSet::new();
    let mut request = match paging {
        Paging::CursorInBody => client.post(&base).json(&json!({"limit": 5})),
        Paging::Page => client.get(format!("{base}?limit=5&page=1")),
        Paging::Offset => client.get(format!("{base}?limit=5&offset=0")),
        _ => client.get(format!("{base}?limit=5")),
    };
    for turn in 1_u64.. {
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let (link, next_header) = (header("link"), header("x-next-cursor"));
        let page: Value = answer.json().await.unwrap();
        let items = page["items"].as_array().unwrap();
        names.extend(
            items
                .iter()
                .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        let next = page["next"].as_str().map(str::to_owned);
        let more = names.len() < usize::try_from(page["total"].as_u64().unwrap_or(0)).unwrap();
        let linked = link.map(|link| link.split('>').next().unwrap().trim_start_matches('<').to_owned());
        let by_cursor = |cursor: String| client.get(format!("{base}?limit=5&cursor={cursor}"));
        let following = match paging {
            Paging::Cursor => next.map(by_cursor),
            Paging::CursorInBody => next.map(|next| client.post(&base).json(&json!({"limit": 5, "cursor": next}))),
            Paging::NextUrl => next.map(|url| client.get(url)),
            Paging::LinkHeader => linked.map(|url| client.get(url)),
            Paging::Header => next_header.map(by_cursor),
            Paging::Page => more.then(|| client.get(format!("{base}?limit=5&page={}", turn + 1))),
            Paging::Offset => more.then(|| client.get(format!("{base}?limit=5&offset={}", turn * 5))),
        };
        let Some(following) = following else { break };
        request = following;
    }
    names
}

#[tokio::test]
async fn every_kind_of_paging_shows_every_item() {
    for paging in Paging::ALL {
        let server = start(paging, FaultRates::default()).await;
        assert_eq!(page_through(&server, paging).await.len(), 23, "{paging:?}");
        assert_eq!(Counts::of(&server.counts().requests), 5, "{paging:?}");
    }
}

#[tokio::test]
async fn an_unchanged_page_is_answered_with_304_and_a_changed_one_with_200() {
    let server = start(Paging::Cursor, FaultRates::default()).await;
    let client = crate::http_client().unwrap();
    let url = format!("{}/orgs?limit=50", server.url());
    let first = client.get(&url).send().await.unwrap();
    let etag = first.headers()["etag"].clone();
    let ask = || client.get(&url).header("if-none-match", etag.clone()).send();
    assert_eq!(ask().await.unwrap().status(), 304);
    server.with_model(|model| model.move_one(&[]));
    assert_eq!(ask().await.unwrap().status(), 200);
    assert_eq!(server.times_asked("GET /orgs?limit=50"), 3);
}

#[tokio::test]
async fn a_cut_body_is_an_error_of_the_connection() {
    let faults = FaultRates {
        cut: 1.0,
        ..FaultRates::default()
    };
    let server = start(Paging::Cursor, faults).await;
    let client = crate::http_client().unwrap();
    let ask = || async { client.get(format!("{}/orgs", server.url())).send().await.unwrap() };
    let answer = ask().await;
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
    server.stop_faults();
    assert!(ask().await.bytes().await.is_ok());
}

#[tokio::test]
async fn faults_are_answered_as_real_sources_answer_them() {
    let only = |faults| async move {
        let server = start(Paging::Cursor, faults).await;
        let client = crate::http_client().unwrap();
        client
            .get(format!("{}/orgs?limit=5&cursor=e1-0", server.url()))
            .send()
            .await
            .unwrap()
    };
    let none = FaultRates::default;
    let limited = only(FaultRates {
        too_many: 1.0,
        ..none()
    })
    .await;
    assert_eq!(limited.status(), 429);
    assert!(limited.headers().contains_key("retry-after"));
    assert_eq!(
        only(FaultRates {
            internal: 1.0,
            ..none()
        })
        .await
        .status(),
        500
    );
    assert_eq!(only(FaultRates { expired: 1.0, ..none() }).await.status(), 410);
    let wrong = only(FaultRates {
        wrong_json: 1.0,
        ..none()
    })
    .await;
    assert!(wrong.status() == 200 && wrong.json::<Value>().await.is_err());
    let late = only(FaultRates {
        latency: Duration::from_millis(20),
        ..none()
    })
    .await;
    assert_eq!(late.status(), 200);
}

#[tokio::test]
async fn expired_cursors_are_gone_and_new_ones_work() {
    let server = start(Paging::Cursor, FaultRates::default()).await;
    let client = crate::http_client().unwrap();
    let ask = |query: String| client.get(format!("{}/orgs?limit=5{query}", server.url())).send();
    let next = async || ask(String::new()).await.unwrap().json::<Value>().await.unwrap()["next"].clone();
    let old = next().await;
    server.expire_cursors();
    assert_eq!(
        ask(format!("&cursor={}", old.as_str().unwrap()))
            .await
            .unwrap()
            .status(),
        410
    );
    let new = next().await;
    assert_eq!(
        ask(format!("&cursor={}", new.as_str().unwrap()))
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn the_model_changes_when_a_cycle_starts_until_changes_are_stopped() {
    let server = HostileServer::start(HostileConfig {
        seed: 5,
        shape: SHAPE,
        paging: Paging::Cursor,
        faults: FaultRates::default(),
        changes: ChangeRates {
            add: 10.0,
            modify: 10.0,
            remove: 10.0,
        },
    })
    .await
    .unwrap();
    let client = crate::http_client().unwrap();
    let (orgs, before) = (format!("{}/orgs", server.url()), server.expected().unwrap());
    client.get(&orgs).send().await.unwrap();
    let changed = server.expected().unwrap();
    assert_ne!(before, changed);
    server.stop_changes();
    client.get(&orgs).send().await.unwrap();
    assert_eq!(server.expected().unwrap(), changed);
    assert_eq!(Counts::of(&server.counts().cycles), 2);
}
