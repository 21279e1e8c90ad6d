//! The fast way to values at plain paths (`.`, `.a.b`): one walk over the text that keeps slices of it and builds no
//! tree. This is the hot path of ingestion.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use tideline_expression::Path;

use super::super::text::Text;

/// Which values are wanted, as a tree of member names.
#[derive(Debug, Clone, Default)]
pub(super) struct Wants {
    items: bool,
    slots: Vec<usize>,
    members: Vec<(String, Wants)>,
    count: usize,
}

impl Wants {
    /// The elements at `items`, and a slice per path.
    pub(super) fn new(items: Option<&Path>, paths: &[Path]) -> Self {
        let mut wants = Self {
            count: paths.len(),
            ..Self::default()
        };
        if let Some(path) = items {
            wants.node(path).items = true;
        }
        for (slot, path) in paths.iter().enumerate() {
            wants.node(path).slots.push(slot);
        }
        wants
    }

    /// Whether nothing is wanted.
    pub(super) fn is_empty(&self) -> bool {
        !self.items && self.slots.is_empty() && self.members.is_empty()
    }

    fn node(&mut self, path: &[String]) -> &mut Self {
        let Some((name, rest)) = path.split_first() else {
            return self;
        };
        let at = match self.members.iter().position(|(member, _)| member == name) {
            Some(at) => at,
            None => {
                self.members.push((name.clone(), Self::default()));
                self.members.len() - 1
            }
        };
        self.members[at].1.node(rest)
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// What is at the path of the items.
    pub(super) items: List<'a>,
    /// A slice per path, in their order.
    pub(super) slices: Vec<Option<&'a RawValue>>,
}

/// What is at the path of the items.
#[derive(Debug, Default)]
pub(super) enum List<'a> {
    /// Nothing: the path leads nowhere.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// The elements of an array.
    Elements(Vec<&'a RawValue>),
    /// Something else.
    Other,
}

/// Finds what is wanted.
///
/// # Errors
/// The text is not JSON; of a text that was cut the category is [`serde_json::error::Category::Eof`].
pub(super) fn extract<'a>(text: &'a str, wants: &Wants) -> Result<Found<'a>, serde_json::Error> {
    let mut found = Found {
        items: List::Absent,
        slices: vec![None; wants.count],
    };
    walk(text, wants, &mut found)?;
    Ok(found)
}

fn walk<'a>(text: &'a str, wants: &Wants, found: &mut Found<'a>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Walk { wants, found }.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Walk<'w, 'a> {
    wants: &'w Wants,
    found: &'w mut Found<'a>,
}

impl<'a> DeserializeSeed<'a> for Walk<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { wants, found } = self;
        match (wants.items, wants.slots.is_empty(), wants.members.is_empty()) {
            (true, true, true) => {
                found.items = deserializer.deserialize_any(ListVisitor)?;
                Ok(())
            }
            (false, true, _) => deserializer.deserialize_any(Self { wants, found }),
            _ => {
                // More than one thing is wanted of this value: take it as it is and look into it again.
                let slice: &'a RawValue = Deserialize::deserialize(deserializer)?;
                for slot in &wants.slots {
                    found.slices[*slot] = Some(slice);
                }
                let deeper = Wants {
                    slots: Vec::new(),
                    ..wants.clone()
                };
                if deeper.items && !deeper.members.is_empty() {
                    let list = Wants {
                        items: true,
                        ..Wants::default()
                    };
                    walk(slice.get(), &list, found).map_err(serde::de::Error::custom)?;
                    let members = Wants { items: false, ..deeper };
                    walk(slice.get(), &members, found).map_err(serde::de::Error::custom)
                } else if deeper.is_empty() {
                    Ok(())
                } else {
                    walk(slice.get(), &deeper, found).map_err(serde::de::Error::custom)
                }
            }
        }
    }
}

