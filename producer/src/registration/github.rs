//! Webhooks of repositories and organizations at GitHub and GitHub Enterprise Server.
//! <https://docs.github.com/en/rest/repos/webhooks>, <https://docs.github.com/en/rest/orgs/webhooks>

use async_trait::async_trait;
use axum::http::Method;
use serde_json::{Value, json};

use super::client::{Access, Client, RegistrationError, segment};
use super::{Endpoint, Place, Provider, Remote, Remotes};

/// What is subscribed to.
const EVENTS: [&str; 2] = ["push", "repository"];
/// Pages of a list that are read.
const MAX_PAGES: usize = 100;

/// Whose webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GithubTarget {
    /// `OWNER/NAME`.
    Repository(String),
    /// An organization: all of its repositories.
    Organization(String),
}

/// GitHub. The base URL of its access is `https://api.github.com`, or `https://HOST/api/v3` of a server of one's own.
pub struct Github {
    client: Client,
    target: GithubTarget,
}

impl Github {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The token cannot be sent.
    pub fn new(access: Access, target: GithubTarget) -> Result<Self, RegistrationError> {
        let version = [("x-github-api-version", "2022-11-28")];
        Ok(Self {
            client: Client::new(access, "application/vnd.github+json", &version)?,
            target,
        })
    }

    fn body(endpoint: &Endpoint) -> Value {
        json!({
            "name": "web", "active": true, "events": EVENTS,
            "config": {
                "url": endpoint.url.as_str(), "content_type": "json", "secret": endpoint.secret.reveal(), "insecure_ssl": "0",
            },
        })
    }
}

#[async_trait]
impl Provider for Github {
    async fn places(&self) -> Result<Vec<Place>, RegistrationError> {
        let place = match &self.target {
            GithubTarget::Repository(full) => {
                let parts = full
                    .split_once('/')
                    .filter(|(owner, name)| !owner.is_empty() && !name.is_empty());
                let wrong = || RegistrationError::wrong(format!("{full} is not a repository: use OWNER/NAME"));
                let (owner, name) = parts.filter(|(_, name)| !name.contains('/')).ok_or_else(wrong)?;
                Place {
                    name: format!("repository {full}"),
                    path: format!("/repos/{}/{}/hooks", segment(owner), segment(name)),
                }
            }
            GithubTarget::Organization(name) => Place {
                name: format!("organization {name}"),
                path: format!("/orgs/{}/hooks", segment(name)),
            },
        };
        Ok(vec![place])
    }

    async fn list(&self, place: &Place) -> Result<Remotes, RegistrationError> {
        let mut all = Vec::new();
        let mut query = "?per_page=100".to_owned();
        for _ in 0..MAX_PAGES {
            let answer = self
                .client
                .send(&Method::GET, &format!("{}{query}", place.path), None)
                .await;
            let answer = answer.map_err(scope)?;
            let list = answer
                .body
                .as_array()
                .map(|list| list.iter().map(remote).collect::<Vec<_>>());
            all.extend(list.ok_or_else(|| RegistrationError::wrong("the API answered without a list".to_owned()))?);
            match answer.next() {
                Some(next) => query = next,
                None => return Ok(Remotes(all)),
            }
        }
        Err(RegistrationError::wrong(format!(
            "the list of webhooks has more than {MAX_PAGES} pages"
        )))
    }

    async fn create(&self, place: &Place, endpoint: &Endpoint) -> Result<Remotes, RegistrationError> {
        let answer = self
            .client
            .send(&Method::POST, &place.path, Some(&Self::body(endpoint)))
            .await;
        Ok(Remotes(vec![remote(&answer.map_err(scope)?.body)]))
    }

    async fn update(&self, place: &Place, id: &str, endpoint: &Endpoint) -> Result<Remotes, RegistrationError> {
        let path = format!("{}/{}", place.path, segment(id));
        let answer = self
            .client
            .send(&Method::PATCH, &path, Some(&Self::body(endpoint)))
            .await;
        Ok(Remotes(vec![remote(&answer.map_err(scope)?.body)]))
    }

    async fn verify(&self, place: &Place, id: &str) -> Result<String, RegistrationError> {
        let path = format!("{}/{}/pings", place.path, segment(id));
        self.client.send(&Method::POST, &path, None).await.map_err(scope)?;
        Ok("ping sent".to_owned())
    }

    async fn remove(&self, place: &Place, id: &str) -> Result<(), RegistrationError> {
        let path = format!("{}/{}", place.path, segment(id));
        self.client
            .send(&Method::DELETE, &path, None)
            .await
            .map(drop)
            .map_err(scope)
    }
}

/// GitHub answers 404 to a token that lacks the right.
fn scope(error: RegistrationError) -> RegistrationError {
    match error.status {
        Some(403 | 404) => error.hint(
            "the token needs `admin:repo_hook` or `admin:org_hook`, or the permission Webhooks (read and write) of a \
             fine-grained token",
        ),
        _ => error,
    }
}

fn remote(document: &Value) -> Remote {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let last = &document["last_response"];
    let events: Vec<String> = document["events"].as_array().into_iter().flatten().map(text).collect();
    Remote {
        id: document["id"].to_string(),
        url: text(&document["config"]["url"]),
        enabled: document["active"] == json!(true),
        problems: problems(&document["config"]["content_type"], &events),
        events,
        last: last["code"]
            .as_u64()
            .map(|code| format!("{} ({code})", text(&last["status"]))),
    }
}

fn problems(content_type: &Value, events: &[String]) -> Vec<String> {
    // GitHub's default is `form`.
    let is_form = content_type.as_str().is_none_or(|kind| kind != "json");
    let form = is_form.then(|| "it sends forms instead of application/json".to_owned());
    let is_missing = |event: &&str| !events.iter().any(|known| known == event || known == "*");
    let missing: Vec<&str> = EVENTS.into_iter().filter(is_missing).collect();
    let missing = (!missing.is_empty()).then(|| format!("it does not send the events {}", missing.join(", ")));
    form.into_iter().chain(missing).collect()
}
