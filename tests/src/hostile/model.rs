use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tideline_core::words::EntityRef;

/// How many items each level has at the start.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Organizations.
    pub organisations: u32,
    /// Projects in each of them.
    pub projects: u32,
    /// Components in each of these.
    pub components: u32,
}

/// How much of the model changes at once, in percent of its components. A tenth of it for whole projects.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangeRates {
    /// New ones.
    pub add: f64,
    /// Ones with another body.
    pub modify: f64,
    /// Ones that go.
    pub remove: f64,
}

/// One item; its children by their place in the list.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub(super) name: String,
    pub(super) revision: u64,
    pub(super) children: BTreeMap<u64, Node>,
}

/// What the hostile source has: organizations → projects → components. A name is never used twice, so what is gone once
/// is gone for good, and a deletion of anything else is a wrong one.
#[derive(Debug)]
pub struct Model {
    root: Node,
    random: StdRng,
    names: u64,
    removed: BTreeSet<String>,
    modifications: u64,
}

const KINDS: [&str; 3] = ["Organisation", "Project", "Component"];
/// Places are far apart, so that new items land between old ones.
const PLACES: u64 = 1 << 40;
/// How many of the new items land behind all others, as in lists by time of creation: there full last pages get a
/// successor.
const APPENDED: f64 = 0.5;

impl Model {
    /// The same model for the same seed.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut model = Self {
            root: Node::default(),
            random: StdRng::seed_from_u64(seed),
            names: 0,
            removed: BTreeSet::new(),
            modifications: 0,
        };
        for _ in 0..shape.organisations {
            let mut organisation = model.new_node(0);
            for _ in 0..shape.projects {
                let mut project = model.new_node(1);
                for _ in 0..shape.components {
                    let component = model.new_node(2);
                    model.place(&mut project, component);
                }
                model.place(&mut organisation, project);
            }
            let mut root = std::mem::take(&mut model.root);
            model.place(&mut root, organisation);
            model.root = root;
        }
        model
    }

    fn new_node(&mut self, level: usize) -> Node {
        self.names += 1;
        Node {
            name: format!("{}-{}", ["org", "proj", "comp"][level], self.names),
            ..Node::default()
        }
    }

    fn append(&mut self, parent: &mut Node, child: Node) {
        let behind = parent.children.last_key_value().map_or(0, |(at, _)| at + 1);
        let gap = self.random.random_range(0..PLACES >> 20);
        parent.children.insert(behind + gap, child);
    }

    fn place(&mut self, parent: &mut Node, child: Node) {
        let mut at = self.random.random_range(0..PLACES);
        while parent.children.contains_key(&at) {
            at = self.random.random_range(0..PLACES);
        }
        parent.children.insert(at, child);
    }

    /// The list below a path of names: `[]` organizations, `[org]` its projects, `[org, project]` its components.
    #[must_use]
    pub fn list(&self, path: &[&str]) -> Option<&BTreeMap<u64, Node>> {
        let mut node = &self.root;
        for name in path {
            node = node.children.values().find(|child| child.name == *name)?;
        }
        (path.len() < KINDS.len()).then_some(&node.children)
    }

    /// Moves one item of a list to another place in it.
    pub fn move_one(&mut self, path: &[&str]) {
        let mut root = std::mem::take(&mut self.root);
        let mut node = Some(&mut root);
        for name in path {
            node = node.and_then(|node| node.children.values_mut().find(|child| child.name == *name));
        }
        if let Some(node) = node.filter(|node| !node.children.is_empty()) {
            let nth = self.random.random_range(0..node.children.len());
            if let Some(child) = node
                .children
                .keys()
                .nth(nth)
                .copied()
                .and_then(|at| node.children.remove(&at))
            {
                self.place(node, child);
            }
        }
        self.root = root;
    }

    /// Adds, modifies and removes.
    pub fn change(&mut self, rates: ChangeRates) {
        let mut root = std::mem::take(&mut self.root);
        for organisation in root.children.values_mut() {
            self.change_list(organisation, 1, rates);
            for project in organisation.children.values_mut() {
                self.change_list(project, 2, rates);
            }
        }
        self.root = root;
    }

    fn change_list(&mut self, parent: &mut Node, level: usize, rates: ChangeRates) {
        let share = if level == 2 { 0.01 } else { 0.001 };
        let mut hit = |rate: f64| self.random.random_bool((rate * share).clamp(0.0, 1.0));
        let gone: Vec<u64> = parent.children.keys().copied().filter(|_| hit(rates.remove)).collect();
        let modified: Vec<u64> = parent.children.keys().copied().filter(|_| hit(rates.modify)).collect();
        let added = (0..parent.children.len().max(1)).filter(|_| hit(rates.add)).count();
        for at in modified {
            if let Some(child) = parent.children.get_mut(&at) {
                child.revision += 1;
                self.modifications += 1;
            }
        }
        for at in gone {
            if let Some(child) = parent.children.remove(&at) {
                self.bury(&child, level, &parent.name);
            }
        }
        for _ in 0..added {
            let mut child = self.new_node(level);
            if level == 1 {
                let component = self.new_node(2);
                self.place(&mut child, component);
            }
            if self.random.random_bool(APPENDED) {
                self.append(parent, child);
            } else {
                self.place(parent, child);
            }
        }
    }

    /// Removes everything.
    pub fn shrink_to_empty(&mut self) {
        let root = std::mem::take(&mut self.root);
        for organisation in root.children.values() {
            self.bury(organisation, 0, "");
        }
    }

    fn bury(&mut self, node: &Node, level: usize, parent: &str) {
        self.removed.insert(reference(node, level, parent));
        for child in node.children.values() {
            self.bury(child, level + 1, &node.name);
        }
    }

    /// All that a catalog must hold now, with the bodies.
    ///
    /// # Errors
    /// A name that is no reference: a defect of the model.
    pub fn entities(&self) -> Result<BTreeMap<EntityRef, Value>> {
        let mut entities = BTreeMap::new();
        collect(&self.root, 0, &mut entities)?;
        Ok(entities)
    }

    /// Whether the model once had this entity and removed it.
    #[must_use]
    pub fn has_removed(&self, reference: &EntityRef) -> bool {
        self.removed.contains(reference.as_str())
    }

    /// Bodies that were changed since the start.
    #[must_use]
    pub fn modifications(&self) -> u64 {
        self.modifications
    }

    /// Every name ever given, so the most that may ever be added.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.names
    }
}

