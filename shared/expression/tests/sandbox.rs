//! What expressions may do to the process that evaluates them: nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tideline_expression::{Batch, EvaluateError, Evaluator, Expression, Input, Limits, Outcome, Take};

const MINUTE: Duration = Duration::from_secs(60);

fn evaluator(limits: Limits) -> Evaluator {
    Evaluator::with_command(limits, PathBuf::from(env!("CARGO_BIN_EXE_tideline-expressions")))
}

fn limits() -> Limits {
    Limits {
        timeout: MINUTE,
        ..Limits::default()
    }
}

async fn values(evaluator: &Evaluator, expression: &str, input: &str) -> Result<Vec<serde_json::Value>, EvaluateError> {
    let expression = Expression::compile(expression).unwrap_or_else(|error| panic!("{error}"));
    evaluator.evaluate(&expression, input).await
}

fn batch(program: &str, take: Take, inputs: &[&str]) -> Batch {
    let Ok(Expression::Jq(program)) = Expression::compile(program) else {
        panic!("the test's program")
    };
    Batch {
        calls: vec![program.call(take)],
        parent: r#"{"org":"acme"}"#.to_owned(),
        lookup: r#"{"web":["api:default/web"]}"#.to_owned(),
        inputs: inputs
            .iter()
            .map(|text| Input {
                text: (*text).to_owned(),
                calls: vec![0],
            })
            .collect(),
        max_outputs: 10,
        max_bytes: 1 << 20,
    }
}

