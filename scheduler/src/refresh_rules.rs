//! The rules of sources (`on`), compiled: what an event makes a source read again.

use serde_json::{Map, Value};
use tideline_config::settings::{RefreshRule, RefreshScope, SourceSettings};
use tideline_core::rules::TopicGlob;
use tideline_core::words::RefreshTarget;
use tideline_expression::{CompileError, EvaluateError, Evaluator, Expression};

/// One rule of one source.
pub(crate) struct Rule {
    pub(crate) source: String,
    /// Its place in the source's `on`.
    pub(crate) place: usize,
    pub(crate) topics: Vec<TopicGlob>,
    refresh: RefreshScope,
    resource: Option<String>,
    when: Option<Expression>,
    values: Vec<(String, Expression)>,
    removed: Option<Expression>,
    pub(crate) look_again_ms: Option<u64>,
}

/// Why a rule says nothing of an event.
pub(crate) enum RuleError {
    /// Another time it may.
    Unavailable(EvaluateError),
    /// It never will.
    Failed(String),
}

/// What of the rules of a source cannot be compiled, each with its place within the source, such as `on[0].when`.
#[must_use]
pub fn check_rules(source: &SourceSettings) -> Vec<(String, String)> {
    let rules = source.on.iter().enumerate();
    rules
        .filter_map(|(place, rule)| compile(source, place, rule).err())
        .collect()
}

/// The rules of a source. What cannot be compiled was refused with the configuration.
pub(crate) fn rules_of(source: &SourceSettings) -> impl Iterator<Item = Rule> {
    let rules = source.on.iter().enumerate();
    rules.filter_map(|(place, rule)| compile(source, place, rule).ok())
}

fn compile(source: &SourceSettings, place: usize, rule: &RefreshRule) -> Result<Rule, (String, String)> {
    let at = |key: &str| format!("on[{place}].{key}");
    let expression =
        |key: &str, text: &str| Expression::compile(text).map_err(|error: CompileError| (at(key), error.to_string()));
    let optional = |key: &str, text: &Option<String>| text.as_deref().map(|text| expression(key, text)).transpose();
    let topics = rule.topics.iter().map(|topic| topic.parse::<TopicGlob>());
    let values = rule.values.iter().map(|(name, text)| {
        let value = expression(&format!("values.{name}"), text)?;
        Ok::<_, (String, String)>((name.clone(), value))
    });
    Ok(Rule {
        source: source.name.clone(),
        place,
        topics: topics
            .collect::<Result<_, _>>()
            .map_err(|error| (at("topic"), error.to_string()))?,
        refresh: rule.refresh,
        resource: rule.resource.clone(),
        when: optional("when", &rule.when)?,
        values: values.collect::<Result<_, _>>()?,
        removed: optional("removed", &rule.removed)?,
        look_again_ms: rule.look_again.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
    })
}

impl Rule {
    /// What the event makes the source read again; none: nothing.
    pub(crate) async fn apply(&self, evaluator: &Evaluator, event: &str) -> Result<Option<RefreshTarget>, RuleError> {
        if let Some(when) = &self.when
            && !is_true(&first(evaluator, "when", when, event).await?)
        {
            return Ok(None);
        }
        let mut values = Map::new();
        for (name, expression) in &self.values {
            let key = format!("values.{name}");
            match first(evaluator, &key, expression, event).await? {
                value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                    values.insert(name.clone(), value);
                }
                Value::Null => return Err(RuleError::Failed(format!("{key} is absent or null"))),
                _ => return Err(RuleError::Failed(format!("{key} is neither a text nor a number"))),
            }
        }
        let resource = self.resource.clone();
        Ok(Some(match self.refresh {
            RefreshScope::Source => RefreshTarget::Source,
            RefreshScope::Partition => RefreshTarget::Partition { resource, values },
            RefreshScope::Item => RefreshTarget::Item {
                resource,
                values,
                removed: match &self.removed {
                    Some(removed) => is_true(&first(evaluator, "removed", removed, event).await?),
                    None => false,
                },
            },
        }))
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// The first output, or null.
async fn first(evaluator: &Evaluator, key: &str, expression: &Expression, event: &str) -> Result<Value, RuleError> {
    match evaluator.evaluate(expression, event).await {
        Ok(values) => Ok(values.into_iter().next().unwrap_or_default()),
        Err(error @ EvaluateError::Unavailable(_)) => Err(RuleError::Unavailable(error)),
        Err(error) => Err(RuleError::Failed(format!("{key}: {error}"))),
    }
}
