//! What a configuration may say and surely does not mean.

use super::{Auth, EntityShape, HttpSettings, Resource, SourceKind, SourceSettings};

type Warning = (String, String);

impl SourceSettings {
    /// What is allowed, but surely not meant: key path within the source, such as `resources[0].query.page`, and why.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let SourceKind::Http(http) = &self.kind else {
            return Vec::new();
        };
        let resources = http.resources.iter().enumerate();
        let resources = resources.flat_map(|(index, resource)| {
            let warnings = query_warnings(resource).chain(name_warning(resource));
            warnings.map(move |(key, why)| (format!("resources[{index}].{key}"), why))
        });
        auth_warning(http).into_iter().chain(resources).collect()
    }
}

fn query_warnings(resource: &Resource) -> impl Iterator<Item = Warning> + '_ {
    let why = "has no effect: pagination sets this parameter; leave it out here";
    let names = resource.overridden_query().into_iter();
    names.map(move |name| (format!("query.{name}"), why.to_owned()))
}

/// A word without a dot and without quotes is a constant.
fn name_warning(resource: &Resource) -> Option<Warning> {
    let EntityShape::Named { name, .. } = &resource.entity else {
        return None;
    };
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let why = || {
        format!(
            "is the constant \"{name}\", so that all items give one entity; write .{name} for the member of the item (or              '\"{name}\"', with both quotes, for the constant)"
        )
    };
    is_word.then(|| ("entity.name".to_owned(), why()))
}

/// A secret that is only the name of a variable. It is not shown: it may be a secret after all.
fn auth_warning(http: &HttpSettings) -> Option<Warning> {
    let (key, secret) = match &http.auth {
        Auth::Bearer(token) => ("auth.bearer", token),
        Auth::Basic { password, .. } => ("auth.basic.password", password),
        Auth::Header { value, .. } => ("auth.header.value", value),
        Auth::ClientCredentials { client_secret, .. } => ("auth.oauth2.client_secret", client_secret),
        Auth::None | Auth::File(_) | Auth::GithubApp(_) => return None,
    };
    let why = "is sent as it is written, a dollar sign and a word; write the name of an environment variable in braces: ${NAME}";
    is_bare_variable(secret.reveal()).then(|| (key.to_owned(), why.to_owned()))
}

fn is_bare_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}
