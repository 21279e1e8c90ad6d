//! Small components that pages share.

use maud::{Markup, PreEscaped, Render, html};
use tideline_core::rules::Why;
use tideline_core::words::{CycleState, JobState, SourceState, Timestamp, grouped};

use super::chart;
use super::format::{ago, count, encoded, length, sentence};
use super::live::{BEGIN, CLOSE, END};
use crate::api::types::{AuditEntry, Cycle, SourceStatus};

/// What is swapped when it changes. Not to be nested.
pub(super) fn live(id: &'static str, content: impl Render) -> Markup {
    html! {
        (PreEscaped(BEGIN)) (PreEscaped(id)) (PreEscaped(END))
        div id=(id) data-live { (content) }
        (PreEscaped(CLOSE))
    }
}

/// Shows whether the page is live; filled in by the script.
pub(super) fn live_state() -> Markup {
    html! { span.live #live aria-live="polite" {} }
}

/// The command that does what the page does.
pub(super) fn command(text: &str) -> Markup {
    labelled("The same in a terminal", text)
}

/// A command, and what it does.
pub(super) fn labelled(label: &str, text: &str) -> Markup {
    html! {
        p.command {
            (label) code { (text) }
            button.quiet type="button" data-copy=(text) aria-label={ "Copy " (text) } { "copy" }
        }
    }
}

/// The request that asks the API for what the page shows, where there is no command for it.
pub(super) fn request(path: &str) -> Markup {
    let text = format!("curl -H \"Authorization: Bearer $TIDELINE_TOKEN\" \"$TIDELINE_SERVER{path}\"");
    labelled("The same over the API", &text)
}

/// The address of a source's page.
pub(super) fn source_path(name: &str) -> String {
    format!("/sources/{}", encoded(name))
}

/// A button that does an act at once.
pub(super) fn act(path: &str, label: &str, class: Option<&str>, back: &str) -> Markup {
    html! {
        form method="post" action=(path) {
            input type="hidden" name="back" value=(back);
            button class=[class] { (label) }
        }
    }
}

/// A button that opens a question: what will happen, why, and then the act.
pub(super) struct Question<'a> {
    /// Where the form goes.
    pub(super) path: &'a str,
    /// On the button that opens it.
    pub(super) label: &'a str,
    /// What will happen.
    pub(super) text: Markup,
    /// On the button that does it.
    pub(super) yes: &'a str,
    /// It deletes something.
    pub(super) danger: bool,
    /// A reason must be given; else it may be.
    pub(super) reason: bool,
    /// Hidden fields.
    pub(super) fields: &'a [(&'a str, String)],
}

impl Render for Question<'_> {
    fn render(&self) -> Markup {
        let field = format!(
            "reason-{}",
            self.path.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        );
        html! {
            details id={ "ask-" (field) } {
                summary.button { (self.label) "…" }
                form.ask method="post" action=(self.path) {
                    div { (self.text) }
                    @for (name, value) in self.fields { input type="hidden" name=(name) value=(value); }
                    div {
                        label for=(field) { @if self.reason { "Reason, for the audit log" } @else { "Reason (optional)" } }
                        input id=(field) name="reason" maxlength="500" required[self.reason] autocomplete="off";
                    }
                    div { button class=(if self.danger { "danger" } else { "main" }) { (self.yes) } }
                }
            }
        }
    }
}

/// Finished cycles in a row that fail until a source counts as failing.
const FAILURES: usize = 3;

/// How many of the last finished cycles failed, and the newest of them, if there are enough to need a person's
/// attention. `cycles`: newest first.
pub(super) fn failing(cycles: &[Cycle]) -> Option<(usize, &Cycle)> {
    let ended = || cycles.iter().filter(|cycle| cycle.ended_at.is_some());
    let failures = ended().take_while(|cycle| cycle.failed()).count();
    let newest = ended().next().filter(|_| failures >= FAILURES)?;
    Some((failures, newest))
}

/// Where a source is: the class and the word of its badge. `cycles`: its newest ones, newest first.
fn standing(status: &SourceStatus, cycles: &[Cycle]) -> (&'static str, &'static str) {
    let (source, cycle) = (&status.source, status.newest_cycle.as_ref());
    match (source.state, cycle.map(|cycle| cycle.state)) {
        (SourceState::Blocked, _) => ("bad", "blocked"),
        (SourceState::Orphaned, _) => ("warn", "orphaned"),
        (SourceState::Paused, _) => ("warn", "paused"),
        (SourceState::Active, _) if failing(cycles).is_some() => ("bad", "failing"),
        (SourceState::Active, Some(CycleState::Bursting)) => match status.why.reason {
            Why::OnRung { .. } => ("warn", "backing off"),
            Why::HeldBackBySource { .. } => ("warn", "rate-limited"),
            Why::PartitionParked { .. } | Why::Parked { .. } => ("bad", "parked"),
            _ => ("busy", "reading"),
        },
        (SourceState::Active, Some(CycleState::Sweeping)) => ("busy", "sweeping"),
        _ if source.held.as_ref().is_some_and(|held| !held.approved) => ("warn", "sweep held"),
        _ if source.requested.is_some() => ("busy", "requested"),
        (_, Some(CycleState::Incomplete)) => ("bad", "incomplete"),
        (_, Some(CycleState::Cancelled)) if cycle.is_some_and(Cycle::failed) => ("bad", "failing"),
        _ => ("", "resting"),
    }
}

