//! `hooks` and `events`: who may send webhooks, and how long they are kept.

use std::collections::HashMap;
use std::time::Duration;

use super::Examined;
use super::reader::{Section, Spec};
use super::secrets::check_signing_secret;
use super::signed::read_signed_content;
use tideline_core::rules::{check_topic, is_own_topic, own_topic_refusal, topic_word};
use tideline_core::words::Secret;

pub use super::signed::{HeaderValueOf, SignedPart};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// `events`: the log of events.
#[derive(Clone, Debug)]
pub struct EventSettings {
    /// `retention`, default 7 days.
    pub retention: Duration,
    /// `max_bytes`, default 1 GiB.
    pub max_bytes: u64,
    /// `unseen_retention`, default 30 days.
    pub unseen_retention: Duration,
    /// `unseen_max_bytes`, default 4 GiB.
    pub unseen_max_bytes: u64,
    /// `max_bytes_in_flight`: bodies of webhooks in memory, default 32 MiB.
    pub max_bytes_in_flight: u64,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            retention: 7 * DAY,
            max_bytes: 1 << 30,
            unseen_retention: 30 * DAY,
            unseen_max_bytes: 4 << 30,
            max_bytes_in_flight: 32 << 20,
        }
    }
}

/// Whose webhooks a hook takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookProvider {
    /// GitHub, and GitHub Enterprise Server.
    Github,
    /// GitLab.
    Gitlab,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Azure DevOps service hooks.
    AzureDevops,
    /// The webhooks plugin of Gerrit.
    Gerrit,
    /// HCP Terraform and Terraform Enterprise.
    Terraform,
    /// The event forwarder of OpenChoreo.
    Openchoreo,
    /// Standard Webhooks.
    Standard,
    /// Anything that signs with HMAC.
    Hmac,
    /// Anything that shows a constant header.
    Token,
}

/// The words of the configuration, in the order of the documentation.
const PROVIDERS: [(&str, HookProvider); 10] = [
    ("github", HookProvider::Github),
    ("gitlab", HookProvider::Gitlab),
    ("bitbucket", HookProvider::Bitbucket),
    ("azure-devops", HookProvider::AzureDevops),
    ("gerrit", HookProvider::Gerrit),
    ("terraform", HookProvider::Terraform),
    ("openchoreo", HookProvider::Openchoreo),
    ("standard", HookProvider::Standard),
    ("hmac", HookProvider::Hmac),
    ("token", HookProvider::Token),
];

impl HookProvider {
    /// Its word in the configuration, which topics begin with.
    #[must_use]
    pub fn word(self) -> &'static str {
        PROVIDERS
            .iter()
            .find(|(_, provider)| *provider == self)
            .map_or("", |(word, _)| *word)
    }

    fn default_max_body_bytes(self) -> u64 {
        if self == Self::Github { 25 << 20 } else { 5 << 20 }
    }
}

/// What an HMAC is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookEncoding {
    /// Two hexadecimal digits a byte.
    Hex,
    /// Base64, RFC 4648 section 4.
    Base64,
}

/// Whose webhook it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairPlace {
    /// A repository's: owner and name.
    Repository(String, String),
    /// An organisation's.
    Organization(String),
}

/// `repair` of a hook.
#[derive(Clone, Debug)]
pub struct RepairSettings {
    /// `api_url`, default `https://api.github.com`.
    pub api_url: url::Url,
    /// `repository` or `organization`.
    pub place: RepairPlace,
    /// `hook_id`.
    pub hook_id: u64,
    /// `token`.
    pub token: Secret,
    /// `every`, default 10 min.
    pub every: Duration,
}

/// `topic` of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTopic {
    /// The same for every event.
    Constant(String),
    /// A jq expression over the event that makes it.
    Expression(String),
}

impl HookTopic {
    /// As it is in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Constant(text) | Self::Expression(text) => text,
        }
    }
}

