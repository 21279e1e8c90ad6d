//! Reading one item again, and finding the partition that an event names.

use http::StatusCode;
use serde_json::{Map, Value, json};
use tideline_core::words::{ChildPartition, EntityRef};
use tideline_expression::Expression;
use tokio::time::Instant;

use super::lines::Form;
use super::partition::Place;
use super::plan::item_plan;
use super::{HttpSource, Inner};
use crate::source::{ErrorClass, Item, ItemContent, ItemRequest, SourceError};

impl HttpSource {
    /// Reads the item at the path of its resource's `item`. 404 and 410 say that there is none, or that it is not shown.
    pub(super) async fn read_one(&self, request: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        let permanent = |why: String| SourceError::new(ErrorClass::Permanent, self.transport.redactor.text(&why));
        let found = self.inner.item_plan(request.resource, request.values);
        let Some((index, place)) = found else {
            let resource = request.resource.unwrap_or("the first resource");
            return Err(permanent(format!(
                "{resource} has no `item`: nothing says how one of them is read"
            )));
        };
        let plan = &self.inner.plans[index];
        let asked = plan
            .request(&self.inner.base, &place, None)
            .map_err(|why| permanent(format!("item: {why}")))?;
        let answer = self.transport.fetch(&asked, None).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(ItemContent::Missing {
                reference: self.reference_of(request).await,
            });
        }
        self.rules.judge(&asked, &answer, (false, false), &self.transport)?;
        let read = self.read(index, &place, &answer).await;
        let read = read.map_err(|error| self.unreadable(error, &asked, &answer))?;
        Ok(ItemContent::Found(read.items))
    }

    /// Whose entity an item is, made of the values that name it: those of the resource's `values` that are plain paths are
    /// put where they come from, and the reference is made of that.
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
                &place,
                &self.transport.redactor,
                (body.as_bytes(), Form::Json),
                Instant::now() + self.page_timeout,
            )
            .await
            .ok()?;
        read.items.into_iter().find_map(|item| match item {
            Item::Entity { reference, .. } => Some(reference),
            Item::Malformed(item) => item.reference,
        })
    }
}

impl Inner {
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

    /// The partition of a resource, named as the page that reveals it does.
    pub(super) fn partition(&self, resource: Option<&str>, values: &Map<String, Value>) -> Option<ChildPartition> {
        let resource = self.resource(resource)?;
        let root = self.resources.first()?;
        if resource.name == root.name {
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
