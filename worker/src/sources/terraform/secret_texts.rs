//! Secrets within texts: settings of connections, YAML, headers, command lines, addresses with a password.

use tideline_core::rules::{REDACTED, scrub_tokens, scrub_urls};

use super::glob::Globs;
use super::sensitive::{is_value, names_value, sounds_secret};

/// A text without what is known to be a credential: tokens by their form, user names, passwords and queries of URLs.
fn scrub_text(text: &str) -> String {
    if text.contains("-----BEGIN") {
        return String::new();
    }
    scrub_tokens(&scrub_urls(text))
}

/// A text without the values of what has a name that sounds secret.
pub(super) fn strip_plain_text(text: &str, denied: &Globs) -> String {
    let text = strip_lines(text, denied);
    scrub_text(&scrub_words(&strip_settings(&text, denied)))
}

fn is_hidden(name: &str, denied: &Globs) -> bool {
    sounds_secret(name) || denied.matches(name)
}

/// Lines `name: value`, as YAML and headers have them, without the values of those whose name sounds secret, and of
/// what is below them; `value: …` after `name: DB_PASSWORD`, too.
fn strip_lines(text: &str, denied: &Globs) -> String {
    let mut out = String::with_capacity(text.len());
    // How far what is hidden is indented: what is farther in belongs to it.
    let mut hidden = None;
    let mut names_a_secret = false;
    for line in text.split_inclusive('\n') {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        // A list may stand as far in as the name of it.
        let is_below = |column| indent > column || (indent == column && body.starts_with("- "));
        if hidden.is_some_and(|column| body.is_empty() || is_below(column)) {
            continue;
        }
        hidden = None;
        let entry = body.strip_prefix("- ").map_or(body, str::trim_start);
        if entry.len() < body.len() {
            names_a_secret = false;
        }
        let pair = entry
            .split_once(':')
            .filter(|(_, value)| value.is_empty() || value.starts_with(char::is_whitespace));
        let Some((name, value)) = pair else {
            out.push_str(line);
            continue;
        };
        let (name, value) = (bare(name), bare(value));
        if is_hidden(name, denied) || (names_a_secret && is_value(name)) {
            let column = line.len() - entry.len();
            hidden = Some(column);
            let end = &line[line.trim_end().len()..];
            let colon = column + entry.find(':').unwrap_or(0);
            out.push_str(&line[..=colon]);
            out.push_str(end);
            continue;
        }
        names_a_secret |= names_value(name) && is_hidden(value, denied);
        out.push_str(line);
    }
    out
}

fn bare(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// `name=value`, `name = value`, `name:value` and `"name": value` without the values of names that sound secret. A value in
/// quotes ends with them. Others end at a blank, after `name = ` at the end of the line, and between `;` at the next one.
fn strip_settings(text: &str, denied: &Globs) -> String {
    let by_semicolons = text.contains(';');
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = text[from..].find(['=', ':']).map(|at| from + at) {
        let (before, value) = (&text[..at], &text[at + 1..]);
        out.push_str(&text[from..=at]);
        from = at + 1;
        let name = match text.as_bytes()[at] {
            b'=' => Some(name_of_setting(before, by_semicolons)),
            _ => name_before_colon(before, value),
        };
        if name.is_some_and(|name| is_hidden(name, denied)) {
            let is_spaced = before.ends_with([' ', '\t']);
            from += value_length(value, is_spaced, by_semicolons);
        }
    }
    out.push_str(&text[from..]);
    out
}

/// The name at the end of a text in quotes, if it is in quotes.
fn name_in_quotes(before: &str) -> Option<&str> {
    let quote = before.chars().next_back().filter(|last| matches!(last, '"' | '\''))?;
    let inner = before.strip_suffix(quote)?;
    inner.rsplit_once(quote).map(|(_, name)| name)
}

fn name_of_setting(before: &str, by_semicolons: bool) -> &str {
    let before = before.trim_end_matches([' ', '\t']);
    if let Some(name) = name_in_quotes(before) {
        return name;
    }
    let ends: &[char] = match by_semicolons {
        true => &[';', '\n'],
        false => &[' ', '\t', '\n', ',', '&', '?', ';', '{', '(', '[', '"', '\''],
    };
    before
        .rsplit([':'])
        .next()
        .and_then(|name| name.rsplit(ends).next())
        .unwrap_or_default()
}

/// A name that a colon follows at once, and then a value at once: not a part of an address, nor of a longer list.
fn name_before_colon<'t>(before: &'t str, value: &str) -> Option<&'t str> {
    if let Some(name) = name_in_quotes(before) {
        return Some(name);
    }
    let name = before
        .rsplit([' ', '\t', '\n', ',', '&', '?', ';', '=', '{', '(', '[', '"', '\''])
        .next()?;
    let has_value = !value.starts_with(|first: char| first.is_whitespace() || matches!(first, '/' | ':'));
    (has_value && !value.is_empty() && !name.contains(':')).then_some(name)
}

/// How much of the text after a name and its sign is the value.
fn value_length(text: &str, is_spaced: bool, by_semicolons: bool) -> usize {
    let value = text.trim_start_matches([' ', '\t']);
    let blanks = text.len() - value.len();
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let end = match quote {
        Some(quote) => end_of_quote(value, quote),
        None if by_semicolons => value.find([';', '\n']),
        None if is_spaced || blanks > 0 => value.find('\n'),
        None => value.find([' ', ',', '&', '\n']),
    };
    blanks + end.unwrap_or(value.len())
}

