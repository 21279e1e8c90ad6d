//! Notifications for people: one sentence and a link, in the format of their chat's incoming webhooks. Only for
//! Tideline's own events: external content must not speak in its name.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tideline_core::full_text;
use tideline_core::words::{EventHead, EventRecord, PushFormat, Timestamp};
use tideline_store::SubscriptionStore;
use url::Url;

use super::message::Message;

/// People are notified once of an ongoing problem, and again only after it was quiet for this long.
const QUIET: Duration = Duration::from_secs(3_600);
/// Maximum length of a sentence, in bytes.
const MAX_BYTES: usize = 1_000;

/// A sentence and its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    text: String,
    link: Option<String>,
}

/// The content of Tideline's own events.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts {
    job: Option<i64>,
    source: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    would_remove: Option<u64>,
    owned: Option<u64>,
    kind: Option<String>,
    key: Option<String>,
    subscription: Option<String>,
    event: Option<String>,
    hook: Option<String>,
    attempts: Option<u64>,
    failures: Option<u64>,
}

/// Whether a subscription notified people of an event on the same topic about the same thing within the hour before it.
/// If the store does not respond, people are notified twice rather than never.
pub(super) async fn was_told<S: SubscriptionStore + ?Sized>(store: &S, subscription: &str, head: &EventHead) -> bool {
    match store.find_notice(subscription, &head.topic, &head.key).await {
        // A replay, or a dead letter that is resent, refers to something that was already reported.
        Ok(notice) => notice
            .is_some_and(|notice| notice.sequence < head.sequence && head.created_at.since(notice.created_at) < QUIET),
        Err(error) => {
            tracing::debug!(error = full_text(&error), "what people were told cannot be found");
            false
        }
    }
}

/// Records that a subscription notified people of an event, or would have done so again.
pub(super) async fn note<S: SubscriptionStore + ?Sized>(store: &S, subscription: &str, head: &EventHead) {
    let quiet = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
    let forget_before = Timestamp(head.created_at.0.saturating_sub(quiet));
    if let Err(error) = store.note_notice(subscription, head, forget_before).await {
        tracing::debug!(
            subscription,
            error = full_text(&error),
            "what people were told cannot be noted"
        );
    }
}

