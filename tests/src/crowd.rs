use std::time::Duration;

/// Processes that want a core, per core, in the last minute: 1 on a machine that is not overloaded.
#[must_use]
pub fn crowd() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(1.0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (load / f64::from(u32::try_from(cores).unwrap_or(1))).max(1.0)
}

/// A limit that holds on a machine that is not overloaded, as long as it must be on this one, now.
#[must_use]
pub fn crowded(limit: Duration) -> Duration {
    limit.mul_f64(crowd())
}
