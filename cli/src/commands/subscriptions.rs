//! `tideline subscriptions` and `tideline dead-letters`: who follows the log of events, and what they gave up.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use tideline_core::words::Timestamp;
use tideline_producer::api::types::{DeadLetter, Page, Subscription};

use super::confirm::confirm;
use super::login::read_secret;
use super::several::Several;
use crate::client::{Client, Request};
use crate::context::Context;
use crate::exit::Code;
use crate::output::{Grid, Out, Piece, Tone, count, counted, moment, short};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct SubscriptionsArgs {
    #[command(subcommand)]
    command: Option<SubscriptionsCommand>,
}

/// What to do with subscriptions.
#[derive(Debug, Subcommand)]
enum SubscriptionsCommand {
    /// List subscriptions (the default)
    List,
    /// Show one subscription
    #[command(alias = "get")]
    Show(Named),
    /// Create a subscription that pulls, is pushed to a URL or notifies people; or change what it follows
    Create(CreateArgs),
    /// Deliver nothing until it is resumed
    Pause(Named),
    /// Resume after a pause, or after it was switched off
    Resume(Named),
    /// Discard outstanding events and continue from another position
    Replay {
        /// Name of the subscription
        name: String,
        /// Where to continue: now, beginning, or a time (RFC 3339)
        #[arg(long)]
        from: String,
    },
    /// Delete a subscription and its dead letters
    Delete {
        /// Name of the subscription
        name: String,
        /// Skip the confirmation prompt
        #[arg(long, short)]
        yes: bool,
    },
}

/// Which subscription.
#[derive(Args, Debug)]
struct Named {
    /// Name of the subscription
    name: String,
}

/// What it follows.
#[derive(Args, Debug)]
struct CreateArgs {
    /// Name of the subscription: letters, digits, -, _ or dot
    name: String,
    /// Topic or pattern, as in github.push or 'github.*'; may be repeated [default: every topic]
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where a new one starts: now, beginning, or a time (RFC 3339) [default: now]
    #[arg(long)]
    from: Option<String>,
    /// Maximum number of outstanding events [default: 1000]
    #[arg(long, value_name = "N")]
    max_outstanding: Option<u32>,
    /// jq condition over the event (.topic, .key, .hook, .headers, .body): only events for which it is true are delivered
    #[arg(long, value_name = "JQ")]
    filter: Option<String>,
    /// Send each event to this URL, signed; the secret is printed only once
    #[arg(long, value_name = "URL", conflicts_with = "notify")]
    push: Option<String>,
    /// Notify people in a channel of this chat; its webhook URL is read from the terminal or standard input
    #[arg(long, value_name = "CHAT", value_enum)]
    notify: Option<Chat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Chat {
    Slack,
    Teams,
    Mattermost,
    Text,
}

impl Chat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Mattermost => "mattermost",
            Self::Text => "text",
        }
    }
}

/// Lists, shows or acts.
pub(crate) async fn run(context: &Context, out: &mut Out, args: SubscriptionsArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let path = |name: &str, act: &str| Request::post(&["subscriptions", name, act]);
    match args.command.unwrap_or(SubscriptionsCommand::List) {
        SubscriptionsCommand::List => list(context, &client, out).await?,
        SubscriptionsCommand::Show(named) => show(context, &client, out, &named.name).await?,
        SubscriptionsCommand::Create(args) => create(&client, out, args).await?,
        SubscriptionsCommand::Pause(Named { name }) => {
            act(&client, out, &path(&name, "pause"), &format!("{name}: paused")).await?;
        }
        SubscriptionsCommand::Resume(Named { name }) => {
            act(&client, out, &path(&name, "resume"), &format!("{name}: resumed")).await?;
        }
        SubscriptionsCommand::Replay { name, from } => {
            let request = path(&name, "replay").body(&json!({ "from": from }))?;
            act(&client, out, &request, &format!("{name}: continues from {from}")).await?;
        }
        SubscriptionsCommand::Delete { name, yes } => {
            find(&client, &name, yes).await?;
            confirm(
                &format!("Delete the subscription {name}, its position and its dead letters?"),
                yes,
            )?;
            let request = Request::delete(&["subscriptions", &name]);
            client.send(&request).await?;
            if out.is_json() {
                out.document(&json!({ "name": name }))?;
            } else {
                out.note(Tone::Plain, format!("{name}: forgotten"))?;
            }
        }
    }
    Ok(Code::Done)
}

