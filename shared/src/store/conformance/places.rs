//! Cases: the places of partitions (`parallel_partitions`).

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_places {
    ($open:path) => {
        $crate::store_conformance_cases!($open, places:);
    };
}