/// Behind the quote that ends a text which begins with one (or with three of them); a backslash escapes.
fn end_of_quote(text: &str, quote: char) -> Option<usize> {
    let three = String::from_iter([quote; 3]);
    if let Some(inner) = text.strip_prefix(&three) {
        return inner.find(&three).map(|end| end + 6);
    }
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return Some(at + 1);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}

/// Without what follows `Bearer`, `Basic` and options such as `--password`, and without the user and the password in
/// `user:password@tcp(host)/db`.
fn scrub_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = "";
    // The quote that ends what is hidden.
    let mut open = None;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        if let Some(quote) = open {
            if word.ends_with(quote) {
                open = None;
                out.push_str(&piece[word.len()..]);
            }
        } else if !word.is_empty() && is_given(before, word) {
            out.push_str(REDACTED);
            let quote = word.chars().next().filter(|first| matches!(first, '"' | '\''));
            open = quote.filter(|quote| word.len() == 1 || !word.ends_with(*quote));
            if open.is_none() {
                let quotes = word.trim_end_matches(['"', '\'']).len();
                out.push_str(&piece[quotes..]);
            }
        } else {
            out.push_str(without_user(piece));
        }
        if !word.is_empty() {
            before = word;
        }
    }
    out
}

/// Whether the word before says that this one is a secret.
fn is_given(before: &str, word: &str) -> bool {
    let before = before.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_long = word.len() >= 8;
    match before.to_ascii_lowercase().as_str() {
        "bearer" => is_long,
        // Else it is likely to be an adjective.
        "basic" => is_long && word.contains(|c: char| c.is_ascii_digit() || c == '='),
        option => option.len() > 2 && option.starts_with('-') && !word.starts_with('-') && sounds_secret(option),
    }
}

/// `user:password@` is left out where a server's address follows: `tcp(host:1)`, `host:1`, `host/path`.
fn without_user(word: &str) -> &str {
    let Some((login, server)) = word.rsplit_once('@') else {
        return word;
    };
    let is_login = login
        .split_once(':')
        .is_some_and(|(user, password)| !user.contains('/') && !password.is_empty() && !password.starts_with("//"));
    let end = server.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'));
    let (host, rest) = server.split_at(end.unwrap_or(server.len()));
    let digits = rest
        .strip_prefix(':')
        .map_or(0, |port| port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len()));
    let is_port = (1..=5).contains(&digits) && !rest[1 + digits..].starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_server = rest.starts_with('(') || (!host.is_empty() && (rest.starts_with('/') || is_port));
    if is_login && is_server { server } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        strip_plain_text(text, &Globs::default())
    }

    #[test]
    fn yaml_loses_the_values_of_what_sounds_secret() {
        let text = "users:\n- name: admin\n  user:\n    token: X1\n    client-key-data: X2\n  region: eu\nsettings:\n- name: \
                    DB_PASSWORD\n  value: X3\n- name: REGION\n  value: eu\n\"password\": |\n  X4\n  X5\ntokens:\n- X6\nlast: 1\n";
        let left = "users:\n- name: admin\n  user:\n    token:\n    client-key-data:\n  region: eu\nsettings:\n- name: \
                    DB_PASSWORD\n  value:\n- name: REGION\n  value: eu\n\"password\":\ntokens:\nlast: 1\n";
        assert_eq!(shown(text), left);
        assert_eq!(shown("password: X"), "password:");
    }

    #[test]
    fn headers_options_and_addresses_lose_their_credentials() {
        for (text, left) in [
            ("Authorization: Basic dXNlcjpwYXNz", "Authorization:"),
            (
                "curl -H \"Authorization: Bearer abcdefgh\" x",
                "curl -H \"Authorization:",
            ),
            ("Bearer abcdefgh12", "Bearer [redacted]"),
            ("user:pass@tcp(db:3306)/app", "tcp(db:3306)/app"),
            ("user:p@ss@db:5432", "db:5432"),
            ("psql --password hush --host db", "psql --password [redacted] --host db"),
            ("--password=hush", "--password="),
            ("ConnectionString=hush;Timeout=3", "ConnectionString=;Timeout=3"),
            ("export dbPass=hush", "export dbPass="),
            ("export DB_PASSWORD=\"correct horse\" A=1", "export DB_PASSWORD= A=1"),
            ("A=1\nDB_PASSWORD='correct horse'\nB=2", "A=1\nDB_PASSWORD=\nB=2"),
            ("run --password \"correct horse\" -v", "run --password [redacted] -v"),
            ("run -password hush", "run -password [redacted]"),
            ("password = correct horse\nuser = me", "password =\nuser = me"),
            (
                "db_password = \"a \\\" b\"\nregion = \"eu\"",
                "db_password =\nregion = \"eu\"",
            ),
            (
                "db_password = \"\"\"a\nb\"\"\"\nregion = 1",
                "db_password =\nregion = 1",
            ),
            ("token:hush db.password:hush x:y", "token: db.password: x:y"),
            (
                "a=1 {\"b\": 1, \"password\": \"hush\", \"c\": 1}",
                "a=1 {\"b\": 1, \"password\":, \"c\": 1}",
            ),
            ("password=\"never closed\nregion = eu", "password="),
        ] {
            assert_eq!(shown(text), left);
        }
    }

    #[test]
    fn what_is_harmless_stays() {
        for text in [
            "serviceAccount:app@acme.iam.gserviceaccount.com",
            "user:alice@example.com",
            "git@github.com:acme/app.git",
            "registry.example.com/app:1@sha256:0123456789abcdef",
            "arn:aws:iam::123456789012:role/app",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db",
            "region = eu, size:3, https://example.com:443/token",
            "Basic authentication",
            "Note: see the handbook\nAuthor: Ann",
            "https://example.com/a/b",
            "2026-01-02T03:04:05Z",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
