//! Whether another page follows, where pages are counted. Pure: what was asked for, what came and what the answer said go in;
//! the next page, the end or an error come out.
//!
//! Only an empty page, the answer's own word or a total that is reached ends a list. A page with fewer items than asked for
//! does not: a server may give less than that, or leave out what it filtered; the page after it is asked for once more. This
//! costs a request per partition where the answer tells neither a total nor the end.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tideline_config::settings::PageEnd;

use crate::source::ErrorClass;

/// What the configuration says of the pages.
pub(super) struct Counting<'a> {
    /// Number of the first page; for offsets 0.
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
    /// The total of the page before, if it says that there is more.
    pub(super) total: Option<u64>,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    /// Items in the answer; none if jq picked them, so that nobody knows how many there were.
    pub(super) count: Option<u64>,
    /// Of the items; none if there are none.
    pub(super) digest: Option<String>,
    /// The answer says that it is the last page.
    pub(super) said_last: bool,
    pub(super) total: Option<u64>,
    pub(super) total_pages: Option<u64>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Next(Position),
    End,
    Failed(Failure),
}

/// Why what follows cannot be told.
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
    /// Reads a cursor; none: the first page. Cursors of earlier versions are numbers, or have no digest.
    pub(super) fn of(cursor: Option<&Value>, counting: &Counting<'_>) -> Option<Self> {
        let Some(cursor) = cursor else {
            return Some(Self {
                at: counting.first,
                ..Self::default()
            });
        };
        let key = if counting.by_offset { "offset" } else { "page" };
        let at = cursor.as_u64().or_else(|| cursor.get(key)?.as_u64())?;
        let before = if counting.by_offset { at } else { 0 };
        Some(Self {
            at,
            seen: cursor.get("seen").and_then(Value::as_u64).unwrap_or(before),
            digest: cursor.get("last").and_then(Value::as_str).map(str::to_owned),
            total: cursor.get("total").and_then(Value::as_u64),
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
        if let Some(total) = self.total {
            cursor["total"] = json!(total);
        }
        cursor
    }
}

impl Counting<'_> {
    /// What follows the page at `here`.
    pub(super) fn after(&self, here: &Position, came: &Came) -> Step {
        if came.digest.is_some() && came.digest == here.digest {
            return self.repeated(here);
        }
        if came.said_last {
            return Step::End;
        }
        if let Some(pages) = came.total_pages.filter(|pages| *pages > 0 || came.count == Some(0)) {
            let read = here.at.saturating_sub(self.first).saturating_add(1);
            return if read >= pages {
                Step::End
            } else {
                self.next(here, came, None)
            };
        }
        let Some(count) = came.count else {
            return self.after_uncounted(here, came);
        };
        let seen = here.seen.saturating_add(count);
        match came.total {
            Some(total) if total == seen => Step::End,
            Some(total) if total > seen && count == 0 && !self.is_past(here, total) => missing(here, total),
            Some(total) if total > seen && count > 0 => self.next(here, came, Some(total)),
            // A total that is less than what came is not believed: the next page tells.
            _ if count == 0 => Step::End,
            _ if self.end.short_page && self.size.is_some_and(|size| count < size) => Step::End,
            _ => self.next(here, came, None),
        }
    }

    /// What follows if the API says by its status that there is no page at `here`.
    pub(super) fn after_refusal(&self, here: &Position) -> Step {
        match here
            .total
            .filter(|total| *total > here.seen && !self.is_past(here, *total))
        {
            Some(total) => missing(here, total),
            None => Step::End,
        }
    }

    /// With items picked by jq only the places of pages can be counted.
    fn after_uncounted(&self, here: &Position, came: &Came) -> Step {
        let Some(total) = came.total else {
            return Step::Failed(Failure::permanent(
                "the answer has no total, and items picked by jq cannot be counted",
            ));
        };
        let Some(size) = self.size else {
            return Step::Failed(Failure::permanent(
                "with a total and items picked by jq a page size is needed",
            ));
        };
        let behind = if self.by_offset {
            here.at.saturating_add(size)
        } else {
            here.at
                .saturating_sub(self.first)
                .saturating_add(1)
                .saturating_mul(size)
        };
        if behind >= total {
            Step::End
        } else {
            self.next(here, came, None)
        }
    }

    /// Whether full pages before `here` would have held everything. Then the API left out some items of them.
    fn is_past(&self, here: &Position, total: u64) -> bool {
        let pages = here.at.saturating_sub(self.first);
        !self.by_offset && self.size.is_some_and(|size| pages.saturating_mul(size) >= total)
    }

    fn next(&self, here: &Position, came: &Came, total: Option<u64>) -> Step {
        let step = match (self.by_offset, came.count, self.size) {
            (false, ..) => 1,
            (true, Some(count), _) => count,
            (true, None, size) => size.unwrap_or(1),
        };
        let Some(at) = here.at.checked_add(step) else {
            return Step::Failed(Failure::permanent("the number of the next page is too large"));
        };
        let seen = here.seen.saturating_add(came.count.unwrap_or(0));
        Step::Next(Position {
            at,
            seen: if self.by_offset { at } else { seen },
            digest: came.digest.clone(),
            total,
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

/// Tells whether two pages have the same items; none if there are no items.
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

/// Transient: what is there now may be an outage, and what is missing must not be swept.
fn missing(here: &Position, total: u64) -> Step {
    Step::Failed(Failure {
        class: ErrorClass::Transient { retry_after: None },
        why: format!(
            "no more items came after {}, but the total says that there are {total}; if it also counts items that are \
             not listed, remove pagination.total",
            here.seen
        ),
    })
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
