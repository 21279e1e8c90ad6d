//! YAML documents as JSON texts. They are read one by one, so that a broken one does not affect the others. A document
//! nested too deeply, or with more bytes in its aliases than are sensible, is an error and no crash.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use saphyr::{Scalar, ScalarStyle};
use saphyr_parser::{Event, Parser, Tag};
use serde_json::Value;

/// Maximum depth of documents. `serde_json` reads 128 levels.
const MAX_DEPTH: usize = 100;

/// The documents of a file, each as JSON or why it cannot be read; empty ones are left out. Together they have at most
/// `max_bytes`.
pub(crate) fn documents(bytes: &[u8], max_bytes: u64) -> Vec<Result<String, String>> {
    let mut documents = Vec::new();
    let mut left = max_bytes;
    for (line, part) in parts(bytes) {
        let read = match std::str::from_utf8(part) {
            Ok(text) => read(text, left, &mut documents),
            Err(error) => Err((0, format!("is not UTF-8: {error}"))),
        };
        match read {
            Ok(used) => left -= used,
            Err((within, why)) => documents.push(Err(format!("{why} (line {})", line + within.max(1)))),
        }
    }
    documents
}

/// The file cut before each `---`, which YAML allows nowhere else at the start of a line (YAML 1.2.2, section 9.1.2),
/// with the number of lines before each part. A file with directives stays whole: they belong to what follows.
fn parts(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (line, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if text.starts_with(b"%") {
            return vec![(0, bytes)];
        }
        let is_marker = text.starts_with(b"---") && text.get(3).is_none_or(u8::is_ascii_whitespace);
        if is_marker && at > start {
            parts.push((start_line, &bytes[start..at]));
            (start, start_line) = (at, line);
        }
        at += text.len();
    }
    parts.push((start_line, &bytes[start..]));
    parts
}

/// Reads the documents of a part; returns their size as JSON in bytes, or the line and the error.
fn read(text: &str, max_bytes: u64, documents: &mut Vec<Result<String, String>>) -> Result<u64, (usize, String)> {
    let mut writer = Writer {
        left: max_bytes,
        ..Writer::default()
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| (error.marker().line(), error.info().to_owned()))?;
        writer.take(event).map_err(|why| (span.start.line(), why))?;
        if writer.done {
            writer.done = false;
            let document = std::mem::take(&mut writer.out);
            writer.anchors.clear();
            if document != "null" {
                documents.push(Ok(document));
            }
        }
    }
    Ok(max_bytes - writer.left)
}

/// A list or mapping that is not closed yet.
struct Open {
    is_mapping: bool,
    anchor: usize,
    start: usize,
    /// Values so far, keys counted as such.
    count: usize,
}

/// Writes JSON as the parser's events come.
#[derive(Default)]
struct Writer {
    out: String,
    left: u64,
    open: Vec<Open>,
    /// Where in `out` the value of an anchor is.
    anchors: HashMap<usize, Range<usize>>,
    done: bool,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let json = scalar_json(text, style, tag.as_ref())?;
                self.value(&json, anchor)
            }
            Event::Alias(anchor) => {
                let range = self.anchors.get(&anchor).cloned();
                let range = range.ok_or("an alias names no value that ends before it")?;
                self.room(range.len())?;
                let json = self.out[range].to_owned();
                self.value(&json, 0)
            }
            Event::SequenceStart(anchor, _) => self.start(false, anchor),
            Event::MappingStart(anchor, _) => self.start(true, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn room(&self, bytes: usize) -> Result<(), String> {
        if bytes as u64 > self.left {
            return Err("has too many bytes with its aliases written out (twice max_file_bytes)".to_owned());
        }
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        self.room(text.len())?;
        self.left -= text.len() as u64;
        self.out.push_str(text);
        Ok(())
    }

    /// What stands between the last value and the next one; answers whether the next one is a key.
    fn separate(&mut self) -> Result<bool, String> {
        let Some(open) = self.open.last_mut() else {
            return Ok(false);
        };
        let is_key = open.is_mapping && open.count % 2 == 0;
        let text = match open.count {
            0 => "",
            _ if open.is_mapping && !is_key => ":",
            _ => ",",
        };
        open.count += 1;
        self.push(text)?;
        Ok(is_key)
    }

    fn value(&mut self, json: &str, anchor: usize) -> Result<(), String> {
        let is_key = self.separate()?;
        let start = self.out.len();
        match json.as_bytes().first() {
            Some(b'{' | b'[') if is_key => return Err(KEY.to_owned()),
            Some(b'"') => self.push(json)?,
            _ if is_key => self.push(&format!("\"{json}\""))?,
            _ => self.push(json)?,
        }
        self.ended(anchor, start);
        Ok(())
    }

    fn start(&mut self, is_mapping: bool, anchor: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        if self.separate()? {
            return Err(KEY.to_owned());
        }
        self.open.push(Open {
            is_mapping,
            anchor,
            start: self.out.len(),
            count: 0,
        });
        self.push(if is_mapping { "{" } else { "[" })
    }

    fn end(&mut self) -> Result<(), String> {
        if let Some(open) = self.open.pop() {
            self.push(if open.is_mapping { "}" } else { "]" })?;
            self.ended(open.anchor, open.start);
        }
        Ok(())
    }

    fn ended(&mut self, anchor: usize, start: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, start..self.out.len());
        }
        self.done = self.open.is_empty();
    }
}

