//! Texts that were cut in the middle of a character: some programs write the remaining half as the escape of a lone
//! surrogate. JSON's grammar allows that, but no text can hold it (RFC 8259, section 8.2). It is read as U+FFFD.

use std::borrow::Cow;

use memchr::memchr;

/// Length of `\ud83d`.
const ESCAPE: usize = 6;

/// The JSON text without escapes of lone surrogates.
pub(super) fn replaced(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(escape) = memchr(b'\\', &bytes[at..]) {
        at += escape;
        match (unit(bytes, at), unit(bytes, at + ESCAPE)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 2 * ESCAPE,
            (Some(0xD800..=0xDFFF), _) => {
                whole.push_str(&text[copied..at]);
                whole.push_str("\\ufffd");
                at += ESCAPE;
                copied = at;
            }
            // Another escape, whose next character may be a backslash.
            _ => at = (at + 2).min(bytes.len()),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    whole.push_str(&text[copied..]);
    Cow::Owned(whole)
}

/// The UTF-16 code unit that is escaped here.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_left_of_a_cut_character_is_replaced_and_nothing_else() {
        for (text, expected) in [
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\uD83D\uDE00 \ud83dx""#, "\u{1f600} \u{fffd}x"),
            (r#""\ude00\ud83d\ud83d\ude00""#, "\u{fffd}\u{fffd}\u{1f600}"),
            (r#""\\ud83d \"\\\" \u00e4é""#, "\\ud83d \"\\\" äé"),
        ] {
            let whole: Value = serde_json::from_str(&replaced(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(whole, Value::from(expected), "{text}");
        }
        for same in ["", "\\", "\"\\u", "\"\\ud8", r#"{"a": "\n \u0041"}"#] {
            assert!(matches!(replaced(same), Cow::Borrowed(_)), "{same}");
        }
    }
}
