//! `tideline hooks`: register the configured hooks at the providers that send webhooks.

use clap::{Args, Subcommand};
use serde_json::json;
use tideline_config::hooks::{HookProvider, HookSettings};
use tideline_config::settings::{Auth, Settings, SourceKind, SourceSettings, TerraformSettings};
use tideline_core::words::Secret;
use tideline_producer::api::hook_secrets::{HookSecret, TakeHookSecret};
use tideline_producer::registration::{
    self, Access, Endpoint, Github, GithubTarget, Provider, Registered, RegistrationError, Terraform, TerraformTarget,
};
use url::Url;

use crate::client::Request;
use crate::context::{Context, environment};
use crate::exit::{Code, Failure};
use crate::output::{Grid, Out, Tone};

/// What to do with them.
#[derive(Args, Debug)]
pub(crate) struct HooksArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create the webhook at the provider, or update it. Start Tideline with the hook configured first, because Terraform
    /// verifies the URL when the webhook is created
    Register(RegisterArgs),
    /// List webhooks at the provider that point to the hook
    List(Target),
    /// Ask the provider to send a test delivery to each; fails if one is disabled or does not send what the hook needs
    Verify(Target),
    /// Remove the webhooks that point to the hook
    Remove(Target),
}

#[derive(Args, Debug)]
struct RegisterArgs {
    /// Generate a new secret first, for a hook with `stored_secret`. Webhooks signed with the previous one are still
    /// accepted: register every place again
    // Global: it stands before the provider or after it.
    #[arg(long, global = true)]
    rotate: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
struct Target {
    #[command(subcommand)]
    provider: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Webhooks of a repository or an organization at GitHub
    Github(GithubArgs),
    /// Notification configurations of workspaces or projects at HCP Terraform or Terraform Enterprise
    Terraform(TerraformArgs),
}

#[derive(Args, Debug)]
struct Common {
    /// Name of the hook in the configuration [default: the only one of this provider]
    #[arg(long, value_name = "NAME")]
    hook: Option<String>,
    /// Public address of the gateway, such as https://tideline.example.com
    #[arg(long, value_name = "URL", env = "TIDELINE_PUBLIC_URL")]
    url: Url,
}

#[derive(Args, Debug)]
struct GithubArgs {
    #[command(flatten)]
    common: Common,
    /// OWNER/NAME
    #[arg(long, required_unless_present = "organization", conflicts_with = "organization")]
    repository: Option<String>,
    /// Name of an organization, for all its repositories
    #[arg(long)]
    organization: Option<String>,
    /// Address of the API; for Enterprise Server https://HOST/api/v3
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    api_url: Url,
    /// Environment variable with the token
    #[arg(long, value_name = "NAME", default_value = "GITHUB_TOKEN")]
    token_variable: String,
}

#[derive(Args, Debug)]
struct TerraformArgs {
    #[command(flatten)]
    common: Common,
    /// Source of type terraform that provides the organization, address and token [default: the only one]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Name of a workspace; may be repeated
    #[arg(long = "workspace", value_name = "NAME", required_unless_present_any = ["projects", "organization"])]
    workspaces: Vec<String>,
    /// Name or id of a project, for all its workspaces; may be repeated
    #[arg(long = "project", value_name = "NAME", id = "projects", conflicts_with_all = ["workspaces", "organization"])]
    projects: Vec<String>,
    /// Every project of the organization
    #[arg(long, conflicts_with = "workspaces")]
    organization: bool,
    /// Environment variable with a token that may manage notifications, if the source's token may not
    #[arg(long, value_name = "NAME")]
    token_variable: Option<String>,
}

/// What is registered is known to the provider. Only a secret that Tideline makes itself is kept, before anything is registered.
pub(crate) async fn run(context: &Context, out: &mut Out, args: HooksArgs) -> anyhow::Result<Code> {
    let settings = context.settings()?;
    let (action, target) = match &args.action {
        Action::Register(args) => ("register", &args.target),
        Action::List(target) => ("list", target),
        Action::Verify(target) => ("verify", target),
        Action::Remove(target) => ("remove", target),
    };
    let (common, kind, provider) = match &target.provider {
        Which::Github(args) => (&args.common, HookProvider::Github, github(args)?),
        Which::Terraform(args) => (&args.common, HookProvider::Terraform, terraform(&settings, args)?),
    };
    let hook = hook_of(&settings, common, kind)?;
    let secret = match &args.action {
        Action::Register(args) => secret_of(context, hook, args.rotate).await?,
        // Only a webhook that is made or updated is told the secret.
        _ => Secret::new(String::new()),
    };
    let endpoint = Endpoint {
        url: registration::address(hook, &common.url).map_err(wrong)?,
        secret,
    };
    let provider = provider.as_ref();
    let done = match action {
        "register" => registration::register(provider, &endpoint).await.map_err(failed)?,
        "list" => found(registration::list(provider, &endpoint).await.map_err(failed)?),
        "verify" => found(registration::verify(provider, &endpoint).await.map_err(failed)?),
        _ => found(registration::remove(provider, &endpoint).await.map_err(failed)?),
    };
    show(out, &done, action == "verify")
}

fn found(all: Vec<Registered>) -> Vec<Result<Registered, RegistrationError>> {
    all.into_iter().map(Ok).collect()
}

fn failed(error: RegistrationError) -> Failure {
    Failure::new(Code::Failed, error.to_string())
}

fn wrong(why: String) -> Failure {
    Failure::new(Code::Config, why)
}

/// `complains`: a webhook that does not work is an error.
fn show(out: &mut Out, done: &[Result<Registered, RegistrationError>], complains: bool) -> anyhow::Result<Code> {
    let error_of = |one: &Result<Registered, RegistrationError>| match one {
        Ok(registered) => registered.complaint().filter(|_| complains),
        Err(error) => Some(error.to_string()),
    };
    let errors: Vec<String> = done.iter().filter_map(error_of).collect();
    let registered = || done.iter().filter_map(|one| one.as_ref().ok());
    if out.is_json() {
        out.document(&json!({ "webhooks": registered().collect::<Vec<_>>(), "errors": errors }))?;
    } else {
        let mut grid = Grid::new(&["place", "id", "", "events", "last delivery"]);
        for one in registered() {
            let outcome = if one.enabled {
                one.outcome.to_owned()
            } else {
                format!("{}, disabled", one.outcome)
            };
            let last = one.last.clone().unwrap_or_else(|| "-".to_owned());
            grid.row(vec![
                one.place.clone().into(),
                one.id.clone().into(),
                outcome.into(),
                one.events.join(", ").into(),
                last.into(),
            ]);
        }
        if registered().next().is_some() {
            out.grid(&grid)?;
        } else if errors.is_empty() {
            out.line("No webhook has this URL.")?;
        }
        for error in &errors {
            out.toned(Tone::Bad, error)?;
        }
    }
    Ok(if errors.is_empty() { Code::Done } else { Code::Failed })
}

/// The hook of the configuration.
fn hook_of<'s>(settings: &'s Settings, common: &Common, provider: HookProvider) -> anyhow::Result<&'s HookSettings> {
    let fitting: Vec<&HookSettings> = (settings.hooks.iter())
        .filter(|hook| hook.provider == provider && common.hook.as_ref().is_none_or(|name| *name == hook.name))
        .collect();
    let word = provider.word();
    match fitting.as_slice() {
        [hook] => Ok(*hook),
        [] => {
            let named = common
                .hook
                .as_ref()
                .map_or_else(String::new, |name| format!(" named {name}"));
            let line = format!("hooks: [{{ name: {word}, provider: {word}, stored_secret: true }}]");
            Err(wrong(format!("there is no hook with provider {word}{named}; add {line}")).into())
        }
        _ => Err(wrong(format!(
            "there are several hooks with provider {word}; select one with --hook"
        ))
        .into()),
    }
}