async fn create(client: &Client<'_>, out: &mut Out, args: CreateArgs) -> anyhow::Result<()> {
    let mut wanted = Map::new();
    wanted.insert("topics".to_owned(), args.topics.into());
    for (name, value) in [("from", args.from), ("filter", args.filter)] {
        if let Some(value) = value {
            wanted.insert(name.to_owned(), value.into());
        }
    }
    if let Some(most) = args.max_outstanding {
        wanted.insert("max_outstanding".to_owned(), most.into());
    }
    if let Some(url) = args.push {
        wanted.insert("push".to_owned(), json!({ "url": url }));
    }
    if let Some(chat) = args.notify {
        // Knowing the URL is enough to post to the channel.
        let url = read_secret(&format!("Webhook URL of the {} channel", chat.as_str()))?;
        wanted.insert(
            "notify".to_owned(),
            json!({ "url": url.reveal(), "format": chat.as_str() }),
        );
    }
    let name = args.name;
    let request = Request::put(&["subscriptions", &name]).body(&Value::Object(wanted))?;
    let answer = client.send(&request).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    if let Some(secret) = answer.read::<Value>()?["secret"].as_str() {
        out.line(secret)?;
        out.aside(format!("The secret of {name} is shown only once."))?;
        return Ok(());
    }
    Ok(out.note(Tone::Plain, format!("{name}: follows"))?)
}

/// Nobody is to confirm what is done to a subscription that does not exist.
async fn find(client: &Client<'_>, name: &str, confirmed: bool) -> anyhow::Result<()> {
    if !confirmed {
        client.send(&Request::get(&["subscriptions", name])).await?;
    }
    Ok(())
}

async fn act(client: &Client<'_>, out: &mut Out, request: &Request, said: &str) -> anyhow::Result<()> {
    let answer = client.send(request).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    Ok(out.note(Tone::Plain, said)?)
}

async fn list(context: &Context, client: &Client<'_>, out: &mut Out) -> anyhow::Result<()> {
    let answer = client.send(&Request::get(&["subscriptions"])).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let subscriptions: Page<Subscription> = answer.read()?;
    if subscriptions.items.is_empty() {
        return Ok(out.note(
            Tone::Plain,
            "No subscriptions yet: `tideline subscriptions create NAME` makes one.",
        )?);
    }
    let mut grid = Grid::new(&[
        "subscription",
        "kind",
        "state",
        "topics",
        "lag",
        "dead letters",
        "last error",
    ]);
    for one in &subscriptions.items {
        grid.row(vec![
            one.name.as_str().into(),
            word(&one.kind).into(),
            state(one, context.now()),
            topics(one).into(),
            Piece::number(one.lag),
            Piece::number_toned(one.dead_letters, Tone::Bad),
            short(one.last_error.as_deref().unwrap_or_default(), 120).into(),
        ]);
    }
    Ok(out.grid(&grid)?)
}

/// A word of the design, as in JSON.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn topics(subscription: &Subscription) -> String {
    if subscription.topics.is_empty() {
        "all".to_owned()
    } else {
        subscription.topics.join(" ")
    }
}

fn state(subscription: &Subscription, now: Timestamp) -> Piece {
    let word = word(&subscription.state);
    match (word.as_str(), subscription.failing_since) {
        ("blocked", _) => Piece::toned(word, Tone::Bad),
        ("paused", _) => Piece::toned(word, Tone::Warn),
        (_, Some(since)) => Piece::toned(format!("failing, since {}", moment(since.0, now)), Tone::Warn),
        (_, None) => Piece::toned(word, Tone::Good),
    }
}

async fn show(context: &Context, client: &Client<'_>, out: &mut Out, name: &str) -> anyhow::Result<()> {
    let answer = client.send(&Request::get(&["subscriptions", name])).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let one: Subscription = answer.read()?;
    let now = context.now();
    let mut grid = Grid::pairs();
    grid.pair("subscription", one.name.as_str());
    grid.pair("kind", word(&one.kind));
    grid.pair("state", state(&one, now));
    grid.pair("topics", topics(&one));
    if let Some(push) = &one.push {
        grid.pair("sent to", format!("{} ({})", push.url, word(&push.format)));
    }
    grid.pair("position", one.position.as_str());
    grid.pair("lag", count(one.lag));
    grid.pair("outstanding", count(u64::from(one.outstanding)));
    grid.pair("dead letters", count(one.dead_letters));
    grid.pair("created", moment(one.created_at.0, now));
    for (what, text) in [
        ("filter", &one.filter),
        ("blocked because", &one.blocked_reason),
        ("last error", &one.last_error),
        ("missed up to", &one.missed_to),
    ] {
        if let Some(text) = text {
            grid.pair(what, text.as_str());
        }
    }
    Ok(out.grid(&grid)?)
}

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    command: Option<DeadLettersCommand>,
    /// Name of the subscription [default: shows how many each one has]
    subscription: Option<String>,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// List the events that a subscription gave up (the default)
    List {
        /// Name of the subscription
        subscription: String,
    },
    /// Make dead letters due again, as if for the first time
    Replay {
        /// Name of the subscription
        subscription: String,
        /// Event ID, as the list shows it; may be repeated
        #[arg(required_unless_present = "all")]
        events: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "events")]
        all: bool,
    },
    /// Drop dead letters: their events will never be sent again
    Drop {
        /// Name of the subscription
        subscription: String,
        /// Event ID, as the list shows it; may be repeated
        #[arg(required_unless_present = "all")]
        events: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "events")]
        all: bool,
        /// Skip the confirmation prompt
        #[arg(long, short)]
        yes: bool,
    },
}

