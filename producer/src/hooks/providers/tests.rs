use axum::http::{HeaderName, HeaderValue};

use super::*;

fn understood(provider: HookProvider, pairs: &[(&str, &str)], body: &str) -> Understood {
    let pair = |(name, value): &(&str, &str)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    };
    let headers = pairs.iter().map(pair).collect();
    let document = Document::parse(body.as_bytes()).unwrap();
    let received = Received {
        headers: &headers,
        document: &document,
        id_header: Some("x-id"),
    };
    read(provider, &received)
}

fn is(id: Id, event: &str, key: &str) -> Understood {
    Understood {
        id,
        event: Some(event.to_owned()),
        key: key.to_owned(),
    }
}

fn given(id: &str) -> Id {
    Id::Given(id.to_owned())
}

#[test]
fn a_webhook_of_each_provider_says_its_id_its_event_and_what_it_is_about() {
    use HookProvider::{AzureDevops, Bitbucket, Gerrit, Github, Gitlab, Hmac, Standard, Terraform};
    let headers = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "guid-1")];
    let found = understood(
        Github,
        &headers,
        r#"{"ref":"refs/heads/main","repository":{"id":42,"full_name":"a/b"}}"#,
    );
    assert_eq!(found, is(given("guid-1"), "push", "repository/42"));
    let found = understood(Github, &headers[..1], r#"{"organization":{"id":7}}"#);
    assert_eq!(found, is(Id::Content, "push", "organization/7"));
    let headers = [("X-Gitlab-Event", "Push Hook"), ("Idempotency-Key", "k")];
    let found = understood(Gitlab, &headers, r#"{"object_kind":"push","project":{"id":15}}"#);
    assert_eq!(found, is(given("k"), "push", "project/15"));
    let headers = [("X-Event-Key", "repo:push"), ("X-Request-UUID", "u")];
    let found = understood(Bitbucket, &headers, r#"{"repository":{"uuid":"{1}"}}"#);
    assert_eq!(found, is(given("u"), "repo:push", "repository/{1}"));
    let body = r#"{"id":"e","eventType":"git.push","resource":{"repository":{"id":"r"}}}"#;
    assert_eq!(
        understood(AzureDevops, &[], body),
        is(given("e"), "git.push", "repository/r")
    );
    let body = r#"{"type":"ref-updated","refUpdate":{"project":"p"},"eventCreatedOn":1}"#;
    assert_eq!(
        understood(Gerrit, &[], body),
        is(Id::Content, "ref-updated", "project/p")
    );
    let body = r#"{"type":"service.updated","data":{"id":"s"}}"#;
    assert_eq!(
        understood(Standard, &[("webhook-id", "m")], body),
        is(given("m"), "service.updated", "s")
    );
    assert_eq!(
        understood(Hmac, &[("x-id", "1")], body),
        is(given("1"), "service.updated", "")
    );
    let body = r#"{"workspace_id":"ws-1","notifications":[{"trigger":"run:applying"},{"trigger":"run:completed"}]}"#;
    assert_eq!(
        understood(Terraform, &[], body),
        is(Id::Content, "run:completed", "workspace/ws-1")
    );
    let body = r#"{"trigger_scope":"assessment","trigger":"assessment:drifted","details":{"workspace_id":"ws-2"}}"#;
    assert_eq!(
        understood(Terraform, &[], body),
        is(Id::Content, "assessment:drifted", "workspace/ws-2")
    );
}

#[test]
fn terraforms_verification_has_no_workspace_and_is_an_event_like_any_other() {
    let body = r#"{"payload_version":1,"run_id":null,"workspace_id":null,"workspace_name":null,
        "notifications":[{"message":"Verification of x","trigger":"verification","run_status":null}]}"#;
    let found = understood(HookProvider::Terraform, &[], body);
    assert_eq!(found, is(Id::Content, "verification", ""));
}

#[test]
fn two_updates_of_one_thing_in_openchoreo_are_two_events() {
    let body = r#"{"kind":"Component","name":"web","namespace":"shop","action":"updated"}"#;
    let found = understood(HookProvider::Openchoreo, &[], body);
    assert_eq!(found, is(Id::Each, "component.updated", "component/shop/web"));
}