/// A hook.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Unique name; the path is `/hooks/NAME`.
    pub name: String,
    /// `provider`.
    pub provider: HookProvider,
    /// `secret` and `next_secret`: any of them verifies.
    pub secrets: Vec<Secret>,
    /// `stored_secret`: `tideline hooks register` made the secret, and the store has it sealed.
    pub stored_secret: bool,
    /// `path_id`: the path is `/hooks/NAME/ID`.
    pub path_id: Option<Secret>,
    /// `max_body_bytes`, default 25 MiB for GitHub, else 5 MiB.
    pub max_body_bytes: u64,
    /// `topic`: of every event of it; none: what the provider calls it.
    pub topic: Option<HookTopic>,
    /// `id_header`: where a delivery's id is, for `hmac` and `token`.
    pub id_header: Option<String>,
    /// `header` of `hmac` and `token`.
    pub header: Option<String>,
    /// `prefix` of `hmac`, before the signature.
    pub prefix: String,
    /// `algorithm` of `hmac`.
    pub algorithm: HookAlgorithm,
    /// `encoding` of `hmac`.
    pub encoding: HookEncoding,
    /// `signed` of `hmac`: what the signature is made over, default the body.
    pub signed: Vec<SignedPart>,
    /// `timestamp` of `hmac`: where the time of a webhook is.
    pub timestamp: Option<HeaderValueOf>,
    /// `tolerance` of `standard` and `hmac`: how far the timestamp may be off, default 5 min.
    pub tolerance: Duration,
    /// `repair` of `github`: where deliveries that never arrived are taken from.
    pub repair: Option<RepairSettings>,
}

pub(super) fn read_events(root: &Section<'_>) -> EventSettings {
    root.section(
        "events",
        "The event log: webhooks received, and Tideline's own events.",
        |events| {
            let default = EventSettings::default();
            let (most, range) = (1 << 50, HOUR..=3_650 * DAY);
            let doc = "How long events are kept.";
            let retention = events.duration("retention", default.retention, range.clone(), doc);
            let doc = "Maximum size of the event log; the oldest events are dropped first.";
            let max_bytes = events.size("max_bytes", default.max_bytes, 1 << 20..=most, doc);
            let doc = "How long to keep events, and removals in the change feed, that an active subscription has not seen yet.";
            let unseen_retention = events.duration("unseen_retention", default.unseen_retention, range, doc);
            let doc = "Maximum size of the event log including events that an active subscription has not seen yet.";
            let unseen_max_bytes = events.size("unseen_max_bytes", default.unseen_max_bytes, 1 << 20..=most, doc);
            let doc = "Maximum memory for webhook bodies in this process, counted as they arrive. An eighth of it is reserved for \
                       small ones, and one address gets at most half. Beyond the limit, requests wait for up to 3 s, then get 503 \
                       with Retry-After.";
            let in_flight = events.size(
                "max_bytes_in_flight",
                default.max_bytes_in_flight,
                1 << 20..=1 << 40,
                doc,
            );
            EventSettings {
                retention,
                max_bytes,
                unseen_retention,
                unseen_max_bytes,
                max_bytes_in_flight: in_flight,
            }
        },
    )
}

pub(super) fn read_hooks(root: &Section<'_>) -> Vec<HookSettings> {
    let spec = Spec {
        key: "hooks",
        kind: "list of sections".to_owned(),
        default: "[]".to_owned(),
        range: String::new(),
        doc: "Endpoints that receive webhooks, at `/hooks/NAME`.",
    };
    let mut names: HashMap<String, usize> = HashMap::new();
    let hooks = root.sections(spec, |hook, index| {
        let name = read_name(hook);
        if let Some(first) = names.insert(name.clone(), index).filter(|_| !name.is_empty()) {
            hook.fail("name", format!("hooks[{first}] already has the name \"{name}\""));
        }
        read_hook(hook, name)
    });
    hooks.into_iter().flatten().collect()
}

fn read_name(hook: &Section<'_>) -> String {
    let range = "letters, digits, `-`, `_`, `.`; at most 63";
    let doc = "Unique name, part of the URL, and first word of the topics. It must not be one of the words that topics of Tideline's own \
               events begin with: `cycle`, `drift`, `hook`, `job`, `source`, `subscription`, `sweep`, `sync`.";
    let name = hook.required_parsed("name", "text", range, doc, &|text| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
            Err("must be 1 to 63 letters, digits, `-`, `_` or `.`".to_owned())
        } else if matches!(text, "." | "..") {
            Err("must not be `.` or `..`: no URL has such a segment".to_owned())
        } else if is_own_topic(&topic_word(text)) {
            Err(own_topic_refusal())
        } else {
            Ok(text.to_owned())
        }
    });
    name.unwrap_or_default()
}

