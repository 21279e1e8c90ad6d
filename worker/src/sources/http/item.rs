//! Rereads one item, and finds the partition that an event names.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use tideline_core::words::{ChildPartition, EntityRef, KeyHash, item_hash};
use tideline_expression::Expression;
use tokio::time::Instant;

use super::derived::item_plan;
use super::lines::Form;
use super::lookup::NOTHING;
use super::partition::{Place, key_prefix};
use super::template::scalar_text;
use super::{HttpSource, Inner};
use crate::source::{ErrorClass, Item, ItemContent, ItemRequest, SourceError};

impl HttpSource {
    /// Reads the item at the path of its resource's `item`. 404 and 410 say that there is none, or that it is not
    /// shown; so does an answer without an item: nothing, null or an empty list.
    pub(super) async fn read_one(&self, request: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        let permanent = |why: String| SourceError::new(ErrorClass::Permanent, self.transport.redactor.text(&why));
        let found = self.inner.item_plan(request.resource, request.values);
        let Some((index, place)) = found else {
            let resource = request.resource.unwrap_or("the first resource");
            return Err(permanent(format!(
                "{resource} has no `item`, so single items cannot be read"
            )));
        };
        let plan = &self.inner.plans[index];
        let asked = plan
            .request(&self.inner.base, &place, None)
            .map_err(|why| permanent(format!("item: {why}")))?;
        let answer = self.transport.fetch(&asked, None).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(self.missing(request).await);
        }
        self.rules.judge(&asked, &answer, (false, false), &self.transport)?;
        let looked = match plan.has_lookup {
            true => self.read_lookup(plan, &place).await?,
            false => Arc::clone(&NOTHING),
        };
        let read = self.read(index, &place, &answer, &looked).await;
        let read = read.map_err(|error| self.unreadable(error, &asked, &answer))?;
        if read.picked == 0 && read.items.is_empty() {
            return Ok(self.missing(request).await);
        }
        Ok(ItemContent::Found(read.items))
    }

    async fn missing(&self, request: ItemRequest<'_>) -> ItemContent {
        ItemContent::Missing {
            reference: self.reference_of(request).await,
        }
    }

    /// Whose entity an item is, made of the values that name it: those of the resource's `values` that are plain paths
    /// are put where they come from, and the reference is made of that.
    async fn reference_of(&self, request: ItemRequest<'_>) -> Option<EntityRef> {
        let resource = self.inner.resource(request.resource)?;
        if resource.item_values.is_empty() {
            return None;
        }
        let mut item = json!({});
        for (name, text) in &resource.item_values {
            let (Ok(Expression::Path(path)), Some(value)) = (Expression::compile(text), request.values.get(name))
            else {
                return None;
            };
            let mut at = &mut item;
            for member in &path {
                at = at.as_object_mut()?.entry(member.as_str()).or_insert_with(|| json!({}));
            }
            *at = value.clone();
        }
        let (index, place) = self.inner.item_plan(request.resource, request.values)?;
        let body = item.to_string();
        let read = self
            .inner
            .read(
                index,
                (&place, &NOTHING),
                &self.transport.redactor,
                (body.as_bytes(), Form::Json),
                Instant::now() + self.page_timeout,
            )
            .await
            .ok()?;
        read.items.into_iter().find_map(|item| match item {
            Item::Entity { reference, .. } => Some(reference),
            Item::Malformed(item) => item.reference,
            Item::MadeBy(_) => None,
        })
    }
}

impl Inner {
    /// The item with these values, as pages name it.
    pub(super) fn maker(&self, request: ItemRequest<'_>) -> Option<KeyHash> {
        let resource = self.resource(request.resource)?;
        let plan = self.plans.iter().find(|plan| plan.name == resource.name)?;
        let values: Vec<(&str, String)> = (plan.maker.as_ref()?.iter())
            .map(|(name, _)| Some((name.as_str(), scalar_text(request.values.get(name)?)?)))
            .collect::<Option<_>>()?;
        let values = values.iter().map(|(name, text)| (*name, text.as_str()));
        Some(item_hash(&resource.name, values))
    }

    fn resource(&self, name: Option<&str>) -> Option<&tideline_config::settings::Resource> {
        match name {
            None => self.resources.first(),
            Some(name) => self.resources.iter().find(|resource| resource.name == name),
        }
    }

    fn item_plan(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<(usize, Place)> {
        let name = item_plan(&self.resource(resource)?.name);
        let place = Place::of(&name, &json!({ "resource": name, "values": values }));
        self.plan_of(&place).map(|index| (index, place))
    }

    /// What the keys of the resource's partitions with these values begin with: as many values as are known in a row.
    pub(super) fn partition_prefix(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<String> {
        let resource = self.resource(resource)?;
        let mut names: Vec<Vec<&String>> = Vec::new();
        let mut at = resource;
        while let Some(parent) = &at.parent {
            names.push(at.parent_values.keys().collect());
            at = self.resource(Some(parent))?;
        }
        let known = names.iter().rev().flatten().map_while(|name| values.get(*name));
        let all: usize = names.iter().map(Vec::len).sum();
        let prefix = key_prefix(&resource.name, known);
        let complete = names
            .iter()
            .flatten()
            .filter(|name| values.contains_key(**name))
            .count()
            == all;
        // The last part of a key has no slash behind it.
        Some(if complete {
            prefix.trim_end_matches('/').to_owned()
        } else {
            prefix
        })
    }

    /// The partition of a resource, named as the page that reveals it does.
    pub(super) fn partition(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<ChildPartition> {
        let resource = self.resource(resource)?;
        let root = self.resources.first()?;
        // Where the server has one of several APIs, the root partition is the choice.
        if resource.name == root.name && !self.has_alternatives {
            return Some(ChildPartition {
                key: String::new(),
                args: json!({}),
            });
        }
        let Some(parent) = &resource.parent else {
            return Some(ChildPartition {
                key: resource.name.clone(),
                args: json!({ "resource": resource.name, "values": {} }),
            });
        };
        let above = self.partition(Some(parent), values)?;
        let mut own = Vec::new();
        for name in resource.parent_values.keys() {
            own.push((name.clone(), values.get(name)?.clone()));
        }
        Some(Place::of(&above.key, &above.args).child(&resource.name, &own))
    }
}
