//! The demo's little world: organizations own projects, projects own components; from generation to generation some
//! components appear, vanish, move to another project or get a new version. A pure function of seed, size and
//! generation.

use serde::Serialize;

/// How many of a thousand components are absent in each generation.
const AWAY_PER_MILLE: u64 = 4;
/// Number of generations for which a component is absent, or back again.
const AWAY_GENERATIONS: u64 = 3;
/// One component in this many has a second home and moves between the two.
const MOVERS: u64 = 1_000;
/// Number of generations between new versions of a component (each at a time of its own).
const VERSION_GENERATIONS: u64 = 300;
/// Components of a project, on average.
const COMPONENTS_PER_PROJECT: u64 = 98;
/// Projects of an organization.
const PROJECTS_PER_ORGANISATION: u64 = 34;

const ORGANISATIONS: [&str; 12] = [
    "acme", "borealis", "cobalt", "delphi", "ember", "fjord", "granite", "harbor", "indigo", "juniper", "kestrel",
    "lumen",
];
const THINGS: [&str; 16] = [
    "billing", "search", "orders", "ledger", "catalog", "identity", "mail", "metrics", "shipping", "pricing",
    "reports", "media", "maps", "chat", "audit", "stock",
];
const PARTS: [&str; 8] = ["api", "web", "worker", "gateway", "cache", "sync", "importer", "cron"];
const LANGUAGES: [&str; 5] = ["rust", "go", "typescript", "python", "java"];

/// Which world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct World {
    seed: u64,
    components: u64,
    projects: u64,
    organisations: u64,
}

/// As the API serves it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Organisation {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) projects: usize,
}

/// As the API serves it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) organisation: String,
    pub(crate) title: String,
    pub(crate) tier: u64,
}

/// As the API serves it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Component {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) organisation: String,
    pub(crate) project: String,
    pub(crate) description: String,
    pub(crate) language: &'static str,
    pub(crate) version: String,
    pub(crate) replicas: u64,
}

impl World {
    /// Of about `entities` entities in all (at least one of each level).
    pub(crate) fn new(seed: u64, entities: u64) -> Self {
        let projects = (entities / (COMPONENTS_PER_PROJECT + 1)).max(1);
        let organisations = projects.div_ceil(PROJECTS_PER_ORGANISATION).max(1);
        Self {
            seed,
            components: entities.saturating_sub(projects + organisations).max(1),
            projects,
            organisations,
        }
    }

    /// All organizations. They never change.
    pub(crate) fn organisations(&self) -> Vec<Organisation> {
        (0..self.organisations)
            .map(|number| Organisation {
                name: organisation_name(number),
                title: format!("{} Ltd", capital(&organisation_name(number))),
                projects: self.projects_of(number).count(),
            })
            .collect()
    }

    /// The projects of an organization, or none of that name.
    pub(crate) fn projects(&self, organisation: &str) -> Option<Vec<Project>> {
        let number = (0..self.organisations).find(|number| organisation_name(*number) == organisation)?;
        Some(self.projects_of(number).map(|project| self.project(project)).collect())
    }

    /// Every component that is there in this generation, by project.
    pub(crate) fn components(&self, generation: u64) -> Vec<Vec<Component>> {
        let mut by_project: Vec<Vec<Component>> = Vec::new();
        by_project.resize_with(usize::try_from(self.projects).unwrap_or(usize::MAX), Vec::new);
        for number in 0..self.components {
            if self.is_away(number, generation) {
                continue;
            }
            let home = self.home(number, generation);
            if let Some(project) = usize::try_from(home).ok().and_then(|home| by_project.get_mut(home)) {
                project.push(self.component(number, home, generation));
            }
        }
        by_project
    }

    /// The place of a project in [`World::components`].
    pub(crate) fn project_index(&self, organisation: &str, project: &str) -> Option<usize> {
        (0..self.projects)
            .find(|number| project_name(*number) == project && self.organisation_of(*number) == organisation)
            .and_then(|number| usize::try_from(number).ok())
    }

    fn projects_of(&self, organisation: u64) -> impl Iterator<Item = u64> {
        let step = usize::try_from(self.organisations).unwrap_or(1);
        (organisation..self.projects).step_by(step)
    }

    fn organisation_of(&self, project: u64) -> String {
        organisation_name(project % self.organisations)
    }

    fn project(&self, number: u64) -> Project {
        Project {
            name: project_name(number),
            organisation: self.organisation_of(number),
            title: capital(&project_name(number)),
            tier: self.dice(number, 1) % 3 + 1,
        }
    }

