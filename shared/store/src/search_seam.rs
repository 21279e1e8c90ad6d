//! The seam to searches of the catalog by name and by content. They have no index of their own, so searches cost
//! writers nothing: names with a given prefix are found through the order of references, others by a scan. Each act
//! examines a bounded part and returns where it stopped.

use async_trait::async_trait;
use tideline_core::words::{Change, ChangeKind, EntityRef, JobRecord, Sequence, SourceId};

use super::{EntityRecord, StoreError};

/// A place after all references.
pub(crate) const END: &str = "\u{10ffff}";

/// Cost of stepping over a group of references (those of a kind, or of a namespace of a kind), in names examined.
const GROUP_NAMES: u32 = 20;

/// What the names of a search look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePattern {
    /// The literal prefix.
    beginning: String,
    /// The SQL `LIKE` pattern, with `\` as the escape character.
    like: String,
    /// What follows the beginning.
    rest: Rest,
}

/// What follows the beginning of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    Nothing,
    #[default]
    Anything,
    Something,
}

impl NamePattern {
    /// A pattern that all names matching a glob satisfy. Others may pass, too: classes and alternatives are not
    /// interpreted.
    #[must_use]
    pub fn of_glob(glob: &str) -> Self {
        let mut pattern = Self {
            rest: Rest::Nothing,
            ..Self::default()
        };
        let mut characters = glob.chars();
        while let Some(character) = characters.next() {
            match character {
                '*' | '?' => pattern.skip(),
                '[' | '{' => {
                    pattern.skip();
                    pattern.rest = Rest::Something;
                    break;
                }
                '\\' => pattern.push(characters.next().unwrap_or('\\')),
                plain => pattern.push(plain),
            }
            if character == '?' {
                pattern.rest = Rest::Something;
            }
        }
        pattern
    }

    /// Of this name alone.
    #[must_use]
    pub fn exact(name: &str) -> Self {
        let mut pattern = Self {
            rest: Rest::Nothing,
            ..Self::default()
        };
        name.chars().for_each(|character| pattern.push(character));
        pattern
    }

    fn skip(&mut self) {
        if !self.like.ends_with('%') || self.like.ends_with("\\%") {
            self.like.push('%');
        }
        if self.rest == Rest::Nothing {
            self.rest = Rest::Anything;
        }
    }

    fn push(&mut self, plain: char) {
        if matches!(plain, '%' | '_' | '\\') {
            self.like.push('\\');
        }
        self.like.push(plain);
        match self.rest {
            Rest::Nothing => self.beginning.push(plain),
            _ => self.rest = Rest::Something,
        }
    }
}

/// A search through the names of a source.
#[derive(Clone, Debug)]
pub struct NameSearch<'a> {
    /// Of this kind, in lower case.
    pub kind: Option<&'a str>,
    /// In this namespace, in lower case.
    pub namespace: Option<&'a str>,
    /// Like this; none: any.
    pub name: Option<&'a NamePattern>,
    /// After this position in the order: empty, a reference, or where another act stopped.
    pub after: &'a str,
    /// Approximate number of names to examine, 1 to 100,000.
    pub look: u32,
    /// Maximum number of names in the response, 1 to 10,000.
    pub limit: u32,
}

/// Names that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNames {
    /// In order. Some of them may be removed entities.
    pub names: Vec<EntityRef>,
    /// Where the search continues; none: it has examined all names of the source.
    pub next: Option<String>,
}

/// A search through the change feed, from its end.
#[derive(Clone, Debug)]
pub struct ChangeSearch<'a> {
    /// Of this source.
    pub source: Option<&'a str>,
    /// Of this kind.
    pub change: Option<ChangeKind>,
    /// Whose reference has this text, in lower case.
    pub text: Option<&'a str>,
    /// Before this place; none: from the end.
    pub before: Option<Sequence>,
    /// Number of changes to examine, 1 to 100,000.
    pub look: u32,
    /// Maximum number of changes in the response, 1 to 10,000.
    pub limit: u32,
}

/// Changes that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundChanges {
    /// The newest first, without bodies.
    pub changes: Vec<Change>,
    /// `before` of the next search; none: there are no older ones.
    pub next: Option<Sequence>,
}

