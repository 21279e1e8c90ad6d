use super::fingerprint;
use crate::words::Fingerprint;

/// Whether a cursor (JSON text) is the kept one: then the cursors form a cycle.
#[must_use]
pub fn came_twice(kept: Option<Fingerprint>, cursor: &str) -> bool {
    kept == Some(fingerprint(cursor.as_bytes()))
}

/// Which cursor to keep, where `cursor` (JSON text) is that of page number `page`: the one of the newest page whose
/// number is a power of two. One kept cursor is enough for circles of whatever length (Brent's algorithm), and the
/// number of the page, which is stored anyway, tells when another one takes its place.
#[must_use]
pub fn keep_cursor(kept: Option<Fingerprint>, page: u32, cursor: &str) -> Option<Fingerprint> {
    if page.is_power_of_two() {
        Some(fingerprint(cursor.as_bytes()))
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the first page whose cursor is called one that came twice; pages are numbered from `first`.
    fn noticed(first: u32, pages: u32, cursor: impl Fn(u32) -> u32) -> Option<u32> {
        let mut kept = None;
        (first..first + pages).find(|page| {
            let cursor = cursor(*page).to_string();
            let twice = came_twice(kept, &cursor);
            kept = keep_cursor(kept, *page, &cursor);
            twice
        })
    }

    #[test]
    fn a_cursor_that_comes_twice_is_noticed_however_long_the_circle_is() {
        for length in [1, 2, 3, 7, 64, 1000] {
            for first in [1, 2, 5, 900] {
                let most = 4 * (length + first);
                let noticed = noticed(first, most, |page| page % length);
                assert!(
                    noticed.is_some_and(|page| page - first >= length),
                    "circle of {length} from page {first}: {noticed:?}"
                );
            }
        }
    }

    #[test]
    fn cursors_that_advance_are_never_called_a_circle() {
        assert_eq!(noticed(1, 100_000, |page| page), None);
    }
}
