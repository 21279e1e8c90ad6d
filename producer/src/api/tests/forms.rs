//! The OpenAPI document is as strict as the code, and no stricter.

use jsonschema::Validator;

use super::acts::{Case, bench_for_acts};
use super::*;

/// Texts of a request that may be anything, by the names of their properties: what people write, names that are looked
/// up, and values for others.
const FREE: [&str; 17] = [
    "error",
    "args",
    "body",
    "source",
    "kind",
    "namespace",
    "label",
    "text",
    "key",
    "hook",
    "actor",
    "act",
    "subject",
    "sources",
    "kinds",
    "headers",
    "state",
];

fn hostile(value: &Value) -> Vec<Value> {
    match value {
        Value::String(_) => [
            "",
            " ",
            "a b",
            "\u{0}",
            "no:such/thing?",
            "-1",
            "é!",
            "99999999999999999999",
        ]
        .map(|text| json!(text))
        .into_iter()
        .chain([json!("x".repeat(20_000)), json!(7), json!(["x"])])
        .collect(),
        Value::Number(_) => [
            json!(-1),
            json!(0),
            json!(257),
            json!(50_000),
            json!(u64::MAX),
            json!("7"),
            json!(1.5),
        ]
        .into(),
        Value::Bool(_) => vec![json!("maybe"), json!(2)],
        Value::Array(items) => {
            let item = items.first().cloned().unwrap_or(json!("x"));
            vec![json!([]), Value::Array(vec![item; 1_001]), json!({}), json!("x")]
        }
        Value::Object(_) => vec![json!("x"), json!(7)],
        Value::Null => vec![json!(7), json!("x!")],
    }
}

/// The body with each of its values made hostile in turn, and with an unknown field.
fn mutations(body: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    mutate(body, &mut |changed| all.push(changed));
    let mut unknown = body.clone();
    unknown["colour"] = json!("red");
    all.push(unknown);
    all
}

fn mutate(value: &Value, emit: &mut dyn FnMut(Value)) {
    for hostile in hostile(value) {
        emit(hostile);
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                mutate(field, &mut |changed| {
                    let mut whole = fields.clone();
                    whole.insert(name.clone(), changed);
                    emit(Value::Object(whole));
                });
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                mutate(item, &mut |changed| {
                    let mut whole = items.clone();
                    whole[place] = changed;
                    emit(Value::Array(whole));
                });
            }
        }
        _ => {}
    }
}

/// A validator of a schema within the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::validator_for(&whole).unwrap()
}

fn body_schema<'d>(document: &'d Value, case: &Case) -> Option<&'d Value> {
    let (method, path) = case.route.split_once(' ').unwrap();
    let operation = &document["paths"][path][method.to_lowercase()];
    operation.pointer("/requestBody/content/application~1json/schema")
}

#[tokio::test]
async fn a_body_that_the_document_forbids_is_refused_and_one_that_is_done_is_allowed() {
    let (bench, cases) = bench_for_acts().await;
    let document = serde_json::to_value(bench.api.document()).unwrap();
    for case in &cases {
        let (Some(schema), Some(body)) = (body_schema(&document, case), &case.body) else {
            assert!(case.body.is_none(), "{} documents no body", case.route);
            continue;
        };
        let validator = validator(&document, schema);
        assert!(validator.is_valid(body), "{} forbids {body}", case.route);
        let mut forbidden = 0;
        for changed in mutations(body) {
            let is_forbidden = !validator.is_valid(&changed);
            forbidden += u32::from(is_forbidden);
            let shown: String = changed.to_string().chars().take(200).collect();
            let answer = bench
                .ask(holder(Role::Admin, &[]), case.method(), &case.path, Some(changed), &[])
                .await;
            assert!(answer.status < 500, "{} {shown}: {}", case.route, answer.body);
            if is_forbidden {
                assert_eq!(
                    answer.status, 400,
                    "{} is documented to refuse {shown}: {}",
                    case.route, answer.body
                );
            }
        }
        assert!(forbidden > 0, "{} forbids nothing", case.route);
    }
}

#[tokio::test]
async fn a_parameter_that_the_document_forbids_is_refused() {
    let bench = bench().await;
    bench.some_entities(3).await;
    let document = serde_json::to_value(bench.api.document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let validator = validator(&document, &parameter["schema"]);
                let is_text = parameter["schema"]["type"] != "integer";
                let values = hostile(&json!("x")).into_iter().chain(hostile(&json!(1)));
                for value in values.filter(|value| value.is_string() || value.is_number()) {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    // The value of the text according to its type.
                    let number = || serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
                    let sent = if is_text { json!(text) } else { number() };
                    if !validator.is_valid(&sent) && text.len() < 5_000 {
                        refused(&bench, (method, path), parameter, &text).await;
                    }
                }
            }
        }
    }
}

