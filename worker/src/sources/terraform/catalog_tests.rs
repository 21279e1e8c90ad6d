use proptest::prelude::*;
use serde_json::{Value, json};
use tideline_core::rules::canonical_json;

use super::*;
use crate::sources::secret_names::tests::{SECRETS, spellings};
use crate::sources::terraform::state::{StateError, read_state};

/// What must never be seen.
const SECRET: &str = "hunter2-s3cret";

fn form() -> Form {
    Form {
        namespace: "default".into(),
        owner: "group:platform".into(),
        organization: "acme".into(),
        web: "https://app.terraform.io/app/acme".into(),
        labels: BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]),
        tag_labels: Globs::new(&["unit".to_owned()]),
        data_sources: false,
        wanted: Wanted {
            attributes: Globs::new(&["*".to_owned()]),
            outputs: Globs::new(&["*".to_owned()]),
            denied: Globs::new(&["internal_*".to_owned()]),
        },
    }
}

fn workspace() -> Workspace {
    Workspace {
        id: "ws-1".into(),
        name: "prod-net".into(),
        tags: vec!["unit:retail bank".into(), "Core".into()],
        ..Workspace::default()
    }
}

/// The bodies by name, and all that would be stored.
fn read(form: &Form, state: &str) -> Result<(Vec<(String, Value)>, String), StateError> {
    let workspace = workspace();
    let mut catalog = Catalog::new(form, &workspace);
    let header = read_state(state.as_bytes(), &form.wanted, &mut catalog)?;
    let mut all = String::new();
    let items = catalog.into_items(Some(&header)).into_iter().map(|item| {
        let Item::Entity { reference, body } = item else {
            panic!("{item:?}")
        };
        all.push_str(&format!("{reference} {body}\n"));
        canonical_json(&body).unwrap();
        (reference.as_str().to_owned(), serde_json::from_str(&body).unwrap())
    });
    let items: Vec<_> = items.collect();
    Ok((items, all))
}

fn resource(module: &str, kind: &str, name: &str, instances: Value) -> Value {
    json!({"module": module, "mode": "managed", "type": kind, "name": name,
        "provider": "provider[\"registry.terraform.io/hashicorp/aws\"].west", "instances": instances})
}

fn state(resources: Value, outputs: Value) -> String {
    json!({"version": 4, "terraform_version": "1.9.0", "serial": 7, "lineage": "l-1", "outputs": outputs,
        "resources": resources, "check_results": null, "new": {"in": [1]}})
    .to_string()
}

fn named<'a>(items: &'a [(String, Value)], address: &str) -> &'a Value {
    let found = items.iter().find(|(_, body)| body["metadata"]["title"] == address);
    &found.unwrap_or_else(|| panic!("{address} is missing")).1
}

