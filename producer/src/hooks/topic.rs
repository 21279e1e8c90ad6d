//! The topic that a jq expression makes of a webhook.

use std::time::Duration;

use tideline_config::hooks::{HookSettings, HookTopic};
use tideline_core::full_text;
use tideline_core::rules::{is_own_topic, new_event_view, topic_word};
use tideline_core::words::NewEvent;
use tideline_expression::{Evaluator, Expression};

/// Larger bodies keep the topic that the provider gives them: they would be copied several times.
const MAX_BODY_BYTES: usize = 5 << 20;

/// An expression that takes longer makes no topic: the sender waits.
const LONGEST: Duration = Duration::from_secs(2);

/// What of the expression of a hook cannot be compiled: key and problem.
#[must_use]
pub fn check_topic(hook: &HookSettings) -> Vec<(String, String)> {
    let Some(HookTopic::Expression(text)) = &hook.topic else {
        return vec![];
    };
    let problem = |error: tideline_expression::CompileError| {
        let hint = "a topic may contain only letters, digits and . - _ : /; anything else is a jq expression";
        ("topic".to_owned(), format!("{error} ({hint})"))
    };
    Expression::compile(text).err().map(problem).into_iter().collect()
}

/// The expression of a hook, unless its topic is a constant or the provider's.
pub(super) fn expression_of(hook: &HookSettings) -> Option<Expression> {
    match &hook.topic {
        Some(HookTopic::Expression(text)) => Expression::compile(text).ok(),
        Some(HookTopic::Constant(_)) | None => None,
    }
}

/// Gives an event the topic that the expression makes of it. If it makes none, the event keeps the one that it has: a
/// signed webhook is never thrown away. So does one that would be taken for an event of Tideline's own, and it is
/// marked.
pub(super) async fn apply(expression: &Expression, evaluator: &Evaluator, hook: &str, event: &mut NewEvent) {
    match made_by(expression, evaluator, event).await {
        Ok(topic) if is_own_topic(&topic) => {
            event.malformed = true;
            tracing::warn!(
                hook,
                topic,
                "the expression `topic` made a topic of Tideline's own events of a webhook"
            );
        }
        Ok(topic) => event.topic = topic,
        Err(why) => tracing::warn!(
            hook,
            topic = event.topic,
            why,
            "the `topic` expression failed; using the provider's topic"
        ),
    }
}

async fn made_by(expression: &Expression, evaluator: &Evaluator, event: &NewEvent) -> Result<String, String> {
    if event.body.len() > MAX_BODY_BYTES {
        return Err(format!("its body is larger than {MAX_BODY_BYTES} bytes"));
    }
    let view = new_event_view(event).map_err(|error| error.to_string())?;
    let made = tokio::time::timeout(LONGEST, evaluator.evaluate(expression, &view)).await;
    let made = made.map_err(|_| format!("it was not evaluated within {} s", LONGEST.as_secs()))?;
    match made.map_err(|error| full_text(&error))?.first() {
        Some(serde_json::Value::String(text)) if !text.trim().is_empty() => Ok(topic_word(text)),
        Some(other) => Err(format!("the expression returned {other} instead of a string")),
        None => Err("the expression returned nothing".to_owned()),
    }
}
