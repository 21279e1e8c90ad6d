//! The compiled rules of sources (`on`): what an event makes a source reread.

use serde_json::{Map, Value};
use tideline_config::settings::{RefreshRule, RefreshScope, SourceKind, SourceSettings};
use tideline_core::rules::TopicGlob;
use tideline_core::words::RefreshTarget;
use tideline_expression::{CompileError, EvaluateError, Evaluator, Expression};

/// Maximum number of things to read that one rule makes of one event.
const MAX_THINGS: usize = 1_000;
/// Maximum number of evaluations of an expression that times out: on a busy machine nothing may be wrong with it.
const TRIES: u32 = 3;

/// One rule of one source.
pub(crate) struct Rule {
    pub(crate) source: String,
    /// Its index in the source's `on`.
    pub(crate) place: usize,
    pub(crate) topics: Vec<TopicGlob>,
    refresh: RefreshScope,
    resource: Option<String>,
    when: Option<Expression>,
    /// The things to read that an event has, as objects with `values` and `removed`.
    each: Option<Expression>,
    values: Vec<(String, Expression)>,
    removed: Option<Expression>,
    only_known: bool,
    deep: bool,
    pub(crate) look_again_ms: Option<u64>,
}

/// Why a rule cannot be applied to an event.
pub(crate) enum RuleError {
    /// It may work later.
    Unavailable(EvaluateError),
    /// It will never work.
    Failed(String),
}

/// The errors of a source's rules, each with its place within the source, such as `on[0].when`.
#[must_use]
pub fn check_rules(source: &SourceSettings) -> Vec<(String, String)> {
    let rules = source.on.iter().enumerate();
    rules
        .filter_map(|(place, rule)| compile(source, place, rule).err())
        .collect()
}

/// The rules of a source. Rules that do not compile were refused with the configuration.
pub(crate) fn rules_of(source: &SourceSettings) -> impl Iterator<Item = Rule> {
    let rules = source.on.iter().enumerate();
    rules.filter_map(|(place, rule)| compile(source, place, rule).ok())
}

fn compile(source: &SourceSettings, place: usize, rule: &RefreshRule) -> Result<Rule, (String, String)> {
    let at = |key: &str| format!("on[{place}].{key}");
    let definitions = match &source.kind {
        SourceKind::Http(http) => http.definitions.as_deref().unwrap_or_default(),
        _ => "",
    };
    let expression = |key: &str, text: &str| {
        let compiled = match Expression::compile(text) {
            Ok(Expression::Path(path)) => Ok(Expression::Path(path)),
            compiled if definitions.is_empty() => compiled,
            _ => Expression::compile(&format!("{definitions}\n{text}")),
        };
        compiled.map_err(|error: CompileError| (at(key), error.to_string()))
    };
    let optional = |key: &str, text: &Option<String>| text.as_deref().map(|text| expression(key, text)).transpose();
    let topics = rule.topics.iter().map(|topic| topic.parse::<TopicGlob>());
    let values = rule.values.iter().map(|(name, text)| {
        let value = expression(&format!("values.{name}"), text)?;
        Ok::<_, (String, String)>((name.clone(), value))
    });
    if let Some(fetch) = &rule.fetch {
        expression("fetch.body", &fetch.body)?;
    }
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
        each: match &rule.each {
            None => None,
            Some(each) => {
                expression("each", each)?;
                let values = rule.values.iter().map(|(name, text)| format!("\"{name}\": ({text})"));
                let values: Vec<String> = values.collect();
                let removed = rule.removed.as_deref().unwrap_or("false");
                let program = format!("({each}) | {{values: {{{}}}, removed: ({removed})}}", values.join(", "));
                Some(expression("each", &program)?)
            }
        },
        removed: optional("removed", &rule.removed)?,
        only_known: rule.only_known,
        deep: rule.deep,
        look_again_ms: rule.look_again.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
    })
}

impl Rule {
    /// What the event makes the source reread.
    pub(crate) async fn apply(&self, evaluator: &Evaluator, event: &str) -> Result<Vec<RefreshTarget>, RuleError> {
        if let Some(when) = &self.when
            && !is_true(&first(evaluator, "when", when, event).await?)
        {
            return Ok(Vec::new());
        }
        if let Some(each) = &self.each {
            let outputs = all(evaluator, "each", each, event).await?;
            return outputs
                .into_iter()
                .take(MAX_THINGS)
                .map(|output| self.thing(output))
                .collect();
        }
        let mut values = Map::new();
        for (name, expression) in &self.values {
            let value = first(evaluator, &format!("values.{name}"), expression, event).await?;
            values.insert(name.clone(), scalar(name, value)?);
        }
        let removed = match &self.removed {
            Some(removed) => is_true(&first(evaluator, "removed", removed, event).await?),
            None => false,
        };
        Ok(vec![self.target(values, removed)])
    }

    /// One of the things that `each` makes of an event.
    fn thing(&self, mut output: Value) -> Result<RefreshTarget, RuleError> {
        let values = match output["values"].take() {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        let values = values
            .into_iter()
            .map(|(name, value)| Ok((name.clone(), scalar(&name, value)?)));
        Ok(self.target(values.collect::<Result<_, RuleError>>()?, is_true(&output["removed"])))
    }

    fn target(&self, values: Map<String, Value>, removed: bool) -> RefreshTarget {
        let resource = self.resource.clone();
        match self.refresh {
            RefreshScope::Source => RefreshTarget::Source,
            RefreshScope::Event => RefreshTarget::Event {
                rule: self.place,
                values,
            },
            RefreshScope::Partition => RefreshTarget::Partition {
                resource,
                values,
                removed,
                only_known: self.only_known,
                deep: self.deep,
            },
            RefreshScope::Item => RefreshTarget::Item {
                resource,
                values,
                removed,
            },
        }
    }
}

fn scalar(name: &str, value: Value) -> Result<Value, RuleError> {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value),
        Value::Null => Err(RuleError::Failed(format!("values.{name} is absent or null"))),
        _ => Err(RuleError::Failed(format!(
            "values.{name} is neither a text nor a number"
        ))),
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// The first output, or null.
async fn first(evaluator: &Evaluator, key: &str, expression: &Expression, event: &str) -> Result<Value, RuleError> {
    let values = all(evaluator, key, expression, event).await?;
    Ok(values.into_iter().next().unwrap_or_default())
}

async fn all(evaluator: &Evaluator, key: &str, expression: &Expression, event: &str) -> Result<Vec<Value>, RuleError> {
    let mut tries = 1;
    loop {
        match evaluator.evaluate(expression, event).await {
            Ok(values) => return Ok(values),
            Err(EvaluateError::TimedOut(_)) if tries < TRIES => tries += 1,
            Err(error @ EvaluateError::Unavailable(_)) => return Err(RuleError::Unavailable(error)),
            Err(error) => return Err(RuleError::Failed(format!("{key}: {error}"))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::time::Duration;

    use tideline_expression::Limits;

    use super::*;

    #[tokio::test]
    async fn a_rule_that_once_took_too_long_is_tried_again_before_its_job_is_parked() {
        let limits = Limits {
            timeout: Duration::from_millis(5),
            ..Limits::default()
        };
        let slow = Expression::compile("reduce range(5000000) as $i (0; . + $i)").unwrap();
        // On threads, the second try finds the first one still running.
        let said = all(&Evaluator::new(limits), "when", &slow, "1").await;
        assert!(matches!(said, Err(RuleError::Unavailable(_))));
    }
}
