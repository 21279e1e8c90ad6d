use std::time::Duration;
use tideline_core::words::Secret;

use proptest::prelude::*;

use super::settings::{Auth, EntityShape, Pagination, SourceKind, SourceSettings};
use super::*;

const EXAMPLE: &str = include_str!("../../../tideline.example.yaml");

fn env(name: &str) -> Option<String> {
    match name {
        "API_URL" => Some("https://api.example.com/v1".to_owned()),
        "API_TOKEN" => Some("s3cret-token".to_owned()),
        "INVENTORY_SECRET" => Some("s3cret-client".to_owned()),
        "NUMBER" => Some("17".to_owned()),
        "EVIL" => Some("x\nlisten: 0.0.0.0:1".to_owned()),
        _ => None,
    }
}

pub(crate) fn read(text: &str) -> Settings {
    parse(text, Path::new("conf/tideline.yaml"), &env).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors as `line:column path: message`.
pub(crate) fn errors_of(text: &str) -> Vec<String> {
    let Err(errors) = parse(text, Path::new("t.yaml"), &env) else {
        panic!("it has no errors");
    };
    let errors = errors.0.into_iter();
    errors
        .map(|error| {
            format!(
                "{}:{} {}: {}",
                error.at.line, error.at.column, error.path, error.message
            )
        })
        .collect()
}

/// A source of type rest with these lines in it.
fn rest_source(lines: &str) -> String {
    format!("sources:\n- name: a\n  type: http\n  base_url: https://a.example\n{lines}")
}

#[test]
fn an_empty_file_has_every_default() {
    let settings = read("");
    assert_eq!(settings.store.reveal(), "sqlite://conf/tideline.db");
    assert_eq!(settings.queue.reveal(), "in-process");
    assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:7070"));
    assert_eq!(settings.worker.concurrency, 8);
    assert_eq!(settings.worker.lease, Duration::from_secs(5));
    assert_eq!(settings.changes_retention, Duration::from_secs(7 * 86_400));
    assert_eq!(settings.shutdown_grace, Duration::from_secs(25));
    assert_eq!(settings.database.max_connections, 10);
    assert!(settings.sources.is_empty());
    assert_eq!(read("worker:\nlisten: none\n").listen, None);
}

#[test]
fn a_source_of_a_file_has_the_defaults_of_a_source_of_a_program() {
    let settings = read("sources: [{ name: a, type: files, path: x }]");
    let mut expected = SourceSettings::new("a");
    expected.source_type = "files".to_owned();
    expected.identity = settings.sources[0].identity;
    expected.kind = settings.sources[0].kind.clone();
    assert_eq!(format!("{:?}", settings.sources[0]), format!("{expected:?}"));
}

#[test]
fn the_example_is_read_as_it_says() {
    let settings = read(EXAMPLE);
    let [platform, inventory, files] = &settings.sources[..] else {
        panic!("three sources")
    };
    let SourceKind::Http(rest) = &platform.kind else {
        panic!("an http source")
    };
    assert_eq!(rest.base_url.as_str(), "https://api.example.com/v1");
    assert!(matches!(&rest.auth, Auth::Bearer(token) if token.reveal() == "s3cret-token"));
    assert_eq!(rest.cursor_expired[0].status, 500);
    assert_eq!(platform.parallel_partitions, 4);
    assert_eq!(platform.confirm_cycles, 2, "items may move between its pages");
    assert!(matches!(rest.resources[0].entity, EntityShape::None));
    assert!(matches!(&rest.resources[0].pagination, Pagination::Cursor { size: Some(size), .. } if size.size == 500));
    assert_eq!(rest.resources[2].parent.as_deref(), Some("projects"));
    assert_eq!(rest.resources[1].parent_values["org"], ".name");
    assert!(matches!(&rest.resources[1].entity, EntityShape::Named { namespace, .. } if namespace == "default"));
    assert_eq!(
        (inventory.rest, inventory.confirm_cycles),
        (None, 1),
        "it is said to be stable"
    );
    assert_eq!(
        inventory.schedule.as_ref().unwrap().to_string(),
        "30 2 * * * (Europe/Berlin)"
    );
    let SourceKind::Http(rest) = &inventory.kind else {
        panic!("an http source")
    };
    assert!(rest.resources[0].post && rest.resources[0].body.is_some());
    let SourceKind::Files(files) = &files.kind else {
        panic!("a files source")
    };
    assert_eq!(files.path, Path::new("conf/catalog"));
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", read(EXAMPLE));
    assert!(!printed.contains("s3cret"), "{printed}");
}

#[test]
fn what_variables_stand_for_in_paths_queries_and_bodies_is_known_as_secret() {
    let text = rest_source(
        "  headers: { X-Key: \"${INVENTORY_SECRET}\" }\n  resources:\n  - { name: r, path: \"/r/${INVENTORY_SECRET}\", \
         query: { a.b: \"x ${API_TOKEN}\", c: plain } }\n  - { name: s, path: /s, method: POST, \
         body: { list: [{ n: \"${NUMBER}\" }] } }\n",
    );
    let settings = read(&text);
    let SourceKind::Http(rest) = &settings.sources[0].kind else {
        panic!("an http source")
    };
    let known: Vec<&str> = rest.variables.iter().map(Secret::reveal).collect();
    assert_eq!(known, ["s3cret-client", "s3cret-token", "17"]);
    assert!(!format!("{:?}", rest.variables).contains("s3cret"));
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "worker:\n  concurrency: many\n  leese: 5s\nscheduler: { poll: 5h }\nsources:\n  - name: a\n    type: http\n    \
                burst: { length: 20m }\n    resources: []\n";
    assert_eq!(
        errors_of(text),
        [
            "2:16 worker.concurrency: must be a whole number from 1 to 10000, but is \"many\"",
            "3:3 worker.leese: unknown key \"leese\"; did you mean \"lease\"?",
            "4:20 scheduler.poll: must be a duration such as 10s, 1m30s, 250ms or 0, from 10ms to 1m, but is \"5h\"",
            "6:5 sources[0].base_url: is missing; it must be given (URL)",
            "8:22 sources[0].burst.length: must be a duration such as 10s, 1m30s, 250ms or 0, from 1s to 5m, but is \"20m\"",
            "9:16 sources[0].resources: must have at least one resource",
        ]
    );
}

#[test]
fn an_error_is_one_line_for_people_and_an_object_for_programs() {
    let errors = parse("wroker: 1", Path::new("dir/t.yaml"), &env).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "dir/t.yaml:1:1: error: wroker: unknown key \"wroker\"; did you mean \"worker\"?"
    );
    assert_eq!(
        serde_json::to_value(&errors).unwrap(),
        serde_json::json!([{
            "file": "dir/t.yaml", "line": 1, "column": 1, "path": "wroker",
            "message": "unknown key \"wroker\"; did you mean \"worker\"?",
        }])
    );
}

