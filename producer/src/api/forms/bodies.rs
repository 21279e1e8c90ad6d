//! Ranges and patterns in the bodies of requests.

use utoipa::openapi::schema::{Array, ArrayItems, Object, Schema};
use utoipa::openapi::{OpenApi, RefOr};

use super::text::{self, Form};
use super::{between, named, take};
use crate::Producer;
use crate::api::changes::MAX_WAIT;
use crate::api::page::MAX_LIMIT;
use crate::api::push::MAX_BATCH;
use crate::api::sources::LARGEST;
use crate::api::subscriptions::limits;
use crate::api::tokens::{MAX_GLOBS, MAX_LIFE};

/// What a property accepts.
enum Takes {
    /// A text of this form.
    Form(&'static Form),
    /// A text of a form that no pattern describes.
    Format(&'static str),
    /// A jq expression of at most this many characters.
    Jq(usize),
    /// A number within a range.
    Number(u64, u64),
    /// A list, with its minimum and maximum number of items.
    Items(usize, usize),
    /// The same, each a text of this form.
    Texts(usize, usize, &'static Form),
    /// At most this many globs.
    Globs(usize),
    /// At most this many keys.
    Keys(usize),
}

/// Bodies by their schemas, and what their properties accept.
const BODIES: &[(&str, &str, Takes)] = &[
    ("NewToken", "name", Takes::Form(&text::TOKEN_NAME)),
    ("NewToken", "sources", Takes::Globs(MAX_GLOBS)),
    ("NewToken", "expires_in_seconds", Takes::Number(1, MAX_LIFE.as_secs())),
    ("Enqueue", "jobs", Takes::Items(1, Producer::BATCH)),
    ("NewJob", "kind", Takes::Form(&text::JOB_KIND)),
    ("NewJob", "key", Takes::Form(&text::JOB_KEY)),
    ("Approval", "cycle", Takes::Number(1, LARGEST)),
    ("Approval", "would_remove", Takes::Number(0, LARGEST)),
    ("PushRequest", "upserts", Takes::Items(0, MAX_BATCH)),
    ("PushRequest", "removals", Takes::Items(0, MAX_BATCH)),
    ("PushedEntity", "ref", Takes::Form(&text::REFERENCE)),
    ("PushedRemoval", "ref", Takes::Form(&text::REFERENCE)),
    ("Pull", "max", Takes::Number(1, MAX_LIMIT as u64)),
    ("Pull", "wait", Takes::Number(0, MAX_WAIT)),
    ("Pull", "lease", Takes::Number(1, limits::MAX_SECONDS)),
    ("Ack", "ack_ids", Takes::Texts(0, limits::MAX_ACK_IDS, &text::ACK_ID)),
    ("Nack", "ack_ids", Takes::Texts(0, limits::MAX_ACK_IDS, &text::ACK_ID)),
    ("Nack", "delay", Takes::Number(0, limits::MAX_SECONDS)),
    ("Letters", "id", Takes::Form(&text::EVENT)),
    (
        "PutSubscription",
        "topics",
        Takes::Texts(0, limits::MAX_TOPICS, &text::TOPIC),
    ),
    (
        "PutSubscription",
        "max_outstanding",
        Takes::Number(1, limits::MAX_OUTSTANDING as u64),
    ),
    ("PutSubscription", "filter", Takes::Jq(limits::MAX_FILTER_BYTES)),
    ("ChangesFilter", "sources", Takes::Items(0, limits::MAX_TOPICS)),
    ("ChangesFilter", "kinds", Takes::Items(0, limits::MAX_TOPICS)),
    ("Push", "url", Takes::Format("uri")),
    ("Push", "secret", Takes::Form(&text::PUSH_SECRET)),
    ("Push", "in_flight", Takes::Number(1, limits::MAX_IN_FLIGHT as u64)),
    ("Push", "headers", Takes::Keys(limits::MAX_HEADERS)),
    ("Notify", "url", Takes::Format("uri")),
];

/// Adds them to the schemas.
pub(super) fn describe(document: &mut OpenApi) {
    let Some(components) = &mut document.components else {
        return;
    };
    if let Some(RefOr::T(Schema::Object(time))) = components.schemas.get_mut("Time") {
        take(time, &text::TIME);
    }
    for (schema, property, takes) in BODIES {
        let schema = components.schemas.get_mut(*schema);
        if let Some(RefOr::T(Schema::Object(object))) = schema
            && let Some(RefOr::T(property)) = object.properties.get_mut(*property)
        {
            constrain(property, takes);
        }
    }
}

fn constrain(property: &mut Schema, takes: &Takes) {
    match property {
        Schema::Object(object) => constrain_object(object, takes),
        Schema::Array(array) => constrain_array(array, takes),
        _ => {}
    }
}

fn constrain_object(object: &mut Object, takes: &Takes) {
    match takes {
        Takes::Form(form) => take(object, form),
        Takes::Format(format) => named(object, format),
        Takes::Jq(most) => {
            named(object, "jq");
            object.max_length = Some(*most);
        }
        Takes::Number(least, most) => between(object, *least, *most),
        Takes::Keys(most) => object.max_properties = Some(*most),
        Takes::Items(..) | Takes::Texts(..) | Takes::Globs(_) => {}
    }
}

fn constrain_array(array: &mut Array, takes: &Takes) {
    let (least, most) = match takes {
        Takes::Items(least, most) | Takes::Texts(least, most, _) => (*least, *most),
        Takes::Globs(most) => (0, *most),
        _ => return,
    };
    array.min_items = (least > 0).then_some(least);
    array.max_items = Some(most);
    if let ArrayItems::RefOrSchema(items) = &mut array.items
        && let RefOr::T(Schema::Object(item)) = items.as_mut()
    {
        match takes {
            Takes::Texts(_, _, form) => take(item, form),
            Takes::Globs(_) => named(item, "glob"),
            _ => {}
        }
    }
}
