#![allow(clippy::unwrap_used, reason = "this is test code")]

use std::path::Path;
use std::time::Duration;

use super::settings::{Auth, DriftAction, OnInvalid, Removal, Settings, TargetKind, TokenEndpoint};

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    super::parse(text, Path::new("t.yaml"), &|_| None).map_err(|errors| {
        let errors = errors.0.into_iter();
        errors
            .map(|error| format!("{}: {}", error.path, error.message))
            .collect()
    })
}

#[test]
fn a_microcks_target_needs_an_address_and_has_the_documented_defaults() {
    let settings = parse(
        "targets:\n- name: mocks\n  type: microcks\n  base_url: https://microcks.example/api/\n  follow: { sources: [code], kinds: [API] }\n  \
         auth: { oauth2: { issuer: 'https://keycloak.example/realms/a', client_id: sync, client_secret: hush } }\n",
    )
    .unwrap();
    let target = &settings.targets[0];
    let TargetKind::Microcks(microcks) = &target.kind else {
        panic!("a Microcks target");
    };
    assert_eq!(microcks.base_url.as_str(), "https://microcks.example/");
    assert_eq!(microcks.annotation, "bcgov/microcks-config-ref");
    assert_eq!(
        (microcks.adopt, microcks.on_invalid, microcks.drift),
        (false, OnInvalid::Keep, DriftAction::Reconcile)
    );
    assert_eq!(microcks.drift_interval, Some(Duration::from_secs(3_600)));
    assert_eq!((target.concurrency, target.timeout), (4, Duration::from_secs(10)));
    assert_eq!(target.follow.kinds, ["api"]);
    let Auth::ClientCredentials { tokens, .. } = &target.auth else {
        panic!("client credentials");
    };
    assert!(matches!(tokens, TokenEndpoint::Issuer(url) if url.path() == "/realms/a"));
}

#[test]
fn an_http_target_says_how_changes_are_sent() {
    let settings = parse(
        "targets:\n- name: search\n  type: http\n  url: https://s.example/e/{kind}/{namespace}/{name}\n  removal: tombstone\n  \
         snapshot: true\n  method: POST\n",
    )
    .unwrap();
    let TargetKind::Http(http) = &settings.targets[0].kind else {
        panic!("an http target");
    };
    assert_eq!(
        (http.post, http.removal, http.snapshot),
        (true, Removal::Tombstone, true)
    );
}

#[test]
fn what_is_wrong_with_a_target_is_told_at_its_key() {
    let errors = parse(
        "targets:\n- name: a\n  type: microcks\n- name: a\n  type: http\n  url: https://{kind}.example/{id}\n- name: b\n  type: http\n  \
         url: https://b.example/{nam}\n  adopt: true\n",
    )
    .unwrap_err();
    let wanted = [
        "targets[0].base_url: is missing",
        "targets[1].name: targets[0] has the name \"a\" already",
        "targets[1].url: must have only {kind}, {namespace} and {name}",
        "targets[2].url: must have only",
        "targets[2].adopt: unknown key \"adopt\"",
    ];
    for (error, wanted) in errors.iter().zip(wanted) {
        assert!(error.starts_with(wanted), "{errors:?}");
    }
    assert_eq!(errors.len(), wanted.len(), "{errors:?}");
}

#[test]
fn tokens_come_from_an_url_or_from_an_issuer_and_not_from_both() {
    let auth = |keys: &str| {
        parse(&format!(
            "targets:\n- name: a\n  type: microcks\n  base_url: https://m.example\n  auth: {{ oauth2: {{ {keys} client_id: a, \
             client_secret: b }} }}\n"
        ))
    };
    assert!(auth("token_url: 'https://t.example',").is_ok());
    let neither = auth("").unwrap_err();
    assert!(neither[0].contains("token_url: is missing; set"), "{neither:?}");
    let both = auth("token_url: 'https://t.example', issuer: 'https://i.example',").unwrap_err();
    assert!(
        both[0].contains("issuer: must not be set together with token_url"),
        "{both:?}"
    );
}

#[test]
fn a_handler_has_a_kind_of_its_own_and_a_secret() {
    let settings = parse("handlers:\n- kind: send-mail\n  url: https://m.example/jobs\n  secret: any-text\n").unwrap();
    assert_eq!(settings.handlers[0].kind, "send-mail");
    let errors = parse("handlers:\n- kind: refresh\n  url: https://m.example/jobs\n").unwrap_err();
    assert!(
        errors
            .iter()
            .any(|error| error.contains("handlers[0].kind: must not be one of")),
        "{errors:?}"
    );
    assert!(
        errors
            .iter()
            .any(|error| error.contains("handlers[0].secret: is missing")),
        "{errors:?}"
    );
}

#[test]
fn a_malformed_standard_webhooks_secret_of_a_handler_is_refused() {
    let errors =
        parse("handlers:\n- kind: send-mail\n  url: https://m.example/jobs\n  secret: whsec_aaaa\n").unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains("handlers[0].secret: must be whsec_ and 24 to 64 bytes"),
        "{errors:?}"
    );
}
