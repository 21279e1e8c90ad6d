//! Where the configuration says that a hook's webhooks are.

use tideline_config::hooks::{HookProvider, HookSettings, RepairPlace, RepairSettings};
use tideline_config::settings::{Auth, Settings, SourceKind, TerraformSettings};
use tideline_core::words::Secret;
use url::Url;

use super::{Access, Github, GithubTarget, Provider, Terraform, TerraformTarget};

/// Where the webhooks of a hook are.
pub enum Site<'s> {
    /// What `repair` of the hook names.
    Github(&'s RepairSettings),
    /// The organization of the only source of type `terraform`: its workspaces or its project, if the source names
    /// them.
    Terraform(&'s TerraformSettings),
}

impl<'s> Site<'s> {
    /// Those of this hook.
    ///
    /// # Errors
    /// What the configuration lacks.
    pub fn of(settings: &'s Settings, hook: &str) -> Result<Self, String> {
        let hook = settings.hooks.iter().find(|known| known.name == hook);
        let hook = hook.ok_or_else(|| "there is no such hook".to_owned())?;
        let name = &hook.name;
        match hook.provider {
            HookProvider::Github => hook.repair.as_ref().map(Self::Github).ok_or_else(|| {
                format!(
                    "the configuration does not say where the webhooks of {name} are; add `repair` to the hook, or \
                     use `tideline hooks` in a terminal"
                )
            }),
            HookProvider::Terraform => {
                let sources = settings.sources.iter().filter_map(|source| match &source.kind {
                    SourceKind::Terraform(terraform) => Some(&**terraform),
                    _ => None,
                });
                match sources.collect::<Vec<_>>().as_slice() {
                    [source] => Ok(Self::Terraform(source)),
                    [] => Err("there is no source of type terraform that says where the webhooks are".to_owned()),
                    _ => Err(
                        "there are several sources of type terraform; use `tideline hooks` in a terminal, which lets you \
                         name one"
                            .to_owned(),
                    ),
                }
            }
            _ => Err(format!(
                "webhooks of {} cannot be registered from here; set them up at the provider",
                hook.provider.word()
            )),
        }
    }

    /// For people: `repository acme/web at GitHub`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Github(repair) => match &repair.place {
                RepairPlace::Repository(owner, name) => format!("repository {owner}/{name} at GitHub"),
                RepairPlace::Organization(name) => format!("organization {name} at GitHub"),
            },
            Self::Terraform(source) => {
                let organization = &source.organization;
                match terraform_target(source) {
                    TerraformTarget::Workspaces(names) => format!("{} of {organization}", names.join(", ")),
                    TerraformTarget::Projects(names) => format!("project {} of {organization}", names.join(", ")),
                    TerraformTarget::Organization => format!("all projects of {organization}"),
                }
            }
        }
    }

    /// To be asked.
    ///
    /// # Errors
    /// The configuration has no token that can be sent.
    pub fn provider(&self) -> Result<Box<dyn Provider>, String> {
        match self {
            Self::Github(repair) => {
                let access = Access {
                    base_url: repair.api_url.clone(),
                    token: repair.token.clone(),
                };
                let target = match &repair.place {
                    RepairPlace::Repository(owner, name) => GithubTarget::Repository(format!("{owner}/{name}")),
                    RepairPlace::Organization(name) => GithubTarget::Organization(name.clone()),
                };
                let github = Github::new(access, target).map_err(|error| error.to_string())?;
                Ok(Box::new(github))
            }
            Self::Terraform(source) => {
                let Auth::Bearer(token) = &source.http.auth else {
                    return Err("the source of type terraform has no auth.bearer".to_owned());
                };
                let access = Access {
                    base_url: source.http.base_url.clone(),
                    token: token.clone(),
                };
                let terraform = Terraform::new(access, &source.organization, terraform_target(source));
                Ok(Box::new(terraform.map_err(|error| error.to_string())?))
            }
        }
    }
}

/// What the source reads, if it names that; globs and tags do not name anything.
fn terraform_target(source: &TerraformSettings) -> TerraformTarget {
    let is_name = |workspace: &String| !workspace.contains('*');
    if !source.workspaces.is_empty() && source.workspaces.iter().all(is_name) {
        return TerraformTarget::Workspaces(source.workspaces.clone());
    }
    match &source.project {
        Some(project) => TerraformTarget::Projects(vec![project.clone()]),
        None => TerraformTarget::Organization,
    }
}

/// A hook's public address, at the gateway of this one.
///
/// # Errors
/// The gateway's is none.
pub fn address(hook: &HookSettings, gateway: &Url) -> Result<Url, String> {
    let mut url = gateway.clone();
    let not_http = || format!("{gateway} is not the address of a gateway; use https://HOST");
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(not_http());
    }
    let mut segments = url.path_segments_mut().map_err(|()| not_http())?;
    segments.pop_if_empty().extend(["hooks", &hook.name]);
    segments.extend(hook.path_id.as_ref().map(Secret::reveal));
    drop(segments);
    Ok(url)
}
