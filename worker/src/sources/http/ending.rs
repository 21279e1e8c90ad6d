//! Decides whether another page follows, for counted pages. Pure: the request, the result and the response's own
//! statements go in; the next page, the end or an error come out.
//!
//! Only an empty page, an explicit end in the response or a reached total ends a list. A page with fewer items than
//! asked for does not: a server may give less than that, or leave out what it filtered; the page after it is asked for
//! once more. This costs a request per partition where the answer tells neither a total nor the end.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tideline_config::settings::PageEnd;

use crate::source::ErrorClass;

/// The configuration of the pages.
pub(super) struct Counting<'a> {
    /// Number of the first page, or offset of the first item.
    pub(super) first: u64,
    /// Pages are told by the offset of their first item, not by their number.
    pub(super) by_offset: bool,
    /// Items asked for per page.
    pub(super) size: Option<u64>,
    pub(super) end: &'a PageEnd,
}

/// Where a page stands: what a cursor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the page, or offset.
    pub(super) at: u64,
    /// Items that came before it.
    pub(super) seen: u64,
    /// Of the items of the page before.
    pub(super) digest: Option<String>,
    /// The total that the pages before told, if there is more by it.
    pub(super) total: Option<u64>,
    /// The number of pages that the pages before told.
    pub(super) pages: Option<u64>,
}

/// The result of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    /// Items in the response, before any were left out; none if they cannot be counted.
    pub(super) count: Option<u64>,
    /// Of the items; none if there are none.
    pub(super) digest: Option<String>,
    /// The answer says that it is the last page.
    pub(super) said_last: bool,
    pub(super) total: Option<u64>,
    pub(super) total_pages: Option<u64>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Next(Position),
    End,
    Failed(Failure),
}

/// Why the next page cannot be determined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) class: ErrorClass,
    pub(super) why: String,
}

impl Failure {
    /// The items of the page are kept; the partition is parked.
    pub(super) fn permanent(why: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Permanent,
            why: why.into(),
        }
    }
}

impl Position {
    /// Reads a cursor; none: the first page. Cursors of earlier versions are numbers, or have no digest or number of
    /// pages.
    pub(super) fn of(cursor: Option<&Value>, counting: &Counting<'_>) -> Option<Self> {
        let Some(cursor) = cursor else {
            return Some(Self {
                at: counting.first,
                ..Self::default()
            });
        };
        let key = if counting.by_offset { "offset" } else { "page" };
        let at = cursor.as_u64().or_else(|| cursor.get(key)?.as_u64())?;
        let before = if counting.by_offset {
            at.saturating_sub(counting.first)
        } else {
            0
        };
        Some(Self {
            at,
            seen: cursor.get("seen").and_then(Value::as_u64).unwrap_or(before),
            digest: cursor.get("last").and_then(Value::as_str).map(str::to_owned),
            total: cursor.get("total").and_then(Value::as_u64),
            pages: cursor.get("pages").and_then(Value::as_u64),
        })
    }

    /// The cursor.
    pub(super) fn cursor(&self, by_offset: bool) -> Value {
        let mut cursor = if by_offset {
            json!({"offset": self.at})
        } else {
            json!({"page": self.at, "seen": self.seen})
        };
        if let Some(digest) = &self.digest {
            cursor["last"] = json!(digest);
        }
        for (key, told) in [("total", self.total), ("pages", self.pages)] {
            if let Some(told) = told {
                cursor[key] = json!(told);
            }
        }
        cursor
    }
}

impl Came {
    /// Whether the page is empty. If items cannot be counted, it is empty if none were picked.
    fn is_empty(&self) -> bool {
        self.count.map_or(self.digest.is_none(), |count| count == 0)
    }
}