/// Searches.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// Names of a source that may be what a search looks for, in order.
    async fn find_names(&self, source: SourceId, search: &NameSearch<'_>) -> Result<FoundNames, StoreError>;

    /// The live ones of these entities of a source, in order. With `texts`, only those whose body contains one of them.
    /// At most `limit` (1 to 1,000).
    async fn read_entities(
        &self,
        source: SourceId,
        names: &[EntityRef],
        texts: &[String],
        limit: u32,
    ) -> Result<Vec<EntityRecord>, StoreError>;

    /// Jobs of a kind whose args contain a text, by number; at most `limit` (1 to 1,000). Scans all jobs of the kind,
    /// so it is meant for kinds with few jobs.
    async fn find_jobs(&self, kind: &str, text: &str, limit: u32) -> Result<Vec<JobRecord>, StoreError>;

    /// Changes of the feed, newest first.
    async fn find_changes(&self, search: &ChangeSearch<'_>) -> Result<FoundChanges, StoreError>;
}

/// How a search walks through the order of references.
pub(crate) enum Walk {
    /// From name to name: those like this, within these bounds.
    Names { like: String },
    /// From group to group: in each the names between its beginning with `from` and that with `to`. A group ends at the
    /// character `end`; after it comes `following` instead.
    Groups {
        from: String,
        to: String,
        end: &'static str,
        following: &'static str,
        groups: u32,
    },
}

impl ChangeSearch<'_> {
    /// Changes that are looked at.
    pub(crate) fn look(&self) -> i64 {
        i64::from(self.look.clamp(1, 100_000))
    }

    /// Changes of the answer.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.clamp(1, 10_000)
    }

    /// `looked` changes were looked at, the last of which was `last`.
    pub(crate) fn found(&self, changes: Vec<Change>, looked: i64, last: Option<i64>) -> FoundChanges {
        FoundChanges {
            next: match changes.last() {
                Some(last) if changes.len() >= self.limit() as usize => Some(last.sequence),
                _ => last.map(Sequence).filter(|_| looked >= self.look()),
            },
            changes,
        }
    }
}

impl NameSearch<'_> {
    /// Names that are looked at.
    pub(crate) fn look(&self) -> i64 {
        i64::from(self.look.clamp(1, 100_000))
    }

    /// Names of the answer.
    pub(crate) fn limit(&self) -> usize {
        self.limit.clamp(1, 10_000) as usize
    }

    /// Between which places.
    pub(crate) fn bounds(&self) -> (String, String) {
        let from = self.kind.map_or_else(String::new, |kind| format!("{kind}:"));
        let to = self.kind.map_or_else(|| END.to_owned(), |kind| format!("{kind};"));
        (from.max(self.after.to_owned()), to)
    }

    /// How.
    pub(crate) fn walk(&self) -> Walk {
        let any = NamePattern::default();
        let name = self.name.unwrap_or(&any);
        let beginning = match self.namespace {
            Some(namespace) => format!("{namespace}/{}", name.beginning),
            None => name.beginning.clone(),
        };
        if beginning.is_empty() {
            let like = match self.name {
                Some(name) => format!("%/{}", name.like),
                None => "%".to_owned(),
            };
            return Walk::Names { like };
        }
        let (end, following) = if self.namespace.is_some() {
            (":", ";")
        } else {
            ("/", "0")
        };
        Walk::Groups {
            to: match name.rest {
                Rest::Nothing => beginning.clone(),
                _ => format!("{beginning}{END}"),
            },
            from: beginning,
            end,
            following,
            groups: (self.look / GROUP_NAMES).clamp(10, 1_000),
        }
    }
}

/// What a walk from name to name found: `looked` of the `look` names, the last of which was `last`.
pub(crate) fn walked(search: &NameSearch<'_>, names: Vec<EntityRef>, looked: i64, last: Option<String>) -> FoundNames {
    let full = names.len() >= search.limit();
    FoundNames {
        next: match names.last() {
            Some(name) if full => Some(name.to_string()),
            _ => last.filter(|_| looked >= search.look()),
        },
        names,
    }
}

/// What a walk from group to group found. The last group is none if there was no other one.
pub(crate) fn stepped(
    search: &NameSearch<'_>,
    following: &str,
    groups: Vec<(Option<String>, Vec<EntityRef>)>,
) -> FoundNames {
    let (mut names, mut next) = (Vec::new(), None);
    for (group, found) in groups {
        let Some(group) = group else {
            next = None;
            break;
        };
        names.extend(found);
        if names.len() >= search.limit() {
            names.truncate(search.limit());
            next = names.last().map(ToString::to_string);
            break;
        }
        // After everything in the group.
        let mut behind = group;
        behind.pop();
        next = Some(behind + following);
    }
    FoundNames { names, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_glob(glob: &str) -> (String, String, Rest) {
        let pattern = NamePattern::of_glob(glob);
        (pattern.beginning, pattern.like, pattern.rest)
    }

    #[test]
    fn a_glob_becomes_a_beginning_and_a_pattern_that_no_name_misses() {
        let all = |beginning: &str, like: &str, rest| (beginning.to_owned(), like.to_owned(), rest);
        assert_eq!(of_glob("payments"), all("payments", "payments", Rest::Nothing));
        assert_eq!(of_glob("payments-*"), all("payments-", "payments-%", Rest::Anything));
        assert_eq!(of_glob("pay*s"), all("pay", "pay%s", Rest::Something));
        assert_eq!(of_glob("*pay**s*"), all("", "%pay%s%", Rest::Something));
        assert_eq!(of_glob("pay?"), all("pay", "pay%", Rest::Something));
        assert_eq!(of_glob("a[bc]d*"), all("a", "a%", Rest::Something));
        assert_eq!(of_glob("{a,b}*"), all("", "%", Rest::Something));
        assert_eq!(of_glob(r"50%_\*\\"), all(r"50%_*\", r"50\%\_*\\", Rest::Nothing));
    }
}
