//! Filters of lists. They are in the address, so that a list can be bookmarked and shared; and they have the names of
//! the API.

use maud::{Markup, html};

use super::viewer::{Fields, address};

/// One filter of a list.
pub(super) struct Filter {
    /// In the address, and of the API.
    pub(super) name: &'static str,
    label: &'static str,
    hint: &'static str,
    choices: &'static [&'static str],
    search: bool,
}

impl Filter {
    /// A free text.
    pub(super) const fn text(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self {
            name,
            label,
            hint,
            choices: &[],
            search: false,
        }
    }

    /// The text field that `/` focuses.
    pub(super) const fn search(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self {
            search: true,
            ..Self::text(name, label, hint)
        }
    }

    /// One of these words.
    pub(super) const fn choice(name: &'static str, label: &'static str, choices: &'static [&'static str]) -> Self {
        Self {
            choices,
            ..Self::text(name, label, "")
        }
    }
}

impl Fields {
    /// The filters that are set, for the API.
    pub(super) fn values(&self, filters: &'static [Filter]) -> Vec<(&'static str, &str)> {
        let value = |filter: &'static Filter| (filter.name, self.get(filter.name));
        filters
            .iter()
            .map(value)
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// Whether a filter is set.
    pub(super) fn any(&self, filters: &'static [Filter]) -> bool {
        !self.values(filters).is_empty()
    }

    /// The command that lists the same.
    pub(super) fn command(&self, command: &str, filters: &'static [Filter]) -> String {
        let mut text = command.to_owned();
        for (name, value) in self.values(filters) {
            text.push_str(&format!(" --{name} {}", quoted(value)));
        }
        text
    }
}

/// A word, quoted for a shell.
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

/// The form of a list.
pub(super) fn filters(path: &str, filters: &'static [Filter], query: &Fields) -> Markup {
    filters_with(path, filters, query, &[])
}

/// The form of a list whose filter `source` offers these names.
pub(super) fn filters_with(path: &str, filters: &'static [Filter], query: &Fields, sources: &[String]) -> Markup {
    html! {
        @if !sources.is_empty() { datalist #sources { @for source in sources { option value=(source) {} } } }
        form.filters method="get" action=(path) role="search" {
            @for filter in filters {
                @let id = format!("filter-{}", filter.name);
                @let value = query.get(filter.name);
                div {
                    label for=(id) { (filter.label) }
                    @let offers = filter.name == "source" && !sources.is_empty();
                    @if filter.choices.is_empty() {
                        input id=(id) name=(filter.name) value=(value) placeholder=(filter.hint) autocomplete="off" spellcheck="false"
                            type=(if filter.search { "search" } else { "text" }) list=[offers.then_some("sources")];
                    } @else {
                        select id=(id) name=(filter.name) {
                            option value="" { "any" }
                            @for choice in filter.choices { option value=(choice) selected[*choice == value] { (choice) } }
                        }
                    }
                }
            }
            div.go {
                button { "Filter" }
                @if query.any(filters) { a href=(path) { "Clear" } }
            }
        }
    }
}

/// Links to the next part of a list, and back to its beginning.
pub(super) fn pager(path: &str, filters: &'static [Filter], query: &Fields, next: Option<&str>) -> Markup {
    let values = query.values(filters);
    let first = (!query.get("page_token").is_empty()).then(|| address(path, &values));
    let next = next.map(|token| {
        let mut values = values.clone();
        values.push(("page_token", token));
        address(path, &values)
    });
    html! {
        @if first.is_some() || next.is_some() {
            nav.pager aria-label="Pages" {
                @if let Some(first) = first { a href=(first) { "← First page" } }
                @if let Some(next) = next { a.button href=(next) rel="next" { "Next page →" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[Filter] = &[
        Filter::text("name", "Name", ""),
        Filter::choice("state", "State", &["parked"]),
    ];

    #[test]
    fn filters_stay_in_the_address_of_the_next_page() {
        let query = Fields::of(b"name=a%26b&state=parked&other=1");
        let shown = pager("/jobs", LIST, &query, Some("abc")).into_string();
        assert!(
            shown.contains("/jobs?name=a%26b&amp;state=parked&amp;page_token=abc"),
            "{shown}"
        );
        assert!(!shown.contains("First page"), "{shown}");
        let second = Fields::of(b"state=parked&page_token=abc");
        let shown = pager("/jobs", LIST, &second, None).into_string();
        assert!(shown.contains("href=\"/jobs?state=parked\""), "{shown}");
    }

    #[test]
    fn the_command_of_a_list_has_its_filters_and_quotes_what_a_shell_would_take_apart() {
        let query = Fields::of(b"name=it's+*&state=parked");
        assert_eq!(
            query.command("tideline x", LIST),
            "tideline x --name 'it'\\''s *' --state parked"
        );
    }
}
