//! Keeps secrets out of what people read and what is stored: known secrets are replaced wherever they occur, URLs lose
//! their user information and query, and members of a JSON text whose names sound secret lose their values.

use parking_lot::RwLock;
use tideline_core::rules::{REDACTED, scrub_tokens, scrub_urls};

use super::secret_names;

/// Forms of secrets that are known at a time; each has up to three.
const MAX_NEEDLES: usize = 1_024;

/// Addresses that need no credentials: the address alone grants access.
const SECRET_ADDRESSES: [&str; 4] = ["download-url", "download_url", "upload-url", "upload_url"];

/// Whether a query parameter or a member of a body with this name holds a secret, as far as a name can tell.
pub(super) fn sounds_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["key", "sig", "signature"].contains(&lower.as_str()) || is_secret_member(&lower, name)
}

fn is_secret_member(lower: &str, name: &str) -> bool {
    secret_names::sounds_secret(name) || SECRET_ADDRESSES.iter().any(|address| lower.contains(address))
}

/// What is known to be secret.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    /// Each secret in the forms it may occur in; longer ones first.
    needles: RwLock<Vec<Needle>>,
}

#[derive(Debug)]
struct Needle {
    text: String,
    /// It may not be stored either.
    is_credential: bool,
}

impl Redactor {
    /// Learns a credential: its text, its percent-encoded and its JSON-escaped form.
    pub(super) fn add(&self, secret: &str) {
        self.learn(secret, true);
    }

    /// Learns a text that is not shown, but need not be a credential: it may stand in a stored cursor.
    pub(super) fn hide(&self, secret: &str) {
        self.learn(secret, false);
    }

    fn learn(&self, secret: &str, is_credential: bool) {
        if secret.is_empty() {
            return;
        }
        let mut needles = self.needles.write();
        for text in forms(secret) {
            if let Some(known) = needles.iter_mut().find(|needle| needle.text == text) {
                known.is_credential |= is_credential;
            } else if needles.len() < MAX_NEEDLES {
                needles.push(Needle { text, is_credential });
            }
        }
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.text.len()));
    }

    /// Forgets a secret that is no longer in use.
    pub(super) fn forget(&self, secret: &str) {
        let forms = forms(secret);
        self.needles.write().retain(|needle| !forms.contains(&needle.text));
    }

    /// A text for people: without known secrets, user information and queries of URLs.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = scrub_tokens(&scrub_urls(text));
        for needle in self.needles.read().iter() {
            if out.contains(needle.text.as_str()) {
                out = out.replace(needle.text.as_str(), REDACTED);
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

    /// Whether a known credential is in the text.
    pub(super) fn touches(&self, text: &str) -> bool {
        let needles = self.needles.read();
        needles
            .iter()
            .any(|needle| needle.is_credential && text.contains(needle.text.as_str()))
    }
}

/// How a secret may stand in a text: as it is, percent-encoded, escaped in JSON.
fn forms(secret: &str) -> [String; 3] {
    let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let quoted = serde_json::Value::from(secret).to_string();
    [secret.to_owned(), encoded, quoted.trim_matches('"').to_owned()]
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
        if !is_secret_member(&lower, name) || value.starts_with(['{', '[']) {
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
    fn what_is_only_hidden_is_replaced_and_may_be_stored() {
        let redactor = redactor();
        redactor.hide("acme & co");
        redactor.hide("s3cr&t/x");
        assert_eq!(redactor.text("of acme+%26+co, acme & co"), "of [redacted], [redacted]");
        assert!(!redactor.touches("acme & co"));
        assert!(redactor.touches("s3cr&t/x"), "a credential stays one");
    }

    #[test]
    fn a_token_that_is_forgotten_makes_room_for_the_next_one_in_every_form() {
        let redactor = redactor();
        for number in 0..10 * MAX_NEEDLES {
            let token = format!("token/{number}=");
            redactor.add(&token);
            assert_eq!(redactor.text(&token), "[redacted]", "{number}");
            redactor.forget(&token);
        }
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
