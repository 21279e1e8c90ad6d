use proptest::prelude::*;

use super::*;

fn end() -> PageEnd {
    PageEnd::default()
}

fn pages(end: &PageEnd) -> Counting<'_> {
    Counting {
        first: 1,
        by_offset: false,
        size: Some(10),
        end,
    }
}

fn offsets(end: &PageEnd) -> Counting<'_> {
    Counting {
        first: 0,
        by_offset: true,
        ..pages(end)
    }
}

fn at(page: u64, seen: u64) -> Position {
    Position {
        at: page,
        seen,
        digest: Some("before".to_owned()),
        ..Position::default()
    }
}

fn items(count: u64) -> Came {
    Came {
        count: Some(count),
        digest: (count > 0).then(|| "now".to_owned()),
        ..Came::default()
    }
}

fn of_total(count: u64, total: u64) -> Came {
    Came {
        total: Some(total),
        ..items(count)
    }
}

fn next_of(step: &Step) -> u64 {
    match step {
        Step::Next(position) => position.at,
        other => panic!("{other:?}"),
    }
}

fn class_of(step: &Step) -> ErrorClass {
    match step {
        Step::Failed(failure) => failure.class,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_short_page_asks_once_more_and_an_empty_one_ends() {
    let end = end();
    assert_eq!(next_of(&pages(&end).after(&at(9, 80), &items(9))), 10);
    assert_eq!(pages(&end).after(&at(10, 89), &items(0)), Step::End);
    assert_eq!(next_of(&offsets(&end).after(&at(80, 80), &items(9))), 89);
    assert_eq!(offsets(&end).after(&at(89, 89), &items(0)), Step::End);
}

#[test]
fn a_short_page_ends_where_the_configuration_says_so() {
    let end = PageEnd {
        short_page: true,
        ..end()
    };
    assert_eq!(pages(&end).after(&at(9, 80), &items(9)), Step::End);
    assert_eq!(next_of(&pages(&end).after(&at(9, 80), &items(10))), 10);
}

#[test]
fn a_total_that_is_reached_ends_without_one_more_request() {
    let end = end();
    assert_eq!(pages(&end).after(&at(3, 20), &of_total(7, 27)), Step::End);
    assert_eq!(offsets(&end).after(&at(20, 20), &of_total(7, 27)), Step::End);
    assert_eq!(next_of(&pages(&end).after(&at(3, 20), &of_total(10, 31))), 4);
    assert_eq!(pages(&end).after(&at(1, 0), &of_total(0, 0)), Step::End);
}

#[test]
fn a_total_of_nothing_beside_a_full_page_is_not_believed() {
    let end = end();
    assert_eq!(next_of(&pages(&end).after(&at(1, 0), &of_total(10, 0))), 2);
    let no_pages = Came {
        total_pages: Some(0),
        ..items(10)
    };
    assert_eq!(next_of(&pages(&end).after(&at(1, 0), &no_pages)), 2);
}

#[test]
fn an_empty_page_before_the_total_is_transient_and_no_end() {
    let end = end();
    let transient = ErrorClass::Transient { retry_after: None };
    assert_eq!(class_of(&pages(&end).after(&at(3, 20), &of_total(0, 50))), transient);
    assert_eq!(class_of(&offsets(&end).after(&at(20, 20), &of_total(0, 50))), transient);
}

#[test]
fn pages_that_a_server_thinned_out_end_after_as_many_as_the_total_fills() {
    let end = end();
    assert_eq!(next_of(&pages(&end).after(&at(5, 30), &of_total(7, 50))), 6);
    assert_eq!(pages(&end).after(&at(6, 37), &of_total(0, 50)), Step::End);
}

#[test]
fn the_number_of_pages_decides_even_about_an_empty_page() {
    let end = end();
    let came = |count| Came {
        total_pages: Some(4),
        ..items(count)
    };
    assert_eq!(next_of(&pages(&end).after(&at(3, 20), &came(0))), 4);
    assert_eq!(pages(&end).after(&at(4, 20), &came(10)), Step::End);
}

#[test]
fn the_answers_own_word_ends() {
    let end = end();
    let last = Came {
        said_last: true,
        ..items(10)
    };
    assert_eq!(pages(&end).after(&at(3, 20), &last), Step::End);
}

#[test]
fn a_page_like_the_one_before_is_an_error_unless_the_api_is_known_for_it() {
    let mut end = end();
    let again = Came {
        digest: Some("before".to_owned()),
        ..of_total(10, 30)
    };
    assert_eq!(class_of(&pages(&end).after(&at(3, 20), &again)), ErrorClass::Permanent);
    end.repeat = true;
    assert_eq!(pages(&end).after(&at(3, 20), &again), Step::End);
    assert_eq!(
        pages(&end).after(
            &Position {
                digest: None,
                ..at(3, 20)
            },
            &items(0)
        ),
        Step::End,
        "an empty page is like no other"
    );
}

#[test]
fn a_status_past_the_last_page_ends_unless_the_total_says_more() {
    let end = end();
    assert_eq!(pages(&end).after_refusal(&at(3, 20)), Step::End);
    let more = Position {
        total: Some(40),
        ..at(3, 20)
    };
    assert!(matches!(
        class_of(&pages(&end).after_refusal(&more)),
        ErrorClass::Transient { .. }
    ));
}

#[test]
fn a_404_before_the_promised_number_of_pages_is_transient_and_says_so() {
    let end = end();
    let came = Came {
        total_pages: Some(4),
        ..items(10)
    };
    let Step::Next(second) = pages(&end).after(&Position::of(None, &pages(&end)).unwrap(), &came) else {
        panic!("there are four pages");
    };
    let second = Position::of(Some(&second.cursor(false)), &pages(&end)).unwrap();
    let Step::Failed(failure) = pages(&end).after_refusal(&second) else {
        panic!("there are four pages");
    };
    assert_eq!(failure.class, ErrorClass::Transient { retry_after: None });
    assert!(
        failure.why.contains("no page 2") && failure.why.contains("4 pages"),
        "{}",
        failure.why
    );
    let behind = Position { at: 5, ..second };
    assert_eq!(pages(&end).after_refusal(&behind), Step::End);
}

#[test]
fn a_404_before_the_total_is_no_end_where_a_server_gives_less_than_it_is_asked_for() {
    let end = end();
    let capped = Counting {
        size: Some(100),
        ..pages(&end)
    };
    let second = Position {
        total: Some(6),
        ..at(2, 2)
    };
    assert!(matches!(
        class_of(&capped.after_refusal(&second)),
        ErrorClass::Transient { .. }
    ));
}

#[test]
fn an_answer_that_leaves_its_total_out_does_not_take_it_back() {
    let end = end();
    let told = Position {
        total: Some(50),
        pages: Some(5),
        ..at(3, 20)
    };
    for (total, page_count) in [(Some(50), None), (None, Some(5))] {
        let here = Position {
            total,
            pages: page_count,
            ..told.clone()
        };
        assert!(matches!(
            class_of(&pages(&end).after(&here, &items(0))),
            ErrorClass::Transient { .. }
        ));
        let Step::Next(next) = pages(&end).after(&here, &items(10)) else {
            panic!("there is more");
        };
        assert_eq!((next.total, next.pages), (total, page_count));
        assert!(matches!(
            class_of(&pages(&end).after_refusal(&next)),
            ErrorClass::Transient { .. }
        ));
    }
    assert_eq!(
        pages(&end).after(&told, &of_total(0, 20)),
        Step::End,
        "it is another one now"
    );
}

#[test]
fn without_a_count_only_the_answers_own_word_tells_what_follows() {
    let mut end = end();
    let uncounted = Came {
        count: None,
        ..of_total(10, 12)
    };
    assert_eq!(
        class_of(&pages(&end).after(&at(1, 0), &uncounted)),
        ErrorClass::Permanent
    );
    assert_eq!(
        class_of(&offsets(&end).after(&at(0, 0), &uncounted)),
        ErrorClass::Permanent
    );
    let of_pages = Came {
        total_pages: Some(2),
        ..uncounted.clone()
    };
    assert_eq!(next_of(&pages(&end).after(&at(1, 0), &of_pages)), 2);
    end.when = Some(".last".to_owned());
    assert_eq!(next_of(&pages(&end).after(&at(1, 0), &uncounted)), 2);
}

#[test]
fn cursors_of_earlier_versions_are_read() {
    let end = end();
    let read = |cursor: Value, counting: &Counting<'_>| {
        let position = Position::of(Some(&cursor), counting).unwrap();
        (position.at, position.seen)
    };
    assert_eq!(read(json!(3), &pages(&end)), (3, 0));
    assert_eq!(read(json!({"page": 3, "seen": 20}), &pages(&end)), (3, 20));
    assert_eq!(read(json!(20), &offsets(&end)), (20, 20));
    assert_eq!(Position::of(Some(&json!("x")), &pages(&end)), None);
}

proptest! {
    /// Whatever a server caps its pages at, and whatever it leaves out of them, all that it lists is read.
    #[test]
    fn every_item_is_read_however_short_the_pages_are(
        lengths in proptest::collection::vec(1_u64..=10, 0..30),
        told in proptest::bool::ANY,
    ) {
        let end = PageEnd::default();
        let counting = pages(&end);
        let total: u64 = lengths.iter().sum();
        let mut here = Position::of(None, &counting).unwrap();
        let mut read = 0;
        for asked in 0..=lengths.len() {
            let count = lengths.get(asked).copied().unwrap_or(0);
            read += count;
            let came = Came {
                count: Some(count),
                digest: (count > 0).then(|| asked.to_string()),
                total: told.then_some(total),
                ..Came::default()
            };
            match counting.after(&here, &came) {
                Step::Next(next) => {
                    prop_assert_eq!(Position::of(Some(&next.cursor(false)), &counting), Some(next.clone()));
                    here = next;
                }
                Step::End => break,
                Step::Failed(failure) => panic!("{}", failure.why),
            }
        }
        prop_assert_eq!(read, total);
    }
}
