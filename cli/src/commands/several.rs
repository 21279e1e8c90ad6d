//! Acts on several records: one that is refused keeps back none of the others.

use crate::client::ClientError;
use crate::exit::Code;
use crate::output::{Out, Tone};

/// The outcomes so far.
pub(super) struct Several(Code);

impl Several {
    /// Nothing was refused yet.
    pub(super) fn new() -> Self {
        Self(Code::Done)
    }

    /// The answer to one; none: it was refused, which the person has been told.
    ///
    /// # Errors
    /// The others would fail too.
    pub(super) fn take<T>(&mut self, what: &str, answered: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        let error = match answered {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        match error.downcast_ref::<ClientError>().map(ClientError::exit) {
            Some(code @ (Code::NotFound | Code::Refused | Code::Config)) => {
                Out::stderr().toned(Tone::Bad, format!("{what}: {error}"))?;
                if self.0 == Code::Done {
                    self.0 = code;
                }
                Ok(None)
            }
            _ => Err(error),
        }
    }

    /// Of the first refusal.
    pub(super) fn code(&self) -> Code {
        self.0
    }
}