impl<'a> Visitor<'a> for Walk<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            match self.wants.members.iter().find(|(member, _)| *member == name) {
                Some((_, wants)) => map.next_value_seed(Walk {
                    wants,
                    found: &mut *self.found,
                })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct ListVisitor;

impl<'a> Visitor<'a> for ListVisitor {
    type Value = List<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<List<'a>, A::Error> {
        let mut elements = Vec::with_capacity(128);
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(List::Elements(elements))
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<List<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List::Other)
    }
    fn visit_unit<E>(self) -> Result<List<'a>, E> {
        Ok(List::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<List<'a>, E> {
        Ok(List::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<List<'a>, E> {
        Ok(List::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<List<'a>, E> {
        Ok(List::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<List<'a>, E> {
        Ok(List::Other)
    }
    fn visit_str<E>(self, _: &str) -> Result<List<'a>, E> {
        Ok(List::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn path(text: &str) -> Path {
        text.split('.')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn items_and_values_are_found_in_one_walk() {
        let text = r#"{"x":{"items":[{"a":1}, 2 ,"b"]},"next":"c","deep":{"er":[7]}}"#;
        let wants = Wants::new(
            Some(&path("x.items")),
            &[path("next"), path("deep.er"), path("deep.no")],
        );
        let found = extract(text, &wants).unwrap();
        let List::Elements(items) = found.items else {
            panic!("{:?}", found.items)
        };
        assert_eq!(
            items.iter().map(|item| item.get()).collect::<Vec<_>>(),
            [r#"{"a":1}"#, "2", "\"b\""]
        );
        let slices: Vec<_> = found.slices.iter().map(|slice| slice.map(RawValue::get)).collect();
        assert_eq!(slices, [Some("\"c\""), Some("[7]"), None]);
    }

    #[test]
    fn one_value_may_be_wanted_in_several_ways() {
        let text = r#"{"a":{"b":[1,2],"c":3}}"#;
        let wants = Wants::new(Some(&path("a.b")), &[path("a"), path(""), path("a.b"), path("a.c")]);
        let found = extract(text, &wants).unwrap();
        assert!(matches!(found.items, List::Elements(ref items) if items.len() == 2));
        let slices: Vec<_> = found.slices.iter().map(|slice| slice.unwrap().get()).collect();
        assert_eq!(slices, [r#"{"b":[1,2],"c":3}"#, text, "[1,2]", "3"]);
    }

    #[test]
    fn absent_null_and_other_things_are_told_apart() {
        let wants = Wants::new(Some(&path("items")), &[]);
        assert!(matches!(extract("{}", &wants).unwrap().items, List::Absent));
        assert!(matches!(extract("[]", &wants).unwrap().items, List::Absent));
        assert!(matches!(
            extract(r#"{"items":null}"#, &wants).unwrap().items,
            List::Null
        ));
        assert!(matches!(
            extract(r#"{"items":{"a":1}}"#, &wants).unwrap().items,
            List::Other
        ));
        let root = Wants::new(Some(&path("")), &[]);
        assert!(matches!(extract("[1]", &root).unwrap().items, List::Elements(_)));
    }

    #[test]
    fn a_cut_text_is_told_from_a_wrong_one() {
        let wants = Wants::new(Some(&path("items")), &[path("next")]);
        for text in ["", "{", r#"{"items":[{"a":"#, r#"{"items":[1],"next":"x"#] {
            assert!(extract(text, &wants).unwrap_err().is_eof(), "{text}");
        }
        for text in ["<html>", r#"{"items":[1],,}"#, "[] []"] {
            assert!(!extract(text, &wants).unwrap_err().is_eof(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_slice_means_what_the_tree_has_there(a in any::<i64>(), b in ".{0,9}", rest in proptest::collection::vec(".{0,5}", 0..5)) {
            let value = json!({"z": rest, "p": {"q": {"a": a, "b": b}}, "items": [a, b]});
            let text = value.to_string();
            let wants = Wants::new(Some(&path("items")), &[path("p.q.a"), path("p.q.b"), path("p.q")]);
            let found = extract(&text, &wants).unwrap();
            let at = |slot: usize| serde_json::from_str::<Value>(found.slices[slot].unwrap().get()).unwrap();
            prop_assert_eq!(at(0), json!(a));
            prop_assert_eq!(at(1), json!(b));
            prop_assert_eq!(at(2), value["p"]["q"].clone());
        }
    }
}
