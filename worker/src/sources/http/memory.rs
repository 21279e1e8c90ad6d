//! Memories of requests from page to page and cycle to cycle, and unchanged pages.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tideline_core::words::{Fingerprint, PageMemory};

use super::HttpSource;
use super::lookup::Looked;
use super::paging::HttpRequest;
use super::plan::Plan;
use super::transport::Answer;
use super::validators::validators;
use super::version::{is_same_request, print_with_version, without_version};
use crate::source::{Page, PageContent, PageRequest};

impl HttpSource {
    /// SHA-256 over what is asked, by whom, and what becomes of the answer.
    pub(super) fn request_print(
        &self,
        plan: &Plan,
        asked: &HttpRequest,
        request: &PageRequest<'_>,
        looked: &Looked,
    ) -> Fingerprint {
        let mut hasher = Sha256::new();
        let cursor = request.cursor.map(Value::to_string).unwrap_or_default();
        for part in [
            plan.salt.as_slice(),
            self.identity.as_bytes(),
            asked.method.as_str().as_bytes(),
            asked.url.as_str().as_bytes(),
            asked.body.as_deref().unwrap_or_default(),
            request.partition.as_bytes(),
            asked_with(request.args).as_bytes(),
            cursor.as_bytes(),
            looked.print.0.as_slice(),
        ] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Fingerprint(hasher.finalize().into())
    }

    /// What will be remembered of the request, and what is, if it was the same.
    pub(super) fn remembered<'r>(
        &self,
        plan: &Plan,
        request: &PageRequest<'r>,
        print: Fingerprint,
    ) -> (Fingerprint, Option<&'r PageMemory>) {
        let memory = request.memory;
        if !plan.has_version {
            return (print, memory.filter(|memory| memory.validators.request == Some(print)));
        }
        let print = print_with_version(print, request.args.get("version"), self.transport.clock.now());
        let is_same = |memory: &&PageMemory| {
            let remembered = memory.validators.request;
            remembered.is_some_and(|remembered| is_same_request(remembered, print))
        };
        (print, memory.filter(is_same))
    }

    pub(super) fn unchanged(&self, plan: &Plan, print: Fingerprint, memory: &PageMemory, answer: &Answer) -> Page {
        Page {
            content: PageContent::Unchanged,
            next: None,
            children: Vec::new(),
            validators: validators(
                believable(plan, print, memory.unidentified > 0),
                memory.validators.content,
                (answer, self.transport.clock.now()),
                Some(&memory.validators),
            ),
            hold: self.hold(answer),
            failure: None,
        }
    }
}

/// The arguments of a partition that decide what is asked: not its version.
fn asked_with(args: &Value) -> String {
    match args {
        Value::Object(members) if members.contains_key("version") => {
            let mut members = members.clone();
            members.remove("version");
            Value::Object(members).to_string()
        }
        args => args.to_string(),
    }
}

/// What is remembered of a page that is absent. Its version is believed only if there was nothing to lose: else the
/// page is asked for again in the next cycle, so that one answer does not count for several cycles.
pub(super) fn absent_print(print: Fingerprint, memory: Option<&PageMemory>) -> Fingerprint {
    let had_nothing = memory.is_none_or(|memory| {
        // What a delta wrote is on no page, but takes away what is remembered of the request.
        memory.entities == 0 && memory.children.is_empty() && memory.validators.request.is_some()
    });
    if had_nothing { print } else { without_version(print) }
}

/// What is remembered of a page. With an item without a name its version is not believed: a server that could not show
/// the item may show it next time.
pub(super) fn believable(plan: &Plan, print: Fingerprint, nameless: bool) -> Fingerprint {
    if plan.has_version && nameless {
        without_version(print)
    } else {
        print
    }
}

/// The page of a partition whose version shows that it is unchanged.
pub(super) fn not_requested(memory: &PageMemory) -> Page {
    Page {
        content: PageContent::Unchanged,
        next: None,
        children: Vec::new(),
        validators: memory.validators.clone(),
        hold: None,
        failure: None,
    }
}