async fn refused(bench: &Bench, (method, path): (&str, &str), parameter: &Value, text: &str) {
    let name = parameter["name"].as_str().unwrap();
    let encoded = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let (mut concrete, mut headers) = (path.replace(&format!("{{{name}}}"), &encoded), Vec::new());
    for (place, value) in [
        ("{id}", "1"),
        ("{name}", "platform"),
        ("{kind}", "component"),
        ("{namespace}", "default"),
    ] {
        concrete = concrete.replace(place, value);
    }
    match parameter["in"].as_str().unwrap() {
        "query" => concrete.push_str(&format!("?{name}={encoded}")),
        // A path without the part is another path.
        "path" if text.is_empty() => return,
        "header" if text.chars().all(|c| c.is_ascii_graphic()) => headers.push((name, text)),
        "header" => return,
        _ => {}
    }
    let answer = bench
        .ask(
            holder(Role::Admin, &[]),
            &method.to_uppercase(),
            &concrete,
            None,
            &headers,
        )
        .await;
    let is_refused = matches!(answer.status, 400 | 404 | 415);
    assert!(
        is_refused,
        "{method} {path} is documented to refuse {name}={text:?}: {}",
        answer.body
    );
}

#[tokio::test]
async fn every_number_has_a_range_and_every_text_a_form_in_what_is_asked() {
    let bench = bench().await;
    let document = serde_json::to_value(bench.api.document()).unwrap();
    let mut loose = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                look(
                    &document,
                    name,
                    &parameter["schema"],
                    &format!("{method} {path}?{name}"),
                    &mut loose,
                );
            }
            if let Some(body) = operation.pointer("/requestBody/content/application~1json/schema") {
                look(&document, "", body, &format!("{method} {path}"), &mut loose);
            }
        }
    }
    assert!(loose.is_empty(), "without a range or a form (api/forms): {loose:#?}");
}

fn look(document: &Value, name: &str, schema: &Value, at: &str, loose: &mut Vec<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        let target = document.pointer(target.trim_start_matches('#')).unwrap();
        return look(document, name, target, at, loose);
    }
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        look(document, name, one, at, loose);
    }
    for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
        look(document, property, schema, &format!("{at} {property}"), loose);
    }
    if schema["items"].is_object() {
        if schema["maxItems"].is_null() {
            loose.push(format!("{at}[]"));
        }
        look(document, name, &schema["items"], at, loose);
    }
    let is = |word: &str| {
        schema["type"] == word
            || schema["type"]
                .as_array()
                .is_some_and(|types| types.contains(&json!(word)))
    };
    let has = |keys: &[&str]| keys.iter().any(|key| !schema[*key].is_null());
    if is("integer") && name != "version" && !(has(&["minimum"]) && has(&["maximum"])) {
        loose.push(at.to_owned());
    }
    if is("string") && !FREE.contains(&name) && !has(&["pattern", "format", "enum", "const", "maxLength"]) {
        loose.push(at.to_owned());
    }
}

/// What the document says of an answer.
fn answer_schema<'d>(document: &'d Value, route: &str, status: u16) -> Option<&'d Value> {
    let (method, path) = route.split_once(' ').unwrap();
    let operation = &document["paths"][path][method.to_lowercase()];
    let answers = operation["responses"].get(status.to_string());
    let answer = answers.unwrap_or_else(|| panic!("{route} does not document {status}"));
    answer.pointer("/content/application~1json/schema")
}

fn check_answer(document: &Value, route: &str, answer: &Answered) {
    let Some(schema) = answer_schema(document, route, answer.status) else {
        return;
    };
    let body = answer.json();
    let errors: Vec<String> = (validator(document, schema).iter_errors(&body))
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{route}: {errors:#?} {body}");
}

#[tokio::test]
async fn every_answer_to_a_reader_and_to_an_act_is_as_the_document_says() {
    let (bench, cases) = bench_for_acts().await;
    let document = serde_json::to_value(bench.api.document()).unwrap();
    for case in cases.iter().filter(|case| !case.route.starts_with("DELETE")) {
        let answer = bench
            .ask(
                holder(Role::Admin, &[]),
                case.method(),
                &case.path,
                case.body.clone(),
                &[],
            )
            .await;
        assert!((200..300).contains(&answer.status), "{}: {}", case.route, answer.body);
        check_answer(&document, case.route, &answer);
    }
    let delivery = bench.get("/v1/events?hook=tfc").await.json();
    let delivery = delivery["items"][0]["id"].as_str().unwrap().to_owned();
    let entity = bench.get("/v1/entities").await.json();
    let reference = entity["items"][0]["ref"].as_str().unwrap().to_owned();
    let name = reference.rsplit_once('/').unwrap().1;
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if item["get"].is_null() {
            continue;
        }
        let noun = path.split('/').nth(2).unwrap();
        let of_noun = match noun {
            "sources" => "approved",
            "subscriptions" => "s",
            "targets" => "mocks",
            "hooks" => "tfc",
            "jobs" => "1",
            "events" | "deliveries" => delivery.as_str(),
            _ => name,
        };
        let concrete = path
            .replace("{kind}", "component")
            .replace("{namespace}", "default")
            .replace("{name}", of_noun)
            .replace("{id}", of_noun);
        let query = match path.as_str() {
            "/v1/why" => "?subject=approved".to_owned(),
            "/v1/origin" | "/v1/revisions" => format!("?source=approved&ref={reference}"),
            _ => String::new(),
        };
        let answer = bench.get(&format!("{concrete}{query}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        check_answer(&document, &format!("GET {path}"), &answer);
        asked += 1;
    }
    assert!(asked > 30, "{asked}");
}
