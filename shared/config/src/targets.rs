//! `targets` and `handlers`: what is kept in step with the catalog, and who works on jobs from outside.

use std::collections::HashMap;
use std::time::Duration;

use tideline_core::rules::Ladder;
use tideline_core::words::OWN_KINDS;
use url::Url;

use super::Examined;
use super::auth::read_auth;
use super::reader::{Section, Spec};
use super::resource::placeholders;
use super::secrets::check_signing_secret;
use super::settings::{
    Auth, DriftAction, EnrichSettings, Follow, HandlerSettings, HttpTargetSettings, MicrocksSettings, OnInvalid,
    Removal, TargetKind, TargetSettings,
};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The annotation that the Backstage plugin uses.
const ANNOTATION: &str = "bcgov/microcks-config-ref";
/// What may stand in braces in the URL of a target.
const PARTS: [&str; 3] = ["kind", "namespace", "name"];

fn list(key: &'static str, doc: &'static str) -> Spec {
    Spec {
        key,
        kind: "list of sections".to_owned(),
        default: "[]".to_owned(),
        range: String::new(),
        doc,
    }
}

pub(super) fn read_targets(root: &Section<'_>) -> Vec<TargetSettings> {
    let mut names: HashMap<String, usize> = HashMap::new();
    let doc = "Systems that are kept in step with the catalog.";
    let targets = root.sections(list("targets", doc), |target, index| {
        let name = read_name(target);
        if let Some(first) = names.insert(name.clone(), index).filter(|_| !name.is_empty()) {
            target.fail("name", format!("targets[{first}] has the name \"{name}\" already"));
        }
        read_target(target, name)
    });
    targets.into_iter().flatten().collect()
}

fn read_name(target: &Section<'_>) -> String {
    let doc = "Unique name. A different name means a new target, which owns nothing yet.";
    let range = "letters, digits, `-`, `_`, `.`; at most 63";
    let name = target.required_parsed("name", "text", range, doc, &|text| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.is_empty() && text.len() <= 63 && text.chars().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("must be 1 to 63 letters, digits, `-`, `_` or `.`".to_owned())
        }
    });
    name.unwrap_or_default()
}

fn read_target(target: &Section<'_>, name: String) -> Option<TargetSettings> {
    let doc =
        "`microcks`: the mocks that a `microcks.yaml` beside each API describes. `http`: each change as one request.";
    let word = target.choice("type", None, &["microcks", "http"], doc);
    let follow = target.section("follow", "Which entities the target follows.", read_follow);
    let auth = target.optional_section("auth", "Authentication: exactly one of the keys below.", read_auth);
    let doc = "Maximum concurrent calls to this target per worker process. The jobs that make them do not use the \
               slots of `worker.concurrency`, so a slow target delays nothing else.";
    let concurrency = target.count("concurrency", 4, 1..=64, doc);
    let timeout = target.duration(
        "timeout",
        SECONDS(10),
        Duration::from_millis(100)..=5 * MINUTE,
        "How long one request may take.",
    );
    let backoff = read_backoff(
        target,
        "Waits between failed attempts for one entity. After the last one, the job is parked.",
    );
    let microcks = target.variant(word, "microcks", read_microcks).flatten();
    let http = target.variant(word, "http", read_http_target);
    let kind = microcks.map(TargetKind::Microcks).or(http.map(TargetKind::Http))?;
    let settings = TargetSettings {
        name,
        follow,
        auth: auth.unwrap_or(Auth::None),
        concurrency,
        timeout,
        backoff,
        kind,
    };
    target.examine(Examined::Target(&settings));
    Some(settings)
}

fn read_backoff(section: &Section<'_>, doc: &'static str) -> Ladder {
    let default = [SECONDS(10), SECONDS(30), 2 * MINUTE, 10 * MINUTE, 30 * MINUTE];
    let range = Duration::from_millis(1)..=DAY;
    Ladder::new(section.durations("backoff", &default, range, 100, doc))
}

pub(super) fn read_follow(follow: &Section<'_>) -> Follow {
    let doc = "Names of sources. Empty: all. If several own the same entity, the first one counts.";
    let sources = follow.texts("sources", 1_000, doc);
    let lower = |texts: Vec<String>| texts.into_iter().map(|text| text.to_lowercase()).collect();
    let kinds = follow.texts("kinds", 100, "Kinds of entities, such as `API`. Empty: all.");
    let namespaces = follow.texts("namespaces", 1_000, "Namespaces of entities. Empty: all.");
    Follow {
        sources,
        kinds: lower(kinds),
        namespaces: lower(namespaces),
    }
}

