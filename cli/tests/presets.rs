//! `tideline presets`, and the other commands on a source of a named type.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::Home;

const LINE: &str = "sources:\n- name: platform\n  type: openchoreo\n  base_url: ${OC_URL}\n  auth: { bearer: topsecret }\n  rest: 1h\n";

#[test]
fn presets_are_listed_and_shown_and_a_users_source_is_shown_with_its_own_keys() {
    let home = Home::with(LINE);
    let list = home.run(&["presets", "list"]).with_code(0);
    assert!(
        list.out.contains("openchoreo") && list.out.contains("cluster_wide"),
        "{list:?}"
    );
    let shown = home.run(&["presets", "show", "openchoreo"]).with_code(0);
    assert!(
        shown.out.contains("  type: http\n") && shown.out.contains("/api/v1/namespaces"),
        "{shown:?}"
    );
    let own = home.run(&["presets", "show", "--source", "platform"]).with_code(0);
    assert!(
        own.out.contains("base_url: \"${OC_URL}\"") && own.out.contains("rest: 1h"),
        "{own:?}"
    );
    assert!(!own.out.contains("topsecret"), "{own:?}");
    let unknown = home.run(&["presets", "show", "openshift"]).with_code(5);
    assert!(unknown.err.contains("available presets: "), "{unknown:?}");
    home.run(&["presets", "show", "--source", "other"]).with_code(2);
}

#[test]
fn check_tells_a_mistake_at_the_key_that_the_user_wrote() {
    let home = Home::with(
        &LINE
            .replace("${OC_URL}", "https://a.example")
            .replace("rest:", "onwer: x\n  rest:"),
    );
    let check = home.run(&["check"]).with_code(2);
    assert!(
        check
            .err
            .contains("tideline.yaml:6:3: error: sources[0].onwer: unknown key"),
        "{check:?}"
    );
    home.write("tideline.yaml", &LINE.replace("${OC_URL}", "https://a.example"));
    let check = home.run(&["check"]).with_code(0);
    assert!(check.out.contains("openchoreo"), "{check:?}");
    home.write(
        "tideline.yaml",
        "sources:\n- { name: code, type: github, organization: acme, catalog_globs: ['**/*.yaml'] }\n",
    );
    home.run(&["check"]).with_code(0);
}

#[test]
fn a_private_key_that_is_none_is_told_at_its_key() {
    let app = |key: &str| {
        format!(
            "sources:\n- name: code\n  type: github\n  installation: true\n  auth:\n    github_app: {{ id: 1, private_key_file: {key} }}\n"
        )
    };
    let home = Home::with(&app("app.pem"));
    let check = home.run(&["check"]).with_code(2);
    let at = "tideline.yaml:6:44: error: sources[0].auth.github_app.private_key_file: cannot be read";
    assert!(check.err.contains(at), "{check:?}");
    home.write("app.pem", "not a key");
    let check = home.run(&["check"]).with_code(2);
    assert!(check.err.contains("is not a private key in PEM"), "{check:?}");
}
