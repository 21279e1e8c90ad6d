use std::collections::BTreeMap;

use super::model::Node;

/// How the hostile source pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `next` in the body, sent back as `?cursor=`.
    Cursor,
    /// `next` in the body, sent back as member `cursor` of a POST's body.
    CursorInBody,
    /// `next` in the body is a URL.
    NextUrl,
    /// RFC 8288 `Link` header.
    LinkHeader,
    /// Header `x-next-cursor`, sent back as `?cursor=`.
    Header,
    /// `?page=1`, `total` in the body.
    Page,
    /// `?offset=0`, `total` in the body.
    Offset,
}

impl Paging {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Cursor,
        Self::CursorInBody,
        Self::NextUrl,
        Self::LinkHeader,
        Self::Header,
        Self::Page,
        Self::Offset,
    ];

    /// Whether an item that moves or goes while a client pages can hide another one.
    #[must_use]
    pub fn drifts(self) -> bool {
        matches!(self, Self::Page | Self::Offset)
    }
}

/// The values of a request that say which page is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) limit: usize,
    pub(super) cursor: Option<String>,
    pub(super) page: Option<u64>,
    pub(super) offset: Option<u64>,
}

/// The items of one page and what follows.
pub(super) struct Cut<'a> {
    pub(super) items: Vec<&'a Node>,
    pub(super) next_cursor: Option<String>,
}

/// Cuts a page out of a list. `None`: the cursor is of another epoch or no cursor at all.
pub(super) fn cut<'a>(list: &'a BTreeMap<u64, Node>, asked: &Asked, epoch: u64) -> Option<Cut<'a>> {
    let skip = asked
        .offset
        .or_else(|| asked.page.map(|page| page.saturating_sub(1) * asked.limit as u64));
    if let Some(skip) = skip {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        return Some(Cut {
            items: list.values().skip(skip).take(asked.limit).collect(),
            next_cursor: None,
        });
    }
    let after = match &asked.cursor {
        None => None,
        Some(text) => Some(read_cursor(text, epoch)?),
    };
    let mut rest = list.range(after.map_or(0, |at| at + 1)..);
    let items: Vec<(&u64, &Node)> = rest.by_ref().take(asked.limit).collect();
    let last = items.last().map(|(at, _)| **at);
    Some(Cut {
        items: items.into_iter().map(|(_, node)| node).collect(),
        next_cursor: last
            .filter(|_| rest.next().is_some())
            .map(|at| format!("e{epoch}-{at:x}")),
    })
}

fn read_cursor(text: &str, epoch: u64) -> Option<u64> {
    let (of, at) = text.strip_prefix('e')?.split_once('-')?;
    (of.parse() == Ok(epoch)).then(|| u64::from_str_radix(at, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(places: &[u64]) -> BTreeMap<u64, Node> {
        let node = |at: &u64| Node {
            name: at.to_string(),
            ..Node::default()
        };
        places.iter().map(|at| (*at, node(at))).collect()
    }

    fn names(cut: &Cut<'_>) -> Vec<String> {
        cut.items.iter().map(|node| node.name.clone()).collect()
    }

    #[test]
    fn a_cursor_goes_on_behind_the_last_item_even_if_that_is_gone() {
        let mut asked = Asked {
            limit: 2,
            ..Asked::default()
        };
        let first = list(&[1, 5, 9]);
        let page = cut(&first, &asked, 3).unwrap();
        assert_eq!(names(&page), ["1", "5"]);
        asked.cursor = page.next_cursor;
        let later = list(&[1, 9]);
        let page = cut(&later, &asked, 3).unwrap();
        assert_eq!((names(&page), page.next_cursor), (vec!["9".to_owned()], None));
        assert!(
            cut(&later, &asked, 4).is_none(),
            "a cursor of an older epoch is expired"
        );
    }

    #[test]
    fn page_numbers_and_offsets_skip_and_a_page_behind_the_end_is_empty() {
        let list = list(&[1, 2, 3]);
        let ask = |page, offset| Asked {
            limit: 2,
            page,
            offset,
            cursor: None,
        };
        assert_eq!(names(&cut(&list, &ask(Some(2), None), 0).unwrap()), ["3"]);
        assert_eq!(names(&cut(&list, &ask(None, Some(1)), 0).unwrap()), ["2", "3"]);
        assert!(names(&cut(&list, &ask(Some(9), None), 0).unwrap()).is_empty());
    }
}
