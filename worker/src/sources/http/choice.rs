//! Determines which of its `alternatives` a server has.
//!
//! The root partition of such a source is the choice: its page has no items, and the resources of the chosen API as
//! partitions. The choice is remembered with the page, in the store, and never made again: a different answer of the
//! server is an error, since everything that the other API does not show would be deleted.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use tideline_config::settings::Alternative;
use tideline_core::words::{ChildPartition, Fingerprint, Validators};

use super::HttpSource;
use super::paging::HttpRequest;
use super::transport::address;
use crate::source::{ErrorClass, Page, PageContent, PageRequest, SourceError};

impl HttpSource {
    /// The root page of a source with alternatives.
    pub(super) async fn choose(&self, request: &PageRequest<'_>) -> Result<Page, SourceError> {
        let print = self.choice_print();
        let remembered = request.memory.filter(|memory| memory.validators.request == Some(print));
        let remembered = remembered.and_then(|memory| memory.validators.content);
        let known = self
            .alternatives
            .iter()
            .find(|one| Some(print_of(&one.name)) == remembered);
        let chosen = match known {
            Some(known) if self.has(known).await? => known,
            Some(known) => {
                let why = format!(
                    "the server no longer has the API \"{}\", by which this source has been read so far ({} answered that there is no \
                     such path). Nothing is deleted. If the server has another API now, name it in the configuration (`api` of type \
                     openchoreo)",
                    known.name, known.probe
                );
                return Err(SourceError::new(ErrorClass::Permanent, why));
            }
            None => self.first_of_alternatives().await?,
        };
        Ok(Page {
            content: PageContent::Items(Vec::new()),
            next: None,
            children: self.roots_of(chosen),
            validators: Validators {
                request: Some(print),
                content: Some(print_of(&chosen.name)),
                ..Validators::default()
            },
            hold: None,
            failure: None,
        })
    }

    async fn first_of_alternatives(&self) -> Result<&Alternative, SourceError> {
        for one in &self.alternatives {
            if self.has(one).await? {
                tracing::info!(alternative = one.name, "the server has this API");
                return Ok(one);
            }
        }
        let probes: Vec<&str> = self.alternatives.iter().map(|one| one.probe.as_str()).collect();
        let why = format!(
            "the server has none of the APIs that this source knows: there is nothing at {} (check base_url)",
            probes.join(" and ")
        );
        Err(SourceError::new(ErrorClass::Permanent, why))
    }

    /// Whether the server has the API. Only a clear yes or no counts: any other failure is an error.
    async fn has(&self, one: &Alternative) -> Result<bool, SourceError> {
        let mut url = self.inner.base.clone();
        let path = format!(
            "{}/{}",
            url.path().trim_end_matches('/'),
            one.probe.trim_start_matches('/')
        );
        url.set_path(&path);
        if !one.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&one.query);
        }
        let request = HttpRequest {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            hides_answer: false,
        };
        let answer = self.transport.fetch(&request, None).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE | StatusCode::NOT_IMPLEMENTED => {
                Ok(false)
            }
            StatusCode::NOT_MODIFIED => {
                let why = format!("{} answered 304 to a request without conditions", address(&request.url));
                Err(SourceError::new(ErrorClass::Transient { retry_after: None }, why))
            }
            _ => {
                self.rules.judge(&request, &answer, (false, false), &self.transport)?;
                Ok(true)
            }
        }
    }

    /// The resources that are read beside each other if the server has this API.
    fn roots_of(&self, chosen: &Alternative) -> Vec<ChildPartition> {
        let roots = self.inner.resources.iter().filter(|resource| resource.parent.is_none());
        let read = roots.filter(|resource| resource.alternative.as_ref().is_none_or(|name| *name == chosen.name));
        read.map(|resource| ChildPartition {
            key: resource.name.clone(),
            args: json!({ "resource": resource.name, "values": {} }),
        })
        .collect()
    }

    /// Of the names only: another address does not make the choice anew.
    fn choice_print(&self) -> Fingerprint {
        let names: BTreeSet<&str> = self.alternatives.iter().map(|one| one.name.as_str()).collect();
        print_of(&format!("{names:?}"))
    }
}

fn print_of(text: &str) -> Fingerprint {
    Fingerprint(Sha256::digest(format!("alternative\0{text}").as_bytes()).into())
}
