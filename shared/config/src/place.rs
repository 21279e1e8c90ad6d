//! Where the value at a path is: `sources[0].burst`.

use super::error::Location;
use super::yaml::{Kind, Node, join_key};

/// The place of the value at `path`, or of the innermost part on the way that exists.
pub(super) fn locate(root: &Node, path: &str) -> Location {
    walk(root, path).0.at
}

/// Whether what is left of a path behind that of a value is at or below that value.
pub(super) fn is_inside(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', '['])
}

/// Whether there is a value at `path`.
pub(super) fn exists(root: &Node, path: &str) -> bool {
    walk(root, path).1.is_empty()
}

/// The innermost part on the way to `path` that exists, and what is left of the path.
fn walk<'n, 'p>(root: &'n Node, path: &'p str) -> (&'n Node, &'p str) {
    let mut node = root;
    let mut rest = path;
    loop {
        let next = match &node.kind {
            Kind::Scalar { .. } => None,
            Kind::List(items) => rest.strip_prefix('[').and_then(|inner| {
                let (index, rest) = inner.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, rest))
            }),
            // Keys may hold dots, so they are compared whole.
            Kind::Map(entries) => entries.iter().find_map(|entry| {
                let key = join_key("", &entry.key);
                let rest = rest.strip_prefix('.').unwrap_or(rest).strip_prefix(key.as_str())?;
                is_inside(rest).then_some((&entry.value, rest))
            }),
        };
        match next {
            Some((inner, tail)) => (node, rest) = (inner, tail),
            None => return (node, rest),
        }
    }
}
