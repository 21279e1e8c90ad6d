//! The query parameters that every page is requested with: all that were given, but those that the pagination sets
//! itself, and positions behind the beginning of the list.

use url::Url;

use super::counted::is_from_zero;
use super::query::{Query, Role};
use super::{Paging, Sample};

/// Each parameter with its values. `next` is the URL of the next page, if the response names it.
pub(super) fn kept(sample: &Sample<'_>, url: &Url, paging: &Paging, next: Option<&str>) -> Vec<(String, Vec<String>)> {
    let next = next.and_then(|next| url.join(next).ok()).map(|next| Query::of(&next));
    let mut kept: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in sample.query.pairs() {
        let is_kept = *paging == Paging::Unknown
            || !(is_set(sample, paging, name) || is_behind(sample, next.as_ref(), name, value));
        if !is_kept {
            continue;
        }
        match kept.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.clone()),
            None => kept.push((name.clone(), vec![value.clone()])),
        }
    }
    kept
}

/// Whether the pagination sets a parameter.
fn is_set(sample: &Sample<'_>, paging: &Paging, name: &str) -> bool {
    let parameter = match paging {
        Paging::Cursor { parameter, .. }
        | Paging::Header { parameter, .. }
        | Paging::Page { parameter, .. }
        | Paging::Offset { parameter, .. } => Some(parameter),
        Paging::Unknown | Paging::LinkHeader | Paging::NextUrl(_) | Paging::NextUrlHeader(_) => None,
    };
    let size = sample.query.size();
    parameter.is_some_and(|parameter| parameter == name) || size.is_some_and(|(parameter, _)| parameter == name)
}

/// Whether a parameter leads behind the beginning of the list.
fn is_behind(sample: &Sample<'_>, next: Option<&Query>, name: &str, value: &str) -> bool {
    let number = value.parse::<u64>().ok();
    let in_next = next.and_then(|next| Some(&next.pairs().iter().find(|(other, _)| other == name)?.1));
    match sample.query.role(name, value) {
        Role::Page => match number {
            Some(0) => false,
            Some(1) => is_from_zero(sample, Some(1)),
            _ => true,
        },
        Role::Offset => number != Some(0),
        // One that stays the same on the next page is a filter.
        Role::Cursor => !value.is_empty() && in_next.is_none_or(|next| next != value),
        Role::Size => false,
        Role::List => {
            let moves = in_next.is_some_and(|next| next != value && next.parse::<u64>().is_ok());
            moves && number.is_some_and(|number| number > 1)
        }
    }
}
