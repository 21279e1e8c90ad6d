//! The history of a source, in one list: cycles, guards, configuration, webhooks that it follows, checks, drift, and
//! acts of people and programs.

use maud::{Markup, html};
use tideline_core::words::{CycleState, Timestamp, grouped};

use super::chart;
use super::format::{ago, count, encoded, length};
use super::parts::cycle_reason;
use super::viewer::Viewer;
use crate::api::Problem;
use crate::api::types::{AuditEntry, Check, Cycle, Event, Page as List};

/// Entries shown.
const ENTRIES: usize = 40;

/// The subject of an entry.
#[derive(Clone, Copy)]
enum About {
    Cycle,
    Trouble,
    Guard,
    Configuration,
    Webhook,
    Check,
    Drift,
    Act,
}

impl About {
    /// Its class, and its word.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Cycle => ("cycle", "cycle"),
            Self::Trouble => ("bad", "failed"),
            Self::Guard => ("warn", "guard"),
            Self::Configuration => ("plain", "config"),
            Self::Webhook => ("plain", "webhook"),
            Self::Check => ("cycle", "check"),
            Self::Drift => ("warn", "drift"),
            Self::Act => ("act", "act"),
        }
    }
}

/// One thing that happened.
struct Entry {
    at: Timestamp,
    about: About,
    text: Markup,
}

/// Events that concern a source: its own ones, and deliveries that its rules follow.
pub(super) struct Events {
    own: Vec<Event>,
    webhooks: Vec<Event>,
}

/// Reads the newest events that concern a source. `topics`: those of its rules.
pub(super) async fn read(viewer: &Viewer, source: &str, topics: &[String]) -> Result<Events, Problem> {
    if !viewer.sees_all() {
        return Ok(Events {
            own: Vec::new(),
            webhooks: Vec::new(),
        });
    }
    let own = [("key", source), ("topics", "sweep.*,source.*,drift.*"), ("limit", "20")];
    let own: List<Event> = viewer.list("/v1/events", &own).await?;
    let topics = topics.join(",");
    let webhooks = if topics.is_empty() {
        Vec::new()
    } else {
        let asked = [("topics", topics.as_str()), ("deliveries", "true"), ("limit", "20")];
        viewer.list::<List<Event>>("/v1/events", &asked).await?.items
    };
    Ok(Events {
        own: own.items,
        webhooks,
    })
}

/// The history of a source.
pub(super) struct Happened<'a> {
    pub(super) cycles: &'a [Cycle],
    pub(super) checks: &'a [Check],
    pub(super) acts: &'a [AuditEntry],
    pub(super) events: &'a Events,
}

/// The list, newest first.
pub(super) fn section(viewer: &Viewer, source: &str, happened: &Happened<'_>) -> Markup {
    let (now, events) = (viewer.now, happened.events);
    let mut entries: Vec<Entry> = (happened.cycles.iter())
        .filter_map(|cycle| of_cycle(cycle, now))
        .collect();
    entries.extend(happened.acts.iter().map(of_act));
    // A check that found something is also an event of that moment.
    let checked = |event: &&Event| {
        let at = event.created_at;
        event.topic == "drift.found" && happened.checks.iter().any(|check| check.ended_at == at)
    };
    entries.extend(events.own.iter().filter(|event| !checked(event)).map(of_own));
    entries.extend(events.webhooks.iter().map(of_webhook));
    let told = happened.checks.iter().enumerate();
    // Checks that found nothing are omitted, except the newest one.
    let told = told.filter(|(place, check)| *place == 0 || check.total() > 0 || check.failure.is_some());
    entries.extend(told.map(|(_, check)| of_check(check)));
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    html! {
        section aria-labelledby="timeline-title" {
            h2 #timeline-title { "Timeline" }
            @if entries.is_empty() { p.empty { "Nothing has happened yet." } }
            ol.timeline {
                @for entry in entries.iter().take(ENTRIES) {
                    @let (class, word) = entry.about.words();
                    li.(class) {
                        span.when { (ago(entry.at, now)) }
                        span.about { (word) }
                        span.what { (entry.text) }
                    }
                }
            }
            p.pager {
                @if viewer.sees_all() { a href={ "/events?key=" (encoded(source)) } { "All its events" } }
                @if viewer.may(tideline_core::words::Role::Operate) { a href={ "/audit?source=" (encoded(source)) } { "All acts" } }
            }
        }
    }
}

fn of_cycle(cycle: &Cycle, now: Timestamp) -> Option<Entry> {
    let ended = cycle.ended_at?.0;
    let totals = cycle.totals;
    let failed = cycle.failed();
    let word = match cycle.state {
        CycleState::Cancelled if failed => "failed",
        CycleState::Incomplete => "did not complete",
        CycleState::Cancelled => "was cancelled",
        CycleState::Held => "ended, its sweep held",
        _ => "completed",
    };
    Some(Entry {
        at: ended,
        about: if failed { About::Trouble } else { About::Cycle },
        text: html! {
            a href={ "#cycle-" (cycle.number) } { "Cycle " (cycle.number) } " " (word) " after " (length(ended.since(cycle.started_at.0)))
            @if totals.added + totals.modified + totals.removed > 0 {
                ": " (chart::summary(cycle).split_once(": ").map_or("", |(_, what)| what).to_owned())
            } @else if cycle.state != CycleState::Cancelled && !failed { ", nothing changed in " (grouped(totals.entities)) " entities" }
            (cycle_reason(cycle, now))
        },
    })
}

fn of_check(check: &Check) -> Entry {
    let (about, text) = match (check.total(), &check.failure) {
        (0, None) => (About::Check, html! { "nothing differs from the source" }),
        (0, Some(failure)) => (
            About::Trouble,
            html! { "a check was not complete" p.error { (failure) } },
        ),
        (total, failure) => (
            About::Drift,
            html! {
                "a check found that " (count(total, "entity differs", "entities differ")) " from the source: "
                (grouped(check.missing)) " missing, " (grouped(check.extra)) " extra, " (grouped(check.diverged)) " diverged"
                @if let Some(failure) = failure { p.error { (failure) } }
            },
        ),
    };
    Entry {
        at: check.ended_at.0,
        about,
        text,
    }
}

fn of_act(act: &AuditEntry) -> Entry {
    let arguments = act.arguments.get();
    Entry {
        at: act.at.0,
        about: if act.done { About::Act } else { About::Trouble },
        text: html! {
            strong { (act.actor) } " " code { (act.act) }
            @if arguments != "{}" { " " code.soft { (arguments) } }
            @if let Some(detail) = &act.detail { p.error { "refused: " (detail) } }
        },
    }
}

fn of_own(event: &Event) -> Entry {
    let (about, text) = match event.topic.as_str() {
        "sweep.held" => (About::Guard, "a guard held the sweep"),
        "source.blocked" => (About::Trouble, "blocked by its configuration"),
        "source.restarted" => (
            About::Configuration,
            "what identifies its data changed: a new cycle starts",
        ),
        "source.orphaned" => (About::Configuration, "no longer in the configuration"),
        "source.failing" => (About::Trouble, "failed repeatedly within a day"),
        "drift.found" => (About::Drift, "drift was found"),
        other => (About::Cycle, other),
    };
    Entry {
        at: event.created_at.0,
        about,
        text: html! { a href={ "/events/" (event.id) } { (text) } },
    }
}

fn of_webhook(event: &Event) -> Entry {
    Entry {
        at: event.created_at.0,
        about: About::Webhook,
        text: html! {
            a href={ "/events/" (event.id) } { (event.topic) }
            @if !event.key.is_empty() { " " span.soft { (event.key) } }
        },
    }
}
