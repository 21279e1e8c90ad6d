//! Compares what Tideline has with what the source has: the catalog exactly, and the change feed as a subscriber that
//! was there from the start would see it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tideline_core::words::{Change, ChangeKind, EntityRef, FeedPosition, Sequence};
use tideline_store::{CatalogStore, EntityFilter};

/// What a catalog holds of one source.
pub type Expected = BTreeMap<EntityRef, Value>;

/// Reads a source's part of the catalog through paging, `page` entities at a time.
///
/// # Errors
/// The store's error, a page out of order, or a body that is not JSON.
pub async fn read_catalog(store: &dyn CatalogStore, source: &str, page: u32) -> Result<Expected> {
    let mut filter = EntityFilter {
        source: Some(source.to_owned()),
        limit: page,
        ..EntityFilter::default()
    };
    let mut found = Expected::new();
    loop {
        let records = store.list_entities(&filter).await?;
        let Some(last) = records.last() else { return Ok(found) };
        filter.after = Some((last.source.clone(), last.reference.clone()));
        for record in records {
            let in_order = found
                .last_key_value()
                .is_none_or(|(before, _)| *before < record.reference);
            ensure!(in_order, "{} is listed out of order", record.reference);
            let body =
                serde_json::from_str(&record.body).with_context(|| format!("the body of {}", record.reference))?;
            found.insert(record.reference, body);
        }
    }
}

/// Compares the catalog with the source, exactly.
///
/// # Errors
/// What differs: how much, and the first few.
pub async fn compare_catalog(store: &dyn CatalogStore, source: &str, expected: &Expected) -> Result<()> {
    compare("the catalog", &read_catalog(store, source, 1_000).await?, expected)
}

fn compare(what: &str, found: &Expected, expected: &Expected) -> Result<()> {
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
    let extra: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    let same = |key: &EntityRef, body: &Value| found.get(key).is_none_or(|other| other == body);
    let differing: Vec<_> = expected
        .iter()
        .filter(|(key, body)| !same(key, body))
        .map(|(key, _)| key)
        .collect();
    if missing.is_empty() && extra.is_empty() && differing.is_empty() {
        return Ok(());
    }
    let some = |keys: &[&EntityRef]| {
        keys.iter()
            .take(5)
            .map(|key| key.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    bail!(
        "{what} has {} of {} entities: {} missing ({}), {} too many ({}), {} with another body ({})",
        found.len(),
        expected.len(),
        missing.len(),
        some(&missing),
        extra.len(),
        some(&extra),
        differing.len(),
        some(&differing),
    )
}

/// A subscriber of the change feed: rebuilds the catalog from changes alone, and checks their order.
#[derive(Debug, Default)]
pub struct FeedFollower {
    position: FeedPosition,
    after: Sequence,
    catalogs: BTreeMap<String, BTreeMap<EntityRef, Option<Value>>>,
    changes: u64,
}

impl FeedFollower {
    /// Reads what is new, `page` changes at a time, until there is nothing more.
    ///
    /// # Errors
    /// The store's error, or a change that does not fit.
    pub async fn follow(&mut self, store: &dyn CatalogStore, page: u32) -> Result<()> {
        loop {
            let reading = store.list_changes(self.position, page).await?;
            self.position = reading.next;
            if reading.changes.is_empty() {
                return Ok(());
            }
            for change in reading.changes {
                self.apply(change)?;
            }
        }
    }

    /// Takes the next change.
    ///
    /// # Errors
    /// It is out of order, or its body does not fit its kind.
    pub fn apply(&mut self, change: Change) -> Result<()> {
        let Change {
            sequence, reference, ..
        } = &change;
        ensure!(
            *sequence > self.after,
            "change {sequence} of {reference} came after {}",
            self.after
        );
        let removed = change.change == ChangeKind::Removed;
        ensure!(
            removed == change.body.is_none(),
            "change {sequence} of {reference} and its body do not fit"
        );
        let body = change.body.as_deref().map(serde_json::from_str).transpose()?;
        self.after = *sequence;
        self.changes += 1;
        self.catalogs
            .entry(change.source)
            .or_default()
            .insert(change.reference, body);
        Ok(())
    }

    /// The last sequence number seen.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.after
    }

    /// How many changes were seen.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Entities of a source that were removed and did not come back.
    pub fn removed<'a>(&'a self, source: &str) -> impl Iterator<Item = &'a EntityRef> {
        let catalog = self.catalogs.get(source).into_iter().flatten();
        catalog
            .filter(|(_, body)| body.is_none())
            .map(|(reference, _)| reference)
    }

    /// Compares what the changes add up to with the source, exactly.
    ///
    /// # Errors
    /// What differs.
    pub fn compare(&self, source: &str, expected: &Expected) -> Result<()> {
        let catalog = self.catalogs.get(source).into_iter().flatten();
        let found = catalog
            .filter_map(|(key, body)| Some((key.clone(), body.clone()?)))
            .collect();
        compare("the change feed", &found, expected)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tideline_core::words::Timestamp;

    use super::*;

    fn change(sequence: i64, kind: ChangeKind, name: &str) -> Change {
        Change {
            sequence: Sequence(sequence),
            change: kind,
            source: "platform".into(),
            reference: EntityRef::new("component", "default", name).unwrap(),
            changed_at: Timestamp(0),
            body: (kind != ChangeKind::Removed).then(|| format!("{{\"n\":{sequence}}}")),
        }
    }

    fn expected(entities: &[(&str, i64)]) -> Expected {
        let reference = |name: &str| EntityRef::new("component", "default", name).unwrap();
        entities
            .iter()
            .map(|(name, n)| (reference(name), json!({"n": n})))
            .collect()
    }

    #[test]
    fn a_follower_adds_up_what_it_is_told() {
        let mut follower = FeedFollower::default();
        for change in [
            change(1, ChangeKind::Added, "a"),
            change(2, ChangeKind::Added, "b"),
            change(5, ChangeKind::Modified, "a"),
            change(6, ChangeKind::Removed, "b"),
        ] {
            follower.apply(change).unwrap();
        }
        follower.compare("platform", &expected(&[("a", 5)])).unwrap();
        assert_eq!(follower.removed("platform").count(), 1);
        assert_eq!((follower.changes(), follower.last_sequence()), (4, Sequence(6)));
        let error = follower
            .compare("platform", &expected(&[("a", 4), ("c", 1)]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("1 missing (component:default/c)") && error.contains("1 with another body"),
            "{error}"
        );
        follower.compare("another", &expected(&[])).unwrap();
    }

    #[test]
    fn a_follower_refuses_what_is_out_of_order_or_does_not_fit() {
        let mut follower = FeedFollower::default();
        follower.apply(change(4, ChangeKind::Added, "a")).unwrap();
        assert!(follower.apply(change(4, ChangeKind::Modified, "a")).is_err());
        assert!(follower.apply(change(3, ChangeKind::Added, "b")).is_err());
        let mut bodiless = change(5, ChangeKind::Modified, "a");
        bodiless.body = None;
        assert!(follower.apply(bodiless).is_err());
    }
}
