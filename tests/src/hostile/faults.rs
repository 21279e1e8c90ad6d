use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How often things go wrong: probabilities from 0 to 1 per request.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultRates {
    /// An answer takes up to this long.
    pub latency: Duration,
    /// 429 with `Retry-After` of 0 or 1 s.
    pub too_many: f64,
    /// 500 with a text.
    pub internal: f64,
    /// The connection closes in the middle of the body.
    pub cut: f64,
    /// 200 with a body that is not JSON.
    pub wrong_json: f64,
    /// 410 for a request with a cursor.
    pub expired: f64,
    /// An item of the list moves before the answer.
    pub moved: f64,
}

impl FaultRates {
    /// A source that misbehaves now and then in every way that a stable cursor can survive.
    #[must_use]
    pub fn nasty() -> Self {
        Self {
            latency: Duration::from_millis(3),
            too_many: 0.002,
            internal: 0.02,
            cut: 0.01,
            wrong_json: 0.001,
            expired: 0.004,
            moved: 0.0,
        }
    }
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429, `Retry-After` in seconds.
    TooMany(u8),
    /// 500.
    Internal,
    /// Body cut.
    Cut,
    /// No JSON.
    WrongJson,
    /// 410.
    Expired,
    /// An item moves; the answer is good.
    Moved,
}

impl FaultRates {
    /// Decides from the seed, what is asked, and how often it was asked before: the same whatever the order of
    /// requests.
    #[must_use]
    pub fn decide(&self, seed: u64, asked: &str, times: u64, has_cursor: bool) -> (Duration, Option<Fault>) {
        let mut hasher = DefaultHasher::new();
        (seed, asked, times).hash(&mut hasher);
        let mut random = StdRng::seed_from_u64(hasher.finish());
        let latency = self.latency.mul_f64(random.random_range(0.0..=1.0));
        let mut dice: f64 = random.random_range(0.0..1.0);
        let later = u8::from(random.random_bool(0.5));
        for (rate, fault) in [
            (self.too_many, Fault::TooMany(later)),
            (self.internal, Fault::Internal),
            (self.cut, Fault::Cut),
            (self.wrong_json, Fault::WrongJson),
            (self.expired, Fault::Expired),
            (self.moved, Fault::Moved),
        ] {
            if dice < rate && (has_cursor || fault != Fault::Expired) {
                return (latency, Some(fault));
            }
            dice -= rate;
            if dice < 0.0 {
                return (latency, None);
            }
        }
        (latency, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_follow_the_seed_and_come_as_often_as_asked() {
        let rates = FaultRates {
            internal: 0.2,
            expired: 0.1,
            ..FaultRates::default()
        };
        let run = |seed, cursor| {
            (0..10_000)
                .map(|n| rates.decide(seed, "/orgs", n, cursor).1)
                .collect::<Vec<_>>()
        };
        let (one, again, first_page) = (run(1, true), run(1, true), run(1, false));
        assert_eq!(one, again);
        assert_ne!(one, run(2, true));
        let count = |run: &[Option<Fault>], fault| run.iter().filter(|it| **it == Some(fault)).count();
        assert!((1_800..2_200).contains(&count(&one, Fault::Internal)));
        assert!((850..1_150).contains(&count(&one, Fault::Expired)));
        assert_eq!(count(&first_page, Fault::Expired), 0);
        assert!(FaultRates::default().decide(1, "/orgs", 0, true).1.is_none());
    }
}
