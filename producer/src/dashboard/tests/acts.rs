//! Every act that a page offers, by the form that the page has for it.

use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::Role;
use tideline_store::conformance::{KIND, job_of};

use super::{EVIL, bench, bench_with, job, somebody, spec};
use crate::dashboard::format;

#[tokio::test]
async fn every_act_of_a_page_is_done_and_in_the_audit_log() {
    let bench = bench().await;
    let event = bench.hostile().await;
    let (store, now) = (&bench.store, SystemClock.now());
    store.enqueue(&[job("other")], now).await.unwrap();
    let (parked, waiting) = (
        job_of(store, KIND, EVIL).await.id,
        job_of(store, KIND, "other").await.id,
    );
    let name = format::encoded(EVIL);
    let acts = [
        (format!("/sources/{name}/pause"), "", "sources.pause"),
        (format!("/sources/{name}/resume"), "", "sources.resume"),
        (format!("/sources/{name}/refresh"), "", "sources.refresh"),
        (format!("/sources/{name}/cancel"), "", "sources.cancel"),
        (format!("/sources/{name}/reset"), "", "sources.reset"),
        (
            format!("/sources/{name}/delete"),
            "reason=r",
            "sources.reset_and_delete",
        ),
        (format!("/jobs/{parked}/retry"), "", "jobs.retry"),
        (format!("/jobs/{waiting}/cancel"), "reason=r", "jobs.cancel"),
        (format!("/events/{event}/replay"), "", "events.replay"),
        (format!("/subscriptions/{name}/pause"), "", "subscriptions.pause"),
        (format!("/subscriptions/{name}/resume"), "", "subscriptions.resume"),
        (format!("/subscriptions/{name}/retry"), "", "dead_letters.retry"),
        (format!("/subscriptions/{name}/drop"), "reason=r", "dead_letters.drop"),
        (
            format!("/subscriptions/{name}/replay"),
            "from=1h&reason=r",
            "subscriptions.replay",
        ),
        (
            format!("/subscriptions/{name}/delete"),
            "reason=r",
            "subscriptions.delete",
        ),
        (format!("/targets/{name}/pause"), "", "targets.pause"),
        (format!("/targets/{name}/resume"), "", "targets.resume"),
        (format!("/targets/{name}/resync"), "", "targets.resync"),
    ];
    for (path, form, act) in acts {
        if form.contains("reason") {
            let without = bench.post(&path, &form.replace("reason=r", "reason=")).await;
            assert_eq!(without.status, 400, "{act} asks for no reason");
        }
        let done = bench.post(&path, form).await;
        assert_eq!(done.status, 303, "{act}: {}", done.html);
        let audit = bench.get(&format!("/audit?act={act}")).await.html;
        assert!(audit.contains("somebody") && audit.contains(act), "{act}: {audit}");
    }
    for unknown in ["sources", "subscriptions", "targets"] {
        let refused = bench.post(&format!("/{unknown}/{name}/explode"), "").await;
        assert_eq!(refused.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_when_it_is_made_and_is_revoked_with_a_reason() {
    let bench = bench().await;
    let made = bench
        .post("/tokens", "name=ci&role=operate&sources=team-a-*%2C+b&days=90")
        .await;
    assert_eq!(made.status, 200, "{}", made.html);
    let secret = made.html.split("<p class=\"secret\">").nth(1).unwrap();
    let secret = secret.split('<').next().unwrap();
    assert!(secret.contains('_') && secret.len() > 40, "{secret}");
    let list = bench.get("/tokens").await.html;
    assert!(!list.contains(secret), "the secret is shown again");
    assert!(
        list.contains("team-a-*, b") && list.contains("in 89 d") && list.contains("never"),
        "{list}"
    );
    let path = list
        .split("action=\"")
        .find(|part| part.starts_with("/tokens/"))
        .unwrap();
    let (path, _) = path.split_once('"').unwrap();
    assert_eq!(bench.post(path, "reason=").await.status, 400);
    assert_eq!(bench.post(path, "reason=leaked").await.status, 303);
    assert!(bench.get("/tokens").await.html.contains("revoked"));
    assert!(bench.get("/audit?act=tokens.revoke").await.html.contains("leaked"));
}

#[tokio::test]
async fn a_job_links_to_its_trace_where_the_configuration_says_traces_are() {
    let bench = bench_with("dashboard: { trace_url: \"https://jaeger.example/trace/{trace_id}\" }\n").await;
    let mut traced = job("traced");
    traced.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    bench.store.enqueue(&[traced], SystemClock.now()).await.unwrap();
    let id = job_of(&bench.store, KIND, "traced").await.id;
    let link = "href=\"https://jaeger.example/trace/0af7651916cd43dd8448eb211c80319c\"";
    let shown = bench.get(&format!("/jobs/{id}")).await.html;
    assert!(shown.contains(link), "{shown}");
}

#[tokio::test]
async fn the_configuration_of_a_source_and_of_the_process_is_shown_with_defaults_and_without_secrets() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    let source = bench.get("/sources/s").await.html;
    for part in [
        "<dt>base_url</dt>",
        "http://localhost",
        "<dt>burst.length</dt>",
        " defaults</summary>",
    ] {
        assert!(source.contains(part), "{part}: {source}");
    }
    let process = bench.get("/operations").await.html;
    assert!(
        process.contains("<dt>worker.lease</dt>") && !process.contains("sources[0]"),
        "{process}"
    );
    for page in [source, process, bench.get("/hooks?name=ci").await.html] {
        assert!(!page.contains("s3cret"), "{page}");
    }
    let reader = bench.get_as(somebody(Role::Read, &[]), "/sources/s").await.html;
    assert!(!reader.contains("base_url"), "a reader sees the configuration");
}

#[tokio::test]
async fn the_first_page_with_its_files_is_small() {
    let bench = bench().await;
    bench.hostile().await;
    let mut bytes = 0;
    let page = bench.get("/").await.html;
    let files = page.split('"').filter(|part| part.starts_with("/assets/"));
    for path in std::iter::once("/").chain(files) {
        bytes += bench.get(path).await.html.len();
    }
    assert!(bytes < 60_000, "{bytes} bytes before they are compressed");
}