impl Counting<'_> {
    /// The step after the page at `here`.
    pub(super) fn after(&self, here: &Position, came: &Came) -> Step {
        if came.digest.is_some() && came.digest == here.digest {
            return self.repeated(here);
        }
        if came.said_last {
            return Step::End;
        }
        if let Some(pages) = came.total_pages.filter(|pages| *pages > 0 || came.is_empty()) {
            return if self.number(here) >= pages {
                Step::End
            } else {
                self.next(here, came)
            };
        }
        let Some(count) = came.count else {
            return self.after_uncounted(here, came);
        };
        if came.total == Some(here.seen.saturating_add(count)) {
            return Step::End;
        }
        if count == 0 {
            let total = came.total.or(here.total).filter(|total| !self.is_past(here, *total));
            return self.after_refusal(&Position { total, ..here.clone() });
        }
        match self.next(here, came) {
            Step::Next(next) if self.is_short(count) && self.missing(&next).is_none() => Step::End,
            step => step,
        }
    }

    /// The next step if the API's status says that there is no page at `here`.
    pub(super) fn after_refusal(&self, here: &Position) -> Step {
        self.missing(here).map_or(Step::End, Step::Failed)
    }

    /// Without a count, only the response itself can end the list, and no offset can be computed.
    fn after_uncounted(&self, here: &Position, came: &Came) -> Step {
        if self.end.when.is_some() && !self.by_offset {
            return self.next(here, came);
        }
        Step::Failed(Failure::permanent(
            "nobody can count what is in the answer, so what follows it cannot be told: does `items` begin with the path of the list?",
        ))
    }

    fn is_short(&self, count: u64) -> bool {
        self.end.short_page && self.size.is_some_and(|size| count < size)
    }

    /// The number of the page at `here`, the first one being 1.
    fn number(&self, here: &Position) -> u64 {
        here.at.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether full pages before `here` would have held everything. Then the API left out some items of them.
    fn is_past(&self, here: &Position, total: u64) -> bool {
        let pages = here.at.saturating_sub(self.first);
        !self.by_offset && self.size.is_some_and(|size| pages.saturating_mul(size) >= total)
    }

    /// The page behind `here`. What an answer does not tell, or what is less than what came, takes back nothing of what
    /// the pages before told.
    fn next(&self, here: &Position, came: &Came) -> Step {
        let count = came.count.unwrap_or(0);
        let Some(at) = here.at.checked_add(if self.by_offset { count } else { 1 }) else {
            return Step::Failed(Failure::permanent("the number of the next page is too large"));
        };
        let seen = here.seen.saturating_add(count);
        let is_more = |total: &u64| came.count.is_some() && *total > seen;
        Step::Next(Position {
            at,
            seen: if self.by_offset {
                at.saturating_sub(self.first)
            } else {
                seen
            },
            digest: came.digest.clone(),
            total: came.total.filter(is_more).or(here.total).filter(is_more),
            pages: came.total_pages.filter(|pages| *pages > 0).or(here.pages),
        })
    }

    /// The failure if earlier pages announced a page at `here` that does not exist. Transient: it may be an outage, and
    /// what is missing must not be swept.
    fn missing(&self, here: &Position) -> Option<Failure> {
        let why = if let Some(pages) = here.pages.filter(|pages| *pages >= self.number(here)) {
            format!(
                "there is no page {}, but the answers before say that there are {pages} pages; if there are not, leave out \
                 pagination.total_pages",
                self.number(here)
            )
        } else {
            let total = here.total.filter(|total| *total > here.seen)?;
            format!(
                "no more items came after {}, but the total says that there are {total}; if it also counts what is not listed, \
                 leave out pagination.total",
                here.seen
            )
        };
        Some(Failure {
            class: ErrorClass::Transient { retry_after: None },
            why,
        })
    }

    fn repeated(&self, here: &Position) -> Step {
        if self.end.repeat {
            return Step::End;
        }
        let what = if self.by_offset { "offset" } else { "page number" };
        Step::Failed(Failure::permanent(format!(
            "the page at {what} {} has the same items as the previous page: either the API ignores the pagination \
             parameters (check pagination.parameter, and pagination.in for a POST), or it repeats its last page (then \
             set pagination.end.repeat: true, or pagination.total)",
            here.at
        )))
    }
}

/// A digest that shows whether two pages have the same items; none if there are no items.
pub(super) fn digest<T: AsRef<str>>(items: impl Iterator<Item = T>) -> Option<String> {
    let mut hasher = Sha256::new();
    let mut any = false;
    for item in items {
        any = true;
        hasher.update(item.as_ref());
        hasher.update([0]);
    }
    any.then(|| hex::encode(&hasher.finalize()[..8]))
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
