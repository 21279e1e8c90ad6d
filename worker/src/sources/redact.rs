//! Keeps secrets out of what people read and what is stored: known secrets are replaced wherever they occur, URLs lose
//! their user information and query, and members of a JSON text whose names sound secret lose their values.

use parking_lot::RwLock;

const REDACTED: &str = "[redacted]";

/// Tokens that were fetched later and are remembered; older ones have expired.
const MAX_NEEDLES: usize = 64;

/// A name that contains one of these is the name of a secret.
const SECRET_NAMES: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "private_key",
    "credential",
];

/// What is known to be secret.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    /// Each secret in the forms it may occur in; longer ones first.
    needles: RwLock<Vec<String>>,
}

impl Redactor {
    /// Learns a secret: its text, its percent-encoded and its JSON-escaped form.
    pub(super) fn add(&self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let quoted = serde_json::Value::from(secret).to_string();
        let escaped = quoted.trim_matches('"').to_owned();
        let mut needles = self.needles.write();
        for form in [secret.to_owned(), encoded, escaped] {
            if !needles.contains(&form) && needles.len() < MAX_NEEDLES {
                needles.push(form);
            }
        }
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// Forgets a secret that is no longer in use.
    pub(super) fn forget(&self, secret: &str) {
        self.needles.write().retain(|needle| needle != secret);
    }

    /// A text for people: without known secrets, user information and queries of URLs.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = scrub_urls(text);
        for needle in self.needles.read().iter() {
            if out.contains(needle.as_str()) {
                out = out.replace(needle.as_str(), REDACTED);
            }
        }
        out
    }

    /// The first bytes of what a source sent, on one line, at most `max` bytes.
    pub(super) fn sample(&self, bytes: &[u8], max: usize) -> String {
        let head = &bytes[..bytes.len().min(max.saturating_mul(8))];
        let text: String = String::from_utf8_lossy(head)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let mut out = self.text(&blank_secret_members(&text));
        if out.len() > max {
            let mut end = max;
            while !out.is_char_boundary(end) {
                end -= 1;
            }
            out.truncate(end);
        }
        out
    }

    /// Whether a known secret is in the text.
    pub(super) fn touches(&self, text: &str) -> bool {
        self.needles.read().iter().any(|needle| text.contains(needle.as_str()))
    }
}

/// URLs in the text without user information and query.
fn scrub_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\'))
            .unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        let (host, path) = url.split_at(authority);
        out.push_str(host.rsplit_once('@').map_or(host, |(_, host)| host));
        match path.find(['?', '#']) {
            Some(query) => {
                out.push_str(&path[..query]);
                out.push('?');
                out.push_str(REDACTED);
            }
            None => out.push_str(path),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// `"password": "x"` becomes `"password": "[redacted]"`, also in a text that is cut or not quite JSON.
fn blank_secret_members(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('"') {
        let (before, quoted) = rest.split_at(open);
        out.push_str(before);
        let name_end = string_end(quoted);
        let (name, tail) = quoted.split_at(name_end);
        out.push_str(name);
        let value = tail.trim_start();
        let Some(value) = value.strip_prefix(':').map(str::trim_start) else {
            rest = tail;
            continue;
        };
        let lower = name.to_ascii_lowercase();
        if !SECRET_NAMES.iter().any(|secret| lower.contains(secret)) || value.starts_with(['{', '[']) {
            out.push_str(&tail[..tail.len() - value.len()]);
            rest = value;
            continue;
        }
        let end = if value.starts_with('"') {
            string_end(value)
        } else {
            value.find([',', '}', ']']).unwrap_or(value.len())
        };
        out.push_str(":\"");
        out.push_str(REDACTED);
        out.push('"');
        rest = &value[end..];
    }
    out.push_str(rest);
    out
}

/// Where the string that starts the text ends, its closing quote included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let redactor = Redactor::default();
        redactor.add("s3cr&t/x");
        redactor
    }

    #[test]
    fn a_known_secret_is_replaced_in_every_form() {
        let text = redactor().text("a s3cr&t/x b s3cr%26t%2Fx c");
        assert_eq!(text, "a [redacted] b [redacted] c");
    }

    #[test]
    fn urls_lose_user_information_and_query() {
        let text = redactor().text("GET https://me:pw@host:1/p/q?sig=abc#f failed, see http://h/");
        assert_eq!(text, "GET https://host:1/p/q?[redacted] failed, see http://h/");
    }

    #[test]
    fn members_that_sound_secret_lose_their_values() {
        let text = redactor().sample(
            br#"{"name":"a","accessToken" : "x\"y","password":12,"tokens":{"a":"b"},"clientSecret":"cut"#,
            500,
        );
        assert_eq!(
            text,
            r#"{"name":"a","accessToken":"[redacted]","password":"[redacted]","tokens":{"a":"b"},"clientSecret":"[redacted]""#
        );
    }

    #[test]
    fn a_sample_is_cut_at_a_character_and_holds_no_line_break() {
        let text = redactor().sample("ää\nää".as_bytes(), 6);
        assert_eq!(text, "ää ");
        assert!(text.len() <= 6);
    }
}