/// The secret that the provider is to sign with: it is known to the gateway before the provider learns it.
async fn secret_of(context: &Context, hook: &HookSettings, rotate: bool) -> anyhow::Result<Secret> {
    if hook.stored_secret {
        // A place that is registered later is told the same secret.
        let wanted = TakeHookSecret { rotate, reveal: true };
        let request = Request::post(&["hooks", &hook.name, "secret"]).body(&wanted)?;
        let client = context.client().await?;
        let taken: HookSecret = client.ask(&request).await?;
        let not_shown = || {
            Failure::new(
                Code::Error,
                format!("the gateway did not show the secret of hook {}", hook.name),
            )
        };
        return Ok(Secret::new(taken.secret.ok_or_else(not_shown)?));
    }
    if rotate {
        let why = format!(
            "the secret of hook {} is in the configuration: change it there",
            hook.name
        );
        return Err(wrong(why).into());
    }
    let no_secret = || {
        wrong(format!(
            "hook {} has no secret, so senders could not be verified",
            hook.name
        ))
    };
    Ok(hook.secrets.first().cloned().ok_or_else(no_secret)?)
}

fn token(variable: &str) -> anyhow::Result<Secret> {
    let token = environment(variable).filter(|token| !token.trim().is_empty());
    let missing = || {
        wrong(format!(
            "the environment variable {variable} is not set; it must contain a token for the provider"
        ))
    };
    Ok(Secret::new(token.ok_or_else(missing)?.trim().to_owned()))
}

fn github(args: &GithubArgs) -> anyhow::Result<Box<dyn Provider>> {
    let access = Access {
        base_url: args.api_url.clone(),
        token: token(&args.token_variable)?,
    };
    let target = match (&args.repository, &args.organization) {
        (Some(repository), _) => GithubTarget::Repository(repository.clone()),
        (None, organization) => GithubTarget::Organization(organization.clone().unwrap_or_default()),
    };
    Ok(Box::new(Github::new(access, target)?))
}

fn terraform(settings: &Settings, args: &TerraformArgs) -> anyhow::Result<Box<dyn Provider>> {
    let source = terraform_source(settings, args.source.as_deref())?;
    let token = match (&args.token_variable, &source.http.auth) {
        (Some(variable), _) => token(variable)?,
        (None, Auth::Bearer(token)) => token.clone(),
        (None, _) => {
            return Err(
                wrong("the source has no auth.bearer; specify a variable with --token-variable".to_owned()).into(),
            );
        }
    };
    let access = Access {
        base_url: source.http.base_url.clone(),
        token,
    };
    let target = if args.organization {
        TerraformTarget::Organization
    } else if args.projects.is_empty() {
        TerraformTarget::Workspaces(args.workspaces.clone())
    } else {
        TerraformTarget::Projects(args.projects.clone())
    };
    Ok(Box::new(Terraform::new(access, &source.organization, target)?))
}

fn terraform_source<'s>(settings: &'s Settings, name: Option<&str>) -> anyhow::Result<&'s TerraformSettings> {
    let of = |source: &'s SourceSettings| match &source.kind {
        SourceKind::Terraform(terraform) if name.is_none_or(|name| name == source.name) => Some(&**terraform),
        _ => None,
    };
    let fitting: Vec<&TerraformSettings> = settings.sources.iter().filter_map(of).collect();
    match fitting.as_slice() {
        [source] => Ok(source),
        [] => Err(wrong("there is no such source of type terraform in the configuration".to_owned()).into()),
        _ => Err(wrong("there are several sources of type terraform; select one with --source".to_owned()).into()),
    }
}
