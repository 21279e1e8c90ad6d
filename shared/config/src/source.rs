//! One source: what all types have in common, and the `files` type. The `rest` type is in `rest.rs`.

use std::collections::HashMap;
use std::time::Duration;

use super::Examined;
use super::http::read_http;
use super::identity::identity;
use super::on::read_on;
use super::presets;
use super::reader::{Section, Spec};
use super::settings::{CheckSettings, FilesSettings, Resource, SourceKind, SourceSettings};
use super::terraform::{self, default_rules, read_terraform};
use tideline_core::rules::{DriftPolicy, Ladder, Schedule, ScheduleError, Volatile};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read_sources(root: &Section<'_>) -> Vec<SourceSettings> {
    let spec = Spec {
        key: "sources",
        kind: "list of sections".to_owned(),
        default: "[]".to_owned(),
        range: String::new(),
        doc: "The sources to read.",
    };
    let mut names: HashMap<String, usize> = HashMap::new();
    let sources = root.sections(spec, |source, index| {
        let name = read_name(source);
        if let Some(first) = names.insert(name.clone(), index).filter(|_| !name.is_empty()) {
            source.fail("name", format!("sources[{first}] already has the name \"{name}\""));
        }
        read_source(source, name)
    });
    sources.into_iter().flatten().collect()
}

/// The name of a source is the key of its first job and the beginning of those of its partitions.
fn read_name(source: &Section<'_>) -> String {
    let doc = "Unique name. Renaming creates a new source; the entities of the old one remain, marked as orphaned.";
    let range = "letters, digits, `-`, `_`, `.`; at most 63";
    let name = source.required_parsed("name", "text", range, doc, &|text| {
        check_source_name(text).map(|()| text.to_owned())
    });
    name.unwrap_or_default()
}

/// Whether a source may have this name.
///
/// # Errors
/// What is allowed.
pub fn check_source_name(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 63 && text.chars().all(allowed) {
        return Ok(());
    }
    Err("must be 1 to 63 letters, digits, `-`, `_` or `.`".to_owned())
}

fn read_source(source: &Section<'_>, name: String) -> Option<SourceSettings> {
    let doc = "`http`: any paginated JSON API. `files`: YAML, JSON and NDJSON files in a folder. `push`: other \
               programs write the entities (`PUT /v1/sources/NAME/entities`). `terraform`: the \
               workspaces of an organization of HCP Terraform or Terraform Enterprise. The others are presets of `http` and \
               accept its keys as well; `tideline presets show TYPE` prints what they stand for.";
    let presets = presets::presets();
    let types: Vec<&'static str> = ["http", "files", "push", "terraform"]
        .into_iter()
        .chain(presets.iter().map(presets::Preset::name))
        .collect();
    let source_type = source.choice("type", None, &types, doc);
    let mut expanded = None;
    for preset in presets {
        let values = source.variant(source_type, preset.name(), |source| preset.read(source));
        if let (Some(values), Some(node)) = (values, source.node()) {
            expanded = Some((preset.expand(node, &values), preset));
        }
    }
    match &expanded {
        None => read_typed(source, name, source_type, source_type),
        Some((node, preset)) => read_typed(&source.expanded(node, preset), name, source_type, Some("http")),
    }
}

