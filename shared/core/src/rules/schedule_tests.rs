use chrono::TimeZone;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn ticks(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let mut moment = at(from);
    (0..count)
        .map(|_| {
            moment = schedule.next_after(moment).unwrap();
            let local = schedule.zone.timestamp_millis_opt(moment.0).unwrap();
            local.format("%d %H:%M:%S %Z").to_string()
        })
        .collect()
}

#[test]
fn a_tick_is_never_the_moment_itself_and_never_before_a_part_of_a_second() {
    let schedule = Schedule::new("0 12 * * *", "UTC").unwrap();
    let noon = at("2026-03-01T12:00:00Z");
    let next_noon = at("2026-03-02T12:00:00Z");
    assert_eq!(schedule.next_after(Timestamp(noon.0 - 1)), Some(noon));
    assert_eq!(schedule.next_after(noon), Some(next_noon));
    assert_eq!(schedule.next_after(Timestamp(noon.0 + 1)), Some(next_noon));
}

#[test]
fn a_fixed_time_of_day_is_local_time_all_year() {
    let schedule = Schedule::new("30 8 * * MON-FRI", "Europe/Berlin").unwrap();
    assert_eq!(
        ticks(&schedule, "2026-03-27T00:00:00Z", 2),
        ["27 08:30:00 CET", "30 08:30:00 CEST"]
    );
}

#[test]
fn six_fields_start_with_seconds_and_nicknames_work() {
    let schedule = Schedule::new("*/20 * * * * *", "UTC").unwrap();
    assert_eq!(
        ticks(&schedule, "2026-01-01T00:00:00Z", 3),
        ["01 00:00:20 UTC", "01 00:00:40 UTC", "01 00:01:00 UTC"]
    );
    let schedule = Schedule::new("@hourly", "UTC").unwrap();
    assert_eq!(ticks(&schedule, "2026-01-01T00:30:00Z", 1), ["01 01:00:00 UTC"]);
}

#[test]
fn a_fixed_time_in_the_gap_comes_at_its_end_and_a_repeating_one_is_left_out() {
    let fixed = Schedule::new("30 2 * * *", "Europe/Berlin").unwrap();
    assert_eq!(
        ticks(&fixed, "2026-03-28T12:00:00Z", 2),
        ["29 03:00:00 CEST", "30 02:30:00 CEST"]
    );
    let repeating = Schedule::new("*/30 * * * *", "Europe/Berlin").unwrap();
    assert_eq!(
        ticks(&repeating, "2026-03-29T00:00:00Z", 3),
        ["29 01:30:00 CET", "29 03:00:00 CEST", "29 03:30:00 CEST"]
    );
}