fn read_microcks(target: &Section<'_>) -> Option<MicrocksSettings> {
    let base_url = read_base_url(target);
    let doc = "Annotation of an API entity that says where its `microcks.yaml` is: `dir:<folder beside the entity's file>` or \
               `url:<address of a folder>`.";
    let annotation = target.optional_text("annotation", ANNOTATION, doc);
    let doc = "Hosts (`name` or `name:port`) from which `microcks.yaml` and artifacts may be read, besides those of the sources.";
    let document_hosts = target.parsed_texts("document_hosts", "list of hosts", 100, doc, &host);
    let doc = "Take over mocks with the same name and version that Tideline did not create, such as those of the \
               Backstage plugin. Otherwise they are left alone and reported.";
    let adopt = target.flag("adopt", false, doc);
    let doc = "What happens to the mocks of an invalid file: `keep` leaves them as they are, `delete` deletes them. A \
               file that cannot be read at the moment never deletes anything.";
    let on_invalid = target.choice("on_invalid", Some("keep"), &["keep", "delete"], doc);
    let doc = "What happens to mocks that someone changed or deleted in Microcks: `reconcile` restores them, `report` only \
         reports them.";
    let drift = target.choice("drift", Some("reconcile"), &["reconcile", "report"], doc);
    let doc = "How often to read the files again and compare them with Microcks.";
    let drift_interval = target.duration_or_none("drift_interval", "1h", MINUTE..=30 * DAY, doc);
    let doc = "A larger artifact is not sent. Microcks' own limit is 2 MiB unless its MAX_UPLOAD_FILE_SIZE is set.";
    let max_artifact_bytes = target.size("max_artifact_bytes", 2 << 20, 1 << 10..=1 << 30, doc);
    let doc = "How mocks appear to readers of the catalog and its feed.";
    let enrich = target.section("enrich", doc, |enrich| read_enrich(enrich, base_url.as_ref()));
    Some(MicrocksSettings {
        base_url: base_url?,
        annotation: annotation.unwrap_or_else(|| ANNOTATION.to_owned()),
        document_hosts,
        adopt,
        on_invalid: if on_invalid == Some("delete") {
            OnInvalid::Delete
        } else {
            OnInvalid::Keep
        },
        drift: if drift == Some("report") {
            DriftAction::Report
        } else {
            DriftAction::Reconcile
        },
        drift_interval: drift_interval.unwrap_or(Some(HOUR)),
        max_artifact_bytes,
        enrich,
    })
}

fn read_enrich(enrich: &Section<'_>, base_url: Option<&Url>) -> Option<Box<EnrichSettings>> {
    let doc = "List each mock (unless its `includeInSwagger` is false) as a server in the definition of its API: in \
               `servers` of \
               OpenAPI 3 and AsyncAPI, or as `host` and `basePath` of a Swagger 2 definition that names no host. A definition that \
               is in another file (`$text`, `$openapi`, …) is shown inline. Only readers see this: what the source \
               delivered stays as it is.";
    let servers = enrich.flag("servers", false, doc);
    let doc = "Where users reach the mocks, if not at `base_url`; `/rest/NAME/VERSION` follows.";
    let mocks = enrich.optional_url("mocks_url", doc);
    let doc = "Where users reach the mocks of AsyncAPI definitions: the `ws` or `wss` address of Microcks' async minion; \
               `/api/ws/NAME/VERSION` follows. If unset, they are not listed.";
    let events = enrich.parsed("events_url", "WebSocket URL", "none", doc, &|text| {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "ws" | "wss") && url.host_str().is_some());
        url.ok_or_else(|| "must be a URL such as wss://events.example.com".to_owned())
    });
    for key in ["mocks_url", "events_url"]
        .into_iter()
        .filter(|key| !servers && enrich.has(key))
    {
        enrich.fail(key, "has no effect without servers: true");
    }
    let mocks = mocks.or(base_url.cloned()).filter(|_| servers)?;
    Some(Box::new(EnrichSettings { mocks, events }))
}

