//! The effects of an event: the readings that it requested, their changes, and the notified subscribers.

use maud::{Markup, html};
use tideline_core::words::{ChangeKind, JobState, Role, Timestamp};

use super::catalog::{divided, entity_path};
use super::changes;
use super::format::{encoded, length, sentence};
use super::parts::{job_state, source_path};
use super::viewer::Viewer;
use crate::api::Problem;
use crate::api::deliveries::{Delivery, Followed, Reached, Refreshed};
use crate::api::types::{Change, Event};

/// Changes shown of one reading.
const CHANGES: usize = 20;

/// Maximum number of readings whose changes are searched.
const READINGS: usize = 5;

/// What an event caused.
pub(super) struct Caused {
    delivery: Delivery,
    changes: Vec<Vec<Change>>,
}

/// Follows an event through readings to changes.
pub(super) async fn read(viewer: &Viewer, event: &Event) -> Result<Caused, Problem> {
    let delivery: Delivery = viewer.get(&format!("/v1/deliveries/{}", encoded(&event.id))).await?;
    let mut found = Vec::new();
    for reading in delivery.refreshed.iter().take(READINGS) {
        found.push(match reading.after_ms {
            Some(after) => {
                let began = event.created_at.0;
                let ended = Timestamp(began.0.saturating_add(i64::try_from(after).unwrap_or(i64::MAX)));
                changes::between(viewer, &reading.source, began, ended).await?
            }
            None => Vec::new(),
        });
    }
    Ok(Caused {
        delivery,
        changes: found,
    })
}

/// The section of an event's page.
pub(super) fn section(viewer: &Viewer, event: &Event, caused: &Caused) -> Markup {
    let delivery = &caused.delivery;
    html! {
        section aria-labelledby="caused-title" {
            h2 #caused-title { "What it caused" }
            p { (sentence(&delivery.summary, viewer.now)) }
            @if !delivery.refreshed.is_empty() || !delivery.subscriptions.is_empty() {
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Who" } th { "What" } th { "State" } th.number.wide { "After" } th { span.unseen { "Actions" } } } }
                    tbody {
                        @for (place, reading) in delivery.refreshed.iter().enumerate() {
                            (refreshed(reading, caused.changes.get(place).map_or(&[], Vec::as_slice)))
                        }
                        @for followed in &delivery.subscriptions { (told(viewer, event, followed)) }
                    }
                } }
            }
        }
    }
}

fn refreshed(reading: &Refreshed, changes: &[Change]) -> Markup {
    html! {
        tr {
            td { a href=(source_path(&reading.source)) { (reading.source) } }
            td {
                "read again: " a href={ "/jobs/" (reading.job) } { (reading.key) }
                @if let Some(error) = &reading.error { p.error { (error.lines().next().unwrap_or_default()) } }
                @if reading.state == JobState::Done {
                    @if changes.is_empty() { p.soft { "No change that is still the latest of its entity." } }
                    @else {
                        ul.plain {
                            @for change in changes.iter().take(CHANGES) { li { (changed(change)) } }
                            @if changes.len() > CHANGES { li.soft { "and more" } }
                        }
                    }
                }
            }
            td { (job_state(reading.state)) }
            td.number.wide { @if let Some(after) = reading.after_ms { (length(std::time::Duration::from_millis(after))) } }
            td {}
        }
    }
}

fn changed(change: &Change) -> Markup {
    let (kind, _, name) = divided(&change.reference);
    html! {
        (changes::badge(change.change)) " "
        @if change.change == ChangeKind::Removed { (name) } @else { a href=(entity_path(&change.source, &change.reference)) { (name) } }
        " " span.soft { (kind) ", change #" (change.sequence) }
    }
}

fn told(viewer: &Viewer, event: &Event, followed: &Followed) -> Markup {
    let path = format!("/subscriptions/{}", encoded(&followed.name));
    let (class, word) = match followed.state {
        Reached::Ahead => ("plain", "not yet"),
        Reached::Outstanding => ("busy", "outstanding"),
        Reached::GivenUp => ("bad", "given up"),
        Reached::Done => ("plain", "done"),
    };
    html! {
        tr {
            td { a href=(path) { (followed.name) } }
            td { "handed out" }
            td { span.badge.(class) { (word) } }
            td.wide {}
            td {
                @if followed.state == Reached::GivenUp && viewer.may(Role::Operate) {
                    div.actions { form method="post" action={ (path) "/retry" } {
                        input type="hidden" name="id" value=(event.id);
                        input type="hidden" name="back" value={ "/events/" (event.id) };
                        button { "Retry" }
                    } }
                }
            }
        }
    }
}
