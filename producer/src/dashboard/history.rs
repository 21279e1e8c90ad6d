//! The last hours as charts: entities read, changes, waiting times of jobs, and failures, of which the store keeps one
//! sample per minute; and the progress of a subscription or target.

use maud::{Markup, html};
use tideline_core::words::{Timestamp, grouped};

use super::chart::{Bar, bars};
use super::format::{count, length};
use super::viewer::Viewer;
use crate::api::Problem;
use crate::api::types::{Figures, Page as List, Progress};

/// Hours shown.
const HOURS: u32 = 6;
/// Minutes of one bar.
const STEP: i64 = 5;
/// Bars of one chart.
const BARS: i64 = HOURS as i64 * 60 / STEP;
/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;

/// The samples of the last hours.
pub(super) async fn read(viewer: &Viewer) -> Result<Vec<Figures>, Problem> {
    let list: List<Figures> = viewer.get(&format!("/v1/history?hours={HOURS}")).await?;
    Ok(list.items)
}

/// Without a sample for this long, no scheduler is running: each takes one per minute.
const IDLE: i64 = 3 * MINUTE;

/// When a scheduler last ran, according to the newest sample.
pub(super) fn at_work(samples: &[Figures]) -> Option<Timestamp> {
    samples.iter().map(|sample| sample.at.0).max()
}

/// When the last scheduler ran, if none is running now. Unknown for a new store without samples.
pub(super) fn idle_since(samples: &[Figures], now: Timestamp) -> Option<Timestamp> {
    at_work(samples).filter(|at| now.0 - at.0 > IDLE)
}

/// The period of one bar.
#[derive(Clone, Copy, Default)]
struct Bucket {
    samples: u64,
    entities: u64,
    changes: u64,
    events: u64,
    lag_ms: u64,
    failed: u64,
    parked: u64,
}

/// The samples by bar, oldest first.
fn buckets(samples: &[Figures], now: Timestamp) -> Vec<Bucket> {
    let mut buckets = vec![Bucket::default(); usize::try_from(BARS).unwrap_or(0)];
    let mut before: Option<&Figures> = None;
    for sample in samples {
        let ago = (now.0 - sample.at.0.0).max(0) / (STEP * MINUTE);
        let place = usize::try_from(BARS - 1 - ago).ok();
        if let Some(bucket) = place.and_then(|place| buckets.get_mut(place)) {
            let risen = |to: i64, from: fn(&Figures) -> i64| {
                let from = before.map_or(to, from);
                u64::try_from(to - from).unwrap_or(0)
            };
            bucket.samples += 1;
            bucket.entities += sample.entities;
            bucket.changes += risen(sample.last_sequence, |sample| sample.last_sequence);
            bucket.events += risen(sample.last_event, |sample| sample.last_event);
            bucket.lag_ms = bucket.lag_ms.max(sample.lag_ms);
            bucket.failed += sample.failed_cycles;
            bucket.parked = bucket.parked.max(sample.parked + sample.dead_letters);
        }
        before = Some(sample);
    }
    buckets
}

