//! Notification configurations of HCP Terraform and Terraform Enterprise, of workspaces and of projects.
//! <https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations>

use async_trait::async_trait;
use axum::http::Method;
use serde_json::{Value, json};

use super::client::{Access, Client, RegistrationError, segment};
use super::{Endpoint, Place, Provider, Remote, Remotes};

/// What a configuration is called there.
const NAME: &str = "tideline";
/// A workspace takes no more.
const MAX_CONFIGURATIONS: usize = 20;
/// What is subscribed to, of workspaces and of projects alike, the newest names first. What is refused as unknown (422)
/// is tried with the next ones.
const TRIGGERS: [&[&str]; 4] = [
    &[
        "run:completed",
        "run:run_errored",
        "run:run_canceled",
        "assessment:drifted",
        "assessment:check_failure",
        "assessment:failed",
        "workspace:deleted",
    ],
    &[
        "run:completed",
        "run:errored",
        "assessment:drifted",
        "assessment:check_failure",
        "assessment:failed",
        "workspace:deleted",
    ],
    &[
        "run:completed",
        "run:errored",
        "assessment:drifted",
        "assessment:check_failure",
        "assessment:failed",
    ],
    &["run:completed", "run:errored"],
];
const UNREACHABLE: &str = "Terraform sends a signed verification request while it creates a configuration: Tideline \
must be running at this URL with this hook and its secret, and be reachable from Terraform";

/// Whose runs are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerraformTarget {
    /// Workspaces by name.
    Workspaces(Vec<String>),
    /// Projects by name or id; all of their workspaces.
    Projects(Vec<String>),
    /// All projects of the organization.
    Organization,
}

/// HCP Terraform or Terraform Enterprise. The base URL of its access ends with `/api/v2`.
pub struct Terraform {
    client: Client,
    organization: String,
    target: TerraformTarget,
}

impl Terraform {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The token cannot be sent.
    pub fn new(access: Access, organization: &str, target: TerraformTarget) -> Result<Self, RegistrationError> {
        Ok(Self {
            client: Client::new(access, "application/vnd.api+json", &[])?,
            organization: segment(organization),
            target,
        })
    }

    /// All of a paged list.
    async fn all(&self, path: &str) -> Result<Vec<Value>, RegistrationError> {
        let (mut all, mut page) = (Vec::new(), 1_u64);
        loop {
            let path = format!("{path}?page%5Bnumber%5D={page}&page%5Bsize%5D=100");
            let answer = self.client.send(&Method::GET, &path, None).await?.body;
            let data = answer["data"].as_array().cloned();
            all.extend(data.ok_or_else(|| RegistrationError::wrong(format!("{path} answered without a list")))?);
            match answer["meta"]["pagination"]["next-page"].as_u64() {
                Some(next) if next > page => page = next,
                _ => return Ok(all),
            }
        }
    }

    fn body(endpoint: &Endpoint, triggers: &[&str]) -> Value {
        json!({ "data": { "type": "notification-configurations", "attributes": {
            "destination-type": "generic", "enabled": true, "name": NAME, "token": endpoint.secret.reveal(),
            "triggers": triggers, "url": endpoint.url.as_str(),
        } } })
    }

