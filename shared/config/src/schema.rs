//! `docs/tideline.schema.json`: a JSON Schema (draft 2020-12) of `tideline.yaml` for editors, made from the declarations that also
//! read the file. An editor gets completion, the meaning of each key and its range from it; the program itself stays the
//! judge, since a schema cannot say everything that `tideline check` does. To write it again after a change:
//! `TIDELINE_WRITE_DOCS=1 cargo test -p tideline-config in_docs`.

use serde_json::{Map, Value, json};

use super::reference::{KeyDoc, declarations};

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let (keys, words) = declarations();
    let mut root = section("", &Declared { keys, words });
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("tideline.yaml");
    root["description"] = json!("Configuration of Tideline. Every value may contain ${NAME}, an environment variable.");
    root
}

struct Declared {
    keys: Vec<KeyDoc>,
    /// Places of sections that may be just a word, and the word.
    words: Vec<(String, String)>,
}

/// The mapping at a place such as `sources[].burst`.
fn section(place: &str, declared: &Declared) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in declared.keys.iter().filter(|key| key.section == place) {
        let mut property = property(place, key, declared);
        let variant = match key.variant.as_str() {
            "" => String::new(),
            variant => format!("(type: {variant}) "),
        };
        property["description"] = json!(format!("{variant}{}", key.doc.replace('`', "")));
        if key.required && key.variant.is_empty() {
            required.push(key.key.clone());
        }
        // A key that several variants have is whatever any of them says.
        match properties.get_mut(&key.key) {
            None => {
                properties.insert(key.key.clone(), property);
            }
            Some(known) if *known != property => {
                *known = json!({ "anyOf": [known.take(), property] });
            }
            Some(_) => {}
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn property(place: &str, key: &KeyDoc, declared: &Declared) -> Value {
    let inner = match place {
        "" => key.key.clone(),
        place => format!("{place}.{}", key.key),
    };
    match key.kind.as_str() {
        "section" => section_or_word(&inner, declared),
        "list of sections" => {
            json!({ "type": ["array", "null"], "items": section(&format!("{inner}[]"), declared) })
        }
        "whole number" => number("integer", &key.range),
        "number" | "number or `none`" => number("number", &key.range),
        "`true` or `false`" => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        "word" => words(&key.range),
        "size" | "duration" | "duration or `none`" => json!({ "type": ["string", "integer"] }),
        "list of durations" => json!({ "type": ["array", "null"], "items": { "type": ["string", "integer"] } }),
        "text or list of texts" => json!({ "anyOf": [scalar(), { "type": "array", "items": scalar() }] }),
        kind if kind.starts_with("list of") => json!({ "type": ["array", "null"], "items": scalar() }),
        kind if kind.ends_with("or lists of texts") => {
            let values = json!({ "anyOf": [scalar(), { "type": "array", "items": scalar() }] });
            json!({ "type": ["object", "null"], "additionalProperties": values })
        }
        kind if kind.starts_with("mapping of") => {
            json!({ "type": ["object", "null"], "additionalProperties": scalar() })
        }
        "any YAML" => json!({}),
        _ => scalar(),
    }
}

/// A section whose keys are all commented out is null, as is a list without items; some may be just a word.
fn section_or_word(place: &str, declared: &Declared) -> Value {
    let mut section = section(place, declared);
    section["type"] = json!(["object", "null"]);
    let words = declared.words.iter().filter(|(at, _)| at == place);
    let words: Vec<&str> = words.map(|(_, word)| word.as_str()).collect();
    if words.is_empty() {
        return section;
    }
    json!({ "anyOf": [section, { "enum": words }] })
}

/// A single value; what looks like a number or a flag is read as text where a text is wanted.
fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

/// A value that the environment gives.
fn variable() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{" })
}

/// `1 to 10000`, as the declaration shows it.
fn number(kind: &str, range: &str) -> Value {
    let mut number = json!({ "type": kind });
    if let Some((least, most)) = range.split_once(" to ")
        && let (Ok(least), Ok(most)) = (least.parse::<f64>(), most.parse::<f64>())
    {
        let bound = |value: f64| {
            let whole = value as i64;
            if whole as f64 == value {
                json!(whole)
            } else {
                json!(value)
            }
        };
        number["minimum"] = bound(least);
        number["maximum"] = bound(most);
    }
    json!({ "anyOf": [number, variable(), { "const": "none" }] })
}

/// `` `a`, `b` ``, as the declaration shows them.
fn words(range: &str) -> Value {
    let words: Vec<&str> = range.split('`').skip(1).step_by(2).collect();
    json!({ "anyOf": [{ "enum": words }, variable()] })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::json::to_json;
    use crate::reader::Context;
    use crate::yaml::parse;

    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());

    fn folder() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The errors of a YAML text, as an editor would show them.
    fn errors(text: &str) -> Vec<String> {
        let env = |name: &str| Some(format!("${{{name}}}"));
        let (root, problems) = parse(text);
        assert_eq!(problems, []);
        let context = Context::new(None, folder(), &env, &|_| Vec::new());
        let instance = to_json(&context, &root.unwrap(), "").unwrap();
        VALIDATOR
            .iter_errors(&instance)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[test]
    fn the_schema_in_docs_is_the_one_the_program_would_write() {
        let path = folder().join("docs/tideline.schema.json");
        let text = format!("{:#}\n", schema());
        if std::env::var_os("TIDELINE_WRITE_DOCS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == text,
            "docs/tideline.schema.json is out of date; run TIDELINE_WRITE_DOCS=1 cargo test -p tideline-config in_docs"
        );
    }

    #[test]
    fn every_configuration_that_we_ship_fits_the_schema() {
        for file in [
            "tideline.example.yaml",
            "deploy/tideline.yaml",
            "examples/datasette/tideline.yaml",
        ] {
            let text = std::fs::read_to_string(folder().join(file)).unwrap();
            assert_eq!(errors(&text), Vec::<String>::new(), "{file}");
        }
    }

    /// The blocks of YAML in the Markdown files of a folder, and where they are.
    fn examples(folder: &std::path::Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "md")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let blocks = text.split("```yaml\n").skip(1).enumerate();
            found.extend(blocks.map(|(index, block)| {
                let block = block.split("```").next().unwrap_or_default().to_owned();
                (format!("{}, block {}", file.display(), index + 1), block)
            }));
        }
        found
    }

    #[test]
    fn an_example_that_check_accepts_is_one_that_an_editor_accepts() {
        let env =
            |name: &str| (name != "TIDELINE_SECRET_KEY").then(|| "https://example.com/0123456789abcdef".to_owned());
        let mut accepted = 0;
        for (place, text) in [".", "docs", "docs/connectors"]
            .iter()
            .flat_map(|at| examples(&folder().join(at)))
        {
            let with_base = |key: &str| format!("{key}:\n{}", text.trim_end());
            for text in [
                text.clone(),
                with_base("sources"),
                with_base("hooks"),
                with_base("targets"),
            ] {
                if crate::parse(&text, "t.yaml".as_ref(), &env).is_ok() {
                    assert_eq!(errors(&text), Vec::<String>::new(), "{place}");
                    accepted += 1;
                }
            }
        }
        assert!(accepted >= 15, "check accepts only {accepted} of the examples in docs");
    }

    #[test]
    fn a_key_that_check_does_not_require_is_not_required_by_an_editor() {
        for text in [
            "dashboard: {}\n",
            "sources:\n- { name: a, type: terraform, organization: acme, auth: { bearer: t } }\n",
            "sources:\n- { name: a, type: terraform, organization: acme, workspaces: [a, b], tags: c, auth: { bearer: t } }\n",
            "sources:\nhooks:\nworker:\n",
        ] {
            assert!(crate::parse(text, "t.yaml".as_ref(), &|_| None).is_ok(), "{text}");
            assert_eq!(errors(text), Vec::<String>::new(), "{text}");
        }
        let found = errors("sources:\n- type: push\n  on: [{ when: .body }]\nbackstage: { locations: { pages: 3 } }\n");
        for (at, key) in [
            ("/sources/0:", "name"),
            ("/sources/0/on/0:", "topic"),
            ("/backstage/locations:", "key"),
        ] {
            let wanted = |error: &&String| error.starts_with(at) && error.contains(&format!("\"{key}\" is a required"));
            assert!(found.iter().any(|error| wanted(&error)), "{at} {key}: {found:?}");
        }
    }

    #[test]
    fn an_editor_shows_a_mistyped_key_a_wrong_word_and_a_number_out_of_range() {
        let found = errors("worker: { leese: 5s, concurrency: 0 }\nsources:\n- { name: a, type: htpt }\n");
        for wrong in ["leese", "/worker/concurrency", "/sources/0/type"] {
            assert!(found.iter().any(|error| error.contains(wrong)), "{wrong}: {found:?}");
        }
        assert_eq!(errors("worker: { concurrency: \"${JOBS}\" }\n"), Vec::<String>::new());
    }
}
