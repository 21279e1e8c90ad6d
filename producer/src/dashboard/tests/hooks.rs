//! Hooks: what came, and what a person does about their webhooks.

use std::sync::Arc;

use serde_json::json;
use tideline_core::words::Role;
use tideline_store::HookSecretStore as _;

use super::{bench, over, somebody};
use crate::registration::tests::{Fake, gateway_with, terraform_api};

#[tokio::test]
async fn a_hook_shows_what_it_refused_and_why() {
    let bench = bench().await;
    bench.hostile().await;
    let list = bench.get("/hooks").await.html;
    assert!(
        list.contains("wrong signatures") && list.contains("/hooks?name=ci"),
        "{list}"
    );
    let hook = bench.get("/hooks?name=ci").await.html;
    assert!(
        hook.contains("3 webhooks of the last 24 hours") && hook.contains("Last refused"),
        "{hook}"
    );
    assert_eq!(bench.get("/hooks?name=none").await.status, 404);
    assert_eq!(bench.get_as(somebody(Role::Read, &["s"]), "/hooks").await.status, 403);
}

fn configuration(api: &str, workspaces: &str) -> String {
    format!(
        "public_url: {{url}}\nsecret_key: \"{}\"\nhooks: [{{ name: tfc, provider: terraform, stored_secret: true }}]\nsources:\n  - \
         {{ name: infra, type: terraform, organization: acme, base_url: \"{api}\", auth: {{ bearer: tfc-token }}, {workspaces} }}\n",
        "07".repeat(32)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_is_registered_verified_and_gets_another_secret_from_its_page() {
    let fake = Arc::new(Fake::default());
    let api = terraform_api(Arc::clone(&fake)).await;
    let gateway = gateway_with(&configuration(api.as_str(), "workspaces: [prod-net]")).await;
    let bench = over(&gateway.api, Arc::clone(&gateway.store) as _);
    let page = bench.get("/hooks?name=tfc").await.html;
    for part in [
        "prod-net of acme",
        "act=verify",
        "act=rotate",
        "tideline hooks register --rotate terraform",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let none = bench.post("/hooks?name=tfc&act=verify", "").await;
    assert!(none.html.contains("Register it first"), "{}", none.html);

    let made = bench.post("/hooks?name=tfc&act=register", "").await;
    assert!(
        made.html.contains("workspace prod-net") && made.html.contains("created"),
        "{}",
        made.html
    );
    assert_eq!(
        gateway.topics().await,
        ["tfc.verification"],
        "it was signed with the secret that was made"
    );
    let verified = bench.post("/hooks?name=tfc&act=verify", "").await;
    assert!(
        verified.html.contains("verified") && verified.html.contains("successful (202)"),
        "{}",
        verified.html
    );

    assert_eq!(
        bench.post("/hooks?name=tfc&act=rotate", "reason=").await.status,
        400,
        "it needs a reason"
    );
    let rotated = bench.post("/hooks?name=tfc&act=rotate", "reason=somebody+left").await;
    assert!(
        rotated.status == 200 && rotated.html.contains("updated"),
        "{}",
        rotated.html
    );
    let sealed = gateway.store.list_hook_secrets("tfc").await.unwrap();
    assert_eq!(sealed.len(), 2, "the one before still verifies");
    let again = bench.post("/hooks?name=tfc&act=register", "").await;
    assert!(again.html.contains("updated"), "{}", again.html);
    assert_eq!(
        gateway.store.list_hook_secrets("tfc").await.unwrap(),
        sealed,
        "registering makes no other secret"
    );
    assert_eq!(fake.configurations.lock().len(), 1);

    let audit = bench.get("/audit").await.html;
    for part in ["hooks.verify", "hooks.register", "hooks.save_secret", "somebody left"] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    gateway.runtime.stop().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_refuses_is_shown_and_only_administrators_change_webhooks() {
    let fake = Arc::new(Fake::default());
    let api = terraform_api(Arc::clone(&fake)).await;
    let gateway = gateway_with(&configuration(api.as_str(), "workspaces: [gone]")).await;
    let bench = over(&gateway.api, Arc::clone(&gateway.store) as _);
    let failed = bench.post("/hooks?name=tfc&act=verify", "").await;
    assert!(
        failed.html.contains("workspace gone") && failed.html.contains("&lt;b&gt;not found"),
        "{}",
        failed.html
    );
    let acts = ["verify", "register", "rotate"];
    for (role, allowed) in [(Role::Read, [false; 3]), (Role::Operate, [true, false, false])] {
        let page = bench.get_as(somebody(role, &[]), "/hooks?name=tfc").await.html;
        for (act, allowed) in acts.into_iter().zip(allowed) {
            assert_eq!(page.contains(&format!("act={act}")), allowed, "{role} {act}");
            let path = format!("/hooks?name=tfc&act={act}");
            let answer = bench.post_as(somebody(role, &[]), &path, "reason=r").await;
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role} {act}");
        }
    }
    assert_eq!(fake.configurations.lock().as_slice(), [json!(null); 0]);
    gateway.runtime.stop().cancel();
}

#[tokio::test]
async fn a_hook_whose_webhooks_are_not_known_says_what_is_missing() {
    let bench = bench().await;
    let page = bench.get("/hooks?name=ci").await.html;
    assert!(!page.contains("act=verify"), "{page}");
    let refused = bench.post("/hooks?name=ci&act=verify", "").await;
    assert!(
        refused.status == 400 && refused.html.contains("cannot be registered"),
        "{}",
        refused.html
    );
    assert_eq!(bench.post("/hooks?name=none&act=verify", "").await.status, 404);
    assert_eq!(bench.post("/hooks?name=ci&act=explode", "").await.status, 400);
}
