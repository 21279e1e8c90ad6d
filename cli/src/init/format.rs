//! What a response is, if it is not JSON.

/// As much of a body as is looked at.
const HEAD_BYTES: usize = 2_048;

/// Why nothing can be made of a response with this `Content-Type`; none: it may be JSON.
pub(crate) fn unreadable(host: &str, content_type: &str, body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD_BYTES)]).to_lowercase();
    let (head, content_type) = (
        head.trim_start_matches('\u{feff}').trim_start(),
        content_type.to_lowercase(),
    );
    if head.starts_with(['{', '[']) && !content_type.contains("ndjson") && !content_type.contains("jsonl") {
        return None;
    }
    let is_markup = head.starts_with('<');
    if content_type.contains("html") || (is_markup && (head.contains("<html") || head.contains("<!doctype html"))) {
        return Some(format!(
            "{host} returned a web page, not JSON; use the URL of the API, which may be on another host or path than the \
             website, or pass a token (--token-env) if this is a login page"
        ));
    }
    let format = if is_markup || content_type.contains("xml") {
        match () {
            () if head.contains("<rss") || content_type.contains("rss") => "RSS",
            () if head.contains("<feed") || content_type.contains("atom") => "Atom",
            () => "XML",
        }
    } else if content_type.contains("csv") || is_csv(head) {
        "CSV"
    } else if content_type.contains("ndjson") || content_type.contains("jsonl") {
        return Some(by_hand(host, "NDJSON", "ndjson"));
    } else if content_type.contains("yaml") {
        return Some(by_hand(host, "YAML", "yaml"));
    } else {
        return None;
    };
    Some(format!(
        "{host} returned {format}, which Tideline cannot read; use a URL that returns JSON"
    ))
}

fn by_hand(host: &str, format: &str, word: &str) -> String {
    format!(
        "{host} returned {format}, but `tideline init` needs JSON; write the source yourself, with `format: {word}`"
    )
}

/// A head line and another one with as many commas (or semicolons, or tabs).
fn is_csv(head: &str) -> bool {
    let mut lines = head.lines();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return false;
    };
    [',', ';', '\t'].into_iter().any(|separator| {
        let columns = |line: &str| line.matches(separator).count();
        columns(first) > 0 && columns(first) == columns(second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_cannot_be_read_is_named() {
        for (content_type, body, says) in [
            ("text/csv", "id\n1\n", "returned CSV, which Tideline cannot read"),
            ("", "id,name\n1,a\n", "returned CSV,"),
            ("application/xml", "<orders/>", "returned XML,"),
            ("", "<?xml version=\"1.0\"?>\n<rss version=\"2.0\">", "returned RSS,"),
            ("application/atom+xml", "<feed>", "returned Atom,"),
            ("text/html", "Welcome", "returned a web page"),
            ("", "<?xml version=\"1.0\"?><html>", "returned a web page"),
            ("application/json", "<!doctype html>", "returned a web page"),
            ("application/x-ndjson", "{}\n{}", "`format: ndjson`"),
            ("application/yaml", "a: b", "`format: yaml`"),
        ] {
            let why = unreadable("api.example.com", content_type, body.as_bytes());
            assert!(why.as_deref().is_some_and(|why| why.contains(says)), "{body}: {why:?}");
        }
        for (content_type, body) in [
            ("text/plain", "{\"a\": 1}"),
            ("application/json", " [1,\n2]"),
            ("", "hello"),
        ] {
            assert_eq!(
                unreadable("api.example.com", content_type, body.as_bytes()),
                None,
                "{body}"
            );
        }
    }
}