#[test]
fn an_unknown_key_that_resembles_none_gets_the_list_of_known_ones() {
    assert_eq!(
        errors_of("shutdown: { whatever: 1 }"),
        ["1:13 shutdown.whatever: unknown key \"whatever\"; expected one of: grace"]
    );
}

#[test]
fn a_value_of_the_wrong_shape_is_told() {
    assert_eq!(
        errors_of("worker: 5\nsources: {}\n"),
        [
            "1:9 worker: must be a mapping of keys, but is a single value",
            "2:10 sources: must be a list, but is a mapping",
        ]
    );
    assert_eq!(errors_of("- 1\n"), ["1:1 : must be a mapping of keys, but is a list"]);
    assert_eq!(
        errors_of("listen: [1]\n"),
        ["1:9 listen: must be `host:port` or `none`, but is a list"]
    );
}

#[test]
fn a_missing_variable_is_named_with_its_place_and_no_value_is_ever_shown() {
    let text = "store: postgres://u:${PASSWORD}@db/x\nlisten: ${API_TOKEN}\nqueue: http://user:pass@host\n";
    assert_eq!(
        errors_of(text),
        [
            "1:8 store: the environment variable PASSWORD is not set",
            "2:9 listen: must be host:port with a port from 0 to 65535, or none, but is the value with ${API_TOKEN}",
            "3:8 queue: the URL must start with nats:// or tls://",
        ]
    );
}

