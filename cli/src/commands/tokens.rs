//! `tideline tokens`: who may use the API.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tideline_config::parse_duration;
use tideline_core::words::{Role, Timestamp};
use tideline_producer::api::types::{CreatedToken, NewToken, Page, Time, Token};

use crate::client::{Client, Request};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Piece, Tone, moment};

/// Without a subcommand: list.
#[derive(Args, Debug)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    command: Option<TokensCommand>,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// List tokens, without their secrets (the default)
    List,
    /// Create a token and print it; it is not shown again. The first one ends access without a token within 5 s
    Create(CreateArgs),
    /// Revoke a token
    Revoke {
        /// ID of the token, or its name
        #[arg(value_name = "ID|NAME")]
        token: String,
    },
}

/// What the token is for.
#[derive(Args, Debug)]
struct CreateArgs {
    /// Name, unique among tokens that are not revoked
    #[arg(long)]
    name: String,
    /// What its holder may do
    #[arg(long, value_enum)]
    role: RoleName,
    /// Restrict the token to sources that match this glob; may be repeated [default: all sources]
    #[arg(long = "source", value_name = "GLOB", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    sources: Vec<String>,
    /// Time until it expires, such as 90d or 12h [default: never]
    #[arg(long, value_name = "DURATION", value_parser = life)]
    expires: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// Read only
    Read,
    /// Read, and act on sources, jobs, deliveries, subscriptions and targets
    Operate,
    /// Write entities of push sources, nothing else
    Push,
    /// Everything, including tokens
    Admin,
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Read => Self::Read,
            RoleName::Operate => Self::Operate,
            RoleName::Push => Self::Push,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// A duration as in the configuration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text} is not a duration like 90d, 12h or 30m"))
}

/// A duration that is not over at once; the API counts seconds.
fn life(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        life if life.as_secs() == 0 => Err("a token must be valid for at least 1s".to_owned()),
        life => Ok(life),
    }
}

/// Lists, creates or revokes.
pub(crate) async fn run(context: &Context, out: &mut Out, args: TokensArgs) -> anyhow::Result<Code> {
    let client = context.client().await?;
    match args.command.unwrap_or(TokensCommand::List) {
        TokensCommand::List => list(context, &client, out).await?,
        TokensCommand::Create(create_args) => create(&client, out, create_args).await?,
        TokensCommand::Revoke { token } => revoke(&client, out, &token).await?,
    }
    Ok(Code::Done)
}

async fn list(context: &Context, client: &Client<'_>, out: &mut Out) -> anyhow::Result<()> {
    let answer = client.send(&Request::get(&["tokens"])).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let tokens: Page<Token> = answer.read()?;
    if tokens.items.is_empty() {
        return Ok(out.note(
            Tone::Plain,
            "No tokens: only programs on the gateway's machine may use the API.",
        )?);
    }
    Ok(out.grid(&tokens_grid(&tokens.items, context.now()))?)
}

fn tokens_grid(tokens: &[Token], now: Timestamp) -> Grid {
    let mut grid = Grid::new(&["id", "name", "role", "sources", "created", "by", "last used", "state"]);
    let ago = |time: Option<Time>| time.map_or_else(|| "never".to_owned(), |time| moment(time.0, now));
    for token in tokens {
        let state = match (token.revoked_at, token.expires_at) {
            (Some(revoked), _) => Piece::toned(format!("revoked {}", moment(revoked.0, now)), Tone::Dim),
            (None, Some(expires)) if expires.0 <= now => {
                Piece::toned(format!("expired {}", moment(expires.0, now)), Tone::Bad)
            }
            (None, Some(expires)) => Piece::toned(format!("expires {}", moment(expires.0, now)), Tone::Good),
            (None, None) => Piece::toned("valid", Tone::Good),
        };
        let sources = if token.sources.is_empty() {
            "all".to_owned()
        } else {
            token.sources.join(" ")
        };
        grid.row(vec![
            token.id.as_str().into(),
            token.name.as_str().into(),
            token.role.as_str().into(),
            sources.into(),
            moment(token.created_at.0, now).into(),
            token.created_by.as_str().into(),
            ago(token.last_used_at).into(),
            state,
        ]);
    }
    grid
}

/// The token alone goes to standard output, so that `$(tideline tokens create …)` is the token.
async fn create(client: &Client<'_>, out: &mut Out, args: CreateArgs) -> anyhow::Result<()> {
    let new = NewToken {
        name: args.name,
        role: args.role.into(),
        sources: args.sources,
        expires_in_seconds: args.expires.map(|life| life.as_secs()),
    };
    let answer = client.send(&Request::post(&["tokens"]).body(&new)?).await?;
    if out.is_json() {
        return Ok(out.answer(&answer.text())?);
    }
    let created: CreatedToken = answer.read()?;
    let (id, name) = (&created.token.id, &created.token.name);
    let Some(secret) = created.secret else {
        let text = format!(
            "the token {name} was created, but the response containing it was lost; run `tideline tokens revoke {id}` \
             and create another one"
        );
        return Err(Failure::new(Code::Error, text).into());
    };
    out.line(secret)?;
    out.aside(format!(
        "The token {name} is shown only once; `tideline tokens revoke {id}` revokes it. Within 5 s, all access \
         requires a token."
    ))?;
    Ok(())
}

async fn revoke(client: &Client<'_>, out: &mut Out, given: &str) -> anyhow::Result<()> {
    let tokens: Page<Token> = client.ask(&Request::get(&["tokens"])).await?;
    let named = |token: &&Token| token.id == given || (token.name == given && token.revoked_at.is_none());
    let Some(token) = tokens.items.iter().find(named) else {
        return Err(Failure::new(Code::NotFound, format!("token {given} does not exist")).into());
    };
    client.send(&Request::delete(&["tokens", &token.id])).await?;
    if out.is_json() {
        return Ok(out.document(&serde_json::json!({"id": token.id, "name": token.name}))?);
    }
    Ok(out.note(Tone::Plain, format!("token {} ({}): revoked", token.name, token.id))?)
}
