//! `signed` and `timestamp` of an `hmac` hook: what its sender signs besides the body, and when that was.

use super::fields::header_name;
use super::reader::Section;

/// A value of a header: all of it, or of a list such as `t=1,v1=2` the value of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValueOf {
    /// The header.
    pub header: String,
    /// The name in the list.
    pub item: Option<String>,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedPart {
    /// This text.
    Text(String),
    /// What a header says.
    Header(HeaderValueOf),
    /// The body as it came.
    Body,
}

/// `NAME`, or `NAME:ITEM`; no name of a header has a colon.
fn value_of(text: &str) -> Result<HeaderValueOf, String> {
    let (header, item) = match text.split_once(':') {
        Some((_, item)) if item.is_empty() || item.contains([',', '=']) => {
            return Err(format!(
                "{text}: after the colon is a name of a list such as `t=1,v1=2`"
            ));
        }
        Some((header, item)) => (header, Some(item.to_owned())),
        None => (text, None),
    };
    Ok(HeaderValueOf {
        header: header_name(header).map_err(|error| format!("{header}: {error}"))?,
        item,
    })
}

/// A text with `{body}`, `{header:NAME}` and `{header:NAME:ITEM}`.
fn parts_of(text: &str) -> Result<Vec<SignedPart>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(SignedPart::Text(before.to_owned()));
        }
        let (name, after) = after.split_once('}').ok_or("has a `{` without its `}`")?;
        parts.push(match name.split_once(':') {
            Some(("header", value)) => SignedPart::Header(value_of(value)?),
            None if name == "body" => SignedPart::Body,
            _ => {
                return Err(format!(
                    "has {{{name}}}; there are {{body}}, {{header:NAME}} and {{header:NAME:ITEM}}"
                ));
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(SignedPart::Text(rest.to_owned()));
    }
    if !parts.contains(&SignedPart::Body) {
        return Err("must have {body}, or anybody could change it".to_owned());
    }
    Ok(parts)
}

/// What is signed, and where its time is.
pub(super) fn read_signed_content(hook: &Section<'_>) -> (Vec<SignedPart>, Option<HeaderValueOf>) {
    let doc = "What the signature is made over: a text with `{body}`, `{header:NAME}`, and `{header:NAME:ITEM}` for a value of a \
               header that is a list such as `t=1,v1=2`. Slack's is `v0:{header:X-Slack-Request-Timestamp}:{body}`.";
    let signed = hook.parsed("signed", "text with placeholders", "`{body}`", doc, &parts_of);
    let doc = "The header with the time of the webhook in seconds since 1970, as `NAME` or `NAME:ITEM`. It must be part of \
               `signed`. Webhooks that are further from now than `tolerance` are rejected.";
    let timestamp = hook.parsed("timestamp", "header name", "none", doc, &value_of);
    let signed = signed.unwrap_or_else(|| vec![SignedPart::Body]);
    if let Some(timestamp) = &timestamp
        && !signed.contains(&SignedPart::Header(timestamp.clone()))
    {
        hook.fail("timestamp", "must be a part of signed, or anybody could change it");
    }
    (signed, timestamp)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_read_part_by_part_and_a_slip_is_told() {
        let header = |header: &str, item: Option<&str>| {
            SignedPart::Header(HeaderValueOf {
                header: header.to_owned(),
                item: item.map(str::to_owned),
            })
        };
        let text = |text: &str| SignedPart::Text(text.to_owned());
        assert_eq!(
            parts_of("v0:{header:X-Time}:{body}").unwrap(),
            [text("v0:"), header("X-Time", None), text(":"), SignedPart::Body]
        );
        assert_eq!(
            parts_of("{header:Stripe-Signature:t}.{body}!").unwrap(),
            [
                header("Stripe-Signature", Some("t")),
                text("."),
                SignedPart::Body,
                text("!")
            ]
        );
        for (wrong, why) in [
            ("v0", "must have {body}"),
            ("{body", "without its"),
            ("{bdoy}", "{bdoy}"),
            ("{header:a b}{body}", "a b"),
            ("{header:a:}{body}", "after the colon"),
        ] {
            let error = parts_of(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
