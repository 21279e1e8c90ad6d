//! Asking for what an event lacks (`refresh: event`): one request, and another event made of its response.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::HttpSource;
use super::bodies::NoPage;
use super::derived::event_plan;
use super::lines::Form;
use super::lookup::NOTHING;
use super::partition::Place;
use super::transport::address;
use crate::source::{ErrorClass, Item, SourceError};

impl HttpSource {
    pub(super) async fn complete(
        &self,
        rule: usize,
        values: &Map<String, Value>,
        event: &str,
    ) -> Result<Value, SourceError> {
        let permanent = |why: String| SourceError::new(ErrorClass::Permanent, format!("on[{rule}].fetch: {why}"));
        let name = event_plan(rule);
        let place = Place::of(&name, &json!({ "resource": name, "values": values }));
        let index = self.inner.plan_of(&place);
        let index = index.ok_or_else(|| permanent("the configuration no longer has it".to_owned()))?;
        let plan = &self.inner.plans[index];
        let request = plan.request(&self.inner.base, &place, None).map_err(permanent)?;
        let answer = self.transport.fetch(&request, None).await?;
        let absent = self.says_nothing(plan, &answer, None);
        if !absent {
            self.rules.judge(&request, &answer, (false, false), &self.transport)?;
        }
        let response = match absent {
            true => Ok("null"),
            // Any JSON text: it is put into the item as it is.
            false => serde_json::from_slice::<&RawValue>(&answer.body).map(RawValue::get),
        };
        let response = response.map_err(|error| {
            let error = NoPage::from(super::reading::json_error(error));
            self.unreadable(error, &request, &answer)
        })?;
        let item = format!("{{\"event\":{event},\"response\":{response}}}");
        let deadline = Instant::now() + self.page_timeout;
        let body = (item.as_bytes(), Form::Json);
        let read = self
            .inner
            .read(index, (&place, &NOTHING), &self.transport.redactor, body, deadline);
        let read = read
            .await
            .map_err(|error| self.unreadable(NoPage::from(error), &request, &answer))?;
        let failed = read.items.iter().find_map(|item| match item {
            Item::Malformed(item) => Some(item.error.clone()),
            _ => None,
        });
        if let Some(why) = failed {
            return Err(permanent(format!("{}: {why}", address(&request.url))));
        }
        let made = read.entries.into_iter().next().map(|(_, body)| body);
        made.ok_or_else(|| permanent("body makes nothing of the response".to_owned()))
    }
}
