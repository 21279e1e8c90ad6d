/// Placeholder for hidden text.
pub const REDACTED: &str = "[redacted]";

/// A text for people whose URLs, absolute (`https://me:password@host/path?query`) or not (`/path?query`), lost their
/// user information and queries: they may be signed. In doubt, treats text as a query.
#[must_use]
pub fn scrub_urls(text: &str) -> String {
    scrub_queries(&scrub_absolute(text))
}

/// Prefixes of tokens: GitHub's (GitHub, "Behind GitHub's new authentication token formats"), GitLab's (GitLab, "Token
/// prefixes"), Slack's (Slack, "Token types") and Vault's (HashiCorp, "Tokens").
const TOKEN_PREFIXES: [&str; 16] = [
    "ghs_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "hvs.",
];

/// Minimum length of a token; a shorter word with such a prefix is not one.
const MIN_TOKEN_BYTES: usize = 24;

/// A text for people, without tokens that are recognizable by their form, known or not, and without JSON web tokens.
/// Those of GitHub's installations may have dots and some 520 characters.
#[must_use]
pub fn scrub_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        let (word, tail) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
        out.push_str(before);
        let token = TOKEN_PREFIXES.iter().filter_map(|prefix| word.find(prefix)).min();
        let token = token.or_else(|| is_web_token(word).then_some(0));
        match token {
            Some(at) if word.len() - at >= MIN_TOKEN_BYTES => {
                out.push_str(&word[..at]);
                out.push_str(REDACTED);
            }
            _ => out.push_str(word),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// RFC 7519: three parts in base64, the first and mostly the second of which are JSON objects (`{"` is `eyJ`).
fn is_web_token(word: &str) -> bool {
    word.starts_with("eyJ") && word.split('.').filter(|part| part.len() >= 8).count() >= 3
}

fn scrub_absolute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let (url, tail) = after.split_at(word_end(after));
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

/// A question mark within a word starts a query if there is a slash before it or an equals sign after it.
fn scrub_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('?') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let (query, tail) = after.split_at(word_end(after));
        let path = before.rfind(ends_word).map_or(before, |start| &before[start..]);
        out.push_str(before);
        out.push('?');
        if !query.is_empty() && (path.contains('/') || query.contains('=')) {
            out.push_str(REDACTED);
            rest = tail;
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

/// Where the word that starts the text ends. A backslash goes on with it in `\u0026` and `\/`, as JSON may have `&` and
/// `/`, and ends it before anything else.
fn word_end(text: &str) -> usize {
    let ends = |at: usize, c: char| ends_word(c) || (c == '\\' && !text[at + 1..].starts_with(['u', '/']));
    let end = text.char_indices().find(|(at, c)| ends(*at, *c));
    end.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_github_are_recognised_also_long_ones_with_dots() {
        let long = format!("ghs_{}.{}.{}", "aB3".repeat(50), "x-Y".repeat(70), "z_9".repeat(52));
        assert!(long.len() > 500);
        let text = format!("token {long}, and (ghp_{}) but no ghs_short", "a".repeat(36));
        assert_eq!(
            scrub_tokens(&text),
            "token [redacted], and ([redacted]) but no ghs_short"
        );
        assert_eq!(scrub_tokens("nothing. to-see_here é"), "nothing. to-see_here é");
    }

    #[test]
    fn tokens_of_others_are_recognised_by_their_form() {
        for token in [
            "glpat-abcdefghij0123456789",
            "xoxb-012345678901-abcdefghijkl",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        ] {
            assert_eq!(scrub_tokens(&format!("a {token}, b")), "a [redacted], b");
        }
        let harmless = "eyJ.a.b glpat-short eyJhbGciOiJIUzI1NiJ9";
        assert_eq!(scrub_tokens(harmless), harmless);
    }

    #[test]
    fn urls_lose_user_information_and_query() {
        for (text, shown) in [
            (
                "GET https://me:pw@host:1/p/q?sig=abc#f failed, see http://h/",
                "GET https://host:1/p/q?[redacted] failed, see http://h/",
            ),
            (
                r#"{"url":"https://h/p?a=1\u0026sig=abc","n":1}"#,
                r#"{"url":"https://h/p?[redacted]","n":1}"#,
            ),
            (
                r#"{"url":"https:\/\/h\/p?sig=abc"}"#,
                r#"{"url":"https:\/\/h\/p?[redacted]"}"#,
            ),
        ] {
            assert_eq!(scrub_urls(text), shown);
        }
    }

    #[test]
    fn paths_without_a_host_lose_their_query_too() {
        for (text, shown) in [
            (
                "Cannot GET /things?api_key=abc&x=y (404)",
                "Cannot GET /things?[redacted] (404)",
            ),
            ("path:/things?abc", "path:/things?[redacted]"),
            ("things?key=abc or ?key=abc", "things?[redacted] or ?[redacted]"),
            (
                r#""{\"path\":\"/p?k=abc\",\"n\":1}""#,
                r#""{\"path\":\"/p?[redacted]\",\"n\":1}""#,
            ),
            (
                r#"{"url": "/p?k=abc", "with": []}"#,
                r#"{"url": "/p?[redacted]", "with": []}"#,
            ),
            ("é/ä?k=ü ö", "é/ä?[redacted] ö"),
        ] {
            assert_eq!(scrub_urls(text), shown);
        }
    }

    #[test]
    fn question_marks_that_start_no_query_stay() {
        for text in ["is it there? yes", ".items[]?.name", "a/b? c=d", "?", "what?!"] {
            assert_eq!(scrub_urls(text), text);
        }
    }
}
