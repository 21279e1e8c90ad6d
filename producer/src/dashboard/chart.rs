//! Charts: SVG with classes, no script and no inline style. Heights are on a square-root scale, so that a cycle of ten
//! changes is visible beside one of ten thousand.

use maud::{Markup, html};
use tideline_core::words::{CycleState, grouped};

use crate::api::types::Cycle;

/// Width of a bar with its gap, in units of the drawing.
const STEP: u32 = 8;
/// Width of a bar.
const BAR: u32 = 6;

/// Changes of cycles, oldest first: additions above the line, removals below it.
pub(super) fn cycles(newest_first: &[Cycle], bars: usize, height: u32, link: bool) -> Markup {
    let shown: Vec<&Cycle> = newest_first.iter().take(bars).collect();
    let below = shown.iter().map(|cycle| cycle.totals.removed).max().unwrap_or(0);
    let (largest, _) = ceiling(newest_first.get(..bars).unwrap_or(newest_first));
    let scale = |value: u64, room: u32| part(value, largest, room);
    let (below_room, middle) = if below > 0 {
        (height / 3, height - height / 3)
    } else {
        (0, height - 1)
    };
    let width = STEP * u32::try_from(bars).unwrap_or(1);
    let first = bars.saturating_sub(shown.len());
    // An image must not contain links.
    let role = if link { "group" } else { "img" };
    let label = match shown.len() {
        1 => "Changes of the last cycle".to_owned(),
        count => format!("Changes of the last {count} cycles"),
    };
    html! {
        svg.chart.tall[link] viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role=(role)
            aria-label=(label) {
            line.axis x1="0" x2=(width) y1=(middle) y2=(middle) {}
            @for (place, cycle) in shown.iter().rev().enumerate() {
                @let x = STEP * u32::try_from(first + place).unwrap_or(0);
                @let totals = cycle.totals;
                @let up = scale(totals.added + totals.modified, middle);
                @let added = up - share(totals.modified, totals.added + totals.modified, up);
                @let bar = html! {
                    title { (summary(cycle)) }
                    rect.hit x=(x) y="0" width=(STEP) height=(height) {}
                    rect.modified x=(x) y=(middle - up) width=(BAR) height=(up - added) {}
                    rect.added x=(x) y=(middle - added) width=(BAR) height=(added) {}
                    rect.removed x=(x) y=(middle) width=(BAR) height=(scale(totals.removed, below_room)) {}
                    @if changes(cycle) > largest { rect.cut x=(x) y=(height / 8) width=(BAR) height=(height / 16) {} }
                    @if failed(cycle.state) { rect.failed x=(x) y="0" width=(BAR) height="2" {} }
                };
                @if link { a href={ "#cycle-" (cycle.number) } { (bar) } } @else { g { (bar) } }
            }
        }
    }
}

/// One bar of a chart over time.
#[derive(Default)]
pub(super) struct Bar {
    /// Its height.
    pub(super) value: u64,
    /// The bad part of it.
    pub(super) bad: u64,
    /// Its tooltip.
    pub(super) title: String,
}

/// Bars from left to right, as high as their values, and a label for the whole.
pub(super) fn bars(bars: &[Bar], height: u32, label: &str) -> Markup {
    let largest = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let width = STEP * u32::try_from(bars.len().max(1)).unwrap_or(1);
    let middle = height - 1;
    let linear = |value: u64| match value {
        0 => 0,
        value => share(value, largest, middle).max(1),
    };
    html! {
        svg.chart viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img" aria-label=(label) {
            line.axis x1="0" x2=(width) y1=(middle) y2=(middle) {}
            @for (place, bar) in bars.iter().enumerate() {
                @let x = STEP * u32::try_from(place).unwrap_or(0);
                @let (all, bad) = (linear(bar.value), linear(bar.bad.min(bar.value)));
                @if !bar.title.is_empty() { g {
                    title { (bar.title) }
                    rect.hit x=(x) y="0" width=(STEP) height=(height) {}
                    @if all > bad { rect.added x=(x) y=(middle - all) width=(BAR) height=(all - bad) {} }
                    @if bad > 0 { rect.failed x=(x) y=(middle - bad) width=(BAR) height=(bad) {} }
                } }
            }
        }
    }
}