/// All charts.
pub(super) fn charts(samples: &[Figures], now: Timestamp) -> Markup {
    let buckets = buckets(samples, now);
    let sum = |of: fn(&Bucket) -> u64| buckets.iter().map(of).sum::<u64>();
    let most = |of: fn(&Bucket) -> u64| buckets.iter().map(of).max().unwrap_or(0);
    let ms = |ms: u64| length(std::time::Duration::from_millis(ms));
    let (lag, failed, parked) = (
        most(|bucket| bucket.lag_ms),
        sum(|bucket| bucket.failed),
        most(|bucket| bucket.parked),
    );
    let draw = |values: &dyn Fn(&Bucket) -> (u64, u64), text: &dyn Fn(&Bucket) -> String, label: &str| {
        let bar = |bucket: &Bucket| {
            let (value, bad) = values(bucket);
            (bucket.samples, value, bad, text(bucket))
        };
        chart(buckets.iter().map(bar), label)
    };
    let plain = |of: fn(&Bucket) -> u64, what: &str| {
        let text = |bucket: &Bucket| format!("{} {what}", grouped(of(bucket)));
        draw(&|bucket| (of(bucket), 0), &text, what)
    };
    let waits = |bucket: &Bucket| format!("the oldest due job had waited {}", ms(bucket.lag_ms));
    let troubles = |bucket: &Bucket| {
        format!(
            "{}, {}",
            count(bucket.failed, "failed cycle", "failed cycles"),
            count(
                bucket.parked,
                "parked job or dead letter",
                "parked jobs and dead letters"
            )
        )
    };
    html! {
        section aria-labelledby="history-title" {
            h2 #history-title { "Last " (HOURS) " hours" }
            // A single sample shows no change over time.
            @if samples.len() < 2 {
                p.empty { "A scheduler records the first figures within a minute." }
            } @else {
                div.panels {
                    (panel("Entities read", &grouped(sum(|bucket| bucket.entities)), false, plain(|bucket| bucket.entities, "entities of finished cycles")))
                    (panel("Changes", &grouped(sum(|bucket| bucket.changes)), false, plain(|bucket| bucket.changes, "changes")))
                    (panel("Events", &grouped(sum(|bucket| bucket.events)), false, plain(|bucket| bucket.events, "events")))
                    (panel("Longest wait", &if lag == 0 { "none".to_owned() } else { ms(lag) }, false,
                        draw(&|bucket| (bucket.lag_ms, 0), &waits, "how long the oldest due job had waited")))
                    (panel("Failed or parked", &grouped(failed + parked), failed + parked > 0,
                        draw(&|bucket| (bucket.failed + bucket.parked, bucket.failed + bucket.parked), &troubles, "failed cycles, parked jobs and dead letters")))
                }
            }
        }
    }
}

/// The progress of a subscription or target: what it processed, and its backlog.
pub(super) fn progress(steps: &[Progress], what: &str, now: Timestamp) -> Markup {
    let mut passed = vec![(0, 0, 0); usize::try_from(BARS).unwrap_or(0)];
    for step in steps {
        let ago = (now.0 - step.at.0.0).max(0) / (STEP * MINUTE);
        let place = usize::try_from(BARS - 1 - ago).ok();
        if let Some((samples, all, behind)) = place.and_then(|place| passed.get_mut(place)) {
            *samples += 1;
            *all += step.passed;
            *behind = step.behind.max(*behind);
        }
    }
    let draw = |value: fn(&(u64, u64, u64)) -> u64, words: &str| {
        let text = |bar: &(u64, u64, u64)| format!("{} {what} {words}", grouped(value(bar)));
        let bar = |bar: &(u64, u64, u64)| (bar.0, value(bar), 0, text(bar));
        chart(passed.iter().map(bar), &format!("{what} {words}"))
    };
    let all: u64 = passed.iter().map(|bar| bar.1).sum();
    let most = passed.iter().map(|bar| bar.2).max().unwrap_or(0);
    html! {
        section aria-labelledby="history-title" {
            h2 #history-title { "Last " (HOURS) " hours" }
            @if steps.is_empty() {
                p.empty { "A scheduler records the first figures within five minutes." }
            } @else {
                div.panels {
                    (panel("Passed", &grouped(all), false, draw(|bar| bar.1, "passed")))
                    (panel("Most behind", &grouped(most), false, draw(|bar| bar.2, "behind")))
                }
            }
        }
    }
}

fn panel(name: &str, figure: &str, bad: bool, chart: Markup) -> Markup {
    html! {
        figure.panel {
            figcaption { (name) strong.bad[bad] { (figure) } }
            (chart)
            p.scale aria-hidden="true" { span { "−" (HOURS) " h" } span { "now" } }
        }
    }
}