fn read_base_url(target: &Section<'_>) -> Option<Url> {
    let mut url = target.required_url("base_url", "Microcks' address, without `/api`.")?;
    if url.query().is_some() || url.fragment().is_some() {
        target.fail("base_url", "must have no query and no fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        target.fail("base_url", "must have no user name and no password; use auth instead");
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api").unwrap_or(path).to_owned();
    url.set_path(&format!("{path}/"));
    Some(url)
}

fn host(text: &str) -> Result<String, String> {
    let url = Url::parse(&format!("http://{text}/"));
    let is_host = url.is_ok_and(|url| {
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
    });
    let wrong = || "must be a host such as git.example.com or git.example.com:8443".to_owned();
    is_host.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

fn read_http_target(target: &Section<'_>) -> HttpTargetSettings {
    let doc = "Where each change is sent. `{kind}`, `{namespace}` and `{name}` stand for parts of the entity's reference, \
               percent-encoded.";
    let url = target.required_parsed("url", "URL", "http or https", doc, &template);
    let doc = "How an entity is sent. Requests have an `Idempotency-Key`, so that POST requests can be repeated \
               safely, too.";
    let method = target.choice("method", Some("PUT"), &["PUT", "POST"], doc);
    let headers = target.secret_map("headers", "Sent with every request. The values are treated as secrets.");
    let doc = "Body of the request: jq expression over `{ref, kind, namespace, name, source, removed, entity}`.";
    let body = target.optional_jq("body", "`.entity`; of a removed entity `{ref, removed}`", doc);
    let doc = "How removals are sent: as `delete` (DELETE; 404 and 410 count as success), as a `tombstone` (sent like \
               an entity, with `removed: true`), or not at all (`ignore`).";
    let removal = target.choice("removal", Some("delete"), &["delete", "tombstone", "ignore"], doc);
    let doc = "Send everything again after the position in the change feed was lost (the target was away for longer than \
               `changes.retention`). Without it, only what changed since is sent.";
    let snapshot = target.flag("snapshot", false, doc);
    HttpTargetSettings {
        url: url.unwrap_or_default(),
        post: method == Some("POST"),
        headers,
        body,
        removal: match removal {
            Some("tombstone") => Removal::Tombstone,
            Some("ignore") => Removal::Ignore,
            _ => Removal::Delete,
        },
        snapshot,
    }
}

/// A URL whose host stands in it as it is.
fn template(text: &str) -> Result<String, String> {
    let filled = PARTS
        .iter()
        .fold(text.to_owned(), |text, part| text.replace(&format!("{{{part}}}"), "x"));
    if let Some(other) = placeholders(&filled).next() {
        return Err(format!(
            "must have only {{kind}}, {{namespace}} and {{name}} in braces, not {{{other}}}"
        ));
    }
    let url = Url::parse(&filled)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("must be a URL that starts with http:// or https://")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user name and no password; use auth instead".to_owned());
    }
    let origin = |text: &str| text.split('/').take(3).any(|part| part.contains('{'));
    if origin(text) {
        return Err("must name its host without braces".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn read_handlers(root: &Section<'_>) -> Vec<HandlerSettings> {
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let doc = "Programs in any language that run jobs: each attempt is a signed POST.";
    let handlers = root.sections(list("handlers", doc), |handler, index| {
        let kind = read_kind(handler);
        if let Some(first) = kinds.insert(kind.clone(), index).filter(|_| !kind.is_empty()) {
            handler.fail("kind", format!("handlers[{first}] has the kind \"{kind}\" already"));
        }
        let url = handler.required_url("url", "Each attempt is posted here.");
        let doc = "Signing secret for requests (Standard Webhooks): `whsec_` followed by 24 to 64 bytes in base64, or \
                   any other text.";
        let secret = handler.required_secret("secret", doc);
        check_signing_secret(handler, "secret", Some(&secret));
        let doc = "Maximum concurrent jobs per worker process for this program, in addition to `worker.concurrency`.";
        let concurrency = handler.count("concurrency", 4, 1..=64, doc);
        let doc = "How long the program may take to answer.";
        let timeout = handler.duration("timeout", SECONDS(30), Duration::from_millis(100)..=HOUR, doc);
        let backoff = read_backoff(
            handler,
            "Waits between failed attempts. After the last one, the job is parked.",
        );
        url.map(|url| HandlerSettings {
            kind,
            url,
            secret,
            concurrency,
            timeout,
            backoff,
        })
    });
    handlers.into_iter().flatten().collect()
}

fn read_kind(handler: &Section<'_>) -> String {
    let doc = "Kind of job that the program runs.";
    let kind = handler.required_parsed(
        "kind",
        "text",
        "letters, digits, `-`, `_`, `.`; at most 63",
        doc,
        &|text| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
                Err("must be 1 to 63 letters, digits, `-`, `_` or `.`".to_owned())
            } else if OWN_KINDS.contains(&text) {
                Err(format!(
                    "must not be one of {}, which Tideline runs itself",
                    OWN_KINDS.join(", ")
                ))
            } else {
                Ok(text.to_owned())
            }
        },
    );
    kind.unwrap_or_default()
}
