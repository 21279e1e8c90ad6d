//! What the OpenAPI document says of parameters beside their types: ranges and patterns, so that a generated client refuses
//! what the API would refuse, and the headers that every act takes.

use utoipa::Number;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::changes::MAX_WAIT;
use super::page::MAX_LIMIT;
use super::role::{MAX_KEY, MAX_REASON};

/// Routes that change nothing which outlives the request: no act, although they are no `GET`.
pub(super) const NO_ACTS: [&str; 2] = ["/plan", "/pull"];

/// Routes below these show an ETag, and their acts take it as `If-Match`.
const WITH_ETAG: [&str; 2] = ["/v1/sources/{name}/", "/v1/jobs/{id}/"];

/// Adds them to every operation.
pub(super) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in super::docs::operations_mut(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                constrain(path, parameter);
            }
            if method != "get" && !NO_ACTS.iter().any(|end| path.ends_with(end)) {
                take_headers(path, operation);
            }
        }
    }
}

fn take_headers(path: &str, operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(header(
        "Idempotency-Key",
        "The same act with the same key is done once within a day.",
        ObjectBuilder::new().min_length(Some(1)).max_length(Some(MAX_KEY)),
    ));
    parameters.push(header(
        "Tideline-Reason",
        "Why, for the audit log: percent-encoded UTF-8.",
        ObjectBuilder::new().pattern(Some(format!("^(%[0-9A-Fa-f]{{2}}|[!-$&-~]){{0,{MAX_REASON}}}$"))),
    ));
    if WITH_ETAG.iter().any(|begin| path.starts_with(begin)) && !path.ends_with("/entities") {
        parameters.push(header(
            "If-Match",
            "ETag of the record: the act is done only if what it is decided by has not changed (412 otherwise).",
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
    match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Query, "limit") => between(object, 1, u64::from(MAX_LIMIT)),
        (ParameterIn::Query, "wait") => between(object, 0, MAX_WAIT),
        (ParameterIn::Query, "page_token") => object.pattern = Some("^[A-Za-z0-9_-]*$".to_owned()),
        (ParameterIn::Query, "ref") => object.pattern = Some(REFERENCE.to_owned()),
        (ParameterIn::Path, "kind" | "namespace") if path.contains("/entities/") => {
            object.pattern = Some(PART.to_owned());
        }
        (ParameterIn::Path, "name") if path.contains("/entities/") => object.pattern = Some(PART.to_owned()),
        (ParameterIn::Path, "name") if path.contains("/subscriptions/") => object.pattern = Some(NAME.to_owned()),
        (ParameterIn::Path, "id") if path.contains("/events/") || path.contains("/deliveries/") => {
            object.pattern = Some("^[0-9]{1,18}$".to_owned());
        }
        (ParameterIn::Path, "id") if path.contains("/jobs/") => between(object, 1, i64::MAX.unsigned_abs()),
        _ => {}
    }
}

/// A part of a reference.
const PART: &str = "^[^:/\\s]+$";

/// `kind:namespace/name`.
const REFERENCE: &str = "^[^:/\\s]+:[^:/\\s]+/[^:/\\s]+$";

/// The name of a subscription.
const NAME: &str = "^[A-Za-z0-9_.-]{1,63}$";

fn between(object: &mut Object, least: u64, most: u64) {
    let number = |number: u64| usize::try_from(number).ok().map(Number::UInt);
    (object.minimum, object.maximum) = (number(least), number(most));
}