fn read_hook(hook: &Section<'_>, name: String) -> Option<HookSettings> {
    let words = PROVIDERS.map(|(word, _)| word);
    let doc = "The sender. `standard`: Standard Webhooks. `hmac`: any other HMAC signature. `token`: a \
               constant header, or the password of basic authentication.";
    let word = hook.choice("provider", None, &words, doc);
    let provider = PROVIDERS
        .iter()
        .find(|(known, _)| Some(*known) == word)
        .map(|(_, provider)| *provider);
    let (secrets, stored_secret) = read_secrets(hook, provider);
    let own = hook.variant(word, "hmac", read_signed);
    let own = hook.variant(word, "token", read_shown).or(own).unwrap_or_default();
    let tolerance = hook.variant(word, "standard", read_tolerance);
    let doc = "A random path segment that cannot be guessed: `/hooks/NAME/ID`.";
    let path_id = hook.optional_secret("path_id", doc);
    if path_id.as_ref().is_some_and(|id| !is_segment(id.reveal())) {
        hook.fail(
            "path_id",
            format!("must be one segment of a URL: letters, digits and {SEGMENT}, and not `.` or `..`"),
        );
    }
    let repair = hook.variant(word, "github", |hook| {
        let doc = "Fetches deliveries that never arrived from GitHub's list of deliveries.";
        hook.optional_section("repair", doc, read_repair)
    });
    let default = "25MiB for `github`, else 5MiB";
    let doc = "Larger bodies are rejected with 413.";
    let max_body_bytes = hook.optional_size("max_body_bytes", default, 1_024..=1 << 30, doc);
    let default = "the provider's name for it, such as `github.push`";
    let doc = "Topic of the events: a constant, or a jq expression over the event (`.key`, `.headers`, `.body`) such as \
               `'\"legacy.\" + .body.type'`.";
    let topic = hook.parsed("topic", "topic or jq expression", default, doc, &read_topic);
    let provider = provider?;
    let settings = HookSettings {
        name,
        provider,
        secrets,
        stored_secret,
        path_id,
        max_body_bytes: max_body_bytes.unwrap_or_else(|| provider.default_max_body_bytes()),
        topic,
        id_header: own.id_header,
        header: own.header,
        prefix: own.prefix,
        algorithm: own.algorithm,
        encoding: own.encoding,
        signed: own.signed,
        timestamp: own.timestamp,
        tolerance: tolerance.unwrap_or(own.tolerance),
        repair: repair.flatten().flatten(),
    };
    hook.examine(Examined::Hook(&settings));
    Some(settings)
}

/// What a segment of a path has beside letters and digits. RFC 3986 section 3.3.
const SEGMENT: &str = "-._~!$&'()*+,;=:@";

/// Whether a text can be asked for as one segment of a path, written as it is. An empty one has a problem of its own.
fn is_segment(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || SEGMENT.contains(c);
    text.chars().all(allowed) && !matches!(text, "." | "..")
}

/// No topic begins with a dot, as paths of jq do.
fn read_topic(text: &str) -> Result<HookTopic, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(match check_topic(text) {
        Ok(()) if is_own_topic(text) => return Err(own_topic_refusal()),
        Ok(()) if !text.starts_with('.') => HookTopic::Constant(text.to_owned()),
        _ => HookTopic::Expression(text.to_owned()),
    })
}

fn read_repair(repair: &Section<'_>) -> Option<RepairSettings> {
    let doc = "GitHub's API; for GitHub Enterprise Server, `https://HOST/api/v3`.";
    let api_url = repair.optional_url("api_url", doc);
    let default = "https://api.github.com".parse().ok();
    let doc = "`OWNER/NAME` of the repository that the webhook belongs to.";
    let repository = repair.parsed("repository", "text", "none", doc, &|text| match text.split_once('/') {
        Some((owner, name)) if !owner.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(RepairPlace::Repository(owner.to_owned(), name.to_owned()))
        }
        _ => Err("must be OWNER/NAME".to_owned()),
    });
    let organization = repair.optional_text("organization", "none", "The organization that the webhook belongs to.");
    let doc = "The webhook's id: the last part of its URL in GitHub's settings.";
    let hook_id = repair.required_parsed("hook_id", "whole number", "", doc, &|text| {
        text.parse::<u64>().map_err(|_| "must be a whole number".to_owned())
    });
    let doc = "A token that may read the webhook: fine-grained with the permission Webhooks, or classic with `admin:repo_hook` or \
               `admin:org_hook`.";
    let token = repair.required_secret("token", doc);
    let every = repair.duration("every", SECONDS(600), SECONDS(60)..=DAY, "How often to query GitHub.");
    let place = match (repository, organization) {
        (Some(repository), None) => Some(repository),
        (None, Some(organization)) => Some(RepairPlace::Organization(organization)),
        _ if repair.is_describing() => None,
        _ => {
            repair.fail("repository", "give either repository or organization");
            None
        }
    };
    Some(RepairSettings {
        api_url: api_url.or(default)?,
        place: place?,
        hook_id: hook_id?,
        token,
        every,
    })
}

