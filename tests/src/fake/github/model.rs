use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Whose repositories there are.
pub const ORGANIZATION: &str = "acme";

/// What has a URL in GitHub's representation of a repository.
const URLS: [&str; 37] = [
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
    "svn",
];

/// A repository.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Never changes.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The default branch.
    pub branch: String,
    /// Not public.
    pub private: bool,
    /// Archived.
    pub archived: bool,
    /// A fork of another one.
    pub fork: bool,
    /// Its topics.
    pub topics: Vec<String>,
    /// What it says of itself.
    pub description: String,
    /// Files at the head of the default branch, by path.
    pub files: BTreeMap<String, String>,
    /// The list of its files is cut.
    pub truncated: bool,
    /// Pushes so far: each is a second later than the one before.
    pub pushes: u64,
}

impl Repository {
    /// As a member of a list.
    #[must_use]
    pub fn listed(&self, base: &str) -> Value {
        let full_name = format!("{ORGANIZATION}/{}", self.name);
        let url = format!("{base}/repos/{full_name}");
        let mut value = json!({
            "id": self.id,
            "node_id": format!("R_{}", self.id),
            "name": self.name,
            "full_name": full_name,
            "owner": account(base),
            "private": self.private,
            "visibility": if self.private { "private" } else { "public" },
            "html_url": format!("https://github.example/{full_name}"),
            "url": url,
            "description": self.description,
            "fork": self.fork,
            "topics": self.topics,
            "language": "Rust",
            "archived": self.archived,
            "disabled": false,
            "default_branch": self.branch,
            // Counted once an hour: 0 at first, whatever is in it.
            "size": 0,
        });
        for name in URLS {
            value[format!("{name}_url")] = json!(format!("{url}/{name}"));
        }
        value["pushed_at"] = json!(self.pushed_at());
        value
    }

    /// Long ago, whatever the time is.
    fn pushed_at(&self) -> String {
        let (minutes, seconds) = (self.pushes / 60, self.pushes % 60);
        format!(
            "2026-01-02T{:02}:{:02}:{seconds:02}Z",
            (minutes / 60) % 24,
            minutes % 60
        )
    }

    /// Alone.
    #[must_use]
    pub fn full(&self, base: &str) -> Value {
        let mut value = self.listed(base);
        let html = value["html_url"].clone();
        for name in ["clone_url", "git_url", "ssh_url"] {
            value[name] = html.clone();
        }
        for name in [
            "forks",
            "forks_count",
            "open_issues",
            "open_issues_count",
            "stargazers_count",
            "watchers",
            "watchers_count",
            "network_count",
            "subscribers_count",
        ] {
            value[name] = json!(0);
        }
        for name in [
            "has_issues",
            "has_projects",
            "has_wiki",
            "has_downloads",
            "has_pages",
            "has_discussions",
        ] {
            value[name] = json!(true);
        }
        for name in ["homepage", "mirror_url", "license"] {
            value[name] = Value::Null;
        }
        for name in ["created_at", "updated_at"] {
            value[name] = json!("2026-01-02T03:04:05Z");
        }
        value
    }

    /// Writes a catalog file with one component.
    pub fn catalog(&mut self, path: &str, component: &str, version: u64) {
        let text = format!(
            "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: {component}\n  description: version {version}\nspec:\n  type: service\n  \
             owner: team-a\n"
        );
        self.files.insert(path.to_owned(), text);
    }
}

pub(super) fn account(base: &str) -> Value {
    let mut account = json!({
        "login": ORGANIZATION,
        "id": 7,
        "node_id": "O_7",
        "type": "Organization",
        "site_admin": false,
        "gravatar_id": "",
        "url": format!("{base}/orgs/{ORGANIZATION}"),
    });
    for name in [
        "avatar",
        "events",
        "followers",
        "following",
        "gists",
        "html",
        "organizations",
        "received_events",
        "repos",
        "starred",
        "subscriptions",
    ] {
        account[format!("{name}_url")] = json!(format!("https://github.example/{ORGANIZATION}/{name}"));
    }
    account
}

