//! The filter of a subscription: a jq expression that decides for each event whether it is wanted.

use tideline_core::rules::event_view;
use tideline_core::words::EventRecord;
use tideline_expression::{CompileError, EvaluateError, Evaluator, Expression};

/// A filter, compiled.
#[derive(Clone, Debug)]
pub struct EventFilter(Expression);

/// Why a filter has no result for an event.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It was not evaluated: no expression can be evaluated now.
    #[error("the filter cannot be evaluated right now")]
    Unavailable(#[source] EvaluateError),
    /// It took too long. On a less busy machine it may finish.
    #[error("filter: {0}")]
    TimedOut(EvaluateError),
    /// It will never have one.
    #[error("filter: {0}")]
    Failed(String),
}

impl EventFilter {
    /// Checks an expression.
    ///
    /// # Errors
    /// It is not a jq expression; the text says where.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        Expression::compile(text).map(Self)
    }

    /// Whether an event is wanted: neither null nor false.
    ///
    /// # Errors
    /// The expression fails on the event, or cannot be evaluated now.
    pub async fn wants(&self, evaluator: &Evaluator, event: &EventRecord) -> Result<bool, FilterError> {
        let view = event_view(event).map_err(|error| FilterError::Failed(error.to_string()))?;
        match evaluator.evaluate(&self.0, &view).await {
            Ok(values) => Ok(values
                .first()
                .is_some_and(|value| !value.is_null() && *value != serde_json::Value::Bool(false))),
            Err(error @ EvaluateError::Unavailable(_)) => Err(FilterError::Unavailable(error)),
            Err(error @ EvaluateError::TimedOut(_)) => Err(FilterError::TimedOut(error)),
            Err(error) => Err(FilterError::Failed(error.to_string())),
        }
    }
}
