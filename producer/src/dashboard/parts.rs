//! Small components that pages share.

use maud::{Markup, PreEscaped, Render, html};
use tideline_core::rules::Why;
use tideline_core::words::{CycleState, JobState, SourceState, Timestamp, grouped};

use super::chart;
use super::format::{ago, count, encoded, length, sentence};
use super::live::{BEGIN, CLOSE, END};
use crate::api::types::{AuditEntry, Cycle, SourceStatus};

/// A fragment that is swapped when it changes. Must not be nested.
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

/// The command that is equivalent to the page.
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

/// The API request for the content of the page, where there is no command for it.
pub(super) fn request(path: &str) -> Markup {
    let text = format!("curl -H \"Authorization: Bearer $TIDELINE_TOKEN\" \"$TIDELINE_SERVER{path}\"");
    labelled("The same over the API", &text)
}

/// The address of a source's page.
pub(super) fn source_path(name: &str) -> String {
    format!("/sources/{}", encoded(name))
}

/// A button that performs an act at once.
pub(super) fn act(path: &str, label: &str, class: Option<&str>, back: &str) -> Markup {
    html! {
        form method="post" action=(path) {
            input type="hidden" name="back" value=(back);
            button class=[class] { (label) }
        }
    }
}

/// A button that opens a confirmation: what will happen, the reason, and then the act.
pub(super) struct Question<'a> {
    /// Where the form goes.
    pub(super) path: &'a str,
    /// Label of the button that opens it.
    pub(super) label: &'a str,
    /// What will happen.
    pub(super) text: Markup,
    /// Label of the button that confirms it.
    pub(super) yes: &'a str,
    /// It deletes something.
    pub(super) danger: bool,
    /// Whether a reason is required or optional.
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

/// Number of consecutive failed cycles after which a source counts as failing.
const FAILURES: usize = 3;

/// How many of the last finished cycles failed, and the newest of them, if there are enough to need a person's
/// attention. `cycles`: newest first.
pub(super) fn failing(cycles: &[Cycle]) -> Option<(usize, &Cycle)> {
    let ended = || cycles.iter().filter(|cycle| cycle.ended_at.is_some());
    let failures = ended().take_while(|cycle| cycle.failed()).count();
    let newest = ended().next().filter(|_| failures >= FAILURES)?;
    Some((failures, newest))
}

/// The status of a source: the class and the word of its badge. `cycles`: its newest ones, newest first.
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

/// The status of a source in one word, and the reason in a sentence that does not repeat the word.
pub(super) fn phase(status: &SourceStatus, cycles: &[Cycle], now: Timestamp) -> (Markup, Markup) {
    let (class, word) = standing(status, cycles);
    (
        html! { span.badge.(class) { (word) } },
        sentence(status.why.sentence_after(word), now),
    )
}

/// The state of a cycle, in one word.
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

/// The progress of a reading cycle.
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

/// Why a cycle ended as it did, with matching severity.
pub(super) fn cycle_reason(cycle: &Cycle, now: Timestamp) -> Markup {
    let class = match cycle.state {
        CycleState::Held => "error held",
        _ if cycle.failed() => "error",
        _ => "soft",
    };
    html! { @if let Some(reason) = &cycle.reason { p.(class) { (sentence(reason, now)) } } }
}

/// The legend of the bars' colors and heights.
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

/// The state of a job, in one word.
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
