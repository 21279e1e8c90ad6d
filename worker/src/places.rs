//! A handler's own places: how many of its jobs run at a time, independent of `worker.concurrency`. A slow system fills
//! only its own places, so jobs of sources continue.
//!
//! A job that finds no place waits for one, if there will be one soon; it is leased but takes none of the worker's
//! slots. Any further job is returned to the store, spread over the time in which places will become free: no job is
//! claimed and returned over and over, and no worker hoards jobs that another one could run. If places become free
//! sooner than expected, [`Places::wanted`] reports it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::clock::Clock;
use tideline_core::words::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Only jobs that will get a place within this time may wait …
const SOON: Duration = Duration::from_secs(2);
/// … and not more.
const MOST: usize = 1_000;
/// A returned job comes back after this at the earliest …
const SOONEST: Duration = Duration::from_millis(50);
/// … and after this at the latest: by then the system may be fast again.
const LATEST: Duration = Duration::from_secs(60);
/// By then a returned job has been written to the store.
const WRITTEN: Duration = Duration::from_secs(1);
/// Assumed duration of a job until one has ended.
const FIRST_GUESS: Duration = Duration::from_millis(100);
/// Jobs come back this many times faster than places become free, or a few quick ones would leave places empty.
const HURRY: u32 = 2;
/// Weight of the newest job in the moving average: one in this many.
const SMOOTHING: u32 = 4;

/// Where a claimed job runs.
pub enum Admission {
    /// In one of the worker's slots (`worker.concurrency`).
    Shared,
    /// In a place of its handler's own, beside the slots.
    Own(Place),
    /// Nowhere for now: it is returned until this time, for this reason. No attempt is spent.
    Later(Timestamp, String),
}

/// The places of one system.
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    all: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    pace: Mutex<Pace>,
}

/// Returned jobs for which there would be places now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How many.
    pub(crate) count: u32,
    /// Their latest due time.
    pub(crate) until: Timestamp,
}

/// A place, or a wait for one.
pub struct Place {
    places: Arc<Inner>,
    turn: Turn,
}

enum Turn {
    Now(OwnedSemaphorePermit),
    Waits(Waits),
}

/// Holds a job's place until dropped.
pub(crate) struct Placed {
    places: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
    since: Timestamp,
    counts: bool,
}

impl Places {
    /// Creates this many places, at least one.
    #[must_use]
    pub fn new(count: u32, clock: Arc<dyn Clock>) -> Self {
        let all = count.max(1) as usize;
        let pace = Mutex::new(Pace::new(clock.now()));
        Self(Arc::new(Inner {
            clock,
            all,
            free: Arc::new(Semaphore::new(all)),
            waiting: AtomicUsize::new(0),
            pace,
        }))
    }

    /// Where the next job runs. `whose`: the name of the system, for people.
    #[must_use]
    pub fn admit(&self, whose: &str) -> Admission {
        let Self(places) = self;
        let now = places.clock.now();
        if let Ok(permit) = Arc::clone(&places.free).try_acquire_owned() {
            places.pace.lock().moved_at = now;
            return Admission::Own(Place {
                places: Arc::clone(places),
                turn: Turn::Now(permit),
            });
        }
        // Only the claim loop admits jobs, so the count cannot race.
        if places.waiting.load(Ordering::Relaxed) < places.pace.lock().room(places.all, now) {
            places.waiting.fetch_add(1, Ordering::Relaxed);
            return Admission::Own(Place {
                places: Arc::clone(places),
                turn: Turn::Waits(Waits(Arc::clone(places))),
            });
        }
        let due_at = places.pace.lock().next(places.all, now);
        Admission::Later(due_at, format!("{whose} is busy with {} other jobs", places.all))
    }

    /// The returned jobs that should come back now, if fewer jobs wait here than there are places. Reported every
    /// [`SOONEST`] at most.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let Self(places) = self;
        let now = places.clock.now();
        let waiting = places.waiting.load(Ordering::Relaxed);
        if waiting >= places.all {
            return None;
        }
        let mut pace = places.pace.lock();
        let room = pace.room(places.all, now);
        let until = pace.asks(now)?;
        let count = u32::try_from(room.saturating_sub(waiting)).unwrap_or(u32::MAX);
        Some(Wanted { count, until })
    }

    /// Fewer jobs than that were left.
    pub(crate) fn had_less(&self, wanted: &Wanted) {
        let Self(places) = self;
        places.pace.lock().none_is_put_off(wanted.until, places.clock.now());
    }
}

