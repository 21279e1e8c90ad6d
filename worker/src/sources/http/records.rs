//! The list that a program picks items from. It is counted where pages are, for what jq left out was there all the
//! same.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use tideline_expression::{Expression, Path};

/// Where the list is.
#[derive(Clone, Copy)]
pub(super) struct Records {
    /// The slice with this number of the walk.
    pub(super) slot: usize,
    /// The members of an object may be the list.
    pub(super) each: bool,
}

/// Where the plain paths lead that a program begins with, as far as a `[]`, and whether there is one.
pub(super) fn records_at(program: &str) -> Option<(Path, bool)> {
    let (mut path, mut any) = (Path::new(), false);
    for step in program.split('|').map(str::trim) {
        let list = step.strip_suffix('?').unwrap_or(step).strip_suffix("[]");
        match Expression::compile(list.unwrap_or(step)) {
            Ok(Expression::Path(names)) => path.extend(names),
            // `|=` changes the answer.
            _ if step.starts_with('=') => return None,
            _ => break,
        }
        if list.is_some() {
            return Some((path, true));
        }
        any = true;
    }
    any.then_some((path, false))
}

/// How many records a list has; none if it is none.
pub(super) fn count_records(list: &str, each: bool) -> Option<u64> {
    let count = match list.as_bytes().first()? {
        b'[' => serde_json::from_str::<Vec<IgnoredAny>>(list).ok()?.len(),
        b'{' if each => serde_json::from_str::<BTreeMap<String, IgnoredAny>>(list).ok()?.len(),
        // What a list in Go is that nothing was added to.
        b'n' => 0,
        _ => return None,
    };
    Some(count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_where_the_paths_lead_that_a_program_begins_with() {
        for (program, path, each) in [
            (".items[] | select(.a)", ".items", true),
            (".data | .items[]? | select(.a | not)", ".data.items", true),
            (".items | map(select(.a))", ".items", false),
            (".[] | {a}", "", true),
            (".data|.items|.[]|.b[]", ".data.items", true),
        ] {
            let names = path
                .split('.')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            assert_eq!(records_at(program), Some((names, each)), "{program}");
        }
        for program in [
            "[.items[] | select(.a)]",
            ".a, .b | .c",
            ".items |= map(.a)",
            ".a.b[].c[]",
            "if .a then .b else .c end",
        ] {
            assert_eq!(records_at(program), None, "{program}");
        }
    }

    #[test]
    fn only_a_list_is_counted() {
        for (list, each, count) in [
            ("[1, {\"a\": [2]}]", false, Some(2)),
            ("{\"a\": 1, \"b\": 2}", true, Some(2)),
            ("{\"a\": 1}", false, None),
            ("null", true, Some(0)),
            ("7", true, None),
        ] {
            assert_eq!(count_records(list, each), count, "{list}");
        }
    }
}