/// What a sender that Tideline does not know says of itself.
struct OwnSender {
    header: Option<String>,
    prefix: String,
    algorithm: HookAlgorithm,
    encoding: HookEncoding,
    id_header: Option<String>,
    signed: Vec<SignedPart>,
    timestamp: Option<HeaderValueOf>,
    tolerance: Duration,
}

impl Default for OwnSender {
    fn default() -> Self {
        Self {
            header: None,
            prefix: String::new(),
            algorithm: HookAlgorithm::Sha256,
            encoding: HookEncoding::Hex,
            id_header: None,
            signed: vec![SignedPart::Body],
            timestamp: None,
            tolerance: SECONDS(300),
        }
    }
}

fn read_id_header(hook: &Section<'_>) -> Option<String> {
    hook.optional_header(
        "id_header",
        "none: a hash of the request",
        "The header with the delivery id.",
    )
}

fn read_tolerance(hook: &Section<'_>) -> Duration {
    let doc = "Maximum difference between a webhook's timestamp and the current time.";
    hook.duration("tolerance", SECONDS(300), SECONDS(1)..=DAY, doc)
}

fn read_signed(hook: &Section<'_>) -> OwnSender {
    let header = hook.required_header("header", "The header with the signature.");
    let doc = "Text before the signature in the header, such as `sha256=`. In a list such as `t=1,v1=2`, the item \
               with this prefix is the signature.";
    let prefix = hook.optional_text("prefix", "none", doc).unwrap_or_default();
    let hash = hook.choice(
        "algorithm",
        Some("sha256"),
        &["sha256", "sha512"],
        "The hash of the HMAC.",
    );
    let doc = "Encoding of the signature.";
    let written = hook.choice("encoding", Some("hex"), &["hex", "base64"], doc);
    let (signed, timestamp) = read_signed_content(hook);
    OwnSender {
        header: Some(header),
        prefix,
        algorithm: if hash == Some("sha512") {
            HookAlgorithm::Sha512
        } else {
            HookAlgorithm::Sha256
        },
        encoding: if written == Some("base64") {
            HookEncoding::Base64
        } else {
            HookEncoding::Hex
        },
        id_header: read_id_header(hook),
        signed,
        timestamp,
        tolerance: read_tolerance(hook),
    }
}

fn read_shown(hook: &Section<'_>) -> OwnSender {
    let doc =
        "The header with the token. With `Authorization`: a bearer token, or the password of basic authentication.";
    OwnSender {
        header: hook.optional_header("header", "Authorization", doc),
        id_header: read_id_header(hook),
        ..OwnSender::default()
    }
}

/// The secrets that verify. None at all must be said aloud.
fn read_secrets(hook: &Section<'_>, provider: Option<HookProvider>) -> (Vec<Secret>, bool) {
    let doc = "The sender's signing secret. For `standard`: `whsec_` followed by 24 to 64 bytes in base64, or any other text.";
    let secret = hook.optional_secret("secret", doc);
    let next = hook.optional_secret("next_secret", "A second accepted secret, for rotation.");
    if provider == Some(HookProvider::Standard) {
        check_signing_secret(hook, "secret", secret.as_ref());
        check_signing_secret(hook, "next_secret", next.as_ref());
    }
    let doc = "Accept unsigned webhooks. Anyone who knows the URL can send them.";
    let insecure = hook.flag("insecure", false, doc);
    let doc = "`tideline hooks register` generates the secret and keeps it in the store, sealed with `secret_key`, so \
               the configuration needs none.";
    let stored = hook.flag("stored_secret", false, doc);
    if stored && (insecure || secret.is_some() || next.is_some()) {
        hook.fail(
            "stored_secret",
            "must not be true together with secret, next_secret or insecure",
        );
    }
    if insecure && (secret.is_some() || next.is_some()) {
        hook.fail(
            "insecure",
            "must not be true together with a secret: its signature is always verified",
        );
    }
    if !insecure && !stored && secret.is_none() {
        let hint = "a secret is missing, so anyone could send; set secret to the sender's secret, or set \
                    stored_secret: true and run `tideline hooks register`, or set insecure: true";
        hook.fail("secret", hint);
    }
    let given = secret.into_iter().chain(next);
    (given.filter(|secret| !secret.reveal().is_empty()).collect(), stored)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
#[path = "hooks_tests.rs"]
mod tests;