/// Lists, replays or drops.
pub(crate) async fn dead_letters(context: &Context, out: &mut Out, args: DeadLettersArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    match args.command {
        None => match args.subscription {
            Some(subscription) => list_letters(context, &client, out, &subscription).await?,
            None => list(context, &client, out).await?,
        },
        Some(DeadLettersCommand::List { subscription }) => list_letters(context, &client, out, &subscription).await?,
        Some(DeadLettersCommand::Replay {
            subscription, events, ..
        }) => {
            let (retried, code) = take(&client, &subscription, "retry", &events).await?;
            if out.is_json() {
                out.document(&json!({ "retried": retried }))?;
            } else {
                out.note(
                    Tone::Plain,
                    format!(
                        "{subscription}: {} due again",
                        counted(retried, "event is", "events are")
                    ),
                )?;
            }
            return Ok(code);
        }
        Some(DeadLettersCommand::Drop {
            subscription,
            events,
            yes,
            ..
        }) => {
            find(&client, &subscription, yes).await?;
            confirm(&drop_question(&subscription, events.len()), yes)?;
            let (dropped, code) = take(&client, &subscription, "drop", &events).await?;
            if out.is_json() {
                out.document(&json!({ "dropped": dropped }))?;
            } else {
                out.note(
                    Tone::Plain,
                    format!(
                        "{subscription}: {} dropped",
                        counted(dropped, "dead letter", "dead letters")
                    ),
                )?;
            }
            return Ok(code);
        }
    }
    Ok(Code::Done)
}

/// The question before these dead letters, or all of them, are dropped.
fn drop_question(subscription: &str, events: usize) -> String {
    let (which, whose) = match events {
        0 => ("all dead letters".to_owned(), "Their events"),
        1 => ("this dead letter".to_owned(), "Its event"),
        some => (format!("these {some} dead letters"), "Their events"),
    };
    format!("Drop {which} of {subscription}? {whose} will never be sent again.")
}

/// Takes the named dead letters, or all of them, in batches; returns how many.
async fn take(client: &Client<'_>, subscription: &str, act: &str, events: &[String]) -> anyhow::Result<(u64, Code)> {
    #[derive(serde::Deserialize)]
    struct Taken {
        #[serde(alias = "retried", alias = "dropped")]
        count: u64,
    }
    let request = Request::post(&["subscriptions", subscription, "dead-letters", act]);
    let mut taken = 0;
    let mut several = Several::new();
    for event in events {
        let request = request.clone().body(&json!({ "id": event }))?;
        let answer = several.take(&format!("event {event}"), client.ask::<Taken>(&request).await)?;
        taken += answer.map_or(0, |answer| answer.count);
    }
    if !events.is_empty() {
        return Ok((taken, several.code()));
    }
    // What is given up meanwhile is not among them, or this might never end.
    let subscription: Subscription = client.ask(&Request::get(&["subscriptions", subscription])).await?;
    while taken < subscription.dead_letters {
        let answer: Taken = client.ask(&request.clone().body(&json!({}))?).await?;
        taken += answer.count;
        if answer.count == 0 {
            break;
        }
    }
    Ok((taken, Code::Done))
}

async fn list_letters(context: &Context, client: &Client<'_>, out: &mut Out, name: &str) -> anyhow::Result<()> {
    let answer = client
        .send(&Request::get(&["subscriptions", name, "dead-letters"]))
        .await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let letters: Page<DeadLetter> = answer.read()?;
    if letters.items.is_empty() {
        return Ok(out.note(Tone::Plain, "No dead letters.")?);
    }
    let mut grid = Grid::new(&["event", "topic", "about", "attempts", "given up", "error"]);
    for letter in &letters.items {
        let (topic, key) = match &letter.event {
            Some(event) => (event.topic.as_str(), event.key.as_str()),
            None => ("dropped from the log", ""),
        };
        grid.row(vec![
            letter.id.as_str().into(),
            topic.into(),
            key.into(),
            Piece::number(u64::from(letter.attempts)),
            moment(letter.died_at.0, context.now()).into(),
            short(&letter.error, 160).into(),
        ]);
    }
    Ok(out.grid(&grid)?)
}
