//! Cases: enqueue, claim, checkpoint, settle, due jobs.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_jobs {
    ($open:path) => {
        $crate::store_conformance_cases!($open, jobs:);
    };
}
