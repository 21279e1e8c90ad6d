use proptest::prelude::*;

use super::*;

fn problem(text: &str) -> (usize, usize, String, String) {
    let (_, problems) = parse(text);
    let first = problems.into_iter().next().unwrap();
    (first.at.line, first.at.column, first.path, first.message)
}

#[test]
fn keys_and_values_know_their_places() {
    let (node, problems) = parse("a: 1\nb:\n  - c: 'x'\n    d: [1.10, ~]\n");
    assert_eq!(problems, []);
    let node = node.unwrap();
    let Kind::Map(entries) = &node.kind else {
        panic!("{node:?}")
    };
    assert_eq!((entries[1].key_at.line, entries[1].key_at.column), (2, 1));
    let Kind::List(items) = &entries[1].value.kind else {
        panic!("{node:?}")
    };
    assert_eq!((items[0].at.line, items[0].at.column), (3, 5));
    let list = items[0].get("d").unwrap();
    assert_eq!((list.at.line, list.at.column), (4, 8));
    let Kind::List(items) = &list.kind else {
        panic!("{node:?}")
    };
    assert!(matches!(&items[0].kind, Kind::Scalar { text, plain: true } if text == "1.10"));
    assert!(items[1].is_null());
}

#[test]
fn what_is_not_wanted_is_told_with_its_place() {
    let given_twice = (3, 3, "a.b".to_owned(), "given twice; first in line 2".to_owned());
    assert_eq!(problem("a:\n  b: 1\n  b: 2\n"), given_twice);
    let (line, column, _, message) = problem("a: [1\nb: 2\n");
    assert_eq!((line, column), (2, 2));
    assert!(message.starts_with("not YAML: "), "{message}");
    assert_eq!(
        problem("a: 1\n---\nb: 2\n").3,
        "only one YAML document is allowed; another one starts here"
    );
    assert_eq!(problem("[a]: 1\n").3, "a key must be a single value");
    assert_eq!(problem("a: !custom 1\n").3, "the tag !custom is not supported");
    assert_eq!(problem(&"- ".repeat(100_000)).3, "nested deeper than 64 levels");
    assert_eq!(problem(&"[".repeat(100)).3, "nested deeper than 64 levels");
}

#[test]
fn aliases_repeat_what_they_name_but_not_without_end() {
    let (node, problems) = parse("a: &x {b: 1}\nc: *x\n");
    assert_eq!(problems, []);
    assert!(node.unwrap().get("c").unwrap().get("b").is_some());
    let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..10 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    assert_eq!(problem(&bomb).3, "more than 200000 values, aliases counted each time");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", yaml in "[-a-c:\\[\\]{}?!&*|>'\"#,% \n\t~0-9.]{0,60}") {
        let _ = (parse(&text), parse(&yaml));
    }
}

#[test]
fn aliases_of_one_long_text_in_the_configuration_are_bounded_by_bytes() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1_000].join(", "));
    let (document, problems) = parse(&text);
    assert!(document.is_none());
    assert!(problems[0].message.contains("bytes"), "{problems:?}");
}