/// Bars, each of a number of samples, a value, the bad part of it, and a label.
fn chart(of: impl ExactSizeIterator<Item = (u64, u64, u64, String)>, label: &str) -> Markup {
    let last = i64::try_from(of.len()).unwrap_or(0) - 1;
    let drawn: Vec<Bar> = of
        .zip(0..)
        .map(|((samples, value, bad, text), place)| {
            let ago = (last - place) * STEP;
            let title = match (samples, ago) {
                (0, _) => String::new(),
                (_, 0) => format!("now: {text}"),
                (_, ago) => format!(
                    "{} ago: {text}",
                    length(std::time::Duration::from_secs(ago.unsigned_abs() * 60))
                ),
            };
            Bar { value, bad, title }
        })
        .collect();
    bars(&drawn, 44, &format!("Last {HOURS} hours: {label}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Time;

    fn figures(at: i64, last_sequence: i64, lag_ms: u64) -> Figures {
        Figures {
            at: Time(Timestamp(at)),
            due: 0,
            lag_ms,
            running: 0,
            parked: 0,
            dead_letters: 0,
            last_sequence,
            last_event: 0,
            entities: 10,
            failed_cycles: 0,
        }
    }

    #[test]
    fn numbers_that_rise_are_shown_by_how_much_they_rose_and_waits_by_the_longest() {
        let now = Timestamp(1_000 * MINUTE);
        let at = |ago: i64| now.0 - ago * MINUTE;
        let samples = [
            figures(at(12), 500, 0),
            figures(at(2), 520, 3_000),
            figures(at(1), 530, 1_000),
        ];
        let buckets = buckets(&samples, now);
        let newest = buckets.last().copied().unwrap();
        assert_eq!((newest.changes, newest.entities, newest.lag_ms), (30, 20, 3_000));
        let changes: u64 = buckets.iter().map(|bucket| bucket.changes).sum();
        assert_eq!(changes, 30, "what came before the first sample is not counted");
    }

    #[test]
    fn the_first_minute_of_a_store_is_not_shown_as_zeros() {
        let now = Timestamp(1_000 * MINUTE);
        let one = [figures(now.0 - 1_000, 500, 0)];
        assert!(charts(&one, now).into_string().contains("within a minute"));
        let two = [figures(now.0 - MINUTE, 500, 0), figures(now.0, 501, 0)];
        assert!(!charts(&two, now).into_string().contains("within a minute"));
    }

    #[test]
    fn a_scheduler_is_missed_after_three_minutes_without_a_sample() {
        let now = Timestamp(1_000 * MINUTE);
        let samples = |ago: i64| [figures(now.0 - 20 * MINUTE, 1, 0), figures(now.0 - ago * MINUTE, 1, 0)];
        assert_eq!(idle_since(&samples(3), now), None);
        assert_eq!(idle_since(&samples(4), now), Some(Timestamp(now.0 - 4 * MINUTE)));
        assert_eq!(idle_since(&[], now), None, "a store that is new");
    }

    #[test]
    fn samples_of_a_clock_that_ran_ahead_are_shown_as_now() {
        let now = Timestamp(1_000 * MINUTE);
        let buckets = buckets(&[figures(now.0 + 90_000, 1, 0)], now);
        assert_eq!(buckets.last().unwrap().samples, 1);
    }

    #[test]
    fn a_follower_is_shown_by_what_it_passed_and_how_far_behind_it_was() {
        let now = Timestamp(1_000 * MINUTE);
        let step = |ago: i64, passed: u64, behind: u64| Progress {
            at: Time(Timestamp(now.0 - ago * MINUTE)),
            passed,
            behind,
        };
        let shown = progress(&[step(12, 1_200, 3), step(1, 34, 5_000)], "events", now).into_string();
        for text in [
            "1,234",
            "5,000",
            "10 min ago: 1,200 events passed",
            "now: 5,000 events behind",
        ] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        let nothing = progress(&[], "events", now).into_string();
        assert!(nothing.contains("within five minutes"), "{nothing}");
    }
}
