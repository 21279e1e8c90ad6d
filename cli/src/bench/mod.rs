//! What `tideline bench` measures, for the benchmarks in `bench/` too: a static HTTP source, cycles over it, and no-op
//! jobs.

mod content;
mod cycles;
mod jobs;
mod meter;
mod scratch;
mod server;

pub use content::{ENTITY_BYTES, Generation, Shape};
pub use jobs::{BurnDown, Jobs};
pub use meter::{Meter, Written};
pub use server::{Paging, StaticSource};

pub(crate) use cycles::{Cycles, Measured};
pub(crate) use scratch::Scratch;

/// The middle of some values, and the one that `percent` of them do not exceed; 0 without any.
#[must_use]
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&values, percent)),
            [100.0, 198.0, 200.0]
        );
        assert!(percentile(&[3.0], 99) > 2.9 && percentile(&[], 50) < 0.1);
    }
}