#[test]
fn a_workspace_and_its_instances_become_entities_with_their_relations() {
    let resources = json!([
        resource("", "aws_vpc", "main", json!([{"attributes": {"id": "vpc-1"}}])),
        resource("module.net[\"a\"]", "aws_subnet", "s", json!([
            {"index_key": 0, "attributes": {"id": "s0"}, "dependencies": ["aws_vpc.main", "data.aws_ami.x", "aws_gone.x"]},
            {"index_key": "k", "status": "tainted", "attributes": {"id": "sk"}},
            {"index_key": 0, "deposed": "abc", "attributes": {"id": "old"}},
        ])),
        resource("module.net[\"b\"]", "aws_subnet", "s", json!([{"attributes": {"id": "b"}}])),
        resource("module.net[\"b\"]", "aws_route", "r", json!([
            {"attributes": {"id": "r"}, "dependencies": ["module.net.aws_subnet.s"]},
        ])),
        resource("", "aws_lb", "lb", json!([{"attributes": null, "dependencies": ["module.net.aws_subnet.s"]}])),
        {"mode": "data", "type": "aws_ami", "name": "x", "instances": [{"attributes": {"id": "ami"}}]},
    ]);
    let outputs = json!({"url": {"value": "https://x", "type": "string"}, "zones": {"value": ["a", "b"]}});
    let (items, all) = read(&form(), &state(resources, outputs)).unwrap();
    let of = |address: &str| {
        items
            .iter()
            .find(|(_, body)| body["metadata"]["title"] == address)
            .unwrap()
            .0
            .clone()
    };
    assert_eq!(items.len(), 7);

    let workspace = named(&items, "prod-net");
    assert_eq!(items[0].0, "system:default/prod-net");
    assert_eq!(
        workspace["metadata"]["labels"],
        json!({"tenant": "acme", "unit": "retail-bank"})
    );
    assert_eq!(workspace["metadata"]["tags"], json!(["unit:retail-bank", "core"]));
    let annotations = &workspace["metadata"]["annotations"];
    assert_eq!(annotations["terraform.io/serial"], "7");
    assert_eq!(
        annotations["terraform.io/resources"], "6",
        "data sources and deposed objects do not count"
    );
    assert_eq!(annotations["output.terraform.io/url"], "https://x");
    assert_eq!(annotations["output.terraform.io/zones"], r#"["a","b"]"#);

    let subnet = named(&items, "module.net[\"a\"].aws_subnet.s[0]");
    assert_eq!(subnet["spec"]["type"], "aws_subnet");
    assert_eq!(subnet["spec"]["owner"], "group:platform");
    assert_eq!(subnet["spec"]["system"], "default/prod-net");
    assert_eq!(subnet["spec"]["attributes"], json!({"id": "s0"}));
    assert_eq!(subnet["spec"]["dependsOn"], json!([of("aws_vpc.main")]));
    assert_eq!(
        subnet["metadata"]["annotations"]["terraform.io/provider"],
        "registry.terraform.io/hashicorp/aws.west"
    );
    assert_eq!(
        subnet["metadata"]["annotations"]["terraform.io/module"],
        "module.net[\"a\"]"
    );
    let tainted = named(&items, "module.net[\"a\"].aws_subnet.s[\"k\"]");
    assert_eq!(tainted["metadata"]["annotations"]["terraform.io/status"], "tainted");
    assert_eq!(tainted["metadata"]["annotations"]["terraform.io/index"], "k");

    let route = named(&items, "module.net[\"b\"].aws_route.r");
    assert_eq!(
        route["spec"]["dependsOn"],
        json!([of("module.net[\"b\"].aws_subnet.s")]),
        "what is in its own module instance"
    );
    assert_eq!(
        named(&items, "aws_lb.lb")["spec"]["dependsOn"].as_array().map(Vec::len),
        Some(3)
    );
    assert!(!all.contains("ami") && !all.contains("\"old\""));
}

#[test]
fn data_sources_are_entities_by_choice() {
    let resources =
        json!([{"mode": "data", "type": "aws_ami", "name": "x", "instances": [{"attributes": {"id": "ami"}}]}]);
    let form = Form {
        data_sources: true,
        ..form()
    };
    let (items, _) = read(&form, &state(resources, json!({}))).unwrap();
    assert_eq!(
        named(&items, "data.aws_ami.x")["metadata"]["annotations"]["terraform.io/mode"],
        "data"
    );
    assert_eq!(items[0].1["metadata"]["annotations"]["terraform.io/resources"], "0");
}

#[test]
fn a_long_list_of_dependencies_is_cut_and_says_so() {
    let many: Vec<Value> = (0..130)
        .map(|index| json!({"index_key": index, "attributes": {"id": "x"}}))
        .collect();
    let resources = json!([
        resource("", "aws_subnet", "s", json!(many)),
        resource("", "aws_lb", "lb", json!([{"dependencies": ["aws_subnet.s"]}])),
    ]);
    let (items, _) = read(&form(), &state(resources, json!({}))).unwrap();
    let spec = &named(&items, "aws_lb.lb")["spec"];
    assert_eq!(spec["dependsOn"].as_array().map(Vec::len), Some(MAX_DEPENDENCIES));
    assert_eq!(spec["dependenciesLeftOut"], 30);
}

#[test]
fn a_state_that_is_none_is_an_error_without_its_content() {
    let wrong = format!("{{\"version\": 4, \"serial\": \"{SECRET}\"}}");
    let cut = &state(json!([]), json!({}))[..40];
    for (text, is_cut) in [
        (wrong.as_str(), false),
        ("[]", false),
        (SECRET, false),
        ("{\"version\": 3}", false),
        (cut, true),
        ("", true),
    ] {
        let error = read(&form(), text).unwrap_err();
        assert_eq!(matches!(error, StateError::Cut { .. }), is_cut, "{text}");
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

/// A value whose every text holds the secret.
fn secret_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(SECRET)),
        Just(json!(format!("x{SECRET}y"))),
        Just(json!([SECRET])),
        Just(json!({ "inner": SECRET })),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 1..3).prop_map(|map| json!(map)),
        ]
    })
}