impl Place {
    /// Waits for the place. May be dropped meanwhile. None: the worker is gone.
    pub(crate) async fn take(self) -> Option<Placed> {
        let Self { places, turn } = self;
        let permit = match turn {
            Turn::Now(permit) => permit,
            Turn::Waits(waits) => {
                let permit = Arc::clone(&places.free).acquire_owned().await.ok()?;
                drop(waits);
                permit
            }
        };
        let since = places.clock.now();
        places.pace.lock().moved_at = since;
        Some(Placed {
            places,
            _permit: permit,
            since,
            counts: true,
        })
    }
}

/// Counts as a waiting job until dropped.
struct Waits(Arc<Inner>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Placed {
    /// The job was postponed before it did anything, so its duration says nothing about others.
    pub(crate) fn put_off(&mut self) {
        self.counts = false;
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if self.counts {
            let now = self.places.clock.now();
            self.places.pace.lock().ended(now.since(self.since), now);
        }
    }
}

/// Estimates when places will be free for the jobs that got none.
#[derive(Debug)]
struct Pace {
    /// How long jobs last; none: no job has ended yet.
    usual: Option<Duration>,
    /// When the newest job began or ended.
    moved_at: Timestamp,
    /// The latest time to which such jobs were postponed.
    put_off_to: Timestamp,
    /// When the newest of them was postponed.
    put_off_at: Timestamp,
    /// When they were last requested.
    asked_at: Timestamp,
}

impl Pace {
    fn new(now: Timestamp) -> Self {
        Self {
            usual: None,
            moved_at: now,
            put_off_to: now,
            put_off_at: now,
            asked_at: now,
        }
    }

    fn ended(&mut self, took: Duration, now: Timestamp) {
        let usual = self.usual.unwrap_or(took);
        self.usual = Some((usual * (SMOOTHING - 1) + took) / SMOOTHING);
        self.moved_at = now;
    }

    /// How long jobs last now; at least as long as no job has ended.
    fn lasts(&self, now: Timestamp) -> Duration {
        let usual = self.usual.unwrap_or(FIRST_GUESS);
        usual.max(now.since(self.moved_at)).min(LATEST)
    }

    /// How many jobs may wait for one of these places.
    fn room(&self, places: usize, now: Timestamp) -> usize {
        if self.usual.is_none() {
            return places;
        }
        let lasts = self.lasts(now).max(Duration::from_millis(1));
        let soon = usize::try_from(SOON.as_millis() / lasts.as_millis()).unwrap_or(MOST);
        soon.saturating_mul(places).min(MOST).max(places)
    }

    /// Whether postponed jobs are requested now, and their latest due time.
    fn asks(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.put_off_to <= now.plus(SOONEST) || now.since(self.asked_at) < SOONEST {
            return None;
        }
        self.asked_at = now;
        Some(self.put_off_to)
    }

    /// No postponed job due by then is left. One that was postponed a moment ago may not be in the store yet.
    fn none_is_put_off(&mut self, until: Timestamp, now: Timestamp) {
        if self.put_off_to == until && now.since(self.put_off_at) >= WRITTEN {
            self.put_off_to = now;
        }
    }

    fn next(&mut self, places: usize, now: Timestamp) -> Timestamp {
        let step = self.lasts(now) / u32::try_from(places).unwrap_or(u32::MAX) / HURRY;
        let next = self.put_off_to.max(now.plus(SOONEST)).plus(step);
        self.put_off_to = next.min(now.plus(LATEST));
        self.put_off_at = now;
        self.put_off_to
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::clock::ManualClock;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn what_is_given_back_is_spread_over_the_time_in_which_places_become_free() {
        let mut pace = Pace::new(NOW);
        for _ in 0..100 {
            pace.ended(Duration::from_millis(400), NOW);
        }
        let due: Vec<Timestamp> = (0..10).map(|_| pace.next(4, NOW)).collect();
        let first = due[0].since(NOW.plus(SOONEST));
        assert!((49..=50).contains(&first.as_millis()), "{first:?}");
        assert!(
            due.windows(2)
                .all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(49)),
            "{due:?}"
        );
        // A system that hangs: all jobs come back within a minute, and hardly any before it could respond.
        let later = NOW.plus(Duration::from_secs(40));
        let due: Vec<Timestamp> = (0..1_000).map(|_| pace.next(4, later)).collect();
        assert!(due[1].since(later) > Duration::from_secs(5), "{:?}", due[1]);
        assert_eq!(due.last().copied(), Some(later.plus(LATEST)));
    }

    /// Places whose jobs last this long.
    fn places(count: u32, lasts: Duration, clock: &Arc<ManualClock>) -> Places {
        let places = Places::new(count, Arc::clone(clock) as Arc<dyn Clock>);
        places.0.pace.lock().usual = Some(lasts);
        places
    }

    /// Number of jobs that get a place or may wait for one.
    fn let_in(places: &Places) -> Vec<Place> {
        let admit = |_| match places.admit("x") {
            Admission::Own(place) => Some(place),
            _ => None,
        };
        (0..10_000).map_while(admit).collect()
    }

    #[test]
    fn as_many_wait_as_will_have_a_place_soon() {
        let clock = Arc::new(ManualClock::new(NOW));
        for (lasts, waiting) in [(10_000, 4), (1_000, 8), (100, 80), (1, 1_000)] {
            let places = places(4, Duration::from_millis(lasts), &clock);
            assert_eq!(let_in(&places).len(), 4 + waiting, "{lasts} ms");
        }
    }

    #[tokio::test]
    async fn those_who_were_given_back_are_wanted_as_soon_as_few_wait_and_not_all_the_time() {
        let clock = Arc::new(ManualClock::new(NOW));
        let places = places(4, Duration::from_secs(10), &clock);
        let mut inside = let_in(&places);
        let put_off_to = places.0.pace.lock().put_off_to;
        clock.advance(SOONEST);
        assert_eq!(places.wanted(), None, "enough wait");
        inside.truncate(5);
        let three = Wanted {
            count: 3,
            until: put_off_to,
        };
        assert_eq!(places.wanted().as_ref(), Some(&three));
        assert_eq!(places.wanted(), None, "they are on their way");
        places.had_less(&three);
        clock.advance(SOONEST);
        assert_eq!(
            places.wanted().as_ref(),
            Some(&three),
            "it may not have been written yet"
        );
        clock.advance(WRITTEN);
        places.had_less(&three);
        assert_eq!(places.wanted(), None, "there are none");
    }

    #[tokio::test]
    async fn before_a_job_has_ended_and_while_a_system_hangs_few_wait() {
        let clock = Arc::new(ManualClock::new(NOW));
        let fresh = Places::new(4, Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(let_in(&fresh).len(), 8);
        let quick = places(4, Duration::from_millis(20), &clock);
        let mut inside = let_in(&quick);
        assert_eq!(inside.len(), 4 + 400);
        inside.truncate(4);
        clock.advance(Duration::from_secs(5));
        assert_eq!(let_in(&quick).len(), 4, "nothing has ended for long");
        drop(inside);
        let Admission::Own(place) = quick.admit("x") else {
            panic!("a place is free");
        };
        let mut placed = place.take().await.unwrap();
        placed.put_off();
        drop(placed);
        let usual = quick.0.pace.lock().usual;
        assert_eq!(usual, Some(Duration::from_millis(20)), "it did nothing");
    }

    #[tokio::test]
    async fn a_place_that_is_dropped_while_it_is_waited_for_is_not_counted_any_more() {
        let places = places(1, Duration::from_secs(10), &Arc::new(ManualClock::new(NOW)));
        let Admission::Own(first) = places.admit("x") else {
            panic!("a place is free");
        };
        let first = first.take().await;
        for _ in 0..3 {
            let Admission::Own(second) = places.admit("x") else {
                panic!("one may wait");
            };
            let second = tokio::spawn(second.take());
            tokio::task::yield_now().await;
            assert!(matches!(places.admit("x"), Admission::Later(at, why) if at > NOW && why.contains("x is busy")));
            second.abort();
            let _ = second.await;
        }
        drop(first);
        assert!(matches!(places.admit("x"), Admission::Own(_)));
    }
}
