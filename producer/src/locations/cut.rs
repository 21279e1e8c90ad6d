//! Cuts the catalog into pages by the hash of each reference.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tideline_config::settings::LocationSettings;
use tideline_store::{CatalogStore, EntityFilter, EntityRecord};

use super::etag;
use crate::api::{Code, Problem};

/// Entities read at a time.
const READ: u32 = 500;

/// All pages, as far as they must be known to serve one of them.
pub(super) struct Cut {
    /// Of each page.
    pub(super) etags: Vec<String>,
    /// The page that was asked for.
    pub(super) text: String,
}

/// What Backstage takes for an entity.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only their presence counts")]
struct Shape {
    api_version: String,
    kind: String,
    metadata: Named,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only its presence counts")]
struct Named {
    name: String,
}

impl Cut {
    /// Reads the catalog once. Of an entity that several sources own, the first source's is taken.
    pub(super) async fn read(
        store: &dyn CatalogStore,
        settings: &LocationSettings,
        page: u32,
    ) -> Result<Self, Problem> {
        let mut pages = Pages {
            settings,
            page,
            seen: HashSet::new(),
            hashes: vec![BTreeMap::new(); settings.pages as usize],
            bodies: BTreeMap::new(),
        };
        for mut filter in filters(settings) {
            loop {
                let found = store.list_entities(&filter).await?;
                let Some(last) = found.last() else { break };
                filter.after = Some((last.source.clone(), last.reference.clone()));
                found.into_iter().try_for_each(|entity| pages.take(entity))?;
            }
        }
        Ok(pages.cut())
    }
}

/// What is read, in the order in which sources count.
fn filters(settings: &LocationSettings) -> Vec<EntityFilter> {
    let any = |names: &[String]| -> Vec<Option<String>> {
        if names.is_empty() {
            vec![None]
        } else {
            names.iter().cloned().map(Some).collect()
        }
    };
    let kinds = any(&settings.follow.kinds);
    let of_source = |source: Option<String>| {
        kinds.clone().into_iter().map(move |kind| EntityFilter {
            source: source.clone(),
            kind,
            limit: READ,
            ..EntityFilter::default()
        })
    };
    any(&settings.follow.sources).into_iter().flat_map(of_source).collect()
}

struct Pages<'s> {
    settings: &'s LocationSettings,
    page: u32,
    seen: HashSet<String>,
    hashes: Vec<BTreeMap<String, [u8; 32]>>,
    bodies: BTreeMap<String, String>,
}

impl Pages<'_> {
    fn take(&mut self, entity: EntityRecord) -> Result<(), Problem> {
        let reference = entity.reference.as_str().to_lowercase();
        if !is_wanted(self.settings, &entity) || !self.seen.insert(reference.clone()) {
            return Ok(());
        }
        if self.seen.len() > self.settings.max_entities as usize {
            return Err(too_many(self.settings));
        }
        let place = page_of(&reference, self.settings.pages);
        if let Some(hashes) = self.hashes.get_mut(place as usize) {
            hashes.insert(reference.clone(), Sha256::digest(entity.body.as_bytes()).into());
        }
        if place == self.page {
            self.bodies.insert(reference, entity.body);
        }
        Ok(())
    }

    fn cut(self) -> Cut {
        let tag = |hashes: BTreeMap<String, [u8; 32]>| {
            let lines = hashes
                .iter()
                .map(|(name, hash)| [name.as_bytes(), b"\n", hash].concat());
            etag(&lines.flatten().collect::<Vec<u8>>())
        };
        Cut {
            etags: self.hashes.into_iter().map(tag).collect(),
            // JSON is YAML, and a line of it cannot end a document.
            text: self.bodies.values().map(|body| format!("---\n{body}\n")).collect(),
        }
    }
}

fn is_wanted(settings: &LocationSettings, entity: &EntityRecord) -> bool {
    settings.follow.allows_source(&entity.source)
        && settings.follow.allows(&entity.reference)
        && serde_json::from_str::<Shape>(&entity.body).is_ok()
}

/// The page of an entity: the first four bytes of the SHA-256 of its reference in lower case, modulo the number of
/// pages.
fn page_of(reference: &str, pages: u32) -> u32 {
    let digest = Sha256::digest(reference.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % pages.max(1)
}

fn too_many(settings: &LocationSettings) -> Problem {
    let detail = format!(
        "there are more than {} entities; raise backstage.locations.max_entities, or use the Backstage package, which \
         follows changes instead of reading everything again",
        settings.max_entities
    );
    Problem::new(Code::Conflict, detail)
}
