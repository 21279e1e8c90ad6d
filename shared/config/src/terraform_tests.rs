use crate::settings::{Auth, DEFAULT_ATTRIBUTES, RefreshScope, SourceKind, SourceSettings};
use crate::tests::{errors_of, read};

fn source(lines: &str) -> String {
    format!(
        "sources:\n- name: infra\n  type: terraform\n  organization: acme\n  auth: {{ bearer: \"${{API_TOKEN}}\" }}\n{lines}"
    )
}

fn only(text: &str) -> SourceSettings {
    read(text).sources.remove(0)
}

#[test]
fn a_line_of_configuration_is_enough() {
    let settings = only(
        "sources: [{ name: infra, type: terraform, organization: acme, workspaces: \"prod-*\", auth: { bearer: \"${API_TOKEN}\" } }]",
    );
    let SourceKind::Terraform(terraform) = &settings.kind else {
        panic!("a terraform source");
    };
    assert_eq!(terraform.http.base_url.as_str(), "https://app.terraform.io/api/v2");
    assert!(matches!(&terraform.http.auth, Auth::Bearer(token) if token.reveal() == "s3cret-token"));
    assert_eq!(terraform.workspaces, ["prod-*"]);
    assert_eq!(terraform.attributes, DEFAULT_ATTRIBUTES);
    assert_eq!(
        (terraform.outputs.as_slice(), terraform.data_sources),
        (["*".to_owned()].as_slice(), false)
    );
    assert_eq!(
        settings.confirm_cycles, 2,
        "workspaces may move between the pages of their list"
    );
    assert!(!format!("{settings:?}").contains("s3cret-token"));
}

#[test]
fn terraform_enterprise_is_named_with_or_without_the_path_of_its_api() {
    for url in [
        "https://tfe.example",
        "https://tfe.example/",
        "https://tfe.example/api/v2/",
    ] {
        let settings = only(&source(&format!("  base_url: {url}\n")));
        let SourceKind::Terraform(terraform) = settings.kind else {
            panic!("a terraform source");
        };
        assert_eq!(terraform.http.base_url.as_str(), "https://tfe.example/api/v2", "{url}");
    }
}

#[test]
fn a_wrong_line_is_told_at_its_own_key() {
    let errors = errors_of("sources:\n- name: infra\n  type: terraform\n  organization: acme inc\n");
    for part in ["sources[0].organization: must be letters", "auth: is missing"] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:?}");
    }
    let errors = errors_of(&source(
        "  labels: { tenant: a b }\n  download_hosts: [\"https://x\"]\n  workspace: x\n",
    ));
    for part in [
        "labels: must have names",
        "download_hosts[0]: must be a host",
        "did you mean \"workspaces\"",
    ] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:?}");
    }
}

#[test]
fn without_rules_of_its_own_it_follows_the_notifications_of_its_organization() {
    let settings = only(&source(""));
    let scopes: Vec<RefreshScope> = settings.on.iter().map(|rule| rule.refresh).collect();
    assert_eq!(scopes, [RefreshScope::Partition, RefreshScope::Source]);
    assert!(
        settings.on[0]
            .when
            .as_ref()
            .is_some_and(|when| when.contains("\"acme\""))
    );
    assert!(only(&source("  on: []\n")).on.is_empty());
    let own = "  on: [{ topic: terraform.*, refresh: partition, values: { workspace: .body.workspace_id } }]\n";
    assert_eq!(only(&source(own)).on.len(), 1);
    let errors = errors_of(&source("  on: [{ topic: a, refresh: partition, resource: x }]\n"));
    assert!(
        errors.iter().any(|error| error.contains("must be workspace")),
        "{errors:?}"
    );
    assert!(
        errors.iter().any(|error| error.contains("lack \"workspace\"")),
        "{errors:?}"
    );
}
