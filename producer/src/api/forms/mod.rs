//! What the OpenAPI document says about parameters and bodies besides their types: ranges and patterns, so that a
//! generated client refuses what the API would refuse, and the headers that every act accepts. The code validates with
//! the same numbers and patterns.

mod bodies;
pub(crate) mod text;

use utoipa::Number;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Required, ResponseBuilder};

use self::text::Form;
use super::changes::MAX_WAIT;
use super::history::MAX_HOURS;
use super::page::MAX_LIMIT;
use super::role::{MAX_KEY, MAX_REASON};

/// Routes that are not operators' acts, although they are not `GET`: routine requests of subscribers and of programs
/// that write entities. Each is idempotent by itself.
const NO_ACTS: [&str; 5] = ["/plan", "/pull", "/ack", "/nack", "/entities"];

/// Records with an ETag, whose acts take it as `If-Match`.
const WITH_ETAG: [&str; 4] = [
    "/v1/sources/{name}/",
    "/v1/jobs/{id}/",
    "/v1/subscriptions/{name}",
    "/v1/targets/{name}/",
];

/// The records themselves: a client that has the current one gets 304.
const RECORDS: [&str; 4] = [
    "/v1/sources/{name}",
    "/v1/jobs/{id}",
    "/v1/subscriptions/{name}",
    "/v1/targets/{name}",
];

/// Adds them to every operation, and to the bodies.
pub(super) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in super::docs::operations_mut(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                constrain(path, parameter);
            }
            if method == "get" && RECORDS.contains(&path.as_str()) {
                take_known(operation);
            }
            if method != "get" && !NO_ACTS.iter().any(|end| path.ends_with(end)) {
                take_headers(path, operation);
            }
        }
    }
    bodies::describe(document);
}

fn take_known(operation: &mut Operation) {
    operation.parameters.get_or_insert_default().push(header(
        "If-None-Match",
        "ETag of the record that the client has: if it has not changed since, the response is 304.",
        ObjectBuilder::new(),
    ));
    let known = ResponseBuilder::new().description("The record has not changed").build();
    let responses = &mut operation.responses.responses;
    responses.insert("304".to_owned(), RefOr::T(known));
}

fn take_headers(path: &str, operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(header(
        "Idempotency-Key",
        "Within a day, an act with the same key is performed only once.",
        ObjectBuilder::new().min_length(Some(1)).max_length(Some(MAX_KEY)),
    ));
    parameters.push(header(
        "Tideline-Reason",
        "Reason for the audit log, as percent-encoded UTF-8.",
        ObjectBuilder::new().pattern(Some(format!("^(%[0-9A-Fa-f]{{2}}|[!-$&-~]){{0,{MAX_REASON}}}$"))),
    ));
    if WITH_ETAG.iter().any(|begin| path.starts_with(begin)) {
        parameters.push(header(
            "If-Match",
            "ETag of the record: the act is performed only if nothing that it depends on has changed (otherwise 412).",
            ObjectBuilder::new(),
        ));
    }
}

fn header(name: &str, description: &str, form: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(form.schema_type(SchemaType::Type(Type::String))))
        .build()
}

fn constrain(path: &str, parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema else {
        return;
    };
    let is_in = |noun: &str| path.starts_with(&format!("/v1/{noun}/"));
    match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Query, "limit") => between(object, 1, u64::from(MAX_LIMIT)),
        (ParameterIn::Query, "wait") => between(object, 0, MAX_WAIT),
        (ParameterIn::Query, "hours") => between(object, 1, u64::from(MAX_HOURS)),
        (ParameterIn::Query, "page_token") => take(object, &text::PAGE_TOKEN),
        (ParameterIn::Query, "ref") => take(object, &text::REFERENCE),
        (ParameterIn::Query, "topics") => take(object, &text::TOPICS),
        (ParameterIn::Query, "from") => take(object, &text::START),
        (ParameterIn::Query, "after") if is_in("events") => take(object, &text::EVENT),
        (ParameterIn::Query, "after") => take(object, &text::POSITION),
        (ParameterIn::Query, "name") => named(object, "glob"),
        (ParameterIn::Path, "kind" | "namespace" | "name") if is_in("entities") => take(object, &text::PART),
        (ParameterIn::Path, "name") if is_in("subscriptions") => take(object, &text::NAME),
        (ParameterIn::Path, "id") if is_in("events") || is_in("deliveries") => take(object, &text::EVENT),
        (ParameterIn::Path, "id") if is_in("jobs") => between(object, 1, i64::MAX.unsigned_abs()),
        _ => {}
    }
}

fn take(object: &mut Object, form: &Form) {
    object.pattern = Some(form.pattern.to_owned());
}

fn named(object: &mut Object, format: &str) {
    object.format = Some(SchemaFormat::Custom(format.to_owned()));
}

fn between(object: &mut Object, least: u64, most: u64) {
    let number = |number: u64| usize::try_from(number).ok().map(Number::UInt);
    (object.minimum, object.maximum) = (number(least), number(most));
}
