//! `tideline events` and `tideline deliveries`: the log of events, and the webhooks in it.

use clap::{Args, Subcommand};
use serde_json::value::RawValue;
use tideline_core::words::Timestamp;
use tideline_producer::api::types::{Event, Events, WholeEvent};

use super::audit::moment_of;
use crate::client::{Client, ClientError, Following, Listing, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Piece, Tone, count, moment, pretty};

/// Events of one request.
const PAGE: u64 = 100;
/// How long a follower's request waits for an event, in seconds.
const WAIT: u64 = 25;

/// Which events.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Only these topics, such as github.push or 'github.*'; may be repeated
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only events with this key
    #[arg(long, conflicts_with = "follow")]
    key: Option<String>,
    /// Only events since this time (RFC 3339) or within this duration, such as 24h
    #[arg(long, value_name = "TIME|DURATION")]
    since: Option<String>,
    /// Print events with their content as they arrive, until Ctrl-C; starts with the next one, or at --since
    #[arg(long, short)]
    follow: bool,
    /// Continue where the last list ended
    #[arg(long, value_name = "TOKEN", conflicts_with = "follow")]
    page_token: Option<String>,
    /// Maximum number of events [default: 100, or no limit with --follow]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Lists, newest first, or follows in commit order.
pub(crate) async fn events(context: &Context, out: &mut Out, args: EventsArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    let topics = (!args.topics.is_empty()).then(|| args.topics.join(","));
    let since = args.since.map(|since| moment_of(&since, context.now())).transpose()?;
    if args.follow {
        let request = Request::get(&["events", "log"]).query("topics", topics);
        let start = since.map_or_else(|| "now".to_owned(), |since| since.to_string());
        let following = follow(&client, out, (request, start), args.limit.unwrap_or(u64::MAX));
        tokio::select! {
            followed = following => followed?,
            _ = tokio::signal::ctrl_c() => {}
        }
        return Ok(Code::Done);
    }
    let listing = Listing {
        request: Request::get(&["events"])
            .query("topics", topics)
            .query("key", args.key)
            .query("since", since),
        limit: args.limit.unwrap_or(100),
        page_token: args.page_token,
        nothing: "No such events.",
        more: "There may be more:",
    };
    let now = context.now();
    listing.print(&client, out, |events| events_grid(events, now)).await?;
    Ok(Code::Done)
}

async fn follow(
    client: &Client<'_>,
    out: &mut Out,
    (topics, start): (Request, String),
    mut left: u64,
) -> anyhow::Result<()> {
    let mut place = ("from", start);
    let mut following = Following::new(client);
    while left > 0 {
        let request = topics
            .clone()
            .query(place.0, Some(&place.1))
            .query("limit", Some(left.min(PAGE)))
            // The first answer says at once where the reader stands, so that it goes on there whatever happens to the
            // server.
            .query("wait", following.has_answer().then_some(WAIT));
        let reading: Events = following.ask(&request).await.map_err(told)?;
        left = left.saturating_sub(reading.events.len() as u64);
        if let Some(missed) = &reading.missed_to {
            Out::stderr().toned(
                Tone::Warn,
                format!("events up to {missed} were dropped from the log before they were read"),
            )?;
        }
        for event in &reading.events {
            if out.is_json() {
                out.record(event)?;
            } else {
                show_line(out, &event.event)?;
            }
        }
        place = ("after", reading.next);
    }
    Ok(())
}

/// The API speaks of its parameter, which this command has not.
fn told(error: anyhow::Error) -> anyhow::Error {
    let code = error.downcast_ref::<ClientError>().and_then(ClientError::problem_code);
    match code {
        Some("start_over") => {
            let text = error.to_string().replace(
                "start over with after=0",
                "start again, with --since for what was missed",
            );
            Failure::new(Code::Refused, text).into()
        }
        _ => error,
    }
}

fn show_line(out: &mut Out, event: &Event) -> std::io::Result<()> {
    let tone = if event.malformed { Tone::Warn } else { Tone::Plain };
    let at = event.created_at;
    out.toned(tone, format!("{:>10}  {at}  {}  {}", event.id, event.topic, event.key))
}

