use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::crowded;

/// Looks every few milliseconds until `look` answers `Ok`, at most for `limit`, which is [longer](crowded) on a crowded
/// machine.
///
/// # Errors
/// After that: what was waited for, and the last answer that was not yet good.
pub async fn wait_until<T, E, F>(what: &str, limit: Duration, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T, E>,
    E: Display,
{
    let started = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(not_yet) if started.elapsed() >= crowded(limit) => {
                bail!("waited {:?} for {what}; at last: {not_yet:#}", started.elapsed())
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_state_or_with_the_last_reason() {
        let mut looks = 0;
        let found = wait_until("the third look", Duration::from_secs(5), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("too early") }
        });
        assert_eq!(found.await.unwrap(), 3);
        let missed = wait_until("never", Duration::from_millis(5), async || Err::<(), _>("still dark"));
        let error = missed.await.unwrap_err().to_string();
        assert!(error.contains("never") && error.contains("still dark"), "{error}");
    }
}