/// In a word, where a source is, and in a sentence why, which does not say the word again.
pub(super) fn phase(status: &SourceStatus, cycles: &[Cycle], now: Timestamp) -> (Markup, Markup) {
    let (class, word) = standing(status, cycles);
    (
        html! { span.badge.(class) { (word) } },
        sentence(status.why.sentence_after(word), now),
    )
}

/// In a word, how a cycle stands.
pub(super) fn cycle_state(cycle: &Cycle) -> Markup {
    let (class, word) = match cycle.state {
        CycleState::Bursting => ("busy", "reading"),
        CycleState::Sweeping => ("busy", "sweeping"),
        CycleState::Held => ("warn", "held"),
        CycleState::Complete => ("plain", "complete"),
        CycleState::Incomplete => ("bad", "incomplete"),
        CycleState::Cancelled if cycle.failed() => ("bad", "failed"),
        CycleState::Cancelled => ("plain", "cancelled"),
    };
    html! { span.badge.(class) { (word) } }
}

/// `complete 3 min ago, in 41 s`.
pub(super) fn last_cycle(cycle: &Cycle, now: Timestamp) -> Markup {
    html! {
        @match cycle.ended_at {
            Some(ended) => { (ago(ended.0, now)) ", took " (length(ended.0.since(cycle.started_at.0))) }
            None => { "began " (ago(cycle.started_at.0, now)) }
        }
    }
}

/// How far a cycle that reads has come.
pub(super) fn progress(cycle: &Cycle, now: Timestamp) -> Markup {
    let totals = cycle.totals;
    let seconds = now.since(cycle.started_at.0).as_millis().max(1);
    let per_second = u128::from(totals.entities) * 1_000 / seconds;
    let rate = grouped(u64::try_from(per_second).unwrap_or(u64::MAX));
    html! {
        progress max=(totals.partitions.max(1)) value=(totals.partitions_done) aria-label="Partitions finished" {}
        p.soft {
            (grouped(totals.partitions_done)) " of " (grouped(totals.partitions)) " partitions · "
            (grouped(totals.pages)) " pages · " (grouped(totals.entities)) " entities · " (rate) "/s"
        }
    }
}

/// Why a cycle ended as it did, as loud as that is.
pub(super) fn cycle_reason(cycle: &Cycle, now: Timestamp) -> Markup {
    let class = match cycle.state {
        CycleState::Held => "error held",
        _ if cycle.failed() => "error",
        _ => "soft",
    };
    html! { @if let Some(reason) = &cycle.reason { p.(class) { (sentence(reason, now)) } } }
}

/// Bars' colours and heights in words.
pub(super) fn legend(cycles: &[Cycle]) -> Markup {
    let (largest, cut) = chart::ceiling(cycles);
    html! {
        ul.legend {
            li { "added" } li.modified { "modified" } li.removed { "removed" } li.failed { "did not complete" }
            @if cut { li.cut { "more than " (grouped(largest)) } }
            li.scale { "full height: " (count(largest, "change", "changes")) ", on a square root scale" }
        }
    }
}

/// In a word, where a job is.
pub(super) fn job_state(state: JobState) -> Markup {
    let (class, word) = job_word(state);
    html! { span.badge.(class) { (word) } }
}

/// The class and the word of a job's badge.
pub(super) fn job_word(state: JobState) -> (&'static str, &'static str) {
    match state {
        JobState::Waiting => ("plain", "waiting"),
        JobState::Running => ("busy", "running"),
        JobState::Done => ("plain", "done"),
        JobState::Parked => ("bad", "parked"),
        JobState::Cancelled => ("warn", "cancelled"),
    }
}

/// An act of the audit log.
pub(super) fn audit_row(entry: &AuditEntry, now: Timestamp) -> Markup {
    let arguments = entry.arguments.get();
    html! {
        tr id={ "act-" (entry.id) } {
            td { (ago(entry.at.0, now)) }
            td.long { (entry.actor) @if let Some(address) = &entry.address { " " span.soft.wide { (address) } } }
            td.long { code { (entry.act) } " " (entry.target)
                @if arguments != "{}" { " " code.soft { (arguments) } }
                @if let Some(detail) = &entry.detail { p.error { "refused: " (detail) } }
            }
        }
    }
}
