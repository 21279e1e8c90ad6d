//! Numbers, times and texts as people read them.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

pub(crate) use tideline_core::words::grouped as count;
use tideline_core::words::{Timestamp, moments};

/// A number and what it counts: `1 item`, `1,234 items`.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        number => format!("{} {many}", count(number)),
    }
}

/// Why there is no answer from a URL, by the last cause, which names neither system calls nor layers.
pub(crate) fn unreachable(url: &str, error: &(dyn Error + 'static)) -> String {
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    let why: String = first.into_iter().chain(letters).collect();
    format!("cannot reach {url}: {why}")
}

/// The two largest units: `850 ms`, `24 s`, `3 min 5 s`, `2 h 10 min`, `4 d 2 h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds == 0 {
        return format!("{} ms", span.as_millis());
    }
    for (unit, size, lower, lower_size) in [("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)] {
        if seconds >= size {
            let rest = seconds % size / lower_size;
            return if rest == 0 {
                format!("{} {unit}", seconds / size)
            } else {
                format!("{} {unit} {rest} {lower}", seconds / size)
            };
        }
    }
    format!("{seconds} s")
}

/// How far away: `in 24 s`, `3 min ago`, `now`.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", span(at.since(now)))
    } else if now.since(at) < Duration::from_secs(1) {
        "now".to_owned()
    } else {
        format!("{} ago", span(now.since(at)))
    }
}

/// A sentence of the API, whose moments are shown on the clock and by how far away they are.
pub(crate) fn sentence(text: &str, now: Timestamp) -> String {
    let mut shown = String::with_capacity(text.len());
    for (before, at) in moments(text) {
        shown.push_str(before);
        if let Some(at) = at {
            shown.push_str(&format!("{} ({})", at.on_the_clock(now), moment(at, now)));
        }
    }
    shown
}

/// A speed: `1,234/s`; nothing before there is anything to say.
pub(crate) fn per_second(number: u64, time: Duration) -> String {
    if number == 0 || time.as_millis() == 0 {
        return String::new();
    }
    let speed = u128::from(number) * 1000 / time.as_millis();
    format!("{}/s", count(u64::try_from(speed).unwrap_or(u64::MAX)))
}

/// The first line, at most `limit` characters.
pub(crate) fn short(text: &str, limit: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= limit && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A text whose characters that would command the terminal, or turn the direction of writing, are written out: names
/// come from outside. Sources: ECMA-48; Unicode, UAX #9.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let commands = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if commands(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    });
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_in_a_sentence_is_shown_by_the_clock_and_by_how_far_away_it_is() {
        let now: Timestamp = "2026-11-29T02:00:00.000Z".parse().unwrap();
        let text = sentence("until 2026-11-29T02:10:00.000Z, since 2026-11-28T02:00:00.000Z", now);
        assert_eq!(
            text,
            "until 02:10:00 UTC (in 10 min), since 2026-11-28 02:00:00 UTC (1 d ago)"
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 999, 1_000, 20_100, 1_234_567].map(count);
        assert_eq!(texts, ["0", "999", "1,000", "20,100", "1,234,567"]);
    }

    #[test]
    fn a_span_shows_its_two_largest_units() {
        let texts = [0, 24, 60, 185, 7_800, 352_800].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(texts, ["0 ms", "24 s", "1 min", "3 min 5 s", "2 h 10 min", "4 d 2 h"]);
        assert_eq!(span(Duration::from_millis(850)), "850 ms");
    }

    #[test]
    fn a_moment_is_told_from_now() {
        let now = Timestamp(1_000_000);
        assert_eq!(moment(now.plus(Duration::from_secs(24)), now), "in 24 s");
        assert_eq!(moment(now, now), "now");
        assert_eq!(moment(Timestamp(0), Timestamp(180_000)), "3 min ago");
    }

    #[test]
    fn a_long_text_is_cut_to_its_first_line() {
        assert_eq!(short("one\ntwo", 10), "one…");
        assert_eq!(short("abcdefgh", 4), "abc…");
        assert_eq!(short("abcd", 4), "abcd");
    }
}