#[tokio::test]
async fn the_standard_library_and_the_parent_are_there() {
    let evaluator = evaluator(limits());
    let program = "[.[] | select(. > 1) | tostring + $parent.org + $lookup.web[0]]";
    let outcomes = evaluator.batch(batch(program, Take::All, &["[1,2]"]), MINUTE).await;
    let expected = vec![vec![Outcome::Values(vec![r#"["2acmeapi:default/web"]"#.to_owned()])]];
    assert_eq!(outcomes.unwrap(), expected);
    assert_eq!(
        values(&evaluator, ".a.b", r#"{"a":{"b":7}}"#).await.unwrap(),
        [json!(7)]
    );
    assert_eq!(
        values(&evaluator, ".[]", "[1,\"x\"]").await.unwrap(),
        [json!(1), json!("x")]
    );
    assert!(matches!(
        values(&evaluator, ".[]", "<html>").await,
        Err(EvaluateError::NotJson(_))
    ));
    assert!(matches!(
        values(&evaluator, ".a[]", "7").await,
        Err(EvaluateError::Failed(_))
    ));
}

#[tokio::test]
async fn numbers_come_back_digit_by_digit() {
    let evaluator = evaluator(limits());
    let numbers = "[18446744073709551616,18446744073709551617,1.10,0.1234567890123456789,1E400,-0]";
    let outcomes = evaluator
        .batch(batch("{a: .}", Take::All, &[numbers]), MINUTE)
        .await
        .unwrap();
    let Outcome::Values(texts) = &outcomes[0][0] else {
        panic!("{outcomes:?}")
    };
    for digits in [
        "18446744073709551616,",
        "18446744073709551617,",
        "1.10,",
        "0.1234567890123456789,",
        "1E400,",
    ] {
        assert!(texts[0].contains(digits), "{digits} in {}", texts[0]);
    }
}

#[tokio::test]
async fn an_endless_expression_is_ended_and_the_next_one_is_evaluated() {
    let evaluator = evaluator(Limits {
        processes: 1,
        ..limits()
    });
    let endless = batch("def f: f; f", Take::All, &["1"]);
    let error = evaluator.batch(endless, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, EvaluateError::TimedOut(_)), "{error}");
    assert_eq!(values(&evaluator, ". + 1", "1").await.unwrap(), [json!(2)]);
}

#[tokio::test]
async fn an_expression_that_waits_for_a_child_is_not_taken_for_one_that_takes_too_long() {
    let timeout = Duration::from_secs(4);
    let evaluator = evaluator(Limits {
        processes: 1,
        timeout,
        ..Limits::default()
    });
    let endless = batch("def f: f; f", Take::All, &["1"]);
    let (slow, behind) = tokio::join!(
        evaluator.batch(endless, timeout + timeout / 4),
        values(&evaluator, ". + 1", "1")
    );
    assert!(matches!(slow.unwrap_err(), EvaluateError::TimedOut(_)));
    let behind = behind.unwrap_err();
    assert!(matches!(behind, EvaluateError::Unavailable(_)), "{behind}");
    let endless = batch("def f: f; f", Take::All, &["1"]);
    let (_, behind) = tokio::join!(evaluator.batch(endless, timeout / 2), values(&evaluator, ". + 1", "1"));
    assert_eq!(behind.unwrap(), [json!(2)], "its own time begins when it has the child");
}

#[tokio::test]
async fn endless_output_ends_at_the_limit() {
    let evaluator = evaluator(limits());
    let outcomes = evaluator
        .batch(batch("repeat(.)", Take::All, &["1"]), MINUTE)
        .await
        .unwrap();
    assert!(matches!(&outcomes[0][0], Outcome::Failed(why) if why.contains("more than 10")));
    let large = batch("[range(1000000)]", Take::All, &["1"]);
    let error = evaluator.batch(large, MINUTE).await.unwrap_err();
    assert!(matches!(error, EvaluateError::TooLarge(_)), "{error}");
}

#[tokio::test]
async fn an_expression_that_takes_gigabytes_fails_alone_and_says_why() {
    let evaluator = evaluator(Limits {
        memory_bytes: 256 << 20,
        ..limits()
    });
    let inputs = ["1", "2", "1000000000", "3", "4"];
    let program = "[range(.)] | length";
    let outcomes = evaluator
        .batch(batch(program, Take::All, &inputs), MINUTE)
        .await
        .unwrap();
    for (index, count) in ["1", "2", "", "3", "4"].into_iter().enumerate() {
        match &outcomes[index][0] {
            Outcome::Failed(why) => assert!(index == 2 && why.contains("memory"), "{index}: {why}"),
            outcome => assert_eq!(outcome, &Outcome::Values(vec![count.to_owned()])),
        }
    }
}

#[tokio::test]
async fn a_value_nested_200000_deep_fails_alone_and_says_why() {
    let evaluator = evaluator(limits());
    let deep = format!("\"{}{}\"", "[".repeat(200_000), "]".repeat(200_000));
    let built = "\"build\"";
    let program = "if . == \"build\" then reduce range(200000) as $i (0; [.]) else fromjson end | tojson | length";
    let outcomes = evaluator
        .batch(batch(program, Take::All, &["\"1\"", &deep, built, "\"22\""]), MINUTE)
        .await
        .unwrap();
    assert_eq!(outcomes[0][0], Outcome::Values(vec!["1".to_owned()]));
    assert_eq!(outcomes[3][0], Outcome::Values(vec!["2".to_owned()]));
    for index in [1, 2] {
        // With the default stack either is too deep, or it is not and works: never the end of this process.
        if let Outcome::Failed(why) = &outcomes[index][0] {
            assert!(why.contains("deep"), "{why}");
        }
    }
    let shallow = self::evaluator(Limits {
        stack_bytes: 256 << 10,
        ..limits()
    });
    let outcomes = shallow
        .batch(batch(program, Take::All, &[built]), MINUTE)
        .await
        .unwrap();
    assert!(
        matches!(&outcomes[0][0], Outcome::Failed(why) if why.contains("expressions.stack")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_a_child_is_an_error_and_no_hang() {
    for program in ["/bin/true", "/bin/cat", "/nowhere"] {
        let evaluator = Evaluator::with_command(limits(), PathBuf::from(program));
        let error = values(&evaluator, ". + 1", "1").await.unwrap_err();
        assert!(matches!(error, EvaluateError::Unavailable(_)), "{program}: {error:?}");
    }
}

#[tokio::test]
async fn a_program_without_children_evaluates_on_threads_and_its_time_is_limited() {
    let evaluator = Evaluator::new(limits());
    assert_eq!(values(&evaluator, ". + 1", "1").await.unwrap(), [json!(2)]);
    let endless = batch("def f: f; f", Take::All, &["1"]);
    let error = evaluator.batch(endless, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, EvaluateError::TimedOut(_)), "{error}");
    let error = values(&evaluator, ". + 1", "1").await.unwrap_err();
    assert!(matches!(error, EvaluateError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn children_are_reused_and_many_ask_at_once() {
    let evaluator = Arc::new(evaluator(limits()));
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let evaluator = Arc::clone(&evaluator);
            tokio::spawn(async move { values(&evaluator, ". * 2", &number.to_string()).await.unwrap() })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), [json!(number * 2)]);
    }
    let start = Instant::now();
    for _ in 0..20 {
        values(&evaluator, ". * 2", "1").await.unwrap();
    }
    println!("20 evaluations on a warm child took {:?}", start.elapsed());
}
