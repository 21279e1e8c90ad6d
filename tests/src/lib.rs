//! The harness of Tideline's end-to-end, chaos and simulation tests: a hostile source with an oracle, real servers that
//! the tests start and kill themselves, a TCP proxy in front of them, and the `tideline` program as a process.
//!
//! Nothing here is part of the product. The tests are in `tests/tests/`.

pub mod axe;
pub mod books;
pub mod browser;
pub mod compose;
mod crowd;
pub mod embedded;
pub mod fake;
pub mod fleet;
pub mod hostile;
pub mod ledger;
pub mod microcks;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod servers;
mod wait;

pub use crowd::{crowd, crowded};
pub use wait::wait_until;

/// The seed of a randomised test: `TIDELINE_TEST_SEED` if it is set, else a fresh one. Printed, so that a failed run
/// can be repeated.
#[must_use]
pub fn seed(test: &str) -> u64 {
    seed_or(test, rand::random())
}

/// The seed that `TIDELINE_TEST_SEED` gives, else the usual one.
#[must_use]
pub fn seed_or(test: &str, usual: u64) -> u64 {
    let given = std::env::var("TIDELINE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = given.unwrap_or(usual);
    println!("{test}: TIDELINE_TEST_SEED={seed}");
    seed
}

/// An HTTP client for the harness itself.
///
/// # Errors
/// Says why the client cannot be made.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // A second call finds the provider installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(std::time::Duration::from_secs(10))
        .build()?)
}
