//! `tideline login` and `tideline logout`: the token of a server, kept for this user.

use std::io::{self, IsTerminal, Read, Write as _};

use clap::Args;
use console::Term;
use tideline_core::words::Secret;
use tideline_producer::api::types::Identity;

use crate::client::credentials::Credentials;
use crate::client::{Remote, Request, Server};
use crate::context::{Context, environment};
use crate::exit::{Code, Failure};
use crate::output::{Out, Tone};

/// Longest secret that is read, in bytes.
const MAX_SECRET: u64 = 4_096;

/// No arguments of its own: `--server` says where.
#[derive(Args, Debug)]
pub(crate) struct LoginArgs {}

/// No arguments of its own: `--server` says where.
#[derive(Args, Debug)]
pub(crate) struct LogoutArgs {}

/// Asks for the token, tries it, and keeps it. It is never an argument: those are seen by every user of the machine.
pub(crate) async fn login(context: &Context, out: &mut Out, _: LoginArgs) -> anyhow::Result<Code> {
    let server = named(context, "login")?;
    if server.is_open_to_eavesdroppers() {
        Out::stderr().toned(
            Tone::Warn,
            format!("{server} is not https: the token can be read in transit"),
        )?;
    }
    let token = read_token(&server)?;
    let remote = Remote::open(server.clone().with_token(Some(token.clone())))?;
    let answer = remote.send(&Request::get(&["whoami"])).await?;
    let identity: Identity = answer.read()?;
    let mut credentials = Credentials::load()?;
    credentials.keep(&server.to_string(), &token)?;
    if out.is_json() {
        out.answer(&answer.text())?;
    } else {
        let sources = match identity.sources.as_slice() {
            [] => String::new(),
            globs => format!(", sources {}", globs.join(" ")),
        };
        let path = credentials.path().display();
        out.note(
            Tone::Plain,
            format!(
                "{server}: {} (role {}{sources}); stored in {path}",
                identity.name, identity.role
            ),
        )?;
    }
    if environment("TIDELINE_TOKEN").is_some() {
        Out::stderr().toned(Tone::Warn, "TIDELINE_TOKEN is set and is used instead of it")?;
    }
    Ok(Code::Done)
}

/// Forgets the token. It stays valid for others who have it, until it is revoked.
pub(crate) fn logout(context: &Context, out: &mut Out, _: LogoutArgs) -> anyhow::Result<Code> {
    let server = named(context, "logout")?.to_string();
    if !Credentials::load()?.forget(&server)? {
        let text = format!("no token is stored for {server}");
        return Err(Failure::new(Code::NotFound, text).into());
    }
    out.note(
        Tone::Plain,
        format!("{server}: the stored token was removed; it stays valid until `tideline tokens revoke`"),
    )?;
    Ok(Code::Done)
}

fn named(context: &Context, command: &str) -> anyhow::Result<Server> {
    let missing = || {
        let text = format!(
            "specify the server: `tideline {command} --server https://tideline.example.com`, or TIDELINE_SERVER"
        );
        Failure::new(Code::Config, text)
    };
    Ok(context.named_server()?.ok_or_else(missing)?)
}

fn read_token(server: &Server) -> anyhow::Result<Secret> {
    let token = read_secret(&format!("Token for {server}"))?;
    if token.reveal().chars().any(|c| c.is_whitespace() || c.is_control()) {
        let text = "no token on standard input: `tideline tokens create`, run next to the server, prints one (tdl_…)";
        return Err(Failure::new(Code::Config, text).into());
    }
    Ok(token)
}

/// From a person, who does not see it, or from standard input.
///
/// # Errors
/// There is none.
pub(super) fn read_secret(what: &str) -> anyhow::Result<Secret> {
    let text = if io::stdin().is_terminal() {
        write!(io::stderr(), "{what} (it is not shown): ")?;
        Term::stderr().read_secure_line()?
    } else {
        let mut text = String::new();
        io::stdin().lock().take(MAX_SECRET).read_to_string(&mut text)?;
        text
    };
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Failure::new(Code::Config, format!("{what}: standard input is empty")).into());
    }
    Ok(Secret::new(secret))
}