fn events_grid(events: &[Event], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["event", "stored", "topic", "about", "from", "bytes"]);
    for event in events {
        let verdict = serde_json::to_value(event.verdict).unwrap_or_default();
        let verdict = verdict.as_str().unwrap_or_default();
        let from = match &event.hook {
            Some(hook) => format!("{hook} ({verdict})"),
            None => verdict.to_owned(),
        };
        let topic = if event.malformed {
            Piece::toned(format!("{} (malformed)", event.topic), Tone::Warn)
        } else {
            event.topic.as_str().into()
        };
        grid.row(vec![
            event.id.as_str().into(),
            moment(event.created_at.0, now).into(),
            topic,
            event.key.as_str().into(),
            from.into(),
            Piece::number(event.body_bytes),
        ]);
    }
    grid
}

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct DeliveriesArgs {
    #[command(subcommand)]
    command: Option<DeliveriesCommand>,
    #[command(flatten)]
    list: DeliveryFilter,
}

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
enum DeliveriesCommand {
    /// List webhooks received, newest first (the default)
    List(DeliveryFilter),
    /// Show one delivery with headers and body
    #[command(alias = "get")]
    Show {
        /// Event ID, as the list shows it
        event: String,
    },
    /// Append one to the event log again, as if it had just arrived
    Replay {
        /// Event ID, as the list shows it
        event: String,
    },
}

/// Which deliveries.
#[derive(Args, Debug)]
struct DeliveryFilter {
    /// Only deliveries of this hook
    #[arg(long)]
    hook: Option<String>,
    /// Only these topics, such as github.push or 'github.*'; may be repeated
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only deliveries since this time (RFC 3339) or within this duration, such as 24h
    #[arg(long, value_name = "TIME|DURATION")]
    since: Option<String>,
    /// Continue where the last list ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Maximum number of deliveries [default: 100]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Lists, shows or replays.
pub(crate) async fn deliveries(context: &Context, out: &mut Out, args: DeliveriesArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    match args.command {
        None => list(context, &client, out, args.list).await?,
        Some(DeliveriesCommand::List(filter)) => list(context, &client, out, filter).await?,
        Some(DeliveriesCommand::Show { event }) => show(context, &client, out, &event).await?,
        Some(DeliveriesCommand::Replay { event }) => replay(&client, out, &event).await?,
    }
    Ok(Code::Done)
}

async fn list(context: &Context, client: &Client<'_>, out: &mut Out, filter: DeliveryFilter) -> anyhow::Result<()> {
    let now = context.now();
    let since = filter.since.map(|since| moment_of(&since, now)).transpose()?;
    let listing = Listing {
        request: Request::get(&["events"])
            .query("deliveries", Some(true))
            .query("hook", filter.hook)
            .query("topics", (!filter.topics.is_empty()).then(|| filter.topics.join(",")))
            .query("since", since),
        limit: filter.limit.unwrap_or(100),
        page_token: filter.page_token,
        nothing: "No such deliveries.",
        more: "There may be more:",
    };
    listing.print(client, out, |events| events_grid(events, now)).await
}

async fn show(context: &Context, client: &Client<'_>, out: &mut Out, id: &str) -> anyhow::Result<()> {
    let answer = client.send(&Request::get(&["events", id])).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let WholeEvent {
        event,
        headers,
        body,
        body_base64,
    } = answer.read()?;
    let mut grid = Grid::pairs();
    grid.pair("event", event.id.as_str());
    grid.pair("topic", event.topic.as_str());
    grid.pair("about", event.key.as_str());
    grid.pair(
        "stored",
        format!("{} ({})", event.created_at, moment(event.created_at.0, context.now())),
    );
    if let (Some(hook), Some(delivery)) = (&event.hook, &event.delivery) {
        grid.pair("hook", hook.as_str());
        grid.pair("delivery", delivery.as_str());
    }
    grid.pair("bytes", count(event.body_bytes));
    for (name, value) in &headers {
        grid.pair(name, value.as_str());
    }
    out.grid(&grid)?;
    out.line("")?;
    match body.as_deref().map(RawValue::get) {
        Some(json) => out.data(&pretty(json))?,
        None => out.line(body_base64.unwrap_or_default())?,
    }
    Ok(())
}

async fn replay(client: &Client<'_>, out: &mut Out, id: &str) -> anyhow::Result<()> {
    let answer = client.send(&Request::post(&["events", id, "replay"])).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let event: Event = answer.read()?;
    Ok(out.note(
        Tone::Plain,
        format!("event {id}: appended to the log again as event {}", event.id),
    )?)
}