/// The sentence of an event.
pub(super) fn of_event(event: &EventRecord, public_url: Option<&Url>) -> Sentence {
    let head = &event.head;
    let facts: Facts = serde_json::from_slice(&event.body).unwrap_or_default();
    let source = facts.source.as_deref().unwrap_or(&head.key);
    let because = |why: &Option<String>| why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    let text = match head.topic.as_str() {
        "sweep.held" => format!(
            "Source {source}: a sweep is held and waits for your decision. It would remove {} of {} entities{}.",
            facts.would_remove.unwrap_or_default(),
            facts.owned.unwrap_or_default(),
            because(&facts.reason)
        ),
        "cycle.cancelled" => format!(
            "Source {source}: a cycle was cancelled{}. Nothing was deleted.",
            because(&facts.reason)
        ),
        "source.blocked" => format!(
            "Source {source} is blocked and reads nothing until its configuration is fixed{}.",
            because(&facts.reason)
        ),
        "source.failing" => format!(
            "Source {source} failed {} times within 24 hours and will be retried{}.",
            facts.failures.unwrap_or(3),
            because(&facts.error)
        ),
        "job.parked" => format!(
            "A job is parked and waits for you: {} {}{}.",
            facts.kind.as_deref().unwrap_or("job"),
            facts.key.as_deref().unwrap_or(&head.key),
            because(&facts.error)
        ),
        "subscription.dead_letter" => format!(
            "Subscription {}: event {} was given up after {} attempts{}.",
            head.key,
            facts.event.as_deref().unwrap_or("?"),
            facts.attempts.unwrap_or_default(),
            because(&facts.error)
        ),
        "subscription.blocked" => format!(
            "Subscription {} was switched off and receives nothing until someone resumes it{}.",
            facts.subscription.as_deref().unwrap_or(&head.key),
            because(&facts.reason)
        ),
        "subscription.failing" => format!("Subscription {} fails{}.", head.key, because(&facts.error)),
        "drift.found" => format!(
            "Source {source}: a cycle found changes that no event had reported{}.",
            because(&facts.reason)
        ),
        "hook.silent" => format!(
            "Hook {} has received nothing for much longer than usual{}.",
            facts.hook.as_deref().unwrap_or(&head.key),
            because(&facts.reason)
        ),
        topic if head.key.is_empty() => format!("Event {topic}."),
        topic => format!("Event {topic}: {}.", head.key),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("..", ".");
    let text = text[..text.floor_char_boundary(MAX_BYTES)].to_owned();
    Sentence {
        text,
        link: public_url.and_then(|base| link(base, &facts, head)),
    }
}

/// The page of the thing in the dashboard.
fn link(base: &Url, facts: &Facts, head: &EventHead) -> Option<String> {
    let mut url = base.clone();
    let (page, name) = match (&facts.job, &facts.source) {
        (Some(job), _) => ("jobs", job.to_string()),
        (None, Some(source)) => ("sources", source.clone()),
        (None, None) if head.topic.starts_with("subscription.") => ("subscriptions", head.key.clone()),
        (None, None) => ("events", head.sequence.to_string()),
    };
    url.path_segments_mut().ok()?.pop_if_empty().extend([page, &name]);
    Some(url.into())
}

impl Sentence {
    /// The body that this kind of incoming webhook takes.
    pub(super) fn message(&self, format: PushFormat, id: String) -> Message {
        let (content_type, body) = match format {
            PushFormat::Text => ("text/plain; charset=utf-8", self.plain().into_bytes()),
            PushFormat::Teams => ("application/json", self.card().to_string().into_bytes()),
            PushFormat::Mattermost => (
                "application/json",
                json!({ "text": self.markdown() }).to_string().into_bytes(),
            ),
            PushFormat::Slack | PushFormat::Event => (
                "application/json",
                json!({ "text": self.slack() }).to_string().into_bytes(),
            ),
        };
        Message { id, content_type, body }
    }

    fn plain(&self) -> String {
        match &self.link {
            Some(link) => format!("{} {link}", self.text),
            None => self.text.clone(),
        }
    }

    /// <https://docs.slack.dev/messaging/formatting-message-text>: `&`, `<` and `>` are escaped, so that no text pings
    /// a channel.
    fn slack(&self) -> String {
        let text = self
            .text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        match &self.link {
            Some(link) => format!("{text} <{link}|Open>"),
            None => text,
        }
    }

    /// Mattermost's Markdown; an `@` notifies no one.
    fn markdown(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for c in self.text.chars() {
            if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~') {
                text.push('\\');
            }
            text.push(c);
            if c == '@' {
                text.push('\u{200b}');
            }
        }
        match &self.link {
            Some(link) => format!("{text} [Open]({link})"),
            None => text,
        }
    }

    /// An adaptive card, as workflows of Teams take it ("Post to a channel when a webhook request is received").
    fn card(&self) -> Value {
        let actions: Vec<Value> = (self.link.iter())
            .map(|link| json!({ "type": "Action.OpenUrl", "title": "Open", "url": link }))
            .collect();
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.2",
                    "body": [{ "type": "TextBlock", "text": self.text, "wrap": true }],
                    "actions": actions,
                },
            }],
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use tideline_core::words::{EventSequence, Verdict};

    fn event(topic: &str, key: &str, body: Value) -> EventRecord {
        EventRecord {
            head: EventHead {
                sequence: EventSequence(12),
                topic: topic.to_owned(),
                key: key.to_owned(),
                created_at: Timestamp(0),
                delivery: None,
                verdict: Verdict::Own,
                malformed: false,
                body_bytes: 0,
                trace: None,
            },
            headers: vec![],
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn people_get_one_sentence_that_says_what_happened_and_where_to_look() {
        let base: Url = "https://tideline.example.com/t/".parse().unwrap();
        let held = event(
            "sweep.held",
            "web",
            json!({"source": "web", "cycle": 4, "reason": "31% is above 20%", "would_remove": 31, "owned": 100}),
        );
        let sentence = of_event(&held, Some(&base));
        assert_eq!(
            sentence.plain(),
            "Source web: a sweep is held and waits for your decision. It would remove 31 of 100 entities: 31% is above 20%. \
             https://tideline.example.com/t/sources/web"
        );
        let dead = event(
            "subscription.dead_letter",
            "audit",
            json!({"subscription": "audit", "event": "9", "attempts": 8, "error": "500"}),
        );
        let sentence = of_event(&dead, Some(&base));
        assert_eq!(
            sentence.plain(),
            "Subscription audit: event 9 was given up after 8 attempts: 500. https://tideline.example.com/t/subscriptions/audit"
        );
        let failing = event(
            "source.failing",
            "web",
            json!({"source": "web", "error": "503", "failures": 3}),
        );
        assert_eq!(
            of_event(&failing, None).plain(),
            "Source web failed 3 times within 24 hours and will be retried: 503."
        );
        assert_eq!(
            of_event(&event("github.push", "a/b", json!({})), None).plain(),
            "Event github.push: a/b."
        );
    }

    #[test]
    fn a_text_from_outside_can_neither_ping_a_channel_nor_make_a_link() {
        let blocked = event(
            "source.blocked",
            "web",
            json!({"source": "web", "reason": "<!channel> & [x](http://y) @all"}),
        );
        let sentence = of_event(&blocked, None);
        let slack = sentence.message(PushFormat::Slack, "1".to_owned());
        let slack = String::from_utf8(slack.body).unwrap();
        assert!(slack.contains("&lt;!channel&gt; &amp;"), "{slack}");
        let mattermost = sentence.message(PushFormat::Mattermost, "1".to_owned());
        let mattermost: Value = serde_json::from_slice(&mattermost.body).unwrap();
        let text = mattermost["text"].as_str().unwrap();
        assert!(text.contains("\\[x\\](http://y)") && !text.contains("@all"), "{text}");
        let card: Value = serde_json::from_slice(&sentence.message(PushFormat::Teams, "1".to_owned()).body).unwrap();
        assert_eq!(card["attachments"][0]["content"]["type"], "AdaptiveCard");
    }
}
