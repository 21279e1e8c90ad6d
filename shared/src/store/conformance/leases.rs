//! Cases: heartbeats, rescue, retire.

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_leases {
    ($open:path) => {
        $crate::store_conformance_cases!($open, leases:);
    };
}