#[test]
fn a_parameter_of_the_stores_url_that_nobody_knows_is_an_error() {
    let errors = errors_of("store: postgres://u:hush@db/x?sslmod=require\n");
    assert!(
        errors[0].starts_with("1:8 store: parameter \"sslmod\" of the URL is not known; there are ")
            && errors.len() == 1,
        "{errors:?}"
    );
    assert!(!errors[0].contains("hush"), "{errors:?}");
}

#[test]
fn files_that_urls_name_count_from_the_folder_of_the_configuration() {
    let settings = read(
        "store: postgres://u:p@db/x?sslmode=verify-full&sslrootcert=ca.pem\nqueue: nats://a:1,b:2?creds=/n.creds\n",
    );
    assert_eq!(
        settings.store.reveal(),
        "postgres://u:p@db/x?sslmode=verify-full&sslrootcert=conf%2Fca.pem"
    );
    assert_eq!(settings.queue.reveal(), "nats://a:1,b:2?creds=%2Fn.creds");
}

#[test]
fn a_variable_is_a_value_and_cannot_add_keys() {
    assert_eq!(read("worker: { concurrency: \"${NUMBER}\" }").worker.concurrency, 17);
    let settings = read("listen: none\nsources: [{ name: a, type: files, path: \"${EVIL}\" }]");
    assert_eq!(settings.listen, None);
    let SourceKind::Files(files) = &settings.sources[0].kind else {
        panic!("a files source")
    };
    assert_eq!(files.path, Path::new("conf/x\nlisten: 0.0.0.0:1"));
}

#[test]
fn names_must_be_unique_and_plain() {
    let text = "sources:\n- { name: a, type: files, path: x }\n- { name: a, type: files, path: y }\n- { name: a/b, type: files, \
                path: y }\n- { type: files, path: y }\n";
    assert_eq!(
        errors_of(text),
        [
            "3:11 sources[1].name: sources[0] already has the name \"a\"",
            "4:11 sources[2].name: must be 1 to 63 letters, digits, `-`, `_` or `.`, but is \"a/b\"",
            "5:3 sources[3].name: is missing; it must be given (text)",
        ]
    );
}

#[test]
fn an_unknown_type_hides_no_other_error_and_adds_none() {
    let text = "sources:\n- name: a\n  type: htpt\n  base_url: x\n  burst: { length: 0 }\n";
    assert_eq!(
        errors_of(text),
        [
            "3:9 sources[0].type: unknown value \"htpt\"; did you mean \"http\"?",
            "5:20 sources[0].burst.length: must be a duration such as 10s, 1m30s, 250ms or 0, from 1s to 5m, but is \"0\"",
        ]
    );
}

#[test]
fn a_key_of_another_variant_is_unknown() {
    let text = rest_source("  resources:\n  - name: r\n    path: /r\n    pagination: { type: page, next: .x }\n");
    assert_eq!(
        errors_of(&text),
        [
            "8:31 sources[0].resources[0].pagination.next: unknown key \"next\"; expected one of: type, parameter, first, in, size, \
          total_pages, total, end, stable"
        ]
    );
}

#[test]
fn templates_name_values_of_the_parents() {
    let text = rest_source(
        "  resources:\n  - { name: r, path: \"/{org}\" }\n  - name: s\n    parent: r\n    values: { org: .name }\n    path: \
         \"/{org}/{{nothing}}/{ogr}\"\n  - name: t\n    parent: s\n    values: { id: .id }\n    path: \"/{org}/{id}\"\n    query: \
         { q: \"{x}\" }\n",
    );
    assert_eq!(
        errors_of(&text),
        [
            "6:22 sources[0].resources[0].path: {org} names no value: this resource has none; give it a parent and values",
            "10:11 sources[0].resources[1].path: {nothing} names no value: unknown value \"nothing\"; expected one of: org",
            "10:11 sources[0].resources[1].path: {ogr} names no value: unknown value \"ogr\"; did you mean \"org\"?",
            "15:17 sources[0].resources[2].query.q: {x} names no value: unknown value \"x\"; expected one of: id, org",
        ]
    );
}