#[test]
fn a_fixed_time_in_the_overlap_comes_once_and_a_repeating_one_in_both_passes() {
    let fixed = Schedule::new("30 2 * * *", "Europe/Berlin").unwrap();
    assert_eq!(
        ticks(&fixed, "2026-10-24T12:00:00Z", 2),
        ["25 02:30:00 CEST", "26 02:30:00 CET"]
    );
    let repeating = Schedule::new("*/30 * * * *", "Europe/Berlin").unwrap();
    assert_eq!(
        ticks(&repeating, "2026-10-24T23:30:00Z", 5),
        [
            "25 02:00:00 CEST",
            "25 02:30:00 CEST",
            "25 02:00:00 CET",
            "25 02:30:00 CET",
            "25 03:00:00 CET"
        ]
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let error = |expression: &str, zone: &str| Schedule::new(expression, zone).unwrap_err().to_string();
    assert_eq!(
        error("0 12 * *", "UTC"),
        "`0 12 * *` is not a cron expression: it has 4 fields; expected minute, hour, day of month, month, day of week \
         (with optional seconds in front)"
    );
    assert_eq!(
        error("61 * * * *", "UTC"),
        "`61 * * * *` is not a cron expression: number out of bounds"
    );
    assert!(error("", "UTC").contains("it has 0 fields"));
    assert!(error("@sometimes", "UTC").starts_with("`@sometimes` is not a cron expression"));
    assert_eq!(error("0 0 30 2 *", "UTC"), "`0 0 30 2 *` never occurs");
    assert_eq!(
        error("0 12 * * *", "Europe/Berln"),
        "`Europe/Berln` is not an IANA time zone, such as `UTC` or `Europe/Berlin`"
    );
}

#[test]
fn the_next_cycle_starts_at_whichever_of_rest_and_schedule_comes_first() {
    let hourly = Schedule::new("0 * * * *", "UTC").unwrap();
    let ended_at = at("2026-01-01T10:50:00Z");
    let tick = at("2026-01-01T11:00:00Z");
    let minutes = |count: u64| Some(Duration::from_secs(count * 60));
    assert_eq!(next_cycle_at(ended_at, minutes(30), Some(&hourly)), Some(tick));
    assert_eq!(
        next_cycle_at(ended_at, minutes(5), Some(&hourly)),
        Some(at("2026-01-01T10:55:00Z"))
    );
    assert_eq!(
        next_cycle_at(ended_at, minutes(30), None),
        Some(at("2026-01-01T11:20:00Z"))
    );
    assert_eq!(next_cycle_at(ended_at, None, Some(&hourly)), Some(tick));
    assert_eq!(next_cycle_at(ended_at, None, None), None);
}

#[test]
fn ticks_missed_while_a_cycle_ran_count_once() {
    // Ticks at 10:10, 10:20 … 10:50 passed while the cycle ran; only the next one counts.
    let schedule = Schedule::new("*/10 * * * *", "UTC").unwrap();
    let ended_at = at("2026-01-01T10:55:00Z");
    assert_eq!(
        next_cycle_at(ended_at, None, Some(&schedule)),
        Some(at("2026-01-01T11:00:00Z"))
    );
}

#[test]
fn a_changed_rest_counts_from_the_end_of_the_cycle_and_a_changed_schedule_from_now() {
    let (ended_at, now) = (at("2026-01-01T10:50:00Z"), at("2026-01-01T12:30:00Z"));
    let minutes = |count: u64| Some(Duration::from_secs(count * 60));
    let hourly = Schedule::new("0 * * * *", "UTC").unwrap();
    let next = |rest, schedule| resting_until(ended_at, now, rest, schedule);
    assert_eq!(next(minutes(180), None), Some(at("2026-01-01T13:50:00Z")));
    assert_eq!(next(minutes(30), None), Some(at("2026-01-01T11:20:00Z")), "it is over");
    assert_eq!(next(None, Some(&hourly)), Some(at("2026-01-01T13:00:00Z")));
    assert_eq!(next(minutes(180), Some(&hourly)), Some(at("2026-01-01T13:00:00Z")));
    assert_eq!(next(None, None), None);
}

#[test]
fn beyond_the_calendar_there_is_no_tick() {
    let schedule = Schedule::new("* * * * *", "UTC").unwrap();
    assert_eq!(schedule.next_after(Timestamp(i64::MAX)), None);
    assert_eq!(schedule.next_after(Timestamp(i64::MIN)), None);
}

proptest! {
    #[test]
    fn a_tick_is_later_and_there_is_none_between(
        minute in 0_u32..60,
        hour in 0_u32..24,
        every in prop::bool::ANY,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        // 1970 to 2096.
        after in 0_i64..4_000_000_000_000,
    ) {
        let expression = if every { format!("{minute} * * * *") } else { format!("{minute} {hour} * * *") };
        let schedule = Schedule::new(&expression, zone).unwrap();
        let tick = schedule.next_after(Timestamp(after)).unwrap();
        prop_assert!(tick.0 > after);
        // Two days hold a daily tick even when the zone skips one.
        prop_assert!(tick.0 - after <= 2 * 86_400_000);
        // From any moment in between the same tick comes next.
        let between = Timestamp(after + (tick.0 - after) / 2);
        prop_assert_eq!(schedule.next_after(between), Some(tick));
        prop_assert_eq!(schedule.next_after(Timestamp(tick.0 - 1)), Some(tick));
    }

    #[test]
    fn what_has_not_changed_moves_no_cycle_before_it_comes(
        minute in 0_u32..60,
        hour in 0_u32..24,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        rest in prop::option::of(0_u64..200_000),
        scheduled in prop::bool::ANY,
        ended_at in 0_i64..4_000_000_000_000,
        seen in 0.0_f64..1.0,
    ) {
        let schedule = scheduled.then(|| Schedule::new(&format!("{minute} {hour} * * *"), zone).unwrap());
        let rest = rest.map(Duration::from_secs);
        let next = next_cycle_at(Timestamp(ended_at), rest, schedule.as_ref());
        if let Some(Timestamp(moment)) = next.filter(|next| next.0 > ended_at) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "somewhere before it")]
            let now = Timestamp(ended_at + ((moment - 1 - ended_at) as f64 * seen) as i64);
            prop_assert_eq!(resting_until(Timestamp(ended_at), now, rest, schedule.as_ref()), next);
        }
    }

    #[test]
    fn no_text_makes_a_schedule_panic(expression in ".{0,40}", zone in ".{0,20}", fields in "[0-9*/,LW#?A-Z@ -]{0,24}") {
        let _ = Schedule::new(&expression, &zone);
        if let Ok(schedule) = Schedule::new(&fields, "Europe/Berlin") {
            let _ = schedule.next_after(Timestamp(1_790_000_000_000));
        }
    }
}
