//! Retries acts that conflict with another transaction: both changed the same rows, or they deadlocked.

use std::time::Duration;

use crate::StoreError;

/// Maximum number of tries of an act. Conflicting acts are short, so two of them never need this many.
const MOST: u32 = 8;
/// Wait before the second try; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(2);

/// The tries of one act.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Waits until the next try, if the act failed because of a conflict and has tries left.
    ///
    /// # Errors
    /// The error itself: it is the answer.
    pub(super) async fn again(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.0 += 1;
        if !matches!(error, StoreError::Conflict { .. }) || self.0 >= MOST {
            return Err(error);
        }
        let longest = PAUSE * 2_u32.pow(self.0 - 1);
        // Jitter, so that two conflicting acts do not collide again.
        tokio::time::sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
        Ok(())
    }
}

/// Retries an act while it conflicts with another transaction and has tries left.
///
/// # Errors
/// The act's.
pub(super) async fn tried<T, F>(mut act: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = Tries::default();
    loop {
        match act().await {
            Err(error) => tries.again(error).await?,
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{broken, conflict};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again_a_few_times_and_anything_else_is_the_answer() {
        let mut tries = Tries::default();
        for _ in 1..MOST {
            tries.again(conflict("commit pages", "met")).await.unwrap();
        }
        let error = tries.again(conflict("commit pages", "met")).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        let error = Tries::default()
            .again(broken("commit pages", "broken"))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Broken { .. }), "{error}");
    }
}