/// What the organization has.
#[derive(Debug)]
pub struct Model {
    random: StdRng,
    made: u64,
    repositories: BTreeMap<u64, Repository>,
    comparisons: BTreeMap<String, Vec<(String, &'static str)>>,
}

impl Model {
    pub(super) fn new(seed: u64, repositories: u32) -> Self {
        let mut model = Self {
            random: StdRng::seed_from_u64(seed),
            made: 0,
            repositories: BTreeMap::new(),
            comparisons: BTreeMap::new(),
        };
        for _ in 0..repositories {
            model.add();
        }
        model
    }

    /// A new repository, the last one of the list.
    pub fn add(&mut self) -> u64 {
        self.made += 1;
        let id = 1_000 + self.made;
        let name = format!("repo-{}", self.made);
        let mut repository = Repository {
            id,
            name: name.clone(),
            branch: if self.made.is_multiple_of(7) {
                "release/1.x".to_owned()
            } else {
                "main".to_owned()
            },
            private: self.random.random_bool(0.3),
            archived: self.made.is_multiple_of(9),
            fork: self.made.is_multiple_of(11),
            topics: vec![format!("topic-{}", self.made % 3)],
            description: format!("number {}", self.made),
            files: BTreeMap::from([("README.md".to_owned(), "# hello".to_owned())]),
            truncated: false,
            pushes: 1,
        };
        match self.made % 4 {
            0 => {}
            1 => repository.catalog("catalog-info.yaml", &name, 1),
            2 => {
                repository.catalog("catalog-info.yaml", &name, 1);
                if let Some(text) = repository.files.get_mut("catalog-info.yaml") {
                    text.push_str(&format!("---\napiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: {{ name: {name}-api }}\nspec: {{ type: openapi }}\n"));
                }
            }
            _ => {
                let text = "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: all }\nspec:\n  targets: [./parts/one.yaml, ../outside.yaml, 'https://other.example/x.yaml']\n";
                repository.files.insert("catalog-info.yaml".to_owned(), text.to_owned());
                let text = "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: more }\nspec: { target: ../deep/two.yaml }\n---\n".to_owned();
                repository.catalog("parts/one.yaml", &format!("{name}-one"), 1);
                if let Some(one) = repository.files.get_mut("parts/one.yaml") {
                    *one = text + one;
                }
                repository.catalog("deep/two.yaml", &format!("{name}-two"), 1);
            }
        }
        self.repositories.insert(id, repository);
        id
    }

    /// Some repositories and files change, come and go.
    pub fn change(&mut self) {
        let ids: Vec<u64> = self.repositories.keys().copied().collect();
        for id in ids {
            if !self.random.random_bool(0.2) {
                continue;
            }
            self.made += 1;
            let (what, version) = (self.random.random_range(0..4), self.made);
            let Some(repository) = self.repositories.get_mut(&id) else {
                continue;
            };
            repository.pushes += 1;
            match what {
                0 => repository.description = format!("changed {version}"),
                1 => repository.catalog("catalog-info.yaml", &format!("changed-{id}"), version),
                2 => {
                    repository.files.remove("catalog-info.yaml");
                }
                _ => repository.name = format!("renamed-{version}"),
            }
        }
        if self.random.random_bool(0.5) {
            self.add();
        }
    }

    /// All repositories, the oldest first.
    pub fn repositories(&self) -> impl Iterator<Item = &Repository> {
        self.repositories.values()
    }

    /// A repository by its id, to be changed: that is a push.
    pub fn repository(&mut self, id: u64) -> Option<&mut Repository> {
        let repository = self.repositories.get_mut(&id)?;
        repository.pushes += 1;
        Some(repository)
    }

    /// Something is pushed to every repository, and changes nothing.
    pub fn push_to_all(&mut self) {
        for repository in self.repositories.values_mut() {
            repository.pushes += 1;
        }
    }

    /// What a comparison of two commits (`before...after`) shows: paths with their status.
    pub fn compare(&mut self, commits: &str, files: Vec<(String, &'static str)>) {
        self.comparisons.insert(commits.to_owned(), files);
    }

    pub(super) fn comparison(&self, commits: &str) -> Option<&Vec<(String, &'static str)>> {
        self.comparisons.get(commits)
    }

    /// Deletes a repository.
    pub fn remove(&mut self, id: u64) {
        self.repositories.remove(&id);
    }

    pub(super) fn find(&self, owner: &str, name: &str) -> Option<&Repository> {
        let mut found = self.repositories.values();
        found.find(|repository| owner == ORGANIZATION && repository.name == name)
    }
}