#[test]
fn parents_exist_and_come_first() {
    let text = rest_source(
        "  resources:\n  - { name: a, path: /a, parent: b, values: { x: .x } }\n  - { name: b, path: /b, parent: c, values: { x: \
         .x } }\n  - { name: b, path: /b, parent: a }\n  - { name: d, path: /d, values: { x: .x } }\n",
    );
    assert_eq!(
        errors_of(&text),
        [
            "6:34 sources[0].resources[0].parent: the first resource has no parent",
            "7:34 sources[0].resources[1].parent: unknown resource \"c\"; expected one of: a; a parent must come before its children",
            "8:5 sources[0].resources[2].values: a child needs at least one value that tells its parents apart",
            "8:13 sources[0].resources[2].name: another resource of this source already has the name \"b\"",
            "9:34 sources[0].resources[3].values: have no effect without a parent",
        ]
    );
}

#[test]
fn pauses_fit_together() {
    let file = |lines: &str| format!("sources:\n- name: a\n  type: files\n  path: x\n{lines}");
    let source = |lines: &str| read(&file(lines)).sources.remove(0);
    assert_eq!(source("  schedule: '@daily'\n").rest, None);
    let both = source("  schedule: '@daily'\n  rest: 1h\n");
    assert_eq!(both.rest, Some(Duration::from_secs(3_600)));
    assert_eq!(
        errors_of(&file("  rest: none\n")),
        ["5:9 sources[0].rest: may only be none if there is a schedule"]
    );
    assert_eq!(
        errors_of(&file("  time_zone: Europe/Berlin\n")),
        ["5:14 sources[0].time_zone: has no effect without a schedule"]
    );
    assert_eq!(
        errors_of(&file("  schedule: 0 0 30 2 *\n  time_zone: Mars\n")),
        [
            "5:13 sources[0].schedule: must match a time in the future, but is \"0 0 30 2 *\"",
            "6:14 sources[0].time_zone: must be an IANA time zone, such as `UTC` or `Europe/Berlin`, but is \"Mars\"",
        ]
    );
    assert_eq!(
        errors_of(&file("  schedule: 99 * * * *\n")),
        ["5:13 sources[0].schedule: must be a cron expression (number out of bounds), but is \"99 * * * *\""]
    );
}

#[test]
fn one_way_to_prove_who_asks() {
    let auth = |auth: &str| {
        errors_of(&rest_source(&format!(
            "  auth: {auth}\n  resources: [{{ name: r, path: / }}]\n"
        )))
    };
    assert_eq!(
        auth("{ bearer: x, basic: { username: u, password: p } }"),
        ["5:9 sources[0].auth: must have exactly one of bearer, basic, header, oauth2, file, github_app, but has 2"]
    );
    assert_eq!(
        auth("{ basic: { username: u } }"),
        ["5:18 sources[0].auth.basic.password: is missing; it must be given (secret)"]
    );
    assert_eq!(
        auth("{ header: { name: 'a b', value: \"se\\ncret\" } }"),
        [
            "5:27 sources[0].auth.header.name: must be the name of a header: letters, digits and `-`, but is \"a b\"",
            "5:41 sources[0].auth.header.value: must have no line breaks or other control characters, at its end neither",
        ]
    );
}