/// A source of a type that another one may be the preset of: `family`.
fn read_typed(
    source: &Section<'_>,
    name: String,
    source_type: Option<&'static str>,
    family: Option<&'static str>,
) -> Option<SourceSettings> {
    let rest = source.variant(family, "http", read_http).flatten();
    let files = source.variant(family, "files", read_files).flatten();
    let terraform = source.variant(family, "terraform", read_terraform).flatten();
    let mut settings = SourceSettings::new(name);
    read_reading(source, &mut settings);
    read_pauses(source, &mut settings, family);
    let drifts = rest
        .as_ref()
        .is_some_and(|rest| rest.resources.iter().any(super::settings::Resource::drifts))
        // Its list of workspaces is paged by number.
        || terraform.is_some();
    source.section(
        "removals",
        "When to delete entities that are missing at the source.",
        |removals| {
            read_removals(removals, &mut settings, drifts);
        },
    );
    read_writing(source, &mut settings);
    let rest = rest.map(|rest| SourceKind::Http(Box::new(rest)));
    let resources: &[Resource] = match &rest {
        Some(SourceKind::Http(rest)) => &rest.resources,
        _ => &[],
    };
    read_on(source, &mut settings, resources, family);
    if let Some(terraform) = terraform.as_ref().filter(|_| !source.has("on")) {
        settings.on = default_rules(&terraform.organization);
    }
    read_drift(source, &mut settings);
    settings.check = read_check(source, family);
    let terraform = terraform.map(|terraform| SourceKind::Terraform(Box::new(terraform)));
    let push = (family == Some("push")).then_some(SourceKind::Push);
    settings.kind = rest.or(files.map(SourceKind::Files)).or(terraform).or(push)?;
    check_rate(source, &settings);
    settings.source_type = source_type?.to_owned();
    // A preset and a copy of what it stands for have the same data.
    settings.identity = identity(family?, &settings.kind);
    source.examine(Examined::Source(&settings));
    Some(settings)
}

/// A request waits for its turn within `page_timeout`.
fn check_rate(source: &Section<'_>, settings: &SourceSettings) {
    let http = match &settings.kind {
        SourceKind::Http(http) => http,
        SourceKind::Terraform(terraform) => &terraform.http,
        _ => return,
    };
    let Some(rate) = http.max_requests_per_second else {
        return;
    };
    let wait = f64::from(settings.parallel_partitions) / rate;
    if wait > settings.page_timeout.as_secs_f64() {
        source.fail(
            "max_requests_per_second",
            format!(
                "with parallel_partitions: {} a request may wait {wait:.0} s for its turn, longer than page_timeout; raise \
                 page_timeout or lower parallel_partitions",
                settings.parallel_partitions
            ),
        );
    }
}

fn read_reading(source: &Section<'_>, settings: &mut SourceSettings) {
    source.section("burst", "How long and how often one partition is read.", |burst| {
        let doc = "How long a worker reads one partition before giving others a turn.";
        settings.burst_length = burst.duration("length", settings.burst_length, SECONDS(1)..=SECONDS(300), doc);
        let doc = "The pause between two bursts of the same partition.";
        settings.burst_interval = burst.duration("interval", settings.burst_interval, Duration::ZERO..=DAY, doc);
    });
    let doc = "Maximum number of partitions read at the same time across the fleet.";
    settings.parallel_partitions = source.count("parallel_partitions", settings.parallel_partitions, 1..=1_000, doc);
    let shortest = Duration::from_millis(100);
    let doc = "Time limit for one page.";
    settings.page_timeout = source.duration("page_timeout", settings.page_timeout, shortest..=SECONDS(600), doc);
    let doc = "How many times per cycle or refresh a partition may start over because its cursor expired.";
    settings.max_restarts = source.count("max_restarts", settings.max_restarts, 0..=1_000, doc);
    let doc = "Maximum pages per partition and cycle. Exceeding it is an error; it protects against APIs that return \
               new cursors forever.";
    settings.max_pages = source.count("max_pages", settings.max_pages, 1..=100_000_000, doc);
    let doc = "The back-off ladder: delays after the first, second, … consecutive failure, each with 10 % jitter. \
               After the last one, the partition is parked and its entities are kept. If it is the root partition, and \
               no other resource is without a parent, the cycle is cancelled, nothing is deleted, and a new cycle starts.";
    let default = [30, 60, 300, 1_800].map(SECONDS);
    settings.backoff = Ladder::new(source.durations("backoff", &default, Duration::ZERO..=7 * DAY, 20, doc));
}

