//! Cases: the change feed.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_feed {
    ($open:path) => {
        $crate::store_conformance_cases!($open, feed:);
    };
}
