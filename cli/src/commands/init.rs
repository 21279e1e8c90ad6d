//! `tideline init`: writes a first configuration from one answer of an API.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};
use tideline_config::check_source_name;
use url::Url;

use crate::context::environment;
use crate::exit::{Code, Failure};
use crate::init::{Guess, Paging, Response, config, error_in, guess, unreadable};
use crate::output::{Out, Tone, counted, unreachable};

/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may be.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// What to write, and from what.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// URL of a list in the API, such as https://api.example.com/v1/projects?per_page=100; prompted for on a terminal
    url: Option<Url>,
    /// Name of the source [default: the first label of the host that is not "api" or "www"]
    #[arg(long, value_parser = source_name_of)]
    name: Option<String>,
    /// Environment variable that holds a bearer token
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// File to write
    #[arg(long, short, default_value = "tideline.yaml", value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// Fetches, guesses, writes.
pub(crate) async fn run(out: &mut Out, args: InitArgs) -> anyhow::Result<Code> {
    let shown = args.output.display().to_string();
    if args.output.exists() && !args.force {
        return Err(Failure::new(Code::Refused, format!("{shown} exists; pass --force to replace it")).into());
    }
    let (url, token_env) = match args.url {
        Some(url) => (url, args.token_env),
        None => ask(args.token_env)?,
    };
    let name = args.name.unwrap_or_else(|| source_name(&url));
    let response = fetch(&url, token_env.as_deref()).await?;
    let guess = guess(&url, &response).ok_or_else(|| Failure::new(Code::Failed, no_list(&response.body)))?;
    let text = config(&name, &url, token_env.as_deref(), &guess);
    check(&text, &args.output)?;
    std::fs::write(&args.output, text).with_context(|| format!("write {shown}"))?;
    let warnings = guess.warnings();
    if out.is_json() {
        out.document(&json!({"file": shown, "source": name, "items": guess.count, "warnings": warnings}))?;
        return Ok(Code::Done);
    }
    say(out, &shown, &name, &guess)?;
    for warning in warnings {
        Out::stderr().toned(Tone::Warn, format!("Warning: {warning}"))?;
    }
    Ok(Code::Done)
}

/// A file that `tideline check` would refuse is not written.
fn check(text: &str, file: &Path) -> anyhow::Result<()> {
    let refused = |why: String| {
        let why = format!(
            "the configuration for this URL would not be valid, so nothing was written: {why}. Simplify the URL, or write the \
             file yourself"
        );
        Failure::new(Code::Failed, why)
    };
    let settings = tideline_config::parse(text, file, &environment).map_err(|errors| {
        let errors = errors.0.iter().map(|error| format!("{} {}", error.path, error.message));
        let errors: Vec<String> = errors.collect();
        refused(errors.join("; "))
    })?;
    for source in &settings.sources {
        tideline_worker::sources::open(source).map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}

/// Why nothing can be made of a response.
fn no_list(body: &Value) -> String {
    match error_in(body) {
        Some(error) => format!("the response is an error, not a list: {error}"),
        None => "the response has no list of objects; use the URL of a list".to_owned(),
    }
}

fn say(out: &mut Out, file: &str, name: &str, guess: &Guess) -> io::Result<()> {
    let list = guess.items.as_deref().unwrap_or("the response's list");
    out.note(
        Tone::Plain,
        format!("Found {} in {list}.", counted(guess.count, "item", "items")),
    )?;
    out.note(Tone::Good, format!("Wrote {file}."))?;
    if guess.paging == Paging::Unknown && guess.more.is_empty() {
        let text = "The response does not say how to get to a next page. If there is one, set pagination.";
        out.note(Tone::Plain, text)?;
    }
    let next = format!("Look at the first page with `tideline try {name}`, then run `tideline plan {name}`.");
    out.note(Tone::Plain, next)
}

/// Asks for what was not given.
fn ask(token_env: Option<String>) -> anyhow::Result<(Url, Option<String>)> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Code::Config, "specify the URL of a list in the API: tideline init URL").into());
    }
    let url = question("URL of a list in the API: ")?;
    let url = Url::parse(&url).map_err(|error| Failure::new(Code::Config, format!("{url} is not a URL: {error}")))?;
    let token_env = match token_env {
        Some(name) => Some(name),
        None => Some(question("Environment variable with a bearer token (empty for none): ")?)
            .filter(|name| !name.is_empty()),
    };
    Ok((url, token_env))
}

fn question(text: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{text}")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

async fn fetch(url: &Url, token_env: Option<&str>) -> anyhow::Result<Response> {
    let failed = |why: String| Failure::new(Code::Failed, why);
    // A provider that is already installed is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("tideline/", env!("CARGO_PKG_VERSION")))
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let mut request = client.get(url.clone()).header("accept", "application/json");
    if let Some(name) = token_env {
        let token = environment(name).filter(|token| !token.is_empty());
        let missing = || Failure::new(Code::Config, format!("the environment variable {name} is not set"));
        request = request.bearer_auth(token.ok_or_else(missing)?);
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut response = request
        .send()
        .await
        .map_err(|error| failed(unreachable(url.as_str(), &error.without_url())))?;
    let status = response.status();
    if !status.is_success() {
        let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
        let target = target.and_then(|target| url.join(target).ok());
        let hint = match (status.as_u16(), target) {
            (401 | 403, _) => "; does it need a token (--token-env)?".to_owned(),
            (300..=399, Some(target)) => format!("; redirects are not followed, use {target}"),
            (300..=399, None) => "; redirects are not followed, use the final URL".to_owned(),
            _ => String::new(),
        };
        return Err(failed(format!("{host} answered {status}{hint}")).into());
    }
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failed(error.without_url().to_string()))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BYTES {
            return Err(failed("the response is larger than 32 MiB; request a smaller page".to_owned()).into());
        }
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(why) = unreadable(&host, content_type.unwrap_or_default(), &body) {
        return Err(failed(why).into());
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    let body = serde_json::from_slice(body).map_err(|error| failed(format!("the response is not JSON: {error}")))?;
    Ok(Response { headers, body })
}

/// A name that a source may have.
fn source_name_of(text: &str) -> Result<String, String> {
    check_source_name(text).map(|()| text.to_owned())
}

fn source_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let mut labels = host.split('.').filter(|label| !matches!(*label, "api" | "www"));
    let label: String = labels
        .next()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    if label.starts_with(|c: char| c.is_ascii_alphabetic()) {
        label.to_lowercase()
    } else {
        "api".to_owned()
    }
}
