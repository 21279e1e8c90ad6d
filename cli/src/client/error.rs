use std::fmt;

use serde::Deserialize;
use tideline_producer::api::Problem;

use crate::exit::Code;

/// Why a request to the API failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The API refused.
    #[error("{0}")]
    Problem(Box<Refusal>),
    /// The server did not answer.
    #[error("the server {server} cannot be reached; check --server (or TIDELINE_SERVER), and that it is running")]
    Unreachable {
        /// Its URL.
        server: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke, or nothing came in time.
    #[error("the response from {server} was incomplete{}", if *.acts { "; the request may have taken effect" } else { "" })]
    Broken {
        /// Its URL.
        server: String,
        /// The request was more than a look.
        acts: bool,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something other than Tideline responded.
    #[error(
        "{server} answered {status}, which is not a response of Tideline's API: check --server (or \
         TIDELINE_SERVER){hint}"
    )]
    NotTideline {
        /// Its URL.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What it probably is.
        hint: &'static str,
    },
    /// An answer is not what this version of the program expects.
    #[error("the API's response cannot be read; does the server run a different version? (`tideline --version`)")]
    Unreadable {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// A problem (RFC 9457), as a client needs it: the code of a newer server may be unknown.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Refusal {
    /// The stable word; see docs/problems.md.
    pub(crate) code: String,
    /// The HTTP status.
    pub(crate) status: u16,
    title: String,
    #[serde(default)]
    pub(crate) detail: String,
    /// The server, if the request went over HTTP.
    #[serde(skip)]
    pub(super) server: Option<String>,
    /// A token was shown.
    #[serde(skip)]
    pub(super) with_token: bool,
    /// `x-request-id`.
    #[serde(skip)]
    pub(super) request: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        let Some(server) = &self.server else {
            return f.write_str(text);
        };
        match self.status {
            401 | 403 if !self.with_token => write!(
                f,
                "{server}: {text}; no token was sent: run `tideline login --server {server}`, or set TIDELINE_TOKEN"
            ),
            401 | 403 | 429 => write!(f, "{server}: {text}"),
            _ if self.is_no_route() => write!(
                f,
                "{server} has no such path; check --server (or TIDELINE_SERVER): it takes the gateway's URL without /v1"
            ),
            500.. => {
                write!(f, "{server}: {text}")?;
                match &self.request {
                    Some(request) => write!(f, " (request {request})"),
                    None => Ok(()),
                }
            }
            _ => f.write_str(text),
        }
    }
}

impl Refusal {
    /// The server does not know such a path at all: describes what is missing.
    fn is_no_route(&self) -> bool {
        self.server.is_some() && self.status == 404 && self.detail.is_empty()
    }
}

impl ClientError {
    /// Reads a problem out of an answer.
    pub(super) fn problem(body: &[u8]) -> Option<Box<Refusal>> {
        serde_json::from_slice(body).ok()
    }

    /// A problem that came in the middle of an answer, or from this process.
    pub(crate) fn from_problem(problem: &Problem) -> Self {
        Self::Problem(Box::new(Refusal {
            code: problem.code.as_str().to_owned(),
            status: problem.status,
            title: problem.title.clone().into_owned(),
            detail: problem.detail.clone(),
            server: None,
            with_token: false,
            request: None,
        }))
    }

    /// The problem's code, if the API said no.
    pub(crate) fn problem_code(&self) -> Option<&str> {
        match self {
            Self::Problem(refusal) => Some(&refusal.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later: the server is unavailable.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Problem(refusal) => matches!(refusal.status, 408 | 429 | 500..),
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::NotTideline { status, .. } => *status >= 500,
            Self::Unreadable { .. } => false,
        }
    }

    /// The exit code of the program.
    pub(crate) fn exit(&self) -> Code {
        match self {
            Self::Problem(refusal) if refusal.is_no_route() => Code::Error,
            Self::Problem(refusal) => match refusal.status {
                502 => Code::Failed,
                504 => Code::NotInTime,
                401 | 403 | 429 => Code::NotAllowed,
                404 => Code::NotFound,
                409 | 410 | 412 | 422 => Code::Refused,
                400 | 413 | 415 => Code::Config,
                _ => Code::Error,
            },
            _ => Code::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> ClientError {
        let body = format!(r#"{{"type":"urn:x","code":"{code}","status":{status},"title":"No","detail":"because"}}"#);
        ClientError::Problem(ClientError::problem(body.as_bytes()).unwrap())
    }

    #[test]
    fn every_problem_has_an_exit_code_and_so_has_one_of_a_newer_server() {
        for (status, code, exit) in [
            (404, "unknown_source", Code::NotFound),
            (409, "conflict", Code::Refused),
            (412, "precondition_failed", Code::Refused),
            (401, "token_expired", Code::NotAllowed),
            (403, "forbidden", Code::NotAllowed),
            (400, "unknown_field", Code::Config),
            (503, "unavailable", Code::Error),
            (403, "something_of_the_future", Code::NotAllowed),
        ] {
            assert_eq!(refusal(status, code).exit(), exit, "{code}");
        }
    }

    #[test]
    fn whoever_shows_no_token_is_told_how_to_get_one() {
        let ClientError::Problem(mut refusal) = refusal(401, "unauthenticated") else {
            panic!("no problem");
        };
        assert_eq!(refusal.to_string(), "because");
        refusal.server = Some("https://t.example".to_owned());
        let text = refusal.to_string();
        assert!(text.contains("tideline login --server https://t.example"), "{text}");
        refusal.with_token = true;
        assert_eq!(refusal.to_string(), "https://t.example: because");
    }
}
