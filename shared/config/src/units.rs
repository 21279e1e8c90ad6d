//! Durations and sizes as people write them.

use std::time::Duration;

const TIMES: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// `10s`, `1m30s`, `250ms`, `7d`, `0`. Each unit once, big ones first.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0_u64;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(end);
        let milliseconds = TIMES.iter().find(|(name, _)| *name == unit)?.1;
        if milliseconds >= smallest {
            return None;
        }
        smallest = milliseconds;
        total = total.checked_add(number.checked_mul(milliseconds)?)?;
        rest = after;
    }
    (smallest < u64::MAX).then(|| Duration::from_millis(total))
}

/// As [`parse_duration`] reads it.
pub(super) fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0".to_owned();
    }
    let mut out = String::new();
    for (unit, milliseconds) in TIMES.iter().rev() {
        if left >= *milliseconds {
            out.push_str(&format!("{}{unit}", left / milliseconds));
            left %= milliseconds;
        }
    }
    out
}

/// `32MiB`, `500KB`, or bytes without a unit.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let unit = unit.trim_start();
    let bytes = if unit.is_empty() {
        1
    } else {
        SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1
    };
    number.checked_mul(bytes)
}

/// As [`parse_size`] reads it.
pub(super) fn format_size(bytes: u64) -> String {
    let unit = SIZES[..4]
        .iter()
        .rev()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    match unit {
        Some((unit, size)) if bytes > 0 => format!("{}{unit}", bytes / size),
        _ => bytes.to_string(),
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let milliseconds = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(milliseconds("10s"), Some(10_000));
        assert_eq!(milliseconds("1m30s"), Some(90_000));
        assert_eq!(milliseconds("250ms"), Some(250));
        assert_eq!(milliseconds("7d"), Some(604_800_000));
        assert_eq!(milliseconds("0"), Some(0));
        assert_eq!(milliseconds("0s"), Some(0));
        for wrong in [
            "",
            "10",
            "s",
            "10 s",
            "-1s",
            "1.5s",
            "30s1m",
            "1s1s",
            "10sec",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("32MiB"), Some(32 << 20));
        assert_eq!(parse_size("500 kb"), Some(500_000));
        assert_eq!(parse_size("17"), Some(17));
        for wrong in ["", "MiB", "1.5MiB", "-1", "1 parsec", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number in 0_u64..u64::MAX / 4) {
            prop_assert_eq!(parse_duration(&format_duration(Duration::from_millis(number))), Some(Duration::from_millis(number)));
            prop_assert_eq!(parse_size(&format_size(number)), Some(number));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-zA-ZäöµMG. -]{0,30}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