    fn component(&self, number: u64, home: u64, generation: u64) -> Component {
        let part = pick(&PARTS, self.dice(number, 2));
        let version = (generation + self.dice(number, 3) % VERSION_GENERATIONS) / VERSION_GENERATIONS;
        Component {
            number,
            name: format!("{part}-{number:05}"),
            organisation: self.organisation_of(home),
            project: project_name(home),
            description: format!("The {part} of {} (component {number})", project_name(home)),
            language: pick(&LANGUAGES, self.dice(number, 4)),
            version: format!("1.{version}.{}", self.dice(number, 5) % 20),
            replicas: self.dice(number, 6) % 5 + 1,
        }
    }

    fn is_away(&self, number: u64, generation: u64) -> bool {
        // Phases are shifted per component, so that some leave and some return in every generation.
        let phase = (generation + self.dice(number, 7) % AWAY_GENERATIONS) / AWAY_GENERATIONS;
        self.dice(number, 1_000 + phase) % 1_000 < AWAY_PER_MILLE
    }

    fn home(&self, number: u64, generation: u64) -> u64 {
        let moved = self.dice(number, 8).is_multiple_of(MOVERS) && generation % 2 == 1;
        self.dice(number, if moved { 9 } else { 10 }) % self.projects
    }

    fn dice(&self, number: u64, side: u64) -> u64 {
        mix(mix(self.seed ^ 0x7469_6465).wrapping_add(mix(number.wrapping_mul(0x1_0001).wrapping_add(side))))
    }
}

/// SplitMix64's finalizer (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn pick(words: &[&'static str], dice: u64) -> &'static str {
    let count = u64::try_from(words.len()).unwrap_or(1).max(1);
    usize::try_from(dice % count)
        .ok()
        .and_then(|index| words.get(index))
        .copied()
        .unwrap_or_default()
}

fn numbered(words: &[&'static str], number: u64) -> String {
    let count = u64::try_from(words.len()).unwrap_or(1).max(1);
    match number / count {
        0 => pick(words, number).to_owned(),
        round => format!("{}-{}", pick(words, number), round + 1),
    }
}

fn organisation_name(number: u64) -> String {
    numbered(&ORGANISATIONS, number)
}

fn project_name(number: u64) -> String {
    numbered(&THINGS, number)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn names(world: &World, generation: u64) -> BTreeMap<String, Component> {
        world
            .components(generation)
            .into_iter()
            .flatten()
            .map(|component| (component.name.clone(), component))
            .collect()
    }

    #[test]
    fn the_same_seed_and_generation_make_the_same_world() {
        let world = World::new(42, 3_000);
        assert_eq!(world.components(7), World::new(42, 3_000).components(7));
        assert_ne!(world.components(7), World::new(43, 3_000).components(7));
    }

    #[test]
    fn the_default_world_has_about_twenty_thousand_entities_on_three_levels() {
        let world = World::new(42, 20_000);
        let organisations = world.organisations();
        let projects: usize = organisations.iter().map(|organisation| organisation.projects).sum();
        let all = organisations.len() + projects + names(&world, 0).len();
        assert!((19_000..=20_000).contains(&all), "{all}");
        assert!(organisations.len() > 3 && projects > 100);
    }

    #[test]
    fn every_project_is_found_by_its_organisation_and_name() {
        let world = World::new(1, 5_000);
        let components = world.components(0);
        for organisation in world.organisations() {
            for project in world.projects(&organisation.name).unwrap() {
                let index = world.project_index(&organisation.name, &project.name).unwrap();
                assert!(
                    components[index]
                        .iter()
                        .all(|component| component.project == project.name)
                );
            }
        }
        assert!(world.projects("nobody").is_none());
    }

    #[test]
    fn from_one_generation_to_the_next_a_few_components_appear_vanish_move_and_change() {
        let world = World::new(42, 20_000);
        for generation in 0..6 {
            let (before, after) = (names(&world, generation), names(&world, generation + 1));
            let vanished = before.keys().filter(|name| !after.contains_key(*name)).count();
            let appeared = after.keys().filter(|name| !before.contains_key(*name)).count();
            let both = || before.iter().filter_map(|(name, old)| Some((old, after.get(name)?)));
            let moved = both().filter(|(old, new)| old.project != new.project).count();
            let changed = both().filter(|(old, new)| old.version != new.version).count();
            for few in [vanished, appeared, moved, changed] {
                assert!((1..2_000).contains(&few), "{vanished} {appeared} {moved} {changed}");
            }
        }
    }
}
