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
