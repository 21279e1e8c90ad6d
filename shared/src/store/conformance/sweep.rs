//! Cases: misses and the sweep.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_sweep {
    ($open:path) => {
        $crate::store_conformance_cases!($open, sweep:);
    };
}
