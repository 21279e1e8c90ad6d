//! The typed keys of a [`Section`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use super::reader::{Scalar, Section, Spec, unknown};
use super::units::{format_duration, format_size, parse_duration, parse_size};
use super::yaml::{Entry, Kind, Node, join_key};
use tideline_core::words::Secret;

/// May hold a password, so a wrong one is not shown.
pub(super) const URL: &str = "URL";
const SECRET: &str = "secret";

/// Turns a text into a value, or says what is allowed.
pub(super) type Parse<'p, T> = dyn Fn(&str) -> Result<T, String> + 'p;

fn spec(key: &'static str, kind: &str, default: impl ToString, range: impl ToString, doc: &'static str) -> Spec {
    Spec {
        key,
        kind: kind.to_owned(),
        default: default.to_string(),
        range: range.to_string(),
        doc,
    }
}

fn shown_range<T>(range: &RangeInclusive<T>, show: impl Fn(&T) -> String) -> String {
    format!("{} to {}", show(range.start()), show(range.end()))
}

impl Section<'_> {
    /// A single value of a declaration.
    pub(super) fn read<T>(&self, spec: &Spec, parse: &Parse<'_, T>) -> Option<T> {
        let node = self.declare(spec)?;
        self.parse_node(node, &self.path_of(spec.key), &spec.kind, parse, spec.kind != URL)
    }

    fn parse_node<T>(&self, node: &Node, path: &str, kind: &str, parse: &Parse<'_, T>, show: bool) -> Option<T> {
        let scalar = self.context.scalar(node, path, kind)?;
        match parse(&scalar.text) {
            Ok(value) => Some(value),
            Err(allowed) => {
                let found = if show {
                    format!(", but is {}", scalar.shown())
                } else {
                    String::new()
                };
                self.context.fail(path, format!("{allowed}{found}"));
                None
            }
        }
    }

    fn required<T>(&self, spec: &Spec, parse: &Parse<'_, T>) -> Option<T> {
        let Some(node) = self.declare(spec) else {
            self.missing(spec);
            return None;
        };
        self.parse_node(node, &self.path_of(spec.key), &spec.kind, parse, spec.kind != URL)
    }

    /// A whole number.
    pub(super) fn count(&self, key: &'static str, default: u32, range: RangeInclusive<u32>, doc: &'static str) -> u32 {
        self.optional_count(key, &default.to_string(), range, doc)
            .unwrap_or(default)
    }

    /// A whole number whose default is found elsewhere.
    pub(super) fn optional_count(
        &self,
        key: &'static str,
        default: &str,
        range: RangeInclusive<u32>,
        doc: &'static str,
    ) -> Option<u32> {
        let allowed = shown_range(&range, u32::to_string);
        self.read(&spec(key, "whole number", default, &allowed, doc), &|text| {
            whole_within(text, &range, &allowed)
        })
    }

    /// A number, or `none`.
    pub(super) fn optional_number(
        &self,
        key: &'static str,
        default: Option<f64>,
        range: RangeInclusive<f64>,
        doc: &'static str,
    ) -> Option<f64> {
        let allowed = shown_range(&range, f64::to_string);
        let shown = default.map_or("none".to_owned(), |default| default.to_string());
        let value = self.read(&spec(key, "number or `none`", shown, &allowed, doc), &|text| {
            if text == "none" {
                return Ok(None);
            }
            let number = text.parse().ok().filter(|number| range.contains(number));
            number
                .map(Some)
                .ok_or_else(|| format!("must be a number from {allowed}, or none"))
        });
        value.unwrap_or(default)
    }

    /// A number.
    pub(super) fn number(&self, key: &'static str, default: f64, range: RangeInclusive<f64>, doc: &'static str) -> f64 {
        let allowed = shown_range(&range, f64::to_string);
        let value = self.read(&spec(key, "number", default, &allowed, doc), &|text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("must be a number from {allowed}"))
        });
        value.unwrap_or(default)
    }

    /// A duration.
    pub(super) fn duration(
        &self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
        doc: &'static str,
    ) -> Duration {
        let allowed = shown_range(&range, |duration| format_duration(*duration));
        let spec = spec(key, "duration", format_duration(default), &allowed, doc);
        self.read(&spec, &|text| duration_within(text, &range, &allowed))
            .unwrap_or(default)
    }

    /// A duration or `none`, whose default is found elsewhere. `Some(None)`: `none` was given.
    pub(super) fn duration_or_none(
        &self,
        key: &'static str,
        default: &str,
        range: RangeInclusive<Duration>,
        doc: &'static str,
    ) -> Option<Option<Duration>> {
        let allowed = shown_range(&range, |duration| format_duration(*duration));
        self.read(
            &spec(key, "duration or `none`", default, &allowed, doc),
            &|text| match text {
                "none" => Ok(None),
                text => duration_within(text, &range, &allowed).map(Some),
            },
        )
    }

    /// A list of durations.
    pub(super) fn durations(
        &self,
        key: &'static str,
        default: &[Duration],
        range: RangeInclusive<Duration>,
        most: usize,
        doc: &'static str,
    ) -> Vec<Duration> {
        let allowed = shown_range(&range, |duration| format_duration(*duration));
        let shown: Vec<String> = default.iter().map(|wait| format_duration(*wait)).collect();
        let spec = spec(
            key,
            "list of durations",
            format!("[{}]", shown.join(", ")),
            format!("{allowed} each, at most {most}"),
            doc,
        );
        let parse = |text: &str| duration_within(text, &range, &allowed);
        self.list(&spec, most, &parse).unwrap_or_else(|| default.to_vec())
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str, most: usize, doc: &'static str) -> Vec<String> {
        let spec = spec(key, "list of texts", "[]", format!("at most {most}"), doc);
        self.list(&spec, most, &|text| Ok(text.to_owned())).unwrap_or_default()
    }

    /// A text, or a list of texts.
    pub(super) fn text_or_texts(
        &self,
        key: &'static str,
        default: &str,
        most: usize,
        doc: &'static str,
    ) -> Vec<String> {
        let spec = spec(key, "text or list of texts", default, format!("at most {most}"), doc);
        let is_list = |node: &Node| matches!(node.kind, Kind::List(_));
        if self.declare(&spec).is_none_or(is_list) {
            return self.list(&spec, most, &|text| Ok(text.to_owned())).unwrap_or_default();
        }
        let text = self.read(&spec, &|text| Ok(text.to_owned()));
        text.into_iter().collect()
    }

    /// A list of texts of a form of their own.
    pub(super) fn parsed_texts(
        &self,
        key: &'static str,
        kind: &str,
        most: usize,
        doc: &'static str,
        parse: &Parse<'_, String>,
    ) -> Vec<String> {
        let spec = spec(key, kind, "[]", format!("at most {most}"), doc);
        self.list(&spec, most, parse).unwrap_or_default()
    }

    /// A list of HTTP statuses that are errors.
    pub(super) fn statuses(&self, key: &'static str, default: &str, doc: &'static str) -> Option<Vec<u16>> {
        let spec = spec(
            key,
            "list of HTTP statuses",
            default,
            "400 to 599 each, at most 20",
            doc,
        );
        self.list(&spec, 20, &|text| {
            let status = text.parse::<u16>().ok().filter(|status| (400..=599).contains(status));
            status.ok_or_else(|| "must be a whole number from 400 to 599".to_owned())
        })
    }

    /// A list of single values of a declaration.
    pub(super) fn list<T>(&self, spec: &Spec, most: usize, parse: &Parse<'_, T>) -> Option<Vec<T>> {
        let node = self.declare(spec)?;
        let Kind::List(items) = &node.kind else {
            self.fail(spec.key, format!("must be a {}, but is {}", spec.kind, node.noun()));
            return None;
        };
        if items.len() > most {
            self.fail(
                spec.key,
                format!("must have at most {most} items, but has {}", items.len()),
            );
        }
        let path = self.path_of(spec.key);
        let items = items.iter().enumerate();
        items
            .map(|(index, item)| self.parse_node(item, &format!("{path}[{index}]"), "a single value", parse, true))
            .collect()
    }

    /// A size in bytes.
    pub(super) fn size(&self, key: &'static str, default: u64, range: RangeInclusive<u64>, doc: &'static str) -> u64 {
        self.optional_size(key, &format_size(default), range, doc)
            .unwrap_or(default)
    }

    /// A size in bytes whose default is found elsewhere.
    pub(super) fn optional_size(
        &self,
        key: &'static str,
        default: &str,
        range: RangeInclusive<u64>,
        doc: &'static str,
    ) -> Option<u64> {
        let allowed = shown_range(&range, |bytes| format_size(*bytes));
        self.read(&spec(key, "size", default, &allowed, doc), &|text| {
            let bytes = parse_size(text).filter(|bytes| range.contains(bytes));
            bytes.ok_or_else(|| format!("must be a size such as 500KiB or 32MiB, from {allowed}"))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str, default: bool, doc: &'static str) -> bool {
        let value = self.read(&spec(key, "`true` or `false`", default, "", doc), &|text| match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        });
        value.unwrap_or(default)
    }

    /// A text that is not empty.
    pub(super) fn optional_text(&self, key: &'static str, default: &str, doc: &'static str) -> Option<String> {
        self.read(&spec(key, "text", default, "", doc), &not_empty)
    }

    /// A text that is not empty; in case of an error it is.
    pub(super) fn required_text(&self, key: &'static str, doc: &'static str) -> String {
        self.required(&spec(key, "text", "", "", doc), &not_empty)
            .unwrap_or_default()
    }

    /// A jq expression; whether it is one is checked where it is compiled.
    pub(super) fn optional_jq(&self, key: &'static str, default: &str, doc: &'static str) -> Option<String> {
        self.read(&spec(key, "jq expression", default, "", doc), &not_empty)
    }

    /// As [`Section::optional_jq`]; empty in case of an error.
    pub(super) fn required_jq(&self, key: &'static str, doc: &'static str) -> String {
        self.required(&spec(key, "jq expression", "", "", doc), &not_empty)
            .unwrap_or_default()
    }

    /// A text of a form of its own.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        kind: &str,
        default: &str,
        doc: &'static str,
        parse: &Parse<'_, T>,
    ) -> Option<T> {
        self.read(&spec(key, kind, default, "", doc), parse)
    }

    /// As [`Section::parsed`], but it must be given.
    pub(super) fn required_parsed<T>(
        &self,
        key: &'static str,
        kind: &str,
        range: &str,
        doc: &'static str,
        parse: &Parse<'_, T>,
    ) -> Option<T> {
        self.required(&spec(key, kind, "", range, doc), parse)
    }

    /// A text that is never shown, of a form of its own.
    pub(super) fn parsed_secret<T>(
        &self,
        key: &'static str,
        kind: &str,
        default: &str,
        doc: &'static str,
        parse: &Parse<'_, T>,
    ) -> Option<T> {
        let node = self.declare(&spec(key, kind, default, "", doc))?;
        self.parse_node(node, &self.path_of(key), kind, parse, false)
    }

    /// A secret; empty in case of an error.
    pub(super) fn required_secret(&self, key: &'static str, doc: &'static str) -> Secret {
        let secret = self.parse_secret(spec(key, SECRET, "", "", doc));
        if !self.has(key) {
            self.missing(&spec(key, SECRET, "", "", doc));
        }
        secret.unwrap_or_else(|| Secret::new(""))
    }

    /// A secret that need not be there.
    pub(super) fn optional_secret(&self, key: &'static str, doc: &'static str) -> Option<Secret> {
        self.parse_secret(spec(key, SECRET, "not given", "", doc))
    }

    fn parse_secret(&self, spec: Spec) -> Option<Secret> {
        let node = self.declare(&spec)?;
        let secret = self.parse_node(node, &self.path_of(spec.key), SECRET, &one_line, false);
        Some(Secret::new(secret.unwrap_or_default()))
    }

    /// The name of a header.
    pub(super) fn optional_header(&self, key: &'static str, default: &str, doc: &'static str) -> Option<String> {
        self.read(&spec(key, "header name", default, "", doc), &header_name)
    }

    /// As [`Section::optional_header`]; empty in case of an error.
    pub(super) fn required_header(&self, key: &'static str, doc: &'static str) -> String {
        self.required(&spec(key, "header name", "", "", doc), &header_name)
            .unwrap_or_default()
    }

    /// A whole number that must be given; the least in case of an error.
    pub(super) fn required_count(&self, key: &'static str, range: RangeInclusive<u32>, doc: &'static str) -> u32 {
        let allowed = shown_range(&range, u32::to_string);
        let count = self.required(&spec(key, "whole number", "", &allowed, doc), &|text| {
            whole_within(text, &range, &allowed)
        });
        count.unwrap_or(*range.start())
    }

    /// An `http` or `https` URL.
    pub(super) fn optional_url(&self, key: &'static str, doc: &'static str) -> Option<Url> {
        self.read(&spec(key, URL, "none", "http or https", doc), &http_url)
    }

    /// As [`Section::optional_url`], but it must be given.
    pub(super) fn required_url(&self, key: &'static str, doc: &'static str) -> Option<Url> {
        self.required(&spec(key, URL, "", "http or https", doc), &http_url)
    }

    /// One of a few words.
    pub(super) fn choice(
        &self,
        key: &'static str,
        default: Option<&'static str>,
        words: &[&'static str],
        doc: &'static str,
    ) -> Option<&'static str> {
        let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let spec = spec(key, "word", default.unwrap_or_default(), quoted.join(", "), doc);
        let Some(node) = self.declare(&spec) else {
            if default.is_none() {
                self.missing(&spec);
            }
            return default;
        };
        let path = self.path_of(key);
        let scalar: Scalar = self
            .context
            .scalar(node, &path, &format!("one of {}", words.join(", ")))?;
        let found = words.iter().find(|word| **word == scalar.text);
        if found.is_none() {
            let given = scalar.shown();
            let what = if given.starts_with('"') {
                unknown("value", &scalar.text, words)
            } else {
                format!("must be one of {}, but is {given}", words.join(", "))
            };
            self.context.fail(&path, what);
        }
        found.copied()
    }

    /// A mapping of names to texts; a value may be `kind`.
    pub(super) fn text_map(&self, key: &'static str, kind: &str, doc: &'static str) -> BTreeMap<String, String> {
        self.map(&spec(key, kind, "{}", "", doc), true).unwrap_or_default()
    }

    /// A mapping of names to texts, or to lists of at most `most` texts.
    pub(super) fn text_lists(
        &self,
        key: &'static str,
        most: usize,
        doc: &'static str,
    ) -> BTreeMap<String, Vec<String>> {
        let kind = "mapping of names to texts or lists of texts";
        let spec = spec(key, kind, "{}", format!("at most {most} per list"), doc);
        let path = self.path_of(key);
        let values = |entry: &Entry| {
            let path = join_key(&path, &entry.key);
            let items = match &entry.value.kind {
                Kind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(&entry.value),
            };
            if items.len() > most {
                self.context.fail(
                    &path,
                    format!("must have at most {most} items, but has {}", items.len()),
                );
            }
            let items = items.iter();
            let items = items.map(|item| {
                self.parse_node(
                    item,
                    &path,
                    "a single value, or a list of them",
                    &|text| Ok(text.to_owned()),
                    true,
                )
            });
            Some((entry.key.clone(), items.collect::<Option<Vec<String>>>()?))
        };
        self.entries(&spec)
            .unwrap_or_default()
            .iter()
            .filter_map(values)
            .collect()
    }

    /// A mapping of names to secrets.
    pub(super) fn secret_map(&self, key: &'static str, doc: &'static str) -> BTreeMap<String, Secret> {
        let map = self.map(&spec(key, "mapping of header names to secrets", "{}", "", doc), false);
        let map = map.unwrap_or_default();
        for (name, value) in &map {
            let wrong = header_name(name).err().or_else(|| one_line(value).err());
            if let Some(wrong) = wrong {
                self.context.fail(&join_key(&self.path_of(key), name), wrong);
            }
        }
        map.into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect()
    }

    /// The entries of a mapping.
    fn entries(&self, spec: &Spec) -> Option<&[Entry]> {
        let node = self.declare(spec)?;
        let Kind::Map(entries) = &node.kind else {
            self.fail(spec.key, format!("must be a {}, but is {}", spec.kind, node.noun()));
            return None;
        };
        Some(entries)
    }

    fn map(&self, spec: &Spec, show: bool) -> Option<BTreeMap<String, String>> {
        let path = self.path_of(spec.key);
        let entries = self.entries(spec)?.iter().filter_map(|entry| {
            let path = join_key(&path, &entry.key);
            let value = self.parse_node(&entry.value, &path, "a single value", &|text| Ok(text.to_owned()), show)?;
            Some((entry.key.clone(), value))
        });
        Some(entries.collect())
    }

    /// Any JSON.
    pub(super) fn json(&self, key: &'static str, doc: &'static str) -> Option<serde_json::Value> {
        let node = self.declare(&spec(key, "any YAML", "none", "", doc))?;
        super::json::to_json(self.context, node, &self.path_of(key))
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A secret that goes into a header. A line break at the end of a variable is a common slip.
pub(super) fn one_line(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) {
        return Err("must have no line breaks or other control characters, at its end neither".to_owned());
    }
    not_empty(text)
}

/// A token, RFC 9110 section 5.6.2.
pub(super) fn header_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("must be the name of a header: letters, digits and `-`".to_owned())
    }
}

fn whole_within(text: &str, range: &RangeInclusive<u32>, allowed: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {allowed}"))
}

fn duration_within(text: &str, range: &RangeInclusive<Duration>, allowed: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).filter(|duration| range.contains(duration));
    duration.ok_or_else(|| format!("must be a duration such as 10s, 1m30s, 250ms or 0, from {allowed}"))
}

fn http_url(text: &str) -> Result<Url, String> {
    const WRONG: &str = "must be a URL that starts with http:// or https://";
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Err(error) if text.starts_with("http://") || text.starts_with("https://") => {
            Err(format!("is not a valid URL: {error}"))
        }
        _ => Err(WRONG.to_owned()),
    }
}