const KEY: &str = "a key is neither a text nor a number";

fn scalar_json(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Result<String, String> {
    let scalar = Scalar::parse_from_cow_and_metadata(text.clone(), style, tag);
    Ok(match scalar.ok_or("a value does not fit its tag")? {
        Scalar::Null => "null".to_owned(),
        Scalar::Boolean(flag) => flag.to_string(),
        Scalar::Integer(number) => number.to_string(),
        // Digits that a double would lose are kept where JSON writes the number the same way.
        Scalar::FloatingPoint(number) => match serde_json::from_str::<f64>(&text) {
            Ok(_) => text.into_owned(),
            Err(_) => serde_json::Number::from_f64(number.into_inner())
                .ok_or("JSON has no infinity and no NaN")?
                .to_string(),
        },
        Scalar::String(text) => Value::from(text.as_ref()).to_string(),
    })
}

#[cfg(test)]
mod tests {
    fn documents(text: &str) -> Result<Vec<String>, String> {
        super::documents(text.as_bytes(), 1 << 20).into_iter().collect()
    }

    #[test]
    fn documents_become_json() {
        let texts = documents("a: 1\nb: [x, 2.5, true, ~]\n---\n---\n? 7\n: &v {c: \"007\"}\nd: *v\n").unwrap();
        assert_eq!(
            texts,
            [
                r#"{"a":1,"b":["x",2.5,true,null]}"#,
                r#"{"7":{"c":"007"},"d":{"c":"007"}}"#
            ]
        );
    }

    #[test]
    fn a_broken_file_says_where() {
        let error = documents("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.contains("line"), "{error}");
        assert!(documents("a: .nan").is_err());
    }

    #[test]
    fn files_made_to_do_harm_are_errors() {
        for text in ["[".repeat(200_000), "- ".repeat(200_000), "{a: ".repeat(200_000)] {
            assert!(documents(&text).is_err());
        }
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..10 {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(documents(&laughs).is_err());
    }

    #[test]
    fn one_broken_document_costs_no_other() {
        let bytes = b"a: 1\n---\nb: [1, 2\n---\nc:\n\t- 3\n--- \nd: \xe4\n---\ntext: |\n  --- not a marker\n";
        let read = super::documents(bytes, 1 << 20);
        assert_eq!(read.len(), 5, "{read:?}");
        assert_eq!(read[0], Ok(r#"{"a":1}"#.to_owned()));
        for (place, line) in [(1, "(line "), (2, "(line 6)"), (3, "(line 7)")] {
            let why = read[place].as_ref().unwrap_err();
            assert!(why.contains(line), "{place}: {why}");
        }
        assert_eq!(read[4], Ok(r#"{"text":"--- not a marker\n"}"#.to_owned()));
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_digits() {
        let read = documents("a: 18446744073709551617\nb: 0x10\nc: 1.0\n").unwrap();
        assert_eq!(read, [r#"{"a":18446744073709551617,"b":16,"c":1.0}"#]);
    }

    #[test]
    fn aliases_of_one_long_text_are_bounded_by_bytes() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), vec!["*a"; 1_000].join(","));
        let why = documents(&text).unwrap_err();
        assert!(why.contains("max_file_bytes"), "{why}");
        assert!(super::documents(text.as_bytes(), 20 << 20)[0].is_ok());
    }
}
