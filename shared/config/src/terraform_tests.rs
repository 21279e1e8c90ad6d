use crate::settings::{Auth, DEFAULT_ATTRIBUTES, RefreshScope, SourceKind, SourceSettings};
use crate::tests::{errors_of, read};
use tideline_core::rules::{Schedule, next_cycle_at};
use tideline_core::words::Timestamp;

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

/// When the next cycle and the next check begin, counted from midnight, in hours.
fn hours(settings: &SourceSettings) -> (Option<u64>, Option<u64>) {
    let midnight = Timestamp(0);
    let hour = |next: Option<Timestamp>| next.map(|next| next.since(midnight).as_secs() / 3_600);
    let check = settings.check.as_ref();
    (
        hour(next_cycle_at(midnight, settings.rest, settings.schedule.as_ref())),
        hour(check.and_then(|check| next_cycle_at(midnight, check.every, check.schedule.as_ref()))),
    )
}

#[test]
fn without_pauses_of_its_own_it_is_read_every_six_hours_and_checked_every_twelve() {
    let usual = only(&source(""));
    assert_eq!((hours(&usual), usual.rest), ((Some(6), Some(3)), None));
    let schedules = [
        usual.schedule.as_ref(),
        usual.check.as_ref().and_then(|check| check.schedule.as_ref()),
    ];
    let second = |schedule: &Schedule| schedule.next_after(schedule.next_after(Timestamp(0))?);
    let second = schedules.map(|schedule| schedule.and_then(second).map(|next| next.0 / 3_600_000));
    assert_eq!(second, [Some(12), Some(15)]);
}

#[test]
fn pauses_of_its_own_replace_the_usual_ones() {
    for (lines, expected) in [
        ("  rest: 1h\n", (Some(1), Some(3))),
        ("  schedule: \"0 2 * * *\"\n", (Some(2), Some(3))),
        ("  rest: none\n", (Some(6), Some(3))),
        ("  check: { every: 2h }\n", (Some(6), Some(2))),
        ("  check: { schedule: \"0 5 * * *\" }\n", (Some(6), Some(5))),
        ("  check: { timeout: 1h }\n", (Some(6), Some(3))),
        ("  check: { every: none }\n", (Some(6), None)),
        ("  time_zone: Etc/GMT-1\n", (Some(5), Some(3))),
    ] {
        assert_eq!(hours(&only(&source(lines))), expected, "{lines}");
    }
}
