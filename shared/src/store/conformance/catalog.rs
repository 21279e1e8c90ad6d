//! Cases: listing entities.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_catalog {
    ($open:path) => {
        $crate::store_conformance_cases!($open, catalog:);
    };
}