fn read_writing(source: &Section<'_>, settings: &mut SourceSettings) {
    let doc = "Annotations to ignore when comparing entities. A trailing `*` matches any suffix.";
    settings.volatile = Volatile::new(source.texts("volatile_annotations", 100, doc));
    source.section("commit", "How pages are committed.", |commit| {
        let doc = "Maximum number of pages per transaction.";
        settings.commit_pages = commit.count("max_pages", settings.commit_pages, 1..=100, doc);
    });
    source.section("malformed", "Items that cannot become entities.", |malformed| {
        let doc = "How many malformed items to keep for inspection. Older ones are dropped.";
        settings.malformed_keep = malformed.count("keep", settings.malformed_keep, 0..=1_000_000, doc);
    });
}

fn read_pauses(source: &Section<'_>, settings: &mut SourceSettings, family: Option<&'static str>) {
    let doc = "The pause between two cycles. If `schedule` is also set, whichever comes first starts the next cycle.";
    let default = "30m; with a `schedule`, and with `terraform`: none";
    let rest = source.duration_or_none("rest", default, Duration::ZERO..=365 * DAY, doc);
    let doc = "Cron expression: minute, hour, day of month, month, day of week; a sixth field in front sets seconds; \
               `@daily` and similar also work. Ticks during a running cycle are skipped.";
    // A `rest` is a schedule of another kind: it replaces this one.
    let usual = (family == Some("terraform") && rest.flatten().is_none()).then_some(terraform::SCHEDULE);
    let default = format!("none; `{}` with `terraform` and no `rest`", terraform::SCHEDULE);
    let schedule = read_schedule(source, &default, usual, doc);
    let has_schedule = source.has("schedule") || usual.is_some();
    if rest == Some(None) && !has_schedule {
        source.fail("rest", "may only be none if there is a schedule");
    }
    settings.rest = rest.unwrap_or(if has_schedule { None } else { settings.rest });
    settings.schedule = schedule;
}

/// `time_zone` and `schedule` of a section; `usual`: the schedule, if it is not given.
fn read_schedule(section: &Section<'_>, default: &str, usual: Option<&str>, doc: &'static str) -> Option<Schedule> {
    let zone_doc = "IANA time zone of the schedule, such as `Europe/Berlin`. A time skipped by daylight saving runs right \
                    after the change; a repeated time runs once.";
    let zone = section.parsed("time_zone", "time zone", "UTC", zone_doc, &|zone| {
        Schedule::new("@daily", zone)
            .map(|_| zone.to_owned())
            .map_err(|error| allowed(&error))
    });
    let zone = zone.as_deref().unwrap_or("UTC");
    let schedule = section.parsed("schedule", "cron expression", default, doc, &|text| {
        Schedule::new(text, zone).map_err(|error| allowed(&error))
    });
    let usual = usual.filter(|_| !section.has("schedule"));
    if section.has("time_zone") && !section.has("schedule") && usual.is_none() {
        section.fail("time_zone", "has no effect without a schedule");
    }
    schedule.or_else(|| Schedule::new(usual?, zone).ok())
}

/// What a schedule must be. The reader adds what it is, unless that came from the environment.
fn allowed(error: &ScheduleError) -> String {
    match error {
        ScheduleError::Expression { reason, .. } => format!("must be a cron expression ({reason})"),
        ScheduleError::Never(_) => "must match a time in the future".to_owned(),
        ScheduleError::TimeZone(_) => "must be an IANA time zone, such as `UTC` or `Europe/Berlin`".to_owned(),
    }
}

fn read_removals(removals: &Section<'_>, settings: &mut SourceSettings, drifts: bool) {
    let guard = &mut settings.guard;
    let doc = "Hold a sweep that would delete more than this percentage of the entities that the source had before (new ones \
               do not count) until someone approves it. 0 holds every deletion, `none` never holds.";
    guard.reject_above_percent =
        removals.optional_number("reject_above_percent", guard.reject_above_percent, 0.0..=100.0, doc);
    let doc = "Hold the sweep of a cycle that found nothing at all.";
    guard.reject_empty = removals.flag("reject_empty", guard.reject_empty, doc);
    let default = "2 if a resource has several pages that are not declared `stable`, and with `terraform`; else 1";
    let doc = "How many complete cycles in a row must miss an entity before it is deleted.";
    let confirm_cycles = removals.optional_count("confirm_cycles", default, 1..=10, doc);
    settings.confirm_cycles = confirm_cycles.unwrap_or(if drifts { 2 } else { settings.confirm_cycles });
}

