//! The values that tell the partitions below an item apart.

use serde_json::Value;
use tideline_expression::Outcome;

use super::plan::{ChildValues, Pull};
use super::view::{Pulled, View};

/// The values of one partition, by name.
type Values = Vec<(String, Value)>;

/// The values of each partition that an item has. None if jq left the item out with `empty`.
///
/// # Errors
/// A value is null, absent or no scalar: a parent that lost its name must not let its children be swept.
pub(super) fn child_values(view: &View<'_, '_>, values: &ChildValues) -> Result<Vec<Values>, String> {
    match values {
        ChildValues::One(pulls) => {
            let mut partition = Vec::with_capacity(pulls.len());
            for (name, pull) in pulls {
                match view.pull(pull).map_err(|why| format!("values.{name}: {why}"))? {
                    Pulled::Empty => return Ok(Vec::new()),
                    Pulled::Text(text) => partition.push((name.clone(), Value::from(text.into_owned()))),
                    Pulled::Value(value) => partition.push((name.clone(), scalar(name, value)?)),
                    Pulled::Null => return Err(format!("values.{name} is absent or null")),
                }
            }
            Ok(vec![partition])
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

fn read_output(output: &str) -> Result<Values, String> {
    let members: serde_json::Map<String, Value> =
        serde_json::from_str(output).map_err(|error| format!("each: {error}"))?;
    members
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), scalar(&name, value)?)))
        .collect()
}

fn scalar(name: &str, value: Value) -> Result<Value, String> {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value),
        Value::Null => Err(format!("values.{name} is absent or null")),
        _ => Err(format!("values.{name} is neither a text nor a number")),
    }
}
