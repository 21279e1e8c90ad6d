//! The API's JSON as people like to read it: on several lines, everything else as it came.

/// Spaces per level.
const STEP: usize = 2;

/// A JSON text with line breaks and indents. Order, numbers and escapes stay as they are; what is not JSON stays a
/// text.
pub(crate) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut characters = json.trim().chars().peekable();
    let break_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', depth * STEP));
    };
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                text.push('"');
                while let Some(inner) = characters.next() {
                    text.push(inner);
                    match inner {
                        '"' => break,
                        '\\' => text.extend(characters.next()),
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                text.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    break_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(',');
                break_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_nothing_else_changes() {
        let json = r#"{"b":[1,{"a, {":"x\"}:y\\"}],"a":123456789012345678901234567890.5, "none":{ },"empty":[]}"#;
        let text = pretty(json);
        assert_eq!(
            text,
            "{\n  \"b\": [\n    1,\n    {\n      \"a, {\": \"x\\\"}:y\\\\\"\n    }\n  ],\n  \
             \"a\": 123456789012345678901234567890.5,\n  \"none\": {},\n  \"empty\": []\n}"
        );
        assert_eq!(pretty(&text), text);
    }
}
