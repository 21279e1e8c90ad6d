//! Cases: page commits.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_ingest {
    ($open:path) => {
        $crate::store_conformance_cases!($open, ingest:);
    };
}
