//! Cases: enqueueing over a row that exists.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_supersede {
    ($open:path) => {
        $crate::store_conformance_cases!($open, supersede:);
    };
}