#[test]
fn the_identity_changes_with_the_data_and_not_with_secrets_or_timing() {
    let base =
        "base_url: https://a.example\n  auth: { bearer: one }\n  rest: 5m\n  resources: [{ name: r, path: /r }]\n";
    let identity = |text: &str| read(&format!("sources:\n- name: a\n  type: http\n  {text}")).sources[0].identity;
    let first = identity(base);
    assert_eq!(first, identity(&base.replace("one", "two").replace("5m", "6m")));
    assert_ne!(first, identity(&base.replace("a.example", "b.example")));
    assert_ne!(first, identity(&base.replace("/r", "/s")));
    let tenants = ["red", "blue"].map(|tenant| identity(&format!("{base}  headers: {{ X-Tenant: {tenant} }}\n")));
    assert_ne!(tenants[0], tenants[1], "a header may choose what is shown");
}

#[test]
fn what_is_found_on_examination_gets_its_place_among_the_other_errors() {
    let examine = |read: Examined<'_>| {
        let Examined::Source(source) = read else { return vec![] };
        let found = [
            "resources[0].items",
            "resources[0].pagination.next",
            "resources[1].values.x",
        ];
        found
            .map(|key| (key.to_owned(), format!("of {}", source.name)))
            .to_vec()
    };
    let text = "stroe: x\nsources:\n- { name: none }\n- name: a\n  type: http\n  base_url: nonsense\n  resources:\n  - name: r\n    \
                path: r\n    items: .[\n    pagination: { type: cursor, parameter: c }\n  - { name: s, parent: r, path: s, values: { x: . } }\n";
    let errors = parse_examined(text, Path::new("t.yaml"), &env, &examine).unwrap_err();
    let short: Vec<(usize, &str, bool)> = errors
        .0
        .iter()
        .map(|error| (error.at.line, error.path.as_str(), error.message == "of a"))
        .collect();
    assert_eq!(
        short,
        [
            (1, "stroe", false),
            (3, "sources[0].type", false),
            (6, "sources[1].base_url", false),
            (10, "sources[1].resources[0].items", true),
            // It is missing, so the examined value does not come from the file.
            (11, "sources[1].resources[0].pagination.next", false),
            (12, "sources[1].resources[1].values.x", true),
        ],
        "{errors}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_of_its_own() {
    let errors = load(Path::new("does/not/exist.yaml"), &env).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("does/not/exist.yaml:1:1: error: cannot be read: "),
        "{errors}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = parse(&text, Path::new("t.yaml"), &env);
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_reader_panic(
        cuts in prop::collection::vec((0_usize..EXAMPLE.len(), 0_usize..40, "[-a-z:{}\\[\\]\"'$0-9 \n]{0,6}"), 1..8),
    ) {
        let mut text = EXAMPLE.as_bytes().to_vec();
        for (start, length, put) in cuts {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, put.bytes());
        }
        if let Err(errors) = parse(&String::from_utf8_lossy(&text), Path::new("t.yaml"), &env) {
            prop_assert!(!errors.0.is_empty());
            prop_assert!(!errors.to_string().contains("s3cret"));
        }
    }
}

#[path = "http_tests.rs"]
mod http;

#[test]
fn a_secret_key_that_seals_nothing_is_an_error_of_the_configuration() {
    let wrong = errors_of("listen: none\nsecret_key: abc\n");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].starts_with("2:13 secret_key: must be 32 bytes in base64 or in 64"),
        "{wrong:?}"
    );
    assert!(!wrong[0].contains("abc"), "{wrong:?}");
    let parse_with = |text: &str, key: &'static str| {
        let env = move |name: &str| (name == "TIDELINE_SECRET_KEY").then(|| key.to_owned());
        parse(text, Path::new("t.yaml"), &env).map_err(|errors| errors.to_string())
    };
    let wrong = parse_with("", "abc").unwrap_err();
    assert!(
        wrong.contains("the environment variable TIDELINE_SECRET_KEY must be 32 bytes"),
        "{wrong}"
    );
    let good = "07".repeat(32);
    let settings = parse_with(&format!("secret_key: \"{good}\"\n"), "abc").unwrap();
    assert_eq!(settings.secret_key.unwrap().reveal(), good);
    assert!(parse_with("", " \n").unwrap().secret_key.is_none());
}