/// Harmless words of which a way to a secret is made.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        "[a-z]{1,5}".prop_map(Step::Member),
        "[a-z/\"]{1,5}".prop_map(Step::Key),
        (0_usize..3).prop_map(Step::Index),
        Just(Step::SetElement),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Key(String),
    Index(usize),
    SetElement,
}

/// Attributes that hold a secret at the end of a way, and the mark that leads there.
fn marked(steps: &[Step], secret: Value) -> (Value, Value) {
    let mut value = secret;
    let mut path = Vec::new();
    for step in steps.iter().rev() {
        let (outer, mark) = match step {
            Step::Member(name) => (json!({ name: value }), json!({"type": "get_attr", "value": name})),
            Step::Key(key) => (
                json!({ key: value }),
                json!({"type": "index", "value": {"value": key, "type": "string"}}),
            ),
            Step::Index(index) => {
                let mut items = vec![json!("harmless"); *index];
                items.push(value);
                (
                    json!(items),
                    json!({"type": "index", "value": {"value": index, "type": "number"}}),
                )
            }
            Step::SetElement => (
                json!([value.clone()]),
                json!({"type": "index", "value": {"value": value, "type": ["object", {}]}}),
            ),
        };
        value = outer;
        path.insert(0, mark);
    }
    (value, Value::from(path))
}

fn secret_names() -> Vec<String> {
    let others = ["MASTER-PASSWORD", "access_key", "internal_note", "secret_string"].map(str::to_owned);
    let held = ["user data", "custom data", "environment variables"];
    let names = SECRETS.iter().chain(&held).flat_map(|name| spellings(name));
    names.chain(others).collect()
}

proptest! {
    #[test]
    fn sensitive_values_reach_nothing(
        way in prop::collection::vec(step(), 0..4),
        secret in secret_value(),
        name in prop::sample::select(secret_names()),
        kind in prop::sample::select(vec!["aws_db_instance", "random_string", "random_password", "vault_generic_secret"]),
    ) {
        let mut way = way;
        way.insert(0, Step::Member("setting".to_owned()));
        let (mut attributes, mark) = marked(&way, secret.clone());
        attributes["id"] = json!("db-1");
        attributes["block"] = json!([{ &*name: secret.clone(), "port": 5432 }]);
        attributes[&*name] = secret.clone();
        attributes["variables"] =
            json!([{ "name": name, "value": secret.clone() }, { "Key": name, "Value": secret.clone() }]);
        attributes["texts"] = json!([
            format!("{name}={SECRET}"), format!("{name}={SECRET};x=y"), format!("a: b\n{name}: {SECRET}\nc: d"),
            json!({ &*name: SECRET }).to_string(),
        ]);
        let whole = if kind.starts_with("random") { secret.clone() } else { json!("x") };
        attributes["result"] = whole;
        let resources = json!([resource("", kind, "a", json!([{"attributes": attributes, "sensitive_attributes": [mark]}]))]);
        let outputs = json!({
            "shown": {"value": {"deep": [{ &*name: secret.clone() }], "port": 1}},
            "hidden": {"value": secret.clone(), "sensitive": true},
            &*name: {"value": secret.clone()},
        });
        let (items, all) = read(&form(), &state(resources, outputs)).unwrap();
        prop_assert!(!all.contains(SECRET), "{}", all);
        prop_assert_eq!(items.len(), 2);
        prop_assert!(all.contains("5432") || kind != "aws_db_instance", "what is harmless is shown: {}", all);
    }
}
