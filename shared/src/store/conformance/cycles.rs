//! Cases: starting and ending cycles.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_cycles {
    ($open:path) => {
        $crate::store_conformance_cases!($open, cycles:);
    };
}
