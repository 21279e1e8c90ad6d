//! Lists that the API hands out page by page.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Client, Request};
use crate::output::{Grid, Out, Tone};

/// Records of one request.
const PAGE: u64 = 1_000;

/// A list that is being read.
pub(crate) struct Pages<'c> {
    client: &'c Client<'c>,
    request: Request,
    left: u64,
    token: Option<String>,
    ended: bool,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_page_token: Option<String>,
}

impl<'c> Pages<'c> {
    /// At most `limit` records of what the request lists, after those before `token`.
    pub(crate) fn new(client: &'c Client<'c>, request: Request, limit: u64, token: Option<String>) -> Self {
        Self {
            client,
            request,
            left: limit,
            token,
            ended: false,
        }
    }

    /// The next records; none: that was all, or as many as were wanted.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<Vec<T>>> {
        if self.ended || self.left == 0 {
            return Ok(None);
        }
        let request = self.request.clone().query("limit", Some(self.left.min(PAGE)));
        let page: Page<T> = self
            .client
            .ask(&request.query("page_token", self.token.as_ref()))
            .await?;
        self.left = self.left.saturating_sub(page.items.len() as u64);
        self.ended = page.next_page_token.is_none();
        self.token = page.next_page_token;
        Ok(Some(page.items))
    }

    /// Where the rest of the list begins; none: it is at its end.
    pub(crate) fn rest(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// How a list is printed.
pub(crate) struct Listing<'a> {
    /// What is listed.
    pub(crate) request: Request,
    /// Maximum number of records.
    pub(crate) limit: u64,
    /// `--page-token`.
    pub(crate) page_token: Option<String>,
    /// What people read if it is empty.
    pub(crate) nothing: &'a str,
    /// What people read if there is more; the token is appended.
    pub(crate) more: &'a str,
}

impl Listing<'_> {
    /// Prints it page by page, so that memory stays flat: tables for people, the API's own records for programs.
    pub(crate) async fn print<T: DeserializeOwned>(
        self,
        client: &Client<'_>,
        out: &mut Out,
        grid: impl Fn(&[T]) -> Grid,
    ) -> anyhow::Result<()> {
        let mut pages = Pages::new(client, self.request, self.limit, self.page_token);
        if out.is_json() {
            // What the API refuses is refused before anything is printed.
            let mut page: Option<Vec<Box<RawValue>>> = pages.next().await?;
            let mut list = out.begin_list("items")?;
            while let Some(items) = page {
                for item in &items {
                    out.list_item(&mut list, item)?;
                }
                page = pages.next().await?;
            }
            let rest = pages.rest().map(|rest| ("next_page_token", rest));
            out.end_list(list, rest)?;
            return Ok(());
        }
        let mut empty = true;
        while let Some(items) = pages.next::<T>().await? {
            if !items.is_empty() {
                empty = false;
                out.grid(&grid(&items))?;
            }
        }
        if empty {
            out.note(Tone::Plain, self.nothing)?;
        } else if let Some(rest) = pages.rest() {
            out.note(Tone::Dim, format!("{} --page-token {rest}", self.more))?;
        }
        Ok(())
    }
}
