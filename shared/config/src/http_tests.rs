use super::*;

fn confirm_cycles(pagination: &str) -> u32 {
    let text = rest_source(&format!(
        "  resources:\n  - {{ name: r, path: /r, pagination: {{ {pagination} }} }}\n"
    ));
    read(&text).sources[0].confirm_cycles
}

#[test]
fn cursors_and_links_may_hide_page_numbers_so_two_cycles_must_miss_an_entity() {
    for pagination in [
        "type: link_header",
        "type: next_url, next: .next",
        "type: next_url, header: X-Next",
        "type: cursor, next: .next, parameter: after",
        "type: header, header: X-Next, parameter: after",
        "type: page",
        "type: offset, size: { parameter: limit, value: 10 }",
    ] {
        assert_eq!(confirm_cycles(pagination), 2, "{pagination}");
        assert_eq!(
            confirm_cycles(&format!("{pagination}, stable: true")),
            1,
            "{pagination}"
        );
    }
    assert_eq!(confirm_cycles("type: none"), 1);
}

#[test]
fn a_query_parameter_that_the_pagination_sets_too_is_warned_of() {
    let text = rest_source(
        "  resources:\n  - { name: r, path: /r, query: { _page: 1, sort: name }, pagination: { type: page, parameter: _page } }\n",
    );
    let warnings = read(&text).sources[0].warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].0, "resources[0].query._page");
}

#[test]
fn a_name_that_is_the_same_for_all_items_is_warned_of() {
    let warnings = |name: &str| {
        let text = rest_source(&format!(
            "  resources:\n  - {{ name: r, path: /r, entity: {{ kind: thing, name: {name} }} }}\n"
        ));
        read(&text).sources[0].warnings()
    };
    let of_word = warnings("name");
    assert_eq!(of_word.len(), 1);
    assert_eq!(of_word[0].0, "resources[0].entity.name");
    assert!(of_word[0].1.contains("write .name"), "{of_word:?}");
    assert_eq!(warnings(".name"), []);
    assert_eq!(warnings("'\"name\"'"), [], "it is meant");
}

#[test]
fn a_variable_without_braces_is_warned_of_and_not_shown() {
    let warnings = |auth: &str| {
        let text = rest_source(&format!("  auth: {auth}\n  resources:\n  - {{ name: r, path: /r }}\n"));
        read(&text).sources[0].warnings()
    };
    for (auth, key) in [
        ("{ bearer: $API_TOKEN }", "auth.bearer"),
        (
            "{ basic: { username: u, password: $API_TOKEN } }",
            "auth.basic.password",
        ),
        ("{ header: { name: X-Key, value: $API_TOKEN } }", "auth.header.value"),
    ] {
        let warnings = warnings(auth);
        assert_eq!(warnings.len(), 1, "{auth}");
        assert_eq!(warnings[0].0, key);
        assert!(
            warnings[0].1.contains("${NAME}") && !warnings[0].1.contains("API_TOKEN"),
            "{warnings:?}"
        );
    }
    assert_eq!(warnings("{ bearer: $9x-1 }"), []);
}

#[test]
fn what_is_absent_and_what_ends_pages_has_defaults_by_place_and_type() {
    let text = rest_source(
        "  resources:\n  - { name: r, path: /r, pagination: { type: page } }\n  - { name: c, parent: r, values: { id: .id }, \
         path: \"/r/{id}\" }\n  - { name: d, parent: r, values: { id: .id }, path: \"/s/{id}\", absent: [409], \
         pagination: { type: link_header, end: { status: [422], no_link: true } } }\n",
    );
    let settings = read(&text);
    let SourceKind::Http(http) = &settings.sources[0].kind else {
        panic!("an http source")
    };
    let [root, child, other] = &http.resources[..] else {
        panic!("three resources")
    };
    assert_eq!((&root.absent[..], &root.end.status[..]), (&[][..], &[404][..]));
    assert_eq!((&child.absent[..], &child.end.status[..]), (&[404, 410][..], &[][..]));
    assert_eq!((&other.absent[..], &other.end.status[..]), (&[409][..], &[422][..]));
    assert!(other.end.no_link);
}

#[test]
fn a_rate_that_lets_requests_wait_longer_than_a_page_may_take_is_refused() {
    let resources = "  resources:\n  - { name: r, path: /r }\n";
    let text = rest_source(&format!(
        "  max_requests_per_second: 0.1\n  parallel_partitions: 10\n{resources}"
    ));
    let errors = errors_of(&text);
    assert!(errors.len() == 1 && errors[0].contains("page_timeout"), "{errors:?}");
    read(&rest_source(&format!("  max_requests_per_second: 0.5\n{resources}")));
}

#[test]
fn what_is_wrong_with_the_ends_of_pages_is_told_at_its_place() {
    let text = rest_source(
        "  next_urls: { hosts: [\"a/b\"], base_path: v1 }\n  resources:\n  - { name: r, path: /r, absent: [200], \
         pagination: { type: page, in: body, end: { short_page: true } } }\n  - { name: s, path: /s, pagination: { type: \
         next_url } }\n",
    );
    let errors = errors_of(&text).join("\n");
    for part in [
        "next_urls.hosts[0]",
        "next_urls.base_path",
        "resources[0].absent[0]",
        "resources[0].pagination.in",
        "resources[0].pagination.end.short_page",
        "exactly one of next and header",
    ] {
        assert!(errors.contains(part), "{part} is not in {errors}");
    }
}