/// What the higher of a cycle's two bars stands for.
fn changes(cycle: &Cycle) -> u64 {
    (cycle.totals.added + cycle.totals.modified).max(cycle.totals.removed)
}

/// The value of a full bar, and whether some bars are cut off there: the largest value, unless it is far above the
/// others, like that of a first cycle.
pub(super) fn ceiling(cycles: &[Cycle]) -> (u64, bool) {
    let mut usual: Vec<u64> = cycles.iter().map(changes).filter(|changes| *changes > 0).collect();
    usual.sort_unstable();
    let median = usual.get(usual.len() / 2).copied().unwrap_or(1);
    let (largest, limit) = (usual.last().copied().unwrap_or(0), median.saturating_mul(8));
    (largest.min(limit).max(1), largest > limit)
}

/// The height of a value within `room`; at least one unit unless it is zero.
fn part(value: u64, largest: u64, room: u32) -> u32 {
    if value == 0 || room == 0 {
        return 0;
    }
    #[allow(clippy::cast_precision_loss, reason = "a pixel more or less")]
    let share = (value as f64 / largest as f64).sqrt().min(1.0) * f64::from(room);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the room"
    )]
    let units = share.round() as u32;
    units.clamp(1, room)
}

/// The part of a bar for one of its two values.
fn share(value: u64, of: u64, bar: u32) -> u32 {
    let units = u128::from(value) * u128::from(bar) / u128::from(of.max(1));
    u32::try_from(units).unwrap_or(bar).min(bar)
}

fn failed(state: CycleState) -> bool {
    matches!(state, CycleState::Incomplete | CycleState::Cancelled)
}

/// `cycle 12: 3 added, 4 modified, 5 removed`.
pub(super) fn summary(cycle: &Cycle) -> String {
    let totals = cycle.totals;
    format!(
        "cycle {}: {} added, {} modified, {} removed",
        cycle.number,
        grouped(totals.added),
        grouped(totals.modified),
        grouped(totals.removed)
    )
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{CycleNumber, Timestamp, Trigger};

    use super::*;
    use crate::api::types::{Time, Totals};

    #[test]
    fn every_bar_stays_inside_the_drawing_and_says_what_it_is() {
        let of = |value, bad| Bar {
            value,
            bad,
            title: format!("<{value}>"),
        };
        let shown = bars(&[of(0, 0), of(1, 1), of(u64::MAX, 5)], 40, "webhooks").into_string();
        assert!(
            shown.contains("aria-label=\"webhooks\"") && shown.contains("&lt;1&gt;"),
            "{shown}"
        );
        assert!(
            shown.contains("height=\"38\"") && !shown.contains("height=\"41\""),
            "{shown}"
        );
    }

    #[test]
    fn a_bar_that_is_cut_says_so() {
        let cycle = |added| Cycle {
            number: CycleNumber(1),
            state: CycleState::Complete,
            trigger: Trigger::Schedule,
            started_at: Time(Timestamp(0)),
            ended_at: None,
            reason: None,
            totals: Totals {
                added,
                ..Totals::default()
            },
        };
        let even = [3, 4, 5].map(cycle);
        assert_eq!(ceiling(&even), (5, false));
        assert!(!cycles(&even, 30, 84, true).into_string().contains("class=\"cut\""));
        let uneven = [3, 4, 20_000].map(cycle);
        assert_eq!(ceiling(&uneven), (32, true));
        assert_eq!(
            cycles(&uneven, 30, 84, true)
                .into_string()
                .matches("class=\"cut\"")
                .count(),
            1
        );
    }

    #[test]
    fn a_small_value_beside_a_large_one_can_be_seen_and_none_leaves_the_drawing() {
        assert_eq!(part(0, 10_000, 30), 0);
        assert_eq!(part(1, 1_000_000, 30), 1);
        assert_eq!(part(10_000, 10_000, 30), 30);
        assert_eq!(part(20_000, 10_000, 30), 30);
        assert!(part(100, 10_000, 30) >= 3);
    }
}
