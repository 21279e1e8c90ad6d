//! Cases: sources and what is asked of them.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_sources {
    ($open:path) => {
        $crate::store_conformance_cases!($open, sources:);
    };
}
