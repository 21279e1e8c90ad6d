//! Cases: what operators look at and do.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_operators {
    ($open:path) => {
        $crate::store_conformance_cases!($open, operators:);
    };
}
