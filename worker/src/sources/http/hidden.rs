//! Parts of queries and bodies that are not shown: an API that echoes a request may echo a key in it.

use serde_json::Value;
use tideline_config::settings::HttpSettings;
use tideline_core::words::Secret;

use super::super::redact::{Redactor, sounds_secret};

/// A shorter text is not treated as a secret: removing it from every text would leave holes in harmless words.
pub(super) const MIN_SECRET_BYTES: usize = 6;

/// Learns what came from variables, and what has a name that sounds secret; both at once is a credential, which may not
/// be stored in a cursor either.
pub(super) fn learn(settings: &HttpSettings, redactor: &Redactor) {
    let long = |text: &str| text.len() >= MIN_SECRET_BYTES;
    let variables: Vec<&str> = settings
        .variables
        .iter()
        .map(Secret::reveal)
        .filter(|text| long(text))
        .collect();
    for text in &variables {
        redactor.hide(text);
    }
    let mut named = |name: &str, text: &str| {
        if !sounds_secret(name) || !long(text) {
            return;
        }
        if variables.iter().any(|variable| text.contains(variable)) {
            redactor.add(text);
        } else {
            redactor.hide(text);
        }
    };
    for resource in &settings.resources {
        for (name, texts) in &resource.query {
            texts.iter().for_each(|text| named(name, text));
        }
        if let Some(body) = &resource.body {
            each_text(body, "", &mut named);
        }
    }
}

/// Calls `see` with every text of a body and the name of the member that holds it.
fn each_text(value: &Value, name: &str, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(name, text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, name, see)),
        Value::Object(members) => {
            for (name, member) in members {
                each_text(member, name, see);
            }
        }
        _ => {}
    }
}
