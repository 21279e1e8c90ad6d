//! Numbers, times and durations, formatted for people. A relative time carries the exact one in `title`; the script
//! keeps it going.

use std::time::Duration;

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tideline_core::words::{Timestamp, grouped, moments};

/// What a segment of a path, or a value of a query, may have as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a segment of a path, or a value of a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// `1 entity`, `20,000 entities`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `2 min 5 s`: the two largest units, down to a second; below that, milliseconds.
pub(super) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let pair = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => pair(minutes, "min", seconds % 60, "s"),
        3_600..86_400 => pair(hours, "h", minutes, "min"),
        _ => pair(days, "d", hours, "h"),
    }
}

/// `1.2 KB`, in powers of 1,000.
pub(super) fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1_000, "KB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// `3 min ago`, `in 8 s`: one unit, as the script writes it too.
fn relative(moment: Timestamp, now: Timestamp) -> String {
    let ahead = moment > now;
    let seconds = if ahead { moment.since(now) } else { now.since(moment) }.as_secs();
    let (number, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    match (ahead, number) {
        (_, 0) => "now".to_owned(),
        (true, number) => format!("in {number} {unit}"),
        (false, number) => format!("{number} {unit} ago"),
    }
}

/// A moment as seen from now.
pub(super) fn ago(moment: impl Into<Timestamp>, now: Timestamp) -> Markup {
    let moment = moment.into();
    html! {
        time datetime=(moment) title=(moment.exact()) data-relative { (relative(moment, now)) }
    }
}

/// A moment on the clock; with its date if that is not today's.
pub(super) fn clock(moment: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(moment) title=(moment.exact()) { (moment.on_the_clock(now)) }
    }
}

/// A sentence of the API, whose moments are shown on the clock.
pub(super) fn sentence(text: &str, now: Timestamp) -> Markup {
    html! {
        @for (before, moment) in moments(text) {
            (before)
            @if let Some(moment) = moment { (clock(moment, now)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        let shown = |ms| length(Duration::from_millis(ms));
        assert_eq!(shown(12), "12 ms");
        assert_eq!(shown(59_999), "59 s");
        assert_eq!(shown(125_000), "2 min 5 s");
        assert_eq!(shown(7_200_000), "2 h");
        assert_eq!(shown(90_000_000), "1 d 1 h");
    }

    #[test]
    fn a_moment_is_relative_with_the_exact_one_in_its_title() {
        let now = Timestamp(1_790_000_000_000);
        let shown = ago(Timestamp(now.0 - 200_000), now).into_string();
        assert!(shown.contains(">3 min ago<"), "{shown}");
        assert!(shown.contains("UTC"), "{shown}");
        assert!(ago(Timestamp(now.0 + 61_000), now).into_string().contains(">in 1 min<"));
    }

    #[test]
    fn the_moments_of_a_sentence_are_shown_on_the_clock_and_the_rest_as_it_is() {
        let now: Timestamp = "2026-11-29T02:00:00.000Z".parse().unwrap();
        let text = "resting until 2026-11-29T02:10:00.000Z, after <b>20</b>";
        let shown = sentence(text, now).into_string();
        assert!(
            shown.contains(">02:10:00 UTC</time>, after &lt;b&gt;20&lt;/b&gt;"),
            "{shown}"
        );
        let tomorrow = sentence("until 2026-11-30T02:10:00.000Z", now).into_string();
        assert!(tomorrow.contains(">2026-11-30 02:10:00 UTC<"), "{tomorrow}");
        assert_eq!(sentence("ä20", now).into_string(), "ä20");
    }

    #[test]
    fn bytes_have_one_decimal() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234), "1.2 KB");
        assert_eq!(bytes(5_000_000), "5.0 MB");
    }
}