fn namespace(parent: &str) -> &str {
    if parent.is_empty() { "default" } else { parent }
}

fn reference(node: &Node, level: usize, parent: &str) -> String {
    format!("{}:{}/{}", KINDS[level].to_lowercase(), namespace(parent), node.name)
}

fn collect(parent: &Node, level: usize, entities: &mut BTreeMap<EntityRef, Value>) -> Result<()> {
    for child in parent.children.values() {
        let reference = reference(child, level, &parent.name);
        let parsed = reference
            .parse()
            .with_context(|| format!("the model made {reference}"))?;
        entities.insert(parsed, body(child, level, &parent.name));
        collect(child, level + 1, entities)?;
    }
    Ok(())
}

/// The item as the API shows it: a Backstage-like object.
pub(super) fn body(node: &Node, level: usize, parent: &str) -> Value {
    json!({
        "apiVersion": "hostile.example/v1",
        "kind": KINDS[level],
        "metadata": {
            "name": node.name,
            "namespace": namespace(parent),
            "annotations": {"hostile.example/revision": node.revision.to_string()},
        },
        "spec": {
            "type": "service",
            "owner": format!("team-{}", node.name.len() % 7),
            "description": format!("revision {} of {} in {}", node.revision, node.name, namespace(parent)),
            "weight": node.revision * 3 + 1,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        organisations: 2,
        projects: 3,
        components: 40,
    };

    const RATES: ChangeRates = ChangeRates {
        add: 5.0,
        modify: 10.0,
        remove: 5.0,
    };

    #[test]
    fn the_same_seed_gives_the_same_model_and_the_same_changes() {
        let (mut one, mut two) = (Model::new(SHAPE, 7), Model::new(SHAPE, 7));
        assert_eq!(one.entities().unwrap().len(), 2 + 6 + 240);
        for _ in 0..5 {
            one.change(RATES);
            two.change(RATES);
        }
        assert_eq!(one.entities().unwrap(), two.entities().unwrap());
        assert_ne!(one.entities().unwrap(), Model::new(SHAPE, 8).entities().unwrap());
    }

    #[test]
    fn a_change_adds_modifies_and_removes_and_remembers_what_is_gone() {
        let mut model = Model::new(SHAPE, 7);
        let before = model.entities().unwrap();
        model.change(RATES);
        let after = model.entities().unwrap();
        assert!(after.keys().any(|key| !before.contains_key(key)));
        assert!(
            after
                .iter()
                .any(|(key, body)| before.get(key).is_some_and(|old| old != body))
        );
        let gone: Vec<_> = before.keys().filter(|key| !after.contains_key(*key)).collect();
        assert!(!gone.is_empty() && gone.into_iter().all(|key| model.has_removed(key)));
        assert!(after.keys().all(|key| !model.has_removed(key)));
    }

    #[test]
    fn a_move_changes_the_order_and_nothing_else() {
        let mut model = Model::new(SHAPE, 7);
        let before = model.entities().unwrap();
        let order = |model: &Model| model.list(&[]).unwrap().keys().copied().collect::<Vec<_>>();
        let old = order(&model);
        model.move_one(&[]);
        assert_ne!(order(&model), old);
        assert_eq!(model.entities().unwrap(), before);
    }

    #[test]
    fn a_model_that_shrank_is_empty_and_knows_all_it_had() {
        let mut model = Model::new(SHAPE, 7);
        let before = model.entities().unwrap();
        model.shrink_to_empty();
        assert!(model.entities().unwrap().is_empty());
        assert!(before.keys().all(|key| model.has_removed(key)));
    }
}
