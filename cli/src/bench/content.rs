//! The content of the benchmark's source: the same entities on every machine, 600 bytes each, in the shape of
//! Backstage's components ("Descriptor Format of Catalog Entities", Kind: Component).

use std::fmt::Write as _;

/// Bytes of one entity's JSON.
pub const ENTITY_BYTES: usize = 600;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Entities in all.
    pub entities: u32,
    /// Partitions they are divided among, each of the same size; 1: the root partition has them all.
    pub partitions: u32,
    /// Entities per page.
    pub page: u32,
}

/// How a generation of the content differs from the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// Written into every changed entity.
    pub number: u32,
    /// Percentage of entities that change, spread over all pages.
    pub changed_percent: u32,
    /// Number of entities that are removed, spread over all pages.
    pub removed: u32,
    /// Number of new entities before the first one, which shift the contents of every page by as many.
    pub shifted: u32,
}

/// A shape and a generation of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub(super) shape: Shape,
    pub(super) generation: Generation,
}

impl Content {
    /// Places of one partition, in its order; not all of them hold an entity.
    fn places(&self) -> u32 {
        self.shape.entities / self.shape.partitions.max(1) + self.generation.shifted
    }

    /// Pages of one partition.
    pub(super) fn pages(&self) -> u32 {
        self.places().div_ceil(self.shape.page.max(1)).max(1)
    }

    /// The body of an answer.
    pub(super) fn body(&self, partition: u32, page: u32) -> String {
        let first = page.saturating_mul(self.shape.page).min(self.places());
        let end = first.saturating_add(self.shape.page).min(self.places());
        let mut body = String::with_capacity((end - first) as usize * (ENTITY_BYTES + 1) + 64);
        body.push_str("{\"items\":[");
        let empty = body.len();
        for place in first..end {
            let Some(entity) = self.entity_at(partition, place) else {
                continue;
            };
            if body.len() > empty {
                body.push(',');
            }
            push_entity(&mut body, entity, self.revision(entity));
        }
        let next = page + 1;
        let _ = if next < self.pages() {
            write!(body, "],\"next\":{next}}}")
        } else {
            write!(body, "],\"next\":null}}")
        };
        body
    }

    /// Which entity stands at a place; new ones have the numbers after all others.
    fn entity_at(&self, partition: u32, place: u32) -> Option<u32> {
        let per_partition = self.shape.entities / self.shape.partitions.max(1);
        let entity = match place.checked_sub(self.generation.shifted) {
            Some(place) => partition * per_partition + place,
            None => self.shape.entities + partition * self.generation.shifted + place,
        };
        let gone = self.generation.removed > 0
            && entity % (self.shape.entities / self.generation.removed).max(1) == 0
            && entity < self.shape.entities;
        (!gone).then_some(entity)
    }

    fn revision(&self, entity: u32) -> u32 {
        if entity % 100 < self.generation.changed_percent {
            self.generation.number
        } else {
            0
        }
    }
}

fn push_entity(body: &mut String, entity: u32, revision: u32) {
    let start = body.len();
    let (team, system, color) = (entity % 97, entity % 1_009, entity.wrapping_mul(2_654_435_761));
    let _ = write!(
        body,
        "{{\"apiVersion\":\"backstage.io/v1alpha1\",\"kind\":\"Component\",\"metadata\":{{\
         \"name\":\"component-{entity:08}\",\"namespace\":\"default\",\"title\":\"Component {entity}\",\
         \"annotations\":{{\"github.com/project-slug\":\"example/component-{entity:08}\",\
         \"backstage.io/managed-by-location\":\"url:https://example.com/{color:08x}/catalog-info.yaml\",\
         \"example.com/revision\":\"{revision}\"}},\"labels\":{{\"tier\":\"{}\",\"team\":\"team-{team}\"}},\
         \"tags\":[\"rust\",\"grpc\"]}},\"spec\":{{\"type\":\"service\",\"lifecycle\":\"production\",\
         \"owner\":\"group:default/team-{team}\",\"system\":\"system-{system}\",\
         \"dependsOn\":[\"component:default/component-{:08}\"],\"note\":\"",
        entity % 4,
        entity / 2,
    );
    let tail = "\"}}";
    while body.len() - start + tail.len() < ENTITY_BYTES {
        body.push('.');
    }
    body.push_str(tail);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    const SHAPE: Shape = Shape {
        entities: 1_000,
        partitions: 1,
        page: 64,
    };

    /// All entities by name, with their texts, as a reader of all pages sees them.
    fn read(content: Content) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for partition in 0..content.shape.partitions {
            for page in 0..content.pages() {
                let body: Value = serde_json::from_str(&content.body(partition, page)).unwrap();
                assert_eq!(body["next"].is_null(), page + 1 == content.pages());
                for item in body["items"].as_array().unwrap() {
                    let name = item["metadata"]["name"].as_str().unwrap().to_owned();
                    assert_eq!(all.insert(name, item.to_string()), None);
                }
            }
        }
        all
    }

    fn base(shape: Shape) -> Content {
        Content {
            shape,
            generation: Generation::default(),
        }
    }

    #[test]
    fn an_entity_has_600_bytes_and_every_one_is_on_one_page() {
        let mut one = String::new();
        push_entity(&mut one, 99_999_999, u32::MAX);
        assert_eq!(one.len(), ENTITY_BYTES);
        assert_eq!(read(base(SHAPE)).len(), 1_000);
        let divided = Shape { partitions: 4, ..SHAPE };
        assert_eq!(read(base(divided)), read(base(SHAPE)));
    }

    #[test]
    fn a_generation_differs_by_exactly_what_it_says() {
        let before = read(base(SHAPE));
        let after = |generation| {
            read(Content {
                shape: SHAPE,
                generation,
            })
        };
        let number = 1;
        let none = Generation::default();
        let changed = after(Generation {
            number,
            changed_percent: 3,
            ..none
        });
        let differ = changed.iter().filter(|(name, text)| before[*name] != **text).count();
        assert_eq!((changed.len(), differ), (1_000, 30));
        let fewer = after(Generation {
            number,
            removed: 10,
            ..none
        });
        assert_eq!(fewer.len(), 990);
        assert!(fewer.iter().all(|(name, text)| before[name] == *text));
        let shifted = after(Generation {
            number,
            shifted: 1,
            ..none
        });
        assert_eq!(shifted.len(), 1_001);
        assert!(before.iter().all(|(name, text)| shifted[name] == *text));
    }
}
