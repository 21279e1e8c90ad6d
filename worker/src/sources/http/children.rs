//! The values that tell the partitions below an item apart, and the partitions beside the root.

use serde_json::{Value, json};
use tideline_core::words::ChildPartition;
use tideline_expression::Outcome;

use super::plan::{ChildPlan, ChildValues, Plan, Pull};
use super::template::scalar_text;
use super::view::{Pulled, View};
use crate::source::PageRequest;

/// The member with the version, among those of the values.
pub(super) const VERSION: &str = "~version";

/// One partition below an item.
#[derive(Default)]
pub(super) struct Child {
    /// Its values, by name.
    pub(super) values: Vec<(String, Value)>,
    /// What tells that it has not changed; none: nothing does.
    pub(super) version: Option<String>,
}

/// The values of each partition that an item has. None if jq left the item out with `empty`.
///
/// # Errors
/// A value is null, absent or no scalar: a parent that lost its name must not let its children be swept.
pub(super) fn children_of(view: &View<'_, '_>, child: &ChildPlan) -> Result<Vec<Child>, String> {
    match &child.values {
        ChildValues::One(pulls) => {
            let mut values = Vec::with_capacity(pulls.len());
            for (name, pull) in pulls {
                match view.pull(pull).map_err(|why| format!("values.{name}: {why}"))? {
                    Pulled::Empty => return Ok(Vec::new()),
                    Pulled::Text(text) => values.push((name.clone(), Value::from(text.into_owned()))),
                    Pulled::Value(value) => values.push((name.clone(), scalar(name, value)?)),
                    Pulled::Null => return Err(format!("values.{name} is absent or null")),
                }
            }
            let version = child.version.as_ref().and_then(|version| match view.pull(version) {
                Ok(Pulled::Text(text)) => Some(text.into_owned()),
                Ok(Pulled::Value(value)) => scalar_text(&value),
                _ => None,
            });
            Ok(vec![Child { values, version }])
        }
        ChildValues::Each(Pull::Jq(program)) => {
            let outputs = match view.outcome(*program) {
                Outcome::Values(outputs) | Outcome::Elements(outputs) => outputs,
                Outcome::Failed(why) => return Err(format!("each: {why}")),
            };
            outputs.iter().map(|output| read_output(output)).collect()
        }
        ChildValues::Each(_) => Ok(Vec::new()),
    }
}

fn read_output(output: &str) -> Result<Child, String> {
    let mut members: serde_json::Map<String, Value> =
        serde_json::from_str(output).map_err(|error| format!("each: {error}"))?;
    let version = members.remove(VERSION);
    let values = members
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), scalar(&name, value)?)));
    Ok(Child {
        values: values.collect::<Result<_, String>>()?,
        version: version.as_ref().and_then(scalar_text),
    })
}

fn scalar(name: &str, value: Value) -> Result<Value, String> {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value),
        Value::Null => Err(format!("values.{name} is absent or null")),
        _ => Err(format!("values.{name} is neither a text nor a number")),
    }
}

/// The partitions of the other resources without a parent, which stand beside the root partition.
pub(super) fn roots(plan: &Plan) -> Vec<ChildPartition> {
    let partition = |name: &String| ChildPartition {
        key: name.clone(),
        args: json!({"resource": name, "values": {}}),
    };
    plan.siblings.iter().map(partition).collect()
}

/// The same, as the root partition's first page reveals them.
pub(super) fn siblings(plan: &Plan, request: &PageRequest<'_>) -> Vec<ChildPartition> {
    match request.cursor {
        None => roots(plan),
        Some(_) => Vec::new(),
    }
}
