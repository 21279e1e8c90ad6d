//! What needs a person's attention, in plain words, before anything else: held sweeps, blocked sources, parked jobs,
//! dead letters, targets and hooks in trouble, and a fleet without workers or schedulers.

use maud::{Markup, html};
use tideline_core::words::{SourceState, Timestamp};

use super::format::{ago, count, encoded, sentence};
use super::held::held_since;
use super::history;
use super::overview::Overview;
use super::parts::{failing, source_path};
use super::viewer::Viewer;
use crate::api::types::{Cycle, Hook, SourceStatus, Subscription, Target};

/// One thing that waits for a person.
struct Need {
    bad: bool,
    what: Markup,
    why: Markup,
    path: String,
    go: &'static str,
}

pub(super) fn section(viewer: &Viewer, overview: &Overview) -> Markup {
    let needs = list(viewer, overview);
    let status = &overview.status;
    let entities: u64 = status.sources.iter().map(|source| source.source.entities).sum();
    html! {
        section aria-labelledby="needs-title" {
            @if needs.is_empty() {
                h2.unseen #needs-title { "Needs you" }
                p.calm {
                    "Nothing needs attention. " (count(entities, "entity", "entities")) " of "
                    (count(status.sources.len() as u64, "source", "sources")) " are in the catalog."
                }
            } @else {
                h2 #needs-title { "Needs you" }
                ul.needs {
                    @for need in needs {
                        li.bad[need.bad] {
                            span.what { (need.what) }
                            span.why { (need.why) }
                            a.go.button href=(need.path) { (need.go) }
                        }
                    }
                }
            }
        }
    }
}

fn list(viewer: &Viewer, overview: &Overview) -> Vec<Need> {
    let mut needs: Vec<Need> = (overview.status.sources.iter())
        .filter_map(|source| source_need(source, viewer.now))
        .collect();
    needs.extend(
        overview
            .sources()
            .filter_map(|(source, cycles)| failing_need(source, cycles)),
    );
    needs.extend(parked(overview));
    needs.extend(overview.subscriptions.iter().filter_map(subscription_need));
    needs.extend(
        overview
            .targets
            .iter()
            .filter_map(|target| target_need(target, viewer.now)),
    );
    needs.extend(overview.hooks.iter().filter_map(|hook| hook_need(hook, viewer.now)));
    needs.extend(fleet_needs(overview, viewer.now));
    needs
}

fn parked(overview: &Overview) -> Option<Need> {
    let parked = overview.status.jobs.parked;
    (!overview.parked.is_empty()).then(|| Need {
        bad: true,
        what: html! { (count(parked, "job is", "jobs are")) " parked: a decision is needed" },
        why: html! {
            @for job in overview.parked.iter().take(2) {
                div { (job.kind) " " (job.key) ": " (short(job.last_error.as_deref().unwrap_or("no error was kept"))) }
            }
        },
        path: "/jobs?state=parked".to_owned(),
        go: "Look at them",
    })
}

fn subscription_need(subscription: &Subscription) -> Option<Need> {
    let blocked = subscription.blocked_reason.as_deref();
    if subscription.dead_letters == 0 && blocked.is_none() {
        return None;
    }
    let letters = count(subscription.dead_letters, "event was", "events were");
    Some(Need {
        bad: true,
        what: html! {
            @match blocked {
                Some(_) => { "Subscription " (subscription.name) " is switched off" }
                None => { (letters) " given up for subscription " (subscription.name) }
            }
        },
        why: html! { (short(blocked.or(subscription.last_error.as_deref()).unwrap_or("Each was tried as often as allowed."))) },
        path: format!("/subscriptions/{}", encoded(&subscription.name)),
        go: "Look at it",
    })
}

