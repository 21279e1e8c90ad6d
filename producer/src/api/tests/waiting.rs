//! What holds for every request that waits.

use tokio::time::Instant;

use super::super::place::Place;
use super::*;

/// Every route that waits, with nothing to wait for.
async fn waiting_bench() -> (Arc<Bench>, [(&'static str, &'static str, Option<Value>); 4]) {
    let bench = bench().await;
    for (name, body) in [
        ("s", json!({"from": "now"})),
        ("feed", json!({"changes": {}, "from": "now"})),
    ] {
        let path = format!("/v1/subscriptions/{name}");
        let put = bench
            .ask(holder(Role::Operate, &[]), "PUT", &path, Some(body), &[])
            .await;
        assert_eq!(put.status, 200, "{}", put.body);
    }
    let requests = [
        ("GET", "/v1/changes?wait=30", None),
        ("GET", "/v1/events/log?wait=30&topics=none", None),
        ("POST", "/v1/subscriptions/s/pull", Some(json!({"wait": 30}))),
        ("POST", "/v1/subscriptions/feed/pull", Some(json!({"wait": 30}))),
    ];
    (Arc::new(bench), requests)
}

/// Waits until the request waits.
async fn until_it_waits(bench: &Bench) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.api.state.waiters.available_permits() == MAX_WAITERS {
        assert!(Instant::now() < deadline, "it does not wait");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_waits_is_answered_when_the_process_stops() {
    for number in 0..4 {
        let (bench, requests) = waiting_bench().await;
        let (method, path, body) = requests[number].clone();
        let asking = Arc::clone(&bench);
        let answer = tokio::spawn(async move { asking.ask(holder(Role::Admin, &[]), method, path, body, &[]).await });
        until_it_waits(&bench).await;
        bench.api.state.stop.cancel();
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{path} goes on")).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_request_that_waits_leaves_its_place_to_others() {
    for number in 0..4 {
        let (bench, requests) = waiting_bench().await;
        let (method, path, body) = requests[number].clone();
        let places = Arc::new(Semaphore::new(1));
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(Place::take(&places).unwrap());
        assert_eq!(places.available_permits(), 0);
        let api = bench.api.clone();
        let answer = tokio::spawn(async move { api.call(holder(Role::Admin, &[]), request).await.status() });
        until_it_waits(&bench).await;
        let other = tokio::time::timeout(Duration::from_secs(10), places.acquire()).await;
        let other = other.unwrap_or_else(|_| panic!("{path} keeps its place")).unwrap();
        bench.api.state.stop.cancel();
        drop(other);
        assert_eq!(answer.await.unwrap(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn all_who_wait_for_changes_are_answered_with_those_that_came_each_from_its_own_place() {
    let bench = Arc::new(bench().await);
    let now = SystemClock.now();
    bench.store.start_cycles(10, now).await.unwrap();
    let claimed = claim_ingest(&bench.store, "w", 2, now).await;
    let mut root = Reader::new(only(claimed.into_iter().take(1).collect()));
    root.write(&bench.store, entities(0, 20, 1), Some("{}"), now).await;
    let last = bench.get("/v1/changes?limit=1000").await.json()["next"].clone();
    let last: i64 = last.as_str().unwrap().parse().unwrap();
    let ask = |path: String| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.get(&path).await.json() })
    };
    let path = |number: usize| format!("/v1/changes?wait=30&after={last}&limit={}", 1 + number % 3);
    let at_the_end: Vec<_> = (0..60).map(|number| ask(path(number))).collect();
    while bench.api.state.waiters.available_permits() > MAX_WAITERS - 60 {
        tokio::task::yield_now().await;
    }
    let before = ask(format!("/v1/changes?wait=30&after={}", last - 2)).await.unwrap();
    assert_eq!(before["changes"].as_array().unwrap().len(), 2, "{before}");
    root.write(&bench.store, entities(20, 30, 1), None, now).await;
    for (number, answer) in at_the_end.into_iter().enumerate() {
        let answer = answer.await.unwrap();
        let changes = answer["changes"].as_array().unwrap();
        let sequences: Vec<i64> = (changes.iter())
            .map(|change| change["sequence"].as_i64().unwrap())
            .collect();
        assert_eq!(sequences.len(), 1 + number % 3, "{answer}");
        let expected: Vec<i64> = (last + 1..).take(sequences.len()).collect();
        assert_eq!(sequences, expected);
        assert_eq!(answer["next"], json!(sequences.last().unwrap().to_string()));
    }
}

#[tokio::test]
async fn more_requests_than_may_wait_are_told_to_come_again() {
    let (bench, requests) = waiting_bench().await;
    let _all = bench
        .api
        .state
        .waiters
        .acquire_many(u32::try_from(MAX_WAITERS).unwrap())
        .await
        .unwrap();
    for (method, path, body) in requests {
        let answer = bench.ask(holder(Role::Admin, &[]), method, path, body, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{path}");
    }
}
