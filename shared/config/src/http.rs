//! The `http` source, apart from its resources (`resource.rs`) and how they go from page to page (`pagination.rs`).

use std::time::Duration;

use tideline_core::words::Secret;
use url::Url;

use super::auth::read_auth;
use super::reader::{Section, Spec, unknown};
use super::resource::read_resource;
use super::settings::{Alternative, AnswerPattern, Auth, HttpSettings, NextUrls, RateLimitHeaders, Resource};

pub(super) fn read_http(rest: &Section<'_>) -> Option<HttpSettings> {
    let base_url = read_base_url(rest);
    let headers = rest.secret_map(
        "headers",
        "Headers sent with every request. Their values are treated as secrets.",
    );
    let auth = rest.optional_section("auth", "Authentication: exactly one of the keys below.", read_auth);
    let max_body_bytes = rest.size(
        "max_body_bytes",
        32 << 20,
        1 << 10..=1 << 30,
        "Maximum size of a response body. A larger one is an error.",
    );
    let doc = "Responses, besides 410, that mean the cursor has expired. The partition then starts over.";
    let cursor_expired = rest.sections(list("cursor_expired", "none", doc), |pattern, _| read_pattern(pattern));
    let rate_limit = rest.section(
        "rate_limit",
        "Rate limits announced in response headers.",
        read_rate_limit,
    );
    let doc = "Maximum requests per second to this source from the whole fleet: each worker process sends its share. Waiting \
               counts towards `page_timeout`.";
    let max_requests_per_second = rest.optional_number("max_requests_per_second", None, 0.01..=10_000.0, doc);
    let doc = "Next-page URLs of an API behind a proxy. Requests always go to the scheme, host and port of `base_url`.";
    let next_urls = rest.section("next_urls", doc, read_next_urls);
    let doc = "Send `If-None-Match` and `If-Modified-Since`, so that unchanged pages cost nothing. If a header \
               announces the next page and a 304 omits it, a last page is fetched in full.";
    let conditional = rest.flag("conditional", true, doc);
    let doc = "jq functions (`def name: …;`) available in every expression of the resources.";
    let definitions = rest.optional_jq("definitions", "none", doc);
    let alternatives = read_alternatives(rest);
    let doc = "Hosts (`name` or `name:port`) that a resource's `download` may point to, besides the host of \
               `base_url`. No credentials are sent there.";
    let download_hosts = rest.parsed_texts("download_hosts", "list of hosts", 100, doc, &host);
    let (mut resources, variables) = read_resources(rest);
    if alternatives.is_empty() {
        for resource in &mut resources {
            resource.alternative = None;
        }
    }
    check_alternatives(rest, &alternatives, &resources);
    // A wrong URL must not hide what is wrong with the expressions; the settings are never used with the other one.
    let base_url = base_url.or_else(|| Url::parse("http://base-url.invalid/").ok());
    base_url.map(|base_url| HttpSettings {
        base_url,
        headers,
        auth: auth.unwrap_or(Auth::None),
        max_body_bytes,
        cursor_expired,
        rate_limit,
        max_requests_per_second,
        next_urls,
        conditional,
        resources,
        definitions,
        variables,
        alternatives,
        download_hosts,
    })
}

/// The resources, and what variables stand for in them.
fn read_resources(rest: &Section<'_>) -> (Vec<Resource>, Vec<Secret>) {
    let mut seen = Vec::new();
    let doc = "The lists to read. The first one has no parent.";
    let mut variables = Vec::new();
    let resources = rest.sections(list("resources", "", doc), |resource, _| {
        let read = read_resource(resource, &mut seen);
        variables.extend(
            ["path", "query", "body", "lookup"]
                .iter()
                .flat_map(|key| resource.variables_in(key)),
        );
        read
    });
    if !rest.has("resources") {
        rest.missing(&list("resources", "", doc));
    } else if resources.is_empty() {
        rest.fail("resources", "must have at least one resource");
    }
    (resources, variables)
}

fn read_base_url(rest: &Section<'_>) -> Option<Url> {
    let base_url = rest.required_url("base_url", "Base URL for the paths of resources.");
    if base_url
        .as_ref()
        .is_some_and(|url| url.query().is_some() || url.fragment().is_some())
    {
        rest.fail(
            "base_url",
            "must not have a query or fragment; set `query` on a resource instead",
        );
    }
    if base_url
        .as_ref()
        .is_some_and(|url| !url.username().is_empty() || url.password().is_some())
    {
        rest.fail(
            "base_url",
            "must not contain a user name or password; use auth.basic instead",
        );
    }
    base_url
}

fn list(key: &'static str, default: &str, doc: &'static str) -> Spec {
    Spec {
        key,
        kind: "list of sections".to_owned(),
        default: default.to_owned(),
        range: String::new(),
        doc,
    }
}