/// After `on`: its default depends on the rules.
fn read_drift(source: &Section<'_>, settings: &mut SourceSettings) {
    let doc = "What happens to entities that a complete cycle finds gone although no event reported it: `reconcile` deletes \
               them as usual, `hold` holds the sweep until someone approves it, `report` keeps them. In every case the \
               differences between catalog and source are recorded (`tideline drift`) and published as `drift.found`. Only \
               sources with `on` rules are compared, unless `drift` is set.";
    let word = source.choice("drift", Some("reconcile"), &["report", "hold", "reconcile"], doc);
    let policy = match word {
        Some("report") => DriftPolicy::Report,
        Some("hold") => DriftPolicy::Hold,
        _ => DriftPolicy::Reconcile,
    };
    settings.drift = (source.has("drift") || !settings.on.is_empty()).then_some(policy);
}

/// When to compare it without a cycle. There is nothing to read of a source that programs write.
fn read_check(source: &Section<'_>, family: Option<&'static str>) -> Option<CheckSettings> {
    let doc = "When to read the whole source only to compare it with the catalog. Nothing is changed; what differs is recorded \
               (`tideline drift NAME --checks`) and published as `drift.found`. A check waits until no cycle is running. \
               Sources of type `terraform` are checked by default, others only with this section.";
    if family == Some("push") && source.has("check") {
        source.fail(
            "check",
            "has no effect on a source of type push: programs write its entities, so there is nothing to read",
        );
    }
    let usual = (family == Some("terraform")).then_some(terraform::CHECK_SCHEDULE);
    let check = source.optional_section("check", doc, |check| {
        let doc = "Time between the end of a check and the next one. If `schedule` is also set, whichever comes first. `none` \
                   without a `schedule`: no checks.";
        let every = check.duration_or_none("every", "none", MINUTE..=365 * DAY, doc);
        let usual = usual.filter(|_| !check.has("every"));
        let default = format!("none; `{}` with `terraform` and no `every`", terraform::CHECK_SCHEDULE);
        let doc = "Cron expression, like the source's `schedule`.";
        let schedule = read_schedule(check, &default, usual, doc);
        let is_told = check.has("every") || check.has("schedule") || usual.is_some();
        if !check.is_describing() && !is_told {
            check.fail("every", "is missing; give every, a schedule, or both");
        }
        let doc = "A check that takes longer is abandoned and recorded as failed.";
        let timeout = check.duration("timeout", CheckSettings::TIMEOUT, MINUTE..=7 * DAY, doc);
        CheckSettings {
            every: every.flatten(),
            schedule,
            timeout,
        }
    });
    let check = if source.has("check") {
        check
    } else {
        CheckSettings::usual(usual?)
    };
    check.filter(|check| check.every.is_some() || check.schedule.is_some())
}

fn read_files(files: &Section<'_>) -> Option<FilesSettings> {
    let path = files.required_text("path", "The folder, relative to the folder of the configuration file.");
    let page_size = files.count("page_size", 100, 1..=10_000, "Files per page.");
    let most = 1 << 30;
    let max_file_bytes = files.size(
        "max_file_bytes",
        16 << 20,
        1..=most,
        "Larger files are reported and not read.",
    );
    let doc = "Paths under the folder that are not read, such as `*/openapi.yaml`. `*` matches any characters, \
               including `/`. \
               Documents that configure mocks (`kind: MicrocksSync`, `APIMetadata` or `APIExamples`) are never entities.";
    let exclude = files.texts("exclude", 100, doc);
    (!path.is_empty()).then(|| FilesSettings {
        path: files.context.folder.join(path),
        page_size,
        max_file_bytes,
        exclude,
    })
}