fn target_need(target: &Target, now: Timestamp) -> Option<Need> {
    let held = target.hold_until.filter(|until| until.0 > now);
    if held.is_none() && target.failing == 0 {
        return None;
    }
    Some(Need {
        bad: true,
        what: html! {
            @match held {
                Some(_) => { "Target " (target.name) " cannot be reached" }
                None => { (count(target.failing, "entity fails", "entities fail")) " in target " (target.name) }
            }
        },
        why: html! {
            @match (held, target.hold_reason.as_deref()) {
                (Some(until), Some(reason)) => { (short(reason)) " Tried again " (ago(until.0, now)) "." }
                _ => { "Its other entities are kept in step." }
            }
        },
        path: format!("/targets/{}", encoded(&target.name)),
        go: "Look at it",
    })
}

fn hook_need(hook: &Hook, now: Timestamp) -> Option<Need> {
    let silent = hook.silent_since.map(
        |since| html! { "Known " (ago(since.0, now)) ". Was the webhook deleted at the provider, or its URL changed?" },
    );
    let unproven = (hook.day.unproven > 0 && hook.day.stored == 0)
        .then(|| html! { "None in the last 24 hours had a valid one. Does the provider have the right secret?" });
    Some(Need {
        bad: unproven.is_some(),
        what: html! {
            @if unproven.is_some() { (count(hook.day.unproven, "webhook", "webhooks")) " to hook " (hook.name) " had a wrong signature" }
            @else { "Hook " (hook.name) " has received nothing for much longer than usual" }
        },
        why: unproven.or(silent)?,
        path: super::hooks::path_of(&hook.name),
        go: "Look at it",
    })
}

/// Problems that keep everything from running.
fn fleet_needs(overview: &Overview, now: Timestamp) -> Vec<Need> {
    let status = &overview.status;
    let mut needs = Vec::new();
    if status.workers.is_empty() && status.jobs.due > 0 {
        needs.push(Need {
            bad: true,
            what: html! { (count(status.jobs.due, "job is", "jobs are")) " due, but no worker is alive" },
            why: html! { "Start one with `tideline worker`, or `tideline run` for everything in one process." },
            path: "/operations".to_owned(),
            go: "Workers",
        });
    }
    if let Some(at) = history::idle_since(&overview.history, now) {
        needs.push(Need {
            bad: true,
            what: html! { "No scheduler is running: no cycle starts or ends" },
            why: html! { "The last one was " (ago(at, now)) ". Start one with `tideline scheduler`, or `tideline run` for everything in one process." },
            path: "/operations".to_owned(),
            go: "Operations",
        });
    }
    needs
}

fn source_need(status: &SourceStatus, now: Timestamp) -> Option<Need> {
    let source = &status.source;
    let path = source_path(&source.name);
    if let Some(held) = source.held.as_ref().filter(|held| !held.approved) {
        let percent = held.would_remove * 100 / held.owned.max(1);
        return Some(Need {
            bad: false,
            what: html! {
                (source.name) ": the sweep of cycle " (held.cycle) " would delete "
                (count(held.would_remove, "entity", "entities")) ", " (percent) " % of what it owns"
            },
            why: html! { (held_since(held, now)) ": " (sentence(&held.reason, now)) },
            path: format!("{path}#held"),
            go: "Approve or reject",
        });
    }
    let bad = source.state == SourceState::Blocked;
    (bad || source.state == SourceState::Orphaned).then(|| Need {
        bad,
        what: html! { (source.name) " is " (if bad { "blocked by its configuration" } else { "no longer in the configuration" }) },
        why: sentence(&status.why.sentence, now),
        path,
        go: "Look at it",
    })
}

/// A source that runs, and fails every time.
fn failing_need(status: &SourceStatus, cycles: &[Cycle]) -> Option<Need> {
    let source = &status.source;
    let (failures, newest) = failing(cycles).filter(|_| source.state == SourceState::Active)?;
    Some(Need {
        bad: true,
        what: html! { (source.name) " is failing: none of its last " (failures) " cycles completed" },
        why: html! { (short(newest.reason.as_deref().unwrap_or("no error was kept"))) },
        path: source_path(&source.name),
        go: "Look at it",
    })
}

/// The beginning of an error.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}
