//! Values of an answer or item, wherever the plan finds them: in its text, or in what the programs made of it.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;
use serde_json::value::RawValue;
use tideline_expression::Outcome;

use super::super::text::Text;
use super::extract::Found;
use super::failure::check_failure;
use super::plan::{FailPull, Pull};
use super::reading::ReadError;

/// A value that was pulled.
pub(super) enum Pulled<'a> {
    /// jq said `empty`.
    Empty,
    /// Absent or null.
    Null,
    Text(Cow<'a, str>),
    /// Anything else, as JSON.
    Value(Value),
}

/// What is said of a program that the answer does not speak of.
static NOT_RUN: LazyLock<Outcome> = LazyLock::new(|| Outcome::Failed("the expression was not run".to_owned()));

/// An answer or item from which values are pulled.
pub(super) struct View<'a, 'v> {
    pub(super) text: &'a str,
    pub(super) found: &'v Found<'a>,
    /// What the programs made of it.
    pub(super) outcomes: &'v [Outcome],
}

impl<'a, 'v> View<'a, 'v> {
    pub(super) fn outcome(&self, program: usize) -> &'v Outcome {
        self.outcomes.get(program).unwrap_or(&NOT_RUN)
    }

    /// The first output of a program.
    pub(super) fn first(&self, program: usize) -> Result<Option<&'v str>, String> {
        match self.outcome(program) {
            Outcome::Values(texts) | Outcome::Elements(texts) => Ok(texts.first().map(String::as_str)),
            Outcome::Failed(why) => Err(why.clone()),
        }
    }

    pub(super) fn slice(&self, slot: usize) -> Option<&'a RawValue> {
        self.found.slices.get(slot).copied().flatten()
    }

    pub(super) fn pull<'s>(&'s self, pull: &'s Pull) -> Result<Pulled<'s>, String> {
        match pull {
            Pull::Text(text) => Ok(Pulled::Text(Cow::Borrowed(text))),
            Pull::Slice(slot) => match self.slice(*slot).map(RawValue::get) {
                None | Some("null") => Ok(Pulled::Null),
                Some(text) => pulled(text),
            },
            Pull::Jq(program) => match self.first(*program)? {
                None => Ok(Pulled::Empty),
                Some("null") => Ok(Pulled::Null),
                Some(text) => pulled(text),
            },
        }
    }

    /// What is pulled, as JSON text; none if there is nothing.
    pub(super) fn json(&self, pull: &Pull) -> Result<Option<String>, String> {
        match pull {
            Pull::Text(text) => Ok(Some(Value::from(text.as_str()).to_string())),
            Pull::Slice(slot) => Ok(self.slice(*slot).map(|slice| slice.get().to_owned())),
            Pull::Jq(program) => Ok(self.first(*program)?.map(str::to_owned)),
        }
    }

    /// Everything that is pulled, as JSON texts.
    pub(super) fn outputs(&self, pull: &Pull) -> Result<Vec<String>, String> {
        match pull {
            Pull::Jq(program) => match self.outcome(*program) {
                Outcome::Values(texts) | Outcome::Elements(texts) => Ok(texts.clone()),
                Outcome::Failed(why) => Err(why.clone()),
            },
            pull => Ok(self.json(pull)?.into_iter().collect()),
        }
    }

    /// Whether the answer says that the request failed, although its status does not.
    pub(super) fn check_failure(&self, fail_if: Option<&FailPull>) -> Result<(), ReadError> {
        let pull = match fail_if {
            None => return Ok(()),
            Some(FailPull::GraphQl(pull) | FailPull::Expression(pull)) => pull,
        };
        let found = self.optional(Some(pull), "fail_if")?;
        check_failure(matches!(fail_if, Some(FailPull::GraphQl(_))), found, self.text)
    }

    pub(super) fn optional(&self, pull: Option<&Pull>, key: &str) -> Result<Option<Value>, ReadError> {
        let Some(pull) = pull else {
            return Ok(None);
        };
        match self.pull(pull) {
            Ok(Pulled::Empty | Pulled::Null) => Ok(None),
            Ok(Pulled::Text(text)) => Ok(Some(Value::from(text.into_owned()))),
            Ok(Pulled::Value(value)) => Ok(Some(value)),
            Err(why) => Err(ReadError::Wrong(format!("{key}: {why}"))),
        }
    }
}

/// A number that fits no 64 bits stays the text that it is: a cursor must come back digit by digit.
fn pulled(text: &str) -> Result<Pulled<'_>, String> {
    if text.starts_with('"') {
        let text: Text<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return Ok(Pulled::Text(text.0));
    }
    match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Value::Number(number) if number.is_f64() => Ok(Pulled::Text(Cow::Borrowed(text))),
        value => Ok(Pulled::Value(value)),
    }
}