fn read_next_urls(next: &Section<'_>) -> NextUrls {
    let doc = "Hosts (`name` or `name:port`) that next-page URLs may use besides the one in `base_url`.";
    let hosts = next.parsed_texts("hosts", "list of hosts", 100, doc, &host);
    let doc = "The base path that the API believes it is served under. In next-page URLs, it is replaced by the path \
               of `base_url`.";
    let base_path = next.parsed("base_path", "path", "none", doc, &|text| {
        let wrong = || "must be a path such as / or /internal/v1".to_owned();
        (text.starts_with('/') && !text.contains(['?', '#']))
            .then(|| text.trim_end_matches('/').to_owned())
            .ok_or_else(wrong)
    });
    NextUrls { hosts, base_path }
}

fn read_alternatives(rest: &Section<'_>) -> Vec<Alternative> {
    let doc = "Alternative APIs, of which the server has one, such as an old and a new one. The first one whose \
               `probe` succeeds is used, and the choice is kept in the store. Only the resources that name it in \
               `alternative`, those below them, and \
               those that name none are read.";
    rest.sections(list("alternatives", "none", doc), |one, _| {
        let name = one.required_text("name", "Unique name.");
        let doc = "Path that exists only in this API, joined to `base_url`. 404, 405, 410 and 501 mean that the server does not have \
                   it; any other error is inconclusive, and the probe is repeated.";
        let probe = one.required_text("probe", doc);
        if probe.contains("://") || probe.starts_with("//") || probe.contains(['?', '#', '{']) {
            one.fail("probe", "must be a path without a host, `?`, `#` and `{`; use query");
        }
        let query = one.text_map("query", "mapping of names to texts", "Query parameters of the probe.");
        Alternative { name, probe, query }
    })
}

fn check_alternatives(rest: &Section<'_>, alternatives: &[Alternative], resources: &[Resource]) {
    if alternatives.is_empty() || rest.is_describing() {
        return;
    }
    if alternatives.len() == 1 {
        rest.fail("alternatives", "must be two or more, or none");
    }
    let names: Vec<&str> = alternatives.iter().map(|one| one.name.as_str()).collect();
    for (index, one) in alternatives.iter().enumerate() {
        if names[..index].contains(&one.name.as_str()) {
            rest.fail(
                "alternatives",
                format!("another one already has the name \"{}\"", one.name),
            );
        }
        let used = |resource: &Resource| resource.alternative.as_ref() == Some(&one.name);
        if !resources.iter().any(used) {
            rest.fail(
                "alternatives",
                format!("no resource names \"{}\" in `alternative`", one.name),
            );
        }
    }
    let named = resources.iter().filter_map(|resource| resource.alternative.as_deref());
    for name in named.filter(|name| !names.contains(name)) {
        rest.fail("resources", unknown("alternative", name, &names));
    }
}

/// A host, with a port or without.
pub(super) fn host(text: &str) -> Result<String, String> {
    let url = Url::parse(&format!("http://{text}/"));
    let is_host = url.is_ok_and(|url| {
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
    });
    let wrong = || "must be a host such as api.internal or api.internal:8080".to_owned();
    is_host.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

fn read_pattern(pattern: &Section<'_>) -> AnswerPattern {
    let status = pattern.required_parsed("status", "whole number", "400 to 599", "HTTP status.", &|text| {
        let status = text.parse::<u16>().ok().filter(|status| (400..=599).contains(status));
        status.ok_or_else(|| "must be a whole number from 400 to 599".to_owned())
    });
    AnswerPattern {
        status: status.unwrap_or(410),
        contains: pattern.optional_text("contains", "any body", "Text that the body must contain."),
        confirm: pattern.flag(
            "confirm",
            false,
            "For APIs that return a generic error, such as 500: it counts only if it is repeated while the first page can be read.",
        ),
    }
}

pub(super) fn read_rate_limit(limits: &Section<'_>) -> RateLimitHeaders {
    let default = RateLimitHeaders::default();
    let remaining = "Header with the number of remaining requests. The IETF `RateLimit` fields, and the `Retry-After` \
         of a refusal, are always honoured.";
    let reset = "Header with the reset time: Unix time in any unit, or seconds from now.";
    let hold = "Maximum time that a response can hold the source back. `tideline sources refresh` lifts a hold.";
    let longest = Duration::from_secs(86_400);
    RateLimitHeaders {
        remaining: limits
            .optional_header("remaining", "x-ratelimit-remaining", remaining)
            .unwrap_or(default.remaining),
        reset: limits
            .optional_header("reset", "x-ratelimit-reset", reset)
            .unwrap_or(default.reset),
        max_hold: limits.duration("max_hold", default.max_hold, Duration::from_secs(1)..=longest, hold),
    }
}