    /// With the newest triggers that it knows.
    async fn write(&self, method: Method, path: &str, endpoint: &Endpoint) -> Result<Remotes, RegistrationError> {
        let mut refused = None;
        for triggers in TRIGGERS {
            let body = Self::body(endpoint, triggers);
            match self.client.send(&method, path, Some(&body)).await {
                Ok(answer) => return Ok(Remotes(vec![remote(&answer.body["data"])])),
                Err(error) if error.status == Some(422) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        let nothing = || RegistrationError::wrong("no triggers are known".to_owned());
        Err(refused.unwrap_or_else(nothing).hint(UNREACHABLE))
    }
}

#[async_trait]
impl Provider for Terraform {
    async fn places(&self) -> Result<Vec<Place>, RegistrationError> {
        let organization = &self.organization;
        match &self.target {
            TerraformTarget::Workspaces(names) => {
                let mut places = Vec::new();
                for name in names {
                    let path = format!("/organizations/{organization}/workspaces/{}", segment(name));
                    let found = self.client.send(&Method::GET, &path, None).await;
                    let found = found.map_err(|error| error.at(&format!("workspace {name}")))?.body;
                    places.push(place("workspace", &found["data"])?);
                }
                Ok(places)
            }
            TerraformTarget::Projects(wanted) => {
                let all = self.all(&format!("/organizations/{organization}/projects")).await?;
                let is_called = |project: &Value, name: &String| {
                    project["id"] == json!(name) || project["attributes"]["name"] == json!(name)
                };
                let mut places = Vec::new();
                for name in wanted {
                    let found = all.iter().find(|project| is_called(project, name));
                    let missing = || {
                        RegistrationError::wrong(format!(
                            "there is no project {name}, or the token has no access \
                        to it"
                        ))
                    };
                    places.push(place("project", found.ok_or_else(missing)?)?);
                }
                Ok(places)
            }
            TerraformTarget::Organization => {
                let all = self.all(&format!("/organizations/{organization}/projects")).await?;
                all.iter().map(|project| place("project", project)).collect()
            }
        }
    }

    async fn list(&self, place: &Place) -> Result<Remotes, RegistrationError> {
        Ok(Remotes(self.all(&place.path).await?.iter().map(remote).collect()))
    }

    async fn create(&self, place: &Place, endpoint: &Endpoint) -> Result<Remotes, RegistrationError> {
        if self.all(&place.path).await?.len() >= MAX_CONFIGURATIONS {
            let why =
                format!("it has {MAX_CONFIGURATIONS} notification configurations, the most that Terraform allows");
            return Err(RegistrationError::wrong(why));
        }
        self.write(Method::POST, &place.path, endpoint).await
    }

    async fn update(&self, _: &Place, id: &str, endpoint: &Endpoint) -> Result<Remotes, RegistrationError> {
        self.write(Method::PATCH, &path_of(id), endpoint).await
    }

    async fn verify(&self, _: &Place, id: &str) -> Result<String, RegistrationError> {
        let path = format!("{}/actions/verify", path_of(id));
        let answer = self.client.send(&Method::POST, &path, None).await;
        let answer = answer.map_err(|error| error.hint(UNREACHABLE))?;
        Ok(remote(&answer.body["data"]).last.unwrap_or_else(|| "sent".to_owned()))
    }

    async fn remove(&self, _: &Place, id: &str) -> Result<(), RegistrationError> {
        self.client.send(&Method::DELETE, &path_of(id), None).await.map(drop)
    }
}

fn path_of(id: &str) -> String {
    format!("/notification-configurations/{}", segment(id))
}

fn place(kind: &str, document: &Value) -> Result<Place, RegistrationError> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (Some(id), Some(name)) = (text(&document["id"]), text(&document["attributes"]["name"])) else {
        return Err(RegistrationError::wrong(format!(
            "the API answered with a {kind} without an id or a name"
        )));
    };
    Ok(Place {
        name: format!("{kind} {name}"),
        path: format!("/{kind}s/{}/notification-configurations", segment(&id)),
    })
}

fn remote(document: &Value) -> Remote {
    let attributes = &document["attributes"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let newest = attributes["delivery-responses"].as_array().and_then(|all| all.first());
    let last = newest.map(|delivery| {
        let worked = delivery["successful"] == json!("true") || delivery["successful"] == json!(true);
        let code = match &delivery["code"] {
            Value::String(code) => code.clone(),
            code => code.to_string(),
        };
        format!("{} ({code})", if worked { "successful" } else { "failed" })
    });
    let triggers: Vec<String> = attributes["triggers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    Remote {
        id: text(&document["id"]),
        // Of another kind, it has none of ours.
        url: if attributes["destination-type"] == json!("generic") {
            text(&attributes["url"])
        } else {
            String::new()
        },
        enabled: attributes["enabled"] == json!(true),
        problems: problems(&triggers),
        events: triggers,
        last,
    }
}

/// Without these, a source does not notice that a run ended.
fn problems(triggers: &[String]) -> Vec<String> {
    let is_sent = |names: &[&str]| triggers.iter().any(|known| names.contains(&known.as_str()));
    let needed: [&[&str]; 2] = [&["run:completed"], &["run:errored", "run:run_errored"]];
    let missing: Vec<&str> = (needed.iter().filter(|names| !is_sent(names)).map(|names| names[0])).collect();
    let missing = (!missing.is_empty()).then(|| format!("it does not send the events {}", missing.join(", ")));
    missing.into_iter().collect()
}
